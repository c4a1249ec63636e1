"""Scores that begin elsewhere, are slower, or wander: where their notes are found."""

import numpy as np
import pytest
from scenes import mixture
from scenes_score import changed, jittered, piece, stems_of

from audiosep.alignment import Alignment, _best_path, align_notes
from audiosep.transform import stft
from audiosep.tuning import tuning_of
from audiosep.types import Audio

SR = 11025
DURATION = 12.0
SCORE = piece(DURATION)


def spectrogram_of(stems, sr=SR):
    return stft(Audio(samples=mixture(stems), sr=sr))


SPECTROGRAM = spectrogram_of(stems_of(SCORE, SR, DURATION))


def rows(score):
    notes = [note for track in score.tracks for note in track.notes]
    return (
        np.array([note.start_s for note in notes]),
        np.array([note.end_s for note in notes]),
        np.array([note.pitch for note in notes]),
    )


def aligned(score, spectrogram=SPECTROGRAM):
    return align_notes(spectrogram, spectrogram.magnitude(), *rows(score))


def wander(spans, _rng):
    return spans + 0.03 * DURATION / (2 * np.pi) * (1 - np.cos(2 * np.pi * spans / DURATION))


@pytest.mark.parametrize(
    "change",
    [
        lambda spans, _: spans,
        lambda spans, _: spans + 0.5,
        lambda spans, _: spans - 0.5,
        lambda spans, _: spans + 2.0,
        lambda spans, _: spans + 30.0,
        lambda spans, _: 1.03 * spans,
        lambda spans, _: 0.97 * spans + 0.5,
        lambda spans, _: 1.15 * spans,
        wander,
    ],
    ids=["exact", "later", "earlier", "2 s", "30 s", "slow", "fast", "very slow", "wandering"],
)
def test_notes_are_found_where_they_sound(change):
    found = aligned(changed(SCORE, change))
    error = found.at(rows(changed(SCORE, change))[0]) - rows(SCORE)[0]
    assert np.abs(error).max() < 0.15
    assert found.likeness > 0.4


def test_notes_that_are_early_or_late_do_not_move_the_others():
    found = aligned(jittered(SCORE, 0.3))
    error = found.at(rows(SCORE)[0]) - rows(SCORE)[0]
    assert np.abs(error).max() < 0.35
    assert np.abs(error).mean() < 0.15


def test_a_score_of_a_part_is_put_where_it_sounds():
    starts, ends, pitches = rows(SCORE)
    part = (starts > 5.0) & (starts < 10.0)
    found = align_notes(
        SPECTROGRAM, SPECTROGRAM.magnitude(), starts[part] - 5.0, ends[part] - 5.0, pitches[part]
    )
    assert np.abs(found.at(starts[part] - 5.0) - starts[part]).max() < 0.2


def test_a_score_of_more_than_the_recording_is_put_where_it_sounds():
    long = piece(30.0)
    stems = {name: samples[10 * SR : 20 * SR] for name, samples in stems_of(long, SR, 30.0).items()}
    found = aligned(long, spectrogram_of(stems))
    starts = rows(long)[0]
    inside = (starts > 10.0) & (starts < 20.0)
    assert np.abs(found.at(starts[inside]) - (starts[inside] - 10.0)).max() < 0.2


def test_long_recordings_may_be_far_from_one_tempo():
    duration = 200.0
    long = piece(duration)

    def change(spans, _rng):  # the first half 2 % slower, the second faster: up to 2.5 s away
        return spans + 2.5 * (1 - np.abs(spans / (duration / 2) - 1))

    found = aligned(changed(long, change), spectrogram_of(stems_of(long, SR, duration)))
    error = found.at(rows(changed(long, change))[0]) - rows(long)[0]
    assert np.percentile(np.abs(error), 95) < 0.2


def test_another_piece_is_unlike():
    starts, ends, pitches = rows(SCORE)
    other = np.random.default_rng(3).permutation(pitches) + 1
    found = align_notes(SPECTROGRAM, SPECTROGRAM.magnitude(), starts, ends, other)
    assert found.likeness < 0.6 * aligned(SCORE).likeness


@pytest.mark.parametrize("tuning_hz", [430.0, 440.0, 452.0])
def test_the_tuning_is_found(tuning_hz):
    spectrogram = spectrogram_of(stems_of(SCORE, SR, DURATION, tuning_hz=tuning_hz))
    assert tuning_of(spectrogram, spectrogram.magnitude()) == pytest.approx(tuning_hz, abs=2.0)
    assert aligned(SCORE, spectrogram).tuning_hz == pytest.approx(tuning_hz, abs=2.0)


@pytest.mark.parametrize("sr", [100, 8000, 96000])
@pytest.mark.parametrize("sound", ["silence", "noise", "dc", "one sample"])
def test_anything_gives_an_alignment(sr, sound, rng):
    n = {"one sample": 1}.get(sound, 2 * sr)
    samples = {
        "noise": rng.standard_normal(n),
        "dc": np.ones(n),
    }.get(sound, np.zeros(n)).astype(np.float32)
    spectrogram = spectrogram_of({"it": samples}, sr)
    found = aligned(SCORE, spectrogram)
    assert 380.0 < found.tuning_hz < 510.0
    times = found.at(np.linspace(-5.0, 50.0, 100))
    assert np.isfinite(times).all()
    assert np.diff(times).min() >= -1e-9
    assert -1.0 <= found.likeness <= 1.0


@pytest.mark.parametrize("shift", [-2, -1, 1, 2])
def test_another_pitch_is_another_tuning(shift):
    starts, ends, pitches = rows(SCORE)
    found = align_notes(SPECTROGRAM, SPECTROGRAM.magnitude(), starts, ends, pitches + shift)
    assert found.tuning_hz == pytest.approx(440.0 * 2 ** (-shift / 12), rel=0.005)
    assert np.abs(found.at(starts) - starts).max() < 0.15


def test_no_notes_leave_the_score_as_it_is():
    found = align_notes(SPECTROGRAM, SPECTROGRAM.magnitude(), [], [], [])
    assert found.at([0.0, 7.5]).tolist() == [0.0, 7.5]
    assert found.likeness == 0.0


def test_one_note_is_enough_for_an_alignment():
    found = align_notes(SPECTROGRAM, SPECTROGRAM.magnitude(), [1.0], [1.001], [76])
    assert np.isfinite(found.at([0.0, 1.0, 2.0])).all()


def test_notes_too_high_for_the_recording_do_no_harm():
    starts, ends, pitches = rows(SCORE)
    found = align_notes(
        SPECTROGRAM,
        SPECTROGRAM.magnitude(),
        np.r_[starts, starts],
        np.r_[ends, ends],
        np.r_[pitches, np.full(pitches.size, 127)],
    )
    assert np.abs(found.at(starts) - starts).max() < 0.15


def test_beyond_its_ends_a_map_goes_on_at_its_tempo():
    it = Alignment(
        score_s=np.array([1.0, 2.0, 3.0]),
        recording_s=np.array([2.0, 4.0, 6.0]),
        tuning_hz=440.0,
        likeness=1.0,
    )
    assert it.at([0.0, 1.5, 4.0]) == pytest.approx([0.0, 3.0, 8.0])
    assert it.tempo == pytest.approx(2.0)
    assert it.offset_s == pytest.approx(2.0)


def test_the_path_is_the_best_of_all(rng):
    local = rng.standard_normal((7, 4))
    cost = 0.3

    def paths(row, column):
        if row == 6:
            return [(local[row, column], [column])]
        found = []
        for step in (-1, 0, 1):
            if 0 <= column + step < 4:
                found += [
                    (local[row, column] - cost * abs(step) + value, [column, *rest])
                    for value, rest in paths(row + 1, column + step)
                ]
        return found

    _, best = max(max(paths(0, column)) for column in range(4))
    assert _best_path(local, cost).tolist() == best
