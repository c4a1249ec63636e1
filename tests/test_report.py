"""The listening report: what is in the page."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shlex
import tracemalloc
from dataclasses import dataclass, replace
from pathlib import Path

import files
import numpy as np
import pytest
import soundfile
from reports import (
    SR,
    data_of,
    made_evil,
    outline,
    reported_components,
    reported_tones,
)

import audiosep
from audiosep.io.compressed import bitrates_for, mp3_of
from audiosep.report import write_report
from audiosep.report.command import command_of
from audiosep.report.finished import open_finished
from audiosep.report.loss_curve import loss_curve
from audiosep.report.pictures import RANGE_DB, ROWS, draw, log_rows
from audiosep.types import Audio


@pytest.fixture(scope="module")
def stems(tmp_path_factory):
    return reported_tones(tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def components(tmp_path_factory):
    return reported_components(tmp_path_factory.mktemp("components"))


def policy_of(page):
    (policy,) = (a["content"] for t, a in page.elements if t == "meta" and "http-equiv" in a)
    return dict(part.split(" ", 1) for part in policy.split("; "))


def hashed(text):
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def test_the_policy_names_what_runs_and_nothing_else(components):
    page = outline(components)
    policy = policy_of(page)
    run = [text for attributes, text in page.scripts if "type" not in attributes]
    assert len(run) == 5
    assert policy["script-src"].split() == [hashed(text) for text in run]
    ((_, style),) = page.styles
    assert policy["style-src"].split()[0] == hashed(style)
    assert policy["default-src"] == "'none'"
    assert "connect-src" not in policy
    handlers = [a for _, attributes in page.elements for a in attributes if a.startswith("on")]
    assert handlers == []
    assert [a for _, attributes in page.elements for a in attributes if a == "style"] == []


def test_nothing_is_loaded_from_elsewhere(components):
    page = outline(components)
    for _, attributes in page.elements:
        assert not {"src", "href", "srcset", "action"} & set(attributes)


def test_what_the_page_holds(components):
    text = (components / "report.html").read_text(encoding="utf-8")
    record = json.loads((components / "audiosep.json").read_text())
    page = outline(components)
    data = data_of(page)
    assert [t["name"] for t in data["tracks"]] == ["mixture", *record["stems"]]
    assert [c["number"] for c in data["components"]] == [1, 2, 3]
    assert {c["stem"] for c in data["components"]} <= set(record["stems"])
    for entry in [*record["stems"].values(), *record["files"].values(), record["input"]]:
        assert entry["sha256"] in text
    for words in (*record["notes"], *record["warnings"]):
        assert words in text
    assert "add up to the recording exactly" in text
    assert "--seed 0" in text
    assert "BSD 3-Clause License" in text
    assert str(Path(audiosep.__file__).parent) not in text
    sounds = [text for a, text in page.scripts if a.get("id", "").startswith("sound-")]
    for stem, sound in zip(record["stems"].values(), sounds, strict=True):
        (components / "heard.mp3").write_bytes(base64.b64decode(sound))
        heard = files.sounds(components / "heard.mp3")
        (components / "heard.mp3").unlink()
        wanted = files.sounds(components / stem["file"])
        assert heard.shape == wanted.shape
        assert np.corrcoef(heard.ravel(), wanted.ravel())[0, 1] > 0.9


def test_the_same_stems_give_the_same_page_with_any_threads(stems, tmp_path):
    pages = []
    for n in (1, 2):
        write_report(stems, tmp_path / f"{n}.html", n_threads=n)
        pages.append((tmp_path / f"{n}.html").read_bytes())
    assert pages[0] == pages[1]
    assert files.leftovers(stems) == files.leftovers(tmp_path) == []


def test_hostile_names_stay_text(stems, tmp_path):
    evil = made_evil(stems, tmp_path / "evil")
    write_report(evil, n_threads=1)
    text = (evil / "report.html").read_text(encoding="utf-8")
    page = outline(evil)
    assert "img" not in {tag for tag, _ in page.elements}
    assert "\u202e" not in text
    assert data_of(page)["tracks"][1]["name"].startswith("</script><img")


def test_pictures_show_where_a_sound_is():
    t = np.arange(SR * 3) / SR
    tone = np.float32(0.5 * np.sin(2 * np.pi * 1000 * t) * (t > 1) * (t < 2))
    tapes = [Audio(samples=np.stack([tone, tone * k]), sr=SR) for k in (1.0, -0.5)]
    (one, other), total = draw(tapes)
    columns = one.spectrogram.shape[1]
    assert one.spectrogram.shape == (ROWS, columns)
    time_at, row_at = columns // 2, one.spectrogram[:, columns // 2].argmax()
    centre = log_rows(SR, 2048)[row_at].argmax() * SR / 2048
    assert abs(centre - 1000) < 60
    assert one.spectrogram[:, : columns // 4].max() == 0
    assert one.highest[time_at] == 128
    assert one.highest[: columns // 4].max() == 0
    # The scale is that of the sum, which is twice as high in one channel.
    assert total.highest.max() == total.spectrogram.max() == 255
    # Powers of both channels: 2 and 1.25 of 4.25, so many dB below.
    assert one.spectrogram.max() == pytest.approx(255 * (1 - 3.27 / RANGE_DB), abs=2)
    assert other.spectrogram.max() == pytest.approx(255 * (1 - 5.31 / RANGE_DB), abs=2)


def test_pictures_of_levels_that_no_sound_has():
    tapes = [Audio(samples=files.noise(9000, 1, seed=seed), sr=SR) for seed in (1, 2)]
    loud = [Audio(samples=tape.samples * np.float32(2.0**100), sr=SR) for tape in tapes]
    (one, _), total = draw(tapes)
    (louder, _), loudest = draw(loud)
    np.testing.assert_array_equal(one.spectrogram, louder.spectrogram)
    np.testing.assert_array_equal(total.highest, loudest.highest)


def test_pictures_do_not_depend_on_where_blocks_end(monkeypatch):
    tapes = [Audio(samples=files.noise(50_000), sr=8000)]
    whole = draw(tapes)[1]
    monkeypatch.setattr("audiosep.report.pictures._BLOCK_SAMPLES", 3001)
    parts = draw(tapes)[1]
    np.testing.assert_array_equal(whole.highest, parts.highest)
    np.testing.assert_array_equal(whole.lowest, parts.lowest)
    assert np.abs(whole.spectrogram.astype(int) - parts.spectrogram).max() <= 1


@dataclass(frozen=True)
class Endless:
    """A recording that is made while it is read."""

    n_samples: int
    sr: int = 8000
    n_channels: int = 2
    peak: float = 1.0

    def part(self, first, last):
        ramp = np.arange(first, last, dtype=np.float32) / self.n_samples
        return Audio(samples=np.stack([ramp, -ramp]), sr=self.sr)


def test_memory_does_not_grow_with_length():
    peaks = []
    for n_samples in (2_000_000, 8_000_000):
        tracemalloc.start()
        _, total = draw([Endless(n_samples), Endless(n_samples)])
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert total.highest[-1] == 255
        assert int(total.highest[len(total.highest) // 2]) == pytest.approx(127, abs=2)
    assert peaks[1] < 1.1 * peaks[0]


@pytest.mark.parametrize("n_samples", [1, 31, 100, 5000])
def test_short_recordings_have_pictures(n_samples):
    _, total = draw([Audio(samples=files.noise(n_samples), sr=8000)])
    assert total.spectrogram.shape[1] == len(total.highest) >= 1


def test_rows_are_means_of_bins():
    for sr, n_fft in ((8000, 1024), (44100, 4096), (48, 16)):
        weights = log_rows(sr, n_fft)
        np.testing.assert_allclose(weights.sum(axis=1), 1.0, rtol=1e-5)
        assert (weights >= 0).all()
        assert (np.diff(weights.argmax(axis=1)) >= 0).all()


@pytest.mark.parametrize(
    ("sr", "n_channels", "rate", "channels"),
    [
        (8000, 1, 8000, 1),
        (44100, 2, 44100, 2),
        (96000, 2, 48000, 2),
        (7000, 1, 8000, 1),
        (8000, 6, 8000, 1),
    ],
)
def test_sound_for_listening(tmp_path, sr, n_channels, rate, channels):
    n_samples = sr // 2
    t = np.arange(n_samples) / sr
    tone = np.float32(np.tile(0.4 * np.sin(2 * np.pi * 500 * t), (n_channels, 1)))
    (tmp_path / "a.mp3").write_bytes(mp3_of(Audio(samples=tone, sr=sr), bitrates_for(rate)[-1]))
    about = soundfile.info(tmp_path / "a.mp3")
    assert (about.samplerate, about.channels) == (rate, channels)
    heard = files.sounds(tmp_path / "a.mp3")
    assert abs(heard.shape[1] - n_samples * rate / sr) <= 2
    middle = heard[0, rate // 8 : rate // 4]
    assert np.sqrt(2 * np.mean(middle**2)) == pytest.approx(0.4, rel=0.03)


def test_many_or_long_stems_get_fewer_bits(tmp_path, stems):
    """A report of three minutes of four stems in stereo must stay below 25 MB."""
    from audiosep.report.writing import _bitrate

    finished = open_finished(stems)

    def of(n_stems, seconds, sr=44100, n_channels=2):
        return _bitrate(
            replace(
                finished,
                stems=finished.stems[:1] * n_stems,
                sr=sr,
                n_samples=sr * seconds,
                n_channels=n_channels,
            )
        )

    sound = 125 * of(4, 180) * 4 * 180
    pictures = 5 * 1000 * (ROWS + 2)
    assert (sound + pictures) * 4 / 3 + 500_000 < 25e6
    assert of(4, 180) >= 128
    assert of(2, 30) == 192
    assert of(2, 30, n_channels=1) == 96
    assert of(2, 30, sr=8000, n_channels=1) == 64
    assert of(4, 601) is None
    assert of(40, 180) is None
    assert all(125 * (of(n, 180) or 0) * n * 180 <= 16e6 for n in range(1, 40))


def test_commands_that_repeat_runs(components):
    record = json.loads((components / "audiosep.json").read_text())
    command, remark = command_of(record)
    assert remark == ""
    assert command.endswith("--preset components --components 3 --iterations 2 --seed 0")
    settings = {**record["settings"], "preset": "score", "score": "abc", "dictionary": "d" * 64}
    about = {**record["input"], "path": "/tapes/it's.wav", "start": 1.25, "duration": 2.0}
    command, remark = command_of({**record, "settings": settings, "input": about})
    assert "'/tapes/it'\"'\"'s.wav'" in command
    assert "--start 1.25 --duration 2 " in command
    assert command.endswith("--dictionary FILE --score FILE")
    assert "--score" in remark


def test_the_command_gives_the_same_bytes(components, tmp_path):
    record = json.loads((components / "audiosep.json").read_text())
    words = shlex.split(command_of(record)[0])
    assert words.pop(0) == "audiosep"
    done = files.audiosep(*words, "-o", str(tmp_path))
    assert done.code == 0, done.err
    for stem in record["stems"].values():
        again = (tmp_path / "mix" / stem["file"]).read_bytes()
        assert again == (components / stem["file"]).read_bytes()


def test_loss_curves_speak():
    figure = loss_curve([100.0, 10.0, 1.0], "it was <b>fine</b>", "x")
    assert "from 100 to 1 in 2 iterations; it ended because it was &lt;b&gt;fine" in figure
    assert re.findall(r'points="([^"]+)"', figure)[0].count(",") == 3
    assert loss_curve([], None, "<x>") == "<p>The method &lt;x&gt; fits nothing step by step.</p>"
    assert loss_curve([0.0] * 5000, None, "x").count(",") < 500
