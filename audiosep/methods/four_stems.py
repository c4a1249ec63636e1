"""Vocals, drums, bass and other: the voice first, the three others from what it leaves.

Voice first is better than drums and bass first, because drums and bass found in a mixture with a
voice take parts of it along. See ``docs/methods/four-stems.md`` for the measured quality.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from audiosep.methods._stems_ensemble import SOURCES as BAND
from audiosep.methods._stems_ensemble import describe, estimate_masks
from audiosep.methods.base import MethodSettings
from audiosep.methods.stems import model_stems
from audiosep.methods.vocals import VocalsEstimate, vocals_estimate
from audiosep.types import LazyModels, Progress, SourceModels, Spectrogram, ignore_progress

__all__ = ["SOURCES", "model_four_stems", "model_song"]

SOURCES = ("vocals", *BAND)

VOICE_PRESENT = 0.5
"""Presence above which :func:`model_song` gives a voice a stem of its own."""


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
    voice = vocals_estimate(spectrogram, settings, _half(progress, 0.0))
    return _voice_first(spectrogram, voice, settings, _half(progress, 0.5))


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
    voice = vocals_estimate(spectrogram, settings, _half(progress, 0.0))
    if voice.presence >= VOICE_PRESENT:
        return _voice_first(spectrogram, voice, settings, _half(progress, 0.5))
    del voice  # as large as the recording
    models = model_stems(spectrogram, settings, _half(progress, 0.5))
    return replace(
        models,
        notes=(
            "No voice stands out, so there is no stem for one; where there is a voice after all, "
            "use the preset four-stems.",
            *models.notes,
        ),
    )


def _voice_first(
    spectrogram: Spectrogram,
    voice: VocalsEstimate,
    settings: MethodSettings,
    progress: Progress,
) -> SourceModels:
    estimate = estimate_masks(spectrogram, settings, progress, taken=voice.mask)

    def frames(first: int, last: int) -> npt.NDArray[np.float32]:
        sung = voice.mask[:, first:last].T[np.newaxis, np.newaxis]
        band = estimate.bands.frames(estimate.masks, first, last)
        return np.concatenate([sung, band * (1 - sung)])

    return SourceModels(
        models=LazyModels(shape=(len(SOURCES), 1, *voice.mask.shape), frames=frames),
        names=SOURCES,
        notes=(*voice.notes, describe(estimate.evidence)),
        losses=estimate.losses,
        stop=estimate.stop,
        melody=voice.melody,
    )


def _half(progress: Progress, start: float) -> Progress:
    """One half of a progress, from `start` on."""
    return lambda stage, fraction: progress(stage, start + 0.5 * fraction)
