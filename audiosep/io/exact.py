"""Integers that add up: quantising stems so that their sum is the mixture, sample for sample."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from audiosep.types import FloatArray

__all__ = ["fits", "quantise"]


def quantise(
    stems: Sequence[FloatArray], mixture: FloatArray, n_bits: int
) -> list[npt.NDArray[np.int64]]:
    """Quantise stems so that the integers sum to the quantised mixture exactly.

    The running sums of the stems are rounded, and each stem is the difference of two of them; the
    last running sum is the mixture itself. Every sample is within one step of its exact value,
    and a stem that is silent stays silent.

    Parameters
    ----------
    stems : sequence of np.ndarray [shape=(..., n_samples)]
        At full scale 1.0; they sum to the mixture up to rounding.
    mixture : np.ndarray [shape like a stem]
        At full scale 1.0.
    n_bits : int
        16 or 24.

    Returns
    -------
    list of np.ndarray [dtype=int64]
        One per stem; they may leave the range of `n_bits`, see :func:`fits`.
    """
    steps = float(2 ** (n_bits - 1))
    whole = np.rint(np.asarray(mixture, dtype=np.float64) * steps).astype(np.int64)
    running = np.zeros(whole.shape)
    before = np.zeros(whole.shape, dtype=np.int64)
    out = []
    for stem in stems[:-1]:
        running += np.asarray(stem, dtype=np.float64) * steps
        now = np.rint(running).astype(np.int64)
        out.append(now - before)
        before = now
    out.append(whole - before)
    return out


def fits(quantised: Sequence[npt.NDArray[np.int64]], n_bits: int) -> bool:
    """Whether all samples are in the range of `n_bits`-bit integers."""
    low, high = -(2 ** (n_bits - 1)), 2 ** (n_bits - 1) - 1
    return all(q.size == 0 or (q.min() >= low and q.max() <= high) for q in quantised)
