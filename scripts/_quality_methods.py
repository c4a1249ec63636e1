"""What the quality benchmark runs: ours, doing nothing, the oracles, the peers; and the scores."""

from __future__ import annotations

import time

import numpy as np
from _quality_corpus import (
    Item,
    Signals,
    is_silent,
    matched,
    rms,
    si_sdr,
    snr,
    told_apart,
    unmatched,
    voices_missed,
)
from _quality_peers import PEERS, PEERS_OF, TINY, installed, masked
from _quality_told import PRESETS
from _quality_told_peers import TOLD_PEERS, TOLD_PEERS_OF

OURS, NOTHING = "ours", "do-nothing"
REST = "rest"
ORACLES = {"oracle ratio mask": 1.0, "oracle Wiener": 2.0}
ALL_PEERS = PEERS | TOLD_PEERS
ALL_PEERS_OF = PEERS_OF | TOLD_PEERS_OF
METHODS = (NOTHING, OURS, *ALL_PEERS, *ORACLES)

WHOLE_BELOW = 1e-3
"""A sum of references that differs from the mixture by less is all of it: nothing was separated."""


def methods_of(task: str, wanted: tuple[str, ...] = METHODS) -> list[str]:
    """Methods that are run on a task, in the order of the tables."""
    if task == "auto":
        return [OURS] if OURS in wanted else []
    own = (NOTHING, OURS, *ALL_PEERS_OF[task], *ORACLES)
    return [method for method in METHODS if method in own and method in wanted]


def preset_of(task: str) -> str:
    """Name of the preset that a task is done with."""
    return PRESETS.get(task, task)


def why_not(task: str, method: str) -> str | None:
    """Reason why a method cannot be run, if there is one."""
    from audiosep.presets import preset_names

    if method == OURS and preset_of(task) not in preset_names():
        return f"there is no preset {task}"
    if method in ALL_PEERS and not installed(method):
        return "not installed"
    return None


def oracle(item: Item, power: float) -> Signals:
    """Masks from the true magnitudes, ``|S|^p / sum |S|^p``, with the window of the preset."""
    import audiosep
    from audiosep.presets import load_preset, preset_names
    from audiosep.transform import WINDOW_S, frame_length

    preset = preset_of(item.task)
    known = preset in preset_names()
    n_fft = frame_length(item.sr, load_preset(preset).window_s if known else WINDOW_S)
    models = {}
    for name, reference in item.references.items():
        audio = audiosep.Audio(samples=reference, sr=item.sr)
        magnitude = np.abs(audiosep.stft(audio, n_fft=n_fft).values)
        if preset == "stereo":  # an oracle that knows no places
            magnitude = np.sqrt(np.mean(magnitude**2, axis=0, keepdims=True))
        models[name] = magnitude**power
    total = sum(models.values()) + TINY
    shares = {name: model / total for name, model in models.items()}
    return masked(item, lambda _: shares, n_fft)


def ours(item: Item, seed: int) -> Signals:
    import audiosep

    told_number = item.task in ("components", "stereo-shared")
    n_sources = len(item.references) if told_number else None
    told = {} if item.evidence is None else item.evidence.arguments()
    separator = audiosep.Separator(
        preset=preset_of(item.task), n_sources=n_sources, seed=seed, **told
    )
    result = separator.separate(item.mixture, item.sr)
    stems = {name: stem.samples for name, stem in result.stems.items()}
    return with_rest(item, stems) if item.evidence is not None else stems


def with_rest(item: Item, stems: Signals) -> Signals:
    """Call the rest by the name of the only source that has no example."""
    unnamed = [name for name in item.references if name not in stems]
    if len(unnamed) == 1 and REST in stems:
        return {unnamed[0] if name == REST else name: stem for name, stem in stems.items()}
    return stems


def with_names(item: Item, estimates: Signals) -> Signals:
    """Give estimates without names the order with the best mean SI-SDR, by the references."""
    blind = all(name.startswith("source-") for name in estimates)
    if not blind and preset_of(item.task) != "stereo":
        return estimates
    from scipy.optimize import linear_sum_assignment

    names, candidates = list(item.references), list(estimates.values())
    scores = [[si_sdr(item.references[n], e) for e in candidates] for n in names]
    rows, columns = linear_sum_assignment(np.array(scores), maximize=True)
    found = {names[r]: candidates[c] for r, c in zip(rows, columns, strict=True)}
    # A source that no stem is left for is as good as untouched.
    return {name: found.get(name, item.mixture) for name in names}


def estimate(item: Item, method: str, seed: int) -> Signals:
    if method == NOTHING:
        return dict.fromkeys(item.references, item.mixture)
    if method in ORACLES:
        return oracle(item, ORACLES[method])
    return with_names(item, ours(item, seed) if method == OURS else ALL_PEERS[method](item))


def measure(item: Item, method: str, seed: int) -> dict[str, object]:
    """Run one method on one item."""
    began = time.perf_counter()
    estimates = estimate(item, method, seed)
    seconds = time.perf_counter() - began
    pairs = matched(item.references, estimates)
    missing, spare = unmatched(item.references, estimates)
    return {
        "task": item.task,
        "item": item.name,
        "folder": item.folder,
        "kind": item.kind,
        "half": item.half,
        "method": method,
        "seed": seed,
        "seconds": seconds,
        "sources": {name: scores(item, *pair) for name, pair in pairs.items()},
        "misnamed": misnamed(pairs) if item.task == "drums" else [],
        "without_stem": missing,
        "missed": voices_missed(item.references, estimates),
        "without_reference": {name: relative_db(item, estimates[name]) for name in spare},
        "findings": item.findings,
    }


def scores(item: Item, reference: np.ndarray, estimate: np.ndarray) -> dict[str, object]:
    """Scores of one source; where it is silent, or all of the mixture, there is none to improve.

    Where stems of known names could have told apart what makes up the mixture, all of it in one
    group is a failure: as good as doing nothing, 0 dB.
    """
    if is_silent(reference):
        return {"silent": True, "estimate_rms": rms(estimate)}
    value = si_sdr(reference, estimate)
    if rms(item.mixture - reference) < WHOLE_BELOW * rms(item.mixture):
        whole: dict[str, object] = {"whole": True, "si_sdr": value}
        return {**whole, "si_sdr_improvement": 0.0} if told_apart(item.references) else whole
    return {
        "si_sdr": value,
        "si_sdr_improvement": value - si_sdr(reference, item.mixture),
        "snr": snr(reference, estimate),
    }


def misnamed(pairs: dict[str, tuple[np.ndarray, np.ndarray]]) -> list[str]:
    """Stems that are more like the reference of another name than like their own."""
    return [
        name
        for name, (own, guess) in pairs.items()
        if any(si_sdr(r, guess) > si_sdr(own, guess) for n, (r, _) in pairs.items() if n != name)
    ]


def relative_db(item: Item, signal: np.ndarray) -> float:
    """Level in dB relative to the mixture."""
    return float(20 * np.log10(max(rms(signal), TINY) / max(rms(item.mixture), TINY)))
