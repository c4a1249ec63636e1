"""Small synthetic recordings whose stems are known; a mixture is the sum of its stems.

Every scene is a function of the sample rate and the duration in seconds and returns a dict from
names to float32 arrays (n_samples,), the same ones each time.
"""

from __future__ import annotations

import numpy as np


def time_axis(sr, duration):
    return np.arange(round(sr * duration)) / sr


def tone(t, hz, amplitudes=(1.0, 0.5, 0.33, 0.25, 0.2), sr=None):
    """A harmonic tone; partials above the Nyquist frequency are left out."""
    top = np.inf if sr is None else sr / 2
    parts = [
        a * np.sin(2 * np.pi * hz * n * t + n)
        for n, a in enumerate(amplitudes, start=1)
        if hz * n < top
    ]
    return np.sum(parts, axis=0) if parts else np.zeros_like(t)


def notes(sr, duration, hz, every, *, start=0.0, decay=0.0, length=None, amplitudes=None):
    """Tones at the pitches `hz` in turn, one each `every` seconds, from `start` on."""
    t = time_axis(sr, duration)
    out = np.zeros_like(t)
    length = every if length is None else length
    amplitudes = (1.0, 0.5, 0.33, 0.25, 0.2) if amplitudes is None else amplitudes
    for index, onset in enumerate(np.arange(start, duration, every)):
        since = t - onset
        on = (since >= 0) & (since < length)
        fade = np.clip(np.minimum(since[on], length - since[on]) / 0.01, 0, 1)
        pitch = hz[index % len(hz)]
        out[on] += fade * np.exp(-decay * since[on]) * tone(since[on], pitch, amplitudes, sr)
    return out


def hits(sr, duration, every, *, start=0.0, decay=60.0, seed=0):
    """Short bursts of noise."""
    rng = np.random.default_rng(seed)
    t = time_axis(sr, duration)
    out = np.zeros_like(t)
    for onset in np.arange(start, duration, every):
        since = t - onset
        on = since >= 0
        out[on] += np.exp(-decay * since[on]) * rng.standard_normal(int(on.sum()))
    return out


def tones_and_clicks(sr=16000, duration=2.0):
    """A held chord and a click every quarter of a second."""
    t = time_axis(sr, duration)
    tones = sum(tone(t, hz, (1.0, 0.4, 0.2), sr) for hz in (220.0, 277.2, 329.6))
    clicks = hits(sr, duration, 0.25, start=0.1, decay=250.0)
    return _stems(tones=0.15 * tones, clicks=1.2 * clicks)


def two_notes(sr=16000, duration=2.0):
    """Two notes of different timbre that overlap half of the time."""
    low = notes(sr, duration, (196.0,), 1.0, length=0.7, amplitudes=(1.0, 0.7, 0.5, 0.35, 0.25))
    high = notes(sr, duration, (740.0,), 1.0, start=0.45, length=0.5, amplitudes=(1.0, 0.1))
    return _stems(low=0.3 * low, high=0.3 * high)


def band(sr=16000, duration=4.0):
    """Bass notes, chords and drum-like bursts."""
    bass = notes(sr, duration, (55.0, 82.4, 65.4, 73.4), 0.5, decay=3.0, amplitudes=(1, 0.6, 0.3))
    chords = sum(
        notes(sr, duration, pitches, 1.0, decay=1.0)
        for pitches in ((261.6, 293.7), (329.6, 370.0), (392.0, 440.0))
    )
    drums = hits(sr, duration, 0.5, decay=50.0, seed=1) + 0.4 * hits(
        sr, duration, 0.25, start=0.125, decay=120.0, seed=2
    )
    return _stems(bass=0.3 * bass, chords=0.1 * chords, drums=0.3 * drums)


def silence(sr=16000, duration=1.0):
    return _stems(nothing=np.zeros(round(sr * duration)))


def mixture(stems):
    """Sum of the stems, (1, n_samples) float32."""
    return np.sum(list(stems.values()), axis=0, dtype=np.float32)[np.newaxis]


def _stems(**stems):
    return {name: np.asarray(samples, dtype=np.float32) for name, samples in stems.items()}
