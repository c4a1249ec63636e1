"""What a batch has done: one JSON object a line, only ever appended, readable after any death.

The records beside the stems say what is done; the journal says what failed, so that it is not
tried again and again, and answers ``--status`` without reading recordings. Several runs, on
several machines, may append to one journal.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiosep._version import __version__
from audiosep.cli.tasks import NOT_AUDIO
from audiosep.errors import AudiosepError, OutputError, RefusedError
from audiosep.io.naming import display
from audiosep.io.urls import Place, Url

if TYPE_CHECKING:
    from audiosep.cli.split import SplitOptions

__all__ = ["JOURNAL_NAME", "Journal", "Remembered", "stamp_of"]

JOURNAL_NAME = "journal.jsonl"

_FORMAT = 1

# Where a file system has no appending, a line of a dying process may be cut: it is passed over.
_LASTING = ("recording", NOT_AUDIO, "timeout", "crash", "unexpected")
"""Kinds of failure that are the recording's: trying it again would end in the same way."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Remembered:
    """What the journal says of a track.

    Parameters
    ----------
    status : {"done", "failed"}
        How it ended.
    stamp : str
        See :func:`stamp_of`.
    place : str
        Folder of the stems, below the output folder.
    kind : str
        Of the failure; empty where there is none.
    error : str
        The failure in words.
    timeout_s : float or None
        How long it was given.
    """

    status: str
    stamp: str
    place: str
    kind: str = ""
    error: str = ""
    timeout_s: float | None = None

    def lasts(self, stamp: str, timeout_s: float | None) -> bool:
        """Whether a failure would be the same if it were tried again."""
        if self.status != "failed" or self.kind not in _LASTING or self.stamp != stamp:
            return False
        if self.kind != "timeout" or self.timeout_s is None:
            return True
        return timeout_s is not None and timeout_s <= self.timeout_s

    def words(self) -> str:
        """What there is to say of a failure that lasts, behind its own words."""
        if self.kind in ("recording", NOT_AUDIO):
            return "It failed before, and neither the file nor the options have changed since."
        return "It failed before; --retry-failed tries it again."


def stamp_of(source: Place, options: SplitOptions) -> str:
    """Few characters that are others when the recording's file or the settings are."""
    state = _state_of(source)
    settings = {name: str(value) for name, value in asdict(options).items()}
    # Where the stems go and how many threads work decides nothing about them.
    for name in ("out", "exists", "n_threads", "dry_run", "report"):
        settings.pop(name, None)
    text = json.dumps([__version__, state, settings], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _state_of(source: Place) -> list[int | str | None]:
    try:
        if isinstance(source, Url):
            from audiosep.io.remote import state_of

            # What a listing has told need not be asked again, once for each of a million.
            seen = source.seen or state_of(source)
            return [seen.size, seen.etag]
        status = source.stat()
    except (OSError, ValueError, AudiosepError):  # reported when it is read
        return []
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns]


class Journal:
    """A journal on disk.

    Parameters
    ----------
    path : Path
        Its file; need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle: int | None = None

    def read(self) -> dict[str, Remembered]:
        """Return the last word on each track, by its folder below the output folder.

        Raises
        ------
        OutputError
            If the journal cannot be read.
        RefusedError
            If the file is there and is no journal.
        """
        tracks: dict[str, Remembered] = {}
        for line in self._lines():
            name, status = line.get("track"), line.get("status")
            if not isinstance(name, str) or status not in ("done", "failed"):
                continue
            try:
                timeout = line.get("timeout_s")
                tracks[name] = Remembered(
                    status=sys.intern(status),
                    stamp=str(line["stamp"]),
                    # Of a million tracks: where both are equal, one text does.
                    place=name if line.get("place", name) == name else str(line["place"]),
                    kind=sys.intern(str(line.get("kind", ""))),
                    error=str(line.get("error", "")),
                    timeout_s=None if timeout is None else float(timeout),
                )
            except (KeyError, TypeError, ValueError, OverflowError):
                continue
        return tracks

    def remove_if_unused(self) -> None:
        """Remove the file, where it tells of no track; whoever calls this is at work alone."""
        with suppress(AudiosepError, OSError):
            if not self.read():
                self.path.unlink()

    def _lines(self) -> Iterator[dict[str, Any]]:
        n_ours = n_other = 0
        try:
            with self.path.open("rb") as file:
                for raw in file:
                    try:
                        line = json.loads(raw)
                    except (ValueError, RecursionError):  # cut by a death, and gone on behind it
                        n_other += 1
                        continue
                    if isinstance(line, dict) and "journal" in line:
                        n_ours += 1
                        if isinstance(line["journal"], int) and line["journal"] > _FORMAT:
                            raise RefusedError(
                                f"{display(self.path)} was written by a newer version of audiosep; "
                                "use that, or another file with --journal."
                            )
                        yield line
                    else:
                        n_other += 1
        except FileNotFoundError:
            return
        except OSError as error:
            raise OutputError(
                f"{display(self.path)} cannot be read: {error.strerror}; choose another file with "
                "--journal."
            ) from None
        if n_other and not n_ours:
            raise RefusedError(
                f"{display(self.path)} is no journal of audiosep; choose another file with "
                "--journal."
            )

    def open(self) -> None:
        """Make ready to append.

        Raises
        ------
        OutputError
            If nothing can be appended.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND
            self._handle = os.open(self.path, flags, 0o666)
            size = os.fstat(self._handle).st_size
            os.lseek(self._handle, max(0, size - 1), os.SEEK_SET)
            # After a death in the middle of a line, go on with a line of one's own.
            if size and os.read(self._handle, 1) != b"\n":
                os.write(self._handle, b"\n")
        except OSError as error:
            raise self._unwritable(error) from None

    def close(self) -> None:
        """Append no more."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def append(self, **entries: Any) -> None:
        """Append one line, in one piece, so that lines of several runs do not mix.

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        if self._handle is None:
            return
        now = datetime.now(UTC).isoformat(timespec="seconds")
        # In ASCII, which holds names that are no valid text too.
        text = json.dumps({"journal": _FORMAT, "time": now, **entries}, ensure_ascii=True) + "\n"
        try:
            n_written = os.write(self._handle, text.encode("ascii"))
        except OSError as error:
            raise self._unwritable(error) from None
        if n_written < len(text):
            raise self._unwritable(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))

    def _unwritable(self, error: OSError) -> OutputError:
        return OutputError(
            f"cannot write to {display(self.path)}: {error.strerror}; choose another file with "
            "--journal."
        )
