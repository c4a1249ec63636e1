"""One recording on the command line: what is there already, the separation, its words and entry."""

from __future__ import annotations

import errno
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiosep.cli.damage import read_options_of
from audiosep.cli.disks import PAUSE_S, is_of_the_disk
from audiosep.cli.interrupts import ask_again
from audiosep.cli.locks import TrackTakenError, locked_track
from audiosep.cli.places import replace_record
from audiosep.cli.report import with_report
from audiosep.cli.resume import place_of, resume
from audiosep.cli.settings import (
    RESUMING,
    bytes_from,
    check_format_holds,
    checked,
    duration_of,
    memory_of,
    seconds_and_room,
    shape_of,
)
from audiosep.cli.talk import NotedTalk, Talk
from audiosep.cli.tasks import NOT_AUDIO, Outcome, Task, entry_of, name_of
from audiosep.cli.wording import counted, words_of
from audiosep.errors import (
    AudiosepError,
    DamagedAudioError,
    ExitCode,
    InputError,
    NotAudioError,
    OutputError,
    RefusedError,
    UsageError,
)
from audiosep.examples import check_regions
from audiosep.factorization_files import FACTORIZATION_NAME
from audiosep.io import AudioInfo, info, open_recording
from audiosep.io.naming import Job, RemoteJob, display
from audiosep.io.passes import foreseen
from audiosep.io.remote import UnreachableError
from audiosep.io.scratch import scratch_blamed
from audiosep.io.urls import Place
from audiosep.memory import PROGRAM_BYTES, map_large_arrays

if TYPE_CHECKING:
    from audiosep.cli.split import SplitOptions
    from audiosep.separator import Separator

__all__ = [
    "PROGRAM_BYTES",
    "Worker",
    "say_if_compiling",
    "with_path",
]

_MOST_SEPARATORS = 8
_BLINK_S = 1e-9
"""Duration of a part so short that a single sample is read."""


@dataclass(frozen=True, kw_only=True)
class Worker:
    """Does one task after the other, in this process.

    Parameters
    ----------
    talk : Talk
        How it talks.
    out : Path, Url or None
        Output folder in which tracks are locked; None locks none.
    in_batch : bool
        Whether there are many: then less is said, and nothing is done without locks.
    separators : dict of SplitOptions to Separator
        Those of the tasks before.
    """

    talk: Talk
    out: Place | None = None
    in_batch: bool = False
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
        outcome = replace(self, talk=talk)(task)
        outcome.noted.extend(talk.noted)
        return outcome

    def __call__(self, task: Task) -> Outcome:
        """Do a task; whatever happens to it, there is an outcome."""
        job, talk = task.job, self.talk
        try:
            if task.problem:
                return self._failed(task, task.problem, ExitCode.USAGE, task.kind)
            map_large_arrays()
            return self._tried(task)
        except TrackTakenError as taken:
            return Outcome(entry=entry_of(job, "waiting"), taken_by=str(taken))
        except AudiosepError as error:
            ask_again()  # it may have failed because of that
            entry = entry_of(job, "failed", error=with_path(task, error))
            if not talk.json_lines:
                talk.error(entry["error"], error)
            return Outcome(entry=entry, failure=error.exit_code, kind=_kind_of(error))
        except BrokenPipeError:
            raise
        except Exception as error:
            ask_again()
            # Nothing a single recording does may stop the others.
            kind, reason = _unexpected(error)
            entry = entry_of(job, "failed", error=f"{name_of(job)} {reason}.")
            if not talk.json_lines or talk.debug:
                talk.error(entry["error"], error)
            return Outcome(entry=entry, failure=ExitCode.ALL_FAILED, kind=kind)

    def _tried(self, task: Task) -> Outcome:
        """Do a task, and do it once more where the disk of the recording failed."""
        try:
            return self.do(task.job, task.options)
        except Exception as error:
            # What could not be read of a header looks as damaged as what was never there.
            if not is_of_the_disk(error) and not isinstance(error, DamagedAudioError):
                raise
            self.talk.detail(f"{name_of(task.job)} could not be read; trying once more")
        time.sleep(PAUSE_S)
        return self.do(task.job, task.options, again=True)

    def _failed(self, task: Task, words: str, code: ExitCode, kind: str) -> Outcome:
        if not self.talk.json_lines:
            self.talk.error(words)
        return Outcome(entry=entry_of(task.job, "failed", error=words), failure=code, kind=kind)

    def do(self, job: Job | RemoteJob, options: SplitOptions, *, again: bool = False) -> Outcome:
        """Do a task that has no problem yet; what was said is not said `again`.

        Raises
        ------
        AudiosepError
            If it cannot be done.
        TrackTakenError
            If another process is at it.
        """
        if isinstance(job, RemoteJob):
            from audiosep.cli.remote import remotely

            return remotely(self, job, options, again=again)
        separator = self.separator_of(options)
        with self.alone(job.folder):
            place = place_of(job, options.exists)
            if options.exists in RESUMING:
                found = resume(job, options, separator)
                for words in () if again else found.passed:
                    self.talk.say(f"{name_of(job)}: {words}")
                if found.done is not None:
                    done = found.done
                    if not options.dry_run:
                        done = self._with_report(found.place, done, options)
                    return self.skipped(job, found.place, done)
                place = found.place
            about = _info(job, options)
            check_format_holds(about, options)
            if options.dry_run:
                return self._planned(job, about, place, options, separator)
            # A number was counted on: another track may have the same folder in mind.
            with nullcontext() if place == job.folder else self.alone(place):
                return self._separated(job, place, options, separator)

    def alone(self, folder: Place) -> AbstractContextManager[None]:
        """Hold a track, where tracks are locked."""
        if self.out is None:
            return nullcontext()
        return locked_track(self.out, folder, needed=self.in_batch)

    def skipped(self, job: Job | RemoteJob, place: Place, done: dict[str, Any]) -> Outcome:
        """Say that a track was done before."""
        # In a batch it would be what most lines say.
        tell = self.talk.detail if self.in_batch else self.talk.say
        tell(f"{name_of(job)}: already done, in {display(place)}")
        self._print_paths(done)
        return Outcome(entry=entry_of(job, "skipped", **done), place=place)

    def _planned(
        self, job: Job, about: AudioInfo, place: Path, options: SplitOptions, separator: Separator
    ) -> Outcome:
        warnings = _check_part(job, about, options)
        check_regions(separator.examples or {}, about.duration)
        duration = duration_of(about, options)
        from audiosep.cli.forecast import about_time, check_length

        check_length(separator, duration)
        most = bytes_from(options.max_memory)
        separator.chunk_s_within(most, *shape_of(about, options))  # refused as the run would be
        size = PROGRAM_BYTES + memory_of(about, options, separator)
        seconds, room = seconds_and_room(about, duration, options, separator)
        if not self.talk.json_lines:
            self.talk.result(
                f"{name_of(job)}: {duration:.1f} s, {about.sr} Hz, "
                f"{counted(about.n_channels, 'channel')} -> {display(place)}/ as {options.format}: "
                f"{separator.recipe().stems}; about {size / 1e6:.0f} MB of memory, about "
                f"{about_time(seconds)}"
            )
        for warning in warnings:
            self.talk.say(f"audiosep: warning: {name_of(job)}: {warning}")
        entry = entry_of(
            job,
            "planned",
            warnings=list(warnings),
            folder=str(place),
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
        with (
            talk.progress(job.called or display(job.source.name)) as progress,
            scratch_blamed(place),
        ):
            saved = separator.split(
                job.source,
                place,
                format=options.format,
                bits=options.bits,
                one_shots=options.one_shots,
                fresh=fresh,
                start=options.start,
                duration=options.duration,
                reading=read_options_of(options),
                max_memory=bytes_from(options.max_memory),
                keep=options.keep,
                progress=progress,
            )
        seconds = time.perf_counter() - began
        record = saved.record
        if job.called or job.note:
            record["input"]["path"] = job.called or record["input"]["path"]
            record["notes"] += [job.note] if job.note else []
            replace_record(place, record)
        for warning in record["warnings"]:
            talk.say(f"audiosep: warning: {name_of(job)}: {warning}")
        for note in record["notes"]:
            talk.detail(f"  {note}")
        talk.detail(f"  seconds: {_timings(record)}")
        result = {
            "stems": {name: str(path) for name, path in saved.paths.items()},
            "files": {name: str(path) for name, path in saved.extras.items()},
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
                self.talk.result(display(path))


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


def with_path(task: Task, error: AudiosepError) -> str:
    """Words of an error, with the recording that it is about, or whose settings it is about."""
    name, source = name_of(task.job), task.job.source
    text = words_of(error).replace(str(source), name).replace(display(source), name)
    if name in text:
        return text
    return ": ".join(filter(None, (task.where, name, text)))


def _unexpected(error: Exception) -> tuple[str, str]:
    """Kind of a failure that is no error of ours, and words for it."""
    if isinstance(error, MemoryError):
        return "memory", "needs more memory than there is; take a part with --duration"
    if is_of_the_disk(error):
        return "disk", "cannot be read (Input/output error), tried twice; check its disk"
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        return (
            "output",
            "has a name that is too long for a folder of stems here; give a shorter one",
        )
    return "unexpected", f"failed unexpectedly ({type(error).__name__}: {error}); see --debug"


def _kind_of(error: AudiosepError) -> str:
    if is_of_the_disk(error):
        return "disk"
    if isinstance(error, UnreachableError):
        return "network"
    if isinstance(error, NotAudioError):
        return NOT_AUDIO
    if "pip install" in str(error):  # not for the recording's sake: it can be read then
        return "usage"
    if isinstance(error, InputError | DamagedAudioError):
        return "recording"
    if isinstance(error, OutputError):
        return "output"
    return "usage" if isinstance(error, UsageError) else "refused"


def _info(job: Job, options: SplitOptions) -> AudioInfo:
    try:
        return info(job.source, stream=options.stream)
    except InputError as error:
        raise type(error)(f"{job.source} {error}") from None


def _check_part(job: Job, about: AudioInfo, options: SplitOptions) -> tuple[str, ...]:
    """Refuse what reading would, as far as that is quick to tell; give its warnings."""
    try:
        open_recording(
            job.source,
            start=options.start,
            duration=_BLINK_S,
            options=read_options_of(options),
        )
        return foreseen(
            job.source,
            about,
            start=options.start,
            duration=options.duration,
            options=read_options_of(options),
        )
    except (InputError, RefusedError) as error:
        raise type(error)(f"{job.source} {error}") from None


def _timings(record: dict[str, Any]) -> str:
    return ", ".join(f"{stage} {seconds:.2f}" for stage, seconds in record["timings_s"].items())


def _summary(job: Job, record: dict[str, Any], seconds: float) -> str:
    duration = record["input"]["n_samples"] / record["input"]["sr"]
    null = record["null_test_db"]
    exact = "exactly" if null <= -299 else f"to {null:.0f} dB"
    return (
        f"{name_of(job)}: {duration:.1f} s -> {counted(len(record['stems']), 'stem')} in "
        f"{seconds:.1f} s; they add up to it {exact} (null test)"
    )
