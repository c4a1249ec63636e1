"""One file written in one step: it is there as a whole, or as it was before."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from audiosep.errors import AudiosepError, OutputError
from audiosep.io.naming import display
from audiosep.io.placing import why

__all__ = ["in_one_step", "replace_file"]


@contextmanager
def in_one_step(path: Path, what: str = "") -> Iterator[Path]:
    """Give a place beside `path` to write to; what is written there becomes `path` at the end.

    Parameters
    ----------
    path : Path
        Replaced if it exists, and left as it was if anything goes wrong.
    what : str
        What it is, for the error: ``"the dictionary"``; by default its path is enough.

    Yields
    ------
    Path

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    partial = path.with_name(f".{path.name}.part{os.getpid()}")
    try:
        yield partial
        partial.replace(path)
    except AudiosepError:
        raise
    except (OSError, ValueError) as error:  # a name that cannot be is a ValueError
        place = f"{display(path)}: cannot write {what}" if what else f"cannot write {display(path)}"
        raise OutputError(f"{place}: {why(error)}.") from None
    finally:
        with suppress(OSError, ValueError):
            partial.unlink(missing_ok=True)


def replace_file(path: Path, content: bytes, what: str = "") -> None:
    """Write a file in one step, made to last through a loss of power.

    Parameters
    ----------
    path : Path
        Replaced if it exists; its folder must exist.
    content : bytes
        All of it.
    what : str
        As for :func:`in_one_step`.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    with in_one_step(path, what) as partial, partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
