"""The pitch of a voice, where it sings, and whether there is a voice at all."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from audiosep.melody import (
    CENTS,
    in_usual_peaks,
    most_likely_path,
    most_likely_states,
    pitch_grid,
    pitch_salience,
    usual_peak,
)
from audiosep.methods._vocals_foreground import BLOCK_S, OVERLAP_S, Foreground
from audiosep.methods._vocals_learnt import near
from audiosep.methods._vocals_working import Working

__all__ = [
    "Track",
    "find_track",
    "fused_salience",
    "least_movement",
    "usual_levels",
    "voice_clues",
    "voice_evidence",
    "voice_presence",
    "voiced_frames",
    "without_strays",
]

_Matrix = npt.NDArray[np.float32]

_SALIENCE_S = 0.115
"""Window in which the partials of low voices stay apart."""

_FRAMES = 512
"""Frames that are worked on at once where whole recordings would need room for copies."""

_SMOOTH_S = 0.24
_VOICE_HZ = (150.0, 6000.0)
"""Where energies are compared: below are basses and kicks, above cymbals."""

_EVEN = -1.4
"""Evidence at which a voice is as likely as none."""

_NEW_NOTE_STEPS = 3
"""A track that moves by this many candidates from a frame to the next begins another contour."""

_OF_CONTOUR = 90.0
"""Which percentile of the evidence along a contour speaks for all of it."""

_STEEP = 4.0
_CHANGE_COST = 8.0

_STRAY_SEMITONES = 9.5
_STRAY_AROUND_S = 8.0
"""A contour this far below the median of the seconds around is a bass, not the voice."""

_SLACK_STEPS = 1
"""Between two candidates, and where a tone begins, the track of a steady tone moves by this."""

_MOVEMENT_WEIGHT = 45.0
_ENERGY_WEIGHT = 4.5
_PRESENCE_BIAS = 1.4
"""Logistic regression on singing and on music without, its middle moved towards singing."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Track:
    """A path through pitches.

    Parameters
    ----------
    path : np.ndarray of int [shape=(n_frames,)]
        Index of the pitch in each frame, whether it is sung or not.
    salience : np.ndarray [shape=(n_frames,)]
        Salience along the path; a usual peak is about one.
    pitches_hz : np.ndarray [shape=(n_pitches,)]
        The candidates.
    usual_peaks : tuple of float
        Peaks of the saliences that were taken for usual, see :func:`fused_salience`.
    """

    path: npt.NDArray[np.intp]
    salience: npt.NDArray[np.float64]
    pitches_hz: npt.NDArray[np.float64]
    usual_peaks: tuple[float, ...] = ()


def find_track(
    working: Working, foreground: Foreground, usual_peaks: tuple[float, ...] = ()
) -> Track:
    """Follow the pitch of the voice through what stands out.

    Parameters
    ----------
    working : Working
        The mixture.
    foreground : Foreground
        What stands out from the accompaniment.
    usual_peaks : tuple of float
        Those of the whole recording, where this is a part of it.

    Returns
    -------
    Track
    """
    pitches_hz = pitch_grid()
    salience, usual_peaks = fused_salience(working, foreground, pitches_hz, usual_peaks)
    path = most_likely_path(salience)
    along = salience[path, np.arange(len(path))].astype(np.float64)
    return Track(path=path, salience=along, pitches_hz=pitches_hz, usual_peaks=usual_peaks)


def fused_salience(
    working: Working,
    foreground: Foreground,
    pitches_hz: npt.NDArray[np.float64],
    usual_peaks: tuple[float, ...] = (),
) -> tuple[_Matrix, tuple[float, ...]]:
    """Sum of the saliences of two foregrounds: what fluctuates, and what all agree on.

    Parameters
    ----------
    working : Working
        The mixture.
    foreground : Foreground
        Shares of what stands out.
    pitches_hz : np.ndarray [shape=(n_pitches,)]
        Candidates.
    usual_peaks : tuple of float
        Those of the whole recording, where this is a part of it: its own are held near them.
        Empty, or zeros, where they are not known.

    Returns
    -------
    salience : np.ndarray [shape=(n_pitches, n_frames), dtype=float32]
        A usual peak is about one.
    usual_peaks : tuple of float
        Of what fluctuates and of what all agree on, at the level of the recording, and of their
        sum.
    """
    n_frames = working.V.shape[1]
    raw = np.zeros((2, n_frames, len(pitches_hz)), dtype=np.float32)
    for first, last, weights in working.blocks(BLOCK_S, OVERLAP_S):
        V, bin_hz = working.frames(working.signal(first, last), _SALIENCE_S)
        positions = np.arange(V.shape[1], dtype=np.float64) * (bin_hz / working.bin_hz)
        shares = (foreground.fluctuating[:, first:last], foreground.fused(first, last))
        for salience, share in zip(raw, shares, strict=True):
            heard = V * _at_bins(share.T, positions)
            here = pitch_salience(heard.T, bin_hz, pitches_hz)
            salience[first:last] += weights[:, np.newaxis] * here.T
    fluctuating, fused = (usual_peak(salience.T) for salience in raw)
    if usual_peaks and working.peak > 0.0:
        fluctuating = near(fluctuating, usual_peaks[0] / working.peak)
        fused = near(fused, usual_peaks[1] / working.peak)
    total = in_usual_peaks(raw[0].T, fluctuating) + in_usual_peaks(raw[1].T, fused)
    usual = usual_peak(total)
    if usual_peaks:
        usual = near(usual, usual_peaks[2])
    found = (fluctuating * working.peak, fused * working.peak, usual)
    return in_usual_peaks(total, usual), found


def _at_bins(frames: _Matrix, positions: npt.NDArray[np.float64]) -> _Matrix:
    """Read between the bins of a matrix, frames first, by linear interpolation."""
    positions = np.minimum(positions, frames.shape[1] - 1)
    low = positions.astype(np.intp)
    high = np.minimum(low + 1, frames.shape[1] - 1)
    part = (positions - low).astype(np.float32)
    between: _Matrix = frames[:, low] * (1 - part) + frames[:, high] * part
    return between


def voice_clues(
    working: Working, foreground: Foreground, track: Track, modelled: _Matrix
) -> npt.NDArray[np.float64]:
    """Collect for each frame what may speak for a voice.

    Salience along the track, and the amplitudes of what all foregrounds agree on, of what
    fluctuates, and of the model.

    Parameters
    ----------
    working : Working
        The mixture.
    foreground : Foreground
        Shares of what stands out.
    track : Track
        The pitch.
    modelled : np.ndarray [shape=(n_bins, n_frames)]
        Share of a voice that sings along the track all the time.

    Returns
    -------
    np.ndarray [shape=(4, n_frames)]
        Running medians, at the level of the working mixture.
    """
    length = max(1, 2 * round(_SMOOTH_S / working.frame_s / 2) + 1)
    band = _voice_band(working)
    clues = np.empty((4, len(track.salience)))
    clues[0] = track.salience
    for first in range(0, clues.shape[1], _FRAMES):
        last = min(first + _FRAMES, clues.shape[1])
        here = slice(first, last)
        V = working.V[band, here]
        shares = (foreground.fused(first, last), foreground.fluctuating[:, here], modelled[:, here])
        for clue, share in zip(clues[1:], shares, strict=True):
            clue[here] = np.sqrt(((share[band] * V) ** 2).sum(axis=0, dtype=np.float64))
    return np.stack([_smoothed(clue, length) for clue in clues])


def usual_levels(clues: npt.NDArray[np.float64]) -> tuple[float, ...]:
    """Return the 90th percentile of each clue."""
    return tuple(float(np.percentile(clue, 90.0)) for clue in clues)


def voice_evidence(
    clues: npt.NDArray[np.float64], track: Track, usual: tuple[float, ...]
) -> npt.NDArray[np.float64]:
    """Weigh for each frame how much speaks for a voice.

    Half of it is local, half that of the best frames of the same unbroken contour. What is local
    is the mean of the logarithms of all clues, each relative to its usual level.

    Parameters
    ----------
    clues : np.ndarray [shape=(4, n_frames)]
        From :func:`voice_clues`.
    track : Track
        The pitch.
    usual : tuple of float
        From :func:`usual_levels`.

    Returns
    -------
    np.ndarray [shape=(n_frames,)]
        At most a little above zero; about -0.7 where a voice sings, -2 where none does.
    """
    levels = np.stack(
        [_in_usual_levels(clue, level) for clue, level in zip(clues, usual, strict=True)]
    )
    local: npt.NDArray[np.float64] = levels.mean(axis=0)
    return 0.5 * (local + _along_contours(local, track.path))


def _along_contours(
    evidence: npt.NDArray[np.float64], path: npt.NDArray[np.intp]
) -> npt.NDArray[np.float64]:
    """Give all frames of a contour what its best frames say: a held note is sung to its end."""
    spread = np.empty_like(evidence)
    for first, last in _contours(path, np.ones(len(path), dtype=bool)):
        spread[first:last] = np.percentile(evidence[first:last], _OF_CONTOUR)
    return spread


def _contours(path: npt.NDArray[np.intp], voiced: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Voiced stretches without a leap as (first, one past the last)."""
    leaps = np.abs(np.diff(path)) >= _NEW_NOTE_STEPS
    edges = np.flatnonzero(leaps | (voiced[1:] != voiced[:-1])) + 1
    stretches = pairwise([0, *edges.tolist(), len(path)])
    return [(first, last) for first, last in stretches if voiced[first]]


def _voice_band(working: Working) -> npt.NDArray[np.bool_]:
    hz = np.arange(working.V.shape[0]) * working.bin_hz
    band: npt.NDArray[np.bool_] = (hz > _VOICE_HZ[0]) & (hz < _VOICE_HZ[1])
    return band


def _smoothed(values: npt.NDArray[np.float64], length: int) -> npt.NDArray[np.float64]:
    from scipy import ndimage

    smooth: npt.NDArray[np.float64] = ndimage.median_filter(values, length, mode="nearest")
    return smooth


def _in_usual_levels(values: npt.NDArray[np.float64], usual: float) -> npt.NDArray[np.float64]:
    ratios = values / usual if usual > 0.0 else np.zeros_like(values)
    levels: npt.NDArray[np.float64] = np.log(ratios + 1e-3)
    return levels


def voiced_frames(evidence: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Decide where a voice sings; short changes must be well founded."""
    odds = _STEEP * (evidence - _EVEN)
    return most_likely_states(odds, enter_cost=_CHANGE_COST, leave_cost=_CHANGE_COST)


def without_strays(
    track: Track, voiced: npt.NDArray[np.bool_], frame_s: float
) -> npt.NDArray[np.bool_]:
    """Leave out contours far below what is sung around: in pauses a bass is followed instead.

    What is far above is often sung, and stays.

    Parameters
    ----------
    track : Track
        The pitch.
    voiced : np.ndarray of bool [shape=(n_frames,)]
        Where it is taken to be sung.
    frame_s : float > 0
        Distance between frames in seconds.

    Returns
    -------
    np.ndarray of bool [shape=(n_frames,)]
        The same without contours whose median is more than 9.5 semitones below that of the
        voiced frames within 8 s before and after their middle.
    """
    reach = max(1, round(_STRAY_AROUND_S / frame_s))
    limit = _STRAY_SEMITONES * 100.0 / CENTS
    kept = voiced.copy()
    for first, last in _contours(track.path, voiced):
        middle = (first + last) // 2
        around = slice(max(0, middle - reach), middle + reach + 1)
        usual = np.median(track.path[around][voiced[around]])
        if usual - np.median(track.path[first:last]) > limit:
            kept[first:last] = False
    return kept


def voice_presence(
    working: Working, track: Track, voiced: npt.NDArray[np.bool_], modelled: _Matrix
) -> float:
    """Say how likely there is a singing voice at all.

    Two things tell a voice from an instrument that was followed in its place: a voice glides and
    trembles within its notes, and it carries much of the energy. Both are weighed by a logistic
    function, whose middle is set so that the loudest instruments stay well below it: weak voices
    are missed rather than instruments taken for voices. What moves by no more than 25 cents to
    either side does not count as movement, see :func:`least_movement`.

    Parameters
    ----------
    working : Working
        The mixture.
    track : Track
        The pitch.
    voiced : np.ndarray of bool [shape=(n_frames,)]
        Where it is taken to be sung.
    modelled : np.ndarray [shape=(n_bins, n_frames)]
        Share of a voice that sings along the track all the time.

    Returns
    -------
    float
        From 0 to 1; zero where nothing is sung.
    """
    contours = _contours(track.path, voiced)
    n_moves = sum(last - first - 1 for first, last in contours)
    if n_moves == 0:
        return 0.0
    moved = sum(least_movement(track.path[first:last], _SLACK_STEPS) for first, last in contours)
    kilocents_per_s = moved / n_moves * CENTS / 1000.0 / working.frame_s
    band = _voice_band(working)
    V = working.V[band]
    energy = float((V**2).sum(dtype=np.float64))
    sung = float(((modelled[band] * V) ** 2).sum(dtype=np.float64)) / energy if energy > 0 else 0.0
    odds = (
        _MOVEMENT_WEIGHT * kilocents_per_s + _ENERGY_WEIGHT * math.log(sung + 0.01) - _PRESENCE_BIAS
    )
    return 1.0 / (1.0 + math.exp(-max(odds, -700.0)))


def least_movement(path: npt.NDArray[np.intp], slack: int) -> int:
    """Return how much a curve must move at least that is nowhere far from a path.

    A steady tone between two candidate pitches flickers, and slides where it begins; a curve that
    keeps within `slack` of it can stand still, but none within a vibrato or a glide can.

    Parameters
    ----------
    path : np.ndarray of int [shape=(n_frames,)]
        At least one frame.
    slack : int >= 0
        How far the curve may be from the path in each frame; with 0 it is the path.

    Returns
    -------
    int
        Sum of the absolute steps of the curve that moves least.
    """
    moved = 0
    # From low to high all positions cost the same so far: moving late is never worse.
    low, high = int(path[0]) - slack, int(path[0]) + slack
    for position in path.tolist():
        if position - slack > high:
            moved += position - slack - high
            low = high = position - slack
        elif position + slack < low:
            moved += low - position - slack
            low = high = position + slack
        else:
            low, high = max(low, position - slack), min(high, position + slack)
    return moved
