"""What a whole dry run comes to: sound, time, and room on the disk."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from audiosep.cli.talk import Talk
from audiosep.cli.tasks import Outcome
from audiosep.cli.wording import counted
from audiosep.costs import start_s
from audiosep.threads import n_processors

if TYPE_CHECKING:
    from audiosep.separator import Separator

__all__ = ["Forecast", "about_time", "check_length"]


def about_time(seconds: float) -> str:
    """Turn seconds into words, as precise as predictions are."""
    if seconds < 99.5:
        return f"{max(1, round(seconds))} s"
    if seconds < 99.5 * 60:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h" if seconds < 36_000 else f"{round(seconds / 3600)} h"


def check_length(separator: Separator, duration_s: float) -> None:
    """Refuse what is too long for its method, as the separation would.

    Raises
    ------
    RefusedError
        If it is.
    """
    from audiosep.methods import load_listener
    from audiosep.methods.base import MethodSettings
    from audiosep.scores import Score

    listener = load_listener(separator.recipe().method)
    if listener is not None and isinstance(separator.score, Score):
        settings = MethodSettings(score=separator.score, rest=separator.rest)
        listener.check(duration_s, settings)


@dataclass(kw_only=True)
class Forecast:
    """Adds up what a dry run plans.

    Parameters
    ----------
    talk : Talk
        Who tells it.
    jobs : int > 0 or None
        Recordings at once; None where other computers do them, and nobody knows how fast.
    """

    talk: Talk
    jobs: int | None = 1
    n_planned: int = 0
    n_failed: int = 0
    audio_s: float = 0.0
    seconds: float = 0.0
    longest_s: float = 0.0
    room: dict[Path, int] = field(default_factory=dict)

    def add(self, outcome: Outcome) -> None:
        """Add a recording, if it is planned."""
        entry, place = outcome.entry, outcome.place
        self.n_failed += outcome.failure is not None
        if entry["status"] != "planned":
            return
        self.n_planned += 1
        self.audio_s += entry["audio_s"]
        self.seconds += entry["seconds"]
        self.longest_s = max(self.longest_s, entry["seconds"])
        if isinstance(place, Path):
            disk = _disk_of(place)
            self.room[disk] = self.room.get(disk, 0) + round(entry["disk_mb"] * 1e6)

    def tell(self) -> None:
        """Say the sum of several recordings, and whether their stems would fit."""
        if not self.n_planned:
            if self.n_failed > 1:
                self.talk.say(f"audiosep: {self.n_failed} recordings cannot be taken")
            return
        from audiosep.prediction import free_bytes  # loads what only a dry run needs

        if self.n_planned + self.n_failed > 1:
            said = [] if self.jobs is None else [self._time_with(self.jobs)]
            if size := sum(self.room.values()):
                said.append(f"{size / 1e6:.0f} MB of stems")
            self.talk.say(
                f"audiosep: {counted(self.n_planned, 'recording')}, {about_time(self.audio_s)} of "
                "sound"
                + (f": {', '.join(said)}" if said else "")
                + (f"; {self.n_failed} more cannot be taken" if self.n_failed else "")
            )
        for disk, size in self.room.items():
            free = free_bytes(disk)
            if free is not None and size > free:
                self.talk.say(
                    f"audiosep: warning: the stems need about {size / 1e6:.0f} MB, and "
                    f"{free / 1e6:.0f} MB are free where they would go; make room, or choose "
                    "another --out."
                )

    def _time_with(self, jobs: int) -> str:
        from audiosep.prediction import probe_s

        at_once = max(1, min(jobs, n_processors(), self.n_planned))
        # Each process starts once, and each recording is told as if it were alone.
        again = max(0, self.n_planned - at_once) * start_s(probe_s())
        seconds = max(self.longest_s, (self.seconds - again) / at_once)
        return f"about {about_time(seconds)} with {jobs} at once"


def _disk_of(place: Path) -> Path:
    """One folder for all places on a disk."""
    place = place.absolute()
    folder = next(f for f in (place, *place.parents) if f.is_dir())
    while folder.parent != folder and folder.parent.stat().st_dev == folder.stat().st_dev:
        folder = folder.parent
    return folder
