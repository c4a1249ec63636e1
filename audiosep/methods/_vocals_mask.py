"""From a track of the sung pitch to the share of the voice in each bin.

References
----------
.. [1] J.-L. Durrieu, G. Richard, B. David and C. Févotte (2010), "Source/filter model for
   unsupervised main melody extraction from polyphonic audio signals", IEEE TASLP 18(3).
.. [2] J.-L. Durrieu, B. David and G. Richard (2011), "A musically motivated mid-level
   representation for pitch estimation and musical audio source separation", IEEE JSTSP 5(6):
   the flat excitation for what is not voiced.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from audiosep.medians import share
from audiosep.methods._vocals_foreground import BLOCK_S, OVERLAP_S
from audiosep.methods._vocals_stereo import place_odds, seen_places
from audiosep.methods._vocals_voice import Track
from audiosep.methods._vocals_working import Working
from audiosep.methods.base import MethodSettings
from audiosep.nmf.source_filter import fit_source_filter, smooth_bumps

__all__ = ["agreed_odds", "harmonic_combs", "known_places", "modelled_share", "placed_share"]

_Matrix = npt.NDArray[np.float32]

_N_PARTIALS = 60
_COMB_BINS = 2.0
"""Half width of a partial: the main lobe of the window."""

_AROUND = 2
"""Pitches on either side of the track that may sound: vibrato, and a track that is a little off."""

_FLAT_START = 1.0
_UNVOICED_S = 0.064
"""Consonants: how long the flat excitation may sound before and after voiced frames."""

_BUMP_HZ = 275.0
_N_FILTERS = 16
_N_COMPONENTS = 60
_ITERATIONS = 30

_MODEL_EXPONENT = 2.0

_MODEL_WEIGHT = 0.5
_SPARSE_WEIGHT = 0.25
_FLUCTUATING_WEIGHT = 0.4
_BIAS = 0.5
"""Weights of the evidence: fitted by logistic regression on singing whose truth is known."""

_STEREO_ROUNDS = 3

_LEAST_SHARE = 0.01
"""No opinion is surer than this: a single one cannot decide alone."""


def harmonic_combs(
    pitches_hz: npt.NDArray[np.float64], n_bins: int, bin_hz: float
) -> npt.NDArray[np.float32]:
    """Return the excitations: a comb of partials for each pitch, and a flat one at the end.

    Parameters
    ----------
    pitches_hz : np.ndarray [shape=(n_pitches,)]
        In Hz.
    n_bins : int > 0
        Bins of the spectrogram.
    bin_hz : float > 0
        Distance between bins in Hz.

    Returns
    -------
    np.ndarray [shape=(n_bins, n_pitches + 1), dtype=float32]
        Amplitudes fall as 1 / h; every column has a mean of one.
    """
    combs = np.zeros((len(pitches_hz) + 1, n_bins))
    combs[-1] = 1.0
    reach = np.arange(-int(_COMB_BINS), int(_COMB_BINS) + 1)
    rows = np.arange(len(pitches_hz))
    for partial in range(1, _N_PARTIALS + 1):
        centres = partial * pitches_hz / bin_hz
        for shift in reach:
            bins = np.rint(centres).astype(np.intp) + shift
            distance = np.abs(bins - centres)
            shape = np.cos(0.25 * np.pi * distance) ** 2 / partial
            inside = (bins >= 0) & (centres < n_bins - 1) & (bins < n_bins)
            inside &= distance < _COMB_BINS
            combs[rows[inside], bins[inside]] += shape[inside]
    sums = combs.sum(axis=1, keepdims=True)
    combs *= n_bins / np.where(sums > 0, sums, 1.0)
    return combs.astype(np.float32).T


def modelled_share(
    working: Working,
    track: Track,
    voiced: npt.NDArray[np.bool_],
    settings: MethodSettings,
) -> _Matrix:
    """Share of a sung voice along a track, by a source/filter model beside free components.

    Parameters
    ----------
    working : Working
        The mixture.
    track : Track
        The pitch in each frame.
    voiced : np.ndarray of bool [shape=(n_frames,)]
        Where it is sung.
    settings : MethodSettings
        ``n_components`` (of the accompaniment, 60), ``max_iter`` (30) and ``seed`` act.

    Returns
    -------
    np.ndarray [shape=(n_bins, n_frames), dtype=float32]
        In [0, 1].
    """
    V = working.V
    n_bins, n_frames = V.shape
    combs = harmonic_combs(track.pitches_hz, n_bins, working.bin_hz)
    bumps = smooth_bumps(n_bins, max(2, round(n_bins * working.bin_hz / _BUMP_HZ) + 1))
    candidates, gains = _candidates(track.path, voiced, len(track.pitches_hz), working.frame_s)
    out = np.zeros((n_frames, n_bins), dtype=np.float32)
    for first, last, weights in working.blocks(BLOCK_S, OVERLAP_S):
        here = slice(first, last)
        if not gains[:, here].any():
            continue
        fit = fit_source_filter(
            V[:, here],
            combs,
            candidates[:, here],
            gains[:, here],
            bumps=bumps,
            n_filters=_N_FILTERS,
            n_components=settings.n_components or _N_COMPONENTS,
            max_iter=_ITERATIONS if settings.max_iter is None else settings.max_iter,
            seed=settings.seed,
        )
        out[here] += weights[:, np.newaxis] * share(fit.source, fit.rest, _MODEL_EXPONENT).T
    return out.T


def _candidates(
    path: npt.NDArray[np.intp], voiced: npt.NDArray[np.bool_], n_pitches: int, frame_s: float
) -> tuple[npt.NDArray[np.int32], _Matrix]:
    """Which excitations may sound in each frame, and their start."""
    from scipy import ndimage

    steps = np.arange(-_AROUND, _AROUND + 1)[:, np.newaxis]
    near = path[np.newaxis, :] + steps
    near = np.where((near >= 0) & (near < n_pitches) & voiced, near, -1)
    reach = max(1, round(_UNVOICED_S / frame_s))
    around = ndimage.binary_dilation(voiced, iterations=reach)
    flat = np.where(around, n_pitches, -1)[np.newaxis]
    start = np.where(near >= 0, 1.0 / len(steps), 0.0)
    flat_start = np.where(flat >= 0, _FLAT_START / len(steps), 0.0)
    return (
        np.concatenate([near, flat]).astype(np.int32),
        np.concatenate([start, flat_start]).astype(np.float32),
    )


def agreed_odds(modelled: _Matrix, sparse: _Matrix, fluctuating: _Matrix) -> _Matrix:
    """Add up the evidence of the model and of what stands out, in logarithms of odds.

    ``logit(mask) = Σ_i w_i logit(m_i) + b``: unlike a mean of shares, opinions that agree make
    the decision sharper than each of them. What is novel counts through the track alone, it adds
    nothing here.

    Parameters
    ----------
    modelled : np.ndarray [shape=(n_bins, n_frames)]
        From :func:`modelled_share`.
    sparse, fluctuating : np.ndarray [same shape]
        Opinions on what stands out.

    Returns
    -------
    np.ndarray [shape=(n_bins, n_frames), dtype=float32]
        Its transpose is C-contiguous.
    """
    odds = np.full(modelled.T.shape, _BIAS, dtype=np.float32)
    for part, weight in (
        (modelled, _MODEL_WEIGHT),
        (sparse, _SPARSE_WEIGHT),
        (fluctuating, _FLUCTUATING_WEIGHT),
    ):
        evidence = _log_odds(part.T)
        evidence *= np.float32(weight)
        odds += evidence
        del evidence
    return odds.T


def placed_share(
    working: Working, agreed: _Matrix, places: npt.NDArray[np.float64] | None = None
) -> _Matrix:
    """Turn odds into shares; in stereo, places between the channels are further evidence.

    Where voice and accompaniment are is learnt from the shares, in three rounds.

    Parameters
    ----------
    working : Working
        The mixture.
    agreed : np.ndarray [shape=(n_bins, n_frames)]
        From :func:`agreed_odds`.
    places : np.ndarray [shape=(2, n_cells)], optional
        What was seen elsewhere in the recording, see :func:`known_places`; it counts as well.

    Returns
    -------
    np.ndarray [shape=(n_bins, n_frames), dtype=float32]
        In [0, 1].
    """
    odds = agreed.T
    mask = _from_odds(odds.copy()).T
    if working.spectrogram.n_channels == 2 and working.peak > 0.0:
        channels = working.spectrogram.values[:, : mask.shape[0]]
        for _ in range(_STEREO_ROUNDS):
            place = place_odds(channels, working.peak, mask, working.bin_hz, places).T
            place += odds
            mask = _from_odds(place).T
    return mask


def known_places(working: Working, mask: _Matrix) -> npt.NDArray[np.float64] | None:
    """Return where a voice and its accompaniment were between two channels.

    Parameters
    ----------
    working : Working
        The mixture.
    mask : np.ndarray [shape=(n_bins, n_frames)]
        Share of the voice.

    Returns
    -------
    np.ndarray [shape=(2, n_cells)]
        Sums of levels; None where there are not two channels, or no sound.
    """
    if working.spectrogram.n_channels != 2 or working.peak == 0.0:
        return None
    channels = working.spectrogram.values[:, : len(mask)]
    _, counts = seen_places(channels, working.peak, mask, working.bin_hz)
    return counts * working.peak


def _from_odds(odds: _Matrix) -> _Matrix:
    """Shares from logarithms of odds, in their place: each copy is as large as the recording."""
    np.negative(odds, out=odds)
    np.exp(odds, out=odds)
    odds += 1.0
    return np.reciprocal(odds, out=odds)


def _log_odds(part: _Matrix) -> _Matrix:
    odds: _Matrix = np.clip(part, _LEAST_SHARE, 1.0 - _LEAST_SHARE)
    odds /= 1.0 - odds
    return np.log(odds, out=odds)
