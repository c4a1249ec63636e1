"""Batches on a Dask cluster: real schedulers and workers, which are killed."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import pickle
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import faulty
import files
import psutil
import pytest
from test_batch import (
    SMALL,
    broken,
    contents,
    journal,
    n_done,
    sound,
    start,
    statuses,
    temporary,
    wait_for,
    worker_at,
)
from test_workers import n_tries, tasks

import audiosep
from audiosep.cli import cluster, cluster_worker
from audiosep.cli.batches import BatchOptions
from audiosep.cli.cluster import Cluster
from audiosep.cli.cluster_worker import Misfit, Run, end_there, separate_there
from audiosep.cli.one import Worker
from audiosep.cli.split import split_all
from audiosep.cli.talk import Talk
from audiosep.errors import AudiosepError, Cancelled, UsageError

DASK = [sys.executable, "-m", "dask"]


@pytest.fixture(scope="session", autouse=True)
def _compiled():
    """Compile the kernels once, so that no test waits for them."""
    audiosep.separate(files.noise(), 8000, **files.SMALL_SETTINGS)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def machines(tmp_path_factory, monkeypatch):
    """Start schedulers and workers, each as if on a machine of its own; give their groups."""
    folder = tmp_path_factory.mktemp("machines")
    monkeypatch.setenv("DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES", "1")
    running = []

    def dask(what, *arguments):
        place = ["--host", "127.0.0.1", "--no-dashboard", "--scheduler-file", folder / "where.json"]
        with (folder / f"{len(running)}.log").open("w") as log:
            process = subprocess.Popen(
                [*DASK, what, *place, *arguments],
                stdout=log,
                stderr=log,
                cwd=folder,
                start_new_session=True,
            )
        running.append(process)
        return process

    def cluster(n_workers=2):
        dask("scheduler", "--port", "0")
        one = ["--nworkers", "1", "--nthreads", "1", "--memory-limit", "0"]
        for _ in range(n_workers):
            dask("worker", *one, "--resources", "MB=4000", "--local-directory", folder)
        where = folder / "where.json"
        wait_until(where.is_file)
        return str(where)

    try:
        cluster.running = running
        yield cluster
    finally:
        for process in running:
            kill(process)


def kill(process):
    """Kill a process with all that it has started, as when a machine is lost."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def wait_until(condition):
    deadline = time.monotonic() + 100
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def group(number):
    """Processes of a group that are not over."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, ProcessLookupError):
            if os.getpgid(process.pid) == number and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def long(name, seconds, seed=0):
    """Write a recording that takes a while."""
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    files.write_sound(name, files.noise(44100 * seconds, seed=seed), 44100)


def whole():
    """What the local engine makes of the same recordings, and its exit code."""
    talk = Talk(json_lines=True, quiet=True)
    options = replace(SMALL, out=Path("whole"))
    code = split_all([Path("in")], options, talk, BatchOptions(recursive=True))
    return int(code), contents("whole")


def lines_of(status):
    """How often the journal says it of each track."""
    return Counter(line["track"] for line in journal() if line.get("status") == status)


def is_done(track):
    return Path("out", track, "audiosep.json").exists()


# Machines


def test_a_machine_that_is_lost_costs_nothing(here, machines):
    for number in range(4):
        sound(f"in/short-{number}.wav", number)
    for number in range(3):
        long(f"in/x/long-{number}.wav", 20, number)
    broken("in/bad.wav")
    where = machines()
    machines_at = {process.pid: process for process in machines.running}
    with start("--scheduler", where, "--json") as process:
        lost = None

        def is_killed_at_work():
            nonlocal lost
            for number in range(3):
                track = f"x/long-{number}"
                pid = worker_at(track)
                if pid is None or is_done(track):
                    continue
                try:
                    machine = machines_at[os.getpgid(pid)]
                except (ProcessLookupError, KeyError):
                    continue
                kill(machine)
                lost = track
                # If it was done just before it died, the other one is for the next turn.
                return not is_done(track)
            return False

        wait_for(is_killed_at_work, process)
        out, err = process.communicate(timeout=200)
    assert process.returncode == 1, err
    assert n_done() == 7
    assert is_done(lost)
    assert (1, contents()) == whole()
    assert temporary() == []
    assert sorted(lines_of("done").values()) == [1] * 7
    assert lines_of("failed") == Counter({"bad": 1})
    said = [json.loads(line)["input"] for line in out.splitlines()]
    assert sorted(said) == sorted(set(said))
    assert len(said) == 8


@pytest.mark.slow  # three runs on a cluster that is started anew
def test_told_to_end_and_gone_on_until_the_scheduler_dies(here, machines):
    sound("a.wav")
    long("b.wav", 60)
    manifest = Path("list.csv")
    manifest.write_text("input,iterations\na.wav,2\nb.wav,5000\n")
    batch = {"what": ("batch", "list.csv")}
    where = machines(1)
    with start("--scheduler", where, **batch) as process:
        wait_for(lambda: is_done("a") and worker_at("b"), process)
        helper = worker_at("b")
        process.terminate()
        _, err = process.communicate(timeout=60)
    assert process.returncode == 143
    assert err == "audiosep: told to end; run the same command again to go on.\n"
    assert temporary() == []
    assert not psutil.pid_exists(helper)
    with start("--scheduler", where, **batch) as process:
        wait_for(lambda: worker_at("b"), process)
        kill(machines.running[0])
        _, err = process.communicate(timeout=100)
    assert process.returncode == 3
    assert err.startswith(f"audiosep: the cluster at {where} is gone;")
    assert len(err.splitlines()) == 1
    manifest.write_text("input\na.wav\nb.wav\n")
    with start(**batch) as process:
        _, err = process.communicate(timeout=100)
    assert (process.returncode, err) == (0, "")
    assert lines_of("done") == {"a": 1, "b": 1}
    assert temporary() == []


# A cluster of this machine


def test_workers_of_this_machine(here, tmp_path_factory, monkeypatch):
    scratch = tmp_path_factory.mktemp("scratch")
    monkeypatch.setenv("TMPDIR", str(scratch))
    for number in range(5):
        sound(f"in/x/{number}.wav", number)
    broken("in/bad.wav")
    with start("--engine", "dask", "--jobs", "2", "--json") as process:
        out, err = process.communicate(timeout=200)
    assert process.returncode == 1
    assert err == ""
    said = statuses(files.Ended(1, out, err))
    assert said == {"in/bad.wav": "failed", **{f"in/x/{n}.wav": "done" for n in range(5)}}
    assert (1, contents()) == whole()
    assert set(lines_of("done").values()) == {1}
    assert temporary() == []
    assert list(scratch.iterdir()) == []


def test_ctrl_c_ends_all_processes(here):
    long("in/a.wav", 60)
    with start("--engine", "dask", "--iterations", "5000", new_group=True) as process:
        wait_for(lambda: worker_at("a") is not None, process)
        # As a terminal does.
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=60)
        wait_until(lambda: not group(process.pid))
    assert process.returncode == 130
    assert err == "audiosep: interrupted; run the same command again to go on.\n"
    assert temporary() == []
    assert not Path("out/a").exists()


@pytest.fixture
def engine(here):
    """Start clusters of this machine whose tasks do what their names say."""
    started = []

    def make(n_jobs, timeout_s=None):
        started.append(Cluster(faulty.Faulty(here, Talk(quiet=True)), n_jobs, timeout_s))
        return started[-1]

    yield make
    for one in started:
        one.close()
    assert not multiprocessing.active_children()


@pytest.mark.slow
def test_those_that_die_or_hang_lose_their_own_task_only(engine, here):
    names = ["a", "once", "leaves", "hangs", "ill", "b", "fells", "c", "d"]
    outcomes = {t.job.source.stem: outcome for t, outcome in engine(2, 3.0).run(tasks(*names))}
    assert set(outcomes) == set(names)
    kinds = {name: outcome.kind for name, outcome in outcomes.items() if outcome.failure}
    assert kinds == {"leaves": "crash", "hangs": "timeout", "ill": "crash", "fells": "crash"}
    errors = {name: outcomes[name].entry["error"] for name in kinds}
    assert errors["leaves"].startswith("leaves.wav was given up: its process ended with code 7, tw")
    assert errors["hangs"] == "hangs.wav took longer than --timeout 3 s, twice."
    assert "RuntimeError: boom" in errors["ill"]
    assert errors["fells"].startswith("fells.wav was given up: the worker that had it died, 4 time")
    assert n_tries(here, "fells") == 4
    assert outcomes["a"].entry["threads"] == ("1", "1")


def test_memory_decides_how_many_are_done_at_once(engine, monkeypatch):
    monkeypatch.setattr(cluster, "available_bytes", lambda: 2_000_000_000)
    needs = {"slow-a": 1, "slow-b": 1, "slow-huge": 9_000_000_000, "slow-c": 1, "slow-d": 1}
    monkeypatch.setattr(cluster, "need_of", lambda task, _: needs[task.job.source.stem])
    outcomes = {t.job.source.stem: outcome for t, outcome in engine(2).run(tasks(*needs))}
    beside = {name: outcome.entry["beside"] for name, outcome in outcomes.items()}
    assert beside["slow-huge"] == []
    assert set(beside) == set(needs)


def test_tasks_are_sent_as_there_is_room_and_to_the_same_version(engine, monkeypatch):
    monkeypatch.setattr(cluster, "_LEAST_ROOM", 3)
    taken = []

    def endless():
        for number in range(1000):
            taken.append(number)
            yield from tasks(f"now-{number}")

    some = engine(1)
    outcomes = some.run(endless())
    for _ in range(5):
        next(outcomes)
    assert len(taken) <= 5 + 3 + 1
    monkeypatch.setattr(cluster, "__version__", "0.0.1")
    with pytest.raises(AudiosepError, match=r"has audiosep .*, and this is 0\.0\.1; install"):
        list(outcomes)
    assert isinstance(separate_there("0.0.1", b"what no other version can read"), Misfit)


# On a worker


def test_processes_end_when_nobody_asks_and_when_they_are_told(here, monkeypatch):
    monkeypatch.setattr(cluster_worker, "_IDLE_S", 0.5)
    run = Run(name="some", worker=faulty.Faulty(here), home=here)

    def ask(name):
        (task,) = tasks(name)
        return separate_there(audiosep.__version__, pickle.dumps((run, task)))

    assert ask("now-a").failure is None
    assert multiprocessing.active_children()
    wait_until(lambda: not multiprocessing.active_children())
    monkeypatch.setattr(cluster_worker, "_IDLE_S", 100.0)
    assert ask("now-b").failure is None
    asyncio.run(end_there("some"))
    assert not multiprocessing.active_children()
    with pytest.raises(Cancelled):
        ask("now-c")


# What cannot be


def test_a_worker_that_sees_other_folders_is_told(here, monkeypatch):
    monkeypatch.setattr(cluster_worker, "_SEEN_S", 0.1)
    sound("in/a.wav")
    worker = Worker(talk=Talk(), out=Path("out"))
    (task,) = tasks("in/a")
    for home in (here, here / "elsewhere"):
        run = Run(name=str(home), worker=worker, home=home)
        answer = separate_there(audiosep.__version__, pickle.dumps((run, task)))
        assert "does not see the folder" in answer.words


def test_a_cluster_out_of_reach(here, monkeypatch):
    monkeypatch.setattr(cluster, "_REACH_S", 0.5)
    sound("in/a.wav")
    batch = BatchOptions(recursive=True, scheduler="tcp://127.0.0.1:9")
    with pytest.raises(
        AudiosepError, match=r"the cluster at tcp://127\.0\.0\.1:9 cannot be reached"
    ):
        split_all([Path("in")], SMALL, Talk(), batch)
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"engine": "ray"}, "--engine 'ray' is unknown; use local or dask."),
        ({"engine": "local", "scheduler": "tcp://a:1"}, "--scheduler is for --engine dask;"),
        ({"jobs": 2, "scheduler": "tcp://a:1"}, "--jobs 2 does not go with --scheduler"),
        ({"scheduler": "nothing"}, "is neither an address, such as tcp://host:8786, nor a"),
    ],
)
def test_options_that_cannot_be(here, options, words):
    sound("in/a.wav")
    with pytest.raises(UsageError, match=re.escape(words)):
        split_all([Path("in")], SMALL, Talk(), BatchOptions(recursive=True, **options))
    assert not Path("out").exists()


_WITHOUT = """
import sys
sys.modules["distributed"] = None
from audiosep.cli import main
main()
"""


def test_the_extra_is_named_where_it_is_missing(here):
    sound("a.wav")
    arguments = ["split", "a.wav", "-o", "out", "--engine", "dask"]
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "pip install 'audiosep[cluster]'" in done.stderr
    assert not Path("out").exists()
