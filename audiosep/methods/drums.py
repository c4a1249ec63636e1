"""Drums: a recording of a drum kit into its pieces, by patches that adapt to it.

See ``docs/methods/drums.md`` for the equations, the parameters and the measured quality.

References
----------
.. [1] P. Smaragdis (2004), "Non-negative matrix factor deconvolution; extraction of multiple sound
   sources from monophonic inputs", ICA, LNCS 3195.
.. [2] C. Dittmar and D. Gärtner (2014), "Real-time transcription and separation of drum recordings
   based on NMF decomposition", DAFx: templates that begin as given and end free.
"""

from __future__ import annotations

from audiosep.dictionary_files import load_builtin
from audiosep.methods._drums_fit import Kit
from audiosep.methods._drums_kit import hear_kit
from audiosep.methods._drums_learnt import LearntKit, learnt_kit, play_kit
from audiosep.methods._drums_onsets import find_onsets
from audiosep.methods._stems_bands import Bands
from audiosep.methods.base import Learnt, MethodSettings
from audiosep.types import Progress, SourceModels, Spectrogram, Stop, ignore_progress

__all__ = ["learn_drums", "model_drums"]

DICTIONARY = "drums"


def model_drums(
    spectrogram: Spectrogram, settings: MethodSettings, progress: Progress = ignore_progress
) -> SourceModels:
    """Model the pieces of a drum kit.

    Parameters
    ----------
    spectrogram : Spectrogram
        Of drums alone; windows of about 46 ms with a hop of a quarter suit the method.
    settings : MethodSettings
        ``dictionary`` (patches; those of the package by default), ``beta`` (1) and ``max_iter``
        (60 semi-adaptive iterations,
        and half as many free ones) act. Nothing is random. With ``learnt`` the kit is what it
        says, and only what each piece plays is found.
    progress : callable
        Called as ``progress("separate", fraction)``.

    Returns
    -------
    SourceModels
        ``kick``, ``snare`` and ``hihat`` always, ``tom`` and ``cymbal`` where they are found; one
        channel for all. With onsets, labelled by the same names, of the pieces that were found.

    Raises
    ------
    DictionaryError
        If the dictionary holds spectra, not patches.
    """
    bands = Bands.of(spectrogram.n_bins, spectrogram.bin_hz)
    learnt, levels = settings.learnt_as(LearntKit), None
    if learnt is not None:
        V = bands.pool(spectrogram.magnitude())
        kit = play_kit(V, bands, learnt, settings, progress)
        levels = learnt.levels
    else:
        kit = _heard(spectrogram, bands, settings, progress)
    return SourceModels(
        models=bands.expand_lazily(kit.models),
        names=kit.names,
        notes=kit.notes,
        losses=kit.losses,
        stop=kit.stop,
        onsets=find_onsets(
            kit.strokes,
            kit.names,
            spectrogram.frame_s,
            spectrogram.n_samples / spectrogram.sr,
            levels,
        ),
    )


def learn_drums(
    spectrogram: Spectrogram, settings: MethodSettings, progress: Progress = ignore_progress
) -> Learnt:
    """Learn which pieces a kit has in a long recording, and what they sound like.

    Parameters
    ----------
    spectrogram : Spectrogram
        Excerpts of the recording.
    settings : MethodSettings
        As for :func:`model_drums`.
    progress : callable
        Called as ``progress("separate", fraction)``.

    Returns
    -------
    Learnt
        With a :class:`audiosep.methods._drums_learnt.LearntKit`.

    Raises
    ------
    DictionaryError
        If the dictionary holds spectra, not patches.
    """
    bands = Bands.of(spectrogram.n_bins, spectrogram.bin_hz)
    kit = _heard(spectrogram, bands, settings, progress)
    facts = learnt_kit(kit, spectrogram.frame_s)
    if kit.stop is Stop.SILENT:
        return Learnt(
            facts=facts,
            warnings=(
                "The parts that were listened to are silent: no piece was found for certain.",
            ),
        )
    return Learnt(facts=facts, notes=kit.notes)


def _heard(
    spectrogram: Spectrogram, bands: Bands, settings: MethodSettings, progress: Progress
) -> Kit:
    dictionary = load_builtin(DICTIONARY) if settings.dictionary is None else settings.dictionary
    V = bands.pool(spectrogram.magnitude())
    return hear_kit(spectrogram, V, bands, dictionary, settings, progress)
