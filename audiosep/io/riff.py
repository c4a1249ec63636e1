"""How much audio a WAV, AIFF, W64, CAF or AU header promises, and how much the file holds.

libsndfile corrects the count of a cut file without a word, and takes a length of zero, as recorders
leave it that were stopped hard, at its word; whoever feeds an archive wants to know.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

__all__ = ["AudioBytes", "audio_bytes", "missing_bytes"]

_UNKNOWN_SIZE = 0xFFFFFFFF  # written by programs that stream to a pipe
_UNKNOWN_SIZES = (_UNKNOWN_SIZE, 0x7FFFF000)  # the second one by SoX
_UNKNOWN_WIDE_SIZE = (1 << 64) - 1
_MAX_CHUNKS = 1000
_W64_RIFF = bytes.fromhex("726966662e91cf11a5d628db04c10000")
_W64_DATA = bytes.fromhex("64617461f3acd3118cd100c04f8edb8a")

_Order = Literal["little", "big"]


@dataclass(frozen=True, kw_only=True)
class AudioBytes:
    """The audio in a file, in bytes.

    Parameters
    ----------
    first : int
        Where it begins.
    promised : int or None
        How much there is by the header; None where the header leaves it open.
    held : int
        How much the file holds, at most as much as is promised.
    size_at, size_bytes, order
        Where the header tells it, and in which order of bytes.
    overhead : int
        What the header's number counts besides.
    """

    first: int
    promised: int | None
    held: int
    size_at: int
    size_bytes: int
    order: _Order
    overhead: int = 0

    @property
    def missing(self) -> int:
        """Bytes that are promised beyond the end of the file."""
        return 0 if self.promised is None else max(0, self.promised - self.held)

    def size_field(self, n: int) -> bytes:
        """What the header would say of `n` bytes."""
        most = (1 << 8 * self.size_bytes) - 1
        return min(n + self.overhead, most).to_bytes(self.size_bytes, self.order)


def missing_bytes(path: Path) -> int:
    """Bytes of audio that a header promises beyond the end of the file.

    Parameters
    ----------
    path : Path
        Any file.

    Returns
    -------
    int
        0 for whole files, for files of unknown declared length and for other formats.
    """
    found = audio_bytes(path)
    return 0 if found is None else found.missing


def audio_bytes(path: Path) -> AudioBytes | None:
    """Find the audio in a file of chunks.

    Parameters
    ----------
    path : Path
        Any file.

    Returns
    -------
    AudioBytes or None
        None for other formats, and where a header ends before the audio begins.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(16)
        if start[:4] in (b"RIFF", b"RF64") and start[8:12] == b"WAVE":
            return _in_riff(file, size, "little", b"data")
        if start[:4] == b"FORM" and start[8:12] in (b"AIFF", b"AIFC"):
            return _in_riff(file, size, "big", b"SSND")
        if start == _W64_RIFF:
            return _in_w64(file, size)
        if start[:4] == b"caff":
            return _in_caf(file, size)
        if start[:4] == b".snd":
            return _in_au(start, size)
    return None


def _in_riff(file: BinaryIO, size: int, order: _Order, samples: bytes) -> AudioBytes | None:
    file.seek(12)
    wide: int | None = None
    wide_at = 0
    for _ in range(_MAX_CHUNKS):
        header = file.read(8)
        if len(header) < 8:
            return None
        name = header[:4]
        length = int.from_bytes(header[4:], order)
        if name == b"ds64":
            wide_at = file.tell() + 8
            wide = int.from_bytes(file.read(16)[8:], "little")
            file.seek(max(0, length - 16), 1)
        elif name == samples:
            first = file.tell()
            at, n_bytes, promised = first - 4, 4, None if length in _UNKNOWN_SIZES else length
            if length == _UNKNOWN_SIZE and wide is not None:
                at, n_bytes, promised = wide_at, 8, wide
            if promised == 0 and _chunks_follow(file, size, order):
                return None  # it is empty, and says so
            # AIFF counts eight bytes before the samples; they are left in, as in the file.
            return _found(size, first, promised, at, n_bytes, order)
        else:
            file.seek(length + length % 2, 1)
    return None


def _chunks_follow(file: BinaryIO, size: int, order: _Order) -> bool:
    """Whether all that follows is a row of chunks that ends with the file."""
    at = file.tell()
    for _ in range(_MAX_CHUNKS):
        file.seek(at)
        header = file.read(8)
        if len(header) < 8 or not header[:4].isascii():
            return False
        length = int.from_bytes(header[4:], order)
        at += 8 + length + length % 2
        if at >= size:
            return at - size <= 1
    return False


def _in_w64(file: BinaryIO, size: int) -> AudioBytes | None:
    file.seek(40)
    for _ in range(_MAX_CHUNKS):
        header = file.read(24)
        if len(header) < 24:
            return None
        length = int.from_bytes(header[16:], "little")
        first = file.tell()
        if header[:16] == _W64_DATA:
            promised = None if length == _UNKNOWN_WIDE_SIZE else max(0, length - 24)
            return _found(size, first, promised, first - 8, 8, "little", overhead=24)
        step = max(0, length - 24 + -length % 8)
        if first + step > size:
            return None
        file.seek(step, 1)
    return None


def _in_caf(file: BinaryIO, size: int) -> AudioBytes | None:
    file.seek(8)
    for _ in range(_MAX_CHUNKS):
        header = file.read(12)
        if len(header) < 12:
            return None
        length = int.from_bytes(header[4:], "big", signed=True)
        first = file.tell()
        if header[:4] == b"data":
            return _found(size, first, None if length < 0 else length, first - 8, 8, "big")
        if length < 0 or first + length > size:
            return None
        file.seek(length, 1)
    return None


def _in_au(start: bytes, size: int) -> AudioBytes | None:
    if len(start) < 16:
        return None
    first = int.from_bytes(start[4:8], "big")
    length = int.from_bytes(start[8:12], "big")
    if first > size:
        return None
    return _found(size, first, None if length == _UNKNOWN_SIZE else length, 8, 4, "big")


def _found(
    size: int,
    first: int,
    promised: int | None,
    at: int,
    n_bytes: int,
    order: _Order,
    overhead: int = 0,
) -> AudioBytes:
    there = max(0, size - first)
    held = there if not promised else min(there, promised)
    return AudioBytes(
        first=first,
        promised=promised,
        held=held,
        size_at=at,
        size_bytes=n_bytes,
        order=order,
        overhead=overhead,
    )
