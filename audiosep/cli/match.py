"""``audiosep match``: when the sounds of a dictionary occur in a recording."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from audiosep.cli.single import check_free, said_in_json
from audiosep.cli.talk import Talk
from audiosep.cli.wording import counted
from audiosep.errors import ExitCode, UsageError
from audiosep.io.naming import display

if TYPE_CHECKING:
    from audiosep.research.matching import Match

__all__ = ["MatchOptions", "match_recording"]

_TEXT, _SELECTIONS = ".txt", ".selections.txt"
"""Endings of labels for Audacity, and of a selection table for Raven."""


@dataclass(frozen=True, kw_only=True)
class MatchOptions:
    """Options of ``audiosep match``, as typed."""

    out: Path | None
    columns: str
    n_free: int
    start: float
    duration: float | None
    n_threads: int | None


def match_recording(dictionary: Path, source: Path, options: MatchOptions, talk: Talk) -> ExitCode:
    """Say how alike a recording is to the sounds of a dictionary; write when they occur as CSV.

    Parameters
    ----------
    dictionary : Path
        Learnt by ``audiosep learn``.
    source : Path
        The recording.
    options : MatchOptions
        What to do.
    talk : Talk
        How to say it.

    Returns
    -------
    ExitCode
        DONE.

    Raises
    ------
    AudiosepError
        As :func:`audiosep.match_dictionary`, or where the table cannot be written.
    """
    with said_in_json(source, talk):
        return _match(dictionary, source, options, talk)


def _match(dictionary: Path, source: Path, options: MatchOptions, talk: Talk) -> ExitCode:
    from audiosep.cli.one import say_if_compiling
    from audiosep.io.single_file import in_one_step
    from audiosep.io.tables import write_table
    from audiosep.research.matching import TABLES, match_dictionary, table_of

    if options.columns not in TABLES:
        raise UsageError(f"--columns {options.columns!r} is unknown; use {', '.join(TABLES)}.")
    if options.out is not None:
        check_free(options.out)
        if options.out.suffix.lower() == _TEXT and options.columns != TABLES[0]:
            raise UsageError("--columns is for tables as CSV; leave it out with a file of labels.")
    say_if_compiling(talk)
    with talk.progress(display(source.name)) as progress:
        match = match_dictionary(
            dictionary,
            source,
            n_free=options.n_free,
            start=options.start,
            duration=options.duration,
            n_threads=options.n_threads,
            progress=progress,
        )
    if options.out is not None and options.out.suffix.lower() == _TEXT:
        _write_stretches(match, dictionary, source, options)
    elif options.out is not None:
        names, values = table_of(match, options.columns)
        with in_one_step(options.out) as partial:
            write_table(partial, "time_s", match.times_s, names, values)
    scores = match.scores()
    if talk.json_lines:
        rounded = {
            label: {name: round(value, 4) for name, value in score.items()}
            for label, score in scores.items()
        }
        out = None if options.out is None else str(options.out)
        entry = {"input": str(source), "status": "done", "labels": rounded, "out": out}
        talk.json({**entry, "error": None})
        return ExitCode.DONE
    width = max(len("label"), *(len(label) for label in scores))
    talk.result(f"{'label':<{width}}  similarity  share  mean share  best at")
    for label, score in scores.items():
        talk.result(
            f"{label:<{width}}  {score['similarity']:10.2f}  {score['share']:5.2f}  "
            f"{score['mean_share']:10.2f}  {score['best_s']:.2f} s"
        )
    talk.detail(_LEGEND)
    if options.out is not None:
        n_frames = counted(len(match.times_s), "frame")
        what = "stretches" if options.out.suffix.lower() == _TEXT else options.columns
        talk.say(f"{display(options.out)}: {what} of {n_frames}")
    return ExitCode.DONE


def _write_stretches(match: Match, dictionary: Path, source: Path, options: MatchOptions) -> None:
    """Write when each sound occurs: for Raven, or as labels for Audacity."""
    from audiosep.dictionary_files import load_dictionary
    from audiosep.exports.matches import match_stretches
    from audiosep.exports.texts import raven_table, stretch_labels
    from audiosep.io.evidence import write_text
    from audiosep.io.header import info
    from audiosep.io.single_file import in_one_step

    if options.out is None:
        return
    about = info(source)
    # A stream has no length in its header.
    end_s = about.duration or options.start + float(match.times_s[-1])
    if options.duration is not None:
        end_s = min(end_s, options.start + options.duration)
    stretches = match_stretches(
        match, load_dictionary(dictionary), sr=about.sr, start_s=options.start, end_s=end_s
    )
    for_raven = options.out.name.lower().endswith(_SELECTIONS)
    with in_one_step(options.out) as partial:
        write_text(partial, (raven_table if for_raven else stretch_labels)(stretches))


_LEGEND = """\
similarity: how alike frames are to what the sound alone can make of them, where it is highest (95th
percentile), 0 to 1; share: part of the magnitude that the sound explains beside the others, where
it is highest, and in the mean; best at: where the product of both is largest."""
