"""What a convolutive factorization is given, its start and its end; delays of activations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from audiosep.errors import ParameterError
from audiosep.nmf import convolutive_kernels as kernels
from audiosep.nmf.checks import data_from, flags, non_negative, of_shape
from audiosep.types import FloatArray, whole_number

__all__ = ["ConvolutiveProblem", "gathered", "lagged", "move_level"]

# Their arguments are checked by the compiler, not by the type checker.
_LAG: Any = kernels.lag
_GATHER: Any = kernels.gather


def lagged(H: FloatArray, n_taps: int) -> FloatArray:
    """Activations beside their delayed versions, so that the model is one product.

    Parameters
    ----------
    H : np.ndarray [shape=(n_frames, n_components)]
        Activations.
    n_taps : int
        Delays, from 0 frames.

    Returns
    -------
    np.ndarray [shape=(n_frames, n_taps * n_components)]
        Delay by delay; zeros come in from before the beginning.
    """
    out = np.empty((len(H), n_taps * H.shape[1]), H.dtype)
    _LAG(np.ascontiguousarray(H), out)
    return out


def gathered(S: FloatArray, n_frames: int, n_taps: int) -> FloatArray:
    """Back from delayed versions to activations: the transpose of :func:`lagged`.

    Parameters
    ----------
    S : np.ndarray [shape=(n_frames or 1, n_taps * n_components)]
        Sums per frame and delayed component; one row serves all frames.
    n_frames, n_taps : int
        How many.

    Returns
    -------
    np.ndarray [shape=(n_frames, n_components)]
        Sum over the delays that end inside.
    """
    out = np.empty((n_frames, S.shape[1] // n_taps), S.dtype)
    _GATHER(np.ascontiguousarray(S), out)
    return out


def move_level(W: FloatArray, H: FloatArray, which: npt.NDArray[np.bool_]) -> None:
    """Make templates sum to one, in place, and multiply their activations by what they lost.

    Parameters
    ----------
    W : np.ndarray [shape=(n_taps, n_components, n_bins)]
        Templates.
    H : np.ndarray [shape=(n_frames, n_components)]
        Activations.
    which : np.ndarray of bool [shape=(n_components,)]
        Components it is done to; templates of zeros stay.
    """
    sums = W.sum(axis=(0, 2), dtype=np.float64)
    sums = np.where(which & (sums > 0.0), sums, 1.0)
    H *= sums.astype(H.dtype)
    W /= sums[:, np.newaxis].astype(W.dtype)


@dataclass(frozen=True, kw_only=True, eq=False)
class ConvolutiveProblem:
    """Checked arguments, frames-major: V (n_frames, n_bins), W0 (n_taps, K, n_bins)."""

    V: FloatArray
    dtype: np.dtype[Any]  # of the result
    n_components: int
    n_taps: int
    W0: FloatArray | None
    H0: FloatArray | None
    fixed_templates: npt.NDArray[np.bool_]
    fixed_activations: npt.NDArray[np.bool_]
    weights: FloatArray | None

    @classmethod
    def from_arguments(
        cls,
        beta: float,
        V: npt.ArrayLike,
        n_components: int | None,
        n_taps: int | None,
        templates: npt.ArrayLike | None,
        activations: npt.ArrayLike | None,
        weights: npt.ArrayLike | None,
        fixed_templates: bool | npt.ArrayLike,
        fixed_activations: bool | npt.ArrayLike,
    ) -> ConvolutiveProblem:
        """Check the arguments of a factorization against each other.

        Raises
        ------
        ParameterError
            If one of them does not fit.
        """
        matrix, dtype = data_from(V, beta)
        n_bins, n_frames = matrix.shape
        K, T = n_components, n_taps
        if templates is not None:
            shape = non_negative("templates", templates, None, 3).shape
            K, T = shape[1] if K is None else K, shape[2] if T is None else T
        elif K is None and activations is not None:
            K = len(non_negative("activations", activations, None))
        if K is None:
            raise ParameterError("give n_components, templates or activations.")
        if T is None:
            raise ParameterError("give n_taps, the length of a template in frames, or templates.")
        K, T = whole_number("n_components", K, 1), whole_number("n_taps", T, 1)
        W0 = of_shape("templates", templates, (n_bins, K, T), matrix.dtype)
        H0 = of_shape("activations", activations, (K, n_frames), matrix.dtype)
        G = of_shape("weights", weights, matrix.shape, matrix.dtype)
        return cls(
            V=matrix.T,
            dtype=dtype,
            n_components=K,
            n_taps=T,
            W0=None if W0 is None else W0.transpose(2, 1, 0),
            H0=None if H0 is None else H0.T,
            fixed_templates=flags("fixed_templates", fixed_templates, K, W0 is not None),
            fixed_activations=flags("fixed_activations", fixed_activations, K, H0 is not None),
            weights=None if G is None else np.array(G.T, order="C"),  # writable: one compilation
        )

    def start(
        self, data: FloatArray, scale: float, rng: np.random.Generator
    ) -> tuple[FloatArray, FloatArray]:
        """Templates and activations to begin with, at the data's level."""
        n_frames, n_bins = data.shape
        K, T = self.n_components, self.n_taps
        W = 0.1 + 0.9 * rng.random((T, K, n_bins))
        W[n_frames:] = 0.0  # delays beyond the recording: nothing could ever be said of them
        W /= W.sum(axis=(0, 2))[:, np.newaxis]
        H = (0.1 + 0.9 * rng.random((n_frames, K))) * (data.mean(dtype=np.float64) * n_bins / K)
        if self.W0 is not None:
            W = np.array(self.W0, order="C")
            # Templates of any level: start at activations that give the data's level.
            H /= float(W.sum(axis=(0, 2), dtype=np.float64).mean()) or 1.0
        H = H.astype(data.dtype)
        if self.H0 is not None:
            H = np.array(self.H0, order="C") / np.asarray(scale or 1.0, data.dtype)
        return W.astype(data.dtype), H

    def finish(self, W: FloatArray, H: FloatArray, scale: float) -> tuple[FloatArray, FloatArray]:
        """Templates to sum one, activations at the data's own level; bins-major."""
        H = H * np.asarray(scale, H.dtype)
        move_level(W, H, ~(self.fixed_templates | self.fixed_activations))
        if self.H0 is not None:
            # Silence, and levels far apart, must not touch what is fixed.
            H = np.where(self.fixed_activations, self.H0, H)
        return (
            W.astype(self.dtype, copy=False).transpose(2, 1, 0),
            np.ascontiguousarray(H.T, dtype=self.dtype),
        )
