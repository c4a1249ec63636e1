"""Masks and spectrogram to stems that sum to the mixture."""

from __future__ import annotations

import numpy as np
import pytest

from audiosep import Audio, istft, stft
from audiosep.render import render
from audiosep.types import ignore_progress

NAMES = ("a", "b")


def mixture_of(rng, n_channels=2, n_samples=5000):
    return Audio(samples=rng.normal(0, 0.2, (n_channels, n_samples)).astype(np.float32), sr=8000)


@pytest.mark.parametrize("n_mask_channels", [1, 2])
def test_stems_are_the_masked_mixture_and_sum_to_it(rng, n_mask_channels):
    mixture = mixture_of(rng)
    there = stft(mixture)
    share = rng.random((n_mask_channels, there.n_bins, there.n_frames)).astype(np.float32)
    masks = np.stack([share, 1 - share])
    stems = render(there, masks, NAMES, mixture, 1, ignore_progress)
    assert tuple(stems) == NAMES
    for name, mask in zip(NAMES, masks, strict=True):
        wanted = istft(there, mask=mask).samples
        np.testing.assert_allclose(stems[name].samples, wanted, atol=1e-6)
    total = stems["a"].samples + stems["b"].samples
    assert np.abs(total - mixture.samples).max() <= 1.2e-7 * np.abs(mixture.samples).max()


def test_masks_that_leave_something_over_are_a_bug(rng):
    mixture = mixture_of(rng)
    there = stft(mixture)
    masks = np.full((2, 1, there.n_bins, there.n_frames), 0.49, np.float32)
    with pytest.raises(AssertionError, match="do not share out the mixture"):
        render(there, masks, NAMES, mixture, 1, ignore_progress)


def test_progress_rises_to_one(rng):
    mixture = mixture_of(rng)
    there = stft(mixture)
    masks = np.full((2, 1, there.n_bins, there.n_frames), 0.5, np.float32)
    seen = []
    render(there, masks, NAMES, mixture, 1, lambda stage, fraction: seen.append((stage, fraction)))
    assert seen == [("render", 0.0), ("render", 0.5), ("render", 1.0)]
