"""The quality benchmark itself: its metric, its audit, its peers, its tables."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import scenes
import soundfile

from audiosep.evaluation import si_sdr as si_sdr_of_the_library
from audiosep.threads import one_blas_thread

SCRIPTS = Path(__file__).parents[1] / "scripts"
NAMES = (
    "audit",
    "corpus",
    "docs",
    "goals",
    "methods",
    "peers",
    "report",
    "split",
    "summaries",
    "told",
)
SR = 8000


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch):
    """Small decompositions on many threads wait for each other a hundred times as long."""
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    with one_blas_thread():
        yield


@pytest.fixture(scope="module")
def bench():
    wanted = {name: f"_quality_{name}" for name in NAMES} | {"main": "bench_quality"}
    before = {name: sys.modules.pop(name, None) for name in wanted.values()}
    sys.path.insert(0, str(SCRIPTS))
    try:
        yield SimpleNamespace(**{k: importlib.import_module(v) for k, v in wanted.items()})
    finally:
        sys.path.remove(str(SCRIPTS))
        for name, module in before.items():
            sys.modules.pop(name, None)
            if module is not None:
                sys.modules[name] = module


def noise(seed, level=0.1, n=SR * 2):
    return level * np.random.default_rng(seed).standard_normal(n)


def click_track(n=SR * 2):
    clicks = np.zeros(n)
    clicks[::1600] = 0.8
    return clicks


def tone(hz, n=SR * 2):
    return 0.2 * np.sin(2 * np.pi * hz * np.arange(n) / SR)


def write_item(corpus, folder, name, sources, mixture=None):
    place = corpus / folder / name
    place.mkdir(parents=True)
    mixture = sum(sources.values()) if mixture is None else mixture
    soundfile.write(place / "mixture.flac", mixture, SR, subtype="PCM_24")
    for source, samples in sources.items():
        soundfile.write(place / f"ref_{source}.flac", samples, SR, subtype="PCM_24")
    meta = {"mixture": "mixture.flac", "sources": {s: f"ref_{s}.flac" for s in sources}}
    (place / "meta.json").write_text(json.dumps(meta))
    return place


def item_of(bench, task, references, folder="multitrack", name="x"):
    references = {n: np.atleast_2d(s).astype(np.float32) for n, s in references.items()}
    return bench.corpus.Item(task, folder, name, SR, sum(references.values()), references)


# --- the metric and the audit ----------------------------------------------------------------


def test_si_sdr_ignores_gain_and_knows_the_ratio(bench):
    wanted, error = noise(0), noise(1)
    error -= (error @ wanted) / (wanted @ wanted) * wanted
    error *= np.linalg.norm(wanted) / np.linalg.norm(error) * 10 ** (-15 / 20)
    assert bench.corpus.si_sdr(wanted, wanted + error) == pytest.approx(15.0, abs=1e-3)
    assert bench.corpus.si_sdr(wanted, 7 * (wanted + error)) == pytest.approx(15.0, abs=1e-3)
    assert bench.corpus.snr(wanted, wanted + error) == pytest.approx(15.0, abs=1e-3)
    assert bench.corpus.snr(wanted, 7 * (wanted + error)) < 0.0


def test_si_sdr_is_that_of_the_library(bench):
    wanted, guess = noise(0).reshape(2, -1), noise(0).reshape(2, -1) + noise(1).reshape(2, -1)
    expected = si_sdr_of_the_library(wanted, guess)
    assert bench.corpus.si_sdr(wanted, guess) == pytest.approx(expected, abs=1e-6)


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
    findings = bench.audit.audit([good, *bad])
    texts = {name: "; ".join(found) for name, found in findings.items()}
    assert "bass is silent" in texts["multitrack/silent"]
    assert "drums and bass correlate" in texts["multitrack/leaked"]
    assert "do not sum" in texts["multitrack/wrong"]
    assert "ref_bass.flac is identical to good/ref_bass.flac" in texts["stereo/twin"]
    assert "same recording as multitrack/good" in texts["stereo/twin"]
    assert "identical" not in texts["multitrack/good"]


def test_the_audit_reads_the_mixture_that_is_named(bench, tmp_path):
    items = []
    for name, file in (("one", "mix.flac"), ("two", "all of it.flac")):
        sources = {"drums": noise(0 if name == "one" else 5), "bass": noise(1)}
        place = write_item(tmp_path, "multitrack", name, sources)
        (place / "mixture.flac").rename(place / file)
        meta = json.loads((place / "meta.json").read_text()) | {"mixture": file}
        (place / "meta.json").write_text(json.dumps(meta))
        items.append(place)
    assert "same recording as multitrack/two" in "; ".join(
        bench.audit.audit(items)["multitrack/one"]
    )


# --- items, halves and kinds -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("folder", "item", "half"),
    [
        ("singing", "mir1k_Kenshin_1", "choose"),
        ("singing", "mir1k_amy_6", "confirm"),
        ("singing", "somebody_else", "unseen"),
        ("drums", "sp_electro_disco", "choose"),
        ("drums", "nmftoolbox_808", "confirm"),
        ("multitrack", "eif_lithium_b", "choose"),
        ("multitrack", "mdn_song_5stems", "confirm"),
        ("harmonic_percussive", "lmms_c64_hp", "confirm"),
        ("pitched", "mozart_k155_quartet", "confirm"),
        ("bio", "something_new", "unseen"),
        ("elsewhere", "eif_lithium_b", "unseen"),
    ],
)
def test_halves(bench, folder, item, half):
    assert bench.split.half_of(folder, item) == half


def test_no_item_is_in_both_halves(bench):
    for halves in bench.split.HALVES.values():
        assert not set(halves.get("choose", ())) & set(halves["confirm"])


@pytest.mark.parametrize(
    ("task", "item", "kind"),
    [
        ("vocals", "eif_hydrogen_vocals", "produced songs"),
        ("vocals", "mir1k_amy_1", "real singing"),
        ("stems", "lmms_c64", "electronic"),
        ("stems", "eif_lithium_a", "electronic"),
        ("stems", "mdn_song_5stems", "band"),
        ("drums", "fluid_dnb", "all"),
        ("auto", "fluid_dnb", "drums"),
    ],
)
def test_kinds(bench, task, item, kind):
    assert bench.corpus.kind_of(task, "drums", item) == kind


def test_references_are_named_as_the_stems(bench):
    references = {name: noise(i) for i, name in enumerate(["vocals", "drums", "keys", "pad_bass"])}
    named = bench.corpus.sources_for("stems", references)
    assert list(named) == ["drums", "other"]
    rest = references["vocals"] + references["keys"] + references["pad_bass"]
    np.testing.assert_allclose(named["other"], rest)
    named = bench.corpus.sources_for("four-stems", {**references, "bass": noise(9)})
    assert list(named) == ["vocals", "drums", "bass", "other"]
    np.testing.assert_allclose(named["other"], references["keys"] + references["pad_bass"])


def test_four_stems_need_a_voice(bench, tmp_path):
    write_item(tmp_path, "multitrack", "sung", {"drums": noise(0), "vocals": noise(1)})
    write_item(tmp_path, "multitrack", "played", {"drums": noise(2), "bass": noise(3)})
    found = bench.corpus.find_items(tmp_path, ["stems", "four-stems"], "*")
    assert [(task, path.name) for task, path in found] == [
        ("stems", "played"),
        ("stems", "sung"),
        ("four-stems", "sung"),
    ]


# --- which stem stands for which references --------------------------------------------------


@pytest.mark.parametrize(
    ("references", "stems", "expected"),
    [
        # (what is summed on either side, by name)
        ("drums bass other", "drums bass other", "drums=drums bass=bass other=other"),
        ("drums other", "drums bass other", "drums=drums other=bass+other"),
        ("vocals drums keys", "drums bass other", "drums=drums vocals+keys=bass+other"),
        (
            "vocals drums keys",
            "vocals drums bass other",
            "vocals=vocals drums=drums keys=bass+other",
        ),
        (
            "vocals drums bass keys horns",
            "vocals drums bass other",
            "vocals=vocals drums=drums bass=bass keys+horns=other",
        ),
        ("vocals accompaniment", "drums bass other", "vocals+accompaniment=drums+bass+other"),
        (
            "vocals accompaniment",
            "vocals drums bass other",
            "vocals=vocals accompaniment=drums+bass+other",
        ),
        ("vocals drums bass keys", "vocals accompaniment", "vocals=vocals drums+bass+keys=acc"),
        ("harmonic percussive", "drums bass other", "percussive=drums harmonic=bass+other"),
        (
            "harmonic percussive",
            "vocals drums bass other",
            "percussive=drums harmonic=vocals+bass+other",
        ),
        ("harmonic percussive", "kick snare hihat", "percussive=kick+snare+hihat"),
        ("kick snare hihat", "drums bass other", "kick+snare+hihat=drums"),
        ("kick snare hihat", "kick snare hihat tom", "kick=kick snare=snare hihat=hihat"),
        ("violin cello", "drums bass other", "violin+cello=bass+other"),
        ("violin cello", "vocals accompaniment", "violin+cello=acc"),
        ("violin cello", "harmonic percussive", "violin+cello=harmonic"),
    ],
)
def test_what_stands_for_what(bench, references, stems, expected):
    sources = {name: np.full((1, 3), 2.0**i) for i, name in enumerate(references.split())}
    guesses = {name: np.full((1, 3), 3.0**i) for i, name in enumerate(stems.split())}
    wanted = []
    for pair in expected.split():
        left, right = pair.replace("acc", "accompaniment").split("=")
        left = left.replace("accompanimentompaniment", "accompaniment")
        right = right.replace("accompanimentompaniment", "accompaniment")
        wanted.append(
            (
                sum(sources[n][0, 0] for n in left.split("+")),
                sum(guesses[n][0, 0] for n in right.split("+")),
            )
        )
    matched = bench.corpus.matched(sources, guesses)
    assert sorted((r[0, 0], e[0, 0]) for r, e in matched.values()) == sorted(wanted)


def test_stems_that_nothing_belongs_to_are_reported_with_their_level(bench, monkeypatch):
    item = item_of(bench, "auto", {"violin": noise(0), "cello": noise(1)})
    guesses = {"drums": 0.1 * item.mixture, "bass": item.mixture, "other": 0 * item.mixture}
    monkeypatch.setattr(bench.methods, "estimate", lambda *_: guesses)
    row = bench.methods.measure(item, "ours", 0)
    assert row["without_reference"] == {"drums": pytest.approx(-20.0, abs=0.1)}
    assert row["without_stem"] == []


def test_loud_stems_of_nothing_are_counted(bench, capsys):
    rows = [row_of("ours", item, task="auto", kind="pitched", other=1.0) for item in "abc"]
    rows[0]["without_reference"] = {"vocals": -10.0, "drums": -40.0}
    rows[1]["without_reference"] = {"drums": -30.0}
    bench.report.print_task("auto", rows, 1)
    assert "items with a stem of nothing above -20 dB of the mixture: 1" in capsys.readouterr().out


def test_sources_that_no_stem_stands_for_are_reported(bench, monkeypatch):
    item = item_of(bench, "drums", {"kick": noise(0), "toms": noise(1)}, "drums")
    guesses = {"kick": item.mixture, "snare": 0 * item.mixture}
    monkeypatch.setattr(bench.methods, "estimate", lambda *_: guesses)
    row = bench.methods.measure(item, "ours", 0)
    assert row["without_stem"] == ["toms"]
    assert list(row["without_reference"]) == ["snare"]
    assert "toms WITHOUT A STEM" in bench.report._words(row)


def test_a_reference_that_is_all_of_the_mixture_does_not_count(bench):
    item = item_of(bench, "auto", {"violin": noise(0), "cello": noise(1)})
    score = bench.methods.scores(item, item.mixture, 0.5 * item.mixture)
    assert score["whole"]
    row = {"sources": {"bass+other": score}}
    assert bench.summaries.improvements(row) == []


@pytest.mark.parametrize(
    ("references", "stems", "improvements", "missed"),
    [
        ("vocals accompaniment", "drums bass other", [0.0], ["vocals"]),
        ("kick snare hihat", "drums bass other", [0.0], []),
        ("violin cello", "drums bass other", [], []),
        ("vocals", "drums bass other", [], ["vocals"]),
        ("vocals drums keys", "drums bass other", None, ["vocals"]),
        ("vocals drums keys", "vocals drums bass other", None, []),
    ],
)
def test_what_should_have_been_told_apart_counts_as_nothing_done(
    bench, monkeypatch, references, stems, improvements, missed
):
    item = item_of(bench, "auto", {name: noise(i) for i, name in enumerate(references.split())})
    parts = {name: noise(90 + i)[None] for i, name in enumerate(stems.split())}
    monkeypatch.setattr(bench.methods, "estimate", lambda *_: parts)
    row = bench.methods.measure(item, "ours", 0)
    assert row["missed"] == missed
    assert ("voice missed" in bench.docs.own_words(row)) == bool(missed)
    assert ("vocals MISSED" in bench.report._words(row)) == bool(missed)
    if improvements is not None:
        assert bench.summaries.improvements(row) == improvements


def test_a_voice_that_is_silent_is_not_missed(bench):
    assert bench.corpus.voices_missed({"vocals": 0 * noise(0), "keys": noise(1)}, ["other"]) == []


def test_missed_voices_are_in_the_means(bench):
    rows = [row_of("ours", i, task="auto", kind="singing", vocals=9.0) for i in "ab"]
    failed = row_of("ours", "c", task="auto", kind="singing")
    score = {"whole": True, "si_sdr": 140.0, "si_sdr_improvement": 0.0}
    failed |= {"sources": {"drums+bass+other": score}, "missed": ["vocals"]}
    summary = bench.summaries.summaries_of([*rows, failed])["ours"]
    assert (summary["n_items"], summary["sii_mean"], summary["si_sdr_mean"]) == (3, 6.0, 9.0)
    assert summary["n_sources_below_mixture"] == 0
    words = "**0.0** (drums+bass+other keeps SI-SDR 140.0, voice missed)"
    assert bench.docs.own_words(failed) == words
    assert "| auto, singing | 3 | – | **6.0** |" in bench.docs.overview(
        bench.report.content_of([*rows, failed])
    )


def test_only_missed_voices_can_be_summed_up(bench, capsys):
    row = row_of("ours", task="auto", kind="singing")
    score = {"whole": True, "si_sdr": 140.0, "si_sdr_improvement": 0.0}
    row |= {"sources": {"bass+other": score}, "missed": ["vocals"]}
    assert bench.summaries.summaries_of([row])["ours"]["si_sdr_mean"] is None
    bench.report.print_task("auto", [row], 1)
    assert "vocals MISSED" in capsys.readouterr().out


def test_components_take_the_best_order(bench):
    item = item_of(bench, "components", {"a": noise(1), "b": noise(2)}, "bio")
    named = bench.methods.with_names(item, {"source-1": noise(2), "source-2": noise(1)})
    np.testing.assert_array_equal(named["a"], noise(1))
    np.testing.assert_array_equal(named["b"], noise(2))


def test_swapped_drums_are_noticed(bench):
    kick, snare = (noise(i)[None] for i in (1, 2))
    right = {"kick": (kick, kick + 0.1 * snare), "snare": (snare, snare)}
    wrong = {"kick": (kick, snare), "snare": (snare, snare + kick / 2)}
    assert bench.methods.misnamed(right) == []
    assert bench.methods.misnamed(wrong) == ["kick"]


def test_a_silent_source_is_reported_and_left_out(bench, tmp_path):
    folder = write_item(
        tmp_path,
        "multitrack",
        "x",
        {"drums": click_track(), "bass": 0 * tone(60), "keys": tone(700)},
    )
    item = bench.corpus.load_item("stems", folder, short=False)
    row = bench.methods.measure(item, "do-nothing", 0)
    assert row["sources"]["bass"]["silent"]
    assert bench.summaries.improvements(row) == pytest.approx([0.0, 0.0])


@pytest.mark.slow
def test_the_first_ten_seconds_at_22_khz(bench):
    samples, sr = bench.corpus.shortened(np.zeros((2, 44100 * 11), np.float32), 44100)
    assert sr == 22050
    assert samples.shape == (2, 220500)


# --- oracles and peers -----------------------------------------------------------------------


def test_oracles_are_near_the_truth(bench):
    item = item_of(bench, "stems", {"drums": click_track(), "bass": tone(60), "other": tone(700)})
    for method in ("oracle ratio mask", "oracle Wiener"):
        row = bench.methods.measure(item, method, 0)
        assert all(s["si_sdr"] > 10.0 for s in row["sources"].values())


def repeating_with_voice(n=SR * 6):
    """A bar of noise bursts and a chord that repeats each second, and a gliding tone above it."""
    t = np.arange(n) / SR
    bar = np.random.default_rng(0).standard_normal(SR) * np.exp(-6 * (np.arange(SR) % 2000) / SR)
    back = 0.1 * np.tile(bar, n // SR) + 0.1 * np.sin(2 * np.pi * 220 * t)
    phase = 2 * np.pi * (500 * t + 60 * np.sin(2 * np.pi * 0.37 * t))
    return {
        "vocals": 0.3 * np.sin(phase) * (np.sin(2 * np.pi * 0.21 * t) > 0),
        "accompaniment": back,
    }


@pytest.mark.parametrize(("peer", "least"), [("REPET-SIM", 1.5), ("RPCA", 4.0)])
def test_peers_find_a_voice_over_what_repeats(bench, peer, least):
    item = item_of(bench, "vocals", repeating_with_voice(), "singing")
    estimates = bench.peers.PEERS[peer](item)
    np.testing.assert_allclose(sum(estimates.values()), item.mixture, atol=1e-5)
    gains = [
        bench.corpus.si_sdr(reference, estimates[name])
        - bench.corpus.si_sdr(reference, item.mixture)
        for name, reference in item.references.items()
    ]
    assert np.mean(gains) > least
    low = np.abs(np.fft.rfft(estimates["vocals"][0]))[: 90 * 6]
    assert low.max() < 0.01 * np.abs(np.fft.rfft(item.mixture[0])).max()


def test_robust_pca_takes_a_matrix_apart(bench):
    rng = np.random.default_rng(0)
    low_rank = rng.random((60, 2)) @ rng.random((2, 90))
    sparse = np.where(rng.random((60, 90)) < 0.04, 5.0, 0.0)
    for transposed in (False, True):
        V = (low_rank + sparse).T if transposed else low_rank + sparse
        L, S = bench.peers.robust_pca(V)
        np.testing.assert_allclose(L + S, V, atol=1e-4)
        np.testing.assert_allclose(L, low_rank.T if transposed else low_rank, atol=0.02)
    silent = bench.peers.robust_pca(np.zeros((3, 4)))
    assert not silent[0].any()
    assert not silent[1].any()


def test_singular_values_are_lessened(bench):
    V = np.random.default_rng(0).standard_normal((7, 5))
    u, s, v = np.linalg.svd(V, full_matrices=False)
    expected = u * np.maximum(s - 1.0, 0.0) @ v
    np.testing.assert_allclose(bench.peers.shrunk_spectrum(V, 1.0), expected, atol=1e-9)
    np.testing.assert_allclose(bench.peers.shrunk_spectrum(V.T, 1.0), expected.T, atol=1e-9)


def test_the_most_alike_frames_keep_their_distance(bench):
    similarities = np.array([0.9, 0.8, 1.0, 0.95, 0.1, 0.7, 0.6, 0.0])
    assert bench.peers.most_alike(similarities, 2, 9, 2) == [0, 5]
    assert bench.peers.most_alike(similarities, 2, 1, 1) == [3]


@pytest.mark.slow
def test_hpss_and_the_cascades_give_the_stems_of_their_tasks(bench):
    sources = {"drums": click_track(), "bass": tone(60), "other": tone(700)}
    item = item_of(bench, "stems", sources)
    assert bench.summaries.mean_of(bench.methods.measure(item, "librosa HPSS", 0)) > 5.0
    sung = {**sources, "vocals": repeating_with_voice(SR * 2)["vocals"]}
    item = item_of(bench, "four-stems", sung)
    for peer in ("REPET-SIM, then HPSS", "RPCA, then HPSS"):
        estimates = bench.peers.PEERS[peer](item)
        assert set(estimates) == {"vocals", "drums", "bass", "other"}
        np.testing.assert_allclose(sum(estimates.values()), item.mixture, atol=1e-4)


def test_clusters_of_components_tell_a_click_from_a_tone(bench):
    item = item_of(bench, "drums", {"kick": tone(60), "hihat": click_track()}, "drums")
    row = bench.methods.measure(item, "NMF + MFCC", 0)
    assert bench.summaries.mean_of(row) > 3.0


def test_every_task_has_its_peers_and_every_peer_a_task(bench):
    assert set(bench.peers.PEERS_OF) == set(bench.corpus.TASKS)
    used = {peer for peers in bench.peers.PEERS_OF.values() for peer in peers}
    assert used == set(bench.peers.PEERS)
    for task, rivals in bench.goals.RIVALS.items():
        assert set(rivals) <= set(bench.peers.PEERS_OF[task])


def test_what_cannot_be_run_says_why(bench, monkeypatch):
    assert bench.methods.why_not("stems", "ours") is None
    assert bench.methods.why_not("juggling", "ours") == "there is no preset juggling"
    monkeypatch.setitem(sys.modules, "libnmfd", None)
    assert bench.methods.why_not("drums", "libnmfd NMFD") == "not installed"


def test_the_convolutive_peer_runs_where_it_is_installed(bench):
    kick = scenes.notes(SR, 2.0, (60.0,), 0.5, decay=20.0, amplitudes=(1.0,))
    hihat = 0.3 * scenes.hits(SR, 2.0, 0.25, start=0.125)
    item = item_of(bench, "drums", {"kick": kick, "hihat": hihat}, "drums")
    if not bench.peers.installed("libnmfd NMFD"):
        assert bench.methods.why_not("drums", "libnmfd NMFD") == "not installed"
        return
    assert bench.summaries.mean_of(bench.methods.measure(item, "libnmfd NMFD", 0)) > 5.0


# --- the report ------------------------------------------------------------------------------


def row_of(method, item="x", task="vocals", kind="real singing", seed=0, half="unseen", **sii):
    return {
        "task": task,
        "item": item,
        "folder": "singing",
        "kind": kind,
        "half": half,
        "method": method,
        "seed": seed,
        "seconds": 1.0,
        "sources": {n: {"si_sdr": v, "si_sdr_improvement": v, "snr": v} for n, v in sii.items()},
        "misnamed": [],
        "without_stem": [],
        "without_reference": {},
        "findings": [],
    }


def goal_values(bench, rows):
    return {
        (g.task, g.kind, g.what): (round(g.value, 6), g.reached) for g in bench.goals.goals_of(rows)
    }


def test_goals_of_voices(bench):
    rows = [
        row_of("ours", "x", vocals=8.0, accompaniment=8.0),
        row_of("ours", "y", vocals=2.0, accompaniment=-2.0),
        row_of("RPCA", "x", vocals=3.0, accompaniment=3.0),
        row_of("RPCA", "y", vocals=1.0, accompaniment=1.0),
        row_of("REPET-SIM", "x", vocals=1.0, accompaniment=1.0),
        row_of("REPET-SIM", "y", vocals=0.0, accompaniment=0.0),
        row_of("oracle ratio mask", "x", vocals=10.0, accompaniment=10.0),
        row_of("oracle ratio mask", "y", vocals=6.0, accompaniment=6.0),
    ]
    values = goal_values(bench, rows)
    where = ("vocals", "real singing")
    assert values[(*where, "dB below the oracle ratio mask")] == (4.0, True)
    assert values[(*where, "dB above the better of REPET-SIM and RPCA")] == (2.0, False)
    assert values[(*where, "share of items better than both")] == (0.5, False)
    assert values[("vocals", "all", "share of stems below the mixture")] == (0.25, False)


def test_goals_of_the_other_tasks(bench):
    rows = [
        row_of("ours", task="drums", kind="all", kick=9.0),
        {**row_of("ours", "y", task="drums", kind="all", kick=5.0), "misnamed": ["kick"]},
        row_of("oracle ratio mask", task="drums", kind="all", kick=6.0),
        row_of("ours", task="stems", kind="band", drums=8.5),
        row_of("librosa HPSS", task="stems", kind="band", drums=9.0),
        row_of("ours", task="stems", kind="electronic", drums=6.5),
        row_of("ours", task="four-stems", kind="all", drums=9.0),
        row_of("ours", task="harmonic-percussive", kind="all", percussive=5.0),
        row_of("librosa HPSS", task="harmonic-percussive", kind="all", percussive=3.0),
    ]
    values = goal_values(bench, [row for row in rows if row["kind"] != "electronic"])
    assert values[("drums", "all", "dB above the oracle ratio mask")] == (1.0, True)
    wrong = "items with a stem that is more like another name's"
    assert values[("drums", "all", wrong)] == (1.0, False)
    assert values[("stems", "band", "SIi in dB")] == (8.5, True)
    assert values[("stems", "band", "dB above librosa HPSS")] == (-0.5, False)
    assert values[("four-stems", "all", "SIi in dB")] == (9.0, True)
    assert values[("harmonic-percussive", "all", "dB above librosa HPSS")] == (2.0, True)
    unknown = [g for g in bench.goals.goals_of(rows) if g.kind == "electronic"]
    assert [(g.value, g.reached) for g in unknown] == [(6.5, False), (None, None)]


def test_ours_is_judged_by_its_first_seed_and_shown_with_all(bench):
    rows = [row_of("ours", seed=s, vocals=v) for s, v in enumerate((5.0, 6.0, 9.0))]
    summary = bench.summaries.summaries_of(rows)["ours"]
    assert summary["sii_mean"] == 5.0
    assert summary["sii_mean_per_seed"] == [5.0, 6.0, 9.0]
    assert bench.summaries.better_than_all([*rows, row_of("RPCA", vocals=5.5)], ["RPCA"]) == 0.0


def test_a_whole_run(bench, tmp_path, capsys):
    write_item(
        tmp_path, "harmonic_percussive", "one", {"harmonic": tone(440), "percussive": click_track()}
    )
    sources = {"drums": click_track(), "bass": tone(60), "keys": tone(700), "vocals": 0 * tone(1)}
    write_item(tmp_path, "multitrack", "two", sources)
    out = tmp_path / "out.json"
    methods = ["do-nothing", "ours", "librosa HPSS", "oracle ratio mask", "oracle Wiener"]
    tasks = ["--tasks", "harmonic-percussive,stems"]
    arguments = [str(tmp_path), "--json", str(out), "--seeds", "2", "--methods", *methods, *tasks]
    assert bench.main.main(arguments) == 0
    printed = capsys.readouterr().out
    assert "multitrack/two: vocals is silent" in printed
    assert "2 seeds" in printed
    assert "harmonic_percussive/one [unseen]" in printed
    assert "dB above librosa HPSS" in printed
    content = json.loads(out.read_text())
    for task in ("harmonic-percussive", "stems"):
        summary = content["summary"][task]
        assert summary["do-nothing"]["sii_mean"] == pytest.approx(0.0)
        assert summary["ours"]["sii_mean"] > 3.0
        assert summary["oracle ratio mask"]["sii_mean"] > summary["ours"]["sii_mean"]
        assert len(summary["ours"]["sii_mean_per_seed"]) == 2
    assert content["kinds"]["stems"].keys() == {"band"}
    assert content["halves"]["stems"].keys() == {"unseen"}
    assert len(content["rows"]) == 2 * (len(methods) + 1)
    assert {goal["task"] for goal in content["goals"]} == {"harmonic-percussive", "stems"}


@pytest.mark.parametrize(
    ("arguments", "message"), [(["--tasks", "x"], "unknown task"), ([], "no item")]
)
def test_wrong_use_says_why(bench, tmp_path, capsys, arguments, message):
    with pytest.raises(SystemExit):
        bench.main.main([str(tmp_path), *arguments])
    assert message in capsys.readouterr().err


def test_without_a_corpus_there_is_nothing_to_measure(bench, capsys):
    with pytest.raises(SystemExit):
        bench.main.main([])
    assert "give a CORPUS" in capsys.readouterr().err


def test_a_failure_costs_its_item_alone_and_is_told(bench, tmp_path, capsys, monkeypatch):
    sources = {"harmonic": tone(440), "percussive": click_track()}
    write_item(tmp_path, "harmonic_percussive", "bad", sources)
    write_item(tmp_path, "harmonic_percussive", "good", sources)
    measure = bench.methods.measure

    def failing(item, method, seed):
        if (item.name, method) == ("bad", "ours"):
            raise RuntimeError("out of luck")
        return measure(item, method, seed)

    monkeypatch.setattr(bench.main, "measure", failing)
    out = tmp_path / "out.json"
    arguments = [str(tmp_path), "--tasks", "harmonic-percussive", "--no-audit", "--json", str(out)]
    assert bench.main.main([*arguments, "--methods", "ours", "do-nothing"]) == 1
    said = "ours, harmonic_percussive/bad: failed on harmonic_percussive/bad: RuntimeError: out of"
    assert said in capsys.readouterr().out
    summary = json.loads(out.read_text())["summary"]["harmonic-percussive"]
    assert (summary["ours"]["n_items"], summary["do-nothing"]["n_items"]) == (1, 2)


def test_what_was_run_earlier_is_taken_over(bench, tmp_path):
    sources = {"harmonic": tone(440), "percussive": click_track()}
    write_item(tmp_path, "harmonic_percussive", "one", sources)
    first, second = tmp_path / "first.json", tmp_path / "second.json"
    arguments = [str(tmp_path), "--tasks", "harmonic-percussive", "--no-audit", "--methods"]
    methods = ["ours", "librosa HPSS", "oracle ratio mask"]
    assert bench.main.main([*arguments, *methods, "--json", str(first)]) == 0
    content = json.loads(first.read_text())
    for row in content["rows"]:
        row["seconds"] = -1.0
    first.write_text(json.dumps(content))
    reused = [*arguments, *methods, "--reuse", str(first), "--json", str(second)]
    assert bench.main.main(reused) == 0
    seconds = {r["method"]: r["seconds"] for r in json.loads(second.read_text())["rows"]}
    assert seconds["ours"] > 0.0
    assert seconds["librosa HPSS"] == seconds["oracle ratio mask"] == -1.0
    with pytest.raises(SystemExit, match="another --short"):
        bench.main.main([*reused, "--short"])


# --- the benchmark of time -------------------------------------------------------------------


@pytest.fixture
def bench_split(bench):
    yield importlib.import_module("bench_split")
    sys.modules.pop("bench_split", None)


def test_the_signal_is_as_long_as_wanted(bench_split):
    samples = bench_split.strung_together(100.0)
    assert samples.shape == (100 * 44100, 2)
    assert np.abs(samples).max() <= 1.0


@pytest.mark.parametrize("peer", ["librosa HPSS", "REPET-SIM", "RPCA"])
def test_a_peer_is_timed_as_a_process_of_its_own(bench_split, tmp_path, peer):
    soundfile.write(tmp_path / "a.wav", bench_split.strung_together(0.5), SR)
    clock = tmp_path / "seconds"
    arguments = ["--peer", peer, "--audio", str(tmp_path / "a.wav"), "--json", str(clock)]
    assert bench_split.main(arguments) == 0
    assert float(clock.read_text()) > 0.0


def test_time_is_told_in_multiples_of_real_time(bench_split):
    row = bench_split.Measured(
        what="x", how="once", n_cores=1, audio_s=180.0, seconds=9.0, cpu_s=9.0, megabytes=1.0
    )
    assert row.times_real_time == 20.0


# --- tables in the docs ----------------------------------------------------------------------


@pytest.fixture
def content(bench):
    rows = [
        row_of("do-nothing", half="choose", vocals=0.0, accompaniment=0.0),
        row_of("ours", half="choose", vocals=8.0, accompaniment=-1.0),
        row_of("RPCA", half="choose", vocals=3.0, accompaniment=3.0),
        row_of("oracle ratio mask", half="choose", vocals=12.0, accompaniment=12.0),
    ]
    return bench.report.content_of(rows)


def test_tables_go_between_their_marks(bench, tmp_path, content):
    page = "before\n<!-- quality:{0} -->\nold\n<!-- /quality:{0} -->\nafter\n"
    (tmp_path / "docs" / "methods").mkdir(parents=True)
    method = tmp_path / "docs" / "methods" / "vocals.md"
    method.write_text(page.format("items-vocals"))
    (tmp_path / "docs" / "other.md").write_text("nothing to fill\n")
    readme, docs = tmp_path / "README.md", tmp_path / "docs" / "quality.md"
    readme.write_text(page.format("overview"))
    docs.write_text(page.format("items-vocals") + page.format("items-drums"))
    written = bench.docs.write_docs(content, tmp_path)
    assert written == [
        "README.md: overview",
        "docs/methods/vocals.md: items-vocals",
        "docs/quality.md: items-vocals",
    ]
    assert docs.read_text().startswith(method.read_text())
    assert readme.read_text() == (
        "before\n<!-- quality:overview -->\n"
        "| task | items | best peer | audiosep | oracle ratio mask | stems below mixture |\n"
        "| --- | ---: | ---: | ---: | ---: | ---: |\n"
        "| vocals, real singing | 1 | 3.0 (RPCA) | **3.5** | 12.0 | 1 of 2 |\n"
        "<!-- /quality:overview -->\nafter\n"
    )
    assert (
        "| x (choose) | **3.5** (vocals 8.0, accompaniment -1.0) | 3.0 | 12.0 |" in docs.read_text()
    )
    assert "quality:items-drums -->\nold\n" in docs.read_text()  # not measured: left as it was
    assert bench.docs.write_docs(content, tmp_path) == written
    assert readme.read_text().count("3.5") == 1


def test_stems_of_nothing_are_in_the_tables(bench):
    row = row_of("ours", task="auto", kind="pitched")
    row["sources"] = {"bass+other": {"whole": True, "si_sdr": 11.04}}
    row["without_reference"] = {"vocals": -10.9, "drums": -30.0}
    words = "– (bass+other keeps SI-SDR 11.0, vocals of nothing at -11 dB)"
    assert bench.docs.own_words(row) == words
    assert words in bench.docs.items([row])


def test_all_tables_are_tables(bench, content):
    tables = bench.docs.tables_of(content)
    assert set(tables) == {"overview", "halves", "goals", "items-vocals", "shares-vocals"}
    for text in tables.values():
        assert len({line.count("|") for line in text.splitlines()}) == 1


def test_tables_of_an_earlier_run(bench, tmp_path, content, monkeypatch):
    (tmp_path / "out.json").write_text(json.dumps(content))
    seen = []
    monkeypatch.setattr(bench.main, "write_docs", seen.append)
    assert bench.main.main(["--json", str(tmp_path / "out.json"), "--write-docs"]) == 0
    assert seen == [json.loads(json.dumps(content))]


def test_every_mark_in_the_docs_is_of_a_table(bench):
    root = SCRIPTS.parent
    tasks = bench.main.ALL_TASKS
    known = {"overview", "halves", "goals"}
    known |= {f"{table}-{task}" for task in tasks for table in ("items", "shares", "ideas")}
    pages = bench.docs.pages()
    assert {"README.md", "docs/quality.md", "docs/methods/vocals.md"} <= set(pages)
    for page in pages:
        names = bench.docs._MARK.findall((root / page).read_text("utf-8"))
        assert set(names) <= known
