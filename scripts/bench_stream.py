"""Streams: how fast they are, how late, and what lateness is worth.

    python scripts/bench_stream.py [--seconds 5] [--only speed quality]

``speed``: real-time factor (processor time of one thread per second of sound at 44.1 kHz; below 1
keeps up) and the busiest blocks: the processor time that one in a hundred takes more than, in
per cent of its duration. Made-up templates and noise, two stems: nothing depends on the content.
The last rows are the peer: the recipe of FluCoMa's NMFFilter, a plug-in for Max, Pd and
SuperCollider that cannot be installed for Python, as a plain loop in NumPy. It is mono, so each
channel is worked off on its own; every frame is fitted from random activations.

``quality``: mean SI-SDR of the stems of the example recordings in dB, templates learnt from the
first half of each true stem, and the second half taken apart; the peer's recipe with the same
templates, grouped like ours; and the same templates fitted to the whole with 300 updates.
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import dataclass
from pathlib import Path

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np  # noqa: E402 - reads the number of threads when it is imported

import audiosep  # noqa: E402
from audiosep.masks import wiener_masks  # noqa: E402
from audiosep.nmf import factorize  # noqa: E402
from audiosep.streaming import Stream  # noqa: E402

SR = 44_100
EXAMPLES = Path(__file__).resolve().parent.parent / "examples" / "audio"
RECORDINGS = ("drum_loop", "bach_trio", "song", "speech_printer")
TEMPLATES = 20
WINDOWS_S = (0.02, 0.046, 0.093)
BLOCKS = (64, 512, 4096)
QUALITIES = (
    (0.012, None),
    (0.046, 0.012),
    (0.023, None),
    (0.046, 0.023),
    (0.093, 0.023),
    (0.046, None),
    (0.093, None),
)
"""Window and latency, by latency."""


def main() -> None:
    """Measure and print tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--seconds", type=float, default=5.0, help="of sound, for each row")
    parser.add_argument("--only", nargs="+", choices=TABLES, default=list(TABLES))
    arguments = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors", flush=True)
    for name in arguments.only:
        TABLES[name](arguments.seconds)


def dictionary(n_components: int) -> audiosep.Dictionary:
    """Made-up templates of two stems."""
    rng = np.random.default_rng(0)
    return audiosep.Dictionary(
        templates=np.asarray(rng.random((1025, n_components)) ** 4, dtype=np.float32),
        frequencies_hz=np.linspace(0.0, SR / 2, 1025),
        labels=tuple("ab"[2 * k // n_components] for k in range(n_components)),
        provenance="made up",
    )


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a sound took."""

    factor: float
    busiest: float


def cost_of(feed, sound: np.ndarray, block: int) -> Cost:
    """Processor time of feeding a sound, the first tenth of which only warms up."""
    feed(sound[:, : sound.shape[1] // 10])
    taken = []
    for at in range(0, sound.shape[1] - block + 1, block):
        piece = sound[:, at : at + block]
        began = time.process_time()
        feed(piece)
        taken.append(time.process_time() - began)
    duration = block / SR
    return Cost(
        factor=sum(taken) / (len(taken) * duration),
        busiest=float(np.percentile(taken, 99)) / duration,
    )


def speed(seconds: float) -> None:
    """Real-time factors."""
    rng = np.random.default_rng(1)
    noise = rng.uniform(-0.1, 0.1, (2, round(seconds * SR))).astype(np.float32)
    print("\n| templates | channels | window | latency | block | real-time factor | busiest |")
    print("|---:|---:|---:|---:|---:|---:|---:|")
    cases = [(w, None) for w in WINDOWS_S] + [(0.046, 0.02)]
    for n_components in (20, 60):
        for n_channels in (1, 2):
            for window_s, latency_s in cases:
                for block in BLOCKS:
                    stream = Stream(
                        dictionary(n_components), SR, window_s=window_s, latency_s=latency_s
                    )
                    cost = cost_of(stream.feed, noise[:n_channels], block)
                    row(n_components, n_channels, window_s, stream.latency, block, cost)
    for n_components in (20, 60):
        for n_channels in (1, 2):
            for window_s in WINDOWS_S:
                n_fft = audiosep.transform.frame_length(SR, window_s)
                peers = [Peer([dictionary(n_components)], SR, n_fft) for _ in range(n_channels)]

                def feed(block: np.ndarray, peers: list[Peer] = peers) -> None:
                    for peer, samples in zip(peers, block, strict=True):
                        peer.feed(samples)

                cost = cost_of(feed, noise[:n_channels], 4096)
                row(n_components, n_channels, window_s, n_fft, 4096, cost, " (peer)")


def row(
    n_components: int,
    n_channels: int,
    window_s: float,
    latency: int,
    block: int,
    cost: Cost,
    note: str = "",
) -> None:
    print(
        f"| {n_components}{note} | {n_channels} | {1e3 * window_s:.0f} ms | "
        f"{1e3 * latency / SR:.1f} ms | {block} | {cost.factor:.3f} | {cost.busiest:.0%} |",
        flush=True,
    )


class Peer:
    """One channel by the peer's recipe: random start, ten updates, ratio mask, for each frame."""

    def __init__(self, dictionaries: list[audiosep.Dictionary], sr: int, n_fft: int) -> None:
        W = np.concatenate([d.on_bins(sr, n_fft) for d in dictionaries], axis=1)
        self.W = W.astype(np.float64)
        labels = [label for d in dictionaries for label in d.labels]
        self.names = tuple(dict.fromkeys(labels))
        self.groups = [np.array([label == name for label in labels]) for name in self.names]
        self.hop = n_fft // 4
        self.window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)
        self.heard = np.zeros(n_fft)
        self.summed = np.zeros((len(self.names), n_fft))
        self.waiting = np.zeros(0)
        self.rng = np.random.default_rng(0)

    def feed(self, samples: np.ndarray) -> np.ndarray:
        """Next samples in; stems of all hops that are complete out."""
        self.waiting = np.concatenate([self.waiting, samples])
        hop, done = self.hop, []
        while len(self.waiting) >= hop:
            self.heard = np.concatenate([self.heard[hop:], self.waiting[:hop]])
            self.waiting = self.waiting[hop:]
            frame = np.fft.rfft(self.heard * self.window)
            v = np.maximum(np.abs(frame), 1e-16)
            h = self.rng.random(self.W.shape[1])
            for _ in range(10):
                model = np.maximum(self.W @ h, 1e-16)
                h = h * (self.W.T @ (v / model)) / self.W.sum(axis=0)
            model = np.maximum(self.W @ h, 1e-16)
            for index, group in enumerate(self.groups):
                share = (self.W[:, group] @ h[group]) / model
                # Squared windows of this kind add up to one and a half.
                self.summed[index] += np.fft.irfft(frame * share) * self.window / 1.5
            done.append(self.summed[:, :hop].copy())
            self.summed = np.concatenate([self.summed[:, hop:], 0 * done[-1]], axis=1)
        return np.concatenate([np.zeros((len(self.names), 0)), *done], axis=1)


def quality(seconds: float) -> None:
    """What the stems of the examples are worth."""
    del seconds
    print("\n| how | window | latency | " + " | ".join(RECORDINGS) + " | mean |")
    print("|---|---:|---:|" + "---:|" * (1 + len(RECORDINGS)))
    for window_s, latency_s in QUALITIES:
        show("audiosep", window_s, latency_s, streamed)
    show("audiosep, fast", 0.046, None, streamed_fast)
    show("whole at once", 0.046, None, at_once)
    show("peer's recipe", 0.046, None, by_peer)


def show(how: str, window_s: float, latency_s: float | None, separate) -> None:
    """One row of the second table."""
    scores, late = [], []
    for name in RECORDINGS:
        halves, sr = halves_of(name)
        known = [
            audiosep.learn(
                [audiosep.Audio(samples=first, sr=sr)],
                label=label,
                n_components=TEMPLATES,
                window_s=window_s,
            )
            for label, (first, _) in halves.items()
        ]
        sound = np.sum([second for _, second in halves.values()], axis=0, dtype=np.float32)
        stems, delay_s = separate(known, sound, sr, window_s, latency_s)
        if delay_s is not None:
            late.append(round(1e3 * delay_s))
        each = [audiosep.si_sdr(second, stems[label]) for label, (_, second) in halves.items()]
        scores.append(float(np.mean(each)))
    cells = " | ".join(f"{score:.1f}" for score in [*scores, float(np.mean(scores))])
    delay = f"{min(late)}-{max(late)} ms" if late else "-"
    print(f"| {how} | {1e3 * window_s:.0f} ms | {delay} | {cells} |", flush=True)


def halves_of(name: str) -> tuple[dict[str, tuple[np.ndarray, np.ndarray]], int]:
    """The true stems of an example recording, each in two halves, and their sample rate."""
    found, sr = {}, 0
    for path in sorted((EXAMPLES / name).glob("ref_*.flac")):
        audio = audiosep.read(path)
        half, sr = audio.n_samples // 2, audio.sr
        found[path.stem[4:]] = (audio.samples[:, :half].copy(), audio.samples[:, half:].copy())
    return found, sr


def streamed(known, sound, sr, window_s, latency_s, *, train=True):
    stream = Stream(known, sr, [sound], window_s=window_s, latency_s=latency_s, train=train)
    parts = list(stream)
    stems = {name: np.concatenate([p[name] for p in parts], axis=1) for name in stream.names}
    return stems, stream.latency_s


def streamed_fast(known, sound, sr, window_s, latency_s):
    return streamed(known, sound, sr, window_s, latency_s, train=False)


def by_peer(known, sound, sr, window_s, latency_s):
    del latency_s
    n_fft = audiosep.transform.frame_length(sr, window_s)
    late = n_fft - n_fft // 4
    channels = []
    for samples in sound:
        peer = Peer(known, sr, n_fft)
        stems = peer.feed(np.concatenate([samples, np.zeros(2 * n_fft)]))
        channels.append(stems[:, late : late + len(samples)])
    stems = np.stack(channels, axis=1)
    return dict(zip(peer.names, stems, strict=True)), n_fft / sr


def at_once(known, sound, sr, window_s, latency_s):
    del latency_s
    spectrogram = audiosep.stft(audiosep.Audio(samples=sound, sr=sr), window_s=window_s)
    W = [d.on_bins(sr, spectrogram.n_fft) for d in known]
    fitted = factorize(
        spectrogram.magnitude(),
        templates=np.concatenate(W, axis=1),
        fixed_templates=True,
        max_iter=300,
        tol=0.0,
    )
    parts = np.split(fitted.activations, np.cumsum([w.shape[1] for w in W])[:-1])
    models = np.stack([w @ h for w, h in zip(W, parts, strict=True)])[:, np.newaxis]
    masks = wiener_masks(np.asarray(models, dtype=np.float32))
    stems = [audiosep.istft(spectrogram, mask=mask).samples for mask in masks]
    return {d.labels[0]: stem for d, stem in zip(known, stems, strict=True)}, None


TABLES = {"speed": speed, "quality": quality}

if __name__ == "__main__":
    main()
