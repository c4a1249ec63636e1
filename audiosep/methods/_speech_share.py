"""How much of each band is speech: learnt on mixtures of examples, by a small network.

One network serves all bands and frames: it sees the neighbourhood of one band relative to the
noise, so that what it learns of one talker's pitch or of one part of the spectrum serves others.

References
----------
.. [1] Y. Wang, A. Narayanan and D. Wang (2014), "On training targets for supervised speech
   separation", IEEE/ACM TASLP 22(12): shares from networks, trained on mixtures made for it.
.. [2] H. Erdogan, J. R. Hershey, S. Watanabe and J. Le Roux (2015), "Phase-sensitive and
   recognition-boosted speech separation using deep recurrent neural networks", ICASSP, eq. 5: the
   share that is in phase as target, errors weighted by the power of the mixture.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from audiosep.methods._examples_network import Network, train_network
from audiosep.methods._speech_evidence import Evidence
from audiosep.methods._speech_mixtures import LENGTH_S, Material

__all__ = ["SpeechShare", "train_share"]

_Matrix = npt.NDArray[np.float32]

N_MIXTURES = 40
PLACES = 9000
"""Bands and frames that are looked at in each mixture."""

HIDDEN = (64, 32)
EPOCHS = 2
BATCH = 1024
RATE = 3e-3

_MOST_WEIGHT = 50.0
_FAR = 6.0
_EVERY = 4
_BLOCK = 64


@dataclass(frozen=True, kw_only=True, eq=False)
class SpeechShare:
    """What a network has learnt about speech in noise.

    Parameters
    ----------
    network : Network
        Trained.
    mean, spread : np.ndarray [shape=(n_inputs,)]
        Of its inputs in training.
    """

    network: Network
    mean: _Matrix
    spread: _Matrix

    def on(self, evidence: Evidence) -> _Matrix:
        """Share of speech in each band of a mixture.

        Parameters
        ----------
        evidence : Evidence
            Of the mixture.

        Returns
        -------
        np.ndarray [shape=(n_frames, n_bands), dtype=float32]
            In [0, 1].
        """
        n_frames, n_bands = evidence.n_frames, evidence.n_bands
        out = np.empty((n_frames, n_bands), dtype=np.float32)
        for first in range(0, n_frames, _BLOCK):
            last = min(first + _BLOCK, n_frames)
            frames = np.repeat(np.arange(first, last), n_bands)
            bands = np.tile(np.arange(n_bands), last - first)
            inputs = (evidence.at(frames, bands) - self.mean) / self.spread
            np.clip(inputs, -_FAR, _FAR, out=inputs)
            out[first:last] = _logistic(self.network.outputs(inputs)).reshape(-1, n_bands)
        return out


def train_share(
    material: Material,
    noise_of: Callable[[_Matrix], _Matrix],
    frame_s: float,
    *,
    seed: int,
    n_mixtures: int = N_MIXTURES,
    progress: Callable[[float], None],
) -> SpeechShare:
    """Train a network on mixtures.

    Parameters
    ----------
    material : Material
        What is mixed.
    noise_of : callable
        Gives the noise to be expected in a mixture (n_frames, n_bands), as it will be known of
        the recording: (n_frames or 1, n_bands).
    frame_s : float
        Time between frames in seconds.
    seed : int
        Of all that is random.
    n_mixtures : int > 0
        How many.
    progress : callable
        Called with a fraction.

    Returns
    -------
    SpeechShare
    """
    rng = np.random.default_rng([seed, len(material.widths)])
    inputs, targets, weights = _samples(
        material, noise_of, frame_s, n_mixtures, rng, lambda done: progress(0.4 * done)
    )
    some = inputs[::_EVERY]
    mean = some.mean(axis=0)
    spread = some.std(axis=0) + np.float32(1e-3)
    inputs -= mean
    inputs /= spread
    network = Network((inputs.shape[1], *HIDDEN, 1), rng)

    def gradient_at(at: npt.NDArray[np.intp]) -> _Matrix:
        share = _logistic(network.forward(inputs[at]))
        error = weights[at] * 2.0 * (share - targets[at]) * share * (1.0 - share)
        return np.asarray(error / len(at), dtype=np.float32)

    train_network(
        network,
        gradient_at,
        len(inputs),
        rng,
        epochs=EPOCHS,
        batch=BATCH,
        rate=RATE,
        progress=lambda done: progress(0.4 + 0.6 * done),
    )
    progress(1.0)
    return SpeechShare(network=network, mean=mean, spread=spread)


def _samples(
    material: Material,
    noise_of: Callable[[_Matrix], _Matrix],
    frame_s: float,
    n_mixtures: int,
    rng: np.random.Generator,
    progress: Callable[[float], None],
) -> tuple[_Matrix, _Matrix, _Matrix]:
    """Places of mixtures, drawn where there is power: inputs, targets and weights."""
    n_frames = max(8, round(LENGTH_S / frame_s))
    inputs = np.empty((0, 0), dtype=np.float32)
    targets, weights = [], []
    for index in range(n_mixtures):
        power, share = material.draw(rng, n_frames)
        # Half of the weight by how often a place is drawn, half by what its error counts.
        weight = np.sqrt(power * material.widths.astype(np.float32))
        total = float(weight.sum(dtype=np.float64))
        chances = None if total == 0.0 else (weight / total).ravel().astype(np.float64)
        if chances is not None:
            chances /= chances.sum()
        frames, bands = np.divmod(rng.choice(power.size, PLACES, p=chances), power.shape[1])
        evidence = Evidence.of(power, noise_of(power), frame_s)
        if not index:  # one array from the start: it is large
            inputs = np.empty((n_mixtures * PLACES, evidence.n_inputs), dtype=np.float32)
        inputs[index * PLACES : (index + 1) * PLACES] = evidence.at(frames, bands)
        targets.append(share[frames, bands])
        root = float(np.sqrt(np.mean(np.square(weight, dtype=np.float64)))) or 1.0
        weights.append(weight[frames, bands] / np.float32(root))
        progress((index + 1) / n_mixtures)
    weight = np.concatenate(weights)[:, np.newaxis]
    weight = np.minimum(weight / max(float(weight.mean()), 1e-30), _MOST_WEIGHT)
    return inputs, np.concatenate(targets)[:, np.newaxis], weight


def _logistic(values: _Matrix) -> _Matrix:
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * values), dtype=np.float32)
