"""The comparison of settings measures what the presets do."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import soundfile as sf

ROOT = Path(__file__).resolve().parent.parent
LOOP = ROOT / "examples" / "audio" / "drum_loop"


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import bench_settings

    yield bench_settings
    for name in [name for name in sys.modules if name.startswith(("bench_settings", "_quality"))]:
        del sys.modules[name]


@pytest.fixture
def corpus(tmp_path):
    """Three seconds of one kit."""
    folder = tmp_path / "drums" / "blackpearl_funk"
    folder.mkdir(parents=True)
    for path in LOOP.glob("*.flac"):
        samples, sr = sf.read(path, dtype="int16", stop=22050 * 3)
        sf.write(folder / path.name, samples, sr)
    sources = {path.stem[4:]: path.name for path in LOOP.glob("ref_*.flac")}
    meta = {"mixture": "mixture.flac", "sources": sources}
    (folder / "meta.json").write_text(json.dumps(meta), encoding="utf-8")
    return tmp_path


def test_a_row_for_each_setting_and_a_column_for_each_half(bench, corpus, monkeypatch, capsys):
    monkeypatch.setitem(bench.VARIANTS, "drums", ({}, {"mask_exponent": 0.2}))
    monkeypatch.setattr(sys, "argv", ["bench_settings.py", str(corpus), "--task", "drums"])
    bench.main()
    head, preset, soft = capsys.readouterr().out.splitlines()
    assert head.split() == ["choose", "all"]
    assert preset.startswith("preset ")
    assert soft.startswith("mask_exponent=0.2 ")
    ((task, path),) = bench.find_items(corpus, ["drums"], "*")
    measured = bench.gain(bench.load_item(task, path, short=False), {})
    assert float(preset.split()[-1]) == pytest.approx(measured, abs=0.006)
    assert float(soft.split()[-1]) < measured - 3.0
