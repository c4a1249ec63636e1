"""Peers of the separation by place, re-created from their papers.

    name            recipe                                        where it differs
    pan histogram   Barry, Lawlor & Coyle (2004, ADRess) and      angles of magnitudes, no phases;
                    Yilmaz & Rickard (2004, DUET): a histogram    peaks at least 2 % of the highest
                    of each bin's angle, 100 cells, one mask      and 4 cells apart; Gaussian masks
                    around each of its highest peaks              (0.08 rad) that sum to one
    PROJET          FitzGerald, Liutkus & Badeau (2016):          10 directions, 30 pans, 40
                    magnitudes of projections on fixed            iterations, Kullback-Leibler;
                    directions are explained by sources with      pans start as Gaussians (0.2 rad)
                    a spectrogram each and gains over pans        around the histogram's peaks

Both are told how many sources there are. Stems are in order from left to right, without names.
"""

from __future__ import annotations

import numpy as np
from _quality_corpus import Item, Signals

WINDOW_S = 0.093
N_CELLS, SIGMA_CELLS = 100, 1.5
LOWEST_PEAK, APART_CELLS = 0.02, 4
MASK_RAD = 0.08
N_DIRECTIONS, N_PANS, N_ITER = 10, 30, 40
START_RAD = 0.2
TINY = 1e-12


def peaks_of(values: np.ndarray, n_wanted: int) -> np.ndarray:
    """Angles of the highest peaks of the histogram, from left to right."""
    from scipy.ndimage import gaussian_filter1d

    left, right = np.abs(values)
    cell = np.minimum(np.arctan2(right, left) / (np.pi / 2) * N_CELLS, N_CELLS - 1).astype(int)
    votes = np.bincount(cell.ravel(), (left + right).ravel(), N_CELLS)
    votes = gaussian_filter1d(votes, SIGMA_CELLS)
    padded = np.pad(votes, 1, constant_values=-1.0)
    tops = np.flatnonzero((votes > padded[:-2]) & (votes >= padded[2:]))
    found: list[int] = []
    for top in tops[np.argsort(-votes[tops], kind="stable")]:
        high = votes[top] >= LOWEST_PEAK * votes.max()
        if high and all(abs(top - other) >= APART_CELLS for other in found):
            found.append(int(top))
    while len(found) < n_wanted:  # fewer peaks than sources: the last ones share a place
        found.append(found[len(found) % max(1, len(set(found)))])
    return (np.sort(found[:n_wanted]) + 0.5) / N_CELLS * np.pi / 2


def pan_histogram(item: Item) -> Signals:
    """Masks around the peaks of the angles."""

    def masks_of(values: np.ndarray) -> np.ndarray:
        angle = np.arctan2(np.abs(values[1]), np.abs(values[0]))
        centres = peaks_of(values, len(item.references))
        near = np.exp(-0.5 * ((angle - centres[:, None, None]) / MASK_RAD) ** 2) + TINY
        return near / near.sum(axis=0)

    return _masked(item, masks_of)


def projet(item: Item) -> Signals:
    """Projections on fixed directions, explained by sources with gains over pans."""

    def masks_of(values: np.ndarray) -> np.ndarray:
        centres = peaks_of(values, len(item.references))
        across = np.linspace(0.0, np.pi, N_DIRECTIONS, endpoint=False)
        pans = np.linspace(0.0, np.pi / 2, N_PANS)
        projected = np.abs(
            np.tensordot(np.stack([np.cos(across), np.sin(across)], 1), values, 1)
        ).reshape(N_DIRECTIONS, -1)
        heard = np.abs(np.cos(across[:, None] - pans))  # directions x pans
        Q = np.exp(-0.5 * ((pans[:, None] - centres) / START_RAD) ** 2) + TINY
        Q /= Q.sum(axis=0)
        P = np.repeat(projected.mean(axis=0)[None], len(centres), axis=0) + TINY
        for _ in range(N_ITER):
            ratio = projected / (heard @ Q @ P + TINY)
            P *= (heard @ Q).T @ ratio / (heard @ Q).sum(axis=0)[:, None]
            ratio = projected / (heard @ Q @ P + TINY)
            Q *= heard.T @ (ratio @ P.T) / (heard.sum(axis=0)[:, None] * P.sum(axis=1) + TINY)
        return (P / (P.sum(axis=0) + TINY)).reshape(len(centres), *values.shape[1:])

    return _masked(item, masks_of)


def _masked(item: Item, masks_of) -> Signals:  # type: ignore[no-untyped-def]
    import audiosep

    spectrogram = audiosep.stft(audiosep.Audio(samples=item.mixture, sr=item.sr), window_s=WINDOW_S)
    masks = masks_of(spectrogram.values).astype(np.float32)
    return {
        f"source-{index + 1}": audiosep.istft(spectrogram, mask=mask[None]).samples
        for index, mask in enumerate(masks)
    }


STEREO_PEERS = {"pan histogram": pan_histogram, "PROJET": projet}
"""Re-creations, by name."""
