"""``audiosep verify``: whether stems that were written before are still whole."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from audiosep.cli.talk import Talk
from audiosep.errors import AudiosepError, ExitCode, UsageError
from audiosep.io.naming import display
from audiosep.save import RECORD_NAME
from audiosep.verification import verify

__all__ = ["verify_all"]


def verify_all(folders: Sequence[Path], mixture: Path | None, talk: Talk) -> ExitCode:
    """Check every folder of stems; one that is not whole never stops the others.

    Raises
    ------
    UsageError
        If one recording is named for several folders.
    """
    found: Iterable[Path] = chain.from_iterable(map(_separated_in, folders))
    if mixture is not None:
        found = list(found)
        if len(found) > 1:
            raise UsageError(
                f"--mixture names one recording, and there are {len(found)} folders of stems; "
                "verify its own folder alone, and the others without --mixture."
            )
    n_whole = n_bad = 0
    for folder in found:
        entry = _entry(folder, mixture)
        whole = entry["status"] == "whole"
        n_whole, n_bad = n_whole + whole, n_bad + (not whole)
        if talk.json_lines:
            talk.json(entry)
            continue
        if whole:
            talk.result(_line(entry))
        for problem in entry["problems"]:
            talk.error(f"{display(folder)}: {problem}")
        for note in entry["notes"]:
            talk.say(f"{display(folder)}: {note}")
    if not n_bad:
        return ExitCode.DONE
    return ExitCode.SOME_FAILED if n_whole else ExitCode.ALL_FAILED


def _separated_in(argument: Path) -> Iterator[Path]:
    """Folders with a record in and below a folder; the folder itself where there is none."""
    found = False
    for where, names, files in os.walk(argument):
        names[:] = sorted(name for name in names if not name.startswith("."))
        if RECORD_NAME in files:
            found = True
            yield Path(where)
    if not found:
        yield argument


def _entry(folder: Path, mixture: Path | None) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "folder": str(folder),
        "status": "broken",
        "n_files": 0,
        "null_test_db": None,
        "problems": [],
        "notes": [],
    }
    if not folder.is_dir():
        return entry | {"problems": ["is no folder of stems."]}
    try:
        found = verify(folder, mixture)
    except AudiosepError as error:
        return entry | {"problems": [str(error).replace(f"{folder} ", "", 1)]}
    except Exception as error:
        # Nothing in a single folder may stop the others.
        words = f"cannot be checked ({type(error).__name__}: {error}); please report it."
        return entry | {"problems": [words]}
    return entry | {
        "status": "whole" if found.is_whole else "broken",
        "n_files": found.n_files,
        "null_test_db": found.null_test_db,
        "problems": list(found.problems),
        "notes": list(found.notes),
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
