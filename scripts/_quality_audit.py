"""What makes a corpus unfit to measure on: duplicate, silent and leaked references."""

from __future__ import annotations

import hashlib
import json
from itertools import combinations
from pathlib import Path

import numpy as np
from _quality_corpus import is_silent, read

LEAK_CORRELATION = 0.1
SAME_CORRELATION = 0.3


def audit_item(path: Path) -> tuple[list[str], dict[str, str]]:
    """Look for what makes an item unfit; return findings, and a digest of each file's samples."""
    meta = json.loads((path / "meta.json").read_text())
    references = {name: read(path / file)[0] for name, file in meta["sources"].items()}
    mixture, _ = read(path / meta["mixture"])
    findings = [f"{name} is silent" for name, signal in references.items() if is_silent(signal)]
    for (a, x), (b, y) in combinations(references.items(), 2):
        x64, y64 = x.ravel().astype(np.float64), y.ravel().astype(np.float64)
        correlation = abs(x64 @ y64) / (np.linalg.norm(x64) * np.linalg.norm(y64) + 1e-30)
        if correlation > LEAK_CORRELATION:
            findings.append(f"{a} and {b} correlate ({correlation:.2f}): leaked?")
    error = float(np.abs(np.sum(list(references.values()), axis=0) - mixture).max())
    if error > 1e-4:
        findings.append(f"the sources do not sum to the mixture (difference up to {error:.1e})")
    digests = {}
    for file in sorted(path.glob("*.flac")):
        samples, _ = read(file)
        digests[file.name] = hashlib.md5(samples.tobytes(), usedforsecurity=False).hexdigest()
    return findings, digests


def same_recordings(paths: list[Path]) -> list[tuple[Path, Path, float]]:
    """Find pairs of mixtures that hold the same sound, at any offset (mono, below 2 kHz)."""
    from scipy import signal

    length, spectra = 1 << 18, []
    for path in paths:
        meta = json.loads((path / "meta.json").read_text())
        samples, sr = read(path / meta["mixture"])
        mono = signal.resample_poly(samples.mean(axis=0), 4000, sr)[: length // 2]
        spectra.append(np.fft.rfft(mono / (np.linalg.norm(mono) + 1e-30), length))
    pairs = []
    for (a, A), (b, B) in combinations(zip(paths, spectra, strict=True), 2):
        peak = float(np.abs(np.fft.irfft(A * B.conj(), length)).max())
        if peak > SAME_CORRELATION:
            pairs.append((a, b, peak))
    return pairs


def audit(paths: list[Path]) -> dict[str, list[str]]:
    """Audit all items; return findings by item folder ("task/item")."""
    findings: dict[str, list[str]] = {}
    seen: dict[str, tuple[Path, str]] = {}

    def note(path: Path, text: str) -> None:
        findings.setdefault(f"{path.parent.name}/{path.name}", []).append(text)

    for path in paths:
        own, digests = audit_item(path)
        for text in own:
            note(path, text)
        for file, digest in digests.items():
            if digest in seen:
                other, twin = seen[digest]
                note(path, f"{file} is identical to {other.name}/{twin}")
            seen.setdefault(digest, (path, file))
    for a, b, peak in same_recordings(paths):
        note(a, f"same recording as {b.parent.name}/{b.name} (correlation {peak:.2f})")
        note(b, f"same recording as {a.parent.name}/{a.name} (correlation {peak:.2f})")
    return findings
