"""A peer of the separation by score, re-created from its paper.

    name             recipe                                       where it differs
    combs and gates  Ewert & Müller (2012): one component per     magnitudes, generalised
                     pitch of each track; templates start at      Kullback-Leibler divergence, 60
                     combs, 1/h at partial h, half a semitone     updates; teeth reach 1.5 bins at
                     wide on either side, activations at the      least; windows of 93 ms, hop 1/4;
                     notes with 0.1 s more before and 0.15 s      no templates of attacks
                     after; zeros stay zero

It is given the score as it is told, and has no alignment of its own.
"""

from __future__ import annotations

import numpy as np
from _quality_corpus import Item, Signals

WINDOW_S = 0.093
BEFORE_S, AFTER_S = 0.1, 0.15
N_PARTIALS, SEMITONES, BINS = 39, 0.5, 1.5
N_ITER = 60
TINY = 1e-12


def combs_and_gates(item: Item) -> Signals:
    """Stems by the score of the item's evidence."""
    import audiosep

    spectrogram = audiosep.stft(audiosep.Audio(samples=item.mixture, sr=item.sr), window_s=WINDOW_S)
    V = spectrogram.magnitude().astype(np.float64)
    tracks = item.evidence.score.tracks
    keys = [(t.name, p) for t in tracks for p in sorted({n.pitch for n in t.notes})]
    W = np.stack([comb(pitch, spectrogram) for _, pitch in keys], axis=1)
    times = np.arange(spectrogram.n_frames) * spectrogram.frame_s
    H = np.full((len(keys), len(times)), TINY)
    for track in tracks:
        for note in track.notes:
            on = (times >= note.start_s - BEFORE_S) & (times <= note.end_s + AFTER_S)
            H[keys.index((track.name, note.pitch)), on] = V.mean()
    for _ in range(N_ITER):
        W /= W.sum(axis=0) + TINY
        H *= W.T @ (V / (W @ H + TINY))
        W *= (V / (W @ H + TINY)) @ H.T / (H.sum(axis=1) + TINY)
    owners = np.array([name for name, _ in keys])
    models = {t.name: W[:, owners == t.name] @ H[owners == t.name] + TINY for t in tracks}
    total = sum(models.values())
    return {
        name: audiosep.istft(spectrogram, mask=(model / total).astype(np.float32)[None]).samples
        for name, model in models.items()
    }


def comb(pitch: int, spectrogram) -> np.ndarray:  # type: ignore[no-untyped-def]
    """Teeth around the partials of a pitch, on the bins of a spectrogram."""
    hz = np.arange(spectrogram.n_bins) * spectrogram.bin_hz
    f0 = 440.0 * 2.0 ** ((pitch - 69) / 12)
    out = np.zeros(len(hz))
    for h in range(1, N_PARTIALS + 1):
        half = max(h * f0 * (2 ** (SEMITONES / 12) - 1), BINS * spectrogram.bin_hz)
        if h * f0 < spectrogram.sr / 2:
            near = np.abs(hz - h * f0) <= half
            out[near] = np.maximum(out[near], 1.0 / h)
    return out
