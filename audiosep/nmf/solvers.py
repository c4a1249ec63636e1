"""Ways to make one iteration, by name, and what each can do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from audiosep.errors import ParameterError
from audiosep.nmf.arguments import Arguments
from audiosep.nmf.problem import Problem, Update
from audiosep.types import FloatArray

__all__ = ["SOLVERS", "Solver"]


@dataclass(frozen=True)
class Solver:
    """An algorithm and its limits; its module is imported when it is used."""

    home: str
    """Module and name."""
    beta: float | None = None
    """The only divergence it is defined for; None for any."""
    takes_weights: bool = True
    coarse: bool = False
    """Whether templates may be found on a sample of the frames first."""
    penalties: frozenset[str] | None = None
    """Names of the penalties it can handle; None for all."""
    keeps_zeros: bool = True
    """Whether what is zero stays zero by itself."""
    holds: str = "wh"
    """Which factors it can hold at a level while the other is penalised."""

    def check(self, name: str, beta: float, arguments: Arguments, hold_level: bool) -> None:
        """Say what this algorithm cannot do."""
        instead = "use mu or accelerated."
        if self.beta is not None and beta != self.beta:
            raise ParameterError(
                f"solver {name!r} is only defined for beta={self.beta:g}, not {beta:g}; {instead}"
            )
        if arguments.weights is not None and not self.takes_weights:
            raise ParameterError(f"solver {name!r} takes no weights; {instead}")
        for penalty in arguments.template_penalties + arguments.activation_penalties:
            kind = type(penalty).__name__
            if self.penalties is not None and kind not in self.penalties:
                raise ParameterError(f"solver {name!r} cannot handle {kind}; {instead}")
        held = arguments.held(hold_level)
        fixed = arguments.fixed_templates.any() or arguments.fixed_activations.any()
        if held and (held not in self.holds or (fixed and self.beta is not None)):
            raise ParameterError(
                f"solver {name!r} cannot hold the level of the factor that is not penalised here; "
                f"give hold_level=False, penalise both, or {instead}"
            )

    def make(self, problem: Problem, W: FloatArray, H: FloatArray) -> Update:
        """Start the algorithm."""
        module, _, name = self.home.partition(":")
        start: Callable[[Problem, FloatArray, FloatArray], Update]
        start = getattr(import_module(module), name)
        return start(problem, W, H)


_LEAST_SQUARES: dict[str, Any] = {
    "beta": 2.0,
    "takes_weights": False,
    "keeps_zeros": False,
    "holds": "",
    "penalties": frozenset({"L1", "L2"}),
}

SOLVERS: dict[str, Solver] = {
    "mu": Solver("audiosep.nmf.updates:multiplicative"),
    "accelerated": Solver("audiosep.nmf.accelerated:AcceleratedUpdate", coarse=True),
    "joint": Solver("audiosep.nmf.joint:JointUpdate", penalties=frozenset()),
    "hals": Solver("audiosep.nmf.least_squares:HALS", **_LEAST_SQUARES),
    "accelerated-hals": Solver("audiosep.nmf.least_squares:AcceleratedHALS", **_LEAST_SQUARES),
    "als": Solver("audiosep.nmf.least_squares:AlternatingLeastSquares", **_LEAST_SQUARES),
    "projected-gradient": Solver("audiosep.nmf.least_squares:ProjectedGradient", **_LEAST_SQUARES),
}
"""Plain multiplicative updates first: the textbook's."""
