"""The catalogue of bad inputs, row by row: what is read, on the command line and in Python."""

from __future__ import annotations

import json
import os
import re
import struct
import subprocess
import sys
from pathlib import Path

import files
import numpy as np
import pytest
import soundfile as sf
from containers import write_container

import audiosep
from audiosep import ReadOptions, cli
from audiosep.errors import DamagedAudioError, InputError, RefusedError, UsageError
from audiosep.io import formats, info, open_recording
from audiosep.io.reading import scan_recording
from audiosep.io.tapes import FileTape

STRICT = ReadOptions(damaged="refuse")
SALVAGE = ReadOptions(damaged="salvage")
ZERO = ReadOptions(fix_nonfinite="zero")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(here, monkeypatch, capsys):
    """Run the command inside this process: the same code, without the start."""

    def command(*arguments):
        monkeypatch.setattr(sys, "argv", ["audiosep", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        said = capsys.readouterr()
        return files.Ended(caught.value.code or 0, said.out, said.err)

    return command


@pytest.fixture
def split(run):
    """Split recordings; gives the exit code and the entry of each."""

    def command(*arguments):
        ended = run("split", *files.SMALL, "--json", *arguments)
        assert "Traceback" not in ended.err
        entries = [json.loads(line) for line in ended.out.splitlines()]
        return ended.code, entries[0] if len(entries) == 1 else entries

    return command


def refused(split, name, words, *options, code=3, error=InputError, next_step=None, reading=None):
    """One sentence that says what is wrong and what to do; nothing is written."""
    ended, entry = split(name, *options)
    assert (ended, entry["status"]) == (code, "failed")
    assert entry["error"].startswith(f"{name} ")
    assert re.search(words, entry["error"])
    assert next_step is None or next_step in entry["error"]
    assert entry["error"].endswith(".")
    assert "\n" not in entry["error"]
    assert not Path("separated").exists()
    with pytest.raises(error, match=words):
        audiosep.separate(name, **files.SMALL_SETTINGS, reading=reading or ReadOptions())


def taken(split, name, *options, warned=None, code=0):
    """Stems that sum to what was read; returns the entry and their sum."""
    ended, entry = split(name, *options)
    assert (ended, entry["status"]) == (code, "done"), entry["error"]
    if warned is None:
        assert entry["warnings"] == []
    else:
        assert re.search(warned, " ".join(entry["warnings"]))
    assert entry["null_test_db"] < -120
    total = sum(files.sounds(path).astype(np.float64) for path in entry["stems"].values())
    assert np.isfinite(total).all()
    in_python(name, options, entry["warnings"], total)
    return entry, total


def in_python(name, options, warnings, total):
    """The same from Python: the same warnings, but for those of files, and the same sum."""
    given = dict(zip(options, [*options[1:], None], strict=False))
    damaged = "refuse" if "--strict" in given else "salvage" if "--salvage" in given else "warn"
    how = ReadOptions(
        damaged=damaged,
        fix_nonfinite=given.get("--fix-nonfinite"),
        stream=int(given["--stream"]) if "--stream" in given else None,
        max_duration=float(given["--max-duration"]) if "--max-duration" in given else None,
    )
    part = {"duration": float(given["--duration"])} if "--duration" in given else {}
    made = audiosep.separate(name, **files.SMALL_SETTINGS, **part, reading=how)
    assert set(made.record["warnings"]) <= set(warnings)
    assert len(warnings) - len(made.record["warnings"]) <= 1
    summed = sum(stem.samples.astype(np.float64) for stem in made.stems.values())
    assert summed.shape == total.shape
    # The files have been rounded to the depth of the recording.
    assert np.abs(summed - total).max() <= 2.0**-15 * max(1.0, np.abs(total).max())


def adds_up(total, mixture):
    assert total.shape == mixture.shape
    assert np.abs(total - mixture).max() <= 1e-6 * max(1.0, np.abs(mixture).max())


def test_row_01_empty(split, here):
    Path("x.wav").touch()
    refused(split, "x.wav", r"is empty \(0 bytes\)", next_step="restore it from a backup")


@pytest.mark.parametrize("format_", ["WAV", "AIFF", "FLAC", "OGG", "CAF", "W64", "RF64"])
def test_row_02_truncated_header(split, here, format_):
    files.write_sound(here / "x.wav", format=format_, subtype=None)
    Path("x.wav").write_bytes(Path("x.wav").read_bytes()[:20])
    words = "header|is not audio that can be read"
    refused(split, "x.wav", words)


@pytest.mark.parametrize("n_bytes", [44, None])
def test_row_03_header_without_samples(split, here, n_bytes):
    empty = np.zeros((2, 0), dtype=np.float32)
    files.write_sound(here / "x.wav", None if n_bytes else empty)
    if n_bytes:
        Path("x.wav").write_bytes(Path("x.wav").read_bytes()[:n_bytes])
    words = "is cut, and none of its sound can be decoded" if n_bytes else "holds no audio"
    refused(split, "x.wav", words, next_step="restore it from a backup")


@pytest.mark.parametrize("riff_size", [0, 36, None])
@pytest.mark.parametrize("format_", ["WAV", "RF64", "AIFF"])
def test_row_04_length_of_zero_with_sound_behind_it(split, run, here, format_, riff_size):
    path = files.write_sound(here / "x.wav", files.integers(), format=format_)
    whole = files.sounds(path)
    data = bytearray(path.read_bytes())
    if format_ == "RF64":
        at = data.index(b"ds64") + 16
        data[at : at + 8] = bytes(8)
    else:
        at = data.index(b"data" if format_ == "WAV" else b"SSND") + 4
        data[at : at + 4] = bytes(4)
    if riff_size is not None:
        order = "big" if format_ == "AIFF" else "little"
        data[4:8] = riff_size.to_bytes(4, order)
    path.write_bytes(data)
    _, total = taken(split, "x.wav", warned="gives a length of 0, as a recorder leaves it")
    np.testing.assert_array_equal(total[:, : whole.shape[1]], whole)
    assert open_recording(path).is_damaged
    assert run("info", "x.wav").out.endswith("not closed: its header gives a length of 0\n")
    refused_after = split("x.wav", "--strict")[1]
    assert "gives a length of 0" in refused_after["error"]


def test_row_04_unknown_length_is_whole(split, here):
    path = files.write_sound(here / "x.wav", files.integers())
    data = bytearray(path.read_bytes())
    data[4:8] = data[40:44] = b"\xff" * 4
    path.write_bytes(data)
    _, total = taken(split, "x.wav", "--strict")
    adds_up(total, files.integers())


def test_row_05_cut_wav_is_taken_with_a_warning(split, here):
    path = files.cut(files.write_sound(here / "x.wav", files.integers(4000, 1)), 0.5)
    words = r"ends early: 0\.25 s of 0\.50 s \(50\.\d %\) are missing"
    entry, total = taken(split, "x.wav", warned=words)
    adds_up(total, files.sounds(path))
    record = json.loads((here / "separated/x/audiosep.json").read_text())
    assert record["input"]["damaged"] is True
    with pytest.warns(UserWarning, match=words):
        assert audiosep.read(path).n_samples == 1989
    assert entry["stems"]


def test_row_05_cut_wav_is_refused_when_strict(split, here):
    files.cut(files.write_sound(here / "x.wav", files.integers(4000, 1)), 0.5)
    refused(
        split, "x.wav", r"--strict.* refuses that: the file ends early", "--strict", reading=STRICT
    )
    with pytest.raises(DamagedAudioError, match="ends early"):
        audiosep.read("x.wav", options=STRICT)
    # Stems that were made without it are not good enough for it.
    assert split("x.wav")[1]["status"] == "done"
    assert split("x.wav", "--strict")[1]["status"] == "failed"
    assert split("x.wav")[1]["status"] == "skipped"


@pytest.mark.parametrize("format_", ["AIFF", "W64", "RF64", "CAF", "AU"])
def test_row_05_other_cut_files_of_chunks(split, here, format_):
    path = files.write_sound(here / "x.aud", files.integers(4000, 1), format=format_)
    files.cut(path, 0.6)
    _, total = taken(split, "x.aud", warned=r"ends early: 0\.\d\d s of 0\.50 s")
    assert 1500 < total.shape[1] < 2500
    np.testing.assert_array_equal(total, files.integers(4000, 1)[:, : total.shape[1]])


def rotten_flac(path):
    """Four seconds of which a part in the middle cannot be decoded; returns them as they were."""
    samples = files.integers(4 * 44100, 2)
    files.write_sound(path, samples, 44100, format="FLAC")
    data = bytearray(path.read_bytes())
    half = len(data) // 2
    data[half : half + 100] = b"rot!" * 25
    path.write_bytes(data)
    return samples


def test_row_06_rotten_flac_is_refused_with_its_place(split, here):
    rotten_flac(here / "x.flac")
    refused(
        split,
        "x.flac",
        r"is damaged after [12]\.\d\d s",
        error=DamagedAudioError,
        next_step="take what can be read with 'audiosep split --salvage'",
    )


def test_row_06_rotten_flac_salvaged(split, run, here):
    samples = rotten_flac(here / "x.flac")
    words = r"0\.\d\d s could not be decoded and are silent, from [12]\.\d\d s to [12]\.\d\d s"
    entry, total = taken(split, "x.flac", "--salvage", warned=words)
    assert total.shape == samples.shape  # nothing moves in time
    silent = (total == 0).all(axis=0)
    assert 0 < np.count_nonzero(silent) <= 3 * 4096
    np.testing.assert_array_equal(total[:, ~silent], samples[:, ~silent])
    with pytest.warns(UserWarning, match=words):
        audio = audiosep.read("x.flac", options=SALVAGE)
    np.testing.assert_array_equal(audio.samples, total.astype(np.float32))
    # What was written can be checked again, and is found again.
    assert run("verify", "separated").out.endswith("add up to the recording exactly\n")
    assert split("x.flac", "--salvage")[1]["stems"] == entry["stems"]


def test_row_06_cut_flac(split, here):
    samples = files.integers(4 * 44100, 1)
    files.cut(files.write_sound(here / "x.flac", samples, 44100, format="FLAC"), 0.6)
    refused(split, "x.flac", r"is damaged after 2\.\d\d s", error=DamagedAudioError)
    _, total = taken(split, "x.flac", "--salvage", warned=r"ends early: 1\.\d\d s of 4\.00 s")
    assert 2.2 * 44100 < total.shape[1] < 2.6 * 44100
    np.testing.assert_array_equal(total, samples[:, : total.shape[1]])


def test_row_06_strict_and_salvage_do_not_go_together(run, here):
    files.write_sound(here / "x.wav")
    ended = run("split", "x.wav", "--strict", "--salvage")
    assert ended.code == 2
    assert "--strict refuses what --salvage takes" in ended.err


@pytest.mark.parametrize(
    ("format_", "subtype", "words"),
    [
        ("MP3", "MPEG_LAYER_III", r"ends early: \d\.\d\d s of 5\.\d\d s"),
        ("OGG", "VORBIS", "ends early: it has no end mark"),
        ("OGG", "OPUS", "ends early: it has no end mark"),
    ],
)
def test_row_07_cut_lossy_files(split, run, here, format_, subtype, words):
    noise = files.noise(5 * 48000, 1, peak=0.3)
    path = files.write_sound(here / "x", noise, 48000, format=format_, subtype=subtype)
    assert "cut" not in run("info", "x").out
    files.cut(path, 0.6)
    assert "; cut: " in run("info", "x").out
    assert open_recording(path).is_damaged
    refused(split, "x", "ends early", "--strict", reading=STRICT)
    taken(split, "x", warned=words)


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_row_07_a_hole_in_an_ogg(split, here, subtype):
    noise = files.noise(5 * 48000, 1, peak=0.3)
    path = files.write_sound(here / "x.ogg", noise, 48000, format="OGG", subtype=subtype)
    data = bytearray(path.read_bytes())
    half = len(data) // 2
    data[half : half + 200] = b"rot!" * 50
    path.write_bytes(data)
    taken(split, "x.ogg", warned="is damaged inside: .* what follows comes too early")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_row_08_not_finite(split, run, here, value):
    samples = files.noise()
    samples[1, 2000] = value
    samples[0, 3000:3002] = -value
    files.write_sound(here / "x.wav", samples, subtype="FLOAT")
    words = rf"sample 2000 of channel 2 \(at 0\.250 s\) is {value}"
    refused(split, "x.wav", words, next_step="--fix-nonfinite zero")
    _, total = taken(
        split,
        "x.wav",
        "--fix-nonfinite",
        "zero",
        warned="3 samples were no numbers and are taken as silence; the first: sample 2000",
    )
    mended = np.where(np.isfinite(samples), samples, 0)
    adds_up(total, mended)
    with pytest.warns(UserWarning, match="3 samples were no numbers"):
        np.testing.assert_array_equal(audiosep.read("x.wav", options=ZERO).samples, mended)
    assert "whole" not in run("verify", "separated").err
    assert run("verify", "separated").code == 0


def test_row_08_only_zero_is_known(run, here):
    files.write_sound(here / "x.wav")
    ended = run("split", "x.wav", "--fix-nonfinite", "mean")
    assert (ended.code, "use zero" in ended.err) == (2, True)


def test_row_09_louder_than_full_scale(split, here):
    samples = files.noise(peak=38.0)
    files.write_sound(here / "x.wav", samples, subtype="FLOAT")
    _, total = taken(split, "x.wav")
    adds_up(total, samples)
    entry, total = taken(split, "x.wav", "--bits", "16", warned="full scale|float")
    adds_up(total, samples)
    assert {sf.info(path).subtype for path in entry["stems"].values()} == {"FLOAT"}


def test_row_10_silence(split, here):
    files.write_sound(here / "x.wav", np.zeros((2, 4000), dtype=np.float32))
    _, total = taken(split, "x.wav", warned="the recording is silent, and so are the stems")
    assert not total.any()


def test_row_11_a_constant(split, here):
    samples = np.full((2, 4000), 0.25, dtype=np.float32)
    files.write_sound(here / "x.wav", samples)
    _, total = taken(split, "x.wav")
    adds_up(total, samples)


def test_row_12_denormals(split, here):
    samples = files.noise() * np.float32(1e-39)
    assert 0 < np.abs(samples).max() < np.finfo(np.float32).tiny
    files.write_sound(here / "x.wav", samples, subtype="FLOAT")
    _, total = taken(split, "x.wav")
    adds_up(total, samples)


@pytest.mark.parametrize("n_samples", [1, 5])
def test_row_13_very_short(split, here, n_samples):
    samples = files.integers(n_samples, 1)
    files.write_sound(here / "x.wav", samples)
    _, total = taken(split, "x.wav")
    np.testing.assert_array_equal(total, samples)


@pytest.mark.parametrize(
    ("subtype", "wanted"),
    [
        ("ULAW", "PCM_16"),
        ("ALAW", "PCM_16"),
        ("PCM_U8", "PCM_24"),
        ("PCM_16", "PCM_16"),
        ("PCM_24", "PCM_24"),
        ("DOUBLE", "FLOAT"),
    ],
)
def test_rows_14_and_15_depths(split, here, subtype, wanted):
    path = files.write_sound(here / "x.wav", subtype=subtype)
    entry, total = taken(split, "x.wav")
    adds_up(total, files.sounds(path))
    for stem in entry["stems"].values():
        about = sf.info(stem)
        assert (about.subtype, about.samplerate, about.channels) == (wanted, 8000, 2)


def test_row_16_high_rates(split, run, here):
    files.write_sound(here / "x.wav", files.integers(6000), 192_000)
    _, total = taken(split, "x.wav")
    adds_up(total, files.integers(6000))
    assert re.search(
        r"192000 Hz.*about \d+ MB of memory",
        run("split", "x.wav", "--dry-run", "--exists", "overwrite").out,
    )


@pytest.mark.parametrize("sr", [1, 10_000_000])
def test_row_17_implausible_rates(split, here, sr):
    path = files.write_sound(here / "x.wav")
    data = bytearray(path.read_bytes())
    data[24:28] = struct.pack("<I", sr)
    path.write_bytes(data)
    words = f"implausible sample rate of {sr} Hz"
    refused(split, "x.wav", words, error=DamagedAudioError, next_step="restore it from a backup")


def test_row_18_channels(split, here):
    samples = files.integers(2000, 16)
    files.write_sound(here / "many.wav", samples)
    _, total = taken(split, "many.wav")
    np.testing.assert_array_equal(total, samples)
    path = files.write_sound(here / "x.wav", files.integers(2000, 1))
    data = bytearray(path.read_bytes())
    data[22:24] = struct.pack("<H", 2000)
    path.write_bytes(data)
    _, entry = split("x.wav")
    assert entry["status"] == "failed"
    assert "header" in entry["error"]


@pytest.mark.parametrize("second", [1.0, -1.0, 0.0])
def test_row_19_identical_inverted_and_dead_channels(split, here, second):
    one = files.noise(4000, 1)
    samples = np.concatenate([one, np.float32(second) * one])
    files.write_sound(here / "x.wav", samples, subtype="FLOAT")
    adds_up(taken(split, "x.wav")[1], samples)
    with pytest.raises(InputError, match=r"there is no stereo difference.*use a preset"):
        audiosep.separate("x.wav", preset="stereo", n_sources=2)
    samples += files.noise(4000, 2, peak=0.05, seed=5)  # nearly the same, as in the world
    separated = audiosep.separate(samples, 8000, preset="stereo", n_sources=2, max_iter=3)
    total = sum(stem.samples.astype(np.float64) for stem in separated.stems.values())
    adds_up(total, samples)


def huge(path, format_):
    """A file of 4.5 GB of which the disk holds only the ends; returns its last samples."""
    n_samples = 2_250_000_000
    files.write_sound(path, files.integers(8, 1), format=format_)
    data = bytearray(path.read_bytes())
    if format_ == "RF64":
        at = data.index(b"ds64")
        data[at + 16 : at + 24] = struct.pack("<Q", 2 * n_samples)
        data[at + 24 : at + 32] = struct.pack("<Q", n_samples)
        first = data.index(b"data") + 8
    elif format_ == "W64":
        at = data.index(b"data\xf3\xac")
        data[at + 16 : at + 24] = struct.pack("<Q", 24 + 2 * n_samples)
        data[16:24] = struct.pack("<Q", at + 24 + 2 * n_samples)
        first = at + 24
    else:
        at = data.index(b"data")
        data[at + 4 : at + 12] = struct.pack(">q", 4 + 2 * n_samples)
        first = at + 16
    last = np.arange(1, 9, dtype=">i2" if format_ == "CAF" else "<i2")
    with path.open("wb") as file:
        file.write(data[:first])
        file.seek(first + 2 * (n_samples - 8))
        file.write(last.tobytes())
    return n_samples, last.astype(np.float32) / 32768


@pytest.mark.parametrize("format_", ["RF64", "W64", "CAF"])
def test_row_20_larger_than_4_gb(run, here, format_):
    n_samples, last = huge(here / "x.aud", format_)
    about = info("x.aud")
    assert about.n_samples == n_samples
    ended = run("info", "x.aud", "--json")
    assert json.loads(ended.out)["cut"] is False
    part = open_recording("x.aud", start=(n_samples - 8) / 8000)
    np.testing.assert_array_equal(part.audio.samples[0], last)
    assert part.warnings == ()
    with open("x.aud", "r+b") as file:  # noqa: PTH123
        file.truncate(file.seek(0, 2) - 8_000_000_00)
    assert json.loads(run("info", "x.aud", "--json").out)["missing_s"] == 50_000


def test_row_21_stems_beyond_4_gib_are_rf64(split, here, monkeypatch):
    files.write_sound(here / "x.wav", files.integers())
    monkeypatch.setattr(formats, "RIFF_LIMIT", 10_000)
    entry, total = taken(split, "x.wav", warned="larger than 4 GiB, so they are RF64")
    adds_up(total, files.integers())
    assert {Path(path).read_bytes()[:4] for path in entry["stems"].values()} == {b"RF64"}


@pytest.mark.parametrize("name", ["x.wav", "x.mp3", "x.m4a"])
def test_row_22_wrong_name(split, here, name):
    files.write_sound(here / name, files.integers(), format="FLAC")
    words = f"its name ends in {name[1:]}, but it is FLAC"
    _, total = taken(split, name, "--strict", warned=re.escape(words))
    adds_up(total, files.integers())


@pytest.mark.parametrize(
    "content", [b"no sound\n" * 99, b"%PDF-1.7\n" * 99, b"\x89PNG\r\n\x1a\n" * 99]
)
def test_row_23_not_audio(split, run, here, content):
    Path("x.wav").write_bytes(content)
    refused(split, "x.wav", "is not audio that can be read: it is", next_step="restore it")
    Path("tapes").mkdir()
    Path("x.wav").rename("tapes/x.wav")
    files.write_sound(here / "tapes" / "good.wav")
    code, entries = split("tapes", "-r")
    assert code == 1
    assert sorted(entry["status"] for entry in entries) == ["done", "failed"]
    # Passed over and counted, also when it is only remembered; a name that promises sound may
    # stand for a recording that was lost, so that not all was done.
    for _ in range(2):
        ended = run("split", *files.SMALL, "tapes", "-r")
        assert ended.code == 1
        counted = "1 done before, 1 failed, 1 of them no audio"
        assert ended.err.splitlines()[-1] == f"audiosep: 0 done, {counted}"


WITHOUT = "import sys; sys.modules['av'] = None; from audiosep.cli import main; main()"


def test_row_24_without_the_extra(here):
    starts = {
        "x.m4a": b"\0\0\0\x20ftypM4A ",
        "x.wma": bytes.fromhex("3026b2758e66cf11"),
        "x.mkv": b"\x1a\x45\xdf\xa3",
        "x.bin": b"\0\0\0\x20ftypisom",
    }
    for name, start in starts.items():
        Path(name).write_bytes(start + bytes(500))
    command = [sys.executable, "-c", WITHOUT, "info", *starts]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    words = "needs PyAV: pip install 'audiosep[formats]', or convert it"
    assert [words in line for line in done.stderr.splitlines()] == [True] * 4


def test_row_24_with_the_extra(split, run, here):
    samples = files.integers(48000, 2)
    write_container(here / "x.m4a", [samples], codec="alac", form="s16p")
    _, total = taken(split, "x.m4a")
    np.testing.assert_array_equal(total, samples)
    assert run("info", "x.m4a").out.startswith("x.m4a: MP4 ALAC, 48000 Hz, stereo, 1.00 s")
    assert run("verify", "separated").code == 0
    t = np.arange(30000) / 44100
    tone = np.float32(0.5) * np.sin(2 * np.pi * 440 * t, dtype=np.float32)[np.newaxis]
    write_container(here / "lossy.m4a", [np.repeat(tone, 2, axis=0)], 44100)
    lossy = open_recording("lossy.m4a")
    assert lossy.warnings == ()
    assert abs(lossy.audio.n_samples - 30000) < 50  # to a millisecond
    assert np.corrcoef(lossy.audio.samples[0, :29000], tone[0, :29000])[0, 1] > 0.99


def test_row_24_cut_and_in_parts(run, here):
    samples = files.noise(3 * 48000)
    write_container(here / "x.mkv", [samples], codec="flac", form="s16")
    whole = open_recording("x.mkv").audio.samples
    part = open_recording("x.mkv", start=1.0, duration=0.5).audio.samples
    np.testing.assert_array_equal(part, whole[:, 48000:72000])
    tape = FileTape.of(Path("x.mkv"), scan_recording("x.mkv"))
    for first, last in [(100_000, 101_000), (50, 60_000), (0, 10)]:  # forth and back
        np.testing.assert_array_equal(tape.part(first, last).samples, whole[:, first:last])
    tape.close()
    files.cut("x.mkv", 0.5)
    assert "ends early" in " ".join(open_recording("x.mkv", options=SALVAGE).warnings)
    write_container(here / "y.m4a", [samples])
    files.cut("y.m4a", 0.5)
    assert "cannot be opened" in run("info", "y.m4a").err


def test_row_25_video(split, here):
    samples = [files.noise(24000, seed=seed, peak=0.4) for seed in (1, 2)]
    write_container(here / "none.mp4", [], video=True)
    refused(split, "none.mp4", "has no audio track")
    write_container(here / "one.mp4", samples[:1], video=True)
    assert 24000 <= open_recording("one.mp4").audio.n_samples < 24050  # to a millisecond
    write_container(here / "x.mp4", samples, video=True)
    refused(split, "x.mp4", "holds 2 audio tracks", next_step="choose one with --stream N")
    refused(split, "x.mp4", "no audio track 3", "--stream", "3", reading=ReadOptions(stream=3))
    firsts = open_recording("x.mp4", options=ReadOptions(stream=1)).audio.samples
    seconds = open_recording("x.mp4", options=ReadOptions(stream=2)).audio.samples
    assert not np.array_equal(firsts, seconds)
    entry, total = taken(split, "x.mp4", "--stream", "2")
    adds_up(total, seconds)
    assert taken(split, "x.mp4", "--stream", "1")[0]["stems"] != entry["stems"]
    assert split("x.mp4", "--stream", "2")[1]["status"] == "skipped"


def test_row_25_no_second_track_in_a_wav(run, here):
    files.write_sound(here / "x.wav")
    assert "leave out --stream" in run("split", "x.wav", "--stream", "2").err
    assert run("split", "x.wav", "--stream", "0").code == 2


def test_row_26_folder_with_the_name_of_a_recording(split, run, here):
    Path("x.wav").mkdir()
    code, entry = split("x.wav")
    assert (code, entry["status"]) == (3, "failed")
    assert "is a folder without recordings" in entry["error"]
    with pytest.raises(InputError, match=r"x\.wav is a directory, not a recording"):
        audiosep.read("x.wav")


def test_row_27_links_that_lead_nowhere(split, here):
    Path("dangling.wav").symlink_to("nowhere.wav")
    Path("loop.wav").symlink_to("loop.wav")
    refused(split, "dangling.wav", "is a link that points nowhere")
    refused(split, "loop.wav", "cannot be opened")


@pytest.mark.timeout(60)
def test_row_28_cycles_of_folders(split, here):
    Path("tapes/reel").mkdir(parents=True)
    files.write_sound(here / "tapes/reel/take.wav")
    Path("tapes/reel/up").symlink_to("..")
    Path("tapes/self").symlink_to(".")
    code, entry = split("tapes", "-r")
    assert code == 0
    assert entry["input"] == str(Path("tapes/reel/take.wav"))


LIMITED = """
import resource, sys
from audiosep.cli import main
main_bytes = 3 * 2**30
resource.setrlimit(resource.RLIMIT_AS, (main_bytes, main_bytes))
main()
"""


def test_row_52_a_header_that_lies_about_its_length(split, here):
    path = files.write_sound(here / "x.flac", files.integers(), format="FLAC")
    data = bytearray(path.read_bytes())
    data[21] |= 0x0F
    data[22:26] = b"\xff" * 4
    path.write_bytes(data)
    assert info(path).n_samples == 2**36 - 1
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, "info", "--check", "x.flac"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )
    assert done.returncode == 1, done.stderr
    assert "ends early" in done.stdout
    assert open_recording(path).audio.n_samples == 4000


def test_row_52_more_than_is_allowed(split, run, here):
    path = here / "x.flac"
    with sf.SoundFile(path, "w", 8000, 1, format="FLAC", subtype="PCM_16") as file:
        for _ in range(60):
            file.write(np.zeros(60 * 8000, dtype=np.float32))
    assert path.stat().st_size < 100_000  # an hour of silence
    refused(
        split,
        "x.flac",
        "is longer than the 60 s that --max-duration allows",
        "--max-duration",
        "60",
        code=5,
        error=RefusedError,
        reading=ReadOptions(max_duration=60),
        next_step="--start and --duration",
    )
    taken(split, "x.flac", "--max-duration", "60", "--duration", "2", warned="silent")
    assert run("split", "x.flac", "--max-duration", "0").code == 2


GROWTH = """
import resource, sys
import audiosep
peaks = []
for path in sys.argv[1:]:
    health = audiosep.check_recording(path)
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
print(peaks[-1] - peaks[0], health.n_samples)
"""


def test_row_53_memory_does_not_grow_with_the_length(here):
    noise = files.noise(8000 * 60, 1)
    for name, minutes in (("short.flac", 1), ("long.flac", 40)):
        with sf.SoundFile(here / name, "w", 8000, 1, format="FLAC", subtype="PCM_16") as file:
            for _ in range(minutes):
                file.write(noise[0])
    done = subprocess.run(
        [sys.executable, "-c", GROWTH, "short.flac", "long.flac"],
        capture_output=True,
        text=True,
        check=True,
    )
    growth_kib, n_samples = map(int, done.stdout.split())
    assert n_samples == 40 * 60 * 8000  # 77 MB as floats
    assert growth_kib < 16_000


def test_options_that_cannot_be():
    with pytest.raises(UsageError, match="damaged='keep' is unknown"):
        ReadOptions(damaged="keep")
    with pytest.raises(UsageError, match="fix_nonfinite='mean' is unknown"):
        ReadOptions(fix_nonfinite="mean")
    with pytest.raises(UsageError, match="stream=0"):
        ReadOptions(stream=0)
    with pytest.raises(UsageError, match="max_duration=nan"):
        ReadOptions(max_duration=float("nan"))
    kept = ReadOptions(damaged="salvage", fix_nonfinite="zero", stream=2, max_duration=5)
    assert ReadOptions.from_record(kept.recorded()) == ReadOptions(
        damaged="salvage", fix_nonfinite="zero", stream=2
    )
    assert STRICT.recorded() == {}
    with pytest.raises(UsageError, match="no option 'start'"):
        ReadOptions.from_record({"start": 1})
