"""How a recording is tuned.

References
----------
.. [1] M. Müller (2015), "Fundamentals of Music Processing", Springer, section 3.1: tuning as what
   spectral peaks have in common modulo a semitone; here a mean of directions on a circle.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from audiosep.types import Spectrogram

__all__ = ["peaks_of", "tuning_from", "tuning_of"]

_Matrix = npt.NDArray[np.float32]

A4_HZ = 440.0
"""The A above middle C, where nothing says otherwise."""

_PEAKS_HZ = (200.0, 2500.0)
"""Below, bins are wider than what is measured; above, partials of strings run sharp."""

_LOUD = 0.05
_MOST_FRAMES = 4000
_BLOCK_FRAMES = 1024


def tuning_of(spectrogram: Spectrogram, V: _Matrix) -> float:
    """Frequency of the A above middle C, from how spectral peaks lie between the semitones.

    Parameters
    ----------
    spectrogram : Spectrogram
        For its frequencies.
    V : np.ndarray [shape=(n_bins, n_frames), dtype=float32]
        Its magnitudes.

    Returns
    -------
    float
        427.5 to 452.9 Hz; 440 where nothing has a pitch.
    """
    return tuning_from(peaks_of(spectrogram, V))


def tuning_from(peaks: complex) -> float:
    """As :func:`tuning_of`, from the sum of what :func:`peaks_of` gives of all parts."""
    if abs(peaks) == 0.0:
        return A4_HZ
    return float(A4_HZ * 2.0 ** (np.angle(peaks) / (2 * np.pi) / 12.0))


def peaks_of(spectrogram: Spectrogram, V: _Matrix) -> complex:
    """Sum of the directions of all spectral peaks on a circle of one semitone.

    Parameters
    ----------
    spectrogram : Spectrogram
        For its frequencies.
    V : np.ndarray [shape=(n_bins, n_frames), dtype=float32]
        Its magnitudes.

    Returns
    -------
    complex
        0 where nothing has a pitch.
    """
    hz = spectrogram.bin_hz
    first, last = max(2, round(_PEAKS_HZ[0] / hz)), min(len(V) - 2, round(_PEAKS_HZ[1] / hz))
    if last - first < 8:
        return 0j
    total = 0j
    step = max(1, V.shape[1] // _MOST_FRAMES)
    for begin in range(0, V.shape[1], _BLOCK_FRAMES * step):
        part = V[:, begin : begin + _BLOCK_FRAMES * step : step].astype(np.float64)
        mid, below, above = part[first:last], part[first - 1 : last - 1], part[first + 1 : last + 1]
        loud = mid > _LOUD * part.max(axis=0, keepdims=True)
        frame, at = np.nonzero(((mid > below) & (mid >= above) & loud).T)
        if not at.size:
            continue
        a, b, c = (np.log(np.maximum(x[at, frame], 1e-300)) for x in (below, mid, above))
        shift = 0.5 * (a - c) / np.minimum(a - 2 * b + c, -1e-9)
        exact = (first + at + np.clip(shift, -0.5, 0.5)) * hz
        semitones = 12.0 * np.log2(exact / A4_HZ)
        total += np.sum(mid[at, frame] * np.exp(2j * np.pi * semitones))
    return complex(total)
