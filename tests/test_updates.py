"""The accelerated solver: its formula, its guarantee, and what stays as it is."""

from __future__ import annotations

import naive
import numpy as np
import pytest

from audiosep.errors import ParameterError
from audiosep.nmf import accelerated, factorize
from audiosep.nmf.accelerated import AcceleratedUpdate
from audiosep.nmf.problem import Problem

BETAS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)


def problem(rng, n_bins=23, n_frames=150, K=4):
    V = rng.gamma(0.5, size=(n_bins, K)) @ rng.gamma(0.3, size=(K, n_frames)) + 0.01
    V *= rng.uniform(0.5, 1.5, V.shape)
    W = rng.uniform(0.1, 1.0, (n_bins, K))
    H = rng.uniform(0.1, 1.0, (K, n_frames))
    return V, W, H


def obvious_loop(V, W, H, beta, n_iter):
    """Extrapolate, look, undo where it got worse, step; plain NumPy, float64."""

    def moved(x, before, a):
        return np.maximum(x * np.clip(x / before, 0.2, 5.0) ** a, 1e-16)

    def loss_at(place):
        return naive.beta_divergence(V, place[0] @ place[1], beta)

    bold = max(1.0, naive.mm_exponent(beta))
    losses, t, a, last, lowest = [], 1.0, 0.0, np.inf, None
    W_before, H_before = W, H
    for _ in range(n_iter):
        place, exponent = (moved(W, W_before, a), moved(H, H_before, a)), bold
        if loss_at(place) > last and a > 0:
            place, exponent, t = (W, H), None, 1.0
        if loss_at(place) > last and bold > naive.mm_exponent(beta):
            place, exponent, t = lowest, None, 1.0
        W_before, H_before = W, H
        W, H = lowest = place
        last = loss_at(lowest)
        losses.append(last)
        H = naive.step_h(V, W, H, beta, exponent=exponent)
        W = naive.step_w(V, W, H, beta, exponent=exponent)
        following = (1 + np.sqrt(1 + 4 * t * t)) / 2
        a, t = min((t - 1) / following, 0.9), following
    return W, H, losses


@pytest.mark.parametrize("beta", BETAS)
def test_equals_the_obvious_loop(rng, beta):
    V, W, H = problem(rng)
    V /= V.mean()  # the scale that factorize works at, so that floors agree
    got = factorize(
        V, beta=beta, solver="accelerated", templates=W, activations=H, max_iter=25, tol=0
    )
    want_W, want_H, losses = obvious_loop(V, W, H, beta, 25)
    np.testing.assert_allclose(got.losses[:-1], losses, rtol=1e-7)
    np.testing.assert_allclose(got.model(), want_W @ want_H, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("beta", BETAS)
def test_losses_never_rise_and_end_lower_than_plain_ones(rng, beta, dtype):
    V, W, H = (x.astype(dtype) for x in problem(rng, 60, 400, 8))
    start = {"templates": W, "activations": H, "beta": beta, "max_iter": 120, "tol": 0}
    plain, fast = (factorize(V, solver=s, **start) for s in ("mu", "accelerated"))
    slack = 1e-5 if dtype is np.float32 else 1e-10
    assert (np.diff(fast.losses) <= slack * fast.losses[:-1]).all()
    assert fast.losses[-1] <= plain.losses[-1] * 1.001
    # What plain updates reach in 120 iterations is reached in less than two thirds of them.
    assert fast.losses[80] <= plain.losses[-1] * 1.002


def test_a_move_that_makes_it_worse_is_undone(rng):
    V, W, H = problem(rng, 60, 400, 8)
    start = {"templates": W, "activations": H, "beta": 2.0, "max_iter": 300, "tol": 0}
    losses = factorize(V, solver="accelerated", **start).losses
    assert (np.diff(losses) <= 1e-10 * losses[:-1]).all()
    # Without undoing, this run rises: the guarantee is not there by luck.
    plain_step = AcceleratedUpdate.step

    def careless(update, with_loss=True):
        update._last_loss = np.inf
        return plain_step(update, with_loss)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AcceleratedUpdate, "step", careless)
        rises = np.diff(factorize(V, solver="accelerated", **start).losses) > 1e-10
    assert rises.any()


@pytest.mark.parametrize("beta", BETAS)
def test_blind_steps_are_the_same_as_long_as_none_is_taken_back(rng, beta):
    V, W, H = problem(rng)
    free = {"free_w": np.ones((4, 1), np.uint8), "free_h": np.ones((1, 4), np.uint8)}
    given = Problem(V=np.ascontiguousarray(V.T), beta=beta, weights=None, **free)
    factors = [[np.array(x.T, order="C") for x in (W, H)] for _ in range(2)]
    looking, blind = (AcceleratedUpdate(given, *pair) for pair in factors)
    losses = [looking.step() for _ in range(6)]
    for _ in range(6):
        blind.blind_step()
    assert (np.diff(losses) < 0).all()
    for seen, unseen in zip(*factors, strict=True):
        np.testing.assert_array_equal(seen, unseen)


@pytest.mark.parametrize("beta", [0.0, 1.0, 3.0])
def test_a_bold_step_that_makes_it_worse_is_taken_back(rng, monkeypatch, beta):
    # With the exponent as it is nobody has seen a rise: that it is looked for shows with another.
    monkeypatch.setattr(accelerated, "_BOLD", 2.6)
    V, W, H = problem(rng, 30, 60, 6)
    start = {"templates": W, "activations": H, "beta": beta, "tol": 0, "solver": "accelerated"}
    lasts = []
    for max_iter in range(1, 25):  # wherever it ends
        losses = factorize(V, max_iter=max_iter, **start).losses
        assert (np.diff(losses) <= 1e-10 * losses[:-1]).all()
        lasts.append(losses[-1])
    assert (np.diff(lasts) <= 1e-10 * losses[0]).all()
    assert lasts[-1] < 0.8 * lasts[0]
    monkeypatch.setattr(AcceleratedUpdate, "_anew_from", lambda update, _: -np.inf)
    losses = factorize(V, max_iter=24, **start).losses
    assert (np.diff(losses[np.isfinite(losses)]) > 0).any()


def test_fixed_parts_zeros_and_the_callers_arrays_stay(rng):
    V, W, H = problem(rng)
    W[:5, 1] = 0.0
    H[2, 10:20] = 0.0
    copies = V.copy(), W.copy(), H.copy()
    fixed = np.array([True, False, False, False])
    got = factorize(
        V,
        solver="accelerated",
        templates=W,
        activations=H,
        fixed_templates=fixed,
        fixed_activations=fixed[::-1],
        max_iter=30,
        tol=0,
    )
    np.testing.assert_array_equal(got.templates[:, 0], W[:, 0])
    np.testing.assert_array_equal(got.activations[3], H[3])
    assert not got.templates[:5, 1].any()
    assert not got.activations[2, 10:20].any()
    for before, after in zip(copies, (V, W, H), strict=True):
        np.testing.assert_array_equal(before, after)


def test_threads_and_seed(rng):
    V = problem(rng, 40, 3000)[0].astype(np.float32)
    one, two = (
        factorize(V, 5, solver="accelerated", max_iter=20, tol=0, n_threads=n) for n in (1, 2)
    )
    assert one.templates.tobytes() == two.templates.tobytes()
    assert one.activations.tobytes() == two.activations.tobytes()


def test_unknown_solver():
    with pytest.raises(ParameterError, match=r"solver 'newton' is unknown; use mu, accelerated"):
        factorize(np.ones((2, 2)), 1, solver="newton")
