"""Samples out of a file of any format, block by block, and on behind what cannot be decoded."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from audiosep.errors import InputError
from audiosep.io.containers import ContainerDecoder, container_of
from audiosep.io.flac_frames import frame_starts
from audiosep.io.header import (
    SEEKABLE,
    AudioInfo,
    DecodingError,
    about_file,
    check_is_file,
    open_file,
    reason_of,
)
from audiosep.io.patched import PatchedFile
from audiosep.io.quiet import without_notes

__all__ = ["Decoder", "Salvager", "open_decoder"]

_MPEG_SAMPLES = 1152
_SKIPPED_BYTES = 1024  # by the decoder of MP3, before it says that it has not found a frame
_FINE_SAMPLES = 256
_TRIED_SAMPLES = 1024
_MOST_TRIES = 1000  # of places in a file: each takes a while in one that is damaged all over


class Decoder(Protocol):
    """What gives the samples of a file, forwards."""

    @property
    def info(self) -> AudioInfo:
        """What its header says."""
        ...

    @property
    def exact(self) -> bool:
        """Whether it finds a sample without decoding all before it."""
        ...

    def read(self, n: int) -> npt.NDArray[np.float32]:
        """Read up to `n` samples of shape (samples, channels); fewer only at the end.

        Raises
        ------
        DecodingError
            If they cannot be decoded.
        """
        ...

    def seek(self, sample: int) -> None:
        """Go on with a sample, in formats in which that is exact.

        Raises
        ------
        DecodingError
            If there is no way to it.
        """
        ...

    def go_on(self) -> int:
        """Go on behind what could not be decoded, and say how many samples are lost with it.

        Only in formats that are not entered by seeking; 0 where there is no way.
        """
        ...

    def close(self) -> None:
        """Close the file."""
        ...


class SoundDecoder:
    """A file that libsndfile knows.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    InputError
        If it cannot be read as audio; the message does not repeat the path.
    """

    def __init__(self, path: Path) -> None:
        self._file: Any = open_file(path)
        self._most_errors = path.stat().st_size // _SKIPPED_BYTES + 1
        self._kept: npt.NDArray[np.float32] | None = None
        try:
            self.info = about_file(path, self._file)
        except InputError:
            self._file.close()
            raise
        self.exact = self.info.format in SEEKABLE

    def read(self, n: int) -> npt.NDArray[np.float32]:
        """Read up to `n` samples, see :class:`Decoder`."""
        import soundfile

        # soundfile seeks after every read of a seekable file, and that fails where the header has
        # a wrong length or none.
        self._file.seekable = lambda: False
        try:
            with without_notes(self.info.format):
                if self.info.format == "MP3":
                    return self._frames(n)
                block: npt.NDArray[np.float32] = self._file.read(n, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise DecodingError(reason_of(error)) from None
        return block

    def _frames(self, n: int) -> npt.NDArray[np.float32]:
        """Samples of an MP3, also behind a hole, at which its decoder stops after a while.

        They are read in small pieces, always the same ones, since with an error a piece is lost.
        """
        import soundfile

        parts: list[npt.NDArray[np.float32]] = []
        left = n
        while left:
            piece, self._kept = self._kept, None
            if piece is None:
                try:
                    piece = self._file.read(_MPEG_SAMPLES, dtype="float32", always_2d=True)
                except soundfile.LibsndfileError:
                    if not self._most_errors:
                        raise
                    self._most_errors -= 1
                    continue
            if not len(piece):
                break
            parts.append(piece[:left])
            if len(piece) > left:
                self._kept = piece[left:]
            left -= len(parts[-1])
        if not parts:
            return np.zeros((0, self.info.n_channels), dtype=np.float32)
        return np.concatenate(parts)

    def seek(self, sample: int) -> None:
        """Go on with a sample, see :class:`Decoder`."""
        import soundfile

        try:
            self._file.seek(sample)
        except soundfile.LibsndfileError as error:
            raise DecodingError(reason_of(error)) from None

    def go_on(self) -> int:
        """Return 0: such files are gone on with by seeking, or not at all."""
        return 0

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        if isinstance(self._file.name, PatchedFile):  # soundfile closes only what it has opened
            self._file.name.close()


def open_decoder(path: Path, stream: int | None = None) -> Decoder:
    """Open a recording with whatever knows its format, recognised by content.

    Parameters
    ----------
    path : Path
        The file.
    stream : int >= 1, optional
        Which of several audio tracks.

    Raises
    ------
    InputError
        If it cannot be read as audio; the message does not repeat the path.
    """
    check_is_file(path)
    kind = container_of(path)
    if kind:
        return ContainerDecoder(path, kind, stream)
    if stream not in (None, 1):
        raise InputError(
            f"has no audio track {stream}, but a single one; leave out --stream "
            "(in Python: stream)."
        )
    return SoundDecoder(path)


class Salvager:
    """A decoder that goes on behind what cannot be decoded, with silence in its place.

    What is behind the last sample that can be decoded is not replaced: there the file ends.

    Parameters
    ----------
    opened : callable
        Opens the file from its beginning.
    gaps : sequence of (int, int), optional
        First sample of each gap, and the first behind it, where they are known.
    goes_on : bool
        Whether what is behind a damage is looked for; else all ends there.

    Attributes
    ----------
    gaps : list of (int, int)
        Those that were found so far.
    stopped : str
        Why nothing more can be decoded; empty before that and at a good end.
    """

    def __init__(
        self,
        opened: Callable[[], Decoder],
        gaps: Sequence[tuple[int, int]] | None = None,
        *,
        goes_on: bool = True,
    ) -> None:
        self._opened = opened
        self._inner = opened()
        self.info, self.exact = self._inner.info, self._inner.exact
        self.gaps: list[tuple[int, int]] = list(gaps or ())
        self._known = gaps is not None
        self.goes_on = goes_on
        self._starts: list[int] | None = None
        self._n_tries = 0
        self.stopped = ""
        self._at = 0

    def read(self, n: int) -> npt.NDArray[np.float32]:
        """Read up to `n` samples, see :class:`Decoder`; where nothing more can be read, it ends."""
        parts: list[npt.NDArray[np.float32]] = []
        left = n
        while left:
            block = self._silence(left)
            if block is None:
                block = self._sound(left)
            if not len(block):
                break
            parts.append(block)
            left -= len(block)
            self._at += len(block)
        if not parts:
            return self._nothing()
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def seek(self, sample: int) -> None:
        """Go on with a sample, see :class:`Decoder`."""
        gap = self._gap_at(sample)
        self._reopen(sample if gap is None else gap[1])
        self._at = sample

    def go_on(self) -> int:
        """Return 0: it has gone on by itself."""
        return 0

    def close(self) -> None:
        """Close the file."""
        self._inner.close()

    def _nothing(self) -> npt.NDArray[np.float32]:
        return np.zeros((0, self.info.n_channels), dtype=np.float32)

    def _gap_at(self, sample: int) -> tuple[int, int] | None:
        return next((gap for gap in self.gaps if gap[0] <= sample < gap[1]), None)

    def _silence(self, n: int) -> npt.NDArray[np.float32] | None:
        gap = self._gap_at(self._at)
        if gap is None:
            return None
        if self._known and self._at == gap[0]:
            if self.exact:
                self._reopen(gap[1])
            else:
                self._meet_damage()
        return np.zeros((min(n, gap[1] - self._at), self.info.n_channels), dtype=np.float32)

    def _meet_damage(self) -> None:
        """Go on behind a damage that is known to come next."""
        try:
            self._inner.read(1)
        except DecodingError:
            self._inner.go_on()

    def _sound(self, n: int) -> npt.NDArray[np.float32]:
        """Samples up to the next gap, which is looked for where it is not known."""
        if self.stopped:
            return self._nothing()
        next_gap = min((first for first, _ in self.gaps if first > self._at), default=None)
        if next_gap is not None:
            n = min(n, next_gap - self._at)
        try:
            return self._inner.read(n)
        except DecodingError as error:
            why = str(error)
            if self._known:
                raise
            if not self.exact:
                lost = self._inner.go_on() if self.goes_on else 0
                if not lost:
                    self.stopped = why
                    return self._nothing()
                self.gaps.append((self._at, self._at + lost))
                silence = self._silence(n)
                return self._nothing() if silence is None else silence
        return self._up_to_damage(n, why)

    def _up_to_damage(self, n: int, why: str) -> npt.NDArray[np.float32]:
        """Read what can be decoded before a damage, and note where sound begins again."""
        parts: list[npt.NDArray[np.float32]] = []
        at, size = self._at, _FINE_SAMPLES
        try:
            by_seeking = self._return_to(at)
            while at < self._at + n:
                try:
                    block = self._inner.read(min(size, self._at + n - at))
                except DecodingError:
                    if size == 1 or not by_seeking:  # or each step would take its time
                        raise
                    size //= 2  # to the sample, so that it does not depend on where reading began
                    self._reopen(at)
                    continue
                if not len(block):
                    break
                parts.append(block)
                at += len(block)
        except DecodingError:
            behind = self._behind(at) if self.goes_on else None
            if behind is None:
                self.stopped = why
            else:
                self.gaps.append((at, behind))
        if parts:
            return np.concatenate(parts)
        silence = self._silence(n)
        return self._nothing() if silence is None else silence

    def _behind(self, damage: int) -> int | None:
        """Find the first sample behind a damage that can be decoded; None where there is none."""
        if self._starts is None:
            self._starts = frame_starts(self.info.path) if self.info.format == "FLAC" else []
        for start in self._starts[bisect_right(self._starts, damage) :]:
            if self._n_tries >= _MOST_TRIES:
                break
            self._n_tries += 1
            if self._can_go_on(start):
                self._reopen(start)
                return start
        return None

    def _can_go_on(self, sample: int) -> bool:
        try:
            self._reopen(sample)
            return len(self._inner.read(_TRIED_SAMPLES)) > 0
        except DecodingError:
            return False

    def _reopen(self, sample: int) -> None:
        self._inner.close()
        self._inner = self._opened()
        if sample:
            self._inner.seek(sample)

    def _return_to(self, sample: int) -> bool:
        """Go back to a sample that could be decoded, whether by seeking or by decoding up to it."""
        try:
            self._reopen(sample)
        except DecodingError:
            self._decode_up_to(sample)
            return False
        return True

    def _decode_up_to(self, sample: int) -> None:
        at = max((last for _, last in self.gaps if last <= sample), default=0)
        self._reopen(at)
        while at < sample:
            block = self._inner.read(min(_TRIED_SAMPLES, sample - at))
            if not len(block):
                raise DecodingError("it ends before")
            at += len(block)
