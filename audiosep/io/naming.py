"""From what was asked for to files and folders: inputs found, output folders without collisions."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from audiosep.errors import InputError

__all__ = [
    "SUFFIXES",
    "Job",
    "display",
    "each_once",
    "find_inputs",
    "is_recording_name",
    "plan_folders",
    "track_name",
]

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

    A file named twice, in whatever spelling, is taken once. Files that do not exist are kept, so
    that they are reported in their turn. Hidden files are taken only where they are named
    themselves: what macOS leaves beside recordings (``._song.wav``) is no recording.

    Raises
    ------
    InputError
        If a folder holds no recording or cannot be listed.
    """
    found: list[Path] = []
    for argument in arguments:
        if not _is_folder(argument):
            found.append(argument)
            continue
        try:
            entries = sorted(argument.iterdir())
        except OSError as error:
            raise InputError(f"{display(argument)} cannot be listed: {error.strerror}.") from None
        inside = [e for e in entries if is_recording_name(e) and not _is_folder(e)]
        if not inside:
            raise InputError(
                f"{display(argument)} is a folder without recordings; those in folders below it "
                "are not taken."
            )
        found += inside
    return each_once(found)


def is_recording_name(path: Path) -> bool:
    """Whether a file of this name in a folder is taken for a recording."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def each_once(paths: Iterable[Path]) -> list[Path]:
    """Every file once, by its place after links are followed; the first spelling is kept."""
    found: dict[str, Path] = {}
    for path in paths:
        # Unlike Path.resolve, this never fails: loops of links are reported when opened.
        found.setdefault(os.path.realpath(path), path)
    return list(found.values())


def track_name(source: Path) -> str:
    """Folder name of a recording: its name without ending, never hidden, empty or too long."""
    return _shortened(source.stem.strip(". ") or "track")


def _shortened(name: str) -> str:
    # Characters are taken off, not bytes: half a character is no valid name on every system.
    name = name[:_MAX_NAME_BYTES]
    while len(os.fsencode(name)) > _MAX_NAME_BYTES:
        name = name[:-1]
    return name


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a name too long, a parent that may not be entered: reported when opened
        return False


def _folded(name: str) -> str:
    """Equal for names that some file systems take for the same."""
    return unicodedata.normalize("NFC", name).casefold()


def plan_folders(sources: Iterable[Path], out: Path) -> list[Job]:
    """Give each recording a folder of its own below `out`, before any work starts.

    Recordings whose names differ only by ending or by case get the ending added
    (``a.wav`` and ``a.flac``: folders ``a.wav`` and ``a.flac``); what still collides is numbered.
    """
    sources = list(sources)
    shared = Counter(_folded(track_name(s)) for s in sources)
    taken: set[str] = set()
    next_number: dict[str, int] = {}  # counting on, not anew: thousands may share a name
    jobs = []
    for source in sources:
        name = track_name(source)
        if shared[_folded(name)] > 1:
            name = _shortened(source.name.strip(". ") or "track")
        candidate, number = name, next_number.get(_folded(name), 2)
        while _folded(candidate) in taken:
            candidate, number = f"{name}-{number}", number + 1
        next_number[_folded(name)] = number
        taken.add(_folded(candidate))
        jobs.append(Job(source=source, folder=out / candidate))
    return jobs
