"""Extrapolation: the same updates from points further along the way, with a guarantee."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from audiosep.nmf import kernels
from audiosep.nmf.momentum import WIDEST_RATIO, next_momentum
from audiosep.nmf.problem import Problem
from audiosep.nmf.updates import multiplicative
from audiosep.types import FloatArray

__all__ = ["AcceleratedUpdate"]

# Its arguments are checked by the compiler, not by the type checker.
_EXTRAPOLATE: Any = kernels.extrapolate

_WIDEST = math.log(WIDEST_RATIO)


class AcceleratedUpdate:
    """Multiplicative updates from extrapolated points, with a guarantee that losses never rise.

    Before each step every free entry x is moved on the way it came, in the logarithmic domain:
    ``x (x / x_before)^a`` with Nesterov's weights, ``a_i = min((t_i - 1) / t_(i+1), 0.9)``,
    ``t_(i+1) = (1 + sqrt(1 + 4 t_i²)) / 2``. Where the objective at the moved point is above that
    of the one before, the move is undone, an ordinary step is made, and the weights start anew.

    Parameters
    ----------
    problem : Problem
        What is factorized.
    W : np.ndarray [shape=(n_components, n_bins)]
        Changed by :meth:`step`.
    H : np.ndarray [shape=(n_frames, n_components)]
        Changed by :meth:`step`.

    References
    ----------
    .. [1] Y. Nesterov (1983), "A method for solving the convex programming problem with
       convergence rate O(1/k²)", Soviet Math. Doklady 27.
    .. [2] L. T. K. Hien, V. Leplat and N. Gillis (2024), "Block majorization minimization with
       extrapolation and application to beta-NMF": they extrapolate by adding; we multiply, which
       keeps the factors positive, and restart instead of bounding the weights.
    """

    def __init__(self, problem: Problem, W: FloatArray, H: FloatArray) -> None:
        self._plain = multiplicative(problem, W, H)
        self._factors = ((W, problem.free_w), (H, problem.free_h))
        self._floor = W.dtype.type(kernels.FACTOR_FLOOR)
        self._before = W.copy(), H.copy()
        self._start = W.copy(), H.copy()
        self._t = 1.0
        self._momentum = 0.0
        self._last_loss = math.inf

    def step(self, with_loss: bool = True) -> float:  # noqa: ARG002 - the guarantee needs it
        """Move on, update H, then W; return the objective at the moved point."""
        for (x, _), start in zip(self._factors, self._start, strict=True):
            np.copyto(start, x)
        if self._momentum > 0.0:
            self._move_on()
        loss = self._plain.step()
        if loss > self._last_loss and self._momentum > 0.0:
            for (x, _), start in zip(self._factors, self._start, strict=True):
                np.copyto(x, start)
            self._t = 1.0
            loss = self._plain.step()
        self._before, self._start = self._start, self._before
        self._last_loss = loss
        self._t, self._momentum = next_momentum(self._t)
        return loss

    def loss(self) -> float:
        """The objective as it is now."""
        return self._plain.loss()

    def _move_on(self) -> None:
        for (x, free), before in zip(self._factors, self._before, strict=True):
            dtype = x.dtype.type
            _EXTRAPOLATE(x, before, free, dtype(self._momentum), dtype(_WIDEST), self._floor)
        self._plain.hold_levels()
