"""Several starts of one factorization: the best is kept, and how alike they are is told."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from audiosep.errors import ParameterError
from audiosep.nmf.factorize import factorize
from audiosep.types import Factorization, FloatArray, Progress, ignore_progress, whole_number

__all__ = ["Restarts", "factorize_restarts", "match_components"]

STABLE = 0.9
"""Components that are met again at this similarity are called stable."""

_COMPARE = ("templates", "activations", "components")


@dataclass(frozen=True, kw_only=True, eq=False)
class Restarts:
    """The best of several factorizations, and how far the others agree with it.

    Parameters
    ----------
    best : Factorization
        The one with the lowest final objective; the first of equals.
    seeds : tuple of int
        Seed of each start: ``factorize(V, n_components, seed=seeds[i], ...)`` is run i again.
    losses : np.ndarray [shape=(n_restarts,), dtype=float64]
        Final objective of each start.
    similarity : np.ndarray [shape=(n_restarts, n_components), dtype=float64]
        From 0 to 1: how alike each component of `best` is to its counterpart in each start. Ones
        for the best start itself.
    compare : {"templates", "activations", "components"}
        What was compared.
    """

    best: Factorization
    seeds: tuple[int, ...]
    losses: npt.NDArray[np.float64]
    similarity: npt.NDArray[np.float64]
    compare: str

    @property
    def stability(self) -> npt.NDArray[np.float64]:
        """Mean similarity of each component over the other starts; nan where there are none."""
        return self._over_others(np.mean)

    @property
    def lowest(self) -> npt.NDArray[np.float64]:
        """Least similarity of each component over the other starts; nan where there are none."""
        return self._over_others(np.min)

    @property
    def overall(self) -> float:
        """Mean of `stability`."""
        return float(self.stability.mean())

    @property
    def spread(self) -> float:
        """How far the worst final objective lies above the best, relative to the best."""
        low, high = float(self.losses.min()), float(self.losses.max())
        if low == high:
            return 0.0
        return (high - low) / low if low > 0.0 else np.inf

    def _over_others(self, summary: Any) -> npt.NDArray[np.float64]:
        others = np.delete(self.similarity, int(self.losses.argmin()), axis=0)
        if not len(others):
            return np.full(self.similarity.shape[1], np.nan)
        result: npt.NDArray[np.float64] = summary(others, axis=0)
        return result

    def report(self) -> str:
        """Say in sentences how far the starts agree; components are counted from 0."""
        n = len(self.seeds)
        chosen = self.seeds[int(self.losses.argmin())]
        objective = f"{self.losses.min():.6g}"
        if n == 1:
            return f"One start (seed {chosen}), objective {objective}: nothing to compare it with."
        ends = (
            "all starts end there."
            if self.spread == 0.0
            else f"the worst start ends {100 * self.spread:.3g} % above it."
        )
        lines = [
            f"Best of {n} starts: seed {chosen}, objective {objective}; {ends}",
            f"Agreement of the {self.compare} over the starts: {self.overall:.2f} on average; 1 "
            "means the same every time, but unrelated ones are alike to some degree, too.",
        ]
        order = np.argsort(self.stability, kind="stable")
        shaky = [int(k) for k in order if self.stability[k] < STABLE]
        if not shaky:
            lines.append(f"All {len(order)} components are stable ({STABLE} or more).")
        else:
            lines.append(
                f"{len(order) - len(shaky)} of {len(order)} components are stable ({STABLE} or "
                "more); depending on chance:"
            )
            lines += [
                f"component {k}: {self.stability[k]:.2f} on average, {self.lowest[k]:.2f} at worst."
                for k in shaky
            ]
            lines.append("Fewer components, or other data, may make these reliable.")
        return "\n".join(lines)


def factorize_restarts(
    V: npt.ArrayLike,
    n_components: int | None = None,
    *,
    n_restarts: int = 10,
    seed: int = 0,
    compare: str = "templates",
    progress: Progress = ignore_progress,
    **settings: Any,
) -> Restarts:
    """Factorize from several random starts; keep the best, and compare the others with it.

    NMF has many local minima. What comes out of every start is a property of the data; what comes
    out of one is a property of the start.

    Parameters
    ----------
    V : array_like [shape=(n_bins, n_frames)]
        As for :func:`audiosep.nmf.factorize`.
    n_components : int > 0, optional
        K.
    n_restarts : int > 0
        Starts. The first is the one of ``factorize(V, n_components, seed=seed)``, so that the
        result is never worse than that; more starts leave the earlier ones as they are.
    seed : int >= 0
        Seed of the first start, from which the other seeds are drawn.
    compare : {"templates", "activations", "components"}
        What makes two components alike: the cosine of their templates, of their activations, or
        of both, which is that of their spectrograms ``w hᵀ``. Compare what is not held fixed.
    progress : callable
        Called as ``progress("factorize", fraction)`` with the fraction of all starts.
    **settings
        Every other argument of :func:`audiosep.nmf.factorize`.

    Returns
    -------
    Restarts
        Holds the factors of the best start only. While the starts run, those of all are kept as
        far as they are compared.

    Raises
    ------
    ParameterError
        If an argument is out of range, a setting is not one of ``factorize``'s, or ``factorize``
        refuses.

    References
    ----------
    .. [1] D. Greene, D. O'Callaghan and P. Cunningham (2014), "How many topics? Stability
       analysis for topic models", ECML PKDD: agreement by optimal matching. We match spectra by
       their cosine instead of ranked terms.
    .. [2] H. W. Kuhn (1955), "The Hungarian method for the assignment problem", Naval Research
       Logistics Quarterly 2.

    Examples
    --------
    >>> import numpy as np
    >>> V = np.kron(np.eye(3), np.ones((4, 5)))
    >>> runs = factorize_restarts(V, 3, n_restarts=4)
    >>> runs.stability.round(3)
    array([1., 1., 1.])
    """
    n_restarts = whole_number("n_restarts", n_restarts, 1)
    seed = whole_number("seed", seed, 0)
    if compare not in _COMPARE:
        raise ParameterError(f"compare {compare!r} is unknown; use {', '.join(_COMPARE)}.")
    allowed = inspect.signature(factorize).parameters
    if unknown := sorted(settings.keys() - allowed.keys()):
        raise ParameterError(
            f"{unknown[0]!r} is no setting of factorize; it has {', '.join(list(allowed)[2:])}."
        )
    drawn = np.random.SeedSequence(seed).generate_state(n_restarts - 1)
    seeds = (seed, *(int(number) for number in drawn))
    best: Factorization | None = None
    losses: list[float] = []
    kept: list[tuple[FloatArray, ...]] = []
    for index, number in enumerate(seeds):

        def part(stage: str, fraction: float, done: int = index) -> None:
            progress(stage, (done + fraction) / n_restarts)

        run = factorize(V, n_components, seed=number, progress=part, **settings)
        losses.append(float(run.losses[-1]))
        kept.append(_compared(run, compare))
        if best is None or losses[-1] < best.losses[-1]:
            best = run
    assert best is not None
    reference = _compared(best, compare)
    return Restarts(
        best=best,
        seeds=seeds,
        losses=np.array(losses),
        similarity=np.array([match_components(reference, other)[1] for other in kept]),
        compare=compare,
    )


def _compared(run: Factorization, compare: str) -> tuple[FloatArray, ...]:
    """Factors that are compared, each (n, n_components)."""
    factors = {
        "templates": (run.templates,),
        "activations": (run.activations.T,),
        "components": (run.templates, run.activations.T),
    }
    return factors[compare]


def match_components(
    reference: tuple[FloatArray, ...], other: tuple[FloatArray, ...]
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64]]:
    """Counterpart of each component of one factorization in another.

    The assignment is one to one, and the sum of its cosines is the largest there is.

    Parameters
    ----------
    reference, other : tuple of np.ndarray, each [shape=(n, n_components)]
        Factors to compare, components last, in the same order. The cosines of several factors are
        multiplied. Those with a component of zeros are zero.

    Returns
    -------
    order : np.ndarray of int [shape=(n_components,)]
        ``other``'s component ``order[k]`` is the counterpart of ``reference``'s component k.
    similarity : np.ndarray [shape=(n_components,)]
        Cosine of each pair, 0 to 1.
    """
    from scipy.optimize import linear_sum_assignment

    alike: Any = 1.0
    for a, b in zip(reference, other, strict=True):
        alike = alike * (_unit_columns(a).T @ _unit_columns(b))
    rows, order = linear_sum_assignment(alike, maximize=True)
    # Rounding can end a little above one.
    return order, np.minimum(alike[rows, order], 1.0)


def _unit_columns(factor: FloatArray) -> npt.NDArray[np.float64]:
    """Columns of length one, but for zeros; scaled first, so that squares keep in range."""
    wide = factor.astype(np.float64)
    for size in (wide.max(axis=0), None):
        lengths = np.linalg.norm(wide, axis=0) if size is None else size
        wide = np.divide(wide, lengths, out=np.zeros_like(wide), where=lengths > 0)
    return wide
