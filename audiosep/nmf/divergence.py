"""Beta-divergences in plain NumPy: the readable oracle of the kernels."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from audiosep.errors import ParameterError

__all__ = ["BETA_NAMES", "beta_divergence", "beta_from", "mm_exponent", "mm_powers"]

BETA_NAMES: dict[str, float] = {"is": 0.0, "kl": 1.0, "euclidean": 2.0}
"""Named divergences: Itakura-Saito, Kullback-Leibler, squared Euclidean."""

_BETA_RANGE = 4.0


def beta_from(beta: float | str) -> float:
    """Turn a name or a number into a beta.

    Parameters
    ----------
    beta : float or {"is", "kl", "euclidean"}
        Any number from -4 to 4.

    Returns
    -------
    float

    Raises
    ------
    ParameterError
        If it is neither.
    """
    if isinstance(beta, str) and beta in BETA_NAMES:
        return BETA_NAMES[beta]
    try:
        value = float(beta)
    except (TypeError, ValueError):
        value = math.nan
    if not abs(value) <= _BETA_RANGE:
        names = ", ".join(BETA_NAMES)
        raise ParameterError(f"beta {beta!r} is unknown; use {names} or a number from -4 to 4.")
    return value


def mm_exponent(beta: float) -> float:
    """Exponent that makes the multiplicative update a majorisation-minimisation step.

    Févotte & Idier (2011), "Algorithms for nonnegative matrix factorization with the
    beta-divergence", Neural Computation 23(9), eq. 4.9: ``1/(2-beta)`` below 1, ``1`` from 1 to
    2, ``1/(beta-1)`` above 2. With it the objective never rises.
    """
    if beta < 1.0:
        return 1.0 / (2.0 - beta)
    return 1.0 if beta <= 2.0 else 1.0 / (beta - 1.0)


def mm_powers(beta: float) -> tuple[float, float]:
    """Highest rising and lowest falling power of the bound behind :func:`mm_exponent`.

    Févotte & Idier (2011), table 1: the convex part of the divergence is bounded by Jensen's
    inequality, which keeps its power of the model, the concave part by its tangent, a power of
    one.
    """
    return max(beta, 1.0), min(beta - 1.0, 1.0)


def beta_divergence(
    V: npt.ArrayLike,
    model: npt.ArrayLike,
    beta: float | str = 1.0,
    weights: npt.ArrayLike | None = None,
) -> float:
    """Sum of the beta-divergence of each entry of `V` from `model`.

    ``d(x|y) = (x^b + (b-1) y^b - b x y^(b-1)) / (b (b-1))`` with the limits
    ``x log(x/y) - x + y`` for b = 1 (Kullback-Leibler) and ``x/y - log(x/y) - 1`` for b = 0
    (Itakura-Saito); Févotte & Idier (2011), eq. 2.1.

    Parameters
    ----------
    V, model : array_like
        Of one shape, non-negative. The model must be positive where `V` is positive, for
        beta <= 1; for beta <= 0 both must be positive.
    beta : float or {"is", "kl", "euclidean"}
        Which divergence.
    weights : array_like, optional
        Non-negative weight of each entry.

    Returns
    -------
    float
        At least 0; infinite where the divergence is.

    Raises
    ------
    ParameterError
        If the arrays do not fit each other, or are negative.
    """
    try:
        x = np.asarray(V, dtype=np.float64)
        y = np.asarray(model, dtype=np.float64)
        G = None if weights is None else np.asarray(weights, dtype=np.float64)
    except (TypeError, ValueError):
        raise ParameterError("V, model and weights must be arrays of real numbers.") from None
    for name, array in (("model", y), ("weights", G)):
        if array is not None and array.shape != x.shape:
            raise ParameterError(f"{name} has shape {array.shape}, expected {x.shape} like V.")
    if x.size and not (x.min() >= 0.0 and y.min() >= 0.0):
        raise ParameterError("V and model must not be negative, nor hold NaN.")
    b = beta_from(beta)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        if b == 1.0:
            each = np.where(x > 0, x * np.log(x / y), 0.0) - x + y
        elif b == 0.0:
            each = x / y - np.log(x / y) - 1.0
        elif b == 2.0:
            each = 0.5 * (x - y) ** 2
        else:
            # With r = x / y, in the form that does not cancel near b = 0, or near b = 1.
            r = x / y
            if abs(b) < 0.5:
                each = y**b * (np.expm1(b * np.log(r)) / b - (r - 1.0)) / (b - 1.0)
            else:
                a = b - 1.0
                each = y**b * (r * np.expm1(a * np.log(r)) / a - (r - 1.0)) / b
            each = np.where(x > 0, each, y**b / b if b > 0 else np.inf)
            if b > 1.0:
                each = np.where(y > 0, each, x**b / (b * (b - 1.0)))
        if b <= 1.0:
            # Infinity minus infinity in the formulas, but the limit is clear.
            each = np.where((x > 0) & (y == 0), np.inf, each)
        each = np.maximum(each, 0.0)  # rounding can leave a little below
        if G is not None:
            each = np.where(G > 0, each * G, 0.0)
    return float(each.sum())
