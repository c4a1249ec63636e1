"""The quality benchmark itself: its metric, its audit, its tables."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

SCRIPT = Path(__file__).parents[1] / "scripts" / "bench_quality.py"


@pytest.fixture(scope="module")
def bench():
    spec = importlib.util.spec_from_file_location("bench_quality", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["bench_quality"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["bench_quality"]


SR = 8000


def noise(seed, level=0.1, n=SR * 2):
    return level * np.random.default_rng(seed).standard_normal(n)


def click_track(n=SR * 2):
    clicks = np.zeros(n)
    clicks[::1600] = 0.8
    return clicks


def tone(hz, n=SR * 2):
    return 0.2 * np.sin(2 * np.pi * hz * np.arange(n) / SR)


def write_item(corpus, task, name, sources, mixture=None):
    folder = corpus / task / name
    folder.mkdir(parents=True)
    mixture = sum(sources.values()) if mixture is None else mixture
    soundfile.write(folder / "mixture.flac", mixture, SR, subtype="PCM_24")
    for source, samples in sources.items():
        soundfile.write(folder / f"ref_{source}.flac", samples, SR, subtype="PCM_24")
    meta = {"mixture": "mixture.flac", "sources": {s: f"ref_{s}.flac" for s in sources}}
    (folder / "meta.json").write_text(json.dumps(meta))
    return folder


def test_si_sdr_ignores_gain_and_knows_the_ratio(bench):
    wanted, error = noise(0), noise(1)
    error -= (error @ wanted) / (wanted @ wanted) * wanted
    error *= np.linalg.norm(wanted) / np.linalg.norm(error) * 10 ** (-15 / 20)
    assert bench.si_sdr(wanted, wanted + error) == pytest.approx(15.0, abs=1e-3)
    assert bench.si_sdr(wanted, 7 * (wanted + error)) == pytest.approx(15.0, abs=1e-3)
    assert bench.snr(wanted, wanted + error) == pytest.approx(15.0, abs=1e-3)
    assert bench.snr(wanted, 7 * (wanted + error)) < 0.0


def test_the_audit_finds_what_is_wrong(bench, tmp_path):
    good = write_item(tmp_path, "multitrack", "good", {"drums": noise(0), "bass": noise(1)})
    leaky = {"drums": noise(2), "bass": noise(3) + noise(2, 0.05)}
    bad = [
        write_item(tmp_path, "multitrack", "silent", {"drums": noise(4), "bass": 0 * noise(4)}),
        write_item(tmp_path, "multitrack", "leaked", leaky),
        write_item(
            tmp_path, "multitrack", "wrong", {"drums": noise(5), "bass": noise(6)}, noise(7)
        ),
        write_item(tmp_path, "stereo", "twin", {"drums": noise(8), "bass": noise(1)}),
    ]
    findings = bench.audit([good, *bad])
    texts = {name: "; ".join(found) for name, found in findings.items()}
    assert "bass is silent" in texts["multitrack/silent"]
    assert "drums and bass correlate" in texts["multitrack/leaked"]
    assert "do not sum" in texts["multitrack/wrong"]
    assert "ref_bass.flac is identical to good/ref_bass.flac" in texts["stereo/twin"]
    assert "same recording as multitrack/good" in texts["stereo/twin"]
    assert "identical" not in texts["multitrack/good"]


def test_references_are_named_as_the_stems(bench):
    references = {name: noise(i) for i, name in enumerate(["vocals", "drums", "keys", "bass"])}
    named = bench.sources_for("stems", references)
    assert list(named) == ["drums", "bass", "other"]
    np.testing.assert_allclose(named["other"], references["vocals"] + references["keys"])
    del references["bass"]
    assert list(bench.sources_for("stems", references)) == ["drums", "other"]


def test_without_a_bass_reference_bass_counts_as_other(bench):
    item = bench.Item(
        "stems", "multitrack", "x", SR, noise(0), {"drums": noise(1), "other": noise(2)}
    )
    named = bench.fit_names(item, {"drums": noise(1), "bass": noise(3), "other": noise(4)})
    assert list(named) == ["drums", "other"]
    np.testing.assert_allclose(named["other"], noise(3) + noise(4))


def test_components_take_the_best_order(bench):
    references = {"a": noise(1), "b": noise(2)}
    item = bench.Item("components", "bio", "x", SR, noise(0), references)
    named = bench.fit_names(item, {"source-1": noise(2), "source-2": noise(1)})
    np.testing.assert_array_equal(named["a"], noise(1))
    np.testing.assert_array_equal(named["b"], noise(2))


def test_a_whole_run(bench, tmp_path, capsys):
    write_item(
        tmp_path, "harmonic_percussive", "one", {"harmonic": tone(440), "percussive": click_track()}
    )
    sources = {"drums": click_track(), "bass": tone(60), "keys": tone(700), "vocals": 0 * tone(1)}
    write_item(tmp_path, "multitrack", "two", sources)
    out = tmp_path / "out.json"
    methods = ["do-nothing", "ours", "oracle ratio mask", "oracle Wiener"]
    assert (
        bench.main([str(tmp_path), "--json", str(out), "--seeds", "2", "--method", *methods]) == 0
    )
    printed = capsys.readouterr().out
    assert "multitrack/two: vocals is silent" in printed
    assert "2 seeds" in printed
    content = json.loads(out.read_text())
    for task in ("harmonic-percussive", "stems"):
        summary = content["summary"][task]
        assert summary["do-nothing"]["sii_mean"] == pytest.approx(0.0)
        assert summary["ours"]["sii_mean"] > 3.0
        assert summary["oracle ratio mask"]["sii_mean"] > summary["ours"]["sii_mean"]
        assert len(summary["ours"]["sii_mean_per_seed"]) == 2
    assert len(content["rows"]) == 2 * (len(methods) + 1)


def test_a_silent_source_is_reported_and_left_out(bench, tmp_path):
    folder = write_item(
        tmp_path,
        "multitrack",
        "x",
        {"drums": click_track(), "bass": 0 * tone(60), "keys": tone(700)},
    )
    row = bench.measure(bench.load_item("stems", folder, short=False), "do-nothing", 0)
    assert row["sources"]["bass"]["silent"]
    assert bench.improvements(row) == pytest.approx([0.0, 0.0])


@pytest.mark.parametrize(
    ("arguments", "message"), [(["--tasks", "x"], "unknown task"), ([], "no item")]
)
def test_wrong_use_says_why(bench, tmp_path, capsys, arguments, message):
    with pytest.raises(SystemExit):
        bench.main([str(tmp_path), *arguments])
    assert message in capsys.readouterr().err


def test_the_first_ten_seconds_at_22_khz(bench):
    samples, sr = bench.shortened(np.zeros((2, 44100 * 11), np.float32), 44100)
    assert sr == 22050
    assert samples.shape == (2, 220500)
