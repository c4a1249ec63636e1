"""The comparison of orders measures what the preset does."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

import audiosep

ROOT = Path(__file__).resolve().parent.parent
SONG = ROOT / "examples" / "audio" / "song"


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import bench_orders

    yield bench_orders
    for name in [name for name in sys.modules if name.startswith(("bench_orders", "_quality"))]:
        del sys.modules[name]


@pytest.fixture
def corpus(tmp_path):
    """One multitrack of three seconds."""
    folder = tmp_path / "multitrack" / "song"
    folder.mkdir(parents=True)
    for path in SONG.glob("*.flac"):
        samples, sr = sf.read(path, dtype="int16", start=22050, stop=22050 * 4)
        sf.write(folder / path.name, samples, sr)
    sources = {path.stem[4:]: path.name for path in SONG.glob("ref_*.flac")}
    meta = {"mixture": "mixture.flac", "sources": sources}
    (folder / "meta.json").write_text(json.dumps(meta), encoding="utf-8")
    return tmp_path


def test_the_first_row_is_the_preset_and_the_true_voice_is_better(bench, corpus):
    ((task, path),) = bench.find_items(corpus, ["four-stems"], "*")
    item = bench.load_item(task, path, short=False)
    song = bench.Song(item)
    rows = {name: bench.ORDERS[name](song) for name in (next(iter(bench.ORDERS)), "the true voice")}
    result = audiosep.separate(item.mixture, item.sr, preset="four-stems")
    gains = [
        bench.si_sdr(reference, result.stems[name].samples) - bench.si_sdr(reference, item.mixture)
        for name, reference in item.references.items()
    ]
    first, best = rows.values()
    assert first == pytest.approx(np.mean(gains), abs=0.01)
    assert best > first
