"""A batch on a Dask cluster of two workers, one of which is killed in the middle."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

from _scale_runs import ENVIRONMENT, Line, contents, make_folder

JOURNAL = Path(".audiosep") / "journal.jsonl"


def cluster(arguments: argparse.Namespace, folder: Path) -> Iterator[Line]:
    """A worker is killed, with all that it has started, while both have work."""
    tapes, out, whole = folder / "reels", folder / "reels-out", folder / "reels-whole"
    n_files = arguments.long
    make_folder(tapes, n_files, 0, arguments.long_seconds)
    batch = [sys.executable, "-m", "audiosep", "split", str(tapes), "-r", "-q"]
    batch += ["--preset", arguments.preset, "--iterations", "30", "--threads", "1"]
    subprocess.run(
        [*batch, "-o", str(whole), "--jobs", "1"],
        env=os.environ | ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    with ExitStack() as stack:
        place = folder / "scheduler.json"
        workers = _started(place, folder, stack)
        with subprocess.Popen(
            [*batch, "-o", str(out), "--scheduler", str(place)],
            env=os.environ | ENVIRONMENT,
            stdout=subprocess.DEVNULL,
        ) as process:
            # Two are done, so that both workers are at the next ones.
            while process.poll() is None and _n_done(out) < 2:
                time.sleep(0.02)
            killed_early = process.poll() is None
            _kill(workers[0])
            code = process.wait()
    lines = [json.loads(line) for line in (out / JOURNAL).read_text().splitlines()]
    done = Counter(line["track"] for line in lines if line.get("status") == "done")
    same = contents(out) == contents(whole)
    yield Line(
        what=f"Dask, 2 workers, one killed mid-task, {n_files} files",
        goal="all done, none twice, same tree",
        measured=f"{len(done)} done, {sum(n > 1 for n in done.values())} twice, "
        f"{'same' if same else 'another'} tree, exit code {code}",
        reached=killed_early and len(done) == n_files == sum(done.values()) and same and not code,
    )


def _n_done(out: Path) -> int:
    return sum("audiosep.json" in files for _, _, files in os.walk(out))


def _started(place: Path, folder: Path, stack: ExitStack) -> list[subprocess.Popen[bytes]]:
    """Start a scheduler and two workers, each in a group of its own."""
    common = ["--host", "127.0.0.1", "--no-dashboard", "--scheduler-file", str(place)]
    one = ["--nworkers", "1", "--nthreads", "1", "--memory-limit", "0"]
    commands = [["scheduler", "--port", "0"], *[["worker", *one, "--resources", "MB=4000"]] * 2]
    processes = []
    for number, (what, *more) in enumerate(commands):
        log = stack.enter_context((folder / f"dask-{number}.log").open("w"))
        process = subprocess.Popen(
            [sys.executable, "-m", "dask", what, *common, *more],
            env=os.environ | ENVIRONMENT | {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1"},
            stdout=log,
            stderr=log,
            cwd=folder,
            start_new_session=True,
        )
        processes.append(process)
        stack.callback(_kill, process)
    return processes[1:]


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a process with all that it has started, as when a machine is lost."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
