"""Salience, the path through it, and decisions over time."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from audiosep.errors import ParameterError
from audiosep.melody import (
    in_usual_peaks,
    most_likely_path,
    most_likely_states,
    pitch_grid,
    pitch_salience,
)

BIN_HZ = 8.0
SALIENCES = arrays(np.float32, (4, 5), elements=st.integers(0, 8).map(float))


def harmonic_spectrum(pitches_hz, n_bins=512):
    """One column per pitch: narrow peaks at its partials, falling by 20 % each."""
    bins = np.arange(n_bins)[:, np.newaxis, np.newaxis]
    partials = np.arange(1, 12)
    centres = np.asarray(pitches_hz)[np.newaxis, :, np.newaxis] * partials / BIN_HZ
    peaks = 0.8**partials * np.exp(-0.5 * (bins - centres) ** 2)
    return peaks.sum(axis=2)


def worth(salience, path, step_cost, most_steps, jump_cost):
    """Sum of saliences less the cheapest cost of each move, term by term."""
    total = salience[path[0], 0]
    for n in range(1, len(path)):
        distance = abs(path[n] - path[n - 1])
        cost = step_cost * distance if distance <= most_steps else np.inf
        total += salience[path[n], n] - min(cost, jump_cost)
    return total


@pytest.mark.parametrize("hz", [82.0, 147.3, 220.0, 391.0, 880.0])
def test_the_most_salient_pitch_is_the_one_that_sounds(hz):
    grid = pitch_grid()
    salience = pitch_salience(harmonic_spectrum([hz]), BIN_HZ, grid)
    assert abs(1200 * np.log2(grid[salience[:, 0].argmax()] / hz)) <= 25.0


def test_salience_does_not_depend_on_the_level():
    V = harmonic_spectrum([200.0, 300.0, 250.0])
    quiet, loud = (
        in_usual_peaks(pitch_salience(V * gain, BIN_HZ, pitch_grid())) for gain in (1e-9, 1e9)
    )
    np.testing.assert_allclose(quiet, loud, rtol=1e-4, atol=1e-6)


def test_silence_has_no_salience():
    assert not pitch_salience(np.zeros((64, 3)), BIN_HZ, pitch_grid()).any()


@given(SALIENCES, st.integers(0, 3), st.sampled_from([0.0, 0.5, 2.0]), st.sampled_from([0.0, 3.0]))
def test_no_path_is_worth_more(salience, most_steps, step_cost, jump_cost):
    settings = {"step_cost": step_cost, "most_steps": most_steps, "jump_cost": jump_cost}
    path = most_likely_path(salience, **settings)
    best = max(
        worth(salience, other, step_cost, most_steps, jump_cost)
        for other in product(range(4), repeat=5)
    )
    assert worth(salience, path, step_cost, most_steps, jump_cost) == pytest.approx(best)


@given(arrays(np.float64, 6, elements=st.integers(-5, 5).map(float)), st.sampled_from([0.0, 1.5]))
def test_no_states_are_likelier(odds, leave_cost):
    def likelihood(states):
        total = sum(odds[n] for n in range(6) if states[n])
        for before, after in pairwise(states):
            total -= 2.0 * (after and not before) + leave_cost * (before and not after)
        return total

    states = most_likely_states(odds, enter_cost=2.0, leave_cost=leave_cost)
    best = max(likelihood(other) for other in product((False, True), repeat=6))
    assert likelihood(list(states)) == pytest.approx(best)


def test_nothing_known_is_off():
    assert not most_likely_states(np.zeros(7), enter_cost=1.0, leave_cost=1.0).any()


def test_usual_peaks_are_one(rng):
    salience = in_usual_peaks(rng.random((5, 200)).astype(np.float32) * 7)
    assert np.percentile(salience.max(axis=0), 90) == pytest.approx(1.0, rel=1e-5)


@pytest.mark.parametrize("bad", [(0.0, 100.0, 25.0), (200.0, 100.0, 25.0), (80.0, 90.0, 0.0)])
def test_impossible_grids_are_refused(bad):
    with pytest.raises(ParameterError):
        pitch_grid(*bad)


def test_a_salience_needs_a_matrix():
    with pytest.raises(ParameterError):
        pitch_salience(np.zeros(5), BIN_HZ, pitch_grid())
