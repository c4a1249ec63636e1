"""Long recordings whose sources are told: learnt once, the same in all chunks, no seams."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import scenes_score
from marks import some_slow
from naive import si_sdr

from audiosep.alignment import LONGEST_S, align_notes, align_parts
from audiosep.chunked import Chunked
from audiosep.chunks import chunks_of, excerpts_of, joined
from audiosep.errors import InputError, ParameterError, RefusedError, UsageError
from audiosep.learning import learn
from audiosep.methods import (
    LEARNERS,
    LISTENERS,
    MethodSettings,
    load_learner,
    load_listener,
    load_method,
)
from audiosep.presets import load_preset
from audiosep.render import Analysis, render
from audiosep.rolls import part_of
from audiosep.scores import Score, Track
from audiosep.transform import stft
from audiosep.types import Audio, ignore_progress

SR = 8000
CHUNK_S = 8.0
DURATION = 24.0


def transformed(samples, preset, sr=SR):
    return stft(Audio(samples=samples, sr=sr), window_s=load_preset(preset).window_s)


def stems_of(samples, preset, settings, sr=SR):
    """Stems of what is modelled at once, and their models."""
    recipe = load_preset(preset)
    S = transformed(samples, preset, sr)
    models = load_method(recipe.method)(S, settings, ignore_progress)
    audio = Audio(samples=samples, sr=sr)
    stems = render(audio, models, Analysis.of(S), recipe.mask_exponent, 1, ignore_progress)
    return {name: stem.samples for name, stem in stems.items()}, models


def layout(samples, preset, sr=SR):
    hop = transformed(samples[:, :sr], preset, sr).hop_length
    return hop, chunks_of(samples.shape[1], sr, hop, CHUNK_S)


def parts_heard(listener, samples, preset, settings, sr=SR):
    hop, chunks = layout(samples, preset, sr)
    heard = []
    for chunk in chunks:
        S = transformed(samples[:, chunk.first : chunk.last], preset, sr)
        last = None if chunk.end == samples.shape[1] else (chunk.end - chunk.first) // hop
        own = slice((chunk.start - chunk.first) // hop, last)
        heard.append(listener.listen(S, own, replace(settings, start_s=chunk.first / sr)))
    return heard


def learnt_of(samples, preset, settings, sr=SR):
    method = load_preset(preset).method
    listener = load_listener(method)
    if listener is not None:
        listener.check(samples.shape[1] / sr, settings)
        heard = parts_heard(listener, samples, preset, settings, sr)
        return listener.learn(heard, settings, ignore_progress)
    spans = excerpts_of(samples.shape[1], sr, CHUNK_S)
    excerpts = joined([samples[:, a:b].copy() for a, b in spans], sr)
    return load_learner(method)(transformed(excerpts, preset, sr), settings, ignore_progress)


def in_chunks(samples, preset, settings, sr=SR, learnt=None):
    """Stems faded together, and the models of each chunk."""
    learnt = learnt_of(samples, preset, settings, sr) if learnt is None else learnt
    found, models = {}, []
    for chunk in layout(samples, preset, sr)[1]:
        here = replace(settings, learnt=learnt.facts, start_s=chunk.first / sr)
        stems, model = stems_of(samples[:, chunk.first : chunk.last], preset, here, sr)
        models.append(model)
        heard = slice(chunk.heard.start - chunk.first, chunk.heard.stop - chunk.first)
        for name, stem in stems.items():
            whole = found.setdefault(name, np.zeros_like(samples))
            whole[:, chunk.heard] += stem[:, heard] * chunk.gain()
    return found, models


def dictionary(samples, label, window_s):
    audio = Audio(samples=samples[np.newaxis].astype(np.float32), sr=SR)
    return learn([audio], label=label, window_s=window_s, n_threads=1)


def told_scene(preset):
    """Sources by name, 30 s long, and the settings that tell of them."""
    rng = np.random.default_rng(5)
    if preset == "score":
        score = scenes_score.piece(DURATION)
        sources = {
            track.name: scenes_score.play(
                track, SR, DURATION, amplitudes=scenes_score.TIMBRES[track.name]
            )
            for track in score.tracks
        }
        return sources, MethodSettings(score=score, n_threads=1)
    window_s = load_preset(preset).window_s
    noise = 0.02 * rng.standard_normal(int(DURATION * SR)).astype(np.float32)
    tones = scenes_score.play(
        scenes_score.piece(DURATION).tracks[2],
        SR,
        DURATION,
        amplitudes=scenes_score.TIMBRES["string"],
    )
    names = ("noise", "speech") if preset == "speech" else ("hiss", "string")
    examples = (dictionary(noise[: 4 * SR], names[0], window_s),)
    if preset == "by-example":
        examples += (dictionary(tones[: 8 * SR], names[1], window_s),)
    settings = MethodSettings(examples=examples, quality="fast", n_threads=1)
    return {names[1]: tones, names[0]: noise}, settings


PRESETS = ("by-example", "score", "speech")
_made = {}


def made(preset):
    """The scene of a preset taken apart both ways; made once, never changed."""
    if preset not in _made:
        sources, settings = told_scene(preset)
        samples = np.sum(list(sources.values()), axis=0, dtype=np.float32)[np.newaxis]
        learnt = learnt_of(samples, preset, settings)
        chunked, models = in_chunks(samples, preset, settings, learnt=learnt)
        whole, _ = stems_of(samples, preset, settings)
        _made[preset] = samples, sources, settings, learnt, whole, chunked, models
    return _made[preset]


def test_all_of_them_learn():
    assert "by-example" in LEARNERS
    assert {"score", "speech"} <= set(LISTENERS)
    assert load_listener("stems") is None


@pytest.mark.parametrize("preset", some_slow(PRESETS, "by-example"))
def test_chunks_have_the_same_stems_and_sum_to_the_recording(preset):
    samples, sources, _, _, whole, chunked, models = made(preset)
    assert len(models) == 3
    assert {m.names for m in models} == {tuple(whole)}
    assert set(sources) == set(whole)
    np.testing.assert_allclose(sum(chunked.values()), samples, atol=1e-5)


@pytest.mark.parametrize(
    ("preset", "least_db"), [("by-example", 20), ("score", 20), ("speech", 40)]
)
def test_chunked_is_like_whole(preset, least_db):
    _, sources, _, _, whole, chunked, _ = made(preset)
    for name in whole:
        assert si_sdr(chunked[name][0], whole[name][0]) > least_db
        reached = si_sdr(chunked[name][0], sources[name])
        assert reached > si_sdr(whole[name][0], sources[name]) - 0.5


@pytest.mark.parametrize("preset", PRESETS)
def test_no_click_where_chunks_meet(preset):
    samples, _, _, _, whole, chunked, _ = made(preset)
    bounds = [chunk.start for chunk in layout(samples, preset)[1][1:]]
    near = np.zeros(samples.shape[1], dtype=bool)
    for bound in bounds:
        near[bound - SR : bound + SR] = True
    for name in whole:
        away = chunked[name][0] - whole[name][0]
        # Steps of what differs: a click would be a step at the bound.
        steps = np.abs(np.diff(away))
        assert steps[near[1:]].max() < 2.0 * steps[~near[1:]].max() + 1e-4
        assert np.square(away[near]).mean() < 3.0 * np.square(away[~near]).mean() + 1e-10


@pytest.mark.parametrize("preset", ["score", "speech"])
def test_the_same_bytes_again(preset):
    samples, _, settings, _, _, chunked, _ = made(preset)
    again, _ = in_chunks(samples, preset, settings)
    for name, stem in chunked.items():
        assert stem.tobytes() == again[name].tobytes()


@pytest.mark.parametrize("preset", PRESETS)
def test_notes_and_warnings_come_once(preset):
    *_, learnt, _, _, models = made(preset)
    assert all(not m.notes and not m.warnings for m in models)
    assert preset == "by-example" or learnt.notes


@pytest.mark.parametrize("preset", PRESETS)
def test_silence_in_the_middle(preset):
    samples, _, settings, learnt, _, _, models = made(preset)
    chunk = layout(samples, preset)[1][1]
    quiet = np.zeros_like(samples[:, chunk.first : chunk.last])
    here = replace(settings, learnt=learnt.facts, start_s=chunk.first / SR)
    stems, model = stems_of(quiet, preset, here)
    assert model.names == models[0].names
    assert all(not stem.any() for stem in stems.values())


@pytest.mark.parametrize("preset", ["by-example", "speech"])
def test_silent_excerpts_leave_chunks_on_their_own(preset):
    samples, sources, settings, *_ = made(preset)
    learnt = learnt_of(np.zeros((1, SR), dtype=np.float32), preset, settings)
    part = slice(0, 4 * SR)
    stems, model = stems_of(samples[:, part], preset, replace(settings, learnt=learnt.facts))
    assert set(model.names) == set(sources)
    assert not model.notes
    assert not model.warnings
    for name, source in sources.items():
        mixture_db = si_sdr(samples[0, part], source[part])
        assert si_sdr(stems[name][0], source[part]) > mixture_db + 3.0


@pytest.mark.parametrize("preset", ["by-example", "speech"])
def test_facts_are_small_and_hold_no_frame_of_the_recording(preset):
    samples, _, _, learnt, *_ = made(preset)
    n_frames = transformed(samples[:, : int(CHUNK_S * SR)], preset).n_frames
    arrays = list(arrays_in(learnt.facts))
    assert sum(array.nbytes for array in arrays) < 20e6
    assert not any(n_frames in array.shape for array in arrays)


def arrays_in(value):
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, tuple | list):
        for one in value:
            yield from arrays_in(one)
    elif hasattr(value, "__dict__"):
        yield from arrays_in(list(vars(value).values()))


def test_levels_are_those_of_the_recording_not_of_the_chunk():
    """Speech: a chunk of nothing but noise is noise, however loud its chunk makes it look."""
    _, sources, settings, learnt, *_ = made("speech")
    noise = sources["noise"][np.newaxis, : 8 * SR]
    stems, _ = stems_of(noise, "speech", replace(settings, learnt=learnt.facts))
    assert np.square(stems["speech"]).mean() < 0.1 * np.square(noise).mean()


def test_what_is_longer_than_a_listener_hears_is_heard_in_excerpts():
    """From all over it, and no frame that reaches beyond an excerpt."""
    sr, hears_s = 1000, 60.0
    run = Chunked(
        tape=Audio(samples=np.ones((1, 400 * sr), dtype=np.float32), sr=sr),
        method="speech",
        settings=MethodSettings(),
        window_s=0.064,
        exponent=1.0,
        chunk_s=20.0,
    )
    spans = run.spans_heard(hears_s)
    assert [last - first for first, last, _ in spans] == [10 * sr] * 6
    assert spans[0][0] < 0.15 * 400 * sr
    assert spans[-1][1] > 0.85 * 400 * sr
    first, last, own = spans[2]
    heard = stft(run.tape.part(first, last), window_s=0.064).magnitude()[:, own]
    whole = stft(run.tape, window_s=0.064).magnitude()[:, 1000]
    np.testing.assert_allclose(heard, whole[:, np.newaxis] * np.ones(heard.shape[1]), rtol=1e-5)
    # What is no longer is heard chunk by chunk, each frame once.
    n_frames = stft(run.tape, window_s=0.064).n_frames
    own_frames = [
        stft(run.tape.part(first, last), window_s=0.064).values[..., own].shape[-1]
        for first, last, own in run.spans_heard(math.inf)
    ]
    assert len(own_frames) == len(run.chunks)
    assert sum(own_frames) == n_frames


# -- a score


def test_parts_are_heard_as_the_whole():
    samples, _, settings, *_ = made("score")
    heard = parts_heard(load_listener("score"), samples, "score", settings)
    S = transformed(samples, "score")
    V = S.magnitude()
    whole = part_of(S, V, slice(None), 0.0, None)
    levels = np.concatenate([part.levels.astype(float) * part.largest for part in heard])
    expected = whole.levels.astype(float) * whole.largest
    assert levels.shape == expected.shape
    # Chunks begin and end with silence around them: only their outermost frames differ.
    np.testing.assert_allclose(levels, expected, atol=2e-3 * expected.max())
    assert sum(part.levels.nbytes for part in heard) * 3600 / DURATION < 20e6


def test_a_score_aligned_in_parts_is_where_the_whole_puts_it():
    samples, _, settings, *_ = made("score")
    S = transformed(samples, "score")
    notes = [n for track in settings.score.tracks for n in track.notes]
    rows = [n.start_s for n in notes], [n.end_s for n in notes], [n.pitch for n in notes]
    whole = align_notes(S, S.magnitude(), *rows)
    heard = parts_heard(load_listener("score"), samples, "score", settings)
    parts = align_parts(heard, DURATION, *rows)
    assert parts.tuning_hz == pytest.approx(whole.tuning_hz, abs=0.2)
    np.testing.assert_allclose(parts.at(rows[0]), whole.at(rows[0]), atol=0.06)


def test_a_score_aligned_with_hours():
    """Pictures of parts as an hour and a half would give them, 3 % slower and 20 s later."""
    rng = np.random.default_rng(1)
    S = transformed(np.zeros((1, SR), dtype=np.float32), "score")
    empty = part_of(S, S.magnitude(), slice(None), 0.0, None)
    bands, duration = empty.bands, 5400.0
    starts = np.arange(0.0, 5200.0, 0.5)
    pitches = 55 + np.cumsum(rng.integers(-2, 3, starts.size)) % 24
    played = 20.0 + 1.03 * starts
    levels = np.full((round(duration / bands.step_s), len(bands.pooling)), 0.01, dtype=np.float32)
    kinds, kind = np.unique(pitches, return_inverse=True)
    spectra = bands.of_pitches(kinds)
    for at, which in zip(played, kind, strict=True):
        levels[round(at / bands.step_s) : round((at + 0.45) / bands.step_s)] += spectra[which]
    parts = [
        replace(empty, levels=part.astype(np.float16), largest=1.0, peaks=1.0)
        for part in np.array_split(levels, 54)
    ]
    found = align_parts(parts, duration, starts, starts + 0.4, pitches)
    here = played < duration
    away = np.abs(found.at(starts) - played)[here]
    assert np.percentile(away, 95) < 0.25
    assert away.max() < 0.4
    assert found.likeness > 0.5


def test_a_track_that_rests_in_a_chunk_is_silent_there():
    samples, _, settings, *_ = made("score")
    flute, *others = settings.score.tracks
    early = replace(flute, notes=tuple(n for n in flute.notes if n.end_s < 10.0))
    resting = replace(settings, score=Score(tracks=(early, *others)))
    learnt = learnt_of(samples, "score", resting)
    chunk = layout(samples, "score")[1][2]
    here = replace(resting, learnt=learnt.facts, start_s=chunk.first / SR)
    stems, model = stems_of(samples[:, chunk.first : chunk.last], "score", here)
    assert model.names == tuple(t.name for t in settings.score.tracks)
    assert np.square(stems["flute"]).mean() < 1e-3 * np.square(samples).mean()
    assert not learnt.warnings


def test_a_chunk_without_a_note_is_shared_out():
    samples, _, settings, *_ = made("score")
    tracks = tuple(
        replace(t, notes=tuple(n for n in t.notes if n.end_s < 10.0)) for t in settings.score.tracks
    )
    noted = replace(settings, score=Score(tracks=tracks))
    facts = learnt_of(samples, "score", noted).facts
    here = replace(noted, learnt=facts, start_s=18.0)
    stems, _ = stems_of(samples[:, 18 * SR :], "score", here)
    np.testing.assert_allclose(sum(stems.values()), samples[:, 18 * SR :], atol=1e-5)
    assert all(np.isfinite(stem).all() for stem in stems.values())


def test_a_score_that_cannot_be_used_is_refused_before_any_work():
    listener = load_listener("score")
    track = Track(name="flute", notes=())
    settings = MethodSettings(score=Score(tracks=(track,)))
    with pytest.raises(RefusedError, match="too long to align"):
        listener.check(LONGEST_S + 1.0, settings)
    with pytest.raises(UsageError, match="needs a score"):
        listener.check(10.0, MethodSettings())
    with pytest.raises(ParameterError, match="choose another name"):
        listener.check(10.0, replace(settings, rest="flute"))
    listener.check(LONGEST_S, settings)


def test_a_score_of_something_else_is_refused():
    samples, _, settings, *_ = made("score")
    nothing = replace(settings, score=Score(tracks=(Track(name="flute", notes=()),)))
    with pytest.raises(InputError, match="nothing of the score lies within"):
        learnt_of(samples, "score", nothing)
