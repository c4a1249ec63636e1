"""Least-squares factorization from Gram matrices: the data is only met in matrix products.

An iteration is two products of V's size, against four for multiplicative updates; what is done
between them costs K² per frame and bin, so that it pays to do it well.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from audiosep.nmf import least_squares_kernels as kernels
from audiosep.nmf.gram import GramSolver, Ridge, Wide, gram, inner
from audiosep.nmf.problem import Problem
from audiosep.types import FloatArray

__all__ = ["HALS", "AcceleratedHALS", "AlternatingLeastSquares", "ProjectedGradient"]

# Their arguments are checked by the compiler, not by the type checker.
_DESCEND_COLUMNS: Any = kernels.descend_columns
_DESCEND_ROWS: Any = kernels.descend_rows
_PIVOT_ROWS: Any = kernels.pivot_rows

_Flags = npt.NDArray[np.uint8]

_SWEEPS = 2
"""Sweeps of coordinate descent for each product with V: that product costs far more."""

_VANISHED = 1e6
"""Curvatures below this many smallest normal numbers are those of components that vanished."""


class HALS(GramSolver):
    """Hierarchical alternating least squares: coordinate descent, one component after another.

    With all other components held, the best activation of component k is
    ``h_k = max(0, (P_k - l1 - Σ_{m≠k} G_km h_m) / (G_kk + l2))`` with ``P = V Wᵀ, G = W Wᵀ``; all
    components follow one another, then the templates alike. Each move is an exact minimum, so
    that losses never rise.

    Parameters
    ----------
    problem : Problem
        beta 2, no weights, nothing held.
    W : np.ndarray [shape=(n_components, n_bins)]
        Changed by :meth:`step`, and by nobody else as long as the solver is in use.
    H : np.ndarray [shape=(n_frames, n_components)]
        As W.
    w_l1, w_l2, h_l1, h_l2 : float or array_like [shape=(n_components,)]
        Strengths of the penalties ``l1 Σ|x| + ½ l2 Σ x²`` of templates and activations, >= 0, in
        addition to the problem's, of which there may be `L1` and `L2`.

    References
    ----------
    .. [1] A. Cichocki and A.-H. Phan (2009), "Fast local algorithms for large scale nonnegative
       matrix and tensor factorizations", IEICE Trans. Fundamentals E92-A(3).
    .. [2] C.-J. Hsieh and I. S. Dhillon (2011), "Fast coordinate descent methods with variable
       selection for non-negative matrix factorization", KDD: the same steps by entries.
    .. [3] N. Gillis and F. Glineur (2012), "Accelerated multiplicative updates and hierarchical
       ALS algorithms for nonnegative matrix factorization", Neural Computation 24(4): several
       sweeps for each product with V. We always make two. A component that vanished (curvature
       zero) is left as it is, so that its partner can still bring it back, unless it is penalised:
       then it becomes zero.
    """

    def _move_h(self, H: FloatArray, P: FloatArray, G: Wide, free: _Flags) -> None:
        _DESCEND_ROWS(H, P, *self._terms(G, self._on_h), free, _SWEEPS, self._least())

    def _move_w(self, Q: Wide, S: Wide) -> None:
        terms = self._terms(S, self._on_w)
        _DESCEND_COLUMNS(
            self.W, Q.astype(self.W.dtype), *terms, self._problem.free_w, _SWEEPS, self._least()
        )

    def _terms(self, G: Wide, ridge: Ridge) -> tuple[FloatArray, FloatArray, FloatArray]:
        return G.astype(self.W.dtype), ridge.l1, ridge.l2

    def _least(self) -> Any:
        dtype = self.W.dtype
        return dtype.type(np.finfo(dtype).tiny * _VANISHED)


_SAMPLED = 8
_SAMPLE_STEPS = 50
"""The first templates are fitted to one frame of eight, which costs as much as six steps."""
_FRAMES_PER_COMPONENT = 32
"""A sample has at least so many frames for each component."""

_GROWTH, _BOUND_GROWTH, _DECAY = 1.05, 1.01, 1.5
_FIRST_WEIGHT = 0.5


class AcceleratedHALS(HALS):
    """HALS from extrapolated points, after a start on a sample of the frames.

    Each step first moves on the way it came, ``max(0, X + a (X - X_before))``, and descends from
    there. Where that ends above the objective before the step, it is forgotten, an ordinary step
    is made, and the weight a is lowered. The very first step begins by fitting the templates to
    every eighth frame (one at random of each eight) and the activations to them, where there are
    enough frames and both factors move; this too is forgotten unless it lowers the objective. So
    losses never rise.

    Parameters
    ----------
    problem, W, H, w_l1, w_l2, h_l1, h_l2
        As for :class:`HALS`.

    References
    ----------
    .. [1] A. M. S. Ang and N. Gillis (2019), "Accelerating nonnegative matrix factorization
       algorithms using extrapolation", Neural Computation 31(2): how the weight grows and falls.
       They extrapolate one factor between the half-steps and go on from a point that failed; we
       extrapolate both before a step and return to the better point.
    """

    def __init__(self, problem: Problem, W: FloatArray, H: FloatArray, **penalties: Any) -> None:
        super().__init__(problem, W, H, **penalties)
        self._every = self._sampling()
        self._weight, self._bound = _FIRST_WEIGHT, 1.0
        self._before: tuple[FloatArray, FloatArray] | None = None

    def _sampling(self) -> int:
        """One frame of how many makes the sample; 1 for none."""
        if not (self._moves_w and self._moves_h):
            return 1
        n_frames = len(self.H)
        return max(1, min(_SAMPLED, n_frames // (_FRAMES_PER_COMPONENT * len(self.W))))

    def step(self, with_loss: bool = True) -> float:  # noqa: ARG002 - it comes for nothing
        """Extrapolate, update H, then W; return the objective before."""
        objective = self._objective
        if self._every > 1:
            self._start_on_sample()
            self._every = 1
        here = self.W.copy(), self.H.copy()
        if self._before is not None:
            self._extrapolate(*self._before)
            reached = self._update()
            if reached <= self._objective:
                self._bound = min(1.0, _BOUND_GROWTH * self._bound)
                self._weight = min(self._bound, _GROWTH * self._weight)
                self._objective, self._before = reached, here
                return objective
            self.W[...], self.H[...] = here
            self._bound = self._weight
            self._weight /= _DECAY
        self._objective, self._before = self._update(), here
        return objective

    def _extrapolate(self, W_before: FloatArray, H_before: FloatArray) -> None:
        problem = self._problem
        for X, before, free, name in (
            (self.W, W_before, problem.free_w, "w"),
            (self.H, H_before, problem.free_h, "h"),
        ):
            if problem.held != name:  # the sum of what is held must stay
                moved = X + X.dtype.type(self._weight) * (X - before)
                np.copyto(X, np.maximum(moved, 0), where=free != 0)

    def _start_on_sample(self) -> None:
        every, problem = self._every, self._problem
        rng = np.random.default_rng(0)
        firsts = np.arange(0, len(self.H) - every + 1, every)
        frames = firsts + rng.integers(0, every, len(firsts))
        sample = replace(
            problem,
            V=problem.V[frames],
            w_penalties=(),  # given below
            h_penalties=(),
            free_h=problem.free_h if len(problem.free_h) == 1 else problem.free_h[frames],
        )
        share = len(frames) / len(self.H)
        W, H = self.W.copy(), self.H.copy()
        solver = AcceleratedHALS(
            sample,
            self.W,
            self.H[frames],
            # The sample holds a share of the divergence, so of the penalty as well.
            w_l1=self._on_w.l1 * share,
            w_l2=self._on_w.l2 * share,
            h_l1=self._on_h.l1,
            h_l2=self._on_h.l2,
        )
        solver._every = 1
        for _ in range(_SAMPLE_STEPS):
            solver.step()
        self.H[frames] = solver.H
        P, G = self._data.project(self.W), gram(self.W.T)

        def fit(part: slice) -> None:
            for _ in range(4):
                self._move_h(self.H[part], P[part], G, self._data.free_part(part))

        self._data.map(fit)
        reached = self._value(inner(P, self.H), self._data.gram(self.H))
        if reached <= self._objective:
            self._objective = reached
        else:
            self.W[...], self.H[...] = W, H


class AlternatingLeastSquares(GramSolver):
    """Alternating non-negative least squares, each half-step solved exactly.

    The activations of each frame are the minimiser over non-negative numbers, found by block
    principal pivoting, and then the templates alike; so losses never rise, unlike with the
    popular unconstrained solution cut at zero.

    Parameters
    ----------
    problem, W, H, w_l1, w_l2, h_l1, h_l2
        As for :class:`HALS`.

    References
    ----------
    .. [1] J. Kim and H. Park (2011), "Fast nonnegative matrix factorization: an active-set-like
       method and comparisons", SIAM J. Scientific Computing 33(6). We start from the signs of the
       last solution, factorize one system for neighbouring frames that share their signs rather
       than sorting all frames by them, and add ``½ε‖x - x_before‖²`` with ε = 1e-9 of the mean
       curvature, which keeps systems regular where components are linearly dependent.
    """

    def _move_h(self, H: FloatArray, P: FloatArray, G: Wide, free: _Flags) -> None:
        self._pivot(H, P, G, self._on_h, free)

    def _move_w(self, Q: Wide, S: Wide) -> None:
        turned = np.ascontiguousarray(self.W.T)
        free = np.ascontiguousarray(self._problem.free_w.T)
        self._pivot(turned, np.ascontiguousarray(Q.T), S, self._on_w, free)
        self.W[...] = turned.T

    @staticmethod
    def _pivot(X: FloatArray, P: FloatArray, G: Wide, ridge: Ridge, free: _Flags) -> None:
        A = G + np.diag(ridge.l2.astype(np.float64))
        near = 1e-9 * float(np.trace(A)) / len(A)
        if near > 0.0:
            _PIVOT_ROWS(X, P - ridge.l1, A, free, near)
        else:
            _settle(X, P, ridge, free)


def _settle(X: FloatArray, P: FloatArray, ridge: Ridge, free: _Flags) -> None:
    """Where nothing curves the objective, only the penalty is left of it: it is lowest at zero."""
    np.copyto(X, 0, where=(free != 0) & (ridge.l1 > P))


_INNER_STEPS = 10
_SUFFICIENT = 0.01
_STRETCH = 10.0


class ProjectedGradient(GramSolver):
    """Projected gradient descent on each factor, with Armijo's rule along the projection arc.

    Each half-step makes up to 10 steps ``X <- max(0, X - a ∇)``. The step length starts at the
    inverse of the largest curvature, where it always lowers the objective enough, and is made ten
    times longer as long as that stays so: ``0.99 ⟨∇, d⟩ + ½⟨d, G d⟩ <= 0``, d the step. So losses
    never rise.

    Parameters
    ----------
    problem, W, H, w_l1, w_l2, h_l1, h_l2
        As for :class:`HALS`.

    References
    ----------
    .. [1] C.-J. Lin (2007), "Projected gradient methods for nonnegative matrix factorization",
       Neural Computation 19(10): eqs. 13 and 17. He starts from the last step length and stops a
       half-step by a tolerance; we start from one that is sure, by slabs of frames.
    """

    def _move_h(self, H: FloatArray, P: FloatArray, G: Wide, free: _Flags) -> None:
        _descend_along_arc(H, P, G, self._on_h, free)

    def _move_w(self, Q: Wide, S: Wide) -> None:
        _descend_along_arc(self.W.T, Q.T, S, self._on_w, self._problem.free_w.T)


def _descend_along_arc(X: FloatArray, P: FloatArray, G: Wide, ridge: Ridge, free: _Flags) -> None:
    """Projected gradient steps on the rows of X (n, K), in place."""
    A = G + np.diag(ridge.l2.astype(np.float64))
    curvature = float(np.linalg.eigvalsh(A)[-1])
    if not curvature > 0.0:
        _settle(X, P, ridge, free)
        return
    b = P.astype(np.float64) - ridge.l1
    x = X.astype(np.float64)
    for _ in range(_INNER_STEPS):
        slope = np.where(free != 0, x @ A - b, 0.0)
        length, best = 1.0 / curvature, x
        while True:
            moved = np.maximum(x - length * slope, 0.0)
            d = moved - x
            enough = (1.0 - _SUFFICIENT) * inner(slope, d) + 0.5 * inner(d @ A, d) <= 0.0
            if not enough or np.array_equal(moved, best):
                break
            best = moved
            length *= _STRETCH
        if best is x:
            break
        x = best
    X[...] = x
