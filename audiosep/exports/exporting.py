"""A folder of stems, written for other programs: all files at once, or none."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from audiosep.errors import InputError, OutputError, ParameterError, RefusedError, UsageError
from audiosep.exports.contents import MELODY, Contents, plain
from audiosep.exports.jams_file import check_jams, write_jams
from audiosep.exports.reaper import reaper_project
from audiosep.exports.stem_folder import StemFolder, open_stems
from audiosep.exports.texts import label_track, label_tracks, raven_table, table
from audiosep.io.evidence import COWBELL, DRUM_NOTES, HIT_S, TICKS_PER_S, write_text
from audiosep.io.midi_tracks import MidiTrack, write_midi_tracks
from audiosep.io.multitrack import write_multitrack
from audiosep.io.naming import display, track_name
from audiosep.io.placing import beside, move_run, why
from audiosep.io.tables import write_table
from audiosep.research.component_facts import component_names

__all__ = ["EXISTS", "EXPORT_FORMATS", "THRESHOLD_DB", "Exported", "export"]

THRESHOLD_DB = -30.0
"""How far below its loudest a stem still sounds, by default."""

EXISTS = ("fail", "overwrite")

_OF_EVENTS = ("labels", "midi", "csv", "jams")

_MOST_CHANNELS = 1024
_LEAST_THRESHOLD_DB = -120.0


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What was written.

    Parameters
    ----------
    paths : dict of str to tuple of Path
        Files of each format.
    notes : tuple of str
        What a file lacks because the folder does, in sentences.
    warnings : tuple of str
        Which stems are not as they were written, in sentences.
    """

    paths: dict[str, tuple[Path, ...]]
    notes: tuple[str, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """Files of one format: where they go by their names, and how they are made.

    ``write`` is given a folder and writes the files of these names into it.
    """

    names: tuple[str, ...]
    write: Callable[[Path], None]


@dataclass(frozen=True, kw_only=True)
class _Job:
    """What is exported, what files are named after, the one file that was named, and where to."""

    contents: Contents
    name: str
    file: str | None
    target: Path


def export(
    folder: str | os.PathLike[str],
    to: str | Sequence[str],
    out: str | os.PathLike[str] | None = None,
    *,
    exists: str = "fail",
    threshold_db: float = THRESHOLD_DB,
) -> Exported:
    """Write a folder of stems for other programs.

    Parameters
    ----------
    folder : path-like
        With an ``audiosep.json``, as ``audiosep split`` makes it.
    to : str or sequence of str
        ``"labels"`` (Audacity), ``"raven"``, ``"midi"``, ``"csv"``, ``"jams"``, ``"multitrack"``
        (all stems in one WAV file) or ``"reaper"``.
    out : path-like, optional
        A folder, made where it does not exist; or, with one format, a file with the ending of that
        format. By default `folder`. What goes to folders is named after `folder`.
    exists : {"fail", "overwrite"}
        What to do where such a file already is.
    threshold_db : float
        A stem sounds where it is at most so far below its loudest, -120 to less than 0 dB.

    Returns
    -------
    Exported

    Raises
    ------
    InputError, DictionaryError
        If the folder cannot be used, or holds nothing that a format could hold.
    UsageError
        If a format does not exist or needs a package that is not installed, or `out` does not fit.
    RefusedError
        If a file is there already, or is one of the folder's own.
    OutputError
        If something cannot be written. Nothing is left then but what was there before.
    """
    formats = _formats((to,) if isinstance(to, str) else to)
    if exists not in EXISTS:
        raise UsageError(f"exists {exists!r} is unknown; use {' or '.join(EXISTS)}.")
    if not _LEAST_THRESHOLD_DB <= threshold_db < 0.0:
        raise ParameterError(
            f"threshold_db={threshold_db:g} must be from {_LEAST_THRESHOLD_DB:g} to less than 0."
        )
    opened = open_stems(folder)
    place, file = _place(opened, formats, None if out is None else Path(os.fspath(out)))
    target = _real(place)
    home = Path(os.path.abspath(opened.place))  # noqa: PTH100 - links keep their names
    name = file.stem if file is not None else track_name(Path(f"{home.name}.x"))
    job = _Job(
        contents=Contents(opened, threshold_db),
        name=name,
        file=None if file is None else file.name,
        target=target,
    )
    plans = {one: _PLANNERS[one](job) for one in formats}
    names = [entry for plan in plans.values() for entry in plan.names]
    _check_places(opened, target, names, overwrite=exists == "overwrite")
    # Beside a folder that is there may be no room for anything.
    with beside(target / "new" if target.is_dir() else target) as new:
        for plan in plans.values():
            plan.write(new)
        _check_places(opened, target, names, overwrite=exists == "overwrite")
        move_run(new, target, names, [])
    return Exported(
        paths={one: tuple(place / entry for entry in plan.names) for one, plan in plans.items()},
        notes=_lacks(opened, formats),
        warnings=tuple(
            f"{display(entry)} is damaged or was edited since it was written, and was taken as it "
            "is; 'audiosep verify' tells more."
            for entry in opened.changed
        ),
    )


def _formats(wanted: Sequence[str]) -> tuple[str, ...]:
    for name in wanted:
        if name not in _PLANNERS:
            raise UsageError(
                f"the format {display(str(name))!r} is unknown; there are {', '.join(_PLANNERS)}."
            )
    if not wanted:
        raise UsageError(f"name a format to write; there are {', '.join(_PLANNERS)}.")
    return tuple(dict.fromkeys(wanted))


# --- where to -----------------------------------------------------------------------------------


def _place(
    folder: StemFolder, formats: Sequence[str], out: Path | None
) -> tuple[Path, Path | None]:
    """The folder that files go to, and the one file that was named, if any."""
    if out is None:
        return folder.place, None
    ending = out.suffix.lower()
    if out.is_dir() or ending not in EXPORT_FORMATS.values():
        return out, None
    if len(formats) > 1:
        raise UsageError(
            f"{display(out)} is one file, and {len(formats)} formats are wanted; name a folder."
        )
    if ending != EXPORT_FORMATS[formats[0]]:
        raise UsageError(
            f"{display(out)} must end with {EXPORT_FORMATS[formats[0]]} for the format "
            f"{formats[0]}, or be a folder."
        )
    return out.parent, out


def _real(place: Path) -> Path:
    """What a link points to: moves must stay on one file system."""
    try:
        return Path(os.path.realpath(place))
    except ValueError as error:
        raise OutputError(f"cannot write to {display(place)}: {why(error)}.") from None


def _check_places(
    folder: StemFolder, target: Path, names: Sequence[str], *, overwrite: bool
) -> None:
    """Refuse to replace what is there, and always what stems are made of or vouched for by."""
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise UsageError(
            f"two formats would write {display(sorted(twice)[0])}; export them into two folders."
        )
    for name in names:
        path = target / name
        if os.path.realpath(path) in folder.kept:
            raise RefusedError(
                f"{display(path)} belongs to the stems; choose another place with --out."
            )
        if not os.path.lexists(path):
            continue
        if not overwrite or path.is_dir():
            raise RefusedError(
                f"{display(path)} exists already; use --exists overwrite or another --out."
            )


# --- formats ------------------------------------------------------------------------------------


def _labels(job: _Job) -> _Plan:
    tracks = label_tracks(job.contents.folder)
    # In one file they are one track; else each has its own.
    entries: dict[str, tuple[str, ...]] = {f"{job.name}-{track}.txt": (track,) for track in tracks}
    if job.file is not None:
        entries = {job.file: tracks}

    def write(folder: Path) -> None:
        for entry, kept in entries.items():
            write_text(folder / entry, "".join(label_track(job.contents, one) for one in kept))

    return _Plan(names=tuple(entries), write=write)


def _raven(job: _Job) -> _Plan:
    entry = job.file or f"{job.name}.selections.txt"

    def write(folder: Path) -> None:
        stretches = (*job.contents.stems, *job.contents.components)
        write_text(folder / entry, raven_table(stretches))

    return _Plan(names=(entry,), write=write)


def _csv(job: _Job) -> _Plan:
    entry, more = job.file or f"{job.name}-events.csv", f"{job.name}-activations.csv"
    stored = job.contents.folder.stored

    def write(folder: Path) -> None:
        write_text(folder / entry, table(job.contents))
        if stored is not None:
            write_table(
                folder / more,
                "time_s",
                np.arange(stored.n_frames) * stored.frame_s,
                component_names(stored.n_components),
                stored.activations.T,
            )

    names = (entry,) if stored is None else (entry, more)
    return _Plan(names=names, write=write)


def _midi(job: _Job) -> _Plan:
    folder = job.contents.folder
    if folder.onsets is None and folder.melody is None and folder.stored is None:
        raise InputError(
            f"{display(folder.place)} holds no onsets, no melody and no components, so there is "
            "nothing to write as MIDI; the presets drums, vocals and components find some."
        )
    entry = job.file or f"{job.name}.mid"
    return _Plan(
        names=(entry,),
        write=lambda new: write_midi_tracks(new / entry, _midi_tracks(job.contents)),
    )


def _midi_tracks(contents: Contents) -> list[MidiTrack]:
    # Whole ticks, so that rounding puts nothing behind the end.
    last_s = math.floor(contents.folder.duration_s * TICKS_PER_S) / TICKS_PER_S
    tick_s = 1.0 / TICKS_PER_S
    tracks = []
    if contents.folder.onsets is not None:
        hits = [
            (
                min(hit.time_s, last_s - tick_s),
                min(hit.time_s + HIT_S, last_s),
                DRUM_NOTES.get(hit.label, COWBELL),
                hit.strength,
            )
            for hit in contents.onsets
        ]
        tracks.append(MidiTrack(name="drums", events=hits, percussive=True))
    parts = dict.fromkeys(note.part for note in contents.notes)
    if contents.folder.melody is not None:
        parts = {MELODY: None} | parts
    for part in parts:
        notes = [
            (min(n.start_s, last_s - tick_s), min(n.end_s, last_s), n.pitch, n.strength)
            for n in contents.notes
            if n.part == part
        ]
        tracks.append(MidiTrack(name=plain(part), events=notes))
    return tracks


def _jams(job: _Job) -> _Plan:
    check_jams()
    entry = job.file or f"{job.name}.jams"
    return _Plan(
        names=(entry,),
        write=lambda folder: write_jams(folder / entry, job.contents, job.name),
    )


def _multitrack(job: _Job) -> _Plan:
    stems = job.contents.folder
    _need_stems(stems, "multitrack")
    if len(stems.stems) * stems.n_channels > _MOST_CHANNELS:
        raise InputError(
            f"{len(stems.stems)} stems of {stems.n_channels} channels are more than the "
            f"{_MOST_CHANNELS} that one file can hold; use the format reaper."
        )
    sound = job.file or f"{job.name}-multitrack.wav"
    names = f"{sound.rpartition('.')[0]}.txt"

    def write(folder: Path) -> None:
        write_multitrack(
            folder / sound,
            list(stems.stems.values()),
            bits=stems.bits,
            sr=stems.sr,
            n_channels=stems.n_channels,
            n_samples=stems.n_samples,
        )
        write_text(folder / names, _channel_names(stems))

    return _Plan(names=(sound, names), write=write)


def _channel_names(stems: StemFolder) -> str:
    """``channel<TAB>stem<TAB>channel of the stem`` in each line."""
    lines = ["channel\tstem\tchannel of the stem"]
    for name in stems.stems:
        for own in range(1, stems.n_channels + 1):
            lines.append(f"{len(lines)}\t{plain(name)}\t{own}")
    return "\n".join(lines) + "\n"


def _reaper(job: _Job) -> _Plan:
    _need_stems(job.contents.folder, "reaper")
    entry = job.file or f"{job.name}.rpp"
    # Made now: what cannot be named is refused before anything is written.
    text = reaper_project(job.contents, job.target)
    return _Plan(names=(entry,), write=lambda folder: write_text(folder / entry, text))


def _need_stems(folder: StemFolder, name: str) -> None:
    if not folder.stems:
        raise InputError(
            f"{display(folder.place)} keeps no sounds, and the format {name} is made of them; run "
            "'audiosep atoms' with --sounds wav."
        )


def _lacks(folder: StemFolder, formats: Sequence[str]) -> tuple[str, ...]:
    """What files do not hold because the folder does not, in a sentence."""
    there = {
        "onsets": folder.onsets is not None,
        "melody": folder.melody is not None,
        "components": folder.stored is not None,
    }
    missing = [f"no {key}" for key, is_there in there.items() if not is_there]
    touched = [name for name in formats if name in _OF_EVENTS]
    if not (missing and touched):
        return ()
    return (f"the folder holds {' and '.join(missing)}, so {', '.join(touched)} hold none.",)


_PLANNERS: Mapping[str, Callable[[_Job], _Plan]] = {
    "labels": _labels,
    "raven": _raven,
    "midi": _midi,
    "csv": _csv,
    "jams": _jams,
    "multitrack": _multitrack,
    "reaper": _reaper,
}

EXPORT_FORMATS: Mapping[str, str] = {
    "labels": ".txt",
    "raven": ".txt",
    "midi": ".mid",
    "csv": ".csv",
    "jams": ".jams",
    "multitrack": ".wav",
    "reaper": ".rpp",
}
"""Formats, and the ending of a file of each."""
