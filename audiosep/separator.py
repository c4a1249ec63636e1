"""The whole pipeline on one screen: recording, spectrogram, models, masks, stems, record."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt

from audiosep._version import __version__
from audiosep.dictionaries import load_dictionary
from audiosep.errors import ParameterError, UsageError
from audiosep.io.reading import sha256_of
from audiosep.loading import load_mixture
from audiosep.masks import exponent_from
from audiosep.methods import MethodSettings, load_method
from audiosep.nmf.divergence import beta_from
from audiosep.presets import DEFAULT_PRESET, Preset, load_preset
from audiosep.render import Analysis, render
from audiosep.save import save_stems
from audiosep.threads import one_blas_thread, resolve_threads
from audiosep.transform import stft
from audiosep.types import (
    Audio,
    Factorization,
    Grouping,
    Melody,
    Onsets,
    Progress,
    ignore_progress,
    whole_number,
)

__all__ = ["MOST_COMPONENTS", "MOST_SOURCES", "Separation", "Separator", "separate"]

MOST_SOURCES = 64
MOST_COMPONENTS = 1000


@dataclass(frozen=True, kw_only=True, eq=False)
class Separation:
    """A recording taken apart.

    Parameters
    ----------
    stems : dict of str to Audio
        They sum to the mixture, up to float32 rounding.
    mixture : Audio
        What was taken apart.
    factorization : Factorization or None
        The factorization behind the stems, where the method has one.
    grouping : Grouping or None
        Which component belongs to which stem, where the method has it.
    record : dict
        Version, settings, seed, input, timings, losses, notes, warnings: enough to repeat the
        run. Only JSON types.
    melody : Melody or None
        Pitch of the voice, where the method follows one.
    onsets : Onsets or None
        When which drum was struck, where the method hears it.
    """

    stems: Mapping[str, Audio]
    mixture: Audio
    factorization: Factorization | None
    grouping: Grouping | None
    record: dict[str, Any]
    melody: Melody | None = None
    onsets: Onsets | None = None

    def save(
        self,
        directory: str | os.PathLike[str],
        *,
        format: str = "wav",  # noqa: A002
        bits: int | str | None = None,
        one_shots: int = 0,
    ) -> dict[str, Path]:
        """Write ``<stem>.wav`` for each stem, and ``audiosep.json`` last.

        A melody and onsets are written as CSV and MIDI files. The files are written beside their
        place, read again and checked to sum to the mixture (sample for sample in integer
        formats), then moved into it.

        Parameters
        ----------
        directory : path-like
            Made where it does not exist; files of the same names are replaced.
        format : {"wav", "flac"}
            RF64 WAV is used by itself beyond 4 GiB.
        bits : {16, 24, "float"}, optional
            By default what the recording had: 16 and 24 stay, 8-bit and lossy become 24,
            everything else 32-bit float. Float where a stem would leave the integer range.
        one_shots : int >= 0
            How many single strokes of each drum to write besides, where there are onsets.

        Returns
        -------
        dict of str to Path
            Where each stem is.

        Raises
        ------
        OutputError
            If they cannot be written.
        ParameterError
            If the format cannot hold them, or `format` or `bits` is unknown.
        UsageError
            If one-shots are wanted where there are no onsets.
        """
        n_each = whole_number("one_shots", one_shots, 0)
        return save_stems(self, Path(os.fspath(directory)), format, bits, one_shots=n_each).paths


@dataclass(frozen=True, kw_only=True)
class Separator:
    """All settings of a separation; defaults are those of the command line.

    Parameters
    ----------
    preset : str
        Name of the recipe, see ``audiosep presets``.
    n_sources : int, optional
        Number of stems, for the preset ``components``.
    n_components : int, optional
        Components of the factorization; None takes the recipe's.
    beta : float or {"kl", "is", "euclidean"}, optional
        Divergence; None takes the recipe's.
    max_iter : int, optional
        Iterations; None takes the recipe's.
    mask_exponent : float, optional
        0.1 to 10; None takes the recipe's.
    dictionary : path-like, optional
        Templates (safetensors) instead of those that the recipe brings.
    seed : int
        Start of the random numbers: the same seed gives the same bytes.
    n_threads : int, optional
        Threads; by default the processors this process may use. Results do not depend on it.

    Raises
    ------
    UsageError
        If the preset does not exist, or a setting does not fit it or is out of range.
    DictionaryError
        If the dictionary cannot be read or is none.

    Examples
    --------
    >>> import numpy as np
    >>> t = np.arange(8000) / 8000
    >>> y = np.sin(2 * np.pi * 440 * t).astype(np.float32)
    >>> result = Separator(preset="components", max_iter=5).separate(y, 8000)
    >>> list(result.stems)
    ['source-1', 'source-2']
    """

    preset: str = DEFAULT_PRESET
    n_sources: int | None = None
    n_components: int | None = None
    beta: float | str | None = None
    max_iter: int | None = None
    mask_exponent: float | None = None
    dictionary: str | os.PathLike[str] | None = None
    seed: int = 0
    n_threads: int | None = None

    def __post_init__(self) -> None:
        recipe = load_preset(self.preset)
        if self.dictionary is not None:
            self._check_dictionary(recipe)
        self._normalise("n_sources", 1, MOST_SOURCES)
        self._normalise("n_components", 1, MOST_COMPONENTS)
        self._normalise("max_iter", 1)
        self._normalise("seed", 0)
        self._normalise("n_threads", 1)
        if self.n_sources is not None and not recipe.n_sources_free:
            raise UsageError(
                f"the preset {self.preset} always gives {recipe.stems}; to choose the number of "
                "sources use the preset components."
            )
        fewest = recipe.fewest_components
        if recipe.n_sources_free:
            fewest = self.n_sources or recipe.n_sources
        if self.n_components is not None and self.n_components < fewest:
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

    def _check_dictionary(self, recipe: Preset) -> None:
        """Refuse a file that is no dictionary before any work is done."""
        if not recipe.dictionary:
            raise UsageError(f"the preset {self.preset} uses no dictionary; leave it out.")
        path = Path(os.fspath(self.dictionary or ""))
        load_dictionary(path)
        object.__setattr__(self, "dictionary", path)

    def settings(self) -> dict[str, Any]:
        """All settings that decide about the result, as given, in JSON types."""
        given = asdict(self)
        del given["n_threads"]
        if self.dictionary is not None:  # what counts is its content
            given["dictionary"] = sha256_of(Path(self.dictionary))
        return given

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
        recipe = load_preset(self.preset)
        n_sources = self.n_sources or recipe.n_sources
        mixture, about = load_mixture(
            source,
            sr,
            start=start,
            duration=duration,
            n_sources=n_sources,
            voice=recipe.follows_voice,
            dense=recipe.n_sources_free,
        )
        clock.lap("read")
        threads = resolve_threads(self.n_threads)
        reasons: tuple[str, ...] = ()
        settings = MethodSettings(
            n_sources=self.n_sources,
            n_components=self.n_components,
            beta=None if self.beta is None else beta_from(self.beta),
            max_iter=self.max_iter,
            dictionary=None if self.dictionary is None else load_dictionary(self.dictionary),
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
            "method": recipe.method,
            "seed": self.seed,
            "settings": self.settings(),
            "analysis": {
                "mask_exponent": exponent,
                **asdict(analysis),
            },
            "input": about["input"],
            "notes": [*reasons, *models.notes],
            "warnings": about["warnings"],
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


def separate(
    source: str | os.PathLike[str] | npt.ArrayLike | Audio,
    sr: int | None = None,
    *,
    preset: str = DEFAULT_PRESET,
    n_sources: int | None = None,
    n_components: int | None = None,
    beta: float | str | None = None,
    max_iter: int | None = None,
    mask_exponent: float | None = None,
    dictionary: str | os.PathLike[str] | None = None,
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
    preset, n_sources, n_components, beta, max_iter, mask_exponent, dictionary, seed, n_threads
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
