"""Voice and accompaniment on a synthetic singer over a loop, and what must hold for any input."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scenes import hits, mixture, notes, silence, time_axis

import audiosep
from audiosep.melody import pitch_grid
from audiosep.methods import MethodSettings
from audiosep.methods._vocals_foreground import repeating_share, sparse_share
from audiosep.methods._vocals_mask import harmonic_combs
from audiosep.methods._vocals_stereo import place_odds
from audiosep.methods._vocals_voice import Track, least_movement, without_strays
from audiosep.methods._vocals_working import blocks, reduce
from audiosep.methods.vocals import model_vocals, vocals_estimate

WINDOW_S = 0.085
FORMANTS_HZ = ((700, 1100, 2500), (400, 2000, 2600), (500, 900, 2400))
VOWEL_S = 0.4


def sung_pitch(t):
    """Notes of 0.8 s with glides and vibrato, in Hz; 0 in the pauses."""
    steps = np.array([0, 4, 7, 5, 2, 0, -3, 2])
    position = t / 0.8
    index = position.astype(int) % len(steps)
    following = (index + 1) % len(steps)
    glide = np.clip((position % 1 - 0.85) / 0.15, 0, 1)
    semitones = steps[index] * (1 - glide) + steps[following] * glide
    pitch = 220 * 2 ** ((semitones + 0.5 * np.sin(2 * np.pi * 5.5 * t)) / 12)
    return np.where(t % 3.2 < 2.4, pitch, 0.0)


def formant_gain(hz, t):
    """Gain of the vowel that is sung at each moment, at each frequency."""
    vowel = np.array(FORMANTS_HZ)[(t / VOWEL_S).astype(int) % len(FORMANTS_HZ)]
    return sum(1 / (1 + ((hz - vowel[:, k]) / 120.0) ** 2) for k in range(3)) + 0.03


def singer(sr, duration):
    t = time_axis(sr, duration)
    pitch = sung_pitch(t)
    phase = 2 * np.pi * np.cumsum(pitch) / sr
    voice = np.zeros_like(t)
    for partial in range(1, 30):
        audible = (partial * pitch < 0.48 * sr) & (pitch > 0)
        gain = formant_gain(partial * pitch, t) / partial**0.5
        voice += np.where(audible, gain * np.sin(partial * phase), 0)
    syllable = 0.6 + 0.4 * np.cos(2 * np.pi * t / VOWEL_S)
    return voice * np.convolve((pitch > 0) * syllable, np.hanning(400) / 200, mode="same")


def loop(sr, duration):
    """Four chords and drums, repeated every two seconds."""
    chords = sum(
        notes(sr, duration, pitches, 0.5, decay=2.0)
        for pitches in ((261.6, 293.7, 349.2, 246.9), (329.6, 349.2, 440.0, 293.7))
    )
    bass = notes(sr, duration, (65.4, 73.4, 87.3, 61.7), 0.5, decay=3.0)
    return 0.5 * chords + bass + hits(sr, duration, 0.5, decay=50.0, seed=1)


@cache
def song(sr=16000, duration=6.4):
    voice, backing = singer(sr, duration), loop(sr, duration)
    voice *= np.sqrt(np.mean(backing**2) / np.mean(voice**2))
    return {
        "vocals": (0.1 * voice).astype(np.float32),
        "accompaniment": (0.1 * backing).astype(np.float32),
    }


def spectrogram_of(samples, sr=16000):
    samples = np.atleast_2d(np.asarray(samples, dtype=np.float32))
    return audiosep.stft(audiosep.Audio(samples=samples, sr=sr), window_s=WINDOW_S)


@cache
def estimate_of_song(sr=16000):
    return vocals_estimate(spectrogram_of(mixture(song(sr)), sr), MethodSettings())


def si_sdr(reference, estimate):
    part = (estimate @ reference) / (reference @ reference) * reference
    return 10 * np.log10((part @ part) / ((estimate - part) @ (estimate - part)))


def separated(sr=16000):
    spectrogram = spectrogram_of(mixture(song(sr)), sr)
    mask = estimate_of_song(sr).mask[np.newaxis]
    voice = audiosep.istft(spectrogram, mask=mask).samples[0]
    return {"vocals": voice, "accompaniment": mixture(song(sr))[0] - voice}


# Quality


@pytest.mark.parametrize("sr", [16000, 8000])
def test_voice_and_accompaniment_are_told_apart(sr):
    for name, estimate in separated(sr).items():
        assert si_sdr(song(sr)[name], estimate) > 12.5


def test_melody_is_within_50_cents():
    melody = estimate_of_song().melody
    truth = sung_pitch(melody.times_s)
    both = (truth > 0) & (melody.f0_hz > 0)
    cents = 1200 * np.log2(melody.f0_hz[both] / truth[both])
    assert np.mean(np.abs(cents) < 50) > 0.9
    assert both.sum() > 0.95 * (truth > 0).sum()
    assert np.mean(melody.f0_hz[truth == 0] == 0) > 0.9


def test_strengths_say_where_it_sings():
    melody = estimate_of_song().melody
    assert (melody.strengths[melody.f0_hz == 0] == 0).all()
    assert np.median(melody.strengths[melody.f0_hz > 0]) > 0.3


def test_pauses_stay_in_the_accompaniment():
    estimate = estimate_of_song().mask
    times = estimate_of_song().melody.times_s % 3.2
    pause = (times > 2.7) & (times < 3.0)
    assert estimate[:, pause].mean() < 0.2
    assert estimate[:, ~pause].mean() > 2 * estimate[:, pause].mean()


def test_a_voice_is_told_from_a_loop():
    alone = vocals_estimate(spectrogram_of(song()["accompaniment"]), MethodSettings())
    assert estimate_of_song().presence > 0.9
    assert alone.presence < 0.1


@pytest.mark.parametrize("around_s", [0.0, 0.3])
@pytest.mark.parametrize("sr", [16000, 22050, 44100, 48000])
def test_a_steady_tone_is_no_voice(sr, around_s):
    tone = 0.3 * np.sin(2 * np.pi * 440.0 * time_axis(sr, 1.5))
    samples = np.pad(tone, round(around_s * sr))
    assert vocals_estimate(spectrogram_of(samples, sr), MethodSettings()).presence < 0.5


def test_a_bass_in_a_pause_is_not_in_the_melody():
    sr = 16000
    voice = song()["vocals"]
    t = time_axis(sr, len(voice) / sr)
    # Slides and trembles, so that it is followed when nobody sings.
    pitch = 82.0 * 2 ** ((np.sin(2 * np.pi * 5.0 * t) + 2 * t) / 12 / 2)
    phase = 2 * np.pi * np.cumsum(pitch) / sr
    bass = sum(np.sin(h * phase) / h for h in range(1, 12))
    bass *= np.convolve(t % 3.2 > 2.45, np.hanning(400) / 200, mode="same")
    estimate = vocals_estimate(spectrogram_of(voice + 0.1 * bass), MethodSettings())
    sung = estimate.melody.f0_hz[estimate.melody.f0_hz > 0]
    assert sung.size > 0.5 * estimate.melody.f0_hz.size
    assert sung.min() > 120.0


def test_a_place_between_the_channels_helps():
    """The loop is wide here: the same parts, but with chords and drums out of the middle."""
    backing, voice = song()["accompaniment"], song()["vocals"]
    wide = np.stack([backing, 0.2 * backing])
    both = spectrogram_of(wide + voice)
    errors = []
    for spectrogram in (both, spectrogram_of((wide + voice).mean(axis=0))):
        mask = vocals_estimate(spectrogram, MethodSettings()).mask[np.newaxis]
        errors.append(si_sdr(voice, audiosep.istft(spectrogram, mask=mask).samples.mean(axis=0)))
    assert errors[0] > errors[1] + 1.0


# What the method returns


def test_masks_share_out_the_mixture():
    models = model_vocals(spectrogram_of(mixture(song())), MethodSettings())
    assert models.names == ("vocals", "accompaniment")
    assert models.values.dtype == np.float32
    assert models.values.min() >= 0.0
    np.testing.assert_allclose(models.values.sum(axis=0), 1.0, atol=1e-6)
    assert models.melody is not None
    assert len(models.melody.times_s) == models.values.shape[-1]
    np.testing.assert_array_equal(models.values[0, 0], estimate_of_song().mask)


def test_progress_runs_from_zero_to_one():
    seen = []
    short = spectrogram_of(mixture(song())[:, :16000])
    model_vocals(short, MethodSettings(max_iter=1), lambda stage, part: seen.append((stage, part)))
    parts = [part for _, part in seen]
    assert {stage for stage, _ in seen} == {"separate"}
    assert (parts[0], parts[-1]) == (0.0, 1.0)
    assert parts == sorted(parts)


def test_the_level_does_not_matter():
    loud = vocals_estimate(spectrogram_of(mixture(song()) * np.float32(2.0**30)), MethodSettings())
    np.testing.assert_allclose(loud.mask, estimate_of_song().mask, atol=2e-3)
    np.testing.assert_array_equal(loud.melody.f0_hz, estimate_of_song().melody.f0_hz)


def test_polarity_and_order_of_channels_do_not_matter():
    x = mixture(song())[0, :48000]
    y = np.roll(x, 7) * np.float32(0.5)
    one, other = (
        vocals_estimate(spectrogram_of(np.stack(channels)), MethodSettings()).mask
        for channels in ((x, y), (-y, -x))
    )
    np.testing.assert_allclose(one, other, atol=1e-2)


HOSTILE = {
    "one sample": (np.ones((1, 1)), 16000),
    "one second": (song()["vocals"][:16000], 16000),
    "silence": (mixture(silence()), 16000),
    "no voice": (hits(16000, 1.0, 0.25), 16000),
    "constant": (np.ones((1, 8000)), 8000),
    "very quiet": (song()["vocals"][:16000] * 1e-12, 16000),
    "very loud": (song()["vocals"][:16000] * 1e12, 16000),
    "low rate": (np.sin(np.arange(500.0)), 100),
    "high rate": (np.sin(0.02 * np.arange(48000.0)), 96000),
    "many channels": (np.random.default_rng(0).standard_normal((9, 8000)), 8000),
    "opposite channels": (np.array([[1.0], [-1.0]]) * song()["vocals"][:16000], 16000),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_input_gives_sensible_masks(name):
    spectrogram = spectrogram_of(*HOSTILE[name])
    models = model_vocals(spectrogram, MethodSettings(max_iter=3))
    assert models.values.shape == (2, 1, *spectrogram.values.shape[1:])
    assert np.isfinite(models.values).all()
    assert models.values.min() >= 0.0
    assert models.values.max() <= 1.0
    assert len(models.notes) == 1


def test_no_voice_gives_a_nearly_silent_stem():
    models = model_vocals(spectrogram_of(hits(16000, 3.0, 0.25)), MethodSettings())
    assert models.values[0].max() < 0.05
    assert models.notes[0].startswith("No voice was found")
    assert models.melody is not None
    assert not models.melody.f0_hz.any()


def test_same_seed_same_bytes():
    short = spectrogram_of(mixture(song())[:, :32000])
    one, two = (vocals_estimate(short, MethodSettings(seed=3)) for _ in range(2))
    assert one.mask.tobytes() == two.mask.tobytes()
    assert one.presence == two.presence


def test_notes_are_sentences_about_a_voice():
    (note,) = estimate_of_song().notes
    assert note.startswith("A voice is heard in ")
    assert note.endswith(").")


# The parts


def naive_least_movement(path, slack):
    """Try all curves: the cheapest way to each position, frame by frame."""
    positions = np.arange(min(path) - slack, max(path) + slack + 1)
    costs = np.where(np.abs(positions - path[0]) <= slack, 0.0, np.inf)
    steps = np.abs(positions[:, np.newaxis] - positions)
    for place in path[1:]:
        costs = (costs + steps).min(axis=1)
        costs[np.abs(positions - place) > slack] = np.inf
    return costs.min()


@given(st.lists(st.integers(0, 12), min_size=1, max_size=20), st.integers(0, 3))
def test_no_curve_near_the_path_moves_less(path, slack):
    assert least_movement(np.array(path), slack) == naive_least_movement(path, slack)


def test_contours_far_below_what_is_sung_around_are_left_out():
    # Candidates are 25 cents apart: 60 of them are 15 semitones, 36 are 9; what is far above stays.
    path = np.repeat([100, 40, 100, 160, 100, 64, 100], 50)
    voiced = np.ones(path.size, dtype=bool)
    voiced[:20] = False
    track = Track(path=path, salience=np.ones(path.size), pitches_hz=pitch_grid())
    kept = without_strays(track, voiced, 0.02)
    np.testing.assert_array_equal(kept, voiced & (path != 40))


def test_a_second_voice_is_kept_where_it_sings_alone():
    path = np.repeat([100, 40], 1000)
    voiced = np.ones(path.size, dtype=bool)
    track = Track(path=path, salience=np.ones(path.size), pitches_hz=pitch_grid())
    assert without_strays(track, voiced, 0.02).all()


def test_what_repeats_is_background(rng):
    pattern = rng.random((20, 10)).astype(np.float32)
    V = np.tile(pattern, 8)
    V[5, 33] += 0.5
    background = repeating_share(V, 5, 8)
    others = np.delete(background.ravel(), 5 * 80 + 33)
    np.testing.assert_allclose(others, 1.0, atol=1e-5)
    assert background[5, 33] == pytest.approx(pattern[5, 3] / V[5, 33], rel=1e-4)


@given(st.integers(1, 12), st.integers(1, 30), st.integers(1, 25), st.integers(1, 9))
def test_background_is_a_share(n_bins, n_frames, most, apart):
    V = np.random.default_rng(n_bins).random((n_bins, n_frames)).astype(np.float32)
    background = repeating_share(V, most, apart)
    assert background.shape == V.shape
    assert background.min() >= 0.0
    assert background.max() <= 1.0 + 1e-6


def naive_sparse(V, n_iter=15):
    """Inexact augmented Lagrange multipliers with a full decomposition, in float64."""
    M = V / V.max()
    weight = 1 / np.sqrt(max(M.shape))
    spectral = np.linalg.norm(M, 2)
    Y, penalty, S = M / max(spectral, 1 / weight), 1.25 / spectral, np.zeros_like(M)
    for _ in range(n_iter):
        U, values, Vt = np.linalg.svd(M - S + Y / penalty, full_matrices=False)
        L = U @ np.diag(np.maximum(values - 1 / penalty, 0)) @ Vt
        rest = M - L + Y / penalty
        S = np.sign(rest) * np.maximum(np.abs(rest) - weight / penalty, 0)
        error = M - L - S
        Y, penalty = Y + penalty * error, penalty * 1.5
        if np.linalg.norm(error) < 1e-4 * np.linalg.norm(M):
            break
    return np.abs(S) / (np.abs(S) + np.abs(L))


@pytest.mark.parametrize("shape", [(12, 30), (30, 12)])
def test_sparse_share_is_that_of_a_full_decomposition(rng, shape):
    V = rng.random((shape[0], 2)) @ rng.random((2, shape[1]))
    V[rng.random(shape) < 0.1] += 2.0
    ours, twin = sparse_share(V.astype(np.float32)), naive_sparse(V)
    assert np.abs(ours - twin).max() < 0.02
    assert sparse_share(np.zeros(shape, dtype=np.float32)).max() == 0.0


def test_combs_have_their_partials_where_they_belong():
    combs = harmonic_combs(pitch_grid(200.0, 400.0, 1200.0), 129, 31.25)
    assert combs.shape == (129, 3)
    np.testing.assert_allclose(combs.mean(axis=0), 1.0, rtol=1e-5)
    assert combs[:, 2].min() == combs[:, 2].max()
    peaks = [round(200.0 * h / 31.25) for h in range(1, 6)]
    assert all(combs[peak, 0] > combs[peak + 3, 0] for peak in peaks)
    assert all(combs[a, 0] > combs[b, 0] for a, b in pairwise(peaks))


@given(st.integers(1, 500), st.integers(1, 90), st.integers(0, 40))
def test_fades_of_blocks_sum_to_one(n_frames, length, overlap):
    total = np.zeros(n_frames)
    for first, last, weights in blocks((0, n_frames), length, overlap):
        assert 0 <= first < last <= n_frames
        total[first:last] += weights
    np.testing.assert_allclose(total, 1.0, atol=1e-6)


@pytest.mark.parametrize("sr", [8000, 16000, 44100, 96000])
def test_the_search_ends_at_8_khz(sr):
    x = np.random.default_rng(0).standard_normal((2, sr // 2))
    working = reduce(spectrogram_of(x, sr))
    top = (working.V.shape[0] - 1) * working.bin_hz
    assert top <= 9000.0
    assert top >= min(sr / 2, 8000.0)
    n_frames = working.V.shape[1]
    again, _ = working.frames(working.signal(0, n_frames))
    middle = slice(4, n_frames - 4)
    error = again.T[:-8, middle] - working.V[:-8, middle]
    assert np.linalg.norm(error) < 0.02 * np.linalg.norm(working.V[:-8, middle])


def test_equal_channels_say_nothing_about_places(rng):
    x = rng.standard_normal((9, 7)) + 1j * rng.standard_normal((9, 7))
    share = rng.random((9, 7)).astype(np.float32)
    odds = place_odds(np.stack([x, 0.5 * x]).astype(np.complex64), 1.0, share, 500.0)
    np.testing.assert_allclose(odds, 0.0, atol=1e-5)


def test_places_tell_a_side_from_the_middle(rng):
    x = rng.standard_normal((20, 50)) + 1j * rng.standard_normal((20, 50))
    voice = rng.random((20, 50)) < 0.5
    channels = np.stack([x, np.where(voice, x, 0.1 * x)]).astype(np.complex64)
    guess = np.where(voice, 0.6, 0.4).astype(np.float32)
    odds = place_odds(channels, float(np.abs(x).max()), guess, 100.0)
    assert odds[voice].min() > 0.3
    assert odds[~voice].max() < -0.3
