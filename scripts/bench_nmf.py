"""Speed and memory of NMF: audiosep, scikit-learn, torchnmf, nimfa and gensim in one run.

    python scripts/bench_nmf.py --corpus shared/data/corpus/drums shared/data/corpus/multitrack
    python scripts/bench_nmf.py --per-iteration --seconds 30 180 1800 --components 8 16 32 64
                                --betas 0 0.5 1 2 --threads 1 2 --signals real synthetic
    python scripts/bench_nmf.py --objective --seconds 30 --betas 1 --seeds 5 --peers
    python scripts/bench_nmf.py --memory --seconds 1800
    python scripts/bench_nmf.py --slow-down
    python scripts/bench_nmf.py --roofline

Without the name of a section all of them run at the sizes of the goals, within half an hour.
Last comes a table of the goals, with what was measured and whether it was reached. scikit-learn
comes with ".[test]"; the other libraries are optional (``pip install torch torchnmf nimfa
gensim``), and a missing one is reported. ``_nmf_peers.py`` says what each can do and how it is
called; ``--peers`` names the ones to run beside scikit-learn, none if nothing follows it.

Signals: magnitude spectrograms (window 2048, hop 512 at 44.1 kHz: 1025 bins) scaled to a mean of
one. "real" is the recordings named mixture.* (if there are none: all wav and flac files) below
--corpus, joined, without those of other rates, or the examples of the repository. "synthetic"
is a product of sparse gamma factors times gamma noise. Where a signal is shorter than asked for
its frames are repeated, but never for --objective, which then uses less. At beta <= 0 everybody
gets (V + 2e-9) 1e5, which is above the epsilons of all libraries.

Rules: everybody gets the same V, W0 and H0 and its best layout, makes all iterations, with warm
kernels and the same number of threads. Runs alternate between the libraries; a ratio is the median
of the ratios run by run, because a shared machine drifts, and no time is a difference of two.

--per-iteration  Time of a whole call divided by its iterations, so that copies count.
                 scikit-learn computes no objective, torchnmf and audiosep one in 10 iterations.
                 "alone" is the median time between two iterations of that call, without what a
                 call does before and after them. "of the roofline" is bound / that, "a call"
                 bound / the first, with bound = 8 F N K / gemm rate + 2 F N / divide rate
                 (Kullback-Leibler: four products and two divisions per entry, nothing overlaps),
                 both rates measured before each run: the fastest large float32 product, and
                 float32 divisions within the cache, by Numba or NumPy, whichever is faster.
                 "of arithmetic" is what as many threads gain on multiply-adds within the cache,
                 in the same runs: more than that no program gets from them here.
                 Libraries other than scikit-learn make 2 runs of 4 iterations, and none above 10
                 minutes; there all make 2 runs of 3.
--objective      Time from the start of the call until the objective is at or below the one that
                 scikit-learn has after 200 iterations (beta 2: of coordinate descent), one thread,
                 a new start for each seed (all begin at the same W0 and H0, but "accelerated",
                 whose way to begin is part of it; at beta 2 it is "accelerated-hals"), every
                 library at most 200 iterations; "never" if it takes more. One function computes
                 the objective of all, in float64; the losses that audiosep reports are scaled to
                 it. Looking at it is not timed for the others (every 10 iterations), ours is, every
                 --loss-every iterations. The others run for the first --peer-seeds seeds.
--memory         Largest resident set of a new process that makes V in place and factorizes it:
                 interpreter and V included. Without gensim, which reads its documents one by one.
--slow-down      Median time of an iteration from 951 to 1000 against from 11 to 60, in one call.
                 2 runs. scikit-learn's are medians of 5 stretches of 10, and count its objective;
                 its last stretches where it stops before, when rounding raises the objective.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from _nmf_peers import (
    EXAMPLES,
    HOP,
    PEERS,
    SR,
    Column,
    Peer,
    ScikitLearn,
    arithmetic,
    bound,
    objective,
    peak_mb,
    rates,
    reading,
    recordings,
    seconds_of,
    show,
    signal,
    start_of,
    stretches_of_sklearn,
    threads_pinned,
    without_zeros,
)

from audiosep.nmf import factorize

OUR_SOLVERS = ("mu", "accelerated")
"""Solvers of audiosep; the last is the one that the goals of --objective are about."""

OWN_START = ("accelerated",)
"""Solvers whose way to begin is part of them: with --objective they get a seed, not W0 and H0."""

LEAST_SQUARES = {"accelerated": "accelerated-hals"}
"""What stands for a solver with --objective at beta 2."""

OBJECTIVE_ITERATIONS = 200

LONG_S = 600.0
"""Above this --per-iteration makes few iterations, of scikit-learn and audiosep only."""

PEER_RUNS, PEER_ITERATIONS = 2, 4
"""Of --per-iteration, for the optional libraries: some take seconds for an iteration."""
SAME = 1e-5
"""Objectives this close, relatively, are the same: float32 factors are not exact to more."""


# Calls


def ours(V, W0, H0, beta, n_iter, threads=1, solver="mu", loss_every=10, progress=None, seed=None):
    """Call to be timed; returns the Factorization."""
    options: dict = {"progress": progress} if progress else {}
    options["loss_every"] = min(loss_every, n_iter)
    if seed is None:
        options |= {"templates": W0, "activations": H0}
    else:
        options |= {"n_components": len(H0), "seed": seed}
    return lambda: factorize(
        V, beta=beta, solver=solver, max_iter=n_iter, tol=0, n_threads=threads, **options
    )


def warm(V, K, beta, names: Iterable[str]) -> None:
    """Compile, import and start pools, so that no timed call has to."""
    short = V[:, :512]
    W0, H0 = start_of(short, K, 0)
    for threads in (1, 2):
        for solver in OUR_SOLVERS:
            name = LEAST_SQUARES.get(solver, solver) if beta == 2.0 else solver
            ours(short, W0, H0, beta, 12, threads, name, seed=0 if solver in OWN_START else None)()
    for peer in names:
        library(peer).prepare(short, W0, H0, beta, 1)()


def library(name: str) -> Peer:
    return PEERS.get(name) or ScikitLearn()


def able(names: Iterable[str], beta: float) -> list[str]:
    return [n for n in names if library(n).version() and library(n).can(beta)]


# Sections


def per_iteration(V, K, beta, thread_counts, n_iter, runs, names=()) -> list[dict]:
    """One row per number of threads; all of them, and all libraries, in each run."""
    V = without_zeros(V, beta)
    W0, H0 = start_of(V, K, 0)
    names = [n for n in able(names, beta) if library(n).has_iterations]
    warm(V, K, beta, ["scikit-learn", *names])
    spent: dict[tuple[int, str], list[float]] = {}
    for run in range(runs):
        for threads in thread_counts:
            spent.setdefault((threads, "bound"), []).append(bound(V, K, rates(threads)))
            spent.setdefault((threads, "arithmetic"), []).append(1.0 / arithmetic(threads))
            stamps: list[float] = []
            call = ours(
                V, W0, H0, beta, n_iter, threads,
                progress=lambda *_, s=stamps: s.append(time.perf_counter()),
            )  # fmt: skip
            each = seconds_of(call) / n_iter
            spent.setdefault((threads, "audiosep"), []).append(each)
            alone = statistics.median(np.diff(stamps[-n_iter:])) if n_iter > 1 else each
            spent.setdefault((threads, "iteration"), []).append(alone)
            # No goal depends on the time of an iteration of the optional ones.
            for name in ("scikit-learn", *(names if run < PEER_RUNS else ())):
                n = n_iter if name == "scikit-learn" else min(PEER_ITERATIONS, n_iter)
                call = library(name).prepare(V, W0, H0, beta, n)
                with threads_pinned(threads):
                    each = seconds_of(call) / n
                spent.setdefault((threads, name), []).append(each)

    def ratio(a: tuple[int, str], b: tuple[int, str]) -> float:
        return statistics.median(x / y for x, y in zip(spent[a], spent[b], strict=False))

    rows = []
    for threads in thread_counts:
        us = (threads, "audiosep")
        row = {"beta": beta, "K": K, "threads": threads, "ms": 1e3 * statistics.median(spent[us])}
        for name in ("scikit-learn", *names):
            row[f"{name}_ms"] = 1e3 * statistics.median(spent[threads, name])
            row[f"{name}_ratio"] = ratio((threads, name), us)
        row["iteration_ms"] = 1e3 * statistics.median(spent[threads, "iteration"])
        if beta == 1.0:
            row["roofline"] = ratio((threads, "bound"), (threads, "iteration"))
            row["roofline_call"] = ratio((threads, "bound"), us)
        if threads > 1 and 1 in thread_counts:
            row["speed_up"] = ratio((1, "audiosep"), us)
            row["arithmetic"] = ratio((1, "arithmetic"), (threads, "arithmetic"))
        rows.append(row)
    return rows


def until(V, W0, H0, beta, solver, target, loss_every, seed=0) -> tuple[float, int]:
    """Seconds and iterations of audiosep until the target; infinite if it never gets there."""
    stamps: list[tuple[float, float]] = []
    began = time.perf_counter()

    def progress(_: str, fraction: float) -> None:
        stamps.append((fraction, time.perf_counter() - began))

    n_iter = OBJECTIVE_ITERATIONS
    seed = seed if solver in OWN_START else None
    if beta == 2.0:
        solver = LEAST_SQUARES.get(solver, solver)
    result = ours(V, W0, H0, beta, n_iter, 1, solver, loss_every, progress, seed)()
    losses = np.asarray(result.losses)
    losses = losses * (objective(V, result.templates, result.activations, beta) / losses[-1])
    iterations = result.loss_iterations
    reached = iterations[losses <= target * (1.0 + SAME)]
    if not len(reached):
        return math.inf, n_iter
    # The loss after an iteration is known when the next, which computes it on the way, is done.
    known = min(int(reached[0]) + 1, n_iter)
    return next(t for f, t in stamps if f >= known / n_iter - 1e-9), int(reached[0])


def to_objective(V, K, beta, seeds, loss_every=1, names=(), peer_seeds=1) -> dict:
    V = without_zeros(V, beta)
    names = able(names, beta)
    warm(V, K, beta, ["scikit-learn", *names])
    their_solver = "cd" if beta == 2.0 else "mu"
    spent: dict[str, list[float]] = {}
    iterations: dict[str, list[int]] = {}
    for seed in range(seeds):
        W0, H0 = start_of(V, K, seed)
        theirs = ScikitLearn().prepare(V, W0, H0, beta, OBJECTIVE_ITERATIONS, their_solver)
        with threads_pinned(1):
            began = time.perf_counter()
            W, H = theirs()
            spent.setdefault("scikit-learn", []).append(time.perf_counter() - began)
        target = objective(V, W, H, beta)
        for solver in OUR_SOLVERS:
            seconds, n = until(V, W0, H0, beta, solver, target, loss_every, seed)
            spent.setdefault(solver, []).append(seconds)
            iterations.setdefault(solver, []).append(n)
        for name in names if seed < peer_seeds else ():
            limit = target * (1.0 + SAME)
            with threads_pinned(1):
                seconds = library(name).until(V, W0, H0, beta, OBJECTIVE_ITERATIONS, limit)
            spent.setdefault(name, []).append(seconds)

    row = {"beta": beta, "K": K, "seeds": seeds}
    for name, times in spent.items():
        row[f"{name}_s"] = statistics.median(times)
    for solver in OUR_SOLVERS:
        ratios = quotients(spent["scikit-learn"], spent[solver])
        row[f"{solver}_ratio"] = statistics.median(ratios)
        row[f"{solver}_ratios"] = ratios
        row[f"{solver}_iterations"] = statistics.median(iterations[solver])
    for name in names:
        row[f"{name}_ratio"] = statistics.median(quotients(spent[name], spent[OUR_SOLVERS[-1]]))
        row[f"{name}_of_sklearn"] = statistics.median(quotients(spent[name], spent["scikit-learn"]))
    return row


def quotients(theirs: list[float], us: list[float]) -> list[float]:
    """Run by run, for as many as both made; where we never get there we win by a factor of 0."""
    return [0.0 if math.isinf(b) else a / b for a, b in zip(theirs, us, strict=False)]


def slow_down(V, K, runs) -> list[dict]:
    warm(V, K, 1.0, ["scikit-learn"])
    W0, H0 = start_of(V, K, 0)
    stretches: dict[str, list[tuple[float, float]]] = {}
    for _ in range(runs):
        for solver in OUR_SOLVERS:
            stamps: list[float] = []
            ours(
                V, W0, H0, 1.0, 1000, 1, solver,
                progress=lambda *_, s=stamps: s.append(time.perf_counter()),
            )()  # fmt: skip
            each = np.diff(stamps[-1000:])
            pair = (float(np.median(each[9:59])), float(np.median(each[-50:])))
            stretches.setdefault(f"audiosep {solver}", []).append(pair)
        stretches.setdefault("scikit-learn", []).append(stretches_of_sklearn(V, W0, H0))
    rows = []
    for name, pairs in stretches.items():
        early, late = (1e3 * statistics.median(p) for p in zip(*pairs, strict=True))
        ratio = statistics.median(b / a for a, b in pairs)
        rows.append(
            {"library": name, "K": K, "early_ms": early, "late_ms": late, "slow_down": ratio}
        )
    return rows


def memory(arguments: argparse.Namespace, seconds: float, K: int, name: str) -> dict:
    """Run `name` in a process of its own, which reports its peak."""
    command = [sys.executable, __file__, "--child", name, "--seconds", str(seconds)]
    command += ["--components", str(K), "--corpus", *map(str, arguments.corpus)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    row = {"library": name, "seconds": seconds, "K": K}
    if answer.returncode:
        return row | {"failed": answer.stderr.strip().splitlines()[-1:]}
    row |= json.loads(answer.stdout.splitlines()[-1])
    return row | {"of_limit": row["peak_mb"] / (1.5 * row["V_mb"] + 200.0)}


def child(arguments: argparse.Namespace) -> None:
    """Factorize, and print the peak."""
    # Of little sound, so that making V is not the peak.
    V = signal("real", arguments.corpus, arguments.seconds[0], repeat=True, unique=30.0)
    W0, H0 = start_of(V, arguments.components[0], 0)
    before = peak_mb()
    name, _, solver = arguments.child.partition(" ")
    if name == "audiosep":
        ours(V, W0, H0, 1.0, 10, solver=solver)()
    else:
        call = library(name).prepare(V, W0, H0, 1.0, 3)
        with threads_pinned(1):
            call()
    print(json.dumps({"V_mb": V.nbytes / 1e6, "before_mb": before, "peak_mb": peak_mb()}))


# Tables

MACHINE: list[Column] = [
    ("threads", "threads", "d"), ("gemm_gflops", "sgemm GF/s", ".0f"),
    ("divide_g", "divisions G/s", ".1f"), ("multiply_add_g", "multiply-adds G/s", ".1f"),
    ("read_gb", "read GB/s", ".1f"), ("gain", "gain: multiply-adds", ".2f"),
    ("read_gain", "reading", ".2f"),
]  # fmt: skip
CELL: list[Column] = [
    ("signal", "signal", "s"), ("seconds", "seconds", ".0f"), ("beta", "beta", "g"),
    ("K", "K", "d"),
]  # fmt: skip
PER_ITERATION: list[Column] = [
    *CELL, ("threads", "threads", "d"), ("ms", "audiosep ms", ".1f"),
    ("scikit-learn_ms", "sklearn ms", ".1f"), ("scikit-learn_ratio", "ratio", ".2f"),
    ("iteration_ms", "alone ms", ".1f"), ("roofline", "of the roofline", ".0%"),
    ("roofline_call", "a call", ".0%"), ("speed_up", "speed-up", ".2f"),
    ("arithmetic", "of arithmetic", ".2f"),
    ("torchnmf_ms", "torchnmf ms", ".1f"), ("torchnmf_ratio", "ratio", ".2f"),
    ("nimfa_ms", "nimfa ms", ".1f"), ("nimfa_ratio", "ratio", ".2f"),
]  # fmt: skip
OBJECTIVE: list[Column] = [
    *CELL, ("seeds", "seeds", "d"), ("scikit-learn_s", "sklearn s", ".2f"),
    *(
        column
        for solver in OUR_SOLVERS
        for column in (
            (f"{solver}_s", f"{solver} s", ".2f"),
            (f"{solver}_iterations", "iter.", ".0f"),
            (f"{solver}_ratio", "ratio", ".1f"),
        )
    ),
    *(
        column
        for name in PEERS
        for column in ((f"{name}_s", f"{name} s", ".2f"), (f"{name}_ratio", "ratio", ".1f"))
    ),
]  # fmt: skip
MEMORY: list[Column] = [
    ("library", "library", "s"), ("seconds", "seconds", ".0f"), ("K", "K", "d"),
    ("V_mb", "V MB", ".0f"), ("before_mb", "before MB", ".0f"), ("peak_mb", "peak MB", ".0f"),
    ("of_limit", "of 1.5 V + 200 MB", ".2f"),
]  # fmt: skip
SLOW_DOWN: list[Column] = [
    ("library", "library", "s"), ("K", "K", "d"), ("early_ms", "ms at 11-60", ".2f"),
    ("late_ms", "ms at 951-1000", ".2f"), ("slow_down", "late / early", ".2f"),
]  # fmt: skip
JUDGED: list[Column] = [
    ("goal", "goal", "s"), ("wanted", "wanted", "s"), ("measured", "measured", ".2f"),
    ("reached", "reached", "s"),
]  # fmt: skip


# Goals


@dataclass(frozen=True)
class Goal:
    """A bound for `key` of the rows of a section that have the values `where`."""

    text: str
    section: str
    where: dict
    key: str
    limit: float
    at_least: bool = True


PER_ITERATION_1 = {8: 7.0, 16: 4.0, 32: 3.0, 64: 1.9}
PER_ITERATION_2 = {8: 10.0, 16: 6.0, 32: 4.0, 64: 3.0}
TO_OBJECTIVE = {1.0: 30.0, 0.0: 15.0, 0.5: 15.0, 2.0: 3.0}


def goals(sections: Iterable[str]) -> list[Goal]:
    def long(K: int, threads: int) -> dict:
        return {"signal": "real", "seconds": 180.0, "beta": 1.0, "K": K, "threads": threads}

    times = "scikit-learn_ratio"
    a = "per-iteration"
    found = [
        Goal(f"KL per iteration, 3 min, {t} thread, K={K}, over sklearn", a, long(K, t), times, x)
        for t, bounds in ((1, PER_ITERATION_1), (2, PER_ITERATION_2))
        for K, x in bounds.items()
    ]
    for K in PER_ITERATION_1:
        text = f"KL per iteration, 3 min, 1 thread, K={K}, of the roofline"
        found.append(Goal(text, a, long(K, 1), "roofline", 0.6))
    for K in PER_ITERATION_2:
        text = f"KL per iteration, 3 min, K={K}, gain of the second thread"
        found.append(Goal(text, a, long(K, 2), "speed_up", 1.8))
    short = {**long(32, 1), "seconds": 30.0}
    found.append(Goal("KL per iteration, 30 s, K=32, over sklearn", a, short, times, 1.5))
    for beta, x in TO_OBJECTIVE.items():
        where = {"signal": "real", "beta": beta}
        text = f"time to sklearn's objective, beta {beta:g}, over sklearn"
        found.append(Goal(text, "objective", where, f"{OUR_SOLVERS[-1]}_ratio", x))
        for name in (n for n in PEERS if PEERS[n].can(beta)):
            text = f"the same, beta {beta:g}: {name} takes longer than sklearn"
            found.append(Goal(text, "objective", where, f"{name}_of_sklearn", 1.0))
    for solver in OUR_SOLVERS:
        text = f"peak memory, 30 min, {solver}, of 1.5 V + 200 MB"
        where = {"library": f"audiosep {solver}", "seconds": 1800.0}
        found.append(Goal(text, "memory", where, "of_limit", 1.0, at_least=False))
    for solver in OUR_SOLVERS:
        text = f"iteration 1000 over iteration 10, {solver}"
        where = {"library": f"audiosep {solver}"}
        found.append(Goal(text, "slow-down", where, "slow_down", 1.1, at_least=False))
    return [goal for goal in found if goal.section in sections]


def judged(wanted: list[Goal], rows: list[dict]) -> list[dict]:
    """Each goal against its worst row; a goal without one was not measured."""
    verdicts = []
    for goal in wanted:
        where = {"section": goal.section, **goal.where}
        found = [
            r[goal.key]
            for r in rows
            if goal.key in r and all(r.get(k) == v for k, v in where.items())
        ]
        row = {"goal": goal.text, "wanted": f"{'>=' if goal.at_least else '<='} {goal.limit:g}"}
        if found:
            worst = min(found) if goal.at_least else max(found)
            reached = worst >= goal.limit if goal.at_least else worst <= goal.limit
            row |= {"measured": worst, "reached": "yes" if reached else "no"}
        else:
            row["reached"] = "not measured"
        verdicts.append(row)
    return verdicts


# Command line


def run_roofline(arguments: argparse.Namespace) -> Iterator[dict]:
    counts = arguments.threads
    # Numbers of threads alternate: a gain is the median of the gains run by run.
    found = [
        {n: (*rates(n), arithmetic(n), reading(n)) for n in counts} for _ in range(arguments.runs)
    ]
    keys = ("gemm_gflops", "divide_g", "multiply_add_g", "read_gb")
    for n in counts:
        medians = (statistics.median(run[n][i] for run in found) / 1e9 for i in range(len(keys)))
        row = {"threads": n, **dict(zip(keys, medians, strict=True))}
        if n > 1 and 1 in counts:
            row["gain"] = statistics.median(run[n][2] / run[1][2] for run in found)
            row["read_gain"] = statistics.median(run[n][3] / run[1][3] for run in found)
        yield row


def run_per_iteration(arguments: argparse.Namespace) -> Iterator[dict]:
    """Sizes of the goals, or the grid that was asked for."""
    chosen = (arguments.seconds, arguments.components, arguments.betas)
    if any(chosen):
        betas, Ks = arguments.betas or [1.0], arguments.components or [8, 16, 32, 64]
        grid = [(s, b, K) for s in arguments.seconds or [180.0] for b in betas for K in Ks]
    else:
        grid = [(180.0, 1.0, K) for K in PER_ITERATION_1]
        grid += [(30.0, beta, 32) for beta in TO_OBJECTIVE] + [(1800.0, 1.0, 32)]
    for kind in arguments.signals:
        for seconds, beta, K in grid:
            V = signal(kind, arguments.corpus, seconds, repeat=True)
            n_iter, runs, names = arguments.iterations, arguments.runs, arguments.peers
            if seconds > LONG_S:  # minutes a run, and its noise is small
                n_iter, runs, names = min(3, n_iter), min(2, runs), []
            for row in per_iteration(V, K, beta, arguments.threads, n_iter, runs, names):
                yield {"signal": kind, "seconds": seconds, **row}


def run_objective(arguments: argparse.Namespace) -> Iterator[dict]:
    """Sizes of the goals, or the grid that was asked for."""
    chosen = (arguments.seconds, arguments.components, arguments.betas)
    if any(chosen):
        betas, Ks = arguments.betas or list(TO_OBJECTIVE), arguments.components or [16, 32]
        grid = [(s, b, K) for s in arguments.seconds or [180.0] for b in betas for K in Ks]
    else:
        grid = [(180.0, 1.0, 16), (180.0, 1.0, 32)]
        grid += [(60.0, beta, 16) for beta in TO_OBJECTIVE if beta != 1.0]
    for kind in arguments.signals:
        for place, (seconds, beta, K) in enumerate(grid):
            V = signal(kind, arguments.corpus, seconds, repeat=False)
            # Every library once at every divergence it can do.
            first = any(chosen) or beta not in [b for _, b, _ in grid[:place]]
            names = arguments.peers if first else []
            row = to_objective(
                V, K, beta, arguments.seeds, arguments.loss_every, names, arguments.peer_seeds
            )
            yield {"signal": kind, "seconds": V.shape[1] * HOP / SR, **row}


def run_memory(arguments: argparse.Namespace) -> Iterator[dict]:
    names = [f"audiosep {solver}" for solver in OUR_SOLVERS]
    names += ["scikit-learn", *able(arguments.peers, 1.0)]
    for seconds in arguments.seconds or [1800.0]:
        for K in arguments.components or [32]:
            for name in names:
                yield memory(arguments, seconds, K, name)


def run_slow_down(arguments: argparse.Namespace) -> Iterator[dict]:
    V = signal("real", arguments.corpus, (arguments.seconds or [30.0])[0], repeat=True)
    for K in arguments.components or [16]:
        yield from slow_down(V, K, min(2, arguments.runs))


SECTIONS = {
    "roofline": (run_roofline, "Rates of this machine, float32", MACHINE),
    "per-iteration": (run_per_iteration, "Time per iteration", PER_ITERATION),
    "objective": (run_objective, "Time to the objective of 200 iterations of sklearn", OBJECTIVE),
    "memory": (run_memory, "Peak memory, Kullback-Leibler", MEMORY),
    "slow-down": (run_slow_down, "Late iterations against early ones, Kullback-Leibler", SLOW_DOWN),
}


def finite(value: object) -> object:
    """JSON has no infinity: "never" is null."""
    if isinstance(value, dict):
        return {k: finite(v) for k, v in value.items()}
    if isinstance(value, list):
        return [finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def save(path: Path, rows: list[dict], verdicts: list[dict] | None = None) -> None:
    path.write_text(json.dumps(finite({"rows": rows, "goals": verdicts or []}), indent=1))


def parsed(line: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    for section in SECTIONS:
        parser.add_argument(f"--{section}", action="append_const", const=section, dest="sections")
    parser.add_argument("--corpus", type=Path, nargs="+", default=[EXAMPLES], metavar="DIR")
    parser.add_argument("--signals", nargs="+", default=["real"], choices=["real", "synthetic"])
    parser.add_argument("--seconds", type=float, nargs="+")
    parser.add_argument("--components", type=int, nargs="+", metavar="K")
    parser.add_argument("--betas", type=float, nargs="+")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--iterations", type=int, default=10, help="of --per-iteration")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=5, help="of --objective")
    parser.add_argument("--peer-seeds", type=int, default=1)
    parser.add_argument("--loss-every", type=int, default=1, help="of audiosep in --objective")
    parser.add_argument("--peers", nargs="*", default=list(PEERS), choices=list(PEERS))
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    return parser.parse_args(line)


def main() -> None:
    arguments = parsed()
    warnings.simplefilter("ignore")  # they warn that they did not converge: they were not to
    if arguments.child:
        child(arguments)
        return
    paths = recordings(arguments.corpus)
    length = sum(soundfile.info(p).frames for p in paths) / SR
    print(f"real: {len(paths)} recordings, {length:.1f} s at {SR} Hz")
    if hasattr(os, "getloadavg"):  # other work makes pools of several threads slow, most of all
        print(f"load: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    for name in ("scikit-learn", *arguments.peers):
        print(f"{name}: {library(name).version() or 'not installed'}")
    rows: list[dict] = []
    for section in arguments.sections or SECTIONS:
        run, title, columns = SECTIONS[section]
        found = []
        for row in run(arguments):
            found.append(row)
            rows.append({"section": section, **row})
            print(".", end="", file=sys.stderr, flush=True)
            if arguments.json:  # the run is long, and may be interrupted
                save(arguments.json, rows)
        show(title, columns, found)
    verdicts = judged(goals(arguments.sections or SECTIONS), rows)
    if verdicts:
        show("Goals", JUDGED, verdicts)
    if arguments.json:
        save(arguments.json, rows, verdicts)


if __name__ == "__main__":
    main()
