"""Dictionaries learnt from sounds: what they hold, and from what they cannot be learnt."""

from __future__ import annotations

import numpy as np
import pytest
import scenes

import audiosep
from audiosep import Audio, learn
from audiosep.errors import InputError, ParameterError
from audiosep.learning import resampled

SR = 8000


def audio(samples, sr=SR):
    return Audio(samples=np.atleast_2d(np.asarray(samples, dtype=np.float32)), sr=sr)


def tone(hz, seconds=1.0, sr=SR):
    return np.sin(2 * np.pi * hz * np.arange(int(seconds * sr)) / sr)


def noise(seconds=1.0, seed=0, sr=SR):
    return np.random.default_rng(seed).standard_normal(int(seconds * sr))


def test_templates_are_where_the_sound_is():
    found = learn([audio(tone(500)), audio(tone(2000))], label="two", n_components=2)
    peaks = found.frequencies_hz[found.templates.argmax(axis=0)]
    assert sorted(np.round(peaks / 500)) == [1, 4]
    assert found.sources == ("two",)


def test_the_dictionary_explains_what_it_was_learnt_from():
    samples = scenes.band(sr=SR)["bass"]
    found = learn([audio(samples)], label="bass", n_components=12)
    V = audiosep.stft(audio(samples), window_s=0.064).magnitude()
    W = found.on_bins(SR, 2 * (len(found.frequencies_hz) - 1))
    H = np.linalg.lstsq(W, V, rcond=None)[0]
    assert np.linalg.norm(V - W @ H) < 0.5 * np.linalg.norm(V)


def test_exemplars_are_the_frames_themselves():
    samples = noise(2.0)
    found = learn([audio(samples)], label="noise")
    V = audiosep.stft(audio(samples), window_s=0.064).magnitude().T
    n_fft = 2 * (V.shape[1] - 1)
    (stretch,) = found.stretches_on(SR, n_fft, n_fft // 4)
    scale = V.max() / stretch.max()
    np.testing.assert_allclose(stretch * scale, V[: len(stretch)], rtol=1e-5, atol=1e-6)
    assert found.exemplars.step_s == n_fft / 4 / SR


def test_silence_around_the_sound_is_left_out():
    quiet = np.zeros(SR)
    samples = np.concatenate([quiet, noise(0.5), quiet])
    found = learn([audio(samples)], label="noise")
    assert found.exemplars.frames.shape[1] * found.exemplars.step_s == pytest.approx(0.5, abs=0.15)


@pytest.mark.parametrize("level", [1e-12, 1e-3, 1e12])
def test_the_level_of_a_single_example_does_not_matter(level):
    plain = learn([audio(noise())], label="x", n_components=4)
    other = learn([audio(noise() * level)], label="x", n_components=4)
    np.testing.assert_allclose(other.templates, plain.templates, rtol=1e-3, atol=1e-5)


def test_levels_of_several_examples_are_kept():
    found = learn([audio(tone(500)), audio(0.1 * tone(2000))], label="x")
    n_fft = 2 * (len(found.frequencies_hz) - 1)
    first, second = found.stretches_on(SR, n_fft, n_fft // 4)
    assert second.max() / first.max() == pytest.approx(0.1, rel=0.05)


def test_more_than_a_minute_is_thinned_evenly():
    samples = np.concatenate([tone(hz, 30.0) for hz in (300, 900, 1500)])
    exemplars = learn([audio(samples)], label="x", n_components=3).exemplars
    assert 40 < exemplars.frames.shape[1] * exemplars.step_s <= 61
    heard = exemplars.frames.argmax(axis=0) * (SR / 512)
    assert {round(hz / 300) for hz in heard} == {1, 3, 5}


@pytest.mark.parametrize("seconds", [0.01, 0.5])
def test_of_many_short_sounds_most_of_a_minute_is_kept(seconds):
    sounds = [audio(noise(seconds, seed=n)) for n in range(int(90 / max(seconds, 0.3)))]
    exemplars = learn(sounds, label="x", n_components=3).exemplars
    kept = exemplars.frames.shape[1] * exemplars.step_s
    everything = len(sounds) * (seconds + exemplars.step_s)
    assert min(50.0, 0.5 * everything) < kept <= 61


def test_of_hours_pieces_are_taken(monkeypatch):
    monkeypatch.setattr("audiosep.learning.LONGEST_S", 20.0)
    samples = np.concatenate([tone(hz, 20.0) for hz in (300, 900, 1500)])
    exemplars = learn([audio(samples)], label="x", n_components=3).exemplars
    assert exemplars.frames.shape[1] * exemplars.step_s < 22
    heard = exemplars.frames.argmax(axis=0) * (SR / 512)
    assert {round(hz / 300) for hz in heard} == {1, 3, 5}


def test_a_blink_gives_its_frames_as_templates():
    found = learn([audio(noise(0.05))], label="blink", n_components=40)
    assert 1 <= found.n_components < 40
    assert np.isfinite(found.templates).all()


def test_one_sample():
    assert learn([audio([0.5])], label="click").n_components >= 1


def test_channels_are_one_sound():
    samples = noise()
    mono = learn([audio(samples)], label="x", n_components=3)
    stereo = learn([audio(np.stack([samples, -samples]))], label="x", n_components=3)
    np.testing.assert_allclose(stereo.templates, mono.templates, rtol=1e-4, atol=1e-6)


def test_other_rates_are_resampled():
    found = learn([audio(tone(500)), audio(tone(500, sr=44100), 44100)], label="x", n_components=1)
    assert found.frequencies_hz[-1] == 22050
    assert len(found.exemplars.lengths) == 2
    assert abs(found.frequencies_hz[found.templates[:, 0].argmax()] - 500) < 20


def test_resampling_keeps_pitch_and_length():
    out = resampled(audio(tone(440, 2.0, 44100), 44100), SR)
    assert abs(out.n_samples - 2 * SR) <= 2
    assert np.argmax(np.abs(np.fft.rfft(out.samples[0]))) == pytest.approx(880, abs=2)


def test_resampling_of_next_to_nothing():
    assert resampled(audio([0.5], 48000), 8000).n_samples == 1


def test_same_seed_same_numbers():
    one, two = (learn([audio(noise())], label="x", seed=3, n_threads=n) for n in (1, 2))
    assert one.templates.tobytes() == two.templates.tobytes()


def test_silence_is_refused():
    with pytest.raises(InputError, match="example of 'dog' is silent"):
        learn([audio(np.zeros(SR))], label="dog")


def test_a_silent_example_beside_another_adds_nothing():
    found = learn([audio(noise()), audio(np.zeros(SR))], label="x")
    assert len(found.exemplars.lengths) == 1


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"sounds": []}, ParameterError),
        ({"n_components": 0}, ParameterError),
        ({"n_components": 1.5}, ParameterError),
        ({"seed": -1}, ParameterError),
        ({"window_s": 99.0}, ParameterError),
        ({"label": "../x"}, ParameterError),
        ({"label": ""}, ParameterError),
    ],
)
def test_what_cannot_be_is_refused(changes, error):
    given = {"sounds": [audio(noise(0.2))], "label": "x"} | changes
    with pytest.raises(error):
        learn(given.pop("sounds"), **given)


def test_progress_ends_at_one():
    seen = []
    learn([audio(noise())], label="x", progress=lambda stage, at: seen.append((stage, at)))
    assert seen[-1] == ("learn", 1.0)
