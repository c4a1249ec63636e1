"""Running medians of a spectrogram: what lasts, what strikes, and how to tell a drum from a bass.

Held tones are ridges along time, strokes are ridges along frequency; a median across a ridge
removes it, a median along it keeps it. All functions are pure, take matrices of shape
``(n_bands, n_frames)`` and return shares in [0, 1] that do not depend on the level.

References
----------
.. [1] D. FitzGerald (2010), "Harmonic/percussive separation using median filtering", DAFx.
.. [2] N. Ono, K. Miyamoto, J. Le Roux, H. Kameoka and S. Sagayama (2008), "Separation of a
   monaural audio signal into harmonic/percussive components by complementary diffusion on
   spectrogram", EUSIPCO: the anisotropy that the medians exploit.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from audiosep.errors import ParameterError

__all__ = ["low_pass", "odd_length", "running_median", "share"]

_FloatMatrix = npt.NDArray[np.float32]

_BLOCK_ENTRIES = 1 << 21
"""Entries filtered at once: bounds the padded copy to 8 MB."""


def odd_length(extent: float, step: float) -> int:
    """Return the odd number of steps nearest to an extent, at least 3.

    Parameters
    ----------
    extent, step : float > 0
        Both in seconds, or both in Hz.

    Returns
    -------
    int
        Odd, so that a filter of this length has a middle.

    Raises
    ------
    ParameterError
        If one of them is not positive.

    Examples
    --------
    >>> odd_length(0.72, 512 / 22050)
    31
    """
    if not (extent > 0 and step > 0):
        raise ParameterError(f"extent={extent} and step={step} must be positive.")
    return max(3, 2 * round((extent / step - 1) / 2) + 1)


def running_median(V: npt.ArrayLike, length: int, axis: int) -> _FloatMatrix:
    """Return the running median along one axis of a matrix, mirrored at the ends.

    Parameters
    ----------
    V : array_like [shape=(n_bands, n_frames)]
        Real and finite. Never changed.
    length : int > 0, odd
        Entries under the window. May exceed the matrix: the mirror images repeat.
    axis : {0, 1}
        0 along frequency (keeps strokes), 1 along time (keeps held tones).

    Returns
    -------
    np.ndarray [shape=(n_bands, n_frames), dtype=float32]
        The memory layout follows the axis that was filtered.

    Raises
    ------
    ParameterError
        If `V` is no matrix, `length` is even or not positive, or `axis` is not 0 or 1.
    """
    from scipy import ndimage

    matrix = np.asarray(V, dtype=np.float32)
    if matrix.ndim != 2 or axis not in (0, 1):
        raise ParameterError(f"need a matrix and axis 0 or 1, got {matrix.ndim}-D and axis {axis}.")
    if length < 1 or length % 2 == 0:
        raise ParameterError(f"length={length} must be odd and positive.")
    if matrix.size == 0 or length == 1:
        return matrix.copy()
    rows = matrix if axis == 1 else matrix.T
    half = length // 2
    result = np.empty(rows.shape, dtype=np.float32)
    # Lines are mirrored and laid end to end, because SciPy's one-dimensional median keeps a
    # sorted window, which its filter for matrices does not.
    step = max(1, _BLOCK_ENTRIES // (rows.shape[1] + 2 * half))
    for start in range(0, rows.shape[0], step):
        padded = np.pad(rows[start : start + step], ((0, 0), (half, half)), mode="symmetric")
        smooth = ndimage.median_filter(padded.ravel(), size=length).reshape(padded.shape)
        result[start : start + step] = smooth[:, half : half + rows.shape[1]]
    return result if axis == 1 else result.T


def share(wanted: _FloatMatrix, rest: _FloatMatrix, power: float = 2.0) -> _FloatMatrix:
    """Return ``wanted^p / (wanted^p + rest^p)``; one half where both are zero.

    Parameters
    ----------
    wanted, rest : np.ndarray [same shape]
        Non-negative.
    power : float > 0
        1 shares softly, 2 like a Wiener filter.

    Returns
    -------
    np.ndarray [dtype=float32]
        In [0, 1]. ``share(a, b) + share(b, a) = 1``.
    """
    # Relative to the larger of the two, so that no power over- or underflows.
    top = np.maximum(wanted, rest)
    scale = np.where(top > 0, top, 1).astype(np.float32)
    a, b = (wanted / scale) ** np.float32(power), (rest / scale) ** np.float32(power)
    total = a + b
    return np.where(total > 0, a / np.where(total > 0, total, 1), np.float32(0.5)).astype(
        np.float32
    )


def low_pass(frequencies_hz: npt.ArrayLike, corner_hz: float) -> _FloatMatrix:
    """Return the gain of a smooth low-pass, ``1 / (1 + (f / corner)^8)``, as a column.

    Parameters
    ----------
    frequencies_hz : array_like [shape=(n_bands,)]
        In Hz, non-negative.
    corner_hz : float > 0
        Where the gain is one half.

    Returns
    -------
    np.ndarray [shape=(n_bands, 1), dtype=float32]
        In [0, 1].
    """
    ratio = np.asarray(frequencies_hz, dtype=np.float64) / corner_hz
    gain: npt.NDArray[np.float64] = 1.0 / (1.0 + ratio**8)
    return gain.astype(np.float32)[:, np.newaxis]
