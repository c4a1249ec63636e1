"""A recording read once from end to end, and what is wrong with it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from audiosep.errors import DamagedAudioError, InputError, ParameterError, RefusedError
from audiosep.io.checksum import Checksum
from audiosep.io.containers import CONTAINERS
from audiosep.io.decoders import Salvager, open_decoder
from audiosep.io.endings import ending_of
from audiosep.io.findings import check_remnant, found_in, other_name
from audiosep.io.header import AudioInfo, DecodingError, state_of
from audiosep.io.read_options import AS_IT_IS, ReadOptions
from audiosep.io.riff import audio_bytes

__all__ = ["ZEROED", "Pass", "finite", "foreseen", "pass_through"]

_BLOCK_SAMPLES = 1 << 14

ZEROED = "taken as silence"
"""Words of every warning that samples were no numbers, by which a record tells of it."""


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
    whole_s : float or None
        How much there should be, where something is missing and that is known.
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
    whole_s: float | None
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
    # Also where it is refused: so the place of a damage is known to the sample.
    goes_on = options.damaged == "salvage"
    decoder = Salvager(partial(open_decoder, where, options.stream), goes_on=goes_on)
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
        checksum = None if first or n_wanted is not None else Checksum.of(where, about)
        n_got = 0
        _go_to(decoder, first)
        while n_wanted is None or n_got < n_wanted:
            n = _BLOCK_SAMPLES if n_wanted is None else min(_BLOCK_SAMPLES, n_wanted - n_got)
            block = _next(decoder, n, first + n_got)
            if not len(block):
                break
            if checksum is not None:
                checksum.take(block)
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
    altered = checksum is not None and not decoder.gaps and not checksum.fits()
    found = found_in(where, decoder, first, n_got, n_wanted, altered=altered)
    if options.damaged == "refuse" and found.damage:
        raise _refused(found.damage[0])
    return Pass(
        info=about,
        first=first,
        n_samples=n_got,
        missing_s=found.missing_s,
        whole_s=found.whole_s,
        gaps=tuple(decoder.gaps),
        damage=found.damage,
        notes=(*zeroed.words(about.sr), *found.notes),
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
    check_remnant(ending.missing_s, ending.whole_s, about.sr)
    damage = ending.words()
    if damage and options.damaged == "refuse":
        raise _refused(damage)
    if ending.missing_s and ending.whole_s and about.format == "FLAC":
        held_s = ending.whole_s - ending.missing_s
        if options.damaged != "salvage" and start + taken_s > held_s:
            raise _cannot_decode(held_s, "it ends there")
    if ending.has_no_length:
        damage = "its header gives a length of 0; what is behind it would be taken."
    return tuple(filter(None, (damage, *other_name(where, about))))


def _go_to(decoder: Salvager, first: int) -> None:
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


def _next(decoder: Salvager, n: int, at: int) -> npt.NDArray[np.float32]:
    block = decoder.read(n)
    if decoder.stopped and not decoder.goes_on:
        raise _cannot_decode((at + len(block)) / decoder.info.sr, decoder.stopped)
    return block


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


def _no_audio(where: Path, start: float, decoder: Salvager) -> InputError:
    if decoder.stopped:
        return DamagedAudioError(
            f"has nothing that can be decoded ({decoder.stopped}); restore it from a backup."
        )
    found = audio_bytes(where)
    if start and (found is None or found.held):
        return InputError(f"ends before the start of {start:g} s; start earlier.")
    if ending_of(where, decoder.info).is_cut or decoder.info.n_samples:
        return DamagedAudioError(
            "is cut, and none of its sound can be decoded; restore it from a backup."
        )
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
