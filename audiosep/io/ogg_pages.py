"""Where an Ogg stream ends: libsndfile takes the last page that is there for the last of all.

References
----------
RFC 3533, The Ogg Encapsulation Format, section 6.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["LastPage", "last_page"]

_LARGEST_PAGE = 27 + 255 + 255 * 255
_END_OF_STREAM = 4


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
        if n and at + n <= len(tail):
            return LastPage(is_end=bool(tail[at + 5] & _END_OF_STREAM), n_cut=n_cut)
        if n or len(tail) - at < 27:
            n_cut = len(tail) - at
        at = tail.rfind(b"OggS", 0, at)
    return None


def _page_bytes(data: bytes, at: int) -> int:
    """Length of the page that begins at a place; 0 where its header is not all there."""
    header = data[at : at + 27]
    if len(header) < 27 or header[4] != 0:
        return 0
    table = data[at + 27 : at + 27 + header[26]]
    if len(table) < header[26]:
        return 0
    return 27 + len(table) + sum(table)
