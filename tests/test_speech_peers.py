"""Peers of speech in noise: their filters on signals whose answer is known."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPTS = Path(__file__).parents[1] / "scripts"


@pytest.fixture(scope="module")
def peers():
    names = ("_peers_speech", "_quality_peers", "_quality_corpus")
    before = {name: sys.modules.pop(name, None) for name in names}
    sys.path.insert(0, str(SCRIPTS))
    try:
        yield importlib.import_module("_peers_speech")
    finally:
        sys.path.remove(str(SCRIPTS))
        for name, module in before.items():
            sys.modules.pop(name, None)
            if module is not None:
                sys.modules[name] = module


def test_decision_directed_gain_of_noise_and_of_a_steady_tone(peers):
    power = np.ones((2, 300))
    power[1] = 101.0
    gains = peers.decision_directed_gain(power, np.ones_like(power))
    assert gains[0, -1] == pytest.approx(0.05)
    assert gains[1, -1] == pytest.approx(100 / 101, abs=0.01)


def test_subtraction_takes_the_magnitude_of_the_noise(peers):
    power = np.array([[100.0, 1.0, 0.01]])
    gains = peers.subtraction_gain(power, np.ones_like(power))
    np.testing.assert_allclose(gains, [[0.9, 0.05, 0.05]])


def test_tracked_noise_is_about_the_noise_under_speech(peers, rng):
    power = rng.exponential(1.0, (40, 600))
    power[:, 200:240] *= 1000.0
    found = peers.tracked_noise(power)
    assert 0.5 < np.median(found) < 1.5
    assert np.median(found[:, 200:240]) < 2.0


def test_every_peer_of_a_task_exists(peers):
    wanted = {name for names in peers.SPEECH_PEERS_OF.values() for name in names}
    assert wanted == set(peers.SPEECH_PEERS)
