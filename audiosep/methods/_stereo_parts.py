"""What of a recording is fitted at once: parts of half a minute, on a grid of some of its bins."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from audiosep.types import Spectrogram

__all__ = ["Grid", "Parts", "sample_of"]

_CHUNK_S = 30.0
"""Long recordings are modelled in parts of about this length."""

_FULL_HZ = 4000.0
_STEP = 8
"""Above 4 kHz only every eighth bin is modelled, and templates are interpolated: else the many
bins up there decide what components are for."""

_SAMPLE_RUNS = 10
"""Pieces that stand for a whole recording where sounds of one place are told apart."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Grid:
    """Which bins are modelled."""

    n_bins: int
    modelled: npt.NDArray[np.intp]

    @classmethod
    def of(cls, spectrogram: Spectrogram) -> Grid:
        n_bins = spectrogram.n_bins
        full = min(n_bins, max(2, round(_FULL_HZ / spectrogram.bin_hz)))
        modelled = np.concatenate([np.arange(full), np.arange(full, n_bins, _STEP), [n_bins - 1]])
        return cls(n_bins=n_bins, modelled=np.unique(modelled))

    def interpolated(self, templates: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Templates (n_components, some bins) on all bins."""
        bins = np.arange(self.n_bins)
        rows = [np.interp(bins, self.modelled, row) for row in templates]
        return np.stack(rows).astype(np.float32)


@dataclass(frozen=True, kw_only=True, eq=False)
class Parts:
    """A recording in parts of about half a minute."""

    spectrogram: Spectrogram
    edges: tuple[int, ...]
    peak: float

    @classmethod
    def of(cls, spectrogram: Spectrogram) -> Parts:
        n_frames = spectrogram.n_frames
        count = max(1, math.ceil(n_frames * spectrogram.frame_s / _CHUNK_S))
        edges = tuple(round(n_frames * index / count) for index in range(count + 1))
        peak = max(
            float(np.abs(channel[:, first:last]).max())
            for first, last in pairwise(edges)
            for channel in spectrogram.values
        )
        return cls(spectrogram=spectrogram, edges=edges, peak=peak)

    @property
    def count(self) -> int:
        return len(self.edges) - 1

    def frames(self, index: int) -> npt.NDArray[np.complexfloating]:
        """Frames of one part, at a level near one: (n_channels, n_frames, n_bins)."""
        here = self.spectrogram.values[:, :, self.edges[index] : self.edges[index + 1]]
        frames: npt.NDArray[np.complexfloating] = np.array(here.swapaxes(1, 2), order="C")
        frames /= np.float32(self.peak)
        return frames


def sample_of(spectrogram: Spectrogram) -> Parts:
    """One part's worth of frames from all over a recording that is not silent."""
    wanted = max(_SAMPLE_RUNS, int(_CHUNK_S / spectrogram.frame_s))
    n_frames = spectrogram.n_frames
    if n_frames <= wanted:
        return Parts.of(spectrogram)
    length = wanted // _SAMPLE_RUNS
    firsts = np.linspace(0, n_frames - length, _SAMPLE_RUNS).round().astype(int)
    taken = (firsts[:, np.newaxis] + np.arange(length)).ravel()
    sample = Parts.of(replace(spectrogram, values=spectrogram.values[:, :, taken]))
    if sample.peak > 0.0:
        return sample
    loudest = int(np.argmax(np.abs(spectrogram.values).max(axis=(0, 1))))
    first = min(max(0, loudest - wanted // 2), n_frames - wanted)
    return Parts.of(replace(spectrogram, values=spectrogram.values[:, :, first : first + wanted]))
