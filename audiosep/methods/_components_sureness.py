"""How sure a blind grouping is, and what its sources may honestly be called.

A grouping that comes out of other features of the same components, too, is a property of the
sound; one that does not is a property of the feature. ``scripts/bench_components.py`` measures what
that is worth.

References
----------
.. [1] S. B. Davis and P. Mermelstein (1980), "Comparison of parametric representations for
   monosyllabic word recognition in continuously spoken sentences", IEEE TASSP 28(4): cepstra on
   the mel scale.
.. [2] M. Spiertz and V. Gnann (2009), "Source-filter based clustering for monaural blind source
   separation", DAFx: such cepstra of components, clustered.
.. [3] D. FitzGerald (2010), "Harmonic/percussive separation using median filtering", DAFx: peaks
   along frequency are harmonic, peaks along time percussive; we ask it of single components.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from audiosep.grouping import k_means, spectral_groups, timbre_distances
from audiosep.types import Factorization, FloatArray, Grouping

__all__ = ["SURE", "agreement", "names_of"]

SURE = 0.75
"""From this confidence on, a source is named after what it is like."""

_BANDS = 40
_CEPSTRA = 12
_RANGE = 1e-4
"""Bands this far below the loudest (80 dB of power) count as silent."""

_LOW_HZ, _LOW_SHARE = 200.0, 0.5
_WIDTH_HZ, _WIDTH_S = 200.0, 0.3
"""A peak is what stands out of the median over so much."""

_HARMONIC_PEAKS, _HARMONIC_STEADY = 0.75, 0.35
_PERCUSSIVE_PEAKS = 0.6


def agreement(
    factorization: Factorization, grouping: Grouping, *, bin_hz: float, seed: int = 0
) -> npt.NDArray[np.float64]:
    """How far other groupings of the same components find the same sources.

    The components are grouped again by mel cepstra (k-means), and by these together with the
    timbre regardless of pitch (spectral clustering). Sources are matched one to one.

    Parameters
    ----------
    factorization : Factorization
        The components.
    grouping : Grouping
        Of these, each in one source.
    bin_hz : float
        Distance between bins in Hz.
    seed : int
        Start of the random numbers of the clusterings.

    Returns
    -------
    np.ndarray [shape=(n_sources,)]
        Energy that a source has in common with its counterpart relative to that of both, mean over
        the other groupings: 0 to 1. One where there is one source; 0 where there are as many
        sources as components, for then there was nothing to agree on.
    """
    K, n_sources = grouping.weights.shape
    if n_sources == 1:
        return np.ones(1)
    if n_sources >= K:
        return np.zeros(n_sources)
    W = factorization.templates
    cepstra = _mel_cepstra(W, bin_hz)
    distances = np.linalg.norm(cepstra[:, np.newaxis] - cepstra[np.newaxis], axis=-1)
    likeness = _affinity(timbre_distances(W, bin_hz)) * _affinity(distances)
    others = (
        k_means(cepstra, n_sources, np.random.default_rng(seed)),
        spectral_groups(likeness, n_sources, np.random.default_rng(seed)),
    )
    energy = W.sum(axis=0, dtype=np.float64) * factorization.activations.sum(axis=1)
    # Silent components count, but hardly.
    energy = energy / max(float(energy.max()), 1e-300) + 1e-9
    own = grouping.weights.argmax(axis=1)
    found = [_in_common(own, other, energy, n_sources) for other in others]
    return np.asarray(np.mean(found, axis=0), dtype=np.float64)


def _in_common(
    own: npt.NDArray[np.intp], other: npt.NDArray[np.intp], energy: FloatArray, n: int
) -> npt.NDArray[np.float64]:
    """Energy in both over energy in either, of each group and its counterpart."""
    from scipy.optimize import linear_sum_assignment

    both = np.zeros((n, n))
    np.add.at(both, (own, other), energy)
    either = both.sum(axis=1)[:, np.newaxis] + both.sum(axis=0) - both
    share = both / np.maximum(either, 1e-300)
    rows, columns = linear_sum_assignment(share, maximize=True)
    return np.asarray(share[rows, columns], dtype=np.float64)


def _affinity(distances: FloatArray) -> FloatArray:
    """1 for twins, less for others, with the median distance as the scale."""
    positive = distances[distances > 0]
    scale = float(np.median(positive)) if positive.size else 1.0
    near: FloatArray = np.exp(-((distances / scale) ** 2))
    return near


def _mel_cepstra(templates: FloatArray, bin_hz: float) -> FloatArray:
    """(n_components, 12): cosine transform of the logarithm of the powers in mel bands."""
    from scipy.fft import dct

    n_bins = len(templates)
    hz = np.arange(n_bins) * bin_hz
    top = 2595.0 * np.log10(1.0 + hz[-1] / 700.0) if n_bins > 1 else 1.0
    edges = 700.0 * (10.0 ** (np.linspace(0.0, top, _BANDS + 2) / 2595.0) - 1.0)
    rising = (hz - edges[:-2, np.newaxis]) / np.diff(edges)[:-1, np.newaxis]
    falling = (edges[2:, np.newaxis] - hz) / np.diff(edges)[1:, np.newaxis]
    bands = np.clip(np.minimum(rising, falling), 0.0, None)
    wide = templates.astype(np.float64)
    wide /= np.maximum(wide.max(axis=0), 1e-300)
    powers = bands @ wide**2
    levels = np.log(powers / np.maximum(powers.max(axis=0), 1e-300) + _RANGE)
    cepstra: FloatArray = dct(levels, axis=0, norm="ortho")[1 : _CEPSTRA + 1].T
    return cepstra


def names_of(
    factorization: Factorization, grouping: Grouping, *, bin_hz: float, frame_s: float
) -> tuple[str, ...]:
    """Name the sources that a grouping is sure of after what they are like; number the others.

    ``low``: at least half of the magnitude lies below 200 Hz. ``percussive``: peaks in time.
    ``harmonic``: peaks in frequency, and none in time. These are facts about the sound, not
    guesses at what makes it; sources that are neither, or not sure, stay ``source-1`` ... by their
    place.

    Parameters
    ----------
    factorization : Factorization
        The components.
    grouping : Grouping
        Of these, with its confidence.
    bin_hz, frame_s : float
        Distance between bins in Hz and between frames in seconds.

    Returns
    -------
    tuple of str
        One per source; where several would have one name, with numbers from 1.
    """
    if len(grouping.names) == 1:
        return grouping.names
    W, H = factorization.templates, factorization.activations
    hz = np.arange(len(W)) * bin_hz
    low = W[hz < _LOW_HZ].sum(axis=0) / np.maximum(W.sum(axis=0), 1e-30)
    in_frequency = _peaks(W, _WIDTH_HZ / bin_hz)
    in_time = _peaks(H.T, _WIDTH_S / frame_s)
    energy = W.sum(axis=0, dtype=np.float64) * H.sum(axis=1)
    kinds = []
    for source, sure in enumerate(grouping.confidence):
        share = energy * grouping.weights[:, source]
        total = float(share.sum())
        if sure < SURE or total <= 0.0:
            kinds.append("source")
            continue
        mean_low, along_frequency, along_time = (
            float(share @ measure) / total for measure in (low, in_frequency, in_time)
        )
        kinds.append(_kind(mean_low, along_frequency, along_time))
    return tuple(_numbered(kind, place, kinds) for place, kind in enumerate(kinds))


def _kind(low: float, in_frequency: float, in_time: float) -> str:
    if low >= _LOW_SHARE:
        return "low"
    if in_time >= _PERCUSSIVE_PEAKS:
        return "percussive"
    if in_frequency >= _HARMONIC_PEAKS and in_time <= _HARMONIC_STEADY:
        return "harmonic"
    return "source"


def _numbered(kind: str, place: int, kinds: list[str]) -> str:
    if kind == "source":
        return f"source-{place + 1}"
    if kinds.count(kind) == 1:
        return kind
    return f"{kind}-{kinds[: place + 1].count(kind)}"


def _peaks(values: FloatArray, width: float) -> npt.NDArray[np.float64]:
    """Share of each column that stands out of its running median over `width` rows."""
    from scipy.ndimage import median_filter

    size = max(3, int(width) | 1)
    wide = values.astype(np.float64)
    wide /= np.maximum(wide.max(axis=0), 1e-300)
    floor = np.minimum(median_filter(wide, (size, 1), mode="nearest"), wide)
    share = 1.0 - floor.sum(axis=0) / np.maximum(wide.sum(axis=0), 1e-300)
    return np.where(wide.any(axis=0), share, 0.0)
