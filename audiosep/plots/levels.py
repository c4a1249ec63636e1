"""Magnitudes in the cells of a picture, from recordings of any length, and their levels in dB."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from audiosep.plots.grids import Grid
from audiosep.transform import BLOCK_FRAMES, stft_frames
from audiosep.types import Audio, Spectrogram

__all__ = ["FRAMES_A_COLUMN", "decibels", "levels_of_array", "levels_of_audio", "levels_of_stft"]

FRAMES_A_COLUMN = 8
"""Of longer recordings no more frames are looked at for each column, so that time is bounded."""

_WINDOW = "hann"
"""Its side lobes are below the range of a picture, those of the root of it are not."""

Floats = npt.NDArray[np.float64]


def levels_of_audio(audio: Audio, grid: Grid, *, n_fft: int, hop_length: int) -> Floats:
    """Magnitudes of a recording, transformed block by block.

    Parameters
    ----------
    audio : Audio
        Channels are taken together as the root of their mean power.
    grid : Grid
        Its cells; a cell holds the largest magnitude in it.
    n_fft, hop_length : int
        Of the transform.

    Returns
    -------
    np.ndarray [shape=(n_rows, n_columns), dtype=float64]
    """
    out = np.zeros((len(grid.bins), len(grid.frames)))
    for first, last in _spans(grid):
        power = np.zeros((last - first, grid.n_bins))
        for channel in audio.samples:
            part = stft_frames(
                channel, first, last, n_fft=n_fft, hop_length=hop_length, window=_WINDOW
            )
            power += np.abs(part).astype(np.float64) ** 2
        _add(out, np.sqrt(power / audio.n_channels), first, grid)
    return out


def _spans(grid: Grid) -> Iterator[tuple[int, int]]:
    """Frames to look at: all, or as many in the middle of each column as are to be."""
    n_frames, n_columns = grid.n_frames, len(grid.frames)
    if n_frames <= FRAMES_A_COLUMN * n_columns:
        for first in range(0, n_frames, BLOCK_FRAMES):
            yield first, min(first + BLOCK_FRAMES, n_frames)
        return
    ends = np.append(grid.frames[1:], n_frames)
    for start, end in zip(grid.frames.tolist(), ends.tolist(), strict=True):
        first = (start + end - FRAMES_A_COLUMN) // 2
        yield first, first + FRAMES_A_COLUMN


def levels_of_stft(spectrogram: Spectrogram, grid: Grid) -> Floats:
    """Magnitudes of a transform, as :func:`levels_of_audio` of a recording."""
    out = np.zeros((len(grid.bins), len(grid.frames)))
    for first in range(0, grid.n_frames, BLOCK_FRAMES):
        part = np.abs(spectrogram.values[..., first : first + BLOCK_FRAMES]).astype(np.float64)
        _add(out, np.sqrt((part**2).mean(axis=0)).T, first, grid)
    return out


def levels_of_array(magnitudes: npt.NDArray[Any], grid: Grid) -> Floats:
    """Magnitudes of an array (n_bins, n_frames), as :func:`levels_of_audio` of a recording."""
    out = np.zeros((len(grid.bins), len(grid.frames)))
    for first in range(0, grid.n_frames, BLOCK_FRAMES):
        part = magnitudes[:, first : first + BLOCK_FRAMES].T.astype(np.float64)
        _add(out, part, first, grid)
    return out


def _add(out: Floats, magnitudes: Floats, first: int, grid: Grid) -> None:
    """Take the largest of what falls into a cell: a click stays as loud as it was."""
    rows = np.maximum.reduceat(magnitudes, grid.bins, axis=1)
    at = np.arange(first, first + len(rows))
    columns, starts = np.unique(
        np.searchsorted(grid.frames, at, side="right") - 1, return_index=True
    )
    found = np.maximum.reduceat(rows, starts, axis=0).T
    out[:, columns] = np.maximum(out[:, columns], found)


def decibels(magnitudes: Floats, reference: float, lowest_db: float) -> Floats:
    """Levels relative to a magnitude.

    Parameters
    ----------
    magnitudes : np.ndarray
        Non-negative.
    reference : float >= 0
        What is 0 dB. With 0, which silence has, all is at the lowest level.
    lowest_db : float
        What is further below is taken for this.

    Returns
    -------
    np.ndarray
        Of the same shape, in dB.
    """
    if reference <= 0.0:
        return np.full_like(magnitudes, lowest_db)
    least = 10.0 ** (lowest_db / 20.0)
    return np.asarray(20.0 * np.log10(np.maximum(magnitudes / reference, least)))
