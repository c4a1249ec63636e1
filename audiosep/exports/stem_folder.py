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
from audiosep.io.header import AudioInfo, info, sha256_of
from audiosep.io.naming import display, path_told
from audiosep.records import RECORD_NAME, as_mapping, finished_record, is_own_file, odd_record
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
    changed : tuple of str
        Files of stems that are not as they were written: damaged, or edited by hand.
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
    changed: tuple[str, ...]
    kept: frozenset[str]

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.n_samples / self.sr


def open_stems(folder: str | os.PathLike[str]) -> StemFolder:
    """Open a folder of stems.

    Stems, melody and onsets may have been edited since they were written, as long as the stems are
    still of one length; which stems were is told.

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
    record = finished_record(place)
    stems, files = _files(place, record.get("stems")), as_mapping(record.get("files"))
    about = _about(stems, record)
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
        changed=_changed(stems, record),
        kept=_kept(place, record, (RECORD_NAME, *files, *(path.name for path in stems.values()))),
    )


def _kept(place: Path, record: Mapping[str, Any], names: Iterable[str]) -> frozenset[str]:
    source = as_mapping(record.get("input")).get("path")
    paths = [place / name for name in names if name.isprintable()]
    if isinstance(source, str) and source.isprintable():
        paths.append(path_told(source))
    return frozenset(os.path.realpath(path) for path in paths)


def _files(place: Path, stems: Any) -> dict[str, Path]:
    """Files of stems in a record that anyone may have written: nothing outside its folder."""
    found = {}
    for name, entry in as_mapping(stems).items():
        file = as_mapping(entry).get("file")
        if not is_own_file(file):
            raise odd_record(place)
        found[name] = place / file
    return found


def _changed(stems: Mapping[str, Path], record: Mapping[str, Any]) -> tuple[str, ...]:
    """Files of stems whose bytes are others than the record says."""
    entries = as_mapping(record.get("stems"))
    return tuple(
        path.name
        for name, path in stems.items()
        if sha256_of(path) != as_mapping(entries.get(name)).get("sha256")
    )


def _about(stems: Mapping[str, Path], record: Mapping[str, Any]) -> AudioInfo | None:
    """What all stems are; None where there is none."""
    found: list[AudioInfo] = []
    for path in stems.values():
        try:
            found.append(info(path))
        except AudiosepError as error:
            raise InputError(f"{display(path)} {error}") from None
    if not found:
        return None
    shapes = [_shape_of(about) for about in found]
    about = as_mapping(record.get("input"))
    written = *(about.get(key) for key in ("sr", "n_channels", "n_samples")), record.get("bits")
    # Of two that differ, the one is to blame that is not as the record says.
    usual = written if written in shapes else shapes[0]
    for path, shape in zip(stems.values(), shapes, strict=True):
        if shape != usual:
            raise InputError(
                f"{display(path)} has not the rate, channels, length and depth of the stems beside "
                "it; put it back as it was, or make it again with 'audiosep split --exists repair'."
            )
    first = found[0]
    if not first.n_samples:
        raise InputError(f"{display(next(iter(stems.values())))} has no length in its header.")
    return first


def _shape_of(about: AudioInfo) -> tuple[Any, ...]:
    return about.sr, about.n_channels, about.n_samples, about.bits
