"""Whether a file ends where it should, by its structure alone: nothing is decoded."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from audiosep.io import frames
from audiosep.io.flac_frames import last_sample, stream_info
from audiosep.io.header import AudioInfo
from audiosep.io.mpeg_frames import counted, cut_frame_bytes, is_broken_inside
from audiosep.io.ogg_pages import last_page
from audiosep.io.raw_frames import RAW_FRAMES
from audiosep.io.riff import audio_bytes

__all__ = ["Ending", "amount", "ending_of"]

_SAMPLE_BYTES = {"PCM_16": 2, "PCM_24": 3, "PCM_32": 4, "FLOAT": 4, "DOUBLE": 8}
_IN_A_FRAME = "it stops inside a frame"
_SHORT_S = 0.01
_CHUNKED = frozenset({"WAV", "WAVEX", "RF64", "W64", "AIFF", "CAF", "AU"})


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How a file ends.

    Parameters
    ----------
    is_cut : bool
        Whether it ends before it should, or is shorter than it should be.
    is_inside : bool
        Whether what is missing is not missing at the end.
    missing_bytes : int
        How many bytes are missing; 0 where that is not known.
    missing_s : float or None
        How much sound; None where that is not known.
    whole_s : float or None
        How much there should be.
    sr : int
        Sample rate in Hz.
    sign : str
        By what it is known, where nothing counts the sound.
    has_no_length : bool
        Whether the header gives a length of 0 and sound follows, as a recorder leaves it that was
        stopped hard.
    """

    is_cut: bool = False
    is_inside: bool = False
    missing_bytes: int = 0
    missing_s: float | None = None
    whole_s: float | None = None
    sr: int = 1
    sign: str = ""
    has_no_length: bool = False

    def words(self) -> str:
        """One sentence; empty where the file ends as it should."""
        if not self.is_cut:
            return ""
        if self.missing_s is None:
            return f"the file ends early: {self.sign}, and it cannot be told how much is missing."
        how = f"{amount(self.missing_s, self.whole_s, self.sr)} missing"
        if self.is_inside:
            return f"the file is damaged inside: {how}, so that what follows comes too early."
        return f"the file ends early: {how}."


def amount(seconds: float, of: float | None, sr: int) -> str:
    """``0.25 s of 0.50 s (50 %) are``; what is shorter than 0.01 s in samples."""
    n = math.ceil(seconds * sr - 1e-6)
    lost, are = f"{seconds:.2f} s", "are"
    if seconds < _SHORT_S:
        lost, are = (f"{n} samples", "are") if n > 1 else ("1 sample", "is")
    if not of:
        return f"{lost} {are}"
    share = f"{100 * seconds / of:.3g} %"
    if seconds < of / 1000:
        share = "less than 0.1 %"
    elif seconds < of and seconds > 0.999 * of:
        share = "more than 99.9 %"
    return f"{lost} of {of:.2f} s ({share}) {are}"


def ending_of(path: Path, about: AudioInfo) -> Ending:
    """Look how a file ends.

    Parameters
    ----------
    path : Path
        The file; of remote ones, a copy of the first and the last bytes is enough.
    about : AudioInfo
        What its header says.

    Returns
    -------
    Ending
        Also where nothing can be told: then it is taken as whole.
    """
    if about.format in _CHUNKED:
        return _of_chunks(path, about)
    if about.format == "FLAC":
        return _of_flac(path, about)
    if about.format in ("OGG", "OGG FLAC"):
        return _of_ogg(path)
    if about.format == "MP3":
        return _of_mp3(path, about)
    if about.format in RAW_FRAMES:
        n = frames.cut_frame_bytes(path, RAW_FRAMES[about.format])
        return Ending(is_cut=n > 0, missing_bytes=n, sign=_IN_A_FRAME)
    return Ending()


def _of_chunks(path: Path, about: AudioInfo) -> Ending:
    found = audio_bytes(path)
    if found is None or found.promised is None:
        return Ending()
    if not found.missing:
        return Ending(has_no_length=found.promised == 0 and found.held > 0)
    if about.subtype.startswith(("ALAC", "IMA", "MS_ADPCM", "GSM", "NMS", "G72")):
        whole_s = about.duration * (1.0 if about.subtype.startswith("ALAC") else 0.0)
        share = found.missing / found.promised
        return Ending(
            is_cut=True,
            missing_bytes=found.missing,
            missing_s=whole_s * share if whole_s else None,
            whole_s=whole_s or None,
            sr=about.sr,
            sign="its header promises more bytes",
        )
    per_s = max(1, about.n_channels * _SAMPLE_BYTES.get(about.subtype, 1)) * about.sr
    return Ending(
        is_cut=True,
        missing_bytes=found.missing,
        missing_s=found.missing / per_s,
        whole_s=found.promised / per_s,
        sr=about.sr,
    )


def _of_flac(path: Path, about: AudioInfo) -> Ending:
    info = stream_info(path)
    if info is None or not info.n_samples:
        return Ending()
    last = last_sample(path, info)
    if last is None or last >= info.n_samples:
        return Ending()
    return Ending(
        is_cut=True,
        missing_s=(info.n_samples - last) / about.sr,
        whole_s=info.n_samples / about.sr,
        sr=about.sr,
    )


def _of_ogg(path: Path) -> Ending:
    page = last_page(path)
    return Ending(is_cut=page is not None and not page.is_end, sign="it has no end mark")


def _of_mp3(path: Path, about: AudioInfo) -> Ending:
    count = counted(path)
    if count is None:
        n = cut_frame_bytes(path)
        return Ending(is_cut=n > 0, missing_bytes=n, sign=_IN_A_FRAME)
    missing = max(0, count.promised - count.held)
    if not missing:
        return Ending()
    whole_s = about.duration or count.n_samples / about.sr
    return Ending(
        is_cut=True,
        is_inside=is_broken_inside(path),
        missing_bytes=missing,
        missing_s=whole_s * missing / count.promised,
        whole_s=whole_s or None,
        sr=about.sr,
    )
