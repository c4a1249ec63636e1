"""How many components a matrix has: three ways to ask, each with its reason in a sentence.

There is no true number of components in a recording: how many there are depends on how much
detail counts. A suggestion is a place to start listening from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from audiosep.errors import ParameterError
from audiosep.nmf.checks import non_negative
from audiosep.nmf.divergence import beta_divergence, beta_from
from audiosep.nmf.factorize import factorize
from audiosep.nmf.restarts import match_components
from audiosep.threads import one_blas_thread
from audiosep.types import FloatArray, Progress, ignore_progress, whole_number

__all__ = ["METHODS", "RankSuggestion", "suggest_rank"]

_MOST_DEFAULT = 40
_COARSE = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 20, 24, 28, 32, 40)
_FIT_ITERATIONS = 60
_SMALLEST_DATA = 1e-9
"""As in factorize: zeros count as this where the divergence of zero is infinite."""

_FOLDS = 4
_HELD = 10
"""One in so many patches is held out at a time."""
_PATCH = (4, 8)
"""Frames and bins of a patch: about what one window smears a sound over."""
_LEAST_MODEL = 1e-3
"""Predictions count as at least this times the mean: one surprise must not decide a fold."""
_PATIENCE = 3

_STARTS = 8
_AGREED = 0.9
"""Two components that are the same sound have at least this cosine, two that are not less."""


@dataclass(frozen=True, kw_only=True, eq=False)
class RankSuggestion:
    """A number of components, and where it comes from.

    Parameters
    ----------
    n_components : int
        The suggestion; one of `candidates`.
    reason : str
        Why, in a sentence.
    candidates : tuple of int
        Numbers that were considered, increasing.
    curve : np.ndarray [shape=(len(candidates),), dtype=float64]
        One value for each candidate K. "ard": relevance of the K-th most relevant component,
        relative to the floor; 0 where there is no such component. "held-out": mean divergence of
        an entry that was held out from its prediction, in units of the data's mean to the power
        of beta. "agreement": cosine of the least stable component, 0 to 1.
    method : {"ard", "held-out", "agreement"}
        How it was found.
    """

    n_components: int
    reason: str
    candidates: tuple[int, ...]
    curve: npt.NDArray[np.float64]
    method: str


@dataclass(frozen=True, kw_only=True, eq=False)
class _Question:
    """What every method is given; V (n_frames, n_bins) with a mean of one."""

    V: FloatArray
    candidates: tuple[int, ...]
    beta: float
    seed: int
    detail: float
    n_threads: int | None
    progress: Callable[[float], None]

    def fit(
        self, V: FloatArray, K: int, seed: int, weights: FloatArray | None = None
    ) -> tuple[FloatArray, FloatArray, float]:
        """Templates (n_bins, K), activations (K, n_frames) and final loss of one start."""
        run = factorize(
            V.T,
            K,
            beta=self.beta,
            solver="accelerated",
            max_iter=_FIT_ITERATIONS,
            tol=1e-5,
            seed=seed,
            weights=None if weights is None else weights.T,
            n_threads=self.n_threads,
        )
        return run.templates, run.activations, float(run.losses[-1])


def suggest_rank(
    V: npt.ArrayLike,
    candidates: Sequence[int] | None = None,
    *,
    method: str = "ard",
    beta: float | str = 1.0,
    detail: float = 0.25,
    seed: int = 0,
    max_frames: int = 500,
    n_threads: int | None = None,
    progress: Progress = ignore_progress,
) -> RankSuggestion:
    """Suggest a number of components.

    Three ways to ask:

    "ard"
        Begin with as many components as the largest candidate, tie the scale of each template to
        that of its activation, and let scales that do not earn their keep fall to the floor
        (automatic relevance determination). What is counted is set by `detail`. The quickest.
    "held-out"
        Hide patches of the matrix, and see how well they are predicted from the rest. The smallest
        candidate within one standard error of the best. It counts all that can be predicted: the
        right question for noisy matrices of low rank; in clean spectrograms every onset and every
        decay is a component of its own.
    "agreement"
        Factorize random halves of the frames from random starts, and see which templates are met
        again. The largest candidate at which even the least stable one is (cosine of 0.9, median
        over the halves). Too many components split sounds in ways that chance decides.

    Parameters
    ----------
    V : array_like [shape=(n_bins, n_frames)]
        Finite and non-negative. Silent bins and frames are left out.
    candidates : sequence of int > 0, optional
        Numbers to consider, increasing; by default 1 to 40, all of them for "ard" and increasingly
        few of the larger ones otherwise, and less than either side of the matrix.
    method : {"ard", "held-out", "agreement"}
        Which way.
    beta : float or {"is", "kl", "euclidean"}
        Divergence, as for :func:`audiosep.nmf.factorize`.
    detail : float > 0
        For "ard": deviations up to this, relative to the level, count as noise even where they
        are not. Smaller finds more components. What remains unexplained at the largest candidate
        always counts as noise.
    seed : int >= 0
        Start of the random numbers; the same seed gives the same answer.
    max_frames : int >= 2
        A longer matrix is represented by this many frames, one drawn from each of as many equal
        parts.
    n_threads : int > 0, optional
        Threads; by default the processors this process may use. The result does not depend on it.
    progress : callable
        Called as ``progress("suggest rank", fraction)``.

    Returns
    -------
    RankSuggestion

    Raises
    ------
    ParameterError
        If an argument is out of range or `V` is no finite non-negative matrix.

    References
    ----------
    .. [1] V. Y. F. Tan and C. Févotte (2013), "Automatic relevance determination in nonnegative
       matrix factorization with the beta-divergence", IEEE TPAMI 35(7): l1-ARD. We deviate in
       estimating the dispersion, from the residual of an unpenalised fit and from `detail`.
    .. [2] A. B. Owen and P. O. Perry (2009), "Bi-cross-validation of the SVD and the nonnegative
       matrix factorization", Annals of Applied Statistics 3(2). We deviate in hiding scattered
       patches, as missing data, instead of whole rows and columns.
    .. [3] D. Greene, D. O'Callaghan and P. Cunningham (2014), "How many topics? Stability
       analysis for topic models", ECML PKDD. We deviate in comparing spectra by their cosine, and
       in asking for the least stable component instead of the mean.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> V = rng.gamma(0.5, size=(60, 4)) @ rng.gamma(0.3, size=(4, 200))
    >>> suggest_rank(V, range(1, 11)).n_components
    4
    """
    if not isinstance(method, str) or method not in METHODS:
        raise ParameterError(f"method {method!r} is unknown; use {', '.join(METHODS)}.")
    seed = whole_number("seed", seed, 0)
    max_frames = whole_number("max_frames", max_frames, 2)
    b = beta_from(beta)
    if not (isinstance(detail, (int, float, np.number)) and 0.0 < detail < np.inf):
        raise ParameterError(f"detail={detail!r} must be a number above 0; try 0.25.")
    matrix = non_negative("V", V, None)
    chosen = None if candidates is None else _checked(candidates)
    if not matrix.any():
        chosen = chosen or (1,)
        return RankSuggestion(
            n_components=chosen[0],
            reason="The matrix is all zero: there is nothing to take apart.",
            candidates=chosen,
            curve=np.zeros(len(chosen)),
            method=method,
        )
    sample = _sample(matrix, b, max_frames, seed)
    if chosen is None:
        most = max(1, min(_MOST_DEFAULT, min(sample.shape) - 1))
        every = range(1, most + 1)
        chosen = tuple(every) if method == "ard" else tuple(k for k in _COARSE if k in every)
    question = _Question(
        V=sample,
        candidates=chosen,
        beta=b,
        seed=seed,
        detail=float(detail),
        n_threads=n_threads,
        progress=lambda fraction: progress("suggest rank", fraction),
    )
    with one_blas_thread():
        suggestion = METHODS[method](question)
    progress("suggest rank", 1.0)
    return suggestion


def _checked(candidates: Sequence[int]) -> tuple[int, ...]:
    try:
        numbers = tuple(whole_number("a candidate", k, 1) for k in candidates)
    except TypeError:
        numbers = ()
    if not numbers or any(b <= a for a, b in pairwise(numbers)):
        raise ParameterError(
            f"candidates={candidates!r} must be increasing whole numbers, at least one; try "
            "range(1, 21)."
        )
    return numbers


def _sample(V: FloatArray, beta: float, max_frames: int, seed: int) -> FloatArray:
    """At most `max_frames` frames that are not silent, frames first, with a mean of one."""
    heard = np.flatnonzero(V.any(axis=0))
    if len(heard) > max_frames:
        # At random within equal parts: a regular grid could always meet the same beat.
        edges = np.linspace(0, len(heard), max_frames + 1)
        places = np.random.default_rng(seed).uniform(edges[:-1], edges[1:]).astype(int)
        heard = heard[np.minimum(places, len(heard) - 1)]
    part = V[:, heard]
    part = part[part.any(axis=1)].T
    wide = part.astype(np.float64)
    wide /= wide.max()  # sums of hostile scales stay in range
    wide /= wide.mean()
    if beta <= 0.0:
        np.maximum(wide, _SMALLEST_DATA, out=wide)
    narrow = part.dtype == np.float32 and beta >= 0.0
    return np.ascontiguousarray(wide, dtype=np.float32 if narrow else np.float64)


def _by_relevance(question: _Question) -> RankSuggestion:
    from audiosep.nmf.relevance import relevances  # compiles or loads the kernels

    candidates, most = question.candidates, question.candidates[-1]
    dispersion = _dispersion(question)
    relevance = np.zeros(most)
    found = relevances(
        question.V, most, question.beta, dispersion, question.seed, question.progress
    )
    relevance[: len(found)] = found
    n = len(found)
    nearest = min(candidates, key=lambda k: (abs(k - n), k))
    if n == 0:
        reason = f"No component stands out of the noise; {nearest} is the smallest candidate."
    elif n == most:
        reason = (
            f"All {most} components that were tried are relevant, so there may be more; give "
            "larger candidates, or a larger detail to count less."
        )
    else:
        reason = (
            f"Of {most} components {n} stay relevant; the others fall to the floor when "
            f"deviations of {100 * question.detail:.3g} % count as noise."
        )
    if n and nearest != n:
        reason += f" The nearest candidate is {nearest}."
    return RankSuggestion(
        n_components=nearest,
        reason=reason,
        candidates=candidates,
        curve=relevance[np.array(candidates) - 1],
        method="ard",
    )


def _dispersion(question: _Question) -> float:
    """Phi of the noise: the variance of an entry is phi times its mean to the power 2 - beta.

    From the mean residual of an unpenalised fit, for a deviance is phi times the degrees of
    freedom; and from the deviations that count as noise anyway.
    """
    V, K, beta = question.V.astype(np.float64), question.candidates[-1], question.beta
    counted = question.detail**2 * float((V**2).sum() / (V ** (2.0 - beta)).sum())
    freedom = (V.shape[0] - K) * (V.shape[1] - K)
    if freedom <= 0 or min(V.shape) <= K:
        return counted
    loss = question.fit(question.V, K, question.seed)[2]
    return float(max(counted, 2.0 * loss / freedom))


def _by_held_out(question: _Question) -> RankSuggestion:
    V = question.V
    folds = _patches(V.shape, np.random.default_rng(question.seed))
    errors: list[list[float]] = []
    means: list[float] = []
    for index, K in enumerate(question.candidates):
        errors.append([_prediction_error(question, K, folds == fold) for fold in range(_FOLDS)])
        means.append(float(np.mean(errors[-1])))
        question.progress((index + 1) / len(question.candidates))
        if index - int(np.argmin(means)) >= _PATIENCE:
            break
    tried = question.candidates[: len(means)]
    table = np.array(errors)
    best = int(np.argmin(means))
    # The folds are the same for all candidates: what they have in common is no error.
    excess = table - table[best]
    margin = excess.std(axis=1, ddof=1) / np.sqrt(_FOLDS)
    chosen = int(np.flatnonzero(excess.mean(axis=1) <= margin)[0])
    reason = f"Held-out entries are predicted best with {tried[best]} components"
    if chosen != best:
        reason += f", and no worse, within one standard error, with {tried[chosen]}"
    if tried[best] == question.candidates[-1]:
        reason += "; this is the largest candidate, so there may be more"
    return RankSuggestion(
        n_components=tried[chosen],
        reason=reason + ".",
        candidates=tried,
        curve=np.array(means),
        method="held-out",
    )


def _patches(shape: tuple[int, ...], rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """The fold of each entry, 0 to ``_HELD - 1``; the same throughout a patch."""
    # A small matrix has small patches: each fold needs many of them.
    size = [max(1, min(patch, side // 8)) for patch, side in zip(_PATCH, shape, strict=True)]
    rows, columns = (-(-side // step) for side, step in zip(shape, size, strict=True))
    labels = rng.permutation(np.arange(rows * columns) % _HELD).reshape(rows, columns)
    whole: npt.NDArray[np.int64] = labels.repeat(size[0], axis=0).repeat(size[1], axis=1)
    return whole[: shape[0], : shape[1]]


def _prediction_error(question: _Question, K: int, hidden: npt.NDArray[np.bool_]) -> float:
    """Mean divergence of the hidden entries from a model of the others."""
    V = question.V
    if not hidden.any() or not V[~hidden].any():
        return 0.0
    W, H, _ = question.fit(V, K, question.seed, weights=(~hidden).astype(V.dtype))
    model = np.maximum((W @ H).T[hidden], _LEAST_MODEL)
    return beta_divergence(V[hidden], model, question.beta) / int(hidden.sum())


def _by_agreement(question: _Question) -> RankSuggestion:
    curve = np.zeros(len(question.candidates))
    for index, K in enumerate(question.candidates):
        curve[index] = _agreement(question, K)
        question.progress((index + 1) / len(question.candidates))
    agreed = np.flatnonzero(curve >= _AGREED)
    chosen = int(agreed[-1]) if len(agreed) else int(curve.argmax())
    K = question.candidates[chosen]
    if not len(agreed):
        reason = (
            f"At no candidate are all components met again; {K} comes nearest, with "
            f"{curve[chosen]:.2f} for the least stable."
        )
    elif chosen == len(curve) - 1:
        reason = (
            f"Even at {K}, the largest candidate, all components are met again in random halves "
            "of the frames; there may be more."
        )
    else:
        reason = (
            f"{K} is the largest number at which all components are met again in random halves of "
            f"the frames ({curve[chosen]:.2f} for the least stable, {curve[chosen + 1]:.2f} at "
            f"{question.candidates[chosen + 1]})."
        )
    return RankSuggestion(
        n_components=K,
        reason=reason,
        candidates=question.candidates,
        curve=curve,
        method="agreement",
    )


def _agreement(question: _Question, K: int) -> float:
    """Cosine of the least stable template with its counterpart, median over random halves."""
    V = question.V
    reference = question.fit(V, K, question.seed)[0]
    worst = []
    for start in range(_STARTS):
        rng = np.random.default_rng([question.seed, start])
        half = np.sort(rng.permutation(len(V))[: max(1, len(V) // 2)])
        templates = question.fit(V[half], K, int(rng.integers(2**32)))[0]
        worst.append(float(match_components((reference,), (templates,))[1].min()))
    return float(np.median(worst))


METHODS: dict[str, Callable[[_Question], RankSuggestion]] = {
    "ard": _by_relevance,
    "held-out": _by_held_out,
    "agreement": _by_agreement,
}
"""Ways to ask, by name."""
