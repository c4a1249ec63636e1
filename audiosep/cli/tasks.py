"""What is to be done with one recording, and how it went: values that travel between processes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from audiosep.errors import ExitCode
from audiosep.io.naming import Job, RemoteJob, display
from audiosep.io.urls import Place

if TYPE_CHECKING:
    from audiosep.cli.split import SplitOptions

__all__ = ["NOT_AUDIO", "Outcome", "Task", "entry_of", "name_of"]

NOT_AUDIO = "not-audio"
"""Kind of the failure of a file that is no recording, whatever its name says."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """A recording, where its stems go, and how they are to be made.

    Parameters
    ----------
    job : Job or RemoteJob
        Recording and folder.
    options : SplitOptions
        Settings.
    track : str
        The folder below the output folder: the name of the task in a journal.
    key : str
        Where the recording is below what was named: the same on every machine.
    problem : str
        Why it cannot be done, where that is known.
    kind : str
        Of the problem, as in a journal.
    where : str
        Which row of a manifest it is, in words.
    """

    job: Job | RemoteJob
    options: SplitOptions
    track: str = ""
    key: str = ""
    problem: str = ""
    kind: str = "usage"
    where: str = ""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How it went with a task.

    Parameters
    ----------
    entry : dict
        As ``--json`` prints it.
    place : Path, Url or None
        Folder of the stems, where there are any.
    failure : ExitCode or None
        Where it failed.
    kind : str
        Of the failure, for the journal: ``recording``, ``output``, ``unexpected`` and others.
    taken_by : str
        Who else works on it; then nothing was done.
    noted : list of (bool, str)
        What there is to say, where another process has to say it.
    """

    entry: dict[str, Any]
    place: Place | None = None
    failure: ExitCode | None = None
    kind: str = ""
    taken_by: str = ""
    noted: list[tuple[bool, str]] = field(default_factory=list)


def name_of(job: Job | RemoteJob) -> str:
    """What a recording is called where people read it."""
    return job.called or display(job.source)


def entry_of(job: Job | RemoteJob, status: str, **entries: Any) -> dict[str, Any]:
    """What ``--json`` prints of a recording; paths in it are as they are, not as they are shown."""
    base: dict[str, Any] = {
        "input": job.called or str(job.source),
        "status": status,
        "stems": {},
        "files": {},
        "null_test_db": None,
        "seconds": 0.0,
        "error": None,
        "warnings": [],
    }
    return base | entries
