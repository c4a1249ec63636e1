"""A page to listen to a separation: one file, opened from disk, without a network."""

from __future__ import annotations

from audiosep.report.marks import REPORT_NAME
from audiosep.report.writing import Report, write_report

__all__ = ["REPORT_NAME", "Report", "write_report"]
