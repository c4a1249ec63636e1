"""From what was asked for to files and folders: inputs found, output folders without collisions."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from audiosep.errors import InputError

__all__ = ["SUFFIXES", "Job", "display", "find_inputs", "plan_folders", "track_name"]

SUFFIXES = frozenset(
    f".{ending}"
    for ending in (
        *("wav", "wave", "rf64", "w64", "aif", "aiff", "aifc", "caf"),
        *("flac", "ogg", "oga", "opus", "mp3", "au", "snd"),
    )
)
"""Name endings by which recordings are found in a folder; a file named alone may have any."""

_MAX_NAME_BYTES = 200  # leaves room below the usual limit of 255 for "-2" and temporary names


@dataclass(frozen=True, kw_only=True)
class Job:
    """One recording to separate and the folder for its stems."""

    source: Path
    folder: Path


def display(path: Path | str) -> str:
    """Text of a path that is safe to print: control characters and odd bytes are escaped."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def find_inputs(arguments: Sequence[Path]) -> list[Path]:
    """Recordings named by the arguments, folders replaced by the recordings in them.

    A file named twice is taken once. Files that do not exist are kept, so that they are reported
    in their turn.

    Raises
    ------
    InputError
        If a folder holds no recording or cannot be listed.
    """
    found: dict[Path, None] = {}
    for argument in arguments:
        if not argument.is_dir():
            found[argument] = None
            continue
        try:
            entries = sorted(argument.iterdir())
        except OSError as error:
            raise InputError(f"{display(argument)} cannot be listed: {error.strerror}.") from None
        inside = [e for e in entries if e.suffix.lower() in SUFFIXES and not e.is_dir()]
        if not inside:
            raise InputError(f"{display(argument)} is a folder without recordings.")
        found.update(dict.fromkeys(inside))
    return list(found)


def track_name(source: Path) -> str:
    """Folder name of a recording: its name without ending, never hidden, empty or too long."""
    return _shortened(source.stem.strip(". ") or "track")


def _shortened(name: str) -> str:
    raw = os.fsencode(name)
    return name if len(raw) <= _MAX_NAME_BYTES else os.fsdecode(raw[:_MAX_NAME_BYTES])


def plan_folders(sources: Iterable[Path], out: Path) -> list[Job]:
    """Give each recording a folder of its own below `out`, before any work starts.

    Recordings whose names differ only by ending or by case get the ending added
    (``a.wav`` and ``a.flac``: folders ``a.wav`` and ``a.flac``); what still collides is numbered.
    """
    sources = list(sources)
    shared = Counter(track_name(s).casefold() for s in sources)
    taken: set[str] = set()
    jobs = []
    for source in sources:
        name = track_name(source)
        if shared[name.casefold()] > 1:
            name = _shortened(source.name.strip(". ") or "track")
        candidate, number = name, 2
        while candidate.casefold() in taken:
            candidate, number = f"{name}-{number}", number + 1
        taken.add(candidate.casefold())
        jobs.append(Job(source=source, folder=out / candidate))
    return jobs
