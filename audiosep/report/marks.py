"""By what a report is known, without reading all of it."""

from __future__ import annotations

from pathlib import Path

from audiosep.records import read_record
from audiosep.report.finished import record_digest

__all__ = ["MARK", "REPORT_NAME", "is_current", "is_report"]

REPORT_NAME = "report.html"

MARK = "<!doctype html>\n<!-- audiosep report of "
"""How every report begins; the digest of the record that it tells of follows."""


def is_report(path: Path) -> bool:
    """Whether a file is a report, of whatever separation."""
    return _head(path).startswith(MARK)


def is_current(path: Path, place: Path) -> bool:
    """Whether a file is the report of a folder of stems as it is now."""
    digest = record_digest(read_record(place))
    return digest is not None and _head(path).startswith(MARK + digest)


def _head(path: Path) -> str:
    try:
        if not path.is_file():
            return ""
        with path.open("rb") as file:
            return file.read(len(MARK) + 64).decode("ascii", "replace")
    except (OSError, ValueError):
        return ""
