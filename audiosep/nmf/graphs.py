"""Factorizations of a symmetric matrix by itself: graphs, self-similarity matrices, clusters."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from audiosep.errors import ParameterError
from audiosep.nmf.checks import generator, plain_array, tolerance
from audiosep.nmf.divergence import beta_from
from audiosep.nmf.graph_updates import (
    State,
    Wide,
    sum_to_one,
    symmetric_euclidean,
    symmetric_kl,
    tri_euclidean,
    tri_kl,
)
from audiosep.nmf.levels import absolute
from audiosep.threads import one_blas_thread
from audiosep.types import FloatArray, Stop, whole_number

__all__ = ["GraphFactorization", "factorize_symmetric", "factorize_tri"]

_CHECK_EVERY = 10
"""Iterations between two looks at the tolerance: single steps can be deceptively small."""

_FARTHEST = 100
"""Starts so many powers of two away from the level of the data are brought to it: powers of them
would leave the range of numbers."""
_MOST_POWER = 1022

_ASYMMETRY = 1e-5
"""Differences across the diagonal up to this share of the largest entry are rounding (float32)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class GraphFactorization:
    """Result of factorizing a symmetric matrix.

    Parameters
    ----------
    memberships : np.ndarray [shape=(n, n_components)]
        H: how much each node belongs to each component. Columns sum to one where there are
        links; else they carry the level, ``A ≈ H Hᵀ``.
    links : np.ndarray [shape=(n_components, n_components)] or None
        S of ``A ≈ H S Hᵀ``, symmetric: the weight between (and within) components; None for
        ``A ≈ H Hᵀ``.
    losses : np.ndarray [shape=(n_iter + 1,), dtype=float64]
        Divergence before the first and after each iteration, summed over all entries of A.
    n_iter : int
        Iterations done.
    stop : Stop
        Why it ended.
    beta : float
        Which divergence.
    """

    memberships: FloatArray
    links: FloatArray | None
    losses: npt.NDArray[np.float64]
    n_iter: int
    stop: Stop
    beta: float

    def model(self) -> FloatArray:
        """``H Hᵀ`` or ``H S Hᵀ`` (n, n)."""
        H = self.memberships
        model: FloatArray = H @ H.T if self.links is None else H @ self.links @ H.T
        return model

    def labels(self) -> npt.NDArray[np.intp]:
        """The strongest component of each node (n,), with components brought to one level."""
        H = self.memberships.astype(np.float64)
        totals = H.sum(axis=0)
        # With links a column sums to one: what counts is its share of all weight.
        share = totals if self.links is None else self.links.sum(axis=1, dtype=np.float64)
        level = np.divide(share, totals, out=np.zeros_like(totals), where=totals > 0)
        strongest: npt.NDArray[np.intp] = np.argmax(H * level, axis=1)
        return strongest


def factorize_symmetric(
    A: npt.ArrayLike,
    n_components: int,
    *,
    beta: float | str = "euclidean",
    max_iter: int = 200,
    tol: float = 1e-4,
    seed: int | np.random.Generator = 0,
    start: npt.ArrayLike | None = None,
) -> GraphFactorization:
    """Factorize a symmetric non-negative matrix by one factor, ``A ≈ H Hᵀ``.

    Components are groups of nodes with much weight among themselves; a node may be in several.

    Parameters
    ----------
    A : array_like [shape=(n, n)]
        Symmetric, finite and non-negative: a graph's adjacency or a self-similarity matrix. The
        diagonal counts as any other entry. Never changed.
    n_components : int from 1 to n
        K.
    beta : {"euclidean", "kl"} or {2, 1}
        Squared Euclidean distance, or Kullback-Leibler divergence (counts, sparse graphs).
    max_iter : int >= 0
        Most iterations.
    tol : float >= 0
        Stop when the objective fell by less than ``tol`` times its first value during 10
        iterations; 0 does all iterations.
    seed : int or numpy.random.Generator
        Start of the random numbers; the same seed gives the same bytes.
    start : array_like [shape=(n, n_components)], optional
        H to start from, in place of random numbers. Entries that are zero stay zero.

    Returns
    -------
    GraphFactorization
        Computed in float64; memberships have A's type if that is float32.

    Raises
    ------
    ParameterError
        If `A` is not a symmetric non-negative matrix, or another argument does not fit it.

    Notes
    -----
    Euclidean: ``H <- H (A H / H Hᵀ H)^g``. With g = 1/4 the objective never rises, for any
    non-negative A [1]_. With g = 0.9 it mostly falls much further, without a proof; each iteration
    tries that first and takes 1/4 where it rose.

    Kullback-Leibler: with ``C_ik = H_ik Σ_j A_ij / (H Hᵀ)_ij H_jk``,
    ``H_ik <- C_ik / sqrt(Σ_i C_ik)``, the exact minimum of Jensen's bound, so it never rises
    either [3]_.

    References
    ----------
    .. [1] C. Ding, T. Li, W. Peng and H. Park (2006), "Orthogonal nonnegative matrix
       tri-factorizations for clustering", KDD; and F. Wang, T. Li, X. Wang, S. Zhu and C. Ding
       (2011), "Community discovery using nonnegative matrix factorization", Data Mining and
       Knowledge Discovery 22(3): the bound by fourth powers.
    .. [2] Z. He, S. Xie, R. Zdunek, G. Zhou and A. Cichocki (2011), "Symmetric nonnegative matrix
       factorization: algorithms and applications to probabilistic clustering", IEEE Trans. Neural
       Networks 22(12); D. Kuang, C. Ding and H. Park (2012), "Symmetric nonnegative matrix
       factorization for graph clustering", SDM.
    .. [3] B. Ball, B. Karrer and M. E. J. Newman (2011), "Efficient and principled method for
       detecting communities in networks", Physical Review E 84: 036103. They leave the diagonal
       out; we do not.

    Examples
    --------
    >>> import numpy as np
    >>> A = np.kron(np.eye(2), np.ones((3, 3)))  # two groups of three
    >>> labels = factorize_symmetric(A, 2).labels()
    >>> bool((labels[:3] == labels[0]).all() and (labels[3:] == 1 - labels[0]).all())
    True
    """
    task = _Task.of(A, n_components, beta, max_iter, tol, seed, start)
    if task.scale == 0.0:
        return task.silent(links=False)
    if task.start is None:
        H = task.random_memberships()
        H /= math.sqrt(task.n_components) * H.mean()  # the model then has the level of A
    else:
        H = _near(task.start, math.sqrt(task.scale))
    steps = symmetric_euclidean if task.beta == 2.0 else symmetric_kl
    H, _, losses, stop = task.run(steps(task.A, H))
    return task.result(H * math.sqrt(task.scale), None, losses, stop)


def factorize_tri(
    A: npt.ArrayLike,
    n_components: int,
    *,
    beta: float | str = "euclidean",
    max_iter: int = 200,
    tol: float = 1e-4,
    seed: int | np.random.Generator = 0,
    start: npt.ArrayLike | None = None,
) -> GraphFactorization:
    """Factorize a symmetric non-negative matrix by three factors, ``A ≈ H S Hᵀ``.

    Unlike in :func:`factorize_symmetric`, components may be linked with one another and need not be
    linked within (a bipartite graph; sections that alternate): S says how much.

    Parameters
    ----------
    A, n_components, beta, max_iter, tol, seed, start
        As for :func:`factorize_symmetric`.

    Returns
    -------
    GraphFactorization
        Memberships sum to one over the nodes, so that `links` are weights of A: their sum is
        nearly that of A (exactly, for Kullback-Leibler, after an iteration).

    Raises
    ------
    ParameterError
        If `A` is not a symmetric non-negative matrix, or another argument does not fit it.

    Notes
    -----
    Euclidean: ``S <- S (Hᵀ A H / Hᵀ H S Hᵀ H)``, then ``H <- H (A H S / H S Hᵀ H S)^g`` with g as
    for :func:`factorize_symmetric`. Kullback-Leibler: with ``R = A / (H S Hᵀ)``, both become the
    exact minimum of Jensen's bound: ``S ⊙ Hᵀ R H`` and ``H ⊙ R H S``, columns brought to sum
    one. Neither lets the objective rise.

    References
    ----------
    .. [1] C. Ding, T. Li, W. Peng and H. Park (2006), "Orthogonal nonnegative matrix
       tri-factorizations for clustering", KDD. We ask for no orthogonality.
    .. [2] F. Wang, T. Li, X. Wang, S. Zhu and C. Ding (2011), "Community discovery using
       nonnegative matrix factorization", Data Mining and Knowledge Discovery 22(3).

    Examples
    --------
    >>> import numpy as np
    >>> A = np.kron([[0.0, 1.0], [1.0, 0.0]], np.ones((3, 3)))  # linked across, not within
    >>> result = factorize_tri(A, 2, seed=1)
    >>> bool(np.allclose(result.model(), A, atol=0.05))
    True
    """
    task = _Task.of(A, n_components, beta, max_iter, tol, seed, start)
    if task.scale == 0.0:
        return task.silent(links=True)
    H = task.random_memberships() if task.start is None else _near(task.start, 1.0)
    H = sum_to_one(H)[0]
    # Links near the level of the data, a little uneven: even ones would be a saddle.
    S = 0.5 + task.rng.random((task.n_components, task.n_components))
    S = (S + S.T) * (task.A.sum() / (2.0 * task.n_components**2))
    steps = tri_euclidean if task.beta == 2.0 else tri_kl
    H, links, losses, stop = task.run(steps(task.A, H, S))
    H, totals = sum_to_one(H)
    links = S if links is None else links
    with np.errstate(over="ignore"):  # it is said there
        links = links * np.outer(totals, totals) * task.scale
    return task.result(H, links, losses, stop)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Task:
    """Checked arguments; A scaled to a mean near one, exactly symmetric."""

    A: Wide
    scale: float
    dtype: np.dtype[Any]
    n_components: int
    beta: float
    max_iter: int
    tol: float
    rng: np.random.Generator
    start: Wide | None

    @classmethod
    def of(
        cls,
        A: npt.ArrayLike,
        n_components: int,
        beta: float | str,
        max_iter: int,
        tol: float,
        seed: int | np.random.Generator,
        start: npt.ArrayLike | None,
    ) -> _Task:
        b = beta_from(beta)
        if b not in (1.0, 2.0):
            raise ParameterError(
                f"beta {beta!r} is not offered for symmetric factors; use euclidean or kl."
            )
        matrix, dtype = _matrix("A", A)
        n = len(matrix)
        if matrix.shape != (n, n):
            raise ParameterError(
                f"A has shape {matrix.shape}; give a square matrix, one row and column per node."
            )
        _demand_symmetry(matrix)
        K = whole_number("n_components", n_components, 1)
        if len(matrix) < K:
            raise ParameterError(
                f"n_components={K} is more than the {n} nodes of A; give at most {n}."
            )
        max_iter = whole_number("max_iter", max_iter, 0)
        tol = tolerance(tol)
        rng, _ = generator(seed)
        given = None
        if start is not None:
            given = _matrix("start", start)[0]
            if given.shape != (n, K):
                raise ParameterError(f"start has shape {given.shape}; expected {(n, K)}.")
        # The largest entry first: the sum of the matrix itself could overflow.
        largest = float(matrix.max())
        mean = float((matrix / largest).mean()) * largest if largest else 0.0
        # A power of four, so that its root is exact as well.
        power = 2 * round(math.log2(mean) / 2.0) if mean else 0
        scale = math.ldexp(1.0, min(power, _MOST_POWER)) if mean else 0.0
        if scale:
            matrix = matrix / scale
            matrix = 0.5 * (matrix + matrix.T)
        return cls(A=matrix, scale=scale, dtype=dtype, n_components=K, beta=b, max_iter=max_iter,
                   tol=tol, rng=rng, start=given)  # fmt: skip

    def random_memberships(self) -> Wide:
        """``0.1 + 0.9 U(0, 1)``."""
        return 0.1 + 0.9 * self.rng.random((len(self.A), self.n_components))

    def run(self, states: Iterator[State]) -> tuple[Wide, Wide | None, list[float], Stop]:
        """Go from state to state until the end; the last state and all losses."""
        losses: list[float] = []
        with one_blas_thread():
            while True:
                H, S, loss = next(states)
                losses.append(loss)
                if self._converged(losses):
                    return H, S, losses, Stop.CONVERGED
                if len(losses) > self.max_iter:
                    return H, S, losses, Stop.MAX_ITER

    def _converged(self, losses: list[float]) -> bool:
        n = len(losses) - 1
        if self.tol == 0.0 or n == 0 or n % _CHECK_EVERY:
            return False
        return losses[n - _CHECK_EVERY] - losses[n] < self.tol * losses[0]

    def result(
        self, H: Wide, S: Wide | None, losses: list[float], stop: Stop
    ) -> GraphFactorization:
        """In A's type, with losses in the unit of A."""
        if S is not None and not S.max() <= np.finfo(self.dtype).max:
            raise ParameterError(
                f"A is too large for its links, which are sums over it, to be {self.dtype.name}; "
                "divide it by its largest entry."
            )
        return GraphFactorization(
            memberships=H.astype(self.dtype),
            links=None if S is None else S.astype(self.dtype),
            losses=np.asarray(absolute(losses, self.scale, self.beta)),
            n_iter=len(losses) - 1,
            stop=stop,
            beta=self.beta,
        )

    def silent(self, *, links: bool) -> GraphFactorization:
        """The factors of a matrix of zeros."""
        K = self.n_components
        H = np.zeros((len(self.A), K))
        return self.result(H, np.zeros((K, K)) if links else None, [0.0], Stop.SILENT)


def _near(start: Wide, unit: float) -> Wide:
    """Return a start for data that were divided by the square of `unit`."""
    own, wanted = math.frexp(float(start.max()))[1], math.frexp(unit)[1]
    return np.ldexp(start, -own) if abs(own - wanted) > _FARTHEST else start / unit


def _matrix(name: str, value: npt.ArrayLike) -> tuple[Wide, np.dtype[Any]]:
    """A finite non-negative matrix in float64, and the type its result should have."""
    array = plain_array(name, value)
    if array.dtype.kind not in "biuf":
        raise ParameterError(f"{name} has dtype {array.dtype}; give a matrix of real numbers.")
    if array.ndim != 2 or array.size == 0:
        raise ParameterError(f"{name} has shape {array.shape}; expected a non-empty matrix.")
    dtype = np.dtype(np.float32 if array.dtype == np.float32 else np.float64)
    wide = array.astype(np.float64)
    good = np.isfinite(wide) & (wide >= 0)
    if not good.all():
        i, j = (int(k) for k in np.argwhere(~good)[0])
        raise ParameterError(
            f"{name}[{i}, {j}] is {wide[i, j]}; entries must be finite and non-negative."
        )
    return wide, dtype


def _demand_symmetry(A: Wide) -> None:
    gap = np.abs(A - A.T)
    if gap.max() > _ASYMMETRY * A.max():
        i, j = (int(k) for k in np.unravel_index(int(gap.argmax()), gap.shape))
        raise ParameterError(
            f"A is not symmetric: A[{i}, {j}] is {A[i, j]} but A[{j}, {i}] is {A[j, i]}; "
            "give (A + A.T) / 2 if the direction does not matter."
        )
