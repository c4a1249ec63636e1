"""Blind separation on scenes whose stems are known."""

from __future__ import annotations

from dataclasses import replace

import naive
import numpy as np
import pytest
import scenes
from hypothesis import given
from hypothesis import strategies as st

from audiosep.errors import Cancelled, ParameterError
from audiosep.grouping import group_by_timbre
from audiosep.labels import problem_of_labels
from audiosep.masks import wiener_masks
from audiosep.methods import MethodSettings, load_method
from audiosep.methods._components_sureness import SURE, agreement, names_of
from audiosep.methods.components import MAX_ITER, N_COMPONENTS, model_components
from audiosep.transform import istft, stft
from audiosep.types import Audio, Factorization, Grouping, LazyModels, Stop, ignore_progress

SR = 16000


def spectrogram_of(samples):
    return stft(Audio(samples=np.asarray(samples, np.float32), sr=SR))


def models_of(spectrogram, **settings):
    return model_components(spectrogram, MethodSettings(**settings), ignore_progress)


def estimates_of(spectrogram, models):
    masks = wiener_masks(models.values)
    return [istft(spectrogram, mask=mask).samples for mask in masks]


def gains_db(stems, n_sources, **settings):
    """By how much the best estimate of each stem is better than the mixture, in dB."""
    mixture = scenes.mixture(stems)
    spectrogram = spectrogram_of(mixture)
    estimates = estimates_of(spectrogram, models_of(spectrogram, n_sources=n_sources, **settings))
    return {
        name: max(naive.si_sdr(e, stem) for e in estimates) - naive.si_sdr(mixture, stem)
        for name, stem in stems.items()
    }


@pytest.mark.parametrize("n_components", [2, 3, 4])
def test_two_notes_are_separated(n_components):
    gains = gains_db(scenes.two_notes(SR), 2, n_components=n_components)
    assert min(gains.values()) > 25.0


def test_clicks_and_tones_are_separated():
    gains = gains_db(scenes.tones_and_clicks(SR), 2, n_components=2)
    assert min(gains.values()) > 4.0


def test_sources_are_ordered_from_low_to_high():
    stems = scenes.two_notes(SR)
    spectrogram = spectrogram_of(scenes.mixture(stems))
    models = models_of(spectrogram, n_components=2)
    low, high = estimates_of(spectrogram, models)
    assert models.names == models.grouping.names == ("source-1", "source-2")
    assert naive.si_sdr(low, stems["low"]) > 20
    assert naive.si_sdr(high, stems["high"]) > 20


def test_models_are_made_a_few_frames_at_a_time():
    spectrogram = spectrogram_of(scenes.mixture(scenes.band(SR, 1.0)))
    models = models_of(spectrogram, n_sources=2, max_iter=5)
    assert isinstance(models.models, LazyModels)
    part = models.frames(3, 9)
    assert part.shape == (2, 1, 6, spectrogram.n_bins)
    np.testing.assert_allclose(part.swapaxes(2, 3), models.values[..., 3:9], rtol=1e-4, atol=1e-9)


def test_models_add_up_to_the_factorization():
    spectrogram = spectrogram_of(scenes.mixture(scenes.band(SR, 1.0)))
    models = models_of(spectrogram, n_sources=3, max_iter=10)
    assert models.values.shape == (3, 1, spectrogram.n_bins, spectrogram.n_frames)
    assert models.values.dtype == np.float32
    assert models.values.min() >= 0
    np.testing.assert_allclose(
        models.values.sum(axis=0)[0], models.factorization.model(), rtol=1e-4, atol=1e-9
    )
    assert models.grouping.names == models.names
    assert len(set(models.names)) == 3
    assert models.factorization.n_components == N_COMPONENTS == len(models.grouping.weights)
    assert all(note.endswith(".") for note in models.notes)


def test_estimates_add_up_to_the_mixture():
    mixture = scenes.mixture(scenes.band(SR, 1.0))
    spectrogram = spectrogram_of(mixture)
    estimates = estimates_of(spectrogram, models_of(spectrogram, n_sources=4, max_iter=5))
    assert np.abs(np.sum(estimates, axis=0) - mixture).max() < 1e-5 * np.abs(mixture).max()


@pytest.mark.parametrize(
    "change", [lambda y: y[::-1], lambda y: -y, lambda y: y * [[1], [-1]], lambda y: -y[::-1]]
)
def test_order_and_polarity_of_channels_do_not_matter(rng, change):
    stems = scenes.two_notes(SR, 1.0)
    stereo = np.stack([stems["low"] + 0.3 * stems["high"], 0.5 * stems["low"] + stems["high"]])
    one = models_of(spectrogram_of(stereo), n_components=3, max_iter=20)
    other = models_of(spectrogram_of(change(stereo)), n_components=3, max_iter=20)
    np.testing.assert_array_equal(wiener_masks(one.values), wiener_masks(other.values))


@pytest.mark.parametrize("power", [-40, -3, 10])
def test_the_level_does_not_matter(power):
    mixture = scenes.mixture(scenes.two_notes(SR, 1.0))
    one = models_of(spectrogram_of(mixture), n_components=3, max_iter=20)
    other = models_of(spectrogram_of(mixture * 2.0**power), n_components=3, max_iter=20)
    assert (one.values * np.float32(2.0**power)).tobytes() == other.values.tobytes()


def test_settings_reach_the_factorization():
    spectrogram = spectrogram_of(scenes.mixture(scenes.two_notes(SR, 0.5)))
    plain = models_of(spectrogram).factorization
    assert (plain.n_iter, plain.beta, plain.seed) == (MAX_ITER, 1.0, 0)
    chosen = models_of(spectrogram, n_components=5, beta=0.5, max_iter=3, seed=7).factorization
    assert (chosen.n_components, chosen.n_iter, chosen.beta, chosen.seed) == (5, 3, 0.5, 7)
    assert models_of(spectrogram).stop is Stop.MAX_ITER


def test_the_same_seed_and_any_threads_give_the_same_bytes():
    spectrogram = spectrogram_of(scenes.mixture(scenes.band(SR, 2.0)))
    one, two, three = (
        models_of(spectrogram, n_components=6, max_iter=4, seed=3, n_threads=n) for n in (1, 2, 3)
    )
    assert one.values.tobytes() == two.values.tobytes() == three.values.tobytes()
    other = models_of(spectrogram, n_components=6, max_iter=4, seed=4)
    assert one.values.tobytes() != other.values.tobytes()


@pytest.mark.parametrize("n_sources", [1, 2, 5])
def test_silence(n_sources):
    spectrogram = spectrogram_of(scenes.mixture(scenes.silence(SR)))
    models = models_of(spectrogram, n_sources=n_sources)
    assert not models.values.any()
    assert len(models.names) == n_sources
    np.testing.assert_allclose(wiener_masks(models.values), 1 / n_sources, rtol=1e-6)


@pytest.mark.parametrize("n_samples", [1, 2, 700])
def test_the_shortest_recordings(rng, n_samples):
    spectrogram = spectrogram_of(rng.standard_normal((2, n_samples)))
    models = models_of(spectrogram, n_sources=2)
    assert np.isfinite(models.values).all()
    assert models.values.shape[2:] == (spectrogram.n_bins, spectrogram.n_frames)


def test_more_sources_than_usual_components():
    spectrogram = spectrogram_of(scenes.mixture(scenes.two_notes(SR, 0.5)))
    assert len(models_of(spectrogram, n_sources=30, max_iter=2).names) == 30


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_sources": 0}, "0 sources cannot be made; use 1 to 64"),
        ({"n_sources": 65}, "65 sources cannot be made"),
        ({"n_sources": 3, "n_components": 2}, "2 components are fewer than 3 sources; use more"),
        ({"beta": 7.0}, "beta 7.0 is unknown"),
    ],
)
def test_settings_that_cannot_be(settings, message):
    spectrogram = spectrogram_of(np.ones((1, 100)))
    with pytest.raises(ParameterError, match=message):
        models_of(spectrogram, **settings)


@pytest.mark.parametrize(("n_sources", "least"), [(1, 1), (2, 2), (9, 9)])
def test_as_many_components_as_stand_out(n_sources, least):
    spectrogram = spectrogram_of(scenes.mixture(scenes.two_notes(SR, 1.0)))
    models = models_of(spectrogram, n_sources=n_sources, count_components=True, max_iter=2)
    assert least <= models.factorization.n_components <= 12
    assert models.notes[0].startswith(f"{models.factorization.n_components} components: ")


# Names and confidence


def test_what_is_sure_is_called_what_it_is():
    held = sum(
        scenes.notes(SR, 4.0, (hz,), 1.0, start=0.25 * i, length=0.9)
        for i, hz in enumerate((523.0, 659.0, 784.0))
    )
    struck = scenes.hits(SR, 4.0, 0.5, start=0.1, decay=60.0, seed=1)
    spectrogram = spectrogram_of((0.2 * held + 0.5 * struck)[np.newaxis])
    models = models_of(spectrogram, n_sources=2, n_components=8, max_iter=60)
    assert models.grouping.confidence.min() >= SURE
    assert models.names == models.grouping.names == ("harmonic", "percussive")


def made(*components, n_bins=200, n_frames=200):
    """A factorization of components, each a (template, activation) of few peaks or of none."""
    W, H = np.full((n_bins, len(components)), 1e-3), np.full((len(components), n_frames), 1e-3)
    for k, (bins, frames) in enumerate(components):
        W[bins, k] = 1.0
        H[k, frames] = 1.0
    return Factorization(
        templates=W, activations=H, losses=np.zeros(1), n_iter=0, stop=Stop.MAX_ITER, beta=1.0
    )


ALL = slice(None)
PARTIALS, STROKES = slice(40, None, 25), slice(5, None, 25)


@pytest.mark.parametrize(
    ("sure", "names"),
    [
        (1.0, ("low", "harmonic-1", "percussive-1", "harmonic-2", "percussive-2", "source-6")),
        (0.7, tuple(f"source-{n}" for n in range(1, 7))),
    ],
)
def test_names_by_what_stands_out(sure, names):
    fit = made(
        ([3, 4], STROKES),  # low, and struck: low comes first
        (PARTIALS, ALL),
        (ALL, STROKES),
        (PARTIALS, ALL),
        (PARTIALS, STROKES),  # both: struck comes first
        (ALL, ALL),  # neither
    )
    grouping = Grouping(
        weights=np.eye(6),
        names=tuple(f"source-{n}" for n in range(1, 7)),
        confidence=np.full(6, sure),
    )
    assert names_of(fit, grouping, bin_hz=20.0, frame_s=0.02) == names


def test_noise_is_grouped_without_confidence_and_keeps_its_numbers(rng):
    spectrogram = spectrogram_of(rng.standard_normal((1, 4 * SR)))
    models = models_of(spectrogram, n_sources=4, max_iter=30)
    assert models.grouping.confidence.min() < SURE
    assert models.names == ("source-1", "source-2", "source-3", "source-4")
    assert "below 0.75 a source is a guess" in models.notes[-1]


def test_confidence_where_there_is_nothing_to_agree_on():
    spectrogram = spectrogram_of(scenes.mixture(scenes.two_notes(SR, 1.0)))
    assert models_of(spectrogram, n_sources=1, max_iter=2).grouping.confidence.tolist() == [1.0]
    assert models_of(spectrogram, n_sources=1, max_iter=2).names == ("source-1",)
    alone = models_of(spectrogram, n_sources=3, n_components=3, max_iter=2)
    assert alone.grouping.confidence.tolist() == [0.0, 0.0, 0.0]


@given(seed=st.integers(0, 99), K=st.integers(1, 8), data=st.data())
def test_names_and_confidence_of_anything(seed, K, data):
    n_sources = data.draw(st.integers(1, K))
    rng = np.random.default_rng(seed)
    W = rng.random((65, K)).astype(np.float32) ** 4
    H = rng.random((K, 20)).astype(np.float32) ** 4
    W[:, rng.random(K) < 0.2] = 0
    H[rng.random(K) < 0.2] = 0
    fit = Factorization(
        templates=W, activations=H, losses=np.zeros(1), n_iter=0, stop=Stop.MAX_ITER, beta=1.0
    )
    grouped = group_by_timbre(fit, n_sources, bin_hz=60.0)
    sure = agreement(fit, grouped, bin_hz=60.0)
    assert sure.shape == (n_sources,)
    assert ((sure >= 0) & (sure <= 1)).all()
    names = names_of(
        fit, replace(grouped, confidence=np.ones(n_sources)), bin_hz=60.0, frame_s=0.02
    )
    assert len(set(names)) == n_sources
    assert problem_of_labels(names) == ""


def test_progress_reports_and_may_cancel():
    spectrogram = spectrogram_of(scenes.mixture(scenes.two_notes(SR, 0.5)))
    seen = []
    settings = MethodSettings(max_iter=4)
    model_components(spectrogram, settings, lambda stage, fraction: seen.append((stage, fraction)))
    assert seen == [("factorize", (i + 1) / 4) for i in range(4)]

    def refuse(stage, fraction):
        raise Cancelled("stop")

    with pytest.raises(Cancelled, match="stop"):
        model_components(spectrogram, settings, refuse)


def test_the_method_is_found_by_its_name():
    assert load_method("components") is model_components
