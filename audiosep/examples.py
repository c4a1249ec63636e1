"""Examples of sources, as given, to dictionaries of the analysis that a separation uses."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from audiosep.dictionaries import Dictionary, problem_of_range
from audiosep.dictionary_files import load_dictionary
from audiosep.errors import InputError, ParameterError, UsageError
from audiosep.io import info, open_recording
from audiosep.io.header import sha256_of
from audiosep.io.naming import display
from audiosep.io.read_options import AS_IT_IS, ReadOptions
from audiosep.io.reading import Recording
from audiosep.labels import problem_of_labels
from audiosep.learning import N_COMPONENTS, learn, resampled
from audiosep.merging import merge_dictionaries
from audiosep.regions import Region, check_inside, region_from
from audiosep.types import Audio, Progress

__all__ = [
    "Example",
    "Examples",
    "Heard",
    "Region",
    "Whole",
    "check_regions",
    "example_from",
    "examples_from",
    "hear_examples",
    "identity_of",
]

DICTIONARY_SUFFIX = ".safetensors"
SHORT_S = 0.1
"""An example shorter than this has too few frames to tell a sound from its neighbours."""


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
        return region_from(text)
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
    identity : dict
        As :func:`identity_of` tells it, of what was read: files may be others by now.
    """

    dictionaries: tuple[Dictionary, ...]
    about: dict[str, list[dict[str, Any]]]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    identity: dict[str, list[Any]] = field(default_factory=dict)


def identity_of(examples: Examples) -> dict[str, list[Any]]:
    """What decides about the result, in JSON types: content, and regions as text."""
    return {name: [_identity(value) for value in values] for name, values in examples.items()}


def check_regions(examples: Examples, duration_s: float) -> None:
    """Refuse regions outside a recording before it is read.

    Parameters
    ----------
    examples : mapping
        By name of the source.
    duration_s : float
        Length of the whole recording.

    Raises
    ------
    InputError
        If a region begins or ends behind the end.
    """
    for name, values in examples.items():
        for value in values:
            if isinstance(value, Region):
                check_inside(name, value, duration_s)


def _identity(example: Example) -> str:
    if isinstance(example, Region):
        return str(example)
    if isinstance(example, Path):
        return _sha256(example)
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


@dataclass(frozen=True, kw_only=True)
class Whole:
    """A recording of which regions are parts, whether it is in memory or not.

    Parameters
    ----------
    sr, n_channels : int > 0
        Of the recording.
    duration : float > 0
        Its length in seconds.
    part : callable
        Gives what is between two seconds of it, at least one sample.
    """

    sr: int
    n_channels: int
    duration: float
    part: Callable[[float, float], Audio]

    @classmethod
    def of(cls, recording: Audio | Path, reading: ReadOptions = AS_IT_IS) -> Whole:
        """That of a recording in memory, or of a file, of which no more is read than regions."""
        if isinstance(recording, Audio):
            sr, n_channels, duration = recording.sr, recording.n_channels, recording.duration
            part = partial(_cut, recording)
        else:
            about = info(recording, stream=reading.stream)
            sr, n_channels, duration = about.sr, about.n_channels, about.duration
            # A part may be taken of what is longer than may be.
            reading = replace(reading, max_duration=None)
            part = partial(_read_between, recording, reading)
        return cls(sr=sr, n_channels=n_channels, duration=duration, part=part)


def hear_examples(
    examples: Examples,
    mixture: Audio | Whole,
    recording: Path | None = None,
    *,
    window_s: float,
    n_components: int | None,
    seed: int,
    n_threads: int,
    progress: Progress,
    reading: ReadOptions = AS_IT_IS,
) -> Heard:
    """Learn a dictionary of each source, at the analysis of the mixture.

    Parameters
    ----------
    examples : mapping
        By name of the source.
    mixture : Audio or Whole
        Of which regions are parts, unless it comes from a file.
    recording : Path, optional
        That file: regions count from its beginning, whatever part of it is separated.
    window_s : float
        Window of the analysis in seconds.
    n_components : int, optional
        Templates of each source.
    seed, n_threads, progress
        As for :func:`audiosep.learn`.
    reading : ReadOptions
        How the recording is read; what it takes of a damage, it takes of examples, too.

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
    if recording is not None:
        whole = Whole.of(recording, reading)
    else:
        whole = Whole.of(mixture) if isinstance(mixture, Audio) else mixture
    dictionaries: list[Dictionary] = []
    about: dict[str, list[dict[str, Any]]] = {}
    notes: list[str] = []
    warnings: list[str] = []
    identity: dict[str, list[Any]] = {}
    for name, values in examples.items():
        sounds = [
            _sound(name, value, whole, reading)
            for value in values
            if not isinstance(value, Dictionary)
        ]
        found = [value.named(name) for value in values if isinstance(value, Dictionary)]
        if sounds:
            learnt = learn(
                [resampled(sound.audio, whole.sr) for sound in sounds],
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
        notes += _notes(name, sounds, whole)
        warnings += [words for sound in sounds for words in sound.warnings]
        known = [value for value in values if isinstance(value, Dictionary)]
        warnings += _warnings(name, sounds, known, whole.sr)
        read = iter(sounds)
        identity[name] = [
            _identity(value) if isinstance(value, Dictionary) else next(read).identity
            for value in values
        ]
    return Heard(
        dictionaries=tuple(dictionaries),
        about=about,
        notes=tuple(notes),
        warnings=tuple(warnings),
        identity=identity,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Sound:
    audio: Audio
    about: dict[str, Any]
    identity: str
    warnings: tuple[str, ...] = ()


def _sound(name: str, example: Region | Path | Audio, whole: Whole, reading: ReadOptions) -> _Sound:
    where: dict[str, Any] = {}
    warnings: tuple[str, ...] = ()
    # Before it is read, and compared after: the record is written much later.
    identity = _identity(example)
    if isinstance(example, Region):
        where = {"region": str(example)}
        audio = _part(name, example, whole)
    elif isinstance(example, Path):
        where = {"path": os.fsencode(example).decode("utf-8", "backslashreplace")}
        # Only the recording may have several tracks, or be too long.
        recording = _read(example, replace(reading, stream=None, max_duration=None))
        audio = recording.audio
        shown = display(example.name)
        warnings = tuple(f"example {shown} of {name}: {words}" for words in recording.warnings)
        if _identity(example) != identity:
            raise InputError(
                f"{example} changed while it was read; try again when nothing writes to it."
            )
    else:
        audio = example
    return _Sound(
        audio=audio,
        identity=identity,
        warnings=warnings,
        about={
            **where,
            "duration_s": round(audio.duration, 3),
            "sr": audio.sr,
            "n_channels": audio.n_channels,
        },
    )


def _read(
    path: Path, reading: ReadOptions, start: float = 0.0, duration: float | None = None
) -> Recording:
    try:
        return open_recording(path, start=start, duration=duration, options=reading)
    except InputError as error:
        raise type(error)(f"{path} {error}") from None


def _read_between(path: Path, reading: ReadOptions, start_s: float, end_s: float) -> Audio:
    return _read(path, reading, start_s, end_s - start_s).audio


def _cut(mixture: Audio, start_s: float, end_s: float) -> Audio:
    first, last = round(start_s * mixture.sr), round(end_s * mixture.sr)
    return Audio(samples=mixture.samples[:, first : max(last, first + 1)], sr=mixture.sr)


def _part(name: str, region: Region, whole: Whole) -> Audio:
    check_inside(name, region, whole.duration)
    return whole.part(region.start_s, whole.duration if region.end_s is None else region.end_s)


def _notes(name: str, sounds: list[_Sound], whole: Whole) -> list[str]:
    notes = []
    sr, n_channels = whole.sr, whole.n_channels
    other = sorted({sound.audio.sr for sound in sounds} - {sr})
    if other:
        rates = " and ".join(f"{rate} Hz" for rate in other)
        notes.append(f"Examples of {name} at {rates} were resampled to {sr} Hz.")
    if any(sound.audio.n_channels != n_channels for sound in sounds):
        notes.append(f"Examples of {name} have other channels: their mean level was taken.")
    return notes


def _warnings(name: str, sounds: list[_Sound], known: list[Dictionary], sr: int) -> list[str]:
    warnings = []
    total = sum(sound.audio.duration for sound in sounds)
    if sounds and total < SHORT_S:
        warnings.append(
            f"the example of {name} lasts {total:.3f} s: that is very short; give more of it."
        )
    tops_hz = [float(found.frequencies_hz[-1]) for found in known]
    tops_hz += [sound.audio.sr / 2 for sound in sounds]
    # Of several, the one that knows most makes up for the others.
    if problem := problem_of_range(max(tops_hz), sr, f"the example of {name}"):
        warnings.append(problem)
    return warnings


def _sha256(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from None
