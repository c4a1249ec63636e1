"""A finished folder of stems, of any method: what there is in it to be exported."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audiosep.errors import AudiosepError, InputError
from audiosep.factorization_files import FACTORIZATION_NAME, StoredFactorization, load_factorization
from audiosep.io.evidence_tables import read_melody, read_onsets
from audiosep.io.formats import Bits
from audiosep.io.header import AudioInfo, info
from audiosep.io.naming import display
from audiosep.save import RECORD_NAME, read_record
from audiosep.types import Melody, Onsets

__all__ = ["StemFolder", "open_stems"]

_MELODY, _ONSETS = "melody.csv", "onsets.csv"


@dataclass(frozen=True, kw_only=True, eq=False)
class StemFolder:
    """What is in a folder of stems.

    Parameters
    ----------
    place : Path
        The folder.
    stems : dict of str to Path
        Their files, in their order; none where only components were kept.
    sr, n_channels, n_samples : int
        What all of them are.
    bits : {16, 24, "float"}
        The largest depth among them.
    onsets, melody, stored
        What was heard, and the components; None where the method finds none.
    kept : frozenset of str
        Real paths of the record, what it vouches for, and the recording: nothing may replace them.
    """

    place: Path
    stems: dict[str, Path]
    sr: int
    n_channels: int
    n_samples: int
    bits: Bits
    onsets: Onsets | None
    melody: Melody | None
    stored: StoredFactorization | None
    kept: frozenset[str]

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.n_samples / self.sr


def open_stems(folder: str | os.PathLike[str]) -> StemFolder:
    """Open a folder of stems.

    Stems, melody and onsets may have been edited since they were written, as long as the stems are
    still of one length.

    Parameters
    ----------
    folder : path-like
        With an ``audiosep.json``.

    Returns
    -------
    StemFolder

    Raises
    ------
    InputError
        If there is no finished separation in it, or a file is missing or damaged.
    DictionaryError
        If the stored components are damaged.
    """
    place = Path(os.fspath(folder))
    record = read_record(place)
    if record is None:
        raise InputError(
            f"{display(place)} holds no finished separation: it has no {RECORD_NAME}; name a "
            "folder that 'audiosep split' made."
        )
    stems, files = _files(place, record.get("stems")), _mapping(record.get("files"))
    about = _about(stems)
    onsets = read_onsets(place / _ONSETS) if _ONSETS in files else None
    melody = read_melody(place / _MELODY) if _MELODY in files else None
    stored = load_factorization(place / FACTORIZATION_NAME) if FACTORIZATION_NAME in files else None
    if stored is not None:
        shape = (stored.sr, stored.n_channels, stored.n_samples)
        if about is not None and (about.sr, about.n_channels, about.n_samples) != shape:
            raise InputError(
                f"{display(place / FACTORIZATION_NAME)} does not belong to the stems beside it; "
                "separate the recording again."
            )
    elif about is not None:
        shape = (about.sr, about.n_channels, about.n_samples)
    else:
        raise InputError(f"{display(place)} holds neither stems nor components.")
    sr, n_channels, n_samples = shape
    return StemFolder(
        place=place,
        stems=stems,
        sr=sr,
        n_channels=n_channels,
        n_samples=n_samples,
        bits="float" if about is None else about.bits,
        onsets=onsets,
        melody=melody,
        stored=stored,
        kept=_kept(place, record, (RECORD_NAME, *files, *(path.name for path in stems.values()))),
    )


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _kept(place: Path, record: Mapping[str, Any], names: Iterable[str]) -> frozenset[str]:
    source = _mapping(record.get("input")).get("path")
    paths = [place / name for name in names if name.isprintable()]
    if isinstance(source, str) and source.isprintable():
        paths.append(Path(source))
    return frozenset(os.path.realpath(path) for path in paths)


def _files(place: Path, stems: Any) -> dict[str, Path]:
    """Files of stems in a record that anyone may have written: nothing outside its folder."""
    found = {}
    for name, entry in _mapping(stems).items():
        file = _mapping(entry).get("file")
        if not isinstance(file, str) or not _is_inside(file):
            raise InputError(f"{display(place / RECORD_NAME)} is not as it was written.")
        found[name] = place / file
    return found


def _is_inside(file: str) -> bool:
    fits = 0 < len(file) < 256 and file != ".."
    return fits and Path(file).name == file and file.isprintable()


def _about(stems: Mapping[str, Path]) -> AudioInfo | None:
    """What all stems are; None where there is none."""
    found: list[AudioInfo] = []
    for path in stems.values():
        try:
            found.append(info(path))
        except AudiosepError as error:
            raise InputError(f"{display(path)} {error}") from None
    if not found:
        return None
    first = found[0]
    for path, other in zip(stems.values(), found, strict=True):
        if (other.sr, other.n_channels, other.n_samples, other.bits) != (
            first.sr,
            first.n_channels,
            first.n_samples,
            first.bits,
        ):
            raise InputError(
                f"{display(path)} has not the rate, channels, length and depth of the stems beside "
                "it; put it back as it was."
            )
    if not first.n_samples:
        raise InputError(f"{display(next(iter(stems.values())))} has no length in its header.")
    return first
