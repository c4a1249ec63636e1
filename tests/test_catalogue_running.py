"""What can go wrong where something is written or run: one test for each row of the catalogue.

Rows 1 to 28, 52 and 53, of what is read, are in ``test_catalogue_reading.py``; row 63 is in
``test_report.py``. Real files, processes, disks and limits; nothing stands in for what it tests.
"""

from __future__ import annotations

import json
import os
import pickle
import pty
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import unicodedata
from contextlib import contextmanager
from pathlib import Path

import files
import forking
import numpy as np
import pytest

import audiosep
from audiosep import cli
from audiosep.errors import (
    DictionaryError,
    InputError,
    OutputError,
    RefusedError,
    UsageError,
)

SMALL = files.SMALL
SLOW = ["--preset", "components", "--components", "3", "--iterations", "100000"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def inside(here, monkeypatch, capsys):
    """Run the command inside this process: the same code, without the start."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["audiosep", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        said = capsys.readouterr()
        return files.Ended(caught.value.code or 0, said.out, said.err)

    return run


def split(run, *arguments, **around):
    return run("split", *SMALL, "--threads", "1", *arguments, **around)


def sound(name, seed=0, n_samples=1500):
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    return files.write_sound(name, files.noise(n_samples, 1, seed=seed))


def long_sound(name="long.wav"):
    return files.write_sound(name, files.noise(44100 * 40), 44100)


def statuses(ended):
    return {entry["input"]: entry["status"] for entry in map(json.loads, ended.out.splitlines())}


def errors(ended):
    return [line for line in ended.err.splitlines() if line.startswith("audiosep: ")]


def temporary(folder="."):
    """Temporary folders and files of ours."""
    return sorted(str(p) for p in files.below(folder) if p.name.startswith(".audiosep-"))


def finished(out="separated"):
    """Folders with a record."""
    records = (p for p in files.below(out) if p.name == "audiosep.json")
    return sorted(str(p.parent.relative_to(out)) for p in records)


def is_whole(place, source):
    """Whether stems are all there and add up to their recording."""
    record = json.loads(Path(place, "audiosep.json").read_text())
    total = sum(files.whole_numbers(Path(place, s["file"])) for s in record["stems"].values())
    return np.array_equal(total, files.whole_numbers(source))


# Files and names


def test_row_29_fifo_device_or_socket(inside):
    sound("in/good.wav")
    os.mkfifo("in/pipe.wav")
    Path("in/device.wav").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("in/socket.wav")
        # In folders they are passed over, and none of them is waited for.
        ended = split(inside, "in", "-r", "-o", "deep", "--json")
        assert (ended.code, statuses(ended)) == (0, {"in/good.wav": "done"})
        for name in ("pipe", "device", "socket"):
            ended = split(inside, f"in/{name}.wav")
            assert ended.code == 3
            assert ended.err.startswith(f"audiosep: in/{name}.wav is not a regular file")
        ended = split(inside, "in", "-o", "flat", "--json")
        assert (ended.code, statuses(ended)) == (0, {"in/good.wav": "done"})
    with pytest.raises(audiosep.AudiosepError, match="is not a regular file"):
        audiosep.read("in/pipe.wav")


def test_row_30_unreadable(forked, here):
    sound("in/good.wav")
    sound("in/secret.wav").chmod(0)
    sound("in/closed/a.wav")
    Path("in/closed").chmod(0)
    try:
        ended = split(forked.run, "in", "-r", "-o", "out", powers=False)
    finally:
        Path("in/closed").chmod(0o755)
    assert ended.code == 1
    assert finished("out") == ["good"]
    assert set(errors(ended)[:-1]) == {
        "audiosep: in/closed cannot be listed: Permission denied.",
        "audiosep: in/secret.wav may not be read: permission denied.",
    }
    ended = split(forked.run, "in/secret.wav", powers=False)
    assert ended.code == 3
    said = forked.call("audiosep.read('in/secret.wav')", powers=False)
    assert said == "InputError: in/secret.wav may not be read: permission denied.\n"


NAMES = ["naïve 🎵.wav", "שלום.wav", "new\nline.wav", "esc\x1b[31m.wav", 'quo"te\\.wav']


def test_row_31_names_that_would_write_to_the_terminal(inside):
    for name in NAMES:
        sound(f"in/{name}")
    ended = split(inside, "in", "--json")
    assert ended.code == 0
    assert len(ended.out.splitlines()) == len(NAMES)
    assert set(statuses(ended).values()) == {"done"}
    assert "\x1b" not in ended.out + ended.err
    for name in NAMES:
        assert is_whole(Path("separated", name[:-4]), f"in/{name}")
    ended = split(inside, "in", "-o", "plain")
    assert len(ended.out.splitlines()) == 2 * len(NAMES)
    assert "\x1b" not in ended.out + ended.err


def test_row_32_names_that_are_no_text(forked, here):
    name = os.fsdecode(b"latin-\xe9.wav")
    sound(f"in/{name}")
    ended = split(forked.run, "in", "--json")
    assert ended.code == 0
    (entry,) = map(json.loads, ended.out.splitlines())
    assert entry["status"] == "done"
    assert is_whole(Path("separated", os.fsdecode(b"latin-\xe9")), f"in/{name}")
    ended = split(forked.run, "in", "-o", "plain", "-r")
    assert "plain/latin-\\xe9/source-1.wav" in ended.out
    assert split(forked.run, os.fsencode(f"in/{name}"), "-r", "-o", "plain").code == 0
    # And what was made of it is found again, together with the recording.
    ended = forked.run("verify", "separated")
    assert ended.out.endswith("add up to the recording exactly\n")
    place = Path(os.fsdecode(b"python-\xe9"))
    audiosep.Separator(**files.SMALL_SETTINGS).split(f"in/{name}", place)
    assert audiosep.verify(place).null_test_db == -300.0


def test_row_33_dashes_and_names_as_long_as_can_be(inside):
    sound("-dash.wav")
    long = sound("l" * 251 + ".wav")
    ended = split(inside, "--json", "--", "-dash.wav", str(long))
    assert ended.code == 0
    folders = sorted((p.name for p in Path("separated").glob("[!.]*")), key=len)
    assert folders[0] == "-dash"
    assert folders[1] == "l" * len(folders[1])
    assert all(is_whole(Path("separated", f), f"{s}") for f, s in zip(folders, ("-dash.wav", long)))  # noqa: B905
    ended = split(inside, "/".join(["d" * 200] * 25) + "/a.wav")
    assert ended.code == 3
    assert errors(ended)[0].endswith("cannot be opened: File name too long.")
    ended = split(inside, "-dash.wav")
    assert ended.code == 2


def test_row_34_names_that_are_one_on_some_systems(inside):
    names = ["a.wav", "a.flac", "B.wav", "b.wav"]
    names += [unicodedata.normalize(form, "é.wav") for form in ("NFC", "NFD")]
    for number, name in enumerate(names):
        path = Path("in", name)
        path.parent.mkdir(exist_ok=True)
        kind = "FLAC" if path.suffix == ".flac" else "WAV"
        files.write_sound(path, files.noise(1500, 1, seed=number), format=kind)
    ended = split(inside, "in", "--json")
    assert ended.code == 0
    places = {
        entry["input"]: Path(entry["stems"]["source-1"]).parent
        for entry in map(json.loads, ended.out.splitlines())
    }
    assert set(places) == {f"in/{name}" for name in names}
    folded = [unicodedata.normalize("NFC", str(place)).casefold() for place in places.values()]
    assert len(set(folded)) == len(names)
    assert all(is_whole(place, source) for source, place in places.items())
    assert set(statuses(split(inside, "in", "--json")).values()) == {"skipped"}


LETTERS = ["{0.__class__}", "%s%n", "$(touch x)", "`touch x`"]
LEADING_OUT = ["../../x", "/tmp/x", "..", "a/b", ".", ""]


def test_row_35_names_of_stems_cannot_leave_their_folder(inside):
    sound("base/a.wav")
    before = set(files.tree("."))
    fast = ["--preset", "by-example", "--quality", "fast", "--iterations", "2", "base/a.wav"]
    for name in LEADING_OUT:
        ended = inside("split", *fast, "--example", f"{name}=base/a.wav", "--dry-run")
        if name:  # without one, it is the name of the file
            assert ended.code == 2
            assert "cannot name a stem" in ended.err
            ended = inside("split", *fast, "--example", "x=base/a.wav", "--rest", name)
            assert ended.code == 2
            assert "cannot name a stem" in ended.err
            with pytest.raises(UsageError, match="cannot name a stem"):
                audiosep.Separator(examples={name: "base/a.wav"})
    # What looks like a template is a name like any other, letter by letter.
    given = [word for name in LETTERS for word in ("--example", f"{name}=base/a.wav")]
    ended = inside("split", *fast, *given, "-o", "letters")
    assert ended.code == 0, ended.err
    new = {name for name in set(files.tree(".")) - before if not name.startswith("separated/")}
    assert new == {
        f"letters/a/{name}" for name in (*[f"{n}.wav" for n in LETTERS], "audiosep.json")
    }
    assert not Path("x").exists()


def test_row_35_folders_of_a_manifest_cannot_leave_the_output_folder(inside):
    sound("base/a.wav")
    rows = [{"input": "a.wav", "out": name} for name in [*LETTERS, *LEADING_OUT]]
    Path("base/list.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    ended = split(lambda _, *more: inside("batch", "base/list.jsonl", *more), "-o", "base/out")
    assert ended.code == 1
    # An empty name is no name: then the tree is mirrored. And a/b are two folders, so that what is
    # called a gets its ending added.
    assert finished("base/out") == sorted([*LETTERS, "a.wav", "a/b"])
    outside = {n for n in files.tree(".") if not n.startswith("base/out/")}
    assert outside == {"base/a.wav", "base/list.jsonl"}


def test_row_36_input_in_the_output_folder(inside):
    sound("in/a.wav")
    before = Path("in/a.wav").read_bytes()
    for _ in range(2):
        for more in (["-r"], []):
            ended = split(inside, "in", "-o", "in", "--json", *more)
            assert ended.code == 0
            assert list(statuses(ended)) == ["in/a.wav"]
    # Stems are never taken apart again, and no recording is replaced by its own.
    assert finished("in") == ["a"]
    sound("separated/b/b.wav")
    for exists in ("skip", "overwrite"):
        ended = split(inside, "separated/b/b.wav", "--exists", exists)
        assert ended.code == 5
        assert "is in the folder that its stems would go to" in ended.err
    ended = split(inside, "in/a")
    assert ended.code == 3
    assert "holds stems, not recordings" in ended.err
    assert Path("in/a.wav").read_bytes() == before
    # From Python stems may go beside the recording, but not in its place.
    stem = sound("source-1.wav", n_samples=4000)
    before = stem.read_bytes()
    with pytest.raises(RefusedError, match=r"source-1\.wav is the recording itself"):
        audiosep.Separator(**files.SMALL_SETTINGS).split(stem, ".")
    made = audiosep.separate(stem, **files.SMALL_SETTINGS)
    with pytest.raises(RefusedError, match="choose another folder"):
        made.save(".")
    assert stem.read_bytes() == before
    assert not Path("audiosep.json").exists()


# Disks


@contextmanager
def mounted(place, *how):
    """A mount where this user may make one."""
    Path(place).mkdir(exist_ok=True)
    if (
        shutil.which("mount") is None
        or subprocess.run(["mount", *how, place], check=False).returncode
    ):
        pytest.skip("this user may mount nothing")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def test_row_37_a_folder_that_may_only_be_read(inside, monkeypatch, tmp_path):
    from audiosep import loading

    def never(*_, **__):
        raise AssertionError("work was begun")

    scan = loading.scan_recording
    monkeypatch.setattr(loading, "scan_recording", never)
    sound("a.wav")
    with mounted("out", "--bind", "out"):
        subprocess.run(["mount", "-o", "remount,ro,bind", "out"], check=True)
        for more in ([], ["-r"]):
            ended = split(inside, "a.wav", "-o", "out", *more)
            assert ended.code == 4
            assert ended.err == (
                "audiosep: cannot write to out: Read-only file system; choose another place with "
                "--out.\n"
            )
        monkeypatch.setattr(loading, "scan_recording", scan)
        with pytest.raises(OutputError, match=r"cannot write to .*out: Read-only file system"):
            audiosep.Separator(**files.SMALL_SETTINGS).split(sound(f"{tmp_path}/b.wav"), "out/b")


@pytest.mark.parametrize("more", [[], ["-r"], ["--format", "flac"]], ids=str)
def test_row_38_disk_full_in_the_middle(inside, more):
    sound("small.wav", seed=3)
    sound("large.wav", n_samples=100_000)
    with mounted("out", "-t", "tmpfs", "-o", "size=200k", "tmpfs"):
        assert split(inside, "small.wav", "-o", "out", *more).code == 0
        before = {name: data for name, data in files.tree("out").items() if "journal" not in name}
        ended = split(inside, "large.wav", "-o", "out", *more)
        assert ended.code == 4
        words = "is the disk full?" if "flac" in more else "the stems take at least 402 kB and 1"
        assert words in errors(ended)[0]
        separator = audiosep.Separator(**files.SMALL_SETTINGS)
        with pytest.raises(OutputError, match=r"full|room|take at least"):
            separator.split(
                "large.wav", Path("out/large"), format="flac" if "flac" in more else "wav"
            )
        after = {name: data for name, data in files.tree("out").items() if "journal" not in name}
        assert after == before
        assert temporary("out") == []
        subprocess.run(["mount", "-o", "remount,size=20m", "out"], check=True)
        ended = split(inside, "small.wav", "large.wav", "-o", "out", "--json", *more)
        assert statuses(ended) == {"small.wav": "skipped", "large.wav": "done"}
        assert is_whole("out/large", "large.wav")


def test_row_39_a_limit_on_the_size_of_files(forked, here):
    sound("a.wav", n_samples=60_000)
    ended = split(forked.run, "a.wav", limits={"FSIZE": 50_000})
    assert ended.code == 4
    assert errors(ended)[0].endswith("is the disk full?")
    assert not Path("separated").exists()
    saved = "audiosep.separate('a.wav', **{}).save('separated/a')"
    saved = saved.format(files.SMALL_SETTINGS)
    said = forked.call(saved, limits={"FSIZE": 50_000})
    assert re.fullmatch(r"OutputError: .*; is the disk full\?\n", said), said
    assert list(files.below("separated")) == []
    assert "Error" not in forked.call(saved)
    assert is_whole("separated/a", "a.wav")
    shutil.rmtree("separated")
    assert split(forked.run, "a.wav").code == 0
    assert is_whole("separated/a", "a.wav")


# Signals


@pytest.mark.parametrize(
    ("number", "code", "words"),
    [
        pytest.param(signal.SIGINT, 130, "interrupted", id="row_40_sigint"),
        pytest.param(signal.SIGTERM, 143, "told to end", id="row_41_sigterm"),
    ],
)
def test_row_40_41_ended_within_a_second(forked, here, number, code, words):
    sound("a.wav")
    long_sound()
    assert split(forked.run, "a.wav").code == 0
    before = files.tree("separated")
    started = forked.start("split", *SLOW, "long.wav")
    forking.wait_until(lambda: temporary("separated"), started)
    started.send(number)
    began = time.monotonic()
    started.wait()
    took = time.monotonic() - began
    assert started.code == code
    assert took < 30.0  # it would take minutes
    assert (
        started.err.splitlines()[-1] == f"audiosep: {words}; run the same command again to go on."
    )
    assert "Traceback" not in started.err
    assert files.tree("separated") == before
    assert temporary() == []


def test_row_40_ctrl_c_pressed_more_than_once(forked, here):
    """The later one that is hard is in ``test_interrupts.py``."""
    long_sound()
    started = forked.start("split", *SLOW, "long.wav")
    forking.wait_until(lambda: temporary("separated"), started)
    for _ in range(3):
        started.send(signal.SIGINT)
        time.sleep(0.01)
    started.wait()
    assert started.code == 130
    assert started.err == "audiosep: interrupted; run the same command again to go on.\n"
    assert (finished(), temporary("separated")) == ([], [])


def test_row_42_killed_in_the_middle_of_writing(forked, here):
    sound("long.wav", n_samples=100_000)
    started = split(forked.start, "long.wav")
    forking.wait_until(
        lambda: [p for p in files.below("separated") if p.match(".audiosep-*/new/*.wav")], started
    )
    started.send(signal.SIGKILL)
    assert started.wait().code == -signal.SIGKILL
    assert len(temporary("separated")) == 1
    assert finished() == []
    assert split(forked.run, "long.wav").code == 0
    assert temporary() == []
    assert is_whole("separated/long", "long.wav")


def test_row_43_all_is_on_the_disk_before_the_record_says_so(inside, monkeypatch):
    """Files first, then the record, then the folder, then the move, then the folder around it."""
    events = []
    sync, replace = os.fsync, os.replace

    def noted_sync(handle):
        events.append(("sync", str(Path(f"/proc/self/fd/{handle}").readlink())))
        return sync(handle)

    def noted_replace(source, target):
        events.append(("move", os.fspath(target)))
        return replace(source, target)

    monkeypatch.setattr(os, "fsync", noted_sync)
    monkeypatch.setattr(os, "replace", noted_replace)
    sound("a.wav", n_samples=8000)
    drums = ["--preset", "drums", "--iterations", "2", "--one-shots", "1", "a.wav"]
    for more in (["split", *drums], ["split", *SMALL, "a.wav", "-o", "grouped"]):
        events.clear()
        assert inside(*more).code == 0
        place = Path("grouped/a" if "grouped" in more else "separated/a").resolve()
        record = json.loads((place / "audiosep.json").read_text())
        written = {stem["file"] for stem in record["stems"].values()} | set(record["files"])
        moved = events.index(("move", str(place)))
        synced = [Path(path) for kind, path in events[:moved] if kind == "sync"]
        names = [path.name for path in synced]
        at = names.index("audiosep.json")
        assert written <= set(names[:at])
        assert synced[at + 1].name == "new"
        assert events[moved + 1] == ("sync", str(place.parent))


def test_row_44_two_runs_on_one_folder(forked, here):
    for number in range(6):
        sound(f"in/{number}.wav", number)
    both = [split(forked.start, "in", "-r", "-q") for _ in range(2)]
    assert [started.wait().code for started in both] == [0, 0]
    journal = Path("separated/.audiosep/journal.jsonl").read_text().splitlines()
    tracks = [entry["track"] for entry in map(json.loads, journal) if entry.get("seconds")]
    assert sorted(tracks) == [str(n) for n in range(6)]
    # Of single recordings, too: both end, and what is there is whole and once.
    sound("a.wav", n_samples=8000)
    both = [split(forked.start, "a.wav", "-o", "one") for _ in range(2)]
    assert {started.wait().code for started in both} <= {0, 5}
    assert finished("one") == ["a"]
    assert is_whole("one/a", "a.wav")
    assert temporary() == []


@contextmanager
def meanwhile(monkeypatch, what):
    """Do something when the first piece of the stems is being written."""
    from audiosep import separator

    save = separator.save_pieces

    def slow(pieces, *more, **how):
        def watched():
            for number, piece in enumerate(pieces):
                if number == 0:
                    what()
                yield piece

        return save(watched(), *more, **how)

    with monkeypatch.context() as patch:
        patch.setattr(separator, "save_pieces", slow)
        yield


@pytest.mark.parametrize("how", ["grown", "vanished", "replaced", "cut"])
def test_row_45_a_recording_that_changes_while_it_is_read(inside, monkeypatch, how):
    sound("in/a.wav")
    whole = Path("in/a.wav").read_bytes()

    def change():
        path = Path("in/a.wav")
        if how == "grown":
            path.write_bytes(whole + b"more")
        elif how == "cut":
            path.write_bytes(whole[:1000])
        else:
            path.unlink()
            if how == "replaced":
                sound("in/a.wav", seed=1)

    with meanwhile(monkeypatch, change):
        ended = split(inside, "in/a.wav")
    assert ended.code == 3
    assert errors(ended)[0].startswith("audiosep: in/a.wav changed while it was read; ")
    assert not Path("separated").exists()
    Path("in/a.wav").write_bytes(whole)
    with meanwhile(monkeypatch, change), pytest.raises(InputError, match="changed while it was re"):
        audiosep.Separator(**files.SMALL_SETTINGS).split("in/a.wav", "separated")
    assert not Path("separated").exists()
    Path("in/a.wav").write_bytes(whole)
    assert split(inside, "in/a.wav").code == 0


@pytest.mark.parametrize("more", [[], ["-r"]], ids=str)
def test_row_46_the_output_folder_goes_away(inside, monkeypatch, more):
    sound("in/a.wav")
    with meanwhile(monkeypatch, lambda: shutil.rmtree("out")):
        ended = split(inside, "in", "-o", "out", *more)
    assert ended.code == 4
    assert "Traceback" not in ended.err
    assert errors(ended)[0].startswith("audiosep: in/a.wav: cannot write ")
    Path("out").mkdir()
    with (
        meanwhile(monkeypatch, lambda: shutil.rmtree("out")),
        pytest.raises(OutputError, match="cannot write "),
    ):
        audiosep.Separator(**files.SMALL_SETTINGS).split("in/a.wav", "out/a")
    assert split(inside, "in", "-o", "out", *more).code == 0
    assert is_whole("out/a", "in/a.wav")


# Dictionaries and manifests


class Bomb:
    def __reduce__(self):
        return (Path.touch, (Path("ran"),))


def with_dictionary(run, path):
    return run("split", "a.wav", "--preset", "stems", "--iterations", "2", "--dictionary", path)


def test_row_47_dictionaries_that_would_run_code(inside):
    sound("a.wav")
    hostile = pickle.dumps({"templates": Bomb()})
    Path("d.pt").write_bytes(hostile)
    Path("d.safetensors").write_bytes(hostile)
    with Path("d.npz").open("wb") as file:
        np.savez(file, templates=np.array([Bomb()], dtype=object))
    with Path("n.safetensors").open("wb") as file:
        np.save(file, np.array([Bomb()], dtype=object))
    for name in ("d.pt", "d.safetensors", "d.npz", "n.safetensors"):
        ended = with_dictionary(inside, name)
        assert ended.code == 3
        assert f"{name}: not a dictionary" in ended.err
        assert "give a .safetensors file made by audiosep" in ended.err
        with pytest.raises(audiosep.AudiosepError, match="not a dictionary"):
            audiosep.load_dictionary(name)
    assert not Path("ran").exists()


def save_raw(name, templates, frequencies=None, **description):
    """A file like a dictionary, with whatever in it."""
    from safetensors.numpy import save

    n_bins = len(templates)
    if frequencies is None:
        frequencies = np.linspace(0.0, 4000.0, n_bins)
    about = {"version": 1, "labels": ["x"] * templates.shape[-1], "provenance": ""} | description
    tensors = {"templates": templates, "frequencies_hz": frequencies}
    Path(name).write_bytes(save(tensors, metadata={"audiosep_dictionary": json.dumps(about)}))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t * np.nan, "not finite|NaN|number"),
        (lambda t: -t, "negative"),
        (lambda t: t[:, :0], "templates"),
        (lambda t: t[:0], "templates|frequencies"),
        (lambda t: t[0], "shape|templates"),
    ],
    ids=["nan", "negative", "none", "no-bins", "flat"],
)
def test_row_48_dictionaries_that_do_not_fit(inside, change, words):
    sound("a.wav")
    good = np.ones((65, 2), dtype=np.float32)
    changed = change(good)
    save_raw("d.safetensors", changed, np.linspace(0.0, 4000.0, len(good)))
    ended = with_dictionary(inside, "d.safetensors")
    assert ended.code == 3
    (said,) = errors(ended)
    assert re.search(words, said), said
    assert "Traceback" not in ended.err
    with pytest.raises(DictionaryError, match=words):
        audiosep.load_dictionary("d.safetensors")


def test_row_48_any_rate_and_window_will_do(inside):
    """A dictionary knows frequencies, not bins: there is no wrong rate or window."""
    files.write_sound("a.wav", files.noise(6000, 1), 44100)
    save_raw("d.safetensors", np.ones((65, 3), dtype=np.float32), labels=["drums", "bass", "other"])
    ended = with_dictionary(inside, "d.safetensors")
    assert ended.code == 0


def test_row_49_a_huge_dictionary(forked, here):
    sound("a.wav")
    # A header that speaks of a million templates, and a file with as many zeros.
    shape = [1025, 1_000_000]
    n_bytes = 4 * shape[0] * shape[1]
    header = {
        "__metadata__": {"audiosep_dictionary": "{}"},
        "templates": {"dtype": "F32", "shape": shape, "data_offsets": [0, n_bytes]},
    }
    text = json.dumps(header).encode()
    for name, size in (("lies.safetensors", 1000), ("huge.safetensors", n_bytes)):
        with Path(name).open("wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            file.truncate(8 + len(text) + size)  # with a hole in it
        ended = with_dictionary(lambda *a, n=name: forked.run(*a, limits={"AS": 300_000_000}), name)
        assert ended.code == 3
        words = "is too large for a dictionary" if size > 1000 else "damaged"
        assert words in ended.err
        assert "memory" not in ended.err.lower()
        said = forked.call(f"audiosep.load_dictionary({name!r})", limits={"AS": 300_000_000})
        assert said.startswith("DictionaryError: ")
        assert words in said


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_row_50_manifests_cannot_name_what_is_outside(inside, kind):
    sound("outside.wav")
    sound("lists/in.wav")
    Path("lists/link.wav").symlink_to("../outside.wav")
    outside = str(Path("outside.wav").resolve())
    names = ["../outside.wav", outside, f"file://{outside}", "~/x.wav", "link.wav", "in.wav"]
    names.insert(2, "http://127.0.0.1:9/x.wav")
    manifest = Path(f"lists/list.{kind}")
    if kind == "csv":
        manifest.write_text("input\n" + "".join(f"{name}\n" for name in names))
    else:
        manifest.write_text("".join(json.dumps({"input": name}) + "\n" for name in names))
    ended = split(lambda _, *more: inside("batch", manifest, *more))
    assert ended.code == 1
    assert finished() == ["in"]
    (*refused, _) = errors(ended)
    assert len(refused) == len(names) - 1
    first = 2 if kind == "csv" else 1
    for number, words in enumerate(refused):
        assert words.startswith(f"audiosep: {manifest}, line {first + number}: ")
    ended = split(
        lambda _, *more: inside("batch", manifest, *more), "--allow-outside", "-o", "all", "--json"
    )
    done = [name for name, status in statuses(ended).items() if status == "done"]
    assert len(done) == 4  # outside.wav by three names, and in.wav


def test_row_51_manifests_as_they_come(inside):
    sound("a.wav")
    sound("é.wav", seed=1)
    run = lambda name: split(lambda _, *more: inside("batch", name, *more), "--json")  # noqa: E731
    Path("bom.csv").write_bytes("\ufeffinput,seed\r\na.wav,1\r\né.wav,\r\na.wav,1\r\n".encode())
    ended = run("bom.csv")
    assert ended.code == 0
    assert statuses(ended) == {"a.wav": "done", "é.wav": "done"}
    Path("bad.csv").write_bytes(b"input\na.wav\n\xe9.wav\n")
    ended = run("bad.csv")
    assert ended.code in (2, 3)
    assert "bad.csv, line 3: not UTF-8; save the manifest as UTF-8." in ended.err
    Path("wide.csv").write_bytes("input\na.wav\n".encode("utf-16"))
    assert "is UTF-16; save it as UTF-8" in run("wide.csv").err
    # Many rows are read one by one; a million are the same, see docs/batch.md.
    Path("many.csv").write_text("input\n" + "a.wav\n" * 3000)
    ended = run("many.csv")
    assert len(ended.out.splitlines()) == 1


# Processes


def test_row_54_out_of_memory(forked, here):
    """In one process; that of several one may be killed for it is in ``test_batch.py``."""
    sound("in/small.wav")
    long_sound("in/long.wav")
    ended = split(forked.run, "in", "--json", limits={"AS": 30_000_000})
    assert ended.code == 1
    assert statuses(ended) == {"in/small.wav": "done", "in/long.wav": "failed"}
    (said,) = (json.loads(line)["error"] for line in ended.out.splitlines() if "long" in line)
    assert "in/long.wav needs more memory than there is" in said
    assert temporary() == []
    assert finished() == ["small"]
    # In Python it is Python's own error, which whoever calls may catch.
    program = "audiosep.separate('in/{}.wav', **{}).save('python/{}')"
    for name, words in (("long", "MemoryError: "), ("small", "")):
        said = forked.call(
            program.format(name, files.SMALL_SETTINGS, name), limits={"AS": 30_000_000}
        )
        assert said.startswith(words)
        assert ("Error" in said) == bool(words), said
    assert finished("python") == ["small"]


def one_slow():
    """A manifest of two recordings, one of which takes minutes."""
    sound("small.wav")
    long_sound("long.wav")
    Path("list.csv").write_text("input,iterations\nsmall.wav,2\nlong.wav,100000\n")
    return "list.csv"


def test_row_55_a_recording_that_takes_too_long(forked, here):
    manifest = one_slow()
    assert split(forked.run, "small.wav").code == 0
    ended = forked.run("batch", manifest, *SMALL, "--timeout", "0.5", "--json")
    assert ended.code == 1
    assert statuses(ended) == {"small.wav": "skipped", "long.wav": "failed"}
    assert "long.wav took longer than --timeout 0.5 s, twice." in ended.out
    assert temporary() == []


def failing(call, path, error, when):
    """Calls of the system that fail, counted from 1, for one file."""
    if shutil.which("strace") is None:
        pytest.skip("strace, which makes calls fail, is not installed")
    return [
        "-P",
        str(Path(path).resolve()),
        "-e",
        f"trace={call}",
        "-e",
        f"inject={call}:error={error}:when={when}",
    ]


def with_failing_reads(forked, out, when):
    """Statuses of a bad and a good recording; None where no read failed, for there are too few."""
    faults = failing("read", "in/bad.wav", "EIO", when)
    ended = split(forked.run, "in", "--json", "-o", out, faults=faults)
    if "INJECTED" not in (ended.folder / "strace").read_text():
        return None
    found = statuses(ended)
    assert found.pop("in/good.wav") == "done"
    if found == {"in/bad.wav": "done"}:
        assert ended.code == 0
        assert is_whole(Path(out, "bad"), "in/bad.wav")
    else:
        assert ended.code == 1
        (said,) = (json.loads(line)["error"] for line in ended.out.splitlines() if "bad" in line)
        assert said.startswith("in/bad.wav ")
        assert "Traceback" not in said
        assert "unexpected" not in said
    assert temporary() == []
    return found["in/bad.wav"]


def two_for_a_bad_disk():
    sound("in/bad.wav")
    sound("in/good.wav", seed=1)


def test_row_56_a_disk_that_cannot_be_read(forked, here):
    """Of the digest, the header, the samples: a disk that fails costs its recording only."""
    two_for_a_bad_disk()
    for number in (1, 14):
        assert with_failing_reads(forked, f"out-{number}", f"{number}+") == "failed"


def test_row_56_a_read_that_fails_once_is_tried_again(forked, here):
    two_for_a_bad_disk()
    found = [with_failing_reads(forked, f"out-{n}", str(n)) for n in (1, 9, 14, 18)]
    assert found.count("done") >= 3


@pytest.mark.reliability
def test_row_56_whichever_read_fails_nothing_false_is_written(forked, here):
    two_for_a_bad_disk()
    n_tried = next(n for n in range(1, 500) if with_failing_reads(forked, f"{n}", str(n)) is None)
    assert n_tried > 20


@pytest.mark.parametrize("call", ["write", "fsync", "rename"])
def test_row_56_a_disk_that_cannot_be_written(forked, here, call):
    sound("a.wav")
    Path("separated").mkdir()
    for number in range(0, 8, 2):
        # Which of its writes fails: the header, samples, the record, the move.
        faults = ["-e", f"trace={call}", "-e", f"inject={call}:error=EIO:when={number + 1}+"]
        ended = split(forked.run, "a.wav", faults=faults, closed=[1])
        assert ended.code in (0, 4, 143), (number, ended.err)
        assert (ended.code == 0) == (finished() == ["a"])
        if ended.code == 0:
            assert is_whole("separated/a", "a.wav")
            break
        assert temporary() == []


def test_row_56_clocks_that_change(inside):
    """Nothing hangs on times: files of tomorrow, and leftovers of tomorrow, are as others."""
    sound("in/a.wav")
    tomorrow = time.time() + 86400
    os.utime("in/a.wav", (tomorrow, tomorrow))
    left = Path("separated/.audiosep-dead/new")
    left.mkdir(parents=True)
    os.utime(left.parent, (tomorrow, tomorrow))
    assert split(inside, "in").code == 0
    assert statuses(split(inside, "in", "--json")) == {"in/a.wav": "skipped"}
    assert temporary() == []


def test_row_57_stdin_closed(forked, here):
    sound("a.wav")
    ended = split(forked.run, "a.wav", closed=[0])
    assert ended.code == 0
    assert is_whole("separated/a", "a.wav")


def test_row_57_stdin_as_the_recording(forked, here):
    """What comes through a pipe has no length and cannot be gone back in."""
    path = sound("a.wav")
    os.mkfifo("pipe")
    with subprocess.Popen(["sh", "-c", "cat a.wav > pipe"]):
        ended = split(forked.run, "-", stdin="pipe")
    assert ended.code == 0, ended.err
    assert is_whole("separated/stdin", path)
    for around in ({"closed": [0]}, {"stdin": os.devnull}):
        ended = split(forked.run, "-", "-o", "nothing", **around)
        assert ended.code == 3
        assert "Traceback" not in ended.err
        assert len(errors(ended)) == 1
    assert not Path("nothing").exists()


def test_row_58_stdout_closed(forked, here):
    for name in "abc":
        sound(f"{name}.wav")
    ended = split(forked.run, "a.wav", closed=[1])
    assert (ended.code, ended.err.count("Traceback")) == (0, 0)
    ended = split(forked.run, "b.wav", closed=[0, 1, 2])
    assert ended.code == 0
    assert is_whole("separated/b", "b.wav")
    command = [*files.COMMAND, "split", *SMALL, "a.wav", "b.wav", "c.wav", "-o", "piped"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.read(5)
        process.stdout.close()
        err = process.stderr.read()
        process.wait(120)
    assert not any(word in err for word in (b"Traceback", b"BrokenPipe", b"Exception ignored"))
    assert temporary() == []


PLAIN = [
    {"TERM": "dumb"},
    {"NO_COLOR": "1", "TERM": "xterm-256color"},
    {"LC_ALL": "C", "LANG": "C", "TERM": None},
]


@pytest.mark.parametrize("env", PLAIN, ids=str)
def test_row_59_plain_terminals(forked, here, env):
    sound("naïve 🎵.wav")
    ours, theirs = pty.openpty()
    try:
        ended = split(
            forked.run, "naïve 🎵.wav", "absent.wav", env=env, terminal=os.ttyname(theirs)
        )
        os.set_blocking(ours, False)
        said = os.read(ours, 100_000).decode("utf-8", "replace")
    finally:
        os.close(ours)
        os.close(theirs)
    assert ended.code == 1
    assert "absent.wav does not exist; check the name." in said
    assert "Traceback" not in said
    if "NO_COLOR" not in env:
        assert "\x1b" not in said
    assert not re.search(r"\x1b\[[0-9;]*[1-9][0-9;]*m", said)  # no colours
    assert len(ended.out.splitlines()) == 2
    assert "\x1b" not in ended.out
    assert is_whole("separated/naïve 🎵", "naïve 🎵.wav")


def test_row_60_no_home_and_no_place_for_kernels(here):
    """Compiled kernels cannot be kept: that is said once, and work goes on."""
    sound("a.wav")
    nowhere = "/proc/nowhere"
    env = dict.fromkeys(("HOME", "XDG_CACHE_HOME", "NUMBA_CACHE_DIR"), nowhere)
    # Without compiling, which would take longer than all other tests of this page.
    ended = files.audiosep(
        "split", *SMALL, "a.wav", "--threads", "1", env={**env, "NUMBA_DISABLE_JIT": "1"}
    )
    assert ended.code == 0
    assert ended.err.count("set NUMBA_CACHE_DIR") == 1
    assert is_whole("separated/a", "a.wav")


def test_row_61_as_many_threads_as_processors_may_be_used(forked, here):
    sound("a.wav")
    processor = min(os.sched_getaffinity(0))
    ended = split(forked.run, "a.wav", processors={processor})
    assert ended.code == 0
    program = f"import os; os.sched_setaffinity(0, [{processor}]); "
    program += "from audiosep.threads import resolve_threads; print(resolve_threads(None))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout == b"1\n"


def test_row_62_files_of_other_versions(inside):
    sound("a.wav")
    save_raw("d.safetensors", np.ones((65, 2), dtype=np.float32), version=2)
    ended = with_dictionary(inside, "d.safetensors")
    assert ended.code == 3
    assert "it is of version 2; install a newer audiosep." in ended.err
    with pytest.raises(DictionaryError, match="install a newer audiosep"):
        audiosep.load_dictionary("d.safetensors")
    assert split(inside, "a.wav", "-r").code == 0
    journal = Path("separated/.audiosep/journal.jsonl")
    journal.write_text('{"journal": 2, "status": "done", "track": "a"}\n')
    ended = split(inside, "a.wav", "-r")
    assert ended.code == 5
    assert "was written by a newer version of audiosep; use that" in ended.err
    journal.unlink()
    # Stems of another version are another's work, and stay.
    path = Path("separated/a/audiosep.json")
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"audiosep": "99.0"}))
    before = files.tree("separated/a")
    ended = split(inside, "a.wav")
    assert ended.code == 0
    assert "holds stems made by another version" in ended.err
    assert files.tree("separated/a") == before
    assert finished() == ["a", "a-2"]
