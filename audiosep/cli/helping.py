"""How help is laid out: commands by purpose, options by how often they are needed, examples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_type_hints

import typer
from typer.models import ArgumentInfo, OptionInfo

from audiosep.cli.completing import completer

__all__ = ["EVERYDAY", "EXPERT", "Panel", "add_command", "example"]

EVERYDAY = "Everyday options"
EXPERT = "Expert options"

_RARELY_USED = frozenset(
    {
        *("beta", "max_iter", "seed", "n_threads", "n_free", "threshold_db", "window_s"),
        *("exemplars", "provenance", "json_lines", "debug"),
    }
)
"""Parameters of whatever command that are for experts, unless it says otherwise."""


class Panel:
    """Headings under which the commands are listed, in this order."""

    SEPARATE = "Separate"
    LISTEN = "Look and listen"
    RESEARCH = "Research"
    MANY = "Many recordings"
    HOUSE = "House-keeping"


def add_command(
    app: typer.Typer,
    command: Callable[..., Any],
    panel: str | None,
    *examples: str,
    name: str | None = None,
) -> None:
    """Give an application a command.

    Parameters
    ----------
    app : Typer
        The application.
    command : callable
        The command.
    panel : str or None
        Heading under which it is listed; None lists it with all others.
    *examples : str
        Lines as they may be typed.
    name : str, optional
        Its name; by default the function's.
    """
    # Annotations are texts, which would be read anew, and without panels, each time.
    command.__annotations__ = get_type_hints(command, include_extras=True)
    for parameter, annotation in command.__annotations__.items():
        for info in getattr(annotation, "__metadata__", ()):
            if isinstance(info, OptionInfo) and info.rich_help_panel is None:
                info.rich_help_panel = EXPERT if parameter in _RARELY_USED else EVERYDAY
            if isinstance(info, OptionInfo | ArgumentInfo) and info.autocompletion is None:
                info.autocompletion = completer(parameter, info.metavar or "")
    app.command(name, rich_help_panel=panel, epilog=example(*examples))(command)


def example(*lines: str) -> str:
    """Last lines of the help of a command."""
    # Typer joins lines, unless one is left free between them.
    return "\n\n".join(("Example: " + lines[0], *("Or: " + line for line in lines[1:])))
