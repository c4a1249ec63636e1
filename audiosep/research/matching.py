"""A known dictionary held against a recording: when each of its sounds occurs, and how surely."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from audiosep.dictionaries import Dictionary
from audiosep.dictionary_files import load_dictionary
from audiosep.errors import InputError, without_salvage
from audiosep.loading import load_mixture
from audiosep.memory import Work
from audiosep.nmf.divergence import beta_from
from audiosep.threads import one_blas_thread, resolve_threads
from audiosep.transform import WINDOW_S, stft
from audiosep.types import Audio, FloatArray, Progress, ignore_progress, whole_number

__all__ = ["TABLES", "Match", "match_dictionary", "table_of"]

MAX_ITER = 50

TABLES = ("labels", "components", "shares", "similarity")
"""Tables that a match can be shown as; see :func:`table_of`."""

_SILENT_DB = -60.0
"""Frames this far below the loudest count as silence: what they are like means nothing."""

_WORKING_STEMS = 2

_BLOCK = 1024
"""Frames that are compared at once."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Match:
    """A dictionary's sounds in a recording, over time.

    Parameters
    ----------
    labels : tuple of str
        The kinds of sound, in the order of the dictionary.
    component_labels : tuple of str
        The kind of each component.
    times_s : np.ndarray [shape=(n_frames,), dtype=float64]
        Middle of each frame in seconds.
    activations : np.ndarray [shape=(n_components, n_frames), dtype=float32]
        Gains of the templates (each sums to one over the frequencies), when all of them explain
        the recording together.
    levels : np.ndarray [shape=(n_labels, n_frames), dtype=float32]
        Summed gains of each kind: the magnitude that it explains.
    shares : np.ndarray [shape=(n_labels, n_frames), dtype=float32]
        The same relative to all that is in the frame, 0 to 1; 0 in silence.
    similarity : np.ndarray [shape=(n_labels, n_frames), dtype=float32]
        How alike the frame is to the best that this kind alone can make of it: cosine of the
        spectra, 0 to 1; 0 in silence.
    """

    labels: tuple[str, ...]
    component_labels: tuple[str, ...]
    times_s: npt.NDArray[np.float64]
    activations: npt.NDArray[np.float32]
    levels: npt.NDArray[np.float32]
    shares: npt.NDArray[np.float32]
    similarity: npt.NDArray[np.float32]

    def scores(self) -> dict[str, dict[str, float]]:
        """Sum each kind up over the recording.

        Returns
        -------
        dict of str to dict
            By label: ``similarity`` and ``share`` where they are highest (95th percentile of the
            frames that are not silent), ``mean_share``, and ``best_s``, the time in seconds where
            the product of both is largest.
        """
        heard = self.similarity.any(axis=0)
        out = {}
        for label, similar, share in zip(self.labels, self.similarity, self.shares, strict=True):
            out[label] = {
                "similarity": _high(similar[heard]),
                "share": _high(share[heard]),
                "mean_share": float(share[heard].mean()) if heard.any() else 0.0,
                "best_s": float(self.times_s[int(np.argmax(similar * share))]),
            }
        return out


def _high(values: FloatArray) -> float:
    return float(np.percentile(values, 95)) if values.size else 0.0


def match_dictionary(
    dictionary: Dictionary | str | os.PathLike[str],
    source: str | os.PathLike[str] | npt.ArrayLike | Audio,
    sr: int | None = None,
    *,
    n_free: int = 0,
    beta: float | str = 1.0,
    max_iter: int = MAX_ITER,
    window_s: float = WINDOW_S,
    seed: int = 0,
    n_threads: int | None = None,
    start: float = 0.0,
    duration: float | None = None,
    progress: Progress = ignore_progress,
) -> Match:
    """Find when the sounds of a dictionary occur in a recording.

    The templates are held fixed and only their activations are fitted: for all kinds together,
    which tells how the recording is shared out among them, and for each kind alone, which tells
    how alike it is.

    Parameters
    ----------
    dictionary : Dictionary or path-like
        Spectra with labels, as ``audiosep learn`` makes them.
    source : path-like, Audio or array_like [shape=(n_samples,) or (n_channels, n_samples)]
        A sound file, or samples at full scale 1.0. Of any rate and number of channels.
    sr : int, optional
        Sample rate in Hz; needed with an array.
    n_free : int >= 0
        Components that are fitted to what the dictionary does not explain; with them the shares
        do not sum to one, and sounds that are not in the dictionary are not taken for ones that
        are.
    beta : float or {"kl", "is", "euclidean"}
        Divergence.
    max_iter : int > 0
        Iterations of each fit.
    window_s : float
        Window of the analysis in seconds.
    seed : int >= 0
        Start of the random numbers.
    n_threads : int, optional
        Threads; by default the processors this process may use. Results do not depend on it.
    start, duration : float
        Part of a file in seconds.
    progress : callable
        Called as ``progress("factorize", fraction)``.

    Returns
    -------
    Match

    Raises
    ------
    DictionaryError
        If it cannot be read, or its templates are patches.
    InputError
        If the recording cannot be used.
    UsageError
        If an argument does not fit or is out of range.
    RefusedError
        If the recording is longer than what fits into free memory.
    """
    found = dictionary if isinstance(dictionary, Dictionary) else load_dictionary(dictionary)
    n_free = whole_number("n_free", n_free, 0, 1000)
    settings: dict[str, Any] = {
        "beta": beta_from(beta),
        "max_iter": whole_number("max_iter", max_iter, 1),
        "seed": whole_number("seed", seed, 0),
        "n_threads": resolve_threads(n_threads),
    }
    try:
        mixture, _ = load_mixture(
            source,
            sr,
            start=start,
            duration=duration,
            work=Work(preset="components", n_stems=_WORKING_STEMS, chunk_s=math.inf),
        )
    except InputError as error:
        raise type(error)(without_salvage(str(error))) from None
    with one_blas_thread():
        spectrogram = stft(mixture, window_s=window_s, n_threads=settings["n_threads"])
        W = found.on_bins(spectrogram.sr, spectrogram.n_fft)
        V = spectrogram.magnitude()
        times_s = np.arange(spectrogram.n_frames, dtype=np.float64) * spectrogram.frame_s
        del spectrogram
        n_fits = len(found.sources) + 1
        H, free = _together(V, W, n_free, settings, _part(progress, 0, n_fits))
        members = [
            np.array([one == label for one in found.labels], dtype=bool) for label in found.sources
        ]
        similarity = np.empty((len(members), V.shape[1]), dtype=np.float32)
        for index, mine in enumerate(members):
            report = _part(progress, index + 1, n_fits)
            similarity[index] = _likeness(V, W[:, mine], settings, report)
    levels = np.stack([H[mine].sum(axis=0) for mine in members])
    whole = levels.sum(axis=0) + free
    sums = V.sum(axis=0, dtype=np.float64)
    heard = sums > 10 ** (_SILENT_DB / 20) * float(sums.max(initial=0.0))
    shares = np.divide(levels, whole, out=np.zeros_like(levels), where=(whole > 0) & heard)
    return Match(
        labels=found.sources,
        component_labels=found.labels,
        times_s=times_s,
        activations=H,
        levels=levels,
        shares=shares,
        similarity=np.where(heard, similarity, np.float32(0.0)),
    )


def _part(progress: Progress, index: int, n_fits: int) -> Progress:
    return lambda stage, fraction: progress(stage, (index + fraction) / n_fits)


def _together(
    V: FloatArray, W: FloatArray, n_free: int, settings: dict[str, Any], progress: Progress
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Activations of all templates, and the magnitude that free components explain."""
    from audiosep.nmf import factorize  # compiles or loads the kernels

    rng = np.random.default_rng(settings["seed"])
    free = rng.uniform(0.1, 1.0, (len(W), n_free)).astype(np.float32)
    start = np.hstack([W, free / free.sum(axis=0)])
    fixed = np.arange(start.shape[1]) < W.shape[1]
    result = factorize(
        V, templates=start, fixed_templates=fixed, tol=0.0, progress=progress, **settings
    )
    H = np.asarray(result.activations, dtype=np.float32)
    K = W.shape[1]
    rest = result.templates[:, K:].sum(axis=0) @ H[K:]
    return H[:K], np.asarray(rest, dtype=np.float32)


def _likeness(
    V: FloatArray, W: FloatArray, settings: dict[str, Any], progress: Progress
) -> npt.NDArray[np.float32]:
    """Cosine of each frame with the best that these templates alone make of it."""
    from audiosep.nmf import factorize

    result = factorize(V, templates=W, fixed_templates=True, tol=0.0, progress=progress, **settings)
    out = np.zeros(V.shape[1], dtype=np.float32)
    for first in range(0, V.shape[1], _BLOCK):
        part = slice(first, first + _BLOCK)
        out[part] = _cosines(V[:, part], W @ result.activations[:, part])
    return out


def _cosines(a: FloatArray, b: FloatArray) -> FloatArray:
    """Of columns; zero where one is. Scaled first, so that squares keep in range."""
    products = []
    for one in (a, b):
        largest = one.max(axis=0)
        products.append(one / np.where(largest > 0, largest, 1).astype(one.dtype))
    x, y = products
    norms = np.sqrt((x * x).sum(axis=0) * (y * y).sum(axis=0))
    cosines: FloatArray = np.minimum(
        1.0, np.divide((x * y).sum(axis=0), norms, out=np.zeros_like(norms), where=norms > 0)
    )
    return cosines


def table_of(match: Match, columns: str) -> tuple[Sequence[str], FloatArray]:
    """Return names and columns of one of a match's tables.

    Parameters
    ----------
    match : Match
        What to show.
    columns : {"labels", "components", "shares", "similarity"}
        Levels of the labels, activations of the components, or one of the two scores.

    Returns
    -------
    names : sequence of str
    values : np.ndarray [shape=(n_frames, len(names))]
    """
    if columns == "components":
        counts: dict[str, int] = {}
        names = []
        for label in match.component_labels:
            counts[label] = counts.get(label, 0) + 1
            names.append(f"{label}-{counts[label]}")
        return names, match.activations.T
    values = {"labels": match.levels, "shares": match.shares, "similarity": match.similarity}
    return match.labels, values[columns].T
