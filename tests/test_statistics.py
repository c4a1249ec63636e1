"""Sums over the data against their obvious twin."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import naive
import numpy as np
import pytest

from audiosep.nmf.statistics import statistics

BETAS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, -1.0)
RTOL = {np.float32: 2e-4, np.float64: 1e-10}


def drawn(seed, n_frames, n_bins, K, dtype=np.float64):
    rng = np.random.default_rng(seed)
    V, G = (rng.uniform(0.3, 2.0, (n_frames, n_bins)).astype(dtype) for _ in range(2))
    W = rng.uniform(0.1, 1.0, (K, n_bins)).astype(dtype)
    H = rng.uniform(0.1, 1.0, (n_frames, K)).astype(dtype)
    return V, W, H, G


def assert_equals_twin(V, W, H, beta, G, rtol):
    v, w, h = V.T.astype(float), W.T.astype(float), H.T.astype(float)
    weights = None if G is None else G.T
    C = naive.model_of(w, h, beta)
    R, Q = naive.gradient_parts(v, C, beta, weights)
    sums = statistics(V, W, H, beta, weights=G)
    assert sums.loss == pytest.approx(naive.beta_divergence(v, C, beta, weights), rel=rtol)
    for got, want in (
        (sums.above_h, (w.T @ R).T),
        (sums.below_h, (w.T @ Q).T),
        (sums.above_w, (R @ h.T).T),
        (sums.below_w, (Q @ h.T).T),
    ):
        assert got.dtype == V.dtype
        np.testing.assert_allclose(np.broadcast_to(got, want.shape), want, rtol=rtol)


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("K", [1, 8, 9])
@pytest.mark.parametrize("weighted", [False, True])
def test_equals_the_obvious_sums(beta, dtype, K, weighted):
    for shape in ((7, 5), (1, 5), (7, 1), (1, 1)):
        V, W, H, G = drawn(3, *shape, K, dtype)
        assert_equals_twin(V, W, H, beta, G if weighted else None, RTOL[dtype])


@pytest.mark.parametrize("beta", [0.5, 1.0, 1.5, 2.0, 3.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_zeros_in_data_factors_and_weights(beta, weighted):
    V, W, H, G = drawn(4, 9, 6, 3)
    V[V < 0.8] = 0.0
    W[W < 0.3] = 0.0
    H[2] = 0.0
    G[G < 0.8] = 0.0
    assert_equals_twin(V, W, H, beta, G if weighted else None, 1e-10)


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("weighted", [False, True])
def test_what_is_not_wanted_is_left_out(beta, weighted):
    V, W, H, G = drawn(5, 9, 6, 3)
    options = {"weights": G if weighted else None}
    full = statistics(V, W, H, beta, **options)
    only = statistics(V, W, H, beta, for_h=False, for_w=False, **options)
    assert only.loss == pytest.approx(full.loss, rel=1e-12)
    assert only.above_h.size == only.below_h.size == only.above_w.size == only.below_w.size == 0
    for_h = statistics(V, W, H, beta, for_w=False, with_loss=False, **options)
    assert (for_h.loss, for_h.above_w.size, for_h.below_w.size) == (0.0, 0, 0)
    np.testing.assert_allclose(for_h.above_h, full.above_h, rtol=1e-12)
    np.testing.assert_allclose(for_h.below_h, full.below_h, rtol=1e-12)
    for_w = statistics(V, W, H, beta, for_h=False, with_loss=False, **options)
    assert (for_w.loss, for_w.above_h.size) == (0.0, 0)
    np.testing.assert_allclose(for_w.above_w, full.above_w, rtol=1e-12)
    np.testing.assert_allclose(for_w.below_w, full.below_w, rtol=1e-12)


@pytest.mark.parametrize("beta", [0.0, 1.0, 1.5, 2.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_many_slabs_and_threads(beta, weighted):
    V, W, H, G = drawn(6, 1603, 3, 2, np.float32)
    kept = [x.copy() for x in (V, W, H, G)]
    weights = G if weighted else None
    alone = statistics(V, W, H, beta, weights=weights)
    for n in (2, 3):
        with ThreadPoolExecutor(n) as pool:
            other = statistics(V, W, H, beta, weights=weights, pool=pool)
        assert other.loss == alone.loss
        for name in ("above_h", "below_h", "above_w", "below_w"):
            assert getattr(other, name).tobytes() == getattr(alone, name).tobytes()
    assert_equals_twin(V, W, H, beta, weights, 1e-3)
    for before, after in zip(kept, (V, W, H, G), strict=True):
        assert before.tobytes() == after.tobytes()
