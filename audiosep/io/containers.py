"""Sound in files of other programs: M4A, MP4, WMA, AC-3, WavPack, video; with PyAV (extra formats).

PyAV decodes with the libraries of FFmpeg; no other program is started.
"""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from audiosep.errors import DamagedAudioError, InputError
from audiosep.io.formats import Bits
from audiosep.io.frames import cut_frame_bytes
from audiosep.io.header import AudioInfo, DecodingError, check_rate
from audiosep.io.raw_frames import RAW_FRAMES
from audiosep.io.reasons import plain_reason

__all__ = ["CONTAINERS", "ContainerDecoder", "container_of"]

_HEAD = 200
_BARE = ("AAC", "AC-3")  # streams of one coding, without a header
_FEW_BYTES = 1000  # less than what is needed to tell
_MARKS = (
    (0, b"\x1a\x45\xdf\xa3", "Matroska"),
    (0, bytes.fromhex("3026b2758e66cf11"), "WMA"),
    (0, b"\x0b\x77", "AC-3"),
    (0, b"wvpk", "WavPack"),
    (28, b"\x7fFLAC", "OGG FLAC"),  # behind the head of a page
    (0, b"MAC ", "Monkey's Audio"),
    (0, b"TTA1", "TTA"),
    (0, b"DSD ", "DSD"),
    (0, b"FLV\x01", "FLV"),
    (0, b"\0\0\x01\xba", "MPEG"),
    (4, b"ftyp", "MP4"),
    (4, b"moov", "MP4"),
    (4, b"mdat", "MP4"),
    (4, b"wide", "MP4"),
)
# What is read is what it was recognised as: some kinds only name other files and addresses.
_DEMUXERS = {
    "Matroska": "matroska",
    "WMA": "asf",
    "AC-3": "ac3",
    "WavPack": "wv",
    "OGG FLAC": "ogg",
    "Monkey's Audio": "ape",
    "TTA": "tta",
    "DSD": "dsf",
    "FLV": "flv",
    "MPEG": "mpeg",
    "MP4": "mov",
    "AVI": "avi",
    "MPEG-TS": "mpegts",
    "AAC": "aac",
}
CONTAINERS = frozenset(_DEMUXERS)
"""Kinds of files that are read by this module; the lengths in their headers are not exact."""

_INT_BITS: dict[str, Bits] = {"u8": 24, "s16": 16, "s32": 24}
_FLOAT_CODECS = ("pcm_f", "wavpack")


def container_of(path: Path) -> str:
    """Which container it is that libsndfile does not know, by its first bytes; empty for none."""
    with path.open("rb") as file:
        start = file.read(_HEAD)
    for at, mark, name in _MARKS:
        if start[at : at + len(mark)] == mark:
            return name
    if start[:4] == b"RIFF" and start[8:12] == b"AVI ":
        return "AVI"
    if start[:1] == b"\x47" and start[188:189] == b"\x47":
        return "MPEG-TS"
    # ADTS: twelve bits of synchronisation, then a layer that no MPEG audio has.
    if len(start) > 6 and start[0] == 0xFF and start[1] & 0xF6 == 0xF0:
        return "AAC"
    return ""


class _Source(io.BufferedReader):
    """A file in which a place that cannot be is a mistake of what it holds, and not of the disk."""

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        try:
            return super().seek(offset, whence)
        except OSError as error:
            if error.errno == errno.EINVAL:
                raise ValueError("it leads to a place that is not in it") from None
            raise


@dataclass(frozen=True, kw_only=True)
class Lost:
    """What cannot be decoded.

    Parameters
    ----------
    why : str
        The decoder's words.
    n_samples : int or None
        How many samples; None where nothing can be decoded behind it.
    """

    why: str
    n_samples: int | None


class ContainerDecoder:
    """One audio track of a container, forwards.

    Parameters
    ----------
    path : Path
        The file.
    kind : str
        As :func:`container_of` calls it.
    stream : int, optional
        Which of its audio tracks, from 1.

    Raises
    ------
    InputError
        If PyAV is not installed, or there is no such track.
    DamagedAudioError
        If it cannot be opened.
    """

    exact = False

    def __init__(self, path: Path, kind: str, stream: int | None = None) -> None:
        try:
            import av
        except ImportError:
            raise InputError(
                f"is {kind} audio, which needs PyAV: pip install 'audiosep[formats]', or convert "
                "it to WAV or FLAC first."
            ) from None
        self._errors = (av.error.FFmpegError, ValueError)
        # Opened here, so that no name is taken for an address.
        self._source = _Source(io.FileIO(path))
        try:
            self._file: Any = _opened(self._source, _DEMUXERS[kind])
        except self._errors as error:
            self._source.close()
            raise DamagedAudioError(
                f"is {kind} that cannot be opened ({_reason(error)}); it may be cut: restore it "
                "from a backup."
            ) from None
        try:
            self._track = self._chosen(path, kind, stream)
            self.info = self._about(path, kind)
        except BaseException:
            self.close()
            raise
        layout = self._track.codec_context.layout
        self._resampler = av.AudioResampler(format="flt", layout=layout, rate=self.info.sr)
        # MP4 rounds to a millisecond; more of what an encoder adds at the end is not kept.
        counts = kind == "MP4" and self.info.n_samples > 0
        self._left = self.info.n_samples + self.info.sr // 1000 if counts else None
        self._lost: Lost | None = None
        self._next_s = self._begin_s()
        self._n_frame = 0
        self._coming = self._blocks()
        self._kept = np.zeros((0, self.info.n_channels), dtype=np.float32)

    def _begin_s(self) -> float | None:
        start, base = self._track.start_time, self._track.time_base
        return None if start is None or base is None else float(start * base)

    def _chosen(self, path: Path, kind: str, stream: int | None) -> Any:
        tracks = self._file.streams.audio
        if not tracks:
            raise InputError(f"is {kind} without sound: it has no audio track.")
        if stream is None and len(tracks) > 1:
            listed = "; ".join(f"{n}: {_called(track)}" for n, track in enumerate(tracks, start=1))
            raise InputError(
                f"holds {len(tracks)} audio tracks ({listed}); choose one with --stream N (in "
                "Python: ReadOptions(stream=N))."
            )
        number = stream or 1
        if number > len(tracks):
            raise InputError(
                f"has no audio track {number}; choose one of {len(tracks)} with --stream N (in "
                "Python: ReadOptions(stream=N))."
            )
        track = tracks[number - 1]
        if track.codec_context is None or not track.rate or not track.channels:
            if kind in _BARE:  # the coding is known, and no whole piece of sound was found
                n_bytes = path.stat().st_size
                held = (
                    f"is cut to {n_bytes} bytes and" if n_bytes < _FEW_BYTES else f"is {kind} that"
                )
                raise DamagedAudioError(f"{held} holds no sound; restore it from a backup.")
            raise InputError(f"is {kind} in a coding that PyAV cannot decode; convert it to WAV.")
        return track

    def _about(self, path: Path, kind: str) -> AudioInfo:
        track, sr = self._track, int(self._track.rate)
        check_rate(sr)
        seconds = 0.0
        if track.duration and track.time_base:
            seconds = float(track.duration * track.time_base)
        elif self._file.duration:
            seconds = self._file.duration / 1e6
        context = track.codec_context
        form = context.format.name.rstrip("p") if context.format else ""
        bits = _INT_BITS.get(form, 24)
        if form in ("flt", "dbl") and context.name.startswith(_FLOAT_CODECS):
            bits = "float"
        return AudioInfo(
            path=path,
            format=kind,
            subtype=str(context.name).upper(),
            sr=sr,
            n_channels=int(track.channels),
            n_samples=max(0, round(seconds * sr)),
            bits=bits,
        )

    def _blocks(self) -> Iterator[npt.NDArray[np.float32] | Lost]:
        """Blocks in their order, and what is lost between them."""
        lost = ""
        made: Any
        for frame in self._frames():
            if isinstance(frame, str):
                lost = lost or frame
                continue
            if frame is not None:
                if lost:
                    yield Lost(why=lost, n_samples=self._gap_before(frame))
                    lost = ""
                shape = frame.sample_rate, frame.layout.nb_channels
                if shape != (self.info.sr, self.info.n_channels):
                    yield Lost(why="its rate or its channels change on the way", n_samples=None)
                    return
                self._n_frame = frame.samples
                self._next_s = _seconds(frame)
                if self._next_s is not None:
                    self._next_s += frame.samples / self.info.sr
            for made in self._resampler.resample(frame):
                block: npt.NDArray[np.float32] = made.to_ndarray().reshape(-1, self.info.n_channels)
                yield block
        if lost and not self._is_cut():
            yield Lost(why=lost, n_samples=None)

    def _is_cut(self) -> bool:
        """Whether what cannot be decoded is the rest of a frame at the end of the file."""
        kind = self.info.format
        return kind in RAW_FRAMES and cut_frame_bytes(self.info.path, RAW_FRAMES[kind]) > 0

    def _frames(self) -> Iterator[Any]:
        """Decoded frames, None behind the last, and in place of what cannot be decoded, why."""
        try:
            for packet in self._file.demux(self._track):
                try:
                    yield from packet.decode()
                except self._errors as error:
                    yield _reason(error)
        except self._errors as error:
            yield _reason(error)
        yield None

    def _gap_before(self, frame: Any) -> int:
        """How many samples are lost before a frame, by the times in the file."""
        at_s = _seconds(frame)
        if at_s is None or self._next_s is None:
            return self._n_frame or frame.samples  # one that cannot be decoded
        n = round((at_s - self._next_s) * self.info.sr)
        whole = round(n / frame.samples) * frame.samples
        # Times are rounded to a millisecond in some files, and frames come as a whole.
        return max(1, whole if abs(whole - n) <= self.info.sr // 500 else n)

    def read(self, n: int) -> npt.NDArray[np.float32]:
        """Read up to `n` samples of shape (samples, channels); fewer at the end or at a damage.

        Raises
        ------
        DecodingError
            If they cannot be decoded.
        """
        if self._left is not None:
            n = min(n, self._left)
        parts, got = [self._kept[:n]], min(n, len(self._kept))
        self._kept = self._kept[n:]
        while got < n and self._lost is None:
            block = next(self._coming, None)
            if block is None:
                break
            if isinstance(block, Lost):
                self._lost = block
                break
            parts.append(block[: n - got])
            self._kept = block[n - got :]
            got += len(parts[-1])
        if self._lost is not None and n and not got:
            raise DecodingError(self._lost.why)
        if self._left is not None:
            self._left -= got
        out: npt.NDArray[np.float32] = np.ascontiguousarray(np.concatenate(parts), dtype=np.float32)
        return out

    def go_on(self) -> int:
        """Go on behind what could not be decoded, and say how many samples are lost with it.

        Returns
        -------
        int
            0 where nothing can be decoded behind it.
        """
        if self._lost is None or self._lost.n_samples is None:
            return 0
        n, self._lost = self._lost.n_samples, None
        if self._left is not None:
            n = min(n, self._left)
            self._left -= n
        return n

    def seek(self, sample: int) -> None:
        """Never called: the place of a sample is not exact in these files."""
        raise DecodingError(f"there is no way to sample {sample} but all before it")

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        self._source.close()

    def __del__(self) -> None:
        # Tapes are let go of without a word; PyAV does not close what it has not opened.
        source = getattr(self, "_source", None)
        if source is not None:
            source.close()


def _called(track: Any) -> str:
    context = track.codec_context
    what = f"{context.name} {context.layout.name}" if context is not None else "unknown"
    language = str(track.metadata.get("language", "und"))
    title = str(track.metadata.get("title", ""))
    words = [what, *([] if language == "und" else [language]), *([title] if title else [])]
    return ", ".join(word for word in words if word.isprintable())[:80]


def _opened(source: Any, demuxer: str) -> Any:
    import av

    try:
        return av.open(source, format=demuxer, metadata_errors="backslashreplace")
    except TypeError:  # from PyAV 19 on there is no such choice
        source.seek(0)
        return av.open(source, format=demuxer)


def _seconds(frame: Any) -> float | None:
    """When a frame begins, in its file."""
    if frame.pts is None or frame.time_base is None:
        return None
    return float(frame.pts * frame.time_base)


def _reason(error: Exception) -> str:
    return plain_reason(str(getattr(error, "strerror", None) or error))
