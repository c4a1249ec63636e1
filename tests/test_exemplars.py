"""Exemplars in dictionaries: on any grid, by label, merged, on disk, damaged."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import save_file

from audiosep.dictionaries import Dictionary, Exemplars
from audiosep.dictionary_files import load_dictionary, save_dictionary
from audiosep.dictionary_sounds import sound_of
from audiosep.errors import DictionaryError, ParameterError
from audiosep.merging import merge_dictionaries

SR, N_FFT, HOP = 8000, 512, 128
HZ = np.arange(1 + N_FFT // 2) * (SR / N_FFT)


N_BANDS = len(HZ)
FIFTY = np.ones((N_BANDS, 50), dtype=np.float32)


def exemplars(seed=0, lengths=(30, 20), labels=("a", "b"), n_bands=N_BANDS, **changes):
    rng = np.random.default_rng(seed)
    values = {
        "lengths": lengths,
        "labels": labels,
        "step_s": HOP / SR,
    }
    if "frames" not in changes:
        values["frames"] = rng.random((n_bands, sum(lengths))).astype(np.float32)
    return Exemplars(**(values | changes))


def dictionary(**changes):
    values = {
        "templates": np.random.default_rng(1).random((len(HZ), 3)).astype(np.float32),
        "frequencies_hz": HZ,
        "labels": ("a", "a", "b"),
        "provenance": "random numbers",
        "exemplars": exemplars(),
    }
    return Dictionary(**(values | changes))


def test_the_same_grid_gives_the_same_frames():
    found = dictionary()
    first, second = found.stretches_on(SR, N_FFT, HOP)
    np.testing.assert_array_equal(first, found.exemplars.frames[:, :30].T)
    np.testing.assert_array_equal(second, found.exemplars.frames[:, 30:].T)


@pytest.mark.parametrize("sr", [8000, 16000, 44100, 96000])
@pytest.mark.parametrize("n_fft", [128, 2048])
def test_any_grid(sr, n_fft):
    stretches = dictionary().stretches_on(sr, n_fft, n_fft // 4)
    assert len(stretches) == 2
    for stretch, length in zip(stretches, (30, 20), strict=True):
        assert stretch.dtype == np.float32
        assert stretch.shape == (
            1 + round((length - 1) * HOP / SR * sr / (n_fft // 4)),
            1 + n_fft // 2,
        )
        assert np.isfinite(stretch).all()
        assert (stretch >= 0).all()


def test_another_pace_keeps_what_changes_slowly():
    ramp = np.linspace(1.0, 2.0, 40, dtype=np.float32)
    frames = np.tile(ramp, (len(HZ), 1))
    found = dictionary(exemplars=exemplars(frames=frames, lengths=(40,), labels=("a",)))
    (fine,) = found.stretches_on(SR, N_FFT, HOP // 4)
    assert len(fine) == 1 + 39 * 4
    np.testing.assert_allclose(fine[:, 5], np.linspace(1.0, 2.0, 157), rtol=1e-4)


def test_without_exemplars_there_are_none():
    assert dictionary(exemplars=None).stretches_on(SR, N_FFT, HOP) == []


def test_only_and_named():
    found = dictionary()
    only = found.only("b")
    assert only.labels == ("b",)
    np.testing.assert_array_equal(only.exemplars.frames, found.exemplars.frames[:, 30:])
    named = found.named("dog")
    assert named.sources == ("dog",)
    assert named.exemplars.labels == ("dog", "dog")
    with pytest.raises(DictionaryError, match="nothing labelled 'c'; it has a, b"):
        found.only("c")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"frames": np.ones((3, 0), dtype=np.float32)}, "exemplars must be"),
        ({"frames": np.ones((3, 4))}, "exemplars must be float32"),
        ({"frames": np.full((3, 50), np.nan, dtype=np.float32)}, "non-finite"),
        ({"frames": np.full((3, 50), -1, dtype=np.float32)}, "negative"),
        ({"frames": FIFTY, "lengths": (30, 19)}, "do not sum"),
        ({"frames": FIFTY, "lengths": (50, 0)}, "do not sum"),
        ({"frames": FIFTY, "lengths": (25.0, 25.0)}, "do not sum"),
        ({"labels": ("a",)}, "1 labels for 2"),
        ({"step_s": 0.0}, "0.0001 to 1"),
        ({"step_s": 1}, "0.0001 to 1"),
    ],
)
def test_wrong_exemplars_are_refused(changes, words):
    with pytest.raises(DictionaryError, match=words):
        exemplars(**changes)


def test_exemplars_that_do_not_belong_to_the_dictionary():
    with pytest.raises(DictionaryError, match="other bands"):
        dictionary(exemplars=exemplars(n_bands=7))
    with pytest.raises(DictionaryError, match="exemplars of \\['c'\\]"):
        dictionary(exemplars=exemplars(labels=("a", "c")))


def test_round_trip(tmp_path):
    path = tmp_path / "x.safetensors"
    save_dictionary(dictionary(), path)
    found = load_dictionary(path)
    made = dictionary()
    scale = made.exemplars.frames.max()
    np.testing.assert_allclose(
        found.exemplars.frames, made.exemplars.frames / scale, atol=1e-3, rtol=1e-3
    )
    assert found.exemplars.lengths == (30, 20)
    assert found.exemplars.labels == ("a", "b")
    assert found.exemplars.step_s == HOP / SR
    save_dictionary(found, tmp_path / "y.safetensors")
    assert (tmp_path / "y.safetensors").read_bytes() == path.read_bytes()


def description(**changes):
    about = {"lengths": [2], "labels": ["a"], "step_s": 0.01} | changes
    fields = {"version": 1, "labels": ["a"], "provenance": "", "exemplars": about}
    return {"audiosep_dictionary": json.dumps(fields)}


@pytest.mark.parametrize(
    ("frames", "about"),
    [
        (None, {}),
        (np.ones((3, 2), dtype=np.int16), {}),
        (np.ones((4, 2), dtype=np.float16), {}),
        (np.ones((3, 5), dtype=np.float16), {}),
        (np.full((3, 2), np.inf, dtype=np.float16), {}),
        (np.ones((3, 2), dtype=np.float16), {"lengths": 2}),
        (np.ones((3, 2), dtype=np.float16), {"lengths": [True, True]}),
        (np.ones((3, 2), dtype=np.float16), {"lengths": [10**30]}),
        (np.ones((3, 2), dtype=np.float16), {"labels": [["a"]]}),
        (np.ones((3, 2), dtype=np.float16), {"labels": ["b"]}),
        (np.ones((3, 2), dtype=np.float16), {"step_s": None}),
        (np.ones((3, 2), dtype=np.float16), {"step_s": 10**400}),
        (np.ones((3, 2), dtype=np.float16), {"step_s": float("nan")}),
    ],
)
def test_hostile_files_are_refused(tmp_path, frames, about):
    tensors = {
        "templates": np.ones((3, 1), dtype=np.float16),
        "frequencies_hz": np.array([0.0, 100.0, 200.0]),
    }
    if frames is not None:
        tensors["exemplars"] = frames
    path = tmp_path / "x.safetensors"
    save_file(tensors, path, metadata=description(**about))
    with pytest.raises(DictionaryError, match=r"x\.safetensors"):
        load_dictionary(path)


def test_merging_keeps_labels_and_frames():
    one, two = dictionary(), dictionary(labels=("b", "c", "c"), exemplars=None)
    merged = merge_dictionaries((one, two))
    assert merged.sources == ("a", "b", "c")
    np.testing.assert_allclose(merged.templates[:, :3], one.templates, rtol=1e-6)
    np.testing.assert_array_equal(merged.exemplars.frames, one.exemplars.frames)


def test_merging_brings_all_to_the_finest_bands_and_one_pace():
    coarse_hz = np.linspace(0.0, 4000.0, 33)
    coarse = dictionary(
        templates=np.ones((33, 1), dtype=np.float32),
        frequencies_hz=coarse_hz,
        labels=("c",),
        exemplars=exemplars(n_bands=33, lengths=(10,), labels=("c",), step_s=2 * HOP / SR),
    )
    merged = merge_dictionaries((coarse, dictionary()))
    assert len(merged.frequencies_hz) == len(HZ)
    assert merged.exemplars.step_s == HOP / SR
    assert merged.exemplars.lengths == (19, 30, 20)
    np.testing.assert_allclose(merged.templates[:, 0], 1.0)


def test_merging_keeps_what_is_above_the_finest_bands():
    high = dictionary(
        templates=np.eye(5, 1, k=-4, dtype=np.float32),  # 16 kHz
        frequencies_hz=np.linspace(0.0, 16000.0, 5),
        labels=("high",),
        exemplars=None,
    )
    merged = merge_dictionaries((dictionary(), high))
    assert merged.frequencies_hz[-1] == 16000.0
    assert merged.templates[-1, -1] == 1.0
    assert merged.templates[: len(HZ), -1].max() == 0.0


def test_merging_at_different_ends_of_the_spectrum():
    low = dictionary(
        templates=np.ones((2, 1), dtype=np.float32),
        frequencies_hz=np.array([0.0, 10.0]),
        labels=("low",),
        exemplars=None,
    )
    assert np.isfinite(merge_dictionaries((low, dictionary())).templates).all()


@pytest.mark.parametrize("step_s", [0.01])
def test_what_cannot_be_merged(step_s):
    patches = replace(
        dictionary(exemplars=None),
        templates=np.ones((len(HZ), 3, 4), dtype=np.float32),
        step_s=step_s,
    )
    with pytest.raises(DictionaryError, match="patches cannot be merged"):
        merge_dictionaries((patches, dictionary()))
    with pytest.raises(DictionaryError, match="no dictionary to merge"):
        merge_dictionaries(())


@pytest.mark.parametrize("kept", [exemplars(), None])
def test_sounds_have_the_frequencies_of_what_they_stand_for(kept):
    W = np.full((len(HZ), 3), 1e-6, dtype=np.float32)
    W[64] = 1.0  # 1 kHz
    if kept is not None:
        kept = replace(kept, frames=np.repeat(W[:, :1], 50, axis=1))
    sound = sound_of(dictionary(templates=W, exemplars=kept), "a", duration=0.5)
    spectrum = np.abs(np.fft.rfft(sound.samples[0]))
    assert abs(spectrum.argmax() * sound.sr / sound.n_samples - 1000) < 40
    assert sound.peak == pytest.approx(0.5)
    assert sound.duration < 0.6


def test_sounds_of_patches_and_of_nothing_asked():
    patches = dictionary(
        templates=np.random.default_rng(0).random((len(HZ), 3, 8)).astype(np.float32),
        step_s=0.02,
        exemplars=None,
    )
    assert sound_of(patches, "b").peak == pytest.approx(0.5)
    with pytest.raises(ParameterError, match="duration"):
        sound_of(patches, "b", duration=0.0)
