"""The mixture, from a file or an array, and its description for the record."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from audiosep.chunks import CHUNK_S
from audiosep.errors import DamagedAudioError, InputError, ParameterError, RefusedError, UsageError
from audiosep.io import AudioInfo, ReadOptions, info, open_recording
from audiosep.io.header import sha256_of, state_of
from audiosep.io.naming import told
from audiosep.io.read_options import AS_IT_IS
from audiosep.io.reading import scan_recording
from audiosep.io.tapes import FileTape
from audiosep.memory import Work
from audiosep.types import Audio, Tape

__all__ = ["Loaded", "load_mixture", "load_tape"]


def load_mixture(
    source: str | os.PathLike[str] | npt.ArrayLike | Audio,
    sr: int | None,
    *,
    start: float,
    duration: float | None,
    work: Work,
    reading: ReadOptions = AS_IT_IS,
) -> tuple[Audio, dict[str, Any]]:
    """Read or wrap the mixture, and describe it for the record.

    Parameters
    ----------
    source : path-like, Audio or array_like [shape=(n_samples,) or (n_channels, n_samples)]
        A sound file, or samples at full scale 1.0. Never changed.
    sr : int or None
        Sample rate in Hz; needed with an array.
    start : float >= 0
        First second, for files.
    duration : float > 0 or None
        Seconds, for files.
    work : Work
        What is to be done with it: decides how long it may be for the memory that is free.
    reading : ReadOptions
        What to do with damaged files.

    Returns
    -------
    mixture : Audio
        float32.
    about : dict
        ``input`` and ``warnings`` of the record, and the ``path`` of the file, or None.

    Raises
    ------
    InputError
        If the recording cannot be used; the message starts with its path.
    RefusedError
        If it is longer than what fits into free memory.
    UsageError
        If an array comes without its rate or with a part, or a file with a rate.
    """
    _check_rate(source, sr)
    if isinstance(source, str | os.PathLike):
        path = Path(os.fspath(source))
        try:
            about = info(path, stream=reading.stream)
            n_most = work.most_samples(about.n_channels, about.sr)
            recording = open_recording(
                path, start=start, duration=duration, n_most=n_most, options=reading
            )
        except (InputError, RefusedError) as error:
            raise type(error)(f"{path} {error}") from None
        audio = recording.audio
        described = _described(audio, path, recording.info, start, duration, recording.warnings)
        return audio, _with_reading(described, reading, is_damaged=recording.is_damaged)
    audio = _in_memory(source, sr, start, duration)
    work.check(audio.n_samples, audio.n_channels, audio.sr)
    return audio, _described(audio, None, None, start, duration, ())


@dataclass(frozen=True, kw_only=True, eq=False)
class Loaded:
    """A recording that is to be taken apart.

    Parameters
    ----------
    tape : Tape
        The recording.
    about : dict
        As :func:`load_mixture` describes it.
    state : tuple of int or None
        Of its file, when it was read.
    """

    tape: Tape
    about: dict[str, Any]
    state: tuple[int, ...] | None = None

    def check(self) -> None:
        """Make sure that the file is what it was.

        Raises
        ------
        InputError
            If it has been written to or replaced.
        """
        path = self.about["path"]
        if path is not None and state_of(path) != self.state:
            raise InputError(
                f"{path} changed while it was read; run the same command again when it is complete."
            )


def load_tape(
    source: str | os.PathLike[str] | npt.ArrayLike | Audio,
    sr: int | None,
    *,
    start: float,
    duration: float | None,
    reading: ReadOptions = AS_IT_IS,
) -> Loaded:
    """Open a recording of any length; what is no longer than a chunk is kept in memory.

    Parameters
    ----------
    source, sr, start, duration, reading
        As for :func:`load_mixture`.

    Returns
    -------
    Loaded

    Raises
    ------
    InputError
        If the recording cannot be used; the message starts with its path.
    UsageError
        If an array comes without its rate or with a part, or a file with a rate.
    """
    _check_rate(source, sr)
    if not isinstance(source, str | os.PathLike):
        audio = _in_memory(source, sr, start, duration)
        return Loaded(tape=audio, about=_described(audio, None, None, start, duration, ()))
    path = Path(os.fspath(source))
    try:
        before = info(path, stream=reading.stream)
        n_kept = round(CHUNK_S * before.sr)
        scan = scan_recording(path, start=start, duration=duration, n_kept=n_kept, options=reading)
        # A decoder takes what it cannot read of a header for zeros, and goes on without a word.
        if scan.info != before and not scan.warnings:
            raise DamagedAudioError("has a header that reads in two ways; check its disk.")
    except (InputError, RefusedError) as error:
        raise type(error)(f"{path} {error}") from None
    tape = FileTape.of(path, scan) if scan.audio is None else scan.audio
    about = _described(tape, path, scan.info, start, duration, scan.warnings)
    about = _with_reading(about, reading, is_damaged=scan.is_damaged)
    return Loaded(tape=tape, about=about, state=scan.state)


def _check_rate(source: object, sr: int | None) -> None:
    own = source.sr if isinstance(source, Audio) else None
    if sr is not None and sr != own and isinstance(source, str | os.PathLike | Audio):
        raise ParameterError(f"sr={sr!r} is for arrays; a recording has its own sample rate.")


def _in_memory(
    source: npt.ArrayLike | Audio, sr: int | None, start: float, duration: float | None
) -> Audio:
    if start != 0.0 or duration is not None:
        raise UsageError("start and duration are for files; slice the array instead.")
    return source if isinstance(source, Audio) else _wrap(source, sr)


def _described(
    tape: Tape,
    path: Path | None,
    about: AudioInfo | None,
    start: float,
    duration: float | None,
    notes: tuple[str, ...],
) -> dict[str, Any]:
    description = {
        "path": None if path is None else told(path),
        "sha256": None if path is None else sha256_of(path),
        "format": None if about is None else about.format,
        "subtype": None if about is None else about.subtype,
        "bits": "float" if about is None else about.bits,
        "sr": tape.sr,
        "n_channels": tape.n_channels,
        "n_samples": tape.n_samples,
        "start": start,
        "duration": duration,
    }
    warnings = list(notes)
    if tape.peak == 0.0:
        warnings.append("the recording is silent, and so are the stems.")
    return {"input": description, "warnings": warnings, "path": path}


def _with_reading(
    about: dict[str, Any], reading: ReadOptions, *, is_damaged: bool
) -> dict[str, Any]:
    """Note how a file was read, where that is not as usual."""
    how = {"reading": reading.recorded()} if reading.recorded() else {}
    damage = {"damaged": True} if is_damaged else {}
    return about | {"input": about["input"] | how | damage}


def _wrap(samples: npt.ArrayLike, sr: int | None) -> Audio:
    if sr is None:
        raise ParameterError("an array needs its sample rate: separate(samples, sr).")
    array = np.asarray(samples)
    if array.dtype.kind not in "f":
        raise ParameterError(
            f"samples have dtype {array.dtype}; give floats at full scale 1.0, for 16-bit integers "
            "x / 32768."
        )
    if array.ndim == 1:
        array = array[np.newaxis]
    if array.ndim != 2:
        raise ParameterError(f"samples have shape {array.shape}; expected (channels, samples).")
    if array.shape[0] > array.shape[1] > 0 and array.shape[0] > 1024:
        raise ParameterError(
            f"samples of shape {array.shape} look transposed; expected (channels, samples)."
        )
    return Audio(samples=array.astype(np.float32), sr=sr)
