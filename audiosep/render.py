"""Models and mixture to stems that sum to the mixture, a few frames at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from audiosep.masks import wiener_masks
from audiosep.spatial import multichannel_wiener
from audiosep.transform import BLOCK_FRAMES, OverlapAdd, n_frames_of, stft_frames
from audiosep.types import Audio, Progress, SourceModels, Spectrogram

__all__ = ["Analysis", "render"]

# Masks sum to one and the transform inverts itself, so only rounding can be left; more is a bug.
_LARGEST_LEAK = 1e-3


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """How the mixture was transformed.

    Parameters
    ----------
    n_fft, hop_length : int
        Window length and hop in samples.
    window : str
        Name of the window.
    """

    n_fft: int
    hop_length: int
    window: str

    @classmethod
    def of(cls, spectrogram: Spectrogram) -> Analysis:
        """That of a spectrogram."""
        return cls(
            n_fft=spectrogram.n_fft,
            hop_length=spectrogram.hop_length,
            window=spectrogram.window,
        )


def render(
    mixture: Audio,
    models: SourceModels,
    analysis: Analysis,
    exponent: float,
    n_threads: int,
    progress: Progress,
) -> dict[str, Audio]:
    """Share the mixture out by masks, invert, and give the last rounding to the last stem.

    Where the models say how sources stand between the channels, by a multichannel Wiener filter.

    The mixture is transformed again, block by block, so that neither its spectrogram nor the
    masks of a whole recording have to be kept.

    Parameters
    ----------
    mixture : Audio
        What the stems sum to.
    models : SourceModels
        Of its sources.
    analysis : Analysis
        The transform that they were modelled in.
    exponent : float
        Of the masks.
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
        If the stems do not add up to the mixture.
    """
    n_frames = n_frames_of(mixture.n_samples, analysis.hop_length)
    stems = [np.empty_like(mixture.samples) for _ in models.names]
    writers = [[_Writer(row, analysis, n_threads) for row in stem] for stem in stems]
    for first in range(0, n_frames, BLOCK_FRAMES):
        progress("render", first / n_frames)
        last = min(first + BLOCK_FRAMES, n_frames)
        masks = wiener_masks(models.frames(first, last), exponent, overwrite=True)
        blocks = (
            stft_frames(
                samples,
                first,
                last,
                n_fft=analysis.n_fft,
                hop_length=analysis.hop_length,
                window=analysis.window,
                n_threads=n_threads,
            )
            for samples in mixture.samples
        )
        if models.covariances is None:
            for channel, frames in enumerate(blocks):
                for mask, writer in zip(masks, writers, strict=True):
                    writer[channel].add(frames * mask[min(channel, len(mask) - 1)])
        else:
            # Masks are powers that are one in sum; the filter heeds their ratios only.
            images = multichannel_wiener(
                np.stack(list(blocks)), masks.mean(axis=1), models.covariances
            )
            for image, writer in zip(images, writers, strict=True):
                for frames, row in zip(image, writer, strict=True):
                    row.add(frames)
    for writer in writers:
        for row in writer:
            row.end()
    for channel, samples in enumerate(mixture.samples):
        give_rest(samples, [stem[channel] for stem in stems], mixture.peak)
    progress("render", 1.0)
    return {
        name: Audio(samples=stem, sr=mixture.sr)
        for name, stem in zip(models.names, stems, strict=True)
    }


def give_rest(
    samples: npt.NDArray[np.float32], stems: list[npt.NDArray[np.float32]], peak: float
) -> None:
    """Add to the last stem what rounding has left of the mixture."""
    total = stems[0].copy()
    for stem in stems[1:]:
        total += stem
    rest = samples - total
    leak = float(np.abs(rest).max())
    if leak > _LARGEST_LEAK * peak:
        raise AssertionError(f"the masks do not share out the mixture: {leak:g} is left over")
    stems[-1] += rest


class _Writer:
    """One channel of one stem, written as it comes."""

    def __init__(self, out: npt.NDArray[np.float32], analysis: Analysis, n_threads: int) -> None:
        self._inverse = OverlapAdd(
            n_fft=analysis.n_fft,
            hop_length=analysis.hop_length,
            n_samples=len(out),
            window=analysis.window,
            n_threads=n_threads,
        )
        self._out = out
        self._at = 0

    def add(self, frames: npt.NDArray[np.complexfloating]) -> None:
        self._put(self._inverse.add(frames))

    def end(self) -> None:
        self._put(self._inverse.end())

    def _put(self, samples: npt.NDArray[np.floating]) -> None:
        self._out[self._at : self._at + len(samples)] = samples
        self._at += len(samples)
