"""The studio in a real browser: what is heard, seen and done, also by keyboard alone."""

from __future__ import annotations

import gzip
import time
from contextlib import contextmanager

import files
import numpy as np
import pytest
from reports import made_evil, save
from studios import (
    AXE,
    CHROMIUM,
    NUMBERS,
    SR,
    TONES,
    mixed,
    needs_browser,
    needs_studio,
    rms,
    studio,
)

from audiosep.projects import load_project
from audiosep.replaying import replay

pytestmark = [needs_studio, needs_browser]

AT = 0.5
"""A second of the recording."""


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


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    home = tmp_path_factory.mktemp("studio")
    with studio(home, mixed(home)) as one:
        yield one


@contextmanager
def window(browser, one, *, quiet=True, **options):
    """A window with the studio; whatever it complains about is wrong."""
    context = browser.new_context(viewport={"width": 1280, "height": 720}, **options)
    page = context.new_page()
    page.set_default_timeout(20_000)
    said = []
    # Refusals are wanted here, and Chromium tells of them in its own words.
    page.on("console", lambda m: "status of 4" in m.text or said.append(m.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(one.address)
    try:
        yield page
        if quiet:
            assert said == []
    finally:
        context.close()


@pytest.fixture(scope="module")
def shown(browser, running):
    with window(browser, running) as page:
        until(page, "audiosepStudio.state()?.open?.drawing")
        page.running = running
        yield page


@pytest.fixture
def page(shown):
    """The page with nothing but the opened stems, silent, at its beginning."""
    stop(shown)
    while shown.running.state()["open"]["at"] > 0:
        shown.running.do("undo")
    until(shown, "audiosepStudio.state().open.at === 0")
    until(shown, "document.querySelectorAll('.row').length === 3")
    shown.click("#reset")
    shown.evaluate("audiosepStudio.seek(0)")
    return shown


def stop(page):
    if page.evaluate("audiosepStudio.playing()"):
        page.click("#play")


def until(page, condition, longest_s=40.0):
    """Wait for something; the page forbids Playwright's own way, which is to evaluate text."""
    end = time.monotonic() + longest_s
    while not page.evaluate(condition):
        assert time.monotonic() < end, (condition, page.inner_text("header"))
        time.sleep(0.05)


# In the page itself: on a busy computer, whoever asks from outside comes too late.
_PLAYED = """async ([at, longest]) => {
  const studio = window.audiosepStudio;
  const end = performance.now() + 30000;
  const pause = () => new Promise((resolve) => { setTimeout(resolve, 15); });
  while (performance.now() < end) {
    studio.seek(at);
    if (!studio.playing()) document.getElementById("play").click();
    do await pause(); while (performance.now() < end && studio.time() < at + 0.4);
    const wave = studio.wave();
    if (studio.playing() && studio.time() < at + longest) return { ...studio.measure(), wave };
  }
  return null;
}"""


def heard(page, at=AT, longest=2.0):
    """Level, loudest frequency and samples of the 0.26 s heard last, soon after `at`."""
    if page.evaluate("audiosepStudio.playing()"):
        page.click("#play")
    found = page.evaluate(_PLAYED, [at, longest])
    assert found, page.inner_text("header")
    return found


def amplitude(*tones):
    return rms(*(TONES[hz] for hz in tones))


def button(page, name):
    return page.get_by_role("button", name=name, exact=True)


def steps(page):
    return page.evaluate("audiosepStudio.state().open.at")


# --- listening ----------------------------------------------------------------------------------


def test_all_stems_are_heard_together(page):
    assert page.title() == "mix \u2013 audiosep studio"
    assert "token" not in page.url
    assert page.locator(".row h3").all_inner_texts() == ["Mixture", "low", "high"]
    together = heard(page)
    assert together["state"] == "running"
    assert together["sampleRate"] == SR
    assert together["peakHz"] == pytest.approx(440, abs=3)
    assert together["rms"] == pytest.approx(amplitude(*TONES), rel=0.03)
    colours = page.evaluate(
        """() => [...document.querySelectorAll('.row canvas')].map(canvas => {
             const pen = canvas.getContext('2d');
             const data = pen.getImageData(0, 0, canvas.width, canvas.height).data;
             return new Set(new Uint32Array(data.buffer)).size; })"""
    )
    assert len(colours) == 3
    assert min(colours) > 10


def test_solo_mute_and_gain_are_heard(page):
    button(page, "Solo high").click()
    alone = heard(page)
    assert alone["peakHz"] == pytest.approx(2500, abs=3)
    assert alone["rms"] == pytest.approx(amplitude(2500), rel=0.05)
    button(page, "Solo high").click()
    button(page, "Mute high").click()
    assert heard(page)["rms"] == pytest.approx(amplitude(440, 1000), rel=0.05)
    page.get_by_label("Gain of low").fill("-6")
    quieter = amplitude(440, 1000) * 10 ** (-6 / 20)
    assert heard(page)["rms"] == pytest.approx(quieter, rel=0.05)
    page.click("#whole")
    assert heard(page)["rms"] == pytest.approx(amplitude(*TONES), rel=0.03)
    page.click("#whole")
    button(page, "Mute low").click()
    assert heard(page)["rms"] < 1e-4


def test_blocks_join_without_a_seam(page):
    """Across the end of a block, 4 s, a tone goes on as if nothing was."""
    button(page, "Solo high").click()
    # What is returned are 0.26 s that end 0.4 to 0.5 s later: the seam is among them.
    wave = np.array(heard(page, 3.7, longest=0.5)["wave"])
    assert np.abs(wave).max() == pytest.approx(TONES[2500], rel=0.05)
    # A tone is told by its two samples before, but for where it breaks off.
    rest = wave[2:] - 2 * np.cos(2 * np.pi * 2500 / SR) * wave[1:-1] + wave[:-2]
    assert np.abs(rest).max() < 0.1 * TONES[2500]


def test_a_component_is_heard_alone(page):
    number = NUMBERS[1000]
    button(page, f"Hear alone: component {number}").click()
    alone = heard(page)
    assert alone["peakHz"] == pytest.approx(1000, abs=3)
    assert alone["rms"] == pytest.approx(amplitude(1000), rel=0.1)
    button(page, f"Hear alone: component {number}").click()
    assert heard(page)["rms"] == pytest.approx(amplitude(*TONES), rel=0.03)


def test_it_ends_and_begins_again(page):
    page.evaluate("audiosepStudio.seek(5.7)")
    page.click("#play")
    until(page, "!audiosepStudio.playing() && audiosepStudio.time() === 6")
    assert page.inner_text("#play") == "Play"
    page.click("#play")
    until(page, "audiosepStudio.playing() && audiosepStudio.time() < 2")


def test_clicks_on_spectrograms_go_there(page):
    target = page.locator(".spectrum").nth(1)
    box = target.bounding_box()
    target.click(position={"x": box["width"] * 0.6, "y": 20})
    assert page.evaluate("audiosepStudio.time()") == pytest.approx(3.6, abs=0.03)


# --- correcting ---------------------------------------------------------------------------------


def test_a_component_moves_while_it_plays_and_back(page):
    number = NUMBERS[1000]
    button(page, "Solo high").click()
    assert heard(page)["peakHz"] == pytest.approx(2500, abs=3)
    page.get_by_label(f"Stem that component {number} goes to", exact=True).select_option("high")
    button(page, f"Move component {number} there").click()
    until(page, "audiosepStudio.state().open.at === 1")
    moved = heard(page)
    assert moved["peakHz"] == pytest.approx(1000, abs=3)
    assert moved["rms"] == pytest.approx(amplitude(1000, 2500), rel=0.05)
    assert f"{number}, in high" in page.locator(".component").nth(number - 1).inner_text()
    # Its pictures follow when it is written; then it sounds the same.
    until(page, "audiosepStudio.state().open.stems.every(stem => stem.picture)")
    assert heard(page)["rms"] == pytest.approx(moved["rms"], rel=0.01)
    page.click("#undo")
    until(page, "audiosepStudio.state().open.at === 0")
    assert heard(page)["rms"] == pytest.approx(amplitude(2500), rel=0.05)
    page.click("#redo")
    until(page, "audiosepStudio.state().open.at === 1")
    assert heard(page)["peakHz"] == pytest.approx(1000, abs=3)


def test_a_component_is_dragged_onto_another_stem(page):
    number = NUMBERS[2500]
    row = page.locator(".row").nth(1)
    page.locator(".component").nth(number - 1).locator("figcaption").drag_to(row)
    until(page, "audiosepStudio.state().open.at === 1")
    assert page.locator(".row h3").all_inner_texts() == ["Mixture", "low"], "none is left of high"
    assert heard(page)["rms"] == pytest.approx(amplitude(*TONES), rel=0.03)


def test_stems_are_renamed_and_merged(page):
    page.get_by_text("Rename or merge").first.click()
    page.get_by_label("New name of low", exact=True).fill("bass / drums")
    button(page, "Rename low").click()
    until(page, "!document.getElementById('problem').hidden")
    assert "cannot name a stem" in page.inner_text("#problem")
    page.get_by_label("New name of low", exact=True).fill("bass & drums")
    button(page, "Rename low").click()
    until(page, "document.querySelectorAll('.row h3')[1].innerText === 'bass & drums'")
    assert page.locator("#problem").is_hidden()
    page.get_by_text("Rename or merge").last.click()
    page.get_by_label("Stem that high goes into", exact=True).select_option("bass & drums")
    button(page, "Merge high into it").click()
    until(page, "document.querySelectorAll('.row').length === 2")
    assert heard(page)["rms"] == pytest.approx(amplitude(*TONES), rel=0.03)


def test_a_painted_region_becomes_a_stem(page):
    """A rectangle drawn over the tone of 1000 Hz, into a new stem."""
    row = page.locator(".spectrum").nth(1)
    row.scroll_into_view_if_needed()
    box = row.bounding_box()
    low, high = page.evaluate(
        "[audiosepStudio.state().open.drawing.lowestHz, "
        "audiosepStudio.state().open.drawing.highestHz]"
    )

    def y(hz):
        return box["y"] + box["height"] * (1 - np.log(hz / low) / np.log(high / low))

    page.mouse.move(box["x"] + 1, y(1500))
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 1, y(700), steps=5)
    page.mouse.up()
    assert float(page.input_value("#low-hz")) == pytest.approx(700, rel=0.05)
    assert float(page.input_value("#high-hz")) == pytest.approx(1500, rel=0.05)
    assert float(page.input_value("#to-s")) == pytest.approx(6.0, abs=0.05)
    page.select_option("#paint-stem", "new-1")
    button(page, "Add region").click()
    assert page.locator("#regions li").count() == 1
    assert page.locator(".region").count() == 1, "on the mixture"
    button(page, "Fit again").click()
    until(page, "audiosepStudio.state().open.stems.length === 3")
    assert page.locator(".row h3").last.inner_text() == "new-1"
    button(page, "Solo new-1").click()
    painted = heard(page)
    assert painted["peakHz"] == pytest.approx(1000, abs=3)
    assert painted["rms"] > 0.8 * amplitude(1000)
    button(page, "Solo new-1").click()
    assert heard(page)["rms"] == pytest.approx(amplitude(*TONES), rel=0.03)
    assert page.locator("#components").is_hidden(), "they describe these stems no more"
    assert page.locator("#regions li").count() == 0
    page.get_by_text("Rename or merge").last.click()
    page.get_by_label("New name of new-1", exact=True).fill("flute")
    button(page, "Rename new-1").click()
    until(page, "audiosepStudio.state().open.stems[2].name === 'flute'")
    button(page, "Solo flute").click()
    assert heard(page)["peakHz"] == pytest.approx(1000, abs=3)
    assert page.locator("#problem").is_hidden()


# --- by keyboard, by everyone -------------------------------------------------------------------


def named(page):
    return page.evaluate(
        """() => { const e = document.activeElement;
             return e === document.body ? null
               : e.getAttribute('aria-label') || e.labels?.[0]?.innerText || e.innerText; }"""
    )


def test_everything_is_reached_by_keyboard(page):
    page.evaluate("document.activeElement.blur()")
    seen = []
    for _ in range(80):
        page.keyboard.press("Tab")
        name = named(page)
        if name in seen:
            break
        if name is not None:
            seen.append(name.strip())
    number = NUMBERS[440]
    wanted = [
        *("Play", "Position", "Reset mixer", "Mute low", "Solo low", "Gain of low"),
        *("Rename or merge low", "Mute high", f"Hear alone: component {number}"),
        *(f"Stem that component {number} goes to", f"Move component {number} there"),
        *("Add region", "Save stems", "Learn", "Close, and open another recording"),
        "Hear it as it was: the mixture, all stems at their own level",
    ]
    assert [name for name in wanted if name not in seen] == []


def test_corrections_by_keyboard_alone(page):
    number = NUMBERS[440]
    page.get_by_label(f"Stem that component {number} goes to", exact=True).focus()
    page.keyboard.press("End")  # a new stem
    page.keyboard.press("Tab")
    assert named(page) == f"Move component {number} there"
    page.keyboard.press("Enter")
    until(page, "audiosepStudio.state().open.at === 1")
    until(page, "document.querySelectorAll('.row').length === 4")
    assert page.locator(".row h3").last.inner_text() == "new-1"
    page.focus("#from-s")
    for typed in ("2", "4", "800", "1200"):
        page.keyboard.press("Control+A")
        page.keyboard.type(typed)
        page.keyboard.press("Tab")
    assert page.input_value("#from-s") == "2"
    page.focus("#paint-stem")
    page.keyboard.type("high")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.inner_text("#regions li").startswith("2 to 4 s, 800 Hz to 1200 Hz belongs to high")
    page.focus("#undo")
    page.keyboard.press("Space")
    until(page, "audiosepStudio.state().open.at === 0")
    assert not page.evaluate("audiosepStudio.playing()"), "space presses what has the focus"
    button(page, "Remove region 1").click()
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("Space")
    until(page, "audiosepStudio.playing()")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_serious_keeps_anyone_out(browser, page, scheme):
    with window(browser, page.running, quiet=False, color_scheme=scheme) as other:
        until(other, "document.querySelectorAll('.component').length === 3")
        assert other.evaluate("document.documentElement.scrollWidth") <= 1280
        box = other.locator("#play").bounding_box()
        assert box["y"] + box["height"] < 720
        paper = other.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (paper == "rgb(255, 255, 255)") == (scheme == "light")
        for summary in other.locator("summary").all():
            summary.click()
        other.fill("#from-s", "1")
        other.fill("#to-s", "2")
        button(other, "Add region").click()
        other.evaluate(gzip.decompress(AXE.read_bytes()).decode())
        # Of all rules, only those of colours depend on the scheme.
        chosen = {} if scheme == "light" else {"runOnly": ["color-contrast"]}
        found = other.evaluate("chosen => axe.run(chosen)", chosen)
        assert len(found["passes"]) >= (26 if scheme == "light" else 1)
        bad = [v for v in found["violations"] if v["impact"] in ("serious", "critical")]
        assert [(v["id"], [n["html"] for n in v["nodes"]]) for v in bad] == []


# --- several windows, ends ----------------------------------------------------------------------


def test_two_windows_show_the_same(browser, page):
    number = NUMBERS[1000]
    with window(browser, page.running) as other:
        until(other, "document.querySelectorAll('.component').length === 3")
        button(other, f"Move component {number} there").click()
        until(page, "audiosepStudio.state().open.at === 1")
        assert page.locator(".component").nth(number - 1).inner_text().startswith(f"{number}, in h")
        # One that has not heard of it yet is told, and changes nothing.
        done = other.evaluate(
            """async () => (await fetch('/api/do/undo', {method: 'POST', body: JSON.stringify(
                 {version: audiosepStudio.state().version})})).status"""
        )
        assert done == 200
        until(page, "audiosepStudio.state().open.at === 0")


def test_from_a_file_to_saved_stems_and_the_end(browser, running, tmp_path):
    source = files.write_sound(tmp_path / "take #1.wav", files.noise(SR, 2), SR)
    words = tmp_path / "words.wav"
    words.write_text("no sound")
    with studio(tmp_path) as one, window(browser, one, quiet=False) as page:
        until(page, "audiosepStudio.state()")
        page.set_input_files("#file", str(words))
        until(page, "!document.getElementById('problem').hidden")
        assert "Words.wav is not audio" in page.inner_text("#problem")
        page.set_input_files("#file", str(source))
        until(page, "audiosepStudio.state().recording")
        assert page.locator("#problem").is_hidden()
        assert "1.0 s, 32000 Hz, stereo" in page.inner_text("#split")
        page.select_option("#preset", "components")
        page.fill("#sources", "2")
        page.evaluate(
            """() => { window.seen = new Set(); setInterval(() => { const job =
                 audiosepStudio.state().job; if (job) seen.add(job.stage); }, 20); }"""
        )
        button(page, "Separate").click()
        until(page, "document.querySelectorAll('.row').length === 3")
        assert page.evaluate("[...seen]"), "work was seen"
        assert page.locator("h1").inner_text() == "take #1"
        page.get_by_role("button", name="Save stems").click()
        until(page, "document.getElementById('notice').textContent.startsWith('Saved')")
        place = tmp_path / "separated" / "take #1"
        assert (place / "project.json").is_file()
        replay(load_project(place / "project.json"), out=tmp_path / "r", source=source)
        for stem in place.glob("*.wav"):
            assert (tmp_path / "r" / stem.name).read_bytes() == stem.read_bytes()
        # Unsaved work is asked for before it is lost.
        page.get_by_text("Rename or merge").first.click()
        page.get_by_role("textbox", name="New name of").first.fill("else")
        page.get_by_role("button", name="Rename").first.click()
        until(page, "audiosepStudio.state().open.unsaved")
        page.click("#close")
        assert page.locator("#sure").is_visible()
        page.click("#sure-no")
        assert page.locator(".row").count() == 3
        asked = []
        page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
        page.reload()
        assert asked == ["beforeunload"]
        until(page, "document.querySelectorAll('.row').length === 3")
        page.click("#close")
        page.click("#sure-yes")
        until(page, "!audiosepStudio.state().open")
        # And when the studio ends, the page says so.
        assert one.end() == 0
        until(page, "document.getElementById('problem').textContent.includes('it was stopped')")
        assert one.left() == []


def test_hostile_names_are_text_and_stems_stay_together_to_the_sample(browser, tmp_path):
    """A noise and its opposite cancel only where they are in step, also beyond a block."""
    sound = files.noise(SR * 6, 1, peak=0.9)
    place = save(tmp_path / "noises", {"low": sound, "high": -sound})
    evil = made_evil(place, tmp_path / "evil")
    name = "<img src=x onerror=alert(1)>.wav"
    with studio(tmp_path, evil) as one, window(browser, one) as page:
        until(page, "document.querySelectorAll('.row').length === 3")
        assert page.locator("img").count() == 0
        assert (
            "</script><img src=x onerror=alert(1)>" in page.locator(".row h3").nth(1).inner_text()
        )
        assert page.locator("#components").is_hidden()
        together = heard(page, at=3.7)["rms"]
        button(page, "Solo high").click()
        alone = heard(page, at=3.7)["rms"]
        assert alone > 0.3
        assert together < 1e-3 * alone
        button(page, "Close, and open another recording").click()
        until(page, "!audiosepStudio.state().open")
        (tmp_path / name).write_bytes((place / "low.wav").read_bytes())
        page.set_input_files("#file", str(tmp_path / name))
        until(page, "audiosepStudio.state().recording")
        assert page.inner_text("h1") == name
        assert page.locator("img").count() == 0
