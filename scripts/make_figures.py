"""The pictures of README and docs; needs ``pip install '.[plot]'``.

python scripts/make_figures.py [--out docs/images]
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import numpy as np
from _method_examples import METHODS
from matplotlib.figure import Figure
from PIL import Image

import audiosep
from audiosep.plots.factorizations import order_of
from audiosep.plots.grids import Steps, grid_of, label_frequencies, label_times
from audiosep.plots.levels import decibels, levels_of_array

ROOT = Path(__file__).parent.parent
AUDIO = ROOT / "examples" / "audio"
DEEPEST_DB = -70.0
SHADES = 128
COLOURS = ("#0072b2", "#e69f00", "#009e73")
"""Told apart by the colour-blind, too (Okabe and Ito, 2008)."""


def save(figure: Figure, path: Path, dpi: int) -> None:
    """Write a figure in few colours, which takes a third of the room."""
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=dpi)
    image = Image.open(out).convert("RGB")
    few = image.quantize(SHADES, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    few.save(path, optimize=True)
    print(path, path.stat().st_size)


def beside_each_other(result: audiosep.Separation) -> Figure:
    """Mixture and stems of a separation."""
    panels = {"mixture": result.mixture, **result.stems}
    loudest = float(audiosep.stft(result.mixture, window="hann").magnitude().max())
    figure = Figure(figsize=(11, 2.6), layout="constrained")
    axes = figure.subplots(1, len(panels), sharey=True)
    for ax, (name, audio) in zip(axes, panels.items(), strict=True):
        audiosep.plot_spectrogram(audio, ref=loudest, top_db=-DEEPEST_DB, ax=ax)
        ax.set_title(name)
        ax.set_ylabel("")
    axes[0].set_ylabel("Hz")
    return figure


def how_it_works() -> Figure:
    """A drum loop as three templates and activations, their masks, and what these let through."""
    loop = audiosep.read(AUDIO / "drum_loop" / "mixture.flac")
    spectrogram = audiosep.stft(loop)
    V = spectrogram.magnitude()
    found = audiosep.nmf.factorize(V, 3, seed=0)
    order = order_of(found.templates)
    W, H = found.templates[:, order], found.activations[order]
    parts = W.T[:, :, None] * H[:, None, :]
    masks = parts / np.maximum(parts.sum(axis=0), 1e-12)
    steps = Steps(bin_hz=spectrogram.bin_hz, frame_s=spectrogram.frame_s, duration=loop.duration)
    grid = grid_of(*V.shape, steps, "mel")
    loudest = float(V.max())

    figure = Figure(figsize=(11, 4.6), layout="constrained")
    places = figure.add_gridspec(3, 5, width_ratios=(1.5, 0.62, 1, 1, 1))
    whole = figure.add_subplot(places[:, 0])

    def draw(ax, values, low, high, cmap):
        ax.pcolormesh(grid.edges_s, grid.edges_hz, values, vmin=low, vmax=high, cmap=cmap)
        label_frequencies(ax, grid, label=False)
        label_times(ax, grid, label=False)

    def levels(values):
        return decibels(levels_of_array(values, grid), loudest, DEEPEST_DB)

    draw(whole, levels(V), DEEPEST_DB, 0, "magma")
    whole.set(title="mixture  V", xlabel="s", ylabel="Hz")
    rows = [[figure.add_subplot(places[row, column]) for column in range(1, 5)] for row in range(3)]
    # From top to bottom from high to low, as in the mixture.
    for k, (spectrum, curve, mask, stem) in zip((2, 1, 0), rows, strict=True):
        frequencies = np.arange(len(W)) * steps.bin_hz
        spectrum.fill_betweenx(frequencies, 20 * np.log10(W[:, k] / W[:, k].max() + 1e-3), -60)
        label_frequencies(spectrum, grid, label=False)
        curve.fill_between(np.arange(H.shape[1]) * steps.frame_s, H[k], lw=0)
        label_times(curve, grid, label=False)
        curve.set_ylim(0, None)
        for ax in (spectrum, curve):
            ax.collections[0].set_color(COLOURS[k])
        draw(mask, levels_of_array(masks[k], grid), 0, 1, "gray")
        draw(stem, levels(masks[k] * V), DEEPEST_DB, 0, "magma")
        spectrum.set(xlim=(-60, 0))
        for ax in (spectrum, curve, mask, stem):
            ax.set(xticks=[], yticks=[])
    titles = ("≈  templates  W", "×  activations  H", "→   masks", "→   stems")
    for ax, title in zip(rows[0], titles, strict=True):
        ax.set_title(title)
    for ax, name in zip((row[-1] for row in rows), ("hi-hat", "snare", "kick"), strict=True):
        ax.yaxis.set_label_position("right")
        ax.set_ylabel(name)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    save(how_it_works(), out / "how.png", 90)
    band = audiosep.separate(AUDIO / "band" / "mixture.flac")
    save(beside_each_other(band), out / "band.png", 90)
    (out / "methods").mkdir(exist_ok=True)
    for name, separated in METHODS.items():
        save(beside_each_other(separated()), out / "methods" / f"{name}.png", 72)


if __name__ == "__main__":
    main()
