"""Folders of stems, looked at before a report, a studio or an export shows them."""

from __future__ import annotations

import json
import shutil

import files
import numpy as np
import pytest

import audiosep
from audiosep.errors import InputError
from audiosep.report.finished import open_finished, record_digest


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    place = tmp_path_factory.mktemp("finished") / "stems"
    sound = audiosep.Audio(samples=files.noise(22050).astype(np.float32), sr=22050)
    audiosep.Separator(preset="harmonic-percussive").separate(sound).save(place)
    return place


@pytest.fixture
def place(made, tmp_path):
    return shutil.copytree(made, tmp_path / "stems")


def record_of(place):
    return json.loads((place / "audiosep.json").read_text("utf-8"))


def put(place, path, value):
    """Set an entry of the record by its path; ``*`` stands for the first."""
    record = record_of(place)
    *way, last = path
    at = record
    for key in way:
        at = at[next(iter(at)) if key == "*" else key]
    at[last] = value
    (place / "audiosep.json").write_text(json.dumps(record), "utf-8")


def test_what_was_made_can_be_opened(place):
    finished = open_finished(place)
    assert {stem.name for stem in finished.stems} == set(record_of(place)["stems"])
    assert finished.duration == 1.0
    assert 0.0 < finished.peak < 1.0
    with finished.tapes() as tapes:
        assert [tape.n_samples for tape in tapes] == [22050] * len(finished.stems)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("stems", "*", "file"), "../stolen.wav"),
        (("stems", "*", "file"), 7),
        (("stems", "*", "sha256"), 7),
        (("stems", "*", "peak_db"), True),
        (("stems", "*", "peak_db"), 1e9),
        (("stems", "*", "rms_db"), "loud"),
        (("stems",), ["drums"]),
        (("input", "sr"), 0),
        (("input", "n_samples"), True),
        (("input", "n_channels"), "2"),
        (("input", "path"), 3),
        (("notes",), {"a": "b"}),
        (("notes",), [3]),
        (("warnings",), "ab"),
        (("settings",), ["a"]),
        (("files",), ["a"]),
        (("files",), {"../a.txt": {"sha256": "0"}}),
        (("files",), {"audiosep.json": {"sha256": "0"}}),
        (("files",), {"a.txt": {"sha256": 0}}),
        (("losses",), "falling"),
        (("losses",), ["low"]),
        (("losses",), [float("inf")]),
        (("losses",), [10**400]),
        (("null_test_db",), "quiet"),
        (("null_test_db",), "inf"),
        (("audiosep",), 7),
    ],
)
def test_a_record_that_was_edited_is_told(place, path, value):
    put(place, path, value)
    with pytest.raises(InputError, match=r"is damaged or edited, .*separate the recording again"):
        open_finished(place)


def test_a_record_of_another_version_is_told_as_that(place):
    put(place, ("notes",), [3])
    put(place, ("audiosep",), "99.0.0")
    with pytest.raises(InputError, match=r"was written by audiosep 99\.0\.0, and cannot"):
        open_finished(place)


def test_a_folder_without_stems_says_how_to_make_some(place):
    put(place, ("stems",), {})
    with pytest.raises(InputError, match="holds no stems to listen to"):
        open_finished(place)


def test_a_stem_that_is_gone_or_another_is_told(place):
    stem = open_finished(place).stems[0]
    file = place / stem.file
    data = file.read_bytes()
    file.write_bytes(data[:-4] + bytes(4))
    with pytest.raises(InputError, match="is damaged or edited since it was written"):
        open_finished(place)
    file.unlink()
    with pytest.raises(InputError, match="is missing"):
        open_finished(place)
    file.mkdir()
    with pytest.raises(InputError, match="cannot be read"):
        open_finished(place)


def test_the_digest_is_of_what_counts(place):
    record = record_of(place)
    digest = record_digest(record)
    assert record_digest({**record, "input": {**record["input"], "path": "moved.wav"}}) == digest
    assert record_digest({**record, "input": {**record["input"], "sha256": "0"}}) != digest
    for none in (None, {}, {"stems": 3}, {**record, "stems": {"a": 3}}):
        assert record_digest(none) is None
