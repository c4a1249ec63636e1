"""Figures that pyplot does not know: nothing global changes, nothing is shown but in notebooks."""

from __future__ import annotations

import io
from functools import partial
from typing import TYPE_CHECKING, Any

from audiosep.errors import ParameterError, UsageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["axes_from", "check_matplotlib", "colours_from", "new_figure", "shown"]


def check_matplotlib() -> None:
    """Find matplotlib, or say how to get it.

    Raises
    ------
    UsageError
        If it is not installed.
    """
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError:
        raise UsageError(
            "pictures need the package matplotlib, which is not installed; run pip install "
            "'audiosep[plot]'."
        ) from None


def new_figure(width: float, height: float) -> Figure:
    """Make a figure that belongs to nobody but the caller.

    Parameters
    ----------
    width, height : float > 0
        In inches.

    Returns
    -------
    matplotlib.figure.Figure
        Shown by notebooks where it is the last value of a cell, else by nobody.
    """
    check_matplotlib()
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    shown(figure, figure)
    return figure


def shown(thing: Any, figure: Figure) -> None:
    """Have notebooks show a figure in place of something that belongs to it.

    Parameters
    ----------
    thing : object
        The figure itself, or an artist in it.
    figure : matplotlib.figure.Figure
        What is shown.
    """
    # Notebooks know by themselves only figures of pyplot, whose state is not ours to change.
    thing._repr_png_ = partial(_png_of, figure)


def _png_of(figure: Figure) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, format="png")
    return out.getvalue()


def axes_from(ax: Any) -> Axes:
    """Return axes that were given, or say that they are none.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        As users give it.

    Raises
    ------
    ParameterError
        If it is something else, such as an array of axes.
    """
    check_matplotlib()
    from matplotlib.axes import Axes

    if not isinstance(ax, Axes):
        raise ParameterError(
            f"ax must be the axes of a figure, not {type(ax).__name__}; of an array of axes take "
            "one."
        )
    return ax


def colours_from(cmap: Any) -> Any:
    """Return a colour map by its name, or as it is.

    Parameters
    ----------
    cmap : str or matplotlib.colors.Colormap
        As users give it.

    Raises
    ------
    ParameterError
        If there is none of that name.
    """
    check_matplotlib()
    import matplotlib as mpl

    try:
        return mpl.colormaps.get_cmap(cmap)
    except (ValueError, TypeError):
        raise ParameterError(
            f"unknown colour map {cmap!r}; use magma, viridis, cividis, gray_r or another one of "
            "matplotlib."
        ) from None
