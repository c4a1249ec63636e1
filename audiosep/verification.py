"""Stems that were written before, looked at again: all there, unchanged, and complete."""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audiosep.errors import InputError, ParameterError, without_salvage
from audiosep.io.header import check_is_file, info, sha256_of
from audiosep.io.naming import display, path_told
from audiosep.io.read_options import ReadOptions
from audiosep.io.reading import scan_recording
from audiosep.io.tapes import FileTape
from audiosep.io.urls import is_url
from audiosep.io.writing import DEEPEST_NULL_DB, LARGEST_FLOAT_DIFFERENCE, differences_of
from audiosep.records import RECORD_NAME, as_mapping, is_digest, made_again, read_record
from audiosep.types import Tape

__all__ = ["Verified", "verify"]

_MOST_DB = 1000.0
_MOST_S = 1e9
_MOST_SHOWN = 60
_MOST_RECORD_BYTES = 1 << 26
_SHAPE = ("sr", "n_channels", "n_samples")


@dataclass(frozen=True, kw_only=True)
class Verified:
    """What was found in a folder of stems.

    Parameters
    ----------
    folder : Path
        Where.
    problems : tuple of str
        What is wrong, in sentences; none where all is as it was written.
    notes : tuple of str
        What could not be looked at, in sentences.
    n_files : int
        Files that the record names.
    null_test_db : float or None
        Largest difference of the stems' sum from the recording in dB of full scale; None where
        the recording is no longer there.
    """

    folder: Path
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    n_files: int
    null_test_db: float | None

    @property
    def is_whole(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def verify(
    folder: str | os.PathLike[str], mixture: str | os.PathLike[str] | None = None
) -> Verified:
    """Check a folder of stems against its record, and against the recording where it is.

    Every file that the record names must be there with the SHA-256 that it was written with, all
    stems must have the rate, the channels and the length of the recording, and must add up to it:
    sample for sample in integer formats.

    Parameters
    ----------
    folder : path-like
        With an ``audiosep.json``.
    mixture : path-like, optional
        The recording; by default where the record says it was, if it is still the same.

    Returns
    -------
    Verified

    Raises
    ------
    InputError
        If the folder has no record that can be read, or `mixture` cannot be used.
    """
    place = Path(os.fspath(folder))
    _check_size(place)
    record = read_record(place)
    if record is None:
        how = "repair" if os.path.lexists(place / RECORD_NAME) else "overwrite"
        raise InputError(
            f"{place} has no {RECORD_NAME} that can be read, so nothing in it is known to be "
            f"complete; if it holds stems, 'audiosep split --exists {how}' makes them again."
        )
    about, stems, files = (as_mapping(record.get(key)) for key in ("input", "stems", "files"))
    entries = [(as_mapping(entry).get("file"), as_mapping(entry)) for entry in stems.values()]
    entries += [(name, as_mapping(entry)) for name, entry in files.items()]
    again = made_again(record)
    problems = [words for name, entry in entries if (words := _wrong(place, name, entry, again))]
    if not stems:
        problems.append(f"the record names no stem; {again}.")
    names = [name for name, _ in entries if isinstance(name, str)]
    if len(set(names)) < len(names):
        problems.append("the record was damaged or edited: it names a file twice.")
    problems += _odd(record, about)
    notes: list[str] = []
    null_test_db = None
    if not problems:
        paths = {name: place / str(as_mapping(entry).get("file")) for name, entry in stems.items()}
        problems = _unlike(paths, about)
        tape = None if problems else _recording(about, mixture, notes)
        if tape is not None:
            null_test_db, unequal = _sum(paths, tape, record)
            problems += unequal
    return Verified(
        folder=place,
        problems=tuple(problems),
        notes=tuple(notes),
        n_files=len(entries),
        null_test_db=null_test_db,
    )


def _check_size(place: Path) -> None:
    """Refuse a record that is none, before all of it is in memory."""
    path = place / RECORD_NAME
    try:
        status = path.stat()
    except (OSError, ValueError):
        return
    if not stat.S_ISREG(status.st_mode) or status.st_size > _MOST_RECORD_BYTES:
        raise InputError(
            f"{place} has an {RECORD_NAME} that no separation has written; if it holds stems, "
            "'audiosep split --exists repair' makes them again."
        )


def _odd(record: Mapping[str, Any], about: Mapping[str, Any]) -> list[str]:
    """Entries that are needed here and that no separation writes."""
    path, start, duration = (about.get(key) for key in ("path", "start", "duration"))
    digest = about.get("sha256")
    null_test_db, bits = record.get("null_test_db"), record.get("bits")
    looked_at = (
        ("bits", bits, bits == "float" or (type(bits) is int and bits in (16, 24))),
        *((f"input.{name}", about.get(name), _is_count(about.get(name))) for name in _SHAPE),
        ("input.sha256", digest, digest is None or is_digest(digest)),
        ("input.reading", about.get("reading"), _reading(about) is not None),
        ("input.path", path, path is None or isinstance(path, str)),
        ("input.start", start, start is None or _is_number(start, 0.0, _MOST_S)),
        (
            "input.duration",
            duration,
            duration is None or (_is_number(duration, 0.0, _MOST_S) and duration > 0),
        ),
        (
            "null_test_db",
            null_test_db,
            null_test_db is None or _is_number(null_test_db, -_MOST_DB, _MOST_DB),
        ),
    )
    return [
        f"the record was damaged or edited: {_cannot_be(name, value)}."
        for name, value, is_usual in looked_at
        if not is_usual
    ]


def _cannot_be(name: str, value: Any) -> str:
    if value is None:
        return f"it has no {name}"
    return f"{name} cannot be {repr(value)[:_MOST_SHOWN]}"


def _reading(about: Mapping[str, Any]) -> ReadOptions | None:
    """How the recording was read; None where that cannot be."""
    kept = about.get("reading", {})
    try:
        return ReadOptions.from_record(kept) if isinstance(kept, dict) else None
    except (ParameterError, TypeError):
        return None


def _is_count(value: Any) -> bool:
    return type(value) is int and value > 0


def _is_number(value: Any, low: float, high: float) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and low <= value <= high


def _wrong(place: Path, name: Any, entry: Mapping[str, Any], again: str) -> str | None:
    """What is wrong with a file, if anything."""
    shown = repr(name)[:_MOST_SHOWN]
    if name is None:
        return "the record was damaged or edited: it names no file for a stem."
    if not isinstance(name, str):
        return f"the record was damaged or edited: {shown} cannot be the name of a file."
    if Path(name).name != name or name in ("", "..") or "\0" in name:
        return f"the record names {shown}, which cannot be in its folder."
    if not is_digest(entry.get("sha256")):
        return f"the record was damaged or edited: it has no SHA-256 of {shown}."
    called = name if name.isprintable() and len(name) <= _MOST_SHOWN else shown
    try:
        if not stat.S_ISREG((place / name).stat().st_mode):
            return f"{called} cannot be read: it is no file."
        digest = sha256_of(place / name)
    except FileNotFoundError:
        return f"{called} is missing; {again}."
    except OSError as error:
        return f"{called} cannot be read: {error.strerror}."
    except UnicodeEncodeError:
        return f"the record names {shown}, which cannot be a file."
    if digest != entry.get("sha256"):
        return f"{called} is damaged or was edited since it was written; {again}."
    return None


def _unlike(paths: Mapping[str, Path], about: Mapping[str, Any]) -> list[str]:
    """Stems that have not the shape of the recording."""
    wanted = tuple(about.get(key) for key in ("sr", "n_channels", "n_samples"))
    found = {}
    for path in paths.values():
        try:
            header = info(path)
        except InputError as error:
            return [f"{path.name} {error}"]
        found[path.name] = (header.sr, header.n_channels, header.n_samples)
    return [
        f"{name} has {shape[0]} Hz, {shape[1]} channels and {shape[2]} samples, not those of the "
        "recording."
        for name, shape in found.items()
        if shape != wanted
    ]


def _recording(
    about: Mapping[str, Any], mixture: str | os.PathLike[str] | None, notes: list[str]
) -> Tape | None:
    """The recording, if it is where it was, or where it is said to be."""
    told = mixture is not None
    kept = about.get("path") or ""
    path = path_told(kept) if mixture is None else Path(os.fspath(mixture))
    lost = "so that it cannot be told whether the stems add up to it"
    if not told and not os.path.isfile(path):  # noqa: PTH113 - whatever the name, no error
        notes.append(f"{_whereabouts(kept, lost)}.")
        return None
    try:
        check_is_file(path)
        same = sha256_of(path) == about.get("sha256")
        scan = scan_recording(
            path,
            start=about.get("start") or 0.0,
            duration=about.get("duration"),
            options=_reading(about) or ReadOptions(),
        )
    except (InputError, OSError) as error:
        if told:
            why = without_salvage(str(error))
            if isinstance(error, OSError):
                why = f"cannot be read: {error.strerror}."
            raise InputError(f"{path} {why}") from None
        notes.append(f"{display(path)} cannot be read, {lost}.")
        return None
    if not same and told:
        raise InputError(f"{path} is not the recording that these stems were made of.")
    if not same:
        notes.append(f"{display(path)} is another file by now, {lost}; name it with --mixture.")
        return None
    return FileTape.of(path, scan)


def _whereabouts(kept: str, lost: str) -> str:
    """Why a recording is not where its record says."""
    if not kept:
        return f"the stems were made of samples in memory, not of a file, {lost}"
    if is_url(kept):
        there = f"the recording is remote, at {kept}, {lost}"
        return f"{there}; copy it here and name it with --mixture"
    if not Path(kept).is_absolute():
        return (
            f"the recording was given as {kept}, and nothing that can be read is there from the "
            f"current folder, {lost}; verify in the folder in which it was separated, or name it "
            "with --mixture"
        )
    return f"the recording is no longer at {kept}, {lost}; name it with --mixture"


def _sum(
    paths: Mapping[str, Path], tape: Tape, record: Mapping[str, Any]
) -> tuple[float, list[str]]:
    """Null test, and whether it holds as it did when they were written."""
    bits, before = record.get("bits"), record.get("null_test_db")
    steps = None if bits == "float" else 2.0 ** (int(bits or 0) - 1)
    files = {name: path.name for name, path in paths.items()}
    folder = next(iter(paths.values())).parent
    from_mixture, from_rounded = differences_of(folder, files, tape, steps, tape.n_samples)
    full_scale = max(1.0, tape.peak)
    written = 1.01 * 10 ** (before / 20) if isinstance(before, int | float) else 0.0
    allowed = 0.0
    if steps is None:  # a part may have been rounded before a stem left the range of integers
        allowed = full_scale * max(LARGEST_FLOAT_DIFFERENCE, min(written, 1e-3))
    depth = max(from_mixture / full_scale, 10 ** (DEEPEST_NULL_DB / 20))
    null_test_db = round(20 * math.log10(depth), 1)
    if from_rounded > allowed:
        return null_test_db, [f"the stems differ from the recording by {null_test_db:.0f} dB."]
    return null_test_db, []
