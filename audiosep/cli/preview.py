"""``audiosep preview``: the busiest seconds of a recording, taken apart to listen to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from audiosep.cli.options import Debug, JsonObject, Quiet, Recording, Seed, Threads

if TYPE_CHECKING:
    from audiosep.cli.split import SplitOptions
    from audiosep.cli.talk import Talk
    from audiosep.errors import ExitCode

__all__ = ["preview"]


def preview(
    source: Recording,
    out: Annotated[
        Path,
        typer.Option(
            "-o", "--out", metavar="DIR", help="Folder of the results: DIR/<track>-preview."
        ),
    ] = Path("separated"),
    preset: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Recipe, see 'audiosep presets'; all but score, which needs the whole.",
        ),
    ] = "auto",
    length: Annotated[float, typer.Option(metavar="S", help="Seconds to take.")] = 20.0,
    at: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Where to begin, as 65 or 1:05; by default where the most energy and the most "
            "onsets are.",
        ),
    ] = None,
    n_sources: Annotated[
        int | None, typer.Option("-n", "--sources", metavar="SOURCES", help="As for split.")
    ] = None,
    examples: Annotated[
        list[str] | None,
        typer.Option("--example", metavar="NAME=FILE|@FROM-TO", help="As for split."),
    ] = None,
    rest: Annotated[str | None, typer.Option(metavar="NAME", help="As for split.")] = None,
    report: Annotated[
        bool, typer.Option("--report/--no-report", help="Also write a page to listen to them.")
    ] = True,
    seed: Seed = 0,
    n_threads: Threads = None,
    json_lines: JsonObject = False,
    quiet: Quiet = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Say what was decided.")] = False,
    debug: Debug = False,
) -> None:
    """Take the busiest 20 s of a recording apart, and say how long the whole would take.

    With --quality fast, into a folder of its own: a later split of the whole is not affected.
    """
    from audiosep.cli.split import SplitOptions
    from audiosep.cli.talk import Talk

    talk = Talk(quiet=quiet, verbose=verbose, debug=debug, json_lines=json_lines)
    options = SplitOptions(
        out=out,
        preset=preset,
        n_sources=n_sources,
        n_components=None,
        beta=None,
        max_iter=None,
        mask_exponent=None,
        seed=seed,
        n_threads=n_threads,
        format="wav",
        bits=None,
        exists="skip",
        dictionary=None,
        examples=tuple(examples or ()),
        score=None,
        rest=rest,
        n_free=None,
        quality="fast",
        one_shots=0,
        start=0.0,
        duration=None,
        dry_run=False,
        report=report,
    )
    raise typer.Exit(preview_typed(source, options, talk, length_s=length, at=at))


def preview_typed(
    source: Path, options: SplitOptions, talk: Talk, *, length_s: float, at: str | None
) -> ExitCode:
    """Take an excerpt of a recording apart, or of what comes from stdin; see :func:`preview_of`."""
    from audiosep.cli.pipes import PIPE, STDIN, kept_stdin
    from audiosep.cli.single import said_in_json
    from audiosep.errors import AudiosepError

    if str(source) != PIPE:
        with said_in_json(source, talk):
            return preview_of(source, options, talk, length_s=length_s, at=at)
    with kept_stdin(talk) as path, said_in_json(Path(STDIN), talk):
        try:
            return preview_of(path, options, talk, length_s=length_s, at=at, called=STDIN)
        except AudiosepError as error:
            raise type(error)(str(error).replace(str(path), STDIN)) from None


def preview_of(
    source: Path,
    options: SplitOptions,
    talk: Talk,
    *,
    length_s: float,
    at: str | None,
    called: str = "",
) -> ExitCode:
    """Take an excerpt of a recording apart.

    Parameters
    ----------
    source : Path
        The recording.
    options : SplitOptions
        What the whole would be taken apart with.
    talk : Talk
        How to say it.
    length_s : float
        Seconds of the excerpt.
    at : str or None
        Where it begins, as typed; None looks for the busiest part.
    called : str
        What the recording is called where its path says nothing.

    Returns
    -------
    ExitCode
        As of a split.

    Raises
    ------
    UsageError
        If an option cannot be.
    InputError
        If the recording cannot be used.
    """
    from audiosep.cli.forecast import about_time
    from audiosep.cli.settings import checked, seconds_and_room
    from audiosep.cli.split import do_tasks
    from audiosep.cli.tasks import Task
    from audiosep.errors import InputError, UsageError, without_salvage
    from audiosep.io.header import info
    from audiosep.io.naming import Job, display, track_name
    from audiosep.loading import load_tape

    if not 1.0 <= length_s <= 600.0:
        raise UsageError(f"--length {length_s:g} is out of range; use 1 to 600 s.")
    if options.preset == "score":
        raise UsageError("a score is laid on whole recordings; use split --preset score.")
    separator = checked(options)
    at_s = None if at is None else _seconds(at)
    try:
        tape = load_tape(source, None, start=0.0, duration=None).tape
    except InputError as error:
        raise type(error)(without_salvage(str(error))) from None
    duration_s = tape.n_samples / tape.sr
    if at_s is None:
        from audiosep.highlights import busiest_part

        start_s, end_s = busiest_part(tape, length_s)
        found = f"the busiest {end_s - start_s:g} s"
    else:
        if at_s >= duration_s:
            raise UsageError(f"--at {at} is behind the end of the recording, {_clock(duration_s)}.")
        start_s, end_s = at_s, min(duration_s, at_s + length_s)
        found = f"{end_s - start_s:g} s"
    is_all = start_s == 0.0 and end_s == duration_s
    where = f"{_clock(start_s)}-{_clock(end_s)}"
    note = "preview: all of it" if is_all else f"preview: {found}, {where} of {_clock(duration_s)}"
    talk.say(f"{called or display(source)}: {note}")
    excerpt = replace(options, start=start_s, duration=None if is_all else end_s - start_s)
    folder = Path(str(options.out), f"{track_name(source)}-preview")
    task = Task(job=Job(source=source, folder=folder, called=called, note=note), options=excerpt)
    whole_s, _ = seconds_and_room(info(source), duration_s, options, separator)
    code = do_tasks([task], excerpt, talk, excerpt_s=[start_s, end_s], whole_s=round(whole_s, 1))
    if code == 0:
        talk.say(f"the whole, {_clock(duration_s)}, would take about {about_time(whole_s)}")
    return code


def _seconds(text: str) -> float:
    """Seconds of a time as typed."""
    from audiosep.errors import UsageError
    from audiosep.regions import region_from

    try:
        return region_from(f"@{text}-").start_s
    except UsageError:
        raise UsageError(f"--at {text!r} is no time; write 65 or 1:05.") from None


def _clock(seconds: float) -> str:
    """``1:05``, ``1:02:03``; to the second, as players show it."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
