"""Where drums and bass stand among the channels, and what stands elsewhere.

Drums, bass and lead sit in the middle of most productions; pads, doubled guitars, choirs and
reverberation are wide. "The middle" is not assumed: it is the direction of the low band.

References
----------
.. [1] D. Barry, B. Lawlor and E. Coyle (2004), "Sound source separation: azimuth discrimination
   and resynthesis", DAFx: a source by the channel gains it cancels at. We weigh what is left
   after cancelling one direction, and only as evidence.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from audiosep.methods._stems_bands import Bands
from audiosep.types import Spectrogram

__all__ = ["Middle", "centre_odds", "find_middle"]

_Matrix = npt.NDArray[np.float32]

LOW_HZ = 250.0
"""Up to here the channels say where drums and bass stand."""

WIDE_POWER = 4.0
"""What is all elsewhere is e^4 times less likely to be drums or bass."""

_SMOOTH_S = 0.07
_BLOCK_FRAMES = 64


@dataclass(frozen=True, kw_only=True)
class Middle:
    """Where drums and bass stand among the channels.

    Parameters
    ----------
    gains : tuple of float
        Unit vector a, one gain for each channel.
    strength : float
        ``2 p - 1`` with the share p of the low band's energy that lies in that direction; zero
        where there is no clear middle.
    peak : float >= 0
        Largest real or imaginary part: what is far below it says nothing.
    """

    gains: tuple[float, ...]
    strength: float
    peak: float


def find_middle(spectrogram: Spectrogram) -> Middle:
    """Find the strongest direction below 250 Hz.

    It is the first eigenvector of the real covariance of the channels.

    Parameters
    ----------
    spectrogram : Spectrogram
        All channels.

    Returns
    -------
    Middle
        Of no strength where there is one channel only, no sound, or no clear middle.
    """
    nowhere = (0.0,) * spectrogram.n_channels
    if spectrogram.n_channels == 1:
        return Middle(gains=nowhere, strength=0.0, peak=0.0)
    peak = _peak(spectrogram)
    if peak == 0.0:
        return Middle(gains=nowhere, strength=0.0, peak=0.0)
    n_low = min(spectrogram.n_bins, max(2, round(LOW_HZ / spectrogram.bin_hz)))
    low = np.stack([channel[:n_low].ravel() for channel in spectrogram.values]) / peak
    values, vectors = np.linalg.eigh((low @ low.conj().T).real.astype(np.float64))
    total = float(values.sum())
    strength = 2.0 * float(values[-1]) / total - 1.0 if total > 0.0 else 0.0
    gains = tuple(vectors[:, -1].tolist()) if strength > 0.0 else nowhere
    return Middle(gains=gains, strength=max(0.0, strength), peak=peak)


def centre_odds(
    spectrogram: Spectrogram, bands: Bands, middle: Middle | None = None
) -> _Matrix | None:
    """Odds against drums and bass by the place among the channels.

    With the unit vector a of the middle, its strength ``2 p - 1`` and
    ``s = 1 - |a.x|^2 / |x|^2``, the odds are ``exp(-4 s (2 p - 1))``, so that without a clear
    middle nothing is decided.

    Parameters
    ----------
    spectrogram : Spectrogram
        All channels.
    bands : Bands
        Of the same spectrogram.
    middle : Middle, optional
        Of the whole recording; by default that of the spectrogram.

    Returns
    -------
    np.ndarray [shape=(n_bands, n_frames), dtype=float32]
        In (0, 1]; one where all sound stands in the middle, and in silence. Frames-major.
    None
        Where there is one channel only, no sound, or no clear middle.
    """
    from scipy import ndimage

    if middle is None:
        middle = find_middle(spectrogram)
        peak = middle.peak
    else:
        peak = max(middle.peak, _peak(spectrogram))
    if middle.strength <= 0.0:
        return None
    gains = np.array(middle.gains, dtype=np.float32)
    inside, whole = (
        np.concatenate(parts)
        for parts in zip(*_energies(spectrogram, bands, gains, peak), strict=True)
    )
    smooth = max(1, round(_SMOOTH_S / spectrogram.frame_s))
    inside = ndimage.uniform_filter1d(inside, smooth, axis=0)
    whole = ndimage.uniform_filter1d(whole, smooth, axis=0)
    # Running sums leave rounding errors behind: below -70 dB of the peak nothing is known.
    elsewhere = 1.0 - np.clip((inside + 1e-7) / (whole + 1e-7), 0.0, 1.0)
    odds: _Matrix = np.exp(np.float32(-WIDE_POWER * middle.strength) * elsewhere)
    return odds.T


def _energies(
    spectrogram: Spectrogram, bands: Bands, gains: _Matrix, peak: float
) -> Iterator[tuple[_Matrix, _Matrix]]:
    """Energy of each band in the middle and in all, relative to the peak, block by block."""
    frames = spectrogram.values.swapaxes(1, 2)
    for first in range(0, spectrogram.n_frames, _BLOCK_FRAMES):
        block = frames[:, first : first + _BLOCK_FRAMES] / np.float32(peak)
        projected = np.zeros_like(block[0])
        squares = np.zeros_like(_parts(block[0]))
        for gain, channel in zip(gains, block, strict=True):
            projected += gain * channel
            squares += np.square(_parts(channel))
        yield _pooled(np.square(_parts(projected)), bands), _pooled(squares, bands)


def _parts(frames: npt.NDArray[np.complexfloating[Any, Any]]) -> npt.NDArray[np.floating[Any]]:
    """Real and imaginary parts side by side: their squares are energies, without square roots."""
    whole = np.ascontiguousarray(frames)
    parts: npt.NDArray[np.floating[Any]] = whole.view(whole.real.dtype)
    return parts


def _peak(spectrogram: Spectrogram) -> float:
    return max(_largest(_parts(channel.T)) for channel in spectrogram.values)


def _largest(parts: npt.NDArray[np.floating[Any]]) -> float:
    return float(max(parts.max(), -parts.min()))


def _pooled(squares: npt.NDArray[np.floating[Any]], bands: Bands) -> _Matrix:
    sums: _Matrix = np.add.reduceat(squares, 2 * bands.starts, axis=1, dtype=np.float32)
    return sums
