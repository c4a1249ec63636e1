"""Updates of ``A ≈ H Hᵀ`` and ``A ≈ H S Hᵀ``, as endless runs of states.

Each state is ``(H, S, loss)``, the loss being that of this H and S; no state has a higher one than
the state before. A is symmetric, non-negative, with a mean near one; everything is float64.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

__all__ = [
    "State",
    "Wide",
    "sum_to_one",
    "symmetric_euclidean",
    "symmetric_kl",
    "tri_euclidean",
    "tri_kl",
]

Wide = npt.NDArray[np.float64]
State = tuple[Wide, Wide | None, float]


_ROWS = 512
"""Rows of A that are worked on together, so that no temporary has its size."""

_FLOOR = 1e-16
_MODEL_FLOOR = 1e-12
"""Factors and model stay above these, for data scaled to a mean near one."""

_CANCELLED = 1e-6
"""Below this share of ``½‖A‖²`` the objective is summed from the residual itself."""

_BOLD, _SAFE = 0.9, 0.25
"""Exponents of the Euclidean update: one that mostly lowers the objective, one that always does."""


def _blocks(A: Wide, L: Wide, H: Wide) -> Iterator[tuple[slice, Wide]]:
    """Rows of A, some at a time, and the same rows of the model ``L Hᵀ``."""
    for first in range(0, len(A), _ROWS):
        rows = slice(first, first + _ROWS)
        yield rows, L[rows] @ H.T


def _ratio(above: Wide, below: Wide) -> Wide:
    """``above / below``, one where both are zero or nothing is below."""
    return np.divide(above, below, out=np.ones_like(above), where=below > 0)


def _moved(X: Wide, ratio: Wide) -> Wide:
    """``X ratio`` above the floor; zeros stay zero."""
    return np.where(X > 0, np.maximum(X * ratio, _FLOOR), 0.0)


def _euclidean_loss(A: Wide, half_norm: float, H: Wide, AH: Wide, S: Wide) -> float:
    """``½‖A - H S Hᵀ‖²``."""
    linked = H.T @ H @ S
    loss = half_norm - float((AH @ S * H).sum()) + 0.5 * float((linked * linked.T).sum())
    if loss < _CANCELLED * half_norm:
        loss = 0.5 * sum(float(((A[rows] - C) ** 2).sum()) for rows, C in _blocks(A, H @ S, H))
    return loss


def _kl_ratios(A: Wide, L: Wide, H: Wide) -> tuple[float, Wide]:
    """Kullback-Leibler divergence of A from ``C = L Hᵀ``, and ``(A / C) H``."""
    loss = 0.0
    out = np.empty_like(H)
    for rows, C in _blocks(A, L, H):
        a = A[rows]
        C = np.maximum(C, _MODEL_FLOOR)
        ratio = a / C
        # x log(x/y) - x + y with x = r y
        loss += float((C * (ratio * (np.log(np.where(a > 0, ratio, 1.0)) - 1.0) + 1.0)).sum())
        out[rows] = ratio @ H
    return loss, out


def _move_memberships(
    A: Wide, half_norm: float, H: Wide, AH: Wide, S: Wide, loss: float
) -> tuple[Wide, Wide, float]:
    """A Euclidean step of H from `loss`; new H, ``A H`` and loss. It never rises."""
    ratio = _ratio(AH @ S, H @ (S @ (H.T @ H) @ S))
    for exponent in (_BOLD, _SAFE):
        X = _moved(H, ratio**exponent)
        AX = A @ X
        reached = _euclidean_loss(A, half_norm, X, AX, S)
        if reached <= loss:
            return X, AX, reached
    # Only rounding at a minimum, or the floor, comes here.
    return H, AH, loss


def symmetric_euclidean(A: Wide, H: Wide) -> Iterator[State]:
    """H <- H (A H / H Hᵀ H)^g with the bolder g that does not raise the loss."""
    half_norm = 0.5 * float((A * A).sum())
    S = np.eye(H.shape[1])
    AH = A @ H
    loss = _euclidean_loss(A, half_norm, H, AH, S)
    while True:
        yield H, None, loss
        H, AH, loss = _move_memberships(A, half_norm, H, AH, S, loss)


def symmetric_kl(A: Wide, H: Wide) -> Iterator[State]:
    """Exact minima of Jensen's bound of the Kullback-Leibler divergence."""
    while True:
        loss, RH = _kl_ratios(A, H, H)
        yield H, None, loss
        C = H * RH
        H = _moved(H, RH / np.sqrt(np.maximum(C.sum(axis=0), _FLOOR)))


def tri_euclidean(A: Wide, H: Wide, S: Wide) -> Iterator[State]:
    """S by the update of Lee & Seung, which is linear in it; then H as in the symmetric case."""
    half_norm = 0.5 * float((A * A).sum())
    AH = A @ H
    loss = _euclidean_loss(A, half_norm, H, AH, S)
    while True:
        yield H, S, loss
        gram = H.T @ H
        moved = _moved(S, _ratio(H.T @ AH, gram @ S @ gram))
        S_new = 0.5 * (moved + moved.T)
        reached = _euclidean_loss(A, half_norm, H, AH, S_new)
        if reached <= loss:
            S, loss = S_new, reached
        H, AH, loss = _move_memberships(A, half_norm, H, AH, S, loss)


def tri_kl(A: Wide, H: Wide, S: Wide) -> Iterator[State]:
    """Both factors from the ratios at one point; the columns of H have the sum one."""
    while True:
        loss, RH = _kl_ratios(A, H @ S, H)
        yield H, S, loss
        moved = _moved(S, H.T @ RH)
        H = sum_to_one(_moved(H, RH @ S))[0]
        S = 0.5 * (moved + moved.T)


def sum_to_one(H: Wide) -> tuple[Wide, Wide]:
    """H with columns of sum one (or zero), and what they were divided by."""
    totals = H.sum(axis=0)
    totals = np.where(totals > 0, totals, 1.0)
    return H / totals, totals
