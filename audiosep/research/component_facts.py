"""What can be said of components at a glance: where they lie, when they sound, how much."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from audiosep.factorization_files import StoredFactorization
from audiosep.types import FloatArray

__all__ = ["ComponentFacts", "component_energy", "component_names", "describe_components"]

_ACTIVE = 0.1
"""A component counts as active where its activation is above this times its largest (-20 dB)."""

_LOWEST_HZ, _HIGHEST_HZ = 40.0, 4000.0
_STEPS = 48
"""Candidates of a pitch in an octave."""

_PARTIALS = 10
_LEAST_PITCHED = 0.6
"""A pitch is named where its partials hold this much more of the spectrum than chance would."""


@dataclass(frozen=True, kw_only=True)
class ComponentFacts:
    """One component of a stored factorization.

    Parameters
    ----------
    number : int
        From 1, as regrouping counts them.
    stem : str
        The stem that holds most of it.
    share : float
        Part of the summed magnitudes of all components, 0 to 1.
    centroid_hz : float
        Mean frequency of its spectrum.
    pitch_hz : float or None
        Fundamental frequency, where its spectrum is a series of harmonics.
    active : float
        Part of the time in which its activation is above a tenth of its largest, 0 to 1.
    first_s, last_s : float
        When it does so first and last, in seconds.
    """

    number: int
    stem: str
    share: float
    centroid_hz: float
    pitch_hz: float | None
    active: float
    first_s: float
    last_s: float


def component_energy(templates: FloatArray, activations: FloatArray) -> npt.NDArray[np.float64]:
    """Sum of each component's spectrogram.

    Parameters
    ----------
    templates : np.ndarray [shape=(n_bins, n_components)]
        W.
    activations : np.ndarray [shape=(n_components, n_frames)]
        H.

    Returns
    -------
    np.ndarray [shape=(n_components,), dtype=float64]
    """
    sums = templates.sum(axis=0, dtype=np.float64) * activations.sum(axis=1, dtype=np.float64)
    return np.asarray(sums, dtype=np.float64)


def describe_components(stored: StoredFactorization) -> tuple[ComponentFacts, ...]:
    """Describe each component.

    Parameters
    ----------
    stored : StoredFactorization
        As it lies beside the stems.

    Returns
    -------
    tuple of ComponentFacts
        In the order of their numbers.
    """
    energy = component_energy(stored.templates, stored.activations)
    share = energy / max(float(energy.sum()), 1e-300)
    hz = np.arange(len(stored.templates)) * stored.bin_hz
    sums = np.maximum(stored.templates.sum(axis=0, dtype=np.float64), 1e-300)
    centroids = (hz @ stored.templates.astype(np.float64)) / sums
    owners = stored.grouping.weights.argmax(axis=1)
    facts = []
    for k, row in enumerate(stored.activations):
        on = np.flatnonzero(row > _ACTIVE * row.max())
        first, last = (int(on[0]), int(on[-1])) if on.size else (0, 0)
        facts.append(
            ComponentFacts(
                number=k + 1,
                stem=stored.grouping.names[int(owners[k])],
                share=float(share[k]),
                centroid_hz=float(centroids[k]),
                pitch_hz=_pitch(stored.templates[:, k], stored.bin_hz) if on.size else None,
                active=on.size / stored.n_frames,
                first_s=first * stored.frame_s,
                last_s=last * stored.frame_s,
            )
        )
    return tuple(facts)


def _pitch(template: npt.NDArray[np.float32], bin_hz: float) -> float | None:
    """Fundamental frequency of a spectrum of harmonics, or None.

    The candidate whose partials, a bin either side, hold the most of the spectrum beyond what they
    would of a flat one; of octaves that hold nearly as much, the highest.
    """
    total = float(template.sum())
    n_bins = len(template)
    top = min(_HIGHEST_HZ, bin_hz * (n_bins - 1) / 2)
    # Below this, partials are nearer to each other than they are wide.
    low = max(_LOWEST_HZ, 4.0 * bin_hz)
    if total <= 0.0 or top <= low:
        return None
    candidates = low * 2.0 ** (np.arange(int(np.log2(top / low) * _STEPS) + 1) / _STEPS)
    excess = np.empty(len(candidates))
    ceiling = int(min(n_bins, np.flatnonzero(template > 1e-3 * template.max())[-1] + 2))
    for i, f0 in enumerate(candidates):
        places = np.rint(np.arange(1, _PARTIALS + 1) * f0 / bin_hz).astype(int)
        near = np.unique(np.concatenate([places - 1, places, places + 1]))
        near = near[near < ceiling]
        excess[i] = template[near].sum() / total - len(near) / ceiling
    if excess.max() < _LEAST_PITCHED:
        return None
    return float(candidates[np.flatnonzero(excess >= excess.max() - 0.05)[-1]])


def component_names(n_components: int) -> tuple[str, ...]:
    """Names of components in tables and files: ``component-01`` ..., of one length."""
    digits = max(2, len(str(n_components)))
    return tuple(f"component-{number:0{digits}}" for number in range(1, n_components + 1))
