"""Drums, bass and other: the default separation of music.

Running medians, phases and a small dictionary say roughly what belongs to whom. Three opinions
start from that and are averaged: two factorizations, and drum templates cut out of the recording
itself. What stands away from the middle of the channels then leans to other.
See ``docs/methods/stems.md`` for the equations and the measured quality.
"""

from __future__ import annotations

from audiosep.methods._stems_ensemble import SOURCES, describe, estimate_masks
from audiosep.methods._stems_learnt import BandFacts, learn_stems
from audiosep.methods.base import MethodSettings
from audiosep.types import Progress, SourceModels, Spectrogram, ignore_progress

__all__ = ["learn_stems", "model_stems"]


def model_stems(
    spectrogram: Spectrogram, settings: MethodSettings, progress: Progress = ignore_progress
) -> SourceModels:
    """Share a mixture of music among drums, bass and other.

    Voices belong to other.

    Parameters
    ----------
    spectrogram : Spectrogram
        Of the mixture; windows of about 93 ms with a hop of a quarter suit the method.
    settings : MethodSettings
        ``n_components`` (in all; 48 by default), ``beta`` (of the factorizations; 1 by default),
        ``max_iter`` (of the joint fits; 15 by default), ``dictionary`` (with templates labelled
        drums, bass and other; a built-in one by default), ``seed``, ``learnt`` (from
        :func:`learn_stems`) and ``margins`` act.
    progress : callable
        Called as ``progress("separate", fraction)``.

    Returns
    -------
    SourceModels
        Masks: values in [0, 1] that sum to one, the same for all channels.

    Raises
    ------
    ParameterError
        If fewer than three components are asked for, or a given dictionary lacks a kind of sound.
    """
    facts = settings.learnt_as(BandFacts)
    estimate = estimate_masks(spectrogram, settings, progress, facts=facts)
    return SourceModels(
        models=estimate.bands.expand_lazily(estimate.masks),
        names=SOURCES,
        notes=(describe(estimate.low_band_db),) if facts is None else (),
        losses=estimate.losses,
        stop=estimate.stop,
    )
