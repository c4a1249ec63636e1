"""What shells can complete: scripts for them, and the words that options take."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Annotated

import typer

__all__ = ["NAME", "SHELLS", "VARIABLE", "completer", "completion", "prepare"]

NAME = "audiosep"
VARIABLE = "_AUDIOSEP_COMPLETE"
"""Where a shell asks for completions; typer's scripts set it."""

SHELLS = ("bash", "zsh", "fish")

Completer = Callable[[str], list[str] | list[tuple[str, str]]]

_WORD = re.compile(r"[a-z0-9-]+")


def completion(
    shell: Annotated[str, typer.Argument(metavar="bash|zsh|fish", help="Which shell.")],
) -> None:
    """Print a script by which a shell completes commands, options, presets and file names."""
    from typer.completion import get_completion_script  # type: ignore[attr-defined]

    from audiosep.errors import UsageError

    if shell not in SHELLS:
        raise UsageError(f"there is no script for {shell!r}; there are {', '.join(SHELLS)}.")
    typer.echo(get_completion_script(prog_name=NAME, complete_var=VARIABLE, shell=shell))


def prepare() -> None:
    """Make ready to answer a shell, where one asks."""
    if VARIABLE in os.environ:
        from typer.completion import completion_init  # type: ignore[attr-defined]

        completion_init()


def completer(parameter: str, metavar: str) -> Completer | None:
    """What completes the value of a parameter; None leaves it to the shell, which has file names.

    Parameters
    ----------
    parameter : str
        Its name in Python.
    metavar : str
        What its help shows in place of a value: words between ``|`` are what it takes.
    """
    if parameter == "preset":
        return _presets
    words = [word for word in metavar.split("|") if _WORD.fullmatch(word)]
    if "|" not in metavar or not words:
        return None
    return lambda incomplete: [word for word in words if word.startswith(incomplete)]


def _presets(incomplete: str) -> list[tuple[str, str]]:
    from audiosep.presets import load_preset, preset_names

    return [(n, load_preset(n).summary) for n in preset_names() if n.startswith(incomplete)]
