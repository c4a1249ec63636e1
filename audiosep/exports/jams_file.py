"""Onsets, notes, pitch and stretches in JAMS, the format of music research."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from audiosep._version import __version__
from audiosep.errors import OutputError, UsageError
from audiosep.exports.activity import BLOCK_S, COMPONENT_DB, Stretch
from audiosep.exports.contents import Contents, plain

__all__ = ["check_jams", "write_jams"]

_RULES = {
    "stem": f"level over {BLOCK_S:g} s within {{threshold:g}} dB of the stem's loudest",
    "component": f"activation within {-COMPONENT_DB:g} dB of the component's largest",
}


def check_jams() -> Any:
    """Return the package jams.

    Raises
    ------
    UsageError
        If it is not installed.
    """
    try:
        import jams
    except ImportError:
        raise UsageError(
            "the format jams needs the package jams, which is not installed; run pip install "
            "'audiosep[jams]'."
        ) from None
    return jams


def write_jams(path: Path, contents: Contents, title: str) -> None:
    """Write what was heard as JAMS.

    Namespaces: ``onset`` (one annotation for all, the label as value), ``pitch_contour`` (the
    melody's curve), ``note_midi`` (an annotation for each part), ``segment_open`` (one for the
    stems, one for the components).

    Parameters
    ----------
    path : Path
        Where to, with the ending ``.jams``.
    contents : Contents
        Of a folder.
    title : str
        Of the recording.

    Raises
    ------
    UsageError
        If jams is not installed.
    OutputError
        If it cannot be written.
    """
    jams = check_jams()
    folder = contents.folder
    document = jams.JAMS()
    document.file_metadata.title = plain(title)
    document.file_metadata.duration = folder.duration_s
    if folder.onsets is not None:
        onsets = _annotation(jams, document, "onset")
        for hit in contents.onsets:
            _add(onsets, hit.time_s, 0.0, hit.label, hit.strength)
    if folder.melody is not None:
        _add_contour(_annotation(jams, document, "pitch_contour"), contents)
    for part in dict.fromkeys(note.part for note in contents.notes):
        notes = _annotation(jams, document, "note_midi", part=part)
        for note in contents.notes:
            if note.part == part:
                length_s = note.end_s - note.start_s
                _add(notes, note.start_s, length_s, float(note.pitch), note.strength)
    if folder.stems:
        rules = _RULES["stem"].format(threshold=-contents.threshold_db)
        _add_stretches(_annotation(jams, document, "segment_open", rules=rules), contents.stems)
    if folder.stored is not None:
        found = _annotation(jams, document, "segment_open", rules=_RULES["component"])
        _add_stretches(found, contents.components)
    try:
        document.save(str(path), strict=True)
    except OSError as error:
        raise OutputError(f"cannot write {path.name}: {error.strerror}.") from None


def _annotation(
    jams: Any, document: Any, namespace: str, *, rules: str = "", part: str = ""
) -> Any:
    about = jams.AnnotationMetadata(
        annotation_tools=f"audiosep {__version__}", annotation_rules=rules, data_source="program"
    )
    found = jams.Annotation(
        namespace,
        time=0.0,
        duration=document.file_metadata.duration,
        annotation_metadata=about,
        sandbox={"part": part} if part else None,
    )
    document.annotations.append(found)
    return found


def _add_contour(annotation: Any, contents: Contents) -> None:
    melody = contents.folder.melody
    if melody is None:
        return
    rows = zip(
        melody.times_s.tolist(), melody.f0_hz.tolist(), melody.strengths.tolist(), strict=True
    )
    for time_s, f0_hz, strength in rows:
        if 0.0 <= time_s < contents.folder.duration_s:
            value = {"index": 0, "frequency": f0_hz, "voiced": f0_hz > 0}
            _add(annotation, time_s, 0.0, value, strength)


def _add_stretches(annotation: Any, stretches: tuple[Stretch, ...]) -> None:
    for one in stretches:
        _add(annotation, one.start_s, one.end_s - one.start_s, one.label, None)


def _add(annotation: Any, time_s: float, length_s: float, value: Any, sure: float | None) -> None:
    annotation.append(time=time_s, duration=length_s, value=value, confidence=sure)
