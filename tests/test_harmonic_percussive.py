"""Harmonic and percussive: what lasts against what strikes."""

from __future__ import annotations

import numpy as np
import pytest
from test_stems import band, si_sdr, spectrogram

import audiosep
from audiosep.methods.base import MethodSettings
from audiosep.methods.harmonic_percussive import model_harmonic_percussive
from audiosep.methods.stems import model_stems

ONE_THREAD = MethodSettings(n_threads=1)


def test_both_stems_are_closer_to_their_sources_than_the_mixture():
    sources = band()
    mixture = sum(sources.values())
    result = audiosep.Separator(preset="harmonic-percussive", n_threads=1).separate(
        mixture.astype(np.float32), 22050
    )
    truth = {"percussive": sources["drums"], "harmonic": sources["bass"] + sources["other"]}
    assert set(result.stems) == set(truth)
    for name, source in truth.items():
        gain = si_sdr(source, result.stems[name].samples[0].astype(float)) - si_sdr(source, mixture)
        floor = {"percussive": 10.5, "harmonic": 7.5}[name]
        assert gain > floor, f"{name}: {gain:.1f} dB"


def test_percussive_is_the_drums_of_the_stems():
    values = spectrogram(sum(band(8000, 2.0).values()), 8000)
    two = model_harmonic_percussive(values, ONE_THREAD)
    three = model_stems(values, ONE_THREAD)
    assert two.names == ("harmonic", "percussive")
    np.testing.assert_array_equal(two.values[1], three.values[0])
    np.testing.assert_allclose(two.values[0], three.values[1] + three.values[2], atol=1e-6)


@pytest.mark.parametrize("n_samples", [1, 3000])
def test_silence_and_short_recordings(n_samples):
    for samples in (np.zeros(n_samples), np.ones(n_samples)):
        masks = model_harmonic_percussive(spectrogram(samples, 8000), ONE_THREAD).values
        assert np.isfinite(masks).all()
        np.testing.assert_allclose(masks.sum(axis=0), 1.0, atol=1e-5)


def test_noise_bursts_are_percussive_and_a_chord_is_harmonic():
    rng = np.random.default_rng(0)
    t = np.arange(4 * 16000) / 16000
    chord = sum(np.sin(2 * np.pi * f * t) for f in (330.0, 415.0, 494.0))
    bursts = rng.standard_normal(len(t)) * np.exp(-60 * (t % 0.5)) * 4
    for samples, expected in ((chord, 0), (bursts, 1)):
        values = spectrogram(samples, 16000)
        masks = model_harmonic_percussive(values, ONE_THREAD).values[:, 0]
        power = (np.abs(values.values[0]) ** 2 * masks).sum(axis=(1, 2))
        assert power[expected] > 0.9 * power.sum()
