"""``audiosep split``: recordings one after the other, one bad one never stops the others."""

from __future__ import annotations

import math
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiosep._version import __version__
from audiosep.cli.talk import Talk
from audiosep.errors import (
    AudiosepError,
    ExitCode,
    InputError,
    OutputError,
    RefusedError,
    UsageError,
)
from audiosep.io import AudioInfo, info
from audiosep.io.formats import Format, bits_from, check_format, container_for
from audiosep.io.naming import SUFFIXES, Job, display, find_inputs, plan_folders
from audiosep.io.writing import check_writable
from audiosep.memory import bytes_per_sample

if TYPE_CHECKING:
    from audiosep.separator import Separator

__all__ = ["SplitOptions", "split_all"]

_PROGRAM_MB = 200
"""Memory of the program itself: interpreter, libraries, kernels."""

EXISTS = ("skip", "overwrite", "rename", "fail")


@dataclass(frozen=True, kw_only=True)
class SplitOptions:
    """Options of ``audiosep split``, as typed."""

    out: Path
    preset: str
    n_sources: int | None
    n_components: int | None
    beta: str | None
    max_iter: int | None
    mask_exponent: float | None
    seed: int
    n_threads: int | None
    format: str
    bits: str | None
    exists: str
    start: float
    duration: float | None
    dry_run: bool


def split_all(inputs: list[Path], options: SplitOptions, talk: Talk) -> ExitCode:
    """Separate every recording and return the exit code of the whole."""
    separator = _checked(options)
    jobs, failures = _plan(inputs, options, talk)
    was_there = options.out.exists()
    if not options.dry_run and jobs:
        check_writable(options.out)
    n_done = 0
    for job in jobs:
        try:
            entry = _split_one(job, options, separator, talk)
            n_done += 1
        except AudiosepError as error:
            failures.append(error.exit_code)
            entry = _entry(job, status="failed", error=_with_path(job, error))
            if not talk.json_lines:
                talk.error(entry["error"], error)
        except BrokenPipeError:
            raise
        except Exception as error:
            # Nothing a single recording does may stop the others.
            failures.append(ExitCode.ALL_FAILED)
            reason = (
                "needs more memory than there is; take a part with --duration"
                if isinstance(error, MemoryError)
                else f"failed unexpectedly ({type(error).__name__}: {error}); see --debug"
            )
            entry = _entry(job, status="failed", error=f"{display(job.source)} {reason}.")
            if not talk.json_lines or talk.debug:
                talk.error(entry["error"], error)
        if talk.json_lines:
            talk.json(entry)
    if not was_there and n_done == 0 and not options.dry_run:
        with suppress(OSError):
            options.out.rmdir()  # an empty folder would look like a result
    return _code(n_done, failures)


def _checked(options: SplitOptions) -> Separator:
    """Refuse what cannot be before any work is done."""
    from audiosep.separator import Separator

    if options.exists not in EXISTS:
        raise UsageError(f"--exists {options.exists!r} is unknown; use {', '.join(EXISTS)}.")
    check_format(options.format, None if options.bits is None else bits_from(options.bits))
    if not 0.0 <= options.start < math.inf:
        raise UsageError(f"--start {options.start:g} is out of range; use 0 or more seconds.")
    if options.duration is not None and not 0.0 < options.duration < math.inf:
        raise UsageError(f"--duration {options.duration:g} is out of range; use more than 0 s.")
    return Separator(
        preset=options.preset,
        n_sources=options.n_sources,
        n_components=options.n_components,
        beta=options.beta,
        max_iter=options.max_iter,
        mask_exponent=options.mask_exponent,
        seed=options.seed,
        n_threads=options.n_threads,
    )


def _plan(
    inputs: list[Path], options: SplitOptions, talk: Talk
) -> tuple[list[Job], list[ExitCode]]:
    sources: list[Path] = []
    failures: list[ExitCode] = []
    for argument in inputs:
        try:
            sources += [path for path in find_inputs([argument]) if path not in sources]
        except AudiosepError as error:
            failures.append(error.exit_code)
            if talk.json_lines:
                talk.json(
                    _entry(Job(source=argument, folder=options.out), "failed", error=str(error))
                )
            else:
                talk.error(str(error), error)
    return plan_folders(sources, options.out), failures


def _entry(job: Job, status: str, **entries: Any) -> dict[str, Any]:
    base: dict[str, Any] = {
        "input": display(job.source),
        "status": status,
        "stems": {},
        "null_test_db": None,
        "seconds": 0.0,
        "error": None,
        "warnings": [],
    }
    return base | entries


def _with_path(job: Job, error: AudiosepError) -> str:
    path = display(job.source)
    text = str(error).replace(str(job.source), path)
    return text if path in text else f"{path}: {text}"


def _code(n_done: int, failures: list[ExitCode]) -> ExitCode:
    if not failures:
        return ExitCode.DONE
    if n_done:
        return ExitCode.SOME_FAILED
    return failures[0] if len(set(failures)) == 1 else ExitCode.ALL_FAILED


def _split_one(job: Job, options: SplitOptions, separator: Separator, talk: Talk) -> dict[str, Any]:
    from audiosep.save import save_stems

    place = _place(job, options)
    if options.exists == "skip":
        done = _already_done(job, place, options, separator)
        if done is not None:
            talk.say(f"{display(job.source)}: already done, in {display(place)}")
            _print_paths(done, talk)
            return _entry(job, "skipped", stems=done["stems"], null_test_db=done["null_test_db"])
    if options.dry_run:
        return _dry_run(job, place, options, talk)
    _check_format_holds(job, options)
    began = time.perf_counter()
    _say_if_compiling(talk)
    with talk.progress(display(job.source.name)) as progress:
        separation = separator.separate(
            job.source, start=options.start, duration=options.duration, progress=progress
        )
        saved = save_stems(separation, place, options.format, options.bits)
    seconds = time.perf_counter() - began
    record = saved.record
    for warning in record["warnings"]:
        talk.say(f"audiosep: warning: {display(job.source)}: {warning}")
    for note in record["notes"]:
        talk.detail(f"  {note}")
    stems = {name: display(path) for name, path in saved.paths.items()}
    result = {"stems": stems, "null_test_db": record["null_test_db"]}
    _print_paths(result, talk)
    talk.say(_summary(job, record, separation.mixture.duration, seconds))
    return _entry(job, "done", seconds=round(seconds, 3), warnings=record["warnings"], **result)


def _check_format_holds(job: Job, options: SplitOptions) -> None:
    """Refuse a format that cannot hold the recording before it is separated."""
    about = _info(job)
    bits = about.bits if options.bits is None else bits_from(options.bits)
    format_ = check_format(options.format, None)
    container_for(format_, bits, about.sr, about.n_channels, about.n_samples)


def _info(job: Job) -> AudioInfo:
    try:
        return info(job.source)
    except InputError as error:
        raise type(error)(f"{job.source} {error}") from None


def _summary(job: Job, record: dict[str, Any], duration: float, seconds: float) -> str:
    null = record["null_test_db"]
    exact = "exactly" if null <= -299 else f"to {null:.0f} dB"
    return (
        f"{display(job.source)}: {duration:.1f} s -> {len(record['stems'])} stems in "
        f"{seconds:.1f} s; they add up to it {exact} (null test)"
    )


def _print_paths(result: dict[str, Any], talk: Talk) -> None:
    if not talk.json_lines:
        for path in result["stems"].values():
            talk.result(path)


def _say_if_compiling(talk: Talk) -> None:
    from audiosep.nmf import jit

    if not jit.is_warm():
        where = "" if jit.cache_is_persistent() else " (no folder for them can be written)"
        talk.say(f"audiosep: compiling kernels, on the first run only{where} ...")


def _place(job: Job, options: SplitOptions) -> Path:
    """Folder to write to, by --exists.

    Raises
    ------
    RefusedError
        If something is there that must not be replaced.
    OutputError
        If a file is where the folder should be.
    """
    if options.exists == "rename":
        place, number = job.folder, 2
        while place.exists():
            place, number = job.folder.with_name(f"{job.folder.name}-{number}"), number + 1
        return place
    if options.exists == "fail" and job.folder.exists():
        raise RefusedError(
            f"{display(job.source)}: {display(job.folder)} already exists; use --exists overwrite "
            "or rename."
        )
    if job.folder.exists() and not job.folder.is_dir():
        raise OutputError(
            f"{display(job.source)}: {display(job.folder)} is a file where the folder of the stems "
            "should be; choose another place with --out."
        )
    if job.folder.exists() and job.folder.samefile(job.source.parent):
        raise RefusedError(
            f"{display(job.source)} is in the folder that its stems would go to, and a stem could "
            "replace it; choose another place with --out."
        )
    return job.folder


def _already_done(
    job: Job, place: Path, options: SplitOptions, separator: Separator
) -> dict[str, Any] | None:
    """Paths of the stems of a finished run of the same job; None where there is none.

    Raises
    ------
    RefusedError
        If a finished run of another job is there, or sound files of unknown origin.
    """
    from audiosep.io.reading import sha256_of
    from audiosep.save import read_record

    record = read_record(place)
    try:
        if not job.source.is_file():
            return None
    except OSError:  # reported when it is opened
        return None
    if record is None:
        strange = place.is_dir() and any(p.suffix.lower() in SUFFIXES for p in place.iterdir())
        if not strange:
            return None
        raise RefusedError(
            f"{display(job.source)}: {display(place)} holds sound files that no finished run has "
            "left; use --exists overwrite, --exists rename or another --out."
        )
    try:
        stems = {name: place / stem["file"] for name, stem in record["stems"].items()}
        about = record["input"]
        same = (
            record["audiosep"] == __version__
            and record["settings"] == separator.settings()
            and record["output"] == {"format": options.format, "bits": options.bits}
            and about["start"] == options.start
            and about["duration"] == options.duration
            and about["sha256"] == sha256_of(job.source)
        )
        null_test_db = record["null_test_db"]
    except (KeyError, TypeError, AttributeError, OSError):
        return None
    if same and all(path.is_file() for path in stems.values()):
        return {
            "stems": {name: display(path) for name, path in stems.items()},
            "null_test_db": null_test_db,
        }
    if same:
        return None
    raise RefusedError(
        f"{display(job.source)}: {display(place)} holds stems made with other settings or from "
        "another recording; use --exists overwrite, --exists rename or another --out."
    )


def _dry_run(job: Job, place: Path, options: SplitOptions, talk: Talk) -> dict[str, Any]:
    from audiosep.presets import load_preset

    about = _info(job)
    duration = max(0.0, about.duration - options.start)
    if options.duration is not None:
        duration = min(duration, options.duration)
    format_: Format = check_format(options.format, None)
    recipe = load_preset(options.preset)
    each = bytes_per_sample(about.n_channels, options.n_sources or recipe.n_sources)
    megabytes = _PROGRAM_MB + each * duration * about.sr / 1e6
    if not talk.json_lines:
        talk.result(
            f"{display(job.source)}: {duration:.1f} s, {about.sr} Hz, {about.n_channels} "
            f"channel(s) -> {display(place)}/ as {format_}: {recipe.stems}; "
            f"about {megabytes:.0f} MB of memory"
        )
    return _entry(job, "planned", folder=display(place), memory_mb=round(megabytes))
