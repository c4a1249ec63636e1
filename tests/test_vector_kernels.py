"""Products of blocks against NumPy, compiled for several machines and not compiled."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from audiosep.nmf import factorize, slabs, vector_kernels
from audiosep.nmf.jit import kernel
from audiosep.nmf.panels import Panels
from audiosep.nmf.slab_kernels import FRAMES
from audiosep.nmf.vector_kernels import ROWS, panel_of

DTYPES = (np.float32, np.float64)
RTOL = {np.float32: 2e-5, np.float64: 1e-12}


def positive(rng, *shape, dtype=np.float64, zeros=0.0):
    x = rng.uniform(0.1, 2.0, shape)
    x[rng.random(shape) < zeros] = 0.0
    return x.astype(dtype)


@kernel
def all_of_them(h, W, V, floor, C, R, S, T, U, A, wide, B):
    K, P, panel = W.shape[0], h.shape[1], W.shape[1]
    n = V.shape[1]
    for r in range(0, h.shape[0], ROWS):
        vector_kernels.model(h, r * P, P, W, 0, K, C, r * panel)
        vector_kernels.kl_ratios(h, r * P, P, W, 0, K, V, r * n + 1, n, floor, R, r * panel)
        vector_kernels.kl_ratios_and_model(
            h, r * P, P, W, 0, K, V, r * n + 1, n, floor, S, r * panel, T, r * panel
        )  # fmt: skip
        vector_kernels.copy_rows(V, r * n + 1, n, U, r * panel)
    for r in range(0, h.shape[0], 2 * ROWS):
        vector_kernels.add_back(R, r * panel, W.T.copy(), 0, A, r * K, K)
    for r in range(0, h.shape[0], ROWS):
        vector_kernels.add_back_wide(R, r * panel, W.T.copy(), 0, wide, r * K, K)
    vector_kernels.add_outer(h, 0, P, R, 0, h.shape[0], B, 0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("zeros", [0.0, 0.5, 1.0])
def test_every_product_equals_its_twin(rng, dtype, zeros):
    panel, n, floor = panel_of(dtype), 4 * ROWS, dtype(1e-12)
    K = P = panel  # the widest that `add_back_wide` takes
    h = positive(rng, n, P, dtype=dtype, zeros=zeros)
    W = positive(rng, K, panel, dtype=dtype, zeros=zeros)
    V = positive(rng, n, panel + 3, dtype=dtype, zeros=zeros)
    C, R, S, T, U = (np.full((n, panel), np.nan, dtype) for _ in range(5))
    A, wide, B = (positive(rng, rows, panel, dtype=dtype) for rows in (n, n, ROWS))
    begun = [x.astype(float) for x in (A, wide, B)]
    all_of_them(h, W, V, floor, C, R, S, T, U, A, wide, B)
    np.testing.assert_array_equal(U, V[:, 1 : panel + 1])
    h64, w64, v64 = (x.astype(float) for x in (h, W, V[:, 1 : panel + 1]))
    np.testing.assert_allclose(C, h64 @ w64, rtol=RTOL[dtype])
    assert T.tobytes() == C.tobytes()
    ratios = v64 / (h64 @ w64 + 1e-12)
    np.testing.assert_allclose(R, ratios, rtol=RTOL[dtype])
    assert S.tobytes() == R.tobytes()
    half = panel // 2
    back = ratios @ w64.T
    np.testing.assert_allclose(A[:, :half], begun[0][:, :half] + back[:, :half], rtol=RTOL[dtype])
    assert A[:, half:].tobytes() == begun[0][:, half:].astype(dtype).tobytes()
    np.testing.assert_allclose(wide, begun[1] + back, rtol=RTOL[dtype])
    np.testing.assert_allclose(B, begun[2] + h64[:, :ROWS].T @ ratios, rtol=RTOL[dtype])


def test_ratios_are_right_to_two_roundings(rng):
    panel, n = panel_of(np.float32), 4 * ROWS
    V, C = ((10.0 ** rng.uniform(-11, 8, (n, panel))).astype(np.float32) for _ in range(2))
    h, W = np.zeros((n, n), np.float32), np.zeros((n, panel), np.float32)
    R, T = np.empty((n, panel), np.float32), np.empty((n, panel), np.float32)
    np.fill_diagonal(h, 1.0)
    W[:] = C
    ratio_alone(h, W, V, np.float32(1e-12), R, T)
    exact = V.astype(float) / (C + np.float32(1e-12)).astype(float)
    assert np.abs(R / exact - 1.0).max() < 2 * np.finfo(np.float32).eps


@kernel
def ratio_alone(h, W, V, floor, R, T):
    n, panel = V.shape
    for r in range(0, n, ROWS):
        vector_kernels.kl_ratios_and_model(
            h, r * n, n, W, 0, n, V, r * panel, panel, floor, R, r * panel, T, r * panel
        )  # fmt: skip


def test_the_sizes_fit_each_other():
    assert FRAMES % (2 * ROWS) == 0
    assert slabs.FRAMES_TOGETHER == FRAMES


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("K", "n_bins"), [(1, 1), (8, 32), (9, 33), (40, 1025)])
def test_panels_hold_templates_and_give_sums_back(rng, dtype, K, n_bins):
    W = positive(rng, K, n_bins, dtype=dtype)
    panels = Panels(K, n_bins, W.dtype, 2, same_below=True)
    panels.fill(W)
    np.testing.assert_allclose(panels.totals[0, :K], W.sum(axis=1, dtype=float), rtol=RTOL[dtype])
    panels.above[:] = panels.rows
    panels.below[:] = 3.0
    above, below = panels.sums()
    np.testing.assert_array_equal(above, 2 * W)
    np.testing.assert_array_equal(below, np.full((K, 1), 6, dtype))
    both = panels.columns.reshape(-1, panels.columns.shape[2])
    np.testing.assert_array_equal(both[:n_bins, :K], W.T)
    assert not both[n_bins:].any()
    assert not both[:, K:].any()


@pytest.mark.parametrize("n_frames", [1, 31, 63, 64, 100, 176, 1501, 2584, 15504])
@pytest.mark.parametrize("n_bins", [1, 40, 1025])
def test_slabs_are_whole_frames_that_belong_together(n_frames, n_bins):
    parts = slabs.Slabs.of(n_frames, n_bins, 16).parts
    assert parts[0].start == 0
    assert parts[-1].stop == n_frames
    for part, following in pairwise(parts):
        assert part.stop == following.start
        assert part.stop % FRAMES == 0
    assert all(part.stop > part.start for part in parts)


# The same on other machines, which have narrower vectors, and without a compiler.


@pytest.mark.parametrize(
    "environment",
    [
        pytest.param(
            {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+sse2,+avx,+avx2,+fma"},
            marks=pytest.mark.slow,
            id="256 bits",
        ),
        pytest.param(
            {"NUMBA_CPU_NAME": "x86-64", "NUMBA_CPU_FEATURES": "+sse2"},
            marks=pytest.mark.slow,
            id="128 bits",
        ),
        pytest.param({"NUMBA_DISABLE_JIT": "1"}, id="not compiled"),
    ],
)
@pytest.mark.skipif("VECTORS_CHOSEN" in os.environ, reason="this is such a run")
def test_other_machines_pass_the_same_tests(environment, tmp_path):
    if "NUMBA_CPU_NAME" in environment and platform.machine().lower() not in ("x86_64", "amd64"):
        pytest.skip("these vectors are of another kind of processor")
    tests = Path(__file__).parent
    names = ["test_vector_kernels.py", "test_kernels.py"]
    keep = "product or ratios_are or panels or (slab_step and (borders or twin) and not 0.3)"
    if "NUMBA_DISABLE_JIT" in environment:
        keep = "product or ratios_are or panels or (slab_step and one_entry)"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "0", "-x", "-p", "no:cacheprovider",
         *(str(tests / name) for name in names), "-k", keep],
        env={**os.environ, **environment, "VECTORS_CHOSEN": "1", "NUMBA_CACHE_DIR": str(tmp_path)},
        capture_output=True, text=True, timeout=280, check=False, cwd=tests.parent,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
    assert " passed" in done.stdout


# Whole factorizations


def with_silent_ones(W, H, K):
    """The same factors, with components of zeros up to K of them."""
    more = K - W.shape[1]
    return {
        "templates": np.pad(W, ((0, 0), (0, more))),
        "activations": np.pad(H, ((0, more), (0, 0))),
    }


@pytest.mark.parametrize("K", [1, 2, 7, 8, 9, 16, 17])
@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0, 1.5, 2.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_silent_components_change_nothing(rng, K, beta, weighted):
    for n_frames in (1, 3, 33):
        V, G = positive(rng, 5, n_frames), positive(rng, 5, n_frames)
        W, H = positive(rng, 5, K), positive(rng, K, n_frames)
        options = {"beta": beta, "max_iter": 3, "tol": 0, "weights": G if weighted else None}
        for loss_every in (1, 2):
            few = factorize(V, templates=W, activations=H, loss_every=loss_every, **options)
            many = factorize(V, loss_every=loss_every, **with_silent_ones(W, H, 34), **options)
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
@pytest.mark.parametrize("K", [5, 20])
def test_looking_at_the_loss_changes_nothing(rng, dtype, K):
    V = positive(rng, 33, 70, dtype=dtype)
    start = {"templates": positive(rng, 33, K), "activations": positive(rng, K, 70)}
    every, seldom = (factorize(V, loss_every=n, max_iter=6, tol=0, **start) for n in (1, 100))
    assert seldom.templates.tobytes() == every.templates.tobytes()
    assert seldom.activations.tobytes() == every.activations.tobytes()
