"""Drums, bass and other by three opinions that are averaged; both music methods stand on it.

References
----------
.. [1] F. J. Cañadas-Quesada, P. Vera-Candeas, N. Ruiz-Reyes, J. Carabias-Orti and P. Cabañas-Molero
   (2014), "Percussive/harmonic sound separation by non-negative matrix factorization with
   smoothness/sparseness constraints", EURASIP J. Audio, Speech, Music Processing.
.. [2] S. Uhlich et al. (2017), "Improving music source separation based on deep neural networks
   through data augmentation and network blending", ICASSP: averaging several estimates.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from audiosep.dictionaries import Dictionary
from audiosep.dictionary_files import load_builtin
from audiosep.errors import DictionaryError, ParameterError
from audiosep.medians import low_pass
from audiosep.methods._stems_bands import Bands
from audiosep.methods._stems_blocks import bounds_of
from audiosep.methods._stems_evidence import (
    KICK_BELOW_HZ,
    Evidence,
    describe,
    unpredicted,
    weigh_evidence,
)
from audiosep.methods._stems_hits import fit_hits, hit_patches
from audiosep.methods._stems_learnt import BandFacts, FramesTaken
from audiosep.methods._stems_width import centre_odds
from audiosep.methods.base import MethodSettings
from audiosep.nmf import factorize
from audiosep.threads import one_blas_thread, resolve_threads
from audiosep.types import Factorization, FloatArray, Progress, Spectrogram, Stop

__all__ = ["SOURCES", "Estimate", "Evidence", "describe", "estimate_masks", "weigh_evidence"]

_Matrix = npt.NDArray[np.float32]

SOURCES = ("drums", "bass", "other")

_BLOCK_S = 15.0
_OVERLAP_S = 1.0

_FRAMES = 1024
"""Frames that are worked on at once where whole recordings would need room for copies."""

_DICTIONARY = "band"
_DICTIONARY_ITERATIONS = 20
_PART_ITERATIONS = 15
_JOINT_ITERATIONS = 15
_HIT_ITERATIONS = 20


_Counts = tuple[int, int, int]
_DETAILED: _Counts = (15, 8, 25)
_COARSE: _Counts = (8, 4, 12)
"""Components for drums, bass and other."""

_BETA = 1.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Estimate:
    """Shares of drums, bass and other.

    Parameters
    ----------
    masks : np.ndarray [shape=(3, n_bands, n_frames), dtype=float32]
        In [0, 1], summing to one over the sources.
    bands : Bands
        To bring the masks back to the bins.
    low_band_db : float
        What the evidence said about the low band: strokes over held tones.
    losses : tuple of float
        Divergence of the detailed factorization from the magnitudes of the bands, absolute,
        summed over the blocks of the recording.
    stop : Stop
        Why it ended.
    """

    masks: _Matrix
    bands: Bands
    low_band_db: float
    losses: tuple[float, ...]
    stop: Stop


@dataclass(frozen=True, kw_only=True, eq=False)
class _Known:
    """Dictionary templates on the bands of the recording, and whose they are."""

    templates: FloatArray
    labels: npt.NDArray[np.str_]
    only_above: _Matrix


def _known_sounds(bands: Bands, spectrogram: Spectrogram, given: Dictionary | None) -> _Known:
    dictionary = load_builtin(_DICTIONARY) if given is None else given
    if missing := [name for name in SOURCES if name not in dictionary.labels]:
        raise DictionaryError(
            f"the dictionary does not fit: it has no templates labelled {' or '.join(missing)}, "
            f"as the built-in {_DICTIONARY!r} has."
        )
    bins = dictionary.on_bins(spectrogram.sr, spectrogram.n_fft)
    return _Known(
        templates=bands.pool(np.ascontiguousarray(bins.T).T),
        labels=np.array(dictionary.labels),
        only_above=1.0 - low_pass(bands.centres_hz, KICK_BELOW_HZ),
    )


def _dictionary_shares(V: _Matrix, known: _Known, n_threads: int | None) -> _Matrix:
    """Share the mixture out by templates of many drums, basses and other instruments.

    Only the activations are fitted. Below 200 Hz the shares are equal: there the templates of a
    long kick and of a bass are the same, and the medians know better.
    """
    fitted = factorize(
        V,
        templates=known.templates,
        activations=np.full((len(known.labels), V.shape[1]), V.mean(), dtype=np.float32),
        fixed_templates=True,
        max_iter=_DICTIONARY_ITERATIONS,
        tol=0.0,
        loss_every=_DICTIONARY_ITERATIONS,  # nobody looks at it
        n_threads=n_threads,
    )
    W, H = fitted.templates, fitted.activations
    models = np.stack([W[:, known.labels == name] @ H[known.labels == name] for name in SOURCES])
    shares: _Matrix = _shared(models.astype(np.float32)) ** known.only_above
    return shares


def _shared(models: _Matrix) -> _Matrix:
    """Turn models into shares that sum to one; equal shares where all are zero."""
    floor = np.float32(1e-9) * max(float(models.max()), 1e-20) + np.float32(1e-30)
    raised = models + floor
    shares: _Matrix = raised / raised.sum(axis=0)
    return shares


def _split(total: int, parts: _Counts) -> _Counts:
    """Share a number of components out in proportion, at least one each."""
    first, second, third = (max(1, round(total * part / sum(parts))) for part in parts)
    return first, second, third


def _fit_expert(
    V: _Matrix, masks: _Matrix, counts: _Counts, settings: MethodSettings, stream: int
) -> tuple[_Matrix, Factorization, _Counts]:
    """Factorize each masked part alone, then all of them together on the mixture.

    Returns the shares, the joint factorization and the number of components of each source.
    """
    beta = _BETA if settings.beta is None else settings.beta
    if settings.n_components is not None:
        scale = sum(counts) / sum(_DETAILED)
        counts = _split(max(3, round(settings.n_components * scale)), counts)
    parts = [
        factorize(
            V * mask,
            count,
            beta=beta,
            max_iter=_PART_ITERATIONS,
            tol=0.0,
            loss_every=_PART_ITERATIONS,
            seed=np.random.default_rng([settings.seed, stream, index]),
            n_threads=settings.n_threads,
        )
        for index, (mask, count) in enumerate(zip(masks, counts, strict=True))
    ]
    joint = factorize(
        V,
        beta=beta,
        max_iter=_JOINT_ITERATIONS if settings.max_iter is None else settings.max_iter,
        tol=0.0,
        templates=np.concatenate([part.templates for part in parts], axis=1),
        activations=np.concatenate([part.activations for part in parts]),
        n_threads=settings.n_threads,
    )
    W, H = joint.templates, joint.activations
    bounds = np.cumsum((0, *counts))
    models = np.stack([W[:, a:b] @ H[a:b] for a, b in pairwise(bounds)]).astype(np.float32)
    return _shared(models), joint, counts


def _block_masks(
    V: _Matrix,
    evidence: _Matrix,
    known: _Known,
    bands: Bands,
    frame_s: float,
    settings: MethodSettings,
) -> tuple[_Matrix, npt.NDArray[np.float64] | None]:
    """Average the three opinions on one block; evidence and masks are (3, bands, frames).

    Also returns the losses of the detailed factorization, but for a silent block.
    """
    level = float(V.max())
    if level <= 0.0:
        return evidence, None
    V = V / np.float32(level)
    start = _shared(evidence * _dictionary_shares(V, known, settings.n_threads))
    detailed, fitted, counts = _fit_expert(V, start, _DETAILED, settings, 0)
    coarse, *_ = _fit_expert(V, start, _COARSE, settings, 1)
    opinions = [detailed, coarse]
    drums = V * (0.5 * (detailed[0] + coarse[0]))
    rng = np.random.default_rng([settings.seed, 2])
    hits = hit_patches(drums, bands.centres_hz, frame_s, rng)
    if hits is not None:
        first = counts[0]
        W = fitted.templates[:, first:].astype(np.float32)
        H = fitted.activations[first:].astype(np.float32)
        model = fit_hits(V, hits, W, H, _HIT_ITERATIONS)
        bass = counts[1]
        opinions.append(
            _shared(
                np.stack(
                    [
                        model.drums,
                        model.templates[:, :bass] @ model.activations[:bass],
                        model.templates[:, bass:] @ model.activations[bass:],
                    ]
                )
            )
        )
    total: _Matrix = np.add.reduce(opinions) / np.float32(len(opinions))
    return total, fitted.losses * level**fitted.beta


def _blocks(
    n_frames: int, frame_s: float, bounds: Sequence[int] | None = None
) -> list[tuple[int, int]]:
    """Cut a recording into overlapping blocks of about 15 s; one block up to 22 s.

    Short enough that a few components per source suffice, long enough to hear a pattern twice.
    Blocks meet at all `bounds`.
    """
    edges = [0]
    for start, stop in pairwise((0, n_frames) if bounds is None else bounds):
        count = max(1, round((stop - start) * frame_s / _BLOCK_S))
        edges += np.linspace(start, stop, count + 1).round().astype(int)[1:].tolist()
    half = max(1, round(_OVERLAP_S / frame_s / 2))
    return [(max(0, a - half), min(n_frames, b + half)) for a, b in pairwise(edges)]


@contextmanager
def _pool(n_threads: int) -> Iterator[ThreadPoolExecutor]:
    """Threads that do not go on with what is waiting when the caller has stopped."""
    pool = ThreadPoolExecutor(n_threads)
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()


def _pooled(spectrogram: Spectrogram, bands: Bands, taken: FramesTaken | None) -> _Matrix:
    """Magnitudes of the bands, without what is taken; those of all bins are never there at once."""
    n_frames = spectrogram.n_frames
    peak = 0.0 if spectrogram.n_channels == 1 else spectrogram.largest()
    sums = np.empty((n_frames, len(bands.starts)), dtype=np.float32)
    for first in range(0, n_frames, _FRAMES):
        last = min(first + _FRAMES, n_frames)
        here = replace(spectrogram, values=spectrogram.values[..., first:last])
        V = here.magnitude(peak)
        if taken is not None:
            V *= 1 - taken(first, last).T
        sums[first:last] = bands.pool(V).T
    return sums.T


def estimate_masks(
    spectrogram: Spectrogram,
    settings: MethodSettings,
    progress: Progress,
    taken: FramesTaken | None = None,
    facts: BandFacts | None = None,
) -> Estimate:
    """Estimate the shares of drums, bass and other.

    Parameters
    ----------
    spectrogram : Spectrogram
        Of the mixture; all channels are decided together.
    settings : MethodSettings
        ``n_components``, ``beta``, ``max_iter`` (of the joint fit), ``dictionary``, ``seed`` and
        ``margins`` act.
    progress : callable
        Called as ``progress("separate", fraction)``.
    taken : callable, optional
        Called as ``taken(first, last)`` for the share of each bin that is not theirs, because
        something else was found there before, of shape (last - first, n_bins).
    facts : BandFacts, optional
        About the whole recording, where this is a part of it.

    Returns
    -------
    Estimate

    Raises
    ------
    ParameterError
        If fewer than three components are asked for.
    DictionaryError
        If a given dictionary lacks a kind of sound.
    """
    if settings.n_components is not None and settings.n_components < len(SOURCES):
        raise ParameterError(
            f"n_components={settings.n_components} is fewer than the {len(SOURCES)} kinds of sound "
            "that are told apart; use more."
        )
    bands = Bands.of(spectrogram.n_bins, spectrogram.bin_hz)
    frame_s = spectrogram.frame_s
    sums = _pooled(spectrogram, bands, taken)
    peak = float(sums.max())
    if peak > 0.0:
        sums = sums / np.float32(peak)
    widths = bands.widths.astype(np.float32)[:, np.newaxis]
    surprise = unpredicted(spectrogram, least_peak=0.0 if facts is None else facts.low_peak)
    level = None if facts is None else facts.low_band_db
    evidence = weigh_evidence(sums / widths, bands.centres_hz, frame_s, surprise, level)
    masks = np.zeros((len(SOURCES), *sums.T.shape), dtype=np.float32).swapaxes(1, 2)
    total = np.zeros(sums.shape[1], dtype=np.float32)
    blocks = _blocks(sums.shape[1], frame_s, bounds_of(spectrogram, settings.margins))
    losses: list[npt.NDArray[np.float64]] = []
    threads = resolve_threads(settings.n_threads)
    if len(blocks) > 1:
        settings = replace(settings, n_threads=1)  # threads work on blocks, not inside them

    known = _known_sounds(bands, spectrogram, settings.dictionary)

    def opinion_on(block: tuple[int, int]) -> tuple[_Matrix, npt.NDArray[np.float64] | None]:
        V = np.ascontiguousarray(sums[:, slice(*block)].T).T
        part = evidence.shares[:, :, slice(*block)]
        return _block_masks(V, part, known, bands, frame_s, settings)

    with one_blas_thread(), _pool(threads) as pool:
        opinions = pool.map(opinion_on, blocks) if len(blocks) > 1 else map(opinion_on, blocks)
        # In the order of the blocks, so that the sums do not depend on the threads.
        for index, (start, stop) in enumerate(blocks):
            progress("separate", index / len(blocks))
            shares, curve = next(opinions)
            # A triangle that is nowhere zero: neighbours fade into each other.
            ramp = np.arange(1, stop - start + 1, dtype=np.float32)
            reach = max(1.0, 2.0 * round(_OVERLAP_S / frame_s / 2))
            fade = np.minimum(np.minimum(ramp, ramp[::-1]) / np.float32(reach), 1.0)
            masks[:, :, start:stop] += fade * shares
            total[start:stop] += fade
            if curve is not None:
                losses.append(curve)
    masks /= total
    odds = centre_odds(spectrogram, bands, None if facts is None else facts.middle)
    if odds is not None:
        masks[:2] *= odds
        masks /= masks.sum(axis=0) + np.float32(1e-30)
    progress("separate", 1.0)
    beta = _BETA if settings.beta is None else settings.beta
    absolute = np.sum(losses, axis=0) * peak**beta if losses else np.zeros(0)
    return Estimate(
        masks=masks,
        bands=bands,
        low_band_db=evidence.low_band_db,
        losses=tuple(absolute.tolist()),
        stop=Stop.MAX_ITER if losses else Stop.SILENT,
    )
