"""What a page may ask for: each thing checked, then done to the session."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from audiosep.errors import UsageError
from audiosep.io.naming import display
from audiosep.report.finished import open_finished
from audiosep.research.regrouping_plan import Wishes
from audiosep.studio.history import regrouped_step
from audiosep.studio.results import learn_stem, save_stems
from audiosep.studio.session import Session

__all__ = ["do"]

Asked = Mapping[str, Any]

_MOST_REGIONS = 500


def do(session: Session, name: str, asked: Asked) -> None:
    """Do what a page asks for.

    Parameters
    ----------
    session : Session
        To which.
    name : str
        One of the names below.
    asked : mapping
        What was sent; ``version`` is the state that the page shows.

    Raises
    ------
    AudiosepError
        If it cannot be done; nothing has changed then.
    """
    if name == "cancel":
        session.cancel(asked.get("job"))
        return
    if name not in _CHANGES:
        raise UsageError(f"The studio cannot {display(name)}.")
    with session.lock:
        session.check_version(asked.get("version"), closing=name == "close")
        _CHANGES[name](session, asked)


def _text(asked: Asked, key: str) -> str:
    value = asked.get(key)
    if not isinstance(value, str) or not value.strip():
        raise UsageError(f"Nothing is given for {key}.")
    return value.strip()


def _split(session: Session, asked: Asked) -> None:
    from audiosep.separator import Separator

    chosen = session.chosen
    if chosen is None:
        raise UsageError("There is no recording to separate; choose one first.")
    preset, n_sources = _text(asked, "preset"), asked.get("n_sources")
    Separator(preset=preset, n_sources=n_sources)  # refused here rather than in a moment
    words = f"Separated with the preset {preset}"
    arguments = {"source": str(chosen.path), "preset": preset, "n_sources": n_sources}
    session.begin("split", f"Separating {display(chosen.name)}", words, arguments)


def _paint(session: Session, asked: Asked) -> None:
    from audiosep.research.painted_regions import PaintedRegion

    step = session.current()
    given = asked.get("regions")
    if not isinstance(given, list) or not 0 < len(given) <= _MOST_REGIONS:
        raise UsageError("Nothing is painted; add a region of a spectrogram to a stem first.")
    regions = tuple(PaintedRegion.from_json(one) for one in given)
    stems = ", ".join(dict.fromkeys(region.stem for region in regions))
    words = f"Painted {len(regions)} region{'s' if len(regions) > 1 else ''}: {stems}"
    arguments = {"folder": str(step.folder), "regions": regions, "seed": 0}
    session.begin(
        "paint",
        "Refitting all stems",
        words,
        arguments,
        before=step.number,
        regions=regions,
    )


def _move(session: Session, asked: Asked) -> None:
    component, target = asked.get("component"), _text(asked, "to")
    step = session.current()
    if step.root is None:
        raise UsageError("These stems have no components that could be moved.")
    if isinstance(component, bool) or not isinstance(component, int):
        raise UsageError("No component is named; choose one.")
    owners = step.owners()
    if 1 <= component <= len(owners) and step.stems[owners[component - 1]] == target:
        raise UsageError(f"Component {component} is in {display(target)} already.")
    _regroup(session, Wishes(move={component: target}), f"Moved component {component} to {target}")


def _merge(session: Session, asked: Asked) -> None:
    into, stem = _text(asked, "into"), _text(asked, "stem")
    _regroup(session, Wishes(merge=[[into, stem]]), f"Merged {stem} into {into}")


def _rename(session: Session, asked: Asked) -> None:
    stem, new = _text(asked, "stem"), _text(asked, "name")
    if stem == new:
        raise UsageError("That is its name already; type another.")
    _regroup(session, Wishes(rename={stem: new}), f"Renamed {stem} to {new}")


def _regroup(session: Session, wishes: Wishes, words: str) -> None:
    before = session.current()
    known = None if before.root is None else session.components.get(before.root)
    number = session.next_number()
    step = regrouped_step(
        before,
        wishes,
        number=number,
        folder=session.folder_of(number),
        words=words,
        energy=None if known is None else known.energy,
    )
    moves = step.plan is not None and step.plan.moves
    session.add(step)

    def done(_: Any) -> None:
        there = session.written(number, open_finished(step.folder))
        if there is not None and moves:
            session.draw(there)

    def failed(sentence: str) -> None:
        session.lose(number, f"{words}: {sentence}")

    arguments = {
        "folder": str(before.folder),
        "place": str(step.folder),
        "merge": [list(members) for members in wishes.merge],
        "move": dict(wishes.move or {}),
        "rename": dict(wishes.rename or {}),
        "share": before.folder.parent == session.steps_folder,
    }
    session.give("regroup", "", arguments, done=done, failed=failed, number=number)


def _close(session: Session, _: Asked) -> None:
    session.forget_all()
    session.changed(version=True)


_CHANGES: dict[str, Callable[[Session, Asked], None]] = {
    "split": _split,
    "paint": _paint,
    "move": _move,
    "merge": _merge,
    "rename": _rename,
    "undo": lambda session, _: session.go(-1),
    "redo": lambda session, _: session.go(+1),
    "save": save_stems,
    "learn": learn_stem,
    "close": _close,
}
