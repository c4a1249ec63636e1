"""Slow, obvious twins of the penalties: loops and formulas in float64, nothing clever.

Every function takes rows X (n_components, n) and strengths, one per component (per group), and
returns the penalty; `slopes` gives the gradient, by formulas that know nothing of two parts.
Nothing here imports the code it is compared with.
"""

from __future__ import annotations

import math

import numpy as np

FACTOR_FLOOR = 1e-16


def l1(X, s):
    return sum(s[k] * X[k, t] for k in range(X.shape[0]) for t in range(X.shape[1]))


def l1_slope(X, s, k, t):
    return s[k]


def l2(X, s):
    return sum(s[k] * X[k, t] ** 2 / 2 for k in range(X.shape[0]) for t in range(X.shape[1]))


def l2_slope(X, s, k, t):
    return s[k] * X[k, t]


def smoothness(X, s):
    total = 0.0
    for k in range(X.shape[0]):
        for t in range(1, X.shape[1]):
            total += s[k] * (X[k, t] - X[k, t - 1]) ** 2 / 2
    return total


def smoothness_slope(X, s, k, t):
    slope = 0.0
    for neighbour in (t - 1, t + 1):
        if 0 <= neighbour < X.shape[1]:
            slope += s[k] * (X[k, t] - X[k, neighbour])
    return slope


def orthogonality(X, s):
    total = 0.0
    for j in range(len(X)):
        for k in range(j + 1, len(X)):
            total += math.sqrt(s[j] * s[k]) * sum(X[j, t] * X[k, t] for t in range(X.shape[1]))
    return total


def orthogonality_slope(X, s, k, t):
    return sum(math.sqrt(s[j] * s[k]) * X[j, t] for j in range(len(X)) if j != k)


def covariance(x, y):
    n = len(x)
    mean_x, mean_y = sum(x) / n, sum(y) / n
    return sum((x[t] - mean_x) * (y[t] - mean_y) for t in range(n)) / n


def decorrelation(X, s):
    total = 0.0
    for j in range(len(X)):
        for k in range(j + 1, len(X)):
            total += math.sqrt(s[j] * s[k]) * covariance(X[j], X[k]) ** 2
    return X.shape[1] * total / 2


def decorrelation_slope(X, s, k, t):
    slope = 0.0
    for j in range(len(X)):
        if j != k:
            away = X[j, t] - sum(X[j]) / X.shape[1]
            slope += math.sqrt(s[j] * s[k]) * covariance(X[j], X[k]) * away
    return slope


def group_l2(X, s, groups):
    total = 0.0
    for t in range(X.shape[1]):
        for g, group in enumerate(groups):
            total += s[g] * math.sqrt(sum(X[k, t] ** 2 for k in group))
    return total


def group_l2_slope(X, s, k, t, groups):
    for g, group in enumerate(groups):
        if k in group:
            norm = math.sqrt(sum(X[j, t] ** 2 for j in group))
            return s[g] * X[k, t] / norm if norm > 0 else 0.0
    return 0.0


def group_log(X, s, groups, floor):
    total = 0.0
    for t in range(X.shape[1]):
        for g, group in enumerate(groups):
            total += s[g] * math.log((floor + sum(X[k, t] for k in group)) / floor)
    return total


def group_log_slope(X, s, k, t, groups, floor):
    for g, group in enumerate(groups):
        if k in group:
            return s[g] / (floor + sum(X[j, t] for j in group))
    return 0.0


def relevance(X, s, floor):
    n = X.shape[1]
    return sum(n * s[k] * math.log((floor + sum(X[k]) / n) / floor) for k in range(len(X)))


def relevance_slope(X, s, k, t, floor):
    return s[k] / (floor + sum(X[k]) / X.shape[1])


def prior(X, s, target):
    total = 0.0
    for k in range(X.shape[0]):
        for t in range(X.shape[1]):
            goal, x = target[k, t], X[k, t]
            total += s[k] * ((goal * math.log(goal / x) if goal > 0 else 0.0) - goal + x)
    return total


def prior_slope(X, s, k, t, target):
    return s[k] * (1 - (target[k, t] / X[k, t] if target[k, t] > 0 else 0.0))


def gradient(slope, X, s, *extra):
    X = np.asarray(X, float)
    return np.array(
        [[slope(X, s, k, t, *extra) for t in range(X.shape[1])] for k in range(X.shape[0])]
    )


def rise(u, power):
    """``(u^p - 1) / p``, and its limit log u at 0."""
    return np.log(u) if power == 0 else (u**power - 1) / power


def divergence(V, C, beta):
    """Beta-divergence; Févotte & Idier (2011), eq. 2.1."""
    if beta == 1:
        return float(np.sum(V * np.log(V / C) - V + C))
    if beta == 0:
        return float(np.sum(V / C - np.log(V / C) - 1))
    return float(
        np.sum(V**beta + (beta - 1) * C**beta - beta * V * C ** (beta - 1)) / (beta * (beta - 1))
    )


def powers(beta):
    """Highest and lowest power of the ratios in the bound of the divergence."""
    if beta <= 1:
        return 1.0, beta - 1.0
    return beta, min(beta - 1.0, 1.0)


def descend(V, W, H, beta, on_w, on_h, n_iter, *, move_w=True):
    """Bins-major multiplicative updates of H, then W; on_w looks at W.T. Returns objectives."""

    def objective():
        total = divergence(V, W @ H, beta)
        return total + sum(p.value(W.T) for p in on_w) + sum(p.value(H) for p in on_h)

    def moved(X, above, below, penalties):
        top, bottom = powers(beta)
        for p in penalties:
            plus, minus = p.gradient(X)
            above, below = above + minus, below + plus
            top, bottom = max(top, p.rises), min(bottom, p.falls)
        return np.maximum(X * (above / below) ** (1 / (top - bottom)), FACTOR_FLOOR)

    totals = [objective()]
    for _ in range(n_iter):
        C = W @ H
        H = moved(H, W.T @ (V * C ** (beta - 2)), W.T @ C ** (beta - 1), on_h)
        totals.append(objective())
        if not move_w:
            continue
        C = W @ H
        above, below = (V * C ** (beta - 2)) @ H.T, C ** (beta - 1) @ H.T
        W = moved(W.T, above.T, below.T, on_w).T
        totals.append(objective())
    return np.array(totals), W, H
