"""What decoders print by themselves, kept from the terminal.

The MP3 decoder inside libsndfile writes notes to the standard error stream of the process, and
cannot be told not to. What is wrong with a recording is said in our words; so while it decodes,
that stream leads nowhere, until the last thread that decodes has done. The stream belongs to the
whole process, so this is for the command line alone: libraries leave it as it is.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["VARIABLE", "without_notes"]

VARIABLE = "AUDIOSEP_QUIET_DECODERS"
"""Set by the command line for its own process and those that it starts."""

_STDERR = 2


class _Decoding:
    """How many threads decode now, and where the stream led before the first of them."""

    lock = threading.Lock()
    n = 0
    kept: int | None = None


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
    with _Decoding.lock:
        if _Decoding.n == 0:
            _send_away()
        _Decoding.n += 1
    try:
        yield
    finally:
        with _Decoding.lock:
            _Decoding.n -= 1
            if _Decoding.n == 0:
                _bring_back()


def _send_away() -> None:
    try:
        _Decoding.kept = os.dup(_STDERR)
    except OSError:  # closed
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, _STDERR)
    os.close(nowhere)


def _bring_back() -> None:
    if _Decoding.kept is not None:
        os.dup2(_Decoding.kept, _STDERR)
        os.close(_Decoding.kept)
        _Decoding.kept = None
