"""Speech of several talkers: audiosep/data/speech.safetensors, made by make_dictionaries.py.

Prompts that two people have recorded and texts that four synthetic voices read, reduced to
magnitudes in bands, 31 frames a second.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from audiosep.dictionaries import Dictionary, Exemplars
from audiosep.nmf import factorize
from audiosep.transform import stft_frames

SR = 16000
N_FFT = 1024
HOP = 512
LINEAR_TO_HZ = 2000.0
BANDS_PER_OCTAVE = 24
N_COMPONENTS = 60
SECONDS = 15.0
LEVEL = 0.05
SHORTEST_S, LONGEST_S = 1.2, 8.0

SOUNDS = Path("usr/share/asterisk/sounds")
TEXT = Path("usr/share/doc/flite/examples/alice")

RECORDED = {"fr": "fr_CA_f_June", "it": "it_IT_m_Carlo"}
SYNTHETIC = ("awb", "rms", "slt", "kal16")
LETTERS = 900
"""Of the text that each synthetic voice reads."""

PROVENANCE = (
    "Asterisk core sounds by June Wallack (fr) and Carlo Flora (it), CC-BY-SA 3.0; synthetic "
    "voices awb, rms, slt and kal16 of Flite, Carnegie Mellon University. Reduced to magnitudes "
    "in bands; as a whole under CC-BY-SA 3.0. Details in audiosep/data/README.md."
)


def decode(source: Path, *options: str) -> np.ndarray:
    """Samples of a sound at 16 kHz."""
    command = ["ffmpeg", "-v", "error", *options, "-i", str(source)]
    command += ["-ac", "1", "-ar", str(SR), "-f", "f32le", "-"]
    raw = subprocess.run(command, check=True, capture_output=True).stdout
    return np.frombuffer(raw, dtype=np.float32)


def prompts(folder: Path) -> list[np.ndarray]:
    """Evenly chosen sentences of one talker, `SECONDS` in all."""
    found = sorted(path for path in folder.glob("*.g722"))
    sounds = [decode(path, "-f", "g722") for path in found]
    fitting = [s for s in sounds if SHORTEST_S * SR <= len(s) <= LONGEST_S * SR and s.std() > 1e-3]
    mean = sum(map(len, fitting)) / len(fitting)
    wanted = max(1, round(SECONDS * SR / mean))
    return [fitting[i] for i in np.linspace(0, len(fitting) - 1, wanted).astype(int)]


def read_aloud(voice: str, text: str) -> list[np.ndarray]:
    """A text by a synthetic voice, `SECONDS` of it."""
    with tempfile.TemporaryDirectory() as folder:
        wave = Path(folder) / "a.wav"
        subprocess.run(["flite", "-voice", voice, "-t", text, "-o", str(wave)], check=True)
        return [decode(wave)[: round(SECONDS * SR)]]


def band_axis() -> tuple[np.ndarray, np.ndarray]:
    """Centres of the bands in hertz and, per bin, the band it belongs to."""
    bins = np.arange(1 + N_FFT // 2) * SR / N_FFT
    linear = bins[bins <= LINEAR_TO_HZ]
    n_log = round(BANDS_PER_OCTAVE * np.log2(SR / 2 / LINEAR_TO_HZ))
    centres = np.concatenate(
        [linear, linear[-1] * 2 ** (np.arange(1, n_log + 1) / BANDS_PER_OCTAVE)]
    )
    edges = np.concatenate([[-1.0], (centres[1:] + centres[:-1]) / 2, [SR]])
    return centres, np.searchsorted(edges, bins) - 1


def frames_of(sound: np.ndarray) -> np.ndarray:
    """Root mean square in each band, frames first."""
    samples = np.asarray(sound / sound.std() * LEVEL, dtype=np.float32)
    n_frames = 1 + len(samples) // HOP
    spectra = np.abs(stft_frames(samples, 0, n_frames, n_fft=N_FFT, hop_length=HOP))
    centres, band_of_bin = band_axis()
    out = np.zeros((n_frames, len(centres)))
    for band in range(len(centres)):
        out[:, band] = np.sqrt(np.square(spectra[:, band_of_bin == band]).mean(axis=1))
    return out


def missing(root: Path) -> list[str]:
    """Debian packages that are needed and not there."""
    absent = [
        f"asterisk-core-sounds-{language}-g722"
        for language, talker in RECORDED.items()
        if not (root / SOUNDS / talker).is_dir()
    ]
    absent += [tool for tool in ("ffmpeg", "flite") if shutil.which(tool) is None]
    if "flite" not in absent and not (root / TEXT).is_file():
        absent.append("flite")
    return absent


def speech_dictionary(root: Path) -> Dictionary:
    """Learn what people sound like; ends the script where something is missing."""
    if absent := missing(root):
        sys.exit(f"missing Debian packages: {', '.join(absent)}; install them with apt-get.")
    talkers = [prompts(root / SOUNDS / talker) for talker in RECORDED.values()]
    text = " ".join((root / TEXT).read_text(encoding="ascii", errors="ignore").split())
    for index, voice in enumerate(SYNTHETIC):
        talkers.append(read_aloud(voice, text[(index + 1) * LETTERS :][:LETTERS]))
    stretches = [np.concatenate([frames_of(sound) for sound in sounds]) for sounds in talkers]
    frames = np.concatenate(stretches)
    centres, band_of_bin = band_axis()
    # Summed over a band, KL(v, w h) is the divergence of the sums: the fit is that of all bins.
    widths = np.bincount(band_of_bin, minlength=len(centres)).astype(float)
    loud = frames[frames.sum(axis=1) > 0.05 * frames.sum(axis=1).max()]
    fit = factorize((loud * widths).T, N_COMPONENTS, beta=1.0, max_iter=60, tol=0, seed=0)
    return Dictionary(
        templates=(fit.templates / widths[:, np.newaxis]).astype(np.float32),
        frequencies_hz=centres,
        labels=("speech",) * N_COMPONENTS,
        provenance=PROVENANCE,
        exemplars=Exemplars(
            frames=np.ascontiguousarray(frames.T, dtype=np.float32),
            lengths=tuple(len(stretch) for stretch in stretches),
            labels=("speech",) * len(stretches),
            step_s=HOP / SR,
        ),
    )
