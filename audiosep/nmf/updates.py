"""Multiplicative updates over a whole matrix, on one or many threads."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from audiosep.nmf import kernels
from audiosep.nmf.divergence import mm_powers
from audiosep.nmf.panels import Panels
from audiosep.nmf.problem import Penalty, Problem
from audiosep.nmf.slab_kernels import slab_step
from audiosep.nmf.slabs import Slabs
from audiosep.nmf.statistics import KINDS
from audiosep.types import FloatArray

__all__ = ["GramUpdate", "MultiplicativeUpdate", "multiplicative"]

# Their arguments are checked by the compiler, not by the type checker.
_SLAB_STEP: Any = slab_step
_MULTIPLY: Any = kernels.multiply
_MULTIPLY_FRAMES: Any = kernels.multiply_frames

_NEARLY_EXACT = 1e-4
"""Below this part of the data's energy the Gram form's difference of sums says too little."""


def exponent_of(beta: float, penalties: tuple[Penalty, ...], through_norm: bool = False) -> float:
    """Exponent with which an update of one factor never raises divergence plus penalties.

    All terms are bounded by powers of the ratios of new to old entries; the exponent is one over
    the distance between the highest rising and the lowest falling power. Tan & Févotte (2013),
    "Automatic relevance determination in nonnegative matrix factorization with the
    beta-divergence", IEEE TPAMI 35(7). `through_norm`: whether a penalty sees this factor through
    the norms of its components.
    """
    rises, falls = mm_powers(beta)
    if through_norm:
        rises = max(rises, 2.0)  # a Euclidean norm is bounded by a square
    rises = max([rises, *(p.rises for p in penalties)])
    falls = min([falls, *(p.falls for p in penalties)])
    return 1.0 / (rises - falls)


def parts_of(penalties: tuple[Penalty, ...], X: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Sums of the rising and of the falling parts of gradients, broadcastable to X."""
    plus, minus = np.zeros((1, 1), X.dtype), np.zeros((1, 1), X.dtype)
    for penalty in penalties:
        rising, falling = penalty.gradient(X)
        plus, minus = plus + rising, minus + falling
    return plus, minus


class MultiplicativeUpdate:
    """Multiplicative updates of ``V ≈ H W`` (frames-major), in place: H first, then W.

    The objective never rises. Where one factor is penalised and the other is not, the components
    of the other are held at a Euclidean norm (W) or root mean square (H) of one, or the level
    would move there and the penalty would be void. The penalty then sees the product's level, so
    that both factors answer to it: Le Roux, Hershey & Weninger (2015), "Sparse NMF: half-baked or
    well done?", MERL TR2015-023, show why normalising alone is not enough. (Held at a sum of one,
    an L1 penalty would only lower the level of all of a Kullback-Leibler factorization.)

    Parameters
    ----------
    problem : Problem
        What is factorized.
    W : np.ndarray [shape=(n_components, n_bins)]
        Changed by :meth:`step`.
    H : np.ndarray [shape=(n_frames, n_components)]
        Changed by :meth:`step`.

    Attributes
    ----------
    exponents : tuple of float
        Those of the updates of W and H. With others than those set the objective may rise.

    References
    ----------
    .. [1] D. D. Lee and H. S. Seung (2001), "Algorithms for non-negative matrix factorization",
       NIPS 13.
    .. [2] C. Févotte and J. Idier (2011), "Algorithms for nonnegative matrix factorization with
       the beta-divergence", Neural Computation 23(9), eqs. 4.7-4.9.
    """

    def __init__(self, problem: Problem, W: FloatArray, H: FloatArray) -> None:
        self._problem, self.W, self.H = problem, W, H
        V = problem.V
        self._dtype = V.dtype
        self._updates_w = bool(problem.free_w.any())
        self._updates_h = bool(problem.free_h.any())
        both = problem.w_penalties + problem.h_penalties
        for_h = both if problem.held == "h" else problem.h_penalties
        for_w = both if problem.held == "w" else problem.w_penalties
        held = problem.held
        self.exponents = (
            self._dtype.type(exponent_of(problem.beta, for_w, held == "w")),
            self._dtype.type(exponent_of(problem.beta, for_h, held == "h")),
        )
        self._floor = self._dtype.type(kernels.FACTOR_FLOOR)
        # Levels can move between factors where nothing is fixed.
        self._held: npt.NDArray[np.bool_] = np.logical_and(
            problem.free_w.all(axis=1), problem.free_h.all(axis=0)
        )
        self._slabs = Slabs.of(V.shape[0], V.shape[1], len(W))
        self._panels = Panels(
            len(W),
            V.shape[1],
            V.dtype,
            len(self._slabs.parts),
            same_below=problem.beta == 1.0 and problem.weights is None,
        )
        self.hold_levels()

    def step(self, with_loss: bool = True) -> float:
        """Make one iteration; return the objective before it, or NaN if it is not wanted."""
        loss = self._penalty() if with_loss else math.nan
        plus, minus = self._parts_h()
        divergence, B, E = self._pass(plus, minus, with_loss)
        if self._problem.held == "h":
            # The penalty of W is meant for activations at one; sums with them follow their level.
            levels = self.hold_levels()[:, np.newaxis]
            B, E = B / levels, E / levels
        if self._updates_w:
            self._move_w(B, E)
        self.hold_levels()
        return loss + divergence

    def loss(self) -> float:
        """The objective as it is now."""
        nothing = np.empty((0, len(self.W)), self._dtype)
        self._panels.fill(self.W)
        divergence = self._over_slabs(nothing, nothing, with_loss=True, moves=(False, False))
        return self._penalty() + divergence

    def hold_levels(self) -> FloatArray:
        """Move levels (n_components,) of the held factor into the other, and return them.

        The product, and so the objective, stays.
        """
        W, H = self.W, self.H
        levels = np.ones(len(W))
        if self._problem.held == "w":
            levels = np.sqrt(np.einsum("kf,kf->k", W, W, dtype=np.float64))
        elif self._problem.held == "h":
            levels = np.sqrt(np.einsum("nk,nk->k", H, H, dtype=np.float64) / len(H))
        else:
            return levels.astype(self._dtype)
        moved: FloatArray = np.where(self._held & (levels > 0.0), levels, 1.0).astype(self._dtype)
        if self._problem.held == "w":
            W /= moved[:, np.newaxis]
            H *= moved
        else:
            W *= moved[:, np.newaxis]
            H /= moved
        return moved

    def _pass(
        self, plus: FloatArray, minus: FloatArray, with_loss: bool
    ) -> tuple[float, FloatArray, FloatArray]:
        """Update H; return the divergence before, and the sums Hᵀ R and Hᵀ Q that W needs."""
        panels, moves = self._panels, (self._updates_w, self._updates_h)
        panels.fill(self.W)
        loss = self._over_slabs(plus, minus, with_loss, moves)
        return loss, *panels.sums()

    def _over_slabs(
        self, plus: FloatArray, minus: FloatArray, with_loss: bool, moves: tuple[bool, bool]
    ) -> float:
        problem, panels = self._problem, self._panels
        V, G = problem.V, problem.weights
        kind = KINDS.get(problem.beta, kernels.GENERAL)
        unweighted = np.zeros((1, 1), V.dtype)

        def work(index: int, part: slice) -> float:
            loss: float = _SLAB_STEP(
                V[part],
                unweighted if G is None else G[part],
                G is not None,
                panels.rows,
                panels.columns,
                panels.totals,
                self.H[part],
                kind,
                problem.beta,
                self.exponents[1],
                _rows(problem.free_h, part),
                _rows(plus, part),
                _rows(minus, part),
                with_loss,
                moves,
                panels.above[index],
                panels.below[index],
            )
            return loss

        divergence: float = sum(self._slabs.map(work, problem.pool))
        return divergence

    def _parts_h(self) -> tuple[FloatArray, FloatArray]:
        """Parts of the penalties' gradient for H, frames-major; empty where there is none."""
        problem, K = self._problem, len(self.W)
        plus, minus = parts_of(problem.h_penalties, self.H.T)
        if problem.held == "h":
            share = self._held[:, np.newaxis] / np.float64(len(self.H))
            up, down = parts_of(problem.w_penalties, self.W)
            plus = plus + self._level_part(up, self.W, share) * self.H.T
            minus = minus + self._level_part(down, self.W, share) * self.H.T
        elif not problem.h_penalties:
            return np.empty((0, K), self._dtype), np.empty((0, K), self._dtype)
        return _frames_major(plus, K), _frames_major(minus, K)

    def _move_w(self, above: FloatArray, below: FloatArray) -> None:
        problem = self._problem
        plus, minus = parts_of(problem.w_penalties, self.W)
        if problem.held == "w":
            share = self._held[:, np.newaxis].astype(np.float64)
            up, down = parts_of(problem.h_penalties, self.H.T)
            plus = plus + self._level_part(up, self.H.T, share) * self.W
            minus = minus + self._level_part(down, self.H.T, share) * self.W
        # Zero leaves an entry as it is.
        below = np.where(problem.free_w != 0, below + plus, self._dtype.type(0))
        _MULTIPLY(self.W, above + minus, below, self.exponents[0], self._floor)

    def _level_part(
        self, part: FloatArray, X: FloatArray, share: npt.NDArray[np.float64]
    ) -> FloatArray:
        """What a penalty of X says to the level of its components, as a column (K, 1)."""
        sums = (part * X).sum(axis=1, keepdims=True, dtype=np.float64)
        column: FloatArray = (sums * share).astype(self._dtype)
        return column

    def _penalty(self) -> float:
        problem = self._problem
        return sum(p.value(self.W) for p in problem.w_penalties) + sum(
            p.value(self.H.T) for p in problem.h_penalties
        )


class GramUpdate(MultiplicativeUpdate):
    """The same for the squared Euclidean distance without weights.

    ``Q Wᵀ = H (W Wᵀ)`` and ``Hᵀ Q = (Hᵀ H) W``: the model is never computed, which halves the work.
    """

    def __init__(self, problem: Problem, W: FloatArray, H: FloatArray) -> None:
        super().__init__(problem, W, H)
        V = problem.V
        self._energy = 0.5 * sum(float(np.vdot(V[part], V[part])) for part in self._slabs.parts)
        self._nearly_exact = False

    def loss(self) -> float:
        """The objective as it is now."""
        if self._nearly_exact:
            return super().loss()
        WW = self.W @ self.W.T

        def work(_: int, part: slice) -> float:
            return self._loss_of(self.H[part], self._problem.V[part] @ self.W.T, WW)

        return self._penalty() + self._total(self._slabs.map(work, self._problem.pool))

    def _pass(
        self, plus: FloatArray, minus: FloatArray, with_loss: bool
    ) -> tuple[float, FloatArray, FloatArray]:
        problem, W = self._problem, self.W
        WW = W @ W.T
        B = np.empty((len(self._slabs.parts), *W.shape), W.dtype)
        # Close to a perfect fit the loss is a small difference of large sums: not from these.
        directly = with_loss and self._nearly_exact
        loss = self.loss() - self._penalty() if directly else 0.0

        def work(index: int, part: slice) -> tuple[float, FloatArray]:
            v, h = problem.V[part], self.H[part]
            A = v @ W.T
            loss = self._loss_of(h, A, WW) if with_loss else 0.0
            if self._updates_h:
                _MULTIPLY_FRAMES(
                    h,
                    A,
                    h @ WW,
                    _rows(problem.free_h, part),
                    _rows(plus, part),
                    _rows(minus, part),
                    self.exponents[1],
                    self._floor,
                )
            np.dot(h.T, v, out=B[index])
            return loss, h.T @ h

        done = list(self._slabs.map(work, problem.pool))
        if with_loss and not directly:
            loss = self._total(each for each, _ in done)
            self._nearly_exact = loss < 2.0 * _NEARLY_EXACT * self._energy
        HH = np.sum([each for _, each in done], axis=0, dtype=np.float64).astype(W.dtype)
        return loss, B.sum(axis=0), HH @ W

    def _loss_of(self, h: FloatArray, A: FloatArray, WW: FloatArray) -> float:
        """Loss of some frames without the energy of the data: ``<h, h WW / 2 - A>``."""
        return float(np.einsum("ij,ij->", h, 0.5 * (h @ WW) - A, dtype=np.float64))

    def _total(self, losses: Iterable[float]) -> float:
        return max(self._energy + sum(losses), 0.0)


def multiplicative(problem: Problem, W: FloatArray, H: FloatArray) -> MultiplicativeUpdate:
    """Return the form of the updates that fits the problem."""
    gram = problem.beta == 2.0 and problem.weights is None
    return (GramUpdate if gram else MultiplicativeUpdate)(problem, W, H)


def _rows(X: Any, part: slice) -> Any:
    """Rows of a slab, where one row, or none, does not stand for all."""
    return X[part] if len(X) > 1 else X


def _frames_major(part: FloatArray, K: int) -> FloatArray:
    """Part of a gradient (K or 1, n or 1) as (n or 1, K)."""
    return np.array(np.broadcast_to(part, (K, part.shape[1])).T, order="C")
