"""What is seen of speech around one band of one frame, relative to the noise to be expected there.

References
----------
.. [1] Y. Ephraim and D. Malah (1984), "Speech enhancement using a minimum mean-square error
   short-time spectral amplitude estimator", IEEE Trans. ASSP 32(6), eq. 51: the decision-directed
   ratio of speech to noise; used here as evidence, along time and against it.
.. [2] R. Martin (2001), "Noise power spectral density estimation based on optimal smoothing and
   minimum statistics", IEEE Trans. SAP 9(5): noise as the minimum of smoothed power. We look both
   ways in time, smooth by a constant, and leave the bias to whoever uses it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from audiosep.methods._examples_bands import N_POINTS, nearness

__all__ = ["Evidence", "decision_directed", "noise_floor"]

_Matrix = npt.NDArray[np.float32]

OFFSETS_S = (-0.128, -0.08, -0.048, -0.032, -0.016, 0.0, 0.016, 0.032, 0.048, 0.08, 0.128)
"""Where in time the neighbours are that are looked at."""

NEIGHBOURS = 3
"""Bands to either side of them."""

REGIONS = 12
"""Parts of the spectrum whose mean levels are told about the frame, and about those around it."""

_REGION_OFFSETS_S = (-0.064, 0.0, 0.064)
_SMOOTH_S = 0.08
_SEARCH_S = 0.78
_FLOOR = 1e-2
_MEMORY_S = 0.8
_LEAST_GAIN = 0.05


def noise_floor(power: _Matrix, frame_s: float) -> _Matrix:
    """Level that smoothed power does not fall below nearby: the noise, or somewhat less.

    Parameters
    ----------
    power : np.ndarray [shape=(n_frames, n_bands)]
        Of the mixture.
    frame_s : float
        Time between frames in seconds.

    Returns
    -------
    np.ndarray [shape=(n_frames, n_bands), dtype=float32]
    """
    from scipy.ndimage import minimum_filter1d, uniform_filter1d

    reach = max(1, round(_SEARCH_S / frame_s))
    smooth = uniform_filter1d(power, max(1, round(_SMOOTH_S / frame_s)), axis=0, mode="nearest")
    lowest = minimum_filter1d(smooth, 2 * reach + 1, axis=0, mode="nearest")
    # Running sums of a filter may leave less than nothing.
    smooth = uniform_filter1d(lowest, reach, axis=0, mode="nearest")
    return np.maximum(np.asarray(smooth, dtype=np.float32), 0)


def decision_directed(ratios: _Matrix, frame_s: float) -> _Matrix:
    """Power of speech relative to noise, from frames one after the other [1]_.

    Parameters
    ----------
    ratios : np.ndarray [shape=(n_frames, n_bands)]
        Power of the mixture relative to the noise.
    frame_s : float
        Time between frames in seconds.

    Returns
    -------
    np.ndarray [shape=(n_frames, n_bands), dtype=float32]
        Not negative.
    """
    keep = np.float32(np.exp(-frame_s / _MEMORY_S))
    fresh = (1 - keep) * np.maximum(ratios - 1, 0)
    out = np.empty_like(ratios)
    before = np.zeros(ratios.shape[1], dtype=np.float32)
    for frame, (ratio, new) in enumerate(zip(ratios, fresh, strict=True)):
        row = keep * before + new
        gain = np.maximum(row / (1 + row), np.float32(_LEAST_GAIN))
        before = gain * gain * ratio
        out[frame] = row
    return out


@dataclass(frozen=True, kw_only=True, eq=False)
class Evidence:
    """Maps of a mixture relative to its noise, ready to be looked up.

    Parameters
    ----------
    levels : np.ndarray [shape=(n_frames + 2 reach, n_bands + 2 neighbours)]
        Logarithm of the power relative to the noise; edges repeated.
    regions : np.ndarray [shape=(n_frames + 2 reach, REGIONS)]
        Means of it over parts of the spectrum.
    points : np.ndarray [shape=(n_frames, n_bands, 3)]
        Logarithms of the floor, and of the decision-directed ratio along and against time.
    offsets, region_offsets : tuple of int
        In frames.
    """

    levels: _Matrix
    regions: _Matrix
    points: _Matrix
    offsets: tuple[int, ...]
    region_offsets: tuple[int, ...]

    @classmethod
    def of(cls, power: _Matrix, noise: _Matrix, frame_s: float) -> Evidence:
        """Look at a mixture.

        Parameters
        ----------
        power : np.ndarray [shape=(n_frames, n_bands)]
            Of the mixture.
        noise : np.ndarray [shape=(n_frames or 1, n_bands)]
            Power of noise to be expected, positive.
        frame_s : float
            Time between frames in seconds.

        Returns
        -------
        Evidence
        """
        ratios = np.asarray(power / noise, dtype=np.float32)
        levels = _log(ratios)
        offsets = tuple(round(s / frame_s) for s in OFFSETS_S)
        region_offsets = tuple(round(s / frame_s) for s in _REGION_OFFSETS_S)
        reach = max(map(abs, (*offsets, *region_offsets)))
        points = np.empty((*ratios.shape, 3), dtype=np.float32)
        points[..., 0] = _log(noise_floor(ratios, frame_s))
        points[..., 1] = _log(decision_directed(ratios, frame_s))
        points[..., 2] = _log(decision_directed(ratios[::-1], frame_s)[::-1])
        edges = np.linspace(0, levels.shape[1], REGIONS + 1).astype(int)
        regions = np.stack(
            [
                levels[:, first : max(last, first + 1)].mean(axis=1)
                for first, last in pairwise(edges.tolist())
            ],
            axis=1,
        )
        return cls(
            levels=np.pad(levels, ((reach, reach), (NEIGHBOURS, NEIGHBOURS)), mode="edge"),
            regions=np.pad(regions, ((reach, reach), (0, 0)), mode="edge"),
            points=points,
            offsets=offsets,
            region_offsets=region_offsets,
        )

    @property
    def n_bands(self) -> int:
        """Bands of the mixture."""
        return int(self.points.shape[1])

    @property
    def n_frames(self) -> int:
        """Frames of the mixture."""
        return int(self.points.shape[0])

    def at(self, frames: npt.NDArray[np.intp], bands: npt.NDArray[np.intp]) -> _Matrix:
        """What is seen from some places.

        Parameters
        ----------
        frames, bands : np.ndarray of int [shape=(n,)]
            The places.

        Returns
        -------
        np.ndarray [shape=(n, n_inputs), dtype=float32]
        """
        reach = (len(self.regions) - self.n_frames) // 2
        across = range(2 * NEIGHBOURS + 1)
        out = np.empty((len(frames), self.n_inputs), dtype=np.float32)
        column = 0
        for offset in self.offsets:
            rows = frames + (reach + offset)
            for step in across:
                out[:, column] = self.levels[rows, bands + step]
                column += 1
        wide = [self.regions[frames + (reach + offset)] for offset in self.region_offsets]
        for block in (self.points[frames, bands], *wide, nearness(self.n_bands)[bands]):
            out[:, column : column + block.shape[1]] = block
            column += block.shape[1]
        return out

    @property
    def n_inputs(self) -> int:
        """How much is seen from one place."""
        near = len(self.offsets) * (2 * NEIGHBOURS + 1)
        return int(near + self.points.shape[2] + len(self.region_offsets) * REGIONS + N_POINTS)


def _log(values: _Matrix) -> _Matrix:
    out = values + np.float32(_FLOOR)
    return np.asarray(np.log(out, out=out))
