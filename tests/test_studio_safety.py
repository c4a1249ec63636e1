"""The studio where things go wrong: nothing is lost, overwritten or told as it is not."""

from __future__ import annotations

import errno
import json
import shutil
import threading
import time

import pytest
from studios import mixed, needs_studio

from audiosep.errors import RefusedError
from audiosep.io.header import sha256_of
from audiosep.report.finished import open_finished
from audiosep.studio import jobs, sounds, work
from audiosep.studio.changes import do
from audiosep.studio.folders import Places
from audiosep.studio.saving import save_step
from audiosep.studio.session import Session
from audiosep.verification import verify

pytestmark = needs_studio


@pytest.fixture(scope="module")
def stems(tmp_path_factory):
    """A folder of stems of tones."""
    return mixed(tmp_path_factory.mktemp("tones"))


@pytest.fixture
def session(tmp_path, stems):
    """A session with these stems, whose work is not begun: all that is asked for waits."""
    folder = tmp_path / "work"
    folder.mkdir()
    one = Session(folder, Places(roots=(tmp_path,)))
    one.open(stems)
    yield one
    one.close()


def asked(session, action, /, **given):
    do(session, action, {"version": session.version, **given})


@pytest.mark.parametrize("name", ["../../victim", "{}/out/victim", "..", "a\0b", "audiosep.json"])
def test_records_name_no_files_outside(tmp_path, stems, name):
    theirs, mine = tmp_path / "a" / "victim", tmp_path / "out" / "victim"
    for path, words in ((theirs, "theirs"), (mine, "mine")):
        path.parent.mkdir()
        path.write_text(words)
    finished = open_finished(shutil.copytree(stems, tmp_path / "a" / "b" / "c"))
    named = {name.format(tmp_path): {"sha256": sha256_of(theirs)}}
    record = {**finished.record, "files": named}
    with pytest.raises(RefusedError, match="no file of these stems"):
        save_step(finished, tmp_path / "out" / "place", record=record)
    assert mine.read_text() == "mine"
    assert [path.name for path in mine.parent.iterdir()] == ["victim"]


@pytest.mark.parametrize("content", ['{"audiosep_project": 1}', '{"mine": 1}', "[", "[1]"])
def test_a_project_of_stems_that_go_goes_too(tmp_path, stems, content):
    place = tmp_path / "place"
    finished = open_finished(stems)
    save_step(finished, place, write_project=lambda path: path.write_text(content))
    save_step(finished, place, replace=True)
    foreign = "audiosep_project" not in content
    assert (place / "project.json").exists() == foreign
    assert verify(place).problems == ()
    if foreign:
        with pytest.raises(RefusedError, match="no project by audiosep; move it away"):
            save_step(finished, place, replace=True, write_project=lambda path: path.touch())
        assert (place / "project.json").read_text() == content


def test_stems_stay_until_they_are_saved(session):
    asked(session, "rename", stem="low", name="bass")
    asked(session, "save", folder="kept")
    for name in ("undo", "redo", "undo"):  # these drop nothing
        asked(session, name)
    for name, given in (("rename", {"stem": "low", "name": "deep"}), ("close", {})):
        with pytest.raises(RefusedError, match="Wait until that is saved, or cancel it"):
            asked(session, name, **given)
    assert [step.words for step in session.history.steps][1:] == ["Renamed low to bass"]
    asked(session, "cancel", job=session.foreman.waiting(("save",)))
    asked(session, "rename", stem="low", name="deep")
    asked(session, "close")


def test_a_save_that_was_cancelled_too_late_is_told(session, tmp_path, monkeypatch):
    given = []
    monkeypatch.setattr(session.foreman, "give", given.append)
    asked(session, "save", folder="kept")
    (job,) = given
    job.failed("")
    assert session.notice[1] == "Cancelled. Nothing has changed."
    save_step(session.current().finished, tmp_path / "kept")
    job.failed("")
    assert session.notice[1].endswith("kept holds these stems already; it was too late to cancel.")


def test_components_cost_memory_only_when_they_are_heard(session, monkeypatch):
    (root,) = session.components
    known = session.components[root]
    assert "sounds" not in vars(known)
    block = session.mixer.component(root, 1, 0)
    assert known.sounds.n_components == 3
    # The oldest blocks give way to new ones.
    monkeypatch.setattr(sounds, "_CACHED_BYTES", 2 * block.nbytes)
    assert session.mixer.component(root, 1, 0) is block
    session.mixer.component(root, 2, 0)
    assert session.mixer.component(root, 1, 0) is block
    session.mixer.component(root, 3, 0)
    session.mixer.component(root, 2, 0)
    assert session.mixer.component(root, 1, 0) is not block


def test_dictionaries_that_came_meanwhile_stay(tmp_path, stems):
    file = tmp_path / "high.safetensors"
    file.write_text("mine")
    with pytest.raises(RefusedError, match="is there already"):
        work.JOBS["learn"](
            folder=str(stems), stem="high", file=str(file), n_threads=1, progress=lambda *_: None
        )
    assert file.read_text() == "mine"


class Told:
    """What becomes of a job."""

    def __init__(self):
        self.done, self.failed, self.over = [], [], threading.Event()

    def job(self, number, kind, **arguments):
        return jobs.Job(
            number=number,
            kind=kind,
            words=kind,
            arguments=arguments,
            done=lambda value: (self.done.append(value), self.over.set()),
            failed=lambda sentence: (self.failed.append(sentence), self.over.set()),
        )


def test_it_goes_on_when_no_process_could_be_started(monkeypatch, stems):
    def refuse(*_):
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    foreman, first, second = jobs.Foreman(lambda: None, 1), Told(), Told()
    with monkeypatch.context() as patch:
        patch.setattr(jobs, "_Hand", refuse)
        foreman.start()
        foreman.give(first.job(1, "draw", folder=str(stems)))
        assert first.over.wait(10)
    assert first.failed == [
        "No process can be started: Resource temporarily unavailable; close other programs."
    ]
    foreman.give(second.job(2, "draw", folder=str(stems)))
    assert second.over.wait(30)
    foreman.close()
    assert second.failed == []
    assert len(second.done[0]["stems"]) == 2


def test_what_was_saved_is_not_told_as_cancelled(tmp_path, stems):
    place, told = tmp_path / "place", Told()

    def watch():
        view = foreman.view
        if view is None or view.stage != "write":
            return
        end = time.monotonic() + 30
        while not place.exists() or [*tmp_path.glob(".audiosep-*")]:
            assert time.monotonic() < end
            time.sleep(0.01)
        time.sleep(0.5)  # its word is on the way
        assert foreman.cancel(1)

    foreman = jobs.Foreman(watch, 1)
    foreman.start()
    steps = [{"kind": "open", "folder": str(stems)}]
    foreman.give(told.job(1, "save", steps=steps, place=str(place), input_name=None, replace=False))
    assert told.over.wait(40)
    foreman.close()
    assert told.failed == []
    n_files, _ = told.done[0]
    assert n_files == len([*place.iterdir()])
    assert json.loads((place / "audiosep.json").read_text())["stems"]
