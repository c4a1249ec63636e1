"""Choose settings again, on the half of the corpus that settings may be chosen on and no other.

    python scripts/bench_choice.py CORPUS --setting stereo-peaks
    python scripts/bench_choice.py CORPUS --setting stereo-division
    python scripts/bench_choice.py CORPUS --setting speech-talkers
    python scripts/bench_choice.py CORPUS --setting component-names
    python scripts/bench_choice.py CORPUS --setting speech-talkers --seeds 5
                                          --constant OWN_TO_OTHERS

These four were changed after the other half had been seen. Recordings that are not of the half
"choose" (_quality_split.py) are refused. The rule, fixed before anything was looked at: the present
value is kept where it is within noise (0.3 dB; 0.03 of a share) of the best; else the best is
taken. Each constant is tried by itself, all others as they are.

dB are SI-SDR improvements as bench_quality.py has them, mean of the sources of an item and of the
seeds from 0 (one, unless --seeds says more), then of the items. Shares are of the stems of
bench_components.py with 20 components, paired as there. "sure": how many of those better than the
mixture are sure, and of those worse are not, mean of the two. "names": how many are called what
they should be (ALLOWED; a stem worse than the mixture by no name).
"""

from __future__ import annotations

import argparse
import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from _quality_split import HALVES, half_of

PLACES, STEREO = "audiosep.methods._stereo_places", "audiosep.methods.stereo"
SPEECH, SURENESS = "audiosep.methods.speech", "audiosep.methods._components_sureness"

NOISE = {"dB": 0.3, "share": 0.03}

Values = list[tuple[str, float]]
"""What was measured of one item, each value with its group: all groups count the same."""


@dataclass(frozen=True, kw_only=True)
class Knob:
    """A constant, and what is tried in its place."""

    name: str
    unit: str
    present: str
    patches: dict[str, dict[str, object]]
    """What is put into which module, ``module:name``, by what is said of it."""


def constant(module: str, name: str, values: list[object], unit: str = "dB", words=str) -> Knob:
    """Values of one constant; the present one is added where it is not among them."""
    present = getattr(import_module(module), name)
    patches = {words(value): {f"{module}:{name}": value} for value in values}
    return Knob(
        name=name,
        unit=unit,
        present=words(present),
        patches={words(present): {}} | {w: p for w, p in patches.items() if w != words(present)},
    )


# --- items -----------------------------------------------------------------------------------


def chosen_only(path: Path) -> Path:
    """Refuse what settings must not be chosen on."""
    if half_of(path.parent.name, path.name) != "choose":
        raise SystemExit(f"{path} is not of the half that settings are chosen on.")
    return path


def found(corpus: Path, folders: tuple[str, ...]) -> list[Path]:
    """Folders of the items of the half, none of the others opened."""
    return [
        chosen_only(meta.parent)
        for folder in folders
        for pattern in HALVES[folder].get("choose", ())
        for meta in sorted(corpus.glob(f"{folder}/{pattern}/meta.json"))
    ]


def told_items(corpus: Path, *tasks: str) -> list:
    from _quality_told import TOLD_TASKS, load_told, suits_told

    return [
        load_told(task, chosen_only(path), short=False)
        for task in tasks
        for path in found(corpus, TOLD_TASKS[task])
        if suits_told(task, path)
    ]


def with_own_talker(corpus: Path) -> list:
    """Speech in noise, with the talker's own voice as an example, and with or without the noise."""
    from _quality_told import Evidence

    items = []
    for item in told_items(corpus, "speech", "speech-alone"):
        path = corpus / item.folder / item.name
        examples = {"speech": path / "train_speech_same.flac"}
        if item.task == "speech":
            examples["noise"] = path / "train_noise.flac"
        items.append(replace(item, evidence=Evidence(examples=examples)))
    return items


def improvements(item, n_seeds: int) -> Values:
    """SI-SDR improvement of each source in dB, in the group of the item."""
    from _quality_methods import OURS, measure

    values = []
    for seed in range(n_seeds):
        sources = measure(item, OURS, seed)["sources"].values()
        values += [source["si_sdr_improvement"] for source in sources if "silent" not in source]
    return [(label(item), value) for value in values]


def label(item) -> str:
    return f"{item.task} {item.name}"


# --- components ------------------------------------------------------------------------------


NO_NAME = ("source",)
ALLOWED = {
    "kick": ("low", "percussive"),
    **dict.fromkeys(("snare", "hihat"), ("percussive",)),
    **dict.fromkeys(("flute", "oboe", "horn", "piano"), ("harmonic",)),
    "cello": ("harmonic", "low"),
    "dishes": ("percussive", "source"),
    "birds": ("harmonic", "source"),
}
"""Kinds that a source may be called; all others by none."""


@dataclass(frozen=True, kw_only=True)
class Components:
    """Components of an item, separated once: names and thresholds move no sound."""

    task: str
    name: str
    result: Any
    gains: list[tuple[int, str, float]]


def component_items(corpus: Path) -> list[Components]:
    from bench_components import CHOOSE, gains, references, separated

    items = []
    for item in CHOOSE:
        if not (path := corpus / item).is_dir():
            continue
        truth = references(chosen_only(path))
        result = separated(path / "mixture.flac", len(truth), "20")
        items.append(
            Components(task="components", name=path.name, result=result, gains=gains(result, truth))
        )
    return items


def sureness(item: Components, _n_seeds: int) -> Values:
    """Whether being sure and being better than the mixture go together, by the latter."""
    sure = import_module(SURENESS).SURE
    confidence = item.result.grouping.confidence
    return [
        ("better", float(confidence[place] >= sure))
        if gain > 0
        else ("worse", float(confidence[place] < sure))
        for place, _, gain in item.gains
    ]


def naming(item: Components, _n_seeds: int) -> Values:
    """Whether each stem is called what it should be."""
    analysis, sr = item.result.record["analysis"], item.result.record["input"]["sr"]
    names = import_module(SURENESS).names_of(
        item.result.factorization,
        item.result.grouping,
        bin_hz=sr / analysis["n_fft"],
        frame_s=analysis["hop_length"] / sr,
    )
    kinds = [re.sub(r"-\d+$", "", name) for name in names]
    return [
        ("all", float(kinds[place] in (ALLOWED.get(source, NO_NAME) if gain > 0 else NO_NAME)))
        for place, source, gain in item.gains
    ]


# --- what is tried ---------------------------------------------------------------------------


def peak_knobs() -> list[Knob]:
    return [
        constant(PLACES, "_LOWEST_PEAK", [0.003, 0.01, 0.015, 0.02, 0.04, 0.05, 0.07, 0.1, 0.2]),
        constant(PLACES, "_VALLEYS", [(0.4, 0.6), (0.55, 0.55), (0.8, 0.8), (0.8, 0.95)]),
        constant(PLACES, "_SMOOTH_DEG", [(0.5, 0.75), (1.0, 1.5), (1.5, 2.5)]),
    ]


def division_knobs() -> list[Knob]:
    shared = constant(STEREO, "_SHARED", [0.25, 0.5, 1.0, 1.5, 3.0, 5.0, 1e6])
    rule = Knob(
        name="what is compared",
        unit="dB",
        present="magnitudes",
        patches={
            "magnitudes": {},
            "powers": {f"{STEREO}:_counts": counts_by_power},
            "powers, the middle as all else": {
                f"{STEREO}:_counts": counts_by_power,
                f"{STEREO}:_SHARED": 1.0,
            },
        },
    )
    return [shared, rule]


def counts_by_power(fitted, layout, n_wanted: int | None) -> list[int]:
    """The rule of the method, with the powers at each place in place of the magnitudes."""
    stereo = import_module(STEREO)
    level = sum(
        np.array([(H @ W).sum(dtype=np.float64) for H, W in stereo._pairs(part)]) for part in fitted
    )
    middle = np.array([name == stereo.CENTRE for name in layout.names])
    return stereo.sounds_per_place(
        np.asarray(level) * np.where(middle, stereo._SHARED, 1.0),
        max(n_wanted or 1, len(layout.names)),
        sum(part.templates.shape[1] for part in fitted),
    )


def talker_knobs() -> list[Knob]:
    ratios = [(1, 0), (3, 1), (1, 1), (1, 3), (0, 1)]
    pitches = [(1.0,), (0.97, 1.0, 1.03), (0.88, 1.0, 1.13), (0.8, 0.9, 1.0, 1.11, 1.25)]
    return [
        constant(SPEECH, "OWN_TO_OTHERS", ratios),
        constant(SPEECH, "OWN_PITCHES", pitches),
    ]


def sure_knobs() -> list[Knob]:
    values = [0.0, 0.25, 0.4, 0.5, 0.6, 0.65, 0.7, 0.8, 0.85, 0.9, 0.95, 1.01]
    return [constant(SURENESS, "SURE", values, "share")]


def name_knobs() -> list[Knob]:
    grids = {
        "_LOW_HZ": [100.0, 150.0, 300.0, 400.0],
        "_LOW_SHARE": [0.3, 0.4, 0.6, 0.7, 0.9],
        "_PERCUSSIVE_PEAKS": [0.3, 0.4, 0.5, 0.55, 0.65, 0.7, 0.8, 1.01],
        "_HARMONIC_PEAKS": [0.3, 0.5, 0.6, 0.7, 0.8, 0.9],
        "_HARMONIC_STEADY": [0.2, 0.25, 0.3, 0.4, 0.5, 0.6],
    }
    return [constant(SURENESS, name, values, "share") for name, values in grids.items()]


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What is tried on which items, and how it is measured."""

    items: Callable[[Path], list]
    parts: list[tuple[Callable[[], list[Knob]], Callable[[Any, int], Values]]]


SETTINGS = {
    "stereo-peaks": Setting(
        items=lambda corpus: told_items(corpus, "stereo", "stereo-room"),
        parts=[(peak_knobs, improvements)],
    ),
    "stereo-division": Setting(
        items=lambda corpus: told_items(corpus, "stereo-shared"),
        parts=[(division_knobs, improvements)],
    ),
    "speech-talkers": Setting(items=with_own_talker, parts=[(talker_knobs, improvements)]),
    "component-names": Setting(
        items=component_items, parts=[(sure_knobs, sureness), (name_knobs, naming)]
    ),
}


# --- trying ----------------------------------------------------------------------------------


@contextmanager
def patched(patches: dict[str, object]) -> Iterator[None]:
    """Put values into modules, and the old ones back."""
    places = []
    for place, value in patches.items():
        module, name = place.split(":")
        places.append((import_module(module), name, value))
    before = [(module, name, getattr(module, name)) for module, name, _ in places]
    try:
        for module, name, value in places:
            setattr(module, name, value)
        yield
    finally:
        for module, name, value in before:
            setattr(module, name, value)


@contextmanager
def fitted_once() -> Iterator[None]:
    """Fit the places of a recording once, however often they are found again."""
    fit, known = import_module(STEREO).fit_places, {}

    def remembered(frames, gains, **settings):
        digest = hashlib.sha256(np.ascontiguousarray(frames))
        for array in (gains, settings["roundness"]):
            digest.update(np.ascontiguousarray(array))
        rest = {k: v for k, v in settings.items() if k != "roundness"}
        key = (digest.digest(), repr(sorted(rest.items())))
        if key not in known:
            known[key] = fit(frames, gains, **settings)
        return known[key]

    with patched({f"{STEREO}:fit_places": remembered}):
        yield


def mean_of_groups(values: Values) -> float:
    groups = dict.fromkeys(group for group, _ in values)
    return float(np.mean([np.mean([v for g, v in values if g == group]) for group in groups]))


def choice(means: dict[str, float], present: str, noise: float) -> str:
    """The rule: the present value where it is within noise of the best, else the best."""
    best = max(means, key=means.__getitem__)
    return present if means[present] >= means[best] - noise else best


def try_knob(
    knob: Knob, items: list, measure: Callable[[Any, int], Values], n_seeds: int
) -> dict[str, float]:
    """Print what each value gives, and what follows; return the means."""
    print(f"\n== {knob.name} ({knob.unit}); items: " + ", ".join(map(label, items)), flush=True)
    means = {}
    for words, patches in knob.patches.items():
        with patched(patches):
            by_item = [measure(item, n_seeds) for item in items]
        means[words] = mean_of_groups([value for values in by_item for value in values])
        each = " ".join(f"{np.mean([v for _, v in values]):.2f}" for values in by_item)
        now = " (present)" if words == knob.present else ""
        print(f"{words + now:32s} {means[words]:6.2f}   {each}", flush=True)
    noise = NOISE[knob.unit]
    best = max(means, key=means.__getitem__)
    near = [words for words, mean in means.items() if mean >= means[best] - noise]
    chosen = choice(means, knob.present, noise)
    print(f"best: {best}; within {noise} {knob.unit} of it: {'; '.join(near)}")
    print("keep" if chosen == knob.present else "change to", chosen, flush=True)
    return means


def table_row(setting: str, knob: Knob, means: dict[str, float]) -> str:
    """A row of the table of docs/quality.md."""
    best = max(means, key=means.__getitem__)
    tried = "; ".join(f"{words}: {mean:.2f}" for words, mean in means.items())
    chosen = choice(means, knob.present, NOISE[knob.unit])
    end = "kept" if chosen == knob.present else f"**{chosen}**"
    return (
        f"| {setting} | `{knob.name}` ({knob.unit}) | {knob.present}: {means[knob.present]:.2f} "
        f"| {best}: {means[best]:.2f} | {tried} | {end} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--setting", choices=sorted(SETTINGS), required=True)
    parser.add_argument("--constant", help="this one alone")
    parser.add_argument("--seeds", type=int, default=1, help="how many, where chance plays a part")
    arguments = parser.parse_args()
    setting = SETTINGS[arguments.setting]
    items = setting.items(arguments.corpus)
    if not items:
        parser.error(f"there is no item of the half to choose on in {arguments.corpus}")
    rows = []
    with fitted_once():
        for knobs, measure in setting.parts:
            rows += [
                table_row(arguments.setting, knob, try_knob(knob, items, measure, arguments.seeds))
                for knob in knobs()
                if arguments.constant in (None, knob.name)
            ]
    print("\n" + "\n".join(rows))


if __name__ == "__main__":
    main()
