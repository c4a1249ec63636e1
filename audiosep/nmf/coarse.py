"""From coarse to fine: templates are found on a sample of the frames first."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from audiosep.nmf.accelerated import AcceleratedUpdate
from audiosep.nmf.initialize import Initializer
from audiosep.nmf.problem import Problem
from audiosep.types import FloatArray

__all__ = ["coarse_start", "merged", "sample_size"]

_SHARE = 8
"""One frame in so many is looked at first."""
_FRAMES_PER_COMPONENT = 8
_MOST_SHARE = 3
"""No sample is worth its while above a third of the frames."""
_MANY = 2
"""How many times too many components there are at the very beginning."""
_FIRST_ITERATIONS = 20
_ITERATIONS = 40


def sample_size(n_frames: int, n_components: int) -> int:
    """How many frames to look at first; 0 where there are too few of them to gain from it.

    With few frames per component, templates fit the sample and not the recording.
    """
    wanted = max(n_frames // _SHARE, _FRAMES_PER_COMPONENT * n_components)
    return wanted if wanted <= n_frames // _MOST_SHARE else 0


def coarse_start(
    problem: Problem,
    W: FloatArray,
    H: FloatArray,
    rng: np.random.Generator,
    start: Initializer | None,
) -> None:
    """Fit a random sample of the frames; leave its templates in W, and levels that suit them in H.

    It begins with half of the sample and twice as many components, of which those that are most
    alike are then merged: a start with just as many components gets stuck more often.

    Parameters
    ----------
    problem : Problem
        Without penalties; all activations must be free. Where :func:`sample_size` asks for more
        frames than there are, W and H stay.
    W : np.ndarray [shape=(n_components, n_bins)]
        Where to begin if `start` is None, and what comes out.
    H : np.ndarray [shape=(n_frames, n_components)]
        What comes out.
    rng : numpy.random.Generator
        Draws the sample.
    start : Initializer or None
        How to begin on the sample; None to begin with W as it is.
    """
    V = problem.V
    n_frames, K = H.shape
    size = sample_size(n_frames, K)
    if size == 0:
        return
    drawn = rng.permutation(n_frames)[:size]
    chosen = np.sort(drawn)
    if start is not None:
        first = _part(problem, np.sort(drawn[: max(size // 2, _MANY * K)]))
        many, loud = start(first.V, _MANY * K, rng)
        free = np.ones((_MANY * K, 1), np.uint8), np.ones((1, _MANY * K), np.uint8)
        _fit(replace(first, free_w=free[0], free_h=free[1]), many, loud, _FIRST_ITERATIONS)
        W[...] = merged(many, loud, K)
    sample = _part(problem, chosen)
    sums = np.maximum(sample.V.sum(axis=1, keepdims=True), V.dtype.type(1e-12))
    h = np.repeat(sums / V.dtype.type(K), K, axis=1)
    if start is None:
        h /= np.maximum(W.sum(axis=1), V.dtype.type(1e-12))
    _fit(sample, W, h, _ITERATIONS)
    # What was not looked at starts at the mean of what was, at its own level.
    levels = np.maximum(V.sum(axis=1), V.dtype.type(1e-12))
    H[...] = h.mean(axis=0) * (levels / levels[chosen].mean())[:, np.newaxis]
    H[chosen] = h


def merged(W: FloatArray, H: FloatArray, n_components: int) -> FloatArray:
    """Templates of so many components: the most alike are merged, pair by pair.

    A merger costs ``min(e_i, e_j) (1 - cos(w_i, w_j))`` with the levels e of the two components;
    the cheapest is next. The template of the new component is the sum of the two.

    Parameters
    ----------
    W : np.ndarray [shape=(n_many, n_bins)]
        Templates.
    H : np.ndarray [shape=(n_frames, n_many)]
        Activations.
    n_components : int
        How many are to be left.

    Returns
    -------
    np.ndarray [shape=(n_components, n_bins)]
        Rows sum to one.
    """
    parts = W.astype(np.float64) * H.sum(axis=0, dtype=np.float64)[:, np.newaxis]
    while len(parts) > n_components:
        i, j = _most_alike(parts)
        parts[i] += parts[j]
        parts = np.delete(parts, j, axis=0)
    sums = np.maximum(parts.sum(axis=1, keepdims=True), 1e-300)
    # Nothing may be zero, or it would stay so.
    templates: FloatArray = np.maximum(parts / sums, 1e-12).astype(W.dtype)
    return templates


def _most_alike(parts: npt.NDArray[np.float64]) -> tuple[int, int]:
    levels = parts.sum(axis=1)
    norms = np.maximum(np.sqrt(np.einsum("ij,ij->i", parts, parts)), 1e-300)
    cosines = (parts @ parts.T) / np.outer(norms, norms)
    costs = np.minimum.outer(levels, levels) * (1.0 - cosines)
    costs[np.tril_indices(len(parts))] = np.inf
    i, j = np.unravel_index(int(costs.argmin()), costs.shape)
    return int(i), int(j)


def _part(problem: Problem, frames: npt.NDArray[np.intp]) -> Problem:
    """The same for some of the frames."""
    G = problem.weights
    weights = None if G is None else np.ascontiguousarray(G[frames])
    return replace(problem, V=np.ascontiguousarray(problem.V[frames]), weights=weights)


def _fit(problem: Problem, W: FloatArray, H: FloatArray, n_iter: int) -> None:
    update = AcceleratedUpdate(problem, W, H)
    for _ in range(n_iter):
        update.blind_step()  # in so few iterations hardly one would be taken back
    sums = np.maximum(W.sum(axis=1), W.dtype.type(1e-30))
    if problem.free_w.all():
        W /= sums[:, np.newaxis]
        H *= sums
