"""Single hits cut out of stems: which, how many, how clean, and with what ends."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import scenes_drums

from audiosep.errors import ParameterError
from audiosep.one_shots import cut_one_shots
from audiosep.types import Audio, Onsets

SR = 8000


def struck(**times):
    """Onsets of several pieces, in order of time."""
    pairs = sorted((t, name) for name, at in times.items() for t in at)
    return Onsets(
        times_s=np.array([t for t, _ in pairs]),
        labels=tuple(name for _, name in pairs),
        strengths=np.ones(len(pairs)),
    )


def hits(times, *, gains=None, decay_s=0.05, hz=200.0, seconds=3.0, channels=1):
    t = np.arange(round(seconds * SR)) / SR
    y = np.zeros_like(t)
    for at, gain in zip(times, gains or [1.0] * len(times), strict=True):
        since = t - at
        y += np.where(since >= 0, gain * np.exp(-since / decay_s) * np.cos(since * hz * 6.28), 0)
    return Audio(samples=np.tile(y, (channels, 1)).astype(np.float32), sr=SR)


def test_names_count_from_the_cleanest():
    stems = {"kick": hits([0.2, 1.2, 2.2]), "snare": hits([0.7])}
    found = cut_one_shots(stems, struck(kick=[0.2, 1.2, 2.2], snare=[0.7]), n=2)
    assert list(found) == ["kick-1", "kick-2", "snare-1"]
    assert all(audio.sr == SR for audio in found.values())


def test_a_hit_is_what_was_struck():
    found = cut_one_shots({"kick": hits([0.5])}, struck(kick=[0.51]))["kick-1"]
    start = np.argmax(np.abs(found.samples[0]) > 0.1)
    assert start < 0.005 * SR
    heard = found.samples[0, start : start + 800]
    np.testing.assert_allclose(heard, hits([0.0]).samples[0, :800], atol=0.02)
    assert 0.25 < found.duration < 0.4  # it has fallen by 50 dB after 0.29 s


def test_ends_are_faded():
    noise = np.random.default_rng(0).standard_normal((2, 2 * SR)).astype(np.float32)
    stem = Audio(samples=noise, sr=SR)
    found = cut_one_shots({"noise": stem}, struck(noise=[0.5, 1.0]), n=5)
    for audio in found.values():
        assert audio.n_channels == 2
        assert np.abs(audio.samples[:, -1]).max() < 0.05
        assert np.abs(audio.samples[:, 0]).max() < 0.5
        assert audio.samples[:, -10:].std() < 0.2 * audio.samples[:, 50:500].std()


def test_a_hit_stops_before_the_next_of_its_piece():
    stems = {"snare": hits([0.5, 0.7, 1.5], decay_s=0.5)}
    found = cut_one_shots(stems, struck(snare=[0.5, 0.7, 1.5]))
    lengths = sorted(audio.duration for audio in found.values())
    assert lengths[0] == pytest.approx(0.2 - 0.01 + 0.003, abs=0.003)
    assert max(lengths) <= 2.0


def test_hits_under_another_piece_come_last():
    stems = {"kick": hits([0.5, 1.5, 2.5]), "snare": hits([1.5, 2.5], gains=[3.0, 1.0])}
    onsets = struck(kick=[0.5, 1.5, 2.5], snare=[1.5, 2.5])
    found = cut_one_shots(stems, onsets, n=3)
    # All kicks sound the same: told apart by where they were.
    noisy = {
        name: Audio(samples=stem.samples + np.linspace(0, 1e-3, 3 * SR, dtype=np.float32), sr=SR)
        for name, stem in stems.items()
    }
    places = [
        audio.samples[0, -200:].mean() for audio in cut_one_shots(noisy, onsets, n=3).values()
    ]
    kicks = places[:3]
    assert len(found) == 5
    assert kicks[0] < kicks[2] < kicks[1]


def test_loud_hits_come_first():
    found = cut_one_shots(
        {"kick": hits([0.5, 1.5], gains=[0.2, 1.0])}, struck(kick=[0.5, 1.5]), n=2
    )
    assert found["kick-1"].peak > 3 * found["kick-2"].peak


def test_a_hit_with_a_louder_one_in_it_comes_last():
    # The onset of the louder hit at 0.56 s is not known.
    stems = {"hihat": hits([0.5, 0.56, 1.5], gains=[0.7, 1.2, 0.9])}
    found = cut_one_shots(stems, struck(hihat=[0.5, 1.5]), n=2)
    assert found["hihat-1"].peak == pytest.approx(0.9, rel=0.02)
    assert found["hihat-2"].peak > 1.0


def test_memory_is_bounded():
    many = {f"piece {i}": hits([0.5], seconds=60.0) for i in range(4)}
    tracemalloc.start()
    try:
        cut_one_shots(many, struck(**{name: [0.5] for name in many}))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 4 * 60 * SR  # bytes: a quarter of one copy of all stems


def test_the_level_is_kept():
    stems = {"kick": hits([0.5], gains=[1e-3])}
    assert cut_one_shots(stems, struck(kick=[0.5]))["kick-1"].peak == pytest.approx(1e-3, rel=0.05)


def test_clean_hits_of_a_separated_kit():
    stems, times = scenes_drums.played(SR, 4.0)
    audio = {name: Audio(samples=stem[np.newaxis], sr=SR) for name, stem in stems.items()}
    found = cut_one_shots(audio, struck(**times), n=2)
    assert set(found) == {f"{name}-{i}" for name in stems for i in (1, 2)}
    for name, shot in found.items():
        power = np.abs(np.fft.rfft(shot.samples[0])) ** 2
        low = power[np.fft.rfftfreq(shot.n_samples, 1 / SR) < 150].sum() / power.sum()
        assert (low > 0.5) == name.startswith("kick"), name


@pytest.mark.filterwarnings("error")
def test_nothing_to_cut():
    silent = Audio(samples=np.zeros((1, SR), dtype=np.float32), sr=SR)
    assert cut_one_shots({"kick": silent}, struck(kick=[0.5])) == {}
    assert cut_one_shots({"kick": silent}, struck()) == {}
    assert cut_one_shots({}, struck(kick=[0.5])) == {}
    assert cut_one_shots({"tom": hits([0.5])}, struck(kick=[0.5])) == {}
    one = Audio(samples=np.ones((1, 1), dtype=np.float32), sr=SR)
    assert cut_one_shots({"kick": one}, struck(kick=[0.0])) == {}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("level", [1e-30, 1e-12, 1e29])
def test_any_level(level):
    stem = Audio(samples=hits([0.5]).samples * np.float32(level), sr=SR)
    found = cut_one_shots({"kick": stem}, struck(kick=[0.5]))["kick-1"]
    assert found.peak == pytest.approx(level, rel=0.05)


def test_onsets_past_the_end_and_twice():
    stems = {"kick": hits([0.5])}
    found = cut_one_shots(stems, struck(kick=[0.49, 0.5, 0.51, 50.0]), n=5)
    assert list(found) == ["kick-1"]


def test_stems_are_unchanged():
    stem = hits([0.5])
    before = stem.samples.copy()
    cut_one_shots({"kick": stem}, struck(kick=[0.5]))
    np.testing.assert_array_equal(stem.samples, before)


@pytest.mark.parametrize("n", [0, -1, 1.5, True, "two"])
def test_wrong_numbers(n):
    with pytest.raises(ParameterError, match="n="):
        cut_one_shots({"kick": hits([0.5])}, struck(kick=[0.5]), n=n)


def test_stems_of_different_tracks():
    stems = {"kick": hits([0.5]), "snare": hits([0.5], seconds=2.0)}
    with pytest.raises(ParameterError, match="differ in length"):
        cut_one_shots(stems, struck(kick=[0.5]))
