"""Recordings of any length, read part by part."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from audiosep.errors import DamagedAudioError, InputError
from audiosep.io.decoders import Decoder, Salvager, open_decoder
from audiosep.io.header import AudioInfo, DecodingError, info
from audiosep.io.passes import finite
from audiosep.io.read_options import AS_IT_IS, ReadOptions
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
    options : ReadOptions
        How it is read.
    gaps : tuple of (int, int)
        What of the file cannot be decoded and is silent, where it was salvaged.
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
        options: ReadOptions = AS_IT_IS,
        gaps: tuple[tuple[int, int], ...] = (),
    ) -> None:
        self.sr, self.n_channels = info.sr, info.n_channels
        self.n_samples, self.peak = n_samples, peak
        self._path, self._first = path, first
        self._options, self._gaps = options, gaps
        self._enters = True  # a header without a length may make that impossible
        self._kept_samples = round(kept_s * info.sr)
        self._kept = np.zeros((info.n_channels, 0), dtype=np.float32)
        self._at = 0  # the next sample that the file gives, of the recording
        self._file: Decoder | None = None

    @classmethod
    def of(cls, path: Path, scan: Scan) -> FileTape:
        """The recording that was scanned."""
        return cls(
            path,
            scan.info,
            first=scan.first,
            n_samples=scan.n_samples,
            peak=scan.peak,
            options=scan.options,
            gaps=scan.gaps,
        )

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
        if self._file is None or sample < self._at:
            self.close()
            try:
                self._file = self._opened()
            except InputError as error:
                raise type(error)(f"{self._path} {error}") from None
            self._at = -self._first
        gap = sample - self._at
        if gap and self._enters and self._file.exact:
            try:
                self._file.seek(self._first + sample)
                self._at, gap = sample, 0
            except DecodingError:  # a header without a length: decode up to there
                self._enters = False
                self.close()
                self._go_to(sample)
                return
        while gap > 0:
            n = min(gap, _BLOCK_SAMPLES)
            self._take(n)
            gap -= n

    def _opened(self) -> Decoder:
        if not self._gaps:
            return open_decoder(self._path, self._options.stream)
        return Salvager(lambda: open_decoder(self._path, self._options.stream), self._gaps)

    def _read_into(self, out: npt.NDArray[np.float32]) -> None:
        for first in range(0, out.shape[1], _BLOCK_SAMPLES):
            n = min(_BLOCK_SAMPLES, out.shape[1] - first)
            out[:, first : first + n] = self._take(n).T

    def _take(self, n: int) -> npt.NDArray[np.float32]:
        assert self._file is not None, "a place is gone to before anything is read"
        try:
            block = self._file.read(n)
        except DecodingError as error:
            raise DamagedAudioError(
                f"{self._path} cannot be read any more at {self._at / self.sr:.2f} s ({error}); "
                "is its disk still there?"
            ) from None
        if len(block) != n:
            raise InputError(
                f"{self._path} changed while it was read; try again when nothing writes to it."
            )
        self._at += n
        return block if self._options.fix_nonfinite is None else finite(block)
