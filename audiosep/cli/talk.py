"""How the command line talks: results on stdout, everything else on stderr."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from audiosep.cli.interrupts import ask_again
from audiosep.types import Progress

__all__ = ["NotedTalk", "Talk"]

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
    bars : bool
        Whether each recording may have a bar of its own.
    """

    quiet: bool = False
    verbose: bool = False
    debug: bool = False
    json_lines: bool = False
    bars: bool = True

    def result(self, text: str) -> None:
        """Print a result."""
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    def aside(self, text: str) -> None:
        """Print what is no result."""
        sys.stderr.write(text + "\n")

    def json(self, value: dict[str, Any]) -> None:
        """Print a result as one line of JSON."""
        self.result(json.dumps(value, ensure_ascii=True, allow_nan=False))

    def say(self, text: str) -> None:
        """Tell the person at the keyboard."""
        if not self.quiet:
            self.aside(text)

    def detail(self, text: str) -> None:
        """Tell the person at the keyboard who asked for details."""
        if self.verbose:
            self.say(text)

    def error(self, text: str, cause: BaseException | None = None) -> None:
        """Tell what went wrong; with the traceback in debug mode."""
        if self.debug and cause is not None:
            self.aside("".join(traceback.format_exception(cause)).rstrip("\n"))
        self.aside(f"audiosep: {text}")

    def _may_draw(self) -> bool:
        # On POSIX, a terminal that nobody names can do as little as a dumb one.
        can_move = os.environ.get("TERM", "dumb" if os.name == "posix" else "") != "dumb"
        return not self.quiet and not self.json_lines and can_move and sys.stderr.isatty()

    @contextmanager
    def progress(self, title: str) -> Iterator[Progress]:
        """Show a bar on a terminal; nothing elsewhere."""
        if not self.bars or not self._may_draw():
            yield lambda _stage, _fraction: ask_again()
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
                ask_again()
                low, high = _STAGES.get(stage, _MODEL)
                bars.update(task, completed=low + (high - low) * fraction)

            yield update

    @contextmanager
    def overall(self, total: int) -> Iterator[Callable[[], None]]:
        """Show how many recordings are done and when all will be, on a terminal only.

        What is given is called after each recording.
        """
        if not self._may_draw():
            yield lambda: None
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        columns = (
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("recordings, left", markup=False),
            TimeRemainingColumn(),
        )
        # Lines are printed above the bar; results that go into a file or a pipe go there untouched.
        with Bars(
            *columns,
            console=Console(stderr=True, soft_wrap=True),
            transient=True,
            redirect_stdout=sys.stdout.isatty(),
            speed_estimate_period=600,
        ) as bars:
            task = bars.add_task("", total=total)
            yield lambda: bars.advance(task)


@dataclass(frozen=True, kw_only=True)
class NotedTalk(Talk):
    """Talk that is noted in one process, to be said in another.

    Parameters
    ----------
    noted : list of (bool, str)
        Whether it is a result, and what was said.
    """

    bars: bool = False
    noted: list[tuple[bool, str]] = field(default_factory=list)

    def result(self, text: str) -> None:
        """Note a result."""
        self.noted.append((True, text))

    def aside(self, text: str) -> None:
        """Note what is no result."""
        self.noted.append((False, text))
