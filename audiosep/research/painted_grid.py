"""The grid of time and frequency on which regions are painted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from audiosep.research.painted_regions import PaintedRegion, check_regions_inside
from audiosep.research.painted_transfer import Box
from audiosep.transform import BLOCK_FRAMES, OVERLAP, frame_length, n_frames_of, stft_frames

__all__ = ["WINDOW", "Grid", "boxes_of"]

WINDOW = "sqrt_hann"


@dataclass(frozen=True, kw_only=True)
class Grid:
    """The transform in which regions are cells.

    Parameters
    ----------
    n_fft, hop_length : int
        Window length and hop in samples.
    sr : int
        Sample rate in Hz.
    n_samples : int
        Length of the recording.
    """

    n_fft: int
    hop_length: int
    sr: int
    n_samples: int

    @classmethod
    def of(cls, sr: int, n_samples: int) -> Grid:
        """Return that of any recording of that rate and length."""
        n_fft = frame_length(sr)
        return cls(n_fft=n_fft, hop_length=max(1, n_fft // OVERLAP), sr=sr, n_samples=n_samples)

    @property
    def n_frames(self) -> int:
        """Number of time frames."""
        return n_frames_of(self.n_samples, self.hop_length)

    @property
    def n_bins(self) -> int:
        """Number of frequency bins."""
        return 1 + self.n_fft // 2

    def magnitude(
        self, samples: npt.NDArray[np.float32], n_threads: int
    ) -> npt.NDArray[np.float32]:
        """Root mean square over the channels of magnitudes, (n_frames, n_bins)."""
        total = np.empty((self.n_frames, self.n_bins), dtype=np.float32)
        for first in range(0, self.n_frames, BLOCK_FRAMES):
            last = min(first + BLOCK_FRAMES, self.n_frames)
            total[first:last] = self.block(samples, first, last, n_threads)
        return total

    def block(
        self, samples: npt.NDArray[np.float32], first: int, last: int, n_threads: int
    ) -> npt.NDArray[np.float32]:
        """Some frames of :meth:`magnitude`."""
        total = np.zeros((last - first, self.n_bins), dtype=np.float32)
        for row in samples:
            frames = stft_frames(
                row,
                first,
                last,
                n_fft=self.n_fft,
                hop_length=self.hop_length,
                window=WINDOW,
                n_threads=n_threads,
            )
            total += frames.real**2 + frames.imag**2
        total /= len(samples)
        return np.sqrt(total, out=total)


def boxes_of(regions: Sequence[PaintedRegion], names: Sequence[str], grid: Grid) -> list[Box]:
    """Lay regions on a grid.

    Parameters
    ----------
    regions : sequence of PaintedRegion
        What was painted.
    names : sequence of str
        Of all stems.
    grid : Grid
        Of the recording.

    Returns
    -------
    list of Box
        In the same order; each has at least one cell.

    Raises
    ------
    UsageError
        If a region is outside the recording.
    """
    duration_s, highest_hz = grid.n_samples / grid.sr, grid.sr / 2
    check_regions_inside(regions, duration_s, highest_hz)
    boxes = []
    for region in regions:
        end_s = duration_s if region.end_s is None else region.end_s
        high_hz = highest_hz if region.high_hz is None else min(region.high_hz, highest_hz)
        frame_s, bin_hz = grid.hop_length / grid.sr, grid.sr / grid.n_fft
        boxes.append(
            Box(
                frames=_cells(region.start_s / frame_s, end_s / frame_s, grid.n_frames),
                bins=_cells(region.low_hz / bin_hz, high_hz / bin_hz, grid.n_bins),
                stem=names.index(region.stem),
                belongs=region.belongs,
            )
        )
    return boxes


def _cells(low: float, high: float, n: int) -> slice:
    """Cells whose centres are between two bounds; the nearest one where there is none."""
    first, last = int(np.ceil(low)), int(np.floor(high)) + 1
    if first >= last:
        first = round((low + high) / 2)
        last = first + 1
    first = min(max(first, 0), n - 1)
    return slice(first, max(min(last, n), first + 1))
