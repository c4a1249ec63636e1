"""One iteration of the multiplicative updates over a whole matrix, on one or many threads."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from audiosep.nmf import kernels
from audiosep.nmf.divergence import mm_exponent
from audiosep.types import FloatArray

__all__ = ["SOLVERS", "AcceleratedUpdate", "MultiplicativeUpdate"]

_MAX_SLABS = 16
_TILE_ENTRIES = 1 << 17
"""Entries of a tile: 512 kB of float32, so that a tile and its ratios stay in cache. Half of it
for few components, where products are cheap and memory is what counts (measured)."""
_FEW_COMPONENTS = 12

_KINDS = {
    0.0: kernels.ITAKURA_SAITO,
    0.5: kernels.HALF,
    1.0: kernels.KULLBACK_LEIBLER,
    2.0: kernels.EUCLIDEAN,
}

# Their arguments are checked by the compiler, not by the type checker.
_SLAB_STEP: Any = kernels.slab_step
_SLAB_LOSS: Any = kernels.slab_loss

Map = Callable[[Callable[[int], float], Iterable[int]], Iterator[float]]


class MultiplicativeUpdate:
    """Multiplicative updates of ``V ≈ H W`` (frames-major), in place.

    The frames are cut into slabs by the data's shape alone; each slab has its own sums, added in
    a fixed order, so that the result does not depend on the number of threads.

    Parameters
    ----------
    V : np.ndarray [shape=(n_frames, n_bins)]
        C-contiguous, mean near one.
    W : np.ndarray [shape=(n_components, n_bins)]
        Changed by :meth:`step`.
    H : np.ndarray [shape=(n_frames, n_components)]
        Changed by :meth:`step`.
    beta : float
        Divergence.
    weights : np.ndarray [shape=(n_frames, n_bins)] or None
        Importance of each entry.
    free_templates, free_activations : np.ndarray of bool [shape=(n_components,)]
        Which components move.
    pool : ThreadPoolExecutor or None
        Threads to work on; the caller's own where None.
    """

    def __init__(
        self,
        V: FloatArray,
        W: FloatArray,
        H: FloatArray,
        *,
        beta: float,
        weights: FloatArray | None,
        free_templates: npt.NDArray[np.bool_],
        free_activations: npt.NDArray[np.bool_],
        pool: ThreadPoolExecutor | None,
    ) -> None:
        self.W, self.H, self._V, self._beta = W, H, V, beta
        self._kind = _KINDS.get(beta, kernels.GENERAL)
        self._exponent = V.dtype.type(mm_exponent(beta))
        self._weighted = weights is not None
        self._G = np.zeros((1, 1), V.dtype) if weights is None else weights
        self._free_w = free_templates
        self._free_h = free_activations.astype(np.uint8)
        n_frames, n_bins = V.shape
        K = len(W)
        entries = _TILE_ENTRIES // 2 if K <= _FEW_COMPONENTS else _TILE_ENTRIES
        self._tile = int(min(256, max(16, entries // n_bins)))
        n_slabs = int(min(_MAX_SLABS, max(1, n_frames // (2 * self._tile))))
        bounds = [round(i * n_frames / n_slabs) for i in range(n_slabs + 1)]
        self._slabs = [slice(first, last) for first, last in pairwise(bounds)]
        plain_kl = self._kind == kernels.KULLBACK_LEIBLER and not self._weighted
        self._B = np.empty((n_slabs, K, n_bins), V.dtype)
        self._E = np.empty((n_slabs, K, 1 if plain_kl else n_bins), V.dtype)
        self._map: Map = map if pool is None or n_slabs == 1 else pool.map

    def _problem_of(self, index: int) -> tuple[Any, ...]:
        part = self._slabs[index]
        G = self._G[part] if self._weighted else self._G
        return self._V[part], G, self._weighted, self.W, self.H[part], self._kind, self._beta

    def _step_slab(self, index: int) -> float:
        loss: float = _SLAB_STEP(
            *self._problem_of(index),
            self._exponent,
            self._free_h,
            self._tile,
            bool(self._free_w.any()),
            self._B[index],
            self._E[index],
        )
        return loss

    def _loss_of_slab(self, index: int) -> float:
        loss: float = _SLAB_LOSS(*self._problem_of(index), self._tile)
        return loss

    def step(self) -> float:
        """Update H, then W; return the divergence before the update."""
        loss = sum(self._map(self._step_slab, range(len(self._slabs))))
        if self._free_w.any():
            below = self._E.sum(axis=0)
            below[~self._free_w] = 0.0  # leaves the template as it is
            floor = self._V.dtype.type(kernels.FACTOR_FLOOR)
            kernels.multiply(self.W, self._B.sum(axis=0), below, self._exponent, floor)
        return loss

    def loss(self) -> float:
        """Divergence of the data from the model as it is now."""
        return sum(self._map(self._loss_of_slab, range(len(self._slabs))))


_MOST_MOMENTUM = 0.9
_RATIO_RANGE = (0.2, 5.0)
"""Ratios of two iterates are held in this range before they are extrapolated."""


class AcceleratedUpdate(MultiplicativeUpdate):
    """Multiplicative updates from extrapolated points, with a guarantee that losses never rise.

    Before each step every free entry x is moved on the way it came, in the logarithmic domain:
    ``x (x / x_before)^a`` with Nesterov's weights, ``a_i = min((t_i - 1) / t_(i+1), 0.9)``,
    ``t_(i+1) = (1 + sqrt(1 + 4 t_i²)) / 2``. Where the divergence at the moved point is above that
    of the one before, the move is undone, an ordinary step is made, and the weights start anew.

    References
    ----------
    .. [1] Y. Nesterov (1983), "A method for solving the convex programming problem with
       convergence rate O(1/k²)", Soviet Math. Doklady 27.
    .. [2] L. T. K. Hien, V. Leplat and N. Gillis (2024), "Block majorization minimization with
       extrapolation and application to beta-NMF": they extrapolate by adding; we multiply, which
       keeps the factors positive, and restart instead of bounding the weights.
    """

    _t = 1.0
    _momentum = 0.0
    _last_loss = float("inf")
    _before: tuple[FloatArray, FloatArray]

    def step(self) -> float:
        """Move on, update H, then W; return the divergence at the moved point."""
        before = self.W.copy(), self.H.copy()
        if self._momentum > 0.0:
            self._extrapolate(self.W, self._before[0], self._free_w[:, np.newaxis])
            self._extrapolate(self.H, self._before[1], self._free_h.astype(bool))
        loss = super().step()
        if loss > self._last_loss and self._momentum > 0.0:
            self.W[...], self.H[...] = before
            self._t = 1.0
            loss = super().step()
        self._before = before
        self._last_loss = loss
        following = (1.0 + math.sqrt(1.0 + 4.0 * self._t**2)) / 2.0
        self._momentum = min((self._t - 1.0) / following, _MOST_MOMENTUM)
        self._t = following
        return loss

    def _extrapolate(self, x: FloatArray, before: FloatArray, free: npt.NDArray[np.bool_]) -> None:
        """Move the free, positive entries of `x` in place."""
        moving = free & (before > 0)
        ratio = np.divide(x, before, out=np.ones_like(x), where=moving)
        np.clip(ratio, *_RATIO_RANGE, out=ratio)
        moved = x * ratio ** x.dtype.type(self._momentum)
        np.copyto(x, np.maximum(moved, x.dtype.type(kernels.FACTOR_FLOOR)), where=moving)


SOLVERS: dict[str, type[MultiplicativeUpdate]] = {
    "mu": MultiplicativeUpdate,
    "accelerated": AcceleratedUpdate,
}
"""Ways to make one iteration, by name."""
