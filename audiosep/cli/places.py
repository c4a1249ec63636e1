"""What is in a folder of stems, whether on a disk here or in a remote store."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Literal, Protocol
from uuid import uuid4

from audiosep.errors import OutputError
from audiosep.io.evidence import EVIDENCE_NAMES
from audiosep.io.naming import display, is_recording_name
from audiosep.io.placing import beside, check_writable, why
from audiosep.io.urls import Place, Url
from audiosep.records import RECORD_NAME, read_record, write_record

if TYPE_CHECKING:
    from audiosep.io.remote import Listing

__all__ = [
    "UNFINISHED_NAME",
    "OnDisk",
    "Remote",
    "Shelf",
    "Stored",
    "check_place",
    "replace_record",
    "shelf_at",
]

UNFINISHED_NAME = ".audiosep-unfinished"
"""Object beside stems that are being put: without a record, they are ours and not yet all there."""

Condition = Literal["same", "changed", "missing"]


@dataclass(frozen=True, kw_only=True)
class Stored:
    """A file as a record tells of it.

    Parameters
    ----------
    name : str
        In its folder.
    sha256 : str
        Of its bytes.
    size : int or None
        Bytes, where it was put into a remote store.
    etag : str
        What the store said of it then.
    """

    name: str
    sha256: str
    size: int | None = None
    etag: str = ""


class Shelf(Protocol):
    """A folder of stems."""

    def exists(self) -> bool:
        """Whether anything is there."""
        ...

    def is_file(self) -> bool:
        """Whether a file is there, in the way of a folder."""
        ...

    def record(self) -> dict[str, Any] | None:
        """Record of a finished run."""
        ...

    def is_finished(self) -> bool:
        """Whether there is a record, whatever it says."""
        ...

    def holds_others(self) -> bool:
        """Whether files are there that could be stems; asked where there is no record."""
        ...

    def condition(self, file: Stored) -> Condition:
        """Whether a file is as it was written."""
        ...

    def tidy(self) -> None:
        """Remove what a run that died left beside a finished track."""
        ...


@dataclass(frozen=True)
class OnDisk:
    """A folder on a disk: files are compared by all of their bytes."""

    place: Path

    def exists(self) -> bool:
        """Whether anything is there."""
        return self.place.exists()

    def is_file(self) -> bool:
        """Whether a file is there, in the way of a folder."""
        return self.place.exists() and not self.place.is_dir()

    def record(self) -> dict[str, Any] | None:
        """Record of a finished run."""
        return read_record(self.place)

    def is_finished(self) -> bool:
        """Whether there is a record, whatever it says."""
        return (self.place / RECORD_NAME).is_file()

    def holds_others(self) -> bool:
        """Whether files are there that could be stems.

        Raises
        ------
        OutputError
            If the folder cannot be looked into.
        """
        try:
            return self.place.is_dir() and any(_could_be_ours(p) for p in self.place.iterdir())
        except OSError as error:
            raise OutputError(
                f"{display(self.place)} cannot be listed: {error.strerror}."
            ) from None

    def condition(self, file: Stored) -> Condition:
        """Whether a file is as it was written."""
        from audiosep.io.header import sha256_of

        path = self.place / file.name
        try:
            if not path.is_file():
                return "missing"
            return "same" if sha256_of(path) == file.sha256 else "changed"
        except OSError:  # a stem that cannot be read is not the stem that was written
            return "changed"

    def tidy(self) -> None:
        """Do nothing: here, tracks come into place in one step."""


@dataclass(frozen=True)
class Remote:
    """A folder in a remote store: files are compared by size and entity tag, in one listing."""

    place: Url

    @cached_property
    def held(self) -> Listing:
        """What is there, as it was when first asked."""
        from audiosep.io.remote import listing

        return listing(self.place)

    def exists(self) -> bool:
        """Whether anything is there."""
        return bool(self.held) or self.is_file()

    def is_file(self) -> bool:
        """Whether a file is there; in an object store it is in nobody's way."""
        return False

    def record(self) -> dict[str, Any] | None:
        """Record of a finished run."""
        from audiosep.io.remote import read_text

        if RECORD_NAME not in self.held.files:
            return None
        try:
            record = json.loads(read_text(self.place / RECORD_NAME) or "")
        except (ValueError, RecursionError):
            return None
        return record if isinstance(record, dict) else None

    def is_finished(self) -> bool:
        """Whether there is a record, whatever it says."""
        return RECORD_NAME in self.held.files

    def holds_others(self) -> bool:
        """Whether files are there that could be stems, and were not left by a run that died."""
        if UNFINISHED_NAME in self.held.files:
            return False
        return any(_could_be_ours(PurePath(name)) for name in self.held.files)

    def condition(self, file: Stored) -> Condition:
        """Whether a file is as it was put."""
        state = self.held.files.get(file.name)
        if state is None:
            return "missing"
        return "same" if (state.size, state.etag) == (file.size, file.etag) else "changed"

    def tidy(self) -> None:
        """Remove what a run that died left beside a finished track."""
        from audiosep.io.remote import remove

        if UNFINISHED_NAME in self.held.files:
            remove(self.place / UNFINISHED_NAME)


def shelf_at(place: Place) -> Shelf:
    """Folder of stems at a place."""
    return Remote(place) if isinstance(place, Url) else OnDisk(place)


def _could_be_ours(path: PurePath) -> bool:
    return is_recording_name(path) or path.name in EVIDENCE_NAMES


def check_place(out: Place) -> None:
    """Try an output folder, before any work is done.

    Raises
    ------
    OutputError
        If nothing can be written there.
    UsageError
        If it is an address, and what is needed to follow it is not installed.
    """
    if not isinstance(out, Url):
        check_writable(out)
        return
    from audiosep.io.remote import check_scheme, put_text, remove

    check_scheme(out)
    # Stems are put, and removed where they are replaced: both must be permitted.
    probe = out / f".audiosep-try-{uuid4().hex}"
    try:
        put_text("", probe)
        remove(probe)
    except OutputError as error:
        raise OutputError(str(error).replace(str(probe), display(out))) from None


def replace_record(place: Path, record: dict[str, Any]) -> None:
    """Write the record of a folder on a disk anew, in one step.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    with beside(place) as new:
        write_record(new, record)
        try:
            os.replace(new / RECORD_NAME, place / RECORD_NAME)
        except OSError as error:
            raise OutputError(f"cannot write to {display(place)}: {why(error)}.") from None
