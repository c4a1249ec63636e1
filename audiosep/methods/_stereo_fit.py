"""Powers of sources whose places are known: a factorization of each, fitted to all channels.

Each place has a gain vector, and what sounds there is a product ``W H`` of its own. All are fitted
at once to the complex spectrogram of all channels, so that what two places have in common in a
bin is told apart by the phases between the channels too.

References
----------
.. [1] A. Ozerov and C. Févotte (2010), "Multichannel nonnegative matrix factorization in
   convolutive mixtures for audio source separation", IEEE TASLP 18(3): the model, with gains
   that are given instead of estimated.
.. [2] H. Sawada, H. Kameoka, S. Araki and N. Ueda (2013), "Multichannel extensions of non-negative
   matrix factorization with complex-valued data", IEEE TASLP 21(5), eqs. 42-43: the updates.
   Ours leave out the square root, which halves the iterations.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from audiosep.nmf import factorize
from audiosep.spatial import inverse_planes

__all__ = ["PlacedFactors", "fit_places"]

_Matrix = npt.NDArray[np.float32]
_Complex = npt.NDArray[np.complexfloating[Any, Any]]

_ALONE_ITER = 8
"""Steps from even powers, each bin by itself: a first guess for the factorizations."""

_START_ITER = 12
"""Iterations of each factorization before the joint fit."""

_FLOOR = 1e-9
"""Of the mean power: no place is ever quite empty, which keeps sums of covariances regular."""

_BLOCK_FRAMES = 64


@dataclass(frozen=True, kw_only=True, eq=False)
class PlacedFactors:
    """A factorization of the power of each place.

    Parameters
    ----------
    templates : np.ndarray [shape=(n_places, n_components, n_bins), dtype=float32]
        Rows that are not all zero sum to one.
    activations : np.ndarray [shape=(n_places, n_frames, n_components), dtype=float32]
    """

    templates: _Matrix
    activations: _Matrix


def fit_places(
    frames: _Complex,
    gains: npt.NDArray[np.float64],
    *,
    n_components: int,
    max_iter: int,
    roundness: npt.NDArray[np.float64],
    seed: int,
    n_threads: int | None,
) -> PlacedFactors:
    """Fit a factorization to what sounds at each place.

    Parameters
    ----------
    frames : np.ndarray [shape=(n_channels, n_frames, n_bins), dtype=complex64]
        At a level near one.
    gains : np.ndarray [shape=(n_places, n_channels)]
        Of length one.
    n_components : int > 0
        Components of each place.
    max_iter : int >= 0
        Iterations of the joint fit.
    roundness : np.ndarray [shape=(n_places,)]
        Share of each place that has no direction, above 0 and up to 1.
    seed : int
        Start of the random numbers.
    n_threads : int, optional
        Threads; the result does not depend on it.

    Returns
    -------
    PlacedFactors
    """
    model = _Model(gains, roundness, _FLOOR * _mean_power(frames))
    first_guess = _alone(frames, model)
    parts = [
        factorize(
            power.T,
            min(n_components, *power.shape),
            beta=0.0,
            max_iter=_START_ITER,
            tol=0.0,
            seed=seed,
            n_threads=n_threads,
        )
        for power in first_guess
    ]
    del first_guess
    W = np.stack([part.templates.T for part in parts]).astype(np.float32)
    H = np.stack([part.activations.T for part in parts]).astype(np.float32)
    for _ in range(max_iter):
        _iterate(frames, model, W, H)
    return PlacedFactors(templates=W, activations=H)


def _mean_power(frames: _Complex) -> float:
    return float(np.mean([np.vdot(channel, channel).real / channel.size for channel in frames]))


class _Model:
    """Covariances ``(1 - roundness) a aᵀ + roundness I / n_channels`` of all places."""

    def __init__(
        self, gains: npt.NDArray[np.float64], roundness: npt.NDArray[np.float64], floor: float
    ) -> None:
        self.gains = gains.astype(np.float32)
        self._round = (roundness / gains.shape[1]).astype(np.float32)
        self._directed = (1.0 - roundness).astype(np.float32)
        self.floor = np.float32(floor)
        # Two channels are safe in single precision; differences of more leave too few digits.
        self._exact = np.float32 if gains.shape[1] <= 2 else np.float64

    def statistics(self, frames: _Complex, powers: _Matrix) -> Iterator[tuple[_Matrix, _Matrix]]:
        """Of each place the derivative's two halves by its power: data's, and model's.

        ``xᴴ S R S x`` and ``tr(S R)`` with S the inverse of the sum of all covariances.
        """
        channels = range(len(frames))
        powers = powers.astype(self._exact, copy=False)
        even = sum(r * p for r, p in zip(self._round, powers, strict=True))
        directed = self._directed[:, np.newaxis, np.newaxis] * powers
        mixed = [
            [
                sum(p * (a[i] * a[j]) for p, a in zip(directed, self.gains, strict=True))
                for j in range(i + 1)
            ]
            for i in channels
        ]
        for i in channels:
            mixed[i][i] = mixed[i][i] + even
        inverse = inverse_planes(mixed)
        white = [sum(inverse[max(i, j)][min(i, j)] * frames[j] for j in channels) for i in channels]
        whole = sum(w.real**2 + w.imag**2 for w in white)
        trace = sum(inverse[i][i] for i in channels)
        for a, directed_share, round_share in zip(
            self.gains, self._directed, self._round, strict=True
        ):
            heard = sum(a[i] * white[i] for i in channels)
            above = directed_share * (heard.real**2 + heard.imag**2) + round_share * whole
            diagonal = sum(a[i] ** 2 * inverse[i][i] for i in channels)
            crossed = sum(2 * a[i] * a[j] * inverse[i][j] for i in channels for j in range(i))
            yield above, directed_share * (diagonal + crossed) + round_share * trace


def _blocks(n_frames: int) -> Iterator[slice]:
    for first in range(0, n_frames, _BLOCK_FRAMES):
        yield slice(first, first + _BLOCK_FRAMES)


def _alone(frames: _Complex, model: _Model) -> _Matrix:
    """Powers of the places in each bin by itself, from even ones."""
    _, n_frames, n_bins = frames.shape
    powers = np.empty((len(model.gains), n_frames, n_bins), np.float32)
    for here in _blocks(n_frames):
        part = frames[:, here]
        total = sum(channel.real**2 + channel.imag**2 for channel in part)
        powers[:, here] = total / len(powers) + model.floor
        for _ in range(_ALONE_ITER):
            for power, (above, below) in zip(
                powers[:, here], list(model.statistics(part, powers[:, here])), strict=True
            ):
                power *= above / below
                power += model.floor
    return powers


def _iterate(frames: _Complex, model: _Model, W: _Matrix, H: _Matrix) -> None:
    """One update of all activations, then of all templates, in place."""
    tiny = np.float32(1e-30)
    above_w, below_w = np.zeros_like(W), np.zeros_like(W)
    for here in _blocks(frames.shape[1]):
        part, H_here = frames[:, here], H[:, here]
        for place, (above, below) in enumerate(
            list(model.statistics(part, H_here @ W + model.floor))
        ):
            H_here[place] *= (above @ W[place].T + tiny) / (below @ W[place].T + tiny)
        for place, (above, below) in enumerate(model.statistics(part, H_here @ W + model.floor)):
            above_w[place] += H_here[place].T @ above
            below_w[place] += H_here[place].T @ below
    W *= (above_w + tiny) / (below_w + tiny)
    sums = W.sum(axis=2)
    W /= np.where(sums > 0, sums, 1)[..., np.newaxis]
    H *= sums[:, np.newaxis]
