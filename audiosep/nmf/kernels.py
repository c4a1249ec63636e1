"""Compiled loops of the multiplicative updates: arrays in, arrays out, the caller allocates.

Everything is frames-major: ``V (n_frames, n_bins)``, ``W (n_components, n_bins)``,
``H (n_frames, n_components)``. A slab is a run of consecutive frames; it is worked off in tiles
that stay in the second-level cache, so that V is read from memory once per iteration and no
temporary has V's size. Slabs are independent of each other but for the sums they return.

With ``R = V ⊙ C^(beta-2)``, ``Q = C^(beta-1)`` and the model ``C = H W`` (products by entries)
the steps are, for the exponent g of :func:`audiosep.nmf.divergence.mm_exponent`::

    H <- H (R Wᵀ / Q Wᵀ)^g           W <- W (Hᵀ R / Hᵀ Q)^g

Févotte & Idier (2011), eqs. 4.7-4.9. Weights G multiply both R and Q.
"""

# Typed by the compiler, which sees more than an annotation could say.
# mypy: disable-error-code="no-untyped-def,no-untyped-call"
# ruff: noqa: ANN001, ANN201, ANN202

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
    "log_ratio",
    "loss_of_frame",
    "multiply",
    "ratios",
    "slab_loss",
    "slab_statistics",
    "slab_step",
]

# Which formula `ratios` uses; beta itself only matters to GENERAL.
ITAKURA_SAITO, HALF, KULLBACK_LEIBLER, EUCLIDEAN, GENERAL = 0, 1, 2, 3, 4

# The model is held above this, for data scaled to a mean near one: -240 dB. The inverse square
# of it times a loud entry still fits float32.
MODEL_FLOOR = 1e-12

# Factors are held above this: their products stay clear of subnormal numbers, which are ten
# times slower to compute with.
FACTOR_FLOOR = 1e-16

_LN2 = 0.6931471805599453


@kernel
def log32(x):
    """Natural logarithm of a float32 >= 0; some finite number for zero.

    x = m 2^e with m in [sqrt(1/2), sqrt(2)); log m = 2 (s + s³/3 + s⁵/5 + ...) with
    s = (m-1)/(m+1), cut below one rounding. Unlike the library's logarithm it vectorises.
    """
    raw = bits_of(np.float32(x))
    exponent = np.int32(np.int32(raw - np.int32(0x3F3504F3)) >> np.int32(23))
    mantissa = float_of(np.int32(raw - np.int32(exponent << np.int32(23))))
    s = (mantissa - np.float32(1.0)) / (mantissa + np.float32(1.0))
    q = s * s
    series = q * np.float32(1 / 9) + np.float32(1 / 7)
    series = series * q + np.float32(1 / 5)
    series = series * q + np.float32(1 / 3)
    series = series * q + np.float32(1.0)
    return np.float32(exponent) * np.float32(_LN2) + np.float32(2.0) * s * series


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
    """Divergence of one frame v from its model c; `ratio` and `logs` are scratch."""
    floor = c.dtype.type(MODEL_FLOOR)
    one = c.dtype.type(1.0)
    two = c.dtype.type(2.0)
    half = c.dtype.type(0.5)
    loss = c.dtype.type(0.0)
    n = c.size
    if kind == KULLBACK_LEIBLER:
        for j in range(n):
            ratio[j] = v[j] / max(c[j], floor)
        log_ratio(ratio, logs)
        for j in range(n):
            # x log(x/y) - x + y with x = r y
            each = max(c[j], floor) * (ratio[j] * (logs[j] - one) + one)
            loss += each * g[j] if weighted else each
    elif kind == ITAKURA_SAITO:
        for j in range(n):
            ratio[j] = v[j] / max(c[j], floor)
        log_ratio(ratio, logs)
        for j in range(n):
            each = ratio[j] - logs[j] - one
            loss += each * g[j] if weighted else each
    elif kind == HALF:
        for j in range(n):
            # 2 (sqrt x - sqrt y)² / sqrt y: the same, without cancellation
            root = np.sqrt(max(c[j], floor))
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
            x = np.float64(v[j])
            y = np.float64(max(c[j], floor))
            xb = np.exp(beta * np.log(x)) if x > 0.0 else 0.0
            y1 = np.exp((beta - 1.0) * np.log(y))
            d = (xb + (beta - 1.0) * y * y1 - beta * x * y1) / (beta * (beta - 1.0))
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
            c[j] = v[j] / max(c[j], floor)
        if weighted:
            for j in range(n):
                Q[j] = one
    elif kind == ITAKURA_SAITO:
        for j in range(n):
            inverse = one / max(c[j], floor)
            Q[j] = inverse
            c[j] = v[j] * inverse * inverse
    elif kind == HALF:
        for j in range(n):
            inverse = one / np.sqrt(max(c[j], floor))
            Q[j] = inverse
            c[j] = v[j] * inverse * inverse * inverse
    elif kind == EUCLIDEAN:
        for j in range(n):
            Q[j] = c[j]
            c[j] = v[j]
    else:
        for j in range(n):
            y = np.float64(max(c[j], floor))
            y1 = np.exp((beta - 1.0) * np.log(y))
            Q[j] = y1
            c[j] = v[j] * y1 / y
    if weighted:
        for j in range(n):
            c[j] *= g[j]
            Q[j] *= g[j]


@kernel
def multiply(x, numerator, denominator, exponent, floor):
    """``x <- max(x (numerator / denominator)^exponent, floor)`` by entries of two matrices.

    Entries that are exactly zero stay zero (a zero is a constraint), and so does an entry whose
    denominator is zero stay as it is (nothing was observed there). A denominator of one row or
    one column serves all.
    """
    rows, columns = x.shape
    row_step = 0 if denominator.shape[0] == 1 else 1
    column_step = 0 if denominator.shape[1] == 1 else 1
    for i in range(rows):
        for k in range(columns):
            below = denominator[i * row_step, k * column_step]
            if x[i, k] > 0.0 and below > 0.0:
                ratio = numerator[i, k] / below
                if exponent != 1.0:
                    ratio = ratio**exponent
                x[i, k] = max(x[i, k] * ratio, floor)


@kernel
def slab_step(V, G, weighted, W, H, kind, beta, exponent, free, tile, update_w, B, E):
    """One iteration on a slab: updates H in place, returns the divergence before it.

    Parameters (shapes): V (n, F); G (n, F) or empty; W (K, F); H (n, K); free (K,) 1 where the
    activation may move; B (K, F) receives Hᵀ R of the updated H; E receives Hᵀ Q (K, F), or for
    Kullback-Leibler without weights the sums of H (K, 1).
    """
    n_frames, n_bins = V.shape
    K = W.shape[0]
    plain_kl = kind == KULLBACK_LEIBLER and not weighted
    R_all = np.empty((tile, n_bins), V.dtype)
    Q_all = np.empty((tile, n_bins), V.dtype)
    A_all = np.empty((tile, K), V.dtype)
    D_all = np.empty((tile, K), V.dtype)
    T = np.empty((K, n_bins), V.dtype)
    ratio = np.empty(n_bins, V.dtype)
    logs = np.empty(n_bins, V.dtype)
    floor = V.dtype.type(FACTOR_FLOOR)
    power = V.dtype.type(exponent)
    update_h = free.any()
    w_sums = np.empty((1, K), V.dtype)
    for k in range(K):
        w_sums[0, k] = W[k].sum()
    B[:] = 0
    E[:] = 0
    loss = 0.0
    for first in range(0, n_frames, tile):
        n = min(tile, n_frames - first)
        h = H[first : first + n]
        R, Q, A, D = R_all[:n], Q_all[:n], A_all[:n], D_all[:n]
        np.dot(h, W, R)
        for i in range(n):
            v = V[first + i]
            g = G[first + i] if weighted else G[0]
            loss += loss_of_frame(kind, beta, v, R[i], g, weighted, ratio, logs)
            ratios(kind, beta, v, R[i], g, weighted, Q[i])
        if update_h:
            np.dot(R, W.T, A)
            if plain_kl:
                for i in range(n):
                    D[i] = w_sums[0]
            else:
                np.dot(Q, W.T, D)
            for i in range(n):
                for k in range(K):
                    if free[k] == 0:
                        D[i, k] = 0  # leaves the entry as it is
            multiply(h, A, D, power, floor)
        if update_w:
            if update_h:
                np.dot(h, W, R)
                for i in range(n):
                    g = G[first + i] if weighted else G[0]
                    ratios(kind, beta, V[first + i], R[i], g, weighted, Q[i])
            np.dot(h.T, R, T)
            B += T
            if plain_kl:
                for i in range(n):
                    for k in range(K):
                        E[k, 0] += h[i, k]
            else:
                np.dot(h.T, Q, T)
                E += T
    return loss


@kernel
def slab_loss(V, G, weighted, W, H, kind, beta, tile):
    """Divergence of a slab from its model."""
    n_frames, n_bins = V.shape
    C_all = np.empty((tile, n_bins), V.dtype)
    ratio = np.empty(n_bins, V.dtype)
    logs = np.empty(n_bins, V.dtype)
    loss = 0.0
    for first in range(0, n_frames, tile):
        n = min(tile, n_frames - first)
        C = C_all[:n]
        np.dot(H[first : first + n], W, C)
        for i in range(n):
            g = G[first + i] if weighted else G[0]
            loss += loss_of_frame(kind, beta, V[first + i], C[i], g, weighted, ratio, logs)
    return loss


@kernel
def slab_statistics(V, G, weighted, W, H, kind, beta, tile, for_h, for_w, A, D, B, E):
    """Sums over a slab at one point; returns its divergence.

    Parameters (shapes): as for `slab_step`; A (n, K) receives ``R Wᵀ``; D (n, K) ``Q Wᵀ``, not
    touched for Kullback-Leibler without weights; B and E as in `slab_step`.
    """
    n_frames, n_bins = V.shape
    K = W.shape[0]
    plain_kl = kind == KULLBACK_LEIBLER and not weighted
    R_all = np.empty((tile, n_bins), V.dtype)
    Q_all = np.empty((tile, n_bins), V.dtype)
    T = np.empty((K, n_bins), V.dtype)
    ratio = np.empty(n_bins, V.dtype)
    logs = np.empty(n_bins, V.dtype)
    B[:] = 0
    E[:] = 0
    loss = 0.0
    for first in range(0, n_frames, tile):
        n = min(tile, n_frames - first)
        h = H[first : first + n]
        R, Q = R_all[:n], Q_all[:n]
        np.dot(h, W, R)
        for i in range(n):
            v = V[first + i]
            g = G[first + i] if weighted else G[0]
            loss += loss_of_frame(kind, beta, v, R[i], g, weighted, ratio, logs)
            ratios(kind, beta, v, R[i], g, weighted, Q[i])
        if for_h:
            np.dot(R, W.T, A[first : first + n])
            if not plain_kl:
                np.dot(Q, W.T, D[first : first + n])
        if for_w:
            np.dot(h.T, R, T)
            B += T
            if plain_kl:
                for i in range(n):
                    for k in range(K):
                        E[k, 0] += h[i, k]
            else:
                np.dot(h.T, Q, T)
                E += T
    return loss
