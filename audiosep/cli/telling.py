"""What is typed where the library wants more than a number or a path."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from audiosep.errors import UsageError

if TYPE_CHECKING:
    from audiosep.methods.base import Quality

__all__ = ["components_from", "examples_of", "kept_from", "quality_from"]

_SUFFIX = ".safetensors"


def examples_of(texts: Iterable[str]) -> dict[str, list[Any]]:
    """Examples by name, from ``NAME=FILE``, ``NAME=@FROM-TO`` or a file alone.

    A recording without a name is called as its file is; a dictionary without one brings its own
    labels.

    Raises
    ------
    UsageError
        If one is empty, or a region has no name.
    DictionaryError
        If a dictionary without a name cannot be read.
    """
    examples: dict[str, list[Any]] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if equals and not (name.strip() and value.strip()):
            raise UsageError(f"--example {text!r}: write NAME=FILE or NAME=@FROM-TO.")
        if equals:
            examples.setdefault(name.strip(), []).append(value)
        elif text.startswith("@"):
            raise UsageError(f"--example {text!r} needs a name: write NAME={text}.")
        elif text.lower().endswith(_SUFFIX):
            from audiosep.dictionary_files import load_dictionary

            found = load_dictionary(text)
            for label in found.sources:
                examples.setdefault(label, []).append(found.only(label))
        else:
            examples.setdefault(Path(text).stem, []).append(text)
    return examples


def quality_from(text: str) -> Quality:
    """Return a quality; the separator refuses what is none."""
    return cast("Quality", text)


def components_from(text: str | None) -> int | str | None:
    """Return a number of components, or ``"auto"``.

    Raises
    ------
    UsageError
        If it is neither.
    """
    if text is None or text == "auto":
        return text
    try:
        return int(text)
    except ValueError:
        raise UsageError(f"--components {text!r} is no number; use one, or auto.") from None


def kept_from(text: str | None) -> tuple[str, ...]:
    """Names of stems, from ``A,B``; each once.

    Raises
    ------
    UsageError
        If there are none.
    """
    if text is None:
        return ()
    names = tuple(dict.fromkeys(filter(None, map(str.strip, text.split(",")))))
    if not names:
        raise UsageError(f"--keep {text!r} names no stem; write its name, such as drums.")
    return names
