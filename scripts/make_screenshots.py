"""Pictures of audiosep's pages; needs ``pip install playwright pillow`` and Debian's chromium.

    python scripts/make_screenshots.py [--out docs/images]

``report.png``: the listening report of the example song, separated with the default preset, a
little after the beginning of playback. ``studio.png``: the studio with the example band, separated
with the preset components into three stems, and a region marked to be painted.
"""

from __future__ import annotations

import argparse
import io
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

import audiosep
from audiosep.report import write_report

ROOT = Path(__file__).resolve().parent.parent
CHROMIUM = "/usr/bin/chromium"
SIZE = {"width": 1200, "height": 960}
STUDIO_SIZE = {"width": 1280, "height": 1060}
COLOURS = 128
AT_S = 3.0


def screenshot(report: Path) -> Image.Image:
    """What is seen of a report on a laptop's screen, with its needle at AT_S seconds."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, headless=True, args=["--no-sandbox"]
        )
        page = browser.new_page(viewport=SIZE)
        page.goto(report.as_uri())
        page.evaluate("audiosepReport.ready")
        page.evaluate(f"audiosepReport.seek({AT_S})")
        page.wait_for_timeout(300)
        shot = page.screenshot()
        browser.close()
    return Image.open(io.BytesIO(shot)).convert("RGB")


def studio_screenshot(place: Path) -> Image.Image:
    """What is seen of the studio on a laptop's screen."""
    command = [sys.executable, "-m", "audiosep", "studio", str(place), "--no-browser"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=place.parent)
    try:
        address = process.stdout.readline().strip()
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=CHROMIUM, headless=True, args=["--no-sandbox"]
            )
            page = browser.new_page(viewport=STUDIO_SIZE)
            page.goto(address)
            while not page.evaluate(
                "audiosepStudio.state()?.open?.drawing"
                " && document.querySelectorAll('.component').length"
            ):
                time.sleep(0.1)
            page.evaluate(f"audiosepStudio.seek({AT_S})")
            for name, value in {"from-s": 1, "to-s": 2.4, "low-hz": 50, "high-hz": 300}.items():
                page.fill(f"#{name}", str(value))
            page.get_by_role("button", name="Solo").nth(1).click()
            page.evaluate("document.activeElement.blur()")
            page.wait_for_timeout(500)
            shot = page.screenshot()
            browser.close()
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(20)
    return Image.open(io.BytesIO(shot)).convert("RGB")


def keep(picture: Image.Image, path: Path) -> None:
    # A palette makes it a third as large.
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    out = parser.parse_args().out
    with tempfile.TemporaryDirectory() as folder:
        # The path of the recording stands in the page.
        place = Path(folder) / "song"
        result = audiosep.separate(ROOT / "examples" / "audio" / "song" / "mixture.flac")
        result.record["input"]["path"] = "song.flac"
        result.save(place)
        picture = screenshot(write_report(place).path)
    out.mkdir(parents=True, exist_ok=True)
    keep(picture, out / "report.png")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "band"
        source = ROOT / "examples" / "audio" / "band" / "mixture.flac"
        audiosep.Separator(preset="components", n_sources=3).split(source, place)
        keep(studio_screenshot(place), out / "studio.png")


if __name__ == "__main__":
    main()
