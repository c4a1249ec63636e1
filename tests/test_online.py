"""Templates from a stream: against the obvious loop, in constant memory, at any level."""

from __future__ import annotations

import gc
import tracemalloc

import naive
import naive_models
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiosep.errors import ParameterError
from audiosep.nmf.convolutive import factorize_convolutive
from audiosep.nmf.online import OnlineNMF, _Block

BETAS = (0.0, 0.5, 1.0, 2.0, -1.0, 1.5, 3.0)
DTYPES = (np.float32, np.float64)
CLOSE = {np.float32: 2e-3, np.float64: 1e-8}


def music(rng, n_frames, n_bins=33, K=5, W=None):
    """Sparse spectra that come and go, the same statistics all the time."""
    W = rng.gamma(0.3, size=(n_bins, K)) if W is None else W
    H = rng.gamma(1.0, size=(W.shape[1], n_frames)) * (rng.random((W.shape[1], n_frames)) < 0.3)
    return (W @ H + 1e-2) * rng.gamma(8, size=(n_bins, n_frames)) / 8


def blocks(V, size):
    return [V[:, at : at + size] for at in range(0, V.shape[1], size)]


def learnt(stream, K, **options):
    learner = OnlineNMF(K, **options)
    for block in stream:
        learner.partial_fit(block)
    return learner


def batch(V, K, beta, **options):
    """Factors of the whole matrix at once."""
    return factorize_convolutive(
        V, K, n_taps=1, beta=beta, solver="accelerated", max_iter=300, tol=0, **options
    )


def explained(V, W, beta):
    """Lowest divergence that these templates allow."""
    start = {"templates": W[:, :, np.newaxis], "fixed_templates": True}
    return batch(V, W.shape[1], beta, **start).losses[-1]


# Against the obvious loop


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sizes", [(4, 4, 4), (1, 3, 1, 5)])
def test_equals_the_obvious_loop(rng, beta, dtype, sizes):
    W = rng.uniform(0.3, 2.0, (5, 3))
    # Blocks of different levels, far from one: all in one unit.
    stream = [
        (rng.uniform(0.3, 2.0, (5, size)) * 10.0 ** rng.uniform(-2, 2)).astype(dtype)
        for size in sizes
    ]
    got = learnt(
        stream, 3, beta=beta, forget_factor=0.8, n_inner=2, n_passes=2, templates=W.astype(dtype)
    )
    want = naive_models.Online(W, beta, 0.8, 2, 2)
    for block in stream:
        want.partial_fit(block.astype(float))
    np.testing.assert_allclose(got.templates, want.W, rtol=CLOSE[dtype])
    assert got.templates.dtype == dtype
    assert got.n_frames == sum(sizes)


@pytest.mark.parametrize("beta", BETAS)
def test_one_block_and_one_pass_is_a_multiplicative_update(rng, beta):
    V, W = rng.uniform(0.3, 2.0, (5, 8)), rng.uniform(0.3, 2.0, (5, 3))
    got = OnlineNMF(3, beta=beta, n_inner=1, n_passes=1, templates=W).partial_fit(V)
    W = W / W.sum(axis=0)
    H = naive.step_h(V, W, np.tile(V.sum(axis=0) / 3, (3, 1)), beta)
    W = naive.step_w(V, W, H, beta)
    np.testing.assert_allclose(got.templates, W / W.sum(axis=0), rtol=1e-9)


@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0, 1.5, 2.0, 3.0])
def test_what_is_kept_of_a_block_bounds_its_divergence(rng, beta):
    V = rng.uniform(0.3, 2.0, (9, 5))  # frames-major
    W = rng.uniform(0.3, 2.0, (3, 5))
    block = _Block(V, W.copy(), beta, None)
    block.step()
    A, B = block.terms(1.0)

    def bound(X):
        linear, power = (X, X**beta / beta) if beta >= 1 else (X, X)
        rising = power if beta >= 1 else linear
        falling = X if beta > 2 else np.log(X) if beta == 1 else X ** (beta - 1) / (beta - 1)
        return float((B * rising - A * falling).sum())

    here = naive.beta_divergence(V, block.H @ W, beta)
    for spread in (1e-4, 0.1, 1.0):
        other = W * np.exp(spread * rng.standard_normal(W.shape))
        change = naive.beta_divergence(V, block.H @ other, beta) - here
        assert change <= bound(other) - bound(W) + 1e-11
        if spread == 1e-4:  # and it touches where it was made
            assert change == pytest.approx(bound(other) - bound(W), rel=0.2, abs=1e-6)


# What it is for


@pytest.mark.parametrize(
    ("beta", "size"),
    [(0.0, 16), (0.0, 100), (0.5, 100), (1.0, 1), (1.0, 16), (1.0, 100), (1.5, 100), (2.0, 100)],
)
def test_a_steady_stream_is_learnt_nearly_as_well_as_in_one_piece(rng, beta, size):
    V = music(rng, 1000)
    learner = learnt(blocks(V, size), 5, beta=beta)
    best = batch(V, 5, beta).losses[-1]
    nothing = explained(V, V.mean(axis=1, keepdims=True), beta)
    got = explained(V, learner.templates, beta)
    # Of what can be explained beyond the mean spectrum, at most this share is lost.
    assert got - best < 0.15 * (nothing - best)


@pytest.mark.parametrize("beta", [0.0, 1.0, 2.0])
def test_forgetting_follows_a_change_of_sources(rng, beta):
    old, new = music(rng, 1500), music(rng, 300)
    stream = blocks(np.hstack([old, new]), 50)
    short, long = (
        learnt(stream, 5, beta=beta, forget_factor=factor, seed=1) for factor in (0.5, 1.0)
    )
    assert explained(new, short.templates, beta) < 0.8 * explained(new, long.templates, beta)


@pytest.mark.parametrize("beta", [1.0, 2.0])
def test_who_does_not_forget_still_knows_the_first_sources(rng, beta):
    old, new = music(rng, 1500), music(rng, 300)
    stream = blocks(np.hstack([old, new]), 50)
    short, long = (
        learnt(stream, 5, beta=beta, forget_factor=factor, seed=1) for factor in (0.5, 1.0)
    )
    assert explained(old, long.templates, beta) < 0.5 * explained(old, short.templates, beta)


def test_memory_does_not_grow(rng):
    V = music(rng, 400).astype(np.float32)
    learner = learnt([V] * 3, 4, n_inner=1, n_passes=1, n_threads=1)

    def peak(n_blocks):
        gc.collect()
        tracemalloc.start()
        for _ in range(n_blocks):
            learner.partial_fit(V)
        most = tracemalloc.get_traced_memory()[1]
        gc.collect()
        left = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        return left, most

    peak(5)
    (_, few), (left, many) = peak(5), peak(100)
    assert many < few + 20 * V.nbytes
    assert left < 2 * V.nbytes  # activations of all blocks alone would be twelve times V


# Levels


@given(seed=st.integers(0, 2**32 - 1), beta=st.sampled_from(BETAS), dtype=st.sampled_from(DTYPES),
       power=st.integers(-60, 60))  # fmt: skip
def test_a_power_of_two_changes_no_digit(seed, beta, dtype, power):
    stream = blocks(music(np.random.default_rng(seed), 12, n_bins=6, K=2).astype(dtype), 5)
    factor = dtype(2.0**power)
    one, other = (learnt([f * block for block in stream], 2, beta=beta) for f in (dtype(1), factor))
    assert one.templates.tobytes() == other.templates.tobytes()
    H = one.encode(stream[0], max_iter=5)
    assert (H * factor).tobytes() == other.encode(stream[0] * factor, max_iter=5).tobytes()


@pytest.mark.parametrize("factor", [1e-30, 1e-12, 1e12, 1e30])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("beta", BETAS)
def test_streams_of_any_level_give_the_same_templates(rng, factor, dtype, beta):
    stream = blocks(music(rng, 40).astype(dtype), 10)
    one, other = (
        learnt([block * dtype(f) for block in stream], 3, beta=beta, n_inner=2, n_passes=1)
        for f in (1, factor)
    )
    np.testing.assert_allclose(other.templates, one.templates, rtol=CLOSE[dtype], atol=1e-7)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("beta", [-4.0, 0.0, 0.5, 1.0, 2.0, 3.0, 4.0])
def test_levels_may_drift_within_a_stream(rng, dtype, beta):
    stream = blocks(music(rng, 90).astype(dtype), 10)
    levels = [1e-30, 1e-12, 1.0, 1e12, 1e30, 1e12, 1.0, 1e-12, 1e-30]
    learner = OnlineNMF(3, beta=beta)
    for block, level in zip(stream, levels, strict=True):
        learner.partial_fit(block * dtype(level))
        assert np.isfinite(learner.templates).all()
        np.testing.assert_allclose(learner.templates.sum(axis=0), 1.0, rtol=1e-5)
        H = learner.encode(block * dtype(level))
        assert np.isfinite(H).all()
        model = (learner.templates.astype(float) @ H).sum() / level
        assert 0.1 * block.sum() < model < 10 * block.sum()


@pytest.mark.parametrize("beta", [0.5, 1.0, 2.0])
def test_what_is_far_quieter_is_nearly_ignored(rng, beta):
    loud, quiet = music(rng, 200), music(rng, 200)
    one = learnt(blocks(loud, 50), 3, beta=beta, forget_factor=1.0)
    other = learnt([*blocks(loud, 50), 1e-12 * quiet], 3, beta=beta, forget_factor=1.0)
    np.testing.assert_allclose(other.templates, one.templates, rtol=1e-2, atol=1e-4)


@pytest.mark.parametrize("beta", [0.5, 1.0, 2.0])
def test_dust_before_the_music_is_no_burden(rng, beta):
    stream = blocks(music(rng, 1000), 50)
    plain, late = (
        learnt(before + stream, 5, beta=beta) for before in ([], [1e-30 * rng.random((33, 50))])
    )
    V = np.hstack(stream)
    nothing = explained(V, V.mean(axis=1, keepdims=True), beta)
    best = explained(V, plain.templates, beta)
    assert explained(V, late.templates, beta) - best < 0.1 * (nothing - best)


# Silence and edges


@pytest.mark.parametrize("beta", [0.0, 1.0, 2.0])
def test_silence_changes_nothing_wherever_it_is(rng, beta):
    stream = blocks(music(rng, 40), 10)
    zeros = np.zeros((33, 7))
    plain = learnt(stream, 3, beta=beta)
    gaps = learnt([zeros, stream[0], zeros, zeros, *stream[1:], zeros], 3, beta=beta)
    assert plain.templates.tobytes() == gaps.templates.tobytes()
    assert plain.n_frames == gaps.n_frames == 40
    assert not gaps.encode(zeros).any()
    only = learnt([zeros], 3, beta=beta)
    np.testing.assert_allclose(only.templates.sum(axis=0), 1.0)
    assert only.n_frames == 0


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("beta", BETAS)
def test_frame_by_frame_with_zeros(rng, dtype, beta):
    V = music(rng, 60)
    V[:, 10:14] = 0
    V[rng.random(V.shape) < 0.3] = 0
    learner = OnlineNMF(4, beta=beta, forget_factor=0.95)
    for block in blocks(V.astype(dtype), 1):
        learner.partial_fit(block)
        assert np.isfinite(learner.templates).all()
    np.testing.assert_allclose(learner.templates.sum(axis=0), 1.0, rtol=1e-5)
    assert learner.n_frames == 56
    assert learner.templates.dtype == dtype


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (6, 1), (3, 2)])
@pytest.mark.parametrize("beta", [0.0, 1.0, 2.0])
def test_small_blocks_and_many_components(rng, shape, beta):
    stream = [rng.uniform(0.2, 1.0, shape) for _ in range(30)]
    learner = learnt(stream, 9, beta=beta)
    assert learner.templates.shape == (shape[0], 9)
    assert learner.n_components == 9
    H = learner.encode(stream[-1], max_iter=300, tol=0)
    assert H.shape == (9, shape[1])
    np.testing.assert_allclose(learner.templates @ H, stream[-1], rtol=0.3)


@pytest.mark.parametrize("beta", [0.0, 1.0, 2.0])
def test_zeros_of_given_templates_stay_and_so_do_the_callers_arrays(rng, beta):
    V, W = rng.uniform(0.3, 2.0, (6, 20)), rng.uniform(0.3, 2.0, (6, 3))
    W[:2, 1] = 0
    W[:, 2] = 0
    copies = V.copy(), W.copy()
    learner = OnlineNMF(3, beta=beta, templates=W)
    np.testing.assert_allclose(learner.templates[:, 0], W[:, 0] / W[:, 0].sum())
    for block in blocks(V, 5):
        learner.partial_fit(block)
    assert not learner.templates[:2, 1].any()
    assert not learner.templates[:, 2].any()
    assert learner.templates[2:, 1].all()
    np.testing.assert_array_equal(V, copies[0])
    np.testing.assert_array_equal(W, copies[1])
    learner.templates[:] = 0  # a copy
    assert learner.templates.any()


# Encoding


@pytest.mark.parametrize("beta", [0.5, 1.0, 1.5, 2.0])
@pytest.mark.parametrize("dtype", DTYPES)
def test_encode_is_the_fit_with_fixed_templates(rng, beta, dtype):
    V, W = rng.uniform(0.3, 2.0, (7, 12)), rng.uniform(0.1, 1.0, (7, 2))
    learner = OnlineNMF(2, beta=beta, templates=W)
    before = learner.templates
    H = learner.encode(V.astype(dtype), max_iter=400, tol=0)
    assert H.dtype == dtype
    np.testing.assert_array_equal(learner.templates, before)
    want = np.ones((2, 12))
    W = W / W.sum(axis=0)
    for _ in range(400):
        want = naive.step_h(V, W, want, beta)
    got, lowest = (naive.beta_divergence(V, W @ X, beta) for X in (H.astype(float), want))
    # It is the accelerated solver, so it may be below.
    assert (1 - 1e-3) * lowest < got < (1 + 1e-6) * lowest
    np.testing.assert_allclose(W @ H, W @ want, rtol=0.05)


def test_encode_does_not_depend_on_the_cut(rng):
    V = music(rng, 60)
    learner = learnt(blocks(V, 20), 3)
    whole = learner.encode(V, max_iter=2000, tol=0)
    pieces = np.hstack([learner.encode(block, max_iter=2000, tol=0) for block in blocks(V, 7)])
    np.testing.assert_allclose(pieces, whole, rtol=1e-3, atol=1e-3 * whole.max())


@pytest.mark.parametrize("beta", [0.0, 1.0, 1.5])
def test_threads_and_seed_give_the_same_bytes(rng, beta):
    stream = blocks(music(rng, 6000, n_bins=40).astype(np.float32), 3000)
    one, two, again = (
        learnt(stream, 4, beta=beta, n_inner=2, n_threads=n, seed=5) for n in (1, 2, 2)
    )
    assert one.templates.tobytes() == two.templates.tobytes() == again.templates.tobytes()
    assert one.encode(stream[0]).tobytes() == two.encode(stream[0]).tobytes()
    other = learnt(stream[:1], 4, beta=beta, n_inner=1, n_passes=1, seed=6)
    assert not np.allclose(other.templates, one.templates)


# Errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_components": 0}, "n_components=0 must be a whole number of at least 1"),
        ({"beta": 7}, "beta 7 is unknown"),
        ({"forget_factor": 0.0}, "forget_factor=0.0 must be above 0 and at most 1"),
        ({"forget_factor": 1.1}, "forget_factor=1.1 must be above 0"),
        ({"forget_factor": np.nan}, "forget_factor=nan"),
        ({"forget_factor": "a"}, "forget_factor='a' must be above 0"),
        ({"forget_factor": None}, "forget_factor=None must be above 0"),
        ({"n_inner": 0}, "n_inner=0"),
        ({"n_passes": 1.5}, "n_passes=1.5"),
        ({"seed": -1}, "seed -1 must be a whole number"),
        ({"n_threads": 0}, "n_threads=0"),
        ({"templates": np.ones((4, 3))}, r"shape \(4, 3\), expected 2 columns"),
        ({"templates": -np.ones((4, 2))}, r"templates\[0, 0\] is -1.0"),
    ],
)
def test_says_what_is_wrong(arguments, message):
    with pytest.raises(ParameterError, match=message):
        OnlineNMF(**({"n_components": 2} | arguments))


def test_sums_that_no_number_can_hold_are_refused():
    V = np.full((6, 30), 3e38, np.float32)
    with np.errstate(over="ignore"):
        learner = OnlineNMF(2).partial_fit(V)
        with pytest.raises(ParameterError, match=r"V is too large for activations.* float32"):
            learner.encode(V)
    assert np.isfinite(learner.encode(V / 64)).all()


def test_says_what_is_wrong_with_a_block():
    learner = OnlineNMF(2)
    for use in (lambda: learner.templates, lambda: learner.encode(np.ones((3, 4)))):
        with pytest.raises(ParameterError, match="no templates yet: call partial_fit"):
            use()
    broken = np.ones((3, 4))
    broken[1, 2] = np.nan
    with pytest.raises(ParameterError, match=r"V\[1, 2\] is nan"):
        learner.partial_fit(broken)
    learner.partial_fit(np.ones((3, 4)))
    for use in (learner.partial_fit, learner.encode):
        with pytest.raises(ParameterError, match="V has 5 bins, but the templates have 3"):
            use(np.ones((5, 4)))
        with pytest.raises(ParameterError, match="non-empty matrix"):
            use(np.ones((3, 0)))
    with pytest.raises(ParameterError, match="max_iter=-1"):
        learner.encode(np.ones((3, 4)), max_iter=-1)
