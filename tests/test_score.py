"""Stems by score, on pieces whose stems are known, with scores that are right and that are not."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from scenes import hits, mixture
from scenes_score import TIMBRES, changed, jittered, piece, play, stems_of

from audiosep.errors import ParameterError, RefusedError, UsageError
from audiosep.evaluation import si_sdr
from audiosep.methods.base import MethodSettings
from audiosep.methods.score import model_score
from audiosep.notes import Note
from audiosep.presets import load_preset
from audiosep.render import Analysis, render
from audiosep.scores import Score, Track
from audiosep.transform import stft
from audiosep.types import Audio, SourceModels, Stop, ignore_progress

SR = 11025
DURATION = 4.0
SCORE = piece(DURATION)
STEMS = stems_of(SCORE, SR, DURATION)
PRESET = load_preset("score")


def separated(samples, score, sr=SR, **settings):
    """Stems as the pipeline makes them, and the models behind them."""
    audio = Audio(samples=np.atleast_2d(samples).astype(np.float32), sr=sr)
    spectrogram = stft(audio, window_s=PRESET.window_s)
    models = model_score(
        spectrogram, MethodSettings(score=score, n_threads=1, **settings), ignore_progress
    )
    stems = render(
        audio, models, Analysis.of(spectrogram), PRESET.mask_exponent, 1, ignore_progress
    )
    return {name: stem.samples for name, stem in stems.items()}, models


def quality(stems, score, **settings):
    """Mean SI-SDR in dB, over the sources."""
    found, _ = separated(mixture(stems), score, **settings)
    return np.mean([si_sdr(samples[np.newaxis], found[name]) for name, samples in stems.items()])


def nothing(stems):
    return np.mean([si_sdr(samples[np.newaxis], mixture(stems)) for samples in stems.values()])


def oracle(stems):
    """The same with the shares that the true magnitudes give."""
    audios = [Audio(samples=samples[np.newaxis], sr=SR) for samples in stems.values()]
    audio = Audio(samples=mixture(stems), sr=SR)
    spectrogram = stft(audio, window_s=PRESET.window_s)
    true = [stft(one, window_s=PRESET.window_s).magnitude() for one in audios]
    models = SourceModels(models=np.array(true)[:, np.newaxis], names=tuple(stems))
    found = render(audio, models, Analysis.of(spectrogram), 1.0, 1, ignore_progress)
    return np.mean([si_sdr(samples[np.newaxis], found[n].samples) for n, samples in stems.items()])


EXACT = quality(STEMS, SCORE)


def test_an_exact_score_is_near_the_oracle():
    assert EXACT > 7.5  # 8.6
    assert EXACT - nothing(STEMS) > 11.0  # 12.2
    assert oracle(STEMS) - EXACT < 3.0  # 1.9


@pytest.mark.parametrize(
    ("change", "loss"),
    [
        (lambda spans, _: spans + 0.5, 0.5),
        (lambda spans, _: spans + 2.0, 0.5),
        (lambda spans, _: 1.03 * spans, 0.5),
        (lambda spans, rng: spans + rng.normal(0.0, 0.3, (len(spans), 1)), 0.5),
    ],
    ids=["half a second", "two seconds", "three per cent", "jitter"],
)
def test_a_score_that_is_out_of_time_loses_little(change, loss):
    assert quality(STEMS, changed(SCORE, change)) > EXACT - loss


def test_other_tunings_are_found():
    stems = stems_of(SCORE, SR, DURATION, tuning_hz=450.0)
    assert quality(stems, SCORE) > EXACT


def test_a_transposed_score_is_heard_to_be():
    up = Score(
        tracks=tuple(
            replace(track, notes=tuple(replace(note, pitch=note.pitch + 1) for note in track.notes))
            for track in SCORE.tracks
        )
    )
    assert quality(STEMS, up) > EXACT - 0.5


def test_unisons_are_told_apart_by_their_partials():
    # The reed doubles the flute note by note, but has played other notes before.
    line = [
        Note(start_s=0.5 * i, end_s=0.5 * i + 0.45, pitch=p, strength=1)
        for i, p in enumerate((60, 64, 67, 65, 72, 74, 76, 77))
    ]
    score = Score(
        tracks=(Track(name="reed", notes=tuple(line)), Track(name="flute", notes=tuple(line[4:])))
    )
    stems = stems_of(score, SR, DURATION)
    assert quality(stems, score) - nothing(stems) > 5.0


def test_models_sum_to_the_mixture_and_name_the_tracks():
    stems, models = separated(mixture(STEMS), SCORE)
    assert models.names == tuple(stems) == ("flute", "reed", "string")
    total = np.sum(list(stems.values()), axis=0)
    assert np.abs(total - mixture(STEMS)).max() < 1e-6


def test_components_are_instruments_at_pitches():
    _, models = separated(mixture(STEMS), SCORE)
    n = sum(len({note.pitch for note in track.notes}) for track in SCORE.tracks)
    assert models.factorization.n_components == n
    assert models.grouping.weights.sum(axis=1).tolist() == [1.0] * n
    assert models.grouping.weights.sum(axis=0).tolist() == [
        len({note.pitch for note in track.notes}) for track in SCORE.tracks
    ]
    assert np.allclose(models.factorization.templates.sum(axis=0), 1.0, atol=1e-4)
    assert models.stop is Stop.MAX_ITER
    assert np.diff(models.losses).max() <= 1e-6 * models.losses[0]
    rough = models.factorization.model()
    V = stft(Audio(samples=mixture(STEMS), sr=SR), window_s=PRESET.window_s).magnitude()
    assert np.abs(rough - V).sum() < 0.5 * V.sum()


def test_notes_tell_the_alignment():
    late = changed(SCORE, lambda spans, _: spans - 1.0)
    _, models = separated(mixture(STEMS), late)
    assert "aligned: the recording is 1.0" in models.notes[0]
    assert "A at 440" in models.notes[0] or "A at 439" in models.notes[0]


def test_a_score_of_another_piece_is_said_to_be():
    rng = np.random.default_rng(5)
    samples = 0.1 * rng.standard_normal((1, 4 * SR))
    stems, models = separated(samples, SCORE)
    assert any("hardly fits" in words for words in models.warnings)
    assert np.abs(np.sum(list(stems.values()), axis=0) - samples).max() < 1e-5


def test_a_track_without_notes_is_silent_or_nearly():
    score = Score(tracks=(*SCORE.tracks, Track(name="tuba", notes=())))
    stems, models = separated(mixture(STEMS), score)
    assert np.square(stems["tuba"]).mean() < 1e-6 * np.square(mixture(STEMS)).mean()
    assert any("Nothing of tuba lies within" in words for words in models.warnings)
    assert models.grouping.confidence.tolist() == [1.0, 1.0, 1.0, 0.0]


def test_nothing_is_lost_where_the_score_is_silent():
    # Only the first half is written; the second still belongs to someone.
    half = Score(
        tracks=tuple(
            Track(name=track.name, notes=tuple(n for n in track.notes if n.end_s < DURATION / 2))
            for track in SCORE.tracks
        )
    )
    stems, _ = separated(mixture(STEMS), half)
    total = np.sum(list(stems.values()), axis=0)
    assert np.abs(total - mixture(STEMS)).max() < 1e-6
    first = slice(0, int(1.5 * SR))
    for name, samples in STEMS.items():
        assert si_sdr(samples[np.newaxis, first], stems[name][:, first]) > 8.0


def test_a_longer_score_does_no_harm():
    longer = piece(3 * DURATION)
    assert quality(STEMS, longer) > EXACT - 1.0


def test_what_is_not_in_the_score_goes_to_the_rest():
    clicks = 0.3 * hits(SR, DURATION, 0.31, start=0.1, decay=120.0, seed=3).astype(np.float32)
    stems = {**STEMS, "clicks": clicks}
    with_rest, models = separated(mixture(stems), SCORE, rest="clicks")
    assert models.names[-1] == "clicks"
    without, _ = separated(mixture(stems), SCORE)
    gains = [
        si_sdr(samples[np.newaxis], with_rest[name]) - si_sdr(samples[np.newaxis], without[name])
        for name, samples in STEMS.items()
    ]
    assert np.mean(gains) > 1.5  # 2.7
    assert si_sdr(clicks[np.newaxis], with_rest["clicks"]) > 8.4  # 9.4


def test_noise_is_kept_out_of_the_tones(rng):
    noise = 0.02 * rng.standard_normal(mixture(STEMS).shape[1]).astype(np.float32)
    found, models = separated(mixture({**STEMS, "noise": noise}), SCORE)
    assert models.names == tuple(STEMS)
    got = [si_sdr(samples[np.newaxis], found[name]) for name, samples in STEMS.items()]
    assert np.mean(got) > 6.6  # 7.6
    n = sum(len({note.pitch for note in track.notes}) for track in SCORE.tracks)
    assert models.factorization.n_components == models.grouping.weights.shape[0] == n


def test_the_rest_may_not_be_called_like_a_track():
    with pytest.raises(ParameterError, match="has a track 'Flute'"):
        separated(mixture(STEMS), SCORE, rest="Flute")


def test_drums_are_fitted_where_they_are_struck():
    every = 0.5
    clicks = 0.5 * hits(SR, DURATION, every, start=0.25, decay=60.0, seed=3).astype(np.float32)
    strokes = tuple(
        Note(start_s=float(t), end_s=float(t) + 0.05, pitch=38, strength=1)
        for t in np.arange(0.25, DURATION, every)
    )
    drums = Track(name="drums", notes=strokes, percussive=True)
    stems = {**STEMS, "drums": clicks}
    found, _ = separated(mixture(stems), Score(tracks=(*SCORE.tracks, drums)))
    assert si_sdr(clicks[np.newaxis], found["drums"]) > 6.0


def test_regions_say_when_something_sounds():
    rng = np.random.default_rng(2)
    bark = np.zeros(round(SR * DURATION), dtype=np.float32)
    for start in (0.6, 2.4):
        at = slice(int(start * SR), int((start + 0.6) * SR))
        bark[at] = 0.3 * rng.standard_normal(at.stop - at.start)
    dog = Track(name="dog", notes=(), regions=((0.6, 1.2), (2.4, 3.0)))
    stems = {**STEMS, "dog": bark}
    found, _ = separated(mixture(stems), Score(tracks=(*SCORE.tracks, dog)))
    assert si_sdr(bark[np.newaxis], found["dog"]) > 6.0
    outside = np.ones(bark.size, dtype=bool)
    for start in (0.6, 2.4):
        outside[int((start - 0.4) * SR) : int((start + 1.0) * SR)] = False
    assert np.square(found["dog"][0, outside]).mean() < 1e-4 * np.square(bark).mean()


def test_a_score_of_too_much_is_refused():
    every = tuple(Note(start_s=0.0, end_s=1.0, pitch=p, strength=1) for p in range(20, 90))
    tracks = tuple(Track(name=f"t{i}", notes=every) for i in range(64))
    with pytest.raises(RefusedError, match="4480 pitches of all tracks"):
        separated(mixture(STEMS), Score(tracks=tracks))


def test_a_score_is_needed():
    with pytest.raises(UsageError, match="give --score FILE"):
        separated(mixture(STEMS), None)


def test_the_same_bytes_every_time():
    first, _ = separated(mixture(STEMS), SCORE, rest="rest", seed=4)
    second, _ = separated(mixture(STEMS), SCORE, rest="rest", seed=4)
    assert all((first[name] == second[name]).all() for name in first)


def test_levels_do_not_matter():
    plain, _ = separated(mixture(STEMS), SCORE, max_iter=10)
    for gain in (1e-12, 1e12):
        loud, models = separated(gain * mixture(STEMS).astype(np.float64), SCORE, max_iter=10)
        assert np.isfinite(models.losses).all()
        for name in plain:
            assert np.allclose(loud[name] / gain, plain[name], atol=1e-3)


def test_channels_are_kept():
    both = np.concatenate([mixture(STEMS), -0.5 * mixture(STEMS), 0 * mixture(STEMS)])
    stems, _ = separated(both, SCORE, max_iter=10)
    mono, _ = separated(mixture(STEMS), SCORE, max_iter=10)
    for name in stems:
        assert stems[name].shape == both.shape
        # The dead channel moves the alignment a little, nothing else.
        assert si_sdr(mono[name], stems[name][:1]) > 25.0
        assert np.allclose(stems[name][1], -0.5 * stems[name][0], atol=1e-6)
        assert not stems[name][2].any()


def test_places_help_to_tell_instruments_apart():
    places = {"flute": (0.9, 0.3), "reed": (0.3, 0.9), "string": (0.7, 0.7)}
    stems = {name: np.outer(places[name], STEMS[name]).astype(np.float32) for name in STEMS}
    found, models = separated(np.sum(list(stems.values()), axis=0), SCORE)
    assert np.mean([si_sdr(stems[name], found[name]) for name in stems]) > EXACT + 0.8  # 1.4
    assert models.shape[1] == 2


@pytest.mark.parametrize("sr", [100, 8000, 96000])
@pytest.mark.parametrize("sound", ["silence", "noise", "dc", "one sample", "click"])
def test_hostile_recordings_give_stems_without_a_warning(sr, sound, rng):
    n = {"one sample": 1}.get(sound, sr)
    samples = {
        "noise": rng.standard_normal(n),
        "dc": np.ones(n),
        "click": np.eye(1, n, n // 2)[0],
    }.get(sound, np.zeros(n))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stems, models = separated(samples, SCORE, sr, max_iter=6, rest="rest")
    total = np.sum(list(stems.values()), axis=0)
    assert np.abs(total - samples.astype(np.float32)).max() < 1e-5
    assert tuple(stems) == ("flute", "reed", "string", "rest")
    assert (models.stop is Stop.SILENT) == (not samples.any())


def test_long_recordings_are_learnt_from_in_part(monkeypatch):
    from audiosep.methods import _score_blocks

    duration = 16.0
    score = piece(duration)
    stems = stems_of(score, SR, duration)
    whole = quality(stems, score)
    monkeypatch.setattr(_score_blocks, "_BLOCK_FRAMES", 32)
    monkeypatch.setattr(_score_blocks, "_MOST_FRAMES", 256)
    assert quality(stems, score) > whole - 1.0


def test_jitter_is_heard_through_in_a_longer_piece():
    duration = 12.0
    score = piece(duration)
    stems = stems_of(score, SR, duration)
    assert quality(stems, jittered(score)) > quality(stems, score) - 0.5


def test_a_vibrato_stays_with_its_note():
    t = np.arange(round(SR * DURATION)) / SR
    notes = (Note(start_s=0.2, end_s=3.8, pitch=69, strength=1),)
    phase = 2 * np.pi * 440 * t - 1.5 * np.cos(2 * np.pi * 5.5 * t)
    voice = sum(a * np.sin(n * phase) for n, a in enumerate((1, 0.6, 0.4, 0.3), start=1))
    voice = (0.1 * voice * ((t > 0.2) & (t < 3.8))).astype(np.float32)
    score = Score(tracks=(Track(name="voice", notes=notes), SCORE.tracks[2]))
    stems = {
        "voice": voice,
        "string": play(SCORE.tracks[2], SR, DURATION, amplitudes=TIMBRES["string"]),
    }
    assert quality(stems, score) > 10.5  # 11.5
