"""A factorization at a glance: templates beside activations, from low to high."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from audiosep.errors import ParameterError
from audiosep.io.naming import display
from audiosep.plots.backend import colours_from, new_figure
from audiosep.plots.grids import grid_of, label_frequencies, label_times
from audiosep.plots.levels import decibels
from audiosep.plots.spectrograms import COLOURS, range_from, steps_from
from audiosep.types import Factorization, Grouping

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["order_of", "plot_factorization"]

_MOST_LABELS = 40


def plot_factorization(
    factorization: Factorization,
    *,
    sr: int | None = None,
    n_fft: int | None = None,
    hop_length: int | None = None,
    grouping: Grouping | None = None,
    y_axis: str = "log",
    top_db: float = 60.0,
    cmap: Any = COLOURS,
) -> Figure:
    """Draw templates and activations, sorted by the mean frequency of the templates.

    Each template is relative to its own loudest bin, activations to the largest of all, where each
    is multiplied by the sum of its template: that is what its component adds to the spectrogram.

    Parameters
    ----------
    factorization : Factorization
        What to draw.
    sr : int, optional
        Sample rate in Hz; without it axes are in bins and frames.
    n_fft, hop_length : int, optional
        Of the transform, in samples; by default ``2 (n_bins - 1)`` and a fourth of it.
    grouping : Grouping, optional
        Stems of the components: those of a stem are put together then, and named.
    y_axis : {"log", "mel", "linear"}
        Scale of the frequencies, as of :func:`audiosep.plot_spectrogram`.
    top_db : float > 0
        What is further below is as dark as silence.
    cmap : str or matplotlib.colors.Colormap
        Colours.

    Returns
    -------
    matplotlib.figure.Figure
        Unknown to pyplot; notebooks show it. Components are numbered from 1, as regrouping does.

    Raises
    ------
    ParameterError
        If a setting is out of range or unknown, or the grouping is one of other components.
    UsageError
        If matplotlib is not installed.
    """
    colours = colours_from(cmap)
    W = np.asarray(factorization.templates)
    H = np.asarray(factorization.activations)
    order = order_of(W, grouping)
    n_bins, K = W.shape
    steps = steps_from(n_bins, sr, n_fft, hop_length)
    grid = grid_of(n_bins, H.shape[1], steps, y_axis)
    spectra = np.stack([np.maximum.reduceat(W[:, k], grid.bins) for k in order], axis=1)
    spectra = spectra / np.maximum(spectra.max(axis=0), np.finfo(np.float64).tiny)
    gains = H[order] * W[:, order].sum(axis=0, dtype=np.float64)[:, None]
    gains = np.maximum.reduceat(gains, grid.frames, axis=1)
    low_db, _ = range_from(top_db, spectra, 1.0)
    figure = new_figure(9.0, min(max(3.2, 1.2 + 0.16 * K), 12.0))
    left, right = figure.subplots(1, 2, width_ratios=(1.0, 1.9))
    places = np.arange(K + 1) + 0.5
    looks = {"vmin": low_db, "vmax": 0.0, "cmap": colours, "rasterized": True}
    left.pcolormesh(places, grid.edges_hz, decibels(spectra, 1.0, low_db), **looks)
    artist = right.pcolormesh(
        grid.edges_s, places, decibels(gains, float(gains.max()), low_db), **looks
    )
    label_frequencies(left, grid)
    label_times(right, grid)
    left.set_title("templates", loc="left", fontsize="medium")
    right.set_title("activations", loc="left", fontsize="medium")
    _number(left.xaxis, order)
    _number(right.yaxis, order)
    left.set_xlabel("component")
    right.set_ylabel("component")
    if grouping is not None:
        _name_groups(left, right, order, grouping)
    figure.colorbar(artist, ax=(left, right), label="dB", aspect=40)
    return figure


def order_of(templates: npt.NDArray[Any], grouping: Grouping | None = None) -> npt.NDArray[np.intp]:
    """Components by the mean frequency of their templates, those of a stem together.

    Parameters
    ----------
    templates : np.ndarray [shape=(n_bins, n_components)]
        W.
    grouping : Grouping, optional
        Stems of the components.

    Returns
    -------
    np.ndarray of int [shape=(n_components,)]
        The lowest first.

    Raises
    ------
    ParameterError
        If the grouping is one of other components.
    """
    n_bins, K = templates.shape
    sums = templates.sum(axis=0, dtype=np.float64)
    means = (np.arange(n_bins) @ templates) / np.maximum(sums, np.finfo(np.float64).tiny)
    if grouping is None:
        return np.argsort(means, kind="stable")
    if len(grouping.weights) != K:
        raise ParameterError(
            f"the grouping is one of {len(grouping.weights)} components, not of these {K}."
        )
    return np.lexsort((means, grouping.weights.argmax(axis=1)))


def _number(axis: Any, order: npt.NDArray[np.intp]) -> None:
    step = -(-len(order) // _MOST_LABELS)
    places = range(0, len(order), step)
    axis.set_ticks([place + 1 for place in places], [str(order[place] + 1) for place in places])
    axis.set_tick_params(labelsize="x-small" if len(order) > 16 else "small")


def _name_groups(left: Axes, right: Axes, order: npt.NDArray[np.intp], grouping: Grouping) -> None:
    owners = grouping.weights.argmax(axis=1)[order]
    names = right.twinx()
    names.set_ylim(right.get_ylim())
    places, labels = [], []
    for owner, name in enumerate(grouping.names):
        inside = np.flatnonzero(owners == owner)
        if not len(inside):
            continue
        if inside[0]:
            left.axvline(inside[0] + 0.5, color="white", lw=1)
            right.axhline(inside[0] + 0.5, color="white", lw=1)
        places.append(1 + (inside[0] + inside[-1]) / 2)
        labels.append(display(name))
    names.set_yticks(places, labels, parse_math=False)
    names.tick_params(length=0)
