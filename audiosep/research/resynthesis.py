"""A recording with other activations: what was edited is applied to the mixture itself."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from audiosep.errors import ParameterError
from audiosep.factorization_files import StoredFactorization
from audiosep.io.single_file import in_one_step
from audiosep.io.tables import read_activations, write_arrays, write_table
from audiosep.research.component_facts import component_names
from audiosep.research.filtering import filter_channels
from audiosep.research.separated import open_separated
from audiosep.threads import resolve_threads
from audiosep.types import Audio

__all__ = ["MOST_GAIN", "export_activations", "resynthesize"]

MOST_GAIN = 100.0
"""Nothing is made louder than by this factor (40 dB): where next to nothing was, there is no
sound that a mask could bring up."""

_TINY = 1e-36
_LARGEST = 3e38  # float32
_WORKING_RECORDINGS = 5
"""The sum in double precision, the mixture, what is changed, and what it is."""


def export_activations(
    folder: str | os.PathLike[str], path: str | os.PathLike[str]
) -> StoredFactorization:
    """Write the activations of a folder's components for editing.

    Parameters
    ----------
    folder : path-like
        Made by ``audiosep split``, ``audiosep atoms`` or ``audiosep regroup``.
    path : path-like
        ``.npz``, or anything else for CSV with the columns ``time_s`` and ``component-01`` ...

    Returns
    -------
    StoredFactorization
        What they belong to.

    Raises
    ------
    InputError, DictionaryError, RefusedError
        If `folder` holds no stems whose components were stored, or they were changed.
    OutputError
        If the table cannot be written.
    """
    stored = open_separated(folder).stored
    target = Path(os.fspath(path))
    times_s = np.arange(stored.n_frames) * stored.frame_s
    with in_one_step(target) as partial:
        if target.suffix.lower() == ".npz":
            write_arrays(partial, activations=stored.activations, times_s=times_s)
        else:
            names = component_names(stored.n_components)
            write_table(partial, "time_s", times_s, names, stored.activations.T)
    return stored


def resynthesize(
    folder: str | os.PathLike[str],
    activations: str | os.PathLike[str] | npt.ArrayLike | Mapping[int, npt.ArrayLike],
    *,
    n_threads: int | None = None,
) -> Audio:
    """Return the mixture as it would be with other activations.

    Each bin of the mixture is multiplied by the new model over the old one, ``W H' / W H``. So
    what was not edited keeps its sound and its phase: with the stored activations the mixture
    itself comes back, sample for sample, and a component whose activation is zero is taken out by
    its share.

    Parameters
    ----------
    folder : path-like
        Made by ``audiosep split``, ``audiosep atoms`` or ``audiosep regroup``; the mixture is the
        sum of its stems.
    activations : path-like, array_like or mapping
        A table as :func:`export_activations` writes it, in which columns may be missing; an array
        (n_components, n_frames); or single rows by the numbers of their components, from 1.
        Non-negative.
    n_threads : int, optional
        Threads; by default the processors this process may use. The result does not depend on it.

    Returns
    -------
    Audio
        float32, as long as the mixture.

    Raises
    ------
    InputError
        If `folder` holds no stems whose components were stored, or the table does not fit them.
    ParameterError
        If an array does not fit them.
    RefusedError
        If a stem was changed since it was written, or all of it does not fit into free memory.
    """
    old = open_separated(folder)
    stored = old.stored
    if isinstance(activations, str | os.PathLike):
        path = Path(os.fspath(activations))
        rows = read_activations(path, component_names(stored.n_components), stored.n_frames)
    else:
        rows = _rows(activations, stored)
    threads = resolve_threads(n_threads)
    old.check_memory(_WORKING_RECORDINGS + threads)
    mixture = old.add_up(n_threads=threads).mixture
    change = filter_channels(
        mixture,
        _Change(stored, rows),
        n_fft=stored.n_fft,
        hop_length=stored.hop_length,
        window=stored.window,
        n_threads=threads,
    )
    mixture += change
    return Audio(samples=mixture, sr=stored.sr)


def _rows(
    activations: npt.ArrayLike | Mapping[int, npt.ArrayLike], stored: StoredFactorization
) -> dict[int, npt.NDArray[np.float32]]:
    """Rows of an array, or of a mapping, by their places."""
    K, n_frames = stored.n_components, stored.n_frames
    if isinstance(activations, Mapping):
        given = {number: np.asarray(row) for number, row in activations.items()}
    else:
        array = np.asarray(activations)
        if array.shape != (K, n_frames):
            raise ParameterError(f"activations {array.shape} must be of shape ({K}, {n_frames}).")
        given = {k + 1: row for k, row in enumerate(array)}
    for number, row in given.items():
        if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= K:
            raise ParameterError(f"there is no component {number!r}; there are 1 to {K}.")
        if row.shape != (n_frames,) or row.dtype.kind not in "fiu":
            raise ParameterError(f"component {number}: expected {n_frames} numbers, one a frame.")
        if not ((row >= 0) & (row < _LARGEST)).all():
            raise ParameterError(
                f"component {number} has activations below 0, not finite or beyond {_LARGEST:g}."
            )
    return {number - 1: row.astype(np.float32) for number, row in given.items()}


class _Change:
    """Gains less one, a few frames at a time; None where nothing was edited."""

    def __init__(
        self, stored: StoredFactorization, rows: Mapping[int, npt.NDArray[np.float32]]
    ) -> None:
        self._stored = stored
        self._places = [k for k, row in rows.items() if (row != stored.activations[k]).any()]
        self._rows = rows
        self._spectra = np.ascontiguousarray(stored.templates.T)

    def __call__(self, first: int, last: int) -> npt.NDArray[np.float32] | None:
        old = self._stored.activations[:, first:last]
        if not self._places:
            return None
        more = np.stack([self._rows[k][first:last] for k in self._places]) - old[self._places]
        if not more.any():
            return None
        whole = old.T @ self._spectra
        change = np.asarray(more.T @ self._spectra[self._places], dtype=np.float32)
        np.divide(change, whole, out=change, where=whole > _TINY)
        change[whole <= _TINY] = 0.0
        return np.clip(change, -1.0, MOST_GAIN - 1.0, out=change)
