"""``audiosep info`` and ``audiosep presets``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from audiosep.cli.folders import find_recordings
from audiosep.cli.remote import header_of, health_of
from audiosep.cli.talk import Talk
from audiosep.cli.wording import words_of
from audiosep.errors import AudiosepError, ExitCode, InputError
from audiosep.io import AudioInfo, info
from audiosep.io.containers import CONTAINERS
from audiosep.io.endings import Ending, ending_of
from audiosep.io.naming import display, find_inputs
from audiosep.io.urls import Place, Url, place_from
from audiosep.presets import load_preset, preset_names

if TYPE_CHECKING:
    from audiosep.health import Health

__all__ = ["info_all", "info_typed", "list_presets"]

_NEVER_CUT = ("FLAC", *CONTAINERS)
"""Formats whose decoders stop at a damage, at the end of the file as well."""


def info_typed(
    inputs: Sequence[str], talk: Talk, *, check: bool = False, stream: int | None = None
) -> ExitCode:
    """Print what recordings are, as they were typed: paths, addresses, or ``-`` for stdin.

    Raises
    ------
    AudiosepError
        If nothing that could be a recording comes from stdin.
    """
    from audiosep.cli.pipes import PIPE, STDIN, kept_stdin

    if PIPE not in inputs:
        return info_all([place_from(text) for text in inputs], talk, check=check, stream=stream)
    with kept_stdin(talk) as path:
        places = [path if text == PIPE else place_from(text) for text in inputs]
        return info_all(places, talk, check=check, stream=stream, called={path: STDIN})


def info_all(
    inputs: Sequence[Place],
    talk: Talk,
    *,
    check: bool = False,
    stream: int | None = None,
    called: Mapping[Place, str] = MappingProxyType({}),
) -> ExitCode:
    """Print what each recording is; one that cannot be read never stops the others.

    With `check`, each is read from end to end, and what is wrong with it makes the exit code 1.
    Recordings in `called` are told of by these names.
    """
    n_failed = n_ill = n_good = 0
    advice: set[str] = set()
    for entry, error in _entries(inputs, called, check=check, stream=stream):
        n_failed += entry["status"] == "failed"
        n_ill += entry["status"] == "ill"
        n_good += entry["status"] == "ok"
        advice |= _advice(entry)
        if talk.json_lines:
            talk.json(entry)
        elif error is not None:
            talk.error(entry["error"], error)
        else:
            talk.result(_line(entry))
    if advice and not talk.json_lines:
        talk.say(f"audiosep: to take them all the same: {', '.join(sorted(advice))}")
    if n_failed and not n_good + n_ill:
        return ExitCode.ALL_FAILED
    return ExitCode.SOME_FAILED if n_failed or n_ill else ExitCode.DONE


def _entries(
    inputs: Sequence[Place], called: Mapping[Place, str], *, check: bool, stream: int | None
) -> Iterator[tuple[dict[str, Any], AudiosepError | None]]:
    """What there is to say of each recording, and what went wrong."""
    for argument in inputs:
        try:
            paths = _inputs(argument)
        except AudiosepError as error:
            yield {"input": str(argument), "status": "failed", "error": words_of(error)}, error
            continue
        for path in paths:
            name = called.get(path, str(path))
            entry: dict[str, Any] = {"input": name, "status": "ok", "error": None}
            try:
                yield entry | _told(path, check=check, stream=stream), None
            except AudiosepError as error:
                words = words_of(error).replace(str(path), display(name), 1)
                if not words.startswith(display(name)):
                    words = f"{display(name)} {words}"
                yield entry | {"status": "failed", "error": words}, error
            except OSError as error:
                words = f"{display(name)} cannot be read: {error.strerror or error}."
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

    if isinstance(place, Url):
        health = health_of(place, stream)
    else:
        health = check_recording(place, stream=stream)
    ending = ending_of(place, health.info) if isinstance(place, Path) else Ending()
    return {
        **_facts(health.info, ending),
        "status": "ok" if health.is_healthy else "ill",
        "health": _in_json(health),
    }


def _look(place: Place, stream: int | None) -> tuple[AudioInfo, Ending]:
    """What a header says, and how the file ends."""
    if isinstance(place, Url):
        return header_of(place, stream)
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
        "damaged_inside": ending.is_inside,
        "no_length": ending.has_no_length,
        "missing_bytes": ending.missing_bytes,
        "missing_s": None if ending.missing_s is None else round(ending.missing_s, 3),
    }


def _advice(entry: dict[str, Any]) -> set[str]:
    """Which options take what is refused without them."""
    health = entry.get("health")
    if health is None:
        return set()
    found = set()
    if health["unreadable_s"] or (health["missing_s"] and entry["format"] in _NEVER_CUT):
        found.add("split --salvage takes what can be read of what is corrupted")
    if health["n_nonfinite"]:
        found.add("split --fix-nonfinite zero takes samples that are no numbers as silence")
    return found


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
    how = "damaged inside" if entry["damaged_inside"] else "cut"
    return f"; {how}: {', '.join(parts)} are missing" if parts else "; cut: its end is missing"


def list_presets(json_lines: bool) -> None:
    """Print the presets."""
    talk = Talk(json_lines=json_lines)
    for name in preset_names():
        preset = load_preset(name)
        if json_lines:
            talk.json({"preset": name, "stems": preset.stems, "summary": preset.summary})
        else:
            talk.result(f"{name:<20} {preset.summary}\n{'':<20} -> {preset.stems}")
