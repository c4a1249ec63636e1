"""A folder with ten broken files among good ones, as a new user would try it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import commanding
import files
import numpy as np
import pytest
import soundfile as sf

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "damaged.md"
GOOD = ("good-1.wav", "good-2.flac", "reel/good-3.wav")
N_BROKEN = 10


def make_folder(top):
    """Three good recordings, and ten that are broken, each in its own way."""
    samples, sr = sf.read(ROOT / "examples/audio/song/mixture.flac", dtype="float32")
    samples = samples[np.newaxis, : 2 * sr]
    (top / "reel").mkdir(parents=True)
    for name in GOOD:
        kind = "FLAC" if name.endswith("flac") else "WAV"
        files.write_sound(top / name, samples, sr, format=kind)
    whole = {}
    for kind, subtype in [("WAV", "PCM_16"), ("FLAC", "PCM_16"), ("AIFF", "PCM_16")]:
        whole[kind] = _bytes_of(top, samples, sr, kind, subtype)
    for kind, subtype in [("MP3", "MPEG_LAYER_III"), ("OGG", "VORBIS")]:
        whole[kind] = _bytes_of(top, samples, sr, kind, subtype)
    half = {kind: len(data) // 2 for kind, data in whole.items()}
    flac, mp3 = whole["FLAC"], whole["MP3"]
    broken = {
        "cut.wav": whole["WAV"][: half["WAV"]],
        "cut.flac": flac[: half["FLAC"]],
        "cut.mp3": mp3[: half["MP3"]],
        "cut.ogg": whole["OGG"][: half["OGG"]],
        "hole.mp3": mp3[: half["MP3"]] + mp3[half["MP3"] + 2000 :],
        "rotten.flac": flac[: half["FLAC"]] + b"rot!" * 25 + flac[half["FLAC"] + 100 :],
        "reel/header.aiff": whole["AIFF"][:20],
        "reel/empty.wav": b"",
        "reel/notes.wav": b"no sound\n" * 99,
    }
    for name, data in broken.items():
        (top / name).write_bytes(data)
    odd = samples.copy()
    odd[0, sr] = np.nan
    files.write_sound(top / "reel/nan.wav", odd, sr, subtype="FLOAT")
    assert len(broken) + 1 == N_BROKEN


def _bytes_of(folder, samples, sr, kind, subtype):
    path = files.write_sound(folder / "whole", samples, sr, format=kind, subtype=subtype)
    data = path.read_bytes()
    path.unlink()
    return data


def transcripts():
    """Commands of the page that are shown with what they say, and the lines."""
    blocks = re.findall(r"```console\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    for block in blocks:
        for part in re.split(r"^\$ audiosep ", block, flags=re.MULTILINE)[1:]:
            command, _, said = part.partition("\n")
            yield command, said.splitlines()


def like(lines):
    """Lines without numbers, which differ with codecs and computers."""
    return sorted(re.sub(r"\d+(\.\d+)?", "N", line) for line in lines)


@pytest.fixture
def inside(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    return commanding.runner(monkeypatch, capsys)


def test_the_page_shows_what_is_said(inside):
    make_folder(Path("tapes"))
    shown = list(transcripts())
    assert len(shown) >= 3
    for line, said in shown:
        command, _, to_file = line.partition(" > ")
        ended = inside(*command.split())
        assert "Traceback" not in ended.err
        lines = [] if to_file else ended.out.splitlines()
        lines += [w for w in ended.err.splitlines() if not re.search(" stems in |compiling", w)]
        assert like(lines) == like(said), command


@pytest.mark.parametrize("recursive", [[], ["-r"], ["-r", "--jobs", "2"]], ids=str)
def test_the_good_ones_are_done_and_each_other_has_its_words(inside, recursive):
    make_folder(Path("tapes"))
    if not recursive:
        for path in sorted(Path("tapes/reel").iterdir()):
            shutil.move(path, Path("tapes"))
    ended = inside(
        "split", "tapes", *recursive, "--preset", "harmonic-percussive", "-o", "out", "-q"
    )
    assert ended.code == 1
    assert "Traceback" not in ended.err
    done = {path.parent.name for path in Path("out").rglob("audiosep.json")}
    taken = {"cut.wav", "cut.mp3", "cut.ogg", "hole"}
    assert done >= {"good-1", "good-2", "good-3", "hole"}
    assert len(done) == len(GOOD) + len(taken)
    refused = [line for line in ended.err.splitlines() if "warning" not in line]
    assert len(refused) == N_BROKEN - len(taken)
    for line in refused:
        assert re.match(
            r"audiosep: tapes/\S+ .*[;:,] (\w+ )*(restore|repair|convert|copy|take)", line
        )
