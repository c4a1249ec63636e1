"""The loop over iterations for models of several factors, plain or from extrapolated points."""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from audiosep.errors import ParameterError
from audiosep.nmf import kernels
from audiosep.nmf.momentum import moved_on, next_momentum
from audiosep.threads import one_blas_thread, resolve_threads
from audiosep.types import FloatArray, Progress, Stop

__all__ = ["SOLVERS", "Extrapolated", "Model", "improve", "multiply", "solver_from", "workers"]

SOLVERS = ("mu", "accelerated")
"""Multiplicative updates, plain or from extrapolated points."""

CHECK_EVERY = 10
"""Iterations between two looks at the tolerance: single steps can be deceptively small."""

# Its arguments are checked by the compiler, not by the type checker.
_MULTIPLY: Any = kernels.multiply


class Model(Protocol):
    """Factors that approximate some data together, and a way to improve them."""

    @property
    def factors(self) -> tuple[tuple[FloatArray, npt.NDArray[np.bool_]], ...]:
        """The factors, changed in place, each with what may move (broadcastable to it)."""
        ...

    def step(self) -> float:
        """Improve all factors in turn; return the objective at the point where it began."""
        ...

    def loss(self) -> float:
        """The objective as it is now."""
        ...


class Extrapolated:
    """Steps of a model from extrapolated points, with a guarantee that losses never rise.

    Before each step every free, positive entry x is moved on the way it came, in the logarithmic
    domain: ``x (x / x_before)^a`` with Nesterov's weights, ``a_i = min((t_i - 1) / t_(i+1), 0.9)``,
    ``t_(i+1) = (1 + sqrt(1 + 4 t_i²)) / 2``. Where the objective at the moved point is above that
    of the one before, the move is undone, an ordinary step is made, and the weights start anew.

    References
    ----------
    .. [1] Y. Nesterov (1983), "A method for solving the convex programming problem with
       convergence rate O(1/k²)", Soviet Math. Doklady 27.
    .. [2] L. T. K. Hien, V. Leplat and N. Gillis (2024), "Block majorization minimization with
       extrapolation and application to beta-NMF": they extrapolate by adding; we multiply, which
       keeps the factors positive, and restart instead of bounding the weights.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self._before: tuple[FloatArray, ...] = ()
        self._t = 1.0
        self._momentum = 0.0
        self._last_loss = math.inf

    @property
    def factors(self) -> tuple[tuple[FloatArray, npt.NDArray[np.bool_]], ...]:
        """Those of the model."""
        return self._model.factors

    def step(self) -> float:
        """Move on, then step; return the objective at the moved point."""
        now = tuple(x.copy() for x, _ in self.factors)
        if self._momentum > 0.0:
            for (x, free), before in zip(self.factors, self._before, strict=True):
                x[...] = moved_on(x, before, self._momentum, free)
        loss = self._model.step()
        if loss > self._last_loss and self._momentum > 0.0:
            for (x, _), value in zip(self.factors, now, strict=True):
                x[...] = value
            self._t = 1.0
            loss = self._model.step()
        self._before = now
        self._last_loss = loss
        self._t, self._momentum = next_momentum(self._t)
        return loss

    def loss(self) -> float:
        """That of the model."""
        return self._model.loss()


def multiply(
    x: FloatArray,
    above: FloatArray,
    below: FloatArray,
    free: npt.NDArray[np.bool_],
    exponent: float,
) -> None:
    """``x <- x (above / below)^exponent`` in place, where free and positive.

    Parameters
    ----------
    x, above : np.ndarray [shape=(n, m)]
        C-contiguous.
    below : np.ndarray [shape=(n, m), (1, m) or (n, 1)]
        Entries of zero leave x as it is.
    free : np.ndarray of bool
        Broadcastable to `x`.
    exponent : float
        That of :func:`audiosep.nmf.divergence.mm_exponent`.
    """
    type_ = x.dtype.type
    below = np.where(free, below, type_(0))
    _MULTIPLY(x, above, below, type_(exponent), type_(kernels.FACTOR_FLOOR))


def solver_from(name: str) -> str:
    """Return `name` if it is one of :data:`SOLVERS`.

    Raises
    ------
    ParameterError
        If it is not.
    """
    if name not in SOLVERS:
        raise ParameterError(f"solver {name!r} is unknown; use mu or accelerated.")
    return name


@contextmanager
def workers(n_threads: int | None) -> Iterator[ThreadPoolExecutor | None]:
    """Threads to work on, or None for the caller's own, with linear algebra held to one each."""
    threads = resolve_threads(n_threads)
    with one_blas_thread():
        if threads == 1:
            yield None
        else:
            with ThreadPoolExecutor(threads) as pool:
                yield pool


def improve(
    model: Model,
    *,
    accelerated: bool,
    max_iter: int,
    tol: float,
    progress: Progress,
) -> tuple[list[float], Stop]:
    """Step until the objective no longer falls.

    Parameters
    ----------
    model : Model
        Changed in place.
    accelerated : bool
        Whether to step from extrapolated points.
    max_iter : int
        Most steps.
    tol : float
        Stop when the objective fell by less than this times its first value during 10 steps; 0
        makes all steps.
    progress : callable
        Called as ``progress("factorize", fraction)``.

    Returns
    -------
    losses : list of float
        The objective before each step, and at last.
    stop : Stop
        Why it ended.
    """
    stepping: Model = Extrapolated(model) if accelerated else model
    losses: list[float] = []
    stop = Stop.MAX_ITER
    for iteration in range(max_iter):
        losses.append(stepping.step())
        progress("factorize", (iteration + 1) / max_iter)
        if _converged(losses, tol):
            # The step just made stays: it can only have lowered the objective further.
            stop = Stop.CONVERGED
            progress("factorize", 1.0)
            break
    losses.append(model.loss())
    return losses, stop


def _converged(losses: list[float], tol: float) -> bool:
    n = len(losses) - 1
    if tol == 0.0 or n == 0 or n % CHECK_EVERY:
        return False
    return losses[n - CHECK_EVERY] - losses[n] < tol * losses[0]
