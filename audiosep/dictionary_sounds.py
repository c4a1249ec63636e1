"""What a dictionary sounds like: to hear whether it holds what its labels say.

References
----------
.. [1] D. Griffin and J. Lim (1984), "Signal estimation from modified short-time Fourier
   transform", IEEE Trans. ASSP 32(2).
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from audiosep.dictionaries import Dictionary
from audiosep.errors import ParameterError
from audiosep.transform import frame_length
from audiosep.types import Audio

__all__ = ["sound_of"]

WINDOW_S = 0.064
TEMPLATE_S = 0.4
"""How long each template sounds where there are no exemplars."""

_FADE = 0.2
_N_ITER = 16
_PEAK = 0.5
_RATES = (8000, 16000, 22050, 32000, 44100, 48000)


def sound_of(dictionary: Dictionary, label: str, *, duration: float = 10.0, seed: int = 0) -> Audio:
    """Make one kind of sound of a dictionary audible.

    Its exemplars, one after the other, or its templates where it has none. Dictionaries keep no
    phases: they are estimated from random ones [1]_, so this is a likeness, not the recording.

    Parameters
    ----------
    dictionary : Dictionary
        Of spectra or patches.
    label : str
        One of its sources.
    duration : float > 0
        Seconds at most.
    seed : int
        Of the random phases.

    Returns
    -------
    Audio
        Mono, at the lowest usual sample rate that holds its frequencies; peak at 0.5.

    Raises
    ------
    DictionaryError
        If there is nothing of that label.
    ParameterError
        If the duration is out of range.
    """
    if not 0.0 < duration <= 3600.0:
        raise ParameterError(f"duration={duration!r} is out of range; use up to 3600 seconds.")
    import librosa

    kind = dictionary.only(label)
    if kind.step_s is not None:  # what is not heard need not be laid out
        n_steps = max(1, math.ceil(duration / kind.step_s))
        kind = replace(kind, templates=np.ascontiguousarray(kind.templates[..., :n_steps]))
    top = 2 * float(kind.frequencies_hz[-1])
    sr = next((rate for rate in _RATES if rate >= 0.95 * top), _RATES[-1])
    n_fft = frame_length(sr, WINDOW_S)
    hop_length = n_fft // 4
    frames = _frames(kind, sr, n_fft, hop_length)[: max(2, round(duration * sr / hop_length))]
    largest = frames.max() or np.float32(1)  # of silence
    samples = librosa.griffinlim(
        np.ascontiguousarray((frames / largest).T),
        n_iter=_N_ITER,
        hop_length=hop_length,
        n_fft=n_fft,
        random_state=seed,
    )
    peak = np.abs(samples).max() if samples.size else 0.0
    if peak > 0:
        samples *= _PEAK / peak
    return Audio(samples=np.ascontiguousarray(samples, dtype=np.float32)[np.newaxis], sr=sr)


def _frames(kind: Dictionary, sr: int, n_fft: int, hop_length: int) -> npt.NDArray[np.float32]:
    """Magnitudes, frames first; at least two."""
    stretches = kind.stretches_on(sr, n_fft, hop_length)
    if not stretches and kind.step_s is not None:
        patches = kind.on_frames(sr, n_fft, hop_length)
        stretches = list(patches.transpose(1, 2, 0))
    if not stretches:
        n_each = max(4, round(TEMPLATE_S * sr / hop_length))
        shape = np.minimum(1.0, np.arange(n_each, 0, -1) / (_FADE * n_each)).astype(np.float32)
        stretches = [np.outer(shape, column) for column in kind.on_bins(sr, n_fft).T]
    frames = np.concatenate(stretches)
    return frames if len(frames) > 1 else np.repeat(frames, 2, axis=0)
