"""``report.html``: written beside the stems, in one step, after everything else."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import numpy.typing as npt

from audiosep.errors import OutputError, RefusedError
from audiosep.io.compressed import listening_bitrates, listening_rate, mp3_of
from audiosep.io.naming import display
from audiosep.io.single_file import replace_file
from audiosep.report.components import Components, components_of
from audiosep.report.finished import Finished, open_finished
from audiosep.report.marks import REPORT_NAME, is_report
from audiosep.report.page import page_of
from audiosep.report.pictures import LOWEST_HZ, Picture, draw
from audiosep.threads import resolve_threads

__all__ = ["Report", "write_report"]

_LONGEST_EMBEDDED_S = 600.0
_SOUND_BYTES = 16_000_000
"""What all sounds in a page may take; as base64 it is a third more."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """A page that was written.

    Parameters
    ----------
    path : Path
        Where.
    n_bytes : int
        How large it is.
    linked : bool
        Whether it plays the stems beside it instead of sound of its own.
    """

    path: Path
    n_bytes: int
    linked: bool


def write_report(
    folder: str | os.PathLike[str],
    path: str | os.PathLike[str] | None = None,
    *,
    n_threads: int | None = None,
) -> Report:
    """Write a page to listen to a finished separation, which opens from disk without a network.

    The stems are in it as MP3, as far as they are no longer than ten minutes; the page of a longer
    recording plays the stems themselves, which must stay where they are.

    Parameters
    ----------
    folder : path-like
        Stems with their ``audiosep.json``.
    path : path-like, optional
        The page; by default ``report.html`` in `folder`. An earlier report is replaced, and nothing
        else.
    n_threads : int, optional
        By default all processors; the page does not depend on it.

    Returns
    -------
    Report

    Raises
    ------
    InputError
        If the folder holds no separation that this version understands, or a stem is missing,
        changed or no sound.
    RefusedError
        If something else than a report is where it would go.
    OutputError
        If the page cannot be written.

    Examples
    --------
    >>> write_report("no/such/folder")
    Traceback (most recent call last):
        ...
    audiosep.errors.InputError: no/such/folder holds no finished separation: it has no \
audiosep.json that can be read; name a folder that 'audiosep split' made.
    """
    place = Path(os.fspath(folder))
    target = place / REPORT_NAME if path is None else Path(os.fspath(path))
    finished = open_finished(place)
    _check_target(target)
    kbps = _bitrate(finished)
    remarks = []
    if finished.n_channels > 2:
        remarks.append(
            f"For listening in this page, the {finished.n_channels} channels are folded into one; "
            "the stems have them all."
            if kbps is not None
            else f"How {finished.n_channels} channels are heard is up to the browser."
        )
    components = components_of(place)
    with finished.tapes(kept_s=1.0) as tapes:
        pictures, total = draw(tapes)
    level = min(1.0, 1.0 / max(finished.peak, 1e-9))
    if kbps is None:
        sounds: list[bytes] = []
        remarks.append(
            "This recording is too long to be put into the page: it plays the stems beside it, so "
            "keep them together. They are held in step to within some hundredths of a second, not "
            "to the sample."
        )
    else:
        sounds = _encode(finished, kbps, level, resolve_threads(n_threads))
    data: dict[str, Any] = {
        "duration": finished.duration,
        "linked": kbps is None,
        "soundRate": listening_rate(finished.sr),
        "soundLevel": 1.0 / level,
        "columns": len(total.highest),
        "lowestHz": min(LOWEST_HZ, finished.sr / 4),
        "highestHz": finished.sr / 2,
        "tracks": list(_tracks(finished, target, pictures, total, linked=kbps is None)),
        "components": list(_components(components)),
    }
    content = page_of(finished, data, sounds, components, remarks).encode()
    replace_file(target, content)
    return Report(path=target, n_bytes=len(content), linked=kbps is None)


def _check_target(target: Path) -> None:
    """Refuse a place that cannot be before any work is done."""
    if os.path.lexists(target) and not is_report(target):
        raise RefusedError(
            f"{display(target)} exists and is no report; remove it or choose another place with -o."
        )
    if not target.parent.is_dir():
        raise OutputError(f"{display(target.parent)} is no folder; make it or choose another -o.")


def _bitrate(finished: Finished) -> int | None:
    """Bit rate with which all stems fit into a page; None where there is none."""
    if finished.duration > _LONGEST_EMBEDDED_S:
        return None
    seconds = max(1.0, finished.duration) * len(finished.stems)
    rates = listening_bitrates(finished.sr, finished.n_channels)
    fitting = [rate for rate in rates if 125 * rate * seconds <= _SOUND_BYTES]
    return fitting[-1] if fitting else None


def _encode(finished: Finished, kbps: int, level: float, n_threads: int) -> list[bytes]:
    with (
        finished.tapes() as tapes,
        ThreadPoolExecutor(max(1, min(n_threads, len(tapes)))) as pool,
    ):
        return list(pool.map(lambda tape: mp3_of(tape, kbps, gain=level), tapes))


def _tracks(
    finished: Finished, target: Path, pictures: list[Picture], total: Picture, *, linked: bool
) -> Iterator[dict[str, Any]]:
    yield {"mixture": True, "name": "mixture", **_picture(total)}
    for stem, picture in zip(finished.stems, pictures, strict=True):
        entry = {
            "mixture": False,
            "name": display(stem.name),
            "peakDb": stem.peak_db,
            "rmsDb": stem.rms_db,
            **_picture(picture),
        }
        if linked:
            entry["address"] = _address(finished.place / stem.file, target.parent)
        yield entry


def _address(file: Path, home: Path) -> str:
    """Where a file is, seen from a folder, as a page writes it."""
    try:
        relative = Path(os.path.relpath(os.path.abspath(file), os.path.abspath(home)))  # noqa: PTH100
    except ValueError:  # another drive
        return file.absolute().as_uri()
    # A first part with a colon would be taken for a scheme.
    return "./" + quote(os.fsencode(relative.as_posix()))


def _picture(picture: Picture) -> dict[str, str]:
    return {name: _base64(values) for name, values in vars(picture).items()}


def _components(components: Components) -> Iterator[dict[str, Any]]:
    for picture in components.pictures:
        facts = asdict(picture.facts)
        pitch = "" if facts["pitch_hz"] is None else f", pitch {facts['pitch_hz']:.0f} Hz"
        yield {
            "number": facts["number"],
            "stem": display(facts["stem"]),
            "words": (
                f"{100 * facts['share']:.1f}% of the sound, centre {facts['centroid_hz']:.0f} Hz"
                f"{pitch}, from {facts['first_s']:.1f} to {facts['last_s']:.1f} s"
            ),
            "template": _base64(picture.template),
            "activation": _base64(picture.activation),
        }


def _base64(values: npt.NDArray[np.uint8]) -> str:
    return base64.b64encode(values.tobytes()).decode("ascii")
