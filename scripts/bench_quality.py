"""Measure the quality of separations on a corpus of mixtures with their true sources.

    python scripts/bench_quality.py CORPUS [--tasks vocals,drums] [--json out.json] [--write-docs]

CORPUS holds ``<folder>/<item>/`` with ``mixture.flac``, ``ref_<source>.flac`` and ``meta.json``.
The corpus is audited first: a duplicate, silent or leaked reference reverses conclusions. Beside
ours stand doing nothing, the peers (`_quality_peers.py` says where each comes from), and two
oracles that no mask can beat by much. Settings of ours were chosen on the items of the half
"choose", and confirmed on those of "confirm" (`_quality_split.py`); all others are "unseen".

SI-SDR (dB) is ``10 log10(|a r|^2 / |e - a r|^2)`` with ``a = <e, r> / |r|^2``, over all channels
together; "SIi" is its improvement over the mixture. Silent references are left out of the means.
The tasks of `_quality_told.py` tell the separation what to look for.
"""

from __future__ import annotations

import argparse
import json
import sys
import traceback
from pathlib import Path

from _quality_audit import audit
from _quality_corpus import TASKS, Signals, find_items, load_item, si_sdr
from _quality_docs import write_docs
from _quality_goals import goals_of
from _quality_methods import METHODS, OURS, measure, methods_of, why_not
from _quality_report import content_of, print_goals, print_task
from _quality_summaries import rows_of
from _quality_told import TOLD_TASKS, find_told, load_told

__all__ = ["Signals", "find_items", "load_item", "main", "si_sdr"]

ALL_TASKS = TASKS | TOLD_TASKS
DEFAULT_TASKS = tuple(task for task in ALL_TASKS if task != "components")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("corpus", type=Path, nargs="?")
    parser.add_argument("--json", type=Path, help="write everything here")
    parser.add_argument("--tasks", default=",".join(DEFAULT_TASKS), help="comma-separated")
    parser.add_argument("--items", default="*", help="pattern of item names")
    parser.add_argument("--seeds", type=int, default=1, help="run ours with seeds 0 to N-1")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--short", action="store_true", help="first 10 s, 22.05 kHz")
    parser.add_argument("--no-audit", action="store_true")
    parser.add_argument(
        "--reuse",
        type=Path,
        help="--json file of an earlier run on the same items: all but ours is taken from it",
    )
    parser.add_argument(
        "--join",
        type=Path,
        help="--json file of an earlier run: tasks that are not run now are taken from it",
    )
    parser.add_argument(
        "--write-docs",
        action="store_true",
        help="put the tables into README.md and docs; without CORPUS, those of --json",
    )
    options = parser.parse_args(arguments)
    if options.corpus is None:
        if not (options.write_docs and options.json):
            parser.error("give a CORPUS, or --write-docs and the --json file of an earlier run")
        write_docs(json.loads(options.json.read_text()))
        return 0
    tasks = options.tasks.split(",")
    if unknown := [task for task in tasks if task not in ALL_TASKS]:
        parser.error(f"unknown task {unknown[0]}; there are {', '.join(ALL_TASKS)}")
    found = find_items(options.corpus, [task for task in tasks if task in TASKS], options.items)
    told = [task for task in tasks if task in TOLD_TASKS]
    found += find_told(options.corpus, told, options.items)
    if not found:
        parser.error(f"no item in {options.corpus} matches")

    findings = {} if options.no_audit else audit(sorted({path for _, path in found}))
    if not options.no_audit:
        print(f"== audit: {len(findings)} items with findings (marked *)")
        for name, texts in findings.items():
            print(f"{name}: " + "; ".join(texts))
    rows, left_out = run(found, findings, options)
    if options.join:
        joined = json.loads(options.join.read_text())
        if joined["options"]["short"] != str(options.short):
            raise SystemExit(f"{options.join} was made with another --short: it does not fit.")
        rows = [row for row in joined["rows"] if row["task"] not in tasks] + rows
    for task in dict.fromkeys(task for task, _ in found):
        if of_task := rows_of(rows, task=task):
            print_task(task, of_task, options.seeds)
        for method, reason in left_out.get(task, {}).items():
            print(f"{method}: {reason}")
    print_goals(goals_of(rows))
    content = {
        "options": {k: str(v) for k, v in vars(options).items()},
        "audit": findings,
        "not_run": left_out,
        **content_of(rows),
    }
    if options.json:
        options.json.write_text(json.dumps(content, indent=1) + "\n")
    if options.write_docs:
        write_docs(content)
    return int(any("failed on" in why for reasons in left_out.values() for why in reasons.values()))


def run(found, findings, options) -> tuple[list[dict], dict[str, dict[str, str]]]:
    """Run all methods on all items; return the rows, and by task what was not run and why."""
    rows, left_out = [], {}
    earlier = earlier_rows(options.reuse, short=options.short) if options.reuse else {}
    for task, path in found:
        load = load_told if task in TOLD_TASKS else load_item
        item = load(task, path, short=options.short)
        item.findings = findings.get(item.key, [])
        for method in methods_of(task, tuple(options.methods)):
            if reason := why_not(task, method):
                left_out.setdefault(task, {})[method] = reason
                continue
            known = earlier.get((task, item.key, method))
            seeds = range(options.seeds if method == OURS else 1)
            try:
                rows += [known] if known else [measure(item, method, seed) for seed in seeds]
            except Exception as error:  # one item must not cost the hours of all others
                traceback.print_exc()
                reason = f"failed on {item.key}: {type(error).__name__}: {error}"
                left_out.setdefault(task, {})[f"{method}, {item.key}"] = reason
        print(f"{task}: {item.key}", file=sys.stderr, flush=True)
    return rows, left_out


def earlier_rows(path: Path, *, short: bool) -> dict[tuple[str, str, str], dict]:
    """Rows of an earlier run by task, item and method; what is ours is left out."""
    content = json.loads(path.read_text())
    if content["options"]["short"] != str(short):
        raise SystemExit(f"{path} was made with another --short: its rows do not fit.")
    return {
        (row["task"], f"{row['folder']}/{row['item']}", row["method"]): row
        for row in content["rows"]
        if row["method"] != OURS
    }


if __name__ == "__main__":
    raise SystemExit(main())
