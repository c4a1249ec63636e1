"""Exports, each read back by a program that is not ours."""

from __future__ import annotations

import csv
import json
import resource
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import files
import jams
import mido
import numpy as np
import pytest
import rpp
import scenes
import soundfile as sf

import audiosep
from audiosep.cli.match import MatchOptions, match_recording
from audiosep.cli.talk import Talk
from audiosep.errors import InputError, OutputError, ParameterError, RefusedError, UsageError
from audiosep.exports.activity import merge_runs
from audiosep.exports.contents import note_name, plain, seconds
from audiosep.exports.exporting import EXPORT_FORMATS, THRESHOLD_DB, export
from audiosep.exports.stem_folder import open_stems
from audiosep.io import multitrack
from audiosep.io.evidence_tables import read_melody, read_onsets
from audiosep.io.midi_tracks import MidiTrack, write_midi_tracks
from audiosep.io.score_parts import pitch_of
from audiosep.separation import Separation
from audiosep.transform import n_frames_of
from audiosep.types import Audio, Factorization, Grouping, Melody, Onsets, Stop

# Between two packages that move on at their own pace.
pytestmark = pytest.mark.filterwarnings("ignore:Passing a schema:DeprecationWarning")

SR = 8000
N_FFT, HOP = 512, 256
HOSTILE = "a\tb\n\"c'`d\u202e<e>,;=1\x1b[31m"
RTL = "שיר \u0627\u063a\u0646\u064a\u0629"


def two_stems():
    """2.1 s: a tone of 440 Hz from 0.5 to 1.5 s on the left, and bursts of noise at the right."""
    t = np.arange(int(2.1 * SR)) / SR
    tone = 0.5 * np.sin(2 * np.pi * 440 * t) * ((t >= 0.5) & (t < 1.5))
    noise = np.random.default_rng(0).uniform(-0.3, 0.3, t.size)
    bursts = noise * (((t >= 0.2) & (t < 0.3)) | (t >= 1.9))
    low = np.stack([tone, 0.25 * tone])
    high = np.stack([0.1 * bursts, bursts])
    # Whole 16-bit numbers, so that stems in files are the same as those here.
    return {
        n: (np.rint(x * 2**15) / 2**15).astype(np.float32) for n, x in (("a", low), ("b", high))
    }


def heard(names=("tone", "bursts"), *, labels=("kick", "snare", "thing"), bits=16, stems=None):
    """A separation whose onsets, melody and components are known."""
    parts = list((two_stems() if stems is None else stems).values())
    mixture = sum(parts)
    n_frames = n_frames_of(mixture.shape[1], HOP)
    times = np.arange(n_frames) * HOP / SR
    hz = np.arange(1 + N_FFT // 2) * SR / N_FFT
    comb = sum(np.exp(-(((hz - n * 437.5) / 12) ** 2)) / n for n in range(1, 5))
    W = np.stack([comb / comb.sum(), np.full(hz.size, 1 / hz.size)], axis=1).astype(np.float32)
    H = np.stack([(times > 0.5) & (times < 1.5), times > 1.9]).astype(np.float32)
    melody_times = np.arange(210) * 0.01
    return Separation(
        stems={n: Audio(samples=x, sr=SR) for n, x in zip(names, parts, strict=True)},
        mixture=Audio(samples=mixture, sr=SR),
        factorization=Factorization(
            templates=W, activations=H, losses=np.zeros(1), n_iter=1, stop=Stop.MAX_ITER, beta=1.0
        ),
        grouping=Grouping(weights=np.eye(2, dtype=np.float32), names=names, confidence=np.ones(2)),
        record={
            "method": "components",
            "analysis": {"n_fft": N_FFT, "hop_length": HOP, "window": "hann", "mask_exponent": 1.0},
            "input": {
                "bits": bits,
                "sr": SR,
                "n_channels": len(mixture),
                "n_samples": mixture.shape[1],
            },
            "notes": [],
            "warnings": [],
            "timings_s": {},
        },
        melody=Melody(
            times_s=melody_times,
            f0_hz=np.where(melody_times < 1.0, 440.0, np.where(melody_times < 1.5, 0.0, 523.25)),
            strengths=np.full(210, 0.5),
        ),
        onsets=Onsets(
            times_s=np.array([0.25, 1.0, 2.0999]),
            labels=labels,
            strengths=np.array([1.0, 0.5, 0.25]),
        ),
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A folder in which there is everything; no test changes it."""
    place = tmp_path_factory.mktemp("studio") / "my.mix"
    heard().save(place)
    return place


@pytest.fixture
def copied(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "mix")
    return tmp_path / "mix"


def written(folder, to, out, **settings):
    """The paths of one format."""
    return export(folder, to, out, **settings).paths[to]


def labels_of(path):
    """Lines of a label track, as anyone splits them at tabs."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    assert all(len(row) == 3 for row in rows)
    return rows


def rows_of(path, delimiter=","):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


# --- what the files hold ------------------------------------------------------------------------


def test_labels(whole, tmp_path):
    tracks = {path.name: labels_of(path) for path in written(whole, "labels", tmp_path)}
    assert list(tracks) == [
        f"my.mix-{track}.txt" for track in ("onsets", "notes", "stems", "components")
    ]
    onsets, notes, stems, components = tracks.values()
    assert [(float(a), float(b), c) for a, b, c in onsets] == [
        (0.25, 0.25, "kick"),
        (1.0, 1.0, "snare"),
        (2.0999, 2.0999, "thing"),
    ]
    assert [note[2] for note in notes] == ["melody:A4", "tone:A4", "melody:C5"]
    assert [float(notes[0][0]), float(notes[0][1])] == pytest.approx([0, 0.995], abs=1e-6)
    assert float(notes[2][1]) == 2.095
    lines, bounds = stems[::2], stems[1::2]
    assert [line[2] for line in lines] == ["bursts", "tone", "bursts"]
    times = [[float(a), float(b)] for a, b, _ in lines]
    np.testing.assert_allclose(times, [[0.2, 0.3], [0.5, 1.5], [1.9, 2.1]], atol=0.0201)
    assert times[2][1] == 2.1
    assert all(mark == "\\" for mark, _, _ in bounds)
    low, high = map(float, bounds[1][1:])
    assert 400 < low < 440 < high < 480
    assert [line[2] for line in components[::2]] == ["component-01", "component-02"]
    start, end, _ = components[0]
    np.testing.assert_allclose([float(start), float(end)], [0.5, 1.5], atol=HOP / SR)
    low, high = map(float, components[3][1:])  # a flat template: 5 % below and 5 % above
    assert low == pytest.approx(0.05 * SR / 2, abs=2 * SR / N_FFT)
    assert high == pytest.approx(0.95 * SR / 2, abs=2 * SR / N_FFT)


def test_a_selection_table(whole, tmp_path):
    (path,) = written(whole, "raven", tmp_path)
    assert path.name == "my.mix.selections.txt"
    rows = rows_of(path, "\t")
    assert list(rows[0]) == [
        *("Selection", "View", "Channel", "Begin Time (s)", "End Time (s)"),
        *("Low Freq (Hz)", "High Freq (Hz)", "Annotation"),
    ]
    assert [row["Selection"] for row in rows] == ["1", "2", "3", "4", "5"]
    assert [row["Annotation"] for row in rows] == [
        *("tone", "bursts", "bursts", "component-01", "component-02")
    ]
    assert [row["Channel"] for row in rows[:3]] == ["1", "2", "2"]
    for row in rows:
        assert 0 <= float(row["Begin Time (s)"]) < float(row["End Time (s)"]) <= 2.1
        assert 0 <= float(row["Low Freq (Hz)"]) < float(row["High Freq (Hz)"]) <= SR / 2


def midi_of(path):
    """By track: its name, and its notes as (channel, start_s, end_s, number, velocity)."""
    file = mido.MidiFile(path, charset="utf-8")
    assert file.type == 1
    found = {}
    for track in file.tracks[1:]:
        now, started, notes, name = 0, {}, [], None
        for message in track:
            now += message.time
            at = mido.tick2second(now, file.ticks_per_beat, 500_000)
            if message.type == "track_name":
                name = message.name
            elif message.type == "note_on":
                started[message.note] = (message.channel, at, message.velocity)
            elif message.type == "note_off":
                channel, start, velocity = started.pop(message.note)
                notes.append((channel, start, at, message.note, velocity))
        assert not started
        found[name] = notes
    return found


def test_a_midi_file_of_several_tracks(whole, tmp_path):
    (path,) = written(whole, "midi", tmp_path / "new" / "folder")
    tracks = midi_of(path)
    assert list(tracks) == ["drums", "melody", "tone"]
    hits = tracks["drums"]
    assert {hit[0] for hit in hits} == {9}
    assert [hit[3] for hit in hits] == [36, 38, 56]
    np.testing.assert_allclose([hit[1] for hit in hits], [0.25, 1.0, 2.0999], atol=1e-3)
    assert [hit[4] for hit in hits] == [127, 64, 32]
    assert [note[3] for note in tracks["melody"]] == [69, 72]
    assert {note[0] for note in tracks["melody"]} == {0}
    assert [(note[0], note[3]) for note in tracks["tone"]] == [(1, 69)]
    assert max(note[2] for notes in tracks.values() for note in notes) <= 2.1


def test_more_parts_than_midi_has_channels(tmp_path):
    parts = [MidiTrack(name=f"{RTL} {n}", events=[(0.0, 1.0, 60, 1.0)]) for n in range(17)]
    write_midi_tracks(tmp_path / "a.mid", parts)
    tracks = midi_of(tmp_path / "a.mid")
    assert list(tracks) == [part.name for part in parts]
    channels = [notes[0][0] for notes in tracks.values()]
    assert channels == [*range(9), *range(10, 16), 0, 1]
    with pytest.raises(OutputError, match=r"cannot write b\.mid"):
        write_midi_tracks(tmp_path / "none" / "b.mid", parts)


def test_tables(whole, tmp_path):
    events, activations = written(whole, "csv", tmp_path)
    rows = rows_of(events)
    kinds = [row["kind"] for row in rows]
    assert kinds == ["onset"] * 3 + ["note"] * 3 + ["stem"] * 3 + ["component"] * 2
    assert [row["label"] for row in rows[:3]] == ["kick", "snare", "thing"]
    assert [row["pitch"] for row in rows[3:6]] == ["69", "72", "69"]
    assert [row["strength"] for row in rows[:3]] == ["1.0000", "0.5000", "0.2500"]
    assert [row["channel"] for row in rows[6:]] == ["1", "2", "2", "", ""]
    H = heard().factorization.activations
    table = rows_of(activations)
    got = np.array([[float(v) for v in row.values()] for row in table])
    np.testing.assert_array_equal(got[:, 1:].T, H)
    np.testing.assert_allclose(got[:, 0], np.arange(H.shape[1]) * HOP / SR, atol=1e-6)
    assert list(table[0]) == ["time_s", "component-01", "component-02"]


def test_jams(whole, tmp_path):
    (path,) = written(whole, "jams", tmp_path)
    document = jams.load(str(path), strict=True)
    assert document.validate(strict=True)
    assert document.file_metadata.title == "my.mix"
    assert document.file_metadata.duration == 2.1
    (onsets,) = document.search(namespace="onset")
    assert [(o.time, o.value, o.confidence) for o in onsets.data] == [
        (0.25, "kick", 1.0),
        (1.0, "snare", 0.5),
        (2.0999, "thing", 0.25),
    ]
    (contour,) = document.search(namespace="pitch_contour")
    assert len(contour.data) == 210
    assert sum(o.value["voiced"] for o in contour.data) == 160
    notes = document.search(namespace="note_midi")
    assert [n.sandbox["part"] for n in notes] == ["melody", "tone"]
    assert [o.value for o in notes[0].data] == [69.0, 72.0]
    stems, components = document.search(namespace="segment_open")
    assert [o.value for o in stems.data] == ["bursts", "tone", "bursts"]
    assert "within 30 dB" in stems.annotation_metadata.annotation_rules
    assert {o.value for o in components.data} == {"component-01", "component-02"}
    for annotation in document.annotations:
        assert annotation.annotation_metadata.annotation_tools.startswith("audiosep ")
        assert all(o.time >= 0 and o.time + o.duration <= 2.1 + 1e-9 for o in annotation.data)


def test_jams_without_the_package(whole, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "jams", None)
    with pytest.raises(UsageError, match=r"pip install 'audiosep\[jams\]'"):
        export(whole, ["labels", "jams"], tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("bits", "dtype"), [(16, "int16"), (24, "int32"), ("float", "float32")])
def test_all_stems_in_one_file(tmp_path, monkeypatch, bits, dtype):
    monkeypatch.setattr(multitrack, "_BLOCK_VALUES", 1000)
    heard(bits=bits).save(tmp_path / "mix")
    sound, names = written(tmp_path / "mix", "multitrack", tmp_path / "out")
    assert (sound.name, names.name) == ("mix-multitrack.wav", "mix-multitrack.txt")
    got, sr = sf.read(sound, dtype=dtype)
    assert sr == SR
    assert sf.info(sound).subtype == {16: "PCM_16", 24: "PCM_24", "float": "FLOAT"}[bits]
    for place, name in enumerate(("tone", "bursts")):
        stem, _ = sf.read(tmp_path / "mix" / f"{name}.wav", dtype=dtype)
        np.testing.assert_array_equal(got[:, 2 * place : 2 * place + 2], stem)
    rows = rows_of(names, "\t")
    assert [tuple(row.values()) for row in rows] == [
        *(("1", "tone", "1"), ("2", "tone", "2"), ("3", "bursts", "1"), ("4", "bursts", "2"))
    ]


def test_a_file_of_more_than_4_gib_is_rf64(whole, tmp_path, monkeypatch):
    monkeypatch.setattr(multitrack.formats, "RIFF_LIMIT", 100_000)
    sound, _ = written(whole, "multitrack", tmp_path)
    assert sf.info(sound).format == "RF64"
    assert sf.info(sound).frames == 2.1 * SR


def test_a_reaper_project(whole, tmp_path):
    (path,) = written(whole, "reaper", tmp_path / "projects")
    assert path.name == "my.mix.rpp"
    project = rpp.loads(path.read_text(encoding="utf-8"))
    assert project.tag == "REAPER_PROJECT"
    assert project.find("TEMPO")[1] == "120"
    assert project.find("SAMPLERATE")[1:3] == [str(SR), "1"]
    markers = project.findall("MARKER")
    assert [(m[1], float(m[2]), m[3]) for m in markers] == [
        *(("1", 0.25, "kick"), ("2", 1.0, "snare"), ("3", 2.0999, "thing"))
    ]
    tracks = project.findall("TRACK")
    assert [track.find("NAME")[1] for track in tracks] == ["tone", "bursts"]
    colours = [int(track.find("PEAKCOL")[1]) for track in tracks]
    assert len(set(colours)) == 2
    assert all(colour >> 24 == 1 for colour in colours)
    for track, name in zip(tracks, ("tone", "bursts"), strict=True):
        item = track.find("ITEM")
        source = item.find("SOURCE")
        assert source.attrib == ["WAVE"]
        file = source.find("FILE")[1]
        assert not Path(file).is_absolute()
        assert (path.parent / file).resolve() == (whole / f"{name}.wav").resolve()
        assert float(item.find("LENGTH")[1]) == 2.1
        assert item.find("POSITION")[1] == "0"


def test_a_reaper_project_of_flac(tmp_path):
    heard().save(tmp_path / "mix", format="flac")
    (path,) = written(tmp_path / "mix", "reaper", None)
    source = rpp.loads(path.read_text("utf-8")).find(".//SOURCE")
    assert (source.attrib, source.find("FILE")[1]) == (["FLAC"], "tone.flac")


# --- when something sounds ----------------------------------------------------------------------


def test_stretches_are_bridged_and_left_out():
    on = np.array([0, 1, 1, 0, 1, 0, 0, 0, 1, 0, 0, 1, 1, 1], dtype=bool)
    assert merge_runs(on, 0, 0) == [(1, 3), (4, 5), (8, 9), (11, 14)]
    assert merge_runs(on, 2, 2) == [(1, 5), (11, 14)]
    assert merge_runs(on, 3, 2) == [(1, 5), (8, 14)]
    assert merge_runs(np.zeros(5, bool), 2, 0) == []
    assert merge_runs(np.ones(5, bool), 2, 0) == [(0, 5)]


def test_the_threshold_is_below_the_loudest(tmp_path):
    t = np.arange(2 * SR) / SR
    sound = np.sin(2 * np.pi * 300 * t) * np.where(t < 1, 0.5, 0.5 * 10 ** (-35 / 20))
    silent = np.zeros((1, t.size), dtype=np.float32)
    stems = {"a": sound[np.newaxis].astype(np.float32), "b": silent}
    heard(("loud", "silent"), stems=stems).save(tmp_path / "mix")

    def ends(threshold_db):
        (path, *_) = written(
            tmp_path / "mix", "csv", None, threshold_db=threshold_db, exists="overwrite"
        )
        return [(r["label"], float(r["end_s"])) for r in rows_of(path) if r["kind"] == "stem"]

    assert ends(-30.0) == [("loud", 1.0)]
    assert ends(-40.0) == [("loud", 2.0)]


def test_the_rest_of_another_stem_does_not_sound(tmp_path):
    loud = np.sin(np.arange(2 * SR) / 3)[np.newaxis].astype(np.float32) * 0.9
    stems = {"a": loud, "b": loud * np.float32(10 ** (-70 / 20))}
    heard(("loud", "rest"), stems=stems, bits="float").save(tmp_path / "mix")
    path, _ = written(tmp_path / "mix", "csv", None)
    assert [row["label"] for row in rows_of(path) if row["kind"] == "stem"] == ["loud"]


def test_silence_gives_empty_but_valid_files(tmp_path):
    still = {name: np.zeros_like(x) for name, x in two_stems().items()}
    given = heard(stems=still)
    factors = given.factorization
    none = np.zeros(0)
    given = replace(
        given,
        factorization=replace(factors, activations=np.zeros_like(factors.activations)),
        melody=replace(given.melody, f0_hz=np.zeros(210), strengths=np.zeros(210)),
        onsets=Onsets(times_s=none, labels=(), strengths=none),
    )
    given.save(tmp_path / "mix")
    done = export(tmp_path / "mix", list(EXPORT_FORMATS))
    assert all(path.read_bytes() == b"" for path in done.paths["labels"])
    assert rows_of(done.paths["csv"][0]) == []
    assert rows_of(done.paths["raven"][0], "\t") == []
    assert midi_of(done.paths["midi"][0]) == {"drums": [], "melody": []}
    document = jams.load(str(done.paths["jams"][0]), strict=True)
    assert [len(a.data) for a in document.annotations] == [0, 210, 0, 0]
    assert len(rpp.loads(done.paths["reaper"][0].read_text()).findall("TRACK")) == 2
    assert not sf.read(done.paths["multitrack"][0])[0].any()


def test_nothing_is_behind_the_end(tmp_path):
    short = {name: x[:, : int(1.9333 * SR)] for name, x in two_stems().items()}
    heard(stems=short).save(tmp_path / "mix")  # its melody and last onset go on
    end = int(1.9333 * SR) / SR
    done = export(tmp_path / "mix", list(EXPORT_FORMATS))
    for path in done.paths["labels"]:
        assert all(float(b) <= end for a, b, _ in labels_of(path) if a != "\\")
    assert all(float(row["end_s"]) <= end for row in rows_of(done.paths["csv"][0]))
    tracks = midi_of(done.paths["midi"][0])
    assert max(note[2] for notes in tracks.values() for note in notes) <= end
    for annotation in jams.load(str(done.paths["jams"][0])).annotations:
        assert all(o.time + o.duration <= end + 1e-9 for o in annotation.data)
    markers = rpp.loads(done.paths["reaper"][0].read_text()).findall("MARKER")
    assert [float(marker[2]) for marker in markers] == [0.25, 1.0]


def test_seconds_are_rounded_down():
    assert [seconds(x) for x in (2 / 3, 0.3, 4.35, 1e-7, 0.0)] == [
        *("0.666666", "0.300000", "4.350000", "0.000000", "0.000000")
    ]
    assert [pitch_of(note_name(n)) for n in range(128)] == list(range(128))


# --- known sounds -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def field(tmp_path_factory):
    """A recording of a tone from 1.5 to 2 s and noise from 2.6 s on, and a dictionary of both."""
    place = tmp_path_factory.mktemp("field")
    t = np.arange(3 * SR) / SR
    tone = 0.5 * np.sin(2 * np.pi * 1000 * t)
    rough = files.noise(t.size, 1)[0]
    known = [
        audiosep.learn([Audio(samples=x[np.newaxis].astype(np.float32), sr=SR)], label=name)
        for name, x in (("bird", tone), ("rain", rough))
    ]
    audiosep.save_dictionary(audiosep.merge_dictionaries(tuple(known)), place / "k.safetensors")
    mixture = tone * ((t >= 1.5) & (t < 2.0)) + rough * (t >= 2.6)
    files.write_sound(place / "take.wav", mixture[np.newaxis], SR)
    return place


def match(field, out, **settings):
    options = {"columns": "labels", "n_free": 0, "start": 0.0, "duration": None, "n_threads": 1}
    return match_recording(
        field / "k.safetensors",
        field / "take.wav",
        MatchOptions(out=out, **(options | settings)),
        Talk(quiet=True),
    )


def test_matches_as_a_selection_table(field, tmp_path):
    match(field, tmp_path / "a.selections.txt", start=1.0)
    bird, rain = rows_of(tmp_path / "a.selections.txt", "\t")
    assert [row["Annotation"] for row in (bird, rain)] == ["bird", "rain"]
    times = [[float(row[f"{end} Time (s)"]) for end in ("Begin", "End")] for row in (bird, rain)]
    np.testing.assert_allclose(times, [[1.5, 2.0], [2.6, 3.0]], atol=0.1)
    assert times[1][1] <= 3.0
    assert 900 < float(bird["Low Freq (Hz)"]) < 1000 < float(bird["High Freq (Hz)"]) < 1100
    assert float(rain["High Freq (Hz)"]) > 3000


def test_matches_as_labels(field, tmp_path):
    match(field, tmp_path / "a.txt", duration=2.8)
    rows = labels_of(tmp_path / "a.txt")
    assert [row[2] for row in rows[::2]] == ["bird", "rain"]
    assert float(rows[2][1]) <= 2.8
    with pytest.raises(UsageError, match="--columns is for tables as CSV"):
        match(field, tmp_path / "b.txt", columns="shares")
    with pytest.raises(RefusedError, match=r"a\.txt exists already"):
        match(field, tmp_path / "a.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


# --- names --------------------------------------------------------------------------------------


def renamed(place, names, labels):
    """Give stems and onsets names that no file of ours would have."""
    record = json.loads((place / "audiosep.json").read_text("utf-8"))
    record["stems"] = dict(zip(names, record["stems"].values(), strict=True))
    (place / "audiosep.json").write_text(json.dumps(record), "utf-8")
    with (place / "onsets.csv").open("w", encoding="utf-8", newline="") as file:
        rows = [
            ("time_s", "label", "strength"),
            *((f"{n}.0", x, "1") for n, x in enumerate(labels)),
        ]
        csv.writer(file).writerows(rows)


def test_names_break_no_format(copied):
    home = copied.with_name(HOSTILE.replace("/", ""))
    copied.rename(home)
    names = [HOSTILE, f"{RTL}\ud800"]
    renamed(home, names, [HOSTILE, RTL])
    done = export(home, list(EXPORT_FORMATS))
    shown = ["a b \"c'`d <e>,;=1 [31m", RTL]
    assert [plain(name) for name in names] == shown
    onsets, _, stems, _ = (labels_of(path) for path in done.paths["labels"])
    assert [row[2] for row in onsets] == [shown[0], RTL]
    assert {row[2] for row in stems[::2]} == set(shown)
    raven = rows_of(done.paths["raven"][0], "\t")
    assert [row["Annotation"].replace('"', "'") for row in raven[:2]] == [
        *(name.replace('"', "'") for name in shown)
    ]
    assert len(raven) == 5
    events = rows_of(done.paths["csv"][0])
    assert [row["label"] for row in events if row["kind"] == "stem"] == [shown[0], *shown[1:] * 2]
    assert len(midi_of(done.paths["midi"][0])) == 3
    document = jams.load(str(done.paths["jams"][0]), strict=True)
    assert document.search(namespace="onset")[0].data[0].value == HOSTILE
    project = rpp.loads(done.paths["reaper"][0].read_text("utf-8"))
    tracks = project.findall("TRACK")
    # All three quotes cannot be in one text there.
    assert [t.find("NAME")[1] for t in tracks] == [shown[0].replace("`", "'"), shown[1]]
    assert [t.find(".//FILE")[1] for t in tracks] == ["tone.wav", "bursts.wav"]
    channels = rows_of(done.paths["multitrack"][1], "\t")
    assert len(channels) == 4
    everything = b"".join(path.read_bytes() for path in done.paths["labels"])
    assert not any(c in everything for c in (b"\x1b", "\u202e".encode()))


def test_a_path_that_no_project_can_name(copied, tmp_path):
    home = tmp_path / "a\nb" / "mix"
    home.parent.mkdir()
    copied.rename(home)
    with pytest.raises(InputError, match=r"cannot be named in a Reaper project"):
        export(home, ["reaper", "labels"], tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert written(home, "reaper", None)[0].is_file()  # in its own folder it can


@pytest.mark.parametrize("file", ["../tone.wav", "/etc/passwd", "..", "", "a\nb.wav", 3, None])
def test_a_record_that_names_files_elsewhere(copied, file):
    record = json.loads((copied / "audiosep.json").read_text("utf-8"))
    record["stems"]["tone"]["file"] = file
    (copied / "audiosep.json").write_text(json.dumps(record), "utf-8")
    with pytest.raises(InputError, match=r"audiosep\.json is not as it was written"):
        export(copied, "multitrack")


# --- places -------------------------------------------------------------------------------------


def test_nothing_is_replaced_unless_told(copied):
    first = written(copied, "labels", None)
    before = files.tree(copied)
    with pytest.raises(RefusedError, match=r"mix-onsets\.txt exists already; use --exists over"):
        export(copied, ["reaper", "labels"])
    assert files.tree(copied) == before
    first[0].write_text("mine")
    export(copied, ["reaper", "labels"], exists="overwrite")
    assert files.tree(copied).items() > before.items()  # the same bytes again
    assert audiosep.verify(copied).is_whole


def test_what_belongs_to_the_stems_is_never_replaced(copied):
    home = copied.with_name("onsets")
    copied.rename(home)
    before = files.tree(home)
    with pytest.raises(RefusedError, match=r"onsets\.mid belongs to the stems"):
        export(home, "midi", exists="overwrite")
    with pytest.raises(RefusedError, match=r"tone\.wav belongs to the stems"):
        export(home, "multitrack", home / "tone.wav", exists="overwrite")
    record = json.loads((home / "audiosep.json").read_text("utf-8"))
    record["input"]["path"] = str(home.with_name("take.wav"))
    (home / "audiosep.json").write_text(json.dumps(record), "utf-8")
    home.with_name("take.wav").write_bytes(b"the recording")
    with pytest.raises(RefusedError, match=r"take\.wav belongs to the stems"):
        export(home, "multitrack", home.with_name("take.wav"), exists="overwrite")
    assert files.tree(home) == before | {"audiosep.json": json.dumps(record).encode()}


def test_one_file(whole, tmp_path):
    (path,) = written(whole, "labels", tmp_path / "marks.TXT")
    assert path == tmp_path / "marks.TXT"
    words = {row[2] for row in labels_of(path)}
    assert {"kick", "melody:A4", "tone", "component-02"} <= words
    table, activations = written(whole, "csv", tmp_path / "t.csv")
    assert (table.name, activations.name) == ("t.csv", "t-activations.csv")
    sound, names = written(whole, "multitrack", tmp_path / "s.wav")
    assert (sound.name, names.name) == ("s.wav", "s.txt")
    with pytest.raises(UsageError, match=r"marks\.mid is one file, and 2 formats are wanted"):
        export(whole, ["midi", "csv"], tmp_path / "marks.mid")
    with pytest.raises(UsageError, match=r"a\.txt must end with \.mid for the format midi"):
        export(whole, "midi", tmp_path / "a.txt")


def test_places_where_nothing_can_be(whole, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file where a folder should be"):
        export(whole, "csv", tmp_path / "file")
    (tmp_path / "a.mid").mkdir()
    assert written(whole, "midi", tmp_path / "a.mid")[0].name == "my.mix.mid"
    (tmp_path / "my.mix.jams").mkdir()
    with pytest.raises(RefusedError, match="exists already"):
        export(whole, "jams", tmp_path, exists="overwrite")
    assert files.leftovers(tmp_path) == []


def test_all_or_nothing(copied, monkeypatch):
    def fails(*_, **__):
        raise OutputError("the disk is full.")

    before = files.tree(copied)
    monkeypatch.setattr("audiosep.exports.exporting.write_multitrack", fails)
    with pytest.raises(OutputError, match="disk is full"):
        export(copied, list(EXPORT_FORMATS))
    assert files.tree(copied) == before


def test_settings_that_cannot_be(whole, tmp_path):
    with pytest.raises(UsageError, match="'wave' is unknown; there are labels, raven, midi"):
        export(whole, "wave", tmp_path)
    with pytest.raises(UsageError, match="name a format"):
        export(whole, [], tmp_path)
    with pytest.raises(UsageError, match="exists 'skip' is unknown"):
        export(whole, "csv", tmp_path, exists="skip")
    for wrong in (0.0, -121.0, float("nan")):
        with pytest.raises(ParameterError, match="must be from -120 to less than 0"):
            export(whole, "csv", tmp_path, threshold_db=wrong)


# --- folders ------------------------------------------------------------------------------------


def test_what_a_folder_lacks_is_said(tmp_path):
    given = replace(heard(), factorization=None, grouping=None, onsets=None)
    given.save(tmp_path / "mix")
    done = export(tmp_path / "mix", ["labels", "raven", "csv"])
    assert [path.name for path in done.paths["labels"]] == ["mix-notes.txt", "mix-stems.txt"]
    assert done.notes == (
        "the folder holds no onsets and no components, so labels, csv hold none.",
    )
    replace(given, melody=None).save(tmp_path / "bare")
    with pytest.raises(InputError, match="no onsets, no melody and no components, so there is"):
        export(tmp_path / "bare", ["csv", "midi"])
    assert len(list((tmp_path / "bare").iterdir())) == 3


def test_components_without_sounds(tmp_path):
    mixture = scenes.band(SR, 2.0)
    atoms = audiosep.find_atoms(
        sum(mixture.values())[np.newaxis], SR, n_components=2, max_iter=2, n_threads=1
    )
    atoms.save(tmp_path / "mix", sounds=False)
    names = [path.name for path in written(tmp_path / "mix", "labels", None)]
    assert names == ["mix-notes.txt", "mix-components.txt"]
    for one in ("multitrack", "reaper"):
        with pytest.raises(InputError, match=f"keeps no sounds, and the format {one}"):
            export(tmp_path / "mix", one)


def test_folders_that_cannot_be_used(copied, tmp_path):
    with pytest.raises(InputError, match=r"holds no finished separation: it has no audiosep\.json"):
        export(tmp_path, "csv")
    record = json.loads((copied / "audiosep.json").read_text("utf-8"))
    (copied / "audiosep.json").write_text(json.dumps({**record, "stems": {}, "files": {}}))
    with pytest.raises(InputError, match="holds neither stems nor components"):
        export(copied, "csv")
    (copied / "audiosep.json").write_text(json.dumps(record))
    files.write_sound(copied / "tone.wav", two_stems()["a"][:, :-1], SR)
    with pytest.raises(InputError, match=r"tone\.wav has not the rate, channels, length"):
        export(copied, "csv")
    files.write_sound(copied / "bursts.wav", two_stems()["a"][:, :-1], SR)
    with pytest.raises(InputError, match=r"safetensors does not belong to the stems"):
        export(copied, "csv")
    (copied / "tone.wav").unlink()
    with pytest.raises(InputError, match=r"tone\.wav does not exist"):
        export(copied, "csv")


def test_a_stem_that_was_edited_is_taken_and_told(copied):
    assert export(copied, "labels").warnings == ()
    samples = files.sounds(copied / "tone.wav")
    files.write_sound(copied / "tone.wav", 0.5 * samples, SR)
    (warning,) = export(copied, "raven").warnings
    assert warning.startswith("tone.wav is damaged or was edited since it was written")
    done = files.audiosep("export", str(copied), "--to", "csv")
    assert done.code == 0
    assert done.err == f"audiosep: warning: {copied}: {warning}\n"
    done = files.audiosep("export", str(copied), "--to", "midi", "--json")
    assert json.loads(done.out)["warnings"] == [warning]


def test_a_stem_with_samples_that_are_no_numbers(tmp_path):
    heard(bits="float").save(tmp_path / "mix")
    sound, _ = sf.read(tmp_path / "mix" / "tone.wav", dtype="float32")
    sound[7] = np.nan
    sf.write(tmp_path / "mix" / "tone.wav", sound, SR, subtype="FLOAT")
    with pytest.raises(InputError, match=r"tone\.wav: sample 7 of channel 1 .* is nan"):
        export(tmp_path / "mix", "labels")


def test_tables_that_were_corrected_by_hand(copied):
    path = copied / "onsets.csv"
    path.write_text("time_s,label,strength\n1.5,tom,1\n0.5,kick,0.5\n\n", "utf-8-sig")
    (labels, *_) = written(copied, "labels", None)
    assert [row[::2] for row in labels_of(labels)] == [["0.500000", "kick"], ["1.500000", "tom"]]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", r"first line must be time_s,label,strength"),
        ("time_s,f0_hz,strength\n", r"first line must be"),
        ("time_s,label,strength\n1,a\n", r"line 2 has 2 columns instead of 3"),
        ("time_s,label,strength\nx\x1b,a,1\n", r"'x\\x1b' is no number"),
        ("time_s,label,strength\nnan,a,1\n", r"holds no onsets: times_s must be finite"),
        ("time_s,label,strength\n1,a,2\n", r"holds no onsets: strengths must be"),
        ('time_s,label,strength\n1,"' + "a" * 200_000 + '",1\n', r"is no table"),
    ],
)
def test_tables_of_onsets_that_cannot_be_read(tmp_path, text, words):
    (tmp_path / "onsets.csv").write_text(text, "utf-8")
    with pytest.raises(InputError, match=words):
        read_onsets(tmp_path / "onsets.csv")


def test_tables_of_melodies_that_cannot_be_read(tmp_path):
    path = tmp_path / "melody.csv"
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_melody(path)
    path.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(InputError, match="is no text in UTF-8, and so no table"):
        read_melody(path)
    path.write_text("time_s,f0_hz,strength\n1,440,1\n0,440,1\n")
    with pytest.raises(InputError, match="is no melody: times_s must increase"):
        read_melody(path)


def test_what_was_written_is_what_is_read(whole):
    folder, given = open_stems(whole), heard()
    np.testing.assert_allclose(folder.melody.f0_hz, given.melody.f0_hz, atol=0.005)
    assert folder.onsets.labels == given.onsets.labels
    assert (folder.sr, folder.n_channels, folder.n_samples, folder.bits) == (SR, 2, 16800, 16)


# --- and back in --------------------------------------------------------------------------------


def test_exports_are_scores(whole, tmp_path):
    done = export(whole, ["labels", "midi"], tmp_path)
    onsets, notes, stems, components = done.paths["labels"]
    assert [t.name for t in audiosep.read_score(onsets).tracks] == ["kick", "snare", "thing"]
    tracks = audiosep.read_score(notes).tracks
    assert [(t.name, [n.pitch for n in t.notes]) for t in tracks] == [
        *(("melody", [69, 72]), ("tone", [69]))
    ]
    assert {t.name for t in audiosep.read_score(stems).tracks} == {"tone", "bursts"}
    assert len(audiosep.read_score(components).tracks) == 2
    (midi,) = done.paths["midi"]
    tracks = audiosep.read_score(midi).tracks
    assert {t.name for t in tracks} >= {"melody", "tone"}


def test_a_recording_is_taken_apart_by_an_exported_score(whole, tmp_path):
    notes = written(whole, "labels", tmp_path)[1]
    mixture = heard().mixture
    result = audiosep.separate(mixture, score=notes, max_iter=2, n_threads=1)
    assert {"melody", "tone"} <= set(result.stems)


# --- the command --------------------------------------------------------------------------------


def test_the_command(copied):
    done = files.audiosep("export", str(copied), "--to", "midi", "--to", "labels", "--json")
    assert done.code == 0, done.err
    said = json.loads(done.out)
    assert said["status"] == "done"
    assert [Path(path).name for path in said["files"]["midi"]] == ["mix.mid"]
    assert all(Path(path).is_file() for paths in said["files"].values() for path in paths)
    again = files.audiosep("export", str(copied), "--to", "midi")
    assert (again.code, again.out) == (5, "")
    assert "mix.mid exists already" in again.err
    address = files.audiosep("export", "s3://bucket/mix", "--to", "midi")
    assert address.code == 2
    assert "'audiosep export' takes files on this computer only" in address.err


def test_a_full_disk(copied):
    before = files.tree(copied)
    done = files.audiosep(
        *("export", str(copied), "--to", "labels", "--to", "multitrack"), largest_file=50_000
    )
    assert done.code == 4, done.err
    assert "is the disk full?" in done.err
    assert files.tree(copied) == before
    assert files.leftovers(copied) == []


def test_a_folder_under_another_name(copied):
    link = copied.with_name("link")
    link.symlink_to(copied)
    (path,) = written(link, "midi", None)
    assert (path.name, path.parent) == ("link.mid", link)
    assert (copied / "link.mid").is_file()


def test_defaults_are_the_same_at_both_doors():
    import inspect

    from typer.main import get_command

    from audiosep.cli.app import app
    from audiosep.cli.export import export as command

    by_command, by_function = (inspect.signature(f).parameters for f in (command, export))
    for name in ("out", "exists", "threshold_db"):
        assert by_command[name].default == by_function[name].default
    assert by_function["threshold_db"].default == THRESHOLD_DB
    (to,) = (p for p in get_command(app).commands["export"].params if p.name == "to")
    assert all(name in to.help for name in EXPORT_FORMATS)


_PEAK = """
import resource, sys
from audiosep.exports.exporting import export
export(sys.argv[1], ["csv", "multitrack"], sys.argv[2])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def peak_kb(folder, out):
    done = subprocess.run(
        [sys.executable, "-c", _PEAK, str(folder), str(out)],
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is counted in other units elsewhere")
def test_memory_does_not_grow_with_the_recording(tmp_path):
    assert resource.RUSAGE_SELF is not None
    peaks = {}
    for minutes in (1, 5):
        place = tmp_path / f"m{minutes}"
        place.mkdir()
        block = files.noise(60 * SR, 2)
        stems = {}
        for name in ("a", "b"):
            with sf.SoundFile(place / f"{name}.wav", "w", SR, 2, "PCM_16") as file:
                for _ in range(minutes):
                    file.write(block.T)
            stems[name] = {"file": f"{name}.wav"}
        (place / "audiosep.json").write_text(json.dumps({"stems": stems, "files": {}}))
        peaks[minutes] = peak_kb(place, tmp_path / f"out{minutes}")
    # Four more minutes of two stems in two channels are 61 MB as float32.
    assert peaks[5] - peaks[1] < 20_000
