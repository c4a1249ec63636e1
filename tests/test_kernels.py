"""Each compiled loop against its obvious twin, in both precisions and all divergences."""

from __future__ import annotations

import naive
import numpy as np
import pytest

from audiosep.nmf import kernels
from audiosep.nmf.panels import Panels
from audiosep.nmf.slab_kernels import FRAMES, slab_step
from audiosep.nmf.vector_kernels import panel_of

BETAS = (0.0, 0.5, 1.0, 2.0, -1.0, 0.3, 1.5, 3.0)
KINDS = {0.0: kernels.ITAKURA_SAITO, 0.5: kernels.HALF, 1.0: kernels.KULLBACK_LEIBLER,
         2.0: kernels.EUCLIDEAN}  # fmt: skip
DTYPES = (np.float32, np.float64)
RTOL = {np.float32: 2e-5, np.float64: 1e-11}

beta_and_dtype = [
    pytest.param(beta, dtype, id=f"{beta}-{dtype.__name__}") for beta in BETAS for dtype in DTYPES
]


def kind_of(beta):
    return KINDS.get(beta, kernels.GENERAL)


def values(rng, shape, dtype, low=-1.0, high=1.0):
    """Positive numbers spread over decades."""
    return (10.0 ** rng.uniform(low, high, shape)).astype(dtype)


def scratch(n, dtype):
    return np.full(n, np.nan, dtype), np.full(n, np.nan, dtype)


def frame_loss(beta, v, c, g=None):
    weights = np.zeros(1, v.dtype) if g is None else g
    return kernels.loss_of_frame(
        kind_of(beta), beta, v, c, weights, g is not None, *scratch(v.size, v.dtype)
    )


# log32 and log_ratio


def log_of(x):
    out = np.empty_like(x)
    kernels.log_ratio(x, out)
    return out


def test_log32_is_right_to_a_rounding_over_the_whole_range(rng):
    smallest = float(np.finfo(np.float32).tiny)
    x = np.concatenate(
        [
            np.geomspace(smallest, 3.4e38, 700),
            rng.uniform(0.5, 2.0, 300),
            2.0 ** np.arange(-126, 128),
            np.sqrt(2.0) * 2.0 ** np.arange(-125, 127),
        ]
    ).astype(np.float32)
    exact = np.log(x.astype(np.float64))
    assert np.all(np.abs(log_of(x) - exact) <= 1.5e-7 * np.maximum(np.abs(exact), 0.2))


def test_log32_keeps_its_relative_precision_next_to_one():
    x = np.float32(1.0) + np.arange(-40, 41, dtype=np.float32) * np.finfo(np.float32).eps
    exact = np.log(x.astype(np.float64))
    np.testing.assert_allclose(log_of(x), exact, rtol=5e-7)
    assert log_of(np.ones(3, np.float32)).tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("dtype", DTYPES)
def test_log_ratio_of_zero_is_finite_and_very_low(dtype):
    out = log_of(np.array([0.0, 1e-37], dtype))
    assert np.isfinite(out).all()
    assert out[0] < -80.0


def test_log_ratio_of_float64_is_the_library_logarithm(rng):
    x = values(rng, 100, np.float64, -200, 200)
    np.testing.assert_allclose(log_of(x), np.log(x), rtol=1e-14)


# loss_of_frame


def floored(c, beta):
    """The model of one frame as kernels see it."""
    return c[np.newaxis].astype(float) + (0.0 if beta == 2.0 else naive.MODEL_FLOOR)


@pytest.mark.parametrize(("beta", "dtype"), beta_and_dtype)
@pytest.mark.parametrize("n", [1, 2, 17, 40])
@pytest.mark.parametrize("weighted", [False, True])
def test_loss_of_frame_equals_the_formula(rng, beta, dtype, n, weighted):
    v, c = values(rng, n, dtype), values(rng, n, dtype)
    g = values(rng, n, dtype) if weighted else None
    want = naive.beta_divergence(
        v[np.newaxis], floored(c, beta), beta, None if g is None else g[np.newaxis]
    )
    assert frame_loss(beta, v, c, g) == pytest.approx(want, rel=RTOL[dtype])


@pytest.mark.parametrize("beta", [0.3, 0.5, 1.0, 1.5, 2.0, 3.0])
@pytest.mark.parametrize("dtype", DTYPES)
def test_loss_of_frame_where_the_data_are_zero(rng, beta, dtype):
    v, c = values(rng, 9, dtype), values(rng, 9, dtype)
    v[::2] = 0
    want = naive.beta_divergence(v[np.newaxis], floored(c, beta), beta)
    assert frame_loss(beta, v, c) == pytest.approx(want, rel=RTOL[dtype])


@pytest.mark.parametrize("beta", [0.3, 0.5, 1.0, 1.5, 2.0, 3.0])
@pytest.mark.parametrize("dtype", DTYPES)
def test_loss_of_frame_with_a_model_of_zero_counts_the_floor(rng, beta, dtype):
    v, c = values(rng, 5, dtype), np.zeros(5, dtype)
    held = c if beta == 2.0 else np.full(5, naive.MODEL_FLOOR)
    want = naive.beta_divergence(v[np.newaxis], held[np.newaxis], beta)
    assert frame_loss(beta, v, c) == pytest.approx(want, rel=RTOL[dtype])
    nothing = np.zeros(5, dtype)
    want = naive.beta_divergence(nothing[np.newaxis], held[np.newaxis], beta)
    assert frame_loss(beta, nothing, c) == pytest.approx(want, rel=RTOL[dtype])


@pytest.mark.parametrize(("beta", "dtype"), beta_and_dtype)
def test_loss_of_frame_of_a_perfect_model_is_zero(rng, beta, dtype):
    v = values(rng, 33, dtype)
    unit = float(np.sum(v.astype(float) ** beta)) * np.finfo(dtype).eps
    assert abs(frame_loss(beta, v, v.copy())) <= 4 * unit


@pytest.mark.parametrize(("beta", "dtype"), beta_and_dtype)
def test_loss_of_frame_over_a_wide_range(rng, beta, dtype):
    # What scaled audio can hold: peaks a million times the mean, tails far below it.
    v, c = values(rng, 25, dtype, -8, 6), values(rng, 25, dtype, -8, 6)
    want = naive.beta_divergence(v[np.newaxis], floored(c, beta), beta)
    assert frame_loss(beta, v, c) == pytest.approx(want, rel=RTOL[dtype])


@pytest.mark.parametrize(("beta", "dtype"), beta_and_dtype)
def test_loss_of_frame_ignores_entries_of_weight_zero(rng, beta, dtype):
    v, c, g = (values(rng, 8, dtype) for _ in range(3))
    g[3:5] = 0
    seen = g > 0
    want = frame_loss(beta, v[seen], c[seen], g[seen])
    assert frame_loss(beta, v, c, g) == pytest.approx(want, rel=1e-6)


# ratios


@pytest.mark.parametrize(("beta", "dtype"), beta_and_dtype)
@pytest.mark.parametrize("n", [1, 17])
@pytest.mark.parametrize("weighted", [False, True])
def test_ratios_equal_the_formulas(rng, beta, dtype, n, weighted):
    v, c, g = values(rng, n, dtype), values(rng, n, dtype), values(rng, n, dtype)
    v[n // 2] = 0
    want = naive.gradient_parts(
        v[np.newaxis], floored(c, beta), beta, g[np.newaxis] if weighted else None
    )
    Q = np.full(n, 7, dtype)
    kernels.ratios(kind_of(beta), beta, v, c, g if weighted else g[:1], weighted, Q)
    np.testing.assert_allclose(c, want[0][0], rtol=RTOL[dtype])
    if beta == 1.0 and not weighted:
        assert (Q == 7).all()  # documented: all ones, left untouched
    else:
        np.testing.assert_allclose(Q, want[1][0], rtol=RTOL[dtype])


@pytest.mark.parametrize("beta", [-1.0, 0.0, 0.3, 0.5, 1.0, 1.5])
@pytest.mark.parametrize("dtype", DTYPES)
def test_ratios_of_a_model_of_zero_stay_finite(beta, dtype):
    v, c, Q = np.zeros(3, dtype), np.zeros(3, dtype), np.ones(3, dtype)
    v[1] = 0.5 if beta >= 0 else 1e-9
    kernels.ratios(kind_of(beta), beta, v, c, np.zeros(1, dtype), False, Q)
    assert np.isfinite(c).all()
    assert np.isfinite(Q).all()
    assert c[0] == 0


# multiply


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("exponent", [1.0, 0.5, 1 / 3])
@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (4, 1), (3, 7)])
@pytest.mark.parametrize("below", ["full", "row", "column"])
def test_multiply(rng, dtype, exponent, shape, below):
    x, above = values(rng, shape, dtype), values(rng, shape, dtype)
    rows, columns = shape
    denominator = values(
        rng, {"full": shape, "row": (1, columns), "column": (rows, 1)}[below], dtype
    )
    full = np.broadcast_to(denominator, shape)
    want = [
        [naive.moved(*map(float, (x[i, k], above[i, k], full[i, k])), exponent)
         for k in range(columns)]
        for i in range(rows)
    ]  # fmt: skip
    kernels.multiply(x, above, denominator, dtype(exponent), dtype(kernels.FACTOR_FLOOR))
    np.testing.assert_allclose(x, want, rtol=RTOL[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
def test_multiply_keeps_zeros_and_what_was_not_observed_and_holds_the_floor(dtype):
    x = np.array([[0.0, 0.3, 0.5, 1e-10]], dtype)
    above = np.array([[1.0, 1.0, 0.0, 0.0]], dtype)
    below = np.array([[1.0, 0.0, 2.0, 0.0]], dtype)
    floor = dtype(kernels.FACTOR_FLOOR)
    kernels.multiply(x, above, below, dtype(1.0), floor)
    assert x.tolist() == [[0.0, dtype(0.3), floor, dtype(1e-10)]]


# slab_step


class Slab:
    """A small problem, frames-major for the kernel and bins-major for the twin."""

    def __init__(self, rng, dtype, n_frames, n_bins=5, K=3, weighted=False):
        self.V = values(rng, (n_frames, n_bins), dtype)
        self.W = values(rng, (K, n_bins), dtype)
        self.H = values(rng, (n_frames, K), dtype)
        self.G = values(rng, (n_frames, n_bins), dtype) if weighted else np.zeros((1, 1), dtype)
        self.weighted = weighted
        self.free = np.ones((1, K), np.uint8)
        self.plus = self.minus = np.empty((0, K), dtype)

    @property
    def weights(self):
        return self.G.T if self.weighted else None

    def step(self, beta, *, update_w=True, with_loss=True):
        kind = kind_of(beta)
        plain_kl = kind == kernels.KULLBACK_LEIBLER and not self.weighted
        panels = Panels(*self.W.shape, self.W.dtype, 1, same_below=plain_kl)
        panels.fill(self.W)
        panels.above.fill(np.nan)
        panels.below.fill(np.nan)
        exponent = self.V.dtype.type(naive.mm_exponent(beta))
        H = self.H.copy()
        loss = slab_step(
            self.V, self.G, self.weighted, panels.rows, panels.columns, panels.totals, H, kind,
            beta, exponent, self.free, self.plus, self.minus, with_loss,
            (update_w, bool(self.free.any())), panels.above[0], panels.below[0],
        )  # fmt: skip
        K = len(self.W)
        assert not panels.above[0, :, K:].any()
        assert not panels.below[0, :, K:].any()
        return H, *panels.sums(), loss


def assert_step_equals_twin(slab, beta, rtol):
    V, W = slab.V.T.astype(float), slab.W.T.astype(float)
    H0 = slab.H.T.astype(float)
    want_loss = naive.beta_divergence(V, naive.model_of(W, H0, beta), beta, slab.weights)
    moved = naive.step_h(V, W, H0, beta, weights=slab.weights)
    want_h = np.where(np.broadcast_to(slab.free, slab.H.shape).T, moved, H0)
    R, Q = naive.gradient_parts(V, naive.model_of(W, want_h, beta), beta, slab.weights)
    want_e = want_h @ Q.T
    for with_loss in (True, False):
        H, B, E, loss = slab.step(beta, with_loss=with_loss)
        if with_loss:
            assert loss == pytest.approx(want_loss, rel=rtol)
        np.testing.assert_allclose(H.T, want_h, rtol=rtol)
        np.testing.assert_allclose(B, want_h @ R.T, rtol=rtol)
        # Without weights the Kullback-Leibler denominators are the same in all bins.
        np.testing.assert_allclose(E, want_e[:, :1] if E.shape[1] == 1 else want_e, rtol=rtol)


@pytest.mark.parametrize(("beta", "dtype"), beta_and_dtype)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("K", [3, 8, 9])
def test_slab_step_equals_its_twin(rng, beta, dtype, weighted, K):
    slab = Slab(rng, dtype, 6, K=K, weighted=weighted)
    assert_step_equals_twin(slab, beta, 20 * RTOL[dtype])


@pytest.mark.parametrize("n_frames", [1, FRAMES - 1, FRAMES, FRAMES + 1, 2 * FRAMES + 1])
@pytest.mark.parametrize("blocks", [-1, 0, 1])
@pytest.mark.parametrize("beta", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("K", [3, 9, 33])
@pytest.mark.parametrize("dtype", DTYPES)
def test_slab_step_at_the_borders_of_blocks(rng, n_frames, blocks, beta, K, dtype):
    n_bins = panel_of(dtype) + blocks
    for weighted in (False, True):
        slab = Slab(rng, dtype, n_frames, n_bins, K=K, weighted=weighted)
        assert_step_equals_twin(slab, beta, 20 * RTOL[dtype])


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_slab_step_on_one_entry(rng, beta, dtype):
    assert_step_equals_twin(Slab(rng, dtype, 1, 1, 1), beta, 20 * RTOL[dtype])


@pytest.mark.parametrize("beta", [0.5, 1.0, 1.5, 2.0])
@pytest.mark.parametrize("K", [3, 9])
def test_slab_step_with_zeros_in_data_and_factors(rng, beta, K):
    slab = Slab(rng, np.float64, 6, K=K)
    slab.V[slab.V < 1] = 0
    slab.H[2, 1] = slab.W[0, 3] = 0
    assert_step_equals_twin(slab, beta, 1e-10)
    assert slab.step(beta)[0][2, 1] == 0


@pytest.mark.parametrize("beta", [0.0, 1.0, 2.0, 1.5])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("K", [3, 9])
def test_slab_step_leaves_fixed_activations(rng, beta, weighted, K):
    slab = Slab(rng, np.float32, 6, K=K, weighted=weighted)
    slab.free[0, 1] = 0
    assert_step_equals_twin(slab, beta, 4e-4)
    assert slab.step(beta)[0][:, 1].tobytes() == slab.H[:, 1].tobytes()
    slab.free = (rng.random(slab.H.shape) < 0.5).astype(np.uint8)  # one flag for each entry
    assert_step_equals_twin(slab, beta, 4e-4)
    kept = slab.free == 0
    assert slab.step(beta)[0][kept].tobytes() == slab.H[kept].tobytes()
    slab.free = np.zeros((1, K), np.uint8)
    assert_step_equals_twin(slab, beta, 4e-4)
    assert slab.step(beta)[0].tobytes() == slab.H.tobytes()


@pytest.mark.parametrize("beta", [0.0, 1.0])
@pytest.mark.parametrize("K", [3, 9])
def test_slab_step_without_templates_to_update(rng, beta, K):
    slab = Slab(rng, np.float64, 6, K=K)
    H, B, E, loss = slab.step(beta, update_w=False)
    assert not B.any()
    assert not E.any()
    full = slab.step(beta)
    assert H.tobytes() == full[0].tobytes()
    assert loss == full[3]


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("rows", ["one", "all", "one and all"])
@pytest.mark.parametrize("K", [3, 9])
def test_slab_step_adds_the_parts_of_a_penalty(rng, beta, rows, K):
    slab = Slab(rng, np.float64, 7, K=K)
    slab.plus = values(rng, (1 if rows.startswith("one") else 7, K), np.float64)
    slab.minus = values(rng, (7 if rows.endswith("all") else 1, K), np.float64)
    V, W, H = slab.V.T, slab.W.T, slab.H.T
    R, Q = naive.gradient_parts(V, naive.model_of(W, H, beta), beta)
    above, below = W.T @ R + slab.minus.T, W.T @ Q + slab.plus.T
    want = H * (above / below) ** naive.mm_exponent(beta)
    for with_loss in (True, False):
        np.testing.assert_allclose(slab.step(beta, with_loss=with_loss)[0].T, want, rtol=1e-10)


# multiply_frames and extrapolate


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("exponent", [1.0, 0.5, 1 / 3])
@pytest.mark.parametrize("one_row", [True, False])
def test_multiply_frames(rng, dtype, exponent, one_row):
    n, K = 5, 3
    rows = 1 if one_row else n
    H, A = values(rng, (n, K), dtype), values(rng, (n, K), dtype)
    D, plus, minus = (values(rng, (rows, K), dtype) for _ in range(3))
    free = (rng.random((rows, K)) < 0.7).astype(np.uint8)
    H[2, 1] = 0.0
    D[0, 2] = plus[0, 2] = 0.0
    empty = np.empty((0, K), dtype)
    floor = dtype(kernels.FACTOR_FLOOR)
    for up, down in ((plus, minus), (empty, minus), (plus, empty), (empty, empty)):
        above = A + down if down.size else A
        below = np.broadcast_to(D + up if up.size else D, (n, K))
        want = np.array(
            [[naive.moved(float(H[i, k]), float(above[i, k]), float(below[i, k]), exponent)
              if np.broadcast_to(free, (n, K))[i, k] else H[i, k] for k in range(K)]
             for i in range(n)]
        )  # fmt: skip
        got = H.copy()
        kernels.multiply_frames(got, A, D, free, up, down, dtype(exponent), floor)
        np.testing.assert_allclose(got, want, rtol=RTOL[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("momentum", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("flags", ["row", "column", "each"])
def test_extrapolate(rng, dtype, momentum, flags):
    shape = (4, 7)
    x, before = values(rng, shape, dtype), values(rng, shape, dtype)
    x[1, 2] = before[0, 3] = x[3, 3] = before[3, 3] = 0.0
    x[2, 2], before[2, 2] = 1e-16, 1.0
    free = (rng.random({"row": (1, 7), "column": (4, 1), "each": shape}[flags]) < 0.8).astype("u1")
    widest = np.log(5.0)
    moves = (np.broadcast_to(free, shape) != 0) & (x > 0) & (before > 0)
    ratio = np.where(moves, x.astype(float), 1.0) / np.where(moves, before, 1.0)
    want = np.maximum(x * np.clip(ratio, 0.2, 5.0) ** momentum, naive.FACTOR_FLOOR)
    want = np.where(moves, want, x)
    kept = x[~moves].copy()
    kernels.extrapolate(
        x, before, free, dtype(momentum), dtype(widest), dtype(kernels.FACTOR_FLOOR)
    )
    np.testing.assert_allclose(x, want, rtol=RTOL[dtype])
    assert x[~moves].tobytes() == kept.tobytes()
