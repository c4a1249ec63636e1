"""Rectangles of a spectrogram, and the stem that each belongs to: as typed, as JSON, as tables.

Audacity's label tracks and Raven's selection tables are read as :mod:`audiosep.exports.texts`
writes them, and as these programs do.
"""

from __future__ import annotations

import math
import os
import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from audiosep.errors import AudiosepError, InputError, ParameterError, UsageError
from audiosep.io.naming import display
from audiosep.labels import problem_of_label
from audiosep.regions import region_from

__all__ = [
    "MAX_REGIONS",
    "NOT",
    "PaintedRegion",
    "check_regions_inside",
    "read_regions",
    "region_from_text",
]

NOT = "not "
"""What stands before the name of a stem that a region does *not* belong to."""

MAX_REGIONS = 1000
"""More than anyone paints by hand."""

_MAX_FILE_BYTES = 2**20
_ROUNDING_S = 0.01
_LONGEST_SHOWN = 60
_HOW = "write it as NAME=FROM-TO,LOW-HIGHhz, for example drums=10-12.5,100-500hz"
_BAND = re.compile(r"([0-9.]+)(k?)-(?:([0-9.]+)(k?))?(?:hz)?", re.ASCII | re.IGNORECASE)
_RAVEN = ("Begin Time (s)", "End Time (s)", "Low Freq (Hz)", "High Freq (Hz)", "Annotation")


@dataclass(frozen=True, kw_only=True)
class PaintedRegion:
    """A rectangle of the spectrogram, and the stem that all of it belongs, or does not belong, to.

    Parameters
    ----------
    stem : str
        Name of a stem; a new one is made where it belongs to none that is there.
    start_s : float >= 0
        Where it begins, in seconds.
    end_s : float > start_s, optional
        Where it ends; by default where the recording does.
    low_hz : float >= 0
        Its lowest frequency.
    high_hz : float > low_hz, optional
        Its highest frequency; by default the highest that there is.
    belongs : bool
        False where it does *not* belong to the stem: all other stems share it.

    Raises
    ------
    ParameterError
        If that cannot be.
    """

    stem: str
    start_s: float
    end_s: float | None = None
    low_hz: float = 0.0
    high_hz: float | None = None
    belongs: bool = True

    def __post_init__(self) -> None:
        if problem := problem_of_label(self.stem):
            raise ParameterError(problem)
        if not isinstance(self.belongs, bool):
            raise ParameterError(f"belongs={self.belongs!r} must be true or false.")
        for low, high in (("start_s", "end_s"), ("low_hz", "high_hz")):
            for name in (low, high):
                value = getattr(self, name)
                if value is not None or name == low:
                    object.__setattr__(self, name, _number(name, value))
            end = getattr(self, high)
            if end is not None and not getattr(self, low) < end:
                raise ParameterError(
                    f"a region with {low}={getattr(self, low):g} and {high}={end:g} is empty; it "
                    "must end after it begins, in time and in frequency."
                )

    def __str__(self) -> str:
        """As it is typed."""
        name = self.stem if self.belongs else f"{NOT}{self.stem}"
        time = f"{self.start_s:.9g}-{'' if self.end_s is None else f'{self.end_s:.9g}'}"
        if self.low_hz == 0.0 and self.high_hz is None:
            return f"{name}={time}"
        return (
            f"{name}={time},{self.low_hz:.9g}-"
            f"{'' if self.high_hz is None else f'{self.high_hz:.9g}'}hz"
        )

    def as_json(self) -> dict[str, Any]:
        """Return what :meth:`from_json` reads."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: object) -> PaintedRegion:
        """Read a region as :meth:`as_json` gives it.

        Parameters
        ----------
        value : mapping
            All of its fields; those with a default may be missing.

        Returns
        -------
        PaintedRegion

        Raises
        ------
        UsageError
            If it is none.
        """
        known = {field.name for field in fields(cls)}
        if not isinstance(value, Mapping) or not {"stem", "start_s"} <= set(value) <= known:
            raise UsageError(
                "a region must have stem and start_s, and may have end_s, low_hz, high_hz and "
                "belongs; nothing else."
            )
        return cls(**value)


def _number(name: str, value: object) -> float:
    try:
        number = float(value) if type(value) in (int, float) else math.nan  # type: ignore[arg-type]
    except OverflowError:
        number = math.inf
    if not 0.0 <= number < math.inf:
        shown = repr(value)[:40]
        raise ParameterError(f"{name}={shown} must be a number of at least 0.")
    return number


def region_from_text(text: str) -> PaintedRegion:
    """Read a region as it is typed.

    Parameters
    ----------
    text : str
        ``NAME=FROM-TO`` or ``NAME=FROM-TO,LOW-HIGHhz``: seconds or minutes (``1:05``), and Hz or
        kHz (``1.5k``). Without ``TO`` it goes on to the end, without ``HIGH`` to the top. With
        ``not NAME`` it does not belong to that stem.

    Returns
    -------
    PaintedRegion

    Raises
    ------
    UsageError
        If it is none.
    """
    name, equals, where = text.rpartition("=")
    time, _, band = where.replace(" ", "").partition(",")
    try:
        span = region_from(f"@{time}")
        low_hz, high_hz = _band(band)
        stem, belongs = _stem(name)
    except (AudiosepError, ValueError):
        equals = ""
    if not equals:
        raise UsageError(f"{display(text[:_LONGEST_SHOWN])!r} is no region; {_HOW}.")
    return PaintedRegion(
        stem=stem,
        start_s=span.start_s,
        end_s=span.end_s,
        low_hz=low_hz,
        high_hz=high_hz,
        belongs=belongs,
    )


def _band(text: str) -> tuple[float, float | None]:
    if not text:
        return 0.0, None
    match = _BAND.fullmatch(text)
    if match is None:
        raise ValueError(text)
    low, kilo_low, high, kilo_high = match.groups()
    low_hz = float(low) * (1000.0 if kilo_low else 1.0)
    return low_hz, None if high is None else float(high) * (1000.0 if kilo_high else 1.0)


def _stem(label: str) -> tuple[str, bool]:
    """Name of a stem, and whether the region belongs to it."""
    name = label.strip()
    if name.startswith(NOT):
        return name[len(NOT) :].strip(), False
    return name, True


def check_regions_inside(
    regions: Sequence[PaintedRegion], duration_s: float, highest_hz: float
) -> None:
    """Refuse regions outside a recording.

    Parameters
    ----------
    regions : sequence of PaintedRegion
        What was painted.
    duration_s : float
        Length of the recording.
    highest_hz : float
        Half of its sample rate. Where a region ends above it, it ends there.

    Raises
    ------
    UsageError
        If one begins or ends behind the end, or begins above the highest frequency.
    """
    for region in regions:
        end_s = duration_s if region.end_s is None else region.end_s
        # A little behind the last sample, as players show times with two digits.
        if region.start_s >= duration_s or end_s > duration_s + _ROUNDING_S:
            raise UsageError(
                f"the region {region} is outside the recording, which is {duration_s:.2f} s long."
            )
        if region.low_hz >= highest_hz:
            raise UsageError(
                f"the region {region} is outside the recording, whose highest frequency is "
                f"{highest_hz:g} Hz."
            )


# --- tables -------------------------------------------------------------------------------------


def read_regions(path: str | os.PathLike[str]) -> tuple[PaintedRegion, ...]:
    """Read regions from a label track of Audacity or a selection table of Raven.

    The label, or annotation, is the name of the stem; ``not NAME`` says that the region does not
    belong to it. Labels without frequencies mean all of them. Of Raven's views of one selection,
    the spectrogram's counts; its channels do not: regions hold for all of them.

    Parameters
    ----------
    path : path-like
        Text in UTF-8 of at most 1 MB.

    Returns
    -------
    tuple of PaintedRegion
        In the order of the file.

    Raises
    ------
    InputError
        If the file cannot be read, or a line of it cannot be understood.
    """
    file = Path(os.fspath(path))
    lines = _text(file).splitlines()
    header = next((line for line in lines if line.strip()), "")
    try:
        found = _raven(lines) if _RAVEN[0] in header.split("\t") else _audacity(lines)
    except AudiosepError as error:
        raise InputError(f"{display(file)}: {error}") from None
    if not found:
        raise InputError(f"{display(file)} holds no regions; label some and export them again.")
    if len(found) > MAX_REGIONS:
        raise InputError(
            f"{display(file)} holds {len(found)} regions, at most {MAX_REGIONS} can be."
        )
    return tuple(found)


def _text(file: Path) -> str:
    try:
        about = file.stat()
        if not stat.S_ISREG(about.st_mode):
            raise InputError(f"{display(file)} is no file.")
        if about.st_size > _MAX_FILE_BYTES:
            raise InputError(f"{display(file)} is too large for a list of regions.")
        return file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(
            f"{display(file)} is no text in UTF-8; export labels from Audacity or selections from "
            "Raven."
        ) from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it cannot be opened"
        raise InputError(f"{display(file)} cannot be read: {why}.") from None


def _audacity(lines: Sequence[str]) -> list[PaintedRegion]:
    found: list[PaintedRegion] = []
    for number, line in enumerate(lines, start=1):
        cells = line.split("\t")
        if not line.strip():
            continue
        if cells[0] == "\\" and found:
            low, high = _numbers(cells[1:3], number)
            # Audacity writes -1 where a label has no frequency on that side.
            band = {"low_hz": max(low, 0.0), "high_hz": high if high > 0.0 else None}
            found[-1] = _region(number, **{**found[-1].as_json(), **band})
        elif cells[0] != "\\":
            start_s, end_s = _numbers(cells[:2], number)
            stem, belongs = _stem("\t".join(cells[2:]))
            found.append(_region(number, stem=stem, belongs=belongs, start_s=start_s, end_s=end_s))
    return found


def _raven(lines: Sequence[str]) -> list[PaintedRegion]:
    rows = [(number, line.split("\t")) for number, line in enumerate(lines, 1) if line.strip()]
    (_, columns), *rows = rows
    missing = [name for name in _RAVEN if name not in columns]
    if missing:
        raise InputError(f"the selection table has no column {missing[0]!r}; add it in Raven.")
    places = [columns.index(name) for name in _RAVEN]
    view = columns.index("View") if "View" in columns else None
    found = []
    for number, cells in rows:
        cells += [""] * (len(columns) - len(cells))
        if view is not None and cells[view].startswith("Waveform"):
            continue
        start_s, end_s, low_hz, high_hz = _numbers([cells[i] for i in places[:4]], number)
        stem, belongs = _stem(cells[places[4]])
        found.append(
            _region(
                number,
                stem=stem,
                belongs=belongs,
                start_s=start_s,
                end_s=end_s,
                low_hz=low_hz,
                high_hz=high_hz,
            )
        )
    return found


def _numbers(cells: Sequence[str], number: int) -> list[float]:
    try:
        # Some languages write a comma into numbers, and so does Audacity there.
        values = [float(cell.replace(",", ".")) for cell in cells]
    except ValueError:
        values = []
    if len(values) != len(cells) or len(values) < 2 or not all(map(math.isfinite, values)):
        raise InputError(
            f"line {number} is no label; export labels from Audacity or selections from Raven "
            "again."
        )
    return values


def _region(number: int, **about: Any) -> PaintedRegion:
    try:
        return PaintedRegion(**about)
    except ParameterError as error:
        raise InputError(f"line {number}: {error}") from None
