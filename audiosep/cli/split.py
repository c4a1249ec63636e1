"""``audiosep split``: recordings one after the other, one bad one never stops the others."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiosep.cli.resume import place_of, resume
from audiosep.cli.talk import Talk
from audiosep.cli.wording import words_of
from audiosep.errors import (
    AudiosepError,
    ExitCode,
    InputError,
    OutputError,
    UsageError,
)
from audiosep.io import AudioInfo, info, open_recording
from audiosep.io.formats import bits_from, check_format, container_for
from audiosep.io.naming import Job, display, each_once, find_inputs, plan_folders
from audiosep.io.writing import check_writable
from audiosep.memory import bytes_per_sample

if TYPE_CHECKING:
    from audiosep.separator import Separator

__all__ = ["SplitOptions", "split_all"]

_PROGRAM_MB = 200
"""Memory of the program itself: interpreter, libraries, kernels."""

_BLINK_S = 1e-9
"""Duration of a part so short that a single sample is read."""

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
    dictionary: Path | None
    one_shots: int
    start: float
    duration: float | None
    dry_run: bool


def split_all(inputs: list[Path], options: SplitOptions, talk: Talk) -> ExitCode:
    """Separate every recording and return the exit code of the whole."""
    separator = _checked(options)
    jobs, failures = _plan(inputs, options, talk)
    with _no_empty_folders(options.out):
        if jobs and not options.dry_run:
            try:
                check_writable(options.out)
            except OutputError as error:
                _say_failed_all(jobs, error, talk)
                return error.exit_code
        n_done = 0
        for job in jobs:
            entry, failure = _try_one(job, options, separator, talk)
            if failure is None:
                n_done += 1
            else:
                failures.append(failure)
            if talk.json_lines:
                talk.json(entry)
    return _code(n_done, failures)


@contextmanager
def _no_empty_folders(out: Path) -> Iterator[None]:
    """Remove what was made of a path and stayed empty: it would look like a result."""
    # lexists never fails, and a link that points nowhere is there.
    made = [folder for folder in (out, *out.parents) if not os.path.lexists(folder)]
    try:
        yield
    finally:
        for folder in made:
            with suppress(OSError):
                folder.rmdir()


def _say_failed_all(jobs: list[Job], error: AudiosepError, talk: Talk) -> None:
    """Say an error that concerns all recordings: once in words, in JSON with each of them."""
    if not talk.json_lines or talk.debug:
        talk.error(words_of(error), error)
    if talk.json_lines:
        for job in jobs:
            talk.json(_entry(job, "failed", error=_with_path(job, error)))


def _try_one(
    job: Job, options: SplitOptions, separator: Separator, talk: Talk
) -> tuple[dict[str, Any], ExitCode | None]:
    """Entry of one recording and, where it failed, the exit code."""
    failure: ExitCode | None = None
    try:
        entry = _split_one(job, options, separator, talk)
    except AudiosepError as error:
        failure = error.exit_code
        entry = _entry(job, status="failed", error=_with_path(job, error))
        if not talk.json_lines:
            talk.error(entry["error"], error)
    except BrokenPipeError:
        raise
    except Exception as error:
        # Nothing a single recording does may stop the others.
        failure = ExitCode.ALL_FAILED
        reason = (
            "needs more memory than there is; take a part with --duration"
            if isinstance(error, MemoryError)
            else f"failed unexpectedly ({type(error).__name__}: {error}); see --debug"
        )
        entry = _entry(job, status="failed", error=f"{display(job.source)} {reason}.")
        if not talk.json_lines or talk.debug:
            talk.error(entry["error"], error)
    return entry, failure


def _checked(options: SplitOptions) -> Separator:
    """Refuse what cannot be before any work is done."""
    from audiosep.presets import load_preset
    from audiosep.separator import Separator

    if options.exists not in EXISTS:
        raise UsageError(f"--exists {options.exists!r} is unknown; use {', '.join(EXISTS)}.")
    check_format(options.format, None if options.bits is None else bits_from(options.bits))
    if not 0.0 <= options.start < math.inf:
        raise UsageError(f"--start {options.start:g} is out of range; use 0 or more seconds.")
    if options.duration is not None and not 0.0 < options.duration < math.inf:
        raise UsageError(f"--duration {options.duration:g} is out of range; use more than 0 s.")
    if options.one_shots < 0:
        raise UsageError(f"--one-shots {options.one_shots} is out of range; use 0 or more.")
    if options.one_shots and not load_preset(options.preset).gives_onsets:
        raise UsageError("--one-shots are cut at the onsets of drums; use --preset drums.")
    return Separator(
        preset=options.preset,
        n_sources=options.n_sources,
        n_components=options.n_components,
        beta=options.beta,
        max_iter=options.max_iter,
        mask_exponent=options.mask_exponent,
        seed=options.seed,
        n_threads=options.n_threads,
        dictionary=options.dictionary,
    )


def _plan(
    inputs: list[Path], options: SplitOptions, talk: Talk
) -> tuple[list[Job], list[ExitCode]]:
    sources: list[Path] = []
    failures: list[ExitCode] = []
    for argument in inputs:
        try:
            sources += find_inputs([argument])
        except AudiosepError as error:
            failures.append(error.exit_code)
            if talk.json_lines:
                talk.json(
                    _entry(Job(source=argument, folder=options.out), "failed", error=str(error))
                )
            else:
                talk.error(str(error), error)
    return plan_folders(each_once(sources), options.out), failures


def _entry(job: Job, status: str, **entries: Any) -> dict[str, Any]:
    base: dict[str, Any] = {
        "input": display(job.source),
        "status": status,
        "stems": {},
        "files": {},
        "null_test_db": None,
        "seconds": 0.0,
        "error": None,
        "warnings": [],
    }
    return base | entries


def _with_path(job: Job, error: AudiosepError) -> str:
    path = display(job.source)
    text = words_of(error).replace(str(job.source), path)
    return text if path in text else f"{path}: {text}"


def _code(n_done: int, failures: list[ExitCode]) -> ExitCode:
    if not failures:
        return ExitCode.DONE
    if n_done:
        return ExitCode.SOME_FAILED
    return failures[0] if len(set(failures)) == 1 else ExitCode.ALL_FAILED


def _split_one(job: Job, options: SplitOptions, separator: Separator, talk: Talk) -> dict[str, Any]:
    from audiosep.save import save_stems

    place = place_of(job, options.exists)
    if options.exists == "skip":
        found = resume(job, options, separator)
        place, done = found.place, found.done
        for words in found.passed:
            talk.say(f"{display(job.source)}: {words}")
        if done is not None:
            talk.say(f"{display(job.source)}: already done, in {display(place)}")
            _print_paths(done, talk)
            return _entry(job, "skipped", **done)
    about = _info(job)
    _check_format_holds(about, options)
    if options.dry_run:
        return _dry_run(job, about, place, options, talk)
    fresh = not place.exists()
    began = time.perf_counter()
    _say_if_compiling(talk)
    with talk.progress(display(job.source.name)) as progress:
        separation = separator.separate(
            job.source, start=options.start, duration=options.duration, progress=progress
        )
        saved = save_stems(
            separation,
            place,
            options.format,
            options.bits,
            one_shots=options.one_shots,
            fresh=fresh,
        )
    seconds = time.perf_counter() - began
    record = saved.record
    for warning in record["warnings"]:
        talk.say(f"audiosep: warning: {display(job.source)}: {warning}")
    for note in record["notes"]:
        talk.detail(f"  {note}")
    talk.detail(f"  seconds: {_timings(record)}")
    stems = {name: display(path) for name, path in saved.paths.items()}
    files = {name: display(path) for name, path in saved.extras.items()}
    result = {"stems": stems, "files": files, "null_test_db": record["null_test_db"]}
    _print_paths(result, talk)
    talk.say(_summary(job, record, separation.mixture.duration, seconds))
    return _entry(job, "done", seconds=round(seconds, 3), warnings=record["warnings"], **result)


def _check_format_holds(about: AudioInfo, options: SplitOptions) -> None:
    """Refuse a format that cannot hold the recording before it is separated."""
    bits = about.bits if options.bits is None else bits_from(options.bits)
    format_ = check_format(options.format, None)
    container_for(format_, bits, about.sr, about.n_channels, about.n_samples)


def _info(job: Job) -> AudioInfo:
    try:
        return info(job.source)
    except InputError as error:
        raise type(error)(f"{job.source} {error}") from None


def _check_part(job: Job, options: SplitOptions) -> None:
    """Refuse a recording that has nothing where the part would start, as reading it does."""
    try:
        open_recording(job.source, start=options.start, duration=_BLINK_S)
    except InputError as error:
        raise type(error)(f"{job.source} {error}") from None


def _timings(record: dict[str, Any]) -> str:
    return ", ".join(f"{stage} {seconds:.2f}" for stage, seconds in record["timings_s"].items())


def _summary(job: Job, record: dict[str, Any], duration: float, seconds: float) -> str:
    null = record["null_test_db"]
    exact = "exactly" if null <= -299 else f"to {null:.0f} dB"
    return (
        f"{display(job.source)}: {duration:.1f} s -> {len(record['stems'])} stems in "
        f"{seconds:.1f} s; they add up to it {exact} (null test)"
    )


def _print_paths(result: dict[str, Any], talk: Talk) -> None:
    if not talk.json_lines:
        for path in (*result["stems"].values(), *result["files"].values()):
            talk.result(path)


def _say_if_compiling(talk: Talk) -> None:
    from audiosep.nmf import jit

    if not jit.is_warm():
        when = (
            "on the first run only"
            if jit.cache_is_persistent()
            else "as on every run, because no folder for them can be written; set NUMBA_CACHE_DIR "
            "to one"
        )
        talk.say(f"audiosep: compiling kernels, {when} ...")


def _dry_run(
    job: Job, about: AudioInfo, place: Path, options: SplitOptions, talk: Talk
) -> dict[str, Any]:
    from audiosep.presets import load_preset

    _check_part(job, options)
    duration = max(0.0, about.duration - options.start)
    if options.duration is not None:
        duration = min(duration, options.duration)
    recipe = load_preset(options.preset)
    each = bytes_per_sample(
        about.n_channels,
        options.n_sources or recipe.n_sources,
        about.sr,
        voice=recipe.follows_voice,
        dense=recipe.n_sources_free,
    )
    megabytes = _PROGRAM_MB + each * duration * about.sr / 1e6
    if not talk.json_lines:
        talk.result(
            f"{display(job.source)}: {duration:.1f} s, {about.sr} Hz, {about.n_channels} "
            f"channel(s) -> {display(place)}/ as {options.format}: {recipe.stems}; "
            f"about {megabytes:.0f} MB of memory"
        )
    return _entry(job, "planned", folder=display(place), memory_mb=round(megabytes))
