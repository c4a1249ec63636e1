"""Recordings of any length, read part by part."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from audiosep.errors import DamagedAudioError, InputError
from audiosep.io.header import SEEKABLE, AudioInfo, info, open_file
from audiosep.io.reading import Scan
from audiosep.types import Audio

__all__ = ["FileTape"]

_BLOCK_SAMPLES = 1 << 16


class FileTape:
    """A sound file that is read part by part, forwards as fast as it can be decoded.

    Parts may overlap by up to `kept_s`, and may begin anywhere; where a format cannot be entered
    in the middle, going back means to decode it again from its first sample.

    Parameters
    ----------
    path : Path
        The file.
    info : AudioInfo
        What its header says.
    first, n_samples : int
        What of it is the recording: from sample `first` on, so many.
    peak : float
        Largest absolute sample.
    kept_s : float >= 0
        Seconds that are kept of what was read last.
    """

    def __init__(
        self,
        path: Path,
        info: AudioInfo,
        *,
        first: int,
        n_samples: int,
        peak: float,
        kept_s: float = 12.0,
    ) -> None:
        self.sr, self.n_channels = info.sr, info.n_channels
        self.n_samples, self.peak = n_samples, peak
        self._path, self._first = path, first
        self._exact = info.format in SEEKABLE
        self._kept_samples = round(kept_s * info.sr)
        self._kept = np.zeros((info.n_channels, 0), dtype=np.float32)
        self._at = 0  # the next sample that the file gives, of the recording
        self._file: Any = None

    @classmethod
    def of(cls, path: Path, scan: Scan) -> FileTape:
        """The recording that was scanned."""
        return cls(path, scan.info, first=scan.first, n_samples=scan.n_samples, peak=scan.peak)

    @classmethod
    def of_stem(cls, path: Path, peak: float) -> FileTape:
        """A stem that was just written."""
        about = info(path)
        return cls(path, about, first=0, n_samples=about.n_samples, peak=peak, kept_s=0.0)

    def part(self, first: int, last: int) -> Audio:
        """Read samples from `first` up to, but without, `last`.

        Raises
        ------
        InputError
            If the file cannot be read any more, or is no longer what it was.
        """
        out = np.empty((self.n_channels, last - first), dtype=np.float32)
        done = first
        kept_from = self._at - self._kept.shape[1]
        if kept_from <= first < self._at:
            kept = self._kept[:, first - kept_from : last - kept_from]
            out[:, : kept.shape[1]] = kept
            done += kept.shape[1]
        if done < last:
            self._go_to(done)
            self._read_into(out[:, done - first :])
            kept = out[:, max(0, out.shape[1] - self._kept_samples) :]
            self._kept = kept.copy()
        return Audio(samples=out, sr=self.sr)

    def close(self) -> None:
        """Close the file; it is opened again when more is asked for."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _go_to(self, sample: int) -> None:
        import soundfile

        if self._file is None or sample < self._at:
            self.close()
            try:
                self._file = open_file(self._path)
            except InputError as error:
                raise type(error)(f"{self._path} {error}") from None
            self._at = -self._first
        gap = sample - self._at
        if gap and self._exact:
            try:
                self._file.seek(self._first + sample)
                self._at, gap = sample, 0
            except soundfile.LibsndfileError:  # a header without a length: decode up to there
                self._exact = False
                self.close()
                self._go_to(sample)
                return
        # soundfile seeks after every read of a seekable file, and that fails where the header has
        # a wrong length or none.
        self._file.seekable = lambda: False
        while gap > 0:
            n = min(gap, _BLOCK_SAMPLES)
            self._take(n)
            gap -= n

    def _read_into(self, out: npt.NDArray[np.float32]) -> None:
        for first in range(0, out.shape[1], _BLOCK_SAMPLES):
            n = min(_BLOCK_SAMPLES, out.shape[1] - first)
            out[:, first : first + n] = self._take(n).T

    def _take(self, n: int) -> npt.NDArray[np.float32]:
        import soundfile

        try:
            block: npt.NDArray[np.float32] = self._file.read(n, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise DamagedAudioError(
                f"{self._path} cannot be read any more at {self._at / self.sr:.2f} s ({error}); "
                "is its disk still there?"
            ) from None
        if len(block) != n:
            raise InputError(
                f"{self._path} changed while it was read; try again when nothing writes to it."
            )
        self._at += n
        return block
