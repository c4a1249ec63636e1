"""What a solver is given: the data, what may move, and what else the objective holds."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from audiosep.types import FloatArray

__all__ = ["Penalty", "Problem", "Update"]


class Penalty(Protocol):
    """A term of the objective that looks at one factor only.

    The factor is given as X (n_components, n): templates (n_components, n_bins), or activations
    (n_components, n_frames). The gradient is split into two non-negative parts, and `rises` and
    `falls` say how fast the terms behind them change: at any point X the penalty is bounded from
    above, in the ratios ``u = Y / X``, by a sum over entries of terms ``X plus u^rises / rises``
    and ``-X minus u^falls / falls`` (``-X minus log u`` for falls = 0) and constants. That is all
    that a majorisation-minimisation update needs; Tan & Févotte (2013), "Automatic relevance
    determination in nonnegative matrix factorization with the beta-divergence", IEEE TPAMI 35(7).
    """

    @property
    def rises(self) -> float:
        """Highest power of the rising part; 1 for a linear one."""
        ...

    @property
    def falls(self) -> float:
        """Lowest power of the falling part; 1 where there is none."""
        ...

    def value(self, X: FloatArray) -> float:
        """The penalty, with its strength."""
        ...

    def gradient(self, X: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Non-negative parts ``(plus, minus)`` of the gradient, each broadcastable to X."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Problem:
    """``minimise D(V | H W) + penalties`` over the free entries; frames-major.

    Parameters
    ----------
    V : np.ndarray [shape=(n_frames, n_bins)]
        C-contiguous, finite, non-negative, mean near one. For beta <= 0 positive.
    beta : float
        Divergence.
    weights : np.ndarray [shape=(n_frames, n_bins)] or None
        Importance of each entry.
    free_w : np.ndarray of uint8 [shape=(n_components, n_bins) or (n_components, 1)]
        1 where a template may move.
    free_h : np.ndarray of uint8 [shape=(n_frames, n_components) or (1, n_components)]
        1 where an activation may move.
    w_penalties, h_penalties : tuple of Penalty
        Terms added to the divergence.
    held : {"", "w", "h"}
        Factor whose components are held at sum one, because the other is penalised.
    pool : ThreadPoolExecutor or None
        Threads to work on; the caller's own where None. Results must not depend on it.
    """

    V: FloatArray
    beta: float
    weights: FloatArray | None
    free_w: npt.NDArray[np.uint8]
    free_h: npt.NDArray[np.uint8]
    w_penalties: tuple[Penalty, ...] = ()
    h_penalties: tuple[Penalty, ...] = ()
    held: str = ""
    pool: ThreadPoolExecutor | None = None


class Update(Protocol):
    """An algorithm that improves ``V ≈ H W`` step by step; made as ``Solver(problem, W, H)``.

    W (n_components, n_bins) and H (n_frames, n_components) are C-contiguous arrays of V's dtype,
    and are changed in place. Entries that are not free keep their value; entries of W or H that
    are exactly zero stay zero in multiplicative algorithms.
    """

    def step(self, with_loss: bool = True) -> float:
        """Make one iteration; return the objective at the point where it began.

        Where it is not wanted, any number may be returned.
        """
        ...

    def loss(self) -> float:
        """The objective as it is now."""
        ...
