"""Commands that look and write nothing: recordings, stems, presets and the installation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["doctor", "evaluate", "info", "presets", "verify"]


def info(
    inputs: Annotated[
        list[str],
        typer.Argument(metavar="IN...", help="Recordings, or folders of them; - is stdin."),
    ],
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Read them from end to end and say what is wrong: cut, corrupted, clipped, silent "
            "... Exit code 1 where anything is.",
        ),
    ] = False,
    stream: Annotated[
        int | None, typer.Option(metavar="N", help="Audio track of a video that has several.")
    ] = None,
    json_lines: Annotated[
        bool, typer.Option("--json", help="Print one JSON object a line per recording.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """Say what recordings are: format, rate, channels, length, depth of their stems."""
    from audiosep.cli.info import info_typed
    from audiosep.cli.talk import Talk

    talk = Talk(json_lines=json_lines, debug=debug)
    raise typer.Exit(info_typed(inputs, talk, check=check, stream=stream))


def evaluate(
    reference: Annotated[
        Path, typer.Argument(metavar="REF", help="True stems: a folder, or a recording.")
    ],
    estimate: Annotated[
        Path, typer.Argument(metavar="EST", help="Separated stems: a folder, or a recording.")
    ],
    mixture: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="What was separated, for the gain over it; by default mixture.* in REF.",
        ),
    ] = None,
    bsseval: Annotated[
        bool,
        typer.Option("--bsseval", help="BSSEval v4 as well; needs museval (extra evaluate)."),
    ] = False,
    verbose: Annotated[
        bool, typer.Option("-v", "--verbose", help="Say what the columns are.")
    ] = False,
    json_lines: Annotated[
        bool, typer.Option("--json", help="Print one JSON object a line per stem.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """Measure stems against the true ones of the same names: SI-SDR, SDR, SIR, SAR."""
    from audiosep.cli.evaluate import evaluate_paths
    from audiosep.cli.talk import Talk

    talk = Talk(json_lines=json_lines, verbose=verbose, debug=debug)
    code = evaluate_paths(reference, estimate, mixture=mixture, bsseval=bsseval, talk=talk)
    raise typer.Exit(code)


def verify(
    folders: Annotated[
        list[Path],
        typer.Argument(metavar="DIR...", help="Folders of stems, and what is below them."),
    ],
    mixture: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The recording, where it is no longer in its place."),
    ] = None,
    json_lines: Annotated[
        bool, typer.Option("--json", help="Print one JSON object a line per folder.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("-q", "--quiet", help="Say only results and errors.")
    ] = False,
) -> None:
    """Check that stems are all there, unchanged, and still add up to their recording."""
    from audiosep.cli.talk import Talk
    from audiosep.cli.verify import verify_all

    raise typer.Exit(verify_all(folders, mixture, Talk(json_lines=json_lines, quiet=quiet)))


def doctor(
    warm: Annotated[
        bool, typer.Option("--warm", help="Compile all kernels now, so that no run has to wait.")
    ] = False,
    json_lines: Annotated[
        bool, typer.Option("--json", help="Print one JSON object a line per finding.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("-v", "--verbose", help="Say what is being compiled.")
    ] = False,
) -> None:
    """Say what this installation is, what it can do, and what it lacks."""
    from audiosep.cli.doctor import examine
    from audiosep.cli.talk import Talk

    raise typer.Exit(examine(Talk(json_lines=json_lines, verbose=verbose), warm=warm))


def presets(
    json_lines: Annotated[
        bool, typer.Option("--json", help="Print one JSON object a line per preset.")
    ] = False,
) -> None:
    """List the presets: what each is for and which stems it gives."""
    from audiosep.cli.info import list_presets

    list_presets(json_lines)
