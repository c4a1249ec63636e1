"""``audiosep paint``: regions of the spectrogram moved into the stems they belong to."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from audiosep.cli.options import Debug, Quiet, Seed, Threads
from audiosep.cli.wording import counted
from audiosep.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from audiosep.cli.talk import Talk

__all__ = ["PaintOptions", "paint", "paint_folder"]

_WELL_HONOURED = 0.9


@dataclass(frozen=True, kw_only=True)
class PaintOptions:
    """Options of ``audiosep paint``, as typed."""

    regions: list[str]
    file: Path | None
    out: Path | None
    refit: bool
    seed: int
    n_threads: int | None


def paint(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Stems that audiosep wrote, with any preset.")
    ],
    regions: Annotated[
        list[str] | None,
        typer.Option(
            "--region",
            metavar="STEM=FROM-TO,LOW-HIGHhz",
            help="What belongs to a stem, old or new, such as drums=10-12.5,100-500hz; with 'not "
            "drums=...' it does not.",
        ),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "--regions",
            metavar="FILE",
            help="Regions as labels of Audacity or selections of Raven, named after stems.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", metavar="DIR", help="A new folder; by default DIR-painted."),
    ] = None,
    only_there: Annotated[
        bool, typer.Option("--only-there", help="Move nothing outside the regions.")
    ] = False,
    seed: Seed = 0,
    n_threads: Threads = None,
    json_lines: Annotated[bool, typer.Option("--json", help="Print a JSON object.")] = False,
    quiet: Quiet = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Say what was done.")] = False,
    debug: Debug = False,
) -> None:
    """Say which stem a part of the spectrogram belongs to, and refit all stems by that."""
    from audiosep.cli.talk import Talk

    talk = Talk(quiet=quiet, verbose=verbose, debug=debug, json_lines=json_lines)
    options = PaintOptions(
        regions=regions or [],
        file=file,
        out=out,
        refit=not only_there,
        seed=seed,
        n_threads=n_threads,
    )
    raise typer.Exit(paint_folder(folder, options, talk))


def paint_folder(folder: Path, options: PaintOptions, talk: Talk) -> ExitCode:
    """Paint regions into the stems of a folder.

    Parameters
    ----------
    folder : Path
        Stems that audiosep wrote.
    options : PaintOptions
        What to paint.
    talk : Talk
        How to say it.

    Returns
    -------
    ExitCode
        DONE.

    Raises
    ------
    AudiosepError
        As :func:`audiosep.research.painting.paint`, and for regions that cannot be read.
    """
    from audiosep.cli.single import said_in_json, tell_stems
    from audiosep.io.naming import display
    from audiosep.research.painted_regions import read_regions, region_from_text

    began = time.perf_counter()
    with said_in_json(folder, talk):
        regions = [region_from_text(text) for text in options.regions]
        if options.file is not None:
            regions += read_regions(options.file)
        if not regions:
            raise UsageError(
                "nothing is painted; give --region STEM=FROM-TO,LOW-HIGHhz or --regions FILE."
            )
        from audiosep.research import painting

        with talk.progress(display(folder)) as progress:
            result = painting.paint(
                folder,
                regions,
                out=options.out,
                refit=options.refit,
                seed=options.seed,
                n_threads=options.n_threads,
                progress=progress,
            )
    seconds = time.perf_counter() - began
    honoured = [
        {**region.as_json(), "honoured": round(share, 4)}
        for region, share in zip(regions, result.honoured, strict=True)
    ]
    tell_stems(folder, result.place, result.paths, seconds, talk, regions=honoured)
    for region, share in zip(regions, result.honoured, strict=True):
        words = f"  {region}: {100 * share:.0f}% of it is there now"
        (talk.detail if share >= _WELL_HONOURED else talk.say)(words)
    painted = counted(len(regions), "region")
    made = counted(len(result.paths), "stem")
    talk.say(
        f"{display(folder)}: {painted} painted, {made} in {display(result.place)}, "
        f"made in {seconds:.2f} s; they add up to the same as before"
    )
    return ExitCode.DONE
