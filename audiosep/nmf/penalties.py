"""What an objective may hold beside the divergence: terms that look at one factor.

Every class is a term P(X) of one factor X (n_components, n): templates (n_components, n_bins), or
activations (n_components, n_frames). Terms add up, and so do their gradients, in two parts,
``plus - minus``. Each comes with a proof that multiplicative updates never raise the objective: at
a point X it is bounded from above by a sum of powers of the ratios ``u = Y / X``, which touches it
at ``u = 1``. Four facts make all bounds below [1]_:

1. A product ``c y_1 ... y_d`` with c > 0 is at most ``c x_1 ... x_d (u_1^d + ... + u_d^d) / d``,
   because a geometric mean is not above the arithmetic one: it rises with the power d.
2. Its negative is at most ``-c x_1 ... x_d (1 + log u_1 + ... + log u_d)``, because
   ``-e^a <= -1 - a``: it falls with the power 0, the logarithm.
3. What is concave lies below its tangent: it rises with the power 1.
4. ``(u^p - 1) / p <= (u^q - 1) / q`` for p <= q: a rising term may be given a higher power, and a
   falling one a lower one, which is how terms of several powers share one update.

Sums over bins or frames are not divided by their number, like those of the divergence, so that a
strength means the same for short and long recordings. Factors are fitted to data of a mean near
one; strengths and floors refer to that level. A penalty of strength zero asks for no slower
updates: its powers are those of a linear term.

References
----------
.. [1] V. Y. F. Tan and C. Févotte (2013), "Automatic relevance determination in nonnegative matrix
   factorization with the beta-divergence", IEEE TPAMI 35(7).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt

from audiosep.errors import ParameterError
from audiosep.nmf.strengths import (
    StrengthPenalty,
    checked_floor,
    checked_groups,
    checked_target,
    energies,
    mixed,
    nothing,
)
from audiosep.types import FloatArray

__all__ = [
    "L1",
    "L2",
    "Decorrelation",
    "GroupSparsity",
    "Orthogonality",
    "Prior",
    "Relevance",
    "Smoothness",
    "StrengthPenalty",
]

_SMALLEST = 1e-16
"""Entries below this count as this where a logarithm or a quotient of them is taken; factors of
multiplicative updates are not below it, except for zeros that stay zeros."""


@dataclass(frozen=True, eq=False)
class L1(StrengthPenalty):
    """Sparsity: ``sum_k s_k sum_t x_kt``.

    Linear, so that it is its own bound: rises 1, falls 1.

    Parameters
    ----------
    strength : float >= 0 or array_like [shape=(n_components,)]
        One for all components or one for each.

    Raises
    ------
    ParameterError
        If a strength is negative, not finite or no number.

    References
    ----------
    .. [1] P. O. Hoyer (2002), "Non-negative sparse coding", IEEE NNSP.
    .. [2] J. Eggert and E. Körner (2004), "Sparse coding and NMF", IJCNN: they show that the other
       factor must be normalised, or the scale moves there and the penalty is void.
    """

    strength: float | npt.ArrayLike

    def value(self, X: FloatArray) -> float:
        """The penalty, with its strength."""
        return self._total(X.sum(axis=1, dtype=np.float64))

    def gradient(self, X: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Non-negative parts ``(plus, minus)`` of the gradient, each broadcastable to X."""
        return self._column(X), nothing(X)


@dataclass(frozen=True, eq=False)
class L2(StrengthPenalty):
    """Small energy: ``1/2 sum_k s_k ||x_k||²``.

    A sum of squares ``x² u² / 2``, so that it is its own bound: rises 2, falls 1.

    Parameters
    ----------
    strength : float >= 0 or array_like [shape=(n_components,)]
        One for all components or one for each.

    Raises
    ------
    ParameterError
        If a strength is negative, not finite or no number.

    References
    ----------
    .. [1] V. P. Pauca, J. Piper and R. J. Plemmons (2006), "Nonnegative matrix factorization for
       spectral data analysis", Linear Algebra and its Applications 416(1).
    """

    strength: float | npt.ArrayLike
    _powers: ClassVar[tuple[float, float]] = (2.0, 1.0)

    def value(self, X: FloatArray) -> float:
        """The penalty, with its strength."""
        return 0.5 * self._total(energies(X))

    def gradient(self, X: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Non-negative parts ``(plus, minus)`` of the gradient, each broadcastable to X."""
        return X * self._column(X), nothing(X)


@dataclass(frozen=True, eq=False)
class Smoothness(StrengthPenalty):
    """Continuity along a row: ``1/2 sum_k s_k sum_t (x_kt - x_k,t-1)²``.

    The squares rise with power 2, the products ``-x_t x_t-1`` of neighbours fall with power 0.

    Parameters
    ----------
    strength : float >= 0 or array_like [shape=(n_components,)]
        One for all components or one for each.

    Raises
    ------
    ParameterError
        If a strength is negative, not finite or no number.

    References
    ----------
    .. [1] T. Virtanen (2007), "Monaural sound source separation by nonnegative matrix
       factorization with temporal continuity and sparseness criteria", IEEE TASLP 15(3). He
       divides by the energy of the row, which has no such bound; we do not, as [2]_.
    .. [2] S. Essid and C. Févotte (2013), "Smooth nonnegative matrix factorization for
       unsupervised audiovisual document structuring", IEEE Trans. Multimedia 15(2).
    """

    strength: float | npt.ArrayLike
    _powers: ClassVar[tuple[float, float]] = (2.0, 0.0)

    def value(self, X: FloatArray) -> float:
        """The penalty, with its strength."""
        return 0.5 * self._total(energies(np.diff(X, axis=1)))

    def gradient(self, X: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Non-negative parts ``(plus, minus)`` of the gradient, each broadcastable to X."""
        strength = self._column(X)
        plus = X * strength
        plus[:, 1:-1] *= X.dtype.type(2)  # the ends have one neighbour, the rest have two
        minus = np.zeros_like(X)
        minus[:, 1:] = X[:, :-1]
        minus[:, :-1] += X[:, 1:]
        minus *= strength
        if X.shape[1] == 1:
            plus[...] = 0.0
        return plus, minus


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


@dataclass(frozen=True, eq=False)
class Prior(StrengthPenalty):
    """Rows near a target: ``sum_k s_k sum_t (t log(t / x) - t + x)``, t the target's entry.

    The Kullback-Leibler divergence of the target from X, linear and logarithmic, so that it is its
    own bound: rises 1, falls 0. Zeros of the target pull to zero linearly.

    Parameters
    ----------
    target : array_like [shape=(n_components, n)]
        Finite and non-negative.
    strength : float >= 0 or array_like [shape=(n_components,)]
        One for all components or one for each; zero leaves a component free.

    Raises
    ------
    ParameterError
        If a strength is negative, not finite or no number, or the target is no finite non-negative
        matrix.

    References
    ----------
    .. [1] A. T. Cemgil (2009), "Bayesian inference for nonnegative matrix factorisation models",
       Computational Intelligence and Neuroscience: Gamma priors on the factors. Up to constants
       this is the one of shape ``1 + s t`` and rate ``s``, whose mode is the target.
    .. [2] C. Dittmar and D. Gärtner (2014), "Real-time transcription and separation of drum
       recordings based on NMF decomposition", DAFx: templates that move away
       from given ones little by little, there by blending.
    """

    target: npt.ArrayLike
    strength: float | npt.ArrayLike
    _powers: ClassVar[tuple[float, float]] = (1.0, 0.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "target", checked_target(self.target))

    def check(self, K: int, n: int, what: str) -> None:
        """Say what does not fit a factor; see :meth:`StrengthPenalty.check`."""
        got = np.shape(self.target)
        if got != (K, n):
            raise ParameterError(
                f"target of Prior on the {what} has shape {got}, expected {(K, n)}; strength 0 "
                "leaves a component free."
            )
        super().check(K, n, what)

    def in_units(self, unit: float) -> Self:
        """Return the same penalty for a factor that was divided by `unit`."""
        target = np.asarray(self.target)
        return replace(self, target=target / np.asarray(unit, target.dtype))

    def value(self, X: FloatArray) -> float:
        """The penalty, with its strength."""
        x = X.astype(np.float64, copy=False)
        t = np.asarray(self.target, order="F" if X.flags.f_contiguous else "C")
        quotients = t / np.maximum(x, _SMALLEST)
        np.log(quotients, out=quotients, where=quotients > 0)
        return self._total(np.sum(t * quotients - t + x, axis=1))

    def gradient(self, X: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Non-negative parts ``(plus, minus)`` of the gradient, each broadcastable to X."""
        strength = self._column(X)
        minus = np.maximum(X, X.dtype.type(_SMALLEST))
        np.divide(self.target, minus, out=minus, casting="same_kind")
        minus *= strength
        return strength, minus
