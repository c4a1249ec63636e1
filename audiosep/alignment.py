"""When in a recording the notes of a score sound, and how it is tuned.

A score says when its notes would be played; a performance begins later, or is faster, or slows
down. Both are turned into the same picture, levels of semitone bands over time, the score's by
giving each note a plain harmonic spectrum. First one shift and one tempo are found for the whole,
then a slow path around them, by dynamic programming on likeness that is averaged over seconds:
single notes may be early or late without moving it.

References
----------
.. [1] M. Müller (2015), "Fundamentals of Music Processing", Springer, chapters 3 and 7: features
   for synchronisation, time warping. We deviate in looking for a slow deviation from one tempo
   instead of a free path, which scores with inexact notes would lead astray.
.. [2] S. Ewert and M. Müller (2012), "Using score-informed constraints for NMF-based source
   separation", ICASSP: alignment before separation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Any

import numpy as np
import numpy.typing as npt

from audiosep.rolls import COARSE, Bands, Part, Roll, contrast, pooled_steps
from audiosep.tuning import tuning_from, tuning_of
from audiosep.types import Spectrogram

__all__ = ["LONGEST_S", "Alignment", "align_notes", "align_parts"]

_Matrix = npt.NDArray[np.float32]
_Vector = npt.NDArray[np.float64]

_TEMPOS = np.exp(np.linspace(np.log(0.8), np.log(1.25), 46))
"""Seconds of the recording for one of the score that are tried."""

_BONUS = 1.1
"""A place far from where the score says must be this much more alike ..."""

_NEAR_S = 3.0
_NEAR_TEMPO = 1.08
"""... than those within 3 s of it and 8 % of its tempo."""

_LIKELY = 0.3
_SURE = 0.5
_TRANSPOSITIONS = (-1, 1, -2, 2)
"""Semitones that are tried where the score is not much alike: old pitch, instruments in B flat."""

_BONUS_AS_WRITTEN = 1.2
"""Another tuning must be this much more alike than the written one."""

_LONGEST = 3.0
"""Durations of the recording that a score may go on for; what comes later is not looked at."""

_WINDOW_S = 2.0
"""Likeness is averaged over this standard deviation: a few notes of any music."""

_REACH_S = 2.0
_FAR = 0.02
"""How far the path may be from one tempo: 2 s, or 2 % of a long recording."""

_LONG_S = 102.0
"""From here on tempi are told apart in steps that grow with the recording, ..."""

_PLACES = 500
"""... so many for all of it: the tempi that are tried part by half a percent."""

_MOST_LAGS = 256
_REFINING = 4.0
"""Coarse steps that the path may move where it is followed in fine ones."""

_MOST_STEPS = 60_000
"""Recordings are looked at in at most so many steps: 45 minutes of 50 ms, ..."""

LONGEST_S = 6 * 3600.0
"""... and six hours of a third of a second, which is what a note may be off."""

_SLOPE_COST = 0.05
_SMOOTH_S = 2.0
_KNOT = 10
_LITTLE = 0.1


@dataclass(frozen=True, kw_only=True, eq=False)
class Alignment:
    """From the time of a score to that of a recording.

    Parameters
    ----------
    score_s, recording_s : np.ndarray [shape=(n,), dtype=float64]
        Times that belong together, both increasing; at least two.
    tuning_hz : float
        Frequency of the A that the score writes above middle C.
    likeness : float
        Correlation of score and recording, -1 to 1; below about 0.2 the score is of another piece.
    """

    score_s: _Vector
    recording_s: _Vector
    tuning_hz: float
    likeness: float

    @property
    def tempo(self) -> float:
        """Mean seconds of the recording for each second of the score."""
        return float(np.polyfit(self.score_s, self.recording_s, 1)[0])

    @property
    def offset_s(self) -> float:
        """Mean time by which the recording is later."""
        return float(np.mean(self.recording_s - self.score_s))

    def at(self, score_s: npt.ArrayLike) -> _Vector:
        """Find where times of the score lie in the recording.

        Parameters
        ----------
        score_s : array_like
            Seconds of the score.

        Returns
        -------
        np.ndarray [dtype=float64]
            Seconds of the recording, as many: interpolated between the known ones, and before and
            after them at the mean tempo.
        """
        x, y = self.score_s, self.recording_s
        times = np.asarray(score_s, dtype=np.float64)
        inside = np.interp(times, x, y)
        tempo = self.tempo
        inside = np.where(times < x[0], y[0] + (times - x[0]) * tempo, inside)
        return np.asarray(np.where(times > x[-1], y[-1] + (times - x[-1]) * tempo, inside))


def align_notes(
    spectrogram: Spectrogram,
    V: _Matrix,
    starts_s: npt.ArrayLike,
    ends_s: npt.ArrayLike,
    pitches: npt.ArrayLike,
) -> Alignment:
    """Find when the notes of a score sound in a recording.

    Parameters
    ----------
    spectrogram : Spectrogram
        Of the recording.
    V : np.ndarray [shape=(n_bins, n_frames), dtype=float32]
        Its magnitudes.
    starts_s, ends_s : array_like [shape=(n_notes,)]
        In seconds of the score.
    pitches : array_like [shape=(n_notes,)]
        MIDI numbers.

    Returns
    -------
    Alignment
        The score as it stands where nothing can be compared: no note, silence, under a second.
    """
    tuning = tuning_of(spectrogram, V)
    bands = Bands.of(spectrogram, tuning)
    duration = spectrogram.n_samples / spectrogram.sr
    return _best(bands, bands.of_recording(V), duration, starts_s, ends_s, pitches)


def align_parts(
    parts: Sequence[Part],
    duration_s: float,
    starts_s: npt.ArrayLike,
    ends_s: npt.ArrayLike,
    pitches: npt.ArrayLike,
) -> Alignment:
    """As :func:`align_notes`, for a long recording that was heard part by part.

    Parameters
    ----------
    parts : sequence of Part
        All of it, in order; at least one.
    duration_s : float > 0
        Of all parts.
    starts_s, ends_s, pitches : array_like [shape=(n_notes,)]
        As for :func:`align_notes`.

    Returns
    -------
    Alignment
    """
    tuning = tuning_from(sum(part.peaks for part in parts))
    n_steps = sum(len(part.levels) for part in parts)
    factor = ceil(n_steps / _MOST_STEPS)
    bands = replace(parts[0].bands, tuning_hz=tuning).coarser(factor)
    levels = np.empty((n_steps // factor, len(bands.pooling)), dtype=np.float32)
    at, left = 0, np.empty((0, levels.shape[1]), dtype=np.float32)
    for part in parts:
        left = np.concatenate([left, part.levels.astype(np.float32) * np.float32(part.largest)])
        n = len(left) // factor
        if n:
            levels[at : at + n] = pooled_steps(left, factor)
        at, left = at + n, left[n * factor :]
    return _best(bands, levels, duration_s, starts_s, ends_s, pitches)


def _best(
    bands: Bands,
    levels: _Matrix,
    duration: float,
    starts_s: npt.ArrayLike,
    ends_s: npt.ArrayLike,
    pitches: npt.ArrayLike,
) -> Alignment:
    """As written, or transposed; `levels` are those of the recording."""
    starts, ends = (np.asarray(x, dtype=np.float64) for x in (starts_s, ends_s))
    numbers = np.asarray(pitches, dtype=np.int64)
    unmoved = Alignment(
        score_s=np.array([0.0, max(duration, 1.0)]),
        recording_s=np.array([0.0, max(duration, 1.0)]),
        tuning_hz=bands.tuning_hz,
        likeness=0.0,
    )
    if starts.size == 0 or duration < 1.0:
        return unmoved
    if not len(bands.pooling):  # a rate too low for any tone
        return unmoved
    heard = contrast(levels)
    if not heard.any():
        return unmoved
    best = _aligned(bands, starts, ends, numbers, heard)
    if best.likeness < _SURE:
        for shift in _TRANSPOSITIONS:
            other = _aligned(bands.transposed(shift), starts, ends, numbers, heard)
            if other.likeness > max(_LIKELY, _BONUS_AS_WRITTEN * best.likeness):
                best = other
    return best


def _aligned(
    bands: Bands,
    starts: _Vector,
    ends: _Vector,
    pitches: npt.NDArray[np.int64],
    heard: _Matrix,
) -> Alignment:
    written = Roll(bands, starts, ends, pitches)
    tempo, shift = _place(written, heard, len(heard) * bands.step_s)
    return _path(written, heard, tempo, shift, bands.tuning_hz)


def _place(written: Roll, heard: _Matrix, duration: float) -> tuple[float, float]:
    """Seconds of the recording for one of the score, and where in it the first note stands."""
    from scipy import fft

    more = 1
    if duration > _LONG_S:
        more = max(1, round(duration / _PLACES / (written.step_s * COARSE)))
    step_s = written.step_s * COARSE * more
    coarse = pooled_steps(pooled_steps(heard), more)
    n = len(coarse)
    near_s = max(_NEAR_S, 2 * step_s)
    longest_s = _LONGEST * duration + 60.0
    size = fft.next_fast_len(n + written.n_steps(float(_TEMPOS[-1]), step_s, longest_s), real=True)
    spectrum = fft.rfft(coarse, size, axis=0)
    best = (-np.inf, 1.0, written.begin)
    for tempo in _TEMPOS.tolist():
        roll = pooled_steps(written.at(tempo, step_s / more, longest_s), more)
        cross = np.zeros(len(spectrum), dtype=np.complex128)
        for band in range(roll.shape[1]):  # one by one: all together would need much room
            cross += spectrum[:, band] * np.conj(fft.rfft(roll[:, band], size))
        lags = np.arange(-(len(roll) - 1), n)
        values = fft.irfft(cross, size)[lags]
        if 1.0 / _NEAR_TEMPO <= tempo <= _NEAR_TEMPO:
            near = np.abs(lags * step_s - written.begin * tempo) <= near_s
            near |= np.abs(lags * step_s - written.begin) <= near_s
            values[near] *= _BONUS
        at = int(np.argmax(values))
        if values[at] > best[0]:
            best = (float(values[at]), tempo, float(lags[at] * step_s))
    return best[1], best[2]


def _path(written: Roll, heard: _Matrix, tempo: float, shift: float, tuning_hz: float) -> Alignment:
    """Follow slow deviations from one tempo, in long recordings in coarse steps first."""
    length_s = len(heard) * written.step_s
    longest_s = length_s + max(0.0, -shift) + 1.0
    roll = written.at(tempo, written.step_s, longest_s)
    rows = np.arange(len(roll), dtype=np.float64)
    expected, reach_s, far_s = rows + shift / written.step_s, _REACH_S, _FAR * length_s
    if far_s > _REACH_S:
        step_s = written.step_s * COARSE
        more = ceil(2 * far_s / step_s / _MOST_LAGS)
        far = pooled_steps(written.at(tempo, step_s, longest_s), more)
        factor, step_s = COARSE * more, step_s * more
        places = np.arange(len(far), dtype=np.float64) + shift / step_s
        moved, _ = _follow(far, pooled_steps(pooled_steps(heard), more), places, far_s, step_s)
        expected += np.interp(rows / factor, np.arange(len(far)), moved - places) * factor
        reach_s = max(reach_s, _REFINING * step_s)
    places, likeness = _follow(roll, heard, expected, reach_s, written.step_s)
    knots = np.unique(np.r_[np.arange(0, rows.size, _KNOT), rows.size - 1])
    if knots.size < 2:  # a score of one short note
        knots, places = np.array([0, 1]), places[0] + np.arange(2.0)
    return Alignment(
        score_s=written.begin + knots * written.step_s / tempo,
        recording_s=places[knots] * written.step_s,
        tuning_hz=tuning_hz,
        likeness=likeness,
    )


def _follow(
    roll: _Matrix, heard: _Matrix, expected: _Vector, reach_s: float, step_s: float
) -> tuple[_Vector, float]:
    """Where in the recording each row of the score lies, and how alike both are there.

    `expected` are places in rows of the recording, from which they differ by `reach_s` at most.
    """
    from scipy.ndimage import gaussian_filter1d

    reach = round(reach_s / step_s)
    lags = np.arange(-reach, reach + 1)
    base = np.rint(expected).astype(np.int64)
    power = np.einsum("nb,nb->n", heard, heard)
    cross, energy = np.zeros((2, len(roll), lags.size), dtype=np.float32)
    for column, lag in enumerate(lags):
        at = base + lag
        inside = np.flatnonzero((at >= 0) & (at < len(heard)))
        cross[inside, column] = np.einsum("nb,nb->n", roll[inside], heard[at[inside]])
        energy[inside, column] = power[at[inside]]
    window = _WINDOW_S / step_s
    cross = gaussian_filter1d(cross, window, axis=0, mode="nearest")
    energy = gaussian_filter1d(energy, window, axis=0, mode="nearest")
    own = gaussian_filter1d(np.einsum("nb,nb->n", roll, roll), window, mode="nearest")
    scale = np.sqrt(np.maximum(energy, 0.0) * np.maximum(own, 0.0)[:, np.newaxis])
    typical = float(scale.mean())
    # Where there is little to compare, nothing speaks for any place.
    local = cross / (scale + _LITTLE * typical + 1e-12)
    chosen = _best_path(local, _SLOPE_COST)
    rows = np.arange(len(roll))
    there = base + lags[chosen]
    used = (there >= 0) & (there < len(heard))
    likeness = float(local[rows, chosen][used].mean()) if used.any() else 0.0
    deviation = gaussian_filter1d(
        lags[chosen].astype(np.float64), _SMOOTH_S / step_s, mode="nearest"
    )
    return expected + deviation, likeness


def _best_path(local: npt.NDArray[Any], slope_cost: float) -> npt.NDArray[np.intp]:
    """Column for each row with the largest sum; neighbouring rows differ by one at most."""
    n, width = local.shape
    best = local[0].astype(np.float64)
    came = np.zeros((n, width), dtype=np.int8)
    options = np.full((3, width), -np.inf)
    for row in range(1, n):
        options[0, 1:] = best[:-1] - slope_cost
        options[1] = best
        options[2, :-1] = best[1:] - slope_cost
        choice = options.argmax(axis=0)
        came[row] = choice - 1
        best = np.take_along_axis(options, choice[np.newaxis], axis=0)[0] + local[row]
    path = np.empty(n, dtype=np.intp)
    path[-1] = int(best.argmax())
    for row in range(n - 1, 0, -1):
        path[row - 1] = path[row] + came[row, path[row]]
    return path
