#!/usr/bin/env python3
"""Components: what a source's confidence is worth, and how long regrouping takes.

    python scripts/bench_components.py confidence CORPUS [--components 20 40 auto]
    python scripts/bench_components.py regroup [--seconds 180] [--stems 5]

CORPUS holds ``<kind>/<item>/{mixture,ref_*}.flac``. Each stem is compared with the reference it
fits best (one to one): the grouping is blind, the comparison is not. Thresholds were first read off
both halves; bench_choice.py chose them again on CHOOSE alone, and they stayed.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import soundfile as sf
from scipy.optimize import linear_sum_assignment
from scipy.stats import spearmanr

import audiosep
from audiosep.grouping import group_by_timbre
from audiosep.research.regrouping import regroup

ROOT = Path(__file__).resolve().parent.parent
CHOOSE = (
    *("speech_noise/tspFA_dishes_0dB", "speech_noise/tspMC_street_0dB"),
    *("speech_speech/ast_Allison_RU_same_gender", "environment/dishes_birds", "bio/birds_wind"),
    *("pitched/bach_bwv66_6_fl_ob_hn_vc", "pitched/schumann_dichterliebe2_oboe_piano"),
    *("drums/blackpearl_funk", "drums/sp_electro_disco"),
)
CONFIRM = (
    *("speech_noise/tspFA_coffee_5dB", "speech_noise/tspMC_rain_0dB"),
    *("speech_speech/tsp_FA_MC", "environment/rain_hens", "bio/humpback_rain"),
    *("pitched/bach_bwv269_vn_cl_sax_bn", "pitched/mozart_k155_quartet"),
    *("drums/fluid_dnb", "drums/sp_acoustic_rock"),
)
STEPS = (0.0, 0.5, 0.75, 1.01)


def references(folder: Path) -> dict[str, np.ndarray]:
    found = sorted(folder.glob("ref_*.flac"))
    return {path.stem[4:]: audiosep.read(path).samples for path in found}


def gains(result, truth: dict[str, np.ndarray]) -> list[tuple[int, str, float]]:
    """Place of each stem, the reference it fits best, and its gain over the mixture in dB."""
    mixture = result.mixture.samples
    table = np.array(
        [
            [audiosep.si_sdr(r, stem.samples) - audiosep.si_sdr(r, mixture) for r in truth.values()]
            for stem in result.stems.values()
        ]
    )
    places, columns = linear_sum_assignment(table, maximize=True)
    names = list(truth)
    return [(int(i), names[j], float(table[i, j])) for i, j in zip(places, columns, strict=True)]


def confidence(corpus: Path, counts: list[str]) -> None:
    for count in counts:
        rows = []
        for half, items in (("CHOOSE", CHOOSE), ("CONFIRM", CONFIRM)):
            for item in items:
                truth = references(corpus / item)
                result = separated(corpus / item / "mixture.flac", len(truth), count)
                hz = result.record["input"]["sr"] / result.record["analysis"]["n_fft"]
                plain = group_by_timbre(result.factorization, len(truth), bin_hz=hz)
                stems = list(result.stems)
                for place, name, gain in gains(result, truth):
                    sure = float(result.grouping.confidence[place])
                    rows.append((half, gain, sure, float(plain.confidence[place])))
                    print(f"{half} {item} {name} as {stems[place]}: {gain:.1f} dB, {sure:.2f}")
        print(f"components {count}")
        for half in ("CHOOSE", "CONFIRM"):
            report(half, [row[1:] for row in rows if row[0] == half])
        report("both", [row[1:] for row in rows])


def separated(path: Path, n_sources: int, count: str):
    if count != "auto":
        settings = {"n_sources": n_sources, "n_components": int(count)}
        return audiosep.separate(path, preset="components", **settings)
    # Counted as the method does when it is asked for "auto".
    found = audiosep.nmf.suggest_rank(audiosep.stft(audiosep.read(path)).magnitude())
    settings = {"n_sources": n_sources, "n_components": max(found.n_components, n_sources)}
    return audiosep.separate(path, preset="components", **settings)


def report(half: str, rows: list[tuple[float, float, float]]) -> None:
    gain, sure, silhouette = np.array(rows).T
    print(
        f"{half}: {len(gain)} sources, gain {gain.mean():.2f} dB, below the mixture "
        f"{int((gain < 0).sum())}; rank correlation of the gain with the confidence "
        f"{spearmanr(sure, gain)[0]:.2f}, with the silhouette {spearmanr(silhouette, gain)[0]:.2f}"
    )
    for low, high in pairwise(STEPS):
        some = gain[(sure >= low) & (sure < high)]
        if some.size:
            print(
                f"  confidence {low:.2f} to {min(high, 1.0):.2f}: {some.size} sources, mean "
                f"{some.mean():.1f} dB, {int((some < 0).sum())} below the mixture"
            )


def regrouping(seconds: float, n_stems: int) -> None:
    """Time changes of a stereo recording at 44.1 kHz, in Python and by the command."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        samples, _ = sf.read(ROOT / "examples/audio/song/mixture.flac", dtype="int16")
        samples = np.resize(samples, round(44100 * seconds))
        sf.write(home / "mix.wav", np.stack([samples, np.roll(samples, 300)], axis=1), 44100)
        result = audiosep.separate(home / "mix.wav", preset="components", n_sources=n_stems)
        result.save(home / "mix")
        first, second = list(result.stems)[:2]
        out = home / "out"
        print(f"{seconds:g} s, stereo, 44.1 kHz, 16 bits, {n_stems} stems, seconds (best of 3)")
        for title, wishes, options in (
            ("rename", {"rename": {first: "x"}}, ["--rename", f"{first}=x"]),
            ("merge", {"merge": [(first, second)]}, ["--merge", f"{first},{second}"]),
            ("move", {"move": {3: "new"}}, ["--move", "3=new"]),
            (
                "merge and move",
                {"merge": [(first, second)], "move": {3: "new"}},
                ["--merge", f"{first},{second}", "--move", "3=new"],
            ),
        ):
            inside = best(lambda w=wishes: regroup(home / "mix", **w, out=out), out)
            command = [sys.executable, "-m", "audiosep", "regroup", str(home / "mix"), *options]
            whole = best(lambda c=command: call([*c, "-o", str(out)]), out)
            print(f"{title:<16} Python {inside:.2f}   command {whole:.2f}")


def call(command: list[str]) -> None:
    subprocess.run(command, check=True, capture_output=True)


def best(work, out: Path) -> float:
    times = []
    for _ in range(3):
        shutil.rmtree(out, ignore_errors=True)
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    tasks = parser.add_subparsers(dest="task", required=True)
    sure = tasks.add_parser("confidence")
    sure.add_argument("corpus", type=Path)
    sure.add_argument("--components", nargs="+", default=["20"])
    fast = tasks.add_parser("regroup")
    fast.add_argument("--seconds", type=float, default=180.0)
    fast.add_argument("--stems", type=int, default=5)
    given = parser.parse_args()
    if given.task == "confidence":
        confidence(given.corpus, given.components)
    else:
        regrouping(given.seconds, given.stems)


if __name__ == "__main__":
    main()
