"""Settings are chosen on one half of the corpus only, by a rule that is fixed before."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile as sf

import audiosep
from audiosep.methods import _components_sureness, _stereo_places, speech

ROOT = Path(__file__).resolve().parent.parent
LOOP = ROOT / "examples" / "audio" / "drum_loop"
SR = 16000


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import bench_choice

    yield bench_choice
    ours = ("bench_choice", "bench_components", "_quality")
    for name in [name for name in sys.modules if name.startswith(ours)]:
        del sys.modules[name]


def write(folder: Path, sources: dict[str, np.ndarray]) -> None:
    folder.mkdir(parents=True)
    for name, samples in sources.items():
        sf.write(folder / f"ref_{name}.flac", samples, SR)
    sf.write(folder / "mixture.flac", np.sum(list(sources.values()), axis=0), SR)
    meta = {"mixture": "mixture.flac", "sources": {n: f"ref_{n}.flac" for n in sources}}
    (folder / "meta.json").write_text(json.dumps(meta), encoding="utf-8")


@pytest.fixture
def corpus(tmp_path):
    """Three notes of their own times and pitches, in both halves."""
    t = np.arange(SR) / SR
    sources = {
        name: 0.2 * np.sin(2 * np.pi * f * t) * (np.sin(2 * np.pi * rate * t) > -0.3)
        for name, f, rate in (("flute", 300.0, 2.0), ("oboe", 710.0, 3.4), ("horn", 1370.0, 5.2))
    }
    for item in ("bach_bwv66_6_fl_ob_hn_vc", "mozart_k155_quartet"):
        write(tmp_path / "pitched" / item, sources)
    return tmp_path


def run(bench, monkeypatch, capsys, corpus: Path, setting: str) -> list[str]:
    monkeypatch.setattr(sys, "argv", ["bench_choice.py", str(corpus), "--setting", setting])
    bench.main()
    return capsys.readouterr().out.splitlines()


def test_places_are_chosen_on_one_half_by_the_measure_of_the_benchmark(
    bench, corpus, monkeypatch, capsys
):
    before = _stereo_places._LOWEST_PEAK
    knobs = [bench.constant(bench.PLACES, "_LOWEST_PEAK", [0.95])]
    part = (lambda: knobs, bench.improvements)
    setting = bench.Setting(items=lambda c: bench.told_items(c, "stereo"), parts=[part])
    monkeypatch.setitem(bench.SETTINGS, "stereo-peaks", setting)
    lines = run(bench, monkeypatch, capsys, corpus, "stereo-peaks")
    assert lines[1] == "== _LOWEST_PEAK (dB); items: stereo bach_bwv66_6_fl_ob_hn_vc"
    present, few = (float(line.split("  ")[-1].split()[0]) for line in lines[2:4])
    assert lines[2].startswith(f"{before} (present)")
    (item,) = bench.told_items(corpus, "stereo")
    measured = np.mean([value for _, value in bench.improvements(item, 1)])
    assert present == pytest.approx(measured, abs=0.006)
    assert few < present - 3.0
    assert f"keep {before}" in lines
    assert lines[-1].endswith("| kept |")
    assert before == _stereo_places._LOWEST_PEAK


def test_recordings_that_confirm_are_refused(bench, corpus):
    for item in ("mozart_k155_quartet", "never_heard_of"):
        with pytest.raises(SystemExit, match="not of the half"):
            bench.chosen_only(corpus / "pitched" / item)


def test_all_components_of_the_components_benchmark_are_of_the_half(bench):
    import bench_components

    for item in bench_components.CHOOSE:
        bench.chosen_only(Path(item))


def test_names_of_a_drum_loop(bench, tmp_path, monkeypatch):
    drums = {path.stem[4:]: sf.read(path)[0][: 3 * SR] for path in LOOP.glob("ref_*.flac")}
    write(tmp_path / "drums" / "blackpearl_funk", drums)
    (item,) = bench.component_items(tmp_path)
    assert len(bench.naming(item, 1)) == len(drums)
    monkeypatch.setattr(_components_sureness, "SURE", 1.01)
    right = [value for _, value in bench.naming(item, 1)]
    assert right == [float(gain <= 0) for _, _, gain in item.gains]
    assert {group for group, value in bench.sureness(item, 1) if value} <= {"worse"}


def test_a_stem_that_is_called_what_it_must_not_be_counts_as_wrong(bench, monkeypatch):
    record = {"analysis": {"n_fft": 1024, "hop_length": 256}, "input": {"sr": SR}}
    result = SimpleNamespace(record=record, factorization=None, grouping=None)
    gains = [(0, "kick", 6.0), (1, "speech", 6.0), (2, "oboe", -1.0), (3, "oboe", 4.0)]
    item = bench.Components(task="components", name="x", result=result, gains=gains)
    for names, right in (
        (("low", "source-2", "source-3", "harmonic-1"), [1, 1, 1, 1]),
        (("harmonic", "percussive", "harmonic", "source-4"), [0, 0, 0, 0]),
    ):
        monkeypatch.setattr(_components_sureness, "names_of", lambda *_, n=names, **__: n)
        assert [value for _, value in bench.naming(item, 1)] == right


def test_the_present_value_is_kept_within_noise_of_the_best(bench):
    means = {"now": 5.0, "other": 5.29, "far": 1.0}
    assert bench.choice(means, "now", 0.3) == "now"
    assert bench.choice(means | {"other": 5.31}, "now", 0.3) == "other"


def test_groups_count_the_same(bench):
    assert bench.mean_of_groups([("a", 1.0), ("b", 0.0), ("b", 0.0), ("b", 0.0)]) == 0.5


def test_shares_of_talkers(bench):
    rng = np.random.default_rng(0)
    voice = audiosep.Audio(samples=0.1 * rng.standard_normal((1, SR), dtype=np.float32), sr=SR)
    own = audiosep.learn([voice], label="speech")
    spectrogram = audiosep.stft(voice, n_fft=1024)
    bands = speech.Bands.of(spectrogram.n_bins, spectrogram.bin_hz)
    counts = {}
    for words, patches in bench.talker_knobs()[0].patches.items():
        with bench.patched(patches):
            talkers = speech._talkers(own, spectrogram, bands, speech.MethodSettings())
        lengths = [len(one) for one in talkers]
        short = lengths.count(min(lengths))
        counts[words] = short if min(lengths) < 100 else 0, len(lengths)
    both, half = counts["(1, 1)"][1], counts["(1, 0)"][1]
    assert both > half > 0
    assert counts["(1, 0)"][0] == half
    assert counts["(0, 1)"] == (0, both - half)
    assert counts["(3, 1)"] == (3 * half, both + 2 * half)
    assert counts["(1, 3)"] == (half, both + 2 * (both - half))


def test_nothing_to_choose_on_is_said(bench, tmp_path, monkeypatch, capsys):
    with pytest.raises(SystemExit):
        run(bench, monkeypatch, capsys, tmp_path, "stereo-division")
    assert "no item of the half to choose on" in capsys.readouterr().err
