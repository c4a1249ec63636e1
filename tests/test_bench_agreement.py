"""The benchmark of agreement: chunks against the whole, on a made-up corpus."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

ROOT = Path(__file__).resolve().parent.parent
SCRIPT_NAMES = ("bench_agreement", "_agreement_", "_quality_")
SR = 2000
SECONDS = 5.0
EXACT_DB = 90.0


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Two songs of 5 s: tones that come and go, and hiss in bursts."""
    root = tmp_path_factory.mktemp("corpus")
    t = np.arange(round(SECONDS * SR)) / SR
    rng = np.random.default_rng(0)
    for number, pitch in enumerate((220.0, 330.0)):
        folder = root / "singing" / f"song_{number}"
        folder.mkdir(parents=True)
        tone = 0.2 * np.sin(2 * np.pi * pitch * t) * (np.sin(2 * np.pi * 0.7 * t) > -0.3)
        bursts = 0.1 * rng.standard_normal(t.size) * (np.sin(2 * np.pi * 2 * t) > 0.8)
        for name, signal in (("vocals", tone), ("accompaniment", bursts)):
            sf.write(folder / f"ref_{name}.flac", signal, SR)
        sf.write(folder / "mixture.flac", tone + bursts, SR)
        names = {name: f"ref_{name}.flac" for name in ("vocals", "accompaniment")}
        meta = {"mixture": "mixture.flac", "sources": names}
        (folder / "meta.json").write_text(json.dumps(meta))
    return root


@pytest.fixture(scope="module")
def ran(corpus, tmp_path_factory):
    """The script, run on it: the numbers, the page and the functions."""
    place = tmp_path_factory.mktemp("ran")
    page, numbers = place / "long.md", place / "numbers.json"
    page.write_text("before\n<!-- agreement -->\nold\n<!-- /agreement -->\nafter\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "scripts"))
        import bench_agreement

        patch.setattr(bench_agreement, "PAGE", page)
        arguments = ["--presets", "components", "--pieces", "1", "--seconds", "103", "106"]
        arguments += ["--json", str(numbers), "--write-docs"]
        patch.setattr(sys, "argv", ["bench_agreement.py", str(corpus), *arguments])
        bench_agreement.main()
        yield json.loads(numbers.read_text()), page.read_text(), bench_agreement
    for name in [name for name in sys.modules if name.startswith(SCRIPT_NAMES)]:
        del sys.modules[name]


def test_with_the_same_templates_chunks_agree_with_the_whole_to_rounding(ran):
    (row,), _, _ = ran
    assert row["preset"] == "components"
    assert 103 <= row["seconds"] < 106 + SECONDS
    assert len(row["known"]) == 2
    assert min(row["known"].values()) > EXACT_DB
    # Without them it is another factorization, which is no nearer to anything.
    assert min(row["whole"].values()) < EXACT_DB
    assert set(row["truth_chunks"]) == {"vocals", "accompaniment"}


def test_the_table_stands_between_its_marks(ran):
    rows, page, bench = ran
    assert page.startswith("before\n<!-- agreement -->\n| preset ")
    assert page.endswith("\n<!-- /agreement -->\nafter\n")
    assert "old" not in page
    head, _, line = bench.table(rows).splitlines()
    assert head.count("|") == line.count("|")
    assert re.match(r"\| components \| \d+ s \|", line)


def test_pieces_are_the_same_for_a_seed_and_sums_of_their_sources(ran, corpus):
    *_, bench = ran
    from argparse import Namespace

    about = {"corpus": corpus, "pieces": 2, "seconds": (11.0, 13.0)}
    first, again, other = (
        bench.pieces_of("vocals", Namespace(seed=seed, **about)) for seed in (3, 3, 4)
    )
    assert [p.name for p in first] == [p.name for p in again]
    np.testing.assert_array_equal(first[0].mixture, again[0].mixture)
    assert first[0].mixture.shape != first[1].mixture.shape or not np.array_equal(
        first[0].mixture, first[1].mixture
    )
    assert not np.array_equal(first[0].mixture, other[0].mixture)
    np.testing.assert_array_equal(first[0].mixture, sum(first[0].references.values()))
    assert 11 * SR <= first[0].mixture.shape[1] < (13 + SECONDS) * SR


def test_stems_without_sound_and_stems_that_are_blind(ran):
    *_, bench = ran
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((2, 1, 1000))
    silent = np.zeros_like(a)
    found = bench.agreement("stems", {"a": a, "b": silent, "c": a}, {"a": a, "b": silent, "c": b})
    assert found["a"] == 120.0
    assert found["c"] < 0.0
    assert "b" not in found
    # Blind stems may have other names, or each other's.
    found = bench.agreement("components", {"low": a, "source-2": b}, {"source-1": b, "low": a})
    assert set(found.values()) == {120.0}
    blind = {"harmonic": b, "source-2": a}
    true = bench.truth("components", {"vocals": a, "accompaniment": b}, blind)
    assert min(true.values()) > 60.0
    told = bench.with_rest({"birds": a, "rain": b}, {"rain": b, "rest": a})
    assert list(told) == ["rain", "birds"]
