"""``-`` for stdin and stdout, by real processes and real pipes; stems that are kept."""

from __future__ import annotations

import io
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import commanding
import files
import numpy as np
import pytest
import soundfile as sf

import audiosep
from audiosep.errors import UsageError
from audiosep.presets import load_preset, preset_names

SMALL = files.SMALL
STEMS = ["--preset", "harmonic-percussive"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder, and another one for temporary files."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return work


@pytest.fixture
def inside(here, monkeypatch, capsys):
    return commanding.runner(monkeypatch, capsys)


def piped(data, *arguments, env=None):
    """The installed command with something on its stdin."""
    done = subprocess.run(
        [*files.COMMAND, *arguments],
        input=data,
        capture_output=True,
        timeout=120,
        check=False,
        env={**os.environ, **(env or {})},
    )
    return done.returncode, done.stdout, done.stderr.decode()


def left_in_temporary(here):
    return sorted(path.name for path in (here.parent / "temporary").iterdir())


# In


def test_a_recording_comes_through_a_pipe_and_its_stem_leaves_through_one(here):
    files.write_sound("mix.wav", files.integers(4000))
    data = Path("mix.wav").read_bytes()
    code, out, err = piped(data, "split", *STEMS, "-", "--keep", "harmonic", "-o", "-")
    assert code == 0, err
    assert err.splitlines()[-1].startswith("stdin: 0.5 s -> 2 stems in ")
    samples, sr = sf.read(io.BytesIO(out), dtype="int16", always_2d=True)
    assert (sr, samples.shape) == (8000, (4000, 2))
    code, _, err = piped(data, "split", *STEMS, "-", "-o", "out", "--json")
    assert code == 0, err
    harmonic, _ = sf.read("out/stdin/harmonic.wav", dtype="int16", always_2d=True)
    np.testing.assert_array_equal(samples, harmonic)
    record = json.loads(Path("out/stdin/audiosep.json").read_text())
    assert record["input"]["path"] == "stdin"
    assert left_in_temporary(here) == []
    assert sorted(path.name for path in here.iterdir()) == ["mix.wav", "out"]


def test_a_wav_that_was_streamed_has_no_lengths_in_its_header(here, inside, monkeypatch):
    files.write_sound("mix.wav", files.integers(4000))
    data = bytearray(Path("mix.wav").read_bytes())
    assert data[36:40] == b"data"
    data[4:8] = data[40:44] = b"\xff\xff\xff\xff"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(bytes(data))))
    ended = inside("split", *STEMS, "-", "--json")
    (entry,) = map(json.loads, ended.out.splitlines())
    assert (ended.code, entry["input"], entry["warnings"]) == (0, "stdin", [])
    total = sum(files.whole_numbers(path) for path in entry["stems"].values())
    np.testing.assert_array_equal(total, files.whole_numbers("mix.wav"))


def test_the_same_sound_again_is_the_same_recording(inside, monkeypatch):
    files.write_sound("mix.wav")
    outs = []
    for _ in range(2):
        stdin = io.TextIOWrapper(io.BytesIO(Path("mix.wav").read_bytes()))
        monkeypatch.setattr(sys, "stdin", stdin)
        outs.append(inside("split", *STEMS, "-", "mix.wav"))
    assert outs[0].out == outs[1].out
    assert outs[1].err.splitlines() == [
        "stdin: already done, in separated/stdin",
        "mix.wav: already done, in separated/mix",
        "audiosep: 0 done, 2 done before, 0 failed",
    ]


@pytest.mark.parametrize(
    ("data", "code", "words"),
    [
        (b"", 3, "audiosep: stdin is empty (0 bytes); does the command before the pipe fail?\n"),
        (b"text\n", 3, "audiosep: stdin is not audio that can be read"),
        (b"RIFF\0\0\0\0WAVE", 3, "audiosep: stdin has a damaged header"),
    ],
    ids=["empty", "text", "damaged"],
)
def test_what_is_no_recording(here, inside, monkeypatch, data, code, words):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    ended = inside("split", "-")
    assert (ended.code, ended.out) == (code, "")
    assert ended.err.startswith(words)
    assert ended.err.count("\n") == 1
    assert list(here.iterdir()) == []
    assert left_in_temporary(here) == []


class Endless(io.RawIOBase):
    """A stream without an end, as that of ``yes``."""

    n_read = 0

    def readable(self):
        return True

    def readinto(self, buffer):
        self.n_read += len(buffer)
        buffer[:] = (b"y\n" * len(buffer))[: len(buffer)]
        return len(buffer)


def test_what_never_ends_and_is_no_sound_is_refused_at_once(inside, monkeypatch):
    stream = Endless()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(stream)))
    ended = inside("split", "-")
    assert ended.code == 3
    assert "stdin is not audio" in ended.err
    assert stream.n_read < 3_000_000


def test_a_closed_stdin(here):
    command = ["sh", "-c", '"$@" <&-', "sh", *files.COMMAND, "split", "-"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert done.stderr == "audiosep: stdin is closed; pipe a recording into it.\n"


def test_a_disk_that_fills(here, inside, monkeypatch):
    """No stream may take the last of the disk."""
    from audiosep.cli import pipes

    monkeypatch.setattr(pipes, "_LEAST_FREE_SHARE", 1.0)
    monkeypatch.setattr(pipes, "_LEAST_FREE_BYTES", 1 << 60)
    files.write_sound("mix.wav")
    stdin = io.TextIOWrapper(io.BytesIO(Path("mix.wav").read_bytes()))
    monkeypatch.setattr(sys, "stdin", stdin)
    ended = inside("split", "-")
    assert ended.code == 4
    assert "what comes from stdin fills" in ended.err
    assert "set TMPDIR to a folder with more room" in ended.err


def test_it_goes_with_no_option_for_many(inside, monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)  # it is not even looked at
    ended = inside("split", "-", "--jobs", "2")
    assert ended.code == 2
    assert "'-' is one recording" in ended.err


def test_a_file_of_that_name_is_reached_by_its_folder(inside):
    files.write_sound("a.wav").rename("-")
    assert inside("split", *STEMS, "./-").code == 0
    assert Path("separated/-/harmonic.wav").is_file()


def test_what_comes_through_a_pipe_is_looked_at(inside, monkeypatch):
    files.write_sound("mix.wav", files.integers(20_000))
    data = Path("mix.wav").read_bytes()

    def through(data, *arguments):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        return inside(*arguments)

    ended = through(data, "info", "-")
    assert (ended.code, ended.out.partition(",")[0]) == (0, "stdin: WAV PCM_16")
    ended = through(data[:20_000], "info", "--check", "-", "mix.wav", "--json")
    first, second = map(json.loads, ended.out.splitlines())
    assert (first["input"], first["status"]) == ("stdin", "ill")
    assert second["input"] == "mix.wav"
    ended = through(b"no sound\n" * 99, "info", "-")
    assert ended.code == 3
    assert ended.err.startswith("audiosep: stdin is not audio that can be read")
    ended = through(b"", "info", "-")
    assert (ended.code, "stdin is empty" in ended.err) == (3, True)
    ended = through(data, "preview", *STEMS, "-", "--length", "1", "--no-report")
    assert ended.code == 0, ended.err
    assert ended.err.startswith("stdin: preview: the busiest 1 s")
    record = json.loads(Path("separated/stdin-preview/audiosep.json").read_text())
    assert record["input"]["path"] == "stdin"
    ended = through(b"no sound\n" * 99, "preview", "-", "--json")
    assert json.loads(ended.out)["error"].startswith("stdin is not audio that can be read")


# Out


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_stops_early_is_told_by_the_code_alone(here, unbuffered):
    files.write_sound("mix.wav", files.noise(200_000))
    command = [*files.COMMAND, "split", *STEMS, "mix.wav", "--keep", "percussive", "-o", "-"]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
    ) as process:
        assert process.stdout.read(4) == b"RIFF"
        process.stdout.close()
        err = process.stderr.read().decode()
        process.wait(timeout=60)
    assert process.returncode == 1
    assert [line for line in err.splitlines() if "mix.wav:" not in line] == []
    assert left_in_temporary(here) == []


def test_no_sound_is_written_to_a_terminal(here):
    files.write_sound("mix.wav")
    ours, theirs = pty.openpty()
    done = subprocess.run(
        [*files.COMMAND, "split", "mix.wav", "--keep", "drums", "-o", "-"],
        stdout=theirs,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(theirs)
    os.close(ours)
    assert done.returncode == 2
    assert b"-o - would write sound to the terminal" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["a.wav"], "say which, for example --keep drums"),
        (["a.wav", "--keep", "drums,bass"], "say which"),
        (["a.wav", "b.wav", "--keep", "drums"], "name one recording"),
        ([".", "--keep", "drums"], "name one recording"),
        (["a.wav", "--keep", "drums", "--json"], "leave out --json"),
        (["a.wav", "--keep", "drums", "--report"], "leave out --json, --report"),
        (["a.wav", "--keep", "drums", "--dry-run"], "--dry-run"),
        (["a.wav", "--keep", "drums", "--jobs", "2"], "the options for many recordings"),
    ],
    ids=str,
)
def test_what_does_not_go_with_one_stem_to_stdout(inside, arguments, words):
    files.write_sound("a.wav")
    ended = inside("split", *arguments, "-o", "-")
    assert (ended.code, ended.out) == (2, "")
    assert words in ended.err
    assert os.listdir() == ["a.wav"]  # noqa: PTH208


def test_what_fails_leaves_stdout_empty(inside):
    files.write_sound("a.wav")
    for name, keep, code in (("a.wav", "voice", 2), ("absent.wav", "harmonic", 3)):
        ended = inside("split", *STEMS, name, "--keep", keep, "-o", "-")
        assert (ended.code, ended.out) == (code, "")
    assert inside("batch", "list.csv", "-o", "-").code == 2


# Stems that are kept


def test_what_is_kept_is_as_it_was_and_the_rest_is_one_stem(inside):
    files.write_sound("a.wav", files.integers(8000))
    preset = ["--preset", "components", "-n", "4", "--components", "8", "--iterations", "2"]
    (all_,) = map(
        json.loads, inside("split", *preset, "a.wav", "-o", "all", "--json").out.split("\n")[:-1]
    )
    names = list(all_["stems"])
    assert len(names) == 4
    wanted = f"{names[2]},{names[0]}"
    ended = inside("split", *preset, "a.wav", "--keep", wanted, "--json")
    (entry,) = map(json.loads, ended.out.splitlines())
    assert list(entry["stems"]) == [names[2], names[0], "rest"]
    kept = {name: files.whole_numbers(path) for name, path in entry["stems"].items()}
    np.testing.assert_array_equal(sum(kept.values()), files.whole_numbers("a.wav"))
    for name in (names[2], names[0]):
        # Within a step: running sums are rounded in the order of the stems.
        difference = kept[name] - files.whole_numbers(all_["stems"][name])
        assert np.abs(difference).max() <= 2 * 2**16
    assert inside("verify", "separated").code == 0
    again = inside("split", *preset, "a.wav", "--keep", wanted)
    assert "already done" in again.err
    other = inside("split", *preset, "a.wav")
    assert "separated/a holds stems made with other stems kept" in other.err


def test_all_that_there_are_leave_no_rest(inside):
    files.write_sound("a.wav")
    ended = inside("split", *STEMS, "a.wav", "--keep", "percussive, harmonic")
    assert [Path(p).name for p in ended.out.splitlines()] == ["percussive.wav", "harmonic.wav"]


@pytest.mark.parametrize(
    ("keep", "words"),
    [
        (
            "voice",
            "there is no stem 'voice' with the preset harmonic-percussive; there are harmonic, "
            "percussive.",
        ),
        (" , ", "names no stem"),
    ],
)
def test_stems_that_are_not_there(inside, keep, words):
    files.write_sound("a.wav")
    ended = inside("split", *STEMS, "a.wav", "--keep", keep)
    assert ended.code == 2
    assert words in ended.err
    assert os.listdir() == ["a.wav"]  # noqa: PTH208


def test_one_shots_are_of_all_drums(inside):
    files.write_sound("a.wav")
    ended = inside("split", "--preset", "drums", "--one-shots", "1", "--keep", "kick", "a.wav")
    assert ended.code == 2
    assert "leave out --keep" in ended.err


def test_rows_keep_what_they_say(inside):
    files.write_sound("a.wav")
    rows = [
        {"input": "a.wav", "preset": "harmonic-percussive", "keep": ["harmonic"], "out": "x"},
        {"input": "a.wav", "preset": "harmonic-percussive", "keep": "harmonic;percussive"},
    ]
    Path("list.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert inside("batch", "list.jsonl").code == 0
    assert Path("separated/x/rest.wav").is_file()
    assert not Path("separated/a/rest.wav").exists()


def test_a_stem_that_is_called_rest():
    from audiosep.io.stem_writer import Piece
    from audiosep.keeping import kept

    parts = {name: files.noise(10, 1, seed=n) for n, name in enumerate(("rest", "kick", "hat"))}
    (piece,) = kept([Piece(stems=parts, mixture=sum(parts.values()))], ("rest",))
    assert list(piece.stems) == ["rest", "rest-2"]
    np.testing.assert_array_equal(piece.stems["rest-2"], parts["kick"] + parts["hat"])
    (piece,) = kept([Piece(stems=parts, mixture=sum(parts.values()))], ("hat",))
    assert list(piece.stems) == ["hat", "rest"]
    parts["rest-2"] = parts.pop("kick")
    (piece,) = kept([Piece(stems=parts, mixture=sum(parts.values()))], ("rest", "rest-2"))
    assert list(piece.stems) == ["rest", "rest-2", "rest-3"]
    np.testing.assert_array_equal(piece.stems["rest-3"], parts["hat"])


def test_a_full_disk_behind_stdout(here):
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*files.COMMAND, "presets"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 4
    assert done.stderr.startswith("audiosep: what was to be printed cannot be written: No space")


@pytest.mark.parametrize("more", [["a.wav", "absent.wav"], ["a.wav", "--dry-run"], ["-r", "a.wav"]])
def test_stems_that_cannot_be_are_refused_before_any_work(inside, monkeypatch, more):
    def never(*_, **__):
        raise AssertionError("work was begun")

    monkeypatch.setattr("audiosep.separator.load_tape", never)
    files.write_sound("a.wav")
    ended = inside("split", *more, "--keep", "drums,voice")
    assert ended.code == 2
    assert "there is no stem 'voice' with the preset auto; there can be vocals, drums" in ended.err
    separator = audiosep.Separator(preset="vocals")
    with pytest.raises(UsageError, match="no stem 'drums' with the preset vocals"):
        separator.split("a.wav", "out", keep=["drums"])


@pytest.mark.parametrize("preset", [p for p in preset_names() if load_preset(p).names])
def test_stems_have_the_names_that_their_preset_says(preset):
    mixture = files.noise(12_000, 2)
    mixture[:, ::4000] = 1.0  # with strokes
    made = audiosep.separate(mixture, 16_000, preset=preset, max_iter=2, **files.told(preset))
    assert {*made.stems} <= {*load_preset(preset).names}
