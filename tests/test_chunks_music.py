"""Long music in chunks: decided once, the same stems throughout, as if it were taken at once."""

from __future__ import annotations

from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from marks import some_slow
from naive import si_sdr
from scenes import hits, notes, time_axis

import audiosep
from audiosep.chunked import Chunked, excerpt_of
from audiosep.chunks import chunks_of
from audiosep.methods import MethodSettings, _stems_blocks, load_learner, load_method
from audiosep.methods._stems_blocks import bounds_of
from audiosep.methods._vocals_learnt import near, some_excerpts
from audiosep.methods.auto import choose_recipe
from audiosep.methods.four_stems import SongFacts
from audiosep.presets import load_preset
from audiosep.render import Analysis, render
from audiosep.types import Audio, ignore_progress

EXAMPLES = Path(__file__).resolve().parent.parent / "examples" / "audio"

SR = 8000
DURATION = 24.0
CHUNK_S = 8.0
SINGS_UNTIL_S = 15.0
ONE_THREAD = MethodSettings(n_threads=1)


def singer(duration=DURATION):
    """Notes with glides and vibrato."""
    t = time_axis(SR, duration)
    steps = np.repeat([0, 4, 7, 5, 2, 0, -3, 2], round(0.8 * SR))
    glides = np.convolve(np.resize(steps, len(t)), np.hanning(1200) / 599.5, mode="same")
    pitch = 220 * 2 ** ((glides + 0.5 * np.sin(2 * np.pi * 5.5 * t)) / 12)
    phase = 2 * np.pi * np.cumsum(pitch) / SR
    voice = sum(np.sin(k * phase) / k**0.7 for k in range(1, 12))
    return voice * (t < SINGS_UNTIL_S) * (t % 3.2 < 2.6)


@cache
def song():
    """A voice that stops, over bass, chords at one side, and drums: (2, n_samples)."""
    chords = sum(
        notes(SR, DURATION, pitches, 0.5, decay=2.0)
        for pitches in ((261.6, 293.7, 349.2, 246.9), (329.6, 349.2, 440.0, 293.7))
    )
    bass = notes(SR, DURATION, (65.4, 73.4, 87.3, 61.7), 0.5, decay=3.0)
    middle = 0.06 * singer() + 0.1 * bass + 0.1 * hits(SR, DURATION, 0.5, decay=50.0, seed=1)
    samples = np.stack([middle + 0.06 * chords, middle + 0.02 * chords])
    return samples.astype(np.float32)


def band_alone():
    return song() - np.float32(0.06) * singer().astype(np.float32)


def at_once(samples, preset, settings=ONE_THREAD):
    recipe = load_preset(preset)
    audio = Audio(samples=samples, sr=SR)
    spectrogram = audiosep.stft(audio, window_s=recipe.window_s, n_threads=1)
    models = load_method(recipe.method)(spectrogram, settings, ignore_progress)
    analysis = Analysis.of(spectrogram)
    stems = render(audio, models, analysis, recipe.mask_exponent, 1, ignore_progress)
    return {name: stem.samples for name, stem in stems.items()}


def in_chunks(samples, preset, chunk_s=CHUNK_S, settings=ONE_THREAD):
    recipe = load_preset(preset)
    run = Chunked(
        tape=Audio(samples=samples, sr=SR),
        method=recipe.method,
        settings=settings,
        window_s=recipe.window_s,
        exponent=recipe.mask_exponent,
        chunk_s=chunk_s,
    )
    pieces = list(run.pieces())
    assert len({tuple(piece.stems) for piece in pieces}) == 1
    stems = {
        name: np.concatenate([piece.stems[name] for piece in pieces], axis=1)
        for name in pieces[0].stems
    }
    return stems, run.found()


@cache
def chunked_song(preset):
    return in_chunks(song(), preset)


def transformed(samples, preset):
    audio = Audio(samples=samples, sr=SR)
    return audiosep.stft(audio, window_s=load_preset(preset).window_s, n_threads=1)


AGREEMENT_DB = {
    "stems": {"drums": 33.0, "bass": 35.0, "other": 35.0},
    "harmonic-percussive": {"harmonic": 40.0, "percussive": 33.0},
    "auto": {"vocals": 28.0, "drums": 18.0, "bass": 30.0, "other": 26.0},
}


@pytest.mark.parametrize("preset", some_slow(AGREEMENT_DB, "auto", "four-stems", "vocals"))
def test_chunks_agree_with_the_whole_cut_at_the_same_places(preset, monkeypatch):
    stems, found = chunked_song(preset)
    monkeypatch.setattr(_stems_blocks, "chunks_of", partial(chunks_of, chunk_s=CHUNK_S))
    whole = at_once(song(), preset)
    agreement = {name: si_sdr(stems[name], whole[name]) for name in whole}
    floors = AGREEMENT_DB[preset]
    assert {n: db for n, db in agreement.items() if db < floors[n]} == {}
    assert tuple(stems) == tuple(floors)
    # No clicks: where chunks fade, stems do not bend more than they do anyway.
    for name in whole:
        bends = np.abs(np.diff(stems[name] - whole[name], n=2)).max()
        assert bends < 0.5 * np.abs(np.diff(whole[name], n=2)).max()
    np.testing.assert_allclose(sum(stems.values()), song(), atol=1e-6)
    assert len(found.notes) == len(set(found.notes)) <= 2
    assert found.losses == () or found.losses[-1] < found.losses[0]


def test_where_the_voice_rests_it_is_quieter_than_where_it_sings():
    stems, found = chunked_song("auto")
    vocals = stems["vocals"]
    after = round((SINGS_UNTIL_S + 1.5) * SR)
    sung, rest = (np.square(part).mean() for part in (vocals[:, : after // 2], vocals[:, after:]))
    assert 10 * np.log10(sung / rest) > 10.0
    voiced = found.melody.f0_hz > 0
    times = found.melody.times_s
    assert (np.diff(times) > 0).all()
    assert times[-1] == pytest.approx(DURATION, abs=0.05)
    assert voiced[times < SINGS_UNTIL_S].mean() > 0.6
    assert voiced[times > SINGS_UNTIL_S + 1.5].mean() < 0.4


def test_without_a_voice_no_chunk_gets_a_stem_for_one():
    stems, found = in_chunks(band_alone()[:, : 16 * SR], "auto")
    assert tuple(stems) == ("drums", "bass", "other")
    assert "No voice" in found.notes[0]


@pytest.mark.parametrize("preset", some_slow(["stems", "four-stems"], "four-stems"))
def test_a_silent_chunk_is_silent_and_has_the_same_stems(preset):
    samples = song()[:, : 9 * SR].copy()
    samples[:, 2 * SR : 7 * SR] = 0.0
    stems, _ = in_chunks(samples, preset, chunk_s=3.0)
    assert len(stems) == {"stems": 3, "four-stems": 4}[preset]
    for stem in stems.values():
        assert np.isfinite(stem).all()
        assert np.abs(stem[:, 3 * SR : 6 * SR]).max() < 1e-6
    np.testing.assert_allclose(sum(stems.values()), samples, atol=1e-6)


@pytest.mark.parametrize("preset", ["stems", "vocals"])
def test_silence_and_the_loudest_and_quietest_recordings_have_chunks_too(preset):
    for scale in (0.0, 1e-12, 1e12):
        samples = np.float32(scale) * song()[:, : 2 * SR]
        stems, _ = in_chunks(samples, preset, chunk_s=1.0)
        assert all(np.isfinite(stem).all() for stem in stems.values())
        np.testing.assert_allclose(sum(stems.values()), samples, atol=1e-5 * scale)


def test_a_chunk_far_louder_than_all_excerpts_stays_finite():
    samples = song()[:1, : 9 * SR].copy()
    samples[:, : 3 * SR] *= np.float32(1e12)
    samples[:, 3 * SR :] *= np.float32(1e-12)
    stems, _ = in_chunks(samples, "stems", chunk_s=3.0)
    assert all(np.isfinite(stem).all() for stem in stems.values())


@pytest.mark.parametrize("preset", some_slow(["harmonic-percussive", "vocals"], "vocals"))
def test_the_same_bytes_each_time_whatever_the_threads(preset):
    samples = song()[:, : 4 * SR]
    one, two = (
        in_chunks(samples, preset, 2.0, replace(ONE_THREAD, n_threads=n))[0] for n in (1, 2)
    )
    for name, stem in one.items():
        np.testing.assert_array_equal(stem, two[name])


def test_what_is_learnt_from_the_whole_is_what_the_whole_decides():
    spectrogram = transformed(song()[:, : 8 * SR], "stems")
    learnt = load_learner("stems")(spectrogram, ONE_THREAD, ignore_progress)
    model = load_method("stems")
    alone = model(spectrogram, ONE_THREAD, ignore_progress)
    told = model(spectrogram, replace(ONE_THREAD, learnt=learnt.facts), ignore_progress)
    assert learnt.notes == alone.notes
    assert told.notes == ()
    np.testing.assert_allclose(told.values, alone.values, atol=1e-4)


@pytest.mark.parametrize("method", ["stems", "harmonic-percussive", "vocals", "four-stems", "song"])
def test_facts_of_another_method_are_refused(method):
    spectrogram = transformed(song()[:, :SR], "stems")
    with pytest.raises(TypeError, match="int is nothing that is learnt"):
        load_method(method)(spectrogram, replace(ONE_THREAD, learnt=3), ignore_progress)


def test_a_song_is_learnt_with_a_voice_or_without():
    learner = load_learner("song")
    sung = learner(transformed(song()[:, : 8 * SR], "auto"), ONE_THREAD, ignore_progress)
    assert isinstance(sung.facts, SongFacts)
    assert sung.facts.voice.presence >= 0.5
    assert sung.facts.voice.places.shape[0] == 2
    rest = learner(transformed(song()[:, 17 * SR :], "auto"), ONE_THREAD, ignore_progress)
    assert rest.facts.voice is None


def test_the_voice_is_learnt_from_some_of_the_excerpts():
    spectrogram = transformed(np.zeros((2, 100 * SR), dtype=np.float32), "vocals")
    numbered = np.zeros_like(spectrogram.values)
    numbered += np.arange(spectrogram.n_frames)
    some = some_excerpts(replace(spectrogram, values=numbered))
    assert some.n_samples / SR == pytest.approx(40.0, abs=0.2)
    assert 1 + some.n_samples // some.hop_length == some.n_frames
    starts = np.flatnonzero(np.diff(some.values[0, 0].real) > 1.5)
    assert len(starts) == 3
    kept = some.values[0, 0].real * spectrogram.frame_s
    assert {int(at // 10) for at in kept[:: len(kept) // 40]} >= {1, 3, 6, 8}
    short = replace(spectrogram, n_samples=40 * SR)
    assert some_excerpts(short) is short


def test_levels_are_held_near_what_is_known():
    assert near(1.0, 0.0) == 1.0
    assert near(0.0, 4.0) == 2.0
    assert near(3.0, 4.0) == 3.0
    assert near(100.0, 4.0) == 8.0


def test_blocks_meet_at_the_same_places_in_chunks_and_in_the_whole():
    whole = transformed(np.zeros((1, 250 * SR), dtype=np.float32), "stems")
    hop = whole.hop_length
    bounds = bounds_of(whole)
    chunks = chunks_of(250 * SR, SR, hop)
    assert bounds == (0, *(chunk.end // hop for chunk in chunks[:-1]), whole.n_frames)
    for chunk in chunks:
        part = transformed(np.zeros((1, chunk.last - chunk.first), dtype=np.float32), "stems")
        before = (chunk.start - chunk.first) // hop
        after = part.n_frames - (chunk.end - chunk.first) // hop
        margins = (before, after if chunk.fade_out else 0)
        inside = {frame + chunk.first // hop for frame in bounds_of(part, margins)}
        assert {chunk.start // hop, chunk.end // hop + (not chunk.fade_out)} <= inside


def test_the_default_chooses_alike_for_joined_excerpts_and_for_the_whole():
    recipe = load_preset("auto")
    for item, name in (("drum_loop", "drums"), ("band", "auto")):
        once, sr = sf.read(EXAMPLES / item / "mixture.flac", dtype="float32")
        samples = np.resize(once, 40 * sr)[np.newaxis]
        tape = Audio(samples=samples, sr=sr)
        whole = choose_recipe(tape, recipe, ONE_THREAD)
        part = choose_recipe(excerpt_of(tape, 30.0), recipe, ONE_THREAD)
        assert (whole.recipe.name, part.recipe.name) == (name, name)
