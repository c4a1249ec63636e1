"""What the reference says that the code has no words for: keys of JSON, groups of names."""

from __future__ import annotations

from dataclasses import dataclass, field

from audiosep import errors, projects, replaying, report
from audiosep.presets import __all__ as preset_names

RECORD = {
    "audiosep": "Version that made the stems.",
    "preset": "As it was chosen; `auto` may have taken another method.",
    "method": "How the sources were modelled.",
    "seed": "Of all random numbers.",
    "settings": "All settings that decide about the stems, as given; null is the preset's own.",
    "settings.regrouped": "What `audiosep regroup` changed, and of which stems.",
    "settings.window_s": "Of `audiosep atoms`: the window of the analysis in seconds.",
    "settings.painted": "What `audiosep paint` moved, and of which stems.",
    "examples": "What each example was: its file or region, rate and length, and its templates.",
    "input": "The recording.",
    "input.path": "Where it was.",
    "input.sha256": "Digest of its file; null for arrays.",
    "input.format": "Container, such as `WAV`.",
    "input.subtype": "How its samples are stored, such as `PCM_16`.",
    "input.bits": "Depth of the stems that follows from it: 16, 24 or `float`.",
    "input.sr": "Sample rate in Hz.",
    "input.n_channels": "Channels.",
    "input.n_samples": "Samples in each channel of what was taken apart.",
    "input.start": "From which second it was taken.",
    "input.duration": "For how many seconds; null for all of it.",
    "analysis": "How it was transformed.",
    "analysis.n_fft": "Samples of a window.",
    "analysis.hop_length": "Samples from one frame to the next.",
    "analysis.window": "Shape of the window.",
    "analysis.mask_exponent": "Hardness of the masks.",
    "analysis.chunk_s": "Longest chunk in seconds.",
    "notes": "What was decided, in sentences.",
    "warnings": "What may be wrong, in sentences.",
    "losses": "The objective before the first iteration and after each.",
    "n_iter": "Iterations.",
    "stop": "Why they ended; null where there were none.",
    "timings_s": "Seconds of each step.",
    "null_test_db": "Largest difference between the sum of the written stems and the recording, in "
    "dB of full scale; -300 means that no sample differs.",
    "bits": "Depth of the stems as written.",
    "output": "Options about the files.",
    "output.format": "`wav` or `flac`.",
    "output.bits": "As it was asked for; null for the recording's.",
    "output.keep": "Stems of `--keep`.",
    "output.one_shots": "As `--one-shots`.",
    "stems": "Each stem by its name.",
    "stems.NAME.file": "Its file in this folder.",
    "stems.NAME.sha256": "Digest of the file.",
    "stems.NAME.peak_db": "Its peak in dB of full scale; null for silence.",
    "stems.NAME.rms_db": "Its root mean square in dB of full scale; null for silence.",
    "components": "Of `audiosep atoms`: what each component is like, as `regroup` lists it.",
    "files": "Other files that came with the stems.",
    "files.NAME.sha256": "Digest of the file.",
}
"""Keys of ``audiosep.json`` as ``audiosep split`` writes it, and what is in them."""

ERRORS = tuple(name for name in errors.__all__ if hasattr(getattr(errors, name), "exit_code"))
"""All classes of errors by their names."""

_STATUS = {
    "input": "The recording or the folder, as given.",
    "status": "`done`, or `failed`.",
    "error": "What went wrong, in a sentence; else null.",
}
_SPLIT = {
    **_STATUS,
    "status": "`done`, `skipped` (it was done before) or `failed`; in a dry run `planned`; with "
    "`--status` also `left`.",
    "stems": "Path of each stem by its name.",
    "files": "Path of each other file by its name.",
    "null_test_db": "As in `audiosep.json`; null where nothing was written.",
    "seconds": "How long it took; in a dry run, how long it would take.",
    "warnings": "What may be wrong, in sentences.",
}
_STEMS = {
    **_STATUS,
    "place": "The folder of the new stems.",
    "stems": "Path of each stem by its name.",
    "seconds": "How long it took.",
}

JSON_OBJECTS = {
    "audiosep split": {
        **_SPLIT,
        "folder": "In a dry run: where the stems would be.",
        "memory_mb": "In a dry run: memory that is needed.",
        "disk_mb": "In a dry run: room for the stems.",
        "audio_s": "In a dry run: seconds of sound.",
    },
    "audiosep preview": {
        **_SPLIT,
        "excerpt_s": "The excerpt: from and to, in seconds.",
        "whole_s": "How long all of the recording would take.",
    },
    "audiosep info": {
        **_STATUS,
        "status": "`ok` or `failed`; with `--check` also `ill`.",
        "format": "Container.",
        "subtype": "How samples are stored.",
        "sr": "Sample rate in Hz.",
        "n_channels": "Channels.",
        "n_samples": "Samples in each channel.",
        "duration_s": "Length in seconds.",
        "bits": "Depth of stems.",
        "cut": "Whether the file ends before it should.",
        "no_length": "Whether the header does not say how long it is.",
        "missing_bytes": "How many bytes are missing.",
        "missing_s": "How many seconds; null where that cannot be told.",
        "damaged_inside": "Whether sound is missing in the middle of the file.",
        "health": "With `--check`: what `audiosep.check_recording` found from end to end.",
    },
    "audiosep evaluate": {
        "stem": "Name of the stem; one object for each.",
        "status": "`done` or `failed`.",
        "error": "What went wrong, in a sentence; else null.",
        "references": "Files of the true sources.",
        "estimates": "Files that were measured.",
        "si_sdr_db": "Scale-invariant signal-to-distortion ratio.",
        "sdr_db": "Signal-to-distortion ratio, which hears wrong levels.",
        "si_sir_db": "Ratio to interference.",
        "si_sar_db": "Ratio to artefacts.",
        "improvement_db": "SI-SDR above that of the untouched mixture.",
        "oracle_db": "SI-SDR of the ratio mask made from the true sources.",
        "level_dbfs": "Level of the estimate.",
        "reference_is_silent": "Whether the true source is silent.",
        "bsseval": "With `--bsseval`: the measures of BSSEval v4.",
        "mean": "In the last object: the means of all stems.",
        "n_stems": "In the last object: how many there were.",
        "rest_db": "In the last object: what the references lack of the mixture.",
    },
    "audiosep atoms": {**_SPLIT, "place": "The folder.", "n_components": "How many components."},
    "audiosep regroup": {
        **_STEMS,
        "confidence": "How sure each group is, 0 to 1.",
        "number": "Without changes, one object for each component: its number.",
        "stem": "The stem that holds most of it.",
        "share": "Its part of all magnitudes.",
        "centroid_hz": "Its mean frequency.",
        "pitch_hz": "Its pitch; null where it has none.",
        "active": "Part of the time in which it sounds.",
        "first_s": "When it first sounds.",
        "last_s": "When it last sounds.",
    },
    "audiosep match": {
        **_STATUS,
        "labels": "Of each label `share`, `mean_share`, `similarity` and `best_s`.",
        "out": "The table that was written.",
    },
    "audiosep resynthesize": {**_STATUS, "out": "The file that was written."},
    "audiosep paint": {**_STEMS, "regions": "Each region, and what part of it was `honoured`."},
    "audiosep replay": {**_STEMS, "same": "Whether the stems are those that were saved."},
    "audiosep report": {
        **_STATUS,
        "report": "The page.",
        "bytes": "Its size.",
        "linked": "Whether it plays the stems beside it.",
        "seconds": "How long it took.",
    },
    "audiosep export": {
        **_STATUS,
        "files": "Paths of the files of each format.",
        "notes": "What a file lacks because the folder does.",
        "warnings": "What may be wrong, in sentences.",
    },
    "audiosep verify": {
        "folder": "A folder of stems; one object for each.",
        "status": "`whole`, `broken`, or `unknown` where nobody can say.",
        "n_files": "Files that its record names.",
        "null_test_db": "As in `audiosep.json`; null where the recording is no longer there.",
        "problems": "What is wrong, in sentences.",
        "notes": "What could not be looked at, in sentences.",
    },
    "audiosep presets": {
        "preset": "Its name.",
        "stems": "What comes out.",
        "summary": "What it is for.",
    },
    "audiosep doctor": {
        "what": "What was looked at.",
        "status": "`ok`, `optional`, `warning` or `missing`.",
        "words": "What was found, and what to do about it.",
    },
    "audiosep dict show": {
        "file": "The dictionary.",
        "labels": "Of each label the number of `templates` and seconds of exemplars.",
        "n_bands": "Frequencies of a template.",
        "highest_hz": "The highest of them.",
        "step_s": "Seconds from one frame of its exemplars to the next.",
        "provenance": "What the sounds are, and under which licence.",
    },
}
"""Keys of what each command prints with ``--json``, and what is in them."""


@dataclass(frozen=True, kw_only=True)
class ApiPage:
    """A page of the Python reference.

    Parameters
    ----------
    title, text : str
        Heading, and what stands below it.
    groups : dict of str to (str, tuple of str)
        Headings with a sentence and full names.
    plain : dict of str to str
        Names that are described here, in a line.
    """

    title: str
    text: str
    groups: dict[str, tuple[str, tuple[str, ...]]]
    plain: dict[str, str] = field(default_factory=dict)


def _of(module: str, *names: str) -> tuple[str, ...]:
    return tuple(f"{module}.{name}" for name in names)


_PYTHON = ApiPage(
    title="audiosep",
    text="All of `audiosep.__all__`: the public interface. [Python](../python.md) has examples.",
    groups={
        "Take apart": (
            "A path or an array in, stems out.",
            _of(
                "audiosep",
                "separate",
                "Separator",
                "Separation",
                "Audio",
                "Region",
                "cut_one_shots",
            ),
        ),
        "Files": (
            "Recordings in and out, and whether they are whole.",
            _of("audiosep", "read", "write", "ReadOptions", "check_recording", "verify", "export"),
        ),
        "Tell it what to look for": (
            "Sounds learnt from examples, and scores.",
            _of(
                "audiosep",
                "learn",
                "Dictionary",
                "merge_dictionaries",
                "load_dictionary",
                "save_dictionary",
                "read_score",
                "Score",
            ),
        ),
        "Research": (
            "Single components, other groupings without a fit, known sounds found again.",
            _of("audiosep", "find_atoms", "regroup", "match_dictionary", "resynthesize"),
        ),
        "Measure and see": (
            "Stems against true ones, and pictures.",
            _of("audiosep", "evaluate", "si_sdr", "plot_spectrogram"),
        ),
        "Spectrograms and models": (
            "What stands between a recording and its stems. Arrays have their frames last.",
            _of(
                "audiosep",
                "stft",
                "istft",
                "Spectrogram",
                "NMF",
                "Factorization",
                "Grouping",
                "SourceModels",
                "Melody",
                "Onsets",
            ),
        ),
        "And": (
            "The rest.",
            _of("audiosep", "AudiosepError", "nmf", "__version__"),
        ),
    },
    plain={
        "audiosep.__version__": "The version, as text.",
        "audiosep.nmf": "Non-negative matrix factorization: [its own page](nmf.md).",
    },
)

_NMF = ApiPage(
    title="audiosep.nmf",
    text="All of `audiosep.nmf.__all__`: matrices only, without any audio. [How to "
    "choose](../how-to-choose.md) says which of it for which recording.",
    groups={
        "Factorize": (
            "`V`, of shape `(bins, frames)`, as templates times activations.",
            _of(
                "audiosep.nmf", "factorize", "NMF", "OnlineNMF", "beta_divergence", "harmonic_combs"
            ),
        ),
        "Other models": (
            "Patches, channels, symmetric matrices.",
            _of(
                "audiosep.nmf",
                "factorize_convolutive",
                "ConvolutiveFactorization",
                "factorize_tensor",
                "TensorFactorization",
                "factorize_symmetric",
                "factorize_tri",
                "GraphFactorization",
            ),
        ),
        "How many, and how sure": (
            "Numbers of components, and what stays the same from start to start.",
            _of("audiosep.nmf", "suggest_rank", "RankSuggestion", "factorize_restarts", "Restarts"),
        ),
        "Penalties": (
            "Terms of the objective that look at one factor. They can be combined.",
            _of(
                "audiosep.nmf",
                "L1",
                "L2",
                "Smoothness",
                "GroupSparsity",
                "Decorrelation",
                "Orthogonality",
                "Relevance",
                "Prior",
            ),
        ),
    },
)

_MORE = ApiPage(
    title="More of Python",
    text="What other pages use, and what public functions give back. These names may change "
    "at any time; [contributing](../../CONTRIBUTING.md#versions) says what may not.",
    groups={
        "Errors": (
            "Each has one sentence that says what is wrong and what to do about it.",
            _of("audiosep.errors", "ExitCode", *ERRORS),
        ),
        "What is given back": (
            "By functions of the first page.",
            (
                "audiosep.types.Stop",
                "audiosep.streaming.Stream",
                *_of("audiosep.evaluation", "Evaluation", "StemScores", "BssEval"),
                "audiosep.health.Health",
                "audiosep.verification.Verified",
                "audiosep.exports.exporting.Exported",
                "audiosep.io.AudioInfo",
                "audiosep.scores.Track",
                "audiosep.dictionaries.Exemplars",
                "audiosep.research.atoms.Atoms",
                "audiosep.research.matching.Match",
                "audiosep.research.regrouping.Regrouped",
            ),
        ),
        "Painting": (
            "Regions of the spectrogram into the stems they belong to: [painting](../painting.md).",
            (
                *_of("audiosep.research.painting", "paint", "Painted"),
                *_of("audiosep.research.painted_regions", "PaintedRegion", "read_regions"),
            ),
        ),
        "Projects": (
            "All steps by which stems came about, stored and done again.",
            (
                *(
                    name
                    for name in _of("audiosep.projects", *projects.__all__)
                    if name[-5:] != ".Step"
                ),
                *_of("audiosep.replaying", *replaying.__all__),
            ),
        ),
        "Reports": (
            "One page to listen to stems: [report](../report.md).",
            _of("audiosep.report", *(name for name in report.__all__ if not name.isupper())),
        ),
        "Presets, dictionaries and factorizations": (
            "What comes with audiosep, and what it leaves beside stems.",
            (
                *_of("audiosep.presets", *(name for name in preset_names if not name.isupper())),
                *_of("audiosep.dictionary_files", "builtin_names", "load_builtin"),
                "audiosep.factorization_files.load_factorization",
            ),
        ),
    },
)

API = {"python.md": _PYTHON, "nmf.md": _NMF, "more.md": _MORE}
"""Pages of the Python reference by their names."""
