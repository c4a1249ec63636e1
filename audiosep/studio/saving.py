"""The stems of a session, put where they stay: beside their place first, then moved as a whole."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from audiosep.errors import RefusedError
from audiosep.io.naming import display
from audiosep.io.placing import beside, move_run
from audiosep.io.stem_files import copy_stem
from audiosep.records import RECORD_NAME, is_own_file, read_record, write_record
from audiosep.report.finished import Finished
from audiosep.report.marks import REPORT_NAME, is_report

__all__ = ["PROJECT_NAME", "save_step"]

PROJECT_NAME = "project.json"
_MOST_PROJECT_BYTES = 1_000_000


def save_step(
    finished: Finished,
    place: Path,
    *,
    record: Mapping[str, Any] | None = None,
    write_project: Callable[[Path], None] | None = None,
    replace: bool = False,
) -> list[str]:
    """Copy stems with their record.

    Parameters
    ----------
    finished : Finished
        The stems.
    place : Path
        Folder that they go to.
    record : mapping, optional
        Instead of their own.
    write_project : callable, optional
        Called with the path of the project file that goes with them.
    replace : bool
        Whether stems that audiosep wrote there before are replaced.

    Returns
    -------
    list of str
        Names of the files.

    Raises
    ------
    RefusedError
        If something is there that is not to be replaced, or a stem was changed.
    OutputError
        If it cannot be written.
    """
    old = _old_files(place, replace)
    project = place / PROJECT_NAME
    if write_project is not None and os.path.lexists(project) and PROJECT_NAME not in old:
        raise RefusedError(
            f"{display(project)} is there already, and no project by audiosep; move it away, or "
            "type another place."
        )
    told = dict(finished.record if record is None else record)
    digests = {stem.file: stem.sha256 for stem in finished.stems}
    # Only what describes these stems: melodies and the like are those of the separation alone.
    digests |= {name: entry["sha256"] for name, entry in told.get("files", {}).items()}
    _check_names(finished.place, digests)
    with beside(place) as new:
        for file, digest in digests.items():
            # Two names can be one file to a file system: only what was found right takes a name.
            partial = new / ".part"
            copy_stem(finished.place / file, partial, digest)
            os.replace(partial, new / file)
        names = list(digests)
        if write_project is not None:
            write_project(new / PROJECT_NAME)
            names.append(PROJECT_NAME)
        write_record(new, told)
        names.append(RECORD_NAME)
        move_run(new, place, names, old, fresh=not old and not place.exists())
    return names


def _check_names(place: Path, names: Iterable[str]) -> None:
    """Refuse a record, which anyone may have written, that would have other files written."""
    for name in names:
        if not is_own_file(name) or name in (RECORD_NAME, PROJECT_NAME):
            raise RefusedError(
                f"{display(place / RECORD_NAME)} names {display(name)}, which is no file of these "
                "stems; separate the recording again."
            )


def _is_project(path: Path) -> bool:
    """Whether a file is a project that audiosep wrote."""
    try:
        if not path.is_file() or path.stat().st_size > _MOST_PROJECT_BYTES:
            return False
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(content, dict) and "audiosep_project" in content


def _old_files(place: Path, replace: bool) -> list[str]:
    """Files of an earlier run that go; none where the place is free."""
    if not place.exists() and not place.is_symlink():
        return []
    if place.is_dir() and not any(place.iterdir()):
        return []
    known = read_record(place) if place.is_dir() else None
    if known is None:
        raise RefusedError(
            f"{display(place)} is there already, and holds no stems by audiosep; type another "
            "place."
        )
    if not replace:
        raise RefusedError(
            f"{display(place)} holds stems already; choose to replace them, or type another place."
        )
    stems, files = known.get("stems"), known.get("files")
    entries = stems.values() if isinstance(stems, dict) else ()
    named = [one.get("file") for one in entries if isinstance(one, dict)]
    named += list(files) if isinstance(files, dict) else []
    old = [name for name in named if is_own_file(name)]
    if is_report(place / REPORT_NAME):  # it tells of the stems that go
        old.append(REPORT_NAME)
    if _is_project(place / PROJECT_NAME):  # it would repeat stems that are gone
        old.append(PROJECT_NAME)
    return [RECORD_NAME, *dict.fromkeys(old)]
