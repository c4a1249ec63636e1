"""Workers that fail in every way, for the tests of those who employ them; imported by processes."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

from audiosep.cli.talk import Talk
from audiosep.cli.tasks import Outcome, entry_of


@dataclass(frozen=True)
class Faulty:
    """Does what the name of the recording says, and notes each try in a folder."""

    notes: Path
    talk: Talk = field(default_factory=Talk)
    out: None = None

    def elsewhere(self, task):
        name = task.job.source.stem
        tries = self.notes / f"{name}.tries"
        with tries.open("a") as file:
            file.write(f"{os.getpid()}\n")
        n_tries = len(tries.read_text().splitlines())
        if not name.startswith(("slow", "now")):
            time.sleep(0.3)
        name = name.removeprefix("now-")
        if name.startswith("dies") or (name.startswith("once") and n_tries == 1):
            os.kill(os.getpid(), signal.SIGKILL)
        if name.startswith("leaves"):
            os._exit(7)
        if name.startswith("vanishes"):
            os._exit(0)
        if name.startswith("fells"):
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(60)
        if name.startswith("hangs"):
            time.sleep(60)
        if name.startswith("ill"):
            raise RuntimeError("boom")
        flag = self.notes / f"{name}.running"
        flag.touch()
        time.sleep(0.2 if name.startswith("slow") else 0.0)
        others = [path.stem for path in self.notes.glob("*.running") if path != flag]
        flag.unlink()
        threads = os.environ.get("OMP_NUM_THREADS"), os.environ.get("NUMBA_NUM_THREADS")
        return Outcome(entry=entry_of(task.job, "done", beside=others, threads=threads))


@dataclass(frozen=True)
class Stillborn:
    """Cannot even be brought to another process."""

    talk: Talk = field(default_factory=Talk)
    out: None = None

    def __setstate__(self, state):
        os._exit(3)
