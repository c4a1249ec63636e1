"""One spectrogram: a recording, a transform or an array of magnitudes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from audiosep.errors import ParameterError, UsageError
from audiosep.plots.backend import axes_from, colours_from, new_figure, shown
from audiosep.plots.grids import Grid, Steps, grid_of, label_frequencies, label_times
from audiosep.plots.levels import (
    Floats,
    decibels,
    levels_of_array,
    levels_of_audio,
    levels_of_stft,
)
from audiosep.transform import OVERLAP, frame_length, n_frames_of
from audiosep.types import Audio, Spectrogram, whole_number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import QuadMesh

__all__ = ["COLOURS", "draw_levels", "plot_spectrogram", "range_from"]

COLOURS = "magma"
"""Lightness rises evenly: it reads in grey, in print and without red or green."""

Reference = float | Callable[[npt.NDArray[np.float64]], float]


def plot_spectrogram(
    spectrogram: Audio | Spectrogram | npt.ArrayLike,
    *,
    sr: int | None = None,
    n_fft: int | None = None,
    hop_length: int | None = None,
    y_axis: str = "log",
    ref: Reference = np.max,
    top_db: float = 80.0,
    cmap: Any = COLOURS,
    ax: Axes | None = None,
) -> QuadMesh:
    """Draw a spectrogram in dB over seconds and Hz.

    Cells that would be too small to be seen are drawn together, as loud as the loudest of them. Of
    recordings of more than 8000 frames, eight frames of each of a thousand columns are looked at,
    so that hours take no longer than minutes.

    Parameters
    ----------
    spectrogram : Audio, Spectrogram or array_like [shape=(n_bins, n_frames)]
        A recording, which is transformed; its transform; or magnitudes, or complex values, of
        which the magnitudes are drawn. Channels come first where there are any; they are drawn
        together, as the root of their mean power.
    sr : int, optional
        Sample rate in Hz, with an array; without it axes are in bins and frames.
    n_fft, hop_length : int, optional
        Window length and hop in samples, with a recording or an array. By default those of
        :func:`audiosep.stft`; of an array ``2 (n_bins - 1)`` and a fourth of it.
    y_axis : {"log", "mel", "linear"}
        Scale of the frequencies. ``"log"`` begins at 30 Hz; ``"mel"`` is 2595 log10(1 + f / 700)
        [1]_.
    ref : float > 0 or callable
        Magnitude of 0 dB, or a function that tells it from all magnitudes.
    top_db : float > 0
        What is further below the loudest (0 dB, or what is above it) is as dark as silence.
    cmap : str or matplotlib.colors.Colormap
        Colours.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default a new figure with a colour bar, which notebooks show.

    Returns
    -------
    matplotlib.collections.QuadMesh
        What was drawn, for a colour bar; its ``figure`` is where, for ``savefig``.

    Raises
    ------
    ParameterError
        If the array is no spectrogram, or a setting is out of range or unknown.
    UsageError
        If matplotlib is not installed, or a setting is given that a recording or a transform
        brings itself.

    References
    ----------
    .. [1] D. O'Shaughnessy (1987), "Speech communication: human and machine", Addison-Wesley.

    Examples
    --------
    >>> import numpy as np
    >>> t = np.arange(8000) / 8000
    >>> audio = Audio(samples=np.float32(np.sin(2 * np.pi * 440 * t))[np.newaxis], sr=8000)
    >>> artist = plot_spectrogram(audio)
    >>> artist.axes.get_xlabel(), artist.axes.get_ylabel()
    ('s', 'Hz')
    """
    grid, magnitudes = _cells(spectrogram, sr, n_fft, hop_length, y_axis)
    reference = _reference(ref, magnitudes)
    low_db, high_db = range_from(top_db, magnitudes, reference)
    colours = colours_from(cmap)
    own = new_figure(7.0, 3.2) if ax is None else None
    place = axes_from(ax) if own is None else own.add_subplot()
    levels = Levels(db=decibels(magnitudes, reference, low_db), low_db=low_db, high_db=high_db)
    artist = draw_levels(place, grid, levels, colours)
    label_frequencies(place, grid)
    label_times(place, grid)
    if own is not None:
        own.colorbar(artist, ax=place, label="dB")
        shown(artist, own)
    return artist


@dataclass(frozen=True, kw_only=True, eq=False)
class Levels:
    """Levels of cells, and the range that colours show.

    Parameters
    ----------
    db : np.ndarray [shape=(n_rows, n_columns)]
        In dB.
    low_db, high_db : float
        The darkest and the brightest level.
    """

    db: Floats
    low_db: float
    high_db: float


def draw_levels(ax: Axes, grid: Grid, levels: Levels, cmap: Any) -> QuadMesh:
    """Draw cells into axes, without scales and labels.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        Where.
    grid : Grid
        Where the cells are.
    levels : Levels
        What is in them.
    cmap : matplotlib.colors.Colormap
        Colours.

    Returns
    -------
    matplotlib.collections.QuadMesh
    """
    return ax.pcolormesh(
        grid.edges_s,
        grid.edges_hz,
        levels.db,
        vmin=levels.low_db,
        vmax=levels.high_db,
        cmap=cmap,
        shading="flat",
        # As paths, cells would make PDF and SVG files of many megabytes.
        rasterized=True,
    )


def range_from(top_db: float, magnitudes: Floats, reference: float) -> tuple[float, float]:
    """Levels from the darkest to the brightest colour.

    Parameters
    ----------
    top_db : float > 0
        Width of the range in dB.
    magnitudes : np.ndarray
        What is drawn.
    reference : float >= 0
        What is 0 dB.

    Returns
    -------
    tuple of float
        Up to 0 dB, or to the loudest where that is above.

    Raises
    ------
    ParameterError
        If `top_db` is no number above zero.
    """
    if isinstance(top_db, bool) or not isinstance(top_db, int | float | np.number):
        raise ParameterError(f"top_db={top_db!r} must be a number of dB above zero.")
    if not 0.0 < top_db < np.inf:
        raise ParameterError(f"top_db={top_db!r} must be a number of dB above zero.")
    loudest = float(magnitudes.max())
    above = 20.0 * np.log10(loudest / reference) if loudest > reference > 0.0 else 0.0
    return float(above - top_db), float(above)


def _reference(ref: Reference, magnitudes: Floats) -> float:
    try:
        value = float(ref(magnitudes) if callable(ref) else ref)
    except (TypeError, ValueError):
        raise ParameterError(
            f"ref={ref!r} must be a magnitude above zero, or a function."
        ) from None
    # Of silence the largest is 0.
    if not np.isfinite(value) or value < 0.0 or (value == 0.0 and not callable(ref)):
        raise ParameterError(f"ref={value!r} must be a magnitude above zero, or a function.")
    return value


def _cells(
    given: Audio | Spectrogram | npt.ArrayLike,
    sr: int | None,
    n_fft: int | None,
    hop_length: int | None,
    scale: str,
) -> tuple[Grid, Floats]:
    if isinstance(given, Audio | Spectrogram) and sr is not None:
        raise UsageError("a recording and its transform bring their rate; leave out sr.")
    if isinstance(given, Audio):
        n_fft = frame_length(given.sr) if n_fft is None else n_fft
        hop_length = max(1, n_fft // OVERLAP) if hop_length is None else hop_length
        return audio_cells(given, n_fft, hop_length, scale)
    if isinstance(given, Spectrogram):
        if n_fft is not None or hop_length is not None:
            raise UsageError("a transform brings n_fft and hop_length; leave them out.")
        steps = Steps(
            bin_hz=given.bin_hz, frame_s=given.frame_s, duration=given.n_samples / given.sr
        )
        grid = grid_of(given.n_bins, given.n_frames, steps, scale)
        return grid, levels_of_stft(given, grid)
    magnitudes = _magnitudes(given)
    n_bins, n_frames = magnitudes.shape
    grid = grid_of(n_bins, n_frames, steps_from(n_bins, sr, n_fft, hop_length), scale)
    return grid, levels_of_array(magnitudes, grid)


def audio_cells(audio: Audio, n_fft: int, hop_length: int, scale: str) -> tuple[Grid, Floats]:
    """Cells of a recording and the magnitudes in them.

    Parameters
    ----------
    audio : Audio
        What is drawn.
    n_fft, hop_length : int
        Of its transform.
    scale : str
        Of the frequencies.

    Returns
    -------
    Grid
    np.ndarray [shape=(n_rows, n_columns)]
    """
    n_fft = whole_number("n_fft", n_fft, 2)
    hop_length = whole_number("hop_length", hop_length, 1, n_fft // 2)
    steps = Steps(bin_hz=audio.sr / n_fft, frame_s=hop_length / audio.sr, duration=audio.duration)
    grid = grid_of(1 + n_fft // 2, n_frames_of(audio.n_samples, hop_length), steps, scale)
    return grid, levels_of_audio(audio, grid, n_fft=n_fft, hop_length=hop_length)


def steps_from(n_bins: int, sr: int | None, n_fft: int | None, hop_length: int | None) -> Steps:
    """How far bins and frames of an array are from each other.

    Parameters
    ----------
    n_bins : int > 0
        Of the array.
    sr : int, optional
        Sample rate in Hz; without it bins and frames are counted.
    n_fft, hop_length : int, optional
        By default ``2 (n_bins - 1)`` and a fourth of it.

    Returns
    -------
    Steps

    Raises
    ------
    UsageError
        If there are other steps than bins and frames, but no rate, or one of them cannot be.
    """
    if sr is None:
        if n_fft is not None or hop_length is not None:
            raise UsageError("n_fft and hop_length say nothing without a rate; give sr, too.")
        return Steps(in_units=False)
    rate = whole_number("sr", sr, 1)
    n_fft = max(2, 2 * (n_bins - 1)) if n_fft is None else whole_number("n_fft", n_fft, 2)
    if hop_length is None:
        hop_length = max(1, n_fft // OVERLAP)
    return Steps(bin_hz=rate / n_fft, frame_s=whole_number("hop_length", hop_length, 1) / rate)


def _magnitudes(given: npt.ArrayLike) -> npt.NDArray[Any]:
    values = np.asarray(given)
    if values.dtype.kind not in "fciu" or values.ndim not in (2, 3) or 0 in values.shape:
        raise ParameterError(
            f"an array of shape {values.shape} and type {values.dtype} is no spectrogram; give "
            "(bins, frames) or (channels, bins, frames), or a recording as Audio."
        )
    magnitudes = np.abs(values) if values.dtype.kind == "c" else values
    if not np.isfinite(magnitudes).all():
        raise ParameterError("the spectrogram holds NaN or infinite values; replace them.")
    if magnitudes.min() < 0:
        raise ParameterError(
            "magnitudes are never negative; where these are decibels, give the magnitudes that "
            "they were made of."
        )
    if magnitudes.ndim == 3:
        squares = np.square(magnitudes, dtype=np.float64)
        magnitudes = np.sqrt(squares.mean(axis=0))
    return magnitudes
