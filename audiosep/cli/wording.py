"""Errors in the words of the command line: the library names parameters, people typed options."""

from __future__ import annotations

import re

from audiosep.errors import AudiosepError, UsageError, without_python

__all__ = ["OPTION_OF", "counted", "words_of"]

OPTION_OF = {
    "n_sources": "-n",
    "n_components": "--components",
    "n_free": "--free",
    "quality": "--quality",
    "rest": "--rest",
    "window": "--window",
    "max_iter": "--iterations",
    "mask_exponent": "--mask-exponent",
    "mask exponent": "--mask-exponent",
    "n_threads": "--threads",
    "seed": "--seed",
    "beta": "--beta",
    "bits": "--bits",
    "format": "--format",
    "start": "--start",
    "duration": "--duration",
    "stream": "--stream",
    "max_duration": "--max-duration",
}
"""What the library calls a parameter, and the option it is typed as."""

# "seed=-1" and "beta 'foo'", but not "the format of", nor anything within quotes.
_NAMED = re.compile(
    rf"(?<![\w'\"=./-])({'|'.join(OPTION_OF)})(?:=(?:'([^']*)'|\"([^\"]*)\")|=| (?=['\"\d.-]))"
)


def counted(n: int, noun: str) -> str:
    """Return ``1 stem``, ``2 stems``."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def words_of(error: AudiosepError) -> str:
    """Sentence of an error for the command line; options in place of parameters in a usage."""
    words = without_python(str(error))
    return _NAMED.sub(_as_typed, words) if isinstance(error, UsageError) else words


def _as_typed(found: re.Match[str]) -> str:
    value = found[2] if found[2] is not None else found[3] or ""
    return f"{OPTION_OF[found[1]]} {value}"
