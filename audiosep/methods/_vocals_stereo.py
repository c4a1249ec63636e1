"""Where between the channels a voice is, learnt from a first guess at its share.

A voice may be in the middle, at a side, or wide; its accompaniment is usually elsewhere at least in
part. Both are learnt as histograms of how alike the channels are in a bin, and which is louder.

References
----------
.. [1] O. Yılmaz and S. Rickard (2004), "Blind separation of speech mixtures via time-frequency
   masking", IEEE Trans. Signal Processing 52(7): histograms of the relation of two channels.
   Ours weigh each bin by the first guess instead of looking for peaks.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["place_odds", "seen_places"]

_Matrix = npt.NDArray[np.float32]

_EDGES_HZ = (1000.0, 3500.0)
"""Low, middle and high frequencies may be spread differently between the channels."""

_CELLS = 11
"""Odd, so that what is in the middle is not on the edge of a cell."""
_CAUTION = 0.02
"""Share of what is known of both that each histogram is mixed with."""

_FRAMES = 512


def place_odds(
    channels: npt.NDArray[np.complexfloating[Any, Any]],
    peak: float,
    share: _Matrix,
    bin_hz: float,
    before: npt.NDArray[np.float64] | None = None,
) -> _Matrix:
    """Return how much the relation of two channels speaks for the voice, in each bin.

    Parameters
    ----------
    channels : np.ndarray [shape=(2, n_bins, n_frames)]
        Two channels of a mixture.
    peak : float > 0
        Their largest real or imaginary part.
    share : np.ndarray [shape=(n_bins, n_frames)]
        A first guess at the share of the voice, in [0, 1].
    bin_hz : float > 0
        Distance between bins in Hz.
    before : np.ndarray [shape=(2, n_cells)], optional
        Counts from elsewhere, see :func:`seen_places`, times the peak there.

    Returns
    -------
    np.ndarray [shape=(n_bins, n_frames), dtype=float32]
        Logarithm of how much likelier the relation is in the voice than in the accompaniment;
        zero throughout where all bins have the same relation, as in a mono recording.
    """
    cells, counts = seen_places(channels, peak, share, bin_hz)
    if before is not None:
        counts += before / peak
    return _odds(counts)[cells].T


def seen_places(
    channels: npt.NDArray[np.complexfloating[Any, Any]],
    peak: float,
    share: _Matrix,
    bin_hz: float,
) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.float64]]:
    """Count how often the channels have each relation, in the voice and in its accompaniment.

    Parameters
    ----------
    channels, peak, share, bin_hz
        As for :func:`place_odds`.

    Returns
    -------
    cells : np.ndarray [shape=(n_frames, n_bins), dtype=uint16]
        Which relation each bin has.
    counts : np.ndarray [shape=(2, n_cells)]
        Sums of the levels relative to the peak, of the voice and of the accompaniment.
    """
    n_bins, n_frames = share.shape
    bands = np.searchsorted(_EDGES_HZ, np.arange(n_bins) * bin_hz)
    cells = np.empty((n_frames, n_bins), dtype=np.uint16)
    counts = np.zeros((2, (len(_EDGES_HZ) + 1) * _CELLS**2))
    for first in range(0, n_frames, _FRAMES):
        here = slice(first, first + _FRAMES)
        relation, level = _relations(channels[:, :, here].swapaxes(1, 2) / np.float32(peak))
        cells[here] = bands * _CELLS**2 + relation
        voice = level * share.T[here]
        for row, part in zip(counts, (voice, level - voice), strict=True):
            row += np.bincount(cells[here].ravel(), part.ravel(), len(row))
    return cells, counts


def _relations(
    channels: npt.NDArray[np.complexfloating[Any, Any]],
) -> tuple[npt.NDArray[np.int32], _Matrix]:
    """Cell of each bin, by likeness and balance of the channels, and its level."""
    left, right = channels
    left_power, right_power = (part.real**2 + part.imag**2 for part in channels)
    power = left_power + right_power
    safe = np.where(power > 0, power, 1)
    alike = 2.0 * (left.real * right.real + left.imag * right.imag) / safe
    balance = (right_power - left_power) / safe
    places = [
        np.clip((0.5 * (value + 1.0) * _CELLS).astype(np.int32), 0, _CELLS - 1)
        for value in (alike, balance)
    ]
    return places[0] * _CELLS + places[1], np.sqrt(power)


def _odds(counts: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Logarithm of the ratio of two histograms in each band, cautious where little was seen."""
    bands = counts.reshape(2, -1, _CELLS**2)
    totals = bands.sum(axis=2, keepdims=True)
    densities = bands / np.where(totals > 0, totals, 1.0)
    common = _CAUTION * densities.mean(axis=0)
    ratio = np.ones(bands.shape[1:])
    known = (common > 0) & (totals > 0).all(axis=0)
    voice, rest = densities + common
    np.divide(voice, rest, out=ratio, where=known)
    return np.log(ratio).ravel().astype(np.float32)
