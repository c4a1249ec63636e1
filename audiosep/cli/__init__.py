"""The command line. Translation only: options in, one call of the library, words and codes out."""

from __future__ import annotations

import os
import sys

__all__ = ["main"]


def main() -> None:
    """Entry point of the ``audiosep`` command."""
    # Where colorama lies about, Numba loads it, and it writes a code to any terminal at the end.
    os.environ.setdefault("NUMBA_DISABLE_ERROR_MESSAGE_HIGHLIGHTING", "1")
    try:
        from audiosep.cli.interrupts import leave_until_listening

        leave_until_listening()
        from audiosep.cli.app import run

        run()
    except KeyboardInterrupt:  # before there was anything to interrupt
        sys.exit(130)
    except SystemExit as leaving:
        from audiosep.cli.interrupts import leave_at_once

        leave_at_once(leaving)
        raise
