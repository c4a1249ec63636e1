"""Values that travel between the stages: what they refuse and what they say of themselves."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiosep.errors import AudiosepError, InputError, ParameterError, UsageError
from audiosep.types import (
    Audio,
    Factorization,
    Grouping,
    SourceModels,
    Spectrogram,
    Stop,
    ignore_progress,
)

ONE = np.ones((1, 4), np.float32)


# Audio


def test_audio_properties():
    samples = np.zeros((2, 500), np.float32)
    samples[1, 7] = -1.5
    samples[0, 9] = 1.25
    audio = Audio(samples=samples, sr=1000)
    assert (audio.n_channels, audio.n_samples, audio.duration, audio.peak) == (2, 500, 0.5, 1.5)
    assert audio.samples is samples


@pytest.mark.parametrize("value", [1e-45, 1e-30, 9e29, -9e29])
def test_audio_of_any_level(value):
    samples = np.full((2, 1000), value, np.float32)
    assert Audio(samples=samples, sr=44100).peak == float(abs(np.float32(value)))


@pytest.mark.parametrize("value", [1.1e30, -3.4e38])
def test_audio_that_no_recording_can_be(value):
    samples = np.full((2, 1000), value, np.float32)
    with pytest.raises(InputError, match="times full scale: that is no recording"):
        Audio(samples=samples, sr=44100)


@pytest.mark.parametrize("sr", [100, 4_000_000])
def test_audio_at_the_limits_of_the_rate(sr):
    assert Audio(samples=ONE, sr=sr).sr == sr


@pytest.mark.parametrize("sr", [99, 4_000_001, 0, -44100])
def test_audio_of_an_implausible_rate(sr):
    with pytest.raises(InputError, match=f"implausible sample rate {sr} Hz"):
        Audio(samples=ONE, sr=sr)


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (ONE[0], r"got float32 of shape \(4,\); a mono signal y becomes y\[np.newaxis, :\]"),
        (ONE[np.newaxis], r"got float32 of shape \(1, 1, 4\)"),
        (ONE.astype(np.float64), "samples must be float32 .* got float64"),
        (ONE.astype(np.int16), "got int16"),
    ],
)
def test_audio_of_the_wrong_shape_or_type(samples, message):
    with pytest.raises(ParameterError, match=message):
        Audio(samples=samples, sr=8000)


@pytest.mark.parametrize("shape", [(1, 0), (0, 5), (0, 0), (2, 0)])
def test_audio_of_nothing(shape):
    with pytest.raises(InputError, match="there is no audio in it: 0 samples"):
        Audio(samples=np.zeros(shape, np.float32), sr=8000)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("later", [0.0, 1.0, -1.0])
def test_audio_that_is_not_finite(bad, later):
    samples = np.zeros((2, 8000), np.float32)
    samples[1, 4000] = bad
    if later:
        samples[1, 6000] = later * bad  # of opposite signs infinities cancel
    with pytest.raises(InputError, match=rf"sample 4000 of channel 2 \(at 0.500 s\) is {bad}"):
        Audio(samples=samples, sr=8000)


# Spectrogram


def spectrogram_of(values):
    return Spectrogram(
        values=values, sr=8000, n_fft=2 * (values.shape[1] - 1), hop_length=4,
        window="hann", n_samples=100,
    )  # fmt: skip


def random_values(seed, n_channels, n_bins=9, n_frames=11):
    rng = np.random.default_rng(seed)
    shape = (n_channels, n_bins, n_frames)
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)


def test_spectrogram_properties():
    got = spectrogram_of(random_values(0, 3))
    assert (got.n_channels, got.n_bins, got.n_frames) == (3, 9, 11)
    assert (got.bin_hz, got.frame_s) == (500.0, 0.0005)


@pytest.mark.parametrize("n_channels", [1, 2, 3, 6])
@pytest.mark.parametrize("scale", [1e-30, 1e-12, 1e-5, 1.0, 1e5, 1e12, 1e30])
def test_magnitude_is_the_mean_square_over_channels(n_channels, scale):
    values = random_values(1, n_channels) * np.complex64(scale)
    got = spectrogram_of(values).magnitude()
    want = np.sqrt((np.abs(values.astype(np.complex128)) ** 2).mean(axis=0))
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, want, rtol=1e-6)


@pytest.mark.parametrize("n_channels", [1, 2])
@pytest.mark.parametrize("frames_major", [False, True])
@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
def test_magnitude_is_laid_out_frames_major(n_channels, frames_major, dtype):
    values = random_values(2, n_channels).astype(dtype)
    if frames_major:
        values = np.ascontiguousarray(values.transpose(0, 2, 1)).transpose(0, 2, 1)
    before = values.copy()
    got = spectrogram_of(values).magnitude()
    assert got.shape == (9, 11)
    assert got.T.flags.c_contiguous
    assert got.dtype == np.float32
    assert got.flags.writeable
    np.testing.assert_array_equal(values, before)


@pytest.mark.parametrize("n_channels", [1, 2])
def test_magnitude_of_silence(n_channels):
    got = spectrogram_of(np.zeros((n_channels, 5, 4), np.complex64)).magnitude()
    assert not got.any()
    assert got.shape == (5, 4)


@given(seed=st.integers(0, 999), n_channels=st.integers(1, 5))
def test_magnitude_does_not_know_the_order_and_polarity_of_channels(seed, n_channels):
    values = random_values(seed, n_channels)
    rng = np.random.default_rng(seed)
    signs = rng.choice([-1, 1], n_channels).astype(np.complex64)[:, np.newaxis, np.newaxis]
    got = spectrogram_of(values).magnitude()
    np.testing.assert_array_equal(spectrogram_of(values * signs).magnitude(), got)
    order = rng.permutation(n_channels)
    np.testing.assert_allclose(spectrogram_of(values[order]).magnitude(), got, rtol=3e-7)
    if n_channels == 2:
        np.testing.assert_array_equal(spectrogram_of(values[::-1]).magnitude(), got)


def test_magnitude_of_one_channel_twice_is_that_of_one():
    values = random_values(3, 1)
    one = spectrogram_of(values).magnitude()
    two = spectrogram_of(np.repeat(values, 2, axis=0)).magnitude()
    np.testing.assert_allclose(two, one, rtol=3e-7)


def test_magnitude_next_to_a_loud_bin_keeps_quiet_ones():
    values = np.zeros((2, 2, 1), np.complex64)
    values[:, 0], values[:, 1] = 1e6, 1e-6
    np.testing.assert_allclose(spectrogram_of(values).magnitude()[:, 0], [1e6, 1e-6], rtol=1e-6)


# Results


def factorization():
    return Factorization(
        templates=np.array([[1.0, 0.0], [0.0, 2.0], [3.0, 1.0]]), activations=np.ones((2, 5)),
        losses=np.zeros(1), n_iter=0, stop=Stop.MAX_ITER, beta=1.0,
    )  # fmt: skip


def test_factorization_model():
    got = factorization()
    assert got.n_components == 2
    assert got.seed is None
    np.testing.assert_array_equal(got.model(), np.outer([1, 2, 4], np.ones(5)))


def test_reasons_to_stop_are_sentences():
    assert {stop.name for stop in Stop} == {"CONVERGED", "MAX_ITER", "SILENT"}
    assert all(len(stop.value.split()) > 4 for stop in Stop)


@pytest.mark.parametrize(
    ("shape", "names"),
    [
        ((2, 1, 3, 4), ("a",)),
        ((1, 1, 3, 4), ("a", "b")),
        ((2, 3, 4), ("a", "b")),
        ((2,), ("a", "b")),
    ],
)
def test_models_that_do_not_fit_their_names(shape, names):
    message = rf"models of shape \({shape[0]},.* do not fit {len(names)} names"
    with pytest.raises(ParameterError, match=message):
        SourceModels(models=np.zeros(shape, np.float32), names=names)


def test_models_have_optional_parts():
    got = SourceModels(models=np.zeros((2, 1, 3, 4), np.float32), names=("a", "b"))
    assert (got.factorization, got.grouping, got.notes) == (None, None, ())


@pytest.mark.parametrize(
    "value",
    [
        Audio(samples=ONE, sr=8000),
        spectrogram_of(random_values(4, 1)),
        factorization(),
        Grouping(weights=np.ones((2, 1)), names=("a",), confidence=np.ones(1)),
        SourceModels(models=np.zeros((1, 1, 3, 4), np.float32), names=("a",)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_are_frozen(value):
    name = dataclasses.fields(value)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError, match=f"cannot assign to field '{name}'"):
        setattr(value, name, None)
    assert value == value  # by identity: arrays have no truth value
    assert hash(value) == hash(value)


def test_ignoring_progress_does_nothing():
    assert ignore_progress("factorize", 0.5) is None


def test_wrong_parameters_are_also_value_errors():
    assert issubclass(ParameterError, ValueError)
    assert issubclass(ParameterError, UsageError)
    assert not issubclass(InputError, UsageError)
    assert issubclass(InputError, AudiosepError)
