"""Files that are frames in a row and nothing else: how much they hold, and whether they are whole.

A frame says how long it is, and nothing counts them. It is taken for one where it follows others,
so that chance is none.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

__all__ = [
    "IN_A_ROW",
    "Frame",
    "FrameAt",
    "FrameWalk",
    "cut_frame_bytes",
    "n_in_a_row",
    "walk_frames",
]

IN_A_ROW = 3
_WINDOW = 1 << 20
_LONGEST_ROW = 1 << 15
_TAIL = 1 << 15


class Frame(Protocol):
    """What the header of a frame says."""

    @property
    def n_bytes(self) -> int:
        """Length of the frame."""
        ...

    @property
    def n_samples(self) -> int:
        """Samples per channel."""
        ...

    @property
    def sr(self) -> int:
        """Sample rate in Hz."""
        ...


FrameAt = Callable[[bytes, int], Frame | None]
"""Reads the frame header at a place; None where there is none."""

# Of frames of any kind, so that all else is quick; behind a first pair none has a byte of ones.
_FIRST_BYTES = re.compile(rb"\xff[\xe0-\xff](?!\xff)|\x0b\x77")


@dataclass(frozen=True, kw_only=True)
class FrameWalk:
    """All frames of a file.

    Parameters
    ----------
    seconds : float
        Sound in the frames that are whole.
    n_holes : int
        Places at which they do not follow each other, and go on behind that.
    first : int
        Byte at which the first one begins.
    n_frames : int
        How many are whole.
    n_bytes : int
        Of all that are whole.
    """

    seconds: float
    n_holes: int
    first: int
    n_frames: int
    n_bytes: int


def walk_frames(path: Path, frame_at: FrameAt, first: int = 0) -> FrameWalk:
    """Look at all frames from a place in a file on."""
    seconds, n_rows, follows, at = 0.0, 0, False, first
    begin, n_frames, n_bytes = 0, 0, 0
    with path.open("rb") as file:
        while True:
            file.seek(at)
            data = file.read(_WINDOW)
            is_last = len(data) < _WINDOW
            last = len(data) if is_last else len(data) - _LONGEST_ROW
            here = 0
            while here < last:
                frame = frame_at(data, here) if follows else None
                if frame is None:
                    here = _next_row(data, here, last, frame_at)
                    follows = here < last
                    n_rows += follows
                    begin = at + here if n_rows == 1 and not n_frames else begin
                elif here + frame.n_bytes > len(data):
                    break
                else:
                    seconds += frame.n_samples / frame.sr
                    n_frames, n_bytes = n_frames + 1, n_bytes + frame.n_bytes
                    here += frame.n_bytes
            if is_last:
                return FrameWalk(
                    seconds=seconds,
                    n_holes=max(0, n_rows - 1),
                    first=begin,
                    n_frames=n_frames,
                    n_bytes=n_bytes,
                )
            at += here


def cut_frame_bytes(path: Path, frame_at: FrameAt, tags: tuple[bytes, ...] = ()) -> int:
    """Bytes that are missing from the last frame; 0 where the file ends behind a frame or a tag."""
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - _TAIL))
        tail = file.read(_TAIL)
    at = _next_row(tail, 0, len(tail), frame_at)
    while (frame := frame_at(tail, at)) is not None and at + frame.n_bytes <= len(tail):
        at += frame.n_bytes
    if frame is None or tail[at:].startswith(tags):
        return 0
    return at + frame.n_bytes - len(tail)


def n_in_a_row(data: bytes, at: int, frame_at: FrameAt) -> int:
    """How many whole frames follow each other from a place on, up to what is enough."""
    n = 0
    while n < IN_A_ROW and (frame := frame_at(data, at)) and at + frame.n_bytes <= len(data):
        at, n = at + frame.n_bytes, n + 1
    return n


def _next_row(data: bytes, at: int, last: int, frame_at: FrameAt) -> int:
    """Where frames begin that follow each other, before a place; that place where none do."""
    while found := _FIRST_BYTES.search(data, at, last + 1):
        if found.start() < last and n_in_a_row(data, found.start(), frame_at) >= IN_A_ROW:
            return found.start()
        at = found.start() + 1
    return last
