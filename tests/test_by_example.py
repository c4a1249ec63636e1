"""Separation by example: quality on known stems, names, rest, notes, hard input."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import scenes

from audiosep import Separator
from audiosep.dictionaries import Dictionary
from audiosep.errors import DictionaryError, UsageError
from audiosep.learning import learn
from audiosep.methods import (
    _examples_colour,
    _examples_dnmf,
    _examples_local,
    _examples_masks,
    _examples_rest,
)
from audiosep.methods.base import MethodSettings
from audiosep.methods.by_example import model_by_example
from audiosep.presets import load_preset
from audiosep.transform import istft, stft
from audiosep.types import Audio, ignore_progress

SR = 8000
WINDOW_S = load_preset("by-example").window_s


@pytest.fixture
def quick(monkeypatch):
    """A tenth of the training: enough for what is not about quality."""
    monkeypatch.setattr(_examples_masks, "DICTIONARY_FRAMES", 256)
    monkeypatch.setattr(_examples_dnmf, "STEPS", 20)
    monkeypatch.setattr(_examples_colour, "ROUNDS", 2)
    monkeypatch.setattr(_examples_rest, "ROUNDS", 1)
    monkeypatch.setattr(_examples_masks, "CORRECTION_FRAMES", 512)
    monkeypatch.setattr(_examples_masks, "N_CORRECTIONS", 1)
    monkeypatch.setattr(_examples_masks, "WEIGHING_FRAMES", 128)
    monkeypatch.setattr(_examples_masks, "LOCAL_FRAMES", 512)
    monkeypatch.setattr(_examples_masks, "N_LOCAL", 1)
    monkeypatch.setattr(_examples_local, "N_PLACES", 20_000)


def audio(samples, sr=SR):
    return Audio(samples=np.atleast_2d(np.asarray(samples, dtype=np.float32)), sr=sr)


def si_sdr(reference, estimate):
    r, e = reference.ravel().astype(float), estimate.ravel().astype(float)
    part = (e @ r) / (r @ r) * r
    return 10 * np.log10((part @ part) / ((e - part) @ (e - part)))


@cache
def scene():
    """Notes, a hum and bursts: 2.5 s to separate, and other 2.5 s of each as examples."""
    tune = scenes.notes(SR, 5.0, (440.0, 523.3, 392.0, 587.3), 0.25, decay=4.0)
    bass = scenes.notes(
        SR, 5.0, (110.0, 87.3, 130.8), 0.4, decay=2.0, amplitudes=(1, 0.9, 0.8, 0.7)
    )
    drum = scenes.hits(SR, 5.0, 0.31, start=0.05, decay=25.0, seed=4)
    parts = {"tune": 0.2 * tune, "bass": 0.25 * bass, "drum": 0.25 * drum}
    half = round(2.5 * SR)
    stems = {name: y[:half].astype(np.float32) for name, y in parts.items()}
    examples = {name: y[half:].astype(np.float32) for name, y in parts.items()}
    return stems, examples


@cache
def learnt(name):
    return learn([audio(scene()[1][name])], label=name, window_s=WINDOW_S, n_threads=1)


def separated(stems, examples, **settings):
    """Models, and SI-SDR of each stem and of the mixture, by name."""
    mixture = np.sum([stems[name] for name in stems], axis=0)
    spectrogram = stft(audio(mixture), window_s=WINDOW_S)
    models = model_by_example(
        spectrogram,
        MethodSettings(**{"examples": examples, "n_threads": 1, **settings}),
        ignore_progress,
    )
    values = models.values
    np.testing.assert_allclose(values.sum(axis=0), 1.0, rtol=1e-4)
    found = {
        name: istft(spectrogram, mask=mask).samples
        for name, mask in zip(models.names, values, strict=True)
    }
    return models, found, mixture


def gains(stems, found, mixture, names=None):
    """SI-SDR of each stem minus that of the mixture."""
    names = names or {name: name for name in stems}
    return {
        name: si_sdr(stems[name], found[names[name]]) - si_sdr(stems[name], mixture)
        for name in stems
    }


def model(samples, examples, sr=SR, **settings):
    spectrogram = stft(audio(samples, sr), window_s=WINDOW_S)
    given = MethodSettings(**{"examples": tuple(examples), "n_threads": 1, **settings})
    return model_by_example(spectrogram, given, ignore_progress)


# Quality: about 1 dB below what is measured


def test_two_examples():
    stems = {name: scene()[0][name] for name in ("tune", "drum")}
    models, found, mixture = separated(stems, tuple(map(learnt, stems)), quality="fast")
    assert models.names == ("tune", "drum")
    assert models.warnings == ()
    better = gains(stems, found, mixture)
    assert better["tune"] > 10.2
    assert better["drum"] > 14.8


def test_corrections(quick, monkeypatch):
    """Two sources of the same spectra: what comes before and after tells them apart."""
    monkeypatch.setattr(_examples_masks, "CORRECTION_FRAMES", 1600)
    rng = np.random.default_rng(0)
    stems, examples = {}, {}
    for name, swell in (("rising", 1), ("falling", -1)):
        shape = np.exp(-4.0 * (np.arange(2400) / 2400))[::-swell]
        noise = rng.standard_normal(2 * 16000) * 0.2
        envelope = np.zeros_like(noise)
        for start in range(600 if swell > 0 else 1900, len(noise) - 2400, 3600):
            envelope[start : start + 2400] = shape
        y = (noise * envelope).astype(np.float32)
        stems[name], examples[name] = y[:16000], y[16000:]
    told = tuple(
        learn([audio(y)], label=name, window_s=WINDOW_S, n_threads=1)
        for name, y in examples.items()
    )
    worst = {}
    for quality in ("fast", "high"):
        _, found, mixture = separated(stems, told, quality=quality)
        worst[quality] = min(gains(stems, found, mixture).values())
    assert worst["high"] > 0.0
    assert worst["high"] > worst["fast"] + 1.0


def test_three_examples(quick):
    stems = scene()[0]
    models, found, mixture = separated(stems, tuple(map(learnt, stems)), quality="high")
    assert models.names == ("tune", "bass", "drum")
    better = gains(stems, found, mixture)
    assert min(better.values()) > 9.2


def test_one_example_and_the_rest(quick):
    stems = {name: scene()[0][name] for name in ("tune", "drum")}
    models, found, mixture = separated(stems, (learnt("tune"),), quality="fast", rest="others")
    assert models.names == ("tune", "others")
    better = gains(stems, found, mixture, {"tune": "tune", "drum": "others"})
    assert min(better.values()) > 7.5


# Names, and what the models are


def test_the_rest_has_a_name_and_needs_its_own(quick):
    y = (scene()[0]["tune"] + scene()[0]["drum"])[:SR]
    assert model(y, [learnt("tune")], quality="fast").names == ("tune", "rest")
    both = [learnt("tune"), learnt("drum")]
    assert model(y, both, quality="fast", n_free=4).names == ("tune", "drum", "rest")
    with pytest.raises(UsageError, match=r"'Tune'.*--rest"):
        model(y, [learnt("tune")], rest="Tune")


def test_without_examples_it_says_what_to_give():
    with pytest.raises(UsageError, match="--example NAME=FILE"):
        model(scene()[0]["tune"], [])


def test_patches_are_refused():
    patches = Dictionary(
        templates=np.ones((3, 1, 2), np.float32),
        frequencies_hz=np.array([0.0, 100.0, 4000.0]),
        labels=("dog",),
        provenance="",
        step_s=0.01,
    )
    with pytest.raises(DictionaryError, match="patches"):
        model(scene()[0]["tune"], [patches, learnt("drum")])


def test_blocks_of_frames_are_parts_of_the_whole(quick):
    models = model(scene()[0]["tune"] + scene()[0]["drum"], [learnt("tune"), learnt("drum")])
    whole = models.frames(0, models.shape[-1])
    for first, last in ((0, 1), (5, 60), (60, models.shape[-1])):
        part = models.frames(first, last)
        np.testing.assert_allclose(part, whole[:, :, first:last], atol=1e-5)


def test_the_same_seed_gives_the_same_bytes_with_any_threads(quick):
    y = (scene()[0]["tune"] + scene()[0]["drum"])[:SR]
    told = [learnt("tune"), learnt("drum")]
    found = [model(y, told, n_threads=n, seed=3).values for n in (1, 2)]
    np.testing.assert_array_equal(found[0], found[1])
    fast = [model(y, told, quality="fast", seed=seed).values for seed in (3, 4)]
    assert (fast[0] != fast[1]).any()


# Notes


def test_a_wrong_example_is_named_and_right_ones_are_not(quick):
    y = scene()[0]["tune"] + scene()[0]["drum"]
    assert model(y, [learnt("tune"), learnt("drum")], quality="fast").warnings == ()
    t = scenes.time_axis(SR, 2.5)
    whistle = 0.2 * np.sin(2 * np.pi * (2500 + 400 * np.sin(2 * np.pi * 1.3 * t)) * t / 3)
    wrong = learn([audio(whistle)], label="whistle", window_s=WINDOW_S, n_threads=1)
    notes = model(y, [learnt("tune"), wrong], quality="fast").warnings
    assert len(notes) >= 1
    assert "fits badly" in notes[0]


# Hard input


@pytest.mark.parametrize("level", [1e-12, 1e12])
def test_levels_do_not_matter(quick, level):
    y = (scene()[0]["tune"] + scene()[0]["drum"]).astype(np.float64)
    told = [learnt("tune"), learnt("drum")]
    usual, other = (model(z, told, quality="fast").values for z in (y, level * y))
    np.testing.assert_allclose(other, usual, atol=0.02)


@pytest.mark.parametrize(
    ("name", "samples", "sr"),
    [
        ("silence", np.zeros(8000), 8000),
        ("one sample", np.ones(1), 8000),
        ("a constant", np.ones(8000), 8000),
        ("noise at 96 kHz", np.random.default_rng(0).standard_normal(20000), 96000),
        ("three channels", np.random.default_rng(1).standard_normal((3, 4000)), 8000),
    ],
)
def test_hard_mixtures(quick, name, samples, sr):
    values = model(samples, [learnt("tune"), learnt("drum")], sr).values
    assert np.isfinite(values).all()
    assert values.min() >= 0.0
    assert values.shape[0] == 2


@pytest.mark.parametrize(
    ("name", "samples"),
    [
        ("one sample", np.ones(1)),
        ("a constant", np.ones(4000)),
        ("a click", np.eye(1, 4000, 2000)[0]),
        ("very quiet", 1e-12 * np.random.default_rng(2).standard_normal(4000)),
        ("very loud", 1e12 * np.random.default_rng(3).standard_normal(4000)),
    ],
)
def test_hard_examples(quick, name, samples):
    hard = learn([audio(samples)], label="hard", window_s=WINDOW_S, n_threads=1)
    y = (scene()[0]["tune"] + scene()[0]["drum"])[:SR]
    for told, quality in (([learnt("tune"), hard], "high"), ([hard], "fast")):
        values = model(y, told, quality=quality).values
        assert np.isfinite(values).all()
        np.testing.assert_allclose(values.sum(axis=0), 1.0, rtol=1e-4)


def test_the_same_sound_twice_is_shared_equally(quick):
    twice = [learnt("tune"), learnt("tune").named("again")]
    values = model(scene()[0]["tune"], twice, quality="fast").values
    assert abs(values.mean(axis=(1, 2, 3)) - 0.5).max() < 0.1


def test_templates_alone_will_do(quick):
    stems = {name: scene()[0][name] for name in ("tune", "drum")}
    bare = tuple(
        Dictionary(
            templates=d.templates,
            frequencies_hz=d.frequencies_hz,
            labels=d.labels,
            provenance=d.provenance,
        )
        for d in map(learnt, stems)
    )
    _, found, mixture = separated(stems, bare)
    assert min(gains(stems, found, mixture).values()) > 10.0


# The whole way


def test_by_the_separator(quick):
    stems = {name: scene()[0][name] for name in ("tune", "drum")}
    told = {name: audio(scene()[1][name]) for name in stems}
    mixture = np.sum([stems[name] for name in stems], axis=0)
    result = Separator(examples=told, n_threads=1).separate(mixture, SR)
    assert list(result.stems) == ["tune", "drum"]
    total = sum(stem.samples for stem in result.stems.values())
    np.testing.assert_allclose(total[0], mixture, atol=1e-5)
