"""What the default preset hears, and what it does about it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scenes
import soundfile as sf

import audiosep
from audiosep.methods.auto import choose_recipe, excerpts
from audiosep.methods.base import MethodSettings
from audiosep.presets import load_preset
from audiosep.types import Audio

EXAMPLES = Path(__file__).resolve().parent.parent / "examples" / "audio"
RECIPE = load_preset("auto")


def read(item):
    samples, sr = sf.read(EXAMPLES / item / "mixture.flac", dtype="float32")
    return Audio(samples=samples[np.newaxis], sr=sr)


def chosen(audio):
    return choose_recipe(audio, RECIPE, MethodSettings()).recipe.name


@pytest.mark.parametrize("gain", [1e-12, 1.0, 1e12])
def test_drums_alone_are_known_at_any_level(gain):
    loop = read("drum_loop")
    assert chosen(Audio(samples=loop.samples * np.float32(gain), sr=loop.sr)) == "drums"


def test_drums_of_a_band_alone_are_known():
    samples, sr = sf.read(EXAMPLES / "band" / "ref_drums.flac", dtype="float32")
    assert chosen(Audio(samples=samples[np.newaxis], sr=sr)) == "drums"


@pytest.mark.parametrize("item", ["band", "song", "bach_trio", "speech_printer"])
def test_everything_else_is_not_taken_for_drums(item):
    assert chosen(read(item)) == "auto"


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros(8000),
        np.ones(8000),
        np.random.default_rng(0).standard_normal(16000),
        np.sin(np.arange(16000) * 0.3),
        np.ones(1),
    ],
    ids=["silence", "constant", "noise", "tone", "one sample"],
)
def test_what_is_no_music_is_not_taken_for_drums(samples):
    assert chosen(Audio(samples=samples[np.newaxis].astype(np.float32), sr=8000)) == "auto"


def test_of_a_long_recording_three_parts_are_looked_at():
    sr = 1000
    t = np.arange(100 * sr, dtype=np.float32)[np.newaxis]
    part = excerpts(Audio(samples=t, sr=sr))
    assert part.n_samples == 30 * sr
    firsts = part.samples[0, :: 10 * sr] / sr
    np.testing.assert_allclose(firsts, [22.5, 45.0, 67.5])
    short = Audio(samples=t[:, : 30 * sr], sr=sr)
    assert excerpts(short) is short


def test_the_record_says_what_was_chosen_and_why():
    loop = read("drum_loop")
    result = audiosep.separate(loop)
    assert list(result.stems)[:3] == ["kick", "snare", "hihat"]
    assert result.record["preset"] == "auto"
    assert result.record["method"] == "drums"
    assert result.record["analysis"]["mask_exponent"] == load_preset("drums").mask_exponent
    assert result.record["notes"][0].startswith("Taken for drums alone")
    assert "choose" in result.record["timings_s"]
    same = audiosep.separate(loop, preset="drums")
    for name, stem in same.stems.items():
        np.testing.assert_array_equal(stem.samples, result.stems[name].samples)


def test_music_without_a_voice_gets_no_stem_for_one():
    stems = scenes.band(sr=16000, duration=6.0)
    result = audiosep.separate(scenes.mixture(stems), 16000)
    assert list(result.stems) == ["drums", "bass", "other"]
    assert any("No voice" in note for note in result.record["notes"])


def test_a_song_gets_a_stem_for_its_voice():
    result = audiosep.separate(read("song"))
    assert list(result.stems) == ["vocals", "drums", "bass", "other"]
    assert result.melody is not None
