"""Lead singing voice and accompaniment: follow the melody, then model the voice along it.

Three cheap opinions say what stands out from the accompaniment: what does not repeat, what is
sparse, what fluctuates. In all of them together the pitch of the voice is followed. A source/filter
model fits harmonic tones along that track beside a free accompaniment; its share of each bin and
the opinions are averaged. See ``docs/methods/vocals.md`` for the equations and the quality.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from audiosep.methods._vocals_foreground import find_foreground
from audiosep.methods._vocals_mask import agreed_share, modelled_share
from audiosep.methods._vocals_voice import (
    Track,
    find_track,
    voice_evidence,
    voice_presence,
    voiced_frames,
    without_strays,
)
from audiosep.methods._vocals_working import Working, reduce
from audiosep.methods.base import MethodSettings
from audiosep.threads import one_blas_thread
from audiosep.types import LazyModels, Melody, Progress, SourceModels, Spectrogram, ignore_progress

__all__ = ["VocalsEstimate", "model_vocals", "vocals_estimate"]

SOURCES = ("vocals", "accompaniment")

ABSENT = 5e-5
"""With less likelihood than this no voice is given out."""

_ABSENT_GAIN = 0.03

_LEADS_ABOVE_HZ = 2000.0
"""What is above the modelled range takes the mean share from here up to its end."""


@dataclass(frozen=True, kw_only=True, eq=False)
class VocalsEstimate:
    """What is known about the voice of a mixture.

    Parameters
    ----------
    mask : np.ndarray [shape=(n_bins, n_frames), dtype=float32]
        Share of the voice, in [0, 1]; the transpose is C-contiguous.
    melody : Melody
        Its pitch, one value per frame.
    presence : float
        0 to 1: how likely there is a voice at all, sung or spoken; above 0.5 only where that is
        rather sure.
    notes : tuple of str
        The same in sentences.
    """

    mask: npt.NDArray[np.float32]
    melody: Melody
    presence: float
    notes: tuple[str, ...]


def model_vocals(
    spectrogram: Spectrogram, settings: MethodSettings, progress: Progress = ignore_progress
) -> SourceModels:
    """Share a mixture between a lead singing voice and its accompaniment.

    Parameters
    ----------
    spectrogram : Spectrogram
        Of the mixture; windows of 64 to 93 ms with a hop of a quarter suit the method.
    settings : MethodSettings
        ``n_components`` (of the accompaniment; 60 by default), ``max_iter`` (of the source/filter
        model; 30 by default) and ``seed`` act; ``beta`` does not.
    progress : callable
        Called as ``progress("separate", fraction)``.

    Returns
    -------
    SourceModels
        Masks: values in [0, 1] that sum to one, the same for all channels; and the melody.
    """
    estimate = vocals_estimate(spectrogram, settings, progress)

    def frames(first: int, last: int) -> npt.NDArray[np.float32]:
        voice = estimate.mask[:, first:last].T
        return np.stack([voice, np.float32(1) - voice])[:, np.newaxis]

    return SourceModels(
        models=LazyModels(shape=(len(SOURCES), 1, *estimate.mask.shape), frames=frames),
        names=SOURCES,
        notes=estimate.notes,
        melody=estimate.melody,
    )


def vocals_estimate(
    spectrogram: Spectrogram, settings: MethodSettings, progress: Progress = ignore_progress
) -> VocalsEstimate:
    """Find the voice of a mixture: its share of each bin, its melody, and whether there is one.

    Parameters
    ----------
    spectrogram, settings, progress
        As for :func:`model_vocals`.

    Returns
    -------
    VocalsEstimate
    """
    with one_blas_thread():
        return _estimate(spectrogram, settings, progress)


def _estimate(
    spectrogram: Spectrogram, settings: MethodSettings, progress: Progress
) -> VocalsEstimate:
    progress("separate", 0.0)
    working = reduce(spectrogram)
    foreground = find_foreground(working)
    progress("separate", 0.6)
    track = find_track(working, foreground)
    always = np.ones(len(track.path), dtype=bool)
    modelled = modelled_share(working, track, always, settings)
    progress("separate", 0.8)
    voiced = voiced_frames(voice_evidence(working, foreground, track, modelled))
    presence = voice_presence(working, track, voiced, modelled)
    voiced = without_strays(track, voiced, working.frame_s)
    modelled = modelled_share(working, track, voiced, settings)
    mask = agreed_share(working, modelled, foreground)
    if presence < ABSENT:
        mask *= np.float32(_ABSENT_GAIN)
    del foreground, modelled  # each of them as large as the recording
    progress("separate", 1.0)
    return VocalsEstimate(
        mask=_whole(mask, spectrogram, working),
        melody=_melody(track, voiced & (presence >= ABSENT), spectrogram.frame_s),
        presence=presence,
        notes=(_describe(voiced, presence),),
    )


def _whole(
    mask: npt.NDArray[np.float32], spectrogram: Spectrogram, working: Working
) -> npt.NDArray[np.float32]:
    """Extend a mask of the working bins to all bins."""
    n_kept = mask.shape[0]
    whole = np.zeros((spectrogram.n_frames, spectrogram.n_bins), dtype=np.float32)
    whole[:, :n_kept] = mask.T
    if n_kept < spectrogram.n_bins:
        follows = mask[round(_LEADS_ABOVE_HZ / working.bin_hz) :].mean(axis=0)
        whole[:, n_kept:] = follows[:, np.newaxis]
    return whole.T


def _melody(track: Track, voiced: npt.NDArray[np.bool_], frame_s: float) -> Melody:
    return Melody(
        times_s=np.arange(len(voiced), dtype=np.float64) * frame_s,
        f0_hz=np.where(voiced, track.pitches_hz[track.path], 0.0),
        strengths=np.where(voiced, np.clip(track.salience, 0.0, 1.0), 0.0),
    )


def _describe(voiced: npt.NDArray[np.bool_], presence: float) -> str:
    if presence < ABSENT:
        return "No voice was found: the stem of the vocals is nearly silent."
    heard = f"is heard in {voiced.mean():.0%} of the recording"
    if presence < 0.5:
        return f"If there is a voice at all (likelihood {presence:.2f}), it {heard}."
    return f"A voice {heard} (likelihood of a voice: {presence:.2f})."
