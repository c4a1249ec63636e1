"""``audiosep split``: recordings one after the other, one bad one never stops the others."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from audiosep.cli.batches import BatchOptions, Plan, do_batch, exit_code
from audiosep.cli.folders import Found, find_recordings
from audiosep.cli.forecast import Forecast
from audiosep.cli.locks import locked_run, remove_dead, remove_dead_locks
from audiosep.cli.one import Worker, with_path
from audiosep.cli.places import check_place
from audiosep.cli.settings import EXISTS, checked
from audiosep.cli.talk import Talk
from audiosep.cli.tasks import Outcome, Task, entry_of, name_of
from audiosep.cli.wording import words_of
from audiosep.errors import AudiosepError, ExitCode, OutputError
from audiosep.io.naming import Planner, each_once, job_of
from audiosep.io.urls import Place, Url

__all__ = ["EXISTS", "SplitOptions", "do_tasks", "no_empty_folders", "split_all"]

_WAIT_S = 0.5


@dataclass(frozen=True, kw_only=True)
class SplitOptions:
    """Options of ``audiosep split``, as typed."""

    out: Place
    preset: str
    n_sources: int | None
    n_components: int | str | None
    beta: str | None
    max_iter: int | None
    mask_exponent: float | None
    seed: int
    n_threads: int | None
    format: str
    bits: str | None
    exists: str
    dictionary: Path | None
    examples: tuple[str, ...]
    score: Path | None
    rest: str | None
    n_free: int | None
    quality: str
    one_shots: int
    start: float
    duration: float | None
    dry_run: bool
    max_memory: str | None = None
    report: bool = False
    strict: bool = False
    salvage: bool = False
    fix_nonfinite: str | None = None
    stream: int | None = None
    max_duration: float | None = None
    keep: tuple[str, ...] = ()


def split_all(
    inputs: Sequence[Place],
    options: SplitOptions,
    talk: Talk,
    batch: BatchOptions = BatchOptions(),
    called: Mapping[Path, str] = MappingProxyType({}),
) -> ExitCode:
    """Separate every recording and return the exit code of the whole.

    Recordings in `called` are told of by these names.
    """
    batch.check()
    checked(options)
    tasks, failures = _plan(inputs, options, talk, called, recursive=batch.recursive)
    # What became of several is counted and kept; of one, what is said of it tells all.
    if batch.is_batch() or len(tasks) + len(failures) > 1:
        if (
            talk.json_lines
            and not batch.is_batch()
            and not options.dry_run
            and (code := _refused_by_place(tasks, options, talk)) is not None
        ):
            return code
        plan = Plan(
            tasks=lambda: tasks,
            total=len(tasks),
            parents={task.job.folder.parent for task in tasks},
        )
        with no_empty_folders(options.out):
            return do_batch(
                plan, options.out, batch, talk, dry_run=options.dry_run, failures=failures
            )
    return do_tasks(tasks, options, talk, failures)


def do_tasks(
    tasks: list[Task],
    options: SplitOptions,
    talk: Talk,
    failures: Sequence[ExitCode] = (),
    **entries: Any,
) -> ExitCode:
    """Do tasks in this process, one after the other, without a journal or a count.

    Parameters
    ----------
    tasks : list of Task
        What to do.
    options : SplitOptions
        Of all of them.
    talk : Talk
        How to say it.
    failures : sequence of ExitCode
        What failed already.
    **entries
        What JSON tells besides.
    """
    failures, worker = list(failures), Worker(talk=talk)
    with no_empty_folders(options.out), locked_run(options.out, make=False):
        if tasks and not options.dry_run:
            if (code := _refused_by_place(tasks, options, talk)) is not None:
                return code
            remove_dead({task.job.folder.parent for task in tasks})
            remove_dead_locks(options.out)
            worker = replace(worker, out=options.out)
        n_done = 0
        forecast = Forecast(talk=talk)
        for outcome in _outcomes(tasks, worker, talk):
            forecast.add(outcome)
            if outcome.failure is None:
                n_done += 1
            else:
                failures.append(outcome.failure)
            if talk.json_lines:
                talk.json(outcome.entry | entries)
        forecast.tell()
    return exit_code(n_done, failures)


def _outcomes(tasks: list[Task], worker: Worker, talk: Talk) -> Iterator[Outcome]:
    """Do tasks; what others are at comes last, when they are done with it."""
    first_turn = True
    while tasks:
        taken = []
        for task in tasks:
            outcome = worker(task)
            if not outcome.taken_by:
                yield outcome
                continue
            taken.append(task)
            if first_turn:
                talk.say(f"{name_of(task.job)}: {outcome.taken_by} is at it; waiting for it")
        tasks, first_turn = taken, False
        if taken:
            time.sleep(_WAIT_S)


@contextmanager
def no_empty_folders(out: Place) -> Iterator[None]:
    """Remove what was made of a path and stayed empty: it would look like a result."""
    if isinstance(out, Url):  # there are no folders
        yield
        return
    # lexists never fails, and a link that points nowhere is there.
    made = [folder for folder in (out, *out.parents) if not os.path.lexists(folder)]
    try:
        yield
    finally:
        for folder in made:
            with suppress(OSError):
                folder.rmdir()


def _refused_by_place(tasks: list[Task], options: SplitOptions, talk: Talk) -> ExitCode | None:
    """Say why nothing can be written, if so: once in words, in JSON with each recording."""
    if not tasks:
        return None
    try:
        check_place(options.out)
    except OutputError as error:
        _say_failed_all(tasks, error, talk)
        return error.exit_code
    return None


def _say_failed_all(tasks: list[Task], error: AudiosepError, talk: Talk) -> None:
    if not talk.json_lines or talk.debug:
        talk.error(words_of(error), error)
    if talk.json_lines:
        for task in tasks:
            talk.json(entry_of(task.job, "failed", error=with_path(task, error)))


def _plan(
    inputs: Sequence[Place],
    options: SplitOptions,
    talk: Talk,
    called: Mapping[Path, str],
    *,
    recursive: bool,
) -> tuple[list[Task], list[ExitCode]]:
    found: list[Found] = []
    failures: list[ExitCode] = []
    for argument in inputs:
        try:
            found += find_recordings(argument, recursive=recursive, out=options.out)
        except AudiosepError as error:
            failures.append(error.exit_code)
            if talk.json_lines:
                job = job_of(argument, options.out)
                talk.json(entry_of(job, "failed", error=words_of(error)))
            else:
                talk.error(words_of(error), error)
    once = {id(path) for path in each_once(one.source for one in found)}
    found = [one for one in found if id(one.source) in once]
    planner = Planner()
    for one in found:
        if one.problem:
            continue
        planner.count(one.source, one.below)
    return [_task(one, planner, options, called) for one in found], failures


def _task(one: Found, planner: Planner, options: SplitOptions, called: Mapping[Path, str]) -> Task:
    if one.problem:
        job = job_of(one.source, options.out)
        return Task(job=job, options=options, key=str(one.source), problem=one.problem)
    track = planner.folder(one.source, one.below)
    name = called.get(one.source, "") if isinstance(one.source, Path) else ""
    return Task(
        job=job_of(one.source, options.out / track, name),
        options=options,
        track=str(track),
        key=str(one.below / one.source.name),
    )
