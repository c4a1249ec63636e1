"""Compiled loop of the multiplicative updates over a slab: arrays in, arrays out.

Frames are worked on FRAMES at a time, bins by the panel (see `vector_kernels`), so that model and
ratios of a block never leave the first-level cache, and V is read from memory once per iteration.
What is missing of the last block in either direction is filled up: data at the floor of the
model, factors of zero, so that it adds nothing to any sum.
"""

# Typed by the compiler, which sees more than an annotation could say.
# mypy: disable-error-code="no-untyped-def,no-untyped-call"
# ruff: noqa: ANN001, ANN201, ANN202

from __future__ import annotations

import numpy as np

from audiosep.nmf.divergence_kernels import (
    FACTOR_FLOOR,
    KULLBACK_LEIBLER,
    MODEL_FLOOR,
    log_ratio,
)
from audiosep.nmf.jit import kernel, wide_vectors
from audiosep.nmf.kernels import multiply_frames, tile_ratios
from audiosep.nmf.vector_kernels import (
    ROWS,
    add_back,
    add_back_wide,
    add_outer,
    copy_rows,
    kl_ratios,
    kl_ratios_and_model,
    model,
)

__all__ = ["FRAMES", "slab_step"]

FRAMES = 32
"""Frames worked on together: a multiple of two ROWS."""


@kernel
def copy_block(X, first, n, at, filler, out):
    """Copy n frames of a panel from X to `out` (1, FRAMES panel), and fill up the rest."""
    n_bins = X.shape[1]
    panel = out.size // FRAMES
    width = min(panel, n_bins - at)
    if n == FRAMES and width == panel:
        for r in range(0, FRAMES, ROWS):
            copy_rows(X, (first + r) * n_bins + at, n_bins, out, r * panel)
        return
    for i in range(FRAMES):
        filled = width if i < n else 0
        for j in range(filled):
            out[0, i * panel + j] = X[first + i, at + j]
        for j in range(filled, panel):
            out[0, i * panel + j] = filler


@kernel
def copy_frames(H, h):
    """Copy H into the larger h."""
    for i in range(H.shape[0]):
        for k in range(H.shape[1]):
            h[i, k] = H[i, k]


@kernel
def kl_loss(C, R, floor, logs):
    """Kullback-Leibler divergence of a block from its model C, where ``R = V / (C + floor)``."""
    one = C.dtype.type(1.0)
    loss = C.dtype.type(0.0)
    log_ratio(R[0], logs)
    for j in range(logs.size):
        # x log(x/y) - x + y with x = r y
        loss += (C[0, j] + floor) * (R[0, j] * (logs[j] - one) + one)
    return np.float64(loss)


@kernel
def kl_block(V, first, n, W, p, h, K, with_loss, v, R, C, logs):
    """Ratios R of FRAMES frames in panel p; returns their divergence if wanted."""
    n_bins, panel, P = V.shape[1], W.shape[2], h.shape[1]
    floor = V.dtype.type(MODEL_FLOOR)
    at = p * panel
    w_at = at * W.shape[1]
    # In place where the block is whole. The branches stand apart because a variable for one of two
    # arrays would count references, which takes as long as a small block.
    inside = n == FRAMES and at + panel <= n_bins
    if not inside:
        copy_block(V, first, n, at, floor, v)
    begin = first * n_bins + at
    if not with_loss:
        for r in range(0, FRAMES, ROWS):
            if inside:
                kl_ratios(
                    h, r * P, P, W, w_at, K, V, begin + r * n_bins, n_bins, floor, R, r * panel
                )  # fmt: skip
            else:
                kl_ratios(h, r * P, P, W, w_at, K, v, r * panel, panel, floor, R, r * panel)
        return 0.0
    for r in range(0, FRAMES, ROWS):
        if inside:
            kl_ratios_and_model(
                h, r * P, P, W, w_at, K, V, begin + r * n_bins, n_bins, floor, R, r * panel,
                C, r * panel,
            )  # fmt: skip
        else:
            kl_ratios_and_model(
                h, r * P, P, W, w_at, K, v, r * panel, panel, floor, R, r * panel, C, r * panel
            )  # fmt: skip
    return kl_loss(C, R, floor, logs)


@kernel
def any_block(kind, beta, V, G, weighted, first, n, W, p, h, K, with_loss, v, g, R, Q, ratio, logs):
    """As `kl_block` for any divergence and with weights; fills R and Q."""
    panel, P = W.shape[2], h.shape[1]
    at = p * panel
    copy_block(V, first, n, at, V.dtype.type(MODEL_FLOOR), v)
    if weighted:
        copy_block(G, first, n, at, V.dtype.type(0), g)
    for r in range(0, FRAMES, ROWS):
        model(h, r * P, P, W, at * W.shape[1], K, R, r * panel)
    return tile_ratios(kind, beta, v, R, g, weighted, Q, with_loss, ratio, logs)


@kernel
def block_back(R, T, p, A):
    """``A += R Wᵀ`` for panel p; T holds Wᵀ."""
    panel, P = T.shape[1], T.shape[2]
    at = p * panel * P
    k = 0
    while P - k >= panel:
        for r in range(0, FRAMES, ROWS):
            add_back_wide(R, r * panel, T, at + k, A, r * P + k, P)
        k += panel
    while k < P:
        for r in range(0, FRAMES, 2 * ROWS):
            add_back(R, r * panel, T, at + k, A, r * P + k, P)
        k += panel // 2


@kernel
def block_outer(h, K, R, p, B):
    """``B += hᵀ R`` for panel p."""
    Q, panel, P = B.shape[1], B.shape[2], h.shape[1]
    for k in range(0, K, ROWS):
        add_outer(h, k, P, R, 0, FRAMES, B, (p * Q + k) * panel)


@kernel
def slab_step(
    V, G, weighted, W, T, sums, H, kind, beta, exponent, free, plus, minus, with_loss, moves, B, E
):
    """One iteration on a slab: updates H in place, returns the divergence before it, if wanted.

    Parameters (shapes): V (n, F); G (n, F) or empty; W and T as `audiosep.nmf.panels.Panels` has
    them; sums (1, P) of the templates; H (n, K); free (n, K) or (1, K), 1 where an activation may
    move; plus, minus (n, K), (1, K) or empty, parts of a penalty's gradient; moves: whether
    (templates, activations) move; B, in the shape of W, receives Hᵀ R of the updated H; E receives
    Hᵀ Q, or for Kullback-Leibler without weights (1, K, 1) the sums of H.
    """
    wide_vectors()
    n_frames = V.shape[0]
    n_panels, panel = W.shape[0], W.shape[2]
    K, P = H.shape[1], T.shape[2]
    plain_kl = kind == KULLBACK_LEIBLER and not weighted
    size = FRAMES * panel
    v, R = np.empty((1, size), V.dtype), np.empty((1, size), V.dtype)
    C, Q = np.empty((1, size), V.dtype), np.empty((1, size), V.dtype)
    g = np.zeros((1, size if weighted else 1), V.dtype)
    ratio, logs = np.empty(size, V.dtype), np.empty(size, V.dtype)
    h, A = np.zeros((FRAMES, P), V.dtype), np.empty((FRAMES, P), V.dtype)
    D = sums if plain_kl else np.empty((FRAMES, P), V.dtype)
    floor = V.dtype.type(FACTOR_FLOOR)
    update_w, update_h = moves
    B[:] = 0
    E[:] = 0
    loss = 0.0
    for first in range(0, n_frames, FRAMES):
        n = min(FRAMES, n_frames - first)
        part = slice(first, first + n)
        hh = H[part]
        h[n:] = 0
        copy_frames(hh, h)
        wanted = with_loss
        if update_h:
            A[:] = 0
            if not plain_kl:
                D[:] = 0
            for p in range(n_panels):
                if plain_kl:
                    loss += kl_block(V, first, n, W, p, h, K, wanted, v, R, C, logs)
                else:
                    loss += any_block(
                        kind, beta, V, G, weighted, first, n, W, p, h, K, wanted, v, g, R, Q,
                        ratio, logs,
                    )  # fmt: skip
                    block_back(Q, T, p, D)
                block_back(R, T, p, A)
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
            copy_frames(hh, h)
            wanted = False
        if not (update_w or wanted):
            continue
        for p in range(n_panels):
            if plain_kl:
                loss += kl_block(V, first, n, W, p, h, K, wanted, v, R, C, logs)
            else:
                loss += any_block(
                    kind, beta, V, G, weighted, first, n, W, p, h, K, wanted, v, g, R, Q,
                    ratio, logs,
                )  # fmt: skip
                if update_w:
                    block_outer(h, K, Q, p, E)
            if update_w:
                block_outer(h, K, R, p, B)
        if update_w and plain_kl:
            for i in range(n):
                for k in range(K):
                    E[0, k, 0] += h[i, k]
    return loss
