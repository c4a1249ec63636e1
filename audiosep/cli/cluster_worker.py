"""What runs on the workers of a cluster: one recording, in a process of its own.

Of its own, although a worker is a process already: so a recording that crashes or takes too long
costs neither the worker nor what waits there, is told apart from a machine that is lost, and
the worker still answers its scheduler. It works in the folder of the command, so that paths mean
there what they mean here.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import pickle
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audiosep._version import __version__
from audiosep.cli.locks import home_of
from audiosep.cli.one import Worker
from audiosep.cli.tasks import Outcome, Task
from audiosep.cli.workers import Pool
from audiosep.errors import Cancelled
from audiosep.io.naming import display

__all__ = ["Misfit", "Run", "dask_setup", "end_there", "separate_there"]

_IDLE_S = 60.0
"""After so long, a process that nobody asks for anything ends; whoever asked may have died."""

_SEEN_S = 5.0
"""How long a folder made on one machine may take to be seen from another."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """What all tasks of a batch have in common.

    Parameters
    ----------
    name : str
        Different for each batch.
    worker : Worker
        Who does the tasks.
    home : Path
        Working directory of the command.
    timeout_s : float or None
        What a task may take.
    """

    name: str
    worker: Worker
    home: Path
    timeout_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class Misfit:
    """Why a worker can do no task of a batch, in a sentence."""

    words: str


def separate_there(version: str, packed: bytes) -> Outcome | Misfit:
    """Do a task on a worker.

    Parameters
    ----------
    version : str
        Of audiosep, of the one who asks.
    packed : bytes
        The :class:`Run` and the :class:`~audiosep.cli.tasks.Task`, which only the same version
        can read.
    """
    where = socket.gethostname()
    if version != __version__:
        return Misfit(
            words=f"the worker on {where} has audiosep {__version__}, and this is {version}; "
            "install the same version on all machines."
        )
    run, task = pickle.loads(packed)
    if (missing := _unseen(run, task)) is not None:
        return Misfit(
            words=f"the worker on {where} does not see the folder {display(missing)}; recordings "
            "and --out have to be where all machines see them under the same path."
        )
    with _crew_of(run).pool() as pool:
        # Exactly one: the pool is lent to this task alone.
        return next(outcome for _, outcome in pool.run([task]))


async def end_there(name: str) -> None:
    """End what a batch has started on a worker; none of its tasks begins after that."""
    with _access:
        _ended.add(name)
        crew = _crews.pop(name, None)
    if crew is not None:
        await asyncio.to_thread(crew.close)


def dask_setup(_: Any) -> None:
    """Make a worker of our own ready: Ctrl-C is for the one who was started by hand."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


_access = threading.Lock()
_crews: dict[str, _Crew] = {}
_ended: set[str] = set()


class _Crew:
    """Processes for one batch: one for each thread of this worker that has ever been busy."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._access = threading.Lock()
        self._pools: set[Pool] = set()
        self._idle: dict[Pool, threading.Timer] = {}
        self._is_closed = False

    @contextmanager
    def pool(self) -> Iterator[Pool]:
        """Lend a pool of one process."""
        pool = self._taken()
        try:
            yield pool
        finally:
            timer = threading.Timer(_IDLE_S, self._retire, (pool,))
            timer.daemon = True
            with self._access:
                if pool in self._pools:
                    self._idle[pool] = timer
                    timer.start()

    def _taken(self) -> Pool:
        with self._access:
            if self._is_closed:
                raise Cancelled("the batch is over.")
            if self._idle:
                pool, timer = self._idle.popitem()
                timer.cancel()
                return pool
            pool = Pool(self._run.worker, 1, self._run.timeout_s, self._run.home)
            self._pools.add(pool)
            return pool

    def _retire(self, pool: Pool) -> None:
        with self._access:
            # Taken again just before the time was up.
            if self._idle.pop(pool, None) is None:
                return
            self._pools.discard(pool)
        pool.close()

    def close(self) -> None:
        """End all of them, also those at work."""
        with self._access:
            self._is_closed = True
            pools, self._pools = self._pools, set()
            for timer in self._idle.values():
                timer.cancel()
            self._idle.clear()
        threads = [threading.Thread(target=pool.close) for pool in pools]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def _crew_of(run: Run) -> _Crew:
    with _access:
        if run.name in _ended:
            raise Cancelled("the batch is over.")
        # Workers that a nanny looks after are not allowed processes of their own unless they say
        # so; these end with them, whatever happens.
        multiprocessing.current_process().daemon = False
        return _crews.setdefault(run.name, _Crew(run))


def _unseen(run: Run, task: Task) -> Path | None:
    """A folder that has to be there and is not."""
    places = [place for place in (run.worker.out, task.job.source) if isinstance(place, Path)]
    needed = [] if all(place.is_absolute() for place in places) else [run.home]
    if isinstance(run.worker.out, Path):
        # Made by whoever asks: a folder that is merely called the same is not enough.
        needed.append(run.home / home_of(run.worker.out))
    deadline = time.monotonic() + _SEEN_S
    while missing := next((path for path in needed if not path.is_dir()), None):
        if time.monotonic() > deadline:
            return missing
        time.sleep(_SEEN_S / 20)
    return None
