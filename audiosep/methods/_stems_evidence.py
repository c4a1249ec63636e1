"""What strikes and what lasts, before any model: by running medians, and by the phase.

References
----------
.. [1] D. FitzGerald (2010), "Harmonic/percussive separation using median filtering", DAFx.
.. [2] J. P. Bello, C. Duxbury, M. Davies and M. Sandler (2004), "On the use of phase and energy for
   musical onset detection in the complex domain", IEEE Signal Processing Letters 11(6): a steady
   tone is predicted from its past, eq. 3 to 5. We predict from both sides, several frames away,
   and make shares of the errors, not onsets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from audiosep.medians import low_pass, odd_length, running_median, share
from audiosep.types import Spectrogram

__all__ = [
    "Evidence",
    "describe",
    "low_band_level",
    "low_peak",
    "unpredicted",
    "weigh_evidence",
]

_Matrix = npt.NDArray[np.float32]

HELD_S = 0.72
"""Time extent of the median that keeps what lasts."""

STRUCK_HZ = 334.0
"""Frequency extent of the median that keeps what strikes."""

BLOB_HZ = 54.0
"""The same in the low band: a kick is wider than that, the partial of a bass is not."""

LAGS_S = (0.046, 0.070)
"""How far ahead a tone is predicted by its phase: half a window and three quarters."""

_SMOOTH_S = 0.116
"""What is predicted is averaged over this time."""

KICK_BELOW_HZ = 200.0
BASS_BELOW_HZ = 250.0

TOP_HZ = 2.5 * KICK_BELOW_HZ
"""Up to here phases are looked at."""

HELD_LOW_DB = -3.0
"""Below this level of strokes over held tones in the low band, its rises are not kicks."""

_DECIDE_DB = 0.5
"""Width of the transition around it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Evidence:
    """What medians and phases say.

    Parameters
    ----------
    shares : np.ndarray [shape=(3, n_bands, n_frames)]
        Shares of drums, bass and other, which sum to one.
    low_band_db : float
        Energy of strokes over that of held tones below 200 Hz.
    kick_trust : float
        0 to 1: how far strokes are looked for in the low band in a way of its own.
    """

    shares: _Matrix
    low_band_db: float
    kick_trust: float


def low_peak(spectrogram: Spectrogram) -> float:
    """Largest magnitude in any channel, up to `TOP_HZ`."""
    return float(np.abs(_low_values(spectrogram)).max())


def _low_values(spectrogram: Spectrogram) -> npt.NDArray[np.complexfloating[Any, Any]]:
    n_bins = min(spectrogram.n_bins, max(1, round(TOP_HZ / spectrogram.bin_hz)))
    return np.ascontiguousarray(spectrogram.values[:, :n_bins].swapaxes(1, 2))


def unpredicted(spectrogram: Spectrogram, least_peak: float = 0.0) -> _Matrix:
    """Share of the energy that steady tones do not explain, by their phase.

    A tone turns by the same angle from frame to frame: a bin is predicted from the two before it
    and from the two behind it, and what both miss was struck. Lags of half a window and of three
    quarters are averaged; smaller ones are predictable because the windows overlap.

    Parameters
    ----------
    spectrogram : Spectrogram
        Complex, all channels.
    least_peak : float >= 0
        Peak of the whole recording, where this is a part of it.

    Returns
    -------
    np.ndarray [shape=(some n_bins, n_frames), dtype=float32]
        In [0, 1], one half in silence; the lowest bins up to `TOP_HZ`, frames-major.
    """
    from scipy import ndimage

    values = _low_values(spectrogram)
    sizes = np.abs(values)
    peak = max(float(sizes.max()), least_peak)
    if peak <= 0.0:
        return np.full(values.shape[1:], 0.5, dtype=np.float32).T
    # Level first: squares of very loud or very quiet input leave float32.
    sizes = (sizes / peak).astype(np.float32)
    turns = values.copy()
    turns /= np.maximum(np.abs(values), np.finfo(np.float32).tiny)
    smooth = max(1, round(_SMOOTH_S / spectrogram.frame_s))
    energy = ndimage.uniform_filter1d((sizes**2).sum(axis=0), smooth, axis=0)
    total = np.zeros_like(energy)
    for lag_s in LAGS_S:
        lag = max(1, round(lag_s / spectrogram.frame_s))
        ahead = _missed(sizes, turns, lag)
        back = _missed(sizes[:, ::-1], turns[:, ::-1], lag)[:, ::-1]
        missed = ndimage.uniform_filter1d((ahead * back).sum(axis=0), smooth, axis=0)
        # Running sums leave rounding errors behind: below -70 dB of the peak nothing is known.
        total += np.clip((missed + 5e-8) / (energy + 1e-7), 0.0, 1.0)
    mean: _Matrix = total / np.float32(len(LAGS_S))
    return mean.T


def _missed(sizes: _Matrix, turns: npt.NDArray[np.complexfloating[Any, Any]], lag: int) -> _Matrix:
    """Size of the error of predicting each frame from those `lag` and 2 `lag` before it.

    At most the size itself, as where there is nothing to predict from.
    """
    error = sizes.copy()
    if sizes.shape[1] > 2 * lag:
        middle = slice(lag, -lag)
        expected = sizes[:, middle] * turns[:, middle] ** 2 * turns[:, : -2 * lag].conj()
        found = sizes[:, 2 * lag :] * turns[:, 2 * lag :]
        np.minimum(np.abs(found - expected), sizes[:, 2 * lag :], out=error[:, 2 * lag :])
    return error


def weigh_evidence(
    V: _Matrix,
    centres_hz: npt.NDArray[np.float64],
    frame_s: float,
    surprise: _Matrix | None = None,
    low_band_db: float | None = None,
) -> Evidence:
    """Tell strokes from held tones.

    Above 200 Hz by the anisotropy of the spectrogram (FitzGerald 2010): the median along time
    against the median along frequency. Below 200 Hz a kick is a narrow blob and not a ridge along
    frequency. There the product of two odds decides: of medians (what rises above the median
    along time, averaged with what is wider than the partial of a bass) and of phases (what no
    steady tone predicts), squared so that the factorizations start from clear parts. Where the
    phases find that held tones dominate the low band of the recording, the anisotropy decides
    there as well.

    Parameters
    ----------
    V : np.ndarray [shape=(n_bands, n_frames)]
        Mean magnitude of each band.
    centres_hz : np.ndarray [shape=(n_bands,)]
        Frequencies in Hz; the spacing of the first bands is that of the bins.
    frame_s : float > 0
        Distance between frames in seconds.
    surprise : np.ndarray [shape=(some n_bands, n_frames)], optional
        Of the lowest bands, from :func:`unpredicted`. Without it the medians decide alone.
    low_band_db : float, optional
        Of the whole recording, where this is a part of it; see :func:`low_band_level`.

    Returns
    -------
    Evidence
        The shares, and how they were decided.
    """
    from scipy.special import expit

    bin_hz = float(centres_hz[1] - centres_hz[0]) if len(centres_hz) > 1 else STRUCK_HZ
    held = running_median(V, odd_length(HELD_S, frame_s), axis=1)
    held = np.ascontiguousarray(held.T).T  # frames-major, as all the rest
    struck = running_median(V, odd_length(STRUCK_HZ, bin_hz), axis=0)
    shape = share(struck, held)

    n_low = len(V) if surprise is None else min(len(V), len(surprise))
    bottom, below = V[:n_low], held[:n_low]
    rising = share(np.maximum(bottom - below, 0.0), below)
    if surprise is None:
        strokes = rising
        judges = [shape[:n_low], rising]
    else:
        blob = running_median(bottom, odd_length(BLOB_HZ, bin_hz), axis=0)
        medians = 0.5 * (rising + share(blob, below))
        sudden = surprise[:n_low]
        strokes = share(medians * sudden, (1.0 - medians) * (1.0 - sudden))
        judges = [sudden]

    low = low_pass(centres_hz, KICK_BELOW_HZ)
    if low_band_db is None:
        low_band_db = low_band_level(bottom, centres_hz[:n_low], judges)
    kick_trust = float(expit((low_band_db - HELD_LOW_DB) / _DECIDE_DB))

    shares = np.empty((3, *V.T.shape), dtype=np.float32).swapaxes(1, 2)
    drums, bass, other = shares
    drums[:] = shape
    drums[:n_low] += low[:n_low] * np.float32(kick_trust) * (strokes - shape[:n_low])
    np.multiply(1.0 - drums, low_pass(centres_hz, BASS_BELOW_HZ), out=bass)
    np.subtract(1.0 - drums, bass, out=other)
    return Evidence(shares=shares, low_band_db=low_band_db, kick_trust=kick_trust)


def low_band_level(
    bottom: _Matrix, centres_hz: npt.NDArray[np.float64], judges: list[_Matrix]
) -> float:
    """Energy of strokes over that of held tones below 200 Hz, in dB.

    Parameters
    ----------
    bottom : np.ndarray [shape=(some n_bands, n_frames)]
        Mean magnitude of the lowest bands.
    centres_hz : np.ndarray [shape=(some n_bands,)]
        Their frequencies in Hz.
    judges : list of np.ndarray [shape=(some n_bands, n_frames)]
        Shares of what strikes; their verdicts are averaged.

    Returns
    -------
    float
    """
    weighted = bottom * low_pass(centres_hz, KICK_BELOW_HZ)
    return float(np.mean([_strokes_db(weighted, judge) for judge in judges]))


def _strokes_db(V: _Matrix, strokes: _Matrix) -> float:
    """Energy of strokes over that of the rest."""
    weighted = V.astype(np.float64) / max(float(V.max()), 1e-30)
    over = float(((weighted * strokes) ** 2).sum()) + 1e-12
    under = float(((weighted * (1.0 - strokes)) ** 2).sum()) + 1e-12
    return 10.0 * float(np.log10(over / under))


def describe(low_band_db: float) -> str:
    """Say in a sentence what was decided about the low band."""
    if low_band_db >= HELD_LOW_DB:
        decision = "strokes were looked for there by time and phase"
    else:
        decision = "held tones dominate it, so its rises were not taken as kicks"
    return (
        f"Below {KICK_BELOW_HZ:.0f} Hz strokes are {low_band_db:+.1f} dB relative to "
        f"held tones: {decision}."
    )
