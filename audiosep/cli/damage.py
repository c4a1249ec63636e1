"""Options of ``audiosep split`` for recordings that are damaged, or that hold several tracks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from audiosep.cli.helping import EXPERT
from audiosep.errors import UsageError

if TYPE_CHECKING:
    from audiosep.cli.split import SplitOptions
    from audiosep.io import ReadOptions

__all__ = [
    "FixNonfiniteOption",
    "MaxDurationOption",
    "SalvageOption",
    "StreamOption",
    "StrictOption",
    "read_options_of",
]

StrictOption = Annotated[
    bool,
    typer.Option(
        "--strict",
        help="Refuse recordings that are cut or corrupted, instead of saying so.",
        rich_help_panel=EXPERT,
    ),
]
SalvageOption = Annotated[
    bool,
    typer.Option(
        "--salvage",
        help="Take what can be read of a corrupted recording, with silence where nothing can.",
        rich_help_panel=EXPERT,
    ),
]
FixNonfiniteOption = Annotated[
    str | None,
    typer.Option(
        metavar="zero",
        help="Take samples that are no numbers (NaN, infinity) as silence, instead of refusing.",
        rich_help_panel=EXPERT,
    ),
]
StreamOption = Annotated[
    int | None,
    typer.Option(
        metavar="N", help="Audio track of a video that has several.", rich_help_panel=EXPERT
    ),
]
MaxDurationOption = Annotated[
    float | None,
    typer.Option(metavar="S", help="Refuse recordings that are longer.", rich_help_panel=EXPERT),
]


def read_options_of(options: SplitOptions) -> ReadOptions:
    """Turn options as typed into how recordings are read.

    Raises
    ------
    UsageError
        If an option cannot be, or does not fit the others.
    """
    from audiosep.io import ReadOptions

    if options.strict and options.salvage:
        raise UsageError("--strict refuses what --salvage takes; use one of them.")
    if options.fix_nonfinite not in (None, "zero"):
        raise UsageError(f"--fix-nonfinite {options.fix_nonfinite!r} is unknown; use zero.")
    damaged: Literal["warn", "refuse", "salvage"] = "warn"
    if options.strict or options.salvage:
        damaged = "refuse" if options.strict else "salvage"
    return ReadOptions(
        damaged=damaged,
        fix_nonfinite="zero" if options.fix_nonfinite else None,
        stream=options.stream,
        max_duration=options.max_duration,
    )
