"""A session of the studio: what is open, which steps led there, and the work that is going on."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiosep.errors import AudiosepError, InputError, RefusedError, UsageError
from audiosep.factorization_files import FACTORIZATION_NAME
from audiosep.io.header import AudioInfo, info
from audiosep.io.naming import display
from audiosep.report.finished import Finished, open_finished
from audiosep.report.texts import length_of, rate_of
from audiosep.research.component_facts import component_energy
from audiosep.research.separated import open_separated
from audiosep.studio.folders import Places
from audiosep.studio.history import History, Kind, Step, stems_alone
from audiosep.studio.jobs import Foreman, Job
from audiosep.studio.sounds import Mixer

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from audiosep.research.component_sounds import ComponentSounds
    from audiosep.research.painted_regions import PaintedRegion

__all__ = ["Chosen", "Session", "StaleError", "header_of"]

_LONG = ("split", "paint")
"""Jobs whose result takes the place of what is heard: nothing else is changed meanwhile."""

_KEPT = ("save", "learn")
"""Jobs that read the folder of a step: it stays until they are done."""


class StaleError(RefusedError):
    """Something was asked of a state that is not the present one."""


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """A recording that can be separated.

    Parameters
    ----------
    path : Path
        Where it lies.
    name : str
        What it is called.
    about : str
        Length, rate and channels, in words.
    uploaded : bool
        Whether it came through the page, and lies in the work folder only.
    """

    path: Path
    name: str
    about: str
    uploaded: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Components:
    """Components of a step.

    Parameters
    ----------
    folder : Path
        Of the step.
    energy : np.ndarray [shape=(n_components,)]
        How much each weighs.
    exact : bool
        Whether what is heard at once is exactly what will be written.
    """

    folder: Path
    energy: npt.NDArray[np.float64]
    exact: bool

    @cached_property
    def sounds(self) -> ComponentSounds:
        """Their sounds, opened when they are first asked for: they hold a whole recording."""
        from audiosep.research.component_sounds import open_component_sounds

        return open_component_sounds(self.folder)


def header_of(path: Path, name: str) -> AudioInfo:
    """What the header of a recording says; an error starts with the name."""
    try:
        header = info(path)
    except InputError as error:
        raise InputError(f"{display(name)} {error}") from None
    if header.n_samples == 0 and header.format in ("WAV", "FLAC"):
        raise InputError(f"{display(name)} holds no sound (0 s); choose another recording.")
    return header


class Session:
    """One session; all windows of a browser see the same.

    Parameters
    ----------
    work : Path
        Its own folder.
    places : Places
        Where results may go.
    n_threads : int, optional
        Threads of the work.
    """

    def __init__(self, work: Path, places: Places, n_threads: int | None = None) -> None:
        self.places = places
        self.lock = threading.RLock()
        self.history = History()
        self.chosen: Chosen | None = None
        self.components: dict[int, Components] = {}
        self.drawings: dict[int, dict[str, Any]] = {}
        self.problem: tuple[int, str] = (0, "")
        self.notice: tuple[int, str] = (0, "")
        self.saved: int | None = None
        self.version, self.serial = 1, 1
        self._counting = threading.Lock()
        self.on_change: Callable[[], None] = lambda: None
        self.mixer = Mixer(self._sounds_of)
        self.foreman = Foreman(self.changed, n_threads)
        self.steps_folder = work / "steps"
        self.uploads = work / "uploads"
        self._numbers = 0
        self._opened = 0  # how often something else was opened: what was begun before is too late
        for folder in (self.steps_folder, self.uploads):
            folder.mkdir()

    def close(self) -> None:
        """End all work."""
        self.foreman.close()

    # --- what everyone is told --------------------------------------------------------------------

    def changed(self, *, version: bool = False) -> None:
        """Tell everyone who waits that something is not as it was."""
        # A lock of its own: this is called by those who hold others.
        with self._counting:
            self.serial += 1
            self.version += version
        self.on_change()

    def complain(self, sentence: str) -> None:
        """Say what went wrong, on every page."""
        with self.lock:
            self.problem = (self.problem[0] + 1, sentence[:1].upper() + sentence[1:])
        self.changed()

    def say(self, sentence: str) -> None:
        """Say what was done, on every page."""
        with self.lock:
            self.notice = (self.notice[0] + 1, sentence)
        self.changed()

    # --- what is opened ---------------------------------------------------------------------------

    def open(self, path: Path) -> None:
        """Open what was named when the studio was started: a recording or a folder of stems."""
        try:
            if not path.is_dir():
                self.choose(path, path.name)
                return
            step = self._arrived(self.next_number(), "open", "Opened", path)
        except AudiosepError as error:
            self.complain(str(error))
            return
        self.add(step)
        self.draw(step)

    def choose(self, path: Path, name: str, *, uploaded: bool = False) -> None:
        """Take a recording instead of whatever is open.

        Raises
        ------
        InputError
            If it is none.
        """
        header = header_of(path, name)
        about = f"{length_of(header.duration)}, {rate_of(header.sr, header.n_channels)}"
        with self.lock:
            self.forget_all()
            self.chosen = Chosen(path=path, name=name, about=about, uploaded=uploaded)
        self.changed(version=True)

    def forget_all(self) -> None:
        """Open nothing: all steps are gone."""
        if (number := self.foreman.waiting(_LONG)) is not None:
            self.foreman.cancel(number)
        for step in self.history.steps:
            self.foreman.forget(step.number)
        self._opened += 1
        kept = None if self.chosen is None else self.chosen.path
        self.history, self.chosen, self.saved = History(), None, None
        self.components, self.drawings = {}, {}
        self.mixer.forget()
        self.clean()
        if kept is not None and kept.parent == self.uploads:
            kept.unlink(missing_ok=True)

    def _arrived(
        self,
        number: int,
        kind: Kind,
        words: str,
        folder: Path,
        before: int | None = None,
        regions: tuple[PaintedRegion, ...] = (),
    ) -> Step:
        """Step of a folder that is there."""
        finished = open_finished(folder)
        grouping, root = stems_alone([stem.name for stem in finished.stems]), None
        if (folder / FACTORIZATION_NAME).exists():
            try:
                stored = open_separated(folder).stored
            except AudiosepError as error:  # the stems can be heard all the same
                self.complain(f"The components cannot be used: {error}")
            else:
                grouping, root = stored.grouping, number
                self.components[number] = Components(
                    folder=folder,
                    energy=component_energy(stored.templates, stored.activations),
                    exact=stored.mask_exponent == 1.0,
                )
        return Step(
            number=number,
            kind=kind,
            words=words,
            folder=folder,
            grouping=grouping,
            root=root,
            before=before,
            regions=regions,
            finished=finished,
        )

    def _sounds_of(self, root: int) -> ComponentSounds:
        if (known := self.components.get(root)) is None:
            raise InputError("These components are not there any more; load the page again.")
        return known.sounds

    # --- what is done -----------------------------------------------------------------------------

    def check_version(self, version: object, *, closing: bool = False) -> None:
        """Refuse what was asked of another state, or while a long job is at work.

        Raises
        ------
        StaleError
            If `version` is not the present one.
        RefusedError
            If something is at work whose result takes the place of what is heard, or all is to be
            closed while something is being saved.
        """
        if version != self.version:
            raise StaleError(
                "The session has changed meanwhile, in another window perhaps; look at what it is "
                "now, and do it again."
            )
        if not closing and self.foreman.waiting(_LONG) is not None:
            raise RefusedError("Wait until the present work is done, or cancel it first.")
        if closing:
            self._check_saved()

    def _check_saved(self) -> None:
        """Refuse to drop steps while some of them are still to be saved."""
        if self.foreman.waiting(_KEPT) is not None:
            raise RefusedError("Wait until that is saved, or cancel it first.")

    def cancel(self, number: object) -> None:
        """Give up a job.

        Raises
        ------
        StaleError
            If it is not at work any more.
        """
        if not isinstance(number, int) or not self.foreman.cancel(number):
            raise StaleError("That work is over already.")

    def current(self) -> Step:
        """Step that is heard.

        Raises
        ------
        UsageError
            If nothing is open.
        """
        if (step := self.history.current) is None:
            raise UsageError("Nothing is open; separate a recording first.")
        return step

    def next_number(self) -> int:
        """Number for a step or a job."""
        with self.lock:
            self._numbers += 1
            return self._numbers

    def folder_of(self, number: int) -> Path:
        """Folder for a step."""
        return self.steps_folder / f"{number:04}"

    def go(self, by: int) -> None:
        """Undo (-1) or do again (+1).

        Raises
        ------
        UsageError
            If there is nothing to.
        """
        moved = self.history.moved(by)
        if moved is self.history:
            raise UsageError("There is nothing to undo." if by < 0 else "There is nothing to redo.")
        self.history = moved
        self.changed(version=True)

    def begin(
        self,
        kind: Kind,
        doing: str,
        words: str,
        arguments: Mapping[str, Any],
        *,
        before: int | None = None,
        regions: tuple[PaintedRegion, ...] = (),
    ) -> None:
        """Have a folder of stems made, and take it for the next step when it is there."""
        number = self.next_number()
        place = self.folder_of(number)
        opened = self._opened

        def done(_: Any) -> None:
            step = self._arrived(number, kind, words, place, before, regions)
            with self.lock:
                if self._opened == opened:
                    self.add(step)
                    self.draw(step)

        def failed(sentence: str) -> None:
            self.clean()
            if self._opened != opened:
                return
            if sentence:
                self.complain(sentence)
            else:
                self.say("Cancelled. Nothing has changed.")

        given = {**arguments, "place": str(place)}
        self.give(kind, doing, given, done=done, failed=failed, number=number)

    def give(
        self,
        kind: str,
        doing: str,
        arguments: Mapping[str, Any],
        *,
        done: Callable[[Any], None],
        failed: Callable[[str], None],
        number: int | None = None,
    ) -> None:
        """Have something done by the process at work."""
        job = Job(
            number=self.next_number() if number is None else number,
            kind=kind,
            words=doing,
            arguments=arguments,
            done=done,
            failed=failed,
        )
        self.foreman.give(job)

    def add(self, step: Step) -> None:
        """Put a step after the current one; those that were undone are gone.

        Raises
        ------
        RefusedError
            If one of these may still be being saved, or there are too many steps.
        """
        with self.lock:
            gone = self.history.steps[self.history.at + 1 :]
            if gone:
                self._check_saved()
            self.history = self.history.with_step(step)
            for old in gone:
                self.foreman.forget(old.number)
                self.drawings.pop(old.number, None)
                self.components.pop(old.number, None)
                if old.folder.parent == self.steps_folder and old.finished is not None:
                    shutil.rmtree(old.folder, ignore_errors=True)
        self.changed(version=True)

    def written(self, number: int, finished: Finished) -> Step | None:
        """Tell that the stems of a step are there; None where nobody wants them any more."""
        with self.lock:
            self.history = self.history.with_written(number, finished)
            step = self.history.step(number)
        if step is None:
            self.clean()
        self.changed()
        return step

    def lose(self, number: int, sentence: str) -> None:
        """Take back a step that could not be made, and all that was made of it."""
        with self.lock:
            before = self.history
            if before.step(number) is None:  # nobody wants it any more
                self.clean()
                return
            self.history = before.without(number)
            for step in before.steps[len(self.history.steps) :]:
                self.foreman.forget(step.number)
        self.clean()
        self.changed(version=True)
        self.complain(sentence)

    def clean(self) -> None:
        """Remove what ended work has left of itself; none is going on."""
        with self.lock:
            known = {step.folder for step in self.history.steps}
            for folder in self.steps_folder.iterdir():
                if folder not in known:
                    shutil.rmtree(folder, ignore_errors=True)

    def draw(self, step: Step) -> None:
        """Have the pictures of a step drawn."""
        done = partial(self._drawn, step.number)
        arguments = {"folder": str(step.folder)}
        self.give("draw", "", arguments, done=done, failed=lambda _: None)

    def _drawn(self, number: int, drawing: dict[str, Any]) -> None:
        with self.lock:
            if self.history.step(number) is None:
                return
            self.drawings[number] = drawing
        self.changed()
