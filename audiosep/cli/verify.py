"""``audiosep verify``: whether stems that were written before are still whole."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from audiosep.cli.journal import JOURNAL_NAME, Journal
from audiosep.cli.locks import home_of
from audiosep.cli.talk import Talk
from audiosep.cli.wording import words_of
from audiosep.errors import AudiosepError, ExitCode, UsageError
from audiosep.io.header import info
from audiosep.io.naming import display, is_recording_name
from audiosep.records import RECORD_NAME
from audiosep.verification import verify

__all__ = ["verify_all"]

_FEWEST = 2
_LOST = (
    f"but has no {RECORD_NAME}, so nothing in it is known to be complete; if these are stems, "
    "separate the recording again with --exists repair."
)


def verify_all(folders: Sequence[Path], mixture: Path | None, talk: Talk) -> ExitCode:
    """Check every folder of stems; one that is not whole never stops the others.

    Folders that look like stems and have no record are told of. The code counts them only where
    the journal of a batch says that a run has finished them: a tree may hold other things.

    Raises
    ------
    UsageError
        If one recording is named for several folders.
    """
    found: Iterable[_Found] = chain.from_iterable(map(_found_in, folders))
    if mixture is not None:
        found = list(found)
        n_known = sum(not one.problem for one in found)
        if n_known > 1:
            raise UsageError(
                f"--mixture names one recording, and there are {n_known} folders of stems; "
                "verify its own folder alone, and the others without --mixture."
            )
    counts = dict.fromkeys(("whole", "broken", "unknown"), 0)
    for one in found:
        folder, entry = one.folder, _entry(one, mixture)
        counts[entry["status"]] += 1
        if talk.json_lines:
            talk.json(entry)
            continue
        if entry["status"] == "whole":
            talk.result(_line(entry))
        for problem in entry["problems"]:
            talk.error(f"{display(folder)}: {problem}")
        for note in entry["notes"]:
            talk.say(f"{display(folder)}: {note}")
    n_bad = counts["broken"]
    if n_bad + counts["unknown"] and sum(counts.values()) > 1:
        words = f"audiosep: {counts['whole']} whole, {n_bad} not"
        talk.say(f"{words}, {counts['unknown']} without a record" if counts["unknown"] else words)
    if not n_bad:
        return ExitCode.DONE
    return ExitCode.SOME_FAILED if counts["whole"] else ExitCode.ALL_FAILED


@dataclass(frozen=True, kw_only=True)
class _Found:
    """A folder, and why it cannot be checked where it has no record."""

    folder: Path
    status: str = "broken"
    problem: str = ""


def _found_in(argument: Path) -> Iterator[_Found]:
    """Folders of stems in and below a folder; the folder itself where there is none."""
    written = _written_below(argument)
    found = False
    for where, names, files in os.walk(argument):
        names[:] = sorted(name for name in names if not name.startswith("."))
        folder = Path(where)
        if RECORD_NAME in files:
            found = True
            yield _Found(folder=folder)
            continue
        sounds = [folder / name for name in sorted(files) if is_recording_name(Path(name))]
        if sounds and os.path.realpath(folder) in written:
            found = True
            yield _Found(folder=folder, problem=f"was finished by an earlier run, {_LOST}")
        elif _look_like_stems(sounds) and folder != argument:
            words = f"holds {len(sounds)} sound files of one length, {_LOST}"
            yield _Found(folder=folder, status="unknown", problem=words)
    if not found:
        yield _Found(folder=argument)


def _written_below(out: Path) -> frozenset[str]:
    """Folders that batches into a folder have finished, as their journal says."""
    journal = Journal(home_of(out) / JOURNAL_NAME)
    if not journal.path.is_file():
        return frozenset()
    try:
        tracks = journal.read().values()
    except AudiosepError:  # told by whoever works with it
        return frozenset()
    places = (out / one.place for one in tracks if one.status == "done" and "\0" not in one.place)
    return frozenset(map(os.path.realpath, places))


def _look_like_stems(sounds: Sequence[Path]) -> bool:
    """Whether there are several, of one rate and length, as stems are and recordings seldom."""
    if len(sounds) < _FEWEST:
        return False
    shapes = set()
    for path in sounds:
        try:
            about = info(path)
        except AudiosepError:
            return False
        shapes.add((about.sr, about.n_channels, about.n_samples))
        if len(shapes) > 1:
            return False
    return True


def _entry(found: _Found, mixture: Path | None) -> dict[str, Any]:
    folder = found.folder
    entry: dict[str, Any] = {
        "folder": str(folder),
        "status": "broken",
        "n_files": 0,
        "null_test_db": None,
        "problems": [],
        "notes": [],
    }
    if found.problem:
        where = "problems" if found.status == "broken" else "notes"
        return entry | {"status": found.status, where: [found.problem]}
    if not folder.is_dir():
        return entry | {"problems": ["is no folder of stems."]}
    try:
        checked = verify(folder, mixture)
    except AudiosepError as error:
        return entry | {"problems": [words_of(error).replace(f"{folder} ", "", 1)]}
    except Exception as error:
        # Nothing in a single folder may stop the others.
        words = f"cannot be checked ({type(error).__name__}: {error}); please report it."
        return entry | {"problems": [words]}
    return entry | {
        "status": "whole" if checked.is_whole else "broken",
        "n_files": checked.n_files,
        "null_test_db": checked.null_test_db,
        "problems": list(checked.problems),
        "notes": list(checked.notes),
    }


def _line(entry: dict[str, Any]) -> str:
    null = entry["null_test_db"]
    if null is None:
        words = "as written"
    elif null <= -299:
        words = "as written, and they add up to the recording exactly"
    else:
        words = f"as written, and they add up to the recording to {null:.0f} dB"
    return f"{display(entry['folder'])}: {entry['n_files']} files are {words}"
