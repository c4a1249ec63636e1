"""Vocals, drums, bass and other: the voice first, the three others from what it leaves.

Voice first is better than drums and bass first, because drums and bass found in a mixture with a
voice take parts of it along. See ``docs/methods/four-stems.md`` for the measured quality.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from audiosep.methods._stems_ensemble import SOURCES as BAND
from audiosep.methods._stems_ensemble import describe, estimate_masks
from audiosep.methods._stems_learnt import BandFacts, learn_band
from audiosep.methods._vocals_learnt import VoiceFacts, some_excerpts
from audiosep.methods.base import Learnt, MethodSettings
from audiosep.methods.stems import model_stems
from audiosep.methods.vocals import VocalsEstimate, learn_voice, vocals_estimate
from audiosep.types import LazyModels, Progress, SourceModels, Spectrogram, ignore_progress

__all__ = [
    "SOURCES",
    "SongFacts",
    "learn_four_stems",
    "learn_song",
    "model_four_stems",
    "model_song",
]

SOURCES = ("vocals", *BAND)

VOICE_PRESENT = 0.5
"""Presence above which :func:`model_song` gives a voice a stem of its own."""

_NO_VOICE = (
    "No voice stands out, so there is no stem for one; where there is a voice after all, "
    "use the preset four-stems."
)


@dataclass(frozen=True, kw_only=True)
class SongFacts:
    """What holds for a whole song.

    Parameters
    ----------
    voice : VoiceFacts, optional
        About the voice; None where it gets no stem.
    band : BandFacts
        About drums, bass and other.
    """

    voice: VoiceFacts | None
    band: BandFacts


def model_four_stems(
    spectrogram: Spectrogram, settings: MethodSettings, progress: Progress = ignore_progress
) -> SourceModels:
    """Share a mixture among a voice, drums, bass and other.

    Parameters
    ----------
    spectrogram : Spectrogram
        Of the mixture; windows of about 85 ms with a hop of a quarter suit the method.
    settings : MethodSettings
        As for :func:`audiosep.methods.stems.model_stems`.
    progress : callable
        Called as ``progress("separate", fraction)``.

    Returns
    -------
    SourceModels
        Masks: values in [0, 1] that sum to one, the same for all channels; and the melody.
    """
    facts = settings.learnt_as(SongFacts)
    known = None if facts is None else facts.voice
    voice = vocals_estimate(spectrogram, settings, _half(progress, 0.0), known)
    return _voice_first(spectrogram, voice, settings, _half(progress, 0.5))


def learn_four_stems(
    spectrogram: Spectrogram, settings: MethodSettings, progress: Progress = ignore_progress
) -> Learnt:
    """Decide what holds for all chunks of a long song.

    Parameters
    ----------
    spectrogram : Spectrogram
        Of joined excerpts; for the voice 40 s of them are looked at.
    settings : MethodSettings
        As for :func:`model_four_stems`.
    progress : callable
        Called as ``progress("learn", fraction)``.

    Returns
    -------
    Learnt
        With :class:`SongFacts`.
    """
    some = some_excerpts(spectrogram)
    return _learn_both(some, *learn_voice(some, settings, progress))


def learn_song(
    spectrogram: Spectrogram, settings: MethodSettings, progress: Progress = ignore_progress
) -> Learnt:
    """Decide what holds for all chunks of a long song: whether a voice gets a stem, above all.

    Parameters
    ----------
    spectrogram, settings, progress
        As for :func:`learn_four_stems`.

    Returns
    -------
    Learnt
        With :class:`SongFacts`.
    """
    some = some_excerpts(spectrogram)
    known, estimate = learn_voice(some, settings, progress)
    if known.presence >= VOICE_PRESENT:
        return _learn_both(some, known, estimate)
    band = learn_band(spectrogram)
    return Learnt(
        facts=SongFacts(voice=None, band=band), notes=(_NO_VOICE, describe(band.low_band_db))
    )


def _learn_both(spectrogram: Spectrogram, known: VoiceFacts, estimate: VocalsEstimate) -> Learnt:
    facts = SongFacts(voice=known, band=learn_band(spectrogram, estimate.frames))
    return Learnt(facts=facts, notes=(*estimate.notes, describe(facts.band.low_band_db)))


def model_song(
    spectrogram: Spectrogram, settings: MethodSettings, progress: Progress = ignore_progress
) -> SourceModels:
    """Share music among drums, bass and other, and a voice where one is heard.

    Parameters
    ----------
    spectrogram, settings, progress
        As for :func:`model_four_stems`.

    Returns
    -------
    SourceModels
        Three or four masks; the notes say why.
    """
    facts = settings.learnt_as(SongFacts)
    if facts is not None and facts.voice is None:
        return _band_alone(spectrogram, replace(settings, learnt=facts.band), progress)
    known = None if facts is None else facts.voice
    voice = vocals_estimate(spectrogram, settings, _half(progress, 0.0), known)
    if voice.presence >= VOICE_PRESENT:
        return _voice_first(spectrogram, voice, settings, _half(progress, 0.5))
    del voice  # as large as the recording
    return _band_alone(spectrogram, settings, _half(progress, 0.5))


def _band_alone(
    spectrogram: Spectrogram, settings: MethodSettings, progress: Progress
) -> SourceModels:
    models = model_stems(spectrogram, settings, progress)
    return replace(models, notes=(_NO_VOICE, *models.notes) if models.notes else ())


def _voice_first(
    spectrogram: Spectrogram,
    voice: VocalsEstimate,
    settings: MethodSettings,
    progress: Progress,
) -> SourceModels:
    facts = settings.learnt_as(SongFacts)
    band = None if facts is None else facts.band
    estimate = estimate_masks(spectrogram, settings, progress, taken=voice.frames, facts=band)

    def frames(first: int, last: int) -> npt.NDArray[np.float32]:
        sung = voice.frames(first, last)[np.newaxis, np.newaxis]
        band = estimate.bands.frames(estimate.masks, first, last)
        return np.concatenate([sung, band * (1 - sung)])

    shape = (len(SOURCES), 1, spectrogram.n_bins, spectrogram.n_frames)
    return SourceModels(
        models=LazyModels(shape=shape, frames=frames),
        names=SOURCES,
        notes=(*voice.notes, describe(estimate.low_band_db)) if facts is None else (),
        losses=estimate.losses,
        stop=estimate.stop,
        melody=voice.melody,
    )


def _half(progress: Progress, start: float) -> Progress:
    """One half of a progress, from `start` on."""
    return lambda stage, fraction: progress(stage, start + 0.5 * fraction)
