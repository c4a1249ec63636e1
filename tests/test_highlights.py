"""The busiest part of a recording: where most happens, at whatever level, in constant memory."""

from __future__ import annotations

import files
import numpy as np
import pytest

from audiosep import Audio
from audiosep.highlights import busiest_part
from audiosep.loading import load_tape

SR = 8000


def scene(strokes_at, *, seconds=60, hum=0.05, seed=0):
    """Noise strokes at some seconds over a quiet hum."""
    rng = np.random.default_rng(seed)
    t = np.arange(seconds * SR) / SR
    samples = hum * np.sin(2 * np.pi * 110 * t)
    for at in strokes_at:
        first = round(at * SR)
        n = min(800, len(samples) - first)
        samples[first : first + n] += rng.uniform(-0.4, 0.4, n) * np.exp(-np.arange(n) / 200)
    return Audio(samples=samples[np.newaxis].astype(np.float32), sr=SR)


BUSY = np.arange(31, 39, 0.25)


def test_it_is_where_strokes_are_dense():
    start_s, end_s = busiest_part(scene([5, 15, 50, *BUSY]), 10.0)
    assert end_s == start_s + 10.0
    assert start_s == int(start_s)
    assert 28 <= start_s <= 32


def test_a_loud_held_tone_is_less_busy_than_strokes():
    audio = scene(BUSY)
    samples = audio.samples.copy()
    t = np.arange(10 * SR) / SR
    samples[0, : 10 * SR] += np.float32(0.5) * np.sin(2 * np.pi * 220 * t).astype(np.float32)
    start_s, _ = busiest_part(Audio(samples=samples, sr=SR), 10.0)
    assert 28 <= start_s <= 32


@pytest.mark.parametrize("gain", [2.0**-12, 0.37, 2.0])
def test_the_level_decides_nothing(gain):
    audio = scene([3, *BUSY])
    other = Audio(samples=np.float32(gain) * audio.samples, sr=SR)
    assert busiest_part(other, 10.0) == busiest_part(audio, 10.0)


def test_channels_that_cancel_are_heard():
    audio = scene(BUSY)
    both = Audio(samples=np.concatenate([audio.samples, -audio.samples]), sr=SR)
    assert busiest_part(both, 10.0) == busiest_part(audio, 10.0)


@pytest.mark.parametrize("n_samples", [1, SR, 10 * SR])
def test_what_is_short_is_taken_whole(n_samples):
    audio = Audio(samples=files.noise(n_samples, 1), sr=SR)
    assert busiest_part(audio, 10.0) == (0.0, n_samples / SR)


def test_of_silence_the_beginning():
    silence = Audio(samples=np.zeros((2, 20 * SR), dtype=np.float32), sr=SR)
    assert busiest_part(silence, 10.0) == (0.0, 10.0)


def test_it_never_ends_behind_the_recording():
    n = 25 * SR + 4000
    samples = np.zeros((1, n), dtype=np.float32)
    samples[0, -SR:] = files.noise(SR, 1)
    start_s, end_s = busiest_part(Audio(samples=samples, sr=SR), 10.0)
    assert start_s == 15.0
    assert end_s <= n / SR


def test_a_long_file_is_read_in_blocks(tmp_path):
    sr = 100  # minutes in a small file
    samples = np.zeros((1, 1000 * sr), dtype=np.float32)
    samples[0, 700 * sr : 705 * sr] = files.noise(5 * sr, 1)
    path = files.write_sound(tmp_path / "long.wav", samples, sr)
    tape = load_tape(path, None, start=0.0, duration=None).tape
    assert not isinstance(tape, Audio)
    asked = []
    part = tape.part
    tape.part = lambda first, last: asked.append(last - first) or part(first, last)
    start_s, _ = busiest_part(tape, 20.0)
    assert 685 <= start_s <= 700
    assert max(asked) <= 256 * 32
    assert sum(asked) == tape.n_samples
