"""Pictures of audiosep's pages; needs ``pip install playwright pillow`` and Debian's chromium.

    python scripts/make_screenshots.py [--out docs/images]

``report.png``: the listening report of the example song, separated with the default preset, a
little after the beginning of playback.
"""

from __future__ import annotations

import argparse
import io
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

import audiosep
from audiosep.report import write_report

ROOT = Path(__file__).resolve().parent.parent
CHROMIUM = "/usr/bin/chromium"
SIZE = {"width": 1200, "height": 960}
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
    # A palette makes it a third as large.
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(out / "report.png", optimize=True)
    print(f"{out / 'report.png'}: {(out / 'report.png').stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
