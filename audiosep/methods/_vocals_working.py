"""The mixture as the search for a voice sees it: up to 8 kHz, at a peak of one, in blocks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from audiosep.methods._stems_blocks import bounds_of
from audiosep.transform import istft, stft
from audiosep.types import Audio, Spectrogram

__all__ = ["Working", "blocks", "magnitude", "reduce"]

_Matrix = npt.NDArray[np.float32]

Block = tuple[int, int, _Matrix]
"""First frame, one behind the last, and the weight of each."""

TOP_HZ = 8000.0
"""Up to here voices are modelled; what is above follows."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Working:
    """A mixture below 8 kHz.

    Leaving out bins before the inverse transform lowers the sample rate: everything after costs
    the same at any rate.

    Parameters
    ----------
    spectrogram : Spectrogram
        Of the whole mixture, with all its bins.
    V : np.ndarray [shape=(n_bins, n_frames), dtype=float32]
        Its lowest magnitudes, root mean square over the channels, relative to the peak; the
        transpose is C-contiguous.
    peak : float
        Largest real or imaginary part in any channel.
    n_fft : int
        Window in samples of the lower rate.
    bounds : tuple of int
        Frames at which blocks have to meet, from 0 to the number of frames.
    """

    spectrogram: Spectrogram
    V: _Matrix
    peak: float
    n_fft: int
    bounds: tuple[int, ...]

    def blocks(self, length_s: float, overlap_s: float) -> Iterator[Block]:
        """Cut the frames into blocks, see :func:`blocks`."""
        length, overlap = (round(s / self.frame_s) for s in (length_s, overlap_s))
        return blocks(self.bounds, length, overlap)

    @property
    def bin_hz(self) -> float:
        """Distance between bins in Hz."""
        return self.spectrogram.bin_hz

    @property
    def frame_s(self) -> float:
        """Distance between frames in seconds."""
        return self.spectrogram.frame_s

    @property
    def hop_length(self) -> int:
        """Distance between frames in samples of the lower rate."""
        return self.spectrogram.hop_length * self.n_fft // self.spectrogram.n_fft

    @property
    def sr(self) -> int:
        """The lower sample rate in Hz, rounded."""
        return max(100, round(self.bin_hz * self.n_fft))

    def signal(self, first: int, last: int) -> Audio:
        """Return the signal of frames ``first`` to ``last - 1`` at the lower rate.

        Its frames have the same centres, from the first sample on; a little is missing at both
        ends, where other frames overlap.
        """
        values = self.spectrogram.values[:, : self.n_fft // 2 + 1, first:last]
        scale = np.float32(1.0 / self.peak if self.peak > 0.0 else 0.0)
        # A copy in any case: the mixture is the caller's.
        frames = values.transpose(0, 2, 1).astype(np.complex64, order="C", copy=True)
        frames *= scale
        low = replace(
            self.spectrogram,
            values=frames.transpose(0, 2, 1),
            sr=self.sr,
            n_fft=self.n_fft,
            hop_length=self.hop_length,
            n_samples=(last - first - 1) * self.hop_length + 1,
        )
        return istft(low)

    def frames(self, signal: Audio, window_s: float | None = None) -> tuple[_Matrix, float]:
        """Return magnitudes of a signal on the frames of the mixture, and their bins' width.

        Parameters
        ----------
        signal : Audio
            Of the length of one from :meth:`signal`.
        window_s : float, optional
            Window in seconds; by default that of the spectrogram.

        Returns
        -------
        V : np.ndarray [shape=(n_frames, any), dtype=float32]
            Frames first.
        bin_hz : float
            Distance between its bins in Hz.
        """
        n_fft = self.n_fft if window_s is None else 2 * round(window_s * self.sr / 2)
        n_fft = max(n_fft, 2 * self.hop_length)
        values = stft(signal, n_fft=n_fft, hop_length=self.hop_length).values
        return magnitude(values, 1.0).T, self.sr / n_fft


def reduce(spectrogram: Spectrogram, margins: tuple[int, int] = (0, 0)) -> Working:
    """Look at the mixture below 8 kHz.

    Parameters
    ----------
    spectrogram : Spectrogram
        Of the mixture.
    margins : tuple of int
        Frames at both ends that belong to neighbours, in a chunk.

    Returns
    -------
    Working
    """
    n_fft = _reduced_length(spectrogram.n_fft, spectrogram.hop_length, spectrogram.bin_hz)
    values = spectrogram.values[:, : n_fft // 2 + 1]
    peak = max(float(np.abs(part).max()) for part in (values.real, values.imag))
    return Working(
        spectrogram=spectrogram,
        V=magnitude(values, peak or 1.0),
        peak=peak,
        n_fft=n_fft,
        bounds=bounds_of(spectrogram, margins),
    )


def magnitude(values: npt.NDArray[np.complexfloating[Any, Any]], peak: float) -> _Matrix:
    """Root mean square over the channels of the magnitudes, relative to the peak.

    Made of operations that are exact to the last bit wherever the numbers lie in memory, which
    the magnitude of complex numbers is not: decisions hang on it, and must be repeatable.

    Parameters
    ----------
    values : np.ndarray [shape=(n_channels, n_bins, n_frames), dtype=complex64]
        Spectra of all channels.
    peak : float > 0
        Level that becomes one.

    Returns
    -------
    np.ndarray [shape=(n_bins, n_frames), dtype=float32]
        The transpose is C-contiguous.
    """
    n_channels, n_bins, n_frames = values.shape
    total = np.zeros((n_frames, n_bins), dtype=np.float32)
    for channel in values:
        # Each channel is summed up first, so that swapping two changes nothing.
        power = np.square(channel.real.T / np.float32(peak))
        power += np.square(channel.imag.T / np.float32(peak))
        total += power
    total /= np.float32(n_channels)
    return np.sqrt(total, out=total).T


def _reduced_length(n_fft: int, hop_length: int, bin_hz: float) -> int:
    """Shortest window with bins up to 8 kHz whose hop is a whole number of samples."""
    from scipy.fft import next_fast_len

    unit = math.lcm(n_fft // math.gcd(n_fft, hop_length), 2)
    wanted = math.ceil(2.0 * TOP_HZ / bin_hz / unit)
    return int(min(n_fft, unit * next_fast_len(max(1, wanted), real=True)))


def blocks(bounds: Sequence[int], length: int, overlap: int) -> Iterator[Block]:
    """Cut frames into blocks of nearly equal length that overlap.

    Parameters
    ----------
    bounds : sequence of int
        Frames at which blocks have to meet, from 0 to the number of frames.
    length : int > 0
        Longest block without its overlap.
    overlap : int >= 0
        Frames shared by neighbours.

    Yields
    ------
    first, last : int
        The block is ``first`` to ``last - 1``.
    weights : np.ndarray [shape=(last - first,), dtype=float32]
        Fades; over all blocks they sum to one in every frame.
    """
    inner = [0]
    for start, stop in pairwise(bounds):
        count = max(1, math.ceil((stop - start) / max(1, length)))
        inner += np.linspace(start, stop, count + 1).round().astype(int)[1:].tolist()
    edges, n_blocks, n_frames = np.array(inner), len(inner) - 1, inner[-1]
    half = min(overlap // 2, int(np.diff(edges).min()) // 2)
    for index in range(n_blocks):
        first = max(0, edges[index] - half) if index else 0
        last = min(n_frames, edges[index + 1] + half) if index < n_blocks - 1 else n_frames
        at = np.arange(first, last, dtype=np.float64)
        weights = np.ones(last - first)
        if index and half:
            weights *= np.clip((at - edges[index] + half + 0.5) / (2 * half), 0, 1)
        if index < n_blocks - 1 and half:
            weights *= np.clip((edges[index + 1] + half - 0.5 - at) / (2 * half), 0, 1)
        yield int(first), int(last), weights.astype(np.float32)
