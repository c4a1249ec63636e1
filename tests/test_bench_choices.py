"""The comparison of choices itself: its oracle grouping, its measures, its tables."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from audiosep.nmf import factorize_convolutive

SCRIPTS = Path(__file__).parents[1] / "scripts"
NAMES = (
    "bench_choices",
    "_choices_sections",
    "_choices_fits",
    "_choices_scenes",
    "bench_quality",
)
SR = 8000


@pytest.fixture(scope="module")
def bench():
    before = {name: sys.modules.pop(name, None) for name in NAMES}
    sys.path.insert(0, str(SCRIPTS))
    try:
        modules = {name.strip("_"): importlib.import_module(name) for name in NAMES}
        yield SimpleNamespace(**modules)
    finally:
        sys.path.remove(str(SCRIPTS))
        for name, module in before.items():
            sys.modules.pop(name, None)
            if module is not None:
                sys.modules[name] = module


def tone(hz, beats, n=SR):
    """A tone that is struck so many times."""
    t = np.arange(n) / SR
    return 0.2 * np.sin(2 * np.pi * hz * t) * np.exp(-6 * ((t * beats) % 1))


def two_tones(bench, channels=1):
    references = {"low": tone(300, 2), "high": tone(1500, 3)}
    if channels == 2:
        references = {
            "low": np.outer([0.9, 0.1], references["low"]),
            "high": np.outer([0.2, 0.8], references["high"]),
        }
    references = {k: np.atleast_2d(v).astype(np.float32) for k, v in references.items()}
    mixture = sum(references.values())
    return bench.choices_scenes.make_scene("tones", "two", SR, mixture, references)


def write_item(corpus, kind, name, sources, sr=SR):
    folder = corpus / kind / name
    folder.mkdir(parents=True)
    soundfile.write(folder / "mixture.flac", sum(sources.values()).T, sr, subtype="PCM_24")
    for source, samples in sources.items():
        soundfile.write(folder / f"ref_{source}.flac", samples.T, sr, subtype="PCM_24")
    meta = {"mixture": "mixture.flac", "sources": {s: f"ref_{s}.flac" for s in sources}}
    (folder / "meta.json").write_text(json.dumps(meta))


def test_true_factors_come_near_the_oracle_mask(bench):
    scene = two_tones(bench)
    low, high = (share[0] * scene.V for share in scene.shares)
    W = np.stack([high.sum(axis=1), low.sum(axis=1)], axis=1)
    H = np.stack([high.sum(axis=0), low.sum(axis=0)])
    found = bench.choices_scenes.owners(scene, W, H)
    assert found.tolist() == [1, 0]
    good = bench.choices_scenes.improvement(scene, W, H)
    assert 10 < good < bench.choices_scenes.oracle_improvement(scene) + 1


def test_every_source_has_a_component_even_if_one_of_them_lies_in_all(bench):
    scene = two_tones(bench)
    W = np.repeat((scene.shares[1, 0] * scene.V).sum(axis=1)[:, np.newaxis], 3, axis=1)
    H = np.ones((3, scene.V.shape[1]), np.float32)
    assert set(bench.choices_scenes.owners(scene, W, H).tolist()) == {0, 1}


def test_a_source_without_a_component_counts_nothing(bench):
    scene = two_tones(bench)
    W, H = scene.V.sum(axis=1)[:, np.newaxis], scene.V.sum(axis=0)[np.newaxis]
    # One mask of ones: the found source is the mixture itself, the other one is not there.
    assert bench.choices_scenes.improvement(scene, W, H) == pytest.approx(0.0, abs=1e-3)


def test_gains_of_channels_are_part_of_the_model(bench):
    scene = two_tones(bench, channels=2)
    W, H = np.ones((len(scene.V), 2)), np.ones((2, scene.V.shape[1]))
    Q = np.array([[0.9, 0.2], [0.1, 0.8]])
    flat = bench.choices_scenes.improvement(scene, W, H)
    assert flat == pytest.approx(0.0, abs=1e-3)
    assert bench.choices_scenes.improvement(scene, W, H, Q=Q) > 3


def test_patches_unroll_to_the_model_they_stand_for(bench):
    V = np.random.default_rng(0).gamma(0.5, size=(6, 20))
    fit = factorize_convolutive(V, 2, n_taps=3, max_iter=5)
    W, H, part_of = bench.choices_sections.unrolled(fit.templates, fit.activations)
    np.testing.assert_allclose(W @ H, fit.model(), rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(W[:, part_of == 1].T, fit.templates[:, 1].T)


def test_figures_of_factors_know_their_extremes(bench):
    fits = bench.choices_fits
    assert fits.sparsity(np.ones((2, 9))) == pytest.approx(0.0, abs=1e-12)
    assert fits.sparsity(np.eye(9)[:2]) == pytest.approx(1.0)
    assert fits.roughness(np.ones((2, 9))) == 0.0
    assert fits.overlap(np.eye(4)) == pytest.approx(0.0, abs=1e-12)
    assert fits.overlap(np.ones((4, 3))) == pytest.approx(1.0)


def test_differences_are_paired_by_recording(bench):
    def row(label, name, sii):
        return bench.choices_fits.Row(label, "kind", name, 0, sii, seconds=sii)

    rows = [
        row("a", "x", 3.0),
        row("a", "y", 12.0),
        row("b", "x", 1.0),
        row("b", "y", 14.0),
    ]
    assert bench.choices_fits.paired(rows, "a", "b") == (0.0, 2.0, 0.0, 1)
    assert bench.choices_fits.ratio(rows, "a", "b", "seconds") == pytest.approx((3 + 12 / 14) / 2)


def test_first_middle_and_last_are_taken(bench):
    assert bench.choices_scenes.spread(list("abcdefg"), 3) == ["a", "d", "g"]
    assert bench.choices_scenes.spread(list("ab"), 3) == ["a", "b"]
    assert bench.choices_scenes.spread(list("abc"), 1) == ["a"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    root = tmp_path_factory.mktemp("corpus")
    for kind in ("drums", "multitrack", "stereo"):
        for i in range(2):
            sources = {"drums": tone(300 + 50 * i, 2), "high": tone(1500, 3)}
            if kind != "drums":
                sources = {k: np.outer([0.8, 0.3], v) for k, v in sources.items()}
            write_item(root, kind, f"{kind}{i}", sources)
    return root


@pytest.mark.slow
def test_every_section_runs(bench, corpus, monkeypatch, capsys, tmp_path):
    def short(label, settings=None, *rest, **more):
        settings = dict(settings or {})
        return choice(label, settings | {"max_iter": 2}, *rest, **more)

    sections = bench.choices_sections
    choice = sections.Choice
    monkeypatch.setattr(sections, "Choice", short)
    monkeypatch.setattr(sections, "N_RESTARTS", 2)
    path = tmp_path / "out.json"
    bench.bench_choices.main([str(corpus), "--per-kind", "1", "--seeds", "1", "--json", str(path)])
    printed = capsys.readouterr().out
    content = json.loads(path.read_text())
    assert set(content) == set(sections.SECTIONS)
    for section in sections.SECTIONS:
        assert f"== {section}" in printed
    table = content["divergence"]["mu"]["table"]
    assert [row["label"] for row in table][:3] == [
        "0 on powers",
        "0 on powers, root",
        "0",
    ]
    assert np.isfinite([row["sii"] for row in table]).all()
    assert {row["name"] for row in content["joined"]["rows"]} == {
        "drums, joined",
        "multitrack, joined",
    }
