"""What a recording is, so that the right method can be chosen without being told.

Drums alone are struck, and the patches of a kit explain them almost entirely; no other music
comes near. All else is taken for a song, and
:func:`audiosep.methods.four_stems.model_song` listens for a voice.
See ``docs/methods/auto.md`` for the figures behind the thresholds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from audiosep.dictionary_files import load_builtin
from audiosep.methods._drums_fit import fit_kit
from audiosep.methods._stems_bands import Bands
from audiosep.methods._stems_ensemble import weigh_evidence
from audiosep.methods.base import MethodSettings
from audiosep.presets import Preset, load_preset
from audiosep.transform import stft
from audiosep.types import Audio, ignore_progress

__all__ = ["Choice", "choose_recipe"]

DIVERGENCE_OF_DRUMS = 0.11
"""Kullback-Leibler divergence from the kit's fit, over the sum of the magnitudes."""

ERROR_OF_DRUMS = 0.11
"""Squared error of that fit, over the squared magnitudes: steady noise has a small divergence."""

STRUCK = 0.5
"""Least share of the energy in strokes: patches explain a steady tone as well."""

_ITERATIONS = 10
_EXCERPTS = 3
_EXCERPT_S = 10.0


@dataclass(frozen=True, kw_only=True)
class Choice:
    """How to separate a recording, and why.

    Parameters
    ----------
    recipe : Preset
        To use.
    reason : str
        A sentence.
    """

    recipe: Preset
    reason: str


def choose_recipe(mixture: Audio, recipe: Preset, settings: MethodSettings) -> Choice:
    """Choose between the preset ``drums`` and a recipe for all other music.

    Parameters
    ----------
    mixture : Audio
        The recording; at most three excerpts of 10 s are looked at.
    recipe : Preset
        For whatever is not drums alone.
    settings : MethodSettings
        ``n_threads`` acts.

    Returns
    -------
    Choice
    """
    if mixture.peak == 0.0:
        return Choice(recipe=recipe, reason="The recording is silent.")
    drums = load_preset("drums")
    looks = _look(excerpts(mixture), drums, settings)
    words = f"{looks.struck:.0%} of its energy is struck, patches of drums miss {looks.error:.0%}"
    if (
        looks.struck > STRUCK
        and looks.error < ERROR_OF_DRUMS
        and looks.divergence < DIVERGENCE_OF_DRUMS
    ):
        return Choice(
            recipe=drums, reason=f"Taken for drums alone: {words}. Otherwise: --preset stems."
        )
    return Choice(recipe=recipe, reason=f"Taken for music, not drums alone: {words}.")


def excerpts(mixture: Audio) -> Audio:
    """Join three excerpts of 10 s from all over a longer recording.

    Parameters
    ----------
    mixture : Audio
        Never changed.

    Returns
    -------
    Audio
        The whole recording up to 30 s.
    """
    length = round(_EXCERPT_S * mixture.sr)
    if mixture.n_samples <= _EXCERPTS * length:
        return mixture
    # Not the very ends: many recordings begin with a count or end in a fade.
    firsts = np.linspace(0, mixture.n_samples - length, _EXCERPTS + 2).astype(int)[1:-1]
    parts = [mixture.samples[:, first : first + length] for first in firsts]
    return Audio(samples=np.concatenate(parts, axis=1), sr=mixture.sr)


@dataclass(frozen=True)
class _Looks:
    """Share of the energy in strokes; what the pieces of a kit leave unexplained, relative."""

    struck: float
    error: float
    divergence: float


def _look(part: Audio, drums: Preset, settings: MethodSettings) -> _Looks:
    spectrogram = stft(part, window_s=drums.window_s)
    V = spectrogram.magnitude()
    bands = Bands.of(V.shape[0], spectrogram.bin_hz)
    widths = bands.widths[:, np.newaxis].astype(np.float32)
    pooled = bands.pool(V)
    peak = float(pooled.max())
    if peak == 0.0:  # the excerpts of a recording that is not
        return _Looks(struck=0.0, error=1.0, divergence=1.0)
    pooled /= np.float32(peak)
    energy = np.square(pooled, dtype=np.float64)
    evidence = weigh_evidence(pooled / widths, bands.centres_hz, spectrogram.frame_s)
    short = MethodSettings(max_iter=_ITERATIONS, n_threads=settings.n_threads)
    kit = fit_kit(spectrogram, pooled, bands, load_builtin("drums"), short, ignore_progress)
    missed = pooled - (kit.models * widths).sum(axis=0)
    return _Looks(
        struck=float((energy * evidence.shares[0]).sum() / energy.sum()),
        error=float(np.square(missed, dtype=np.float64).sum() / energy.sum()),
        divergence=kit.losses[-1] / float(pooled.sum(dtype=np.float64)),
    )
