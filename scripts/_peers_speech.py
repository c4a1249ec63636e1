"""Peers of speech in noise: subtraction of spectra, decision-directed Wiener filters, noisereduce.

    name                        recipe                             where it differs
    spectral subtraction        Boll (1979): magnitude minus       the noise has its true level
                                mean noise, floor 0.05
    decision-directed Wiener    Ephraim & Malah (1984), a priori   the noise has its true level
                                SNR with memory 0.98, gain         in the mixture, in its favour
                                xi / (1 + xi), floor 0.05
    decision-directed Wiener,   the same; noise as the minimum     minima over a window to both
    noise tracked               of smoothed power over 1.5 s,      sides, which a recorded file
                                as Martin (2001), times 1.8        allows
    noisereduce                 the package itself, its defaults;  "stationary" with the example,
                                Sainburg & Zorea (2024)            its adaptive mode without

Windows are 64 ms (sqrt-Hann, hop a quarter), as ours are, except those of noisereduce. The first
two are given the example of the noise where there is one; the level of it is that of the true
noise, which uses the reference.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from _peers_recipes import TINY, noisereduce_speech
from _quality_corpus import Item, Signals, read
from _quality_peers import masked

WINDOW_S = 0.064
MEMORY = 0.98
FLOOR = 0.05
SMOOTH_FRAMES = 8
SEARCH_FRAMES = 95
BIAS = 1.8

SPEECH, NOISE = "speech", "noise"


def decision_directed_gain(power: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Gains (bins, frames) from powers of the same shape."""
    gains = np.empty_like(power)
    before = np.zeros(len(power))
    for frame, (now, there) in enumerate(zip(power.T, noise.T, strict=True)):
        posterior = now / (there + TINY)
        prior = MEMORY * before + (1 - MEMORY) * np.maximum(posterior - 1, 0)
        gains[:, frame] = np.maximum(prior / (1 + prior), FLOOR)
        before = gains[:, frame] ** 2 * posterior
    return gains


def subtraction_gain(power: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Share of the magnitude that is above that of the noise."""
    return np.maximum(1 - np.sqrt(noise / (power + TINY)), FLOOR)


def tracked_noise(power: np.ndarray) -> np.ndarray:
    """Minimum of smoothed power around each frame, brought up to the mean."""
    from scipy.ndimage import minimum_filter1d, uniform_filter1d

    smooth = uniform_filter1d(power, SMOOTH_FRAMES, axis=1, mode="nearest")
    return BIAS * minimum_filter1d(smooth, SEARCH_FRAMES, axis=1, mode="nearest")


def known_noise(item: Item, n_fft: int) -> np.ndarray:
    """Mean power (bins, 1) of the example, at the level of the true noise."""
    noise = _mean_power(example_of(item), item.sr, n_fft)
    true = _mean_power(item.references[NOISE], item.sr, n_fft)
    return noise * (true.sum() / (noise.sum() + TINY))


def example_of(item: Item) -> np.ndarray:
    """Samples of the example of the noise, at the rate of the mixture."""
    import librosa

    samples, sr = read(item.evidence.examples[NOISE])
    if sr != item.sr:
        samples = librosa.resample(samples, orig_sr=sr, target_sr=item.sr, res_type="soxr_hq")
    return np.ascontiguousarray(samples, dtype=np.float32)


def _mean_power(samples: np.ndarray, sr: int, n_fft: int) -> np.ndarray:
    import audiosep

    spectrogram = audiosep.stft(audiosep.Audio(samples=samples, sr=sr), n_fft=n_fft)
    return np.square(spectrogram.magnitude().astype(float)).mean(axis=1, keepdims=True)


def _filtered(
    item: Item,
    gain_of: Callable[[np.ndarray, np.ndarray], np.ndarray],
    noise_of: Callable[[np.ndarray], np.ndarray],
    n_fft: int,
) -> Signals:
    def masks_of(values: np.ndarray) -> dict[str, np.ndarray]:
        power = np.square(np.abs(values.astype(complex))).mean(axis=0)
        noise = np.broadcast_to(noise_of(power), power.shape)
        gain = gain_of(power, noise)[np.newaxis]
        return {SPEECH: gain, NOISE: 1 - gain}

    return masked(item, masks_of, n_fft)


def _window(item: Item) -> int:
    from audiosep.transform import frame_length

    return frame_length(item.sr, WINDOW_S)


def spectral_subtraction(item: Item) -> Signals:
    n_fft = _window(item)
    noise = known_noise(item, n_fft)
    return _filtered(item, subtraction_gain, lambda _: noise, n_fft)


def decision_directed(item: Item) -> Signals:
    n_fft = _window(item)
    noise = known_noise(item, n_fft)
    return _filtered(item, decision_directed_gain, lambda _: noise, n_fft)


def decision_directed_tracked(item: Item) -> Signals:
    return _filtered(item, decision_directed_gain, tracked_noise, _window(item))


def _noisereduce(item: Item, *, told: bool) -> Signals:
    noise = example_of(item) if told else None
    speech = noisereduce_speech(item.mixture, item.sr, noise)
    return {SPEECH: speech, NOISE: item.mixture - speech}


def noisereduce_told(item: Item) -> Signals:
    return _noisereduce(item, told=True)


def noisereduce_alone(item: Item) -> Signals:
    return _noisereduce(item, told=False)


SPEECH_PEERS: dict[str, Callable[[Item], Signals]] = {
    "spectral subtraction": spectral_subtraction,
    "decision-directed Wiener": decision_directed,
    "decision-directed Wiener, noise tracked": decision_directed_tracked,
    "noisereduce, noise given": noisereduce_told,
    "noisereduce": noisereduce_alone,
}


SPEECH_PEERS_OF: dict[str, tuple[str, ...]] = {
    "speech": ("spectral subtraction", "decision-directed Wiener", "noisereduce, noise given"),
    "speech-alone": ("decision-directed Wiener, noise tracked", "noisereduce"),
}
"""Which of them stand beside ours in each task."""
