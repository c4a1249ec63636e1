"""``audiosep preview``: an excerpt to listen to, which keeps out of the way of the real thing."""

from __future__ import annotations

import json
from pathlib import Path

import commanding
import files
import numpy as np
import pytest

SR = 8000


@pytest.fixture
def inside(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    return commanding.runner(monkeypatch, capsys)


@pytest.fixture
def mix(tmp_path):
    """Half a minute of hum with strokes from 12 to 19 s."""
    rng = np.random.default_rng(0)
    t = np.arange(30 * SR) / SR
    samples = 0.05 * np.sin(2 * np.pi * 220 * t)
    for at in np.arange(12, 19, 0.25):
        samples[round(at * SR) :][:800] += rng.uniform(-0.4, 0.4, 800)
    return files.write_sound(tmp_path / "mix.wav", samples[np.newaxis], SR)


def preview(run, *arguments):
    return run("preview", "--preset", "harmonic-percussive", *arguments)


def record(place):
    return json.loads(Path(place, "audiosep.json").read_text())


def test_the_busiest_part_into_a_folder_of_its_own(inside, mix):
    ended = preview(inside, "mix.wav", "--length", "8", "--json")
    assert ended.code == 0
    (entry,) = map(json.loads, ended.out.splitlines())
    start_s, end_s = entry["excerpt_s"]
    assert (end_s - start_s, 10 <= start_s <= 13) == (8.0, True)
    assert entry["whole_s"] > 0
    assert set(entry["stems"]) == {"harmonic", "percussive"}
    assert all(path.startswith("separated/mix-preview/") for path in entry["stems"].values())
    first = round(start_s * SR)
    total = sum(files.whole_numbers(path) for path in entry["stems"].values())
    np.testing.assert_array_equal(total, files.whole_numbers("mix.wav")[:, first : first + 8 * SR])
    words = f"the busiest 8 s, 0:{start_s:02.0f}-0:{end_s:02.0f} of 0:30"
    assert f"mix.wav: preview: {words}" in ended.err
    assert "the whole, 0:30, would take about" in ended.err
    about = record("separated/mix-preview")
    assert f"preview: {words}" in about["notes"]
    assert about["settings"]["quality"] == "fast"
    assert about["input"]["start"] == start_s
    assert Path("separated/mix-preview/report.html").is_file()


def test_it_is_passed_over_when_repeated_and_does_not_stand_for_the_whole(inside, mix):
    first = preview(inside, "mix.wav", "--length", "4", "--no-report")
    assert first.code == 0
    before = files.tree("separated")
    again = preview(inside, "mix.wav", "--length", "4", "--no-report")
    assert (again.code, again.out) == (0, first.out)
    assert "already done" in again.err
    assert files.tree("separated") == before
    whole = inside("split", "--preset", "harmonic-percussive", "mix.wav")
    assert whole.out.splitlines()[0] == "separated/mix/harmonic.wav"
    assert "already done" not in whole.err
    other = preview(inside, "mix.wav", "--at", "0:05", "--length", "4", "--no-report")
    assert other.out.splitlines()[0] == "separated/mix-preview-2/harmonic.wav"
    assert not Path("separated/mix-preview/report.html").exists()
    assert inside("verify", "separated").code == 0


def test_a_place_that_is_named(inside, mix):
    ended = preview(inside, "mix.wav", "--at", "0:28.5", "--length", "4", "--no-report", "-q")
    assert (ended.code, ended.err) == (0, "")
    assert files.sounds("separated/mix-preview/harmonic.wav").shape == (1, 1.5 * SR)


def test_a_short_recording_is_taken_whole(inside):
    files.write_sound("short.wav")
    ended = preview(inside, "short.wav", "--no-report")
    assert ended.code == 0
    assert "short.wav: preview: all of it" in ended.err
    assert record("separated/short-preview")["input"]["duration"] is None
    total = sum(files.whole_numbers(path) for path in ended.out.splitlines())
    np.testing.assert_array_equal(total, files.whole_numbers("short.wav"))


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["mix.wav", "--length", "0.5"], 2, "--length 0.5 is out of range; use 1 to 600 s."),
        (["mix.wav", "--length", "nan"], 2, "--length nan is out of range"),
        (["mix.wav", "--at", "soon"], 2, "--at 'soon' is no time; write 65 or 1:05."),
        (["mix.wav", "--at", "0:30"], 2, "--at 0:30 is behind the end of the recording, 0:30."),
        (["absent.wav"], 3, "absent.wav does not exist"),
        (["text.wav"], 3, "text.wav is not audio"),
        (["mix.wav", "--preset", "score"], 2, "use split"),
        (["mix.wav", "-o", "text.wav"], 4, "there is a file where a folder should be"),
    ],
    ids=str,
)
def test_what_cannot_be(inside, mix, arguments, code, words):
    Path("text.wav").write_text("text")
    before = files.tree(".")
    ended = preview(inside, *arguments)
    assert (ended.code, ended.out) == (code, "")
    assert words in ended.err
    assert files.tree(".") == before
    told = preview(inside, *arguments, "--json")
    (entry,) = map(json.loads, told.out.splitlines())
    assert (told.code, entry["status"]) == (code, "failed")
    assert words in entry["error"]
