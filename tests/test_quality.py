"""Quality floors, end to end: a file in, stems out, compared with the true sources.

Each floor stands about 1 dB below what was measured when it was set: below it, something broke.
"""

from __future__ import annotations

from pathlib import Path

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
