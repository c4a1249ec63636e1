"""A second opinion on masks: one network for all bands and frames, which sees what is near.

A network that is given whole frames learns the spectra of an example by heart. One that is given
the neighbourhood of one band has every band of every frame to learn from, and what it learns of one
pitch or one stroke serves others. The two err differently.

References
----------
.. [1] Y. Wang, A. Narayanan and D. Wang (2014), "On training targets for supervised speech
   separation", IEEE/ACM TASLP 22(12): masks from networks, trained on mixtures made for it.
.. [2] H. Erdogan, J. R. Hershey, S. Watanabe and J. Le Roux (2015), "Phase-sensitive and
   recognition-boosted speech separation using deep recurrent neural networks", ICASSP, eq. 5: the
   share that is in phase as target, errors weighted by the power of the mixture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from audiosep.methods._examples_bands import (
    N_POINTS,
    bands_of,
    log_ratios,
    means_on_bands,
    nearness,
    pieces_of,
)
from audiosep.methods._examples_correction import changed, gradient_of_outputs
from audiosep.methods._examples_correction import per_source as changes_from
from audiosep.methods._examples_mixtures import Mixtures, shares_on_bands
from audiosep.methods._examples_network import Network, train_network

__all__ = ["LOCAL_REACH", "LocalCorrection", "Surroundings", "local_shares", "train_local"]

_Matrix = npt.NDArray[np.float32]

PER_OCTAVE = 40
N_PLACES = 240_000
"""Bands and frames that one network learns from."""

HIDDEN = (64, 32)
EPOCHS = 2
BATCH = 1024
RATE = 3e-3

OFFSETS = (-8, -5, -3, -2, -1, 0, 1, 2, 3, 5, 8)
NEIGHBOURS = 3
SHARE_OFFSETS = (-3, -1, 0, 1, 3)
SHARE_NEIGHBOURS = 1
REGIONS = 12
REGION_OFFSETS = (-4, 0, 4)
RATIOS = (0.5, 2 / 3, 1.5, 2.0, 3.0)
"""Of the frequencies that are looked at beside the own one: partials of one pitch."""

AROUND = 15
"""Frames to either side that means in time are over."""

LOCAL_REACH = max(AROUND, *map(abs, (*OFFSETS, *SHARE_OFFSETS, *REGION_OFFSETS)))
"""Frames before and after that a place looks at."""

_FLOOR, _MOST_LOG = 1e-3, 10.0
_LEAST_SHARE = 1e-3
_MOST_WEIGHT = 50.0
_QUIET = 1e-6
_TINY = 1e-20
_EVERY = 4
_BLOCK = 128


@dataclass(frozen=True, kw_only=True, eq=False)
class Surroundings:
    """What is seen from each band of each frame.

    Parameters
    ----------
    edges : np.ndarray of int [shape=(n_bands + 1,)]
        First bin of each band, and the number of bins.
    expected : np.ndarray [shape=(n_sources, n_bands)]
        Mean power of a bin of each source at its level in the recording; positive.
    """

    edges: npt.NDArray[np.intp]
    expected: _Matrix

    @classmethod
    def of(cls, sounds: Sequence[_Matrix], levels: Sequence[float]) -> Surroundings:
        """Those where sounds (n_frames, n_bins) are heard at some levels."""
        edges = bands_of(sounds[0].shape[1], PER_OCTAVE)
        power = [
            np.square(s).mean(axis=0) * np.float32(g**2)
            for s, g in zip(sounds, levels, strict=True)
        ]
        expected = means_on_bands(np.stack(power), edges)
        expected += np.float32(_QUIET) * expected.max() + np.float32(_TINY)
        return cls(edges=edges, expected=expected)

    @property
    def n_bands(self) -> int:
        """Bands."""
        return len(self.edges) - 1

    def seen(self, V: _Matrix, shares: _Matrix) -> _Matrix:
        """Look around in consecutive frames.

        Parameters
        ----------
        V : np.ndarray [shape=(n_frames, n_bins)]
            Magnitudes of the mixture.
        shares : np.ndarray [shape=(n_sources, n_frames, n_bins)]
            What is believed of the sources so far.

        Returns
        -------
        np.ndarray [shape=(n_inputs, n_frames, n_bands), dtype=float32]
            Levels relative to those expected, and ratios of the sources, as logarithms: nearby,
            at multiples of the frequency, in regions of the spectrum; means over time; where the
            band is, and what is expected there.
        """
        power = np.square(V)
        energy = means_on_bands(power, self.edges) / self.expected.sum(axis=0)
        beliefs = shares_on_bands(shares, power, self.edges)
        levels, ratios = _log(energy), log_ratios(beliefs, _LEAST_SHARE)
        maps = _nearby(levels, OFFSETS, NEIGHBOURS)
        for ratio in ratios:
            maps += _nearby(ratio, SHARE_OFFSETS, SHARE_NEIGHBOURS)
        for at in self._partials():
            maps += [x[:, at] for x in (levels, *ratios)]
        maps += _over_time(energy, beliefs)
        maps += self._wide(levels, REGION_OFFSETS)
        for ratio in ratios:
            maps += self._wide(ratio, (0,))
        out = np.empty((len(maps) + N_POINTS + len(shares), *levels.shape), dtype=np.float32)
        for row, values in zip(out, maps, strict=False):
            row[:] = values
        out[len(maps) : len(maps) + N_POINTS] = nearness(self.n_bands).T[:, np.newaxis]
        usual = _log(self.expected / self.expected.sum(axis=0))
        out[len(maps) + N_POINTS :] = usual[:, np.newaxis]
        return out

    def _partials(self) -> list[npt.NDArray[np.intp]]:
        centres = (self.edges[:-1] + self.edges[1:] - 1) / 2
        bins = [np.clip(np.round(centres * r), 0, self.edges[-1] - 1) for r in RATIOS]
        return [np.searchsorted(self.edges, b, side="right") - 1 for b in bins]

    def _wide(self, values: _Matrix, offsets: Sequence[int]) -> list[_Matrix]:
        """Means over regions of the spectrum, as columns."""
        edges = np.linspace(0, self.n_bands, REGIONS + 1).astype(int)
        means = np.add.reduceat(values, edges[:-1], axis=1)
        means /= np.maximum(1, np.diff(edges)).astype(np.float32)
        padded = _padded(means, offsets, 0)
        reach = (len(padded) - len(values)) // 2
        rows = [padded[reach + o : reach + o + len(values)] for o in offsets]
        return [row[:, [k]] for row in rows for k in range(REGIONS)]


@dataclass(frozen=True, kw_only=True, eq=False)
class LocalCorrection:
    """What a network has learnt about single bands.

    Parameters
    ----------
    network : Network
        Trained.
    surroundings : Surroundings
        What it is told.
    """

    network: Network
    surroundings: Surroundings


def local_shares(corrections: Sequence[LocalCorrection], V: _Matrix, shares: _Matrix) -> _Matrix:
    """Masks of consecutive frames, changed by the mean of what several networks say.

    Parameters
    ----------
    corrections : sequence of LocalCorrection
        Of the same surroundings.
    V : np.ndarray [shape=(n_frames, n_bins)]
        Magnitudes of the mixture.
    shares : np.ndarray [shape=(n_sources, n_frames, n_bins)]
        Masks to be corrected, of the same kind as in training.

    Returns
    -------
    np.ndarray [shape=(n_sources, n_frames, n_bins), dtype=float32]
        They sum to one. Those of the first and last LOCAL_REACH frames are better with the frames
        around them.
    """
    n_sources, n_frames, _ = shares.shape
    surroundings = corrections[0].surroundings
    widths = np.diff(surroundings.edges)
    out = np.empty_like(shares)
    for first in range(0, n_frames, _BLOCK):
        last = min(first + _BLOCK, n_frames)
        begin, end = max(0, first - LOCAL_REACH), min(n_frames, last + LOCAL_REACH)
        seen = surroundings.seen(V[begin:end], shares[:, begin:end])
        inputs = seen[:, first - begin : last - begin].reshape(len(seen), -1).T
        outputs = np.mean([c.network.outputs(inputs) for c in corrections], axis=0)
        changes = changes_from(outputs, n_sources).reshape(n_sources, last - first, -1)
        out[:, first:last] = changed(shares[:, first:last], np.repeat(changes, widths, axis=2))
    return out


def train_local(
    mixtures: Mixtures, shares: _Matrix, surroundings: Surroundings, rng: np.random.Generator
) -> LocalCorrection:
    """Learn to correct masks on mixtures whose true shares are known.

    Parameters
    ----------
    mixtures : Mixtures
        To learn from: some thousand frames, at the levels of the recording.
    shares : np.ndarray [shape=(n_sources, n_frames, n_bins)]
        Masks of these mixtures, made as those that will be corrected.
    surroundings : Surroundings
        What is seen of them.
    rng : numpy.random.Generator
        Source of the random numbers.

    Returns
    -------
    LocalCorrection
    """
    inputs, before, truth, weights = _samples(mixtures, shares, surroundings, rng)
    del shares  # large, like the inputs
    some = inputs[::_EVERY]
    mean, spread = some.mean(axis=0), some.std(axis=0) + np.float32(1e-3)
    inputs -= mean
    inputs /= spread
    n_sources, n = before.shape
    network = Network((inputs.shape[1], *HIDDEN, 1 if n_sources == 2 else n_sources), rng)

    def gradient_at(at: npt.NDArray[np.intp]) -> _Matrix:
        return gradient_of_outputs(
            network.forward(inputs[at]),
            before[:, at, np.newaxis],
            truth[:, at, np.newaxis],
            weights[at, np.newaxis],
        )

    train_network(network, gradient_at, n, rng, epochs=EPOCHS, batch=BATCH, rate=RATE)
    # What was done to the inputs is left to the first layer: they are many.
    network.weights[0] /= spread[:, np.newaxis]
    network.biases[0] -= mean @ network.weights[0]
    return LocalCorrection(network=network, surroundings=surroundings)


def _samples(
    mixtures: Mixtures, shares: _Matrix, surroundings: Surroundings, rng: np.random.Generator
) -> tuple[_Matrix, _Matrix, _Matrix, _Matrix]:
    """Places, drawn where there is power: inputs, shares before, true shares, weights."""
    pieces = pieces_of(len(mixtures.magnitudes), mixtures.chunk)
    n_each = -(-N_PLACES // len(pieces))
    edges, n = surroundings.edges, n_each * len(pieces)
    inputs = np.empty((0, 0), dtype=np.float32)
    before, truth = (np.empty((len(shares), n), dtype=np.float32) for _ in range(2))
    weights = np.empty(n, dtype=np.float32)
    for index, piece in enumerate(pieces):
        V, power = mixtures.magnitudes[piece], np.square(mixtures.magnitudes[piece])
        # Half of the weight by how often a place is drawn, half by what its error counts.
        weight = np.sqrt(np.add.reduceat(power, edges[:-1], axis=1)).ravel()
        total = float(weight.sum(dtype=np.float64))
        chances = weight.astype(np.float64) / total if total else None
        if chances is not None:
            chances /= chances.sum()
        at = rng.choice(weight.size, n_each, p=chances)
        seen = surroundings.seen(V, shares[:, piece])
        if not index:  # one array from the start: it is large
            inputs = np.empty((n, len(seen)), dtype=np.float32)
        here = slice(index * n_each, (index + 1) * n_each)
        inputs[here] = seen.reshape(len(seen), -1)[:, at].T
        for found, of in ((before, shares), (truth, mixtures.shares)):
            on_bands = shares_on_bands(of[:, piece], power, edges)
            found[:, here] = on_bands.reshape(len(shares), -1)[:, at]
        weights[here] = weight[at]
    weights /= max(float(weights.mean()), _TINY)
    return inputs, before, truth, np.minimum(weights, np.float32(_MOST_WEIGHT))


def _log(values: _Matrix) -> _Matrix:
    return np.asarray(np.minimum(np.log(values + np.float32(_FLOOR)), np.float32(_MOST_LOG)))


def _padded(values: _Matrix, offsets: Sequence[int], neighbours: int) -> _Matrix:
    reach = max(map(abs, offsets))
    return np.pad(values, ((reach, reach), (neighbours, neighbours)), mode="edge")


def _nearby(values: _Matrix, offsets: Sequence[int], neighbours: int) -> list[_Matrix]:
    """Maps (n_frames, n_bands) shifted in time and frequency."""
    padded = _padded(values, offsets, neighbours)
    n_frames, n_bands = values.shape
    reach = (len(padded) - n_frames) // 2
    rows = [padded[reach + o : reach + o + n_frames] for o in offsets]
    return [row[:, k : k + n_bands] for row in rows for k in range(2 * neighbours + 1)]


def _over_time(energy: _Matrix, beliefs: _Matrix) -> list[_Matrix]:
    """Mean level around each frame, and how much of it is believed to be of each source."""
    from scipy.ndimage import uniform_filter1d

    def smooth(values: _Matrix) -> _Matrix:
        wide = uniform_filter1d(values, 2 * AROUND + 1, axis=0, mode="nearest")
        # Running sums of a filter may leave less than nothing.
        return np.maximum(np.asarray(wide, dtype=np.float32), 0)

    total = smooth(energy)
    told = beliefs[:1] if len(beliefs) == 2 else beliefs
    return [_log(total)] + [smooth(b * energy) / (total + np.float32(_FLOOR)) for b in told]
