"""Ctrl-C and SIGTERM, noticed again where they were lost.

Both arrive as an exception wherever the interpreter happens to be, and compiled libraries drop one
now and then while they look for something else, or make another error of it. So that a run does not
go on as if nothing had been said, what was asked is kept, and asked again when the next step of the
work reports itself, and where something failed.

Who asks a second time, not at once but when nothing seems to happen, wants no more cleaning up.

Most of the time until the end would be spent on taking libraries down, which the system does by
itself, so that is left out.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
import time

from audiosep.errors import ExitCode

__all__ = ["ask_again", "asked", "leave_at_once", "leave_until_listening", "listen"]

_ONCE_S = 1.0
"""Signals of one moment are one: terminals and launchers both send a Ctrl-C to their processes."""

_asked: list[ExitCode] = []
_when: list[float] = []


def leave_until_listening() -> None:
    """End at once on Ctrl-C, until :func:`listen`: nothing is begun, so nothing is to clean up.

    An exception could be dropped by whatever is being imported, and nobody would ask again.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)


def listen() -> None:
    """End politely from now on: both clean up; a Ctrl-C that the caller has switched off stays."""
    signal.signal(signal.SIGTERM, lambda *_: _told(ExitCode.TERMINATED))
    if signal.getsignal(signal.SIGINT) in (signal.default_int_handler, _leave):
        signal.signal(signal.SIGINT, lambda *_: _told(ExitCode.INTERRUPTED))
    sys.unraisablehook = _say_unless_asked


def ask_again() -> None:
    """End now if that was asked before.

    Raises
    ------
    KeyboardInterrupt, SystemExit
        As the signal did.
    """
    if _asked:
        _end(_asked[0])


def asked() -> ExitCode | None:
    """Return the code of what was asked for by a signal; None where nothing was."""
    return _asked[0] if _asked else None


def leave_at_once(leaving: SystemExit) -> None:
    """End the process now where a signal asked for that; return where it ends for another reason.

    What was printed is flushed, and what was registered for the end is done.
    """
    if not _asked or leaving.code != _asked[0]:
        return
    # Whoever is told to end twice is ending already.
    with contextlib.suppress(BaseException):
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(BaseException):
            stream.flush()
    os._exit(int(_asked[0]))


def _say_unless_asked(dropped: sys.UnraisableHookArgs) -> None:
    """Say what could not be raised, but not that being told to end was dropped."""
    if not (_asked and isinstance(dropped.exc_value, KeyboardInterrupt | SystemExit)):
        sys.__unraisablehook__(dropped)


def _leave(*_: object) -> None:
    os._exit(int(ExitCode.INTERRUPTED))


def _told(code: ExitCode) -> None:
    now = time.monotonic()
    if not _asked:
        _when.append(now)
        _asked.append(code)
        _end(code)
    elif now - _when[0] > _ONCE_S:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(BaseException):
                stream.flush()
        os._exit(int(_asked[0]))


def _end(code: ExitCode) -> None:
    if code == ExitCode.INTERRUPTED:
        raise KeyboardInterrupt
    sys.exit(int(code))
