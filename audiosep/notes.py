"""A melody's curve as notes: steady stretches of voice on the nearest semitones."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from audiosep.tuning import A4_HZ
from audiosep.types import Melody

__all__ = ["Note", "notes_of"]

SHORTEST_NOTE_S = 0.08
"""Shorter stretches are slides between notes, and belong to what follows."""

_SMOOTH_S = 0.1
"""A vibrato of five cycles a second must not become a trill."""

_A4 = 69
_LOWEST, _HIGHEST = 0, 127


@dataclass(frozen=True, kw_only=True)
class Note:
    """A note.

    Parameters
    ----------
    start_s, end_s : float
        When it begins and ends, in seconds.
    pitch : int
        MIDI number, 0 to 127; 69 is 440 Hz.
    strength : float
        0 to 1.
    """

    start_s: float
    end_s: float
    pitch: int
    strength: float


def notes_of(melody: Melody) -> tuple[Note, ...]:
    """Cut a melody into notes.

    Each voiced stretch is smoothed over 0.1 s and rounded to semitones; a stretch on one semitone
    that is shorter than 80 ms joins the longer one of its neighbours.

    Parameters
    ----------
    melody : Melody
        Equally spaced in time.

    Returns
    -------
    tuple of Note
        In order, never overlapping; none where nothing is voiced for 80 ms.
    """
    if melody.times_s.size < 2:
        return ()
    frame_s = float(np.median(np.diff(melody.times_s)))
    notes: list[Note] = []
    for first, last in _runs(melody.voiced.astype(np.int64), wanted=1):
        pitches = _semitones(melody.f0_hz[first:last], frame_s)
        for begin, end in _steady(pitches, max(1, round(SHORTEST_NOTE_S / frame_s))):
            a, b = first + begin, first + end
            if (b - a) * frame_s < SHORTEST_NOTE_S:
                continue
            start = max(0.0, float(melody.times_s[a]) - 0.5 * frame_s)
            notes.append(
                Note(
                    start_s=start,
                    end_s=float(melody.times_s[b - 1]) + 0.5 * frame_s,
                    pitch=int(np.median(pitches[begin:end])),
                    strength=float(melody.strengths[a:b].mean()),
                )
            )
    return tuple(notes)


def _semitones(f0_hz: npt.NDArray[np.float64], frame_s: float) -> npt.NDArray[np.int64]:
    """Nearest MIDI numbers of a smoothed pitch curve without gaps."""
    exact = _A4 + 12.0 * np.log2(f0_hz / A4_HZ)
    half = min(round(_SMOOTH_S / frame_s / 2), exact.size // 2)
    if half > 0:
        padded = np.pad(exact, half, mode="edge")
        exact = np.convolve(padded, np.full(2 * half + 1, 1.0 / (2 * half + 1)), mode="valid")
    return np.clip(np.rint(exact), _LOWEST, _HIGHEST).astype(np.int64)


def _runs(values: npt.NDArray[np.int64], wanted: int | None = None) -> list[tuple[int, int]]:
    """Stretches of equal values as (first, one past the last)."""
    edges = [0, *(np.flatnonzero(np.diff(values)) + 1).tolist(), values.size]
    runs = list(pairwise(edges))
    return [run for run in runs if wanted is None or values[run[0]] == wanted]


def _steady(pitches: npt.NDArray[np.int64], shortest: int) -> list[tuple[int, int]]:
    """Stretches of one pitch, short ones given to their longer neighbour.

    The shortest first: it is the surest slide, and its neighbours grow. Of equally short ones the
    first. A heap and links to the neighbours make n log n of what would be quadratic.
    """
    runs = _runs(pitches)
    firsts, lasts = ([run[side] for run in runs] for side in (0, 1))
    pitch = [int(pitches[first]) for first in firsts]
    # A run is known by its index: what is to its left and right, -1 and len(runs) at the ends.
    left, right = list(range(-1, len(runs) - 1)), list(range(1, len(runs) + 1))
    alive = [True] * len(runs)

    def join(a: int, b: int) -> None:
        """Make one run of two neighbours, under the index of the left one."""
        lasts[a], right[a], alive[b] = lasts[b], right[b], False
        if right[b] < len(runs):
            left[right[b]] = a

    heap = [(b - a, a, index) for index, (a, b) in enumerate(runs) if b - a < shortest]
    heapq.heapify(heap)
    while heap:
        length, _, index = heapq.heappop(heap)
        if not alive[index] or length != lasts[index] - firsts[index]:
            continue
        near = [i for i in (left[index], right[index]) if 0 <= i < len(runs)]
        if not near:
            break
        pitch[index] = pitch[max(near, key=lambda i: lasts[i] - firsts[i])]
        for a, b in ((index, right[index]), (left[index], index)):
            if a >= 0 and b < len(runs) and pitch[a] == pitch[b]:
                join(a, b)
                index = a
        if (grown := lasts[index] - firsts[index]) < shortest:
            heapq.heappush(heap, (grown, firsts[index], index))
    return [(firsts[i], lasts[i]) for i in range(len(runs)) if alive[i]]
