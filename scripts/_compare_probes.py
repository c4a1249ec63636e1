"""What each peer does with recordings that are not as they should be.

    healthy    three seconds of tones, clicks and noise, stereo, 32-bit float
    missing    a file that is not there
    cut        the healthy file without its second half: its header promises twice as much
    nan        ten samples in the middle are not numbers

A library has no exit code: where it raises, the runner ends with 1.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from _compare_catalogue import Peer
from _compare_runs import Ran, estimates_of, form_of, run
from _quality_corpus import Item, read

CASES = ("missing", "cut", "nan")
OF_FILES = ("missing", "cut")
"""Cases that say nothing of a library which is given samples."""
SR, SECONDS = 22_050, 3.0
LIMIT_S = 1800.0

METHODS: dict[str, str] = {
    "audiosep": "split:harmonic-percussive",
    "librosa": "librosa-hpss",
    "scikit-learn": "sklearn-timbre",
    "nussl": "nussl-hpss",
    "FluCoMa": "fluid-hpss",
    "libnmfd": "libnmfd-nmfd",
    "pyroomacoustics": "room-fastmnmf2",
    "torchnmf": "torchnmf-timbre",
    "nimfa": "nimfa-timbre",
    "noisereduce": "noisereduce-told",
    "demucs": "demucs",
    "open-unmix": "umx",
    "spleeter": "spleeter",
}
"""The method of each that is tried: the plainest one."""

TELLS_OF_A_CUT = r"cut|truncat|incomplete|missing|promise|shorter"

READS_ITSELF = ("audiosep", "librosa", "nussl", "FluCoMa", "demucs", "open-unmix", "spleeter")
"""Those that open sound files; for all others the runner does, with soundfile."""


def sound() -> np.ndarray:
    """Samples (2, samples) with something for every method to find."""
    rng = np.random.default_rng(7)
    t = np.arange(round(SR * SECONDS)) / SR
    tone = sum(0.1 / h * np.sin(2 * np.pi * 220 * h * t) for h in range(1, 6))
    clicks = np.zeros_like(t)
    for first in range(0, t.size - 400, SR // 4):
        clicks[first : first + 400] += 0.4 * rng.standard_normal(400) * np.exp(-np.arange(400) / 60)
    hiss = 0.01 * rng.standard_normal((2, t.size))
    return (np.outer((0.9, 0.4), tone) + np.outer((0.5, 0.8), clicks) + hiss).astype(np.float32)


def write_cases(folder: Path) -> dict[str, Path]:
    """Write every case; return the files by name."""
    import soundfile

    folder.mkdir(parents=True)
    samples = sound()
    broken = samples.copy()
    broken[:, samples.shape[1] // 2 :][:, :10] = np.nan
    for name, content in {
        "healthy": samples,
        "nan": broken,
    }.items():
        soundfile.write(folder / f"{name}.wav", content.T, SR, subtype="FLOAT")
    soundfile.write(folder / "hiss.wav", 0.01 * sound()[:, ::-1].T, SR, subtype="FLOAT")
    whole = (folder / "healthy.wav").read_bytes()
    (folder / "half.wav").write_bytes(whole[: len(whole) // 2])
    files = {case: folder / f"{case}.wav" for case in ("healthy", *CASES)}
    return {**files, "cut": folder / "half.wav"}  # whoever repeats its name does not tell of a cut


def job_for(path: Path) -> dict:
    return {
        "mixture": str(path),
        "n_sources": 2,
        "sources": ["speech", "noise"],
        "examples": {"noise": str(path.with_name("hiss.wav"))},
    }


def probe(
    envs: Path, peer: Peer, cases: dict[str, Path], folder: Path, core: int = 0
) -> dict[str, object]:
    """Try all cases with one peer; where the healthy one fails, only why."""
    method = METHODS[peer.name]
    told = [case for case in CASES if peer.name in READS_ITSELF or case not in OF_FILES]

    def once(case: str) -> Ran:
        job = job_for(cases[case])
        if peer.name == "audiosep":
            del job["examples"]  # this preset takes none
        return run(envs, peer, method, job, folder / f"{tuple(cases).index(case)}", LIMIT_S, core)

    first = once("healthy")
    if first.why_not:
        return {"method": method, "why_not": first.why_not}
    mixture, sr = read(cases["healthy"])
    item = Item("harmonic-percussive", "", "healthy", sr, mixture, {})
    return {
        "method": method,
        "form": form_of(first, item),
        "cases": {case: verdict(case, once(case), item) for case in told if case in cases},
    }


def verdict(case: str, ran: Ran, item: Item) -> dict[str, object]:
    """How a run on a bad file ended: its exit code, and what is wrong with what it left."""
    found: dict[str, object] = {"exit": ran.exit, "said": ran.said, "stems": len(ran.stems)}
    if ran.late:
        return {**found, "words": "not finished in time"}
    if ran.exit:
        left = f", {len(ran.stems)} stems left" if ran.stems else ""
        return {**found, "words": f"refused ({ran.exit}){left}"}
    if not ran.stems:
        return {**found, "words": "**0, no stems**"}
    raw = [read(path)[0] for path in ran.stems.values()]
    if not all(np.isfinite(samples).all() for samples in raw):
        return {**found, "words": "**0, stems are not numbers**"}
    if case == "cut" and all(s.shape[1] < 0.9 * item.mixture.shape[1] for s in raw):
        told = re.search(TELLS_OF_A_CUT, ran.log, re.IGNORECASE)
        return {**found, "words": "0, half as long, " + ("says so" if told else "not a word")}
    if case == "nan":
        lost = np.mean([np.mean(np.abs(e) < 1e-9) for e in estimates_of(ran, item).values()])
        return {**found, "words": "**0, silence**" if lost > 0.5 else "0, stems"}
    return {**found, "words": "0, stems"}
