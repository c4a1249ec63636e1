"""The parts of separation by example: mixtures, dictionaries, network, colours, fit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from audiosep.dictionaries import Dictionary
from audiosep.methods._examples_bands import Describer, bands_of, pieces_of
from audiosep.methods._examples_colour import colours_in, with_colours
from audiosep.methods._examples_correction import (
    as_outputs,
    error_of_corrections,
    per_source,
    train_correction,
)
from audiosep.methods._examples_dnmf import (
    Dictionaries,
    activations_of,
    error_of_shares,
    train_dictionaries,
    with_best_exponent,
)
from audiosep.methods._examples_fit import misfits_of, notes_on_fit, novelty_of
from audiosep.methods._examples_mixtures import mix, played_faster, shares_on_bands
from audiosep.methods._examples_network import Network
from audiosep.methods._examples_sources import SourceExample, example_on

N_BINS = 65


def smooth_templates(rng, n, n_bins=N_BINS):
    """Bumps at random places: (n_bins, n), columns sum to one."""
    places = rng.uniform(0, n_bins, n)
    W = np.exp(-0.5 * ((np.arange(n_bins)[:, np.newaxis] - places) / 3.0) ** 2) + 1e-4
    return (W / W.sum(axis=0)).astype(np.float32)


def sounds_of(rng, W, n_frames=400):
    """Frames (n_frames, n_bins) in which each template comes and goes."""
    gains = rng.gamma(0.3, 1.0, (n_frames, W.shape[1]))
    frames = (gains @ W.T * rng.gamma(20.0, 1 / 20, (n_frames, len(W)))).astype(np.float32)
    return frames / np.sqrt(np.square(frames).mean())


@pytest.fixture
def two(rng):
    W = [smooth_templates(rng, 5) for _ in range(2)]
    return W, [sounds_of(rng, w) for w in W]


# Synthetic mixtures


def test_shares_of_a_mixture_sum_to_one(two, rng):
    mixtures = mix(two[1], [1.0, 1.0], 200, rng)
    assert mixtures.magnitudes.shape == (256, N_BINS)
    inside = (mixtures.shares > -0.49).all(axis=0) & (mixtures.shares < 1.49).all(axis=0)
    assert inside.mean() > 0.8
    np.testing.assert_allclose(mixtures.shares.sum(axis=0)[inside], 1.0, atol=1e-3)


def test_the_share_times_the_mixture_is_the_source_in_phase(rng):
    """With sources of constant magnitude, the mean energy of a mixture is the sum of theirs."""
    sounds = [np.ones((100, 40), np.float32), np.ones((100, 40), np.float32)]
    mixtures = mix(sounds, [3.0, 1.0], 6400, rng, gain_db=0.0, colour_db=0.0)
    energy = np.square(mixtures.magnitudes)
    assert energy.mean() == pytest.approx(10.0, rel=0.02)
    assert (mixtures.shares[0] * energy).mean() == pytest.approx(9.0, rel=0.02)


def test_a_silent_source_has_no_share(two, rng):
    mixtures = mix(two[1], [1.0, 0.0], 64, rng)
    np.testing.assert_allclose(mixtures.shares[1], 0.0, atol=1e-6)


def test_all_of_an_example_is_played_about_equally_often(rng):
    marks = np.ones((640, 4), np.float32) * np.arange(1, 641)[:, np.newaxis].astype(np.float32)
    mixtures = mix([marks, marks], [1.0, 0.0], 6400, rng, speeds=(1.0,), gain_db=0, colour_db=0)
    counts, _ = np.histogram(mixtures.magnitudes[:, 0], bins=8, range=(0.5, 640.5))
    assert counts.min() > 500
    assert counts.max() < 1100


def test_the_same_seed_gives_the_same_mixtures(two):
    a, b = (mix(two[1], [1.0, 0.5], 128, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(a.magnitudes, b.magnitudes)
    np.testing.assert_array_equal(a.shares, b.shares)


@pytest.mark.parametrize(("speed", "peak"), [(1.0, 50), (1.06, 53), (0.94, 47)])
def test_a_sound_played_faster_is_higher(speed, peak):
    frames = np.zeros((2, 129), np.float32)
    frames[:, 50] = 1.0
    found = played_faster(frames, speed)
    assert found.argmax(axis=1).tolist() == [peak, peak]
    if speed == 1.0:
        np.testing.assert_array_equal(found, frames)


def test_one_bin_can_be_played_at_any_speed():
    frames = np.ones((3, 2), np.float32)
    np.testing.assert_array_equal(played_faster(frames, 0.5), frames)


def test_shares_on_bands_are_shares_of_energy(rng):
    shares = rng.random((3, 4, 10)).astype(np.float32)
    power = rng.random((4, 10)).astype(np.float32)
    edges = np.array([0, 1, 4, 10])
    found = shares_on_bands(shares, power, edges)
    for source in range(3):
        for frame in range(4):
            for band, (a, b) in enumerate([(0, 1), (1, 4), (4, 10)]):
                e = power[frame, a:b]
                expected = (shares[source, frame, a:b] * e).sum() / e.sum()
                assert found[source, frame, band] == pytest.approx(expected, rel=1e-5)


# Dictionaries


@pytest.mark.parametrize("exponent", [1.0, 2.0])
def test_gradient_of_the_templates(rng, exponent):
    parts = (slice(0, 2), slice(2, 5), slice(5, 6))
    R, H = rng.random((7, 6)) + 0.1, rng.random((9, 6))
    shares, weights = rng.random((3, 9, 7)), rng.random((9, 7))
    _, gradient = error_of_shares(R, H, parts, shares, weights, exponent)
    step = 1e-6
    for at in np.ndindex(R.shape):
        up, down = R.copy(), R.copy()
        up[at] += step
        down[at] -= step
        rise = [error_of_shares(x, H, parts, shares, weights, exponent)[0] for x in (up, down)]
        assert gradient[at] == pytest.approx((rise[0] - rise[1]) / (2 * step), rel=1e-4, abs=1e-7)


def error_on(dictionaries, mixtures, H):
    away = dictionaries.shares(H) - mixtures.shares
    return float((np.square(mixtures.magnitudes) * np.square(away)).sum())


@pytest.mark.parametrize("seed", range(4))
def test_trained_dictionaries_are_never_worse_on_their_mixtures(seed):
    rng = np.random.default_rng(seed)
    W = [smooth_templates(rng, 5) for _ in range(2)]
    mixtures = mix([sounds_of(rng, w) for w in W], [1.0, 1.0], 640, rng)
    learnt = Dictionaries.of([w[:, :3] for w in W])
    H = activations_of(mixtures.magnitudes, learnt.analysis, n_threads=1)
    trained = train_dictionaries(learnt, mixtures, H, rng)
    assert error_on(trained, mixtures, H) < 0.97 * error_on(learnt, mixtures, H)
    np.testing.assert_array_equal(trained.analysis, learnt.analysis)


def test_dictionaries_that_cannot_get_better_stay(rng):
    """Sounds that never share a bin: every share is right already."""
    W = np.eye(4, dtype=np.float32)[:, [0, 2]] + np.eye(4, dtype=np.float32)[:, [1, 3]]
    W = W / 2 + np.float32(1e-12)
    sounds = [np.tile(W[:, k], (100, 1)) for k in range(2)]
    learnt = Dictionaries.of([W[:, :1], W[:, 1:]])
    mixtures = mix(sounds, [1.0, 1.0], 128, rng, speeds=(1.0,), gain_db=0.0, colour_db=0.0)
    H = activations_of(mixtures.magnitudes, learnt.analysis, n_threads=1)
    trained = train_dictionaries(learnt, mixtures, H, rng)
    assert error_on(trained, mixtures, H) <= error_on(learnt, mixtures, H)


def test_the_exponent_is_the_one_that_serves_best(two, rng):
    learnt = Dictionaries.of(two[0])
    mixtures = mix(two[1], [1.0, 1.0], 640, rng)
    H = activations_of(mixtures.magnitudes, learnt.analysis, n_threads=1)
    chosen = with_best_exponent(learnt, mixtures, H)
    best = error_on(chosen, mixtures, H)
    for p in (1.0, 1.5, 2.5):
        assert best <= error_on(replace(learnt, exponent=p), mixtures, H)


def test_masks_of_dictionaries_sum_to_one_also_where_nothing_is():
    learnt = Dictionaries.of([np.ones((4, 1), np.float32), np.ones((4, 2), np.float32)])
    H = np.zeros((3, 3), np.float32)
    np.testing.assert_allclose(learnt.shares(H).sum(axis=0), 1.0, rtol=1e-6)


# Bands and descriptions


@pytest.mark.parametrize("n_bins", [1, 2, 9, 129, 1025])
def test_bands_cover_all_bins(n_bins):
    for per_octave, fewest in ((24, 1), (8, 2)):
        edges = bands_of(n_bins, per_octave, fewest)
        assert edges[0] == 0
        assert edges[-1] == n_bins
        assert np.diff(edges).min() >= 1


def test_descriptions_do_not_look_into_another_piece(rng):
    V = rng.random((20, N_BINS)).astype(np.float32)
    shares = rng.dirichlet([1, 1], (20, N_BINS)).transpose(2, 0, 1).astype(np.float32)
    describer = Describer.of(N_BINS)
    both = describer.describe(V, shares, 1.0, pieces_of(20, 10))
    for piece in pieces_of(20, 10):
        alone = describer.describe(V[piece], shares[:, piece], 1.0, [slice(0, 10)])
        np.testing.assert_allclose(both[piece], alone, rtol=1e-5, atol=1e-6)


# Network


def test_gradient_of_the_network_and_the_corrections(rng):
    network = Network((4, 6, 5, 3 * 2), rng, dtype=np.float64)
    inputs = rng.standard_normal((7, 4))
    shares = rng.dirichlet([1, 1, 1], (7, 2)).transpose(2, 0, 1)
    truth, weights = rng.random((3, 7, 2)), rng.random((7, 2))

    def error():
        changes = per_source(network.outputs(inputs), 3)
        return error_of_corrections(changes, shares, truth, weights)

    _, gradient = error_of_corrections(
        per_source(network.forward(inputs), 3), shares, truth, weights
    )
    found = network.backward(as_outputs(gradient))
    step = 1e-6
    for parameter, slopes in zip([*network.weights, *network.biases], found, strict=True):
        for at in np.ndindex(parameter.shape):
            parameter[at] += step
            up = error()[0]
            parameter[at] -= 2 * step
            down = error()[0]
            parameter[at] += step
            assert slopes[at] == pytest.approx((up - down) / (2 * step), rel=1e-4, abs=1e-7)


def test_two_sources_are_changed_in_opposite_directions(rng):
    outputs = rng.standard_normal((5, 4)).astype(np.float32)
    changes = per_source(outputs, 2)
    np.testing.assert_array_equal(changes[0], -changes[1])
    gradient = rng.standard_normal((2, 5, 4)).astype(np.float32)
    expected = (changes * gradient).sum()
    assert (outputs * as_outputs(gradient)).sum() == pytest.approx(expected, rel=1e-4)


def test_a_network_learns():
    rng = np.random.default_rng(0)
    network = Network((2, 32, 1), rng, dropout=0.1)
    inputs = rng.choice([-1.0, 1.0], (256, 2)).astype(np.float32)
    wanted = (inputs[:, :1] * inputs[:, 1:]).astype(np.float32)
    for _ in range(300):
        away = network.forward(inputs) - wanted
        network.step(network.backward(2 * away / len(away)), 1e-2)
    assert np.abs(network.outputs(inputs) - wanted).max() < 0.2


def test_a_correction_makes_masks_better_on_mixtures_it_has_not_seen():
    """The second source follows the first one: only neighbours in time tell them apart."""
    rng = np.random.default_rng(1)
    W = smooth_templates(rng, 6)
    first, second = sounds_of(rng, W, 600), sounds_of(rng, W, 600)
    first[:, ::2] *= 0.2
    second[:, 1::2] *= 0.2
    learnt = Dictionaries.of([W[:, :4], W[:, 2:]])
    errors = []
    train, test = (mix([first, second], [1.0, 1.0], 1280, rng) for _ in range(2))
    for mixtures in (train, test):
        H = activations_of(mixtures.magnitudes, learnt.analysis, n_threads=1)
        before = learnt.shares(H)
        if mixtures is train:
            correction = train_correction(mixtures, before, rng)
        after = correction.shares(mixtures.magnitudes, before, 1.0)
        np.testing.assert_allclose(after.sum(axis=0), 1.0, rtol=1e-5)
        power = np.square(mixtures.magnitudes)
        errors.append(
            [float((power * np.square(m - mixtures.shares)).sum()) for m in (before, after)]
        )
    assert errors[1][1] < 0.8 * errors[1][0]


# Colours and fit


def examples_of(two):
    return [
        SourceExample(name=str(k), stretches=(sounds,), templates=W)
        for k, (W, sounds) in enumerate(zip(*two, strict=True))
    ]


def test_a_colour_is_found(rng):
    """A source that sounds darker than its example, beside another that does not."""
    low, high = (rng.gamma(0.4, 1.0, (N_BINS, 4)).astype(np.float32) + 1e-3 for _ in range(2))
    low, high = low / low.sum(axis=0), high / high.sum(axis=0)
    colour = 10 ** (np.linspace(6, -6, N_BINS) / 20)
    V = (sounds_of(rng, low) * colour + 0.3 * sounds_of(rng, high)).astype(np.float32)
    found = colours_in(V, Dictionaries.of([low, high]), n_threads=1)
    tilt_db = [20 * np.log10(c[8:20].mean() / c[45:57].mean()) for c in found]
    true_db = 20 * np.log10(colour[8:20].mean() / colour[45:57].mean())
    assert tilt_db[0] == pytest.approx(true_db, abs=2.5)
    assert abs(tilt_db[1]) < 3.0


def test_examples_of_a_colour_keep_level_and_sums(two):
    colours = np.stack([np.linspace(0.5, 2, N_BINS), np.ones(N_BINS)]).astype(np.float32)
    changed = with_colours(examples_of(two), colours)
    for example, before in zip(changed, examples_of(two), strict=True):
        np.testing.assert_allclose(example.templates.sum(axis=0), 1.0, rtol=1e-5)
        level = np.square(example.frames()).mean()
        assert level == pytest.approx(np.square(before.frames()).mean(), rel=1e-3)
    np.testing.assert_allclose(changed[1].frames(), two[1][1], rtol=1e-4)


def test_misfit_is_zero_where_all_is_explained_and_greater_elsewhere(two, rng):
    learnt = Dictionaries.of(two[0])
    gains = rng.gamma(0.3, 1.0, (100, 10)).astype(np.float32)
    explained = gains @ learnt.analysis.T
    assert misfits_of(explained, gains, learnt).max() < 1e-5
    other = sounds_of(rng, smooth_templates(rng, 4), 100)
    H = activations_of(other, learnt.analysis, n_threads=1)
    assert misfits_of(other, H, learnt).max() > 0.1


def test_bad_fits_are_named_and_good_ones_are_not():
    notes = notes_on_fit(("dog", "rain"), (0.6, 3.0))
    assert len(notes) == 1
    assert "rain" in notes[0]
    assert "misfit 3.00" in notes[0]


def test_what_goes_on_as_it_began_is_nothing_new(rng):
    W = smooth_templates(rng, 5)
    steady = sounds_of(rng, W)
    changing = np.concatenate(
        [sounds_of(rng, W, 200), sounds_of(rng, smooth_templates(rng, 5), 200)]
    )
    found = [
        novelty_of(SourceExample(name="x", stretches=(s,), templates=W), n_threads=1)
        for s in (steady, changing, steady[:4])
    ]
    assert 1.0 <= found[0] < 2.0
    assert found[1] > 3 * found[0]
    assert found[2] == np.inf


# Examples from dictionaries


def dictionary(W, **more):
    hz = np.arange(len(W)) * 31.25
    return Dictionary(
        templates=np.asarray(W, np.float32),
        frequencies_hz=hz,
        labels=("dog",) * W.shape[1],
        provenance="",
        **more,
    )


def test_templates_alone_are_turned_into_sounds(rng):
    W = smooth_templates(rng, 3)
    example = example_on(dictionary(W), 4000, 128, 32)
    assert example.name == "dog"
    assert example.n_frames > 100
    assert np.square(example.frames()).mean() == pytest.approx(1.0, rel=1e-3)
    learnt = Dictionaries.of([example.templates])
    H = activations_of(example.frames(), example.templates, n_threads=1)
    assert misfits_of(example.frames(), H, learnt)[0] < 0.01
