"""The only loop over iterations: initialise, step, stop."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from audiosep.errors import ParameterError
from audiosep.nmf.divergence import beta_from
from audiosep.nmf.initialize import random_start
from audiosep.threads import one_blas_thread, resolve_threads
from audiosep.types import (
    Factorization,
    FloatArray,
    Progress,
    Stop,
    ignore_progress,
    whole_number,
)

__all__ = ["factorize"]

_CHECK_EVERY = 10
"""Iterations between two looks at the tolerance: single steps can be deceptively small."""

_SMALLEST_DATA = 1e-9
"""Zeros of V are raised to this times the mean where the divergence of zero is infinite."""


def factorize(
    V: npt.ArrayLike,
    n_components: int | None = None,
    *,
    beta: float | str = 1.0,
    solver: str = "mu",
    max_iter: int = 200,
    tol: float = 1e-4,
    seed: int | np.random.Generator = 0,
    templates: npt.ArrayLike | None = None,
    activations: npt.ArrayLike | None = None,
    fixed_templates: bool | npt.ArrayLike = False,
    fixed_activations: bool | npt.ArrayLike = False,
    weights: npt.ArrayLike | None = None,
    n_threads: int | None = None,
    progress: Progress = ignore_progress,
) -> Factorization:
    """Factorize a non-negative matrix, ``V ≈ W H``, by multiplicative updates.

    Each iteration updates H, then W, with the exponent that makes every step a
    majorisation-minimisation step, so that the beta-divergence never rises.

    Parameters
    ----------
    V : array_like [shape=(n_bins, n_frames)]
        Finite and non-negative. float32 and float64 keep their precision, everything else
        becomes float64. Fastest where ``V.T`` is C-contiguous. Never changed.
    n_components : int > 0, optional
        K; may be left out where `templates` or `activations` are given.
    beta : float or {"is", "kl", "euclidean"}
        Divergence: 0 Itakura-Saito, 1 Kullback-Leibler, 2 squared Euclidean, or any number from
        -4 to 4. At beta <= 0 zeros of V count as 1e-9 of its mean; below 0 all is computed in
        float64.
    solver : {"mu", "accelerated"}
        Plain multiplicative updates, the textbook's, or the same from extrapolated points, which
        reach the same objective sooner (``scripts/bench_nmf.py --objective``); see
        :class:`audiosep.nmf.updates.AcceleratedUpdate`.
    max_iter : int >= 0
        Most iterations.
    tol : float >= 0
        Stop when the objective fell by less than ``tol`` times its first value during 10
        iterations; 0 does all iterations.
    seed : int or numpy.random.Generator
        Start of the random numbers; the same seed gives the same bytes.
    templates : array_like [shape=(n_bins, n_components)], optional
        Start of W. Entries that are zero stay zero.
    activations : array_like [shape=(n_components, n_frames)], optional
        Start of H. Entries that are zero stay zero.
    fixed_templates, fixed_activations : bool or array_like of bool [shape=(n_components,)]
        Components whose template (activation) is kept as given.
    weights : array_like [shape=(n_bins, n_frames)], optional
        Non-negative importance of each entry of V; 0 means that the entry is missing.
    n_threads : int > 0, optional
        Threads; by default the processors this process may use. The result does not depend on it.
    progress : callable
        Called as ``progress("factorize", fraction)``.

    Returns
    -------
    Factorization
        Templates that were updated sum to one, unless their activation is fixed.

    Raises
    ------
    ParameterError
        If `V` is not a finite non-negative matrix, or another argument does not fit it.

    References
    ----------
    .. [1] D. D. Lee and H. S. Seung (2001), "Algorithms for non-negative matrix factorization",
       NIPS 13.
    .. [2] C. Févotte and J. Idier (2011), "Algorithms for nonnegative matrix factorization with
       the beta-divergence", Neural Computation 23(9): eqs. 4.7-4.9. We deviate in holding the
       factors above 1e-16 and the model above 1e-12 of the data's level.

    Examples
    --------
    >>> import numpy as np
    >>> V = np.outer([1.0, 2.0, 3.0], [1.0, 0.0, 4.0, 2.0])
    >>> result = factorize(V, 1, max_iter=50)
    >>> bool(np.allclose(result.model(), V, atol=1e-6))
    True
    """
    b = beta_from(beta)
    problem = _Problem.from_arguments(
        b, V, n_components, templates, activations, fixed_templates, fixed_activations, weights
    )
    max_iter = whole_number("max_iter", max_iter, 0)
    if not tol >= 0.0:
        raise ParameterError(f"tol={tol} must not be negative.")
    if solver not in ("mu", "accelerated"):
        raise ParameterError(f"solver {solver!r} is unknown; use mu or accelerated.")
    threads = resolve_threads(n_threads)
    number = seed if isinstance(seed, int) else None

    try:
        rng = np.random.default_rng(seed)
    except (TypeError, ValueError):
        raise ParameterError(f"seed {seed!r} must be a whole number of at least 0.") from None

    data, scale = problem.scaled(b)
    W, H = problem.start(data, scale, rng)
    if scale == 0.0:
        return problem.finish(W, np.zeros_like(H), 1.0, [0.0], Stop.SILENT, b, number)

    from audiosep.nmf.updates import SOLVERS  # compiles or loads the kernels

    losses: list[float] = []
    stop = Stop.MAX_ITER
    with ExitStack() as stack:
        stack.enter_context(one_blas_thread())
        pool = stack.enter_context(ThreadPoolExecutor(threads)) if threads > 1 else None
        update = SOLVERS[solver](
            data,
            W,
            H,
            beta=b,
            weights=problem.weights,
            free_templates=~problem.fixed_templates,
            free_activations=~problem.fixed_activations,
            pool=pool,
        )
        for iteration in range(max_iter):
            losses.append(update.step())
            progress("factorize", (iteration + 1) / max_iter)
            if _converged(losses, tol):
                # The step just made stays: it can only have lowered the objective further.
                stop = Stop.CONVERGED
                progress("factorize", 1.0)
                break
        losses.append(update.loss())
    try:
        unit = scale**b
    except OverflowError:
        unit = math.inf
    absolute = [loss * unit if loss else 0.0 for loss in losses]
    return problem.finish(W, H, scale, absolute, stop, b, number)


def _converged(losses: list[float], tol: float) -> bool:
    n = len(losses) - 1
    if tol == 0.0 or n == 0 or n % _CHECK_EVERY:
        return False
    return losses[n - _CHECK_EVERY] - losses[n] < tol * losses[0]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Problem:
    """Checked arguments, frames-major."""

    V: FloatArray
    dtype: np.dtype[Any]  # of the result
    n_components: int
    W0: FloatArray | None
    H0: FloatArray | None
    fixed_templates: npt.NDArray[np.bool_]
    fixed_activations: npt.NDArray[np.bool_]
    weights: FloatArray | None

    @classmethod
    def from_arguments(
        cls,
        beta: float,
        V: npt.ArrayLike,
        n_components: int | None,
        templates: npt.ArrayLike | None,
        activations: npt.ArrayLike | None,
        fixed_templates: bool | npt.ArrayLike,
        fixed_activations: bool | npt.ArrayLike,
        weights: npt.ArrayLike | None,
    ) -> _Problem:
        matrix = _non_negative("V", V, None)
        dtype = matrix.dtype
        if beta < 0.0:
            # Powers of the model below -2 leave the range of float32.
            matrix = matrix.astype(np.float64, copy=False)
        n_bins, n_frames = matrix.shape
        W0 = None if templates is None else _non_negative("templates", templates, matrix.dtype)
        H0 = (
            None if activations is None else _non_negative("activations", activations, matrix.dtype)
        )
        K = n_components
        if K is None:
            K = W0.shape[1] if W0 is not None else H0.shape[0] if H0 is not None else None
        if K is None:
            raise ParameterError("give n_components, templates or activations.")
        if not isinstance(K, (int, np.integer)) or K < 1:
            raise ParameterError(
                f"n_components={K} must be a whole number of at least 1; try 8 for a short loop."
            )
        for name, got, want in (
            ("templates", W0, (n_bins, K)),
            ("activations", H0, (K, n_frames)),
        ):
            if got is not None and got.shape != want:
                raise ParameterError(f"{name} has shape {got.shape}, expected {want} for this V.")
        G = None if weights is None else _non_negative("weights", weights, matrix.dtype)
        if G is not None and G.shape != matrix.shape:
            raise ParameterError(f"weights has shape {G.shape}, expected {matrix.shape} like V.")
        return cls(
            V=matrix,
            dtype=dtype,
            n_components=int(K),
            W0=W0,
            H0=H0,
            fixed_templates=_flags("fixed_templates", fixed_templates, K, W0 is not None),
            fixed_activations=_flags("fixed_activations", fixed_activations, K, H0 is not None),
            weights=None if G is None else np.array(G.T, order="C"),  # writable: one compilation
        )

    def scaled(self, beta: float) -> tuple[FloatArray, float]:
        """Frames-major copy with a mean near one, and the power of two it was divided by.

        A power of two changes no digit, so results scale with the data exactly.
        """
        G = self.weights
        data = np.ascontiguousarray(self.V.T)
        if G is not None:
            data = np.where(G > 0, data, data.dtype.type(0))  # missing entries decide nothing
        n_observed = data.size if G is None else int(np.count_nonzero(G))
        mean = float(data.sum(dtype=np.float64)) / max(n_observed, 1)
        if mean == 0.0:
            return np.zeros_like(data), 0.0
        # Not below the normal numbers: the scale must be one of the data's own type.
        scale = 2.0 ** max(round(math.log2(mean)), int(np.finfo(data.dtype).minexp))
        data = data / np.asarray(scale, data.dtype)
        if beta <= 0.0:
            np.maximum(data, data.dtype.type(_SMALLEST_DATA), out=data)
        return data, scale

    def start(
        self, data: FloatArray, scale: float, rng: np.random.Generator
    ) -> tuple[FloatArray, FloatArray]:
        W, H = random_start(data, self.n_components, rng)
        if self.W0 is not None:
            W = np.array(self.W0.T, order="C")
        if self.H0 is not None:
            H = np.array(self.H0.T, order="C") / np.asarray(scale or 1.0, self.H0.dtype)
        elif self.W0 is not None:
            # Templates of any level: start at activations that give the data's level.
            level = float(W.sum(axis=1, dtype=np.float64).mean())
            H = H / np.asarray(level or 1.0, H.dtype)
        return W, H

    def finish(
        self,
        W: FloatArray,
        H: FloatArray,
        scale: float,
        losses: list[float],
        stop: Stop,
        beta: float,
        seed: int | None,
    ) -> Factorization:
        """Undo the scaling, and move the level of fitted templates into their activations."""
        sums = W.sum(axis=1, dtype=np.float64)
        keep = self.fixed_templates | self.fixed_activations | (sums == 0.0)
        sums = np.where(keep, 1.0, sums)
        H = H * (sums * scale).astype(H.dtype)
        W = W / sums[:, np.newaxis].astype(W.dtype)
        if self.H0 is not None:
            # Silence, and levels far apart, must not touch what is fixed.
            H = np.where(self.fixed_activations, self.H0.T, H)
        return Factorization(
            templates=W.astype(self.dtype, copy=False).T,
            activations=np.ascontiguousarray(H.T, dtype=self.dtype),
            losses=np.asarray(losses),
            n_iter=len(losses) - 1,
            stop=stop,
            beta=beta,
            seed=seed,
        )


def _non_negative(name: str, value: npt.ArrayLike, dtype: Any) -> FloatArray:
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise ParameterError(
            f"{name} has dtype {array.dtype}; give real numbers, e.g. np.abs({name})."
        )
    if dtype is None:
        dtype = array.dtype if array.dtype in (np.float32, np.float64) else np.float64
    array = array.astype(dtype, copy=False)
    if array.ndim != 2 or array.size == 0:
        raise ParameterError(f"{name} has shape {array.shape}; expected a non-empty matrix.")
    lowest = array.min()
    if not (lowest >= 0 and np.isfinite(array.max())):
        bad = np.argwhere(~(np.isfinite(array) & (array >= 0)))[0]
        where = tuple(int(i) for i in bad)
        raise ParameterError(
            f"{name}{list(where)} is {array[where]}; entries must be finite and non-negative."
        )
    return array


def _flags(name: str, value: bool | npt.ArrayLike, K: int, given: bool) -> npt.NDArray[Any]:
    flags = np.asarray(value)
    if flags.dtype != bool or flags.shape not in ((), (K,)):
        raise ParameterError(f"{name} must be True, False or {K} such values, one per component.")
    flags = np.broadcast_to(flags, (K,)).copy()
    if flags.any() and not given:
        raise ParameterError(f"{name} is set, but no {name.removeprefix('fixed_')} are given.")
    return flags
