"""Several channels at once: each component has a template, activations, and a place."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from audiosep.errors import ParameterError
from audiosep.nmf.alternating import improve, multiply, solver_from, workers
from audiosep.nmf.checks import data_from, flags, generator, non_negative, of_shape, tolerance
from audiosep.nmf.divergence import beta_from, mm_exponent
from audiosep.nmf.levels import absolute, to_unit_level
from audiosep.nmf.statistics import Sums, statistics
from audiosep.types import FloatArray, Progress, Stop, ignore_progress, whole_number

__all__ = ["TensorFactorization", "factorize_tensor"]


@dataclass(frozen=True, kw_only=True, eq=False)
class TensorFactorization:
    """Result of a factorization of channels, ``V[c] ≈ W diag(Q[c]) H``.

    Parameters
    ----------
    gains : np.ndarray [shape=(n_channels, n_components)]
        Q: the share of each channel in a component. Columns that were fitted sum to one.
    templates : np.ndarray [shape=(n_bins, n_components)]
        W. Columns that were fitted sum to one.
    activations : np.ndarray [shape=(n_components, n_frames)]
        H.
    losses : np.ndarray [shape=(n_iter + 1,), dtype=float64]
        Beta-divergence (absolute, summed over all entries) before the first and after each
        iteration.
    n_iter : int
        Iterations done.
    stop : Stop
        Why it ended.
    beta : float
        Which divergence.
    seed : int or None
        Seed of the random start; None where the caller's generator was used.
    """

    gains: FloatArray
    templates: FloatArray
    activations: FloatArray
    losses: npt.NDArray[np.float64]
    n_iter: int
    stop: Stop
    beta: float
    seed: int | None = None

    @property
    def n_channels(self) -> int:
        """Number of channels."""
        return int(self.gains.shape[0])

    @property
    def n_components(self) -> int:
        """Number of components."""
        return int(self.gains.shape[1])

    def model(self) -> FloatArray:
        """Model of all components, of shape (n_channels, n_bins, n_frames)."""
        placed: FloatArray = self.templates * self.gains[:, np.newaxis]
        return placed @ self.activations


def factorize_tensor(
    V: npt.ArrayLike,
    n_components: int | None = None,
    *,
    beta: float | str = 1.0,
    solver: str = "mu",
    max_iter: int = 100,
    tol: float = 1e-4,
    seed: int | np.random.Generator = 0,
    gains: npt.ArrayLike | None = None,
    templates: npt.ArrayLike | None = None,
    activations: npt.ArrayLike | None = None,
    fixed_gains: bool | npt.ArrayLike = False,
    fixed_templates: bool | npt.ArrayLike = False,
    fixed_activations: bool | npt.ArrayLike = False,
    weights: npt.ArrayLike | None = None,
    n_threads: int | None = None,
    progress: Progress = ignore_progress,
) -> TensorFactorization:
    """Factorize the spectrograms of several channels with common components (NTF).

    Each iteration updates H, then Q, then W, each from a fresh ratio of data to model, with the
    exponent that makes every step a majorisation-minimisation step, so that the beta-divergence
    never rises.

    Parameters
    ----------
    V : array_like [shape=(n_channels, n_bins, n_frames)]
        Finite and non-negative. float32 and float64 keep their precision, everything else
        becomes float64. Never changed.
    n_components : int > 0, optional
        K; may be left out where one of the factors is given.
    beta : float or {"is", "kl", "euclidean"}
        Divergence: 0 Itakura-Saito, 1 Kullback-Leibler, 2 squared Euclidean, or any number from
        -4 to 4. At beta <= 0 zeros of V count as 1e-9 of its mean; below 0 all is computed in
        float64.
    solver : {"mu", "accelerated"}
        Plain multiplicative updates, or the same from extrapolated points; see
        :class:`audiosep.nmf.alternating.Extrapolated`.
    max_iter : int >= 0
        Most iterations.
    tol : float >= 0
        Stop when the objective fell by less than ``tol`` times its first value during 10
        iterations; 0 does all iterations.
    seed : int or numpy.random.Generator
        Start of the random numbers; the same seed gives the same bytes.
    gains : array_like [shape=(n_channels, n_components)], optional
        Start of Q. Entries that are zero stay zero. By default two channels start in random
        directions, ``(cos a, sin a)`` with a uniform from 0 to 90 degrees, others at random.
    templates : array_like [shape=(n_bins, n_components)], optional
        Start of W. Entries that are zero stay zero.
    activations : array_like [shape=(n_components, n_frames)], optional
        Start of H. Entries that are zero stay zero.
    fixed_gains, fixed_templates, fixed_activations : bool or array_like of bool
        Components whose gains (template, activation) are kept as given: one flag for all, or one
        each.
    weights : array_like [shape=(n_channels, n_bins, n_frames)], optional
        Non-negative importance of each entry of V; 0 means that the entry is missing.
    n_threads : int > 0, optional
        Threads; by default the processors this process may use. The result does not depend on it.
    progress : callable
        Called as ``progress("factorize", fraction)``.

    Returns
    -------
    TensorFactorization
        Gains and templates that were updated sum to one, unless the activation is fixed.

    Raises
    ------
    ParameterError
        If `V` is not a finite non-negative array of three axes, or another argument does not
        fit it.

    References
    ----------
    .. [1] D. FitzGerald, M. Cranitch and E. Coyle (2005), "Non-negative tensor factorisation for
       sound source separation", Irish Signals and Systems Conference: the model, and its updates
       for the Kullback-Leibler divergence.
    .. [2] C. Févotte and A. Ozerov (2010), "Notes on nonnegative tensor factorization of the
       spectrogram for audio source separation: statistical insights and towards self-clustering
       of the spatial cues", CMMR: what it assumes of the channels. Our grouping of components by
       their place is not part of this function.
    .. [3] C. Févotte and J. Idier (2011), "Algorithms for nonnegative matrix factorization with
       the beta-divergence", Neural Computation 23(9), eq. 4.9: the exponent, which holds for
       every model that is linear in the factor that moves.

    Examples
    --------
    >>> import numpy as np
    >>> left, right = np.outer([1.0, 2.0], [3.0, 0.0, 1.0]), np.outer([4.0, 1.0], [0.0, 2.0, 2.0])
    >>> V = np.stack([0.9 * left + 0.2 * right, 0.1 * left + 0.8 * right])
    >>> found = factorize_tensor(V, 2, max_iter=500, tol=0)
    >>> np.sort(found.gains[0]).round(2).tolist()
    [0.2, 0.9]
    """
    b = beta_from(beta)
    solver = solver_from(solver)
    max_iter = whole_number("max_iter", max_iter, 0)
    tol = tolerance(tol)
    problem = _Problem.from_arguments(
        b, V, n_components, (gains, templates, activations),
        (fixed_gains, fixed_templates, fixed_activations), weights,
    )  # fmt: skip
    rng, number = generator(seed)

    data, scale = to_unit_level(problem.V, b, problem.weights)
    Q, W, H = problem.start(data, scale, rng)
    losses, stop = [0.0], Stop.SILENT
    if scale:
        with workers(n_threads) as pool:
            update = _Update(
                data,
                Q,
                W,
                H,
                beta=b,
                weights=problem.weights,
                free=tuple(~fixed for fixed in problem.fixed),
                pool=pool,
            )
            losses, stop = improve(
                update,
                accelerated=solver == "accelerated",
                max_iter=max_iter,
                tol=tol,
                progress=progress,
            )
    Q, W, H = problem.finish(Q, W, H, scale)
    return TensorFactorization(
        gains=Q,
        templates=W,
        activations=H,
        losses=np.asarray(absolute(losses, scale, b)),
        n_iter=len(losses) - 1,
        stop=stop,
        beta=b,
        seed=number,
    )


class _Update:
    """Multiplicative updates of H (n_frames, K), Q (n_channels, K) and W (K, n_bins), in place.

    The frames of the channels are laid end to end, V (n_channels * n_frames, n_bins): with
    activations ``Q[c] * H`` for channel c this is a plain product with one W.
    """

    def __init__(
        self,
        V: FloatArray,
        Q: FloatArray,
        W: FloatArray,
        H: FloatArray,
        *,
        beta: float,
        weights: FloatArray | None,
        free: tuple[npt.NDArray[np.bool_], ...],
        pool: ThreadPoolExecutor | None,
    ) -> None:
        self._Q, self._W, self._H = Q, W, H
        self._V = V.reshape(-1, V.shape[-1])
        self._exponent = mm_exponent(beta)
        self._options: dict[str, Any] = {
            "beta": beta,
            "weights": None if weights is None else weights.reshape(self._V.shape),
            "pool": pool,
        }
        free_q, free_w, free_h = free
        self._free_q, self._free_w, self._free_h = free_q[None], free_w[:, None], free_h[None]

    @property
    def factors(self) -> tuple[tuple[FloatArray, npt.NDArray[np.bool_]], ...]:
        return (self._Q, self._free_q), (self._W, self._free_w), (self._H, self._free_h)

    def _sums(self, *, for_h: bool = False, for_w: bool = False) -> Sums:
        placed = (self._Q[:, np.newaxis] * self._H).reshape(-1, self._Q.shape[1])
        return statistics(self._V, self._W, placed, for_h=for_h, for_w=for_w, **self._options)

    def _parts(self, sums: Sums) -> tuple[FloatArray, FloatArray]:
        """Sums over the bins as (n_channels, n_frames, K); or (1, 1, K), the same for all."""
        shape = (len(self._Q), *self._H.shape)
        below = sums.below_h
        return (
            sums.above_h.reshape(shape),
            below[np.newaxis] if len(below) == 1 else below.reshape(shape),
        )

    def step(self) -> float:
        losses = []
        if self._free_h.any():
            sums = self._sums(for_h=True)
            losses.append(sums.loss)
            # Of each channel's sums the share that this component has in the channel.
            above, below = ((self._Q[:, np.newaxis] * S).sum(axis=0) for S in self._parts(sums))
            multiply(self._H, above, below, self._free_h, self._exponent)
        if self._free_q.any():
            sums = self._sums(for_h=True)
            losses.append(sums.loss)
            above, below = (
                (self._H * S).sum(axis=1, dtype=np.float64).astype(S.dtype)
                for S in self._parts(sums)
            )
            multiply(self._Q, above, below, self._free_q, self._exponent)
        if self._free_w.any():
            sums = self._sums(for_w=True)
            losses.append(sums.loss)
            multiply(self._W, sums.above_w, sums.below_w, self._free_w, self._exponent)
        return losses[0] if losses else self.loss()

    def loss(self) -> float:
        return self._sums().loss


@dataclass(frozen=True, kw_only=True, eq=False)
class _Problem:
    """Checked arguments, frames-major: V (n_channels, n_frames, n_bins), W0 (K, n_bins)."""

    V: FloatArray
    dtype: np.dtype[Any]  # of the result
    n_components: int
    Q0: FloatArray | None
    W0: FloatArray | None
    H0: FloatArray | None
    fixed: tuple[npt.NDArray[np.bool_], ...]  # gains, templates, activations
    weights: FloatArray | None

    @classmethod
    def from_arguments(
        cls,
        beta: float,
        V: npt.ArrayLike,
        n_components: int | None,
        factors: tuple[npt.ArrayLike | None, ...],
        fixed: tuple[bool | npt.ArrayLike, ...],
        weights: npt.ArrayLike | None,
    ) -> _Problem:
        data, dtype = data_from(V, beta, 3)
        n_channels, n_bins, n_frames = data.shape
        names = "gains", "templates", "activations"
        K = n_components
        for name, value in zip(names, factors, strict=True):
            if K is None and value is not None:
                K = non_negative(name, value, None).shape[0 if name == "activations" else 1]
        if K is None:
            raise ParameterError("give n_components, gains, templates or activations.")
        K = whole_number("n_components", K, 1)
        shapes = (n_channels, K), (n_bins, K), (K, n_frames)
        Q0, W0, H0 = (
            of_shape(name, value, shape, data.dtype)
            for name, value, shape in zip(names, factors, shapes, strict=True)
        )
        G = of_shape("weights", weights, data.shape, data.dtype)
        return cls(
            V=data.transpose(0, 2, 1),
            dtype=dtype,
            n_components=K,
            Q0=Q0,
            W0=None if W0 is None else W0.T,
            H0=None if H0 is None else H0.T,
            fixed=tuple(
                flags(f"fixed_{name}", value, K, factor is not None)
                for name, value, factor in zip(names, fixed, factors, strict=True)
            ),
            # Writable: one compilation.
            weights=None if G is None else np.array(G.transpose(0, 2, 1), order="C"),
        )

    def start(
        self, data: FloatArray, scale: float, rng: np.random.Generator
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Gains, templates and activations to begin with, at the data's level."""
        n_channels, n_frames, n_bins = data.shape
        K = self.n_components
        W = 0.1 + 0.9 * rng.random((K, n_bins))
        W /= W.sum(axis=1, keepdims=True)
        level = float(data.mean(dtype=np.float64)) * n_bins * n_channels / K
        H = (0.1 + 0.9 * rng.random((n_frames, K))) * level
        if n_channels == 2:
            angle = rng.uniform(0.0, np.pi / 2, K)
            Q = np.stack([np.cos(angle), np.sin(angle)])
        else:
            Q = 0.1 + 0.9 * rng.random((n_channels, K))
        Q /= Q.sum(axis=0)
        # Factors of any level: start at activations that give the data's level.
        if self.Q0 is not None:
            Q = np.array(self.Q0, order="C")
            H /= float(Q.sum(axis=0, dtype=np.float64).mean()) or 1.0
        if self.W0 is not None:
            W = np.array(self.W0, order="C")
            H /= float(W.sum(axis=1, dtype=np.float64).mean()) or 1.0
        if self.H0 is not None:
            H = np.array(self.H0, order="C") / np.asarray(scale or 1.0, data.dtype)
        return Q.astype(data.dtype), W.astype(data.dtype), H.astype(data.dtype)

    def finish(
        self, Q: FloatArray, W: FloatArray, H: FloatArray, scale: float
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Gains and templates to sum one, activations at the data's own level; bins-major."""
        fixed_q, fixed_w, fixed_h = self.fixed
        of_q, of_w = Q.sum(axis=0, dtype=np.float64), W.sum(axis=1, dtype=np.float64)
        of_q = np.where(fixed_q | fixed_h | (of_q == 0.0), 1.0, of_q)
        of_w = np.where(fixed_w | fixed_h | (of_w == 0.0), 1.0, of_w)
        H = H * (of_q * of_w * scale).astype(H.dtype)
        if self.H0 is not None:
            # Silence, and levels far apart, must not touch what is fixed.
            H = np.where(fixed_h, self.H0, H)
        Q = Q / of_q.astype(Q.dtype)
        W = W / of_w[:, np.newaxis].astype(W.dtype)
        return (
            Q.astype(self.dtype, copy=False),
            W.astype(self.dtype, copy=False).T,
            np.ascontiguousarray(H.T, dtype=self.dtype),
        )
