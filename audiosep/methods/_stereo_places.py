"""Where between two channels something sounds: directions that many bins point to.

Where a single source sounds in a few neighbouring bins, their covariance points in its direction
and nowhere else. Only such bins are asked, and they vote by bands, so that one long note of two
sources is not taken for a place.

References
----------
.. [1] S. Arberet, R. Gribonval and F. Bimbot (2010), "A robust method to count and locate audio
   sources in a multichannel underdetermined mixture", IEEE Trans. Signal Processing 58(1): bins
   are trusted by how far the covariance of their neighbourhood points in one direction. We count
   peaks of a histogram instead of clusters one after another.
.. [2] Ö. Yılmaz and S. Rickard (2004), "Blind separation of speech mixtures via time-frequency
   masking", IEEE Trans. Signal Processing 52(7): the histogram.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["AngleHistogram"]

_Array = npt.NDArray[np.float64]

N_CELLS = 720
"""Of the half circle of angles: a quarter of a degree each."""

_PURITIES = (0.005, 0.02, 0.08, 0.3)
"""Bins are trusted whose second eigenvalue is below this part of the first: the first of these that
keeps enough of the level."""
_TRUSTED = 0.05

_WIDE = 3e-3
"""Where this is the impurity that a fifth of the level is below, the recording has width."""
_SMOOTH_DEG = (0.75, 1.0)
"""Standard deviation of the smoothing, without and with width."""
_VALLEYS = (0.55, 0.8)
"""A peak counts if the lowest point on the way to any higher one is below this part of it."""

_IMPURITY_DECADES = 7
_IMPURITY_STEPS = 10

_BANDS_PER_OCTAVE = 6
_LOWEST_HZ = 50.0
_LOWEST_PEAK = 0.03
"""A peak counts from this part of the highest on."""

_TINY = 1e-20
_SILENT = 1e-8
"""Of the loudest neighbourhood: below this nothing is asked."""


class AngleHistogram:
    """Votes for directions, from blocks of frames.

    Parameters
    ----------
    n_bins : int
        Of the spectrogram.
    bin_hz : float
        Distance between bins in Hz.
    """

    def __init__(self, n_bins: int, bin_hz: float) -> None:
        steps = np.maximum(np.arange(n_bins) * bin_hz, _LOWEST_HZ) / _LOWEST_HZ
        self._bands = (np.log2(steps) * _BANDS_PER_OCTAVE).astype(np.intp)
        self._n_bands = int(self._bands[-1]) + 1
        self._votes = np.zeros((len(_PURITIES), self._n_bands * N_CELLS))
        self._impurities = np.zeros(_IMPURITY_DECADES * _IMPURITY_STEPS + 1)

    def add(self, left: npt.NDArray[Any], right: npt.NDArray[Any]) -> None:
        """Count frames.

        Parameters
        ----------
        left, right : np.ndarray [shape=(n_frames, n_bins)]
            Complex, at a level near one.
        """
        from scipy.ndimage import uniform_filter

        own, other, along, across = (
            uniform_filter(plane, 3, mode="constant")
            for plane in (
                left.real**2 + left.imag**2,
                right.real**2 + right.imag**2,
                left.real * right.real + left.imag * right.imag,
                left.imag * right.real - left.real * right.imag,
            )
        )
        # Of any phase: width is made by phases, and leaves the levels where they are.
        shared = np.copysign(np.hypot(along, across), along)
        half = np.maximum(0.5 * (own + other), 0.0)  # running sums may end below zero
        between = 0.5 * (own - other)
        reach = np.hypot(between, shared)
        angle = 0.5 * np.arctan2(shared, between)
        cell = ((angle / np.pi + 0.5) * N_CELLS).astype(np.intp) % N_CELLS
        cell += self._bands * N_CELLS
        level = np.sqrt(half)
        level[half < _SILENT * half.max()] = 0.0
        # Gains without phases have to do for the sources: what they leave out counts as impure.
        impurity = np.log10(np.maximum(_impurity(half, np.hypot(between, along)), _TINY))
        steps = (impurity + _IMPURITY_DECADES) * _IMPURITY_STEPS
        steps = np.clip(steps, 0, self._impurities.size - 1).astype(np.intp)
        self._impurities += np.bincount(steps.ravel(), level.ravel(), self._impurities.size)
        impurity = _impurity(half, reach)
        for votes, purity in zip(self._votes, _PURITIES, strict=True):
            pure = impurity <= purity
            votes += np.bincount(cell[pure], level[pure], votes.size)

    def impurity(self) -> float:
        """Second eigenvalue over the first that a fifth of the level is below; 0 is a clear place.

        Below 1e-3 where every source stands at one point; around 1e-2 with reverberation.
        """
        upto = np.cumsum(self._impurities)
        step = int(np.searchsorted(upto, 0.2 * upto[-1]))
        return float(10.0 ** (step / _IMPURITY_STEPS - _IMPURITY_DECADES))

    def peaks(self) -> tuple[_Array, _Array]:
        """Angles of places and their heights, the highest first.

        Returns
        -------
        angles : np.ndarray [shape=(n_places,)]
            In radians from -pi/2 to pi/2: 0 is the first channel alone, pi/2 and -pi/2 the second,
            pi/4 the middle, below 0 the channels are opposite in sign.
        heights : np.ndarray [shape=(n_places,)]
            Relative to the highest.
        """
        trusted = self._votes.sum(axis=1) >= _TRUSTED * self._impurities.sum()
        chosen = int(trusted.argmax()) if trusted.any() else -1
        by_band = self._votes[chosen].reshape(self._n_bands, N_CELLS)
        wide = self.impurity() >= _WIDE
        degrees, depth = _SMOOTH_DEG[wide], _VALLEYS[wide]
        votes = np.sqrt(_smooth(by_band, degrees)).sum(axis=0)
        top = float(votes.max())
        if top == 0.0:
            return np.zeros(0), np.zeros(0)
        found: list[int] = []
        for cell in np.argsort(-votes, kind="stable"):
            if votes[cell] < _LOWEST_PEAK * top:
                break
            if votes[cell] < max(votes[cell - 1], votes[(cell + 1) % N_CELLS]):
                continue
            if all(_valley(votes, int(cell), other, depth) for other in found):
                found.append(int(cell))
        width = max(1, round(1.5 * degrees / 180.0 * N_CELLS))
        angles = [_mean_angle(by_band.sum(axis=0), cell, width) for cell in found]
        return np.asarray(angles), votes[found] / top


def _impurity(half: npt.NDArray[Any], reach: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Second eigenvalue over the first, of half the trace and half the difference."""
    ratio: npt.NDArray[Any] = np.maximum(half - reach, 0.0) / np.maximum(half + reach, _TINY)
    return ratio


def _smooth(votes: _Array, degrees: float) -> _Array:
    from scipy.ndimage import gaussian_filter1d

    smooth: _Array = gaussian_filter1d(votes, degrees / 180.0 * N_CELLS, axis=1, mode="wrap")
    return np.maximum(smooth, 0.0)


def _valley(votes: _Array, cell: int, other: int, depth: float) -> bool:
    """Whether it goes well down on both ways round from one cell to another."""
    low, high = sorted((cell, other))
    ways = votes[low : high + 1], np.concatenate([votes[high:], votes[: low + 1]])
    return all(float(way.min()) < depth * votes[cell] for way in ways)


def _mean_angle(votes: _Array, cell: int, width: int) -> float:
    offsets = np.arange(-width, width + 1)
    weights = votes[(cell + offsets) % N_CELLS]
    mean = float(np.average(offsets, weights=weights)) if weights.sum() > 0 else 0.0
    angle = ((cell + 0.5 + mean) / N_CELLS - 0.5) * np.pi
    return float((angle + np.pi / 2) % np.pi - np.pi / 2)
