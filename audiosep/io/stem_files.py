"""Written stems as the numbers they are stored as: read, changed and written again exactly.

Integer formats stay integers, so that what one stem gives and another takes adds up to nothing.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from audiosep.errors import InputError, OutputError, RefusedError
from audiosep.io import formats
from audiosep.io.formats import Bits, Format
from audiosep.io.header import sha256_of
from audiosep.io.naming import display
from audiosep.io.stem_writer import create_file, sync_file
from audiosep.types import LOUDEST

__all__ = ["copy_stem", "fits_range", "full_scale", "read_stem", "stem_blocks", "write_stem"]

_BLOCK_SAMPLES = 1 << 17

_DTYPES: dict[Bits, str] = {16: "int16", 24: "int32", "float": "float32"}


def full_scale(bits: Bits) -> float:
    """Return what a sample of 1.0 is stored as.

    Parameters
    ----------
    bits : {16, 24, "float"}
        Depth of a stem.

    Returns
    -------
    float
        ``2 ** (bits - 1)``, or 1.0 for floats.
    """
    return 1.0 if bits == "float" else 2.0 ** (bits - 1)


def fits_range(values: npt.NDArray[Any], bits: Bits) -> bool:
    """Tell whether samples can be stored in that many bits.

    Parameters
    ----------
    values : np.ndarray
        Samples as :func:`read_stem` returns them, or sums of such.
    bits : {16, 24, "float"}
        Depth of the stem.

    Returns
    -------
    bool
        Floats always can.
    """
    if bits == "float" or values.size == 0:
        return True
    return bool(values.min() >= -(2 ** (bits - 1)) and values.max() < 2 ** (bits - 1))


def read_stem(path: Path, *, bits: Bits, sr: int, n_channels: int, n_samples: int) -> Any:
    """Read the samples of a stem as they are stored.

    Parameters
    ----------
    path : Path
        A file that was written as a stem.
    bits : {16, 24, "float"}
        Its depth.
    sr, n_channels, n_samples : int
        What it must be.

    Returns
    -------
    np.ndarray [shape=(n_samples, n_channels), dtype=int16, int32 or float32]
        Integers at ``2 ** (bits - 1)`` for full scale.

    Raises
    ------
    InputError
        If it is no such file.
    """
    values = np.empty((n_samples, n_channels), dtype=_DTYPES[bits])
    at = 0
    for block in stem_blocks(path, bits=bits, sr=sr, n_channels=n_channels, n_samples=n_samples):
        values[at : at + len(block)] = block
        at += len(block)
    return values


def stem_blocks(
    path: Path, *, bits: Bits, sr: int, n_channels: int, n_samples: int
) -> Iterator[npt.NDArray[Any]]:
    """Read the samples of a stem as they are stored, a few at a time.

    Parameters
    ----------
    path, bits, sr, n_channels, n_samples
        As for :func:`read_stem`.

    Yields
    ------
    np.ndarray [shape=(some, n_channels), dtype=int16, int32 or float32]
        Consecutive; used again for the next ones. `n_samples` in all.

    Raises
    ------
    InputError
        If it is no such file.
    """
    import soundfile

    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise InputError(f"{display(path)} cannot be read: it is no file.")
        with soundfile.SoundFile(os.fsencode(path)) as file:
            found = (file.samplerate, file.channels, file.frames, file.subtype)
            wanted = (sr, n_channels, n_samples, formats.subtype_for(bits))
            if found != wanted:
                raise InputError(
                    f"{display(path)} is not the stem that was written: {_other(found, wanted)}; "
                    "put it back, or make it again with 'audiosep split --exists repair'."
                )
            room = np.empty((min(n_samples, _BLOCK_SAMPLES), n_channels), dtype=_DTYPES[bits])
            at = 0
            while at < n_samples:
                block = file.read(out=room[: n_samples - at], always_2d=True)
                if not len(block):
                    raise InputError(f"{display(path)} ends after {at} of {n_samples} samples.")
                at += len(block)
                yield _checked(block, path, bits)
    except (soundfile.LibsndfileError, OSError) as error:
        raise InputError(f"{display(path)} cannot be read: {_why(error)}.") from None


def _other(found: tuple[Any, ...], wanted: tuple[Any, ...]) -> str:
    """What a stem has that it should not have."""
    for name, has, had in zip(
        ("a rate of {} Hz", "{} channels", "{} samples", "the depth {}"), found, wanted, strict=True
    ):
        if has != had:
            return f"it has {name.format(has)}, not {had}"
    raise AssertionError("they are the same")


def _checked(values: npt.NDArray[Any], path: Path, bits: Bits) -> npt.NDArray[Any]:
    if bits == 24:  # libsndfile puts fewer bits at the upper end of the word
        values >>= 8
    # Written so that it is false for what is not a number, too.
    if bits == "float" and not -LOUDEST <= values.min() <= values.max() <= LOUDEST:
        raise InputError(f"{display(path)} holds samples that are no numbers.")
    return values


def write_stem(
    path: Path, values: npt.NDArray[Any], *, bits: Bits, format_: Format, sr: int
) -> str:
    """Write samples as they are to be stored, and read them again.

    Parameters
    ----------
    path : Path
        Where to, in a temporary folder.
    values : np.ndarray [shape=(n_samples, n_channels), dtype=int32 or float32]
        As :func:`read_stem` returns them, in the range of `bits`.
    bits, format_
        How to store them.
    sr : int
        Sample rate in Hz.

    Returns
    -------
    str
        SHA-256 of the file.

    Raises
    ------
    OutputError
        If it cannot be written, or does not read back as it was written.
    ParameterError
        If the format cannot hold it.
    """
    import soundfile

    n_samples, n_channels = values.shape
    container = formats.container_for(format_, bits, sr, n_channels, n_samples)
    try:
        with create_file(path, container, bits, sr, n_channels) as file:
            for first in range(0, n_samples, _BLOCK_SAMPLES):
                file.write(_stored(values[first : first + _BLOCK_SAMPLES], bits))
        sync_file(path)
        with soundfile.SoundFile(os.fsencode(path)) as file:
            for first in range(0, n_samples, _BLOCK_SAMPLES):
                part = _stored(values[first : first + _BLOCK_SAMPLES], bits)
                again = file.read(len(part), dtype=part.dtype.name, always_2d=True)
                if not np.array_equal(again, part):
                    raise OutputError(f"{path.name} does not read back as it was written.")
    except (soundfile.LibsndfileError, OSError) as error:
        raise OutputError(
            f"cannot write {display(path.name)} ({_why(error)}); is the disk full?"
        ) from None
    return _digest(path)


def _stored(values: npt.NDArray[Any], bits: Bits) -> npt.NDArray[Any]:
    """Samples in the type that soundfile stores without changing a bit."""
    return np.ascontiguousarray(values << 8 if bits == 24 else values, dtype=_DTYPES[bits])


def copy_stem(source: Path, target: Path, sha256: str) -> None:
    """Copy a stem that nothing is changed in, if it still is what was written.

    Parameters
    ----------
    source : Path
        The stem.
    target : Path
        Where to, in a temporary folder.
    sha256 : str
        Digest of the stem when it was written, in hexadecimal.

    Raises
    ------
    RefusedError
        If it is no longer the file of that digest.
    OutputError
        If it cannot be copied.
    """
    try:
        shutil.copyfile(source, target)
        sync_file(target)
    except OSError as error:
        raise OutputError(f"cannot copy {display(source)}: {_why(error)}.") from None
    # Of the copy: this vouches for both.
    if _digest(target) != sha256:
        raise RefusedError(
            f"{display(source)} is damaged or edited since it was written; put the stem back "
            "as it was, or make it again with 'audiosep split --exists repair'."
        )


def _digest(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError as error:
        raise OutputError(f"cannot read {display(path)} again: {_why(error)}.") from None


def _why(error: Exception) -> str:
    text = getattr(error, "strerror", None) or getattr(error, "error_string", None) or error
    return str(text).removeprefix("Error : ").rstrip(".")
