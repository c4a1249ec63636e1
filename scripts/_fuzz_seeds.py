"""Valid files of every kind that audiosep reads, small, to be damaged."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import struct
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from _fuzz_pieces import mended

__all__ = ["KINDS", "SOUND_KINDS", "Seed", "finished_folder", "seeds_of", "write_mixture"]

_SR = 8000
_N_SAMPLES = 4000


@dataclass(frozen=True)
class Seed:
    """A valid file.

    Parameters
    ----------
    name : str
        What it is to be called.
    shape : str
        How it is taken apart, see :mod:`_fuzz_pieces` and :mod:`_fuzz_mutations`.
    content : bytes
        All of it.
    """

    name: str
    shape: str
    content: bytes


def seeds_of(kind: str) -> tuple[Seed, ...]:
    """Valid files of a kind; made once for each process."""
    return _made(kind)


@functools.cache
def _made(kind: str) -> tuple[Seed, ...]:
    return tuple(_SEEDS[kind]())


# --- sounds -------------------------------------------------------------------------------------


def _sound(n_channels: int = 2, sr: int = _SR) -> np.ndarray:
    """Tones and noise, (samples, channels)."""
    t = np.arange(_N_SAMPLES) / sr
    noise = np.random.default_rng(1).uniform(-0.1, 0.1, (_N_SAMPLES, n_channels))
    return (noise + 0.4 * np.sin(2 * np.pi * 440 * t * (1 + (t > 0.2)))[:, None]).astype(np.float32)


def _encoded(container: str, subtype: str, n_channels: int = 2, sr: int = _SR) -> bytes:
    import soundfile

    target = io.BytesIO()
    soundfile.write(target, _sound(n_channels, sr), sr, format=container, subtype=subtype)
    content = target.getvalue()
    # Ogg streams are numbered by chance.
    return (
        mended("ogg", content.replace(content[14:18], b"seed")) if container == "OGG" else content
    )


def _sounds(
    ending: str, container: str, *variants: tuple[str, int, int]
) -> Callable[..., list[Seed]]:
    def make() -> list[Seed]:
        return [Seed(f"x.{ending}", ending, _encoded(container, *variant)) for variant in variants]

    return make


def _wavs() -> list[Seed]:
    plain = ("PCM_16", "PCM_U8", "PCM_24", "FLOAT", "DOUBLE", "ULAW", "IMA_ADPCM", "MS_ADPCM")
    found = [_encoded("WAV", subtype) for subtype in plain]
    found += [
        _encoded("WAV", "GSM610", 1),
        _encoded("WAVEX", "PCM_24"),
        _encoded("WAV", "PCM_16", 6),
    ]
    # What recorders and editors put around the sound.
    sound = found[0][12:]
    notes = b"".join(
        name + struct.pack("<I", len(text)) + text + b"\0" * (len(text) % 2)
        for name, text in (
            (b"bext", b"tape 7".ljust(602, b"\0")),
            (b"LIST", b"INFOINAM\x06\0\0\0Title\0"),
            (b"cue ", struct.pack("<IIIIIII", 1, 1, 100, 0x61746164, 0, 0, 100)),
            (b"smpl", bytes(36)),
        )
    )
    whole = b"WAVE" + notes + sound
    found.append(b"RIFF" + struct.pack("<I", len(whole)) + whole)
    return [Seed("x.wav", "wav", content) for content in found]


def _mp3s() -> list[Seed]:
    bare = _encoded("MP3", "MPEG_LAYER_III", 2, 32000)
    low = _encoded("MP3", "MPEG_LAYER_III", 1, 16000)
    frame = b"TIT2" + struct.pack(">IH", 7, 0) + b"\0Title\0"
    tag = b"ID3\x03\0\0" + bytes([0, 0, 0, len(frame)]) + frame
    return [Seed("x.mp3", "mp3", content) for content in (bare, low, tag + bare)]


def _contained(container: str, codec: str, n_channels: int = 2, sr: int = _SR) -> bytes:
    """Sound in files of other programs, without what differs from one time to the next."""
    import av

    target = io.BytesIO()
    with av.open(target, "w", format=container, options={"fflags": "bitexact"}) as file:
        stream = file.add_stream(codec, rate=sr, layout="stereo" if n_channels == 2 else "mono")
        stream.bit_rate = 64000
        context = stream.codec_context
        context.flags |= 1 << 23
        samples = np.ascontiguousarray(_sound(n_channels, sr).T)
        whole = av.AudioFrame.from_ndarray(samples, format="fltp", layout=context.layout.name)
        whole.sample_rate, whole.pts = sr, 0
        cut = av.AudioResampler(context.format, context.layout, sr, context.frame_size or 1024)
        for frame in (*cut.resample(whole), *cut.resample(None)):
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return target.getvalue()


def _containers(shape: str, *variants: tuple[str, str, str, int, int]) -> Callable[..., list[Seed]]:
    def make() -> list[Seed]:
        return [Seed(f"x.{ending}", shape, _contained(*how)) for ending, *how in variants]

    return make


# --- lists --------------------------------------------------------------------------------------

_CSV = (
    b"input,preset,components,iterations,sources,seed,start,duration,bits,out,#note\n"
    b"mix.wav,components,3,2,2,1,0,0.4,16,one/mix,kept\n"
    b"below/other.wav,components,2,2,,7,,,24,,\n"
    b"./mix.wav,,,,,,0.1,0.3,float,two,\n"
)


def _manifests() -> list[Seed]:
    rows = (
        {"input": "mix.wav", "preset": "components", "components": 3, "iterations": 2, "seed": 3},
        {"input": "below/other.wav", "start": 0.1, "duration": 0.2, "out": "a/b", "bits": "24"},
        {
            "input": "mix.wav",
            "preset": "by-example",
            "example": {"low": "mix.wav", "high": "@0-0.2"},
        },
    )
    lines = "".join(json.dumps(row) + "\n" for row in rows).encode()
    return [
        Seed("list.csv", "csv", _CSV),
        Seed("list.csv", "csv", b"\xef\xbb\xbf" + _CSV.replace(b",", b";").replace(b"\n", b"\r\n")),
        Seed("list.jsonl", "lines", lines),
    ]


def _journals() -> list[Seed]:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        write_mixture(place / "mix.wav")
        write_mixture(place / "other.wav")
        (place / "bad.wav").write_bytes(b"no sound")
        _audiosep("split", place, "-r", "-o", place / "out", "--quiet")
        lines = (place / "out" / ".audiosep" / "journal.jsonl").read_bytes().splitlines()
        content = b"".join(
            json.dumps(_timeless(json.loads(line))).encode() + b"\n" for line in lines
        )
    return [Seed("journal.jsonl", "lines", content)]


def _timeless(line: dict[str, object]) -> dict[str, object]:
    return {name: 1.5 if isinstance(value, float) else value for name, value in line.items()}


# --- numbers ------------------------------------------------------------------------------------


def _dictionaries() -> list[Seed]:
    from audiosep.dictionaries import Dictionary, Exemplars
    from audiosep.dictionary_files import save_dictionary

    rng = np.random.default_rng(0)
    common = {"frequencies_hz": np.linspace(0.0, 4000.0, 40), "provenance": "random numbers"}
    frames = rng.random((40, 12), dtype=np.float32)
    labels = ("kick", "snare", "hihat")
    made = (
        Dictionary(templates=rng.random((40, 3), dtype=np.float32), labels=labels, **common),
        Dictionary(
            templates=rng.random((40, 3, 6), dtype=np.float32), labels=labels, step_s=0.01, **common
        ),
        Dictionary(
            templates=rng.random((40, 2), dtype=np.float32),
            labels=("low", "high"),
            exemplars=Exemplars(
                frames=frames, lengths=(5, 7), labels=("low", "high"), step_s=0.016
            ),
            **common,
        ),
    )
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "d"
        found = []
        for one in made:
            save_dictionary(one, place)
            found.append(Seed("x.safetensors", "safetensors", place.read_bytes()))
    return found


def _factorizations() -> list[Seed]:
    with _finished() as place:
        content = (place / "factorization.safetensors").read_bytes()
    return [Seed("factorization.safetensors", "safetensors", content)]


def _records() -> list[Seed]:
    with _finished() as place:
        return [Seed("audiosep.json", "json", (place / "audiosep.json").read_bytes())]


def _tables() -> list[Seed]:
    with _finished() as place:
        for name in ("a.csv", "a.npz"):
            _audiosep("resynthesize", place, "--export", place.parent / name)
        csv, npz = ((place.parent / name).read_bytes() for name in ("a.csv", "a.npz"))
        melody, onsets = ((place / name).read_bytes() for name in ("melody.csv", "onsets.csv"))
    return [
        Seed("activations.csv", "csv", csv),
        Seed("activations.npz", "npz", npz),
        Seed("melody.csv", "csv", melody),
        Seed("onsets.csv", "csv", onsets),
    ]


def _projects() -> list[Seed]:
    from audiosep.projects import PaintStep, RegroupStep, project_of, save_project
    from audiosep.research.painted_regions import PaintedRegion

    region = PaintedRegion(stem="new", start_s=0.1, end_s=0.3, low_hz=100.0, high_hz=2000.0)
    steps = (
        RegroupStep(move=(((1,), "other"),), rename=(("source-2", "rest"),)),
        PaintStep(regions=(region,), seed=3),
    )
    with _finished("mix.wav") as place:
        # The recording lies beside the project wherever that is.
        found = []
        for some in ((), steps[:1], steps[1:]):
            save_project(project_of(place, some), place.parent / "project.json")
            project = json.loads((place.parent / "project.json").read_bytes())
            project["input"]["path"] = "mix.wav"
            found.append(Seed("project.json", "json", json.dumps(project, indent=1).encode()))
    return found


_REGIONS = (
    b"0.100000\t0.200000\tnew\n\\\t200.000000\t1000.000000\n0.25\t0.4\tnot source-1\n",
    b"Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)\t"
    b"Annotation\n1\tSpectrogram 1\t1\t0.1\t0.2\t200\t1000\tsource-1\n"
    b"2\tSpectrogram 1\t1\t0.3\t0.4\t0\t4000\tnew\n",
)


# --- scores -------------------------------------------------------------------------------------


def _midis() -> list[Seed]:
    import mido

    def track(name: str, channel: int, pitches: Sequence[int]) -> mido.MidiTrack:
        messages = [mido.MetaMessage("track_name", name=name)]
        messages.append(mido.Message("program_change", program=73, channel=channel))
        for pitch in pitches:
            messages.append(mido.Message("note_on", note=pitch, velocity=90, channel=channel))
            messages.append(mido.Message("note_off", note=pitch, time=120, channel=channel))
        return mido.MidiTrack(messages)

    found = []
    for kind, division in ((1, 480), (0, 96), (2, 480)):
        file = mido.MidiFile(type=kind, ticks_per_beat=division)
        tempo = mido.MetaMessage("set_tempo", tempo=400_000)
        head = [
            tempo,
            mido.MetaMessage("time_signature"),
            mido.MetaMessage("key_signature", key="C"),
        ]
        parts = [
            track("flute", 0, (72, 74, 76)),
            track("drums", 9, (36, 38)),
            track("bass", 1, (40,)),
        ]
        if kind == 0:
            file.tracks.append(mido.MidiTrack([*head, *(m for part in parts for m in part)]))
        else:
            file.tracks += [mido.MidiTrack(head), *parts]
        target = io.BytesIO()
        file.save(file=target)
        found.append(Seed("x.mid", "midi", target.getvalue()))
    return found


_MUSICXML = b"""<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE score-partwise PUBLIC "-//Recordare//DTD MusicXML 4.0 Partwise//EN"
 "http://www.musicxml.org/dtds/partwise.dtd">
<score-partwise version="4.0"><part-list>
<score-part id="P1"><part-name>Clarinet</part-name></score-part>
<score-part id="P2"><part-name>Drums</part-name><midi-instrument id="P2-I1">
<midi-unpitched>36</midi-unpitched></midi-instrument></score-part></part-list>
<part id="P1"><measure number="1"><attributes><divisions>2</divisions><transpose>
<chromatic>-2</chromatic><octave-change>0</octave-change></transpose></attributes>
<direction><direction-type><metronome><beat-unit>quarter</beat-unit><per-minute>132</per-minute>
</metronome></direction-type><sound tempo="132"/></direction>
<barline location="left"><repeat direction="forward"/></barline>
<note><pitch><step>C</step><alter>1</alter><octave>4</octave></pitch><duration>2</duration>
<tie type="start"/></note>
<note><pitch><step>C</step><alter>1</alter><octave>4</octave></pitch><duration>2</duration>
<tie type="stop"/></note>
<note><chord/><pitch><step>E</step><octave>4</octave></pitch><duration>2</duration></note>
<backup><duration>2</duration></backup><forward><duration>1</duration></forward>
<note><grace/><pitch><step>G</step><octave>5</octave></pitch></note></measure>
<measure number="2"><barline location="left"><ending number="1" type="start"/></barline>
<note><rest/><duration>4</duration></note><barline location="right"><ending number="1" type="stop"/>
<repeat direction="backward" times="3"/></barline></measure></part>
<part id="P2"><measure number="1"><note><unpitched><display-step>F</display-step>
<display-octave>4</display-octave></unpitched><duration>2</duration><instrument id="P2-I1"/></note>
</measure></part></score-partwise>
"""

_LABELS = (
    b"0.000000\t0.200000\tflute:C5\n0.1\t0.4\tdrums\n\\\t100.0\t2000.0\n"
    b"0.2\t0.45\tflute:60\n0.25\t0.3\tA#3\n"
)


def _mxls() -> list[Seed]:
    found = []
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", method) as archive:
            container = (
                '<container><rootfiles><rootfile full-path="score.xml"/></rootfiles></container>'
            )
            for name, text in (("META-INF/container.xml", container), ("score.xml", _MUSICXML)):
                archive.writestr(zipfile.ZipInfo(name), text, method)
        found.append(Seed("x.mxl", "mxl", packed.getvalue()))
    return found


# --- what is needed beside them -----------------------------------------------------------------


def _audiosep(*arguments: object) -> None:
    """Run a command in this process, without a word."""
    import sys

    from audiosep import cli

    before = sys.argv
    sys.argv = ["audiosep", *map(str, arguments)]
    if arguments[0] == "split":
        sys.argv += ["--preset", "components", "--components", "3", "--iterations", "2"]
    said = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            cli.main()
    except SystemExit:
        pass
    finally:
        sys.argv = before


def write_mixture(path: Path, sr: int = _SR) -> None:
    """Write a recording of half a second as 16-bit WAV."""
    path.write_bytes(_encoded("WAV", "PCM_16", 2, sr))


def finished_folder(place: Path, source: Path, told: str = "in/mix.wav") -> None:
    """Separate a recording into `place`, with everything that any method may leave there."""
    from dataclasses import replace

    import audiosep
    from audiosep.types import Melody, Onsets

    made = audiosep.separate(source, preset="components", n_components=3, max_iter=2)
    times = np.arange(40) * 0.01
    made = replace(
        made,
        melody=Melody(
            times_s=times, f0_hz=np.where(times < 0.2, 440.0, 0.0), strengths=np.full(40, 0.5)
        ),
        onsets=Onsets(
            times_s=np.array([0.1, 0.2, 0.3]),
            labels=("kick", "snare", "kick"),
            strengths=np.array([1.0, 0.5, 0.25]),
        ),
    )
    place.parent.mkdir(parents=True, exist_ok=True)
    made.save(place)
    record = json.loads((place / "audiosep.json").read_bytes())
    # The same in every run, and where the commands find it.
    record["timings_s"] = dict.fromkeys(record["timings_s"], 0.125)
    record["input"]["path"] = told
    (place / "audiosep.json").write_text(json.dumps(record, indent=1), encoding="utf-8")


@contextlib.contextmanager
def _finished(source: str = "in/mix.wav") -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        write_mixture(place / "mix.wav")
        finished_folder(place / "mix", place / "mix.wav", source)
        yield place / "mix"


_SEEDS: dict[str, Callable[[], list[Seed]]] = {
    "wav": _wavs,
    "rf64": _sounds("rf64", "RF64", ("PCM_16", 2, _SR), ("FLOAT", 1, _SR)),
    "w64": _sounds("w64", "W64", ("PCM_16", 2, _SR), ("FLOAT", 1, _SR), ("IMA_ADPCM", 1, _SR)),
    "aiff": _sounds(
        "aiff", "AIFF", ("PCM_16", 2, _SR), ("PCM_24", 1, _SR), ("FLOAT", 2, _SR), ("ULAW", 1, _SR)
    ),
    "caf": _sounds(
        "caf",
        "CAF",
        ("PCM_16", 2, _SR),
        ("FLOAT", 1, _SR),
        ("ALAC_16", 2, _SR),
        ("ALAC_24", 1, _SR),
    ),
    "flac": _sounds("flac", "FLAC", ("PCM_16", 2, _SR), ("PCM_24", 1, _SR), ("PCM_S8", 1, _SR)),
    "ogg": _sounds("ogg", "OGG", ("VORBIS", 2, _SR), ("VORBIS", 1, 22050)),
    "opus": _sounds("opus", "OGG", ("OPUS", 2, 48000), ("OPUS", 1, 16000)),
    "mp3": _mp3s,
    "mp4": _containers("mp4", ("m4a", "mp4", "aac", 2, _SR), ("m4a", "mp4", "alac", 1, _SR)),
    "matroska": _containers(
        "slices", ("mka", "matroska", "flac", 2, _SR), ("webm", "webm", "libopus", 2, 48000)
    ),
    "frames": _containers(
        "slices", ("aac", "adts", "aac", 1, _SR), ("ac3", "ac3", "ac3", 2, 32000)
    ),
    "wma": _containers("slices", ("wma", "asf", "wmav2", 2, 32000)),
    "wavpack": _containers("slices", ("wv", "wv", "wavpack", 1, _SR)),
    "manifest": _manifests,
    "journal": _journals,
    "dictionary": _dictionaries,
    "factorization": _factorizations,
    "record": _records,
    "table": _tables,
    "project": _projects,
    "regions": lambda: [Seed("regions.txt", "text", content) for content in _REGIONS],
    "midi": _midis,
    "musicxml": lambda: [Seed("x.musicxml", "xml", _MUSICXML)],
    "mxl": _mxls,
    "labels": lambda: [Seed("x.txt", "text", _LABELS)],
}

KINDS = tuple(_SEEDS)
"""All kinds of files."""

SOUND_KINDS = KINDS[: KINDS.index("manifest")]
"""Formats of recordings."""
