"""How many threads, and linear algebra on one."""

from __future__ import annotations

import os

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from audiosep import threads
from audiosep.errors import ParameterError
from audiosep.threads import one_blas_thread, resolve_threads


@pytest.mark.parametrize("n_threads", [1, 2, 64])
def test_a_number_is_taken_as_it_is(n_threads):
    assert resolve_threads(n_threads) == n_threads


@pytest.mark.parametrize("n_threads", [0, -1])
def test_numbers_that_cannot_be(n_threads):
    with pytest.raises(ParameterError, match=f"n_threads={n_threads} must be a whole number of"):
        resolve_threads(n_threads)


def test_the_default_is_what_this_process_may_use(monkeypatch, tmp_path):
    monkeypatch.setattr(threads, "_CGROUP", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 3, 5}, raising=False)
    assert resolve_threads(None) == 3


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        ({"cpu.max": "max 100000"}, 6),
        ({"cpu.max": "150000 100000"}, 2),
        ({"cpu.max": "1000 100000"}, 1),
        ({"cpu.max": "900000 100000"}, 6),
        ({"cpu.max": "what"}, 6),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 6),
        ({"cpu/cpu.cfs_quota_us": "250000", "cpu/cpu.cfs_period_us": "100000"}, 3),
        ({"cpu/cpu.cfs_quota_us": "250000", "cpu/cpu.cfs_period_us": "0"}, 6),
    ],
    ids=str,
)
def test_the_limit_of_a_container_is_heeded(monkeypatch, tmp_path, files, wanted):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(6)), raising=False)
    monkeypatch.setattr(threads, "_CGROUP", tmp_path)
    (tmp_path / "cpu").mkdir()
    for name, text in files.items():
        (tmp_path / name).write_text(f"{text}\n")
    assert resolve_threads(None) == wanted


def test_the_default_without_affinities(monkeypatch, tmp_path):
    monkeypatch.setattr(threads, "_CGROUP", tmp_path)
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert resolve_threads(None) == 6
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert resolve_threads(None) == 1


def blas_threads():
    np.ones((2, 2)) @ np.ones((2, 2))
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


def test_linear_algebra_is_held_to_one_thread_and_let_go():
    before = blas_threads()
    assert before
    with one_blas_thread():
        assert set(blas_threads()) == {1}
    assert blas_threads() == before


def test_linear_algebra_is_let_go_after_an_error():
    before = blas_threads()
    with pytest.raises(KeyError, match="inside"), one_blas_thread():
        raise KeyError("inside")
    assert blas_threads() == before


def test_one_separation_does_not_take_the_limit_from_another():
    before = blas_threads()
    first, second = one_blas_thread(), one_blas_thread()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert set(blas_threads()) == {1}
    second.__exit__(None, None, None)
    assert blas_threads() == before
