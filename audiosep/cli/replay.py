"""``audiosep replay``: the steps of a project done again."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from audiosep.cli.options import Debug, Quiet, Threads
from audiosep.cli.wording import counted
from audiosep.errors import ExitCode

if TYPE_CHECKING:
    from audiosep.cli.talk import Talk

__all__ = ["replay", "replay_file"]


def replay(
    project: Annotated[
        Path, typer.Argument(metavar="PROJECT", help="A project.json, as the studio saves it.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "-o", "--out", metavar="DIR", help="A new folder; by default <recording>-replayed here."
        ),
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option("--input", metavar="FILE", help="The recording, where it has moved."),
    ] = None,
    n_threads: Threads = None,
    json_lines: Annotated[bool, typer.Option("--json", help="Print a JSON object.")] = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Take the recording of a project apart again, and do all its corrections again."""
    from audiosep.cli.talk import Talk

    talk = Talk(quiet=quiet, debug=debug, json_lines=json_lines)
    raise typer.Exit(replay_file(project, out, source, n_threads, talk))


def replay_file(
    project: Path, out: Path | None, source: Path | None, n_threads: int | None, talk: Talk
) -> ExitCode:
    """Replay a project.

    Parameters
    ----------
    project : Path
        Its file.
    out, source : Path or None
        Where the stems go, and where the recording is.
    n_threads : int or None
        Threads.
    talk : Talk
        How to say it.

    Returns
    -------
    ExitCode
        DONE.

    Raises
    ------
    AudiosepError
        As :func:`audiosep.projects.load_project` and :func:`audiosep.replaying.replay`.
    """
    from audiosep.cli.single import said_in_json, tell_stems
    from audiosep.io.naming import display
    from audiosep.projects import load_project

    began = time.perf_counter()
    with said_in_json(project, talk):
        loaded = load_project(project)
        from audiosep import replaying

        with talk.progress(display(project)) as progress:
            result = replaying.replay(
                loaded, out=out, source=source, n_threads=n_threads, progress=progress
            )
    seconds = time.perf_counter() - began
    tell_stems(project, result.place, result.paths, seconds, talk, same=result.same)
    if result.same is False:
        talk.say(
            f"{display(project)}: these are not the very stems that were saved with it; audiosep "
            f"{loaded.version} made those, perhaps on another kind of computer"
        )
    talk.say(
        f"{display(project)}: {counted(len(loaded.steps), 'step')} replayed, "
        f"{counted(len(result.paths), 'stem')} in {display(result.place)}, made in {seconds:.1f} s"
    )
    return ExitCode.DONE
