"""What is wrong with a recording is found, and nothing is found in a good one."""

from __future__ import annotations

import json
import sys
from dataclasses import FrozenInstanceError
from pathlib import Path

import files
import numpy as np
import pytest
import soundfile as sf

from audiosep import check_recording, cli
from audiosep.errors import InputError
from audiosep.health import CLIP_RUN
from audiosep.io import passes

SR = 8000


def tone(n_samples=SR, peak=0.5, hz=440.0):
    return (peak * np.sin(2 * np.pi * hz * np.arange(n_samples) / SR)).astype(np.float32)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "x.wav"


def checked(path, samples, subtype="FLOAT", sr=SR):
    files.write_sound(path, np.atleast_2d(samples), sr, subtype=subtype)
    return check_recording(path)


@pytest.mark.parametrize("format_", ["WAV", "AIFF", "FLAC", "CAF", "W64", "OGG", "MP3", "AU"])
def test_good_recordings_are_healthy(tmp_path, format_):
    samples = np.stack([tone(), 0.5 * tone(hz=660.0)])
    path = files.write_sound(tmp_path / "x", samples, format=format_, subtype=None)
    health = check_recording(path)
    assert health.is_healthy
    assert (health.problems, health.notes) == ((), ())
    assert (health.missing_s, health.unreadable, health.n_nonfinite) == (0.0, (), 0)
    assert health.n_clipped == 0
    assert health.info.n_channels == 2
    assert abs(health.peak - 0.5) < 0.05
    with pytest.raises(FrozenInstanceError):
        health.n_clipped = 1


def test_cut(path):
    files.cut(files.write_sound(path, tone(2 * SR)[np.newaxis]), 0.5)
    health = check_recording(path)
    assert health.missing_s == pytest.approx(1.0, abs=0.01)
    (problem,) = health.problems
    assert problem.startswith("The file ends early: 1.0")


def test_corrupted_flac_is_read_on_both_sides(tmp_path):
    samples = files.integers(4 * 44100, 1)
    path = files.write_sound(tmp_path / "x.flac", samples, 44100, format="FLAC")
    data = bytearray(path.read_bytes())
    half = len(data) // 2
    data[half : half + 50] = bytes(50)
    path.write_bytes(data)
    health = check_recording(path)
    ((first, last),) = health.unreadable
    assert 1.5 < first < last < 2.5
    assert health.n_samples == 4 * 44100
    assert "could not be decoded and are silent" in health.problems[0]


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "PCM_S8"])
def test_a_flac_that_was_altered(tmp_path, subtype):
    samples = files.integers(6000, 2, n_bits=8)
    path = files.write_sound(tmp_path / "x.flac", samples, format="FLAC", subtype=subtype)
    assert not any("checksum" in problem for problem in check_recording(path).problems)
    data = bytearray(path.read_bytes())
    data[26:42] = b"another checksum"
    path.write_bytes(data)
    assert any("checksum" in problem for problem in check_recording(path).problems)
    data[26:42] = bytes(16)  # there need not be one
    path.write_bytes(data)
    assert not any("checksum" in problem for problem in check_recording(path).problems)


def test_not_numbers(path):
    samples = np.stack([tone(), tone(hz=660.0)])
    samples[1, 4000], samples[0, 5000], samples[0, 5001] = np.nan, np.inf, -np.inf
    health = checked(path, samples)
    assert (health.n_nonfinite, health.first_nonfinite_s) == (3, 0.5)
    assert health.problems == ("3 samples are no numbers, the first at 0.500 s.",)
    assert np.isfinite(health.dc).all()


def naive_clipped(samples):
    """Samples in runs that stand still at full scale, one after the other."""
    n = 0
    for channel in samples:
        at = 0
        while at < len(channel):
            end = at + 1
            while end < len(channel) and channel[end] == channel[at]:
                end += 1
            if end - at >= CLIP_RUN and abs(channel[at]) >= 0.99:
                n += end - at
            at = end
    return n


@pytest.mark.parametrize("block", [3, 4, 7, 1 << 14])
@pytest.mark.parametrize("seed", range(4))
def test_clipped_is_counted_as_by_hand(path, monkeypatch, block, seed):
    monkeypatch.setattr(passes, "_BLOCK_SAMPLES", block)
    rng = np.random.default_rng(seed)
    samples = rng.choice(np.float32([-1.0, 0.995, 1.0, 0.5]), (2, 300), p=[0.3, 0.1, 0.4, 0.2])
    health = checked(path, samples)
    assert health.n_clipped == naive_clipped(samples) > 0


def test_clipped(path):
    samples = np.clip(2.0 * tone(), -1.0, 1.0) + 0 * tone()
    assert checked(path, tone(peak=1.0), "PCM_16").n_clipped == 0  # a peak is not clipped
    health = checked(path, np.clip(4 * tone(), -1, 1), "PCM_16")
    assert health.n_clipped > 1000
    assert "It is clipped" in health.problems[0]
    assert checked(path, 0.9 * samples).n_clipped == 0
    loud = checked(path, tone(peak=3.0))
    assert loud.is_healthy
    assert loud.notes == ("It reaches 9.5 dB above full scale.",)


def test_offset(path):
    health = checked(path, np.stack([tone() + 0.03, tone(hz=660.0)]))
    assert health.dc == pytest.approx((0.03, 0.0), abs=1e-4)
    assert health.problems == ("Channel 1 has an offset (DC) of 3.0 %.",)


@pytest.mark.parametrize(("level", "words"), [(0.0, "all samples are 0"), (5e-5, "reaches -80 dB")])
def test_silent(path, level, words):
    health = checked(path, np.stack([level * tone(), level * tone()]))
    assert health.is_silent
    assert len(health.problems) == 1
    assert words in health.problems[0]
    assert health.dead_channels == ()


def test_nothing_is_said_of_what_is_not_there(path):
    health = checked(path, np.full((1, SR), np.nan, dtype=np.float32))
    assert health.problems == (f"{SR} samples are no numbers, the first at 0.000 s.",)
    assert (health.is_silent, health.dead_channels) == (False, ())
    some = np.zeros((1, SR), dtype=np.float32)
    some[0, 7] = np.nan
    assert checked(path, some).problems[1] == "It is silent: all others are 0."


def test_an_offset_is_one_of_a_sound(path):
    assert checked(path, np.full((1, 3), 0.2, dtype=np.float32)).is_healthy
    loud = tone()
    loud[5] = 1e31
    health = checked(path, loud)
    assert health.problems == ("It reaches 620 dB above full scale: that is no recording.",)
    assert health.notes == ()


def test_dead_channel(path):
    health = checked(path, np.stack([tone(), 0 * tone()]))
    assert health.dead_channels == (2,)
    assert health.problems == ("Channel 2 is dead: it is silent where others are not.",)


def test_inverted_channels(path):
    rng = np.random.default_rng(1)
    noise = 0.01 * rng.standard_normal(SR).astype(np.float32)
    health = checked(path, np.stack([tone(hz=660.0), tone(), noise - tone() + 0.001]))
    assert health.inverted_channels == ((2, 3),)
    assert "one is the other one upside down" in health.problems[0]
    assert checked(path, np.stack([tone(), tone(hz=660.0)])).is_healthy


def test_the_same_channels_are_a_note(path):
    health = checked(path, np.stack([tone(), tone()]))
    assert health.is_healthy
    assert health.notes == ("All channels are the same: it is mono.",)


def test_a_name_that_lies_is_a_note(tmp_path):
    path = files.write_sound(tmp_path / "x.mp3", tone()[np.newaxis])
    health = check_recording(path)
    assert health.is_healthy
    assert "but it is WAV" in health.notes[0]


def test_blocks_make_no_difference(path, monkeypatch):
    samples = np.clip(files.noise(5000, 3, peak=1.5), -1, 1) + np.float32(0.02)
    whole = checked(path, samples)
    monkeypatch.setattr(passes, "_BLOCK_SAMPLES", 333)
    parts = check_recording(path)
    assert parts.dc == pytest.approx(whole.dc, abs=1e-12)
    assert (parts.n_clipped, parts.peak, parts.problems) == (
        whole.n_clipped,
        whole.peak,
        whole.problems,
    )


def test_what_cannot_be_read_is_an_error(tmp_path):
    (tmp_path / "x.wav").write_text("text")
    with pytest.raises(InputError, match=r"x\.wav is not audio that can be read"):
        check_recording(tmp_path / "x.wav")


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def command(*arguments):
        monkeypatch.setattr(sys, "argv", ["audiosep", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        said = capsys.readouterr()
        return files.Ended(caught.value.code or 0, said.out, said.err)

    return command


@pytest.fixture
def tapes(tmp_path):
    """Ten recordings, seven of them broken."""
    folder = tmp_path / "tapes"
    folder.mkdir()
    two = np.stack([tone(), tone(hz=660.0)])
    for name in ("good-1.wav", "good-2.flac", "good-3.wav"):
        files.write_sound(folder / name, two, format=name.rsplit(".", 1)[1].upper())
    files.cut(files.write_sound(folder / "cut.wav", two), 0.5)
    files.cut(files.write_sound(folder / "cut.flac", files.noise(3 * SR), format="FLAC"), 0.5)
    files.cut(files.write_sound(folder / "cut.mp3", two, format="MP3", subtype=None), 0.5)
    files.write_sound(folder / "clipped.wav", np.clip(4 * two, -1, 1))
    files.write_sound(folder / "inverted.wav", np.stack([tone(), -tone()]))
    (folder / "empty.wav").touch()
    (folder / "text.wav").write_text("side A")
    return folder


def test_ten_files_get_a_line_each(run, tapes):
    ended = run("info", "--check", "tapes")
    assert ended.code == 1
    *said, advice = ended.out.splitlines() + ended.err.splitlines()
    assert len(said) == 10
    assert advice.startswith("audiosep: to take them all the same: split --salvage takes what can")
    names = [line.removeprefix("audiosep: ").split(" ")[0].rstrip(":") for line in said]
    lines = {Path(name).name: line for name, line in zip(names, said, strict=True)}
    assert lines["good-1.wav"].endswith("1.00 s: healthy")
    assert "ends early" in lines["cut.wav"]
    assert "ends early" in lines["cut.flac"]
    assert "ends early" in lines["cut.mp3"]
    assert "clipped" in lines["clipped.wav"]
    assert "inverted" in lines["inverted.wav"]
    assert "is empty (0 bytes); copy it again" in lines["empty.wav"]
    assert "is not audio that can be read" in lines["text.wav"]


def test_json_and_exit_codes(run, tapes):
    ended = run("info", "--check", "--json", "tapes")
    entries = {Path(e["input"]).name: e for e in map(json.loads, ended.out.splitlines())}
    assert (ended.code, ended.err, len(entries)) == (1, "", 10)
    statuses = [entry["status"] for entry in entries.values()]
    assert [statuses.count(status) for status in ("ok", "ill", "failed")] == [3, 5, 2]
    assert entries["cut.wav"]["health"]["missing_s"] == pytest.approx(0.5, abs=0.01)
    assert entries["inverted.wav"]["health"]["inverted_channels"] == [[1, 2]]
    assert run("info", "--check", "tapes/good-1.wav", "tapes/good-2.flac").code == 0
    assert run("info", "--check", "tapes/clipped.wav").code == 1
    assert run("info", "--check", "tapes/empty.wav", "tapes/text.wav").code == 3
    assert run("info", "tapes/clipped.wav").code == 0


def test_info_without_a_check_tells_of_cut_files_as_well(run, tapes):
    out = run("info", "tapes").out
    lines = {Path(line.split(":")[0]).name: line for line in out.splitlines()}
    for name in ("cut.wav", "cut.flac", "cut.mp3"):
        assert "; cut: " in lines[name], name
        assert " are missing" in lines[name]
    for name in ("good-1.wav", "good-2.flac", "clipped.wav"):
        assert "cut" not in lines[name].split("; ", 1)[1]


def test_health_is_the_same_in_python_and_on_the_command_line(run, tapes):
    health = check_recording(tapes / "clipped.wav")
    ended = run("info", "--check", "--json", "tapes/clipped.wav")
    told = json.loads(ended.out)["health"]
    assert tuple(told["problems"]) == health.problems
    assert told["n_clipped"] == health.n_clipped
    assert sf.info(tapes / "clipped.wav").frames == told["n_samples"]


def test_json_has_the_path_as_it_is(run, tmp_path):
    for name in ("new\nline.wav", "naïve 🎵.wav"):
        files.write_sound(tmp_path / name, tone()[np.newaxis])
        ended = run("info", "--json", name)
        assert json.loads(ended.out)["input"] == name
        assert len(run("info", name).out.splitlines()) == 1
