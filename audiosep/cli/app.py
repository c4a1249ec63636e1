"""The ``audiosep`` command: its options, and how errors become words and exit codes."""

from __future__ import annotations

import errno
import io
import os
import sys
from contextlib import suppress
from typing import Annotated, TextIO

import typer

from audiosep._version import __version__
from audiosep.cli import completing, export, inspection, learning, research
from audiosep.cli.addresses import check_addresses
from audiosep.cli.batch import batch_like
from audiosep.cli.helping import Panel, add_command
from audiosep.cli.interrupts import ask_again, asked, listen
from audiosep.cli.paint import paint
from audiosep.cli.preview import preview
from audiosep.cli.replay import replay
from audiosep.cli.report import report_on
from audiosep.cli.splitting import split
from audiosep.cli.studio import studio
from audiosep.cli.wording import words_of
from audiosep.errors import AudiosepError, ExitCode

app = typer.Typer(
    name="audiosep",
    help="Take recordings apart into stems that add up to them exactly.",
    epilog="Exit codes: 0 all done, 1 some failed, 2 usage, 3 all failed, 4 output cannot be "
    "written, 5 refused, 130 interrupted, 143 told to end.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"audiosep {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    pass


add_command(
    app,
    split,
    Panel.SEPARATE,
    "audiosep split mix.wav",
    "audiosep split song.wav --preset vocals -o stems",
)
add_command(app, learning.learn, Panel.SEPARATE, "audiosep learn kick.wav -o kick.safetensors")
app.add_typer(learning.dictionaries, rich_help_panel=Panel.SEPARATE)
add_command(
    app,
    preview,
    Panel.SEPARATE,
    "audiosep preview mix.wav",
    "audiosep preview song.wav --preset vocals --at 1:05",
)
add_command(app, inspection.presets, Panel.SEPARATE, "audiosep presets")
add_command(app, inspection.info, Panel.LISTEN, "audiosep info mix.wav")
add_command(app, report_on, Panel.LISTEN, "audiosep report separated/mix", name="report")
add_command(app, studio, Panel.LISTEN, "audiosep studio mix.wav", "audiosep studio separated/mix")
add_command(app, export.export, Panel.LISTEN, "audiosep export separated/mix --to labels")
add_command(
    app, inspection.evaluate, Panel.RESEARCH, "audiosep evaluate references/ separated/song"
)
add_command(app, research.atoms, Panel.RESEARCH, "audiosep atoms mix.wav --components 12")
add_command(app, research.regroup, Panel.RESEARCH, "audiosep regroup separated/mix --move 3=drums")
add_command(
    app, research.match, Panel.RESEARCH, "audiosep match drums.safetensors loop.wav -o hits.csv"
)
add_command(
    app,
    research.resynthesize,
    Panel.RESEARCH,
    "audiosep resynthesize separated/mix --export activations.csv",
)
add_command(
    app, paint, Panel.LISTEN, "audiosep paint separated/mix --region drums=10-12.5,100-500hz"
)
add_command(app, replay, Panel.LISTEN, "audiosep replay project.json -o again")
add_command(app, batch_like(split), Panel.MANY, "audiosep batch list.csv -o out --jobs 2")
add_command(app, inspection.verify, Panel.MANY, "audiosep verify separated")
add_command(app, inspection.doctor, Panel.HOUSE, "audiosep doctor")
add_command(app, completing.completion, Panel.HOUSE, "audiosep completion bash")


_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


def run() -> None:
    """Run the command and leave with a true exit code."""
    _open_closed_streams()
    _write_all_of_it()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # File names may hold anything, terminals not: escape instead of failing.
            stream.reconfigure(errors="backslashreplace")
    debug = "--debug" in sys.argv
    if not debug:  # see audiosep.io.quiet
        os.environ.setdefault("AUDIOSEP_QUIET_DECODERS", "1")
    listen()
    stdout = sys.stdout
    try:
        _attempt(debug)
    except (KeyboardInterrupt, SystemExit) as leaving:
        # Typer turns Ctrl-C into its code, without a word.
        code = leaving.code if isinstance(leaving, SystemExit) else ExitCode.INTERRUPTED
        if code:  # what failed was asked to end, however it failed
            code = asked() or code
        words = {ExitCode.INTERRUPTED: "interrupted", ExitCode.TERMINATED: "told to end"}
        if code in words:
            said = words[ExitCode(code)]
            typer.echo(f"audiosep: {said}; run the same command again to go on.", err=True)
        # Click hides a reader that has left behind a stdout of its own; Python 3.13 looks there.
        with suppress(ValueError):  # closed
            try:
                stdout.flush()
            except BrokenPipeError:
                _print_nowhere(stdout)
        sys.exit(code)


def _attempt(debug: bool) -> None:
    """Run the command; what goes wrong becomes words and a code."""
    try:
        check_addresses(sys.argv[1:])
        completing.prepare()
        app(standalone_mode=True, prog_name=completing.NAME)
    except BrokenPipeError:
        # The reader has seen enough, as in "audiosep ... | head".
        _print_nowhere(sys.stdout)
        _leave(ExitCode.SOME_FAILED)
    except AudiosepError as error:
        ask_again()
        if debug:
            raise
        from audiosep.io.naming import display  # loads numpy: not for --help

        typer.echo(display(f"audiosep: {words_of(error)}"), err=True)
        _leave(error.exit_code)
    except Exception as error:
        ask_again()
        if debug:
            raise
        if isinstance(error, OSError) and error.errno in _NO_ROOM:
            # Files are written by those who can name them: this is what was to be printed.
            why = f"what was to be printed cannot be written: {error.strerror}."
            typer.echo(f"audiosep: {why}", err=True)
            _print_nowhere(sys.stdout)
            _leave(ExitCode.CANNOT_WRITE)
        typer.echo(
            f"audiosep: unexpected {type(error).__name__}: {error}; please report it with the "
            "output of --debug.",
            err=True,
        )
        _leave(ExitCode.ALL_FAILED)


def _open_closed_streams() -> None:
    """Give streams that the caller closed (``>&-``) a place to go: nobody listens, work goes on."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            setattr(sys, name, os.fdopen(nowhere, "w", encoding="utf-8"))


def _write_all_of_it() -> None:
    """Buffer stdout where the caller asked for no buffer (``PYTHONUNBUFFERED``).

    Without one, what a reader that leaves has not taken is dropped without an error. Results are
    flushed one by one all the same.
    """
    stdout = sys.stdout
    if stdout is not sys.__stdout__ or not isinstance(stdout, io.TextIOWrapper):
        return  # somebody put another in its place, who will want it back as it was
    if isinstance(stdout.buffer, io.RawIOBase):
        encoding = stdout.encoding
        sys.stdout = io.TextIOWrapper(io.BufferedWriter(stdout.detach()), encoding=encoding)


def _print_nowhere(stdout: TextIO) -> None:
    """Drop what is still to be printed: Python tries again at its end, and that code is 120."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stdout.fileno())


def _leave(code: int) -> None:
    sys.exit(int(code))
