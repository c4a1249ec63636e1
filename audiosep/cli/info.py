"""``audiosep info`` and ``audiosep presets``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from audiosep.cli.folders import find_recordings
from audiosep.cli.remote import header_of
from audiosep.cli.talk import Talk
from audiosep.errors import AudiosepError, ExitCode
from audiosep.io import AudioInfo, info
from audiosep.io.naming import display, find_inputs
from audiosep.io.riff import missing_bytes
from audiosep.io.urls import Place, Url
from audiosep.presets import load_preset, preset_names

__all__ = ["info_all", "list_presets"]


def info_all(inputs: Sequence[Place], talk: Talk) -> ExitCode:
    """Print what each recording is; one that cannot be read never stops the others."""
    n_failed, n_good = 0, 0
    for argument in inputs:
        try:
            paths = _inputs(argument)
        except AudiosepError as error:
            n_failed += 1
            if talk.json_lines:
                talk.json({"input": display(argument), "status": "failed", "error": str(error)})
            else:
                talk.error(str(error), error)
            continue
        for path in paths:
            entry: dict[str, Any] = {"input": display(path), "status": "ok", "error": None}
            try:
                about, n_missing = _look(path)
                entry |= {
                    "format": about.format,
                    "subtype": about.subtype,
                    "sr": about.sr,
                    "n_channels": about.n_channels,
                    "n_samples": about.n_samples,
                    "duration_s": round(about.duration, 3),
                    "bits": about.bits,
                    "missing_bytes": n_missing,
                }
                n_good += 1
            except AudiosepError as error:
                n_failed += 1
                entry |= {"status": "failed", "error": f"{display(path)} {error}"}
                if not talk.json_lines:
                    talk.error(f"{display(path)} {error}", error)
            if talk.json_lines:
                talk.json(entry)
            elif entry["status"] == "ok":
                talk.result(_line(entry))
    if n_failed == 0:
        return ExitCode.DONE
    return ExitCode.SOME_FAILED if n_good else ExitCode.ALL_FAILED


def _inputs(argument: Place) -> Sequence[Place]:
    if isinstance(argument, Url):
        return [found.source for found in find_recordings(argument, recursive=False, out=Path())]
    return find_inputs([argument])


def _look(place: Place) -> tuple[AudioInfo, int]:
    """What a header says, and how much of the file it speaks of is missing."""
    if isinstance(place, Url):
        return header_of(place)
    return info(place), missing_bytes(place)


def _line(entry: dict[str, Any]) -> str:
    channels = {1: "mono", 2: "stereo"}.get(entry["n_channels"], f"{entry['n_channels']} channels")
    bits = "32-bit float" if entry["bits"] == "float" else f"{entry['bits']}-bit"
    length = f"{entry['duration_s']:.2f} s" if entry["n_samples"] else "no length in its header"
    text = (
        f"{entry['input']}: {entry['format']} {entry['subtype']}, {entry['sr']} Hz, {channels}, "
        f"{length}; stems will be {bits}"
    )
    if entry["missing_bytes"]:
        text += f"; cut: {entry['missing_bytes']} bytes are missing"
    return text


def list_presets(json_lines: bool) -> None:
    """Print the presets."""
    talk = Talk(json_lines=json_lines)
    for name in preset_names():
        preset = load_preset(name)
        if json_lines:
            talk.json({"preset": name, "stems": preset.stems, "summary": preset.summary})
        else:
            talk.result(f"{name:<20} {preset.summary}\n{'':<20} -> {preset.stems}")
