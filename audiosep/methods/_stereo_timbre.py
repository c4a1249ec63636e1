"""Several sounds at one place, told apart by their timbre."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from audiosep.errors import ParameterError
from audiosep.grouping import group_by_timbre, timbre_likeness
from audiosep.types import Factorization, Stop

__all__ = ["Shares", "Timbres", "assigned_shares", "shares_of_place", "sounds_per_place"]

Shares = list[list[npt.NDArray[np.float32]]]
"""For each sound of a place, for each part of the recording, a share of each component."""


def sounds_per_place(levels: npt.NDArray[np.float64], n_sounds: int, most: int) -> list[int]:
    """How many sounds each place gets: one, and more where most sounds.

    Parameters
    ----------
    levels : np.ndarray [shape=(n_places,)]
        How loud each is.
    n_sounds : int
        Of all places together, at least as many as places.
    most : int > 0
        Sounds that one place can have.

    Returns
    -------
    list of int
        They sum to `n_sounds`.

    Raises
    ------
    ParameterError
        If the places cannot have so many.
    """
    if n_sounds > most * len(levels):
        raise ParameterError(
            f"{n_sounds} sources cannot be told apart in this recording; use at most "
            f"{most * len(levels)}, or more components."
        )
    counts = np.ones(len(levels), dtype=int)
    for _ in range(n_sounds - len(levels)):
        counts[np.argmax(np.where(counts < most, levels / counts, -1.0))] += 1
    return [int(count) for count in counts]


def shares_of_place(
    templates: list[npt.NDArray[np.float32]],
    activations: list[npt.NDArray[np.float32]],
    n_sounds: int,
    *,
    bin_hz: float,
    seed: int,
) -> Shares:
    """Group the components of one place, of all parts of a recording at once, by timbre.

    Parameters
    ----------
    templates : list of np.ndarray [shape=(n_components, n_bins)]
        Powers; one array for each part, on all bins.
    activations : list of np.ndarray [shape=(n_frames, n_components)]
        Of the same parts.
    n_sounds : int
        Groups wanted, from low to high.
    bin_hz : float
        Distance between bins in Hz.
    seed : int
        Start of the random numbers.

    Returns
    -------
    list of list of np.ndarray [shape=(n_components,)]
        For each sound, for each part, which components are its.
    """
    levels = np.concatenate([part.sum(axis=0, dtype=np.float64) for part in activations])
    # Magnitudes: in powers, a spectrum is its strongest partial.
    grouping = group_by_timbre(
        Factorization(
            templates=np.sqrt(np.concatenate(templates)).T,
            activations=np.sqrt(levels)[:, np.newaxis],
            losses=np.zeros(1),
            n_iter=0,
            stop=Stop.MAX_ITER,
            beta=0.0,
        ),
        n_sounds,
        bin_hz=bin_hz,
        seed=seed,
    )
    ends = np.cumsum([len(part) for part in templates])[:-1]
    by_part = np.split(grouping.weights.astype(np.float32), ends)
    return [[part[:, sound] for part in by_part] for sound in range(n_sounds)]


@dataclass(frozen=True, kw_only=True, eq=False)
class Timbres:
    """What the sounds of one place are like.

    Parameters
    ----------
    templates : np.ndarray [shape=(n_components, n_bins)]
        Powers, on all bins.
    sounds : np.ndarray of int [shape=(n_components,)]
        Which sound each belongs to.
    n_sounds : int
        How many there are.
    """

    templates: npt.NDArray[np.float32]
    sounds: npt.NDArray[np.intp]
    n_sounds: int

    @classmethod
    def of(cls, templates: npt.NDArray[np.float32], shares: Shares) -> Timbres:
        """Those of the components of one part that :func:`shares_of_place` has grouped."""
        weights = np.stack([parts[0] for parts in shares])
        return cls(templates=templates, sounds=weights.argmax(axis=0), n_sounds=len(shares))


def assigned_shares(
    templates: list[npt.NDArray[np.float32]], timbres: Timbres, *, bin_hz: float
) -> Shares:
    """Give the components of one place to the sounds that are known there.

    Parameters
    ----------
    templates : list of np.ndarray [shape=(n_components, n_bins)]
        Powers; one array for each part, on all bins.
    timbres : Timbres
        The sounds.
    bin_hz : float
        Distance between bins in Hz.

    Returns
    -------
    list of list of np.ndarray [shape=(n_components,)]
        As from :func:`shares_of_place`; a sound may have no component.
    """
    known = np.sqrt(timbres.templates).T
    shares: Shares = [[] for _ in range(timbres.n_sounds)]
    for part in templates:
        likeness = timbre_likeness(np.sqrt(part).T, known, bin_hz)
        nearest = timbres.sounds[likeness.argmax(axis=1)]
        for sound, parts in enumerate(shares):
            parts.append((nearest == sound).astype(np.float32))
    return shares
