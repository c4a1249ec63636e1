"""What no example explains, learnt from the mixture itself.

A few free components beside the known ones are a beginning. What they get is taken for an example
of the rest, the masks are trained as they would be with a true one, and give a better one: a few
times over.

References
----------
.. [1] P. Smaragdis, B. Raj and M. Shashanka (2007), "Supervised and semi-supervised separation of
   sounds from single-channel mixtures", ICA: known templates stay, free ones are fitted beside.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from audiosep.methods._examples_bands import bands_of
from audiosep.methods._examples_dnmf import PER_OCTAVE
from audiosep.methods._examples_masks import masks_by_example
from audiosep.methods._examples_sources import SourceExample
from audiosep.nmf import factorize
from audiosep.types import Progress, ignore_progress

__all__ = ["rest_of"]

_Matrix = npt.NDArray[np.float32]

ROUNDS = 3
N_COMPONENTS = 20
MAX_ITER = 100
MOST_FRAMES = 4096
_STRETCH = 64
_ITERATIONS = 60
_QUIET = 0.05
_LEAST = 1e-9


def rest_of(
    V: _Matrix,
    examples: Sequence[SourceExample],
    *,
    name: str,
    n_free: int,
    seed: int = 0,
    n_threads: int | None = None,
    progress: Progress = ignore_progress,
) -> SourceExample:
    """An example of the rest.

    Parameters
    ----------
    V : np.ndarray [shape=(n_frames, n_bins), dtype=float32]
        Magnitudes of the mixture, not all zero; at most 4096 frames of it, evenly spread, are used.
    examples : sequence of SourceExample
        Of what is known.
    name : str
        Of the rest.
    n_free : int > 0
        Components that it begins with.
    seed : int
        Of their start.
    n_threads : int, optional
        Threads; the result does not depend on it.
    progress : callable
        Called with ``("rest", fraction)``.

    Returns
    -------
    SourceExample
        Its frames are those of the mixture, masked.
    """
    sample = _sample(V)
    share = _first_share(sample, examples, n_free, seed, n_threads)
    for index in range(ROUNDS):
        progress("rest", index / ROUNDS)
        rest = _example_from(sample * share, name, seed, n_threads)
        masks = masks_by_example(
            sample, [*examples, rest], quality="fast", seed=seed, n_threads=n_threads
        )
        share = masks.frames(0, len(sample))[-1]
    progress("rest", 1.0)
    return _example_from(sample * share, name, seed, n_threads)


def _sample(V: _Matrix) -> _Matrix:
    if len(V) <= MOST_FRAMES:
        return V
    starts = np.linspace(0, len(V) - _STRETCH, MOST_FRAMES // _STRETCH).astype(int)
    return V[(starts[:, np.newaxis] + np.arange(_STRETCH)).ravel()]


def _first_share(
    V: _Matrix, examples: Sequence[SourceExample], n_free: int, seed: int, n_threads: int | None
) -> _Matrix:
    """Mask of free components beside those that are known."""
    edges = bands_of(V.shape[1], PER_OCTAVE)
    data = np.add.reduceat(V, edges[:-1], axis=1)
    known = np.concatenate([e.templates for e in examples], axis=1)
    known = np.add.reduceat(known, edges[:-1], axis=0)
    n_known = known.shape[1]
    start = np.random.default_rng([seed, n_free]).uniform(0.1, 1.0, (len(known), n_free))
    W = np.concatenate([known, start / start.sum(axis=0)], axis=1).astype(np.float32)
    fitted = factorize(
        data.T,
        templates=W,
        fixed_templates=np.arange(W.shape[1]) < n_known,
        max_iter=MAX_ITER,
        tol=0.0,
        loss_every=MAX_ITER,
        seed=seed,
        n_threads=n_threads,
    )
    W, H = fitted.templates, fitted.activations
    free = W[:, n_known:] @ H[n_known:]
    total = free + W[:, :n_known] @ H[:n_known]
    share = (free + np.float32(_LEAST)) / (total + np.float32(2 * _LEAST))
    return np.asarray(np.repeat(share.T, np.diff(edges), axis=1), dtype=np.float32)


def _example_from(frames: _Matrix, name: str, seed: int, n_threads: int | None) -> SourceExample:
    """What a source sounds like, by its frames alone."""
    frames = np.asarray(frames + np.float32(_LEAST), dtype=np.float32)
    level = frames.sum(axis=1)
    heard = frames[level > _QUIET * level.max()]
    W = heard.T
    if len(heard) > N_COMPONENTS:
        W = factorize(
            W,
            N_COMPONENTS,
            max_iter=_ITERATIONS,
            tol=0.0,
            loss_every=_ITERATIONS,
            seed=seed,
            n_threads=n_threads,
        ).templates
    W = np.maximum(W, np.float32(_LEAST) * W.max(axis=0))
    rms = np.float32(np.sqrt(np.square(frames).mean()))
    return SourceExample(
        name=name,
        stretches=(frames / rms,),
        templates=np.asarray(W / W.sum(axis=0), dtype=np.float32),
    )
