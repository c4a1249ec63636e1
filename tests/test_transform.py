"""The transform and its inverse: against librosa and the obvious loops, whole and in blocks."""

from __future__ import annotations

import warnings
from itertools import pairwise

import librosa
import naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiosep.errors import ParameterError
from audiosep.transform import (
    BLOCK_FRAMES,
    WINDOWS,
    frame_length,
    istft,
    istft_blocks,
    n_frames_of,
    stft,
    stft_frames,
)
from audiosep.types import Audio, Spectrogram

LENGTHS = (1, 2, 15, 16, 63, 64, 65, 127, 256, 999, 1000)
GRID = {"n_fft": 64, "hop_length": 16}


def noise(seed, n_samples, n_channels=1, scale=1.0):
    rng = np.random.default_rng(seed)
    return (scale * rng.standard_normal((n_channels, n_samples))).astype(np.float32)


def audio_of(samples, sr=8000):
    return Audio(samples=samples, sr=sr)


def grid_of(values, n_samples, n_fft=64, hop_length=16, window="sqrt_hann"):
    return Spectrogram(
        values=values,
        sr=8000,
        n_fft=n_fft,
        hop_length=hop_length,
        window=window,
        n_samples=n_samples,
    )


# Forward


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("n_samples", LENGTHS)
@pytest.mark.parametrize(("n_fft", "hop_length"), [(64, 16), (64, 32), (64, 7), (100, 25)])
def test_stft_equals_librosa(window, n_samples, n_fft, hop_length):
    y = noise(n_samples, n_samples, 2)
    got = stft(audio_of(y), n_fft=n_fft, hop_length=hop_length, window=window)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that the window is longer than the signal
        want = librosa.stft(
            y,
            n_fft=n_fft,
            hop_length=hop_length,
            window=naive.window_of(window, n_fft),
            center=True,
            pad_mode="constant",
        )
    assert got.values.dtype == want.dtype == np.complex64
    assert got.values.shape == want.shape
    np.testing.assert_allclose(got.values, want, atol=2e-6 * np.abs(want).max())


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("n_samples", [1, 33, 200])
def test_stft_frames_equal_the_obvious_loop(rng, window, n_samples):
    x = rng.standard_normal(n_samples)
    got = stft_frames(x, 0, n_frames_of(n_samples, 16), **GRID, window=window)
    assert got.dtype == np.complex128
    want = naive.stft(x, 64, 16, window).T
    np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)


def test_windows_are_periodic_and_known():
    for name, make in WINDOWS.items():
        np.testing.assert_allclose(make(10), naive.window_of(name, 10), atol=1e-12)
        assert make(10)[5] == 1.0


def test_stft_describes_itself():
    got = stft(audio_of(noise(0, 5000, 3), sr=44100))
    assert (got.n_fft, got.hop_length, got.window) == (4096, 1024, "sqrt_hann")
    assert (got.sr, got.n_samples, got.n_channels) == (44100, 5000, 3)
    assert (got.n_bins, got.n_frames) == (2049, 5)
    assert got.values.transpose(0, 2, 1).flags.c_contiguous


def test_stft_of_channels_is_that_of_each_channel():
    y = noise(1, 777, 3)
    together = stft(audio_of(y), **GRID).values
    for channel in range(3):
        alone = stft(audio_of(y[channel : channel + 1]), **GRID).values[0]
        assert together[channel].tobytes() == alone.tobytes()


@given(
    seed=st.integers(0, 999),
    n_samples=st.integers(1, 900),
    hop=st.integers(1, 32),
    window=st.sampled_from(sorted(WINDOWS)),
    data=st.data(),
)
def test_any_range_of_frames_is_part_of_the_whole(seed, n_samples, hop, window, data):
    x = noise(seed, n_samples)[0]
    n_frames = n_frames_of(n_samples, hop)
    grid = {"n_fft": 64, "hop_length": hop, "window": window}
    whole = stft_frames(x, 0, n_frames, **grid)
    first = data.draw(st.integers(0, n_frames))
    last = data.draw(st.integers(first, n_frames))
    part = stft_frames(x, first, last, **grid)
    assert part.dtype == np.complex64
    assert part.shape == (last - first, 33)
    assert part.tobytes() == whole[first:last].tobytes()


def test_stft_is_made_of_blocks_without_a_seam():
    n_samples = 16 * (2 * BLOCK_FRAMES + 5)
    y = noise(2, n_samples)
    got = stft(audio_of(y), **GRID).values[0].T
    whole = stft_frames(y[0], 0, n_frames_of(n_samples, 16), **GRID)
    assert len(whole) > 2 * BLOCK_FRAMES
    assert got.tobytes() == whole.tobytes()


@pytest.mark.parametrize("n_threads", [2, 3])
def test_threads_of_the_transform_change_nothing(n_threads):
    audio = audio_of(noise(3, 20000, 2))
    one, more = stft(audio, **GRID), stft(audio, **GRID, n_threads=n_threads)
    assert one.values.tobytes() == more.values.tobytes()
    there = istft(one, n_threads=n_threads)
    assert there.samples.tobytes() == istft(one).samples.tobytes()


# Inverse


@given(
    seed=st.integers(0, 999),
    n_samples=st.integers(1, 1500),
    n_channels=st.integers(1, 2),
    n_fft=st.sampled_from([16, 36, 64, 100, 256]),
    overlap=st.floats(4, 20),
    window=st.sampled_from(sorted(WINDOWS)),
    scale=st.sampled_from([1.0, 1e-12, 1e12]),
)
def test_the_inverse_gives_the_recording_back(
    seed, n_samples, n_channels, n_fft, overlap, window, scale
):
    y = noise(seed, n_samples, n_channels, scale)
    there = stft(audio_of(y), n_fft=n_fft, hop_length=max(1, int(n_fft / overlap)), window=window)
    back = istft(there)
    assert back.samples.shape == y.shape
    assert back.samples.dtype == np.float32
    assert back.sr == 8000
    assert np.abs(back.samples - y).max() < 1e-6 * np.abs(y).max()


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("hop_length", [17, 22, 32])
def test_the_inverse_with_few_overlaps_is_exact_up_to_the_last_frame(window, hop_length):
    y = noise(4, 1000)
    there = stft(audio_of(y), n_fft=64, hop_length=hop_length, window=window)
    back = istft(there).samples
    centre = (there.n_frames - 1) * hop_length  # behind it the last window fades
    assert np.abs(back - y)[:, : centre + 8].max() < 1e-6 * np.abs(y).max()


@pytest.mark.parametrize("sr", [8000, 44100, 96000])
@pytest.mark.parametrize("n_samples", [1, 100, 44101])
def test_the_inverse_at_the_defaults(sr, n_samples):
    audio = audio_of(noise(5, n_samples, 2), sr)
    back = istft(stft(audio))
    assert np.abs(back.samples - audio.samples).max() < 1e-6 * audio.peak


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("hop_length", [5, 16, 32])
@pytest.mark.parametrize("n_samples", [1, 50, 333])
def test_the_inverse_of_any_frames_is_the_least_squares_signal(rng, window, hop_length, n_samples):
    shape = (n_frames_of(n_samples, hop_length), 33)
    frames = rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
    got = np.concatenate(
        list(
            istft_blocks(
                [frames], n_fft=64, hop_length=hop_length, n_samples=n_samples, window=window
            )
        )
    )
    want = naive.istft(frames.T, 64, hop_length, window, n_samples)
    np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-9)


@given(
    seed=st.integers(0, 999),
    n_samples=st.integers(1, 900),
    hop=st.integers(1, 32),
    window=st.sampled_from(sorted(WINDOWS)),
    data=st.data(),
)
def test_any_blocks_give_the_same_samples(seed, n_samples, hop, window, data):
    rng = np.random.default_rng(seed)
    n_frames = n_frames_of(n_samples, hop)
    frames = (
        rng.standard_normal((n_frames, 33)) + 1j * rng.standard_normal((n_frames, 33))
    ).astype(np.complex64)
    cuts = data.draw(st.lists(st.integers(0, n_frames), max_size=6))
    bounds = [0, *sorted(cuts), n_frames]
    blocks = [frames[a:b] for a, b in pairwise(bounds)]
    settings = {"n_fft": 64, "hop_length": hop, "n_samples": n_samples, "window": window}
    whole = np.concatenate(list(istft_blocks([frames], **settings)))
    parts = list(istft_blocks(blocks, **settings))
    assert all(len(part) for part in parts)
    assert len(whole) == n_samples
    assert whole.dtype == np.float32
    assert np.concatenate(parts).tobytes() == whole.tobytes()


def test_samples_are_given_out_as_soon_as_they_are_known():
    frames = stft_frames(noise(6, 1600)[0], 0, 101, **GRID)
    asked = 0

    def blocks():
        nonlocal asked
        for frame in frames:
            asked += 1
            yield frame[np.newaxis]

    given_out = 0
    for part in istft_blocks(blocks(), **GRID, n_samples=1600):
        given_out += len(part)
        assert given_out >= min(1600, 16 * asked - 32)


def test_the_inverse_of_masked_content():
    audio = audio_of(noise(7, 500, 2))
    there = stft(audio, **GRID)
    half = istft(there, mask=np.full(there.values.shape[1:], 0.5, np.float32)[np.newaxis])
    assert half.samples.tobytes() == (istft(there).samples / 2).tobytes()
    each = np.ones(there.values.shape, np.float32)
    each[1] = 0.0
    one = istft(there, mask=each).samples
    assert one[0].tobytes() == istft(there).samples[0].tobytes()
    assert not one[1].any()


@pytest.mark.parametrize("shape", [(3, 33, 32), (2, 33, 1), (33, 32), (2, 32, 32)])
def test_masks_that_do_not_fit(shape):
    there = stft(audio_of(noise(7, 500, 2)), **GRID)
    assert there.values.shape == (2, 33, 32)
    with pytest.raises(ParameterError, match="mask has shape"):
        istft(there, mask=np.ones(shape, np.float32))


@pytest.mark.parametrize(("window_s", "n_fft"), [(0.023, 512), (0.093, 2048), (0.186, 4096)])
def test_the_window_is_given_in_seconds(window_s, n_fft):
    audio = Audio(samples=noise(9, 3000), sr=22050)
    there = stft(audio, window_s=window_s)
    assert (there.n_fft, there.hop_length) == (n_fft, n_fft // 4)
    with pytest.raises(ParameterError, match="out of range"):
        stft(audio, window_s=0.0)


def test_frames_behind_the_end_are_cut_off():
    x = noise(8, 160)[0]
    frames = stft_frames(x, 0, 11, **GRID)
    for n_samples in (1, 7, 64, 100):
        parts = [frames[:3], frames[3:4], frames[4:]]
        got = np.concatenate(list(istft_blocks(parts, **GRID, n_samples=n_samples)))
        np.testing.assert_allclose(got, x[:n_samples], atol=1e-6 * np.abs(x).max())


def test_the_inverse_of_nothing_is_silence():
    assert list(istft_blocks([], **GRID, n_samples=0)) == []
    assert np.concatenate(list(istft_blocks([], **GRID, n_samples=7))).tolist() == [0.0] * 7
    back = istft(grid_of(np.zeros((1, 33, 4), np.complex64), 50))
    assert not back.samples.any()


# Lengths and ranges


@pytest.mark.parametrize(
    "sr", [8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000, 88200, 96000, 176400, 192000]
)
def test_the_default_window_lasts_about_93_milliseconds(sr):
    n_fft = frame_length(sr)
    assert n_fft & (n_fft - 1) == 0
    assert 0.065 < n_fft / sr < 0.132


def test_the_length_of_the_window_can_be_chosen():
    assert frame_length(44100, 0.02) == 1024
    assert frame_length(100, 0.001) == 16
    assert frame_length(48000, 10.0) == 2**19


@pytest.mark.parametrize("window_s", [0.0, 0.0009, 10.1, -1.0, float("nan"), float("inf")])
def test_windows_out_of_range(window_s):
    with pytest.raises(ParameterError, match=r"out of range; use 0\.001 to 10 seconds"):
        frame_length(44100, window_s)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_fft": 63}, "n_fft=63 must be an even number of at least 2"),
        ({"n_fft": 0}, "n_fft=0 must be"),
        ({"n_fft": -64}, "n_fft=-64 must be"),
        ({"hop_length": 0}, "hop_length=0 must be 1 to n_fft/2 = 32"),
        ({"hop_length": 33}, "hop_length=33 must be 1 to n_fft/2 = 32"),
        ({"hop_length": -1}, "hop_length=-1 must be"),
        ({"window": "boxcar"}, "unknown window 'boxcar'; use one of sqrt_hann, hann"),
    ],
)
def test_settings_that_cannot_be(changes, message):
    settings = GRID | {"window": "hann"} | changes
    audio = audio_of(noise(8, 100))
    with pytest.raises(ParameterError, match=message):
        stft(audio, **settings)
    with pytest.raises(ParameterError, match=message):
        stft_frames(audio.samples[0], 0, 1, **settings)
    frames = np.zeros((3, 33), np.complex64)
    with pytest.raises(ParameterError, match=message):
        list(istft_blocks([frames], **settings, n_samples=40))


@pytest.mark.parametrize(("first", "last"), [(-1, 2), (3, 2), (0, 8), (8, 8), (-2, -1)])
def test_frames_that_do_not_exist(first, last):
    with pytest.raises(ParameterError, match=f"frames {first} to {last} are not within the 7"):
        stft_frames(noise(9, 100)[0], first, last, **GRID)
