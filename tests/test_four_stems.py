"""Voice first, then the band."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

import audiosep

SONG = Path(__file__).resolve().parent.parent / "examples" / "audio" / "song"
STEMS = ("vocals", "drums", "bass", "other")


@pytest.fixture(scope="module")
def song():
    parts = {path.stem[4:]: sf.read(path)[0] for path in SONG.glob("ref_*.flac")}
    parts["other"] = parts.pop("chords")
    return audiosep.separate(SONG / "mixture.flac", preset="four-stems"), parts


def improvement(reference, estimate, mixture):
    def si_sdr(e):
        part = (e @ reference) / (reference @ reference) * reference
        return 10 * np.log10((part @ part) / ((e - part) @ (e - part)))

    return si_sdr(estimate.ravel().astype(float)) - si_sdr(mixture.ravel().astype(float))


def test_every_stem_is_far_better_than_the_mixture(song):
    result, parts = song
    mixture = result.mixture.samples
    gains = {
        name: improvement(parts[name], stem.samples, mixture) for name, stem in result.stems.items()
    }
    assert tuple(gains) == STEMS
    floors = {"vocals": 8.0, "drums": 10.0, "bass": 3.0, "other": 6.0}
    assert {name: gain for name, gain in gains.items() if gain < floors[name]} == {}


def test_the_melody_is_that_of_the_singer(song):
    result, _ = song
    melody = result.melody
    assert melody is not None
    assert 0.4 < melody.voiced.mean() < 0.97
    assert melody.times_s[-1] == pytest.approx(result.mixture.duration, abs=0.05)


def test_the_stems_add_up(song):
    result, _ = song
    total = sum(stem.samples.astype(np.float64) for stem in result.stems.values())
    assert np.abs(total - result.mixture.samples).max() < 1e-6


@pytest.mark.parametrize("scale", [0.0, 1e-12, 1e12])
@pytest.mark.parametrize("n_samples", [1, 9000])
def test_any_level_and_length(scale, n_samples):
    rng = np.random.default_rng(0)
    y = (scale * rng.uniform(-1, 1, (2, n_samples))).astype(np.float32)
    result = audiosep.separate(y, 8000, preset="four-stems")
    assert tuple(result.stems) == STEMS
    for stem in result.stems.values():
        assert stem.samples.shape == y.shape
        assert np.isfinite(stem.samples).all()
