"""What least-squares solvers share: products with the data, Gram matrices, the objective.

The squared Euclidean distance needs no model: with ``P = V Wᵀ, G = W Wᵀ`` the half-step of H is a
problem of K variables per frame, and ``½‖V - H W‖² = ½‖V‖² - ⟨P, H⟩ + ½⟨G, Hᵀ H⟩``. One iteration
is two products of V's size, against four for multiplicative updates.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from audiosep.nmf import least_squares_kernels as kernels
from audiosep.nmf.problem import Penalty, Problem
from audiosep.nmf.slabs import Slabs
from audiosep.types import FloatArray

__all__ = ["Data", "GramSolver", "Ridge", "Wide", "added", "gram", "inner"]

# Their arguments are checked by the compiler, not by the type checker.
inner: Any = kernels.inner
_HALF_SQUARE: Any = kernels.half_square

Wide = npt.NDArray[np.float64]
_T = TypeVar("_T")

_NAMES = ("L1", "L2")

_CANCELLED = {4: 5e-3, 8: 1e-6}
"""Below this share of ``½‖V‖²`` (by bytes of a number) the Gram form of the objective has lost
too many digits, and the residual is computed itself."""


def added(products: Iterable[FloatArray]) -> Wide:
    """Sum in double precision, in this order: the objective is a small difference of such sums."""
    total: Wide = reduce(np.add, (each.astype(np.float64, copy=False) for each in products))
    return total


@dataclass(frozen=True, eq=False)
class Data:
    """V (n_frames, n_bins) and how it is cut; sums over slabs are added in a fixed order."""

    V: FloatArray
    slabs: Slabs
    free_h: npt.NDArray[np.uint8]
    pool: ThreadPoolExecutor | None

    @classmethod
    def of(cls, problem: Problem, K: int) -> Data:
        """The data of `problem`, cut for K components."""
        n_frames, n_bins = problem.V.shape
        return cls(problem.V, Slabs.of(n_frames, n_bins, K), problem.free_h, problem.pool)

    def map(self, work: Callable[[slice], _T]) -> list[_T]:
        """Do `work(part)` for all slabs of frames; results in order."""
        return list(self.slabs.map(lambda _, part: work(part), self.pool))

    @cached_property
    def half_norm(self) -> float:
        """``½ ‖V‖²``."""
        return 0.5 * sum(self.map(lambda part: float(inner(self.V[part], self.V[part]))))

    def project(self, W: FloatArray) -> FloatArray:
        """``V Wᵀ`` (n_frames, n_components)."""
        return np.concatenate(self.map(lambda part: self.V[part] @ W.T))

    def collect(self, H: FloatArray) -> Wide:
        """``Hᵀ V`` (n_components, n_bins)."""
        return added(self.map(lambda part: H[part].T @ self.V[part]))

    def gram(self, H: FloatArray) -> Wide:
        """``Hᵀ H`` in double precision."""
        return added(self.map(lambda part: gram(H[part])))

    def free_part(self, part: slice) -> npt.NDArray[np.uint8]:
        """Which activations of these frames may move."""
        return self.free_h if len(self.free_h) == 1 else self.free_h[part]

    def residual(self, W: FloatArray, H: FloatArray) -> float:
        """``½ ‖V - H W‖²``, entry by entry."""
        return sum(self.map(lambda part: float(_HALF_SQUARE(self.V[part], H[part] @ W))))


@dataclass(frozen=True, eq=False)
class Ridge:
    """Per-component strengths of ``l1 Σ|x| + ½ l2 Σ x²`` for one factor."""

    l1: FloatArray
    l2: FloatArray

    @classmethod
    def of(
        cls, l1: npt.ArrayLike, l2: npt.ArrayLike, penalties: tuple[Penalty, ...], W: FloatArray
    ) -> Ridge:
        """Strengths for the rows of W: one for all or one for each, and those of penalties."""
        totals = [np.zeros(len(W)) + np.asarray(x, np.float64) for x in (l1, l2)]
        for penalty in penalties:
            # By name: this module need not know more of a penalty than its strength.
            totals[_NAMES.index(type(penalty).__name__)] += np.asarray(penalty.strength)  # type: ignore[attr-defined]
        return cls(*(total.astype(W.dtype) for total in totals))

    def value(self, X: FloatArray, axis: int) -> float:
        """The penalty of X, whose components lie across `axis`."""
        if not (self.l1.any() or self.l2.any()):
            return 0.0
        wide = X.astype(np.float64)
        squares = (wide * wide).sum(axis=axis)
        return float(self.l1 @ wide.sum(axis=axis) + 0.5 * (self.l2 @ squares))


def gram(X: FloatArray) -> Wide:
    """``Xᵀ X`` in double precision."""
    wide = X.astype(np.float64, copy=False)
    return wide.T @ wide


class GramSolver(ABC):
    """What all least-squares solvers share; they say how one factor moves.

    W and H must not be changed by others while a solver is in use: it remembers products.
    """

    def __init__(
        self,
        problem: Problem,
        W: FloatArray,
        H: FloatArray,
        *,
        w_l1: npt.ArrayLike = 0.0,
        w_l2: npt.ArrayLike = 0.0,
        h_l1: npt.ArrayLike = 0.0,
        h_l2: npt.ArrayLike = 0.0,
    ) -> None:
        self.W, self.H, self._problem = W, H, problem
        K = len(W)
        self._on_w = Ridge.of(w_l1, w_l2, problem.w_penalties, W)
        self._on_h = Ridge.of(h_l1, h_l2, problem.h_penalties, W)
        self._moves_w, self._moves_h = bool(problem.free_w.any()), bool(problem.free_h.any())
        self._data = Data.of(problem, K)
        # A factor at rest meets V once and for all.
        self._P = None if self._moves_w else self._data.project(W)
        self._Q = None if self._moves_h else self._data.collect(H)
        self._objective = self._measure()

    def _value(self, cross: float, S: Wide) -> float:
        """The objective from ``cross = ⟨V, H W⟩`` and ``S = Hᵀ H``."""
        half_norm = self._data.half_norm
        fit = half_norm - cross + 0.5 * float((gram(self.W.T) * S).sum())
        if fit < _CANCELLED[self.W.itemsize] * half_norm:
            fit = self._data.residual(self.W, self.H)
        return fit + self._on_w.value(self.W, 1) + self._on_h.value(self.H, 0)

    def _measure(self) -> float:
        """The objective, with one product with V."""
        if self._P is not None:
            cross = inner(self._P, self.H)
        else:
            Q = self._data.collect(self.H) if self._Q is None else self._Q
            cross = inner(Q, self.W)
        return self._value(cross, self._data.gram(self.H))

    @abstractmethod
    def _move_h(self, H: FloatArray, P: FloatArray, G: Wide, free: npt.NDArray[np.uint8]) -> None:
        """Lower ``½⟨Hᵀ H, G⟩ - ⟨P, H⟩ + penalties`` over some frames of H, in place."""

    @abstractmethod
    def _move_w(self, Q: Wide, S: Wide) -> None:
        """Lower ``½⟨S, W Wᵀ⟩ - ⟨Q, W⟩ + penalties`` over W, in place."""

    def _update(self) -> float:
        """Move H, then W; return the objective afterwards."""
        data, W, H = self._data, self.W, self.H
        G = gram(W.T)
        empty = np.empty((0, 0), H.dtype)

        def work(part: slice) -> tuple[FloatArray, Wide, float]:
            # Both products with a slab follow each other while it is near.
            v, h = data.V[part], H[part]
            cross = 0.0
            if self._moves_h:
                P = v @ W.T if self._P is None else self._P[part]
                self._move_h(h, P, G, data.free_part(part))
                cross = inner(P, h)
            wanted = self._moves_w and self._Q is None
            return (h.T @ v if wanted else empty), gram(h), cross

        results = data.map(work)
        S = added(each for _, each, _ in results)
        if not self._moves_w:
            # With nothing to move at all, the objective stays what it was.
            cross = sum(each for _, _, each in results)
            return self._value(cross, S) if self._moves_h else self._objective
        Q = added(each for each, _, _ in results) if self._Q is None else self._Q
        self._move_w(Q, S)
        return self._value(inner(Q, W), S)

    def step(self, with_loss: bool = True) -> float:  # noqa: ARG002 - it comes for nothing
        """Update H, then W; return the objective before the update."""
        before = self._objective
        self._objective = self._update()
        return before

    def loss(self) -> float:
        """The objective as it is now."""
        return self._objective
