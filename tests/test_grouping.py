"""Components to sources by timbre: like spectra at any pitch belong together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiosep.errors import ParameterError
from audiosep.grouping import _no_group_empty, group_by_timbre, timbre_distances
from audiosep.types import Factorization, Stop

BIN_HZ = 10.0
ALL_PARTIALS = tuple(1 / n for n in range(1, 13))
ODD_PARTIALS = (1.0, 0.0, 0.9, 0.0, 0.8, 0.0, 0.7, 0.0, 0.6)
NEARLY_PURE = (1.0, 0.05)
PITCHES = tuple(220.0 * 2 ** (step / 12) for step in (0, 2, 4, 7, 9, 12))


def comb(pitch_hz, amplitudes, n_bins=1000):
    """A harmonic spectrum with peaks of one width in octaves."""
    hz = np.arange(n_bins) * BIN_HZ
    peaks = [
        a * np.exp(-0.5 * ((hz - n * pitch_hz) / (0.02 * n * pitch_hz)) ** 2)
        for n, a in enumerate(amplitudes, start=1)
    ]
    return np.sum(peaks, axis=0)


def factorization(templates, activations=None):
    K = templates.shape[1]
    return Factorization(
        templates=templates,
        activations=np.ones((K, 4)) if activations is None else activations,
        losses=np.zeros(1),
        n_iter=0,
        stop=Stop.MAX_ITER,
        beta=1.0,
    )


def combs(*timbres, pitches=PITCHES):
    return np.stack([comb(hz, timbre) for timbre in timbres for hz in pitches], axis=1)


# Distances


@pytest.mark.parametrize("timbre", [ALL_PARTIALS, ODD_PARTIALS, NEARLY_PURE])
def test_one_timbre_at_several_pitches_is_near_itself(timbre):
    assert timbre_distances(combs(timbre), BIN_HZ).max() < 0.06


def test_other_timbres_are_far_at_every_pitch():
    distances = timbre_distances(combs(ALL_PARTIALS, ODD_PARTIALS, NEARLY_PURE), BIN_HZ)
    same = np.kron(np.eye(3), np.ones((6, 6))) > 0
    assert distances[~same].min() > 4 * distances[same].max()


def test_pitches_more_than_the_shift_apart_are_not_matched():
    near = combs(NEARLY_PURE, pitches=(200.0, 500.0))
    far = combs(NEARLY_PURE, pitches=(200.0, 800.0))
    assert timbre_distances(near, BIN_HZ)[0, 1] < 0.1
    assert timbre_distances(far, BIN_HZ)[0, 1] > 0.5


@given(
    seed=st.integers(0, 999),
    n_bins=st.integers(2, 300),
    K=st.integers(1, 6),
    dtype=st.sampled_from([np.float32, np.float64]),
    scale=st.sampled_from([1e-20, 1.0, 1e20]),
)
def test_distances_are_distances(seed, n_bins, K, dtype, scale):
    rng = np.random.default_rng(seed)
    templates = (scale * rng.random((n_bins, K))).astype(dtype)
    distances = timbre_distances(templates, BIN_HZ)
    assert distances.shape == (K, K)
    assert distances.min() >= 0.0
    assert distances.max() <= 1.0
    assert not distances.diagonal().any()
    np.testing.assert_array_equal(distances, distances.T)
    np.testing.assert_allclose(distances, timbre_distances(templates * dtype(4), BIN_HZ), atol=1e-6)


def test_distances_follow_permutations(rng):
    templates = combs(ALL_PARTIALS, NEARLY_PURE)
    order = rng.permutation(12)
    np.testing.assert_allclose(
        timbre_distances(templates[:, order], BIN_HZ),
        timbre_distances(templates, BIN_HZ)[np.ix_(order, order)],
        atol=1e-12,
    )


def test_levels_are_compressed():
    # Two peaks of which one is shared: the cosine of the square roots.
    templates = np.stack([comb(200.0, (1.0,)), comb(200.0, (1.0, 0.0, 0.0, 0.25))], axis=1)
    assert timbre_distances(templates, BIN_HZ)[0, 1] == pytest.approx(1 - 1.25**-0.5, abs=0.01)


def test_an_empty_template_is_far_from_all():
    templates = combs(ALL_PARTIALS, pitches=(220.0, 440.0))
    templates[:, 0] = 0
    assert timbre_distances(templates, BIN_HZ).tolist() == [[0.0, 1.0], [1.0, 0.0]]


# Groups


def groups_of(grouping):
    """Which components are together, as a set of sets."""
    return {frozenset(np.flatnonzero(column).tolist()) for column in grouping.weights.T}


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_two_timbres_are_told_apart(rng, seed):
    order = rng.permutation(12)
    templates = combs(ALL_PARTIALS, ODD_PARTIALS)[:, order]
    got = group_by_timbre(factorization(templates), 2, bin_hz=BIN_HZ, seed=seed)
    assert groups_of(got) == {
        frozenset(np.flatnonzero(order < 6).tolist()),
        frozenset(np.flatnonzero(order >= 6).tolist()),
    }
    assert got.confidence.min() > 0.8


def test_three_timbres_are_told_apart():
    templates = combs(ALL_PARTIALS, ODD_PARTIALS, NEARLY_PURE)
    got = group_by_timbre(factorization(templates), 3, bin_hz=BIN_HZ)
    assert groups_of(got) == {frozenset(range(a, a + 6)) for a in (0, 6, 12)}


def test_sources_are_named_from_low_to_high():
    templates = np.concatenate(
        [combs(ODD_PARTIALS, pitches=PITCHES[3:]), combs(NEARLY_PURE, pitches=PITCHES[:3])], axis=1
    )
    got = group_by_timbre(factorization(templates), 2, bin_hz=BIN_HZ)
    assert got.names == ("source-1", "source-2")
    assert got.weights[:, 0].tolist() == [0, 0, 0, 1, 1, 1]


def test_doubt_shows_in_the_confidence(rng):
    sure = group_by_timbre(
        factorization(combs(ALL_PARTIALS, ODD_PARTIALS)), 2, bin_hz=BIN_HZ
    ).confidence
    guess = group_by_timbre(factorization(rng.random((1000, 12))), 2, bin_hz=BIN_HZ).confidence
    assert guess.max() < 0.3 < sure.min()


@given(seed=st.integers(0, 999), K=st.integers(1, 9), data=st.data())
def test_every_component_is_shared_out_and_every_source_gets_one(seed, K, data):
    n_sources = data.draw(st.integers(1, K))
    rng = np.random.default_rng(seed)
    templates = rng.random((60, K)).astype(np.float32)
    # Twins and silent ones are what a factorization can leave behind.
    templates[:, rng.random(K) < 0.3] = templates[:, :1]
    templates[:, rng.random(K) < 0.2] = 0
    activations = rng.random((K, 5)).astype(np.float32)
    activations[rng.random(K) < 0.2] = 0
    got = group_by_timbre(
        factorization(templates, activations), n_sources, bin_hz=BIN_HZ, seed=seed
    )
    assert got.weights.shape == (K, n_sources)
    assert np.isin(got.weights, (0, 1)).all()
    assert (got.weights.sum(axis=1) == 1).all()
    assert (got.weights.sum(axis=0) >= 1).all()
    assert len(got.names) == len(set(got.names)) == n_sources
    assert got.confidence.shape == (n_sources,)
    assert np.all((got.confidence >= 0) & (got.confidence <= 1))


@pytest.mark.parametrize("n_sources", [1, 2, 3])
@pytest.mark.parametrize("level", [0.0, 1.0])
def test_components_all_alike_are_still_shared_out(n_sources, level):
    templates = np.full((50, 4), level)
    got = group_by_timbre(factorization(templates), n_sources, bin_hz=BIN_HZ)
    assert (got.weights.sum(axis=0) >= 1).all()
    assert (got.weights.sum(axis=1) == 1).all()


def test_one_source_holds_all_and_is_certain(rng):
    got = group_by_timbre(factorization(rng.random((50, 5))), 1, bin_hz=BIN_HZ)
    assert got.weights.tolist() == [[1.0]] * 5
    assert (got.names, got.confidence.tolist()) == (("source-1",), [1.0])


def test_as_many_sources_as_components(rng):
    got = group_by_timbre(factorization(rng.random((50, 5))), 5, bin_hz=BIN_HZ)
    assert groups_of(got) == {frozenset([k]) for k in range(5)}


def test_the_same_seed_gives_the_same_groups(rng):
    # Without any groups to find, what is found is a matter of the start.
    unclear = factorization(rng.random((80, 60)))
    one, two, other = (group_by_timbre(unclear, 9, bin_hz=BIN_HZ, seed=s) for s in (5, 5, 6))
    assert one.weights.tobytes() == two.weights.tobytes()
    assert one.confidence.tobytes() == two.confidence.tobytes()
    assert one.weights.tobytes() != other.weights.tobytes()


def test_an_empty_group_takes_the_loudest_of_the_largest():
    labels = np.array([3, 0, 0, 0, 3])
    energy = np.array([9.0, 1.0, 5.0, 2.0, 8.0])
    assert _no_group_empty(labels, 4, energy).tolist() == [3, 0, 1, 2, 3]
    assert labels.tolist() == [3, 0, 0, 0, 3]
    alike = _no_group_empty(np.zeros(4, int), 4, energy[:4])
    assert sorted(alike.tolist()) == [0, 1, 2, 3]


@pytest.mark.parametrize("n_sources", [0, -1, 4])
def test_numbers_of_sources_that_cannot_be(rng, n_sources):
    with pytest.raises(ParameterError, match=f"3 components make 1 to 3 sources, not {n_sources}"):
        group_by_timbre(factorization(rng.random((20, 3))), n_sources, bin_hz=BIN_HZ)
