"""``audiosep export``: stems and what was heard in them, for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from audiosep.cli.options import Debug, JsonObject, Quiet

__all__ = ["export"]


def export(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder of stems.")],
    to: Annotated[
        list[str],
        typer.Option(
            "--to",
            metavar="FORMAT",
            help="labels (Audacity), raven, midi, csv, jams, multitrack (all stems in one WAV "
            "file) or reaper. Again for each format.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--out",
            metavar="PATH",
            help="A folder, or with one format a file; by default DIR.",
        ),
    ] = None,
    exists: Annotated[
        str,
        typer.Option(metavar="fail|overwrite", help="What to do where such a file already is."),
    ] = "fail",
    threshold_db: Annotated[
        float,
        typer.Option(
            "--threshold",
            metavar="DB",
            help="How far below its loudest a stem still counts as sounding.",
        ),
    ] = -30.0,
    json_lines: JsonObject = False,
    quiet: Quiet = False,
    verbose: Annotated[
        bool, typer.Option("-v", "--verbose", help="Say what the folder lacks.")
    ] = False,
    debug: Debug = False,
) -> None:
    """Write stems, and what was heard in them, for other programs."""
    from audiosep.cli.single import said_in_json
    from audiosep.cli.talk import Talk
    from audiosep.exports.exporting import export as export_folder
    from audiosep.io.naming import display

    talk = Talk(quiet=quiet, verbose=verbose, debug=debug, json_lines=json_lines)
    with said_in_json(folder, talk):
        done = export_folder(folder, to, out, exists=exists, threshold_db=threshold_db)
    files = {name: [str(path) for path in paths] for name, paths in done.paths.items()}
    if talk.json_lines:
        talk.json(
            {
                "input": str(folder),
                "status": "done",
                "files": files,
                "notes": list(done.notes),
                "warnings": list(done.warnings),
                "error": None,
            }
        )
    else:
        for paths in files.values():
            for path in paths:
                talk.result(display(path))
    for warning in done.warnings:
        talk.say(f"audiosep: warning: {display(folder)}: {warning}")
    for note in done.notes:
        talk.detail(f"  {note}")
