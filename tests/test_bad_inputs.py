"""Everything a disk of recordings may hold, in one run: each gets its sentence, none stops it."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path

import files
import numpy as np
import pytest


def _header(path, at, content):
    data = bytearray(path.read_bytes())
    data[at : at + len(content)] = content
    path.write_bytes(data)


def make_empty(path):
    path.touch()


def make_header_of_20_bytes(path):
    files.write_sound(path)
    path.write_bytes(path.read_bytes()[:20])


def make_header_only(path):
    files.write_sound(path)
    path.write_bytes(path.read_bytes()[:44])


def make_no_frames(path):
    files.write_sound(path, np.zeros((2, 0), dtype=np.float32))


def make_text(path):
    path.write_text("Side A: wedding, 1974\n" * 20)


def make_zeros(path):
    path.write_bytes(bytes(10_000))


def make_folder(path):
    path.mkdir()


def make_dangling_link(path):
    path.symlink_to("nowhere.wav")


def make_loop(path):
    path.symlink_to(path.name)


def make_pipe(path):
    os.mkfifo(path)


def make_nan(path):
    samples = files.noise()
    samples[1, 2000] = np.nan
    files.write_sound(path, samples, subtype="FLOAT")


def make_infinite(path):
    samples = files.noise()
    samples[0, 0] = np.inf
    files.write_sound(path, samples, subtype="FLOAT")


def make_slow(path):
    files.write_sound(path)
    _header(path, 24, struct.pack("<I", 1))


def make_quick(path):
    files.write_sound(path)
    _header(path, 24, struct.pack("<I", 10_000_000))


def make_cut_flac(path):
    files.write_sound(path, files.noise(5 * 44100), 44100, format="FLAC")
    files.cut(path, 0.6)


def make_rotten_flac(path):
    files.write_sound(path, files.noise(44100), 44100, format="FLAC")
    _header(path, 60_000, b"rotten bytes " * 20)


def make_m4a(path):
    path.write_bytes(b"\0\0\0\x20ftypM4A " + bytes(100))


def make_nothing(path):
    pass


BAD = [
    ("empty.wav", make_empty, "is empty (0 bytes)"),
    ("header20.wav", make_header_of_20_bytes, "has a damaged header"),
    ("header44.wav", make_header_only, "is cut, and none of its sound can be decoded"),
    ("noframes.wav", make_no_frames, "holds no audio"),
    ("text.wav", make_text, "is not audio that can be read"),
    ("zeros.wav", make_zeros, "is not audio that can be read"),
    ("folder.wav", make_folder, "is a folder without recordings"),
    ("dangling.wav", make_dangling_link, "is a link that points nowhere"),
    ("loop.wav", make_loop, "cannot be opened"),
    ("pipe.wav", make_pipe, "is not a regular file"),
    ("nan.wav", make_nan, "sample 2000 of channel 2 (at 0.250 s) is nan"),
    ("infinite.wav", make_infinite, "sample 0 of channel 1 (at 0.000 s) is inf"),
    ("slow.wav", make_slow, "implausible sample rate of 1 Hz"),
    ("quick.wav", make_quick, "implausible sample rate of 10000000 Hz"),
    ("cut.flac", make_cut_flac, "is damaged after 2."),
    ("rotten.flac", make_rotten_flac, "is damaged after 0."),
    ("tape.m4a", make_m4a, "is MP4 that cannot be opened"),
    ("absent.wav", make_nothing, "does not exist"),
]
WARNED = {"cut.wav": "ends early: 0.25 s", "cut.mp3": "ends early: 2."}
GOOD = ["good.wav", "silent.wav", "constant.wav", "one.wav", "really-flac.wav", "loud.wav"]


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """One run over all of them, in JSON and in words."""
    folder = tmp_path_factory.mktemp("bad")
    for name, make, _ in BAD:
        make(folder / name)
    files.cut(files.write_sound(folder / "cut.wav"), 0.5)
    files.write_sound(folder / "cut.mp3", files.noise(40000), format="MP3", subtype=None)
    files.cut(folder / "cut.mp3", 0.6)
    files.write_sound(folder / "good.wav")
    files.write_sound(folder / "silent.wav", np.zeros((2, 4000), dtype=np.float32))
    files.write_sound(folder / "constant.wav", np.full((2, 4000), 0.25, dtype=np.float32))
    files.write_sound(folder / "one.wav", files.integers(1, 1))
    files.write_sound(folder / "really-flac.wav", format="FLAC")
    files.write_sound(folder / "loud.wav", files.noise(peak=38.0), subtype="FLOAT")
    names = [name for name, *_ in BAD] + list(WARNED) + GOOD
    paths = [str(folder / name) for name in names]
    out = folder / "out"
    first = files.audiosep("split", *files.SMALL, "--json", "-o", str(out), *paths)
    entries = {Path(e["input"]).name: e for e in map(json.loads, first.out.splitlines())}
    words = files.audiosep("split", *files.SMALL, "--retry-failed", "-o", str(out), *paths)
    return folder, first, entries, words


def test_every_input_has_its_line_and_the_code_says_some_failed(ran):
    _, first, entries, words = ran
    assert first.code == words.code == 1
    assert len(entries) == len(first.out.splitlines()) == len(BAD) + len(WARNED) + len(GOOD)


@pytest.mark.parametrize(("name", "wanted"), [(name, words) for name, _, words in BAD])
def test_bad(ran, name, wanted):
    folder, _, entries, words = ran
    entry = entries[name]
    assert (entry["status"], entry["stems"]) == ("failed", {})
    sentence = entry["error"]
    assert sentence.startswith(f"{folder / name} ")
    assert wanted in sentence
    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert "unexpected" not in sentence
    assert not (folder / "out" / Path(name).stem).is_dir() or name.startswith("cut")
    # On the terminal it is the same sentence, once.
    assert words.err.splitlines().count(f"audiosep: {sentence}") == 1


@pytest.mark.parametrize("name", WARNED)
def test_warned(ran, name):
    entry = ran[2][name]
    assert entry["status"] == "done"
    (warning,) = entry["warnings"]
    assert WARNED[name] in warning
    assert entry["null_test_db"] < -120


@pytest.mark.parametrize("name", GOOD)
def test_good(ran, name):
    entry = ran[2][name]
    assert (entry["status"], entry["error"]) == ("done", None)
    assert entry["null_test_db"] < -120
    total = sum(files.sounds(path).astype(np.float64) for path in entry["stems"].values())
    mixture = files.sounds(ran[0] / name)
    assert total.shape == mixture.shape
    assert np.abs(total - mixture).max() <= 1e-6 * max(1.0, np.abs(mixture).max())


def test_no_traceback_and_nothing_half_written(ran):
    folder, first, _, words = ran
    assert "Traceback" not in first.err + words.err
    assert files.leftovers(folder) == []
    for place in (folder / "out").glob("[!.]*"):
        assert (place / "audiosep.json").is_file()
        assert len(list(place.glob("source-*.wav"))) == 2


def test_the_second_run_had_nothing_left_to_do(ran):
    _, _, entries, words = ran
    n_done = sum(entry["status"] == "done" for entry in entries.values())
    assert n_done == len(WARNED) + len(GOOD)
    assert f" {n_done} done before, " in words.err
