"""Peers of the tasks in which something is told.

name                        recipe                              where it differs
scikit-learn dictionaries   Smaragdis, Raj & Shashanka (2007)   the factorizations are
as one writes it today: 40          scikit-learn's; what no
templates of each example by        example explains is what the
KL-NMF (60 iterations), kept        model leaves over
while the mixture is fitted
(50); masks of magnitudes
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
from _peers_score import combs_and_gates
from _peers_speech import SPEECH_PEERS, SPEECH_PEERS_OF
from _peers_stereo import STEREO_PEERS
from _quality_corpus import Item, Signals, read
from _quality_peers import TINY, masked

WINDOW_S = 0.064
N_TEMPLATES = 40
QUIET = 0.05
MOST_FRAMES = 1500


def magnitudes(samples: np.ndarray, sr: int, n_fft: int) -> np.ndarray:
    """Frames of the root mean square over the channels."""
    import audiosep

    return audiosep.stft(audiosep.Audio(samples=samples, sr=sr), n_fft=n_fft).magnitude().T


def templates_of(frames: np.ndarray) -> np.ndarray:
    from sklearn.decomposition import NMF

    level = frames.sum(axis=1)
    frames = frames[level > QUIET * level.max()]
    frames = frames[:: max(1, len(frames) // MOST_FRAMES)]
    if len(frames) <= N_TEMPLATES:
        return frames / (frames.sum(axis=1, keepdims=True) + TINY)
    model = NMF(N_TEMPLATES, solver="mu", beta_loss="kullback-leibler", init="random", max_iter=60)
    model.set_params(random_state=0, tol=0.0)
    model.fit(frames + TINY)
    return model.components_ / (model.components_.sum(axis=1, keepdims=True) + TINY)


def dictionaries(item: Item) -> Signals:
    """Fixed templates of every example; the rest is what they do not explain."""
    from sklearn.decomposition import non_negative_factorization

    from audiosep.transform import frame_length

    n_fft = frame_length(item.sr, WINDOW_S)
    examples = item.evidence.examples
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of too few iterations: that is what was asked for
        W = {n: templates_of(_example_frames(p, item.sr, n_fft)) for n, p in examples.items()}
        V = magnitudes(item.mixture, item.sr, n_fft)
        stacked = np.concatenate(list(W.values())).astype(V.dtype)
        H, _, _ = non_negative_factorization(
            V + np.float32(1e-9),
            n_components=len(stacked),
            H=stacked,
            update_H=False,
            solver="mu",
            beta_loss="kullback-leibler",
            init="custom",
            W=np.full((len(V), len(stacked)), V.mean(), dtype=V.dtype),
            max_iter=50,
            tol=0.0,
        )
    models, first = {}, 0
    for name, rows in W.items():
        models[name] = H[:, first : first + len(rows)] @ rows
        first += len(rows)
    unknown = [name for name in item.references if name not in models]
    if unknown:
        models[unknown[0]] = np.maximum(V - sum(models.values()), 0.0)
    total = sum(models.values()) + TINY
    return masked(item, lambda _: {n: (m / total).T[None] for n, m in models.items()}, n_fft)


def _example_frames(path, sr: int, n_fft: int) -> np.ndarray:
    import librosa

    samples, own = read(path)
    if own != sr:
        samples = librosa.resample(samples, orig_sr=own, target_sr=sr, res_type="soxr_hq")
    return magnitudes(np.ascontiguousarray(samples, dtype=np.float32), sr, n_fft)


TOLD_PEERS: dict[str, Callable[[Item], Signals]] = {
    "scikit-learn dictionaries": dictionaries,
    **SPEECH_PEERS,
    "combs and gates": combs_and_gates,
    **STEREO_PEERS,
}

TOLD_PEERS_OF: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("by-example", "kit", "kit-room"), ("scikit-learn dictionaries",)),
    **SPEECH_PEERS_OF,
    **dict.fromkeys(("score", "score-jitter", "score-offset", "score-drift"), ("combs and gates",)),
    **dict.fromkeys(("stereo", "stereo-shared", "stereo-room"), tuple(STEREO_PEERS)),
}
"""Which of them stand beside ours in each task."""
