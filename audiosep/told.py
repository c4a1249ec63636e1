"""What a separation is told to look for: checked before any work is done."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from audiosep.errors import ParameterError, UsageError
from audiosep.examples import Examples, examples_from
from audiosep.labels import problem_of_labels
from audiosep.methods.base import Quality
from audiosep.presets import Preset
from audiosep.scores import Score

if TYPE_CHECKING:
    from audiosep.separator import Separator

__all__ = ["Told", "check_counts", "check_kept", "check_told"]


@dataclass(frozen=True, kw_only=True)
class Told:
    """Examples and score, read.

    Parameters
    ----------
    examples : mapping or None
        By the names of their stems.
    score : Score or None
        What each instrument plays.
    """

    examples: Examples | None
    score: Score | None


def check_told(given: Separator, recipe: Preset, most: int) -> Told:
    """Read what was told, and refuse what a recipe cannot use.

    Parameters
    ----------
    given : Separator
        With all settings as they were given.
    recipe : Preset
        That is used.
    most : int
        Stems that there may be.

    Returns
    -------
    Told

    Raises
    ------
    UsageError
        If something does not go together.
    ParameterError
        If something is of another type.
    InputError
        If an example or the score cannot be used.
    """
    _check_examples_or_score(given, recipe)
    if given.quality not in get_args(Quality):
        raise UsageError(f"quality {given.quality!r} is unknown; use high or fast.")
    for name in ("n_free", "rest"):
        takes = recipe.examples == "needed" or recipe.score
        if getattr(given, name) is not None and not takes:
            raise UsageError(
                f"{name}={getattr(given, name)!r} is for what no example and no track of a "
                "score explains; give an example or a score, and no other preset."
            )
    if not isinstance(given.examples or {}, Mapping):
        raise ParameterError(
            "examples must be a mapping of names to sounds, such as {'dog': 'dog.wav'}."
        )
    if not isinstance(given.score, str | os.PathLike | Score | None):
        raise ParameterError("score must be a file or a Score.")
    _check_names(tuple(given.examples or ()), given.rest, most)
    examples = examples_from(given.examples or {}) or None
    return Told(examples=examples, score=_score_from(given.score))


def check_counts(given: Separator, recipe: Preset) -> None:
    """Refuse numbers of sources and components that do not fit a recipe.

    Parameters
    ----------
    given : Separator
        With whole numbers where any were given.
    recipe : Preset
        That is used.

    Raises
    ------
    UsageError
        If the number of sources cannot be chosen.
    ParameterError
        If there are too few components.
    """
    if given.n_sources is not None and not recipe.n_sources_free:
        raise UsageError(
            f"the preset {given.preset} always gives {recipe.stems}; to choose the number of "
            "sources use the preset components or stereo."
        )
    fewest = recipe.fewest_components
    if recipe.n_sources_free:
        fewest = given.n_sources or recipe.n_sources
    if isinstance(given.n_components, int) and given.n_components < fewest:
        raise ParameterError(
            f"n_components={given.n_components} is too few for the preset {given.preset}; use "
            f"{fewest} or more."
        )


def check_kept(given: Separator, keep: Sequence[str]) -> None:
    """Refuse names of stems that there cannot be, as far as that is known before any work.

    Parameters
    ----------
    given : Separator
        With all settings.
    keep : sequence of str
        Names of stems.

    Raises
    ------
    UsageError
        If there can be no stem of such a name.
    """
    recipe = given.recipe()
    # The labels of another dictionary may be others.
    names = recipe.names if given.dictionary is None else ()
    absent = [name for name in keep if name not in names]
    if names and absent:
        raise UsageError(
            f"there is no stem {absent[0]!r} with the preset {recipe.name}; there "
            f"{'can be' if recipe.chooses else 'are'} {', '.join(names)}."
        )


def _check_examples_or_score(given: Separator, recipe: Preset) -> None:
    if given.examples and given.score is not None:
        raise UsageError("examples and a score cannot be told at once; leave one of them out.")
    if given.examples and not recipe.examples:
        raise UsageError(
            f"the preset {given.preset} takes no examples; leave out the preset or the examples."
        )
    if recipe.examples == "needed" and not given.examples:
        raise UsageError(
            f"the preset {given.preset} needs examples of the sources; give --example NAME=FILE."
        )
    if given.score is not None and not recipe.score:
        raise UsageError(
            f"the preset {given.preset} takes no score; leave out the preset or the score."
        )
    if recipe.score == "needed" and given.score is None:
        raise UsageError(f"the preset {given.preset} needs a score; give --score FILE.")


def _check_names(names: tuple[str, ...], rest: str | None, most: int) -> None:
    if rest is not None:
        if problem := problem_of_labels((rest,)):
            raise UsageError(problem)
        if problem_of_labels((*names, rest)) or rest in names:
            raise UsageError(f"{rest!r} names an example; the rest needs another name.")
    if len(names) >= most:
        raise UsageError(f"{len(names)} examples are too many; use at most {most - 1}.")


def _score_from(given: Any) -> Score | None:
    if given is None or isinstance(given, Score):
        return given
    from audiosep.scores import read_score  # parsers of files: not at start-up

    return read_score(given)
