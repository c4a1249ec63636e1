"""Waveforms and spectrograms as small arrays of bytes, read block by block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from audiosep.transform import frame_length
from audiosep.types import Tape

__all__ = ["LOWEST_HZ", "RANGE_DB", "ROWS", "Picture", "draw", "log_rows"]

ROWS = 128
"""Rows of a spectrogram, equally far apart on a logarithmic scale."""

COLUMNS = 1000
_MOST_COLUMNS = 12_000
"""Of all pictures together: the page must stay small with many stems, too."""

LOWEST_HZ = 30.0
RANGE_DB = 80.0
"""What lies further below the loudest place of the mixture is not seen."""

_FRAMES_A_COLUMN = 4
_BLOCK_SAMPLES = 1 << 17
_LEAST_COLUMN = 32
_TINY = 1e-30

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, eq=False)
class Picture:
    """How a recording looks.

    Parameters
    ----------
    highest, lowest : np.ndarray [shape=(n_columns,), dtype=uint8]
        Largest sample of each column of time, and the smallest with its sign turned; 255 is the
        largest of all pictures that were drawn together.
    spectrogram : np.ndarray [shape=(ROWS, n_columns), dtype=uint8]
        Lowest frequency first; 255 is the loudest place of the mixture, 0 is `RANGE_DB` below.
    """

    highest: Bytes
    lowest: Bytes
    spectrogram: Bytes


def log_rows(sr: int, n_fft: int) -> npt.NDArray[np.float32]:
    """Weights that take the bins of a transform to rows on a logarithmic scale.

    Parameters
    ----------
    sr : int
        Sample rate in Hz.
    n_fft : int
        Length of the transform.

    Returns
    -------
    np.ndarray [shape=(ROWS, 1 + n_fft // 2), dtype=float32]
        From `LOWEST_HZ` (or a fourth of the rate, where that is less) to half the rate. Each row
        sums to one: a triangle between its neighbours, at least as wide as to reach the
        two bins around its centre.
    """
    bins_hz = np.fft.rfftfreq(n_fft, 1.0 / sr)
    lowest = min(LOWEST_HZ, sr / 4)
    edges = np.geomspace(lowest, sr / 2, ROWS)
    ratio = edges[1] / edges[0]
    centre = edges[:, None]
    # Beyond the upper end there is nothing; the triangle of the last row ends there.
    below = np.maximum(centre - centre / ratio, bins_hz[1])
    above = np.maximum(centre * ratio - centre, bins_hz[1])
    distance = bins_hz[None, :] - centre
    weights = np.clip(1.0 - np.where(distance < 0, -distance / below, distance / above), 0.0, None)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), dtype=np.float32)


def draw(tapes: Sequence[Tape]) -> tuple[list[Picture], Picture]:
    """Draw recordings and their sum in one pass, however long they are.

    Parameters
    ----------
    tapes : sequence of Tape
        All of the same shape.

    Returns
    -------
    list of Picture
        One for each.
    Picture
        Of the sum.
    """
    n_tracks = len(tapes) + 1
    n_samples, sr = tapes[0].n_samples, tapes[0].sr
    n_columns = max(1, min(COLUMNS, _MOST_COLUMNS // n_tracks, n_samples // _LEAST_COLUMN))
    easel = _Easel(sr=sr, n_samples=n_samples, n_columns=n_columns, n_tracks=n_tracks)
    # Squares of what float files may hold are beyond float32; powers of two round nothing.
    scale = np.float32(2.0 ** -max(0, np.frexp(max(tape.peak for tape in tapes))[1]))
    for first in range(0, n_samples, _BLOCK_SAMPLES):
        last = min(first + _BLOCK_SAMPLES, n_samples)
        # What the transforms around the ends of the block see, too.
        low, high = max(0, first - easel.reach), min(n_samples, last + easel.reach)
        total = np.zeros((tapes[0].n_channels, high - low), dtype=np.float32)
        for index, tape in enumerate(tapes):
            part = tape.part(low, high).samples * scale
            total += part
            easel.add(index, part, low, first, last)
        easel.add(n_tracks - 1, total, low, first, last)
    pictures = easel.pictures()
    return pictures[:-1], pictures[-1]


class _Easel:
    def __init__(self, *, sr: int, n_samples: int, n_columns: int, n_tracks: int) -> None:
        self.n_fft = frame_length(sr)
        self.reach = self.n_fft // 2
        width = n_samples / n_columns
        per_column = int(np.clip(round(width / self.reach), 1, _FRAMES_A_COLUMN))
        n_frames = n_columns * per_column
        self.centres = ((np.arange(n_frames) + 0.5) * n_samples / n_frames).astype(np.int64)
        self.columns = np.arange(n_frames) // per_column
        self.starts = (np.arange(n_columns) * width).astype(np.int64)
        self.weights = log_rows(sr, self.n_fft)
        self.window = np.hanning(self.n_fft).astype(np.float32)
        self.power = np.zeros((n_tracks, n_columns, ROWS), dtype=np.float32)
        self.highest = np.zeros((n_tracks, n_columns), dtype=np.float32)
        self.lowest = np.zeros((n_tracks, n_columns), dtype=np.float32)

    def add(
        self, track: int, samples: npt.NDArray[np.float32], low: int, first: int, last: int
    ) -> None:
        """Draw samples `first` to `last` of a track; `samples` begin at `low`."""
        inside = samples[:, first - low : last - low]
        column = int(np.searchsorted(self.starts, first, side="right")) - 1
        end = int(np.searchsorted(self.starts, last, side="left"))
        cuts = np.maximum(self.starts[column:end] - first, 0)
        top = np.maximum.reduceat(inside.max(axis=0), cuts)
        bottom = np.minimum.reduceat(inside.min(axis=0), cuts)
        np.maximum(self.highest[track, column:end], top, out=self.highest[track, column:end])
        np.minimum(self.lowest[track, column:end], bottom, out=self.lowest[track, column:end])
        frames = slice(*np.searchsorted(self.centres, (first, last)))
        self._transform(track, samples, self.centres[frames] - low, self.columns[frames])

    def _transform(
        self,
        track: int,
        samples: npt.NDArray[np.float32],
        centres: npt.NDArray[np.int64],
        columns: npt.NDArray[np.int64],
    ) -> None:
        import scipy.fft

        if not len(centres):
            return
        found, cuts = np.unique(columns, return_index=True)
        padded = np.pad(samples, ((0, 0), (self.reach, self.reach)))
        views = np.lib.stride_tricks.sliding_window_view(padded, self.n_fft, axis=1)
        for channel in views:
            spectra = scipy.fft.rfft(channel[centres] * self.window, axis=1)
            power = np.abs(spectra) ** 2
            self.power[track, found] += np.add.reduceat(power @ self.weights.T, cuts)

    def pictures(self) -> list[Picture]:
        """All that was drawn, on one scale."""
        loudest = max(float(self.power[-1].max()), _TINY)
        decibels = 10 * np.log10(np.maximum(self.power / loudest, _TINY))
        shades = np.clip(np.round(255 * (1 + decibels / RANGE_DB)), 0, 255).astype(np.uint8)
        peak = max(float(self.highest.max()), -float(self.lowest.min()), _TINY)
        return [
            Picture(
                highest=_to_bytes(highest / peak),
                lowest=_to_bytes(-lowest / peak),
                spectrogram=np.ascontiguousarray(shade.T),
            )
            for highest, lowest, shade in zip(self.highest, self.lowest, shades, strict=True)
        ]


def _to_bytes(values: npt.NDArray[np.float32]) -> Bytes:
    return np.clip(np.ceil(255 * values), 0, 255).astype(np.uint8)
