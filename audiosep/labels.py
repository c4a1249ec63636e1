"""What stems, kinds of sound and tracks may be called, so that files can be on any system."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

__all__ = ["allowed_name", "folded", "no_device", "problem_of_label", "problem_of_labels"]

_MAX_KINDS = 64
_MAX_LABEL = 64
_MAX_LABEL_BYTES = 200
_NOT_IN_FILES = '/\\:*?"<>|'
_ENDS = ". "
_OURS = "one-shot-"
_NUMBERED = ("com", "lpt")
_NUMBERS = "0123456789\u00b9\u00b2\u00b3"  # Windows takes superscripts for numbers, too
_DEVICES = frozenset(
    (
        *("con", "prn", "aux", "nul", "conin$", "conout$"),
        *(f"{name}{number}" for name in _NUMBERED for number in _NUMBERS),
    )
)
"""What Windows takes for a device, whatever ending follows."""


def folded(name: str) -> str:
    """Return what is equal for names that some file systems take for the same."""
    name = unicodedata.normalize("NFC", name).casefold()
    return unicodedata.normalize("NFC", name)


def no_device(name: str) -> str:
    """Return a name as it is, or changed where Windows would take its file for a device."""
    first, dot, rest = name.partition(".")
    first = first.rstrip(" ")
    return f"{first}_{dot}{rest}" if first.casefold() in _DEVICES else name


def problem_of_label(label: object) -> str:
    """Why a label cannot be the name of a file on every system, or nothing."""
    if isinstance(label, str) and no_device(label) != label:
        return (
            f"the label {_shown(label)} cannot name a stem; use another: Windows keeps it for a "
            "device."
        )
    if not isinstance(label, str) or not _may_name_a_file(label):
        return (
            f"the label {_shown(label)} cannot name a stem; use 1 to 64 printable characters "
            f"other than {_NOT_IN_FILES}, without a dot or space at the ends or "
            f"{_OURS!r} at the beginning."
        )
    return ""


def problem_of_labels(labels: Iterable[object]) -> str:
    """Why labels cannot be names of files on every system, or nothing.

    The same label may come more than once.
    """
    kinds: dict[str, str] = {}
    for label in labels:
        if problem := problem_of_label(label):
            return problem
        name = str(label)
        if kinds.setdefault(folded(name), name) != name:
            return (
                f"the labels {kinds[folded(name)]!r} and {name!r} differ by case alone; rename one."
            )
    if len(kinds) > _MAX_KINDS:
        return f"{len(kinds)} different labels are too many; at most {_MAX_KINDS}."
    return ""


def allowed_name(
    text: str, *, longest: int = _MAX_LABEL, most_bytes: int = _MAX_LABEL_BYTES
) -> str:
    """Make the name of a file of any text.

    Parameters
    ----------
    text : str
        What something is called.
    longest, most_bytes : int
        Characters, and bytes in UTF-8, that the name may have.

    Returns
    -------
    str
        What may be a label, as like the text as can be; empty where nothing is left of it.
    """
    text = unicodedata.normalize("NFC", text)
    # Half of a pair of surrogates is no text that a file system could keep.
    kept = (" " if c.isspace() else c for c in text if c.isprintable() or c.isspace())
    name = "".join("-" if c in _NOT_IN_FILES else c for c in kept)
    name = " ".join(name.split()).strip(_ENDS)
    while name.casefold().startswith(_OURS):
        name = name[len(_OURS) :].strip(_ENDS)
    name = no_device(name)[:longest]
    while len(name.encode()) > most_bytes:
        name = name[:-1]
    return name.strip(_ENDS)


def _may_name_a_file(label: str) -> bool:
    return (
        0 < len(label) <= _MAX_LABEL
        and label.isprintable()
        and len(label.encode()) <= _MAX_LABEL_BYTES
        and not any(character in _NOT_IN_FILES for character in label)
        and label.strip(_ENDS) == label
        and not label.casefold().startswith(_OURS)
    )


def _shown(label: object) -> str:
    text = ascii(label)
    return text if len(text) <= _MAX_LABEL + 2 else f"{text[:_MAX_LABEL]}..."
