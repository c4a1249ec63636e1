"""What every method is given and returns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar

from audiosep.dictionaries import Dictionary
from audiosep.scores import Score
from audiosep.types import Progress, SourceModels, Spectrogram

__all__ = ["Learner", "Learnt", "Listener", "Method", "MethodSettings", "Quality"]

Quality = Literal["fast", "high"]
_Facts = TypeVar("_Facts")


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
        a chunk of it; see :data:`Learner` and :class:`Listener`.
    start_s : float >= 0
        Seconds of the recording before the chunk that is modelled.
    margins : tuple of int
        Frames at the start and at the end of a chunk that are given only so that the method
        knows what comes before and after: they belong to its neighbours.
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
    start_s: float = 0.0
    margins: tuple[int, int] = (0, 0)

    def learnt_as(self, kind: type[_Facts]) -> _Facts | None:
        """What was learnt, if anything was.

        Raises
        ------
        TypeError
            If it was learnt for another method.
        """
        if self.learnt is None or isinstance(self.learnt, kind):
            return self.learnt
        raise TypeError(f"{type(self.learnt).__name__} is nothing that is learnt for this method")


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


class Listener(Protocol):
    """What holds for the whole of a long recording, where joined excerpts of it do not tell.

    It is heard part by part before the first chunk is modelled: chunk by chunk or, where it is
    longer than ``hears_s`` seconds, in excerpts of so many seconds in all.
    """

    hears_s: float

    def check(self, duration_s: float, settings: MethodSettings) -> None:
        """Refuse, before any work is done, what is too long to be learnt from.

        Parameters
        ----------
        duration_s : float > 0
            Of the whole recording.
        settings : MethodSettings
            As for the method.

        Raises
        ------
        RefusedError
            If it is.
        """

    def listen(self, spectrogram: Spectrogram, own: slice, settings: MethodSettings) -> Any:
        """Take from a chunk what is needed of it; little, since it is kept of all of them.

        Parameters
        ----------
        spectrogram : Spectrogram
            Of the chunk with its margins.
        own : slice
            Frames that belong to no other chunk.
        settings : MethodSettings
            As for the method, with the ``start_s`` of the chunk.

        Returns
        -------
        object
        """

    def learn(self, heard: Sequence[Any], settings: MethodSettings, progress: Progress) -> Learnt:
        """Learn from what :meth:`listen` gave of all chunks, in order.

        Parameters
        ----------
        heard : sequence of object
            Of each chunk.
        settings : MethodSettings
            As for the method.
        progress : callable
            As for the method.

        Returns
        -------
        Learnt
        """
