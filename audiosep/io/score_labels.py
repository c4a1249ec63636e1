"""Notes of label tracks, as Audacity exports them: ``start<TAB>end<TAB>label`` in each line."""

from __future__ import annotations

import math
import re

from audiosep.errors import InputError
from audiosep.io.naming import display
from audiosep.io.score_parts import ScoreNote, ScorePart, check_count, pitch_of

__all__ = ["parts_of_labels"]

_STRENGTH = 0.7
_UNNAMED = "track-1"
_LONGEST_SHOWN = 64

_NUMBER = re.compile(r"[-+]?\d+([.,]\d+)?")
_LIKE_A_NOTE = re.compile(
    r"[A-Z] ?([#♯b♭]*|is|es|s|sharp|flat) ?[-+]?\d+|[A-H][#♯♭]+", re.IGNORECASE
)
_NOTES = re.compile(r"[A-H] ?[#♯b♭]*-?\d+", re.IGNORECASE)
"""What is meant as a note: behind a colon more than alone, where ``s2`` may be a scene."""


def parts_of_labels(content: bytes) -> list[ScorePart]:
    """Parts of a label track, in the order in which they first appear.

    A label is a note (``C4``, ``A#3``, ``60``), a name (``flute``) or both (``flute:C4``). A name
    without a note says that the instrument sounds there, not what it plays. Lines that begin with
    a backslash (frequencies of a selection) are left out.

    A number, or a letter from A to H with a number behind it, is meant as a note; behind a colon
    so is any letter with a number, and a letter with a sharp or a flat. Where there is no such
    note (``H9``, ``flute:C#``, ``200``), nobody could tell what was meant.

    Parameters
    ----------
    content : bytes
        A whole file, UTF-8.

    Returns
    -------
    list of ScorePart
        Under names as they are in the file.

    Raises
    ------
    InputError
        If a line cannot be understood, a note does not exist, or there are more notes than any
        piece has.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(
            "it is no label track in UTF-8; give MIDI (.mid), MusicXML (.musicxml, .mxl) or labels "
            "(.txt)."
        ) from None
    parts: dict[str, list[ScoreNote]] = {}
    lines = text.splitlines()
    check_count(len(lines) // 2)
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("\\"):
            continue
        start, end, label = _fields(line, number)
        name, pitch = _meaning(label)
        if pitch is None and _is_meant_as_note(label):
            raise InputError(
                f"line {number}: there is no note {display(label[-_LONGEST_SHOWN:])!r}; write a "
                "note from C-1 to G9 (flute:C4) or a number from 0 to 127 (flute:60), or, where "
                "the label is only a name, another name."
            )
        parts.setdefault(name, []).append((start, end, pitch, _STRENGTH))
    return [ScorePart(name=name, notes=tuple(notes)) for name, notes in parts.items()]


def _fields(line: str, number: int) -> tuple[float, float, str]:
    fields = line.split("\t", 2)
    try:
        start, end = float(fields[0]), float(fields[1])
    except (ValueError, IndexError):
        start = end = math.nan
    if not 0.0 <= start <= end < math.inf:
        raise InputError(
            f"line {number} is no label; write start, end and label with tabs between them, such "
            "as 0.5<TAB>1.2<TAB>flute:C4."
        )
    return start, end, fields[2].strip() if len(fields) > 2 else ""


def _meaning(label: str) -> tuple[str, int | None]:
    """Who plays, and what."""
    pitch = pitch_of(label)
    if pitch is not None:
        return _UNNAMED, pitch
    name, colon, note = label.rpartition(":")
    if colon and (pitch := pitch_of(note)) is not None:
        return name.strip() or _UNNAMED, pitch
    return label or _UNNAMED, None


def _is_meant_as_note(label: str) -> bool:
    _, colon, last = label.rpartition(":")
    text = last.strip()
    like = _LIKE_A_NOTE if colon else _NOTES
    return bool(_NUMBER.fullmatch(text) or like.fullmatch(text))
