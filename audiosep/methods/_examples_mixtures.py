"""Synthetic mixtures of examples, of which the true shares are known.

Magnitudes are all there is of an example. Two sounds that have nothing to do with each other meet
at phases that are as good as random, so each bin of each source is given a phase of its own; on
recordings that gave what sums of complex spectra give.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

__all__ = ["SPEEDS", "Mixtures", "mix", "played_faster", "shares_on_bands"]

_Matrix = npt.NDArray[np.float32]

CHUNK = 64
"""Frames that follow each other in a synthetic mixture."""

GAIN_DB = 3.0
"""Standard deviation of the level of a source in a chunk."""

SPEEDS = (0.88, 0.94, 1.0, 1.06, 1.12)
"""At which examples are played, so that a network does not take a few seconds for all there is."""

COLOUR_DB = 2.5
"""How much the colour of an example is changed at most: standard deviation at each of some points
that are evenly spread over the logarithm of frequency."""

_COLOUR_POINTS = 6
_COLOUR_FROM = 4.0

_LOWEST_SHARE, _HIGHEST_SHARE = -0.5, 1.5
_TINY = 1e-20
_BLOCK = 512
_SILENT = 1e-10


@dataclass(frozen=True, kw_only=True, eq=False)
class Mixtures:
    """Frames of synthetic mixtures.

    Parameters
    ----------
    magnitudes : np.ndarray [shape=(n_frames, n_bins), dtype=float32]
        Of the mixtures.
    shares : np.ndarray [shape=(n_sources, n_frames, n_bins), dtype=float32]
        By which mask each source is got back best, -0.5 to 1.5: the part of it that is in phase
        with the mixture.
    chunk : int
        Frames that follow each other: a new mixture begins at each multiple of it.
    """

    magnitudes: _Matrix
    shares: _Matrix
    chunk: int

    def on_bands(self, edges: npt.NDArray[np.intp]) -> Mixtures:
        """The same on bands: roots of their energies, and shares of these."""
        power = np.square(self.magnitudes)
        return Mixtures(
            magnitudes=np.sqrt(np.add.reduceat(power, edges[:-1], axis=1)),
            shares=shares_on_bands(self.shares, power, edges),
            chunk=self.chunk,
        )


def shares_on_bands(shares: _Matrix, power: _Matrix, edges: npt.NDArray[np.intp]) -> _Matrix:
    """Shares of the energy of bands.

    Parameters
    ----------
    shares : np.ndarray [shape=(n_sources, n_frames, n_bins)]
        Of the energy of bins.
    power : np.ndarray [shape=(n_frames, n_bins)]
        Energy of the bins.
    edges : np.ndarray of int [shape=(n_bands + 1,)]
        First bin of each band, and the number of bins.

    Returns
    -------
    np.ndarray [shape=(n_sources, n_frames, n_bands), dtype=float32]
    """
    # A floor that no sound is near: where there is nothing, every bin counts.
    floor = np.float32(_SILENT * float(power.mean()) + _TINY)
    starts = edges[:-1]
    out = np.empty((len(shares), len(power), len(starts)), dtype=np.float32)
    for first in range(0, len(power), _BLOCK):
        here = slice(first, first + _BLOCK)
        some = power[here] + floor
        total = np.add.reduceat(some, starts, axis=1)
        for found, share in zip(out, shares, strict=True):
            found[here] = np.add.reduceat(share[here] * some, starts, axis=1) / total
    return out


def played_faster(frames: _Matrix, speed: float) -> _Matrix:
    """Spectra of a sound that is played faster, at the pace that it had.

    Parameters
    ----------
    frames : np.ndarray [shape=(n_frames, n_bins)]
        Magnitudes.
    speed : float > 0
        By which all frequencies are multiplied.

    Returns
    -------
    np.ndarray [shape=(n_frames, n_bins), dtype=float32]
        A slower one has nothing at its highest frequencies: they mirror what is below.
    """
    n_bins = frames.shape[1]
    places = np.arange(n_bins) / speed
    places = np.maximum(np.where(places > n_bins - 1, 2 * (n_bins - 1) - places, places), 0.0)
    before = np.minimum(places.astype(int), max(0, n_bins - 2))
    after = np.minimum(before + 1, n_bins - 1)
    share = (places - before).astype(np.float32)
    return np.asarray(frames[:, before] * (1 - share) + frames[:, after] * share)


def mix(
    examples: Sequence[_Matrix],
    levels: Sequence[float],
    n_frames: int,
    rng: np.random.Generator,
    *,
    speeds: Sequence[float] = SPEEDS,
    gain_db: float = GAIN_DB,
    colour_db: float = COLOUR_DB,
) -> Mixtures:
    """Mix random pieces of examples at random levels.

    Parameters
    ----------
    examples : sequence of np.ndarray [shape=(any, n_bins), dtype=float32]
        Magnitudes of each source, frames first, in order of time.
    levels : sequence of float
        By what each is multiplied.
    n_frames : int > 0
        Wanted frames; whole chunks are made.
    rng : numpy.random.Generator
        Source of the random numbers.
    speeds : sequence of float
        At which the examples are played, by turns.
    gain_db : float >= 0
        Standard deviation of the levels around those given.
    colour_db : float >= 0
        By how much spectra are bent at most: the standard deviation is drawn from 0 to this.

    Returns
    -------
    Mixtures
    """
    n_chunks = -(-n_frames // CHUNK)
    versions = [[played_faster(e, speed) for speed in speeds] for e in examples]
    plans = [_Plan.drawn(n_chunks, len(speeds), level, gain_db, rng) for level in levels]
    V = np.empty((n_chunks * CHUNK, examples[0].shape[1]), dtype=np.float32)
    shares = np.empty((len(examples), *V.shape), dtype=np.float32)
    for chunk in range(n_chunks):
        pieces = np.stack([p.piece(chunk, of) for p, of in zip(plans, versions, strict=True)])
        if colour_db:
            pieces *= _colours(len(pieces), V.shape[1], colour_db, rng)
        here = slice(chunk * CHUNK, (chunk + 1) * CHUNK)
        V[here], shares[:, here] = _meet(pieces, rng)
    return Mixtures(magnitudes=V, shares=shares, chunk=CHUNK)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Plan:
    """What is played of one example: all of it about equally often, at all levels and speeds."""

    versions: npt.NDArray[np.intp]
    places: npt.NDArray[np.float64]
    gains: npt.NDArray[np.float64]

    @classmethod
    def drawn(
        cls, n: int, n_versions: int, level: float, gain_db: float, rng: np.random.Generator
    ) -> _Plan:
        quantiles = (rng.permutation(n) + 0.5) / n
        normal = NormalDist()
        gains_db = gain_db * np.array([normal.inv_cdf(q) for q in quantiles])
        return cls(
            versions=rng.permutation(n) % n_versions,
            places=(rng.permutation(n) + rng.random(n)) / n,
            gains=level * 10 ** (gains_db / 20),
        )

    def piece(self, chunk: int, versions: Sequence[_Matrix]) -> _Matrix:
        """CHUNK frames in order; the end is followed by the beginning."""
        frames = versions[self.versions[chunk]]
        first = int(self.places[chunk] * len(frames))
        played = frames[(first + np.arange(CHUNK)) % len(frames)]
        return np.asarray(played * np.float32(self.gains[chunk]))


def _colours(n: int, n_bins: int, most_db: float, rng: np.random.Generator) -> _Matrix:
    """Random smooth factors (n, 1, n_bins)."""
    octaves = np.log(1 + np.arange(n_bins) / _COLOUR_FROM)
    places = octaves / max(octaves[-1], 1.0) * (_COLOUR_POINTS - 1)
    points = rng.standard_normal((n, _COLOUR_POINTS)) * rng.uniform(0, most_db, (n, 1))
    curves = [np.interp(places, np.arange(_COLOUR_POINTS), row) for row in points]
    return np.asarray(10 ** (np.stack(curves) / 20), dtype=np.float32)[:, np.newaxis]


def _meet(pieces: _Matrix, rng: np.random.Generator) -> tuple[_Matrix, _Matrix]:
    """Magnitude of the sum at random phases, and the share of each in it."""
    phases = rng.random(pieces.shape, dtype=np.float32) * np.float32(2 * np.pi)
    parts = pieces * np.cos(phases) + 1j * (pieces * np.sin(phases))
    total = parts.sum(axis=0)
    power = total.real**2 + total.imag**2
    in_phase = parts.real * total.real + parts.imag * total.imag
    shares = np.clip(in_phase / (power + _TINY), _LOWEST_SHARE, _HIGHEST_SHARE)
    return np.sqrt(power), shares
