"""Who does the tasks of a batch: this process, or several at once that may die.

An engine takes tasks one by one, as it has room for them, and gives outcomes as they come. Paths
travel, not sound; and a task may be done twice without harm, because stems are moved to their
place in one step and a finished track is passed over.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path
from typing import Protocol

from audiosep.cli.one import PROGRAM_BYTES, Worker
from audiosep.cli.processes import Helper, end_all
from audiosep.cli.remote import about
from audiosep.cli.settings import memory_of
from audiosep.cli.tasks import Outcome, Task, entry_of
from audiosep.errors import AudiosepError, Cancelled, ExitCode
from audiosep.io.naming import display
from audiosep.memory import available_bytes

__all__ = ["TRIES", "Engine", "Here", "Pool", "given_up", "need_of"]

TRIES = 2
_STARTS = 3


@dataclass(frozen=True, kw_only=True)
class _Loss:
    """Why there is no outcome.

    Parameters
    ----------
    kind : str
        As in a journal; empty where the task has nothing to do with it.
    words : str
        For the one at the keyboard, after the name of the recording.
    """

    kind: str = ""
    words: str = ""


class Engine(Protocol):
    """Does tasks."""

    def run(self, tasks: Iterable[Task]) -> Iterator[tuple[Task, Outcome]]:
        """Do tasks, taken as there is room for them; outcomes come in any order."""
        ...

    def close(self) -> None:
        """End all that was started, at once."""
        ...


@dataclass(frozen=True, kw_only=True)
class Here:
    """Does one task after the other, in this process.

    Parameters
    ----------
    worker : Worker
        Who does them.
    """

    worker: Worker

    def run(self, tasks: Iterable[Task]) -> Iterator[tuple[Task, Outcome]]:
        """Do tasks in order."""
        for task in tasks:
            yield task, self.worker(task)

    def close(self) -> None:
        """Do nothing: nothing was started."""


class Pool:
    """Does several tasks at once, each in a process that stays for the next.

    A process that dies, or takes longer than it may, loses its own task only. That task is tried
    once more when all others are done, alone, and then given up.

    Parameters
    ----------
    worker : Worker
        Who does the tasks, in each process.
    n_jobs : int > 0
        Processes.
    timeout_s : float or None
        What a task may take.
    home : Path or None
        Working directory of the processes; None leaves that of this one.
    """

    def __init__(
        self,
        worker: Worker,
        n_jobs: int,
        timeout_s: float | None = None,
        home: Path | None = None,
    ) -> None:
        self._worker = worker
        self._n_jobs = n_jobs
        self._timeout_s = timeout_s
        self._home = home
        self._helpers: list[Helper] = []
        self._n_deaths = 0
        self._is_closed = False
        # What is done alone needs no room beside anything.
        free = available_bytes() if n_jobs > 1 else None
        self._budget = None if free is None else max(0, free - n_jobs * PROGRAM_BYTES)

    def run(self, tasks: Iterable[Task]) -> Iterator[tuple[Task, Outcome]]:
        """Do tasks as memory and processes allow; outcomes come as they are ready."""
        flying: dict[Helper, tuple[Task, int, int]] = {}
        coming = iter(tasks)
        again: deque[tuple[Task, int]] = deque()
        held: tuple[Task, int] | None = None
        while True:
            while len(flying) < self._n_jobs:
                if held is None and (task := next(coming, None)) is not None:
                    held = task, self._need(task)
                if held is None:
                    break
                used = sum(need for _, need, _ in flying.values())
                if flying and self._budget is not None and used + held[1] > self._budget:
                    break
                flying[self._begin(held[0], flying)] = (*held, 1)
                held = None
            if not flying and again:
                task, n_tries = again.popleft()
                flying[self._begin(task, flying)] = task, 0, n_tries
            if not flying:
                return
            self._wait(flying)
            for helper in list(flying):
                task, _, n_tries = flying[helper]
                answer = self._answer(helper)
                if answer is None:
                    continue
                del flying[helper]
                if isinstance(answer, Outcome):
                    yield task, answer
                elif n_tries < TRIES or not answer.kind:
                    again.append((task, n_tries + bool(answer.kind)))
                else:
                    yield task, given_up(task, self._worker, answer.kind, answer.words)

    def close(self) -> None:
        """End all processes: politely, so that they clean up, and then without asking."""
        self._is_closed = True
        helpers, self._helpers = self._helpers, []
        end_all(helpers)

    def _begin(self, task: Task, busy: Iterable[Helper]) -> Helper:
        """Give a task to a process that has none."""
        if self._is_closed:
            raise Cancelled("the processes have been ended.")
        for helper in set(self._helpers).difference(busy):
            if helper.is_alive:
                break
            self._drop(helper)
        else:
            helper = Helper(self._worker, self._home)
            self._helpers.append(helper)
            if self._is_closed:  # by another thread, just now
                self.close()
                raise Cancelled("the processes have been ended.")
        helper.begin(task, self._timeout_s)
        return helper

    def _wait(self, flying: Iterable[Helper]) -> None:
        """Wait until something has become of a task, or has to."""
        limits = [helper.left_s for helper in flying if helper.left_s is not None]
        signs = [sign for helper in flying for sign in helper.signs]
        wait(signs, timeout=max(0.0, min(limits)) if limits else None)

    def _answer(self, helper: Helper) -> Outcome | _Loss | None:
        """What has become of a task; None as long as nothing has."""
        try:
            answer = helper.answer()
        except EOFError:
            code = helper.exit_code
            self._drop(helper)
            return self._death(code) if helper.has_begun else self._early_death()
        if isinstance(answer, Outcome):
            self._n_deaths = 0
            return answer
        if answer is not None:
            words = f"failed unexpectedly, twice ({type(answer).__name__}: {answer})"
            return _Loss(kind="crash", words=words)
        if helper.left_s is not None and helper.left_s <= 0.0:
            self._drop(helper)
            words = f"took longer than --timeout {self._timeout_s:g} s, twice"
            return _Loss(kind="timeout", words=words)
        return None

    def _drop(self, helper: Helper) -> None:
        if helper in self._helpers:
            self._helpers.remove(helper)
            end_all([helper])

    def _early_death(self) -> _Loss:
        """Processes that die before they take a task say nothing about any task."""
        self._n_deaths += 1
        if self._n_deaths >= _STARTS * self._n_jobs:
            raise AudiosepError(
                "worker processes end as soon as they start; try --jobs 1, and see --debug."
            )
        return _Loss()

    def _death(self, code: int | None) -> _Loss:
        self._n_deaths = 0
        signalled = code is not None and code < 0
        died = f"was killed by signal {-(code or 0)}" if signalled else f"ended with code {code}"
        return _Loss(kind="crash", words=f"was given up: its process {died}, twice")

    def _need(self, task: Task) -> int:
        return 0 if self._budget is None else need_of(task, self._worker)


def need_of(task: Task, worker: Worker) -> int:
    """Bytes a task takes, beside the program; 0 where it will not come to that."""
    if task.problem:
        return 0
    try:
        return memory_of(about(task.job.source), task.options, worker.separator_of(task.options))
    except AudiosepError:  # reported in its turn
        return 0


def given_up(task: Task, worker: Worker, kind: str, words: str) -> Outcome:
    """Outcome of a task that nobody lived to tell of."""
    if kind == "crash":
        megabytes = (PROGRAM_BYTES + need_of(task, worker)) / 1e6
        words += f"; where memory was short, mind that it takes about {megabytes:.0f} MB"
    entry = entry_of(task.job, "failed", error=f"{display(task.job.source)} {words}.")
    noted = [] if worker.talk.json_lines else [(False, f"audiosep: {entry['error']}")]
    return Outcome(entry=entry, failure=ExitCode.ALL_FAILED, kind=kind, noted=noted)
