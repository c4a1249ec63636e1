"""``audiosep atoms``: a recording taken apart into single components, in files of all kinds."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from audiosep._version import __version__
from audiosep.cli.single import check_folder, folder_for, said_in_json
from audiosep.cli.talk import Talk
from audiosep.cli.wording import counted
from audiosep.errors import ExitCode, OutputError, ParameterError, RefusedError, UsageError
from audiosep.io.naming import display, track_name

__all__ = ["AUTO", "SOUNDS", "AtomsOptions", "atoms_of"]

AUTO = "auto"
SOUNDS = ("wav", "none")
EXISTS = ("skip", "overwrite", "rename", "fail")


@dataclass(frozen=True, kw_only=True)
class AtomsOptions:
    """Options of ``audiosep atoms``, as typed."""

    out: Path
    n_components: str
    beta: str
    max_iter: int
    sounds: str
    start: float
    duration: float | None
    seed: int
    n_threads: int | None
    exists: str


def atoms_of(source: Path, options: AtomsOptions, talk: Talk) -> ExitCode:
    """Write the components of a recording: templates, activations, sounds, and the record.

    Parameters
    ----------
    source : Path
        The recording.
    options : AtomsOptions
        What to do.
    talk : Talk
        How to say it.

    Returns
    -------
    ExitCode
        DONE.

    Raises
    ------
    AudiosepError
        As :func:`audiosep.research.atoms.find_atoms`, and as saving its result.
    """
    with said_in_json(source, talk):
        return _atoms_of(source, options, talk)


def _atoms_of(source: Path, options: AtomsOptions, talk: Talk) -> ExitCode:
    if options.sounds not in SOUNDS:
        raise UsageError(f"--sounds {options.sounds!r} is unknown; use {' or '.join(SOUNDS)}.")
    if options.exists not in EXISTS:
        raise UsageError(f"--exists {options.exists!r} is unknown; use {', '.join(EXISTS)}.")
    n_components = _number(options.n_components)
    from audiosep.cli.one import say_if_compiling
    from audiosep.research.atoms import find_atoms

    check_folder(options.out)
    place, replace = _place(source, options), options.exists == "overwrite"
    if options.exists == "skip":
        place, done = _resume(source, options, talk)
        if done is not None:
            return _already_done(source, place, done, talk)
        replace = os.path.lexists(place)
    began = time.perf_counter()
    say_if_compiling(talk)
    with talk.progress(display(source.name)) as progress:
        atoms = find_atoms(
            source,
            n_components=n_components,
            beta=options.beta,
            max_iter=options.max_iter,
            seed=options.seed,
            n_threads=options.n_threads,
            start=options.start,
            duration=options.duration,
            progress=progress,
        )
        saved = atoms.save(
            place,
            sounds=options.sounds == "wav",
            overwrite=replace,
            n_threads=options.n_threads,
            progress=progress,
        )
    for warning in saved.record["warnings"]:
        talk.say(f"audiosep: warning: {display(source)}: {warning}")
    for note in saved.record["notes"]:
        talk.detail(f"  {note}")
    tables = {name: str(path) for name, path in saved.tables.items()}
    sounds = {name: str(path) for name, path in saved.sounds.items()}
    if talk.json_lines:
        talk.json(
            {
                "input": str(source),
                "status": "done",
                "place": str(saved.place),
                "n_components": atoms.n_components,
                "files": tables,
                "stems": sounds,
                "null_test_db": saved.record["null_test_db"],
                "seconds": round(time.perf_counter() - began, 3),
                "warnings": saved.record["warnings"],
                "error": None,
            }
        )
    else:
        for path in (*tables.values(), *sounds.values()):
            talk.result(display(path))
    talk.say(
        f"{display(source)}: {atoms.mixture.duration:.1f} s -> "
        f"{counted(atoms.n_components, 'component')} in "
        f"{time.perf_counter() - began:.1f} s; 'audiosep regroup {display(saved.place)}' lists them"
    )
    return ExitCode.DONE


def _number(text: str) -> int | None:
    if text == AUTO:
        return None
    try:
        return int(text)
    except ValueError:
        raise ParameterError(f"--components {text!r} must be a whole number or {AUTO}.") from None


# --- what is there already ----------------------------------------------------------------------


def _place(source: Path, options: AtomsOptions) -> Path:
    """Folder to write to, by --exists."""
    place = options.out / track_name(source)
    if options.exists == "rename":
        return folder_for(source, options.out)
    if options.exists == "fail" and os.path.lexists(place):
        raise RefusedError(f"{display(place)} already exists; use --exists overwrite or rename.")
    if os.path.lexists(place) and not place.is_dir():
        raise OutputError(f"{display(place)} is no folder; choose another place with --out.")
    if options.exists == "overwrite" and place.is_dir() and place.samefile(source.parent):
        raise RefusedError(
            f"{display(source)} is in the folder that its components would go to; choose another "
            "place with --out."
        )
    return place


def _resume(source: Path, options: AtomsOptions, talk: Talk) -> tuple[Path, dict[str, Any] | None]:
    """Find the components of a finished run of the same job, or a folder for a new one."""
    from audiosep.records import read_record

    wanted: dict[str, Any] | None = None
    for number in count(1):
        name = track_name(source)
        place = options.out / (name if number == 1 else f"{name}-{number}")
        if not os.path.lexists(place):
            return place, None
        record = read_record(place)
        wanted = _wanted(source, options) if wanted is None else wanted
        traits = _traits(record)
        if traits is None:
            talk.say(f"{display(source)}: {display(place)} holds something else")
            continue
        different = [words for words, value in wanted.items() if traits[words] != value]
        if not different:
            return place, _as_written(place, record or {})
        words = " and ".join(different)
        talk.say(f"{display(source)}: {display(place)} holds components made {words}")
    raise AssertionError("numbers do not end")


def _wanted(source: Path, options: AtomsOptions) -> dict[str, Any]:
    from audiosep.io.header import sha256_of
    from audiosep.research.atoms import atoms_settings

    try:
        digest = sha256_of(source) if source.is_file() else None
    except OSError:  # reported when it is opened
        digest = None
    settings = atoms_settings(
        n_components=_number(options.n_components),
        beta=options.beta,
        max_iter=options.max_iter,
        seed=options.seed,
    )
    return {
        "by another version": __version__,
        "with other settings": settings,
        "from another recording": digest,
        "from another part of the recording": (options.start, options.duration),
        "without sounds" if options.sounds == "wav" else "with sounds": options.sounds == "wav",
    }


def _traits(record: dict[str, Any] | None) -> dict[str, Any] | None:
    """What a record tells of a run of this command; None where it is none."""
    from audiosep.research.atoms import METHOD

    try:
        if record is None or record["method"] != METHOD:
            return None
        about, sounds = record["input"], bool(record["stems"])
        return {
            "by another version": record["audiosep"],
            "with other settings": record["settings"],
            "from another recording": about["sha256"],
            "from another part of the recording": (about["start"], about["duration"]),
            "without sounds": sounds,
            "with sounds": sounds,
        }
    except (KeyError, TypeError):
        return None


def _as_written(place: Path, record: dict[str, Any]) -> dict[str, Any] | None:
    """Record of a finished run; None where a file is missing, so that it is made again."""
    from audiosep.records import digest_of

    try:
        files = {stem["file"]: stem["sha256"] for stem in record["stems"].values()}
        files |= {name: entry["sha256"] for name, entry in record["files"].items()}
        there = {name: (place / name).is_file() for name in files}
    except (KeyError, TypeError, AttributeError):
        return None
    if any(Path(name).name != name for name in files):
        return None
    changed = [name for name in files if there[name] and digest_of(place / name) != files[name]]
    if changed:
        raise RefusedError(
            f"{display(place)} holds components of this recording, but {display(changed[0])} is "
            "damaged or edited since; use --exists overwrite to make them again, or --exists "
            "rename to keep them."
        )
    return record if all(there.values()) else None


def _already_done(source: Path, place: Path, record: dict[str, Any], talk: Talk) -> ExitCode:
    sounds = {name: str(place / stem["file"]) for name, stem in record["stems"].items()}
    tables = {name: str(place / name) for name in record["files"]}
    talk.say(f"{display(source)}: already done, in {display(place)}")
    if talk.json_lines:
        talk.json(
            {
                "input": str(source),
                "status": "skipped",
                "place": str(place),
                "files": tables,
                "stems": sounds,
                "error": None,
            }
        )
        return ExitCode.DONE
    for path in (*tables.values(), *sounds.values()):
        talk.result(display(path))
    return ExitCode.DONE
