"""Score files in: MIDI, MusicXML and label tracks, recognised by content."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from audiosep.errors import InputError
from audiosep.io.naming import display
from audiosep.io.score_parts import ScorePart, checked_parts

__all__ = ["read_parts"]

_MAX_BYTES = 64 * 2**20
_MAX_MIDI_BYTES = 4 * 2**20  # mido takes its time: 4 MB are half a million notes
_MEANT = {
    **dict.fromkeys((".mid", ".midi", ".kar"), "MIDI"),
    **dict.fromkeys((".musicxml", ".mxl", ".xml"), "MusicXML"),
}
_FORMATS = "MIDI (.mid), MusicXML (.musicxml, .mxl) or labels as Audacity exports them (.txt)"


def read_parts(path: str | os.PathLike[str]) -> tuple[ScorePart, ...]:
    """Read who plays what when.

    Parameters
    ----------
    path : path-like
        A file of at most 64 MB (MIDI: 4 MB); its ending does not matter.

    Returns
    -------
    tuple of ScorePart
        At least one of them has a note. Names can be names of files and differ.

    Raises
    ------
    InputError
        If the file cannot be read, is no score or damaged, or holds no note or too many.
    """
    file = Path(path)
    try:
        return checked_parts(_parts(_content(file), file.suffix.lower()))
    except OSError as error:
        why = error.strerror or "it cannot be opened"
        raise InputError(f"{display(file)}: cannot read the score: {why}.") from None
    except ValueError:  # of a path with NUL
        raise InputError(f"{str(file)!r}: cannot read the score.") from None
    except InputError as error:
        raise InputError(f"{display(file)}: {error}") from None


def _content(file: Path) -> bytes:
    about = file.stat()
    if stat.S_ISDIR(about.st_mode):
        raise InputError("it is a folder; give a score.")
    if not stat.S_ISREG(about.st_mode):
        raise InputError("it is no file; give a score.")
    with file.open("rb") as handle:
        # Room is made for what is asked for, whatever there is.
        content = handle.read(min(about.st_size, _MAX_BYTES) + 1)
    if not content:
        raise InputError(f"the score is empty; give {_FORMATS}.")
    most = _MAX_MIDI_BYTES if content.startswith(b"MThd") else _MAX_BYTES
    if len(content) > most:
        raise InputError(f"it has more than {most >> 20} MB; that is no score of one piece.")
    return content


def _parts(content: bytes, ending: str) -> list[ScorePart]:
    # Each format when needed: together they take longer to load than everything else.
    if content.startswith(b"MThd"):
        from audiosep.io.score_midi import parts_of_midi

        return parts_of_midi(content)
    if content.startswith(b"PK"):
        from audiosep.io.score_musicxml import parts_of_compressed_musicxml

        return parts_of_compressed_musicxml(content)
    if content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<") or content.startswith(
        (b"\xff\xfe<", b"\xfe\xff\x00<")
    ):
        from audiosep.io.score_musicxml import parts_of_musicxml

        return parts_of_musicxml(content)
    if b"\x00" in content[:4096]:
        raise InputError(f"it is no score; give {_FORMATS}.")
    from audiosep.io.score_labels import parts_of_labels

    try:
        return parts_of_labels(content)
    except InputError:
        # Labels under any name are taken; text that is none was meant as the name says.
        if ending in _MEANT and _is_text(content):
            words = f"it is text, not {_MEANT[ending]}; export it again."
            raise InputError(words) from None
        raise


def _is_text(content: bytes) -> bool:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
