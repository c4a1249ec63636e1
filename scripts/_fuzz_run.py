"""Processes that try damaged files, watched: one that dies or hangs is a finding, and replaced."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

__all__ = ["SORTS", "Answer", "Finding", "Tally", "campaign"]

SORTS = ("traceback", "hang", "death", "memory", "outside", "words")
"""What a finding may be: the last is an answer that no one should be given."""

HANG_S = 10.0
"""Seconds of processor time that one damaged file may take."""

_LONGEST_WALL_S = 120.0
_START_S = 900.0
"""Until a process has loaded everything; kernels may have to be compiled."""

_WORKER = Path(__file__).with_name("_fuzz_worker.py")


@dataclass(frozen=True)
class Answer:
    """What came of one damaged file.

    Parameters
    ----------
    outcome : {"result", "warning", "error", "finding"}
        A finding is what must not be.
    words : str
        What was said, or happened.
    sort : str
        Of a finding, one of :data:`SORTS`.
    outside : int
        Bytes that lie in files outside the output folder and were not there before.
    peak : int
        Bytes of memory that were taken at most so far, beyond those of the start.
    """

    outcome: str
    words: str = ""
    sort: str = ""
    outside: int = 0
    peak: int = 0


@dataclass(frozen=True)
class Finding:
    """What must not be.

    Parameters
    ----------
    kind, number, seed
        Make the same damaged file again.
    words : str
        What happened.
    sort : str
        One of :data:`SORTS`.
    """

    kind: str
    number: int
    seed: int
    words: str
    sort: str = "words"


@dataclass
class Tally:
    """What came of the rounds of a kind.

    Parameters
    ----------
    counts : Counter
        Results, warnings, errors and findings.
    findings : list of Finding
        Each of them.
    seconds : float
        How long it took.
    outside, peak : int
        As of :class:`Answer`: all bytes, and the most.
    """

    counts: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    seconds: float = 0.0
    outside: int = 0
    peak: int = 0

    def add(self, kind: str, number: int, seed: int, answer: Answer) -> None:
        """Count one."""
        self.counts[answer.outcome] += 1
        self.outside += answer.outside
        self.peak = max(self.peak, answer.peak)
        if answer.outcome == "finding":
            self.findings.append(Finding(kind, number, seed, answer.words, answer.sort))

    @property
    def rounds(self) -> int:
        """How many damaged files were tried."""
        return sum(self.counts.values())


def campaign(
    plan: Iterable[tuple[str, int]],
    *,
    seed: int,
    memory_mb: int = 1024,
    warm_up: int = 12,
    report: Callable[[str, Tally], None] | None = None,
) -> dict[str, Tally]:
    """Try damaged files, each identified by its kind and number.

    Parameters
    ----------
    plan : iterable of (str, int)
        Kind and number of each, kinds one after the other.
    seed : int
        Same seed, same damage.
    memory_mb : int
        What a process may take beyond what it holds when all is loaded.
    warm_up : int
        How often a whole file of each kind is tried before the first damaged one, so that every
        command has loaded what it needs.
    report : callable
        Told of every kind that is finished.

    Returns
    -------
    dict of str to Tally
    """
    tallies: dict[str, Tally] = {}
    settings = {"seed": seed, "memory_mb": memory_mb, "warm_up": warm_up}
    worker: _Worker | None = None
    before = None
    try:
        for kind, number in plan:
            if report and before not in (None, kind):
                report(before, tallies[before])
            before = kind
            tally = tallies.setdefault(kind, Tally())
            if worker is None:
                worker = _Worker(settings)
            began = time.monotonic()
            answer = worker.ask(kind, number)
            tally.seconds += time.monotonic() - began
            tally.add(kind, number, seed, answer)
            if not worker.lives():
                worker.end()
                worker = None
        if report and before is not None:
            report(before, tallies[before])
    finally:
        if worker is not None:
            worker.end()
    return tallies


class _Worker:
    """One process."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self._said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process
        one = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        self._process = subprocess.Popen(
            [sys.executable, str(_WORKER), json.dumps(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            env={**os.environ, **one, "PYTHONHASHSEED": "0"},
        )
        self._answers = _lines(self._process)
        self._warm: set[str] = set()

    def _warm_up(self, kind: str) -> None:
        self._send({"warm": kind})
        ready = self._wait(_START_S, _START_S)
        if ready is None or "ready" not in ready:
            words = self._last_words()
            self.end()
            raise RuntimeError(f"whole files cannot be tried:\n{words}")
        self._warm.add(kind)

    def _send(self, task: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(task).encode() + b"\n")
        self._process.stdin.flush()

    def ask(self, kind: str, number: int) -> Answer:
        """Try one damaged file; whatever becomes of the process, there is an outcome."""
        if kind not in self._warm:
            self._warm_up(kind)
        self._send({"kind": kind, "round": number})
        answer = self._wait(HANG_S, _LONGEST_WALL_S)
        if answer is not None:
            return Answer(**answer)
        code = self._process.poll()
        if code is None:
            self._process.send_signal(signal.SIGUSR1)
            time.sleep(1.0)
            self._process.kill()
            self._process.wait()
            return Answer("finding", f"it hangs:\n{self._last_words()}", "hang")
        name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return Answer("finding", f"the process died ({name}):\n{self._last_words()}", "death")

    def lives(self) -> bool:
        """Whether it can be asked again."""
        return self._process.poll() is None

    def end(self) -> None:
        """End it, and wait for that."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._said.close()

    def _wait(self, cpu_s: float, wall_s: float) -> dict[str, Any] | None:
        """Wait for an answer; None where the process died, or works on one for too long."""
        began, busy = time.monotonic(), self._busy_s()
        while True:
            answer = next(self._answers)
            if isinstance(answer, dict):
                return answer
            if answer == "closed":
                self._process.wait()
                return None
            waited = time.monotonic() - began
            # On a machine that has other things to do, time alone says nothing.
            if waited > wall_s or (waited > cpu_s and self._busy_s() - busy > cpu_s):
                return None

    def _busy_s(self) -> float:
        """Processor time it has taken; of systems that do not tell, time on the wall."""
        try:
            text = Path(f"/proc/{self._process.pid}/stat").read_text("utf-8", "replace")
            times = text.rpartition(")")[2].split()[11:13]
            return sum(map(int, times)) / float(os.sysconf("SC_CLK_TCK"))
        except (OSError, ValueError):
            return time.monotonic()

    def _last_words(self) -> str:
        self._said.seek(0, os.SEEK_END)
        size = self._said.tell()
        self._said.seek(max(0, size - 4000))
        return self._said.read().decode("utf-8", "replace")


def _lines(process: subprocess.Popen[bytes]) -> Iterator[dict[str, Any] | str]:
    """Answers as they come; ``"nothing"`` after half a second without, ``"closed"`` at the end."""
    assert process.stdout is not None
    descriptor = process.stdout.fileno()
    pending = b""
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        while True:
            if not selector.select(0.5):
                yield "nothing"
                continue
            data = os.read(descriptor, 1 << 16)
            if not data:
                while True:
                    yield "closed"
            pending += data
            while b"\n" in pending:
                line, _, pending = pending.partition(b"\n")
                yield json.loads(line)
