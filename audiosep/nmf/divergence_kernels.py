"""Compiled formulas of the beta-divergences: one frame at a time, arrays in, arrays out."""

# Typed by the compiler, which sees more than an annotation could say.
# mypy: disable-error-code="no-untyped-def,no-untyped-call"
# ruff: noqa: ANN001, ANN201

from __future__ import annotations

import numpy as np

from audiosep.nmf.jit import bits_of, float_of, kernel

__all__ = [
    "EUCLIDEAN",
    "FACTOR_FLOOR",
    "GENERAL",
    "HALF",
    "ITAKURA_SAITO",
    "KULLBACK_LEIBLER",
    "MODEL_FLOOR",
    "log32",
    "log_ratio",
    "loss_of_frame",
    "ratios",
]

# Which formula `ratios` uses; beta itself only matters to GENERAL.
ITAKURA_SAITO, HALF, KULLBACK_LEIBLER, EUCLIDEAN, GENERAL = 0, 1, 2, 3, 4

# Added to the model, for data scaled to a mean near one: -240 dB. Added, and not a lowest value,
# because a constant more leaves the proof intact that losses never rise. The inverse square
# of it times a loud entry still fits float32.
MODEL_FLOOR = 1e-12

# Factors are held above this: their products stay clear of subnormal numbers, which are ten
# times slower to compute with.
FACTOR_FLOOR = 1e-16

_LN2 = 0.6931471805599453


@kernel
def log32(x):
    """Natural logarithm of a float32 >= 0; some finite number for zero.

    x = (1 + f) 2^e with 1 + f in [sqrt(1/2), sqrt(2)); log(1 + f) = f - f²/2 + f³ P(f), where P
    was fitted at 400 Chebyshev nodes and errs by 3e-8. Unlike the library's logarithm it
    vectorises, and it needs no division.
    """
    raw = bits_of(np.float32(x))
    exponent = np.int32(np.int32(raw - np.int32(0x3F3504F3)) >> np.int32(23))
    mantissa = float_of(np.int32(raw - np.int32(exponent << np.int32(23))))
    f = mantissa - np.float32(1.0)
    p = f * np.float32(0.08493248373) + np.float32(-0.14261320233)
    p = p * f + np.float32(0.14987601340)
    p = p * f + np.float32(-0.16580842435)
    p = p * f + np.float32(0.19955837727)
    p = p * f + np.float32(-0.25001138449)
    p = p * f + np.float32(0.33334121108)
    p = p * f + np.float32(-0.5)
    return np.float32(exponent) * np.float32(_LN2) + (f + f * f * p)


@kernel
def log_ratio(r, out):
    """``out = log r``; some finite number where r is zero."""
    if r.itemsize == 4:
        for j in range(r.size):
            out[j] = log32(r[j])
    else:
        for j in range(r.size):
            out[j] = np.log(max(r[j], 1e-300))


@kernel
def loss_of_frame(kind, beta, v, c, g, weighted, ratio, logs):
    """Divergence of one frame v from its model c; `ratio` and `logs` are scratch.

    For Kullback-Leibler and Itakura-Saito `ratio` is left holding ``v / c``.
    """
    floor = c.dtype.type(MODEL_FLOOR)
    one = c.dtype.type(1.0)
    two = c.dtype.type(2.0)
    half = c.dtype.type(0.5)
    loss = c.dtype.type(0.0)
    n = c.size
    if kind == KULLBACK_LEIBLER:
        for j in range(n):
            ratio[j] = v[j] / (c[j] + floor)
        log_ratio(ratio, logs)
        for j in range(n):
            # x log(x/y) - x + y with x = r y
            each = (c[j] + floor) * (ratio[j] * (logs[j] - one) + one)
            loss += each * g[j] if weighted else each
    elif kind == ITAKURA_SAITO:
        for j in range(n):
            ratio[j] = v[j] / (c[j] + floor)
        log_ratio(ratio, logs)
        for j in range(n):
            each = ratio[j] - logs[j] - one
            loss += each * g[j] if weighted else each
    elif kind == HALF:
        for j in range(n):
            # 2 (sqrt x - sqrt y)² / sqrt y: the same, without cancellation
            root = np.sqrt(c[j] + floor)
            gap = np.sqrt(v[j]) - root
            each = two * gap * gap / root
            loss += each * g[j] if weighted else each
    elif kind == EUCLIDEAN:
        for j in range(n):
            gap = v[j] - c[j]
            each = half * gap * gap
            loss += each * g[j] if weighted else each
    else:
        wide = 0.0
        for j in range(n):
            # With r = x / y, in the form that does not cancel near beta 0, or near beta 1.
            x = np.float64(v[j])
            y = np.float64(c[j] + floor)
            yb = np.exp(beta * np.log(y))
            r = x / y
            if x <= 0.0:
                d = yb / beta
            elif abs(beta) < 0.5:
                d = yb * (np.expm1(beta * np.log(r)) / beta - (r - 1.0)) / (beta - 1.0)
            else:
                a = beta - 1.0
                d = yb * (r * np.expm1(a * np.log(r)) / a - (r - 1.0)) / beta
            wide += d * np.float64(g[j]) if weighted else d
        return wide
    return np.float64(loss)


@kernel
def ratios(kind, beta, v, c, g, weighted, Q):
    """Turn the model c of one frame into R in place, and fill Q.

    For Kullback-Leibler without weights Q is all ones and left untouched.
    """
    floor = c.dtype.type(MODEL_FLOOR)
    one = c.dtype.type(1.0)
    n = c.size
    if kind == KULLBACK_LEIBLER:
        for j in range(n):
            c[j] = v[j] / (c[j] + floor)
        if weighted:
            for j in range(n):
                Q[j] = one
    elif kind == ITAKURA_SAITO:
        for j in range(n):
            inverse = one / (c[j] + floor)
            Q[j] = inverse
            c[j] = v[j] * inverse * inverse
    elif kind == HALF:
        for j in range(n):
            inverse = one / np.sqrt(c[j] + floor)
            Q[j] = inverse
            c[j] = v[j] * inverse * inverse * inverse
    elif kind == EUCLIDEAN:
        for j in range(n):
            Q[j] = c[j]
            c[j] = v[j]
    else:
        for j in range(n):
            y = np.float64(c[j] + floor)
            y1 = np.exp((beta - 1.0) * np.log(y))
            Q[j] = y1
            c[j] = v[j] * y1 / y
    if weighted:
        for j in range(n):
            c[j] *= g[j]
            Q[j] *= g[j]
