"""Compare ways of combining a voice with a band: who comes first, and what is averaged.

    python scripts/bench_orders.py CORPUS [--items 'eif_lithium_*']

On the multitracks of a corpus (see bench_quality.py) that have a voice; SI-SDR improvement over the
mixture, mean of the stems, in dB. The first row is what the preset four-stems does; the last knows
the true voice, and says how much a better voice would be worth. Variants with two voices take twice
the time.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
from _quality_corpus import find_items, load_item, si_sdr

import audiosep
from audiosep.methods import MethodSettings
from audiosep.methods._stems_ensemble import estimate_masks
from audiosep.methods.vocals import vocals_estimate
from audiosep.presets import load_preset
from audiosep.render import Analysis, render
from audiosep.types import SourceModels, Spectrogram, ignore_progress

NAMES = ("vocals", "drums", "bass", "other")
TINY = 1e-9


class Song:
    """A mixture and what is found in it, each once."""

    def __init__(self, item) -> None:
        self.item = item
        self.mixture = audiosep.Audio(samples=item.mixture, sr=item.sr)
        window_s = load_preset("four-stems").window_s
        self.spectrogram = audiosep.stft(self.mixture, window_s=window_s)

    def part(self, share: np.ndarray) -> Spectrogram:
        """Return a share of the mixture."""
        return replace(self.spectrogram, values=self.spectrogram.values * share)

    def voice_of(self, share: np.ndarray) -> np.ndarray:
        """Share of the voice that is found in a part of the mixture."""
        found = vocals_estimate(self.part(share), MethodSettings(), ignore_progress)
        return found.mask * share

    def band_without(self, voice: np.ndarray) -> np.ndarray:
        """Shares of drums, bass and other in what a voice leaves, (3, bins, frames)."""
        found = estimate_masks(
            self.spectrogram,
            MethodSettings(),
            ignore_progress,
            taken=lambda first, last: voice[:, first:last].T,
        )
        return found.bands.frames(found.masks, 0, found.masks.shape[-1])[:, 0].swapaxes(1, 2)

    @cached_property
    def voice(self) -> np.ndarray:
        """Share of the voice in the mixture."""
        return self.voice_of(np.ones(self.spectrogram.values.shape[1:], np.float32))

    @cached_property
    def band(self) -> np.ndarray:
        """Shares of drums, bass and other in the mixture, voice and all."""
        return self.band_without(np.zeros(self.spectrogram.values.shape[1:], np.float32))

    @cached_property
    def voice_in_other(self) -> np.ndarray:
        """Share of the voice that is found in *other* of the mixture."""
        return self.voice_of(self.band[2])

    @cached_property
    def true_voice(self) -> np.ndarray:
        """Oracle ratio mask of the voice."""
        window_s = load_preset("four-stems").window_s
        parts = {
            name: audiosep.stft(
                audiosep.Audio(samples=samples, sr=self.item.sr), window_s=window_s
            ).magnitude()
            for name, samples in self.item.references.items()
        }
        share: np.ndarray = parts["vocals"] / (sum(parts.values()) + TINY)
        return share

    def improvement(self, voice: np.ndarray, band: np.ndarray) -> float:
        """SI-SDR improvement in dB, mean of the stems."""
        masks = np.concatenate([voice[np.newaxis], band * (1 - voice)])[:, np.newaxis]
        models = SourceModels(models=masks.astype(np.float32), names=NAMES)
        analysis = Analysis.of(self.spectrogram)
        stems = render(self.mixture, models, analysis, 1.0, 1, ignore_progress)
        estimates = {name: stem.samples for name, stem in stems.items()}
        if "bass" not in self.item.references:
            estimates["other"] = estimates["other"] + estimates.pop("bass")
        gains = [
            si_sdr(reference, estimates[name]) - si_sdr(reference, self.item.mixture)
            for name, reference in self.item.references.items()
        ]
        return float(np.mean(gains))


def with_voice(find: Callable[[Song], np.ndarray]) -> Callable[[Song], float]:
    def run(song: Song) -> float:
        voice = find(song)
        return song.improvement(voice, song.band_without(voice))

    return run


ORDERS: dict[str, Callable[[Song], float]] = {
    "voice first, then the band": with_voice(lambda s: s.voice),
    "voice and band both from the mixture": lambda s: s.improvement(s.voice, s.band),
    "band first, the voice from its other": with_voice(lambda s: s.voice_in_other),
    "voice from what the drums leave": with_voice(lambda s: s.voice_of(1 - s.band[0])),
    "voice x (1 - drums)": with_voice(lambda s: s.voice * (1 - s.band[0])),
    "voice x root of other": with_voice(lambda s: s.voice * np.sqrt(s.band[2])),
    "geometric mean of two voices": with_voice(lambda s: np.sqrt(s.voice * s.voice_in_other)),
    "mean of two voices": with_voice(lambda s: 0.5 * (s.voice + s.voice_in_other)),
    "the true voice": with_voice(lambda s: s.true_voice),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--items", default="*", help="pattern of item names")
    arguments = parser.parse_args()
    found = find_items(arguments.corpus, ["four-stems"], arguments.items)
    items = [load_item(task, path, short=False) for task, path in found]
    rows: dict[str, list[float]] = {name: [] for name in ORDERS}
    for item in items:
        song = Song(item)
        for name, run in ORDERS.items():
            rows[name].append(run(song))
    print(f"{'':38s}" + "".join(f"{item.name:>16s}" for item in items) + f"{'mean':>8s}")
    for name, values in rows.items():
        cells = "".join(f"{value:16.2f}" for value in values)
        print(f"{name:38s}{cells}{np.mean(values):8.2f}")


if __name__ == "__main__":
    main()
