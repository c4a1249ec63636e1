"""What the header of a sound file says; files opened by content, whatever they are called."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audiosep.errors import DamagedAudioError, InputError, NotAudioError
from audiosep.io.contents import kind_of, marked_as, only_zeros, why_no_audio
from audiosep.io.formats import Bits, bits_of_subtype
from audiosep.io.mpeg_frames import counted, counting_frame, walk
from audiosep.io.naming import absent
from audiosep.io.patched import PatchedFile, ReheadedFile
from audiosep.io.quiet import without_notes
from audiosep.io.reasons import UNKNOWN_CODING, plain_reason
from audiosep.io.riff import audio_bytes
from audiosep.types import MAX_SAMPLE_RATE, MIN_SAMPLE_RATE

__all__ = [
    "SEEKABLE",
    "AudioInfo",
    "DecodingError",
    "about_file",
    "check_is_file",
    "check_rate",
    "info",
    "open_file",
    "reason_of",
    "sha256_of",
    "state_of",
]

_UNKNOWN_LENGTH = 1 << 62  # libsndfile says 2^63 - 1 where the header of a stream has no length
_LEAST_MISSED = 2  # frames: one may be left out at an end, and is
_CHUNKED = (b"RIFF", b"RF64", b"FORM", b"fLaC", b"OggS", b"riff", b"caff")
_HEAD = 512
_SHORT_HEADER = 100  # bytes: no more than the beginning of one
_BARE = (".gsm", ".vox")  # telephone sound, which never has a header

SEEKABLE = frozenset({"WAV", "WAVEX", "RF64", "W64", "AIFF", "CAF", "FLAC", "AU"})
"""Formats in which a sample is found exactly without decoding all before it."""


@dataclass(frozen=True, kw_only=True)
class AudioInfo:
    """What the header of a recording says.

    Parameters
    ----------
    path : Path
        As given.
    format, subtype : str
        libsndfile's words, such as ``"WAV"`` and ``"PCM_16"``.
    sr : int
        Sample rate in Hz.
    n_channels, n_samples : int
        Shape; the header's count of samples may be wrong in damaged files, and is 0 in streams
        whose header has none.
    bits : {16, 24, "float"}
        Bit depth that stems of this recording get.
    """

    path: Path
    format: str
    subtype: str
    sr: int
    n_channels: int
    n_samples: int
    bits: Bits

    @property
    def duration(self) -> float:
        """Length in seconds, by the header."""
        return self.n_samples / self.sr


class DecodingError(Exception):
    """What comes next in a file cannot be decoded; the message is the decoder's."""


def check_is_file(path: Path) -> None:
    """Make sure that there is a file that may be read, before anything waits for it.

    Raises
    ------
    InputError
        If there is none; the message does not repeat the path.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        if path.is_symlink():
            raise InputError(
                "is a link that points nowhere; restore the file that it names."
            ) from None
        raise InputError(absent(path)) from None
    except PermissionError:
        raise InputError("may not be read: permission denied.") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"cannot be opened: {reason}.") from None
    if stat.S_ISDIR(status.st_mode):
        raise InputError("is a directory, not a recording; name the recordings in it.")
    if not stat.S_ISREG(status.st_mode):
        raise InputError(
            "is not a regular file but a pipe or a device; copy what it gives into a file."
        )
    if status.st_size == 0:
        raise InputError("is empty (0 bytes); copy it again, or restore it from a backup.")
    if not os.access(path, os.R_OK):
        raise InputError("may not be read: permission denied.")


def open_file(path: Path) -> Any:
    """Open a sound file with libsndfile, recognised by content.

    Where the header of a recording is wrong about how much follows it, so that nothing or less
    could be read, it is read as if it were right.

    Raises
    ------
    InputError
        If it cannot be read as audio; the message does not repeat the path.
    """
    import soundfile

    check_is_file(path)
    try:
        # Bytes, because names need not be valid text on every system.
        with without_notes():
            file = soundfile.SoundFile(_as_file(path))
    except TypeError:
        # soundfile goes by this one ending, and wants rate and channels for what has no header.
        raise InputError(
            "is named .raw, which stands for audio without a header; rename it if it has one, or "
            "convert it to WAV."
        ) from None
    except soundfile.LibsndfileError as error:
        mended = _with_length(path)
        if mended is not None:
            return mended
        raise _refused(path, reason_of(error)) from None
    if file.format == "RAW" and not _may_be_bare(path):
        file.close()
        raise _no_audio(path)
    if file.frames == 0:
        mended = _with_length(path)
        if mended is not None:
            file.close()
            return mended
    if file.format == "MP3" and counted(path) is None:
        return _with_count(path, file)
    return file


def _refused(path: Path, reason: str) -> InputError:
    """Why a file cannot be opened: its header is damaged, or it is something else."""
    with path.open("rb") as source:
        head = source.read(_HEAD)
    if head[:4] not in _CHUNKED or marked_as(head):
        return _no_audio(path)
    n_bytes = path.stat().st_size
    if n_bytes < _SHORT_HEADER:
        reason = f"it is cut to {n_bytes} bytes"
    elif reason == UNKNOWN_CODING:
        return DamagedAudioError(
            "has a coding that is not known, or a damaged header; if other programs play it, "
            "convert it to WAV or FLAC, or else restore it from a backup."
        )
    return DamagedAudioError(f"has a damaged header ({reason}); restore it from a backup.")


def _no_audio(path: Path) -> NotAudioError:
    return NotAudioError(f"is not audio that can be read: {why_no_audio(path)}")


def _may_be_bare(path: Path) -> bool:
    """Whether sound without a header is what a name promises, and nothing speaks against it.

    libsndfile goes by the name where no header is known, and takes an AU file whose header is
    destroyed for telephone sound of 8000 Hz: noise would be made of it.
    """
    with path.open("rb") as source:
        head = source.read(_HEAD)
    return path.suffix.lower() in _BARE and kind_of(head) is None and not only_zeros(path)


def _as_file(path: Path) -> bytes:
    """Name of a file for libsndfile, which takes a dash for a stream."""
    name = os.fsencode(path)
    return b"./-" if name == b"-" else name


def _with_length(path: Path) -> Any:
    """Open a file with the length that its header should give; None where that is no help."""
    import soundfile

    found = audio_bytes(path)
    if found is None or found.promised is None or not found.held:
        return None
    if found.promised and not found.missing:
        return None
    patched = PatchedFile(path, found.size_at, found.size_field(found.held))
    try:
        return soundfile.SoundFile(patched)
    except soundfile.LibsndfileError:
        patched.close()
        return None


def _with_count(path: Path, file: Any) -> Any:
    """Open an MP3 with a frame that counts the others, where its decoder guesses too few."""
    import soundfile

    found = walk(path)
    missed_s = found.seconds - file.frames / file.samplerate
    if missed_s <= _LEAST_MISSED * found.seconds / max(1, found.n_frames):
        return file
    head = counting_frame(path, found)
    if not head:
        return file
    reheaded = ReheadedFile(path, found.first, head)
    try:
        with without_notes():
            mended = soundfile.SoundFile(reheaded)
    except soundfile.LibsndfileError:
        reheaded.close()
        return file
    file.close()
    return mended


def reason_of(error: Exception) -> str:
    """What libsndfile says, in plain words."""
    return plain_reason(str(getattr(error, "error_string", None) or error))


def check_rate(sr: int) -> None:
    """Make sure that a sample rate can be.

    Raises
    ------
    DamagedAudioError
        If not.
    """
    if not MIN_SAMPLE_RATE <= sr <= MAX_SAMPLE_RATE:
        raise DamagedAudioError(
            f"has an implausible sample rate of {sr} Hz; its header is damaged: restore it from a "
            "backup."
        )


def about_file(path: Path, file: Any) -> AudioInfo:
    """What the header of an open sound file says.

    Raises
    ------
    DamagedAudioError
        If its sample rate cannot be.
    """
    check_rate(file.samplerate)
    return AudioInfo(
        path=path,
        format=file.format,
        subtype=file.subtype,
        sr=int(file.samplerate),
        n_channels=int(file.channels),
        n_samples=int(file.frames) if file.frames < _UNKNOWN_LENGTH else 0,
        bits=bits_of_subtype(file.subtype),
    )


def info(path: str | os.PathLike[str], *, stream: int | None = None) -> AudioInfo:
    """Read what the header of a recording says.

    Parameters
    ----------
    path : path-like
        A sound file.
    stream : int >= 1, optional
        Which of several audio tracks.

    Returns
    -------
    AudioInfo

    Raises
    ------
    InputError
        If it cannot be read as audio; the message does not repeat the path.
    """
    from audiosep.io.decoders import open_decoder

    decoder = open_decoder(Path(os.fspath(path)), stream)
    decoder.close()
    return decoder.info


def state_of(path: Path) -> tuple[int, ...] | None:
    """What is another when a file has been written to or replaced; None where there is none."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
