"""Many recordings: which are done, which failed, which are left, and who does them."""

from __future__ import annotations

import hashlib
import os
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

from audiosep.cli.forecast import Forecast
from audiosep.cli.journal import JOURNAL_NAME, Journal, Remembered, stamp_of
from audiosep.cli.locks import (
    home_of,
    locked_run,
    make_home,
    remove_leftovers,
    remove_unused_home,
)
from audiosep.cli.one import Worker
from audiosep.cli.places import check_place
from audiosep.cli.settings import RESUMING
from audiosep.cli.status import say_status
from audiosep.cli.talk import Talk
from audiosep.cli.tasks import NOT_AUDIO, Outcome, Task, entry_of, name_of
from audiosep.cli.workers import Engine, Here, Pool
from audiosep.errors import ExitCode, OutputError, UsageError
from audiosep.io.naming import display
from audiosep.io.urls import Place, Url, seen_from

__all__ = ["ENGINES", "BatchOptions", "Plan", "do_batch", "exit_code"]

ENGINES = ("local", "dask")

_WAIT_S = 1.0
_MOST_UNWRITTEN = 3
"""So many recordings one after the other that could not be written: the disk is at fault."""


@dataclass(frozen=True, kw_only=True)
class BatchOptions:
    """Options for many recordings, as typed.

    Parameters
    ----------
    recursive : bool
        Whether folders in folders are taken.
    jobs : int
        Recordings at once.
    engine : str or None
        ``local`` or ``dask``; by default local, unless there is a scheduler.
    scheduler : str or None
        Of a Dask cluster: its address, or a file that has it.
    timeout : float or None
        Seconds that one may take.
    retry_failed : bool
        Whether those that failed before are tried again.
    status : bool
        Only say what is done.
    shard : str or None
        ``i/n``: only the i-th of n parts.
    journal : Path or None
        By default in the output folder.
    """

    recursive: bool = False
    jobs: int = 1
    engine: str | None = None
    scheduler: str | None = None
    timeout: float | None = None
    retry_failed: bool = False
    status: bool = False
    shard: str | None = None
    journal: Path | None = None

    def is_batch(self) -> bool:
        """Whether any of these options was given; without, each recording is told of by itself."""
        return self != BatchOptions()

    def on_cluster(self) -> bool:
        """Whether Dask does the work."""
        return self.engine == "dask" or self.scheduler is not None

    def check(self) -> None:
        """Refuse what cannot be.

        Raises
        ------
        UsageError
            If an option is out of range.
        """
        if self.jobs < 1:
            raise UsageError(f"--jobs {self.jobs} is out of range; use 1 or more.")
        if self.engine not in (None, *ENGINES):
            raise UsageError(f"--engine {self.engine!r} is unknown; use {' or '.join(ENGINES)}.")
        if self.scheduler is not None:
            if self.engine == "local":
                raise UsageError("--scheduler is for --engine dask; leave one of them out.")
            if self.jobs > 1:
                raise UsageError(
                    f"--jobs {self.jobs} does not go with --scheduler: how many recordings are "
                    "done at once, its workers decide."
                )
        if self.timeout is not None and not 0.0 < self.timeout < float("inf"):
            raise UsageError(f"--timeout {self.timeout:g} is out of range; use more than 0 s.")
        self.part()

    def part(self) -> tuple[int, int]:
        """Which part of how many.

        Raises
        ------
        UsageError
            If there is no such part.
        """
        if self.shard is None:
            return 1, 1
        first, slash, second = self.shard.partition("/")
        try:
            number, count = int(first), int(second)
        except ValueError:
            number, count = 0, 0
        if not slash or not 1 <= number <= count:
            raise UsageError(f"--shard {self.shard!r} is no part; write 1/4 for the first of four.")
        return number, count


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All tasks of a batch, without holding them.

    Parameters
    ----------
    tasks : callable
        Gives them anew, always in the same order.
    total : int
        How many.
    parents : set of Path or Url
        Folders in which they make folders.
    """

    tasks: Callable[[], Iterable[Task]]
    total: int
    parents: set[Place]


def do_batch(
    plan: Plan,
    out: Place,
    options: BatchOptions,
    talk: Talk,
    *,
    dry_run: bool = False,
    failures: Iterable[ExitCode] = (),
) -> ExitCode:
    """Do all tasks that are not done, and return the exit code of the whole.

    Parameters
    ----------
    plan : Plan
        The tasks.
    out : Path or Url
        Output folder.
    options : BatchOptions
        How.
    talk : Talk
        What to say.
    dry_run : bool
        Whether to write nothing, not even a journal.
    failures : iterable of ExitCode
        What failed already.

    Raises
    ------
    OutputError
        If nothing can be written.
    """
    journal = Journal(options.journal or home_of(out) / JOURNAL_NAME)
    tally = _Tally(failures=list(failures))
    if options.status:
        code = say_status(_part_of(plan, options), journal.read(), out, talk)
        return ExitCode.SOME_FAILED if tally.failures else code
    if dry_run:
        jobs = None if options.scheduler else options.jobs
        forecast = Forecast(talk=talk, jobs=jobs, n_failed=len(tally.failures))
        tasks = _part_of(plan, options)
        if min(options.jobs, plan.total) > 1 or options.on_cluster():
            tasks = map(_of_one_thread, tasks)
        for _, outcome in Here(worker=Worker(talk=talk)).run(tasks):
            tally.add(outcome)
            forecast.add(outcome)
            if talk.json_lines:
                talk.json(outcome.entry)
        forecast.tell()
        return tally.code()
    if not plan.total:
        if len(tally.failures) > 1:
            talk.say(f"audiosep: {tally.words()}")
        return tally.code()
    n_jobs = max(1, min(options.jobs, plan.total))
    # Before anything is written: a cluster may be out of reach.
    with closing(_engine(out, n_jobs, options, talk)) as engine:
        check_place(out)
        if isinstance(out, Url):
            talk.detail(f"audiosep: journal and locks are in {display(home_of(out))}")
        # Closed before what its processes have left is removed.
        with _at_work(plan, out, journal), closing(engine), closing(journal):
            remembered = journal.read()
            journal.open()
            _Batch(
                out=out,
                options=options,
                talk=talk,
                journal=journal,
                remembered=remembered,
                tally=tally,
                one_thread=n_jobs > 1 or options.on_cluster(),
            ).do(plan, engine)
    return tally.code()


@contextmanager
def _at_work(plan: Plan, out: Place, journal: Journal) -> Iterator[None]:
    """Take part in the work below `out`, before and after which dead ones are cleaned up for."""
    make_home(out)
    remove_leftovers(out, plan.parents)
    try:
        with locked_run(out):
            yield
    finally:
        # Of workers that had to be killed.
        remove_leftovers(out, plan.parents)
        remove_unused_home(out, journal)


def _nothing() -> None:
    """Advance no bar."""


def _is_missing(source: Place) -> bool:
    return isinstance(source, Path) and not os.path.lexists(source)


def _engine(out: Place, n_jobs: int, options: BatchOptions, talk: Talk) -> Engine:
    many = options.is_batch()
    worker = Worker(talk=replace(talk, bars=talk.bars and not many), out=out, in_batch=many)
    if options.on_cluster():
        from audiosep.cli.cluster import Cluster

        return Cluster(worker, n_jobs, options.timeout, options.scheduler)
    if n_jobs == 1 and options.timeout is None:
        return Here(worker=worker)
    return Pool(worker, n_jobs, options.timeout)


def _part_of(plan: Plan, options: BatchOptions) -> Iterator[Task]:
    number, count = options.part()
    return (task for task in plan.tasks() if count == 1 or in_part(task, number, count))


def _of_one_thread(task: Task) -> Task:
    """As many threads as processes are at work, unless told: more would be in each other's way."""
    if task.options.n_threads is not None:
        return task
    return replace(task, options=replace(task.options, n_threads=1))


def in_part(task: Task, number: int, count: int) -> bool:
    """Whether a task is in a part; the same on every machine, whatever else there is."""
    digest = hashlib.sha256(os.fsencode(task.key)).digest()
    return int.from_bytes(digest[:8], "big") % count == number - 1


@dataclass(kw_only=True)
class _Tally:
    """What became of the tasks so far."""

    failures: list[ExitCode]
    n_done: int = 0
    n_before: int = 0
    n_unwritten: int = 0
    n_not_audio: int = 0

    def add(self, outcome: Outcome) -> None:
        if outcome.failure is None:
            self.n_done += 1
            self.n_before += outcome.entry["status"] == "skipped"
        else:
            self.failures.append(outcome.failure)
        self.n_not_audio += outcome.kind == NOT_AUDIO
        self.n_unwritten = self.n_unwritten + 1 if outcome.kind == "output" else 0

    def code(self) -> ExitCode:
        return exit_code(self.n_done, self.failures)

    def words(self) -> str:
        now, failed = self.n_done - self.n_before, len(self.failures)
        words = f"{now} done, {self.n_before} done before, {failed} failed"
        return f"{words}, {self.n_not_audio} of them no audio" if self.n_not_audio else words


def exit_code(n_done: int, failures: list[ExitCode]) -> ExitCode:
    """Exit code of many recordings."""
    if not failures:
        return ExitCode.DONE
    if n_done:
        return ExitCode.SOME_FAILED
    return failures[0] if len(set(failures)) == 1 else ExitCode.ALL_FAILED


@dataclass(frozen=True, kw_only=True)
class _Batch:
    out: Place
    options: BatchOptions
    talk: Talk
    journal: Journal
    remembered: dict[str, Remembered]
    tally: _Tally
    one_thread: bool
    stamps: dict[str, str] = field(default_factory=dict)
    taken: dict[str, Task] = field(default_factory=dict)

    def do(self, plan: Plan, engine: Engine) -> None:
        """Do what is left; what others are doing is looked at again when that is done."""
        self.journal.append(
            event="begin", pid=os.getpid(), host=socket.gethostname(), shard=self.options.shard
        )
        number, count = self.options.part()
        total = plan.total
        if count > 1:
            total = sum(in_part(task, number, count) for task in plan.tasks())
        # One bar at a time: without options for many, each recording has its own.
        overall = self.talk.overall(total) if self.options.is_batch() else nullcontext(_nothing)
        with overall as advance:
            tasks: Iterable[Task] = _part_of(plan, self.options)
            while True:
                for task, outcome in engine.run(self._left(tasks, advance)):
                    self._take(task, outcome)
                    if not outcome.taken_by:
                        advance()
                if not self.taken:
                    break
                time.sleep(_WAIT_S)
                tasks = list(self.taken.values())
        self.journal.append(event="end", done=self.tally.n_done, failed=len(self.tally.failures))
        self.talk.say(f"audiosep: {self.tally.words()}")

    def _left(self, tasks: Iterable[Task], advance: Callable[[], None]) -> Iterator[Task]:
        """Tasks that are worth a try."""
        for task in tasks:
            stamp = stamp_of(task.job.source, task.options)
            self.stamps[task.track] = stamp
            past = self.remembered.get(task.track)
            problem = task.problem
            if (
                past is not None
                and task.options.exists in RESUMING
                and not self.options.retry_failed
                and past.lasts(stamp, self.options.timeout)
            ):
                problem = f"{past.error} {past.words()}"
                self.tally.n_not_audio += past.kind == NOT_AUDIO
            if problem:
                self._take(task, self._failed(task, problem))
                advance()
            else:
                yield _of_one_thread(task) if self.one_thread else task

    def _failed(self, task: Task, words: str) -> Outcome:
        if not self.talk.json_lines:
            self.talk.error(words)
        entry = entry_of(task.job, "failed", error=words)
        code = ExitCode.USAGE if task.problem else ExitCode.ALL_FAILED
        return Outcome(entry=entry, failure=code)

    def _take(self, task: Task, outcome: Outcome) -> None:
        """Say and write down what became of a task."""
        for is_result, text in outcome.noted:
            (self.talk.result if is_result else self.talk.aside)(text)
        stamp = self.stamps.pop(task.track, "")
        if outcome.taken_by:
            if task.track not in self.taken:
                self.talk.say(
                    f"{name_of(task.job)}: {outcome.taken_by} is at it; looking again later"
                )
            self.taken[task.track] = task
            return
        self.taken.pop(task.track, None)
        self.tally.add(outcome)
        self._write_down(task, outcome, stamp)
        if self.talk.json_lines:
            self.talk.json(outcome.entry)
        if self.tally.n_unwritten >= _MOST_UNWRITTEN:
            raise OutputError(
                f"{_MOST_UNWRITTEN} recordings in a row could not be written, so the rest is left; "
                "make room and run the same command again."
            )

    def _write_down(self, task: Task, outcome: Outcome, stamp: str) -> None:
        past = self.remembered.get(task.track)
        if outcome.failure is None:
            place = outcome.place or task.job.folder
            relative = seen_from(place, self.out)
            said = None if past is None else (past.status, past.stamp, past.place)
            if said != ("done", stamp, relative):
                self.journal.append(
                    status="done",
                    track=task.track,
                    place=relative,
                    stamp=stamp,
                    input=outcome.entry["input"],
                    seconds=outcome.entry["seconds"],
                )
        # What is not there has nothing that could be remembered of it.
        elif outcome.kind and not _is_missing(task.job.source):
            self.journal.append(
                status="failed",
                track=task.track,
                stamp=stamp,
                input=outcome.entry["input"],
                kind=outcome.kind,
                error=outcome.entry["error"],
                timeout_s=self.options.timeout,
            )
