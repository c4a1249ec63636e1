"""A separation into a folder: the record, and what happens to what was there."""

from __future__ import annotations

import json
from dataclasses import replace

import files
import numpy as np
import pytest
import soundfile as sf

import audiosep
from audiosep import save as save_module
from audiosep.errors import OutputError, ParameterError
from audiosep.save import read_record, save_stems
from audiosep.separator import Separation
from audiosep.types import Audio

SR = 8000


def separation(mixture=None, names=("low", "high"), bits=16):
    mixture = files.integers(2000) if mixture is None else mixture
    share = np.linspace(0.2, 0.8, mixture.shape[1], dtype=np.float32)
    parts = [mixture * share, mixture - mixture * share, np.zeros_like(mixture)]
    record = {
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
        assert stem["peak_db"] == pytest.approx(20 * np.log10(np.abs(samples).max()), abs=0.01)
        assert stem["rms_db"] == pytest.approx(10 * np.log10(np.mean(samples**2)), abs=0.01)
    assert "null_test_db" not in given.record  # the separation itself is not changed
    assert given.record["timings_s"] == {"read": 0.0}


def test_the_record_comes_last(tmp_path, monkeypatch):
    order = []
    real = save_module.move_into
    monkeypatch.setattr(
        save_module, "move_into", lambda *given: (order.extend(given[2]), real(*given))
    )
    save_stems(separation(), tmp_path / "song")
    assert order == ["low.wav", "high.wav", "audiosep.json"]


def test_silent_stems_have_no_level(tmp_path):
    silent = separation(np.zeros((1, 100), dtype=np.float32))
    record = save_stems(silent, tmp_path / "song").record
    assert record["stems"]["low"] == {"file": "low.wav", "peak_db": None, "rms_db": None}


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
    said = any("flac holds no float samples" in note for note in saved.record["warnings"])
    assert said == (bits_in == "float" and format_ == "flac")


def test_float_fallback_is_a_warning(tmp_path):
    saved = save_stems(separation(files.noise(peak=2.0)), tmp_path / "song", "flac")
    assert saved.record["bits"] == "float"
    assert any(
        "all stems of this recording are 32-bit float" in n for n in saved.record["warnings"]
    )
    assert {path.suffix for path in saved.paths.values()} == {".wav"}


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
        patch.setattr(save_module.os, "fsync", full)
        with pytest.raises(OutputError, match="No space left on device"):
            save_stems(separation(files.noise()), place)
    assert files.tree(tmp_path) == before
    assert files.leftovers(tmp_path) == []


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
