"""Sums of the quality benchmark's rows: by method, seed, kind and half."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

Row = dict
Rows = list[Row]

OURS, NOTHING = "ours", "do-nothing"
CEILING, WIENER = "oracle ratio mask", "oracle Wiener"

LOUD_DB = -20.0
"""Level relative to the mixture above which a stem that should be empty is clearly heard."""


LEAST_TO_SHARE_DB = 0.5
"""Where the oracle itself gains less than this, shares of it mean nothing."""


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


def shares_of(row: Row, oracle: Row | None) -> list[float]:
    """How far from doing nothing (0) to the oracle (1) each source is, where that says anything."""
    if oracle is None:
        return []
    shares = []
    for name, score in row["sources"].items():
        most = oracle["sources"].get(name, {}).get("si_sdr_improvement", 0.0)
        if "si_sdr_improvement" in score and most > LEAST_TO_SHARE_DB:
            shares.append(score["si_sdr_improvement"] / most)
    return shares


def item_shares(rows: Rows) -> dict[str, float]:
    """Mean share of the way to the oracle Wiener mask of ours, by item."""
    found = {}
    for row in rows_of(rows, method=OURS, seed=0):
        oracle = [other for other in rows_of(rows, method=WIENER) if key(other) == key(row)]
        if shares := shares_of(row, oracle[0] if oracle else None):
            found[key(row)] = float(np.mean(shares))
    return found
