"""From components to sources: who belongs to whom.

Components that sound like one instrument at different pitches have spectra of one shape at
different places on a logarithmic frequency axis; the similarity used here is therefore the
largest correlation over shifts.

References
----------
.. [1] R. Jaiswal, D. FitzGerald, D. Barry, E. Coyle and S. Rickard (2011), "Clustering NMF basis
   functions using shifted NMF for monaural sound source separation", ICASSP: the idea of shift
   invariance; we cluster similarities instead of factorizing again.
.. [2] A. Ng, M. Jordan and Y. Weiss (2002), "On spectral clustering: analysis and an algorithm",
   NIPS 14.
"""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt

from audiosep.errors import ParameterError
from audiosep.types import Factorization, FloatArray, Grouping, LazyModels

__all__ = [
    "group_by_timbre",
    "grouped_models",
    "k_means",
    "spectral_groups",
    "timbre_distances",
    "timbre_likeness",
]

_LOWEST_HZ = 40.0
_STEPS_PER_OCTAVE = 24
_MAX_SHIFT = 36
_STARTS = 10


def _log_frequency(templates: FloatArray, bin_hz: float) -> FloatArray:
    """Templates on a logarithmic frequency axis, square root, unit norm: (n_components, steps)."""
    n_bins = templates.shape[0]
    top = max(bin_hz * (n_bins - 1), 2.0 * _LOWEST_HZ)
    n_steps = max(2, int(np.log2(top / _LOWEST_HZ) * _STEPS_PER_OCTAVE))
    hz = _LOWEST_HZ * 2.0 ** (np.arange(n_steps) / _STEPS_PER_OCTAVE)
    axis = np.arange(n_bins) * bin_hz
    rows = np.stack([np.interp(hz, axis, column) for column in np.asarray(templates.T, float)])
    rows = np.sqrt(np.maximum(rows, 0.0))
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: FloatArray = rows / np.where(norms == 0.0, 1.0, norms)
    return unit


def timbre_distances(templates: FloatArray, bin_hz: float) -> FloatArray:
    """Dissimilarity of spectra regardless of pitch.

    Parameters
    ----------
    templates : np.ndarray [shape=(n_bins, n_components)]
        Non-negative spectra.
    bin_hz : float
        Distance between bins in Hz.

    Returns
    -------
    np.ndarray [shape=(n_components, n_components)]
        One minus the largest correlation over shifts of up to 1.5 octaves, in [0, 1]; symmetric,
        zero diagonal.
    """
    rows = _log_frequency(templates, bin_hz)
    distances: FloatArray = np.clip(1.0 - _shifted_likeness(rows, rows), 0.0, 1.0)
    np.fill_diagonal(distances, 0.0)
    return distances


def timbre_likeness(templates: FloatArray, others: FloatArray, bin_hz: float) -> FloatArray:
    """Likeness of spectra to others regardless of pitch.

    Parameters
    ----------
    templates : np.ndarray [shape=(n_bins, n_components)]
        Non-negative spectra.
    others : np.ndarray [shape=(n_bins, n_others)]
        Those that they are compared with.
    bin_hz : float
        Distance between bins in Hz.

    Returns
    -------
    np.ndarray [shape=(n_components, n_others)]
        Largest correlation over shifts of up to 1.5 octaves, in [0, 1] up to rounding.
    """
    return _shifted_likeness(_log_frequency(templates, bin_hz), _log_frequency(others, bin_hz))


def _shifted_likeness(rows: FloatArray, others: FloatArray) -> FloatArray:
    n_steps = rows.shape[1]
    best: FloatArray = np.zeros((len(rows), len(others)))
    for shift in range(min(_MAX_SHIFT, n_steps - 1) + 1):
        up = rows[:, shift:] @ others[:, : n_steps - shift].T
        down = up.T if rows is others else rows[:, : n_steps - shift] @ others[:, shift:].T
        best = np.maximum(best, np.maximum(up, down))
    return best


def _spectral_labels(
    distances: FloatArray, n_groups: int, rng: np.random.Generator
) -> npt.NDArray[np.intp]:
    """Ng, Jordan & Weiss (2002) with the median distance as the scale."""
    positive = distances[distances > 0]
    scale = float(np.median(positive)) if positive.size else 1.0
    return spectral_groups(np.exp(-((distances / scale) ** 2)), n_groups, rng)


def spectral_groups(
    affinity: FloatArray, n_groups: int, rng: np.random.Generator
) -> npt.NDArray[np.intp]:
    """Spectral clustering by an affinity, as Ng, Jordan & Weiss (2002) do it.

    Parameters
    ----------
    affinity : np.ndarray [shape=(n, n)]
        Symmetric, 0 to 1; the diagonal does not count.
    n_groups : int
        At most n.
    rng : np.random.Generator
        For the starts of k-means.

    Returns
    -------
    np.ndarray of int [shape=(n,)]
        Group of each; a group may be empty.
    """
    affinity = affinity.copy()
    np.fill_diagonal(affinity, 0.0)
    degree = np.maximum(affinity.sum(axis=1), 1e-12)
    normalised = affinity / np.sqrt(np.outer(degree, degree))
    _, vectors = np.linalg.eigh(normalised)
    points = vectors[:, -n_groups:]
    points = points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-12)
    return k_means(points, n_groups, rng)


def k_means(points: FloatArray, n_groups: int, rng: np.random.Generator) -> npt.NDArray[np.intp]:
    """Group points (n, n_axes) around means: the best of several starts; a group may be empty."""
    from scipy.cluster.vq import kmeans2

    best, lowest = np.zeros(len(points), dtype=np.intp), np.inf
    for _ in range(_STARTS):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that a group is empty
            centres, labels = kmeans2(points, n_groups, minit="++", rng=rng)
        cost = float(((points - centres[labels]) ** 2).sum())
        if cost < lowest - 1e-12:
            best, lowest = labels.astype(np.intp), cost
    return best


def group_by_timbre(
    factorization: Factorization, n_sources: int, *, bin_hz: float, seed: int = 0
) -> Grouping:
    """Group components into sources by the likeness of their spectra.

    Parameters
    ----------
    factorization : Factorization
        Components to group.
    n_sources : int
        Number of groups, 1 to n_components; each gets at least one component.
    bin_hz : float
        Distance between bins in Hz.
    seed : int
        Start of the random numbers of the clustering.

    Returns
    -------
    Grouping
        Weights of 0 and 1; names ``source-1`` ... from low to high; the confidence is the mean
        silhouette of a group's components, at least 0.

    Raises
    ------
    ParameterError
        If `n_sources` is not between 1 and the number of components.
    """
    K = factorization.n_components
    if not 1 <= n_sources <= K:
        raise ParameterError(f"{K} components make 1 to {K} sources, not {n_sources}.")
    distances = timbre_distances(factorization.templates, bin_hz)
    labels = _spectral_labels(distances, n_sources, np.random.default_rng(seed))
    energy = factorization.templates.sum(axis=0) * factorization.activations.sum(axis=1)
    labels = _no_group_empty(labels, n_sources, energy)
    bins = np.arange(factorization.templates.shape[0]) * bin_hz
    sums = np.maximum(factorization.templates.sum(axis=0), 1e-30)
    centroids = (bins @ factorization.templates) / sums
    pitch = [
        float(np.average(centroids[labels == g], weights=energy[labels == g] + 1e-30))
        for g in range(n_sources)
    ]
    order = np.argsort(pitch, kind="stable")
    weights = np.zeros((K, n_sources), dtype=np.float32)
    for source, group in enumerate(order):
        weights[labels == group, source] = 1.0
    return Grouping(
        weights=weights,
        names=tuple(f"source-{i + 1}" for i in range(n_sources)),
        confidence=_silhouettes(distances, weights),
    )


def _no_group_empty(
    labels: npt.NDArray[np.intp], n_groups: int, energy: FloatArray
) -> npt.NDArray[np.intp]:
    labels = np.array(labels, dtype=np.intp)
    for group in range(n_groups):
        if not (labels == group).any():
            largest = np.bincount(labels, minlength=n_groups).argmax()
            members = np.flatnonzero(labels == largest)
            labels[members[np.argmax(energy[members])]] = group
    return labels


def _silhouettes(distances: FloatArray, weights: FloatArray) -> FloatArray:
    n_sources = weights.shape[1]
    if n_sources == 1:
        return np.ones(1)
    sizes = weights.sum(axis=0)
    totals = distances @ weights
    own = weights.argmax(axis=1)
    rows = np.arange(len(distances))
    inside = totals[rows, own] / np.maximum(sizes[own] - 1, 1)
    means = totals / sizes
    means[rows, own] = np.inf
    outside = means.min(axis=1)
    each = (outside - inside) / np.maximum(np.maximum(outside, inside), 1e-12)
    each = np.where(sizes[own] == 1, 0.0, each)
    silhouettes: FloatArray = np.maximum(0.0, (weights.T @ each) / sizes)
    return silhouettes


def grouped_models(
    templates: FloatArray, activations: FloatArray, grouping: Grouping
) -> LazyModels:
    """Models of the sources that a grouping makes of components, a few frames at a time.

    Parameters
    ----------
    templates : np.ndarray [shape=(n_bins, n_components)]
        W.
    activations : np.ndarray [shape=(n_components, n_frames)]
        H.
    grouping : Grouping
        Components to sources.

    Returns
    -------
    LazyModels
        Of the shape (n_sources, 1, n_bins, n_frames).
    """
    spectra = np.ascontiguousarray(templates.T, dtype=np.float32)
    gains = np.asarray(activations, dtype=np.float32)
    # Components without a share in a source cost nothing there.
    members = [np.flatnonzero(column) for column in grouping.weights.T]
    shares = [
        np.asarray(column[some, np.newaxis], dtype=np.float32)
        for column, some in zip(grouping.weights.T, members, strict=True)
    ]

    def frames(first: int, last: int) -> npt.NDArray[np.float32]:
        out = np.empty((len(members), 1, last - first, spectra.shape[1]), dtype=np.float32)
        for row, some, share in zip(out, members, shares, strict=True):
            np.matmul((gains[some, first:last] * share).T, spectra[some], out=row[0])
        return out

    shape = (len(members), 1, spectra.shape[1], gains.shape[1])
    return LazyModels(shape=shape, frames=frames)
