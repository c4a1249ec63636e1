"""A recording read once from end to end, and what is wrong with it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from audiosep.errors import DamagedAudioError, InputError, ParameterError, RefusedError
from audiosep.io.containers import CONTAINERS
from audiosep.io.decoders import Decoder, Salvager, open_decoder
from audiosep.io.endings import Ending, amount, ending_of
from audiosep.io.header import AudioInfo, DecodingError, state_of
from audiosep.io.read_options import AS_IT_IS, ReadOptions
from audiosep.io.riff import audio_bytes

__all__ = ["ZEROED", "Pass", "finite", "foreseen", "pass_through"]

_BLOCK_SAMPLES = 1 << 14  # short, because damage is found to within a block

ZEROED = "taken as silence"
"""Words of every warning that samples were no numbers, by which a record tells of it."""

_LEAST_SHORT_S = 0.1
"""Containers round the length of their tracks."""

_ENDINGS = (
    (("WAV", "WAVEX", "RF64"), (".wav", ".wave", ".rf64", ".bwf")),
    (("W64",), (".w64",)),
    (("AIFF",), (".aif", ".aiff", ".aifc")),
    (("CAF",), (".caf",)),
    (("FLAC",), (".flac",)),
    (("OGG",), (".ogg", ".oga", ".opus")),
    (("MP3",), (".mp3",)),
    (("AU",), (".au", ".snd")),
    (("MP4", "AAC"), (".m4a", ".mp4", ".m4b", ".aac", ".mov")),
    (("WMA",), (".wma", ".wmv", ".asf")),
    (("Matroska",), (".mkv", ".mka", ".webm")),
)


@dataclass(frozen=True, kw_only=True)
class Pass:
    """What was found on the way.

    Parameters
    ----------
    info : AudioInfo
        What the header says.
    first : int
        First sample that was asked for.
    n_samples : int
        How many came.
    missing_s : float or None
        How much sound is missing at the end or in the middle; 0 in whole files, None where it
        cannot be told.
    gaps : tuple of (int, int)
        What could not be decoded and is silent, by the samples of the file.
    damage : tuple of str
        What is damaged, in sentences.
    notes : tuple of str
        What else is odd, in sentences.
    state : tuple of int
        Changes when the file is written to or replaced.
    """

    info: AudioInfo
    first: int
    n_samples: int
    missing_s: float | None
    gaps: tuple[tuple[int, int], ...]
    damage: tuple[str, ...]
    notes: tuple[str, ...]
    state: tuple[int, ...]


def pass_through(
    where: Path,
    take: Callable[[npt.NDArray[np.float32], int], None],
    *,
    start: float = 0.0,
    duration: float | None = None,
    options: ReadOptions = AS_IT_IS,
    keep_nonfinite: bool = False,
) -> Pass:
    """Give out all blocks of a recording, of shape (samples, channels), with their sample rate.

    Parameters
    ----------
    where : Path
        A sound file.
    take : callable
        Called with each block and the sample rate.
    start, duration : float
        What of it, in seconds.
    options : ReadOptions
        How to read it.
    keep_nonfinite : bool
        Give out samples that are no numbers as they are.

    Returns
    -------
    Pass

    Raises
    ------
    InputError, DamagedAudioError, ParameterError, RefusedError
        As for :func:`audiosep.io.reading.open_recording`.
    """
    if not 0.0 <= start < math.inf or not (duration is None or 0.0 < duration < math.inf):
        raise ParameterError(
            f"start {start} must not be negative, duration {duration} must be above 0, and both "
            "finite."
        )
    opened = partial(open_decoder, where, options.stream)
    decoder: Decoder = Salvager(opened) if options.damaged == "salvage" else opened()
    try:
        before = state_of(where)
        about = decoder.info
        first = round(start * about.sr)
        loose = about.format in CONTAINERS
        if first and first >= about.n_samples > 0 and not loose:
            raise InputError(
                f"ends at {about.duration:.2f} s, before the start of {start:g} s; start earlier."
            )
        n_wanted = None if duration is None else max(1, round(duration * about.sr))
        zeroed = _Zeroed()
        n_got = 0
        _go_to(decoder, first)
        while n_wanted is None or n_got < n_wanted:
            n = _BLOCK_SAMPLES if n_wanted is None else min(_BLOCK_SAMPLES, n_wanted - n_got)
            block = _next(decoder, n, first + n_got)
            if not len(block):
                break
            if not keep_nonfinite:
                block = zeroed.mended(block, first + n_got, about.sr, options)
            n_got += len(block)
            _check_length(n_got, about.sr, options)
            take(block, about.sr)
    finally:
        decoder.close()
    if before is None or state_of(where) != before:
        raise InputError("changed while it was read; try again when nothing writes to it.")
    if n_got == 0:
        raise _no_audio(where, start, decoder)
    damage, missing_s = _damage(where, decoder, first, n_got, n_wanted)
    if options.damaged == "refuse" and damage:
        raise _refused(damage[0])
    return Pass(
        info=about,
        first=first,
        n_samples=n_got,
        missing_s=missing_s,
        gaps=tuple(decoder.gaps) if isinstance(decoder, Salvager) else (),
        damage=damage,
        notes=(*zeroed.words(about.sr), *_other_name(where, about)),
        state=before,
    )


def foreseen(
    where: Path, about: AudioInfo, *, start: float, duration: float | None, options: ReadOptions
) -> tuple[str, ...]:
    """What would be said of a recording, as far as its header and its end tell.

    Parameters
    ----------
    where : Path
        A sound file; of a remote one, a copy of both ends.
    about : AudioInfo
        What its header says.
    start, duration, options
        As for :func:`pass_through`, which would refuse the same.

    Returns
    -------
    tuple of str
        Sentences.

    Raises
    ------
    DamagedAudioError
        If it would be refused as damaged.
    RefusedError
        If it would be refused as too long.
    """
    ending = ending_of(where, about)
    rest_s = max(0.0, about.duration - start)
    taken_s = rest_s if duration is None else min(duration, rest_s)
    if options.max_duration is not None and taken_s > options.max_duration:
        raise _too_long(options.max_duration)
    damage = ending.words()
    if damage and options.damaged == "refuse":
        raise _refused(damage)
    if ending.missing_s and ending.whole_s and about.format == "FLAC":
        held_s = ending.whole_s - ending.missing_s
        if options.damaged != "salvage" and start + taken_s > held_s:
            raise _cannot_decode(held_s, "it ends there")
    if ending.has_no_length:
        damage = "its header gives a length of 0; what is behind it would be taken."
    return tuple(filter(None, (damage, *_other_name(where, about))))


def _go_to(decoder: Decoder, first: int) -> None:
    """Go to a sample: at once, or by decoding all before it."""
    if first == 0:
        return
    if decoder.exact:
        try:
            decoder.seek(first)
        except DecodingError as error:
            raise DamagedAudioError(
                f"cannot be read from {first / decoder.info.sr:g} s on ({error}); it is damaged or "
                "shorter than its header says: start earlier, or restore it from a backup."
            ) from None
        return
    at = 0
    while at < first:
        block = _next(decoder, min(_BLOCK_SAMPLES, first - at), at)
        if not len(block):
            return
        at += len(block)


def _next(decoder: Decoder, n: int, at: int) -> npt.NDArray[np.float32]:
    try:
        return decoder.read(n)
    except DecodingError as error:
        raise _cannot_decode(at / decoder.info.sr, str(error)) from None


def _cannot_decode(at_s: float, why: str) -> DamagedAudioError:
    return DamagedAudioError(
        f"is damaged after {at_s:.2f} s ({why}); restore it from a backup, or take what can be "
        "read with 'audiosep split --salvage' (in Python: ReadOptions(damaged=\"salvage\"))."
    )


def _refused(damage: str) -> DamagedAudioError:
    return DamagedAudioError(
        f'is damaged, and --strict (in Python: damaged="refuse") refuses that: '
        f"{damage.removesuffix('.')}; leave --strict out to take what is there."
    )


def _too_long(most_s: float) -> RefusedError:
    return RefusedError(
        f"is longer than the {most_s:g} s that --max-duration allows (in Python: max_duration); "
        "take a part with --start and --duration, or allow more."
    )


def _check_length(n_got: int, sr: int, options: ReadOptions) -> None:
    if options.max_duration is not None and n_got > options.max_duration * sr:
        raise _too_long(options.max_duration)


def _no_audio(where: Path, start: float, decoder: Decoder) -> InputError:
    if isinstance(decoder, Salvager) and decoder.stopped:
        return DamagedAudioError(
            f"has nothing that can be decoded ({decoder.stopped}); restore it from a backup."
        )
    found = audio_bytes(where)
    if start and (found is None or found.held):
        return InputError(f"ends before the start of {start:g} s; start earlier.")
    return InputError(
        "holds no audio: 0 samples behind the header; record it again or restore it from a backup."
    )


class _Zeroed:
    """Samples that were no numbers."""

    def __init__(self) -> None:
        self._n = 0
        self._where = ""

    def mended(
        self, block: npt.NDArray[np.float32], first: int, sr: int, options: ReadOptions
    ) -> npt.NDArray[np.float32]:
        """Return a block of finite samples, or refuse it."""
        with np.errstate(invalid="ignore"):  # infinity minus infinity
            total = block.sum(dtype=np.float64)
        if np.isfinite(total):
            return block
        odd = ~np.isfinite(block)
        index, channel = np.argwhere(odd)[0]
        words = (
            f"sample {first + index} of channel {channel + 1} (at {(first + index) / sr:.3f} s) is "
            f"{block[index, channel]}"
        )
        if options.fix_nonfinite is None:
            raise InputError(
                f"cannot be used: {words}; repair it, for example in an audio editor, or take such "
                "samples as silence with 'audiosep split --fix-nonfinite zero' (in Python: "
                'ReadOptions(fix_nonfinite="zero")).'
            )
        self._n += int(np.count_nonzero(odd))
        self._where = self._where or words
        return finite(block)

    def words(self, _sr: int) -> tuple[str, ...]:
        """What was done, in a sentence, if anything."""
        if not self._n:
            return ()
        were = "1 sample was no number and is" if self._n == 1 else f"{self._n} samples were no"
        rest = "" if self._n == 1 else " numbers and are"
        return (f"{were}{rest} {ZEROED}; the first: {self._where}.",)


def finite(block: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Copy a block with zeros in place of what is no number."""
    return np.where(np.isfinite(block), block, np.float32(0.0))


def _damage(
    where: Path, decoder: Decoder, first: int, n_got: int, n_wanted: int | None
) -> tuple[tuple[str, ...], float | None]:
    """What is damaged, in sentences, and how much sound is missing."""
    about = decoder.info
    ending = ending_of(where, about)
    expected = about.n_samples - first
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
    if isinstance(decoder, Salvager) and decoder.gaps:
        found.append(_gap_words(decoder.gaps, about.sr))
    if ending.is_cut and (ending.missing_s is None or not short_s):
        missing_s = ending.missing_s
        found.append(ending.words())
    elif short_s and not ending.is_cut and isinstance(decoder, Salvager) and decoder.stopped:
        missing_s = short_s
        end_s = (first + n_got) / about.sr
        found.append(
            f"nothing can be decoded after {end_s:.2f} s ({decoder.stopped}): "
            f"{amount(short_s, about.duration)} missing."
        )
    elif short_s:
        missing_s = short_s
        how = f"{amount(short_s, about.duration)} missing"
        inside = about.format in ("OGG", "MP3") and (ending.is_inside or not ending.is_cut)
        found.append(
            f"the file is damaged inside: {how}, so that what follows comes too early."
            if inside
            else f"the file ends early: {how}."
        )
    elif isinstance(decoder, Salvager) and decoder.stopped:
        missing_s = None
        end_s = (first + n_got) / about.sr
        found.append(f"the file is damaged after {end_s:.2f} s ({decoder.stopped}).")
    if ending.has_no_length:
        found.append(
            "its header gives a length of 0, as a recorder leaves it that was stopped hard; the "
            f"{n_got / about.sr:.2f} s behind it were taken."
        )
    return tuple(found), missing_s


def _gap_words(gaps: list[tuple[int, int]], sr: int) -> str:
    lost = sum(last - first for first, last in gaps) / sr
    first, last = gaps[0][0] / sr, gaps[0][1] / sr
    places = f"from {first:.2f} s to {last:.2f} s"
    if len(gaps) > 1:
        places = f"in {len(gaps)} places, the first {places}"
    return f"{lost:.2f} s could not be decoded and are silent, {places}."


def _other_name(where: Path, about: AudioInfo) -> tuple[str, ...]:
    """Say that a name promises another format."""
    ending = where.suffix.lower()
    promised: set[Any] = {names for names, endings in _ENDINGS if ending in endings}
    if not promised or any(about.format in names for names in promised):
        return ()
    return (f"its name ends in {ending}, but it is {about.format}, and was read as that.",)
