"""Multichannel Wiener filter: sources told apart by where they are, not only by what they are.

A source's image in the channels is modelled as Gaussian with covariance ``P_j(f, n) R_j(f)``: a
power in each bin, and a matrix that says how it stands between the channels. With two channels
and two sources in a bin the filter can take both out exactly; a mask cannot.

References
----------
.. [1] N. Q. K. Duong, E. Vincent and R. Gribonval (2010), "Under-determined reverberant audio
   source separation using a full-rank spatial covariance model", IEEE TASLP 18(7), eq. 17: the
   filter. Instead of a noise term, which would have to go somewhere, every covariance is made
   slightly round, so that the estimates sum to the mixture.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from audiosep.errors import ParameterError

__all__ = ["ROUNDNESS", "inverse_planes", "multichannel_wiener", "rounded"]

ROUNDNESS = 1e-3
"""Share of every covariance that has no direction; keeps sums of them well away from singular."""

_SMALLEST = 1e-6
"""Even a matrix that is given as singular is made as round as this."""

_BLOCK_FRAMES = 32

_Planes = list[list[npt.NDArray[Any]]]


def rounded(covariances: npt.ArrayLike, roundness: float = ROUNDNESS) -> npt.NDArray[Any]:
    """Covariances of trace one with a share that has no direction.

    ``(1 - roundness) R / tr R + roundness I / n_channels``; one without any power becomes round.

    Parameters
    ----------
    covariances : array_like [shape=(..., n_channels, n_channels)]
        Hermitian and positive semidefinite, at any level.
    roundness : float
        From 0 to 1.

    Returns
    -------
    np.ndarray [shape like covariances, dtype=float64 or complex128]
    """
    given = np.asarray(covariances)
    matrices = given.astype(np.result_type(given.dtype, np.float64))
    n_channels = matrices.shape[-1]
    even = np.eye(n_channels) / n_channels
    # Twice: squares of gains may be outside the range of what can be divided by.
    largest = np.abs(matrices).max(axis=(-2, -1), keepdims=True)
    unit = matrices / np.where(largest > 0, largest, 1.0)
    trace = np.einsum("...cc->...", unit).real[..., np.newaxis, np.newaxis]
    unit = np.where(trace > 0, unit / np.where(trace > 0, trace, 1.0), even)
    result: npt.NDArray[Any] = (1.0 - roundness) * unit + roundness * even
    return result


def inverse_planes(planes: _Planes) -> _Planes:
    """Inverse of many small Hermitian matrices at once, by bordering.

    Parameters
    ----------
    planes : list of list of np.ndarray
        ``planes[a][b]`` holds entry (a, b) of all matrices, for ``b <= a``; positive definite.

    Returns
    -------
    list of list of np.ndarray
        The same entries of the inverses.
    """
    inverse: _Planes = [[1.0 / planes[0][0].real]]
    for size in range(1, len(planes)):
        border, corner = planes[size][:size], planes[size][size].real
        # row = border times the inverse so far; a Hermitian matrix is kept as its lower half.
        row = [
            sum(
                border[b] * (inverse[b][a] if a <= b else np.conj(inverse[a][b]))
                for b in range(size)
            )
            for a in range(size)
        ]
        rest = corner - sum((row[a] * np.conj(border[a])).real for a in range(size))
        # Of a matrix that is singular up to rounding, rounding is all that is left.
        last = 1.0 / np.maximum(rest, np.finfo(corner.dtype).eps * corner)
        scaled = [entry * last for entry in row]
        for a in range(size):
            for b in range(a + 1):
                inverse[a][b] = inverse[a][b] + np.conj(row[a]) * scaled[b]
        inverse.append([*(-entry for entry in scaled), last])
    return inverse


def multichannel_wiener(
    frames: npt.NDArray[np.complexfloating[Any, Any]],
    powers: npt.NDArray[np.float32],
    covariances: npt.NDArray[Any],
) -> npt.NDArray[np.complexfloating[Any, Any]]:
    """Images of all sources: ``P_j R_j (sum_i P_i R_i)^-1 x`` in each bin.

    Parameters
    ----------
    frames : np.ndarray [shape=(n_channels, n_frames, n_bins)]
        x, the mixture; frames first.
    powers : np.ndarray [shape=(n_sources, n_frames, n_bins)]
        P, non-negative; only their ratios in a bin count. Where all are zero they count as even.
    covariances : np.ndarray [shape=(n_sources, 1 or n_bins, n_channels, n_channels)]
        R, Hermitian, positive semidefinite, real or complex; one matrix serves all bins.

    Returns
    -------
    np.ndarray [shape=(n_sources, n_channels, n_frames, n_bins), dtype of frames]
        They sum to the mixture up to rounding.

    Raises
    ------
    ParameterError
        If the shapes do not fit each other.
    """
    n_channels, n_frames, n_bins = frames.shape
    n_sources = len(powers)
    if powers.shape != (n_sources, n_frames, n_bins) or covariances.shape not in [
        (n_sources, n, n_channels, n_channels) for n in (1, n_bins)
    ]:
        raise ParameterError(
            f"powers of shape {powers.shape} and covariances of shape {covariances.shape} do not "
            f"fit frames of shape {frames.shape}."
        )
    # Two channels are safe in single precision; differences of more leave too few digits.
    kind = np.result_type(frames.dtype, np.complex64 if n_channels <= 2 else np.complex128)
    number = kind if np.iscomplexobj(covariances) else np.empty(0, kind).real.dtype
    R = rounded(covariances, _SMALLEST).astype(number)
    images = np.empty((n_sources, *frames.shape), np.result_type(frames.dtype, np.complex64))
    for first in range(0, n_frames, _BLOCK_FRAMES):
        here = slice(first, first + _BLOCK_FRAMES)
        _filter(frames[:, here].astype(kind), _relative(powers[:, here]), R, images[:, :, here])
    return images


def _relative(powers: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Shares of the powers, which are one in sum."""
    largest = powers.max(axis=0)
    nothing = largest == 0
    shares = np.divide(powers, np.where(nothing, np.float32(1), largest), dtype=np.float32)
    shares[:, nothing] = 1
    shares /= shares.sum(axis=0)
    return shares


def _filter(
    frames: npt.NDArray[Any],
    shares: npt.NDArray[np.float32],
    R: npt.NDArray[Any],
    out: npt.NDArray[Any],
) -> None:
    channels = range(len(frames))
    mixed = [
        [sum(share * r[:, a, b] for share, r in zip(shares, R, strict=True)) for b in range(a + 1)]
        for a in channels
    ]
    inverse = inverse_planes(mixed)
    white = [
        sum((inverse[a][b] if b <= a else np.conj(inverse[b][a])) * frames[b] for b in channels)
        for a in channels
    ]
    for image, share, r in zip(out, shares, R, strict=True):
        for a in channels:
            image[a] = share * sum(r[:, a, b] * white[b] for b in channels)
    # What rounding leaves, which grows with how nearly singular a bin is, goes where the power is.
    for a in channels:
        rest = frames[a] - out[:, a].sum(axis=0)
        out[:, a] += shares * rest
