"""Running medians: against a slow twin, and the properties the methods rely on."""

from __future__ import annotations

import numpy as np
import pytest

from audiosep.errors import ParameterError
from audiosep.medians import low_pass, odd_length, running_median, share


def naive_median(V, length, axis):
    """Mirror, then take the median of every window, one by one."""
    rows = V if axis == 1 else V.T
    half = length // 2
    padded = np.pad(rows, ((0, 0), (half, half)), mode="symmetric")
    result = np.empty_like(rows)
    for row in range(rows.shape[0]):
        for column in range(rows.shape[1]):
            result[row, column] = np.median(padded[row, column : column + length])
    return result if axis == 1 else result.T


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("length", [1, 3, 9, 31])
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (6, 40), (40, 6)])
def test_running_median_equals_its_slow_twin(axis, length, shape):
    V = np.random.default_rng(0).random(shape).astype(np.float32)
    np.testing.assert_array_equal(running_median(V, length, axis), naive_median(V, length, axis))


def test_running_median_in_blocks_equals_the_whole(monkeypatch):
    V = np.random.default_rng(1).random((50, 20)).astype(np.float32)
    whole = running_median(V, 7, 1)
    monkeypatch.setattr("audiosep.medians._BLOCK_ENTRIES", 64)
    np.testing.assert_array_equal(running_median(V, 7, 1), whole)


def test_running_median_leaves_its_argument_alone():
    V = np.random.default_rng(2).random((5, 9)).astype(np.float32)
    before = V.copy()
    assert not np.shares_memory(running_median(V, 1, 1), V)
    running_median(V, 5, 0)
    np.testing.assert_array_equal(V, before)


def test_running_median_of_nothing_is_nothing():
    assert running_median(np.zeros((4, 0), np.float32), 3, 1).shape == (4, 0)


@pytest.mark.parametrize(("V", "length", "axis"), [(np.zeros(3), 3, 0), (np.zeros((2, 2)), 3, 2)])
def test_running_median_wants_a_matrix(V, length, axis):
    with pytest.raises(ParameterError, match="matrix"):
        running_median(V, length, axis)


@pytest.mark.parametrize("length", [0, 2, -3])
def test_running_median_wants_an_odd_length(length):
    with pytest.raises(ParameterError, match="odd"):
        running_median(np.zeros((2, 2)), length, 0)


def test_medians_tell_a_tone_from_a_click():
    V = np.zeros((64, 64), np.float32)
    V[20] = 1.0
    V[:, 30] = 1.0
    harmonic = share(running_median(V, 15, 1), running_median(V, 15, 0))
    assert harmonic[20, 50] == 1.0
    assert harmonic[50, 30] == 0.0
    assert harmonic[20, 30] == 0.5


@pytest.mark.parametrize(
    ("extent", "step", "length"),
    [(0.72, 0.0232, 31), (334.0, 10.77, 31), (1.0, 10.0, 3), (5.0, 1.0, 5), (6.9, 1.0, 7)],
)
def test_odd_length(extent, step, length):
    assert odd_length(extent, step) == length


def test_odd_length_is_odd_whatever_the_step():
    assert all(odd_length(0.72, step) % 2 == 1 for step in np.geomspace(1e-4, 10, 300))


def test_odd_length_wants_positive_extents():
    with pytest.raises(ParameterError, match="positive"):
        odd_length(0.0, 1.0)


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0, 8.0])
@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_shares_are_complements_at_any_level(power, scale):
    rng = np.random.default_rng(3)
    a, b = (rng.random((9, 9)).astype(np.float32) * np.float32(scale) for _ in range(2))
    first = share(a, b, power)
    assert np.isfinite(first).all()
    assert first.min() >= 0.0
    assert first.max() <= 1.0
    np.testing.assert_allclose(first + share(b, a, power), 1.0, rtol=1e-6)


def test_share_of_nothing_is_one_half():
    zero = np.zeros((2, 3), np.float32)
    np.testing.assert_array_equal(share(zero, zero), np.full((2, 3), 0.5))


def test_low_pass():
    gain = low_pass([0.0, 100.0, 250.0, 1000.0], 250.0)
    assert gain.shape == (4, 1)
    assert gain[0, 0] == 1.0
    assert gain[1, 0] > 0.99
    assert gain[2, 0] == pytest.approx(0.5)
    assert gain[3, 0] < 1e-4
