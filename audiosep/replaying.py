"""Projects replayed: the recording taken apart again, and every step after that done again."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audiosep.errors import InputError
from audiosep.io.header import sha256_of
from audiosep.io.naming import display, track_name
from audiosep.io.placing import beside, move_run
from audiosep.project_steps import PaintStep, Project, Step
from audiosep.records import RECORD_NAME, read_record, recorded_files, write_record
from audiosep.research.painting import paint
from audiosep.research.places import free_place
from audiosep.research.regrouping import regroup
from audiosep.separator import Separator
from audiosep.types import Progress, ignore_progress

__all__ = ["Replayed", "replay"]

_SUFFIX = "-replayed"
_STEPS_KEPT = ("regrouped", "painted")


@dataclass(frozen=True, kw_only=True, eq=False)
class Replayed:
    """Stems that were made again.

    Parameters
    ----------
    place : Path
        Their folder.
    paths : dict of str to Path
        Where each stem is.
    record : dict
        Their ``audiosep.json``.
    same : bool or None
        Whether they are, byte for byte, those that the project tells of; None where it tells
        nothing of them.
    """

    place: Path
    paths: dict[str, Path]
    record: dict[str, Any]
    same: bool | None


def replay(
    project: Project,
    *,
    out: str | os.PathLike[str] | None = None,
    source: str | os.PathLike[str] | None = None,
    n_threads: int | None = None,
    progress: Progress = ignore_progress,
) -> Replayed:
    """Take the recording of a project apart again, and do its steps again.

    Parameters
    ----------
    project : Project
        As :func:`audiosep.projects.load_project` reads it.
    out : path-like, optional
        A folder that does not exist yet; by default one in the current folder, named after the
        recording with ``-replayed`` added, and a number where that is taken.
    source : path-like, optional
        The recording, where it is no longer at the place that the project names.
    n_threads : int, optional
        Threads; by default the processors this process may use. The result does not depend on it.
    progress : callable
        Called as ``progress(stage, fraction)``.

    Returns
    -------
    Replayed

    Raises
    ------
    InputError
        If the recording, or another file that the project needs, is not there or is another one.
    UsageError
        If its settings or a step cannot be.
    RefusedError
        If `out` exists, or something does not fit into free memory.
    OutputError
        If the new folder cannot be written.
    """
    path = Path(os.fspath(project.input_path if source is None else source))
    place = free_place(Path(track_name(path)), out, _SUFFIX)
    separator = _separator(project, n_threads)
    _check_recording(project, path)
    with beside(place) as new:
        home = new.parent
        folder = home / "step-0"
        separator.split(
            path,
            folder,
            start=project.start,
            duration=project.duration,
            progress=progress,
            fresh=True,
            **project.output,
        )
        for number, step in enumerate(project.steps, start=1):
            before, folder = folder, home / f"step-{number}"
            try:
                _do(step, before, folder, n_threads, progress)
            except Exception as error:
                error.add_note(f"in step {number} of the project")
                raise
            shutil.rmtree(before)  # or the disk would have to hold every step
        record = _without_places(read_record(folder) or {})
        write_record(folder, record)
        move_run(folder, place, [*recorded_files(record), RECORD_NAME], [], fresh=True)
    stems: Mapping[str, Any] = record["stems"]
    same = {name: stem["sha256"] for name, stem in stems.items()} == dict(project.stems)
    return Replayed(
        place=place,
        paths={name: place / stem["file"] for name, stem in stems.items()},
        record=record,
        same=same if project.stems else None,
    )


def _separator(project: Project, n_threads: int | None) -> Separator:
    separator = Separator(**project.settings, n_threads=n_threads)
    now = separator.settings()
    for name, before in project.read.items():
        if now.get(name) != before:
            raise InputError(
                f"the {name} of the project: what is there is not what the stems were made with; "
                "put it back as it was."
            )
    return separator


def _check_recording(project: Project, path: Path) -> None:
    try:
        digest = sha256_of(path) if path.is_file() else None
    except (OSError, ValueError):
        digest = None
    if digest is None:
        raise InputError(
            f"{display(path)} is not there or cannot be read; say with --input where the "
            "recording is."
        )
    if digest != project.input_sha256:
        raise InputError(
            f"{display(path)} is not the recording that the project was made with; name the "
            "right one with --input."
        )


def _do(step: Step, before: Path, after: Path, n_threads: int | None, progress: Progress) -> None:
    if isinstance(step, PaintStep):
        paint(
            before,
            step.regions,
            out=after,
            refit=step.refit,
            seed=step.seed,
            n_threads=n_threads,
            progress=progress,
        )
        return
    move: dict[int | tuple[int, ...], str] = dict(step.move)
    regroup(
        before,
        merge=step.merge,
        move=move,
        rename=dict(step.rename),
        out=after,
        n_threads=n_threads,
    )


def _without_places(record: dict[str, Any]) -> dict[str, Any]:
    """The record without the temporary folders in which the steps were done."""
    settings = dict(record["settings"])
    for name in _STEPS_KEPT:
        if name in settings:
            settings[name] = {**settings[name], "from": None}
    return {**record, "settings": settings}
