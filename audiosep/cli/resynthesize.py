"""``audiosep resynthesize``: the mixture with edited activations."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from audiosep.cli.single import check_free, said_in_json
from audiosep.cli.talk import Talk
from audiosep.cli.wording import counted
from audiosep.errors import ExitCode, UsageError
from audiosep.io.naming import display

__all__ = ["ResynthesizeOptions", "resynthesize_folder"]

SUFFIXES = (".wav", ".flac")


@dataclass(frozen=True, kw_only=True)
class ResynthesizeOptions:
    """Options of ``audiosep resynthesize``, as typed."""

    activations: Path | None
    out: Path | None
    export: Path | None
    n_threads: int | None


def resynthesize_folder(folder: Path, options: ResynthesizeOptions, talk: Talk) -> ExitCode:
    """Write the activations of a folder's components for editing, or the mixture with edited ones.

    Parameters
    ----------
    folder : Path
        Made by ``audiosep split``, ``audiosep atoms`` or ``audiosep regroup``.
    options : ResynthesizeOptions
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
        As :func:`audiosep.resynthesize`, or where the result cannot be written.
    """
    with said_in_json(folder, talk):
        if options.export is not None:
            if options.activations is not None or options.out is not None:
                raise UsageError("--export writes activations; leave --activations and --out out.")
            return _export(folder, options.export, talk)
        if options.activations is None or options.out is None:
            raise UsageError(
                "give --activations FILE and --out FILE, or --export FILE to get activations that "
                "can be edited."
            )
        if not options.out.exists() and options.out.suffix.lower() not in SUFFIXES:
            raise UsageError(f"--out {display(options.out)} must end with .wav or .flac.")
        return _resynthesize(folder, options.activations, options.out, options.n_threads, talk)


def _export(folder: Path, path: Path, talk: Talk) -> ExitCode:
    from audiosep.research.resynthesis import export_activations

    check_free(path)
    stored = export_activations(folder, path)
    _say(folder, path, talk)
    talk.say(
        f"{display(path)}: activations of {counted(stored.n_components, 'component')}, "
        f"{counted(stored.n_frames, 'frame')}"
    )
    return ExitCode.DONE


def _resynthesize(
    folder: Path, activations: Path, out: Path, n_threads: int | None, talk: Talk
) -> ExitCode:
    from audiosep.io import write
    from audiosep.research.resynthesis import resynthesize

    check_free(out)
    audio = resynthesize(folder, activations, n_threads=n_threads)
    write(out, audio)
    _say(folder, out, talk)
    talk.say(f"{display(out)}: {audio.duration:.1f} s")
    return ExitCode.DONE


def _say(folder: Path, path: Path, talk: Talk) -> None:
    if talk.json_lines:
        entry = {"input": str(folder), "status": "done", "out": str(path), "error": None}
        talk.json(entry)
    else:
        talk.result(display(path))
