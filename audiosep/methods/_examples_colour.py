"""Examples brought to the colour that their sources have in a mixture.

Another microphone, another distance, another room: what changes most from an example to a mixture
is a smooth factor along frequency. It is fitted to the mixture, one for each source, by turns with
the activations, and the examples are filtered by it.

References
----------
.. [1] J.-L. Durrieu, G. Richard, B. David and C. Févotte (2010), "Source/filter model for
   unsupervised main melody extraction from polyphonic audio signals", IEEE TASLP 18(3): spectra as
   products of a fixed part and a smooth one, with multiplicative updates. Ours are smoothed over
   octaves in each update instead of being made of smooth components.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from audiosep.methods._examples_bands import bands_of
from audiosep.methods._examples_dnmf import PER_OCTAVE, Dictionaries, fit_on_bands
from audiosep.methods._examples_sources import SourceExample

__all__ = ["colours_in", "with_colours"]

_Matrix = npt.NDArray[np.float32]

ROUNDS = 6
WIDTH_OCTAVES = 0.6
"""Standard deviation of the smoothing."""

MOST_DB = 20.0
MOST_FRAMES = 3000
_FIRST_ITERATIONS, _ITERATIONS = 50, 25
_FROM_BIN = 4.0
_TINY = 1e-9


def colours_in(V: _Matrix, dictionaries: Dictionaries, *, n_threads: int | None = None) -> _Matrix:
    """Smooth factors along frequency by which each source differs from its templates.

    Parameters
    ----------
    V : np.ndarray [shape=(n_frames, n_bins), dtype=float32]
        Magnitudes of the mixture, frames first; at most 3000 of them, evenly spread, are used.
    dictionaries : Dictionaries
        Of the sources.
    n_threads : int, optional
        Threads; the result does not depend on it.

    Returns
    -------
    np.ndarray [shape=(n_sources, n_bins), dtype=float32]
        -20 to 20 dB, around 1 where a source is strong.
    """
    if len(V) > MOST_FRAMES:
        V = V[np.linspace(0, len(V) - 1, MOST_FRAMES).astype(int)]
    edges = bands_of(V.shape[1], PER_OCTAVE)
    data = np.add.reduceat(V, edges[:-1], axis=1)
    W = np.add.reduceat(dictionaries.analysis, edges[:-1], axis=0)
    kernel = _kernel(edges)
    logs = np.zeros((len(dictionaries.sizes), len(data[0])))
    most = MOST_DB / 20 * np.log(10)
    for index in range(ROUNDS):
        coloured = W * np.repeat(np.exp(logs), dictionaries.sizes, axis=0).T
        coloured = np.asarray(coloured / coloured.sum(axis=0), dtype=np.float32)
        H = fit_on_bands(
            data, coloured, _ITERATIONS if index else _FIRST_ITERATIONS, n_threads=n_threads
        )
        parts = [H[:, part] @ coloured[:, part].T for part in dictionaries.parts]
        ratio = data / (np.sum(parts, axis=0) + np.float32(_TINY))
        for source, model in enumerate(parts):
            strength = model.sum(axis=0, dtype=np.float64) + _TINY
            found = (ratio * model).sum(axis=0, dtype=np.float64) + _TINY
            logs[source] += np.log((kernel @ found) / (kernel @ strength))
            logs[source] -= np.average(logs[source], weights=strength)
        np.clip(logs, -most, most, out=logs)
    return np.asarray(np.repeat(np.exp(logs), np.diff(edges), axis=1), dtype=np.float32)


def _kernel(edges: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
    octaves = np.log2(1 + (edges[:-1] + edges[1:]) / (2 * _FROM_BIN))
    away = (octaves[:, np.newaxis] - octaves) / WIDTH_OCTAVES
    return np.asarray(np.exp(-0.5 * away**2))


def with_colours(examples: Sequence[SourceExample], colours: _Matrix) -> list[SourceExample]:
    """Filter examples.

    Parameters
    ----------
    examples : sequence of SourceExample
        What was learnt.
    colours : np.ndarray [shape=(n_sources, n_bins)]
        Factors along frequency.

    Returns
    -------
    list of SourceExample
        Of the levels that they had.
    """
    return [
        _with_colour(example, colour) for example, colour in zip(examples, colours, strict=True)
    ]


def _with_colour(example: SourceExample, colour: _Matrix) -> SourceExample:
    W = example.templates * colour[:, np.newaxis]
    stretches = [stretch * colour for stretch in example.stretches]
    energy = sum(float(np.square(s).sum(dtype=np.float64)) for s in stretches)
    rms = np.float32(np.sqrt(energy / sum(s.size for s in stretches)))
    return replace(
        example, templates=W / W.sum(axis=0), stretches=tuple(s / rms for s in stretches)
    )
