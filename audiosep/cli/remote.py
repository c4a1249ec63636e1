"""A recording or a folder of stems in a remote store: the same work on a copy, then put there.

Whatever needs a file gets one, in a temporary folder; what is said of that file is said of its
address. Stems are made and checked here as always. Then each is put in one piece, and the record
last, so that a track is there or it is not.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from audiosep.cli.places import UNFINISHED_NAME, Remote, replace_record, shelf_at
from audiosep.cli.report import with_report
from audiosep.cli.resume import known_recording, place_of, recorded_files, resume
from audiosep.cli.settings import RESUMING
from audiosep.cli.talk import Talk
from audiosep.cli.tasks import Outcome
from audiosep.errors import AudiosepError, InputError, OutputError, RefusedError
from audiosep.io import AudioInfo, info
from audiosep.io.endings import Ending, ending_of
from audiosep.io.header import sha256_of
from audiosep.io.naming import Job, RemoteJob, display
from audiosep.io.remote import fetch, fetch_ends, put, put_text, remove, state_of
from audiosep.io.scratch import scratch
from audiosep.io.urls import Place, State, Url
from audiosep.records import RECORD_NAME, read_record, write_record
from audiosep.types import Progress

if TYPE_CHECKING:
    from audiosep.cli.one import Worker
    from audiosep.cli.split import SplitOptions
    from audiosep.health import Health

__all__ = ["about", "header_of", "health_of", "remotely"]

_T = TypeVar("_T")

_HEAD_BYTES = 256 << 10
_TAIL_BYTES = 64 << 10
_LONGEST_NAME = 100


def about(source: Place) -> AudioInfo:
    """What the header of a recording says, wherever it is; of a remote one only the ends are read.

    Raises
    ------
    InputError
        If it cannot be read as audio.
    """
    return header_of(source)[0] if isinstance(source, Url) else info(source)


def header_of(url: Url, stream: int | None = None) -> tuple[AudioInfo, Ending]:
    """What the header of a remote recording, or of one of its tracks, says, and how it ends.

    Raises
    ------
    InputError
        If it cannot be read as audio.
    """
    with scratch() as folder:
        copy = _Copy(url=url, path=folder / _name_of(url))
        return copy.tried_on_ends(lambda: _ends_of(copy.path, stream))


def health_of(url: Url, stream: int | None = None) -> Health:
    """Fetch a remote recording and check it, or one of its tracks; errors begin with its address.

    Raises
    ------
    InputError
        If nothing of it can be read.
    """
    from audiosep.health import check_recording

    with scratch() as folder:
        path = _Copy(url=url, path=folder / _name_of(url)).whole()
        try:
            return check_recording(path, stream=stream)
        except InputError as error:
            raise type(error)(str(error).replace(str(path), display(url), 1)) from None


def _ends_of(path: Path, stream: int | None) -> tuple[AudioInfo, Ending]:
    about = info(path, stream=stream)
    return about, ending_of(path, about)


def remotely(
    worker: Worker, job: RemoteJob, options: SplitOptions, *, again: bool = False
) -> Outcome:
    """Do a task whose recording or folder is remote, as :class:`audiosep.cli.one.Worker` does.

    Raises
    ------
    AudiosepError
        If it cannot be done.
    """
    with worker.alone(job.folder), scratch() as folder:
        task = _RemoteTask(worker=worker, job=job, options=options, folder=folder, again=again)
        return task.do()


@dataclass(kw_only=True)
class _Copy:
    """A local copy of an object, made when it is needed."""

    url: Url
    path: Path
    state: State | None = None
    seconds: float = 0.0

    def whole(self) -> Path:
        """Path of the copy."""
        if self.state is None:
            began = time.perf_counter()
            self.state = fetch(self.url, self.path)
            self.seconds = time.perf_counter() - began
        return self.path

    def tried_on_ends(self, look: Callable[[], _T]) -> _T:
        """Result of a look at the copy: first with the ends only, which mostly hold the header."""
        if self.state is None:
            is_whole = fetch_ends(self.url, self.path, _HEAD_BYTES, _TAIL_BYTES)
            try:
                return look()
            except InputError:
                if is_whole:
                    raise
            self.whole()
        return look()


@dataclass(frozen=True, kw_only=True)
class _Relay(Talk):
    """Talk about files here that stand for others elsewhere; results wait until they are there."""

    to: Talk
    addresses: dict[str, str]
    results: list[str] = field(default_factory=list)

    def translated(self, value: Any) -> Any:
        """Text, or what holds texts, with addresses in place of paths."""
        if isinstance(value, str):
            # The longest first: one path may be the beginning of another.
            for path in sorted(self.addresses, key=lambda path: (-len(path), path)):
                value = value.replace(path, self.addresses[path])
        elif isinstance(value, dict):
            return {key: self.translated(one) for key, one in value.items()}
        elif isinstance(value, list):
            return [self.translated(one) for one in value]
        return value

    def result(self, text: str) -> None:
        """Keep a result."""
        self.results.append(self.translated(text))

    def aside(self, text: str) -> None:
        """Pass on what is no result."""
        self.to.aside(self.translated(text))

    @contextmanager
    def progress(self, title: str) -> Iterator[Progress]:
        """Show progress where all of it is shown."""
        with self.to.progress(title) as update:
            yield update

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Pass on errors."""
        try:
            yield
        except AudiosepError as error:
            words = self.translated(str(error))
            if words == str(error):
                raise
            raise type(error)(words) from error

    def tell_results(self) -> None:
        """Print the results that were kept."""
        for text in self.results:
            self.to.result(text)


@dataclass(frozen=True, kw_only=True)
class _RemoteTask:
    worker: Worker
    job: RemoteJob
    options: SplitOptions
    folder: Path
    again: bool = False
    copies: list[_Copy] = field(default_factory=list)

    def do(self) -> Outcome:
        worker, job = self.worker, self.job
        if isinstance(job.source, Url):
            # In a folder of its own: it may be called as that of the stems is.
            copies = self.folder / "in"
            copies.mkdir()
            self.copies.append(_Copy(url=job.source, path=copies / _name_of(job.source)))
        # What is there already is settled here.
        options = replace(self.options, exists="overwrite", report=False)
        separator = worker.separator_of(options)
        place = place_of(job, self.options.exists)
        fresh = self.options.exists != "overwrite"
        if self.options.exists in RESUMING:
            found = resume(job, options, separator, self._recording())
            for words in () if self.again else found.passed:
                worker.talk.say(f"{display(job.source)}: {words}")
            if found.done is not None:
                if found.shelf is not None and not options.dry_run:
                    found.shelf.tidy()
                return worker.skipped(job, found.place, self._told(found.place, found.done))
            place, fresh = found.place, found.shelf is None and self.options.exists == "skip"
        with nullcontext() if place == job.folder else worker.alone(place):
            return self._made(place, options, fresh=fresh)

    def _recording(self) -> str | None:
        """SHA-256 of a remote recording: from a record, if that tells it, or of a copy."""
        if not isinstance(self.job.source, Url):
            return None
        (copy,) = self.copies
        digest = known_recording(self.job, state_of(copy.url))
        if digest is not None:
            return digest
        if self.options.dry_run and not shelf_at(self.job.folder).exists():
            return ""
        return sha256_of(copy.whole())

    def _made(self, place: Place, options: SplitOptions, *, fresh: bool) -> Outcome:
        stems = self.folder / "stems" if isinstance(place, Url) else place
        source = self.job.source if isinstance(self.job.source, Path) else self.copies[0].path
        relay = self._relay(source, stems, place)
        inner = replace(self.worker, talk=relay, out=None)
        job = Job(source=source, folder=stems)
        with relay.heard():
            if options.dry_run and self.copies:
                outcome = self.copies[0].tried_on_ends(lambda: inner.do(job, options))
            else:
                for copy in self.copies:
                    copy.whole()
                outcome = inner.do(job, options)
                if not options.dry_run:
                    report = self._finish(stems, place, fresh=fresh)
                    outcome.entry["files"] |= report
                    if not relay.json_lines:
                        for path in report.values():
                            relay.result(path)
        relay.tell_results()
        return replace(outcome, entry=relay.translated(outcome.entry), place=place)

    def _relay(self, source: Path, stems: Path, place: Place) -> _Relay:
        talk = self.worker.talk
        pairs = [(source, self.job.source), (stems, place)]
        addresses = {
            text: display(there)
            for here, there in pairs
            if isinstance(there, Url)
            for text in (str(here), display(here))
        }
        return _Relay(
            quiet=talk.quiet,
            verbose=talk.verbose,
            debug=talk.debug,
            json_lines=talk.json_lines,
            bars=talk.bars,
            to=talk,
            addresses=addresses,
        )

    def _told(self, place: Place, done: dict[str, Any]) -> dict[str, Any]:
        """What was done before, with a report where one is wanted and can be."""
        if not self.options.report or self.options.dry_run:
            return done
        if isinstance(place, Url):
            self.worker.talk.say(
                f"{display(place)}: a report is made together with the stems; copy the folder here "
                "and use 'audiosep report', or --exists overwrite"
            )
            return done
        return with_report(place, done, wanted=True, n_threads=self.options.n_threads)

    def _finish(self, stems: Path, place: Place, *, fresh: bool) -> dict[str, str]:
        """Say in the record where the recording is, and put everything where it belongs.

        Returns the report, where there is one, as ``files`` of an entry.
        """
        record = read_record(stems)
        if record is None:
            raise OutputError(f"cannot read {display(stems / RECORD_NAME)} again.")
        for copy in self.copies:
            if copy.state is not None:
                record["input"] |= {
                    "path": str(copy.url),
                    "size": copy.state.size,
                    "etag": copy.state.etag,
                }
            record["timings_s"]["fetch"] = round(copy.seconds, 3)
        if isinstance(place, Url):
            write_record(stems, record)
            files = self._report(stems)
            began = time.perf_counter()
            _put_all(stems, place, record, fresh=fresh)
            for name in files:
                put(stems / name, place / name)
            if not files:
                self._remove_report(stems, place)
            seconds = time.perf_counter() - began
            self.worker.talk.detail(f"  put into {display(place)}: {seconds:.2f} s")
            return files
        if self.copies:
            replace_record(stems, record)
        return self._report(stems)

    def _remove_report(self, stems: Path, place: Url) -> None:
        """Remove a report that tells of other stems than those that are there now."""
        from audiosep.report.marks import REPORT_NAME, is_current, is_report

        if REPORT_NAME not in Remote(place).held.files:
            return
        copy = self.folder / REPORT_NAME
        fetch_ends(place / REPORT_NAME, copy, _HEAD_BYTES, _TAIL_BYTES)
        if is_report(copy) and not is_current(copy, stems):
            remove(place / REPORT_NAME)

    def _report(self, stems: Path) -> dict[str, str]:
        """Write a report that tells of the recording by its address."""
        wanted, n_threads = self.options.report, self.options.n_threads
        result = with_report(stems, {"files": {}}, wanted=wanted, n_threads=n_threads)
        files: dict[str, str] = result["files"]
        return files


def _put_all(stems: Path, place: Url, record: dict[str, Any], *, fresh: bool) -> None:
    """Put a run: first a word that it is not all there yet, last the record."""
    entries = {entry["file"]: entry for entry in record["stems"].values()} | record["files"]
    shelf = Remote(place)
    before = shelf.record()
    if fresh and before is not None:
        # What a dying run has sent may arrive after its death; the same work gives the same bytes.
        if _digests_of(before) == _digests_of(record) and all(
            shelf.condition(file) == "same" for file in recorded_files(before)
        ):
            return
        raise RefusedError(
            f"{display(place)} has appeared while the stems were made, by another run perhaps; run "
            "the same command again."
        )
    unfinished = place / UNFINISHED_NAME
    put_text(json.dumps({"files": sorted(entries)}) + "\n", unfinished)
    if RECORD_NAME in shelf.held.files:
        remove(place / RECORD_NAME)
    for file in recorded_files(before):
        if file.name not in entries:
            remove(place / file.name)
    for name, entry in entries.items():
        state = put(stems / name, place / name)
        entry |= {"size": state.size, "etag": state.etag}
    put_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", place / RECORD_NAME)
    remove(unfinished)


def _digests_of(record: dict[str, Any]) -> dict[str, str]:
    """SHA-256 of each file of a run."""
    return {file.name: file.sha256 for file in recorded_files(record)}


def _name_of(url: Url) -> str:
    """Name of a copy: the object's, where files may be called so."""
    name = url.name.replace("\0", "")
    if name in ("", ".", "..") or len(name) > _LONGEST_NAME or "/" in name:
        return f"recording{url.suffix[:_LONGEST_NAME]}"
    return name
