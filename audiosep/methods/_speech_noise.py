"""The noise of a recording: from an example of it, or from the pauses of the talker."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from audiosep.methods._speech_evidence import noise_floor

__all__ = ["aligned", "find_pauses", "pauses_of", "tracked"]

_Matrix = npt.NDArray[np.float32]

FLOOR_BIAS = 2.0
"""Noise lies about so much above its floor."""

PAUSES = 0.15
"""Share of the frames that are taken for pauses: the ones with the least speech."""

_SMOOTH_S = 0.08
_LOUDEST = 20.0
_QUANTILE = 0.15
_COLOUR_BANDS = 15
_FEWEST_FRAMES = 3


def find_pauses(power: _Matrix, share: _Matrix, frame_s: float) -> npt.NDArray[np.bool_]:
    """Frames in which nobody speaks, as far as can be told.

    Parameters
    ----------
    power : np.ndarray [shape=(n_frames, n_bands)]
        Of the mixture.
    share : np.ndarray [shape=(n_frames, n_bands)]
        How much of it may be speech.
    frame_s : float
        Time between frames in seconds.

    Returns
    -------
    np.ndarray of bool [shape=(n_frames,)]
        About `PAUSES` of them, never none; those in which the power of what may be speech is the
        least, relative to the usual noise of each band.
    """
    from scipy.ndimage import binary_opening, uniform_filter1d

    usual = np.median(power * (1 - share), axis=0)
    usual = usual + 1e-6 * max(float(usual.max()), 1e-30)
    with np.errstate(over="ignore"):  # beyond all numbers is beyond the loudest, too
        spoken = np.minimum(power * share / usual, _LOUDEST).mean(axis=1)
    width = max(1, round(_SMOOTH_S / frame_s))
    spoken = uniform_filter1d(spoken.astype(np.float64), width, mode="nearest")
    quiet = spoken <= np.quantile(spoken, PAUSES)
    longer = binary_opening(quiet, np.ones(_FEWEST_FRAMES))
    return np.asarray(longer if longer.any() else quiet)


def pauses_of(power: _Matrix, quiet: npt.NDArray[np.bool_]) -> list[_Matrix]:
    """Cut the pauses out.

    Parameters
    ----------
    power : np.ndarray [shape=(n_frames, n_bands)]
        Of the mixture.
    quiet : np.ndarray of bool [shape=(n_frames,)]
        Where they are.

    Returns
    -------
    list of np.ndarray [shape=(n, n_bands)]
        One for each pause.
    """
    edges = np.flatnonzero(np.diff(quiet.astype(np.int8), prepend=0, append=0))
    return [power[first:last] for first, last in edges.reshape(-1, 2)]


def aligned(power: _Matrix, noise: Sequence[_Matrix], frame_s: float) -> list[_Matrix]:
    """Bring an example of noise to the level and the colour of that of a recording.

    The quietest moments of the two are compared in each band, and the difference is smoothed: an
    example may have been recorded at another level, or nearer to its source.

    Parameters
    ----------
    power : np.ndarray [shape=(n_frames, n_bands)]
        Of the mixture.
    noise : sequence of np.ndarray [shape=(n_frames, n_bands)]
        Power of the example.
    frame_s : float
        Time between frames in seconds.

    Returns
    -------
    list of np.ndarray
        Like `noise`.
    """
    from scipy.ndimage import gaussian_filter1d, median_filter

    wanted = _low(power, frame_s)
    there = _low(np.concatenate(noise), frame_s)
    tiny = 1e-9 * max(float(there.max()), 1e-30)
    silent = 1e-9 * max(float(wanted.max()), 1e-30)
    difference = np.log(wanted + silent) - np.log(there + tiny)
    difference = median_filter(difference, 2 * _COLOUR_BANDS + 1, mode="nearest")
    gain = np.exp(gaussian_filter1d(difference, _COLOUR_BANDS, mode="nearest"))
    return [np.asarray(stretch * gain, dtype=np.float32) for stretch in noise]


def _low(power: _Matrix, frame_s: float) -> npt.NDArray[np.float64]:
    from scipy.ndimage import uniform_filter1d

    width = max(1, round(_SMOOTH_S / frame_s))
    smooth = uniform_filter1d(power.astype(np.float64), width, axis=0, mode="nearest")
    return np.asarray(np.quantile(np.maximum(smooth, 0.0), _QUANTILE, axis=0))


def tracked(power: _Matrix, frame_s: float) -> _Matrix:
    """Noise at each moment, where nothing else is known of it; positive.

    Parameters
    ----------
    power : np.ndarray [shape=(n_frames, n_bands)]
        Of the mixture.
    frame_s : float
        Time between frames in seconds.

    Returns
    -------
    np.ndarray [shape=(n_frames, n_bands), dtype=float32]
    """
    least = np.float32(1e-9) * max(float(power.mean(dtype=np.float64)), 1e-30)
    return np.asarray(np.float32(FLOOR_BIAS) * noise_floor(power, frame_s) + least, np.float32)
