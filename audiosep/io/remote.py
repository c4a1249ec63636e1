"""Objects in remote stores, by fsspec: looked at, copied here, put there.

Nothing is ever written to a remote file as it comes: sound libraries go back to the header, and
what a store does not allow there is lost without a word. A file is finished here, then put in one
piece, and its size is compared.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote

from audiosep.errors import AudiosepError, InputError, OutputError, UsageError
from audiosep.io.naming import display
from audiosep.io.urls import State, Url, split_secrets

__all__ = [
    "Listing",
    "UnreachableError",
    "check_scheme",
    "fetch",
    "fetch_ends",
    "listing",
    "look",
    "put",
    "put_text",
    "read_text",
    "remove",
    "state_of",
]

# Object stores have no folders to make, and s3fs would make a bucket of a slip of the pen.
_OBJECT_STORES = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl"})
_READ_ONLY = frozenset({"http", "https"})

# Of the answers of a web server, only these say that there is nothing.
_MISSING = (404, 410)

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://[^\s'\"<>)]+")

_PART_BYTES = 16 << 20
_MOST_PARTS = 9000
_PARTS_AT_ONCE = 2

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


class UnreachableError(InputError):
    """A store that cannot be asked: no network, no permission. It says nothing of a recording."""


@dataclass(frozen=True, kw_only=True)
class Listing:
    """What is in a remote folder.

    Parameters
    ----------
    files : dict of str to State
        Objects by their names.
    folders : tuple of str
        Names of the folders in it.
    """

    files: dict[str, State]
    folders: tuple[str, ...]

    def __bool__(self) -> bool:
        """Whether there is anything."""
        return bool(self.files or self.folders)


def check_scheme(url: Url) -> None:
    """Refuse an address that no installed package can follow, before any work is done.

    Raises
    ------
    UsageError
        If there is none; it names what to install.
    """
    _store(url)


def _store(url: Url) -> tuple[Any, str]:
    """File system and path in it."""
    try:
        from fsspec.core import url_to_fs

        # What was listed a minute ago may have changed since.
        store, path = url_to_fs(url.text, use_listings_cache=False)
    except ImportError as error:
        ours = url.scheme in ("s3", "s3a", "http", "https") or error.name == "fsspec"
        advice = "install the extra s3: pip install 'audiosep[s3]'" if ours else _said(url, error)
        raise UsageError(
            f"{url} is an address, and what follows it is not installed; {advice}."
        ) from None
    except ValueError as error:
        raise UsageError(
            f"{url} is no address that can be followed ({_said(url, error)})."
        ) from None
    except Exception as error:
        raise UnreachableError(_words(url, error)) from None
    return store, str(path)


@contextmanager
def _asking(url: Url, kind: type[AudiosepError] = UnreachableError) -> Iterator[None]:
    """Turn whatever a store may raise into one sentence."""
    try:
        yield
    except AudiosepError:
        raise
    except Exception as error:
        is_web = url.scheme in _READ_ONLY
        if is_web and isinstance(error, FileNotFoundError) and error.__cause__ is not None:
            # Of whatever goes wrong there, fsspec says that there is no such file.
            error = cast(Exception, error.__cause__)
        if not isinstance(error, FileNotFoundError) and _status_of(url, error) not in _MISSING:
            raise kind(_words(url, error)) from None
        kind = OutputError if kind is OutputError else InputError
        what = "address" if is_web else "bucket and the name"
        raise kind(f"{url} does not exist; check the {what}.") from None


def _status_of(url: Url, error: Exception) -> int | None:
    """Answer of a web server, where there was one."""
    status = getattr(error, "status", None)
    return status if url.scheme in _READ_ONLY and isinstance(status, int) else None


def _said(url: Url, error: Exception) -> str:
    """Words of an error, without what is secret in the address or in any that they name."""
    status = _status_of(url, error)
    words = str(error) if status is None else f"{status} {getattr(error, 'message', '')}"
    text = _ADDRESS.sub(lambda found: split_secrets(found[0])[0], words)
    user, query = split_secrets(url.text)[1]
    if query:
        text = text.replace(query, "").replace(unquote(query), "")
    pieces = {piece for piece in re.split(r"[:/@]", user) if piece}
    for piece in sorted(pieces | {unquote(piece) for piece in pieces}, key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(piece)}(?!\w)", "...", text)
    return " ".join(text.split()).rstrip(".")


def _words(url: Url, error: Exception) -> str:
    name = type(error).__name__
    said = _said(url, error)
    if isinstance(error, PermissionError) or _status_of(url, error) in (401, 403):
        return f"{url} may not be used ({said}); check the credentials and what they permit."
    if "Credential" in name or "Token" in name:
        return (
            f"{url} needs credentials ({said}); set AWS_PROFILE, or AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or FSSPEC_S3_ANON=true for a public bucket."
        )
    if isinstance(error, ConnectionError | TimeoutError) or any(
        word in name for word in ("Connect", "Timeout", "Endpoint", "Network", "DNS", "Proxy")
    ):
        ours = " and AWS_ENDPOINT_URL" if url.scheme in ("s3", "s3a") else ""
        return (
            f"{url} cannot be reached ({name}: {said}); check the network{ours}, and run the same "
            "command again."
        )
    if isinstance(error, NotImplementedError):
        return f"{url} is in a store that does not allow that."
    return f"{url} failed ({name}: {said}); run the same command again."


def _state(entry: dict[str, Any]) -> State:
    size = entry.get("size")
    for key in ("ETag", "etag", "md5Hash", "content_md5", "LastModified", "mtime", "created"):
        if value := entry.get(key):
            # Of an object a store may tell the time in one way, in a listing in another.
            text = str(value.timestamp() if isinstance(value, datetime) else value)
            return State(size=size, etag=text.strip('"'))
    return State(size=size, etag="")


def _entry(url: Url) -> dict[str, Any]:
    store, path = _store(url)
    # By the object itself, not by a listing that may be older.
    more = {"refresh": True} if url.scheme in ("s3", "s3a") else {}
    return dict(store.info(path, **more))


def state_of(url: Url) -> State:
    """Size and entity tag of an object now.

    Raises
    ------
    InputError
        If it is not there, is a folder, or the store cannot be asked.
    """
    state = look(url)
    if state is None:
        raise InputError(f"{url} is a folder, not a recording.")
    return state


def look(url: Url) -> State | None:
    """State of the object at an address; None where objects are below it instead.

    Raises
    ------
    InputError
        If neither is so, or the store cannot be asked.
    """
    with _asking(url):
        entry = _entry(url)
        return None if entry.get("type") == "directory" else _state(entry)


def listing(url: Url) -> Listing:
    """What is in a folder; nothing, where there is no such folder.

    Raises
    ------
    InputError
        If the store cannot be asked.
    """
    store, path = _store(url)
    try:
        with _asking(url):
            entries = store.ls(path, detail=True)
    except UnreachableError:
        raise
    except InputError:
        return Listing(files={}, folders=())
    files: dict[str, State] = {}
    folders: list[str] = []
    for entry in entries:
        full = str(entry["name"])
        name = full.rstrip("/").rpartition("/")[2]
        if full.rstrip("/") == path.rstrip("/"):  # the folder itself, where it is an object too
            continue
        if entry.get("type") == "directory":
            folders.append(name)
        elif not full.endswith("/"):
            files[name] = _state(entry)
    return Listing(files=files, folders=tuple(sorted(set(folders))))


def fetch(url: Url, target: Path) -> State:
    """Copy an object here, and see that it did not change meanwhile.

    Parameters
    ----------
    url : Url
        The object.
    target : Path
        File to make.

    Returns
    -------
    State
        Of the object.

    Raises
    ------
    InputError
        If it is not there, changes while it is copied, or the store cannot be asked.
    OutputError
        If the copy cannot be written.
    """
    before = state_of(url)
    store, path = _store(url)
    with _asking(url), _writing_here(target):
        store.get_file(path, str(target))
    size = target.stat().st_size
    if state_of(url) != before or before.size not in (None, size):
        raise InputError(
            f"{url} changed while it was read; run the same command again when it is complete."
        )
    return before


def fetch_ends(url: Url, target: Path, n_head: int, n_tail: int) -> bool:
    """Make a file of the size of an object that holds only its two ends, and zeros between.

    Returns whether that is the whole object.

    Raises
    ------
    InputError, OutputError
        As for :func:`fetch`.
    """
    size = state_of(url).size
    if size is None or size <= n_head + n_tail:
        fetch(url, target)
        return True
    store, path = _store(url)
    with _asking(url):
        head = store.cat_file(path, start=0, end=n_head)
        tail = store.cat_file(path, start=size - n_tail, end=size)
    with _writing_here(target), target.open("wb") as file:
        file.write(head)
        file.truncate(size)
        file.seek(size - len(tail))
        file.write(tail)
    return False


@contextmanager
def _writing_here(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        raise OutputError(
            f"a copy does not fit into {display(target.parent)}: {error.strerror}; set TMPDIR to "
            "a folder with room."
        ) from None


def put(path: Path, url: Url) -> State:
    """Put a finished file in one piece, and see that it arrived.

    Returns
    -------
    State
        Of the object.

    Raises
    ------
    OutputError
        If it cannot be put, or what is there has another size.
    """
    size = path.stat().st_size

    def send(store: Any, there: str) -> None:
        more = {}
        if url.scheme in ("s3", "s3a"):
            # Or ten parts of 50 MB would be in memory at once.
            part = max(_PART_BYTES, size // _MOST_PARTS + 1)
            more = {"chunksize": part, "max_concurrency": _PARTS_AT_ONCE}
        store.put_file(str(path), there, **more)

    return _put(url, size, send)


def put_text(text: str, url: Url) -> State:
    """Put a short text as an object, as :func:`put` does."""
    data = text.encode("utf-8")
    return _put(url, len(data), lambda store, there: store.pipe_file(there, data))


def _put(url: Url, size: int, send: Callable[[Any, str], None]) -> State:
    if url.scheme in _READ_ONLY:
        raise OutputError(f"{url} can only be read; choose another place with --out.")
    with _asking(url, OutputError):
        store, there = _store(url)
        if url.scheme not in _OBJECT_STORES:
            store.makedirs(store._parent(there), exist_ok=True)
        send(store, there)
        state = _state(_entry(url))
    if state.size != size:
        raise OutputError(
            f"{url} has {state.size} bytes instead of {size} after it was put; run the same "
            "command again."
        )
    return state


def read_text(url: Url) -> str | None:
    """Content of a short object; None where there is none, or it is no text.

    Raises
    ------
    InputError
        If the store cannot be asked.
    """
    store, path = _store(url)
    try:
        with _asking(url):
            data = bytes(store.cat_file(path))
    except UnreachableError:
        raise
    except InputError:
        return None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return None


def remove(url: Url) -> None:
    """Remove an object, if it is there.

    Raises
    ------
    OutputError
        If it cannot be removed.
    """
    store, path = _store(url)
    with _asking(url, OutputError):
        try:
            store.rm_file(path)
        except FileNotFoundError:
            return
