"""Where in a recording the most happens."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.fft

from audiosep.tape import Tape

__all__ = ["busiest_part"]

_FRAME_S = 0.09
_BLOCK_FRAMES = 256
_LOUDNESS_GAIN = 1000.0
"""Magnitudes are compressed: 60 dB below the loudest, a sound still counts as one."""

_SILENT = 1e-20


def busiest_part(tape: Tape, length_s: float) -> tuple[float, float]:
    """Find the part of a recording with the most energy and the most onsets.

    Of all parts that begin at a whole second, it has the largest product of two means: of the
    level (root mean square) and of the spectral flux (how much the compressed magnitudes of all
    bins rise from one frame to the next). Of equal ones the first is taken, so in silence the
    beginning.

    Parameters
    ----------
    tape : Tape
        The recording; it is read once, in blocks.
    length_s : float > 0
        Seconds wanted.

    Returns
    -------
    start_s, end_s : float
        In seconds; the whole recording where it is no longer than `length_s`.

    References
    ----------
    .. [1] J. P. Bello et al., "A tutorial on onset detection in music signals", IEEE Transactions
       on Speech and Audio Processing, 13(5), 2005, section III-A.2: spectral flux. Here of
       compressed magnitudes, as in M. Müller, *Fundamentals of Music Processing*, 2015, 6.1.2.
    """
    duration_s = tape.n_samples / tape.sr
    if duration_s <= length_s:
        return 0.0, duration_s
    n = max(32, 2 ** round(np.log2(_FRAME_S * tape.sr)))
    levels, fluxes = _activity(tape, n)
    starts_s = np.arange(int(duration_s - length_s) + 1)
    firsts = np.rint(starts_s * tape.sr / n).astype(int)
    lasts = firsts + max(1, round(length_s * tape.sr / n))
    best = int(np.argmax(_sums(levels, firsts, lasts) * _sums(fluxes, firsts, lasts)))
    return float(starts_s[best]), float(starts_s[best]) + length_s


def _sums(
    values: npt.NDArray[np.float64], firsts: npt.NDArray[np.int_], lasts: npt.NDArray[np.int_]
) -> npt.NDArray[np.float64]:
    until = np.concatenate([[0.0], np.cumsum(values)])
    sums: npt.NDArray[np.float64] = until[np.minimum(lasts, len(values))] - until[firsts]
    return sums


def _activity(tape: Tape, n: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Level and spectral flux of each frame of `n` samples."""
    window = np.hanning(n).astype(np.float32)
    # A sine as loud as the loudest sample has magnitude one: a quieter copy is as busy.
    scale = 0.5 * float(window.sum()) * max(tape.peak, _SILENT)
    levels, fluxes = [], []
    before = np.zeros((tape.n_channels, 1, n // 2 + 1), dtype=np.float32)
    for first in range(0, tape.n_samples, _BLOCK_FRAMES * n):
        last = min(tape.n_samples, first + _BLOCK_FRAMES * n)
        padded = np.zeros((tape.n_channels, -(-(last - first) // n) * n), dtype=np.float32)
        padded[:, : last - first] = tape.part(first, last).samples
        frames = padded.reshape(tape.n_channels, -1, n)
        levels.append(np.sqrt(np.mean(np.square(frames, dtype=np.float64), axis=(0, 2))))
        magnitudes = np.abs(scipy.fft.rfft(frames * window, axis=2))
        loudness = np.log1p(_LOUDNESS_GAIN / scale * magnitudes)
        rises = np.diff(loudness, axis=1, prepend=before)
        fluxes.append(np.maximum(rises, 0.0).sum(axis=(0, 2), dtype=np.float64))
        before = loudness[:, -1:]
    return np.concatenate(levels), np.concatenate(fluxes)
