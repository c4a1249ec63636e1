"""Starting points of the factorization."""

from __future__ import annotations

import numpy as np

from audiosep.types import FloatArray

__all__ = ["random_start"]


def random_start(
    V: FloatArray, n_components: int, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Uniform random factors whose product has the level of the data.

    Parameters
    ----------
    V : np.ndarray [shape=(n_frames, n_bins)]
        Non-negative data, frames first.
    n_components : int
        Number of components.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    W : np.ndarray [shape=(n_components, n_bins)]
        ``0.1 + 0.9 U(0, 1)``, rows scaled to sum one.
    H : np.ndarray [shape=(n_frames, n_components)]
        ``(0.1 + 0.9 U(0, 1))`` times the mean frame sum over `n_components`.
    """
    n_frames, n_bins = V.shape
    W = 0.1 + 0.9 * rng.random((n_components, n_bins))
    W /= W.sum(axis=1, keepdims=True)
    level = float(V.mean(dtype=np.float64)) * n_bins / n_components
    H = (0.1 + 0.9 * rng.random((n_frames, n_components))) * level
    return W.astype(V.dtype), H.astype(V.dtype)
