"""How many threads, and linear algebra held to one of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from audiosep.errors import ParameterError

__all__ = ["one_blas_thread", "resolve_threads"]


def resolve_threads(n_threads: int | None) -> int:
    """Return `n_threads`, or the number of processors this process may use."""
    if n_threads is None:
        if hasattr(os, "sched_getaffinity"):
            return len(os.sched_getaffinity(0))
        return os.cpu_count() or 1
    if n_threads < 1:
        raise ParameterError(f"n_threads={n_threads} must be at least 1.")
    return n_threads


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Hold BLAS to one thread: sums must not depend on the size of its pool."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1, user_api="blas"):
        yield
