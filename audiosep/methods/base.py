"""What every method is given and returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from audiosep.dictionaries import Dictionary
from audiosep.scores import Score
from audiosep.types import Progress, SourceModels, Spectrogram

__all__ = ["Learner", "Learnt", "Method", "MethodSettings", "Quality"]

Quality = Literal["fast", "high"]


@dataclass(frozen=True, kw_only=True)
class MethodSettings:
    """Settings of a method; None leaves the choice to the method's own recipe.

    Parameters
    ----------
    n_sources : int, optional
        Wanted number of stems, for methods where it can be chosen.
    n_components : int, optional
        Components of the factorization, in all.
    count_components : bool
        Whether to find out how many components stand out, for methods that can.
    beta : float, optional
        Divergence of the factorization.
    max_iter : int, optional
        Iterations of the factorization.
    dictionary : Dictionary, optional
        Templates to use instead of the recipe's own, for methods that use any.
    examples : tuple of Dictionary
        What the sources sound like, one of each, for methods that are told: its label names the
        source, its exemplars are the sound itself.
    n_free : int, optional
        Components that are fitted to what no example explains.
    rest : str, optional
        Name of the stem of what no example, and no track of a score, explains.
    score : Score, optional
        What each source plays, for methods that are told.
    quality : {"high", "fast"}
        Whether to take the time for what makes results better.
    seed : int
        Start of the random numbers.
    n_threads : int, optional
        Threads; results do not depend on it.
    learnt : object, optional
        What the method's learner found out about the whole recording, where what is modelled is
        a chunk of it; see :data:`Learner`.
    """

    n_sources: int | None = None
    n_components: int | None = None
    count_components: bool = False
    beta: float | None = None
    max_iter: int | None = None
    dictionary: Dictionary | None = None
    examples: tuple[Dictionary, ...] = ()
    n_free: int | None = None
    rest: str | None = None
    score: Score | None = None
    quality: Quality = "high"
    seed: int = 0
    n_threads: int | None = None
    learnt: object | None = None


@dataclass(frozen=True, kw_only=True)
class Learnt:
    """What holds for a whole recording, so that all its chunks are taken apart alike.

    Parameters
    ----------
    facts : object
        Templates, places, names, decisions: whatever the method wants back as
        ``MethodSettings.learnt``. Frozen, and of a size that does not grow with the recording.
    notes : tuple of str
        What was decided, in sentences.
    warnings : tuple of str
        What may have gone wrong, in sentences.
    """

    facts: object
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


Method = Callable[[Spectrogram, MethodSettings, Progress], SourceModels]
"""A way of modelling sources: the spectrogram of the mixture to one model per source."""

Learner = Callable[[Spectrogram, MethodSettings, Progress], Learnt]
"""What holds for the whole of a long recording, from joined excerpts of it.

Recordings longer than a chunk are modelled chunk by chunk. What must not change from one to the
next is learnt before, and given to the method with every chunk.
"""
