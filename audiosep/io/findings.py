"""What is wrong with a recording that was read, in sentences."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audiosep.errors import DamagedAudioError
from audiosep.io.containers import CONTAINERS
from audiosep.io.decoders import Salvager
from audiosep.io.endings import Ending, amount, ending_of
from audiosep.io.frames import walk_frames
from audiosep.io.header import AudioInfo
from audiosep.io.mpeg_frames import counted, junk_bytes, walk
from audiosep.io.ogg_pages import walk_pages
from audiosep.io.raw_frames import RAW_FRAMES

__all__ = ["Found", "check_remnant", "found_in", "other_name"]

_LEAST_SHORT_S = 0.1
"""Containers round the length of their tracks."""

_LEAST_UNREAD_S = 0.3
"""Decoders of MP3 leave out what encoders add at both ends: some frames."""

_REMNANT_S = 0.05
_REMNANT_SHARE = 0.01
"""A recording of which less than this is left is none any more."""

_ENDINGS = (
    (("WAV", "WAVEX", "RF64"), (".wav", ".wave", ".rf64", ".bwf")),
    (("W64",), (".w64",)),
    (("AIFF",), (".aif", ".aiff", ".aifc")),
    (("CAF",), (".caf",)),
    (("FLAC",), (".flac",)),
    (("OGG", "OGG FLAC"), (".ogg", ".oga", ".opus")),
    (("MP3",), (".mp3",)),
    (("AU",), (".au", ".snd")),
    (("MP4", "AAC"), (".m4a", ".mp4", ".m4b", ".aac", ".mov")),
    (("WMA",), (".wma", ".wmv", ".asf")),
    (("Matroska",), (".mkv", ".mka", ".webm")),
)


@dataclass(frozen=True, kw_only=True)
class Found:
    """What was found.

    Parameters
    ----------
    damage, notes : tuple of str
        What is damaged, and what else is odd.
    missing_s : float or None
        How much sound is missing; 0 in whole files, None where it cannot be told.
    whole_s : float or None
        How much there should be, where something is missing and that is known.
    """

    damage: tuple[str, ...]
    notes: tuple[str, ...]
    missing_s: float | None
    whole_s: float | None


def found_in(
    where: Path,
    decoder: Salvager,
    first: int,
    n_got: int,
    n_wanted: int | None,
    *,
    altered: bool,
) -> Found:
    """Judge a recording that was read.

    Parameters
    ----------
    where : Path
        The file.
    decoder : Salvager
        What has read it.
    first, n_got, n_wanted : int
        From which sample on, how many came, and how many were asked for; None for all.
    altered : bool
        Whether its samples do not fit its checksum.

    Returns
    -------
    Found
    """
    about = decoder.info
    ending = ending_of(where, about)
    whole = n_wanted is None
    pages = walk_pages(where) if about.format in ("OGG", "OGG FLAC") and whole else None
    notes = list(other_name(where, about))
    if pages is not None and pages.n_streams > 1:
        notes.append(
            f"it is {pages.n_streams} recordings in a row, and only the first of them is read; "
            "take the others apart from it with another program."
        )
    frames = None
    expected = about.n_samples - first
    if about.format in RAW_FRAMES:
        # What stands for a header is no more than a guess by the size of the file.
        frames = walk_frames(where, RAW_FRAMES[about.format]) if whole else None
        expected = 0 if frames is None else round(frames.seconds * about.sr) - first
    if about.format == "MP3" and counted(where) is None:
        # Its length is a guess, too, and what the decoder leaves out at both ends is not counted.
        frames = walk(where) if whole else None
        expected = 0
    if n_wanted is not None:
        expected = min(expected, n_wanted)
    short_s = max(0, expected - n_got) / about.sr
    if about.format in CONTAINERS and short_s < _LEAST_SHORT_S:
        short_s = 0.0
    if about.format == "MP3" and ending.missing_s is not None and not short_s:
        # All samples came: encoders do not agree on which bytes they count.
        ending = Ending()
    found: list[str] = []
    missing_s: float | None = 0.0
    whole_s: float | None = None
    if decoder.gaps:
        found.append(_gap_words(decoder.gaps, about.sr))
    end_s = (first + n_got) / about.sr
    if pages is not None and pages.n_holes:
        whole_s = pages.whole_s if pages.lost_beginning else about.duration
        missing_s = None if whole_s is None or end_s >= whole_s else whole_s - end_s
        found.append(_inside(missing_s, whole_s, about.sr))
        found += filter(None, [ending.words()])
    elif frames is not None and frames.n_holes:
        missing_s = None
        found.append(_inside(None, None, about.sr))
        found += filter(None, [ending.words()])
    elif ending.is_cut and (ending.missing_s is None or not short_s):
        missing_s, whole_s = ending.missing_s, ending.whole_s
        found.append(ending.words())
    elif short_s and not ending.is_cut and decoder.stopped:
        missing_s, whole_s = short_s, about.duration
        found.append(
            f"nothing can be decoded after {end_s:.2f} s ({decoder.stopped}): "
            f"{amount(short_s, about.duration, about.sr)} missing."
        )
    elif short_s:
        missing_s, whole_s = short_s, about.duration
        inside = about.format in ("OGG", "MP3") and (ending.is_inside or not ending.is_cut)
        how = f"{amount(short_s, about.duration, about.sr)} missing"
        # Decoders of containers may find no way behind a damage and take it for the end.
        ends = "ends early or is damaged" if about.format in CONTAINERS else "ends early"
        found.append(
            _inside(short_s, about.duration, about.sr) if inside else f"the file {ends}: {how}."
        )
    elif decoder.stopped:
        missing_s = None
        found.append(f"the file is damaged after {end_s:.2f} s ({decoder.stopped}).")
    elif about.format == "MP3" and whole:
        framed_s = walk(where).seconds
        if framed_s - end_s > _LEAST_UNREAD_S:
            missing_s, whole_s = framed_s - end_s, framed_s
            found.append(
                f"only {end_s:.2f} s of {framed_s:.2f} s can be read, because its first frame does "
                "not count all others; convert it to WAV with another program."
            )
    if about.format == "MP3" and whole and not first and (n_junk := junk_bytes(where)):
        found.append(
            f"its first {n_junk} bytes are no sound: its beginning is damaged or was cut off."
        )
    if altered and not found:
        found.append(
            "its samples are not those that its checksum was made of: it was altered since."
        )
    if ending.has_no_length:
        found.append(
            "its header gives a length of 0, as a recorder leaves it that was stopped hard; the "
            f"{n_got / about.sr:.2f} s behind it were taken."
        )
    return Found(damage=tuple(found), notes=tuple(notes), missing_s=missing_s, whole_s=whole_s)


def check_remnant(missing_s: float | None, whole_s: float | None, sr: int) -> None:
    """Refuse a recording of which next to nothing is left.

    Raises
    ------
    DamagedAudioError
        If so.
    """
    if missing_s is None or not whole_s:
        return
    held_s = max(0.0, whole_s - missing_s)
    if held_s < _REMNANT_S and held_s < _REMNANT_SHARE * whole_s:
        n = round(held_s * sr)
        raise DamagedAudioError(
            f"is cut: it holds only {n} {'sample' if n == 1 else 'samples'} ({held_s:.2g} s) of "
            f"{whole_s:.2f} s; restore it from a backup."
        )


def _inside(missing_s: float | None, whole_s: float | None, sr: int) -> str:
    if missing_s is None:
        return "the file is damaged inside, and it cannot be told how much is missing."
    how = f"{amount(missing_s, whole_s, sr)} missing"
    return f"the file is damaged inside: {how}, so that what follows comes too early."


def _gap_words(gaps: list[tuple[int, int]], sr: int) -> str:
    lost = sum(last - first for first, last in gaps) / sr
    first, last = gaps[0][0] / sr, gaps[0][1] / sr
    places = f"from {first:.2f} s to {last:.2f} s"
    if len(gaps) > 1:
        places = f"in {len(gaps)} places, the first {places}"
    return f"{lost:.2f} s could not be decoded and are silent, {places}."


def other_name(where: Path, about: AudioInfo) -> tuple[str, ...]:
    """Say that a name promises another format."""
    ending = where.suffix.lower()
    promised: set[Any] = {names for names, endings in _ENDINGS if ending in endings}
    if not promised or any(about.format in names for names in promised):
        return ()
    return (f"its name ends in {ending}, but it is {about.format}, and was read as that.",)
