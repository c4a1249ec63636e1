"""Terms of the objective that look at whole components, at several of them together.

With the bounds of :mod:`audiosep.nmf.penalties`, where users find them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from audiosep.errors import ParameterError
from audiosep.nmf.strengths import StrengthPenalty, checked_floor, checked_groups, mixed, nothing
from audiosep.types import FloatArray

__all__ = ["Decorrelation", "GroupSparsity", "Orthogonality", "Relevance"]


@dataclass(frozen=True, eq=False)
class Orthogonality(StrengthPenalty):
    """Rows that do not overlap: ``sum_j<k sqrt(s_j s_k) <x_j, x_k>``.

    Products of two entries: rises 2, falls 1. It is zero where no two rows are positive at the
    same place, whatever their levels; it also pulls towards zero, so that the other factor should
    be held at a level.

    Parameters
    ----------
    strength : float >= 0 or array_like [shape=(n_components,)]
        One for all components or one for each; a pair has the geometric mean of its two.

    Raises
    ------
    ParameterError
        If a strength is negative, not finite or no number.

    References
    ----------
    .. [1] S. Z. Li, X. W. Hou, H. J. Zhang and Q. S. Cheng (2001), "Learning spatially localized,
       parts-based representation", CVPR: the same sum, as a part of their objective.
    .. [2] C. Ding, T. Li, W. Peng and H. Park (2006), "Orthogonal nonnegative matrix
       tri-factorizations for clustering", KDD.
    .. [3] S. Choi (2008), "Algorithms for orthogonal nonnegative matrix factorization", IJCNN: [2]_
       and they constrain the rows to be orthonormal; we penalise, and leave levels free.
    """

    strength: float | npt.ArrayLike
    _powers: ClassVar[tuple[float, float]] = (2.0, 1.0)

    def value(self, X: FloatArray) -> float:
        """The penalty, with its strength."""
        x = X.astype(np.float64, copy=False)
        return 0.5 * float(np.sum(self._pairs(len(X)) * (x @ x.T)))

    def gradient(self, X: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Non-negative parts ``(plus, minus)`` of the gradient, each broadcastable to X."""
        return mixed(self._pairs(len(X)), X), nothing(X)


@dataclass(frozen=True, eq=False)
class Decorrelation(StrengthPenalty):
    """Rows that do not vary together: ``n/2 sum_j<k sqrt(s_j s_k) cov(x_j, x_k)²``.

    ``cov(x_j, x_k) = p - q`` with ``p = <x_j, x_k> / n`` and ``q = mean(x_j) mean(x_k)``, so that
    unlike :class:`Orthogonality` it allows rows to sound together as long as they do not follow
    each other, and does not touch what is constant. In ``(p - q)² = p² + q² - 2 p q`` all are
    products of four entries: rises 4, falls 0. This is the slowest of all bounds, for the whole
    factor (exponent 1/4 at Kullback-Leibler). Not scale-free: it grows with the fourth power of the
    level, so that loud rows are decorrelated first, and the other factor should be held at a level.

    Parameters
    ----------
    strength : float >= 0 or array_like [shape=(n_components,)]
        One for all components or one for each; a pair has the geometric mean of its two.

    Raises
    ------
    ParameterError
        If a strength is negative, not finite or no number.

    References
    ----------
    .. [1] A. Cichocki, R. Zdunek, A. H. Phan and S. Amari (2009), "Nonnegative matrix and tensor
       factorizations", Wiley: penalties that make components uncorrelated or spatially distinct.
       Squared covariances and their bound are ours: the covariances themselves, summed, have no
       lowest value, and correlations have no such bound.
    """

    strength: float | npt.ArrayLike
    _powers: ClassVar[tuple[float, float]] = (4.0, 0.0)

    def value(self, X: FloatArray) -> float:
        """The penalty, with its strength."""
        n = X.shape[1]
        x = X - X.mean(axis=1, keepdims=True, dtype=np.float64)
        covariances = x @ x.T / n
        return float(0.25 * n * np.sum(self._pairs(len(X)) * covariances**2))

    def gradient(self, X: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Non-negative parts ``(plus, minus)`` of the gradient, each broadcastable to X."""
        x = X.astype(np.float64, copy=False)
        means = x.mean(axis=1)
        pairs = self._pairs(len(X))
        p = pairs * (x @ x.T) / X.shape[1]
        q = pairs * np.outer(means, means)
        plus = mixed(p, X)
        plus += (q @ means).astype(X.dtype)[:, np.newaxis]
        minus = mixed(q, X)
        minus += (p @ means).astype(X.dtype)[:, np.newaxis]
        return plus, minus


@dataclass(frozen=True, eq=False)
class GroupSparsity(StrengthPenalty):
    """Few groups of rows at a time: ``sum_t sum_g s_g size(x_gt)``, x_gt the entries of a group.

    With shape "l2" the size is ``||x_gt||_2``: ``||y|| <= (||y||² + ||x||²) / (2 ||x||)``, so that
    it rises 2, falls 1. With shape "log" it is ``log(1 + ||x_gt||_1 / floor)``, concave: rises 1,
    falls 1; it decides harder between groups, and has more local minima.

    Parameters
    ----------
    groups : sequence of sequences of int
        Components of each group, from 0. No component is in two groups; those in none are free.
    strength : float >= 0 or array_like [shape=(n_groups,)]
        One for all groups or one for each.
    shape : {"l2", "log"}
        Size of a group.
    floor : float [1e-12 to 1e12]
        Level, for data of a mean near one, below which a group counts as silent; for "log" only.

    Raises
    ------
    ParameterError
        If a strength is negative, not finite or no number, a group is empty, two groups share a
        component, or `shape` or `floor` cannot be.

    References
    ----------
    .. [1] M. Yuan and Y. Lin (2006), "Model selection and estimation in regression with grouped
       variables", J. Royal Statistical Society B 68(1). They weight a group with the root of its
       size; give such strengths where groups differ in size.
    .. [2] A. Lefèvre, F. Bach and C. Févotte (2011), "Itakura-Saito nonnegative matrix
       factorization with group sparsity", ICASSP: "log", there ``log(floor + ||x_gt||_1)``, which
       differs by a constant.
    """

    groups: tuple[tuple[int, ...], ...]
    strength: float | npt.ArrayLike
    shape: Literal["l2", "log"] = "l2"
    floor: float = 1e-2
    _each: ClassVar[str] = "group"

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "groups", checked_groups(self.groups))
        if self.shape not in ("l2", "log"):
            raise ParameterError(f"GroupSparsity has no shape {self.shape!r}; use l2 or log.")
        checked_floor("GroupSparsity", self.floor)
        self._check_strength(len(self.groups), "groups")

    @property
    def rises(self) -> float:
        """Highest power of the rising part: 2 for "l2", 1 for "log"."""
        return 2.0 if self.shape == "l2" and np.any(self.strength) else 1.0

    def check(self, K: int, n: int, what: str) -> None:  # noqa: ARG002 - like all others
        """Say what does not fit a factor; see :meth:`StrengthPenalty.check`."""
        highest = max(max(group) for group in self.groups)
        if highest >= K:
            raise ParameterError(
                f"groups of GroupSparsity on the {what} name component {highest}, but there are "
                f"only {K}, counted from 0."
            )

    def value(self, X: FloatArray) -> float:
        """The penalty, with its strength."""
        sizes = np.zeros(len(self.groups))
        for g, group in enumerate(self.groups):
            levels = self._levels(X[list(group)])
            sizes[g] = np.sum(levels if self.shape == "l2" else np.log1p(levels / self.floor))
        return self._total(sizes)

    def gradient(self, X: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Non-negative parts ``(plus, minus)`` of the gradient, each broadcastable to X."""
        plus = np.zeros_like(X)
        strengths = np.broadcast_to(np.asarray(self.strength), (len(self.groups),))
        for group, strength in zip(self.groups, strengths, strict=True):
            rows = list(group)
            entries = X[rows]
            levels = self._levels(entries)
            if self.shape == "log":
                plus[rows] = strength / (self.floor + levels)
            else:
                # Where all are zero, zero is one of the subgradients.
                plus[rows] = entries * (strength / np.where(levels > 0.0, levels, 1.0))
        return plus, nothing(X)

    def _levels(self, entries: FloatArray) -> npt.NDArray[np.float64]:
        """Norm (n,) of the entries of one group, in float64 because small ones are squared."""
        wide = entries.astype(np.float64, copy=False)
        levels: npt.NDArray[np.float64] = (
            np.sqrt(np.einsum("kn,kn->n", wide, wide)) if self.shape == "l2" else wide.sum(axis=0)
        )
        return levels


@dataclass(frozen=True, eq=False)
class Relevance(StrengthPenalty):
    """Few rows at all: ``n sum_k s_k log(1 + mean(x_k) / floor)``.

    Automatic relevance determination: rows whose mean is small are driven to zero as a whole, large
    ones are hardly touched. Concave: rises 1, falls 1.

    Parameters
    ----------
    strength : float >= 0 or array_like [shape=(n_components,)]
        One for all components or one for each.
    floor : float [1e-12 to 1e12]
        Mean, for data of a mean near one, below which a row counts as switched off.

    Raises
    ------
    ParameterError
        If a strength is negative, not finite or no number, or `floor` is not positive.

    References
    ----------
    .. [1] V. Y. F. Tan and C. Févotte (2013), "Automatic relevance determination in nonnegative
       matrix factorization with the beta-divergence", IEEE TPAMI 35(7): l1-ARD with
       the relevances put at their best values, ``c log(b + sum(w_k) + sum(h_k))``. We look at one
       factor, the other being held at a level, at its mean instead of its sum, and subtract a
       constant so that zero rows cost nothing.
    """

    strength: float | npt.ArrayLike
    floor: float = 1e-2

    def __post_init__(self) -> None:
        super().__post_init__()
        checked_floor("Relevance", self.floor)

    def value(self, X: FloatArray) -> float:
        """The penalty, with its strength."""
        means = X.mean(axis=1, dtype=np.float64)
        return self._total(np.log1p(means / self.floor)) * float(X.shape[1])

    def gradient(self, X: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Non-negative parts ``(plus, minus)`` of the gradient, each broadcastable to X."""
        means = X.mean(axis=1, dtype=np.float64)
        slopes = np.asarray(self.strength) / (self.floor + means)
        return slopes.astype(X.dtype)[:, np.newaxis], nothing(X)
