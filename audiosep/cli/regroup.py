"""``audiosep regroup``: other stems from stored components, or a list of these."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiosep.cli.single import said_in_json, tell_stems
from audiosep.cli.talk import Talk
from audiosep.cli.wording import counted
from audiosep.errors import ExitCode, UsageError
from audiosep.io.naming import display

if TYPE_CHECKING:
    from audiosep.research.component_facts import ComponentFacts

__all__ = ["RegroupOptions", "regroup_folder"]

_MOST_DIGITS = 9
"""A number cut there is still that of no component."""


@dataclass(frozen=True, kw_only=True)
class RegroupOptions:
    """Options of ``audiosep regroup``, as typed."""

    merge: list[str]
    move: list[str]
    rename: list[str]
    out: Path | None
    n_threads: int | None


def regroup_folder(folder: Path, options: RegroupOptions, talk: Talk) -> ExitCode:
    """Make other stems of the components of a folder; without changes, list the components.

    Parameters
    ----------
    folder : Path
        Made by ``audiosep split``, ``audiosep atoms`` or this command.
    options : RegroupOptions
        What to change.
    talk : Talk
        How to say it.

    Returns
    -------
    ExitCode
        DONE.

    Raises
    ------
    AudiosepError
        As :func:`audiosep.research.regrouping.regroup`.
    """
    with said_in_json(folder, talk):
        if not (options.merge or options.move or options.rename):
            return _list(folder, options, talk)
        return _regroup(folder, options, talk)


def _regroup(folder: Path, options: RegroupOptions, talk: Talk) -> ExitCode:
    from audiosep.research.regrouping import regroup

    began = time.perf_counter()
    merge = [[_member(word) for word in _words(text, "--merge")] for text in options.merge]
    move: dict[int | tuple[int, ...], str] = {}
    for text in options.move:
        left, right = _pair(text, "--move", "3=drums")
        move[tuple(_number(word) for word in _words(left, "--move"))] = right
    rename = dict(_pair(text, "--rename", "old=new") for text in options.rename)
    result = regroup(
        folder,
        merge=merge,
        move=move,
        rename=rename,
        out=options.out,
        n_threads=options.n_threads,
    )
    seconds = time.perf_counter() - began
    confidence = _rounded(result.grouping.confidence)
    named = dict(zip(result.grouping.names, confidence, strict=True))
    tell_stems(folder, result.place, result.paths, seconds, talk, confidence=named)
    for note in result.record["notes"]:
        talk.detail(f"  {note}")
    talk.say(
        f"{display(folder)}: {counted(len(result.paths), 'stem')} in {display(result.place)}, made "
        f"in {seconds:.2f} s without fitting; they add up to the same as before"
    )
    return ExitCode.DONE


def _list(folder: Path, options: RegroupOptions, talk: Talk) -> ExitCode:
    from audiosep.research.component_facts import describe_components
    from audiosep.research.separated import open_separated

    if options.out is not None:
        raise UsageError("nothing is to be changed, so nothing goes to --out; see --help.")
    stored = open_separated(folder).stored
    grouping = stored.grouping
    facts = describe_components(stored)
    if talk.json_lines:
        for one in facts:
            talk.json(asdict(one))
        return ExitCode.DONE
    width = max(len("stem"), *(len(name) for name in grouping.names))
    talk.result(
        f"{'component':>9}  {'stem':<{width}}  {'share':>6}  {'centroid':>9}  {'pitch':>8}  "
        f"{'active':>6}  when"
    )
    for one in facts:
        talk.result(_line(one, width))
    stems = ", ".join(
        f"{name} ({float(sure):.2f})"
        for name, sure in zip(grouping.names, grouping.confidence, strict=True)
    )
    talk.say(f"stems and how sure each grouping is, from 0 to 1: {stems}")
    return ExitCode.DONE


def _line(one: ComponentFacts, width: int) -> str:
    pitch = "-" if one.pitch_hz is None else f"{one.pitch_hz:.0f} Hz"
    return (
        f"{one.number:>9}  {one.stem:<{width}}  {100 * one.share:5.1f}%  "
        f"{one.centroid_hz:6.0f} Hz  {pitch:>8}  {100 * one.active:5.0f}%  "
        f"{one.first_s:.1f}-{one.last_s:.1f} s"
    )


# --- what was typed -----------------------------------------------------------------------------


def _words(text: str, option: str) -> list[str]:
    words = [word.strip() for word in text.split(",")]
    if not all(words):
        raise UsageError(f"{option} {text!r}: something is missing between the commas.")
    return words


def _pair(text: str, option: str, example: str) -> tuple[str, str]:
    left, equals, right = text.partition("=")
    if not (equals and left.strip() and right.strip()):
        raise UsageError(f"{option} {text!r} is no pair; write it as {option} {example}.")
    return left.strip(), right.strip()


def _member(word: str) -> int | str:
    """A component's number, or a stem's name."""
    return int(word[:_MOST_DIGITS]) if word.isascii() and word.isdigit() else word


def _number(word: str) -> int:
    if not (word.isascii() and word.isdigit()):
        raise UsageError(
            f"--move {word!r} is no number of a component; see 'audiosep regroup FOLDER' for them."
        )
    return int(word[:_MOST_DIGITS])


def _rounded(values: Any) -> list[float]:
    return [round(float(value), 4) for value in values]
