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
from pathlib import Path

from audiosep.cli.scratch import remove_dead_scratch
from audiosep.errors import OutputError
from audiosep.io.naming import display
from audiosep.io.urls import Place, Url, seen_from

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
    "remove_leftovers",
]

HOME_NAME = ".audiosep"
"""Folder below the output folder for what a batch needs to go on later."""

_TEMPORARY = ".audiosep-"
_YOUNG_S = 5.0
"""How the temporary folders of unfinished stems begin."""

_RUN = "run.lock"
_TRACKS = "tracks"
_WAIT_S = 0.05


class TrackTakenError(Exception):
    """A track that another process is working on; its text says which."""


def home_of(out: Place) -> Path:
    """Folder of the journal and the locks: in the output folder, or, where that is remote, here."""
    if not isinstance(out, Url):
        return out / HOME_NAME
    from platformdirs import user_state_path

    digest = hashlib.sha256(out.text.encode()).hexdigest()
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
def locked_run(out: Place) -> Iterator[None]:
    """Take part in the work below `out`; several runs may."""
    handle = _opened(home_of(out) / _RUN)
    if handle is None:  # no batch has ever worked here
        yield
        return
    try:
        # Whoever holds it alone cleans, which is soon over.
        while fcntl is not None and not _try(handle, alone=False):
            time.sleep(_WAIT_S)
        yield
    finally:
        os.close(handle)


def _opened(path: Path) -> int | None:
    for flags in (os.O_RDWR | os.O_CREAT, os.O_RDONLY):  # another user's can be locked all the same
        with suppress(OSError):
            return os.open(path, flags, 0o666)
    return None


@contextmanager
def locked_track(out: Place, folder: Place) -> Iterator[None]:
    """Work on a track alone.

    Parameters
    ----------
    out : Path or Url
        Output folder of the run.
    folder : Path or Url
        Folder of the track's stems.

    Raises
    ------
    TrackTakenError
        If another process does.
    """
    tracks = home_of(out) / _TRACKS
    name = hashlib.sha256(os.fsencode(seen_from(folder, out))).hexdigest()[:24]
    path = tracks / f"{name}.lock"
    handle = _taken(path)
    try:
        yield
    finally:
        if handle is not None:
            # While it is held: whoever waits for this very file finds that it is gone.
            with suppress(OSError):
                path.unlink()
            os.close(handle)


def _taken(path: Path) -> int | None:
    """Take a lock; None where there are no locks."""
    if fcntl is None:
        return None
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise OutputError(
                f"cannot write to {display(path.parent)}: {error.strerror}; is the disk full?"
            ) from None
        if not _try(handle, alone=True):
            owner = os.read(handle, 200).decode("utf-8", "replace").strip()
            os.close(handle)
            raise TrackTakenError(owner or "another process")
        try:
            same = os.stat(path).st_ino == os.fstat(handle).st_ino  # noqa: PTH116
        except OSError:
            same = False
        if same:
            break
        os.close(handle)
    with suppress(OSError):  # on a full disk nobody learns who it was
        os.ftruncate(handle, 0)
        os.write(handle, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
    return handle


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
    if fcntl is None:
        return 0
    try:
        handle = os.open(home_of(out) / _RUN, os.O_RDONLY)
    except OSError:
        return 0
    try:
        # Not by way of _try: where there are no locks, somebody may be at work.
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(home_of(out) / _TRACKS, ignore_errors=True)
        return sum(_remove_in(parent) for parent in parents if isinstance(parent, Path))
    except OSError:  # somebody is at work, or there are no locks here
        return 0
    finally:
        os.close(handle)


def remove_dead(parents: Iterable[Place]) -> int:
    """Remove temporary folders that nobody holds, where runs do not know of each other.

    Very young ones stay: they are made a moment before they are held.
    """
    if fcntl is None:
        return 0
    return sum(_remove_in(p, least_age_s=_YOUNG_S) for p in parents if isinstance(p, Path))


def _remove_in(parent: Path, least_age_s: float = 0.0) -> int:
    now = time.time()
    try:
        with os.scandir(parent) as entries:
            found = [
                entry.path
                for entry in entries
                if entry.name.startswith(_TEMPORARY)
                and entry.is_dir(follow_symlinks=False)
                and now - entry.stat(follow_symlinks=False).st_mtime >= least_age_s
            ]
    except OSError:
        return 0
    left = [path for path in found if not _is_held(path)]
    for path in left:
        shutil.rmtree(path, ignore_errors=True)
    return len(left)


def _is_held(path: str) -> bool:
    """Whether somebody holds a lock on a temporary folder itself."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        return not _try(handle, alone=True)
    finally:
        os.close(handle)
