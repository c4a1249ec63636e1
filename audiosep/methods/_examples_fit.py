"""How well examples fit a mixture: how much worse it is explained than mixtures of themselves.

The divergence of a mixture from its model says little by itself: some sounds are described well by
a few templates and others never are. Mixtures of the examples tell what is to be expected of them,
and one half of an example described by the other how much worse it may be for sounds that the
templates were not learnt from.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from audiosep.methods._examples_bands import bands_of
from audiosep.methods._examples_dnmf import PER_OCTAVE, Dictionaries, fit_on_bands
from audiosep.methods._examples_sources import SourceExample
from audiosep.nmf import factorize

__all__ = ["BAD_FIT", "misfits_of", "notes_on_fit", "novelty_of"]

_Matrix = npt.NDArray[np.float32]

BAD_FIT = 0.9
"""Misfit from which on an example is said to fit badly: at 1, a recording is explained as badly as
one half of the example by the other, with half of the templates."""

_BLOCK = 1024
_TINY = 1e-9
_QUIET = 0.05
_FEWEST_FRAMES = 16
_MOST_FRAMES = 400
_ITERATIONS = 40


def misfits_of(V: _Matrix, H: _Matrix, dictionaries: Dictionaries) -> npt.NDArray[np.float64]:
    """Kullback-Leibler divergence of what each source explains, relative to its magnitude.

    Parameters
    ----------
    V : np.ndarray [shape=(n_frames, n_bins)]
        Magnitudes of a mixture.
    H : np.ndarray [shape=(n_frames, n_components)]
        Activations of the analysis templates.
    dictionaries : Dictionaries
        As they were learnt, not trained.

    Returns
    -------
    np.ndarray [shape=(n_sources,)]
        0 where all is explained. Each bin counts for the sources as they share it.
    """
    edges = bands_of(V.shape[1], PER_OCTAVE)
    W = np.add.reduceat(dictionaries.analysis, edges[:-1], axis=0)
    misfit = np.zeros(len(dictionaries.sizes))
    amount = np.full(len(dictionaries.sizes), _TINY)
    for first in range(0, len(V), _BLOCK):
        data = np.add.reduceat(V[first : first + _BLOCK], edges[:-1], axis=1) + np.float32(_TINY)
        gains = H[first : first + _BLOCK]
        parts = np.stack([gains[:, part] @ W[:, part].T for part in dictionaries.parts])
        model = parts.sum(axis=0) + np.float32(_TINY)
        divergence = data * np.log(data / model) - data + model
        parts /= model
        misfit += (parts * divergence).sum(axis=(1, 2), dtype=np.float64)
        amount += (parts * data).sum(axis=(1, 2), dtype=np.float64)
    return np.asarray(misfit / amount)


def novelty_of(example: SourceExample, *, n_threads: int | None = None) -> float:
    """How many times worse one half of an example is explained by the other than by itself.

    Parameters
    ----------
    example : SourceExample
        Of a source.
    n_threads : int, optional
        Threads; the result does not depend on it.

    Returns
    -------
    float
        1 where a sound goes on as it began; infinite where there is too little to tell.
    """
    frames = example.frames()
    edges = bands_of(frames.shape[1], PER_OCTAVE)
    level = frames.sum(axis=1)
    heard = frames[level > _QUIET * level.max()]
    heard = np.add.reduceat(heard, edges[:-1], axis=1) + np.float32(_TINY)
    if len(heard) < _FEWEST_FRAMES:
        return float("inf")
    halves = [half[:: -(-len(half) // _MOST_FRAMES)] for half in np.array_split(heard, 2)]
    fitted = factorize(
        halves[0].T,
        min(example.templates.shape[1], len(halves[0]) // 2),
        max_iter=_ITERATIONS,
        tol=0.0,
        loss_every=_ITERATIONS,
        n_threads=n_threads,
    )
    W = np.maximum(fitted.templates, np.float32(_TINY))
    own, other = (_misfit(half, W, n_threads) for half in halves)
    return max(1.0, (other + _TINY) / (own + _TINY))


def _misfit(data: _Matrix, W: _Matrix, n_threads: int | None) -> float:
    model = fit_on_bands(data, W, _ITERATIONS, n_threads=n_threads) @ W.T + np.float32(_TINY)
    divergence = data * np.log(data / model) - data + model
    return float(divergence.sum(dtype=np.float64) / data.sum(dtype=np.float64))


def notes_on_fit(names: tuple[str, ...], misfits: tuple[float, ...]) -> tuple[str, ...]:
    """Say which examples fit badly.

    Parameters
    ----------
    names : tuple of str
        Of the sources.
    misfits : tuple of float
        How much worse than expected each explains its part of the mixture.

    Returns
    -------
    tuple of str
        A sentence for each that does; often none.
    """
    return tuple(
        f"The example of {name} fits badly (misfit {misfit:.2f}, up to {BAD_FIT:.1f} is usual): "
        "take one of the same sound, place and microphone, or leave what has no example to a rest."
        for name, misfit in zip(names, misfits, strict=True)
        if misfit > BAD_FIT
    )
