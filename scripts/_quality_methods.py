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

OURS, NOTHING = "ours", "do-nothing"
ORACLES = {"oracle ratio mask": 1.0, "oracle Wiener": 2.0}
METHODS = (NOTHING, OURS, *PEERS, *ORACLES)

WHOLE_BELOW = 1e-3
"""A sum of references that differs from the mixture by less is all of it: nothing was separated."""


def methods_of(task: str, wanted: tuple[str, ...] = METHODS) -> list[str]:
    """Methods that are run on a task, in the order of the tables."""
    if task == "auto":
        return [OURS] if OURS in wanted else []
    own = (NOTHING, OURS, *PEERS_OF[task], *ORACLES)
    return [method for method in METHODS if method in own and method in wanted]


def why_not(task: str, method: str) -> str | None:
    """Reason why a method cannot be run, if there is one."""
    from audiosep.presets import preset_names

    if method == OURS and task not in preset_names():
        return f"there is no preset {task}"
    if method in PEERS and not installed(method):
        return "not installed"
    return None


def oracle(item: Item, power: float) -> Signals:
    """Masks from the true magnitudes, ``|S|^p / sum |S|^p``, with the window of the preset."""
    import audiosep
    from audiosep.presets import load_preset, preset_names
    from audiosep.transform import WINDOW_S, frame_length

    known = item.task in preset_names()
    n_fft = frame_length(item.sr, load_preset(item.task).window_s if known else WINDOW_S)
    models = {}
    for name, reference in item.references.items():
        audio = audiosep.Audio(samples=reference, sr=item.sr)
        models[name] = np.abs(audiosep.stft(audio, n_fft=n_fft).values) ** power
    total = sum(models.values()) + TINY
    shares = {name: model / total for name, model in models.items()}
    return masked(item, lambda _: shares, n_fft)


def ours(item: Item, seed: int) -> Signals:
    import audiosep

    n_sources = len(item.references) if item.task == "components" else None
    separator = audiosep.Separator(preset=item.task, n_sources=n_sources, seed=seed)
    result = separator.separate(item.mixture, item.sr)
    return {name: stem.samples for name, stem in result.stems.items()}


def with_names(item: Item, estimates: Signals) -> Signals:
    """Give estimates without names the order with the best mean SI-SDR, by the references."""
    if not all(name.startswith("source-") for name in estimates):
        return estimates
    from scipy.optimize import linear_sum_assignment

    names, candidates = list(item.references), list(estimates.values())
    scores = [[si_sdr(item.references[n], e) for e in candidates] for n in names]
    rows, columns = linear_sum_assignment(np.array(scores), maximize=True)
    return {names[r]: candidates[c] for r, c in zip(rows, columns, strict=True)}


def estimate(item: Item, method: str, seed: int) -> Signals:
    if method == NOTHING:
        return dict.fromkeys(item.references, item.mixture)
    if method in ORACLES:
        return oracle(item, ORACLES[method])
    return with_names(item, ours(item, seed) if method == OURS else PEERS[method](item))


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
