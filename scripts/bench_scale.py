"""Folders at scale: many short files, several at once, and killed on the way.

    python scripts/bench_scale.py [--files 1000] [--broken 10] [--jobs 2] [--preset components]

Made-up recordings of --seconds each (tones and bursts, one core) are separated by
``audiosep split FOLDER -r``, as whole processes. Three rows:

- what a recording costs in a batch beyond its separation: the time of the whole run, without the
  start of the program, per recording, less what the records say that reading, modelling and
  rendering took. Writing and checking the stems is part of the cost.
- how much faster --jobs is than ``--jobs 1``, on --long recordings of --long-seconds each.
- a folder with broken files whose run is killed twice with SIGKILL and then run to its end:
  whether the tree is that of an uninterrupted run, and what temporary files are left.

The machine should do nothing else; the load is printed. Presets other than ``components`` cost
more per recording, and the same beyond it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

SR = 44_100
SETTINGS = ["--iterations", "30", "-q"]
MODELLING = ("read", "choose", "transform", "model", "render")
ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


@dataclass(frozen=True, kw_only=True)
class Line:
    """One goal, and what was measured."""

    what: str
    goal: str
    measured: str
    reached: bool


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--broken", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--long", type=int, default=12)
    parser.add_argument("--long-seconds", type=float, default=20.0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--preset", default="components")
    parser.add_argument("--only", nargs="*", choices=[*MEASURES], default=[*MEASURES])
    arguments = parser.parse_args()
    load = os.getloadavg()[0]
    print(f"{len(os.sched_getaffinity(0))} processors, load {load:.1f} before the start")
    with tempfile.TemporaryDirectory() as folder:
        lines = [
            line for name in arguments.only for line in MEASURES[name](arguments, Path(folder))
        ]
    print("\n| what | goal | measured | reached |\n|---|---|---|---|")
    for line in lines:
        print(
            f"| {line.what} | {line.goal} | {line.measured} | {'yes' if line.reached else 'no'} |"
        )


def overhead(arguments: argparse.Namespace, folder: Path) -> Iterator[Line]:
    """What a short recording costs beyond its separation, in one process."""
    make_folder(folder / "short", arguments.files, 0, arguments.seconds)
    run(folder / "short", folder / "warm", 1, arguments.preset, "--shard", "1/50")
    start = run(folder / "short", folder / "warm", 1, arguments.preset, "--shard", "1/50").seconds
    whole = run(folder / "short", folder / "many", 1, arguments.preset)
    records = [json.loads(path.read_text()) for path in (folder / "many").rglob("audiosep.json")]
    modelled = sum(record["timings_s"].get(s, 0.0) for record in records for s in MODELLING)
    # The first recording also loads libraries and kernels.
    median = statistics.median(
        sum(record["timings_s"].get(s, 0.0) for s in MODELLING) for record in records
    )
    beyond = (whole.seconds - start - modelled) / len(records)
    yield Line(
        what=f"{len(records)} files of {arguments.seconds:g} s: beyond the separation, per file",
        goal="<= 0.15 s",
        measured=f"{beyond:.3f} s (separation {median:.3f} s, whole run {whole.seconds:.0f} s)",
        reached=beyond <= 0.15,
    )


def speed(arguments: argparse.Namespace, folder: Path) -> Iterator[Line]:
    """Several recordings at once against one after the other, each with one thread."""
    make_folder(folder / "long", arguments.long, 0, arguments.long_seconds)
    taken = {}
    for jobs in (1, arguments.jobs):
        out = folder / f"long-{jobs}"
        taken[jobs] = run(folder / "long", out, jobs, arguments.preset, "--threads", "1").seconds
    ratio = taken[1] / taken[arguments.jobs]
    goal = 0.9 * arguments.jobs
    yield Line(
        what=f"{arguments.long} files of {arguments.long_seconds:g} s, --jobs {arguments.jobs} "
        "against 1",
        goal=f">= {goal:.1f} x",
        measured=f"{ratio:.2f} x ({taken[1]:.1f} s, {taken[arguments.jobs]:.1f} s)",
        reached=ratio >= goal,
    )


def killed(arguments: argparse.Namespace, folder: Path) -> Iterator[Line]:
    """A run that is killed twice and then let to its end."""
    tapes, out = folder / "tapes", folder / "tapes-out"
    n_good = arguments.files - arguments.broken
    make_folder(tapes, arguments.files, arguments.broken, arguments.seconds)
    for share in (0.3, 0.7):
        kill_at(tapes, out, arguments, round(share * n_good))
    last = run(tapes, out, arguments.jobs, arguments.preset)
    whole = run(tapes, folder / "tapes-whole", arguments.jobs, arguments.preset)
    n_done = len(list(out.rglob("audiosep.json")))
    n_listed = sum(line.startswith("audiosep: ") for line in last.errors.splitlines())
    left = list(out.rglob(".audiosep-*"))
    same = contents(out) == contents(folder / "tapes-whole")
    expected = (n_good, arguments.broken, 1, 1)
    yield Line(
        what=f"{arguments.files} files, {arguments.broken} broken, killed twice, resumed",
        goal=f"{n_good} done, {arguments.broken} listed, same tree, nothing left",
        measured=f"{n_done} done, {n_listed} listed, {'same' if same else 'another'} tree, "
        f"{len(left)} left, exit code {last.code}",
        reached=(n_done, n_listed, last.code, whole.code) == expected and same and not left,
    )


MEASURES = {"overhead": overhead, "speed": speed, "killed": killed}


@dataclass(frozen=True, kw_only=True)
class Ran:
    """How a command ended."""

    seconds: float
    code: int
    errors: str


def command(tapes: Path, out: Path, jobs: int, preset: str, *more: str) -> list[str]:
    """Command line of a batch."""
    start = [sys.executable, "-m", "audiosep", "split", str(tapes), "-r", "-o", str(out)]
    return [*start, "--jobs", str(jobs), "--preset", preset, *SETTINGS, *more]


def run(tapes: Path, out: Path, jobs: int, preset: str, *more: str) -> Ran:
    """Run a batch to its end."""
    began = time.perf_counter()
    done = subprocess.run(
        command(tapes, out, jobs, preset, *more),
        env=os.environ | ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - began
    return Ran(seconds=seconds, code=done.returncode, errors=done.stderr)


def kill_at(tapes: Path, out: Path, arguments: argparse.Namespace, n_records: int) -> None:
    """Start a batch and kill it when so many recordings are done."""
    with subprocess.Popen(
        command(tapes, out, arguments.jobs, arguments.preset),
        env=os.environ | ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        while process.poll() is None and len(list(out.rglob("audiosep.json"))) < n_records:
            time.sleep(0.2)
        process.send_signal(signal.SIGKILL)


def contents(out: Path) -> dict[str, object]:
    """All files below a folder, without what differs from run to run: times."""
    found: dict[str, object] = {}
    for path in sorted(out.rglob("*")):
        name = str(path.relative_to(out))
        if path.is_file() and not name.startswith(".audiosep"):
            found[name] = path.read_bytes()
            if path.name == "audiosep.json":
                record = json.loads(path.read_text(encoding="utf-8"))
                del record["timings_s"]
                found[name] = record
    return found


def make_folder(folder: Path, n_files: int, n_broken: int, seconds: float) -> None:
    """Write recordings into ten folders; the broken ones are spread evenly."""
    shutil.rmtree(folder, ignore_errors=True)
    rng = np.random.default_rng(0)
    t = np.arange(round(seconds * SR)) / SR
    every = n_files // n_broken if n_broken else n_files + 1
    for number in range(n_files):
        path = folder / f"reel-{number % 10}" / f"take-{number:04d}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        if number % every == 0 and n_broken and number // every < n_broken:
            path.write_bytes(b"RIFF, and then nothing that is audio")
            continue
        tone = 0.3 * np.sin(2 * np.pi * (200 + number % 50 * 20) * t)
        bursts = 0.2 * rng.standard_normal(len(t)) * (np.sin(2 * np.pi * 3 * t) > 0.9)
        soundfile.write(path, tone + bursts, SR, subtype="PCM_16")


if __name__ == "__main__":
    main()
