"""Options that several commands share, declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "Beta",
    "Debug",
    "Duration",
    "JsonObject",
    "Quiet",
    "Recording",
    "Seed",
    "Start",
    "Threads",
]

Recording = Annotated[Path, typer.Argument(metavar="IN", help="A recording.")]
Beta = Annotated[str, typer.Option(metavar="kl|is|euclidean|FLOAT", help="Divergence.")]
Start = Annotated[float, typer.Option(metavar="S", help="Start at this second.")]
Duration = Annotated[float | None, typer.Option(metavar="S", help="Take so many seconds.")]
Seed = Annotated[int, typer.Option(metavar="N", help="Same seed, same bytes.")]
Threads = Annotated[
    int | None,
    typer.Option("--threads", metavar="N", help="Threads; results do not depend on it."),
]
JsonObject = Annotated[bool, typer.Option("--json", help="Print a JSON object.")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Say only results and errors.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks.")]
