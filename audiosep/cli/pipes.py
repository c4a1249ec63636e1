"""``-`` in place of a path: a recording that comes through a pipe, a stem that goes into one."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import BinaryIO

from audiosep.cli.batches import BatchOptions
from audiosep.cli.split import SplitOptions, split_all
from audiosep.cli.talk import Talk
from audiosep.cli.wording import words_of
from audiosep.errors import (
    AudiosepError,
    DamagedAudioError,
    ExitCode,
    InputError,
    OutputError,
    UsageError,
)
from audiosep.io.header import info
from audiosep.io.naming import display
from audiosep.io.scratch import scratch
from audiosep.io.urls import Place, place_from
from audiosep.records import read_record

__all__ = ["PIPE", "STDIN", "kept_stdin", "split_typed"]

PIPE = "-"
STDIN = "stdin"
"""What a recording that came through a pipe is called."""

_BLOCK_BYTES = 1 << 20
_LEAST_FREE_BYTES = 256_000_000
_LEAST_FREE_SHARE = 0.05
"""So much stays free where it is kept, of the whole disk, whatever comes."""

_NEEDS_MORE = (b"ID3", b"\x1aE\xdf\xa3", b"0&\xb2u")
_MP4 = b"ftyp"
"""Begins of files that say what they are only further on."""


def split_typed(
    inputs: Sequence[str],
    options: SplitOptions,
    talk: Talk,
    batch: BatchOptions,
    *,
    to_stdout: bool = False,
) -> ExitCode:
    """Separate recordings as they were typed.

    Parameters
    ----------
    inputs : sequence of str
        Paths, addresses, or ``-``.
    options : SplitOptions
        Settings.
    talk : Talk
        What to say.
    batch : BatchOptions
        For many recordings.
    to_stdout : bool
        Whether the one stem to keep goes to stdout.

    Returns
    -------
    ExitCode
        Of the whole.

    Raises
    ------
    UsageError
        If an option cannot be.
    InputError
        If nothing that could be a recording comes through the pipe.
    OutputError
        If there is no room for it.
    """
    if to_stdout:
        _check_one_stem(inputs, options, talk, batch)
    if PIPE not in inputs:
        places = [place_from(text) for text in inputs]
        return _split(places, options, talk, batch, {}, to_stdout=to_stdout)
    if batch.is_batch():
        raise UsageError(
            "'-' is one recording; leave out the options for many, or name files instead."
        )
    with kept_stdin(talk) as path:
        places = [path if text == PIPE else place_from(text) for text in inputs]
        return _split(places, options, talk, batch, {path: STDIN}, to_stdout=to_stdout)


def _split(
    places: list[Place],
    options: SplitOptions,
    talk: Talk,
    batch: BatchOptions,
    called: dict[Path, str],
    *,
    to_stdout: bool,
) -> ExitCode:
    if not to_stdout:
        return split_all(places, options, talk, batch, called)
    with scratch() as folder:
        out = folder / "out"
        code = split_all(places, replace(options, out=out), _Aside.like(talk), called=called)
        if code == ExitCode.DONE:
            _write_stem(out, options.keep[0])
        return code


# In


@contextmanager
def kept_stdin(talk: Talk) -> Iterator[Path]:
    """Give a file with what comes from stdin, for as long as it is needed.

    Raises
    ------
    UsageError, InputError, OutputError
        If nothing that could be a recording comes, or there is no room for it. In JSON it is told
        here.
    """
    with scratch() as folder:
        path = folder / STDIN
        try:
            _spool(path)
        except AudiosepError as error:
            if talk.json_lines:
                talk.json({"input": STDIN, "status": "failed", "error": words_of(error)})
            raise
        yield path


def _spool(path: Path) -> None:
    """Keep what comes from stdin: it has to be read more than once."""
    if sys.stdin is None or sys.stdin.closed:
        raise InputError("stdin is closed; pipe a recording into it.")
    if sys.stdin.isatty():
        raise UsageError("stdin is a terminal; pipe a recording into it, or name a file.")
    n_bytes = 0
    try:
        with path.open("wb") as file:
            while block := sys.stdin.buffer.read(_BLOCK_BYTES):
                _check_room(path.parent)
                file.write(block)
                if n_bytes == 0 and len(block) == _BLOCK_BYTES:
                    file.flush()
                    _check_begin(path, block)
                n_bytes += len(block)
    except OSError as error:
        raise OutputError(
            f"what comes from stdin cannot be kept in {display(path.parent.parent)}: "
            f"{error.strerror}; set TMPDIR to a folder with more room."
        ) from None
    if not n_bytes:
        raise InputError("stdin is empty (0 bytes); does the command before the pipe fail?")


def _check_room(folder: Path) -> None:
    room = shutil.disk_usage(folder)
    if room.free < min(_LEAST_FREE_BYTES, _LEAST_FREE_SHARE * room.total):
        raise OutputError(
            f"what comes from stdin fills {display(folder.parent)}, where it is kept; set TMPDIR "
            "to a folder with more room."
        )


def _check_begin(path: Path, begin: bytes) -> None:
    """Refuse what is no recording before all of it is kept: it may never end."""
    if begin.startswith(_NEEDS_MORE) or begin[4:8] == _MP4:
        return
    try:
        info(path)
    except DamagedAudioError:
        return
    except InputError as error:
        raise InputError(f"{STDIN} {error}") from None


# Out


@dataclass(frozen=True, kw_only=True)
class _Aside(Talk):
    """Talk without results: what stdout gets is sound."""

    @classmethod
    def like(cls, talk: Talk) -> _Aside:
        """Talk that is otherwise the same."""
        return cls(**{field.name: getattr(talk, field.name) for field in fields(Talk)})

    def result(self, text: str) -> None:
        """Say nothing."""


def _check_one_stem(
    inputs: Sequence[str], options: SplitOptions, talk: Talk, batch: BatchOptions
) -> None:
    """Refuse what does not go with one stem to stdout."""
    if len(options.keep) != 1:
        raise UsageError("-o - writes one stem to stdout; say which, for example --keep drums.")
    if len(inputs) != 1 or Path(inputs[0]).is_dir():
        raise UsageError("-o - writes one stem of one recording to stdout; name one recording.")
    if talk.json_lines or options.report or options.dry_run or batch.is_batch():
        raise UsageError(
            "-o - writes a stem to stdout and nothing else; leave out --json, --report, --dry-run "
            "and the options for many recordings."
        )
    if sys.stdout.isatty():
        raise UsageError(
            "-o - would write sound to the terminal; send it to a file or a program: > stem.wav"
        )


def _write_stem(out: Path, name: str) -> None:
    """Copy a stem to stdout."""
    (folder,) = out.iterdir()
    record = read_record(folder) or {}
    with (folder / record["stems"][name]["file"]).open("rb") as file:
        _copy(file, sys.stdout.buffer)


def _copy(source: BinaryIO, target: BinaryIO) -> None:
    shutil.copyfileobj(source, target, _BLOCK_BYTES)
    target.flush()
