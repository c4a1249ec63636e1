"""The unrolled products against NumPy, and the fast path for few components against the other."""

from __future__ import annotations

import numpy as np
import pytest

from audiosep.nmf import factorize, kernels, small_kernels

BINS = (1, 7, 1025)
DTYPES = (np.float32, np.float64)
RTOL = {np.float32: 2e-5, np.float64: 1e-12}
each_size = pytest.mark.parametrize(
    ("n_bins", "dtype"), [(n_bins, dtype) for n_bins in BINS for dtype in DTYPES]
)


def positive(rng, *shape, dtype=np.float64, zeros=0.0):
    x = rng.uniform(0.1, 2.0, shape)
    x[rng.random(shape) < zeros] = 0.0
    return x.astype(dtype)


def wide(*arrays):
    return [x.astype(np.float64) for x in arrays]


@each_size
@pytest.mark.parametrize("zeros", [0.0, 0.5, 1.0])
def test_products(rng, n_bins, dtype, zeros):
    W = positive(rng, 8, n_bins, dtype=dtype, zeros=zeros)
    h = positive(rng, 4, 8, dtype=dtype, zeros=zeros)
    R = positive(rng, 4, n_bins, dtype=dtype, zeros=zeros)
    w64, h64, r64 = wide(W, h, R)

    C = np.full((4, n_bins), np.nan, dtype)
    small_kernels.model(W, h, C)
    np.testing.assert_allclose(C, h64 @ w64, rtol=RTOL[dtype])

    A = np.full((2, 8), np.nan, dtype)
    small_kernels.back(W, R[:2], A)
    np.testing.assert_allclose(A, r64[:2] @ w64.T, rtol=RTOL[dtype])

    before = positive(rng, 8, n_bins, dtype=dtype)
    B = before.copy()
    small_kernels.add_outer(h, R, B)
    np.testing.assert_allclose(B, before + h64.T @ r64, rtol=RTOL[dtype])


@each_size
@pytest.mark.parametrize("zeros", [0.0, 0.5, 1.0])
def test_products_with_the_ratios_of_kullback_leibler(rng, n_bins, dtype, zeros):
    floor = dtype(1e-12)
    W = positive(rng, 8, n_bins, dtype=dtype, zeros=zeros)
    h = positive(rng, 4, 8, dtype=dtype, zeros=zeros)
    V = positive(rng, 4, n_bins, dtype=dtype, zeros=zeros)
    w64, h64, v64 = wide(W, h, V)
    R = v64 / (h64 @ w64 + 1e-12)

    A = np.full((2, 8), np.nan, dtype)
    small_kernels.kl_back(V[:2], W, h[:2], floor, A)
    np.testing.assert_allclose(A, R[:2] @ w64.T, rtol=RTOL[dtype])

    before = positive(rng, 8, n_bins, dtype=dtype)
    B = before.copy()
    small_kernels.kl_add_outer(V, W, h, floor, B)
    np.testing.assert_allclose(B, before + h64.T @ R, rtol=RTOL[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_model_of_zero_counts_the_floor(dtype):
    W, h, V = np.zeros((8, 3), dtype), np.zeros((4, 8), dtype), np.ones((4, 3), dtype)
    h[:, 0] = 1
    B = np.zeros((8, 3), dtype)
    small_kernels.kl_add_outer(V, W, h, dtype(1e-12), B)
    np.testing.assert_allclose(B[0], 4e12, rtol=1e-6)
    assert not B[1:].any()
    A = np.full((2, 8), np.nan, dtype)
    W[0] = 1
    small_kernels.kl_back(V[:2], W, np.zeros((2, 8), dtype), dtype(1e-12), A)
    np.testing.assert_allclose(A[:, 0], 3e12, rtol=1e-6)


# The whole path: eight components are padded and unrolled, nine are not.


def with_silent_ones(W, H, K):
    """The same factors, with components of zeros up to K of them."""
    more = K - W.shape[1]
    return {
        "templates": np.pad(W, ((0, 0), (0, more))),
        "activations": np.pad(H, ((0, more), (0, 0))),
    }


@pytest.mark.parametrize("K", range(1, 10))
@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0, 1.5, 2.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_few_components_equal_the_general_path(rng, K, beta, weighted):
    for n_frames in range(1, 10):
        V, G = positive(rng, 5, n_frames), positive(rng, 5, n_frames)
        W, H = positive(rng, 5, K), positive(rng, K, n_frames)
        options = {"beta": beta, "max_iter": 3, "tol": 0, "weights": G if weighted else None}
        for loss_every in (1, 2):
            few = factorize(V, templates=W, activations=H, loss_every=loss_every, **options)
            many = factorize(V, loss_every=loss_every, **with_silent_ones(W, H, 10), **options)
            np.testing.assert_allclose(many.templates[:, :K], few.templates, rtol=1e-9)
            np.testing.assert_allclose(many.activations[:K], few.activations, rtol=1e-9)
            assert not many.templates[:, K:].any()
            assert not many.activations[K:].any()
            np.testing.assert_allclose(many.losses, few.losses, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("K", [1, 7, 8, 9])
@pytest.mark.parametrize("loss_every", [1, 3])
@pytest.mark.parametrize("dtype", DTYPES)
def test_threads_change_nothing(rng, K, loss_every, dtype):
    V = positive(rng, 3, 1501, dtype=dtype)  # three slabs, and a remainder of frames
    runs = [
        factorize(V, K, max_iter=4, tol=0, loss_every=loss_every, n_threads=n) for n in (1, 2, 3)
    ]
    for other in runs[1:]:
        assert other.templates.tobytes() == runs[0].templates.tobytes()
        assert other.activations.tobytes() == runs[0].activations.tobytes()
        assert other.losses.tobytes() == runs[0].losses.tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
def test_fused_iterations_equal_those_with_a_loss(rng, dtype):
    # Without a loss neither model nor ratios are stored: the same sums in another order.
    V, W, H = positive(rng, 33, 70, dtype=dtype), positive(rng, 33, 5), positive(rng, 5, 70)
    start = {"templates": W, "activations": H, "max_iter": 6, "tol": 0}
    every, seldom = (factorize(V, loss_every=n, **start) for n in (1, 100))
    np.testing.assert_allclose(seldom.templates, every.templates, rtol=50 * RTOL[dtype])
    np.testing.assert_allclose(seldom.activations, every.activations, rtol=50 * RTOL[dtype])


def test_the_constants_agree():
    assert (kernels.EIGHT, kernels.FOUR) == (small_kernels.EIGHT, small_kernels.FOUR) == (8, 4)
