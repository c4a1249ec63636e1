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
from audiosep.methods._vocals_learnt import VoiceFacts, near, some_excerpts
from audiosep.methods._vocals_mask import agreed_odds, known_places, modelled_share, placed_share
from audiosep.methods._vocals_voice import (
    Track,
    find_track,
    usual_levels,
    voice_clues,
    voice_evidence,
    voice_presence,
    voiced_frames,
    without_strays,
)
from audiosep.methods._vocals_working import Working, reduce
from audiosep.methods.base import Learnt, MethodSettings
from audiosep.threads import one_blas_thread
from audiosep.types import LazyModels, Melody, Progress, SourceModels, Spectrogram, ignore_progress

__all__ = ["VocalsEstimate", "learn_vocals", "learn_voice", "model_vocals", "vocals_estimate"]

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
    low : np.ndarray [shape=(some n_bins, n_frames), dtype=float32]
        Share of the voice in the lowest bins, in [0, 1].
    high : np.ndarray [shape=(n_frames,), dtype=float32]
        The same in all bins above.
    n_bins : int > 0
        How many bins there are.
    melody : Melody
        Its pitch, one value per frame.
    presence : float
        0 to 1: how likely there is a voice at all, sung or spoken; above 0.5 only where that is
        rather sure.
    notes : tuple of str
        The same in sentences.
    """

    low: npt.NDArray[np.float32]
    high: npt.NDArray[np.float32]
    n_bins: int
    melody: Melody
    presence: float
    notes: tuple[str, ...]

    @property
    def mask(self) -> npt.NDArray[np.float32]:
        """Share of the voice in all bins, (n_bins, n_frames); the transpose is C-contiguous."""
        return self.frames(0, len(self.high)).T

    def frames(self, first: int, last: int) -> npt.NDArray[np.float32]:
        """Share of the voice in a few frames, (last - first, n_bins): all take much memory."""
        n_low = len(self.low)
        share = np.empty((last - first, self.n_bins), dtype=np.float32)
        share[:, :n_low] = self.low[:, first:last].T
        share[:, n_low:] = self.high[first:last, np.newaxis]
        return share


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
        model; 30 by default), ``seed``, ``learnt`` (from :func:`learn_vocals`) and ``margins``
        act; ``beta`` does not.
    progress : callable
        Called as ``progress("separate", fraction)``.

    Returns
    -------
    SourceModels
        Masks: values in [0, 1] that sum to one, the same for all channels; and the melody.
    """
    facts = settings.learnt_as(VoiceFacts)
    estimate = vocals_estimate(spectrogram, settings, progress, facts)

    def frames(first: int, last: int) -> npt.NDArray[np.float32]:
        voice = estimate.frames(first, last)
        return np.stack([voice, np.float32(1) - voice])[:, np.newaxis]

    shape = (len(SOURCES), 1, spectrogram.n_bins, spectrogram.n_frames)
    return SourceModels(
        models=LazyModels(shape=shape, frames=frames),
        names=SOURCES,
        notes=estimate.notes if facts is None else (),
        melody=estimate.melody,
    )


def learn_vocals(
    spectrogram: Spectrogram, settings: MethodSettings, progress: Progress = ignore_progress
) -> Learnt:
    """Decide what holds for all chunks of a long recording with a voice.

    Whether there is one, what levels are usual, and where it is between two channels.

    Parameters
    ----------
    spectrogram : Spectrogram
        Of joined excerpts; 40 s of them are looked at.
    settings : MethodSettings
        As for :func:`model_vocals`.
    progress : callable
        Called as ``progress("learn", fraction)``.

    Returns
    -------
    Learnt
        With ``VoiceFacts``.
    """
    facts, estimate = learn_voice(some_excerpts(spectrogram), settings, progress)
    return Learnt(facts=facts, notes=estimate.notes)


def learn_voice(
    spectrogram: Spectrogram, settings: MethodSettings, progress: Progress
) -> tuple[VoiceFacts, VocalsEstimate]:
    """Find the voice of excerpts, and what holds for it in the whole recording.

    Parameters
    ----------
    spectrogram : Spectrogram
        Of joined excerpts; all of them are looked at.
    settings, progress
        As for :func:`learn_vocals`.

    Returns
    -------
    VoiceFacts, VocalsEstimate
    """

    def learning(_: str, fraction: float) -> None:
        progress("learn", fraction)

    with one_blas_thread():
        found = _estimate(spectrogram, settings, learning, None)
        peak = found.working.peak
        facts = VoiceFacts(
            presence=found.estimate.presence,
            usual_peaks=found.track.usual_peaks,
            usual_levels=(found.levels[0], *(level * peak for level in found.levels[1:])),
            places=known_places(found.working, found.estimate.low),
        )
    return facts, found.estimate


def vocals_estimate(
    spectrogram: Spectrogram,
    settings: MethodSettings,
    progress: Progress = ignore_progress,
    facts: VoiceFacts | None = None,
) -> VocalsEstimate:
    """Find the voice of a mixture: its share of each bin, its melody, and whether there is one.

    Parameters
    ----------
    spectrogram, settings, progress
        As for :func:`model_vocals`.
    facts : VoiceFacts, optional
        About the whole recording, where this is a part of it.

    Returns
    -------
    VocalsEstimate
    """
    with one_blas_thread():
        return _estimate(spectrogram, settings, progress, facts).estimate


@dataclass(frozen=True, kw_only=True, eq=False)
class _Found:
    """An estimate, and what it came from."""

    estimate: VocalsEstimate
    working: Working
    track: Track
    levels: tuple[float, ...]


def _estimate(
    spectrogram: Spectrogram,
    settings: MethodSettings,
    progress: Progress,
    facts: VoiceFacts | None,
) -> _Found:
    progress("separate", 0.0)
    working = reduce(spectrogram, settings.margins)
    foreground = find_foreground(working)
    progress("separate", 0.6)
    track = find_track(working, foreground, () if facts is None else facts.usual_peaks)
    always = np.ones(len(track.path), dtype=bool)
    modelled = modelled_share(working, track, always, settings)
    progress("separate", 0.8)
    clues = voice_clues(working, foreground, track, modelled)
    # All of these are as large as the recording, and go as soon as they can.
    sparse, fluctuating = foreground.sparse, foreground.fluctuating
    del foreground
    levels = _usual(clues, working.peak, facts)
    voiced = voiced_frames(voice_evidence(clues, track, levels))
    presence = facts.presence if facts else voice_presence(working, track, voiced, modelled)
    voiced = without_strays(track, voiced, working.frame_s)
    del modelled
    odds = agreed_odds(modelled_share(working, track, voiced, settings), sparse, fluctuating)
    del sparse, fluctuating
    mask = placed_share(working, odds, None if facts is None else facts.places)
    del odds
    if presence < ABSENT:
        mask *= np.float32(_ABSENT_GAIN)
    progress("separate", 1.0)
    estimate = VocalsEstimate(
        low=mask,
        high=_above(mask, working.bin_hz),
        n_bins=spectrogram.n_bins,
        melody=_melody(track, voiced & (presence >= ABSENT), spectrogram.frame_s),
        presence=presence,
        notes=(_describe(voiced, presence),),
    )
    return _Found(estimate=estimate, working=working, track=track, levels=levels)


def _usual(
    clues: npt.NDArray[np.float64], peak: float, facts: VoiceFacts | None
) -> tuple[float, ...]:
    """Levels of the clues that are usual in the whole recording, relative to a peak."""
    own = usual_levels(clues)
    if facts is None or peak == 0.0:
        return own
    first, *rest = facts.usual_levels
    known = (first, *(level / peak for level in rest))
    return tuple(near(alone, level) for alone, level in zip(own, known, strict=True))


def _above(mask: npt.NDArray[np.float32], bin_hz: float) -> npt.NDArray[np.float32]:
    """Share of the voice above the working bins; zero where those end too low to tell."""
    leads = mask[round(_LEADS_ABOVE_HZ / bin_hz) :]
    if len(leads) == 0:
        return np.zeros(mask.shape[1], dtype=np.float32)
    follows: npt.NDArray[np.float32] = leads.mean(axis=0)
    return follows


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
