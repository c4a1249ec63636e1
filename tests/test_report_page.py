"""The listening report in a real browser: what is heard and seen, and by whom."""

from __future__ import annotations

import gzip
import re
import shutil
import time
from contextlib import contextmanager
from pathlib import Path

import files
import numpy as np
import pytest
from reports import (
    LEVELS,
    SECONDS,
    SR,
    data_of,
    made_evil,
    outline,
    reported_components,
    reported_tones,
    save,
    tones,
)

from audiosep.report import write_report

AXE = Path(__file__).parent / "vendor" / "axe.min.js.gz"
CHROMIUM = Path("/usr/bin/chromium")


@pytest.fixture(scope="module")
def stems(tmp_path_factory):
    return reported_tones(tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def components(tmp_path_factory):
    return reported_components(tmp_path_factory.mktemp("components"))


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
    # What is measured are the last 8192 samples: 0.51 s.
    until(page, f"audiosepReport.time() > {at} + 0.65")
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
