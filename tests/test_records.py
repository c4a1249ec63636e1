"""Records of folders of stems, which anyone may have written, and files written in one step."""

from __future__ import annotations

import json

import pytest

from audiosep.errors import InputError, OutputError, ParameterError
from audiosep.io.single_file import in_one_step, replace_file
from audiosep.records import (
    RECORD_NAME,
    finished_record,
    is_digest,
    is_own_file,
    read_record,
    recorded_files,
    write_record,
)


@pytest.mark.parametrize("name", ["drums.wav", "a b.flac", "ä.wav", "...", "x" * 255])
def test_files_of_the_folder_itself(name):
    assert is_own_file(name)


OUTSIDE = ("", ".", "..", "../mix.wav", "/etc/passwd", "a/b.wav", "a.wav/", "a\0b", "a\nb")


@pytest.mark.parametrize("name", [*OUTSIDE, "\ud800", "x" * 256, None, 5, ["a.wav"]])
def test_what_is_none(name):
    assert not is_own_file(name)


def test_files_of_a_record_stay_in_its_folder():
    record = {
        "stems": {"a": {"file": "a.wav"}, "b": {"file": "../b.wav"}, "c": {}, "d": "d.wav"},
        "files": {"melody.csv": {}, "/etc/passwd": {}},
    }
    assert recorded_files(record) == ["a.wav", "melody.csv"]
    assert recorded_files(None) == recorded_files({"stems": [], "files": 3}) == []


def test_a_record_is_read_as_it_was_written(tmp_path):
    record = {"stems": {"ä": {"file": "ä.wav"}}, "null_test_db": -300.0}
    write_record(tmp_path, record)
    assert read_record(tmp_path) == finished_record(tmp_path) == record


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff", b"[" * 100_000])
def test_what_is_no_record(tmp_path, content):
    (tmp_path / RECORD_NAME).write_bytes(content)
    assert read_record(tmp_path) is None
    with pytest.raises(InputError, match="name a folder that 'audiosep split' made"):
        finished_record(tmp_path)


def test_digests():
    assert is_digest("0123456789abcdef" * 4)
    assert not any(map(is_digest, ["0" * 63, "0" * 65, "G" * 64, "0" * 63 + "\n", None, 5]))


def test_a_file_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / "file.json"
    replace_file(path, b"first")
    replace_file(path, json.dumps({"a": 1}).encode())
    assert json.loads(path.read_bytes()) == {"a": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["file.json"]


@pytest.mark.parametrize("wrong", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_what_goes_wrong_leaves_the_file_as_it_was(tmp_path, wrong):
    path = tmp_path / "file.json"
    path.write_bytes(b"before")
    expected = OutputError if isinstance(wrong, OSError) else KeyboardInterrupt

    def write():
        with in_one_step(path) as partial:
            partial.write_bytes(b"half of")
            raise wrong

    with pytest.raises(expected):
        write()
    assert path.read_bytes() == b"before"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file.json"]


def test_errors_of_a_file_name_it_and_what_it_is(tmp_path):
    place = tmp_path / "no" / "folder.json"
    with pytest.raises(OutputError, match=r"cannot write .*folder\.json: No such file"):
        replace_file(place, b"")
    with pytest.raises(OutputError, match=r"folder\.json: cannot write the project: No such"):
        replace_file(place, b"", "the project")
    with pytest.raises(OutputError, match="null"):
        replace_file(tmp_path / "a\0b", b"")
    # A mistake of whoever writes is theirs, though it is a ValueError as well.
    with pytest.raises(ParameterError), in_one_step(tmp_path / "a"):
        raise ParameterError("bits=7")
