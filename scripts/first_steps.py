"""Do what README says under "First steps", as a newcomer would, and time each step.

::

    python scripts/first_steps.py                  # with a song of three minutes
    python scripts/first_steps.py --write-docs     # and put the seconds into README

The lines between the marks ``first-steps`` of README are run in one shell, one after the other, in
a copy of the sources, with empty caches. The song is the example of that name, repeated; the folder
holds the examples. Needs soundfile, to write them.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile
from _newcomer import ROOT, copy_of_sources, fresh_environment

__all__ = ["commands_of", "with_seconds"]

MARKED = re.compile(r"(<!-- first-steps -->\n```\n)(.*?)(```\n<!-- /first-steps -->)", re.DOTALL)
TAKEN = re.compile(r": \d+ s$")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write-docs", action="store_true", help="put the seconds into README.md")
    parser.add_argument("--song", type=float, default=180.0, metavar="S", help="length of the song")
    given = parser.parse_args()
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory(prefix="audiosep-first-") as folder:
        seconds, said = _timed(commands_of(text), Path(folder), given.song)
        lacking = _lacking(Path(folder) / "audiosep")
    print(said)
    for command, taken in zip(commands_of(text), seconds, strict=False):
        print(f"{taken:6.1f} s  {command}")
    if len(seconds) < len(commands_of(text)) or lacking:
        sys.exit(f"not all steps worked {lacking or ''}".strip())
    if given.write_docs:
        readme.write_text(with_seconds(text, seconds), encoding="utf-8")


def commands_of(text: str) -> list[str]:
    """The commands of README's first steps, without their comments."""
    found = MARKED.search(text)
    lines = found[2].splitlines() if found else []
    return [line.partition("#")[0].strip() for line in lines if line.strip()]


def with_seconds(text: str, seconds: list[float]) -> str:
    """README with the seconds of each step at the end of its comment."""

    def filled(found: re.Match[str]) -> str:
        lines = found[2].splitlines()
        marked = [
            f"{TAKEN.sub('', line)}: {max(taken, 1):.0f} s"
            for line, taken in zip(lines, seconds, strict=True)
        ]
        return found[1] + "\n".join(marked) + "\n" + found[3]

    return MARKED.sub(filled, text)


def _timed(commands: list[str], folder: Path, song: float) -> tuple[list[float], str]:
    """Seconds of each command that worked, and all that was said."""
    place = copy_of_sources(folder)
    _write_recordings(place, song)
    # One shell, as somebody has who types them: what one line activates holds for the next.
    lines = ["set -e", "echo $EPOCHREALTIME >&9"]
    for command in commands:
        lines += [command, "echo $EPOCHREALTIME >&9"]
    clock = folder / "clock"
    done = subprocess.run(
        ["bash", "-c", "exec 9>../clock\n" + "\n".join(lines)],
        cwd=place,
        env=fresh_environment(folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    moments = [float(line.replace(",", ".")) for line in clock.read_text().split()]
    return np.diff(moments).tolist(), done.stdout


def _write_recordings(place: Path, song: float) -> None:
    audio = place / "examples" / "audio"
    samples, sr = soundfile.read(audio / "song" / "mixture.flac", dtype="int16")
    soundfile.write(place / "song.wav", np.resize(samples, int(song * sr)), sr)
    for source in sorted(audio.glob("*/mixture.flac")):
        samples, sr = soundfile.read(source, dtype="int16")
        target = place / "tapes" / source.parent.name
        target.mkdir(parents=True)
        soundfile.write(target / "take.wav", samples, sr)


def _lacking(place: Path) -> list[str]:
    """What the steps should have made, and did not."""
    tapes = [path.parent.name for path in (place / "tapes").glob("*/take.wav")]
    wanted = ["separated/song/audiosep.json", "separated/song/report.html"]
    wanted += [f"archive/{name}/take/audiosep.json" for name in tapes]
    return [name for name in wanted if not (place / name).is_file()]


if __name__ == "__main__":
    main()
