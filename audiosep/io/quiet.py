"""What decoders print by themselves, kept from the terminal.

The MP3 decoder inside libsndfile writes notes to the standard error stream of the process, and
cannot be told not to. What is wrong with a recording is said in our words; so while it decodes,
that stream leads nowhere. This is for programs that print with one thread, as the command line
does: the stream belongs to the whole process, so libraries leave it alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["VARIABLE", "without_notes"]

VARIABLE = "AUDIOSEP_QUIET_DECODERS"
"""Set by the command line for its own process and those that it starts."""

_STDERR = 2


@contextmanager
def without_notes(format_: str = "MP3") -> Iterator[None]:
    """Keep notes of the decoder of a format from the terminal, where the command line asks for it.

    Parameters
    ----------
    format_ : str
        libsndfile's word for it; other decoders than that of MP3 print nothing.
    """
    if format_ != "MP3" or VARIABLE not in os.environ:
        yield
        return
    try:
        kept = os.dup(_STDERR)
    except OSError:  # closed
        yield
        return
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, _STDERR)
        os.close(nowhere)
        yield
    finally:
        os.dup2(kept, _STDERR)
        os.close(kept)
