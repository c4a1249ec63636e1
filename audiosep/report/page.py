"""A report as one page of HTML: texts escaped, scripts and styles known by their digests."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

from audiosep._version import __version__
from audiosep.report.command import command_of
from audiosep.report.components import Components
from audiosep.report.finished import Finished
from audiosep.report.loss_curve import loss_curve
from audiosep.report.marks import MARK
from audiosep.report.texts import in_markup, length_of, level_of, name_of, rate_of

__all__ = ["page_of"]

_SCRIPTS = ("wavesurfer.min.js", "levels.js", "sound.js", "drawing.js", "page.js")


def page_of(
    finished: Finished,
    data: Mapping[str, Any],
    sounds: Sequence[bytes],
    components: Components,
    remarks: Sequence[str],
) -> str:
    """Put a page together.

    Parameters
    ----------
    finished : Finished
        What it is about.
    data : mapping
        What its script draws and plays, in JSON types.
    sounds : sequence of bytes
        MP3 of each stem; none where they are linked.
    components : Components
        What is said of them.
    remarks : sequence of str
        What to know about listening, in sentences.

    Returns
    -------
    str
    """
    record = finished.record
    style = _asset("page.css")
    scripts = {name: _asset(name) for name in _SCRIPTS}
    # The styles of wavesurfer.js are let in by this word. It is no secret, and need not be one:
    # nothing in the page is markup that came from outside.
    nonce = finished.digest[:32]
    command, remark = command_of(record)
    name = name_of(record["input"].get("path"), finished.place)
    return Template(_asset("page.html")).substitute(
        mark=MARK + finished.digest,
        policy=escape(_policy(style, scripts.values(), nonce)),
        style=style,
        title=in_markup(name),
        summary=_summary(finished),
        warnings=_listed(record.get("warnings", []), "warnings"),
        remarks=_listed(remarks, "remarks"),
        notes=_listed(record.get("notes", []), "notes")
        or "<p>Nothing had to be decided: all was set by the preset.</p>",
        components=_components(components),
        losses=loss_curve(
            [float(loss) for loss in record.get("losses", [])], record.get("stop"), record["method"]
        ),
        command=in_markup(command),
        remark=f"<p>{in_markup(remark)}</p>" if remark else "",
        files=_files(finished),
        version=in_markup(__version__),
        data=_json({**data, "nonce": nonce}),
        sounds="\n".join(_sound(index, sound) for index, sound in enumerate(sounds)),
        licence=_asset("wavesurfer.LICENSE.txt").replace("--", "- -"),
        scripts="\n".join(f"<script>{text}</script>" for text in scripts.values()),
    )


def _asset(name: str) -> str:
    text = files("audiosep.report").joinpath("assets", name).read_text(encoding="utf-8")
    return text.rstrip("\n")


def _policy(style: str, scripts: Any, nonce: str) -> str:
    """What the page may load: nothing but what is in it, and the sound files beside it."""
    allowed = " ".join(f"'sha256-{_digest(text)}'" for text in scripts)
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {allowed}",
            f"style-src 'sha256-{_digest(style)}' 'nonce-{nonce}'",
            "img-src data:",
            "media-src 'self' file: data: blob:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _json(value: Any) -> str:
    """JSON that cannot end the element that it stands in."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _sound(index: int, sound: bytes) -> str:
    text = base64.b64encode(sound).decode("ascii")
    return f'<script type="application/octet-stream" id="sound-{index}">{text}</script>'


def _listed(sentences: Sequence[str], kind: str) -> str:
    if not sentences:
        return ""
    items = "".join(f"<li>{in_markup(sentence)}</li>" for sentence in sentences)
    return f'<ul class="{kind}">{items}</ul>'


def _summary(finished: Finished) -> str:
    record = finished.record
    null = record.get("null_test_db")
    part = record["input"].get("start") or record["input"].get("duration")
    method, preset = str(record["method"]), record.get("preset")
    facts = {
        "Length": length_of(finished.duration) + (" (a part)" if part else ""),
        "Sound": rate_of(finished.sr, finished.n_channels),
        "Preset": f"{preset} (method {method})" if preset and preset != method else method,
        "Null test": _null_test(null),
        "Separated by": f"audiosep {record['audiosep']}",
    }
    return "".join(
        f"<div><dt>{key}</dt><dd>{in_markup(value)}</dd></div>" for key, value in facts.items()
    )


def _null_test(null: float | None) -> str:
    if null is None:
        return "not measured"
    if null <= -299:
        return "the stems add up to the recording exactly"
    return f"the stems add up to the recording to {null:.0f} dB"


def _components(components: Components) -> str:
    if components.problem:
        return _section("components", "Components", f"<p>{in_markup(components.problem)}</p>")
    if not components.pictures:
        return ""
    shown = len(components.pictures)
    words = "What the sound was made of: the spectrum of each component, and when it sounds."
    if shown < components.n_all:
        words += f" The {shown} that hold most of the sound, of {components.n_all}."
    return _section("components", "Components", f'<p>{words}</p><div id="component-list"></div>')


def _section(name: str, title: str, content: str) -> str:
    return (
        f'<section aria-labelledby="{name}-title"><h2 id="{name}-title">{title}</h2>{content}'
        "</section>"
    )


def _files(finished: Finished) -> str:
    rows = [
        (stem.file, stem.name, level_of(stem.peak_db), level_of(stem.rms_db), stem.sha256)
        for stem in finished.stems
    ]
    rows += [
        (str(name), "", "", "", str(entry["sha256"]))
        for name, entry in finished.record.get("files", {}).items()
    ]
    about = finished.record["input"]
    source = str(about.get("path") or "(an array)"), "recording", "", "", str(about.get("sha256"))
    cells = "".join(
        "<tr>"
        f'<th scope="row">{in_markup(file)}</th><td>{in_markup(what)}</td>'
        f"<td>{peak}</td><td>{rms}</td><td><code>{in_markup(digest)}</code></td></tr>"
        for file, what, peak, rms, digest in [source, *rows]
    )
    head = "".join(
        f'<th scope="col">{title}</th>' for title in ("File", "Is", "Peak", "RMS", "SHA-256")
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{cells}</tbody></table>"
