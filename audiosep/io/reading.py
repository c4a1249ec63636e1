"""Recordings in: WAV, RF64, W64, AIFF, CAF, FLAC, OGG, Opus and MP3, recognised by content."""

from __future__ import annotations

import hashlib
import math
import os
import stat
import warnings
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from audiosep.errors import DamagedAudioError, InputError, ParameterError, RefusedError
from audiosep.io.formats import Bits, bits_of_subtype
from audiosep.io.riff import missing_bytes
from audiosep.types import MAX_SAMPLE_RATE, MIN_SAMPLE_RATE, Audio

__all__ = ["AudioInfo", "Recording", "info", "open_recording", "read", "sha256_of"]

_BLOCK_SAMPLES = 1 << 14  # short, because damage is found to within a block
_UNKNOWN_LENGTH = 1 << 62  # libsndfile says 2^63 - 1 where the header of a stream has no length
_NEEDS_OTHER_DECODER = {".m4a", ".mp4", ".aac", ".wma", ".ac3", ".mov", ".mkv", ".webm"}


@dataclass(frozen=True, kw_only=True)
class AudioInfo:
    """What the header of a recording says.

    Parameters
    ----------
    path : Path
        As given.
    format, subtype : str
        libsndfile's words, such as ``"WAV"`` and ``"PCM_16"``.
    sr : int
        Sample rate in Hz.
    n_channels, n_samples : int
        Shape; the header's count of samples may be wrong in damaged files, and is 0 in streams
        whose header has none.
    bits : {16, 24, "float"}
        Bit depth that stems of this recording get.
    """

    path: Path
    format: str
    subtype: str
    sr: int
    n_channels: int
    n_samples: int
    bits: Bits

    @property
    def duration(self) -> float:
        """Length in seconds, by the header."""
        return self.n_samples / self.sr


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


def _check_is_file(path: Path) -> None:
    try:
        status = path.stat()
    except FileNotFoundError:
        if path.is_symlink():
            raise InputError("is a link that points nowhere.") from None
        raise InputError("does not exist.") from None
    except PermissionError:
        raise InputError("may not be read: permission denied.") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"cannot be opened: {reason}.") from None
    if stat.S_ISDIR(status.st_mode):
        raise InputError("is a directory, not a recording.")
    if not stat.S_ISREG(status.st_mode):
        raise InputError("is not a regular file.")
    if status.st_size == 0:
        raise InputError("is empty (0 bytes).")
    if not os.access(path, os.R_OK):
        raise InputError("may not be read: permission denied.")


def _open(path: Path) -> Any:
    import soundfile

    _check_is_file(path)
    try:
        # Bytes, because names need not be valid text on every system.
        return soundfile.SoundFile(os.fsencode(path))
    except TypeError:
        # soundfile goes by this one ending, and wants rate and channels for what has no header.
        raise InputError(
            "is named .raw, which stands for audio without a header; rename it if it has one, or "
            "convert it to WAV."
        ) from None
    except soundfile.LibsndfileError as error:
        if path.suffix.lower() in _NEEDS_OTHER_DECODER:
            raise InputError(
                f"is {path.suffix.lower()} audio, which is not supported; convert it to WAV or "
                "FLAC first."
            ) from None
        with path.open("rb") as file:
            start = file.read(4)
        if start in (b"RIFF", b"RF64", b"FORM", b"fLaC", b"OggS", b"riff", b"caff"):
            raise DamagedAudioError(
                f"has a damaged header ({_reason(error)}); restore it from a backup."
            ) from None
        raise InputError(f"is not audio that can be read ({_reason(error)}).") from None


def _reason(error: Exception) -> str:
    text = getattr(error, "error_string", None) or str(error)
    return str(text).strip().removeprefix("Error : ").rstrip(".")


def _info_of(path: Path, file: Any) -> AudioInfo:
    if not MIN_SAMPLE_RATE <= file.samplerate <= MAX_SAMPLE_RATE:
        raise DamagedAudioError(
            f"has an implausible sample rate of {file.samplerate} Hz; its header is damaged."
        )
    return AudioInfo(
        path=path,
        format=file.format,
        subtype=file.subtype,
        sr=int(file.samplerate),
        n_channels=int(file.channels),
        n_samples=int(file.frames) if file.frames < _UNKNOWN_LENGTH else 0,
        bits=bits_of_subtype(file.subtype),
    )


def _about(path: str | os.PathLike[str]) -> Path:
    return Path(os.fspath(path))


def info(path: str | os.PathLike[str]) -> AudioInfo:
    """Read what the header of a recording says.

    Parameters
    ----------
    path : path-like
        A sound file.

    Returns
    -------
    AudioInfo

    Raises
    ------
    InputError
        If it cannot be read as audio; the message does not repeat the path.
    """
    where = _about(path)
    with _open(where) as file:
        return _info_of(where, file)


def _blocks(file: Any, first: int, n_wanted: int | None) -> Iterator[np.ndarray[Any, Any]]:
    """Blocks of shape (samples, channels): never as many as a header claims at once."""
    import soundfile

    got = 0
    if first:
        try:
            file.seek(first)
        except soundfile.LibsndfileError as error:
            raise DamagedAudioError(
                f"cannot be read from {first / file.samplerate:g} s on ({_reason(error)}); it is "
                "damaged or shorter than its header says."
            ) from None
    # soundfile seeks after every read of a seekable file, and that fails where the header has a
    # wrong length or none.
    file.seekable = lambda: False
    while n_wanted is None or got < n_wanted:
        n = _BLOCK_SAMPLES if n_wanted is None else min(_BLOCK_SAMPLES, n_wanted - got)
        try:
            block = file.read(n, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            seconds = (first + got) / file.samplerate
            good = math.floor(100 * got / file.samplerate) / 100
            rescue = f", or take the good part with --duration {good:g}" if good else ""
            raise DamagedAudioError(
                f"is damaged after {seconds:.2f} s ({_reason(error)}); restore it from a "
                f"backup{rescue}."
            ) from None
        if len(block) == 0:
            return
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
    if not 0.0 <= start < math.inf or not (duration is None or 0.0 < duration < math.inf):
        raise ParameterError(
            f"start {start} must not be negative, duration {duration} must be above 0, and both "
            "finite."
        )
    where = _about(path)
    before = None
    notes: list[str] = []
    with _open(where) as file:
        before = where.stat()
        about = _info_of(where, file)
        first = round(start * about.sr)
        if first and first >= about.n_samples > 0:
            raise InputError(
                f"ends at {about.duration:.2f} s, before the start of {start:g} s; use an earlier "
                "--start."
            )
        n_wanted = None if duration is None else max(1, round(duration * about.sr))
        blocks: deque[np.ndarray[Any, Any]] = deque()
        n_got = 0
        for block in _blocks(file, first, n_wanted):
            blocks.append(block)
            n_got += len(block)
            if n_most is not None and n_got > n_most:
                raise RefusedError(
                    f"is longer than the {n_most / about.sr:.0f} s that fit into free memory; take "
                    "it in parts with --start and --duration."
                )
        expected = about.n_samples - first
        if n_wanted is not None:
            expected = min(expected, n_wanted)
    if _changed(before, where):
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
    samples = np.empty((about.n_channels, n_got), dtype=np.float32)
    at = 0
    while blocks:
        block = blocks.popleft()
        samples[:, at : at + len(block)] = block.T
        at += len(block)
    return Recording(audio=Audio(samples=samples, sr=about.sr), info=about, warnings=tuple(notes))


def _sample_bytes(subtype: str) -> int:
    return {"PCM_16": 2, "PCM_24": 3, "PCM_32": 4, "FLOAT": 4, "DOUBLE": 8}.get(subtype, 1)


def _changed(before: os.stat_result, path: Path) -> bool:
    try:
        after = path.stat()
    except OSError:
        return True
    return (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns)


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
        raise type(error)(f"{_about(path)} {error}") from None
    for note in recording.warnings:
        warnings.warn(f"{_about(path)}: {note}", stacklevel=2)
    return recording.audio


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
