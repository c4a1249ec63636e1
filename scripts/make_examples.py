"""Render the examples band and song of examples/audio: their parts, and the mixtures.

The tunes are original. Each part is rendered alone by fluidsynth with the FluidR3 General MIDI
soundfont (MIT), or sung by ``_singing.py``, so that the references are exactly what is in the
mixture.

    apt-get install --no-install-recommends fluidsynth fluid-soundfont-gm
    pip install mido
    python scripts/make_examples.py --out examples/audio

The other items of the folder are recordings and are not made here; see its README.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile as sf
from _singing import Syllable, sing

SOUNDFONT = Path("/usr/share/sounds/sf2/FluidR3_GM.sf2")
SR = 22050
SYNTHESIS_SR = 44100
BPM = 108
TICKS = 480  # per quarter note
PEAK_DBFS = -3.0
BEATS = 18.5  # four bars of four, and the last chord
SONG_BEATS = 16.0
SONG_VOICE_DB = -20.0

Note = tuple[float, float, int, int]
"""Start and length in beats, MIDI pitch, velocity."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One instrument of the band."""

    notes: list[Note]
    program: int
    channel: int
    level_db: float
    """RMS of the part, relative to full scale, before the mixture is scaled."""


KICK, RIM, SNARE, TOM_LOW, TOM_MID, TOM_HIGH = 36, 37, 38, 45, 47, 50
HAT, HAT_OPEN, CRASH = 42, 46, 49


def drums() -> list[Note]:
    notes: list[Note] = []
    for bar in range(4):
        at = 4.0 * bar
        fill = bar == 3
        hits = [(KICK, 0, 112), (KICK, 1.5, 84), (KICK, 2, 104), (SNARE, 1, 108)]
        hits += [(SNARE, 2.75, 42)] if bar % 2 else [(KICK, 2.5, 88)]
        if fill:
            hits += [(SNARE, 2.75, 70), (SNARE, 3, 104), (SNARE, 3.25, 82)]
            hits += [(TOM_HIGH, 3.5, 100), (TOM_MID, 3.667, 102), (TOM_LOW, 3.833, 108)]
        else:
            hits += [(SNARE, 3, 112)]
        for eighth in range(5 if fill else 8):
            opens = bar == 1 and eighth == 7
            hits += [(HAT_OPEN if opens else HAT, eighth / 2, 92 if eighth % 2 == 0 else 66)]
        notes += [(at + beat, 0.2, pitch, velocity) for pitch, beat, velocity in hits]
    return [*notes, (16, 1, KICK, 115), (16, 2.2, CRASH, 92)]


def bass() -> list[Note]:
    # Dm7, G7, Cmaj7, A7, and home on D minor: roots, octaves and a chromatic way to the next bar.
    patterns = (
        (38, 38, 50, 48, 45, 44),
        (43, 43, 41, 43, 47, 49),
        (48, 48, 43, 40, 43, 44),
        (45, 45, 40, 42, 43, 37),
    )
    rhythm = (
        *((0, 0.9, 104), (1.5, 0.4, 88), (2, 0.45, 100)),
        *((2.5, 0.45, 88), (3, 0.45, 94), (3.5, 0.45, 90)),
    )
    notes = [
        (4 * bar + beat, length, pitch, velocity)
        for bar, pattern in enumerate(patterns)
        for pitch, (beat, length, velocity) in zip(pattern, rhythm, strict=True)
    ]
    return [*notes, (16, 2.2, 38, 104)]


def chords() -> list[Note]:
    voicings = [(53, 57, 60, 64), (53, 57, 59, 64), (52, 55, 59, 62), (55, 58, 61, 64)]
    notes: list[Note] = []
    for bar, voicing in enumerate(voicings):
        for beat, length, velocity in ((0.0, 1.2, 84), (1.5, 0.3, 70), (2.5, 1.2, 78)):
            notes += [(4 * bar + beat, length, pitch, velocity) for pitch in voicing]
    return notes + [(16 + 0.03 * i, 2.2, pitch, 80) for i, pitch in enumerate((53, 57, 60, 64, 69))]


def melody() -> list[Note]:
    phrase = (
        *((0.5, 0.45, 69), (1, 0.45, 72), (1.5, 0.95, 74), (2.5, 0.45, 77)),
        *((3, 0.7, 76), (3.75, 0.25, 74), (4, 1.4, 71), (5.5, 0.45, 74)),
        *((6, 0.45, 72), (6.5, 0.45, 71), (7, 0.45, 69), (7.5, 0.45, 67)),
        *((8, 1.9, 64), (10, 0.45, 67), (10.5, 0.45, 71), (11, 0.45, 74), (11.5, 0.45, 72)),
        *((12, 0.95, 73), (13, 0.45, 70), (13.5, 0.45, 69), (14, 0.3, 67), (14.333, 0.3, 69)),
        *((14.667, 0.3, 70), (15, 0.45, 73), (15.5, 0.45, 76), (16, 2.2, 74)),
    )
    return [(at, length, pitch, 88 + (pitch - 64)) for at, length, pitch in phrase]


def band() -> dict[str, Part]:
    return {
        "drums": Part(notes=drums(), program=0, channel=9, level_db=-20.0),
        "bass": Part(notes=bass(), program=33, channel=0, level_db=-21.0),
        "chords": Part(notes=chords(), program=4, channel=1, level_db=-24.0),
        "melody": Part(notes=melody(), program=66, channel=2, level_db=-22.0),
    }


def lyrics() -> list[Syllable]:
    """What is sung: two phrases with a pause before each, syllables in beats."""
    sung = (
        *((1.0, 0.9, 62, "h", "a"), (1.95, 0.5, 64, "", "o"), (2.5, 1.4, 65, "s", "i")),
        *((4.0, 0.5, 67, "t", "e"), (4.5, 0.5, 65, "", "a"), (5.0, 1.9, 64, "", "u")),
        *((8.5, 0.45, 64, "s", "o"), (9.0, 0.95, 69, "", "a"), (10.0, 0.5, 67, "t", "i")),
        *((10.5, 0.45, 65, "", "e"), (11.0, 0.95, 64, "s", "a"), (12.0, 2.6, 61, "h", "o")),
    )
    beat = 60 / BPM
    return [
        Syllable(at * beat, length * beat, pitch, consonant, vowel)
        for at, length, pitch, consonant, vowel in sung
    ]


def voice(n_samples: int) -> np.ndarray:
    """The singer at its level; mono, `n_samples` at SR."""
    out = sing(lyrics(), n_samples / SR, SR)[:n_samples]
    return out * 10 ** (SONG_VOICE_DB / 20) / np.sqrt(np.mean(out**2))


def write_midi(part: Part, path: Path) -> None:
    import mido

    events = []
    for start, length, pitch, velocity in part.notes:
        on, off = round(start * TICKS), round((start + length) * TICKS)
        events.append((on, 1, mido.Message("note_on", note=pitch, velocity=velocity)))
        events.append((off, 0, mido.Message("note_off", note=pitch)))
    track = mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(BPM))])
    track.append(mido.Message("program_change", program=part.program, channel=part.channel))
    now = 0
    for tick, _, message in sorted(events, key=lambda event: event[:2]):
        track.append(message.copy(time=tick - now, channel=part.channel))
        now = tick
    midi = mido.MidiFile(ticks_per_beat=TICKS)
    midi.tracks.append(track)
    midi.save(path)


def render(part: Part, soundfont: Path, n_samples: int) -> np.ndarray:
    """Play one part without reverb and chorus; mono, `n_samples` at SR, at its level."""
    from scipy.signal import resample_poly

    with tempfile.TemporaryDirectory() as folder:
        score, wave = Path(folder) / "part.mid", Path(folder) / "part.wav"
        write_midi(part, score)
        command = ["fluidsynth", "-ni", "-q", "-R", "0", "-C", "0", "-g", "0.5"]
        command += ["-r", str(SYNTHESIS_SR), "-O", "float", "-F", str(wave)]
        subprocess.run([*command, str(soundfont), str(score)], check=True, capture_output=True)
        stereo, sr = sf.read(wave, always_2d=True)
    mono = resample_poly(stereo.mean(axis=1), SR, sr)[:n_samples]
    out = np.zeros(n_samples)
    out[: len(mono)] = mono
    fade = int(0.3 * SR)
    out[-fade:] *= np.linspace(1, 0, fade)
    return out * 10 ** (part.level_db / 20) / np.sqrt(np.mean(out**2))


def mix(parts: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Round to 16-bit integers whose sum, the mixture, peaks at PEAK_DBFS."""
    total = np.sum(list(parts.values()), axis=0)
    scale = 32767 * 10 ** (PEAK_DBFS / 20) / np.abs(total).max()
    integers = {name: np.rint(part * scale).astype(np.int32) for name, part in parts.items()}
    return {"mixture": np.sum(list(integers.values()), axis=0), **integers}


def missing(soundfont: Path) -> list[str]:
    """Debian packages that are needed and not there."""
    absent = [] if shutil.which("fluidsynth") else ["fluidsynth"]
    return absent if soundfont.is_file() else [*absent, "fluid-soundfont-gm"]


def main() -> None:
    parser = argparse.ArgumentParser(description="Render the examples band and song.")
    parser.add_argument(
        "--out", type=Path, default=Path("examples/audio"), help="folder to write to"
    )
    parser.add_argument("--soundfont", type=Path, default=SOUNDFONT, help="FluidR3_GM.sf2")
    arguments = parser.parse_args()
    if absent := missing(arguments.soundfont):
        sys.exit(
            f"missing Debian packages: {', '.join(absent)}; install them with apt-get install."
        )

    soundfont = arguments.soundfont
    n_samples = int(BEATS * 60 / BPM * SR)
    parts = {name: render(part, soundfont, n_samples) for name, part in band().items()}
    write(arguments.out / "band", parts)
    n_samples = int(SONG_BEATS * 60 / BPM * SR)
    parts = {
        name: render(band()[name], soundfont, n_samples) for name in ("drums", "bass", "chords")
    }
    write(arguments.out / "song", {"vocals": voice(n_samples), **parts})


def write(folder: Path, parts: dict[str, np.ndarray]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, samples in mix(parts).items():
        path = folder / ("mixture.flac" if name == "mixture" else f"ref_{name}.flac")
        sf.write(path, samples.astype(np.int16), SR, subtype="PCM_16", compression_level=1.0)
        print(f"{path}: {len(samples) / SR:.1f} s, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
