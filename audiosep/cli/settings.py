"""What the options of a task come to: its separator, its part, its memory, time and room."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from audiosep.chunks import CHUNK_S
from audiosep.cli.damage import read_options_of
from audiosep.cli.telling import examples_of, quality_from
from audiosep.errors import UsageError
from audiosep.io import AudioInfo
from audiosep.io.formats import bits_from, check_format, container_for

if TYPE_CHECKING:
    from audiosep.cli.split import SplitOptions
    from audiosep.separator import Separator

__all__ = [
    "EXISTS",
    "RESUMING",
    "bytes_from",
    "check_format_holds",
    "checked",
    "duration_of",
    "memory_of",
    "seconds_and_room",
    "shape_of",
]

EXISTS = ("skip", "repair", "overwrite", "rename", "fail")
RESUMING = ("skip", "repair")
"""Those that leave alone what was done before and is as it was written."""


def checked(options: SplitOptions) -> Separator:
    """Refuse what cannot be before any work is done.

    Raises
    ------
    UsageError
        If an option cannot be, or does not fit the others.
    """
    from audiosep.presets import load_preset
    from audiosep.separator import Separator
    from audiosep.told import check_kept

    if options.exists not in EXISTS:
        raise UsageError(f"--exists {options.exists!r} is unknown; use {', '.join(EXISTS)}.")
    bytes_from(options.max_memory)
    read_options_of(options)
    check_format(options.format, None if options.bits is None else bits_from(options.bits))
    if not 0.0 <= options.start < math.inf:
        raise UsageError(f"--start {options.start:g} is out of range; use 0 or more seconds.")
    if options.duration is not None and not 0.0 < options.duration < math.inf:
        raise UsageError(f"--duration {options.duration:g} is out of range; use more than 0 s.")
    if options.one_shots < 0:
        raise UsageError(f"--one-shots {options.one_shots} is out of range; use 0 or more.")
    if options.one_shots and options.keep:
        raise UsageError("--one-shots are of all drums that are found; leave out --keep.")
    if options.one_shots and not load_preset(options.preset).gives_onsets:
        raise UsageError("--one-shots are cut at the onsets of drums; use --preset drums.")
    separator = Separator(
        preset=options.preset,
        n_sources=options.n_sources,
        n_components=options.n_components,
        beta=options.beta,
        max_iter=options.max_iter,
        mask_exponent=options.mask_exponent,
        seed=options.seed,
        n_threads=options.n_threads,
        dictionary=options.dictionary,
        examples=examples_of(options.examples) or None,
        score=options.score,
        rest=options.rest,
        n_free=options.n_free,
        quality=quality_from(options.quality),
    )
    check_kept(separator, options.keep)
    return separator


def seconds_and_room(
    about: AudioInfo, duration: float, options: SplitOptions, separator: Separator
) -> tuple[float, int]:
    """Seconds that a separation takes here, and bytes of its stems."""
    from audiosep.prediction import seconds_of, stems_bytes
    from audiosep.threads import resolve_threads

    n_samples = max(1, math.ceil(duration * about.sr))
    seconds = seconds_of(
        separator.recipe().name,
        n_samples,
        about.n_channels,
        about.sr,
        n_threads=resolve_threads(separator.n_threads),
    )
    bits = about.bits if options.bits is None else bits_from(options.bits)
    room = stems_bytes(n_samples, about.n_channels, separator.n_stems(), bits, options.format)
    return seconds, room


def memory_of(about: AudioInfo, options: SplitOptions, separator: Separator) -> int:
    """Bytes that the separation of a recording takes, beside the program itself.

    Raises
    ------
    RefusedError
        If it does not fit into what ``--max-memory`` allows.
    """
    shape, most = shape_of(about, options), bytes_from(options.max_memory)
    chunk_s = CHUNK_S if most is None else separator.chunk_s_within(most, *shape)
    return separator.memory_needed(*shape, chunk_s=chunk_s)


def shape_of(about: AudioInfo, options: SplitOptions) -> tuple[int, int, int]:
    """Samples, channels and rate of the part that is taken."""
    n_samples = max(1, math.ceil(duration_of(about, options) * about.sr))
    return n_samples, about.n_channels, about.sr


_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def bytes_from(text: str | None) -> int | None:
    """Turn ``"600M"`` or ``"2G"`` into bytes.

    Raises
    ------
    UsageError
        If it is something else.
    """
    if text is None:
        return None
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)i?B?\s*", text, re.IGNORECASE)
    size = 0 if found is None else math.ceil(float(found[1]) * _UNITS[found[2].upper()])
    if found is None or size < _UNITS["M"]:
        raise UsageError(f"--max-memory {text!r} is no size; give one such as 600M or 2G.")
    return size


def duration_of(about: AudioInfo, options: SplitOptions) -> float:
    """Seconds of a recording that are taken."""
    duration = max(0.0, about.duration - options.start)
    return duration if options.duration is None else min(duration, options.duration)


def check_format_holds(about: AudioInfo, options: SplitOptions) -> None:
    """Refuse a format that cannot hold the recording before it is separated."""
    bits = about.bits if options.bits is None else bits_from(options.bits)
    format_ = check_format(options.format, None)
    container_for(format_, bits, about.sr, about.n_channels, about.n_samples)
