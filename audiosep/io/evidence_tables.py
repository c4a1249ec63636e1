"""``melody.csv`` and ``onsets.csv``, read again; a person may have corrected them meanwhile."""

from __future__ import annotations

import csv
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from audiosep.errors import InputError, ParameterError
from audiosep.io.naming import display
from audiosep.types import Melody, Onsets

__all__ = ["read_melody", "read_onsets"]

_MELODY = ("time_s", "f0_hz", "strength")
_ONSETS = ("time_s", "label", "strength")


def read_melody(path: Path) -> Melody:
    """Read a melody as :func:`audiosep.io.evidence.write_melody` writes it.

    Parameters
    ----------
    path : Path
        ``time_s,f0_hz,strength``, one line a frame.

    Returns
    -------
    Melody

    Raises
    ------
    InputError
        If it cannot be read or is no melody.
    """
    columns = tuple(array("d") for _ in _MELODY)
    for row in _rows(path, _MELODY):
        for column, cell in zip(columns, row, strict=True):
            column.append(_number(path, cell))
    times_s, f0_hz, strengths = (_values(column) for column in columns)
    try:
        return Melody(times_s=times_s, f0_hz=f0_hz, strengths=strengths)
    except ParameterError as error:
        raise InputError(f"{display(path)} is no melody: {error}") from None


def read_onsets(path: Path) -> Onsets:
    """Read onsets as :func:`audiosep.io.evidence.write_onsets` writes them, in any order.

    Parameters
    ----------
    path : Path
        ``time_s,label,strength``, one line an onset.

    Returns
    -------
    Onsets

    Raises
    ------
    InputError
        If it cannot be read or holds no onsets.
    """
    rows = [(_number(path, t), label, _number(path, s)) for t, label, s in _rows(path, _ONSETS)]
    rows.sort(key=lambda row: row[0])
    try:
        return Onsets(
            times_s=np.array([row[0] for row in rows], dtype=np.float64),
            labels=tuple(row[1] for row in rows),
            strengths=np.array([row[2] for row in rows], dtype=np.float64),
        )
    except ParameterError as error:
        raise InputError(f"{display(path)} holds no onsets: {error}") from None


def _rows(path: Path, head: Sequence[str]) -> Iterator[list[str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file)
            if tuple(next(rows, [])) != tuple(head):
                raise InputError(f"{display(path)}: the first line must be {','.join(head)}.")
            for row in rows:
                if len(row) == len(head):
                    yield row
                elif row:
                    raise InputError(
                        f"{display(path)}: line {rows.line_num} has {len(row)} columns instead of "
                        f"{len(head)}."
                    )
    except UnicodeDecodeError:
        raise InputError(f"{display(path)} is no text in UTF-8, and so no table.") from None
    except (ValueError, csv.Error):
        raise InputError(f"{display(path)} is no table as CSV.") from None
    except OSError as error:
        raise InputError(f"{display(path)} cannot be read: {error.strerror}.") from None


def _number(path: Path, cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        raise InputError(f"{display(path)}: '{display(cell[:40])}' is no number.") from None


def _values(column: array[float]) -> npt.NDArray[np.float64]:
    return np.array(column, dtype=np.float64)
