"""How far iterates are moved on before a step, by Nesterov's weights."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from audiosep.nmf.divergence_kernels import FACTOR_FLOOR
from audiosep.types import FloatArray

__all__ = ["WIDEST_RATIO", "moved_on", "next_momentum"]

_MOST_MOMENTUM = 0.9

WIDEST_RATIO = 5.0
"""Ratios of two iterates are held between this and its inverse before they are extrapolated."""


def next_momentum(t: float) -> tuple[float, float]:
    """Nesterov's number that follows `t`, and the weight of the extrapolation at it.

    Parameters
    ----------
    t : float >= 1
        1 at the start, and after each point that was left again.

    Returns
    -------
    t, momentum : float
        ``t' = (1 + sqrt(1 + 4 t²)) / 2`` and ``min((t - 1) / t', 0.9)``.

    References
    ----------
    .. [1] Y. Nesterov (1983), "A method for solving the convex programming problem with
       convergence rate O(1/k²)", Soviet Math. Doklady 27.
    """
    following = (1.0 + math.sqrt(1.0 + 4.0 * t**2)) / 2.0
    return following, min((t - 1.0) / following, _MOST_MOMENTUM)


def moved_on(
    x: FloatArray,
    before: FloatArray,
    momentum: float,
    free: npt.NDArray[np.bool_] | bool = True,
) -> FloatArray:
    """``x (x / before)^momentum`` where free and positive: further on the way it came.

    Parameters
    ----------
    x, before : np.ndarray [shape=(n, m)]
        An iterate, and the one before it.
    momentum : float
        That of :func:`next_momentum`.
    free : bool or np.ndarray of bool
        What may move; broadcastable to `x`.

    Returns
    -------
    np.ndarray [shape=(n, m)]
    """
    type_ = x.dtype.type
    moving = free & (before > 0)
    ratio = np.divide(x, before, out=np.ones_like(x), where=moving)
    np.clip(ratio, 1.0 / WIDEST_RATIO, WIDEST_RATIO, out=ratio)
    moved = np.maximum(x * ratio ** type_(momentum), type_(FACTOR_FLOOR))
    return np.where(moving, moved, x)
