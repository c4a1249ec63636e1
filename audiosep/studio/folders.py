"""Folders of the studio: its own for the work, and those in which results may be put."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from audiosep.errors import OutputError, RefusedError
from audiosep.io.naming import display

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ["Places", "work_folder"]

_NEW = ".audiosep-studio.new-"
_HELD = ".audiosep-studio."
_NEW_S = 3600.0
_LONGEST = 1000


@contextmanager
def work_folder() -> Iterator[Path]:
    """Give a folder for the steps of a session, where temporary files go (``TMPDIR``).

    It is removed afterwards, and so are those of sessions that died.

    Raises
    ------
    OutputError
        If it cannot be made.
    """
    _remove_dead()
    with ExitStack() as stack:
        try:
            new = Path(tempfile.mkdtemp(prefix=_NEW))
            folder = new.with_name(_HELD + new.name.removeprefix(_NEW))
            for path in (new, folder):
                stack.callback(shutil.rmtree, path, ignore_errors=True)
            if fcntl is not None:
                handle = os.open(new, os.O_RDONLY)
                stack.callback(os.close, handle)
                with suppress(OSError):  # a file system without locks
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Only now, when it is held: nobody may find it and think that its maker died.
            new.rename(folder)
        except OSError as error:
            raise OutputError(
                f"no temporary folder can be made: {error.strerror}; set TMPDIR to a folder with "
                "room."
            ) from None
        yield folder


def _remove_dead() -> None:
    """Remove what sessions have left that nobody holds a lock on any more."""
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
    if not entry.name.startswith(_HELD):
        return False
    if not entry.name.startswith(_NEW):
        return True
    try:  # locked in a moment, unless its maker died before that
        return entry.stat(follow_symlinks=False).st_mtime < time.time() - _NEW_S
    except OSError:  # gone meanwhile
        return False


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where results may be put: below the folders that the studio was given, and nowhere else.

    Parameters
    ----------
    roots : sequence of Path
        These folders; what is typed is taken from the first.
    closed : sequence of Path
        Folders that stay as they are.
    """

    roots: Sequence[Path]
    closed: Sequence[Path] = ()

    def place(self, text: object) -> Path:
        """Place that was typed.

        Raises
        ------
        RefusedError
            If it is outside, or what may not be changed.
        OutputError
            If it cannot be the name of a file or folder.
        """
        if not isinstance(text, str) or not text.strip():
            raise OutputError("No folder is named; type where it should go, such as separated/mix.")
        if len(text) > _LONGEST or not text.isprintable():
            raise OutputError(
                f"{display(str(text)[:60])!r} cannot be a place: it is too long, or has characters "
                "that cannot be seen; type another."
            )
        place = self.roots[0] / text.strip()
        real = Path(os.path.realpath(place))
        roots = [Path(os.path.realpath(root)) for root in self.roots]
        if not any(real.is_relative_to(root) and real != root for root in roots):
            raise RefusedError(
                f"{display(text)} is outside of what this studio may write to; type a place below "
                f"{' or '.join(display(root) for root in dict.fromkeys(self.roots))}."
            )
        for kept in self.closed:
            closed = Path(os.path.realpath(kept))
            if real.is_relative_to(closed) or closed.is_relative_to(real):
                raise RefusedError(
                    f"{display(text)} is what was opened, or holds it, and stays as it is; type "
                    "another place."
                )
        return place

    def free(self, name: str, ending: str = "") -> str:
        """A place of that name which is not there yet, as it could be typed."""
        names = (f"{name}{'' if n == 1 else f'-{n}'}{ending}" for n in count(1))
        return next(one for one in names if not os.path.lexists(self.roots[0] / one))
