"""Dictionaries of several sources, trained to tell them apart.

Templates that describe their own source best are not those that share out a mixture best. So there
are two sets: activations are fitted with the templates as learnt, and the models are made from
templates that were trained on synthetic mixtures, starting from those.

References
----------
.. [1] F. Weninger, J. Le Roux, J. R. Hershey and S. Watanabe (2014), "Discriminative NMF and its
   application to single-channel source separation", Interspeech, section 3.2: two sets of
   templates. We deviate in the objective, which is the squared error of the shares weighted by the
   power of the mixture, and in descending along its gradient (Adam, on logarithms) in place of
   multiplicative updates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from audiosep.methods._examples_bands import bands_of
from audiosep.methods._examples_mixtures import Mixtures
from audiosep.nmf import factorize

__all__ = [
    "Dictionaries",
    "activations_of",
    "error_of_shares",
    "fit_on_bands",
    "train_dictionaries",
    "with_best_exponent",
]

_Matrix = npt.NDArray[np.float32]

MAX_ITER = 50
PER_OCTAVE = 48
"""Bands of an octave that activations are fitted on."""

STEPS = 120
BATCH = 640
RATE = 0.05
EXPONENTS = (1.0, 1.25, 1.5, 2.0, 2.5)
_TINY = 1e-12
_LEAST = 1e-6


@dataclass(frozen=True, kw_only=True, eq=False)
class Dictionaries:
    """Templates of several sources, one after the other.

    Parameters
    ----------
    analysis : np.ndarray [shape=(n_bins, n_components), dtype=float32]
        Templates that activations are fitted with.
    reconstruction : np.ndarray [shape=(n_bins, n_components), dtype=float32]
        Templates that models are made from.
    sizes : tuple of int
        Components of each source.
    exponent : float > 0
        Of the models in the masks: 1 where models are vague, more where they are good.
    """

    analysis: _Matrix
    reconstruction: _Matrix
    sizes: tuple[int, ...]
    exponent: float = 1.0

    @classmethod
    def of(cls, templates: Sequence[_Matrix]) -> Dictionaries:
        """Those of each source as they were learnt."""
        W = np.ascontiguousarray(np.concatenate(templates, axis=1), dtype=np.float32)
        return cls(analysis=W, reconstruction=W, sizes=tuple(t.shape[1] for t in templates))

    @property
    def parts(self) -> tuple[slice, ...]:
        """Which components belong to each source."""
        ends = np.cumsum(self.sizes)
        return tuple(slice(end - size, end) for end, size in zip(ends, self.sizes, strict=True))

    def models(self, H: _Matrix) -> _Matrix:
        """Magnitudes of the sources.

        Parameters
        ----------
        H : np.ndarray [shape=(n_frames, n_components)]
            Activations, frames first.

        Returns
        -------
        np.ndarray [shape=(n_sources, n_frames, n_bins), dtype=float32]
        """
        R = self.reconstruction.T
        out = np.empty((len(self.sizes), len(H), R.shape[1]), dtype=np.result_type(H, R))
        for model, part in zip(out, self.parts, strict=True):
            np.matmul(H[:, part], R[part], out=model)
        return out

    def shares(self, H: _Matrix) -> _Matrix:
        """Masks of the sources: they sum to one.

        Parameters
        ----------
        H : np.ndarray [shape=(n_frames, n_components)]
            Activations, frames first.

        Returns
        -------
        np.ndarray [shape=(n_sources, n_frames, n_bins), dtype=float32]
        """
        models = self.models(H)
        models /= models.max(axis=0) + np.float32(_TINY)
        np.maximum(models, np.float32(_LEAST), out=models)
        if self.exponent != 1.0:
            np.power(models, np.float32(self.exponent), out=models)
        models /= models.sum(axis=0)
        return models


def activations_of(V: _Matrix, W: _Matrix, *, n_threads: int | None = None) -> _Matrix:
    """How much of each template there is in each frame.

    Fitted on bands of 1/48 octave, which takes a part of the time: no more is needed to tell so few
    templates apart.

    Parameters
    ----------
    V : np.ndarray [shape=(n_frames, n_bins)]
        Magnitudes, frames first.
    W : np.ndarray [shape=(n_bins, n_components)]
        Templates, which stay as they are.
    n_threads : int, optional
        Threads; the result does not depend on it.

    Returns
    -------
    np.ndarray [shape=(n_frames, n_components), dtype=float32]
    """
    starts = bands_of(V.shape[1], PER_OCTAVE)[:-1]
    data = np.add.reduceat(V, starts, axis=1)
    return fit_on_bands(data, np.add.reduceat(W, starts, axis=0), MAX_ITER, n_threads=n_threads)


def fit_on_bands(
    data: _Matrix, W: _Matrix, max_iter: int, *, n_threads: int | None = None
) -> _Matrix:
    """As :func:`activations_of`, for what is on bands already.

    Parameters
    ----------
    data : np.ndarray [shape=(n_frames, n_bands)]
        Magnitudes.
    W : np.ndarray [shape=(n_bands, n_components)]
        Templates.
    max_iter : int
        Iterations.
    n_threads : int, optional
        Threads; the result does not depend on it.

    Returns
    -------
    np.ndarray [shape=(n_frames, n_components), dtype=float32]
    """
    fitted = factorize(
        data.T,
        templates=W,
        fixed_templates=True,
        max_iter=max_iter,
        tol=0.0,
        loss_every=max(1, max_iter),
        n_threads=n_threads,
    )
    return np.ascontiguousarray(fitted.activations.T, dtype=np.float32)


def error_of_shares(
    R: _Matrix,
    H: _Matrix,
    parts: Sequence[slice],
    shares: _Matrix,
    weights: _Matrix,
    exponent: float = 1.0,
) -> tuple[float, _Matrix]:
    """Weighted squared error of the shares that templates give, and its gradient.

    Parameters
    ----------
    R : np.ndarray [shape=(n_bins, n_components)]
        Reconstruction templates.
    H : np.ndarray [shape=(n_frames, n_components)]
        Activations.
    parts : sequence of slice
        Components of each source.
    shares : np.ndarray [shape=(n_sources, n_frames, n_bins)]
        True shares.
    weights : np.ndarray [shape=(n_frames, n_bins)]
        Importance of each bin.
    exponent : float > 0
        Of the models in the masks.

    Returns
    -------
    error : float
        Summed over all bins and sources.
    gradient : np.ndarray [shape=(n_bins, n_components)]
        With respect to R.
    """
    models = np.stack([H[:, part] @ R[:, part].T for part in parts])
    models += np.asarray(_TINY, R.dtype)
    masks = models / models.max(axis=0)
    if exponent != 1.0:
        np.power(masks, np.asarray(exponent, R.dtype), out=masks)
    masks /= masks.sum(axis=0)
    away = masks - shares
    pull = away * weights
    error = float(np.vdot(pull, away))
    pull *= 2 * exponent
    pull -= (pull * masks).sum(axis=0)
    pull *= masks
    pull /= models
    gradient = np.empty_like(R)
    for source, part in enumerate(parts):
        gradient[:, part] = pull[source].T @ H[:, part]
    return error, gradient


def with_best_exponent(dictionaries: Dictionaries, mixtures: Mixtures, H: _Matrix) -> Dictionaries:
    """Choose the exponent of the masks that serves best on mixtures whose shares are known.

    Parameters
    ----------
    dictionaries : Dictionaries
        Of the sources.
    mixtures : Mixtures
        Of these sources.
    H : np.ndarray [shape=(n_frames, n_components)]
        Activations of the analysis templates in these mixtures.

    Returns
    -------
    Dictionaries
    """
    power = np.square(mixtures.magnitudes)
    choices = [replace(dictionaries, exponent=p) for p in EXPONENTS]
    errors = [_error(choice, mixtures, H, power) for choice in choices]
    return choices[int(np.argmin(errors))]


def train_dictionaries(
    dictionaries: Dictionaries, mixtures: Mixtures, H: _Matrix, rng: np.random.Generator
) -> Dictionaries:
    """Train the reconstruction templates on mixtures whose shares are known.

    Bands of 1/48 octave are changed as a whole.

    Parameters
    ----------
    dictionaries : Dictionaries
        Where to begin.
    mixtures : Mixtures
        To train on.
    H : np.ndarray [shape=(n_frames, n_components)]
        Activations of the analysis templates in these mixtures.
    rng : numpy.random.Generator
        Source of the random numbers: which frames are looked at in which step.

    Returns
    -------
    Dictionaries
        As given where training did not lower the error on all the mixtures.
    """
    edges = bands_of(mixtures.magnitudes.shape[1], PER_OCTAVE)
    W = dictionaries.reconstruction
    before = np.add.reduceat(W, edges[:-1], axis=0) + np.float32(_TINY)
    trained = _trained(dictionaries, before, mixtures.on_bands(edges), H, rng)
    change = np.repeat(trained / before, np.diff(edges), axis=0)
    changed = replace(dictionaries, reconstruction=np.asarray(W * change, dtype=np.float32))
    # A dictionary that knows all there is to know cannot be trained, only be spoilt.
    power = np.square(mixtures.magnitudes)
    better = _error(changed, mixtures, H, power) < _error(dictionaries, mixtures, H, power)
    return changed if better else dictionaries


def _trained(
    dictionaries: Dictionaries, W: _Matrix, mixtures: Mixtures, H: _Matrix, rng: np.random.Generator
) -> _Matrix:
    """Templates on bands, trained; the energy of a band is that of its bins."""
    power = np.square(mixtures.magnitudes)
    weights = power / (power.mean() + np.float32(_TINY))
    parts, n_frames = dictionaries.parts, len(H)
    L = np.log(W)
    mean, square = np.zeros_like(L), np.zeros_like(L)
    for step in range(1, STEPS + 1):
        at = np.sort(rng.choice(n_frames, min(BATCH, n_frames), replace=False))
        R = np.exp(L)
        _, gradient = error_of_shares(
            R, H[at], parts, mixtures.shares[:, at], weights[at], dictionaries.exponent
        )
        gradient *= R
        mean += np.float32(0.1) * (gradient - mean)
        square += np.float32(0.01) * (np.square(gradient) - square)
        rate = RATE * 0.5 * (1 + np.cos(np.pi * step / STEPS))
        slope = np.sqrt(square / np.float32(1 - 0.99**step)) + np.float32(_TINY)
        L -= np.float32(rate / (1 - 0.9**step)) * mean / slope
    return np.exp(L)


def _error(D: Dictionaries, mixtures: Mixtures, H: _Matrix, weights: _Matrix) -> float:
    total = 0.0
    for first in range(0, len(H), BATCH):
        here = slice(first, first + BATCH)
        away = D.shares(H[here])
        away -= mixtures.shares[:, here]
        total += float(np.vdot(away * weights[here], away))
    return total
