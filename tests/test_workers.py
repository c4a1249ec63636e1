"""Processes that do tasks: those that die or hang lose one task only."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import faulty
import pytest

from audiosep.cli import workers
from audiosep.cli.processes import NAME
from audiosep.cli.tasks import Task
from audiosep.cli.workers import Here, Pool
from audiosep.errors import AudiosepError, ExitCode
from audiosep.io.naming import Job


def tasks(*names):
    return [Task(job=Job(source=Path(f"{n}.wav"), folder=Path(n)), options=None) for n in names]


def run(pool, *names):
    """Outcome of each task, by name."""
    try:
        return {task.job.source.stem: outcome for task, outcome in pool.run(iter(tasks(*names)))}
    finally:
        pool.close()


def n_tries(folder, name):
    return len((folder / f"{name}.tries").read_text().splitlines())


def no_processes():
    return not [p for p in multiprocessing.active_children() if p.name == NAME]


@pytest.fixture
def pool(tmp_path, monkeypatch):
    """Make pools whose tasks need no memory."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.delenv("NUMBA_NUM_THREADS", raising=False)
    monkeypatch.setattr(Pool, "_need", lambda self, task: 0)
    return lambda n_jobs, timeout_s=None: Pool(faulty.Faulty(tmp_path), n_jobs, timeout_s)


def test_those_that_die_or_hang_lose_their_own_task_only(pool, tmp_path):
    names = ["a", "once", "dies", "b", "leaves", "hangs", "ill", "c"]
    outcomes = run(pool(2, 3.0), *names)
    assert set(outcomes) == set(names)
    done = {name for name, outcome in outcomes.items() if outcome.failure is None}
    assert done == {"a", "b", "c", "once"}
    errors = {name: outcomes[name].entry["error"] for name in ("dies", "leaves", "hangs", "ill")}
    assert errors["dies"].startswith("dies.wav was given up: its process was killed by signal 9,")
    assert "ended with code 7, twice" in errors["leaves"]
    assert errors["hangs"] == "hangs.wav took longer than --timeout 3 s, twice."
    assert "RuntimeError: boom" in errors["ill"]
    kinds = {name: outcomes[name].kind for name in errors}
    assert kinds == {"dies": "crash", "leaves": "crash", "hangs": "timeout", "ill": "crash"}
    assert all(n_tries(tmp_path, name) == 2 for name in (*errors, "once"))
    assert all(n_tries(tmp_path, name) == 1 for name in "abc")
    assert {outcomes[name].failure for name in errors} == {ExitCode.ALL_FAILED}
    assert outcomes["a"].entry["threads"] == ("1", "1")
    assert no_processes()


def test_those_that_die_at_once_are_told_too(pool, tmp_path):
    names = ["now-vanishes", "now-leaves", "now-dies"]
    outcomes = run(pool(1), *names, "a")
    assert outcomes["a"].failure is None
    errors = [outcomes[name].entry["error"] for name in names]
    assert "ended with code 0, twice" in errors[0]
    assert "ended with code 7, twice" in errors[1]
    assert "killed by signal 9, twice" in errors[2]
    assert all(n_tries(tmp_path, name) == 2 for name in names)


def test_a_process_that_dies_between_tasks_costs_none(pool, tmp_path):
    some = pool(1)
    try:
        outcomes = some.run(iter(tasks("a", "b")))
        next(outcomes)
        (helper,) = (p for p in multiprocessing.active_children() if p.name == NAME)
        helper.kill()
        helper.join()
        assert next(outcomes)[1].failure is None
    finally:
        some.close()
    assert n_tries(tmp_path, "b") == 1


def test_processes_stay_for_the_next_task(pool, tmp_path):
    names = [f"t{i}" for i in range(12)]
    outcomes = run(pool(2), *names)
    assert set(outcomes) == set(names)
    assert len({(tmp_path / f"{name}.tries").read_text() for name in names}) <= 2


def test_memory_decides_how_many_are_done_at_once(pool, monkeypatch):
    needs = {"slow-large": 8, "slow-small": 2, "slow-tiny": 1, "slow-huge": 99}
    monkeypatch.setattr(Pool, "_need", lambda self, task: needs[task.job.source.stem])
    some = pool(3)
    some._budget = 9
    outcomes = run(some, "slow-large", "slow-small", "slow-tiny", "slow-huge")
    beside = {name: set(outcome.entry["beside"]) for name, outcome in outcomes.items()}
    assert "slow-small" not in beside["slow-large"]
    # What never fits is tried alone: the reading of it says how much it takes.
    assert beside["slow-huge"] == set()


def test_tasks_are_taken_as_there_is_room(pool):
    taken = []

    def endless():
        for number in range(1000):
            taken.append(number)
            yield from tasks(f"t{number}")

    some = pool(2)
    try:
        outcomes = some.run(endless())
        for _ in range(5):
            next(outcomes)
        assert len(taken) <= 5 + 2
    finally:
        some.close()
    assert no_processes()


def test_processes_that_end_as_they_start(monkeypatch):
    monkeypatch.setattr(workers, "_STARTS", 1)
    monkeypatch.setattr(Pool, "_need", lambda self, task: 0)
    with pytest.raises(AudiosepError, match="end as soon as they start; try --jobs 1"):
        run(Pool(faulty.Stillborn(), 1), "a")
    assert no_processes()


def test_nothing_to_do_starts_nothing(pool):
    assert run(pool(2)) == {}
    assert no_processes()


def test_one_after_the_other_in_this_process():
    outcomes = list(Here(worker=lambda task: task.job.source.name).run(tasks("a", "b")))
    assert [outcome for _, outcome in outcomes] == ["a.wav", "b.wav"]
