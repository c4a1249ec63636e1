"""What a FLAC file says of itself, and which of its frames is the last, without decoding.

References
----------
RFC 9639, Free Lossless Audio Codec, sections 8.2 (streaminfo) and 9.1 (frame header).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["StreamInfo", "frame_starts", "last_sample", "stream_info"]

_LEAST_TAIL = 1 << 16
_LARGEST_TAIL = 1 << 22
_WINDOW = 1 << 22
_LONGEST_HEADER = 16
_SYNC = re.compile(rb"\xff[\xf8\xf9]")
_BLOCK_SIZES = {1: 192, **{k: 576 << (k - 2) for k in range(2, 6)}} | {
    k: 256 << (k - 8) for k in range(8, 16)
}


@dataclass(frozen=True, kw_only=True)
class StreamInfo:
    """The streaminfo block.

    Parameters
    ----------
    first : int
        Where the block stands in the file.
    n_samples : int
        Samples per channel; 0 where they were not known.
    block_samples : int
        Samples of each frame but the last, where all have the same.
    largest_frame : int
        Bytes; 0 where they were not known.
    depth : int
        Bits of a sample.
    md5 : bytes
        Of the decoded samples, 16 bytes; zeros where it was not known.
    """

    first: int
    n_samples: int
    block_samples: int
    largest_frame: int
    depth: int
    md5: bytes


def stream_info(path: Path) -> StreamInfo | None:
    """Read the streaminfo block; None where the file is no FLAC."""
    with path.open("rb") as file:
        start = file.read(10)
        first = 0
        if start[:3] == b"ID3" and len(start) == 10:  # a tag in front of the stream
            first = 10 + _syncsafe(start[6:10])
        file.seek(first)
        head = file.read(42)
    if len(head) < 42 or head[:4] != b"fLaC" or head[4] & 0x7F != 0:
        return None
    block = head[8:]
    packed = int.from_bytes(block[10:18], "big")
    return StreamInfo(
        first=first + 8,
        n_samples=packed & ((1 << 36) - 1),
        block_samples=int.from_bytes(block[:2], "big"),
        largest_frame=int.from_bytes(block[7:10], "big"),
        depth=1 + (packed >> 36 & 31),
        md5=block[18:34],
    )


def last_sample(path: Path, info: StreamInfo) -> int | None:
    """Sample behind that of the last frame that begins in the file; None where it is not found.

    Two frame headers in the last bytes must follow each other, so that chance is no header.
    """
    size = path.stat().st_size
    n_tail = min(_LARGEST_TAIL, max(_LEAST_TAIL, 4 * info.largest_frame), size - info.first - 34)
    if n_tail <= 0:
        return None
    with path.open("rb") as file:
        file.seek(size - n_tail)
        tail = file.read(n_tail)
    frames = dict(_frames_in(tail, info.block_samples))
    return max((first + n for first, n in _chained(frames).items()), default=None)


def frame_starts(path: Path) -> list[int]:
    """First samples of the frames whose headers are in a FLAC, in rising order.

    A frame counts where another one ends where it begins or begins where it ends, so that chance
    is no header. That it can be decoded is not said.
    """
    info = stream_info(path)
    if info is None:
        return []
    frames: dict[int, int] = {}
    with path.open("rb") as file:
        kept = b""
        while window := file.read(_WINDOW):
            data = kept + window
            frames.update(_frames_in(data, info.block_samples))
            kept = data[-_LONGEST_HEADER:]
    return sorted(_chained(frames))


def _frames_in(data: bytes, block_samples: int) -> Iterator[tuple[int, int]]:
    for match in _SYNC.finditer(data):
        frame = _frame_at(data, match.start(), block_samples)
        if frame is not None:
            yield frame


def _chained(frames: dict[int, int]) -> dict[int, int]:
    """Frames that follow others or are followed, or begin the stream."""
    ends = {first + n for first, n in frames.items()}
    return {
        first: n
        for first, n in frames.items()
        if first == 0 or first in ends or first + n in frames
    }


def _frame_at(data: bytes, at: int, block_samples: int) -> tuple[int, int] | None:
    """First sample of the frame whose header stands at a place, and how many it has."""
    if len(data) < at + 6 or data[at + 1] & 0xFE != 0xF8:
        return None
    variable = data[at + 1] & 1
    size_code, rate_code = data[at + 2] >> 4, data[at + 2] & 15
    channels, depth = data[at + 3] >> 4, data[at + 3] >> 1 & 7
    if size_code == 0 or rate_code == 15 or channels > 10 or depth == 3 or data[at + 3] & 1:
        return None
    number, n_bytes = _coded_number(data, at + 4)
    if n_bytes == 0:
        return None
    behind = at + 4 + n_bytes
    extra = {6: 1, 7: 2}.get(size_code, 0)
    n = _BLOCK_SIZES.get(size_code, 0)
    if extra:
        n = 1 + int.from_bytes(data[behind : behind + extra], "big")
    behind += extra + {12: 1, 13: 2, 14: 2}.get(rate_code, 0)
    if behind >= len(data) or _crc8(data[at:behind]) != data[behind]:
        return None
    return (number if variable else number * block_samples), n


def _coded_number(data: bytes, at: int) -> tuple[int, int]:
    """Read a number that is coded as characters are in UTF-8; and its length, 0 for none."""
    lead = data[at]
    if lead < 0x80:
        return lead, 1
    n = 8 - (lead ^ 0xFF).bit_length()
    if not 2 <= n <= 7:
        return 0, 0
    value = lead & (0x7F >> n)
    rest = data[at + 1 : at + n]
    if len(rest) < n - 1 or any(byte >> 6 != 2 for byte in rest):
        return 0, 0
    for byte in rest:
        value = value << 6 | byte & 0x3F
    return value, n


def _crc8(data: bytes) -> int:
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ (0x07 if crc & 0x80 else 0)) & 0xFF
    return crc


def _syncsafe(data: bytes) -> int:
    return sum((byte & 0x7F) << shift for byte, shift in zip(data, (21, 14, 7, 0), strict=True))
