"""The tables of the quality benchmark as markdown, put between marks in README.md and docs/.

A table called NAME goes between ``<!-- quality:NAME -->`` and ``<!-- /quality:NAME -->``, each on a
line of its own. Names: ``overview``, ``halves``, ``goals``, and ``items-TASK`` and
``shares-TASK`` for every task.
"""

from __future__ import annotations

import re
from pathlib import Path

from _quality_methods import ALL_PEERS_OF, NOTHING, OURS
from _quality_summaries import (
    CEILING,
    LOUD_DB,
    WIENER,
    Row,
    Rows,
    improvements,
    key,
    mean_of,
    rows_of,
    separated,
    shares_of,
)

ROOT = Path(__file__).parent.parent
HALVES = ("choose", "confirm", "unseen")


def marks(family: str) -> re.Pattern[str]:
    """What stands between the marks of a family of tables."""
    return re.compile(rf"<!-- {family}:([\w-]+) -->\n.*?<!-- /{family}:\1 -->", re.DOTALL)


_MARK = marks("quality")


def pages(root: Path = ROOT) -> list[str]:
    """README.md and every page below docs, relative to the root."""
    found = [root / "README.md", *sorted((root / "docs").rglob("*.md"))]
    return [path.relative_to(root).as_posix() for path in found if path.is_file()]


def write_docs(content: dict, root: Path = ROOT) -> list[str]:
    """Fill every mark of the pages that there are; return the names of the tables written."""
    tables, written = tables_of(content), []
    for page in pages(root):
        path = root / page
        text = path.read_text(encoding="utf-8")
        filled, names = fill(text, tables)
        if filled != text:
            path.write_text(filled, encoding="utf-8")
        written += [f"{page}: {name}" for name in names]
    for line in written:
        print(f"written: {line}")
    return written


def fill(text: str, tables: dict[str, str], family: str = "quality") -> tuple[str, list[str]]:
    """Replace what is between the marks; tables that were not measured keep what they hold."""
    names: list[str] = []

    def replaced(found: re.Match[str]) -> str:
        name = found[1]
        if name not in tables:
            return found[0]
        names.append(name)
        return f"<!-- {family}:{name} -->\n{tables[name]}\n<!-- /{family}:{name} -->"

    return marks(family).sub(replaced, text), names


def tables_of(content: dict) -> dict[str, str]:
    """All tables by name."""
    rows = content["rows"]
    tasks = list(content["summary"])
    return {
        "overview": overview(content),
        "halves": halves(content),
        "goals": goals(content),
        **{f"items-{task}": items(rows_of(rows, task=task, seed=0)) for task in tasks},
        **{f"shares-{task}": shares(rows_of(rows, task=task, seed=0)) for task in tasks},
    }


def table(heads: list[str], lines: list[list[str]]) -> str:
    rule = ["---", *["---:"] * (len(heads) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heads, rule, *lines))


def number(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def overview(content: dict) -> str:
    """One line per task and kind: the best peer, ours, the ceiling, and what went wrong."""
    lines = []
    for task, kinds in content["kinds"].items():
        for kind, summaries in kinds.items():
            if OURS not in summaries:
                continue
            own = summaries[OURS]
            peers = {p: summaries[p]["sii_mean"] for p in ALL_PEERS_OF[task] if p in summaries}
            best = max(peers, key=lambda p: peers[p]) if peers else None
            oracle = summaries.get(CEILING)
            lines.append(
                [
                    task if kind == "all" else f"{task}, {kind.replace('_', ' ')}",
                    str(own["n_items"]),
                    "–" if best is None else f"{peers[best]:.1f} ({best})",
                    f"**{own['sii_mean']:.1f}**",
                    number(oracle and oracle["sii_mean"]),
                    f"{own['n_sources_below_mixture']} of {own['n_sources']}",
                ]
            )
    heads = ["task", "items", "best peer", "audiosep", "oracle ratio mask", "stems below mixture"]
    return table(heads, lines)


def halves(content: dict) -> str:
    """Means of every method by half."""
    lines = []
    present = [h for h in HALVES if any(h in halves for halves in content["halves"].values())]
    for task, by_half in content["halves"].items():
        for method in content["summary"][task]:
            if method == NOTHING:
                continue
            cells = []
            for half in present:
                summary = by_half.get(half, {}).get(method)
                cells.append(summary and f"{summary['sii_mean']:.1f} (n={summary['n_items']})")
            total = content["summary"][task][method]["sii_mean"]
            name = "**audiosep**" if method == OURS else method
            lines.append([task, name, *(cell or "–" for cell in cells), f"{total:.1f}"])
    return table(["task", "method", *present, "all"], lines)


def goals(content: dict) -> str:
    lines = []
    for goal in content["goals"]:
        if goal["value"] is None:
            continue
        where = goal["task"] if goal["kind"] == "all" else f"{goal['task']}, {goal['kind']}"
        sign = "≥" if goal["at_least"] else "≤"
        value, target = f"{goal['value']:.2f}", f"{goal['goal']:g}"
        if "share" in goal["what"]:
            value, target = f"{goal['value']:.0%}", f"{goal['goal']:.0%}"
        verdict = "reached" if goal["reached"] else "**missed**"
        lines.append([where, goal["what"], value, f"{sign} {target}", verdict])
    return table(["task", "measure", "measured", "goal", ""], lines)


def items(rows: Rows) -> str:
    """One line per item: ours with its stems, the peers, the ceilings."""
    methods = [m for m in dict.fromkeys(row["method"] for row in rows) if m not in (NOTHING, OURS)]
    lines = []
    for name in dict.fromkeys(key(row) for row in rows):
        here = {row["method"]: row for row in rows if key(row) == name}
        own = here.get(OURS)
        first = own or next(iter(here.values()))
        lines.append(
            [
                f"{first['item']} ({first['half']})",
                "–" if own is None else own_words(own),
                *(number(mean_of(here[m]) if m in here else None) for m in methods),
            ]
        )
    return table(["item", "audiosep: mean (each)", *methods], lines)


def shares(rows: Rows) -> str:
    """One line per item: how far ours gets from doing nothing (0) to the oracle Wiener mask (1)."""
    lines, means = [], []
    for row in rows_of(rows, method=OURS):
        oracle = [other for other in rows_of(rows, method=WIENER) if key(other) == key(row)]
        found = shares_of(row, oracle[0] if oracle else None)
        if found:
            mean = sum(found) / len(found)
            means.append(mean)
            lines.append([f"{row['item']} ({row['half']})", f"{mean:.2f}", f"{min(found):.2f}"])
    if means:
        lines.append(["**mean**", f"**{sum(means) / len(means):.2f}**", "–"])
    return table(["item", "share", "worst source"], lines)


def own_words(row: Row) -> str:
    """Ours in words: the mean, each stem, and what is clearly heard but should not be there."""
    each = [
        f"{name} {score['si_sdr_improvement']:.1f}"
        for name, score in row["sources"].items()
        if separated(score)
    ]
    whole = [
        f"{name} keeps SI-SDR {score['si_sdr']:.1f}"
        for name, score in row["sources"].items()
        if "whole" in score
    ]
    spare = [
        f"{name} of nothing at {level:.0f} dB"
        for name, level in row["without_reference"].items()
        if level > LOUD_DB
    ]
    missed = ["voice missed"] * bool(row.get("missed"))
    words = ", ".join([*each, *whole, *missed, *spare])
    return f"**{mean_of(row):.1f}** ({words})" if improvements(row) else f"– ({words})"
