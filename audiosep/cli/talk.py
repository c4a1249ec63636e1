"""How the command line talks: results on stdout, everything else on stderr."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from audiosep.types import Progress, ignore_progress

__all__ = ["Talk"]

# Share of the whole time each stage takes, so that the bar moves evenly.
_STAGES = {"read": (0.0, 0.02), "transform": (0.02, 0.05), "render": (0.85, 1.0)}
_MODEL = (0.05, 0.85)


@dataclass(frozen=True, kw_only=True)
class Talk:
    """What to say, and how.

    Parameters
    ----------
    quiet, verbose, debug : bool
        Less, more, and tracebacks.
    json_lines : bool
        Results as one JSON object a line.
    """

    quiet: bool = False
    verbose: bool = False
    debug: bool = False
    json_lines: bool = False

    def result(self, text: str) -> None:
        """Print a result."""
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    def json(self, value: dict[str, Any]) -> None:
        """Print a result as one line of JSON."""
        self.result(json.dumps(value, ensure_ascii=True, allow_nan=False))

    def say(self, text: str) -> None:
        """Tell the person at the keyboard."""
        if not self.quiet:
            sys.stderr.write(text + "\n")

    def detail(self, text: str) -> None:
        """Tell the person at the keyboard who asked for details."""
        if self.verbose:
            self.say(text)

    def error(self, text: str, cause: BaseException | None = None) -> None:
        """Tell what went wrong; with the traceback in debug mode."""
        if self.debug and cause is not None:
            traceback.print_exception(cause)
        sys.stderr.write(f"audiosep: {text}\n")

    @contextmanager
    def progress(self, title: str) -> Iterator[Progress]:
        """Show a bar on a terminal; nothing elsewhere."""
        if self.quiet or self.json_lines or not sys.stderr.isatty():
            yield ignore_progress
            return
        from rich.console import Console
        from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bars

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
        )
        with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
            task = bars.add_task(title, total=1.0)

            def update(stage: str, fraction: float) -> None:
                low, high = _STAGES.get(stage, _MODEL)
                bars.update(task, completed=low + (high - low) * fraction)

            yield update
