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
"""Penalties beyond this, for data of a mean of one, leave nothing of the factors anyway; a tenth of
what penalties allow."""
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
        beta = beta_from(_BETA_NAMES.get(beta_loss, beta_loss))
        if model.solver not in (*_SOLVER_NAMES, *SOLVERS):
            names = ", ".join((*_SOLVER_NAMES, *SOLVERS))
            raise ParameterError(f"solver {model.solver!r} is unknown; use {names}.")
        solver = _SOLVER_NAMES.get(model.solver, model.solver)
        if solver in _LEAST_SQUARES and beta != 2.0:
            raise ParameterError(
                f"solver {model.solver!r} does not handle beta_loss = {beta_loss!r}, only the "
                "Frobenius norm; use solver='mu'."
            )
        inits = (None, *STARTS, "custom")
        if model.init not in inits:
            raise ParameterError(f"init {model.init!r} is unknown; use one of {inits}.")
        if not isinstance(model.shuffle, (bool, np.bool_)):
            raise ParameterError(f"shuffle={model.shuffle!r} must be True or False.")
        whole_number("verbose", int(model.verbose), 0)
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
        result = factorize(
            data.T,
            K,
            beta=self.beta,
            solver=self.solver,
            max_iter=self.max_iter,
            tol=self.tol * (_PATIENCE if self.exact else 1.0),
            activation_penalties=self._penalties(0, data, scale, units[0]),
            template_penalties=self._penalties(1, data, scale, units[1]),
            hold_level=False,
            n_threads=self.n_threads,
            **self._beginning(data, start, units, order, rng),
        )
        back = np.argsort(order)
        W, C = self._levelled(result.activations[back].T, result.templates.T[back], units)
        W = np.ascontiguousarray(W) * W.dtype.type(units[0])
        C = np.ascontiguousarray(C) * C.dtype.type(units[1])
        if self.exact:
            W, _ = self.encode(matrix, C)
        return W, C, result

    def encode(self, matrix: FloatArray, C: FloatArray) -> tuple[FloatArray, Factorization]:
        """Best W for these components."""
        data, scale = to_unit_level(matrix, self.beta)
        C = C.astype(data.dtype, copy=False)
        levels = len(C) * C.sum(axis=1, dtype=np.float64)
        shares = np.divide(1.0, levels, out=np.zeros_like(levels), where=levels > 0.0)
        result = factorize(
            data.T,
            beta=self.beta,
            solver=_EXACT if self.exact else self.solver,
            max_iter=_EXACT_STEPS if self.exact else self.max_iter,
            tol=0.0 if self.exact else self.tol,
            templates=C.T,
            activations=np.outer(shares, data.sum(axis=1, dtype=np.float64)),
            fixed_templates=True,
            activation_penalties=self._penalties(0, data, scale or 1.0, scale or 1.0),
            hold_level=False,
            n_threads=self.n_threads,
        )
        return np.ascontiguousarray(result.activations.T) * data.dtype.type(scale), result

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

    def _penalties(
        self, which: int, data: FloatArray, scale: float, unit: float
    ) -> tuple[StrengthPenalty, ...]:
        """Penalties of W (0) or the components (1), where any factor is penalised.

        A strength of ours counts against the divergence of data of a mean of one, D / mean^beta,
        and the factor has the given unit; W that of the data's mean besides.
        """
        if not self.penalised:
            return ()
        alpha = self.alphas[which] * data.shape[1 - which]
        mean = float(data.mean(dtype=np.float64)) or 1.0
        level = math.log2(unit) + (math.log2(mean) if which == 0 else 0.0)
        below = self.beta * (math.log2(scale) + math.log2(mean))

        def strength(share: float, degree: int) -> float:
            if alpha * share == 0.0:
                return 0.0
            exponent = math.log2(alpha * share) + degree * level - below
            return float(2.0 ** min(exponent, math.log2(_STRONGEST)))

        return L1(strength(self.l1_ratio, 1)), L2(strength(1.0 - self.l1_ratio, 2))

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
    both = (a + b > 0.0) & (c + d > 0.0)
    a, b, c, d = (np.where(both, x, y) for x, y in ((a, 1.0), (b, 0.0), (c, 1.0), (d, 0.0)))
    t = np.zeros(len(a))
    for _ in range(_NEWTON_STEPS):
        up, upper = a * np.exp(t), b * np.exp(2.0 * t)
        down, downer = c * np.exp(-t), d * np.exp(-2.0 * t)
        slope = 2.0 + upper / (up + upper) + downer / (down + downer)
        t -= np.log((up + upper) / (down + downer)) / slope
    return W * np.exp(t).astype(W.dtype), C * np.exp(-t).astype(C.dtype)[:, np.newaxis]


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
