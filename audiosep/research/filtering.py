"""Gains in time and frequency applied to a recording, without a spectrogram of the whole.

What :mod:`audiosep.render` does for all stems at once, for one part of a mixture at a time; the
same transform, and the same least-squares inverse.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt

from audiosep.threads import one_blas_thread
from audiosep.transform import BLOCK_FRAMES, WINDOWS, n_frames_of

__all__ = ["Gains", "filter_channels"]

Gains = Callable[[int, int], "npt.NDArray[np.float32] | None"]
"""``gains(first, last)`` returns those frames, (last - first, n_bins); None where all are zero."""

_BLOCK_SAMPLES = 1 << 16
"""Samples of frames transformed at once: few, so that they stay in the processor's cache."""

_TINY = 1e-8
"""As in the inverse transform: samples that no window reaches are zero."""


def filter_channels(
    samples: npt.NDArray[np.float32],
    gains: Gains,
    *,
    n_fft: int,
    hop_length: int,
    window: str,
    n_threads: int = 1,
) -> npt.NDArray[np.float32]:
    """Transform each channel, multiply it by the same gains, and invert.

    Parameters
    ----------
    samples : np.ndarray [shape=(n_channels, n_samples), dtype=float32]
        What to filter.
    gains : callable
        Real factors of the bins of consecutive frames; see :data:`Gains`. Called once for each
        block, in order.
    n_fft, hop_length, window
        The transform, as for :func:`audiosep.stft`.
    n_threads : int
        Channels that are worked on at once; the result does not depend on it.

    Returns
    -------
    np.ndarray [shape=(n_channels, n_samples), dtype=float32]
    """
    n_channels, n_samples = samples.shape
    n_frames = n_frames_of(n_samples, hop_length)
    reach = max((n_frames - 1) * hop_length + n_fft, n_fft // 2 + n_samples)
    summed = np.zeros((n_channels, reach), dtype=np.float32)
    channels = [
        _Channel(row, out, n_fft, hop_length, window)
        for row, out in zip(samples, summed, strict=True)
    ]
    with _one_blas_thread(), ThreadPoolExecutor(max(1, min(n_threads, n_channels))) as pool:
        for first in range(0, n_frames, BLOCK_FRAMES):
            block = gains(first, min(first + BLOCK_FRAMES, n_frames))
            if block is None:
                continue
            list(pool.map(lambda one, at=first, by=block: one.add(at, by), channels))
    result = summed[:, n_fft // 2 :][:, :n_samples]
    _normalise(result, n_frames, n_fft, hop_length, window)
    return result


@contextmanager
def _one_blas_thread() -> Iterator[None]:
    """Hold linear algebra to one thread, without loading SciPy only to hold it, too."""
    if "scipy.linalg" in sys.modules:
        with one_blas_thread():
            yield
        return
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1, user_api="blas"):
        yield


class _Channel:
    """One channel, and where its overlapping frames are added up."""

    def __init__(
        self,
        samples: npt.NDArray[np.float32],
        out: npt.NDArray[np.float32],
        n_fft: int,
        hop_length: int,
        window: str,
    ) -> None:
        self._samples, self._out = samples, out
        self._n_fft, self._hop = n_fft, hop_length
        self._window = WINDOWS[window](n_fft).astype(np.float32)
        # NumPy's transform, into room that is there: loading SciPy's takes longer than using it.
        self._rows = max(1, _BLOCK_SAMPLES // n_fft)
        self._frames = np.empty((self._rows, n_fft), dtype=np.float32)
        self._spectra = np.empty((self._rows, 1 + n_fft // 2), dtype=np.complex64)

    def add(self, first: int, gains: npt.NDArray[np.float32]) -> None:
        """Filter the frames from `first` on, one for each row of `gains`."""
        for start in range(0, len(gains), self._rows):
            part = gains[start : start + self._rows]
            if part.any():  # what is zero throughout adds nothing
                self._add(first + start, part)

    def _add(self, first: int, gains: npt.NDArray[np.float32]) -> None:
        n, hop, n_fft = len(gains), self._hop, self._n_fft
        frames, spectra = self._frames[:n], self._spectra[:n]
        part = self._part(first * hop - n_fft // 2, (n - 1) * hop + n_fft)
        windows = np.lib.stride_tricks.sliding_window_view(part, n_fft)[::hop]
        np.multiply(windows, self._window, out=frames)
        np.fft.rfft(frames, axis=-1, out=spectra)  # type: ignore[arg-type]
        spectra *= gains
        np.fft.irfft(spectra, n=n_fft, axis=-1, out=frames)  # type: ignore[arg-type]
        frames *= self._window
        _overlap_add(self._out[first * hop :], frames, hop)

    def _part(self, start: int, length: int) -> npt.NDArray[np.float32]:
        """Samples from `start` on, with zeros before the first and behind the last."""
        if start >= 0 and start + length <= len(self._samples):
            return self._samples[start : start + length]
        padded = np.zeros(length, dtype=np.float32)
        inside = self._samples[max(start, 0) : max(start + length, 0)]
        padded[max(-start, 0) :][: len(inside)] = inside
        return padded


def _overlap_add(
    out: npt.NDArray[np.float32], frames: npt.NDArray[np.float32], hop_length: int
) -> None:
    """Add frames to `out`, each a hop after the one before; in slices of a hop, not one by one."""
    n, n_fft = frames.shape
    for start in range(0, n_fft, hop_length):
        piece = frames[:, start : start + hop_length]
        width = piece.shape[1]
        if width == hop_length:  # pieces lie side by side
            rows = out[start : start + n * hop_length].reshape(n, hop_length)
            rows += piece
            continue
        steps = np.lib.stride_tricks.sliding_window_view(
            out[start : start + (n - 1) * hop_length + width], width, writeable=True
        )
        # Pieces of at most a hop, a hop apart: no two of them overlap.
        steps[::hop_length] += piece


def _normalise(
    rows: npt.NDArray[np.float32], n_frames: int, n_fft: int, hop_length: int, window: str
) -> None:
    """Divide by the sum of the squared windows over each sample, in place.

    Far from both ends it repeats with every hop, so that it is summed up for the ends alone.
    """
    n_samples = rows.shape[1]
    some = min(n_frames, 4 * -(-n_fft // hop_length))
    squared = (WINDOWS[window](n_fft) ** 2).astype(np.float32)
    weight = np.zeros((some - 1) * hop_length + n_fft, dtype=np.float32)
    _overlap_add(weight, np.broadcast_to(squared, (some, n_fft)), hop_length)
    missing = (n_frames - some) * hop_length
    middle = len(weight) // 2 // hop_length * hop_length
    start, stop = middle - n_fft // 2, middle - n_fft // 2 + missing
    period = weight[middle : middle + hop_length]
    if missing:
        _divide(rows[:, :start], weight[n_fft // 2 : middle])
        for row in rows:
            whole = row[start:stop].reshape(-1, hop_length)
            whole /= period
        _divide(rows[:, stop:], weight[middle:])
    else:
        _divide(rows, weight[n_fft // 2 :][:n_samples])


def _divide(rows: npt.NDArray[np.float32], weight: npt.NDArray[np.float32]) -> None:
    n = min(rows.shape[1], len(weight))
    part, by = rows[:, :n], weight[:n]
    np.divide(part, by, out=part, where=by > _TINY)
    part[:, by <= _TINY] = 0.0
    rows[:, n:] = 0.0
