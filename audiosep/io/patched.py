"""A file as it would be with a few bytes of its header put right, or with another header."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

__all__ = ["PatchedFile", "ReheadedFile"]


class PatchedFile:
    """A file that is read through a patch; nothing on the disk is changed.

    Parameters
    ----------
    path : Path
        The file.
    at : int
        Where the patch begins.
    content : bytes
        What stands there.
    """

    def __init__(self, path: Path, at: int, content: bytes) -> None:
        self._file = path.open("rb")
        self._at, self._content = at, content

    def read(self, n: int = -1) -> bytes:
        """Read up to `n` bytes."""
        first = self._file.tell()
        data = self._file.read(n)
        low = max(first, self._at)
        high = min(first + len(data), self._at + len(self._content))
        if low >= high:
            return data
        new = self._content[low - self._at : high - self._at]
        return data[: low - first] + new + data[high - first :]

    def readinto(self, buffer: Any) -> int:
        """Read into a buffer."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Return the place."""
        return self._file.tell()

    def write(self, _data: Any) -> int:
        """Write nothing: soundfile asks for it."""
        return 0

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class ReheadedFile(PatchedFile):
    """A file that is read with another beginning; nothing on the disk is changed.

    Parameters
    ----------
    path : Path
        The file.
    first : int
        Bytes of it that are left out.
    head : bytes
        What is read in their place.
    """

    def __init__(self, path: Path, first: int, head: bytes) -> None:
        super().__init__(path, 0, b"")
        self._first, self._head = first, head
        self._place = 0

    def read(self, n: int = -1) -> bytes:
        """Read up to `n` bytes."""
        data = self._head[self._place :][: None if n < 0 else n]
        if n < 0 or len(data) < n:
            self._file.seek(self._first + max(0, self._place - len(self._head)))
            data += self._file.read(-1 if n < 0 else n - len(data))
        self._place += len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place."""
        if whence == os.SEEK_END:
            end = self._file.seek(0, os.SEEK_END)
            offset += max(0, end - self._first) + len(self._head)
        elif whence == os.SEEK_CUR:
            offset += self._place
        self._place = max(0, offset)
        return self._place

    def tell(self) -> int:
        """Return the place."""
        return self._place
