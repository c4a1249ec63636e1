"""Dictionaries learnt from sounds: what a source sounds like, told by examples of it.

References
----------
.. [1] P. Smaragdis, B. Raj and M. Shashanka (2007), "Supervised and semi-supervised separation of
   sounds from single-channel mixtures", ICA: templates of each source are learnt from examples.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from audiosep.dictionaries import Dictionary, Exemplars
from audiosep.errors import InputError, ParameterError
from audiosep.labels import problem_of_labels
from audiosep.nmf import factorize
from audiosep.transform import frame_length, stft
from audiosep.types import Audio, Progress, ignore_progress, whole_number

__all__ = ["N_COMPONENTS", "WINDOW_S", "learn", "resampled"]

N_COMPONENTS = 40
WINDOW_S = 0.064
SHORTEST_WINDOW_S, LONGEST_WINDOW_S = 0.002, 1.0
MAX_ITER = 60

QUIET = 0.05
"""Frames below this share of the loudest hold nothing to learn from."""

MOST_FRAMES = 1500
"""More are thinned out: templates do not get better by them."""

LONGEST_S = 300.0
"""Of more than this, pieces are taken that are spread evenly."""

LONGEST_EXEMPLARS_S = 60.0
_STRETCH_S = 5.0


def learn(
    sounds: Sequence[Audio],
    *,
    label: str,
    n_components: int = N_COMPONENTS,
    window_s: float = WINDOW_S,
    exemplars: bool = True,
    provenance: str = "",
    seed: int = 0,
    n_threads: int | None = None,
    progress: Progress = ignore_progress,
) -> Dictionary:
    """Learn what a source sounds like.

    Kullback-Leibler NMF of the frames that sound [1]_, at most 1500 of them, evenly spread. Where
    there are no more of them than templates, they are the templates themselves.

    Parameters
    ----------
    sounds : sequence of Audio
        Examples of the source alone, of any length, level and number of channels. All are
        resampled to the highest of their sample rates.
    label : str
        What its stem is called: see :class:`audiosep.Dictionary`.
    n_components : int > 0
        Templates at most.
    window_s : float
        Window of the analysis in seconds, see :func:`audiosep.stft`; that of the separation where
        the dictionary will be used is the best.
    exemplars : bool
        Whether to keep the frames themselves, at most a minute of them: separation by example is
        better with them, and the file larger.
    provenance : str
        What the sounds are, and under which licence.
    seed : int
        Of the random start.
    n_threads : int, optional
        Threads; the result does not depend on it.
    progress : callable
        Called with ``("learn", fraction)``.

    Returns
    -------
    Dictionary
        On the frequencies of the analysis. Keeps the levels of the examples to each other, and
        none beside.

    Raises
    ------
    InputError
        If the examples are silent.
    ParameterError
        If there are none, or an argument is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> t = np.arange(16000) / 16000
    >>> hum = Audio(samples=np.float32(np.sin(2 * np.pi * 100 * t))[np.newaxis], sr=16000)
    >>> learn([hum], label="hum", n_components=2).sources
    ('hum',)
    """
    n_components = whole_number("n_components", n_components, 1, 1000)
    seed = whole_number("seed", seed, 0)
    if problem := problem_of_labels((label,)):
        raise ParameterError(problem)
    if not SHORTEST_WINDOW_S <= window_s <= LONGEST_WINDOW_S:
        raise ParameterError(
            f"window {window_s!r} is out of range; use {SHORTEST_WINDOW_S} to {LONGEST_WINDOW_S} "
            "seconds."
        )
    if not sounds:
        raise ParameterError("there is no example to learn from; give one or more sounds.")
    sr = max(sound.sr for sound in sounds)
    n_fft = frame_length(sr, window_s)
    sounds = _spread(sounds)
    spectra = [_frames(resampled(sound, sr), window_s, n_threads) for sound in sounds]
    hop_s = n_fft / 4 / sr
    stretches = _sounding(spectra, label)
    progress("learn", 0.0)
    W = _templates(
        np.concatenate(stretches), n_components, seed=seed, n_threads=n_threads, progress=progress
    )
    progress("learn", 1.0)
    kept = _shortened(stretches, hop_s) if exemplars else []
    return Dictionary(
        templates=W,
        frequencies_hz=np.arange(1 + n_fft // 2, dtype=np.float64) * (sr / n_fft),
        labels=(label,) * W.shape[1],
        provenance=provenance,
        exemplars=_exemplars(kept, label, hop_s) if kept else None,
    )


def resampled(audio: Audio, sr: int) -> Audio:
    """Return a recording at another sample rate.

    Parameters
    ----------
    audio : Audio
        Any.
    sr : int > 0
        Wanted sample rate in Hz.

    Returns
    -------
    Audio
        At least one sample.
    """
    if audio.sr == sr:
        return audio
    import soxr

    samples = soxr.resample(np.ascontiguousarray(audio.samples.T), audio.sr, sr, quality="HQ").T
    if samples.shape[1] == 0:
        samples = np.zeros((audio.n_channels, 1), dtype=np.float32)
    return Audio(samples=np.ascontiguousarray(samples, dtype=np.float32), sr=sr)


def _spread(sounds: Sequence[Audio]) -> Sequence[Audio]:
    """All sounds, or short pieces spread over them where there is more than can be used."""
    if sum(sound.duration for sound in sounds) <= LONGEST_S:
        return sounds
    pieces = [
        (sound, first)
        for sound in sounds
        for first in range(0, sound.n_samples, max(1, round(_STRETCH_S * sound.sr)))
    ]
    places = np.linspace(0, len(pieces) - 1, round(LONGEST_S / _STRETCH_S)).astype(int)
    return [
        Audio(samples=sound.samples[:, first : first + round(_STRETCH_S * sound.sr)], sr=sound.sr)
        for sound, first in (pieces[place] for place in dict.fromkeys(places.tolist()))
    ]


def _frames(audio: Audio, window_s: float, n_threads: int | None) -> npt.NDArray[np.float32]:
    """Magnitudes, frames first."""
    spectrogram = stft(audio, window_s=window_s, n_threads=n_threads or 1)
    return np.asarray(spectrogram.magnitude().T)


def _sounding(spectra: list[npt.NDArray[np.float32]], label: str) -> list[npt.NDArray[np.float32]]:
    """The frames of each example from the first that sounds to the last, of a maximum of one."""
    peak = max(float(frames.max()) for frames in spectra)
    if peak == 0.0:
        raise InputError(f"the example of {label!r} is silent; give one in which it sounds.")
    scaled = [frames / np.float32(peak) for frames in spectra]
    loudest = max(float(frames.sum(axis=1).max()) for frames in scaled)
    stretches = []
    for frames in scaled:
        heard = np.flatnonzero(frames.sum(axis=1) > QUIET * loudest)
        if heard.size:
            stretches.append(frames[heard[0] : heard[-1] + 1])
    return stretches


def _templates(
    frames: npt.NDArray[np.float32],
    n_components: int,
    *,
    seed: int,
    n_threads: int | None,
    progress: Progress,
) -> npt.NDArray[np.float32]:
    level = frames.sum(axis=1)
    heard = np.flatnonzero(level > QUIET * level.max())
    if len(heard) > MOST_FRAMES:
        heard = heard[np.linspace(0, len(heard) - 1, MOST_FRAMES).astype(int)]
    chosen = frames[heard]
    if len(chosen) <= n_components:
        W = chosen.T
    else:
        result = factorize(
            chosen.T,
            n_components,
            beta=1.0,
            max_iter=MAX_ITER,
            tol=0.0,
            seed=seed,
            n_threads=n_threads,
            progress=lambda _stage, fraction: progress("learn", fraction),
        )
        W = result.templates[:, result.activations.any(axis=1)]
    return np.ascontiguousarray(W / W.max(axis=0), dtype=np.float32)


def _shortened(
    stretches: list[npt.NDArray[np.float32]], hop_s: float
) -> list[npt.NDArray[np.float32]]:
    """At most a minute: short stretches evenly spread over all that there is."""
    most = int(LONGEST_EXEMPLARS_S / hop_s)
    if sum(map(len, stretches)) <= most:
        return stretches
    length = max(1, int(_STRETCH_S / hop_s))
    pieces = [
        stretch[first : first + length]
        for stretch in stretches
        for first in range(0, len(stretch), length)
    ]
    # In an order that spreads evenly however soon it ends: halves, quarters, eighths.
    n_bits = max(1, (len(pieces) - 1).bit_length())
    order = sorted(range(len(pieces)), key=lambda i: int(f"{i:0{n_bits}b}"[::-1], 2))
    kept, total = [], 0
    for place in order:
        if total + len(pieces[place]) <= most:
            kept.append(place)
            total += len(pieces[place])
    return [pieces[place] for place in sorted(kept)]


def _exemplars(stretches: list[npt.NDArray[np.float32]], label: str, hop_s: float) -> Exemplars:
    return Exemplars(
        frames=np.ascontiguousarray(np.concatenate(stretches).T),
        lengths=tuple(map(len, stretches)),
        labels=(label,) * len(stretches),
        step_s=hop_s,
    )
