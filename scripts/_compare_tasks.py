"""Tasks of the comparison: which items, and which method of which peer.

Tasks, items and what is told are those of ``bench_quality.py``; of each task the first and the last
items in the order of their names are taken, evenly spread where more are asked for, so that no
result chooses them.

    task             bench_quality        items of                  what is told
    two-microphones  stereo-room          speech_speech, their      how many
                                          first two sources panned
    score            score                pitched                   score.mid
    components       components           pitched                   how many

All others have the name that they have there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from _quality_corpus import TASKS as QUALITY_TASKS
from _quality_corpus import Item, find_items, load_item
from _quality_told import TOLD_TASKS, find_told, load_told, panned, with_references

LONGEST_S = 30.0


@dataclass(frozen=True, kw_only=True)
class Task:
    """What is to be taken apart, and by whom: pairs of peer and method, and how it is called."""

    name: str
    words: str
    quality: str
    folders: tuple[str, ...] = ()
    methods: tuple[tuple[str, str, str], ...]


NETWORKS = (
    ("demucs", "demucs", "htdemucs"),
    ("open-unmix", "umx", "umxl"),
    ("spleeter", "spleeter", "4 stems"),
)

TASKS: tuple[Task, ...] = (
    Task(
        name="harmonic-percussive",
        words="what sustains, what strikes",
        quality="harmonic-percussive",
        methods=(
            ("audiosep", "split:harmonic-percussive", "harmonic-percussive"),
            ("librosa", "librosa-hpss", "effects.hpss"),
            ("nussl", "nussl-hpss", "HPSS"),
            ("FluCoMa", "fluid-hpss", "fluid-hpss"),
        ),
    ),
    Task(
        name="drums",
        words="kick, snare, hi-hat",
        quality="drums",
        methods=(
            ("audiosep", "split:drums", "drums"),
            ("libnmfd", "libnmfd-nmfd", "NMFD"),
            ("nussl", "nussl-timbre", "TimbreClustering"),
            ("scikit-learn", "sklearn-timbre", "NMF, grouped by MFCC"),
        ),
    ),
    Task(
        name="vocals",
        words="voice, accompaniment",
        quality="vocals",
        methods=(
            ("audiosep", "split:vocals", "vocals"),
            ("librosa", "librosa-vocals", "gallery, vocal separation"),
            ("nussl", "nussl-repet-sim", "REPET-SIM"),
            ("nussl", "nussl-ft2d", "2DFT"),
            ("nussl", "nussl-rpca", "RPCA"),
            *NETWORKS,
        ),
    ),
    Task(
        name="four-stems",
        words="vocals, drums, bass, other",
        quality="four-stems",
        methods=(("audiosep", "split:four-stems", "four-stems"), *NETWORKS),
    ),
    Task(
        name="components",
        words="instruments, blind, their number told",
        quality="components",
        folders=("pitched",),
        methods=(
            ("audiosep", "split:components", "components"),
            ("nussl", "nussl-timbre", "TimbreClustering"),
            ("scikit-learn", "sklearn-timbre", "NMF, grouped by MFCC"),
            ("torchnmf", "torchnmf-timbre", "NMF, grouped by MFCC"),
            ("nimfa", "nimfa-timbre", "NMF, grouped by MFCC"),
        ),
    ),
    Task(
        name="score",
        words="instruments, with their score",
        quality="score",
        methods=(
            ("audiosep", "split:score", "score"),
            ("libnmfd", "libnmfd-score", "pitched NMF, as the score says"),
        ),
    ),
    Task(
        name="speech",
        words="a talker in noise, an example of the noise",
        quality="speech",
        methods=(
            ("audiosep", "split:speech", "speech"),
            ("noisereduce", "noisereduce-told", "stationary, noise given"),
        ),
    ),
    Task(
        name="by-example",
        words="two talkers, an example of each",
        quality="by-example",
        folders=("speech_speech",),
        methods=(
            ("audiosep", "split:by-example", "by-example"),
            ("scikit-learn", "sklearn-dictionaries", "NMF, fixed templates"),
        ),
    ),
    Task(
        name="stereo",
        words="up to four instruments by their place",
        quality="stereo",
        methods=(
            ("audiosep", "split:stereo", "stereo"),
            ("nussl", "nussl-duet", "DUET"),
            ("nussl", "nussl-projet", "PROJET"),
            ("pyroomacoustics", "room-fastmnmf2", "FastMNMF2"),
        ),
    ),
    Task(
        name="two-microphones",
        words="two talkers, two microphones, a room",
        quality="stereo-room",
        folders=("speech_speech",),
        methods=(
            ("audiosep", "split:stereo", "stereo"),
            ("pyroomacoustics", "room-auxiva", "AuxIVA"),
            ("pyroomacoustics", "room-ilrma", "ILRMA"),
            ("pyroomacoustics", "room-fastmnmf2", "FastMNMF2"),
            ("nussl", "nussl-duet", "DUET"),
        ),
    ),
)

BY_NAME = {task.name: task for task in TASKS}


def paths_of(task: Task, corpus: Path, most: int) -> list[Path]:
    """Folders of the items of a task, evenly spread over those that there are."""
    if task.name == "two-microphones":
        found = sorted(path.parent for path in corpus.glob("speech_speech/*/meta.json"))
    elif task.quality in QUALITY_TASKS:
        found = [path for _, path in find_items(corpus, [task.quality], "*")]
    else:
        found = [path for _, path in find_told(corpus, [task.quality], "*")]
    if task.folders:
        found = [path for path in found if path.parent.name in task.folders]
    if len(found) <= most:
        return found
    return [found[round(i)] for i in np.linspace(0, len(found) - 1, most)]


def load(task: Task, path: Path) -> Item:
    """Read an item, or make it; no longer than 30 s."""
    if task.name == "two-microphones":
        item = load_item(task.quality, path, short=False)
        two = dict(list(item.references.items())[:2])
        item = with_references(item, panned(task.quality, with_references(item, two)))
    elif task.quality in TOLD_TASKS:
        item = load_told(task.quality, path, short=False)
    else:
        item = load_item(task.quality, path, short=False)
    last = round(LONGEST_S * item.sr)
    if item.mixture.shape[1] <= last:
        return item
    return replace(
        item,
        mixture=item.mixture[:, :last],
        references={name: signal[:, :last] for name, signal in item.references.items()},
    )


def job_of(item: Item, path: Path, folder: Path) -> dict:
    """Write the mixture and say what a method is told."""
    import soundfile

    mixture = folder / f"{item.name}.wav"
    soundfile.write(mixture, item.mixture.T, item.sr, subtype="FLOAT")
    job = {
        "mixture": str(mixture),
        "n_sources": len(item.references),
        "sources": list(item.references),
    }
    if item.evidence is not None and item.evidence.examples:
        job["examples"] = {name: str(file) for name, file in item.evidence.examples.items()}
    if item.evidence is not None and item.evidence.score is not None:
        job["score"] = str(path / "score.mid")
        job["notes"] = {
            track.name: [[n.pitch, n.start_s, n.end_s - n.start_s] for n in track.notes]
            for track in item.evidence.score.tracks
        }
    return job
