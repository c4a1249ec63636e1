"""Automatic relevance determination: components that do not earn their keep fall to a floor."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from audiosep.nmf.divergence import mm_exponent
from audiosep.nmf.initialize import random_start
from audiosep.nmf.kernels import FACTOR_FLOOR
from audiosep.nmf.momentum import moved_on, next_momentum
from audiosep.nmf.statistics import statistics
from audiosep.types import FloatArray

__all__ = ["ScalePrior", "relevance_step", "relevances"]

_SHAPE = 3.0
"""a of the prior of a scale: little against the number of bins and frames, so that unneeded
components are not held up by it; above 2, so that the prior has a variance."""
_ITERATIONS = 1000
_TOLERANCE, _QUIET = 1e-5, 10
"""No scale moved by more than this, relatively, in so many steps: single ones can be small."""
_GONE = 1e-3
"""A component whose scale is this close to the floor, relatively, is switched off."""


@dataclass(frozen=True)
class ScalePrior:
    """Exponential factors with one scale per component, which is inverse-gamma distributed.

    The best scale of a component given its factors is ``(sum w + sum h + b) / c`` with
    ``c = n_frames + n_bins + a + 1``, so that none falls below ``b / c``; b is such that a model
    of K components has the mean of the data a priori, ``sqrt((a - 1) (a - 2) mean / K)``. The
    negative logarithm of the posterior, times the dispersion, is what is minimised::

        D(V | H W) + phi sum_k (sum w_k + sum h_k + b) / scale_k + c log scale_k

    Tan & Févotte (2013), "Automatic relevance determination in nonnegative matrix factorization
    with the beta-divergence", IEEE TPAMI 35(7), l1-ARD.
    """

    b: float
    c: float

    @classmethod
    def of(cls, V: FloatArray, K: int) -> ScalePrior:
        """Prior for K components of V (n_frames, n_bins)."""
        mean = float(V.mean(dtype=np.float64))
        b = np.sqrt((_SHAPE - 1.0) * (_SHAPE - 2.0) * mean / K)
        return cls(b=float(b), c=sum(V.shape) + _SHAPE + 1.0)

    @property
    def floor(self) -> float:
        """Scale of a component that is zero."""
        return self.b / self.c

    def scales(self, W: FloatArray, H: FloatArray) -> npt.NDArray[np.float64]:
        """Best scale of each component of W (K, n_bins) and H (n_frames, K)."""
        sums = W.sum(axis=1, dtype=np.float64) + H.sum(axis=0, dtype=np.float64)
        best: npt.NDArray[np.float64] = (sums + self.b) / self.c
        return best


def relevance_step(
    V: FloatArray, W: FloatArray, H: FloatArray, beta: float, push: npt.NDArray[np.float64]
) -> tuple[FloatArray, FloatArray, float]:
    """Update H, then W, of ``D(V | H W) + sum_k push_k (sum w_k + sum h_k)``; frames-major.

    The multiplicative updates with `push` (K,) added to the denominators; with the exponent of
    majorisation-minimisation the objective never rises. Returns new arrays ``W, H``, and the
    divergence before the step.
    """
    power = V.dtype.type(mm_exponent(beta))
    floor = V.dtype.type(FACTOR_FLOOR)
    more = push.astype(V.dtype)
    sums = statistics(V, W, H, beta, for_w=False)
    loss = sums.loss
    H = np.maximum(H * (sums.above_h / (sums.below_h + more)) ** power, floor)
    sums = statistics(V, W, H, beta, for_h=False, with_loss=False)
    W = np.maximum(W * (sums.above_w / (sums.below_w + more[:, np.newaxis])) ** power, floor)
    return W, H, loss


def relevances(
    V: FloatArray,
    n_components: int,
    beta: float,
    dispersion: float,
    seed: int,
    progress: Callable[[float], None],
) -> npt.NDArray[np.float64]:
    """Scales of the components that stay, above the floor and relative to it, decreasing.

    Components that share a sound merge very slowly, so the steps are taken from extrapolated
    points, as in :class:`audiosep.nmf.accelerated.AcceleratedUpdate`.

    Parameters
    ----------
    V : np.ndarray [shape=(n_frames, n_bins)]
        C-contiguous, mean near one; for beta <= 0 positive.
    n_components : int
        How many to begin with.
    beta : float
        Divergence.
    dispersion : float > 0
        Phi: the variance of an entry is phi times its mean to the power ``2 - beta``.
    seed : int
        Of the random start.
    progress : callable
        Called as ``progress(fraction)``.

    Returns
    -------
    np.ndarray [shape=(at most n_components,), dtype=float64]
    """
    W, H = random_start(V, n_components, np.random.default_rng(seed))
    # The prior asks the same of both factors: begin with their levels shared.
    balance = np.sqrt(W.sum(axis=1) / H.sum(axis=0))
    W, H = W / balance[:, np.newaxis], H * balance
    prior = ScalePrior.of(V, n_components)
    before = W, H
    last, t, momentum = np.inf, 1.0, 0.0
    scales = prior.scales(W, H)
    quiet = 0

    def step(W: FloatArray, H: FloatArray) -> tuple[FloatArray, FloatArray, float]:
        return _step(V, W, H, beta, dispersion, prior, n_components)

    for iteration in range(_ITERATIONS):
        if momentum == 0.0:
            W_next, H_next, objective = step(W, H)
        else:
            further = (moved_on(x, b, momentum) for x, b in zip((W, H), before, strict=True))
            W_next, H_next, objective = step(*further)
        if objective > last and momentum > 0.0:
            t = 1.0
            W_next, H_next, objective = step(W, H)
        last = objective
        following = prior.scales(W_next, H_next)
        change = float(np.abs(following / scales - 1.0).max())
        stays = following > prior.floor * (1.0 + _GONE)
        before = _only(stays, W, H)
        W, H = _only(stays, W_next, H_next)
        scales = following[stays]
        t, momentum = next_momentum(t)
        progress((iteration + 1) / _ITERATIONS)
        quiet = quiet + 1 if change < _TOLERANCE else 0
        if quiet == _QUIET or not len(scales):
            break
    return np.sort(scales / prior.floor - 1.0)[::-1]


def _step(
    V: FloatArray,
    W: FloatArray,
    H: FloatArray,
    beta: float,
    dispersion: float,
    prior: ScalePrior,
    n_components: int,
) -> tuple[FloatArray, FloatArray, float]:
    """One step at the best scales, and the objective before it but for a constant."""
    scales = prior.scales(W, H)
    W_next, H_next, loss = relevance_step(V, W, H, beta, dispersion / scales)
    gone = n_components - len(scales)
    logs = float(np.log(scales).sum()) + gone * math.log(prior.floor)
    return W_next, H_next, loss + dispersion * prior.c * logs


def _only(
    stays: npt.NDArray[np.bool_], W: FloatArray, H: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """The components that stay; kernels want their arrays contiguous."""
    return np.ascontiguousarray(W[stays]), np.ascontiguousarray(H[:, stays])
