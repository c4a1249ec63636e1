"""The least-squares solvers: their formulas, their guarantee, and what stays as it is."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import naive_least_squares as naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiosep.nmf import least_squares, least_squares_kernels
from audiosep.nmf.least_squares import (
    HALS,
    AcceleratedHALS,
    AlternatingLeastSquares,
    ProjectedGradient,
)
from audiosep.nmf.penalties import L1, L2
from audiosep.nmf.problem import Problem
from audiosep.threads import one_blas_thread

SOLVERS = (HALS, AcceleratedHALS, AlternatingLeastSquares, ProjectedGradient)
DTYPES = (np.float32, np.float64)
SLACK = {np.float32: 1e-5, np.float64: 1e-10}

solvers = pytest.mark.parametrize("solver", SOLVERS)
dtypes = pytest.mark.parametrize("dtype", DTYPES)


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    with one_blas_thread():
        yield


def data(rng, n_frames=40, n_bins=15, K=4, dtype=np.float64, noise=0.5):
    V = rng.gamma(0.3, size=(n_frames, K)) @ rng.gamma(0.5, size=(K, n_bins))
    V += noise * rng.gamma(0.5, size=V.shape) * V.mean()
    W = rng.uniform(0.1, 1.0, (K, n_bins))
    H = rng.uniform(0.1, 1.0, (n_frames, K))
    return tuple(np.ascontiguousarray(x, dtype) for x in (V / V.mean(), W, H))


def problem(V, W, H, **more):
    free = {
        "free_w": np.ones((len(W), 1), np.uint8),
        "free_h": np.ones((1, len(W)), np.uint8),
    }
    return Problem(**({"V": V, "beta": 2.0, "weights": None} | free | more))


def run(solver, V, W, H, n_iter, strengths=None, **more):
    """Factors and losses after some steps, the last loss included."""
    W, H = W.copy(), H.copy()
    update = solver(problem(V, W, H, **more), W, H, **(strengths or {}))
    losses = [update.step() for _ in range(n_iter)]
    return W, H, np.array([*losses, update.loss()])


def never_rises(losses, slack, least=0.0):
    return (np.diff(losses) <= slack * losses[:-1] + least).all()


# Each against its twin


@dtypes
@pytest.mark.parametrize("strengths", [{}, {"h_l1": 0.3, "h_l2": 0.2, "w_l1": 0.1, "w_l2": 1.5}])
def test_hals_is_coordinate_descent(rng, dtype, strengths):
    V, W, H = data(rng, dtype=dtype)
    got_W, got_H, losses = run(HALS, V, W, H, 3, strengths)
    want_W, want_H = naive.hals(*(x.astype(float) for x in (V, W, H)), 3, **strengths)
    tolerance = {"rtol": 1e-3, "atol": 1e-4} if dtype is np.float32 else {"rtol": 1e-9}
    np.testing.assert_allclose(got_W, want_W, **tolerance)
    np.testing.assert_allclose(got_H, want_H, **tolerance)
    want = naive.objective(V, got_W, got_H, **strengths)
    assert losses[-1] == pytest.approx(want, rel=1e-5 if dtype is np.float32 else 1e-10)


def test_strengths_may_differ_between_components(rng):
    V, W, H = data(rng)
    strengths = {"h_l1": np.array([0.0, 1.0, 2.0, 3.0]), "w_l2": np.array([3.0, 0.0, 1.0, 0.0])}
    got_W, got_H, losses = run(HALS, V, W, H, 2, strengths)
    want_W, want_H = naive.hals(V, W, H, 2, **strengths)
    np.testing.assert_allclose(got_W, want_W, rtol=1e-9)
    np.testing.assert_allclose(got_H, want_H, rtol=1e-9)
    assert losses[-1] == pytest.approx(naive.objective(V, got_W, got_H, **strengths))


@solvers
def test_penalties_of_the_problem_add_to_the_strengths(rng, solver):
    V, W, H = data(rng)
    each = np.array([0.1, 0.2, 0.3, 0.4])
    given = {"h_penalties": (L1(0.5), L2(each)), "w_penalties": (L2(0.7),)}
    one = run(solver, V, W, H, 3, {"h_l1": 0.25}, **given)
    two = run(solver, V, W, H, 3, {"h_l1": 0.75, "h_l2": each, "w_l2": 0.7})
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)
    assert one[2][0] > run(solver, V, W, H, 0)[2][0]


def test_accelerated_is_the_obvious_loop(rng, monkeypatch):
    monkeypatch.setattr(least_squares, "_FRAMES_PER_COMPONENT", 10**9)  # no sample
    V, W, H = data(rng, 20, 9, 3)
    got_W, got_H, losses = run(AcceleratedHALS, V, W, H, 60)
    want_W, want_H, want_losses, undone = naive.accelerated_hals(V, W, H, 60)
    assert undone > 0  # the branch that starts over was taken
    np.testing.assert_allclose(losses, want_losses, rtol=1e-9)
    np.testing.assert_allclose(got_W, want_W, rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(got_H, want_H, rtol=1e-5, atol=1e-8)


@dtypes
def test_half_steps_of_alternating_least_squares_are_exact(rng, dtype):
    V, W, H = data(rng, 30, 11, 5, dtype)
    fixed = {"free_w": np.zeros((5, 1), np.uint8)}
    _, got, losses = run(AlternatingLeastSquares, V, W, H, 1, **fixed)
    W_ = W.astype(float)
    want = np.array([naive.nnls(W_ @ W_.T, W_ @ v.astype(float)) for v in V])
    assert (want == 0).any()
    np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-4 if dtype is np.float32 else 1e-7)
    assert losses[-1] == pytest.approx(naive.objective(V, W, want), rel=1e-5)
    free = {"free_h": np.zeros((1, 5), np.uint8)}
    got, _, _ = run(AlternatingLeastSquares, V, W, H, 1, **free)
    H_ = H.astype(float)
    want = np.array([naive.nnls(H_.T @ H_, H_.T @ v.astype(float)) for v in V.T]).T
    np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-4 if dtype is np.float32 else 1e-7)


def test_exact_half_step_with_penalties(rng):
    V, W, H = data(rng, 12, 8, 4)
    fixed = {"free_w": np.zeros((4, 1), np.uint8)}
    l1, l2 = np.array([0.5, 0.0, 0.2, 1.0]), np.array([0.0, 2.0, 0.1, 0.3])
    _, got, _ = run(AlternatingLeastSquares, V, W, H, 1, {"h_l1": l1, "h_l2": l2}, **fixed)
    want = np.array([naive.nnls(W @ W.T + np.diag(l2), W @ v - l1) for v in V])
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-7)


def test_projected_gradient_is_the_obvious_one(rng):
    V, W, H = data(rng, 12, 8, 3)
    got_W, got_H, _ = run(ProjectedGradient, V, W, H, 1)
    want_H = naive.along_arc(V, W, H, 10)
    want_W = naive.along_arc(V.T, want_H.T, W.T, 10).T
    np.testing.assert_allclose(got_H, want_H, rtol=1e-7, atol=1e-10)
    np.testing.assert_allclose(got_W, want_W, rtol=1e-7, atol=1e-10)


# The guarantee


@solvers
@dtypes
def test_losses_never_rise_and_are_those_of_the_factors(rng, solver, dtype):
    V, W, H = data(rng, 300, 40, 6, dtype)
    W, H, losses = run(solver, V, W, H, 60)
    assert never_rises(losses, SLACK[dtype])
    assert losses[-1] < 0.5 * losses[0]
    exact = 0.5 * float(((V.astype(float) - H.astype(float) @ W) ** 2).sum())
    assert losses[-1] == pytest.approx(exact, rel=1e-5 if dtype is np.float32 else 1e-9)
    assert (W >= 0).all()
    assert (H >= 0).all()


@solvers
@dtypes
def test_an_exact_fit_is_reached_without_rising(rng, solver, dtype):
    V, W, H = data(rng, 60, 20, 3, dtype, noise=0.0)
    _, _, losses = run(solver, V, W, H, 150)
    # Rounding of the residual itself is what remains.
    least = 1e-11 * losses[0] if dtype is np.float32 else 1e-25
    assert never_rises(losses, SLACK[dtype], least)
    assert losses[-1] < 1e-4 * losses[0]
    assert (losses >= 0).all()


@solvers
@dtypes
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 7, 3), (7, 1, 3), (3, 4, 9), (40, 5, 1)])
def test_any_shape(rng, solver, dtype, shape):
    V, W, H = data(rng, *shape, dtype)
    W, H, losses = run(solver, V, W, H, 30)
    assert np.isfinite(W).all()
    assert np.isfinite(H).all()
    assert never_rises(losses, SLACK[dtype], 1e-10 * losses[0])


@solvers
@dtypes
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([1e-12, 1e-6, 1.0, 1e6, 1e12]),
    st.sampled_from([1e-6, 1.0, 1e6]),
)
def test_hostile_levels_and_zeros(solver, dtype, seed, peak, start):
    rng = np.random.default_rng(seed)
    V, W, H = data(rng, 17, 9, 3, dtype)
    V[rng.random(V.shape) < 0.5] = 0.0
    V[3] = 0.0
    V[:, 2] = 0.0
    V[5, 5] = peak
    V /= max(V.mean(), 1e-30)
    W[0] = 0.0
    H[:, 1] = 0.0
    H *= dtype(start)
    W, H, losses = run(solver, V, W, H, 15)
    assert np.isfinite(W).all()
    assert np.isfinite(H).all()
    assert np.isfinite(losses).all()
    norm = 0.5 * float((V.astype(float) ** 2).sum())
    # At starts far above the data its level is lost in float32 until the first half-step.
    assert never_rises(losses, SLACK[dtype], SLACK[dtype] * norm)
    assert losses[-1] <= norm * (1 + 1e-5)


@solvers
@dtypes
def test_components_that_are_the_same_do_no_harm(rng, solver, dtype):
    V, W, H = data(rng, 40, 15, 4, dtype)
    W[1] = W[0]
    W[3] = 2 * W[2]
    W, H, losses = run(solver, V, W, H, 30)
    assert never_rises(losses, SLACK[dtype])
    assert np.isfinite(W).all()
    assert np.isfinite(H).all()


@solvers
def test_penalised_losses_never_rise(rng, solver):
    V, W, H = data(rng, 100, 20, 5)
    strengths = {"h_l1": 0.5, "w_l2": 2.0, "w_l1": 0.2, "h_l2": 0.1}
    W, H, losses = run(solver, V, W, H, 40, strengths)
    assert never_rises(losses, 1e-10)
    assert losses[-1] == pytest.approx(naive.objective(V, W, H, **strengths))


def test_a_strong_penalty_empties_the_activations(rng):
    V, W, H = data(rng)
    for solver in SOLVERS:
        _, got, losses = run(solver, V, W, H, 5, {"h_l1": 1e6})
        assert not got.any()
        assert never_rises(losses, 1e-10)


@dtypes
@solvers
@pytest.mark.parametrize("name", ["h_l1", "w_l1"])
def test_what_is_penalised_and_does_not_matter_becomes_zero(rng, solver, dtype, name):
    """The partner vanished, so that there is no curvature, and nothing but the penalty."""
    V, W, H = data(rng, dtype=dtype)
    vanished, penalised = (W, H) if name == "h_l1" else (H, W)
    vanished[...] = 0.0
    free = "free_w" if name == "h_l1" else "free_h"
    still = {free: np.zeros((len(W), 1) if name == "h_l1" else (1, len(W)), np.uint8)}
    W1, H1, losses = run(solver, V, W, H, 2, {name: 0.1}, **still)
    assert not W1.any()
    assert not H1.any()
    assert losses[-1] == pytest.approx(0.5 * float((V**2).sum()), rel=1e-5)
    W2, H2, _ = run(solver, V, W, H, 2, **still)
    np.testing.assert_array_equal(H2 if name == "h_l1" else W2, penalised)  # could still matter


# What may not move


@solvers
def test_fixed_components_stay(rng, solver):
    V, W, H = data(rng, 50, 12, 4)
    free_w, free_h = np.array([[0], [1], [1], [1]], np.uint8), np.array([[1, 1, 1, 0]], np.uint8)
    got_W, got_H, losses = run(solver, V, W, H, 12, free_w=free_w, free_h=free_h)
    np.testing.assert_array_equal(got_W[0], W[0])
    np.testing.assert_array_equal(got_H[:, 3], H[:, 3])
    assert not np.array_equal(got_W[1:], W[1:])
    assert not np.array_equal(got_H[:, :3], H[:, :3])
    assert never_rises(losses, 1e-10)


@solvers
@dtypes
def test_fixed_entries_stay(rng, solver, dtype):
    V, W, H = data(rng, 50, 12, 4, dtype)
    free_w = (rng.random(W.shape) < 0.6).astype(np.uint8)
    free_h = (rng.random(H.shape) < 0.6).astype(np.uint8)
    W[free_w == 0] *= rng.random(W.shape)[free_w == 0] < 0.5  # some of them zero
    got_W, got_H, losses = run(solver, V, W, H, 12, free_w=free_w, free_h=free_h)
    for got, before, free in ((got_W, W, free_w), (got_H, H, free_h)):
        np.testing.assert_array_equal(got[free == 0], before[free == 0])
        assert (got[free == 1] != before[free == 1]).mean() > 0.9
    assert never_rises(losses, SLACK[dtype])


def test_fixed_entries_do_not_keep_the_others_from_their_best(rng):
    V, W, H = data(rng, 20, 8, 3)
    free_h = (rng.random(H.shape) < 0.6).astype(np.uint8)
    fixed = {"free_w": np.zeros((3, 1), np.uint8), "free_h": free_h}
    _, got, _ = run(AlternatingLeastSquares, V, W, H, 1, **fixed)
    for n in range(20):
        at = free_h[n] == 1
        rest = V[n] - H[n, ~at] @ W[~at]
        want = naive.nnls(W[at] @ W[at].T, W[at] @ rest)
        np.testing.assert_allclose(got[n, at], want, rtol=1e-5, atol=1e-7)
    want = naive.descended(V, W, H, free=free_h, sweeps=2)
    np.testing.assert_allclose(run(HALS, V, W, H, 1, **fixed)[1], want, rtol=1e-9)


@solvers
def test_one_factor_at_rest(rng, solver):
    V, W, H = data(rng, 50, 12, 4)
    for name, still in (("free_w", 0), ("free_h", 1)):
        shape = (4, 1) if name == "free_w" else (1, 4)
        got = run(solver, V, W, H, 30, **{name: np.zeros(shape, np.uint8)})
        np.testing.assert_array_equal(got[still], (W, H)[still])
        assert never_rises(got[2], 1e-10)
        assert got[2][-1] < got[2][0]
        assert got[2][-1] == pytest.approx(naive.objective(V, *got[:2]))
    zero = {"free_w": np.zeros((4, 1), np.uint8), "free_h": np.zeros((1, 4), np.uint8)}
    got = run(solver, V, W, H, 3, **zero)
    np.testing.assert_array_equal(got[0], W)
    np.testing.assert_array_equal(got[1], H)
    np.testing.assert_allclose(got[2], naive.objective(V, W, H))


# The start on a sample, threads, speed in iterations


def test_the_sample_gives_a_better_first_step(rng, monkeypatch):
    V, W, H = data(rng, 2000, 30, 4)
    with_sample = run(AcceleratedHALS, V, W, H, 2)
    monkeypatch.setattr(least_squares, "_FRAMES_PER_COMPONENT", 10**9)
    without = run(AcceleratedHALS, V, W, H, 2)
    assert with_sample[2][1] < 0.98 * without[2][1]
    assert with_sample[2][0] == without[2][0]


def test_a_sample_that_misleads_is_forgotten(rng):
    """From a minimum, templates that suit a sample only are worse; the start must survive."""
    V, W, H = data(rng, 2000, 30, 4)
    W, H, before = run(AcceleratedHALS, V, W, H, 400)
    _, _, after = run(AcceleratedHALS, V, W, H, 3)
    assert after[0] == pytest.approx(before[-1])
    assert never_rises(after, 1e-10)


def test_the_sample_heeds_penalties_and_what_may_not_move(rng, monkeypatch):
    V, W, H = data(rng, 2000, 30, 4)
    free = {
        "free_h": (rng.random(H.shape) < 0.8).astype(np.uint8),
        "free_w": np.array([[1], [1], [0], [1]], np.uint8),
    }
    strengths = {"w_l1": 50.0, "w_l2": 20.0, "h_l1": 0.2}
    got_W, got_H, losses = run(AcceleratedHALS, V, W, H, 3, strengths, **free)
    np.testing.assert_array_equal(got_W[2], W[2])
    np.testing.assert_array_equal(got_H[free["free_h"] == 0], H[free["free_h"] == 0])
    assert never_rises(losses, 1e-10)
    # A penalty out of proportion would make the sample's templates useless, and forgotten.
    monkeypatch.setattr(least_squares, "_FRAMES_PER_COMPONENT", 10**9)
    assert losses[1] < 0.999 * run(AcceleratedHALS, V, W, H, 1, strengths, **free)[2][1]


def test_extrapolation_is_sooner(rng):
    V, W, H = data(rng, 300, 40, 6)
    slow, fast = (run(s, V, W, H, 100)[2] for s in (HALS, AcceleratedHALS))
    assert fast[50] <= slow[100]


@solvers
def test_threads_do_not_change_a_bit(rng, solver):
    V, W, H = data(rng, 3000, 60, 5, np.float32)
    one = run(solver, V, W, H, 4)
    with ThreadPoolExecutor(2) as pool:
        two = run(solver, V, W, H, 4, pool=pool)
    for a, b in zip(one, two, strict=True):
        assert a.tobytes() == b.tobytes()


def test_kernels_keep_what_is_not_theirs(rng):
    """Both layouts of the sweep are one; a row without curvature stays, but for its penalty."""
    K, n = 5, 600
    X, P = rng.random((K, n)), rng.random((K, n))
    G = rng.random((K, K))
    G = G @ G.T
    G[2] = G[:, 2] = 0.0
    free = (rng.random((K, n)) < 0.7).astype(np.uint8)
    for strength, settled in ((0.1, (P[2] <= 0.1) & (free[2] != 0)), (0.0, np.zeros(n, bool))):
        l1, l2 = np.full(K, 0.1), np.zeros(K)
        l1[2] = strength
        across, down = X.copy(), np.ascontiguousarray(X.T)
        least_squares_kernels.descend_columns(across, P, G, l1, l2, free, 3, 1e-300)
        least_squares_kernels.descend_rows(
            down, np.ascontiguousarray(P.T), G, l1, l2, np.ascontiguousarray(free.T), 3, 1e-300
        )
        np.testing.assert_array_equal(across, down.T)
        np.testing.assert_array_equal(across[2], np.where(settled, 0.0, X[2]))
        np.testing.assert_array_equal(across[free == 0], X[free == 0])
