"""Slow, obvious twins of the models with more than two plain factors: loops in float64.

Layouts as in the papers: ``W (n_bins, n_components, n_taps)`` for patches, ``Q (n_channels,
n_components)`` for gains. Nothing here imports the code it is compared with.
"""

from __future__ import annotations

import naive
import numpy as np

# Patches


def convolutive_model(W, H):
    """Smaragdis (2004), eq. 4: each activation places a whole patch."""
    n_bins, K, n_taps = W.shape
    C = np.zeros((n_bins, H.shape[1]))
    for k in range(K):
        for begin in range(H.shape[1]):
            for tap in range(n_taps):
                if begin + tap < H.shape[1]:
                    for i in range(n_bins):
                        C[i, begin + tap] += float(W[i, k, tap]) * float(H[k, begin])
    return C


def _held(C, beta):
    return C if beta == 2 else C + naive.MODEL_FLOOR


def convolutive_parts(V, W, H, beta, weights):
    return naive.gradient_parts(V, _held(convolutive_model(W, H), beta), beta, weights)


def convolutive_step_h(V, W, H, beta, *, weights=None, fixed=()):
    R, Q = convolutive_parts(V, W, H, beta, weights)
    out = np.array(H, float)
    n_bins, K, n_taps = W.shape
    for k in range(K):
        if k in fixed:
            continue
        for begin in range(H.shape[1]):
            above = below = 0.0
            for tap in range(n_taps):
                if begin + tap < H.shape[1]:
                    for i in range(n_bins):
                        above += float(W[i, k, tap]) * R[i, begin + tap]
                        below += float(W[i, k, tap]) * Q[i, begin + tap]
            out[k, begin] = naive.moved(float(H[k, begin]), above, below, naive.mm_exponent(beta))
    return out


def convolutive_step_w(V, W, H, beta, *, weights=None, fixed=()):
    R, Q = convolutive_parts(V, W, H, beta, weights)
    out = np.array(W, float)
    n_bins, K, n_taps = W.shape
    for k in range(K):
        if k in fixed:
            continue
        for tap in range(n_taps):
            for i in range(n_bins):
                above = below = 0.0
                for begin in range(H.shape[1] - tap):
                    above += float(H[k, begin]) * R[i, begin + tap]
                    below += float(H[k, begin]) * Q[i, begin + tap]
                at = float(W[i, k, tap])
                out[i, k, tap] = naive.moved(at, above, below, naive.mm_exponent(beta))
    return out


def _to_sum_one(W, H, kept):
    for k in range(W.shape[1]):
        total = W[:, k].sum()
        if k not in kept and total > 0:
            W[:, k] /= total
            H[k] *= total


def factorize_convolutive(
    V, W, H, beta, n_iter, *, weights=None, fixed_templates=(), fixed_activations=(), adapt=None
):
    """H, then W, and where wanted back towards the start; returns W, H and losses."""
    V, W, H = (np.array(x, float) for x in (V, W, H))
    kept = (*fixed_templates, *fixed_activations)

    def loss():
        return naive.beta_divergence(V, _held(convolutive_model(W, H), beta), beta, weights)

    losses = [loss()]
    if adapt is not None:
        _to_sum_one(W, H, kept)
    start = W.copy()
    for i in range(n_iter):
        H = convolutive_step_h(V, W, H, beta, weights=weights, fixed=fixed_activations)
        W = convolutive_step_w(V, W, H, beta, weights=weights, fixed=fixed_templates)
        if adapt is not None:
            _to_sum_one(W, H, kept)
            b = (1 - i / n_iter) ** adapt
            W = b * start + (1 - b) * W
        losses.append(loss())
    _to_sum_one(W, H, kept)
    return W, H, np.array(losses)


# Channels


def tensor_model(Q, W, H):
    """FitzGerald, Cranitch & Coyle (2005): gains times template times activation."""
    C = np.zeros((Q.shape[0], W.shape[0], H.shape[1]))
    for c, i, j in np.ndindex(C.shape):
        C[c, i, j] = sum(float(Q[c, k] * W[i, k]) * float(H[k, j]) for k in range(W.shape[1]))
    return C


def _flat(x):
    return None if x is None else np.asarray(x).reshape(len(x), -1)


def tensor_parts(V, Q, W, H, beta, weights):
    C = _held(tensor_model(Q, W, H), beta)
    parts = naive.gradient_parts(_flat(V), _flat(C), beta, _flat(weights))
    return tuple(part.reshape(V.shape) for part in parts)


def tensor_step(V, factors, which, beta, *, weights=None, fixed=()):
    """Move one factor, 0 gains, 1 templates or 2 activations, by its gradient's two parts."""
    R, P = tensor_parts(V, *factors, beta, weights)
    Q, W, H = (np.asarray(x, float) for x in factors)
    above, below = np.zeros(factors[which].shape), np.zeros(factors[which].shape)
    for c, i, j in np.ndindex(V.shape):
        for k in range(Q.shape[1]):
            at = ((c, k), (i, k), (k, j))[which]
            rest = (W[i, k] * H[k, j], Q[c, k] * H[k, j], Q[c, k] * W[i, k])[which]
            above[at] += rest * R[c, i, j]
            below[at] += rest * P[c, i, j]
    out = np.array(factors[which], float)
    for at in np.ndindex(out.shape):
        if at[0 if which == 2 else 1] not in fixed:
            out[at] = naive.moved(out[at], above[at], below[at], naive.mm_exponent(beta))
    return out


def factorize_tensor(V, Q, W, H, beta, n_iter, *, weights=None, fixed=((), (), ())):
    """H, then Q, then W; then all to sum one. Returns the factors and losses."""
    factors = [np.array(x, float) for x in (Q, W, H)]

    def loss():
        model = _held(tensor_model(*factors), beta)
        return naive.beta_divergence(_flat(V), _flat(model), beta, _flat(weights))

    losses = [loss()]
    for _ in range(n_iter):
        for which in (2, 0, 1):
            factors[which] = tensor_step(
                V, factors, which, beta, weights=weights, fixed=fixed[which]
            )
        losses.append(loss())
    for k in range(factors[0].shape[1]):
        for which in (0, 1):
            total = factors[which][:, k].sum()
            if k not in fixed[which] and k not in fixed[2] and total > 0:
                factors[which][:, k] /= total
                factors[2][k] *= total
    return (*factors, np.array(losses))


# Streams


class Online:
    """Lefèvre, Bach & Févotte (2011), algorithm 1, for any beta and block; float64, level one."""

    def __init__(self, W, beta, forget_factor, n_inner, n_passes):
        self.W = np.array(W, float) / np.sum(W, axis=0)
        self.beta, self.forget_factor = beta, forget_factor
        self.n_inner, self.n_passes = n_inner, n_passes
        self.A, self.B = np.zeros(self.W.shape), np.zeros(self.W.shape)

    def partial_fit(self, V):
        n_bins, K = self.W.shape
        H = np.array([[V[:, j].sum() / K for j in range(V.shape[1])] for _ in range(K)])
        self.A *= self.forget_factor
        self.B *= self.forget_factor
        for _ in range(self.n_passes):
            for _ in range(self.n_inner):
                H = naive.step_h(V, self.W, H, self.beta)
            R, Q = naive.gradient_parts(V, naive.model_of(self.W, H, self.beta), self.beta)
            A, B = R @ H.T, Q @ H.T
            for i in range(n_bins):
                for k in range(K):
                    w = self.W[i, k]
                    # Each ratio was taken at w: the majoriser is made of powers of w'/w.
                    A[i, k] *= w ** (2 - self.beta) if self.beta <= 2 else 1.0
                    B[i, k] *= 1.0 if self.beta < 1 else w ** (1 - self.beta)
            for k in range(K):
                for i in range(n_bins):
                    ratio = (self.A[i, k] + A[i, k]) / (self.B[i, k] + B[i, k])
                    self.W[i, k] = max(ratio ** naive.mm_exponent(self.beta), naive.FACTOR_FLOOR)
                total = self.W[:, k].sum()
                self.W[:, k] /= total
                H[k] *= total
                up_a = total ** (self.beta - 1) if self.beta <= 2 else total
                up_b = total if self.beta < 1 else total**self.beta
                for terms, up in ((A, up_a), (self.A, up_a), (B, up_b), (self.B, up_b)):
                    terms[:, k] *= up
        self.A += A
        self.B += B
