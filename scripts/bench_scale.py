"""Recordings of any length, and folders at scale: memory, time, predictions, what is killed.

    python scripts/bench_scale.py [--only length speed ...] [--quick] [--minutes 5 60 300]
    python scripts/bench_scale.py --only predictions [--presets stems vocals ...]
    python scripts/bench_scale.py --calibrate [--presets stems vocals ...]

Made-up recordings (the shipped examples again and again, with level, place and noise that move
slowly; tones and bursts for folders) are separated by ``audiosep split``, as whole processes with
one thread. Rows:

- length: peak memory and time of stereo recordings at 44.1 kHz of --minutes, and how both compare
  with what the dry run said. Five hours take 3.2 GB and their stems 9.5 GB in the temporary folder
  (TMPDIR). --quick takes 1, 5 and 15 minutes.
- predictions (only when asked for): the same of all presets, rates and channels.
- overhead: what a recording costs in a batch beyond its separation: the time of the whole run,
  without the start of the program, per recording, less what the records say that reading,
  modelling and rendering took. Writing and checking the stems is part of the cost.
- speed: how much faster --jobs is than ``--jobs 1``, on --long recordings of --long-seconds each.
- killed: a folder with broken files whose run is killed twice with SIGKILL and then run to its
  end: whether the tree is that of an uninterrupted run, and what temporary files are left.
- cluster: the same recordings as for speed on a Dask cluster of two workers on this machine, one
  of which is killed while both are at work.
- paper (only when asked for): no run; what a large archive would take on many machines, computed
  from the measured costs and what --cores, --store-gb-s and others say there is.

``--calibrate`` measures what presets cost, and writes audiosep/costs.toml, from which the dry run
predicts. Memory is the peak of the process, as the system counts it. The machine should do nothing
else; the load is printed, and times of processors are compared where other work would spoil them.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from _scale_cluster import cluster
from _scale_costs import calibrate
from _scale_length import length, predictions
from _scale_paper import paper
from _scale_runs import ENVIRONMENT, Line, contents, make_folder

SETTINGS = ["--iterations", "30", "-q"]
MODELLING = ("read", "choose", "transform", "model", "render")


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--only", nargs="+", choices=[*MEASURES], default=[*USUAL])
    parser.add_argument("--calibrate", action="store_true", help="write audiosep/costs.toml")
    parser.add_argument("--quick", action="store_true", help="shorter recordings, fewer files")
    parser.add_argument("--minutes", type=float, nargs="+", help="lengths of recordings")
    parser.add_argument("--length-preset", default="stems", help="preset for length")
    parser.add_argument("--presets", nargs="+", help="presets to predict for, or to calibrate")
    parser.add_argument("--scale", type=float, default=1.0, help=argparse.SUPPRESS)
    parser.add_argument("--costs", type=Path, help="where --calibrate writes to")
    parser.add_argument("--files", type=int)
    parser.add_argument("--broken", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--long", type=int, default=12)
    parser.add_argument("--long-seconds", type=float, default=20.0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--preset", default="components", help="preset for folders")
    on_paper = parser.add_argument_group("on paper")
    on_paper.add_argument("--hours", type=float, default=1e6, help="hours of sound")
    on_paper.add_argument("--cores", type=int, default=64, help="of each machine")
    on_paper.add_argument("--memory-gb", type=float, default=128.0, help="of each machine")
    on_paper.add_argument("--disk-gb-s", type=float, default=1.0, help="of each machine")
    on_paper.add_argument("--network-gbit-s", type=float, default=10.0, help="of each machine")
    on_paper.add_argument("--store-gb-s", type=float, default=10.0, help="of all together")
    on_paper.add_argument("--flac", type=float, default=1.0, help="what FLAC leaves of a stem")
    arguments = parser.parse_args()
    if arguments.files is None:
        arguments.files = 100 if arguments.quick else 1000
    load = os.getloadavg()[0]
    print(
        f"{len(os.sched_getaffinity(0))} processors, load {load:.1f} before the start", flush=True
    )
    with tempfile.TemporaryDirectory() as folder:
        if arguments.calibrate:
            calibrate(arguments, Path(folder))
            return
        lines = []
        for name in arguments.only:
            for line in MEASURES[name](arguments, Path(folder)):
                print(f"  {line.what}: {line.measured}", flush=True)
                lines.append(line)
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


MEASURES = {
    "length": length,
    "predictions": predictions,
    "overhead": overhead,
    "speed": speed,
    "killed": killed,
    "cluster": cluster,
    "paper": paper,
}
USUAL = ("length", "overhead", "speed", "killed", "cluster")


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


def n_done_in(out: Path) -> int:
    """Count records, while folders come and go."""
    return sum("audiosep.json" in files for _, _, files in os.walk(out))


def kill_at(tapes: Path, out: Path, arguments: argparse.Namespace, n_records: int) -> None:
    """Start a batch and kill it when so many recordings are done."""
    with subprocess.Popen(
        command(tapes, out, arguments.jobs, arguments.preset),
        env=os.environ | ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        while process.poll() is None and n_done_in(out) < n_records:
            time.sleep(0.2)
        process.send_signal(signal.SIGKILL)


if __name__ == "__main__":
    main()
