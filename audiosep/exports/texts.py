"""Audacity's labels, Raven's selections and a table of everything, as text."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

from audiosep.exports.activity import Stretch
from audiosep.exports.contents import Contents, note_name, plain, seconds
from audiosep.exports.stem_folder import StemFolder

__all__ = [
    "LABEL_TRACKS",
    "RAVEN_COLUMNS",
    "TABLE_COLUMNS",
    "label_track",
    "label_tracks",
    "raven_table",
    "stretch_labels",
    "table",
]

LABEL_TRACKS = ("onsets", "notes", "stems", "components")
"""Audacity shows a file as a track, so these are files of their own."""

RAVEN_COLUMNS = (
    *("Selection", "View", "Channel", "Begin Time (s)", "End Time (s)"),
    *("Low Freq (Hz)", "High Freq (Hz)", "Annotation"),
)

TABLE_COLUMNS = (
    *("kind", "label", "start_s", "end_s", "pitch", "strength"),
    *("low_hz", "high_hz", "channel"),
)

_VIEW = "Spectrogram 1"


def label_tracks(folder: StemFolder) -> tuple[str, ...]:
    """Return which of :data:`LABEL_TRACKS` a folder can have."""
    there = {
        "onsets": folder.onsets is not None,
        "notes": folder.melody is not None or folder.stored is not None,
        "stems": bool(folder.stems),
        "components": folder.stored is not None,
    }
    return tuple(name for name in LABEL_TRACKS if there[name])


def label_track(contents: Contents, name: str) -> str:
    r"""Return an Audacity label track: ``start<TAB>end<TAB>label`` in each line.

    Stretches have a second line, ``\<TAB>low<TAB>high``, with their frequencies.

    Parameters
    ----------
    contents : Contents
        Of a folder.
    name : str
        One of :data:`LABEL_TRACKS`.

    Returns
    -------
    str
        Empty where there is nothing.
    """
    if name == "onsets":
        return "".join(_label(one.time_s, one.time_s, one.label) for one in contents.onsets)
    if name == "notes":
        return "".join(
            _label(one.start_s, one.end_s, f"{one.part}:{note_name(one.pitch)}")
            for one in sorted(contents.notes, key=lambda note: (note.start_s, note.pitch))
        )
    return stretch_labels(contents.stems if name == "stems" else contents.components)


def stretch_labels(stretches: Iterable[Stretch]) -> str:
    r"""Return stretches as an Audacity label track, in order of time.

    Parameters
    ----------
    stretches : iterable of Stretch
        In any order.

    Returns
    -------
    str
        Two lines each: ``start<TAB>end<TAB>label`` and ``\<TAB>low<TAB>high``.
    """
    return "".join(
        _label(one.start_s, one.end_s, one.label) + f"\\\t{one.low_hz:.6f}\t{one.high_hz:.6f}\n"
        for one in sorted(stretches, key=lambda stretch: stretch.start_s)
    )


def _label(start_s: float, end_s: float, text: str) -> str:
    return f"{seconds(start_s)}\t{seconds(end_s)}\t{plain(text)}\n"


def raven_table(stretches: Iterable[Stretch]) -> str:
    """Return stretches as a selection table of Raven.

    Parameters
    ----------
    stretches : iterable of Stretch
        In the order of the table.

    Returns
    -------
    str
        Columns divided by tabs, :data:`RAVEN_COLUMNS` in the first line.
    """
    lines = ["\t".join(RAVEN_COLUMNS)]
    for number, one in enumerate(stretches, start=1):
        fields = (
            *(str(number), _VIEW, str(one.channel), seconds(one.start_s), seconds(one.end_s)),
            *(f"{one.low_hz:.3f}", f"{one.high_hz:.3f}"),
            # Nothing is quoted in these tables, and not everyone who reads them knows.
            plain(one.label).replace('"', "'"),
        )
        lines.append("\t".join(fields))
    return "\n".join(lines) + "\n"


def table(contents: Contents) -> str:
    """Return onsets, notes and stretches as one CSV table.

    Parameters
    ----------
    contents : Contents
        Of a folder.

    Returns
    -------
    str
        :data:`TABLE_COLUMNS` in the first line; cells that mean nothing are empty.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(TABLE_COLUMNS)
    for hit in contents.onsets:
        at = seconds(hit.time_s)
        writer.writerow(("onset", plain(hit.label), at, at, "", f"{hit.strength:.4f}", "", "", ""))
    for note in contents.notes:
        times = seconds(note.start_s), seconds(note.end_s)
        writer.writerow(
            ("note", plain(note.part), *times, note.pitch, f"{note.strength:.4f}", "", "", "")
        )
    for one in (*contents.stems, *contents.components):
        times = seconds(one.start_s), seconds(one.end_s)
        bounds = f"{one.low_hz:.3f}", f"{one.high_hz:.3f}"
        channel = one.channel if one.kind == "stem" else ""
        writer.writerow((one.kind, plain(one.label), *times, "", "", *bounds, channel))
    return text.getvalue()
