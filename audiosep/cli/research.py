"""``audiosep atoms``, ``regroup``, ``match`` and ``resynthesize``: their options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from audiosep.cli.options import (
    Beta,
    Debug,
    Duration,
    JsonObject,
    Quiet,
    Recording,
    Seed,
    Start,
    Threads,
)

__all__ = ["atoms", "match", "regroup", "resynthesize"]


def atoms(
    source: Recording,
    out: Annotated[
        Path,
        typer.Option("-o", "--out", metavar="DIR", help="Folder of the results: DIR/<track>."),
    ] = Path("atoms"),
    n_components: Annotated[
        str,
        typer.Option(
            "--components", metavar="K|auto", help="How many; auto takes as many as stand out."
        ),
    ] = "auto",
    beta: Beta = "kl",
    max_iter: Annotated[
        int, typer.Option("--iterations", metavar="N", help="NMF iterations.")
    ] = 100,
    sounds: Annotated[
        str,
        typer.Option(metavar="wav|none", help="Sound of each component, as 32-bit float WAV."),
    ] = "wav",
    start: Start = 0.0,
    duration: Duration = None,
    exists: Annotated[
        str,
        typer.Option(
            metavar="skip|overwrite|rename|fail",
            help="What to do where components already are: skip what was done with the same "
            "settings (other settings get a folder of their own, mix-2), overwrite, rename "
            "(always a new folder), or fail.",
        ),
    ] = "skip",
    seed: Seed = 0,
    n_threads: Threads = None,
    json_lines: JsonObject = False,
    quiet: Quiet = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Say what was decided.")] = False,
    debug: Debug = False,
) -> None:
    """Take a recording apart into single components: tables, arrays, and the sound of each."""
    from audiosep.cli.atoms import AtomsOptions, atoms_of
    from audiosep.cli.talk import Talk

    talk = Talk(quiet=quiet, verbose=verbose, debug=debug, json_lines=json_lines)
    options = AtomsOptions(
        out=out,
        n_components=n_components,
        beta=beta,
        max_iter=max_iter,
        sounds=sounds,
        start=start,
        duration=duration,
        seed=seed,
        n_threads=n_threads,
        exists=exists,
    )
    raise typer.Exit(atoms_of(source, options, talk))


def regroup(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Made by split --preset components or atoms.")
    ],
    merge: Annotated[
        list[str] | None,
        typer.Option(metavar="A,B", help="Join stems, by their names or a component of each."),
    ] = None,
    move: Annotated[
        list[str] | None,
        typer.Option(metavar="K,...=STEM", help="Move components to a stem, old or new."),
    ] = None,
    rename: Annotated[
        list[str] | None, typer.Option(metavar="OLD=NEW", help="Rename a stem.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", metavar="DIR", help="A new folder; by default DIR-regrouped."),
    ] = None,
    n_threads: Threads = None,
    json_lines: Annotated[
        bool, typer.Option("--json", help="Print JSON, one object a line.")
    ] = False,
    quiet: Quiet = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Say what was done.")] = False,
    debug: Debug = False,
) -> None:
    """Make other stems of the same components, without fitting; with no change, list them."""
    from audiosep.cli.regroup import RegroupOptions, regroup_folder
    from audiosep.cli.talk import Talk

    talk = Talk(quiet=quiet, verbose=verbose, debug=debug, json_lines=json_lines)
    options = RegroupOptions(
        merge=merge or [], move=move or [], rename=rename or [], out=out, n_threads=n_threads
    )
    raise typer.Exit(regroup_folder(folder, options, talk))


def match(
    dictionary: Annotated[
        Path, typer.Argument(metavar="DICTIONARY", help="Learnt by audiosep learn.")
    ],
    source: Recording,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--out",
            metavar="FILE",
            help="Write a table as CSV; when each sound occurs, as labels for Audacity (.txt) or "
            "for Raven (.selections.txt).",
        ),
    ] = None,
    columns: Annotated[
        str,
        typer.Option(
            metavar="labels|components|shares|similarity", help="What the table shows over time."
        ),
    ] = "labels",
    n_free: Annotated[
        int,
        typer.Option("--free", metavar="K", help="Components for what the dictionary lacks."),
    ] = 0,
    start: Start = 0.0,
    duration: Duration = None,
    n_threads: Threads = None,
    json_lines: JsonObject = False,
    quiet: Quiet = False,
    verbose: Annotated[
        bool, typer.Option("-v", "--verbose", help="Say what the columns are.")
    ] = False,
    debug: Debug = False,
) -> None:
    """Find when the sounds of a dictionary occur in a recording, and how alike it is to them."""
    from audiosep.cli.match import MatchOptions, match_recording
    from audiosep.cli.talk import Talk

    talk = Talk(quiet=quiet, verbose=verbose, debug=debug, json_lines=json_lines)
    options = MatchOptions(
        out=out,
        columns=columns,
        n_free=n_free,
        start=start,
        duration=duration,
        n_threads=n_threads,
    )
    raise typer.Exit(match_recording(dictionary, source, options, talk))


def resynthesize(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Made by split, atoms or regroup.")],
    activations: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Edited activations, CSV or npz.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", metavar="FILE", help="The recording, .wav or .flac."),
    ] = None,
    export: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write activations that can be edited.")
    ] = None,
    n_threads: Threads = None,
    json_lines: JsonObject = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Make the mixture anew with edited activations of its components."""
    from audiosep.cli.resynthesize import ResynthesizeOptions, resynthesize_folder
    from audiosep.cli.talk import Talk

    talk = Talk(quiet=quiet, debug=debug, json_lines=json_lines)
    options = ResynthesizeOptions(
        activations=activations, out=out, export=export, n_threads=n_threads
    )
    raise typer.Exit(resynthesize_folder(folder, options, talk))
