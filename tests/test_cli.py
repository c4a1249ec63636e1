"""The command: results, words and exit codes, as a person or a script meets them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import commanding
import files
import numpy as np
import pytest
import soundfile as sf
import typer.main

import audiosep
from audiosep.alignment import LONGEST_S
from audiosep.cli.app import app
from audiosep.cli.wording import OPTION_OF, words_of
from audiosep.dictionary_files import load_builtin, save_dictionary
from audiosep.errors import DictionaryError, InputError, ParameterError, UsageError, without_python
from audiosep.presets import preset_names

SMALL = files.SMALL
KEYS = {"input", "status", "stems", "files", "null_test_db", "seconds", "error", "warnings"}


@pytest.fixture(scope="session", autouse=True)
def _compiled():
    """Compile the kernels once, so that no test waits for them."""
    audiosep.separate(files.noise(), 8000, **files.SMALL_SETTINGS)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Work in an empty folder, where relative paths are short."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def inside(here, monkeypatch, capsys):
    return commanding.runner(monkeypatch, capsys)


def split(run, *arguments, **around):
    return run("split", *SMALL, *arguments, **around)


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


# What was heard


DRUMS = ["--preset", "drums", "--iterations", "2"]


@pytest.fixture
def loop(here):
    """Two seconds of drums from the examples."""
    path = Path(__file__).parent.parent / "examples" / "audio" / "drum_loop" / "mixture.flac"
    samples, sr = sf.read(path, dtype="float32", stop=2 * 22050)
    return files.write_sound("loop.wav", samples[np.newaxis], sr)


def test_onsets_and_one_shots(inside, loop):
    ended = inside("split", *DRUMS, "--one-shots", "1", "--json", loop)
    (entry,) = lines(ended.out)
    assert set(entry) == KEYS
    assert {"kick", "snare", "hihat"} <= set(entry["stems"])
    assert {"onsets.csv", "onsets.mid", "one-shot-kick-1.wav"} <= set(entry["files"])
    for path in entry["files"].values():
        assert Path(path).stat().st_size > 0
    again = inside("split", *DRUMS, "--one-shots", "1", "--json", loop)
    (skipped,) = lines(again.out)
    assert skipped["status"] == "skipped"
    assert skipped["files"] == entry["files"]


def test_paths_of_what_was_heard_are_printed(inside, loop):
    ended = inside("split", *DRUMS, loop)
    assert "separated/loop/onsets.mid" in ended.out.splitlines()


def test_another_number_of_one_shots_is_another_run(inside, loop):
    inside("split", *DRUMS, loop)
    ended = inside("split", *DRUMS, "--one-shots", "1", loop)
    assert ended.code == 0
    assert "separated/loop holds stems made with another number of one-shots" in ended.err
    assert Path("separated/loop-2/one-shot-kick-1.wav").is_file()
    assert not Path("separated/loop/one-shot-kick-1.wav").exists()


@pytest.mark.parametrize("name", ["onsets.csv", "melody.mid"])
def test_what_others_have_put_there_is_not_replaced(inside, loop, name):
    place = Path("separated/loop")
    place.mkdir(parents=True)
    (place / name).write_bytes(b"mine")
    refused = inside("split", *DRUMS, loop)
    assert refused.code == 5
    assert "holds files that no finished run has left" in refused.err
    assert (place / name).read_bytes() == b"mine"
    assert inside("split", *DRUMS, "--exists", "overwrite", loop).code == 0


def test_edited_onsets_are_not_replaced_and_missing_ones_are_made_again(inside, loop):
    inside("split", *DRUMS, loop)
    onsets = Path("separated/loop/onsets.csv")
    written = onsets.read_bytes()
    onsets.write_bytes(written + b"9.0,kick,1.0\n")
    refused = inside("split", *DRUMS, loop)
    assert refused.code == 5
    assert "onsets.csv is damaged or edited since" in refused.err
    onsets.unlink()
    assert inside("split", *DRUMS, loop).code == 0
    assert onsets.read_bytes() == written


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--preset", "stems", "--one-shots", "1"], "use --preset drums"),
        (["--preset", "drums", "--one-shots", "-1"], "--one-shots -1 is out of range"),
        (["--preset", "auto", "--dictionary", "d.safetensors"], "uses no dictionary"),
    ],
)
def test_what_does_not_fit_the_preset_is_refused(inside, loop, arguments, words):
    ended = inside("split", *arguments, loop)
    assert ended.code == 2
    assert words in ended.err
    assert not Path("separated").exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "cannot read the dictionary"), (b"RIFF....", "not a dictionary"), (b"", "not a dict")],
)
def test_a_dictionary_that_is_none(inside, loop, content, words):
    if content is not None:
        Path("d.safetensors").write_bytes(content)
    ended = inside("split", *DRUMS, "--dictionary", "d.safetensors", loop)
    assert ended.code == DictionaryError.exit_code
    assert words in ended.err
    assert "d.safetensors" in ended.err
    assert not Path("separated").exists()


def test_a_dictionary_of_ones_own(inside, loop):
    save_dictionary(load_builtin("drums"), "mine.safetensors")
    (by_default,) = lines(inside("split", *DRUMS, "--json", loop).out)
    ended = inside("split", *DRUMS, "--dictionary", "mine.safetensors", "--json", loop)
    (entry,) = lines(ended.out)
    assert entry["status"] == "done"  # another job, in a folder of its own
    for name, path in entry["stems"].items():
        theirs = files.sounds(by_default["stems"][name])
        np.testing.assert_allclose(files.sounds(path), theirs, atol=0.01)
    wrong = inside("split", "--preset", "stems", "--dictionary", "mine.safetensors", loop)
    assert wrong.code != 0


# Exit codes, by the installed command


def test_all_good(here):
    files.write_sound("a.wav", files.integers(4000))
    files.write_sound("b.flac", format="FLAC")
    ended = split(files.audiosep, "a.wav", "b.flac")
    assert ended.code == 0
    assert ended.out.splitlines() == [
        f"separated/{track}/{stem}.wav" for track in "ab" for stem in ("source-1", "source-2")
    ]
    assert ended.err.count("they add up to it exactly (null test)") == 2
    total = sum(files.whole_numbers(path) for path in ended.out.splitlines()[:2])
    np.testing.assert_array_equal(total, files.whole_numbers("a.wav"))
    assert sorted(os.listdir("separated/a")) == [  # noqa: PTH208
        "audiosep.json",
        "factorization.safetensors",
        "source-1.wav",
        "source-2.wav",
    ]
    assert files.leftovers(here) == []


def test_some_bad(here):
    Path("bad.wav").write_text("text")
    files.write_sound("good.wav")
    ended = split(files.audiosep, "bad.wav", "absent.wav", "good.wav", "-q")
    assert ended.code == 1
    assert ended.err.splitlines() == [
        "audiosep: bad.wav is not audio that can be read: it is plain text; if a recording was "
        "here, restore it from a backup.",
        "audiosep: absent.wav does not exist; check the name.",
    ]
    assert ended.out.splitlines() == [f"separated/good/source-{i}.wav" for i in (1, 2)]
    assert sorted(os.listdir("separated")) == [".audiosep", "good"]  # noqa: PTH208


def test_all_bad(here):
    Path("bad.wav").write_text("text")
    Path("folder").mkdir()
    ended = split(files.audiosep, "bad.wav", "absent.wav", "folder")
    assert ended.code == 3
    assert ended.out == ""
    assert len(ended.err.splitlines()) == 4
    assert all(line.startswith("audiosep: ") for line in ended.err.splitlines())
    assert ended.err.splitlines()[-1] == (
        "audiosep: 0 done, 0 done before, 3 failed, 1 of them no audio"
    )
    assert "folder is a folder without recordings" in ended.err


def test_usage(here):
    files.write_sound("a.wav")
    ended = files.audiosep("split", "a.wav", "--preset", "nope")
    assert ended.code == 2
    assert ended.err == (
        f"audiosep: unknown preset 'nope'; there are {', '.join(preset_names())}.\n"
    )
    ended = files.audiosep("split", "a.wav", "--nonsense")
    assert ended.code == 2
    assert "--nonsense" in ended.err
    assert os.listdir() == ["a.wav"]  # noqa: PTH208


def test_refused(here):
    files.write_sound("a.wav")
    assert split(files.audiosep, "a.wav").code == 0
    before = files.tree("separated")
    ended = split(files.audiosep, "a.wav", "--exists", "fail")
    assert ended.code == 5
    assert ended.out == ""
    assert "separated/a already exists; use --exists overwrite or rename" in ended.err
    assert files.tree("separated") == before


def test_cannot_write(here):
    files.write_sound("a.wav")
    Path("file").write_text("mine")
    for out in ("file", "file/below"):
        ended = split(files.audiosep, "a.wav", "-o", out)
        assert ended.code == 4
        assert ended.err == (
            f"audiosep: cannot write to {out}: there is a file where a folder should be; choose "
            "another place with --out.\n"
        )
    assert files.tree(here).keys() == {"a.wav", "file"}


@pytest.mark.parametrize("format_", ["wav", "flac"])
def test_no_room_for_the_stems(here, format_):
    pytest.importorskip("resource")
    files.write_sound("a.wav", files.noise(100_000))
    files.write_sound("b.wav", files.noise(1000))
    assert split(files.audiosep, "a.wav", "--format", format_, "-q").code == 0
    before = files.tree(here)

    again = ["--format", format_, "--exists", "overwrite", "--seed", "1"]
    ended = split(files.audiosep, "a.wav", *again, largest_file=100_000)
    assert ended.code == 4
    assert ended.err.startswith("audiosep: a.wav: cannot write the stems (")
    assert ended.err.endswith("is the disk full?\n")
    assert files.tree(here) == before
    assert files.leftovers(here) == []
    # A recording with smaller stems is still done.
    ended = split(files.audiosep, "a.wav", "b.wav", *again, largest_file=100_000)
    assert ended.code == 1
    assert len(ended.out.splitlines()) == 2
    assert files.leftovers(here) == []


@pytest.mark.parametrize(
    ("signal_", "code", "last_words"),
    [
        (signal.SIGINT, 130, "audiosep: interrupted; run the same command again to go on."),
        (signal.SIGTERM, 143, "audiosep: told to end; run the same command again to go on."),
    ],
)
def test_interrupted(here, signal_, code, last_words):
    files.write_sound("a.wav")
    files.write_sound("long.wav", files.noise(44100 * 60), 44100)
    command = [*files.COMMAND, "split", "--preset", "components", "--iterations", "5000"]
    with subprocess.Popen(
        [*command, "a.wav", "long.wav"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        deadline = time.monotonic() + 60
        while not Path("separated/a/audiosep.json").exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        time.sleep(1.0)
        assert process.poll() is None
        process.send_signal(signal_)
        began = time.monotonic()
        out, err = process.communicate(timeout=60)
        took = time.monotonic() - began
    assert process.returncode == code
    assert took < 30  # to the end of the recording it would be minutes
    assert err.splitlines()[-1].endswith(last_words)
    assert "Traceback" not in err
    assert out.splitlines() == [f"separated/a/source-{i}.wav" for i in (1, 2)]
    assert sorted(os.listdir("separated")) == [".audiosep", "a"]  # noqa: PTH208


def test_interrupted_at_the_start(here):
    files.write_sound("long.wav", files.noise(44100 * 30), 44100)
    n_ours, delay = 0, 0.05
    while n_ours < 3:
        with subprocess.Popen(
            [*files.COMMAND, "split", "long.wav"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            time.sleep(delay)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
        delay *= 1.5
        assert delay < 30.0
        # Until the interpreter itself has started, all is its own matter.
        if b"site" in err or process.returncode == -signal.SIGINT:
            continue
        n_ours += 1
        assert process.returncode == 130
        assert b"Traceback" not in err
        assert out == b""


# Output


def test_json_lines(here):
    files.write_sound("good.wav")
    files.cut(files.write_sound("cut.wav"), 0.5)
    Path("bad.wav").write_text("text")
    Path("folder").mkdir()
    ended = split(files.audiosep, "good.wav", "bad.wav", "cut.wav", "folder", "--json", "-q")
    assert ended.code == 1
    assert ended.err == ""  # errors are in the lines
    entries = lines(ended.out)
    assert all(set(entry) == KEYS for entry in entries)
    by_input = {entry["input"]: entry for entry in entries}
    assert set(by_input) == {"good.wav", "bad.wav", "cut.wav", "folder"}
    good, bad, cut = (by_input[f"{name}.wav"] for name in ("good", "bad", "cut"))
    assert (good["status"], good["error"], good["null_test_db"]) == ("done", None, -300.0)
    assert good["seconds"] > 0
    assert good["stems"] == {f"source-{i}": f"separated/good/source-{i}.wav" for i in (1, 2)}
    assert all(Path(path).is_file() for path in good["stems"].values())
    assert (bad["status"], bad["stems"], bad["null_test_db"]) == ("failed", {}, None)
    assert bad["error"].startswith("bad.wav is not audio")
    assert cut["status"] == "done"
    assert "ends early: 0.25 s" in cut["warnings"][0]
    assert by_input["folder"]["status"] == "failed"
    (again, *_) = lines(split(files.audiosep, "good.wav", "--json").out)
    assert again == good | {"status": "skipped", "seconds": 0.0}


def test_quiet_says_only_errors_and_verbose_says_why(inside):
    files.write_sound("a.wav")
    files.cut(files.write_sound("cut.wav"), 0.5)
    ended = split(inside, "a.wav", "cut.wav", "-q", "-o", "q")
    assert (ended.code, ended.err, len(ended.out.splitlines())) == (0, "", 4)
    ended = split(inside, "a.wav", "cut.wav", "-v", "-o", "v")
    assert len(ended.out.splitlines()) == 4
    assert "found blindly, by timbre" in ended.err
    timings = [line for line in ended.err.splitlines() if line.startswith("  seconds: read ")]
    assert len(timings) == 2
    assert all(f" {stage} 0." in timings[0] for stage in ("transform", "render", "write"))
    assert "audiosep: warning: cut.wav: the file ends early" in ended.err


def test_stdout_holds_paths_and_nothing_else(inside):
    files.write_sound("a.wav")
    Path("bad.wav").write_text("text")
    for more in ([], ["-v"]):
        ended = split(inside, "a.wav", "bad.wav", "absent.wav", *more)
        assert all(Path(line).is_file() for line in ended.out.splitlines())
        assert len(ended.out.splitlines()) == 2


def test_a_reader_that_stops_early(here):
    for name in "abcd":
        files.write_sound(f"{name}.wav")
    for arguments in (
        ["presets"],
        ["split", *SMALL, "a.wav", "b.wav", "c.wav", "d.wav"],
        ["split", *SMALL, "a.wav", "b.wav", "c.wav", "d.wav", "--json", "-o", "j"],
    ):
        with subprocess.Popen(
            [*files.COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout.readline()
            process.stdout.close()
            err = process.stderr.read()
            process.wait(timeout=60)
        assert "Traceback" not in err
        assert "BrokenPipe" not in err
        assert "Exception ignored" not in err
        assert process.returncode in (0, 1)
    assert files.leftovers(here) == []


@pytest.mark.parametrize(
    "env",
    [
        {"NO_COLOR": "1", "TERM": "dumb"},
        {"LANG": "C", "LC_ALL": "C"},
        {"PYTHONIOENCODING": "ascii", "COLUMNS": "40"},
    ],
    ids=str,
)
def test_plain_terminals(here, env):
    files.write_sound("naïve 🎵.wav")
    ended = split(files.audiosep, "naïve 🎵.wav", "absent é.wav", env=env)
    assert ended.code == 1
    assert len(ended.out.splitlines()) == 2
    assert "absent" in ended.err
    assert "\x1b" not in ended.out + ended.err
    assert "Traceback" not in ended.err
    assert Path("separated/naïve 🎵/source-1.wav").is_file()


def test_debug_shows_the_traceback_and_nothing_else_does(inside):
    Path("bad.wav").write_text("text")
    assert "Traceback" not in split(inside, "bad.wav", "-v").err
    ended = split(inside, "bad.wav", "--debug")
    assert ended.code == 3
    assert "Traceback" in ended.err
    assert ended.err.splitlines()[-1].startswith("audiosep: bad.wav is not audio")


# Help


def test_help_is_fast_and_imports_nothing_heavy():
    best = 9.0
    for _ in range(5):
        began = os.times()
        ended = files.audiosep("--help")
        # Time of the processor: what else the machine does meanwhile is not ours.
        spent = os.times()
        best = min(best, spent.children_user - began.children_user)
        assert ended.code == 0
        if best < 0.4:
            break
    assert best < 0.5
    code = (
        "import sys; from audiosep.cli import main; sys.argv = ['audiosep', *sys.argv[1:]]\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'numpy', 'scipy', 'numba', 'librosa', 'soundfile'} & sys.modules.keys()\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)\n"
    )
    for arguments in (["--help"], ["split", "--help"], ["--version"]):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")


def test_help_says_what_there_is(inside, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    for flag in ("--help", "-h"):
        ended = inside(flag)
        assert ended.code == 0
        for word in ("split", "info", "presets", "Exit codes", "130 interrupted"):
            assert word in ended.out
    ended = inside("split", "--help")
    for word in ("Everyday options", "Expert options", "--exists", "--seed", "--mask-exponent"):
        assert word in ended.out


def test_no_arguments_show_the_help(inside):
    ended = inside()
    assert ended.code == 2
    assert "Usage" in ended.out + ended.err


def test_version_and_module(inside):
    assert inside("--version").out == f"audiosep {audiosep.__version__}\n"
    done = subprocess.run(
        [sys.executable, "-m", "audiosep", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"audiosep {audiosep.__version__}\n"


# Options


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--preset", "auto", "-n", "3"], "to choose the number of sources use the preset"),
        (["-n", "0"], "audiosep: -n 0 must be a whole number"),
        (["-n", "x"], "-n"),
        (["--components", "0"], "audiosep: --components 0 must be"),
        (["--components", "1", "-n", "2"], "audiosep: --components 1 is too few"),
        (["--iterations", "0"], "audiosep: --iterations 0 must be"),
        (["--beta", "foo"], "audiosep: --beta 'foo' is unknown; use"),
        (["--beta", "99"], "audiosep: --beta '99' is unknown; use"),
        (["--mask-exponent", "99"], "audiosep: --mask-exponent 99.0 is out of range; use 0.1"),
        (["--seed", "-1"], "audiosep: --seed -1 must be"),
        (["--seed", "x"], "--seed"),
        (["--threads", "0"], "audiosep: --threads 0 must be"),
        (["--bits", "8"], "audiosep: --bits '8' is unknown; use 16, 24 or float"),
        (["--format", "mp3"], "audiosep: --format 'mp3' is unknown; use wav or flac"),
        (["--format", "flac", "--bits", "float"], "use --bits 24 or --format wav."),
        (
            ["--exists", "maybe"],
            "--exists 'maybe' is unknown; use skip, repair, overwrite, re",
        ),
        (["--start", "-1"], "--start -1 is out of range"),
        (["--start", "nan"], "--start nan is out of range"),
        (["--start", "inf"], "--start inf is out of range"),
        (["--duration", "0"], "--duration 0 is out of range"),
        (["--duration", "nan"], "--duration nan is out of range"),
        (["--duration", "inf"], "--duration inf is out of range"),
        (["--sead", "1"], "No such option"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_usage_errors(inside, monkeypatch, arguments, words):
    monkeypatch.setenv("COLUMNS", "200")
    files.write_sound("a.wav")
    ended = split(inside, "a.wav", *arguments)
    assert ended.code == 2
    assert words in ended.err
    assert ended.out == ""
    assert "Traceback" not in ended.err
    assert os.listdir() == ["a.wav"]  # noqa: PTH208


def test_no_input(inside):
    ended = inside("split")
    assert ended.code == 2
    assert "IN" in ended.err


@pytest.mark.parametrize(
    ("arguments", "n_samples"),
    [(["--start", "0.25"], 2000), (["--duration", "0.1"], 800), (["--duration", "99"], 4000)],
)
def test_parts(inside, arguments, n_samples):
    files.write_sound("a.wav")
    ended = split(inside, "a.wav", *arguments)
    assert files.sounds(ended.out.splitlines()[0]).shape == (2, n_samples)


def test_start_behind_the_end(inside):
    files.write_sound("a.wav")
    ended = split(inside, "a.wav", "--start", "99")
    assert ended.code == 3
    assert ended.err == (
        "audiosep: a.wav ends at 0.50 s, before the start of 99 s; start earlier.\n"
    )


@pytest.mark.parametrize(
    ("subtype", "arguments", "wanted", "null_db"),
    [
        ("PCM_16", [], "PCM_16", -299),
        ("PCM_24", [], "PCM_24", -299),
        ("PCM_U8", [], "PCM_24", -299),
        ("FLOAT", [], "FLOAT", -120),
        # What the depth asked for cannot hold is counted: half a step at most.
        ("FLOAT", ["--bits", "16"], "PCM_16", -96),
        ("PCM_16", ["--bits", "float"], "FLOAT", -120),
        ("FLOAT", ["--format", "flac"], "PCM_24", -144),
        ("PCM_16", ["--format", "flac", "--bits", "24"], "PCM_24", -299),
    ],
)
def test_depth_of_the_stems(inside, subtype, arguments, wanted, null_db):
    files.write_sound("a.wav", subtype=subtype)
    (entry,) = lines(split(inside, "a.wav", "--json", *arguments).out)
    assert {audiosep.io.info(p).subtype for p in entry["stems"].values()} == {wanted}
    assert entry["null_test_db"] < null_db


def test_stems_beyond_the_range_become_float_and_it_is_said(inside):
    files.write_sound("a.wav", files.noise(peak=4.0), subtype="FLOAT")
    ended = split(inside, "a.wav", "--bits", "16", "-v")
    assert "beyond the 16-bit range, so all stems of this recording are 32-bit float" in ended.err
    subtypes = {audiosep.io.info(path).subtype for path in ended.out.splitlines()}
    assert subtypes == {"FLOAT"}


def test_flac_of_16_channels(inside):
    files.write_sound("a.wav", files.noise(n_channels=16))
    ended = split(inside, "a.wav", "--format", "flac")
    assert ended.code == 2
    assert ended.err.startswith("audiosep: a.wav: flac holds at most 8 channels")
    assert ended.err.endswith("; use --format wav.\n")
    assert files.leftovers(".") == []


def test_bytes_depend_on_the_seed_and_not_on_threads(inside):
    files.write_sound("a.wav", files.noise(20000))
    trees = {}
    for name, more in {
        "one": ["--threads", "1"],
        "two": ["--threads", "2"],
        "again": [],
        "seed": ["--seed", "1"],
    }.items():
        assert split(inside, "a.wav", "-o", name, "-q", *more).code == 0
        trees[name] = files.tree(Path(name) / "a")
        trees[name].pop("audiosep.json")
    assert trees["one"] == trees["two"] == trees["again"]
    assert trees["seed"] != trees["one"]


# What is already there


def test_skip_is_the_default_and_means_the_same_job(inside):
    files.write_sound("a.wav")
    first = split(inside, "a.wav")
    before = {p: p.stat().st_mtime_ns for p in Path("separated").rglob("*")}
    again = split(inside, "a.wav")
    assert (again.code, again.out) == (0, first.out)
    assert again.err == "a.wav: already done, in separated/a\n"
    assert {p: p.stat().st_mtime_ns for p in Path("separated").rglob("*")} == before


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--seed", "1"], "with other settings"),
        (["--iterations", "3"], "with other settings"),
        (["--mask-exponent", "2"], "with other settings"),
        (["--preset", "harmonic-percussive"], "with other settings"),
        (["--bits", "24"], "in another output format"),
        (["--format", "flac"], "in another output format"),
        (["--start", "0.1"], "from another part of the recording"),
        (["--duration", "0.1"], "from another part of the recording"),
        (
            ["--seed", "1", "--start", "0.1", "--bits", "24"],
            "with other settings, from another part of the recording and in another output format",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_another_job_gets_a_folder_of_its_own(inside, more, words):
    files.write_sound("a.wav")
    first = split(inside, "a.wav")
    before = files.tree("separated/a")
    planned = split(inside, "a.wav", *more, "--dry-run")
    assert planned.code == 0
    assert "-> separated/a-2/" in planned.out
    assert not Path("separated/a-2").exists()
    ended = split(inside, "a.wav", *more)
    assert ended.code == 0
    assert ended.err.splitlines()[0] == f"a.wav: separated/a holds stems made {words}"
    assert all(line.startswith("separated/a-2/") for line in ended.out.splitlines())
    assert files.tree("separated/a") == before
    # Both are now done.
    after = files.tree("separated")
    again = split(inside, "a.wav", *more)
    assert again.out == ended.out
    assert again.err == "a.wav: already done, in separated/a-2\n"
    assert split(inside, "a.wav").out == first.out
    assert files.tree("separated") == after


def test_folders_of_several_jobs_stay_apart(inside):
    for name in ("a.wav", "a-2.wav"):
        files.write_sound(name, files.noise(seed=len(name)))
    first = split(inside, "a.wav", "a-2.wav")
    second = split(inside, "a.wav", "a-2.wav", "--seed", "1")
    assert (first.code, second.code) == (0, 0)
    folders = ["a", "a-2", "a-2-2", "a-3"]
    assert sorted(os.listdir("separated")) == [".audiosep", *folders]  # noqa: PTH208
    assert split(inside, "a.wav", "a-2.wav").out == first.out
    assert split(inside, "a.wav", "a-2.wav", "--seed", "1").out == second.out


def test_another_recording_of_the_same_name_gets_a_folder_of_its_own(inside):
    files.write_sound("a.wav")
    split(inside, "a.wav")
    files.write_sound("a.wav", files.noise(seed=9))
    ended = split(inside, "a.wav")
    assert ended.code == 0
    assert "separated/a holds stems made from another recording" in ended.err
    assert Path("separated/a-2/audiosep.json").is_file()


def test_another_version_is_another_job(inside):
    files.write_sound("a.wav")
    split(inside, "a.wav")
    path = Path("separated/a/audiosep.json")
    path.write_text(path.read_text().replace(f'"{audiosep.__version__}"', '"0.0.0"', 1))
    ended = split(inside, "a.wav")
    assert ended.code == 0
    assert "separated/a holds stems made by another version" in ended.err


def test_threads_and_words_are_no_other_job(inside):
    files.write_sound("a.wav")
    split(inside, "a.wav")
    (entry,) = lines(split(inside, "a.wav", "--threads", "1", "-v", "--json").out)
    assert entry["status"] == "skipped"


def test_a_missing_stem_is_made_again(inside):
    files.write_sound("a.wav")
    split(inside, "a.wav")
    before = files.tree("separated")
    Path("separated/a/source-2.wav").unlink()
    ended = split(inside, "a.wav")
    assert ended.code == 0
    assert "already done" not in ended.err
    after = files.tree("separated")
    assert after["a/source-2.wav"] == before["a/source-2.wav"]


def test_overwrite_takes_the_stems_of_the_run_before_and_nothing_else(inside):
    files.write_sound("a.wav")
    split(inside, "a.wav", "-n", "3")
    Path("separated/a/notes.txt").write_text("mine")
    files.write_sound("separated/a/mine.wav")
    ended = split(inside, "a.wav", "-n", "2", "--exists", "overwrite")
    assert ended.code == 0
    assert sorted(os.listdir("separated/a")) == [  # noqa: PTH208
        "audiosep.json",
        "factorization.safetensors",
        "mine.wav",
        "notes.txt",
        "source-1.wav",
        "source-2.wav",
    ]
    assert Path("separated/a/notes.txt").read_text() == "mine"


def test_rename(inside):
    files.write_sound("a.wav")
    places = [split(inside, "a.wav", "--exists", "rename").out.splitlines()[0] for _ in range(3)]
    assert places == [f"separated/a{end}/source-1.wav" for end in ("", "-2", "-3")]


def test_fail(inside):
    files.write_sound("a.wav")
    files.write_sound("b.wav")
    assert split(inside, "a.wav", "--exists", "fail").code == 0
    ended = split(inside, "a.wav", "--exists", "fail")
    assert ended.code == 5
    assert "separated/a already exists; use --exists overwrite or rename" in ended.err
    assert split(inside, "a.wav", "b.wav", "--exists", "fail").code == 1


def cut_short(path):
    os.truncate(path, 100)


def edit(path):
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("change", [cut_short, edit])
@pytest.mark.parametrize("others", ["there", "missing"])
def test_a_stem_that_is_not_what_was_written_is_not_lost_silently(inside, change, others):
    files.write_sound("a.wav")
    split(inside, "a.wav")
    whole = files.tree("separated")
    change(Path("separated/a/source-2.wav"))
    if others == "missing":
        Path("separated/a/source-1.wav").unlink()
    before = files.tree("separated")
    ended = split(inside, "a.wav")
    assert (ended.code, ended.out) == (5, "")
    assert "source-2.wav is damaged or edited since; use --exists repair" in ended.err
    assert files.tree("separated") == before
    assert split(inside, "a.wav", "--exists", "overwrite").code == 0
    for name in ("source-1.wav", "source-2.wav"):
        assert files.tree("separated")[f"a/{name}"] == whole[f"a/{name}"]


@pytest.mark.parametrize("lost", ["audiosep", "settings", "input", "output", "stems", "sha256"])
def test_a_record_that_lacks_something_is_no_record(inside, lost):
    files.write_sound("a.wav")
    split(inside, "a.wav")
    path = Path("separated/a/audiosep.json")
    record = json.loads(path.read_text())
    if lost == "stems":
        record["stems"] = {}
    elif lost == "sha256":
        del record["stems"]["source-1"]["sha256"]
    else:
        del record[lost]
    path.write_text(json.dumps(record))
    ended = split(inside, "a.wav")
    assert ended.code == 5
    assert "holds files that no finished run has left" in ended.err


def test_a_record_that_points_elsewhere_is_no_record(inside):
    files.write_sound("a.wav")
    split(inside, "a.wav")
    path = Path("separated/a/audiosep.json")
    path.write_text(path.read_text().replace('"source-1.wav"', '"../../a.wav"'))
    assert split(inside, "a.wav").code == 5


@pytest.mark.parametrize("record", [None, "not json", "{}", "[]", '{"stems": 3, "input": []}'])
def test_sound_files_of_unknown_origin_are_not_replaced(inside, record):
    files.write_sound("a.wav")
    Path("separated/a").mkdir(parents=True)
    Path("separated/a/source-1.wav").write_text("mine")
    if record:
        Path("separated/a/audiosep.json").write_text(record)
    before = files.tree("separated")
    ended = split(inside, "a.wav")
    assert ended.code == 5
    assert "holds files that no finished run has left" in ended.err
    assert files.tree("separated") == before
    assert split(inside, "a.wav", "--exists", "overwrite").code == 0


def test_a_folder_with_other_things_in_it_is_used(inside):
    files.write_sound("a.wav")
    Path("separated/a").mkdir(parents=True)
    Path("separated/a/notes.txt").write_text("mine")
    assert split(inside, "a.wav").code == 0
    assert Path("separated/a/notes.txt").read_text() == "mine"


@pytest.mark.parametrize("exists", ["skip", "overwrite"])
def test_a_recording_is_never_replaced_by_its_own_stems(inside, exists):
    Path("source-1").mkdir()
    files.write_sound("source-1/source-1.wav")
    before = files.tree("source-1")
    ended = split(inside, "source-1/source-1.wav", "-o", ".", "--exists", exists)
    assert ended.code == 5
    assert "is in the folder that its stems would go to" in ended.err
    assert files.tree("source-1") == before
    assert split(inside, "source-1/source-1.wav", "-o", ".", "--exists", "rename").code == 0


def test_a_missing_recording_in_a_missing_folder(inside):
    Path("separated/x").mkdir(parents=True)
    for exists in ("skip", "overwrite", "rename"):
        ended = split(inside, "nowhere/x.wav", "--exists", exists)
        assert ended.code == 3
        assert ended.err == "audiosep: nowhere/x.wav does not exist; check the name.\n"


def test_a_file_where_the_folder_of_the_stems_should_be(inside):
    files.write_sound("a.wav")
    Path("separated").mkdir()
    Path("separated/a").write_text("mine")
    ended = split(inside, "a.wav")
    assert ended.code == 4
    assert "separated/a is a file where the folder of the stems should be" in ended.err
    assert files.tree("separated") == {"a": b"mine"}


def test_dry_run_writes_nothing(inside):
    files.write_sound("a.wav")
    Path("bad.wav").write_text("text")
    before = files.tree(".")
    ended = split(inside, "a.wav", "--dry-run")
    assert ended.code == 0
    assert ended.out.startswith("a.wav: 0.5 s, 8000 Hz, 2 channels -> separated/a/")
    ended = split(inside, "a.wav", "bad.wav", "--dry-run", "--json")
    assert ended.code == 1
    good, bad = lines(ended.out)
    assert (good["status"], good["folder"]) == ("planned", "separated/a")
    assert bad["error"].startswith("bad.wav is not audio that can be read: it is plain text;")
    assert files.tree(".") == before
    assert not Path("separated").exists()
    split(inside, "a.wav")
    (entry,) = lines(split(inside, "a.wav", "--dry-run", "--json").out)
    assert entry["status"] == "skipped"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["--format", "flac"], 2), (["--start", "99"], 3), (["--start", "0.5"], 3)],
    ids=str,
)
def test_dry_run_says_what_the_real_run_would_say(inside, arguments, code):
    files.write_sound("a.wav", files.noise(n_channels=16))
    real = split(inside, "a.wav", *arguments)
    assert real.code == code
    assert split(inside, "a.wav", "--dry-run", *arguments) == real
    (entry,) = lines(split(inside, "a.wav", "--dry-run", "--json", *arguments).out)
    assert entry["status"] == "failed"


def test_a_dry_run_refuses_what_is_too_long_for_a_score(inside):
    sr = 100  # hours in a small file
    Path("score.txt").write_text("0\t1\tflute:C4\n")
    sf.write("night.wav", np.zeros(round((LONGEST_S + 60) * sr), np.int16), sr)
    arguments = ("split", "--preset", "score", "--score", "score.txt", "night.wav", "--dry-run")
    ended = inside(*arguments)
    assert ended.code == 5
    assert "too long to align" in ended.err
    assert inside(*arguments, "--duration", LONGEST_S - 60).code == 0


# Several recordings


def test_a_recording_in_two_spellings_is_done_once(inside):
    files.write_sound("a.wav")
    ended = split(inside, "a.wav", Path("a.wav").absolute(), ".", "--json")
    assert [entry["input"] for entry in lines(ended.out)] == ["a.wav"]


def test_what_macos_leaves_beside_recordings_is_no_failure(inside):
    Path("tapes").mkdir()
    files.write_sound("tapes/mac.wav")
    Path("tapes/._mac.wav").write_bytes(bytes(100))
    ended = split(inside, "tapes", "--json")
    assert ended.code == 0
    assert [entry["input"] for entry in lines(ended.out)] == ["tapes/mac.wav"]
    assert split(inside, "tapes/._mac.wav").code == 3


def test_names_that_differ_by_ending_or_case(inside):
    for name in ("a.wav", "A.wav", "a.flac"):
        files.write_sound(name, format="FLAC" if name.endswith("flac") else "WAV")
    (Path("x")).mkdir()
    files.write_sound("x/a.wav", files.noise(seed=3))
    ended = split(inside, "a.wav", "a.flac", "A.wav", "x/a.wav", "--json")
    folders = [Path(entry["stems"]["source-1"]).parent.name for entry in lines(ended.out)]
    assert folders == ["a.wav", "a.flac", "A.wav-2", "a.wav-3"]
    assert len(list(Path("separated").glob("[!.]*"))) == 4


def test_folders(inside):
    Path("tapes/below").mkdir(parents=True)
    files.write_sound("tapes/b.wav")
    files.write_sound("tapes/a.flac", format="FLAC")
    files.write_sound("tapes/below/c.wav")
    Path("tapes/notes.txt").write_text("text")
    ended = split(inside, "tapes", "tapes/b.wav", "--json")
    assert [entry["input"] for entry in lines(ended.out)] == ["tapes/a.flac", "tapes/b.wav"]
    assert ended.code == 0


def test_results_below_the_input_folder_are_not_taken_for_recordings(inside):
    files.write_sound("a.wav")
    for _ in range(2):
        entries = lines(split(inside, ".", "-o", ".", "--json").out)
        assert [entry["input"] for entry in entries] == ["a.wav"]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (RuntimeError("boom"), "failed unexpectedly (RuntimeError: boom); see --debug."),
        (KeyError("boom"), "failed unexpectedly (KeyError: 'boom'); see --debug."),
        (MemoryError(), "needs more memory than there is; take a part with --duration."),
        (OSError(5, "Input/output error"), "cannot be read (Input/output error), tried twice; "),
    ],
    ids=lambda value: type(value).__name__,
)
def test_whatever_happens_to_one_the_others_are_done(inside, monkeypatch, error, words):
    from audiosep import loading

    real = loading.scan_recording

    def fail_once(path, **part):
        if path.name == "a.wav":
            raise error
        return real(path, **part)

    monkeypatch.setattr(loading, "scan_recording", fail_once)
    files.write_sound("a.wav")
    files.write_sound("b.wav")
    ended = split(inside, "a.wav", "b.wav")
    assert ended.code == 1
    assert len(ended.out.splitlines()) == 2
    assert ended.err.startswith("audiosep: a.wav ")
    assert words in ended.err
    first, second = lines(split(inside, "a.wav", "b.wav", "--json", "-o", "j").out)
    assert (first["status"], second["status"]) == ("failed", "done")
    assert words in first["error"]


# Names


def test_names_that_would_write_to_the_terminal(here):
    raw = [b"esc\x1b[31m.wav", b"new\nline.wav", b"latin-\xe9.wav", b"-dash.wav"]
    for name in raw:
        files.write_sound(os.fsdecode(name))
    absent = b"absent\x1b[2J\n.wav"
    ended = split(files.audiosep, "--", *raw, absent)
    assert ended.code == 1
    assert "\x1b" not in ended.out + ended.err
    assert len(ended.out.splitlines()) == 8
    assert "separated/latin-\\xe9/source-1.wav" in ended.out
    assert "audiosep: absent\\x1b[2J\\n.wav does not exist; check the name.\n" in ended.err
    for name in raw:
        assert Path("separated", os.fsdecode(name[:-4]), "source-1.wav").is_file()
    ended = split(files.audiosep, "--json", "--", *raw, absent)
    assert [entry["status"] for entry in lines(ended.out)] == ["skipped"] * 4 + ["failed"]


def test_names_as_long_as_the_system_allows(inside):
    name = "é" * 125 + "x.wav"
    files.write_sound(name)
    files.write_sound("a.wav")
    ended = split(inside, name, "n" * 300 + ".wav", "a.wav")
    assert ended.code == 1
    assert len(ended.out.splitlines()) == 4
    assert "n.wav cannot be opened: File name too long." in ended.err


# The other commands


def test_info(inside):
    files.write_sound("a.wav")
    files.cut(files.write_sound("cut.wav", files.noise(n_channels=1), subtype="FLOAT"), 0.5)
    Path("bad.wav").write_text("text")
    Path("folder").mkdir()
    ended = inside("info", "a.wav", "bad.wav", "cut.wav", "folder")
    assert ended.code == 1
    good, cut = ended.out.splitlines()
    assert good == "a.wav: WAV PCM_16, 8000 Hz, stereo, 0.50 s; stems will be 16-bit"
    assert cut.startswith("cut.wav: WAV FLOAT, 8000 Hz, mono, 0.25 s; stems will be 32-bit float; ")
    assert "cut: 8" in cut
    assert len(ended.err.splitlines()) == 2
    ended = inside("info", "a.wav", "bad.wav", "cut.wav", "folder", "--json")
    entries = lines(ended.out)
    assert [entry["status"] for entry in entries] == ["ok", "failed", "ok", "failed"]
    assert entries[0]["n_samples"] == 4000
    assert entries[2]["missing_bytes"] > 8000
    assert ended.err == ""
    assert inside("info", "a.wav").code == 0
    assert inside("info", "bad.wav", "absent.wav").code == 3


def test_presets(inside):
    ended = inside("presets")
    assert ended.code == 0
    assert [line.split()[0] for line in ended.out.splitlines()[::2]] == list(preset_names())
    entries = lines(inside("presets", "--json").out)
    assert [entry["preset"] for entry in entries] == list(preset_names())
    assert all(set(entry) == {"preset", "stems", "summary"} for entry in entries)


def test_a_format_that_cannot_hold_it_is_refused_before_any_work(inside, monkeypatch):
    from audiosep import loading

    read = []
    monkeypatch.setattr(loading, "scan_recording", lambda path, **_: read.append(path))
    files.write_sound("wide.wav", files.noise(n_channels=9))
    ended = split(inside, "wide.wav", "--format", "flac")
    assert (ended.code, ended.out, read) == (2, "", [])
    assert "flac holds at most 8 channels" in ended.err
    split(inside, "wide.wav")
    assert read == [Path("wide.wav")]


def test_nothing_is_left_where_nothing_was_done(inside):
    assert split(inside, "absent.wav").code == 3
    assert not Path("separated").exists()
    Path("mine").mkdir()
    assert split(inside, "absent.wav", "-o", "mine").code == 3
    assert split(inside, "absent.wav", "-o", "mine/n1/n2/n3").code == 3
    assert Path("mine").is_dir()
    assert list(Path("mine").iterdir()) == []


@pytest.mark.parametrize(
    ("leaving", "code"), [(KeyboardInterrupt(), 130), (SystemExit(143), 143)], ids=repr
)
def test_nothing_is_left_of_an_interrupted_run(inside, monkeypatch, leaving, code):
    from audiosep import loading

    def interrupt(*_, **__):
        raise leaving

    monkeypatch.setattr(loading, "scan_recording", interrupt)
    files.write_sound("a.wav")
    assert split(inside, "a.wav", "-o", "n1/n2").code == code
    assert os.listdir() == ["a.wav"]  # noqa: PTH208


def test_json_where_nothing_can_be_written(inside):
    files.write_sound("a.wav")
    files.write_sound("b.wav")
    Path("file").write_text("mine")
    ended = split(inside, "a.wav", "b.wav", "-o", "file/below", "--json")
    assert (ended.code, ended.err) == (4, "")
    entries = lines(ended.out)
    assert all(set(entry) == KEYS for entry in entries)
    assert [(entry["input"], entry["status"]) for entry in entries] == [
        ("a.wav", "failed"),
        ("b.wav", "failed"),
    ]
    assert entries[0]["error"].startswith("a.wav: cannot write to file/below: ")


@pytest.mark.parametrize("closed", ["stdout", "stderr"])
def test_a_closed_stream(inside, monkeypatch, closed):
    files.write_sound("a.wav")
    monkeypatch.setattr(sys, closed, None)
    assert split(inside, "a.wav").code == 0
    assert inside("split", "absent.wav").code == 3
    assert Path("separated/a/audiosep.json").is_file()
    getattr(sys, closed).close()


def test_closed_streams_of_the_installed_command(here):
    files.write_sound("a.wav")
    done = subprocess.run(
        ["sh", "-c", '"$@" >&- 2>&-', "sh", *files.COMMAND, "split", *SMALL, "a.wav"], check=False
    )
    assert done.returncode == 0
    assert len(files.tree("separated")) == 4
    total = sum(files.whole_numbers(f"separated/a/source-{i}.wav") for i in (1, 2))
    np.testing.assert_array_equal(total, files.whole_numbers("a.wav"))


@pytest.mark.parametrize(
    ("persistent", "words"),
    [
        (True, "compiling kernels, on the first run only ..."),
        (False, "compiling kernels, as on every run, because no folder for them can be written; "),
    ],
)
def test_what_is_said_about_compiling(inside, monkeypatch, persistent, words):
    from audiosep.nmf import jit

    monkeypatch.setattr(jit, "is_warm", lambda: False)
    monkeypatch.setattr(jit, "cache_is_persistent", lambda: persistent)
    files.write_sound("a.wav")
    ended = split(inside, "a.wav")
    assert f"audiosep: {words}" in ended.err
    assert ("first run" in ended.err) == persistent


@pytest.mark.parametrize(
    ("said", "typed"),
    [
        ("n_sources=0 must be 1", "-n 0 must be 1"),
        ("n_components=3 is fewer", "--components 3 is fewer"),
        ("use bits=24 or format='wav'.", "use --bits 24 or --format wav."),
        ('use format="wav"', "use --format wav"),
        ("seed=-1 and max_iter=0", "--seed -1 and --iterations 0"),
        ("mask exponent 99.0 is", "--mask-exponent 99.0 is"),
        ("mask_exponent=99.0 is", "--mask-exponent 99.0 is"),
        ("n_threads=0 and beta='x'", "--threads 0 and --beta x"),
        ("beta 'x' is unknown", "--beta 'x' is unknown"),
        ("the bits of a format from the start", "the bits of a format from the start"),
        ("unknown preset 'seed=1'", "unknown preset 'seed=1'"),
    ],
)
def test_parameters_become_options(said, typed):
    assert words_of(UsageError(said)) == words_of(ParameterError(said)) == typed
    assert words_of(InputError(said)) == said


def test_what_nobody_reads_to_its_end_is_shown_by_its_ends(inside):
    """Found by scripts/fuzz.py: a cell of 5 000 digits made a message of 5 000 digits."""
    files.write_sound("a.wav")
    ended = inside("split", "a.wav", "--bits", f"f{'9' * 5000}g")
    assert ended.code == 2
    assert f"--bits f{'9' * 98}...{'9' * 98}g is unknown" in ended.err.replace("'", "")
    path = f"{'long/' * 190}a.wav"  # longer than names of files may be, but a path
    assert words_of(InputError(f"{path} is empty.")) == f"{path} is empty."


def test_every_parameter_has_its_option():
    commands = typer.main.get_command(app).commands
    parameters = commands["split"].params + commands["learn"].params
    spellings = {option for parameter in parameters for option in parameter.opts}
    assert set(OPTION_OF.values()) <= spellings


def test_a_link_to_a_recording_in_the_folder_of_its_stems_is_refused(inside):
    Path("r/a").mkdir(parents=True)
    files.write_sound("r/a/drums.wav")
    before = files.tree("r")
    Path("a.wav").symlink_to("r/a/drums.wav")
    ended = split(inside, "a.wav", "-o", "r", "--exists", "overwrite")
    assert ended.code == 5
    assert "is in the folder that its stems would go to" in ended.err
    assert files.tree("r") == before


def test_a_dry_run_says_what_the_header_tells_of_damage(inside):
    """What would be taken with a warning, and what would be refused, without reading it all."""
    Path("in").mkdir()
    files.cut(files.write_sound("in/cut.wav", files.noise(8000)), 0.5)
    files.write_sound("in/flac.wav", format="FLAC")
    files.cut(files.write_sound("in/cut.flac", files.integers(80_000), format="FLAC"), 0.5)
    files.write_sound("in/good.wav")
    ended = split(inside, "in", "--dry-run", "--json")
    said = {entry["input"]: entry for entry in map(json.loads, ended.out.splitlines())}
    assert ended.code == 1
    assert said["in/good.wav"]["warnings"] == []
    (words,) = said["in/cut.wav"]["warnings"]
    assert words.startswith("the file ends early: 0.5")
    assert f"audiosep: warning: in/cut.wav: {words}" in ended.err
    assert "but it is FLAC" in said["in/flac.wav"]["warnings"][0]
    assert "in/cut.flac is damaged after " in said["in/cut.flac"]["error"]
    # As the run itself says.
    ended = split(inside, "in", "--json")
    run = {entry["input"]: entry for entry in map(json.loads, ended.out.splitlines())}
    for name in ("in/cut.wav", "in/flac.wav", "in/good.wav"):
        assert run[name]["warnings"] == said[name]["warnings"]
    assert run["in/cut.flac"]["status"] == said["in/cut.flac"]["status"] == "failed"
    part = ["in/cut.flac", "--duration", "1", "--dry-run"]
    assert split(inside, *part, "-o", "b").code == 0
    assert split(inside, "in/cut.flac", "--salvage", "--dry-run").code == 0
    assert "refuses that: the file ends early" in split(inside, *part, "--strict").err
    long = split(inside, "in/good.wav", "-o", "c", "--max-duration", "0.1", "--dry-run")
    assert (long.code, "--max-duration allows;" in long.err) == (5, True)


def test_advice_is_for_who_reads_it(inside):
    """The command line tells options, the library arguments as well."""
    files.write_sound("a.wav", files.noise() * np.float32(np.nan), subtype="FLOAT")
    ended = split(inside, "a.wav")
    assert "--fix-nonfinite zero'." in ended.err
    assert "Python" not in ended.err
    with pytest.raises(audiosep.AudiosepError) as raised:
        audiosep.separate("a.wav", **files.SMALL_SETTINGS)
    assert str(raised.value).endswith('zero\' (in Python: ReadOptions(fix_nonfinite="zero")).')
    assert without_python(str(raised.value)) == ended.err.removeprefix("audiosep: ").strip()
