"""Shared by commands that take one thing and make one: where it goes, what is said of a failure."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from audiosep.cli.talk import Talk
from audiosep.cli.wording import words_of
from audiosep.errors import AudiosepError, OutputError, RefusedError
from audiosep.io.naming import display, track_name

__all__ = ["check_folder", "check_free", "folder_for", "said_in_json", "tell_stems"]


@contextmanager
def said_in_json(subject: Path, talk: Talk) -> Iterator[None]:
    """Where JSON is wanted, print a failure as JSON, too; it goes on its way all the same."""
    try:
        yield
    except AudiosepError as error:
        if talk.json_lines:
            entry = {"input": str(subject), "status": "failed", "error": words_of(error)}
            talk.json(entry)
        raise


def tell_stems(
    subject: Path, place: Path, paths: Mapping[str, Path], seconds: float, talk: Talk, **more: Any
) -> None:
    """Print where stems that were made of others are, a line each, or all of it as JSON.

    Parameters
    ----------
    subject : Path
        What they were made of.
    place : Path
        Their folder.
    paths : mapping of str to Path
        Where each is.
    seconds : float
        How long it took.
    talk : Talk
        How to say it.
    **more
        What else the JSON holds.
    """
    if not talk.json_lines:
        for path in paths.values():
            talk.result(display(path))
        return
    talk.json(
        {
            "input": str(subject),
            "status": "done",
            "place": str(place),
            "stems": {name: str(path) for name, path in paths.items()},
            **more,
            "seconds": round(seconds, 3),
            "error": None,
        }
    )


def check_free(path: Path) -> None:
    """Refuse to replace a file, or to write where no folder is, before any work is done.

    Raises
    ------
    RefusedError
        If something is there.
    OutputError
        If its folder does not exist.
    """
    if os.path.lexists(path):
        raise RefusedError(f"{display(path)} exists already; remove it or choose another --out.")
    if not path.parent.is_dir():
        raise OutputError(f"{display(path.parent)} is no folder; make it or choose another --out.")


def check_folder(out: Path) -> None:
    """Refuse a place where no folder can be made, before any work is done; nothing is made yet.

    Raises
    ------
    OutputError
        If the next thing above it that exists is no folder, or may not be written to.
    """
    try:
        home = next(path for path in (out, *out.absolute().parents) if os.path.lexists(path))
        fine = home.is_dir() and os.access(home, os.W_OK)
    except OSError:
        fine = False
    if not fine:
        raise OutputError(f"cannot write to {display(out)}; choose another place with --out.")


def folder_for(source: Path, out: Path) -> Path:
    """Return a folder below `out` named after a recording, with a number where that is taken."""
    name = track_name(source)
    names = (name if n == 1 else f"{name}-{n}" for n in count(1))
    return next(place for name in names if not os.path.lexists(place := out / name))
