"""A project of the workstation Reaper: the stems on tracks, onsets as markers."""

from __future__ import annotations

import colorsys
import os
from collections.abc import Mapping
from pathlib import Path

from audiosep.errors import InputError
from audiosep.exports.contents import Contents, plain, seconds
from audiosep.io.naming import display

__all__ = ["reaper_project"]

_TEMPO = 120
_QUOTES = "\"'`"
_CUSTOM_COLOUR = 0x1000000
_GOLDEN = 0.618033988749895
"""Of a turn: hues that follow each other are far apart, however many there are."""


def reaper_project(contents: Contents, home: Path) -> str:
    """Return a project that plays all stems from the files that they are in.

    One track for each, in order, from the beginning on; the sample rate is the recording's, the
    tempo 120. Onsets are markers.

    Parameters
    ----------
    contents : Contents
        Of a folder with stems.
    home : Path
        Folder that the project will be in; the stems are named relative to it.

    Returns
    -------
    str

    Raises
    ------
    InputError
        If a path cannot be written in a project.
    """
    folder = contents.folder
    lines = [
        '<REAPER_PROJECT 0.1 "6.0" 0',
        "  RIPPLE 0",
        f"  SAMPLERATE {folder.sr} 1 0",
        f"  TEMPO {_TEMPO} 4 4",
    ]
    for number, hit in enumerate(contents.onsets, start=1):
        lines.append(f"  MARKER {number} {seconds(hit.time_s)} {_quoted(plain(hit.label))} 0")
    files = _relative(folder.stems, home)
    for place, (name, file) in enumerate(files.items()):
        kind = "FLAC" if file.lower().endswith(".flac") else "WAVE"
        title = _quoted(plain(name))
        lines += [
            "  <TRACK",
            f"    NAME {title}",
            f"    PEAKCOL {_colour(place)}",
            "    VOLPAN 1 0 -1 -1 1",
            "    MUTESOLO 0 0 0",
            # Reaper's tracks have an even number of channels.
            f"    NCHAN {max(2, folder.n_channels + folder.n_channels % 2)}",
            "    <ITEM",
            "      POSITION 0",
            f"      LENGTH {folder.duration_s:.9f}",
            "      LOOP 0",
            f"      NAME {title}",
            f"      <SOURCE {kind}",
            f"        FILE {_quoted(file)}",
            "      >",
            "    >",
            "  >",
        ]
    return "\n".join([*lines, ">"]) + "\n"


def _relative(stems: Mapping[str, Path], home: Path) -> dict[str, str]:
    start = os.path.realpath(home)
    found = {}
    for name, path in stems.items():
        try:
            file = os.path.relpath(os.path.realpath(path), start)
        except ValueError:  # another drive
            file = os.path.realpath(path)
        file = file.replace(os.sep, "/")
        if not file.isprintable() or all(quote in file for quote in _QUOTES):
            raise InputError(
                f"{display(file)} cannot be named in a Reaper project; rename what has control "
                "characters or all three kinds of quotes in its name, or leave --out out."
            )
        found[name] = file
    return found


def _quoted(text: str) -> str:
    """Text between quotes that are not in it."""
    for quote in _QUOTES:
        if quote not in text:
            return f"{quote}{text}{quote}"
    return "`" + text.replace("`", "'") + "`"


def _colour(place: int) -> int:
    """Colour of a track, of hues that differ: blue, green and red in a byte each."""
    red, green, blue = colorsys.hsv_to_rgb((place * _GOLDEN) % 1.0, 0.5, 0.85)
    parts = (round(255 * part) << shift for part, shift in ((blue, 16), (green, 8), (red, 0)))
    return _CUSTOM_COLOUR | sum(parts)
