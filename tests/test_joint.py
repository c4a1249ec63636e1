"""Joint majorisation-minimisation: its formula, the bound behind it, its guarantee."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import naive
import naive_least_squares as twin
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiosep.nmf.divergence import mm_exponent
from audiosep.nmf.joint import JointUpdate, powers
from audiosep.nmf.problem import Problem
from audiosep.threads import one_blas_thread

BETAS = (-1.0, 0.0, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0)
DTYPES = (np.float32, np.float64)
SLACK = {np.float32: 1e-5, np.float64: 1e-10}

betas = pytest.mark.parametrize("beta", BETAS)
dtypes = pytest.mark.parametrize("dtype", DTYPES)


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    with one_blas_thread():
        yield


def data(rng, n_frames=12, n_bins=9, K=3, dtype=np.float64):
    V = rng.gamma(0.5, size=(n_frames, K)) @ rng.gamma(0.5, size=(K, n_bins)) + 0.05
    V *= rng.uniform(0.5, 1.5, V.shape)
    W = rng.uniform(0.1, 1.0, (K, n_bins))
    H = rng.uniform(0.1, 1.0, (n_frames, K))
    return tuple(np.ascontiguousarray(x, dtype) for x in (V / V.mean(), W, H))


def problem(V, W, beta, **more):
    free = {
        "free_w": np.ones((len(W), 1), np.uint8),
        "free_h": np.ones((1, len(W)), np.uint8),
    }
    return Problem(**({"V": V, "beta": beta, "weights": None} | free | more))


def run(V, W, H, beta, n_iter, **more):
    W, H = W.copy(), H.copy()
    update = JointUpdate(problem(V, W, beta, **more), W, H)
    losses = [update.step() for _ in range(n_iter)]
    return W, H, np.array([*losses, update.loss()])


@dtypes
@betas
@pytest.mark.parametrize("weighted", [False, True])
def test_equals_the_obvious_loop(rng, beta, dtype, weighted):
    V, W, H = data(rng, dtype=dtype)
    G = rng.uniform(0.0, 2.0, V.shape).astype(dtype) if weighted else None
    if weighted:
        G[2:4] = 0.0
        G[:, 3] = 0.0
    got_W, got_H, losses = run(V, W, H, beta, 2, weights=G)
    want_W, want_H = W, H
    for i in range(2):
        want = naive.beta_divergence(V, want_H.astype(float) @ want_W, beta, G)
        assert losses[i] == pytest.approx(want, rel=1e-4 if dtype is np.float32 else 1e-9)
        want_W, want_H = twin.joint_step(V, want_W, want_H, beta, G)
    rtol = 2e-4 if dtype is np.float32 else 1e-9
    np.testing.assert_allclose(got_W, want_W, rtol=rtol)
    np.testing.assert_allclose(got_H, want_H, rtol=rtol)


@betas
def test_the_bound_holds_touches_and_falls(rng, beta):
    """The proof, in numbers: divergence <= bound everywhere, equal at the start, lower after."""
    V, W, H = data(rng, 5, 4, 2)
    start = naive.beta_divergence(V, H @ W, beta)
    assert twin.joint_bound(V, W, H, W, H, beta) == pytest.approx(start, rel=1e-12)
    for _ in range(20):
        W_any = W * np.exp(rng.normal(size=W.shape))
        H_any = H * np.exp(rng.normal(size=H.shape))
        bound = twin.joint_bound(V, W, H, W_any, H_any, beta)
        assert naive.beta_divergence(V, H_any @ W_any, beta) <= bound * (1 + 1e-12)
    W_new, H_new, losses = run(V, W, H, beta, 1)
    middle = twin.joint_bound(V, W, H, W, H_new, beta)
    end = twin.joint_bound(V, W, H, W_new, H_new, beta)
    assert losses[1] <= end < middle < start
    # Each half is the exact minimum of the bound: no entry can be moved with profit.
    for factor in (0.99, 1.01):
        for at in np.ndindex(H.shape):
            H_near = H_new.copy()
            H_near[at] *= factor
            assert twin.joint_bound(V, W, H, W, H_near, beta) > middle
        for at in np.ndindex(W.shape):
            W_near = W_new.copy()
            W_near[at] *= factor
            assert twin.joint_bound(V, W, H, W_near, H_new, beta) > end


@pytest.mark.parametrize("beta", [-4.0, -1.0, 0.0, 0.3, 0.5, 1.0, 1.2, 2.0, 2.5, 4.0])
def test_powers_fit_the_exponent(beta):
    falls, rises = powers(beta)
    assert (falls, rises) == twin.joint_powers(beta)
    assert 1 / (rises - falls) == pytest.approx(mm_exponent(beta))


@dtypes
@betas
@pytest.mark.parametrize("weighted", [False, True])
def test_losses_never_rise(rng, beta, dtype, weighted):
    V, W, H = data(rng, 200, 40, 6, dtype)
    G = rng.uniform(0.0, 2.0, V.shape).astype(dtype) if weighted else None
    _, _, losses = run(V, W, H, beta, 60, weights=G)
    assert (np.diff(losses) <= SLACK[dtype] * losses[:-1]).all()
    assert losses[-1] < 0.7 * losses[0]


def test_moving_both_as_if_the_other_stood_still_does_rise(rng):
    """Why W's update must know H's move: without it, the loss rises on the same data."""
    V, W, H = data(rng, 60, 20, 5)
    R, Q = naive.gradient_parts(V, H @ W, 2.0)
    careless = (H * (R @ W.T) / (Q @ W.T)) @ (W * (H.T @ R) / (H.T @ Q))
    losses = run(V, W, H * 0.1, 2.0, 1)[2]
    assert losses[1] <= losses[0]
    R, Q = naive.gradient_parts(V, 0.1 * H @ W, 2.0)
    careless = (0.1 * H * (R @ W.T) / (Q @ W.T)) @ (W * (0.1 * H.T @ R) / (0.1 * H.T @ Q))
    assert naive.beta_divergence(V, careless, 2.0) > losses[0]


@dtypes
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 7, 3), (7, 1, 3), (3, 4, 9)])
@betas
def test_any_shape(rng, dtype, shape, beta):
    V, W, H = data(rng, *shape, dtype)
    W, H, losses = run(V, W, H, beta, 20)
    assert np.isfinite(W).all()
    assert np.isfinite(H).all()
    assert (np.diff(losses) <= SLACK[dtype] * losses[:-1] + 1e-6 * losses[0]).all()


@dtypes
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([0.5, 1.0, 1.5, 2.0, 3.0]),
    st.sampled_from([1e-12, 1e-3, 1e3, 1e12]),
    st.sampled_from([1e-4, 1.0, 1e4]),
)
def test_hostile_levels_and_zeros(dtype, seed, beta, peak, start):
    rng = np.random.default_rng(seed)
    V, W, H = data(rng, 17, 9, 3, dtype)
    V[rng.random(V.shape) < 0.5] = 0.0
    V[3] = 0.0
    V[:, 2] = 0.0
    V[5, 5] = peak
    V /= V.mean()
    H *= dtype(start)
    W[0] = 0.0
    H[4] = 0.0
    W, H, losses = run(V, W, H, beta, 15)
    assert np.isfinite(W).all()
    assert np.isfinite(H).all()
    assert np.isfinite(losses).all()
    assert not W[0].any()
    assert not H[4].any()
    least = 1e-5 * naive.beta_divergence(V, np.full(V.shape, 1.0), beta)
    assert (np.diff(losses) <= SLACK[dtype] * losses[:-1] + least).all()


@dtypes
@betas
def test_what_is_fixed_stays(rng, beta, dtype):
    V, W, H = data(rng, 300, 20, 4, dtype)
    free_w = (rng.random(W.shape) < 0.6).astype(np.uint8)
    free_h = (rng.random(H.shape) < 0.6).astype(np.uint8)
    got_W, got_H, losses = run(V, W, H, beta, 10, free_w=free_w, free_h=free_h)
    for got, before, free in ((got_W, W, free_w), (got_H, H, free_h)):
        np.testing.assert_array_equal(got[free == 0], before[free == 0])
        assert (got[free == 1] != before[free == 1]).all()
    assert (np.diff(losses) <= SLACK[dtype] * losses[:-1]).all()
    by_component = {
        "free_w": np.array([[1], [0], [1], [0]], np.uint8),
        "free_h": np.array([[1, 1, 0, 0]], np.uint8),
    }
    got_W, got_H, losses = run(V, W, H, beta, 10, **by_component)
    np.testing.assert_array_equal(got_W[[1, 3]], W[[1, 3]])
    np.testing.assert_array_equal(got_H[:, 2:], H[:, 2:])
    assert (np.diff(losses) <= SLACK[dtype] * losses[:-1]).all()
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("still", ["free_w", "free_h"])
def test_one_factor_at_rest(rng, still):
    V, W, H = data(rng, 50, 12, 4)
    shape = (4, 1) if still == "free_w" else (1, 4)
    got_W, got_H, losses = run(V, W, H, 1.0, 10, **{still: np.zeros(shape, np.uint8)})
    assert np.array_equal(got_W, W) is (still == "free_w")
    assert np.array_equal(got_H, H) is (still == "free_h")
    assert losses[-1] < losses[0]


@betas
def test_threads_and_the_wish_for_losses_do_not_change_a_bit(rng, beta):
    V, W, H = data(rng, 3000, 60, 5, np.float32)
    one = run(V, W, H, beta, 3)
    with ThreadPoolExecutor(2) as pool:
        two = run(V, W, H, beta, 3, pool=pool)
    for a, b in zip(one, two, strict=True):
        assert a.tobytes() == b.tobytes()
    without_W, without_H = W.copy(), H.copy()
    update = JointUpdate(problem(V, W, beta), without_W, without_H)
    for _ in range(3):
        update.step(with_loss=False)
    np.testing.assert_allclose(without_W, one[0], rtol=1e-4, atol=1e-12)
    np.testing.assert_allclose(without_H, one[1], rtol=1e-4, atol=1e-12)
