"""What a score file holds, as plain values: parts named like files, notes in seconds."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from audiosep.errors import InputError

__all__ = ["MOST_NOTES", "ScoreNote", "ScorePart", "checked_parts", "pitch_of", "stem_names"]

MOST_NOTES = 200_000
"""More than any piece has; scores made to choke programs have millions."""

_MOST_PARTS = 64
_LATEST_S = 86_400.0
_SHORTEST_S = 0.001
_LONGEST_NAME = 48  # leaves room for a number behind it
_LONGEST_NAME_BYTES = 150
_NOT_IN_FILES = '/\\:*?"<>|'
_RESERVED = "one-shot-"
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
    """MIDI number of ``"C4"``, ``"A#3"``, ``"Bb-1"`` or ``"60"``; None where it is neither.

    Middle C, number 60, is C4.
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
    """Names for files, one for each of `names`: what files may not be called is left out.

    Empty ones become ``track-1`` and so on by their place; those that would be the same on some
    system get a number.
    """
    taken: set[str] = set()
    found = []
    for place, name in enumerate(names, start=1):
        clean = _clean(name) or f"track-{place}"
        candidate, number = clean, 2
        while _folded(candidate) in taken:
            candidate, number = f"{clean}-{number}", number + 1
        taken.add(_folded(candidate))
        found.append(candidate)
    return tuple(found)


def _clean(name: str) -> str:
    name = unicodedata.normalize("NFC", name)
    # Half of a pair of surrogates is no text that a file system could keep.
    kept = (" " if c.isspace() else c for c in name if c.isprintable() or c.isspace())
    text = "".join("-" if c in _NOT_IN_FILES else c for c in kept)
    text = " ".join(text.split()).strip(". ")
    while text.casefold().startswith(_RESERVED):
        text = text[len(_RESERVED) :].strip(". ")
    text = text[:_LONGEST_NAME]
    while len(text.encode()) > _LONGEST_NAME_BYTES:
        text = text[:-1]
    return text.strip(". ")


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name.casefold())


def checked_parts(parts: Sequence[ScorePart]) -> tuple[ScorePart, ...]:
    """Parts under names for files, notes in order; refused where there is nothing to play.

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
