"""Drum sounds for the dictionaries: synthesised, read from a kit, and told apart by content."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import scipy.signal
import soundfile as sf

SR = 44100

RUMPF = Path("usr/share/hydrogen/data/drumkits/rumpf_kit_z01_h2")

Signal = np.ndarray
Sounds = dict[str, list[Signal]]


def times(seconds: float) -> Signal:
    return np.arange(int(seconds * SR)) / SR


def fall(t: Signal, decay_s: float, attack_s: float = 0.001) -> Signal:
    """Envelope that rises in `attack_s` and has fallen by 60 dB after `decay_s`."""
    return np.minimum(t / attack_s, 1.0) * np.exp(-6.9 * t / decay_s)


def band(noise: Signal, low_hz: float, high_hz: float) -> Signal:
    high_hz = min(high_hz, 0.49 * SR)
    sos = scipy.signal.butter(2, [low_hz, high_hz], "bandpass", fs=SR, output="sos")
    return scipy.signal.sosfilt(sos, noise)


def swept(t: Signal, start_hz: float, end_hz: float, sweep_s: float) -> Signal:
    """Sine whose frequency falls exponentially from `start_hz` to `end_hz`."""
    frequency = end_hz + (start_hz - end_hz) * np.exp(-t / sweep_s)
    return np.sin(2 * np.pi * np.cumsum(frequency) / SR)


def kick(rng: np.random.Generator, end_hz: float, decay_s: float, *, drive: float) -> Signal:
    t = times(decay_s)
    body = swept(t, rng.uniform(120, 380), end_hz, rng.uniform(0.008, 0.05)) * fall(t, decay_s)
    click = band(rng.standard_normal(len(t)), 800, 6000) * fall(t, rng.uniform(0.01, 0.03))
    return np.tanh(drive * body) / np.tanh(drive) + rng.uniform(0.0, 0.25) * click


def snare(rng: np.random.Generator, tone_hz: float, decay_s: float, noise: float) -> Signal:
    t = times(decay_s)
    tone = swept(t, 1.6 * tone_hz, tone_hz, 0.01) * fall(t, 0.6 * decay_s)
    tone += 0.5 * swept(t, 2.2 * tone_hz, 1.7 * tone_hz, 0.01) * fall(t, 0.4 * decay_s)
    hiss = band(rng.standard_normal(len(t)), rng.uniform(300, 1500), rng.uniform(7000, 15000))
    return tone + noise * hiss * fall(t, decay_s)


def clap(rng: np.random.Generator, centre_hz: float, decay_s: float) -> Signal:
    t = times(decay_s + 0.04)
    bursts = sum((t >= at) * np.exp(-np.maximum(t - at, 0) / 0.006) for at in (0, 0.011, 0.023))
    tail = (t >= 0.033) * np.exp(-6.9 * np.maximum(t - 0.033, 0) / decay_s)
    noise = band(rng.standard_normal(len(t)), 0.6 * centre_hz, 3 * centre_hz)
    return noise * (bursts + tail)


def metal(rng: np.random.Generator, decay_s: float, low_hz: float, noise: float) -> Signal:
    """Hi-hat or cymbal: six square waves out of tune with each other, and noise."""
    t = times(max(decay_s, 0.15))
    ratios = np.array([205.3, 304.4, 369.6, 522.7, 540.0, 800.0]) * rng.uniform(0.9, 1.6)
    squares = sum(np.sign(np.sin(2 * np.pi * f * t + rng.uniform(0, 6))) for f in ratios)
    mix = squares / 6 + noise * rng.standard_normal(len(t))
    sos = scipy.signal.butter(4, low_hz, "highpass", fs=SR, output="sos")
    return scipy.signal.sosfilt(sos, mix) * fall(t, decay_s)


def tones(rng: np.random.Generator, hz: tuple[float, ...], decay_s: float, drop: float) -> Signal:
    """Tom, conga, rim or cowbell: a few partials that may drop in pitch."""
    t = times(decay_s)
    out = sum(swept(t, drop * f, f, 0.03) * fall(t, decay_s * (0.8**i)) for i, f in enumerate(hz))
    return out + 0.1 * rng.standard_normal(len(t)) * fall(t, 0.02)


def synthetic_drums(rng: np.random.Generator) -> Sounds:
    ends = (35, 40, 45, 50, 55, 60, 70, 80)
    lengths = (0.12, 0.2, 0.35, 0.6, 1.0)
    kicks = [kick(rng, end, lengths[i % 5], drive=1 + i % 3) for i, end in enumerate(ends * 3)]
    hats = [
        metal(rng, d, low, n) for d in (0.04, 0.08, 0.3) for low in (5000, 8000) for n in (0.1, 0.7)
    ]
    rest = [snare(rng, f, d, n) for f in (160, 190, 230) for d in (0.15, 0.3) for n in (0.7, 2.0)]
    rest += [clap(rng, f, d) for f in (800, 1200) for d in (0.1, 0.25)]
    rest += [metal(rng, d, low, 0.6) for d in (1.0, 2.0) for low in (1500, 3000)]
    rest += [tones(rng, (f, 1.6 * f), 0.4, 1.5) for f in (75, 95, 120, 160, 220, 300)]
    rest += [tones(rng, (540, 800), 0.25, 1.0), tones(rng, (1700, 800, 2400), 0.05, 1.0)]
    rest += [
        band(rng.standard_normal(SR // 8), f, 2 * f) * fall(times(0.125), 0.1) for f in (3000, 5000)
    ]
    return {"kick": kicks, "hat": hats, "drum": rest}


def read_mono(path: Path) -> Signal:
    samples, sr = sf.read(path, always_2d=True)
    common = np.gcd(sr, SR)
    return scipy.signal.resample_poly(samples.mean(axis=1), SR // common, sr // common)


def shares(sound: Signal) -> tuple[float, float]:
    """Shares of magnitude below 200 Hz and above 2 kHz in the first 116 ms."""
    start = int(np.argmax(np.abs(sound) > 0.02 * np.abs(sound).max()))
    head = sound[start : start + int(0.116 * SR)]
    _, _, spectrum = scipy.signal.stft(np.pad(head, (0, 2048)), SR, nperseg=2048, noverlap=1536)
    profile = np.abs(spectrum).sum(axis=1)
    frequency = np.linspace(0, SR / 2, len(profile))
    total = profile.sum()
    return profile[frequency < 200].sum() / total, profile[frequency > 2000].sum() / total


def kind_of(sound: Signal) -> str:
    """Tell kick, hat and the rest of the drums apart by content."""
    low, high = shares(sound)
    if low > 0.5 and high < 0.25:
        return "kick"
    return "hat" if high > 0.6 and low < 0.1 else "drum"


def rumpf_drums(root: Path) -> Sounds:
    found: Sounds = {"kick": [], "hat": [], "drum": []}
    for path in sorted((root / RUMPF).glob("*.flac")):
        sound = read_mono(path)
        if 0.03 * SR < len(sound) < 2.7 * SR and np.abs(sound).max() > 0.01:
            found[kind_of(sound)].append(sound)
    return found


def by_content(*sets: Sounds) -> Sounds:
    """Sort drum sounds by what they are, whatever they are called."""
    sorted_sounds: Sounds = {"kick": [], "hat": [], "drum": []}
    for sounds in sets:
        for sound in (s for group in sounds.values() for s in group):
            sorted_sounds[kind_of(sound)].append(sound)
    return sorted_sounds


def check_synthesis(drums: Sounds) -> None:
    for kind, least in (("kick", 15), ("hat", 10)):
        right = sum(kind_of(sound) == kind for sound in drums[kind])
        if right < least:
            sys.exit(f"only {right} of {len(drums[kind])} synthetic {kind}s sound like one")
