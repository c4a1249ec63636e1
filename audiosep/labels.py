"""What a kind of sound may be called, so that its stem can be a file on any system."""

from __future__ import annotations

import unicodedata

__all__ = ["problem_of_labels"]

_MAX_KINDS = 64
_MAX_LABEL = 64
_MAX_LABEL_BYTES = 200
_NOT_IN_FILES = '/\\:*?"<>|'
_RESERVED = "one-shot-"


def problem_of_labels(labels: tuple[object, ...]) -> str:
    """Why labels cannot be names of files on every system, or nothing."""
    kinds: dict[str, str] = {}
    for label in labels:
        if not isinstance(label, str) or not _may_name_a_file(label):
            return (
                f"the label {_shown(label)} cannot name a stem; use 1 to 64 printable characters "
                f"other than {_NOT_IN_FILES}, without a dot or space at the ends or "
                f"{_RESERVED!r} at the beginning."
            )
        folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", label).casefold())
        if kinds.setdefault(folded, label) != label:
            return f"the labels {kinds[folded]!r} and {label!r} differ by case alone; rename one."
    if len(kinds) > _MAX_KINDS:
        return f"{len(kinds)} different labels are too many; at most {_MAX_KINDS}."
    return ""


def _may_name_a_file(label: str) -> bool:
    return (
        0 < len(label) <= _MAX_LABEL
        and label.isprintable()
        and len(label.encode()) <= _MAX_LABEL_BYTES
        and not any(character in _NOT_IN_FILES for character in label)
        and label.strip(". ") == label
        and not label.casefold().startswith(_RESERVED)
    )


def _shown(label: object) -> str:
    text = ascii(label)
    return text if len(text) <= _MAX_LABEL + 2 else f"{text[:_MAX_LABEL]}..."
