"""Drums, bass and other by three opinions that are averaged; both music methods stand on it.

References
----------
.. [1] D. FitzGerald (2010), "Harmonic/percussive separation using median filtering", DAFx.
.. [2] F. J. Cañadas-Quesada, P. Vera-Candeas, N. Ruiz-Reyes, J. Carabias-Orti and P. Cabañas-Molero
   (2014), "Percussive/harmonic sound separation by non-negative matrix factorization with
   smoothness/sparseness constraints", EURASIP J. Audio, Speech, Music Processing.
.. [3] S. Uhlich et al. (2017), "Improving music source separation based on deep neural networks
   through data augmentation and network blending", ICASSP: averaging several estimates.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from audiosep.dictionaries import load_builtin
from audiosep.errors import ParameterError
from audiosep.medians import low_pass, odd_length, running_median, share
from audiosep.methods._stems_bands import Bands
from audiosep.methods._stems_hits import fit_hits, hit_patches
from audiosep.methods.base import MethodSettings
from audiosep.nmf import factorize
from audiosep.threads import one_blas_thread, resolve_threads
from audiosep.types import Factorization, FloatArray, Progress, Spectrogram, Stop

__all__ = ["SOURCES", "Estimate", "Evidence", "describe", "estimate_masks", "weigh_evidence"]

_Matrix = npt.NDArray[np.float32]

SOURCES = ("drums", "bass", "other")

HELD_S = 0.72
"""Time extent of the median that keeps what lasts."""

STRUCK_HZ = 334.0
"""Frequency extent of the median that keeps what strikes."""

KICK_BELOW_HZ = 200.0
BASS_BELOW_HZ = 250.0

HELD_LOW_DB = -4.0
"""Below this level of strokes over held tones in the low band, its rises are not kicks."""

_DECIDE_DB = 0.5
"""Width of the transition around it."""

_BLOCK_S = 15.0
_OVERLAP_S = 1.0

_DICTIONARY = "band"
_DICTIONARY_ITERATIONS = 40
_PART_ITERATIONS = 30
_JOINT_ITERATIONS = 15
_HIT_ITERATIONS = 20


@dataclass(frozen=True)
class _Expert:
    """Components for drums, bass and other, and the divergence they are fitted with."""

    components: tuple[int, int, int]
    beta: float


_DETAILED = _Expert((15, 8, 25), 1.0)
_COARSE = _Expert((8, 4, 12), 0.5)


@dataclass(frozen=True, kw_only=True, eq=False)
class Evidence:
    """What the medians say.

    Parameters
    ----------
    shares : np.ndarray [shape=(3, n_bands, n_frames)]
        Shares of drums, bass and other, which sum to one.
    low_band_db : float
        Energy of strokes over that of held tones below 200 Hz: the mean, in dB, of what the
        two ways of telling them apart say.
    kick_trust : float
        0 to 1: how far rises of the low band count as kicks.
    """

    shares: _Matrix
    low_band_db: float
    kick_trust: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Estimate:
    """Shares of drums, bass and other.

    Parameters
    ----------
    masks : np.ndarray [shape=(3, n_bands, n_frames), dtype=float32]
        In [0, 1], summing to one over the sources.
    bands : Bands
        To bring the masks back to the bins.
    evidence : Evidence
        What the medians said.
    losses : tuple of float
        Divergence of the detailed factorization from the magnitudes of the bands, absolute,
        summed over the blocks of the recording.
    stop : Stop
        Why it ended.
    """

    masks: _Matrix
    bands: Bands
    evidence: Evidence
    losses: tuple[float, ...]
    stop: Stop


def weigh_evidence(V: _Matrix, centres_hz: npt.NDArray[np.float64], frame_s: float) -> Evidence:
    """Tell strokes from held tones by running medians.

    Above 200 Hz by the anisotropy of the spectrogram (FitzGerald 2010): the median along time
    against the median along frequency. Below 200 Hz, where a kick is a narrow blob and not a
    ridge along frequency, by time alone: what rises above the median along time is a stroke.
    The notes of a bass rise too; so where both ways together find that held tones dominate the
    low band of the recording, the anisotropy decides there as well.

    Parameters
    ----------
    V : np.ndarray [shape=(n_bands, n_frames)]
        Mean magnitude of each band.
    centres_hz : np.ndarray [shape=(n_bands,)]
        Frequencies in Hz; the spacing of the first bands is that of the bins.
    frame_s : float > 0
        Distance between frames in seconds.

    Returns
    -------
    Evidence
        The shares, and how they were decided.
    """
    from scipy.special import expit

    bin_hz = float(centres_hz[1] - centres_hz[0]) if len(centres_hz) > 1 else STRUCK_HZ
    held = running_median(V, odd_length(HELD_S, frame_s), axis=1)
    struck = running_median(V, odd_length(STRUCK_HZ, bin_hz), axis=0)
    risen = np.maximum(V - held, 0.0)
    low = low_pass(centres_hz, KICK_BELOW_HZ)

    peak = max(float(V.max()), 1e-30)
    weighted = (V / peak * low).astype(np.float64)

    def strokes_db(strokes: _Matrix) -> float:
        over = float(((weighted * strokes) ** 2).sum()) + 1e-12
        under = float(((weighted * (1.0 - strokes)) ** 2).sum()) + 1e-12
        return 10.0 * float(np.log10(over / under))

    low_band_db = 0.5 * (strokes_db(share(struck, held)) + strokes_db(share(risen, held)))
    kick_trust = float(expit((low_band_db - HELD_LOW_DB) / _DECIDE_DB))

    bass = low_pass(centres_hz, BASS_BELOW_HZ)

    shape = share(struck, held)
    below = kick_trust * share(risen, held) + (1.0 - kick_trust) * shape
    drums = low * below + (1.0 - low) * shape
    rest = 1.0 - drums
    shares = np.stack([drums, rest * bass, rest * (1.0 - bass)]).astype(np.float32)
    return Evidence(shares=shares, low_band_db=low_band_db, kick_trust=kick_trust)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Known:
    """Dictionary templates on the bands of the recording, and whose they are."""

    templates: FloatArray
    labels: npt.NDArray[np.str_]
    only_above: _Matrix


def _known_sounds(bands: Bands, spectrogram: Spectrogram) -> _Known:
    dictionary = load_builtin(_DICTIONARY)
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


def _split(total: int, parts: tuple[int, int, int]) -> tuple[int, int, int]:
    """Share a number of components out in proportion, at least one each."""
    first, second, third = (max(1, round(total * part / sum(parts))) for part in parts)
    return first, second, third


def _fit_expert(
    V: _Matrix, masks: _Matrix, expert: _Expert, settings: MethodSettings, stream: int
) -> tuple[_Matrix, Factorization, tuple[int, int, int]]:
    """Factorize each masked part alone, then all of them together on the mixture.

    Returns the shares, the joint factorization and the number of components of each source.
    """
    beta = expert.beta if settings.beta is None else settings.beta
    counts = expert.components
    if settings.n_components is not None:
        scale = sum(counts) / sum(_DETAILED.components)
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


def _blocks(n_frames: int, frame_s: float) -> list[tuple[int, int]]:
    """Cut a recording into overlapping blocks of about 15 s; one block up to 22 s.

    Short enough that a few components per source suffice, long enough to hear a pattern twice.
    """
    count = max(1, round(n_frames * frame_s / _BLOCK_S))
    edges = np.linspace(0, n_frames, count + 1).round().astype(int)
    half = max(1, round(_OVERLAP_S / frame_s / 2))
    return [(max(0, int(a) - half), min(n_frames, int(b) + half)) for a, b in pairwise(edges)]


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


def estimate_masks(
    spectrogram: Spectrogram, settings: MethodSettings, progress: Progress
) -> Estimate:
    """Estimate the shares of drums, bass and other.

    Parameters
    ----------
    spectrogram : Spectrogram
        Of the mixture; all channels are decided together.
    settings : MethodSettings
        ``n_components``, ``beta``, ``max_iter`` (of the joint fit) and ``seed`` act.
    progress : callable
        Called as ``progress("separate", fraction)``.

    Returns
    -------
    Estimate

    Raises
    ------
    ParameterError
        If fewer than three components are asked for.
    """
    if settings.n_components is not None and settings.n_components < len(SOURCES):
        raise ParameterError(
            f"n_components={settings.n_components} is fewer than the {len(SOURCES)} kinds of sound "
            "that are told apart; use more."
        )
    bands = Bands.of(spectrogram.n_bins, spectrogram.bin_hz)
    frame_s = spectrogram.frame_s
    sums = bands.pool(spectrogram.magnitude())
    peak = float(sums.max())
    if peak > 0.0:
        sums = sums / np.float32(peak)
    widths = bands.widths.astype(np.float32)[:, np.newaxis]
    evidence = weigh_evidence(sums / widths, bands.centres_hz, frame_s)
    masks = np.zeros_like(evidence.shares)
    total = np.zeros(sums.shape[1], dtype=np.float32)
    blocks = _blocks(sums.shape[1], frame_s)
    losses: list[npt.NDArray[np.float64]] = []
    threads = resolve_threads(settings.n_threads)
    if len(blocks) > 1:
        settings = replace(settings, n_threads=1)  # threads work on blocks, not inside them

    known = _known_sounds(bands, spectrogram)

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
    progress("separate", 1.0)
    beta = _DETAILED.beta if settings.beta is None else settings.beta
    absolute = np.sum(losses, axis=0) * peak**beta if losses else np.zeros(0)
    return Estimate(
        masks=masks,
        bands=bands,
        evidence=evidence,
        losses=tuple(absolute.tolist()),
        stop=Stop.MAX_ITER if losses else Stop.SILENT,
    )


def describe(evidence: Evidence) -> str:
    """Say in a sentence what was decided about the low band."""
    if evidence.kick_trust >= 0.5:
        decision = "its rises were taken as kicks"
    else:
        decision = "held tones dominate it, so its rises were not taken as kicks"
    return (
        f"below {KICK_BELOW_HZ:.0f} Hz strokes are {evidence.low_band_db:+.1f} dB relative to "
        f"held tones: {decision}."
    )
