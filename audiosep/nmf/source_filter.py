"""A filtered source beside free components: ``V ≈ (C G) ⊙ (B F P) + W H``.

The source is a sum of given excitations C (say, harmonic combs), of which only a few may be active
in each frame; the filter is a product of given smooth bumps B, free weights F and free activations
P; whatever is neither is free components W H. The fit minimises the generalised Kullback-Leibler
divergence by multiplicative updates, factor after factor, so that it never rises.

References
----------
.. [1] J.-L. Durrieu, G. Richard, B. David and C. Févotte (2010), "Source/filter model for
   unsupervised main melody extraction from polyphonic audio signals", IEEE TASLP 18(3): the
   model, there with the Itakura-Saito divergence on powers.
.. [2] J.-L. Durrieu, B. David and G. Richard (2011), "A musically motivated mid-level
   representation for pitch estimation and musical audio source separation", IEEE JSTSP 5(6):
   the smooth filters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from audiosep.errors import ParameterError
from audiosep.nmf import source_filter_kernels as loops
from audiosep.threads import one_blas_thread
from audiosep.types import FloatArray, whole_number

__all__ = ["SourceFilterFit", "fit_source_filter", "smooth_bumps"]

# Their arguments are checked by the compiler, not by the type checker.
_LOOPS: Any = loops

_MODEL_FLOOR = 1e-9
_FACTOR_FLOOR = 1e-16


@dataclass(frozen=True, kw_only=True, eq=False)
class SourceFilterFit:
    """Result of :func:`fit_source_filter`.

    Parameters
    ----------
    source : np.ndarray [shape=(n_bins, n_frames)]
        Model of the filtered source.
    rest : np.ndarray [shape=(n_bins, n_frames)]
        Model of everything else, ``W H``.
    gains : np.ndarray [shape=(n_candidates, n_frames)]
        G at the candidates of each frame.
    filters : np.ndarray [shape=(n_bins, n_filters)]
        ``B F``; the columns of F sum to one.
    filter_activations : np.ndarray [shape=(n_filters, n_frames)]
        P; columns sum to one.
    templates : np.ndarray [shape=(n_bins, n_components)]
        W; columns sum to one.
    activations : np.ndarray [shape=(n_components, n_frames)]
        H.
    losses : np.ndarray [dtype=float64]
        Divergence before the first iteration, after each, for V at a mean of one.
    """

    source: FloatArray
    rest: FloatArray
    gains: FloatArray
    filters: FloatArray
    filter_activations: FloatArray
    templates: FloatArray
    activations: FloatArray
    losses: npt.NDArray[np.float64]


def smooth_bumps(n_bins: int, n_bumps: int) -> npt.NDArray[np.float32]:
    """Return overlapping triangles that cover all bins, from which smooth filters are made.

    Parameters
    ----------
    n_bins, n_bumps : int > 0
        Bins, and triangles, whose centres are equally spaced from the first bin to the last and
        which reach a little beyond their neighbours' centres.

    Returns
    -------
    np.ndarray [shape=(n_bins, n_bumps), dtype=float32]
        In [0, 1]; every bin is under at least one of them.

    Examples
    --------
    >>> smooth_bumps(5, 3).round(2).tolist()
    [[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.0, 1.0, 0.0], [0.0, 0.5, 0.5], [0.0, 0.0, 1.0]]
    """
    n_bins = whole_number("n_bins", n_bins, 1)
    n_bumps = whole_number("n_bumps", n_bumps, 1)
    centres = np.linspace(0.0, n_bins - 1.0, n_bumps)
    half = max(1.0, (n_bins - 1.0) / (n_bumps - 1)) if n_bumps > 1 else float(n_bins)
    distance = np.abs(np.arange(n_bins)[:, np.newaxis] - centres) / half
    return np.maximum(0.0, 1.0 - distance).astype(np.float32)


def fit_source_filter(
    V: npt.ArrayLike,
    excitations: npt.ArrayLike,
    candidates: npt.ArrayLike,
    gains: npt.ArrayLike,
    *,
    bumps: npt.ArrayLike,
    n_filters: int = 8,
    n_components: int = 30,
    max_iter: int = 20,
    seed: int = 0,
) -> SourceFilterFit:
    """Fit a filtered source and free components to a non-negative matrix.

    Durrieu et al. (2010), section IV, for the generalised Kullback-Leibler divergence and with
    the excitations restricted to given candidates: what is not a candidate stays zero.

    Parameters
    ----------
    V : array_like [shape=(n_bins, n_frames)]
        Finite and non-negative.
    excitations : array_like [shape=(n_bins, n_excitations)]
        C, non-negative.
    candidates : array_like of int [shape=(n_candidates, n_frames)]
        Which excitations may sound in each frame; -1 for none.
    gains : array_like [shape=(n_candidates, n_frames)]
        Start of G, relative to the mean of V; zeros stay zero.
    bumps : array_like [shape=(n_bins, n_bumps)]
        B, non-negative; see :func:`smooth_bumps`.
    n_filters, n_components : int > 0
        Columns of F and of W.
    max_iter : int >= 0
        Iterations.
    seed : int >= 0
        Start of the random numbers.

    Returns
    -------
    SourceFilterFit
        Of the type of V where it is float64, float32 otherwise.

    Raises
    ------
    ParameterError
        If the shapes do not fit each other, an entry is negative or not finite, or a candidate
        does not exist.
    """
    state = _State(V, excitations, candidates, gains, bumps, n_filters, n_components, seed)
    max_iter = whole_number("max_iter", max_iter, 0)
    with one_blas_thread():
        losses = [state.step() for _ in range(max_iter)]
        losses.append(state.look())
    return state.result(losses)


def _matrix(name: str, value: npt.ArrayLike, shape: tuple[int | None, ...]) -> FloatArray:
    """Return a checked matrix, float64 only if it was."""
    matrix = np.asarray(value)
    fits = matrix.ndim == 2 and all(
        want in (None, have) for want, have in zip(shape, matrix.shape, strict=False)
    )
    if not fits or 0 in matrix.shape:
        raise ParameterError(f"{name} has shape {matrix.shape}, expected {shape}, not empty.")
    matrix = matrix.astype(np.float64 if matrix.dtype == np.float64 else np.float32, copy=False)
    if not np.isfinite(matrix).all() or matrix.min() < 0:
        raise ParameterError(f"{name} must be finite and not negative.")
    return matrix


def _candidates(
    candidates: npt.ArrayLike, shape: tuple[int, ...], n_excitations: int
) -> npt.NDArray[np.integer[Any]]:
    """Return checked indices of excitations."""
    which = np.asarray(candidates)
    if which.shape != shape or not np.issubdtype(which.dtype, np.integer):
        raise ParameterError(
            f"candidates must be whole numbers of the shape of gains, {shape}, got {which.dtype} "
            f"of shape {which.shape}."
        )
    if which.max() >= n_excitations:
        raise ParameterError(
            f"candidate {which.max()} does not exist: there are {n_excitations} excitations."
        )
    return which


class _State:
    """The factors, frames-major, and what follows from them."""

    V: FloatArray
    """Data at a mean of one, (n_frames, n_bins); `R` and `E` are of its shape."""

    R: FloatArray
    E: FloatArray
    Phi: FloatArray
    rest: FloatArray
    G: FloatArray
    F: FloatArray
    P: FloatArray
    W: FloatArray
    H: FloatArray

    def __init__(
        self,
        V: npt.ArrayLike,
        excitations: npt.ArrayLike,
        candidates: npt.ArrayLike,
        gains: npt.ArrayLike,
        bumps: npt.ArrayLike,
        n_filters: int,
        n_components: int,
        seed: int,
    ) -> None:
        """Check everything and draw the start."""
        data = _matrix("V", V, (None, None))
        n_bins, n_frames = data.shape
        n_filters = whole_number("n_filters", n_filters, 1)
        n_components = whole_number("n_components", n_components, 1)
        rng = np.random.default_rng(whole_number("seed", seed, 0))
        combs = _matrix("excitations", excitations, (n_bins, None))
        start = _matrix("gains", gains, (None, n_frames))
        which = _candidates(candidates, start.shape, combs.shape[1])
        kind = data.dtype
        level = float(data.mean(dtype=np.float64))
        self.scale = level if level > 0.0 else 1.0

        def stored(matrix: FloatArray) -> FloatArray:
            return np.ascontiguousarray(matrix.T.astype(kind))

        def drawn(*shape: int) -> FloatArray:
            return (0.1 + rng.random(shape)).astype(kind)

        self.V = stored(data / self.scale)
        self.combs = stored(combs)
        self.candidates = np.ascontiguousarray(which.T.astype(np.int32))
        self.bumps = stored(_matrix("bumps", bumps, (n_bins, None)))
        self.R, self.E = np.empty_like(self.V), np.empty_like(self.V)
        self.G = np.where(self.candidates >= 0, start.T, 0).astype(kind)
        self.F = drawn(self.bumps.shape[0], n_filters)
        self.P = drawn(n_frames, n_filters)
        self.W = drawn(n_components, n_bins)
        self.W /= self.W.sum(axis=1, keepdims=True)
        # Louder than the data: what the source explains as well is then left to it.
        self.H = drawn(n_frames, n_components) * kind.type(2.0 * n_bins / n_components)
        self._level_filters()
        self.rest = self.H @ self.W

    @property
    def filters(self) -> FloatArray:
        """``(B F)ᵀ``, (n_filters, n_bins)."""
        product: FloatArray = self.F.T @ self.bumps
        return product

    def _level_filters(self) -> None:
        """Columns of F, then of P, to a sum of one; the level moves on to G."""
        tiny = self.F.dtype.type(_FACTOR_FLOOR)
        size = np.maximum(self.F.sum(axis=0), tiny)
        self.F /= size
        self.P *= size
        size = np.maximum(self.P.sum(axis=1, keepdims=True), tiny)
        self.P /= size
        self.G *= size
        self.Phi = self.P @ self.filters
        _LOOPS.excite(self.combs, self.candidates, self.G, self.E)

    def _ratio(self) -> None:
        floor = self.V.dtype.type(_MODEL_FLOOR)
        _LOOPS.ratio(self.V, self.E, self.Phi, self.rest, floor, self.R)

    def look(self) -> float:
        """Refresh the ratio of data and model; return the divergence."""
        floor = self.V.dtype.type(_MODEL_FLOOR)
        return float(_LOOPS.ratio_loss(self.V, self.E, self.Phi, self.rest, floor, self.R))

    def step(self) -> float:
        """Improve all factors in turn; return the divergence before."""
        loss = self.look()
        above, below = np.empty_like(self.G), np.empty_like(self.G)
        _LOOPS.weigh(self.combs, self.candidates, self.R, self.Phi, above, below)
        self.G = _moved(self.G, above, below)
        _LOOPS.excite(self.combs, self.candidates, self.G, self.E)

        self._ratio()
        filters = self.filters
        self.R *= self.E
        self.P = _moved(self.P, self.R @ filters.T, self.E @ filters.T)
        np.matmul(self.P, filters, out=self.Phi)

        self._ratio()
        self.R *= self.E
        self.F = _moved(self.F, self.bumps @ (self.R.T @ self.P), self.bumps @ (self.E.T @ self.P))
        self._level_filters()

        self._ratio()
        self.H = _moved(self.H, self.R @ self.W.T, self.W.sum(axis=1))
        self.rest = self.H @ self.W

        self._ratio()
        self.W = _moved(self.W, self.H.T @ self.R, self.H.sum(axis=0)[:, np.newaxis])
        size = np.maximum(self.W.sum(axis=1, keepdims=True), self.W.dtype.type(_FACTOR_FLOOR))
        self.W /= size
        self.H *= size.T
        self.rest = self.H @ self.W
        return loss

    def result(self, losses: list[float]) -> SourceFilterFit:
        """The factors as their users see them, at the level of the data."""
        scale = self.V.dtype.type(self.scale)
        return SourceFilterFit(
            source=(self.E * self.Phi * scale).T,
            rest=(self.rest * scale).T,
            gains=(self.G * scale).T,
            filters=self.filters.T,
            filter_activations=self.P.T,
            templates=self.W.T,
            activations=(self.H * scale).T,
            losses=np.array(losses),
        )


def _moved(x: FloatArray, above: FloatArray, below: FloatArray) -> FloatArray:
    """``x above / below``; zeros stay zero, and what nothing depends on stays as it is."""
    moved = np.divide(x * above, below, out=x.copy(), where=np.broadcast_to(below > 0, x.shape))
    floored: FloatArray = np.where(x > 0, np.maximum(moved, x.dtype.type(_FACTOR_FLOOR)), x)
    return floored
