"""Templates in the order in which compiled loops read them."""

from __future__ import annotations

from typing import Any

import numpy as np

from audiosep.nmf.vector_kernels import ROWS, VECTOR_BYTES, panel_of
from audiosep.types import FloatArray

__all__ = ["Panels"]


def _up_to(n: int, step: int) -> int:
    return -(-n // step) * step


class Panels:
    """Templates W (n_components, n_bins), cut into panels of bins, and what is summed like them.

    Parameters
    ----------
    n_components, n_bins : int
        Shape of W.
    dtype : numpy.dtype
        float32 or float64.
    n_slabs : int
        For how many slabs there are sums.
    same_below : bool
        Whether denominators are the same in all bins.

    Attributes
    ----------
    rows : np.ndarray [shape=(n_panels, up to n_components, panel)]
        W; zeros beyond its end, and so in the others.
    columns : np.ndarray [shape=(n_panels, panel, up to n_components)]
        Wᵀ.
    totals : np.ndarray [shape=(1, up to n_components)]
        Sums of W over all bins.
    above, below : np.ndarray [shape=(n_slabs, ...)]
        Room for Hᵀ R and Hᵀ Q in the shape of `rows`.
    """

    def __init__(
        self,
        n_components: int,
        n_bins: int,
        dtype: np.dtype[Any],
        n_slabs: int,
        *,
        same_below: bool,
    ) -> None:
        panel = panel_of(dtype)
        self._shape = n_components, n_bins
        rows = _up_to(n_components, ROWS)
        columns = _up_to(n_components, max(ROWS, VECTOR_BYTES // dtype.itemsize))
        n_panels = -(-n_bins // panel)
        self._whole = np.zeros((columns, n_panels * panel), dtype)
        self.rows = np.zeros((n_panels, rows, panel), dtype)
        self.columns = np.zeros((n_panels, panel, columns), dtype)
        self.totals = np.zeros((1, columns), dtype)
        self.above = np.empty((n_slabs, n_panels, rows, panel), dtype)
        self.below = np.empty((n_slabs, *((1, rows, 1) if same_below else self.rows.shape)), dtype)

    def fill(self, W: FloatArray) -> None:
        """Cut W."""
        K, n_bins = self._shape
        n_panels, rows, panel = self.rows.shape
        self._whole[:K, :n_bins] = W
        np.copyto(self.rows, self._whole[:rows].reshape(rows, n_panels, panel).transpose(1, 0, 2))
        np.copyto(self.columns, self._whole.T.reshape(self.columns.shape))
        self.totals[0, :K] = W.sum(axis=1)

    def sums(self) -> tuple[FloatArray, FloatArray]:
        """``Hᵀ R`` and ``Hᵀ Q`` over all slabs in the shape of W, or (n_components, 1)."""
        return self._joined(self.above), self._joined(self.below)

    def _joined(self, parts: FloatArray) -> FloatArray:
        K, n_bins = self._shape
        total = parts.sum(axis=0).transpose(1, 0, 2)
        joined: FloatArray = np.ascontiguousarray(total[:K]).reshape(K, -1)[:, :n_bins]
        return joined
