"""Speech on the bands of a recording: of the talker, or of several others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from audiosep.dictionaries import Dictionary
from audiosep.methods._examples_sources import example_on
from audiosep.methods._speech_mixtures import at_other_pitch
from audiosep.methods._stems_bands import Bands
from audiosep.types import Spectrogram

__all__ = ["power_of", "stretches_of", "talkers_of"]

_Matrix = npt.NDArray[np.float32]

PITCHES = (0.88, 1.0, 1.15, 1.3)
"""Ratios by which others' voices are raised: there are talkers between and beyond them."""

OWN_PITCHES = (0.94, 1.0, 1.06)

OWN_TO_OTHERS = (1, 1)
"""How often the talker's own voice is heard in training, and others', where there is an example.

A network that has heard one voice alone takes others' for noise, and noise for that voice. The
recordings to choose on prefer (1, 0); the others do not confirm it, so an example of the talker
would do harm there. See ``docs/quality.md``, "Chosen again".
"""

_TRUSTED_HZ = 7000.0
_LAST_OCTAVES = 0.4
_FALL = 3.0


def power_of(magnitudes: _Matrix, bands: Bands) -> _Matrix:
    """Mean power in each band.

    Parameters
    ----------
    magnitudes : np.ndarray [shape=(n_frames, n_bins)]
        Frames first.
    bands : Bands
        Of the analysis.

    Returns
    -------
    np.ndarray [shape=(n_frames, n_bands), dtype=float32]
    """
    power = bands.pool(np.square(magnitudes).T).T
    return np.asarray(power / bands.widths.astype(np.float32), dtype=np.float32)


def stretches_of(
    dictionary: Dictionary, spectrogram: Spectrogram, bands: Bands, seed: int
) -> list[_Matrix]:
    """Power of the exemplars of a dictionary, each stretch by itself.

    Parameters
    ----------
    dictionary : Dictionary
        Of one label; where it has no exemplars, frames are drawn from its templates.
    spectrogram : Spectrogram
        Whose bins and frames are used.
    bands : Bands
        Of that.
    seed : int
        Of what is drawn.

    Returns
    -------
    list of np.ndarray [shape=(n_frames, n_bands), dtype=float32]
    """
    example = example_on(
        dictionary, spectrogram.sr, spectrogram.n_fft, spectrogram.hop_length, seed=seed
    )
    return [power_of(stretch, bands) for stretch in example.stretches]


def talkers_of(
    stretches: Sequence[_Matrix],
    bands: Bands,
    top_hz: float,
    *,
    pitches: Sequence[float] = PITCHES,
) -> list[_Matrix]:
    """Speech of more talkers than there are, up to the highest band.

    Parameters
    ----------
    stretches : sequence of np.ndarray [shape=(n_frames, n_bands)]
        Power of speech.
    bands : Bands
        Of the recording.
    top_hz : float
        Where the knowledge of it ends.
    pitches : sequence of float
        Each stretch is taken once at each of these ratios of frequency.

    Returns
    -------
    list of np.ndarray [shape=(n_frames, n_bands), dtype=float32]
    """
    whole = [_continued(stretch, bands.centres_hz, top_hz) for stretch in stretches]
    return [at_other_pitch(one, bands.centres_hz, ratio) for one in whole for ratio in pitches]


def _continued(power: _Matrix, centres_hz: npt.NDArray[np.float64], top_hz: float) -> _Matrix:
    """Above what was recorded, a fall of 9 dB per octave from the mean of the last bands."""
    top_hz = min(top_hz, _TRUSTED_HZ)
    beyond = centres_hz > top_hz
    last = (centres_hz > top_hz * 2**-_LAST_OCTAVES) & ~beyond
    if not beyond.any() or not last.any():
        return power
    out = power.copy()
    fall = (centres_hz[beyond] / top_hz) ** -_FALL
    out[:, beyond] = power[:, last].mean(axis=1, keepdims=True) * fall.astype(np.float32)
    return out
