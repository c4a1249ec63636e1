"""Recipes of peers on matrices and samples alone: they need the peer's package, and not audiosep.

Both `_quality_peers.py` (everything in one environment, on our grid) and `_compare_runner.py` (each
peer in an environment of its own) use them. Packages are imported where they are used.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import numpy as np

TINY = 1e-16
N_TIMBRES = 50
N_TEMPLATES = 40
QUIET = 0.05
MOST_FRAMES = 1500

Factorize = Callable[[np.ndarray, int], tuple[np.ndarray, np.ndarray]]
"""From V (bins, frames) and a number of components to W (bins, K) and H (K, frames)."""


# --- components grouped by their spectra -----------------------------------------------------


def sklearn_nmf(V: np.ndarray, n_components: int) -> tuple[np.ndarray, np.ndarray]:
    """Multiplicative updates, Frobenius norm, 50 iterations."""
    from sklearn.decomposition import NMF

    model = NMF(n_components, solver="mu", init="random", max_iter=50, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it has not converged, as in the recipe
        H = model.fit_transform(V.T)
    return model.components_.T, H.T


def timbre_masks(
    V: np.ndarray, sr: int, n_sources: int, factorize: Factorize = sklearn_nmf
) -> list[np.ndarray]:
    """Masks of groups of components whose templates have similar MFCC (Spiertz & Gnann 2009)."""
    import librosa
    from sklearn.cluster import KMeans

    W, H = factorize(V, N_TIMBRES)
    mel = librosa.feature.melspectrogram(S=W**2, sr=sr)
    features = librosa.feature.mfcc(S=librosa.power_to_db(mel), n_mfcc=14)[1:].T
    labels = KMeans(n_sources, n_init=10, random_state=0).fit_predict(features)
    models = [W[:, labels == k] @ H[labels == k] + TINY for k in range(n_sources)]
    total = np.sum(models, axis=0)
    return [model / total for model in models]


# --- dictionaries of examples ----------------------------------------------------------------


def templates_of(frames: np.ndarray) -> np.ndarray:
    """Templates (K, bins) of the louder frames (frames, bins) of an example."""
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


def dictionary_masks(
    V: np.ndarray, examples: dict[str, np.ndarray], sources: Sequence[str]
) -> dict[str, np.ndarray]:
    """Masks (bins, frames) by fixed templates of every example; the rest is what they leave over.

    V and the examples are magnitudes (frames, bins); a source without example is the rest.
    """
    from sklearn.decomposition import non_negative_factorization

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of too few iterations: that is what was asked for
        W = {name: templates_of(frames) for name, frames in examples.items()}
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
    unknown = [name for name in sources if name not in models]
    if unknown:
        models[unknown[0]] = np.maximum(V - sum(models.values()), 0.0)
    total = sum(models.values()) + TINY
    return {name: (model / total).T for name, model in models.items()}


# --- libnmfd ---------------------------------------------------------------------------------


def libnmfd_stems(mixture: np.ndarray, n_sources: int, block: int) -> list[np.ndarray]:
    """Stems (channels, samples) by convolutive factorization, as in its drum example."""
    from libnmfd.core import nmfconv

    nmfconv.tnrange = lambda n, **_: range(n)  # its progress bar needs a notebook
    V = libnmfd_magnitude(mixture, block)
    W = nmfconv.init_templates(
        num_comp=n_sources, num_bins=V.shape[0], num_template_frames=8, strategy="random"
    )
    H = nmfconv.init_activations(num_comp=n_sources, num_frames=V.shape[1], strategy="uniform")
    models = nmfconv.nmfd(
        V,
        num_comp=n_sources,
        num_frames=V.shape[1],
        num_iter=30,
        num_template_frames=8,
        init_W=W,
        init_H=H,
    )[2]
    return libnmfd_filtered(mixture, models, block)


def libnmfd_magnitude(mixture: np.ndarray, block: int) -> np.ndarray:
    """Magnitudes (bins, frames) of the mean of the channels, by its own transform."""
    from libnmfd.dsp.transforms import forward_stft

    mono = mixture.mean(axis=0, dtype=np.float64)
    return forward_stft(mono, **_libnmfd_grid(block))[1]


def libnmfd_filtered(
    mixture: np.ndarray, models: Sequence[np.ndarray], block: int
) -> list[np.ndarray]:
    """Stems by its alpha-Wiener filter, channel by channel."""
    from libnmfd.dsp.filters import alpha_wiener_filter
    from libnmfd.dsp.transforms import forward_stft, inverse_stft

    grid, n_samples = _libnmfd_grid(block), mixture.shape[1]
    stems = [np.zeros_like(mixture) for _ in models]
    for channel, samples in enumerate(mixture):
        X, _, _ = forward_stft(samples.astype(np.float64), **grid)
        for stem, part in zip(stems, alpha_wiener_filter(X, models, 1.0)[0], strict=True):
            back, _ = inverse_stft(part, **grid, num_samp=n_samples)
            stem[channel] = np.ravel(back)[:n_samples]
    return stems


def _libnmfd_grid(block: int) -> dict[str, object]:
    return {
        "block_size": block,
        "hop_size": block // 4,
        "reconst_mirror": True,
        "append_frames": True,
    }


# --- noisereduce -----------------------------------------------------------------------------


def noisereduce_speech(mixture: np.ndarray, sr: int, noise: np.ndarray | None) -> np.ndarray:
    """Speech by its defaults: "stationary" where the noise is given, its adaptive mode without."""
    import noisereduce

    options = {} if noise is None else {"stationary": True, "y_noise": noise.mean(axis=0)}
    speech = noisereduce.reduce_noise(y=mixture.astype(float), sr=sr, **options)
    return np.asarray(speech, dtype=np.float32).reshape(mixture.shape)
