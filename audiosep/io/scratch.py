"""Temporary folders of tasks and of the studio, and what dead processes have left of theirs."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from audiosep.errors import OutputError
from audiosep.io.naming import display
from audiosep.io.placing import NEW_PREFIX, held_folder

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ["is_in_scratch", "remove_dead_scratch", "scratch", "scratch_blamed"]

_HELD = ".audiosep.task-"

# To lock a new folder takes no time; until then it looks as one left by the dead does.
_NEW_S = 3600.0


@contextmanager
def scratch() -> Iterator[Path]:
    """Give a folder where temporary files go (``TMPDIR``); it is removed afterwards.

    Raises
    ------
    OutputError
        If it cannot be made.
    """
    named = os.environ.get("TMPDIR")
    if named and not Path(named).is_dir():  # Python would take another one without a word
        raise OutputError(f"TMPDIR is {display(named)}, which is no folder; make it, or unset it.")
    remove_dead_scratch()
    with ExitStack() as stack:
        try:
            folder = held_folder(stack, Path(tempfile.gettempdir()), _HELD)
        except OSError as error:
            raise OutputError(
                f"no temporary folder can be made: {error.strerror}; set TMPDIR to a folder with "
                "room."
            ) from None
        yield folder


@contextmanager
def scratch_blamed(place: Path) -> Iterator[None]:
    """Where a place is in a temporary folder, say of errors about it what helps there."""
    try:
        yield
    except OutputError as error:
        if not is_in_scratch(place):
            raise
        reason = str(error).partition(";")[0].rstrip(".")
        raise OutputError(
            f"{reason} (in {display(tempfile.gettempdir())}, where stems are made first); set "
            "TMPDIR to a folder with more room."
        ) from None


def is_in_scratch(place: Path) -> bool:
    """Whether a place is in such a folder, and will be gone."""
    return any(part.startswith(_HELD) for part in place.parts)


def remove_dead_scratch() -> None:
    """Remove the folders of processes that died: those that nobody holds a lock on."""
    if fcntl is None:
        return
    try:
        with os.scandir(tempfile.gettempdir()) as entries:
            found = [
                entry.path
                for entry in entries
                if _may_be_dead(entry) and entry.is_dir(follow_symlinks=False)
            ]
    except OSError:
        return
    for path in found:
        with suppress(OSError):  # held, another user's, gone, or nothing can be locked here
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(handle)


def _may_be_dead(entry: os.DirEntry[str]) -> bool:
    if entry.name.startswith(_HELD):
        return True
    if not entry.name.startswith(NEW_PREFIX):
        return False
    try:
        return entry.stat(follow_symlinks=False).st_mtime < time.time() - _NEW_S
    except OSError:  # gone meanwhile
        return False
