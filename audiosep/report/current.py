"""Reports beside stems that may be made again: up to date, or not there."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from audiosep.report.marks import REPORT_NAME, is_current, is_report
from audiosep.report.writing import write_report

__all__ = ["refresh_report"]


def refresh_report(place: Path, *, wanted: bool, n_threads: int | None = None) -> Path | None:
    """Make the report of a finished folder be as the stems are, or not be.

    Parameters
    ----------
    place : Path
        Folder of stems.
    wanted : bool
        Whether to write a report where none tells of these stems; without it, one that tells of
        other stems is removed.
    n_threads : int, optional
        As for :func:`write_report`.

    Returns
    -------
    Path or None
        The report, where it is wanted.

    Raises
    ------
    AudiosepError
        As :func:`write_report`.
    """
    path = place / REPORT_NAME
    if wanted:
        return path if is_current(path, place) else write_report(place, n_threads=n_threads).path
    if is_report(path) and not is_current(path, place):
        with suppress(OSError):
            path.unlink()
    return None
