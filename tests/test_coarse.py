"""The coarse start: when it is made, what it leaves, and that it pays."""

from __future__ import annotations

import numpy as np
import pytest

from audiosep.nmf import factorize
from audiosep.nmf.coarse import coarse_start, merged, sample_size
from audiosep.nmf.initialize import STARTS
from audiosep.nmf.problem import Problem

K = 4
N_FRAMES = 600


def scene(seed=0, n_bins=30, dtype=np.float64):
    """Frames-major data of six sounds with noise, mean near one."""
    rng = np.random.default_rng(seed)
    V = rng.gamma(0.3, size=(N_FRAMES, 6)) @ rng.gamma(0.3, size=(6, n_bins)) + 0.01
    V *= rng.uniform(0.8, 1.2, V.shape)
    return (V / V.mean()).astype(dtype)


def problem_of(V, **given):
    settings = {
        "beta": 1.0,
        "weights": None,
        "free_w": np.ones((K, 1), np.uint8),
        "free_h": np.ones((1, K), np.uint8),
    }
    return Problem(V=V, **{**settings, **given})


def started(V, seed=0, start=STARTS["frames"], **given):
    rng = np.random.default_rng(seed)
    W, H = STARTS["random"](V, K, rng)
    coarse_start(problem_of(V, **given), W, H, rng, start)
    return W, H


@pytest.mark.parametrize(
    ("n_frames", "n_components", "size"),
    [(8000, 10, 1000), (800, 30, 240), (600, 30, 0), (24, 1, 8), (23, 1, 0), (1, 1, 0)],
)
def test_the_sample_holds_enough_frames_or_is_none(n_frames, n_components, size):
    assert sample_size(n_frames, n_components) == size


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0, 1.5, 2.0])
def test_templates_are_better_than_random_ones(beta, dtype):
    V = scene(dtype=dtype)
    W, H = started(V, beta=beta)
    assert W.dtype == H.dtype == dtype
    assert (W > 0).all()
    assert (H > 0).all()
    np.testing.assert_allclose(W.sum(axis=1), 1.0, rtol=1e-4)
    encoded = {"activations": None, "fixed_templates": True, "beta": beta, "max_iter": 60}
    found = factorize(V.T, templates=W.T, **encoded).losses[-1]
    random = factorize(
        V.T, templates=STARTS["random"](V, K, np.random.default_rng(0))[0].T, **encoded
    )
    assert found < 0.5 * random.losses[-1]


def test_the_same_seed_draws_the_same_frames():
    V = scene()
    one, two, other = started(V, 3), started(V, 3), started(V, 4)
    assert one[0].tobytes() == two[0].tobytes()
    assert one[1].tobytes() == two[1].tobytes()
    assert one[0].tobytes() != other[0].tobytes()


def test_fixed_templates_stay():
    V = scene()
    fixed = np.zeros((K, 1), np.uint8)
    fixed[2:] = 1
    rng = np.random.default_rng(0)
    W, H = STARTS["random"](V, K, rng)
    before = W.copy()
    coarse_start(problem_of(V, free_w=fixed), W, H, rng, None)
    np.testing.assert_array_equal(W[:2], before[:2])
    assert (W[2:] != before[2:]).any()


def test_missing_entries_stay_missing():
    V = scene()
    G = np.ones_like(V)
    G[:, :5] = 0.0
    broken = V.copy()
    broken[:, :5] = 0.0  # as `factorize` leaves them
    one, _ = started(broken, weights=G)
    broken[:, :5] = 7.0
    # Levels may see them, templates of what was observed may not.
    rng = np.random.default_rng(0)
    W, H = STARTS["random"](scene(), K, rng)
    coarse_start(problem_of(broken, weights=G), W, H, rng, None)
    assert np.isfinite(one).all()
    assert np.isfinite(W).all()


def test_one_component():
    V = scene()
    fast = factorize(V.T, 1, solver="accelerated", max_iter=20, tol=0)
    plain = factorize(V.T, 1, max_iter=20, tol=0)
    np.testing.assert_allclose(fast.losses[-1], plain.losses[-1], rtol=1e-6)


def test_silent_frames_do_no_harm():
    V = scene()
    V[::2] = 0.0
    W, H = started(V)
    assert np.isfinite(W).all()
    assert np.isfinite(H).all()
    assert H[::2].max() < 1e-6


def test_merging_joins_what_is_alike():
    rng = np.random.default_rng(0)
    sounds = rng.gamma(0.2, size=(3, 40)) + 1e-3
    sounds /= sounds.sum(axis=1, keepdims=True)
    many = np.repeat(sounds, 2, axis=0) * (1.0 + 0.01 * rng.random((6, 40)))
    H = rng.random((50, 6)) + 0.1
    W = merged(many, H, 3)
    np.testing.assert_allclose(W.sum(axis=1), 1.0, rtol=1e-9)
    cosines = (W @ sounds.T) / np.outer(np.linalg.norm(W, axis=1), np.linalg.norm(sounds, axis=1))
    assert sorted(cosines.argmax(axis=1)) == [0, 1, 2]
    assert cosines.max(axis=1).min() > 0.999
    # Levels count: what is merged is the sum of what sounded.
    levels = H.sum(axis=0)
    first = levels[0] * many[0] + levels[1] * many[1]
    np.testing.assert_allclose(W[cosines[:, 0].argmax()], first / first.sum(), rtol=1e-6)


def test_merging_none_keeps_all():
    W = np.random.default_rng(0).random((4, 9))
    got = merged(W, np.ones((5, 4)), 4)
    np.testing.assert_allclose(got, W / W.sum(axis=1, keepdims=True))


@pytest.mark.parametrize("beta", [0.0, 1.0, 2.0])
def test_accelerated_runs_begin_far_down_and_never_rise(beta):
    V = scene().T
    plain = factorize(V, K, beta=beta, max_iter=200, tol=0)
    fast = factorize(V, K, beta=beta, solver="accelerated", max_iter=60, tol=0)
    assert fast.losses[3] < plain.losses[10]
    assert (np.diff(fast.losses) <= 1e-10 * fast.losses[:-1]).all()
    if beta > 0:  # Itakura-Saito has local minima that are far apart
        assert fast.losses[-1] <= 1.02 * plain.losses[-1]


def test_no_sample_is_drawn_where_the_start_is_the_callers():
    V = scene().T
    rng = np.random.default_rng(0)
    W, H = rng.random((30, K)) + 0.1, rng.random((K, N_FRAMES)) + 0.1
    given = factorize(V, templates=W, activations=H, solver="accelerated", max_iter=0)
    plain = factorize(V, templates=W, activations=H, max_iter=1, tol=0)
    np.testing.assert_allclose(given.losses[0], plain.losses[0], rtol=1e-12)
    one = factorize(V, templates=W, activations=H, solver="accelerated", max_iter=1, tol=0)
    np.testing.assert_allclose(one.losses, plain.losses, rtol=1e-9)
