"""Melody: how strongly each pitch sounds, the most likely path through pitches, where it is voiced.

Salience is a weighted sum over the partials of every candidate pitch; the melody is the path with
the highest sum of saliences that moves smoothly, found by dynamic programming. Several saliences,
for example of differently cleaned spectrograms, may be added up before.

References
----------
.. [1] A. P. Klapuri (2006), "Multiple fundamental frequency estimation by summing harmonic
   amplitudes", ISMIR: sums over partials with falling weights.
.. [2] J. Salamon and E. Gómez (2012), "Melody extraction from polyphonic music signals using pitch
   contour characteristics", IEEE TASLP 20(6): salience with geometric weights.
.. [3] J.-L. Durrieu, G. Richard, B. David and C. Févotte (2010), "Source/filter model for
   unsupervised main melody extraction from polyphonic audio signals", IEEE TASLP 18(3): the path
   by dynamic programming.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from audiosep.errors import ParameterError

__all__ = [
    "CENTS",
    "HIGHEST_HZ",
    "LOWEST_HZ",
    "in_usual_peaks",
    "most_likely_path",
    "most_likely_states",
    "pitch_grid",
    "pitch_salience",
    "usual_peak",
]

_Matrix = npt.NDArray[np.float32]

LOWEST_HZ = 80.0
HIGHEST_HZ = 900.0
"""Range of sung pitches."""

CENTS = 25.0
"""Distance of the candidate pitches; a semitone has 100."""

N_PARTIALS = 16
_PARTIAL_WEIGHT = 0.85
_SMOOTH_HZ = 320.0
"""Salience counts what rises above the mean over this range of frequencies."""

STEP_COST = 0.08
"""Of moving by one candidate from one frame to the next, in units of a usual peak."""

MOST_STEPS = 12
JUMP_COST = 2.5

_BLOCK_FRAMES = 1024


def pitch_grid(
    lowest_hz: float = LOWEST_HZ, highest_hz: float = HIGHEST_HZ, cents: float = CENTS
) -> npt.NDArray[np.float64]:
    """Return pitches at equal ratios.

    Parameters
    ----------
    lowest_hz, highest_hz : float > 0
        Ends of the range in Hz; the upper end is left out unless it is on the grid.
    cents : float > 0
        Distance between neighbours; 1200 make an octave.

    Returns
    -------
    np.ndarray [shape=(n_pitches,)]
        In Hz, increasing; at least one.

    Raises
    ------
    ParameterError
        If the range is empty or the distance not positive.

    Examples
    --------
    >>> pitch_grid(100.0, 200.0, 400.0).round(1).tolist()
    [100.0, 126.0, 158.7, 200.0]
    """
    if not (0 < lowest_hz <= highest_hz and cents > 0):
        raise ParameterError(
            f"pitches from {lowest_hz} to {highest_hz} Hz every {cents} cents cannot be laid out."
        )
    n_pitches = 1 + math.floor(1200.0 / cents * math.log2(highest_hz / lowest_hz) + 1e-9)
    octaves = np.arange(n_pitches, dtype=np.float64) * (cents / 1200.0)
    return np.asarray(lowest_hz * np.exp2(octaves), dtype=np.float64)


def pitch_salience(V: npt.ArrayLike, bin_hz: float, pitches_hz: npt.NDArray[np.float64]) -> _Matrix:
    """Return how strongly each pitch sounds in each frame: a weighted sum over its partials.

    ``S(p, n) = Σ_h 0.85^(h-1) A(h f_p, n)``, h = 1 ... 16, where A is what rises above the mean
    over 320 Hz of frequency around, between bins by linear interpolation. Partials above the
    last bin count nothing.

    Parameters
    ----------
    V : array_like [shape=(n_bins, n_frames)]
        Magnitudes, non-negative. A window of about 128 ms tells partials of low voices apart.
    bin_hz : float > 0
        Distance between bins in Hz.
    pitches_hz : np.ndarray [shape=(n_pitches,)]
        Candidate pitches, see :func:`pitch_grid`.

    Returns
    -------
    np.ndarray [shape=(n_pitches, n_frames), dtype=float32]
        Non-negative, proportional to V; see :func:`in_usual_peaks`. Its transpose is C-contiguous.

    Raises
    ------
    ParameterError
        If V is no matrix or `bin_hz` is not positive.
    """
    from scipy import ndimage

    frames = np.asarray(V, dtype=np.float32).T
    if frames.ndim != 2 or frames.shape[1] == 0 or not bin_hz > 0:
        raise ParameterError(f"salience needs a matrix of bins of positive width, got {bin_hz} Hz.")
    n_frames, n_bins = frames.shape
    width = max(3, 2 * round(_SMOOTH_HZ / bin_hz / 2) + 1)
    weights = _partial_weights(pitches_hz, bin_hz, n_bins)
    salience = np.empty((n_frames, len(pitches_hz)), dtype=np.float32)
    for first in range(0, n_frames, _BLOCK_FRAMES):
        block = frames[first : first + _BLOCK_FRAMES]
        above = block - ndimage.uniform_filter1d(block, width, axis=1, mode="nearest")
        np.maximum(above, 0.0, out=above)
        np.matmul(above, weights, out=salience[first : first + _BLOCK_FRAMES])
    return salience.T


def _partial_weights(
    pitches_hz: npt.NDArray[np.float64], bin_hz: float, n_bins: int
) -> npt.NDArray[np.float32]:
    """Weight of each bin in the salience of each pitch, (n_bins, n_pitches)."""
    weights = np.zeros((n_bins + 1, len(pitches_hz)))
    columns = np.arange(len(pitches_hz))
    for partial in range(1, N_PARTIALS + 1):
        position = partial * pitches_hz / bin_hz
        inside = position < n_bins - 1
        low = position[inside].astype(np.intp)
        part = position[inside] - low
        gain = _PARTIAL_WEIGHT ** (partial - 1)
        np.add.at(weights, (low, columns[inside]), gain * (1.0 - part))
        np.add.at(weights, (low + 1, columns[inside]), gain * part)
    return weights[:n_bins].astype(np.float32)


def usual_peak(salience: _Matrix) -> float:
    """Return the 90th percentile of the maxima of a salience's frames.

    Parameters
    ----------
    salience : np.ndarray [shape=(n_pitches, n_frames)]
        Non-negative.

    Returns
    -------
    float
        The largest of all where the percentile is zero.
    """
    peaks = salience.max(axis=0)
    return float(np.percentile(peaks, 90.0)) or float(peaks.max())


def in_usual_peaks(salience: _Matrix, usual: float | None = None) -> _Matrix:
    """Divide a salience by its usual peak; zeros stay zeros.

    Parameters
    ----------
    salience : np.ndarray [shape=(n_pitches, n_frames)]
        Non-negative.
    usual : float >= 0, optional
        By default :func:`usual_peak` of the salience.

    Returns
    -------
    np.ndarray [shape=(n_pitches, n_frames), dtype=float32]
    """
    if usual is None:
        usual = usual_peak(salience)
    return salience / np.float32(usual) if usual > 0.0 else salience


def most_likely_path(
    salience: _Matrix,
    *,
    step_cost: float = STEP_COST,
    most_steps: int = MOST_STEPS,
    jump_cost: float = JUMP_COST,
) -> npt.NDArray[np.intp]:
    """Return the path with the largest sum of saliences less the cost of its moves.

    From one frame to the next a path may move by up to `most_steps` pitches, at a cost for each,
    or jump anywhere at a fixed cost.

    Parameters
    ----------
    salience : np.ndarray [shape=(n_pitches, n_frames)]
        Of a usual peak of about one, see :func:`in_usual_peaks`.
    step_cost : float >= 0
        Cost of a move by one pitch.
    most_steps : int >= 0
        Longest move that is no jump.
    jump_cost : float >= 0
        Cost of a jump.

    Returns
    -------
    np.ndarray [shape=(n_frames,), dtype=int]
        Index of the pitch in each frame. Of equal paths the one that moves less.
    """
    n_pitches, n_frames = salience.shape
    # Moves in order of their cost, so that of equal ones the shortest is found first.
    moves = np.array(sorted(range(-most_steps, most_steps + 1), key=lambda move: (abs(move), move)))
    costs = (step_cost * np.abs(moves)).astype(np.float64)
    padded = np.full(n_pitches + 2 * most_steps, -np.inf)
    middle = padded[most_steps : most_steps + n_pitches]
    sources = np.arange(n_pitches)[:, np.newaxis] + (moves + most_steps)[np.newaxis, :]
    came_from = np.empty((n_frames, n_pitches), dtype=np.int32)
    states = np.arange(n_pitches)
    frames = np.ascontiguousarray(salience.T, dtype=np.float64)
    score = frames[0].copy()
    for frame in range(1, n_frames):
        middle[:] = score
        candidates = padded[sources] - costs
        best = candidates.argmax(axis=1)
        reached = candidates[states, best]
        top = int(score.argmax())
        jumped = score[top] - jump_cost > reached
        came_from[frame] = np.where(jumped, top, states + moves[best])
        score = np.where(jumped, score[top] - jump_cost, reached) + frames[frame]
    path = np.empty(n_frames, dtype=np.intp)
    path[-1] = int(score.argmax())
    for frame in range(n_frames - 1, 0, -1):
        path[frame - 1] = came_from[frame, path[frame]]
    return path


def most_likely_states(
    log_odds: npt.ArrayLike, *, enter_cost: float, leave_cost: float
) -> npt.NDArray[np.bool_]:
    """Decide for each frame between off and on, with costs for changing.

    The best of all sequences of a two-state hidden Markov model (Viterbi's algorithm).

    Parameters
    ----------
    log_odds : array_like [shape=(n_frames,)]
        Logarithm of how much likelier on is than off.
    enter_cost, leave_cost : float >= 0
        Costs of turning on and off: negative logarithms of the odds of a change.

    Returns
    -------
    np.ndarray of bool [shape=(n_frames,)]
        Off where both are equally likely throughout.
    """
    odds = np.asarray(log_odds, dtype=np.float64)
    off, on = 0.0, 0.0
    came_on = np.zeros((len(odds), 2), dtype=bool)
    for frame, value in enumerate(odds):
        came_on[frame] = (on - leave_cost > off, on >= off - enter_cost)
        off, on = max(off, on - leave_cost), max(on, off - enter_cost) + value
    states = np.empty(len(odds), dtype=bool)
    state = on > off
    for frame in range(len(odds) - 1, -1, -1):
        states[frame] = state
        state = came_on[frame, int(state)]
    return states
