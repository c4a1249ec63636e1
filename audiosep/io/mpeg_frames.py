"""How much an MP3 file says it holds, and whether it ends between two frames.

References
----------
ISO/IEC 11172-3, section 2.4.1.3 (frame header); ISO/IEC 13818-3 for the lower rates. The frame that
counts the others is described nowhere but in encoders and decoders: LAME's "Xing" and "Info",
Fraunhofer's "VBRI".
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from audiosep.io import frames

__all__ = [
    "Counted",
    "counted",
    "counting_frame",
    "cut_frame_bytes",
    "is_broken_inside",
    "junk_bytes",
    "walk",
]

_RATES_HZ = (44100, 48000, 32000)
_KBIT = {
    (1, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_HEAD = 1 << 16
_COUNTING_KBIT = 9  # the ninth bit rate: such frames have room for a count at every sample rate
_TAGS = (b"TAG", b"APETAGEX", b"LYRICSBEGIN", b"ID3", b"3DI")


@dataclass(frozen=True, kw_only=True)
class _Frame:
    n_bytes: int
    n_samples: int
    sr: int
    side_bytes: int


@dataclass(frozen=True, kw_only=True)
class Counted:
    """What the first frame says of all of them.

    Parameters
    ----------
    promised, held : int
        Bytes of all frames: by that frame, and in the file.
    n_samples : int
        Samples per channel; 0 where it does not say.
    """

    promised: int
    held: int
    n_samples: int


def counted(path: Path) -> Counted | None:
    """Read what the first frame says of all; None where it says nothing."""
    size = path.stat().st_size
    with path.open("rb") as file:
        first = _behind_tag(file.read(10))
        file.seek(first)
        head = file.read(_HEAD)
    at = head.find(b"\xff")
    while at >= 0:
        frame = _frame_at(head, at)
        if frame is not None:
            break
        at = head.find(b"\xff", at + 1)
    else:
        return None
    info = head[at + 4 + frame.side_bytes :]
    if info[:4] in (b"Xing", b"Info") and len(info) >= 16:
        flags, rest = info[7], info[8:]
        n_frames = int.from_bytes(rest[:4], "big") if flags & 1 else 0
        rest = rest[4 if flags & 1 else 0 :]
        promised = int.from_bytes(rest[:4], "big") if flags & 2 else 0
    else:
        info = head[at + 36 :]
        if info[:4] != b"VBRI" or len(info) < 18:
            return None
        promised = int.from_bytes(info[10:14], "big")
        n_frames = int.from_bytes(info[14:18], "big")
    if not promised:
        return None
    held = max(0, size - first - at)
    return Counted(promised=promised, held=held, n_samples=n_frames * frame.n_samples)


def cut_frame_bytes(path: Path) -> int:
    """Bytes that are missing from the last frame; 0 where the file ends behind a frame or a tag."""
    return frames.cut_frame_bytes(path, _frame_at, _TAGS)


def is_broken_inside(path: Path) -> bool:
    """Whether frames stop following each other somewhere, and there are more of them behind."""
    with path.open("rb") as file:
        at = _behind_tag(file.read(10))
        while True:
            file.seek(at)
            frame = _frame_at(file.read(4), 0)
            if frame is None:
                break
            at += frame.n_bytes
        file.seek(at)
        behind = file.read(_HEAD)
    return any(
        frames.n_in_a_row(behind, start, _frame_at) >= frames.IN_A_ROW
        for start in range(len(behind))
    )


def walk(path: Path) -> frames.FrameWalk:
    """Look at all frames that are in the file, whatever it counts itself."""
    with path.open("rb") as file:
        first = _behind_tag(file.read(10))
    return frames.walk_frames(path, _frame_at, first)


def junk_bytes(path: Path) -> int:
    """Bytes in front of the first frame that are neither a tag nor zeros, or begin so."""
    with path.open("rb") as file:
        first = _behind_tag(file.read(10))
        file.seek(first)
        head = file.read(_HEAD)
    for start in range(len(head)):
        if frames.n_in_a_row(head, start, _frame_at) >= frames.IN_A_ROW:
            junk = head[:start]
            return start if junk.strip(b"\0") and not junk.startswith(_TAGS) else 0
    return 0


def counting_frame(path: Path, found: frames.FrameWalk) -> bytes:
    """A frame that counts those of a file, as encoders put it first; empty where none can be."""
    with path.open("rb") as file:
        file.seek(found.first)
        head = bytearray(file.read(4))
    like = _frame_at(bytes(head), 0)
    if like is None or 4 - (head[1] >> 1 & 3) != 3:
        return b""
    head[1] |= 1  # without a checksum
    head[2] = head[2] & 0x0C | _COUNTING_KBIT << 4
    frame = _frame_at(bytes(head), 0)
    assert frame is not None, "only its bit rate is another"
    n_bytes = min(found.n_bytes + frame.n_bytes, 0xFFFFFFFF)
    content = b"Xing" + struct.pack(">III", 3, found.n_frames, n_bytes)
    return (bytes(head) + bytes(frame.side_bytes) + content).ljust(frame.n_bytes, b"\0")


def _behind_tag(start: bytes) -> int:
    if start[:3] != b"ID3" or len(start) < 10:
        return 0
    size = 0
    for byte in start[6:10]:
        size = size << 7 | byte & 0x7F
    return 10 + size + (10 if start[5] & 0x10 else 0)


def _frame_at(data: bytes, at: int) -> _Frame | None:
    """Read the frame header at a place; None where there is none."""
    head = data[at : at + 4]
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    version, layer = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3)
    kbit_at, rate_at, padding = head[2] >> 4, head[2] >> 2 & 3, head[2] >> 1 & 1
    if version == 1 or layer == 4 or kbit_at in (0, 15) or rate_at == 3:
        return None
    kind = 1 if version == 3 else 2
    kbit = _KBIT[kind, layer][kbit_at - 1]
    sr = _RATES_HZ[rate_at] >> (0 if version == 3 else 1 if version == 2 else 2)
    n_samples = 384 if layer == 1 else 576 if kind == 2 and layer == 3 else 1152
    if layer == 1:
        n_bytes = (12_000 * kbit // sr + padding) * 4
    else:
        n_bytes = n_samples // 8 * 1000 * kbit // sr + padding
    mono = head[3] >> 6 == 3
    side = {(1, True): 17, (1, False): 32, (2, True): 9, (2, False): 17}[kind, mono]
    return _Frame(n_bytes=n_bytes, n_samples=n_samples, sr=sr, side_bytes=side)
