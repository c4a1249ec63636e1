"""Places of folders: tried before any work, filled beside, moved into as a whole."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from audiosep.errors import OutputError, RefusedError
from audiosep.io.naming import display

__all__ = [
    "HELD_PREFIX",
    "NEW_PREFIX",
    "beside",
    "check_writable",
    "held_folder",
    "move_run",
    "sync_folder",
    "why",
]

HELD_PREFIX = ".audiosep-"
"""How temporary folders of unfinished stems begin: one that nobody holds was left by the dead."""

NEW_PREFIX = ".audiosep.new-"
"""How they begin in the moment between being made and being held."""


_NO_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
"""What file systems say that cannot bring a folder to the disk."""


def check_writable(folder: Path) -> None:
    """Make `folder` and try it, before any work is done.

    Raises
    ------
    OutputError
        If nothing can be written there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (OSError, ValueError) as error:
        raise OutputError(
            f"cannot write to {display(folder)}: {why(error)}; choose another place with --out."
        ) from None


def why(error: Exception) -> str:
    """Reason of a failure in a few words."""
    if isinstance(error, FileExistsError | NotADirectoryError):
        return "there is a file where a folder should be"
    if isinstance(error, IsADirectoryError):
        return "there is a folder where a file should be"
    text = getattr(error, "strerror", None) or getattr(error, "error_string", None) or error
    return str(text).removeprefix("Error : ").rstrip(".")


@contextmanager
def beside(place: Path) -> Iterator[Path]:
    """Give a temporary folder on the file system of `place`; it is removed afterwards.

    Raises
    ------
    OutputError
        If it cannot be made.
    """
    with ExitStack() as stack:
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            folder = held_folder(stack, place.parent, HELD_PREFIX)
            # What mkdtemp makes is closed to others; a folder inside has the modes of any new
            # folder, and may become the place itself.
            new = folder / "new"
            new.mkdir()
        except (OSError, ValueError) as error:
            raise OutputError(
                f"cannot write to {display(place.parent)}: {why(error)}; choose another place."
            ) from None
        yield new


def held_folder(stack: ExitStack, top: Path, prefix: str) -> Path:
    """Make a temporary folder in `top` that is held, and removed when the stack is left."""
    made = Path(tempfile.mkdtemp(prefix=NEW_PREFIX, dir=top))
    folder = made.with_name(prefix + made.name.removeprefix(NEW_PREFIX))
    for path in (made, folder):
        stack.callback(shutil.rmtree, path, ignore_errors=True)
    _hold(made, stack)
    # Only now, when it is held: nobody may find it and think that its maker died.
    made.rename(folder)
    return folder


def _hold(folder: Path, stack: ExitStack) -> None:
    """Lock a folder: what nobody holds was left by a process that died, and may be removed."""
    try:
        import fcntl
    except ImportError:  # Windows
        return
    handle = os.open(folder, os.O_RDONLY)
    stack.callback(os.close, handle)
    with suppress(OSError):  # a file system without locks
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def move_run(
    new: Path, place: Path, names: list[str], old: list[str], *, fresh: bool = False
) -> None:
    """Move a run into its place as a whole, or leave the place as it was.

    Parameters
    ----------
    new : Path
        Folder given by :func:`beside`, with the files of the run and nothing else.
    place : Path
        Where they go. If it does not exist, `new` becomes it in one step.
    names : list of str
        Files in `new`, in the order to move them: what vouches for the others comes last. They
        replace files of the same name.
    old : list of str
        Files in `place` to remove, in order: what vouches for the others comes first. Those that
        do not exist, and folders, are passed over.

    fresh : bool
        Nothing may be replaced: `place` was free when the work began.

    Raises
    ------
    OutputError
        If something cannot be moved. Then, and after an interruption, all is where it was.
    RefusedError
        If `fresh` and something has appeared at `place` meanwhile.
    """
    try:
        sync_folder(new)
        if fresh and place.exists():
            raise RefusedError(
                f"{display(place)} has appeared while the stems were made, by another run "
                "perhaps; run the same command again."
            )
        if place.exists():
            _exchange(new, place, names, old)
        else:
            os.replace(new, place)
            try:
                sync_folder(place.parent)
            except BaseException:
                _undo([(new, place)])
                raise
    except (OSError, ValueError) as error:
        raise OutputError(f"cannot write to {display(place)}: {why(error)}.") from None


def _exchange(new: Path, place: Path, names: list[str], old: list[str]) -> None:
    # The old files stay in the temporary folder until the new ones are all in place.
    aside = new.with_name("old")
    aside.mkdir()
    moves: list[tuple[Path, Path]] = []

    def move(source: Path, target: Path) -> None:
        moves.append((source, target))  # first, for an interruption may come right after the move
        os.replace(source, target)

    try:
        for name in old:
            if _is_file(place / name):
                move(place / name, aside / name)
        for name in names:
            if _is_file(place / name):
                move(place / name, aside / name)
            move(new / name, place / name)
        sync_folder(place)
    except BaseException:
        _undo(moves)
        raise


def _is_file(path: Path) -> bool:
    """Whether something is there that is no folder; a link is not followed."""
    try:
        return not stat.S_ISDIR(path.lstat().st_mode)
    except (OSError, ValueError):
        return False


def _undo(moves: list[tuple[Path, Path]]) -> None:
    for source, target in reversed(moves):
        # One that fails, as the move that never happened does, must not keep the others away.
        with suppress(OSError):
            os.replace(target, source)


def sync_folder(folder: Path) -> None:
    """Make moves last through a loss of power, on systems that can.

    Raises
    ------
    OSError
        If the disk fails, or is full.
    """
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:  # a folder that may be written to and not read, or any on Windows
        return
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise
    finally:
        os.close(handle)
