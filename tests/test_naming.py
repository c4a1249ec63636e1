"""Inputs found, folders without collisions, and names that are safe to print."""

from __future__ import annotations

import os
import time
import unicodedata
from pathlib import Path

import files
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiosep.errors import InputError
from audiosep.io.naming import (
    SUFFIXES,
    Job,
    Planner,
    absent,
    display,
    each_once,
    find_inputs,
    track_name,
)

names = st.binary(min_size=1, max_size=255).map(
    lambda raw: os.fsdecode(raw.replace(b"/", b"_").replace(b"\0", b"_"))
)


def plan_folders(sources, out):
    """As a batch does: first all are counted, then each is given a folder of its own."""
    planner, sources = Planner(), list(sources)
    for source in sources:
        planner.count(source)
    return [Job(source=source, folder=out / planner.folder(source)) for source in sources]


def folders(*sources):
    return [job.folder.name for job in plan_folders([Path(s) for s in sources], Path("out"))]


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"plain.wav", "plain.wav"),
        ("Größe 🎵".encode(), "Größe 🎵"),
        (b"new\nline", "new\\nline"),
        (b"\x1b[31mred", "\\x1b[31mred"),
        (b"bell\x07tab\t", "bell\\x07tab\\t"),
        ("right\u202eleft".encode(), "right\\u202eleft"),
        (b"latin-\xe9", "latin-\\xe9"),
        (b"9" * 5000, f"{'9' * 100}...{'9' * 100}"),
    ],
)
def test_display(raw, text):
    assert display(os.fsdecode(raw)) == text
    assert display(Path(os.fsdecode(raw))) == text


@given(names)
def test_whatever_is_displayed_can_be_printed(name):
    text = display(name)
    assert text.isprintable()
    text.encode("utf-8")


def test_files_are_kept_in_order_and_once():
    found = find_inputs([Path("b"), Path("absent.wav"), Path("b"), Path("a")])
    assert found == [Path("b"), Path("absent.wav"), Path("a")]


def test_a_file_is_taken_once_in_its_first_spelling(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("x").mkdir()
    for name in ("a.wav", "b.wav"):
        Path(name).touch()
    Path("link.wav").symlink_to("a.wav")
    Path("loop.wav").symlink_to("loop.wav")
    spellings = ["a.wav", "x/../a.wav", tmp_path / "a.wav", "link.wav", "loop.wav", "b.wav", "."]
    found = find_inputs([Path(spelling) for spelling in spellings])
    assert found == [Path("a.wav"), Path("loop.wav"), Path("b.wav")]


def test_thousands_of_recordings_are_planned_at_once():
    sources = [Path(f"in/{i}/take.wav") for i in range(6000)]
    began = time.process_time()
    jobs = plan_folders(each_once(sources), Path("out"))
    assert time.process_time() - began < 2.0
    assert len({job.folder for job in jobs}) == len(sources)
    assert jobs[-1].folder.name == "take.wav-6000"


def test_hidden_files_are_taken_only_where_they_are_named(tmp_path):
    for name in ("song.wav", "._song.wav", ".old.flac"):
        (tmp_path / name).touch()
    assert find_inputs([tmp_path]) == [tmp_path / "song.wav"]
    assert find_inputs([tmp_path / "._song.wav"]) == [tmp_path / "._song.wav"]
    (tmp_path / "song.wav").unlink()
    with pytest.raises(InputError, match="is a folder without recordings"):
        find_inputs([tmp_path])


def test_folders_give_their_recordings_sorted(tmp_path):
    for name in ["b.WAV", "a.flac", "c.txt", "d", "e.mp3", ".wav"]:
        (tmp_path / name).touch()
    (tmp_path / "folder.wav").mkdir()
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "z.wav").touch()
    assert [p.name for p in find_inputs([tmp_path])] == ["a.flac", "b.WAV", "e.mp3"]
    first = tmp_path / "b.WAV"
    assert [p.name for p in find_inputs([first, tmp_path])] == ["b.WAV", "a.flac", "e.mp3"]


@pytest.mark.parametrize("suffix", sorted(SUFFIXES))
def test_endings_found_in_folders(tmp_path, suffix):
    (tmp_path / f"x{suffix.upper()}").touch()
    assert len(find_inputs([tmp_path])) == 1


def test_a_folder_without_recordings_is_an_error(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(InputError, match="a folder without recordings, and so are those in it"):
        find_inputs([tmp_path])
    (tmp_path / "in" / "it").mkdir(parents=True)
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "x.wav").touch()
    with pytest.raises(InputError, match="a folder without recordings, and so are those in it"):
        find_inputs([tmp_path])
    (tmp_path / "in" / "it" / "x.wav").touch()
    words = "name the folders below it that hold some, or use 'audiosep split -r'"
    with pytest.raises(InputError, match=f"is a folder without recordings; {words}"):
        find_inputs([tmp_path])


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("mx.wav", "mix.wav"),
        ("mxi.wav", "mix.wav"),
        ("Mix.WAV", "mix.wav"),
        ("mix.flac", "mix.wav"),
        ("mix", "mix.wav"),
        ("take 1.wav", "take1.wav"),
        ("tape", "tapes"),
        ("red\x1b[31m.mp3", "red\\x1b[31m.wav"),
    ],
)
def test_a_name_like_the_one_that_is_not_there(tmp_path, typed, meant):
    for name in ("mix.wav", "take1.wav", "red\x1b[31m.wav", "notes.txt", ".mx.wav"):
        (tmp_path / name).touch()
    (tmp_path / "tapes").mkdir()
    assert absent(tmp_path / typed) == f"does not exist; did you mean {meant}?"


@pytest.mark.parametrize(
    "typed", ["absent.wav", "take2.wav", "notes.wav", "none/mix.wav", "nul\0.wav"], ids=ascii
)
def test_no_other_name_is_guessed(tmp_path, typed):
    for name in ("mix.wav", "take1.wav", "silent.wav", "notes.txt"):
        (tmp_path / name).touch()
    assert absent(tmp_path / typed) == "does not exist; check the name."


def test_names_too_long_for_the_system_are_left_to_the_reader():
    path = Path("n" * 300 + ".wav")
    assert find_inputs([path]) == [path]


@files.needs_permissions
def test_a_folder_that_may_not_be_listed(tmp_path):
    tmp_path.chmod(0)
    with pytest.raises(InputError, match="cannot be listed"):
        find_inputs([tmp_path])


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("in/song.wav", "song"),
        ("song.tar.wav", "song.tar"),
        ("song", "song"),
        (".hidden.wav", "hidden"),
        ("...wav", "track"),
        (" .wav", "track"),
        ("-dash.wav", "-dash"),
        ("ends. .wav", "ends"),
        ("CON.wav", "CON_"),
        ("aux.tar.wav", "aux_.tar"),
        ("com\u00b3", "com\u00b3_"),
        ("console.wav", "console"),
        ("x" * 199 + " y.wav", "x" * 199),
        ("x" * 198 + "..y.wav", "x" * 198),
    ],
)
def test_track_names(source, name):
    assert track_name(Path(source)) == name


@given(names)
def test_every_track_name_is_one_visible_folder(name):
    name = track_name(Path("in") / name)
    assert name
    assert name == Path(name).name
    assert not name.startswith(".")
    assert len(os.fsencode(name)) <= 200


def test_long_names_are_cut_between_characters():
    name = track_name(Path("é" * 126 + ".wav"))
    assert name == "é" * 100
    name = track_name(Path("x" + "é" * 126 + ".wav"))
    assert name == "x" + "é" * 99


@pytest.mark.parametrize(
    ("sources", "wanted"),
    [
        (["a.wav", "b.wav"], ["a", "b"]),
        (["a.wav", "a.flac"], ["a.wav", "a.flac"]),
        (["A.wav", "a.wav"], ["A.wav", "a.wav-2"]),
        (["x/a.wav", "y/a.wav"], ["a.wav", "a.wav-2"]),
        (["x/a.wav", "y/a.wav", "z/a.wav"], ["a.wav", "a.wav-2", "a.wav-3"]),
        (["a.wav", "a.flac", "a.wav.mp3"], ["a.wav", "a.flac", "a.wav-2"]),
        (["a", "a.wav"], ["a", "a.wav"]),
        (["ß.wav", "SS.wav"], ["ß.wav", "SS.wav-2"]),
        ([".wav.wav", "wav.wav"], ["wav.wav", "wav.wav-2"]),
    ],
)
def test_collisions(sources, wanted):
    assert folders(*sources) == wanted


def test_the_two_spellings_of_an_accent_collide():
    first, second = (unicodedata.normalize(form, "é.wav") for form in ("NFC", "NFD"))
    assert first != second
    given = folders(first, second)
    assert len({unicodedata.normalize("NFC", name) for name in given}) == 2


@given(st.lists(names, max_size=12))
def test_no_two_recordings_share_a_folder(sources):
    jobs = plan_folders([Path("in") / name for name in sources], Path("out"))
    assert [job.source.name for job in jobs] == [(Path("in") / name).name for name in sources]
    keys = {unicodedata.normalize("NFC", job.folder.name).casefold() for job in jobs}
    assert len(keys) == len(jobs)
    assert all(job.folder.parent == Path("out") for job in jobs)
    assert all(len(os.fsencode(job.folder.name)) <= 210 for job in jobs)
