"""What the stems of music need to know about the whole of a long recording."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from audiosep.methods._stems_bands import Bands
from audiosep.methods._stems_evidence import (
    describe,
    low_band_level,
    low_peak,
    unpredicted,
)
from audiosep.methods._stems_width import Middle, find_middle
from audiosep.methods.base import Learnt, MethodSettings
from audiosep.types import Progress, Spectrogram, ignore_progress

__all__ = ["BandFacts", "FramesTaken", "learn_band", "learn_stems"]

FramesTaken = Callable[[int, int], npt.NDArray[np.float32]]


@dataclass(frozen=True, kw_only=True)
class BandFacts:
    """Decisions about drums, bass and other that hold for a whole recording.

    Parameters
    ----------
    low_band_db : float
        Energy of strokes over that of held tones below 200 Hz.
    low_peak : float >= 0
        Largest magnitude there: what is far below it says nothing.
    middle : Middle
        Where drums and bass stand among the channels.
    """

    low_band_db: float
    low_peak: float
    middle: Middle


def learn_band(spectrogram: Spectrogram, taken: FramesTaken | None = None) -> BandFacts:
    """Decide for a whole recording by excerpts of it.

    Parameters
    ----------
    spectrogram : Spectrogram
        Of joined excerpts.
    taken : callable, optional
        Called as ``taken(first, last)`` for the share of each bin that is neither drums nor bass
        nor other, of shape (last - first, n_bins).

    Returns
    -------
    BandFacts
    """
    bands = Bands.of(spectrogram.n_bins, spectrogram.bin_hz)
    sudden = unpredicted(spectrogram)
    # As many bins as the bands that are one bin wide: nothing has to be added up.
    n_low = min(len(sudden), int(np.count_nonzero(np.cumprod(bands.widths == 1))))
    V = replace(spectrogram, values=spectrogram.values[:, :n_low]).magnitude()
    if taken is not None:
        V *= 1 - taken(0, spectrogram.n_frames)[:, :n_low].T
    centres_hz = bands.centres_hz[:n_low]
    return BandFacts(
        low_band_db=low_band_level(V, centres_hz, [sudden[:n_low]]),
        low_peak=low_peak(spectrogram),
        middle=find_middle(spectrogram),
    )


def learn_stems(
    spectrogram: Spectrogram,
    settings: MethodSettings,  # noqa: ARG001 - as every learner is called
    progress: Progress = ignore_progress,
) -> Learnt:
    """Decide what holds for all chunks of a long recording of music.

    Whether strokes are looked for in the low band, and where its middle is: no factorization.

    Parameters
    ----------
    spectrogram : Spectrogram
        Of joined excerpts.
    settings : MethodSettings
        Nothing acts.
    progress : callable
        Called as ``progress("learn", fraction)``.

    Returns
    -------
    Learnt
        With :class:`BandFacts`.
    """
    progress("learn", 0.0)
    facts = learn_band(spectrogram)
    progress("learn", 1.0)
    return Learnt(facts=facts, notes=(describe(facts.low_band_db),))
