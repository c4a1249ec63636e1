"""Where between more than two channels something sounds: directions that many bins point to.

As for two channels, bins are asked whose neighbourhood points in one direction. Directions of
more than two channels have no histogram: each is counted by how many others are near to it.

References
----------
.. [1] S. Arberet, R. Gribonval and F. Bimbot (2010), "A robust method to count and locate audio
   sources in a multichannel underdetermined mixture", IEEE Trans. Signal Processing 58(1): a
   direction is taken, what is near to it is put aside, and so on.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Directions"]

_Array = npt.NDArray[np.float64]

_PURITY = 0.02
_WIDTH_RAD = 0.04
_APART_RAD = 0.2
"""Nearer directions than this are one place."""
_LOWEST_PEAK = 0.06
_SILENT = 1e-8
_TINY = 1e-20
_MOST_POINTS = 3000


class Directions:
    """Directions of bins in which a single source sounds, from blocks of frames."""

    def __init__(self, n_blocks: int) -> None:
        self._each = max(100, _MOST_POINTS // n_blocks)
        self._points: list[_Array] = []
        self._weights: list[float] = []

    def add(self, frames: npt.NDArray[np.complexfloating[Any, Any]]) -> None:
        """Take the directions of some bins, chosen evenly by their level.

        Parameters
        ----------
        frames : np.ndarray [shape=(n_channels, n_frames, n_bins)]
            At a level near one.
        """
        from scipy.ndimage import uniform_filter

        channels = range(len(frames))
        planes = {
            (i, j): uniform_filter(
                frames[i].real * frames[j].real + frames[i].imag * frames[j].imag,
                3,
                mode="constant",
            )
            for i in channels
            for j in range(i + 1)
        }
        trace = sum(planes[i, i] for i in channels)
        squares = sum(
            (1 if i == j else 2) * plane.astype(np.float64) ** 2 for (i, j), plane in planes.items()
        )
        # Of rank one the norm is the trace; a second eigenvalue takes twice its share from it.
        impure = 1.0 - squares / np.maximum(trace.astype(np.float64) ** 2, _TINY)
        pure = np.flatnonzero((impure < 2 * _PURITY) & (trace > _SILENT * trace.max()))
        if pure.size == 0:
            return
        level = np.cumsum(np.sqrt(trace.ravel()[pure].astype(np.float64)))
        wanted = (np.arange(self._each) + 0.5) / self._each * level[-1]
        taken = pure[np.searchsorted(level, wanted)]
        matrices = np.stack(
            [
                np.stack([planes[max(i, j), min(i, j)].ravel()[taken] for j in channels], axis=1)
                for i in channels
            ],
            axis=1,
        )
        strongest = np.einsum("ncc->nc", matrices).argmax(axis=1)
        points = matrices[np.arange(taken.size), strongest].astype(np.float64)
        self._points.append(points / np.linalg.norm(points, axis=1, keepdims=True))
        self._weights.append(float(level[-1]))

    def peaks(self) -> _Array:
        """Gain vectors of places, the one that most bins point to first.

        Returns
        -------
        np.ndarray [shape=(n_places, n_channels)]
            Of length one, with a largest entry that is positive.
        """
        if not self._points:
            return np.zeros((0, 0))
        points = np.concatenate(self._points)
        weights = np.repeat(self._weights, [len(part) for part in self._points])
        cosines = np.abs(points @ points.T)
        near = np.exp((np.square(cosines) - 1.0) / (2.0 * _WIDTH_RAD**2))
        votes = near @ weights
        found: list[int] = []
        for index in np.argsort(-votes, kind="stable"):
            if votes[index] < _LOWEST_PEAK * votes.max():
                break
            if all(cosines[index, other] < np.cos(_APART_RAD) for other in found):
                found.append(int(index))
        return np.stack([_mean(points, weights * near[index], points[index]) for index in found])


def _mean(points: _Array, weights: _Array, about: _Array) -> _Array:
    """Weighted mean of directions, which have no sign."""
    signs = np.where(points @ about < 0, -1.0, 1.0)
    total = (weights * signs) @ points
    total = total / np.linalg.norm(total)
    unit: _Array = total * np.sign(total[np.argmax(np.abs(total))])
    return unit
