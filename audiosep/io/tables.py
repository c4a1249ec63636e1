"""Factors as tables: CSV for spreadsheets, NumPy's own format for programs, and back."""

from __future__ import annotations

import csv
import io
import math
import stat
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from audiosep.errors import InputError, OutputError
from audiosep.io.naming import display
from audiosep.types import FloatArray

__all__ = ["read_activations", "write_arrays", "write_table"]

_TIME = "time_s"
_NPZ_NAME = "activations"
_LARGEST_BYTES = 2**31
_LARGEST = 3e38  # float32
_HEADER_BYTES = 2**16
_LONGEST_NUMBER = 64
"""Bytes of one in a table, with all that programs put around it."""


def write_table(
    path: Path, axis_name: str, axis: FloatArray, names: Sequence[str], values: FloatArray
) -> None:
    """Write rows of numbers with a named axis as CSV.

    Parameters
    ----------
    path : Path
        Where to; replaced if it exists.
    axis_name : str
        Name of the first column.
    axis : np.ndarray [shape=(n_rows,)]
        The first column.
    names : sequence of str
        Names of the other columns.
    values : np.ndarray [shape=(n_rows, n_columns)]
        float32 numbers are written so that reading them gives the same numbers.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    head = io.StringIO()
    csv.writer(head, lineterminator="\n").writerow([axis_name, *names])
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            file.write(head.getvalue())
            line = ",".join(["%.9g"] * values.shape[1])
            for place, row in zip(axis.tolist(), values, strict=True):
                file.write(f"{place:.6f},{line % tuple(row.tolist())}\n")
    except OSError as error:
        raise OutputError(f"cannot write {display(path)}: {error.strerror}.") from None


def write_arrays(path: Path, **arrays: FloatArray) -> None:
    """Write named arrays as ``.npz``; the same numbers give the same bytes.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    try:
        with path.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
    except OSError as error:
        raise OutputError(f"cannot write {display(path)}: {error.strerror}.") from None


def read_activations(
    path: Path, names: Sequence[str], n_frames: int
) -> dict[int, npt.NDArray[np.float32]]:
    """Read activations that were written as a table, and perhaps edited.

    Parameters
    ----------
    path : Path
        ``.npz`` with an array ``activations`` (n_components, n_frames), or CSV with a column for
        the time and one for each component that is to be read, by their names in any order.
    names : sequence of str
        What the columns of the components are called.
    n_frames : int
        How many numbers each must have.

    Returns
    -------
    dict of int to np.ndarray [shape=(n_frames,), dtype=float32]
        By the component's place in `names`.

    Raises
    ------
    InputError
        If it is no such table, a number is negative or none, or there are more of them than there
        can be: no more is read than these take.
    """
    try:
        if not stat.S_ISREG((about := path.stat()).st_mode):
            raise InputError(f"{display(path)} is no file; give a table of activations.")
        packed = path.suffix.lower() == ".npz"
        most = _HEADER_BYTES + _LONGEST_NUMBER * (len(names) + 1) * (n_frames + 1)
        # Other arrays may lie beside the one that is read.
        if about.st_size > (_LARGEST_BYTES if packed else most):
            raise InputError(
                f"{display(path)} is too large for activations of {len(names)} components in "
                f"{n_frames} frames."
            )
        if packed:
            found = _from_arrays(path, len(names), n_frames)
        else:
            found = _from_table(path, names, n_frames)
    except OSError as error:
        raise InputError(f"{display(path)} cannot be read: {error.strerror}.") from None
    for place, values in found.items():
        if not ((values >= 0) & (values < _LARGEST)).all():
            frame = int(np.flatnonzero(~((values >= 0) & (values < _LARGEST)))[0])
            raise InputError(
                f"{display(path)}: {names[place]} is {values[frame]:g} in row {frame + 1}; "
                "activations are numbers of at least 0."
            )
    return {place: values.astype(np.float32) for place, values in found.items()}


def _from_arrays(path: Path, K: int, n_frames: int) -> dict[int, FloatArray]:
    try:
        with zipfile.ZipFile(path) as archive:
            # What is small in the file may be enormous in memory.
            size = archive.getinfo(f"{_NPZ_NAME}.npy").file_size
            with archive.open(f"{_NPZ_NAME}.npy") as member:
                _check_promise(member, size)
        if size > _HEADER_BYTES + 8 * K * n_frames:
            raise InputError(f"{display(path)}: {_NPZ_NAME} are more than {K} x {n_frames}.")
        with np.load(path, allow_pickle=False) as content:
            values = content[_NPZ_NAME]
    except (
        ValueError,
        KeyError,
        EOFError,
        MemoryError,
        RuntimeError,
        zlib.error,
        zipfile.BadZipFile,
    ):
        raise InputError(
            f"{display(path)} holds no array of numbers called {_NPZ_NAME!r}, or is damaged."
        ) from None
    if values.shape != (K, n_frames) or values.dtype.kind not in "fiu":
        raise InputError(
            f"{display(path)}: activations are {values.dtype} {values.shape}; expected numbers "
            f"({K}, {n_frames})."
        )
    return dict(enumerate(values.astype(np.float64)))


def _check_promise(member: IO[bytes], size: int) -> None:
    """Refuse an array that says it is larger than its file: room would be made for it."""
    version = np.lib.format.read_magic(member)
    if version == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(member)
    elif version == (2, 0):
        shape, _, dtype = np.lib.format.read_array_header_2_0(member)
    else:
        raise ValueError
    if math.prod(shape) * dtype.itemsize > size:
        raise ValueError


def _number(cell: str, path: Path, line: int) -> float:
    try:
        return float(cell)
    except ValueError:
        raise InputError(
            f"{display(path)} is no table of numbers: line {line} holds {display(cell[:40])!r}; "
            "write a number there."
        ) from None


def _from_table(path: Path, names: Sequence[str], n_frames: int) -> dict[int, FloatArray]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file)
            head = [cell.strip() for cell in next(rows, [])]
            if head[:1] != [_TIME] or len(head) < 2:
                raise InputError(
                    f"{display(path)} is no table of activations: its first line must be "
                    f"{_TIME} and names of components."
                )
            unknown = [name for name in head[1:] if name not in names]
            if unknown or len(set(head)) != len(head):
                raise InputError(
                    f"{display(path)}: the columns must be different ones of "
                    f"{names[0]} to {names[-1]}, got {', '.join(map(display, head[1:]))}."
                )
            values = np.empty((n_frames, len(head)))
            n_rows = 0
            for row in rows:
                if not row:
                    continue
                if len(row) != len(head):
                    raise InputError(
                        f"{display(path)} is no table of numbers: line {rows.line_num} has "
                        f"{len(row)} of them; expected {len(head)}, one for each column."
                    )
                if n_rows < n_frames:
                    values[n_rows] = [_number(cell, path, rows.line_num) for cell in row]
                n_rows += 1
    except UnicodeDecodeError:
        raise InputError(f"{display(path)} is no text in UTF-8; export it as CSV again.") from None
    except (ValueError, csv.Error):
        words = "is no table of numbers as CSV; export it again"
        raise InputError(f"{display(path)} {words}.") from None
    if n_rows != n_frames:
        raise InputError(
            f"{display(path)} has {n_rows} rows of numbers; expected {n_frames}, one for each "
            "frame."
        )
    return {names.index(name): values[:, i + 1] for i, name in enumerate(head[1:])}
