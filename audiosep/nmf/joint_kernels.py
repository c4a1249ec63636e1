"""The compiled loop of joint majorisation-minimisation: one model, one set of ratios per tile."""

# Typed by the compiler, which sees more than an annotation could say.
# mypy: disable-error-code="no-untyped-def,no-untyped-call"
# ruff: noqa: ANN001, ANN201

from __future__ import annotations

import numpy as np

from audiosep.nmf.jit import kernel
from audiosep.nmf.kernels import FACTOR_FLOOR, KULLBACK_LEIBLER, tile_ratios

__all__ = ["LARGEST_MOVE", "joint_slab", "move", "powered"]

# Entries change by at most this factor in one iteration. The bound on the objective is convex in
# the logarithm of each entry, so that a shorter move towards its minimum still lowers it; and
# powers of the move stay inside float32.
LARGEST_MOVE = 1e6


@kernel
def move(x, numerator, denominator, exponent, free, out, u):
    """``u = (numerator / denominator)^exponent`` within bounds, ``out = x u``; u = 1 where fixed.

    Zeros stay zero; a denominator of zero (nothing observed) leaves the entry. A denominator or
    `free` of one row or one column serves all. `out` may be x, and `u` the numerator.
    """
    rows, columns = x.shape
    d_row = 0 if denominator.shape[0] == 1 else 1
    d_column = 0 if denominator.shape[1] == 1 else 1
    f_row = 0 if free.shape[0] == 1 else 1
    f_column = 0 if free.shape[1] == 1 else 1
    one = x.dtype.type(1.0)
    most = x.dtype.type(LARGEST_MOVE)
    least = one / most
    floor = x.dtype.type(FACTOR_FLOOR)
    for i in range(rows):
        for k in range(columns):
            above = numerator[i, k]
            below = denominator[i * d_row, k * d_column]
            before = x[i, k]
            u[i, k] = one
            out[i, k] = before
            if before > 0.0 and below > 0.0 and free[i * f_row, k * f_column] != 0:
                ratio = above / below
                if exponent != 1.0:
                    ratio = ratio**exponent
                ratio = min(max(ratio, least), most)
                after = before * ratio
                if after < floor:
                    # Held where it is, or raised, by the floor: the move is what was moved.
                    after = floor
                    ratio = min(max(after / before, least), most)
                u[i, k] = ratio
                out[i, k] = after


@kernel
def powered(x, u, power, out):
    """``out = x u^power`` by entries."""
    for i in range(x.shape[0]):
        for k in range(x.shape[1]):
            factor = u[i, k]
            if power == 0.0:
                factor = x.dtype.type(1.0)
            elif power != 1.0:
                factor = factor**power
            out[i, k] = x[i, k] * factor


@kernel
def joint_slab(
    V, G, weighted, W, H, kind, beta, exponents, free, tile, with_loss, update_h, update_w, B, E
):
    """Update H of a slab in place and sum what W needs, all from the ratios at the old point.

    Parameters (shapes): V (n, F); G (n, F) or empty; W (K, F); H (n, K); free (n, K) or (1, K);
    exponents: that of the moves, and the powers `falls` and `rises`.
    With the move u of H, B (K, F) receives ``(H ⊙ u^falls)ᵀ R`` and E ``(H ⊙ u^rises)ᵀ Q``, R and
    Q as at the old point; for Kullback-Leibler without weights E is (K, 1), the sums of the new H.
    Returns the divergence at the old point if wanted.
    """
    n_frames, n_bins = V.shape
    K = W.shape[0]
    exponent, falls, rises = exponents
    plain_kl = kind == KULLBACK_LEIBLER and not weighted
    R_all = np.empty((tile, n_bins), V.dtype)
    Q_all = np.empty((tile, n_bins), V.dtype)
    A_all = np.empty((tile, K), V.dtype)
    D_all = np.empty((tile, K), V.dtype)
    u_all = np.ones((tile, K), V.dtype)
    x_all = np.empty((tile, K), V.dtype)
    T = np.empty((K, n_bins), V.dtype)
    ratio = np.empty(n_bins, V.dtype)
    logs = np.empty(n_bins, V.dtype)
    w_sums = np.empty((1, K), V.dtype)
    every_frame = free.shape[0] != 1 or n_frames == 1
    for k in range(K):
        w_sums[0, k] = W[k].sum()
    B[:] = 0
    E[:] = 0
    loss = 0.0
    for first in range(0, n_frames, tile):
        n = min(tile, n_frames - first)
        h = H[first : first + n]
        R, Q, A, D = R_all[:n], Q_all[:n], A_all[:n], D_all[:n]
        u, x = u_all[:n], x_all[:n]
        np.dot(h, W, R)
        g = G[first : first + n] if weighted else G
        v = V[first : first + n]
        loss += tile_ratios(kind, beta, v, R, g, weighted, Q, with_loss, ratio, logs)
        for i in range(n):
            for k in range(K):
                x[i, k] = h[i, k]
        if update_h:
            np.dot(R, W.T, A)
            if plain_kl:
                for i in range(n):
                    for k in range(K):
                        D[i, k] = w_sums[0, k]
            else:
                np.dot(Q, W.T, D)
            f = free[first : first + n] if every_frame else free
            move(x, A, D, exponent, f, h, u)
        if update_w:
            powered(x, u, falls, A)
            np.dot(A.T, R, T)
            B += T
            if plain_kl:
                for i in range(n):
                    for k in range(K):
                        E[k, 0] += h[i, k]
            else:
                powered(x, u, rises, A)
                np.dot(A.T, Q, T)
                E += T
    return loss
