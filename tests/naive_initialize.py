"""Slow, obvious twins of the starts, of the matching and of the relevance updates; float64 loops.

Nothing here imports the code it is compared with.
"""

from __future__ import annotations

import itertools
import math

import naive
import numpy as np


def random_start(V, n_components, rng):
    """Templates (K, n_bins) that sum to one, activations (n_frames, K) at the level of the data."""
    n_frames, n_bins = V.shape
    W = np.array([[0.1 + 0.9 * rng.random() for _ in range(n_bins)] for _ in range(n_components)])
    H = np.array([[0.1 + 0.9 * rng.random() for _ in range(n_components)] for _ in range(n_frames)])
    return W / W.sum(axis=1, keepdims=True), H * (V.mean() * n_bins / n_components)


def nndsvd(V, n_components, fill):
    """Boutsidis & Gallopoulos (2008); V (n_frames, n_bins) of full rank. Returns W and H."""
    U, s, Vt = np.linalg.svd(np.array(V, float), full_matrices=False)
    W = np.zeros((n_components, V.shape[1]))
    H = np.zeros((V.shape[0], n_components))
    for k in range(n_components):
        sides = {}
        for sign in (1.0, -1.0):
            u = np.array([max(sign * x, 0.0) for x in U[:, k]])
            v = np.array([max(sign * x, 0.0) for x in Vt[k]])
            size = math.sqrt(sum(x * x for x in u)) * math.sqrt(sum(x * x for x in v))
            sides[size] = (u, v)
        size = max(sides)
        u, v = sides[size]
        H[:, k] = math.sqrt(s[k] * size) * u / math.sqrt(sum(x * x for x in u))
        W[k] = math.sqrt(s[k] * size) * v / math.sqrt(sum(x * x for x in v))
    if fill == "mean":
        W[W == 0] = V.mean()
        H[H == 0] = V.mean()
    for k in range(n_components):
        total = W[k].sum()
        W[k] /= total
        H[:, k] *= total
    return W, H * (V.sum() / (H @ W).sum())


def harmonic_comb(f, sr, n_fft, n_harmonics, width, decay, inharmonicity):
    """One template (n_bins,), bin by bin and partial by partial."""
    out = []
    for i in range(n_fft // 2 + 1):
        hz = i * sr / n_fft
        value = 0.0
        for h in range(1, n_harmonics + 1):
            at = h * f * math.sqrt((1 + inharmonicity * h * h) / (1 + inharmonicity))
            if at >= sr / 2:
                continue
            reach = max(at * 2 ** (width / 12) - at, 2 * sr / n_fft)
            away = abs(hz - at) / reach
            if away <= 1:
                value = max(value, (1 - 0.9 * away**2) / h**decay)
        out.append(value)
    return np.array(out) / sum(out)


def cosine(a, b):
    a, b = np.array(a, float), np.array(b, float)
    if not a.any() or not b.any():
        return 0.0
    return float((a / np.linalg.norm(a)) @ (b / np.linalg.norm(b)))


def best_matching(A, B):
    """Largest sum of cosines over all ways to pair the columns of A with those of B."""
    K = A.shape[1]
    table = [[cosine(A[:, i], B[:, j]) for j in range(K)] for i in range(K)]
    return max(
        sum(table[i][order[i]] for i in range(K)) for order in itertools.permutations(range(K))
    )


def relevance_step(V, W, H, beta, push):
    """Tan & Févotte (2013), l1-ARD; bins-major: V (n_bins, n_frames), W (n_bins, K), H (K, ...)."""
    power = naive.mm_exponent(beta)
    R, Q = naive.gradient_parts(V, naive.model_of(W, H, beta), beta)
    moved = np.array(H, float)
    for k in range(H.shape[0]):
        for j in range(H.shape[1]):
            above = sum(W[i, k] * R[i, j] for i in range(V.shape[0]))
            below = sum(W[i, k] * Q[i, j] for i in range(V.shape[0])) + push[k]
            moved[k, j] = naive.moved(H[k, j], above, below, power)
    H = moved
    R, Q = naive.gradient_parts(V, naive.model_of(W, H, beta), beta)
    moved = np.array(W, float)
    for k in range(W.shape[1]):
        for i in range(W.shape[0]):
            above = sum(H[k, j] * R[i, j] for j in range(V.shape[1]))
            below = sum(H[k, j] * Q[i, j] for j in range(V.shape[1])) + push[k]
            moved[i, k] = naive.moved(W[i, k], above, below, power)
    return moved, H


def relevance_objective(V, W, H, beta, dispersion, a):
    """The negative logarithm of the posterior at the best scales, times the dispersion."""
    n_bins, n_frames = V.shape
    K = W.shape[1]
    b = math.sqrt((a - 1) * (a - 2) * V.mean() / K)
    c = n_bins + n_frames + a + 1
    total = naive.beta_divergence(V, naive.model_of(W, H, beta), beta)
    for k in range(K):
        sums = W[:, k].sum() + H[k].sum() + b
        scale = sums / c
        total += dispersion * (sums / scale + c * math.log(scale))
    return total
