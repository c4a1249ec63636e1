"""The pictures of README and docs; needs ``pip install matplotlib``.

python scripts/make_figures.py [--out docs/images]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib as mpl
import numpy as np

import audiosep

ROOT = Path(__file__).parent.parent
DEEPEST_DB = -70.0


def decibels(audio: audiosep.Audio, reference: float) -> np.ndarray:
    magnitude = audiosep.stft(audio).magnitude()
    return 20 * np.log10(np.maximum(magnitude / reference, 10 ** (DEEPEST_DB / 20)))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    out = parser.parse_args().out
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    result = audiosep.separate(ROOT / "examples" / "audio" / "band" / "mixture.flac")
    panels = {"mixture": result.mixture, **result.stems}
    reference = float(audiosep.stft(result.mixture).magnitude().max())
    figure, axes = plt.subplots(
        1, len(panels), figsize=(11, 2.6), sharey=True, layout="constrained"
    )
    for axis, (name, audio) in zip(axes, panels.items(), strict=True):
        axis.imshow(
            decibels(audio, reference),
            origin="lower",
            aspect="auto",
            cmap="magma",
            vmin=DEEPEST_DB,
            vmax=0,
            extent=(0, audio.duration, 0, audio.sr / 2),
            interpolation="nearest",
        )
        axis.set_yscale("symlog", linthresh=300, linscale=0.6)
        axis.set_ylim(0, audio.sr / 2)
        axis.set_yticks([100, 300, 1000, 3000, 10_000], ["100", "300", "1k", "3k", "10k"])
        axis.set_title(name)
        axis.set_xlabel("s")
    axes[0].set_ylabel("Hz")
    out.mkdir(parents=True, exist_ok=True)
    figure.savefig(out / "band.png", dpi=90)


if __name__ == "__main__":
    main()
