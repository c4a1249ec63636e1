"""A process that does one task after the other for another one, and may die at any moment."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import time
from contextlib import ExitStack, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from audiosep.child import begin_as_child
from audiosep.cli.locks import locked_run
from audiosep.cli.one import Worker
from audiosep.cli.tasks import Outcome, Task

__all__ = ["NAME", "Helper", "end_all"]

NAME = "audiosep helper"
"""What the processes are called."""

GRACE_S = 1.0
"""How long a process that is told to end may take to clean up."""

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


class Helper:
    """A process that does tasks, seen from the one that started it.

    Parameters
    ----------
    worker : Worker
        Who does them there.
    home : Path or None
        Its working directory; None leaves that of this process.

    Attributes
    ----------
    has_begun : bool
        Whether it has taken the task it was given last: before, its death is not the task's fault.
    """

    def __init__(self, worker: Worker, home: Path | None = None) -> None:
        # Forked processes would share locks of threads that they do not have.
        context = multiprocessing.get_context("spawn")
        self._ours, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(theirs, worker, home), name=NAME, daemon=True
        )
        self._process.start()
        # With the only other end in there, its death ends the connection.
        theirs.close()
        self._timeout_s: float | None = None
        self._deadline: float | None = None
        self.has_begun = False

    @property
    def is_alive(self) -> bool:
        """Whether it can be given a task."""
        return self._process.is_alive()

    @property
    def exit_code(self) -> int | None:
        """How it ended; negative where by a signal."""
        self._process.join(GRACE_S)
        return self._process.exitcode

    @property
    def signs(self) -> tuple[Any, Any]:
        """What :func:`multiprocessing.connection.wait` may wait for: a message, or its death."""
        return self._ours, self._process.sentinel

    @property
    def left_s(self) -> float | None:
        """Seconds that it may still take for its task; None without a limit."""
        return None if self._deadline is None else self._deadline - time.monotonic()

    def begin(self, task: Task, timeout_s: float | None) -> None:
        """Give it a task, and so many seconds from when it takes it."""
        self.has_begun = False
        self._timeout_s, self._deadline = timeout_s, None
        with suppress(OSError):  # it has died, which shows
            self._ours.send(task)

    def answer(self) -> Outcome | Exception | None:
        """What has become of the task; None as long as nothing has.

        Raises
        ------
        EOFError
            If the process has died and left no answer.
        """
        is_dead = not self._process.is_alive()
        try:
            while self._ours.poll():
                message = self._ours.recv()
                if message is not None:
                    self._deadline = None
                    return message  # type: ignore[no-any-return]
                self.has_begun = True
                if self._timeout_s is not None:
                    self._deadline = time.monotonic() + self._timeout_s
        except (OSError, pickle.UnpicklingError):
            raise EOFError from None
        if is_dead:
            raise EOFError
        return None


def end_all(helpers: list[Helper]) -> None:
    """End processes: politely, so that they clean up, and then without asking."""
    for helper in helpers:
        helper._process.terminate()
    deadline = time.monotonic() + GRACE_S
    for helper in helpers:
        helper._process.join(max(0.0, deadline - time.monotonic()))
        helper._process.kill()
        helper._process.join()
        helper._ours.close()


# In the process itself


def _serve(asked: Connection, worker: Worker, home: Path | None) -> None:
    """Do one task after the other until nobody asks any more."""
    with ExitStack() as held:
        try:
            _make_ready(home)
            if worker.out is not None:
                held.enter_context(locked_run(worker.out))
            while True:
                task = asked.recv()
                asked.send(None)
                asked.send(_done(worker, task))
        except (EOFError, BrokenPipeError, ConnectionResetError):
            return
        except SystemExit as leaving:
            # All has been cleaned up on the way here; threads that compute are not waited for.
            os._exit(int(leaving.code or 0))


def _done(worker: Worker, task: Task) -> Outcome | Exception:
    try:
        return worker.elsewhere(task)
    except Exception as error:
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:  # one that would not survive the way, or not as itself
            return RuntimeError(f"{type(error).__name__}: {error}")
        return error


def _make_ready(home: Path | None) -> None:
    """One thread, ends with its parent, kernels loaded once."""
    begin_as_child()
    if home is not None:
        with suppress(OSError):  # then all paths are absolute
            os.chdir(home)
    for name in _THREADS:
        os.environ.setdefault(name, "1")
    # Loaded now, so that the time of the first recording is its own.
    import audiosep.save
    import audiosep.separator  # noqa: F401
