"""Where an address such as ``s3://bucket/take.wav`` may stand on the command line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from audiosep.errors import UsageError

if TYPE_CHECKING:
    from audiosep.io.urls import Place

__all__ = ["check_addresses", "folder_from"]

_REMOTE = ("split", "batch", "info")
"""Commands that take recordings and folders elsewhere."""

_LOCAL = ("--score", "--dictionary", "--example", "--journal")
"""Options of theirs that name files here."""

_WORDS = ("--provenance", "--label", "--scheduler")
"""Options whose text is no file."""


def check_addresses(arguments: Sequence[str]) -> None:
    """Refuse an address where only a file on this computer will do.

    Otherwise it would be taken for a path, and folders called ``s3:`` would be made.

    Parameters
    ----------
    arguments : sequence of str
        What was typed after ``audiosep``.

    Raises
    ------
    UsageError
        If there is one.
    """
    if not any("://" in text for text in arguments):
        return
    # Only now: what it is part of takes time to load.
    from audiosep.io.urls import Url, is_url

    command = next((text for text in arguments if not text.startswith("-")), "")
    before = ""
    for text in arguments:
        option, value = before, text
        if text.startswith("--"):
            option, _, value = text.partition("=")
        address = value.partition("=")[2] if option == "--example" else value
        if is_url(address) and option not in _WORDS:
            if command not in _REMOTE:
                raise UsageError(
                    f"{Url(address)} is an address, and 'audiosep {command}' takes files on this "
                    "computer only; copy it here first, and the result there."
                )
            if option in _LOCAL:
                raise UsageError(
                    f"{Url(address)} is an address, and {option} takes files on this computer "
                    "only; copy it here first."
                )
        before = text


def folder_from(text: str) -> Place:
    """Output folder as typed; an address without the empty parts of a slip such as ``s3://b//x``.

    Objects below an empty part are others than those without it, and hardly ever meant.
    """
    from audiosep.io.urls import place_from

    head, mark, rest = text.partition("://")
    if mark and head.lower() != "file":
        text = head + mark + re.sub("/+", "/", rest).lstrip("/")
    return place_from(text)
