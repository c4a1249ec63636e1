"""Peers of the quality benchmark, written from their published recipes, or run where they install.

    name           recipe                                       where it differs
    REPET-SIM      Rafii & Pardo (2012), settings of nussl      windows of 64 ms as for RPCA, in
                   1.1: cosine similarity of frames, up to      place of 32 to 63, in its favour;
                   100 frames at least 1 s apart, soft mask,    similarities in blocks of rows, not
                   100 Hz high-pass; sqrt-Hann windows, hop     as one matrix; what is most alike is
                   1/4                                          searched for greedily by value
    RPCA           Huang et al. (2012), with nussl's 100 Hz     one mask from the mean over the
                   high-pass: inexact augmented Lagrange        channels; singular values by the
                   multipliers (Lin, Chen & Ma 2010, to 1e-7    eigenvalues of the smaller Gram
                   in up to 100 iterations), lambda =           matrix; recordings above 60 s in
                   1/sqrt(max(bins, frames)), binary mask,      blocks of 30 s
                   windows of 64 ms, hop 1/4
    librosa HPSS   librosa.decompose.hpss with its defaults     on our grid (93 ms, hop 1/4); its
                   (31 frames, 31 bins, power 2)                harmonic part below 250 Hz is bass
    NMF + MFCC     Spiertz & Gnann (2009), as in nussl:         scikit-learn's multiplicative
                   50 components, MFCC 1 to 13 of the           updates, 50 iterations, Frobenius;
                   templates, k-means, one group per source     soft mask; our grid
    libnmfd NMFD   the package itself: its nmfd (30             its notebook progress bar is
                   iterations, patches of 8 frames, random      replaced, it needs a browser; one
                   templates, even activations) and its         model (mean of the channels), its
                   alpha-Wiener filter (alpha 1), windows       masks applied to each; its 2048
                   of 46 ms, hop 1/4                            samples are kept at 44.1 kHz and
                                                                follow the rate
    X, then HPSS   X's voice; librosa HPSS of the rest          a cascade of our making

nussl 1.1.9 itself does not load with SciPy 1.13 or later, nor without ffmpeg. NMF + MFCC and
libnmfd give sources without names or order: they take the order with the best mean SI-SDR, which
uses the references, in their favour.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from importlib.util import find_spec

import numpy as np
from _peers_recipes import TINY, libnmfd_stems, timbre_masks
from _quality_corpus import Item, Signals

REPET_WINDOW_S = 0.064
REPET_MOST, REPET_APART_S = 100, 1.0
RPCA_WINDOW_S = 0.064
NMFD_WINDOW_S = 0.046
RPCA_LONGEST_S, RPCA_BLOCK_S = 60.0, 30.0
VOICE_FROM_HZ = 100.0
BASS_BELOW_HZ = 250.0

Masks = Callable[[np.ndarray], dict[str, np.ndarray]]


def masked(item: Item, masks_of: Masks, n_fft: int | None = None) -> Signals:
    """Apply masks made from the mixture's spectrogram (channels, bins, frames)."""
    import audiosep

    spectrogram = audiosep.stft(audiosep.Audio(samples=item.mixture, sr=item.sr), n_fft=n_fft)
    values = spectrogram.values
    estimates = {}
    for name, mask in masks_of(values).items():
        part = audiosep.Spectrogram(
            values=(values * mask).astype(np.complex64),
            sr=item.sr,
            n_fft=spectrogram.n_fft,
            hop_length=spectrogram.hop_length,
            window=spectrogram.window,
            n_samples=spectrogram.n_samples,
        )
        estimates[name] = audiosep.istft(part).samples
    return estimates


def voice_and_rest(voice: np.ndarray, item: Item, n_fft: int) -> dict[str, np.ndarray]:
    """Masks of voice and accompaniment: nothing of the voice is below 100 Hz."""
    voice = voice.copy()
    voice[..., : math.ceil(VOICE_FROM_HZ * n_fft / item.sr), :] = 0.0
    return {"vocals": voice, "accompaniment": 1.0 - voice}


# --- voices ----------------------------------------------------------------------------------


def repet_sim(item: Item) -> Signals:
    """Mask of what repeats: the median of the frames that are most alike."""
    from audiosep.transform import frame_length

    n_fft = frame_length(item.sr, REPET_WINDOW_S)
    apart = math.ceil(REPET_APART_S * item.sr / (n_fft // 4))

    def masks_of(values: np.ndarray) -> dict[str, np.ndarray]:
        magnitude = np.abs(values)
        frames = magnitude.mean(axis=0).T
        frames = frames / np.maximum(np.linalg.norm(frames, axis=1, keepdims=True), TINY)
        repeating = np.ones_like(magnitude)
        for first in range(0, len(frames), 256):
            alike = frames[first : first + 256] @ frames.T
            for row, similarities in enumerate(alike, start=first):
                if similar := most_alike(similarities, row, REPET_MOST, apart):
                    median = np.median(magnitude[:, :, similar], axis=2)
                    own = magnitude[:, :, row]
                    repeating[:, :, row] = (np.minimum(median, own) + TINY) / (own + TINY)
        return voice_and_rest(1.0 - repeating, item, n_fft)

    return masked(item, masks_of, n_fft)


def most_alike(similarities: np.ndarray, own: int, most: int, apart: int) -> list[int]:
    """Frames in the order of their similarity, each `apart` from those taken; not `own` itself."""
    left = similarities.copy()
    left[max(0, own - apart + 1) : own + apart] = 0.0
    found: list[int] = []
    while len(found) < most:
        best = int(left.argmax())
        if left[best] <= 0.0:
            break
        found.append(best)
        left[max(0, best - apart + 1) : best + apart] = 0.0
    return found


def rpca(item: Item) -> Signals:
    """Binary mask of the sparse part."""
    from audiosep.transform import frame_length

    n_fft = frame_length(item.sr, RPCA_WINDOW_S)

    def masks_of(values: np.ndarray) -> dict[str, np.ndarray]:
        V = np.abs(values).mean(axis=0).astype(np.float64)
        step = V.shape[1]
        if item.mixture.shape[1] > RPCA_LONGEST_S * item.sr:
            step = math.ceil(RPCA_BLOCK_S * item.sr / (n_fft // 4))
        masks = []
        for first in range(0, V.shape[1], step):
            low_rank, sparse = robust_pca(V[:, first : first + step])
            masks.append(np.abs(sparse) > np.abs(low_rank))
        voice = np.concatenate(masks, axis=1).astype(np.float32)
        return voice_and_rest(voice, item, n_fft)

    return masked(item, masks_of, n_fft)


def robust_pca(V: np.ndarray, most: int = 100, tol: float = 1e-7) -> tuple[np.ndarray, np.ndarray]:
    """Split V into a low-rank and a sparse matrix (Lin, Chen & Ma 2010, algorithm 5)."""
    norm = np.linalg.norm(V)
    if norm == 0.0:
        return V, np.zeros_like(V)
    balance = 1.0 / math.sqrt(max(V.shape))
    largest = math.sqrt(np.linalg.eigvalsh(small_gram(V))[-1])
    dual = V / max(largest, np.abs(V).max() / balance)
    mu = 1.25 / largest
    mu_most = 1e7 * mu
    sparse = np.zeros_like(V)
    for _ in range(most):
        low_rank = shrunk_spectrum(V - sparse + dual / mu, 1.0 / mu)
        gap = V - low_rank + dual / mu
        sparse = np.sign(gap) * np.maximum(np.abs(gap) - balance / mu, 0.0)
        error = V - low_rank - sparse
        dual += mu * error
        mu = min(1.5 * mu, mu_most)
        if np.linalg.norm(error) < tol * norm:
            break
    return low_rank, sparse


def small_gram(V: np.ndarray) -> np.ndarray:
    return V @ V.T if V.shape[0] <= V.shape[1] else V.T @ V


def shrunk_spectrum(V: np.ndarray, by: float) -> np.ndarray:
    """V with its singular values lessened by so much, none below zero."""
    squares, vectors = np.linalg.eigh(small_gram(V))
    values = np.sqrt(np.maximum(squares, 0.0))
    kept = values > by
    part = vectors[:, kept] * ((values[kept] - by) / values[kept])
    if V.shape[0] <= V.shape[1]:
        return part @ (vectors[:, kept].T @ V)
    return (V @ vectors[:, kept]) @ part.T


# --- drums, bass, other ----------------------------------------------------------------------


def hpss(item: Item) -> Signals:
    """Median filters by librosa; bass is what is harmonic and low."""
    import librosa

    def masks_of(values: np.ndarray) -> dict[str, np.ndarray]:
        magnitude = np.sqrt((np.abs(values) ** 2).mean(axis=0))
        harmonic, percussive = librosa.decompose.hpss(magnitude, mask=True)
        if item.task == "harmonic-percussive":
            return {"harmonic": harmonic, "percussive": percussive}
        hz = np.linspace(0, item.sr / 2, magnitude.shape[0])[:, np.newaxis]
        low = 1 / (1 + (hz / BASS_BELOW_HZ) ** 8)
        return {"drums": percussive, "bass": harmonic * low, "other": harmonic * (1 - low)}

    return masked(item, masks_of)


def cascade(voice_of: Callable[[Item], Signals]) -> Callable[[Item], Signals]:
    """First the voice, then HPSS of what is left."""

    def estimates(item: Item) -> Signals:
        parts = voice_of(item)
        rest = Item("stems", item.folder, item.name, item.sr, parts["accompaniment"], {})
        return {"vocals": parts["vocals"], **hpss(rest)}

    return estimates


# --- without names ---------------------------------------------------------------------------


def nmf_mfcc(item: Item) -> Signals:
    """Components of a factorization, grouped by the shape of their spectra."""

    def masks_of(values: np.ndarray) -> dict[str, np.ndarray]:
        masks = timbre_masks(np.abs(values).mean(axis=0), item.sr, len(item.references))
        return {f"source-{k + 1}": mask for k, mask in enumerate(masks)}

    return masked(item, masks_of)


def libnmfd_nmfd(item: Item) -> Signals:
    """The package's own convolutive factorization, as its drum example uses it."""
    from audiosep.transform import frame_length

    block = frame_length(item.sr, NMFD_WINDOW_S)
    stems = libnmfd_stems(item.mixture, len(item.references), block)
    return {f"source-{k + 1}": stem for k, stem in enumerate(stems)}


def installed(peer: str) -> bool:
    """Whether what a peer needs can be imported."""
    needs = {
        "libnmfd NMFD": "libnmfd",
        "NMF + MFCC": "sklearn",
        "scikit-learn dictionaries": "sklearn",
        "noisereduce": "noisereduce",
        "noisereduce, noise given": "noisereduce",
    }
    return peer not in needs or find_spec(needs[peer]) is not None


PEERS: dict[str, Callable[[Item], Signals]] = {
    "librosa HPSS": hpss,
    "REPET-SIM": repet_sim,
    "RPCA": rpca,
    "REPET-SIM, then HPSS": cascade(repet_sim),
    "RPCA, then HPSS": cascade(rpca),
    "NMF + MFCC": nmf_mfcc,
    "libnmfd NMFD": libnmfd_nmfd,
}

PEERS_OF = {
    "vocals": ("REPET-SIM", "RPCA", "NMF + MFCC"),
    "drums": ("libnmfd NMFD", "NMF + MFCC"),
    "harmonic-percussive": ("librosa HPSS",),
    "stems": ("librosa HPSS",),
    "four-stems": ("REPET-SIM, then HPSS", "RPCA, then HPSS"),
    "auto": (),
    "components": ("NMF + MFCC",),
}
"""Which peers stand beside ours in each task."""
