"""Drums by their own hits: templates cut out of the recording, fitted as patches in time.

The strokes of one drum sound alike. The onsets of a first drum estimate are clustered by sound;
the median patch of each cluster is a template with a time extent, which a convolutive
factorization then fits to the mixture beside the templates of the other sources.

References
----------
.. [1] P. Smaragdis (2004), "Non-negative matrix factor deconvolution; extraction of multiple sound
   sources from monophonic inputs", ICA, LNCS 3195.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["HitModel", "find_onsets", "fit_hits", "hit_patches"]

_Matrix = npt.NDArray[np.float32]

_PATCH_S = 0.23
"""Length of a hit's template."""

_SOUND_S = 0.12
"""Beginning of a hit by which drums are told apart."""

_GAP_S = 0.07
_CONTEXT_S = 1.0
_RISE = 1.2
"""An onset rises by this much more than the second around it."""

_N_CLASSES = 6
_N_FEATURE_BANDS = 24
_MIN_ONSETS = 4
_QUIET = 1e-3
"""Activation between onsets at the start, relative to a mean hit: not zero, so it can grow."""


@dataclass(frozen=True, kw_only=True, eq=False)
class HitModel:
    """Result of the convolutive factorization.

    Parameters
    ----------
    drums : np.ndarray [shape=(n_bands, n_frames)]
        Modelled magnitudes of the hits.
    templates : np.ndarray [shape=(n_bands, n_components)]
        Templates of the other sources, refitted.
    activations : np.ndarray [shape=(n_components, n_frames)]
        Their activations.
    """

    drums: _Matrix
    templates: _Matrix
    activations: _Matrix


def find_onsets(drums: _Matrix, frame_s: float) -> npt.NDArray[np.intp]:
    """Find the frames where the logarithmic spectrum rises most.

    Parameters
    ----------
    drums : np.ndarray [shape=(n_bands, n_frames)]
        A first estimate of the drums' magnitudes.
    frame_s : float > 0
        Distance between frames in seconds.

    Returns
    -------
    np.ndarray [shape=(n_onsets,), dtype=int]
        Increasing; at least 0.07 s apart; never frame 0, which has no past.
    """
    from scipy import ndimage

    level = float(drums.mean())
    if level <= 0.0 or drums.shape[1] < 2:
        return np.zeros(0, dtype=np.intp)
    rise = np.diff(np.log1p(3.0 * drums / level), axis=1, prepend=drums[:, :1] * 0.0)
    flux = np.maximum(rise, 0.0).sum(axis=0)
    flux[0] = 0.0
    context = max(3, round(_CONTEXT_S / frame_s))
    flux /= ndimage.uniform_filter1d(flux, context) + 1e-9
    gap = max(1, round(_GAP_S / frame_s))
    free = np.ones(len(flux), dtype=bool)
    onsets = []
    for frame in np.argsort(-flux, kind="stable"):
        if flux[frame] <= _RISE:
            break
        if free[frame]:
            onsets.append(frame)
            free[max(0, frame - gap + 1) : frame + gap] = False
    return np.array(sorted(onsets), dtype=np.intp)


def _sounds(patches: _Matrix, centres_hz: npt.NDArray[np.float64], n_frames: int) -> _Matrix:
    """Describe each patch by the levels of 24 bands in its first frames, in logarithms."""
    warped = np.log1p(centres_hz / 200.0)
    band = (warped / max(warped[-1], 1e-9) * _N_FEATURE_BANDS).astype(int)
    band = np.minimum(band, _N_FEATURE_BANDS - 1)
    starts = np.flatnonzero(np.diff(band, prepend=-1))
    sums = np.add.reduceat(patches[:, :, :n_frames], starts, axis=1)
    logs: _Matrix = np.log(sums + 1e-3).reshape(len(patches), -1).astype(np.float32)
    return logs


def _cluster(points: _Matrix, n_classes: int, rng: np.random.Generator) -> npt.NDArray[np.intp]:
    """Label points by k-means, started far apart; at most 20 rounds."""

    def distances(centres: list[_Matrix]) -> _Matrix:
        return np.stack([((points - centre) ** 2).sum(axis=1) for centre in centres], axis=1)

    centres = [points[rng.integers(len(points))]]
    while len(centres) < min(n_classes, len(points)):
        chance = distances(centres).min(axis=1).astype(np.float64)
        if chance.sum() <= 0.0:
            break
        centres.append(points[rng.choice(len(points), p=chance / chance.sum())])
    labels: npt.NDArray[np.intp] = distances(centres).argmin(axis=1)
    for _ in range(20):
        centres = [
            points[labels == j].mean(axis=0) if (labels == j).any() else centre
            for j, centre in enumerate(centres)
        ]
        before, labels = labels, distances(centres).argmin(axis=1)
        if np.array_equal(before, labels):
            break
    return labels


def hit_patches(
    drums: _Matrix, centres_hz: npt.NDArray[np.float64], frame_s: float, rng: np.random.Generator
) -> tuple[_Matrix, _Matrix] | None:
    """Cut the hits out of a drum estimate and sort them by sound.

    Parameters
    ----------
    drums : np.ndarray [shape=(n_bands, n_frames)]
        A first estimate of the drums' magnitudes.
    centres_hz : np.ndarray [shape=(n_bands,)]
        Frequency of each band in Hz.
    frame_s : float > 0
        Distance between frames in seconds.
    rng : numpy.random.Generator
        For the start of the clustering.

    Returns
    -------
    templates : np.ndarray [shape=(n_classes, n_bands, n_taps)]
        Median patch of each kind of hit, of unit energy, starting a frame before the onset.
    activations : np.ndarray [shape=(n_classes, n_frames)]
        Each hit's level at its frame, next to nothing elsewhere.
    None
        Instead of both when there are fewer than four hits: too few to learn from.
    """
    onsets = find_onsets(drums, frame_s)
    if len(onsets) < _MIN_ONSETS:
        return None
    n_taps = max(2, round(_PATCH_S / frame_s))
    padded = np.pad(drums, ((0, 0), (0, n_taps)))
    patches = np.stack([padded[:, frame - 1 : frame - 1 + n_taps] for frame in onsets])
    levels = np.sqrt((patches**2).sum(axis=(1, 2))) + np.float32(1e-12)
    patches /= levels[:, np.newaxis, np.newaxis]
    labels = _cluster(
        _sounds(patches, centres_hz, max(1, round(_SOUND_S / frame_s))), _N_CLASSES, rng
    )
    kinds = np.unique(labels)
    templates = np.stack([np.median(patches[labels == kind], axis=0) for kind in kinds])
    activations = np.full((len(kinds), drums.shape[1]), _QUIET * levels.mean(), dtype=np.float32)
    for row, kind in enumerate(kinds):
        members = labels == kind
        activations[row, onsets[members] - 1] = levels[members]
    return templates.astype(np.float32), activations


def fit_hits(
    V: _Matrix,
    hits: tuple[_Matrix, _Matrix],
    templates: _Matrix,
    activations: _Matrix,
    n_iter: int,
) -> HitModel:
    """Fit hits (patches in time) and ordinary components together, for the KL divergence.

    The model is ``Σ_t T_t shift(H, t) + W A``, with all factors free.

    Parameters
    ----------
    V : np.ndarray [shape=(n_bands, n_frames)]
        Magnitudes of the mixture, on a scale of about one.
    hits : tuple
        Templates and activations from :func:`hit_patches`.
    templates : np.ndarray [shape=(n_bands, n_components)]
        Start of W.
    activations : np.ndarray [shape=(n_components, n_frames)]
        Start of A.
    n_iter : int >= 0
        Iterations.

    Returns
    -------
    HitModel
        The shares of the model after the last iteration.
    """
    patches, H = hits[0], np.maximum(hits[1].T, 1e-10)
    n_classes, n_bands, n_taps = patches.shape
    n_frames = V.shape[1]
    n_hits = n_classes * n_taps
    # Patches and components are the rows of one matrix; shifted copies of H stand beside A. So the
    # convolution becomes one product, [shifted H, A] @ [T; W].
    rows = np.concatenate([patches.transpose(0, 2, 1).reshape(n_hits, n_bands), templates.T])
    rows = np.maximum(rows, 1e-10).astype(np.float32)
    A = np.maximum(activations.T, 1e-10).astype(np.float32)
    data = np.ascontiguousarray(V.T) + np.float32(1e-9 * V.mean() + 1e-12)

    def shifted(H: _Matrix) -> _Matrix:
        copies = np.zeros((n_frames, n_classes, n_taps), dtype=np.float32)
        for tap in range(min(n_taps, n_frames)):
            copies[tap:, :, tap] = H[: n_frames - tap]
        return np.concatenate([copies.reshape(n_frames, n_hits), A], axis=1)

    def unshifted(P: _Matrix) -> _Matrix:
        copies = P[:, :n_hits].reshape(n_frames, n_classes, n_taps)
        total = np.zeros((n_frames, n_classes), dtype=np.float32)
        for tap in range(min(n_taps, n_frames)):
            total[: n_frames - tap] += copies[tap:, :, tap]
        return total

    for _ in range(n_iter):
        gains = shifted(H)
        back = (data / (gains @ rows + 1e-12)) @ rows.T
        sums = np.broadcast_to(rows.sum(axis=1), back.shape)
        H = np.maximum(H * unshifted(back) / (unshifted(sums) + 1e-12), 1e-10)
        A = np.maximum(A * back[:, n_hits:] / (sums[:, n_hits:] + 1e-12), 1e-10)
        gains = shifted(H)
        back = gains.T @ (data / (gains @ rows + 1e-12))
        rows = np.maximum(rows * back / (gains.sum(axis=0)[:, np.newaxis] + 1e-12), 1e-10)
    drums = shifted(H)[:, :n_hits] @ rows[:n_hits]
    return HitModel(drums=drums.T, templates=rows[n_hits:].T, activations=A.T)
