"""Masks and the mixture's spectrogram to stems that sum to the mixture."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from audiosep.transform import istft
from audiosep.types import Audio, Progress, Spectrogram

__all__ = ["render"]

# Masks sum to one and the transform inverts itself, so only rounding can be left; more is a bug.
_LARGEST_LEAK = 1e-3


def render(
    spectrogram: Spectrogram,
    masks: npt.NDArray[np.float32],
    names: tuple[str, ...],
    mixture: Audio,
    n_threads: int,
    progress: Progress,
) -> dict[str, Audio]:
    """Invert the masked spectrograms, and give the last rounding to the last stem.

    Parameters
    ----------
    spectrogram : Spectrogram
        Of the mixture.
    masks : np.ndarray [shape=(n_sources, 1 or n_channels, n_bins, n_frames)]
        They sum to one over the sources.
    names : tuple of str
        One per source.
    mixture : Audio
        What the stems sum to.
    n_threads : int
        Workers of the FFT.
    progress : callable
        Called as ``progress("render", fraction)``.

    Returns
    -------
    dict of str to Audio
        They sum to the mixture up to float32 rounding.

    Raises
    ------
    AssertionError
        If the masks do not share out the mixture.
    """
    stems = []
    for source, mask in enumerate(masks):
        progress("render", source / len(masks))
        stems.append(istft(spectrogram, mask=mask, n_threads=n_threads).samples)
    for channel, samples in enumerate(mixture.samples):
        rest = samples - np.sum([stem[channel] for stem in stems], axis=0)
        leak = float(np.abs(rest).max())
        if leak > _LARGEST_LEAK * mixture.peak:
            raise AssertionError(f"the masks do not share out the mixture: {leak:g} is left over")
        stems[-1][channel] += rest
    progress("render", 1.0)
    return {
        name: Audio(samples=stem, sr=mixture.sr) for name, stem in zip(names, stems, strict=True)
    }
