"""Many sound files as the channels of one, sample for sample."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from audiosep.errors import InputError, OutputError
from audiosep.io import formats
from audiosep.io.formats import Bits
from audiosep.io.header import reason_of
from audiosep.io.naming import display
from audiosep.io.placing import why
from audiosep.io.stem_writer import create_file, sync_file

__all__ = ["write_multitrack"]

_BLOCK_VALUES = 1 << 20
_DTYPES: dict[Bits, str] = {16: "int16", 24: "int32", "float": "float32"}


def write_multitrack(
    path: Path, sources: Sequence[Path], *, bits: Bits, sr: int, n_channels: int, n_samples: int
) -> str:
    """Put the channels of sound files beside each other into one WAV file.

    Only a block of each is in memory at a time. What was written is read again and compared.

    Parameters
    ----------
    path : Path
        Where to, in a temporary folder.
    sources : sequence of Path
        Of the same rate, channels and length, in the order of their channels.
    bits : {16, 24, "float"}
        Depth of all of them.
    sr, n_channels, n_samples : int
        What each of them is.

    Returns
    -------
    str
        The container: ``"WAV"``, or ``"RF64"`` for more than 4 GiB.

    Raises
    ------
    InputError
        If a source cannot be read, or is not what it should be.
    OutputError
        If the file cannot be written or does not read back as it was written.
    ParameterError
        If there are more channels than a file can have.
    """
    import soundfile

    n_all = n_channels * len(sources)
    container = formats.container_for("wav", bits, sr, n_all, n_samples)
    try:
        with create_file(path, container, bits, sr, n_all) as file:
            for block in _blocks(sources, bits, n_all, n_samples):
                file.write(block)
        sync_file(path)
        with soundfile.SoundFile(os.fsencode(path)) as file:
            if file.frames != n_samples or file.channels != n_all:
                raise OutputError(f"{display(path.name)} does not read back as it was written.")
            for block in _blocks(sources, bits, n_all, n_samples):
                again = file.read(len(block), dtype=_DTYPES[bits], always_2d=True)
                if again.tobytes() != block.tobytes():
                    raise OutputError(f"{display(path.name)} does not read back as it was written.")
    except (soundfile.LibsndfileError, OSError) as error:
        raise OutputError(
            f"cannot write {display(path.name)} ({why(error)}); is the disk full?"
        ) from None
    return container


def _blocks(
    sources: Sequence[Path], bits: Bits, n_all: int, n_samples: int
) -> Iterator[npt.NDArray[Any]]:
    """Samples of all sources beside each other, as they are stored."""
    import soundfile

    length = max(1, _BLOCK_VALUES // n_all)
    with ExitStack() as stack:
        handles = []
        for source in sources:
            try:
                handles.append(stack.enter_context(soundfile.SoundFile(os.fsencode(source))))
            except (soundfile.LibsndfileError, OSError) as error:
                raise InputError(f"{display(source)} cannot be read: {reason_of(error)}.") from None
        for first in range(0, n_samples, length):
            n = min(length, n_samples - first)
            parts = [_part(h, s, n, bits) for h, s in zip(handles, sources, strict=True)]
            block = np.concatenate(parts, axis=1)
            if block.shape != (n, n_all):
                raise InputError(f"the stems beside {display(sources[0])} are not of one shape.")
            yield block


def _part(handle: Any, source: Path, n: int, bits: Bits) -> npt.NDArray[Any]:
    import soundfile

    try:
        values: npt.NDArray[Any] = handle.read(n, dtype=_DTYPES[bits], always_2d=True)
    except (soundfile.LibsndfileError, OSError) as error:
        raise InputError(f"{display(source)} cannot be read: {reason_of(error)}.") from None
    if len(values) != n:
        raise InputError(f"{display(source)} ends before the other stems do.")
    return values
