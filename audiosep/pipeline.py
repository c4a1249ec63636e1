"""The whole way on one screen: recording, examples, recipe, chunks, record."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiosep._version import __version__
from audiosep.chunked import Chunked, excerpt_of
from audiosep.chunks import CHUNK_S
from audiosep.dictionaries import problem_of_range
from audiosep.dictionary_files import load_with_digest
from audiosep.examples import Heard, Whole, hear_examples
from audiosep.io.read_options import ReadOptions
from audiosep.methods import MethodSettings
from audiosep.presets import Preset
from audiosep.scores import Score
from audiosep.threads import one_blas_thread, resolve_threads
from audiosep.types import Audio, Factorization, Grouping, Melody, Onsets, Progress, Tape

if TYPE_CHECKING:
    from audiosep.separator import Separator

__all__ = ["Clock", "Run", "begin"]


class Clock:
    """Seconds between laps."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        """End a lap; laps of one name add up, and one without a name is not kept."""
        now = time.perf_counter()
        if name:
            self.laps[name] = round(self.laps.get(name, 0.0) + now - self._last, 3)
        self._last = now


@dataclass(frozen=True, kw_only=True, eq=False)
class FactsOfRun:
    """What is known when all pieces have been given out; see :class:`audiosep.save.Facts`."""

    factorization: Factorization | None
    grouping: Grouping | None
    melody: Melody | None
    onsets: Onsets | None
    record: dict[str, Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class Run:
    """A recording that is being taken apart.

    Parameters
    ----------
    chunked : Chunked
        Gives out the stems.
    clock : Clock
        What has taken how long.
    record : dict
        What its record begins with.
    notes, warnings : tuple of str
        What was decided before, and what may go wrong, in sentences.
    """

    chunked: Chunked
    clock: Clock
    record: dict[str, Any]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]

    def facts(self) -> FactsOfRun:
        """Return what is known when all pieces have been given out."""
        found = self.chunked.found()
        record = self.record | {
            "analysis": {
                "mask_exponent": self.chunked.exponent,
                "chunk_s": self.chunked.chunk_s,
                **asdict(found.analysis),
            },
            "notes": [*self.notes, *found.notes],
            "warnings": [*self.warnings, *found.warnings],
            "losses": list(found.losses),
            "n_iter": max(0, len(found.losses) - 1),
            "stop": None if found.stop is None else found.stop.value,
            "timings_s": self.clock.laps,
        }
        return FactsOfRun(
            factorization=found.factorization,
            grouping=found.grouping,
            melody=found.melody,
            onsets=found.onsets,
            record=record,
        )


def begin(
    separator: Separator,
    tape: Tape,
    about: dict[str, Any],
    clock: Clock,
    chunk_s: float,
    progress: Progress,
) -> Run:
    """Hear the examples, choose the recipe, and make all ready to take a recording apart.

    Parameters
    ----------
    separator : Separator
        All settings.
    tape : Tape
        The recording.
    about : dict
        As :func:`audiosep.loading.load_mixture` describes it.
    clock : Clock
        Laps are added to it.
    chunk_s : float > 0
        Longest chunk in seconds.
    progress : callable
        Called as ``progress(stage, fraction)``.

    Returns
    -------
    Run

    Raises
    ------
    InputError, DictionaryError
        If an example or a dictionary cannot be used.
    """
    recipe = separator.recipe()
    threads = resolve_threads(separator.n_threads)
    warnings = list(about["warnings"])
    heard = _heard(separator, recipe, tape, about, threads, progress)
    read: dict[str, Any] = {"examples": heard.identity}
    dictionary = None
    if separator.dictionary is not None:
        dictionary, read["dictionary"] = load_with_digest(separator.dictionary)
        highest_hz = float(dictionary.frequencies_hz[-1])
        if problem := problem_of_range(highest_hz, tape.sr, "the dictionary"):
            warnings.append(problem)
    settings = MethodSettings(
        n_sources=separator.n_sources,
        n_components=separator.number_of_components(),
        count_components=separator.counts_components(),
        beta=separator.divergence(),
        max_iter=separator.max_iter,
        dictionary=dictionary,
        examples=heard.dictionaries,
        n_free=separator.n_free,
        rest=separator.rest,
        score=separator.score if isinstance(separator.score, Score) else None,
        quality=separator.quality,
        seed=separator.seed,
        n_threads=threads,
    )
    reasons: tuple[str, ...] = ()
    if recipe.chooses:
        from audiosep.methods.auto import choose_recipe  # compiles: not at start-up

        with one_blas_thread():
            choice = choose_recipe(excerpt_of(tape, chunk_s), recipe, settings)
        recipe, reasons = choice.recipe, (choice.reason,)
        clock.lap("choose")
    if chunk_s < min(CHUNK_S, tape.n_samples / tape.sr):
        warnings.append(
            f"worked in chunks of {chunk_s:g} s, as --max-memory asks for; with chunks of "
            f"{CHUNK_S:g} s the stems would differ."
        )
    exponent = separator.mask_exponent
    return Run(
        chunked=Chunked(
            tape=tape,
            method=recipe.method,
            settings=settings,
            window_s=recipe.window_s,
            exponent=recipe.mask_exponent if exponent is None else exponent,
            chunk_s=chunk_s,
            n_threads=threads,
            progress=progress,
            lap=clock.lap,
        ),
        clock=clock,
        record={
            "audiosep": __version__,
            "preset": separator.preset,
            "examples": heard.about,
            "method": recipe.method,
            "seed": separator.seed,
            "settings": separator.settings(read),
            "input": about["input"],
        },
        notes=(*reasons, *heard.notes),
        warnings=(*warnings, *heard.warnings),
    )


def _heard(
    separator: Separator,
    recipe: Preset,
    tape: Tape,
    about: dict[str, Any],
    n_threads: int,
    progress: Progress,
) -> Heard:
    if not separator.examples:
        return Heard(dictionaries=(), about={}, notes=(), warnings=())
    path: Path | None = about["path"]
    recording = tape if isinstance(tape, Audio) else path
    assert recording is not None, "what is not in memory is a file"
    reading = ReadOptions.from_record(about["input"].get("reading", {}))
    with one_blas_thread():
        return hear_examples(
            separator.examples,
            Whole.of(recording, reading),
            path,
            window_s=recipe.window_s,
            n_components=separator.number_of_components(),
            seed=separator.seed,
            n_threads=n_threads,
            progress=progress,
            reading=reading,
        )
