"""Harmonic and percussive: what lasts against what strikes.

The ensemble of :mod:`audiosep.methods.stems` with bass and other added up, so that kicks, which
plain running medians take for held tones, are percussive.
See ``docs/methods/harmonic-percussive.md`` for the equations and the measured quality.

References
----------
.. [1] D. FitzGerald (2010), "Harmonic/percussive separation using median filtering", DAFx.
.. [2] F. J. Cañadas-Quesada, P. Vera-Candeas, N. Ruiz-Reyes, J. Carabias-Orti and P. Cabañas-Molero
   (2014), "Percussive/harmonic sound separation by non-negative matrix factorization with
   smoothness/sparseness constraints", EURASIP J. Audio, Speech, Music Processing.
"""

from __future__ import annotations

import numpy as np

from audiosep.methods._stems_ensemble import describe, estimate_masks
from audiosep.methods._stems_learnt import BandFacts, learn_stems
from audiosep.methods.base import MethodSettings
from audiosep.types import Progress, SourceModels, Spectrogram, ignore_progress

__all__ = ["NAMES", "learn_stems", "model_harmonic_percussive"]

NAMES = ("harmonic", "percussive")


def model_harmonic_percussive(
    spectrogram: Spectrogram, settings: MethodSettings, progress: Progress = ignore_progress
) -> SourceModels:
    """Share a mixture among sounds that last and sounds that strike.

    Parameters
    ----------
    spectrogram : Spectrogram
        Of the mixture; windows of about 93 ms with a hop of a quarter suit the method.
    settings : MethodSettings
        As for :func:`audiosep.methods.stems.model_stems`.
    progress : callable
        Called as ``progress("separate", fraction)``.

    Returns
    -------
    SourceModels
        Masks: values in [0, 1] that sum to one, the same for all channels.
    """
    facts = settings.learnt_as(BandFacts)
    estimate = estimate_masks(spectrogram, settings, progress, facts=facts)
    drums, bass, other = estimate.masks
    return SourceModels(
        models=estimate.bands.expand_lazily(np.stack([bass + other, drums])),
        names=NAMES,
        notes=(describe(estimate.low_band_db),) if facts is None else (),
        losses=estimate.losses,
        stop=estimate.stop,
    )
