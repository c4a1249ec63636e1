"""The record of a folder of stems: written last, and read as what anyone may have written."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeGuard

from audiosep.errors import InputError, OutputError
from audiosep.io.header import sha256_of
from audiosep.io.naming import display

__all__ = [
    "RECORD_NAME",
    "as_mapping",
    "digest_of",
    "finished_record",
    "is_digest",
    "is_own_file",
    "made_again",
    "odd_record",
    "read_record",
    "recorded_files",
    "write_record",
]

RECORD_NAME = "audiosep.json"
_LONGEST_NAME = 255
_DIGEST = re.compile("[0-9a-f]{64}")


def write_record(folder: Path, record: dict[str, Any]) -> None:
    """Write the record of a folder: the last of its files, made to last.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    text = json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False)
    try:
        with (folder / RECORD_NAME).open("w", encoding="utf-8") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise OutputError(f"cannot write {RECORD_NAME}: {error.strerror}.") from None


def read_record(place: Path) -> dict[str, Any] | None:
    """Read the record of a finished folder; None where there is no valid one."""
    try:
        record = json.loads((place / RECORD_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def finished_record(place: Path, makers: str = "'audiosep split'") -> dict[str, Any]:
    """Read the record of a folder that must have one.

    Parameters
    ----------
    place : Path
        The folder.
    makers : str
        Which commands make such folders, for the error.

    Returns
    -------
    dict

    Raises
    ------
    InputError
        If there is none.
    """
    record = read_record(place)
    if record is None:
        raise InputError(
            f"{display(place)} holds no finished separation: it has no {RECORD_NAME} that can be "
            f"read; name a folder that {makers} made."
        )
    return record


def odd_record(place: Path) -> InputError:
    """Return the error of a folder whose record is none that a command has written."""
    return InputError(
        f"{display(place / RECORD_NAME)} is not as it was written; "
        "'audiosep split --exists overwrite' makes it again."
    )


def made_again(record: Mapping[str, Any]) -> str:
    """What makes files of a folder again that are not as they were written, in words."""
    changes = as_mapping(record.get("settings"))
    if "regrouped" in changes or "painted" in changes:
        return "make these stems again in a new folder"
    if record.get("method") == "atoms":
        return "'audiosep atoms --exists overwrite' makes it again"
    return "'audiosep split --exists repair' makes it again"


def is_own_file(name: object) -> TypeGuard[str]:
    """Whether a record names a file of its own folder, and no place outside it."""
    return (
        isinstance(name, str)
        and 0 < len(name) <= _LONGEST_NAME
        and name != ".."
        and name.isprintable()
        and Path(name).name == name
    )


def recorded_files(record: dict[str, Any] | None) -> list[str]:
    """Return names of files in a record: nothing outside its folder."""
    told = record or {}
    names = [as_mapping(entry).get("file") for entry in as_mapping(told.get("stems")).values()]
    names += as_mapping(told.get("files"))
    return [name for name in names if is_own_file(name)]


def as_mapping(value: object) -> Mapping[str, Any]:
    """Return an entry of a record that must be a mapping; an empty one where it is none."""
    return value if isinstance(value, dict) else {}


def is_digest(value: object) -> bool:
    """Whether an entry of a record is a SHA-256."""
    return isinstance(value, str) and _DIGEST.fullmatch(value) is not None


def digest_of(path: Path) -> str:
    """SHA-256 of a file that was written.

    Raises
    ------
    OutputError
        If it cannot be read again.
    """
    try:
        return sha256_of(path)
    except OSError as error:
        raise OutputError(f"cannot read {path.name} again: {error.strerror}.") from None
