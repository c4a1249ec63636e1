"""Which component goes where: wishes for another grouping, checked and worked out without sound."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from audiosep.errors import UsageError
from audiosep.io.naming import display
from audiosep.labels import folded, problem_of_label
from audiosep.types import FloatArray, Grouping

__all__ = ["Member", "Moves", "Plan", "Wishes", "plan_regrouping"]

Member = int | str
"""A component by its number, from 1, or a stem by its name."""

Moves = Mapping[int, str] | Mapping[int | tuple[int, ...], str]
"""Components by their numbers, and the stem they go to."""


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What is to be changed, in the order in which it is done.

    Parameters
    ----------
    merge : sequence of sequence of (int or str)
        Stems that become one, each given by its name or by the number of a component in it; the
        first gives its name.
    move : mapping of (int or tuple of int) to str
        Components, by their numbers from 1, and the stem that they go to: one that exists after
        merging, or a new one.
    rename : mapping of str to str
        Names of stems, after all that, and what they become.
    """

    merge: Sequence[Sequence[Member]] = ()
    move: Moves | None = None
    rename: Mapping[str, str] | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Plan:
    """How new stems are made of old ones.

    Parameters
    ----------
    grouping : Grouping
        The new one, with the names of the new stems.
    sums : tuple of tuple of int
        For each new stem the old ones that go into it as a whole, by their places.
    shifts : np.ndarray [shape=(n_components, n_new_stems)]
        What each component's share in each new stem is changed by after that; every row sums to
        zero.
    notes : tuple of str
        What is done, in sentences.
    """

    grouping: Grouping
    sums: tuple[tuple[int, ...], ...]
    shifts: npt.NDArray[np.float64]
    notes: tuple[str, ...]

    @property
    def moves(self) -> bool:
        """Whether any component leaves the stem it was in alone."""
        return bool(self.shifts.any())


def plan_regrouping(grouping: Grouping, wishes: Wishes, energy: FloatArray) -> Plan:
    """Work out what wishes mean for a grouping.

    Parameters
    ----------
    grouping : Grouping
        As it is.
    wishes : Wishes
        What is to be changed.
    energy : np.ndarray [shape=(n_components,)]
        How much each component weighs in the confidence of a stem.

    Returns
    -------
    Plan

    Raises
    ------
    UsageError
        If a component or a stem does not exist, or a new name cannot be one.
    """
    desk = _Desk(grouping)
    for members in wishes.merge:
        desk.merge(members)
    for numbers, target in (wishes.move or {}).items():
        desk.move((numbers,) if isinstance(numbers, int) else tuple(numbers), target)
    desk.join_what_moved_as_a_whole()
    if wishes.rename:
        desk.rename(wishes.rename)
    return desk.plan(energy)


class _Desk:
    """The grouping while it is being changed; stems are known by keys that stay."""

    def __init__(self, grouping: Grouping) -> None:
        self._grouping = grouping
        self._weights = np.asarray(grouping.weights, dtype=np.float64)
        self._names = dict(enumerate(grouping.names))
        self._into = list(range(len(grouping.names)))  # where each old stem went
        self._moved: dict[int, int] = {}
        self._notes: list[str] = []

    # --- wishes ---------------------------------------------------------------------------------

    def merge(self, members: Sequence[Member]) -> None:
        """Join stems under the name of the first."""
        if len(members) < 2:
            raise UsageError("merging needs two or more components or stems, such as 2,5.")
        if len(set(members)) < 2:
            raise UsageError(
                f"merging {members[0]} with itself is nothing to do; name two components or stems, "
                "such as 2,5."
            )
        keys = list(dict.fromkeys(self._key_of(member) for member in members))
        first, *others = keys
        if not others:
            said = ", ".join(str(member) for member in members)
            self._notes.append(f"{said} are in {self._names[first]} together already.")
            return
        joined = ", ".join(self._names[key] for key in others)
        self._notes.append(f"{joined} went into {self._names[first]}.")
        self._join(first, others)

    def move(self, numbers: Sequence[int], target: str) -> None:
        """Put single components into a stem, which may be new."""
        if not numbers:
            raise UsageError(f"no component is named that should move to {display(target)}.")
        key = self._key_named(target)
        if key is None:
            self._check_new(target)
            key = max(self._names) + 1
            self._names[key] = target
        for number in numbers:
            before = self._moved.setdefault(self._component(number), key)
            if before != key:
                raise UsageError(
                    f"component {number} is to move to {self._names[before]} and to "
                    f"{self._names[key]}; choose one of them."
                )
        which = "Component " if len(numbers) == 1 else "Components "
        self._notes.append(
            f"{which}{', '.join(str(n) for n in numbers)} moved to {self._names[key]}."
        )

    def rename(self, names: Mapping[str, str]) -> None:
        """Give stems other names."""
        keys = {}
        for old, new in names.items():
            key = self._key_named(old)
            if key is None:
                raise UsageError(f"there is no stem {display(old)}; {self._stems()}")
            keys[key] = new
            self._notes.append(f"{self._names[key]} is called {display(new)} now.")
        before = self._names
        self._names = {key: name for key, name in before.items() if key not in keys}
        for key, new in keys.items():
            self._check_new(new)
            self._names[key] = new
        self._names = {key: self._names[key] for key in before}

    def join_what_moved_as_a_whole(self) -> None:
        """A stem whose components all went to the same other stem was merged with it."""
        for key in list(self._names):
            if key not in self._into:  # new: nothing can leave it
                continue
            mine = [int(k) for k in np.flatnonzero(self._now()[:, self._place(key)] > 0)]
            goals = {self._moved.get(k) for k in mine}
            if len(goals) == 1 and (goal := goals.pop()) is not None and goal != key:
                self._join(goal, [key])
                for k in mine:
                    if self._whole(k, goal):
                        del self._moved[k]

    # --- helpers --------------------------------------------------------------------------------

    def _join(self, first: int, others: Iterable[int]) -> None:
        others = set(others)
        self._into = [first if key in others else key for key in self._into]
        for key in others:
            del self._names[key]

    def _whole(self, component: int, key: int) -> bool:
        """Whether all of a component is in one stem."""
        row = self._now()[component]
        return bool(row[self._place(key)] == row.sum())

    def _now(self) -> npt.NDArray[np.float64]:
        """Weights after merging, before moving; one column for each key in order."""
        out = np.zeros((len(self._weights), len(self._names)))
        for old, key in enumerate(self._into):
            out[:, self._place(key)] += self._weights[:, old]
        return out

    def _place(self, key: int) -> int:
        return list(self._names).index(key)

    def _component(self, number: int) -> int:
        n = len(self._weights)
        if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= n:
            raise UsageError(f"there is no component {number}; there are 1 to {n}.")
        return number - 1

    def _key_of(self, member: Member) -> int:
        if isinstance(member, str):
            key = self._key_named(member)
            if key is None:
                raise UsageError(f"there is no stem {display(member)}; {self._stems()}")
            return key
        return self._into[int(self._weights[self._component(member)].argmax())]

    def _key_named(self, name: str) -> int | None:
        """Stem of a name; one that was merged is found under its old name, too."""
        for key, known in self._names.items():
            if known == name:
                return key
        if name in self._grouping.names:
            return self._into[self._grouping.names.index(name)]
        return None

    def _stems(self) -> str:
        return f"there are {', '.join(self._names.values())}."

    def _check_new(self, name: str) -> None:
        if problem := problem_of_label(name):
            raise UsageError(problem)
        known = {folded(one): one for one in self._names.values()}
        if folded(name) in known:
            raise UsageError(
                f"{display(name)} is too like {known[folded(name)]}, which is there already; "
                "use another name."
            )

    # --- result ---------------------------------------------------------------------------------

    def plan(self, energy: FloatArray) -> Plan:
        """What all of it comes to; stems that nothing is left of are gone."""
        before = self._now()
        after = before.copy()
        for component, key in self._moved.items():
            after[component] = 0.0
            after[component, self._place(key)] = 1.0
        keys = list(self._names)
        emptied = (before > 0).any(axis=0) & (after == 0).all(axis=0)
        kept = [place for place in range(len(keys)) if not emptied[place]]
        sums = [tuple(i for i, k in enumerate(self._into) if k == keys[p]) for p in kept]
        shifts = after[:, kept] - before[:, kept]
        for place in np.flatnonzero(emptied):
            # All of it is handed to one of its heirs, which gives the others their part.
            heirs = np.where(before[:, place] > 0, energy, 0.0) @ (after[:, kept] > 0)
            heir = int(np.argmax(heirs))
            sums[heir] += tuple(i for i, k in enumerate(self._into) if k == keys[place])
            shifts[:, heir] -= before[:, place]
        return Plan(
            grouping=Grouping(
                weights=after[:, kept].astype(np.float32),
                names=tuple(self._names[keys[place]] for place in kept),
                confidence=self._confidence(after[:, kept], np.asarray(energy, np.float64)),
            ),
            sums=tuple(sums),
            shifts=np.where(np.abs(shifts) < 1e-9, 0.0, shifts),
            notes=tuple(self._notes),
        )

    def _confidence(
        self, weights: npt.NDArray[np.float64], energy: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        """Mean over a stem's components, by energy: one where a hand put it, else as it was."""
        each = self._weights @ np.asarray(self._grouping.confidence, dtype=np.float64)
        each[list(self._moved)] = 1.0
        share = weights * (energy / max(float(energy.max(initial=0.0)), 1e-300) + 1e-12)[:, None]
        sums = share.sum(axis=0)
        mean = (each @ share) / np.where(sums > 0, sums, 1.0)
        return np.clip(mean, 0.0, 1.0)
