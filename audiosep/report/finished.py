"""A folder of stems as a report needs it: everything there, and as it was written."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audiosep._version import __version__
from audiosep.errors import InputError
from audiosep.io.header import info, sha256_of
from audiosep.io.naming import display
from audiosep.io.tapes import FileTape
from audiosep.records import RECORD_NAME, finished_record, is_own_file

__all__ = ["Finished", "StemFile", "open_finished", "record_digest"]

_LOUDEST_DB = 200.0
_MOST_LOSSES = 100_000


@dataclass(frozen=True, kw_only=True)
class StemFile:
    """A stem of a finished separation.

    Parameters
    ----------
    name, file : str
        What it is called, and its file in the folder.
    sha256 : str
        Of that file.
    peak_db, rms_db : float or None
        Levels in dB of full scale; None for silence.
    """

    name: str
    file: str
    sha256: str
    peak_db: float | None
    rms_db: float | None


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A finished separation, whose stems were found to be as they were written.

    Parameters
    ----------
    place : Path
        Folder.
    record : dict
        Its record, of the shape that :func:`open_finished` has checked.
    digest : str
        By :func:`record_digest`.
    stems : tuple of StemFile
        In the order of the record.
    sr, n_channels, n_samples : int
        What all stems have.
    """

    place: Path
    record: dict[str, Any]
    digest: str
    stems: tuple[StemFile, ...]
    sr: int
    n_channels: int
    n_samples: int

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.n_samples / self.sr

    @property
    def peak(self) -> float:
        """Largest absolute sample of all stems, as the record tells it."""
        return max(10.0 ** (s.peak_db / 20) if s.peak_db is not None else 0.0 for s in self.stems)

    def tape(self, stem: StemFile, kept_s: float = 0.0) -> FileTape:
        """Open a stem to read it part by part."""
        path = self.place / stem.file
        peak = 0.0 if stem.peak_db is None else 10.0 ** (stem.peak_db / 20)
        return FileTape(
            path, info(path), first=0, n_samples=self.n_samples, peak=peak, kept_s=kept_s
        )

    @contextmanager
    def tapes(self, kept_s: float = 0.0) -> Iterator[list[FileTape]]:
        """Open all stems."""
        opened = [self.tape(stem, kept_s) for stem in self.stems]
        try:
            yield opened
        finally:
            for tape in opened:
                tape.close()


def record_digest(record: Mapping[str, Any] | None) -> str | None:
    """Return what is another where stems or settings are; None where a record tells of none.

    Where the recording and the stems lie has no part in it: both may be moved.
    """
    try:
        told = record or {}
        about, stems = told["input"], told["stems"]
        identity = [
            told["audiosep"],
            told["settings"],
            [about["sha256"], about.get("start"), about.get("duration")],
            {name: [stem["file"], stem["sha256"]] for name, stem in stems.items()},
        ]
        text = json.dumps(identity)
    except (KeyError, TypeError, AttributeError, ValueError):
        return None
    return hashlib.sha256(text.encode()).hexdigest()


def open_finished(place: Path) -> Finished:
    """Look into a folder of stems.

    Parameters
    ----------
    place : Path
        Made by ``audiosep split``, ``audiosep atoms`` or ``audiosep regroup``.

    Returns
    -------
    Finished

    Raises
    ------
    InputError
        If there is no record, it is not of the shape that this version writes, or a file that it
        names is missing, changed or no sound.
    """
    record = finished_record(place)
    try:
        stems = tuple(_stem(name, entry) for name, entry in record["stems"].items())
        about = record["input"]
        shape = tuple(_whole(about[key]) for key in ("sr", "n_channels", "n_samples"))
        digest = _check_rest(record)
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError, RecursionError):
        version = record.get("audiosep")
        other = isinstance(version, str) and version != __version__
        by = f"was written by audiosep {display(str(version))}" if other else "is damaged or edited"
        raise InputError(
            f"{display(place / RECORD_NAME)} {by}, and cannot be understood by audiosep "
            f"{__version__}; separate the recording again."
        ) from None
    if not stems:
        raise InputError(
            f"{display(place)} holds no stems to listen to; run 'audiosep atoms' with --sounds "
            "wav, or 'audiosep split'."
        )
    for stem in stems:
        _check_file(place, stem, shape)
    sr, n_channels, n_samples = shape
    return Finished(
        place=place,
        record=record,
        digest=digest,
        stems=stems,
        sr=sr,
        n_channels=n_channels,
        n_samples=n_samples,
    )


def _stem(name: str, entry: dict[str, Any]) -> StemFile:
    file, sha256 = entry["file"], entry["sha256"]
    if not is_own_file(file):
        raise ValueError
    if not isinstance(sha256, str):
        raise TypeError
    return StemFile(
        name=name,
        file=file,
        sha256=sha256,
        peak_db=_level(entry.get("peak_db")),
        rms_db=_level(entry.get("rms_db")),
    )


def _level(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not abs(float(value)) <= _LOUDEST_DB:
        raise ValueError
    return float(value)


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError
    return value


def _check_rest(record: dict[str, Any]) -> str:
    """Make sure that what is shown is of the type that it is shown as; return its digest."""
    # What JSON allows and text does not: half a character, not a number.
    json.dumps(record, ensure_ascii=False, allow_nan=False).encode()
    words = [record["audiosep"], record["method"], *record["notes"], *record["warnings"]]
    if not all(isinstance(one, str) for one in words):
        raise TypeError
    if not isinstance(record["input"]["path"], str | None):
        raise TypeError
    for key in ("settings", "files", "output"):
        if not isinstance(record.get(key, {}), dict):
            raise TypeError
    for key in ("notes", "warnings"):
        if not isinstance(record[key], list):
            raise TypeError
    losses = record.get("losses", [])
    if not isinstance(losses, list) or len(losses) > _MOST_LOSSES:
        raise TypeError
    if not all(math.isfinite(float(loss)) for loss in losses):
        raise ValueError
    null = record.get("null_test_db")
    if null is not None and not math.isfinite(float(null)):
        raise ValueError
    for name, entry in record.get("files", {}).items():
        # Whoever copies them must not be led out of the folder.
        if not is_own_file(name) or name == RECORD_NAME:
            raise ValueError
        if not isinstance(entry["sha256"], str):
            raise TypeError
    digest = record_digest(record)
    if digest is None:
        raise ValueError
    return digest


def _check_file(place: Path, stem: StemFile, shape: tuple[int, ...]) -> None:
    path = place / stem.file
    again = "separate the recording again with --exists overwrite"
    try:
        digest = sha256_of(path)
    except FileNotFoundError:
        raise InputError(f"{display(path)} is missing; {again}.") from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise InputError(f"{display(path)} cannot be read: {why}.") from None
    if digest != stem.sha256:
        raise InputError(
            f"{display(path)} is damaged or edited since it was written, and a report would tell "
            f"of another sound; put it back as it was, or {again}."
        )
    try:
        header = info(path)
    except InputError as error:
        raise InputError(f"{display(path)} {error}") from None
    if (header.sr, header.n_channels, header.n_samples) != shape:
        raise InputError(
            f"{display(path)} has not the rate, channels and length that {RECORD_NAME} tells; "
            f"{again}."
        )
