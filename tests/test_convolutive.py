"""Patches and their onsets: against the obvious loop, and what the model promises."""

from __future__ import annotations

import naive
import naive_models
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiosep.errors import Cancelled, ParameterError
from audiosep.nmf.convolutive import factorize_convolutive
from audiosep.nmf.convolutive_problem import gathered, lagged
from audiosep.types import Stop

BETAS = (0.0, 0.5, 1.0, 2.0, -1.0, 1.5, 3.0)
DTYPES = (np.float32, np.float64)
CLOSE = {np.float32: 5e-4, np.float64: 1e-9}
SLACK = {np.float32: 1e-5, np.float64: 1e-10}

betas = st.sampled_from(BETAS)
seeds = st.integers(0, 2**32 - 1)
sizes = st.integers(1, 6)


class Problem:
    """Data near level one, a start and weights of one shape."""

    def __init__(self, seed, dtype=np.float64, n_bins=5, n_frames=9, K=2, n_taps=3):
        rng = np.random.default_rng(seed)

        def positive(*shape):
            return rng.uniform(0.3, 2.0, shape).astype(dtype)

        self.V = positive(n_bins, n_frames)
        self.V /= self.V.mean()
        self.W, self.H = positive(n_bins, K, n_taps), positive(K, n_frames)
        self.G = positive(n_bins, n_frames)
        self.start = {"templates": self.W, "activations": self.H}


def scene(rng, n_bins=24, n_frames=200, n_taps=6):
    """Two decaying patches, one low and one high, each with its own onsets."""
    bins = np.arange(n_bins)
    W = np.stack([np.exp(-0.5 * ((bins - at) / 2.0) ** 2) for at in (5, 17)], axis=1)
    W = W[:, :, np.newaxis] * np.exp(-np.arange(n_taps) / np.array([[2.0], [4.0]]))
    W /= W.sum(axis=(0, 2))[:, np.newaxis]
    H = np.zeros((2, n_frames))
    for k, gap in enumerate((17, 11)):
        onsets = np.arange(3 + 4 * k, n_frames, gap)
        H[k, onsets] = rng.uniform(1.0, 3.0, len(onsets))
    return W, H, naive_models.convolutive_model(W, H)


def same_bytes(one, other):
    return all(
        getattr(one, name).tobytes() == getattr(other, name).tobytes()
        for name in ("templates", "activations", "losses")
    )


# Against the obvious loop


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("weighted", [False, True])
def test_equals_the_obvious_loop(beta, dtype, weighted):
    p = Problem(1, dtype)
    weights = p.G if weighted else None
    got = factorize_convolutive(p.V, beta=beta, max_iter=3, tol=0, weights=weights, **p.start)
    W, H, losses = naive_models.factorize_convolutive(p.V, p.W, p.H, beta, 3, weights=weights)
    np.testing.assert_allclose(got.templates, W, rtol=CLOSE[dtype])
    np.testing.assert_allclose(got.activations, H, rtol=CLOSE[dtype])
    np.testing.assert_allclose(got.losses, losses, rtol=CLOSE[dtype])
    model = naive_models.convolutive_model(W, H)
    np.testing.assert_allclose(got.model(), model, rtol=CLOSE[dtype])
    parts = sum(got.component(k) for k in range(got.n_components))
    np.testing.assert_allclose(parts, model, rtol=CLOSE[dtype])


@pytest.mark.parametrize("adapt", [None, 1.0, 4.0])
@pytest.mark.parametrize("beta", [0.0, 1.0, 1.5, 3.0])
def test_equals_the_obvious_loop_with_fixed_components_and_a_pull(beta, adapt):
    p = Problem(2, K=3)
    got = factorize_convolutive(
        p.V, beta=beta, max_iter=4, tol=0, adapt=adapt, **p.start,
        fixed_templates=[True, False, False], fixed_activations=[False, False, True],
    )  # fmt: skip
    W, H, losses = naive_models.factorize_convolutive(
        p.V, p.W, p.H, beta, 4, fixed_templates=(0,), fixed_activations=(2,), adapt=adapt
    )
    np.testing.assert_allclose(got.templates, W, rtol=1e-9)
    np.testing.assert_allclose(got.activations, H, rtol=1e-9)
    np.testing.assert_allclose(got.losses, losses, rtol=1e-9)
    np.testing.assert_array_equal(got.templates[:, 0], p.W[:, 0])
    np.testing.assert_array_equal(got.activations[2], p.H[2])


@pytest.mark.parametrize("beta", [0.3, 0.5, 1.0, 1.5, 2.0, 3.0])
def test_equals_the_obvious_loop_with_zeros(beta):
    p = Problem(3)
    p.V[p.V < 0.8] = 0
    p.V[2] = 0
    p.V /= p.V.mean()
    p.W[1, 0, 1] = p.H[1, 3] = 0
    p.W[:, 1, 0] = 0  # the last frame's activation is then heard nowhere
    got = factorize_convolutive(p.V, beta=beta, max_iter=3, tol=0, **p.start)
    W, H, losses = naive_models.factorize_convolutive(p.V, p.W, p.H, beta, 3)
    np.testing.assert_allclose(got.templates, W, rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(got.activations, H, rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(got.losses, losses, rtol=1e-9)


@pytest.mark.parametrize("beta", [0.0, 1.0, 2.0])
def test_one_frame_per_template_is_the_plain_factorization(beta):
    p = Problem(4, n_taps=1)
    got = factorize_convolutive(p.V, beta=beta, max_iter=4, tol=0, **p.start)
    W, H, losses = naive.factorize(p.V, p.W[:, :, 0], p.H, beta, 4)
    np.testing.assert_allclose(got.templates[:, :, 0], W, rtol=1e-9)
    np.testing.assert_allclose(got.activations, H, rtol=1e-9)
    np.testing.assert_allclose(got.losses, losses, rtol=1e-9)


@pytest.mark.parametrize("dtype", DTYPES)
@given(seed=seeds, n_frames=sizes, K=sizes, n_taps=sizes)
def test_delays_equal_the_obvious_loop(dtype, seed, n_frames, K, n_taps):
    rng = np.random.default_rng(seed)
    H = rng.random((n_frames, K)).astype(dtype)
    want = np.zeros((n_frames, n_taps, K), dtype)
    for n in range(n_frames):
        for tap in range(n_taps):
            if n - tap >= 0:
                want[n, tap] = H[n - tap]
    got = lagged(H, n_taps)
    np.testing.assert_array_equal(got, want.reshape(n_frames, -1))
    np.testing.assert_array_equal(lagged(np.asfortranarray(H), n_taps), got)


@pytest.mark.parametrize("rows", [1, None])
@given(seed=seeds, n_frames=sizes, K=sizes, n_taps=sizes)
def test_gathering_equals_the_obvious_loop(rows, seed, n_frames, K, n_taps):
    rng = np.random.default_rng(seed)
    S = rng.random((rows or n_frames, n_taps, K))
    want = np.zeros((n_frames, K))
    for n in range(n_frames):
        for tap in range(n_taps):
            if n + tap < n_frames:
                want[n] += S[0 if rows == 1 else n + tap, tap]
    got = gathered(S.reshape(len(S), -1), n_frames, n_taps)
    np.testing.assert_allclose(got, want, rtol=1e-12)


@given(seed=seeds, n_frames=sizes, K=sizes, n_taps=sizes)
def test_gathering_is_the_transpose_of_delaying(seed, n_frames, K, n_taps):
    rng = np.random.default_rng(seed)
    H, S = rng.random((n_frames, K)), rng.random((n_frames, n_taps * K))
    there = np.vdot(lagged(H, n_taps), S)
    assert there == pytest.approx(np.vdot(H, gathered(S, n_frames, n_taps)), rel=1e-12)


# Known answers


@pytest.mark.parametrize("beta", BETAS)
def test_the_truth_stays_also_where_patches_run_over_the_end(beta):
    p = Problem(5)
    V = naive_models.convolutive_model(p.W, p.H)
    got = factorize_convolutive(V, beta=beta, max_iter=5, tol=0, **p.start)
    sums = p.W.sum(axis=(0, 2))
    np.testing.assert_allclose(got.templates, p.W / sums[:, np.newaxis], rtol=1e-9)
    np.testing.assert_allclose(got.activations, p.H * sums[:, np.newaxis], rtol=1e-9)


@pytest.mark.parametrize("beta", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("solver", ["mu", "accelerated"])
def test_finds_patches_from_their_onsets(rng, beta, solver):
    W, H, V = scene(rng)
    got = factorize_convolutive(
        V, n_taps=6, beta=beta, solver=solver, activations=(H > 0).astype(float), max_iter=300,
        tol=0,
    )  # fmt: skip
    np.testing.assert_allclose(got.templates, W, atol=0.02 * W.max())
    np.testing.assert_allclose(got.activations, H, atol=0.02 * H.max())
    assert got.losses[-1] < 1e-3 * got.losses[0]


@pytest.mark.parametrize("beta", [0.0, 1.0, 2.0])
def test_finds_onsets_from_their_patches(rng, beta):
    W, H, V = scene(rng)
    V = V + 1e-6
    got = factorize_convolutive(
        V, templates=W, fixed_templates=True, beta=beta, solver="accelerated", max_iter=400, tol=0
    )
    quiet = H == 0
    assert got.activations[quiet].max() < 0.05 * H.max()
    np.testing.assert_allclose(got.activations[~quiet], H[~quiet], rtol=0.02)


def test_a_pull_begins_at_the_start_and_ends_nearly_free(rng):
    W, H, V = scene(rng)
    wrong = (W + 1e-3) * rng.uniform(0.3, 3.0, W.shape)
    start = {"templates": wrong, "activations": (H > 0) + 1e-3, "tol": 0}
    first = factorize_convolutive(V, adapt=4, max_iter=1, **start)
    wanted = wrong / wrong.sum(axis=(0, 2))[:, np.newaxis]
    np.testing.assert_allclose(first.templates, wanted, rtol=1e-12)
    last = factorize_convolutive(V, adapt=4, max_iter=60, **start)
    assert np.abs(last.templates - W).sum() < 0.3 * np.abs(wanted - W).sum()
    held = factorize_convolutive(V, adapt=0.05, max_iter=60, **start)
    moved = np.abs(held.templates - wanted).sum()
    assert 0 < moved < 0.5 * np.abs(last.templates - wanted).sum()


def test_a_pull_makes_all_iterations():
    p = Problem(6)
    got = factorize_convolutive(p.V, adapt=2, max_iter=33, tol=1.0, **p.start)
    assert got.n_iter == 33
    assert got.stop is Stop.MAX_ITER


# The objective


@given(seed=seeds, beta=betas, n_bins=sizes, n_frames=sizes, K=st.integers(1, 4),
       n_taps=sizes, weighted=st.booleans())  # fmt: skip
def test_losses_never_rise(seed, beta, n_bins, n_frames, K, n_taps, weighted):
    p = Problem(seed, np.float64, n_bins, n_frames, K, n_taps)
    losses = factorize_convolutive(
        p.V, K, n_taps=n_taps, beta=beta, max_iter=12, tol=0, seed=seed,
        weights=p.G if weighted else None,
    ).losses  # fmt: skip
    noise = 1e-14 * p.V.size * max(1.0, float((p.V**beta).max()))
    assert np.all(np.diff(losses) <= 1e-10 * losses[:-1] + noise)


@pytest.mark.parametrize("solver", ["mu", "accelerated"])
@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_losses_never_rise_and_fall_far(rng, beta, dtype, solver):
    V = (scene(rng)[2] + 1e-3) * rng.uniform(0.5, 1.5, (24, 200))
    losses = factorize_convolutive(
        V.astype(dtype), 3, n_taps=6, beta=beta, solver=solver, max_iter=60, tol=0
    ).losses
    assert np.all(np.diff(losses) <= SLACK[dtype] * losses[:-1])
    assert losses[-1] < 0.6 * losses[0]


@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0, 2.0])
def test_accelerated_is_as_far_in_fewer_iterations(rng, beta):
    V = (scene(rng)[2] + 1e-3) * rng.uniform(0.5, 1.5, (24, 200))
    plain, fast = (
        factorize_convolutive(V, 2, n_taps=6, beta=beta, solver=solver, max_iter=100, tol=0)
        for solver in ("mu", "accelerated")
    )
    fell = plain.losses[0] - plain.losses[-1]
    assert fast.losses[60] <= plain.losses[-1] + 0.02 * fell


@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0, 2.0, 3.0])
def test_losses_never_rise_from_zeros_and_peaks(rng, beta):
    V = 10.0 ** rng.uniform(-7, 2, (8, 12))
    V[rng.random(V.shape) < 0.3] = 0
    losses = factorize_convolutive(V, 3, n_taps=4, beta=beta, max_iter=25, tol=0).losses
    assert np.isfinite(losses).all()
    assert np.all(np.diff(losses) <= 1e-9 * losses[:-1])


# Scale, order, edges


@given(seed=seeds, beta=betas, dtype=st.sampled_from(DTYPES), power=st.integers(-60, 60))
def test_a_power_of_two_scales_activations_exactly(seed, beta, dtype, power):
    p = Problem(seed, dtype)
    factor = dtype(2.0**power)
    one, other = (
        factorize_convolutive(V, 2, n_taps=3, beta=beta, max_iter=3, tol=0)
        for V in (p.V, p.V * factor)
    )
    assert one.templates.tobytes() == other.templates.tobytes()
    assert (one.activations * factor).tobytes() == other.activations.tobytes()
    np.testing.assert_allclose(other.losses, one.losses * 2.0 ** (power * beta), rtol=1e-12)


@pytest.mark.parametrize("factor", [1e-30, 1e-12, 3.0, 1e12, 1e30])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("beta", [-1.0, 0.0, 1.0, 2.0, 3.0])
def test_any_scale_gives_the_same_templates(factor, dtype, beta):
    p = Problem(8, dtype)
    one = factorize_convolutive(p.V, 2, n_taps=3, beta=beta, max_iter=4)
    other = factorize_convolutive(p.V * dtype(factor), 2, n_taps=3, beta=beta, max_iter=4)
    np.testing.assert_allclose(other.templates, one.templates, rtol=CLOSE[dtype])
    np.testing.assert_allclose(
        other.activations.astype(float), one.activations.astype(float) * factor, rtol=CLOSE[dtype]
    )


def test_the_largest_and_smallest_numbers_are_survived():
    V = Problem(9).V
    for factor, dtype in ((1e300, np.float64), (1e-300, np.float64), (1e-42, np.float32)):
        for beta in (-4, 0, 1, 2, 4):
            got = factorize_convolutive((V * factor).astype(dtype), 2, n_taps=2, beta=beta)
            assert np.isfinite(got.templates).all()
            assert np.isfinite(got.activations).all()
            assert got.templates.sum() == pytest.approx(2.0, rel=1e-5)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (3, 2)])
@pytest.mark.parametrize("beta", [0.0, 1.0, 2.0])
def test_small_matrices_and_many_components(rng, shape, beta):
    V = rng.uniform(0.0, 1.0, shape)
    got = factorize_convolutive(V, 12, n_taps=5, beta=beta, max_iter=300, tol=0)
    assert got.templates.shape == (shape[0], 12, 5)
    assert got.activations.shape == (12, shape[1])
    np.testing.assert_allclose(got.model(), V, rtol=0.05, atol=1e-3)
    # Beyond the recording nothing is known, and nothing is claimed.
    assert not got.templates[:, :, shape[1] :].any()
    assert got.templates.sum() == pytest.approx(12)


@pytest.mark.parametrize("dtype", DTYPES)
def test_silence(dtype):
    p = Problem(10, dtype)
    got = factorize_convolutive(np.zeros((5, 9), dtype), 2, n_taps=3)
    assert got.stop is Stop.SILENT
    assert got.n_iter == 0
    assert not got.activations.any()
    assert got.templates.sum() == pytest.approx(2.0, rel=1e-6)
    assert got.templates.dtype == got.activations.dtype == got.model().dtype == dtype
    kept = factorize_convolutive(np.zeros((5, 9), dtype), **p.start, fixed_activations=True)
    np.testing.assert_array_equal(kept.activations, p.H)


def test_zero_weight_means_missing():
    p = Problem(11)
    G = (p.G > 1.0).astype(float)
    other = np.where(G > 0, p.V, 77.0)
    one, two = (
        factorize_convolutive(V, 2, n_taps=3, weights=G, max_iter=10, tol=0) for V in (p.V, other)
    )
    assert same_bytes(one, two)


def test_zeros_stay_and_so_do_the_callers_arrays():
    p = Problem(12)
    p.W[:2, 1] = 0
    p.H[0, 4:6] = 0
    copies = p.V.copy(), p.W.copy(), p.H.copy()
    got = factorize_convolutive(
        p.V, **p.start, solver="accelerated", max_iter=20, tol=0, fixed_templates=[True, False]
    )
    assert not got.templates[:2, 1].any()
    assert not got.activations[0, 4:6].any()
    np.testing.assert_array_equal(got.templates[:, 0], p.W[:, 0])
    for before, after in zip(copies, (p.V, p.W, p.H), strict=True):
        np.testing.assert_array_equal(before, after)


def test_all_fixed_only_measures():
    p = Problem(13)
    got = factorize_convolutive(
        p.V, **p.start, fixed_templates=True, fixed_activations=True, max_iter=3, tol=0
    )
    want = naive.beta_divergence(p.V, naive_models.convolutive_model(p.W, p.H), 1)
    np.testing.assert_allclose(got.losses, want, rtol=1e-12)
    np.testing.assert_array_equal(got.templates, p.W)


@pytest.mark.parametrize("beta", [0.0, 1.0, 1.5])
def test_threads_and_seed_give_the_same_bytes(rng, beta):
    V = rng.gamma(0.5, size=(40, 2500)).astype(np.float32)
    one, two, again = (
        factorize_convolutive(
            V, 3, n_taps=4, beta=beta, solver="accelerated", max_iter=8, tol=0, n_threads=n, seed=5
        )
        for n in (1, 2, 2)
    )
    assert same_bytes(one, two)
    assert same_bytes(two, again)
    other = factorize_convolutive(V, 3, n_taps=4, beta=beta, max_iter=1, tol=0, seed=6)
    assert not same_bytes(one, other)


def test_layout_and_integers_do_not_matter():
    V = np.arange(60).reshape(6, 10)
    one = factorize_convolutive(V, 2, n_taps=3, max_iter=5)
    two = factorize_convolutive(np.asfortranarray(V.astype(float)), 2, n_taps=3, max_iter=5)
    assert same_bytes(one, two)


def test_stops_by_the_tolerance():
    p = Problem(14)
    got = factorize_convolutive(p.V, 2, n_taps=2, tol=0.01, max_iter=1000)
    assert got.stop is Stop.CONVERGED
    assert got.n_iter % 10 == 1
    n = got.n_iter - 1
    assert got.losses[n - 10] - got.losses[n] < 0.01 * got.losses[0]
    none = factorize_convolutive(p.V, 2, n_taps=2, max_iter=0)
    assert none.n_iter == 0
    assert len(none.losses) == 1


def test_progress_and_cancelling():
    seen = []
    factorize_convolutive(
        Problem(15).V, 2, n_taps=2, max_iter=4, tol=0, progress=lambda *told: seen.append(told)
    )
    assert seen == [("factorize", 0.25), ("factorize", 0.5), ("factorize", 0.75), ("factorize", 1)]

    def cancel(stage, fraction):
        raise Cancelled

    with pytest.raises(Cancelled):
        factorize_convolutive(Problem(15).V, 2, n_taps=2, progress=cancel)


# Errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"V": -np.ones((3, 4))}, r"V\[0, 0\] is -1.0; entries must be finite and non-negative"),
        ({"V": np.full((3, 4), np.nan)}, r"V\[0, 0\] is nan"),
        ({"V": np.ones(3)}, r"V has shape \(3,\); expected a non-empty matrix"),
        ({"V": np.ones((0, 4))}, "non-empty"),
        ({"V": np.ones((3, 4)) * 1j}, "dtype complex128; give real numbers"),
        ({"n_components": None}, "give n_components, templates or activations"),
        ({"n_components": 0}, "n_components=0 must be a whole number of at least 1"),
        ({"n_taps": None}, "give n_taps, the length of a template in frames"),
        ({"n_taps": 2.5}, "n_taps=2.5 must be a whole number of at least 1"),
        ({"templates": np.ones((3, 2))}, "non-empty array of three axes"),
        ({"templates": np.ones((3, 2, 4))}, r"expected \(3, 2, 2\) for this V"),
        ({"templates": -np.ones((3, 2, 2))}, r"templates\[0, 0, 0\] is -1.0"),
        ({"activations": np.ones((2, 5))}, r"activations has shape \(2, 5\), expected \(2, 4\)"),
        ({"weights": np.ones((2, 5))}, r"weights has shape \(2, 5\), expected \(3, 4\)"),
        ({"fixed_templates": True}, "fixed_templates is set, but no templates are given"),
        ({"fixed_activations": 1}, "fixed_activations must be True, False or 2 such values"),
        ({"beta": 9}, "beta 9 is unknown"),
        ({"solver": "hals"}, "solver 'hals' is unknown; use mu or accelerated"),
        ({"max_iter": -1}, "max_iter=-1"),
        ({"tol": -1.0}, "tol=-1.0 must not be negative"),
        ({"seed": "x"}, "seed 'x' must be a whole number"),
        ({"n_threads": 0}, "n_threads=0"),
        ({"adapt": 4}, "adapt pulls templates towards their start: give templates"),
        ({"adapt": 0, "templates": np.ones((3, 2, 2))}, "adapt=0 must be a positive number"),
        ({"adapt": 4, "templates": np.ones((3, 2, 2)), "solver": "accelerated"}, "solver='mu'"),
    ],
)
def test_says_what_is_wrong(arguments, message):
    arguments = {"V": np.ones((3, 4)), "n_components": 2, "n_taps": 2} | arguments
    with pytest.raises(ParameterError, match=message):
        factorize_convolutive(**arguments)
