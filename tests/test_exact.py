"""Integers that add up: properties of the quantiser."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiosep.io.exact import fits, quantise

depths = st.sampled_from([16, 24])
seeds = st.integers(0, 2**32 - 1)


def stems_of(seed, n_stems, n_samples=64, peak=1.0):
    rng = np.random.default_rng(seed)
    stems = (peak * rng.uniform(-1, 1, (n_stems, 2, n_samples))).astype(np.float32)
    return list(stems), stems.sum(axis=0, dtype=np.float32)


@given(seeds, st.integers(1, 12), depths, st.floats(1e-8, 4.0))
def test_the_sum_is_exact(seed, n_stems, n_bits, peak):
    stems, mixture = stems_of(seed, n_stems, peak=peak)
    out = quantise(stems, mixture, n_bits)
    assert len(out) == n_stems
    assert all(q.dtype == np.int64 and q.shape == mixture.shape for q in out)
    wanted = np.rint(mixture.astype(np.float64) * 2 ** (n_bits - 1)).astype(np.int64)
    np.testing.assert_array_equal(sum(out), wanted)


@given(seeds, st.integers(1, 12), depths, st.floats(1e-8, 4.0))
def test_every_sample_is_within_one_step(seed, n_stems, n_bits, peak):
    stems, mixture = stems_of(seed, n_stems, peak=peak)
    steps = 2.0 ** (n_bits - 1)
    exact = [s.astype(np.float64) * steps for s in stems]
    # The last stem also takes what float32 lost when the stems were summed.
    lost = np.abs(mixture.astype(np.float64) * steps - sum(exact))
    for i, (q, wanted) in enumerate(zip(quantise(stems, mixture, n_bits), exact, strict=True)):
        allowed = 1.0 + 1e-6 + (lost if i == n_stems - 1 else 0.0)
        assert (np.abs(q - wanted) <= allowed).all()


@given(seeds, st.integers(2, 8), st.data(), depths)
def test_silent_stems_stay_silent(seed, n_stems, data, n_bits):
    stems, _ = stems_of(seed, n_stems, peak=0.1)
    silent = data.draw(st.sets(st.integers(0, n_stems - 1), min_size=1, max_size=n_stems - 1))
    for i in silent:
        stems[i][:] = 0.0
    mixture = sum(s.astype(np.float64) for s in stems)
    out = quantise(stems, mixture, n_bits)
    for i in range(n_stems):
        assert (i in silent) == (not out[i].any())


@given(seeds, depths)
def test_one_stem_is_the_mixture(seed, n_bits):
    stems, mixture = stems_of(seed, 1)
    (out,) = quantise(stems, mixture, n_bits)
    np.testing.assert_array_equal(out, np.rint(mixture.astype(np.float64) * 2 ** (n_bits - 1)))


@given(seeds, depths)
def test_blocks_do_not_matter(seed, n_bits):
    stems, mixture = stems_of(seed, 3)
    whole = quantise(stems, mixture, n_bits)
    parts = [
        quantise([s[:, part] for s in stems], mixture[:, part], n_bits)
        for part in (slice(0, 7), slice(7, None))
    ]
    for i, stem in enumerate(whole):
        np.testing.assert_array_equal(stem, np.concatenate([p[i] for p in parts], axis=1))


@pytest.mark.parametrize("n_bits", [16, 24])
def test_full_scale(n_bits):
    top = 2 ** (n_bits - 1)
    mixture = np.array([[-1.0, (top - 1) / top]])
    out = quantise([mixture, np.zeros_like(mixture)], mixture, n_bits)
    np.testing.assert_array_equal(out[0], [[-top, top - 1]])
    assert fits(out, n_bits)


@pytest.mark.parametrize("n_bits", [16, 24])
def test_beyond_full_scale_does_not_fit(n_bits):
    top = 2 ** (n_bits - 1)
    for value, fit in [(top - 1, True), (top, False), (-top, True), (-top - 1, False)]:
        assert fits([np.array([0, value])], n_bits) is fit
    assert fits([np.array([], dtype=np.int64)], n_bits)
    # A mixture in range does not keep its stems in range.
    stems = [np.array([[1.5]]), np.array([[-1.0]])]
    assert not fits(quantise(stems, np.array([[0.5]]), n_bits), n_bits)


def test_nothing_is_changed():
    stems, mixture = stems_of(0, 3)
    before = [s.copy() for s in (*stems, mixture)]
    quantise(stems, mixture, 16)
    for was, now in zip(before, (*stems, mixture), strict=True):
        np.testing.assert_array_equal(was, now)
