"""The command that repeats a run, from its record."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from audiosep.io.naming import display

__all__ = ["command_of"]

_SPLIT = {
    "preset": "--preset",
    "n_sources": "-n",
    "n_components": "--components",
    "n_free": "--free",
    "rest": "--rest",
    "beta": "--beta",
    "max_iter": "--iterations",
    "mask_exponent": "--mask-exponent",
    "quality": "--quality",
    "seed": "--seed",
}
_ATOMS = {
    "n_components": "--components",
    "beta": "--beta",
    "max_iter": "--iterations",
    "window_s": "--window",
    "seed": "--seed",
}
_PART = {"start": "--start", "duration": "--duration"}
_OUTPUT = {"format": "--format", "bits": "--bits", "one_shots": "--one-shots", "keep": "--keep"}
_USUAL = {"quality": "high", "start": 0.0, "format": "wav"}
"""What need not be said."""

_FILES = {
    "dictionary": "--dictionary FILE",
    "examples": "--example NAME=FILE",
    "score": "--score FILE",
}
"""Of these the record keeps what was in them, not where they were."""


def command_of(record: Mapping[str, Any]) -> tuple[str, str]:
    """Return what to type to make the same stems again, and what to mind.

    Parameters
    ----------
    record : mapping
        ``audiosep.json`` of a folder of stems.

    Returns
    -------
    command : str
        For a POSIX shell, in one line.
    remark : str
        A sentence about what the record does not tell; empty where it tells all.
    """
    settings, about = record["settings"], record["input"]
    atoms = "preset" not in settings
    path = about.get("path")
    words = ["audiosep", "atoms" if atoms else "split", shlex.quote(display(path or "RECORDING"))]
    words += _options(settings, _ATOMS if atoms else _SPLIT)
    words += _options(about, _PART)
    if not atoms:
        words += _options(record.get("output", {}), _OUTPUT)
    remarks = [] if path else ["The recording was given as an array: write it into a file first."]
    for name, option in _FILES.items():
        if settings.get(name):
            words.append(option)
            remarks.append(
                f"Put in what was given as {option.split()[0]}: the record keeps what it holds, "
                "not where it lay."
            )
    if "regrouped" in settings:
        remarks.append("Then regroup the components as the notes say.")
    return " ".join(words), " ".join(remarks)


def _options(values: Mapping[str, Any], options: Mapping[str, str]) -> list[str]:
    words = []
    for name, option in options.items():
        value = values.get(name)
        if value is None or value == _USUAL.get(name) or isinstance(value, dict | list):
            continue
        text = repr(value).removesuffix(".0") if isinstance(value, float) else str(value)
        words += [option, shlex.quote(display(text))]
    return words
