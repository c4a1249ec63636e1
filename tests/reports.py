"""Folders of stems and their reports, for the tests of both."""

from __future__ import annotations

import html.parser
import json
import shutil
import sys
from dataclasses import replace

import files
import numpy as np
import pytest

import audiosep
from audiosep import cli
from audiosep.report import write_report
from audiosep.types import Audio

SR = 16000
SECONDS = 4.0
LEVELS = {"low": 0.25, "high": 0.1}
EVIL = "</script><img src=x onerror=alert(1)>\u202egpj\n'\"&"


def save(place, stems, sr=SR, **around):
    """Stems that are known, written as any separation is."""
    audio = {name: Audio(samples=np.float32(x), sr=sr) for name, x in stems.items()}
    mixture = Audio(samples=sum(one.samples for one in audio.values()), sr=sr)
    made = audiosep.separate(files.noise(n_channels=1), 8000, **files.SMALL_SETTINGS)
    about = {**made.record["input"], "sr": sr, "bits": 16}
    about |= {"n_channels": mixture.n_channels, "n_samples": mixture.n_samples, "sha256": "0" * 64}
    made = replace(
        made,
        stems=audio,
        mixture=mixture,
        factorization=None,
        record={**made.record, "method": "stems", "input": {**about, **around}},
    )
    made.save(place, bits=16)
    return place


def tones(sr=SR, seconds=SECONDS):
    """A low tone that rises in the middle, and a high one."""
    t = np.arange(int(sr * seconds)) / sr
    low = np.sin(2 * np.pi * np.where(t < seconds / 2, 440.0, 660.0) * t)
    high = np.sin(2 * np.pi * 2500.0 * t)
    return {"low": LEVELS["low"] * low[None], "high": LEVELS["high"] * high[None]}


def edited(place, target, change):
    """A copy of a folder whose record was changed."""
    shutil.copytree(place, target)
    record = json.loads((target / "audiosep.json").read_text())
    change(record)
    (target / "audiosep.json").write_text(json.dumps(record))
    (target / "report.html").unlink(missing_ok=True)
    return target


def made_evil(place, target):
    """A copy in which all names and sentences try to be markup."""

    def change(record):
        record["input"]["path"] = f"/tapes/{EVIL}.wav"
        record["notes"] = [EVIL]
        record["warnings"] = [EVIL]
        record["settings"]["rest"] = EVIL
        record["stop"] = EVIL
        record["stems"] = {EVIL: record["stems"]["low"], "high": record["stems"]["high"]}
        record["stems"][EVIL]["file"] = "<img src=x onerror=alert(1)>.wav"

    evil = edited(place, target, change)
    (evil / "low.wav").rename(evil / "<img src=x onerror=alert(1)>.wav")
    return evil


def reported_tones(folder):
    """Stems of known tones, and their report."""
    place = save(folder / "tones", tones())
    write_report(place, n_threads=1)
    return place


def reported_components(folder):
    """A separation into components as the command makes it, and its report."""
    source = files.write_sound(folder / "mix.wav", files.noise(24000, 2))
    done = files.audiosep("split", *files.SMALL, "--report", str(source), "-o", str(folder / "out"))
    assert done.code == 0, done.err
    return folder / "out" / "mix"


def inside(monkeypatch, capsys):
    """Run the command inside this process."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["audiosep", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        said = capsys.readouterr()
        return files.Ended(caught.value.code or 0, said.out, said.err)

    return run


class Outline(html.parser.HTMLParser):
    """Elements of a page, and the text of its scripts and styles."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements, self.scripts, self.styles, self._open = [], [], [], None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self._open = (tag, dict(attrs), [])

    def handle_data(self, data):
        if self._open:
            self._open[2].append(data)

    def handle_endtag(self, tag):
        if self._open and tag == self._open[0]:
            _, attributes, parts = self._open
            (self.scripts if tag == "script" else self.styles).append((attributes, "".join(parts)))
            self._open = None


def outline(place):
    return Outline((place / "report.html").read_text(encoding="utf-8"))


def data_of(page):
    ((_, text),) = [one for one in page.scripts if one[0].get("id") == "data"]
    return json.loads(text)
