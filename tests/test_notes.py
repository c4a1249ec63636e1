from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiosep.notes import SHORTEST_NOTE_S, _steady, notes_of
from audiosep.types import Melody

FRAME_S = 0.01


def melody(*parts):
    """Stretches of (seconds, Hz); 0 Hz is silence."""
    f0 = np.concatenate([np.full(round(s / FRAME_S), float(hz)) for s, hz in parts])
    return Melody(
        times_s=np.arange(f0.size) * FRAME_S, f0_hz=f0, strengths=np.where(f0 > 0, 0.5, 0.0)
    )


def test_held_notes_keep_their_pitch_and_their_times():
    found = notes_of(melody((0.5, 0), (0.5, 440.0), (0.3, 0), (0.4, 261.63)))
    assert [note.pitch for note in found] == [69, 60]
    assert [note.strength for note in found] == [0.5, 0.5]
    assert found[0].start_s == pytest.approx(0.5, abs=FRAME_S)
    assert found[0].end_s == pytest.approx(1.0, abs=FRAME_S)
    assert found[1].start_s == pytest.approx(1.3, abs=FRAME_S)
    assert found[1].end_s == pytest.approx(1.7, abs=FRAME_S)


def test_a_step_without_a_pause_makes_two_notes():
    found = notes_of(melody((0.5, 440.0), (0.5, 493.88)))
    assert [note.pitch for note in found] == [69, 71]
    assert found[0].end_s == pytest.approx(found[1].start_s)


def test_a_vibrato_is_one_note():
    t = np.arange(100) * FRAME_S
    f0 = 440.0 * 2 ** (0.7 / 12 * np.sin(2 * np.pi * 6 * t))
    found = notes_of(Melody(times_s=t, f0_hz=f0, strengths=np.ones(100)))
    assert [note.pitch for note in found] == [69]


def test_blips_are_no_notes():
    assert notes_of(melody((0.2, 0), (0.03, 440.0), (0.2, 0))) == ()
    assert notes_of(melody((1.0, 0))) == ()
    assert notes_of(melody((0.01, 440.0))) == ()


def test_pitches_that_midi_has_not_are_moved_into_its_range():
    assert [note.pitch for note in notes_of(melody((0.5, 1.0), (0.5, 0), (0.5, 90000.0)))] == [
        0,
        127,
    ]


def naive_steady(pitches, shortest):
    """Find all stretches anew after each one that is given away."""
    pitches = np.array(pitches)
    while True:
        edges = [0, *(np.flatnonzero(np.diff(pitches)) + 1), len(pitches)]
        runs = list(pairwise(edges))
        short = [i for i, (a, b) in enumerate(runs) if b - a < shortest]
        if not short or len(runs) == 1:
            return runs
        index = min(short, key=lambda i: runs[i][1] - runs[i][0])
        near = [i for i in (index - 1, index + 1) if 0 <= i < len(runs)]
        longest = max(near, key=lambda i: runs[i][1] - runs[i][0])
        first, last = runs[index]
        pitches[first:last] = pitches[runs[longest][0]]


@given(st.lists(st.integers(60, 63), min_size=1, max_size=60), st.integers(1, 7))
def test_stretches_are_those_found_anew_each_time(pitches, shortest):
    assert _steady(np.array(pitches), shortest) == naive_steady(pitches, shortest)


def test_an_hour_without_a_pause_is_cut_into_as_many_notes_as_its_parts():
    rng = np.random.default_rng(0)
    parts = [np.repeat(rng.integers(50, 70, 40), rng.integers(1, 12, 40)) for _ in range(800)]
    # Long notes between the parts, on pitches of their own, keep them apart.
    held = [np.full(50, 30 + index % 2) for index in range(800)]
    apart = sum(len(_steady(np.concatenate(both), 8)) for both in zip(held, parts, strict=True))
    whole = np.concatenate([piece for both in zip(held, parts, strict=True) for piece in both])
    assert abs(len(_steady(whole, 8)) - apart) < 0.05 * apart


@given(st.lists(st.one_of(st.just(0.0), st.floats(20.0, 5000.0)), min_size=0, max_size=120))
def test_notes_are_in_order_long_enough_and_where_there_is_voice(f0):
    f0 = np.array(f0, dtype=float)
    times = np.arange(f0.size) * FRAME_S
    found = notes_of(Melody(times_s=times, f0_hz=f0, strengths=np.ones(f0.size)))
    for note in found:
        assert note.end_s - note.start_s >= SHORTEST_NOTE_S - FRAME_S
        inside = (times > note.start_s) & (times < note.end_s)
        assert (f0[inside] > 0).all()
        assert 0 <= note.pitch <= 127
    for before, after in pairwise(found):
        assert before.end_s <= after.start_s + 1e-9
