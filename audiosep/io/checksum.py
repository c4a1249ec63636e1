"""Whether the samples of a FLAC are those that its checksum was made of.

References
----------
RFC 9639, Free Lossless Audio Codec, section 8.2.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from audiosep.io.flac_frames import stream_info
from audiosep.io.header import AudioInfo

__all__ = ["Checksum"]

_DEPTHS = {"PCM_S8": 8, "PCM_16": 16, "PCM_24": 24}


class Checksum:
    """The checksum of all samples of a file that brings one to compare it with.

    Parameters
    ----------
    n_bytes : int
        Of a sample.
    wanted : bytes
        What the checksum should be.
    """

    def __init__(self, n_bytes: int, wanted: bytes) -> None:
        self._n_bytes, self._wanted = n_bytes, wanted
        self._sum = hashlib.md5(usedforsecurity=False)

    @classmethod
    def of(cls, path: Path, about: AudioInfo) -> Checksum | None:
        """Begin the checksum of a FLAC; None for all else, and where it has none."""
        header = stream_info(path) if about.format == "FLAC" else None
        if header is None or not any(header.md5) or _DEPTHS.get(about.subtype) != header.depth:
            return None
        return cls(header.depth // 8, header.md5)

    def take(self, block: npt.NDArray[np.float32]) -> None:
        """Add samples, as the integers that they were."""
        # float32 holds each of up to 24 bits exactly, times any power of 2.
        whole = np.ldexp(block, 8 * self._n_bytes - 1).astype("<i4")
        raw = whole.reshape(-1, 1).view(np.uint8)[:, : self._n_bytes]
        self._sum.update(raw.tobytes())

    def fits(self) -> bool:
        """Whether the samples are those that were encoded."""
        return self._sum.digest() == self._wanted
