"""Places of a recording: found in all of it, in order, with what else must be known of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from audiosep.errors import InputError
from audiosep.methods._stereo_many import Directions
from audiosep.methods._stereo_names import describe_gains, place_names
from audiosep.methods._stereo_places import AngleHistogram

__all__ = ["Layout", "find_layout"]

_Array = npt.NDArray[np.float64]
_Frames = npt.NDArray[np.complexfloating]

MOST_PLACES = 8
"""So many places are found by themselves; more take being asked for."""

_SMALLEST_SIDE_DB = -40.0
"""Where all that is not at one place is below this, there is only one place."""

_ROUNDNESS = (3e-4, 0.15)
_IMPURITY = (1e-3, 5e-3)
"""How much of each place has no direction follows from how impure the directions of bins are."""

_AROUND = "around"


@dataclass(frozen=True, kw_only=True, eq=False)
class Layout:
    """Places in order from left to right.

    Parameters
    ----------
    gains : np.ndarray [shape=(n_places, n_channels)]
        Of length one.
    roundness : np.ndarray [shape=(n_places,)]
        Share of each place that has no direction.
    names : tuple of str
        One for each place.
    notes : tuple of str
        What was decided, in sentences.
    """

    gains: _Array
    roundness: _Array
    names: tuple[str, ...]
    notes: tuple[str, ...]


def find_layout(
    blocks: Iterable[_Frames], *, n_blocks: int, bin_hz: float, n_wanted: int | None
) -> Layout:
    """Find the places of a recording that is not silent.

    Parameters
    ----------
    blocks : iterable of np.ndarray [shape=(n_channels, n_frames, n_bins)]
        The recording in parts, at a level near one.
    n_blocks : int
        How many there are.
    bin_hz : float
        Distance between bins in Hz.
    n_wanted : int, optional
        How many places are wanted; fewer may be found.

    Returns
    -------
    Layout

    Raises
    ------
    InputError
        If there is no difference between the channels.
    """
    histogram, directions, covariance = None, Directions(n_blocks), np.zeros((1, 1))
    for frames in blocks:
        n_channels = len(frames)
        flat = frames.reshape(n_channels, -1)
        covariance = covariance + (flat @ flat.conj().T).real
        if n_channels == 2:
            histogram = histogram or AngleHistogram(frames.shape[2], bin_hz)
            histogram.add(*frames)
        else:
            directions.add(frames)
    _check_difference(covariance)
    impurity = _IMPURITY[0]
    if histogram is None:
        gains = directions.peaks()
    else:
        impurity = histogram.impurity()
        angles, _ = histogram.peaks()
        gains = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    gains = gains[: MOST_PLACES if n_wanted is None else n_wanted]
    return _layout(gains, covariance, impurity, complete=n_wanted is None)


def _check_difference(covariance: _Array) -> None:
    values = np.linalg.eigvalsh(covariance)
    if values[:-1].sum() < 10 ** (_SMALLEST_SIDE_DB / 10) * values[-1]:
        raise InputError(
            "there is no stereo difference, all sound comes from one place; to take it apart by "
            "other means use a preset for mono recordings, such as auto or components."
        )


def _layout(gains: _Array, covariance: _Array, impurity: float, *, complete: bool) -> Layout:
    notes = []
    if len(gains) == 0:
        gains = np.linalg.eigh(covariance)[1][:, :-3:-1].T
        notes.append(
            "No place stands out: what the channels have most in common was told from the rest."
        )
    if covariance.shape == (2, 2) and covariance[0, 1] < 0 and (gains.prod(axis=1) < 0).all():
        notes.append("The channels are opposite in sign throughout: one may be inverted.")
    gains = gains[_order(gains)]
    level = np.interp(np.log(impurity), np.log(_IMPURITY), np.log(_ROUNDNESS))
    roundness = np.full(len(gains), np.exp(level))
    names = place_names(gains)
    places = ", ".join(f"{n} ({describe_gains(g)})" for n, g in zip(names, gains, strict=True))
    notes.insert(0, f"{_counted(len(gains))} found: {places}.")
    if len(gains) == 1 and complete:
        # The one place and all else: else the only stem would be the mixture.
        gains, roundness = np.repeat(gains, 2, axis=0), np.append(roundness, 1.0)
        names = (*names, _AROUND)
        notes.append(f"What comes from no place in particular is in {_AROUND}.")
    return Layout(gains=gains, roundness=roundness, names=names, notes=tuple(notes))


def _counted(n_places: int) -> str:
    return "One place was" if n_places == 1 else f"{n_places} places were"


def _order(gains: _Array) -> npt.NDArray[np.intp]:
    """From left to right; of more than two channels, from the first to the last."""
    across = np.square(gains) @ np.arange(gains.shape[1])
    return np.argsort(across, kind="stable")
