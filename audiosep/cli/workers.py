"""Who does the tasks of a batch: this process, or several at once that may die.

An engine takes tasks one by one, as it has room for them, and gives outcomes as they come. Paths
travel, not sound; and a task may be done twice without harm, because stems are moved to their
place in one step and a finished track is passed over.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, Protocol

from audiosep.cli.locks import locked_run
from audiosep.cli.one import PROGRAM_BYTES, Worker, memory_of
from audiosep.cli.tasks import Outcome, Task, entry_of
from audiosep.errors import AudiosepError, ExitCode
from audiosep.io import info
from audiosep.io.naming import display
from audiosep.memory import available_bytes

__all__ = ["Engine", "Here", "Pool"]

_TRIES = 2
_STARTS = 3
_GRACE_S = 1.0
"""How long workers that are told to end may take to clean up."""


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
    """

    def __init__(self, worker: Worker, n_jobs: int, timeout_s: float | None = None) -> None:
        self._worker = worker
        self._n_jobs = n_jobs
        self._timeout_s = timeout_s
        self._pool: Any = None
        free = available_bytes()
        self._budget = None if free is None else max(0, free - n_jobs * PROGRAM_BYTES)

    def run(self, tasks: Iterable[Task]) -> Iterator[tuple[Task, Outcome]]:
        """Do tasks as memory and processes allow; outcomes come as they are ready."""
        flying: dict[Future[Outcome], tuple[Task, int, int]] = {}
        coming = iter(tasks)
        again: deque[tuple[Task, int]] = deque()
        held: tuple[Task, int] | None = None
        n_starts = 0
        while True:
            while len(flying) < self._n_jobs:
                if held is None and (task := next(coming, None)) is not None:
                    held = task, self._need(task)
                if held is None:
                    break
                used = sum(need for _, need, _ in flying.values())
                if flying and self._budget is not None and used + held[1] > self._budget:
                    break
                flying[self._begin(held[0])] = (*held, 1)
                held = None
            if not flying and again:
                task, n_tries = again.popleft()
                flying[self._begin(task)] = task, 0, n_tries
            if not flying:
                return
            for future in wait(flying, return_when=FIRST_COMPLETED).done:
                task, _, n_tries = flying.pop(future)
                error = future.exception()
                if error is None:
                    n_starts = 0
                    yield task, future.result()
                elif isinstance(error, BrokenProcessPool):
                    # Processes that die before they take a task say nothing about any task.
                    n_starts += 1
                    self._restart(n_starts)
                    again.append((task, n_tries))
                elif n_tries < _TRIES:
                    again.append((task, n_tries + 1))
                else:
                    yield task, self._lost(task, error)

    def close(self) -> None:
        """End all processes: politely, so that they clean up, and then without asking."""
        if self._pool is None:
            return
        self._pool.stop()
        mine = [p for p in multiprocessing.active_children() if p.name.startswith("pebble")]
        for process in mine:
            with suppress(OSError, AttributeError):
                process.terminate()
        deadline = time.monotonic() + _GRACE_S
        for process in mine:
            process.join(max(0.0, deadline - time.monotonic()))
            if process.is_alive():
                process.kill()
        self._pool.join()
        self._pool = None

    def _begin(self, task: Task) -> Future[Outcome]:
        if self._pool is None:
            from pebble import ProcessPool

            self._pool = ProcessPool(
                max_workers=self._n_jobs,
                initializer=_start,
                initargs=(self._worker,),
                # Forked processes would share locks of threads that they do not have.
                context=multiprocessing.get_context("spawn"),
            )
        future: Future[Outcome] = self._pool.schedule(_do, (task,), timeout=self._timeout_s)
        return future

    def _restart(self, n_starts: int) -> None:
        self.close()
        if n_starts >= _STARTS * self._n_jobs:
            raise AudiosepError(
                "worker processes end as soon as they start; try --jobs 1, and see --debug."
            )

    def _need(self, task: Task) -> int:
        """Bytes a task takes; 0 where it will not come to that."""
        if self._budget is None or task.problem:
            return 0
        try:
            separator = self._worker.separator_of(task.options)
            return memory_of(info(task.job.source), task.options, separator)
        except AudiosepError:  # reported in its turn
            return 0

    def _lost(self, task: Task, error: BaseException) -> Outcome:
        source = display(task.job.source)
        if isinstance(error, TimeoutError):
            words, kind = f"took longer than --timeout {self._timeout_s:g} s, twice", "timeout"
        elif (code := getattr(error, "exitcode", None)) is None:
            words, kind = f"failed unexpectedly, twice ({type(error).__name__}: {error})", "crash"
        else:
            died = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
            megabytes = (PROGRAM_BYTES + self._need(task)) / 1e6
            kind = "crash"
            words = (
                f"was given up: its process {died}, twice; where memory was short, mind that it "
                f"takes about {megabytes:.0f} MB"
            )
        entry = entry_of(task.job, "failed", error=f"{source} {words}.")
        talk = self._worker.talk
        noted = [] if talk.json_lines else [(False, f"audiosep: {entry['error']}")]
        return Outcome(entry=entry, failure=ExitCode.ALL_FAILED, kind=kind, noted=noted)


# In the processes of a pool

_at_work: Worker | None = None
_held = ExitStack()


def _start(worker: Worker) -> None:
    """Make a new process ready: one thread, ends with its parent, kernels loaded once."""
    global _at_work
    signal.signal(signal.SIGTERM, _end)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    # Nobody reads what a library might print here; results belong to the process that asked.
    sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
    # Loaded now, so that the time of the first recording is its own.
    import audiosep.save
    import audiosep.separator  # noqa: F401

    if worker.out is not None:
        _held.enter_context(locked_run(worker.out))
    _at_work = worker


def _do(task: Task) -> Outcome:
    if _at_work is None:
        raise RuntimeError("the process was not made ready")
    try:
        return _at_work.elsewhere(task)
    except SystemExit as leaving:
        # All has been cleaned up on the way here, and pebble would go on to the next task.
        os._exit(int(leaving.code or 0))


def _end(*_: object) -> NoReturn:
    sys.exit(int(ExitCode.TERMINATED))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(int(ExitCode.TERMINATED))
