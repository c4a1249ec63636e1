"""``audiosep info`` and ``audiosep presets``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiosep.cli.folders import find_recordings
from audiosep.cli.remote import header_of, health_of
from audiosep.cli.talk import Talk
from audiosep.errors import AudiosepError, ExitCode, InputError
from audiosep.io import AudioInfo, info
from audiosep.io.endings import Ending, ending_of
from audiosep.io.naming import display, find_inputs
from audiosep.io.urls import Place, Url
from audiosep.presets import load_preset, preset_names

if TYPE_CHECKING:
    from audiosep.health import Health

__all__ = ["info_all", "list_presets"]


def info_all(
    inputs: Sequence[Place], talk: Talk, *, check: bool = False, stream: int | None = None
) -> ExitCode:
    """Print what each recording is; one that cannot be read never stops the others.

    With `check`, each is read from end to end, and what is wrong with it makes the exit code 1.
    """
    n_failed = n_ill = n_good = 0
    for entry, error in _entries(inputs, check=check, stream=stream):
        n_failed += entry["status"] == "failed"
        n_ill += entry["status"] == "ill"
        n_good += entry["status"] == "ok"
        if talk.json_lines:
            talk.json(entry)
        elif error is not None:
            talk.error(entry["error"], error)
        else:
            talk.result(_line(entry))
    if n_failed and not n_good + n_ill:
        return ExitCode.ALL_FAILED
    return ExitCode.SOME_FAILED if n_failed or n_ill else ExitCode.DONE


def _entries(
    inputs: Sequence[Place], *, check: bool, stream: int | None
) -> Iterator[tuple[dict[str, Any], AudiosepError | None]]:
    """What there is to say of each recording, and what went wrong."""
    for argument in inputs:
        try:
            paths = _inputs(argument)
        except AudiosepError as error:
            yield {"input": str(argument), "status": "failed", "error": str(error)}, error
            continue
        for path in paths:
            entry: dict[str, Any] = {"input": str(path), "status": "ok", "error": None}
            try:
                yield entry | _told(path, check=check, stream=stream), None
            except AudiosepError as error:
                words = str(error).replace(str(path), display(path), 1)
                if not words.startswith(display(path)):
                    words = f"{display(path)} {words}"
                yield entry | {"status": "failed", "error": words}, error
            except OSError as error:
                words = f"{display(path)} cannot be read: {error.strerror or error}."
                yield entry | {"status": "failed", "error": words}, InputError(words)


def _inputs(argument: Place) -> Sequence[Place]:
    if isinstance(argument, Url):
        return [found.source for found in find_recordings(argument, recursive=False, out=Path())]
    return find_inputs([argument])


def _told(place: Place, *, check: bool, stream: int | None) -> dict[str, Any]:
    if not check:
        about, ending = _look(place, stream)
        return _facts(about, ending)
    from audiosep.health import check_recording

    health = health_of(place) if isinstance(place, Url) else check_recording(place, stream=stream)
    ending = ending_of(place, health.info) if isinstance(place, Path) else Ending()
    return {
        **_facts(health.info, ending),
        "status": "ok" if health.is_healthy else "ill",
        "health": _in_json(health),
    }


def _look(place: Place, stream: int | None) -> tuple[AudioInfo, Ending]:
    """What a header says, and how the file ends."""
    if isinstance(place, Url):
        return header_of(place)
    about = info(place, stream=stream)
    return about, ending_of(place, about)


def _facts(about: AudioInfo, ending: Ending) -> dict[str, Any]:
    return {
        "format": about.format,
        "subtype": about.subtype,
        "sr": about.sr,
        "n_channels": about.n_channels,
        "n_samples": about.n_samples,
        "duration_s": round(about.duration, 3),
        "bits": about.bits,
        "cut": ending.is_cut,
        "no_length": ending.has_no_length,
        "missing_bytes": ending.missing_bytes,
        "missing_s": None if ending.missing_s is None else round(ending.missing_s, 3),
    }


def _in_json(health: Health) -> dict[str, Any]:
    return {
        "n_samples": health.n_samples,
        "missing_s": None if health.missing_s is None else round(health.missing_s, 3),
        "unreadable_s": [[round(first, 3), round(last, 3)] for first, last in health.unreadable],
        "n_nonfinite": health.n_nonfinite,
        "first_nonfinite_s": health.first_nonfinite_s,
        "peak": round(health.peak, 6),
        "n_clipped": health.n_clipped,
        "dc": [round(value, 6) for value in health.dc],
        "silent": health.is_silent,
        "dead_channels": list(health.dead_channels),
        "inverted_channels": [list(pair) for pair in health.inverted_channels],
        "problems": list(health.problems),
        "notes": list(health.notes),
    }


def _line(entry: dict[str, Any]) -> str:
    channels = {1: "mono", 2: "stereo"}.get(entry["n_channels"], f"{entry['n_channels']} channels")
    bits = "32-bit float" if entry["bits"] == "float" else f"{entry['bits']}-bit"
    length = f"{entry['duration_s']:.2f} s" if entry["n_samples"] else "no length in its header"
    text = (
        f"{display(entry['input'])}: {entry['format']} {entry['subtype']}, {entry['sr']} Hz, "
        f"{channels}, "
    )
    health = entry.get("health")
    if health is None:
        return f"{text}{length}; stems will be {bits}{_cut(entry)}"
    words = " ".join([*health["problems"], *(f"(Note: {note})" for note in health["notes"])])
    healthy = "" if health["problems"] else "healthy"
    return f"{text}{length}: {' '.join(filter(None, (healthy, words)))}"


def _cut(entry: dict[str, Any]) -> str:
    if entry["no_length"]:
        return "; not closed: its header gives a length of 0"
    if not entry["cut"]:
        return ""
    n_bytes, seconds = entry["missing_bytes"], entry["missing_s"]
    parts = [f"{n_bytes} bytes"] if n_bytes else []
    parts += [f"about {seconds:.2f} s"] if seconds is not None else []
    return f"; cut: {', '.join(parts)} are missing" if parts else "; cut: its end is missing"


def list_presets(json_lines: bool) -> None:
    """Print the presets."""
    talk = Talk(json_lines=json_lines)
    for name in preset_names():
        preset = load_preset(name)
        if json_lines:
            talk.json({"preset": name, "stems": preset.stems, "summary": preset.summary})
        else:
            talk.result(f"{name:<20} {preset.summary}\n{'':<20} -> {preset.stems}")
