"""What is kept of a session: stems with a project file, and dictionaries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from audiosep.errors import RefusedError, UsageError
from audiosep.io.naming import display
from audiosep.records import read_record
from audiosep.report.finished import record_digest
from audiosep.studio.history import Step

if TYPE_CHECKING:
    from audiosep.studio.session import Session

__all__ = ["learn_stem", "project_from", "save_stems"]

_SUFFIX = ".safetensors"


def save_stems(session: Session, asked: Mapping[str, Any]) -> None:
    """Copy the current stems, with their record and a project file, to a folder that was typed.

    Raises
    ------
    AudiosepError
        If it may not or cannot go there.
    """
    step = session.current()
    place = session.places.place(asked.get("folder"))
    steps = session.history.since_split()
    chosen = session.chosen
    name = chosen.name if chosen is not None and chosen.uploaded else None

    def done(result: tuple[int, str]) -> None:
        n_files, problem = result
        with session.lock:
            session.saved = step.number
        without = f" There is no project file: {problem}" if problem else ""
        session.say(f"Saved {n_files} files in {display(place)}.{without}")

    cancelled = _or_cancelled(session)

    def failed(sentence: str) -> None:
        there = session.history.step(step.number)
        known = None if there is None or there.finished is None else there.finished.digest
        # It may have been ended after the last move and before it could tell of it.
        if not sentence and known is not None and record_digest(read_record(place)) == known:
            session.say(f"{display(place)} holds these stems already; it was too late to cancel.")
        else:
            cancelled(sentence)

    arguments = {
        "steps": [_portable(one) for one in steps],
        "place": str(place),
        "input_name": name,
        "replace": asked.get("replace") is True,
    }
    session.give("save", "Saving", arguments, done=done, failed=failed)


def _portable(step: Step) -> dict[str, Any]:
    """What the process at work needs to know of a step."""
    wishes = step.wishes
    return {
        "kind": step.kind,
        "folder": str(step.folder),
        "regions": step.regions,
        "merge": [] if wishes is None else [list(members) for members in wishes.merge],
        "move": {} if wishes is None else dict(wishes.move or {}),
        "rename": {} if wishes is None else dict(wishes.rename or {}),
    }


def project_from(steps: list[dict[str, Any]], input_name: str | None) -> Any:
    """Project that repeats steps, of which the first is a separation.

    Raises
    ------
    AudiosepError
        If they cannot be repeated.
    """
    from dataclasses import replace

    from audiosep.projects import PaintStep, RegroupStep, project_of

    first, *others = steps
    done = tuple(
        PaintStep(regions=step["regions"], seed=0)
        if step["kind"] == "paint"
        else RegroupStep(
            merge=tuple(tuple(members) for members in step["merge"]),
            move=tuple(((number,), target) for number, target in step["move"].items()),
            rename=tuple(step["rename"].items()),
        )
        for step in others
    )
    project = project_of(first["folder"], done, result=steps[-1]["folder"])
    return project if input_name is None else replace(project, input_path=input_name)


def learn_stem(session: Session, asked: Mapping[str, Any]) -> None:
    """Learn a dictionary from a stem, into a file that was typed.

    Raises
    ------
    AudiosepError
        If it may not or cannot go there.
    """
    step = session.current()
    stem, file = asked.get("stem"), asked.get("file")
    if stem not in step.stems:
        raise UsageError("That stem is not there any more; choose another.")
    if not isinstance(file, str) or not file.strip().endswith(_SUFFIX):
        raise UsageError(f"A dictionary is a file whose name ends with {_SUFFIX}; type one.")
    place = session.places.place(file)
    if place.exists() or place.is_symlink():
        raise RefusedError(f"{display(file)} is there already; type another name.")
    if not place.parent.is_dir():
        raise UsageError(f"{display(place.parent)} is no folder; type a place that is there.")

    def done(_: Any) -> None:
        session.say(f"{display(place)} holds what {stem} sounds like.")

    arguments = {"folder": str(step.folder), "stem": stem, "file": str(place)}
    doing = f"Learning what {stem} sounds like"
    session.give("learn", doing, arguments, done=done, failed=_or_cancelled(session))


def _or_cancelled(session: Session) -> Any:
    def failed(sentence: str) -> None:
        if sentence:
            session.complain(sentence)
        else:
            session.say("Cancelled. Nothing has changed.")

    return failed
