"""Addresses of recordings and folders that are not on this computer."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path, PurePath, PurePosixPath

__all__ = [
    "Place",
    "State",
    "Url",
    "is_url",
    "place_from",
    "seen_from",
    "split_secrets",
]

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
# What is left of one when it has been taken for a path, which has no empty folders.

# What stands before the @ is a container there, no user.
_WITH_CONTAINER = frozenset({"abfs", "abfss", "wasb", "wasbs"})
_HAS_PORT = re.compile(r"\[[^\]]*\](:\d*)?|[^:]*(:\d*)?")
_SIGNED = re.compile(
    r"\?(?:.*&)?(?:x-(?:amz|goog)-[a-z0-9-]+"
    r"|[a-z_-]*(?:signature|sig|token|secret|passw(?:or)?d|credential|accesskeyid|accessid))=",
    re.IGNORECASE,
)


@dataclass(frozen=True, kw_only=True)
class State:
    """What is another when an object has been written to or replaced.

    Parameters
    ----------
    size : int or None
        Bytes, where the store tells.
    etag : str
        The store's entity tag, or else the time of the last change.
    """

    size: int | None
    etag: str


@dataclass(frozen=True)
class Url:
    """Address of an object or a folder, with as much of a path's behaviour as names need.

    It is no path: what opens files does not take it.

    Parameters
    ----------
    text : str
        As typed, without slashes at the end.
    seen : State or None
        Of an object, where it has been listed.
    """

    text: str
    seen: State | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        head = self.scheme + "://"
        object.__setattr__(self, "text", head + self.text[len(head) :].strip("/"))

    def __str__(self) -> str:
        """Text to show and to keep: without user and password, and without what signs it."""
        return split_secrets(self.text)[0]

    def __repr__(self) -> str:
        """Text for those who look for a mistake: as safe to show."""
        return f"Url({str(self)!r})"

    def __truediv__(self, below: str | PurePath) -> Url:
        """Address of what is below."""
        parts = PurePath(below).parts
        return Url("/".join((self.text, *parts)))

    @property
    def scheme(self) -> str:
        """What stands before ``://``, in small letters."""
        return self.text.partition("://")[0].lower()

    @property
    def name(self) -> str:
        """Last part; the whole of an address that has no parts."""
        return str(self).partition("://")[2].rpartition("/")[2]

    @property
    def stem(self) -> str:
        """Name without ending."""
        return PurePosixPath(self.name).stem

    @property
    def suffix(self) -> str:
        """Ending of the name, with its dot."""
        return PurePosixPath(self.name).suffix

    @property
    def parent(self) -> Url:
        """Address of the folder; of what has none, its own."""
        home, slash, _ = self.text.partition("://")[2].rpartition("/")
        return Url(f"{self.scheme}://{home}") if slash else self

    def with_name(self, name: str) -> Url:
        """Address of another in the same folder."""
        return self.parent / name

    def is_in(self, folder: Url) -> bool:
        """Whether it is below a folder, however deep."""
        return self.text.startswith(f"{folder.text}/")


Place = Path | Url
"""A file or folder on this computer, or somewhere else."""


def is_url(text: str) -> bool:
    """Whether a text begins as an address does, such as ``s3://``."""
    return _SCHEME.match(text) is not None


def split_secrets(text: str) -> tuple[str, tuple[str, str]]:
    """Address without what nobody else may see, and that: user information and query.

    Parameters
    ----------
    text : str
        Address as typed.

    Returns
    -------
    tuple
        The rest, and what was taken out of it; the latter is empty where there was none.
    """
    head, mark, rest = text.partition("://")
    scheme = head.lower()
    is_web = scheme in ("http", "https")
    host = re.split("[/?#]" if is_web else "/", rest, maxsplit=1)[0]
    user = ""
    if "@" in host:
        user = host.rpartition("@")[0] + "@"
    elif "@" in rest and not _HAS_PORT.fullmatch(host):
        user = rest.rpartition("@")[0] + "@"  # a password with a slash in it
    if scheme in _WITH_CONTAINER and ":" not in user:
        user = ""
    rest = rest[len(user) :]
    # Where it is no web address, a name may have a question mark.
    found = re.search(r"[?#]", rest) if is_web else _SIGNED.search(rest)
    end = found.start() if found else len(rest)
    return f"{head}{mark}{rest[:end]}", (user, rest[end:])


def place_from(text: str | Path) -> Place:
    """Path or address, as typed; ``file://`` is a path."""
    if isinstance(text, Path) or not is_url(text):
        return Path(text)
    if text.lower().startswith("file://"):
        from urllib.parse import unquote

        return Path(unquote(text[len("file://") :]))
    return Url(text)


def seen_from(place: Place, top: Place) -> str:
    """Path of what is below a folder, relative to it."""
    if isinstance(place, Url) and isinstance(top, Url):
        return place.text.removeprefix(f"{top.text}/") if place.is_in(top) else "."
    return os.path.relpath(str(place), str(top))
