"""A synthetic singer: partials of a gliding, trembling pitch under the formants of vowels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

VOWELS = {
    "a": ((750, 90), (1250, 110), (2600, 170), (3400, 250)),
    "e": ((480, 70), (1900, 120), (2600, 170), (3500, 250)),
    "i": ((300, 60), (2200, 120), (3000, 200), (3700, 250)),
    "o": ((460, 70), (850, 100), (2600, 170), (3300, 250)),
    "u": ((320, 60), (750, 100), (2500, 170), (3300, 250)),
}
"""Formants as (frequency, width) in Hz: rounded textbook values of a mezzo-soprano."""

CONSONANTS = {
    "": (0.0, 0, 0),
    "s": (0.09, 5500, 9000),
    "t": (0.03, 2500, 8000),
    "h": (0.06, 800, 4000),
}
"""Length in seconds and band in Hz of a burst of noise before a vowel."""

GLIDE_S = 0.05
VIBRATO_HZ = 5.6
VIBRATO_SEMITONES = 0.45
VIBRATO_AFTER_S = 0.25
TOP_HZ = 10000.0


@dataclass(frozen=True)
class Syllable:
    """One note that is sung."""

    start_s: float
    length_s: float
    pitch: int
    consonant: str
    vowel: str
    level: float = 1.0


def sing(syllables: list[Syllable], duration_s: float, sr: int, seed: int = 0) -> np.ndarray:
    """Sing syllables; float64 samples without a particular level."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(duration_s * sr)) / sr
    out = np.zeros_like(t)
    before: Syllable | None = None
    for syllable in syllables:
        tied = before is not None and syllable.start_s - before.start_s - before.length_s < 0.03
        first = round(syllable.start_s * sr)
        voiced = _vowel(syllable, before if tied else None, sr, rng)
        voiced = voiced[: len(out) - first]
        out[first : first + len(voiced)] += voiced
        noise = _consonant(syllable, sr, rng)
        begin = max(0, first - len(noise))
        out[begin:first] += noise[len(noise) - (first - begin) :]
        before = syllable
    return out


def _pitch(syllable: Syllable, before: Syllable | None, t: np.ndarray, rng) -> np.ndarray:
    """Frequency in Hz: a glide from the note before, then a vibrato that grows, and a drift."""
    start = syllable.pitch - 0.7 if before is None else before.pitch
    semitones = syllable.pitch + (start - syllable.pitch) * np.exp(-t / GLIDE_S)
    depth = VIBRATO_SEMITONES * np.clip((t - VIBRATO_AFTER_S) / 0.3, 0, 1)
    semitones = semitones + depth * np.sin(2 * np.pi * VIBRATO_HZ * t + rng.uniform(0, 6))
    drift = np.cumsum(rng.standard_normal(len(t))) / np.sqrt(len(t))
    return 440.0 * 2 ** ((semitones + 0.08 * drift - 69) / 12)


def _gain(hz: np.ndarray, formants) -> np.ndarray:
    """Sum of resonances; higher formants are weaker."""
    return sum(
        0.55**i / (1 + ((hz - centre) / width) ** 2) for i, (centre, width) in enumerate(formants)
    )


def _vowel(syllable: Syllable, before: Syllable | None, sr: int, rng) -> np.ndarray:
    t = np.arange(round(syllable.length_s * sr)) / sr
    hz = _pitch(syllable, before, t, rng)
    phase = 2 * np.pi * np.cumsum(hz) / sr
    old = VOWELS[syllable.vowel if before is None else before.vowel]
    new = VOWELS[syllable.vowel]
    blend = np.clip(t / 0.08, 0, 1)
    out = np.zeros_like(t)
    for k in range(1, int(TOP_HZ / hz.min()) + 1):
        gain = (1 - blend) * _gain(k * hz, old) + blend * _gain(k * hz, new)
        out += np.where(k * hz < 0.48 * sr, gain, 0) * k**-0.6 * np.sin(k * phase)
    breath = rng.standard_normal(len(t)) * 0.01
    attack = 0.03 if before is None else 0.015
    envelope = np.minimum(t / attack, 1) * np.minimum((syllable.length_s - t) / 0.05, 1)
    return syllable.level * np.clip(envelope, 0, 1) * (out + breath)


def _consonant(syllable: Syllable, sr: int, rng) -> np.ndarray:
    from scipy.signal import butter, sosfilt

    length_s, low, high = CONSONANTS[syllable.consonant]
    n = round(length_s * sr)
    if n == 0:
        return np.zeros(0)
    sos = butter(2, [low, min(high, 0.45 * sr)], "bandpass", fs=sr, output="sos")
    return 0.12 * syllable.level * sosfilt(sos, rng.standard_normal(n)) * np.hanning(n)
