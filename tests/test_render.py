"""Masks and spectrogram to stems that sum to the mixture."""

from __future__ import annotations

import numpy as np
import pytest

from audiosep import Audio, istft, stft
from audiosep.render import Analysis, render
from audiosep.transform import BLOCK_FRAMES
from audiosep.types import LazyModels, SourceModels, ignore_progress

NAMES = ("a", "b")


def models_of(masks):
    return SourceModels(models=masks, names=NAMES)


def mixture_of(rng, n_channels=2, n_samples=5000):
    return Audio(samples=rng.normal(0, 0.2, (n_channels, n_samples)).astype(np.float32), sr=8000)


@pytest.mark.parametrize("n_mask_channels", [1, 2])
def test_stems_are_the_masked_mixture_and_sum_to_it(rng, n_mask_channels):
    mixture = mixture_of(rng)
    there = stft(mixture)
    share = rng.random((n_mask_channels, there.n_bins, there.n_frames)).astype(np.float32)
    masks = np.stack([share, 1 - share])
    stems = render(mixture, models_of(masks), Analysis.of(there), 1.0, 1, ignore_progress)
    assert tuple(stems) == NAMES
    for name, mask in zip(NAMES, masks, strict=True):
        wanted = istft(there, mask=mask).samples
        np.testing.assert_allclose(stems[name].samples, wanted, atol=1e-6)
    total = stems["a"].samples + stems["b"].samples
    assert np.abs(total - mixture.samples).max() <= 1.2e-7 * np.abs(mixture.samples).max()


def test_masks_that_leave_something_over_are_a_bug(rng, monkeypatch):
    mixture = mixture_of(rng)
    there = stft(mixture)
    masks = np.full((2, 1, there.n_bins, there.n_frames), 0.49, np.float32)
    monkeypatch.setattr("audiosep.render.wiener_masks", lambda models, *_, **__: models)
    with pytest.raises(AssertionError, match="do not share out the mixture"):
        render(mixture, models_of(masks), Analysis.of(there), 1.0, 1, ignore_progress)


def test_progress_rises_to_one(rng):
    mixture = mixture_of(rng)
    there = stft(mixture)
    masks = np.full((2, 1, there.n_bins, there.n_frames), 0.5, np.float32)
    seen = []
    render(
        mixture,
        models_of(masks),
        Analysis.of(there),
        1.0,
        1,
        lambda stage, fraction: seen.append((stage, fraction)),
    )
    assert {stage for stage, _ in seen} == {"render"}
    fractions = [fraction for _, fraction in seen]
    assert fractions[0] == 0.0
    assert fractions[-1] == 1.0
    assert fractions == sorted(set(fractions))
    assert len(fractions) == 2 + there.n_frames // BLOCK_FRAMES


@pytest.mark.parametrize("n_samples", [1, 500, 40000, 80000])
def test_lazy_models_give_the_same_bytes(rng, n_samples):
    mixture = mixture_of(rng, n_samples=n_samples)
    there = stft(mixture)
    values = rng.random((2, 1, there.n_frames, there.n_bins)).astype(np.float32)
    asked = []

    def frames(first, last):
        asked.append((first, last))
        return values[:, :, first:last].copy()

    shape = (2, 1, there.n_bins, there.n_frames)
    lazy = SourceModels(models=LazyModels(shape=shape, frames=frames), names=NAMES)
    eager = models_of(values.swapaxes(2, 3))
    np.testing.assert_array_equal(lazy.values, eager.values)
    asked.clear()
    stems = [
        render(mixture, models, Analysis.of(there), 2.0, 1, ignore_progress)
        for models in (lazy, eager)
    ]
    for name in NAMES:
        assert stems[0][name].samples.tobytes() == stems[1][name].samples.tobytes()
    assert max(last - first for first, last in asked) <= BLOCK_FRAMES
    assert asked[-1][1] == there.n_frames
