"""Speech in noise: quality, the noise finder, what may be given, hard input."""

from __future__ import annotations

import warnings
from functools import cache

import numpy as np
import pytest
import scipy.signal

from audiosep import Separator
from audiosep.dictionaries import Dictionary
from audiosep.dictionary_files import load_builtin
from audiosep.errors import DictionaryError, UsageError
from audiosep.evaluation import si_sdr
from audiosep.learning import learn
from audiosep.methods._speech_evidence import Evidence, decision_directed, noise_floor
from audiosep.methods._speech_mixtures import Material, at_other_pitch, generic_noises
from audiosep.methods._speech_noise import aligned, find_pauses, pauses_of, tracked
from audiosep.methods._speech_share import train_share
from audiosep.methods._speech_talkers import power_of, talkers_of
from audiosep.methods._stems_bands import Bands
from audiosep.methods.base import MethodSettings
from audiosep.methods.speech import model_speech
from audiosep.presets import load_preset
from audiosep.transform import stft
from audiosep.types import Audio

SR = 16000
FRAME_S = 0.016
VOWELS = ((730, 1090, 2440), (270, 2290, 3010), (570, 840, 2410), (530, 1840, 2480))


@pytest.fixture(autouse=True)
def _short_training(monkeypatch):
    """Less training than in earnest: the floors here are lower by about half a dB."""
    monkeypatch.setattr("audiosep.methods._speech_share.PLACES", 3500)
    monkeypatch.setattr("audiosep.methods.speech.N_MIXTURES", 26)


def resonator(x, hz, width_hz, sr):
    r = np.exp(-np.pi * width_hz / sr)
    return scipy.signal.lfilter([1 - r], [1, -2 * r * np.cos(2 * np.pi * hz / sr), r * r], x)


@cache
def talker(sr=SR, seconds=4.0, f0=120.0, seed=0):
    """Glottal pulses through formants that move from vowel to vowel, hisses, and pauses.

    Returns the samples and where nobody speaks.
    """
    rng = np.random.default_rng(seed)
    n = round(sr * seconds)
    out, silent = np.zeros(n), np.ones(n, dtype=bool)
    at = round(0.35 * sr)
    while at < n - 0.3 * sr:
        for _ in range(int(rng.integers(2, 5))):
            length = round(rng.uniform(0.12, 0.25) * sr)
            t = np.arange(length) / sr
            pitch = f0 * (1 + 0.15 * np.sin(2 * np.pi * 1.3 * (at / sr + t)))
            phase = np.cumsum(pitch) / sr
            pulses = np.diff(np.floor(phase), prepend=0.0)
            first, last = (np.array(VOWELS[i]) for i in rng.choice(4, 2, replace=False))
            parts = [scipy.signal.lfilter([1.0], [1.0, -0.95], pulses)]
            for vowel, weight in ((first, 1 - t / t[-1]), (last, t / t[-1])):
                sound = parts[0]
                for hz in vowel[vowel < 0.45 * sr]:
                    sound = resonator(sound, hz, 60 + 0.05 * hz, sr)
                parts.append(sound * weight / max(np.abs(sound).max(), 1e-9))
            voiced = (parts[1] + parts[2]) * np.sqrt(np.sin(3.14 * t / t[-1]))
            end = min(at + length, n)
            out[at:end] += voiced[: end - at]
            silent[at:end] = False
            at = end
            if rng.random() < 0.4:
                hiss = rng.standard_normal(round(0.09 * sr)) * np.hanning(round(0.09 * sr))
                hiss = np.diff(hiss, prepend=0.0)[: n - at]
                out[at : at + len(hiss)] += 0.15 * hiss
                silent[at : at + len(hiss)] = False
                at += len(hiss)
        at += round(rng.uniform(0.3, 0.5) * sr)
    return out / np.sqrt(np.mean(out**2)), silent


@cache
def hum_and_hiss(sr=SR, seconds=4.0, seed=0):
    """Coloured noise that swells, over the hum of a machine."""
    rng = np.random.default_rng(seed)
    n = round(sr * seconds)
    t = np.arange(n) / sr
    hiss = scipy.signal.lfilter([1.0], [1.0, -0.8], rng.standard_normal(n))
    hum = sum(np.sin(2 * np.pi * 97 * k * t + k) / k for k in range(1, 6))
    out = hiss * (1 + 0.4 * np.sin(2 * np.pi * 0.6 * t)) + 0.5 * hum
    return out / np.sqrt(np.mean(out**2))


def scene(db=0.0, sr=SR, seconds=3.0, seed=1):
    """A talker, noise at `db` below, and another second and a half of that noise."""
    speech, _ = talker(sr, seconds, 130.0, seed)
    noise = hum_and_hiss(sr, seconds + 1.5, seed) * 10 ** (-db / 20)
    n = len(speech)
    return 0.1 * speech, 0.1 * noise[:n], 0.1 * noise[n:]


def audio(*rows, sr=SR):
    return Audio(samples=np.stack(rows).astype(np.float32), sr=sr)


def example(samples, label, sr=SR, **settings):
    return learn([audio(samples, sr=sr)], label=label, n_components=4, n_threads=1, **settings)


def gain(parts, **settings):
    """Improvement of the speech in dB over the mixture."""
    speech, noise = parts
    settings = {"quality": "fast", **settings}
    result = Separator(preset="speech", n_threads=1, **settings).separate(
        (speech + noise).astype(np.float32), SR
    )
    estimate = result.stems["speech"].samples
    mixture = (speech + noise)[np.newaxis]
    true = speech[np.newaxis]
    return float(si_sdr(true, estimate) - si_sdr(true, mixture)), result


@pytest.mark.parametrize(("db", "floor"), [(-5, 4.5), (0, 4.5), (10, 2.5)])
def test_known_noise(db, floor):
    speech, noise, more = scene(db)
    gained, result = gain((speech, noise), examples={"noise": audio(more)})
    assert gained > floor
    assert list(result.stems) == ["speech", "noise"]
    assert result.record["notes"][-1] == "The noise is known from its example."


@pytest.mark.parametrize(("db", "floor"), [(0, 3.5), (10, 2.0)])
def test_noise_found_in_the_pauses(db, floor):
    speech, noise, _ = scene(db)
    gained, result = gain((speech, noise))
    assert gained > floor
    assert "of pauses" in result.record["notes"][-1]


def test_high_quality_listens_to_the_recording_too():
    """Of this noise the example has a part only: the rest is heard in the recording."""
    speech, noise, more = scene()
    whistle = 0.1 * np.sin(2 * np.pi * 1700 * np.arange(len(speech)) / SR)
    noise = noise + whistle
    known = {"noise": audio(more)}
    fast, _ = gain((speech, noise), examples=known)
    high, _ = gain((speech, noise), examples=known, quality="high")
    assert high > fast + 1.0


def test_the_talker_as_an_example_and_the_noise_as_a_region():
    speech, noise, _ = scene()
    own, _ = talker(SR, 6.0, 130.0, 7)
    gained, _ = gain((speech, noise), examples={"noise": "@0-0.3", "speech": audio(0.1 * own)})
    assert gained > 3.5


def test_an_example_at_another_level_and_colour_is_brought_to_that_of_the_recording():
    speech, noise, more = scene()
    duller = scipy.signal.lfilter([1.0], [1.0, -0.5], 30 * more)
    gained, _ = gain((speech, noise), examples={"noise": audio(duller)})
    assert gained > 3.5


def test_clean_speech_is_left_alone():
    speech, _ = talker(SR, 3.0, 130.0, 1)
    result = Separator(preset="speech", n_threads=1, quality="fast").separate(
        (0.1 * speech).astype(np.float32), SR
    )
    assert si_sdr(0.1 * speech[np.newaxis], result.stems["speech"].samples) > 15.0


def test_noise_alone_leaves_little_speech():
    _, noise, more = scene()
    for examples in ({}, {"noise": audio(more)}):
        result = Separator(
            preset="speech", n_threads=1, quality="fast", examples=examples
        ).separate(noise.astype(np.float32), SR)
        level = np.mean(result.stems["speech"].samples ** 2) / np.mean(noise**2)
        assert 10 * np.log10(level) < -6.0


def test_pauses_are_found():
    speech, silent = talker(SR, 6.0, 130.0, 3)
    spectrogram = stft(audio(speech + hum_and_hiss(SR, 6.0)), window_s=0.064)
    bands = Bands.of(spectrogram.n_bins, spectrogram.bin_hz)
    power = power_of(spectrogram.magnitude().T, bands)
    ratio = power / tracked(power, FRAME_S)
    quiet = find_pauses(power, (1 - 1 / np.maximum(ratio, 1)).astype(np.float32), FRAME_S)
    centres = np.minimum(np.arange(len(quiet)) * 256, len(silent) - 1)
    assert quiet.mean() > 0.05
    assert silent[centres][quiet].mean() > 0.7
    assert silent.mean() < 0.5
    cut = pauses_of(power, quiet)
    assert sum(map(len, cut)) == quiet.sum()
    np.testing.assert_array_equal(np.concatenate(cut), power[quiet])


def test_pauses_of_silence_and_of_a_single_frame():
    for n in (1, 2, 30):
        power = np.zeros((n, 8), dtype=np.float32)
        assert find_pauses(power, power, FRAME_S).any()


def test_floor_is_below_speech_and_follows_the_noise(rng):
    noise = rng.exponential(1.0, (600, 20)).astype(np.float32)
    noise[300:] *= 100.0
    noise[:, 3] *= 10.0
    spoken = noise.copy()
    spoken[100:140] *= 1000.0
    floor = noise_floor(spoken, FRAME_S)
    assert (floor >= 0).all()
    assert (floor[100:140].mean(axis=0) < 2 * noise[:300].mean(axis=0)).all()
    assert floor[500:].mean() / floor[:200].mean() > 30
    np.testing.assert_allclose(noise_floor(7 * spoken, FRAME_S), 7 * floor, rtol=1e-4)


def test_decision_directed_ratio_of_a_steady_sound():
    ratios = np.full((400, 3), 11.0, dtype=np.float32)
    np.testing.assert_allclose(decision_directed(ratios, FRAME_S)[-1], 10.0, rtol=0.15)
    assert not decision_directed(np.full((50, 3), 0.9, dtype=np.float32), FRAME_S)[-1].max() > 0.05


def test_evidence_is_the_same_at_any_level_of_both(rng):
    power = rng.exponential(1.0, (60, 30)).astype(np.float32)
    places = rng.integers(0, 60, 200), rng.integers(0, 30, 200)
    noise = np.ones((1, 30), dtype=np.float32)
    one = Evidence.of(power, noise, FRAME_S).at(*places)
    other = Evidence.of(power * 2**20, noise * 2**20, FRAME_S).at(*places)
    np.testing.assert_allclose(one, other, atol=1e-4)
    # The middle of the neighbourhood is the place itself.
    n_across = 7
    middle = one[:, 5 * n_across + 3]
    np.testing.assert_allclose(middle, np.log(power[places] + 0.01), rtol=1e-5)


def test_mixtures_have_the_share_and_level_they_should(rng):
    widths = np.ones(12, dtype=np.intp)
    material = Material(
        speech=[np.full((300, 12), 5.0, dtype=np.float32)],
        noise=[np.full((90, 12), 2.0, dtype=np.float32)],
        widths=widths,
        snr_db=10.0,
        snr_spread_db=0.0,
        noise_level_db=0.0,
        noise_colour_db=0.0,
        speech_colour_db=0.0,
    )
    drawn = [material.draw(rng, 200) for _ in range(20)]
    power = np.concatenate([p for p, _ in drawn])
    share = np.concatenate([s for _, s in drawn])
    assert power.shape == (20 * 200, 12)
    assert power.mean() == pytest.approx(22.0, rel=0.02)  # 2 of noise, 20 of speech
    assert (share * power).mean() == pytest.approx(20.0, rel=0.02)
    assert share.min() >= -0.5
    assert share.max() <= 1.5


def test_pitch_is_raised():
    centres = np.arange(100) * 20.0
    power = np.full((2, 100), 1e-6, dtype=np.float32)
    power[:, 40] = 1.0
    assert at_other_pitch(power, centres, 1.25)[0].argmax() == 50
    assert at_other_pitch(power, centres, 1.0) is power


def test_speech_goes_on_above_what_was_recorded():
    bands = Bands.of(1025, 48000 / 2048)
    speech = np.zeros((5, len(bands.centres_hz)), dtype=np.float32)
    speech[:, bands.centres_hz < 8000] = 1.0
    (talker_up,) = talkers_of([speech], bands, 8000.0, pitches=(1.0,))
    above = talker_up[:, bands.centres_hz > 8000]
    assert (above > 0).all()
    assert (np.diff(above[0]) < 0).all()
    np.testing.assert_array_equal(
        talker_up[:, bands.centres_hz < 7000], speech[:, bands.centres_hz < 7000]
    )


def test_an_example_takes_the_level_and_colour_of_the_recording(rng):
    there = rng.exponential(1.0, (400, 120)).astype(np.float32)
    colour = np.exp(np.linspace(0, 3, 120))
    (brought,) = aligned((there * colour).astype(np.float32), [100 * there[:250]], FRAME_S)
    np.testing.assert_allclose(brought.mean(axis=0) / colour, 1.0, atol=0.5)


def test_generic_noises_are_positive_and_differ(rng):
    widths = np.array([1] * 20 + [4] * 10)
    noises = generic_noises(rng, widths, 6, 40)
    assert len(noises) == 6
    assert all(n.shape == (40, 30) and np.isfinite(n).all() and (n >= 0).all() for n in noises)
    swings = [np.log(n.mean(axis=1) + 1e-9).std() for n in noises]
    assert max(swings) > 2 * min(swings)


def test_training_learns_what_speech_is(rng):
    """Speech in the lower half, noise in the upper: the shares are to say so."""
    speech = np.full((300, 16), 1e-4, dtype=np.float32)
    speech[:, :8] = rng.exponential(1.0, (300, 8))
    noise = np.full((300, 16), 1e-4, dtype=np.float32)
    noise[:, 8:] = rng.exponential(1.0, (300, 8))
    expected = noise.mean(axis=0, keepdims=True)
    material = Material(speech=[speech], noise=[noise], widths=np.ones(16, dtype=np.intp))
    seen = []
    trained = train_share(
        material, lambda _: expected, FRAME_S, seed=0, n_mixtures=10, progress=seen.append
    )
    share = trained.on(Evidence.of(speech + noise, expected, FRAME_S))
    assert share[:, :8].mean() > 0.9
    assert share[:, 8:].mean() < 0.1
    assert seen == sorted(seen)
    assert seen[-1] == pytest.approx(1.0)


def test_shipped_dictionary_sounds_like_several_talkers():
    speech = load_builtin("speech")
    assert speech.sources == ("speech",)
    assert "CC-BY-SA" in speech.provenance
    exemplars = speech.exemplars
    assert len(exemplars.lengths) >= 6
    energy = np.square(exemplars.frames.astype(float))
    hz = speech.frequencies_hz
    widths = np.gradient(hz)[:, np.newaxis]
    share = (energy * widths)[(hz > 80) & (hz < 4000)].sum() / (energy * widths).sum()
    assert share > 0.9
    assert hz[-1] == pytest.approx(8000.0, rel=0.03)


def test_same_seed_same_bytes():
    speech, noise, more = scene(seconds=2.0)
    mixture = (speech + noise).astype(np.float32)

    def stems(**settings):
        made = Separator(
            preset="speech", quality="fast", examples={"noise": audio(more)}, **settings
        ).separate(mixture, SR)
        return made.stems["speech"].samples

    first = stems(n_threads=1)
    np.testing.assert_array_equal(first, stems(n_threads=2))
    assert not np.array_equal(first, stems(n_threads=1, seed=1))


def test_examples_of_other_names_are_refused():
    with pytest.raises(UsageError, match="by-example"):
        model_speech(
            stft(audio(np.ones(4000)), window_s=0.064),
            MethodSettings(examples=(example(np.ones(4000), "dog"),)),
        )


def test_a_dictionary_of_patches_is_refused():
    with pytest.raises(DictionaryError, match="patches"):
        model_speech(
            stft(audio(hum_and_hiss(SR, 1.0)), window_s=0.064),
            MethodSettings(dictionary=load_builtin("drums")),
        )


def test_a_dictionary_of_templates_alone_will_do():
    speech = load_builtin("speech")
    bare = Dictionary(
        templates=speech.templates,
        frequencies_hz=speech.frequencies_hz,
        labels=speech.labels,
        provenance="",
    )
    voice, noise, more = scene()
    spectrogram = stft(audio(voice + noise), window_s=0.064)
    models = model_speech(
        spectrogram,
        MethodSettings(dictionary=bare, examples=(example(more, "noise"),), quality="fast"),
    )
    share = models.values[0, 0]
    power = np.abs(spectrogram.values[0]) ** 2
    true = np.abs(stft(audio(voice), window_s=0.064).values[0]) ** 2
    spoken = true.sum(axis=0) > np.median(true.sum(axis=0))
    kept = (share**2 * power).sum(axis=0) / power.sum(axis=0)
    assert kept[spoken].mean() > 2 * kept[~spoken].mean()


HARD = {
    "silence": np.zeros((1, 8000)),
    "one sample": np.ones((1, 1)),
    "constant": np.full((1, 8000), 0.5),
    "very quiet": 1e-12 * hum_and_hiss(SR, 0.5)[np.newaxis],
    "very loud": 1e12 * hum_and_hiss(SR, 0.5)[np.newaxis],
    "six channels": np.tile(hum_and_hiss(SR, 0.5), (6, 1)),
    "one channel dead": np.stack([hum_and_hiss(SR, 0.5), np.zeros(8000)]),
    "click": np.eye(1, 8000, 4000),
}


@pytest.mark.parametrize("name", HARD)
def test_hard_input(name):
    samples = HARD[name].astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        spectrogram = stft(Audio(samples=samples, sr=SR), window_s=load_preset("speech").window_s)
        models = model_speech(spectrogram, MethodSettings(quality="fast", n_threads=1))
    assert models.names == ("speech", "noise")
    assert models.shape == (2, 1, spectrogram.n_bins, spectrogram.n_frames)
    values = models.values
    assert np.isfinite(values).all()
    assert (values >= 0).all()
    assert np.allclose(values.sum(axis=0), 0 if name == "silence" else 1, atol=1e-5)


@pytest.mark.parametrize("sr", [8000, 44100, 96000])
def test_any_sample_rate(sr):
    speech, noise, more = scene(sr=sr, seconds=2.0)
    spectrogram = stft(audio(speech + noise, sr=sr), window_s=load_preset("speech").window_s)
    settings = MethodSettings(examples=(example(more, "noise", sr),), quality="fast")
    share = model_speech(spectrogram, settings).values[0, 0]
    power = [np.abs(stft(audio(x, sr=sr), window_s=0.064).values[0]) ** 2 for x in (speech, noise)]
    kept = [float((share * p).sum() / p.sum()) for p in power]
    assert kept[0] > 0.6
    assert kept[1] < 0.3


def test_an_example_that_is_silent_or_very_short():
    speech, noise, _ = scene(seconds=2.0)
    spectrogram = stft(audio(speech + noise), window_s=0.064)
    for samples in (noise[:800], 1e-9 * noise[:1600]):
        settings = MethodSettings(examples=(example(samples, "noise"),), quality="fast")
        share = model_speech(spectrogram, settings).values[0, 0]
        assert np.isfinite(share).all()
        assert 0.02 < share.mean() < 0.98
