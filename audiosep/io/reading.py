"""Recordings in: WAV, RF64, W64, AIFF, CAF, FLAC, OGG, Opus and MP3, recognised by content."""

from __future__ import annotations

import math
import os
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from audiosep.errors import DamagedAudioError, InputError, ParameterError, RefusedError
from audiosep.io.header import SEEKABLE, AudioInfo, about_file, open_file, reason_of, state_of
from audiosep.io.riff import missing_bytes
from audiosep.types import LOUDEST, Audio

__all__ = ["Recording", "Scan", "open_recording", "read", "scan_recording"]

_BLOCK_SAMPLES = 1 << 14  # short, because damage is found to within a block


@dataclass(frozen=True, kw_only=True, eq=False)
class Recording:
    """A recording read from a file.

    Parameters
    ----------
    audio : Audio
        Its samples.
    info : AudioInfo
        What its header says.
    warnings : tuple of str
        What was wrong with it, in sentences.
    """

    audio: Audio
    info: AudioInfo
    warnings: tuple[str, ...] = ()


def _blocks(file: Any, first: int, n_wanted: int | None) -> Iterator[np.ndarray[Any, Any]]:
    """Blocks of shape (samples, channels): never as many as a header claims at once."""
    import soundfile

    got = 0
    left_out = 0 if file.format in SEEKABLE else first
    if first and not left_out:
        try:
            file.seek(first)
        except soundfile.LibsndfileError as error:
            raise DamagedAudioError(
                f"cannot be read from {first / file.samplerate:g} s on ({reason_of(error)}); it is "
                "damaged or shorter than its header says."
            ) from None
    # soundfile seeks after every read of a seekable file, and that fails where the header has a
    # wrong length or none.
    file.seekable = lambda: False
    while n_wanted is None or got < n_wanted:
        n = _BLOCK_SAMPLES if n_wanted is None else min(_BLOCK_SAMPLES, n_wanted - got)
        if left_out:
            n = min(_BLOCK_SAMPLES, left_out)
        try:
            block = file.read(n, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            seconds = (first - left_out + got) / file.samplerate
            good = math.floor(100 * got / file.samplerate) / 100
            rescue = f", or take the good part with --duration {good:g}" if good else ""
            raise DamagedAudioError(
                f"is damaged after {seconds:.2f} s ({reason_of(error)}); restore it from a "
                f"backup{rescue}."
            ) from None
        if len(block) == 0:
            return
        if left_out:
            left_out -= len(block)
            continue
        _check_finite(block, first + got, file.samplerate)
        got += len(block)
        yield block


def _check_finite(block: np.ndarray[Any, Any], first: int, sr: int) -> None:
    with np.errstate(invalid="ignore"):  # infinity minus infinity
        total = block.sum(dtype=np.float64)
    if np.isfinite(total):
        return
    index, channel = np.argwhere(~np.isfinite(block))[0]
    raise InputError(
        f"cannot be used: sample {first + index} of channel {channel + 1} "
        f"(at {(first + index) / sr:.3f} s) is {block[index, channel]}; repair it, for example in "
        "an audio editor."
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Scan:
    """What was found by reading a recording from end to end.

    Parameters
    ----------
    info : AudioInfo
        What its header says.
    first : int
        First sample that was asked for.
    n_samples : int
        Samples that there are from there on, or that were asked for.
    peak : float
        Largest absolute sample of them.
    state : tuple of int
        Changes when the file is written to or replaced.
    audio : Audio or None
        The samples, unless there are more than were to be kept.
    warnings : tuple of str
        What was wrong with it, in sentences.
    """

    info: AudioInfo
    first: int
    n_samples: int
    peak: float
    state: tuple[int, ...]
    audio: Audio | None
    warnings: tuple[str, ...] = ()


def open_recording(
    path: str | os.PathLike[str],
    *,
    start: float = 0.0,
    duration: float | None = None,
    n_most: int | None = None,
) -> Recording:
    """Read a recording, or a part of it, and tell what is wrong with it.

    Parameters
    ----------
    path : path-like
        A sound file; the format is recognised by content, not by name.
    start : float >= 0
        First second to read.
    duration : float > 0, optional
        Seconds to read; by default to the end.
    n_most : int, optional
        More samples than this are refused: whoever asks has no memory for them.

    Returns
    -------
    Recording

    Raises
    ------
    InputError
        If it is missing, empty, no audio, has NaN or infinite samples, or `start` is behind its
        end.
    DamagedAudioError
        If decoding fails on the way.
    ParameterError
        If `start` or `duration` is out of range.
    RefusedError
        If there are more than `n_most` samples.
    """
    blocks: deque[npt.NDArray[np.float32]] = deque()
    n_got = 0

    def take(block: npt.NDArray[np.float32], sr: int) -> None:
        nonlocal n_got
        blocks.append(block)
        n_got += len(block)
        if n_most is not None and n_got > n_most:
            raise RefusedError(
                f"is longer than the {n_most / sr:.0f} s that fit into free memory; take it in "
                "parts with --start and --duration."
            )

    about, _, notes, _ = _read_through(Path(os.fspath(path)), start, duration, take)
    audio = Audio(samples=_gathered(blocks, n_got), sr=about.sr)
    return Recording(audio=audio, info=about, warnings=notes)


def scan_recording(
    path: str | os.PathLike[str],
    *,
    start: float = 0.0,
    duration: float | None = None,
    n_kept: int = 0,
) -> Scan:
    """Read a recording of any length from end to end, and keep its samples only if it is short.

    Parameters
    ----------
    path, start, duration
        As for :func:`open_recording`.
    n_kept : int >= 0
        Up to so many samples are kept.

    Returns
    -------
    Scan

    Raises
    ------
    InputError, DamagedAudioError, ParameterError
        As for :func:`open_recording`.
    """
    blocks: deque[npt.NDArray[np.float32]] = deque()
    n_got = 0
    peak = 0.0

    def take(block: npt.NDArray[np.float32], _sr: int) -> None:
        nonlocal n_got, peak
        n_got += len(block)
        peak = max(peak, float(block.max()), float(-block.min()))
        if peak > LOUDEST:
            raise InputError(
                f"reaches {peak:g} times full scale: that is no recording; check how it was made "
                "or scaled."
            )
        if n_got <= n_kept:
            blocks.append(block)
        else:
            blocks.clear()

    about, first, notes, state = _read_through(Path(os.fspath(path)), start, duration, take)
    audio = None
    if n_got <= n_kept:
        audio = Audio(samples=_gathered(blocks, n_got), sr=about.sr)
    return Scan(
        info=about,
        first=first,
        n_samples=n_got,
        peak=peak,
        state=state,
        audio=audio,
        warnings=notes,
    )


def _read_through(
    where: Path,
    start: float,
    duration: float | None,
    take: Callable[[npt.NDArray[np.float32], int], None],
) -> tuple[AudioInfo, int, tuple[str, ...], tuple[int, ...]]:
    """Give out all blocks of a recording.

    Returns its header, its first sample, what is wrong with it and the state of the file.
    """
    if not 0.0 <= start < math.inf or not (duration is None or 0.0 < duration < math.inf):
        raise ParameterError(
            f"start {start} must not be negative, duration {duration} must be above 0, and both "
            "finite."
        )
    notes: list[str] = []
    with open_file(where) as file:
        before = state_of(where)
        about = about_file(where, file)
        first = round(start * about.sr)
        if first and first >= about.n_samples > 0:
            raise InputError(
                f"ends at {about.duration:.2f} s, before the start of {start:g} s; use an earlier "
                "--start."
            )
        n_wanted = None if duration is None else max(1, round(duration * about.sr))
        n_got = 0
        for block in _blocks(file, first, n_wanted):
            n_got += len(block)
            take(block, about.sr)
        expected = about.n_samples - first
        if n_wanted is not None:
            expected = min(expected, n_wanted)
    if before is None or state_of(where) != before:
        raise InputError("changed while it was read; try again when nothing writes to it.")
    if n_got == 0:
        raise InputError("holds no audio: 0 samples behind the header.")
    missing = missing_bytes(where)
    if missing:
        bytes_per_sample = max(1, about.n_channels * _sample_bytes(about.subtype))
        lost = missing / bytes_per_sample / about.sr
        notes.append(f"the file ends early: {lost:.2f} s that its header promises are missing.")
    elif n_got < expected:
        notes.append(
            f"the file ends early: the header says {about.n_samples / about.sr:.2f} s, "
            f"{(first + n_got) / about.sr:.2f} s could be decoded."
        )
    return about, first, tuple(notes), before


def _gathered(blocks: deque[npt.NDArray[np.float32]], n_samples: int) -> npt.NDArray[np.float32]:
    """Blocks (samples, channels) as one array (channels, samples), without room for two."""
    samples = np.empty((blocks[0].shape[1], n_samples), dtype=np.float32)
    at = 0
    while blocks:
        block = blocks.popleft()
        samples[:, at : at + len(block)] = block.T
        at += len(block)
    return samples


def _sample_bytes(subtype: str) -> int:
    return {"PCM_16": 2, "PCM_24": 3, "PCM_32": 4, "FLOAT": 4, "DOUBLE": 8}.get(subtype, 1)


def read(
    path: str | os.PathLike[str], *, start: float = 0.0, duration: float | None = None
) -> Audio:
    """Read a recording at its own rate, with all its channels, at its own level.

    Parameters
    ----------
    path : path-like
        A sound file; the format is recognised by content, not by name.
    start : float >= 0
        First second to read.
    duration : float > 0, optional
        Seconds to read; by default to the end.

    Returns
    -------
    Audio
        ``samples`` of shape (n_channels, n_samples), float32.

    Raises
    ------
    InputError
        If it cannot be used; the message starts with the path.
    ParameterError
        If `start` or `duration` is out of range.

    Warns
    -----
    UserWarning
        If the file ends early.
    """
    try:
        recording = open_recording(path, start=start, duration=duration)
    except InputError as error:
        raise type(error)(f"{Path(os.fspath(path))} {error}") from None
    for note in recording.warnings:
        warnings.warn(f"{Path(os.fspath(path))}: {note}", stacklevel=2)
    return recording.audio
