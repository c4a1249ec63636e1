"""Tasks of the quality benchmark in which something is told: examples, a score, places.

    task            what is told                                        items
    by-example      train_<source>.flac of each source; what has none   speech in noise, two
                    is the rest                                         talkers, environment, bio
    kit             train_<drum>.flac, single strokes                   drum kits
    kit-room        the same strokes, dry; the kit in a room, every     drum kits
                    drum in the others' microphones
    speech          train_noise.flac                                    speech in noise
    speech-alone    nothing                                             speech in noise
    score           score.mid                                           rendered scores
    score-jitter    its notes moved by 0.3 s (standard deviation)       "
    score-offset    0.5 s late                                          "
    score-drift     3 % slower                                          "
    stereo          nothing; four sources at places of their own        panned here, from other
    stereo-shared   their number; two of the four in the middle              items' references
    stereo-room     as stereo, in a room of 0.25 s                      "

Rooms are decaying noise behind a direct sound, another for each source and channel. All random
numbers have fixed seeds.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
from _quality_corpus import Item, Signals, load_item, read, rms

TOLD_TASKS = {
    "by-example": ("speech_noise", "speech_speech", "environment", "bio"),
    "kit": ("drums",),
    "kit-room": ("drums",),
    "speech": ("speech_noise",),
    "speech-alone": ("speech_noise",),
    "score": ("pitched",),
    "score-jitter": ("pitched",),
    "score-offset": ("pitched",),
    "score-drift": ("pitched",),
    "stereo": ("stereo", "pitched", "multitrack"),
    "stereo-shared": ("pitched", "multitrack"),
    "stereo-room": ("pitched", "multitrack"),
}
"""Tasks and the folders of the corpus that they are measured on."""

PRESETS = {
    "by-example": "by-example",
    "kit": "by-example",
    "kit-room": "by-example",
    "speech": "speech",
    "speech-alone": "speech",
    **dict.fromkeys(("score", "score-jitter", "score-offset", "score-drift"), "score"),
    **dict.fromkeys(("stereo", "stereo-shared", "stereo-room"), "stereo"),
}

JITTER_S, OFFSET_S, DRIFT = 0.3, 0.5, 1.03
BLEED_DB = -24.0
ROOM_S = 0.25
ROOM_SHARE = 0.3
PLACES = {"stereo": (0.5, 0.25, 0.8, 0.12), "stereo-shared": (0.5, 0.5, 0.75, 0.3)}
QUIETEST_DB = -14.0


def suits_told(task: str, path: Path) -> bool:
    """Whether an item has what a task needs."""
    meta = json.loads((path / "meta.json").read_text())
    files = {file.name for file in path.glob("*")}
    if task in ("by-example", "kit", "kit-room"):
        return any(name.startswith("train_") for name in files)
    if task in ("speech", "speech-alone"):
        return "train_noise.flac" in files
    if PRESETS[task] == "score":
        return "score.mid" in files
    if task == "stereo" and path.parent.name == "stereo":
        return True
    references = [read(path / file)[0] for file in list(meta["sources"].values())[:4]]
    mixture = np.sum(references, axis=0)
    levels = [20 * np.log10(max(rms(r), 1e-12) / max(rms(mixture), 1e-12)) for r in references]
    return len(references) >= 3 and min(levels) > QUIETEST_DB


def find_told(corpus: Path, tasks: Iterable[str], pattern: str) -> list[tuple[str, Path]]:
    """Return (task, folder of the item) for every item that matches and has what it needs."""
    return [
        (task, meta.parent)
        for task in tasks
        for folder in TOLD_TASKS[task]
        for meta in sorted(corpus.glob(f"{folder}/*/meta.json"))
        if fnmatch(meta.parent.name, pattern) and suits_told(task, meta.parent)
    ]


@dataclass(frozen=True)
class Evidence:
    """What a separation is told, as arguments of ``audiosep.Separator``, and the files of it."""

    examples: dict[str, Path] | None = None
    score: object | None = None

    def arguments(self) -> dict[str, object]:
        return {"examples": self.examples, "score": self.score}


def load_told(task: str, path: Path, *, short: bool) -> Item:
    """Read an item of a told task, or make it, with its evidence."""
    item = load_item(task, path, short=short)
    if task in ("by-example", "kit", "kit-room"):
        item.evidence = Evidence(examples=examples_of(path, list(item.references)))
    if task == "speech":
        item.evidence = Evidence(examples={"noise": path / "train_noise.flac"})
    if PRESETS[task] == "score":
        item.evidence = Evidence(score=score_of(task, path / "score.mid"))
    if task == "kit-room":
        return with_references(item, in_a_room_with_bleed(item))
    if PRESETS[task] == "stereo" and path.parent.name != "stereo":
        return with_references(item, panned(task, item))
    return item


def with_references(item: Item, references: Signals) -> Item:
    return replace(item, references=references, mixture=np.sum(list(references.values()), axis=0))


def examples_of(path: Path, sources: list[str]) -> dict[str, Path]:
    """Training recordings by source; of a talker, those of the same one."""
    found = {}
    for source in sources:
        for name in (f"train_{source}.flac", f"train_{source}_same.flac"):
            if (path / name).is_file():
                found[source] = path / name
    return found


def score_of(task: str, path: Path) -> object:
    """Score of an item, told wrongly as the task says."""
    from audiosep.scores import read_score

    score = read_score(path)
    rng = np.random.default_rng(1)
    moved: dict[str, Callable] = {
        "score": lambda s, e: (s, e),
        "score-jitter": lambda s, e: moved_by(s, e, JITTER_S * rng.standard_normal()),
        "score-offset": lambda s, e: (s + OFFSET_S, e + OFFSET_S),
        "score-drift": lambda s, e: (s * DRIFT, e * DRIFT),
    }
    tracks = []
    for track in score.tracks:
        notes = []
        for note in track.notes:
            start, end = moved[task](note.start_s, note.end_s)
            notes.append(replace(note, start_s=start, end_s=end))
        tracks.append(replace(track, notes=tuple(notes)))
    return replace(score, tracks=tuple(tracks))


def moved_by(start: float, end: float, shift: float) -> tuple[float, float]:
    """A note somewhere else; not before the beginning."""
    first = max(0.0, start + shift)
    return first, first + end - start


def room(rng: np.random.Generator, sr: int) -> np.ndarray:
    """Direct sound, then noise that has fallen by 60 dB after ROOM_S."""
    t = np.arange(int(ROOM_S * sr)) / sr
    tail = rng.standard_normal(t.size) * 10 ** (-3 * t / ROOM_S)
    tail[: int(0.002 * sr)] = 0.0
    tail *= ROOM_SHARE / max(float(np.linalg.norm(tail)), 1e-12)
    tail[0] = 1.0
    return tail


def convolved(signal: np.ndarray, response: np.ndarray) -> np.ndarray:
    from scipy.signal import fftconvolve

    return fftconvolve(signal, response)[: signal.size].astype(np.float32)


def in_a_room_with_bleed(item: Item) -> Signals:
    """Every drum in a room, and a little of it, later and duller, in all other microphones."""
    rng = np.random.default_rng(2)
    references = {}
    for name, signal in item.references.items():
        wet = np.stack([convolved(row, room(rng, item.sr)) for row in signal])
        late = np.roll(wet, int(0.004 * item.sr), axis=1)
        late[:, : int(0.004 * item.sr)] = 0.0
        bleed = np.stack([convolved(row, room(rng, item.sr)) for row in late])
        n_others = len(item.references) - 1
        references[name] = wet + n_others * np.float32(10 ** (BLEED_DB / 20)) * bleed
    return references


def panned(task: str, item: Item) -> Signals:
    """Up to four sources, folded to mono, at places from left (0) to right (1)."""
    places = PLACES.get(task, PLACES["stereo"])
    rng = np.random.default_rng(3)
    references = {}
    for place, (name, signal) in zip(places, list(item.references.items())[:4], strict=False):
        mono = signal.mean(axis=0)
        gains = (np.cos(place * np.pi / 2), np.sin(place * np.pi / 2))
        rows = [np.float32(gain) * mono for gain in gains]
        if task == "stereo-room":
            rows = [convolved(row, room(rng, item.sr)) for row in rows]
        references[name] = np.stack(rows)
    return references
