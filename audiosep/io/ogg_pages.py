"""Where an Ogg stream ends, and whether all of its pages are there.

libsndfile takes the last page that is there for the last of all, and the first one that it can read
behind the headers for the beginning.

References
----------
RFC 3533, The Ogg Encapsulation Format, section 6; RFC 7845, Ogg Opus, section 4; Vorbis I
specification, section 4.2.2 (identification header).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

__all__ = ["LastPage", "PageWalk", "last_page", "walk_pages"]

_LARGEST_PAGE = 27 + 255 + 255 * 255
_BEGIN_OF_STREAM = 2
_END_OF_STREAM = 4
_WINDOW = 1 << 20
_MOST_IN_A_PAGE = 255 * 5760  # samples: packets of a page, and the longest that Opus has
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


@dataclass(frozen=True, kw_only=True)
class LastPage:
    """The last page that is whole.

    Parameters
    ----------
    is_end : bool
        Whether it says that the stream ends there.
    n_cut : int
        Bytes behind it that begin a page and do not complete it.
    """

    is_end: bool
    n_cut: int


@dataclass(frozen=True, kw_only=True)
class PageWalk:
    """What the pages of the first stream of a file say of each other.

    Parameters
    ----------
    n_holes : int
        Places at which pages are missing or cannot be read.
    lost_beginning : bool
        Whether one of them is where the sound begins. Then no decoder knows where that was.
    whole_s : float or None
        Seconds from the beginning of the sound to the last page, where its beginning was lost and
        it can only have been at 0.
    n_streams : int
        Streams that follow each other in the file.
    """

    n_holes: int
    lost_beginning: bool
    whole_s: float | None
    n_streams: int


def last_page(path: Path) -> LastPage | None:
    """Find the last page of an Ogg file; None where there is none."""
    size = path.stat().st_size
    n_tail = min(size, 2 * _LARGEST_PAGE)
    with path.open("rb") as file:
        file.seek(size - n_tail)
        tail = file.read(n_tail)
    at = tail.rfind(b"OggS")
    n_cut = 0
    while at >= 0:
        n = _page_bytes(tail, at)
        if n and at + n <= len(tail) and _is_as_written(tail[at : at + n]):
            return LastPage(is_end=bool(tail[at + 5] & _END_OF_STREAM), n_cut=n_cut)
        if n or len(tail) - at < 27:
            n_cut = len(tail) - at
        at = tail.rfind(b"OggS", 0, at)
    return None


def walk_pages(path: Path) -> PageWalk:
    """Look at all pages of an Ogg file, from end to end."""
    with path.open("rb") as file:
        pages = _pages(file)
        first = next(pages, None)
        if first is None:
            return PageWalk(n_holes=0, lost_beginning=False, whole_s=None, n_streams=0)
        rate, skipped = _clock(first[1])
        serial, number = first[1][14:18], _number(first[1])
        n_holes, n_streams = 0, 1
        lost = has_sound = ended = False
        begins_at_0, position = True, 0
        after_junk = False
        for junk, page in pages:
            after_junk |= junk
            if page[5] & _BEGIN_OF_STREAM and (ended or page[14:18] == serial):
                n_streams, ended = n_streams + 1, True
            if ended or page[14:18] != serial:
                continue
            granule = int.from_bytes(page[6:14], "little", signed=True)
            step = _number(page) - number
            # A stream that was recorded from the middle of a longer one has pages that do not
            # follow its headers, and nothing between them.
            if step != 1 and (has_sound or after_junk):
                n_holes += 1
                if not has_sound:
                    lost, begins_at_0 = True, 0 < granule <= step * _MOST_IN_A_PAGE
            number, after_junk = _number(page), False
            has_sound |= granule > 0
            position = max(position, granule)
            ended = bool(page[5] & _END_OF_STREAM)
    known = lost and begins_at_0 and rate > 0
    return PageWalk(
        n_holes=n_holes,
        lost_beginning=lost,
        whole_s=max(0, position - skipped) / rate if known else None,
        n_streams=n_streams,
    )


def _pages(file: BinaryIO) -> Iterator[tuple[bool, bytes]]:
    """Give the pages that are as they were written, and whether anything else is before each."""
    data, at, after_junk = b"", 0, False
    while True:
        if len(data) - at < _LARGEST_PAGE:
            data, at = data[at:] + file.read(_WINDOW), 0
        if at >= len(data):
            return
        n = _page_bytes(data, at) if data.startswith(b"OggS", at) else 0
        if n and at + n <= len(data) and _is_as_written(data[at : at + n]):
            yield after_junk, data[at : at + n]
            at, after_junk = at + n, False
        else:
            behind = data.find(b"OggS", at + 1)
            at = behind if behind >= 0 else max(at + 1, len(data) - 3)
            after_junk = True


def _clock(page: bytes) -> tuple[int, int]:
    """Positions per second in a stream, and how many are not heard; 0 where it is not known."""
    packet = page[27 + page[26] :]
    if packet[:7] == b"\x01vorbis":
        return int.from_bytes(packet[12:16], "little"), 0
    if packet[:8] == b"OpusHead":
        return 48000, int.from_bytes(packet[10:12], "little")
    return 0, 0


def _number(page: bytes) -> int:
    return int.from_bytes(page[18:22], "little")


def _is_as_written(page: bytes) -> bool:
    """Whether the checksum of a page fits; its bits go the other way round than those of zlib."""
    plain = (page[:22] + bytes(4) + page[26:]).translate(_REVERSED)
    crc = zlib.crc32(plain, 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{crc:032b}"[::-1], 2) == int.from_bytes(page[22:26], "little")


def _page_bytes(data: bytes, at: int) -> int:
    """Length of the page that begins at a place; 0 where its header is not all there."""
    header = data[at : at + 27]
    if len(header) < 27 or header[4] != 0:
        return 0
    table = data[at + 27 : at + 27 + header[26]]
    if len(table) < header[26]:
        return 0
    return 27 + len(table) + sum(table)
