#!/usr/bin/env python3
"""Painting: what regions painted into stems are worth, and how long it takes.

    python scripts/bench_painting.py quality CORPUS [--half choose|confirm] [--seconds 8]
    python scripts/bench_painting.py speed [--seconds 30]

CORPUS holds ``<kind>/<item>/{mixture,ref_*}.flac``. A part of each mixture is taken apart, stems
and references are paired one to one, and the 1, 3 and 10 regions (0.75 s by an octave) are painted
in which the stems are furthest from the references, of those in which one reference holds 85 % of
the energy: where somebody who listens and looks would paint. The rule by which sounds follow was
chosen with the items of CHOOSE; CONFIRM are others.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import soundfile as sf
from scipy.optimize import linear_sum_assignment

import audiosep
from audiosep.research.painted_regions import PaintedRegion
from audiosep.research.painting import paint
from audiosep.types import Audio

ROOT = Path(__file__).resolve().parent.parent
CHOOSE = {
    "bio/birds_wind": "components",
    "drums/fluid_dnb": "drums",
    "drums/sp_acoustic_rock": "drums",
    "environment/dishes_birds": "components",
    "harmonic_percussive/fluid_chorale_rockdrums": "harmonic-percussive",
    "harmonic_percussive/lmms_c64_hp": "harmonic-percussive",
    "harmonic_percussive/mdn_song_hp": "harmonic-percussive",
    "multitrack/eif_hydrogen": "components",
    "pitched/bach_bwv66_6_fl_ob_hn_vc": "components",
    "pitched/guitarset_Funk1_comp_solo": "components",
    "pitched/mozart_k155_quartet": "components",
    "pitched/schumann_dichterliebe2_oboe_piano": "components",
    "singing/eif_hydrogen_vocals": "vocals",
    "singing/mir1k_amy_1": "vocals",
    "singing/vocadito1_band": "vocals",
    "speech_noise/tspFA_dishes_0dB": "speech",
}
CONFIRM = {
    "bio/humpback_rain": "components",
    "drums/sp_electro_disco": "drums",
    "environment/rain_hens": "components",
    "harmonic_percussive/lmms_axe80s_hp": "harmonic-percussive",
    "multitrack/lmms_reggaetry": "components",
    "pitched/bach_bwv269_vn_cl_sax_bn": "components",
    "singing/vocadito14_band": "vocals",
    "speech_noise/tspFA_coffee_5dB": "speech",
}
COUNTS = (1, 3, 10)
BOX_S = 0.75
SURE = 0.85


def quality(corpus: Path, items: list[str], seconds: float) -> None:
    presets = CHOOSE | CONFIRM
    table = []
    for item in items:
        with tempfile.TemporaryDirectory() as folder:
            rows = gains(corpus / item, presets.get(item, "components"), seconds, Path(folder))
        for count, there, everywhere, honoured in rows:
            print(
                f"{item:<44} {count:>2} regions: only there {there:+.2f} dB, refitted "
                f"{everywhere:+.2f} dB, honoured {honoured:.2f} or more",
                flush=True,
            )
            table.append((count, there, everywhere, honoured))
    print("\nmean gain in SI-SDR over the stems as they were, dB")
    print("regions  only there  refitted  largest loss by refitting  least honoured")
    for count in COUNTS:
        some = np.array([row[1:] for row in table if row[0] == count])
        if some.size:
            there, everywhere, honoured = some.T
            print(
                f"{count:>7}  {there.mean():>10.2f}  {everywhere.mean():>8.2f}  "
                f"{(everywhere - there).min():>25.2f}  {honoured.min():>14.2f}"
            )


def gains(place: Path, preset: str, seconds: float, home: Path):
    """Rows of (regions, gain of moving what is painted, gain of refitting, least honoured)."""
    truth = {p.stem[4:]: part(p, seconds) for p in sorted(place.glob("ref_*.flac"))}
    more = {"n_sources": len(truth)} if preset == "components" else {}
    result = audiosep.separate(part(place / "mixture.flac", seconds), preset=preset, **more)
    result.save(home / "mix")
    stems = {name: stem.samples for name, stem in result.stems.items()}
    if len(stems) < len(truth):
        return []
    table = np.array(
        [[audiosep.si_sdr(r.samples, s) for r in truth.values()] for s in stems.values()]
    )
    places, columns = linear_sum_assignment(table, maximize=True)
    names = list(stems)
    pairs = {names[i]: list(truth.values())[j] for i, j in zip(places, columns, strict=True)}
    before = score(stems, pairs)
    found = boxes(stems, pairs)
    rows = []
    for count in COUNTS:
        some = found[:count]
        if not some:
            continue
        each = {}
        for refit in (False, True):
            done = paint(home / "mix", some, out=home / f"{count}-{refit}", refit=refit)
            after = {name: audiosep.read(path).samples for name, path in done.paths.items()}
            each[refit] = score(after, pairs) - before
            honoured = min(done.honoured)
        rows.append((count, each[False], each[True], honoured))
    return rows


def part(path: Path, seconds: float) -> Audio:
    whole = audiosep.read(path)
    return whole.part(
        min(whole.sr, whole.n_samples // 4), min(whole.n_samples, round((1 + seconds) * whole.sr))
    )


def score(stems, pairs) -> float:
    return float(np.mean([audiosep.si_sdr(pairs[n].samples, stems[n]) for n in pairs]))


def boxes(stems, pairs) -> list[PaintedRegion]:
    """Regions in which one reference sounds nearly alone, the worst of the stems first."""
    sr = next(iter(pairs.values())).sr
    spectra = {name: audiosep.stft(Audio(samples=stems[name], sr=sr)) for name in pairs}
    truths = {name: audiosep.stft(audio) for name, audio in pairs.items()}
    about = next(iter(spectra.values()))
    energies = np.stack([(np.abs(t.values) ** 2).sum(axis=0) for t in truths.values()])
    errors = sum((np.abs(truths[n].values - spectra[n].values) ** 2).sum(axis=0) for n in pairs)
    edges = [0.0, *(hz for hz in 62.5 * 2.0 ** np.arange(9) if hz < sr / 2), sr / 2]
    found = []
    for start in np.arange(0.0, about.n_samples / sr - BOX_S, BOX_S):
        frames = slice(int(np.ceil(start / about.frame_s)), int((start + BOX_S) / about.frame_s))
        for low, high in pairwise(edges):
            bins = slice(int(np.ceil(low / about.bin_hz)), int(high / about.bin_hz) + 1)
            each = energies[:, bins, frames].sum(axis=(1, 2))
            if each.sum() > 0 and each.max() > SURE * each.sum():
                region = PaintedRegion(
                    stem=list(pairs)[int(each.argmax())],
                    start_s=float(start),
                    end_s=float(start + BOX_S),
                    low_hz=float(low),
                    high_hz=float(high),
                )
                found.append((float(errors[bins, frames].sum()), region))
    found.sort(key=lambda one: -one[0])
    return [region for _, region in found]


def speed(seconds: float) -> None:
    """Time painting of a stereo recording at 44.1 kHz in three stems of 16 bits."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        samples, _ = sf.read(ROOT / "examples/audio/song/mixture.flac", dtype="int16")
        samples = np.resize(samples, round(44100 * seconds))
        sf.write(home / "mix.wav", np.stack([samples, np.roll(samples, 300)], axis=1), 44100)
        result = audiosep.separate(home / "mix.wav", preset="components", n_sources=3)
        result.save(home / "mix")
        first, second = list(result.stems)[:2]
        painted = [
            PaintedRegion(stem=first, start_s=1, end_s=2, low_hz=100, high_hz=800),
            PaintedRegion(stem=second, start_s=3, end_s=4, low_hz=1000, high_hz=3000),
        ]
        print(
            f"{seconds:g} s, stereo, 44.1 kHz, 16 bits, 3 stems; seconds, of the clock and of "
            "the processor (best of 3)"
        )
        for title, regions in (("one region", painted[:1]), ("two stems", painted)):
            times = []
            for number in range(3):
                began, worked = time.perf_counter(), time.process_time()
                paint(home / "mix", regions, out=home / f"{title} {number}", n_threads=1)
                times.append((time.perf_counter() - began, time.process_time() - worked))
            clock, processor = np.min(times, axis=0)
            print(f"{title:<12} {clock:6.2f} {processor:6.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    kinds = parser.add_subparsers(dest="kind", required=True)
    one = kinds.add_parser("quality")
    one.add_argument("corpus", type=Path)
    one.add_argument("--half", choices=("choose", "confirm"), default="confirm")
    one.add_argument("--items", nargs="+", help="these in place of a half")
    one.add_argument("--seconds", type=float, default=8.0)
    other = kinds.add_parser("speed")
    other.add_argument("--seconds", type=float, default=30.0)
    given = parser.parse_args()
    if given.kind == "quality":
        half = CHOOSE if given.half == "choose" else CONFIRM
        quality(given.corpus, given.items or list(half), given.seconds)
    else:
        speed(given.seconds)


if __name__ == "__main__":
    main()
