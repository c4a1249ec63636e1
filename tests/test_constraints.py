"""Penalties, gates, fixed entries and weights in whole factorizations, and the seldom loss."""

from __future__ import annotations

import naive_constraints as naive
import numpy as np
import pytest

from audiosep.errors import ParameterError
from audiosep.nmf import factorize
from audiosep.nmf.initialize import STARTS
from audiosep.nmf.penalties import (
    L1,
    L2,
    Decorrelation,
    GroupSparsity,
    Orthogonality,
    Prior,
    Relevance,
    Smoothness,
)
from audiosep.nmf.solvers import SOLVERS
from audiosep.types import Stop

BETAS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)
DTYPES = (np.float32, np.float64)
MULTIPLICATIVE = ("mu", "accelerated")
SLACK = {np.float32: 1e-5, np.float64: 1e-10}
CLOSE = {np.float32: 2e-3, np.float64: 1e-8}
K, N_BINS, N_FRAMES = 3, 6, 9


def target_for(n):
    return np.random.default_rng(n).uniform(0.0, 2.0, (K, n)).round(1)


PENALTIES = {
    "L1": lambda n: L1(0.1),
    "L1 each": lambda n: L1([0.0, 0.2, 0.5]),
    "L2": lambda n: L2(0.05),
    "Smoothness": lambda n: Smoothness(0.1),
    "Orthogonality": lambda n: Orthogonality(0.05),
    "Decorrelation": lambda n: Decorrelation(0.1),
    "GroupSparsity l2": lambda n: GroupSparsity(((0,), (1, 2)), 0.1),
    "GroupSparsity log": lambda n: GroupSparsity(((0, 1), (2,)), 0.1, "log"),
    "Relevance": lambda n: Relevance(0.1),
    "Prior": lambda n: Prior(target_for(n), 0.2),
}
SIDES = ("templates", "activations", "both")


def penalties_on(side, name, dtype=None):
    make = PENALTIES[name]
    return {
        "template_penalties": [make(N_BINS)] if side in ("templates", "both") else [],
        "activation_penalties": [make(N_FRAMES)] if side in ("activations", "both") else [],
    }


def drawn(seed=1, dtype=np.float64):
    """Data of a mean of one, a start, and weights."""
    rng = np.random.default_rng(seed)
    V = rng.gamma(1.0, size=(N_BINS, N_FRAMES)) + 0.1
    V /= V.mean()
    W, H = rng.uniform(0.1, 1.0, (N_BINS, K)), rng.uniform(0.2, 1.5, (K, N_FRAMES))
    return tuple(x.astype(dtype) for x in (V, W, H, rng.uniform(0.3, 2.0, V.shape)))


def never_rises(losses, dtype=np.float64):
    # Objectives of a nearly perfect fit are rounding of the data's own size.
    allowed = SLACK[dtype] * np.maximum(np.abs(losses[:-1]), 1e-3 * abs(losses[0]))
    return bool((np.diff(losses) <= allowed).all())


# Against the obvious twin


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("name", PENALTIES)
@pytest.mark.parametrize("hold", [True, False])
def test_equals_the_twin(beta, side, name, hold):
    for dtype in DTYPES:
        for weighted in (False, True):
            V, W, H, G = drawn(dtype=dtype)
            options = penalties_on(side, name)
            twin = naive.Twin(
                V, W, H, beta, hold=hold, weights=G if weighted else None,
                on_w=options["template_penalties"], on_h=options["activation_penalties"],
            )  # fmt: skip
            want = twin.run(3)
            got = factorize(
                V, beta=beta, templates=W, activations=H, hold_level=hold, max_iter=3, tol=0,
                weights=G if weighted else None, **options,
            )  # fmt: skip
            want_w, want_h = twin.W, twin.H  # as the penalties saw them
            assert got.templates.dtype == dtype
            np.testing.assert_allclose(got.losses, want, rtol=CLOSE[dtype])
            np.testing.assert_allclose(got.templates, want_w, rtol=CLOSE[dtype], atol=1e-12)
            np.testing.assert_allclose(got.activations, want_h, rtol=CLOSE[dtype], atol=1e-12)


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("name", ["L1", "Smoothness", "Prior"])
def test_equals_the_twin_with_gates_fixed_entries_and_weights(beta, side, name):
    V, W, H, G = drawn(2)
    rng = np.random.default_rng(3)
    fixed_w, fixed_h = rng.random(W.shape) < 0.2, rng.random(H.shape) < 0.2
    fixed_w[:, 0] = fixed_h[0] = False  # one component has a level that may move
    gates_w, gates_h = rng.random(W.shape) < 0.2, rng.random(H.shape) < 0.2
    gates_w[:, 0] = gates_w[0] = gates_h[1] = False
    gates_w &= ~fixed_w
    gates_h &= ~fixed_h
    gates_h[:, 0] = False
    options = penalties_on(side, name)
    twin = naive.Twin(
        V, W, H, beta, weights=G, fixed_w=fixed_w, fixed_h=fixed_h, gates_w=gates_w,
        gates_h=gates_h, on_w=options["template_penalties"], on_h=options["activation_penalties"],
    )  # fmt: skip
    want = twin.run(4)
    got = factorize(
        V, beta=beta, templates=W, activations=H, weights=G, max_iter=4, tol=0, **options,
        fixed_templates=fixed_w, fixed_activations=fixed_h, gated_templates=gates_w,
        gated_activations=gates_h,
    )  # fmt: skip
    want_w, want_h = twin.W, twin.H
    np.testing.assert_allclose(got.losses, want, rtol=1e-8)
    np.testing.assert_allclose(got.templates, want_w, rtol=1e-7, atol=1e-12)
    np.testing.assert_allclose(got.activations, want_h, rtol=1e-7, atol=1e-12)


def test_several_penalties_add_up():
    V, W, H, _ = drawn(4)
    on_w, on_h = [L1(0.1), Orthogonality(0.1)], [Smoothness(0.2), L2(0.1), L1(0.1)]
    twin = naive.Twin(V, W, H, 1.0, on_w=on_w, on_h=on_h)
    got = factorize(V, templates=W, activations=H, max_iter=5, tol=0, template_penalties=on_w,
                    activation_penalties=on_h)  # fmt: skip
    np.testing.assert_allclose(got.losses, twin.run(5), rtol=1e-8)


# The objective


@pytest.mark.parametrize("solver", MULTIPLICATIVE)
@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_objective_never_rises(solver, beta, side, dtype):
    V, _, _, G = drawn(5, dtype)
    for name in PENALTIES:
        for hold, weights in ((True, None), (False, None), (True, G)):
            losses = factorize(
                V, K, beta=beta, solver=solver, hold_level=hold, weights=weights, max_iter=20,
                tol=0, **penalties_on(side, name),
            ).losses  # fmt: skip
            assert np.isfinite(losses).all()
            assert never_rises(losses, dtype), (name, hold)
            assert losses[-1] < losses[0], (name, hold)


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("strength", [1e-9, 10.0, 1e6])
def test_it_never_rises_for_extreme_strengths(beta, dtype, strength):
    V = drawn(6, dtype)[0]
    V[0, :3] = 0
    for penalty in (L1(strength), L2(strength), Smoothness(strength), Orthogonality(strength),
                    Relevance(strength)):  # fmt: skip
        for side in ("template_penalties", "activation_penalties"):
            got = factorize(V, K, beta=beta, max_iter=15, tol=0, **{side: [penalty]})
            assert np.isfinite(got.templates).all()
            assert np.isfinite(got.activations).all()
            assert never_rises(got.losses, dtype)


@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (5, 1), (2, 3)])
def test_smallest_matrices_and_more_components_than_they_have(shape):
    V = np.random.default_rng(7).uniform(0.3, 2.0, shape)
    for penalty in (L1(0.1), Smoothness(0.1), Orthogonality(0.1), Decorrelation(0.1), Relevance(1)):
        for side in ("template_penalties", "activation_penalties"):
            got = factorize(V, 5, max_iter=15, tol=0, **{side: [penalty]})
            assert never_rises(got.losses)
            assert np.isfinite(got.model()).all()


# Levels


@pytest.mark.parametrize("factor", [1e-12, 3.0, 2.0**20, 1e12])
@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("side", SIDES)
def test_strengths_mean_the_same_at_any_level(factor, beta, side):
    V = drawn(8)[0]
    for name in set(PENALTIES) - {"Prior"}:
        options = {"beta": beta, "max_iter": 6, "tol": 0, **penalties_on(side, name)}
        one, other = factorize(V, K, **options), factorize(V * factor, K, **options)
        np.testing.assert_allclose(other.templates, one.templates, rtol=1e-7)
        np.testing.assert_allclose(other.activations, one.activations * factor, rtol=1e-7)
        np.testing.assert_allclose(other.losses, one.losses * factor**beta, rtol=1e-7)


@pytest.mark.parametrize("factor", [1e-12, 3.0, 1e12])
@pytest.mark.parametrize("beta", BETAS)
def test_a_prior_has_the_level_of_what_it_looks_at(factor, beta):
    V = drawn(8)[0]
    target = target_for(N_FRAMES)
    options = {"beta": beta, "max_iter": 6, "tol": 0}
    one = factorize(V, K, activation_penalties=[Prior(target, 0.3)], **options)
    other = factorize(V * factor, K, activation_penalties=[Prior(target * factor, 0.3)], **options)
    np.testing.assert_allclose(other.templates, one.templates, rtol=1e-7)
    np.testing.assert_allclose(other.activations, one.activations * factor, rtol=1e-7)


@pytest.mark.parametrize("factor", [1e-12, 3.0, 1e12])
@pytest.mark.parametrize("beta", BETAS)
def test_a_prior_of_templates_has_no_level(factor, beta):
    V = drawn(8)[0]
    options = {"beta": beta, "max_iter": 6, "tol": 0,
               "template_penalties": [Prior(target_for(N_BINS), 0.3)]}  # fmt: skip
    one = factorize(V, K, **options)
    other = factorize(V * factor, K, **options)
    np.testing.assert_allclose(other.templates, one.templates, rtol=1e-7)
    np.testing.assert_allclose(other.activations, one.activations * factor, rtol=1e-7)


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_strength_zero_is_no_penalty(beta, dtype):
    V, W, H, _ = drawn(9, dtype)
    options = {"beta": beta, "templates": W, "activations": H, "max_iter": 8, "tol": 0}
    without = factorize(V, **options)
    zero = [L1(0), L2(0), Smoothness(0), Orthogonality(0), Decorrelation(0),
            GroupSparsity(((0, 1), (2,)), 0), Relevance(0)]  # fmt: skip
    for hold in (True, False):
        got = factorize(V, activation_penalties=zero, hold_level=hold, **options)
        np.testing.assert_allclose(got.templates, without.templates, rtol=CLOSE[dtype], atol=1e-9)
        np.testing.assert_allclose(
            got.activations, without.activations, rtol=CLOSE[dtype], atol=1e-9
        )
        np.testing.assert_allclose(got.losses, without.losses, rtol=CLOSE[dtype])
        # Templates that are penalised keep their level, so only the product can be compared.
        got = factorize(V, template_penalties=zero, hold_level=hold, **options)
        np.testing.assert_allclose(got.model(), without.model(), rtol=CLOSE[dtype])


def test_the_other_factor_is_held_at_one():
    V = drawn(10)[0]
    got = factorize(V, K, max_iter=20, tol=0, template_penalties=[L1(0.1)])
    np.testing.assert_allclose((got.activations**2).mean(axis=1), 1.0, rtol=1e-12)
    got = factorize(V, K, max_iter=20, tol=0, activation_penalties=[L1(0.1)])
    np.testing.assert_allclose((got.templates**2).sum(axis=0), 1.0, rtol=1e-12)


def test_without_holding_the_level_a_penalty_can_be_made_void():
    V = drawn(10)[0]
    held, free = (
        factorize(V, K, max_iter=500, tol=0, activation_penalties=[L1(0.5)], hold_level=hold)
        for hold in (True, False)
    )
    plain = factorize(V, K, max_iter=500, tol=0)
    assert free.losses[-1] < 1.1 * plain.losses[-1] < 0.5 * held.losses[-1]


# Gates and fixed entries


@pytest.mark.parametrize("solver", MULTIPLICATIVE)
@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_gates_stay_zero_and_nothing_else_does(solver, beta, dtype):
    V, W, H, _ = drawn(11, dtype)
    rng = np.random.default_rng(12)
    gates_w, gates_h = rng.random(W.shape) < 0.3, rng.random(H.shape) < 0.3
    gates_w[:, 0] = gates_h[0] = False
    gates = {"gated_templates": gates_w, "gated_activations": gates_h}
    for start in ({"n_components": K}, {"templates": W, "activations": H}):
        for penalties in ({}, {"activation_penalties": [Smoothness(0.1)]}):
            got = factorize(
                V, beta=beta, solver=solver, max_iter=12, tol=0, **gates, **start, **penalties
            )
            assert not got.templates[gates_w].any()
            assert not got.activations[gates_h].any()
            assert got.templates[~gates_w].all()
            assert got.activations[~gates_h].all()
            assert never_rises(got.losses, dtype)


@pytest.mark.parametrize("solver", MULTIPLICATIVE)
@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_fixed_entries_come_back_as_given(solver, beta, dtype):
    V, W, H, _ = drawn(13, dtype)
    rng = np.random.default_rng(14)
    fixed_w, fixed_h = rng.random(W.shape) < 0.3, rng.random(H.shape) < 0.3
    for factor in (1.0, 0.37, 1e9):
        for penalties in ({}, penalties_on("activations", "L1"), penalties_on("templates", "L2")):
            start_h = H * dtype(factor)
            got = factorize(
                V * dtype(factor), beta=beta, solver=solver, templates=W, activations=start_h,
                fixed_templates=fixed_w, fixed_activations=fixed_h, max_iter=12, tol=0, **penalties,
            )  # fmt: skip
            assert got.templates[fixed_w].tobytes() == W[fixed_w].tobytes()
            assert got.activations[fixed_h].tobytes() == start_h[fixed_h].tobytes()
            assert (got.templates[~fixed_w] != W[~fixed_w]).any()
            assert (got.activations[~fixed_h] != start_h[~fixed_h]).any()
            assert never_rises(got.losses, dtype)


def test_flags_per_component_are_the_same_as_per_entry():
    V, W, H, _ = drawn(15)
    options = {"templates": W, "activations": H, "max_iter": 5, "tol": 0}
    flags = np.array([True, False, True])
    one = factorize(V, fixed_templates=flags, fixed_activations=~flags, **options)
    other = factorize(
        V, fixed_templates=np.broadcast_to(flags, W.shape), **options,
        fixed_activations=np.broadcast_to(~flags[:, np.newaxis], H.shape),
    )  # fmt: skip
    np.testing.assert_allclose(other.templates, one.templates, rtol=1e-12)
    np.testing.assert_allclose(other.activations, one.activations, rtol=1e-12)


# What penalties are for


def noisy(seed, n_bins=12, n_frames=40, rank=3):
    rng = np.random.default_rng(seed)
    W, H = rng.gamma(0.4, size=(n_bins, rank)), rng.gamma(0.4, size=(rank, n_frames))
    return W @ H * rng.uniform(0.7, 1.3, (n_bins, n_frames)) + 0.01


def sparseness(H):
    """Hoyer (2004): 0 for equal entries, 1 for a single one; mean over the components."""
    n = H.shape[1]
    ratio = H.sum(axis=1) / np.maximum(np.sqrt((H**2).sum(axis=1)), 1e-300)
    return float(((np.sqrt(n) - ratio) / (np.sqrt(n) - 1)).mean())


def overlap(X):
    unit = X / np.linalg.norm(X, axis=1, keepdims=True)
    return float((unit @ unit.T)[np.triu_indices(len(X), 1)].mean())


def roughness(H):
    return float(((np.diff(H, axis=1) ** 2).sum(axis=1) / (H**2).sum(axis=1)).mean())


def with_and_without(V, n, solver, beta=1.0, **penalties):
    options = {"beta": beta, "solver": solver, "max_iter": 200, "tol": 0, "seed": 1}
    return factorize(V, n, **penalties, **options), factorize(V, n, **options)


@pytest.mark.parametrize("solver", MULTIPLICATIVE)
@pytest.mark.parametrize("seed", [1, 2])
def test_penalties_do_what_they_are_named_for(solver, seed):
    V = noisy(seed)
    penalised, plain = with_and_without(V, 4, solver, 2.0, activation_penalties=[L1(0.5)])
    assert sparseness(penalised.activations) > sparseness(plain.activations)

    penalised, plain = with_and_without(V, 3, solver, activation_penalties=[Smoothness(0.1)])
    assert roughness(penalised.activations) < 0.8 * roughness(plain.activations)

    penalised, plain = with_and_without(V, 3, solver, activation_penalties=[Orthogonality(0.02)])
    assert overlap(penalised.activations) < overlap(plain.activations)
    penalised, plain = with_and_without(V, 3, solver, template_penalties=[Orthogonality(2.0)])
    assert overlap(penalised.templates.T) < overlap(plain.templates.T)


def test_l1_makes_activations_sparse_at_kullback_leibler():
    # Not to be taken for granted: if templates were held at a sum of one, the sum of the model
    # would be that of the activations, and a penalty on it would only make all quieter.
    V, W, H, _ = drawn(24)
    start = {"templates": W, "activations": H, "max_iter": 300, "tol": 0}
    sparse, plain = (factorize(V, activation_penalties=p, **start) for p in ([L1(3.0)], []))

    def sizes(result):  # of activations in units of the loudest, templates at one level
        levels = result.activations * np.linalg.norm(result.templates, axis=0)[:, np.newaxis]
        return levels / levels.max()

    few, many = ((sizes(r) < 1e-3).mean() for r in (sparse, plain))
    assert few > many + 0.1


@pytest.mark.parametrize("side", ["templates", "activations"])
def test_a_prior_pulls_the_harder_the_stronger_it_is(side):
    V, W, H, _ = drawn(16)
    goal = {"templates": W.T, "activations": H}[side] + 0.3
    away = []
    for strength in (0.01, 1.0, 100.0):
        penalties = {f"{side[:-1]}_penalties": [Prior(goal, strength)]}
        got = factorize(V, K, max_iter=300, tol=0, **penalties)
        reached = got.templates.T if side == "templates" else got.activations
        away.append(float(np.abs(reached - goal).mean()))
    assert away[0] > away[1] > away[2]
    assert away[2] < 0.05


def test_group_sparsity_switches_groups_off():
    # Two instruments of two notes each, that take turns.
    rng = np.random.default_rng(17)
    W = rng.gamma(0.5, size=(12, 4)) + 0.05
    H = rng.gamma(1.0, size=(4, 30))
    H[:2, 15:] = H[2:, :15] = 0.0
    V = W @ H * rng.uniform(0.8, 1.25, (12, 30)) + 1e-3
    groups = ((0, 1), (2, 3))
    options = {"templates": W, "fixed_templates": True, "max_iter": 300, "tol": 0}
    silent = []
    for penalties in ([], [GroupSparsity(groups, 2.0, "log")]):
        H_ = factorize(V, activation_penalties=penalties, **options).activations
        levels = np.array([H_[list(group)].sum(axis=0) for group in groups])
        silent.append(int((levels < 1e-6 * levels.max()).sum()))
    assert silent[1] > silent[0]
    assert silent[1] >= 20  # of 30 that are silent


@pytest.mark.parametrize("solver", MULTIPLICATIVE)
def test_relevance_finds_the_rank(solver):
    rng = np.random.default_rng(18)
    W, H = rng.gamma(0.3, size=(20, 3)), rng.gamma(0.3, size=(3, 60))
    V = W @ H + 1e-4
    got = factorize(
        V, 8, solver=solver, max_iter=1500, tol=0, activation_penalties=[Relevance(0.1)]
    )
    shares = (got.templates.sum(axis=0) * got.activations.sum(axis=1)) / got.model().sum()
    assert (shares > 1e-3).sum() == 3
    plain = factorize(V, 8, solver=solver, max_iter=1500, tol=0)
    shares = (plain.templates.sum(axis=0) * plain.activations.sum(axis=1)) / plain.model().sum()
    assert (shares > 1e-3).sum() > 3


# The seldom loss


@pytest.mark.parametrize("solver", MULTIPLICATIVE)
@pytest.mark.parametrize("beta", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("loss_every", [2, 3, 10, 100])
def test_losses_that_are_seldom_computed(solver, beta, loss_every):
    V = drawn(19)[0]
    options = {"beta": beta, "solver": solver, "max_iter": 25, "tol": 0}
    every = factorize(V, K, **options)
    seldom = factorize(V, K, loss_every=loss_every, **options)
    want = [*range(0, 25, loss_every), 25]
    assert seldom.loss_iterations.tolist() == want
    assert every.loss_iterations.tolist() == list(range(26))
    assert seldom.n_iter == 25
    np.testing.assert_allclose(seldom.templates, every.templates, rtol=1e-8)
    np.testing.assert_allclose(seldom.activations, every.activations, rtol=1e-8)
    np.testing.assert_allclose(seldom.losses, every.losses[want], rtol=1e-8)


@pytest.mark.parametrize("solver", MULTIPLICATIVE)
@pytest.mark.parametrize("loss_every", [1, 2, 3, 7, 10, 15])
def test_convergence_is_still_seen(solver, loss_every):
    V = drawn(20)[0]
    got = factorize(V, 1, solver=solver, max_iter=2000, tol=1e-4, loss_every=loss_every)
    assert got.stop is Stop.CONVERGED
    assert got.n_iter < 200
    assert got.loss_iterations[-1] == got.n_iter
    assert len(got.losses) == len(got.loss_iterations)
    assert (np.diff(got.loss_iterations) > 0).all()


@pytest.mark.parametrize("loss_every", [1, 7])
def test_no_iterations(loss_every):
    V, W, H, _ = drawn(21)
    penalties = {"activation_penalties": [L1(0.5)]}
    got = factorize(V, templates=W, activations=H, max_iter=0, loss_every=loss_every, **penalties)
    assert (got.n_iter, got.loss_iterations.tolist()) == (0, [0])
    np.testing.assert_allclose(got.model(), W @ H, rtol=1e-12)
    twin = naive.Twin(V, W, H, 1.0, on_h=penalties["activation_penalties"])
    np.testing.assert_allclose(got.losses, [twin.objective()], rtol=1e-12)


# Starts and solvers


@pytest.mark.parametrize("init", STARTS)
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_start_runs_with_every_solver(init, solver, dtype):
    V = noisy(22).astype(dtype)
    betas = BETAS if SOLVERS[solver].beta is None else (SOLVERS[solver].beta,)
    for beta in betas:
        got = factorize(V, 4, beta=beta, init=init, solver=solver, max_iter=10, tol=0)
        again = factorize(V, 4, beta=beta, init=init, solver=solver, max_iter=10, tol=0)
        assert got.templates.tobytes() == again.templates.tobytes()
        assert got.activations.tobytes() == again.activations.tobytes()
        assert got.templates.dtype == got.activations.dtype == dtype
        assert np.isfinite(got.losses).all()
        assert got.losses[-1] < got.losses[0]
        assert never_rises(got.losses, dtype)


# Arguments that cannot be

OK = np.ones((3, 4))
TWO_W, TWO_H = np.ones((3, 2)), np.ones((2, 4))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"template_penalties": [0.1]}, r"template_penalties holds 0.1; give penalties such as"),
        ({"activation_penalties": [L1]}, r"activation_penalties holds .*; give penalties such as"),
        ({"activation_penalties": ["l1"]}, r"activation_penalties holds 'l1'; give penalties"),
        ({"activation_penalties": "l1"}, r"activation_penalties holds 'l'; give penalties"),
        ({"activation_penalties": [L1([1.0, 2.0, 3.0])]}, "L1 on the activations has 3 values"),
        ({"template_penalties": [Prior(TWO_H, 1.0)]},
         r"Prior on the templates has shape \(2, 4\), expected \(2, 3\)"),
        ({"activation_penalties": [Prior(TWO_W.T, 1.0)]},
         r"Prior on the activations has shape \(2, 3\), expected \(2, 4\)"),
        ({"activation_penalties": [GroupSparsity(((0, 5),), 1.0)]}, "name component 5, but there"),
        ({"gated_templates": np.zeros((3, 2))},
         r"gated_templates must be an array of True and False of shape \(3, 2\).*got float64"),
        ({"gated_templates": np.zeros((2, 3), bool)}, r"got bool of shape \(2, 3\)"),
        ({"gated_activations": [True, False]}, r"gated_activations must be an array .*\(2, 4\)"),
        ({"gated_activations": np.zeros((4, 2), bool)}, r"got bool of shape \(4, 2\)"),
        ({"templates": TWO_W, "fixed_templates": np.zeros((2, 3), bool)},
         r"fixed_templates must be True, False, 2 such values.*or an array of shape \(3, 2\)"),
        ({"activations": TWO_H, "fixed_activations": np.zeros((2, 4))},
         r"fixed_activations must be True, False, 2 such values.*or an array of shape \(2, 4\)"),
        ({"fixed_templates": np.ones((3, 2), bool)}, "is set, but no templates are given"),
        ({"init": "zeros"}, "init 'zeros' is unknown; use random"),
        ({"solver": "newton"}, "solver 'newton' is unknown; use mu, accelerated"),
        ({"loss_every": 0}, "loss_every=0 must be a whole number of at least 1"),
        ({"loss_every": 1.5}, "loss_every=1.5 must be a whole number"),
        ({"loss_every": True}, "loss_every=True must be a whole number"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("V", [OK, np.zeros((3, 4))], ids=["data", "silence"])
def test_arguments_that_cannot_be(V, arguments, message):
    with pytest.raises(ParameterError, match=message):
        factorize(V, **({"n_components": 2} | arguments))


@pytest.mark.parametrize("side", ["template_penalties", "activation_penalties"])
@pytest.mark.parametrize("value", [None, 0.1, 3])
def test_penalties_that_are_no_list_are_a_parameter_error(side, value):
    with pytest.raises(ParameterError, match=f"{side} .*L1"):
        factorize(OK, 2, **{side: value})


def test_one_penalty_needs_no_list():
    V = drawn(23)[0]
    one = factorize(V, K, max_iter=5, activation_penalties=L1(0.1))
    other = factorize(V, K, max_iter=5, activation_penalties=[L1(0.1)])
    assert one.activations.tobytes() == other.activations.tobytes()


@pytest.mark.parametrize("beta", [0.0, 1.0, 2.0])
def test_data_near_one_are_neither_copied_nor_changed(beta):
    from audiosep.nmf.levels import to_unit_level

    V = np.random.default_rng(0).uniform(0.6, 1.4, (20, 30))
    assert to_unit_level(V, beta, copy=False)[0] is V
    assert to_unit_level(V, beta)[0] is not V
    for other in (2.0 * V, np.asfortranarray(V)):
        assert to_unit_level(other, beta, copy=False)[0] is not other
    before = V.copy()
    one = factorize(V.T, 3, beta=beta, max_iter=5, tol=0)
    np.testing.assert_array_equal(V, before)
    two = factorize(4.0 * V.T, 3, beta=beta, max_iter=5, tol=0)
    assert one.templates.tobytes() == two.templates.tobytes()
    V[0, 0] = 0.0
    zero = to_unit_level(V, beta, copy=False)[0]
    assert (zero is V) == (beta > 0)
    assert V[0, 0] == 0.0
