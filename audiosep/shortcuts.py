"""One call for the whole way: settings, recording, stems."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy.typing as npt

from audiosep.io import ReadOptions
from audiosep.io.read_options import AS_IT_IS
from audiosep.methods.base import Quality
from audiosep.presets import DEFAULT_PRESET
from audiosep.scores import Score
from audiosep.separation import Separation
from audiosep.separator import Separator
from audiosep.types import Audio, Progress, ignore_progress

__all__ = ["separate"]


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
    reading: ReadOptions = AS_IT_IS,
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
    reading : ReadOptions
        What to do with files that are damaged or hold several tracks.
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
    return separator.separate(
        source, sr, start=start, duration=duration, reading=reading, progress=progress
    )
