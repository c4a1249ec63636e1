"""The report of the quality benchmark: tables by task, kind and half, and goals."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
from _quality_goals import RIVALS, Goal, goals_of
from _quality_summaries import (
    LOUD_DB,
    Row,
    Rows,
    better_than_all,
    by_group,
    has_loud_stem_of_nothing,
    item_shares,
    key,
    mean_of,
    rows_of,
    summaries_of,
)
from _quality_told import TOLD_TASKS


def print_task(task: str, rows: Rows, seeds: int) -> None:
    """Print the tables of a task: its items, then the means."""
    print(f"\n== {task}: SIi per item (SIi per source), dB" + ", seed 0" * (seeds > 1))
    if task == "components":
        print("   (the order of the components is chosen with the references)")
    for name in dict.fromkeys(key(row) for row in rows):
        here = [row for row in rows if key(row) == name and row["seed"] == 0]
        print(f"{name} [{here[0]['half']}]" + " *" * bool(here[0]["findings"]))
        for row in here:
            if row["method"] != "do-nothing":
                print(f"    {row['method']:22s} {_words(row)}")
    groups = {"all": summaries_of(rows), **by_group(rows, "kind"), **by_group(rows, "half")}
    for group, summaries in groups.items():
        if group != "all" and summaries == groups["all"]:
            continue
        print_summaries(group, summaries)
    loud = [row for row in rows if not row["seed"] and has_loud_stem_of_nothing(row)]
    if loud:
        print(f"items with a stem of nothing above {LOUD_DB:.0f} dB of the mixture: {len(loud)}")
    if task in TOLD_TASKS and (shares := item_shares(rows)):
        print("share of the way to the oracle Wiener mask:")
        for name, share in shares.items():
            print(f"    {name:42s} {share:5.2f}")
        print(f"    {'mean':42s} {np.mean(list(shares.values())):5.2f}")
    rivals = RIVALS.get(task)
    if rivals and (share := better_than_all(rows, rivals)) is not None:
        print(f"better than {' and '.join(rivals)}: {share:.0%} of the items")


def _words(row: Row) -> str:
    parts = []
    for name, score in row["sources"].items():
        if "silent" in score:
            parts.append(f"{name} silent")
        elif "whole" in score:
            parts.append(f"{name} is all there is: SI-SDR {score['si_sdr']:.1f}")
        else:
            parts.append(f"{name} {score['si_sdr_improvement']:+.1f}")
    parts += [f"{name} WITHOUT A STEM" for name in row["without_stem"]]
    parts += [f"{name} MISSED" for name in row.get("missed", ())]
    parts += [f"{n} of nothing: {db:.0f} dB" for n, db in row["without_reference"].items()]
    parts += [f"{name} MISNAMED" for name in row["misnamed"]]
    mean = mean_of(row)
    return ("   -  " if mean is None else f"{mean:6.2f}") + f"  ({', '.join(parts)})"


def print_summaries(group: str, summaries: dict[str, dict[str, object]]) -> None:
    print(f"\n{group:22s}  items  SI-SDR  SIi mean  median  below mixture   seconds  worst item")
    for method, s in summaries.items():
        absolute = "-" if s["si_sdr_mean"] is None else f"{s['si_sdr_mean']:.2f}"
        below = f"{s['n_sources_below_mixture']:4d} of {s['n_sources']:<4d}"
        print(
            f"{method:22s}  {s['n_items']:5d}  {absolute:>6s}  {s['sii_mean']:8.2f}  "
            f"{s['sii_median']:6.2f}  {below}  {s['seconds']:9.1f}  {s['worst_item']} "
            f"{s['worst_item_sii']:+.1f}"
        )
        means = s["sii_mean_per_seed"]
        if len(means) > 1:
            words = f"median {np.median(means):.2f}, {min(means):.2f} to {max(means):.2f}"
            print(f"{'':22s}  {len(means)} seeds: {words}")


def print_goals(goals: list[Goal]) -> None:
    print("\n== goals")
    for goal in goals:
        sign = ">=" if goal.at_least else "<="
        value = "not measured" if goal.value is None else f"{goal.value:.2f}"
        verdict = {None: "", True: "reached", False: "MISSED"}[goal.reached]
        where = goal.task if goal.kind == "all" else f"{goal.task}, {goal.kind}"
        print(f"{where:32s} {goal.what:52s} {value:>12s}  {sign} {goal.goal:<5g} {verdict}")


def content_of(rows: Rows) -> dict[str, object]:
    """Everything of the report in JSON types."""
    tasks = list(dict.fromkeys(row["task"] for row in rows))
    return {
        "summary": {task: summaries_of(rows_of(rows, task=task)) for task in tasks},
        "kinds": {task: by_group(rows_of(rows, task=task), "kind") for task in tasks},
        "halves": {task: by_group(rows_of(rows, task=task), "half") for task in tasks},
        "better_than_both": {
            task: better_than_all(rows_of(rows, task=task), rivals)
            for task, rivals in RIVALS.items()
            if task in tasks
        },
        "shares": {task: item_shares(rows_of(rows, task=task)) for task in tasks},
        "goals": [{**asdict(goal), "reached": goal.reached} for goal in goals_of(rows)],
        "rows": rows,
    }
