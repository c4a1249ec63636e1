"""A recording taken apart into single components, each with its template, activation and sound."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from audiosep._version import __version__
from audiosep.errors import InputError, ParameterError, without_salvage
from audiosep.factorization_files import (
    FACTORIZATION_NAME,
    MAX_COMPONENTS,
    StoredFactorization,
    problem_of_size,
    save_factorization,
)
from audiosep.io.placing import beside, move_run
from audiosep.io.stem_files import write_stem
from audiosep.io.tables import write_arrays, write_table
from audiosep.io.writing import DEEPEST_NULL_DB
from audiosep.loading import load_mixture
from audiosep.memory import Work
from audiosep.nmf.divergence import beta_from
from audiosep.records import RECORD_NAME, digest_of, read_record, recorded_files, write_record
from audiosep.research.component_facts import component_names, describe_components
from audiosep.research.filtering import filter_channels
from audiosep.research.separated import level_of
from audiosep.threads import one_blas_thread, resolve_threads
from audiosep.transform import WINDOW_S, stft
from audiosep.types import (
    Audio,
    Factorization,
    Grouping,
    Progress,
    ignore_progress,
    whole_number,
)

__all__ = ["Atoms", "SavedAtoms", "atoms_settings", "find_atoms"]

MAX_ITER = 100
METHOD = "atoms"
"""As records call it."""

_TINY = 1e-36

_WORKING_STEMS = 4
"""Recordings' worth of memory that filtering one component takes."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Atoms:
    """The components of a recording.

    Parameters
    ----------
    mixture : Audio
        What was taken apart.
    factorization : Factorization
        Templates W, activations H, and how the fit went.
    stored : StoredFactorization
        The same with its analysis; every component is a stem of its own.
    record : dict
        Version, settings, input, analysis, notes, losses: only JSON types.
    """

    mixture: Audio
    factorization: Factorization
    stored: StoredFactorization
    record: dict[str, Any]

    @property
    def n_components(self) -> int:
        """How many there are."""
        return self.stored.n_components

    @property
    def frequencies_hz(self) -> npt.NDArray[np.float64]:
        """Frequencies of the templates' bins."""
        return np.arange(len(self.stored.templates), dtype=np.float64) * self.stored.bin_hz

    @property
    def times_s(self) -> npt.NDArray[np.float64]:
        """Times of the activations' frames, at their middle."""
        return np.arange(self.stored.n_frames, dtype=np.float64) * self.stored.frame_s

    def sound(self, number: int, *, n_threads: int | None = None) -> Audio:
        """Return what one component contributes: its share of the mixture in every bin.

        Parameters
        ----------
        number : int
            From 1.
        n_threads : int, optional
            The result does not depend on it.

        Returns
        -------
        Audio
            As long as the mixture; all of them sum to it, up to rounding.

        Raises
        ------
        ParameterError
            If there is no such component.
        """
        k = whole_number("number", number, 1, self.n_components) - 1
        samples = filter_channels(
            self.mixture.samples,
            _Share(self.stored, k),
            n_fft=self.stored.n_fft,
            hop_length=self.stored.hop_length,
            window=self.stored.window,
            n_threads=resolve_threads(n_threads),
        )
        return Audio(samples=samples, sr=self.mixture.sr)

    def save(
        self,
        directory: str | os.PathLike[str],
        *,
        sounds: bool = True,
        overwrite: bool = False,
        n_threads: int | None = None,
        progress: Progress = ignore_progress,
    ) -> SavedAtoms:
        """Write everything into a new folder, ``audiosep.json`` last.

        ``templates.csv`` and ``activations.csv`` for spreadsheets, ``components.npz`` for
        programs, ``factorization.safetensors`` for :func:`audiosep.regroup`, and the sound of each
        component as 32-bit float WAV; these sum to the mixture.

        Parameters
        ----------
        directory : path-like
            Must not exist, unless `overwrite`.
        sounds : bool
            Whether to write the sounds; without them the components cannot be regrouped.
        overwrite : bool
            Whether the files of an earlier run in it are replaced; all others stay.
        n_threads : int, optional
            Results do not depend on it.
        progress : callable
            Called as ``progress("render", fraction)``.

        Returns
        -------
        SavedAtoms

        Raises
        ------
        OutputError
            If something cannot be written.
        RefusedError
            If the folder exists.
        """
        place = Path(os.path.realpath(os.fspath(directory)) if overwrite else os.fspath(directory))
        began = time.perf_counter()
        with beside(place) as new:
            tables = self._write_tables(new)
            stems: dict[str, dict[str, Any]] = {}
            null_test_db = None
            if sounds:
                stems, null_test_db = self._write_sounds(new, resolve_threads(n_threads), progress)
            record = {
                **self.record,
                "null_test_db": null_test_db,
                "bits": "float",
                "components": [asdict(one) for one in describe_components(self.stored)],
                "stems": stems,
                "files": {name: {"sha256": digest_of(new / name)} for name in tables},
                "timings_s": {
                    **self.record["timings_s"],
                    "write": round(time.perf_counter() - began, 3),
                },
            }
            write_record(new, record)
            names = [*(stem["file"] for stem in stems.values()), *tables, RECORD_NAME]
            before = [RECORD_NAME, *recorded_files(read_record(place))] if overwrite else []
            move_run(new, place, names, before, fresh=not overwrite)
        place = Path(os.fspath(directory))
        return SavedAtoms(
            place=place,
            sounds={name: place / stem["file"] for name, stem in stems.items()},
            tables={name: place / name for name in tables},
            record=record,
        )

    def _write_tables(self, folder: Path) -> list[str]:
        stored = self.stored
        names = component_names(self.n_components)
        W, H = stored.templates, stored.activations
        write_table(folder / "templates.csv", "frequency_hz", self.frequencies_hz, names, W)
        write_table(folder / "activations.csv", "time_s", self.times_s, names, H.T)
        write_arrays(
            folder / "components.npz",
            templates=W,
            activations=H,
            frequencies_hz=self.frequencies_hz,
            times_s=self.times_s,
        )
        save_factorization(stored, folder / FACTORIZATION_NAME)
        return ["templates.csv", "activations.csv", "components.npz", FACTORIZATION_NAME]

    def _write_sounds(
        self, folder: Path, n_threads: int, progress: Progress
    ) -> tuple[dict[str, dict[str, Any]], float]:
        """One after the other, so that never more than one is in memory; the last takes the rest.

        Returns entries of the record, and the depth of the null test in dB.
        """
        names = component_names(self.n_components)
        rest = self.mixture.samples.astype(np.float64)
        entries = {}
        for number, name in enumerate(names, start=1):
            progress("render", (number - 1) / len(names))
            if number < len(names):
                samples = self.sound(number, n_threads=n_threads).samples
            else:
                samples = rest.astype(np.float32)
            rest -= samples
            file = f"{name}.wav"
            values = samples.T
            digest = write_stem(
                folder / file, values, bits="float", format_="wav", sr=self.mixture.sr
            )
            entries[name] = {"file": file, "sha256": digest, **level_of(values, 1.0)}
        progress("render", 1.0)
        left = max(float(rest.max()), -float(rest.min())) / max(1.0, self.mixture.peak)
        depth = max(left, 10 ** (DEEPEST_NULL_DB / 20))
        return entries, round(20 * float(np.log10(depth)), 1)

    def __iter__(self) -> Iterator[Audio]:
        """Sound of each component in turn."""
        return (self.sound(number) for number in range(1, self.n_components + 1))


@dataclass(frozen=True, kw_only=True)
class SavedAtoms:
    """Where components were written to.

    Parameters
    ----------
    place : Path
        Their folder.
    sounds : dict of str to Path
        Sound of each component, where they were wanted.
    tables : dict of str to Path
        Everything else, but for the record.
    record : dict
        ``audiosep.json`` as written.
    """

    place: Path
    sounds: dict[str, Path]
    tables: dict[str, Path]
    record: dict[str, Any]


def find_atoms(
    source: str | os.PathLike[str] | npt.ArrayLike | Audio,
    sr: int | None = None,
    *,
    n_components: int | None = None,
    beta: float | str = 1.0,
    max_iter: int = MAX_ITER,
    window_s: float = WINDOW_S,
    seed: int = 0,
    n_threads: int | None = None,
    start: float = 0.0,
    duration: float | None = None,
    progress: Progress = ignore_progress,
) -> Atoms:
    """Factorize the magnitudes of a recording, ``V ≈ W H``, and keep every component.

    Parameters
    ----------
    source : path-like, Audio or array_like [shape=(n_samples,) or (n_channels, n_samples)]
        A sound file, or samples at full scale 1.0. Never changed.
    sr : int, optional
        Sample rate in Hz; needed with an array.
    n_components : int, optional
        1 to 1000; by default as many as stand out, see :func:`audiosep.nmf.suggest_rank`.
    beta : float or {"kl", "is", "euclidean"}
        Divergence.
    max_iter : int > 0
        Iterations.
    window_s : float
        Window of the analysis in seconds.
    seed : int >= 0
        Start of the random numbers: the same seed gives the same bytes.
    n_threads : int, optional
        Threads; by default the processors this process may use. Results do not depend on it.
    start, duration : float
        Part of a file in seconds.
    progress : callable
        Called as ``progress(stage, fraction)``.

    Returns
    -------
    Atoms

    Raises
    ------
    InputError
        If the recording cannot be used.
    UsageError
        If an argument does not fit or is out of range.
    RefusedError
        If the recording is longer than what fits into free memory.
    """
    from audiosep.nmf import factorize, suggest_rank  # compiles or loads the kernels

    began = time.perf_counter()
    settings = atoms_settings(
        n_components=n_components, beta=beta, max_iter=max_iter, window_s=window_s, seed=seed
    )
    threads = resolve_threads(n_threads)
    work = Work(preset="components", n_stems=_WORKING_STEMS, chunk_s=math.inf)
    try:
        mixture, about = load_mixture(source, sr, start=start, duration=duration, work=work)
    except InputError as error:
        raise type(error)(without_salvage(str(error))) from None
    notes = []
    with one_blas_thread():
        progress("transform", 0.0)
        spectrogram = stft(mixture, window_s=window_s, n_threads=threads)
        V = spectrogram.magnitude()
        analysis = {
            "n_fft": spectrogram.n_fft,
            "hop_length": spectrogram.hop_length,
            "window": spectrogram.window,
        }
        del spectrogram
        K = settings["n_components"]
        if K is None:
            found = suggest_rank(V, beta=settings["beta"], seed=seed, n_threads=threads)
            K = found.n_components
            notes.append(f"{K} component{'' if K == 1 else 's'}: {found.reason}")
        # Before the long fit: what cannot be stored can be neither listed nor regrouped.
        if problem := problem_of_size(4 * K * sum(V.shape)):
            raise ParameterError(problem)
        result = factorize(
            V,
            K,
            beta=settings["beta"],
            max_iter=settings["max_iter"],
            tol=0.0,
            seed=settings["seed"],
            n_threads=threads,
            progress=progress,
        )
    stored = StoredFactorization(
        templates=np.asarray(result.templates, dtype=np.float32),
        activations=np.asarray(result.activations, dtype=np.float32),
        grouping=Grouping(
            weights=np.eye(K, dtype=np.float32),
            names=component_names(K),
            confidence=np.ones(K, dtype=np.float32),
        ),
        sr=mixture.sr,
        n_samples=mixture.n_samples,
        n_channels=mixture.n_channels,
        mask_exponent=1.0,
        **analysis,  # type: ignore[arg-type]
    )
    record: dict[str, Any] = {
        "audiosep": __version__,
        "method": METHOD,
        "seed": settings["seed"],
        "settings": settings,
        "analysis": {"mask_exponent": 1.0, **analysis},
        "input": about["input"],
        "notes": notes,
        "warnings": about["warnings"],
        "losses": result.losses.tolist(),
        "n_iter": result.n_iter,
        "stop": result.stop.value,
        "timings_s": {"model": round(time.perf_counter() - began, 3)},
    }
    return Atoms(mixture=mixture, factorization=result, stored=stored, record=record)


def atoms_settings(
    *,
    n_components: int | None = None,
    beta: float | str = 1.0,
    max_iter: int = MAX_ITER,
    window_s: float = WINDOW_S,
    seed: int = 0,
) -> dict[str, Any]:
    """Return the settings of :func:`find_atoms` as its record keeps them.

    Parameters
    ----------
    n_components, beta, max_iter, window_s, seed
        As for :func:`find_atoms`.

    Returns
    -------
    dict
        The same, checked, in JSON types.

    Raises
    ------
    ParameterError
        If one is out of range.
    """
    if n_components is not None:
        n_components = whole_number("n_components", n_components, 1, MAX_COMPONENTS)
    return {
        "n_components": n_components,
        "beta": beta_from(beta),
        "max_iter": whole_number("max_iter", max_iter, 1),
        "window_s": window_s,
        "seed": whole_number("seed", seed, 0),
    }


class _Share:
    """Share of one component in the mixture, a few frames at a time.

    Where no component has anything, all share alike, so that the shares sum to one.
    """

    def __init__(self, stored: StoredFactorization, component: int) -> None:
        self._activations, self._component = stored.activations, component
        self._spectra = np.ascontiguousarray(stored.templates.T)

    def __call__(self, first: int, last: int) -> npt.NDArray[np.float32]:
        active = self._activations[:, first:last]
        whole = active.T @ self._spectra
        part = np.asarray(
            np.outer(active[self._component], self._spectra[self._component]), dtype=np.float32
        )
        np.divide(part, whole, out=part, where=whole > _TINY)
        part[whole <= _TINY] = 1.0 / len(self._spectra)
        return part
