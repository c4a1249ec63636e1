"""A folder of stems whose factorization was stored, opened again: the mixture is their sum."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from audiosep.errors import AudiosepError, InputError, RefusedError
from audiosep.factorization_files import FACTORIZATION_NAME, StoredFactorization, load_factorization
from audiosep.io.formats import Bits, Format, bits_from
from audiosep.io.naming import display
from audiosep.io.stem_files import full_scale, read_stem
from audiosep.memory import available_bytes
from audiosep.save import RECORD_NAME, digest_of, read_record
from audiosep.transform import BLOCK_FRAMES

__all__ = ["SeparatedFolder", "Sum", "level_of", "open_separated"]

_BLOCK_SAMPLES = 1 << 17
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
class SeparatedFolder:
    """A finished separation on disk.

    Parameters
    ----------
    place : Path
        The folder.
    record : dict
        Its ``audiosep.json``.
    stored : StoredFactorization
        Its components, and which stem they are in.
    files : dict of str to (str, str)
        Name and SHA-256 of the file of each stem.
    bits : {16, 24, "float"}
        Depth of the stems.
    format : {"wav", "flac"}
        Their format.
    """

    place: Path
    record: dict[str, Any]
    stored: StoredFactorization
    files: dict[str, tuple[str, str]]
    bits: Bits
    format: Format

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
        stored = self.stored
        needed = n_recordings * _SAMPLE_BYTES * stored.n_channels * stored.n_samples
        needed += _BLOCKS * _SAMPLE_BYTES * BLOCK_FRAMES * len(stored.templates)
        needed += stored.templates.nbytes
        free = available_bytes()
        if free is not None and needed > free:
            raise RefusedError(
                f"the stems in {display(self.place)} need about {needed / 1e6:.0f} MB of memory "
                f"and {free / 1e6:.0f} MB are free; close other programs, or separate the "
                "recording in parts with --start and --duration."
            )

    def read(self, name: str, *, verify: bool = True) -> npt.NDArray[Any]:
        """Read a stem as it is stored.

        Parameters
        ----------
        name : str
            Which.
        verify : bool
            Whether to make sure that it is what was written.

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
        file, digest = self.files[name]
        path = self.place / file
        stored = self.stored
        values: npt.NDArray[Any] = read_stem(
            path,
            bits=self.bits,
            sr=stored.sr,
            n_channels=stored.n_channels,
            n_samples=stored.n_samples,
        )
        if verify and digest_of(path) != digest:
            raise RefusedError(
                f"{display(path)} is damaged or edited since it was written; separate the "
                "recording again, or put the stem back as it was."
            )
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
        whole = self.bits != "float"
        shape = (self.stored.n_samples, self.stored.n_channels)
        total = np.zeros(shape, dtype=np.int32 if whole else np.float64)
        kept = {}
        names = list(self.files)
        # In parts, so that never more than a few stems are in memory.
        with ThreadPoolExecutor(max(1, n_threads)) as pool:
            for first in range(0, len(names), max(1, n_threads)):
                part = names[first : first + max(1, n_threads)]
                read = pool.map(lambda n: self.read(n, verify=verify_others or n in keep), part)
                for name, values in zip(part, read, strict=True):
                    total += values
                    if name in keep:
                        kept[name] = values
        mixture = np.empty(shape[::-1], dtype=np.float32)
        np.copyto(mixture, total.T, casting="same_kind")
        mixture *= np.float32(1.0 / full_scale(self.bits))
        return Sum(mixture=mixture, stems=kept)


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
    place = Path(os.fspath(folder))
    record = read_record(place)
    if record is None:
        raise InputError(
            f"{display(place)} holds no finished separation: it has no {RECORD_NAME}; name a "
            "folder that 'audiosep split' or 'audiosep atoms' made."
        )
    stems, files = record.get("stems"), record.get("files")
    if not isinstance(files, dict) or FACTORIZATION_NAME not in files:
        raise InputError(
            f"{display(place)} keeps no components: its stems were not made by grouping any; use "
            "'audiosep atoms' or 'audiosep split --preset components' on the recording."
        )
    stored = load_factorization(place / FACTORIZATION_NAME)
    try:
        entries = {name: (stem["file"], stem["sha256"]) for name, stem in (stems or {}).items()}
        bits = bits_from(record["bits"])
        digest = files[FACTORIZATION_NAME]["sha256"]
        inside = all(_is_inside(file) for file, _ in entries.values())
        # What JSON allows and files of text do not: not a number, half a character.
        json.dumps(record, ensure_ascii=False, allow_nan=False).encode()
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError, AudiosepError):
        entries, inside = {}, False
    if stems == {} and inside:
        raise InputError(
            f"{display(place)} keeps no sounds of its components; run 'audiosep atoms' with "
            "--sounds wav."
        )
    if not inside or not entries:
        raise InputError(f"{display(place / RECORD_NAME)} is not as it was written.")
    if tuple(entries) != stored.grouping.names or digest_of(place / FACTORIZATION_NAME) != digest:
        raise RefusedError(
            f"{display(place / FACTORIZATION_NAME)} does not belong to the stems beside it, or "
            "was changed; separate the recording again."
        )
    flac = next(iter(entries.values()))[0].endswith(".flac")
    return SeparatedFolder(
        place=place,
        record=record,
        stored=stored,
        files=entries,
        bits=bits,
        format="flac" if flac else "wav",
    )


def _is_inside(file: str) -> bool:
    """Whether a record names a file of its own folder."""
    return Path(file).name == file and file not in ("", "..") and file.isprintable()


def level_of(values: npt.NDArray[Any], scale: float) -> dict[str, float | None]:
    """Peak and root mean square of samples in dB of full scale; None for silence."""
    peak, square = 0.0, 0.0
    for first in range(0, len(values), _BLOCK_SAMPLES):
        part = values[first : first + _BLOCK_SAMPLES].astype(np.float64).ravel()
        peak = max(peak, float(part.max()), -float(part.min()))
        square += float(part @ part)
    rms = math.sqrt(square / values.size)
    db: Callable[[float], float] = lambda x: round(20 * math.log10(x / scale), 2)  # noqa: E731
    return {"peak_db": db(peak) if peak else None, "rms_db": db(rms) if rms else None}
