"""What a score file holds, as plain values: parts named like files, notes in seconds."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from audiosep.errors import InputError
from audiosep.labels import allowed_name, folded

__all__ = ["MOST_NOTES", "ScoreNote", "ScorePart", "checked_parts", "pitch_of", "stem_names"]

MOST_NOTES = 200_000
"""More than any piece has; scores made to choke programs have millions."""

_MOST_PARTS = 64
_LATEST_S = 86_400.0
_SHORTEST_S = 0.001
_LONGEST_NAME = 48  # leaves room for a number behind it
_LONGEST_NAME_BYTES = 150
_STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_NOTE_NAME = re.compile(r"([A-Ga-g])([#♯b♭]{0,2})(-?\d{1,2})")

_DRUM_NAME = re.compile(
    r"(?<!steel )\b(drums?|drum ?(set|kit)|percussion|kick|bass drum|snare( drum)?|hi-?hats?|"
    r"cymbals?|toms|(floor|low|mid|high|rack) tom|claps?|rim ?shot|ride|crash)\b",
    re.IGNORECASE,
)

ScoreNote = tuple[float, float, int | None, float]
"""Start and end in seconds, MIDI number (None where the pitch is not known), strength 0 to 1."""


@dataclass(frozen=True, kw_only=True)
class ScorePart:
    """What one instrument plays.

    Parameters
    ----------
    name : str
        As the file calls it, or empty.
    notes : tuple of ScoreNote
        May be empty.
    percussive : bool
        Whether its numbers are drums rather than pitches.
    """

    name: str
    notes: tuple[ScoreNote, ...]
    percussive: bool = False


def pitch_of(text: str) -> int | None:
    """Read the name or the number of a note.

    Parameters
    ----------
    text : str
        ``"C4"``, ``"A#3"``, ``"Bb-1"`` or ``"60"``; anything.

    Returns
    -------
    int or None
        MIDI number, 0 to 127, middle C (C4) being 60; None where it is no note, or none of these.
    """
    text = text.strip()
    if text.isascii() and text.isdigit():
        number = int(text[:6])
    elif match := _NOTE_NAME.fullmatch(text):
        step, accidentals, octave = match.groups()
        shift = sum(1 if sign in "#♯" else -1 for sign in accidentals)
        number = 12 * (int(octave) + 1) + _STEPS[step.upper()] + shift
    else:
        return None
    return number if 0 <= number <= 127 else None


def stem_names(names: Iterable[str]) -> tuple[str, ...]:
    """Give each of `names` one that stems can have, leaving out what files may not be called.

    Parameters
    ----------
    names : iterable of str
        As a score calls its tracks; any text, also empty or the same twice.

    Returns
    -------
    tuple of str
        As many, all different on every system: empty ones become ``track-1`` and so on by their
        place, those that are taken get a number.
    """
    taken: set[str] = set()
    found = []
    for place, name in enumerate(names, start=1):
        clean = allowed_name(name, longest=_LONGEST_NAME, most_bytes=_LONGEST_NAME_BYTES)
        clean = clean or f"track-{place}"
        candidate, number = clean, 2
        while folded(candidate) in taken:
            candidate, number = f"{clean}-{number}", number + 1
        taken.add(folded(candidate))
        found.append(candidate)
    return tuple(found)


def checked_parts(parts: Sequence[ScorePart]) -> tuple[ScorePart, ...]:
    """Put parts into order; refuse them where there is nothing to play.

    Parameters
    ----------
    parts : sequence of ScorePart
        As a file brings them.

    Returns
    -------
    tuple of ScorePart
        As many, under names that stems can have, their notes by time and each of some length;
        what is called like drums is percussive.

    Raises
    ------
    InputError
        If there is no part or none has a note, there are more than 64 parts or 200,000 notes, or
        a note is later than a day.
    """
    if not any(part.notes for part in parts):
        raise InputError("there is no note in it; give a score with notes.")
    if len(parts) > _MOST_PARTS:
        raise InputError(f"{len(parts)} tracks are too many; at most {_MOST_PARTS}.")
    check_count(sum(len(part.notes) for part in parts))
    for part in parts:
        if any(not 0.0 <= start <= end <= _LATEST_S for start, end, _, _ in part.notes):
            raise InputError(
                f"a note of {part.name!r} lies outside the first day, or ends before it begins; "
                "the score is probably damaged."
            )
    names = stem_names(part.name for part in parts)
    return tuple(
        replace(
            part,
            name=name,
            notes=tuple(sorted(map(_sounding, part.notes), key=_order)),
            # Not all programs put drums on their channel.
            percussive=part.percussive or _DRUM_NAME.search(name) is not None,
        )
        for part, name in zip(parts, names, strict=True)
    )


def check_count(n_notes: int) -> None:
    """Refuse more notes than any piece has.

    Parameters
    ----------
    n_notes : int
        How many there are, or may be.

    Raises
    ------
    InputError
        If there are more than 200,000.
    """
    if n_notes > MOST_NOTES:
        raise InputError(f"more than {MOST_NOTES} notes are no score; give that of one piece.")


def _sounding(note: ScoreNote) -> ScoreNote:
    start, end, pitch, strength = note
    return start, max(end, start + _SHORTEST_S), pitch, strength


def _order(note: ScoreNote) -> tuple[float, int, float]:
    return note[0], -1 if note[2] is None else note[2], note[1]
