"""Who is at work below an output folder: runs, tracks, and what dead ones have left.

Locks belong to open files, so that the system takes them from a process that dies, however it
dies; what is written in them is for people. Where a file system has no locks, runs go without:
then tracks are kept apart only by what :func:`audiosep.save.save_stems` refuses to replace, and
nothing is cleaned.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from audiosep.errors import OutputError
from audiosep.io.naming import display
from audiosep.io.placing import HELD_PREFIX, NEW_PREFIX
from audiosep.io.scratch import remove_dead_scratch
from audiosep.io.urls import Place, Url, seen_from

if TYPE_CHECKING:
    from audiosep.cli.journal import Journal

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = [
    "HOME_NAME",
    "TrackTakenError",
    "home_of",
    "locked_run",
    "locked_track",
    "make_home",
    "remove_dead",
    "remove_dead_locks",
    "remove_leftovers",
    "remove_unused_home",
]

HOME_NAME = ".audiosep"
"""Folder below the output folder for what a batch needs to go on later."""

_YOUNG_S = 5.0
"""So old are temporary folders that are not held yet, and never will be."""

_RUN = "run.lock"
_TRACKS = "tracks"
_LOCK = ".lock"
_WAIT_S = 0.05
_MOST_TIDIED = 100
"""So often may others remove a folder just before a lock is made in it."""


class TrackTakenError(Exception):
    """A track that another process is working on; its text says which."""


def home_of(out: Place) -> Path:
    """Folder of the journal and the locks: in the output folder, or, where that is remote, here."""
    if not isinstance(out, Url):
        return out / HOME_NAME
    from platformdirs import user_state_path

    digest = hashlib.sha256(os.fsencode(out.text)).hexdigest()
    return user_state_path("audiosep", appauthor=False) / "remote" / digest[:24]


def make_home(out: Place) -> None:
    """Make the folder of the journal and the locks.

    Raises
    ------
    OutputError
        If it cannot be made.
    """
    home = home_of(out)
    try:
        home.mkdir(parents=isinstance(out, Url), exist_ok=True)
    except OSError as error:
        advice = (
            "set XDG_STATE_HOME to a folder that can be"
            if isinstance(out, Url)
            else "choose another place with --out"
        )
        raise OutputError(f"cannot write to {display(home)}: {error.strerror}; {advice}.") from None


@contextmanager
def locked_run(out: Place, *, make: bool = True) -> Iterator[None]:
    """Take part in the work below `out`; several runs may.

    With `make`, a lock is made where there is none, in the folder that :func:`make_home` makes.
    """
    path = home_of(out) / _RUN
    for n in count():
        handle = _opened(path, make=make)
        if handle is None and make and n < _MOST_TIDIED and not path.parent.is_dir():
            with suppress(OSError, OutputError):  # somebody has just tidied up
                make_home(out)
            continue
        if handle is None:  # no batch has ever worked here, or no lock can be made
            yield
            return
        # Whoever holds it alone cleans, which is soon over.
        while fcntl is not None and not _try(handle, alone=False):
            time.sleep(_WAIT_S)
        if fcntl is None or _is_at(path, handle):
            try:
                yield
            finally:
                os.close(handle)
            return
        os.close(handle)


def _opened(path: Path, *, make: bool) -> int | None:
    # Another user's can be locked all the same.
    for flags in (os.O_RDWR | (os.O_CREAT if make else 0), os.O_RDONLY):
        with suppress(OSError):
            return os.open(path, flags, 0o666)
    return None


@contextmanager
def locked_track(out: Place, folder: Place, *, needed: bool = True) -> Iterator[None]:
    """Work on a track alone.

    Parameters
    ----------
    out : Path or Url
        Output folder of the run.
    folder : Path or Url
        Folder of the track's stems.
    needed : bool
        Without it, work goes on where no lock can be made, and nothing is left of those that were.

    Raises
    ------
    TrackTakenError
        If another process does.
    OutputError
        If no lock can be made, and one is needed.
    """
    tracks = home_of(out) / _TRACKS
    name = hashlib.sha256(os.fsencode(seen_from(folder, out))).hexdigest()[:24]
    path = tracks / (name + _LOCK)
    try:
        handle = _taken(path)
    except OutputError:
        if needed:
            raise
        handle = None
    try:
        yield
    finally:
        if handle is not None:
            # While it is held: whoever waits for this very file finds that it is gone.
            with suppress(OSError):
                path.unlink()
            os.close(handle)
        if not needed:
            with suppress(OSError):  # others are at work, or a batch was
                tracks.rmdir()
                tracks.parent.rmdir()


def _taken(path: Path) -> int | None:
    """Take a lock; None where there are no locks."""
    if fcntl is None:
        return None
    for n in count():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            if isinstance(error, FileNotFoundError) and n < _MOST_TIDIED:
                continue
            raise OutputError(
                f"cannot write to {display(path.parent)}: {error.strerror}; is the disk full?"
            ) from None
        if not _try(handle, alone=True):
            owner = os.read(handle, 200).decode("utf-8", "replace").strip()
            os.close(handle)
            raise TrackTakenError(owner or "another process")
        if _is_at(path, handle):
            break
        os.close(handle)
    with suppress(OSError):  # on a full disk nobody learns who it was
        os.ftruncate(handle, 0)
        os.write(handle, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
    return handle


def _is_at(path: Path, handle: int) -> bool:
    """Whether an open file is the one that is there now."""
    try:
        return os.stat(path).st_ino == os.fstat(handle).st_ino  # noqa: PTH116
    except OSError:
        return False


def _try(handle: int, *, alone: bool) -> bool:
    """Try to lock an open file; True too where the file system has no locks."""
    try:
        fcntl.flock(handle, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def remove_leftovers(out: Place, parents: Iterable[Place]) -> int:
    """Remove what processes have left that did not live to do it; return how many folders.

    Nothing is removed while any other run works below `out`.

    Parameters
    ----------
    out : Path or Url
        Output folder of the run, which does not hold its own lock now.
    parents : iterable of Path or Url
        Folders in which folders of stems are made.
    """
    remove_dead_scratch()
    with _alone(out) as is_alone:
        if not is_alone:
            return 0
        _remove_locks(home_of(out) / _TRACKS)
        return sum(_remove_in(parent) for parent in parents if isinstance(parent, Path))


def remove_unused_home(out: Place, journal: Journal) -> None:
    """Remove the folder of the journal and the locks, where nothing was done that they tell of."""
    with _alone(out) as is_alone:
        if not is_alone:
            return
        journal.remove_if_unused()
        home = home_of(out)
        with suppress(OSError):
            if sorted(path.name for path in home.iterdir()) == [_RUN]:
                (home / _RUN).unlink()
                home.rmdir()


@contextmanager
def _alone(out: Place) -> Iterator[bool]:
    """Tell whether no other run works below `out`, and keep others out meanwhile."""
    if fcntl is None:
        yield False
        return
    try:
        handle = os.open(home_of(out) / _RUN, os.O_RDONLY)
    except OSError:
        yield False
        return
    try:
        try:
            # Not by way of _try: where there are no locks, somebody may be at work.
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True
    finally:
        os.close(handle)


def remove_dead_locks(out: Place) -> None:
    """Remove locks of processes that died, and their folders if they are of no other use."""
    if fcntl is not None:
        _remove_locks(home_of(out) / _TRACKS)
        with suppress(OSError):
            home_of(out).rmdir()


def _remove_locks(tracks: Path) -> None:
    """Remove locks that nobody holds: who separates a single recording does not lock the run."""
    for path in tracks.glob(f"*{_LOCK}"):
        with suppress(OSError):
            handle = os.open(path, os.O_RDWR)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
            finally:
                os.close(handle)
    with suppress(OSError):
        tracks.rmdir()


def remove_dead(parents: Iterable[Place]) -> int:
    """Remove temporary folders that nobody holds, where runs do not know of each other."""
    if fcntl is None:
        return 0
    return sum(_remove_in(p) for p in parents if isinstance(p, Path))


def _remove_in(parent: Path) -> int:
    try:
        with os.scandir(parent) as entries:
            found = [
                entry.path
                for entry in entries
                if entry.is_dir(follow_symlinks=False)
                and (entry.name.startswith(HELD_PREFIX) or _is_forgotten(entry))
            ]
    except OSError:
        return 0
    left = [path for path in found if not _is_held(path)]
    for path in left:
        shutil.rmtree(path, ignore_errors=True)
    return len(left)


def _is_forgotten(entry: os.DirEntry[str]) -> bool:
    """Whether a temporary folder should have been held long ago; by whatever clock."""
    if not entry.name.startswith(NEW_PREFIX):
        return False
    return abs(time.time() - entry.stat(follow_symlinks=False).st_mtime) >= _YOUNG_S


def _is_held(path: str) -> bool:
    """Whether somebody holds a lock on a temporary folder itself, or may hold one."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    except OSError:  # another user's
        return True
    try:
        # Not by way of _try: where there are no locks, somebody may be at work.
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False
