"""Templates that last: each component is a short patch of a spectrogram, placed by its onsets."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from audiosep.errors import ParameterError
from audiosep.nmf.alternating import improve, multiply, solver_from, workers
from audiosep.nmf.checks import generator, tolerance
from audiosep.nmf.convolutive_problem import ConvolutiveProblem, gathered, lagged, move_level
from audiosep.nmf.divergence import beta_from, mm_exponent
from audiosep.nmf.levels import absolute, to_unit_level
from audiosep.nmf.statistics import Sums, statistics
from audiosep.types import FloatArray, Progress, Stop, ignore_progress, whole_number

__all__ = ["ConvolutiveFactorization", "factorize_convolutive"]


@dataclass(frozen=True, kw_only=True, eq=False)
class ConvolutiveFactorization:
    """Result of a convolutive factorization, ``V[:, n] ≈ sum_t W[:, :, t] H[:, n - t]``.

    Parameters
    ----------
    templates : np.ndarray [shape=(n_bins, n_components, n_taps)]
        W: a patch of `n_taps` frames per component. Patches that were fitted sum to one.
    activations : np.ndarray [shape=(n_components, n_frames)]
        H: how loud each patch begins at each frame.
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

    templates: FloatArray
    activations: FloatArray
    losses: npt.NDArray[np.float64]
    n_iter: int
    stop: Stop
    beta: float
    seed: int | None = None

    @property
    def n_components(self) -> int:
        """Number of components."""
        return int(self.templates.shape[1])

    @property
    def n_taps(self) -> int:
        """Length of the templates in frames."""
        return int(self.templates.shape[2])

    def model(self) -> FloatArray:
        """Model of all components, of shape (n_bins, n_frames)."""
        return self._model(slice(None))

    def component(self, index: int) -> FloatArray:
        """Model of one component, of shape (n_bins, n_frames); they add up to the whole."""
        return self._model(slice(index, index + 1))

    def _model(self, which: slice) -> FloatArray:
        W = np.ascontiguousarray(self.templates[:, which].transpose(2, 1, 0))
        H = np.ascontiguousarray(self.activations[which].T)
        return (lagged(H, len(W)) @ W.reshape(-1, W.shape[2])).T


def factorize_convolutive(
    V: npt.ArrayLike,
    n_components: int | None = None,
    *,
    n_taps: int | None = None,
    beta: float | str = 1.0,
    solver: str = "mu",
    max_iter: int = 100,
    tol: float = 1e-4,
    seed: int | np.random.Generator = 0,
    templates: npt.ArrayLike | None = None,
    activations: npt.ArrayLike | None = None,
    fixed_templates: bool | npt.ArrayLike = False,
    fixed_activations: bool | npt.ArrayLike = False,
    adapt: float | None = None,
    weights: npt.ArrayLike | None = None,
    n_threads: int | None = None,
    progress: Progress = ignore_progress,
) -> ConvolutiveFactorization:
    """Factorize a spectrogram into patches and their onsets (NMFD).

    Each iteration updates H, then all frames of W from one ratio of data to model, with the
    exponent that makes every step a majorisation-minimisation step: without `adapt` the
    beta-divergence never rises.

    Parameters
    ----------
    V : array_like [shape=(n_bins, n_frames)]
        Finite and non-negative. float32 and float64 keep their precision, everything else
        becomes float64. Never changed.
    n_components : int > 0, optional
        K; may be left out where `templates` or `activations` are given.
    n_taps : int > 0, optional
        Frames per template; may be left out where `templates` are given. 1 is the plain
        factorization.
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
    templates : array_like [shape=(n_bins, n_components, n_taps)], optional
        Start of W. Entries that are zero stay zero.
    activations : array_like [shape=(n_components, n_frames)], optional
        Start of H. Entries that are zero stay zero.
    fixed_templates, fixed_activations : bool or array_like of bool [shape=(n_components,)]
        Components whose template (activation) is kept as given.
    adapt : float > 0, optional
        Semi-adaptive: after each iteration i of I = `max_iter`, templates that move are pulled
        towards their start, ``W <- b W0 + (1 - b) W`` with ``b = (1 - i / I)^adapt``: they begin
        as given and end nearly free. **The objective need not fall then**, so all iterations are
        made whatever `tol` is. Needs `templates`, and solver "mu".
    weights : array_like [shape=(n_bins, n_frames)], optional
        Non-negative importance of each entry of V; 0 means that the entry is missing.
    n_threads : int > 0, optional
        Threads; by default the processors this process may use. The result does not depend on it.
    progress : callable
        Called as ``progress("factorize", fraction)``.

    Returns
    -------
    ConvolutiveFactorization
        Templates that were updated sum to one, unless their activation is fixed.

    Raises
    ------
    ParameterError
        If `V` is not a finite non-negative matrix, or another argument does not fit it.

    References
    ----------
    .. [1] P. Smaragdis (2004), "Non-negative matrix factor deconvolution; extraction of multiple
       sound sources from monophonic inputs", ICA, LNCS 3195: eqs. 4 and 6. He averages the
       updates of H over the frames of the template, from a ratio refreshed for each; we add
       their numerators and their denominators, which is the gradient of one linear model. Our
       denominators count only frames that exist: a patch that runs over the end of the
       recording is judged by the part inside, so that the step is exact there, too.
    .. [2] W. Wang, A. Cichocki and J. A. Chambers (2009), "A multiplicative algorithm for
       convolutive non-negative matrix factorization based on squared Euclidean distance", IEEE
       Trans. Signal Processing 57(7).
    .. [3] C. Févotte and J. Idier (2011), "Algorithms for nonnegative matrix factorization with
       the beta-divergence", Neural Computation 23(9), eq. 4.9: the exponent, which holds for
       every model that is linear in the factor that moves.
    .. [4] C. Dittmar and D. Gärtner (2014), "Real-time transcription and separation of drum
       recordings based on NMF decomposition", DAFx: the semi-adaptive blend, there for plain NMF.

    Examples
    --------
    >>> import numpy as np
    >>> patch = np.array([[4.0, 2.0, 1.0], [0.0, 3.0, 1.0]])
    >>> V = np.zeros((2, 12))
    >>> V[:, 1:4] += patch
    >>> V[:, 6:9] += 2 * patch
    >>> onsets = np.full((1, 12), 1e-3)
    >>> onsets[0, [1, 6]] = 1.0
    >>> found = factorize_convolutive(V, n_taps=3, activations=onsets, max_iter=200, tol=0)
    >>> bool(np.allclose(found.model(), V, atol=1e-3))
    True
    """
    b = beta_from(beta)
    solver = solver_from(solver)
    max_iter = whole_number("max_iter", max_iter, 0)
    tol = tolerance(tol)
    problem = ConvolutiveProblem.from_arguments(
        b, V, n_components, n_taps, templates, activations, weights,
        fixed_templates, fixed_activations,
    )  # fmt: skip
    _check_adapt(adapt, templates is not None, solver)
    rng, number = generator(seed)

    data, scale = to_unit_level(problem.V, b, problem.weights)
    W, H = problem.start(data, scale, rng)
    losses, stop = [0.0], Stop.SILENT
    if scale:
        with workers(n_threads) as pool:
            update = _Update(
                data,
                W,
                H,
                beta=b,
                weights=problem.weights,
                free_templates=~problem.fixed_templates,
                free_activations=~problem.fixed_activations,
                pull=None if adapt is None else (adapt, max_iter),
                pool=pool,
            )
            losses, stop = improve(
                update,
                accelerated=solver == "accelerated",
                max_iter=max_iter,
                tol=tol if adapt is None else 0.0,
                progress=progress,
            )
    W, H = problem.finish(W, H, scale)
    return ConvolutiveFactorization(
        templates=W,
        activations=H,
        losses=np.asarray(absolute(losses, scale, b)),
        n_iter=len(losses) - 1,
        stop=stop,
        beta=b,
        seed=number,
    )


def _check_adapt(adapt: float | None, given: bool, solver: str) -> None:
    if adapt is None:
        return
    if not (isinstance(adapt, (int, float, np.number)) and 0.0 < adapt < np.inf):
        raise ParameterError(f"adapt={adapt!r} must be a positive number; 4 is a good start.")
    if not given:
        raise ParameterError("adapt pulls templates towards their start: give templates.")
    if solver != "mu":
        raise ParameterError("adapt moves templates by itself: use it with solver='mu'.")


class _Update:
    """Multiplicative updates of H (n_frames, K) and W (n_taps, K, n_bins), in place."""

    def __init__(
        self,
        V: FloatArray,
        W: FloatArray,
        H: FloatArray,
        *,
        beta: float,
        weights: FloatArray | None,
        free_templates: npt.NDArray[np.bool_],
        free_activations: npt.NDArray[np.bool_],
        pull: tuple[float, int] | None,
        pool: ThreadPoolExecutor | None,
    ) -> None:
        self._W, self._H, self._V = W, H, V
        self._exponent = mm_exponent(beta)
        self._options: dict[str, Any] = {"beta": beta, "weights": weights, "pool": pool}
        self._free_w = np.tile(free_templates, len(W))[:, np.newaxis]  # of the stacked templates
        self._free_h = free_activations[np.newaxis]
        self._iteration = 0
        self._pull = pull
        if pull is not None:
            self._levelled = free_templates & free_activations
            move_level(W, H, self._levelled)
            self._start = W.copy()
            self._moving = free_templates[:, np.newaxis]

    @property
    def factors(self) -> tuple[tuple[FloatArray, npt.NDArray[np.bool_]], ...]:
        return (self._stacked, self._free_w), (self._H, self._free_h)

    @property
    def _stacked(self) -> FloatArray:
        """Templates as the product with delayed activations wants them; a view."""
        return self._W.reshape(-1, self._W.shape[2])

    def _sums(self, *, for_h: bool = False, for_w: bool = False, with_loss: bool = True) -> Sums:
        delayed = lagged(self._H, len(self._W))
        return statistics(
            self._V,
            self._stacked,
            delayed,
            for_h=for_h,
            for_w=for_w,
            with_loss=with_loss,
            **self._options,
        )

    def step(self) -> float:
        losses = []
        if self._free_h.any():
            sums = self._sums(for_h=True)
            losses.append(sums.loss)
            above, below = (
                gathered(S, len(self._H), len(self._W)) for S in (sums.above_h, sums.below_h)
            )
            multiply(self._H, above, below, self._free_h, self._exponent)
        if self._free_w.any():
            sums = self._sums(for_w=True, with_loss=not losses)
            losses.append(sums.loss)
            multiply(self._stacked, sums.above_w, sums.below_w, self._free_w, self._exponent)
            self._blend()
        return losses[0] if losses else self.loss()

    def loss(self) -> float:
        return self._sums().loss

    def _blend(self) -> None:
        if self._pull is None:
            return
        exponent, n_iter = self._pull
        share = self._W.dtype.type((1.0 - self._iteration / n_iter) ** exponent)
        move_level(self._W, self._H, self._levelled)
        mixed = share * self._start + (1 - share) * self._W
        np.copyto(self._W, mixed, where=self._moving)
        self._iteration += 1
