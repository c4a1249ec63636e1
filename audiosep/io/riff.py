"""How much audio a WAV or AIFF header promises, and how much the file holds.

libsndfile corrects the count of a cut file without a word; whoever feeds an archive wants to know.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

__all__ = ["missing_bytes"]

_UNKNOWN_SIZE = 0xFFFFFFFF  # written by programs that stream to a pipe
_MAX_CHUNKS = 1000


def missing_bytes(path: Path) -> int:
    """Bytes of audio that a RIFF, RF64 or AIFF header promises beyond the end of the file.

    Parameters
    ----------
    path : Path
        Any file.

    Returns
    -------
    int
        0 for whole files, for files of unknown declared length and for other formats.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(12)
        order: Literal["little", "big"]
        if start[:4] in (b"RIFF", b"RF64") and start[8:] == b"WAVE":
            order, samples = "little", b"data"
        elif start[:4] == b"FORM" and start[8:] in (b"AIFF", b"AIFC"):
            order, samples = "big", b"SSND"
        else:
            return 0
        wide: int | None = None
        for _ in range(_MAX_CHUNKS):
            header = file.read(8)
            if len(header) < 8:
                return 0
            name = header[:4]
            length = int.from_bytes(header[4:], order)
            if name == b"ds64":
                wide = int.from_bytes(file.read(16)[8:], "little")
                file.seek(max(0, length - 16), 1)
            elif name == samples:
                if length == _UNKNOWN_SIZE:
                    if wide is None:
                        return 0
                    length = wide
                return max(0, file.tell() + length - size)
            else:
                file.seek(length + length % 2, 1)
    return 0
