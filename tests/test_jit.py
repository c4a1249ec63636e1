"""Where compiled kernels are kept, and that they also run uncompiled."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest

from audiosep.nmf import jit

TESTS = Path(__file__).resolve().parent

# Compiles one small kernel in the place chosen from the environment.
USE = """
from audiosep.nmf import jit
import numpy as np
from audiosep.nmf import kernels
x = np.ones((1, 1))
was_warm = jit.is_warm()
kernels.multiply(x, 2 * x, x, 1.0, 0.0)
assert x[0, 0] == 2.0
print(jit.cache_dir(), jit.cache_is_persistent(), was_warm, jit.is_warm(), sep="\\n")
"""


def run(*command, drop=(), **environment):
    env = {k: v for k, v in os.environ.items() if not k.startswith("NUMBA_") and k not in drop}
    return subprocess.run(
        [sys.executable, *command], env=env | environment, capture_output=True, text=True,
        timeout=280, check=False,
    )  # fmt: skip


def place_of(**environment):
    """Directory, whether it lasts, and whether it held kernels before and after one was used."""
    done = run("-W", "error", "-c", USE, drop=("XDG_CACHE_HOME",), **environment)
    assert done.returncode == 0, done.stderr
    place, persistent, before, after = done.stdout.split("\n")[:4]
    return Path(place), persistent == "True", before == "True", after == "True"


def test_the_place_can_be_chosen(tmp_path):
    chosen = tmp_path / "not" / "there" / "yet"
    place, persistent, before, after = place_of(NUMBA_CACHE_DIR=str(chosen))
    assert place.parent == chosen
    assert (persistent, before, after) == (True, False, True)
    assert place_of(NUMBA_CACHE_DIR=str(chosen)) == (place, True, True, True)


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="other variables choose the place")
def test_the_place_is_the_users_cache(tmp_path):
    place, persistent, _, after = place_of(HOME=str(tmp_path))
    assert place.parent == tmp_path / ".cache" / "audiosep"
    assert (persistent, after) == (True, True)


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="other variables choose the place")
def test_without_a_writable_place_a_temporary_one_is_used(tmp_path):
    # A file where a directory is needed stops even an administrator.
    blocked = tmp_path / "file"
    blocked.touch()
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    place, persistent, before, _ = place_of(
        HOME=str(blocked / "home"), NUMBA_CACHE_DIR=str(blocked / "cache"), TMPDIR=str(temporary)
    )
    assert place.parent == temporary
    assert (persistent, before) == (False, False)
    assert not list(temporary.iterdir())  # nothing is left behind


def test_the_place_changes_with_the_sources():
    assert jit.cache_dir().name.endswith(jit._sources_digest())
    assert len(jit._sources_digest()) == 12


def test_decorating_leaves_the_settings_of_others_alone():
    before = numba.config.CACHE_DIR

    @jit.kernel
    def twice(x):
        return x + x

    assert before == numba.config.CACHE_DIR
    assert twice(3.0) == 6.0


def test_a_kernel_does_not_hide_what_is_not_a_number():
    @jit.kernel
    def total(x):
        result = 0.0
        for i in range(x.size):
            result += x[i]
        return result

    assert np.isnan(total(np.array([1.0, np.nan])))
    assert total(np.array([1.0, np.inf])) == np.inf
    assert total(np.arange(5.0)) == 10.0

    @jit.kernel
    def is_missing(x):
        return x != x

    # A compiler told that there are no such numbers answers no.
    assert is_missing(np.nan)
    assert not is_missing(1.0)


def test_bits_and_back():
    @jit.kernel
    def bits(x):
        return jit.bits_of(x)

    @jit.kernel
    def number(b):
        return jit.float_of(b)

    for x in (0.0, -0.0, 1.0, -2.5, 1e-40, 3.4e38, np.inf):
        want = int(np.float32(x).view(np.int32))
        assert int(bits(np.float32(x))) == want
        back = np.float32(number(np.int32(want)))
        assert back.tobytes() == np.float32(x).tobytes()


def test_a_kernel_may_ask_for_wide_vectors():
    def asking(x, y):
        jit.wide_vectors()
        for i in range(x.size):
            y[i] = x[i] + x[i]

    def silent(x, y):
        for i in range(x.size):
            y[i] = x[i] + x[i]

    for function, asks in ((asking, True), (silent, False)):
        compiled = numba.njit(function)
        x, y = np.arange(33.0), np.empty(33)
        compiled(x, y)
        assert y.tolist() == (2 * x).tolist()
        code = compiled.inspect_llvm(compiled.signatures[0])
        assert ('"prefer-vector-width"="512"' in code) is asks


@pytest.mark.slow
def test_kernels_work_uncompiled():
    done = run(
        "-m", "pytest", str(TESTS / "test_kernels.py"), str(TESTS / "test_factorize.py"), "-q",
        "-x", "-p", "no:cacheprovider", "--rootdir", str(TESTS.parent), "-c",
        str(TESTS.parent / "pyproject.toml"), NUMBA_DISABLE_JIT="1",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout
