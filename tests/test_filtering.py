"""Gains applied to a recording in blocks: the same as through its whole spectrogram."""

from __future__ import annotations

from itertools import pairwise

import files
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiosep.research.filtering import filter_channels
from audiosep.transform import istft, stft
from audiosep.types import Audio


def gains_of(mask):
    return lambda first, last: np.ascontiguousarray(mask[:, first:last].T)


def both(samples, n_fft, hop_length, window="sqrt_hann", seed=0, n_threads=1):
    """By blocks, and by the whole transform."""
    spectrogram = stft(
        Audio(samples=samples, sr=8000), n_fft=n_fft, hop_length=hop_length, window=window
    )
    shape = (spectrogram.n_bins, spectrogram.n_frames)
    mask = np.random.default_rng(seed).random(shape, dtype=np.float32)
    got = filter_channels(
        samples,
        gains_of(mask),
        n_fft=n_fft,
        hop_length=hop_length,
        window=window,
        n_threads=n_threads,
    )
    return got, istft(spectrogram, mask=mask[np.newaxis]).samples


@given(
    n_fft=st.sampled_from([4, 16, 30, 64]),
    part=st.integers(2, 6),
    n_samples=st.integers(1, 3000),
    n_channels=st.integers(1, 3),
    window=st.sampled_from(["sqrt_hann", "hann"]),
)
def test_as_the_whole_transform_does(n_fft, part, n_samples, n_channels, window):
    samples = files.noise(n_samples, n_channels)
    got, expected = both(samples, n_fft, max(1, n_fft // part), window)
    assert got.dtype == np.float32
    assert got.shape == samples.shape
    # Where next to no window reaches, both divide by next to nothing.
    np.testing.assert_allclose(got, expected, atol=1e-4 if window == "hann" else 1e-5)


def test_gains_of_one_give_everything_back():
    samples = files.noise(20000, 2)
    got = filter_channels(
        samples,
        lambda first, last: np.ones((last - first, 129), np.float32),
        n_fft=256,
        hop_length=64,
        window="sqrt_hann",
    )
    np.testing.assert_allclose(got, samples, atol=1e-6)


def test_blocks_are_asked_for_once_in_order_and_may_be_nothing():
    seen = []

    def gains(first, last):
        seen.append((first, last))
        return

    samples = files.noise(70000, 1)
    got = filter_channels(samples, gains, n_fft=256, hop_length=64, window="sqrt_hann")
    assert not got.any()
    assert seen[0][0] == 0
    assert seen[-1][1] == 1 + 70000 // 64
    assert all(a[1] == b[0] for a, b in pairwise(seen))


@pytest.mark.parametrize("n_threads", [2, 5])
def test_threads_do_not_matter(n_threads):
    samples = files.noise(50000, 3)
    one, _ = both(samples, 256, 64)
    more, _ = both(samples, 256, 64, n_threads=n_threads)
    assert one.tobytes() == more.tobytes()


def test_the_input_stays_as_it_is():
    samples = files.noise(3000, 2)
    before = samples.copy()
    both(samples, 64, 16)
    np.testing.assert_array_equal(samples, before)
