"""How soon a correction is heard in the studio, in Chromium.

    python scripts/bench_studio.py [--minutes 3] [--times 5]

The example band, in stereo at 44.1 kHz, repeated up to that length and separated with the preset
components into four stems. ``move``: from a click on Move, while all plays, until the new sounds
play. ``paint``: from a click on Fit again until the new stems are there and play, for the first
30 s. Medians of so many, and the largest. Needs ``pip install "audiosep[studio]" playwright`` and
Debian's chromium.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import numpy as np
import soundfile
import soxr
from playwright.sync_api import Page, sync_playwright

import audiosep

EXAMPLES = Path(__file__).resolve().parent.parent / "examples" / "audio"
CHROMIUM = "/usr/bin/chromium"
SR = 44_100
PAINTED_S = 30.0


def recording(path: Path, seconds: float) -> Path:
    """The band in stereo, again and again."""
    band = audiosep.read(EXAMPLES / "band" / "mixture.flac")
    once = soxr.resample(band.samples[0], band.sr, SR)
    n = int(seconds * SR)
    mono = np.tile(once, -(-n // len(once)))[:n]
    soundfile.write(path, np.stack([mono, np.roll(mono, 20)], axis=1), SR, subtype="PCM_16")
    return path


def separated(folder: Path, seconds: float) -> Path:
    source = recording(folder / f"{seconds:.0f}s.wav", seconds)
    settings = {"preset": "components", "n_sources": 4, "n_components": 20, "max_iter": 30}
    audiosep.Separator(**settings).split(source, folder / source.stem)
    return folder / source.stem


@contextmanager
def page_of(place: Path) -> Iterator[Page]:
    command = [sys.executable, "-m", "audiosep", "studio", str(place), "--no-browser"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=place.parent)
    try:
        address = process.stdout.readline().strip()
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=CHROMIUM,
                headless=True,
                args=["--no-sandbox", "--autoplay-policy=no-user-gesture-required"],
            )
            page = browser.new_page(viewport={"width": 1280, "height": 720})
            page.goto(address)
            until(page, "audiosepStudio.state()?.open?.drawing")
            yield page
            browser.close()
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(20)


def until(page: Page, condition: str, longest_s: float = 300.0) -> None:
    end = time.monotonic() + longest_s
    while not page.evaluate(condition):
        if time.monotonic() > end:
            raise TimeoutError(f"{condition}: {page.inner_text('header')}")
        time.sleep(0.02)


def moves(place: Path, times: int) -> list[float]:
    """Seconds from a click until the new sounds play, each in another place of the recording."""
    took = []
    with page_of(place) as page:
        page.click("#play")
        until(page, "audiosepStudio.time() > 1")
        duration = page.evaluate("audiosepStudio.state().open.samples") / SR
        for n in range(times):
            page.evaluate(f"audiosepStudio.seek({(n + 0.3) * duration / times})")
            if not page.evaluate("audiosepStudio.playing()"):  # it came to its end
                page.click("#play")
            time.sleep(1.0)
            owner = page.evaluate(f"audiosepStudio.state().open.owners[{n}]")
            stems = page.evaluate("audiosepStudio.state().open.stems.map(stem => stem.name)")
            target = next(stem for place, stem in enumerate(stems) if place != owner)
            choice = page.get_by_label(f"Stem that component {n + 1} goes to", exact=True)
            choice.select_option(target)
            before = page.evaluate("audiosepStudio.moveTook()")
            name = f"Move component {n + 1} there"
            page.get_by_role("button", name=name, exact=True).click()
            until(page, f"audiosepStudio.moveTook() !== {'null' if before is None else before}")
            took.append(page.evaluate("audiosepStudio.moveTook()") / 1000)
            # The next one begins when this one is on the disk, as it would with a person.
            until(page, "audiosepStudio.state().open.stems.every(stem => stem.picture)")
    return took


def paints(place: Path, times: int) -> list[float]:
    """Seconds from Fit again until all new stems play."""
    took = []
    with page_of(place) as page:
        page.click("#play")
        for _ in range(times):
            at = page.evaluate("audiosepStudio.state().open.at")
            for name, value in {"from-s": 3, "to-s": 5, "low-hz": 200, "high-hz": 900}.items():
                page.fill(f"#{name}", str(value))
            page.get_by_role("button", name="Add region").click()
            page.evaluate("audiosepStudio.seek(3)")
            began = time.perf_counter()
            page.get_by_role("button", name="Fit again").click()
            until(page, f"audiosepStudio.state().open.at === {at + 1}")
            until(page, "audiosepStudio.tuned()")
            took.append(time.perf_counter() - began)
            page.click("#undo")
            until(page, f"audiosepStudio.state().open.at === {at}")
    return took


def say(name: str, took: list[float]) -> None:
    print(
        f"{name:<6} {median(took):6.2f} s  (largest {max(took):.2f} s of {len(took)})", flush=True
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--times", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        say("move", moves(separated(Path(folder), 60 * options.minutes), options.times))
        say("paint", paints(separated(Path(folder), PAINTED_S), options.times))


if __name__ == "__main__":
    main()
