"""The arguments of a factorization, checked and turned frames-major."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from audiosep.errors import ParameterError
from audiosep.nmf.checks import data_from, non_negative, plain_array
from audiosep.nmf.initialize import STARTS
from audiosep.nmf.levels import to_unit_level
from audiosep.nmf.penalties import L1, L2, StrengthPenalty
from audiosep.nmf.problem import Penalty, Problem
from audiosep.nmf.strengths import STRONGEST
from audiosep.types import FloatArray

__all__ = ["Arguments", "BoolArray"]

BoolArray = npt.NDArray[np.bool_]

_FAR = 1e12
"""Levels this far from one are brought nearer before anything is multiplied."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Arguments:
    """What is asked for; matrices as the caller gave them (bins first), after all checks."""

    V: FloatArray
    dtype: np.dtype[Any]
    """Of the result."""
    n_components: int
    init: str | None
    templates: FloatArray | None
    activations: FloatArray | None
    fixed_templates: BoolArray
    """(n_bins or 1, n_components)."""
    fixed_activations: BoolArray
    """(n_components, n_frames or 1)."""
    gated_templates: BoolArray | None
    gated_activations: BoolArray | None
    template_penalties: tuple[StrengthPenalty, ...]
    activation_penalties: tuple[StrengthPenalty, ...]
    weights: FloatArray | None
    """Frames-major, and ours: writable, so that kernels are compiled for one type."""
    weight_unit: float
    """What the weights were divided by: 1 unless they are far from it."""

    @classmethod
    def checked(
        cls,
        beta: float,
        V: npt.ArrayLike,
        n_components: int | None,
        init: str | None,
        templates: npt.ArrayLike | None,
        activations: npt.ArrayLike | None,
        fixed_templates: bool | npt.ArrayLike,
        fixed_activations: bool | npt.ArrayLike,
        gated_templates: npt.ArrayLike | None,
        gated_activations: npt.ArrayLike | None,
        template_penalties: Any,
        activation_penalties: Any,
        weights: npt.ArrayLike | None,
    ) -> Arguments:
        """Check all arguments of :func:`audiosep.nmf.factorize`."""
        matrix, dtype = data_from(V, beta)
        n_bins, n_frames = matrix.shape
        W0 = None if templates is None else non_negative("templates", templates, matrix.dtype)
        H0 = None if activations is None else non_negative("activations", activations, matrix.dtype)
        K = _n_components(n_components, W0, H0)
        for name, got, want in (
            ("templates", W0, (n_bins, K)),
            ("activations", H0, (K, n_frames)),
        ):
            if got is not None and got.shape != want:
                raise ParameterError(f"{name} has shape {got.shape}, expected {want} for this V.")
        G, weight_unit = _weights(weights, matrix)
        if init is not None and not (isinstance(init, str) and init in STARTS):
            raise ParameterError(f"init {init!r} is unknown; use {', '.join(STARTS)}.")
        return cls(
            V=matrix,
            dtype=dtype,
            n_components=K,
            init=init,
            templates=W0,
            activations=H0,
            fixed_templates=_fixed("fixed_templates", fixed_templates, (n_bins, K), 1, W0),
            fixed_activations=_fixed("fixed_activations", fixed_activations, (K, n_frames), 0, H0),
            gated_templates=_gates("gated_templates", gated_templates, (n_bins, K)),
            gated_activations=_gates("gated_activations", gated_activations, (K, n_frames)),
            template_penalties=_penalties("template", template_penalties, K, n_bins),
            activation_penalties=_penalties("activation", activation_penalties, K, n_frames),
            weights=None if G is None else np.array(G.T, order="C"),
            weight_unit=weight_unit,
        ).without_contradiction()

    def without_contradiction(self) -> Arguments:
        """Return itself, unless something is both fixed and gated."""
        for what, fixed, gates in (
            ("template", self.fixed_templates, self.gated_templates),
            ("activation", self.fixed_activations, self.gated_activations),
        ):
            if gates is not None and bool((gates & fixed).any()):
                raise ParameterError(
                    f"fixed_{what}s and gated_{what}s name the same entries; give {what}s that are "
                    "zero there instead."
                )
        return self

    def scaled(self, beta: float) -> tuple[FloatArray, float]:
        """Data, frames-major, at a mean near one, and the power of two it was divided by.

        The caller's own where nothing had to be done: never to be written to.
        """
        return to_unit_level(self.V.T, beta, self.weights, copy=False)

    def start(
        self, data: FloatArray, scale: float, rng: np.random.Generator
    ) -> tuple[FloatArray, FloatArray]:
        """W and H (frames-major) to start from, for data at a mean near one."""
        if self.templates is None or self.activations is None:
            W, H = STARTS[self.init or "random"](data, self.n_components, rng)
        if self.templates is not None:
            W = np.array(self.templates.T, order="C")
        if self.activations is not None:
            H = self.activations.T
        # Levels can be far apart, in either factor: double precision until they are brought near.
        wide = W.astype(np.float64), H.astype(np.float64)
        if self.activations is not None:
            wide = wide[0], self.activations.T.astype(np.float64) / (scale or 1.0)
        elif self.templates is not None:
            # Templates of any level: start at activations that give the data's level.
            level = float(wide[0].sum(axis=1).mean())
            wide = wide[0], wide[1] / (level or 1.0)
        W, H = (np.ascontiguousarray(x, dtype=data.dtype) for x in self._tamed(*wide))
        for x, gates in ((W, self.gated_templates), (H, self.gated_activations)):
            if gates is not None:
                x[gates.T] = 0.0
        return W, H

    def _tamed(self, W: FloatArray, H: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The same, at levels that can be computed with; data have a mean near one."""
        sums = W.sum(axis=1)
        fixed = self.fixed_templates.any(axis=0) | self.fixed_activations.any(axis=1)
        extreme = (sums > 0.0) & ((sums < 1.0 / _FAR) | (sums > _FAR)) & ~fixed
        levels = np.where(extreme, sums, 1.0)
        W, H = W / levels[:, np.newaxis], H * levels
        level = float(W.sum(axis=1) @ H.mean(axis=0)) / W.shape[1]
        if level == 0.0 or 1.0 / _FAR <= level <= _FAR:
            return W, H
        if not self.fixed_activations.any():
            return W, H / level
        if not self.fixed_templates.any():
            return W / level, H
        if level < _FAR**2:
            return W, H
        raise ParameterError(
            f"templates and activations are fixed at {level:.0e} times the level of V; scale them."
        )

    def mean(self, data: FloatArray) -> float:
        """Mean of the entries that are not missing, where penalties ask for it; otherwise one."""
        if not self.template_penalties + self.activation_penalties:
            return 1.0
        n_observed = data.size if self.weights is None else np.count_nonzero(self.weights)
        return float(data.sum(dtype=np.float64)) / n_observed

    def held(self, hold_level: bool) -> str:
        """Which factor's components are held at one: that which is not penalised."""
        if not hold_level or bool(self.template_penalties) == bool(self.activation_penalties):
            return ""
        return "h" if self.template_penalties else "w"

    def problem(
        self,
        data: FloatArray,
        scale: float,
        beta: float,
        hold_level: bool,
        keeps_zeros: bool,
        pool: ThreadPoolExecutor | None,
    ) -> Problem:
        """What a solver is given, for data at a mean near one."""
        mean = self.mean(data)
        level = mean**beta / self.weight_unit
        still_w, still_h = self.fixed_templates, self.fixed_activations
        if not keeps_zeros and self.gated_templates is not None:
            still_w = still_w | self.gated_templates
        if not keeps_zeros and self.gated_activations is not None:
            still_h = still_h | self.gated_activations
        held = self.held(hold_level)
        return Problem(
            V=data,
            beta=beta,
            weights=self.weights,
            free_w=_free(still_w),
            free_h=_free(still_h),
            w_penalties=tuple(
                # Where activations are held at one, templates carry the level of the data.
                _in_units(p, mean if held == "h" else 1.0, level)
                for p in self.template_penalties
            ),
            h_penalties=tuple(
                _in_units(p.in_units(scale * mean), mean, level) for p in self.activation_penalties
            ),
            held=held,
            pool=pool,
        )

    def may_be_sampled(self, problem: Problem) -> bool:
        """Whether nothing forbids to find templates on some frames first."""
        constrained = (
            self.activations is not None
            or self.gated_templates is not None
            or self.gated_activations is not None
            or bool(self.template_penalties + self.activation_penalties)
            or not problem.free_w.any()
        )
        return not constrained


def _in_units(penalty: StrengthPenalty, unit: float, factor: float) -> Penalty:
    """The penalty in the units of a solver; those that are powers of the level stay themselves."""
    if isinstance(penalty, L1):
        return L1(_held_in_range(np.asarray(penalty.strength) * (factor / unit)))
    if isinstance(penalty, L2):
        return L2(_held_in_range(np.asarray(penalty.strength) * (factor / unit**2)))
    return _AtMeanOne(penalty, unit, factor)


def _held_in_range(strength: FloatArray) -> FloatArray:
    # The strongest allowed is so strong that twice of it makes no difference.
    return np.minimum(strength, STRONGEST)


@dataclass(frozen=True, eq=False)
class _AtMeanOne:
    """A penalty in the units of a solver, whose data has the given mean and not exactly one.

    Divided by `factor`, divergence plus penalty is then what it would be at a mean of one.
    """

    penalty: StrengthPenalty
    unit: float
    """Level of the factor, against that at a mean of one."""
    factor: float
    """Level of the divergence, likewise."""

    @property
    def rises(self) -> float:
        return self.penalty.rises

    @property
    def falls(self) -> float:
        return self.penalty.falls

    def value(self, X: FloatArray) -> float:
        return self.penalty.value(X / X.dtype.type(self.unit)) * self.factor

    def gradient(self, X: FloatArray) -> tuple[FloatArray, FloatArray]:
        plus, minus = self.penalty.gradient(X / X.dtype.type(self.unit))
        factor = X.dtype.type(self.factor / self.unit)
        return plus * factor, minus * factor


def _n_components(K: int | None, W0: FloatArray | None, H0: FloatArray | None) -> int:
    if K is None:
        K = W0.shape[1] if W0 is not None else H0.shape[0] if H0 is not None else None
    if K is None:
        raise ParameterError("give n_components, templates or activations.")
    if isinstance(K, (bool, np.bool_)) or not isinstance(K, (int, np.integer)) or K < 1:
        raise ParameterError(
            f"n_components={K} must be a whole number of at least 1; try 8 for a short loop."
        )
    return int(K)


def _weights(weights: npt.ArrayLike | None, V: FloatArray) -> tuple[FloatArray | None, float]:
    """Weights in V's type, and a power of two they were divided by where they are far from one."""
    if weights is None:
        return None, 1.0
    G = non_negative("weights", weights, np.float64)
    if G.shape != V.shape:
        raise ParameterError(f"weights has shape {G.shape}, expected {V.shape} like V.")
    largest = float(G.max())
    unit = 1.0
    if largest > 0.0 and not 1.0 / _FAR <= largest <= _FAR:
        unit = 2.0 ** round(np.log2(largest))
    return (G / unit).astype(V.dtype), unit


def _fixed(
    name: str, value: bool | npt.ArrayLike, shape: tuple[int, int], axis: int, given: Any
) -> BoolArray:
    """Flags (n_bins or 1, K) or (K, n_frames or 1), from one, one per component, or all."""
    fixed = plain_array(name, value)
    K = shape[axis]
    if fixed.dtype != bool or fixed.shape not in ((), (K,), shape):
        raise ParameterError(
            f"{name} must be True, False, {K} such values, one per component, or an array of "
            f"shape {shape}."
        )
    if fixed.ndim < 2:
        fixed = np.expand_dims(np.broadcast_to(fixed, (K,)), 1 - axis)
    if fixed.any() and given is None:
        raise ParameterError(f"{name} is set, but no {name.removeprefix('fixed_')} are given.")
    return fixed


def _gates(name: str, value: npt.ArrayLike | None, shape: tuple[int, int]) -> BoolArray | None:
    if value is None:
        return None
    gates = plain_array(name, value)
    if gates.dtype != bool or gates.shape != shape:
        raise ParameterError(
            f"{name} must be an array of True and False of shape {shape}, True where it is zero; "
            f"got {gates.dtype} of shape {gates.shape}."
        )
    return gates


def _penalties(what: str, value: Any, K: int, n: int) -> tuple[StrengthPenalty, ...]:
    try:
        penalties = (value,) if isinstance(value, StrengthPenalty) else tuple(value)
    except TypeError:
        penalties = (value,)
    for penalty in penalties:
        if not isinstance(penalty, StrengthPenalty):
            raise ParameterError(
                f"{what}_penalties holds {penalty!r}; give penalties such as nmf.L1(0.1)."
            )
        penalty.check(K, n, f"{what}s")
    # What is switched off must not hold levels or slow anything down.
    return tuple(p for p in penalties if np.any(p.strength))


def _free(fixed: BoolArray) -> npt.NDArray[np.uint8]:
    return np.ascontiguousarray(~fixed.T).astype(np.uint8)
