"""Quality floors, end to end: a file in, stems out, compared with the true sources.

Each floor stands about 1 dB below what was measured when it was set: below it, something broke.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scenes
import soundfile

import audiosep
from audiosep.evaluation import evaluate

EXAMPLES = Path(__file__).resolve().parent.parent / "examples" / "audio"

BAND = {"drums": ("drums",), "bass": ("bass",), "other": ("chords", "melody")}
SONG = {name: (name,) for name in ("vocals", "drums", "bass")} | {"other": ("chords",)}
KIT = {name: (name,) for name in ("kick", "snare", "hihat")}


def improvements(path, references, preset, groups):
    """Gains in dB over the untouched mixture, by stem; references are summed in groups."""
    result = audiosep.separate(path, preset=preset, n_threads=1)
    sources = {
        stem: sum(references[part] for part in parts)[None] for stem, parts in groups.items()
    }
    sr = result.mixture.sr
    scores = evaluate(sources, result.stems, sr=sr, mixture=result.mixture)
    return {stem.name: round(stem.improvement_db, 2) for stem in scores.stems}


def below(measured, floors):
    assert measured.keys() == floors.keys()
    return {name: gain for name, gain in measured.items() if gain < floors[name]}


@pytest.mark.parametrize(
    ("item", "preset", "groups", "floors"),
    [
        ("band", "stems", BAND, {"drums": 9.2, "bass": 4.6, "other": 5.9}),
        (
            "band",
            "harmonic-percussive",
            {"harmonic": ("bass", "chords", "melody"), "percussive": ("drums",)},
            {"harmonic": 6.9, "percussive": 9.2},
        ),
        ("drum_loop", "drums", KIT, {"kick": 22.8, "snare": 16.4, "hihat": 16.9}),
        (
            "song",
            "vocals",
            {"vocals": ("vocals",), "accompaniment": ("drums", "bass", "chords")},
            {"vocals": 7.9, "accompaniment": 5.3},
        ),
        ("drum_loop", "auto", KIT, {"kick": 22.8, "snare": 16.4, "hihat": 16.9}),
        ("song", "auto", SONG, {"vocals": 7.9, "drums": 10.8, "bass": 3.3, "other": 5.4}),
        ("song", "four-stems", SONG, {"vocals": 7.9, "drums": 10.8, "bass": 3.3, "other": 5.4}),
    ],
)
def test_examples(item, preset, groups, floors):
    references = {
        path.stem.removeprefix("ref_"): audiosep.read(path).samples[0]
        for path in (EXAMPLES / item).glob("ref_*.flac")
    }
    measured = improvements(EXAMPLES / item / "mixture.flac", references, preset, groups)
    assert not below(measured, floors)


@pytest.mark.parametrize(
    ("preset", "groups", "floors"),
    [
        (
            "stems",
            {"drums": ("drums",), "bass": ("bass",), "other": ("chords",)},
            {"drums": 14.0, "bass": 7.5, "other": 10.7},
        ),
        (
            "harmonic-percussive",
            {"harmonic": ("bass", "chords"), "percussive": ("drums",)},
            {"harmonic": 3.9, "percussive": 14.0},
        ),
    ],
)
def test_a_synthetic_band(tmp_path, preset, groups, floors):
    references = scenes.band()
    path = tmp_path / "band.wav"
    soundfile.write(path, scenes.mixture(references).T, 16000, subtype="FLOAT")
    assert not below(improvements(path, references, preset, groups), floors)


def references_of(item):
    return {
        path.stem.removeprefix("ref_"): audiosep.read(path)
        for path in sorted((EXAMPLES / item).glob("ref_*.flac"))
    }


def gains(result, references):
    true = {name: audio.samples for name, audio in references.items()}
    scores = evaluate(true, result.stems, sr=result.mixture.sr, mixture=result.mixture)
    return {stem.name: round(stem.improvement_db, 2) for stem in scores.stems}


def test_told_by_a_score():
    result = audiosep.separate(
        EXAMPLES / "bach_trio" / "mixture.flac",
        score=EXAMPLES / "bach_trio" / "score.mid",
        n_threads=1,
    )
    floors = {"flute": 16.1, "clarinet": 19.0, "cello": 15.1}
    assert not below(gains(result, references_of("bach_trio")), floors)


def test_told_by_examples():
    references = references_of("drum_loop")
    sr = references["kick"].sr
    strokes = {
        name: audiosep.Audio(samples=references[name].samples[:, : 2 * sr], sr=sr)
        for name in ("kick", "snare")
    }
    # The first two seconds are what the examples are cut from: they are not measured.
    mixture = audiosep.read(EXAMPLES / "drum_loop" / "mixture.flac", start=2.0)
    rest = {n: audiosep.Audio(samples=a.samples[:, 2 * sr :], sr=sr) for n, a in references.items()}
    result = audiosep.separate(mixture, examples=strokes, rest="hihat", quality="fast", n_threads=1)
    floors = {"kick": 24.1, "snare": 18.5, "hihat": 19.3}
    assert not below(gains(result, rest), floors)


def test_told_nothing_of_noise():
    path = EXAMPLES / "speech_printer" / "mixture.flac"
    result = audiosep.separate(path, preset="speech", n_threads=1)
    floors = {"speech": 1.7, "noise": 3.3}
    assert not below(gains(result, references_of("speech_printer")), floors)


def test_by_place():
    sides = {"flute": 0.2, "clarinet": 0.5, "cello": 0.85}
    panned = {
        name: audiosep.Audio(
            samples=np.float32(
                [[np.cos(sides[name] * np.pi / 2)], [np.sin(sides[name] * np.pi / 2)]]
            )
            * audio.samples,
            sr=audio.sr,
        )
        for name, audio in references_of("bach_trio").items()
    }
    mixture = sum(audio.samples for audio in panned.values())
    result = audiosep.separate(mixture, panned["cello"].sr, preset="stereo", n_threads=1)
    named = dict(zip(result.stems, ("flute", "clarinet", "cello"), strict=True))  # left to right
    stems = {named[stem]: audio for stem, audio in result.stems.items()}
    true = {name: audio.samples for name, audio in panned.items()}
    scores = evaluate(true, stems, sr=result.mixture.sr, mixture=result.mixture)
    measured = {stem.name: round(stem.improvement_db, 2) for stem in scores.stems}
    assert not below(measured, {"flute": 29.0, "clarinet": 25.0, "cello": 30.0})
