"""Components with a place: against the obvious loop, and what the model promises."""

from __future__ import annotations

import naive
import naive_models
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiosep.errors import ParameterError
from audiosep.nmf.tensor import factorize_tensor
from audiosep.types import Stop

BETAS = (0.0, 0.5, 1.0, 2.0, -1.0, 1.5, 3.0)
DTYPES = (np.float32, np.float64)
CLOSE = {np.float32: 5e-4, np.float64: 1e-9}
SLACK = {np.float32: 1e-5, np.float64: 1e-10}

betas = st.sampled_from(BETAS)
seeds = st.integers(0, 2**32 - 1)
sizes = st.integers(1, 5)


class Problem:
    """Data near level one, a start and weights of one shape."""

    def __init__(self, seed, dtype=np.float64, n_channels=2, n_bins=5, n_frames=6, K=3):
        rng = np.random.default_rng(seed)

        def positive(*shape):
            return rng.uniform(0.3, 2.0, shape).astype(dtype)

        self.V = positive(n_channels, n_bins, n_frames)
        self.V /= self.V.mean()
        self.G = positive(n_channels, n_bins, n_frames)
        self.factors = positive(n_channels, K), positive(n_bins, K), positive(K, n_frames)
        self.start = dict(zip(("gains", "templates", "activations"), self.factors, strict=True))


def panned(rng, shares, n_bins=20, n_frames=150, per_source=2):
    """Sources of some sparse components each, panned by their share of the left channel."""
    K = per_source * len(shares)
    left = np.repeat(shares, per_source)
    Q = np.stack([left, 1 - left])
    W = rng.gamma(0.3, size=(n_bins, K))
    H = rng.gamma(0.3, size=(K, n_frames))
    V = np.einsum("ck,ik,kj->cij", Q, W, H)
    sources = [
        np.einsum("ck,ik,kj->cij", Q[:, part], W[:, part], H[part])
        for part in (slice(s, s + per_source) for s in range(0, K, per_source))
    ]
    return V, np.array(sources)


def same_bytes(one, other):
    return all(
        getattr(one, name).tobytes() == getattr(other, name).tobytes()
        for name in ("gains", "templates", "activations", "losses")
    )


# Against the obvious loop


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("weighted", [False, True])
def test_equals_the_obvious_loop(beta, dtype, weighted):
    p = Problem(1, dtype)
    weights = p.G if weighted else None
    got = factorize_tensor(p.V, beta=beta, max_iter=3, tol=0, weights=weights, **p.start)
    Q, W, H, losses = naive_models.factorize_tensor(p.V, *p.factors, beta, 3, weights=weights)
    np.testing.assert_allclose(got.gains, Q, rtol=CLOSE[dtype])
    np.testing.assert_allclose(got.templates, W, rtol=CLOSE[dtype])
    np.testing.assert_allclose(got.activations, H, rtol=CLOSE[dtype])
    np.testing.assert_allclose(got.losses, losses, rtol=CLOSE[dtype])
    np.testing.assert_allclose(got.model(), naive_models.tensor_model(Q, W, H), rtol=CLOSE[dtype])


@pytest.mark.parametrize("n_channels", [1, 3])
@pytest.mark.parametrize("beta", [0.0, 1.0, 1.5, 3.0])
def test_equals_the_obvious_loop_with_fixed_components_and_zeros(beta, n_channels):
    p = Problem(2, n_channels=n_channels)
    if beta > 0:
        p.V[p.V < 0.7] = 0
        p.V /= p.V.mean()
    p.factors[0][0, 2] = 0.0 if n_channels > 1 else 1.0
    p.factors[1][1, 1] = p.factors[2][0, 3] = 0
    got = factorize_tensor(
        p.V, beta=beta, max_iter=3, tol=0, **p.start,
        fixed_gains=[True, False, False], fixed_templates=[True, True, False],
        fixed_activations=[False, False, True],
    )  # fmt: skip
    Q, W, H, losses = naive_models.factorize_tensor(
        p.V, *p.factors, beta, 3, fixed=((0,), (0, 1), (2,))
    )
    np.testing.assert_allclose(got.gains, Q, rtol=1e-9)
    np.testing.assert_allclose(got.templates, W, rtol=1e-9)
    np.testing.assert_allclose(got.activations, H, rtol=1e-9)
    np.testing.assert_allclose(got.losses, losses, rtol=1e-9)
    np.testing.assert_array_equal(got.gains[:, 0], p.factors[0][:, 0])
    np.testing.assert_array_equal(got.templates[:, :2], p.factors[1][:, :2])
    np.testing.assert_array_equal(got.activations[2], p.factors[2][2])


@pytest.mark.parametrize("beta", [0.0, 1.0, 2.0])
def test_one_channel_is_the_plain_factorization(beta):
    p = Problem(3, n_channels=1)
    got = factorize_tensor(
        p.V, beta=beta, max_iter=4, tol=0, gains=np.ones((1, 3)), fixed_gains=True,
        templates=p.factors[1], activations=p.factors[2],
    )  # fmt: skip
    W, H, losses = naive.factorize(p.V[0], p.factors[1], p.factors[2], beta, 4)
    np.testing.assert_allclose(got.templates, W, rtol=1e-9)
    np.testing.assert_allclose(got.activations, H, rtol=1e-9)
    np.testing.assert_allclose(got.losses, losses, rtol=1e-9)


# Known answers


@pytest.mark.parametrize("beta", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("solver", ["mu", "accelerated"])
def test_two_panned_sources_are_placed_and_told_apart(rng, beta, solver):
    V, sources = panned(rng, [0.85, 0.25])
    got = factorize_tensor(V, 4, beta=beta, solver=solver, max_iter=800, tol=0)
    left = got.gains[0]
    is_left = left > 0.55
    assert is_left.sum() == 2
    np.testing.assert_allclose(left[is_left], 0.85, atol=0.03)
    np.testing.assert_allclose(left[~is_left], 0.25, atol=0.03)
    for which, source in zip((is_left, ~is_left), sources, strict=True):
        model = np.einsum(
            "ck,ik,kj->cij", got.gains[:, which], got.templates[:, which], got.activations[which]
        )
        assert naive.si_sdr(model, source) > 20
        assert naive.si_sdr(V, source) < 6  # what doing nothing gives


def test_more_channels(rng):
    place = np.array([[0.7, 0.1], [0.2, 0.2], [0.1, 0.7]])
    V = np.einsum(
        "ck,ik,kj->cij", place, rng.gamma(0.3, size=(20, 2)), rng.gamma(0.3, size=(2, 100))
    )
    got = factorize_tensor(V, 2, max_iter=500, tol=0)
    order = np.argsort(-got.gains[0])
    np.testing.assert_allclose(got.gains[:, order], place, atol=0.02)
    assert got.n_channels == 3
    assert got.n_components == 2


@pytest.mark.parametrize("beta", BETAS)
def test_the_truth_stays(beta):
    p = Problem(4)
    V = naive_models.tensor_model(*p.factors)
    got = factorize_tensor(V, beta=beta, max_iter=5, tol=0, **p.start)
    of_q, of_w = p.factors[0].sum(axis=0), p.factors[1].sum(axis=0)
    np.testing.assert_allclose(got.gains, p.factors[0] / of_q, rtol=1e-9)
    np.testing.assert_allclose(got.templates, p.factors[1] / of_w, rtol=1e-9)
    np.testing.assert_allclose(got.activations, p.factors[2] * (of_q * of_w)[:, None], rtol=1e-9)


# The objective


@given(seed=seeds, beta=betas, n_channels=st.integers(1, 3), n_bins=sizes, n_frames=sizes,
       K=st.integers(1, 4), weighted=st.booleans())  # fmt: skip
def test_losses_never_rise(seed, beta, n_channels, n_bins, n_frames, K, weighted):
    p = Problem(seed, np.float64, n_channels, n_bins, n_frames, K)
    losses = factorize_tensor(
        p.V, K, beta=beta, max_iter=12, tol=0, seed=seed, weights=p.G if weighted else None
    ).losses
    noise = 1e-14 * p.V.size * max(1.0, float((p.V**beta).max()))
    assert np.all(np.diff(losses) <= 1e-10 * losses[:-1] + noise)


@pytest.mark.parametrize("solver", ["mu", "accelerated"])
@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_losses_never_rise_and_fall_far(rng, beta, dtype, solver):
    V = (panned(rng, [0.8, 0.3])[0] + 1e-2) * rng.uniform(0.5, 1.5, (2, 20, 150))
    losses = factorize_tensor(
        V.astype(dtype), 4, beta=beta, solver=solver, max_iter=80, tol=0
    ).losses
    assert np.all(np.diff(losses) <= SLACK[dtype] * losses[:-1])
    assert losses[-1] < 0.6 * losses[0]


@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0, 2.0])
def test_accelerated_is_as_far_in_fewer_iterations(rng, beta):
    V = (panned(rng, [0.8, 0.3])[0] + 1e-2) * rng.uniform(0.5, 1.5, (2, 20, 150))
    plain, fast = (
        factorize_tensor(V, 4, beta=beta, solver=solver, max_iter=100, tol=0)
        for solver in ("mu", "accelerated")
    )
    fell = plain.losses[0] - plain.losses[-1]
    assert fast.losses[60] <= plain.losses[-1] + 0.02 * fell


@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0, 2.0, 3.0])
def test_losses_never_rise_from_zeros_and_peaks(rng, beta):
    V = 10.0 ** rng.uniform(-7, 2, (2, 8, 12))
    V[rng.random(V.shape) < 0.3] = 0
    losses = factorize_tensor(V, 3, beta=beta, max_iter=25, tol=0).losses
    assert np.isfinite(losses).all()
    assert np.all(np.diff(losses) <= 1e-9 * losses[:-1])


# Scale, order, edges


@given(seed=seeds, beta=betas, dtype=st.sampled_from(DTYPES), power=st.integers(-60, 60))
def test_a_power_of_two_scales_activations_exactly(seed, beta, dtype, power):
    p = Problem(seed, dtype)
    factor = dtype(2.0**power)
    one, other = (factorize_tensor(V, 3, beta=beta, max_iter=3, tol=0) for V in (p.V, p.V * factor))
    assert one.gains.tobytes() == other.gains.tobytes()
    assert one.templates.tobytes() == other.templates.tobytes()
    assert (one.activations * factor).tobytes() == other.activations.tobytes()
    np.testing.assert_allclose(other.losses, one.losses * 2.0 ** (power * beta), rtol=1e-12)


@pytest.mark.parametrize("factor", [1e-30, 1e-12, 3.0, 1e12, 1e30])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("beta", [-1.0, 0.0, 1.0, 2.0, 3.0])
def test_any_scale_gives_the_same_gains_and_templates(factor, dtype, beta):
    p = Problem(5, dtype)
    one = factorize_tensor(p.V, 2, beta=beta, max_iter=4)
    other = factorize_tensor(p.V * dtype(factor), 2, beta=beta, max_iter=4)
    np.testing.assert_allclose(other.gains, one.gains, rtol=CLOSE[dtype])
    np.testing.assert_allclose(other.templates, one.templates, rtol=CLOSE[dtype])
    np.testing.assert_allclose(
        other.activations.astype(float), one.activations.astype(float) * factor, rtol=CLOSE[dtype]
    )


def test_the_largest_and_smallest_numbers_are_survived():
    V = Problem(6).V
    for factor, dtype in ((1e300, np.float64), (1e-300, np.float64), (1e-42, np.float32)):
        for beta in (-4, 0, 1, 2, 4):
            got = factorize_tensor((V * factor).astype(dtype), 2, beta=beta, max_iter=20)
            assert np.isfinite(got.activations).all()
            assert got.gains.sum() == pytest.approx(2.0, rel=1e-5)
            assert got.templates.sum() == pytest.approx(2.0, rel=1e-5)


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 1, 9), (2, 9, 1), (3, 3, 2)])
@pytest.mark.parametrize("beta", [0.0, 1.0, 2.0])
def test_small_arrays_and_many_components(rng, shape, beta):
    V = rng.uniform(0.1, 1.0, shape)
    got = factorize_tensor(V, 14, beta=beta, max_iter=500, tol=0)
    assert got.gains.shape == (shape[0], 14)
    assert got.templates.shape == (shape[1], 14)
    assert got.activations.shape == (14, shape[2])
    np.testing.assert_allclose(got.model(), V, rtol=0.05, atol=1e-3)


def test_a_silent_channel_gets_nothing():
    p = Problem(7)
    p.V[1] = 0
    got = factorize_tensor(p.V, 3, max_iter=200, tol=0)
    assert got.gains[1].max() < 1e-6
    np.testing.assert_allclose(got.gains[0], 1.0, atol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
def test_silence(dtype):
    got = factorize_tensor(np.zeros((2, 5, 6), dtype), 3)
    assert got.stop is Stop.SILENT
    assert got.n_iter == 0
    assert not got.activations.any()
    np.testing.assert_allclose(got.gains.sum(axis=0), 1.0, rtol=1e-6)
    np.testing.assert_allclose(got.templates.sum(axis=0), 1.0, rtol=1e-6)
    assert got.gains.dtype == got.templates.dtype == got.activations.dtype == dtype
    p = Problem(8, dtype)
    kept = factorize_tensor(np.zeros((2, 5, 6), dtype), **p.start, fixed_activations=True)
    np.testing.assert_array_equal(kept.activations, p.factors[2])


def test_zero_weight_means_missing():
    p = Problem(9)
    G = (p.G > 1.0).astype(float)
    one, two = (
        factorize_tensor(V, 3, weights=G, max_iter=10, tol=0)
        for V in (p.V, np.where(G > 0, p.V, 77.0))
    )
    assert same_bytes(one, two)


def test_zeros_stay_and_so_do_the_callers_arrays():
    p = Problem(10)
    p.factors[0][1, 0] = 0
    p.factors[1][:2, 1] = 0
    p.factors[2][2, 3:] = 0
    before = [x.copy() for x in (p.V, *p.factors)]
    got = factorize_tensor(p.V, **p.start, solver="accelerated", max_iter=20, tol=0)
    assert got.gains[1, 0] == 0
    assert not got.templates[:2, 1].any()
    assert not got.activations[2, 3:].any()
    for old, new in zip(before, (p.V, *p.factors), strict=True):
        np.testing.assert_array_equal(old, new)


def test_all_fixed_only_measures():
    p = Problem(11)
    got = factorize_tensor(
        p.V, **p.start, fixed_gains=True, fixed_templates=True, fixed_activations=True, max_iter=2,
        tol=0,
    )  # fmt: skip
    model = naive_models.tensor_model(*p.factors).reshape(2, -1)
    want = naive.beta_divergence(p.V.reshape(2, -1), model, 1)
    np.testing.assert_allclose(got.losses, want, rtol=1e-12)


@given(seed=seeds, order=st.permutations(range(3)))
def test_channels_may_come_in_any_order(seed, order):
    p = Problem(seed, n_channels=3)
    one = factorize_tensor(p.V, **p.start, max_iter=3, tol=0)
    swapped = p.start | {"gains": p.factors[0][order]}
    other = factorize_tensor(p.V[order], **swapped, max_iter=3, tol=0)
    np.testing.assert_allclose(other.gains, one.gains[order], rtol=1e-10)
    np.testing.assert_allclose(other.templates, one.templates, rtol=1e-10)


@pytest.mark.parametrize("beta", [0.0, 1.0, 1.5])
def test_threads_and_seed_give_the_same_bytes(rng, beta):
    V = rng.gamma(0.5, size=(2, 40, 1500)).astype(np.float32)
    one, two, again = (
        factorize_tensor(
            V, 5, beta=beta, solver="accelerated", max_iter=8, tol=0, n_threads=n, seed=5
        )
        for n in (1, 2, 2)
    )
    assert same_bytes(one, two)
    assert same_bytes(two, again)
    other = factorize_tensor(V, 5, beta=beta, max_iter=1, tol=0, seed=6)
    assert not same_bytes(one, other)


def test_layout_and_integers_do_not_matter():
    V = np.arange(120).reshape(2, 6, 10)
    one = factorize_tensor(V, 2, max_iter=5)
    two = factorize_tensor(np.asfortranarray(V.astype(float)), 2, max_iter=5)
    assert same_bytes(one, two)


def test_stops_by_the_tolerance():
    p = Problem(12)
    got = factorize_tensor(p.V, 2, tol=0.01, max_iter=1000)
    assert got.stop is Stop.CONVERGED
    n = got.n_iter - 1
    assert got.losses[n - 10] - got.losses[n] < 0.01 * got.losses[0]
    assert len(factorize_tensor(p.V, 2, max_iter=0).losses) == 1


# Errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"V": np.ones((3, 4))}, r"V has shape \(3, 4\); expected a non-empty array of three axes"),
        ({"V": -np.ones((2, 3, 4))}, r"V\[0, 0, 0\] is -1.0; entries must be finite"),
        ({"V": np.full((2, 3, 4), np.inf)}, r"V\[0, 0, 0\] is inf"),
        ({"V": np.ones((2, 3, 4)) * 1j}, "dtype complex128; give real numbers"),
        ({"n_components": None}, "give n_components, gains, templates or activations"),
        ({"n_components": 0}, "n_components=0 must be a whole number of at least 1"),
        ({"gains": np.ones((3, 2))}, r"gains has shape \(3, 2\), expected \(2, 2\) for this V"),
        ({"templates": np.ones((4, 2))}, r"templates has shape \(4, 2\), expected \(3, 2\)"),
        ({"activations": np.ones((2, 5))}, r"activations has shape \(2, 5\), expected \(2, 4\)"),
        ({"weights": np.ones((2, 3, 5))}, r"weights has shape \(2, 3, 5\), expected \(2, 3, 4\)"),
        ({"fixed_gains": True}, "fixed_gains is set, but no gains are given"),
        ({"fixed_templates": [1, 0]}, "fixed_templates must be True, False or 2 such values"),
        ({"beta": "x"}, "beta 'x' is unknown"),
        ({"solver": "hals"}, "solver 'hals' is unknown"),
        ({"tol": np.nan}, "tol=nan must not be negative"),
    ],
)
def test_says_what_is_wrong(arguments, message):
    arguments = {"V": np.ones((2, 3, 4)), "n_components": 2} | arguments
    with pytest.raises(ParameterError, match=message):
        factorize_tensor(**arguments)
