"""Penalties: values, gradients, and the bounds that make updates never raise the objective."""

from __future__ import annotations

from itertools import combinations

import naive_penalties as naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiosep.errors import ParameterError
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

NAMES = (
    "l1",
    "l2",
    "smoothness",
    "orthogonality",
    "decorrelation",
    "group_l2",
    "group_log",
    "relevance",
    "prior",
)
POWERS = {
    "l1": (1, 1),
    "l2": (2, 1),
    "smoothness": (2, 0),
    "orthogonality": (2, 1),
    "decorrelation": (4, 0),
    "group_l2": (2, 1),
    "group_log": (1, 1),
    "relevance": (1, 1),
    "prior": (1, 0),
}
BETAS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)
SHAPES = ((4, 7), (1, 6), (5, 1), (1, 1), (6, 2))
FLOOR = 0.05


def groups_of(K):
    """All components but the second, in groups of two."""
    members = [0, *range(2, K)]
    return tuple(tuple(members[i : i + 2]) for i in range(0, len(members), 2))


def strengths_of(name, K, rng, strength=None):
    n = len(groups_of(K)) if name.startswith("group") else K
    if strength is not None:
        return np.full(n, strength)
    values = rng.uniform(0.1, 2.0, n)
    values[rng.integers(n)] = 0.0 if n > 2 else 1.0
    return values


def target_of(K, n, rng):
    target = rng.gamma(0.7, size=(K, n))
    target[rng.random((K, n)) < 0.2] = 0.0
    return target


def made(name, K, n, rng, strength=None):
    """A penalty, its naive value and its naive slope."""
    s = strengths_of(name, K, rng, strength)
    groups, target = groups_of(K), target_of(K, n, rng)
    penalty, extra = {
        "l1": (L1(s), ()),
        "l2": (L2(s), ()),
        "smoothness": (Smoothness(s), ()),
        "orthogonality": (Orthogonality(s), ()),
        "decorrelation": (Decorrelation(s), ()),
        "group_l2": (GroupSparsity(groups, s) if name == "group_l2" else None, (groups,)),
        "group_log": (
            GroupSparsity(groups, s, "log", FLOOR) if name == "group_log" else None,
            (groups, FLOOR),
        ),
        "relevance": (Relevance(s, FLOOR), (FLOOR,)),
        "prior": (Prior(target, s), (target,)),
    }[name]
    value, slope = getattr(naive, name), getattr(naive, f"{name}_slope")
    return (
        penalty,
        lambda X: value(np.asarray(X, float), s, *extra),
        lambda X: naive.gradient(slope, X, s, *extra),
    )


def slopes(penalty, X):
    plus, minus = penalty.gradient(X)
    return np.broadcast_to(np.asarray(plus, float) - minus, X.shape)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", NAMES)
def test_value_and_gradient_equal_the_obvious_ones(rng, name, shape, dtype):
    penalty, value, slope = made(name, *shape, rng)
    X = rng.uniform(0.2, 2.0, shape).astype(dtype)
    before = X.copy()
    rtol = 1e-5 if dtype is np.float32 else 1e-12
    want = value(X)
    assert penalty.value(X) == pytest.approx(want, rel=rtol, abs=rtol)
    assert isinstance(penalty.value(X), float)
    plus, minus = penalty.gradient(X)
    np.testing.assert_allclose(slopes(penalty, X), slope(X), rtol=rtol, atol=10 * rtol)
    for part in (plus, minus):
        assert part.dtype == dtype
        assert np.broadcast_shapes(part.shape, shape) == shape
        assert (part >= 0).all()
    np.testing.assert_array_equal(X, before)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", NAMES)
def test_a_transposed_view_gives_the_same_in_the_same_layout(rng, name, dtype):
    penalty, _, _ = made(name, 4, 30, rng)
    H = rng.uniform(0.1, 2.0, (30, 4)).astype(dtype)
    copy = np.ascontiguousarray(H.T)
    rtol = 1e-5 if dtype is np.float32 else 1e-12
    assert penalty.value(H.T) == pytest.approx(penalty.value(copy), rel=rtol)
    for got, want in zip(penalty.gradient(H.T), penalty.gradient(copy), strict=True):
        np.testing.assert_allclose(got, want, rtol=rtol)
        if got.shape == copy.shape:
            assert got.flags.f_contiguous  # so that its transpose meets H in the same order
            assert want.flags.c_contiguous


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", NAMES)
def test_gradient_equals_finite_differences(rng, name, shape):
    penalty, _, _ = made(name, *shape, rng)
    X = rng.uniform(0.5, 2.0, shape)
    got = slopes(penalty, X)
    step = 1e-6
    for at in np.ndindex(shape):
        up, down = X.copy(), X.copy()
        up[at] += step
        down[at] -= step
        want = (penalty.value(up) - penalty.value(down)) / (2 * step)
        assert got[at] == pytest.approx(want, rel=1e-6, abs=1e-6)


def bound(penalty, X, Y, rises, falls):
    """Most that the penalty may rise from X to Y, and the size of what is added up."""
    plus, minus = (np.broadcast_to(part, X.shape) for part in penalty.gradient(X))
    u = Y / X
    up, down = X * plus * naive.rise(u, rises), X * minus * naive.rise(u, falls)
    return up.sum() - down.sum(), np.abs(up).sum() + np.abs(down).sum()


def far_apart(seed, shape, spread):
    """Two positive matrices; up to e^±spread apart."""
    rng = np.random.default_rng(seed)
    X, Y = (np.exp(rng.uniform(-spread, spread, shape)) for _ in range(2))
    Y = np.where(rng.random(shape) < rng.random(), X, Y)  # some entries, or all, stay
    return rng, X, Y


@pytest.mark.parametrize("name", NAMES)
@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.sampled_from(SHAPES),
    spread=st.sampled_from((0.01, 1.0, 4.0, 12.0)),
)
def test_the_bound_holds_near_and_far(name, seed, shape, spread):
    rng, X, Y = far_apart(seed, shape, spread)
    penalty, _, _ = made(name, *shape, rng)
    most, size = bound(penalty, X, Y, penalty.rises, penalty.falls)
    rise = penalty.value(Y) - penalty.value(X)
    assert rise <= most + 1e-12 * (size + penalty.value(X) + penalty.value(Y))
    # Terms of other powers are aligned with these: still a bound.
    wider, size = bound(penalty, X, Y, penalty.rises + 1.0, penalty.falls - 0.5)
    assert most <= wider + 1e-12 * size


@pytest.mark.parametrize("name", NAMES)
def test_the_bound_touches_at_the_point_itself(rng, name):
    penalty, _, _ = made(name, 4, 7, rng)
    X = rng.uniform(0.1, 2.0, (4, 7))
    assert bound(penalty, X, X, penalty.rises, penalty.falls)[0] == 0.0
    # ... and with the same slope: to first order nothing is given away.
    Y = X * np.exp(1e-7 * rng.standard_normal(X.shape))
    assert bound(penalty, X, Y, penalty.rises, penalty.falls)[0] == pytest.approx(
        float(np.sum(slopes(penalty, X) * (Y - X))), abs=1e-10
    )


@pytest.mark.parametrize("name", NAMES)
def test_powers_are_the_best_ones(name):
    """A lower rising power, or a higher falling one, is no bound: some move breaks it."""
    rises, falls = POWERS[name]
    tried = []
    for seed in range(300):
        rng, X, Y = far_apart(seed, (3, 2), 3.0 if seed % 2 else 0.3)
        if name == "prior":
            X, Y = np.maximum(X, 1e-3), np.maximum(Y, 1e-3)
        penalty, _, _ = made(name, 3, 2, rng, strength=1.0)
        assert (penalty.rises, penalty.falls) == (rises, falls)
        if seed % 3 == 0:
            Y = X * np.exp(rng.uniform(-3, 3))  # all together
        tried.append((penalty, X, Y))

    def broken(rises, falls):
        for penalty, X, Y in tried:
            most, size = bound(penalty, X, Y, rises, falls)
            if penalty.value(Y) - penalty.value(X) > most + 1e-9 * size:
                return True
        return False

    assert not broken(rises, falls)
    if name not in ("relevance", "group_log"):  # 1 is the lowest that the caller knows
        assert broken(rises - 0.25, falls)
    if falls < 1 and name != "decorrelation":  # its squares leave room; 0 is what is proven
        assert broken(rises, falls + 0.25)


@pytest.mark.parametrize("name", NAMES)
def test_strength_zero_changes_nothing_and_slows_nothing(rng, name):
    penalty, _, _ = made(name, 4, 7, rng, strength=0.0)
    X = rng.uniform(0.1, 2.0, (4, 7))
    assert (penalty.rises, penalty.falls) == (1.0, 1.0)
    assert penalty.value(X) == 0.0
    for part in penalty.gradient(X):
        assert not part.any()


@pytest.mark.parametrize("name", NAMES)
def test_a_strength_of_zero_switches_a_component_off(rng, name):
    X = rng.uniform(0.1, 2.0, (4, 7))
    groups, target = ((0, 1), (2, 3)), rng.uniform(0.1, 1.0, (4, 7))
    s = np.array([0.0, 0.0, 1.5, 0.5])
    penalty = {
        "l1": L1(s),
        "l2": L2(s),
        "smoothness": Smoothness(s),
        "orthogonality": Orthogonality(s),
        "decorrelation": Decorrelation(s),
        "group_l2": GroupSparsity(groups, [0.0, 2.0]),
        "group_log": GroupSparsity(groups, [0.0, 2.0], "log"),
        "relevance": Relevance(s),
        "prior": Prior(target, s),
    }[name]
    plus, minus = (np.broadcast_to(part, X.shape) for part in penalty.gradient(X))
    assert not plus[:2].any()
    assert not minus[:2].any()
    assert plus[2:].all()
    other = X.copy()
    other[:2] *= 3.0
    assert penalty.value(other) == pytest.approx(penalty.value(X), rel=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("level", [0.0, 1e-15, 1e-12, 1e6])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", NAMES)
def test_zeros_and_levels_far_from_one_are_safe(rng, name, shape, level, dtype):
    penalty, value, _ = made(name, *shape, rng)
    X = (level * rng.uniform(0.5, 2.0, shape)).astype(dtype)
    with np.errstate(all="raise", under="ignore"):
        got = penalty.value(X)
        plus, minus = penalty.gradient(X)
    assert np.isfinite(got)
    assert got >= 0
    for part in (plus, minus):
        assert np.isfinite(part).all()
        assert (part >= 0).all()
    if level > 0:
        assert got == pytest.approx(value(X), rel=1e-5 if dtype is np.float32 else 1e-10)
    elif name != "prior":
        assert got == 0.0


@pytest.mark.parametrize("name", NAMES)
def test_one_silent_row_among_others(rng, name):
    penalty, _, _ = made(name, 4, 7, rng)
    X = rng.uniform(0.2, 2.0, (4, 7)).astype(np.float32)
    X[2] = 0.0
    X[:, 3] = 0.0
    assert np.isfinite(penalty.value(X))
    for part in penalty.gradient(X):
        assert np.isfinite(part).all()


# ------------------------------------------------------------------------------- end to end


def problem(rng, n_bins=11, n_frames=17, K=4):
    V = rng.gamma(0.5, size=(n_bins, K)) @ rng.gamma(0.3, size=(K, n_frames)) + 0.01
    V *= rng.uniform(0.5, 1.5, V.shape)
    V /= V.mean()
    return V, rng.uniform(0.1, 1.0, (n_bins, K)), rng.uniform(0.1, 1.0, (K, n_frames))


def never_rises(totals, slack):
    assert np.isfinite(totals).all()
    rounding = 1e-15 * totals[0]  # where the objective ends at nothing
    return (np.diff(totals) <= slack * totals[:-1] + rounding).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("name", NAMES)
def test_the_objective_never_rises(rng, name, beta, dtype):
    V, W, H = (x.astype(dtype) for x in problem(rng))
    on_w = made(name, 4, 11, rng)[0]
    on_h = made(name, 4, 17, rng)[0]
    slack = 1e-5 if dtype is np.float32 else 1e-10
    for w_penalties, h_penalties in (([], [on_h]), ([on_w], []), ([on_w], [on_h])):
        totals, new_w, new_h = naive.descend(V, W, H, beta, w_penalties, h_penalties, 100)
        assert new_w.dtype == new_h.dtype == dtype
        assert never_rises(totals, slack)
        assert totals[-1] < totals[0]


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("pair", list(combinations(NAMES, 2)), ids="+".join)
def test_the_objective_never_rises_with_two_on_one_factor(rng, pair, beta):
    V, W, H = problem(rng)
    both = [made(name, 4, 17, rng)[0] for name in pair]
    totals, _, _ = naive.descend(V, W, H, beta, [], both, 100)
    assert never_rises(totals, 1e-10)


@pytest.mark.parametrize("strength", [1e-3, 30.0, 1e3])
@pytest.mark.parametrize("name", NAMES)
def test_the_objective_never_rises_whatever_the_strength(rng, name, strength):
    V, W, H = problem(rng)
    on_h = made(name, 4, 17, rng, strength)[0]
    totals, _, _ = naive.descend(V, W, H, 1.0, [], [on_h], 100)
    assert never_rises(totals, 1e-10)


@pytest.mark.parametrize("shape", [(5, 1, 2), (1, 6, 3), (4, 5, 1), (2, 2, 6)])
@pytest.mark.parametrize("name", NAMES)
def test_the_objective_never_rises_for_small_shapes(rng, name, shape):
    n_bins, n_frames, K = shape
    V, W, H = problem(rng, n_bins, n_frames, K)
    on_w = made(name, K, n_bins, rng)[0]
    on_h = made(name, K, n_frames, rng)[0]
    totals, _, _ = naive.descend(V, W, H, 1.0, [on_w], [on_h], 100)
    assert never_rises(totals, 1e-10)


def test_wrong_powers_make_it_rise(rng):
    """The guarantee is not there by luck: without its powers the update overshoots."""

    class Careless(L2):
        rises, falls = 1.0, 1.0

    V, W, H = problem(rng)
    totals = [
        naive.descend(V, W, H, 1.0, [], [penalty], 100, move_w=False)[0]
        for penalty in (Careless(1e4), L2(1e4))
    ]
    assert not never_rises(totals[0], 1e-3)
    assert never_rises(totals[1], 1e-10)


# ---------------------------------------------------------------------------- what they do


def held(V, W, H, penalties, n_iter=300):
    """Kullback-Leibler; only H moves."""
    return naive.descend(V, W, H, 1.0, [], penalties, n_iter, move_w=False)[2]


@pytest.mark.parametrize(
    ("name", "strength"),
    [
        ("l1", 5.0),
        ("l2", 1.0),
        ("smoothness", 10.0),
        ("orthogonality", 1.0),
        ("decorrelation", 10.0),
        ("group_l2", 1.0),
        ("group_log", 0.5),
        ("relevance", 0.5),
        ("prior", 10.0),
    ],
)
def test_a_penalty_makes_itself_smaller(rng, name, strength):
    V, W, H = problem(rng)
    penalty = made(name, 4, 17, rng, strength)[0]
    plain, penalised = held(V, W, H, []), held(V, W, H, [penalty])
    assert penalty.value(penalised) < 0.8 * penalty.value(plain)


def test_a_strong_prior_is_reached_and_a_free_component_is_not_touched(rng):
    V, W, H = problem(rng)
    target = rng.uniform(0.5, 1.0, H.shape)
    target[0, :5] = 0.0
    got = held(V, W, H, [Prior(target, [1e6, 1e6, 1e6, 0.0])])
    np.testing.assert_allclose(got[:3], target[:3], rtol=1e-4, atol=1e-4)
    assert np.abs(got[3] - target[3]).max() > 0.05


def test_relevance_switches_off_what_is_not_needed(rng):
    W = np.eye(6)[:, :3] + 0.05
    V = W @ rng.gamma(1.0, size=(3, 40)) + 1e-3
    V /= V.mean()
    start = rng.uniform(0.5, 1.5, (6, 5)), rng.uniform(0.5, 1.5, (5, 40))
    level = L1(20.0)  # holds the other factor
    _, _, plain = naive.descend(V, *start, 1.0, [level], [], 500)
    _, _, got = naive.descend(V, *start, 1.0, [level], [Relevance(0.1, 1e-2)], 500)
    assert (plain.mean(axis=1) > 1e-2 * plain.mean()).all()
    means = np.sort(got.mean(axis=1) / got.mean())
    assert (means[:2] < 1e-3).all()
    assert (means[2:] > 0.1).all()


@pytest.mark.parametrize("shape", ["l2", "log"])
def test_group_sparsity_gives_what_is_shared_to_the_group_that_sounds(shape):
    """Both groups know the first bin; only one knows the second, which sounds with it."""
    W = np.array([[1.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]]) + 1e-3
    V = np.array([[1.0], [1.0], [1e-3]])
    start = np.full((4, 1), 0.5)
    groups = ((0, 1), (2, 3))
    got = held(V, W, start, [GroupSparsity(groups, 0.05, shape, 0.1)], 2000)
    assert got[0] > 0.8
    assert got[2] < 0.01
    indifferent = held(V, W, start, [L1(0.05)], 2000)
    assert indifferent[0] == pytest.approx(indifferent[2])


def test_decorrelation_does_not_touch_constants_and_orthogonality_does():
    X = np.full((3, 8), 2.0)
    assert Decorrelation(1.0).value(X) == 0.0
    np.testing.assert_array_equal(slopes(Decorrelation(1.0), X), 0.0)
    assert Orthogonality(1.0).value(X) == 3 * 8 * 4.0
    apart = np.eye(3)
    assert Orthogonality(1.0).value(apart) == 0.0


def test_strengths_mean_the_same_for_longer_recordings(rng):
    """Twice the same frames cost twice as much, like the divergence; slopes stay as they are."""
    X = rng.uniform(0.1, 1.0, (4, 9))
    twice = np.concatenate([X, X], axis=1)
    for penalty in (
        L1(1.0),
        L2(1.0),
        Orthogonality(1.0),
        Decorrelation(1.0),
        GroupSparsity(((0, 1), (2,)), 1.0),
        GroupSparsity(((0, 1), (2,)), 1.0, "log"),
        Relevance(1.0),
    ):
        assert penalty.value(twice) == pytest.approx(2 * penalty.value(X), rel=1e-12)
        np.testing.assert_allclose(slopes(penalty, twice)[:, :9], slopes(penalty, X), rtol=1e-10)


# ------------------------------------------------------------------------------- arguments


def test_in_units_scales_the_prior_and_nothing_else(rng):
    target = rng.uniform(0.1, 1.0, (3, 5))
    X = rng.uniform(0.1, 1.0, (3, 5))
    prior = Prior(target, [1.0, 2.0, 3.0])
    scaled = prior.in_units(8.0)
    assert isinstance(scaled, Prior)
    assert 8.0 * scaled.value(X / 8.0) == pytest.approx(prior.value(X), rel=1e-14)
    np.testing.assert_array_equal(slopes(scaled, X / 8.0), slopes(prior, X))
    assert Prior(target.astype(np.float32), 1.0).in_units(0.5).target.dtype == np.float32
    for other in (L1(1.0), Relevance(1.0), GroupSparsity(((0,),), 1.0, "log")):
        assert other.in_units(8.0) is other


def test_penalties_do_not_change_and_keep_no_hold_on_the_callers_arrays():
    strength, target = np.ones(2), np.ones((2, 3))
    prior = Prior(target, strength)
    strength[:], target[:] = 5.0, 7.0
    assert prior.value(np.ones((2, 3))) == 0.0
    with pytest.raises(ValueError, match="read-only"):
        prior.target[0, 0] = 1.0
    with pytest.raises(AttributeError):
        prior.strength = 2.0


@pytest.mark.parametrize("make", [L1, L2, Smoothness, Orthogonality, Decorrelation, Relevance])
@pytest.mark.parametrize(
    "strength",
    [-1.0, np.nan, np.inf, 1e13, [1.0, -2.0], [[1.0]], [[1], [1, 2]], [], "much", None, True, 1j],
)
def test_strengths_that_cannot_be(make, strength):
    with pytest.raises(ParameterError, match=rf"strength of {make.__name__} "):
        make(strength)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GroupSparsity((), 1.0), "must be lists of component numbers"),
        (lambda: GroupSparsity(((0, 1), ()), 1.0), "must be lists of component numbers"),
        (lambda: GroupSparsity((0, 1), 1.0), "must be lists of component numbers"),
        (lambda: GroupSparsity(((0.5,),), 1.0), "must be lists of component numbers"),
        (lambda: GroupSparsity(((0, -1),), 1.0), "name component -1; count from 0"),
        (lambda: GroupSparsity(((0, 1), (1, 2)), 1.0), "name component 1 twice"),
        (lambda: GroupSparsity(((0,), (1,)), [1.0]), "has 1 values; give one number, or 2"),
        (lambda: GroupSparsity(((0,),), -1.0), "strength of GroupSparsity is -1"),
        (lambda: GroupSparsity(((0,),), 1.0, "l3"), "has no shape 'l3'; use l2 or log"),
        (lambda: GroupSparsity(((0,),), 1.0, "log", 0.0), "floor=0.0 of GroupSparsity"),
        (
            lambda: Relevance(1.0, np.nan),
            "floor=nan of Relevance must be a number from 1e-12 to 1e12",
        ),
        (lambda: Relevance(1.0, "low"), "floor='low' of Relevance"),
        (lambda: Prior(np.ones(3), 1.0), "target of Prior must be a non-empty matrix"),
        (lambda: Prior(np.zeros((0, 3)), 1.0), "target of Prior must be a non-empty matrix"),
        (lambda: Prior([[1.0], [1.0, 2.0]], 1.0), "target of Prior is no array: its rows"),
        (lambda: Prior([["a"]], 1.0), "target of Prior must be a non-empty matrix"),
        (lambda: Prior([[-1.0]], 1.0), "target of Prior must be finite and non-negative"),
        (lambda: Prior([[np.nan]], 1.0), "target of Prior must be finite and non-negative"),
        (lambda: Prior([[1.0]], np.nan), "strength of Prior is nan"),
    ],
)
def test_arguments_that_cannot_be(make, message):
    with pytest.raises(ParameterError, match=message):
        make()


def test_check_says_what_does_not_fit(rng):
    with pytest.raises(
        ParameterError,
        match="strength of L1 on the activations has 3 values; give one number, or 4, one per comp",
    ):
        L1([1, 2, 3]).check(4, 9, "activations")
    with pytest.raises(ParameterError, match="on the templates name component 5, but there are on"):
        GroupSparsity(((0, 5),), 1.0).check(5, 9, "templates")
    with pytest.raises(ParameterError, match=r"shape \(4, 9\), expected \(4, 8\); strength 0"):
        Prior(np.ones((4, 9)), 1.0).check(4, 8, "activations")
    with pytest.raises(ParameterError, match="strength of Prior on the activations has 2 values"):
        Prior(np.ones((4, 9)), [1, 2]).check(4, 9, "activations")
    for name in NAMES:
        made(name, 4, 9, rng)[0].check(4, 9, "activations")
