"""What a file is that cannot be read as audio, by its first bytes, and what helps then."""

from __future__ import annotations

from pathlib import Path

from audiosep.io.naming import SUFFIXES

__all__ = ["kind_of", "marked_as", "only_zeros", "why_no_audio"]

_HEAD = 512
_FEW_BYTES = 100  # less than any header with sound behind it
_FEWEST_LETTERS = 4
_BLOCK = 2**20
_MOST_BLOCKS = 1024

_CONVERT = "convert it to WAV or FLAC"
_LOST = "if a recording was here, restore it from a backup"
_SCORE = "give it with --score beside a recording"
_UNPACK = "unpack it, and take the recordings in it"
_EXPORT = "export its sound from there as WAV"

_MARKS: tuple[tuple[int, bytes, str, str], ...] = (
    # Sound that other programs know.
    (0, b"#!AMR", "AMR audio, which is not supported", _CONVERT),
    (0, b"ajkg", "Shorten audio, which is not supported", _CONVERT),
    (0, b"FRM8", "DSDIFF audio, which is not supported", _CONVERT),
    (0, b"OFR ", "OptimFROG audio, which is not supported", _CONVERT),
    (0, b"MPCK", "Musepack audio, which is not supported", _CONVERT),
    (0, b"MP+", "Musepack audio, which is not supported", _CONVERT),
    (0, b"tBaK", "TAK audio, which is not supported", _CONVERT),
    (0, b"\x7f\xfe\x80\x01", "DTS audio, which is not supported", _CONVERT),
    (0, b".ra\xfd", "RealAudio, which is not supported", _CONVERT),
    (0, b".RMF", "RealMedia, which is not supported", _CONVERT),
    # What belongs to music and is no sound.
    (0, b"MThd", "a MIDI score, which holds no sound", _SCORE),
    (8, b"RMID", "a MIDI score, which holds no sound", _SCORE),
    (68, b"AUDY", "an Audacity project", _EXPORT),
    (0, b"<REAPER_PROJECT", "a Reaper project", _EXPORT),
    # Anything else that takes the place of a recording.
    (0, b"\xff\xd8\xff", "a JPEG picture", _LOST),
    (0, b"\x89PNG", "a PNG picture", _LOST),
    (0, b"GIF8", "a GIF picture", _LOST),
    (8, b"WEBP", "a WebP picture", _LOST),
    (0, b"%PDF", "a PDF document", _LOST),
    (0, b"\x7fELF", "a program", _LOST),
    (0, b"SQLite format 3", "a database", _LOST),
    (0, b"PK\x03\x04", "a ZIP archive", _UNPACK),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    (0, b"Rar!", "a RAR archive", _UNPACK),
    (257, b"ustar", "a tar archive", _UNPACK),
    (0, b"\x1f\x8b", "a gzip archive", _UNPACK),
    (0, b"BZh", "a bzip2 archive", _UNPACK),
    (0, b"\xfd7zXZ", "an xz archive", _UNPACK),
    (0, b"\x28\xb5\x2f\xfd", "a Zstandard archive", _UNPACK),
)
"""Where a mark stands, the mark, what it says of a file, and what to do."""

_TEXTS: tuple[tuple[str, str, str], ...] = (
    (
        "version https://git-lfs",
        "a Git LFS pointer, which stands for a file that was not fetched",
        "run 'git lfs pull' to take the file itself",
    ),
    ("<!doctype html", "a web page", "download the recording again, or restore it from a backup"),
    ("<html", "a web page", "download the recording again, or restore it from a backup"),
    ("#!", "a script", _LOST),
    ("#extm3u", "a playlist", "take the recordings that it names"),
    ("[playlist]", "a playlist", "take the recordings that it names"),
)
"""How a text begins, in small letters, what that says of a file, and what to do."""

_TEXT = ("plain text", _LOST)
_MXL = ("a MusicXML score, which holds no sound", _SCORE)
_PROJECT = ("a project of audiosep", "repeat what it says with 'audiosep replay'")
_LIST = ("a list of recordings", "take them apart with 'audiosep batch'")

# In these the samples lie as they are, so that an audio editor can take them without a header.
_BARE = frozenset(
    {".wav", ".wave", ".rf64", ".w64", ".aif", ".aiff", ".aifc", ".caf", ".au", ".snd"}
)
_VIDEOS = frozenset({".mp4", ".mov", ".mkv", ".webm", ".avi", ".flv", ".mpg", ".mpeg", ".ts"})


def why_no_audio(path: Path) -> str:
    """Say what a file is that is not audio, or why that cannot be told, and what helps.

    Parameters
    ----------
    path : Path
        A file that no decoder takes.

    Returns
    -------
    str
        The end of a sentence about the file.

    Raises
    ------
    OSError
        If the disk fails.
    """
    n_bytes = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(_HEAD)
    known = kind_of(head, path.suffix.lower())
    if known:
        what, help_ = known
        return f"it is {what}; {help_}."
    if head.count(0) == len(head) and only_zeros(path):
        return (
            "it holds only zeros, as a broken copy leaves it; copy it again, or restore it from a "
            "backup."
        )
    if n_bytes < _FEW_BYTES:
        return f"it holds only {n_bytes} bytes and no sound; restore it from a backup."
    if path.suffix.lower() in _BARE:
        return (
            "it has no header that is known; restore it from a backup, or import it as raw data in "
            "an audio editor."
        )
    if path.suffix.lower() in SUFFIXES | _VIDEOS:
        return "it has no header that is known; restore it from a backup."
    return f"it has no header that is known; if it is a recording, {_CONVERT}."


def kind_of(head: bytes, ending: str = "") -> tuple[str, str] | None:
    """What the first bytes of a file say that it is, and what helps; None where it is unknown.

    Parameters
    ----------
    head : bytes
        Its first bytes, a few hundred.
    ending : str
        Of its name, in small letters.
    """
    marked = marked_as(head)
    if marked:
        return _MXL if ending == ".mxl" else marked
    text = _text_of(head)
    if text is None:
        return None
    begins = text.lstrip("\ufeff \t\r\n").lower()
    for start, what, help_ in _TEXTS:
        if begins.startswith(start):
            return what, help_
    if "<score-partwise" in begins or "<score-timewise" in begins:
        return _MXL
    if '"audiosep_project"' in begins:
        return _PROJECT
    return _LIST if _is_list(begins) else _TEXT


def marked_as(head: bytes) -> tuple[str, str] | None:
    """The same by marks alone, where what begins like text may be the header of a recording."""
    return next(
        ((what, help_) for at, mark, what, help_ in _MARKS if head.startswith(mark, at)), None
    )


def _is_list(text: str) -> bool:
    """Whether a text names recordings in the way of ``audiosep batch``."""
    first = text.splitlines()[0] if text else ""
    if first.startswith("{"):
        return '"input":' in first.replace(" ", "")
    cells = first.replace(";", ",").replace("\t", ",").split(",")
    return "input" in (cell.strip(' "') for cell in cells)


def _text_of(head: bytes) -> str | None:
    """The beginning of a text, of which the last letter may be cut; None for anything else."""
    if len(head) < _FEWEST_LETTERS:
        return None
    code = "utf-16" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8"
    try:
        text = head.decode(code)
    except UnicodeDecodeError as error:
        if len(head) - error.start >= _FEWEST_LETTERS:
            return None
        text = head[: error.start].decode(code)
    return text if all(c.isprintable() or c in "\ufeff\t\r\n\f" for c in text) else None


def only_zeros(path: Path) -> bool:
    """Whether nothing but zeros is in a file; its end is not looked at if it is a huge one."""
    with path.open("rb") as file:
        for _ in range(_MOST_BLOCKS):
            block = file.read(_BLOCK)
            if not block:
                return True
            if block.count(0) < len(block):
                return False
    return False
