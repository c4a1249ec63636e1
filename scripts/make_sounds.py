"""The stems that can be heard on the pages of the methods, as MP3; made anew for every site.

python scripts/make_sounds.py FOLDER
"""

from __future__ import annotations

import argparse
from pathlib import Path

import soundfile
from _method_examples import METHODS


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    for method, separated in METHODS.items():
        result = separated()
        place = folder / method
        place.mkdir(parents=True, exist_ok=True)
        for number, (name, audio) in enumerate({"mixture": result.mixture, **result.stems}.items()):
            soundfile.write(place / f"{number}-{name}.mp3", audio.samples.T, audio.sr)
        print(place, *result.stems)


if __name__ == "__main__":
    main()
