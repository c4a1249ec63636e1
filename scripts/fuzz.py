"""Damage valid files of every kind that audiosep reads, try them, and print what came of it.

Stems, a warning, or an error in one sentence are what may be. A traceback, a dead or hanging
process, memory beyond a cap, a connection, a started program, and a file outside the output folder
are findings; each is printed with what makes it again::

    python scripts/fuzz.py --rounds 1000
    python scripts/fuzz.py --kind wav flac --rounds 100 --seed 7
    python scripts/fuzz.py --kind wav --only 4711 --keep /tmp/found

Commands run in a process of their own that is allowed 1 GB beyond what it holds when everything is
loaded, and 10 s of processor time for each file.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections import Counter
from pathlib import Path

from _fuzz_http import KIND, http_campaign
from _fuzz_run import Finding, Tally, campaign
from _fuzz_seeds import KINDS

ALL = (*KINDS, KIND)

_SHOWN = 3000
_LINE = "{:<14} {:>7} {:>8} {:>9} {:>7} {:>9}"
_OUTCOMES = ("result", "warning", "error", "finding")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kind", nargs="+", choices=ALL, default=list(ALL), metavar="KIND")
    parser.add_argument("--rounds", type=int, default=100, help="damaged files of each kind")
    parser.add_argument("--first", type=int, default=0, help="number of the first round")
    parser.add_argument("--only", type=int, help="this round alone")
    parser.add_argument("--seed", type=int, default=0, help="same seed, same damage")
    parser.add_argument("--memory", type=int, default=1024, metavar="MB")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="where files of findings go")
    given = parser.parse_args()
    numbers = range(given.first, given.first + given.rounds)
    if given.only is not None:
        numbers = range(given.only, given.only + 1)
    print(
        f"{'kind':<14} {'rounds':>7} {'results':>8} {'warnings':>9} {'errors':>7} {'findings':>9}"
    )
    plan = ((kind, number) for kind in given.kind if kind != KIND for number in numbers)
    began = time.monotonic()
    tallies = campaign(plan, seed=given.seed, memory_mb=given.memory, report=_report)
    if KIND in given.kind:
        tallies[KIND] = http_campaign(numbers, seed=given.seed, report=_report)
    whole = Tally()
    for tally in tallies.values():
        whole.counts.update(tally.counts)
        whole.findings += tally.findings
        whole.outside += tally.outside
        whole.peak = max(whole.peak, tally.peak)
    _report("all", whole)
    print(f"{time.monotonic() - began:.0f} s")
    print(said_of(whole, given.memory))
    for alike in _alike(whole.findings):
        _show(alike, given.keep)
    sys.stdout.flush()
    sys.exit(bool(whole.findings))


def said_of(tally: Tally, memory_mb: int) -> str:
    """What must not be, counted: two lines."""
    counts = Counter(finding.sort for finding in tally.findings)
    return (
        f"{tally.rounds} damaged files and requests: {counts['traceback']} tracebacks, "
        f"{counts['hang']} hangs, {counts['death']} dead processes, {counts['words']} other "
        f"answers that will not do\n"
        f"{tally.outside} bytes left or changed outside the output folder in {counts['outside']} "
        f"of them; memory beyond {memory_mb} MB asked for in {counts['memory']}; most that was "
        f"taken beyond the start: {tally.peak / 2**20:.0f} MB"
    )


def _report(kind: str, tally: Tally) -> None:
    counts = (tally.counts[outcome] for outcome in _OUTCOMES)
    print(_LINE.format(kind, tally.rounds, *counts), flush=True)
    for finding in tally.findings if kind != "all" else ():
        print(f"    --only {finding.number}: {finding.words.strip().splitlines()[-1][:200]}")


def _alike(findings: list[Finding]) -> list[list[Finding]]:
    """Group findings by how their words end, numbers aside."""
    groups: dict[str, list[Finding]] = {}
    for finding in findings:
        lines = finding.words.strip().splitlines() or [""]
        groups.setdefault(re.sub(r"\d+", "0", lines[-1])[:100], []).append(finding)
    return list(groups.values())


def _show(findings: list[Finding], keep: Path | None) -> None:
    first = findings[0]
    print(f"\n--- {len(findings)} x --kind {first.kind} --seed {first.seed} --only {first.number}")
    if len(findings) > 1:
        print("also", ", ".join(f"{one.kind} {one.number}" for one in findings[1:20]))
    print(first.words[-_SHOWN:].rstrip())
    if keep is not None and first.kind != KIND:
        from _fuzz_worker import damaged_file

        keep.mkdir(parents=True, exist_ok=True)
        name, content, _ = damaged_file(first.kind, first.number, first.seed)
        place = keep / f"{first.kind}-{first.seed}-{first.number}-{name}"
        place.write_bytes(content)
        print(f"kept as {place}")


if __name__ == "__main__":
    main()
