"""``audiosep evaluate``: estimated stems against their true sources."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from audiosep.cli.pairing import MIXTURE, Pair, Pairing, pair_up, stem_name
from audiosep.cli.talk import Talk
from audiosep.cli.wording import words_of
from audiosep.errors import AudiosepError, ExitCode, InputError, without_salvage
from audiosep.evaluation import Evaluation, StemScores, evaluate
from audiosep.io import open_recording
from audiosep.io.naming import display
from audiosep.types import Audio

__all__ = ["evaluate_paths"]

LENGTH_TOLERANCE_S = 0.1
"""Lengths may differ by less than this: codecs pad, and editors cut on a frame."""

_COLUMNS = {
    "si_sdr_db": "SI-SDR",
    "improvement_db": "gain",
    "oracle_db": "oracle",
    "sdr_db": "SDR",
    "si_sir_db": "SI-SIR",
    "si_sar_db": "SI-SAR",
    "bsseval.sdr_db": "v4 SDR",
    "bsseval.isr_db": "v4 ISR",
    "bsseval.sir_db": "v4 SIR",
    "bsseval.sar_db": "v4 SAR",
}
"""Measures and the heads of their columns, in order."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Loaded:
    """What was read of a pair."""

    pair: Pair
    reference: Audio
    estimate: Audio


def evaluate_paths(
    reference: Path, estimate: Path, *, mixture: Path | None, bsseval: bool, talk: Talk
) -> ExitCode:
    """Print how near estimates come to references: two folders of stems, or two files.

    Parameters
    ----------
    reference, estimate : Path
        Two folders or two files.
    mixture : Path, optional
        Recording of the mixture; by default ``mixture.*`` among the references, if it is there.
    bsseval : bool
        Compute BSSEval version 4 too.
    talk : Talk
        How to say it.

    Returns
    -------
    ExitCode
        DONE; SOME_FAILED where some stems have no counterpart or do not fit it; ALL_FAILED where
        nothing could be compared.

    Raises
    ------
    UsageError
        If one is a folder and the other a file, or museval is wanted and not there.
    InputError
        If a folder holds no recording, or the mixture cannot be used.
    """
    try:
        return _evaluated(reference, estimate, mixture, bsseval, talk)
    except AudiosepError as error:
        if talk.json_lines:
            _fail(None, words_of(error), talk)
        raise


def _evaluated(
    reference: Path, estimate: Path, mixture: Path | None, bsseval: bool, talk: Talk
) -> ExitCode:
    pairing = pair_up(reference, estimate)
    complete = _say_what_is_alone(pairing, talk)
    loaded: list[_Loaded] = []
    alone = list(pairing.references)
    for pair in pairing.pairs:
        try:
            loaded.append(_load(pair, loaded[0].reference if loaded else None, talk))
        except AudiosepError as error:
            complete = False
            alone += pair.references
            _fail(pair.name, words_of(error), talk, error)
    if not loaded:
        how = "could be compared with" if pairing.pairs else "fits"
        sentence = f"nothing in {display(estimate)} {how} anything in {display(reference)}."
        if complete and talk.json_lines:  # no file was named: there is no line yet
            _fail(None, sentence, talk)
        talk.error(sentence)
        return ExitCode.ALL_FAILED
    like = loaded[0].reference
    others = _others(alone, like, talk)
    mixed = _mixture(mixture, pairing.mixture, like, talk)
    n_samples = min(
        audio.n_samples
        for one in loaded
        for audio in (one.reference, one.estimate, *others.values(), mixed or like)
    )
    scores = evaluate(
        {
            **{one.pair.name: _cut(one.reference, n_samples) for one in loaded},
            **{name: _cut(audio, n_samples) for name, audio in others.items()},
        },
        {one.pair.name: _cut(one.estimate, n_samples) for one in loaded},
        mixture=None if mixed is None else _cut(mixed, n_samples),
        bsseval=bsseval,
    )
    if scores.rest_db is not None:
        talk.say(
            "The references do not add up to the mixture: what is left of it, at "
            f"{scores.rest_db:.1f} dB, counts as one further source in oracle, SI-SIR and SI-SAR."
        )
    _print(scores, [one.pair for one in loaded], talk)
    return ExitCode.DONE if complete else ExitCode.SOME_FAILED


def _fail(name: str | None, sentence: str, talk: Talk, cause: AudiosepError | None = None) -> None:
    if talk.json_lines:
        talk.json({"stem": name, "status": "failed", "error": sentence})
    else:
        talk.error(sentence, cause)


def _say_what_is_alone(pairing: Pairing, talk: Talk) -> bool:
    """Say what has no counterpart; return whether everything has one."""
    for name in pairing.ambiguous:
        _fail(name, f"several files are named {display(name)}; keep one of them.", talk)
    for path in pairing.references:
        sentence = f"{display(path)} has no estimate: no file is named {display(stem_name(path))}."
        _fail(stem_name(path), sentence, talk)
    for path in pairing.estimates:
        sentence = f"{display(path)} has no reference: no file is named {display(stem_name(path))}."
        _fail(stem_name(path), sentence, talk)
    if pairing.rest is not None:
        pair = pairing.rest
        own = stem_name(pair.estimates[0]) == pair.name
        parts = pair.references if own else pair.estimates
        words = ", ".join(display(path.name) for path in parts)
        sum_of = "the sum of " if len(parts) > 1 else ""
        talk.say(f"{display(pair.name)} is compared with {sum_of}{words}.")
    return not (pairing.ambiguous or pairing.references or pairing.estimates)


# --- reading ------------------------------------------------------------------------------------


def _read(path: Path, talk: Talk) -> Audio:
    try:
        recording = open_recording(path)
    except InputError as error:
        raise type(error)(f"{display(path)} {without_salvage(str(error))}") from None
    for note in recording.warnings:
        talk.say(f"audiosep: warning: {display(path)}: {note}")
    return recording.audio


def _load(pair: Pair, like: Audio | None, talk: Talk) -> _Loaded:
    """Read a pair and check that it can be compared, also with the pairs before it."""
    reference = _sum(pair.references, talk)
    estimate = _sum(pair.estimates, talk)
    _check_fits(pair.estimates[0], estimate, reference, "its reference", talk)
    if like is not None:
        _check_fits(pair.references[0], reference, like, "the stems before it", talk)
    return _Loaded(pair=pair, reference=reference, estimate=estimate)


def _sum(paths: Sequence[Path], talk: Talk) -> Audio:
    """Read one file, or several that are added up over what all of them have."""
    total = _read(paths[0], talk)
    for path in paths[1:]:
        part = _read(path, talk)
        _check_fits(path, part, total, display(paths[0]), talk)
        n_samples = min(part.n_samples, total.n_samples)
        samples = total.samples[:, :n_samples] + part.samples[:, :n_samples]
        total = Audio(samples=samples, sr=total.sr)
    return total


def _check_fits(path: Path, audio: Audio, like: Audio, words: str, talk: Talk) -> None:
    """Refuse what cannot be compared sample by sample."""
    if audio.sr != like.sr:
        raise InputError(
            f"{display(path)} has a rate of {audio.sr} Hz, {words} {like.sr} Hz; resample one of "
            "them."
        )
    if audio.n_channels != like.n_channels:
        raise InputError(
            f"{display(path)} has {audio.n_channels} channel(s), {words} {like.n_channels}; fold "
            "one of them down."
        )
    difference = abs(audio.n_samples - like.n_samples)
    if difference >= LENGTH_TOLERANCE_S * like.sr:
        raise InputError(
            f"{display(path)} is {audio.duration:.3f} s long, {words} {like.duration:.3f} s; cut "
            "them to the same part of the recording."
        )
    if difference:
        talk.say(
            f"{display(path)} and {words} differ by {difference} samples in length; what both have "
            "is compared."
        )


def _others(paths: Sequence[Path], like: Audio, talk: Talk) -> dict[str, Audio]:
    """References without an estimate: they may interfere all the same."""
    found, unfit = {}, []
    for path in paths:
        try:
            audio = _read(path, talk)
        except AudiosepError as error:
            left = "It is left out of SI-SIR, SI-SAR and oracle."
            talk.say(f"audiosep: warning: {words_of(error)} {left}")
            continue
        try:
            _check_fits(path, audio, like, "the stems before it", talk)
        except InputError:
            unfit.append(display(path))
            continue
        found[stem_name(path)] = audio
    if unfit:
        # Each was named before with what to do; here it matters only that they do not count.
        talk.say(
            f"audiosep: warning: {', '.join(unfit)}: of another rate, shape or length than the "
            "stems, and left out of SI-SIR, SI-SAR and oracle."
        )
    return found


def _mixture(wanted: Path | None, found: Path | None, like: Audio, talk: Talk) -> Audio | None:
    """Read the mixture; one that nobody asked for may be of no use."""
    path = wanted or found
    if path is None:
        return None
    try:
        audio = _read(path, talk)
        _check_fits(path, audio, like, "the stems", talk)
    except AudiosepError as error:
        if wanted is not None:
            raise
        talk.say(f"audiosep: warning: {words_of(error)} There is no gain and no oracle.")
        return None
    return audio


def _cut(audio: Audio, n_samples: int) -> Audio:
    if audio.n_samples == n_samples:
        return audio
    return Audio(samples=np.ascontiguousarray(audio.samples[:, :n_samples]), sr=audio.sr)


# --- results ------------------------------------------------------------------------------------


def _print(scores: Evaluation, pairs: Sequence[Pair], talk: Talk) -> None:
    if talk.json_lines:
        by_name = {pair.name: pair for pair in pairs}
        for stem in scores.stems:
            talk.json(_entry(stem, by_name[stem.name]))
        means = {measure: _rounded(scores.mean(measure)) for measure in _COLUMNS}
        rest_db = _rounded(scores.rest_db)
        talk.json({"mean": means, "n_stems": len(scores.stems), "rest_db": rest_db})
        return
    columns = [m for m in _COLUMNS if m == "si_sdr_db" or scores.mean(m) is not None]
    width = max(len("stem"), *(len(display(stem.name)) for stem in scores.stems)) + 2
    heads = "".join(f"{_COLUMNS[column]:>8}" for column in columns)
    talk.result(f"{'dB':<{width}}{heads}")
    for stem in scores.stems:
        name = display(stem.name)
        if stem.reference_is_silent:
            level = "silent too" if stem.level_dbfs is None else f"at {stem.level_dbfs:.1f} dBFS"
            talk.result(f"{name:<{width}}the reference is silent, the estimate {level}")
            continue
        cells = "".join(_cell(_measure(stem, column)) for column in columns)
        talk.result(f"{name:<{width}}{cells}")
    if len(scores.stems) > 1:
        cells = "".join(_cell(scores.mean(column)) for column in columns)
        talk.result(f"{'mean':<{width}}{cells}")
    talk.detail(_LEGEND)
    if any(column.startswith("bsseval.") for column in columns):
        talk.detail(_LEGEND_V4)


_LEGEND = f"""\
SI-SDR: wanted part of the estimate to all else, at any level; gain: above the {MIXTURE}'s SI-SDR;
oracle: SI-SDR of the ratio mask from the true sources; SDR: reference to difference (SNR);
SI-SIR, SI-SAR: wanted part to other references, and to what is in none."""

_LEGEND_V4 = "v4: BSSEval version 4 by museval, median over windows of 1 s."


def _measure(stem: StemScores, measure: str) -> float | None:
    value: Any = stem
    for name in measure.split("."):
        value = None if value is None else getattr(value, name)
    return value  # type: ignore[no-any-return]


def _cell(value: float | None) -> str:
    return f"{'-':>8}" if value is None else f"{value:8.2f}"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _entry(stem: StemScores, pair: Pair) -> dict[str, Any]:
    scores = asdict(stem)
    del scores["name"]
    bsseval = scores.pop("bsseval")
    return {
        "stem": stem.name,
        "status": "done",
        "error": None,
        "references": [str(path) for path in pair.references],
        "estimates": [str(path) for path in pair.estimates],
        **{
            name: _rounded(v) if name.endswith(("_db", "_dbfs")) else v
            for name, v in scores.items()
        },
        "bsseval": bsseval and {name: _rounded(value) for name, value in bsseval.items()},
    }
