"""What is already where stems would go: done before, another's, or damaged."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiosep._version import __version__
from audiosep.errors import OutputError, RefusedError
from audiosep.io.evidence import EVIDENCE_NAMES
from audiosep.io.naming import Job, display, is_recording_name

if TYPE_CHECKING:
    from audiosep.cli.split import SplitOptions
    from audiosep.separator import Separator

__all__ = ["Resumed", "place_of", "resume"]

_ADVICE = "use --exists overwrite, --exists rename or another --out."


@dataclass(frozen=True, kw_only=True)
class _Run:
    """A finished run, as its record tells it.

    Parameters
    ----------
    traits : dict of str to Any
        What must be the same for its stems to be the stems wanted, each under the words that
        say it is not.
    stems : dict of str to (Path, str)
        File and SHA-256 of each stem.
    extras : dict of str to (Path, str)
        File and SHA-256 of all that came with them.
    null_test_db : float
        How exactly they add up.
    """

    traits: dict[str, Any]
    stems: dict[str, tuple[Path, str]]
    extras: dict[str, tuple[Path, str]]
    null_test_db: float


@dataclass(frozen=True, kw_only=True)
class Resumed:
    """Where the stems of a job go, or already are.

    Parameters
    ----------
    place : Path
        Folder of the stems.
    done : dict or None
        ``stems``, ``files`` and ``null_test_db`` of the finished run of the same job, where there
        is one.
    passed : tuple of str
        Why folders were passed over, in words.
    """

    place: Path
    done: dict[str, Any] | None = None
    passed: tuple[str, ...] = ()


def place_of(job: Job, exists: str) -> Path:
    """Folder to write to, by --exists.

    Raises
    ------
    RefusedError
        If something is there that must not be replaced.
    OutputError
        If a file is where the folder should be.
    """
    if exists == "rename":
        return next(place for place in _candidates(job) if not place.exists())
    if exists == "fail" and job.folder.exists():
        raise RefusedError(
            f"{display(job.source)}: {display(job.folder)} already exists; use --exists overwrite "
            "or rename."
        )
    if job.folder.exists() and not job.folder.is_dir():
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


def _holds(folder: Path, source: Path) -> bool:
    """Whether a recording lies in a folder, itself or what a link to it points to."""
    homes = (source.parent, Path(os.path.realpath(source)).parent)
    try:
        return any(folder.samefile(home) for home in homes if home.exists())
    except OSError:  # the folder is missing, or may not be looked at: reported when opened
        return False


def _candidates(job: Job) -> Iterator[Path]:
    """The folder of a job, then the same with numbers from 2."""
    yield job.folder
    for number in count(2):
        yield job.folder.with_name(f"{job.folder.name}-{number}")


def resume(job: Job, options: SplitOptions, separator: Separator) -> Resumed:
    """Find the stems of a finished run of the same job, or a folder for a new one.

    A folder that holds the stems of another job is passed over, so that a recording can be
    separated in several ways, one after the other, and nothing is lost.

    Raises
    ------
    RefusedError
        If the stems are no longer as they were written, or sound files of unknown origin are
        where they would go.
    OutputError
        If a folder cannot be looked into.
    """
    try:
        # Only files: reading a pipe to tell it from others would wait for ever.
        wanted = _wanted(job, options, separator) if _is_file(job.source) else None
    except OSError:
        wanted = None
    if wanted is None:  # reported when it is opened
        return Resumed(place=job.folder)
    passed: list[str] = []
    for place in _candidates(job):
        if place != job.folder and _holds(place, job.source):
            continue
        run = _run_at(job, place)
        if run is None:
            return Resumed(place=place, passed=tuple(passed))
        different = [words for words, value in wanted.items() if run.traits[words] != value]
        if not different:
            done = _stems_as_written(job, place, run)
            return Resumed(place=place, done=done, passed=() if done else tuple(passed))
        passed.append(f"{display(place)} holds stems made {_listed(different)}")
    raise AssertionError("numbers do not end")


def _run_at(job: Job, place: Path) -> _Run | None:
    from audiosep.save import read_record

    run = _run_of(read_record(place), place)
    if run is None and _holds_files(place):
        raise RefusedError(
            f"{display(job.source)}: {display(place)} holds files that no finished run has "
            f"left; {_ADVICE}"
        )
    return run


def _stems_as_written(job: Job, place: Path, run: _Run) -> dict[str, Any] | None:
    """Stems of a finished run; None where one is missing, so that they are made again."""
    where = f"{display(job.source)}: {display(place)}"
    # Before looking for missing ones: what was edited is lost when they are all made again.
    files = [*run.stems.values(), *run.extras.values()]
    changed = [display(path.name) for path, digest in files if _changed(path, digest)]
    if changed:
        verb = "is" if len(changed) == 1 else "are"
        raise RefusedError(
            f"{where} holds stems of this recording, but {_listed(changed)} {verb} damaged or "
            "edited since; use --exists overwrite to make them again, or --exists rename to keep "
            "them."
        )
    if not all(_is_file(path) for path, _ in files):
        return None
    return {
        "stems": {name: display(path) for name, (path, _) in run.stems.items()},
        "files": {name: display(path) for name, (path, _) in run.extras.items()},
        "null_test_db": run.null_test_db,
    }


def _traits(
    version: Any, settings: Any, recording: Any, part: Any, output: dict[str, Any]
) -> dict[str, Any]:
    formats = dict(output)
    one_shots = formats.pop("one_shots", 0)
    return {
        "by another version": version,
        "with other settings": settings,
        "from another recording": recording,
        "from another part of the recording": part,
        "in another output format": formats,
        "with another number of one-shots": one_shots,
    }


def _wanted(job: Job, options: SplitOptions, separator: Separator) -> dict[str, Any]:
    from audiosep.io.reading import sha256_of
    from audiosep.save import output_wanted

    return _traits(
        version=__version__,
        settings=separator.settings(),
        recording=sha256_of(job.source),
        part=(options.start, options.duration),
        output=output_wanted(options.format, options.bits, options.one_shots),
    )


def _run_of(record: dict[str, Any] | None, place: Path) -> _Run | None:
    """Run that a record tells of; None where anything it must hold is missing or no such thing."""
    if record is None:
        return None
    try:
        about = record["input"]
        stems = {
            name: (place / stem["file"], stem["sha256"]) for name, stem in record["stems"].items()
        }
        extras = {
            name: (place / name, file["sha256"]) for name, file in record.get("files", {}).items()
        }
        traits = _traits(
            version=record["audiosep"],
            settings=record["settings"],
            recording=about["sha256"],
            part=(about["start"], about["duration"]),
            output=record["output"],
        )
        null_test_db = float(record["null_test_db"])
    except (KeyError, TypeError, AttributeError, ValueError):
        return None
    if not stems or any(path.parent != place for path, _ in [*stems.values(), *extras.values()]):
        return None
    return _Run(traits=traits, stems=stems, extras=extras, null_test_db=null_test_db)


def _holds_files(place: Path) -> bool:
    try:
        return place.is_dir() and any(_looks_like_ours(path) for path in place.iterdir())
    except OSError as error:
        raise OutputError(f"{display(place)} cannot be listed: {error.strerror}.") from None


def _looks_like_ours(path: Path) -> bool:
    return is_recording_name(path) or path.name in EVIDENCE_NAMES


def _changed(path: Path, digest: str) -> bool:
    """Whether a file is there and is not what was written."""
    from audiosep.io.reading import sha256_of

    try:
        return path.is_file() and sha256_of(path) != digest
    except OSError:  # a stem that cannot be read is not the stem that was written
        return True


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False


def _listed(words: list[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))
