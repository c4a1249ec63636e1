"""``audiosep match``: when the sounds of a dictionary occur in a recording."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from audiosep.cli.single import check_free, said_in_json
from audiosep.cli.talk import Talk
from audiosep.cli.wording import counted
from audiosep.errors import ExitCode, UsageError
from audiosep.io.naming import display

__all__ = ["MatchOptions", "match_recording"]


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
    from audiosep.io.tables import in_one_step, write_table
    from audiosep.research.matching import TABLES, match_dictionary, table_of

    if options.columns not in TABLES:
        raise UsageError(f"--columns {options.columns!r} is unknown; use {', '.join(TABLES)}.")
    if options.out is not None:
        check_free(options.out)
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
    if options.out is not None:
        names, values = table_of(match, options.columns)
        with in_one_step(options.out) as partial:
            write_table(partial, "time_s", match.times_s, names, values)
    scores = match.scores()
    if talk.json_lines:
        rounded = {
            label: {name: round(value, 4) for name, value in score.items()}
            for label, score in scores.items()
        }
        out = None if options.out is None else display(options.out)
        entry = {"input": display(source), "status": "done", "labels": rounded, "out": out}
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
        talk.say(f"{display(options.out)}: {options.columns} of {n_frames}")
    return ExitCode.DONE


_LEGEND = """\
similarity: how alike frames are to what the sound alone can make of them, where it is highest (95th
percentile), 0 to 1; share: part of the magnitude that the sound explains beside the others, where
it is highest, and in the mean; best at: where the product of both is largest."""
