"""Time, memory and room are predicted before work is done."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import files
import numpy as np
import pytest
import soundfile as sf

import audiosep
from audiosep import cli, prediction, threads
from audiosep.cli.forecast import Forecast, about_time
from audiosep.cli.talk import Talk
from audiosep.cli.tasks import Outcome
from audiosep.costs import Cost, costs_of
from audiosep.errors import ExitCode, OutputError
from audiosep.prediction import (
    check_room,
    fewest_stems,
    free_bytes,
    probe_s,
    seconds_of,
    stems_bytes,
)
from audiosep.presets import preset_names
from audiosep.threads import n_processors

SR = 44_100


def test_costs_grow_as_they_say():
    cost = Cost(fixed=1.0, fixed_rate=0.0, second=2.0, channel=3.0, sample=4.0, rate=5.0)
    assert cost.of(0.0, 1, SR) == 1.0
    assert cost.of(10.0, 1, SR) == 1 + 10 * (2 + 3 + 4 + 5)
    assert cost.of(10.0, 2, SR) == 1 + 10 * (2 + 6 + 8 + 5)
    assert cost.of(10.0, 2, 2 * SR) == 1 + 10 * (2 + 6 + 16 + 10)
    stems = replace(costs_of("stems"), learning_s=6.0)
    assert stems.learnt_s(100.0, 2, SR) == 600.0
    assert stems.learnt_s(100.0, 1, SR // 2) == 150.0


@pytest.mark.parametrize("preset", preset_names())
def test_longer_recordings_take_longer_and_in_the_end_in_proportion(preset):
    short, long, twice = (
        seconds_of(preset, round(s * SR), 2, SR) for s in (10.0, 36_000.0, 72_000.0)
    )
    assert 0 < short < long < twice
    assert twice / long == pytest.approx(2.0, rel=0.02)


def test_chunks_and_what_is_learnt_before_cost_something():
    one, two = (seconds_of("stems", round(s * SR), 2, SR) for s in (100.0, 100.1))
    stems = costs_of("stems")
    more = stems.seconds.of(108.1, 2, SR) - stems.seconds.of(100.0, 2, SR)
    more += stems.learnt_s(100.0, 2, SR)
    assert two - one == pytest.approx(more * probe_s() / stems.probe_s, rel=1e-6)


def test_threads_share_what_can_be_shared(monkeypatch):
    monkeypatch.setattr(prediction, "n_processors", lambda: 4)
    one, four, many = (seconds_of("stems", 60 * SR, 2, SR, n_threads=n) for n in (1, 4, 400))
    parallel = costs_of("stems").parallel
    assert four / one == pytest.approx(1 - parallel * 3 / 4)
    assert many == four


def test_a_part_of_a_processor_is_heeded(monkeypatch):
    monkeypatch.setattr(prediction, "n_processors", lambda: 1)
    one = seconds_of("stems", 60 * SR, 2, SR, n_threads=2)
    monkeypatch.setattr(prediction, "n_processors", lambda: 0.5)
    assert seconds_of("stems", 60 * SR, 2, SR, n_threads=2) == pytest.approx(2 * one)
    monkeypatch.setattr(prediction, "n_processors", lambda: 1.5)
    assert 2 / 3 * one < seconds_of("stems", 60 * SR, 2, SR, n_threads=2) < one


def test_the_limit_of_a_container_counts(tmp_path, monkeypatch):
    limit = tmp_path / "cpu.max"
    monkeypatch.setattr(threads, "_CGROUP", tmp_path)
    free = n_processors()
    assert free >= 1
    for words, expected in (
        ("50000 100000\n", 0.5),
        ("max 100000\n", free),
        ("6400000 100000\n", min(free, 64)),
        ("0 0\n", free),
        ("", free),
    ):
        limit.write_text(words)
        assert n_processors() == expected


def test_a_machine_of_half_the_speed_takes_twice_as_long(monkeypatch):
    now = seconds_of("stems", 60 * SR, 2, SR)
    slower = 2 * probe_s()
    monkeypatch.setattr(prediction, "probe_s", lambda: slower)
    assert seconds_of("stems", 60 * SR, 2, SR) == pytest.approx(2 * now)


def test_the_probe_is_measured_once_and_takes_as_long_as_it_is_meant_to():
    assert 1e-4 < probe_s() < 1.0
    assert probe_s() == probe_s()


def test_one_slow_moment_does_not_change_the_probe(monkeypatch):
    """Turns that take a hundred times as long, now and then; and all kinds of work count."""
    usual = (1e-3, 2e-3, 4e-3, 8e-3)
    for turns, expected in (({2, 5, 7}, 2.828e-3), (set(range(10)), 0.2828)):
        calls = iter(range(1000))

        def timed(_kernel, calls=calls, turns=turns):
            turn, kernel = divmod(next(calls), 4)
            return usual[kernel] * (100 if turn in turns else 1)

        monkeypatch.setattr(prediction, "_timed", timed)
        probe_s.cache_clear()
        assert probe_s() == pytest.approx(expected, rel=1e-3)
    probe_s.cache_clear()


def test_room_of_stems_is_that_of_the_files(tmp_path):
    samples = np.zeros((3000, 2))
    for bits, subtype in ((16, "PCM_16"), (24, "PCM_24"), ("float", "FLOAT")):
        sf.write(tmp_path / "stem.wav", samples, SR, subtype=subtype)
        size = (tmp_path / "stem.wav").stat().st_size
        wanted = stems_bytes(3000, 2, 1, bits)
        assert size <= wanted <= size + 1024
        assert stems_bytes(3000, 2, 3, bits) == 3 * wanted
        assert stems_bytes(3000, 2, 1, bits, "flac") < wanted


def test_free_room_of_a_folder_that_is_not_there_yet(tmp_path):
    there, not_yet = free_bytes(tmp_path), free_bytes(tmp_path / "a" / "b")
    assert there is not None
    assert not_yet == pytest.approx(there, rel=0.1)


def test_stems_that_cannot_fit_are_refused_with_numbers(tmp_path):
    free = free_bytes(tmp_path)
    check_room(tmp_path / "out", free // 100, 2, 2, 16)
    with pytest.raises(
        OutputError, match=r"at least [\d.]+ [MG]B and [\d.]+ [MG]B are free"
    ) as caught:
        check_room(tmp_path / "out", free, 2, 2, 16)
    assert caught.value.exit_code == ExitCode.CANNOT_WRITE
    check_room(tmp_path / "out", free // 4, 2, 2, 16, "flac")  # nobody knows before


@pytest.mark.parametrize("preset", ["auto", "drums", "stereo", "four-stems"])
def test_no_fewer_stems_than_were_counted_on(preset):
    separator = audiosep.Separator(preset=preset, max_iter=2)
    found = separator.separate(files.noise(2 * 8000, n_channels=2), 8000).stems
    fewest = fewest_stems(preset, separator.n_stems())
    assert 1 <= fewest <= len(found) <= separator.n_stems()


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "1 s"),
        (99.4, "99 s"),
        (99.6, "2 min"),
        (185.0, "3 min"),
        (5900.0, "98 min"),
        (6000.0, "1.7 h"),
        (3.6e9, "1000000 h"),
    ],
)
def test_times_in_words(seconds, words):
    assert about_time(seconds) == words


def planned(place, audio_s, seconds, megabytes):
    entry = {"status": "planned", "audio_s": audio_s, "seconds": seconds, "disk_mb": megabytes}
    return Outcome(entry=entry, place=place)


def test_several_recordings_are_added_up(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("audiosep.cli.forecast.n_processors", lambda: 2)
    forecast = Forecast(talk=Talk(), jobs=4)
    for number in range(20):
        forecast.add(planned(tmp_path / f"{number}", 3600.0, 240.0, 1000.0))
    forecast.add(Outcome(entry={"status": "skipped"}, place=tmp_path))
    forecast.tell()
    said = capsys.readouterr().err
    # Four at once on two processors are no faster than two.
    assert said.splitlines()[0] == (
        "audiosep: 20 recordings, 20 h of sound: about 40 min with 4 at once, 20000 MB of stems"
    )


def test_processes_start_once_whatever_they_do(tmp_path, capsys):
    alone = 5 * seconds_of("score", 8000, 1, 8000)
    forecast = Forecast(talk=Talk(), jobs=1)
    for number in range(1000):
        forecast.add(planned(tmp_path / f"{number}", 1.0, alone, 1.0))
    forecast.tell()
    told = re.search(r"about ([\d.]+) (s|min|h) with", capsys.readouterr().err)
    seconds = float(told[1]) * {"s": 1, "min": 60, "h": 3600}[told[2]]
    assert 0.7 * 1000 * alone < seconds < 0.95 * 1000 * alone


def test_what_does_not_fit_is_a_warning(tmp_path, capsys):
    forecast = Forecast(talk=Talk())
    for name in "ab":
        forecast.add(planned(tmp_path / name, 1.0, 1.0, 0.6 * free_bytes(tmp_path) / 1e6))
    forecast.tell()
    assert "audiosep: warning: the stems need about" in capsys.readouterr().err


def test_one_small_recording_is_told_by_its_own_line_only(tmp_path, capsys):
    forecast = Forecast(talk=Talk())
    forecast.add(planned(tmp_path / "a", 1.0, 1.0, 1.0))
    forecast.tell()
    assert not capsys.readouterr().err


def test_nobody_knows_how_fast_a_cluster_is(tmp_path, capsys):
    forecast = Forecast(talk=Talk(), jobs=None)
    for number in range(20):
        forecast.add(planned(tmp_path / f"{number}", 3600.0, 240.0, 1.0))
    forecast.tell()
    assert capsys.readouterr().err == ("audiosep: 20 recordings, 20 h of sound: 20 MB of stems\n")


def test_a_disk_is_one_however_its_folders_are_spelled(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("there").mkdir()
    forecast = Forecast(talk=Talk())
    for place in (Path("there"), Path("new/a"), tmp_path / "there", tmp_path / "b"):
        forecast.add(planned(place, 1.0, 1.0, 1.0))
    assert list(forecast.room.values()) == [4_000_000]


def dry_run(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["audiosep", "split", *arguments, "--dry-run"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code
    return capsys.readouterr()


@pytest.mark.parametrize("more", [(), ("--jobs", "2")])
def test_a_dry_run_says_time_memory_and_room(more, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        sf.write(f"{name}.wav", np.zeros((40_000, 2)), 8000)
    said = dry_run(monkeypatch, capsys, "a.wav", "b.wav", "--preset", "stems", *more)
    first, _ = said.out.splitlines()
    assert "MB of memory, about " in first
    assert "2 recordings, 10 s of sound: about " in said.err
    entries = dry_run(
        monkeypatch, capsys, "a.wav", "b.wav", "--preset", "stems", "--json", *more
    ).out
    for entry in map(json.loads, entries.splitlines()):
        assert entry["audio_s"] == 5.0
        assert entry["seconds"] == pytest.approx(
            seconds_of("stems", 40_000, 2, 8000, n_threads=1 if more else n_processors()), rel=0.01
        )
        assert entry["disk_mb"] == pytest.approx(3 * 40_000 * 2 * 2 / 1e6, rel=0.02)
    assert not Path("separated").exists()
