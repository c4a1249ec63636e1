"""Data at a mean near one, which is what solvers work at, and the way back."""

from __future__ import annotations

import math

import numpy as np

from audiosep.types import FloatArray

__all__ = ["SMALLEST_DATA", "absolute", "to_unit_level"]

SMALLEST_DATA = 1e-9
"""Zeros are raised to this times the mean where the divergence of zero is infinite."""

_EXACT = 100
"""Powers of two up to this are normal numbers of every type; multiplying by them is quick."""


def to_unit_level(
    data: FloatArray, beta: float, weights: FloatArray | None = None, *, copy: bool = True
) -> tuple[FloatArray, float]:
    """Divide by a power of two, so that the mean is near one.

    A power of two changes no digit, so results scale with the data exactly.

    Parameters
    ----------
    data : np.ndarray
        Non-negative and finite; not changed.
    beta : float
        Divergence it is for: at 0 and below, zeros are raised to 1e-9 of the mean.
    weights : np.ndarray [shape=data.shape] or None
        Entries of weight zero are missing: they become zero and do not count.
    copy : bool
        Whether the result must be new; if not, data that need no change are returned themselves.

    Returns
    -------
    data : np.ndarray
        C-contiguous.
    scale : float
        What it was divided by; 0 where there is nothing but zeros.
    """
    if weights is not None:
        data = np.where(weights > 0, data, data.dtype.type(0))
    n_observed = data.size if weights is None else int(np.count_nonzero(weights))
    # Rows first: long sums in single precision are fast, and sums of their sums exact enough.
    with np.errstate(over="ignore"):
        mean = float(data.sum(axis=-1).sum(dtype=np.float64)) / max(n_observed, 1)
    if math.isinf(mean):
        mean = float((data / n_observed).sum())
    if mean == 0.0 and not data.any():
        return np.zeros(data.shape, data.dtype), 0.0
    # The scale must be a normal number of the data's own type.
    info = np.finfo(data.dtype)
    power = round(math.log2(mean)) if mean > 0.0 else int(info.minexp)
    power = int(min(max(power, info.minexp), info.maxexp - 1))
    if power == 0 and not copy and data.flags.c_contiguous and data.flags.writeable:
        out = data  # kernels are compiled for arrays that could be written to
    elif abs(power) < _EXACT:
        out = np.ascontiguousarray(data * data.dtype.type(2.0**-power))
    else:
        out = np.ascontiguousarray(np.ldexp(data, -power))
    if beta <= 0.0:
        smallest = out.dtype.type(SMALLEST_DATA)
        if out is not data:
            np.maximum(out, smallest, out=out)
        elif out.min() < smallest:
            out = np.maximum(out, smallest)
    return out, math.ldexp(1.0, power)


def absolute(losses: list[float], scale: float, beta: float) -> list[float]:
    """Return divergences of scaled data as those of the data itself."""
    try:
        unit = scale**beta
    except OverflowError:
        unit = math.inf
    return [loss * unit if loss else 0.0 for loss in losses]
