"""A narrower spectrogram for deciding: bins at low, bands of equal ratio at high frequencies."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from audiosep.types import LazyModels

__all__ = ["Bands"]

_LINEAR_TO_HZ = 1500.0
"""Below it, every bin stays alone: partials of low notes must stay apart."""

_BANDS_PER_OCTAVE = 40


@dataclass(frozen=True, kw_only=True, eq=False)
class Bands:
    """Which bins of a spectrogram belong to which band.

    Parameters
    ----------
    starts : np.ndarray [shape=(n_bands,), dtype=int]
        First bin of each band; a band ends where the next one starts.
    n_bins : int > 0
        Bins of the spectrogram.
    bin_hz : float > 0
        Distance between bins in Hz.
    """

    starts: npt.NDArray[np.intp]
    n_bins: int
    bin_hz: float

    @classmethod
    def of(cls, n_bins: int, bin_hz: float) -> Bands:
        """Lay out the bands of a spectrogram.

        Parameters
        ----------
        n_bins : int > 0
            Bins of the spectrogram.
        bin_hz : float > 0
            Distance between bins in Hz.

        Returns
        -------
        Bands
            At 44.1 kHz and a window of 4096 samples 296 bands instead of 2049 bins.
        """
        ratio = 2.0 ** (1.0 / _BANDS_PER_OCTAVE) - 1.0
        starts = [0]
        while True:
            hz = starts[-1] * bin_hz
            width = max(1, round(hz * ratio / bin_hz)) if hz >= _LINEAR_TO_HZ else 1
            if starts[-1] + width >= n_bins:
                break
            starts.append(starts[-1] + width)
        return cls(starts=np.array(starts, dtype=np.intp), n_bins=n_bins, bin_hz=bin_hz)

    @property
    def widths(self) -> npt.NDArray[np.intp]:
        """Bins in each band."""
        return np.diff(self.starts, append=self.n_bins)

    @property
    def centres_hz(self) -> npt.NDArray[np.float64]:
        """Middle of each band in Hz."""
        return (self.starts + (self.widths - 1) / 2) * self.bin_hz

    def pool(self, V: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Add up the bins of each band.

        Parameters
        ----------
        V : np.ndarray [shape=(n_bins, n_frames)]
            Fastest where ``V.T`` is C-contiguous.

        Returns
        -------
        np.ndarray [shape=(n_bands, n_frames), dtype=float32]
            Its transpose is C-contiguous.
        """
        sums: npt.NDArray[np.float32] = np.add.reduceat(V.T, self.starts, axis=1, dtype=np.float32)
        return sums.T

    def expand_lazily(self, masks: npt.NDArray[np.float32]) -> LazyModels:
        """Give every bin the values of its band when they are asked for.

        Parameters
        ----------
        masks : np.ndarray [shape=(n_sources, n_bands, n_frames)]
            One map per source.

        Returns
        -------
        LazyModels
            Of shape (n_sources, 1, n_bins, n_frames).
        """
        n_sources, _, n_frames = masks.shape
        return LazyModels(
            shape=(n_sources, 1, self.n_bins, n_frames), frames=partial(self.frames, masks)
        )

    def frames(
        self, masks: npt.NDArray[np.float32], first: int, last: int
    ) -> npt.NDArray[np.float32]:
        """Give every bin of a few frames the values of its band.

        Parameters
        ----------
        masks : np.ndarray [shape=(n_sources, n_bands, n_frames)]
            One map per source.
        first, last : int
            From frame `first` up to, but without, frame `last`.

        Returns
        -------
        np.ndarray [shape=(n_sources, 1, last - first, n_bins), dtype=float32]
        """
        member = np.repeat(np.arange(len(self.starts)), self.widths)
        full = np.empty((len(masks), 1, last - first, self.n_bins), dtype=np.float32)
        for source, mask in enumerate(masks):
            # Written in place only with this mode: the others fill a copy first, 20 times slower.
            np.take(mask[:, first:last].T, member, axis=1, out=full[source, 0], mode="clip")
        return full
