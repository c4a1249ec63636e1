r"""Learn the dictionaries of the package: audiosep/data/*.safetensors.

Sounds are synthesised here, taken from freely licensed Debian packages and rendered from another,
checked by their content (never by their names), and reduced to a few spectral templates
per kind of sound. audiosep/data/README.md lists the sources and their licences.

    apt-get install --no-install-recommends \
        fluidsynth fluid-soundfont-gm hydrogen-drumkits sonic-pi-samples \
        asterisk-core-sounds-fr-g722 asterisk-core-sounds-it-g722 ffmpeg flite
    pip install mido
    python scripts/make_dictionaries.py --out audiosep/data

The same packages give the same files on the same machine; elsewhere rounding may differ.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import scipy.signal
from _drum_sounds import (
    RUMPF,
    SR,
    Signal,
    Sounds,
    by_content,
    check_synthesis,
    fall,
    read_mono,
    rumpf_drums,
    synthetic_drums,
    times,
)
from _make_drums import drum_patches
from _make_speech import speech_dictionary

from audiosep.dictionaries import Dictionary
from audiosep.dictionary_files import save_dictionary
from audiosep.nmf import factorize
from audiosep.transform import stft_frames

N_FFT = 4096
HOP = 1024
MAX_FRAMES_PER_SOUND = 1200
MAX_FRAMES = 4000
QUIET = 0.1  # frames below this share of the loudest one are left out
LINEAR_TO_HZ = 2000.0
BANDS_PER_OCTAVE = 24
TOP_HZ = 20000.0

DRUM_COMPONENTS = {"kick": 6, "hat": 6, "drum": 8}
N_BASS = 20
N_OTHER = 40

SYNTHETIC = "Synthesised by scripts/make_dictionaries.py (part of audiosep, MIT)."
RECORDED = (
    "Rumpf kit z01 by Emanuel Rumpf (CC-BY 3.0); Sonic Pi samples (CC0 1.0); FluidR3 GM soundfont "
    "by Frank Wen (MIT). Details in audiosep/data/README.md."
)

SONIC_PI = Path("usr/share/sonic-pi/samples")
SOUNDFONT = Path("usr/share/sounds/sf2/FluidR3_GM.sf2")

# General MIDI programs (from 0). Those that common test pieces are rendered with (piano, solo
# strings, woodwind, horn) and those of the example band (fingered bass, electric piano 1, tenor
# saxophone) are left out, so that a measurement on them is not flattered.
FLUID_BASS = (32, 34, 35, 36, 38, 39)
FLUID_OTHER = (
    *(2, 5, 7, 11),  # pianos but the first, clavinet, vibraphone
    *(16, 18, 22, 24, 25, 26, 27, 28, 29, 30),  # organs, harmonica, guitars
    *(48, 50, 52, 54, 56, 57, 61, 62, 81, 88, 89),  # sections, voices, brass, synths
)

SONIC_PI_BASS = ("bass_dnb_f", "bass_hard_c", "bass_thick_c", "bass_trance_c", "bass_woodsy_c")
SONIC_PI_OTHER = (
    "ambi_choir",
    "ambi_drone",
    "ambi_glass_hum",
    "ambi_glass_rub",
    "ambi_soft_buzz",
    "guit_e_fifths",
    "guit_e_slide",
    "guit_harmonics",
)


# --- Synthesis -----------------------------------------------------------------------------------


def note(
    f0: float,
    seconds: float,
    *,
    shape: str = "saw",
    cutoff_hz: tuple[float, float] = (8000.0, 2000.0),
    sweep_s: float = 0.3,
    cents: tuple[float, ...] = (0.0,),
    attack_s: float = 0.005,
    decay_s: float = 4.0,
    vibrato: float = 0.0,
    formants_hz: tuple[float, ...] = (),
) -> Signal:
    """Additive tone: partials of a waveform under a low-pass filter that closes with time."""
    t = times(seconds)
    cutoff = cutoff_hz[1] + (cutoff_hz[0] - cutoff_hz[1]) * np.exp(-t / sweep_s)
    out = np.zeros(len(t))
    for voice, cent in enumerate(cents):
        bend = 2 ** ((cent + vibrato * np.sin(2 * np.pi * 5.5 * t)) / 1200)
        phase = 2 * np.pi * np.cumsum(f0 * bend) / SR + 2.1 * voice
        for h in range(1, int(min(12000.0, 4 * max(cutoff_hz)) / f0) + 1):
            weight = {
                "saw": 1 / h,
                "square": (h % 2) / h,
                "triangle": (h % 2) / h**2,
                "sine": float(h == 1),
                "organ": {1: 1, 2: 0.8, 3: 0.6, 4: 0.5, 6: 0.3, 8: 0.3}.get(h, 0),
                "pulse": abs(np.sin(0.2 * np.pi * h)) / h,
            }[shape]
            if weight == 0:
                continue
            if formants_hz:
                weight *= sum(
                    np.exp(-(((h * f0 - f) / (80 + 0.08 * f)) ** 2)) / (i + 1)
                    for i, f in enumerate(formants_hz)
                )
            out += weight / np.sqrt(1 + (h * f0 / cutoff) ** 4) * np.sin(h * phase)
    return out * fall(t, decay_s, attack_s)


def fm(f0: float, seconds: float, ratio: float, index: float, decay_s: float) -> Signal:
    t = times(seconds)
    modulator = index * np.exp(-6.9 * t / (0.6 * decay_s)) * np.sin(2 * np.pi * ratio * f0 * t)
    return np.sin(2 * np.pi * f0 * t + modulator) * fall(t, decay_s, 0.003)


def string(rng: np.random.Generator, f0: float, seconds: float, dark: float) -> Signal:
    """Plucked string after Karplus and Strong (1983)."""
    period = max(2, round(SR / f0))
    excitation = scipy.signal.lfilter([1 - dark], [1, -dark], rng.uniform(-1, 1, period))
    drive = np.zeros(int(seconds * SR))
    drive[:period] = excitation
    loop = np.zeros(period + 2)
    loop[0] = 1.0
    loop[-2:] = -0.4985
    return scipy.signal.lfilter([1.0], loop, drive)


def hz(midi: float) -> float:
    return 440.0 * 2 ** ((midi - 69) / 12)


def synthetic_bass(rng: np.random.Generator) -> Iterator[Signal]:
    for i, midi in enumerate(range(24, 49, 2)):
        f0 = hz(midi)
        yield note(f0, 0.8, shape="saw", cutoff_hz=(300 + 150 * (i % 6), 150), sweep_s=0.15)
        yield note(f0, 0.8, shape="square", cutoff_hz=(800, 300), cents=(0, 8))
        yield note(f0, 0.8, shape=("sine", "triangle")[i % 2], decay_s=6.0)
        yield note(f0, 0.8, shape="saw", cutoff_hz=(500, 700), cents=(-12, 11))
        yield np.tanh(2.5 * note(f0, 0.8, shape="sine"))
        yield string(rng, f0, 0.8, dark=(0.8, 0.9, 0.95)[i % 3])
        yield fm(f0, 0.8, 1.0 + i % 2, 2.0, 1.5)


def synthetic_other(rng: np.random.Generator) -> Iterator[Signal]:
    vowels = ((700, 1200, 2600), (400, 2000, 2600), (300, 2300, 3000), (450, 800, 2800))
    for i, midi in enumerate(range(45, 86, 3)):
        f0, vowel = hz(midi), vowels[i % 4]
        yield note(f0, 0.8, cutoff_hz=(1500, 900), cents=(-9, 0, 8), attack_s=0.1)
        yield note(f0, 0.8, cutoff_hz=(5000, 3500), cents=(-6, 7), attack_s=0.05, vibrato=8)
        yield note(f0, 0.6, shape=("square", "pulse")[i % 2], cutoff_hz=(6000, 4000), vibrato=12)
        yield note(f0, 0.5, cutoff_hz=(6000, 500), sweep_s=0.08, decay_s=0.6)
        yield note(f0, 0.7, shape="organ", cutoff_hz=(8000, 8000), vibrato=5)
        yield note(f0, 0.8, cutoff_hz=(6000, 6000), formants_hz=vowel, vibrato=25, attack_s=0.05)
        yield fm(f0, 0.8, (1.0, 14.0)[i % 2], 1.5, 2.5)
        yield fm(f0, 0.8, 3.5, 2.5, 2.0)
        yield string(rng, f0, 0.8, dark=(0.2, 0.5, 0.7)[i % 3])
        chord = sum(string(rng, f0 * r, 0.8, dark=0.3) for r in (1, 1.5, 2))
        yield np.tanh(3 * chord)


# --- Sounds from packages ------------------------------------------------------------------------


def loudest_hz(sound: Signal) -> float:
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    return float(spectrum.argmax() * SR / len(sound))


def sonic_pi(root: Path, names: tuple[str, ...], low_hz: float, high_hz: float) -> list[Signal]:
    """Read samples and make sure that their loudest partial is where their role puts it."""
    sounds = [read_mono(root / SONIC_PI / f"{name}.flac") for name in names]
    for name, sound in zip(names, sounds, strict=True):
        if not low_hz <= loudest_hz(sound) <= high_hz:
            sys.exit(f"{name} has its loudest partial at {loudest_hz(sound):.0f} Hz")
    return sounds


def fluid_notes(root: Path, program: int, pitches: range) -> Iterator[Signal]:
    """Render a scale of half-second notes with fluidsynth, without reverb and chorus."""
    import mido

    track = mido.MidiTrack([mido.Message("program_change", program=program)])
    for pitch in pitches:
        track.append(mido.Message("note_on", note=pitch, velocity=96))
        track.append(mido.Message("note_off", note=pitch, time=480))
    midi = mido.MidiFile(ticks_per_beat=480)
    midi.tracks.append(track)
    with tempfile.TemporaryDirectory() as folder:
        score, wave = Path(folder) / "a.mid", Path(folder) / "a.wav"
        midi.save(score)
        command = ["fluidsynth", "-ni", "-q", "-R", "0", "-C", "0", "-r", str(SR), "-g", "0.5"]
        command += ["-F", str(wave), str(root / SOUNDFONT), str(score)]
        subprocess.run(command, check=True, capture_output=True)
        rendered = read_mono(wave)
    step = SR // 2
    for i in range(len(pitches)):
        part = rendered[i * step : (i + 1) * step]
        if len(part) == step and np.abs(part).max() > 1e-4:
            yield part


# --- Learning ------------------------------------------------------------------------------------


def axis() -> tuple[Signal, Signal]:
    """Centres of the bands in hertz and, per analysis bin, the band it belongs to (-1: none)."""
    bins = np.arange(1 + N_FFT // 2) * SR / N_FFT
    linear = bins[bins <= LINEAR_TO_HZ]
    n_log = int(BANDS_PER_OCTAVE * np.log2(TOP_HZ / LINEAR_TO_HZ))
    logarithmic = linear[-1] * 2 ** (np.arange(1, n_log + 1) / BANDS_PER_OCTAVE)
    centres = np.concatenate([linear, logarithmic])
    edges = np.concatenate([[-1.0], (centres[1:] + centres[:-1]) / 2, [TOP_HZ]])
    band_of_bin = np.searchsorted(edges, bins) - 1
    return centres, np.where(bins < TOP_HZ, band_of_bin, -1)


def frames_of(sound: Signal, band_of_bin: Signal, n_bands: int) -> Signal:
    """Magnitudes summed per band, frames first; quiet frames left out, sums scaled to one."""
    samples = sound / np.abs(sound).max()
    n_frames = 1 + len(samples) // HOP
    spectra = np.abs(stft_frames(samples, 0, n_frames, n_fft=N_FFT, hop_length=HOP))
    spectra = spectra[spectra.sum(axis=1) > QUIET * spectra.sum(axis=1).max()]
    bands = np.zeros((len(spectra), n_bands))
    for index in range(n_bands):
        bands[:, index] = spectra[:, band_of_bin == index].sum(axis=1)
    bands = bands[:: max(1, len(bands) // MAX_FRAMES_PER_SOUND + 1)]
    return bands / bands.sum()


def learn(sounds: list[Signal], n_components: int, *, most_high: float = 1.0) -> Signal:
    """Templates (n_bands, n_components) of amplitude density, column sums of the bands one.

    Frames with more than `most_high` of their magnitude above 2 kHz are left out.
    """
    centres, band_of_bin = axis()
    widths = np.bincount(band_of_bin[band_of_bin >= 0], minlength=len(centres)).astype(float)
    frames = np.concatenate([frames_of(sound, band_of_bin, len(centres)) for sound in sounds])
    high = frames[:, centres > LINEAR_TO_HZ].sum(axis=1)
    frames = frames[high <= most_high * frames.sum(axis=1)]
    if len(frames) > MAX_FRAMES:
        chosen = np.random.default_rng(0).choice(len(frames), MAX_FRAMES, replace=False)
        frames = frames[np.sort(chosen)]
    # Summed over a band, KL(v, w h) is the divergence of the sums: the fit is that of all bins.
    result = factorize(frames.T, n_components, beta=1.0, max_iter=60, tol=0, seed=0)
    return np.asarray(result.templates / widths[:, np.newaxis])


def dictionary(
    drums: Sounds, bass: list[Signal], other: list[Signal], provenance: str
) -> Dictionary:
    parts = [learn(drums[kind], n) for kind, n in DRUM_COMPONENTS.items()]
    # The click of a plucked bass would fit any drum.
    parts += [learn(bass, N_BASS, most_high=0.1), learn(other, N_OTHER)]
    n_drums = sum(DRUM_COMPONENTS.values())
    return Dictionary(
        templates=np.concatenate(parts, axis=1).astype(np.float32),
        frequencies_hz=axis()[0],
        labels=("drums",) * n_drums + ("bass",) * N_BASS + ("other",) * N_OTHER,
        provenance=provenance,
    )


def missing(root: Path) -> list[str]:
    """Debian packages that are needed and not there."""
    needed: dict[str, Callable[[], bool]] = {
        "fluidsynth": lambda: shutil.which("fluidsynth") is not None,
        "fluid-soundfont-gm": (root / SOUNDFONT).is_file,
        "hydrogen-drumkits": (root / RUMPF).is_dir,
        "sonic-pi-samples": (root / SONIC_PI).is_dir,
    }
    return [package for package, present in needed.items() if not present()]


def main() -> None:
    parser = argparse.ArgumentParser(description="Learn the dictionaries of the package.")
    parser.add_argument(
        "--out", type=Path, default=Path("audiosep/data"), help="folder to write to"
    )
    parser.add_argument(
        "--root", type=Path, default=Path("/"), help="where the packages are unpacked"
    )
    arguments = parser.parse_args()
    if absent := missing(arguments.root):
        sys.exit(
            f"missing Debian packages: {', '.join(absent)}; install them with apt-get install."
        )

    rng = np.random.default_rng(0)
    drums = synthetic_drums(rng)
    check_synthesis(drums)
    bass, other = list(synthetic_bass(rng)), list(synthetic_other(rng))

    root = arguments.root
    bass += sonic_pi(root, SONIC_PI_BASS, 30, 150)
    bass += [s for program in FLUID_BASS for s in fluid_notes(root, program, range(28, 56, 2))]
    other += sonic_pi(root, SONIC_PI_OTHER, 200, 5000)
    other += [s for program in FLUID_OTHER for s in fluid_notes(root, program, range(45, 88, 3))]
    all_drums = by_content(drums, rumpf_drums(root))
    made = dictionary(all_drums, bass, other, f"{SYNTHETIC} {RECORDED}")
    path = arguments.out / "band.safetensors"
    save_dictionary(made, path)
    print(f"{path}: {made.n_components} templates, {path.stat().st_size} bytes")

    made = drum_patches(root)
    path = arguments.out / "drums.safetensors"
    save_dictionary(made, path)
    print(f"{path}: {made.n_components} patches, {path.stat().st_size} bytes")

    made = speech_dictionary(root)
    path = arguments.out / "speech.safetensors"
    save_dictionary(made, path)
    print(f"{path}: {made.n_components} templates, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
