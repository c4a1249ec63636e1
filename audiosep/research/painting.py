"""Regions of a spectrogram painted into stems, and all stems refitted under that constraint.

What is painted goes where it was painted; elsewhere, what sounds like it goes there, too
(:mod:`audiosep.research.painted_transfer`). All of it is parts of stems that move into others: a
stem that nothing moves from or into stays as it is, byte for byte, and the stems add up to what
they did before.

References
----------
.. [1] N. J. Bryan and G. J. Mysore (2013), "Interactive refinement of supervised and
   semi-supervised sound source separation estimates", ICASSP.
.. [2] N. J. Bryan, G. J. Mysore and G. Wang (2014), "ISSE: an interactive source separation
   editor", CHI.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from audiosep.errors import RefusedError, UsageError
from audiosep.io.naming import display
from audiosep.io.placing import beside, move_run
from audiosep.io.stem_files import fits_range, full_scale
from audiosep.labels import folded
from audiosep.records import RECORD_NAME, digest_of, write_record
from audiosep.research.filtering import filter_channels
from audiosep.research.painted_grid import WINDOW, Grid, boxes_of
from audiosep.research.painted_regions import MAX_REGIONS, PaintedRegion
from audiosep.research.painted_transfer import (
    Box,
    Transfer,
    allowed_stems,
    check_allowed,
    find_transfer,
)
from audiosep.research.places import free_place
from audiosep.research.separated import StemSet, open_stem_set, sentences_of
from audiosep.research.stem_output import (
    StemFile,
    beyond_range,
    copied_stem,
    entries_of,
    written_stem,
)
from audiosep.threads import one_blas_thread, resolve_threads
from audiosep.transform import (
    BLOCK_FRAMES,
)
from audiosep.types import Progress, ignore_progress, whole_number

__all__ = ["MOST_MINUTES", "Painted", "paint"]

MOST_MINUTES = 10
"""Longest recording: all of it is in memory."""

_SUFFIX = "-painted"
_WORKING_RECORDINGS = 4
_BLOCK_SAMPLES = 1 << 14
_HEARD_HZ = 8000.0
"""Up to here components are found and judged; what is above follows them."""

_LEAST_HONOURED = 0.9
_PASSES = 3
_TRANSFORMED = 0.2
"""Share of the time of the fit until all stems are transformed."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Painted:
    """Stems after regions were painted into them.

    Parameters
    ----------
    place : Path
        Their folder.
    paths : dict of str to Path
        Where each stem is.
    record : dict
        Their ``audiosep.json``.
    honoured : tuple of float
        For each region, the part of the magnitude in it that is where it was painted, 0 to 1;
        1 where all is silent.
    """

    place: Path
    paths: dict[str, Path]
    record: dict[str, Any]
    honoured: tuple[float, ...]


def paint(
    folder: str | os.PathLike[str],
    regions: Sequence[PaintedRegion],
    *,
    out: str | os.PathLike[str] | None = None,
    refit: bool = True,
    seed: int = 0,
    n_threads: int | None = None,
    progress: Progress = ignore_progress,
) -> Painted:
    """Move what regions of the spectrogram hold to the stems they belong to, and refit all stems.

    Where regions of several stems overlap, these share what is there. The stems that come out add
    up to what those that went in do: in integer formats sample for sample, in float up to
    rounding. `folder` stays as it is.

    Parameters
    ----------
    folder : path-like
        Stems that audiosep wrote, with any preset or command.
    regions : sequence of PaintedRegion
        What belongs, or does not belong, to which stem; a stem that is not there yet is made.
    out : path-like, optional
        A folder that does not exist yet; by default beside `folder`, with ``-painted`` added to
        its name, and a number where that is taken.
    refit : bool
        Whether what sounds like it moves elsewhere, too; False moves nothing but what is painted.
    seed : int >= 0
        Start of the random numbers: the same seed gives the same bytes.
    n_threads : int, optional
        Threads; by default the processors this process may use. The result does not depend on it.
    progress : callable
        Called as ``progress(stage, fraction)``.

    Returns
    -------
    Painted

    Raises
    ------
    InputError
        If `folder` holds no stems that audiosep wrote, or one cannot be read.
    UsageError
        If there is no region, one is outside the recording, they leave nothing a stem, or a new
        name cannot be one.
    RefusedError
        If a stem was changed since it was written, `out` exists, the recording is longer than
        10 minutes, or the work does not fit into free memory.
    OutputError
        If the new folder cannot be written.
    """
    began = time.perf_counter()
    seed, threads = whole_number("seed", seed, 0), resolve_threads(n_threads)
    progress("read", 0.0)
    old = open_stem_set(folder)
    names = _names(old, regions)
    place = free_place(old.place, out, _SUFFIX)
    grid = Grid.of(old.sr, old.n_samples)
    boxes = boxes_of(regions, names, grid)
    check_allowed(boxes, len(names), grid.n_bins, grid.n_frames)
    # Each stem, and its magnitudes: those of all channels together take as much as two of them.
    each = 2 + 2 / old.n_channels
    old.check_memory(math.ceil(each * len(names)) + _WORKING_RECORDINGS)
    with beside(place) as new:
        stems = _read(old, names, threads)
        progress("fit", 0.0)
        with one_blas_thread():
            transfer = _transfer(old, stems, boxes, grid, refit, seed, threads, progress)
            changed = _move(old, stems, transfer, grid, threads, progress)
            del transfer  # holds magnitudes of all stems
            honoured = _honoured(old, stems, boxes, grid, threads)
            for _ in range(_PASSES):
                if min(honoured) >= _LEAST_HONOURED:
                    break
                # Windows reach beyond the edges of regions: what has come back moves once more.
                transfer = _transfer(old, stems, boxes, grid, False, seed, threads, ignore_progress)
                changed |= _move(old, stems, transfer, grid, threads, ignore_progress)
                del transfer
                honoured = _honoured(old, stems, boxes, grid, threads)
        progress("write", 0.0)
        written, warnings = _write(old, stems, changed, new, threads)
        record = _record(old, regions, refit, seed, written, warnings)
        record["timings_s"] = {"paint": round(time.perf_counter() - began, 3)}
        write_record(new, record)
        move_run(
            new, place, [*(file.name for file in written.values()), RECORD_NAME], [], fresh=True
        )
    progress("write", 1.0)
    return Painted(
        place=place,
        paths={name: place / file.name for name, file in written.items()},
        record=record,
        honoured=honoured,
    )


def _names(old: StemSet, regions: Sequence[PaintedRegion]) -> tuple[str, ...]:
    """Names of the stems that there will be, new ones behind the others."""
    if not regions:
        raise UsageError("no region is painted; say what belongs to which stem, such as drums=1-2.")
    if len(regions) > MAX_REGIONS:
        raise UsageError(f"{len(regions)} regions are too many at once; paint up to {MAX_REGIONS}.")
    minutes = old.n_samples / old.sr / 60
    if minutes > MOST_MINUTES:
        raise RefusedError(
            f"the stems in {display(old.place)} are {minutes:.0f} minutes long, and at most "
            f"{MOST_MINUTES} can be painted at once; separate the recording in parts with --start "
            "and --duration."
        )
    names = list(old.files)
    for region in regions:
        if region.stem in names:
            continue
        if not region.belongs:
            raise UsageError(
                f"there is no stem {display(region.stem)} that something could not belong to; "
                f"there are {', '.join(old.files)}."
            )
        alike = [name for name in names if folded(name) == folded(region.stem)]
        if alike:
            raise UsageError(
                f"{display(region.stem)} is too like {alike[0]}, which is there already; use "
                "another name."
            )
        names.append(region.stem)
    return tuple(names)


# --- sound --------------------------------------------------------------------------------------

_Stems = dict[str, "npt.NDArray[Any]"]
"""As they are stored, (n_samples, n_channels)."""


def _read(old: StemSet, names: tuple[str, ...], n_threads: int) -> _Stems:
    shape, dtype = (old.n_samples, old.n_channels), _dtype(old)
    with ThreadPoolExecutor(n_threads) as pool:
        stems: _Stems = dict(zip(old.files, pool.map(old.read, old.files), strict=True))
    return {name: stems[name] if name in stems else np.zeros(shape, dtype) for name in names}


def _dtype(old: StemSet) -> type:
    return np.float32 if old.bits == "float" else np.int32


def _as_sound(old: StemSet, values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Samples at full scale 1.0, (n_channels, n_samples)."""
    sound = np.empty(values.shape[::-1], dtype=np.float32)
    np.multiply(values.T, np.float32(1.0 / full_scale(old.bits)), out=sound, casting="unsafe")
    return sound


def _transfer(
    old: StemSet,
    stems: _Stems,
    boxes: Sequence[Box],
    grid: Grid,
    refit: bool,
    seed: int,
    n_threads: int,
    progress: Progress,
) -> Transfer:
    magnitudes = []
    for done, (name, values) in enumerate(stems.items()):
        progress("fit", _TRANSFORMED * done / len(stems))
        if name in old.files or values.any():
            magnitudes.append(grid.magnitude(_as_sound(old, values), n_threads))
        else:
            magnitudes.append(np.zeros((grid.n_frames, grid.n_bins), np.float32))
    return find_transfer(
        magnitudes,
        boxes,
        n_heard=1 + round(_HEARD_HZ * grid.n_fft / grid.sr),
        refit=refit,
        seed=seed,
        n_threads=n_threads,
        progress=lambda done: progress("fit", _TRANSFORMED + (1 - _TRANSFORMED) * done),
    )


def _move(
    old: StemSet,
    stems: _Stems,
    transfer: Transfer,
    grid: Grid,
    n_threads: int,
    progress: Progress,
) -> set[str]:
    """Take from each stem what others get, in place; return those that are others now."""
    names, pairs = list(stems), transfer.pairs()
    sounds = {r: _as_sound(old, stems[names[r]]) for r, _ in pairs}
    changed = {names[place] for pair in pairs for place in pair}
    for name in changed:  # sums of 16 bits need more until it is known that they fit
        stems[name] = stems[name].astype(_dtype(old))
    for done, (r, s) in enumerate(pairs):
        progress("render", done / len(pairs))
        moved: npt.NDArray[Any] = filter_channels(
            sounds[r],
            transfer.between(r, s),
            n_fft=grid.n_fft,
            hop_length=grid.hop_length,
            window=WINDOW,
            n_threads=n_threads,
        )
        give, take = stems[names[r]], stems[names[s]]
        for first in range(0, moved.shape[1], _BLOCK_SAMPLES):
            block = moved[:, first : first + _BLOCK_SAMPLES].T
            if old.bits != "float":
                block = np.rint(block * np.float32(full_scale(old.bits))).astype(np.int32)
            give[first : first + _BLOCK_SAMPLES] -= block
            take[first : first + _BLOCK_SAMPLES] += block
    progress("render", 1.0)
    return changed


def _honoured(
    old: StemSet, stems: _Stems, boxes: Sequence[Box], grid: Grid, n_threads: int
) -> tuple[float, ...]:
    """How much of what is in each region is where it was painted."""
    sounds = [_as_sound(old, values) for values in stems.values()]
    kept, total = np.zeros(len(boxes)), np.zeros(len(boxes))
    for first in range(0, grid.n_frames, BLOCK_FRAMES):
        last = min(first + BLOCK_FRAMES, grid.n_frames)
        here = [i for i, b in enumerate(boxes) if b.frames.start < last and b.frames.stop > first]
        if not here:
            continue
        cells = np.stack([grid.block(sound, first, last, n_threads) for sound in sounds])
        fine = np.where(allowed_stems(boxes, len(sounds), grid.n_bins, first, last), cells, 0)
        for i in here:
            start, stop = boxes[i].frames.start, boxes[i].frames.stop
            frames = slice(max(start - first, 0), stop - first)
            kept[i] += fine[:, frames, boxes[i].bins].sum(dtype=np.float64)
            total[i] += cells[:, frames, boxes[i].bins].sum(dtype=np.float64)
    return tuple((np.where(total > 0, kept / np.where(total > 0, total, 1), 1.0)).tolist())


# --- files --------------------------------------------------------------------------------------


def _write(
    old: StemSet, stems: _Stems, changed: set[str], new: Path, n_threads: int
) -> tuple[dict[str, StemFile], list[str]]:
    """Write what has changed, and copy the rest; all as floats where something leaves the range."""
    as_float = not all(fits_range(stems[name], old.bits) for name in changed)

    def written(name: str) -> StemFile:
        if name in old.files and name not in changed and not as_float:
            return copied_stem(old, name, name, new)
        return written_stem(new, name, stems[name], old, as_float=as_float)

    with ThreadPoolExecutor(n_threads) as pool:
        files = dict(zip(stems, pool.map(written, stems), strict=True))
    return files, [beyond_range(old.bits)] if as_float else []


def _record(
    old: StemSet,
    regions: Sequence[PaintedRegion],
    refit: bool,
    seed: int,
    written: Mapping[str, StemFile],
    warnings: list[str],
) -> dict[str, Any]:
    """The old record, of which all stays that is still true."""
    settings = old.record.get("settings")
    changes = {
        "from": display(old.place),
        "record_sha256": digest_of(old.place / RECORD_NAME),
        "regions": [region.as_json() for region in regions],
        "refit": refit,
        "seed": seed,
    }
    return {
        **old.record,
        # Among the settings, so that nobody takes these stems for those of a separation.
        "settings": {**(settings if isinstance(settings, dict) else {}), "painted": changes},
        "notes": [
            *sentences_of(old.record, "notes"),
            f"Painted: {'; '.join(str(region) for region in regions)}.",
        ],
        "warnings": [*sentences_of(old.record, "warnings"), *warnings],
        "bits": "float" if warnings else old.bits,
        "stems": entries_of(written),
        "files": {},
    }
