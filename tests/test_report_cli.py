"""``audiosep report`` and ``--report``: when a page is written, and what is refused."""

from __future__ import annotations

import hashlib
import json
import shutil

import files
import pytest
import stores
from reports import (
    data_of,
    edited,
    inside,
    outline,
    reported_components,
    reported_tones,
)

from audiosep.errors import InputError, OutputError, RefusedError
from audiosep.report import write_report
from audiosep.report.finished import record_digest
from audiosep.report.marks import MARK, is_current


@pytest.fixture(scope="module")
def stems(tmp_path_factory):
    return reported_tones(tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def components(tmp_path_factory):
    return reported_components(tmp_path_factory.mktemp("components"))


@pytest.fixture
def run(monkeypatch, capsys):
    return inside(monkeypatch, capsys)


def test_components_by_themselves_and_grouped_anew(tmp_path, run):
    source = files.write_sound(tmp_path / "mix.wav")
    some = ("--components", "3", "--iterations", "2", "--seed", "5")
    assert run("atoms", source, *some, "-o", tmp_path / "atoms").code == 0
    atoms = tmp_path / "atoms" / "mix"
    assert run("report", atoms).code == 0
    text = (atoms / "report.html").read_text()
    assert f"audiosep atoms {source} --components 3" in text
    assert len(data_of(outline(atoms))["components"]) == 3
    grouped = tmp_path / "grouped"
    done = run("regroup", atoms, "--move", "1,2=both", "-o", grouped)
    assert done.code == 0, done.err
    assert run("report", grouped).code == 0
    data = data_of(outline(grouped))
    assert [one["stem"] for one in data["components"]].count("both") == 2
    assert "Then regroup the components" in (grouped / "report.html").read_text()
    silent = tmp_path / "silent"
    assert run("atoms", source, *some, "--sounds", "none", "-o", silent).code == 0
    done = run("report", silent / "mix")
    assert done.code == 3
    assert "no stems to listen to" in done.err


def test_report_of_a_folder(stems, tmp_path, run):
    done = run("report", stems, "-o", tmp_path / "page.html")
    assert (done.code, done.out.strip()) == (0, str(tmp_path / "page.html"))
    done = run("report", stems, "-o", tmp_path / "page.html", "--json")
    entry = json.loads(done.out)
    assert (entry["status"], entry["bytes"]) == ("done", (tmp_path / "page.html").stat().st_size)


def test_a_report_replaces_nothing_but_a_report(stems, tmp_path, run):
    (tmp_path / "page.html").write_text("<!doctype html>\nmine")
    done = run("report", stems, "-o", tmp_path / "page.html")
    assert done.code == 5
    assert "is no report" in done.err
    assert (tmp_path / "page.html").read_text().endswith("mine")
    done = run("report", stems, "-o", tmp_path / "no" / "page.html")
    assert done.code == 4
    done = run("report", stems, "-o", tmp_path)
    assert done.code == 5


def test_a_disk_that_is_full_leaves_nothing(stems, tmp_path):
    target = tmp_path / "copy"
    shutil.copytree(stems, target, ignore=shutil.ignore_patterns("report.html"))
    before = files.tree(target)
    done = files.audiosep("report", str(target), largest_file=10_000)
    assert done.code == 4, done.err
    assert done.err.count("\n") == 1
    assert files.tree(target) == before


def test_split_with_report_does_not_separate_again(components, run, monkeypatch):
    record = (components / "audiosep.json").read_bytes()
    stem = next(components.glob("*.wav"))
    before = stem.stat().st_ino
    source = components.parent.parent / "mix.wav"
    arguments = ("split", *files.SMALL, source, "-o", components.parent)
    page = components / "report.html"
    written = page.stat().st_mtime_ns
    done = run(*arguments, "--report", "--json")
    entry = json.loads(done.out)
    assert entry["status"] == "skipped"
    assert entry["files"]["report.html"] == str(page)
    assert page.stat().st_mtime_ns == written, "a report that tells of these stems is kept"
    page.unlink()
    done = run(*arguments)
    assert "already done" in done.err
    assert not page.exists()
    done = run(*arguments, "--report", "--dry-run")
    assert (done.code, page.exists()) == (0, False)
    done = run(*arguments, "--report")
    assert "already done" in done.err
    assert str(page) in done.out.splitlines()
    assert page.exists()
    assert (components / "audiosep.json").read_bytes() == record
    assert stem.stat().st_ino == before


def test_a_report_of_other_stems_does_not_stay(tmp_path, run):
    source = files.write_sound(tmp_path / "mix.wav")
    arguments = ("split", *files.SMALL, source, "-o", tmp_path / "out")
    page = tmp_path / "out" / "mix" / "report.html"
    assert run(*arguments, "--report").code == 0
    first = page.read_bytes()
    assert run(*arguments, "--exists", "overwrite", "--seed", "1").code == 0
    assert not page.exists()
    page.write_text("my own words about it")
    other = (*arguments, "--seed", "2")
    assert run(*other, "--exists", "overwrite").code == 0
    assert page.read_text() == "my own words about it"
    page.write_bytes(first)
    done = run(*other, "--report")
    assert "already done" in done.err
    assert page.read_bytes() not in (b"", first), "of other stems, so that it is made anew"


def test_batch_writes_reports(tmp_path, run):
    for name in "ab":
        files.write_sound(tmp_path / f"{name}.wav", files.noise(seed=ord(name)))
    (tmp_path / "list.csv").write_text("input\na.wav\nb.wav\n")
    arguments = ("batch", tmp_path / "list.csv", *files.SMALL, "-o", tmp_path / "out")
    assert run(*arguments).code == 0
    assert not list((tmp_path / "out").rglob("report.html"))
    before = files.tree(tmp_path / "out" / "a")
    done = run(*arguments, "--report")
    assert done.code == 0, done.err
    assert len(list((tmp_path / "out").rglob("report.html"))) == 2
    after = files.tree(tmp_path / "out" / "a")
    assert {name: after[name] for name in before} == before


def test_reports_of_remote_stems(tmp_path, monkeypatch, run):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with stores.s3_server(tmp_path / "log") as address:
        for name, value in stores.s3_environment(address).items():
            monkeypatch.setenv(name, value)
        store = stores.new_store()
        store.mkdir("tapes")
        store.put_file(str(files.write_sound(tmp_path / "mix.wav")), "tapes/mix.wav")
        source = "s3://tapes/mix.wav"
        there = ("split", *files.SMALL, source, "-o", "s3://tapes/out", "--report")
        done = run(*there)
        assert done.code == 0, done.err
        assert "s3://tapes/out/mix/report.html" in done.out.splitlines()
        text = store.cat_file("tapes/out/mix/report.html").decode()
        assert f"audiosep split {source} --preset" in text
        record = json.loads(store.cat_file("tapes/out/mix/audiosep.json"))
        assert text.startswith(MARK + record_digest(record))
        assert str(tmp_path) not in text
        done = run(*there)
        assert done.code == 0
        assert "use 'audiosep report'" in done.err
        # A page that tells of stems that are no longer there goes; what is not ours stays.
        again = ("split", *files.SMALL, source, "-o", "s3://tapes/out", "--exists", "overwrite")
        assert run(*again, "--seed", "1").code == 0
        assert not store.exists("tapes/out/mix/report.html")
        store.pipe_file("tapes/out/mix/report.html", b"mine")
        assert run(*again, "--seed", "2").code == 0
        assert store.cat_file("tapes/out/mix/report.html") == b"mine"
        here = ("split", *files.SMALL, source, "-o", tmp_path / "out", "--report", "--json")
        page = tmp_path / "out" / "mix" / "report.html"
        assert json.loads(run(*here).out)["files"]["report.html"] == str(page)
        assert source in page.read_text()
        assert is_current(page, page.parent)
        page.unlink()
        assert json.loads(run(*here).out)["status"] == "skipped"
        assert is_current(page, page.parent)


def _without(key):
    return lambda record: record.pop(key)


BROKEN = {
    "no stems": _without("stems"),
    "no input": _without("input"),
    "a list": lambda record: record.update(stems=[]),
    "stems that are numbers": lambda record: record.update(stems={"a": 1}),
    "outside": lambda record: record["stems"]["low"].update(file="../low.wav"),
    "text for a number": lambda record: record["input"].update(sr="fast"),
    "negative": lambda record: record["input"].update(n_samples=-5),
    "no numbers": lambda record: record.update(losses=["a"]),
    "not finite": lambda record: record.update(losses=[float("nan")]),
    "notes": lambda record: record.update(notes=[{}]),
    "a note that is no list": lambda record: record.update(notes="a note"),
    "half a character": lambda record: record.update(notes=["\ud800"]),
    "a number too large": lambda record: record.update(losses=[10**400, 1]),
    "no method": _without("method"),
    "output that is a word": lambda record: record.update(output="wav"),
    "another version": lambda record: (record.update(audiosep="9.0"), record.pop("settings")),
    "empty": lambda record: record.update(stems={}),
    "a file outside": lambda record: record.update(files={"../../x.csv": {"sha256": "0" * 64}}),
    "a file that is the record": lambda record: record.update(
        files={"audiosep.json": {"sha256": "0" * 64}}
    ),
    "another length": lambda record: record["input"].update(n_samples=12),
}


@pytest.mark.parametrize("change", BROKEN.values(), ids=list(BROKEN))
def test_records_of_another_shape(stems, tmp_path, run, change):
    done = run("report", edited(stems, tmp_path / "broken", change))
    assert (done.code, done.out) == (3, "")
    assert done.err.count("\n") == 1
    assert str(tmp_path) in done.err
    assert not list(tmp_path.rglob("*.html"))


def test_another_version_is_named(stems, tmp_path):
    broken = edited(stems, tmp_path / "broken", BROKEN["another version"])
    with pytest.raises(InputError, match=r"written by audiosep 9\.0"):
        write_report(broken)


def test_folders_that_are_none(tmp_path, run):
    for place in (tmp_path, tmp_path / "none", files.write_sound(tmp_path / "a.wav")):
        done = run("report", place)
        assert done.code == 3
        assert "no finished separation" in done.err


def test_stems_that_are_not_as_they_were(stems, tmp_path, run):
    changes = {
        "missing": lambda path: path.unlink(),
        "edited": lambda path: files.write_sound(path),
        "is damaged": lambda path: path.write_bytes(path.read_bytes()[:-10]),
    }
    for words, change in changes.items():
        place = shutil.copytree(stems, tmp_path / words)
        (place / "report.html").unlink()
        change(place / "low.wav")
        done = run("report", place)
        assert done.code == 3
        assert words in done.err
        assert "low.wav" in done.err


def test_a_stem_that_is_no_sound(stems, tmp_path, run):
    def change(record):
        record["stems"]["low"]["sha256"] = hashlib.sha256(b"no sound").hexdigest()

    place = edited(stems, tmp_path / "broken", change)
    (place / "low.wav").write_bytes(b"no sound")
    done = run("report", place)
    assert done.code == 3
    assert "low.wav" in done.err


def test_errors_are_of_the_right_kind(stems, tmp_path):
    (tmp_path / "mine.html").write_text("mine")
    with pytest.raises(RefusedError):
        write_report(stems, tmp_path / "mine.html")
    with pytest.raises(OutputError):
        write_report(stems, tmp_path / "no" / "report.html")


def test_damaged_components_do_not_keep_stems_from_being_heard(components, tmp_path):
    target = shutil.copytree(components, tmp_path / "copy")
    (target / "factorization.safetensors").write_bytes(b"no numbers")
    write_report(target)
    assert "The components cannot be shown" in (target / "report.html").read_text()
