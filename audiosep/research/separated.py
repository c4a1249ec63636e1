"""A folder of stems opened again: the mixture is their sum.

What holds for stems of any method is :class:`StemSet`; :class:`SeparatedFolder` has the
factorization behind them, too.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from audiosep.errors import AudiosepError, InputError, RefusedError
from audiosep.factorization_files import FACTORIZATION_NAME, StoredFactorization, load_factorization
from audiosep.io.formats import Bits, Format, bits_from
from audiosep.io.header import info
from audiosep.io.naming import display
from audiosep.io.stem_files import full_scale, read_stem, stem_blocks
from audiosep.labels import problem_of_label
from audiosep.memory import available_bytes
from audiosep.records import digest_of, finished_record, is_own_file, odd_record
from audiosep.transform import BLOCK_FRAMES

__all__ = [
    "SeparatedFolder",
    "StemSet",
    "Sum",
    "level_of",
    "open_separated",
    "open_stem_set",
    "sentences_of",
]

_LEVEL_SAMPLES = 1 << 11
"""So few that linear algebra does not wake its threads for them."""

_SAMPLE_BYTES = 4
_BLOCKS = 6
"""Matrices of some frames and all bins that are made in filtering."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Sum:
    """Stems read and added up.

    Parameters
    ----------
    mixture : np.ndarray [shape=(n_channels, n_samples), dtype=float32]
        The sum of all, at full scale 1.0.
    stems : dict of str to np.ndarray [shape=(n_samples, n_channels)]
        Those that were asked for, as they are stored (int16, int32 or float32).
    """

    mixture: npt.NDArray[np.float32]
    stems: dict[str, npt.NDArray[Any]]


@dataclass(frozen=True, kw_only=True, eq=False)
class StemSet:
    """Stems on disk, of any method.

    Parameters
    ----------
    place : Path
        The folder.
    record : dict
        Its ``audiosep.json``.
    files : dict of str to (str, str)
        Name and SHA-256 of the file of each stem.
    bits : {16, 24, "float"}
        Depth of the stems.
    format : {"wav", "flac"}
        Their format.
    sr, n_channels, n_samples : int
        What all of them are.
    """

    place: Path
    record: dict[str, Any]
    files: dict[str, tuple[str, str]]
    bits: Bits
    format: Format
    sr: int
    n_channels: int
    n_samples: int

    def check_memory(self, n_recordings: int) -> None:
        """Refuse work that does not fit into free memory, before any is done.

        Parameters
        ----------
        n_recordings : int
            How many recordings of float32 are in memory at once.

        Raises
        ------
        RefusedError
            If there is less.
        """
        needed = n_recordings * _SAMPLE_BYTES * self.n_channels * self.n_samples
        needed += self._working_bytes()
        free = available_bytes()
        if free is not None and needed > free:
            raise RefusedError(
                f"the stems in {display(self.place)} need about {needed / 1e6:.0f} MB of memory "
                f"and {free / 1e6:.0f} MB are free; close other programs, or separate the "
                "recording in parts with --start and --duration."
            )

    def _working_bytes(self) -> int:
        """What is needed beside recordings."""
        return 0

    def read(self, name: str) -> npt.NDArray[Any]:
        """Read a stem as it is stored.

        Parameters
        ----------
        name : str
            Which.

        Returns
        -------
        np.ndarray [shape=(n_samples, n_channels), dtype=int16, int32 or float32]

        Raises
        ------
        InputError
            If it cannot be read, or is no longer of the shape it had.
        RefusedError
            If it was changed since it was written.
        """
        path = self.place / self.files[name][0]
        values: npt.NDArray[Any] = read_stem(
            path,
            bits=self.bits,
            sr=self.sr,
            n_channels=self.n_channels,
            n_samples=self.n_samples,
        )
        self._check_digest(name)
        return values

    def add_up(
        self, keep: Collection[str] = (), *, verify_others: bool = True, n_threads: int = 1
    ) -> Sum:
        """Read all stems and add them up.

        Parameters
        ----------
        keep : collection of str
            Stems that are wanted besides.
        verify_others : bool
            Whether to make sure that the others are what was written, too.
        n_threads : int
            How many are read at once; the result does not depend on it.

        Returns
        -------
        Sum

        Raises
        ------
        InputError, RefusedError
            As :meth:`read`.
        """
        shape = (self.n_samples, self.n_channels)
        stored = np.float32 if self.bits == "float" else np.int16 if self.bits == 16 else np.int32
        kept = {name: np.empty(shape, dtype=stored) for name in self.files if name in keep}
        mixture = np.empty(shape[::-1], dtype=np.float32)
        scale = np.float32(1.0 / full_scale(self.bits))
        with ThreadPoolExecutor(max(1, n_threads)) as pool:
            digests = pool.map(
                lambda name: self._check_digest(name) if verify_others or name in keep else None,
                self.files,
            )
            at = 0
            # Block by block of all stems: what is added up stays in the processor's cache.
            for blocks in zip(*(self._blocks(name) for name in self.files), strict=True):
                stop = at + len(blocks[0])
                # Wide enough for the sum of many, and exact for stems of 24 bits.
                total = blocks[0].astype(np.float64 if self.bits == "float" else np.int32)
                for block in blocks[1:]:
                    total += block
                for name, block in zip(self.files, blocks, strict=True):
                    if name in kept:
                        kept[name][at:stop] = block
                np.copyto(mixture[:, at:stop], total.T, casting="unsafe")
                at = stop
            mixture *= scale
            list(digests)
        return Sum(mixture=mixture, stems=kept)

    def _blocks(self, name: str) -> Iterator[npt.NDArray[Any]]:
        return stem_blocks(
            self.place / self.files[name][0],
            bits=self.bits,
            sr=self.sr,
            n_channels=self.n_channels,
            n_samples=self.n_samples,
        )

    def _check_digest(self, name: str) -> None:
        file, digest = self.files[name]
        path = self.place / file
        if not path.is_file():
            raise InputError(f"{display(path)} cannot be read: it is no file.")
        if digest_of(path) != digest:
            raise _edited(path)


@dataclass(frozen=True, kw_only=True, eq=False)
class SeparatedFolder(StemSet):
    """Stems that were made of components.

    Parameters
    ----------
    stored : StoredFactorization
        The components, and which stem they are in.
    """

    stored: StoredFactorization

    def _working_bytes(self) -> int:
        n_bins = len(self.stored.templates)
        return _BLOCKS * _SAMPLE_BYTES * BLOCK_FRAMES * n_bins + self.stored.templates.nbytes


def _edited(path: Path) -> RefusedError:
    return RefusedError(
        f"{display(path)} is damaged or edited since it was written; put the stem back as it was, "
        "or make it again with 'audiosep split --exists repair'."
    )


def open_stem_set(folder: str | os.PathLike[str]) -> StemSet:
    """Open a folder of stems of any method.

    Parameters
    ----------
    folder : path-like
        Made by any command of audiosep that writes stems.

    Returns
    -------
    StemSet

    Raises
    ------
    InputError
        If there is no finished separation in it, or a stem is missing or damaged.
    """
    place, record = _opened(folder)
    stems = record.get("stems")
    if stems == {}:
        raise InputError(f"{display(place)} holds no stems.")
    entries, bits, format_ = _described(place, record)
    path = place / next(iter(entries.values()))[0]
    try:
        about = info(path)
    except AudiosepError as error:
        raise InputError(f"{display(path)} {error}") from None
    return StemSet(
        place=place,
        record=record,
        files=entries,
        bits=bits,
        format=format_,
        sr=about.sr,
        n_channels=about.n_channels,
        n_samples=about.n_samples,
    )


def open_separated(folder: str | os.PathLike[str]) -> SeparatedFolder:
    """Open a folder of stems that were made of components.

    Parameters
    ----------
    folder : path-like
        Made by ``audiosep split``, ``audiosep atoms`` or ``audiosep regroup``.

    Returns
    -------
    SeparatedFolder

    Raises
    ------
    InputError
        If there is no finished separation, or none whose components were stored.
    DictionaryError
        If the stored components are damaged.
    RefusedError
        If they were changed since they were written, or do not fit into free memory.
    """
    place, record = _opened(folder)
    files = record.get("files")
    if not isinstance(files, dict) or FACTORIZATION_NAME not in files:
        raise InputError(
            f"{display(place)} keeps no components: its stems were not made by grouping any; use "
            "'audiosep atoms' or 'audiosep split --preset components' on the recording."
        )
    stored = load_factorization(place / FACTORIZATION_NAME)
    if record.get("stems") == {}:
        raise InputError(
            f"{display(place)} keeps no sounds of its components; run 'audiosep atoms' with "
            "--sounds wav."
        )
    entries, bits, format_ = _described(place, record)
    about = files[FACTORIZATION_NAME]
    digest = about.get("sha256") if isinstance(about, dict) else None
    if digest is None:
        raise odd_record(place)
    if tuple(entries) != stored.grouping.names or digest_of(place / FACTORIZATION_NAME) != digest:
        raise RefusedError(
            f"{display(place / FACTORIZATION_NAME)} does not belong to the stems beside it, or "
            "was changed; separate the recording again."
        )
    return SeparatedFolder(
        place=place,
        record=record,
        stored=stored,
        files=entries,
        bits=bits,
        format=format_,
        sr=stored.sr,
        n_channels=stored.n_channels,
        n_samples=stored.n_samples,
    )


def _opened(folder: str | os.PathLike[str]) -> tuple[Path, dict[str, Any]]:
    place = Path(os.fspath(folder))
    return place, finished_record(place, "'audiosep split' or 'audiosep atoms'")


def _described(
    place: Path, record: dict[str, Any]
) -> tuple[dict[str, tuple[str, str]], Bits, Format]:
    """Files, depth and format of the stems, of a record that anyone may have written."""
    try:
        entries = {name: (stem["file"], stem["sha256"]) for name, stem in record["stems"].items()}
        bits = bits_from(record["bits"])
        sound = all(
            is_own_file(file) and isinstance(digest, str) and not problem_of_label(name)
            for name, (file, digest) in entries.items()
        )
        # What JSON allows and files of text do not: not a number, half a character.
        json.dumps(record, ensure_ascii=False, allow_nan=False).encode()
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError, AudiosepError):
        raise odd_record(place) from None
    if not sound or not entries:
        raise odd_record(place)
    flac = next(iter(entries.values()))[0].endswith(".flac")
    return entries, bits, "flac" if flac else "wav"


def level_of(values: npt.NDArray[Any], scale: float) -> dict[str, float | None]:
    """Peak and root mean square of samples in dB of full scale; None for silence."""
    peak, square = 0.0, 0.0
    for first in range(0, len(values), _LEVEL_SAMPLES):
        part = values[first : first + _LEVEL_SAMPLES].astype(np.float64).ravel()
        peak = max(peak, float(part.max()), -float(part.min()))
        square += float(part @ part)
    rms = math.sqrt(square / values.size)
    db: Callable[[float], float] = lambda x: round(20 * math.log10(x / scale), 2)  # noqa: E731
    return {"peak_db": db(peak) if peak else None, "rms_db": db(rms) if rms else None}


def sentences_of(record: Mapping[str, Any], key: str) -> list[str]:
    """Notes or warnings of a record that anyone may have written."""
    found = record.get(key)
    return [str(each) for each in found] if isinstance(found, list) else []
