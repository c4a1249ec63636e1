"""The factorization: against the obvious loop and a second implementation, and its promises."""

from __future__ import annotations

import naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiosep.errors import Cancelled, ParameterError
from audiosep.nmf import beta_divergence, factorize
from audiosep.types import Stop

BETAS = (0.0, 0.5, 1.0, 2.0, -1.0, 0.3, 1.5, 3.0)
DTYPES = (np.float32, np.float64)
CLOSE = {np.float32: 2e-4, np.float64: 1e-9}
EPS = {dtype: float(np.finfo(dtype).eps) for dtype in DTYPES}

betas = st.sampled_from(BETAS)
dtypes = st.sampled_from(DTYPES)
seeds = st.integers(0, 2**32 - 1)
sizes = st.integers(1, 7)


def positive(rng, *shape, dtype=np.float64):
    return rng.uniform(0.3, 2.0, shape).astype(dtype)


class Problem:
    """Data, a start and weights of one shape."""

    def __init__(self, seed, dtype=np.float64, n_bins=6, n_frames=8, K=3):
        rng = np.random.default_rng(seed)
        self.V = positive(rng, n_bins, n_frames, dtype=dtype)
        self.W = positive(rng, n_bins, K, dtype=dtype)
        self.H = positive(rng, K, n_frames, dtype=dtype)
        self.G = positive(rng, n_bins, n_frames, dtype=dtype)
        self.start = {"templates": self.W, "activations": self.H}


def same_bytes(one, other):
    return (
        one.templates.tobytes() == other.templates.tobytes()
        and one.activations.tobytes() == other.activations.tobytes()
        and one.losses.tobytes() == other.losses.tobytes()
    )


# Against other implementations


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("weighted", [False, True])
def test_equals_the_obvious_loop(beta, dtype, weighted):
    p = Problem(1, dtype)
    weights = p.G if weighted else None
    got = factorize(p.V, beta=beta, max_iter=3, tol=0, weights=weights, **p.start)
    W, H, losses = naive.factorize(p.V, p.W, p.H, beta, 3, weights=weights)
    np.testing.assert_allclose(got.templates, W, rtol=CLOSE[dtype])
    np.testing.assert_allclose(got.activations, H, rtol=CLOSE[dtype])
    np.testing.assert_allclose(got.losses, losses, rtol=CLOSE[dtype])


@pytest.mark.parametrize("beta", [0.0, 1.0, 2.0, 1.5])
def test_equals_the_obvious_loop_with_fixed_components(beta):
    p = Problem(2)
    got = factorize(
        p.V, beta=beta, max_iter=2, tol=0, **p.start,
        fixed_templates=[True, False, False], fixed_activations=[False, False, True],
    )  # fmt: skip
    W, H, losses = naive.factorize(
        p.V, p.W, p.H, beta, 2, fixed_templates=(0,), fixed_activations=(2,)
    )
    np.testing.assert_allclose(got.templates, W, rtol=1e-9)
    np.testing.assert_allclose(got.activations, H, rtol=1e-9)
    np.testing.assert_allclose(got.losses, losses, rtol=1e-9)


@pytest.mark.parametrize("beta", [0.3, 0.5, 1.0, 1.5, 2.0, 3.0])
def test_equals_the_obvious_loop_with_zeros_and_away_from_level_one(beta):
    p = Problem(3)
    p.V[p.V < 0.9] = 0
    p.V[2] = 0
    p.W[1, 0] = p.H[2, 3] = 0
    got = factorize(1024 * p.V, beta=beta, max_iter=3, tol=0, templates=p.W, activations=1024 * p.H)
    W, H, losses = naive.factorize(p.V, p.W, p.H, beta, 3)
    np.testing.assert_allclose(got.templates, W, rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(got.activations / 1024, H, rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(got.losses / 1024**beta, losses, rtol=1e-9)


@pytest.mark.parametrize(("beta", "name"), [(1.0, "kullback-leibler"), (2.0, "frobenius")])
@pytest.mark.parametrize("dtype", DTYPES)
def test_one_step_equals_scikit_learn(beta, name, dtype):
    from sklearn.decomposition import non_negative_factorization

    p = Problem(4, dtype, 9, 11, 4)
    got = factorize(p.V, beta=beta, max_iter=1, tol=0, **p.start)
    # It moves its W first: ours is its transposed problem.
    H, W, _ = non_negative_factorization(
        np.ascontiguousarray(p.V.T), W=np.ascontiguousarray(p.H.T),
        H=np.ascontiguousarray(p.W.T), n_components=4, init="custom", solver="mu",
        beta_loss=name, max_iter=1, tol=0,
    )  # fmt: skip
    sums = W.sum(axis=1)
    np.testing.assert_allclose(got.templates, (W / sums[:, np.newaxis]).T, rtol=CLOSE[dtype])
    np.testing.assert_allclose(got.activations, (H * sums).T, rtol=CLOSE[dtype])


# The objective


@given(seed=seeds, beta=betas, n_bins=sizes, n_frames=sizes, K=st.integers(1, 4),
       weighted=st.booleans())  # fmt: skip
def test_losses_never_rise(seed, beta, n_bins, n_frames, K, weighted):
    p = Problem(seed, np.float64, n_bins, n_frames, K)
    losses = factorize(
        p.V, K, beta=beta, max_iter=12, tol=0, seed=seed, weights=p.G if weighted else None
    ).losses
    noise = EPS[np.float64] * 8 * p.V.size * max(1.0, float((p.V**beta).max()))
    assert np.all(np.diff(losses) <= 1e-9 * losses[:-1] + noise)


@pytest.mark.parametrize("beta", BETAS)
def test_losses_never_rise_in_single_precision(beta):
    p = Problem(5, np.float32, 12, 20, 2)
    losses = factorize(p.V, 2, beta=beta, max_iter=25, tol=0).losses
    assert np.all(np.diff(losses) <= 4 * EPS[np.float32] * losses[:-1])
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0, 2.0, 3.0])
def test_losses_never_rise_from_zeros_and_peaks(rng, beta):
    V = 10.0 ** rng.uniform(-7, 2, (8, 12))
    V[rng.random(V.shape) < 0.3] = 0
    losses = factorize(V, 3, beta=beta, max_iter=25, tol=0).losses
    assert np.isfinite(losses).all()
    assert np.all(np.diff(losses) <= 1e-9 * losses[:-1])


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("weighted", [False, True])
def test_losses_are_the_divergences_of_start_and_result(beta, dtype, weighted):
    p = Problem(6, dtype)
    V = p.V * dtype(100)
    weights = p.G if weighted else None
    got = factorize(V, beta=beta, max_iter=4, tol=0, weights=weights, **p.start)
    want = beta_divergence(V, p.W.astype(float) @ p.H, beta, weights)
    # 1e-12 of the level is added to the model.
    assert got.losses[0] == pytest.approx(want, rel=max(20 * EPS[dtype], 1e-9))
    model = got.templates.astype(float) @ got.activations
    assert got.losses[-1] == pytest.approx(
        beta_divergence(V, model, beta, weights), rel=1e-4 if dtype == np.float32 else 1e-9
    )


@pytest.mark.parametrize("beta", BETAS)
def test_finds_factors_of_an_exact_product(beta):
    p = Problem(7, np.float64, 10, 12, 1)
    V = p.W @ p.H
    got = factorize(V, 1, beta=beta, max_iter=60, tol=0)
    np.testing.assert_allclose(got.model(), V, rtol=1e-6)
    np.testing.assert_allclose(got.templates, p.W / p.W.sum(), rtol=1e-6)


# Scale, order, type


@given(seed=seeds, beta=betas, dtype=dtypes, power=st.integers(-60, 60), given_start=st.booleans())
def test_a_power_of_two_scales_activations_exactly(seed, beta, dtype, power, given_start):
    p = Problem(seed, dtype)
    factor = dtype(2.0**power)
    scaled_start = {"templates": p.W, "activations": p.H * factor}
    one = factorize(p.V, 3, beta=beta, max_iter=3, tol=0, **(p.start if given_start else {}))
    other = factorize(
        p.V * factor, 3, beta=beta, max_iter=3, tol=0, **(scaled_start if given_start else {})
    )
    assert one.templates.tobytes() == other.templates.tobytes()
    assert (one.activations * factor).tobytes() == other.activations.tobytes()
    np.testing.assert_allclose(other.losses, one.losses * 2.0 ** (power * beta), rtol=1e-12)


@pytest.mark.parametrize("factor", [1e-12, 1e-5, 3.0, 1e5, 1e12, 1e-30, 1e30])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0, 2.0, 3.0])
def test_any_scale_gives_the_same_templates(factor, dtype, beta):
    p = Problem(8, dtype)
    one = factorize(p.V, 3, beta=beta, max_iter=4)
    other = factorize(p.V * dtype(factor), 3, beta=beta, max_iter=4)
    close = {np.float32: 1e-3, np.float64: 1e-9}[dtype]
    np.testing.assert_allclose(other.templates, one.templates, rtol=close)
    np.testing.assert_allclose(
        other.activations.astype(float), one.activations.astype(float) * factor, rtol=close
    )
    assert other.n_iter == one.n_iter


def test_the_largest_and_smallest_numbers_are_survived():
    V = Problem(9).V
    for factor, dtype in ((1e300, np.float64), (1e-300, np.float64), (1e-42, np.float32)):
        for beta in (-4, 0, 1, 2, 4):
            got = factorize((V * factor).astype(dtype), 2, beta=beta, max_iter=20)
            assert np.isfinite(got.templates).all()
            assert np.isfinite(got.activations).all()
            assert got.templates.sum() == pytest.approx(2.0, rel=1e-5)


def test_a_mean_below_the_smallest_number_is_survived():
    V = np.zeros((20, 30), np.float32)
    V[3, 4] = V[5, 6] = np.finfo(np.float32).smallest_subnormal
    got = factorize(V, 2, max_iter=20)
    assert np.isfinite(got.templates).all()
    assert np.isfinite(got.activations).all()
    assert got.activations.any()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("beta", [-4.0, -3.0, -2.0, -1.0, 0.0])
def test_zeros_at_negative_beta_are_survived(dtype, beta):
    V = Problem(10).V
    V[V < 0.8] = 0
    got = factorize(V.astype(dtype), 3, beta=beta, max_iter=60, tol=0)
    assert got.templates.dtype == got.activations.dtype == dtype
    assert np.isfinite(got.templates).all()
    assert np.isfinite(got.activations).all()
    # Powers down to -4 of 1e-9: their logarithm's rounding counts eighty times.
    slack = max(4 * EPS[dtype], 1e-13)
    assert np.all(np.diff(got.losses) <= slack * got.losses[:-1])


def test_zeros_count_as_a_billionth_of_the_mean_at_beta_zero():
    p = Problem(11)
    V = p.V
    V[V < 0.8] = 0
    level = 2.0 ** round(np.log2(V.mean()))
    raised = np.maximum(V, 1e-9 * level)
    one = factorize(V, beta="is", max_iter=5, tol=0, **p.start)
    other = factorize(raised, beta="is", max_iter=5, tol=0, **p.start)
    want = naive.beta_divergence(raised, p.W @ p.H, 0.0)
    assert one.losses[0] == pytest.approx(want, rel=1e-12)
    np.testing.assert_allclose(one.templates, other.templates, rtol=1e-6)
    np.testing.assert_allclose(one.losses, other.losses, rtol=1e-9)


@given(seed=seeds, beta=betas, order=st.permutations(range(4)))
def test_permuted_components_give_permuted_results(seed, beta, order):
    p = Problem(seed, K=4)
    one = factorize(p.V, beta=beta, max_iter=3, tol=0, **p.start)
    other = factorize(
        p.V, beta=beta, max_iter=3, tol=0, templates=p.W[:, order], activations=p.H[order]
    )
    np.testing.assert_allclose(other.templates, one.templates[:, order], rtol=1e-10)
    np.testing.assert_allclose(other.activations, one.activations[order], rtol=1e-10)


@given(seed=seeds, beta=betas)
def test_permuted_bins_and_frames_give_permuted_results(seed, beta):
    p = Problem(seed)
    rng = np.random.default_rng(seed)
    bins, frames = rng.permutation(6), rng.permutation(8)
    one = factorize(p.V, beta=beta, max_iter=3, tol=0, **p.start)
    other = factorize(
        p.V[np.ix_(bins, frames)], beta=beta, max_iter=3, tol=0,
        templates=p.W[bins], activations=p.H[:, frames],
    )  # fmt: skip
    np.testing.assert_allclose(other.templates, one.templates[bins], rtol=1e-10)
    np.testing.assert_allclose(other.activations, one.activations[:, frames], rtol=1e-10)


@pytest.mark.parametrize("dtype", DTYPES)
def test_precision_is_kept_whatever_the_layout(dtype):
    V = Problem(12, dtype).V
    results = [
        factorize(layout, 3, max_iter=4)
        for layout in (V, np.asfortranarray(V), np.repeat(V, 2, axis=1)[:, ::2], V[::-1][::-1])
    ]
    assert all(same_bytes(results[0], other) for other in results[1:])
    assert results[0].templates.dtype == results[0].activations.dtype == dtype
    assert results[0].losses.dtype == np.float64
    assert results[0].activations.flags.c_contiguous
    assert results[0].templates.T.flags.c_contiguous


@pytest.mark.parametrize("dtype", [np.int16, np.uint8, np.int64, np.bool_, np.float16])
def test_other_types_become_float64(rng, dtype):
    V = rng.integers(0, 5, (6, 8)).astype(dtype)
    one = factorize(V, 2, max_iter=3)
    assert one.templates.dtype == np.float64
    assert same_bytes(one, factorize(V.astype(np.float64), 2, max_iter=3))
    assert same_bytes(one, factorize(V.tolist(), 2, max_iter=3))


def test_start_of_another_type_follows_the_data():
    p = Problem(13, np.float32)
    got = factorize(p.V, max_iter=2, templates=p.W.astype(np.float64), activations=p.H.tolist())
    assert got.templates.dtype == got.activations.dtype == np.float32
    assert same_bytes(got, factorize(p.V, max_iter=2, **p.start))


# What may not change


@given(seed=seeds, beta=betas, fortran=st.booleans())
def test_arrays_of_the_caller_are_not_changed(seed, beta, fortran):
    p = Problem(seed, np.float32)
    arrays = [np.array(x, order="F" if fortran else "C") for x in (p.V, p.W, p.H, p.G)]
    before = [x.tobytes() for x in arrays]
    for x in arrays:
        x.flags.writeable = False
    V, W, H, G = arrays
    flags = np.array([True, False, False])
    got = factorize(V, beta=beta, max_iter=2, templates=W, activations=H, weights=G,
                    fixed_templates=flags)  # fmt: skip
    assert [x.tobytes() for x in arrays] == before
    assert flags.tolist() == [True, False, False]
    for x in arrays:
        assert not np.shares_memory(x, got.templates)
        assert not np.shares_memory(x, got.activations)


@given(seed=seeds, beta=betas, dtype=dtypes, factor=st.sampled_from([1.0, 1e-12, 1e12, 3e20]))
def test_fixed_components_come_back_as_given(seed, beta, dtype, factor):
    p = Problem(seed, dtype, K=4)
    rng = np.random.default_rng(seed)
    fixed_w, fixed_h = rng.random((2, 4)) < 0.5
    V = p.V * dtype(factor)
    H = p.H * dtype(1e-20)
    W = p.W * dtype(7)
    got = factorize(V, beta=beta, max_iter=2, templates=W, activations=H,
                    fixed_templates=fixed_w, fixed_activations=fixed_h)  # fmt: skip
    assert got.templates[:, fixed_w].tobytes() == W[:, fixed_w].tobytes()
    assert got.activations[fixed_h].tobytes() == H[fixed_h].tobytes()
    moved = ~fixed_w & ~fixed_h
    np.testing.assert_allclose(got.templates[:, moved].sum(axis=0), 1.0, rtol=1e-5)


def test_all_fixed_is_only_measured():
    p = Problem(14)
    got = factorize(p.V, max_iter=3, tol=0, fixed_templates=True, fixed_activations=True, **p.start)
    assert np.array_equal(got.templates, p.W)
    assert np.array_equal(got.activations, p.H)
    np.testing.assert_allclose(got.losses, naive.beta_divergence(p.V, p.W @ p.H, 1.0), rtol=1e-12)


@pytest.mark.parametrize("dtype", DTYPES)
def test_silence_keeps_what_is_fixed(dtype):
    p = Problem(15, dtype)
    got = factorize(np.zeros_like(p.V), fixed_templates=True, fixed_activations=True, **p.start)
    assert got.stop is Stop.SILENT
    assert np.array_equal(got.templates, p.W)
    assert np.array_equal(got.activations, p.H)


@given(seed=seeds, beta=betas, dtype=dtypes)
def test_zeros_of_the_start_stay_zero(seed, beta, dtype):
    p = Problem(seed, dtype)
    rng = np.random.default_rng(seed)
    no_w, no_h = rng.random(p.W.shape) < 0.3, rng.random(p.H.shape) < 0.3
    no_w[:, 0] = no_h[0] = False
    p.W[no_w] = 0
    p.H[no_h] = 0
    got = factorize(p.V, beta=beta, max_iter=3, **p.start)
    assert not got.templates[no_w].any()
    assert not got.activations[no_h].any()
    assert got.templates[~no_w].all()
    assert got.activations[~no_h].all()


def test_a_component_that_is_zero_stays_zero():
    p = Problem(16)
    p.W[:, 1] = 0
    got = factorize(p.V, max_iter=3, **p.start)
    assert not got.templates[:, 1].any()
    assert np.isfinite(got.activations).all()


@given(seed=seeds, beta=betas, dtype=dtypes, there=st.sampled_from([0.0, 1e-6, 1.0, 1e6, 1e30]))
def test_entries_of_weight_zero_are_ignored(seed, beta, dtype, there):
    p = Problem(seed, dtype)
    missing = np.random.default_rng(seed).random(p.V.shape) < 0.3
    missing[0, 0] = False
    p.G[missing] = 0
    other = p.V.copy()
    other[missing] = there
    one = factorize(p.V, 2, beta=beta, max_iter=3, weights=p.G)
    assert same_bytes(one, factorize(other, 2, beta=beta, max_iter=3, weights=p.G))
    assert np.isfinite(one.losses).all()


def test_missing_entries_are_filled_in():
    p = Problem(17, n_bins=10, n_frames=14, K=1)
    V = p.W @ p.H
    weights = np.ones_like(V)
    weights[3:6, 4:9] = 0
    hidden = V.copy()
    hidden[3:6, 4:9] = 50.0
    got = factorize(hidden, 1, weights=weights, max_iter=200, tol=0)
    np.testing.assert_allclose(got.model(), V, rtol=1e-6)


@given(seed=seeds, beta=betas)
def test_weights_of_one_change_nothing_and_doubled_weights_only_the_losses(seed, beta):
    p = Problem(seed)
    one = factorize(p.V, beta=beta, max_iter=3, tol=0, **p.start)
    ones = factorize(p.V, beta=beta, max_iter=3, tol=0, weights=np.ones_like(p.V), **p.start)
    twos = factorize(p.V, beta=beta, max_iter=3, tol=0, weights=2 * np.ones_like(p.V), **p.start)
    np.testing.assert_allclose(ones.templates, one.templates, rtol=1e-10)
    np.testing.assert_allclose(ones.losses, one.losses, rtol=1e-10)
    assert twos.templates.tobytes() == ones.templates.tobytes()
    np.testing.assert_allclose(twos.losses, 2 * ones.losses, rtol=1e-12)


def test_an_integer_weight_repeats_a_frame():
    p = Problem(18)
    counts = np.array([1, 2, 1, 3, 1, 1, 2, 1])
    one = factorize(p.V, max_iter=3, tol=0, weights=np.tile(counts, (6, 1)), **p.start)
    other = factorize(
        np.repeat(p.V, counts, axis=1), max_iter=3, tol=0,
        templates=p.W, activations=np.repeat(p.H, counts, axis=1),
    )  # fmt: skip
    np.testing.assert_allclose(one.templates, other.templates, rtol=1e-10)
    np.testing.assert_allclose(one.losses, other.losses, rtol=1e-10)


def test_nothing_observed_is_nothing_to_factorize():
    p = Problem(19)
    got = factorize(p.V, 2, weights=np.zeros_like(p.V))
    assert got.stop is Stop.SILENT
    assert not got.activations.any()


# Repeatability


@given(seed=seeds, beta=betas, dtype=dtypes)
def test_the_same_seed_gives_the_same_bytes(seed, beta, dtype):
    V = Problem(seed, dtype).V
    one = factorize(V, 2, beta=beta, max_iter=3, seed=seed)
    assert same_bytes(one, factorize(V, 2, beta=beta, max_iter=3, seed=seed))
    generator = np.random.default_rng(seed)
    drawn = factorize(V, 2, beta=beta, max_iter=3, seed=generator)
    assert same_bytes(one, drawn)
    assert (one.seed, drawn.seed) == (seed, None)
    other = factorize(V, 2, beta=beta, max_iter=3, seed=seed + 1)
    assert not same_bytes(one, other)


@pytest.mark.parametrize("beta", [0.0, 1.0, 2.0, 1.5])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_number_of_threads_changes_nothing(rng, beta, weighted):
    # Few bins, so that the frames fill five slabs of their own.
    V = positive(rng, 3, 2700, dtype=np.float32)
    weights = positive(rng, 3, 2700, dtype=np.float32) if weighted else None
    one, two, three = (
        factorize(V, 2, beta=beta, max_iter=2, tol=0, weights=weights, n_threads=n)
        for n in (1, 2, 3)
    )
    assert same_bytes(one, two)
    assert same_bytes(one, three)


def test_slabs_and_tiles_cover_every_frame(rng):
    p = Problem(20, n_bins=2, n_frames=1111, K=1)
    got = factorize(p.V, max_iter=1, tol=0, **p.start)
    H = p.H * (p.W.T @ (p.V / (p.W @ p.H))) / p.W.sum()
    W = p.W * ((p.V / (p.W @ H)) @ H.T) / H.sum()
    np.testing.assert_allclose(got.templates, W / W.sum(), rtol=1e-10)
    np.testing.assert_allclose(got.activations, H * W.sum(), rtol=1e-10)


# Stopping


def test_stops_when_converged():
    p = Problem(21, K=1)
    got = factorize(p.W @ p.H, 1, max_iter=500, tol=1e-3)
    assert got.stop is Stop.CONVERGED
    assert got.n_iter < 500
    assert len(got.losses) == got.n_iter + 1
    assert got.losses[got.n_iter - 11] - got.losses[got.n_iter - 1] < 1e-3 * got.losses[0]


@pytest.mark.parametrize("power", [-200, 0, 200])
def test_stopping_does_not_depend_on_the_level(power):
    V = Problem(22).V
    one = factorize(V, 2, beta=2, max_iter=500, tol=1e-3)
    other = factorize(V * 2.0**power, 2, beta=2, max_iter=500, tol=1e-3)
    assert (other.n_iter, other.stop) == (one.n_iter, one.stop) == (one.n_iter, Stop.CONVERGED)


@pytest.mark.parametrize("tol", [1e-2, 1e-3, 1e-4])
@pytest.mark.parametrize("beta", [0.0, 1.0, 2.0])
def test_stops_by_the_fall_during_ten_iterations_relative_to_the_start(tol, beta):
    V = Problem(22, n_bins=8, n_frames=20).V
    every = factorize(V, 2, beta=beta, max_iter=301, tol=0)
    falls = every.losses[:-10] - every.losses[10:]
    small = falls[: every.n_iter - 10 : 10] < tol * every.losses[0]
    got = factorize(V, 2, beta=beta, max_iter=301, tol=tol)
    if small.any():
        n_iter = 10 * int(small.argmax()) + 11
        assert (got.n_iter, got.stop) == (n_iter, Stop.CONVERGED)
    else:
        assert (got.n_iter, got.stop) == (301, Stop.MAX_ITER)
    assert got.losses[:-1].tobytes() == every.losses[: got.n_iter].tobytes()
    # The last one comes from a pass of its own, which may add up in another order.
    assert got.losses[-1] == pytest.approx(every.losses[got.n_iter], rel=1e-12)


def test_tolerance_zero_does_all_iterations():
    p = Problem(23, K=1)
    got = factorize(p.W @ p.H, 1, max_iter=45, tol=0)
    assert (got.n_iter, got.stop, len(got.losses)) == (45, Stop.MAX_ITER, 46)


def test_no_iterations():
    p = Problem(24)
    got = factorize(p.V, max_iter=0, **p.start)
    assert (got.n_iter, got.stop, got.losses.shape) == (0, Stop.MAX_ITER, (1,))
    np.testing.assert_allclose(got.model(), p.W @ p.H, rtol=1e-12)


@pytest.mark.parametrize("dtype", DTYPES)
def test_silence(dtype):
    got = factorize(np.zeros((5, 7), dtype), 3)
    assert got.stop is Stop.SILENT
    assert (got.n_iter, got.losses.tolist()) == (0, [0.0])
    assert got.templates.shape == (5, 3)
    assert not got.activations.any()
    assert got.activations.shape == (3, 7)
    assert got.templates.dtype == got.activations.dtype == dtype


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1)])
@pytest.mark.parametrize("beta", BETAS)
def test_smallest_shapes(rng, shape, beta):
    V = positive(rng, *shape)
    got = factorize(V, 1, beta=beta, max_iter=30, tol=0)
    np.testing.assert_allclose(got.model(), V, rtol=1e-5)


def test_more_components_than_the_data_have():
    got = factorize(Problem(25, n_bins=3, n_frames=2).V, 9, max_iter=300, tol=0)
    assert got.losses[-1] < 1e-6 * got.losses[0]
    np.testing.assert_allclose(got.templates.sum(axis=0), 1.0, rtol=1e-12)


# Progress


@pytest.mark.parametrize("n_threads", [1, 2])
def test_progress_goes_up_to_one(n_threads):
    seen = []
    factorize(Problem(26).V, 2, max_iter=7, tol=0, n_threads=n_threads,
              progress=lambda stage, fraction: seen.append((stage, fraction)))  # fmt: skip
    assert seen == [("factorize", pytest.approx((i + 1) / 7)) for i in range(7)]


@pytest.mark.parametrize("n_threads", [1, 2])
def test_progress_may_cancel(rng, n_threads):
    seen = []

    def stop_after_three(stage, fraction):
        seen.append(fraction)
        if len(seen) == 3:
            raise Cancelled("enough")

    with pytest.raises(Cancelled, match="enough"):
        factorize(positive(rng, 2, 1100), 2, tol=0, n_threads=n_threads, progress=stop_after_three)
    assert len(seen) == 3


# Arguments


def with_entry(value):
    V = np.ones((3, 4))
    V[1, 2] = value
    return V


OK = np.ones((3, 4))


@pytest.mark.parametrize(
    ("V", "arguments", "message"),
    [
        (with_entry(np.nan), {}, r"V\[1, 2\] is nan; entries must be finite and non-negative"),
        (with_entry(np.inf), {}, r"V\[1, 2\] is inf"),
        (with_entry(-1.0), {}, r"V\[1, 2\] is -1.0"),
        (OK[0], {}, r"V has shape \(4,\); expected a non-empty matrix"),
        (np.ones((0, 4)), {}, r"V has shape \(0, 4\)"),
        (OK[np.newaxis], {}, r"V has shape \(1, 3, 4\)"),
        (OK * 1j, {}, r"V has dtype complex128; give real numbers, e.g. np.abs\(V\)"),
        (OK.astype(object), {}, "V has dtype object"),
        (OK.astype(str), {}, "V has dtype <U"),
        (OK, {"n_components": None}, "give n_components, templates or activations"),
        (OK, {"n_components": 0}, "n_components=0 must be a whole number of at least 1; try 8"),
        (OK, {"n_components": 2.5}, "n_components=2.5 must be a whole number"),
        (OK, {"templates": np.ones((4, 2))}, r"templates has shape \(4, 2\), expected \(3, 2\)"),
        (OK, {"templates": np.ones((3, 3))}, r"templates has shape \(3, 3\), expected \(3, 2\)"),
        (OK, {"templates": -np.ones((3, 2))}, r"templates\[0, 0\] is -1.0"),
        (OK, {"activations": np.ones((2, 5))}, r"activations has shape \(2, 5\), expected \(2, 4"),
        (OK, {"activations": np.full((2, 4), np.nan)}, r"activations\[0, 0\] is nan"),
        (OK, {"weights": np.ones((4, 3))}, r"weights has shape \(4, 3\), expected \(3, 4\) like V"),
        (OK, {"weights": -OK}, r"weights\[0, 0\] is -1.0"),
        (OK, {"fixed_templates": True}, "fixed_templates is set, but no templates are given"),
        (OK, {"fixed_activations": [True, False]}, "but no activations are given"),
        (OK, {"templates": np.ones((3, 2)), "fixed_templates": [True]},
         "fixed_templates must be True, False, 2 such values"),
        (OK, {"activations": np.ones((2, 4)), "fixed_activations": [1, 0]},
         "fixed_activations must be True, False, 2 such values"),
        (OK, {"max_iter": -1}, "max_iter=-1 must be a whole number"),
        (OK, {"tol": -1.0}, "tol=-1.0 must not be negative"),
        (OK, {"tol": float("nan")}, "tol=nan must not be negative"),
        (OK, {"beta": 9}, "beta 9 is unknown"),
        (OK, {"n_threads": 0}, "n_threads=0 must be a whole number of at least 1"),
        (OK, {"seed": -1}, "seed -1"),
    ],
)  # fmt: skip
def test_arguments_that_cannot_be(V, arguments, message):
    with pytest.raises(ParameterError, match=message):
        factorize(V, **({"n_components": 2} | arguments))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("given_level", [None, 1e-6, 1e6])
def test_the_random_start_has_the_level_of_the_data(dtype, given_level):
    p = Problem(27, dtype, 30, 40, 5)
    start = {} if given_level is None else {"templates": p.W * dtype(given_level)}
    got = factorize(1000 * p.V, 5, max_iter=0, **start)
    assert 0.4 < got.model().mean() / (1000 * p.V.mean()) < 1.1
    if given_level is None:
        np.testing.assert_allclose(got.templates.sum(axis=0), 1.0, rtol=1e-5)
        assert got.templates.min() > 0
