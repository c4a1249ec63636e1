"""The sums over the data that every majorisation-minimisation update is made of."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from audiosep.nmf import kernels
from audiosep.nmf.slabs import Slabs
from audiosep.types import FloatArray

__all__ = ["KINDS", "Sums", "statistics"]

KINDS = {
    0.0: kernels.ITAKURA_SAITO,
    0.5: kernels.HALF,
    1.0: kernels.KULLBACK_LEIBLER,
    2.0: kernels.EUCLIDEAN,
}
"""Betas that have a formula of their own."""

# Its arguments are checked by the compiler, not by the type checker.
_SLAB_STATISTICS: Any = kernels.slab_statistics


@dataclass(frozen=True, eq=False)
class Sums:
    """Sums over the data at one point ``(W, H)``, frames-major; ``C = H W``.

    ``R = G ⊙ V ⊙ C^(beta-2)``, ``Q = G ⊙ C^(beta-1)`` with the weights G (1 where there are none).
    """

    loss: float
    """Beta-divergence of the data from the model."""
    above_h: FloatArray
    """``R Wᵀ`` (n_frames, n_components), the falling part of the gradient; empty if not wanted."""
    below_h: FloatArray
    """``Q Wᵀ`` (n_frames, n_components), or (1, n_components) where all frames have the same."""
    above_w: FloatArray
    """``Hᵀ R`` (n_components, n_bins); empty if not wanted."""
    below_w: FloatArray
    """``Hᵀ Q`` (n_components, n_bins), or (n_components, 1) where all bins have the same."""


def statistics(
    V: FloatArray,
    W: FloatArray,
    H: FloatArray,
    beta: float,
    *,
    weights: FloatArray | None = None,
    for_h: bool = True,
    for_w: bool = True,
    with_loss: bool = True,
    pool: ThreadPoolExecutor | None = None,
) -> Sums:
    """One pass over the data, at one point.

    Parameters
    ----------
    V : np.ndarray [shape=(n_frames, n_bins)]
        C-contiguous, mean near one.
    W : np.ndarray [shape=(n_components, n_bins)]
        Templates, C-contiguous, of V's dtype.
    H : np.ndarray [shape=(n_frames, n_components)]
        Activations, C-contiguous, of V's dtype.
    beta : float
        Divergence.
    weights : np.ndarray [shape=(n_frames, n_bins)] or None
        Importance of each entry; writable and C-contiguous.
    for_h, for_w : bool
        Which sums are wanted. With neither, only the loss is computed.
    with_loss : bool
        Whether the loss is wanted; 0 is returned if not.
    pool : ThreadPoolExecutor or None
        Threads to work on; the caller's own where None. The result does not depend on it.

    Returns
    -------
    Sums
    """
    n_frames, n_bins = V.shape
    K = len(W)
    kind = KINDS.get(beta, kernels.GENERAL)
    weighted = weights is not None
    G = np.zeros((1, 1), V.dtype) if weights is None else weights
    plain_kl = kind == kernels.KULLBACK_LEIBLER and not weighted
    slabs = Slabs.of(n_frames, n_bins, K)
    n = len(slabs.parts)
    A = np.empty((n_frames, K) if for_h else (0, K), V.dtype)
    D = np.empty((n_frames, K) if for_h and not plain_kl else (0, K), V.dtype)
    B = np.empty((n, K, n_bins) if for_w else (n, K, 0), V.dtype)
    E = np.empty((n, K, 1 if plain_kl else n_bins) if for_w else (n, K, 0), V.dtype)

    def work(index: int, part: slice) -> float:
        loss: float = _SLAB_STATISTICS(
            V[part],
            G[part] if weighted else G,
            weighted,
            W,
            H[part],
            kind,
            beta,
            slabs.tile,
            with_loss,
            (for_w, for_h),
            A[part],
            D[part],
            B[index],
            E[index],
        )
        return loss

    loss = sum(slabs.map(work, pool))
    below_h = W.sum(axis=1, dtype=np.float64)[np.newaxis].astype(V.dtype) if plain_kl else D
    return Sums(loss, A, below_h if for_h else D, B.sum(axis=0), E.sum(axis=0))
