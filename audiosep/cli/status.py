"""``--status``: what of a batch is done, failed and left, without doing anything."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from audiosep.cli.journal import Remembered, stamp_of
from audiosep.cli.locks import home_of
from audiosep.cli.one import Worker, with_path
from audiosep.cli.places import shelf_at
from audiosep.cli.resume import is_done
from audiosep.cli.talk import Talk
from audiosep.cli.tasks import Task, entry_of
from audiosep.errors import AudiosepError, ExitCode, UsageError
from audiosep.io.naming import display
from audiosep.io.urls import Place, Url

__all__ = ["say_status"]


def say_status(
    tasks: Iterable[Task], remembered: dict[str, Remembered], out: Place, talk: Talk
) -> ExitCode:
    """Say what is done, what failed and what is left; done is the code only where all is.

    Raises
    ------
    UsageError
        If no run has ever worked there: the folder may be another one than was meant.
    """
    counts: Counter[str] = Counter()
    begun = bool(remembered) or home_of(out).exists()
    worker = Worker(talk=talk)
    for task in tasks:
        status, error = _status_of(task, remembered.get(task.track), out, worker)
        counts[status] += 1
        begun = begun or _is_there(task.job.folder)
        if talk.json_lines:
            talk.json(entry_of(task.job, status, error=error))
        elif status == "failed":
            talk.result(f"failed: {error}")
        elif status == "left" and talk.verbose:
            talk.result(f"left: {display(task.job.source)}")
    if not talk.json_lines:
        talk.result(", ".join(f"{counts[word]} {word}" for word in ("done", "failed", "left")))
    begun = begun or (isinstance(out, Url) and shelf_at(out).exists())
    if counts.total() and not begun:
        raise UsageError(
            f"nothing has been done in {display(out)} yet; check --out, or begin without --status."
        )
    return ExitCode.SOME_FAILED if counts["failed"] or counts["left"] else ExitCode.DONE


def _is_there(folder: Place) -> bool:
    """Whether a folder is there, where it costs nothing to ask."""
    return isinstance(folder, Path) and os.path.lexists(folder)


def _status_of(
    task: Task, past: Remembered | None, out: Place, worker: Worker
) -> tuple[str, str | None]:
    if task.problem:
        return "failed", task.problem
    if past is not None and past.stamp == stamp_of(task.job.source, task.options):
        if past.status == "failed":
            return "failed", past.error
        if shelf_at(out / past.place).is_finished():
            return "done", None
    try:
        done = is_done(task.job, task.options, worker.separator_of(task.options))
    except AudiosepError as error:
        return "failed", with_path(task, error)
    return ("done" if done else "left"), None
