"""Runs that are killed at random moments: resumed, they leave what an undisturbed run leaves."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("kill_rounds", ROOT / "scripts/kill_rounds.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


class Launched:
    """A forked command, as the script knows processes."""

    def __init__(self, started):
        self._started = started

    def send_signal(self, number):
        self._started.send(number)

    def poll(self):
        return self._started.code

    def wait(self, timeout=120):
        return self._started.wait(timeout).code


def test_killed_at_random_moments_and_resumed(script, forked, tmp_path):
    rounds = script.kill_rounds(
        tmp_path, 3, seed=1, n_files=6, launch=lambda *a: Launched(forked.start(*a)), jobs=(1,)
    )
    assert all(one.is_good for one in rounds), rounds
    assert sum(one.n_kills for one in rounds) >= 1  # a quick run may have ended before


def test_told_to_end_at_random_moments(script, forked, tmp_path):
    seconds = script.end_rounds(tmp_path, 2, seed=1, launch=lambda *a: Launched(forked.start(*a)))
    assert max(seconds) < float("inf")


@pytest.mark.reliability
@pytest.mark.timeout(3600)
def test_fifty_rounds_of_kills(script, tmp_path, capsys):
    rounds = script.kill_rounds(tmp_path, 50, seed=0, n_files=12)
    with capsys.disabled():
        print(f"\n{script.said_of_rounds(rounds)}")  # noqa: T201
    assert len(rounds) == 50
    assert [one for one in rounds if not one.is_good] == []


@pytest.mark.reliability
@pytest.mark.timeout(3600)
def test_twenty_runs_end_when_they_are_told_to(script, tmp_path, capsys):
    seconds = script.end_rounds(tmp_path, 20, seed=0)
    with capsys.disabled():
        print(f"\n20 runs told to end: {sorted(round(s, 2) for s in seconds)} s")  # noqa: T201
    assert max(seconds) < float("inf")
