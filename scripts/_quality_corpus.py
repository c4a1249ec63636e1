"""The corpus of the quality benchmark: items, tasks, and which reference a stem stands for.

A corpus holds ``<folder>/<item>/`` with ``mixture.flac``, ``ref_<source>.flac`` and ``meta.json``,
which names them: ``{"mixture": "mixture.flac", "sources": {"vocals": "ref_vocals.flac", ...}}``.
"""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from _quality_split import half_of

Signals = dict[str, np.ndarray]

TASKS = {
    "vocals": ("singing",),
    "drums": ("drums",),
    "harmonic-percussive": ("harmonic_percussive",),
    "stems": ("multitrack",),
    "four-stems": ("multitrack",),
    "auto": ("multitrack", "singing", "harmonic_percussive", "drums", "pitched"),
    "components": ("*",),
}
"""Tasks and the folders of the corpus that they are measured on. A task is the preset's name."""

SILENT_RMS = 1e-3
ENERGY_FLOOR = 1e-10

ELECTRONIC = ("eif_*", "lmms_*")
PRODUCED = ("eif_*",)
DRUMS = ("kick", "snare", "hihat", "tom", "cymbal")
EVERYTHING = frozenset({*DRUMS, "voice", "bass", "rest"})

PARTS = {
    **{drum: frozenset({drum}) for drum in DRUMS},
    **dict.fromkeys(("drums", "percussive"), frozenset(DRUMS)),
    **dict.fromkeys(("vocals", "voice", "speech", "singing"), frozenset({"voice"})),
    "toms": frozenset({"tom"}),
    **dict.fromkeys(("cymbals", "crash", "ride"), frozenset({"cymbal"})),
    "bass": frozenset({"bass"}),
    "harmonic": EVERYTHING - set(DRUMS),
    "accompaniment": EVERYTHING - {"voice"},
}
"""What known names stand for, as sources and as stems."""


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
    evidence: object | None = None

    @property
    def key(self) -> str:
        return f"{self.folder}/{self.name}"

    @property
    def half(self) -> str:
        return half_of(self.folder, self.name)

    @property
    def kind(self) -> str:
        return kind_of(self.task, self.folder, self.name)


def kind_of(task: str, folder: str, item: str) -> str:
    """Which goal an item counts for."""
    if task == "vocals":
        return "produced songs" if _like(item, PRODUCED) else "real singing"
    if task == "stems":
        return "electronic" if _like(item, ELECTRONIC) else "band"
    if task in ("speech", "speech-alone"):
        return "0 dB" if item.endswith("_0dB") else "other levels"
    return folder if task in ("auto", "components", "by-example") else "all"


def _like(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatch(name, pattern) for pattern in patterns)


# --- measures --------------------------------------------------------------------------------


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
    return rms(signal) < SILENT_RMS


def rms(signal: np.ndarray) -> float:
    return float(np.sqrt(np.mean(signal.astype(np.float64) ** 2)))


# --- reading ---------------------------------------------------------------------------------


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
    """Name the references as the preset names its stems; what it has no stem for is other."""
    kept_by_task = {"stems": ("drums", "bass"), "four-stems": ("vocals", "drums", "bass")}
    if task not in kept_by_task:
        return references
    kept = [name for name in kept_by_task[task] if name in references]
    rest = [signal for name, signal in references.items() if name not in kept]
    named = {name: references[name] for name in kept}
    if rest:
        named["other"] = np.sum(rest, axis=0)
    return named


def suits(task: str, sources: Iterable[str]) -> bool:
    """Whether an item with these sources belongs to a task."""
    return task != "four-stems" or "vocals" in sources


def find_items(corpus: Path, tasks: Iterable[str], pattern: str) -> list[tuple[str, Path]]:
    """Return (task, folder of the item) for every item that matches."""
    return [
        (task, meta.parent)
        for task in tasks
        for folder in TASKS[task]
        for meta in sorted(corpus.glob(f"{folder}/*/meta.json"))
        if fnmatch.fnmatch(meta.parent.name, pattern)
        and suits(task, json.loads(meta.read_text())["sources"])
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


# --- stems and references --------------------------------------------------------------------


def held_by_source(name: str, beside: Iterable[str]) -> frozenset[str]:
    """What a true source of this name holds, in parts that no name divides further.

    A source of an unknown name (a guitar, a synthesizer) may be the bass where nothing else is.
    """
    if name in PARTS:
        return PARTS[name]
    return frozenset({"rest"} if "bass" in beside else {"rest", "bass"})


def held_by_stem(name: str, beside: Iterable[str]) -> frozenset[str]:
    """What a stem of this name stands for; other is all that no other stem stands for."""
    if name in PARTS:
        return PARTS[name]
    if name != "other":
        return frozenset({"rest"})
    claimed = frozenset().union(*(PARTS.get(n, frozenset()) for n in beside if n != "other"))
    return EVERYTHING - claimed


def told_apart(references: Signals) -> bool:
    """Whether stems of known names could part these sources: two sound, one has such a name.

    Instruments that all belong to other (a string quartet) cannot be.
    """
    heard = [name for name, signal in references.items() if not is_silent(signal)]
    return len(heard) > 1 and any(name in PARTS for name in heard)


def voices_missed(references: Signals, stems: Iterable[str]) -> list[str]:
    """Voices that sound and are all one source, where no stem stands for a voice alone."""
    voice = PARTS["voice"]
    if any(PARTS.get(stem) == voice for stem in stems):
        return []
    return [n for n, s in references.items() if PARTS.get(n) == voice and not is_silent(s)]


def matched(references: Signals, estimates: Signals) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Sums of references, and of estimates, that stand for the same.

    Equal names are pairs. Otherwise what shares parts belongs together: where a stem stands for
    several sources they are summed, and where several stems stand for one, these are. A stem is
    left out where nothing of it is among the sources.
    """
    if set(references) == set(estimates):
        return {name: (references[name], estimates[name]) for name in references}
    sources = {name: held_by_source(name, references) for name in references}
    groups: list[tuple[set[str], set[str]]] = []
    for stem in estimates:
        held = held_by_stem(stem, estimates)
        wanted = {source for source, parts in sources.items() if parts & held}
        if not wanted:
            continue
        joined = [group for group in groups if group[1] & wanted]
        groups = [group for group in groups if not group[1] & wanted]
        stems, sums = zip(({stem}, wanted), *joined, strict=True)
        groups.append((set().union(*stems), set().union(*sums)))
    return {
        _name(estimates, stems, wanted): (_sum(references, wanted), _sum(estimates, stems))
        for stems, wanted in groups
    }


def unmatched(references: Signals, estimates: Signals) -> tuple[list[str], list[str]]:
    """Sources that no stem stands for, and stems that no source belongs to."""
    if set(references) == set(estimates):
        return [], []
    sources = {name: held_by_source(name, references) for name in references}
    stems = {name: held_by_stem(name, estimates) for name in estimates}
    covered = frozenset().union(*stems.values())
    present = frozenset().union(*sources.values())
    return (
        [name for name, parts in sources.items() if not parts & covered],
        [name for name, parts in stems.items() if not parts & present],
    )


def _name(estimates: Signals, stems: set[str], sources: set[str]) -> str:
    return (
        next(iter(sources)) if len(sources) == 1 else "+".join(n for n in estimates if n in stems)
    )


def _sum(signals: Mapping[str, np.ndarray], names: Iterable[str]) -> np.ndarray:
    return np.sum([signals[name] for name in signals if name in set(names)], axis=0)
