"""Goals of the quality benchmark: what was to be reached, and by how much it was."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from _quality_summaries import (
    CEILING,
    OURS,
    Rows,
    better_than_all,
    item_shares,
    rows_of,
    summaries_of,
)

RIVALS = {
    "vocals": ("REPET-SIM", "RPCA"),
    "four-stems": ("REPET-SIM, then HPSS", "RPCA, then HPSS"),
}
"""Peers that every single item should be better than."""

MOST_BELOW = 0.05


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


def goals_of(rows: Rows) -> list[Goal]:
    """What was to be reached, for every task and kind that was measured."""
    found: list[Goal] = []
    for task, make in _GOALS.items():
        of_task = rows_of(rows, task=task)
        kinds = list(dict.fromkeys(row["kind"] for row in of_task))
        for kind in kinds:
            found += make(task, kind, rows_of(of_task, kind=kind))
    found += told_goals(rows)
    tasks = dict.fromkeys(row["task"] for row in rows if row["task"] != "components")
    return found + [_below_mixture(task, rows_of(rows, task=task)) for task in tasks]


def told_goals(rows: Rows) -> list[Goal]:
    """Goals of the tasks in which something is told."""
    found: list[Goal] = []
    for task in dict.fromkeys(row["task"] for row in rows):
        of_task = rows_of(rows, task=task)
        if task in _SHARES:
            found += _shares(task, item_shares(of_task).values())
        if task in _OVER_SPEECH_PEER:
            peer, least = _OVER_SPEECH_PEER[task]
            found.append(_speech(task, rows_of(of_task, kind="0 dB"), peer, least))
        if task == "score":
            gap = _above(of_task, [CEILING])
            found.append(_at_most(task, "dB below the oracle ratio mask", gap and -gap, 3.5))
        if task.startswith("score-"):
            exact, told = _sii(rows_of(rows, task="score"), OURS), _sii(of_task, OURS)
            lost = None if exact is None or told is None else exact - told
            found.append(_at_most(task, "dB lost against the exact score", lost, 0.5))
        if task == "stereo":
            value = _above(of_task, [CEILING])
            what = "dB above the oracle ratio mask that knows no places"
            found.append(Goal(task=task, kind="all", what=what, value=value, goal=0.0))
        if task == "stereo-shared":
            value = _sii(of_task, OURS)
            found.append(Goal(task=task, kind="all", what="SIi in dB", value=value, goal=12.0))
    return found


_SHARES = {"by-example": (0.65, 0.30), "kit": (1.0, None), "kit-room": (1.0, None)}
"""Least share of the way to the oracle Wiener mask: in the mean, and of every item."""

_OVER_SPEECH_PEER = {
    "speech": ("decision-directed Wiener", 2.0),
    "speech-alone": ("decision-directed Wiener, noise tracked", 1.0),
}


def _shares(task: str, shares: Iterable[float]) -> list[Goal]:
    known = list(shares)
    mean, worst = _SHARES[task]
    what = "share of the way to the oracle Wiener mask"
    value = float(np.mean(known)) if known else None
    goals = [Goal(task=task, kind="all", what=what, value=value, goal=mean)]
    if worst is not None:
        least = min(known, default=None)
        goals.append(Goal(task=task, kind="all", what=f"least {what}", value=least, goal=worst))
    return goals


def _speech(task: str, rows: Rows, peer: str, least: float) -> Goal:
    """Only the speech counts here: nobody listens to the noise."""
    own, other = (_mean_of_speech(rows_of(rows, method=m, seed=0)) for m in (OURS, peer))
    value = None if own is None or other is None else own - other
    return Goal(task=task, kind="0 dB", what=f"dB above {peer}, speech", value=value, goal=least)


def _mean_of_speech(rows: Rows) -> float | None:
    gains = [row["sources"]["speech"]["si_sdr_improvement"] for row in rows]
    return float(np.mean(gains)) if gains else None


def _at_most(task: str, what: str, value: float | None, most: float) -> Goal:
    return Goal(task=task, kind="all", what=what, value=value, goal=most, at_least=False)


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
