"""Compiled loops for one frame at a time: arrays in, arrays out, the caller allocates.

``v (n_bins,)`` is a frame, ``W (n_components, n_bins)`` templates whose rows sum to one, and
``h (n_components,)`` activations. No library of linear algebra is called: for a single frame the
result would depend on its number of threads, and the call would cost more than the sums.
"""

# Typed by the compiler, which sees more than an annotation could say.
# mypy: disable-error-code="no-untyped-def,no-untyped-call"
# ruff: noqa: ANN001, ANN201, ANN202

from __future__ import annotations

from audiosep.nmf.divergence_kernels import FACTOR_FLOOR, MODEL_FLOOR
from audiosep.nmf.jit import kernel

__all__ = ["frame_activations", "frame_models"]


@kernel
def add_rows(W, h, first, last, out):
    """``out = sum_k h[k] W[k]`` over the rows from `first` up to, but without, `last`."""
    for j in range(out.size):
        out[j] = 0
    k = first
    while k + 4 <= last:
        a, b, c, d = h[k], h[k + 1], h[k + 2], h[k + 3]
        w0, w1, w2, w3 = W[k], W[k + 1], W[k + 2], W[k + 3]
        for j in range(out.size):
            out[j] += a * w0[j] + b * w1[j] + c * w2[j] + d * w3[j]
        k += 4
    while k < last:
        a, w0 = h[k], W[k]
        for j in range(out.size):
            out[j] += a * w0[j]
        k += 1


@kernel
def frame_activations(v, W, h, n_iter, ratio):
    """`n_iter` updates of h for the Kullback-Leibler divergence of v from ``h W``.

    ``h[k] <- h[k] sum_j W[k, j] v[j] / (h W)[j]``: Lee & Seung (2001), eq. 5, with rows of W that
    sum to one. `ratio` (n_bins,) receives ``v / (h W)`` before the last update.
    """
    floor = v.dtype.type(MODEL_FLOOR)
    lowest = v.dtype.type(FACTOR_FLOOR)
    for _ in range(n_iter):
        add_rows(W, h, 0, h.size, ratio)
        for j in range(v.size):
            ratio[j] = v[j] / (ratio[j] + floor)
        for k in range(h.size):
            gain = v.dtype.type(0)
            w = W[k]
            for j in range(v.size):
                gain += w[j] * ratio[j]
            h[k] = max(h[k] * gain, lowest)


@kernel
def frame_models(W, h, edges, models):
    """``models[s] = sum_k h[k] W[k]`` over the rows from ``edges[s]`` up to ``edges[s + 1]``."""
    for s in range(models.shape[0]):
        add_rows(W, h, edges[s], edges[s + 1], models[s])
