"""Designs of the engine that were tried for the goals that are missed, beside those that were kept.

    python scripts/bench_designs.py --corpus FOLDER --seconds 180
    python scripts/bench_designs.py --threads           # a part alone, on the repository's examples

--products  How the four products and two divisions of an iteration are made, on one thread, as a
            part of the roofline (`bench_nmf.py` says what that is): by the BLAS in tiles that stay
            in the cache; in blocks that are summed in registers, with the processor's division; the
            same with its estimate of a reciprocal and one step of Newton's, which is what is used.
--threads   How two threads share the slabs of an iteration, as gain over one: tasks of a pool, for
            which the caller waits; two halves; slabs in turn; a common counter that the caller
            takes from, too, which is what is used; the same with a second thread that never sleeps.
--begin     What the coarse beginning of "accelerated" could be with 16 components: time to the
            objective that plain multiplicative updates have after 200 iterations, as a part of
            their time; median over seeds, and how many of them arrived within 120 iterations.
--bold      The same for other exponents of the updates of "accelerated".

Iterations alone are timed in the first two, without what a whole call does before and after.
Medians of runs in turn.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from _nmf_peers import (
    EXAMPLES,
    bound,
    objective,
    rates,
    seconds_of,
    signal,
    start_of,
    threads_pinned,
    without_zeros,
)

from audiosep.nmf import accelerated, coarse, factorize, slabs, vector_kernels
from audiosep.nmf.accelerated import AcceleratedUpdate
from audiosep.nmf.problem import Problem
from audiosep.nmf.updates import MultiplicativeUpdate

COMPONENTS = (8, 16, 32, 64)
FLOOR = np.float32(1e-9)
TILE = 128
STEPS = 8
Settings = dict[tuple[object, str], object]
"""What stands in a module or class instead, by its name there."""

BEGINNINGS: dict[str, Settings] = {
    "as it is": {},
    "a look at the objective": {(AcceleratedUpdate, "blind_step"): lambda update: update.step()},
    "a sixth of the frames": {(coarse, "_SHARE"): 6},
    "a twelfth of the frames": {(coarse, "_SHARE"): 12},
    "25 iterations": {(coarse, "_ITERATIONS"): 25},
    "60 iterations": {(coarse, "_ITERATIONS"): 60},
    "40 first iterations": {(coarse, "_FIRST_ITERATIONS"): 40},
    "three times the components": {(coarse, "_MANY"): 3},
}
BOLD: dict[float, tuple[float, ...]] = {0.0: (0.5, 0.75, 1.2), 0.5: (2 / 3, 1.2), 1.0: (1.3, 1.6)}
"""Exponents to try instead of 1, by divergence; below beta 1 the smallest is the sure one."""

Step = Callable[[], object]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", nargs="+", type=Path, default=[EXAMPLES])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=100, help="others than bench_nmf.py's")
    for name in ("products", "threads", "begin", "bold"):
        parser.add_argument(f"--{name}", action="store_true")
    parser.add_argument("--blocks", choices=("division", "newton"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    V = signal("real", given.corpus, given.seconds, repeat=True)
    if given.blocks:
        print(json.dumps(shares_of_blocks(V, given.blocks, given.runs)))
        return
    every = not (given.products or given.threads or given.begin or given.bold)
    with threads_pinned(1):
        if every or given.products:
            products(V, given)
        if every or given.threads:
            threads(V, given.runs)
        if every or given.begin or given.bold:
            once = signal("real", given.corpus, given.seconds, repeat=False)
            seeds = range(given.first_seed, given.first_seed + given.seeds)
            for beta in (1.0, 0.5) if every or given.begin else ():
                print(f"Beginnings, beta {beta:g}")
                begin(without_zeros(once, beta), seeds, beta, BEGINNINGS)
            for beta, exponents in BOLD.items() if every or given.bold else ():
                tried: dict[str, Settings] = {
                    f"exponent {x:.3g}": {(accelerated, "_BOLD"): x} for x in exponents
                }
                print(f"Exponents, beta {beta:g}")
                begin(without_zeros(once, beta), seeds, beta, {"exponent 1": {}, **tried})


def problem_of(V: np.ndarray, K: int, pool: ThreadPoolExecutor | None) -> Problem:
    free = np.ones((1, K), np.uint8)
    return Problem(V=V.T, beta=1.0, weights=None, free_w=free.T.copy(), free_h=free, pool=pool)


def step_of(V: np.ndarray, K: int, pool: ThreadPoolExecutor | None = None) -> Step:
    """STEPS iterations, compiled and warm."""
    W, H = start_of(V, K, 0)
    update = MultiplicativeUpdate(
        problem_of(V, K, pool), np.ascontiguousarray(W.T), np.ascontiguousarray(H.T)
    )
    update.step(False)
    return lambda: [update.step(False) for _ in range(STEPS)]


def in_turn(steps: dict[str, Step], runs: int) -> dict[str, list[float]]:
    """Seconds of an iteration in each run; a step makes STEPS of them."""
    spent: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(runs):
        for name, step in steps.items():
            spent[name].append(seconds_of(step) / STEPS)
    return spent


# Products


def step_by_blas(V: np.ndarray, K: int) -> Step:
    """An iteration by general products in tiles of frames."""
    factors = start_of(V, K, 0)
    W, H = (np.ascontiguousarray(x.T) for x in factors)
    data = V.T
    room = np.empty((TILE, len(V)), np.float32)

    def step() -> None:
        above, totals = np.zeros_like(W), W.sum(axis=1)
        for first in range(0, len(data), TILE):
            h, v = H[first : first + TILE], data[first : first + TILE]
            ratios = room[: len(h)]

            def fill(h: np.ndarray = h, v: np.ndarray = v, out: np.ndarray = ratios) -> None:
                np.matmul(h, W, out=out)
                np.add(out, FLOOR, out=out)
                np.divide(v, out, out=out)

            fill()
            h *= (ratios @ W.T) / totals
            fill()
            np.add(above, h.T @ ratios, out=above)
        np.multiply(W, above / H.sum(axis=0)[:, np.newaxis], out=W)

    step()
    return lambda: [step() for _ in range(STEPS)]


def shares_of_blocks(V: np.ndarray, quotient: str, runs: int) -> list[float]:
    """Part of the roofline for each number of components, with one way to divide."""
    if quotient == "division":
        writer: Any = vector_kernels._Writer
        writer.quotient = lambda self, v, c: self.builder.fdiv(v, c)
    with threads_pinned(1):
        return [share_of(step_of(V, K), V, K, runs) for K in COMPONENTS]


def share_of(step: Step, V: np.ndarray, K: int, runs: int) -> float:
    least = bound(V, K, rates(1))
    return statistics.median(least / s for s in in_turn({"": step}, runs)[""])


def products(V: np.ndarray, given: argparse.Namespace) -> None:
    shares = [[share_of(step_by_blas(V, K), V, K, given.runs) for K in COMPONENTS]]
    for way in ("division", "newton"):
        # Compiled anew, each in a process of its own: a cache would hold the one for the other.
        with tempfile.TemporaryDirectory() as cache:
            command = [sys.executable, __file__, "--blocks", way, "--runs", str(given.runs)]
            command += ["--seconds", str(given.seconds), "--corpus", *map(str, given.corpus)]
            env = {**os.environ, "NUMBA_CACHE_DIR": cache}
            done = subprocess.run(command, env=env, check=True, capture_output=True, text=True)
        shares.append(json.loads(done.stdout))
    print("Products: part of the roofline, one thread")
    print(f"{'K':>3} {'BLAS':>9} {'division':>9} {'estimate':>9}")
    for K, *row in zip(COMPONENTS, *shares, strict=True):
        print(f"{K:>3} " + " ".join(f"{share:>9.0%}" for share in row), flush=True)


# Threads


def by_pool(self: slabs.Slabs, work: Any, pool: ThreadPoolExecutor | None) -> Iterator[Any]:
    """Map of slabs as tasks of a pool."""
    return iter((map if pool is None else pool.map)(work, range(len(self.parts)), self.parts))


def by_runs(groups: Callable[[int], list[range]]) -> Any:
    """Map of slabs that gives fixed groups of them to the thread that calls and to another."""

    def mapped(self: slabs.Slabs, work: Any, pool: ThreadPoolExecutor | None) -> Iterator[Any]:
        n = len(self.parts)
        if pool is None:
            return map(work, range(n), self.parts)
        out: list[Any] = [None] * n

        def some(indices: range) -> None:
            for i in indices:
                out[i] = work(i, self.parts[i])

        here, there = groups(n)
        other = pool.submit(some, there)
        some(here)
        other.result()
        return iter(out)

    return mapped


def by_counter(submit: Callable[[Callable[[], None]], object]) -> Any:
    """Map of slabs that both threads take from a common counter."""

    def mapped(self: slabs.Slabs, work: Any, pool: ThreadPoolExecutor | None) -> Iterator[Any]:
        n = len(self.parts)
        if pool is None:
            return map(work, range(n), self.parts)
        out: list[Any] = [None] * n
        following = itertools.count()
        done = threading.Event()

        def some() -> None:
            while (i := next(following)) < n:
                out[i] = work(i, self.parts[i])

        def there() -> None:
            some()
            done.set()

        submit(there)
        some()
        done.wait()
        return iter(out)

    return mapped


class Sleepless:
    """A thread that asks for work without end, while it is told to."""

    def __init__(self) -> None:
        self.on = threading.Event()
        self._jobs: list[Callable[[], None]] = []
        self.submit = self._jobs.append
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while self.on.wait():
            if self._jobs:
                self._jobs.pop()()
            else:
                time.sleep(0)  # the interpreter's lock is for the other


def shared(step: Step, design: Any) -> Step:
    """The same iterations with slabs shared by a design; None keeps what is used."""

    def run() -> None:
        kept = slabs.Slabs.map
        slabs.Slabs.map = design or kept  # type: ignore[method-assign]
        try:
            step()
        finally:
            slabs.Slabs.map = kept  # type: ignore[method-assign]

    return run


def threads(V: np.ndarray, runs: int) -> None:
    sleepless = Sleepless()
    print("Threads: gain of the second")
    with ThreadPoolExecutor(2) as pool:
        designs: dict[str, Any] = {
            "pool": by_pool,
            "halves": by_runs(lambda n: [range(n // 2), range(n // 2, n)]),
            "turns": by_runs(lambda n: [range(0, n, 2), range(1, n, 2)]),
            "counter": None,
            "awake": by_counter(sleepless.submit),
        }
        print(f"{'K':>3} " + " ".join(f"{name:>8}" for name in designs))
        for K in COMPONENTS:
            steps: dict[str, Step] = {"one": step_of(V, K)}
            for name, design in designs.items():
                steps[name] = shared(step_of(V, K, pool), design)
            inner = steps["awake"]

            def awake(inner: Step = inner) -> None:
                sleepless.on.set()
                inner()
                sleepless.on.clear()

            spent = in_turn({**steps, "awake": awake}, runs)
            gains = [
                statistics.median(a / b for a, b in zip(spent["one"], spent[name], strict=True))
                for name in designs
            ]
            print(f"{K:>3} " + " ".join(f"{gain:>8.2f}" for gain in gains), flush=True)


# Beginning


def begin(V: np.ndarray, seeds: range, beta: float, designs: dict[str, Settings]) -> None:
    """Time to the objective of 200 plain iterations, as a part of their time."""
    K = 16
    found: dict[str, list[float]] = {name: [] for name in designs}
    for seed in seeds:
        W0, H0 = start_of(V, K, seed)
        began = time.perf_counter()
        plain = factorize(
            V, beta=beta, solver="mu", max_iter=200, tol=0, templates=W0, activations=H0,
            loss_every=200, n_threads=1,
        )  # fmt: skip
        spent = time.perf_counter() - began
        wanted = objective(V, plain.templates, plain.activations, beta)
        for name, settings in designs.items():
            found[name].append(time_until(V, K, seed, beta, wanted, settings) / spent)
    print(f"{f'{K} components':<28} {'median':>7} {'arrived':>8}")
    for name, shares in found.items():
        arrived = sum(map(math.isfinite, shares))
        print(f"{name:<28} {statistics.median(shares):>7.3f} {arrived:>3} of {len(shares)}")


def time_until(
    V: np.ndarray, K: int, seed: int, beta: float, wanted: float, settings: Settings
) -> float:
    stamps: list[float] = []
    with ExitStack() as stack:
        for (home, name), value in settings.items():
            stack.callback(setattr, home, name, getattr(home, name))
            setattr(home, name, value)
        began = time.perf_counter()
        result = factorize(
            V, K, beta=beta, solver="accelerated", max_iter=120, tol=0, seed=seed, n_threads=1,
            progress=lambda *_: stamps.append(time.perf_counter() - began),
        )  # fmt: skip
    losses = np.asarray(result.losses)
    losses *= objective(V, result.templates, result.activations, beta) / losses[-1]
    (there,) = np.nonzero(losses <= wanted * (1 + 1e-5))
    # The last stamps are those of iterations on all frames, one each.
    return stamps[-120:][max(0, there[0] - 1)] if there.size else math.inf


if __name__ == "__main__":
    main()
