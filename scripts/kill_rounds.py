"""Runs that are killed at random moments and resumed, and runs that are told to end.

    python scripts/kill_rounds.py --rounds 50
    python scripts/kill_rounds.py --signals 20

Rounds: a batch of small recordings is killed with SIGKILL one to three times, each time at a random
moment after its first work shows on the disk, and then run to its end. It is as required where the
tree is that of a run that nobody killed, byte by byte (without the seconds that records hold), and
nothing temporary is left. Every second round works with two processes.

Signals: SIGINT and SIGTERM in turn, at a random moment of a long separation; required are the exit
codes 130 and 143 within a second, and nothing left. Ends with code 1 where anything was not so.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import soundfile as sf

SR = 8000
SETTINGS = ("--preset", "components", "--components", "3", "--iterations", "2", "--threads", "1")
LONG = ("--preset", "components", "--iterations", "100000", "--threads", "1")
PROMPT_S = 1.0


class Process(Protocol):
    """A command that runs."""

    def send_signal(self, number: int) -> None: ...  # noqa: D102
    def poll(self) -> int | None: ...  # noqa: D102
    def wait(self, timeout: float | None = None) -> int: ...  # noqa: D102


Start = Callable[..., Process]


@dataclass(frozen=True, kw_only=True)
class Round:
    """What became of a batch that was killed."""

    n_kills: int
    n_done: int
    """Recordings that were done when it was last killed."""
    is_same: bool
    n_left: int
    code: int

    @property
    def is_good(self) -> bool:
        """Whether all is as if nobody had killed it."""
        return self.is_same and self.n_left == 0 and self.code == 0


def start(*arguments: str) -> subprocess.Popen[bytes]:
    """Start the installed command."""
    return subprocess.Popen(
        [sys.executable, "-m", "audiosep", *arguments],
        env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # A shell gives what it runs in the background no Ctrl-C, and that would be inherited.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def make_tapes(folder: Path, n_files: int) -> None:
    """Small recordings of different lengths, in three folders."""
    for number in range(n_files):
        rng = np.random.default_rng(number)
        path = folder / f"reel-{number % 3}" / f"take-{number:02d}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        shape = (int(rng.integers(800, 6000)), 1 + number % 2)
        sf.write(path, rng.uniform(-0.3, 0.3, shape), SR, subtype="PCM_16")


def contents(out: Path) -> dict[str, bytes | dict[str, object]]:
    """Every file below a folder, records without their seconds, without what is no result."""
    found: dict[str, bytes | dict[str, object]] = {}
    for path in sorted(out.rglob("*")):
        name = path.relative_to(out).as_posix()
        if name.startswith(".audiosep/") or not path.is_file():
            continue
        found[name] = path.read_bytes()
        if path.name == "audiosep.json":
            record = json.loads(path.read_text())
            del record["timings_s"]
            found[name] = record
    return found


def leftovers(out: Path) -> list[Path]:
    """Whatever is temporary."""
    locks = out / ".audiosep" / "tracks"
    return [*out.rglob(".audiosep?*"), *(locks.iterdir() if locks.is_dir() else ())]


def n_done(out: Path) -> int:
    """Count records, while folders come and go."""
    return sum(
        "audiosep.json" in names and ".audiosep" not in home for home, _, names in os.walk(out)
    )


def command(tapes: Path, out: Path, jobs: int) -> list[str]:
    """Arguments of the batch."""
    return ["split", str(tapes), "-r", "-o", str(out), "-q", "--jobs", str(jobs), *SETTINGS]


def kill_round(
    tapes: Path,
    out: Path,
    whole: dict[str, bytes | dict[str, object]],
    rng: random.Random,
    *,
    jobs: int,
    work_s: float,
    launch: Start = start,
) -> Round:
    """Kill a batch one to three times and let it end.

    Parameters
    ----------
    tapes, out : Path
        Recordings, and a folder that does not exist.
    whole : dict
        What :func:`contents` must be in the end.
    rng : random.Random
        Says when.
    jobs : int
        Processes at work.
    work_s : float
        How long the batch takes from its first file on the disk; it is killed within that.
    launch : callable
        Starts the command.
    """
    arguments = command(tapes, out, jobs)
    n_kills = done = 0
    for _ in range(rng.randint(1, 3)):
        process = launch(*arguments)
        before = n_done(out)
        while process.poll() is None and n_done(out) == before and not in_work(out):
            time.sleep(0.002)
        time.sleep(rng.uniform(0.0, work_s))
        n_kills += process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
        done = n_done(out)
    code = launch(*arguments).wait()
    same = contents(out) == whole
    return Round(n_kills=n_kills, n_done=done, is_same=same, n_left=len(leftovers(out)), code=code)


def in_work(out: Path) -> bool:
    """Whether anything is being written."""
    return any(".audiosep-" in home for home, _, _ in os.walk(out))


def kill_rounds(
    folder: Path,
    n_rounds: int,
    seed: int,
    n_files: int,
    launch: Start = start,
    jobs: Sequence[int] = (1, 2),
) -> list[Round]:
    """Rounds one after the other, in folders of their own."""
    tapes = folder / "tapes"
    make_tapes(tapes, n_files)
    # Once for the kernels, once for the time that it takes without compiling them.
    launch(*command(tapes, folder / "first", 1)).wait()
    process = launch(*command(tapes, folder / "whole", 1))
    while not in_work(folder / "whole") and process.poll() is None:
        time.sleep(0.002)
    began = time.monotonic()
    if process.wait() != 0:
        raise SystemExit("the batch fails without being killed, too")
    work_s = time.monotonic() - began
    whole = contents(folder / "whole")
    rng = random.Random(seed)
    return [
        kill_round(
            tapes,
            folder / f"round-{number}",
            whole,
            rng,
            jobs=jobs[number % len(jobs)],
            work_s=work_s,
            launch=launch,
        )
        for number in range(n_rounds)
    ]


def end_rounds(folder: Path, n_rounds: int, seed: int, launch: Start = start) -> list[float]:
    """Seconds that the command takes to end when it is told to; infinite where it ends badly."""
    folder.mkdir(parents=True, exist_ok=True)
    long = folder / "long.wav"
    sf.write(long, np.random.default_rng(0).uniform(-0.3, 0.3, (44100 * 60, 2)), 44100)
    rng = random.Random(seed)
    seconds = []
    for number in range(n_rounds):
        out = folder / f"ended-{number}"
        process = launch("split", str(long), "-o", str(out), *LONG)
        while not in_work(out):
            time.sleep(0.01)
        time.sleep(rng.uniform(0.0, 1.5))
        signal_, code = ((signal.SIGINT, 130), (signal.SIGTERM, 143))[number % 2]
        began = time.monotonic()
        process.send_signal(signal_)
        good = process.wait() == code
        took = time.monotonic() - began
        seconds.append(took if good and not out.exists() else float("inf"))
    return seconds


def said_of_rounds(rounds: list[Round]) -> str:
    """One line."""
    n_good = sum(one.is_good for one in rounds)
    n_kills = sum(one.n_kills for one in rounds)
    n_during = sum(one.n_done > 0 for one in rounds)
    return (
        f"{n_good} of {len(rounds)} kill rounds end with an identical tree and nothing left "
        f"({n_kills} kills; in {n_during} rounds after some recordings were done)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=0)
    parser.add_argument("--signals", type=int, default=0)
    parser.add_argument("--files", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    good = True
    with tempfile.TemporaryDirectory() as name:
        if arguments.rounds:
            rounds = kill_rounds(Path(name), arguments.rounds, arguments.seed, arguments.files)
            print(said_of_rounds(rounds), flush=True)
            good = all(one.is_good for one in rounds)
        if arguments.signals:
            seconds = end_rounds(Path(name) / "signals", arguments.signals, arguments.seed)
            n_prompt = sum(one <= PROMPT_S for one in seconds)
            print(
                f"{n_prompt} of {len(seconds)} runs end within {PROMPT_S:g} s of SIGINT or SIGTERM "
                f"and leave nothing (median {statistics.median(seconds):.2f} s, most "
                f"{max(seconds):.2f} s)"
            )
            good = good and n_prompt == len(seconds)
    raise SystemExit(0 if good else 1)


if __name__ == "__main__":
    main()
