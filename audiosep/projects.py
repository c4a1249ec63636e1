"""Projects as files of JSON: written in one step, and read strictly."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import Any

from audiosep.errors import AudiosepError, InputError, OutputError, UsageError
from audiosep.io.naming import display
from audiosep.io.single_file import replace_file
from audiosep.project_steps import PaintStep, Project, RegroupStep, Step, project_of
from audiosep.research.painted_regions import PaintedRegion

__all__ = [
    "PaintStep",
    "Project",
    "RegroupStep",
    "Step",
    "load_project",
    "project_of",
    "save_project",
]

FORMAT_VERSION = 1
_VERSION_KEY = "audiosep_project"
_MAX_FILE_BYTES = 2**20
_HINT = "give a project file that audiosep wrote"
_INPUT = ("path", "sha256", "start", "duration")
_PARTS = ("settings", "read", "output", "stems")


def save_project(project: Project, path: str | os.PathLike[str]) -> None:
    """Write a project in one step; the same project gives the same bytes.

    A recording below the folder of the project is named from there, so that both can be moved.

    Parameters
    ----------
    project : Project
        What to write.
    path : path-like
        Replaced if it exists; its folder must exist.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    target = Path(os.fspath(path))
    content = {
        _VERSION_KEY: FORMAT_VERSION,
        "audiosep": project.version,
        "input": {
            "path": _from_folder(project.input_path, target.parent),
            "sha256": project.input_sha256,
            "start": project.start,
            "duration": project.duration,
        },
        **{name: dict(getattr(project, name)) for name in _PARTS},
        "steps": [_step_as_json(step) for step in project.steps],
    }
    try:
        text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        in_bytes = text.encode()
    except ValueError as error:
        raise OutputError(f"{display(target)}: cannot write the project: {error}.") from None
    replace_file(target, in_bytes, "the project")


def _from_folder(path: str, folder: Path) -> str:
    try:
        return Path(path).resolve().relative_to(folder.resolve()).as_posix()
    except (ValueError, OSError):
        return path


def _step_as_json(step: Step) -> dict[str, Any]:
    if isinstance(step, RegroupStep):
        return {"regroup": asdict(step)}
    regions = [region.as_json() for region in step.regions]
    return {"paint": {"regions": regions, "refit": step.refit, "seed": step.seed}}


def load_project(path: str | os.PathLike[str]) -> Project:
    """Read a project that anyone may have written.

    Parameters
    ----------
    path : path-like
        JSON of at most 1 MB. A relative path of the recording begins at its folder.

    Returns
    -------
    Project

    Raises
    ------
    InputError
        If it cannot be read, is no project, or is of another version.
    """
    file = Path(os.fspath(path))
    try:
        return _project(_json(file), file.parent)
    except AudiosepError as error:
        raise InputError(f"{display(file)} is no project that can be replayed: {error}") from None


def _json(file: Path) -> Any:
    try:
        about = file.stat()
        if not stat.S_ISREG(about.st_mode):
            raise InputError("it is no file.")
        if about.st_size > _MAX_FILE_BYTES:
            raise InputError("it is too large for one.")
        return json.loads(
            file.read_bytes().decode("utf-8"),
            parse_constant=_refused,
            object_pairs_hook=_once,
        )
    except OSError as error:
        raise InputError(f"it cannot be read ({error.strerror}).") from None
    except (ValueError, RecursionError):
        raise InputError(f"it is no JSON in UTF-8; {_HINT}.") from None


def _refused(_text: str) -> float:
    raise ValueError("not a number")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key twice")
    return found


def _project(content: Any, folder: Path) -> Project:
    if not isinstance(content, dict) or _VERSION_KEY not in content:
        raise InputError(f"it has no {_VERSION_KEY!r}; {_HINT}.")
    version = content[_VERSION_KEY]
    if version != FORMAT_VERSION or type(version) is not int:
        raise InputError(
            f"it is of version {display(str(version)[:20])}, and version {FORMAT_VERSION} can be "
            "read; use the audiosep that wrote it."
        )
    keys = (_VERSION_KEY, "audiosep", "input", *_PARTS, "steps")
    _check_keys(content, keys, "a project")
    about = content["input"]
    _check_keys(about, _INPUT, "its input")
    for name in _PARTS:
        if not isinstance(content[name], dict):
            raise InputError(f"its {name} are no pairs of names and values.")
    steps = content["steps"]
    if not isinstance(steps, list):
        raise InputError("its steps are no list.")
    return Project(
        input_path=_path(about["path"], folder),
        input_sha256=about["sha256"],
        start=about["start"],
        duration=about["duration"],
        **{name: content[name] for name in _PARTS},
        steps=tuple(_step(number, step) for number, step in enumerate(steps, start=1)),
        version=content["audiosep"],
    )


def _check_keys(value: Any, keys: tuple[str, ...], what: str) -> None:
    if not isinstance(value, dict):
        raise InputError(f"{what} is no pairs of names and values.")
    if missing := [key for key in keys if key not in value]:
        raise InputError(f"{what} lacks {missing[0]!r}.")
    if unknown := [key for key in value if key not in keys]:
        raise InputError(f"{what} has {display(unknown[0][:40])!r}, which is unknown.")


def _path(path: Any, folder: Path) -> Any:
    if not isinstance(path, str) or Path(path).is_absolute():
        return path
    if ".." in PurePosixPath(path.replace("\\", "/")).parts:
        raise InputError("the path of its recording leaves its folder; make it absolute.")
    return os.fspath(folder / path) if "://" not in path else path


def _step(number: int, value: Any) -> Step:
    try:
        if not isinstance(value, Mapping) or len(value) != 1:
            raise UsageError("it is neither regroup nor paint.")
        ((kind, given),) = value.items()
        if kind == "regroup":
            _check_keys(given, ("merge", "move", "rename"), "it")
            if not all(isinstance(part, list) for part in given.values()):
                raise UsageError("what is merged, moved and renamed are no lists.")
            return RegroupStep(**{name: _tuples(part) for name, part in given.items()})
        if kind != "paint":
            raise UsageError(f"{display(kind[:40])!r} is neither regroup nor paint.")
        _check_keys(given, ("regions", "refit", "seed"), "it")
        if not isinstance(given["regions"], list):
            raise UsageError("its regions are no list.")
        regions = tuple(PaintedRegion.from_json(one) for one in given["regions"])
        return PaintStep(regions=regions, refit=given["refit"], seed=given["seed"])
    except AudiosepError as error:
        raise InputError(f"step {number}: {error}") from None


def _tuples(value: Any) -> Any:
    """Lists as tuples, all the way down; JSON was no deeper than Python can go."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
