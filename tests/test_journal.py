"""The journal of a batch: appended to by many, read after any death."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import files
import pytest
from test_manifest import OPTIONS

from audiosep.cli.journal import Journal, Remembered, stamp_of
from audiosep.errors import OutputError, RefusedError


def done(**more):
    return {"status": "done", "stamp": "s"} | more


def failed(**more):
    return {"status": "failed", "stamp": "s", "kind": "recording", "error": "bad."} | more


@pytest.fixture
def path(tmp_path):
    return tmp_path / "below" / "journal.jsonl"


def write(path, *entries):
    journal = Journal(path)
    journal.open()
    for entry in entries:
        journal.append(**entry)
    journal.close()


def test_the_last_word_counts(path):
    write(path, {"event": "begin"}, failed(track="a"), done(track="b", place="b-2"))
    write(path, done(track="a", stamp="t"), failed(track="c", kind="timeout", timeout_s=3.0))
    tracks = Journal(path).read()
    assert tracks["a"] == Remembered(status="done", stamp="t", place="a")
    assert tracks["b"].place == "b-2"
    assert (tracks["c"].kind, tracks["c"].timeout_s, tracks["c"].error) == ("timeout", 3.0, "bad.")
    for line in path.read_text("ascii").splitlines():
        assert json.loads(line)["journal"] == 1


def test_there_is_none_yet(path):
    assert Journal(path).read() == {}
    assert not path.parent.exists()


def test_nothing_is_appended_before_it_is_opened(path):
    Journal(path).append(**done(track="a"))
    assert not path.exists()


def test_names_that_are_no_text(path):
    name = os.fsdecode(b"latin-\xe9\n\x1b[31m")
    write(path, done(track=name))
    assert set(Journal(path).read()) == {name}


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_a_line_that_a_death_has_cut(path, share):
    write(path, done(track="a"), done(track="b"))
    data = path.read_bytes()
    first = data.index(b"\n") + 1
    path.write_bytes(data[: first + int((len(data) - first) * share)])
    assert set(Journal(path).read()) == {"a"}
    write(path, done(track="c"))
    assert set(Journal(path).read()) == {"a", "c"}


@pytest.mark.parametrize(
    "line",
    [
        b"\xff\xfe\x00",
        b"[1, 2]",
        b"[" * 100_000,
        b'{"journal": 1, "track": 3, "status": "done"}',
        b'{"journal": 1, "track": "x", "status": "done"}',
        b'{"journal": 1, "track": "x", "status": "great", "stamp": "s"}',
        b'{"journal": 1, "track": "x", "status": "failed", "stamp": "s", "timeout_s": "long"}',
    ],
)
def test_lines_that_are_none_are_passed_over(path, line):
    write(path, done(track="a"))
    path.write_bytes(path.read_bytes() + line + b"\n")
    write(path, done(track="b"))
    assert set(Journal(path).read()) == {"a", "b"}


def test_what_is_no_journal_is_left_alone(tmp_path):
    notes = tmp_path / "notes.txt"
    notes.write_text("mine\n")
    with pytest.raises(RefusedError, match=r"notes\.txt is no journal of audiosep"):
        Journal(notes).read()


def test_a_journal_of_a_newer_version(path):
    write(path)
    path.write_text('{"journal": 2, "track": "a"}\n')
    with pytest.raises(RefusedError, match="was written by a newer version"):
        Journal(path).read()


def test_places_where_none_can_be(tmp_path):
    with pytest.raises(OutputError, match="cannot be read: Is a directory"):
        Journal(tmp_path).read()
    with pytest.raises(OutputError, match=r"cannot write to .*choose another file with --journal"):
        Journal(tmp_path).open()
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot write to"):
        Journal(tmp_path / "file" / "journal").open()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no disk is always full here")
def test_a_full_disk():
    journal = Journal(Path("/dev/full"))
    journal.open()
    with pytest.raises(OutputError, match="No space left"):
        journal.append(**done(track="a"))
    journal.close()


def test_stamps(tmp_path):
    sound = files.write_sound(tmp_path / "a.wav")
    stamp = stamp_of(sound, OPTIONS)
    assert stamp == stamp_of(sound, OPTIONS)
    for same in ({"out": Path("x")}, {"exists": "overwrite"}, {"n_threads": 3}, {"dry_run": True}):
        assert stamp_of(sound, replace(OPTIONS, **same)) == stamp
    for other in ({"preset": "drums"}, {"start": 1.0}, {"bits": "24"}, {"examples": ("a=b",)}):
        assert stamp_of(sound, replace(OPTIONS, **other)) != stamp
    os.utime(sound, ns=(1, 1))
    assert stamp_of(sound, OPTIONS) != stamp
    absent = tmp_path / "absent.wav"
    assert stamp_of(absent, OPTIONS) == stamp_of(absent, OPTIONS)


@pytest.mark.parametrize(
    ("more", "timeout_s", "lasts"),
    [
        ({}, None, True),
        ({"kind": "crash"}, None, True),
        ({"kind": "unexpected"}, None, True),
        ({"kind": "output"}, None, False),
        ({"kind": "refused"}, None, False),
        ({"kind": "memory"}, None, False),
        ({"kind": "usage"}, None, False),
        ({"status": "done", "kind": ""}, None, False),
        ({"stamp": "t"}, None, False),
        ({"kind": "timeout", "timeout_s": 5.0}, 5.0, True),
        ({"kind": "timeout", "timeout_s": 5.0}, 2.0, True),
        ({"kind": "timeout", "timeout_s": 5.0}, 6.0, False),
        ({"kind": "timeout", "timeout_s": 5.0}, None, False),
    ],
)
def test_which_failures_are_not_tried_again(more, timeout_s, lasts):
    past = Remembered(**({"place": "a"} | failed() | more))
    assert past.lasts("s", timeout_s) is lasts
