"""``audiosep atoms``: a recording taken apart into single components, in files of all kinds."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from audiosep.cli.single import check_folder, folder_for, said_in_json
from audiosep.cli.talk import Talk
from audiosep.errors import ExitCode, ParameterError, UsageError
from audiosep.io.naming import display

__all__ = ["AUTO", "SOUNDS", "AtomsOptions", "atoms_of"]

AUTO = "auto"
SOUNDS = ("wav", "none")


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
    n_components = _number(options.n_components)
    from audiosep.cli.one import say_if_compiling
    from audiosep.research.atoms import find_atoms

    check_folder(options.out)
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
            folder_for(source, options.out),
            sounds=options.sounds == "wav",
            n_threads=options.n_threads,
            progress=progress,
        )
    for warning in saved.record["warnings"]:
        talk.say(f"audiosep: warning: {display(source)}: {warning}")
    for note in saved.record["notes"]:
        talk.detail(f"  {note}")
    tables = {name: display(path) for name, path in saved.tables.items()}
    sounds = {name: display(path) for name, path in saved.sounds.items()}
    if talk.json_lines:
        talk.json(
            {
                "input": display(source),
                "status": "done",
                "place": display(saved.place),
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
            talk.result(path)
    talk.say(
        f"{display(source)}: {atoms.mixture.duration:.1f} s -> {atoms.n_components} components in "
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
