"""Templates that last: each component is a short patch of a spectrogram, placed by its onsets."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from audiosep.errors import ParameterError
from audiosep.nmf.alternating import improve, multiply, solver_from, workers
from audiosep.nmf.checks import flags, generator, non_negative, of_shape, tolerance
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
        return (_lagged(H, len(W)) @ W.reshape(-1, W.shape[2])).T


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
    problem = _Problem.from_arguments(
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


def _lagged(H: FloatArray, n_taps: int) -> FloatArray:
    """Activations beside their delayed versions, so that the model is one product.

    Parameters
    ----------
    H : np.ndarray [shape=(n_frames, n_components)]
        Activations.
    n_taps : int
        Delays, from 0 frames.

    Returns
    -------
    np.ndarray [shape=(n_frames, n_taps * n_components)]
        Delay by delay; zeros come in from before the beginning.
    """
    n_frames, K = H.shape
    out = np.zeros((n_frames, n_taps, K), H.dtype)
    for tap in range(min(n_taps, n_frames)):
        out[tap:, tap] = H[: n_frames - tap]
    return out.reshape(n_frames, n_taps * K)


def _gathered(S: FloatArray, n_frames: int, n_taps: int) -> FloatArray:
    """Back from delayed versions to activations: the transpose of :func:`_lagged`.

    Parameters
    ----------
    S : np.ndarray [shape=(n_frames or 1, n_taps * n_components)]
        Sums per frame and delayed component; one row serves all frames.
    n_frames, n_taps : int
        How many.

    Returns
    -------
    np.ndarray [shape=(n_frames, n_components)]
        Sum over the delays that end inside.
    """
    full = np.broadcast_to(S, (n_frames, S.shape[1])).reshape(n_frames, n_taps, -1)
    out = full[:, 0].copy()
    for tap in range(1, min(n_taps, n_frames)):
        out[: n_frames - tap] += full[tap:, tap]
    return out


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
            _move_level(W, H, self._levelled)
            self._start = W.copy()
            self._moving = free_templates[:, np.newaxis]

    @property
    def factors(self) -> tuple[tuple[FloatArray, npt.NDArray[np.bool_]], ...]:
        return (self._stacked, self._free_w), (self._H, self._free_h)

    @property
    def _stacked(self) -> FloatArray:
        """Templates as the product with delayed activations wants them; a view."""
        return self._W.reshape(-1, self._W.shape[2])

    def _sums(self, *, for_h: bool = False, for_w: bool = False) -> Sums:
        delayed = _lagged(self._H, len(self._W))
        return statistics(
            self._V, self._stacked, delayed, for_h=for_h, for_w=for_w, **self._options
        )

    def step(self) -> float:
        losses = []
        if self._free_h.any():
            sums = self._sums(for_h=True)
            losses.append(sums.loss)
            above, below = (
                _gathered(S, len(self._H), len(self._W)) for S in (sums.above_h, sums.below_h)
            )
            multiply(self._H, above, below, self._free_h, self._exponent)
        if self._free_w.any():
            sums = self._sums(for_w=True)
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
        _move_level(self._W, self._H, self._levelled)
        mixed = share * self._start + (1 - share) * self._W
        np.copyto(self._W, mixed, where=self._moving)
        self._iteration += 1


def _move_level(W: FloatArray, H: FloatArray, which: npt.NDArray[np.bool_]) -> None:
    """Make templates sum to one, in place, and multiply their activations by what they lost.

    Parameters
    ----------
    W : np.ndarray [shape=(n_taps, n_components, n_bins)]
        Templates.
    H : np.ndarray [shape=(n_frames, n_components)]
        Activations.
    which : np.ndarray of bool [shape=(n_components,)]
        Components it is done to; templates of zeros stay.
    """
    sums = W.sum(axis=(0, 2), dtype=np.float64)
    sums = np.where(which & (sums > 0.0), sums, 1.0)
    H *= sums.astype(H.dtype)
    W /= sums[:, np.newaxis].astype(W.dtype)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Problem:
    """Checked arguments, frames-major: V (n_frames, n_bins), W0 (n_taps, K, n_bins)."""

    V: FloatArray
    dtype: np.dtype[Any]  # of the result
    n_components: int
    n_taps: int
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
        n_taps: int | None,
        templates: npt.ArrayLike | None,
        activations: npt.ArrayLike | None,
        weights: npt.ArrayLike | None,
        fixed_templates: bool | npt.ArrayLike,
        fixed_activations: bool | npt.ArrayLike,
    ) -> _Problem:
        matrix = non_negative("V", V, None)
        dtype = matrix.dtype
        if beta < 0.0:
            # Powers of the model below -2 leave the range of float32.
            matrix = matrix.astype(np.float64, copy=False)
        n_bins, n_frames = matrix.shape
        K, T = n_components, n_taps
        if templates is not None:
            shape = non_negative("templates", templates, None, 3).shape
            K, T = shape[1] if K is None else K, shape[2] if T is None else T
        elif K is None and activations is not None:
            K = len(non_negative("activations", activations, None))
        if K is None:
            raise ParameterError("give n_components, templates or activations.")
        if T is None:
            raise ParameterError("give n_taps, the length of a template in frames, or templates.")
        K, T = whole_number("n_components", K, 1), whole_number("n_taps", T, 1)
        W0 = of_shape("templates", templates, (n_bins, K, T), matrix.dtype)
        H0 = of_shape("activations", activations, (K, n_frames), matrix.dtype)
        G = of_shape("weights", weights, matrix.shape, matrix.dtype)
        return cls(
            V=matrix.T,
            dtype=dtype,
            n_components=K,
            n_taps=T,
            W0=None if W0 is None else W0.transpose(2, 1, 0),
            H0=None if H0 is None else H0.T,
            fixed_templates=flags("fixed_templates", fixed_templates, K, W0 is not None),
            fixed_activations=flags("fixed_activations", fixed_activations, K, H0 is not None),
            weights=None if G is None else np.array(G.T, order="C"),  # writable: one compilation
        )

    def start(
        self, data: FloatArray, scale: float, rng: np.random.Generator
    ) -> tuple[FloatArray, FloatArray]:
        """Templates and activations to begin with, at the data's level."""
        n_frames, n_bins = data.shape
        K, T = self.n_components, self.n_taps
        W = 0.1 + 0.9 * rng.random((T, K, n_bins))
        W[n_frames:] = 0.0  # delays beyond the recording: nothing could ever be said of them
        W /= W.sum(axis=(0, 2))[:, np.newaxis]
        H = (0.1 + 0.9 * rng.random((n_frames, K))) * (data.mean(dtype=np.float64) * n_bins / K)
        if self.W0 is not None:
            W = np.array(self.W0, order="C")
            # Templates of any level: start at activations that give the data's level.
            H /= float(W.sum(axis=(0, 2), dtype=np.float64).mean()) or 1.0
        H = H.astype(data.dtype)
        if self.H0 is not None:
            H = np.array(self.H0, order="C") / np.asarray(scale or 1.0, data.dtype)
        return W.astype(data.dtype), H

    def finish(self, W: FloatArray, H: FloatArray, scale: float) -> tuple[FloatArray, FloatArray]:
        """Templates to sum one, activations at the data's own level; bins-major."""
        H = H * np.asarray(scale, H.dtype)
        _move_level(W, H, ~(self.fixed_templates | self.fixed_activations))
        if self.H0 is not None:
            # Silence, and levels far apart, must not touch what is fixed.
            H = np.where(self.fixed_activations, self.H0, H)
        return (
            W.astype(self.dtype, copy=False).transpose(2, 1, 0),
            np.ascontiguousarray(H.T, dtype=self.dtype),
        )
