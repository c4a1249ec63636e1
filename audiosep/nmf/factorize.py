"""The only loop over iterations: initialise, step, stop."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from audiosep.errors import ParameterError
from audiosep.nmf.arguments import Arguments
from audiosep.nmf.checks import generator, tolerance
from audiosep.nmf.divergence import beta_from
from audiosep.nmf.initialize import STARTS
from audiosep.nmf.levels import absolute
from audiosep.nmf.penalties import StrengthPenalty
from audiosep.nmf.problem import Update
from audiosep.nmf.solvers import SOLVERS
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


def factorize(
    V: npt.ArrayLike,
    n_components: int | None = None,
    *,
    beta: float | str = 1.0,
    solver: str = "mu",
    init: str | None = None,
    max_iter: int = 200,
    tol: float = 1e-4,
    seed: int | np.random.Generator = 0,
    templates: npt.ArrayLike | None = None,
    activations: npt.ArrayLike | None = None,
    fixed_templates: bool | npt.ArrayLike = False,
    fixed_activations: bool | npt.ArrayLike = False,
    gated_templates: npt.ArrayLike | None = None,
    gated_activations: npt.ArrayLike | None = None,
    template_penalties: Sequence[StrengthPenalty] = (),
    activation_penalties: Sequence[StrengthPenalty] = (),
    hold_level: bool = True,
    weights: npt.ArrayLike | None = None,
    loss_every: int = 1,
    n_threads: int | None = None,
    progress: Progress = ignore_progress,
) -> Factorization:
    """Factorize a non-negative matrix, ``V ≈ W H``.

    Minimises the beta-divergence of V from the product, plus penalties where they are given. The
    objective never rises beyond rounding, with any solver.

    Parameters
    ----------
    V : array_like [shape=(n_bins, n_frames)]
        Finite and non-negative. float32 and float64 keep their precision, everything else
        becomes float64. Fastest where ``V.T`` is C-contiguous. Never changed, and not even copied
        where ``V.T`` is C-contiguous and its mean is near one (0.71 to 1.41).
    n_components : int > 0, optional
        K; may be left out where `templates` or `activations` are given.
    beta : float or {"is", "kl", "euclidean"}
        Divergence: 0 Itakura-Saito, 1 Kullback-Leibler, 2 squared Euclidean, or any number from
        -4 to 4. At beta <= 0 zeros of V count as 1e-9 of its mean; below 0 all is computed in
        float64.
    solver : str
        "mu": plain multiplicative updates, the textbook's. "accelerated": the same from
        extrapolated points, which reach the same objective sooner
        (``scripts/bench_nmf.py --objective``); see
        :class:`audiosep.nmf.accelerated.AcceleratedUpdate`. Where there are many frames for each
        component, and neither activations nor penalties are given, "accelerated" begins with
        iterations on a sample of the frames (:mod:`audiosep.nmf.coarse`); `max_iter` and `losses`
        are about what comes after. "joint": both factors from one bound. For beta 2 without
        weights also "hals" (coordinate descent), "accelerated-hals", "als" (alternating
        non-negative least squares) and "projected-gradient", which take L1 and L2 penalties.
        ``docs/how-to-choose.md`` compares them.
    init : {"random", "nndsvd", "nndsvda", "nndsvdar", "frames"}, optional
        How factors that are not given start; see :mod:`audiosep.nmf.initialize`. By default
        random, or for the sample of an accelerated start, some of its frames.
    max_iter : int >= 0
        Most iterations.
    tol : float >= 0
        Stop when the objective fell by less than ``tol`` times its first value during 10
        iterations; 0 does all iterations.
    seed : int or numpy.random.Generator
        Start of the random numbers; the same seed gives the same bytes.
    templates : array_like [shape=(n_bins, n_components)], optional
        Start of W. Entries that are zero stay zero with "mu", "accelerated" and "joint".
    activations : array_like [shape=(n_components, n_frames)], optional
        Start of H. Entries that are zero stay zero with "mu", "accelerated" and "joint".
    fixed_templates, fixed_activations : bool or array_like of bool
        What is kept as given: all, or one flag per component, or one per entry.
    gated_templates, gated_activations : array_like of bool, optional
        Where a factor is zero and stays zero, with any solver, in the shape of that factor.
    template_penalties, activation_penalties : sequence of penalties
        Terms added to the objective, e.g. ``[nmf.L1(0.1)]``; see :mod:`audiosep.nmf.penalties`.
        They see factors with one row per component, at the level that data of a mean of one has.
    hold_level : bool
        Where only one factor is penalised: hold the components of the other at one (templates at
        a Euclidean norm of one, activations at a root mean square of one), and let the penalty see
        the level of the product. If not, a penalty can be made void by moving the level into the
        other factor.
    weights : array_like [shape=(n_bins, n_frames)], optional
        Non-negative importance of each entry of V; 0 means that the entry is missing.
    loss_every : int > 0
        Iterations between two computations of the objective, which cost time. The tolerance is
        looked at every 10 iterations or more. Solvers that need the objective compute it always.
    n_threads : int > 0, optional
        Threads; by default the processors this process may use. The result does not depend on it.
    progress : callable
        Called as ``progress("factorize", fraction)``.

    Returns
    -------
    Factorization
        Templates that were updated sum to one, unless their activation is fixed. With penalties,
        factors are as these saw them.

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
       factors above 1e-16 and in adding 1e-12 of the data's level to the model.

    Examples
    --------
    >>> import numpy as np
    >>> V = np.outer([1.0, 2.0, 3.0], [1.0, 0.0, 4.0, 2.0])
    >>> result = factorize(V, 1, max_iter=50)
    >>> bool(np.allclose(result.model(), V, atol=1e-6))
    True
    """
    b = beta_from(beta)
    arguments = Arguments.checked(
        b,
        V,
        n_components,
        init,
        templates,
        activations,
        fixed_templates,
        fixed_activations,
        gated_templates,
        gated_activations,
        template_penalties,
        activation_penalties,
        weights,
    )
    max_iter = whole_number("max_iter", max_iter, 0)
    loss_every = whole_number("loss_every", loss_every, 1)
    tol = tolerance(tol)
    if not isinstance(solver, str) or solver not in SOLVERS:
        raise ParameterError(f"solver {solver!r} is unknown; use {', '.join(SOLVERS)}.")
    threads = resolve_threads(n_threads)
    rng, number = generator(seed)

    data, scale = arguments.scaled(b)
    W, H = arguments.start(data, scale, rng)
    if scale == 0.0:
        SOLVERS[solver].check(solver, b, arguments, hold_level)
        silent = _Course([0.0], [0], Stop.SILENT)
        return _finish(arguments, W, np.zeros_like(H), 1.0, silent, b, number, hold_level, 1.0)

    with ExitStack() as stack:
        stack.enter_context(one_blas_thread())
        pool = stack.enter_context(ThreadPoolExecutor(threads)) if threads > 1 else None
        problem = arguments.problem(data, scale, b, hold_level, SOLVERS[solver].keeps_zeros, pool)
        SOLVERS[solver].check(solver, b, arguments, hold_level)
        if SOLVERS[solver].coarse and max_iter > 0 and arguments.may_be_sampled(problem):
            from audiosep.nmf.coarse import coarse_start

            start = STARTS[init or "frames"] if arguments.templates is None else None
            coarse_start(problem, W, H, rng, start)  # leaves short recordings as they are
        update = SOLVERS[solver].make(problem, W, H)  # compiles or loads the kernels
        course = _run(update, max_iter, tol, loss_every, progress)
    mean = arguments.mean(data)
    return _finish(arguments, W, H, scale, course, b, number, hold_level, mean)


@dataclass
class _Course:
    """Objectives on the way, and the iterations after which they were."""

    losses: list[float]
    iterations: list[int]
    stop: Stop

    def fell_too_little(self, tol: float, every: int) -> bool:
        """Whether the objective no longer falls."""
        if tol == 0.0 or not self.iterations or self.iterations[-1] % every:
            return False
        try:
            earlier = self.iterations.index(self.iterations[-1] - every)
        except ValueError:
            return False
        fall = self.losses[earlier] - self.losses[-1]
        return fall < tol * self.losses[0] * every / _CHECK_EVERY


def _run(update: Update, max_iter: int, tol: float, loss_every: int, progress: Progress) -> _Course:
    course = _Course([], [], Stop.MAX_ITER)
    check_every = loss_every * math.ceil(_CHECK_EVERY / loss_every)
    for iteration in range(max_iter):
        wanted = iteration % loss_every == 0
        loss = update.step(wanted)
        progress("factorize", (iteration + 1) / max_iter)
        if not wanted:
            continue
        course.losses.append(loss)
        course.iterations.append(iteration)
        if course.fell_too_little(tol, check_every):
            # The step just made stays: it can only have lowered the objective further.
            course.stop = Stop.CONVERGED
            progress("factorize", 1.0)
            break
    course.losses.append(update.loss())
    course.iterations.append(iteration + 1 if max_iter else 0)
    return course


def _finish(
    arguments: Arguments,
    W: FloatArray,
    H: FloatArray,
    scale: float,
    course: _Course,
    beta: float,
    seed: int | None,
    hold_level: bool,
    mean: float,
) -> Factorization:
    """Undo the scaling, and move the level of fitted templates into their activations."""
    fixed = arguments.fixed_templates.any(axis=0) | arguments.fixed_activations.any(axis=1)
    sums = W.sum(axis=1, dtype=np.float64)
    penalised = bool(arguments.template_penalties + arguments.activation_penalties)
    keep = fixed | (sums == 0.0) | penalised
    sums = np.where(keep, 1.0, sums)
    if arguments.held(hold_level) == "h":
        # Templates as penalties saw them: those of data with a mean of one.
        sums = np.where(fixed, sums, mean)
    # In double precision: levels can be far apart, only their product is near the data.
    with np.errstate(over="ignore"):
        H = (H * (sums * scale)).astype(H.dtype)
        W = (W / sums[:, np.newaxis]).astype(W.dtype)
    if arguments.activations is not None:
        # Silence, and levels far apart, must not touch what is fixed.
        H = np.where(arguments.fixed_activations.T, arguments.activations.T, H)
    if not (np.isfinite(H).all() and np.isfinite(W).all()):
        raise ParameterError(f"V is too loud for {H.dtype}; divide it by a large number.")
    return Factorization(
        templates=W.astype(arguments.dtype, copy=False).T,
        activations=np.ascontiguousarray(H.T, dtype=arguments.dtype),
        losses=np.asarray(absolute(course.losses, scale, beta)) * arguments.weight_unit,
        loss_iterations=np.asarray(course.iterations),
        n_iter=course.iterations[-1],
        stop=course.stop,
        beta=beta,
        seed=seed,
    )
