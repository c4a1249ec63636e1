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

_BOLD = 1.0
"""Exponent of the updates where nothing is penalised."""


class AcceleratedUpdate:
    """Multiplicative updates from extrapolated points, with a guarantee that losses never rise.

    Before each step every free entry x is moved on the way it came, in the logarithmic domain:
    ``x (x / x_before)^a`` with Nesterov's weights, ``a_i = min((t_i - 1) / t_(i+1), 0.9)``,
    ``t_(i+1) = (1 + sqrt(1 + 4 t_i²)) / 2``. Where the objective at the moved point is above that
    of the one before, the move is undone, an ordinary step is made, and the weights start anew.

    Without penalties, updates are bold: their exponent is 1 (the heuristic of [3]_) also where that
    which never raises the objective is smaller, below beta 1 and above 2. A bold step that turns
    out to have raised it is taken back, and an ordinary one is made in its place.

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
    .. [3] C. Févotte and J. Idier (2011), "Algorithms for nonnegative matrix factorization with
       the beta-divergence", Neural Computation 23(9), section 4.2: they observe that the heuristic
       descends; we look, because it need not.
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
        self._sure = self._bold = self._plain.exponents
        if not (problem.w_penalties or problem.h_penalties):
            self._bold = W.dtype.type(_BOLD), H.dtype.type(_BOLD)
        # Where the last loss was found, and where the next is looked for.
        self._point = self._tried = (W, H)
        if self._is_bold:
            self._point, self._tried = (W.copy(), H.copy()), (W.copy(), H.copy())

    @property
    def _is_bold(self) -> bool:
        return self._bold != self._sure

    def step(self, with_loss: bool = True) -> float:  # noqa: ARG002 - the guarantee needs it
        """Move on, update H, then W; return the objective at the moved point."""
        self._copy_to(self._start)
        if self._momentum > 0.0:
            self._move_on()
        loss = self._stepped(self._bold)
        if loss > self._last_loss and self._momentum > 0.0:
            loss = self._anew_from(self._start)
        if loss > self._last_loss and self._is_bold:
            loss = self._anew_from(self._point)
        self._before, self._start = self._start, self._before
        self._point, self._tried = self._tried, self._point
        self._last_loss = loss
        self._t, self._momentum = next_momentum(self._t)
        return loss

    def blind_step(self) -> None:
        """Move on, update H, then W, without a look at the objective, which takes its time.

        For a start: nothing is taken back, so the objective may rise.
        """
        self._copy_to(self._start)
        if self._momentum > 0.0:
            self._move_on()
        self._plain.exponents = self._bold
        self._plain.step(with_loss=False)
        self._before, self._start = self._start, self._before
        self._t, self._momentum = next_momentum(self._t)

    def loss(self) -> float:
        """The objective as it is now; a bold last step that raised it is taken back."""
        loss = self._plain.loss()
        if loss > self._last_loss and self._is_bold:
            self._anew_from(self._point)
            loss = self._plain.loss()
        return loss

    def _stepped(self, exponents: tuple[Any, Any]) -> float:
        """Step from here; return the objective as it was here."""
        if self._is_bold:
            self._copy_to(self._tried)
        self._plain.exponents = exponents
        return self._plain.step()

    def _anew_from(self, place: tuple[FloatArray, FloatArray]) -> float:
        """Go back to where it was lower, and make an ordinary step; weights start anew."""
        for (x, _), there in zip(self._factors, place, strict=True):
            np.copyto(x, there)
        self._t = 1.0
        return self._stepped(self._sure)

    def _copy_to(self, place: tuple[FloatArray, FloatArray]) -> None:
        for (x, _), here in zip(self._factors, place, strict=True):
            np.copyto(here, x)

    def _move_on(self) -> None:
        for (x, free), before in zip(self._factors, self._before, strict=True):
            dtype = x.dtype.type
            _EXTRAPOLATE(x, before, free, dtype(self._momentum), dtype(_WIDEST), self._floor)
        self._plain.hold_levels()
