"""What is done for the studio in a process of its own; only paths and plain values come and go."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from audiosep.errors import AudiosepError, RefusedError
from audiosep.io.naming import display
from audiosep.types import Progress

__all__ = ["JOBS", "warm_up"]


def warm_up() -> None:
    """Load what will be needed, so that the first job need not wait for it."""
    import audiosep.report.pictures
    import audiosep.research.regrouping
    import audiosep.separator  # noqa: F401


def _split(
    source: str,
    place: str,
    preset: str,
    n_sources: int | None,
    n_threads: int | None,
    progress: Progress,
) -> None:
    from audiosep.separator import Separator

    separator = Separator(preset=preset, n_sources=n_sources, n_threads=n_threads)
    separator.split(Path(source), Path(place), fresh=True, progress=progress)


def _regroup(
    folder: str,
    place: str,
    merge: Any,
    move: Any,
    rename: Any,
    share: bool,
    n_threads: int | None,
    progress: Progress,
) -> None:
    from audiosep.research.regrouping import regroup

    progress("write", 0.0)
    regroup(folder, merge=merge, move=move, rename=rename, out=place, n_threads=n_threads)
    if share:
        _share_files(Path(folder), Path(place))


def _share_files(old: Path, new: Path) -> None:
    """Keep stems that did not change only once: a session has many steps."""
    from audiosep.records import read_record

    before, after = read_record(old) or {}, read_record(new) or {}
    known = {one["sha256"]: one["file"] for one in before.get("stems", {}).values()}
    for stem in after.get("stems", {}).values():
        if (file := known.get(stem["sha256"])) is not None:
            partial = new / f".{stem['file']}"
            with suppress(OSError):  # a file system without links: twice, then
                os.link(old / file, partial)
                os.replace(partial, new / stem["file"])


def _paint(
    folder: str,
    place: str,
    regions: Any,
    seed: int,
    n_threads: int | None,
    progress: Progress,
) -> tuple[float, ...]:
    from audiosep.research.painting import paint

    painted = paint(folder, regions, out=place, seed=seed, n_threads=n_threads, progress=progress)
    return tuple(float(share) for share in painted.honoured)


def _draw(folder: str, n_threads: int | None, progress: Progress) -> dict[str, Any]:
    """Spectrograms of the stems of a folder, and of their sum."""
    from audiosep.report.finished import open_finished
    from audiosep.report.pictures import LOWEST_HZ, draw

    del n_threads
    progress("draw", 0.0)
    finished = open_finished(Path(folder))
    with finished.tapes(kept_s=1.0) as tapes:
        pictures, total = draw(tapes)
    return {
        "columns": len(total.highest),
        "lowestHz": min(LOWEST_HZ, finished.sr / 4),
        "highestHz": finished.sr / 2,
        "mixture": total.spectrogram.tobytes(),
        "stems": [picture.spectrogram.tobytes() for picture in pictures],
    }


def _save(
    steps: list[dict[str, Any]],
    place: str,
    input_name: str | None,
    replace: bool,
    n_threads: int | None,
    progress: Progress,
) -> tuple[int, str]:
    """Save the stems of the last step; how many files, and why there is no project."""
    from audiosep.projects import save_project
    from audiosep.report.finished import open_finished
    from audiosep.studio.results import project_from
    from audiosep.studio.saving import save_step

    del n_threads
    progress("write", 0.0)
    finished = open_finished(Path(steps[-1]["folder"]))
    record = finished.record
    if input_name is not None:  # not where it lay in a temporary folder
        record = {**record, "input": {**record["input"], "path": input_name}}
    record = _of_the_recording(record)
    problem = ""
    write_project = None
    try:
        project = project_from(steps, input_name)
        write_project = partial(save_project, project)
    except AudiosepError as error:
        problem = str(error)
    names = save_step(
        finished, Path(place), record=record, write_project=write_project, replace=replace
    )
    return len(names), problem


def _of_the_recording(record: dict[str, Any]) -> dict[str, Any]:
    """Record that says what steps in temporary folders were made of: in the end, the recording."""
    from audiosep.io.scratch import is_in_scratch

    settings = dict(record["settings"])
    for name in ("regrouped", "painted"):
        step = settings.get(name)
        if isinstance(step, dict) and is_in_scratch(Path(str(step.get("from")))):
            settings[name] = {**step, "from": record["input"].get("path")}
    return {**record, "settings": settings}


def _learn(folder: str, stem: str, file: str, n_threads: int | None, progress: Progress) -> str:
    """Dictionary of a stem, into a file that is not there yet."""
    from audiosep.dictionary_files import save_dictionary
    from audiosep.io.reading import read
    from audiosep.learning import learn
    from audiosep.report.finished import open_finished

    finished = open_finished(Path(folder))
    path = next(finished.place / one.file for one in finished.stems if one.name == stem)
    found = learn(
        [read(path)],
        label=stem,
        provenance=f"the stem {stem} of a separation by audiosep",
        n_threads=n_threads,
        progress=progress,
    )
    if os.path.lexists(file):  # by another job that was waiting, perhaps
        raise RefusedError(f"{display(file)} is there already; type another name.")
    save_dictionary(found, Path(file))
    return file


JOBS: dict[str, Callable[..., Any]] = {
    "split": _split,
    "regroup": _regroup,
    "paint": _paint,
    "draw": _draw,
    "save": _save,
    "learn": _learn,
}
