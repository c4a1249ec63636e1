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

from audiosep.nmf.divergence_kernels import (
    EUCLIDEAN,
    FACTOR_FLOOR,
    GENERAL,
    HALF,
    ITAKURA_SAITO,
    KULLBACK_LEIBLER,
    MODEL_FLOOR,
    log_ratio,
    loss_of_frame,
    ratios,
)
from audiosep.nmf.jit import kernel

__all__ = [
    "EUCLIDEAN",
    "FACTOR_FLOOR",
    "GENERAL",
    "HALF",
    "ITAKURA_SAITO",
    "KULLBACK_LEIBLER",
    "MODEL_FLOOR",
    "extrapolate",
    "log_ratio",
    "loss_of_frame",
    "multiply",
    "multiply_frames",
    "ratios",
    "slab_statistics",
]


@kernel
def tile_ratios(kind, beta, V, C, G, weighted, Q, with_loss, ratio, logs):
    """Turn the model C of some frames into R in place, fill Q; return the divergence if wanted."""
    loss = 0.0
    plain_kl = kind == KULLBACK_LEIBLER and not weighted
    for i in range(V.shape[0]):
        g = G[i] if weighted else G[0]
        if with_loss:
            loss += loss_of_frame(kind, beta, V[i], C[i], g, weighted, ratio, logs)
        if with_loss and plain_kl:
            for j in range(ratio.size):
                C[i, j] = ratio[j]  # one division less
        else:
            ratios(kind, beta, V[i], C[i], g, weighted, Q[0] if plain_kl else Q[i])
    return loss


@kernel
def add(B, T):
    """``B += T``; as an expression of arrays it takes seconds to compile."""
    for k in range(B.shape[0]):
        for j in range(B.shape[1]):
            B[k, j] += T[k, j]


@kernel
def ratio_power(ratio, exponent):
    """``ratio^exponent``; the exponents that matter are spared the general power."""
    if exponent == 1.0:
        return ratio
    if exponent == 0.5:
        return np.sqrt(ratio)
    return ratio**exponent


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
                # The floor may stop a fall, but not raise what is below it.
                lowest = min(x[i, k], floor)
                x[i, k] = max(x[i, k] * ratio_power(numerator[i, k] / below, exponent), lowest)


@kernel
def multiply_frames(H, A, D, free, plus, minus, exponent, floor):
    """`multiply` of the frames H (n, K) by ``((A + minus) / (D + plus))^exponent`` where free.

    D, free, plus and minus may have one row that serves all; plus and minus may be empty.
    """
    n, K = H.shape
    d_step = 0 if D.shape[0] == 1 else 1
    free_step = 0 if free.shape[0] == 1 else 1
    plus_step = 0 if plus.shape[0] == 1 else 1
    minus_step = 0 if minus.shape[0] == 1 else 1
    for i in range(n):
        for k in range(K):
            above, below = A[i, k], D[i * d_step, k]
            if plus.size > 0:
                below += plus[i * plus_step, k]
            if minus.size > 0:
                above += minus[i * minus_step, k]
            if H[i, k] > 0.0 and below > 0.0 and free[i * free_step, k] != 0:
                lowest = min(H[i, k], floor)
                H[i, k] = max(H[i, k] * ratio_power(above / below, exponent), lowest)


@kernel
def extrapolate(x, before, free, momentum, widest, floor):
    """``x <- max(x (x / before)^momentum, floor)`` where free and positive.

    The logarithm of the ratio is held within ± `widest`, which times the momentum must not be
    above 1.5. `free` may have one row or one column that serves all.
    """
    rows, columns = x.shape
    row_step = 0 if free.shape[0] == 1 else 1
    column_step = 0 if free.shape[1] == 1 else 1
    quarter = x.dtype.type(0.25)
    one = x.dtype.type(1.0)
    ratio = np.empty(columns, x.dtype)
    logs = np.empty(columns, x.dtype)
    for i in range(rows):
        for k in range(columns):
            ratio[k] = x[i, k] / max(before[i, k], floor)
        log_ratio(ratio, logs)
        for k in range(columns):
            y = momentum * min(max(logs[k], -widest), widest)
            if x.itemsize == 4:
                # exp y = (exp y/4)^4, by the series of the exponential
                t = y * quarter
                p = t * x.dtype.type(1 / 720) + x.dtype.type(1 / 120)
                p = p * t + x.dtype.type(1 / 24)
                p = p * t + x.dtype.type(1 / 6)
                p = p * t + x.dtype.type(1 / 2)
                p = p * t + one
                p = p * t + one
                p *= p
                ratio[k] = p * p
            else:
                ratio[k] = np.exp(y)
        for k in range(columns):
            moves = free[i * row_step, k * column_step] != 0 and before[i, k] > 0.0
            if moves and x[i, k] > 0.0:
                x[i, k] = max(x[i, k] * ratio[k], min(x[i, k], floor))


@kernel
def slab_statistics(V, G, weighted, W, H, kind, beta, tile, with_loss, wanted, A, D, B, E):
    """Sums over a slab at one point; returns its divergence if wanted.

    Parameters (shapes): V (n, F); G (n, F) or empty; W (K, F); H (n, K); wanted: whether the sums
    for (templates, activations) are; A (n, K) receives ``R Wᵀ``; D (n, K) ``Q Wᵀ``, not touched
    for Kullback-Leibler without weights; B (K, F) receives ``Hᵀ R``; E ``Hᵀ Q`` (K, F), or for
    Kullback-Leibler without weights the sums of H (K, 1).
    """
    n_frames, n_bins = V.shape
    K = W.shape[0]
    plain_kl = kind == KULLBACK_LEIBLER and not weighted
    R_all = np.empty((tile, n_bins), V.dtype)
    Q_all = np.empty((1 if plain_kl else tile, n_bins), V.dtype)
    T = np.empty((K, n_bins), V.dtype)
    ratio = np.empty(n_bins, V.dtype)
    logs = np.empty(n_bins, V.dtype)
    for_w, for_h = wanted
    B[:] = 0
    E[:] = 0
    loss = 0.0
    for first in range(0, n_frames, tile):
        n = min(tile, n_frames - first)
        part = slice(first, first + n)
        h, R = H[part], R_all[:n]
        Q = Q_all if plain_kl else Q_all[:n]
        g = G[part] if weighted else G
        np.dot(h, W, R)
        if not (for_h or for_w):
            for i in range(n):
                gi = g[i] if weighted else g[0]
                loss += loss_of_frame(kind, beta, V[first + i], R[i], gi, weighted, ratio, logs)
            continue
        loss += tile_ratios(kind, beta, V[part], R, g, weighted, Q, with_loss, ratio, logs)
        if for_h:
            np.dot(R, W.T, A[part])
            if not plain_kl:
                np.dot(Q, W.T, D[part])
        if for_w:
            np.dot(h.T, R, T)
            add(B, T)
            if plain_kl:
                for i in range(n):
                    for k in range(K):
                        E[k, 0] += h[i, k]
            else:
                np.dot(h.T, Q, T)
                add(E, T)
    return loss
