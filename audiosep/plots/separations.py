"""A separation at a glance: mixture and stems below each other, on the same scales."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosep.io.naming import display
from audiosep.plots.backend import colours_from, new_figure
from audiosep.plots.grids import Grid, label_frequencies, label_times
from audiosep.plots.levels import decibels
from audiosep.plots.spectrograms import COLOURS, Levels, audio_cells, draw_levels, range_from
from audiosep.transform import OVERLAP, frame_length

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from audiosep.separation import Separation

__all__ = ["plot_separation"]

_ROWS = 8
"""More panels go into further columns."""

_WIDTH, _HEIGHT = 7.5, 1.35
_LINE = "#56b4e9"
"""A blue that stands out from all colours of the spectrogram, for the colour-blind, too."""


def plot_separation(
    separation: Separation,
    *,
    y_axis: str = "log",
    top_db: float = 80.0,
    evidence: bool = True,
    cmap: Any = COLOURS,
) -> Figure:
    """Draw the mixture and all stems on one scale of time, frequency and level.

    0 dB is the loudest place of the mixture in all panels, so that they can be compared.

    Parameters
    ----------
    separation : Separation
        What to draw.
    y_axis : {"log", "mel", "linear"}
        Scale of the frequencies, as of :func:`audiosep.plot_spectrogram`.
    top_db : float > 0
        What is further below 0 dB is as dark as silence.
    evidence : bool
        Whether to draw the melody into the stem ``vocals`` (into the mixture, where there is none)
        and onsets into the stems of their names.
    cmap : str or matplotlib.colors.Colormap
        Colours.

    Returns
    -------
    matplotlib.figure.Figure
        Unknown to pyplot; notebooks show it.

    Raises
    ------
    ParameterError
        If a setting is out of range or unknown.
    UsageError
        If matplotlib is not installed.
    """
    colours = colours_from(cmap)
    mixture = separation.mixture
    n_fft = frame_length(mixture.sr)
    hop_length = max(1, n_fft // OVERLAP)
    grid, magnitudes = audio_cells(mixture, n_fft, hop_length, y_axis)
    loudest = float(magnitudes.max())
    low_db, high_db = range_from(top_db, magnitudes, loudest)
    names = ["mixture", *separation.stems]
    n_columns = math.ceil(len(names) / _ROWS)
    n_rows = math.ceil(len(names) / n_columns)
    figure = new_figure(_WIDTH * min(n_columns, 3), 0.8 + _HEIGHT * n_rows)
    panels = figure.subplots(n_rows, n_columns, sharex=True, sharey=True, squeeze=False)
    for index, name in enumerate(names):
        # Down one column, then the next.
        ax = panels[index % n_rows, index // n_rows]
        if index:
            _, magnitudes = audio_cells(separation.stems[name], n_fft, hop_length, y_axis)
        levels = Levels(db=decibels(magnitudes, loudest, low_db), low_db=low_db, high_db=high_db)
        artist = draw_levels(ax, grid, levels, colours)
        ax.set_title(display(name), loc="left", fontsize="medium", parse_math=False)
        if evidence:
            _draw_evidence(ax, grid, separation, name if index else None)
    _label(panels, grid, len(names))
    figure.colorbar(artist, ax=panels, label="dB", aspect=40)
    return figure


def _label(panels: Any, grid: Grid, n_panels: int) -> None:
    n_rows, n_columns = panels.shape
    for index in range(n_rows * n_columns):
        row, column = index % n_rows, index // n_rows
        ax = panels[row, column]
        if index >= n_panels:
            ax.set_axis_off()
            continue
        last = row == n_rows - 1 or index == n_panels - 1
        label_frequencies(ax, grid, label=column == 0)
        label_times(ax, grid, label=last)
        ax.tick_params(labelbottom=last, labelleft=column == 0, labelsize="small")


def _draw_evidence(ax: Axes, grid: Grid, separation: Separation, stem: str | None) -> None:
    """Draw what was heard: the name of no stem, None, is the mixture."""
    melody, onsets = separation.melody, separation.onsets
    if melody is not None and stem == ("vocals" if "vocals" in separation.stems else None):
        ax.plot(melody.times_s, np.where(melody.voiced, melody.f0_hz, np.nan), color=_LINE, lw=1.6)
    if onsets is not None and stem is not None:
        times = onsets.times_s[np.array(onsets.labels, dtype=object) == stem]
        top = float(grid.edges_hz[-1])
        ax.plot(times, np.full(len(times), top), "v", color=_LINE, ms=5, clip_on=False)
