"""One recording on the command line: what is there already, the separation, its words and entry."""

from __future__ import annotations

import math
import re
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiosep.chunks import CHUNK_S
from audiosep.cli.locks import TrackTakenError, locked_track
from audiosep.cli.report import with_report
from audiosep.cli.resume import place_of, resume
from audiosep.cli.talk import NotedTalk, Talk
from audiosep.cli.tasks import Outcome, Task, entry_of
from audiosep.cli.telling import examples_of, quality_from
from audiosep.cli.wording import counted, words_of
from audiosep.errors import (
    AudiosepError,
    DamagedAudioError,
    ExitCode,
    InputError,
    OutputError,
    UsageError,
)
from audiosep.examples import check_regions
from audiosep.factorization_files import FACTORIZATION_NAME
from audiosep.io import AudioInfo, info, open_recording
from audiosep.io.formats import bits_from, check_format, container_for
from audiosep.io.naming import Job, RemoteJob, display
from audiosep.io.remote import UnreachableError
from audiosep.io.urls import Place
from audiosep.memory import PROGRAM_BYTES, map_large_arrays

if TYPE_CHECKING:
    from audiosep.cli.split import SplitOptions
    from audiosep.separator import Separator

__all__ = [
    "PROGRAM_BYTES",
    "Worker",
    "bytes_from",
    "checked",
    "memory_of",
    "say_if_compiling",
]

_MOST_SEPARATORS = 8
_BLINK_S = 1e-9
"""Duration of a part so short that a single sample is read."""

EXISTS = ("skip", "overwrite", "rename", "fail")


@dataclass(frozen=True, kw_only=True)
class Worker:
    """Does one task after the other, in this process.

    Parameters
    ----------
    talk : Talk
        How it talks.
    out : Path, Url or None
        Output folder in which tracks are locked; None locks none.
    separators : dict of SplitOptions to Separator
        Those of the tasks before.
    """

    talk: Talk
    out: Place | None = None
    separators: dict[SplitOptions, Separator] = field(default_factory=dict)

    def separator_of(self, options: SplitOptions) -> Separator:
        """Return the separator of a task: rows of a manifest may each have another.

        Raises
        ------
        UsageError
            If an option cannot be, or does not fit the others.
        """
        if options not in self.separators:
            if len(self.separators) >= _MOST_SEPARATORS:
                self.separators.clear()
            self.separators[options] = checked(options)
        return self.separators[options]

    def elsewhere(self, task: Task) -> Outcome:
        """Do a task in another process than the one that talks."""
        talk = NotedTalk(
            quiet=self.talk.quiet,
            verbose=self.talk.verbose,
            debug=self.talk.debug,
            json_lines=self.talk.json_lines,
        )
        outcome = Worker(talk=talk, out=self.out, separators=self.separators)(task)
        outcome.noted.extend(talk.noted)
        return outcome

    def __call__(self, task: Task) -> Outcome:
        """Do a task; whatever happens to it, there is an outcome."""
        job, talk = task.job, self.talk
        try:
            if task.problem:
                return self._failed(task, task.problem, ExitCode.USAGE, task.kind)
            map_large_arrays()
            return self.do(job, task.options)
        except TrackTakenError as taken:
            return Outcome(entry=entry_of(job, "waiting"), taken_by=str(taken))
        except AudiosepError as error:
            entry = entry_of(job, "failed", error=with_path(job, error))
            if not talk.json_lines:
                talk.error(entry["error"], error)
            return Outcome(entry=entry, failure=error.exit_code, kind=_kind_of(error))
        except BrokenPipeError:
            raise
        except Exception as error:
            # Nothing a single recording does may stop the others.
            short = isinstance(error, MemoryError)
            reason = (
                "needs more memory than there is; take a part with --duration"
                if short
                else f"failed unexpectedly ({type(error).__name__}: {error}); see --debug"
            )
            entry = entry_of(job, "failed", error=f"{display(job.source)} {reason}.")
            if not talk.json_lines or talk.debug:
                talk.error(entry["error"], error)
            kind = "memory" if short else "unexpected"
            return Outcome(entry=entry, failure=ExitCode.ALL_FAILED, kind=kind)

    def _failed(self, task: Task, words: str, code: ExitCode, kind: str) -> Outcome:
        if not self.talk.json_lines:
            self.talk.error(words)
        return Outcome(entry=entry_of(task.job, "failed", error=words), failure=code, kind=kind)

    def do(self, job: Job | RemoteJob, options: SplitOptions) -> Outcome:
        """Do a task that has no problem yet.

        Raises
        ------
        AudiosepError
            If it cannot be done.
        TrackTakenError
            If another process is at it.
        """
        if isinstance(job, RemoteJob):
            from audiosep.cli.remote import remotely

            return remotely(self, job, options)
        separator = self.separator_of(options)
        with self.alone(job.folder):
            place = place_of(job, options.exists)
            if options.exists == "skip":
                found = resume(job, options, separator)
                for words in found.passed:
                    self.talk.say(f"{display(job.source)}: {words}")
                if found.done is not None:
                    done = found.done
                    if not options.dry_run:
                        done = self._with_report(found.place, done, options)
                    return self.skipped(job, found.place, done)
                place = found.place
            about = _info(job)
            _check_format_holds(about, options)
            if options.dry_run:
                return self._planned(job, about, place, options, separator)
            # A number was counted on: another track may have the same folder in mind.
            with nullcontext() if place == job.folder else self.alone(place):
                return self._separated(job, place, options, separator)

    def alone(self, folder: Place) -> AbstractContextManager[None]:
        """Hold a track, where tracks are locked."""
        return nullcontext() if self.out is None else locked_track(self.out, folder)

    def skipped(self, job: Job | RemoteJob, place: Place, done: dict[str, Any]) -> Outcome:
        """Say that a track was done before."""
        # In a batch it would be what most lines say.
        tell = self.talk.say if self.out is None else self.talk.detail
        tell(f"{display(job.source)}: already done, in {display(place)}")
        self._print_paths(done)
        return Outcome(entry=entry_of(job, "skipped", **done), place=place)

    def _planned(
        self, job: Job, about: AudioInfo, place: Path, options: SplitOptions, separator: Separator
    ) -> Outcome:
        _check_part(job, options)
        check_regions(separator.examples or {}, about.duration)
        duration = _duration_of(about, options)
        from audiosep.cli.forecast import about_time, check_length

        check_length(separator, duration)
        most = bytes_from(options.max_memory)
        separator.chunk_s_within(most, *_shape(about, options))  # refused as the run would be
        size = PROGRAM_BYTES + memory_of(about, options, separator)
        seconds, room = _seconds_and_room(about, duration, options, separator)
        if not self.talk.json_lines:
            self.talk.result(
                f"{display(job.source)}: {duration:.1f} s, {about.sr} Hz, "
                f"{counted(about.n_channels, 'channel')} -> {display(place)}/ as {options.format}: "
                f"{separator.recipe().stems}; about {size / 1e6:.0f} MB of memory, about "
                f"{about_time(seconds)}"
            )
        entry = entry_of(
            job,
            "planned",
            folder=display(place),
            memory_mb=round(size / 1e6),
            seconds=round(seconds, 3),
            audio_s=round(duration, 3),
            disk_mb=round(room / 1e6, 3),
        )
        return Outcome(entry=entry, place=place)

    def _separated(
        self, job: Job, place: Path, options: SplitOptions, separator: Separator
    ) -> Outcome:
        talk = self.talk
        fresh = not place.exists()
        began = time.perf_counter()
        say_if_compiling(talk)
        with talk.progress(display(job.source.name)) as progress:
            saved = separator.split(
                job.source,
                place,
                format=options.format,
                bits=options.bits,
                one_shots=options.one_shots,
                fresh=fresh,
                start=options.start,
                duration=options.duration,
                max_memory=bytes_from(options.max_memory),
                progress=progress,
            )
        seconds = time.perf_counter() - began
        record = saved.record
        for warning in record["warnings"]:
            talk.say(f"audiosep: warning: {display(job.source)}: {warning}")
        for note in record["notes"]:
            talk.detail(f"  {note}")
        talk.detail(f"  seconds: {_timings(record)}")
        result = {
            "stems": {name: display(path) for name, path in saved.paths.items()},
            "files": {name: display(path) for name, path in saved.extras.items()},
            "null_test_db": record["null_test_db"],
        }
        result = self._with_report(place, result, options)
        self._print_paths(result)
        talk.say(_summary(job, record, seconds))
        entry = entry_of(
            job, "done", seconds=round(seconds, 3), warnings=record["warnings"], **result
        )
        return Outcome(entry=entry, place=place)

    def _with_report(
        self, place: Path, result: dict[str, Any], options: SplitOptions
    ) -> dict[str, Any]:
        return with_report(place, result, wanted=options.report, n_threads=options.n_threads)

    def _print_paths(self, result: dict[str, Any]) -> None:
        if not self.talk.json_lines:
            heard = [path for name, path in result["files"].items() if name != FACTORIZATION_NAME]
            for path in (*result["stems"].values(), *heard):
                self.talk.result(path)


def checked(options: SplitOptions) -> Separator:
    """Refuse what cannot be before any work is done.

    Raises
    ------
    UsageError
        If an option cannot be, or does not fit the others.
    """
    from audiosep.presets import load_preset
    from audiosep.separator import Separator

    if options.exists not in EXISTS:
        raise UsageError(f"--exists {options.exists!r} is unknown; use {', '.join(EXISTS)}.")
    bytes_from(options.max_memory)
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
        examples=examples_of(options.examples) or None,
        score=options.score,
        rest=options.rest,
        n_free=options.n_free,
        quality=quality_from(options.quality),
    )


def _seconds_and_room(
    about: AudioInfo, duration: float, options: SplitOptions, separator: Separator
) -> tuple[float, int]:
    """Seconds that a separation takes here, and bytes of its stems."""
    from audiosep.prediction import seconds_of, stems_bytes
    from audiosep.threads import resolve_threads

    n_samples = max(1, math.ceil(duration * about.sr))
    seconds = seconds_of(
        separator.recipe().name,
        n_samples,
        about.n_channels,
        about.sr,
        n_threads=resolve_threads(separator.n_threads),
    )
    bits = about.bits if options.bits is None else bits_from(options.bits)
    room = stems_bytes(n_samples, about.n_channels, separator.n_stems(), bits, options.format)
    return seconds, room


def memory_of(about: AudioInfo, options: SplitOptions, separator: Separator) -> int:
    """Bytes that the separation of a recording takes, beside the program itself.

    Raises
    ------
    RefusedError
        If it does not fit into what ``--max-memory`` allows.
    """
    shape, most = _shape(about, options), bytes_from(options.max_memory)
    chunk_s = CHUNK_S if most is None else separator.chunk_s_within(most, *shape)
    return separator.memory_needed(*shape, chunk_s=chunk_s)


def _shape(about: AudioInfo, options: SplitOptions) -> tuple[int, int, int]:
    """Samples, channels and rate of the part that is taken."""
    n_samples = max(1, math.ceil(_duration_of(about, options) * about.sr))
    return n_samples, about.n_channels, about.sr


_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def bytes_from(text: str | None) -> int | None:
    """Turn ``"600M"`` or ``"2G"`` into bytes.

    Raises
    ------
    UsageError
        If it is something else.
    """
    if text is None:
        return None
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)i?B?\s*", text, re.IGNORECASE)
    size = 0 if found is None else math.ceil(float(found[1]) * _UNITS[found[2].upper()])
    if found is None or size < _UNITS["M"]:
        raise UsageError(f"--max-memory {text!r} is no size; give one such as 600M or 2G.")
    return size


def say_if_compiling(talk: Talk) -> None:
    """Say why the first run is slower."""
    from audiosep.nmf import jit

    if not jit.is_warm():
        when = (
            "on the first run only"
            if jit.cache_is_persistent()
            else "as on every run, because no folder for them can be written; set NUMBA_CACHE_DIR "
            "to one"
        )
        talk.say(f"audiosep: compiling kernels, {when} ...")


def with_path(job: Job | RemoteJob, error: AudiosepError) -> str:
    """Words of an error, with the recording that it is about."""
    path = display(job.source)
    text = words_of(error).replace(str(job.source), path)
    return text if path in text else f"{path}: {text}"


def _kind_of(error: AudiosepError) -> str:
    if isinstance(error, UnreachableError):
        return "network"
    if isinstance(error, InputError | DamagedAudioError):
        return "recording"
    if isinstance(error, OutputError):
        return "output"
    return "usage" if isinstance(error, UsageError) else "refused"


def _duration_of(about: AudioInfo, options: SplitOptions) -> float:
    duration = max(0.0, about.duration - options.start)
    return duration if options.duration is None else min(duration, options.duration)


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


def _summary(job: Job, record: dict[str, Any], seconds: float) -> str:
    duration = record["input"]["n_samples"] / record["input"]["sr"]
    null = record["null_test_db"]
    exact = "exactly" if null <= -299 else f"to {null:.0f} dB"
    return (
        f"{display(job.source)}: {duration:.1f} s -> {counted(len(record['stems']), 'stem')} in "
        f"{seconds:.1f} s; they add up to it {exact} (null test)"
    )
