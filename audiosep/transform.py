"""Short-time Fourier transform and its exact inverse, whole and block by block.

Frames are centred on multiples of the hop and the ends are padded with zeros, as in
``librosa.stft(..., center=True, pad_mode="constant")``, which the tests compare with. The whole
transform is made of the same blocks as the streamed one, so both give the same bits.

References
----------
.. [1] J. B. Allen and L. R. Rabiner (1977), "A unified approach to short-time Fourier analysis
   and synthesis", Proc. IEEE 65(11).
.. [2] D. W. Griffin and J. S. Lim (1984), "Signal estimation from modified short-time Fourier
   transform", IEEE Trans. ASSP 32(2), eq. 6: the least-squares inverse used here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from audiosep.errors import ParameterError
from audiosep.types import Audio, FloatArray, Spectrogram

__all__ = [
    "BLOCK_FRAMES",
    "WINDOWS",
    "OverlapAdd",
    "frame_length",
    "istft",
    "istft_blocks",
    "n_frames_of",
    "stft",
    "stft_frames",
]

WINDOW_S = 0.093
"""Default window in seconds; see :func:`frame_length`."""

OVERLAP = 4
"""Windows that cover each sample: the hop is the window divided by this."""

BLOCK_FRAMES = 256
"""Frames transformed at once; the bits of a transform are those of these blocks."""

_MIN_N_FFT = 16

ComplexArray = npt.NDArray[np.complexfloating[Any, Any]]


def _hann(n: int) -> npt.NDArray[np.float64]:
    return 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(n) / n)


def _sqrt_hann(n: int) -> npt.NDArray[np.float64]:
    return np.sqrt(_hann(n))


WINDOWS: dict[str, Callable[[int], npt.NDArray[np.float64]]] = {
    "sqrt_hann": _sqrt_hann,
    "hann": _hann,
}
"""Periodic windows by name; each is a function of the length."""


def frame_length(sr: int, window_s: float = WINDOW_S) -> int:
    """Window length in samples: the power of two nearest to `window_s` on a log scale.

    Parameters
    ----------
    sr : int
        Sample rate in Hz.
    window_s : float > 0
        Wanted length in seconds.

    Returns
    -------
    int
        At least 16.

    Raises
    ------
    ParameterError
        If the window is not between 1 ms and 10 s.
    """
    if not 0.001 <= window_s <= 10.0:
        raise ParameterError(f"window of {window_s} s is out of range; use 0.001 to 10 seconds.")
    return int(max(_MIN_N_FFT, 2 ** round(math.log2(sr * window_s))))


def n_frames_of(n_samples: int, hop_length: int) -> int:
    """Number of centred frames of a signal of `n_samples` samples."""
    return 1 + n_samples // hop_length


def _window(name: str, n_fft: int, dtype: npt.DTypeLike) -> FloatArray:
    try:
        make = WINDOWS[name]
    except KeyError:
        raise ParameterError(f"unknown window {name!r}; use one of {', '.join(WINDOWS)}.") from None
    return make(n_fft).astype(dtype)


def _check_lengths(n_fft: int, hop_length: int) -> None:
    if n_fft < 2 or n_fft % 2:
        raise ParameterError(f"n_fft={n_fft} must be an even number of at least 2.")
    if not 1 <= hop_length <= n_fft // 2:
        raise ParameterError(f"hop_length={hop_length} must be 1 to n_fft/2 = {n_fft // 2}.")


def stft_frames(
    samples: FloatArray,
    first: int,
    last: int,
    *,
    n_fft: int,
    hop_length: int,
    window: str = "sqrt_hann",
    n_threads: int = 1,
) -> ComplexArray:
    """Frames ``first`` to ``last - 1`` of the transform of one channel.

    Parameters
    ----------
    samples : np.ndarray [shape=(n_samples,)]
        float32 or float64.
    first, last : int
        Range of frames, ``0 <= first <= last <= n_frames``.
    n_fft, hop_length : int
        Window length and hop in samples.
    window : {"sqrt_hann", "hann"}
        Analysis window.
    n_threads : int
        Workers of the FFT; the result does not depend on it.

    Returns
    -------
    np.ndarray [shape=(last - first, n_bins)]
        complex64 for float32 input, complex128 for float64.

    Raises
    ------
    ParameterError
        If the lengths do not fit each other, or the range leaves the transform.
    """
    import scipy.fft

    _check_lengths(n_fft, hop_length)
    n_frames = n_frames_of(len(samples), hop_length)
    if not 0 <= first <= last <= n_frames:
        raise ParameterError(f"frames {first} to {last} are not within the {n_frames} there are.")
    win = _window(window, n_fft, samples.dtype)
    if first == last:
        return np.empty((0, 1 + n_fft // 2), np.result_type(samples.dtype, np.complex64))
    start = first * hop_length - n_fft // 2
    stop = (last - 1) * hop_length + n_fft // 2
    inside = samples[max(start, 0) : max(min(stop, len(samples)), 0)]
    padded = np.zeros(stop - start, dtype=samples.dtype)
    padded[max(start, 0) - start :][: len(inside)] = inside
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[::hop_length] * win
    return np.asarray(scipy.fft.rfft(frames, axis=-1, workers=n_threads))


def stft(
    audio: Audio,
    *,
    window_s: float = WINDOW_S,
    n_fft: int | None = None,
    hop_length: int | None = None,
    window: str = "sqrt_hann",
    n_threads: int = 1,
) -> Spectrogram:
    """Short-time Fourier transform of all channels.

    Parameters
    ----------
    audio : Audio
        Any length from one sample up.
    window_s : float
        Window in seconds; the power of two nearest to it on a log scale is used, so that 8 kHz
        and 192 kHz behave alike.
    n_fft : int, optional
        Window length in samples, even, in place of `window_s`.
    hop_length : int, optional
        By default ``n_fft // 4``. Larger hops, up to half the window, invert less accurately in
        the samples behind the last frame's centre, where a single window is left to divide by.
    window : {"sqrt_hann", "hann"}
        Periodic window; the inverse applies it again.
    n_threads : int
        Workers of the FFT.

    Returns
    -------
    Spectrogram
        ``values`` of shape (n_channels, 1 + n_fft // 2, 1 + n_samples // hop_length).

    Raises
    ------
    ParameterError
        If the window is not between 1 ms and 10 s, `n_fft` is odd, or `hop_length` is not in 1 to
        ``n_fft // 2``.
    """
    n_fft = frame_length(audio.sr, window_s) if n_fft is None else n_fft
    hop_length = max(1, n_fft // OVERLAP) if hop_length is None else hop_length
    _check_lengths(n_fft, hop_length)
    n_frames = n_frames_of(audio.n_samples, hop_length)
    out = np.empty((audio.n_channels, n_frames, 1 + n_fft // 2), dtype=np.complex64)
    for channel in range(audio.n_channels):
        for first in range(0, n_frames, BLOCK_FRAMES):
            last = min(first + BLOCK_FRAMES, n_frames)
            out[channel, first:last] = stft_frames(
                audio.samples[channel],
                first,
                last,
                n_fft=n_fft,
                hop_length=hop_length,
                window=window,
                n_threads=n_threads,
            )
    return Spectrogram(
        values=out.transpose(0, 2, 1),
        sr=audio.sr,
        n_fft=n_fft,
        hop_length=hop_length,
        window=window,
        n_samples=audio.n_samples,
    )


class OverlapAdd:
    """Inverse transform of one channel, fed with frames as they come.

    Griffin & Lim (1984), eq. 6: overlap-add of the windowed inverse frames divided by the sum of
    the squared windows. Samples are given out as soon as no later frame reaches them.

    Parameters
    ----------
    n_fft, hop_length, window
        As given to the forward transform.
    n_samples : int
        Length of the result.
    n_threads : int
        Workers of the FFT.

    Raises
    ------
    ParameterError
        If the lengths do not fit each other.
    """

    def __init__(
        self,
        *,
        n_fft: int,
        hop_length: int,
        n_samples: int,
        window: str = "sqrt_hann",
        n_threads: int = 1,
    ) -> None:
        _check_lengths(n_fft, hop_length)
        self._n_fft, self._hop, self._window = n_fft, hop_length, window
        self._n_threads = n_threads
        self._left = n_samples
        self._skip = n_fft // 2  # samples before the signal's first one
        self._carry: FloatArray = np.zeros(0)
        self._norm: FloatArray = np.zeros(0)

    def add(self, block: ComplexArray) -> FloatArray:
        """Add consecutive frames.

        Parameters
        ----------
        block : np.ndarray [shape=(any, n_bins)]
            Frames first; none is allowed.

        Returns
        -------
        np.ndarray [shape=(some,)]
            The next samples, perhaps none.
        """
        import scipy.fft

        if len(block) == 0:
            return np.zeros(0, dtype=self._carry.dtype)
        n_fft, hop = self._n_fft, self._hop
        frames = np.asarray(scipy.fft.irfft(block, n=n_fft, axis=-1, workers=self._n_threads))
        win = _window(self._window, n_fft, frames.dtype)
        frames *= win
        length = (len(frames) - 1) * hop + n_fft
        out = np.zeros(length, dtype=frames.dtype)
        weight = np.zeros(length, dtype=frames.dtype)
        out[: len(self._carry)] = self._carry
        weight[: len(self._norm)] = self._norm
        squared = win * win
        for index, frame in enumerate(frames):
            at = index * hop
            out[at : at + n_fft] += frame
            weight[at : at + n_fft] += squared
        done = len(frames) * hop
        self._carry, self._norm = out[done:].copy(), weight[done:].copy()
        return self._given(_normalised(out[:done], weight[:done]))

    def end(self) -> FloatArray:
        """Return the samples that are left, with zeros where no frame reaches."""
        tail = self._given(_normalised(self._carry, self._norm))
        rest = np.zeros(self._left, dtype=tail.dtype)
        self._left = 0
        return np.concatenate([tail, rest])

    def _given(self, ready: FloatArray) -> FloatArray:
        before = min(self._skip, len(ready))
        self._skip -= before
        ready = ready[before : before + self._left]
        self._left -= len(ready)
        return ready


def istft_blocks(
    blocks: Iterable[ComplexArray],
    *,
    n_fft: int,
    hop_length: int,
    n_samples: int,
    window: str = "sqrt_hann",
    n_threads: int = 1,
) -> Iterator[FloatArray]:
    """Inverse transform of one channel, streamed; see :class:`OverlapAdd`.

    Parameters
    ----------
    blocks : iterable of np.ndarray [shape=(any, n_bins)]
        Consecutive frames, frames first.
    n_fft, hop_length, window
        As given to the forward transform.
    n_samples : int
        Length of the result.
    n_threads : int
        Workers of the FFT.

    Yields
    ------
    np.ndarray [shape=(some,)]
        Consecutive samples; `n_samples` in all.
    """
    inverse = OverlapAdd(
        n_fft=n_fft,
        hop_length=hop_length,
        n_samples=n_samples,
        window=window,
        n_threads=n_threads,
    )
    for block in blocks:
        ready = inverse.add(block)
        if len(ready):
            yield ready
    tail = inverse.end()
    if len(tail):
        yield tail


def _normalised(summed: FloatArray, weight: FloatArray) -> FloatArray:
    tiny = 1e-8
    return np.divide(summed, weight, out=np.zeros_like(summed), where=weight > tiny)


def _masked_blocks(frames: ComplexArray, gains: FloatArray | None) -> Iterator[ComplexArray]:
    for first in range(0, len(frames), BLOCK_FRAMES):
        block = frames[first : first + BLOCK_FRAMES]
        yield block if gains is None else block * gains[first : first + BLOCK_FRAMES]


def istft(spectrogram: Spectrogram, *, mask: FloatArray | None = None, n_threads: int = 1) -> Audio:
    """Inverse of :func:`stft`, of exactly the original length.

    Parameters
    ----------
    spectrogram : Spectrogram
        What to invert.
    mask : np.ndarray [shape=(1 or n_channels, n_bins, n_frames)], optional
        Factor of each bin, for example the share of one source.
    n_threads : int
        Workers of the FFT.

    Returns
    -------
    Audio
        float32, ``spectrogram.n_samples`` samples.

    Raises
    ------
    ParameterError
        If the mask does not fit the spectrogram.
    """
    if mask is not None:
        fitting = [(n, *spectrogram.values.shape[1:]) for n in (1, spectrogram.n_channels)]
        if mask.shape not in fitting:
            raise ParameterError(
                f"mask has shape {mask.shape}, expected {fitting[-1]} or one channel."
            )
    out = np.empty((spectrogram.n_channels, spectrogram.n_samples), dtype=np.float32)
    for channel, matrix in enumerate(spectrogram.values):
        gains = None if mask is None else mask[min(channel, len(mask) - 1)].T
        blocks = _masked_blocks(matrix.T, gains)
        at = 0
        for part in istft_blocks(
            blocks,
            n_fft=spectrogram.n_fft,
            hop_length=spectrogram.hop_length,
            n_samples=spectrogram.n_samples,
            window=spectrogram.window,
            n_threads=n_threads,
        ):
            out[channel, at : at + len(part)] = part
            at += len(part)
    return Audio(samples=out, sr=spectrogram.sr)
