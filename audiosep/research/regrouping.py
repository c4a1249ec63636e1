"""Other stems from the same components, without fitting again.

With a mask exponent of 1 the masks of the stems are sums of the components' shares: merged stems
are sums of stems, and a component that moves is filtered out of the mixture once, taken from one
stem and given to another. The mixture is the sum of the stems, so the recording itself is not
needed. With another exponent the shares depend on the grouping, and all stems are made again.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from audiosep.errors import UsageError
from audiosep.factorization_files import FACTORIZATION_NAME, StoredFactorization, save_factorization
from audiosep.grouping import grouped_models
from audiosep.io.formats import Bits, Format
from audiosep.io.naming import display
from audiosep.io.placing import beside, move_run
from audiosep.io.stem_files import fits_range, full_scale
from audiosep.io.writing import write_stems
from audiosep.records import RECORD_NAME, digest_of, read_record, write_record
from audiosep.render import Analysis, render
from audiosep.research.component_facts import component_energy
from audiosep.research.filtering import filter_channels
from audiosep.research.places import free_place
from audiosep.research.regrouping_plan import Member, Moves, Plan, Wishes, plan_regrouping
from audiosep.research.separated import (
    StemSet,
    level_of,
    open_separated,
    open_stem_set,
    sentences_of,
)
from audiosep.research.stem_output import (
    StemFile,
    beyond_range,
    copied_stem,
    entries_of,
    written_stem,
)
from audiosep.threads import one_blas_thread, resolve_threads
from audiosep.types import Audio, Grouping, SourceModels, ignore_progress

__all__ = ["Regrouped", "regroup"]

_SILENT = 1e-7
"""Frames in which a share stays below this (-140 dB) are left where they are."""

_TINY = np.float32(1e-36)
_WORKING_RECORDINGS = 5
"""The sum in double precision, the mixture, what is filtered, and what it is."""

_SUFFIX = "-regrouped"

_BLOCK_SAMPLES = 1 << 16
"""Samples handed over at once: few, so that they stay in the processor's cache."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Regrouped:
    """Stems of another grouping.

    Parameters
    ----------
    place : Path
        Their folder.
    paths : dict of str to Path
        Where each stem is.
    grouping : Grouping
        Which component belongs to which of them.
    record : dict
        Their ``audiosep.json``.
    """

    place: Path
    paths: dict[str, Path]
    grouping: Grouping
    record: dict[str, Any]


def regroup(
    folder: str | os.PathLike[str],
    *,
    merge: Sequence[Sequence[Member]] = (),
    move: Moves | None = None,
    rename: Mapping[str, str] | None = None,
    out: str | os.PathLike[str] | None = None,
    n_threads: int | None = None,
) -> Regrouped:
    """Make other stems of the same components: merge stems, move components, rename stems.

    The stems that come out add up to what those that went in do: in integer formats sample for
    sample, in float up to rounding. `folder` stays as it is. Stems can be merged and renamed by
    their names whether their components were stored or not.

    Parameters
    ----------
    folder : path-like
        Made by ``audiosep split``, ``audiosep atoms``, ``audiosep paint`` or this function.
    merge : sequence of sequence of (int or str)
        Stems that become one, each given by its name or by the number of a component in it
        (from 1); the first gives its name.
    move : mapping of (int or tuple of int) to str
        Components, by their numbers from 1, and the stem that they go to: one that exists, or a
        new one. A stem that nothing is left of is gone.
    rename : mapping of str to str
        Stems, after all that, and their new names.
    out : path-like, optional
        A folder that does not exist yet; by default beside `folder`, with ``-regrouped`` added to
        its name, and a number where that is taken.
    n_threads : int, optional
        Threads; by default the processors this process may use. The result does not depend on it.

    Returns
    -------
    Regrouped

    Raises
    ------
    InputError
        If `folder` holds no stems, or components are named and none were stored.
    DictionaryError
        If these are damaged.
    UsageError
        If a component or a stem does not exist, a new name cannot be one, or nothing would change.
    RefusedError
        If a stem was changed since it was written, `out` exists, or the work does not fit into
        free memory.
    OutputError
        If the new folder cannot be written.
    """
    began = time.perf_counter()
    threads = resolve_threads(n_threads)
    wishes = Wishes(merge=merge, move=move, rename=rename)
    old, stored = _opened(folder, wishes)
    grouping = _as_they_are(old) if stored is None else stored.grouping
    energy = (
        np.ones(len(old.files))
        if stored is None
        else component_energy(stored.templates, stored.activations)
    )
    plan = plan_regrouping(grouping, wishes, energy)
    if plan.notes and not _changes(plan, grouping):
        raise UsageError(f"nothing would change: {' '.join(plan.notes)}")
    place = free_place(old.place, out, _SUFFIX)
    linear = stored is None or stored.mask_exponent == 1.0
    with beside(place) as new:
        written: dict[str, StemFile] | None = None
        if linear or not (plan.moves or any(len(parts) > 1 for parts in plan.sums)):
            written = _shifted(old, stored, plan, new, threads)
        bits = old.bits
        warnings: list[str] = []
        if written is None and stored is None:  # beyond the range of the integers
            written, bits, warnings = _as_floats(old, plan, new, threads)
        elif written is None and stored is not None:  # that, or not linear
            written, bits, warnings = _rendered(old, stored, plan, new, threads)
        assert written is not None, "one of these has written the stems"
        extras = []
        if stored is not None:
            save_factorization(replace(stored, grouping=plan.grouping), new / FACTORIZATION_NAME)
            extras = [FACTORIZATION_NAME]
        record = _record(old, plan, wishes, written, bits, warnings, new, extras)
        record["timings_s"] = {"regroup": round(time.perf_counter() - began, 3)}
        write_record(new, record)
        names = [*(file.name for file in written.values()), *extras, RECORD_NAME]
        move_run(new, place, names, [], fresh=True)
    return Regrouped(
        place=place,
        paths={name: place / file.name for name, file in written.items()},
        grouping=plan.grouping,
        record=record,
    )


def _opened(
    folder: str | os.PathLike[str], wishes: Wishes
) -> tuple[StemSet, StoredFactorization | None]:
    """Open the stems, and their components where there are any, or some are named."""
    names_only = not wishes.move and all(
        isinstance(member, str) for members in wishes.merge for member in members
    )
    if names_only:
        files = (read_record(Path(os.fspath(folder))) or {}).get("files")
        if not isinstance(files, dict) or FACTORIZATION_NAME not in files:
            return open_stem_set(folder), None
    old = open_separated(folder)
    return old, old.stored


def _as_they_are(old: StemSet) -> Grouping:
    """Stems without components: each is one by itself."""
    n = len(old.files)
    return Grouping(weights=np.eye(n), names=tuple(old.files), confidence=np.ones(n))


# --- places and records -------------------------------------------------------------------------


def _record(
    old: StemSet,
    plan: Plan,
    wishes: Wishes,
    written: Mapping[str, StemFile],
    bits: Bits,
    warnings: list[str],
    new: Path,
    extras: Sequence[str],
) -> dict[str, Any]:
    """The old record, of which all stays that is still true."""
    changes = {
        "from": display(old.place),
        "record_sha256": digest_of(old.place / RECORD_NAME),
        "merge": [list(members) for members in wishes.merge],
        "move": [
            [[numbers] if isinstance(numbers, int) else list(numbers), target]
            for numbers, target in (wishes.move or {}).items()
        ],
        "rename": dict(wishes.rename or {}),
    }
    settings = old.record.get("settings")
    return {
        **old.record,
        # Among the settings, so that nobody takes these stems for those of a separation.
        "settings": {**(settings if isinstance(settings, dict) else {}), "regrouped": changes},
        "notes": [*sentences_of(old.record, "notes"), *plan.notes],
        "warnings": [*sentences_of(old.record, "warnings"), *warnings],
        "bits": bits,
        "stems": entries_of(written),
        "files": {file: {"sha256": digest_of(new / file)} for file in extras},
    }


# --- linear: sums, and what moves ---------------------------------------------------------------


def _shifted(
    old: StemSet, stored: StoredFactorization | None, plan: Plan, new: Path, n_threads: int
) -> dict[str, StemFile] | None:
    """Copy what stays, add up what is merged, shift what moves; None if a sum does not fit."""
    names = tuple(old.files)
    changed = _changed(plan)
    parts = {names[i] for j in changed for i in plan.sums[j]}
    more = _WORKING_RECORDINGS if plan.moves else 0
    old.check_memory(len(parts) + max(n_threads, len(changed)) + more)
    with ThreadPoolExecutor(n_threads) as pool:
        copies = {
            j: pool.submit(copied_stem, old, names[plan.sums[j][0]], plan.grouping.names[j], new)
            for j in range(len(plan.sums))
            if j not in changed
        }
        if plan.moves:
            # The others are verified as they are copied.
            total = old.add_up(parts, verify_others=False, n_threads=n_threads)
            stems, mixture = total.stems, total.mixture
        else:
            wanted = sorted(parts)
            stems = dict(zip(wanted, pool.map(old.read, wanted), strict=True))
        sums = {j: _added_up([stems[names[i]] for i in plan.sums[j]], old) for j in changed}
        if plan.moves and stored is not None:
            _shift(sums, plan, mixture, old, stored, n_threads)
        if not all(fits_range(values, old.bits) for values in sums.values()):
            for copy in copies.values():
                copy.result()
            return None
        files = {
            j: pool.submit(written_stem, new, plan.grouping.names[j], values, old)
            for j, values in sums.items()
        }
        done = {**copies, **files}
        return {name: done[j].result() for j, name in enumerate(plan.grouping.names)}


def _changes(plan: Plan, before: Grouping) -> bool:
    """Whether anything at all comes out otherwise than it was."""
    return plan.moves or plan.grouping.names != before.names or bool(_changed(plan))


def _changed(plan: Plan) -> list[int]:
    """New stems that are not just an old one."""
    return [j for j, parts in enumerate(plan.sums) if len(parts) != 1 or plan.shifts[:, j].any()]


def _added_up(parts: Sequence[npt.NDArray[Any]], old: StemSet) -> npt.NDArray[Any]:
    if not parts:
        shape = (old.n_samples, old.n_channels)
        return np.zeros(shape, dtype=np.float32 if old.bits == "float" else np.int32)
    # Sums of 16 bits need more until it is known that they fit.
    total = parts[0].astype(np.float32 if old.bits == "float" else np.int32)
    for part in parts[1:]:
        total += part
    return total


def _shift(
    sums: dict[int, npt.NDArray[Any]],
    plan: Plan,
    mixture: npt.NDArray[np.float32],
    old: StemSet,
    stored: StoredFactorization,
    n_threads: int,
) -> None:
    """Add to each stem what its components' shares changed by; the last takes what others give."""
    columns = [int(j) for j in np.flatnonzero(plan.shifts.any(axis=0))]
    # Whoever has most components on the move is the one that need not be filtered.
    columns.sort(key=lambda j: int(np.count_nonzero(plan.shifts[:, j])))
    *filtered, last = columns
    scale = np.float32(full_scale(old.bits))
    for j in filtered:
        part = filter_channels(
            mixture,
            _Shares(stored, plan.shifts[:, j]),
            n_fft=stored.n_fft,
            hop_length=stored.hop_length,
            window=stored.window,
            n_threads=n_threads,
        )
        for channel, row in enumerate(part):
            give, take = sums[j][:, channel], sums[last][:, channel]
            for first in range(0, len(row), _BLOCK_SAMPLES):
                block = slice(first, first + _BLOCK_SAMPLES)
                moved: npt.NDArray[Any] = row[block]
                if old.bits != "float":
                    moved = np.rint(moved * scale).astype(np.int32)
                give[block] += moved
                take[block] -= moved


class _Shares:
    """Weighted shares of components in the mixture, a few frames at a time."""

    def __init__(self, stored: StoredFactorization, weights: npt.NDArray[np.float64]) -> None:
        self._some = np.flatnonzero(weights)
        self._weights = weights[self._some].astype(np.float32)
        self._activations = stored.activations
        self._spectra = np.ascontiguousarray(stored.templates.T)

    def __call__(self, first: int, last: int) -> npt.NDArray[np.float32] | None:
        active = self._activations[:, first:last]
        some = active[self._some] * self._weights[:, np.newaxis]
        if not some.any():
            return None
        whole = active.T @ self._spectra
        part = np.asarray(some.T @ self._spectra[self._some], dtype=np.float32)
        part /= np.maximum(whole, _TINY, out=whole)
        heard = np.maximum(part.max(axis=1), -part.min(axis=1)) >= _SILENT
        if not heard.all():
            part[~heard] = 0.0
        return part if heard.any() else None


def _as_floats(
    old: StemSet, plan: Plan, new: Path, n_threads: int
) -> tuple[dict[str, StemFile], Bits, list[str]]:
    """Write sums of stems that integers cannot hold."""
    old.check_memory(len(old.files) + n_threads)
    names = tuple(old.files)
    for leftover in new.iterdir():
        leftover.unlink()

    def written(j: int) -> StemFile:
        values = _added_up([old.read(names[i]) for i in plan.sums[j]], old)
        return written_stem(new, plan.grouping.names[j], values, old, as_float=True)

    with ThreadPoolExecutor(n_threads) as pool:
        files = list(pool.map(written, range(len(plan.sums))))
    return (
        dict(zip(plan.grouping.names, files, strict=True)),
        "float",
        [beyond_range(old.bits)],
    )


# --- not linear: all again ----------------------------------------------------------------------


def _rendered(
    old: StemSet, stored: StoredFactorization, plan: Plan, new: Path, n_threads: int
) -> tuple[dict[str, StemFile], Bits, list[str]]:
    """Share the mixture out again by the new grouping, with the masks' own exponent."""
    old.check_memory(_WORKING_RECORDINGS + max(n_threads, len(plan.sums)))
    mixture = Audio(samples=old.add_up(n_threads=n_threads).mixture, sr=stored.sr)
    grouping = plan.grouping
    models = SourceModels(
        models=grouped_models(stored.templates, stored.activations, grouping),
        names=grouping.names,
    )
    analysis = Analysis(n_fft=stored.n_fft, hop_length=stored.hop_length, window=stored.window)
    with one_blas_thread():
        stems = render(mixture, models, analysis, stored.mask_exponent, n_threads, ignore_progress)
    for leftover in new.iterdir():
        leftover.unlink()
    format_: Format = "wav" if old.bits == "float" else old.format
    written = write_stems(new, stems, mixture, bits=old.bits, format_=format_)
    files = {
        name: StemFile(
            name=file,
            sha256=digest_of(new / file),
            level=level_of(stems[name].samples.T, 1.0),
        )
        for name, file in written.files.items()
    }
    return files, written.bits, list(written.warnings)
