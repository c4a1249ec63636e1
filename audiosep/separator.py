"""The whole pipeline on one screen: recording, spectrogram, models, masks, stems, record."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, get_args

import numpy.typing as npt

from audiosep._version import __version__
from audiosep.dictionary_files import load_dictionary
from audiosep.errors import ParameterError, UsageError
from audiosep.examples import Heard, examples_from, hear_examples, identity_of
from audiosep.io.reading import sha256_of
from audiosep.labels import problem_of_labels
from audiosep.loading import load_mixture
from audiosep.masks import exponent_from
from audiosep.methods import MethodSettings, load_method
from audiosep.methods.base import Quality
from audiosep.nmf.divergence import beta_from
from audiosep.presets import DEFAULT_PRESET, Preset, load_preset, preset_for
from audiosep.render import Analysis, render
from audiosep.scores import Score
from audiosep.separation import Separation
from audiosep.threads import one_blas_thread, resolve_threads
from audiosep.transform import stft
from audiosep.types import (
    Audio,
    Progress,
    ignore_progress,
    whole_number,
)

__all__ = ["MOST_COMPONENTS", "MOST_SOURCES", "Separator", "separate"]

MOST_SOURCES = 64
MOST_COMPONENTS = 1000
AUTO = "auto"


@dataclass(frozen=True, kw_only=True)
class Separator:
    """All settings of a separation; defaults are those of the command line.

    Parameters
    ----------
    preset : str
        Name of the recipe, see ``audiosep presets``.
    n_sources : int, optional
        Number of stems, for the preset ``components``.
    n_components : int or {"auto"}, optional
        Components of the factorization (with examples, templates of each); None takes the
        recipe's. The preset ``components`` can find out by itself how many stand out.
    beta : float or {"kl", "is", "euclidean"}, optional
        Divergence; None takes the recipe's.
    max_iter : int, optional
        Iterations; None takes the recipe's.
    mask_exponent : float, optional
        0.1 to 10; None takes the recipe's.
    dictionary : path-like, optional
        Templates (safetensors) instead of those that the recipe brings.
    examples : mapping of str to example, or several, optional
        What sources sound like, by the names of their stems: each a sound file, a dictionary
        (``.safetensors`` or :class:`Dictionary`), an :class:`Audio`, or a part of the recording
        itself as ``"@0-3"`` in seconds. With the preset ``auto`` they are what decides.
    n_free : int, optional
        Components for what no example explains; 0 for none.
    rest : str, optional
        Name of the stem of what no example and no track of the score explains.
    score : path-like or Score, optional
        What each instrument plays (MIDI, MusicXML or Audacity labels). With the preset ``auto``
        it is what decides.
    quality : {"high", "fast"}
        Whether to take the time for what makes results better, where a method has both.
    seed : int
        Start of the random numbers: the same seed gives the same bytes.
    n_threads : int, optional
        Threads; by default the processors this process may use. Results do not depend on it.

    Raises
    ------
    UsageError
        If the preset does not exist, or a setting does not fit it or is out of range.
    InputError
        If an example or the score cannot be used.
    DictionaryError
        If a dictionary cannot be read or is none.

    Examples
    --------
    >>> import numpy as np
    >>> t = np.arange(8000) / 8000
    >>> y = np.sin(2 * np.pi * 440 * t).astype(np.float32)
    >>> result = Separator(preset="components", max_iter=5).separate(y, 8000)
    >>> len(result.stems)
    2
    """

    preset: str = DEFAULT_PRESET
    n_sources: int | None = None
    n_components: int | str | None = None
    beta: float | str | None = None
    max_iter: int | None = None
    mask_exponent: float | None = None
    dictionary: str | os.PathLike[str] | None = None
    examples: Mapping[str, Any] | None = None
    n_free: int | None = None
    rest: str | None = None
    score: str | os.PathLike[str] | Score | None = None
    quality: Quality = "high"
    seed: int = 0
    n_threads: int | None = None

    def __post_init__(self) -> None:
        recipe = self.recipe()
        self._check_told(recipe)
        if self.dictionary is not None:
            self._check_dictionary(recipe)
        self._normalise("n_sources", 1, MOST_SOURCES)
        if self.n_components != AUTO:
            self._normalise("n_components", 1, MOST_COMPONENTS)
        elif recipe.method != "components":
            raise UsageError(
                f"the number of components cannot be found for the preset {recipe.name}; give a "
                "number, or use the preset components."
            )
        self._normalise("max_iter", 1)
        self._normalise("seed", 0)
        self._normalise("n_threads", 1)
        self._normalise("n_free", 0, MOST_COMPONENTS)
        if self.n_sources is not None and not recipe.n_sources_free:
            raise UsageError(
                f"the preset {self.preset} always gives {recipe.stems}; to choose the number of "
                "sources use the preset components or stereo."
            )
        fewest = recipe.fewest_components
        if recipe.n_sources_free:
            fewest = self.n_sources or recipe.n_sources
        if isinstance(self.n_components, int) and self.n_components < fewest:
            raise ParameterError(
                f"n_components={self.n_components} is too few for the preset {self.preset}; use "
                f"{fewest} or more."
            )
        if self.beta is not None:
            object.__setattr__(self, "beta", beta_from(self.beta))
        if self.mask_exponent is not None:
            object.__setattr__(self, "mask_exponent", exponent_from(self.mask_exponent))

    def _normalise(self, name: str, low: int, high: int | None = None) -> None:
        """Turn a given whole number, of whatever type, into an int."""
        value = getattr(self, name)
        if value is not None:
            object.__setattr__(self, name, whole_number(name, value, low, high))

    def recipe(self) -> Preset:
        """Return the preset that is used: what is told decides where none was chosen.

        Raises
        ------
        UsageError
            If there is no preset of that name.
        """
        told = {"examples": bool(self.examples), "score": self.score is not None}
        return load_preset(preset_for(self.preset, **told))

    def _check_told(self, recipe: Preset) -> None:
        """Read what was told before any work is done, and refuse what this recipe cannot use."""
        if self.examples and self.score is not None:
            raise UsageError("examples and a score cannot be told at once; leave one of them out.")
        if self.examples and not recipe.examples:
            raise UsageError(
                f"the preset {self.preset} takes no examples; leave out the preset or the examples."
            )
        if recipe.examples == "needed" and not self.examples:
            raise UsageError(
                f"the preset {self.preset} needs examples of the sources; give --example NAME=FILE."
            )
        if self.score is not None and not recipe.score:
            raise UsageError(
                f"the preset {self.preset} takes no score; leave out the preset or the score."
            )
        if recipe.score == "needed" and self.score is None:
            raise UsageError(f"the preset {self.preset} needs a score; give --score FILE.")
        if self.quality not in get_args(Quality):
            raise UsageError(f"quality {self.quality!r} is unknown; use high or fast.")
        for name in ("n_free", "rest"):
            takes = recipe.examples == "needed" or recipe.score
            if getattr(self, name) is not None and not takes:
                raise UsageError(
                    f"{name}={getattr(self, name)!r} is for what no example and no track of a "
                    "score explains; give an example or a score, and no other preset."
                )
        if not isinstance(self.examples or {}, Mapping):
            raise ParameterError(
                "examples must be a mapping of names to sounds, such as {'dog': 'dog.wav'}."
            )
        if not isinstance(self.score, str | os.PathLike | Score | None):
            raise ParameterError("score must be a file or a Score.")
        names = tuple(self.examples or ())
        if self.rest is not None:
            if problem := problem_of_labels((self.rest,)):
                raise UsageError(problem)
            if problem_of_labels((*names, self.rest)) or self.rest in names:
                raise UsageError(f"{self.rest!r} names an example; the rest needs another name.")
        if len(names) >= MOST_SOURCES:
            raise UsageError(f"{len(names)} examples are too many; use at most {MOST_SOURCES - 1}.")
        object.__setattr__(self, "examples", examples_from(self.examples or {}) or None)
        if self.score is not None and not isinstance(self.score, Score):
            from audiosep.scores import read_score  # parsers of files: not at start-up

            object.__setattr__(self, "score", read_score(self.score))

    def _check_dictionary(self, recipe: Preset) -> None:
        """Refuse a file that is no dictionary before any work is done."""
        if not recipe.dictionary:
            raise UsageError(f"the preset {self.preset} uses no dictionary; leave it out.")
        path = Path(os.fspath(self.dictionary or ""))
        load_dictionary(path)
        object.__setattr__(self, "dictionary", path)

    def settings(self) -> dict[str, Any]:
        """All settings that decide about the result, as given, in JSON types."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        del given["n_threads"]
        if self.examples:
            given["examples"] = identity_of(self.examples)
        if isinstance(self.score, Score):
            given["score"] = hashlib.sha256(repr(self.score).encode()).hexdigest()
        if self.dictionary is not None:  # what counts is its content
            given["dictionary"] = sha256_of(Path(self.dictionary))
        return given

    def _number_of_components(self) -> int | None:
        return self.n_components if isinstance(self.n_components, int) else None

    def n_stems(self) -> int:
        """How many stems there may be."""
        if isinstance(self.score, Score):
            return len(self.score.tracks) + 1
        if self.examples and self.recipe().examples == "needed":
            return len(self.examples) + 1
        return self.n_sources or self.recipe().n_sources

    def separate(
        self,
        source: str | os.PathLike[str] | npt.ArrayLike | Audio,
        sr: int | None = None,
        *,
        start: float = 0.0,
        duration: float | None = None,
        progress: Progress = ignore_progress,
    ) -> Separation:
        """Take a recording apart.

        Parameters
        ----------
        source : path-like, Audio or array_like [shape=(n_samples,) or (n_channels, n_samples)]
            A sound file, or samples at full scale 1.0. Never changed.
        sr : int, optional
            Sample rate in Hz; needed with an array.
        start : float >= 0
            First second, for files.
        duration : float > 0, optional
            Seconds, for files.
        progress : callable
            Called as ``progress(stage, fraction)``.

        Returns
        -------
        Separation

        Raises
        ------
        InputError
            If the recording cannot be used.
        UsageError
            If an array comes without its rate or with `start` or `duration`, or a file with a rate.
        RefusedError
            If the recording is longer than what fits into free memory.
        """
        clock = _Clock()
        progress("read", 0.0)
        recipe = self.recipe()
        mixture, about = load_mixture(
            source,
            sr,
            start=start,
            duration=duration,
            n_sources=self.n_stems(),
            voice=recipe.follows_voice,
        )
        clock.lap("read")
        threads = resolve_threads(self.n_threads)
        reasons: tuple[str, ...] = ()
        heard = self._hear(recipe, mixture, about, threads, progress)
        settings = MethodSettings(
            n_sources=self.n_sources,
            n_components=self._number_of_components(),
            count_components=self.n_components == AUTO,
            beta=None if self.beta is None else beta_from(self.beta),
            max_iter=self.max_iter,
            dictionary=None if self.dictionary is None else load_dictionary(self.dictionary),
            examples=heard.dictionaries,
            n_free=self.n_free,
            rest=self.rest,
            score=self.score if isinstance(self.score, Score) else None,
            quality=self.quality,
            seed=self.seed,
            n_threads=threads,
        )
        with one_blas_thread():
            if recipe.chooses:
                from audiosep.methods.auto import choose_recipe  # compiles: not at start-up

                choice = choose_recipe(mixture, recipe, settings)
                recipe, reasons = choice.recipe, (choice.reason,)
                clock.lap("choose")
            progress("transform", 0.0)
            spectrogram = stft(mixture, window_s=recipe.window_s, n_threads=threads)
            clock.lap("transform")
            models = load_method(recipe.method)(spectrogram, settings, progress)
            clock.lap("model")
            exponent = recipe.mask_exponent if self.mask_exponent is None else self.mask_exponent
            analysis = Analysis.of(spectrogram)
            del spectrogram  # for long recordings the largest of all
            stems = render(mixture, models, analysis, exponent, threads, progress)
            clock.lap("render")
        result = models.factorization
        record: dict[str, Any] = {
            "audiosep": __version__,
            "preset": self.preset,
            "examples": heard.about,
            "method": recipe.method,
            "seed": self.seed,
            "settings": self.settings(),
            "analysis": {
                "mask_exponent": exponent,
                **asdict(analysis),
            },
            "input": about["input"],
            "notes": [*reasons, *heard.notes, *models.notes],
            "warnings": [*about["warnings"], *heard.warnings, *models.warnings],
            "losses": list(models.losses),
            "n_iter": max(0, len(models.losses) - 1),
            "stop": None if models.stop is None else models.stop.value,
            "timings_s": clock.laps,
        }
        return Separation(
            stems=stems,
            mixture=mixture,
            factorization=result,
            grouping=models.grouping,
            melody=models.melody,
            onsets=models.onsets,
            record=record,
        )

    def _hear(
        self,
        recipe: Preset,
        mixture: Audio,
        about: dict[str, Any],
        n_threads: int,
        progress: Progress,
    ) -> Heard:
        if not self.examples:
            return Heard(dictionaries=(), about={}, notes=(), warnings=())
        with one_blas_thread():
            return hear_examples(
                self.examples,
                mixture,
                about["path"],
                window_s=recipe.window_s,
                n_components=self._number_of_components(),
                seed=self.seed,
                n_threads=n_threads,
                progress=progress,
            )


def separate(
    source: str | os.PathLike[str] | npt.ArrayLike | Audio,
    sr: int | None = None,
    *,
    preset: str = DEFAULT_PRESET,
    n_sources: int | None = None,
    n_components: int | str | None = None,
    beta: float | str | None = None,
    max_iter: int | None = None,
    mask_exponent: float | None = None,
    dictionary: str | os.PathLike[str] | None = None,
    examples: Mapping[str, Any] | None = None,
    n_free: int | None = None,
    rest: str | None = None,
    score: str | os.PathLike[str] | Score | None = None,
    quality: Quality = "high",
    seed: int = 0,
    n_threads: int | None = None,
    start: float = 0.0,
    duration: float | None = None,
    progress: Progress = ignore_progress,
) -> Separation:
    """Take a recording apart: ``separate("mix.wav").save("separated/mix")``.

    Parameters
    ----------
    source : path-like, Audio or array_like [shape=(n_samples,) or (n_channels, n_samples)]
        A sound file, or samples at full scale 1.0. Never changed.
    sr : int, optional
        Sample rate in Hz; needed with an array.
    preset, n_sources, n_components, beta, max_iter, mask_exponent, dictionary, examples, n_free, \
    rest, score, quality, seed, n_threads
        See :class:`Separator`.
    start, duration : float
        Part of a file in seconds.
    progress : callable
        Called as ``progress(stage, fraction)``.

    Returns
    -------
    Separation

    Raises
    ------
    InputError
        If the recording cannot be used.
    UsageError
        If a setting does not exist, does not fit or is out of range.
    RefusedError
        If the recording is longer than what fits into free memory.
    """
    separator = Separator(
        preset=preset,
        n_sources=n_sources,
        n_components=n_components,
        beta=beta,
        max_iter=max_iter,
        mask_exponent=mask_exponent,
        dictionary=dictionary,
        examples=examples,
        n_free=n_free,
        rest=rest,
        score=score,
        quality=quality,
        seed=seed,
        n_threads=n_threads,
    )
    return separator.separate(source, sr, start=start, duration=duration, progress=progress)


class _Clock:
    """Seconds between laps."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name] = round(now - self._last, 3)
        self._last = now
