"""What every method is given and returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from audiosep.dictionaries import Dictionary
from audiosep.types import Progress, SourceModels, Spectrogram

__all__ = ["Method", "MethodSettings"]


@dataclass(frozen=True, kw_only=True)
class MethodSettings:
    """Settings of a method; None leaves the choice to the method's own recipe.

    Parameters
    ----------
    n_sources : int, optional
        Wanted number of stems, for methods where it can be chosen.
    n_components : int, optional
        Components of the factorization, in all.
    beta : float, optional
        Divergence of the factorization.
    max_iter : int, optional
        Iterations of the factorization.
    dictionary : Dictionary, optional
        Templates to use instead of the recipe's own, for methods that use any.
    seed : int
        Start of the random numbers.
    n_threads : int, optional
        Threads; results do not depend on it.
    """

    n_sources: int | None = None
    n_components: int | None = None
    beta: float | None = None
    max_iter: int | None = None
    dictionary: Dictionary | None = None
    seed: int = 0
    n_threads: int | None = None


Method = Callable[[Spectrogram, MethodSettings, Progress], SourceModels]
"""A way of modelling sources: the spectrogram of the mixture to one model per source."""
