"""Tasks of a batch done by a cluster: Dask brings them to workers, here or on many machines."""

from __future__ import annotations

import logging
import math
import multiprocessing
import pickle
import queue
import re
import tempfile
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audiosep._version import __version__
from audiosep.cli.cluster_worker import Misfit, Run, end_there, separate_there
from audiosep.cli.one import PROGRAM_BYTES, Worker
from audiosep.cli.tasks import Outcome, Task
from audiosep.cli.workers import TRIES, given_up, need_of
from audiosep.errors import AudiosepError, UsageError
from audiosep.memory import available_bytes

__all__ = ["RESOURCE", "Cluster", "check_cluster"]

RESOURCE = "MB"
"""What workers may offer of, so that no more recordings are there at once than memory holds."""

_REACH_S = 8.0
_LOOK_S = 2.0
_CLOSE_S = 4.0
_LEAST_ROOM = 16
"""So many tasks are sent even where there are few workers: clusters that grow look at these."""

_ADDRESS = re.compile(r"(tcp|tls|ucx|ws|wss)://.+")
_BARE = re.compile(r"[\w.-]+:\d+")


@dataclass(frozen=True, kw_only=True)
class _Flight:
    """A task that was sent.

    Parameters
    ----------
    task : Task
        The task.
    future : Future
        Dask's, which is kept: a future that nobody holds is cancelled.
    megabytes : int
        What it asks for.
    n_killed : int
        Workers that died of it before, as far as is known.
    """

    task: Task
    future: Any
    megabytes: int
    n_killed: int


def check_cluster(scheduler: str | None) -> None:
    """Refuse what cannot be.

    Raises
    ------
    UsageError
        If Dask is not installed, or `scheduler` is neither an address nor a file.
    """
    try:
        import distributed  # noqa: F401
    except ImportError as error:
        raise UsageError(
            f"--engine dask needs the extra [cluster]: pip install 'audiosep[cluster]' ({error})."
        ) from None
    if scheduler is not None:
        _target(scheduler)


def _target(scheduler: str) -> dict[str, str]:
    """Where a scheduler is, in Dask's words."""
    if _ADDRESS.fullmatch(scheduler):
        return {"address": scheduler}
    if Path(scheduler).is_file():
        return {"scheduler_file": scheduler}
    if _BARE.fullmatch(scheduler):
        return {"address": f"tcp://{scheduler}"}
    raise UsageError(
        f"--scheduler {scheduler!r} is neither an address, such as tcp://host:8786, nor a "
        "scheduler file."
    )


class Cluster:
    """Does tasks on the workers of a Dask cluster.

    A task whose worker is lost is done by another. One that has cost several workers is tried
    once more when the others are done, and then given up.

    Parameters
    ----------
    worker : Worker
        Who does the tasks there.
    n_jobs : int > 0
        Workers of a cluster of our own, on this machine.
    timeout_s : float or None
        What a task may take.
    scheduler : str or None
        Of a cluster that is there: its address, or a scheduler file. None starts one, when there
        is something to do.

    Raises
    ------
    UsageError
        As :func:`check_cluster`.
    AudiosepError
        If the scheduler cannot be reached.
    """

    def __init__(
        self,
        worker: Worker,
        n_jobs: int,
        timeout_s: float | None = None,
        scheduler: str | None = None,
    ) -> None:
        check_cluster(scheduler)
        self._worker = worker
        self._n_jobs = n_jobs
        self._run = Run(name=uuid.uuid4().hex, worker=worker, home=Path.cwd(), timeout_s=timeout_s)
        self._where = f"the cluster at {scheduler}" if scheduler else "the cluster of this machine"
        self._client: Any = None
        self._own: Any = None
        self._ready: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._flying: dict[str, _Flight] = {}
        self._n_workers = self._room = 0
        self._share: int | None = None
        self._looked = -math.inf
        self._level = logging.WARNING if worker.talk.debug else logging.CRITICAL + 1
        _say_from(self._level)
        if scheduler is not None:
            self._join(_target(scheduler))

    def run(self, tasks: Iterable[Task]) -> Iterator[tuple[Task, Outcome]]:
        """Do tasks as workers have room; outcomes come as they are ready."""
        coming = iter(tasks)
        held: Task | None = None
        again: deque[_Flight] = deque()
        while True:
            while held is not None or (held := next(coming, None)) is not None:
                self._look()
                if not self._begin(held, 0):
                    break
                held = None
            if held is None:
                # Half of the workers stay free, so that those that die cost nobody else.
                while again and len(self._flying) < max(1, self._n_workers // 2):
                    if not self._begin(again[0].task, again[0].n_killed):
                        break
                    again.popleft()
            if not self._flying:
                return
            if (flight := self._landed()) is None:
                self._look()
                continue
            outcome = self._outcome(flight)
            if isinstance(outcome, Outcome):
                yield flight.task, outcome
            else:
                again.append(outcome)

    def close(self) -> None:
        """End all that was started, there too."""
        client, own = self._client, self._own
        self._client = self._own = None
        if client is not None:
            futures = [flight.future for flight in self._flying.values()]
            if client.status == "running":
                _within(_CLOSE_S, lambda: client.cancel(futures))
                # Dask does not end what has begun.
                _within(_CLOSE_S, lambda: client.run(end_there, self._run.name, on_error="ignore"))
            _within(_CLOSE_S, lambda: client.close(timeout=1))
        self._flying.clear()
        if own is not None:
            own.close()

    def _join(self, target: dict[str, str]) -> None:
        from distributed import Client

        try:
            self._client = Client(**target, timeout=_REACH_S, name="audiosep", set_as_default=False)
        except Exception as error:
            if self._worker.talk.debug:
                raise
            reason = str(error).split("\n", maxsplit=1)[0] or type(error).__name__
            raise AudiosepError(
                f"{self._where} cannot be reached ({reason}); is its scheduler running, and is "
                "that its address?"
            ) from None

    def _connect(self) -> None:
        if self._client is None:
            self._own = _Own(self._n_jobs, self._level)
            self._join({"address": self._own.address})

    def _look(self) -> None:
        """Count the workers, and what they offer, from time to time."""
        now = time.monotonic()
        if now - self._looked < _LOOK_S:
            return
        self._connect()
        if self._client.status != "running":
            raise self._gone()
        try:
            workers = self._client.scheduler_info(n_workers=-1)["workers"].values()
        except Exception as error:
            raise self._gone() from error
        if not workers and (self._n_workers or self._looked < 0):
            self._worker.talk.say(f"audiosep: {self._where} has no workers; waiting for some")
        self._looked = now
        self._n_workers = len(workers)
        self._room = max(_LEAST_ROOM, 2 * sum(worker["nthreads"] for worker in workers))
        offers = [worker["resources"].get(RESOURCE) for worker in workers]
        share = int(max(offers)) if offers and None not in offers else None
        if workers and share != self._share:
            self._share = share
            self._send_again()

    def _send_again(self) -> None:
        """Send what nobody can take any more with what is offered now."""
        for key, flight in list(self._flying.items()):
            if flight.megabytes > (self._share or 0):
                del self._flying[key]
                flight.future.cancel()
                self._send(flight.task, flight.n_killed)

    def _begin(self, task: Task, n_killed: int) -> bool:
        """Send a task, if there is room for it."""
        if len(self._flying) >= self._room:
            return False
        if self._own is not None and self._share is not None:
            # What does not fit beside others is done alone: they share the memory of one machine.
            sent = [flight.megabytes for flight in self._flying.values()]
            if sent and max(*sent, self._asks_for(task)) >= self._share:
                return False
        self._send(task, n_killed)
        return True

    def _asks_for(self, task: Task) -> int:
        if self._share is None:
            return 0
        megabytes = math.ceil((PROGRAM_BYTES + need_of(task, self._worker)) / 1e6)
        # What is more than anybody has is tried where there is most.
        return min(megabytes, self._share)

    def _send(self, task: Task, n_killed: int) -> None:
        megabytes = self._asks_for(task)
        packed = pickle.dumps((self._run, task))
        try:
            future = self._client.submit(
                separate_there,
                __version__,
                packed,
                key=f"audiosep-{uuid.uuid4().hex}",
                pure=False,
                retries=TRIES - 1,
                resources={RESOURCE: megabytes} if megabytes else None,
            )
        except Exception as error:
            raise self._gone() from error
        self._flying[future.key] = _Flight(
            task=task, future=future, megabytes=megabytes, n_killed=n_killed
        )
        future.add_done_callback(self._ready.put)

    def _landed(self) -> _Flight | None:
        """Task that is over; None after a while."""
        try:
            future = self._ready.get(timeout=_LOOK_S)
        except queue.Empty:
            return None
        return self._flying.pop(future.key, None)

    def _outcome(self, flight: _Flight) -> Outcome | _Flight:
        """What became of a task, or how to try it again."""
        from distributed.scheduler import KilledWorker

        future = flight.future
        error: BaseException | None = None
        answer: Any = None
        try:
            if future.status == "finished":
                answer = future.result()
            elif future.status == "error":
                error = future.exception()
        except Exception as failed:
            raise self._gone() from failed
        if answer is None and error is None:  # nobody but the end of all cancels it
            raise self._gone()
        if isinstance(answer, Outcome):
            return answer
        if isinstance(answer, Misfit):
            raise AudiosepError(answer.words)
        if isinstance(error, KilledWorker):
            n_killed = flight.n_killed + error.allowed_failures + 1
            if not flight.n_killed:
                return _Flight(task=flight.task, future=None, megabytes=0, n_killed=n_killed)
            words = f"was given up: the worker that had it died, {n_killed} times"
            return given_up(flight.task, self._worker, "crash", words)
        if isinstance(error, AudiosepError):
            raise error
        said = f"{type(error).__name__}: {error}".split("\n", maxsplit=1)[0]
        if isinstance(error, ImportError | AttributeError):
            raise AudiosepError(
                f"{self._where} cannot do the work ({said}); install audiosep {__version__} with "
                "the extra [cluster] on all its machines."
            )
        words = f"failed unexpectedly, twice ({said})"
        return given_up(flight.task, self._worker, "crash", words)

    def _gone(self) -> AudiosepError:
        return AudiosepError(
            f"{self._where} is gone; what is done stays done, and the same command goes on when "
            "it is back."
        )


class _Own:
    """A cluster of our own on this machine, which nobody else is meant to reach.

    Parameters
    ----------
    n_workers : int > 0
        Processes, of one thread each.
    level : int
        From which they say something, as in :mod:`logging`.
    """

    def __init__(self, n_workers: int, level: int) -> None:
        import dask
        from distributed import LocalCluster

        free = available_bytes()
        share = None if free is None else max(1, free // n_workers // 1_000_000)
        self._folder = tempfile.TemporaryDirectory(prefix="audiosep-")
        # With more, one bad recording would end many workers.
        dask.config.set({"distributed.scheduler.allowed-failures": 1})
        # Else it leaves a folder of its own where temporary files go.
        dask.config.set({"temporary-directory": self._folder.name})
        self._cluster = LocalCluster(
            n_workers=n_workers,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address=None,
            # Any port for the little that is served without a dashboard.
            scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
            # The sound is in processes that the workers start.
            memory_limit=0,
            resources=None if share is None else {RESOURCE: share},
            local_directory=self._folder.name,
            preload=["audiosep.cli.cluster_worker"],
            silence_logs=level,
        )
        self.address: str = self._cluster.scheduler_address

    def close(self) -> None:
        """End all its processes."""
        _within(_CLOSE_S, lambda: self._cluster.close(timeout=_CLOSE_S))
        for process in multiprocessing.active_children():
            if process.name.startswith("Dask Worker process"):
                process.kill()
        with suppress(OSError):
            self._folder.cleanup()


def _say_from(level: int) -> None:
    """Quieten Dask: that workers come and go is told in our words, or is noise."""
    for name in list(logging.root.manager.loggerDict):
        if name.split(".")[0] == "distributed":  # each has a level of its own
            logging.getLogger(name).setLevel(level)


def _within(seconds: float, action: Callable[[], Any]) -> None:
    """Do something that may fail or never end, as a scheduler may have done."""

    def quietly() -> None:
        with suppress(Exception):
            action()

    thread = threading.Thread(target=quietly, daemon=True)
    thread.start()
    thread.join(seconds)
