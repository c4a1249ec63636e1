"""Damage led by coverage, for the parsers of this project: needs ``pip install atheris``.

::

    python scripts/fuzz_atheris.py labels -max_total_time=60
    python scripts/fuzz_atheris.py musicxml corpus/ -runs=100000

What follows the name of the parser goes to libFuzzer; a folder that is named there keeps what was
found to lead further. An error of audiosep in one sentence is as it should be, anything else ends
the run, and the input that did it is written beside. Recordings are decoded in C, which is not
looked into here: these are the parsers in Python that look at files before and after it does.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import atheris

# Where a parser stands, what of it is called, and which seeds it begins with.
_OWN = (
    *("audiosep.io", "audiosep.cli.manifest", "audiosep.cli.inside", "audiosep.cli.journal"),
    *("audiosep.scores", "audiosep.labels", "audiosep.projects", "audiosep.project_steps"),
    *("audiosep.research.painted_regions", "audiosep.evidence", "mido"),
)

with atheris.instrument_imports(include=list(_OWN)):
    from audiosep.cli.journal import Journal
    from audiosep.cli.manifest import Manifest
    from audiosep.io.evidence_tables import read_melody, read_onsets
    from audiosep.io.flac_frames import last_sample, stream_info
    from audiosep.io.mpeg_frames import counted, cut_frame_bytes
    from audiosep.io.ogg_pages import last_page
    from audiosep.io.riff import audio_bytes
    from audiosep.io.tables import read_activations
    from audiosep.projects import load_project
    from audiosep.research.painted_regions import read_regions
    from audiosep.scores import read_score

from _fuzz_seeds import seeds_of  # noqa: E402 - after what is looked into
from _fuzz_targets import sentence_problem  # noqa: E402

from audiosep.errors import AudiosepError  # noqa: E402


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1] not in _PARSERS:
        sys.exit(f"which parser? {', '.join(_PARSERS)}")
    name = sys.argv.pop(1)
    read, kind = _PARSERS[name]
    with tempfile.TemporaryDirectory() as folder:
        seeds = Path(folder) / "seeds"
        seeds.mkdir()
        for n, seed in enumerate(seeds_of(kind) if kind else ()):
            # Short ones, so that many are tried.
            (seeds / f"{n}-{seed.name}").write_bytes(seed.content[:4096])
        if name == "activations":
            (seeds / "table.csv").write_text("time_s,a,b\n" + "0.1,1e-3,2\n" * 10)
        place = Path(folder) / f"input{_ENDINGS.get(name, '')}"
        # libFuzzer writes into the first folder it is given.
        own = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
        (Path(folder) / "corpus").mkdir()
        folders = [str(seeds)] if own else [str(Path(folder) / "corpus"), str(seeds)]
        atheris.Setup([*sys.argv, *folders], partial(_try, read, place))
        atheris.Fuzz()


def _try(read: Callable[[Path], object], place: Path, content: bytes) -> None:
    place.write_bytes(content)
    try:
        read(place)
    except AudiosepError as error:
        if wrong := sentence_problem(str(error)):
            raise RuntimeError(f"{wrong}: {error!r}") from error


def _flac(path: Path) -> None:
    if (info := stream_info(path)) is not None:
        last_sample(path, info)


def _mpeg(path: Path) -> None:
    counted(path)
    cut_frame_bytes(path)


def _manifest(path: Path) -> None:
    from audiosep.cli.split import SplitOptions

    options = SplitOptions.__new__(SplitOptions)
    for name in SplitOptions.__dataclass_fields__:
        object.__setattr__(options, name, None)
    for row in Manifest(path=path, options=options).rows(look=False):
        if row.problem and (wrong := sentence_problem(row.problem)):
            raise RuntimeError(f"{wrong}: {row.problem!r}")


_PARSERS: dict[str, tuple[Callable[[Path], object], str]] = {
    "riff": (audio_bytes, "wav"),
    "caf": (audio_bytes, "caf"),
    "flac": (_flac, "flac"),
    "mpeg": (_mpeg, "mp3"),
    "ogg": (last_page, "ogg"),
    "labels": (read_score, "labels"),
    "musicxml": (read_score, "musicxml"),
    "midi": (read_score, "midi"),
    "manifest": (_manifest, "manifest"),
    "json-manifest": (_manifest, "manifest"),
    "journal": (lambda path: Journal(path).read(), "journal"),
    "melody": (read_melody, "table"),
    "onsets": (read_onsets, "table"),
    "activations": (lambda path: read_activations(path, ("a", "b"), 10), ""),
    "npz": (lambda path: read_activations(path, ("a", "b"), 10), "table"),
    "project": (load_project, "project"),
    "regions": (read_regions, "regions"),
}
_ENDINGS = {"json-manifest": ".jsonl", "manifest": ".csv", "npz": ".npz"}


if __name__ == "__main__":
    main()
