"""Words for what a record holds in numbers and paths."""

from __future__ import annotations

from html import escape
from pathlib import Path, PurePosixPath, PureWindowsPath

from audiosep.io.naming import display

__all__ = ["in_markup", "length_of", "level_of", "name_of", "rate_of"]


def in_markup(text: str) -> str:
    """Text of any origin in HTML: nothing in it is markup, and its direction stays its own."""
    return f"<bdi>{escape(display(text))}</bdi>"


def name_of(path: str | None, place: Path) -> str:
    """Name of a track: of its recording without the ending, or else of its folder."""
    if not path:
        return place.resolve().name
    # The record may come from another system.
    kind = PureWindowsPath if "\\" in path and "/" not in path else PurePosixPath
    return kind(path).stem or place.resolve().name


def length_of(seconds: float) -> str:
    """Length in hours, minutes and seconds.

    Examples
    --------
    >>> length_of(8.89), length_of(75.0), length_of(3671.5)
    ('8.9 s', '1:15', '1:01:12')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def level_of(level_db: float | None) -> str:
    """Level of a stem, in dB of full scale."""
    return "silent" if level_db is None else f"{level_db:.1f} dB".replace("-", "\u2212")


def rate_of(sr: int, n_channels: int) -> str:
    """Sample rate and channels."""
    channels = {1: "mono", 2: "stereo"}.get(n_channels, f"{n_channels} channels")
    return f"{sr} Hz, {channels}"
