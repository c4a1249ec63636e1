"""The listening report of a song: how large it is, and how fast it opens in Chromium.

    python scripts/bench_report.py [--minutes 3] [--times 5]

The four true stems of the example song, in stereo at 44.1 kHz, repeated up to that length. Needs
``pip install playwright`` and Debian's chromium. Times are medians; ``opens`` is the load event of
the page, opened from disk in a new window, ``seen`` the first time that anything is painted,
``can play`` when all stems are decoded. Whatever the page says on the console or asks for besides
itself is printed.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
import soxr
from playwright.sync_api import Browser, sync_playwright

import audiosep
from audiosep.report import write_report

EXAMPLES = Path(__file__).resolve().parent.parent / "examples" / "audio"
CHROMIUM = "/usr/bin/chromium"
SR = 44_100
PLACES = {"vocals": 0.5, "drums": 0.6, "bass": 0.4, "chords": 0.7}


def stems_of(seconds: float) -> dict[str, audiosep.Audio]:
    stems = {}
    for name, place in PLACES.items():
        audio = audiosep.read(EXAMPLES / "song" / f"ref_{name}.flac")
        samples = soxr.resample(audio.samples[0], audio.sr, SR)
        times = int(np.ceil(seconds * SR / len(samples)))
        long = np.tile(samples, times)[: int(seconds * SR)]
        wide = np.stack([long * (1 - place), long * place]).astype(np.float32)
        stems[name] = audiosep.Audio(samples=wide, sr=SR)
    return stems


def save(stems: dict[str, audiosep.Audio], place: Path) -> None:
    """Write stems that are known as those of a separation are written."""
    mixture = audiosep.Audio(samples=sum(one.samples for one in stems.values()), sr=SR)
    made = audiosep.separate(
        EXAMPLES / "song" / "mixture.flac", preset="harmonic-percussive", duration=1.0
    )
    about = {"sr": SR, "n_channels": mixture.n_channels, "n_samples": mixture.n_samples}
    record = {**made.record, "input": {**made.record["input"], **about}}
    known = replace(made, stems=stems, mixture=mixture, factorization=None, record=record)
    known.save(place, bits=16)


def opened(browser: Browser, path: Path) -> dict[str, float]:
    page = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
    page.on("console", lambda message: print(f"console: {message.text}"))
    page.on("pageerror", lambda error: print(f"error: {error}"))
    page.on(
        "request",
        lambda request: request.url == path.as_uri() or print(f"request: {request.url}"),
    )
    began = time.perf_counter()
    page.goto(path.as_uri())
    loaded = time.perf_counter() - began
    page.evaluate("audiosepReport.ready")
    ready = time.perf_counter() - began
    seen = page.evaluate(
        "performance.getEntriesByName('first-contentful-paint').map(e => e.startTime)[0] / 1000"
    )
    if page.locator("#problem").is_visible():
        print(f"problem: {page.inner_text('#problem')}")
    page.context.close()
    return {"opens": loaded, "seen": seen, "can play": ready}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--times", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        place = Path(folder) / "song"
        save(stems_of(60 * args.minutes), place)
        began = time.perf_counter()
        report = write_report(place)
        written = time.perf_counter() - began
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, headless=True, args=["--no-sandbox"]
        )
        times = [opened(browser, report.path.resolve()) for _ in range(args.times)]
        browser.close()
    print(f"size      {report.n_bytes / 1e6:6.1f} MB{', linked' if report.linked else ''}")
    print(f"written in {written:5.1f} s")
    for name in times[0]:
        print(f"{name:<10}{median(one[name] for one in times):6.2f} s")


if __name__ == "__main__":
    main()
