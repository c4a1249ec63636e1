"""The benchmark of scale runs from end to end, and its fits find what they are made of."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import files
import numpy as np
import pytest
import soundfile as sf

import audiosep
from audiosep.presets import preset_names

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "scripts" / "bench_scale.py"
HELPERS = ("bench_scale", "_scale_")


@pytest.fixture(scope="module", autouse=True)
def _compiled():
    """Compile the kernels once, so that no process waits for them."""
    audiosep.separate(files.noise(), 8000, **files.SMALL_SETTINGS)


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import _scale_costs
    import _scale_length
    import _scale_runs

    yield {"costs": _scale_costs, "length": _scale_length, "runs": _scale_runs}
    for name in [name for name in sys.modules if name.startswith(HELPERS)]:
        del sys.modules[name]


def rows(*arguments):
    """The table that the script prints: what, goal, measured, reached."""
    done = subprocess.run(
        [sys.executable, SCRIPT, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = [line.strip("| ").split(" | ") for line in done.stdout.splitlines() if "|" in line]
    assert lines[0] == ["what", "goal", "measured", "reached"]
    return lines[2:]


@pytest.mark.slow
def test_lengths_their_peaks_and_their_predictions():
    found = rows(
        *("--only", "length", "--minutes", 0.02, 0.05),
        *("--length-preset", "harmonic-percussive"),
    )
    peak, speed, time, memory, seconds = found
    assert "peak memory of 3 s against 1.2 s" in peak[0]
    megabytes = [int(number) for number in re.findall(r"(\d+) MB", peak[2])]
    assert all(60 < number < 600 for number in megabytes)
    assert float(peak[2].split()[0]) == pytest.approx(megabytes[1] / megabytes[0], abs=0.02)
    assert "real time" not in speed[1]  # the goal is that of the preset stems
    assert time[1] == "<= 2.8 x"
    # Nothing is predicted by a tenth, nor ten times too high.
    for line in (memory, seconds):
        assert 0.1 < float(line[2].split()[0]) < 10


@pytest.mark.slow
def test_a_killed_batch():
    (line,) = rows("--only", "killed", "--files", 8, "--broken", 2, "--seconds", 0.2, "--jobs", 1)
    assert line[1] == "6 done, 2 listed, same tree, nothing left"
    assert line[2].startswith("6 done, 2 listed, same tree, 0 left")
    assert line[3] == "yes"


def test_recordings_are_the_same_each_time_and_their_peak_is_below_full_scale(bench, tmp_path):
    runs = bench["runs"]
    for name in ("a", "b"):
        runs.make_sound(tmp_path / f"{name}.wav", "stems", 21.5, 22_050, 2)
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()
    samples, _ = sf.read(tmp_path / "a.wav")
    assert samples.shape == (round(21.5 * 22_050), 2)
    assert 0.1 < np.abs(samples).max() < 1.0
    left, right = samples.T
    assert np.abs(left - right).max() > 0.01


def test_a_process_does_not_count_the_memory_of_who_started_it(bench):
    held = np.ones(50_000_000)
    took = bench["runs"].measure([sys.executable, "-c", "x = b'x' * 30_000_000"])
    assert 30e6 < took.peak_bytes < 120e6 < held.nbytes


def made_up(bench, cost, learning=0.0):
    """Rows of recordings that cost exactly that, on a machine of changing speed."""
    costs = bench["costs"]
    made = []
    for number, (seconds, sr, n_channels) in enumerate(costs.GRID):
        row = {"seconds": seconds, "sr": sr, "n_channels": n_channels}
        probe_s = 0.01 * (1 + 0.1 * number)
        first = costs.Row(preset="stems", cpu_s=0, peak_bytes=0, probe_s=probe_s, n_stems=3, **row)
        more = 100 * learning if seconds > 100 else 0.0
        made.append(
            costs.Row(
                preset="stems",
                n_stems=3,
                probe_s=probe_s,
                cpu_s=(costs._of(cost, first, costs._given_s(first)) + more) * probe_s / 0.013,
                peak_bytes=costs._of(cost, first, 64.0 if seconds > 100 else seconds) * 1e6,
                **row,
            )
        )
    return made


def test_costs_are_found_whatever_the_machine_did_meanwhile(bench):
    cost = {
        "fixed": 1.5,
        "fixed_rate": 0.0,
        "second": 0.02,
        "channel": 0.01,
        "sample": 0.03,
        "rate": 0.01,
    }
    entry = bench["costs"].fitted(made_up(bench, cost, learning=0.05), 0.4)
    text = bench["costs"].written({"stems": entry})
    read = tomllib.loads(text)["stems"]
    assert (read["n_stems"], read["parallel"]) == (3, 0.4)
    assert read["seconds"]["fixed"] == pytest.approx(1.5, rel=1e-3)
    assert read["learning_s"] == pytest.approx(0.05, rel=1e-3)
    total = sum(read["seconds"][key] for key in ("second", "rate"))
    assert total == pytest.approx(0.03, rel=1e-3)
    assert read["chunked"] == pytest.approx(64 / 100, rel=1e-3)
    assert read["memory"]["fixed"] == pytest.approx(1.5e6, rel=1e-3)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_calibration_from_end_to_end(tmp_path):
    """Recordings of a few seconds: the table is written, and others in it stay as they were."""
    table = tmp_path / "costs.toml"
    table.write_text("[stems]\nprobe_s = 0.5\nmemory = { fixed = 1 }\n", encoding="utf-8")
    arguments = ["--calibrate", "--presets", "harmonic-percussive", "--scale", "0.02"]
    done = subprocess.run(
        [sys.executable, SCRIPT, *arguments, "--costs", table],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    read = tomllib.loads(table.read_text(encoding="utf-8"))
    assert read["stems"] == {"probe_s": 0.5, "memory": {"fixed": 1}}
    entry = read["harmonic-percussive"]
    assert entry["n_stems"] == 2
    assert 0 <= entry["parallel"] < 1
    assert 1e-4 < entry["probe_s"] < 1
    assert 20e6 < entry["memory"]["fixed"] + entry["memory"]["fixed_rate"] < 400e6
    assert min(entry["seconds"].values()) >= 0


def test_all_presets_have_been_measured():
    table = tomllib.loads((ROOT / "audiosep" / "costs.toml").read_text(encoding="utf-8"))
    assert sorted(table) == sorted(preset_names())
