"""A separation into a folder: the record, and what happens to what was there."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace

import files
import numpy as np
import pytest
import soundfile as sf

import audiosep
from audiosep.errors import OutputError, ParameterError, UsageError
from audiosep.io import placing
from audiosep.records import read_record
from audiosep.save import save_stems
from audiosep.separation import Separation
from audiosep.types import Audio, Melody, Onsets

SR = 8000


def separation(mixture=None, names=("low", "high"), bits=16):
    mixture = files.integers(2000) if mixture is None else mixture
    share = np.linspace(0.2, 0.8, mixture.shape[1], dtype=np.float32)
    parts = [mixture * share, mixture - mixture * share, np.zeros_like(mixture)]
    record = {
        "method": "components",
        "input": {"bits": bits},
        "notes": ["a note"],
        "warnings": [],
        "timings_s": {"read": 0.0},
    }
    return Separation(
        stems={name: Audio(samples=part, sr=SR) for name, part in zip(names, parts, strict=False)},
        mixture=Audio(samples=mixture, sr=SR),
        factorization=None,
        grouping=None,
        record=record,
    )


def struck(given):
    """The same separation with onsets of its first stem, and a melody."""
    times = np.array([0.02, 0.12])
    return replace(
        given,
        onsets=Onsets(times_s=times, labels=("low", "low"), strengths=np.array([1.0, 0.5])),
        melody=Melody(
            times_s=np.arange(25) * 0.01, f0_hz=np.full(25, 220.0), strengths=np.ones(25)
        ),
    )


def test_what_was_heard_comes_with_the_stems(tmp_path):
    place = tmp_path / "song"
    saved = save_stems(struck(separation()), place, one_shots=2)
    evidence = {"melody.csv", "melody.mid", "onsets.csv", "onsets.mid"}
    cuts = {"one-shot-low-1.wav", "one-shot-low-2.wav"}
    assert set(saved.extras) == evidence | cuts
    on_disk = {path.name for path in place.iterdir()}
    assert on_disk == {"low.wav", "high.wav", "audiosep.json"} | evidence | cuts
    for name, file in saved.record["files"].items():
        content = (place / name).read_bytes()
        assert file == {"sha256": hashlib.sha256(content).hexdigest()}
    assert saved.record["output"] == {"format": "wav", "bits": None, "one_shots": 2}
    assert (place / "onsets.csv").read_text().startswith("time_s,label,strength\n0.0200,low,1.0")
    for cut in cuts:
        samples, sr = sf.read(place / cut)
        assert sr == SR
        assert samples.std() > 0
        assert sf.info(place / cut).subtype == "PCM_16"


def test_what_an_earlier_run_heard_goes_with_it(tmp_path):
    place = tmp_path / "song"
    save_stems(struck(separation()), place, one_shots=1)
    save_stems(separation(), place)
    assert {path.name for path in place.iterdir()} == {"low.wav", "high.wav", "audiosep.json"}


def test_one_shots_in_the_format_of_the_stems(tmp_path):
    saved = save_stems(struck(separation()), tmp_path / "song", "flac", 24, one_shots=1)
    (cut,) = [name for name in saved.extras if name.startswith("one-shot")]
    assert cut == "one-shot-low-1.flac"
    assert sf.info(tmp_path / "song" / cut).subtype == "PCM_24"


def test_one_shots_without_onsets_are_refused(tmp_path):
    with pytest.raises(UsageError, match="use the preset drums"):
        save_stems(separation(), tmp_path / "song", one_shots=1)
    assert list(tmp_path.iterdir()) == []


def test_stems_and_record(tmp_path):
    place = tmp_path / "deep" / "song"
    given = separation()
    saved = save_stems(given, place)
    assert saved.paths == {"low": place / "low.wav", "high": place / "high.wav"}
    assert sorted(p.name for p in place.iterdir()) == ["audiosep.json", "high.wav", "low.wav"]
    assert files.leftovers(tmp_path) == []
    record = json.loads((place / "audiosep.json").read_text(encoding="utf-8"))
    assert record == saved.record
    assert record["null_test_db"] == -300.0
    assert record["bits"] == 16
    assert record["output"] == {"format": "wav", "bits": None}
    assert record["notes"] == ["a note"]
    assert set(record["stems"]) == {"low", "high"}
    for name, stem in record["stems"].items():
        samples = given.stems[name].samples.astype(np.float64)
        assert stem["file"] == f"{name}.wav"
        assert stem["sha256"] == hashlib.sha256((place / stem["file"]).read_bytes()).hexdigest()
        assert stem["peak_db"] == pytest.approx(20 * np.log10(np.abs(samples).max()), abs=0.01)
        assert stem["rms_db"] == pytest.approx(10 * np.log10(np.mean(samples**2)), abs=0.01)
    assert "null_test_db" not in given.record  # the separation itself is not changed
    assert given.record["timings_s"] == {"read": 0.0}


@pytest.fixture
def moves(monkeypatch):
    """Names that were moved, by the folder that they came from; `moves.fail(n)` ends the n-th."""

    class Moves(list):
        def fail(self, number, error):
            self.clear()
            self.number, self.error = number, error

    seen = Moves()
    seen.fail(None, None)
    real = os.replace

    def replaced(source, target):
        if len(seen) == seen.number:
            seen.number = None
            raise seen.error
        real(source, target)
        seen.append((source.parent.name, source.name))

    monkeypatch.setattr(placing.os, "replace", replaced)
    return seen


def test_a_new_folder_comes_in_one_step_with_the_mode_of_any_folder(tmp_path, moves):
    save_stems(separation(), tmp_path / "song")
    assert [name for _, name in moves] == ["new"]
    (tmp_path / "plain").mkdir()
    assert (tmp_path / "song").stat().st_mode == (tmp_path / "plain").stat().st_mode
    assert files.leftovers(tmp_path) == []


def test_the_record_goes_first_and_comes_last(tmp_path, moves):
    save_stems(separation(names=("low", "old")), tmp_path / "song")
    moves.clear()
    save_stems(separation(), tmp_path / "song")
    assert moves == [
        ("song", "audiosep.json"),
        ("song", "low.wav"),
        ("song", "old.wav"),
        ("new", "low.wav"),
        ("new", "high.wav"),
        ("new", "audiosep.json"),
    ]


def test_silent_stems_have_no_level(tmp_path):
    silent = separation(np.zeros((1, 100), dtype=np.float32))
    record = save_stems(silent, tmp_path / "song").record
    assert (record["stems"]["low"]["peak_db"], record["stems"]["low"]["rms_db"]) == (None, None)


@pytest.mark.parametrize(
    ("bits_in", "format_", "bits", "subtype"),
    [
        (16, "wav", None, "PCM_16"),
        (24, "wav", None, "PCM_24"),
        ("float", "wav", None, "FLOAT"),
        (16, "flac", None, "PCM_16"),
        (24, "flac", None, "PCM_24"),
        ("float", "flac", None, "PCM_24"),
        ("float", "wav", 16, "PCM_16"),
        (16, "wav", "24", "PCM_24"),
        (16, "wav", "float", "FLOAT"),
    ],
)
def test_depth(tmp_path, bits_in, format_, bits, subtype):
    saved = save_stems(separation(bits=bits_in), tmp_path / "song", format_, bits)
    assert {sf.info(path).subtype for path in saved.paths.values()} == {subtype}
    asked = None if bits is None else str(bits)
    assert saved.record["output"] == {"format": format_, "bits": asked}
    said = any("flac holds no float samples" in text for text in saved.record["warnings"])
    assert said == (bits_in == "float" and format_ == "flac")


def test_float_fallback_is_a_warning(tmp_path):
    saved = save_stems(separation(files.noise(peak=2.0)), tmp_path / "song", "flac")
    assert saved.record["bits"] == "float"
    (warning,) = saved.record["warnings"]
    assert "all stems of this recording are 32-bit float" in warning
    assert {path.suffix for path in saved.paths.values()} == {".wav"}


def test_fewer_bits_than_the_recording_has_is_a_warning(tmp_path):
    record = save_stems(
        separation(files.integers(n_bits=24) / 2, bits=24), tmp_path, bits=16
    ).record
    assert record["null_test_db"] == pytest.approx(-96.3, abs=0.1)
    (warning,) = record["warnings"]
    assert warning.startswith("the recording has finer steps than 16 bits")


@pytest.mark.parametrize(("format_", "bits"), [("mp3", None), ("wav", 8), ("flac", "float")])
def test_impossible_ways_leave_nothing(tmp_path, format_, bits):
    with pytest.raises(ParameterError):
        save_stems(separation(), tmp_path / "song", format_, bits)
    assert list(tmp_path.iterdir()) == []


def test_stems_of_the_run_before_go_and_foreign_files_stay(tmp_path):
    place = tmp_path / "song"
    save_stems(separation(names=("low", "high", "rest")), place)
    (place / "notes.txt").write_text("mine")
    files.write_sound(place / "mine.wav")
    save_stems(separation(names=("high", "new")), place, "flac")
    assert sorted(p.name for p in place.iterdir()) == [
        "audiosep.json",
        "high.flac",
        "mine.wav",
        "new.flac",
        "notes.txt",
    ]


@pytest.mark.parametrize(
    "content",
    [
        "not json",
        "[]",
        '"text"',
        "null",
        '{"stems": {"a": {"file": "../outside.wav"}}}',
        '{"stems": {"a": {"file": ""}, "b": {"file": ".."}, "c": {"file": "sub/x.wav"}}}',
        '{"stems": {"a": {"file": "a\\u0000b"}, "b": {"file": "\\ud800"}, "c": {"file": "sub"}}}',
        '{"stems": {"a": {}}}',
    ],
)
def test_records_of_others_remove_nothing_else(tmp_path, content):
    place = tmp_path / "song"
    (place / "sub").mkdir(parents=True)
    for path in (tmp_path / "outside.wav", place / "sub" / "x.wav"):
        path.touch()
    (place / "audiosep.json").write_text(content)
    save_stems(separation(), place)
    assert (tmp_path / "outside.wav").exists()
    assert (place / "sub" / "x.wav").exists()
    assert read_record(place)["null_test_db"] == -300.0


@pytest.mark.parametrize("content", ['{"stems": []}', '{"stems": {"a": "text"}}', '{"stems": 3}'])
def test_records_of_another_shape_are_no_crash(tmp_path, content):
    place = tmp_path / "song"
    place.mkdir()
    (place / "audiosep.json").write_text(content)
    save_stems(separation(), place)
    assert read_record(place)["bits"] == 16


def test_read_record(tmp_path):
    assert read_record(tmp_path) is None
    assert read_record(tmp_path / "absent") is None
    (tmp_path / "audiosep.json").write_bytes(b"\xff\xfe")
    assert read_record(tmp_path) is None
    (tmp_path / "audiosep.json").write_text('{"a": 1}')
    assert read_record(tmp_path) == {"a": 1}


def test_a_failed_run_leaves_the_run_before(tmp_path, monkeypatch):
    place = tmp_path / "song"
    save_stems(separation(), place)
    before = files.tree(tmp_path)

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(placing.os, "fsync", full)
        with pytest.raises(OutputError, match="No space left on device"):
            save_stems(separation(files.noise()), place)
    assert files.tree(tmp_path) == before
    assert files.leftovers(tmp_path) == []


@pytest.mark.parametrize("number", range(7))
@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (OSError(5, "Input/output error"), OutputError),
        (KeyboardInterrupt(), KeyboardInterrupt),
        (SystemExit(143), SystemExit),
    ],
)
def test_a_move_that_fails_leaves_all_as_it_was(tmp_path, moves, number, error, raised):
    place = tmp_path / "song"
    save_stems(separation(names=("low", "old")), place)
    (place / "notes.txt").write_text("mine")
    (place / "high.wav").write_text("mine too")  # where a new stem goes
    before = files.tree(tmp_path)
    moves.fail(number, error)
    with pytest.raises(raised):
        save_stems(separation(files.noise()), place)
    undone = [name for source, name in moves if source == "old"]
    assert undone[-1:] == (["audiosep.json"] if number else [])
    assert files.tree(tmp_path) == before
    assert files.leftovers(tmp_path) == []


def test_an_interruption_right_after_a_move_leaves_all_as_it_was(tmp_path, monkeypatch):
    place = tmp_path / "song"
    save_stems(separation(), place)
    before = files.tree(tmp_path)
    real = os.replace

    def interrupted(source, target):
        real(source, target)
        monkeypatch.setattr(placing.os, "replace", real)
        raise KeyboardInterrupt

    monkeypatch.setattr(placing.os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_stems(separation(files.noise()), place)
    assert files.tree(tmp_path) == before


@pytest.mark.parametrize("listed", [False, True])
def test_a_folder_in_place_of_a_stem_leaves_all_as_it_was(tmp_path, listed):
    place = tmp_path / "song"
    save_stems(separation(names=("low", "high") if listed else ("low", "old")), place)
    (place / "high.wav").unlink(missing_ok=True)
    (place / "high.wav").mkdir()
    (place / "high.wav" / "inside").write_text("mine")
    before = files.tree(tmp_path)
    with pytest.raises(OutputError, match="there is a folder where a file should be"):
        save_stems(separation(files.noise()), place)
    assert files.tree(tmp_path) == before
    assert files.leftovers(tmp_path) == []


def test_a_new_folder_that_cannot_come_leaves_nothing(tmp_path, moves):
    moves.fail(0, OSError(5, "Input/output error"))
    with pytest.raises(OutputError, match=r"cannot write to .*song: Input/output error"):
        save_stems(separation(), tmp_path / "song")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["x" * 300, "a\0b"])
def test_a_folder_name_that_cannot_be(tmp_path, name):
    with pytest.raises(OutputError, match="cannot write to"):
        save_stems(separation(), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_links_are_replaced_and_not_followed(tmp_path):
    place = tmp_path / "song"
    place.mkdir()
    (tmp_path / "outside.wav").write_text("mine")
    (place / "low.wav").symlink_to(tmp_path / "outside.wav")
    save_stems(separation(), place)
    assert (tmp_path / "outside.wav").read_text() == "mine"
    assert not (place / "low.wav").is_symlink()


@pytest.mark.parametrize("where", ["song", "file/song"])
def test_a_file_in_place_of_a_folder(tmp_path, where):
    (tmp_path / where.split("/", maxsplit=1)[0]).write_text("mine")
    before = files.tree(tmp_path)
    with pytest.raises(OutputError, match=r"cannot (write|replace)"):
        save_stems(separation(), tmp_path / where)
    assert files.tree(tmp_path) == before
    assert files.leftovers(tmp_path) == []


def test_a_record_that_json_cannot_hold_is_a_bug_that_leaves_nothing(tmp_path):
    bad = separation()
    bad = replace(bad, record={**bad.record, "losses": [float("nan")]})
    with pytest.raises(ValueError, match="JSON"):
        save_stems(bad, tmp_path / "song")
    assert list(tmp_path.iterdir()) == []


def test_save_method(tmp_path):
    result = audiosep.separate(files.noise(4000), SR, **files.SMALL_SETTINGS)
    paths = result.save(str(tmp_path / "a"))
    assert {p.name for p in paths.values()} == {"source-1.wav", "source-2.wav"}
    total = sum(files.sounds(p).astype(np.float64) for p in paths.values())
    assert np.abs(total - result.mixture.samples).max() < 1e-6
    with pytest.raises(TypeError):
        result.save(tmp_path / "b", "flac")


def test_a_folder_that_is_a_link_to_another_place(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "song").symlink_to(tmp_path / "elsewhere")
    saved = save_stems(separation(), tmp_path / "song")
    assert all(path.parent == tmp_path / "song" and path.is_file() for path in saved.paths.values())
    assert (tmp_path / "elsewhere/audiosep.json").is_file()
    assert (tmp_path / "song").is_symlink()
