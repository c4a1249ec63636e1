"""``audiosep learn``, ``audiosep dict`` and ``--example`` as a person meets them."""

from __future__ import annotations

import json
import sys

import files
import numpy as np
import pytest
import scenes
import soundfile

from audiosep import cli
from audiosep.cli.telling import examples_of
from audiosep.dictionary_files import load_dictionary
from audiosep.errors import ExitCode, UsageError

SR = 16000


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    scene = scenes.two_notes(sr=SR)
    for name, samples in scene.items():
        soundfile.write(tmp_path / f"{name}.wav", samples, SR)
    soundfile.write(tmp_path / "mix.wav", scenes.mixture(scene)[0], SR)
    return tmp_path


@pytest.fixture
def run(here, monkeypatch, capsys):
    def inside(*arguments):
        monkeypatch.setattr(sys, "argv", ["audiosep", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        said = capsys.readouterr()
        return files.Ended(caught.value.code or 0, said.out, said.err)

    return inside


def test_learn_show_merge_play(run, here):
    ended = run("learn", "low.wav", "-o", "low.safetensors")
    assert (ended.code, ended.out) == (0, "low.safetensors\n")
    assert run("learn", "high.wav", "-o", "up", "--label", "high", "--no-exemplars").code == 0
    ended = run("dict", "show", "low.safetensors", "up.safetensors", "--json")
    low, high = map(json.loads, ended.out.splitlines())
    assert low["labels"]["low"]["exemplars_s"] > 0.5
    assert high["labels"]["high"]["exemplars_s"] == 0
    assert low["provenance"] == "learnt from low.wav"
    ended = run("dict", "merge", "low.safetensors", "up.safetensors", "-o", "both")
    assert ended.code == 0
    assert load_dictionary(here / "both.safetensors").sources == ("low", "high")
    ended = run("dict", "play", "both.safetensors", "--duration", "0.5")
    assert ended.out == "both/low.wav\nboth/high.wav\n"
    samples, sr = soundfile.read(here / "both" / "low.wav")
    assert sr == SR
    assert 0.4 < np.abs(samples).max() <= 0.51
    assert "low: " in run("dict", "show", "both.safetensors").out


def test_merge_into_one_label(run, here):
    run("learn", "low.wav", "-o", "low")
    run("learn", "high.wav", "-o", "high")
    assert run("dict", "merge", "low.safetensors", "high.safetensors", "-o", "n", "--label", "n")
    assert load_dictionary(here / "n.safetensors").sources == ("n",)


def test_nothing_is_replaced_unasked(run, here):
    run("learn", "low.wav", "-o", "low")
    before = (here / "low.safetensors").read_bytes()
    ended = run("learn", "high.wav", "-o", "low.safetensors")
    assert ended.code == ExitCode.REFUSED
    assert "--overwrite" in ended.err
    assert (here / "low.safetensors").read_bytes() == before
    assert run("learn", "high.wav", "-o", "low.safetensors", "--overwrite").code == 0
    assert (here / "low.safetensors").read_bytes() != before
    run("dict", "play", "low.safetensors", "--duration", "0.2")
    assert run("dict", "play", "low.safetensors").code == ExitCode.REFUSED


def test_same_seed_same_file(run, here):
    for name in ("one", "two"):
        run("learn", "low.wav", "-o", name, "--label", "low")
    one, two = ((here / f"{name}.safetensors").read_bytes() for name in ("one", "two"))
    assert one == two


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["learn", "gone.wav", "-o", "x"], 3, "gone.wav"),
        (["learn", "silent.wav", "-o", "x"], 3, "silent"),
        (["learn", "low.wav", "-o", "x", "--label", "a/b"], 2, "cannot name a stem"),
        (["learn", "low.wav", "-o", "x", "--components", "0"], 2, "--components 0"),
        (["learn", "low.wav", "-o", "x", "--window", "5"], 2, "--window 5"),
        (["learn", "low.wav", "-o", "nowhere/x"], 4, "no folder"),
        (["learn", "low.wav", "-o", "x", "--start", "99"], 3, "before the start"),
        (["dict", "show", "low.wav"], 3, "not a dictionary"),
        (["dict", "show", "gone.safetensors"], 3, "gone.safetensors"),
        (["dict", "merge", "low.wav", "-o", "x"], 3, "not a dictionary"),
        (["dict", "play", "gone.safetensors"], 3, "gone.safetensors"),
        (["split", "mix.wav", "--example", "x=gone.wav"], 3, "gone.wav"),
        (["split", "mix.wav", "--example", "x=@7-8"], 3, "outside the recording"),
        (["split", "mix.wav", "--example", "@0-1"], 2, "needs a name"),
        (["split", "mix.wav", "--example", "x="], 2, "NAME=FILE"),
        (["split", "mix.wav", "--example", "a/b=low.wav"], 2, "cannot name a stem"),
        (["split", "mix.wav", "--preset", "by-example"], 2, "--example"),
        (["split", "mix.wav", "--preset", "drums", "--example", "low.wav"], 2, "no examples"),
        (["split", "mix.wav", "--example", "low.wav", "--free", "-1"], 2, "--free -1"),
        (["split", "mix.wav", "--example", "low.wav", "--quality", "best"], 2, "high or fast"),
    ],
)
def test_what_goes_wrong(run, here, arguments, code, words):
    soundfile.write(here / "silent.wav", np.zeros(SR), SR)
    ended = run(*arguments)
    assert ended.code == code
    assert words in ended.err
    assert "Traceback" not in ended.err
    assert not (here / "x.safetensors").exists()


def test_split_by_example(run, here):
    run("learn", "low.wav", "-o", "low")
    ended = run("split", "mix.wav", "--example", "low.safetensors", "--example", "top=high.wav",
                "--quality", "fast", "--threads", "1")  # fmt: skip
    assert ended.code == 0, ended.err
    assert ended.out.split() == ["separated/mix/low.wav", "separated/mix/top.wav"]
    again = run("split", "mix.wav", "--example", "low.safetensors", "--example", "top=high.wav",
                "--quality", "fast", "--threads", "1")  # fmt: skip
    assert "already done" in again.err
    other = run("split", "mix.wav", "--example", "low=low.wav", "--example", "top=high.wav",
                "--quality", "fast", "--threads", "1")  # fmt: skip
    assert "separated/mix-2/low.wav" in other.out


@pytest.mark.parametrize("command", ["split", "batch"])
@pytest.mark.parametrize("missing", ["mix", "score", "example", "named example", "dictionary"])
def test_whatever_file_is_missing_the_exit_code_is_the_same(run, command, missing):
    given = {
        "mix": ["gone.wav"],
        "score": ["mix.wav", "--score", "gone.mid"],
        "example": ["mix.wav", "--example", "gone.wav"],
        "named example": ["mix.wav", "--example", "x=gone.safetensors"],
        "dictionary": ["mix.wav", "--preset", "stems", "--dictionary", "gone.safetensors"],
    }[missing]
    ended = run(command, *given)
    assert ended.code == ExitCode.ALL_FAILED
    assert "gone." in ended.err


def test_dry_run_looks_at_regions(run, here):
    code, words = 3, "the example @7-8 of 'x' is outside the recording, which is 2.00 s long"
    for rest in ([], ["--dry-run"]):
        ended = run("split", "mix.wav", "--example", "x=@7-8", *rest)
        assert (ended.code, words in ended.err) == (code, True)
    assert run("split", "mix.wav", "--example", "x=@1-2", "--dry-run").code == 0
    # Regions count from the beginning of the recording, whatever part of it is taken.
    late = ("--example", "x=@0-0.2", "--start", "1.5", "--dry-run")
    assert run("split", "mix.wav", *late).code == 0


def test_dry_run_counts_the_stems(run):
    few, many = (
        json.loads(run("split", "mix.wav", "--dry-run", "--json", *examples).out)["memory_mb"]
        for examples in (
            ["--example", "low.wav"],
            [text for n in range(60) for text in ("--example", f"{n}=low.wav")],
        )
    )
    assert many > few


def test_names_of_examples(here):
    assert examples_of(["dog=a=b.wav", "dog=@1-2", "x/cat.flac"]) == {
        "dog": ["a=b.wav", "@1-2"],
        "cat": ["x/cat.flac"],
    }
    with pytest.raises(UsageError, match="NAME=FILE"):
        examples_of(["=x.wav"])
