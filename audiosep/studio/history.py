"""What was done in a session, step by step: values, without sound, files or HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from audiosep.errors import RefusedError
from audiosep.research.regrouping_plan import Plan, Wishes, plan_regrouping
from audiosep.types import Grouping

if TYPE_CHECKING:
    from audiosep.report.finished import Finished
    from audiosep.research.painted_regions import PaintedRegion

__all__ = ["MOST_STEPS", "History", "Kind", "Step", "regrouped_step", "stems_alone"]

MOST_STEPS = 200
"""Each of them is a folder of stems."""

Kind = Literal["open", "split", "regroup", "paint"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Step:
    """A folder of stems, or what will be one.

    Parameters
    ----------
    number : int
        No other step of the session has it.
    kind : {"open", "split", "regroup", "paint"}
        What led to it.
    words : str
        The same for people.
    folder : Path
        Where its stems are, or will be.
    grouping : Grouping
        Names of the stems, and which component is in which; without components, each stem counts
        as one.
    root : int or None
        Number of the step whose components these are; None without components.
    before : int or None
        Number of the step that it was made of.
    plan : Plan or None
        How its stems follow from those before, where they are sums and shares of them.
    wishes : Wishes or None
        What was asked for where stems were regrouped.
    regions : tuple of PaintedRegion
        What was painted.
    finished : Finished or None
        Its stems, once they are written.
    """

    number: int
    kind: Kind
    words: str
    folder: Path
    grouping: Grouping
    root: int | None = None
    before: int | None = None
    plan: Plan | None = None
    wishes: Wishes | None = None
    regions: tuple[PaintedRegion, ...] = ()
    finished: Finished | None = None

    @property
    def stems(self) -> tuple[str, ...]:
        """Names of the stems."""
        return self.grouping.names

    def owners(self) -> list[int]:
        """For each component the stem that holds most of it; empty without components."""
        if self.root is None:
            return []
        return [int(stem) for stem in self.grouping.weights.argmax(axis=1)]

    def same_as(self, stem: int) -> int | None:
        """Which stem of the step before sounds exactly as this one; None where none does."""
        if self.plan is None or len(self.plan.sums[stem]) != 1 or self.plan.shifts[:, stem].any():
            return None
        return self.plan.sums[stem][0]


@dataclass(frozen=True, kw_only=True, eq=False)
class History:
    """Steps, and the one that is heard now.

    Parameters
    ----------
    steps : tuple of Step
        In the order in which they were made; those after `at` were undone.
    at : int
        Place of the current one; -1 where there is none.
    """

    steps: tuple[Step, ...] = ()
    at: int = -1

    @property
    def current(self) -> Step | None:
        """The step that is heard."""
        return self.steps[self.at] if self.steps else None

    def step(self, number: int | None) -> Step | None:
        """Find a step; None where it is gone."""
        return next((step for step in self.steps if step.number == number), None)

    def with_step(self, step: Step) -> History:
        """Add one after the current, instead of those that were undone.

        Raises
        ------
        RefusedError
            If there are too many.
        """
        if self.at + 1 >= MOST_STEPS:
            raise RefusedError(
                f"{MOST_STEPS} steps are as many as a session can hold; save the stems, and open "
                "the saved folder to go on."
            )
        return History(steps=(*self.steps[: self.at + 1], step), at=self.at + 1)

    def with_written(self, number: int, finished: Finished) -> History:
        """Tell that the stems of a step are there."""
        done = tuple(
            replace(step, finished=finished) if step.number == number else step
            for step in self.steps
        )
        return History(steps=done, at=self.at)

    def without(self, number: int) -> History:
        """Take away a step that came to nothing, and all that was made of it."""
        places = [place for place, step in enumerate(self.steps) if step.number == number]
        if not places:
            return self
        steps = self.steps[: places[0]]
        return History(steps=steps, at=min(self.at, len(steps) - 1))

    def moved(self, by: int) -> History:
        """Undo (-1) or do again (+1); as it is where there is nothing to."""
        if not 0 <= self.at + by < len(self.steps):
            return self
        return History(steps=self.steps, at=self.at + by)

    def since_split(self) -> tuple[Step, ...]:
        """What a separation and all that was done to it since are made of."""
        done = self.steps[: self.at + 1]
        first = max((n for n, step in enumerate(done) if step.kind in ("open", "split")), default=0)
        return done[first:]


def stems_alone(names: Sequence[str]) -> Grouping:
    """Grouping of stems without components: each is one."""
    n = len(names)
    return Grouping(
        weights=np.eye(n, dtype=np.float32),
        names=tuple(names),
        confidence=np.ones(n, dtype=np.float64),
    )


def regrouped_step(
    before: Step,
    wishes: Wishes,
    *,
    number: int,
    folder: Path,
    words: str,
    energy: npt.NDArray[np.float64] | None = None,
) -> Step:
    """Step in which stems are merged or renamed, or components moved.

    Parameters
    ----------
    before : Step
        What it is made of.
    wishes : Wishes
        What is to be changed.
    number, folder, words
        Of the new step.
    energy : np.ndarray [shape=(n_components,)], optional
        How much each component weighs in the confidence of a stem.

    Returns
    -------
    Step
        Not written yet.

    Raises
    ------
    UsageError
        If a component or a stem does not exist, or a new name cannot be one.
    """
    weights = np.ones(len(before.grouping.weights)) if energy is None else energy
    plan = plan_regrouping(before.grouping, wishes, weights)
    return Step(
        number=number,
        kind="regroup",
        words=words,
        folder=folder,
        grouping=plan.grouping,
        root=before.root,
        before=before.number,
        plan=plan,
        wishes=wishes,
    )
