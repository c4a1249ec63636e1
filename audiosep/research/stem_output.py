"""Stems made of other stems, into a temporary folder: what is the same is copied."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from audiosep.io.formats import Bits, Format
from audiosep.io.stem_files import copy_stem, full_scale, write_stem
from audiosep.research.separated import StemSet, level_of

__all__ = ["StemFile", "beyond_range", "copied_stem", "entries_of", "written_stem"]


@dataclass(frozen=True, kw_only=True)
class StemFile:
    """A written stem: its file, and what the record says of it.

    Parameters
    ----------
    name : str
        Name of the file.
    sha256 : str
        Its digest.
    level : dict
        Peak and root mean square in dB of full scale.
    """

    name: str
    sha256: str
    level: dict[str, float | None]


def copied_stem(old: StemSet, stem: str, name: str, new: Path) -> StemFile:
    """Copy a stem that nothing has changed in, perhaps under another name.

    Raises
    ------
    RefusedError
        If it is not what was written.
    OutputError
        If it cannot be copied.
    """
    file, digest = old.files[stem]
    target = f"{name}.{old.format}"
    copy_stem(old.place / file, new / target, digest)
    before = old.record["stems"][stem]
    level = {key: before.get(key) for key in ("peak_db", "rms_db")}
    return StemFile(name=target, sha256=digest, level=level)


def written_stem(
    new: Path, name: str, values: npt.NDArray[Any], old: StemSet, *, as_float: bool = False
) -> StemFile:
    """Write a stem as the others are, or as floats.

    Parameters
    ----------
    new : Path
        The temporary folder.
    name : str
        Of the stem.
    values : np.ndarray [shape=(n_samples, n_channels), dtype=int16, int32 or float32]
        As they are stored.
    old : StemSet
        The others.
    as_float : bool
        Whether to write what integers stand for, as floats, whatever the others are.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    bits: Bits = "float" if as_float else old.bits
    format_: Format = "wav" if as_float else old.format
    if as_float and old.bits != "float":
        values = values.astype(np.float32) * np.float32(1.0 / full_scale(old.bits))
    file = f"{name}.{format_}"
    digest = write_stem(new / file, values, bits=bits, format_=format_, sr=old.sr)
    return StemFile(name=file, sha256=digest, level=level_of(values, full_scale(bits)))


def beyond_range(bits: Bits) -> str:
    """Say why stems are written as floats."""
    return (
        f"a stem is beyond the {bits}-bit range, so all stems of this recording are 32-bit float "
        "WAV."
    )


def entries_of(files: Mapping[str, StemFile]) -> dict[str, dict[str, Any]]:
    """Return what the record says of the stems."""
    return {
        name: {"file": file.name, "sha256": file.sha256, **file.level}
        for name, file in files.items()
    }
