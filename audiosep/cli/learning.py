"""``audiosep learn`` and ``audiosep dict``: what sources sound like, kept in files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from audiosep.cli.helping import add_command
from audiosep.cli.options import Debug, Seed
from audiosep.errors import (
    DictionaryError,
    ExitCode,
    InputError,
    OutputError,
    UsageError,
    without_salvage,
)

if TYPE_CHECKING:
    from audiosep.cli.talk import Talk

__all__ = ["dictionaries", "learn"]

dictionaries = typer.Typer(
    name="dict",
    help="Look into dictionaries, merge them, hear them.",
    no_args_is_help=True,
    add_completion=False,
)

SUFFIX = ".safetensors"

Files = Annotated[list[Path], typer.Argument(metavar="FILE...", help="Dictionaries.")]
JsonLines = Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")]
Target = Annotated[Path, typer.Option("-o", "--out", metavar="FILE", help="Dictionary to write.")]
Replace = Annotated[bool, typer.Option("--overwrite", help="Replace a file that is there.")]


def learn(
    inputs: Annotated[
        list[Path], typer.Argument(metavar="IN...", help="Recordings in which it sounds alone.")
    ],
    out: Target,
    label: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="What its stem is called; by default as the file is."),
    ] = None,
    n_components: Annotated[
        int, typer.Option("--components", metavar="K", help="Templates to learn.")
    ] = 40,
    start: Annotated[
        float, typer.Option(metavar="S", help="Start of each recording at this second.")
    ] = 0.0,
    duration: Annotated[
        float | None, typer.Option(metavar="S", help="Seconds of each recording.")
    ] = None,
    window_s: Annotated[
        float, typer.Option("--window", metavar="S", help="Window of the analysis in seconds.")
    ] = 0.064,
    exemplars: Annotated[
        bool,
        typer.Option(
            "--exemplars/--no-exemplars",
            help="Keep up to a minute of the sound's frames: better, and larger.",
        ),
    ] = True,
    provenance: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="What the sounds are, and under which licence."),
    ] = None,
    seed: Seed = 0,
    overwrite: Replace = False,
    debug: Debug = False,
) -> None:
    """Learn what a source sounds like, for 'audiosep split --example NAME=FILE'."""
    del debug  # heeded where errors are told
    from audiosep.dictionary_files import save_dictionary
    from audiosep.learning import learn as learn_sounds

    target = _target(out, overwrite)
    name = target.name.removesuffix(SUFFIX) if label is None else label
    talk = _talk()
    with talk.progress(display(target.name)) as progress:
        sounds = [_read(path, start, duration) for path in inputs]
        for path, sound in zip(inputs, sounds, strict=True):
            if sound.peak == 0.0:
                talk.say(f"audiosep: warning: {display(path)} is silent: it teaches nothing.")
        found = learn_sounds(
            sounds,
            label=name,
            n_components=n_components,
            window_s=window_s,
            exemplars=exemplars,
            provenance=_provenance(inputs) if provenance is None else provenance,
            seed=seed,
            progress=progress,
        )
    save_dictionary(found, target)
    talk.result(display(target))
    talk.say(_line(display(target), _about(found)))


def show(files: Files, json_lines: JsonLines = False) -> None:
    """Say what dictionaries hold."""
    from audiosep.dictionary_files import load_dictionary

    talk = _talk(json_lines=json_lines)
    failures = 0
    for file in files:
        try:
            about = _about(load_dictionary(file))
        except DictionaryError as error:
            failures += 1
            if json_lines:
                talk.json({"file": str(file), "error": str(error)})
            else:
                talk.error(str(error), error)
            continue
        if json_lines:
            talk.json({"file": str(file), **about})
        else:
            talk.result(_line(display(file), about))
    if failures:
        code = ExitCode.ALL_FAILED if failures == len(files) else ExitCode.SOME_FAILED
        raise typer.Exit(code)


def merge(
    files: Files,
    out: Target,
    label: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="One label for everything; by default each keeps its."),
    ] = None,
    overwrite: Replace = False,
) -> None:
    """Put several dictionaries into one; equal labels become one source."""
    from audiosep.dictionary_files import load_dictionary, save_dictionary
    from audiosep.merging import merge_dictionaries

    target = _target(out, overwrite)
    merged = merge_dictionaries(tuple(map(load_dictionary, files)))
    if label is not None:
        merged = merged.named(label)
    save_dictionary(merged, target)
    talk = _talk()
    talk.result(display(target))
    talk.say(_line(display(target), _about(merged)))


def play(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Dictionary.")],
    out: Annotated[
        Path | None,
        typer.Option(
            "-o", "--out", metavar="DIR", help="Folder of the sounds; by default its own name."
        ),
    ] = None,
    label: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only this one; by default each.")
    ] = None,
    duration: Annotated[float, typer.Option(metavar="S", help="Seconds of each at most.")] = 10.0,
    overwrite: Replace = False,
) -> None:
    """Write what each label of a dictionary sounds like to WAV files, to be listened to."""
    from audiosep.dictionary_files import load_dictionary
    from audiosep.dictionary_sounds import sound_of
    from audiosep.io import write

    found = load_dictionary(file)
    folder = file.with_name(file.name.removesuffix(SUFFIX)) if out is None else out
    labels = found.sources if label is None else (label,)
    targets = [folder / f"{name}.wav" for name in labels]
    for target in targets:
        _refuse_if_there(target, overwrite)
    sounds = [sound_of(found, name, duration=duration) for name in labels]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make {display(folder)}: {error.strerror}.") from None
    for target, sound in zip(targets, sounds, strict=True):
        write(target, sound)
        _talk().result(display(target))


for _command, _example in (
    (show, "audiosep dict show kick.safetensors"),
    (merge, "audiosep dict merge kick.safetensors snare.safetensors -o drums.safetensors"),
    (play, "audiosep dict play kick.safetensors -o heard"),
):
    add_command(dictionaries, _command, None, _example)


def _talk(**how: bool) -> Talk:
    from audiosep.cli.talk import Talk as Talking  # loads numpy: not for --help

    return Talking(**how)


def display(path: Path | str) -> str:
    """Return a path as it may be printed."""
    from audiosep.io.naming import display as displayed  # loads numpy: not for --help

    return displayed(path)


def _read(path: Path, start: float, duration: float | None) -> Any:
    from audiosep.io import open_recording

    try:
        return open_recording(path, start=start, duration=duration).audio
    except InputError as error:
        raise type(error)(f"{display(path)} {without_salvage(str(error))}") from None


def _target(out: Path, overwrite: bool) -> Path:
    if not out.name or out.name == "..":
        raise UsageError(f"{display(out)} is a folder; name a file.")
    target = out if out.name.endswith(SUFFIX) else out.with_name(out.name + SUFFIX)
    _refuse_if_there(target, overwrite)
    if not target.parent.is_dir():
        raise OutputError(f"{display(target)}: there is no folder {display(target.parent)}.")
    return target


def _refuse_if_there(target: Path, overwrite: bool) -> None:
    from audiosep.errors import RefusedError

    if target.is_dir():
        raise UsageError(f"{display(target)} is a folder; name a file.")
    if target.exists() and not overwrite:
        raise RefusedError(
            f"{display(target)} already exists; use --overwrite, or another name with --out."
        )


def _provenance(inputs: list[Path]) -> str:
    return f"learnt from {', '.join(display(path.name) for path in inputs)}"


def _about(found: Any) -> dict[str, Any]:
    """What a dictionary holds, in JSON types."""
    exemplars = found.exemplars
    seconds = dict.fromkeys(found.sources, 0.0)
    if exemplars is not None:
        for name, length in zip(exemplars.labels, exemplars.lengths, strict=True):
            seconds[name] += length * exemplars.step_s
    return {
        "labels": {
            name: {
                "templates": found.labels.count(name),
                "exemplars_s": round(seconds[name], 2),
            }
            for name in found.sources
        },
        "n_bands": len(found.frequencies_hz),
        "highest_hz": round(float(found.frequencies_hz[-1]), 1),
        "step_s": found.step_s,
        "provenance": found.provenance,
    }


def _line(file: str, about: dict[str, Any]) -> str:
    kind = "templates" if about["step_s"] is None else "patches"
    parts = [
        f"{name}: {entry['templates']} {kind}"
        + (f", {entry['exemplars_s']:g} s of exemplars" if entry["exemplars_s"] else "")
        for name, entry in about["labels"].items()
    ]
    source = f"; {about['provenance']}" if about["provenance"] else ""
    return f"{file}: {'; '.join(parts)}; up to {about['highest_hz']:g} Hz{source}"
