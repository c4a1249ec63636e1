"""The speed benchmark itself: its objective, its clocks, its tables; on tiny matrices."""

from __future__ import annotations

import importlib
import importlib.util
import json
import math
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audiosep.nmf import beta_divergence

SCRIPTS = Path(__file__).parents[1] / "scripts"


@pytest.fixture(scope="module")
def bench():
    sys.path.insert(0, str(SCRIPTS))
    try:
        yield importlib.import_module("bench_nmf")
    finally:
        sys.path.remove(str(SCRIPTS))
        for name in ("bench_nmf", "_nmf_peers"):
            sys.modules.pop(name, None)


@pytest.fixture
def peers(bench):
    return sys.modules["_nmf_peers"]


@pytest.fixture(scope="module")
def V():
    rng = np.random.default_rng(0)
    data = rng.gamma(0.5, size=(60, 4)) @ rng.gamma(0.5, size=(4, 20))
    return (data / data.mean()).astype(np.float32).T


def test_the_objective_is_the_projects_own(bench, V):
    W, H = bench.start_of(V, 3, 0)
    for beta in (0.5, 1.0, 2.0):
        exact = beta_divergence(V, W.astype(float) @ H.astype(float), beta)
        assert bench.objective(V, W, H, beta) == pytest.approx(exact, rel=1e-9)


def test_no_entry_is_below_the_epsilon_of_a_library(peers, V):
    V = V.copy()
    V[3, 4] = 0.0
    assert peers.without_zeros(V, 1.0) is V
    assert peers.without_zeros(V, 0.0).min() > 100 * np.finfo(np.float32).eps


def test_a_model_of_zero_costs_much_but_not_everything(bench, V):
    W, H = bench.start_of(V, 3, 0)
    assert math.isfinite(bench.objective(V, W * 0, H, 1.0))
    assert bench.objective(V, W * 0, H, 1.0) > bench.objective(V, W, H, 1.0)


def test_one_row_for_each_number_of_threads(bench, V, monkeypatch):
    monkeypatch.setattr(bench, "rates", lambda threads: (1e9, 1e9))
    one, two = bench.per_iteration(V, 3, 1.0, [1, 2], n_iter=2, runs=2)
    assert (one["threads"], two["threads"]) == (1, 2)
    for row in (one, two):
        assert row["ms"] > 0
        assert row["scikit-learn_ms"] > 0
        assert row["scikit-learn_ratio"] > 0
        assert row["roofline"] > 0
    assert "speed_up" not in one
    assert two["speed_up"] > 0


def test_the_bound_is_four_products_and_two_divisions(bench, V):
    assert bench.bound(V, 3, (2.0, 4.0)) == pytest.approx(V.size * (8 * 3 / 2 + 2 / 4))


@pytest.mark.parametrize("beta", [0.0, 1.0, 2.0])
def test_time_to_the_objective_has_a_row_and_a_ratio_for_each_seed(bench, V, monkeypatch, beta):
    monkeypatch.setattr(bench, "OBJECTIVE_ITERATIONS", 12)
    row = bench.to_objective(V, 3, beta, seeds=2)
    assert row["scikit-learn_s"] > 0
    for solver in bench.OUR_SOLVERS:
        assert len(row[f"{solver}_ratios"]) == 2
        assert 0 <= row[f"{solver}_iterations"] <= 12


def test_the_same_updates_from_the_same_start_reach_the_same_objective(bench, V):
    W0, H0 = bench.start_of(V, 3, 0)
    W, H = bench.ScikitLearn().prepare(V, W0, H0, 1.0, 20)()
    target = bench.objective(V, W, H, 1.0)
    bench.OBJECTIVE_ITERATIONS, before = 25, bench.OBJECTIVE_ITERATIONS
    try:
        seconds, iterations = bench.until(V, W0, H0, 1.0, "mu", target, loss_every=1)
        assert bench.until(V, W0, H0, 1.0, "mu", 0.0, loss_every=1) == (math.inf, 25)
    finally:
        bench.OBJECTIVE_ITERATIONS = before
    assert 0 < seconds < math.inf
    assert 19 <= iterations <= 21


def test_a_library_is_stopped_at_the_target_and_looking_is_not_timed(bench, peers, V):
    W0, H0 = bench.start_of(V, 3, 0)
    good = bench.ScikitLearn().prepare(V, W0, H0, 1.0, 20)()
    looks = []

    class Slow(peers.Peer):
        def watch(self, V, W0, H0, beta, cap, look):
            time.sleep(0.1)

            def call():
                for factors in [(W0, H0)] * 3 + [good] * 3:
                    looks.append(factors)
                    look(factors[0], lambda H=factors[1]: time.sleep(0.1) or H)

            return call

    target = bench.objective(V, *good, 1.0)
    assert Slow().until(V, W0, H0, 1.0, 200, target) < 0.3
    assert len(looks) == 4
    assert Slow().until(V, W0, H0, 1.0, 200, 0.0) == math.inf


def test_a_missing_library_has_no_version_and_no_column(bench, V, monkeypatch):
    find = importlib.util.find_spec
    absent = [p.module for p in bench.PEERS.values()]
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name in absent else find(name)
    )
    assert [bench.library(n).version() for n in bench.PEERS] == [None] * 3
    assert bench.able(bench.PEERS, 1.0) == []
    assert bench.library("scikit-learn").version()


def test_no_library_is_asked_for_a_divergence_it_cannot_do(bench):
    can = {n: [b for b in (0.0, 0.5, 1.0, 2.0) if p.can(b)] for n, p in bench.PEERS.items()}
    assert can == {"torchnmf": [0.0, 0.5, 1.0, 2.0], "nimfa": [1.0, 2.0], "gensim": [2.0]}


def test_where_we_never_arrive_we_win_by_a_factor_of_zero(bench):
    assert bench.quotients([4.0, 4.0, math.inf], [2.0, math.inf, 2.0]) == [2.0, 0.0, math.inf]


def test_slow_down_has_both_solvers_and_scikit_learn(bench, V):
    rows = bench.slow_down(V, 2, runs=1)
    expected = [*(f"audiosep {s}" for s in bench.OUR_SOLVERS), "scikit-learn"]
    assert [r["library"] for r in rows] == expected
    assert all(r["slow_down"] > 0 for r in rows)


def test_a_short_signal_is_repeated_but_not_where_that_would_be_easier(bench, tmp_path):
    folder = tmp_path / "a"
    folder.mkdir()
    noise = 0.1 * np.random.default_rng(0).standard_normal(44_100)
    soundfile.write(folder / "mixture.flac", noise, 44_100)
    soundfile.write(folder / "ref_noise.flac", noise, 44_100)
    soundfile.write(tmp_path / "mixture.wav", noise, 22_050)
    assert bench.recordings([tmp_path]) == [folder / "mixture.flac"]
    once = bench.signal("real", [tmp_path], 3.0, repeat=False)
    long = bench.signal("real", [tmp_path], 3.0, repeat=True)
    assert once.shape == (1025, 87)
    assert long.shape == (1025, 259)
    assert long.T.flags.c_contiguous
    assert once.mean() == pytest.approx(1.0, rel=1e-4)
    np.testing.assert_array_equal(long[:, 87:174], once)
    assert bench.signal("synthetic", [], 0.5, repeat=True).min() > 0


def test_tables_are_aligned_and_say_what_is_missing(peers):
    columns = [("name", "name", "s"), ("ms", "ms", ".1f"), ("x", "never asked", "d")]
    rows = [{"name": "short", "ms": 1.25}, {"name": "a", "ms": math.inf}, {"name": "longer"}]
    assert peers.table(columns, rows).splitlines() == [
        "name       ms",
        "short     1.2",
        "a       never",
        "longer      -",
    ]


def test_goals_are_judged_by_their_worst_row(bench):
    cell = {"section": "objective", "signal": "real", "beta": 1.0}
    key = f"{bench.OUR_SOLVERS[-1]}_ratio"
    rows = [{**cell, "K": 16, key: 40.0}, {**cell, "K": 32, key: 29.0}]
    rows.append({"section": "memory", "library": "audiosep mu", "seconds": 1800.0, "of_limit": 0.9})
    verdicts = {v["goal"]: v for v in bench.judged(bench.goals(bench.SECTIONS), rows)}
    kl = verdicts["time to sklearn's objective, beta 1, over sklearn"]
    assert (kl["measured"], kl["reached"]) == (29.0, "no")
    memory = verdicts["peak memory, 30 min, mu, of 1.5 V + 200 MB"]
    assert (memory["wanted"], memory["reached"]) == ("<= 1", "yes")
    others = [v["reached"] for v in verdicts.values() if v not in (kl, memory)]
    assert set(others) == {"not measured"}


def test_goals_ask_for_columns_that_rows_have(bench, V, monkeypatch):
    monkeypatch.setattr(bench, "rates", lambda threads: (1e9, 1e9))
    monkeypatch.setattr(bench, "OBJECTIVE_ITERATIONS", 3)
    rows = {
        "per-iteration": bench.per_iteration(V, 3, 1.0, [1, 2], n_iter=1, runs=1),
        "objective": [bench.to_objective(V, 3, 1.0, seeds=1)],
    }
    for section, found in rows.items():
        keys = {k for row in found for k in row}
        goals = [g for g in bench.goals([section]) if not g.key.endswith("_of_sklearn")]
        assert goals
        assert {g.key for g in goals} <= keys


def test_never_is_null_in_json(bench):
    assert (
        json.dumps(bench.finite({"a": [math.inf, 1.0], "b": "x"})) == '{"a": [null, 1.0], "b": "x"}'
    )


def test_the_child_reports_its_own_peak_not_its_parents(bench):
    arguments = bench.parsed(["--memory"])
    ballast = np.ones(120_000_000, np.float32)  # 480 MB, which a child must not inherit
    row = bench.memory(arguments, 2.0, 4, "audiosep mu")
    assert ballast[0] == 1.0
    assert "failed" not in row
    assert row["V_mb"] < 1
    assert row["before_mb"] <= row["peak_mb"] < 480


def test_without_a_section_all_of_them_run(bench):
    assert bench.parsed([]).sections is None
    assert bench.parsed(["--memory", "--slow-down"]).sections == ["memory", "slow-down"]
    assert bench.parsed(["--peers"]).peers == []
