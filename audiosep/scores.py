"""A score as values: which instrument plays which note when."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass

from audiosep.errors import ParameterError
from audiosep.io.score_files import read_parts
from audiosep.labels import problem_of_labels
from audiosep.notes import Note

__all__ = ["Score", "Track", "read_score"]


@dataclass(frozen=True, kw_only=True)
class Track:
    """What one instrument plays.

    Parameters
    ----------
    name : str
        Name of its stem.
    notes : tuple of Note
        In any order; may be empty.
    regions : tuple of (float, float)
        Stretches in seconds in which it sounds without anyone saying what; may be empty.
    percussive : bool
        Whether the numbers of its notes are drums rather than pitches.
    """

    name: str
    notes: tuple[Note, ...]
    regions: tuple[tuple[float, float], ...] = ()
    percussive: bool = False


@dataclass(frozen=True, kw_only=True)
class Score:
    """What each instrument plays.

    Parameters
    ----------
    tracks : tuple of Track
        At least one, of different names that files may have.

    Raises
    ------
    ParameterError
        If there is no track, two have the same name or one that no file may have, or a note or a
        region ends before it begins, or is not finite, or of a number outside 0 to 127.
    """

    tracks: tuple[Track, ...]

    def __post_init__(self) -> None:
        names = [track.name for track in self.tracks]
        if not names:
            raise ParameterError("the score has no track.")
        if len(set(names)) < len(names):
            raise ParameterError(f"two tracks of the score have the same name: {names}.")
        if problem := problem_of_labels(tuple(names)):
            raise ParameterError(problem)
        for track in self.tracks:
            spans = [(note.start_s, note.end_s) for note in track.notes] + list(track.regions)
            if not all(math.isfinite(a) and math.isfinite(b) and a <= b for a, b in spans):
                raise ParameterError(f"a note of {track.name!r} ends before it begins.")
            if not all(0 <= note.pitch <= 127 for note in track.notes):
                raise ParameterError(f"a note of {track.name!r} is outside 0 to 127.")


def read_score(path: str | os.PathLike[str]) -> Score:
    """Read a score: MIDI, MusicXML (also compressed), or labels as Audacity exports them.

    MIDI gives one track per track of the file, or one per channel where a single track holds
    everything; MusicXML one per part; labels one per name before the colon (``flute:C4``). A label
    without a note (``flute``) marks a region.

    Parameters
    ----------
    path : path-like
        Recognised by content, whatever it is called.

    Returns
    -------
    Score
        Names come from the file, as far as stems can be called so.

    Raises
    ------
    InputError
        If the file cannot be read, is no score or damaged, or holds no note or too many.
    """
    return Score(
        tracks=tuple(
            Track(
                name=part.name,
                notes=tuple(
                    Note(start_s=start, end_s=end, pitch=pitch, strength=strength)
                    for start, end, pitch, strength in part.notes
                    if pitch is not None
                ),
                regions=tuple((a, b) for a, b, pitch, _ in part.notes if pitch is None),
                percussive=part.percussive,
            )
            for part in read_parts(path)
        )
    )
