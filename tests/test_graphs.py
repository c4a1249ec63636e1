"""Factorizations of a symmetric matrix: formulas, guarantee, what they find, bad input."""

from __future__ import annotations

import naive_least_squares as naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiosep.errors import ParameterError
from audiosep.nmf import graph_updates
from audiosep.nmf.graphs import GraphFactorization, factorize_symmetric, factorize_tri
from audiosep.types import Stop

FUNCTIONS = (factorize_symmetric, factorize_tri)
BETAS = (1.0, 2.0)
NAMES = {1.0: "kl", 2.0: "euclidean"}

functions = pytest.mark.parametrize("function", FUNCTIONS)
betas = pytest.mark.parametrize("beta", BETAS)
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def graph(rng, n=30, K=3):
    H = rng.gamma(0.4, size=(n, K))
    noise = rng.uniform(0.5, 1.5, (n, n))
    return (H @ H.T + 0.01) * (noise + noise.T)


def states(updates, n):
    return [next(updates) for _ in range(n)]


@betas
def test_symmetric_updates_equal_the_obvious_ones(rng, beta):
    A, H = graph(rng, 12), rng.uniform(0.1, 1.0, (12, 3))
    update = {1.0: graph_updates.symmetric_kl, 2.0: graph_updates.symmetric_euclidean}[beta]
    for got, links, loss in states(update(A, H), 6):
        np.testing.assert_allclose(got, H, rtol=1e-10)
        assert links is None
        assert loss == pytest.approx(naive.graph_loss(A, H, np.eye(3), beta), rel=1e-10)
        H = naive.symmetric_step(A, H, beta)


@betas
def test_tri_updates_equal_the_obvious_ones(rng, beta):
    A, H = graph(rng, 12), rng.uniform(0.1, 1.0, (12, 3))
    S = rng.uniform(0.1, 1.0, (3, 3))
    H, S = H / H.sum(axis=0), S + S.T
    update = {1.0: graph_updates.tri_kl, 2.0: graph_updates.tri_euclidean}[beta]
    for got, links, loss in states(update(A, H, S), 6):
        np.testing.assert_allclose(got, H, rtol=1e-9)
        np.testing.assert_allclose(links, S, rtol=1e-9)
        assert loss == pytest.approx(naive.graph_loss(A, H, S, beta), rel=1e-10)
        H, S = naive.tri_step(A, H, S, beta)


@functions
def test_the_safe_exponent_is_taken_where_the_bold_one_rises(rng, function, monkeypatch):
    A = graph(rng)
    monkeypatch.setattr(graph_updates, "_BOLD", 3.0)  # far beyond what is stable
    losses = function(A, 3, max_iter=200, tol=0).losses
    assert (np.diff(losses) <= 1e-10 * losses[:-1]).all()
    monkeypatch.setattr(graph_updates, "_SAFE", 3.0)
    stuck = function(A, 3, max_iter=200, tol=0).losses
    assert (np.diff(stuck) <= 1e-10 * stuck[:-1]).all()
    assert losses[-1] < 0.9 * stuck[-1]


@functions
@betas
def test_losses_never_rise_and_are_those_of_the_result(rng, function, beta):
    A = graph(rng, 70, 5) * 37.0
    got = function(A, 5, beta=beta, max_iter=150, tol=0)
    assert (np.diff(got.losses) <= 1e-10 * got.losses[:-1]).all()
    assert got.losses[-1] < 0.3 * got.losses[0]
    S = np.eye(5) if got.links is None else got.links
    want = naive.graph_loss(A, got.memberships, S, beta)
    assert got.losses[-1] == pytest.approx(want, rel=1e-8)
    assert got.n_iter == 150
    assert got.stop is Stop.MAX_ITER
    assert got.beta == beta


@functions
@dtypes
@betas
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([1e-12, 1e-5, 1.0, 1e12]),
    st.sampled_from([0.0, 0.5, 0.95]),
    st.integers(1, 9),
)
def test_hostile_levels_sparse_graphs_and_one_node(function, dtype, beta, seed, level, gaps, n):
    rng = np.random.default_rng(seed)
    A = rng.gamma(0.3, size=(n, n)) * level
    A[rng.random(A.shape) < gaps] = 0.0
    A = np.asarray(A + A.T, dtype)
    before = A.copy()
    got = function(A, min(n, 3), beta=NAMES[beta], max_iter=40, tol=0)
    np.testing.assert_array_equal(A, before)
    assert got.memberships.dtype == dtype
    assert np.isfinite(got.memberships).all()
    assert (got.memberships >= 0).all()
    assert np.isfinite(got.losses).all()
    assert (got.losses >= 0).all()
    unit = max(float(A.max()), 1e-300) ** beta
    assert (np.diff(got.losses) <= 1e-10 * got.losses[:-1] + 1e-14 * unit * n * n).all()
    assert ((got.labels() >= 0) & (got.labels() < 3)).all()


@functions
@betas
@pytest.mark.parametrize(
    ("level", "dtype"), [(1e300, np.float64), (1e-310, np.float64), (1e35, np.float32)]
)
@pytest.mark.parametrize("start", [None, 1e300, 1e-300])
def test_levels_at_the_ends_of_the_range(rng, function, beta, level, dtype, start):
    A = graph(rng)
    A = (A / A.mean() * level).astype(dtype)
    near = None if start is None else rng.uniform(0.1, 1.0, (len(A), 3))
    far = None if near is None else near * start
    with np.errstate(over="ignore"):  # squares of 1e300
        got = function(A, 3, beta=beta, start=far, max_iter=40, tol=0)
    usual = function(A / dtype(level), 3, beta=beta, start=near, max_iter=40, tol=0)
    assert np.isfinite(got.memberships).all()
    assert not np.isnan(got.losses).any()
    gap = np.abs(got.model() / dtype(level) - usual.model()).max()
    assert gap < 0.1 * usual.model().max()


@pytest.mark.parametrize(("level", "dtype"), [(1e308, np.float64), (3e38, np.float32)])
def test_sums_that_no_number_can_hold_are_refused(level, dtype):
    A = np.full((6, 6), level, dtype)
    with pytest.raises(ParameterError, match=f"A is too large for its links.* {dtype.__name__}"):
        factorize_tri(A, 2, beta=1)
    got = factorize_symmetric(A, 2, beta=1, max_iter=100)
    np.testing.assert_allclose(got.memberships @ (got.memberships.T / level), 1.0, rtol=0.1)


@functions
@betas
def test_the_level_of_the_data_does_not_matter(rng, function, beta):
    A = graph(rng)
    one, two = (function(A * level, 3, beta=beta, max_iter=30) for level in (1.0, 4.0**20))
    np.testing.assert_allclose(two.model(), one.model() * 4.0**20, rtol=1e-12)
    np.testing.assert_allclose(two.losses, one.losses * 4.0 ** (20 * beta), rtol=1e-12)


@betas
def test_finds_groups(rng, beta):
    truth = np.repeat([0, 1, 2], [10, 15, 20])
    links = np.where(truth[:, None] == truth, 0.7, 0.05)
    A = np.triu(rng.random(links.shape) < links, 1).astype(float)
    A = A + A.T + np.eye(len(A))
    for function in FUNCTIONS:
        # The best of a few starts: the objective says which.
        results = [function(A, 3, beta=beta, seed=s, max_iter=500, tol=0) for s in range(5)]
        best = min(results, key=lambda result: result.losses[-1])
        labels = best.labels()
        groups = [set(labels[truth == g]) for g in range(3)]
        assert [len(group) for group in groups] == [1, 1, 1]
        assert len(set.union(*groups)) == 3


@betas
def test_links_say_what_one_factor_cannot(rng, beta):
    """Two groups linked across only: fitted by links, hopeless without."""
    truth = np.repeat([0, 1], [6, 9])
    A = (truth[:, None] != truth).astype(float)
    results = [factorize_tri(A, 2, beta=beta, seed=s, max_iter=2000, tol=0) for s in range(4)]
    best = min(results, key=lambda result: result.losses[-1])
    alone = factorize_symmetric(A, 2, beta=beta, max_iter=2000, tol=0)
    assert best.losses[-1] < 0.01 * alone.losses[-1]
    assert best.links[0, 1] > 100 * max(best.links[0, 0], best.links[1, 1])
    np.testing.assert_allclose(best.model(), A, atol=0.05)


@betas
@dtypes
def test_links_are_symmetric_and_memberships_sum_to_one(rng, beta, dtype):
    A = graph(rng).astype(dtype)
    got = factorize_tri(A, 4, beta=beta, max_iter=50)
    rtol = 1e-5 if dtype is np.float32 else 1e-10
    np.testing.assert_allclose(got.memberships.sum(axis=0), 1.0, rtol=rtol)
    np.testing.assert_array_equal(got.links, got.links.T)
    assert got.links.dtype == dtype
    if beta == 1.0:  # Kullback-Leibler keeps the sum
        assert got.links.sum() == pytest.approx(A.sum(), rel=1e-5)


@functions
@betas
def test_start_seed_and_zeros(rng, function, beta):
    A = graph(rng)
    start = rng.uniform(0.1, 1.0, (30, 3))
    start[:10, 0] = 0.0
    copy = start.copy()
    got = function(A, 3, beta=beta, start=start, max_iter=20)
    np.testing.assert_array_equal(start, copy)
    assert not got.memberships[:10, 0].any()
    assert (got.memberships[10:] > 0).all()
    one, two, other = (function(A, 3, beta=beta, seed=s, max_iter=20) for s in (5, 5, 6))
    assert one.memberships.tobytes() == two.memberships.tobytes()
    assert one.losses.tobytes() == two.losses.tobytes()
    assert one.memberships.tobytes() != other.memberships.tobytes()
    generator = function(A, 3, beta=beta, seed=np.random.default_rng(5), max_iter=20)
    assert generator.memberships.tobytes() == one.memberships.tobytes()


@functions
def test_a_start_is_at_the_level_of_the_data(rng, function):
    """A start that is the answer stays the answer."""
    H = rng.gamma(0.4, size=(30, 3)) + 0.01
    A = 300.0 * H @ H.T
    if function is factorize_symmetric:
        got = factorize_symmetric(A, 3, start=H * 300.0**0.5, max_iter=0)
        np.testing.assert_allclose(got.memberships, H * 300.0**0.5, rtol=1e-12)
        assert got.losses[0] < 1e-20 * (A**2).sum()
    else:
        got = factorize_tri(A, 3, start=H, max_iter=0)
        np.testing.assert_allclose(got.memberships, H / H.sum(axis=0), rtol=1e-12)
    assert got.n_iter == 0
    assert len(got.losses) == 1


@functions
@betas
def test_stops_by_tolerance(rng, function, beta):
    A = graph(rng)
    got = function(A, 3, beta=beta, max_iter=5000, tol=1e-3)
    assert got.stop is Stop.CONVERGED
    assert got.n_iter % 10 == 0
    assert got.losses[-11] - got.losses[-1] < 1e-3 * got.losses[0]
    assert got.losses[-21] - got.losses[-11] >= 1e-3 * got.losses[0]


@functions
def test_rounding_across_the_diagonal_is_forgiven(rng, function):
    A = graph(rng)
    uneven = A.copy()
    uneven[2, 7] *= 1 + 1e-6
    even = (uneven + uneven.T) / 2
    one, two = (function(x, 3, max_iter=20) for x in (uneven, even))
    np.testing.assert_array_equal(one.memberships, two.memberships)
    assert (
        factorize_symmetric(A.astype(int) + A.astype(int).T, 2, max_iter=1).memberships.dtype
        == float
    )


@functions
def test_silence(function):
    got = function(np.zeros((4, 4), np.float32), 2)
    assert isinstance(got, GraphFactorization)
    assert got.stop is Stop.SILENT
    assert not got.memberships.any()
    assert not got.model().any()
    assert got.losses.tolist() == [0.0]
    assert got.n_iter == 0


def test_blocks_of_rows_do_not_matter(rng, monkeypatch):
    A = graph(rng, 50)
    whole = [f(A, 3, beta=b, max_iter=20, tol=0) for f in FUNCTIONS for b in BETAS]
    monkeypatch.setattr(graph_updates, "_ROWS", 7)
    parts = [f(A, 3, beta=b, max_iter=20, tol=0) for f in FUNCTIONS for b in BETAS]
    for a, b in zip(whole, parts, strict=True):
        np.testing.assert_allclose(a.memberships, b.memberships, rtol=1e-8)
        np.testing.assert_allclose(a.losses, b.losses, rtol=1e-10)


def test_an_exact_fit_is_not_lost_in_cancellation(rng):
    H = np.kron(np.eye(3), np.ones((4, 1))) * [1.0, 2.0, 3.0]
    losses = factorize_symmetric(H @ H.T, 3, start=H + 0.01, max_iter=3000, tol=0).losses
    assert (losses >= 0).all()
    assert losses[-1] < 1e-12 * losses[0]
    assert (np.diff(losses) <= 1e-10 * losses[:-1]).all()


GOOD = np.array([[1.0, 2.0], [2.0, 1.0]])


@functions
@pytest.mark.parametrize(
    ("A", "K", "settings", "message"),
    [
        ([[1.0, 2.0], [3.0, 1.0]], 1, {}, r"not symmetric: A\[0, 1\] is 2.0 but A\[1, 0\] is 3"),
        ([[1.0, -2.0], [-2.0, 1.0]], 1, {}, r"A\[0, 1\] is -2.0; entries must be finite and non-n"),
        ([[np.nan, 2.0], [2.0, 1.0]], 1, {}, r"A\[0, 0\] is nan; entries must be finite"),
        ([[1.0, np.inf], [np.inf, 1.0]], 1, {}, r"A\[0, 1\] is inf"),
        (np.zeros((0, 0)), 1, {}, r"shape \(0, 0\); expected a non-empty matrix"),
        (np.ones((2, 3)), 1, {}, r"shape \(2, 3\); give a square matrix"),
        (np.ones(4), 1, {}, r"shape \(4,\); expected a non-empty matrix"),
        (np.ones((2, 2), complex), 1, {}, r"dtype complex128; give a matrix of real numbers"),
        ([["a"]], 1, {}, r"dtype <U1; give"),
        (GOOD, 3, {}, r"n_components=3 is more than the 2 nodes of A"),
        (GOOD, 0, {}, "n_components"),
        (GOOD, 1.5, {}, "n_components"),
        (GOOD, 1, {"beta": "is"}, r"beta 'is' is not offered .* use euclidean or kl"),
        (GOOD, 1, {"beta": 1.5}, r"not offered"),
        (GOOD, 1, {"beta": "nonsense"}, r"beta 'nonsense' is unknown"),
        (GOOD, 1, {"max_iter": -1}, "max_iter"),
        (GOOD, 1, {"tol": -0.1}, r"tol=-0.1 must not be negative"),
        (GOOD, 1, {"tol": "small"}, r"tol='small' must be a number"),
        ([[1.0], [1.0, 2.0]], 1, {}, r"A is no array: its rows have different lengths"),
        (GOOD, 1, {"tol": np.nan}, r"tol=nan"),
        (GOOD, 1, {"seed": -1}, r"seed -1 must be a whole number"),
        (GOOD, 1, {"seed": "x"}, r"seed 'x'"),
        (GOOD, 1, {"start": np.ones((3, 1))}, r"start has shape \(3, 1\); expected \(2, 1\)"),
        (GOOD, 1, {"start": -np.ones((2, 1))}, r"start\[0, 0\] is -1.0"),
    ],
)
def test_bad_input(function, A, K, settings, message):
    with pytest.raises(ParameterError, match=message):
        function(A, K, **settings)
