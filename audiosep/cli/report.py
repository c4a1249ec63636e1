"""``audiosep report``: a page to listen to stems that were made before."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["ReportOption", "report_on", "with_report"]

ReportOption = Annotated[
    bool,
    typer.Option(
        "--report",
        help="Also write report.html, a page to listen to the stems and look at them.",
        rich_help_panel="Everyday options",
    ),
]


def report_on(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Stems, as 'audiosep split' leaves them.")
    ],
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", metavar="FILE", help="The page; by default DIR/report.html."),
    ] = None,
    n_threads: Annotated[
        int | None,
        typer.Option("--threads", metavar="N", help="Threads; by default all processors."),
    ] = None,
    json_lines: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    quiet: Annotated[
        bool, typer.Option("-q", "--quiet", help="Say only results and errors.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """Write a page to listen to stems: players, pictures, and how they were made, in one file."""
    from audiosep.cli.single import said_in_json
    from audiosep.cli.talk import Talk
    from audiosep.io.naming import display
    from audiosep.report import write_report

    talk = Talk(json_lines=json_lines, quiet=quiet, debug=debug)
    began = time.perf_counter()
    with said_in_json(folder, talk):
        report = write_report(folder, out, n_threads=n_threads)
    seconds = time.perf_counter() - began
    if talk.json_lines:
        talk.json(
            {
                "input": str(folder),
                "status": "done",
                "report": str(report.path),
                "bytes": report.n_bytes,
                "linked": report.linked,
                "seconds": round(seconds, 3),
                "error": None,
            }
        )
        return
    talk.result(display(report.path))
    beside = "; it plays the stems, so keep them where they are" if report.linked else ""
    talk.say(f"{report.n_bytes / 1e6:.1f} MB in {seconds:.1f} s: open it in a browser{beside}")


def with_report(
    place: Path, result: dict[str, Any], *, wanted: bool, n_threads: int | None
) -> dict[str, Any]:
    """Write the report of stems that are there, and tell of it among their files.

    Parameters
    ----------
    place : Path
        Folder of finished stems.
    result : dict
        ``stems``, ``files`` and more, as ``--json`` prints them.
    wanted : bool
        Without it only a report that tells of other stems is removed.
    n_threads : int, optional
        As for the separation.

    Returns
    -------
    dict
        The result with the report.

    Raises
    ------
    AudiosepError
        As :func:`audiosep.report.write_report`.
    """
    from audiosep.report.current import refresh_report

    path = refresh_report(place, wanted=wanted, n_threads=n_threads)
    if path is None:
        return result
    return {**result, "files": {**result["files"], path.name: str(path)}}
