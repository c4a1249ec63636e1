"""The mixture, from a file or an array, and its description for the record."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from audiosep.errors import InputError, ParameterError, RefusedError, UsageError
from audiosep.io import Recording, info, open_recording
from audiosep.io.reading import sha256_of
from audiosep.memory import available_bytes, bytes_per_sample
from audiosep.types import Audio

__all__ = ["load_mixture"]


def load_mixture(
    source: str | os.PathLike[str] | npt.ArrayLike | Audio,
    sr: int | None,
    *,
    start: float,
    duration: float | None,
    n_sources: int,
    voice: bool,
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
    n_sources : int
        How many stems are wanted; decides, with the next, how much memory they take.
    voice : bool
        As for :func:`audiosep.memory.bytes_per_sample`.

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
    path: Path | None = None
    recording: Recording | None = None
    own = source.sr if isinstance(source, Audio) else None
    if sr is not None and sr != own and isinstance(source, str | os.PathLike | Audio):
        raise ParameterError(f"sr={sr!r} is for arrays; a recording has its own sample rate.")
    if isinstance(source, str | os.PathLike):
        path = Path(os.fspath(source))
        try:
            free = available_bytes()
            about = info(path)
            each = bytes_per_sample(about.n_channels, n_sources, about.sr, voice=voice)
            n_most = None if free is None else free // each
            recording = open_recording(path, start=start, duration=duration, n_most=n_most)
        except (InputError, RefusedError) as error:
            raise type(error)(f"{path} {error}") from None
        audio = recording.audio
    else:
        if start != 0.0 or duration is not None:
            raise UsageError("start and duration are for files; slice the array instead.")
        audio = source if isinstance(source, Audio) else _wrap(source, sr)
    description = {
        "path": None if path is None else os.fsencode(path).decode("utf-8", "backslashreplace"),
        "sha256": None if path is None else sha256_of(path),
        "format": None if recording is None else recording.info.format,
        "subtype": None if recording is None else recording.info.subtype,
        "bits": "float" if recording is None else recording.info.bits,
        "sr": audio.sr,
        "n_channels": audio.n_channels,
        "n_samples": audio.n_samples,
        "start": start,
        "duration": duration,
    }
    warnings = [] if recording is None else list(recording.warnings)
    if audio.peak == 0.0:
        warnings.append("the recording is silent, and so are the stems.")
    return audio, {"input": description, "warnings": warnings, "path": path}


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
