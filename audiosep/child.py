"""How a process that works for another one begins."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from pathlib import Path
from typing import NoReturn

from audiosep.errors import ExitCode

__all__ = ["begin_as_child"]


def begin_as_child() -> None:
    """Leave Ctrl-C to the parent, clean up when asked to end, and never outlive it."""
    # Ctrl-C reaches all processes of a terminal; the one that was started by hand decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # Nobody reads what a library might print here; results belong to the process that asked.
    sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115


def _leave(*_: object) -> NoReturn:
    sys.exit(int(ExitCode.TERMINATED))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(int(ExitCode.TERMINATED))
