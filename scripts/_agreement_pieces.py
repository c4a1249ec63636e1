"""Recordings of some minutes, joined from the short ones of a corpus, with their true sources."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from _quality_corpus import TASKS, Item, Signals, find_items, load_item
from _quality_told import find_told, load_told

from audiosep.chunks import joined

SECONDS = (145.0, 300.0)
"""Shortest and longest piece."""

SR, CHANNELS = 44_100, 2
"""Of pieces of music: what is joined has to be alike."""

LEVEL_DB = 2.0
"""Standard deviation of the levels of what is joined."""

JOINED = {
    "stems": "stems",
    "four-stems": "four-stems",
    "vocals": "vocals",
    "drums": "drums",
    "harmonic-percussive": "harmonic-percussive",
    "components": "vocals",
    "speech": "speech-alone",
    "stereo": "stereo",
}
"""Presets, and the tasks of the quality benchmark whose items make up their pieces."""

REPEATED = {"score": "score", "by-example": "by-example"}
"""The same where a piece is one item again and again, as it is told of that."""

PRESETS = (*JOINED, *REPEATED)
PLACES = 4


@dataclass(frozen=True, kw_only=True)
class LongPiece:
    """A recording of some minutes.

    Parameters
    ----------
    name : str
        What it is made of.
    sr : int
        Its rate in Hz.
    references : dict of str to np.ndarray [shape=(n_channels, n_samples)]
        Its sources; it is their sum.
    told : dict
        Arguments of ``audiosep.Separator``.
    """

    name: str
    sr: int
    references: Signals
    told: dict[str, object] = field(default_factory=dict)

    @property
    def mixture(self) -> np.ndarray:
        """Samples, (n_channels, n_samples)."""
        return np.sum(list(self.references.values()), axis=0, dtype=np.float32)


def pieces_of(preset: str, arguments: argparse.Namespace) -> list[LongPiece]:
    """Make recordings for a preset: the same for the same --seed, --pieces and --seconds."""
    rng = np.random.default_rng([arguments.seed, PRESETS.index(preset)])
    corpus, count, seconds = arguments.corpus, arguments.pieces, arguments.seconds
    if preset in REPEATED:
        found = find_told(corpus, [REPEATED[preset]], "*")
        chosen = rng.permutation(len(found))[:count]
        return [repeated(load_told(*found[index], short=False), rng, seconds) for index in chosen]
    task = JOINED[preset]
    if task in TASKS:
        items = [load_item(*one, short=False) for one in find_items(corpus, [task], "*")]
    else:
        items = [load_told(*one, short=False) for one in find_told(corpus, [task], "*")]
    if task == "stereo":
        items = [at_places(item) for item in items if len(item.references) == PLACES]
    alike = items[0].sr, len(items[0].mixture)
    if {(item.sr, len(item.mixture)) for item in items} != {alike}:
        alike = SR, CHANNELS
    items = [resampled(item, *alike) for item in items]
    return [joined_piece(items, rng, seconds) for _ in range(count)]


def at_places(item: Item) -> Item:
    """Call sources by where they are."""
    named = {f"place {n + 1}": signal for n, signal in enumerate(item.references.values())}
    return replace(item, references=named)


def resampled(item: Item, sr: int, n_channels: int) -> Item:
    """Bring an item to a rate and a number of channels."""
    import librosa

    def brought(signal: np.ndarray) -> np.ndarray:
        if item.sr != sr:
            signal = librosa.resample(signal, orig_sr=item.sr, target_sr=sr, res_type="soxr_hq")
        if len(signal) < n_channels:
            signal = np.repeat(signal, n_channels, axis=0)
        return np.ascontiguousarray(signal, dtype=np.float32)

    references = {name: brought(signal) for name, signal in item.references.items()}
    return replace(item, sr=sr, references=references, mixture=brought(item.mixture))


def joined_piece(
    items: Sequence[Item], rng: np.random.Generator, seconds: Sequence[float]
) -> LongPiece:
    """Join items in a random order, again and again, each time at another level."""
    sr = items[0].sr
    order: list[int] = []
    wanted, length = rng.uniform(*seconds) * sr, 0
    turn: list[int] = []
    while length < wanted:
        turn = turn or rng.permutation(len(items)).tolist()
        order.append(turn.pop())
        length += items[order[-1]].mixture.shape[1]
    names = list(dict.fromkeys(name for index in order for name in items[index].references))
    return LongPiece(
        name=", ".join(items[index].name for index in order),
        sr=sr,
        references=put_together([items[index] for index in order], names, rng),
    )


def repeated(item: Item, rng: np.random.Generator, seconds: Sequence[float]) -> LongPiece:
    """Repeat an item, and what is told of it, each time at another level."""
    n_times = round(rng.uniform(*seconds) * item.sr / item.mixture.shape[1])
    told: dict[str, object] = dict(item.evidence.arguments()) if item.evidence else {}
    if told.get("score") is not None:
        told["score"] = score_again(told["score"], n_times, item.mixture.shape[1] / item.sr)
    return LongPiece(
        name=f"{item.name} {n_times} times",
        sr=item.sr,
        references=put_together([item] * n_times, list(item.references), rng),
        told={name: value for name, value in told.items() if value is not None},
    )


def score_again(score: object, n_times: int, length_s: float) -> object:
    """A score several times, one after the other."""
    from audiosep.scores import Score

    assert isinstance(score, Score)
    tracks = [
        replace(
            track,
            notes=tuple(
                replace(
                    note,
                    start_s=note.start_s + turn * length_s,
                    end_s=note.end_s + turn * length_s,
                )
                for turn in range(n_times)
                for note in track.notes
            ),
        )
        for track in score.tracks
    ]
    return replace(score, tracks=tuple(tracks))


def put_together(items: Sequence[Item], names: Sequence[str], rng: np.random.Generator) -> Signals:
    """Sources of items one after the other; those that an item lacks are silent there."""
    gains = 10 ** (LEVEL_DB * rng.standard_normal(len(items)) / 20)
    silent: Callable[[Item], np.ndarray] = lambda item: np.zeros_like(item.mixture)  # noqa: E731
    return {
        name: joined(
            [
                (gain * item.references.get(name, silent(item))).astype(np.float32)
                for gain, item in zip(gains, items, strict=True)
            ],
            items[0].sr,
        )
        for name in names
    }
