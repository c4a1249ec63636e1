"""Trees of folders: what in them is a recording, and where its stems go."""

from __future__ import annotations

import os
from pathlib import Path, PurePath

import pytest

from audiosep.cli.folders import find_recordings
from audiosep.errors import InputError
from audiosep.io.naming import Planner


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def touch(*names):
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


def found(folder="in", out="out"):
    recordings = find_recordings(Path(folder), recursive=True, out=Path(out))
    return [(str(one.source), str(one.below)) for one in recordings]


def test_trees_are_walked_in_order(here):
    touch("in/b.wav", "in/a.FLAC", "in/notes.txt", "in/y/z/c.mp3", "in/x/d.wav")
    assert found() == [
        ("in/a.FLAC", "."),
        ("in/b.wav", "."),
        ("in/x/d.wav", "x"),
        ("in/y/z/c.mp3", "y/z"),
    ]


def test_what_is_no_recording(here):
    touch("in/a.wav", "in/.hidden.wav", "in/._a.wav", "in/.git/b.wav", "in/.audiosep-x/new/c.wav")
    touch("in/stems/voice.wav", "in/stems/audiosep.json", "in/stems/old/voice.wav")
    touch("in/out/track/voice.wav", "in/outer/b.wav")
    Path("in/folder.wav").mkdir()
    os.mkfifo("in/pipe.wav")
    for link, target in {
        "in/loop": ".",
        "in/up": "..",
        "in/self.wav": "self.wav",
        "in/nowhere.wav": "absent",
        "in/again.wav": "a.wav",
    }.items():
        Path(link).symlink_to(target)
    names = [source for source, _ in found(out="in/out")]
    # Links that lead nowhere are reported when they are opened; one file is taken once.
    assert names == ["in/a.wav", "in/nowhere.wav", "in/self.wav", "in/outer/b.wav"]
    Path("elsewhere").symlink_to("in/out")
    assert [source for source, _ in found(out="elsewhere")] == names


def test_folders_without_recordings(here):
    touch("in/x/notes.txt")
    with pytest.raises(InputError, match="in is a folder without recordings, and so are those in"):
        found()
    touch("in/x/audiosep.json", "in/x/voice.wav")
    with pytest.raises(InputError, match="without recordings"):
        found()


def test_a_folder_that_cannot_be_looked_into_keeps_no_other_away(here, monkeypatch):
    touch("in/a.wav", "in/closed/b.wav", "in/x/c.wav")
    scandir = os.scandir

    def closed(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)
    recordings = find_recordings(Path("in"), recursive=True, out=Path("out"))
    assert [str(one.source) for one in recordings] == ["in/a.wav", "in/x/c.wav", "in/closed"]
    assert recordings[-1].problem == "in/closed cannot be listed: Permission denied."


@pytest.mark.parametrize("recursive", [False, True])
def test_stems_are_named_one_by_one_or_not_at_all(here, recursive):
    touch("stems/audiosep.json", "stems/voice.wav")
    with pytest.raises(InputError, match="stems"):
        find_recordings(Path("stems"), recursive=recursive, out=Path("out"))
    (one,) = find_recordings(Path("stems/voice.wav"), recursive=recursive, out=Path("out"))
    assert (one.source, one.below) == (Path("stems/voice.wav"), PurePath())


def planned(*recordings):
    """Folder of each recording, given by its path below the folder that was named."""
    paths = [PurePath(recording) for recording in recordings]
    planner = Planner()
    for path in paths:
        planner.count(Path(path), path.parent)
    first = [str(planner.folder(Path(path), path.parent)) for path in paths]
    anew = planner.again()
    assert [str(anew.folder(Path(path), path.parent)) for path in paths] == first
    return first


@pytest.mark.parametrize(
    ("recordings", "folders"),
    [
        (["a.wav", "x/a.wav"], ["a", "x/a"]),
        (["x/a.wav", "x/a.flac", "y/a.wav"], ["x/a.wav", "x/a.flac", "y/a"]),
        # A recording that is called as a folder would have its stems among the tracks in it.
        (["x.wav", "x/a.wav"], ["x.wav", "x/a"]),
        (["x.wav", "x.wav/a.wav"], ["x", "x.wav/a"]),
        (["x", "x/a.wav"], ["x-2", "x/a"]),
        (["X.wav", "x/y/a.wav"], ["X.wav", "x/y/a"]),
        (["X/a.wav", "x/a.wav"], ["X/a.wav", "x/a.wav-2"]),
    ],
)
def test_trees_are_mirrored_without_collisions(recordings, folders):
    assert planned(*recordings) == folders


def test_names_that_were_asked_for():
    planner = Planner()
    for _ in range(2):
        planner.count(Path("a.wav"), PurePath("x"), "take")
    found = [str(planner.folder(Path("a.wav"), PurePath("x"), "take")) for _ in range(2)]
    assert found == ["x/take", "x/take-2"]
