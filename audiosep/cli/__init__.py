"""The command line. Translation only: options in, one call of the library, words and codes out."""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Entry point of the ``audiosep`` command."""
    from audiosep.cli.app import run

    run()
