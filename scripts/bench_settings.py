"""Measure what the settings of a method do to its quality: is a goal missed for want of tuning.

    python scripts/bench_settings.py CORPUS --task drums
    python scripts/bench_settings.py CORPUS --task vocals

SI-SDR improvement over the mixture in dB, mean of the stems of an item, then over the items of each
half (_quality_split.py) that bench_quality.py measures; seed 0. The first row is the preset.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from _quality_corpus import find_items, load_item, si_sdr
from _quality_split import half_of

import audiosep

VARIANTS: dict[str, tuple[dict[str, float | int], ...]] = {
    "drums": (
        {},
        {"beta": 0.8},
        {"beta": 1.3},
        {"max_iter": 30},
        {"max_iter": 120},
        {"mask_exponent": 1.0},
        {"mask_exponent": 1.5},
        {"mask_exponent": 3.0},
    ),
    "vocals": (
        {},
        {"n_components": 30},
        {"n_components": 120},
        {"max_iter": 15},
        {"max_iter": 60},
        {"mask_exponent": 0.8},
        {"mask_exponent": 1.3},
    ),
}
"""Settings by task; what is not named is the preset's."""


def gain(item, settings: dict[str, float | int]) -> float:
    """Mean improvement of the stems of one item."""
    result = audiosep.Separator(preset=item.task, **settings).separate(item.mixture, item.sr)
    return float(
        np.mean(
            [
                si_sdr(reference, result.stems[name].samples) - si_sdr(reference, item.mixture)
                for name, reference in item.references.items()
            ]
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--task", choices=sorted(VARIANTS), required=True)
    parser.add_argument("--items", default="*", help="pattern of item names")
    arguments = parser.parse_args()
    found = find_items(arguments.corpus, [arguments.task], arguments.items)
    items = [load_item(task, path, short=False) for task, path in found]
    halves = [half_of(item.folder, item.name) for item in items]
    columns = sorted(set(halves))
    print(f"{'':24s}" + "".join(f"{name:>10s}" for name in [*columns, "all"]))
    for settings in VARIANTS[arguments.task]:
        gains = np.array([gain(item, settings) for item in items])
        means = [gains[[half == name for half in halves]].mean() for name in columns]
        words = ", ".join(f"{name}={value:g}" for name, value in settings.items()) or "preset"
        print(
            f"{words:24s}" + "".join(f"{mean:10.2f}" for mean in [*means, gains.mean()]), flush=True
        )


if __name__ == "__main__":
    main()
