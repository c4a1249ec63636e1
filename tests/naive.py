"""Slow, obvious twins of the fast code: loops and formulas in float64, nothing clever.

Matrices are bins-major as in the papers: ``V (n_bins, n_frames)``, ``W (n_bins, n_components)``,
``H (n_components, n_frames)``. Nothing here imports the code it is compared with.
"""

from __future__ import annotations

import math

import numpy as np

MODEL_FLOOR = 1e-12
FACTOR_FLOOR = 1e-16


def divergence(x, y, beta):
    """Beta-divergence of one number from another; Févotte & Idier (2011), eq. 2.1."""
    x, y = float(x), float(y)
    if beta == 1:
        return (x * math.log(x / y) if x > 0 else 0.0) - x + y
    if beta == 0:
        return x / y - math.log(x / y) - 1
    both = beta * x * y ** (beta - 1) if x > 0 else 0.0
    return ((x**beta if x > 0 else 0.0) + (beta - 1) * y**beta - both) / (beta * (beta - 1))


def beta_divergence(V, model, beta, weights=None):
    total = 0.0
    for i in range(V.shape[0]):
        for j in range(V.shape[1]):
            if weights is None:
                total += divergence(V[i, j], model[i, j], beta)
            elif weights[i, j] > 0:
                total += float(weights[i, j]) * divergence(V[i, j], model[i, j], beta)
    return total


def mm_exponent(beta):
    if beta < 1:
        return 1 / (2 - beta)
    if beta > 2:
        return 1 / (beta - 1)
    return 1.0


def model_of(W, H, beta):
    """W H, held above the floor where it is divided by."""
    C = np.zeros((W.shape[0], H.shape[1]))
    for i in range(C.shape[0]):
        for j in range(C.shape[1]):
            C[i, j] = sum(float(W[i, k]) * float(H[k, j]) for k in range(W.shape[1]))
    return C if beta == 2 else C + MODEL_FLOOR


def gradient_parts(V, C, beta, weights=None):
    """R and Q of ``gradient = model parts of Q - model parts of R``."""
    G = np.ones(V.shape) if weights is None else np.asarray(weights, float)
    R = np.zeros(V.shape)
    Q = np.zeros(V.shape)
    for i in range(V.shape[0]):
        for j in range(V.shape[1]):
            # 0^0 and 0^-1 only meet the squared Euclidean distance, where they are plain numbers.
            R[i, j] = G[i, j] * V[i, j] * (1.0 if beta == 2 else C[i, j] ** (beta - 2))
            Q[i, j] = G[i, j] * (C[i, j] if beta == 2 else C[i, j] ** (beta - 1))
    return R, Q


def moved(x, above, below, exponent):
    if x == 0 or below == 0:
        return x
    return max(x * (above / below) ** exponent, FACTOR_FLOOR)


def step_h(V, W, H, beta, *, exponent=None, weights=None, fixed=()):
    exponent = mm_exponent(beta) if exponent is None else exponent
    R, Q = gradient_parts(V, model_of(W, H, beta), beta, weights)
    out = np.array(H, float)
    for k in range(H.shape[0]):
        if k in fixed:
            continue
        for j in range(H.shape[1]):
            above = sum(float(W[i, k]) * R[i, j] for i in range(V.shape[0]))
            below = sum(float(W[i, k]) * Q[i, j] for i in range(V.shape[0]))
            out[k, j] = moved(float(H[k, j]), above, below, exponent)
    return out


def step_w(V, W, H, beta, *, exponent=None, weights=None, fixed=()):
    exponent = mm_exponent(beta) if exponent is None else exponent
    R, Q = gradient_parts(V, model_of(W, H, beta), beta, weights)
    out = np.array(W, float)
    for k in range(W.shape[1]):
        if k in fixed:
            continue
        for i in range(W.shape[0]):
            above = sum(float(H[k, j]) * R[i, j] for j in range(V.shape[1]))
            below = sum(float(H[k, j]) * Q[i, j] for j in range(V.shape[1]))
            out[i, k] = moved(float(W[i, k]), above, below, exponent)
    return out


def factorize(V, W, H, beta, n_iter, *, weights=None, fixed_templates=(), fixed_activations=()):
    """H, then W, n_iter times; then templates that moved sum to one. Returns W, H and losses."""
    V, W, H = (np.array(x, float) for x in (V, W, H))
    losses = [beta_divergence(V, model_of(W, H, beta), beta, weights)]
    for _ in range(n_iter):
        H = step_h(V, W, H, beta, weights=weights, fixed=fixed_activations)
        W = step_w(V, W, H, beta, weights=weights, fixed=fixed_templates)
        losses.append(beta_divergence(V, model_of(W, H, beta), beta, weights))
    for k in range(W.shape[1]):
        total = W[:, k].sum()
        if k not in fixed_templates and k not in fixed_activations and total > 0:
            W[:, k] /= total
            H[k] *= total
    return W, H, np.array(losses)


def window_of(name, n_fft):
    hann = [math.sin(math.pi * i / n_fft) ** 2 for i in range(n_fft)]
    return np.sqrt(hann) if name == "sqrt_hann" else np.array(hann)


def stft(x, n_fft, hop_length, window):
    """(n_bins, n_frames), frame by frame around multiples of the hop, zeros outside."""
    win = window_of(window, n_fft)
    frames = []
    for t in range(1 + len(x) // hop_length):
        frame = np.zeros(n_fft)
        for i in range(n_fft):
            at = t * hop_length - n_fft // 2 + i
            if 0 <= at < len(x):
                frame[i] = x[at] * win[i]
        frames.append(np.fft.rfft(frame))
    return np.array(frames).T


def istft(S, n_fft, hop_length, window, n_samples):
    """Griffin & Lim (1984), eq. 6: least-squares signal of any (n_bins, n_frames)."""
    win = window_of(window, n_fft)
    summed, weight = np.zeros(n_samples), np.zeros(n_samples)
    for t in range(S.shape[1]):
        frame = np.fft.irfft(S[:, t], n_fft)
        for i in range(n_fft):
            at = t * hop_length - n_fft // 2 + i
            if 0 <= at < n_samples:
                summed[at] += frame[i] * win[i]
                weight[at] += win[i] ** 2
    return np.where(weight > 1e-8, summed / np.where(weight > 1e-8, weight, 1.0), 0.0)


def wiener_masks(models, exponent):
    models = np.asarray(models, float)
    out = np.zeros(models.shape)
    for at in np.ndindex(models.shape[1:]):
        column = [models[(s, *at)] for s in range(len(models))]
        largest = max(column)
        for s, value in enumerate(column):
            if largest == 0:
                out[(s, *at)] = 1 / len(models)
            else:
                shares = [(other / largest) ** exponent for other in column]
                out[(s, *at)] = (value / largest) ** exponent / sum(shares)
    return out


def si_sdr(estimate, reference):
    """Scale-invariant signal-to-distortion ratio in dB; Le Roux et al. (2019), eq. 2."""
    estimate, reference = (np.asarray(x, float).ravel() for x in (estimate, reference))
    target = reference * (estimate @ reference) / (reference @ reference)
    noise = estimate - target
    return 10 * math.log10((target @ target) / (noise @ noise))
