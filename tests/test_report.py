"""The listening report: what is in the page, and what is heard of it in a real browser."""

from __future__ import annotations

import base64
import gzip
import hashlib
import html.parser
import json
import re
import shutil
import sys
import time
import tracemalloc
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import files
import numpy as np
import pytest
import soundfile
import stores

import audiosep
from audiosep import cli
from audiosep.errors import InputError, OutputError, RefusedError
from audiosep.io.compressed import bitrates_for, mp3_of
from audiosep.report import write_report
from audiosep.report.command import command_of
from audiosep.report.finished import open_finished, record_digest
from audiosep.report.loss_curve import loss_curve
from audiosep.report.marks import MARK, is_current
from audiosep.report.pictures import RANGE_DB, ROWS, draw, log_rows
from audiosep.types import Audio

SR = 16000
SECONDS = 4.0
LEVELS = {"low": 0.25, "high": 0.1}
EVIL = "</script><img src=x onerror=alert(1)>\u202egpj\n'\"&"
AXE = Path(__file__).parent / "vendor" / "axe.min.js.gz"
CHROMIUM = Path("/usr/bin/chromium")


# --- folders of stems -----------------------------------------------------------------------------


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


@pytest.fixture(scope="module")
def stems(tmp_path_factory):
    place = save(tmp_path_factory.mktemp("report") / "tones", tones())
    write_report(place, n_threads=1)
    return place


@pytest.fixture(scope="module")
def components(tmp_path_factory):
    """A separation into components as the command makes it, and its report."""
    folder = tmp_path_factory.mktemp("components")
    source = files.write_sound(folder / "mix.wav", files.noise(24000, 2))
    done = files.audiosep("split", *files.SMALL, "--report", str(source), "-o", str(folder / "out"))
    assert done.code == 0, done.err
    return folder / "out" / "mix"


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


# --- without a browser ----------------------------------------------------------------------------


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


def policy_of(page):
    (policy,) = (a["content"] for t, a in page.elements if t == "meta" and "http-equiv" in a)
    return dict(part.split(" ", 1) for part in policy.split("; "))


def hashed(text):
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def test_the_policy_names_what_runs_and_nothing_else(components):
    page = outline(components)
    policy = policy_of(page)
    run = [text for attributes, text in page.scripts if "type" not in attributes]
    assert len(run) == 4
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


def data_of(page):
    ((_, text),) = [one for one in page.scripts if one[0].get("id") == "data"]
    return json.loads(text)


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
    for n_samples in (4_000_000, 16_000_000):
        tracemalloc.start()
        _, total = draw([Endless(n_samples), Endless(n_samples)])
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert total.highest[-1] == 255
        assert total.highest[len(total.highest) // 2] == pytest.approx(127, abs=2)
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
    import shlex

    record = json.loads((components / "audiosep.json").read_text())
    words = shlex.split(command_of(record)[0])
    assert words.pop(0) == "audiosep"
    done = files.audiosep(*words, "-o", str(tmp_path))
    assert done.code == 0, done.err
    for stem in record["stems"].values():
        again = (tmp_path / "mix" / stem["file"]).read_bytes()
        assert again == (components / stem["file"]).read_bytes()


def test_components_by_themselves_and_grouped_anew(tmp_path, run):
    source = files.write_sound(tmp_path / "mix.wav")
    some = ("--components", "3", "--iterations", "2", "--seed", "5")
    assert run("atoms", source, *some, "-o", tmp_path / "atoms").code == 0
    atoms = tmp_path / "atoms" / "mix"
    assert run("report", atoms).code == 0
    text = (atoms / "report.html").read_text()
    assert f"audiosep atoms {source} --components 3" in text
    assert len(data_of(outline(atoms))["components"]) == 3
    grouped = tmp_path / "grouped"
    done = run("regroup", atoms, "--move", "1,2=both", "-o", grouped)
    assert done.code == 0, done.err
    assert run("report", grouped).code == 0
    data = data_of(outline(grouped))
    assert [one["stem"] for one in data["components"]].count("both") == 2
    assert "Then regroup the components" in (grouped / "report.html").read_text()
    silent = tmp_path / "silent"
    assert run("atoms", source, *some, "--sounds", "none", "-o", silent).code == 0
    done = run("report", silent / "mix")
    assert done.code == 3
    assert "no stems to listen to" in done.err


def test_loss_curves_speak():
    figure = loss_curve([100.0, 10.0, 1.0], "it was <b>fine</b>", "x")
    assert "from 100 to 1 in 2 iterations; it ended because it was &lt;b&gt;fine" in figure
    assert re.findall(r'points="([^"]+)"', figure)[0].count(",") == 3
    assert loss_curve([], None, "<x>") == "<p>The method &lt;x&gt; fits nothing step by step.</p>"
    assert loss_curve([0.0] * 5000, None, "x").count(",") < 500


# --- the command ----------------------------------------------------------------------------------


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the command inside this process."""

    def inside(*arguments):
        monkeypatch.setattr(sys, "argv", ["audiosep", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        said = capsys.readouterr()
        return files.Ended(caught.value.code or 0, said.out, said.err)

    return inside


def test_report_of_a_folder(stems, tmp_path, run):
    done = run("report", stems, "-o", tmp_path / "page.html")
    assert (done.code, done.out.strip()) == (0, str(tmp_path / "page.html"))
    done = run("report", stems, "-o", tmp_path / "page.html", "--json")
    entry = json.loads(done.out)
    assert (entry["status"], entry["bytes"]) == ("done", (tmp_path / "page.html").stat().st_size)


def test_a_report_replaces_nothing_but_a_report(stems, tmp_path, run):
    (tmp_path / "page.html").write_text("<!doctype html>\nmine")
    done = run("report", stems, "-o", tmp_path / "page.html")
    assert done.code == 5
    assert "is no report" in done.err
    assert (tmp_path / "page.html").read_text().endswith("mine")
    done = run("report", stems, "-o", tmp_path / "no" / "page.html")
    assert done.code == 4
    done = run("report", stems, "-o", tmp_path)
    assert done.code == 5


def test_a_disk_that_is_full_leaves_nothing(stems, tmp_path):
    target = tmp_path / "copy"
    shutil.copytree(stems, target, ignore=shutil.ignore_patterns("report.html"))
    before = files.tree(target)
    done = files.audiosep("report", str(target), largest_file=10_000)
    assert done.code == 4, done.err
    assert done.err.count("\n") == 1
    assert files.tree(target) == before


def test_split_with_report_does_not_separate_again(components, run, monkeypatch):
    record = (components / "audiosep.json").read_bytes()
    stem = next(components.glob("*.wav"))
    before = stem.stat().st_ino
    source = components.parent.parent / "mix.wav"
    arguments = ("split", *files.SMALL, source, "-o", components.parent)
    page = components / "report.html"
    written = page.stat().st_mtime_ns
    done = run(*arguments, "--report", "--json")
    entry = json.loads(done.out)
    assert entry["status"] == "skipped"
    assert entry["files"]["report.html"] == str(page)
    assert page.stat().st_mtime_ns == written, "a report that tells of these stems is kept"
    page.unlink()
    done = run(*arguments)
    assert "already done" in done.err
    assert not page.exists()
    done = run(*arguments, "--report", "--dry-run")
    assert (done.code, page.exists()) == (0, False)
    done = run(*arguments, "--report")
    assert "already done" in done.err
    assert str(page) in done.out.splitlines()
    assert page.exists()
    assert (components / "audiosep.json").read_bytes() == record
    assert stem.stat().st_ino == before


def test_a_report_of_other_stems_does_not_stay(tmp_path, run):
    source = files.write_sound(tmp_path / "mix.wav")
    arguments = ("split", *files.SMALL, source, "-o", tmp_path / "out")
    page = tmp_path / "out" / "mix" / "report.html"
    assert run(*arguments, "--report").code == 0
    first = page.read_bytes()
    assert run(*arguments, "--exists", "overwrite", "--seed", "1").code == 0
    assert not page.exists()
    page.write_text("my own words about it")
    other = (*arguments, "--seed", "2")
    assert run(*other, "--exists", "overwrite").code == 0
    assert page.read_text() == "my own words about it"
    page.write_bytes(first)
    done = run(*other, "--report")
    assert "already done" in done.err
    assert page.read_bytes() not in (b"", first), "of other stems, so that it is made anew"


def test_batch_writes_reports(tmp_path, run):
    for name in "ab":
        files.write_sound(tmp_path / f"{name}.wav", files.noise(seed=ord(name)))
    (tmp_path / "list.csv").write_text("input\na.wav\nb.wav\n")
    arguments = ("batch", tmp_path / "list.csv", *files.SMALL, "-o", tmp_path / "out")
    assert run(*arguments).code == 0
    assert not list((tmp_path / "out").rglob("report.html"))
    before = files.tree(tmp_path / "out" / "a")
    done = run(*arguments, "--report")
    assert done.code == 0, done.err
    assert len(list((tmp_path / "out").rglob("report.html"))) == 2
    after = files.tree(tmp_path / "out" / "a")
    assert {name: after[name] for name in before} == before


def test_reports_of_remote_stems(tmp_path, monkeypatch, run):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with stores.s3_server(tmp_path / "log") as address:
        for name, value in stores.s3_environment(address).items():
            monkeypatch.setenv(name, value)
        store = stores.new_store()
        store.mkdir("tapes")
        store.put_file(str(files.write_sound(tmp_path / "mix.wav")), "tapes/mix.wav")
        source = "s3://tapes/mix.wav"
        there = ("split", *files.SMALL, source, "-o", "s3://tapes/out", "--report")
        done = run(*there)
        assert done.code == 0, done.err
        assert "s3://tapes/out/mix/report.html" in done.out.splitlines()
        text = store.cat_file("tapes/out/mix/report.html").decode()
        assert f"audiosep split {source} --preset" in text
        record = json.loads(store.cat_file("tapes/out/mix/audiosep.json"))
        assert text.startswith(MARK + record_digest(record))
        assert str(tmp_path) not in text
        done = run(*there)
        assert done.code == 0
        assert "use 'audiosep report'" in done.err
        here = ("split", *files.SMALL, source, "-o", tmp_path / "out", "--report", "--json")
        page = tmp_path / "out" / "mix" / "report.html"
        assert json.loads(run(*here).out)["files"]["report.html"] == str(page)
        assert source in page.read_text()
        assert is_current(page, page.parent)
        page.unlink()
        assert json.loads(run(*here).out)["status"] == "skipped"
        assert is_current(page, page.parent)


def _without(key):
    return lambda record: record.pop(key)


BROKEN = {
    "no stems": _without("stems"),
    "no input": _without("input"),
    "a list": lambda record: record.update(stems=[]),
    "stems that are numbers": lambda record: record.update(stems={"a": 1}),
    "outside": lambda record: record["stems"]["low"].update(file="../low.wav"),
    "text for a number": lambda record: record["input"].update(sr="fast"),
    "negative": lambda record: record["input"].update(n_samples=-5),
    "no numbers": lambda record: record.update(losses=["a"]),
    "not finite": lambda record: record.update(losses=[float("nan")]),
    "notes": lambda record: record.update(notes=[{}]),
    "another version": lambda record: (record.update(audiosep="9.0"), record.pop("settings")),
    "empty": lambda record: record.update(stems={}),
    "another length": lambda record: record["input"].update(n_samples=12),
}


@pytest.mark.parametrize("change", BROKEN.values(), ids=list(BROKEN))
def test_records_of_another_shape(stems, tmp_path, run, change):
    done = run("report", edited(stems, tmp_path / "broken", change))
    assert (done.code, done.out) == (3, "")
    assert done.err.count("\n") == 1
    assert str(tmp_path) in done.err
    assert not list(tmp_path.rglob("*.html"))


def test_another_version_is_named(stems, tmp_path):
    broken = edited(stems, tmp_path / "broken", BROKEN["another version"])
    with pytest.raises(InputError, match=r"written by audiosep 9\.0"):
        write_report(broken)


def test_folders_that_are_none(tmp_path, run):
    for place in (tmp_path, tmp_path / "none", files.write_sound(tmp_path / "a.wav")):
        done = run("report", place)
        assert done.code == 3
        assert "no finished separation" in done.err


def test_stems_that_are_not_as_they_were(stems, tmp_path, run):
    changes = {
        "missing": lambda path: path.unlink(),
        "edited": lambda path: files.write_sound(path),
        "is damaged": lambda path: path.write_bytes(path.read_bytes()[:-10]),
    }
    for words, change in changes.items():
        place = shutil.copytree(stems, tmp_path / words)
        (place / "report.html").unlink()
        change(place / "low.wav")
        done = run("report", place)
        assert done.code == 3
        assert words in done.err
        assert "low.wav" in done.err


def test_a_stem_that_is_no_sound(stems, tmp_path, run):
    def change(record):
        record["stems"]["low"]["sha256"] = hashlib.sha256(b"no sound").hexdigest()

    place = edited(stems, tmp_path / "broken", change)
    (place / "low.wav").write_bytes(b"no sound")
    done = run("report", place)
    assert done.code == 3
    assert "low.wav" in done.err


def test_errors_are_of_the_right_kind(stems, tmp_path):
    (tmp_path / "mine.html").write_text("mine")
    with pytest.raises(RefusedError):
        write_report(stems, tmp_path / "mine.html")
    with pytest.raises(OutputError):
        write_report(stems, tmp_path / "no" / "report.html")


def test_damaged_components_do_not_keep_stems_from_being_heard(components, tmp_path):
    target = shutil.copytree(components, tmp_path / "copy")
    (target / "factorization.safetensors").write_bytes(b"no numbers")
    write_report(target)
    assert "The components cannot be shown" in (target / "report.html").read_text()


# --- in a browser ---------------------------------------------------------------------------------


def _why_no_browser():
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError:
        return "playwright is not installed"
    return "" if CHROMIUM.exists() else f"there is no {CHROMIUM}"


needs_browser = pytest.mark.skipif(bool(_why_no_browser()), reason=_why_no_browser() or "-")


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=str(CHROMIUM),
            headless=True,
            # The first because tests may run as root, the second to play without a click.
            args=["--no-sandbox", "--autoplay-policy=no-user-gesture-required"],
        )
        yield started
        started.close()


@contextmanager
def opened(browser, path, *, script=None, quiet=True, **options):
    """Open a page from disk; whatever it complains about is wrong, and what it asks for, too."""
    context = browser.new_context(**options)
    page = context.new_page()
    said, asked = [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.asked = asked
    if script:
        page.add_init_script(script)
    page.goto(path.as_uri())
    page.evaluate("audiosepReport.ready")
    try:
        yield page
        if quiet:
            assert said == []
    finally:
        context.close()


@pytest.fixture(scope="module")
def tones_page(browser, stems):
    with opened(browser, stems / "report.html") as page:
        yield page


@pytest.fixture
def page(tones_page):
    """The page of the tones, as it is when it was opened."""
    if tones_page.evaluate("audiosepReport.playing()"):
        tones_page.click("#play")
    tones_page.click("#reset")
    tones_page.evaluate("audiosepReport.seek(0)")
    return tones_page


def until(page, condition, longest_s=20.0):
    """Wait for something; the page forbids Playwright's own way, which is to evaluate text."""
    end = time.monotonic() + longest_s
    while not page.evaluate(condition):
        assert time.monotonic() < end, condition
        time.sleep(0.05)


def heard(page, at=0.0):
    """Level and loudest frequency of what comes out, once all of it comes from after `at`."""
    page.evaluate(f"audiosepReport.seek({at})")
    if not page.evaluate("audiosepReport.playing()"):
        page.click("#play")
        page.evaluate(f"audiosepReport.seek({at})")
    # What is measured are the last 16384 samples: 1.02 s.
    until(page, f"audiosepReport.time() > {at} + 1.2")
    return page.evaluate("audiosepReport.measure()")


def rms(*names):
    return np.sqrt(sum(LEVELS[name] ** 2 / 2 for name in names))


def button(page, words, name):
    return page.get_by_role("button", name=f"{words} {name}", exact=True)


@needs_browser
def test_opens_without_a_word_and_asks_for_nothing(browser, components):
    with opened(browser, components / "report.html") as page:
        assert page.asked == [(components / "report.html").as_uri()]
        assert page.title() == "mix \u2013 audiosep report"
        assert page.locator(".row").count() == 1 + len(list(components.glob("*.wav")))
        assert page.locator(".component").count() == 3
        colours = page.evaluate(
            """() => [...document.querySelectorAll('canvas')].map(canvas => {
                 const pen = canvas.getContext('2d');
                 const data = pen.getImageData(0, 0, canvas.width, canvas.height).data;
                 return new Set(new Uint32Array(data.buffer)).size; })"""
        )
        assert min(colours) >= 2
        assert sum(count > 60 for count in colours) >= 3
        waves = page.evaluate(
            """() => [...document.querySelectorAll('.wave')].map(wave =>
                 wave.firstElementChild.shadowRoot.querySelectorAll('canvas').length)"""
        )
        assert min(waves) >= 1
        assert page.locator("#problem").is_hidden()


@needs_browser
def test_all_stems_are_heard_together(page):
    measured = heard(page)
    assert measured["state"] == "running"
    assert measured["rms"] == pytest.approx(rms("low", "high"), rel=0.02)
    assert measured["peakHz"] == pytest.approx(440, abs=3)
    assert measured["samples"] == [SR * SECONDS] * 2
    assert measured["sampleRate"] == SR


@needs_browser
def test_solo_and_mute_are_heard(page):
    button(page, "Solo", "high").click()
    alone = heard(page)
    assert alone["peakHz"] == pytest.approx(2500, abs=3)
    assert alone["rms"] == pytest.approx(rms("high"), rel=0.02)
    button(page, "Solo", "high").click()
    button(page, "Mute", "high").click()
    assert button(page, "Mute", "high").get_attribute("aria-pressed") == "true"
    rest = heard(page)
    assert rest["peakHz"] == pytest.approx(440, abs=3)
    assert rest["rms"] == pytest.approx(rms("low"), rel=0.02)
    button(page, "Mute", "low").click()
    assert heard(page)["rms"] < 1e-4
    # What was muted is heard again when the mixture is asked for.
    page.get_by_role("button", name="Hear it as it was").click()
    assert heard(page)["rms"] == pytest.approx(rms("low", "high"), rel=0.02)


@needs_browser
def test_gain_is_heard(page):
    button(page, "Solo", "low").click()
    gain = page.get_by_label("Gain of low")
    gain.fill("-6")
    assert heard(page)["rms"] == pytest.approx(rms("low") * 10 ** (-6 / 20), rel=0.02)
    gain.fill("6")
    assert gain.get_attribute("aria-valuetext") == "+6.0 dB"
    assert heard(page)["rms"] == pytest.approx(rms("low") * 10 ** (6 / 20), rel=0.02)
    gain.fill("-60")
    assert heard(page)["rms"] < 1e-4
    page.click("#reset")
    assert heard(page)["rms"] == pytest.approx(rms("low", "high"), rel=0.02)


@needs_browser
def test_clicks_on_pictures_go_there(page):
    for place in (".wave", ".spectrum"):
        target = page.locator(place).nth(1)
        box = target.bounding_box()
        target.click(position={"x": box["width"] * 0.6, "y": 20})
        assert page.evaluate("audiosepReport.time()") == pytest.approx(0.6 * SECONDS, abs=0.02)
        page.evaluate("audiosepReport.seek(0)")
    assert heard(page, at=0.6 * SECONDS)["peakHz"] == pytest.approx(660, abs=3)


@needs_browser
def test_it_ends_and_begins_again(page):
    page.evaluate(f"audiosepReport.seek({SECONDS - 0.3})")
    page.click("#play")
    until(page, "!audiosepReport.playing()")
    assert page.inner_text("#play") == "Play"
    assert page.evaluate("audiosepReport.time()") == SECONDS
    page.click("#play")
    until(page, "audiosepReport.playing() && audiosepReport.time() < 1")


@needs_browser
def test_stems_stay_together_to_the_sample(browser, tmp_path):
    """A noise and its opposite, each loud, cancel only where they are in step."""
    sound = files.noise(SR * 4, 1, peak=0.9)
    save(tmp_path / "out", {"one": sound, "other": -sound})
    write_report(tmp_path / "out", n_threads=1)
    with opened(browser, tmp_path / "out" / "report.html") as page:
        together = heard(page, at=0.7)["rms"]
        button(page, "Solo", "one").click()
        alone = heard(page, at=0.7)["rms"]
    assert alone > 0.3
    assert together < 1e-3 * alone


@needs_browser
def test_stems_above_full_scale_are_heard_as_loud_as_they_are(browser, tmp_path):
    made = {name: 4.0 * sound for name, sound in tones().items()}
    made["low"] -= made["high"]
    made["high"] *= 2
    place = tmp_path / "out"
    save(place, made)
    write_report(place, n_threads=1)
    data = data_of(outline(place))
    assert data["soundLevel"] > 1.2
    with opened(browser, place / "report.html") as page:
        assert heard(page)["rms"] == pytest.approx(4 * rms("low", "high"), rel=0.03)


@needs_browser
def test_hostile_names_are_seen_as_text(browser, stems, tmp_path):
    evil = made_evil(stems, tmp_path / "evil")
    write_report(evil, n_threads=1)
    with opened(browser, evil / "report.html") as page:
        assert page.locator("img").count() == 0
        assert page.asked == [(evil / "report.html").as_uri()]
        names = page.locator(".row h3").all_inner_texts()
        assert "</script><img src=x onerror=alert(1)>" in names[1]
        assert "\\u202egpj\\n" in names[1]
        assert "<img src=x onerror=alert(1)>" in page.inner_text("table")


@needs_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_serious_keeps_anyone_out(browser, components, scheme):
    with opened(browser, components / "report.html", quiet=False, color_scheme=scheme) as page:
        page.evaluate(gzip.decompress(AXE.read_bytes()).decode())
        found = page.evaluate("axe.run()")
        assert len(found["passes"]) > 25
        bad = [v for v in found["violations"] if v["impact"] in ("serious", "critical")]
        assert [(v["id"], [n["html"] for n in v["nodes"]]) for v in bad] == []


@needs_browser
def test_everything_is_reached_and_done_by_keyboard(page):
    page.evaluate("document.activeElement.blur()")
    seen = []
    for _ in range(40):
        page.keyboard.press("Tab")
        name = page.evaluate(
            """() => { const e = document.activeElement;
                 return e === document.body ? null
                   : e.getAttribute('aria-label') || e.labels?.[0]?.innerText || e.innerText; }"""
        )
        if name in seen:
            break
        if name is not None:
            seen.append(name)
    wanted = ["Play", "Position", "Reset mixer", "Hear it as it was: the mixture, all stems at "
              "their own level", "Mute low", "Solo low", "Gain of low", "Mute high", "Solo high",
              "Gain of high", "Command that repeats the run", "Copy", "Table of files"]  # fmt: skip
    assert [name for name in wanted if name not in seen] == []
    page.focus("#play")
    page.keyboard.press("Space")
    assert page.evaluate("audiosepReport.playing()"), "once, not twice"
    page.focus("#position")
    page.keyboard.press("Space")
    until(page, "!audiosepReport.playing()")
    page.keyboard.press("End")
    assert page.evaluate("audiosepReport.time()") == SECONDS
    button(page, "Solo", "high").focus()
    page.keyboard.press("Space")
    assert button(page, "Solo", "high").get_attribute("aria-pressed") == "true"
    assert not page.evaluate("audiosepReport.playing()"), "space presses what has the focus"
    page.get_by_label("Gain of high").focus()
    page.keyboard.press("ArrowLeft")
    assert page.get_by_label("Gain of high").input_value() == "-0.5"


@needs_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_fits_a_phone(browser, components, scheme):
    screen = {"width": 360, "height": 740}
    with opened(browser, components / "report.html", viewport=screen, color_scheme=scheme) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (paper == "rgb(255, 255, 255)") == (scheme == "light")


@needs_browser
def test_browsers_that_cannot_play_say_so(browser, stems, tmp_path):
    gone = "delete window.AudioContext; delete window.OfflineAudioContext;"
    with opened(browser, stems / "report.html", script=gone) as page:
        assert "has no Web Audio" in page.inner_text("#problem")
        assert page.locator("#play").is_disabled()
        page.keyboard.press("Space")
    text = (stems / "report.html").read_text(encoding="utf-8")
    damaged = re.sub(r'(id="sound-1">)[^<]+', r"\1AAAA", text)
    (tmp_path / "damaged.html").write_text(damaged, encoding="utf-8")
    with opened(browser, tmp_path / "damaged.html") as page:
        assert "cannot decode MP3" in page.inner_text("#problem")
        assert page.locator(".spectrum canvas").count() == 3


@pytest.fixture(scope="module")
def long_stems(tmp_path_factory):
    """Stems of more than ten minutes."""
    place = tmp_path_factory.mktemp("long") / "track #1%"
    part = tones(8000, 4.0)
    save(place, {name: np.tile(sound, 151) for name, sound in part.items()}, sr=8000)
    report = write_report(place)
    assert report.linked
    assert report.n_bytes < 2e6
    return place


@needs_browser
def test_long_recordings_play_the_stems_themselves(browser, long_stems):
    with opened(browser, long_stems / "report.html") as page:
        files_asked = sorted(Path(url).name for url in set(page.asked))
        assert files_asked == ["high.wav", "low.wav", "report.html"]
        assert "not to the sample" in page.inner_text(".remarks")
        page.evaluate("audiosepReport.seek(300)")
        page.click("#play")
        until(page, "audiosepReport.time() > 300.6")
        measured = page.evaluate("audiosepReport.measure()")
        assert max(measured["times"]) - min(measured["times"]) < 0.1
        assert measured["volumes"] == [1, 1]
        button(page, "Solo", "high").click()
        page.get_by_label("Gain of high").fill("-20")
        low, high = page.evaluate("audiosepReport.measure()")["volumes"]
        assert (low, high) == (0, pytest.approx(0.1))
        page.click("#play")
        assert not page.evaluate("audiosepReport.playing()")


@needs_browser
def test_long_recordings_whose_stems_are_elsewhere(browser, long_stems, tmp_path):
    write_report(long_stems, tmp_path / "page.html")
    with opened(browser, tmp_path / "page.html") as page:
        assert page.locator("#play").is_enabled()
    (tmp_path / "gone").mkdir()
    shutil.copy(long_stems / "report.html", tmp_path / "gone" / "report.html")
    with opened(browser, tmp_path / "gone" / "report.html", quiet=False) as page:
        assert re.search(r"(low|high)\.wav cannot be played", page.inner_text("#problem"))
        assert page.locator("#play").is_disabled()
