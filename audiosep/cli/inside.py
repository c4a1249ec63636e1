"""What a manifest may name: files in its own folder, and folders below the output folder."""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePath
from typing import Any, Literal, overload

from audiosep.io.naming import TOP, display
from audiosep.io.urls import Place, Url, is_url, seen_from, split_secrets

__all__ = ["place_below", "shortened", "within"]

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://|file:", re.IGNORECASE)
_FILE_URL = re.compile(r"file:", re.IGNORECASE)
_LONGEST_BYTES = 200  # as of names that we give ourselves


@overload
def within(
    root: Path, text: str, *, allow_outside: Literal[False] = False, look: bool = True
) -> tuple[Path, PurePath]: ...
@overload
def within(
    root: Place, text: str, *, allow_outside: bool = False, look: bool = True
) -> tuple[Place, PurePath]: ...
def within(
    root: Place, text: str, *, allow_outside: bool = False, look: bool = True
) -> tuple[Place, PurePath]:
    """Place that a manifest names, and its folder seen from the manifest's.

    Parameters
    ----------
    root : Path or Url
        Folder of the manifest.
    text : str
        As written in it.
    allow_outside : bool
        Whether it may be anywhere.
    look : bool
        Whether links are followed.

    Raises
    ------
    ValueError
        If it may not be named there.
    """
    shown = shortened(text)
    if "\0" in text:
        raise ValueError(f"{shown} cannot be the name of a file")
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        raise ValueError(f"{shown} cannot be the name of a file") from None
    if _FILE_URL.match(text):
        raise ValueError(f"{shown} is a URL; give a path")
    if _URL.match(text) or isinstance(root, Url):
        return _within_far(root, text, allow_outside=allow_outside)
    if text.startswith("~"):
        raise ValueError(f"{shown} begins with ~, which is not expanded; write the path out")
    place = os.path.normpath(root / text)
    relative = PurePath(os.path.relpath(place, root))
    is_inside = ".." not in relative.parts
    if not is_inside and not allow_outside:
        raise ValueError(
            f"{shown} leads out of the folder of the manifest; allow that with --allow-outside"
        )
    if look and not allow_outside:
        real = os.path.realpath(root)
        target = os.path.realpath(place)
        if target != real and not target.startswith(real.rstrip(os.sep) + os.sep):
            raise ValueError(
                f"{shown} is a link that leads out of the folder of the manifest; allow that with "
                "--allow-outside"
            )
    return Path(place), relative.parent if is_inside else TOP


def _within_far(root: Place, text: str, *, allow_outside: bool) -> tuple[Place, PurePath]:
    """Address below that of a remote manifest, or another one where that is allowed."""
    shown = shortened(text)
    if _URL.match(text):
        place: Place = Url(text)
    elif text.startswith("/"):
        place = Path(text)
    else:
        place = root / text
    if {".", ".."} & set(text.split("?")[0].split("/")):
        raise ValueError(f"{shown} has a part '.' or '..'; write it without")
    if isinstance(root, Url) and isinstance(place, Url) and place.is_in(root):
        return place, PurePath(seen_from(place, root)).parent
    if allow_outside:
        return place, TOP
    if not isinstance(root, Url):
        raise ValueError(  # noqa: TRY004
            f"{shown} is a URL; give a path, or allow it with --allow-outside"
        )
    raise ValueError(
        f"{shown} leads out of the folder of the manifest; allow that with --allow-outside"
    )


def place_below(value: Any) -> tuple[PurePath, str]:
    """Folder of the stems as a row gives it: below the output folder, whatever is written.

    Raises
    ------
    ValueError
        If it may not be that.
    """
    shown = shortened(value)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"out {shown} cannot be the name of a folder")  # noqa: TRY004
    path = PurePath(str(value).strip())
    if path.is_absolute() or ".." in path.parts or not path.parts or "\0" in str(path):
        raise ValueError(f"out {shown} leads out of the output folder")
    if any(part.startswith((".", "~")) for part in path.parts):
        raise ValueError(f"out {shown} has a part that begins with . or ~")
    try:
        longest = max(len(os.fsencode(part)) for part in path.parts)
    except UnicodeEncodeError:
        raise ValueError(f"out {shown} cannot be the name of a folder") from None
    if longest > _LONGEST_BYTES:
        raise ValueError(f"out {shown} has a part of more than {_LONGEST_BYTES} bytes")
    return path.parent, path.name


def shortened(value: Any) -> str:
    """Text of a value as errors show it."""
    if isinstance(value, str) and is_url(value):
        value = split_secrets(value)[0]
    text = display(str(value)) if not isinstance(value, str) else repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
