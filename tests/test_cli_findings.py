"""What first users ran into, each by what they did."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import commanding
import files
import numpy as np
import pytest

from audiosep.cli.addresses import folder_from
from audiosep.cli.locks import home_of, locked_run, locked_track
from audiosep.io.urls import Url

SMALL = files.SMALL


@pytest.fixture
def inside(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    return commanding.runner(monkeypatch, capsys)


def split(run, *arguments):
    return run("split", *SMALL, *arguments)


def entries(ended):
    return [json.loads(line) for line in ended.out.splitlines()]


# Names


@pytest.mark.parametrize("name", [b"new\nline.wav", b"latin-\xe9.wav", "🎵 é\t.wav".encode()])
def test_paths_in_json_lead_to_the_files(inside, name):
    files.write_sound(os.fsdecode(name))
    first, again, planned = (
        entries(split(inside, "--json", *more, "--", os.fsdecode(name)))[0]
        for more in ([], [], ["--seed", "1", "--dry-run"])
    )
    assert os.fsencode(first["input"]) == name
    assert first["stems"] == again["stems"]
    for path in (*first["stems"].values(), *first["files"].values()):
        assert Path(path).is_file()
    assert planned["folder"] == str(Path("separated", Path(os.fsdecode(name)).stem + "-2"))
    (info,) = entries(inside("info", "--json", os.fsdecode(name)))
    assert os.fsencode(info["input"]) == name
    # For people they are as they can be shown: on one line.
    for line in split(inside, "--", os.fsdecode(name)).out.splitlines():
        assert line.isprintable()
        assert line.endswith((".wav", ".safetensors"))


def test_a_name_cannot_write_to_the_terminal_from_an_error(inside):
    ended = inside("preview", "absent\x1b[31m\n.wav")
    assert ended.code == 3
    assert "\x1b" not in ended.err
    assert ended.err.count("\n") == 1


# Two at once


def test_a_recording_that_another_run_is_at_is_waited_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files.write_sound("a.wav")
    with locked_track(Path("separated"), Path("separated/a"), needed=False):
        process = subprocess.Popen(
            [*files.COMMAND, "split", *SMALL, "a.wav"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        said = process.stderr.readline()
        assert said.startswith("a.wav: process ")
        assert said.endswith(" is at it; waiting for it\n")
        assert process.poll() is None
        assert not Path("separated/a").exists()
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert all(Path(line).is_file() for line in out.splitlines())
    assert os.listdir("separated") == ["a"]  # noqa: PTH208


def test_two_runs_on_one_recording_do_it_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files.write_sound("a.wav", files.noise(50_000))
    command = [*files.COMMAND, "split", *SMALL, "--iterations", "50", "a.wav", "--json"]
    processes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=200) for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert sorted(json.loads(out)["status"] for out, _ in said) == ["done", "skipped"]
    assert os.listdir("separated") == ["a"]  # noqa: PTH208


def test_where_no_lock_can_be_made_a_single_recording_is_done_all_the_same(inside):
    files.write_sound("a.wav")
    Path("separated").mkdir()
    Path("separated/.audiosep").write_text("mine")
    assert split(inside, "a.wav").code == 0
    assert Path("separated/.audiosep").read_text() == "mine"


def test_locks_of_a_run_that_was_killed_are_removed(inside):
    files.write_sound("a.wav")
    home = home_of(Path("separated"))
    (home / "tracks").mkdir(parents=True)
    (home / "tracks" / "0123.lock").write_text("process 1 on elsewhere\n")
    assert split(inside, "a.wav").code == 0
    assert not home.exists()


def test_what_a_single_run_holds_is_not_cleaned_by_a_batch(inside):
    files.write_sound("b.wav")
    with locked_track(Path("separated"), Path("separated/a"), needed=False):
        assert split(inside, "b.wav", "--jobs", "2").code == 0
        assert len(list(home_of(Path("separated")).glob("tracks/*.lock"))) == 1


# Folders that are left


@pytest.mark.parametrize("out", ["out", "mine"])
@pytest.mark.parametrize("options", [["--jobs", "2"], ["-r"]], ids=str)
def test_nothing_is_left_where_no_recording_was(inside, out, options):
    Path("mine").mkdir()
    for _ in range(2):
        ended = split(inside, "absent.wav", "-o", out, *options)
        assert ended.code == 3
        assert "absent.wav does not exist" in ended.err
        assert "It failed before" not in ended.err  # it may be there next time
    assert os.listdir() == ["mine"]  # noqa: PTH208
    assert list(Path("mine").iterdir()) == []


def test_what_failed_for_good_is_remembered(inside):
    Path("bad.wav").write_text("text")
    split(inside, "bad.wav", "--jobs", "2")
    assert "It failed before" in split(inside, "bad.wav", "--jobs", "2").err


def test_nothing_is_removed_while_others_are_at_work(inside):
    out = Path("separated")
    home_of(out).mkdir(parents=True)
    with locked_run(out):
        assert split(inside, "absent.wav", "--jobs", "2").code == 3
        assert home_of(out).is_dir()


# Manifests


def test_what_is_wrong_with_the_options_of_a_row_names_the_line(inside):
    files.write_sound("a.wav")
    rows = "input,preset,score\na.wav,components,\na.wav,nope,\na.wav,score,absent.mid\n"
    Path("list.csv").write_text(rows)
    ended = inside("batch", "list.csv", "-o", "out")
    assert ended.code == 1
    first, second, _ = [line for line in ended.err.splitlines() if "null test" not in line]
    assert first.startswith("audiosep: list.csv, line 3: a.wav: unknown preset 'nope'")
    assert second.startswith("audiosep: list.csv, line 4: a.wav: ")
    assert "absent.mid" in second
    ended = inside("batch", "list.csv", "-o", "out", "--status")
    assert "failed: list.csv, line 3: a.wav: unknown preset" in ended.out


def test_rows_may_be_damaged_each_in_its_own_way(inside):
    files.cut(files.write_sound("a.wav"), 0.5)
    Path("list.csv").write_text("input,preset,strict\na.wav,components,yes\na.wav,components,no\n")
    ended = inside("batch", "list.csv", "-o", "out")
    assert ended.code == 1
    assert len(ended.out.splitlines()) >= 2
    Path("list.csv").write_text("input,strict\na.wav,maybe\n")
    assert "line 2: strict 'maybe' cannot be" in inside("batch", "list.csv").err


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "has no column 'input'"),
        (b"name,preset\nx,y\n", "has no column 'input'"),
        (b"input,colour\na.wav,red\n", "there is no setting 'colour'"),
        (b"RIFF\x24\xff\x00\x00WAVEfmt \n", "is no text, and so no manifest"),
        ("input\na.wav\n".encode("utf-16"), "is UTF-16"),
    ],
)
def test_a_file_that_is_no_manifest_is_a_slip_of_the_pen(inside, content, words):
    Path("list.csv").write_bytes(content)
    ended = inside("batch", "list.csv")
    assert (ended.code, ended.out) == (2, "")
    assert words in ended.err
    assert os.listdir() == ["list.csv"]  # noqa: PTH208


def test_status_of_a_folder_where_nothing_was_done(inside):
    files.write_sound("a.wav")
    ended = split(inside, "a.wav", "--status", "-o", "out")
    assert (ended.code, ended.out) == (2, "0 done, 0 failed, 1 left\n")
    assert "nothing has been done in out yet; check --out" in ended.err
    assert not Path("out").exists()
    split(inside, "a.wav", "-o", "out")
    assert split(inside, "a.wav", "--status", "-o", "out").code == 0


# Temporary files


def test_a_folder_for_temporary_files_that_is_not_there(inside, monkeypatch):
    files.write_sound("a.wav")
    monkeypatch.setenv("TMPDIR", "nowhere")
    monkeypatch.setattr(tempfile, "tempdir", None)
    with Path("a.wav").open() as recording:
        monkeypatch.setattr("sys.stdin", recording)
        ended = split(inside, "-")
    assert ended.code == 4
    assert ended.err == "audiosep: TMPDIR is nowhere, which is no folder; make it, or unset it.\n"


def test_no_room_for_temporary_files_is_no_matter_of_the_output(tmp_path, monkeypatch):
    pytest.importorskip("resource")
    monkeypatch.chdir(tmp_path)
    files.write_sound("a.wav", files.noise(100_000))
    arguments = ["a.wav", "--keep", "source-1", "-o", "-"]
    ended = split(lambda *words: files.audiosep(*words, largest_file=100_000), *arguments)
    assert (ended.code, ended.out) == (4, "")
    assert "where stems are made first); set TMPDIR to a folder with more room." in ended.err
    assert "--out" not in ended.err


# Others


def test_decoders_print_nothing(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    t = np.arange(3 * 22_050) / 22_050
    samples = 0.3 * np.sin(2 * np.pi * 440 * t) + 0.05 * files.noise(t.size, 1)[0]
    files.write_sound("a.mp3", samples[np.newaxis], 22_050, format="MP3", subtype="MPEG_LAYER_III")
    data = bytearray(Path("a.mp3").read_bytes())
    data[2000:4000] = bytes(2000)
    Path("a.mp3").write_bytes(data)
    import soundfile

    monkeypatch.delenv("AUDIOSEP_QUIET_DECODERS", raising=False)
    with suppress(soundfile.LibsndfileError):
        soundfile.read("a.mp3")
    assert capfd.readouterr().err != ""  # the decoder has something to say
    ended = commanding.runner(monkeypatch, capfd)("split", *SMALL, "a.mp3")
    assert all(line.startswith(("a.mp3: ", "audiosep: ")) for line in ended.err.splitlines())
    assert ended.err != ""


def test_an_address_with_a_slash_too_many():
    assert folder_from("s3://b//x///y/") == Url("s3://b/x/y")
    assert home_of(folder_from("s3://b//x")) == home_of(Url("s3://b/x"))
    assert folder_from("file:///tmp/x") == Path("/tmp/x")
    assert folder_from("a//b") == Path("a/b")


def test_doctor_tells_of_opus(inside):
    (formats,) = [e for e in entries(inside("doctor", "--json")) if e["what"] == "formats"]
    assert "Opus" in formats["words"]
    import soundfile

    assert ("OPUS" in soundfile.available_subtypes("OGG")) == (formats["status"] == "ok")


def test_waiting_ends_with_a_signal(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files.write_sound("a.wav")
    with locked_track(Path("separated"), Path("separated/a"), needed=False):
        process = subprocess.Popen(
            [*files.COMMAND, "split", *SMALL, "a.wav"], stderr=subprocess.PIPE, text=True
        )
        assert "waiting" in process.stderr.readline()
        began = time.monotonic()
        process.terminate()
        assert process.wait(timeout=60) == 143
        assert time.monotonic() - began < 30
        process.stderr.close()
    assert list(Path("separated").iterdir()) == []


# Advice that helps where it is given


@pytest.fixture
def ill(inside):
    """A whole recording, one with a damage inside, and one with a sample that is no number."""
    files.write_sound("whole.wav", files.noise(16_000, 1))
    files.write_sound("rotten.flac", files.noise(16_000, 1), format="FLAC")
    data = bytearray(Path("rotten.flac").read_bytes())
    data[len(data) // 2 : len(data) // 2 + 60] = bytes(60)
    Path("rotten.flac").write_bytes(data)
    samples = files.noise(16_000, 1)
    samples[0, 500] = float("nan")
    files.write_sound("nan.wav", samples, subtype="FLOAT")
    return inside


@pytest.mark.parametrize("name", ["rotten.flac", "nan.wav"])
@pytest.mark.parametrize(
    "command",
    [
        ["learn", "BAD", "-o", "x"],
        ["atoms", "BAD"],
        ["preview", "BAD"],
        ["evaluate", "whole.wav", "BAD"],
        ["evaluate", "whole.wav", "BAD", "--json"],
        ["evaluate", "whole.wav", "whole.wav", "--mixture", "BAD"],
    ],
    ids=" ".join,
)
def test_no_command_names_an_option_that_it_has_not(ill, command, name):
    ended = ill(*(name if word == "BAD" else word for word in command))
    assert ended.code == 3
    said = ended.err + ended.out
    assert "audiosep split" not in said
    assert "Python" not in said
    assert "fits anything" not in said
    assert "in an audio editor" in said


@pytest.mark.parametrize(
    ("name", "option", "words"),
    [
        ("rotten.flac", ["--salvage"], "could not be decoded and are silent"),
        ("nan.wav", ["--fix-nonfinite", "zero"], "1 sample was no number and is taken as silence"),
    ],
)
def test_what_is_taken_of_a_damage_is_taken_of_examples(ill, name, option, words):
    command = ["split", "whole.wav", "--example", f"k={name}", "--quality", "fast", "--iterations"]
    command += ["2"]
    ended = ill(*command)
    assert ended.code == 3
    assert f"'audiosep split {' '.join(option)}'" in ended.err
    ended = ill(*command, *option)
    assert ended.code == 0, ended.err
    assert f"whole.wav: example {name} of k: " in ended.err
    assert words in ended.err
    ended = ill("split", name, "--example", "k=@0-0.5", *command[4:], *option)
    assert ended.code == 0, ended.err
