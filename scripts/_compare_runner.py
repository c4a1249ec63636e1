"""Run one method of one peer in the peer's own environment: a mixture file in, stems as files out.

    python _compare_runner.py METHOD job.json

The job names the ``mixture``, the folder ``out``, ``n_sources``, the ``sources``, and where the
task has them ``examples`` (name to file) and ``notes`` (track to ``[pitch, start_s, duration_s]``).
Every method calls the peer as its own documentation does, with the peer's defaults. Where a peer
reads sound files itself, it does so here. Only the peer, what came with it, and soundfile are used.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile

Job = dict
Stems = dict[str, np.ndarray]

WINDOW_S = 0.093
"""What 2048 samples, librosa's default, are at 22.05 kHz; they follow the rate."""

LONG_WINDOW_S = 0.256


def read(path: str | Path) -> tuple[np.ndarray, int]:
    """Samples (channels, samples) and rate."""
    samples, sr = soundfile.read(path, dtype="float32", always_2d=True)
    return np.ascontiguousarray(samples.T), sr


def numbered(stems) -> Stems:
    """Estimates without names."""
    return {f"source-{index + 1}": np.asarray(stem) for index, stem in enumerate(stems)}


def window(sr: int, seconds: float) -> int:
    """Power of two nearest to so many seconds."""
    return 2 ** round(np.log2(seconds * sr))


# --- librosa ---------------------------------------------------------------------------------


def librosa_read(job: Job) -> tuple[np.ndarray, int]:
    import librosa

    samples, sr = librosa.load(job["mixture"], sr=None, mono=False)
    return np.atleast_2d(samples), sr


def librosa_hpss(job: Job) -> tuple[Stems, int]:
    import librosa

    samples, sr = librosa_read(job)
    harmonic, percussive = librosa.effects.hpss(samples, n_fft=window(sr, WINDOW_S))
    return {"harmonic": harmonic, "percussive": percussive}, sr


def librosa_vocals(job: Job) -> tuple[Stems, int]:
    """Foreground of its gallery's "Vocal separation"; the background is what is left over."""
    import librosa

    samples, sr = librosa_read(job)
    n_fft = window(sr, WINDOW_S)
    spectrogram = librosa.stft(samples, n_fft=n_fft)
    magnitude = np.abs(spectrogram).mean(axis=0)
    alike = librosa.decompose.nn_filter(
        magnitude,
        aggregate=np.median,
        metric="cosine",
        width=int(librosa.time_to_frames(2, sr=sr, hop_length=n_fft // 4)),
    )
    alike = np.minimum(magnitude, alike)
    mask = librosa.util.softmask(magnitude - alike, 10 * alike, power=2)
    vocals = librosa.istft(mask * spectrogram, length=samples.shape[-1])
    return {"vocals": vocals, "accompaniment": samples - vocals}, sr


def masked(samples: np.ndarray, sr: int, masks_of: Callable[[np.ndarray], list]) -> list:
    """Stems by masks (bins, frames) of the mean magnitude of the channels, on librosa's STFT."""
    import librosa

    n_fft = window(sr, WINDOW_S)
    spectrogram = librosa.stft(samples, n_fft=n_fft)
    masks = masks_of(np.abs(spectrogram).mean(axis=0))
    return [librosa.istft(mask * spectrogram, length=samples.shape[-1]) for mask in masks]


# --- factorizations --------------------------------------------------------------------------


def by_timbre(job: Job, factorize=None) -> tuple[Stems, int]:
    """Components grouped by MFCC: scikit-learn's factorization, or another."""
    from _peers_recipes import sklearn_nmf, timbre_masks

    samples, sr = read(job["mixture"])
    engine = factorize or sklearn_nmf

    def masks_of(V: np.ndarray) -> list:
        return timbre_masks(V, sr, job["n_sources"], engine)

    return numbered(masked(samples, sr, masks_of)), sr


def torchnmf_nmf(V: np.ndarray, n_components: int) -> tuple[np.ndarray, np.ndarray]:
    import torch
    from torchnmf.nmf import NMF

    torch.manual_seed(0)
    model = NMF(V.T.shape, rank=n_components)
    model.fit(torch.from_numpy(V.T.copy()), beta=1, max_iter=100)
    return model.W.detach().numpy(), model.H.detach().numpy().T


def nimfa_nmf(V: np.ndarray, n_components: int) -> tuple[np.ndarray, np.ndarray]:
    import nimfa

    np.random.seed(0)  # noqa: NPY002 - it draws from NumPy's global state
    fit = nimfa.Nmf(
        V.astype(np.float64),
        rank=n_components,
        max_iter=100,
        update="divergence",
        objective="div",
    )().fit
    return np.asarray(fit.W), np.asarray(fit.H)


def sklearn_dictionaries(job: Job) -> tuple[Stems, int]:
    """Fixed templates of every example, by scikit-learn."""
    import librosa
    from _peers_recipes import dictionary_masks

    samples, sr = read(job["mixture"])

    def frames_of(path: str, n_fft: int) -> np.ndarray:
        example, own = read(path)
        example = librosa.resample(example.mean(axis=0), orig_sr=own, target_sr=sr)
        return np.abs(librosa.stft(example, n_fft=n_fft)).T

    n_fft = window(sr, WINDOW_S)
    examples = {name: frames_of(path, n_fft) for name, path in job["examples"].items()}
    names: list[str] = []

    def masks_of(V: np.ndarray) -> list:
        masks = dictionary_masks(V.T, examples, job["sources"])
        names.extend(masks)
        return list(masks.values())

    stems = masked(samples, sr, masks_of)
    return dict(zip(names, stems, strict=True)), sr


# --- libnmfd ---------------------------------------------------------------------------------


def libnmfd_nmfd(job: Job) -> tuple[Stems, int]:
    from _peers_recipes import libnmfd_stems

    samples, sr = read(job["mixture"])
    return numbered(libnmfd_stems(samples, job["n_sources"], window(sr, 0.046))), sr


def libnmfd_score(job: Job) -> tuple[Stems, int]:
    """Combs and gates by its "pitched" starts, track by track, then its NMF and Wiener filter."""
    from _peers_recipes import libnmfd_filtered, libnmfd_magnitude
    from libnmfd.core import nmfconv

    engine = importlib.import_module("libnmfd.core.nmf")  # its package has a function of this name
    engine.tnrange = lambda n, **_: range(n)
    samples, sr = read(job["mixture"])
    block = window(sr, WINDOW_S)
    V = libnmfd_magnitude(samples, block)
    W, H, owners = [], [], []
    for track, notes in job["notes"].items():
        pitches, starts, lengths = (np.array(column) for column in zip(*notes, strict=True))
        rows = nmfconv.init_activations(
            num_frames=V.shape[1],
            strategy="pitched",
            time_res=block / 4 / sr,
            pitches=pitches,
            onsets=starts,
            durations=lengths,
        )
        combs = nmfconv.init_templates(
            num_bins=V.shape[0],
            strategy="pitched",
            pitches=pitches,
            num_harmonics=int(sr / 2 / (440 * 2 ** ((pitches.max() + 1 - 69) / 12))),
            block_size=block,
            fs=sr,
        )
        W += [comb[:, 0] for comb in combs]
        H += list(rows)
        owners += [track] * len(combs)
    parts = engine.nmf(
        V, num_comp=len(W), init_W=np.stack(W, axis=1), init_H=np.stack(H), num_iter=60
    )[2]
    tracks = list(job["notes"])
    models = [sum(p for p, owner in zip(parts, owners, strict=True) if owner == t) for t in tracks]
    return dict(zip(tracks, libnmfd_filtered(samples, models, block), strict=True)), sr


# --- nussl -----------------------------------------------------------------------------------


def nussl_separated(job: Job, make, names: tuple[str, ...] = ()) -> tuple[Stems, int]:
    """Estimates of one of its separators, in the order in which it gives them."""
    if not hasattr(np, "bool"):
        np.bool = bool  # nussl 1.1.9 calls it by the name that NumPy 1.24 removed
    import nussl

    signal = nussl.AudioSignal(job["mixture"])
    estimates = [estimate.audio_data for estimate in make(nussl.separation, signal)()]
    if names:
        return dict(zip(names, estimates, strict=True)), signal.sample_rate
    return numbered(estimates), signal.sample_rate


def nussl_hpss(job: Job) -> tuple[Stems, int]:
    return nussl_separated(job, lambda s, x: s.primitive.HPSS(x), ("harmonic", "percussive"))


def nussl_repet_sim(job: Job) -> tuple[Stems, int]:
    return nussl_separated(job, lambda s, x: s.primitive.RepetSim(x), ("accompaniment", "vocals"))


def nussl_ft2d(job: Job) -> tuple[Stems, int]:
    return nussl_separated(job, lambda s, x: s.primitive.FT2D(x), ("accompaniment", "vocals"))


def nussl_rpca(job: Job) -> tuple[Stems, int]:
    return nussl_separated(job, lambda s, x: s.factorization.RPCA(x), ("accompaniment", "vocals"))


def nussl_timbre(job: Job) -> tuple[Stems, int]:
    n = job["n_sources"]
    return nussl_separated(job, lambda s, x: s.primitive.TimbreClustering(x, n, 50))


def nussl_duet(job: Job) -> tuple[Stems, int]:
    return nussl_separated(job, lambda s, x: s.spatial.Duet(x, job["n_sources"]))


def nussl_projet(job: Job) -> tuple[Stems, int]:
    return nussl_separated(job, lambda s, x: s.spatial.Projet(x, job["n_sources"]))


# --- pyroomacoustics -------------------------------------------------------------------------


def room_grid(job: Job) -> tuple[np.ndarray, np.ndarray, int, dict]:
    """Its transform, as in its example of separation: Hann windows, half overlap."""
    import pyroomacoustics as pra

    samples, sr = read(job["mixture"])
    length = window(sr, LONG_WINDOW_S)
    hann = pra.hann(length)
    grid = {"L": length, "hop": length // 2, "win": hann}
    return samples, pra.transform.stft.analysis(samples.T, **grid), sr, grid


def room_stems(images: np.ndarray, n_samples: int, grid: dict) -> list[np.ndarray]:
    """Images (channels, frames, bins, sources) as stems (channels, samples)."""
    import pyroomacoustics as pra

    back = pra.transform.stft.compute_synthesis_window(grid["win"], grid["hop"])
    stems = []
    for k in range(images.shape[-1]):
        wave = np.stack(
            [
                pra.transform.stft.synthesis(image[:, :, k], grid["L"], grid["hop"], win=back)
                for image in images
            ]
        )
        wave = wave[:, grid["L"] - grid["hop"] :][:, :n_samples]
        stems.append(np.pad(wave, ((0, 0), (0, n_samples - wave.shape[1]))))
    return stems


def room_determined(job: Job, engine: str, **options) -> tuple[Stems, int]:
    """As many sources as channels; each is projected back onto every channel."""
    import pyroomacoustics as pra

    np.random.seed(0)  # noqa: NPY002 - it draws from NumPy's global state
    samples, X, sr, grid = room_grid(job)
    Y = getattr(pra.bss, engine)(X, proj_back=False, **options)
    images = np.stack(
        [
            Y * np.conj(pra.bss.projection_back(Y, X[:, :, channel]))[np.newaxis]
            for channel in range(X.shape[2])
        ]
    )
    return numbered(room_stems(images, samples.shape[1], grid)), sr


def room_auxiva(job: Job) -> tuple[Stems, int]:
    return room_determined(job, "auxiva", n_iter=30)


def room_ilrma(job: Job) -> tuple[Stems, int]:
    return room_determined(job, "ilrma", n_iter=30)


def room_fastmnmf2(job: Job) -> tuple[Stems, int]:
    import pyroomacoustics as pra

    np.random.seed(0)  # noqa: NPY002 - it draws from NumPy's global state
    samples, X, sr, grid = room_grid(job)
    images = pra.bss.fastmnmf2(X, n_src=job["n_sources"], n_iter=100, mic_index="all")
    return numbered(room_stems(np.asarray(images), samples.shape[1], grid)), sr


# --- noisereduce -----------------------------------------------------------------------------


def noisereduce_told(job: Job) -> tuple[Stems, int]:
    from _peers_recipes import noisereduce_speech

    samples, sr = read(job["mixture"])
    noise, own = read(job["examples"]["noise"])
    if own != sr:
        raise ValueError(f"the example is at {own} Hz, the mixture at {sr} Hz")
    speech = noisereduce_speech(samples, sr, noise)
    return {"speech": speech, "noise": samples - speech}, sr


METHODS: dict[str, Callable[[Job], tuple[Stems, int]]] = {
    "librosa-hpss": librosa_hpss,
    "librosa-vocals": librosa_vocals,
    "sklearn-timbre": by_timbre,
    "torchnmf-timbre": lambda job: by_timbre(job, torchnmf_nmf),
    "nimfa-timbre": lambda job: by_timbre(job, nimfa_nmf),
    "sklearn-dictionaries": sklearn_dictionaries,
    "libnmfd-nmfd": libnmfd_nmfd,
    "libnmfd-score": libnmfd_score,
    "nussl-hpss": nussl_hpss,
    "nussl-repet-sim": nussl_repet_sim,
    "nussl-ft2d": nussl_ft2d,
    "nussl-rpca": nussl_rpca,
    "nussl-timbre": nussl_timbre,
    "nussl-duet": nussl_duet,
    "nussl-projet": nussl_projet,
    "room-auxiva": room_auxiva,
    "room-ilrma": room_ilrma,
    "room-fastmnmf2": room_fastmnmf2,
    "noisereduce-told": noisereduce_told,
}


def main() -> int:
    method, path = sys.argv[1:]
    job = json.loads(Path(path).read_text())
    stems, sr = METHODS[method](job)
    for name, stem in stems.items():
        samples = np.atleast_2d(np.asarray(stem, dtype=np.float32)).T
        soundfile.write(str(Path(job["out"]) / f"{name}.wav"), samples, sr, subtype="FLOAT")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
