"""Recordings in, recognised by content: in memory, or looked through from end to end."""

from __future__ import annotations

import os
import warnings
from collections import deque
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from audiosep.errors import InputError, RefusedError
from audiosep.io.findings import check_remnant
from audiosep.io.header import AudioInfo
from audiosep.io.passes import pass_through
from audiosep.io.read_options import AS_IT_IS, ReadOptions
from audiosep.types import LOUDEST, Audio

__all__ = ["Recording", "Scan", "open_recording", "read", "scan_recording"]


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
    is_damaged : bool
        Whether it is cut or corrupted.
    """

    audio: Audio
    info: AudioInfo
    warnings: tuple[str, ...] = ()
    is_damaged: bool = False


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
    is_damaged : bool
        Whether it is cut or corrupted.
    gaps : tuple of (int, int)
        Samples of the file that cannot be decoded and are silent: the first, the first behind.
    options : ReadOptions
        How it was read.
    """

    info: AudioInfo
    first: int
    n_samples: int
    peak: float
    state: tuple[int, ...]
    audio: Audio | None
    warnings: tuple[str, ...] = ()
    is_damaged: bool = False
    gaps: tuple[tuple[int, int], ...] = ()
    options: ReadOptions = AS_IT_IS


def open_recording(
    path: str | os.PathLike[str],
    *,
    start: float = 0.0,
    duration: float | None = None,
    n_most: int | None = None,
    options: ReadOptions = AS_IT_IS,
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
    options : ReadOptions
        What to do with what is damaged.

    Returns
    -------
    Recording

    Raises
    ------
    InputError
        If it is missing, empty, no audio, has NaN or infinite samples, or `start` is behind its
        end.
    DamagedAudioError
        If decoding fails on the way, or it is cut and that is to be refused.
    ParameterError
        If `start` or `duration` is out of range.
    RefusedError
        If there are more than `n_most` samples, or more than may be.
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

    found = pass_through(
        Path(os.fspath(path)), take, start=start, duration=duration, options=options
    )
    check_remnant(found.missing_s, found.whole_s, found.info.sr)
    return Recording(
        audio=Audio(samples=_gathered(blocks, n_got), sr=found.info.sr),
        info=found.info,
        warnings=(*found.damage, *found.notes),
        is_damaged=bool(found.damage),
    )


def scan_recording(
    path: str | os.PathLike[str],
    *,
    start: float = 0.0,
    duration: float | None = None,
    n_kept: int = 0,
    options: ReadOptions = AS_IT_IS,
) -> Scan:
    """Read a recording of any length from end to end, and keep its samples only if it is short.

    Parameters
    ----------
    path, start, duration, options
        As for :func:`open_recording`.
    n_kept : int >= 0
        Up to so many samples are kept.

    Returns
    -------
    Scan

    Raises
    ------
    InputError, DamagedAudioError, ParameterError, RefusedError
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

    found = pass_through(
        Path(os.fspath(path)), take, start=start, duration=duration, options=options
    )
    check_remnant(found.missing_s, found.whole_s, found.info.sr)
    audio = None
    if n_got <= n_kept:
        audio = Audio(samples=_gathered(blocks, n_got), sr=found.info.sr)
    return Scan(
        info=found.info,
        first=found.first,
        n_samples=n_got,
        peak=peak,
        state=found.state,
        audio=audio,
        warnings=(*found.damage, *found.notes),
        is_damaged=bool(found.damage),
        gaps=found.gaps,
        options=options,
    )


def _gathered(blocks: deque[npt.NDArray[np.float32]], n_samples: int) -> npt.NDArray[np.float32]:
    """Blocks (samples, channels) as one array (channels, samples), without room for two."""
    samples = np.empty((blocks[0].shape[1], n_samples), dtype=np.float32)
    at = 0
    while blocks:
        block = blocks.popleft()
        samples[:, at : at + len(block)] = block.T
        at += len(block)
    return samples


def read(
    path: str | os.PathLike[str],
    *,
    start: float = 0.0,
    duration: float | None = None,
    options: ReadOptions = AS_IT_IS,
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
    options : ReadOptions
        What to do with what is damaged.

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
    RefusedError
        If it is longer than may be.

    Warns
    -----
    UserWarning
        If the file is damaged, or its name promises another format.
    """
    try:
        recording = open_recording(path, start=start, duration=duration, options=options)
    except (InputError, RefusedError) as error:
        raise type(error)(f"{Path(os.fspath(path))} {error}") from None
    for note in recording.warnings:
        warnings.warn(f"{Path(os.fspath(path))}: {note}", stacklevel=2)
    return recording.audio
