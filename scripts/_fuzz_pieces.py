"""Files taken apart into the pieces that their formats are made of, and checksums mended.

Mutating bytes blindly mostly gives files that the first check refuses. Pieces (chunks, pages,
blocks, frames) are what can be lost, doubled, swapped, or lie about its size in a file that still
looks like one.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

__all__ = ["Piece", "mended", "pieces_of"]

_MOST_PIECES = 400


@dataclass(frozen=True)
class Piece:
    """A part of a file.

    Parameters
    ----------
    content : bytes
        All of it.
    sizes : tuple of (offset, width, byte order)
        Where in it numbers stand that say how long or how many something is.
    """

    content: bytes
    sizes: tuple[tuple[int, int, str], ...] = ()


def pieces_of(kind: str, content: bytes) -> list[Piece]:
    """Take a file apart; what follows no format comes as slices."""
    found = _WALKERS.get(kind, _slices)(content)
    # Of what was damaged before, sizes may overlap.
    if b"".join(piece.content for piece in found) != content:
        found = _slices(content)
    return found[:_MOST_PIECES] + (
        [Piece(b"".join(p.content for p in found[_MOST_PIECES:]))]
        if len(found) > _MOST_PIECES
        else []
    )


def mended(kind: str, content: bytes) -> bytes:
    """Make checksums and outer sizes right again, so that what is wrong is found further inside."""
    mend = _MENDERS.get(kind)
    return content if mend is None else mend(content)


# --- chunks -------------------------------------------------------------------------------------


def _chunks(content: bytes, at: int, *, order: str, width: int, name: int, pad: int) -> list[Piece]:
    """Chunks of a name, a size and so many bytes."""
    found = []
    head = name + width
    while at + head <= len(content):
        size = int.from_bytes(content[at + name : at + head], order)
        end = min(len(content), at + head + size + (-size % pad))
        inner = content[at : at + name].strip(b"\0 ")
        found.append(Piece(content[at:end], ((name, width, order), *_inner(inner, order, head))))
        at = end
    if at < len(content):
        found.append(Piece(content[at:]))
    return found


def _inner(name: bytes, order: str, head: int) -> tuple[tuple[int, int, str], ...]:
    """Numbers within well-known chunks that others depend on."""
    fields = {
        b"fmt": ((0, 2), (2, 2), (4, 4), (8, 4), (12, 2), (14, 2)),
        b"COMM": ((0, 2), (2, 4), (6, 2)),
        b"SSND": ((0, 4), (4, 4)),
        b"fact": ((0, 4),),
        b"ds64": ((0, 8), (8, 8), (16, 8), (24, 4)),
        b"desc": ((0, 8), (8, 4), (12, 4), (16, 4), (20, 4), (24, 4), (28, 4)),
        b"pakt": ((0, 8), (8, 8), (16, 4), (20, 4)),
        b"MThd": ((0, 2), (2, 2), (4, 2)),
    }
    return tuple((head + at, width, order) for at, width in fields.get(name, ()))


def _riff(content: bytes) -> list[Piece]:
    top = Piece(content[:12], ((4, 4, "little"),))
    return [top, *_chunks(content, 12, order="little", width=4, name=4, pad=2)]


def _aiff(content: bytes) -> list[Piece]:
    top = Piece(content[:12], ((4, 4, "big"),))
    return [top, *_chunks(content, 12, order="big", width=4, name=4, pad=2)]


def _caf(content: bytes) -> list[Piece]:
    return [
        Piece(content[:8]),
        *_chunks(content, 8, order="big", width=8, name=4, pad=1),
    ]


def _midi(content: bytes) -> list[Piece]:
    return _chunks(content, 0, order="big", width=4, name=4, pad=1)


def _w64(content: bytes) -> list[Piece]:
    """Chunks of a GUID and a size that counts both, at multiples of eight."""
    found = [Piece(content[:40], ((16, 8, "little"),))]
    at = 40
    while at + 24 <= len(content):
        size = max(24, int.from_bytes(content[at + 16 : at + 24], "little"))
        end = min(len(content), at + size + (-size % 8))
        found.append(
            Piece(content[at:end], ((16, 8, "little"), *_inner(content[at : at + 3], "little", 24)))
        )
        at = end
    return [*found, Piece(content[at:])]


# --- streams ------------------------------------------------------------------------------------


def _flac(content: bytes) -> list[Piece]:
    found = [Piece(content[:4])]
    at = 4
    while at + 4 <= len(content):
        last = content[at] & 0x80
        end = at + 4 + int.from_bytes(content[at + 1 : at + 4], "big")
        # In the first block: block sizes, frame sizes, and 36 bits of samples.
        numbers = ((4, 2), (6, 2), (8, 3), (11, 3), (14, 8)) if at == 4 else ()
        sizes = ((1, 3, "big"), *((offset, width, "big") for offset, width in numbers))
        found.append(Piece(content[at:end], sizes))
        at = end
        if last:
            break
    starts = [at, *(f.start() for f in _flac_frames(content, at + 1)), len(content)]
    return found + [Piece(content[a:b]) for a, b in pairwise(starts) if b > a]


def _flac_frames(content: bytes, at: int) -> list[re.Match[bytes]]:
    frames = re.compile(rb"\xff[\xf8\xf9][\x10-\xef][\x00-\xaf]").finditer(content, at)
    return [frame for frame in frames if _flac_head(content, frame.start())]


def _flac_head(content: bytes, at: int) -> int:
    """Bytes of a frame's header with its checksum; 0 where there is none."""
    for length in range(6, 17):
        head = content[at : at + length]
        if len(head) == length and _crc8(head[:-1]) == head[-1]:
            return length
    return 0


def _ogg(content: bytes) -> list[Piece]:
    found, at = [], 0
    while content[at : at + 4] == b"OggS" and at + 27 <= len(content):
        n = content[at + 26]
        end = at + 27 + n + sum(content[at + 27 : at + 27 + n])
        sizes = ((6, 8, "little"), (18, 4, "little"), (26, 1, "little"), (27, 1, "little"))
        found.append(Piece(content[at:end], sizes))
        at = end
    return [*found, Piece(content[at:])] if at < len(content) else found


def _mp3(content: bytes) -> list[Piece]:
    at = 0
    found = []
    if content.startswith(b"ID3"):
        sizes = [int(b) & 0x7F for b in content[6:10]]
        at = 10 + sum(b << (7 * (3 - i)) for i, b in enumerate(sizes))
        found.append(Piece(content[:at], ((6, 4, "big"), (14, 4, "big"))))
    starts = [f.start() for f in re.finditer(rb"\xff[\xe2-\xff][\x10-\xef]", content[at:])]
    starts = [at, *(at + s for s in starts if s), len(content)]
    return found + [
        # Where a frame tells of all of them: how many, how many bytes.
        Piece(content[a:b], ((21, 4, "big"), (25, 4, "big"), (29, 4, "big")))
        for a, b in pairwise(starts)
        if b > a
    ]


def _safetensors(content: bytes) -> list[Piece]:
    size = int.from_bytes(content[:8], "little")
    head = Piece(content[:8], ((0, 8, "little"),))
    data = content[8 + size :]
    try:
        described = json.loads(content[8 : 8 + size])
        ends = [n for one in described.values() for n in one.get("data_offsets", ())]
        cuts = sorted({n for n in ends if isinstance(n, int) and 0 < n < len(data)})
    except (ValueError, AttributeError, TypeError, RecursionError):
        cuts = []
    cuts, ends = [0, *cuts], [*cuts, len(data)]
    parts = [Piece(data[a:b]) for a, b in zip(cuts, ends, strict=True) if b > a]
    return [head, Piece(content[8 : 8 + size]), *parts]


def _zip(content: bytes) -> list[Piece]:
    starts = [f.start() for f in re.finditer(rb"PK(\x03\x04|\x01\x02|\x05\x06)", content)]
    sizes = ((18, 4, "little"), (20, 4, "little"), (22, 4, "little"), (24, 4, "little"))
    return [
        Piece(content[a:b], sizes)
        for a, b in zip([0, *starts[1:]], [*starts[1:], len(content)], strict=True)
    ]


def _lines(content: bytes) -> list[Piece]:
    return [Piece(line) for line in content.splitlines(keepends=True)]


def _slices(content: bytes) -> list[Piece]:
    step = max(16, len(content) // 64)
    return [Piece(content[at : at + step]) for at in range(0, len(content), step)]


_NESTED = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"udta", b"edts")


def _mp4(content: bytes) -> list[Piece]:
    """Boxes of a size and a name; of those that hold others, the beginning alone."""
    found, at = [], 0
    while at + 8 <= len(content):
        size = int.from_bytes(content[at : at + 4], "big")
        end = len(content) if size < 8 else min(len(content), at + size)
        if content[at + 4 : at + 8] in _NESTED:
            end = at + 8
        # Behind version and flags most tables have their count, and their first entry.
        inner = tuple((place, 4, "big") for place in (12, 16, 20) if place + 4 <= end - at)
        found.append(Piece(content[at:end], ((0, 4, "big"), *inner)))
        at = end
    return [*found, Piece(content[at:])] if at < len(content) else found


_WALKERS: dict[str, Callable[[bytes], list[Piece]]] = {
    "wav": _riff,
    "rf64": _riff,
    "w64": _w64,
    "aiff": _aiff,
    "caf": _caf,
    "flac": _flac,
    "ogg": _ogg,
    "opus": _ogg,
    "mp3": _mp3,
    "mp4": _mp4,
    "midi": _midi,
    "mxl": _zip,
    "safetensors": _safetensors,
    "npz": _zip,
    "text": _lines,
}


# --- checksums and sizes ------------------------------------------------------------------------


def _table(polynomial: int, width: int) -> list[int]:
    top, mask = 1 << (width - 1), (1 << width) - 1
    table = []
    for byte in range(256):
        value = byte << (width - 8)
        for _ in range(8):
            value = ((value << 1) ^ (polynomial if value & top else 0)) & mask
        table.append(value)
    return table


_OGG_TABLE, _FLAC8, _FLAC16 = _table(0x04C11DB7, 32), _table(0x07, 8), _table(0x8005, 16)


def _crc8(content: bytes) -> int:
    value = 0
    for byte in content:
        value = _FLAC8[value ^ byte]
    return value


def _crc16(content: bytes) -> int:
    value = 0
    for byte in content:
        value = ((value << 8) & 0xFFFF) ^ _FLAC16[(value >> 8) ^ byte]
    return value


def _crc_ogg(content: bytes) -> int:
    value = 0
    for byte in content:
        value = ((value << 8) & 0xFFFFFFFF) ^ _OGG_TABLE[(value >> 24) ^ byte]
    return value


def _mend_ogg(content: bytes) -> bytes:
    parts = []
    for piece in _ogg(content):
        page = piece.content
        if page.startswith(b"OggS") and len(page) >= 27:
            bare = page[:22] + bytes(4) + page[26:]
            page = page[:22] + struct.pack("<I", _crc_ogg(bare)) + page[26:]
        parts.append(page)
    return b"".join(parts)


def _mend_flac(content: bytes) -> bytes:
    parts = []
    for piece in _flac(content):
        frame = piece.content
        if len(frame) > 8 and frame[:1] == b"\xff" and frame[1] in (0xF8, 0xF9):
            frame = frame[:-2] + struct.pack(">H", _crc16(frame[:-2]))
        parts.append(frame)
    return b"".join(parts)


def _mend_riff(content: bytes) -> bytes:
    return content[:4] + struct.pack("<I", max(0, len(content) - 8) & 0xFFFFFFFF) + content[8:]


def _mend_aiff(content: bytes) -> bytes:
    return content[:4] + struct.pack(">I", max(0, len(content) - 8) & 0xFFFFFFFF) + content[8:]


def _mend_w64(content: bytes) -> bytes:
    return content[:16] + struct.pack("<Q", len(content)) + content[24:]


_MENDERS: dict[str, Callable[[bytes], bytes]] = {
    "wav": _mend_riff,
    "aiff": _mend_aiff,
    "w64": _mend_w64,
    "ogg": _mend_ogg,
    "opus": _mend_ogg,
    "flac": _mend_flac,
}
