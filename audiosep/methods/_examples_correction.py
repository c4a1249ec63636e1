"""A correction of masks, learnt on synthetic mixtures of the examples at hand.

A small network looks at a frame, its neighbours and the masks that NMF gives, and says by how much
the logarithms of these are to be changed in each band. It is trained anew for each recording, on
nothing but the examples.

References
----------
.. [1] Y. Wang, A. Narayanan and D. Wang (2014), "On training targets for supervised speech
   separation", IEEE/ACM TASLP 22(12): masks from networks, trained on mixtures made for it.
.. [2] H. Erdogan, J. R. Hershey, S. Watanabe and J. Le Roux (2015), "Phase-sensitive and
   recognition-boosted speech separation using deep recurrent neural networks", ICASSP, eq. 5: the
   share that is in phase as target, errors weighted by the power of the mixture.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from audiosep.methods._examples_bands import REACH, Describer, pieces_of
from audiosep.methods._examples_mixtures import Mixtures, shares_on_bands
from audiosep.methods._examples_network import Network, train_network

__all__ = [
    "Correction",
    "as_outputs",
    "changed",
    "error_of_corrections",
    "gradient_of_outputs",
    "per_source",
    "train_correction",
]

_Matrix = npt.NDArray[np.float32]

HIDDEN = (256, 256)
DROPOUT = 0.3
EPOCHS = 4
BATCH = 256
RATE = 1.5e-3

_MOST_WEIGHT = 200.0
_LEAST_SHARE = 1e-4
_FAR = 5.0
_BLOCK = 512


@dataclass(frozen=True, kw_only=True, eq=False)
class Correction:
    """What a network has learnt about the masks of some sources.

    Parameters
    ----------
    network : Network
        Trained.
    describer : Describer
        What it is told.
    mean, spread : np.ndarray [shape=(n_inputs,)]
        Of its inputs in training.
    """

    network: Network
    describer: Describer
    mean: _Matrix
    spread: _Matrix

    @property
    def reach(self) -> int:
        """Frames on either side that the shares of a frame depend on."""
        return REACH

    def shares(self, V: _Matrix, shares: _Matrix, level: float) -> _Matrix:
        """Correct the masks of consecutive frames.

        Parameters
        ----------
        V : np.ndarray [shape=(n_frames, n_bins)]
            Magnitudes of the mixture.
        shares : np.ndarray [shape=(n_sources, n_frames, n_bins)]
            Masks to be corrected, of the same kind as in training.
        level : float > 0
            Root mean square of the whole recording.

        Returns
        -------
        np.ndarray [shape=(n_sources, n_frames, n_bins), dtype=float32]
            They sum to one. Those of the first and last :attr:`reach` frames are better with the
            frames around them.
        """
        inputs = self.describer.describe(V, shares, level, [slice(0, len(V))])
        _standardise(inputs, self.mean, self.spread)
        out = np.empty_like(shares)
        for first in range(0, len(V), _BLOCK):
            here = slice(first, first + _BLOCK)
            changes = per_source(self.network.outputs(inputs[here]), len(shares))
            out[:, here] = changed(shares[:, here], self.describer.on_bins(changes))
        return out


def train_correction(mixtures: Mixtures, shares: _Matrix, rng: np.random.Generator) -> Correction:
    """Learn to correct masks on mixtures whose true shares are known.

    Parameters
    ----------
    mixtures : Mixtures
        To learn from: some thousand frames, at the levels of the recording.
    shares : np.ndarray [shape=(n_sources, n_frames, n_bins)]
        Masks of these mixtures, made as those that will be corrected.
    rng : numpy.random.Generator
        Source of the random numbers.

    Returns
    -------
    Correction
    """
    V = mixtures.magnitudes
    n_sources, n_frames, n_bins = shares.shape
    describer = Describer.of(n_bins)
    level = float(np.sqrt(np.square(V).mean()))
    inputs = describer.describe(V, shares, level, pieces_of(n_frames, mixtures.chunk))
    mean, spread = inputs.mean(axis=0), inputs.std(axis=0) + np.float32(1e-3)
    _standardise(inputs, mean, spread)
    power = np.square(V / np.float32(level))
    truth = mixtures.on_bands(describer.fine).shares
    before = shares_on_bands(shares, power, describer.fine)
    weights = describer.on_bands(np.minimum(power, np.float32(_MOST_WEIGHT)))
    n_outputs = describer.n_bands * (1 if n_sources == 2 else n_sources)
    network = Network((inputs.shape[1], *HIDDEN, n_outputs), rng, dropout=DROPOUT)

    def gradient_at(frames: npt.NDArray[np.intp]) -> _Matrix:
        at = np.sort(frames)
        outputs = network.forward(inputs[at])
        return gradient_of_outputs(outputs, before[:, at], truth[:, at], weights[at])

    train_network(
        network,
        gradient_at,
        n_frames,
        rng,
        epochs=EPOCHS,
        batch=BATCH,
        rate=RATE,
    )
    return Correction(network=network, describer=describer, mean=mean, spread=spread)


def gradient_of_outputs(
    outputs: _Matrix, shares: _Matrix, truth: _Matrix, weights: _Matrix
) -> _Matrix:
    """Gradient of the mean error of corrected shares.

    Parameters
    ----------
    outputs : np.ndarray [shape=(n_frames, n_outputs)]
        Of a network, see :func:`per_source`.
    shares, truth, weights
        As for :func:`error_of_corrections`.

    Returns
    -------
    np.ndarray [shape=(n_frames, n_outputs)]
        With respect to `outputs`.
    """
    changes = per_source(outputs, len(shares))
    _, gradient = error_of_corrections(changes, shares, truth, weights)
    gradient /= np.float32(len(outputs))
    return as_outputs(gradient)


def error_of_corrections(
    changes: _Matrix, shares: _Matrix, truth: _Matrix, weights: _Matrix
) -> tuple[float, _Matrix]:
    """Weighted squared error of corrected shares, and its gradient.

    Parameters
    ----------
    changes : np.ndarray [shape=(n_sources, n_frames, n_bands)]
        Of the logarithms of the shares.
    shares : np.ndarray [shape=(n_sources, n_frames, n_bands)]
        Before.
    truth : np.ndarray [shape=(n_sources, n_frames, n_bands)]
        What they should be.
    weights : np.ndarray [shape=(n_frames, n_bands)]
        Importance of each band.

    Returns
    -------
    error : float
        Summed.
    gradient : np.ndarray [shape=(n_sources, n_frames, n_bands)]
        With respect to `changes`.
    """
    found = changed(shares, changes)
    away = found - truth
    pull = away * weights
    error = float(np.vdot(pull, away))
    pull *= 2
    return error, found * (pull - (pull * found).sum(axis=0))


def changed(shares: _Matrix, changes: _Matrix) -> _Matrix:
    """Shares whose logarithms were changed, summing to one again."""
    logs = np.log(np.clip(shares, _LEAST_SHARE, 1.0))
    logs += changes
    logs -= logs.max(axis=0)
    np.exp(logs, out=logs)
    logs /= logs.sum(axis=0)
    return logs


def per_source(outputs: _Matrix, n_sources: int) -> _Matrix:
    """Outputs as changes (n_sources, n_frames, n_bands); those of two sources are opposed."""
    if n_sources == 2:
        half = outputs * np.float32(0.5)
        return np.stack([half, -half])
    return np.asarray(outputs.reshape(len(outputs), n_sources, -1).swapaxes(0, 1))


def as_outputs(gradient: _Matrix) -> _Matrix:
    """The gradient with respect to what :func:`per_source` was given."""
    if len(gradient) == 2:
        return np.asarray((gradient[0] - gradient[1]) * np.float32(0.5))
    n_sources, n_frames, n_bands = gradient.shape
    return gradient.swapaxes(0, 1).reshape(n_frames, n_sources * n_bands)


def _standardise(inputs: _Matrix, mean: _Matrix, spread: _Matrix) -> None:
    inputs -= mean
    inputs /= spread
    np.clip(inputs, -_FAR, _FAR, out=inputs)
