"""Masks share the mixture out: they sum to one, everywhere."""

from __future__ import annotations

import naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiosep.errors import ParameterError
from audiosep.masks import wiener_masks

exponents = st.sampled_from([0.1, 0.5, 1.0, 1.3, 2.0, 10.0])


def models_of(seed, n_sources=3, n_channels=2, n_bins=5, n_frames=7, decades=1.0):
    rng = np.random.default_rng(seed)
    shape = (n_sources, n_channels, n_bins, n_frames)
    models = (10.0 ** rng.uniform(-decades, decades, shape)).astype(np.float32)
    models[rng.random(shape) < 0.2] = 0
    models[:, :, 1, 2] = 0
    return models


@pytest.mark.parametrize("exponent", [0.1, 0.5, 1.0, 1.3, 2.0, 10.0])
@pytest.mark.parametrize("n_sources", [1, 2, 5])
def test_equal_the_formula(exponent, n_sources):
    models = models_of(1, n_sources)
    got = wiener_masks(models, exponent)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, naive.wiener_masks(models, exponent), rtol=5e-6, atol=1e-30)


@given(
    seed=st.integers(0, 999),
    n_sources=st.integers(1, 6),
    exponent=exponents,
    scale=st.sampled_from([1e-30, 1e-12, 1.0, 1e12, 1e30]),
    decades=st.sampled_from([0.5, 7.0]),
)
def test_sum_to_one_everywhere(seed, n_sources, exponent, scale, decades):
    models = models_of(seed, n_sources, decades=decades) * np.float32(scale)
    got = wiener_masks(models, exponent)
    assert got.min() >= 0.0
    assert got.max() <= 1.0
    np.testing.assert_allclose(got.sum(axis=0, dtype=np.float64), 1.0, rtol=1e-6)


@pytest.mark.parametrize("exponent", [1.0, 2.0, 0.3])
@pytest.mark.parametrize("n_sources", [1, 2, 3, 7])
def test_silence_is_shared_equally(exponent, n_sources):
    got = wiener_masks(np.zeros((n_sources, 1, 3, 4), np.float32), exponent)
    np.testing.assert_allclose(got, 1 / n_sources, rtol=1e-7)


def test_the_smallest_and_largest_numbers():
    low, high = np.finfo(np.float32).smallest_subnormal, np.finfo(np.float32).max
    models = np.array([low, high, low], np.float32).reshape(3, 1, 1, 1)
    assert wiener_masks(models, 2.0).ravel().tolist() == [0.0, 1.0, 0.0]
    all_low = np.full((2, 1, 1, 1), low, np.float32)
    assert wiener_masks(all_low, 2.0).ravel().tolist() == [0.5, 0.5]
    all_high = np.full((2, 1, 1, 1), high, np.float32)
    assert wiener_masks(all_high, 2.0).ravel().tolist() == [0.5, 0.5]


@given(seed=st.integers(0, 999), exponent=exponents, power=st.integers(-60, 60))
def test_the_level_does_not_matter(seed, exponent, power):
    models = models_of(seed)
    scaled = models * np.float32(2.0**power)
    assert wiener_masks(models, exponent).tobytes() == wiener_masks(scaled, exponent).tobytes()


@given(seed=st.integers(0, 999), order=st.permutations(range(3)), exponent=exponents)
def test_permuted_sources_give_permuted_masks(seed, order, exponent):
    models = models_of(seed)
    got = wiener_masks(models[order], exponent)
    np.testing.assert_allclose(got, wiener_masks(models, exponent)[order], rtol=1e-6)


def test_a_larger_exponent_is_harder():
    models = np.array([1.0, 3.0], np.float32).reshape(2, 1, 1, 1)
    shares = [float(wiener_masks(models, p)[1, 0, 0, 0]) for p in (0.1, 0.5, 1.0, 2.0, 10.0)]
    assert shares == sorted(shares)
    assert shares[2] == 0.75
    assert shares[3] == pytest.approx(0.9, rel=1e-6)


@pytest.mark.parametrize("overwrite", [False, True])
def test_only_overwrites_when_asked(overwrite):
    models = models_of(2)
    before = models.copy()
    want = wiener_masks(models.copy(), 2.0)
    got = wiener_masks(models, 2.0, overwrite=overwrite)
    assert got.tobytes() == want.tobytes()
    assert np.shares_memory(got, models) == overwrite
    assert (models.tobytes() == before.tobytes()) != overwrite


def test_long_recordings_are_done_in_blocks_without_a_seam():
    models = models_of(3, 2, 1, 2, 700)
    whole = wiener_masks(models, 2.0)
    parts = [wiener_masks(models[..., t : t + 1], 2.0) for t in range(700)]
    assert np.concatenate(parts, axis=-1).tobytes() == whole.tobytes()


def test_any_layout():
    models = models_of(4)
    frames_major = np.ascontiguousarray(models.transpose(0, 1, 3, 2)).transpose(0, 1, 3, 2)
    got = wiener_masks(frames_major, 1.3)
    np.testing.assert_array_equal(got, wiener_masks(models, 1.3))
    assert got.strides == frames_major.strides


@pytest.mark.parametrize("exponent", [0.0, 0.09, 10.1, -1.0, float("nan"), float("inf")])
def test_exponents_out_of_range(exponent):
    with pytest.raises(ParameterError, match=r"mask exponent .* is out of range; use 0.1 to 10"):
        wiener_masks(models_of(5), exponent)
