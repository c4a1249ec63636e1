"""Work in a process of its own, one piece after the other: watched, and ended when unwanted."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, TypeGuard

from audiosep.child import begin_as_child
from audiosep.errors import AudiosepError

__all__ = ["Foreman", "Job", "View"]

_GRACE_S = 2.0
"""How long a process that is told to end may take to clean up."""

_EVERY_S = 0.1
"""How often progress is told."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Job:
    """Something to do.

    Parameters
    ----------
    number : int
        No other job of the session has it.
    kind : str
        Which function of :mod:`audiosep.studio.work`.
    words : str
        What it is, for people; empty for work that nobody waits for.
    arguments : mapping
        Of that function; they travel to another process.
    done : callable
        Called with what it returned.
    failed : callable
        Called with a sentence.
    """

    number: int
    kind: str
    words: str
    arguments: Mapping[str, Any]
    done: Callable[[Any], None]
    failed: Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class View:
    """A job as it is seen while it is done.

    Parameters
    ----------
    number : int
        Of the job.
    kind, words : str
        As of the job.
    stage : str
        What is being done.
    fraction : float
        How much of that, 0 to 1.
    """

    number: int
    kind: str
    words: str
    stage: str = ""
    fraction: float = 0.0


class Foreman:
    """Has jobs done, one after the other, by a process that may be ended at any moment.

    Parameters
    ----------
    watch : callable
        Called without arguments whenever :attr:`view` has changed.
    n_threads : int, optional
        Threads of the work.
    """

    def __init__(self, watch: Callable[[], None], n_threads: int | None = None) -> None:
        self._watch = watch
        self._n_threads = n_threads
        self._jobs: deque[Job] = deque()
        self._condition = threading.Condition()
        self._cancelled: set[int] = set()
        self._closing = False
        self._hand: _Hand | None = None
        self._running: Job | None = None
        self.view: View | None = None
        self._thread = threading.Thread(target=self._oversee, name="studio jobs", daemon=True)

    def start(self) -> None:
        """Begin; the process is started at once, so that it is ready when it is needed."""
        self._thread.start()

    def give(self, job: Job) -> None:
        """Have a job done after those that were given before."""
        with self._condition:
            self._jobs.append(job)
            if self._running is None and self.view is None:
                self._show(View(number=job.number, kind=job.kind, words=job.words))
            self._condition.notify()

    def cancel(self, number: int) -> bool:
        """Give a job up, begun or not; whether there was one of that number."""
        with self._condition:
            known = any(job.number == number for job in self._jobs)
            if self._running is not None and self._running.number == number:
                known = True
            if known:
                self._cancelled.add(number)
                self._jobs = deque(job for job in self._jobs if job.number != number)
                self._condition.notify()
        return known

    def forget(self, number: int) -> bool:
        """Take a job back that has not begun; whether it had not."""
        with self._condition:
            before = len(self._jobs)
            self._jobs = deque(job for job in self._jobs if job.number != number)
            return len(self._jobs) < before

    def waiting(self, kinds: tuple[str, ...]) -> int | None:
        """Number of the first job of some kinds that is not done yet."""
        with self._condition:
            jobs = [*([self._running] if self._running else []), *self._jobs]
        return next((job.number for job in jobs if job.kind in kinds), None)

    def close(self) -> None:
        """End the process, and wait for that."""
        with self._condition:
            self._closing = True
            self._jobs.clear()
            self._condition.notify()
        if self._thread.is_alive():
            self._thread.join(2 * _GRACE_S + 1.0)

    # --- the thread -------------------------------------------------------------------------------

    def _oversee(self) -> None:
        self._hand = self._prepared()
        try:
            while (job := self._next()) is not None:
                self._have_done(job)
        finally:
            if self._hand is not None:
                self._hand.end()

    def _prepared(self) -> _Hand | None:
        """Give a process before it is needed; that there can be none is told when it is."""
        try:
            return _Hand(self._n_threads)
        except OSError:
            return None

    def _next(self) -> Job | None:
        with self._condition:
            self._running = None
            if not self._jobs:
                self._show(None)
            while not self._jobs and not self._closing:
                self._condition.wait()
            if self._closing:
                return None
            # Pictures are looked at; everything else is waited for.
            job = min(self._jobs, key=lambda one: one.kind == "draw")
            self._jobs.remove(job)
            self._running = job
            self._show(View(number=job.number, kind=job.kind, words=job.words))
            return job

    def _show(self, view: View | None) -> None:
        self.view = view
        self._watch()

    def _have_done(self, job: Job) -> None:
        hand = self._hand
        if hand is None or not hand.process.is_alive():
            self._hand = None
            try:
                hand = self._hand = _Hand(self._n_threads)
            except OSError as error:
                why = error.strerror or type(error).__name__
                job.failed(f"No process can be started: {why}; close other programs.")
                return
        hand.begin(job)
        while True:
            if job.number in self._cancelled or self._closing:
                last = hand.end()
                self._hand = None
                if not self._closing:
                    if _is_kept(last, job):
                        self._tell_kept(job, last)
                    else:
                        job.failed("")
                    self._hand = self._prepared()
                return
            try:
                message = hand.message(_EVERY_S / 2)
            except EOFError:
                job.failed(_death(hand.process))
                return
            if message is None:
                continue
            what, value = message
            if what == "progress":
                stage, fraction = value
                self._show(
                    View(
                        number=job.number,
                        kind=job.kind,
                        words=job.words,
                        stage=stage,
                        fraction=fraction,
                    )
                )
                continue
            if _is_kept(message, job):
                self._tell_kept(job, message)
            elif job.number in self._cancelled:  # it was over in the same moment
                job.failed("")
            else:
                _tell(job, what, value)
            return

    def _tell_kept(self, job: Job, message: tuple[str, Any]) -> None:
        with self._condition:
            self._running = None  # who hears of it may change what it was made of
        _tell(job, *message)


def _is_kept(message: tuple[str, Any] | None, job: Job) -> TypeGuard[tuple[str, Any]]:
    """Whether files were written that stay: who cancelled in the same moment must hear of them."""
    return message is not None and message[0] == "done" and job.kind in ("save", "learn")


def _tell(job: Job, what: str, value: Any) -> None:
    """Tell what has become of a job; what goes wrong with that must not end the work of others."""
    try:
        if what == "done":
            job.done(value)
        else:
            job.failed(value)
    except AudiosepError as error:
        job.failed(str(error))
    except Exception as error:
        job.failed(f"Unexpected {type(error).__name__}: {error}; please report it.")


def _death(process: BaseProcess) -> str:
    process.join(_GRACE_S)
    code = process.exitcode
    if code == -signal.SIGKILL:
        return (
            "The process at work was killed, perhaps because memory ran out; close other programs "
            "or take a shorter part, and try again."
        )
    return f"The process at work ended by itself (code {code}); try again."


class _Hand:
    """The process, seen from here."""

    def __init__(self, n_threads: int | None) -> None:
        # A forked process would share locks of threads that it does not have.
        context = multiprocessing.get_context("spawn")
        self._ours, theirs = context.Pipe()
        self.process: BaseProcess = context.Process(
            target=_serve, args=(theirs, n_threads), name="audiosep studio", daemon=True
        )
        self.process.start()
        theirs.close()

    def begin(self, job: Job) -> None:
        with suppress(OSError):  # it has died, which shows
            self._ours.send((job.kind, dict(job.arguments)))

    def message(self, timeout_s: float) -> tuple[str, Any] | None:
        try:
            if self._ours.poll(timeout_s):
                message: tuple[str, Any] = self._ours.recv()
                return message
        except OSError:
            raise EOFError from None
        return None

    def end(self) -> tuple[str, Any] | None:
        """Ask it to end, so that it cleans up, and then do not ask; its last word."""
        self.process.terminate()
        self.process.join(_GRACE_S)
        self.process.kill()
        self.process.join()
        last = None
        with suppress(EOFError, OSError):
            while self._ours.poll():
                last = self._ours.recv()
        self._ours.close()
        return last


# --- in the process itself ------------------------------------------------------------------------


def _serve(asked: Connection, n_threads: int | None) -> None:
    try:
        begin_as_child()
        from audiosep.studio import work

        work.warm_up()
        while True:
            kind, arguments = asked.recv()
            asked.send(_done(work.JOBS[kind], arguments, n_threads, asked))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
    except SystemExit as leaving:
        # All has been cleaned up on the way here; threads that compute are not waited for.
        os._exit(int(leaving.code or 0))


def _done(
    function: Callable[..., Any], arguments: dict[str, Any], n_threads: int | None, told: Connection
) -> tuple[str, Any]:
    last = 0.0

    def progress(stage: str, fraction: float) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _EVERY_S or fraction in (0.0, 1.0):
            last = now
            told.send(("progress", (stage, float(fraction))))

    try:
        return "done", function(**arguments, n_threads=n_threads, progress=progress)
    except AudiosepError as error:
        return "failed", str(error)
    except MemoryError:
        return "failed", "There is not enough memory; close other programs, or take a shorter part."
    except Exception as error:
        return "failed", f"Unexpected {type(error).__name__}: {error}; please report it."
