"""Several starts: the best is kept, each can be run again by itself, agreement is what it says."""

from __future__ import annotations

import inspect

import naive_initialize
import numpy as np
import pytest

from audiosep.errors import ParameterError
from audiosep.nmf import factorize
from audiosep.nmf.restarts import Restarts, factorize_restarts, match_components
from audiosep.types import Factorization, Stop

DTYPES = (np.float32, np.float64)


def blocks(rank=3, dtype=np.float64):
    """A matrix that can be taken apart in one way only."""
    return np.kron(np.eye(rank), np.ones((4, 5))).astype(dtype)


def noisy(rng, n_bins=30, n_frames=50, rank=4, dtype=np.float64):
    V = rng.gamma(0.5, size=(n_bins, rank)) @ rng.gamma(0.3, size=(rank, n_frames))
    return (V + 0.3 * rng.random(V.shape)).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_start_can_be_run_again_from_its_seed(rng, dtype):
    V = noisy(rng, dtype=dtype)
    settings = {"beta": 0.5, "max_iter": 15, "tol": 0.0}
    runs = factorize_restarts(V, 4, n_restarts=5, seed=11, **settings)
    alone = [factorize(V, 4, seed=seed, **settings) for seed in runs.seeds]
    np.testing.assert_array_equal(runs.losses, [run.losses[-1] for run in alone])
    best = alone[int(runs.losses.argmin())]
    assert runs.best.templates.tobytes() == best.templates.tobytes()
    assert runs.best.activations.tobytes() == best.activations.tobytes()
    assert runs.best.seed == runs.seeds[int(runs.losses.argmin())]
    assert runs.best.losses[-1] == runs.losses.min()


def test_the_first_start_is_that_of_factorize_and_more_starts_change_no_earlier_one(rng):
    V = noisy(rng)
    few, many = (factorize_restarts(V, 3, n_restarts=n, seed=5, max_iter=5) for n in (3, 7))
    assert few.seeds[0] == 5
    assert many.seeds[:3] == few.seeds
    assert len(set(many.seeds)) == 7
    assert all(type(seed) is int for seed in many.seeds)
    np.testing.assert_array_equal(many.losses[:3], few.losses)
    assert many.losses[0] == factorize(V, 3, seed=5, max_iter=5).losses[-1]
    assert many.losses.min() <= few.losses.min()
    again = factorize_restarts(V, 3, n_restarts=7, seed=5, max_iter=5)
    assert again.similarity.tobytes() == many.similarity.tobytes()
    assert factorize_restarts(V, 3, n_restarts=3, seed=6, max_iter=5).seeds[1] != few.seeds[1]


@pytest.mark.parametrize("compare", ["templates", "activations", "components"])
def test_what_can_be_found_in_one_way_only_is_stable(compare):
    runs = factorize_restarts(blocks(), 3, n_restarts=5, compare=compare, max_iter=300, tol=0)
    np.testing.assert_allclose(runs.similarity, 1.0, atol=1e-4)
    np.testing.assert_allclose(runs.stability, 1.0, atol=1e-4)
    assert runs.overall == pytest.approx(1.0, abs=1e-4)
    assert "All 3 components are stable" in runs.report()


def test_what_is_left_to_chance_is_not():
    # Two sounds are really there; the third component may take any part of either.
    rng = np.random.default_rng(0)
    V = blocks(2) @ np.diag(rng.uniform(0.5, 1.0, 10)) + 0.02 * rng.random((8, 10))
    runs = factorize_restarts(V, 4, n_restarts=8, max_iter=100)
    sure = factorize_restarts(V, 2, n_restarts=8, max_iter=100)
    assert sure.stability.min() > 0.999
    assert runs.stability.min() < 0.9
    assert (runs.lowest <= runs.stability).all()
    report = runs.report()
    shaky = np.flatnonzero(runs.stability < 0.9)
    assert f"{4 - len(shaky)} of 4 components are stable" in report
    for k in range(4):
        assert (f"component {k}:" in report) == (k in shaky)


def test_numbers_follow_from_the_table():
    similarity = np.array([[0.5, 0.9], [1.0, 1.0], [0.7, 0.82]])
    run = Factorization(
        templates=np.ones((3, 2)),
        activations=np.ones((2, 3)),
        losses=np.array([5.0, 2.0]),
        n_iter=1,
        stop=Stop.MAX_ITER,
        beta=1.0,
    )
    runs = Restarts(
        best=run,
        seeds=(0, 7, 9),
        losses=np.array([2.5, 2.0, 3.0]),
        similarity=similarity,
        compare="templates",
    )
    np.testing.assert_allclose(runs.stability, [0.6, 0.86])
    np.testing.assert_allclose(runs.lowest, [0.5, 0.82])
    assert runs.overall == pytest.approx(0.73)
    assert runs.spread == pytest.approx(0.5)
    lines = runs.report().splitlines()
    assert lines[0] == "Best of 3 starts: seed 7, objective 2; the worst start ends 50 % above it."
    assert lines[1].startswith("Agreement of the templates over the starts: 0.73 on average")
    assert lines[3:5] == [
        "component 0: 0.60 on average, 0.50 at worst.",
        "component 1: 0.86 on average, 0.82 at worst.",
    ]


def test_one_start_has_nothing_to_compare(rng):
    runs = factorize_restarts(noisy(rng), 3, n_restarts=1, max_iter=3)
    assert np.isnan(runs.stability).all()
    assert np.isnan(runs.lowest).all()
    assert runs.spread == 0.0
    assert runs.report().endswith("nothing to compare it with.")


def test_silence_and_given_factors_end_the_same_every_time(rng):
    runs = factorize_restarts(np.zeros((4, 5)), 2, n_restarts=3)
    assert runs.losses.tolist() == [0.0, 0.0, 0.0]
    assert runs.spread == 0.0
    assert runs.best.seed == 0
    V = noisy(rng)
    start = {"templates": V[:, :3] + 0.1, "activations": np.ones((3, V.shape[1]))}
    runs = factorize_restarts(V, n_restarts=3, max_iter=5, **start)
    assert "all starts end there" in runs.report()
    np.testing.assert_allclose(runs.similarity, 1.0)


def test_matching_is_the_best_there_is(rng):
    for K in (1, 2, 5):
        for _ in range(10):
            A, B = rng.gamma(0.5, size=(2, 8, K))
            order, similarity = match_components((A,), (B,))
            assert sorted(order) == list(range(K))
            assert similarity.sum() == pytest.approx(naive_initialize.best_matching(A, B))
            for k in range(K):
                cosine = naive_initialize.cosine(A[:, k], B[:, order[k]])
                assert similarity[k] == pytest.approx(cosine)


def test_a_permutation_is_undone_and_level_does_not_matter(rng):
    A = rng.gamma(0.5, size=(9, 6))
    moved = rng.permutation(6)
    for scale in (1e-300, 1e-12, 1.0, 1e12, 1e300):
        order, similarity = match_components((A,), (A[:, moved] * scale,))
        np.testing.assert_array_equal(moved[order], np.arange(6))
        np.testing.assert_allclose(similarity, 1.0)
        assert similarity.max() <= 1.0


def test_both_factors_are_compared_as_spectrograms(rng):
    W, H, X, Y = rng.gamma(0.5, size=(4, 9, 3))
    order, similarity = match_components((W, H), (X, Y))
    for k in range(3):
        one = np.outer(W[:, k], H[:, k]).ravel()
        other = np.outer(X[:, order[k]], Y[:, order[k]]).ravel()
        assert similarity[k] == pytest.approx(naive_initialize.cosine(one, other))


def test_dead_components_are_like_nothing():
    A = np.array([[1.0, 0.0], [0.0, 0.0]])
    np.testing.assert_array_equal(match_components((A,), (A,))[1], [1.0, 0.0])


def test_progress_runs_once_over_all_starts(rng):
    seen = []
    factorize_restarts(
        noisy(rng), 2, n_restarts=4, max_iter=5, tol=0, progress=lambda *now: seen.append(now)
    )
    assert {stage for stage, _ in seen} == {"factorize"}
    fractions = [fraction for _, fraction in seen]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert fractions[0] < 0.1


def test_results_do_not_depend_on_threads(rng):
    V = noisy(rng, 40, 3000, dtype=np.float32)
    one, two = (factorize_restarts(V, 3, n_restarts=2, max_iter=5, n_threads=n) for n in (1, 2))
    assert one.best.templates.tobytes() == two.best.templates.tobytes()
    assert one.similarity.tobytes() == two.similarity.tobytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_restarts": 0}, "n_restarts=0 must be a whole number of at least 1"),
        ({"n_restarts": 2.5}, "n_restarts=2.5 must be"),
        ({"seed": -1}, "seed=-1 must be a whole number of at least 0"),
        ({"seed": np.random.default_rng(0)}, "seed=.* must be a whole number"),
        ({"compare": "shapes"}, "compare 'shapes' is unknown; use templates, activations"),
        ({"maxiter": 3}, "'maxiter' is no setting of factorize; it has beta"),
        ({"n_components": 0}, "n_components=0"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ParameterError, match=message):
        factorize_restarts(np.ones((3, 4)), **{"n_components": 2, **arguments})


def test_every_setting_of_factorize_is_accepted_by_name():
    own = inspect.signature(factorize_restarts).parameters
    assert own["settings"].kind is inspect.Parameter.VAR_KEYWORD
    shared = inspect.signature(factorize).parameters.keys() & own.keys()
    assert shared == {"V", "n_components", "seed", "progress"}
