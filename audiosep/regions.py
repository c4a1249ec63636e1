"""Parts of a recording that are examples of its sources."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from audiosep.errors import InputError, ParameterError, UsageError

__all__ = ["Region", "check_inside", "region_from"]

_ROUNDING_S = 0.01
_REGION = re.compile(r"@\s*([0-9:.]+)\s*-\s*([0-9:.]*)\s*", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Region:
    """A part of the recording itself, in which one source sounds alone.

    Parameters
    ----------
    start_s : float >= 0
        First second of the recording.
    end_s : float > start_s, optional
        Where it ends; by default where the recording does.
    """

    start_s: float
    end_s: float | None = None

    def __post_init__(self) -> None:
        end_s = math.inf if self.end_s is None else self.end_s
        if not 0.0 <= self.start_s < end_s or self.end_s == math.inf:
            raise ParameterError(
                f"a region from {self.start_s!r} to {self.end_s!r} s cannot be; it begins at 0 or "
                "later and ends after it begins."
            )

    def __str__(self) -> str:
        """As it is written on the command line."""
        return f"@{self.start_s!r}-{'' if self.end_s is None else repr(self.end_s)}".replace(
            ".0-", "-"
        ).removesuffix(".0")


def region_from(text: str) -> Region:
    """Read a region as it is typed.

    Parameters
    ----------
    text : str
        ``@FROM-TO``, in seconds or minutes; without ``TO`` it goes on to the end.

    Returns
    -------
    Region

    Raises
    ------
    UsageError
        If it is none.
    """
    match = _REGION.fullmatch(text)
    start = None if match is None else _seconds(match[1])
    end = None if match is None or not match[2] else _seconds(match[2])
    if match is None or start is None or (match[2] and end is None):
        raise UsageError(
            f"{text!r} is no part of a recording; write it as @FROM-TO in seconds, for example "
            "@0-3 or @1:05-1:10.5."
        )
    if not start < math.inf or (end is not None and not start < end < math.inf):
        raise UsageError(f"{text!r} ends before it begins; write it as @FROM-TO.")
    return Region(start_s=start, end_s=end)


def _seconds(text: str) -> float | None:
    try:
        parts = [float(part) for part in text.split(":")]
    except ValueError:
        return None
    if len(parts) > 3:
        return None
    return float(sum(part * 60**place for place, part in enumerate(reversed(parts))))


def check_inside(name: str, region: Region, duration_s: float) -> None:
    """Refuse a region outside the recording.

    Parameters
    ----------
    name : str
        Of the source that it is an example of.
    region : Region
        As it was given.
    duration_s : float
        Length of the recording.

    Raises
    ------
    InputError
        If it begins or ends behind the end.
    """
    end_s = duration_s if region.end_s is None else region.end_s
    # A region typed with the two digits that players show may end a little behind the last sample.
    if region.start_s >= duration_s or end_s > duration_s + _ROUNDING_S:
        raise InputError(
            f"the example {region} of {name!r} is outside the recording, which is "
            f"{duration_s:.2f} s long."
        )
