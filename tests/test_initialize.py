"""Starts: equal to their obvious twins, of the level of the data, and fit for any matrix."""

from __future__ import annotations

import naive
import naive_initialize
import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from audiosep.errors import ParameterError
from audiosep.nmf import factorize
from audiosep.nmf.initialize import STARTS, harmonic_combs, nndsvd_start, random_start

DTYPES = (np.float32, np.float64)
SVD_STARTS = ("nndsvd", "nndsvda", "nndsvdar")


def data(rng, n_frames=40, n_bins=23, rank=5, noise=0.05, dtype=np.float64):
    V = rng.gamma(0.5, size=(n_frames, rank)) @ rng.gamma(0.3, size=(rank, n_bins))
    V += noise * rng.random(V.shape)
    return (V / V.mean()).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_random_is_the_formula_byte_by_byte(rng, dtype):
    V = data(rng, dtype=dtype)
    W, H = random_start(V, 6, np.random.default_rng(3))
    want_W, want_H = naive_initialize.random_start(V.astype(float), 6, np.random.default_rng(3))
    assert W.dtype == H.dtype == dtype
    np.testing.assert_allclose(W, want_W, rtol=1e-6)
    np.testing.assert_allclose(H, want_H, rtol=1e-6)
    # The order of the draws is part of every result with a seed.
    again = np.random.default_rng(3)
    U = 0.1 + 0.9 * again.random((6, V.shape[1]))
    assert W.tobytes() == (U / U.sum(axis=1, keepdims=True)).astype(dtype).tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "fill"), [("nndsvd", "zero"), ("nndsvda", "mean")])
def test_svd_starts_equal_the_obvious_twin(rng, name, fill, dtype):
    V = data(rng, dtype=dtype)
    W, H = STARTS[name](V, 7, np.random.default_rng(0))
    want_W, want_H = naive_initialize.nndsvd(V, 7, fill)
    tolerance = 1e-5 if dtype is np.float32 else 1e-9
    np.testing.assert_allclose(W, want_W, atol=tolerance * want_W.max())
    np.testing.assert_allclose(H, want_H, atol=tolerance * want_H.max())
    assert ((W == 0).any() and (H == 0).any()) == (fill == "zero")


def test_random_fill_is_small_and_only_where_there_were_zeros(rng):
    V = data(rng)
    bare_W, bare_H = STARTS["nndsvd"](V, 7, np.random.default_rng(0))
    W, H = STARTS["nndsvdar"](V, 7, np.random.default_rng(0))
    assert (W > 0).all()
    assert (H > 0).all()
    # The product keeps its shape: the fillings are a hundredth at most, in the balanced scale.
    bare, filled = bare_H @ bare_W, H @ W
    assert np.linalg.norm(bare - filled) < 0.05 * np.linalg.norm(bare)
    other = STARTS["nndsvdar"](V, 7, np.random.default_rng(1))[0]
    assert (other != W).any()


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_large_matrix_is_decomposed_by_a_sketch_to_the_same_start(rng, dtype):
    V = data(rng, 620, 540, rank=6, noise=0.01, dtype=dtype)
    W, H = nndsvd_start(V, 6, np.random.default_rng(0), fill="zero")
    want_W, want_H = naive_initialize.nndsvd(V, 6, "zero")
    tolerance = 2e-4 if dtype is np.float32 else 1e-8
    np.testing.assert_allclose(W, want_W, atol=tolerance * want_W.max())
    np.testing.assert_allclose(H, want_H, atol=tolerance * want_H.max())
    other = nndsvd_start(V, 6, np.random.default_rng(99), fill="zero")
    np.testing.assert_allclose(other[0], W, atol=tolerance * want_W.max())


@pytest.mark.parametrize("name", SVD_STARTS)
@pytest.mark.parametrize("shape", [(40, 23), (620, 540)])
def test_same_seed_same_bytes_with_any_number_of_threads(rng, name, shape):
    V = data(rng, *shape, dtype=np.float32)
    copy = V.copy()
    results = []
    for limit in (1, 2):
        with threadpool_limits(limits=limit, user_api="blas"):
            results.append(STARTS[name](V, 5, np.random.default_rng(7)))
    for one, two in zip(*results, strict=True):
        assert one.tobytes() == two.tobytes()
    np.testing.assert_array_equal(V, copy)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", STARTS)
@pytest.mark.parametrize(
    ("shape", "K"), [((1, 1), 1), ((1, 9), 3), ((9, 1), 3), ((6, 5), 12), ((30, 20), 20)]
)
def test_any_shape_gives_templates_of_sum_one_at_the_level_of_the_data(rng, name, shape, K, dtype):
    V = rng.gamma(0.5, size=shape)
    V = (V / V.mean()).astype(dtype)
    W, H = STARTS[name](V, K, np.random.default_rng(0))
    assert W.shape == (K, shape[1])
    assert H.shape == (shape[0], K)
    assert W.dtype == H.dtype == dtype
    for factor in (W, H):
        assert np.isfinite(factor).all()
        assert (factor >= 0).all()
        assert (factor > 0).all() or name == "nndsvd"
        assert factor.flags.c_contiguous
    np.testing.assert_allclose(W.sum(axis=1), 1.0, rtol=1e-5)
    level = (H @ W).mean()
    if name in SVD_STARTS:
        assert level == pytest.approx(1.0, rel=1e-4)
    else:
        assert 0.1 < level < 2.0  # a random number of that size, for each frame


@pytest.mark.parametrize("name", STARTS)
def test_silence_and_hostile_ranges(rng, name):
    W, H = STARTS[name](np.zeros((8, 6)), 3, np.random.default_rng(0))
    np.testing.assert_allclose(W.sum(axis=1), 1.0)
    assert H.max() < 1e-9
    for dtype in DTYPES:
        V = 10.0 ** rng.uniform(-12, 12, (30, 25))
        V[:, 4] = 0.0
        V[7] = 0.0
        V = (V / V.mean()).astype(dtype)
        W, H = STARTS[name](V, 5, np.random.default_rng(0))
        assert np.isfinite(W).all()
        assert np.isfinite(H).all()
        np.testing.assert_allclose(W.sum(axis=1), 1.0, rtol=1e-5)


@pytest.mark.parametrize("dtype", DTYPES)
def test_silent_bins_are_filled_although_singular_vectors_only_nearly_vanish_there(rng, dtype):
    V = data(rng, dtype=dtype)
    V[:, 3] = 0.0
    assert (STARTS["nndsvd"](V, 4, rng)[0][:, 3] == 0.0).all()
    assert STARTS["nndsvda"](V, 4, rng)[0][:, 3].min() > 1e-4


def test_components_beyond_the_rank_start_at_random(rng):
    V = rng.gamma(1.0, size=(30, 2)) @ rng.gamma(1.0, size=(2, 20))
    W, H = STARTS["nndsvd"](V / V.mean(), 5, np.random.default_rng(0))
    drawn = random_start(V / V.mean(), 5, np.random.default_rng(0))[0]
    np.testing.assert_allclose(W[2:], drawn[2:], rtol=1e-12)
    assert (H[:, 2:] > 0).all()


def test_svd_starts_begin_lower_than_random_ones(rng):
    for _ in range(5):
        V = data(rng, 60, 50, rank=6)
        losses = {}
        for name, start in STARTS.items():
            W, H = start(V, 6, np.random.default_rng(0))
            losses[name] = naive.beta_divergence(V, np.maximum(H @ W, 1e-12), 2)
        assert losses["nndsvd"] < 0.5 * losses["random"]
        assert losses["nndsvdar"] < 0.5 * losses["random"]
        assert losses["nndsvda"] < losses["random"]


def test_combs_equal_the_obvious_twin():
    midi = [33.0, 60.25, 88.0]
    settings = {"n_harmonics": 12, "width": 0.7, "decay": 1.5, "inharmonicity": 4e-4}
    combs = harmonic_combs(midi, 22050, 2048, tuning_hz=442.0, **settings)
    assert combs.shape == (1025, 3)
    assert combs.dtype == np.float32
    for k, number in enumerate(midi):
        want = naive_initialize.harmonic_comb(
            442.0 * 2 ** ((number - 69) / 12), 22050, 2048, **settings
        )
        np.testing.assert_allclose(combs[:, k], want, atol=1e-7)
        np.testing.assert_array_equal(combs[:, k] > 0, want > 0)


def test_combs_are_zero_between_partials_and_peak_at_them():
    sr, n_fft = 16000, 4096
    combs = harmonic_combs([440.0], sr, n_fft, unit="hz", n_harmonics=5, decay=0.0)[:, 0]
    hz = np.arange(len(combs)) * sr / n_fft
    for h in range(1, 6):
        near = np.abs(hz - 440 * h) < 1.0 * sr / n_fft
        assert (combs[near] > 0.5 * combs.max()).all()
        assert combs[np.abs(hz - 440 * (h - 0.5)).argmin()] == 0.0
    assert not combs[hz > 440 * 5 * 1.05].any()
    faded = harmonic_combs([440.0], sr, n_fft, unit="hz", n_harmonics=5, decay=2.0)[:, 0]
    assert faded[np.abs(hz - 880).argmin()] < 0.3 * faded.max()


def test_units_and_tuning_agree():
    by_midi = harmonic_combs([57, 69], 16000, 1024)
    np.testing.assert_array_equal(by_midi, harmonic_combs([220.0, 440.0], 16000, 1024, unit="hz"))
    lower = harmonic_combs([69], 16000, 1024, tuning_hz=220.0)
    np.testing.assert_array_equal(lower[:, 0], by_midi[:, 0])


def test_stiff_strings_are_sharp_in_their_upper_partials_only():
    sr, n_fft = 16000, 8192
    hz = np.arange(n_fft // 2 + 1) * sr / n_fft
    soft, stiff = (
        harmonic_combs([220.0], sr, n_fft, unit="hz", decay=0.0, width=0.0, inharmonicity=B)[:, 0]
        for B in (0.0, 1e-3)
    )

    def highest(comb):
        return hz[np.flatnonzero(comb)[-1]]

    assert np.flatnonzero(soft)[0] == np.flatnonzero(stiff)[0]
    assert highest(stiff) > 1.1 * highest(soft)


def test_a_comb_learns_its_pitch_and_nothing_else():
    n_fft, sr = 512, 8000
    low, high = (
        harmonic_combs([f], sr, n_fft, unit="hz", n_harmonics=6, decay=d, width=0.0)[:, 0]
        for f, d in ((250.0, 0.3), (400.0, 2.0))
    )
    rng = np.random.default_rng(0)
    gains = rng.gamma(1.0, size=(2, 60))
    V = np.outer(low, gains[0]) + np.outer(high, gains[1])
    combs = harmonic_combs([250.0, 400.0], sr, n_fft, unit="hz", n_harmonics=6)
    fit = factorize(V, templates=combs, max_iter=300, tol=0)
    np.testing.assert_array_equal(fit.templates == 0.0, combs == 0.0)
    for got, want in zip(fit.templates.T, (low, high), strict=True):
        assert naive_initialize.cosine(got, want) > 0.99


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pitches": []}, "pitches must be a list of at least one number"),
        ({"pitches": "c4"}, "pitches must be a list"),
        ({"pitches": 60}, "pitches must be a list"),
        ({"pitches": [[60], [60, 61]]}, "pitches is no array: its rows have different lengths"),
        ({"unit": ["hz"]}, r"unit \['hz'\] is unknown"),
        ({"pitches": [np.nan]}, "pitch nan is no frequency"),
        ({"pitches": [1e9]}, "is no frequency"),
        ({"pitches": [-5.0], "unit": "hz"}, "pitch -5 is no frequency"),
        ({"pitches": [5000.0], "unit": "hz"}, "no place below 4000 Hz"),
        ({"pitches": [440]}, "is no frequency|no place below 4000 Hz.*check the unit"),
        ({"unit": "cents"}, "unit 'cents' is unknown; use midi or hz"),
        ({"sr": 0}, "sr=0 must be a number above 0"),
        ({"sr": "fast"}, "sr='fast' must be a number above 0"),
        ({"n_fft": 0}, "n_fft=0 must be a whole number of at least 1"),
        ({"n_fft": 512.5}, "n_fft=512.5 must be a whole number"),
        ({"n_harmonics": 0}, "n_harmonics=0 must be a whole number of at least 1"),
        ({"width": -1}, "width=-1 must be a number of at least 0 and at most 12"),
        ({"width": np.inf}, "width=inf must be"),
        ({"decay": 11}, "decay=11 must be a number of at least 0 and at most 10"),
        ({"inharmonicity": 2}, "inharmonicity=2 must be"),
        ({"tuning_hz": 0.0}, "tuning_hz=0.0 must be a number above 0"),
    ],
)
def test_bad_combs_are_refused(arguments, message):
    good = {"pitches": [60], "sr": 8000, "n_fft": 512}
    with pytest.raises(ParameterError, match=message):
        harmonic_combs(**{**good, **arguments})
