"""What the page is told of a session, in JSON types."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from audiosep.io.naming import display, track_name
from audiosep.labels import allowed_name
from audiosep.report.components import components_of
from audiosep.studio.history import History, Step
from audiosep.studio.session import Session
from audiosep.studio.sounds import block_samples

__all__ = ["components_view", "state_of"]

_PARTS: Mapping[str, Mapping[str, tuple[float, float]]] = {
    "split": {
        "read": (0.0, 0.02),
        "transform": (0.02, 0.05),
        "render": (0.85, 1.0),
        "": (0.05, 0.85),
    },
    "paint": {"read": (0.0, 0.05), "fit": (0.05, 0.8), "render": (0.8, 0.9), "": (0.9, 1.0)},
}
"""Share of the whole that each stage of a job takes, so that the bar moves evenly."""

_STAGES = {
    "read": "reading",
    "transform": "looking at it",
    "fit": "fitting",
    "render": "making the stems",
    "write": "writing",
    "learn": "learning",
}


def state_of(session: Session) -> dict[str, Any]:
    """All that a page shows, but for sounds, pictures and components.

    Parameters
    ----------
    session : Session
        Of which.

    Returns
    -------
    dict
    """
    with session.lock:
        chosen, step = session.chosen, session.history.current
        problem, notice = session.problem, session.notice
        return {
            "version": session.version,
            "serial": session.serial,
            "problem": {"number": problem[0], "text": display(problem[1])},
            "notice": {"number": notice[0], "text": display(notice[1])},
            "recording": None
            if chosen is None
            else {"name": display(chosen.name), "about": chosen.about},
            "job": _job(session),
            "open": None if step is None else _open(session, step),
        }


def _job(session: Session) -> dict[str, Any] | None:
    view = session.foreman.view
    if view is None or not view.words:
        return None
    parts = _PARTS.get(view.kind, {})
    low, high = parts.get(view.stage, parts.get("", (0.0, 1.0)))
    return {
        "number": view.number,
        "words": view.words,
        "stage": _STAGES.get(view.stage, "working" if view.stage else "beginning"),
        "fraction": low + (high - low) * min(max(view.fraction, 0.0), 1.0) if view.stage else 0.0,
    }


def _open(session: Session, step: Step) -> dict[str, Any]:
    history = session.history
    first = next(one.finished for one in history.steps if one.finished is not None)
    base = history.steps[0].folder if session.chosen is None else session.chosen.path
    name = track_name(base.resolve() if session.chosen is None else _named(session, base))
    drawing = next(iter(session.drawings.items()), None)
    return {
        "step": step.number,
        "name": display(name),
        "sr": first.sr,
        "channels": first.n_channels,
        "samples": first.n_samples,
        "block": block_samples(first.sr),
        "root": step.root,
        "stems": [
            {
                "name": stem,
                "shown": display(stem),
                "sound": _sound(session, step, place),
                "picture": _picture(session, step, place),
            }
            for place, stem in enumerate(step.stems)
        ],
        "owners": step.owners(),
        "drawing": None
        if drawing is None
        else {
            "mixture": f"{drawing[0]}/mixture",
            **{key: drawing[1][key] for key in ("columns", "lowestHz", "highestHz")},
        },
        "steps": [display(one.words) for one in history.steps],
        "at": history.at,
        "unsaved": step.kind != "open" and step.number != session.saved,
        "folder": session.places.free(f"separated/{allowed_name(name) or 'track'}"),
    }


def _named(session: Session, path: Any) -> Any:
    assert session.chosen is not None
    return path.with_name(session.chosen.name) if session.chosen.name else path


def _sound(session: Session, step: Step, stem: int) -> str:
    """Address of a stem's sound: the same as long as it sounds the same."""
    step, stem = _unchanged(session.history, step, stem)
    known = None if step.root is None else session.components.get(step.root)
    # What is heard at once is only nearly what will be written: then it is fetched again.
    nearly = step.plan is not None and step.plan.moves and known is not None and not known.exact
    return f"{step.number}/{stem}/{int(nearly and step.finished is not None)}"


def _picture(session: Session, step: Step, stem: int) -> str | None:
    step, stem = _unchanged(session.history, step, stem)
    return f"{step.number}/{stem}" if step.number in session.drawings else None


def _unchanged(history: History, step: Step, stem: int) -> tuple[Step, int]:
    """Step that a stem has been the same since, and its place there."""
    while (same := step.same_as(stem)) is not None:
        before = history.step(step.before)
        if before is None:
            break
        step, stem = before, same
    return step, stem


def components_view(step: Step) -> list[dict[str, Any]]:
    """Components of a step that has its own, as they are drawn and described.

    Parameters
    ----------
    step : Step
        Written.

    Returns
    -------
    list of dict
    """
    found = []
    for picture in components_of(step.folder).pictures:
        facts = picture.facts
        pitch = "" if facts.pitch_hz is None else f", pitch {facts.pitch_hz:.0f} Hz"
        found.append(
            {
                "number": facts.number,
                "words": (
                    f"{100 * facts.share:.1f}% of the sound, centre {facts.centroid_hz:.0f} Hz"
                    f"{pitch}, from {facts.first_s:.1f} to {facts.last_s:.1f} s"
                ),
                "template": base64.b64encode(picture.template.tobytes()).decode(),
                "activation": base64.b64encode(picture.activation.tobytes()).decode(),
            }
        )
    return found
