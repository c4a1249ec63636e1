"""From what was asked for to files and folders: inputs found, output folders without collisions."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePath
from typing import TypeVar

from audiosep.errors import InputError, printable
from audiosep.io.urls import Place, Url
from audiosep.labels import folded, no_device

__all__ = [
    "SUFFIXES",
    "TOP",
    "Job",
    "Planner",
    "RemoteJob",
    "absent",
    "display",
    "each_once",
    "find_inputs",
    "is_recording_name",
    "job_of",
    "may_be_read",
    "path_told",
    "told",
    "track_name",
]

SUFFIXES = frozenset(
    f".{ending}"
    for ending in (
        *("wav", "wave", "rf64", "w64", "aif", "aiff", "aifc", "caf"),
        *("flac", "ogg", "oga", "opus", "mp3", "au", "snd"),
        *("m4a", "m4b", "aac", "wma", "ac3", "mka", "wv", "ape", "tta", "dsf"),  # extra formats
    )
)
"""Name endings by which recordings are found in a folder; a file named alone may have any."""

TOP = PurePath()
"""What lies below nothing, seen from the folder that was named."""

_AnyPlace = TypeVar("_AnyPlace", Path, Place)

_ODD_BYTE = re.compile(rb"\\x([89a-f][0-9a-f])")
_MOST_LOOKED_AT = 1000  # names and folders, where it is only about words
_LIKE = 0.85  # of two names: a letter of five in another place, or another one of seven
_MAX_NAME_BYTES = 200  # leaves room below the usual limit of 255 for "-2" and temporary names


@dataclass(frozen=True, kw_only=True)
class Job:
    """One recording to separate and the folder for its stems.

    Parameters
    ----------
    source, folder : Path
        The recording, and where its stems go.
    called : str
        What the recording is called where its path says nothing, as of what came through a pipe.
    note : str
        What else the record shall say.
    """

    source: Path
    folder: Path
    called: str = ""
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class RemoteJob:
    """The same where the recording, the folder or both are not on this computer."""

    source: Place
    folder: Place
    called: str = ""


def job_of(source: Place, folder: Place, called: str = "") -> Job | RemoteJob:
    """Job of a recording and a folder, wherever they are."""
    if isinstance(source, Url) or isinstance(folder, Url):
        return RemoteJob(source=source, folder=folder, called=called)
    return Job(source=source, folder=folder, called=called)


# No path that any system opens is longer; what is, was no path.
_LONGEST = 4096


def display(path: Place | str) -> str:
    """Text of a path that is safe to print: control characters and odd bytes are escaped."""
    text = os.fsencode(str(path)).decode("utf-8", "backslashreplace")
    if len(text) > _LONGEST:
        text = f"{text[:100]}...{text[-100:]}"
    return printable(text)


def told(path: Path) -> str:
    """Text of a path for a record: bytes that are no text are escaped, as JSON can hold none."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def path_told(text: str) -> Path:
    """Return the path that :func:`told` was given, as far as what is there now can tell."""
    if os.path.lexists(text):
        return Path(text)
    data = text.encode("utf-8", "surrogatepass")  # records may be written by anyone
    odd = _ODD_BYTE.sub(lambda found: bytes([int(found[1], 16)]), data)
    return Path(text) if odd == data else Path(os.fsdecode(odd))


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
        inside = [e for e in entries if is_recording_name(e) and may_be_read(e)]
        if not inside:
            raise InputError(
                f"{display(argument)} is a folder without recordings"
                + (
                    "; name the folders below it that hold some, or use 'audiosep split -r'."
                    if _any_below(argument)
                    else ", and so are those in it."
                )
            )
        found += inside
    return each_once(found)


def _any_below(folder: Path) -> bool:
    """Whether folders in a folder hold recordings, as far as a short look tells."""
    for where, folders, names in islice(os.walk(folder), _MOST_LOOKED_AT):
        folders[:] = [name for name in folders if not name.startswith(".")]
        if any(is_recording_name(path := Path(where, n)) and may_be_read(path) for n in names):
            return True
    return False


def absent(path: Path) -> str:
    """Words for a file that is not there, with the name of one that may be meant.

    Parameters
    ----------
    path : Path
        Where it should be.

    Returns
    -------
    str
        A sentence without its subject.
    """
    near = _near(path)
    hint = f"did you mean {display(near)}?" if near else "check the name."
    return f"does not exist; {hint}"


def _near(path: Path) -> str:
    """Name of a file beside it that differs by its ending or a few letters; empty for none."""
    try:
        with os.scandir(path.parent) as entries:
            names = sorted(entry.name for entry in islice(entries, _MOST_LOOKED_AT))
    except (OSError, ValueError):
        return ""
    wanted = PurePath(folded(path.name))
    # What differs by its number is another one of many.
    near = {
        folded(name): name
        for name in names
        if (is_recording_name(PurePath(name)) or PurePath(name).suffix == path.suffix)
        and _digits_of(PurePath(name).stem) == _digits_of(path.stem)
    }
    same = [like for like in near if PurePath(like).stem == wanted.stem]
    found = same or difflib.get_close_matches(wanted.name, near, n=1, cutoff=_LIKE)
    return near[found[0]] if found else ""


def _digits_of(name: str) -> str:
    return "".join(filter(str.isdigit, name))


def may_be_read(path: Path) -> bool:
    """Whether it is a file, or a link that leads nowhere, which is reported when it is opened."""
    try:
        return path.is_file() or not path.exists()
    except OSError:  # reported, too
        return True


def is_recording_name(path: PurePath | Url) -> bool:
    """Whether a file of this name in a folder is taken for a recording."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def each_once(paths: Iterable[_AnyPlace]) -> list[_AnyPlace]:
    """Every file once, by its place after links are followed; the first spelling is kept."""
    found: dict[str, _AnyPlace] = {}
    for path in paths:
        # Unlike Path.resolve, this never fails: loops of links are reported when opened.
        key = path.text if isinstance(path, Url) else os.path.realpath(path)
        found.setdefault(key, path)
    return list(found.values())


def track_name(source: Place) -> str:
    """Folder name of a recording: its name without ending, never hidden, empty or too long."""
    return _shortened(source.stem)


def _shortened(name: str) -> str:
    # Characters are taken off, not bytes: half a character is no valid name on every system.
    name = name.strip(". ")[:_MAX_NAME_BYTES]
    while len(os.fsencode(name)) > _MAX_NAME_BYTES:
        name = name[:-1]
    return no_device(name.rstrip(". ") or "track")


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a name too long, a parent that may not be entered: reported when opened
        return False


class Planner:
    """Give each recording a folder of its own, before any work starts.

    All recordings are first counted, then each is given its folder, in the same order. Names that
    differ only by ending or by case get the ending added (``a.wav`` and ``a.flac``: folders
    ``a.wav`` and ``a.flac``), and so do those that are called as a folder which others go into;
    what still collides is numbered. Only hashes are kept, so that millions can be planned.
    """

    def __init__(self) -> None:
        self._counted: set[int] = set()
        self._shared: set[int] = set()
        self._homes: set[int] = set()
        self._taken: set[int] = set()
        self._next_number: dict[int, int] = {}  # counting on, not anew: thousands may share a name

    def count(self, source: Place, below: PurePath = TOP, name: str | None = None) -> None:
        """Take notice of a recording whose stems go `below` the output folder."""
        key = self._key(below, name or track_name(source))
        (self._shared if key in self._counted else self._counted).add(key)
        while below.parts:
            self._homes.add(self._key(below.parent, below.name))
            below = below.parent

    def folder(self, source: Place, below: PurePath = TOP, name: str | None = None) -> PurePath:
        """Folder of a recording, relative to the output folder."""
        own = name or track_name(source)
        key = self._key(below, own)
        if key in self._shared or key in self._homes:
            own = name or _shortened(source.name)
            key = self._key(below, own)
        candidate, number = own, self._next_number.get(key, 2)
        while not self._is_free(self._key(below, candidate)):
            candidate, number = f"{own}-{number}", number + 1
        self._next_number[key] = number
        self._taken.add(self._key(below, candidate))
        return below / candidate

    def again(self) -> Planner:
        """Give folders from the beginning, the same as before."""
        planner = Planner()
        planner._shared, planner._homes = self._shared, self._homes
        return planner

    def _is_free(self, key: int) -> bool:
        return key not in self._taken and key not in self._homes

    @staticmethod
    def _key(below: PurePath, name: str) -> int:
        return hash(folded(f"{below}/{name}"))
