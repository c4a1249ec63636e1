"""Cells of a picture: which bins and frames fall into which row and column, on which axes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from audiosep.errors import ParameterError
from audiosep.report.pictures import LOWEST_HZ

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["MOST_COLUMNS", "SCALES", "Grid", "Steps", "grid_of", "label_frequencies", "label_times"]

MOST_COLUMNS = 1000
_MOST_ROWS = 400
"""More is not seen in a figure, and takes for ever to draw."""

SCALES = ("log", "mel", "linear")

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Steps:
    """How far bins and frames are from each other.

    Parameters
    ----------
    bin_hz : float > 0
        In Hz; 1 where `in_units` is False.
    frame_s : float > 0
        In seconds; 1 where `in_units` is False.
    duration : float or None
        Of the recording, in the unit of `frame_s`; None takes that of all frames.
    in_units : bool
        Whether these are Hz and seconds; else they are numbers of bins and of frames.
    """

    bin_hz: float = 1.0
    frame_s: float = 1.0
    duration: float | None = None
    in_units: bool = True


@dataclass(frozen=True, kw_only=True, eq=False)
class Grid:
    """Cells of a picture.

    Parameters
    ----------
    bins : np.ndarray of int [shape=(n_rows,)]
        First bin of each row; bins below the first one are left out.
    frames : np.ndarray of int [shape=(n_columns,)]
        First frame of each column.
    n_bins, n_frames : int
        Of what is drawn.
    edges_hz : np.ndarray [shape=(n_rows + 1,)]
        Where rows begin and end.
    edges_s : np.ndarray [shape=(n_columns + 1,)]
        Where columns begin and end.
    scale : str
        One of `SCALES`.
    in_units : bool
        Whether edges are in Hz and seconds.
    """

    bins: Indices
    frames: Indices
    n_bins: int
    n_frames: int
    edges_hz: Floats
    edges_s: Floats
    scale: str
    in_units: bool


def grid_of(n_bins: int, n_frames: int, steps: Steps, scale: str) -> Grid:
    """Lay out the cells of a spectrogram.

    Rows are single bins where these are far enough from each other to be seen, else as many as make
    up a 400th of the scale; columns likewise, of at most a thousand.

    Parameters
    ----------
    n_bins, n_frames : int > 0
        Of the spectrogram.
    steps : Steps
        How far they are from each other.
    scale : {"log", "mel", "linear"}
        Of the frequencies.

    Returns
    -------
    Grid

    Raises
    ------
    ParameterError
        If there is no such scale.
    """
    if scale not in SCALES:
        raise ParameterError(f"unknown y_axis {scale!r}; use {', '.join(SCALES)}.")
    bins, edges_hz = _rows(n_bins, steps, scale)
    n_columns = min(n_frames, MOST_COLUMNS)
    frames = (np.arange(n_columns, dtype=np.int64) * n_frames) // n_columns
    end = steps.duration or n_frames * steps.frame_s
    # A frame stands for what is nearer to its centre than to any other's.
    edges_s = np.append(np.maximum(0.0, (frames - 0.5) * steps.frame_s), end)
    return Grid(
        bins=bins,
        frames=frames,
        n_bins=n_bins,
        n_frames=n_frames,
        edges_hz=edges_hz,
        edges_s=edges_s,
        scale=scale,
        in_units=steps.in_units,
    )


def _rows(n_bins: int, steps: Steps, scale: str) -> tuple[Indices, Floats]:
    edges = np.clip(np.arange(n_bins + 1) - 0.5, 0.0, max(n_bins - 1.0, 0.5)) * steps.bin_hz
    first = 0
    if scale == "log":
        # Nothing has a place at 0 Hz; what is below hearing would take half of the scale.
        lowest = min(LOWEST_HZ, edges[-1] / 8) if steps.in_units else 0.0
        first = min(max(1, int(np.searchsorted(edges, lowest, side="right")) - 1), n_bins - 1)
        edges[first] = max(edges[first], edges[-1] * 1e-3)
    places = _forward(scale)(edges[first:])
    shares = (places - places[0]) / (places[-1] - places[0])
    rows = np.minimum((shares[:-1] * _MOST_ROWS).astype(np.int64), _MOST_ROWS - 1)
    starts = np.flatnonzero(np.diff(rows, prepend=-1))
    return starts + first, np.append(edges[first:][starts], edges[-1])


def _forward(scale: str) -> Callable[[Any], Any]:
    if scale == "log":
        return np.log2
    return _mel if scale == "mel" else np.asarray


def _mel(hz: Any) -> Any:
    return 2595.0 * np.log10(1.0 + np.maximum(hz, 0.0) / 700.0)


def _hz(mel: Any) -> Any:
    return 700.0 * (10.0 ** (np.asarray(mel) / 2595.0) - 1.0)


_CLOCK_STEPS_S = (10, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)
_MEL_TICKS = (0, 500, 1000, 2000, 4000, 8000, 16000, 32000, 64000)


def label_frequencies(ax: Axes, grid: Grid, *, label: bool = True) -> None:
    """Scale and label the vertical axis.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        To change.
    grid : Grid
        What is drawn in it.
    label : bool
        Whether to write what the numbers are.
    """
    from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

    low, high = float(grid.edges_hz[0]), float(grid.edges_hz[-1])
    if grid.scale == "log":
        ax.set_yscale("log")
        ax.yaxis.set_major_locator(LogLocator(base=10, subs=(1.0, 2.0, 5.0)))
        ax.yaxis.set_minor_locator(NullLocator())
    elif grid.scale == "mel":
        ax.set_yscale("function", functions=(_mel, _hz))
        ax.yaxis.set_major_locator(FixedLocator([hz for hz in _MEL_TICKS if hz <= high]))
    ax.yaxis.set_major_formatter(FuncFormatter(_kilo if grid.in_units else _plain))
    ax.set_ylim(low, high)
    if label:
        ax.set_ylabel("Hz" if grid.in_units else "bin")


def _kilo(hz: float, _place: object = None) -> str:
    return f"{hz / 1000:g}k" if hz >= 1000 else f"{hz:g}"


def _plain(value: float, _place: object = None) -> str:
    return f"{value:g}"


def label_times(ax: Axes, grid: Grid, *, label: bool = True) -> None:
    """Label the horizontal axis, in minutes or hours where seconds would be many.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        To change.
    grid : Grid
        What is drawn in it.
    label : bool
        Whether to write what the numbers are.
    """
    from matplotlib.ticker import FuncFormatter, MultipleLocator

    end = float(grid.edges_s[-1])
    ax.set_xlim(float(grid.edges_s[0]), end)
    unit = "s" if grid.in_units else "frame"
    if grid.in_units and end >= 100.0:
        hours = end >= 3600.0
        unit = "h:min:s" if hours else "min:s"
        step = next((step for step in _CLOCK_STEPS_S if end / step <= 10), end / 8)
        ax.xaxis.set_major_locator(MultipleLocator(step))
        ax.xaxis.set_major_formatter(FuncFormatter(_hours if hours else _minutes))
    if label:
        ax.set_xlabel(unit)


def _minutes(seconds: float, _place: object = None) -> str:
    whole = round(seconds)
    return f"{whole // 60}:{whole % 60:02}"


def _hours(seconds: float, _place: object = None) -> str:
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
