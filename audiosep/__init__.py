"""audiosep: recordings taken apart into stems that add up to them exactly.

Public names are imported when first used, so that ``import audiosep`` and ``audiosep --help``
stay fast.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from audiosep._version import __version__

if TYPE_CHECKING:
    from audiosep import nmf
    from audiosep.dictionaries import Dictionary
    from audiosep.dictionary_files import load_dictionary, save_dictionary
    from audiosep.errors import AudiosepError
    from audiosep.evaluation import evaluate, si_sdr
    from audiosep.examples import Region
    from audiosep.exports.exporting import export
    from audiosep.health import check_recording
    from audiosep.io import ReadOptions, read, write
    from audiosep.learning import learn
    from audiosep.merging import merge_dictionaries
    from audiosep.nmf.estimator import NMF
    from audiosep.one_shots import cut_one_shots
    from audiosep.plots.spectrograms import plot_spectrogram
    from audiosep.research.atoms import find_atoms
    from audiosep.research.matching import match_dictionary
    from audiosep.research.regrouping import regroup
    from audiosep.research.resynthesis import resynthesize
    from audiosep.scores import Score, read_score
    from audiosep.separation import Separation
    from audiosep.separator import Separator
    from audiosep.shortcuts import separate
    from audiosep.transform import istft, stft
    from audiosep.types import (
        Audio,
        Factorization,
        Grouping,
        Melody,
        Onsets,
        SourceModels,
        Spectrogram,
    )
    from audiosep.verification import verify

_HOMES = {
    "cut_one_shots": "audiosep.one_shots",
    "evaluate": "audiosep.evaluation",
    "si_sdr": "audiosep.evaluation",
    "NMF": "audiosep.nmf.estimator",
    "Audio": "audiosep.types",
    "AudiosepError": "audiosep.errors",
    "Factorization": "audiosep.types",
    "Grouping": "audiosep.types",
    "Melody": "audiosep.types",
    "Onsets": "audiosep.types",
    "Dictionary": "audiosep.dictionaries",
    "Region": "audiosep.examples",
    "export": "audiosep.exports.exporting",
    "Score": "audiosep.scores",
    "find_atoms": "audiosep.research.atoms",
    "learn": "audiosep.learning",
    "match_dictionary": "audiosep.research.matching",
    "read_score": "audiosep.scores",
    "regroup": "audiosep.research.regrouping",
    "resynthesize": "audiosep.research.resynthesis",
    "load_dictionary": "audiosep.dictionary_files",
    "merge_dictionaries": "audiosep.merging",
    "save_dictionary": "audiosep.dictionary_files",
    "Separation": "audiosep.separation",
    "Separator": "audiosep.separator",
    "SourceModels": "audiosep.types",
    "Spectrogram": "audiosep.types",
    "istft": "audiosep.transform",
    "nmf": "audiosep.nmf",
    "plot_spectrogram": "audiosep.plots.spectrograms",
    "ReadOptions": "audiosep.io",
    "check_recording": "audiosep.health",
    "read": "audiosep.io",
    "separate": "audiosep.shortcuts",
    "stft": "audiosep.transform",
    "verify": "audiosep.verification",
    "write": "audiosep.io",
}

__all__ = [
    "NMF",
    "Audio",
    "AudiosepError",
    "Dictionary",
    "Factorization",
    "Grouping",
    "Melody",
    "Onsets",
    "ReadOptions",
    "Region",
    "Score",
    "Separation",
    "Separator",
    "SourceModels",
    "Spectrogram",
    "__version__",
    "check_recording",
    "cut_one_shots",
    "evaluate",
    "export",
    "find_atoms",
    "istft",
    "learn",
    "load_dictionary",
    "match_dictionary",
    "merge_dictionaries",
    "nmf",
    "plot_spectrogram",
    "read",
    "read_score",
    "regroup",
    "resynthesize",
    "save_dictionary",
    "separate",
    "si_sdr",
    "stft",
    "verify",
    "write",
]


# A type checker knows the names from above, and that there are no others.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module 'audiosep' has no attribute {name!r}")
        from importlib import import_module

        module = import_module(_HOMES[name])
        value = module if name == "nmf" else getattr(module, name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return list(__all__)
