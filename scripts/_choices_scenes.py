"""Recordings with known sources, and how well a factorization of them can separate.

Components are given to sources with the true sources in view ("oracle grouping"), so that what is
compared is the factorization alone, and no way of grouping.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from bench_quality import Signals, find_items, load_item, si_sdr

KINDS = ("drums", "pitched", "multitrack", "singing", "speech_noise")
PER_KIND = 3
SECONDS = 10
JOINED_SECONDS = 60
HIGHEST_SR = 24000
WINDOW_S = 0.046
TINY = 1e-16


@dataclass(frozen=True, eq=False)
class Scene:
    """A recording, its transform, and its sources."""

    kind: str
    name: str
    sr: int
    mixture: np.ndarray
    """(channels, samples), as the references."""
    references: Signals
    spectrogram: object
    V: np.ndarray
    """Magnitudes, mean over the channels (bins, frames); the transposed is contiguous."""
    shares: np.ndarray
    """Oracle ratio masks (sources, channels, bins, frames)."""
    undone: np.ndarray
    """SI-SDR of the mixture for each source."""


def make_scene(kind: str, name: str, sr: int, mixture: np.ndarray, references: Signals) -> Scene:
    import audiosep
    from audiosep.transform import frame_length

    n_fft = frame_length(sr, WINDOW_S)

    def transform(samples):
        return audiosep.stft(
            audiosep.Audio(samples=samples, sr=sr), n_fft=n_fft, hop_length=n_fft // 4
        )

    spectrogram = transform(mixture)
    sources = np.array([np.abs(transform(r).values) for r in references.values()])
    magnitude = np.abs(spectrogram.values).mean(axis=0).astype(np.float32)
    return Scene(
        kind=kind,
        name=name,
        sr=sr,
        mixture=mixture,
        references=references,
        spectrogram=spectrogram,
        V=np.ascontiguousarray(magnitude.T).T,
        shares=(sources / (sources.sum(axis=0) + TINY)).astype(np.float32),
        undone=np.array([si_sdr(r, mixture) for r in references.values()]),
    )


def lowered(samples: np.ndarray, sr: int) -> tuple[np.ndarray, int]:
    """Half the sample rate where it is high."""
    from scipy import signal

    if sr > HIGHEST_SR:
        samples, sr = signal.resample_poly(samples, 1, 2, axis=-1), sr // 2
    return samples.astype(np.float32), sr


def load_scene(path: Path, *, mono: bool = True, seconds: float = SECONDS) -> Scene:
    """Beginning of an item; sources that are silent there are left out."""
    item = load_item("components", path, short=False)

    def prepared(samples):
        kept = samples.mean(axis=0, keepdims=True) if mono else samples
        return lowered(kept[:, : int(seconds * item.sr)], item.sr)[0]

    references = {name: prepared(signal) for name, signal in item.references.items()}
    mixture = prepared(item.mixture)
    floor = 1e-3 * np.linalg.norm(mixture)
    references = {name: r for name, r in references.items() if np.linalg.norm(r) > floor}
    sr = lowered(mixture[:, :1], item.sr)[1]
    return make_scene(item.folder, item.name, sr, mixture, references)


def item_paths(corpus: Path, kind: str) -> list[Path]:
    return [p for _, p in find_items(corpus, ["components"], "*") if p.parent.name == kind]


def spread(paths: list[Path], n: int) -> list[Path]:
    """First, last and evenly between, in the order of their names: nothing is picked."""
    if len(paths) <= n:
        return paths
    return [paths[round(i * (len(paths) - 1) / max(n - 1, 1))] for i in range(n)]


def load_scenes(corpus: Path, *, per_kind: int = PER_KIND, seconds: float = SECONDS) -> list[Scene]:
    return [
        load_scene(path, seconds=seconds)
        for kind in KINDS
        for path in spread(item_paths(corpus, kind), per_kind)
    ]


def load_joined(corpus: Path, *, seconds: float = JOINED_SECONDS) -> list[Scene]:
    """Long recordings: items of a kind with the same sources, one after the other.

    Of each kind the items of the most frequent sample rate. Multitracks become drums and other;
    pitched items have no sources in common.
    """
    scenes = []
    for kind in KINDS:
        parts = []
        for path in item_paths(corpus, kind):
            scene = load_scene(path, seconds=seconds)
            if kind == "multitrack":
                drums = scene.references.get("drums")
                if drums is None:
                    continue
                named = {"drums": drums, "other": scene.mixture - drums}
            else:
                named = scene.references
            parts.append(((scene.sr, tuple(sorted(named))), scene.mixture, named))
        if not parts:
            continue
        key, count = Counter(part[0] for part in parts).most_common(1)[0]
        if count < 2:
            continue
        sr, names = key
        chosen = [part for part in parts if part[0] == key]
        n = int(seconds * sr)
        mixture = np.concatenate([m for _, m, _ in chosen], axis=1)[:, :n]
        references = {
            name: np.concatenate([named[name] for _, _, named in chosen], axis=1)[:, :n]
            for name in names
        }
        scenes.append(make_scene(kind, f"{kind}, joined", sr, mixture, references))
    return scenes


# --- separation ----------------------------------------------------------------------------------


def owners(
    scene: Scene,
    W: np.ndarray,
    H: np.ndarray,
    Q: np.ndarray | None = None,
    part_of: np.ndarray | None = None,
) -> np.ndarray:
    """Source of each component, with the true sources in view; -1 is no source's.

    What counts is the share of a component that lies where the oracle ratio mask of a source is.
    Each source first gets one component (the assignment with the greatest sum of shares), so that
    none is left empty; every other component goes where most of it is.
    """
    from scipy.optimize import linear_sum_assignment

    table = np.zeros((H.shape[0], len(scene.shares)))
    for source, masks in enumerate(scene.shares):
        for channel, mask in enumerate(masks):
            gain = 1.0 if Q is None else Q[channel]
            table[:, source] += gain * np.einsum("fk,fk->k", W, mask @ H.T)
    if part_of is not None:
        table = np.array([table[part_of == k].sum(axis=0) for k in range(part_of.max() + 1)])
    table /= table.sum(axis=1, keepdims=True) + TINY
    owner = table.argmax(axis=1)
    chosen, sources = linear_sum_assignment(table, maximize=True)
    owner[chosen] = sources
    return owner if part_of is None else owner[part_of]


def improvement(
    scene: Scene,
    W: np.ndarray,
    H: np.ndarray,
    *,
    Q: np.ndarray | None = None,
    part_of: np.ndarray | None = None,
    power: float = 1.0,
) -> float:
    """SI-SDR improvement over the mixture in dB, mean over the sources, with oracle grouping.

    Masks are the sources' shares of the model, ``M_s^power / sum M^power``. A source for which
    there are too few components counts 0.

    Parameters
    ----------
    scene : Scene
        What was factorized.
    W, H : np.ndarray [shape=(bins, parts)], [shape=(parts, frames)]
        Factors.
    Q : np.ndarray [shape=(channels, parts)], optional
        Gain of each part in each channel.
    part_of : np.ndarray of int [shape=(parts,)], optional
        Component that each part belongs to, counted from 0.
    power : float
        Exponent of the models.
    """
    owner = owners(scene, W, H, Q, part_of)
    gains = np.ones((len(scene.mixture), len(H))) if Q is None else Q
    models = np.array(
        [
            [(W[:, owner == s] * q[owner == s]) @ H[owner == s] for q in gains]
            for s in range(len(scene.shares))
        ]
    )
    models = (models / (models.max() + TINY)) ** power + TINY
    return mean_improvement(scene, models / models.sum(axis=0), np.isin(range(len(models)), owner))


def mean_improvement(scene: Scene, masks: np.ndarray, found: np.ndarray | None = None) -> float:
    """Mean over the sources of what masks (sources, channels, bins, frames) gain."""
    import audiosep

    gains = []
    for s, (mask, reference) in enumerate(zip(masks, scene.references.values(), strict=True)):
        if found is not None and not found[s]:
            gains.append(0.0)
            continue
        estimate = audiosep.istft(scene.spectrogram, mask=mask.astype(np.float32)).samples
        gains.append(si_sdr(reference, estimate) - scene.undone[s])
    return float(np.mean(gains))


def oracle_improvement(scene: Scene) -> float:
    return mean_improvement(scene, scene.shares)
