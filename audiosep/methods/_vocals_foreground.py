"""Three cheap opinions on what stands out from an accompaniment: shares of the voice in each bin.

An accompaniment repeats itself; it is of low rank, where a voice is sparse; and a voice fluctuates
too fast for a long window and lasts too long for a short one.

References
----------
.. [1] Z. Rafii and B. Pardo (2012), "Music/voice separation using the similarity matrix", ISMIR.
.. [2] P.-S. Huang, S. D. Chen, P. Smaragdis and M. Hasegawa-Johnson (2012), "Singing-voice
   separation from monaural recordings using robust principal component analysis", ICASSP.
.. [3] Z. Lin, M. Chen and Y. Ma (2010), "The augmented Lagrange multiplier method for exact
   recovery of corrupted low-rank matrices", arXiv:1009.5055.
.. [4] H. Tachibana, N. Ono and S. Sagayama (2014), "Singing voice enhancement in monaural music
   signals based on two-stage harmonic/percussive sound separation on multiple resolution
   spectrograms", IEEE/ACM TASLP 22(1).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from audiosep.medians import odd_length, running_median, share
from audiosep.methods._stems_bands import Bands
from audiosep.methods._vocals_working import Working, magnitude
from audiosep.transform import istft, stft
from audiosep.types import Audio, FloatArray

__all__ = [
    "BLOCK_S",
    "OVERLAP_S",
    "Foreground",
    "find_foreground",
    "fluctuating_share",
    "repeating_share",
    "sparse_share",
]

_Matrix = npt.NDArray[np.float32]

BLOCK_S = 20.0
OVERLAP_S = 2.0
"""What is quadratic in time is done in blocks that overlap by this much."""

_LOWEST_HZ = 110.0
"""Below it nothing is voice."""

_MOST_SIMILAR = 20
_APART_S = 0.5

_RANK_ITERATIONS = 15
_RANK_TOLERANCE = 1e-4
_PENALTY_GROWTH = 1.5

_LONG_S = 0.512
_LONG_TIME_S, _LONG_HZ = 2.2, 68.0
_SHORT_S = 0.032
_SHORT_TIME_S, _SHORT_HZ = 0.28, 530.0

_LEAST_FLUCTUATING = 0.05


@dataclass(frozen=True, kw_only=True, eq=False)
class Foreground:
    """Shares of what stands out, in [0, 1], each of shape (n_bins, n_frames).

    Parameters
    ----------
    novel : np.ndarray
        What similar frames do not repeat.
    sparse : np.ndarray
        What a matrix of low rank leaves over.
    fluctuating : np.ndarray
        What is neither held nor struck.
    """

    novel: _Matrix
    sparse: _Matrix
    fluctuating: _Matrix

    def fused(self, first: int, last: int) -> _Matrix:
        """Geometric mean of the three: what all agree on, from frame `first` up to `last`."""
        here = slice(first, last)
        product = self.novel[:, here] * self.sparse[:, here]
        product *= np.maximum(self.fluctuating[:, here], _LEAST_FLUCTUATING)
        fused: _Matrix = np.cbrt(product)
        return fused


def find_foreground(working: Working) -> Foreground:
    """Collect the three opinions, in blocks of about 20 s.

    Parameters
    ----------
    working : Working
        The mixture.

    Returns
    -------
    Foreground
    """
    n_bins, n_frames = working.V.shape
    bands = Bands.of(n_bins, working.bin_hz)
    # Three matrices, so that each can go as soon as it is no longer needed.
    opinions = [np.zeros((n_frames, n_bins), dtype=np.float32) for _ in range(3)]
    apart = max(1, round(_APART_S / working.frame_s))
    for first, last, weights in working.blocks(BLOCK_S, OVERLAP_S):
        V = working.V[:, first:last]
        background = repeating_share(V, _MOST_SIMILAR, apart)
        found = (
            share(1.0 - background, background),
            np.repeat(sparse_share(bands.pool(V)), bands.widths, axis=0),
            fluctuating_share(working, working.signal(first, last), V),
        )
        for opinion, here in zip(opinions, found, strict=True):
            opinion[first:last] += weights[:, np.newaxis] * here.T
    for opinion in opinions[:2]:
        opinion[:, : int(np.ceil(_LOWEST_HZ / working.bin_hz))] = 0.0
    novel, sparse, fluctuating = opinions
    return Foreground(novel=novel.T, sparse=sparse.T, fluctuating=fluctuating.T)


def repeating_share(V: _Matrix, most: int, apart: int) -> _Matrix:
    """Share of the background that repeats: the median of the most similar frames.

    Rafii & Pardo (2012), section 2: for each frame the most similar ones (cosine), chosen
    greedily at a distance, itself included; the background is their median, where below V.

    Parameters
    ----------
    V : np.ndarray [shape=(n_bins, n_frames)]
        Magnitudes.
    most : int > 0
        Similar frames for each frame.
    apart : int > 0
        Least distance between them in frames.

    Returns
    -------
    np.ndarray [shape=(n_bins, n_frames), dtype=float32]
        In [0, 1]; one where V is zero.
    """
    frames = np.ascontiguousarray(V.T)
    n_frames = len(frames)
    chosen = _similar_frames(frames, most, apart)
    background = np.empty_like(frames)
    for first in range(0, n_frames, 64):
        similar = frames[chosen[first : first + 64]]
        count = similar.shape[1]
        similar.partition((count - 1) // 2, axis=1)
        lower = similar[:, (count - 1) // 2]
        if count % 2 == 0:
            lower = 0.5 * (lower + similar[:, count // 2 :].min(axis=1))
        background[first : first + 64] = lower
    np.minimum(background, frames, out=background)
    ratio = np.divide(background, frames, out=np.ones_like(frames), where=frames > 0)
    return ratio.T


def _similar_frames(frames: _Matrix, most: int, apart: int) -> npt.NDArray[np.intp]:
    """Indices of similar frames, (n_frames, at most `most`), the same number for each frame."""
    sizes = np.linalg.norm(frames, axis=1, keepdims=True)
    unit = np.divide(frames, sizes, out=np.zeros_like(frames), where=sizes > 0)
    similarity = unit @ unit.T
    positions = np.arange(len(frames))
    np.fill_diagonal(similarity, 2.0)
    chosen: list[npt.NDArray[np.intp]] = []
    for _ in range(most):
        best = similarity.argmax(axis=1)
        if chosen and np.isneginf(similarity[positions, best]).any():
            break
        chosen.append(best)
        for shift in range(-apart + 1, apart):
            near = np.clip(best + shift, 0, len(frames) - 1)
            similarity[positions, near] = -np.inf
    return np.stack(chosen, axis=1)


def sparse_share(V: _Matrix) -> _Matrix:
    """Share of what is sparse in ``V = L + S``, L of low rank: ``|S| / (|S| + |L|)``.

    Minimises ``‖L‖_* + λ‖S‖₁``, λ = 1/√max(shape), by the inexact augmented Lagrange multipliers
    of Lin et al. (2010), algorithm 5. Huang et al. (2012) decide hard between S and L; the soft
    share keeps more of the voice.

    Parameters
    ----------
    V : np.ndarray [shape=(n_bins, n_frames)]
        Magnitudes.

    Returns
    -------
    np.ndarray [shape=(n_bins, n_frames), dtype=float32]
        In [0, 1]; zero where V is silent throughout.
    """
    matrix = np.ascontiguousarray(V.T if V.shape[1] < V.shape[0] else V, dtype=np.float32)
    largest = float(matrix.max(initial=0.0))
    if largest <= 0.0:
        return np.zeros(V.shape, dtype=np.float32)
    matrix = matrix / np.float32(largest)
    weight = 1.0 / np.sqrt(max(matrix.shape))
    gram = matrix.astype(np.float64)
    spectral = float(np.sqrt(max(np.linalg.eigvalsh(gram @ gram.T)[-1], 1e-30)))
    size = float(np.linalg.norm(matrix))
    Y = matrix / np.float32(max(spectral, 1.0 / weight))
    penalty = 1.25 / spectral
    S = np.zeros_like(matrix)
    L = np.zeros_like(matrix)
    for _ in range(_RANK_ITERATIONS):
        inverse = np.float32(1.0 / penalty)
        L = _shrunk_rank(matrix - S + inverse * Y, 1.0 / penalty)
        rest = matrix - L + inverse * Y
        S = np.sign(rest) * np.maximum(np.abs(rest) - np.float32(weight) * inverse, 0.0)
        error = matrix - L - S
        Y += np.float32(penalty) * error
        penalty *= _PENALTY_GROWTH
        if float(np.linalg.norm(error)) < _RANK_TOLERANCE * size:
            break
    ratio = share(np.abs(S), np.abs(L), 1.0)
    ratio[matrix == 0] = 0.0
    return ratio.T if V.shape[1] < V.shape[0] else ratio


def _shrunk_rank(matrix: _Matrix, threshold: float) -> _Matrix:
    """Lower all singular values by a threshold, by way of the smaller Gram matrix."""
    wide = matrix.astype(np.float64)
    squares, vectors = np.linalg.eigh(wide @ wide.T)
    values = np.sqrt(np.maximum(squares, 0.0))
    kept = values > threshold
    U = vectors[:, kept]
    gain = 1.0 - threshold / values[kept]
    low: FloatArray = (U * gain) @ (U.T @ wide)
    return low.astype(np.float32)


def fluctuating_share(working: Working, signal: Audio, V: _Matrix) -> _Matrix:
    """Share of what is neither held for long nor struck (Tachibana et al. 2014).

    In a long window the vibrato and the glides of a voice blur, and held tones are ridges along
    time that a median finds: they are taken out. In a short window the voice itself is such a
    ridge and strokes are not. We use the medians of FitzGerald (2010) in place of the authors'
    diffusion.

    Parameters
    ----------
    working : Working
        The mixture.
    signal : Audio
        A block of it.
    V : np.ndarray [shape=(n_bins, n_frames)]
        Magnitudes of that block.

    Returns
    -------
    np.ndarray [shape=(n_bins, n_frames), dtype=float32]
        In [0, 1].
    """
    loose = _split(signal, _LONG_S, _LONG_TIME_S, _LONG_HZ, held=False)
    voice = _split(loose, _SHORT_S, _SHORT_TIME_S, _SHORT_HZ, held=True)
    part, _ = working.frames(voice)
    ratio = np.divide(part, V.T, out=np.zeros_like(part), where=V.T > 0)
    return np.minimum(ratio, 1.0).T


def _split(signal: Audio, window_s: float, time_s: float, hz: float, *, held: bool) -> Audio:
    """Keep what is held, or what is not, in a window of the given length."""
    n_fft = 4 * max(2, round(window_s * signal.sr / 4))
    spectrogram = stft(signal, n_fft=n_fft, hop_length=n_fft // 4)
    V = magnitude(spectrogram.values, 1.0)
    along_time = running_median(V, odd_length(time_s, spectrogram.frame_s), 1)
    along_frequency = running_median(V, odd_length(hz, spectrogram.bin_hz), 0)
    mask = share(along_time, along_frequency) if held else share(along_frequency, along_time)
    return istft(spectrogram, mask=mask[np.newaxis])
