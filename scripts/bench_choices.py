"""Which solver, divergence, constraint, start, rank and model separates best.

    python scripts/bench_choices.py CORPUS [--section solvers rank] [--json out.json]

CORPUS is that of bench_quality.py. Of each of five kinds three items are taken, the first, the
middle and the last by name, and of each the first 10 s as one channel at 16 to 24 kHz (window
46 ms, hop a quarter). All settings were fixed before anything was measured. Factorizations are of
magnitudes, with 16 components and two seeds where nothing else is said; components are given to
sources with the true sources in view, so that the grouping is no part of the comparison. Masks are
ratios of models.

"SIi" is the improvement of SI-SDR over the mixture in dB, mean over the sources. "against" is the
mean difference from another row over the recordings, its standard error, in brackets the median
difference, and on how many of them the row is better. "objective" and "time" are medians over the
recordings of the ratio to that row.

Set OPENBLAS_NUM_THREADS=1 for times of one core.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from _choices_scenes import PER_KIND, load_scenes
from _choices_sections import SECTIONS, Bench


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--section", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--per-kind", type=int, default=PER_KIND, help="items of each kind")
    parser.add_argument("--json", type=Path, help="write everything here")
    parser.add_argument("--seeds", type=int, default=2, help="seeds 0 to N-1")
    options = parser.parse_args(arguments)
    scenes = load_scenes(options.corpus, per_kind=options.per_kind)
    if not scenes:
        parser.error(f"no item in {options.corpus}")
    bench = Bench(options.corpus, scenes, options.seeds)
    out = {}
    for section in options.section:
        began = time.perf_counter()
        print(f"\n== {section}")
        out[section] = SECTIONS[section](bench)
        print(f"({section}: {time.perf_counter() - began:.0f} s)", flush=True)
    if options.json:
        options.json.write_text(json.dumps(out, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
