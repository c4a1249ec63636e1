"""What the penalties share: strengths, their powers, checks of their arguments, common sums."""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from audiosep.errors import ParameterError
from audiosep.nmf.checks import plain_array
from audiosep.types import FloatArray

__all__ = [
    "STRONGEST",
    "StrengthPenalty",
    "checked_floor",
    "checked_groups",
    "checked_target",
    "energies",
    "mixed",
    "nothing",
]

STRONGEST = 1e12
"""Strengths beyond this, over the smallest entry of a factor, leave float32."""


class StrengthPenalty(ABC):
    """What all penalties here share: a strength, and powers that hold where it is not zero."""

    strength: float | npt.ArrayLike
    _each: ClassVar[str] = "component"
    _powers: ClassVar[tuple[float, float]] = (1.0, 1.0)

    def __post_init__(self) -> None:
        checked = _strengths(type(self).__name__, self.strength, self._each)
        object.__setattr__(self, "strength", checked)

    @property
    def rises(self) -> float:
        """Highest power of the rising part; see :class:`audiosep.nmf.problem.Penalty`."""
        return self._powers[0] if np.any(self.strength) else 1.0

    @property
    def falls(self) -> float:
        """Lowest power of the falling part, 0 for a logarithm; 1 where there is none."""
        return self._powers[1] if np.any(self.strength) else 1.0

    @abstractmethod
    def value(self, X: FloatArray) -> float:
        """The penalty, with its strength."""

    @abstractmethod
    def gradient(self, X: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Non-negative parts ``(plus, minus)`` of the gradient, each broadcastable to X."""

    def check(self, K: int, n: int, what: str) -> None:  # noqa: ARG002 - some look at n
        """Say what does not fit a factor.

        Parameters
        ----------
        K, n : int
            Shape of the factor: components, and bins or frames.
        what : str
            Name of the factor for the message, e.g. "activations".

        Raises
        ------
        ParameterError
            If a strength, a group or a target is not made for this shape.
        """
        self._check_strength(K, what)

    def _check_strength(self, n_strengths: int, what: str) -> None:
        got = np.shape(self.strength)
        if got not in ((), (n_strengths,)):
            raise ParameterError(
                f"strength of {type(self).__name__} on the {what} has {got[0]} values; give one "
                f"number, or {n_strengths}, one per {self._each}."
            )

    def in_units(self, unit: float) -> Self:  # noqa: ARG002 - some have a level
        """Return the same penalty for a factor that was divided by `unit`."""
        return self

    def _column(self, X: FloatArray) -> FloatArray:
        """Strengths (n_components or 1, 1) of X's type."""
        return np.asarray(self.strength).astype(X.dtype).reshape(-1, 1)

    def _total(self, per_row: npt.NDArray[np.float64]) -> float:
        """Sum of a number per row, times its strength."""
        return float(np.sum(np.asarray(self.strength) * per_row))

    def _pairs(self, K: int) -> npt.NDArray[np.float64]:
        """Strengths (K, K) of pairs, ``sqrt(s_j s_k)``; none between a row and itself."""
        root = np.sqrt(np.broadcast_to(np.asarray(self.strength, np.float64), (K,)))
        pairs = np.outer(root, root)
        np.fill_diagonal(pairs, 0.0)
        return pairs


def _strengths(name: str, value: npt.ArrayLike, each: str) -> float | npt.NDArray[np.float64]:
    """Return a number, or a read-only array of one per component or group."""
    given = plain_array(f"strength of {name}", value)
    if given.dtype.kind not in "iuf" or given.ndim > 1 or given.size == 0:
        raise ParameterError(f"strength of {name} must be a number, or a list of one per {each}.")
    strengths = given.astype(np.float64)
    bad = strengths[~((strengths >= 0.0) & (strengths <= STRONGEST))]
    if bad.size:
        raise ParameterError(
            f"strength of {name} is {bad.flat[0]}; give numbers from 0, which switches it off, "
            "to 1e12."
        )
    if strengths.ndim == 0:
        return float(strengths)
    strengths.flags.writeable = False
    return strengths


def checked_groups(value: Any) -> tuple[tuple[int, ...], ...]:
    """Return groups of components as tuples, or say why they cannot be."""
    try:
        groups = tuple(tuple(operator.index(k) for k in group) for group in value)
    except TypeError:
        groups = ()
    if not groups or not all(groups):
        raise ParameterError(
            "groups of GroupSparsity must be lists of component numbers, e.g. ((0, 1), (2, 3, 4))."
        )
    members = [k for group in groups for k in group]
    if min(members) < 0:
        raise ParameterError(
            f"groups of GroupSparsity name component {min(members)}; count from 0."
        )
    twice = sorted({k for k in members if members.count(k) > 1})
    if twice:
        raise ParameterError(
            f"groups of GroupSparsity name component {twice[0]} twice; put it in one group."
        )
    return groups


def checked_floor(name: str, floor: float) -> None:
    """Say why a level cannot be one."""
    if not (isinstance(floor, (int, float, np.number)) and 1 / STRONGEST <= floor <= STRONGEST):
        raise ParameterError(f"floor={floor!r} of {name} must be a number from 1e-12 to 1e12.")


def checked_target(value: npt.ArrayLike) -> FloatArray:
    """Return a read-only copy (float32 stays float32), or say why it cannot be a target."""
    given = plain_array("target of Prior", value)
    if given.dtype.kind not in "iuf" or given.ndim != 2 or given.size == 0:
        raise ParameterError("target of Prior must be a non-empty matrix of real numbers.")
    target = given.astype(given.dtype if given.dtype in (np.float32, np.float64) else np.float64)
    if not (target.min() >= 0 and np.isfinite(target.max())):
        raise ParameterError("target of Prior must be finite and non-negative.")
    target.flags.writeable = False
    return target


def nothing(X: FloatArray) -> FloatArray:
    """Return a part of a gradient that is zero, (1, 1)."""
    return np.zeros((1, 1), X.dtype)


def energies(X: FloatArray) -> npt.NDArray[np.float64]:
    """Sum of squares (n_components,) of each row."""
    x = X.astype(np.float64, copy=False)
    sums: npt.NDArray[np.float64] = np.einsum("kn,kn->k", x, x)
    return sums


def mixed(weights: npt.NDArray[np.float64], X: FloatArray) -> FloatArray:
    """Return ``weights @ X`` for symmetric weights (K, K), laid out in memory as X is."""
    mixing = weights.astype(X.dtype)
    return (X.T @ mixing).T if X.flags.f_contiguous else mixing @ X
