"""Sounds taken apart while they come in."""

from __future__ import annotations

import itertools
import tracemalloc

import naive
import numpy as np
import pytest
import scenes
from hypothesis import given, settings
from hypothesis import strategies as st

import audiosep
from audiosep import streaming
from audiosep.dictionary_files import load_builtin
from audiosep.errors import DictionaryError, InputError, ParameterError, UsageError
from audiosep.evaluation import si_sdr
from audiosep.masks import wiener_masks
from audiosep.nmf import factorize, frame_kernels
from audiosep.streaming import Stream

SR = 16_000
TOLERANCE = 1e-6


def learnt(stems, sr=SR, n_components=8, window_s=0.046, exemplars=False):
    return [
        audiosep.learn(
            [audiosep.Audio(samples=samples[np.newaxis], sr=sr)],
            label=name,
            n_components=n_components,
            window_s=window_s,
            exemplars=exemplars,
        )
        for name, samples in stems.items()
    ]


@pytest.fixture(scope="module")
def band():
    return scenes.band(SR, 2.0)


@pytest.fixture(scope="module")
def known(band):
    return learnt(band)


@pytest.fixture(scope="module")
def wide(band):
    """The band in stereo: each stem at a place of its own."""
    gains = ((0.9, 0.2), (0.5, 0.5), (0.3, 0.8))
    return sum(np.outer(g, y) for g, y in zip(gains, band.values(), strict=True)).astype("f4")


def through(stream, samples, lengths=(1000,)):
    """Feed blocks of the given lengths, over and over; everything, in order."""
    at, parts = 0, []
    for length in itertools.cycle(lengths):
        parts.append(stream.feed(samples[..., at : at + length]))
        at += length
        if at >= samples.shape[-1]:
            break
    parts.append(stream.end())
    return {name: np.concatenate([p[name] for p in parts], axis=1) for name in stream.names}


# The kernels


@pytest.mark.parametrize("n_components", [1, 3, 4, 5, 9])
@pytest.mark.parametrize("zeros", [0.0, 0.6])
def test_activations_of_a_frame_are_those_of_the_naive_twin(rng, n_components, zeros):
    W = rng.random((n_components, 33))
    W /= W.sum(axis=1, keepdims=True)
    v = rng.random(33) * (rng.random(33) >= zeros)
    h = rng.random(n_components) + 0.01
    found = h.copy()
    ratio = np.empty(33)
    frame_kernels.frame_activations(v, W, found, 7, ratio)
    expected = h[:, np.newaxis]
    for _ in range(7):
        before = expected
        expected = naive.step_h(v[:, np.newaxis], W.T, before, 1.0)
    np.testing.assert_allclose(found, expected[:, 0], rtol=1e-9)
    np.testing.assert_allclose(ratio, v / (W.T @ before[:, 0] + naive.MODEL_FLOOR), rtol=1e-9)


def test_models_of_a_frame_are_sums_of_their_templates(rng):
    W, h = rng.random((9, 17)), rng.random(9)
    edges = np.array([0, 1, 6, 9])
    models = np.full((3, 17), np.nan)
    frame_kernels.frame_models(W, h, edges, models)
    for s, (first, last) in enumerate(itertools.pairwise(edges)):
        np.testing.assert_allclose(models[s], h[first:last] @ W[first:last], rtol=1e-12)


# What comes out


@pytest.mark.parametrize(
    ("window_s", "latency_s"), [(0.046, None), (0.02, None), (0.046, 0.02), (0.093, 0.01)]
)
def test_stems_add_up_and_are_as_long_as_the_sound(known, wide, window_s, latency_s):
    stream = Stream(known, SR, window_s=window_s, latency_s=latency_s)
    stems = through(stream, wide, (700, 33))
    assert tuple(stems) == stream.names == ("bass", "chords", "drums")
    for stem in stems.values():
        assert stem.shape == wide.shape
        assert stem.dtype == np.float32
    total = np.sum(list(stems.values()), axis=0, dtype=np.float64)
    assert np.abs(total - wide).max() < TOLERANCE * np.abs(wide).max()


@settings(max_examples=20)
@given(
    lengths=st.lists(st.integers(0, 3000), min_size=1, max_size=8).filter(any),
    latency_s=st.sampled_from([None, 0.01]),
)
def test_how_the_sound_is_cut_changes_nothing(known, wide, lengths, latency_s):
    sound = wide[:, :9000]
    stream = Stream(known, SR, window_s=0.032, latency_s=latency_s)
    whole = through(stream, sound, (9000,))
    for name, stem in through(stream, sound, lengths).items():
        assert stem.tobytes() == whole[name].tobytes()


@pytest.mark.parametrize("latency_s", [None, 0.01])
def test_the_latency_is_what_it_says_whatever_the_blocks(known, wide, latency_s):
    stream = Stream(known, SR, window_s=0.032, latency_s=latency_s)
    assert stream.latency == (511 if latency_s is None else 127)
    assert stream.latency_s == stream.latency / SR
    n_in = n_out = 0
    for length in (1, 0, 63, 512, 100, 1, 3000, 7):
        stems = stream.feed(wide[:, n_in : n_in + length])
        n_in += length
        n_out += stems["bass"].shape[1]
        assert n_out == max(0, n_in - stream.latency)
    assert stream.end()["bass"].shape == (2, n_in - n_out)


@pytest.mark.parametrize("latency_s", [None, 0.01])
def test_no_stem_knows_what_is_still_to_come(known, wide, latency_s):
    stream = Stream(known, SR, window_s=0.032, latency_s=latency_s)
    other = wide.copy()
    other[:, 5000:] = -other[:, 5000:][:, ::-1]
    first = stream.feed(wide)["drums"]
    stream.end()
    same = first == stream.feed(other)["drums"]
    assert same[:, : 5000 - stream.latency].all()
    assert not same[:, 5000:].all()


@pytest.mark.parametrize("gain", [2.0**-60, 0.25, 2.0**40])
def test_a_louder_sound_gives_louder_stems(known, wide, gain):
    stream = Stream(known, SR)
    usual = through(stream, wide)
    for name, stem in through(stream, np.float32(gain) * wide).items():
        np.testing.assert_array_equal(stem, np.float32(gain) * usual[name])


def test_swapped_and_inverted_channels_give_swapped_and_inverted_stems(known, wide):
    stream = Stream(known, SR)
    usual = through(stream, wide)
    for name, stem in through(stream, -wide[::-1]).items():
        np.testing.assert_allclose(stem, -usual[name][::-1], atol=1e-6)


def test_a_sound_after_another_is_not_changed_by_it(known, wide):
    stream = Stream(known, SR)
    first = through(stream, wide[:1])
    through(stream, wide)
    for name, stem in through(stream, wide[:1]).items():
        assert stem.tobytes() == first[name].tobytes()


def test_the_input_stays_as_it_is_and_the_output_is_ones_own(known, wide):
    stream = Stream(known, SR)
    before = wide.copy()
    stems = stream.feed(wide)
    expected = stream.end()
    again = stream.feed(wide)
    for stem in again.values():
        stem[:] = np.nan
    for name, stem in stream.end().items():
        np.testing.assert_array_equal(stem, expected[name])
    assert np.isfinite(stems["bass"]).all()
    np.testing.assert_array_equal(wide, before)


def test_memory_does_not_grow(known, wide):
    stream = Stream(known, SR, window_s=0.02)
    block = wide[:, :500]
    for _ in range(20):
        stream.feed(block)
    tracemalloc.start()
    try:
        for _ in range(20):
            stream.feed(block)
        early = tracemalloc.get_traced_memory()[0]
        for _ in range(150):
            stream.feed(block)
        late = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert late < early + 20_000  # what was fed meanwhile has 600 kB


# What it is worth


def offline(dictionaries, sound, sr, window_s, exponent=1.0):
    """The same templates fitted to the whole recording until nothing changes any more."""
    spectrogram = audiosep.stft(audiosep.Audio(samples=sound, sr=sr), window_s=window_s)
    W = [found.on_bins(sr, spectrogram.n_fft) for found in dictionaries]
    fitted = factorize(
        spectrogram.magnitude(),
        templates=np.concatenate(W, axis=1),
        fixed_templates=True,
        max_iter=300,
        tol=0.0,
    )
    parts = np.split(fitted.activations, np.cumsum([w.shape[1] for w in W])[:-1])
    models = np.stack([w @ h for w, h in zip(W, parts, strict=True)])[:, np.newaxis]
    masks = wiener_masks(models.astype(np.float32), exponent)
    return {
        found.labels[0]: audiosep.istft(spectrogram, mask=mask).samples
        for found, mask in zip(dictionaries, masks, strict=True)
    }


SCENES = {
    scenes.tones_and_clicks: (17.2, 14.6),
    scenes.two_notes: (31.8, 20.8),
    scenes.band: (16.6, 13.9),
}


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_streamed_stems_are_as_good_as_those_of_a_whole_recording(scene):
    stems = scene(SR, 2.0)
    known, sound = learnt(stems), scenes.mixture(stems)
    streamed = through(Stream(known, SR), sound)
    sooner = through(Stream(known, SR, latency_s=0.02), sound)
    found = {"whole": offline(known, sound, SR, 0.046), "streamed": streamed, "sooner": sooner}
    means = {}
    for how, parts in found.items():
        each = [si_sdr(stems[name], parts[name][0]) for name in stems]
        means[how] = np.mean(each)
        if how == "streamed":
            whole = [si_sdr(stems[name], found["whole"][name][0]) for name in stems]
            assert (np.array(each) > np.array(whole) - 1.0).all()
    floor, floor_sooner = SCENES[scene]
    assert means["streamed"] > floor
    assert means["sooner"] > floor_sooner


def test_looking_back_further_beats_a_shorter_window_at_the_same_latency():
    stems = scenes.two_notes(SR, 2.0)
    sound = scenes.mixture(stems)
    scores = []
    for window_s in (0.016, 0.064):
        known = learnt(stems, window_s=window_s)
        stream = Stream(known, SR, window_s=window_s, latency_s=0.016)
        assert stream.latency == 255
        parts = through(stream, sound)
        scores.append(np.mean([si_sdr(stems[name], parts[name][0]) for name in stems]))
    assert scores[1] > scores[0] + 3.0


def test_training_serves_and_gives_the_same_each_time():
    stems = scenes.tones_and_clicks(SR, 2.0)
    sound = scenes.mixture(stems)
    known = learnt(stems, exemplars=True)
    plain, first, second = (
        through(Stream(known, SR, train=train, seed=1), sound) for train in (False, True, True)
    )
    scores = [
        np.mean([si_sdr(stems[name], parts[name][0]) for name in stems]) for parts in (plain, first)
    ]
    assert scores[1] > scores[0] + 0.2
    for name in stems:
        np.testing.assert_array_equal(first[name], second[name])
    np.testing.assert_allclose(np.sum(list(first.values()), axis=0), sound, atol=1e-6)


def test_what_training_would_spoil_stays_as_it_is():
    stems = scenes.two_notes(SR, 2.0)
    sound = scenes.mixture(stems)
    known = learnt(stems, exemplars=True)
    plain, same = (through(Stream(known, SR, train=train), sound) for train in (False, True))
    for name in stems:
        np.testing.assert_array_equal(plain[name], same[name])


def test_there_is_nothing_to_train_where_there_is_one_source(known, wide):
    stem = through(Stream(known[0], SR, train=True), wide)
    np.testing.assert_allclose(stem["bass"], wide, atol=1e-6)


def test_templates_of_one_label_are_one_source_wherever_they_come_from(known, wide):
    bass, chords, drums = known
    several = [chords, bass, drums.named("chords")]
    stream = Stream(several, SR, train=True)
    assert stream.names == ("chords", "bass")
    total = np.sum(list(through(stream, wide).values()), axis=0)
    np.testing.assert_allclose(total, wide, atol=1e-6)


# Odd input


def test_blocks_as_sound_cards_give_them_are_told(known):
    stream = Stream(known, 8000)
    with pytest.raises(ParameterError, match=r"look transposed; .* block\.T"):
        stream.feed(np.zeros((512, 2), np.float32))
    assert set(stream.feed(np.zeros((2, 512), np.float32))) == set(stream.names)


@pytest.mark.parametrize("n_samples", [0, 1, 2, 735, 736, 737])
@pytest.mark.parametrize("n_channels", [1, 2, 5])
def test_short_sounds_and_none(known, rng, n_samples, n_channels):
    sound = rng.standard_normal((n_channels, n_samples)).astype(np.float32)
    stems = through(Stream(known, SR), sound)
    total = np.sum(list(stems.values()), axis=0)
    np.testing.assert_allclose(total, sound, atol=2e-6)


def test_an_end_without_a_beginning(known):
    assert {n: stem.shape for n, stem in Stream(known, SR).end().items()} == {
        "bass": (1, 0),
        "chords": (1, 0),
        "drums": (1, 0),
    }


def test_silence_stays_silent_and_leaves_what_comes_after_finite(known, wide):
    stream = Stream(known, SR)
    quiet = np.zeros((2, SR), np.float32)
    for sound in (quiet, quiet + np.float32(1e-42), np.concatenate([wide, quiet, wide], axis=1)):
        stems = through(stream, sound)
        total = np.sum(list(stems.values()), axis=0)
        assert np.isfinite(total).all()
        np.testing.assert_allclose(total, sound, atol=1e-6)
        if sound is quiet:
            assert not any(stem.any() for stem in stems.values())


def test_one_dead_channel_stays_dead(known, wide):
    sound = wide.copy()
    sound[1] = 0
    for stem in through(Stream(known, SR), sound).values():
        assert not stem[1].any()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_of_any_size_and_one_row_or_several(known, band, dtype):
    sound = scenes.mixture(band)[:, :5000].astype(dtype)
    stream = Stream(known, SR)
    flat = through(stream, sound[0])
    for name, stem in through(stream, sound).items():
        assert flat[name].shape == stem.shape == (1, 5000)
        np.testing.assert_array_equal(flat[name], stem)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 2e30, 1e300])
def test_a_bad_sample_is_named_and_nothing_of_its_block_is_used(known, wide, bad):
    stream = Stream(known, SR)
    expected = through(stream, wide[:, :3000])
    first = stream.feed(wide[:, :1000])
    broken = wide[:, 1000:1100].astype(np.float64)
    broken[1, 25] = bad
    with pytest.raises(InputError, match=r"sample 1025 of channel 2 \(at 0\.064 s\)"):
        stream.feed(broken)
    rest = through(stream, wide[:, 1000:3000])
    for name, stem in rest.items():
        np.testing.assert_array_equal(np.concatenate([first[name], stem], axis=1), expected[name])


@pytest.mark.parametrize(
    ("block", "message"),
    [
        (np.zeros((1, 10), np.float32), "1 channels and those before it 2"),
        (np.zeros((3, 10), np.float32), "3 channels and those before it 2"),
        (np.zeros(10, np.float32), "1 channels"),
        (np.zeros((2, 10), np.int16), "dtype int16"),
        (np.zeros((2, 10), complex), "dtype complex128"),
        (np.zeros((0, 10), np.float32), "shape"),
        (np.zeros((2, 1, 10), np.float32), "shape"),
        (np.float32(1), "shape"),
    ],
)
def test_blocks_that_cannot_be(known, wide, block, message):
    stream = Stream(known, SR)
    stream.feed(wide[:, :100])
    with pytest.raises(ParameterError, match=message):
        stream.feed(block)
    assert stream.feed(wide[:, 100:2000])["bass"].shape == (2, 2000 - stream.latency)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"window_s": 0.0}, "window"),
        ({"latency_s": 0.0}, "window"),
        ({"latency_s": 0.1}, "longer than the window"),
        ({"exponent": 0}, "exponent"),
        ({"n_updates": 0}, "n_updates"),
        ({"sr": 10}, "sr=10"),
        ({"dictionaries": []}, "needs templates"),
    ],
)
def test_arguments_that_cannot_be(known, changes, message):
    with pytest.raises(ParameterError, match=message):
        Stream(**{"dictionaries": known, "sr": SR} | changes)


def test_labels_of_dictionaries_must_go_together(known):
    with pytest.raises(ParameterError, match="case"):
        Stream([known[0], known[0].named("BASS")], SR)


def test_patches_are_refused():
    with pytest.raises(DictionaryError, match="patches"):
        Stream(load_builtin("drums"), SR)


# By way of a separator


def test_a_separator_gives_stems_block_by_block(band, wide):
    examples = {
        name: audiosep.Audio(samples=samples[np.newaxis], sr=SR) for name, samples in band.items()
    }
    separator = audiosep.Separator(examples=examples, n_components=8, quality="fast")
    blocks = np.array_split(wide, 40, axis=1)
    stream = separator.stream(iter(blocks), SR, latency_s=0.02)
    assert stream.latency == 255
    parts = list(stream)
    assert len(parts) == len(blocks) + 1
    fed = separator.stream(sr=SR, latency_s=0.02)
    for part, block in zip(parts, blocks, strict=False):
        for name, stem in fed.feed(block).items():
            np.testing.assert_array_equal(stem, part[name])
    stems = {name: np.concatenate([part[name] for part in parts], axis=1) for name in band}
    np.testing.assert_allclose(np.sum(list(stems.values()), axis=0), wide, atol=1e-6)
    same = Stream(learnt(band), SR, latency_s=0.02)
    for name, stem in through(same, wide).items():
        np.testing.assert_array_equal(stem, stems[name])


def test_a_labelled_dictionary_serves_as_well(band, known, wide, tmp_path):
    path = tmp_path / "band.safetensors"
    audiosep.save_dictionary(audiosep.merge_dictionaries(tuple(known)), path)
    separator = audiosep.Separator(preset="stems", dictionary=path, quality="fast")
    stems = through(separator.stream(sr=SR), wide)
    assert tuple(stems) == tuple(band)
    of_it = Stream(audiosep.load_dictionary(path), SR)
    for name, stem in through(of_it, wide).items():
        np.testing.assert_array_equal(stem, stems[name])


def test_settings_of_the_separator_count(band, wide):
    examples = {
        name: audiosep.Audio(samples=samples[np.newaxis], sr=SR) for name, samples in band.items()
    }
    usual = audiosep.Separator(examples=examples, n_components=2, mask_exponent=1.0, quality="fast")
    stems = through(usual.stream(sr=SR), wide)["drums"]
    for change in ({"mask_exponent": 2.0}, {"max_iter": 3}, {"n_components": 3}):
        settings_ = {"n_components": 2, "mask_exponent": 1.0, "quality": "fast"} | change
        other = audiosep.Separator(examples=examples, **settings_)
        assert not np.array_equal(through(other.stream(sr=SR), wide)["drums"], stems)


def test_what_a_stream_cannot_use_is_refused_before_it_begins(band):
    sound = audiosep.Audio(samples=band["bass"][np.newaxis], sr=SR)
    with pytest.raises(UsageError, match="what the sources sound like"):
        audiosep.Separator().stream(sr=SR)
    with pytest.raises(UsageError, match="@0-1 of 'bass' is a part of a recording"):
        audiosep.Separator(examples={"bass": ["@0-1"], "other": sound}).stream(sr=SR)
    with pytest.raises(ParameterError, match="need their sample rate"):
        audiosep.Separator(examples={"bass": sound}).stream([])
    with pytest.raises(UsageError, match="two sources or more"):
        audiosep.Separator(examples={"bass": sound}).stream(sr=SR)
    both = {"bass": sound, "other": sound}
    for change in ({"rest": "noise"}, {"n_free": 4}):
        with pytest.raises(UsageError, match="no rest"):
            audiosep.Separator(examples=both, **change).stream(sr=SR)
    with pytest.raises(UsageError, match="leave out beta"):
        audiosep.Separator(examples=both, beta="is").stream(sr=SR)
    silent = audiosep.Audio(samples=np.zeros((1, SR), np.float32), sr=SR)
    with pytest.raises(InputError, match="silent"):
        audiosep.Separator(examples={"bass": sound, "other": silent}).stream(sr=SR)


def test_an_iteration_that_was_broken_off_leaves_nothing_to_the_next(known, wide):
    blocks = np.array_split(wide, 40, axis=1)
    stream = Stream(known, SR, blocks)
    whole = list(stream)
    for _ in itertools.islice(stream, 2):
        pass
    again = list(stream)
    for part, same in zip(whole, again, strict=True):
        for name, stem in part.items():
            np.testing.assert_array_equal(same[name], stem)


def test_a_stream_without_blocks_cannot_be_iterated_over(known):
    with pytest.raises(UsageError, match="feed"):
        next(iter(Stream(known, SR)))


def test_defaults_are_one(known):
    assert Stream(known, SR).latency == audiosep.transform.frame_length(SR, streaming.WINDOW_S) - 1
