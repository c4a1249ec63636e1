import csv
import tracemalloc

import mido
import numpy as np
import pytest

from audiosep.errors import OutputError, ParameterError
from audiosep.io.evidence import write_drum_midi, write_melody, write_midi, write_onsets
from audiosep.types import Melody, Onsets


def onsets(*entries):
    return Onsets(
        times_s=np.array([time for time, _, _ in entries], dtype=float),
        labels=tuple(label for _, label, _ in entries),
        strengths=np.array([strength for _, _, strength in entries], dtype=float),
    )


def played(path):
    """Notes of a MIDI file as (start in seconds, number, velocity, channel), and their ends."""
    now, starts, ends = 0.0, [], []
    for message in mido.MidiFile(path):  # times in seconds, at the tempo of the file
        now += message.time
        if message.type == "note_on":
            starts.append((round(now, 3), message.note, message.velocity, message.channel))
        elif message.type == "note_off":
            ends.append((round(now, 3), message.note))
    return starts, ends


def test_onsets_become_general_midi_drums(tmp_path):
    path = tmp_path / "onsets.mid"
    heard = onsets((0.0, "kick", 1.0), (0.5, "snare", 0.5), (0.5, "hihat", 0.001), (1.25, "?", 0.1))
    write_drum_midi(path, heard)
    starts, ends = played(path)
    assert sorted(starts) == [
        (0.0, 36, 127, 9),
        (0.5, 38, 64, 9),
        (0.5, 42, 1, 9),
        (1.25, 56, 13, 9),
    ]
    assert len(ends) == len(starts)


def test_a_note_struck_again_ends_before(tmp_path):
    path = tmp_path / "roll.mid"
    write_midi(path, [(0.0, 1.0, 60, 1.0), (0.4, 0.5, 60, 0.5)])
    file = mido.MidiFile(path)
    kinds = [message.type for message in file.tracks[0] if not message.is_meta]
    assert kinds == ["note_on", "note_off", "note_on", "note_off"]
    assert played(path)[1] == [(0.4, 60), (0.5, 60)]


def test_a_note_struck_twice_at_once_sounds_once(tmp_path):
    path = tmp_path / "twice.mid"
    write_midi(path, [(0.5, 0.6, 56, 1.0), (0.5, 0.7, 56, 0.5)])
    starts, ends = played(path)
    assert len(starts) == len(ends) == 1
    assert starts[0][0] == 0.5
    assert ends[0][0] > 0.5


def test_the_same_bytes_again(tmp_path):
    heard = onsets((0.1, "kick", 0.7), (0.1, "snare", 0.7), (0.2, "kick", 1.0))
    write_drum_midi(tmp_path / "a.mid", heard)
    write_drum_midi(tmp_path / "b.mid", heard)
    assert (tmp_path / "a.mid").read_bytes() == (tmp_path / "b.mid").read_bytes()


def test_nothing_heard_is_an_empty_file_that_can_be_read(tmp_path):
    nothing = onsets()
    write_drum_midi(tmp_path / "none.mid", nothing)
    assert played(tmp_path / "none.mid") == ([], [])
    write_onsets(tmp_path / "none.csv", nothing)
    assert (tmp_path / "none.csv").read_bytes() == b"time_s,label,strength\n"


def test_tables_read_back(tmp_path):
    write_onsets(tmp_path / "o.csv", onsets((0.25, "kick", 1.0), (0.5, 'a,"b"', 0.25)))
    with (tmp_path / "o.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows == [
        {"time_s": "0.2500", "label": "kick", "strength": "1.0000"},
        {"time_s": "0.5000", "label": 'a,"b"', "strength": "0.2500"},
    ]
    voice = Melody(
        times_s=np.array([0.0, 0.01]), f0_hz=np.array([0.0, 440.0]), strengths=np.array([0.0, 1.0])
    )
    write_melody(tmp_path / "m.csv", voice)
    lines = b"time_s,f0_hz,strength\n0.0000,0.00,0.0000\n0.0100,440.00,1.0000\n"
    assert (tmp_path / "m.csv").read_bytes() == lines


def test_writing_a_long_melody_takes_no_room_of_its_size(tmp_path):
    n = 50_000
    voice = Melody(times_s=np.arange(n) / 100, f0_hz=np.full(n, 220.0), strengths=np.ones(n))
    tracemalloc.start()
    write_melody(tmp_path / "m.csv", voice)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (tmp_path / "m.csv").stat().st_size > 20 * n
    assert most < 4 * n


def test_a_folder_that_is_not_there_is_said(tmp_path):
    with pytest.raises(OutputError, match=r"cannot write x\.mid"):
        write_drum_midi(tmp_path / "no" / "x.mid", onsets())
    with pytest.raises(OutputError, match=r"cannot write x\.csv"):
        write_onsets(tmp_path / "no" / "x.csv", onsets())


@pytest.mark.parametrize(
    ("times", "labels", "strengths"),
    [
        ([0.0, 1.0], ("kick",), [1.0, 1.0]),
        ([1.0, 0.0], ("a", "b"), [1.0, 1.0]),
        ([0.0], ("a",), [2.0]),
        ([0.0], ("a",), [np.nan]),
        ([np.inf], ("a",), [1.0]),
        ([0.0], ("a",), [1.0, 1.0]),
    ],
)
def test_onsets_that_cannot_be_are_refused(times, labels, strengths):
    with pytest.raises(ParameterError):
        Onsets(times_s=np.array(times), labels=labels, strengths=np.array(strengths))


@pytest.mark.parametrize(
    ("times", "f0", "strengths"),
    [
        ([0.0, 0.0], [1.0, 1.0], [1.0, 1.0]),
        ([0.0, 1.0], [1.0], [1.0, 1.0]),
        ([0.0, 1.0], [1.0, -1.0], [1.0, 1.0]),
        ([0.0, 1.0], [1.0, np.inf], [1.0, 1.0]),
        ([0.0, 1.0], [1.0, 1.0], [1.0, 1.1]),
    ],
)
def test_melodies_that_cannot_be_are_refused(times, f0, strengths):
    with pytest.raises(ParameterError):
        Melody(times_s=np.array(times), f0_hz=np.array(f0), strengths=np.array(strengths))
