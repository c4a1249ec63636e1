"""Folders and manifests at work: resumed, killed, at once, and whatever lies in the way."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import files
import pytest
from test_manifest import OPTIONS

import audiosep
from audiosep.cli import batches
from audiosep.cli.batch import batch_all
from audiosep.cli.batches import BatchOptions, in_part
from audiosep.cli.locks import TrackTakenError, locked_run, locked_track, remove_leftovers
from audiosep.cli.one import Worker
from audiosep.cli.split import split_all
from audiosep.cli.talk import Talk
from audiosep.cli.tasks import Task
from audiosep.errors import InputError, OutputError, UsageError
from audiosep.io.naming import Job

SMALL = replace(OPTIONS, preset="components", n_components=3, max_iter=2, n_threads=1)


@pytest.fixture(scope="session", autouse=True)
def _compiled():
    """Compile the kernels once, so that no test waits for them."""
    audiosep.separate(files.noise(), 8000, **files.SMALL_SETTINGS)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def sound(name, seed=0):
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    return files.write_sound(name, files.noise(1500, 1, seed=seed))


def broken(name):
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text("no sound")


@pytest.fixture
def split(here, capsys):
    """Run ``audiosep split -r`` inside this process."""

    def run(*inputs, options=SMALL, talk=None, **batch):
        talk = Talk(json_lines=True) if talk is None else talk
        given = BatchOptions(**({"recursive": True} | batch))
        code = split_all([Path(i) for i in inputs or ("in",)], options, talk, given)
        said = capsys.readouterr()
        return files.Ended(int(code), said.out, said.err)

    return run


def statuses(ended):
    """Status of each recording, from the lines of --json."""
    entries = map(json.loads, ended.out.splitlines())
    return {entry["input"]: entry["status"] for entry in entries}


def journal(out="out"):
    lines = Path(out, ".audiosep", "journal.jsonl").read_text("ascii").splitlines()
    return [json.loads(line) for line in lines]


def contents(out="out"):
    """All files of the results, without what differs from run to run."""
    found = files.tree(out)
    for name in list(found):
        if name.startswith(".audiosep/"):
            del found[name]
        elif name.endswith("audiosep.json"):
            record = json.loads(found[name])
            del record["timings_s"]
            # The process that compiles the kernels sums in another order than those that load them.
            record["losses"] = [float(f"{loss:.6g}") for loss in record["losses"]]
            found[name] = record
    return found


def temporary(out="out"):
    """What was left behind."""
    tracks = Path(out, ".audiosep", "tracks")
    locks = sorted(path.name for path in tracks.iterdir()) if tracks.exists() else []
    left = (path.name for path in files.below(out) if path.name.startswith(".audiosep-"))
    return sorted(left) + locks


# One process


def test_a_tree_is_mirrored_and_one_bad_file_costs_one_line(split):
    for name in ("a.wav", "x/b.wav", "x/y/c.wav"):
        sound(f"in/{name}")
    broken("in/x/bad.wav")
    ended = split(talk=Talk())
    assert ended.code == 1
    folders = {str(path.parent) for path in Path("out").rglob("audiosep.json")}
    assert folders == {"out/a", "out/x/b", "out/x/y/c"}
    assert set(ended.out.splitlines()) >= {f"out/{t}/source-1.wav" for t in ("a", "x/b", "x/y/c")}
    bad = [line for line in ended.err.splitlines() if "bad.wav" in line]
    (words,) = bad
    assert words.startswith("audiosep: in/x/bad.wav is not audio that can be read: it is plain te")
    assert ended.err.splitlines()[-1] == (
        "audiosep: 3 done, 0 done before, 1 failed, 1 of them no audio"
    )
    assert temporary() == []


def test_repair_makes_again_only_what_is_not_as_it_was_written(split):
    for name in ("edited", "gone", "lost", "broken-record", "whole"):
        sound(f"in/{name}.wav")
    assert split().code == 0
    before = contents()
    edited = Path("out/edited/source-1.wav")
    edited.write_bytes(edited.read_bytes()[:-2] + b"xx")
    Path("out/gone/source-2.wav").unlink()
    shutil.rmtree("out/lost")
    Path("out/broken-record/audiosep.json").write_text('{"audiosep":')
    Path("out/whole/mine.txt").write_text("notes")
    state = Path("out/whole/source-1.wav").stat()
    ended = split(options=replace(SMALL, dry_run=True))
    assert sorted(statuses(ended).values()) == ["failed"] * 2 + ["planned"] * 2 + ["skipped"]
    repair = replace(SMALL, exists="repair")
    ended = split(options=repair, talk=Talk())
    assert ended.code == 0, ended.err
    assert "in/edited.wav: out/edited is made again: source-1.wav damaged or edited" in ended.err
    assert "in/gone.wav: out/gone is made again: source-2.wav missing" in ended.err
    assert ended.err.splitlines()[-1] == "audiosep: 4 done, 1 done before, 0 failed"
    after = contents()
    assert after.pop("whole/mine.txt") == b"notes"
    assert after == before
    now = Path("out/whole/source-1.wav").stat()
    assert (now.st_ino, now.st_mtime_ns) == (state.st_ino, state.st_mtime_ns)
    assert set(statuses(split(options=repair)).values()) == {"skipped"}


def test_repair_replaces_nothing_that_may_be_of_others(split):
    """Without a record, only what has the names of stems is taken for stems."""
    options = replace(SMALL, preset="harmonic-percussive", n_components=None, exists="repair")
    for name in ("stems", "others", "unknown"):
        sound(f"in/{name}.wav")
        sound(f"out/{name}/harmonic.wav")
    sound("out/others/voice.wav")
    ended = split(options=options)
    assert statuses(ended) == {
        "in/stems.wav": "done",
        "in/unknown.wav": "done",
        "in/others.wav": "failed",
    }
    assert "holds files that no finished run has left; use --exists overwrite" in ended.out


def test_a_second_run_does_only_what_is_left(split):
    sound("in/a.wav")
    broken("in/bad.wav")
    assert statuses(split()) == {"in/a.wav": "done", "in/bad.wav": "failed"}
    before = contents()
    sound("in/b.wav")
    ended = split()
    assert ended.code == 1
    assert statuses(ended) == {"in/a.wav": "skipped", "in/b.wav": "done", "in/bad.wav": "failed"}
    assert "It failed before, and neither the file nor the options have changed since." in ended.out
    assert {name: data for name, data in contents().items() if name in before} == before
    said = split(talk=Talk()).err.splitlines()
    # Of a million, those that were done need no line.
    assert len(said) == 2
    assert said[1] == "audiosep: 0 done, 2 done before, 1 failed, 1 of them no audio"


def test_what_failed_is_tried_again_when_there_is_a_reason(split):
    broken("in/bad.wav")
    sound("in/a.wav")

    def error(**more):
        ended = split(**more)
        return next(json.loads(line)["error"] for line in ended.out.splitlines() if "bad" in line)

    first = error()
    assert "failed before" not in first
    assert (
        error()
        == f"{first} It failed before, and neither the file nor the options have changed since."
    )
    assert error(retry_failed=True) == first
    assert error(options=replace(SMALL, seed=1)) == first
    sound("in/bad.wav")
    ended = split()
    assert ended.code == 0
    assert statuses(ended) == {"in/a.wav": "skipped", "in/bad.wav": "done"}
    assert statuses(split()) == {"in/a.wav": "skipped", "in/bad.wav": "skipped"}


def test_what_cannot_be_written_is_not_remembered_and_ends_the_run(split, monkeypatch):
    from audiosep import separator

    for number in range(5):
        sound(f"in/{number}.wav")

    def full(*_, **__):
        raise OutputError("cannot write the stems; is the disk full?")

    with monkeypatch.context() as patch:
        patch.setattr(separator, "save_pieces", full)
        with pytest.raises(OutputError, match="3 recordings in a row could not be written"):
            split()
    assert Counter(line.get("kind") for line in journal())["output"] == 3
    assert statuses(split()) == {f"in/{number}.wav": "done" for number in range(5)}


@pytest.fixture
def small_disk(here):
    """An output folder on a disk of 200 kB."""
    Path("out").mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", "out"]
    if shutil.which("mount") is None or subprocess.run(mount, check=False).returncode:
        pytest.skip("this user may mount no disk")
    yield Path("out")
    subprocess.run(["umount", "out"], check=True)


def test_a_disk_that_fills(split, small_disk):
    for number in range(4):
        files.write_sound(sound(f"in/{number}.wav"), files.noise(60_000, 1))
    sound("in/0.wav")
    with pytest.raises(OutputError, match="3 recordings in a row could not be written"):
        split()
    assert {line.get("status") for line in journal()} >= {"done", "failed"}
    assert [path.parent.name for path in small_disk.rglob("audiosep.json")] == ["0"]
    assert temporary() == []
    subprocess.run(["mount", "-o", "remount,size=20m", "out"], check=True)
    wanted = {f"in/{number}.wav": "done" for number in range(4)} | {"in/0.wav": "skipped"}
    assert statuses(split()) == wanted


def test_status_says_and_does_nothing(split):
    sound("in/a.wav")
    broken("in/bad.wav")
    split()
    sound("in/x/new.wav")
    before = files.tree(".")
    ended = split(status=True)
    assert ended.code == 1
    wanted = {"in/a.wav": "done", "in/bad.wav": "failed", "in/x/new.wav": "left"}
    assert statuses(ended) == wanted
    ended = split(status=True, talk=Talk(verbose=True))
    assert ended.out.splitlines() == [
        "failed: in/bad.wav is not audio that can be read: it is plain text; if a recording was "
        "here, restore it from a backup.",
        "left: in/x/new.wav",
        "1 done, 1 failed, 1 left",
    ]
    assert files.tree(".") == before
    # The records beside the stems say it too.
    Path("out/.audiosep/journal.jsonl").unlink()
    assert statuses(split(status=True)) == wanted | {"in/bad.wav": "left"}
    shutil.rmtree("out/a")
    assert statuses(split(status=True))["in/a.wav"] == "left"
    Path("in/bad.wav").unlink()
    split()
    assert split(status=True).code == 0


def test_status_where_nothing_was_ever_done(split):
    sound("in/a.wav")
    with pytest.raises(UsageError, match="nothing has been done in out yet; check --out"):
        split(status=True, talk=Talk())
    assert not Path("out").exists()


def test_where_nothing_can_be_done_nothing_is_left(split):
    Path("in").mkdir()
    ended = split("in", "absent", talk=Talk())
    assert ended.code == 3
    assert "in is a folder without recordings, and so are those in it." in ended.err
    assert "absent does not exist" in ended.err
    assert not Path("out").exists()
    assert split("in", talk=Talk()).code == 3
    assert split("in", status=True).code == 1
    assert not Path("out").exists()


def test_a_dry_run_writes_nothing(split):
    sound("in/x/a.wav")
    ended = split(options=replace(SMALL, dry_run=True), talk=Talk(), jobs=2)
    assert "-> out/x/a/ as wav: " in ended.out
    assert not Path("out").exists()


def test_shards_are_parts_of_the_whole(split):
    names = [f"in/{number % 3}/take-{number}.wav" for number in range(9)]
    for name in names:
        sound(name)
    first = statuses(split(shard="1/2"))
    assert 0 < len(first) < 9
    # On another machine the folder may be elsewhere.
    Path("in").rename("mounted")
    second = statuses(split("mounted", shard="2/2"))
    assert {name.partition("/")[2] for name in (*first, *second)} == {n[3:] for n in names}
    assert len(first) + len(second) == 9
    assert len(list(Path("out").rglob("audiosep.json"))) == 9


def test_every_task_is_in_one_shard():
    tasks = [
        Task(job=Job(source=Path(), folder=Path()), options=None, key=f"take {number}")
        for number in range(2000)
    ]
    for task in tasks:
        assert sum(in_part(task, number, 7) for number in range(1, 8)) == 1
    sizes = [sum(in_part(task, number, 4) for task in tasks) for number in range(1, 5)]
    assert min(sizes) > 400


@pytest.mark.parametrize(
    ("batch", "words"),
    [
        ({"jobs": 0}, "--jobs 0 is out of range"),
        ({"timeout": 0.0}, "--timeout 0 is out of range"),
        ({"timeout": float("nan")}, "--timeout nan is out of range"),
        ({"shard": "0/4"}, "--shard '0/4' is no part; write 1/4"),
        ({"shard": "5/4"}, "is no part"),
        ({"shard": "1"}, "is no part"),
        ({"shard": "one/two"}, "is no part"),
    ],
)
def test_options_that_cannot_be(split, batch, words):
    sound("in/a.wav")
    with pytest.raises(UsageError, match=words):
        split(**batch)
    assert not Path("out").exists()


def test_results_below_the_input_folder_are_never_recordings(split):
    sound("in/a.wav")
    options = replace(SMALL, out=Path("in/stems"))
    assert statuses(split(options=options)) == {"in/a.wav": "done"}
    assert statuses(split(options=options)) == {"in/a.wav": "skipped"}
    # Not even where the output folder is the input folder.
    options = replace(SMALL, out=Path("in"))
    for _ in range(2):
        assert list(statuses(split(options=options))) == ["in/a.wav"]


def test_a_journal_elsewhere(split):
    sound("in/a.wav")
    split(journal=Path("logs/today.jsonl"))
    events = [line.get("event", line.get("status")) for line in map(json.loads, open_lines())]
    assert events == ["begin", "done", "end"]
    assert not Path("out/.audiosep/journal.jsonl").exists()


def open_lines():
    return Path("logs/today.jsonl").read_text().splitlines()


def test_a_recording_that_changes_while_it_is_read(split, monkeypatch):
    from audiosep import separator

    sound("in/a.wav")
    save = separator.save_pieces

    def slow(pieces, *more, **how):
        def meanwhile():
            for piece in pieces:
                with Path("in/a.wav").open("ab") as file:
                    file.write(b"more")
                yield piece

        return save(meanwhile(), *more, **how)

    with monkeypatch.context() as patch:
        patch.setattr(separator, "save_pieces", slow)
        ended = split()
    assert "in/a.wav changed while it was read; run the same command again" in ended.out
    assert contents() == {}
    assert statuses(split()) == {"in/a.wav": "done"}


# Several runs


def test_a_track_that_another_run_works_on_is_waited_for(split, monkeypatch):
    monkeypatch.setattr(batches, "_WAIT_S", 0.05)
    sound("in/a.wav")
    sound("in/b.wav")
    Path("out/.audiosep").mkdir(parents=True)
    other = locked_track(Path("out"), Path("out/a"))
    other.__enter__()
    timer = threading.Timer(1.0, other.__exit__, (None, None, None))
    timer.start()
    ended = split(talk=Talk())
    timer.join()
    assert ended.code == 0
    assert ended.err.count("in/a.wav: process") == 1
    assert f"process {os.getpid()} on " in ended.err
    assert ended.out.splitlines()[0].startswith("out/b/")
    assert (Path("out/a/audiosep.json")).exists()


def test_locks_belong_to_one(here):
    Path("out/.audiosep").mkdir(parents=True)
    with locked_track(Path("out"), Path("out/a")):
        with pytest.raises(TrackTakenError, match=f"process {os.getpid()} on"):
            locked_track(Path("out"), Path("out/a")).__enter__()
        with locked_track(Path("out"), Path("out/b")):
            pass
    with locked_track(Path("out"), Path("out/a")):
        pass
    assert temporary() == []


def test_what_dead_ones_have_left_is_removed_when_nobody_works(here):
    out = Path("out")
    (out / ".audiosep").mkdir(parents=True)
    stale = out / "x" / ".audiosep-abc" / "new"
    stale.mkdir(parents=True)
    (stale / "voice.wav").touch()
    (out / "x" / "mine").mkdir()
    (out / ".audiosep-file").touch()
    parents = {out, out / "x", out / "absent"}
    with locked_run(out):
        assert remove_leftovers(out, parents) == 0
        with locked_run(out):
            assert stale.exists()
    assert remove_leftovers(out, parents) == 1
    assert not stale.exists()
    assert (out / "x" / "mine").exists()
    assert (out / ".audiosep-file").exists()


def test_a_temporary_folder_that_is_held_is_left(here):
    fcntl = pytest.importorskip("fcntl")
    held = Path("out/.audiosep-abc")
    held.mkdir(parents=True)
    Path("out/.audiosep").mkdir()
    with locked_run(Path("out")):
        pass
    handle = os.open(held, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    assert remove_leftovers(Path("out"), {Path("out")}) == 0
    os.close(handle)
    assert remove_leftovers(Path("out"), {Path("out")}) == 1
    assert not held.exists()


def test_nothing_is_removed_where_no_batch_has_worked(here):
    Path("out/.audiosep-abc").mkdir(parents=True)
    assert remove_leftovers(Path("out"), {Path("out")}) == 0
    assert Path("out/.audiosep-abc").exists()


def test_a_number_that_another_track_has_in_mind_is_left_to_it(here):
    sound("a.wav")
    other = replace(SMALL, seed=1)
    Path("out/.audiosep").mkdir(parents=True)
    worker = Worker(talk=Talk(quiet=True), out=Path("out"))
    task = Task(job=Job(source=Path("a.wav"), folder=Path("out/a")), options=SMALL)
    assert worker(task).failure is None
    with locked_track(Path("out"), Path("out/a-2")):
        assert worker(replace(task, options=other)).taken_by
    assert worker(replace(task, options=other)).place == Path("out/a-2")


# Manifests


@pytest.fixture
def batch(here, capsys):
    """Run ``audiosep batch`` inside this process."""

    def run(content, *, options=SMALL, talk=None, allow_outside=False, **many):
        talk = Talk(json_lines=True) if talk is None else talk
        Path("list.csv").write_text(content)
        path = Path("list.csv")
        code = batch_all(path, options, talk, BatchOptions(**many), allow_outside=allow_outside)
        said = capsys.readouterr()
        return files.Ended(int(code), said.out, said.err)

    return run


def test_rows_with_their_own_settings(batch):
    sound("x/a.wav")
    sound("b.wav")
    ended = batch("input,out,sources,duration\nx/a.wav,,,0.1\nb.wav,named/so,3,\nb.wav,,,\n")
    assert ended.code == 0
    record = json.loads(Path("out/x/a/audiosep.json").read_text())
    assert record["input"]["duration"] == 0.1
    assert len(list(Path("out/named/so").glob("source-*.wav"))) == 3
    assert len(list(Path("out/b").glob("source-*.wav"))) == 2
    again = batch("input,out,sources,duration\nx/a.wav,,,0.1\nb.wav,named/so,3,\nb.wav,,,\n")
    assert [json.loads(line)["status"] for line in again.out.splitlines()] == ["skipped"] * 3


def test_a_bad_row_costs_one_line(batch):
    sound("a.wav")
    ended = batch("input,preset\n../x.wav,\na.wav,\na.wav,nope\nabsent.wav,\n", talk=Talk())
    assert ended.code == 1
    errors = [line for line in ended.err.splitlines() if line.startswith("audiosep: ")]
    assert errors[0].startswith("audiosep: list.csv, line 2: '../x.wav' leads out of the folder")
    assert any("nope" in line for line in errors)
    assert any("absent.wav does not exist" in line for line in errors)
    assert errors[-1] == "audiosep: 1 done, 0 done before, 3 failed"
    # As if all could be done: the names of the others do not depend on a bad row.
    assert [path.parent.name for path in Path("out").rglob("audiosep.json")] == ["a.wav"]


def test_manifests_without_rows(batch):
    with pytest.raises(InputError, match=r"list\.csv names no recordings"):
        batch("input\n\n")
    assert not Path("out").exists()


def test_a_manifest_has_status_and_shards(batch):
    for number in range(4):
        sound(f"{number}.wav", number)
    content = "input\n" + "".join(f"{number}.wav\n" for number in range(4))
    parts = [statuses(batch(content, shard=f"{part}/2")) for part in (1, 2)]
    assert sorted([*parts[0], *parts[1]]) == [f"{number}.wav" for number in range(4)]
    assert batch(content, status=True, talk=Talk()).out == "4 done, 0 failed, 0 left\n"


# Several processes


def command(*arguments, what=("split", "in", "-r")):
    return [*files.COMMAND, *what, "-o", "out", *files.SMALL, "-q", *arguments]


@contextmanager
def start(*arguments, new_group=False, **more):
    """Start the command; it ends with the block, whatever happens in it."""
    with subprocess.Popen(
        command(*arguments, **more),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=new_group,
        # A shell gives what it runs in the background no Ctrl-C, and that would be inherited.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for(condition, process):
    deadline = time.monotonic() + 200  # generous, for machines that do other things too
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def n_done():
    # os.walk passes over folders that go away meanwhile.
    walked = os.walk("out")
    return sum(
        ".audiosep-" not in folder and "audiosep.json" in names for folder, _, names in walked
    )


def n_told():
    """Tracks that the journal holds; what is being written is not looked at."""
    path = Path("out", ".audiosep", "journal.jsonl")
    return path.read_text("ascii").count('"seconds"') if path.exists() else 0


def make_tapes(n_files, n_broken):
    for number in range(n_files):
        name = f"in/reel-{number % 3}/take-{number:03d}.wav"
        (broken if number < n_broken else sound)(name)


@pytest.mark.slow
def test_killed_twice_and_resumed_is_as_never_killed(here):
    make_tapes(24, 3)
    for goal in (4, 12):
        with start("--jobs", "2") as process:
            wait_for(lambda goal=goal: n_done() >= goal, process)
            process.kill()
    assert n_done() < 21
    with start() as process:
        out, err = process.communicate(timeout=200)
    assert process.returncode == 1
    assert len(err.splitlines()) == 3
    assert n_done() == 21
    assert temporary() == []
    assert len(out.splitlines()) == len(set(out.splitlines()))
    code = split_all(
        [Path("in")],
        replace(SMALL, out=Path("whole")),
        Talk(json_lines=True),
        BatchOptions(recursive=True),
    )
    assert code == 1
    assert contents() == contents("whole")
    # A track that was in work when the run died is done once; none is done twice.
    made = Counter(line["track"] for line in journal() if line.get("seconds"))
    assert set(made.values()) == {1}


@pytest.mark.slow
def test_a_thousand_killed_twice(tmp_path):
    script = Path(__file__).parent.parent / "scripts" / "bench_scale.py"
    done = subprocess.run(
        [sys.executable, script, "--only", "killed"], capture_output=True, text=True, check=True
    )
    assert "| yes |" in done.stdout


@pytest.mark.parametrize(
    ("signal_", "code", "how"),
    [(signal.SIGINT, 130, ["--jobs", "2"]), (signal.SIGTERM, 143, ["--timeout", "600"])],
)
def test_interrupted(here, signal_, code, how):
    sound("in/a.wav")
    for number in range(2):
        files.write_sound(f"in/long-{number}.wav", files.noise(44100 * 60), 44100)
    n_workers = 2 if "--jobs" in how else 1
    with start(*how, "--iterations", "5000") as process:
        # Told to be done, that is: until a move is on the disk, an interruption undoes it.
        wait_for(lambda: n_told() == 1 and len(temporary()) >= n_workers, process)
        process.send_signal(signal_)
        _, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert err.splitlines()[-1].endswith("run the same command again to go on.")
    assert "Traceback" not in err
    assert temporary() == []
    assert n_done() == 1


def worker_at(track):
    """Process that works, or worked last, on a track."""
    name = hashlib.sha256(track.encode()).hexdigest()[:24]
    try:
        words = Path("out", ".audiosep", "tracks", f"{name}.lock").read_text().split()
    except OSError:
        return None
    return int(words[1]) if words else None


def test_a_worker_that_is_killed_costs_its_task_and_is_told(here):
    sound("in/short.wav")
    files.write_sound("in/long.wav", files.noise(44100 * 60), 44100)
    pids = []
    with start("--jobs", "2", "--iterations", "5000") as process:
        for _ in range(2):
            wait_for(lambda: n_done() == 1 and worker_at("long") not in (None, *pids), process)
            pids.append(worker_at("long"))
            os.kill(pids[-1], signal.SIGKILL)
        _, err = process.communicate(timeout=200)
    assert process.returncode == 1
    assert err.startswith("audiosep: in/long.wav was given up: its process was killed by signal 9")
    assert len(err.splitlines()) == 1
    assert temporary() == []
    (line,) = [line for line in journal() if line.get("status") == "failed"]
    assert (line["kind"], line["track"]) == ("crash", "long")


def test_two_runs_at_once_do_each_track_once(here):
    make_tapes(16, 0)
    with start() as first, start() as second:
        for process in (first, second):
            _, err = process.communicate(timeout=200)
            assert process.returncode == 0, err
    assert n_done() == 16
    assert temporary() == []
    made = Counter(line["track"] for line in journal() if line.get("seconds"))
    assert set(made.values()) == {1}
    assert len(made) == 16


def test_the_command_batch(here):
    sound("a.wav")
    broken("b.wav")
    Path("list.csv").write_text("input,components,preset,iterations\na.wav,3,components,2\nb.wav\n")
    ended = files.audiosep("batch", "list.csv", "-o", "out", "--json")
    assert ended.code == 1
    assert statuses(ended) == {"a.wav": "done", "b.wav": "failed"}


@pytest.mark.parametrize("more", [[], ["--dry-run"]])
def test_a_name_that_is_too_long_for_a_folder_costs_one_line(here, more):
    sound("in/a.wav")
    Path("list.csv").write_text(f"input\nin/a.wav\nin/{'n' * 300}/b.wav\n", "utf-8")
    ended = files.audiosep("batch", "list.csv", "-o", "out", *more)
    assert ended.code == 1
    assert "too long" in ended.err
    assert "unexpected" not in ended.err
    assert temporary() == []


# Several recordings without any option for many


def plain(split, *inputs, status=False, **more):
    return split(*inputs, recursive=False, status=status, talk=Talk(), **more)


def test_several_recordings_end_with_a_count_and_are_remembered(split):
    """Found by a reader of the output: a plain run said nothing of how many had failed."""
    sound("in/a.wav")
    broken("in/bad.wav")
    Path("in/empty.wav").write_bytes(b"")
    for inputs in (("in",), ("in/a.wav", "in/bad.wav", "in/empty.wav")):
        shutil.rmtree("out", ignore_errors=True)
        ended = plain(split, *inputs)
        assert ended.code == 1
        counted = "1 done, 0 done before, 2 failed, 1 of them no audio"
        assert ended.err.splitlines()[-1] == f"audiosep: {counted}"
        ended = plain(split, *inputs, status=True)
        assert ended.code == 1
        assert ended.out.splitlines()[-1] == "1 done, 2 failed, 0 left"
        ended = plain(split, *inputs)
        assert ended.err.count("failed before, and neither the file nor the options") == 2
        assert "--retry-failed" not in ended.err  # it would end in the same way
    ended = plain(split, "absent", "absent-too")
    assert ended.err.splitlines()[-1] == "audiosep: 0 done, 0 done before, 2 failed"


def test_a_single_recording_is_not_counted(split):
    sound("in/a.wav")
    for inputs in (("in",), ("in/a.wav",)):
        assert " done before" not in plain(split, *inputs).err
    assert not Path("out/.audiosep").exists()


def test_a_dry_run_says_how_many_cannot_be_taken(split):
    for name in ("a", "b"):
        sound(f"in/{name}.wav")
        broken(f"in/bad-{name}.wav")
    dry = replace(SMALL, dry_run=True)
    for recursive in (False, True):
        ended = split(options=dry, talk=Talk(), recursive=recursive)
        assert ended.code == 1
        (last,) = ended.err.splitlines()[-1:]
        assert last.startswith("audiosep: 2 recordings, ")
        assert last.endswith("; 2 more cannot be taken")
    ended = plain(split, "in/bad-a.wav", "in/bad-b.wav", options=dry)
    assert (ended.code, ended.err.splitlines()[-1]) == (
        3,
        "audiosep: 2 recordings cannot be taken",
    )
    assert not Path("out").exists()


def test_strict_takes_nothing_for_done_that_it_would_refuse(split):
    samples = files.noise(1500, 1)
    samples[0, 700] = float("nan")
    files.write_sound("x.wav", samples, subtype="FLOAT")
    zero = replace(SMALL, fix_nonfinite="zero")
    assert plain(split, "x.wav", options=zero).code == 0
    ended = plain(split, "x.wav", options=replace(SMALL, strict=True))
    assert ended.code == 3
    assert "out/x holds stems made with samples that are no numbers taken as" in ended.err
    assert "x.wav cannot be used: sample 700 of channel 1" in ended.err
    ended = plain(split, "x.wav", options=replace(zero, strict=True))
    assert (ended.code, ended.err) == (0, "x.wav: already done, in out/x\n")


def test_what_is_there_is_said_once_however_often_it_is_tried(split):
    files.cut(sound("x.wav"), 0.5)
    assert plain(split, "x.wav").code == 0
    ended = plain(split, "x.wav", options=replace(SMALL, strict=True))
    words = ended.err.splitlines()
    assert words[0] == "x.wav: out/x holds stems made of a recording that is damaged"
    assert words[1].endswith("are missing; leave --strict out to take what is there.")
    assert len(words) == 2


def test_a_missing_package_is_no_failure_that_lasts(split, monkeypatch):
    """What it needs may be installed since, and the file is the same."""

    def needs(*_, **__):
        raise InputError("in/a.wav is AAC audio, which needs PyAV: pip install 'audiosep[formats]'")

    sound("in/a.wav")
    with monkeypatch.context() as patch:
        patch.setattr("audiosep.cli.one._info", needs)
        assert split().code == 3
    assert statuses(split()) == {"in/a.wav": "done"}
