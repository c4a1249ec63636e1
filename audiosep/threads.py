"""How many threads, and linear algebra held to one of them."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from audiosep.types import whole_number

__all__ = ["n_processors", "one_blas_thread", "resolve_threads"]

_CGROUP = Path("/sys/fs/cgroup")

_lock = threading.Lock()
_holders = 0
_limits: Any = None


def resolve_threads(n_threads: int | None) -> int:
    """Return `n_threads`, or the number of processors this process may use."""
    if n_threads is None:
        return math.ceil(n_processors())
    return whole_number("n_threads", n_threads, 1)


def n_processors() -> float:
    """How many processors this process may use: a part of one, too, in a container."""
    if hasattr(os, "sched_getaffinity"):
        count = len(os.sched_getaffinity(0))
    else:
        count = os.cpu_count() or 1
    return min(count, _of_container())


def _of_container() -> float:
    """Processors that a container may keep busy; infinite without a limit."""
    try:
        if (_CGROUP / "cpu.max").exists():
            quota, period = (_CGROUP / "cpu.max").read_text(encoding="ascii").split()
        else:  # of the first version
            quota, period = (
                (_CGROUP / "cpu" / f"cpu.cfs_{name}_us").read_text(encoding="ascii")
                for name in ("quota", "period")
            )
        share = int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):  # no container, or "max"
        return math.inf
    return share if share > 0 else math.inf


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Hold BLAS to one thread: sums must not depend on the size of its pool."""
    # The BLAS of the kernels: it must be there when threads are limited.
    import scipy.linalg.cython_blas  # noqa: F401
    from threadpoolctl import threadpool_limits

    global _holders, _limits
    # The limit belongs to the process, not to a thread: the first to come sets it and the last to
    # leave restores it, or one separation would take the limit away under another.
    with _lock:
        if _holders == 0:
            _limits = threadpool_limits(limits=1, user_api="blas")
        _holders += 1
    try:
        yield
    finally:
        with _lock:
            _holders -= 1
            if _holders == 0:
                _limits.restore_original_limits()
