"""What is already where stems would go: done before, another's, or damaged."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from audiosep._version import __version__
from audiosep.chunks import CHUNK_S
from audiosep.cli.places import Shelf, Stored, shelf_at
from audiosep.errors import OutputError, RefusedError
from audiosep.io.naming import Job, RemoteJob, display, is_recording_name
from audiosep.io.passes import ZEROED
from audiosep.io.urls import Place, State, Url
from audiosep.records import is_own_file

if TYPE_CHECKING:
    from audiosep.cli.split import SplitOptions
    from audiosep.separator import Separator

__all__ = ["Resumed", "is_done", "known_recording", "place_of", "recorded_files", "resume"]

_P = TypeVar("_P", Path, Place)

_ELSE = "--exists overwrite, --exists rename or another --out."


@dataclass(frozen=True, kw_only=True)
class _Run:
    """A finished run, as its record tells it.

    Parameters
    ----------
    traits : dict of str to Any
        What must be the same for its stems to be the stems wanted, each under the words that
        say it is not.
    stems : dict of str to Stored
        File of each stem.
    extras : dict of str to Stored
        All files that came with them.
    null_test_db : float
        How exactly they add up.
    """

    traits: dict[str, Any]
    stems: dict[str, Stored]
    extras: dict[str, Stored]
    null_test_db: float


@dataclass(frozen=True, kw_only=True)
class Resumed(Generic[_P]):
    """Where the stems of a job go, or already are.

    Parameters
    ----------
    place : Path or Url
        Folder of the stems.
    done : dict or None
        ``stems``, ``files`` and ``null_test_db`` of the finished run of the same job, where there
        is one.
    passed : tuple of str
        Why folders were passed over, or are made again, in words.
    shelf : Shelf or None
        What was looked into.
    """

    place: _P
    done: dict[str, Any] | None = None
    passed: tuple[str, ...] = ()
    shelf: Shelf | None = None


@overload
def place_of(job: Job, exists: str) -> Path: ...
@overload
def place_of(job: RemoteJob, exists: str) -> Place: ...
def place_of(job: Job | RemoteJob, exists: str) -> Place:
    """Folder to write to, by --exists.

    Raises
    ------
    RefusedError
        If something is there that must not be replaced.
    OutputError
        If a file is where the folder should be.
    """
    if exists == "rename":
        return next(place for place in _candidates(job) if not shelf_at(place).exists())
    shelf = shelf_at(job.folder)
    if exists == "fail" and shelf.exists():
        raise RefusedError(
            f"{display(job.source)}: {display(job.folder)} already exists; use --exists overwrite "
            "or rename."
        )
    if shelf.is_file():
        raise OutputError(
            f"{display(job.source)}: {display(job.folder)} is a file where the folder of the stems "
            "should be; choose another place with --out."
        )
    if _holds(job.folder, job.source):
        raise RefusedError(
            f"{display(job.source)} is in the folder that its stems would go to, and a stem could "
            "replace it; choose another place with --out."
        )
    return job.folder


def _holds(folder: Place, source: Place) -> bool:
    """Whether a recording lies in a folder, itself or what a link to it points to."""
    if isinstance(folder, Url) or isinstance(source, Url):
        return source.parent == folder
    homes = (source.parent, Path(os.path.realpath(source)).parent)
    try:
        return any(folder.samefile(home) for home in homes if home.exists())
    except OSError:  # the folder is missing, or may not be looked at: reported when opened
        return False


def _candidates(job: Job | RemoteJob) -> Iterator[Place]:
    """The folder of a job, then the same with numbers from 2."""
    yield job.folder
    for number in count(2):
        yield job.folder.with_name(f"{job.folder.name}-{number}")


@overload
def resume(
    job: Job, options: SplitOptions, separator: Separator, recording: str | None = None
) -> Resumed[Path]: ...
@overload
def resume(
    job: RemoteJob, options: SplitOptions, separator: Separator, recording: str | None = None
) -> Resumed[Place]: ...
def resume(
    job: Job | RemoteJob,
    options: SplitOptions,
    separator: Separator,
    recording: str | None = None,
) -> Any:
    """Find the stems of a finished run of the same job, or a folder for a new one.

    A folder that holds the stems of another job is passed over, so that a recording can be
    separated in several ways, one after the other, and nothing is lost. With ``--exists repair``,
    stems that are no longer as they were written count as missing ones do: they are made again.

    Parameters
    ----------
    job : Job or RemoteJob
        Recording and folder.
    options : SplitOptions
        Settings.
    separator : Separator
        Made of them.
    recording : str, optional
        SHA-256 of the recording, where it is known.

    Raises
    ------
    RefusedError
        If the stems are no longer as they were written and shall not be repaired, or sound files
        of unknown origin are where they would go.
    OutputError
        If a folder cannot be looked into.
    """
    digest = _digest_of(job.source) if recording is None else recording
    if digest is None:  # reported when it is opened
        return Resumed(place=job.folder)
    wanted = _wanted(digest, options, separator)
    passed: list[str] = []
    for place in _candidates(job):
        if place != job.folder and _holds(place, job.source):
            continue
        shelf = shelf_at(place)
        run = _run_at(job, place, shelf, options, separator)
        if run is None:
            return Resumed(place=place, passed=tuple(passed))
        different = [
            words
            for words, value in wanted.items()
            if value is not None and run.traits[words] != value
        ]
        if not different:
            done, again = _stems_as_written(job, place, run, shelf, options)
            said = () if done else (*passed, *again)
            return Resumed(place=place, done=done, passed=said, shelf=shelf)
        passed.append(f"{display(place)} holds stems made {_listed(different)}")
    raise AssertionError("numbers do not end")


def is_done(job: Job | RemoteJob, options: SplitOptions, separator: Separator) -> bool:
    """Whether the stems of a finished run of the same job are there.

    A remote recording is not copied for that: what no record knows is not done.
    """
    recording = None
    if isinstance(job, RemoteJob) and isinstance(job.source, Url):
        from audiosep.io.remote import state_of

        recording = known_recording(job, state_of(job.source))
        if recording is None:
            return False
    return resume(job, options, separator, recording).done is not None


def known_recording(job: RemoteJob, state: State) -> str | None:
    """SHA-256 of a remote recording, if a record tells it of the object as it is now."""
    if not state.etag:
        return None
    for place in _candidates(job):
        record = shelf_at(place).record()
        if record is None:
            return None
        about = record.get("input")
        if not isinstance(about, dict):
            continue
        told = about.get("path"), about.get("size"), about.get("etag")
        if told == (str(job.source), state.size, state.etag):
            digest = about.get("sha256")
            return digest if isinstance(digest, str) else None
    raise AssertionError("numbers do not end")


def _digest_of(source: Place) -> str | None:
    from audiosep.io.header import sha256_of

    try:
        # Only files: reading a pipe to tell it from others would wait for ever.
        if isinstance(source, Url) or not source.is_file():
            return None
        return sha256_of(source)
    except OSError:
        return None


def _run_at(
    job: Job | RemoteJob, place: Place, shelf: Shelf, options: SplitOptions, separator: Separator
) -> _Run | None:
    run = _run_of(shelf.record())
    if run is not None or not shelf.holds_others():
        return run
    is_broken = shelf.is_finished() or _are_stems(place, separator)
    if is_broken and options.exists == "repair":
        return None
    advice = f"use --exists repair if they are its stems, {_ELSE}" if is_broken else f"use {_ELSE}"
    raise RefusedError(
        f"{display(job.source)}: {display(place)} holds files that no finished run has left; "
        f"{advice}"
    )


def _are_stems(place: Place, separator: Separator) -> bool:
    """Whether all sound files of a folder have names that stems of this preset have."""
    if isinstance(place, Url):
        return False
    names = {path.stem for path in place.iterdir() if is_recording_name(path)}
    return bool(names) and names <= {*separator.recipe().names}


def _stems_as_written(
    job: Job | RemoteJob, place: Place, run: _Run, shelf: Shelf, options: SplitOptions
) -> tuple[dict[str, Any] | None, list[str]]:
    """Stems of a finished run; None where they are to be made again, and why in words."""
    where = f"{display(job.source)}: {display(place)}"
    # Before looking for missing ones: what was edited is lost when they are all made again.
    files = {
        file.name: shelf.condition(file) for file in [*run.stems.values(), *run.extras.values()]
    }
    changed = [display(name) for name, condition in files.items() if condition == "changed"]
    if changed and options.exists != "repair":
        verb = "is" if len(changed) == 1 else "are"
        raise RefusedError(
            f"{where} holds stems of this recording, but {_listed(changed)} {verb} damaged or "
            "edited since; use --exists repair to make such tracks again, or --exists rename to "
            "keep them."
        )
    lost = [display(name) for name, condition in files.items() if condition == "missing"]
    if changed or lost:
        words = [f"{_listed(lost)} missing"] if lost else []
        words += [f"{_listed(changed)} damaged or edited"] if changed else []
        return None, [f"{display(place)} is made again: {', '.join(words)}"]
    done = {
        "stems": {name: str(place / file.name) for name, file in run.stems.items()},
        "files": {name: str(place / file.name) for name, file in run.extras.items()},
        "null_test_db": run.null_test_db,
    }
    return done, []


def _traits(
    version: Any,
    settings: Any,
    recording: Any,
    part: Any,
    output: dict[str, Any],
    is_short: bool | None,
    stream: int | None,
    is_damaged: bool | None,
    is_mended: bool | None,
) -> dict[str, Any]:
    formats = dict(output)
    one_shots = formats.pop("one_shots", 0)
    keep = formats.pop("keep", "")
    return {
        "by another version": version,
        "with other settings": settings,
        "from another recording": recording,
        "from another part of the recording": part,
        "in another output format": formats,
        "with another number of one-shots": one_shots,
        "with other stems kept": keep,
        "in shorter chunks, for want of memory": is_short,
        "of another audio track": stream,
        "of a recording that is damaged": is_damaged,
        "with samples that are no numbers taken as silence": is_mended,
    }


def _wanted(recording: str, options: SplitOptions, separator: Separator) -> dict[str, Any]:
    from audiosep.save import output_wanted

    return _traits(
        version=__version__,
        settings=separator.settings(),
        recording=recording,
        part=(options.start, options.duration),
        output=output_wanted(options.format, options.bits, options.one_shots, options.keep),
        # Stems of long chunks are good wherever memory is short now, not the other way round.
        is_short=False if options.max_memory is None else None,
        stream=options.stream or 1,
        is_damaged=False if options.strict else None,
        is_mended=False if options.strict and not options.fix_nonfinite else None,
    )


def _run_of(record: dict[str, Any] | None) -> _Run | None:
    """Run that a record tells of; None where anything it must hold is missing or no such thing."""
    if record is None:
        return None
    try:
        about = record["input"]
        stems = {name: _stored(stem["file"], stem) for name, stem in record["stems"].items()}
        extras = {name: _stored(name, file) for name, file in record.get("files", {}).items()}
        traits = _traits(
            version=record["audiosep"],
            settings=record["settings"],
            recording=about["sha256"],
            part=(about["start"], about["duration"]),
            output=record["output"],
            is_short=record["analysis"].get("chunk_s", CHUNK_S) < CHUNK_S,
            stream=about.get("reading", {}).get("stream", 1),
            is_damaged=about.get("damaged", False) is True,
            is_mended=any(ZEROED in words for words in record["warnings"]),
        )
        null_test_db = float(record["null_test_db"])
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError):
        return None
    if not stems or not all(is_own_file(file.name) for file in [*stems.values(), *extras.values()]):
        return None
    return _Run(traits=traits, stems=stems, extras=extras, null_test_db=null_test_db)


def _stored(name: str, entry: dict[str, Any]) -> Stored:
    return Stored(
        name=name, sha256=entry["sha256"], size=entry.get("size"), etag=entry.get("etag", "")
    )


def recorded_files(record: dict[str, Any] | None) -> list[Stored]:
    """Files of a run, from a record that anyone may have written."""
    run = _run_of(record)
    return [] if run is None else [*run.stems.values(), *run.extras.values()]


def _listed(words: list[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))
