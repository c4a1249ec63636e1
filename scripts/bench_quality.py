"""Measure the quality of separations on a corpus of mixtures with their true sources.

    python scripts/bench_quality.py CORPUS [--tasks stems,harmonic-percussive] [--json out.json]

CORPUS holds ``<task>/<item>/`` folders with ``mixture.flac``, ``ref_<source>.flac`` and
``meta.json``. The corpus is audited first: a duplicate, silent or leaked reference reverses
conclusions. Beside ours stand doing nothing, a peer, and two oracles that no mask can beat by much.

SI-SDR (dB) is ``10 log10(|a r|^2 / |e - a r|^2)`` with ``a = <e, r> / |r|^2``, over all channels
together; "SIi" is its improvement over the mixture. Silent references are left out of the means.
"""

from __future__ import annotations

import argparse
import fnmatch
import hashlib
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

import numpy as np

Signals = dict[str, np.ndarray]

TASKS = {
    "harmonic-percussive": ("harmonic_percussive",),
    "stems": ("multitrack",),
    "components": ("*",),
}
"""Presets and the folders of the corpus that they are measured on."""

METHODS = ("do-nothing", "ours", "librosa HPSS", "oracle ratio mask", "oracle Wiener")
SILENT_RMS = 1e-3
LEAK_CORRELATION = 0.1
SAME_CORRELATION = 0.3
ENERGY_FLOOR = 1e-10


@dataclass
class Item:
    """A mixture and its sources, named as the task names its stems."""

    task: str
    folder: str
    name: str
    sr: int
    mixture: np.ndarray
    references: Signals
    findings: list[str] = field(default_factory=list)


def si_sdr(reference: np.ndarray, estimate: np.ndarray) -> float:
    """Scale-invariant signal-to-distortion ratio in dB (Le Roux et al. 2019)."""
    r, e = reference.ravel().astype(np.float64), estimate.ravel().astype(np.float64)
    part = (e @ r) / (r @ r + ENERGY_FLOOR) * r
    wanted, error = part @ part, (e - part) @ (e - part)
    return float(10 * np.log10((wanted + ENERGY_FLOOR) / (error + ENERGY_FLOOR)))


def snr(reference: np.ndarray, estimate: np.ndarray) -> float:
    """Signal-to-noise ratio in dB, which also hears wrong levels."""
    r, e = reference.ravel().astype(np.float64), estimate.ravel().astype(np.float64)
    return float(10 * np.log10((r @ r + ENERGY_FLOOR) / ((r - e) @ (r - e) + ENERGY_FLOOR)))


def is_silent(signal: np.ndarray) -> bool:
    return float(np.sqrt(np.mean(signal.astype(np.float64) ** 2))) < SILENT_RMS


# --- the corpus ----------------------------------------------------------------------------------


def read(path: Path) -> tuple[np.ndarray, int]:
    import soundfile

    samples, sr = soundfile.read(path, dtype="float32", always_2d=True)
    return np.ascontiguousarray(samples.T), sr


def shortened(samples: np.ndarray, sr: int) -> tuple[np.ndarray, int]:
    """First 10 s at 22.05 kHz."""
    import librosa

    if sr != 22050:
        samples = librosa.resample(samples, orig_sr=sr, target_sr=22050, res_type="soxr_hq")
    return np.ascontiguousarray(samples[:, : 10 * 22050], dtype=np.float32), 22050


def sources_for(task: str, references: Signals) -> Signals:
    """Name the references as the preset names its stems; voices and the rest are other."""
    if task != "stems":
        return references
    kept = [name for name in ("drums", "bass") if name in references]
    rest = [signal for name, signal in references.items() if name not in kept]
    named = {name: references[name] for name in kept}
    if rest:
        named["other"] = np.sum(rest, axis=0)
    return named


def find_items(corpus: Path, tasks: Iterable[str], pattern: str) -> list[tuple[str, Path]]:
    """Return (task, folder of the item) for every item that matches."""
    return [
        (task, meta.parent)
        for task in tasks
        for folder in TASKS[task]
        for meta in sorted(corpus.glob(f"{folder}/*/meta.json"))
        if fnmatch.fnmatch(meta.parent.name, pattern)
    ]


def load_item(task: str, path: Path, *, short: bool) -> Item:
    meta = json.loads((path / "meta.json").read_text())
    mixture, sr = read(path / meta["mixture"])
    references = {name: read(path / file)[0] for name, file in meta["sources"].items()}
    references = sources_for(task, references)
    if short:
        references = {name: shortened(signal, sr)[0] for name, signal in references.items()}
        mixture, sr = shortened(mixture, sr)
    return Item(task, path.parent.name, path.name, sr, mixture, references)


# --- the audit -----------------------------------------------------------------------------------


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
        samples, sr = read(path / "mixture.flac")
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


# --- the methods ---------------------------------------------------------------------------------


def masked(item: Item, masks_of: Callable[[np.ndarray], dict[str, np.ndarray]]) -> Signals:
    """Apply masks made from the mixture's spectrogram (channels, bins, frames)."""
    import audiosep

    spectrogram = audiosep.stft(audiosep.Audio(samples=item.mixture, sr=item.sr))
    values = spectrogram.values
    estimates = {}
    for name, mask in masks_of(values).items():
        part = audiosep.Spectrogram(
            values=(values * mask).astype(np.complex64),
            sr=item.sr,
            n_fft=spectrogram.n_fft,
            hop_length=spectrogram.hop_length,
            window=spectrogram.window,
            n_samples=spectrogram.n_samples,
        )
        estimates[name] = audiosep.istft(part).samples
    return estimates


def oracle(item: Item, power: float) -> Signals:
    """Masks from the true magnitudes: ``|S|^p / sum |S|^p``."""
    import audiosep

    models = {
        name: np.abs(audiosep.stft(audiosep.Audio(samples=r, sr=item.sr)).values) ** power
        for name, r in item.references.items()
    }
    total = sum(models.values()) + 1e-16
    return masked(item, lambda _: {name: model / total for name, model in models.items()})


def librosa_hpss(item: Item) -> Signals:
    """librosa.decompose.hpss with its defaults (31 frames, 31 bins, p = 2), bass below 250 Hz."""
    import librosa

    def masks_of(values: np.ndarray) -> dict[str, np.ndarray]:
        magnitude = np.sqrt((np.abs(values) ** 2).mean(axis=0))
        harmonic, percussive = librosa.decompose.hpss(magnitude, mask=True)
        if item.task == "harmonic-percussive":
            return {"harmonic": harmonic, "percussive": percussive}
        hz = np.linspace(0, item.sr / 2, magnitude.shape[0])[:, np.newaxis]
        low = 1 / (1 + (hz / 250) ** 8)
        return {"drums": percussive, "bass": harmonic * low, "other": harmonic * (1 - low)}

    return masked(item, masks_of)


def ours(item: Item, seed: int) -> Signals:
    import audiosep

    if item.task == "components":
        result = audiosep.Separator(
            preset=item.task, n_sources=len(item.references), seed=seed
        ).separate(item.mixture, item.sr)
    else:
        result = audiosep.Separator(preset=item.task, seed=seed).separate(item.mixture, item.sr)
    return {name: stem.samples for name, stem in result.stems.items()}


def fit_names(item: Item, estimates: Signals) -> Signals:
    """Bring estimates to the names of the references.

    Where there is no bass reference, bass and other are one source. Components have no names:
    they take the permutation with the best mean SI-SDR, which uses the references.
    """
    if item.task == "stems" and "bass" not in item.references and "bass" in estimates:
        return {"drums": estimates["drums"], "other": estimates["bass"] + estimates["other"]}
    if item.task == "components" and not set(item.references) <= set(estimates):
        from scipy.optimize import linear_sum_assignment

        names, candidates = list(item.references), list(estimates.values())
        scores = [[si_sdr(item.references[n], e) for e in candidates] for n in names]
        rows, columns = linear_sum_assignment(np.array(scores), maximize=True)
        return {names[r]: candidates[c] for r, c in zip(rows, columns, strict=True)}
    return estimates


def estimate(item: Item, method: str, seed: int) -> Signals:
    if method == "do-nothing":
        return dict.fromkeys(item.references, item.mixture)
    if method == "oracle ratio mask":
        return oracle(item, 1.0)
    if method == "oracle Wiener":
        return oracle(item, 2.0)
    return fit_names(item, ours(item, seed) if method == "ours" else librosa_hpss(item))


def measure(item: Item, method: str, seed: int) -> dict[str, object]:
    """Run one method on one item."""
    began = time.perf_counter()
    estimates = estimate(item, method, seed)
    seconds = time.perf_counter() - began
    sources = {}
    for name, reference in item.references.items():
        if is_silent(reference):
            level = float(np.sqrt(np.mean(estimates[name].astype(np.float64) ** 2)))
            sources[name] = {"silent": True, "estimate_dbfs": 20 * np.log10(level + 1e-10)}
            continue
        value = si_sdr(reference, estimates[name])
        sources[name] = {
            "si_sdr": value,
            "si_sdr_improvement": value - si_sdr(reference, item.mixture),
            "snr": snr(reference, estimates[name]),
        }
    return {
        "task": item.task,
        "item": item.name,
        "folder": item.folder,
        "method": method,
        "seed": seed,
        "seconds": seconds,
        "sources": sources,
        "findings": item.findings,
    }


# --- the report ----------------------------------------------------------------------------------


def improvements(row: dict) -> list[float]:
    return [s["si_sdr_improvement"] for s in row["sources"].values() if "silent" not in s]


def summarize(rows: list[dict]) -> dict[str, object]:
    """Sum up the rows of one method, one seed, one task."""
    rows = [row for row in rows if improvements(row)]
    means = [float(np.mean(improvements(row))) for row in rows]
    absolute = [
        np.mean([s["si_sdr"] for s in row["sources"].values() if "silent" not in s]) for row in rows
    ]
    every = [value for row in rows for value in improvements(row)]
    worst = min(range(len(rows)), key=lambda i: means[i])
    return {
        "n_items": len(rows),
        "si_sdr_mean": float(np.mean(absolute)),
        "sii_mean": float(np.mean(means)),
        "sii_median": float(np.median(means)),
        "worst_item": f"{rows[worst]['folder']}/{rows[worst]['item']}",
        "worst_item_sii": means[worst],
        "worst_source_sii": min(every),
        "n_sources": len(every),
        "n_sources_below_mixture": sum(value < 0 for value in every),
        "seconds": float(sum(row["seconds"] for row in rows)),
    }


def print_task(task: str, rows: list[dict], methods: list[str], seeds: int) -> dict[str, object]:
    """Print the tables of a task; return the summaries by method."""
    names = sorted({f"{row['folder']}/{row['item']}" for row in rows})
    width = max(len(name) for name in names) + 2
    print(f"\n== {task}: SIi per item (SIi per source), dB" + ", seed 0" * (seeds > 1))
    if task == "components":
        print("   (the order of the components is chosen with the references)")
    for name in names:
        print(name + (" *" if any(row["findings"] for row in rows if key(row) == name) else ""))
        for row in rows:
            if key(row) == name and row["seed"] == 0 and row["method"] != "do-nothing":
                parts = [
                    f"{n} {s['si_sdr_improvement']:+.1f}" if "silent" not in s else f"{n} silent"
                    for n, s in row["sources"].items()
                ]
                values = improvements(row)
                mean = f"{np.mean(values):6.2f}" if values else "   -  "
                print(f"    {row['method']:18s} {mean}  ({', '.join(parts)})")
    print(f"\n{'method':20s}  SI-SDR  SIi mean  median  below mixture   seconds  worst item")
    summaries = {}
    for method in methods:
        chosen = [row for row in rows if row["method"] == method]
        if not chosen:
            continue
        each = [
            summarize([r for r in chosen if r["seed"] == s]) for s in {r["seed"] for r in chosen}
        ]
        total = summaries[method] = dict(each[0])
        total["sii_mean_per_seed"] = [one["sii_mean"] for one in each]
        print(
            f"{method:20s}  {total['si_sdr_mean']:6.2f}  {total['sii_mean']:8.2f}  "
            f"{total['sii_median']:6.2f}  {total['n_sources_below_mixture']:4d} of "
            f"{total['n_sources']:<4d}  {total['seconds']:9.1f}  {total['worst_item']:{width}s} "
            f"{total['worst_item_sii']:+.1f}"
        )
        if len(each) > 1:
            means = total["sii_mean_per_seed"]
            print(f"{'':20s}  {len(each)} seeds: median {np.median(means):.2f}, ", end="")
            print(f"{min(means):.2f} to {max(means):.2f}")
    return summaries


def key(row: dict) -> str:
    return f"{row['folder']}/{row['item']}"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--json", type=Path, help="write everything here")
    parser.add_argument("--tasks", default="harmonic-percussive,stems", help="comma-separated")
    parser.add_argument("--items", default="*", help="pattern of item names")
    parser.add_argument("--seeds", type=int, default=1, help="run ours with seeds 0 to N-1")
    parser.add_argument("--method", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--short", action="store_true", help="first 10 s, 22.05 kHz")
    parser.add_argument("--no-audit", action="store_true")
    options = parser.parse_args(arguments)
    tasks = options.tasks.split(",")
    if unknown := [task for task in tasks if task not in TASKS]:
        parser.error(f"unknown task {unknown[0]}; there are {', '.join(TASKS)}")
    found = find_items(options.corpus, tasks, options.items)
    if not found:
        parser.error(f"no item in {options.corpus} matches")

    findings = {} if options.no_audit else audit(sorted({path for _, path in found}))
    if not options.no_audit:
        print(f"== audit: {len(findings)} items with findings (marked *)")
        for name, texts in findings.items():
            print(f"{name}: " + "; ".join(texts))
    rows = []
    for task, path in found:
        item = load_item(task, path, short=options.short)
        item.findings = findings.get(f"{item.folder}/{item.name}", [])
        for method in options.method:
            if method == "librosa HPSS" and task == "components":
                continue
            seeds = range(options.seeds if method == "ours" else 1)
            rows.extend(measure(item, method, seed) for seed in seeds)
    summaries = {
        task: print_task(
            task, [r for r in rows if r["task"] == task], options.method, options.seeds
        )
        for task in tasks
    }
    if options.json:
        content = {
            "options": {k: str(v) for k, v in vars(options).items()},
            "audit": findings,
            "summary": summaries,
            "rows": rows,
        }
        options.json.write_text(json.dumps(content, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
