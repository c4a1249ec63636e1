"""The Python interface: arrays and files in, stems that add up out, settings checked early."""

from __future__ import annotations

import json
from dataclasses import fields

import files
import numpy as np
import pytest

import audiosep
from audiosep import Audio, Separator, separate
from audiosep.errors import Cancelled, InputError, ParameterError, UsageError
from audiosep.presets import preset_names

SR = 8000
SMALL = files.SMALL_SETTINGS

WITHOUT_PLACES = [name for name in preset_names() if name != "stereo"]
"""Presets that do not ask where a sound comes from; what the other does is in test_stereo."""


def tones(n_channels=2, n_samples=6000):
    """Two notes and a click: something to take apart."""
    t = np.arange(n_samples) / SR
    low = np.sin(2 * np.pi * 220 * t) * (t < 0.4)
    high = np.sin(2 * np.pi * 1760 * t) * (t > 0.3)
    pans = np.linspace(0.2, 0.8, n_channels)[:, np.newaxis]
    y = 0.3 * (pans * low + (1 - pans) * high)
    y[:, n_samples // 2] += 0.3
    return y.astype(np.float32)


def stack(separation):
    return np.stack([stem.samples for stem in separation.stems.values()])


def assert_adds_up(separation):
    total = stack(separation).sum(axis=0, dtype=np.float64)
    error = np.abs(total - separation.mixture.samples).max()
    # Half a unit in the last place of full level for every stem, and no more: what the transform
    # rounds away is shared out as well.
    assert error <= len(separation.stems) * 2.0**-24 * separation.mixture.peak + 1e-44


@pytest.mark.parametrize("preset", preset_names())
def test_every_preset_gives_stems_that_add_up(preset):
    y = tones(n_samples=12000)
    result = separate(y, SR, preset=preset, **files.told(preset))
    assert len(result.stems) >= 2
    for stem in result.stems.values():
        assert (stem.sr, stem.samples.shape, stem.samples.dtype) == (SR, y.shape, np.float32)
    np.testing.assert_array_equal(result.mixture.samples, y)
    assert_adds_up(result)
    assert np.abs(stack(result)).max() > 0.01
    json.dumps(result.record, allow_nan=False)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("n_channels", [None, 1, 2, 16])
def test_arrays(n_channels, dtype):
    y = tones(n_channels or 1).astype(dtype)
    y = y[0] if n_channels is None else y
    before = y.copy()
    result = separate(y, SR, **SMALL)
    np.testing.assert_array_equal(y, before)
    assert result.mixture.samples.shape == (n_channels or 1, 6000)
    assert list(result.stems) == ["source-1", "source-2"]
    assert_adds_up(result)


def test_lists_views_and_audio_are_the_same_recording():
    y = tones()
    wanted = stack(separate(y, SR, **SMALL))
    for same in (
        y.tolist(),
        np.asfortranarray(y),
        np.repeat(y, 2, axis=1)[:, ::2],
        Audio(samples=y, sr=SR),
    ):
        np.testing.assert_array_equal(stack(separate(same, SR, **SMALL)), wanted)
    frozen = y.copy()
    frozen.setflags(write=False)
    np.testing.assert_array_equal(stack(separate(frozen, SR, **SMALL)), wanted)


def test_the_stems_do_not_share_memory_with_the_input():
    y = tones()
    result = separate(y, SR, **(SMALL | {"n_sources": 1}))
    for stem in result.stems.values():
        assert not np.shares_memory(stem.samples, y)
    assert not np.shares_memory(result.mixture.samples, y)


@pytest.mark.parametrize(
    ("samples", "error", "words"),
    [
        (np.zeros((8000, 2), dtype=np.float32), ParameterError, "look transposed"),
        (np.zeros((1, 2, 3), dtype=np.float32), ParameterError, r"expected \(channels, samples\)"),
        (np.zeros(100, dtype=np.int16), ParameterError, r"x / 32768"),
        (np.zeros(100, dtype=complex), ParameterError, "give floats"),
        (np.array(["a"]), ParameterError, "give floats"),
        (np.float32(1.0), ParameterError, r"expected \(channels, samples\)"),
        (np.zeros(0, dtype=np.float32), InputError, "0 samples"),
        (np.zeros((0, 100), dtype=np.float32), InputError, "0 samples"),
        (np.array([0.0, np.nan]), InputError, r"sample 1 of channel 1 \(at 0\.000 s\) is nan"),
        (np.array([[0.0, 0.0], [np.inf, -np.inf]]), InputError, "sample 0 of channel 2"),
    ],
)
def test_impossible_arrays(samples, error, words):
    with pytest.raises(error, match=words):
        separate(samples, SR, **SMALL)


def test_an_array_needs_its_rate_and_takes_no_part():
    with pytest.raises(ParameterError, match=r"separate\(samples, sr\)"):
        separate(tones())
    for part in ({"start": 0.1}, {"duration": 0.1}):
        with pytest.raises(UsageError, match="slice the array"):
            separate(tones(), SR, **SMALL, **part)


@pytest.mark.parametrize("sr", [0, -1, 99, 10**7])
def test_implausible_rates(sr):
    with pytest.raises(InputError, match="implausible sample rate"):
        separate(tones(), sr, **SMALL)


def test_files(tmp_path):
    path = files.write_sound(tmp_path / "x.wav", tones())
    read = audiosep.read(path)
    wanted = stack(separate(read.samples, SR, **SMALL))
    for same in (path, str(path)):
        result = separate(same, **SMALL)
        np.testing.assert_array_equal(stack(result), wanted)
    about = result.record["input"]
    assert about["path"] == str(path)
    assert len(about["sha256"]) == 64
    assert (about["sr"], about["n_channels"], about["n_samples"]) == (SR, 2, 6000)
    assert (about["format"], about["subtype"], about["bits"]) == ("WAV", "PCM_16", 16)
    part = separate(path, start=0.25, duration=0.25, **SMALL)
    np.testing.assert_array_equal(part.mixture.samples, read.samples[:, 2000:4000])
    assert (part.record["input"]["start"], part.record["input"]["duration"]) == (0.25, 0.25)


def test_errors_about_files_name_them(tmp_path):
    with pytest.raises(InputError, match=r"absent\.wav does not exist"):
        separate(tmp_path / "absent.wav", **SMALL)


def test_warnings_of_the_file_are_in_the_record(tmp_path):
    path = files.cut(files.write_sound(tmp_path / "x.wav"), 0.5)
    (warning,) = separate(path, **SMALL).record["warnings"]
    assert "ends early: 0.25 s" in warning


def test_the_record_repeats_the_run():
    y = tones()
    first = separate(y, SR, **SMALL, seed=7, mask_exponent=2.0, beta="is")
    record = json.loads(json.dumps(first.record, allow_nan=False))
    assert record == first.record
    assert record["audiosep"] == audiosep.__version__
    assert record["seed"] == 7
    assert record["settings"]["beta"] == 0.0
    assert record["analysis"]["mask_exponent"] == 2.0
    assert len(record["losses"]) == record["n_iter"] + 1 == 3
    assert record["stop"]
    assert set(record["timings_s"]) == {"read", "transform", "model", "render"}
    again = Separator(**record["settings"]).separate(y, SR)
    np.testing.assert_array_equal(stack(again), stack(first))


def test_settings_are_all_fields_but_threads():
    wanted = {field.name for field in fields(Separator)} - {"n_threads"}
    assert set(Separator().settings()) == wanted
    assert Separator(beta="kl").settings() == Separator(beta=1.0).settings()


def test_seeds():
    y = tones()
    first, same, other = (stack(separate(y, SR, **SMALL, seed=seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, same)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("preset", preset_names())
@pytest.mark.parametrize("n_threads", [2, 3])
def test_threads_do_not_change_a_bit(preset, n_threads):
    y = tones(n_samples=20000)
    settings = {"preset": preset, "max_iter": 20, **files.told(preset)}
    one = separate(y, SR, **settings, n_threads=1)
    more = separate(y, SR, **settings, n_threads=n_threads)
    np.testing.assert_array_equal(stack(one), stack(more))
    assert one.record["losses"] == more.record["losses"]


@pytest.mark.parametrize("preset", preset_names())
@pytest.mark.parametrize("power", [-20, -3, 10])
def test_louder_in_louder_out(preset, power):
    # A power of two changes no digit of a float, and so must change none of the result.
    y = tones()
    gain = np.float32(2.0**power)
    wanted = gain * stack(separate(y, SR, preset=preset, **files.told(preset)))
    got = stack(separate(gain * y, SR, preset=preset, **files.told(preset)))
    # Numbers too small for float32 to be normal have fewer digits, that is all.
    np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-43)


@pytest.mark.parametrize("preset", WITHOUT_PLACES)
def test_swapped_channels_in_swapped_channels_out(preset):
    y = tones()
    wanted = stack(separate(y, SR, preset=preset, **files.told(preset)))[:, ::-1]
    np.testing.assert_array_equal(
        stack(separate(y[::-1], SR, preset=preset, **files.told(preset))), wanted
    )


@pytest.mark.parametrize("preset", preset_names())
def test_inverted_channel_in_inverted_channel_out(preset):
    y = tones()
    flip = np.float32([[1.0], [-1.0]])
    wanted = stack(separate(y, SR, preset=preset, **files.told(preset))) * flip
    np.testing.assert_array_equal(
        stack(separate(y * flip, SR, preset=preset, **files.told(preset))), wanted
    )


@pytest.mark.parametrize("preset", WITHOUT_PLACES)
@pytest.mark.parametrize("shape", [(1, 1), (1, 4000), (2, 40000)])
def test_silence_in_silence_out(preset, shape):
    result = separate(np.zeros(shape, dtype=np.float32), SR, preset=preset, **files.told(preset))
    assert stack(result).shape[1:] == shape
    assert not stack(result).any()
    assert result.record["warnings"] == ["the recording is silent, and so are the stems."]


def test_a_dead_channel_stays_dead():
    y = tones()
    y[1] = 0.0
    assert not stack(separate(y, SR, **SMALL))[:, 1].any()


@pytest.mark.parametrize("preset", WITHOUT_PLACES)
@pytest.mark.parametrize(
    "y",
    [
        np.array([0.5]),
        np.array([0.5, -0.5]),
        np.full(4000, 0.25),
        np.full(4000, 1e-40),
        1e30 * tones()[0].astype(np.float64),
        np.eye(1, 4000)[0],
        np.stack([tones()[0], tones()[0]]),
        np.stack([tones()[0], -tones()[0]]),
    ],
    ids=["1 sample", "2 samples", "DC", "denormal", "huge", "click", "twin", "inverse"],
)
def test_odd_signals(y, preset):
    result = separate(y, SR, preset=preset, **files.told(preset))
    assert np.isfinite(stack(result)).all()
    assert stack(result).shape[1:] == np.atleast_2d(y).shape
    assert_adds_up(result)


@pytest.mark.parametrize("sr", [100, 8000, 44100, 192000])
def test_rates(sr):
    result = separate(tones(n_samples=3000), sr, **SMALL)
    assert {stem.sr for stem in result.stems.values()} == {sr}
    assert_adds_up(result)


@pytest.mark.parametrize("n_sources", [1, 2, 5])
def test_number_of_sources(n_sources):
    result = separate(tones(), SR, **(SMALL | {"n_components": 6}), n_sources=n_sources)
    assert len(result.stems) == n_sources
    assert_adds_up(result)


def test_progress_is_told_and_may_cancel():
    told = []
    separate(tones(), SR, **SMALL, progress=lambda *given: told.append(given))
    assert {stage for stage, _ in told} >= {"read", "transform", "factorize", "render"}
    assert all(0.0 <= fraction <= 1.0 for _, fraction in told)
    assert told[-1] == ("render", 1.0)

    def stop(stage, fraction):
        if stage == "factorize":
            raise Cancelled("enough")

    with pytest.raises(Cancelled, match="enough"):
        separate(tones(), SR, **SMALL, progress=stop)


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"preset": "nope"}, UsageError, "unknown preset 'nope'; there are auto"),
        ({"preset": ""}, UsageError, "unknown preset"),
        ({"preset": "../auto"}, UsageError, "unknown preset"),
        ({"n_sources": 2}, UsageError, "use the preset components or stereo"),
        ({"preset": "components", "n_sources": 0}, ParameterError, "n_sources=0"),
        ({"n_components": 0}, ParameterError, "n_components=0"),
        ({"n_components": 2.5}, ParameterError, "whole number"),
        ({"max_iter": 0}, ParameterError, "max_iter=0"),
        ({"seed": -1}, ParameterError, "seed=-1"),
        ({"seed": "x"}, ParameterError, "seed='x'"),
        ({"beta": "foo"}, ParameterError, "beta 'foo' is unknown; use"),
        ({"beta": 9.0}, ParameterError, "beta"),
        ({"beta": float("nan")}, ParameterError, "beta"),
        ({"mask_exponent": 0.0}, ParameterError, "use 0.1 to 10"),
        ({"mask_exponent": float("nan")}, ParameterError, "use 0.1 to 10"),
        ({"n_threads": 0}, ParameterError, "n_threads=0"),
    ],
)
def test_impossible_settings(settings, error, words):
    with pytest.raises(error, match=words):
        Separator(**settings)
    with pytest.raises(error, match=words):
        separate(tones(), SR, **settings)


def test_more_sources_than_components():
    with pytest.raises(
        ParameterError, match="n_components=3 is too few for the preset components; use 5 or more"
    ):
        separate(tones(), SR, **SMALL, n_sources=5)


def test_a_misspelt_setting_fails():
    with pytest.raises(TypeError):
        separate(tones(), SR, iterations=3)
    with pytest.raises(TypeError):
        Separator("components")


@pytest.mark.parametrize("preset", ["components", "stems"])
def test_numbers_of_any_type_end_up_in_the_record_as_plain_ones(tmp_path, preset):
    result = separate(
        tones(),
        np.int64(SR),
        preset=preset,
        n_components=np.int32(4),
        max_iter=np.int64(2),
        mask_exponent=np.float32(2),
        beta=np.float64(1),
        seed=np.uint8(3),
    )
    result.save(tmp_path)
    assert result.record["settings"]["n_components"] == 4
    assert result.record["seed"] == 3


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"seed": True}, "seed=True must be a whole number"),
        ({"mask_exponent": "2"}, "mask exponent '2' is out of range"),
        ({"n_threads": 1.5}, r"n_threads=1\.5 must be a whole number"),
        ({"n_components": 1001}, "n_components=1001 must be a whole number from 1 to 1000"),
        ({"preset": "components", "n_sources": 65}, "n_sources=65 must be a whole number from 1"),
        ({"preset": "stems", "n_components": 2}, "n_components=2 is too few for the preset stems"),
        ({"preset": "auto", "n_components": 2}, "use 3 or more"),
    ],
)
def test_settings_that_cannot_be_are_refused_before_anything_is_read(settings, words):
    with pytest.raises(ParameterError, match=words):
        Separator(**settings)


def test_a_rate_is_for_arrays(tmp_path):
    path = files.write_sound(tmp_path / "x.wav")
    for source in (path, str(path), Audio(samples=tones(), sr=SR)):
        with pytest.raises(ParameterError, match="sr=44100 is for arrays"):
            separate(source, 44100)
    with pytest.raises(ParameterError, match=r"sr=8000\.5 must be a whole number"):
        separate(tones(), 8000.5)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"bits": "${HOME}"}, r"bits '\$\{HOME\}' is unknown; use 16, 24 or float"),
        ({"bits": 17}, "bits 17 is unknown"),
        ({"format": "ogg"}, "format 'ogg' is unknown; use wav or flac"),
        ({"format": "flac", "bits": "float"}, "flac holds no float samples"),
    ],
)
def test_a_depth_or_format_that_cannot_be_is_refused_before_any_work(tmp_path, how, words):
    with pytest.raises(ParameterError, match=words):
        Separator().split(tmp_path / "not-even-there.wav", tmp_path / "out", **how)
    assert not (tmp_path / "out").exists()
