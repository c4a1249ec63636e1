"""Examples of sources, as given, to dictionaries of the analysis that a separation uses."""

from __future__ import annotations

import hashlib
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from audiosep.dictionaries import Dictionary
from audiosep.dictionary_files import load_dictionary
from audiosep.errors import InputError, ParameterError, UsageError
from audiosep.io import info, open_recording
from audiosep.io.reading import sha256_of
from audiosep.labels import problem_of_labels
from audiosep.learning import N_COMPONENTS, learn, resampled
from audiosep.merging import merge_dictionaries
from audiosep.types import Audio, Progress

__all__ = [
    "Example",
    "Examples",
    "Heard",
    "Region",
    "example_from",
    "examples_from",
    "hear_examples",
    "identity_of",
]

DICTIONARY_SUFFIX = ".safetensors"
SHORT_S = 0.1
"""An example shorter than this has too few frames to tell a sound from its neighbours."""

_ROUNDING_S = 0.01
_REGION = re.compile(r"@\s*([0-9:.]+)\s*-\s*([0-9:.]*)\s*", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Region:
    """A part of the recording itself, in which one source sounds alone.

    Parameters
    ----------
    start_s : float >= 0
        First second of the recording.
    end_s : float > start_s, optional
        Where it ends; by default where the recording does.
    """

    start_s: float
    end_s: float | None = None

    def __post_init__(self) -> None:
        end_s = math.inf if self.end_s is None else self.end_s
        if not 0.0 <= self.start_s < end_s or self.end_s == math.inf:
            raise ParameterError(
                f"a region from {self.start_s!r} to {self.end_s!r} s cannot be; it begins at 0 or "
                "later and ends after it begins."
            )

    def __str__(self) -> str:
        """As it is written on the command line."""
        return f"@{self.start_s!r}-{'' if self.end_s is None else repr(self.end_s)}".replace(
            ".0-", "-"
        ).removesuffix(".0")


Example = Region | Path | Audio | Dictionary
Examples = Mapping[str, tuple[Example, ...]]
"""What is known of each source, by the name of its stem."""


def example_from(value: object) -> Example:
    """Read one example as users give it, and refuse what cannot be one.

    Parameters
    ----------
    value : str, path-like, Audio, Dictionary or Region
        A sound file, a dictionary (``.safetensors``), a recording in memory, or a part of the
        mixture as ``"@0-3"``, in seconds or minutes (``"@1:05-1:10.5"``).

    Returns
    -------
    Example

    Raises
    ------
    UsageError
        If it is none of these, or a region that cannot be.
    InputError
        If a file cannot be used.
    DictionaryError
        If a dictionary cannot be used.
    """
    if isinstance(value, Audio | Dictionary | Region):
        return value
    if not isinstance(value, str | os.PathLike):
        raise ParameterError(
            f"an example must be a file, a region such as '@0-3', an Audio or a Dictionary, not "
            f"{type(value).__name__}."
        )
    text = os.fspath(value)
    if isinstance(text, str) and text.startswith("@"):
        return _region(text)
    path = Path(os.fsdecode(text))
    if path.suffix.lower() == DICTIONARY_SUFFIX:
        return load_dictionary(path)
    try:
        info(path)
    except InputError as error:
        raise type(error)(f"{path} {error}") from None
    return path


def examples_from(given: Mapping[str, Any]) -> Examples:
    """Read examples as users give them: one, or several, for each name.

    Raises
    ------
    UsageError
        If a name cannot be that of a stem, or something is no example.
    InputError, DictionaryError
        If a file cannot be used.
    """
    if problem := problem_of_labels(tuple(given)):
        raise UsageError(problem)
    found: dict[str, tuple[Example, ...]] = {}
    for name, value in given.items():
        several = isinstance(value, Sequence) and not isinstance(value, str | bytes)
        found[name] = tuple(map(example_from, value if several else [value]))
        if not found[name]:
            raise UsageError(f"there is no example of {name!r}; give one or more.")
    return found


def _region(text: str) -> Region:
    match = _REGION.fullmatch(text)
    start = None if match is None else _seconds(match[1])
    end = None if match is None or not match[2] else _seconds(match[2])
    if match is None or start is None or (match[2] and end is None):
        raise UsageError(
            f"{text!r} is no part of a recording; write it as @FROM-TO in seconds, for example "
            "@0-3 or @1:05-1:10.5."
        )
    if not start < math.inf or (end is not None and not start < end < math.inf):
        raise UsageError(f"{text!r} ends before it begins; write it as @FROM-TO.")
    return Region(start_s=start, end_s=end)


def _seconds(text: str) -> float | None:
    try:
        parts = [float(part) for part in text.split(":")]
    except ValueError:
        return None
    if len(parts) > 3:
        return None
    return float(sum(part * 60**place for place, part in enumerate(reversed(parts))))


@dataclass(frozen=True, kw_only=True)
class Heard:
    """What was learnt from examples.

    Parameters
    ----------
    dictionaries : tuple of Dictionary
        One for each source, each of one label.
    about : dict
        What each was learnt from, for the record.
    notes : tuple of str
        What was done to them, in sentences.
    warnings : tuple of str
        Why they may not be enough, in sentences.
    """

    dictionaries: tuple[Dictionary, ...]
    about: dict[str, list[dict[str, Any]]]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]


def identity_of(examples: Examples) -> dict[str, list[Any]]:
    """What decides about the result, in JSON types: content, and regions as text."""
    return {name: [_identity(value) for value in values] for name, values in examples.items()}


def _identity(example: Example) -> str:
    if isinstance(example, Region):
        return str(example)
    if isinstance(example, Path):
        return sha256_of(example)
    if isinstance(example, Audio):
        return _digest(np.array([example.sr]), example.samples)
    arrays: list[npt.NDArray[Any]] = [example.templates, example.frequencies_hz]
    if (exemplars := example.exemplars) is not None:
        arrays += [exemplars.frames, np.array([*exemplars.lengths, exemplars.step_s])]
    return _digest(*arrays, np.array([example.step_s or 0.0]))


def _digest(*arrays: npt.NDArray[Any]) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(array.tobytes())
    return digest.hexdigest()


def hear_examples(
    examples: Examples,
    mixture: Audio,
    recording: Path | None,
    *,
    window_s: float,
    n_components: int | None,
    seed: int,
    n_threads: int,
    progress: Progress,
) -> Heard:
    """Learn a dictionary of each source, at the analysis of the mixture.

    Parameters
    ----------
    examples : mapping
        By name of the source.
    mixture : Audio
        Of which regions are parts, unless it comes from a file.
    recording : Path or None
        That file: regions count from its beginning, whatever part of it is separated.
    window_s : float
        Window of the analysis in seconds.
    n_components : int, optional
        Templates of each source.
    seed, n_threads, progress
        As for :func:`audiosep.learn`.

    Returns
    -------
    Heard

    Raises
    ------
    InputError
        If an example is silent, damaged or outside the recording.
    DictionaryError
        If dictionaries do not go together.
    """
    dictionaries: list[Dictionary] = []
    about: dict[str, list[dict[str, Any]]] = {}
    notes: list[str] = []
    warnings: list[str] = []
    for name, values in examples.items():
        sounds = [
            _sound(name, value, mixture, recording)
            for value in values
            if not isinstance(value, Dictionary)
        ]
        found = [value.named(name) for value in values if isinstance(value, Dictionary)]
        if sounds:
            learnt = learn(
                [resampled(sound.audio, mixture.sr) for sound in sounds],
                label=name,
                n_components=N_COMPONENTS if n_components is None else n_components,
                window_s=window_s,
                seed=seed,
                n_threads=n_threads,
                progress=progress,
            )
            found = [learnt, *found]
        dictionaries.append(found[0] if len(found) == 1 else merge_dictionaries(tuple(found)))
        about[name] = [sound.about for sound in sounds]
        about[name] += [{"templates": d.n_components, "provenance": d.provenance} for d in found]
        notes += _notes(name, sounds, mixture)
        warnings += _warnings(name, sounds)
    return Heard(
        dictionaries=tuple(dictionaries),
        about=about,
        notes=tuple(notes),
        warnings=tuple(warnings),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Sound:
    audio: Audio
    about: dict[str, Any]


def _sound(
    name: str, example: Region | Path | Audio, mixture: Audio, recording: Path | None
) -> _Sound:
    where: dict[str, Any] = {}
    if isinstance(example, Region):
        where = {"region": str(example)}
        audio = _part(name, example, mixture, recording)
    elif isinstance(example, Path):
        where = {"path": os.fsencode(example).decode("utf-8", "backslashreplace")}
        audio = _read(example)
    else:
        audio = example
    return _Sound(
        audio=audio,
        about={
            **where,
            "duration_s": round(audio.duration, 3),
            "sr": audio.sr,
            "n_channels": audio.n_channels,
        },
    )


def _read(path: Path, start: float = 0.0, duration: float | None = None) -> Audio:
    try:
        return open_recording(path, start=start, duration=duration).audio
    except InputError as error:
        raise type(error)(f"{path} {error}") from None


def _part(name: str, region: Region, mixture: Audio, recording: Path | None) -> Audio:
    sr, length_s = mixture.sr, mixture.duration
    if recording is not None:
        about = info(recording)
        sr, length_s = about.sr, about.duration
    end_s = length_s if region.end_s is None else region.end_s
    # A region typed with the two digits that players show may end a little behind the last sample.
    if region.start_s >= length_s or end_s > length_s + _ROUNDING_S:
        raise InputError(
            f"the example {region} of {name!r} is outside the recording, which is {length_s:.2f} s "
            "long."
        )
    if recording is not None:
        return _read(recording, region.start_s, end_s - region.start_s)
    first, last = round(region.start_s * sr), round(end_s * sr)
    return Audio(samples=mixture.samples[:, first : max(last, first + 1)], sr=sr)


def _notes(name: str, sounds: list[_Sound], mixture: Audio) -> list[str]:
    notes = []
    sr, n_channels = mixture.sr, mixture.n_channels
    other = sorted({sound.audio.sr for sound in sounds} - {sr})
    if other:
        rates = " and ".join(f"{rate} Hz" for rate in other)
        notes.append(f"Examples of {name} at {rates} were resampled to {sr} Hz.")
    if any(sound.audio.n_channels != n_channels for sound in sounds):
        notes.append(f"Examples of {name} have other channels: their mean level was taken.")
    return notes


def _warnings(name: str, sounds: list[_Sound]) -> list[str]:
    total = sum(sound.audio.duration for sound in sounds)
    if not sounds or total >= SHORT_S:
        return []
    return [f"the example of {name} lasts {total:.3f} s: that is very short; give more of it."]
