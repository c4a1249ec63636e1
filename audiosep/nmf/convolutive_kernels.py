"""Compiled loops of the convolutive model: activations beside their delayed versions, and back.

Frames-major: ``H (n_frames, n_components)``, delayed ``(n_frames, n_taps * n_components)``, one
delay after the other.
"""

# Typed by the compiler, which sees more than an annotation could say.
# mypy: disable-error-code="no-untyped-def,no-untyped-call"
# ruff: noqa: ANN001, ANN201

from __future__ import annotations

from audiosep.nmf.jit import kernel

__all__ = ["gather", "lag"]


@kernel
def lag(H, out):
    """``out[n, t K + k] = H[n - t, k]``, and zero before the beginning."""
    n_frames, K = H.shape
    n_taps = out.shape[1] // K
    for n in range(n_frames):
        for tap in range(n_taps):
            if tap <= n:
                for k in range(K):
                    out[n, tap * K + k] = H[n - tap, k]
            else:
                for k in range(K):
                    out[n, tap * K + k] = 0


@kernel
def gather(S, out):
    """``out[n, k] = sum_t S[n + t, t K + k]`` over the delays that end inside.

    One row of S serves all frames: the transpose of `lag`.
    """
    n_frames, K = out.shape
    n_taps = S.shape[1] // K
    step = 0 if S.shape[0] == 1 else 1
    for n in range(n_frames):
        for k in range(K):
            out[n, k] = 0
        for tap in range(min(n_taps, n_frames - n)):
            for k in range(K):
                out[n, k] += S[(n + tap) * step, tap * K + k]
