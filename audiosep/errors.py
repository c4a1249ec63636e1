"""Every error audiosep raises on purpose, each with the exit code it gives the command line.

::

    AudiosepError            3
    ├── UsageError           2   an option or argument that cannot be
    │   └── ParameterError   2   a value out of range (also a ValueError)
    ├── InputError           3   a recording that cannot be used
    │   ├── DamagedAudioError 3  ... because it is cut or corrupted
    │   └── NotAudioError    3   ... because it is no recording at all
    ├── DictionaryError      3   a set of templates that cannot be used
    ├── OutputError          4   stems that cannot be written
    ├── RefusedError         5   work declined so that nothing is lost
    └── Cancelled          130   the caller asked to stop

A message is one sentence: what is wrong, with which file, what to do about it. Where that is an
option of the command line, the argument of the library follows in brackets that begin with ``(in
Python: ``; :func:`without_python` takes them out again for those who type nothing of it.
"""

from __future__ import annotations

import re
from enum import IntEnum

__all__ = [
    "AudiosepError",
    "Cancelled",
    "DamagedAudioError",
    "DictionaryError",
    "ExitCode",
    "InputError",
    "NotAudioError",
    "OutputError",
    "ParameterError",
    "RefusedError",
    "UsageError",
    "printable",
    "without_python",
    "without_salvage",
]

# Longer than any path that is in use, and longer than anyone reads.
_ENDLESS = re.compile(r"\S{1000,}")
_LONGEST = 2 * 600
_IN_PYTHON = re.compile(r" \(in Python: (?:[^()]|\([^()]*\))*\)")
_WITH_SPLIT = re.compile(rf", or take [^']*'audiosep split --[^']*'(?:{_IN_PYTHON.pattern})?")


def without_python(message: str) -> str:
    """Return a message without what is for those only who call the library."""
    return _IN_PYTHON.sub("", message)


def printable(text: str) -> str:
    """Return a text that is safe to print: control characters are escaped."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def without_salvage(message: str) -> str:
    """Return what is wrong with a recording without what only a separation can do about it."""
    shorter = _WITH_SPLIT.sub("", message)
    if shorter == message or "audio editor" in shorter:
        return shorter
    return f"{shorter.removesuffix('.')}, or repair it in an audio editor."


class ExitCode(IntEnum):
    """Exit codes of the command line: a public contract, see docs/command-line.md."""

    DONE = 0
    SOME_FAILED = 1
    USAGE = 2
    ALL_FAILED = 3
    CANNOT_WRITE = 4
    REFUSED = 5
    INTERRUPTED = 130
    TERMINATED = 143


class AudiosepError(Exception):
    """Base of all errors raised on purpose."""

    exit_code = ExitCode.ALL_FAILED

    def __str__(self) -> str:
        # What a file holds may stand in it: characters that a terminal obeys, and text of any
        # length, when what to do about it stands at the end.
        text = printable(super().__str__())
        text = _ENDLESS.sub(lambda found: f"{found[0][:100]}...{found[0][-100:]}", text)
        half = _LONGEST // 2
        return text if len(text) <= _LONGEST else f"{text[:half]} … {text[-half:]}"


class UsageError(AudiosepError):
    """Options that cannot be combined, or a name that does not exist."""

    exit_code = ExitCode.USAGE


class ParameterError(UsageError, ValueError):
    """A value out of its range, or an array of the wrong shape or content."""


class InputError(AudiosepError):
    """A recording that cannot be used: missing, empty, not audio, unreadable."""


class DamagedAudioError(InputError):
    """A recording that starts as audio and then breaks off or is corrupted."""


class NotAudioError(InputError):
    """A file that is no recording, whatever its name says."""


class DictionaryError(AudiosepError):
    """A file of templates that cannot be used."""


class OutputError(AudiosepError):
    """Stems that cannot be written: no permission, no space, no such place."""

    exit_code = ExitCode.CANNOT_WRITE


class RefusedError(AudiosepError):
    """Work declined so that nothing is lost; the message says how to allow it."""

    exit_code = ExitCode.REFUSED


class Cancelled(AudiosepError):  # noqa: N818 - a request, not a mistake
    """The caller's progress function asked to stop."""

    exit_code = ExitCode.INTERRUPTED
