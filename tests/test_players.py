"""What notebooks show: players that play what is there, and markup that harms nobody."""

from __future__ import annotations

import base64
import html.parser
import io
import re
from pathlib import Path

import numpy as np
import pytest
import scenes
import soundfile
from shown import ODD, SR, audio_of, separation_of

import audiosep
from audiosep.plots.players import MOST_BYTES
from audiosep.types import Stop

CHROMIUM = Path("/usr/bin/chromium")


@pytest.fixture(scope="module")
def band():
    return separation_of(scenes.band(SR, 2.0))


class Markup(html.parser.HTMLParser):
    """All elements with their attributes, and all text."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.elements, self.words, self.open = [], [], []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in ("img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def check_markup(text):
    """Nothing but what every notebook shows, and nothing that runs or loads."""
    markup = Markup()
    markup.feed(text)
    markup.close()
    assert markup.open == []
    allowed = {"div", "p", "strong", "bdi", "img", "audio", "ul", "li"}
    assert {tag for tag, _ in markup.elements} <= allowed
    for _, attributes in markup.elements:
        assert not any(name.startswith("on") for name in attributes)
        assert re.match(
            r"data:(image/png|audio/mpeg);base64,", attributes.get("src", "data:image/png;base64,")
        )
        assert "url(" not in attributes.get("style", "")
    return markup


def players(text):
    for tag, attributes in check_markup(text).elements:
        if tag == "audio":
            content = base64.b64decode(attributes["src"].partition(",")[2])
            yield attributes["aria-label"], soundfile.read(io.BytesIO(content), always_2d=True)


def test_every_stem_is_heard_as_it_is(band):
    heard = dict(players(band._repr_html_()))
    assert list(heard) == ["mixture", "bass", "chords", "drums"]
    for name, (samples, sr) in heard.items():
        true = (band.stems | {"mixture": band.mixture})[name].samples[0]
        assert sr == SR
        assert abs(len(samples) - len(true)) < 0.3 * SR
        # The encoder delays; levels and spectra stay.
        assert np.std(samples) == pytest.approx(np.std(true), rel=0.15)
        spectra = [np.abs(np.fft.rfft(x, 1 << 15))[:12000] for x in (samples[:, 0], true)]
        assert np.corrcoef(*spectra)[0, 1] > 0.9


def test_a_separation_tells_what_was_decided(band):
    record = {
        "preset": "auto",
        "method": "stems",
        "notes": ["Drums were heard."],
        "warnings": ["Short."],
    }
    shown = separation_of({"a": np.ones(SR)}, record=record)._repr_html_()
    words = " ".join(check_markup(shown).words)
    for expected in (
        "preset auto (method stems)",
        "Drums were heard.",
        "Short.",
        "1.0 s",
        "8000 Hz",
    ):
        assert expected in words
    images = [a["alt"] for tag, a in check_markup(shown).elements if tag == "img"]
    assert len(images) == 2
    assert "Spectrogram of mixture" in images[0]


def test_hostile_names_are_text():
    name = "<script>alert(1)</script>\"' onload=x"
    record = {
        "input": {"path": f"/home/someone/{name}.wav"},
        "notes": [name],
        "warnings": ["</div>"],
    }
    shown = separation_of({name: np.ones(900)}, record=record)._repr_html_()
    markup = check_markup(shown)
    assert "<script" not in shown
    assert name in markup.words
    assert "/home/someone" not in shown
    assert name in [a.get("aria-label") for tag, a in markup.elements if tag == "audio"]


def test_long_recordings_are_played_in_part(monkeypatch):
    monkeypatch.setattr("audiosep.plots.players.MOST_BYTES", 600_000)
    noise = np.random.default_rng(0).uniform(-0.1, 0.1, 60 * SR).astype(np.float32)
    shown = separation_of({"a": noise, "b": noise})._repr_html_()
    assert len(shown) <= 600_000
    heard = list(players(shown))
    assert len(heard) == 3
    seconds = len(heard[0][1][0]) / SR
    assert 5 < seconds < 30
    words = " ".join(check_markup(shown).words)
    (told,) = re.findall(r"The players hold the first ([\d.]+) s of 1:00", words)
    assert float(told) == pytest.approx(seconds, abs=0.3)


@pytest.mark.slow
def test_three_minutes_stay_small():
    sr = 44100
    rng = np.random.default_rng(0)
    noise = rng.uniform(-0.1, 0.1, (2, 180 * sr)).astype(np.float32)
    song = separation_of(dict.fromkeys(("a", "b", "c", "d"), noise), sr)
    shown = song._repr_html_()
    assert len(shown) <= MOST_BYTES < 5e6
    heard = list(players(shown))
    assert len(heard) == 5
    assert 47 < len(heard[0][1][0]) / sr < 50
    assert "The players hold the first 48.0 s of 3:00" in " ".join(check_markup(shown).words)


def test_many_stems_stay_small(monkeypatch):
    rng = np.random.default_rng(0)
    stems = {f"s{i}": rng.uniform(-0.01, 0.01, (1, 4 * SR)) for i in range(30)}
    monkeypatch.setattr("audiosep.plots.players.MOST_BYTES", 900_000)
    shown = separation_of(stems)._repr_html_()
    assert len(shown) <= 900_000
    assert len(list(players(shown))) == 31


def test_what_is_above_full_scale_is_turned_down_together():
    t = scenes.time_axis(SR, 1.0)
    stems = {"loud": 4 * np.sin(2 * np.pi * 440 * t), "soft": 0.4 * np.sin(2 * np.pi * 330 * t)}
    shown = separation_of(stems)._repr_html_()
    heard = {name: np.std(samples[1000:7000]) for name, (samples, _) in players(shown)}
    assert heard["loud"] / heard["soft"] == pytest.approx(10, rel=0.1)
    assert heard["loud"] < 0.75
    assert "turned down by 12" in shown or "turned down by 13" in shown


def test_many_channels_are_folded_for_listening():
    shown = audio_of(np.tile(np.sin(np.arange(8000.0) / 5), (6, 1)))._repr_html_()
    ((_, (samples, _)),) = players(shown)
    assert samples.shape[1] == 1
    assert "fold 6 channels into one" in shown


def test_without_an_encoder_the_reason_is_told(monkeypatch):
    def fail(*_args, **_others):
        raise audiosep.errors.OutputError("sound cannot be written as MP3 here.")

    monkeypatch.setattr("audiosep.plots.players.mp3_of", fail)
    shown = audio_of(np.ones(800))._repr_html_()
    assert "<audio" not in shown
    assert "There are no players: sound cannot be written as MP3 here." in shown


def test_a_separation_is_short_in_words(band):
    assert repr(band) == "<Separation of 2.0 s into 'bass', 'chords', 'drums'>"


def test_a_real_factorization_shows_itself():
    audio = audio_of(scenes.mixture(scenes.tones_and_clicks(SR, 1.0)))
    found = audiosep.nmf.factorize(audiosep.stft(audio).magnitude(), 3, max_iter=5, seed=0)
    shown = found._repr_html_()
    assert "3 components" in shown
    assert Stop.MAX_ITER.value in shown
    assert shown.count("<img") == 1
    check_markup(shown)


def test_components_behind_stems_are_shown():
    audio = audio_of(scenes.mixture(scenes.tones_and_clicks(SR, 1.0)))
    made = audiosep.separate(audio, preset="components", n_components=3, max_iter=2)
    images = [a["alt"] for tag, a in check_markup(made._repr_html_()).elements if tag == "img"]
    assert len(images) == 1 + len(made.stems) + 1
    assert images[-1] == "Templates and activations of the components"


@pytest.mark.parametrize("samples", ODD.values(), ids=ODD)
def test_odd_separations_are_shown(samples):
    both = separation_of({"one": samples / 2, "two": samples / 2})
    assert len(list(players(both._repr_html_()))) == 3


def _why_no_browser():
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError:
        return "playwright is not installed"
    return "" if CHROMIUM.exists() else f"there is no {CHROMIUM}"


@pytest.mark.skipif(bool(_why_no_browser()), reason=_why_no_browser() or "-")
def test_a_browser_plays_and_paints_it(band, tmp_path):
    from playwright.sync_api import sync_playwright

    page_of = tmp_path / "notebook.html"
    # As strict as a page may be that shows notebooks: what is in it, and nothing else.
    policy = "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'"
    page_of.write_text(
        f'<!doctype html><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" '
        f'content="{policy}"><title>x</title>{band._repr_html_()}',
        encoding="utf-8",
    )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(CHROMIUM), headless=True, args=["--no-sandbox"]
        )
        page = browser.new_page()
        said = []
        page.on("console", lambda message: said.append(message.text))
        page.goto(page_of.as_uri())
        page.wait_for_function(
            "[...document.querySelectorAll('audio')].every(a => a.readyState >= 1)"
        )
        seconds = page.eval_on_selector_all("audio", "all => all.map(a => a.duration)")
        widths = page.eval_on_selector_all("img", "all => all.map(i => i.naturalWidth)")
        browser.close()
    assert said == []
    assert len(seconds) == len(widths) == 4
    assert seconds == pytest.approx([2.0] * 4, abs=0.3)
    assert min(widths) > 100
