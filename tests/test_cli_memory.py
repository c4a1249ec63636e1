"""``--max-memory``: what may be used decides about chunks, and nothing else ever does."""

from __future__ import annotations

import fcntl
import json
import os
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from typer.testing import CliRunner

from audiosep.cli.app import app
from audiosep.errors import AudiosepError
from audiosep.memory import memory_of

SR = 2000
N = 131 * SR


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    t = np.arange(N) / SR
    tone = 0.1 * np.sin(2 * np.pi * np.where(t % 8 < 4, 330, 550) * t)
    sf.write("night.wav", tone, SR, subtype="PCM_16")
    return tmp_path


def split(*arguments):
    command = ["split", "night.wav", "--preset", "harmonic-percussive", "--json", *arguments]
    result = CliRunner().invoke(app, command)
    if isinstance(result.exception, AudiosepError):  # what the command itself puts into words
        return int(result.exception.exit_code), {}, str(result.exception)
    return result.exit_code, json.loads(result.stdout) if result.stdout else {}, result.stderr


def little():
    """What 50 s fit into, and 100 s do not."""
    about = ("harmonic-percussive", N, 1, 2, SR)
    assert memory_of(*about, chunk_s=50.0) < memory_of(*about)
    return f"{memory_of(*about, chunk_s=50.0) / 1e6 + 0.001:.3f}M"


@pytest.mark.parametrize("size", ["10", "abc", "0", "-1G", "999K"])
def test_what_is_no_size(here, size):
    code, _, words = split("--max-memory", size)
    assert code == 2
    assert "600M or 2G" in words
    assert not Path("separated").exists()


def test_a_dry_run_refuses_and_predicts_as_the_run_does(here):
    code, entry, _ = split("--max-memory", "1M", "--dry-run")
    assert (code, entry["status"]) == (5, "failed")
    assert "even in short chunks" in entry["error"]
    code, whole, _ = split("--dry-run")
    assert code == 0
    code, short, _ = split("--max-memory", little(), "--dry-run")
    assert code == 0
    assert short["memory_mb"] <= whole["memory_mb"]
    assert split("--max-memory", "1M")[0] == 5


def test_stems_of_short_chunks_do_not_stand_for_others(here):
    code, entry, _ = split("--max-memory", little())
    assert code == 0
    assert any("--max-memory asks" in words for words in entry["warnings"])
    first = set(entry["stems"].values())
    # The same again is done; without a limit the stems are others, beside the first.
    assert split("--max-memory", little())[1]["status"] == "skipped"
    code, entry, _ = split()
    assert (code, entry["status"], entry["warnings"]) == (0, "done", [])
    assert not first & set(entry["stems"].values())
    assert split()[1]["status"] == "skipped"


def test_what_a_killed_run_left_goes_with_the_next_one(here):
    names = ("-dead", "-held", ".new-young", ".new-old")
    dead, held, young, old = (Path("separated") / f".audiosep{name}" for name in names)
    for folder in (dead, held, young, old):
        (folder / "new").mkdir(parents=True)
        (folder / "new" / "drums.wav").write_bytes(bytes(1000))
    long_ago = time.time() - 3600
    os.utime(old, (long_ago, long_ago))
    handle = os.open(held, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert split()[0] == 0
    os.close(handle)
    assert not dead.exists()
    assert not old.exists()
    assert young.exists()  # somebody may just have made it
    assert held.exists()
