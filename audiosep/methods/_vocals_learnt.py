"""What the search for a voice needs to know about the whole of a long recording."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from audiosep.chunks import EXCERPT_S
from audiosep.types import Spectrogram

__all__ = ["VoiceFacts", "near", "some_excerpts"]

_MOST_S = 40.0
"""More excerpts are not looked at: it takes as long as separating them."""

_FARTHEST = 2.0
"""A chunk is long enough to say what is usual, unless its levels are farther off than that."""


@dataclass(frozen=True, kw_only=True, eq=False)
class VoiceFacts:
    """What holds for the voice in a whole recording.

    A chunk where nobody sings must not take the loudest of what is left for a voice: its own
    usual levels, and the places of its sounds, are weighed against these.

    Parameters
    ----------
    presence : float
        0 to 1: how likely there is a voice at all.
    usual_peaks : tuple of float
        Of the saliences, see ``fused_salience``.
    usual_levels : tuple of float
        Of the clues for singing, see ``voice_clues``; all but the first at the level of the
        recording.
    places : np.ndarray [shape=(2, n_cells)], optional
        Where voice and accompaniment are between two channels, see ``known_places``; None where
        there are not two.
    """

    presence: float
    usual_peaks: tuple[float, ...]
    usual_levels: tuple[float, ...]
    places: npt.NDArray[np.float64] | None


def near(own: float, known: float) -> float:
    """Return a level of a chunk, held within 6 dB of that of the recording if it is known."""
    return min(max(own, known / _FARTHEST), known * _FARTHEST) if known > 0.0 else own


def some_excerpts(spectrogram: Spectrogram) -> Spectrogram:
    """Choose some of joined excerpts, spread evenly, where there are more than 40 s of them.

    Parameters
    ----------
    spectrogram : Spectrogram
        Of joined excerpts of 10 s.

    Returns
    -------
    Spectrogram
        Of at most 40 s.
    """
    duration_s = spectrogram.n_samples / spectrogram.sr
    if duration_s <= _MOST_S:
        return spectrogram
    n_excerpts = max(1, round(duration_s / EXCERPT_S))
    n_kept = round(_MOST_S / EXCERPT_S)
    length = spectrogram.n_frames // n_excerpts
    chosen = ((np.arange(n_kept) + 0.5) * n_excerpts / n_kept).astype(int)
    frames = np.concatenate([index * length + np.arange(length) for index in chosen])
    values = spectrogram.values.swapaxes(1, 2)[:, frames].swapaxes(1, 2)
    n_samples = (len(frames) - 1) * spectrogram.hop_length + 1
    return replace(spectrogram, values=values, n_samples=n_samples)
