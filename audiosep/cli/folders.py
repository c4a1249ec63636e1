"""Recordings in folders and the folders below them, and what in there is none of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath

from audiosep.errors import InputError
from audiosep.io.naming import (
    TOP,
    display,
    each_once,
    find_inputs,
    is_recording_name,
    may_be_read,
)
from audiosep.io.urls import Place, Url
from audiosep.records import RECORD_NAME

__all__ = ["Found", "find_recordings"]


@dataclass(frozen=True, kw_only=True)
class Found:
    """A recording, and the folder it was found in, seen from what was named.

    Parameters
    ----------
    source : Path or Url
        The recording.
    below : PurePath
        Its folder, relative to the one that was named; empty for those that were named themselves.
    problem : str
        Why there is nothing to be had: then `source` is a folder that cannot be looked into.
    """

    source: Place
    below: PurePath = TOP
    problem: str = ""


def find_recordings(argument: Place, *, recursive: bool, out: Place) -> list[Found]:
    """Recordings that one argument stands for.

    Stems are no recordings: a folder with a record of ours is passed over, and so is the output
    folder. Links to folders are not followed, so that no loop is walked; hidden files and folders
    are passed over, and so is what is no file, such as a pipe.

    Parameters
    ----------
    argument : Path or Url
        A file, which is taken whatever it is, or a folder.
    recursive : bool
        Whether folders in it are looked into.
    out : Path or Url
        Output folder.

    Raises
    ------
    InputError
        If a folder holds no recording or cannot be listed.
    """
    if isinstance(argument, Url):
        return _far(argument, recursive=recursive, out=out)
    if not recursive or not _is_folder(argument):
        if _is_file(argument / RECORD_NAME):
            raise _holds_stems(argument)
        return [Found(source=path) for path in find_inputs([argument])]
    # A remote output folder is none of the folders here.
    found = list(_walk(argument, "" if isinstance(out, Url) else os.path.realpath(out)))
    if not found:
        raise _none_in(argument)
    kept = {id(path) for path in each_once(f.source for f in found)}
    return [f for f in found if id(f.source) in kept]


def _holds_stems(folder: Place) -> InputError:
    return InputError(
        f"{display(folder)} holds stems, not recordings; name the files to take one apart again."
    )


def _none_in(folder: Place) -> InputError:
    return InputError(f"{display(folder)} is a folder without recordings, and so are those in it.")


def _walk(top: Path, out: str) -> Iterator[Found]:
    closed: list[OSError] = []
    for home, folders, names in os.walk(top, onerror=closed.append):
        # A record means stems; and the output folder may be the very folder that is walked.
        if RECORD_NAME in names:
            folders.clear()
            continue
        folders[:] = sorted(
            f for f in folders if not f.startswith(".") and os.path.realpath(Path(home) / f) != out
        )
        below = PurePath(os.path.relpath(home, top))
        for name in sorted(names):
            path = Path(home) / name
            if is_recording_name(path) and may_be_read(path):
                yield Found(source=path, below=below)
    # One folder that may not be looked into must not keep the others away.
    for error in closed:
        place = Path(error.filename or top)
        yield Found(source=place, problem=f"{display(place)} cannot be listed: {error.strerror}.")


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False


# Elsewhere


def _far(argument: Url, *, recursive: bool, out: Place) -> list[Found]:
    from audiosep.io.remote import listing, look

    state = look(argument)
    if state is not None:
        return [Found(source=Url(argument.text, seen=state))]
    if recursive:
        found = list(_walk_far(argument, out))
        if not found:
            raise _none_in(argument)
        return found
    files = listing(argument).files
    if RECORD_NAME in files:
        raise _holds_stems(argument)
    inside = [n for n in sorted(files) if is_recording_name(PurePath(n))]
    if not inside:
        raise InputError(
            f"{display(argument)} is a folder without recordings; those in folders below it are "
            "not taken without -r."
        )
    return [Found(source=Url((argument / n).text, seen=files[n])) for n in inside]


def _walk_far(top: Url, out: Place) -> Iterator[Found]:
    """Recordings below an address, in the order and by the rules of those on a disk."""
    from audiosep.io.remote import listing

    waiting = [(top, TOP)]
    while waiting:
        home, below = waiting.pop()
        try:
            held = listing(home)
        except InputError as error:
            if home == top:
                raise
            yield Found(source=home, problem=str(error))
            continue
        if RECORD_NAME in held.files:
            continue
        for name in sorted(held.files):
            if is_recording_name(PurePath(name)):
                source = Url((home / name).text, seen=held.files[name])
                yield Found(source=source, below=below)
        # A key may have any parts, and these would lead out of a folder that mirrors it.
        for name in held.folders:
            if name in (".", ".."):
                words = f"{display(home)}/{name}/ cannot be the name of a folder; rename it."
                yield Found(source=home, problem=words)
        waiting += [
            (home / name, below / name)
            for name in reversed(held.folders)
            if not name.startswith(".") and home / name != out
        ]
