"""Slow, obvious twins of the least-squares, joint and graph solvers: loops, float64, definitions.

Frames-major like the solvers: V (n_frames, n_bins), W (n_components, n_bins), H (n_frames,
n_components). Nothing here imports the code it is compared with.
"""

from __future__ import annotations

import itertools
import math

import naive
import numpy as np


def objective(V, W, H, w_l1=0.0, w_l2=0.0, h_l1=0.0, h_l2=0.0):
    """``½‖V - H W‖²`` and the penalties, number by number."""
    total = 0.0
    for n in range(V.shape[0]):
        for f in range(V.shape[1]):
            model = sum(float(H[n, k]) * float(W[k, f]) for k in range(len(W)))
            total += 0.5 * (float(V[n, f]) - model) ** 2
    for k in range(len(W)):
        for X, l1, l2 in ((W[k], w_l1, w_l2), (H[:, k], h_l1, h_l2)):
            l1, l2 = (np.broadcast_to(x, len(W))[k] for x in (l1, l2))
            for x in X:
                total += float(l1) * abs(float(x)) + 0.5 * float(l2) * float(x) ** 2
    return total


def descended(V, W, H, l1=0.0, l2=0.0, free=None, sweeps=1):
    """New H: each entry at its best, given all others, from the residual itself."""
    H = np.array(H, float)
    K = len(W)
    l1, l2 = np.broadcast_to(l1, K), np.broadcast_to(l2, K)
    free = np.ones(H.shape) if free is None else np.broadcast_to(free, H.shape)
    for _ in range(sweeps):
        for k in range(K):
            for n in range(len(H)):
                rest = np.array(V[n], float)
                for m in range(K):
                    if m != k:
                        rest -= H[n, m] * W[m]
                bend = float(W[k] @ W[k]) + l2[k]
                if free[n, k] and bend > 0:
                    H[n, k] = max(0.0, (float(rest @ W[k]) - l1[k]) / bend)
    return H


def hals(V, W, H, n_iter, sweeps=2, w_l1=0.0, w_l2=0.0, h_l1=0.0, h_l2=0.0):
    """H, then W, n_iter times."""
    for _ in range(n_iter):
        H = descended(V, W, H, h_l1, h_l2, sweeps=sweeps)
        W = descended(V.T, H.T, W.T, w_l1, w_l2, sweeps=sweeps).T
    return W, H


def accelerated_hals(V, W, H, n_iter):
    """Extrapolate, descend, look, and start over from the better point where it got worse."""
    weight, bound, before, losses = 0.5, 1.0, None, [objective(V, W, H)]
    undone = 0
    for _ in range(n_iter):
        here = W, H
        if before is not None:
            pairs = zip(here, before, strict=True)
            point = [np.maximum(X + weight * (X - X0), 0.0) for X, X0 in pairs]
            new = hals(V, *point, 1)
            loss = objective(V, *new)
            if loss <= losses[-1]:
                bound = min(1.0, bound * 1.01)
                weight = min(bound, weight * 1.05)
                (W, H), before = new, here
                losses.append(loss)
                continue
            undone += 1
            bound, weight = weight, weight / 1.5
        W, H = hals(V, W, H, 1)
        before = here
        losses.append(objective(V, W, H))
    return W, H, losses, undone


def nnls(G, p):
    """Best ``x >= 0`` of ``½ xᵀ G x - pᵀ x``: all sets of positive entries are tried."""
    K = len(p)
    best, best_value = np.zeros(K), 0.0
    for size in range(1, K + 1):
        for members in itertools.combinations(range(K), size):
            at = list(members)
            x = np.zeros(K)
            x[at] = np.linalg.lstsq(G[np.ix_(at, at)], p[at], rcond=None)[0]
            if (x >= 0).all():
                value = 0.5 * x @ G @ x - p @ x
                if value < best_value:
                    best, best_value = x, value
    return best


def along_arc(V, W, H, steps, sigma=0.01, stretch=10.0):
    """New H: projected gradient with Armijo's rule on the objective itself, by definition."""
    H = np.array(H, float)
    largest = max(np.linalg.svd(W, compute_uv=False)) ** 2
    for _ in range(steps):
        slope = (H @ W - V) @ W.T
        here, length, best = objective(V, W, H), 1.0 / largest, None
        while True:
            moved = np.maximum(H - length * slope, 0.0)
            fell = objective(V, W, moved) - here <= sigma * float((slope * (moved - H)).sum())
            if not fell or (best is not None and np.array_equal(moved, best)):
                break
            best, length = moved, length * stretch
        if best is None:
            return H
        H = best
    return H


# Joint majorisation-minimisation


def joint_powers(beta):
    falls = beta - 1 if beta <= 2 else 1
    rises = beta if beta >= 1 else 1
    return falls, rises


def joint_step(V, W, H, beta, weights=None):
    """H, then W, both from the ratios at the old point; frames-major."""
    falls, rises = joint_powers(beta)
    g = 1 / (rises - falls)
    R, Q = naive.gradient_parts(V, naive.model_of(H, W, beta), beta, weights)
    n_frames, n_bins = V.shape
    K = len(W)
    moves = np.ones(H.shape)
    for n in range(n_frames):
        for k in range(K):
            above = sum(R[n, f] * float(W[k, f]) for f in range(n_bins))
            below = sum(Q[n, f] * float(W[k, f]) for f in range(n_bins))
            if H[n, k] > 0 and below > 0:
                moves[n, k] = (above / below) ** g
    W_new = np.array(W, float)
    for k in range(K):
        for f in range(n_bins):
            above = sum(float(H[n, k]) * moves[n, k] ** falls * R[n, f] for n in range(n_frames))
            below = sum(float(H[n, k]) * moves[n, k] ** rises * Q[n, f] for n in range(n_frames))
            if W[k, f] > 0 and below > 0:
                W_new[k, f] *= (above / below) ** g
    return W_new, H * moves


def joint_bound(V, W0, H0, W, H, beta):
    """Upper bound of the divergence at (W, H) that touches it at (W0, H0), term by term.

    Convex terms of the divergence by Jensen's inequality, concave ones by their tangent:
    Marmin, Goulart & Févotte (2023).
    """
    total = 0.0
    for n in range(V.shape[0]):
        for f in range(V.shape[1]):
            v = float(V[n, f])
            c0 = sum(float(H0[n, k] * W0[k, f]) for k in range(len(W0)))
            c = sum(float(H[n, k] * W[k, f]) for k in range(len(W0)))
            # d(v|c) = rising(c) + falling(c) + constant
            total += naive.divergence(v, c0, beta)
            slope_up, slope_down = c0 ** (beta - 1), -v * c0 ** (beta - 2)

            def rising(c):
                return math.log(c) if beta == 0 else c**beta / beta

            def falling(c, v=v):
                return -v * (math.log(c) if beta == 1 else c ** (beta - 1) / (beta - 1))

            up, down = (rising, beta >= 1, slope_up), (falling, beta <= 2, slope_down)
            for part, convex, slope in (up, down):
                if convex:
                    for k in range(len(W0)):
                        share = float(H0[n, k] * W0[k, f]) / c0
                        ratio = float(H[n, k] * W[k, f]) / float(H0[n, k] * W0[k, f])
                        total += share * (part(c0 * ratio) - part(c0))
                else:
                    total += slope * (c - c0)
    return total


# Graphs


def graph_loss(A, H, S, beta):
    return naive.beta_divergence(A, H @ S @ H.T, beta)


def _at_most(A, H, ratio, S, loss):
    for exponent in (0.9, 0.25):
        moved = H * ratio**exponent
        if graph_loss(A, moved, S, 2) <= loss:
            return moved
    return H


def symmetric_step(A, H, beta):
    n, K = H.shape
    if beta == 2:
        ratio = (A @ H) / (H @ H.T @ H)
        return _at_most(A, H, ratio, np.eye(K), graph_loss(A, H, np.eye(K), 2))
    C = np.zeros((n, K))
    for i in range(n):
        for j in range(n):
            model = sum(H[i, k] * H[j, k] for k in range(K))
            for k in range(K):
                C[i, k] += A[i, j] * H[i, k] * H[j, k] / model
    return C / np.sqrt(C.sum(axis=0))


def tri_step(A, H, S, beta):
    n, K = H.shape
    if beta == 2:
        S = S * (H.T @ A @ H) / (H.T @ H @ S @ H.T @ H)
        ratio = (A @ H @ S) / (H @ S @ H.T @ H @ S)
        return _at_most(A, H, ratio, S, graph_loss(A, H, S, 2)), S
    counts = np.zeros((n, K, K))  # expected weight from node i in k to component m
    for i in range(n):
        for j in range(n):
            model = sum(H[i, k] * S[k, m] * H[j, m] for k in range(K) for m in range(K))
            for k in range(K):
                for m in range(K):
                    counts[i, k, m] += A[i, j] * H[i, k] * S[k, m] * H[j, m] / model
    H = counts.sum(axis=2)
    return H / H.sum(axis=0), counts.sum(axis=0)
