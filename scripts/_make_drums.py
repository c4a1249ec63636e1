"""Patches of drum pieces: audiosep/data/drums.safetensors, made by make_dictionaries.py.

Each patch is the mean over several one-shots of one piece, synthesised here or read from the Rumpf
kit. A sound counts only if its content is that of its piece (``content_fits``): names of files and
of folders have been wrong.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import scipy.signal
from _drum_sounds import RUMPF, SR, Signal, band, fall, metal, read_mono, shares, swept, times

from audiosep.dictionaries import Dictionary
from audiosep.transform import stft_frames

N_FFT = 2048
HOP = 512
N_TAPS = 30
LINEAR_TO_HZ = 2000.0
BANDS_PER_OCTAVE = 24
TOP_HZ = 20000.0
ONSET = 0.02  # of the peak: where a sound begins

PROVENANCE = (
    "Synthesised by scripts/_make_drums.py (part of audiosep, MIT); Rumpf kit z01 by Emanuel "
    "Rumpf (CC-BY 3.0). Details in audiosep/data/README.md."
)

RUMPF_SOUNDS = {
    "kick": ("06-31", "06-32", "06-38", "06-46", "07-16", "07-18", "07-20", "07-21"),
    "snare": ("01-21", "01-23", "01-30", "01-34", "01-42", "06-25", "06-29", "06-42", "08-10"),
    "hihat": ("01-28", "01-29", "03-10", "05-10", "05-11", "05-12", "06-28", "07-15", "09-10"),
    "cymbal": ("02-13", "06-21"),
}
"""Sounds of the kit by piece, as heard; their content is checked like that of all others."""


def kicks(rng: np.random.Generator) -> list[Signal]:
    """Drum heads whose pitch falls, from short and clicking to long and round."""
    out = []
    for end_hz in (42, 48, 54, 60, 66, 72):
        for decay_s in (0.25, 0.45):
            t = times(0.6)
            body = swept(t, rng.uniform(90, 220), end_hz, rng.uniform(0.01, 0.04))
            beater = band(rng.standard_normal(len(t)), 400, 4000) * fall(t, 0.02)
            room = band(rng.standard_normal(len(t)), 60, 900) * fall(t, 0.6 * decay_s)
            mix = body * fall(t, decay_s) + rng.uniform(0.03, 0.15) * beater
            out.append(mix + rng.uniform(0.02, 0.1) * room)
    return out


def snares(rng: np.random.Generator) -> list[Signal]:
    """Two modes of a head under the hiss of wires, which falls towards high frequencies."""
    out = []
    for tone_hz in (165, 185, 205, 230):
        for decay_s in (0.18, 0.26, 0.36):
            t = times(0.6)
            head = swept(t, 1.2 * tone_hz, tone_hz, 0.02) * fall(t, 0.6 * decay_s)
            head += 0.6 * swept(t, 2.0 * tone_hz, 1.72 * tone_hz, 0.02) * fall(t, 0.4 * decay_s)
            noise = rng.standard_normal(len(t))
            hiss = band(noise, 350, 2200) + 0.3 * band(noise, 2000, rng.uniform(6000, 10000))
            out.append(head + rng.uniform(1.0, 1.8) * hiss * fall(t, decay_s))
    return out


def hihats(rng: np.random.Generator) -> list[Signal]:
    return [
        metal(rng, decay_s, low_hz, noise)
        for decay_s in (0.08, 0.12, 0.2, 0.4)
        for low_hz in (3500, 5500)
        for noise in (0.2, 0.6)
    ]


def toms(rng: np.random.Generator) -> list[Signal]:
    """Two modes that drop a little and ring, with the touch of a stick."""
    out = []
    for hz in (85, 100, 118, 140, 165, 195):
        for decay_s in (0.45, 0.8):
            t = times(0.9)
            head = swept(t, 1.3 * hz, hz, 0.04) * fall(t, decay_s)
            head += 0.35 * swept(t, 2.0 * hz, 1.6 * hz, 0.04) * fall(t, 0.5 * decay_s)
            stick = band(rng.standard_normal(len(t)), 300, 5000) * fall(t, 0.03)
            out.append(head + rng.uniform(0.1, 0.3) * stick)
    return out


def cymbals(rng: np.random.Generator) -> list[Signal]:
    """Dense inharmonic partials and noise that last seconds; crashes bloom, rides ping."""
    out = []
    for decay_s in (1.5, 3.0):
        for low_hz in (350, 700):
            for attack_s in (0.001, 0.012):
                t = times(1.2)
                partials = low_hz * 2 ** rng.uniform(0, 4.5, 60)
                ringing = np.sin(2 * np.pi * np.outer(partials, t) + rng.uniform(0, 6, (60, 1)))
                wash = band(rng.standard_normal(len(t)), 1500, 15000)
                mix = ringing.mean(axis=0) + 0.4 * wash
                out.append(mix * fall(t, decay_s, attack_s))
    return out


SYNTHESISED = {
    "kick": kicks,
    "snare": snares,
    "hihat": hihats,
    "tom": toms,
    "cymbal": cymbals,
}


def seconds_to_fall(sound: Signal, db: float) -> float:
    """Time from the peak of the level until it stays `db` below."""
    length = int(0.02 * SR)
    level = np.sqrt(scipy.signal.fftconvolve(sound**2, np.ones(length) / length).clip(0))
    above = np.flatnonzero(level > level.max() * 10 ** (-db / 20))
    return float(above[-1] - level.argmax()) / SR


def content_fits(piece: str, sound: Signal) -> bool:
    """Whether a sound is what it is called, by where its magnitude lies and how long it lasts."""
    low, high = shares(sound)
    if piece == "kick":
        return low > 0.5 and high < 0.22 and seconds_to_fall(sound, 20) < 0.35
    if piece == "snare":
        return low < 0.35 and 0.2 < high < 0.65 and seconds_to_fall(sound, 20) < 0.3
    if piece == "hihat":
        return high > 0.6 and low < 0.1 and seconds_to_fall(sound, 20) < 0.4
    if piece == "tom":
        return high < 0.3 and 0.1 < low < 0.85 and seconds_to_fall(sound, 20) > 0.08
    if piece == "cymbal":
        return high > 0.5 and low < 0.1 and seconds_to_fall(sound, 20) > 0.25
    raise ValueError(piece)


def begun(sound: Signal) -> Signal:
    start = int(np.argmax(np.abs(sound) > ONSET * np.abs(sound).max()))
    return sound[start:] / np.abs(sound).max()


def patch_of(sound: Signal) -> Signal:
    """Magnitudes (n_bins, N_TAPS) from the frame before the largest rise on; they sum to one."""
    samples = np.pad(begun(sound), (2 * N_FFT, (N_TAPS + 8) * HOP))
    frames = np.abs(stft_frames(samples, 0, 1 + len(samples) // HOP, n_fft=N_FFT, hop_length=HOP))
    rise = int(np.argmax(np.diff(frames.sum(axis=1))))
    patch = frames[rise : rise + N_TAPS].T
    return patch / patch.sum()


def band_axis() -> tuple[Signal, Signal]:
    """Centres of the bands in hertz and, per bin, the band it belongs to (-1: none)."""
    bins = np.arange(1 + N_FFT // 2) * SR / N_FFT
    linear = bins[bins <= LINEAR_TO_HZ]
    n_log = int(BANDS_PER_OCTAVE * np.log2(TOP_HZ / LINEAR_TO_HZ))
    logarithmic = linear[-1] * 2 ** (np.arange(1, n_log + 1) / BANDS_PER_OCTAVE)
    centres = np.concatenate([linear, logarithmic])
    edges = np.concatenate([[-1.0], (centres[1:] + centres[:-1]) / 2, [TOP_HZ]])
    return centres, np.where(bins < TOP_HZ, np.searchsorted(edges, bins) - 1, -1)


def drum_sounds(root: Path) -> dict[str, list[Signal]]:
    """All one-shots of every piece; ends the script where one is not what it is called."""
    rng = np.random.default_rng(1)
    sounds = {piece: make(rng) for piece, make in SYNTHESISED.items()}
    for piece, names in RUMPF_SOUNDS.items():
        sounds[piece] += [begun(read_mono(root / RUMPF / f"beats_{name}.flac")) for name in names]
    for piece, found in sounds.items():
        wrong = [i for i, sound in enumerate(found) if not content_fits(piece, sound)]
        if wrong:
            sys.exit(f"sounds {wrong} of {len(found)} do not sound like a {piece}")
    return sounds


def drum_patches(root: Path) -> Dictionary:
    """Learn one patch per piece."""
    centres, band_of_bin = band_axis()
    counts = np.bincount(band_of_bin[band_of_bin >= 0], minlength=len(centres))
    sounds = drum_sounds(root)
    patches = np.zeros((len(centres), len(sounds), N_TAPS))
    for index, found in enumerate(sounds.values()):
        mean = np.mean([patch_of(sound) for sound in found], axis=0)
        np.add.at(patches[:, index], band_of_bin[band_of_bin >= 0], mean[band_of_bin >= 0])
    return Dictionary(
        templates=(patches / counts[:, np.newaxis, np.newaxis]).astype(np.float32),
        frequencies_hz=centres,
        labels=tuple(sounds),
        provenance=PROVENANCE,
        step_s=HOP / SR,
    )
