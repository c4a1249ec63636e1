"""The report of the quality benchmark: tables by task, kind and half, and goals."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass

import numpy as np

Row = dict
Rows = list[Row]

OURS = "ours"
CEILING = "oracle ratio mask"
RIVALS = {
    "vocals": ("REPET-SIM", "RPCA"),
    "four-stems": ("REPET-SIM, then HPSS", "RPCA, then HPSS"),
}
"""Peers that every single item should be better than."""

MOST_BELOW = 0.05

LOUD_DB = -20.0
"""Level relative to the mixture above which a stem that should be empty is clearly heard."""


@dataclass(frozen=True, kw_only=True)
class Goal:
    """Something to reach, and what was measured."""

    task: str
    kind: str
    what: str
    value: float | None
    goal: float
    at_least: bool = True

    @property
    def reached(self) -> bool | None:
        if self.value is None:
            return None
        return self.value >= self.goal if self.at_least else self.value <= self.goal


def key(row: Row) -> str:
    return f"{row['folder']}/{row['item']}"


def improvements(row: Row) -> list[float]:
    """SI-SDR improvements of the sources where one is defined; 0 for what was not told apart."""
    return [s["si_sdr_improvement"] for s in row["sources"].values() if "si_sdr_improvement" in s]


def separated(score: dict[str, object]) -> bool:
    """Whether this is a score of a source that is not all of the mixture."""
    return "si_sdr_improvement" in score and "whole" not in score


def mean_of(row: Row) -> float | None:
    values = improvements(row)
    return float(np.mean(values)) if values else None


def rows_of(rows: Rows, **wanted: object) -> Rows:
    return [row for row in rows if all(row[name] == value for name, value in wanted.items())]


def summarize(rows: Rows) -> dict[str, object] | None:
    """Sum up the rows of one method and one seed; None where nothing was scored."""
    rows = [row for row in rows if improvements(row)]
    if not rows:
        return None
    means = [float(np.mean(improvements(row))) for row in rows]
    # What was not told apart is left out here: the mixture's SI-SDR to itself says nothing.
    absolute = [
        np.mean(values)
        for row in rows
        if (values := [s["si_sdr"] for s in row["sources"].values() if separated(s)])
    ]
    every = [value for row in rows for value in improvements(row)]
    worst = int(np.argmin(means))
    return {
        "n_items": len(rows),
        "si_sdr_mean": float(np.mean(absolute)) if absolute else None,
        "sii_mean": float(np.mean(means)),
        "sii_median": float(np.median(means)),
        "worst_item": key(rows[worst]),
        "worst_item_sii": means[worst],
        "worst_source_sii": min(every),
        "n_sources": len(every),
        "n_sources_below_mixture": sum(value < 0 for value in every),
        "seconds": float(sum(row["seconds"] for row in rows)),
    }


def summaries_of(rows: Rows) -> dict[str, dict[str, object]]:
    """Summaries by method; of several seeds the first's, and the means of all."""
    found = {}
    for method in dict.fromkeys(row["method"] for row in rows):
        chosen = rows_of(rows, method=method)
        seeds = list(dict.fromkeys(row["seed"] for row in chosen))
        each = [s for seed in seeds if (s := summarize(rows_of(chosen, seed=seed)))]
        if each:
            found[method] = {**each[0], "sii_mean_per_seed": [s["sii_mean"] for s in each]}
    return found


def by_group(rows: Rows, group: str) -> dict[str, dict[str, object]]:
    """Summaries by kind or by half, then by method."""
    names = dict.fromkeys(row[group] for row in rows)
    return {name: summaries_of(rows_of(rows, **{group: name})) for name in names}


def has_loud_stem_of_nothing(row: Row) -> bool:
    """Whether a stem of ours that none of the sources belongs to is clearly heard."""
    levels = row["without_reference"].values()
    return row["method"] == OURS and max(levels, default=-np.inf) > LOUD_DB


def better_than_all(rows: Rows, rivals: Iterable[str]) -> float | None:
    """Share of the items where ours is better than every rival."""
    wins = []
    for item in dict.fromkeys(key(row) for row in rows):
        here = {row["method"]: mean_of(row) for row in rows if key(row) == item and not row["seed"]}
        scores = [here.get(rival) for rival in rivals]
        if here.get(OURS) is not None and None not in scores:
            wins.append(here[OURS] > max(scores))
    return float(np.mean(wins)) if wins else None


# --- goals -----------------------------------------------------------------------------------


def goals_of(rows: Rows) -> list[Goal]:
    """What was to be reached, for every task and kind that was measured."""
    found: list[Goal] = []
    for task, make in _GOALS.items():
        of_task = rows_of(rows, task=task)
        kinds = list(dict.fromkeys(row["kind"] for row in of_task))
        for kind in kinds:
            found += make(task, kind, rows_of(of_task, kind=kind))
    tasks = dict.fromkeys(row["task"] for row in rows if row["task"] != "components")
    return found + [_below_mixture(task, rows_of(rows, task=task)) for task in tasks]


def _sii(rows: Rows, method: str) -> float | None:
    summary = summaries_of(rows).get(method)
    return None if summary is None else float(summary["sii_mean"])


def _above(rows: Rows, others: Iterable[str]) -> float | None:
    """Mean of ours above the best mean of others."""
    own, rest = _sii(rows, OURS), [_sii(rows, other) for other in others]
    known = [value for value in rest if value is not None]
    return None if own is None or not known else own - max(known)


def _vocals(task: str, kind: str, rows: Rows) -> list[Goal]:
    gap = _above(rows, [CEILING])
    return [
        Goal(
            task=task,
            kind=kind,
            what="dB below the oracle ratio mask",
            value=None if gap is None else -gap,
            goal=4.0,
            at_least=False,
        ),
        Goal(
            task=task,
            kind=kind,
            what="dB above the better of REPET-SIM and RPCA",
            value=_above(rows, RIVALS[task]),
            goal=5.0,
        ),
        Goal(
            task=task,
            kind=kind,
            what="share of items better than both",
            value=better_than_all(rows, RIVALS[task]),
            goal=0.95,
        ),
    ]


def _drums(task: str, kind: str, rows: Rows) -> list[Goal]:
    own = rows_of(rows, method=OURS)
    wrong = float(sum(bool(row["misnamed"]) for row in own)) if own else None
    return [
        Goal(
            task=task,
            kind=kind,
            what="dB above the oracle ratio mask",
            value=_above(rows, [CEILING]),
            goal=0.0,
        ),
        Goal(
            task=task,
            kind=kind,
            what="items with a stem that is more like another name's",
            value=wrong,
            goal=0.0,
            at_least=False,
        ),
    ]


def _over_hpss(least: float) -> Callable[[str, str, Rows], list[Goal]]:
    def goals(task: str, kind: str, rows: Rows) -> list[Goal]:
        value = _above(rows, ["librosa HPSS"])
        return [Goal(task=task, kind=kind, what="dB above librosa HPSS", value=value, goal=least)]

    return goals


def _stems(task: str, kind: str, rows: Rows) -> list[Goal]:
    least = {"band": 8.0, "electronic": 7.0}[kind]
    own = Goal(task=task, kind=kind, what="SIi in dB", value=_sii(rows, OURS), goal=least)
    return [own, *_over_hpss(0.0)(task, kind, rows)]


def _four_stems(task: str, kind: str, rows: Rows) -> list[Goal]:
    return [Goal(task=task, kind=kind, what="SIi in dB", value=_sii(rows, OURS), goal=9.0)]


_GOALS = {
    "vocals": _vocals,
    "drums": _drums,
    "harmonic-percussive": _over_hpss(2.0),
    "stems": _stems,
    "four-stems": _four_stems,
}


def _below_mixture(task: str, rows: Rows) -> Goal:
    summary = summaries_of(rows).get(OURS)
    share = summary and summary["n_sources_below_mixture"] / summary["n_sources"]
    return Goal(
        task=task,
        kind="all",
        what="share of stems below the mixture",
        value=share,
        goal=MOST_BELOW,
        at_least=False,
    )


# --- printing --------------------------------------------------------------------------------


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
        "goals": [{**asdict(goal), "reached": goal.reached} for goal in goals_of(rows)],
        "rows": rows,
    }
