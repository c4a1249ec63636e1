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
from audiosep.nmf.jit import kernel, wide_vectors
from audiosep.nmf.small_kernels import EIGHT, FOUR, add_outer, back, kl_add_outer, kl_back, model

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
    "slab_step",
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
def tile_model(W, h, C):
    """``C = h W``, by hand where W was padded to EIGHT components (and h, C to FOUR frames)."""
    if W.shape[0] == EIGHT:
        for i in range(0, C.shape[0], FOUR):
            model(W, h[i : i + FOUR], C[i : i + FOUR])
    else:
        np.dot(h, W, C)


@kernel
def tile_back(W, R, A):
    """``A = R Wᵀ``, as in `tile_model`."""
    if W.shape[0] == EIGHT:
        for i in range(0, R.shape[0], 2):
            back(W, R[i : i + 2], A[i : i + 2])
    else:
        np.dot(R, W.T, A)


@kernel
def add(B, T):
    """``B += T``; as an expression of arrays it takes seconds to compile."""
    for k in range(B.shape[0]):
        for j in range(B.shape[1]):
            B[k, j] += T[k, j]


@kernel
def tile_add_outer(h, R, T, B):
    """``B += hᵀ R``, as in `tile_model`; T is scratch like B."""
    if h.shape[1] == EIGHT:
        for i in range(0, R.shape[0], FOUR):
            add_outer(h[i : i + FOUR], R[i : i + FOUR], B)
    else:
        np.dot(h.T, R, T)
        add(B, T)


@kernel
def padded(n):
    """Frames of a tile of n frames after padding."""
    return (n + FOUR - 1) // FOUR * FOUR


@kernel
def copy_frames(H, h):
    """Copy H into the padded h."""
    for i in range(H.shape[0]):
        for k in range(H.shape[1]):
            h[i, k] = H[i, k]


@kernel
def fill_up(V, last):
    """Copy the frames after the last whole four, and fill up with silence."""
    rest = V.shape[0] % FOUR
    for i in range(FOUR):
        for j in range(V.shape[1]):
            last[i, j] = V[V.shape[0] - rest + i, j] if i < rest else last.dtype.type(0)


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
def slab_step(
    V, G, weighted, W, H, kind, beta, exponent, free, plus, minus, tile, with_loss, moves, B, E
):
    """One iteration on a slab: updates H in place, returns the divergence before it, if wanted.

    Parameters (shapes): V (n, F); G (n, F) or empty; W (P, F), where P is EIGHT for up to eight
    components (rows of zeros fill it up), and otherwise their number K; H (n, K); free (n, K) or
    (1, K), 1 where an activation may move; plus, minus (n, K), (1, K) or empty, parts of a
    penalty's gradient; moves: whether (templates, activations) move; B (P, F) receives Hᵀ R of
    the updated H; E receives Hᵀ Q (P, F), or for Kullback-Leibler without weights the sums of H
    (P, 1).
    """
    wide_vectors()
    n_frames, n_bins = V.shape
    P, K = W.shape[0], H.shape[1]
    plain_kl = kind == KULLBACK_LEIBLER and not weighted
    rows = padded(tile)
    R_all = np.zeros((rows, n_bins), V.dtype)
    Q_all = np.zeros((1 if plain_kl else rows, n_bins), V.dtype)
    h_all = np.zeros((rows, P), V.dtype)
    A_all = np.empty((rows, P), V.dtype)
    D_all = np.empty((1 if plain_kl else rows, P), V.dtype)
    T = np.empty((P, n_bins), V.dtype)
    ratio = np.empty(n_bins, V.dtype)
    logs = np.empty(n_bins, V.dtype)
    floor = V.dtype.type(FACTOR_FLOOR)
    model_floor = V.dtype.type(MODEL_FLOOR)
    last = np.empty((FOUR, n_bins), V.dtype)
    update_w, update_h = moves
    if plain_kl:
        for k in range(P):
            D_all[0, k] = 0
            for j in range(n_bins):
                D_all[0, k] += W[k, j]
    B[:] = 0
    E[:] = 0
    loss = 0.0
    for first in range(0, n_frames, tile):
        n = min(tile, n_frames - first)
        m = padded(n) if P == EIGHT else n
        part = slice(first, first + n)
        v, hh = V[part], H[part]
        g = G[part] if weighted else G
        h, R, A = h_all[:m], R_all[:m], A_all[:m]
        Q, D = (Q_all, D_all) if plain_kl else (Q_all[:m], D_all[:m])
        h[n:] = 0  # and so are the model and the sums of the frames that fill up the tile
        copy_frames(hh, h)
        fused = plain_kl and P == EIGHT
        if with_loss or not fused:
            tile_model(W, h, R)
            loss += tile_ratios(kind, beta, v, R, g, weighted, Q, with_loss, ratio, logs)
        if update_h:
            if with_loss or not fused:
                tile_back(W, R, A)
            else:
                for i in range(0, n - n % FOUR, 2):
                    kl_back(v[i : i + 2], W, h[i : i + 2], model_floor, A[i : i + 2])
                if n % FOUR:
                    fill_up(v, last)
                    for i in range(0, FOUR, 2):
                        j = m - FOUR + i
                        kl_back(last[i : i + 2], W, h[j : j + 2], model_floor, A[j : j + 2])
            if not plain_kl:
                tile_back(W, Q, D)
            multiply_frames(
                hh,
                A,
                D,
                free[part] if free.shape[0] > 1 else free,
                plus[part] if plus.shape[0] > 1 else plus,
                minus[part] if minus.shape[0] > 1 else minus,
                exponent,
                floor,
            )
        if update_w:
            if update_h:
                copy_frames(hh, h)
            if fused:
                for i in range(0, n - n % FOUR, FOUR):
                    kl_add_outer(v[i : i + FOUR], W, h[i : i + FOUR], model_floor, B)
                if n % FOUR:
                    fill_up(v, last)
                    kl_add_outer(last, W, h[m - FOUR : m], model_floor, B)
            else:
                if update_h:
                    tile_model(W, h, R)
                    tile_ratios(kind, beta, v, R, g, weighted, Q, False, ratio, logs)
                tile_add_outer(h, R, T, B)
            if plain_kl:
                for i in range(n):
                    for k in range(K):
                        E[k, 0] += h[i, k]
            else:
                tile_add_outer(h, Q, T, E)
    return loss


@kernel
def slab_statistics(V, G, weighted, W, H, kind, beta, tile, with_loss, wanted, A, D, B, E):
    """Sums over a slab at one point; returns its divergence if wanted.

    Parameters (shapes): as for `slab_step`, with the components not padded; wanted: whether the
    sums for (templates, activations) are; A (n, K) receives ``R Wᵀ``; D (n, K) ``Q Wᵀ``, not
    touched for Kullback-Leibler without weights.
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
