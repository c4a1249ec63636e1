"""Bands of bins, and what a network is told about a frame and its neighbours."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

__all__ = [
    "N_POINTS",
    "REACH",
    "Describer",
    "bands_of",
    "log_ratios",
    "means_on_bands",
    "nearness",
    "pieces_of",
]

_Matrix = npt.NDArray[np.float32]

FINE_PER_OCTAVE = 24
COARSE_PER_OCTAVE = 8
_COARSE_BINS = 2

OFFSETS = (-6, -4, -3, -2, -1, 1, 2, 3, 4, 6)
SHARE_OFFSETS = (-2, -1, 1, 2)
REACH = max(map(abs, (*OFFSETS, *SHARE_OFFSETS)))
"""Frames before and after that a description looks at."""

N_POINTS = 8
"""Of the spectrum, that tell a network where a band is."""

_FLOOR = 1e-3
_LEAST_SHARE = 1e-4
_TINY = 1e-12
_BLOCK = 512


def bands_of(n_bins: int, per_octave: float, fewest_bins: int = 1) -> npt.NDArray[np.intp]:
    """Edges of bands that are as wide as a share of an octave, and at least some bins.

    Parameters
    ----------
    n_bins : int > 0
        Bins from 0 Hz to half of the sample rate.
    per_octave : float > 0
        Bands of each octave where bins are narrow enough.
    fewest_bins : int > 0
        Of a band.

    Returns
    -------
    np.ndarray of int [shape=(n_bands + 1,)]
        First bin of each band, and `n_bins`.
    """
    edges = [0]
    while edges[-1] < n_bins:
        width = max(fewest_bins, round(edges[-1] * (2 ** (1 / per_octave) - 1)))
        edges.append(min(n_bins, edges[-1] + width))
    return np.array(edges)


@dataclass(frozen=True, kw_only=True, eq=False)
class Describer:
    """What a network is told about each frame: its spectrum, the shares so far, its neighbours.

    Parameters
    ----------
    fine, coarse : np.ndarray of int
        Edges of bands: those of the frame itself, and those of its neighbours.
    """

    fine: npt.NDArray[np.intp]
    coarse: npt.NDArray[np.intp]

    @classmethod
    def of(cls, n_bins: int) -> Describer:
        """One for spectra of so many bins."""
        return cls(
            fine=bands_of(n_bins, FINE_PER_OCTAVE),
            coarse=bands_of(n_bins, COARSE_PER_OCTAVE, _COARSE_BINS),
        )

    @property
    def n_bands(self) -> int:
        """Fine bands."""
        return len(self.fine) - 1

    def describe(
        self, V: _Matrix, shares: _Matrix, level: float, pieces: Sequence[slice]
    ) -> _Matrix:
        """Describe frames.

        Parameters
        ----------
        V : np.ndarray [shape=(n_frames, n_bins)]
            Magnitudes.
        shares : np.ndarray [shape=(n_sources, n_frames, n_bins)]
            What is believed of the sources so far.
        level : float > 0
            Root mean square of the recording.
        pieces : sequence of slice
            Which frames follow each other; others are no neighbours.

        Returns
        -------
        np.ndarray [shape=(n_frames, n_inputs), dtype=float32]
        """
        starts = range(0, len(V), _BLOCK)
        found = [
            self._in_bands(V[first : first + _BLOCK], shares[:, first : first + _BLOCK], level)
            for first in starts
        ]
        fine, spectrum, beliefs = (np.concatenate(x) for x in zip(*found, strict=True))
        columns = [fine]
        columns += [_shifted(spectrum, offset, pieces) for offset in OFFSETS]
        columns += [_shifted(beliefs, offset, pieces) for offset in SHARE_OFFSETS]
        return np.concatenate(columns, axis=1)

    def _in_bands(
        self, V: _Matrix, shares: _Matrix, level: float
    ) -> tuple[_Matrix, _Matrix, _Matrix]:
        """Of each frame itself: spectrum and shares in fine bands; each of them in coarse ones."""
        floor = np.float32(_TINY * level**2)
        power = np.square(V) + floor
        parts = [share * power for share in shares]
        fine = [_loudness(means_on_bands(V, self.fine), level), *_ratios(parts, power, self.fine)]
        spectrum = _loudness(np.sqrt(means_on_bands(np.square(V), self.coarse)), level)
        beliefs = np.concatenate(_ratios(parts, power, self.coarse), axis=1)
        return np.concatenate(fine, axis=1), spectrum, beliefs

    def on_bins(self, values: _Matrix) -> _Matrix:
        """Spread what is known of fine bands (last axis) over their bins."""
        return np.repeat(values, np.diff(self.fine), axis=-1)

    def on_bands(self, values: _Matrix) -> _Matrix:
        """Sum what is known of bins (last axis) within each fine band."""
        return np.asarray(np.add.reduceat(values, self.fine[:-1], axis=-1))


def means_on_bands(values: _Matrix, edges: npt.NDArray[np.intp]) -> _Matrix:
    """Means of what is known of bins (last axis) within each band."""
    summed = np.add.reduceat(values, edges[:-1], axis=-1)
    summed /= np.diff(edges).astype(np.float32)
    return np.asarray(summed)


def nearness(n_bands: int) -> _Matrix:
    """How near each band is to some points of the spectrum: (n_bands, N_POINTS)."""
    points = np.linspace(0, n_bands - 1, N_POINTS)
    away = (np.arange(n_bands)[:, np.newaxis] - points) / (n_bands / N_POINTS)
    return np.exp(-0.5 * np.square(away)).astype(np.float32)


def _loudness(values: _Matrix, level: float) -> _Matrix:
    return np.asarray(np.log(values / np.float32(level) + np.float32(_FLOOR)))


def log_ratios(shares: Iterable[_Matrix], least: float) -> list[_Matrix]:
    """Logarithm of the share of each source, held at a least; of two, that of one to the other."""
    logs = [np.log(np.clip(share, least, 1.0)) for share in shares]
    return [logs[0] - logs[1]] if len(logs) == 2 else logs


def _ratios(parts: list[_Matrix], power: _Matrix, edges: npt.NDArray[np.intp]) -> list[_Matrix]:
    total = means_on_bands(power, edges)
    return log_ratios((means_on_bands(part, edges) / total for part in parts), _LEAST_SHARE)


def _shifted(values: _Matrix, offset: int, pieces: Sequence[slice]) -> _Matrix:
    """Rows `offset` later; at the ends of a piece, its last."""
    at = np.concatenate(
        [np.clip(np.arange(p.start, p.stop) + offset, p.start, p.stop - 1) for p in pieces]
    )
    return np.asarray(values[at])


def pieces_of(n_frames: int, length: int) -> list[slice]:
    """Ranges of frames that follow each other."""
    edges = [*range(0, n_frames, length), n_frames]
    return [slice(first, last) for first, last in pairwise(edges)]
