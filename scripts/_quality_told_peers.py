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

from collections.abc import Callable

import numpy as np
from _peers_recipes import dictionary_masks
from _peers_score import combs_and_gates
from _peers_speech import SPEECH_PEERS, SPEECH_PEERS_OF
from _peers_stereo import STEREO_PEERS
from _quality_corpus import Item, Signals, read
from _quality_peers import masked

WINDOW_S = 0.064


def magnitudes(samples: np.ndarray, sr: int, n_fft: int) -> np.ndarray:
    """Frames of the root mean square over the channels."""
    import audiosep

    return audiosep.stft(audiosep.Audio(samples=samples, sr=sr), n_fft=n_fft).magnitude().T


def dictionaries(item: Item) -> Signals:
    """Fixed templates of every example; the rest is what they do not explain."""
    from audiosep.transform import frame_length

    n_fft = frame_length(item.sr, WINDOW_S)
    examples = {n: _example_frames(p, item.sr, n_fft) for n, p in item.evidence.examples.items()}
    V = magnitudes(item.mixture, item.sr, n_fft)
    masks = dictionary_masks(V, examples, list(item.references))
    return masked(item, lambda _: {name: mask[None] for name, mask in masks.items()}, n_fft)


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
