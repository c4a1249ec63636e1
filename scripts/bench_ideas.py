"""Measure ideas for the goals of separation by example that were missed: what was tried.

    python scripts/bench_ideas.py CORPUS --task by-example [--write-docs]
    python scripts/bench_ideas.py CORPUS --task kit

Each idea changes one thing of the preset by-example, all else as it is; seed 0. Measured is the
share of the way from doing nothing (0) to the oracle Wiener mask (1), mean of the sources of an
item, over all items of the task that bench_quality.py has, and of its two halves. Nothing is chosen
here: the items of both halves are looked at, and the preset stays as it is.

``--write-docs`` puts the tables between the marks of docs/methods/by-example.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path

import numpy as np
from bench_choice import patched

METHODS = "audiosep.methods"
MASKS = f"{METHODS}._examples_masks"
BANDS, CORRECTION = f"{METHODS}._examples_bands", f"{METHODS}._examples_correction"
LOCAL = f"{METHODS}._examples_local"
LONG_WINDOW_S = 0.093
WIDE = (-16, -12, -8, -6, -4, -3, -2, -1, 1, 2, 3, 4, 6, 8, 12, 16)


@dataclass(frozen=True, kw_only=True)
class Idea:
    """What is changed: constants of modules, settings of the separator, the window, the stems."""

    words: str
    patches: dict[str, object] = field(default_factory=dict)
    settings: dict[str, object] = field(default_factory=dict)
    window_s: float | None = None
    consistent: int = 0
    """Iterations of consistent Wiener filtering after the masks."""


PRESET = Idea(words="the preset")
FAST = Idea(words="dictionaries alone, trained (`--quality fast`)", settings={"quality": "fast"})
MORE_TEMPLATES = Idea(words="120 templates each", settings={"n_components": 120})
LONGER = Idea(words="window of 93 ms", window_s=LONG_WINDOW_S)
NO_LOCAL = Idea(
    words="without local corrections", patches={f"{MASKS}:N_LOCAL": 0, f"{MASKS}:TRUST_IN_LOCAL": 0}
)
WIDER = Idea(
    words="16 neighbours of a frame instead of 6",
    patches={
        f"{BANDS}:OFFSETS": WIDE,
        **{f"{module}:REACH": max(WIDE) for module in (BANDS, CORRECTION, MASKS)},
    },
)
LARGER = Idea(words="networks of 512 units", patches={f"{CORRECTION}:HIDDEN": (512, 512)})
MORE_MIXTURES = Idea(
    words="three times the mixtures to learn from",
    patches={f"{MASKS}:CORRECTION_FRAMES": 28_800, f"{MASKS}:LOCAL_FRAMES": 19_200},
)
CONSISTENT = Idea(words="consistent Wiener filtering, 20 iterations", consistent=20)

IDEAS = {
    "by-example": (PRESET, FAST, NO_LOCAL, MORE_TEMPLATES, WIDER, LARGER, MORE_MIXTURES),
    "kit": (PRESET, FAST, MORE_TEMPLATES, LONGER, MORE_MIXTURES, CONSISTENT),
}


@contextmanager
def changed(idea: Idea) -> Iterator[None]:
    """Change what an idea changes, but the settings of the separator."""
    with ExitStack() as stack:
        stack.enter_context(patched(idea.patches))
        if idea.window_s is not None:
            load = import_module("audiosep.presets").load_preset

            def with_window(name: str):
                return replace(load(name), window_s=idea.window_s)

            stack.enter_context(patched({"audiosep.separator:load_preset": with_window}))
        if idea.consistent:
            stack.enter_context(patched({"audiosep.chunked:render": consistently(idea.consistent)}))
        yield


def consistently(n_iter: int) -> Callable[..., dict]:
    """Rendering that looks for signals whose transforms come closest to what the masks say.

    Of Le Roux & Vincent (2013), "Consistent Wiener filtering for audio source separation", with the
    constraint that the estimate is a signal: weighted least squares over the samples, by conjugate
    gradients from the masked signal. The weights are the inverse variances of a source given the
    mixture, ``m (1 - m) |X|^2`` for a mask ``m``. Each source against all others; what the stems
    then leave of the mixture is shared out equally.
    """
    import audiosep
    from audiosep.masks import wiener_masks
    from audiosep.render import render
    from audiosep.transform import n_frames_of, stft

    def rendered(mixture, models, analysis, exponent, n_threads, progress):
        stems = render(mixture, models, analysis, exponent, n_threads, progress)
        frames = n_frames_of(mixture.n_samples, analysis.hop_length)
        masks = wiener_masks(models.frames(0, frames), exponent, overwrite=False)
        there = {"n_fft": analysis.n_fft, "hop_length": analysis.hop_length}

        def forth(samples):
            audio = audiosep.Audio(samples=samples[np.newaxis].astype(np.float32), sr=mixture.sr)
            return stft(audio, window=analysis.window, **there).values[0].T

        def back(spectra):
            values = np.ascontiguousarray(spectra.T)[np.newaxis].astype(np.complex64)
            spectrogram = replace(stft(mixture, window=analysis.window, **there), values=values)
            return audiosep.istft(spectrogram).samples[0].astype(np.float64)

        found = {}
        for mask, (name, stem) in zip(masks, stems.items(), strict=True):
            rows = []
            for channel, samples in enumerate(mixture.samples):
                share = mask[min(channel, len(mask) - 1)].astype(np.float64)
                seen = forth(samples)
                power = np.abs(seen) ** 2
                weights = 1.0 / (share * (1.0 - share) * power + 1e-3 * power + 1e-6 * power.mean())
                weights /= weights.mean()
                wanted = back(weights * share * seen)
                rows.append(_solved(wanted, stem.samples[channel], weights, forth, back, n_iter))
            found[name] = np.array(rows)
        rest = (mixture.samples - sum(found.values())) / len(found)
        return {
            name: audiosep.Audio(samples=(rows + rest).astype(np.float32), sr=mixture.sr)
            for name, rows in found.items()
        }

    return rendered


def _solved(wanted, start, weights, forth, back, n_iter: int) -> np.ndarray:
    """Conjugate gradients for ``back(weights * forth(x)) = wanted``."""
    x = start.astype(np.float64)
    residual = wanted - back(weights * forth(x))
    direction, energy = residual.copy(), float(residual @ residual)
    for _ in range(n_iter):
        if energy == 0.0:
            break
        image = back(weights * forth(direction))
        step = energy / float(direction @ image)
        x += step * direction
        residual -= step * image
        energy, before = float(residual @ residual), energy
        direction = residual + energy / before * direction
    return x


# --- measuring -------------------------------------------------------------------------------


def gains(item, idea: Idea) -> list[float]:
    """SI-SDR improvement of each source."""
    from _quality_corpus import si_sdr
    from _quality_methods import preset_of, with_rest

    import audiosep

    arguments = {**item.evidence.arguments(), **idea.settings}
    with changed(idea):
        separator = audiosep.Separator(preset=preset_of(item.task), seed=0, **arguments)
        result = separator.separate(item.mixture, item.sr)
    stems = with_rest(item, {name: stem.samples for name, stem in result.stems.items()})
    return [
        si_sdr(reference, stems[name]) - si_sdr(reference, item.mixture)
        for name, reference in item.references.items()
    ]


def ceilings(item) -> list[float]:
    """What the oracle Wiener mask gains for each source."""
    from _quality_corpus import si_sdr
    from _quality_methods import ORACLES, oracle

    estimates = oracle(item, ORACLES["oracle Wiener"])
    return [
        si_sdr(reference, estimates[name]) - si_sdr(reference, item.mixture)
        for name, reference in item.references.items()
    ]


def share(item, idea: Idea) -> float:
    pairs = zip(gains(item, idea), ceilings(item), strict=True)
    return float(np.mean([gain / ceiling for gain, ceiling in pairs]))


def table(shares: dict[str, dict[str, tuple[str, float]]]) -> str:
    """A row for each idea: all items, the halves, and the worst item."""
    lines = [
        "| idea | mean | choose | confirm | worst item |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for words, items in shares.items():
        values = [value for _, value in items.values()]
        groups = [values]
        groups += [[v for h, v in items.values() if h == half] for half in ("choose", "confirm")]
        figures = [f"{np.mean(group):.3f}" if group else "–" for group in groups]
        lines.append(f"| {words} | {' | '.join(figures)} | {min(values):.3f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--task", choices=sorted(IDEAS), required=True)
    parser.add_argument("--items", default="*", help="pattern of the items' names")
    parser.add_argument("--write-docs", action="store_true")
    arguments = parser.parse_args()
    from _quality_docs import ROOT, fill
    from _quality_told import find_told, load_told

    found = find_told(arguments.corpus, [arguments.task], arguments.items)
    items = [load_told(task, path, short=False) for task, path in found]
    if not items:
        parser.error(f"nothing to measure {arguments.task} on in {arguments.corpus}")
    shares: dict[str, dict[str, tuple[str, float]]] = {}
    for idea in IDEAS[arguments.task]:
        shares[idea.words] = {item.name: (item.half, share(item, idea)) for item in items}
        each = " ".join(f"{name} {value:.2f}" for name, (_, value) in shares[idea.words].items())
        print(f"{idea.words}: {each}", flush=True)
    rows = table(shares)
    print(rows)
    if arguments.write_docs:
        page = ROOT / "docs" / "methods" / "by-example.md"
        text, names = fill(page.read_text(encoding="utf-8"), {f"ideas-{arguments.task}": rows})
        page.write_text(text, encoding="utf-8")
        print("written:", *names)


if __name__ == "__main__":
    main()
