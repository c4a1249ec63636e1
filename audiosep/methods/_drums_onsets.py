"""When which piece was struck: peaks of activations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from audiosep.types import Onsets

__all__ = ["HitLevels", "find_onsets", "heard_pieces", "hit_levels", "pick_peaks"]

_REFRACTORY_S = 0.04
"""No drummer strikes one piece twice within this time."""

_AROUND_S = 0.1
_LEAST = 0.08
"""Peaks below this share of a loud one are not hits."""

_LOUD_QUANTILE = 0.9
_ABOVE_MEAN = 2.5
_RINGS_S = 0.35
_RINGING = 0.2
"""What follows a hit within its ringing below this share of it belongs to it."""

_HEARD = 1e-3
"""Strokes of a piece below this share of the strongest of all are what masks leave of nothing."""

_TINY = 1e-300


@dataclass(frozen=True, kw_only=True)
class HitLevels:
    """How hard a piece is struck in a recording, so that parts of it are judged alike.

    Parameters
    ----------
    loud : float > 0
        Level of a loud hit.
    strongest : float > 0
        That of the strongest.
    """

    loud: float
    strongest: float


def pick_peaks(
    activation: npt.NDArray[np.floating[Any]], frame_s: float, levels: HitLevels | None = None
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64]]:
    """Find the hits of one piece.

    Parameters
    ----------
    activation : np.ndarray [shape=(n_frames,)]
        How loud the piece begins at each frame.
    frame_s : float > 0
        Distance between frames in seconds.
    levels : HitLevels, optional
        Of the whole recording, where this is a part of it; by default as found here.

    Returns
    -------
    frames : np.ndarray of int [shape=(n,)]
        Increasing.
    strengths : np.ndarray [shape=(n,)]
        In (0, 1], relative to the strongest.
    """
    frames, found, _ = _peaks(activation, frame_s, levels)
    top = float(activation.max(initial=0.0))
    if levels is None or top <= 0.0:
        return frames, found / found.max(initial=_TINY)
    return frames, np.minimum(found * (top / levels.strongest), 1.0)


def hit_levels(activation: npt.NDArray[np.floating[Any]], frame_s: float) -> HitLevels | None:
    """How hard a piece is struck; None where it is not.

    Parameters
    ----------
    activation : np.ndarray [shape=(n_frames,)]
        How loud the piece begins at each frame.
    frame_s : float > 0
        Distance between frames in seconds.

    Returns
    -------
    HitLevels or None
    """
    _, found, loud = _peaks(activation, frame_s, None)
    if not found.size:
        return None
    top = float(activation.max())
    return HitLevels(loud=loud * top, strongest=float(found.max()) * top)


def _peaks(
    activation: npt.NDArray[np.floating[Any]], frame_s: float, levels: HitLevels | None
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64], float]:
    """Frames of hits, their levels and that of a loud one, relative to the largest activation."""
    from scipy.ndimage import maximum_filter1d, uniform_filter1d

    nothing = np.zeros(0, np.intp), np.zeros(0), 0.0
    top = float(activation.max(initial=0.0))
    if top <= 0.0:
        return nothing
    h = activation.astype(np.float64) / top
    # A hit between two frames is shared by both of them.
    level = h + np.append(h[1:], 0.0)
    near = max(1, round(_REFRACTORY_S / frame_s))
    around = max(1, round(_AROUND_S / frame_s))
    highest = maximum_filter1d(h, 2 * near + 1, mode="constant")
    mean = uniform_filter1d(h, 2 * around + 1, mode="constant")
    candidates = (h == highest) & (h > _ABOVE_MEAN * mean) & (h > 0.0)
    if not candidates.any():
        return nothing
    strong = level[candidates]
    if levels is None:
        loud = float(np.quantile(strong[strong >= _LEAST * strong.max()], _LOUD_QUANTILE))
    else:
        loud = levels.loud / top
    rings = max(near, round(_RINGS_S / frame_s))
    frames = np.flatnonzero(
        candidates & (level >= _LEAST * loud) & (level >= _RINGING * _before(level, near, rings))
    )
    # Equal neighbours are one hit.
    frames = frames[np.diff(frames, prepend=-near - 1) > near]
    return frames, level[frames], loud


def _before(level: npt.NDArray[np.float64], first: int, last: int) -> npt.NDArray[np.float64]:
    """Largest level from `last` to `first` frames before each frame."""
    from scipy.ndimage import maximum_filter1d

    width = last - first + 1
    padded = np.append(np.zeros(last + width), level)
    highest = maximum_filter1d(padded, width, mode="constant", origin=(width - 1) // 2)
    found: npt.NDArray[np.float64] = highest[last + width - first :][: len(level)]
    return found


def heard_pieces(strokes: npt.NDArray[np.floating[Any]]) -> list[bool]:
    """Which pieces are not silent beside the others; `strokes` is (n_pieces, n_frames)."""
    least = _HEARD * float(strokes.max(initial=0.0))
    return [bool(begun.max(initial=0.0) > least) for begun in strokes]


def find_onsets(
    strokes: npt.NDArray[np.floating[Any]],
    names: tuple[str, ...],
    frame_s: float,
    duration_s: float,
    levels: Sequence[HitLevels | None] | None = None,
) -> Onsets:
    """Find the hits of all pieces.

    Parameters
    ----------
    strokes : np.ndarray [shape=(n_pieces, n_frames)]
        How much of each piece begins at each frame.
    names : tuple of str
        One per piece.
    frame_s : float > 0
        Distance between frames in seconds.
    duration_s : float > 0
        Length of the recording in seconds.
    levels : sequence of HitLevels or None, optional
        One per piece, where this is a part of a recording; None for a piece that is not heard in
        all of it. By default as found here.

    Returns
    -------
    Onsets
        In order of time; none of a piece that is silent beside the others.
    """
    times, labels, strengths = [], [], []
    # The last frames reach beyond the recording, and what they hold was struck before its end.
    latest = max(0.0, duration_s - frame_s)
    heard = heard_pieces(strokes) if levels is None else [level is not None for level in levels]
    for index, name in enumerate(names):
        if not heard[index]:
            continue
        frames, found = pick_peaks(strokes[index], frame_s, levels[index] if levels else None)
        times += [min((frame + 1) * frame_s, latest) for frame in frames]
        labels += [name] * len(frames)
        strengths += list(found)
    order = np.argsort(np.array(times, dtype=np.float64), kind="stable")
    return Onsets(
        times_s=np.array(times, dtype=np.float64)[order],
        labels=tuple(labels[i] for i in order),
        strengths=np.array(strengths, dtype=np.float64)[order],
    )
