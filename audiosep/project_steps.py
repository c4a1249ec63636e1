"""Projects: a recording, how it was taken apart, and what was corrected by hand, step by step.

A project is a small file of text that says how stems came about, so that they can be made again:
:mod:`audiosep.replaying` does. It holds no sound, and opening one runs no code.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from audiosep._version import __version__
from audiosep.chunks import CHUNK_S
from audiosep.errors import InputError, ParameterError, UsageError
from audiosep.io.naming import display
from audiosep.io.urls import is_url
from audiosep.labels import problem_of_label
from audiosep.records import RECORD_NAME, finished_record, is_digest, odd_record, read_record
from audiosep.research.painted_regions import MAX_REGIONS, PaintedRegion
from audiosep.separator import Separator

__all__ = ["PaintStep", "Project", "RegroupStep", "Step", "project_of"]

MAX_STEPS = 1000
_MAX_COMPONENT = 1000
_MAX_ITEMS = 1000
_LARGEST = 1 << 63
_FILES = ("dictionary", "score")
_SETTINGS = frozenset(one.name for one in fields(Separator)) - {"n_threads"}
_OUTPUT = ("format", "bits", "one_shots")


def _is_component(value: object) -> bool:
    return type(value) is int and 1 <= value <= _MAX_COMPONENT


def _check_name(value: object) -> None:
    if problem := problem_of_label(value):
        raise ParameterError(problem)


@dataclass(frozen=True, kw_only=True)
class RegroupStep:
    """Stems merged, components moved, stems renamed: see :func:`audiosep.research.regrouping`.

    Parameters
    ----------
    merge : tuple of tuple of (int or str)
        Stems that became one, by name or by the number of a component.
    move : tuple of (tuple of int, str)
        Components, and the stem that they went to.
    rename : tuple of (str, str)
        Old names and new ones.

    Raises
    ------
    ParameterError
        If that cannot be, or is nothing.
    """

    merge: tuple[tuple[int | str, ...], ...] = ()
    move: tuple[tuple[tuple[int, ...], str], ...] = ()
    rename: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if not (self.merge or self.move or self.rename):
            raise ParameterError("a step of regrouping merges, moves or renames something.")
        if max(len(self.merge), len(self.move), len(self.rename)) > _MAX_ITEMS:
            raise ParameterError(f"a step of regrouping has more than {_MAX_ITEMS} changes.")
        for members in self.merge:
            _check_tuple("merge", members)
            for member in members:
                if not _is_component(member):
                    _check_name(member)
        for move in self.move:
            _check_tuple("move", move, 2)
            _check_tuple("move", move[0])
            if not all(map(_is_component, move[0])):
                raise ParameterError(f"move names components by whole numbers, not {move[0]!r}.")
            _check_name(move[1])
        for pair in self.rename:
            _check_tuple("rename", pair, 2)
            for name in pair:
                _check_name(name)
        for pairs in (self.move, self.rename):
            if len({pair[0] for pair in pairs}) < len(pairs):
                raise ParameterError("a step of regrouping says the same twice.")


def _check_tuple(what: str, value: object, length: int | None = None) -> None:
    if not isinstance(value, tuple) or not 1 <= len(value) <= _MAX_ITEMS:
        raise ParameterError(f"{what} holds something that is no list of its parts.")
    if length is not None and len(value) != length:
        raise ParameterError(f"{what} holds pairs, not {len(value)} parts.")


@dataclass(frozen=True, kw_only=True)
class PaintStep:
    """Regions painted into stems: see :func:`audiosep.research.painting.paint`.

    Parameters
    ----------
    regions : tuple of PaintedRegion
        What was painted, at least one.
    refit : bool
        Whether what sounds like it moved elsewhere, too.
    seed : int >= 0
        Start of the random numbers.

    Raises
    ------
    ParameterError
        If that cannot be.
    """

    regions: tuple[PaintedRegion, ...]
    refit: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        regions = self.regions
        fine = isinstance(regions, tuple) and all(isinstance(r, PaintedRegion) for r in regions)
        if not fine or not 1 <= len(regions) <= MAX_REGIONS:
            raise ParameterError(f"a step of painting has 1 to {MAX_REGIONS} regions.")
        if not isinstance(self.refit, bool):
            raise ParameterError(f"refit={repr(self.refit)[:60]} must be true or false.")
        if type(self.seed) is not int or not 0 <= self.seed < 2**63:
            raise ParameterError(
                f"seed={repr(self.seed)[:60]} must be a whole number of at least 0."
            )


Step = RegroupStep | PaintStep
"""What was done by hand, once."""


@dataclass(frozen=True, kw_only=True)
class Project:
    """How stems came about.

    Parameters
    ----------
    input_path : str
        The recording: a file on this computer.
    input_sha256 : str
        Its digest in hexadecimal.
    start : float >= 0
        First second of it that was taken apart.
    duration : float > 0, optional
        Seconds of it that were; by default up to its end.
    settings : dict
        Of the separation, as :class:`audiosep.separator.Separator` takes them, in JSON types:
        examples, dictionaries and scores by their paths.
    read : dict
        The same as the record keeps them: files by what was in them.
    output : dict
        ``format``, ``bits`` and ``one_shots`` of the stems.
    steps : tuple of Step
        What was done after that, in order.
    stems : dict of str to str
        SHA-256 of the stems that came out of it in the end, where they are known.
    version : str
        Of audiosep, when they were made.

    Raises
    ------
    ParameterError
        If that cannot be.
    """

    input_path: str
    input_sha256: str
    start: float = 0.0
    duration: float | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    read: Mapping[str, Any] = field(default_factory=dict)
    output: Mapping[str, Any] = field(default_factory=dict)
    steps: tuple[Step, ...] = ()
    stems: Mapping[str, str] = field(default_factory=dict)
    version: str = __version__

    def __post_init__(self) -> None:
        _check_path(self.input_path)
        if not is_digest(self.input_sha256):
            raise ParameterError("the SHA-256 of the recording is none.")
        for name in ("start", "duration"):
            value = getattr(self, name)
            fine = type(value) in (int, float) and 0 <= value < 1e9
            if not fine and not (name == "duration" and value is None):
                raise ParameterError(f"{name}={value!r} is no number of seconds.")
        _check_settings(self.settings)
        if set(self.read) - _SETTINGS:
            raise ParameterError("the settings that were read are none of a separation.")
        if set(self.output) - set(_OUTPUT):
            raise ParameterError("the output of a project has format, bits and one_shots only.")
        if not all(value is None or type(value) in (str, int) for value in self.output.values()):
            raise ParameterError("the output of a project is told by texts and whole numbers.")
        if not isinstance(self.steps, tuple) or len(self.steps) > MAX_STEPS:
            raise ParameterError(f"a project has at most {MAX_STEPS} steps.")
        if not all(isinstance(step, RegroupStep | PaintStep) for step in self.steps):
            raise ParameterError("a step of a project regroups or paints.")
        for name, digest in self.stems.items():
            _check_name(name)
            if not is_digest(digest):
                raise ParameterError(f"the SHA-256 of the stem {display(name)} is none.")
        if not isinstance(self.version, str) or len(self.version) > 100:
            raise ParameterError("the version of audiosep is none.")


def _check_path(path: object) -> None:
    try:
        fine = isinstance(path, str) and path != "" and b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:  # half of a pair of surrogates
        fine = False
    if not fine:
        raise ParameterError("the path of the recording is none.")
    if is_url(str(path)):
        raise ParameterError("the recording of a project must be a file, not an address.")


def _check_settings(settings: Mapping[str, Any]) -> None:
    """Refuse what no separator takes; what it makes of the rest, it says itself."""
    for name, value in settings.items():
        if name not in _SETTINGS:
            raise ParameterError(f"there is no setting {display(str(name))!r} of a separation.")
        if name == "examples" and value is not None:
            if not isinstance(value, Mapping) or len(value) > _MAX_ITEMS:
                raise ParameterError(
                    "examples are lists of files or regions by the names of stems."
                )
            for stem, given in value.items():
                _check_name(stem)
                texts = isinstance(given, list | tuple) and all(isinstance(x, str) for x in given)
                if not texts or not 1 <= len(given) <= _MAX_ITEMS:
                    raise ParameterError(
                        f"the examples of {display(stem)} are no files or regions."
                    )
        elif value is not None and type(value) not in (str, int, float):
            raise ParameterError(f"the setting {name} must be a text or a number.")
        elif type(value) is int and abs(value) >= _LARGEST:
            raise ParameterError(f"the setting {name} is too large a number.")


def project_of(
    folder: str | os.PathLike[str],
    steps: tuple[Step, ...] = (),
    *,
    result: str | os.PathLike[str] | None = None,
    told: Mapping[str, Any] | None = None,
) -> Project:
    """Return the project of stems that were split off a file, and then corrected.

    Parameters
    ----------
    folder : path-like
        As ``audiosep split`` wrote it, before any step.
    steps : tuple of Step
        What was done after that, in order.
    result : path-like, optional
        The folder that came out in the end; so that it can be told whether the same comes out
        again.
    told : mapping, optional
        ``dictionary``, ``score`` and ``examples`` as they were given, where the record does not
        tell their paths.

    Returns
    -------
    Project

    Raises
    ------
    InputError
        If there is no separation of a file in `folder`, or it cannot be made again.
    """
    place = Path(os.fspath(folder))
    record = finished_record(place)
    try:
        about, settings = dict(record["input"]), dict(record["settings"])
        output, analysis = dict(record["output"]), dict(record["analysis"])
    except (KeyError, TypeError, ValueError):
        raise odd_record(place) from None
    if set(settings) - _SETTINGS:
        raise InputError(
            f"{display(place)} was not written by 'audiosep split'; a project begins with what was."
        )
    if about.get("path") is None:
        raise InputError(
            f"{display(place)} was made of samples in memory; a project needs a file to begin with."
        )
    if analysis.get("chunk_s", CHUNK_S) != CHUNK_S:
        raise InputError(
            f"{display(place)} was made with --max-memory in chunks of another length than usual; "
            "separate the recording again without it."
        )
    if set(output) - set(_OUTPUT) or about.get("reading"):
        raise InputError(
            f"{display(place)} was made with options that a project does not keep, such as --keep, "
            "--salvage or --stream; separate the recording again without them."
        )
    try:
        return Project(
            input_path=os.path.abspath(about["path"]),  # noqa: PTH100 - links stay
            input_sha256=about["sha256"],
            start=about["start"],
            duration=about["duration"],
            settings={**settings, **_files_of(record, settings, told or {})},
            read=settings,
            output={name: output[name] for name in _OUTPUT if name in output},
            steps=tuple(steps),
            stems=_digests(result) if result is not None else {},
        )
    except (UsageError, KeyError, TypeError, ValueError) as error:
        why = (
            str(error)
            if isinstance(error, UsageError)
            else f"its {RECORD_NAME} is not as it was written."
        )
        raise InputError(f"{display(place)} makes no project: {why}") from None


def _files_of(
    record: Mapping[str, Any], settings: Mapping[str, Any], told: Mapping[str, Any]
) -> dict[str, Any]:
    """Settings that are files, by their paths: a record has but what was in them."""
    found: dict[str, Any] = {}
    for name in _FILES:
        if settings.get(name) is not None:
            if told.get(name) is None:
                raise ParameterError(f"it was made with a {name}; tell where that is.")
            found[name] = os.path.abspath(os.fspath(told[name]))  # noqa: PTH100
    if settings.get("examples"):
        given = told.get("examples") or {
            name: [one.get("region") or one["path"] for one in entries if _is_told(one)]
            for name, entries in record["examples"].items()
        }
        known = settings["examples"]
        if {name: len(values) for name, values in given.items()} != {
            name: len(values) for name, values in known.items()
        }:
            raise ParameterError(
                "it was made with examples that are no files; tell where they are."
            )
        found["examples"] = {
            name: [x if x.startswith("@") else os.path.abspath(x) for x in map(os.fspath, values)]  # noqa: PTH100
            for name, values in given.items()
        }
    return found


def _is_told(example: Mapping[str, Any]) -> bool:
    """Whether a record says where an example was; of dictionaries it does not."""
    return "region" in example or "path" in example


def _digests(folder: str | os.PathLike[str]) -> dict[str, str]:
    record = read_record(Path(os.fspath(folder))) or {}
    return {name: stem["sha256"] for name, stem in record["stems"].items()}
