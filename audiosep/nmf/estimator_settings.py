"""Parameters as scikit-learn names them, turned into a factorization in our own terms."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from audiosep.errors import ParameterError
from audiosep.nmf.checks import non_negative
from audiosep.nmf.divergence import beta_divergence, beta_from
from audiosep.nmf.factorize import factorize
from audiosep.nmf.initialize import STARTS
from audiosep.nmf.kernels import MODEL_FLOOR
from audiosep.nmf.levels import SMALLEST_DATA, to_unit_level
from audiosep.nmf.penalties import L1, L2, StrengthPenalty
from audiosep.nmf.protocol import not_converged
from audiosep.nmf.solvers import SOLVERS
from audiosep.types import Factorization, FloatArray, Stop, whole_number

__all__ = [
    "Settings",
    "component_count",
    "custom_start",
    "divergence_of",
    "given_factor",
    "seed_from",
]

_SOLVER_NAMES = {"cd": "hals"}
"""What scikit-learn calls our solvers, where we do not call them the same."""
_LEAST_SQUARES = frozenset({"hals", "accelerated-hals", "als", "projected-gradient"})
_EXACT = "als"
_EXACT_STEPS = 3
"""The first step is exact but for a pull of 1e-9 towards where it began; the next undo it."""

_PATIENCE = 1e-2
"""Least-squares solvers go on until a hundredth of the tolerance: their iterations are cheap, and
that is about where scikit-learn's own coordinate descent stops (measured)."""

_BETA_NAMES = {"frobenius": 2.0, "kullback-leibler": 1.0, "itakura-saito": 0.0}
_STRONGEST = 1e11
"""Penalties beyond this, for data of a mean of one, leave next to nothing of the factors; a tenth
of what penalties allow. What is left shrinks with the excess, so that it never costs more."""
_VANISHED = 1e-16
"""A component at this level, for data of a mean of one, is lost in rounding."""
_ROWS = 256
_NEWTON_STEPS = 20
_EQUAL = (0.0, 1.0)
"""With squares alone, and as strong for both, both factors get the same energy."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The parameters of an estimator after all checks, in our own terms."""

    beta: float
    solver: str
    init: str | None
    tol: float
    max_iter: int
    n_threads: int | None
    shuffle: bool
    alphas: tuple[float, float]
    """Of W and of the components."""
    l1_ratio: float

    @classmethod
    def of(cls, model: Any) -> Settings:
        """Check the parameters."""
        beta_loss: Any = model.beta_loss
        named = _BETA_NAMES.get(beta_loss) if isinstance(beta_loss, str) else None
        beta = beta_from(beta_loss if named is None else named)
        if not isinstance(model.solver, str) or model.solver not in (*_SOLVER_NAMES, *SOLVERS):
            names = ", ".join((*_SOLVER_NAMES, *SOLVERS))
            raise ParameterError(f"solver {model.solver!r} is unknown; use {names}.")
        solver = _SOLVER_NAMES.get(model.solver, model.solver)
        if solver in _LEAST_SQUARES and beta != 2.0:
            raise ParameterError(
                f"solver {model.solver!r} does not handle beta_loss = {beta_loss!r}, only the "
                "Frobenius norm; use solver='mu'."
            )
        inits = (None, *STARTS, "custom")
        if not isinstance(model.init, str | None) or model.init not in inits:
            raise ParameterError(f"init {model.init!r} is unknown; use one of {inits}.")
        if not isinstance(model.shuffle, (bool, np.bool_)):
            raise ParameterError(f"shuffle={model.shuffle!r} must be True or False.")
        if not isinstance(model.verbose, (bool, np.bool_)):
            whole_number("verbose", model.verbose, 0)
        alpha_W = _number("alpha_W", model.alpha_W)
        same = isinstance(model.alpha_H, str) and model.alpha_H == "same"
        return cls(
            beta=beta,
            solver=solver,
            init=model.init,
            tol=_number("tol", model.tol),
            max_iter=whole_number("max_iter", model.max_iter, 1),
            n_threads=model.n_threads,
            shuffle=bool(model.shuffle),
            alphas=(alpha_W, alpha_W if same else _number("alpha_H", model.alpha_H)),
            l1_ratio=_number("l1_ratio", model.l1_ratio, 1.0),
        )

    @property
    def penalised(self) -> bool:
        """Whether there is any penalty."""
        return any(self.alphas)

    @property
    def exact(self) -> bool:
        """Whether W is solved for exactly."""
        return self.solver in _LEAST_SQUARES

    def start_name(self, K: int, matrix: FloatArray) -> str:
        """Name in our table of what `init` asks for."""
        return self.init or ("nndsvda" if min(matrix.shape) >= K else "random")

    def factorize(
        self,
        matrix: FloatArray,
        K: int,
        start: tuple[FloatArray, FloatArray] | None,
        rng: np.random.Generator,
    ) -> tuple[FloatArray, FloatArray, Factorization]:
        """W, components, and how they came about."""
        data, scale = to_unit_level(matrix, self.beta)
        scale = scale or 1.0
        # Where both factors are penalised their levels count: share that of the data.
        power = round(math.log2(scale))
        unit = math.ldexp(1.0, power // 2) if self.penalised else 1.0
        units = scale / unit, unit  # of W and of the components, powers of two
        order = rng.permutation(K) if self.shuffle else np.arange(K)
        on_w, shrink_w = self._penalties(0, data, scale, units[0])
        on_c, shrink_c = self._penalties(1, data, scale, units[1])
        result = factorize(
            data.T,
            K,
            beta=self.beta,
            solver=self.solver,
            max_iter=self.max_iter,
            tol=self.tol * (_PATIENCE if self.exact else 1.0),
            activation_penalties=on_w,
            template_penalties=on_c,
            hold_level=False,
            n_threads=self.n_threads,
            **self._beginning(data, start, units, order, rng),
        )
        back = np.argsort(order)
        W, C = result.activations[back].T, result.templates.T[back]
        if self.penalised:
            W, C = self._without_vanished(
                W * shrink_w.astype(W.dtype), C * shrink_c.astype(C.dtype)
            )
        W, C = self._levelled(W, C, units)
        with np.errstate(over="ignore"):
            W = np.ascontiguousarray(W) * W.dtype.type(units[0])
        C = np.ascontiguousarray(C) * C.dtype.type(units[1])
        if self.exact:
            W, _ = self.encode(matrix, C)
        return _in_range(W), C, result

    def encode(self, matrix: FloatArray, C: FloatArray) -> tuple[FloatArray, Factorization]:
        """Best W for these components."""
        data, scale = to_unit_level(matrix, self.beta)
        C = C.astype(data.dtype, copy=False)
        # Where W is penalised the level of the components counts: work at one.
        sums = C.sum(axis=1, dtype=np.float64)
        powers = np.frexp(sums)[1] if self.penalised else np.zeros(len(C), np.int32)
        C = np.ldexp(C, -powers[:, np.newaxis])
        levels = len(C) * np.ldexp(sums, -powers)
        shares = np.divide(1.0, levels, out=np.zeros_like(levels), where=levels > 0.0)
        penalties, shrink = self._penalties(0, data, scale or 1.0, scale or 1.0, -powers)
        result = factorize(
            data.T,
            beta=self.beta,
            solver=_EXACT if self.exact else self.solver,
            max_iter=_EXACT_STEPS if self.exact else self.max_iter,
            tol=0.0 if self.exact else self.tol,
            templates=C.T,
            activations=np.outer(shares, data.sum(axis=1, dtype=np.float64)),
            fixed_templates=True,
            activation_penalties=penalties,
            hold_level=False,
            n_threads=self.n_threads,
        )
        W = np.ascontiguousarray(result.activations.T)
        if self.penalised:
            W *= shrink.astype(W.dtype)
        with np.errstate(over="ignore"):
            W = np.ldexp(W, math.frexp(scale or 1.0)[1] - 1 - powers)
        return _in_range(W), result

    def _beginning(
        self,
        data: FloatArray,
        start: tuple[FloatArray, FloatArray] | None,
        units: tuple[float, float],
        order: npt.NDArray[np.int_],
        rng: np.random.Generator,
    ) -> dict[str, Any]:
        """Arguments that say where a factorization of `data` begins."""
        name = self.start_name(len(order), data)
        if start is not None:
            W, C = _divided(start[0], units[0]), _divided(start[1], units[1])
        elif self.penalised or self.shuffle:
            C, W = STARTS[name](data, len(order), rng)
            if self.penalised:
                W, C = _best_levels(W, C, _EQUAL, _EQUAL)
        else:
            return {"init": name, "seed": rng}  # which leaves a solver the most freedom
        W, C = self._levelled(W, C, units)
        return {"activations": W[:, order].T, "templates": C[order].T}

    def _levelled(
        self, W: FloatArray, C: FloatArray, units: tuple[float, float]
    ) -> tuple[FloatArray, FloatArray]:
        """Levels at which the penalties are lowest: solvers move them slowly.

        If only one factor is penalised there are none, and levels stay.
        """
        if not all(self.alphas):
            return W, C
        on_w, on_c = (
            (alpha * n * self.l1_ratio * unit, alpha * n * (1.0 - self.l1_ratio) * unit**2)
            for alpha, n, unit in zip(self.alphas, (C.shape[1], len(W)), units, strict=True)
        )
        return _best_levels(W, C, on_w, on_c)

    def _without_vanished(self, W: FloatArray, C: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Components that nothing is left of become zero in both factors, not just nearly so.

        Below beta 2 the least model is worth more than none.
        """
        if self.beta < 2.0:
            return W, C
        peaks = W.max(axis=0).astype(np.float64) * C.max(axis=1)
        alive = peaks > _VANISHED
        return np.where(alive, W, 0), np.where(alive[:, np.newaxis], C, 0)

    def _penalties(
        self,
        which: int,
        data: FloatArray,
        scale: float,
        unit: float,
        powers: npt.NDArray[np.int32] | int = 0,
    ) -> tuple[tuple[StrengthPenalty, ...], npt.NDArray[np.float64]]:
        """Penalties of W (0) or the components (1), where any factor is penalised.

        A strength of ours counts against the divergence of data of a mean of one, D / mean^beta,
        and the factor has the given unit, times a power of two for each component; W that of the
        data's mean besides. And what the factor is to be multiplied by in the end, for each
        component, because its strengths were cut off.
        """
        if not self.penalised:
            return (), np.ones(())
        alpha = self.alphas[which] * data.shape[1 - which]
        mean = float(data.mean(dtype=np.float64)) or 1.0
        level = math.log2(unit) + (math.log2(mean) if which == 0 else 0.0) + np.asarray(powers)
        below = self.beta * (math.log2(scale) + math.log2(mean))
        strongest = math.log2(_STRONGEST)

        def exponents(share: float, degree: int) -> npt.NDArray[np.float64]:
            strength = math.log2(alpha * share) if alpha * share > 0.0 else -math.inf
            return np.asarray(strength + degree * level - below)

        both = exponents(self.l1_ratio, 1), exponents(1.0 - self.l1_ratio, 2)
        l1, l2 = (np.exp2(np.minimum(each, strongest)) for each in both)
        shrink = np.exp2(np.minimum(strongest - np.maximum(*both), 0.0))
        if self.beta >= 2.0:
            # From there on no data are worth the slope of the absolute values.
            shrink = np.where(both[0] > strongest, 0.0, shrink)
        return (L1(l1), L2(l2)), shrink

    def warn_unless_converged(self, result: Factorization, stacklevel: int) -> None:
        """Warn if all iterations were made where fewer were hoped for."""
        if result.stop is Stop.MAX_ITER and self.tol > 0.0:
            text = f"Not converged after {self.max_iter} iterations; raise max_iter or tol."
            warnings.warn(text, not_converged(), stacklevel=stacklevel)


def divergence_of(X: FloatArray, W: FloatArray, C: FloatArray, beta: float) -> float:
    """Divergence of the data from the model, in double precision, some rows at a time."""
    mean = float(X.mean(dtype=np.float64))
    C = C.astype(np.float64)
    total = 0.0
    for first in range(0, len(X), _ROWS):
        x = X[first : first + _ROWS].astype(np.float64)
        model = W[first : first + _ROWS].astype(np.float64) @ C
        if beta < 2.0:
            np.maximum(model, MODEL_FLOOR * mean, out=model)
        if beta <= 0.0:
            np.maximum(x, SMALLEST_DATA * mean, out=x)
        if mean > 0.0 or beta > 0.0:  # silence explained by silence
            total += beta_divergence(x, model, beta)
    return total


def _best_levels(
    W: FloatArray, C: FloatArray, on_w: tuple[float, float], on_c: tuple[float, float]
) -> tuple[FloatArray, FloatArray]:
    """Move the level of each component to where the penalties are lowest; the product stays.

    For a component that grows by ``e^t`` in W and shrinks so in C they are
    ``p(t) = a e^t + b e^2t / 2 + c e^-t + d e^-2t / 2``, which is convex. Where it is lowest,
    ``log(a e^t + b e^2t) = log(c e^-t + d e^-2t)``: the two sides differ by a function with a slope
    between 2 and 4, so that Newton's steps need no care.
    """
    a, c = on_w[0] * W.sum(axis=0, dtype=np.float64), on_c[0] * C.sum(axis=1, dtype=np.float64)
    b = on_w[1] * np.einsum("nk,nk->k", W, W, dtype=np.float64)
    d = on_c[1] * np.einsum("kn,kn->k", C, C, dtype=np.float64)
    both = (a + b > 0.0) & (c + d > 0.0) & np.isfinite(a + b) & np.isfinite(c + d)
    a, b, c, d = (np.where(both, x, y) for x, y in ((a, 1.0), (b, 0.0), (c, 1.0), (d, 0.0)))
    t = np.zeros(len(a))
    for _ in range(_NEWTON_STEPS):
        up, upper = a * np.exp(t), b * np.exp(2.0 * t)
        down, downer = c * np.exp(-t), d * np.exp(-2.0 * t)
        slope = 2.0 + upper / (up + upper) + downer / (down + downer)
        t -= np.log((up + upper) / (down + downer)) / slope
    return (W * np.exp(t)).astype(W.dtype), (C * np.exp(-t)[:, np.newaxis]).astype(C.dtype)


def _in_range(W: FloatArray) -> FloatArray:
    """Return W, or say that it, being sums of the data, is too large for their type."""
    if not np.isfinite(W.max()):
        raise ParameterError(
            f"X is too large for W to be {W.dtype.name}; divide it by its largest entry."
        )
    return W


def _divided(x: FloatArray, unit: float) -> FloatArray:
    quotient: FloatArray = x / x.dtype.type(unit)
    return quotient


def custom_start(
    W: Any, H: Any, n_components: Any, matrix: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return W and the components to begin at, as the caller gave them."""
    C = given_factor("H", H, n_components, matrix.shape[1], matrix.dtype)
    start = given_factor(
        "W", None if W is None else np.transpose(W), len(C), len(matrix), matrix.dtype
    )
    return start.T, C


def given_factor(name: str, value: Any, n_components: Any, n: int, dtype: Any) -> FloatArray:
    """Return one of the factors to begin at, components first."""
    if value is None:
        raise ParameterError(f"init='custom' begins at W and H, but {name} is not given.")
    array = non_negative(name, value, dtype)
    K = len(array) if n_components in ("auto", None) else n_components
    if array.shape != (K, n):
        shape, want = (array.shape[::-1], (n, K)) if name == "W" else (array.shape, (K, n))
        raise ParameterError(f"{name} has shape {shape}, expected {want} for this X.")
    return array


def component_count(n_components: Any, matrix: FloatArray) -> int:
    """Return how many components are asked for."""
    if n_components is None or (isinstance(n_components, str) and n_components == "auto"):
        return int(matrix.shape[1])
    return whole_number("n_components", n_components, 1)


def _number(name: str, value: Any, most: float = math.inf) -> float:
    """Return a finite number of at least 0, or say what is wrong with it."""
    try:
        number = math.nan if isinstance(value, (bool, str)) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not (0.0 <= number <= most and math.isfinite(number)):
        upto = "of at least 0" if most == math.inf else f"from 0 to {most:g}"
        raise ParameterError(f"{name}={value!r} must be a number {upto}.")
    return number


def seed_from(random_state: Any) -> Any:
    """Return a seed or generator for NumPy's new random numbers, from what scikit-learn takes."""
    if random_state is None:
        return np.random.randint(2**31 - 1)  # noqa: NPY002 - what None means to scikit-learn
    if isinstance(random_state, np.random.RandomState):
        return random_state.randint(2**31 - 1)
    if isinstance(random_state, np.random.Generator):
        return random_state
    return whole_number("random_state", random_state, 0)
