"""A score in the time of a recording, also of a long one that is modelled chunk by chunk.

What is aligned is always the whole: long recordings are heard once from beginning to end, of which
little is kept, before the first chunk is modelled.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from audiosep.alignment import LONGEST_S, Alignment, align_parts
from audiosep.errors import InputError, ParameterError, RefusedError, UsageError
from audiosep.labels import problem_of_labels
from audiosep.methods.base import Learnt, MethodSettings
from audiosep.rolls import Bands, Part, part_of
from audiosep.scores import Score, Track
from audiosep.types import Progress, Spectrogram

__all__ = [
    "ScoreListener",
    "TimedScore",
    "alignment_notes",
    "pitched_notes",
    "poor_alignment",
    "silent_tracks",
    "stem_names",
    "told_score",
]

_Matrix = npt.NDArray[np.float32]
_Vector = npt.NDArray[np.float64]

_POOR_FIT = 0.2
_AROUND_S = 2.0
"""Notes that end this much before a chunk, or begin this much after it, are not heard in it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TimedScore:
    """What each instrument plays, in the time of a recording.

    Parameters
    ----------
    tracks : tuple of Track
        All of the score, in its order.
    tuning_hz : float
        Frequency of MIDI number 69.
    played_s : tuple of float
        How long each track plays in all, so that chunks in which nobody does can be shared out.
    """

    tracks: tuple[Track, ...]
    tuning_hz: float
    played_s: tuple[float, ...]

    @classmethod
    def of(cls, score: Score, alignment: Alignment) -> TimedScore:
        """Move the notes to where they sound."""
        tracks = tuple(_moved(track, alignment) for track in score.tracks)
        return cls(
            tracks=tracks,
            tuning_hz=alignment.tuning_hz,
            played_s=tuple(sum(end - start for start, end in _spans(track)) for track in tracks),
        )

    def between(self, start_s: float, end_s: float) -> TimedScore:
        """What is played in a part of the recording, in the time of that part."""
        return replace(self, tracks=tuple(_cut(track, start_s, end_s) for track in self.tracks))

    def overlaps(self, duration_s: float) -> tuple[bool, ...]:
        """Whether anything of each track lies between 0 and `duration_s`."""
        return tuple(
            any(start < duration_s and end > 0.0 for start, end in _spans(track))
            for track in self.tracks
        )

    def check_inside(self, duration_s: float) -> None:
        """Refuse a score of which nothing lies between 0 and `duration_s`."""
        if not any(self.overlaps(duration_s)):
            raise InputError(
                "nothing of the score lies within the recording; look whether it belongs to it, "
                "and where each begins."
            )


class ScoreListener:
    """Hears all of a long recording to align the score with it; see :class:`Listener`."""

    hears_s = math.inf

    def __init__(self) -> None:
        self._bands: Bands | None = None

    def check(self, duration_s: float, settings: MethodSettings) -> None:
        """Refuse what is too long to be aligned, before any work is done."""
        stem_names(settings)
        if duration_s > LONGEST_S:
            raise RefusedError(
                f"{duration_s / 3600:.1f} h are too long to align a score with, which is done for "
                f"up to {LONGEST_S / 3600:.0f} h; separate a part of the recording (--start, "
                "--duration)."
            )

    def listen(self, spectrogram: Spectrogram, own: slice, settings: MethodSettings) -> Part:
        """Levels of semitones of a chunk, and how it is tuned."""
        V = spectrogram.magnitude()
        part = part_of(spectrogram, V, own, settings.start_s, self._bands)
        self._bands = part.bands
        return part

    def learn(self, heard: Sequence[Part], settings: MethodSettings, progress: Progress) -> Learnt:
        """Align the score."""
        score = told_score(settings)
        progress("align", 0.0)
        duration_s = sum(len(part.levels) for part in heard) * heard[0].bands.step_s
        alignment = align_parts(heard, duration_s, *pitched_notes(score))
        facts = TimedScore.of(score, alignment)
        facts.check_inside(duration_s)
        progress("align", 1.0)
        inside = facts.overlaps(duration_s)
        silent = [t.name for t, sounds in zip(facts.tracks, inside, strict=True) if not sounds]
        return Learnt(
            facts=facts,
            notes=alignment_notes(alignment),
            warnings=(*poor_alignment(alignment), *silent_tracks(silent)),
        )


def told_score(settings: MethodSettings) -> Score:
    """The score.

    Raises
    ------
    UsageError
        If there is none.
    """
    if settings.score is None:
        raise UsageError("the preset score needs a score; give --score FILE.")
    return settings.score


def stem_names(settings: MethodSettings) -> tuple[str, ...]:
    """Names of the stems, in order.

    Raises
    ------
    UsageError
        If there is no score.
    ParameterError
        If the rest is called like a track.
    """
    names = tuple(track.name for track in told_score(settings).tracks)
    if settings.rest is None:
        return names
    if settings.rest in names or problem_of_labels((*names, settings.rest)):
        raise ParameterError(
            f"the score has a track {settings.rest!r}; choose another name for the rest."
        )
    return (*names, settings.rest)


def pitched_notes(score: Score) -> tuple[list[float], list[float], list[int]]:
    """Starts, ends and pitches of all notes that have a pitch."""
    notes = [note for track in score.tracks if not track.percussive for note in track.notes]
    return [n.start_s for n in notes], [n.end_s for n in notes], [n.pitch for n in notes]


def alignment_notes(alignment: Alignment) -> tuple[str, ...]:
    """What was decided, in sentences."""
    if alignment.likeness <= 0.0:
        return ()
    when = "later" if alignment.offset_s >= 0 else "earlier"
    return (
        f"The score was aligned: the recording is {abs(alignment.offset_s):.2f} s {when}, at "
        f"{100.0 / alignment.tempo:.1f} % of the tempo, with A at {alignment.tuning_hz:.1f} Hz.",
    )


def poor_alignment(alignment: Alignment) -> tuple[str, ...]:
    """Say where the score is hardly alike."""
    if 0.0 < alignment.likeness < _POOR_FIT:
        return ("The score hardly fits the recording: it may be of another piece.",)
    return ()


def silent_tracks(names: Sequence[str]) -> tuple[str, ...]:
    """Say which tracks play nothing."""
    if not names:
        return ()
    return (
        f"Nothing of {', '.join(names)} lies within the recording: "
        f"{'its stem is' if len(names) == 1 else 'their stems are'} silent or nearly so.",
    )


def _spans(track: Track) -> list[tuple[float, float]]:
    return [*((note.start_s, note.end_s) for note in track.notes), *track.regions]


def _moved(track: Track, alignment: Alignment) -> Track:
    """A track in the time of the recording."""
    if track.notes:
        starts = alignment.at([note.start_s for note in track.notes])
        ends = alignment.at([note.end_s for note in track.notes])
        notes = tuple(
            replace(note, start_s=float(start), end_s=float(max(start, end)))
            for note, start, end in zip(track.notes, starts, ends, strict=True)
        )
        track = replace(track, notes=notes)
    spans = [alignment.at(span) for span in track.regions]
    return replace(track, regions=tuple((float(a), float(max(a, b))) for a, b in spans))


def _cut(track: Track, start_s: float, end_s: float) -> Track:
    first_s, last_s = start_s - _AROUND_S, end_s + _AROUND_S
    return replace(
        track,
        notes=tuple(
            replace(note, start_s=note.start_s - start_s, end_s=note.end_s - start_s)
            for note in track.notes
            if note.start_s < last_s and note.end_s > first_s
        ),
        regions=tuple(
            (a - start_s, b - start_s) for a, b in track.regions if a < last_s and b > first_s
        ),
    )
