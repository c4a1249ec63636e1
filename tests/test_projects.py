"""Projects: written, read strictly, and replayed to the same bytes."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from dataclasses import replace

import files
import numpy as np
import pytest
import scenes

import audiosep
from audiosep.errors import InputError, OutputError, ParameterError, RefusedError, UsageError
from audiosep.projects import (
    PaintStep,
    Project,
    RegroupStep,
    load_project,
    project_of,
    save_project,
)
from audiosep.replaying import replay
from audiosep.research.painted_regions import region_from_text
from audiosep.research.painting import paint
from audiosep.research.regrouping import regroup
from audiosep.separator import Separator

SR = 8000
REGION = region_from_text("kept=0.2-0.7,100-900hz")
STEPS = (
    RegroupStep(move=(((2, 3), "kept"),)),
    RegroupStep(rename=(("source-1", "first"),)),
    PaintStep(regions=(REGION,), seed=3),
    RegroupStep(merge=(("first", "kept"),)),
)


def write_mixture(path):
    stems = scenes.band(SR, 1.5)
    mixture = np.stack([sum(stems.values()), stems["bass"] + 0.5 * stems["drums"]])
    return files.write_sound(path, 0.5 * mixture / np.abs(mixture).max(), SR)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A recording, what was split off it, and all steps done by hand; no test changes them."""
    folder = tmp_path_factory.mktemp("project")
    write_mixture(folder / "mix.wav")
    separator = Separator(
        preset="components", n_sources=2, n_components=5, max_iter=8, seed=5, n_threads=1
    )
    separator.split(folder / "mix.wav", folder / "split", start=0.1, bits=16)
    regroup(folder / "split", move={(2, 3): "kept"}, out=folder / "1", n_threads=1)
    names = list(json.loads((folder / "1/audiosep.json").read_text())["stems"])
    other = next(name for name in names if name != "kept")
    regroup(folder / "1", rename={other: "first"}, out=folder / "2", n_threads=1)
    paint(folder / "2", [REGION], out=folder / "3", seed=3, n_threads=1)
    regroup(folder / "3", merge=[("first", "kept")], out=folder / "4", n_threads=1)
    return folder


@pytest.fixture(scope="module")
def steps(home):
    """The steps, with the names that the stems have."""
    names = json.loads((home / "2/audiosep.json").read_text())["settings"]["regrouped"]["rename"]
    return (STEPS[0], RegroupStep(rename=tuple(names.items())), *STEPS[2:])


@pytest.fixture(scope="module")
def project(home, steps):
    return project_of(home / "split", steps, result=home / "4")


def digests(folder):
    return {
        p.name: hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.iterdir())
        if p.name != "audiosep.json"
    }


def without_times_and_places(record):
    settings = {
        name: {k: v for k, v in value.items() if k not in ("from", "record_sha256")}
        if name in ("regrouped", "painted")
        else value
        for name, value in record["settings"].items()
    }
    return {**record, "settings": settings, "timings_s": None}


def test_a_replay_gives_what_was_done_by_hand_byte_for_byte(home, project, tmp_path):
    done = replay(project, out=tmp_path / "again", n_threads=2)
    assert done.same is True
    assert digests(tmp_path / "again") == digests(home / "4")
    by_hand = json.loads((home / "4/audiosep.json").read_text())
    again = json.loads((tmp_path / "again/audiosep.json").read_text())
    assert without_times_and_places(again) == without_times_and_places(by_hand)
    assert str(tmp_path) not in json.dumps(again["settings"])
    assert [p.name for p in tmp_path.iterdir()] == ["again"]


def test_a_replay_without_steps_is_the_separation(home, tmp_path):
    project = project_of(home / "split", result=home / "split")
    done = replay(project, out=tmp_path / "again", n_threads=1)
    assert done.same is True
    assert digests(tmp_path / "again") == digests(home / "split")


def test_the_factorization_is_the_same_up_to_the_last_move(home, steps, tmp_path):
    project = project_of(home / "split", steps[:2], result=home / "2")
    assert replay(project, out=tmp_path / "again", n_threads=1).same
    assert "factorization.safetensors" in digests(home / "2")
    assert digests(tmp_path / "again") == digests(home / "2")


def test_other_stems_than_those_saved_are_told(home, project, tmp_path):
    other = replace(project, stems=dict.fromkeys(project.stems, "0" * 64))
    assert replay(other, out=tmp_path / "a", n_threads=1).same is False
    unknown = replace(project, stems={}, steps=())
    assert replay(unknown, out=tmp_path / "b", n_threads=1).same is None


def test_files_hold_projects(project, tmp_path):
    save_project(project, tmp_path / "project.json")
    assert load_project(tmp_path / "project.json") == project
    content = (tmp_path / "project.json").read_bytes()
    save_project(project, tmp_path / "project.json")
    assert (tmp_path / "project.json").read_bytes() == content
    assert [p.name for p in tmp_path.iterdir()] == ["project.json"]


def test_a_recording_beside_the_project_moves_with_it(home, steps, tmp_path):
    before = tmp_path / "before"
    before.mkdir()
    shutil.copy(home / "mix.wav", before)
    project = replace(project_of(home / "split"), input_path=str(before / "mix.wav"))
    save_project(project, before / "project.json")
    assert json.loads((before / "project.json").read_text())["input"]["path"] == "mix.wav"
    before.rename(tmp_path / "after")
    loaded = load_project(tmp_path / "after/project.json")
    assert loaded.input_path == str(tmp_path / "after/mix.wav")
    assert replay(loaded, out=tmp_path / "out", n_threads=1).same is None


def test_examples_that_are_regions_are_told_again(tmp_path):
    write_mixture(tmp_path / "mix.wav")
    shutil.copy(tmp_path / "mix.wav", tmp_path / "known.wav")
    examples = {"low": ["@0-0.4"], "rough": ["@0.5-0.8", str(tmp_path / "known.wav")]}
    separator = Separator(examples=examples, quality="fast", n_threads=1)
    saved = separator.split(tmp_path / "mix.wav", tmp_path / "split")
    project = project_of(tmp_path / "split", result=tmp_path / "split")
    assert project.settings["examples"] == examples
    assert replay(project, out=tmp_path / "again", n_threads=1).same
    files.write_sound(tmp_path / "known.wav", files.noise(), SR)
    with pytest.raises(InputError, match="the examples of the project"):
        replay(project, out=tmp_path / "third", n_threads=1)
    assert set(saved.paths) == set(project.stems)


def test_a_dictionary_has_to_be_told(tmp_path):
    write_mixture(tmp_path / "mix.wav")
    record = {
        "input": {"path": str(tmp_path / "mix.wav"), "sha256": "0" * 64, "start": 0.0},
        "settings": {"preset": "drums", "dictionary": "1" * 64, "seed": 0},
        "output": {},
        "analysis": {},
    }
    record["input"]["duration"] = None
    (tmp_path / "audiosep.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match="made with a dictionary; tell where that is"):
        project_of(tmp_path)
    told = project_of(tmp_path, told={"dictionary": tmp_path / "kit.safetensors"})
    assert told.settings["dictionary"] == str(tmp_path / "kit.safetensors")


# --- what is refused ----------------------------------------------------------------------------


def test_folders_that_make_no_project_are_refused(home, tmp_path):
    with pytest.raises(InputError, match="holds no finished separation"):
        project_of(tmp_path)
    with pytest.raises(InputError, match="was not written by 'audiosep split'"):
        project_of(home / "3")
    audiosep.separate(files.noise(), SR, **files.SMALL_SETTINGS).save(tmp_path / "memory")
    with pytest.raises(InputError, match="made of samples in memory"):
        project_of(tmp_path / "memory")
    record = json.loads((home / "split/audiosep.json").read_text())
    record["analysis"]["chunk_s"] = 50.0
    (tmp_path / "audiosep.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match="--max-memory"):
        project_of(tmp_path)
    for part, more in (("output", {"keep": "a"}), ("input", {"reading": {"stream": 2}})):
        record = json.loads((home / "split/audiosep.json").read_text())
        record[part] |= more
        (tmp_path / "audiosep.json").write_text(json.dumps(record))
        with pytest.raises(InputError, match="options that a project does not keep"):
            project_of(tmp_path)


def test_another_recording_is_refused(project, tmp_path):
    files.write_sound(tmp_path / "other.wav", files.noise(), SR)
    with pytest.raises(InputError, match=r"made with; name the right one with --input\.$"):
        replay(project, source=tmp_path / "other.wav", out=tmp_path / "out")
    with pytest.raises(InputError, match="is not there or cannot be read"):
        replay(project, source=tmp_path / "missing.wav", out=tmp_path / "out")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="is not there or cannot be read"):
        replay(project, source=tmp_path / "pipe", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_step_that_cannot_be_done_leaves_nothing(project, tmp_path):
    wrong = replace(project, steps=(RegroupStep(move=(((99,), "x"),)),))
    with pytest.raises(UsageError, match="there is no component 99") as refused:
        replay(wrong, out=tmp_path / "out", n_threads=1)
    assert "in step 1 of the project" in refused.value.__notes__
    assert not list(tmp_path.iterdir())


def test_a_place_that_is_taken_is_refused(project, tmp_path):
    with pytest.raises(RefusedError, match="exists already"):
        replay(project, out=tmp_path)


@pytest.mark.parametrize(
    "make",
    [
        lambda: RegroupStep(),
        lambda: RegroupStep(merge=(("a/b", "c"),)),
        lambda: RegroupStep(merge=((0, 1),)),
        lambda: RegroupStep(merge=("ab",)),
        lambda: RegroupStep(move=(((1,), "../x"),)),
        lambda: RegroupStep(move=(((True,), "x"),)),
        lambda: RegroupStep(move=((1, "x"),)),
        lambda: RegroupStep(rename=(("a",),)),
        lambda: RegroupStep(rename=(("a", "b"), ("a", "c"))),
        lambda: RegroupStep(rename=(("a", "b"),) * 2000),
        lambda: PaintStep(regions=()),
        lambda: PaintStep(regions=(1,)),
        lambda: PaintStep(regions=(REGION,), seed=-1),
        lambda: PaintStep(regions=(REGION,), refit=1),
        lambda: Project(input_path="http://host/mix.wav", input_sha256="0" * 64),
        lambda: Project(input_path="a\0b", input_sha256="0" * 64),
        lambda: Project(input_path="\ud800", input_sha256="0" * 64),
        lambda: Project(input_path="mix.wav", input_sha256="xyz"),
        lambda: Project(input_path="mix.wav", input_sha256="0" * 64, start=-1),
        lambda: Project(input_path="mix.wav", input_sha256="0" * 64, settings={"n_threads": 1}),
        lambda: Project(input_path="mix.wav", input_sha256="0" * 64, settings={"seed": []}),
        lambda: Project(input_path="mix.wav", input_sha256="0" * 64, output={"x": 1}),
        lambda: Project(input_path="mix.wav", input_sha256="0" * 64, output={"bits": [1]}),
        lambda: Project(input_path="mix.wav", input_sha256="0" * 64, settings={"beta": 10**400}),
        lambda: Project(input_path="mix.wav", input_sha256="0" * 64, stems={"../x": "0" * 64}),
        lambda: Project(
            input_path="mix.wav", input_sha256="0" * 64, settings={"examples": {"../a": ["@0-1"]}}
        ),
    ],
)
def test_what_cannot_be_is_refused(make):
    with pytest.raises(ParameterError):
        make()


def hostile(change):
    """A project's JSON with something changed."""

    def made(content):
        change(content)
        return json.dumps(content).encode()

    return made


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda c: b"", "no JSON"),
        (lambda c: b"\xff", "no JSON in UTF-8"),
        (lambda c: b"[" * 100_000, "no JSON"),
        (lambda c: b"[]", "has no 'audiosep_project'; give a project file that audiosep wrote"),
        (lambda c: b" " * (2**20 + 1), "too large"),
        (lambda c: json.dumps(c).replace('"start": 0.1', '"start": NaN').encode(), "no JSON"),
        (lambda c: json.dumps(c).replace("{", '{"a": 1, "a": 2, ', 1).encode(), "no JSON"),
        (hostile(lambda c: c.update(audiosep_project=2)), "version 2, and version 1"),
        (hostile(lambda c: c.update(audiosep_project=True)), "version True"),
        (hostile(lambda c: c.update(more=1)), "has 'more', which is unknown"),
        (hostile(lambda c: c.pop("steps")), "lacks 'steps'"),
        (hostile(lambda c: c["input"].update(path="../mix.wav")), "leaves its folder"),
        (hostile(lambda c: c["input"].update(path="s3://bucket/mix.wav")), "not an address"),
        (hostile(lambda c: c["input"].update(path=3)), "path of the recording"),
        (hostile(lambda c: c["input"].update(path="\ud800")), "path of the recording"),
        (hostile(lambda c: c["input"].update(start="0")), "start='0'"),
        (hostile(lambda c: c.update(input=[])), "its input is no pairs"),
        (hostile(lambda c: c.update(settings=[])), "its settings are no pairs"),
        (hostile(lambda c: c["settings"].update(secret=1)), "no setting 'secret'"),
        (hostile(lambda c: c.update(steps={})), "its steps are no list"),
        (hostile(lambda c: c.update(steps=[{"erase": {}}])), "step 1: 'erase' is neither"),
        (hostile(lambda c: c.update(steps=[{}])), "step 1: it is neither"),
        (hostile(lambda c: c.update(steps=[c["steps"][0]] * 1001)), "at most 1000 steps"),
        (hostile(lambda c: c["steps"][0]["regroup"].update(x=1)), "step 1: it has 'x'"),
        (hostile(lambda c: c["steps"][0]["regroup"].update(move=[[[1], "../x"]])), "step 1: the"),
        (hostile(lambda c: c["steps"][2]["paint"].update(regions=5)), "step 3: its regions"),
        (hostile(lambda c: c["steps"][2]["paint"]["regions"][0].update(stem="/x")), "step 3: the"),
        (hostile(lambda c: c["steps"][2]["paint"]["regions"][0].update(start_s=10**400)), "step 3"),
        (hostile(lambda c: c.update(stems={"x": 1})), "SHA-256 of the stem x"),
        (hostile(lambda c: c.update(audiosep=[])), "version of audiosep"),
    ],
)
def test_hostile_files_are_refused_in_a_sentence(project, tmp_path, make, words):
    path = tmp_path / "project.json"
    save_project(project, path)
    path.write_bytes(make(json.loads(path.read_text())))
    with pytest.raises(InputError, match=words) as refused:
        load_project(path)
    assert "project.json is no project that can be replayed" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_what_is_no_file_is_refused(project, tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        load_project(tmp_path / "missing.json")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="it is no file"):
        load_project(tmp_path / "pipe")
    with pytest.raises(OutputError, match="cannot write the project"):
        save_project(project, tmp_path / "no/folder.json")


def test_the_command_replays(home, project, tmp_path):
    save_project(replace(project, input_path="/gone/mix.wav"), tmp_path / "project.json")
    command = [*files.COMMAND, "replay", "project.json", "--threads", "1"]
    lost = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert lost.returncode == 3
    assert "say with --input" in lost.stderr
    done = subprocess.run(
        [*command, "--input", str(home / "mix.wav"), "--json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    said = json.loads(done.stdout)
    assert said["same"] is True
    assert said["place"] == "mix-replayed"
    assert digests(tmp_path / "mix-replayed") == digests(home / "4")
