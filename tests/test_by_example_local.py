"""The second opinion in separation by example: networks that see the surroundings of a band."""

from __future__ import annotations

import numpy as np
import pytest

from audiosep.methods import _examples_local
from audiosep.methods._examples_local import (
    LOCAL_REACH,
    Surroundings,
    local_shares,
    train_local,
)
from audiosep.methods._examples_mixtures import mix

N_BINS = 65


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(_examples_local, "N_PLACES", 60_000)


def swelling(rng, n_frames, *, rising):
    """Noise in bursts of one spectrum that rise slowly and stop at once, or the other way."""
    shape = np.exp(-3.0 * (np.arange(12) / 12))[:: -1 if rising else 1]
    envelope = np.zeros(n_frames)
    for first in range(int(rng.integers(8)), n_frames - 12, 23):
        envelope[first : first + 12] = shape
    frames = envelope[:, np.newaxis] * rng.gamma(2.0, 0.5, (n_frames, N_BINS)) + 1e-3
    return (frames / np.sqrt(np.square(frames).mean())).astype(np.float32)


def nothing_known(mixtures, n_sources=2):
    return np.full((n_sources, *mixtures.magnitudes.shape), 1 / n_sources, dtype=np.float32)


def trained(sounds, levels, rng, n_frames=1280):
    mixtures = mix(sounds, levels, n_frames, rng)
    around = Surroundings.of(sounds, levels)
    return train_local(mixtures, nothing_known(mixtures, len(sounds)), around, rng)


def two(rng):
    return [swelling(rng, 600, rising=rising) for rising in (True, False)]


def error_of(shares, mixtures):
    return float((np.square(mixtures.magnitudes) * np.square(shares - mixtures.shares)).sum())


def test_sources_of_one_spectrum_are_told_apart_by_what_is_near(quick):
    rng = np.random.default_rng(0)
    sounds = two(rng)
    correction = trained(sounds, [1.0, 1.0], rng)
    fresh = mix(two(rng), [1.0, 1.0], 640, rng)
    before = nothing_known(fresh)
    after = local_shares([correction], fresh.magnitudes, before)
    np.testing.assert_allclose(after.sum(axis=0), 1.0, rtol=1e-5)
    assert error_of(after, fresh) < 0.65 * error_of(before, fresh)


def test_three_sources(quick):
    """The third has a spectrum of its own."""
    rng = np.random.default_rng(1)
    sounds = [*two(rng), swelling(rng, 600, rising=True) * np.linspace(0, 3, N_BINS)]
    sounds = [np.asarray(s, dtype=np.float32) for s in sounds]
    correction = trained(sounds, [1.0, 1.0, 1.0], rng)
    fresh = mix(sounds, [1.0, 1.0, 1.0], 640, rng)
    before = nothing_known(fresh, 3)
    after = local_shares([correction], fresh.magnitudes, before)
    np.testing.assert_allclose(after.sum(axis=0), 1.0, rtol=1e-5)
    assert error_of(after, fresh) < 0.75 * error_of(before, fresh)


def test_the_same_generator_gives_the_same_network(quick, monkeypatch):
    monkeypatch.setattr(_examples_local, "N_PLACES", 5000)
    sounds = two(np.random.default_rng(2))
    first, again, other = (
        trained(sounds, [1.0, 0.5], np.random.default_rng(seed), 256) for seed in (3, 3, 4)
    )
    weights = (first.network.weights, again.network.weights, other.network.weights)
    for a, b, c in zip(*weights, strict=True):
        np.testing.assert_array_equal(a, b)
        assert (a != c).any()


@pytest.mark.parametrize("level", [1e-12, 1e12])
def test_what_is_seen_does_not_depend_on_the_level(rng, level):
    sounds = two(rng)
    V = sounds[0] + sounds[1]
    shares = rng.dirichlet([1, 1], V.shape).transpose(2, 0, 1).astype(np.float32)
    usual = Surroundings.of(sounds, [1.0, 1.0]).seen(V, shares)
    # Levels are taken off before masks are made; what is left of them must not matter.
    scale = np.float32(level ** (1 / 4))
    other = Surroundings.of(sounds, [float(scale)] * 2).seen(V * scale, shares)
    np.testing.assert_allclose(other, usual, atol=1e-3)


def test_frames_further_away_than_the_reach_do_not_matter(quick, monkeypatch):
    monkeypatch.setattr(_examples_local, "N_PLACES", 5000)
    rng = np.random.default_rng(5)
    sounds = two(rng)
    correction = trained(sounds, [1.0, 1.0], rng, 256)
    V = mix(sounds, [1.0, 1.0], 256, rng).magnitudes
    even = np.full((2, *V.shape), 0.5, dtype=np.float32)
    whole = local_shares([correction], V, even)
    cut = slice(100 - LOCAL_REACH, 140 + LOCAL_REACH)
    part = local_shares([correction], V[cut], even[:, cut])
    inside = slice(LOCAL_REACH, LOCAL_REACH + 40)
    np.testing.assert_allclose(part[:, inside], whole[:, 100:140], atol=1e-5)
    V[200:] = 0
    assert abs(local_shares([correction], V, even) - whole)[:, 195:200].max() > 1e-3


@pytest.mark.parametrize("n_bins", [2, 9, 1025])
def test_few_and_many_bins_and_silence(n_bins, monkeypatch):
    monkeypatch.setattr(_examples_local, "N_PLACES", 3000)
    rng = np.random.default_rng(6)
    sounds = [rng.random((80, n_bins), dtype=np.float32) for _ in range(2)]
    for levels in ([1.0, 1.0], [1.0, 0.0], [0.0, 0.0]):
        correction = trained(sounds, levels, rng, 64)
        for frames in (sounds[0][:5], np.zeros((1, n_bins), np.float32)):
            even = np.full((2, *frames.shape), 0.5, dtype=np.float32)
            found = local_shares([correction], frames, even)
            assert np.isfinite(found).all()
            np.testing.assert_allclose(found.sum(axis=0), 1.0, rtol=1e-5)
