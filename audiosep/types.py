"""The frozen values that travel between the stages of the pipeline.

One module, though a long one: most of it says what shapes, units and errors there are, and the
values are made of each other.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from audiosep.errors import InputError, ParameterError
from audiosep.evidence import Melody, Onsets
from audiosep.tape import Tape

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "Audio",
    "Factorization",
    "FloatArray",
    "Grouping",
    "LazyModels",
    "Melody",
    "Onsets",
    "Progress",
    "SourceModels",
    "Spectrogram",
    "Stop",
    "Tape",
]

FloatArray = npt.NDArray[np.floating[Any]]

Progress = Callable[[str, float], None]
"""Called as ``progress(stage, fraction)`` with a stage's name and a number from 0 to 1."""

MAX_SAMPLE_RATE = 4_000_000
MIN_SAMPLE_RATE = 100

_BLOCK = 1024
"""Frames that are worked on at once where whole recordings would need room for copies."""

LOUDEST = 1e30
"""Samples beyond this leave float32 on the way through the transform: no recording has them."""


def whole_number(name: str, value: object, low: int, high: int | None = None) -> int:
    """Return `value` as an int, or say what is wrong with it.

    Raises
    ------
    ParameterError
        If it is no whole number (a bool is none), below `low` or above `high`.
    """
    try:
        number = None if isinstance(value, bool) else operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        number = None
    if number is None or number < low or (high is not None and number > high):
        upto = f"of at least {low}" if high is None else f"from {low} to {high}"
        raise ParameterError(f"{name}={value!r} must be a whole number {upto}.")
    return number


def ignore_progress(stage: str, fraction: float) -> None:
    """Do nothing: the default of every ``progress`` argument."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Audio:
    """A recording in memory.

    Parameters
    ----------
    samples : np.ndarray [shape=(n_channels, n_samples), dtype=float32]
        Finite; full scale is 1.0, but larger values are kept. At least one sample.
    sr : int
        Sample rate in Hz, 100 to 4,000,000.

    Raises
    ------
    InputError
        When there is no sample, a sample is NaN, infinite or beyond 1e30, or the rate is
        implausible.
    ParameterError
        When the samples have another shape or type, or the rate is no whole number.
    """

    samples: npt.NDArray[np.float32]
    sr: int

    def __post_init__(self) -> None:
        samples = self.samples
        if samples.ndim != 2 or samples.dtype != np.float32:
            raise ParameterError(
                f"samples must be float32 of shape (channels, samples), got {samples.dtype} of "
                f"shape {samples.shape}; a mono signal y becomes y[np.newaxis, :]."
            )
        object.__setattr__(self, "sr", whole_number("sr", self.sr, -MAX_SAMPLE_RATE))
        if not MIN_SAMPLE_RATE <= self.sr <= MAX_SAMPLE_RATE:
            raise InputError(
                f"implausible sample rate {self.sr} Hz (expected {MIN_SAMPLE_RATE} to "
                f"{MAX_SAMPLE_RATE}); the header is probably damaged."
            )
        if samples.shape[0] == 0 or samples.shape[1] == 0:
            raise InputError("there is no audio in it: 0 samples.")
        # A sum is finite exactly when no sample is NaN or infinite (float64: no overflow).
        with np.errstate(invalid="ignore"):  # infinity minus infinity
            total = samples.sum(dtype=np.float64)
        if not np.isfinite(total):
            channel, index = np.argwhere(~np.isfinite(samples))[0]
            raise InputError(
                f"sample {index} of channel {channel + 1} (at {index / self.sr:.3f} s) is "
                f"{samples[channel, index]}; repair the recording, for example in an audio editor."
            )
        if self.peak > LOUDEST:
            raise InputError(
                f"samples reach {self.peak:g} times full scale: that is no recording; check how it "
                "was made or scaled."
            )

    @property
    def n_channels(self) -> int:
        """Number of channels."""
        return int(self.samples.shape[0])

    @property
    def n_samples(self) -> int:
        """Length in samples."""
        return int(self.samples.shape[1])

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.n_samples / self.sr

    @property
    def peak(self) -> float:
        """Largest absolute sample."""
        return float(max(self.samples.max(), -self.samples.min()))

    def part(self, first: int, last: int) -> Audio:
        """Samples from `first` up to, but without, `last`; not copied."""
        return Audio(samples=self.samples[:, first:last], sr=self.sr)

    def _repr_html_(self) -> str:
        """What notebooks show: a spectrogram and a player."""
        from audiosep.plots.players import html_of_audio

        return html_of_audio(self)


@dataclass(frozen=True, kw_only=True, eq=False)
class Spectrogram:
    """Short-time Fourier transform of a recording, with what is needed to go back.

    Parameters
    ----------
    values : np.ndarray [shape=(n_channels, n_bins, n_frames), dtype=complex64 or complex128]
        ``n_bins = n_fft // 2 + 1``. Stored frames-major, as the transform produces it.
    sr : int
        Sample rate in Hz.
    n_fft, hop_length : int
        Window length and hop in samples.
    window : str
        ``"sqrt_hann"`` or ``"hann"``.
    n_samples : int
        Length of the recording in samples.
    """

    values: npt.NDArray[np.complexfloating[Any, Any]]
    sr: int
    n_fft: int
    hop_length: int
    window: str
    n_samples: int

    @property
    def n_channels(self) -> int:
        """Number of channels."""
        return int(self.values.shape[0])

    @property
    def n_bins(self) -> int:
        """Number of frequency bins."""
        return int(self.values.shape[1])

    @property
    def n_frames(self) -> int:
        """Number of time frames."""
        return int(self.values.shape[2])

    @property
    def bin_hz(self) -> float:
        """Distance between frequency bins in Hz."""
        return self.sr / self.n_fft

    @property
    def frame_s(self) -> float:
        """Distance between frames in seconds."""
        return self.hop_length / self.sr

    def largest(self) -> float:
        """Largest magnitude in any channel."""
        firsts = range(0, self.n_frames, _BLOCK)
        return max(float(np.abs(self.values[..., at : at + _BLOCK]).max()) for at in firsts)

    def magnitude(self, peak: float = 0.0) -> npt.NDArray[np.float32]:
        """Root mean square over the channels of the magnitudes.

        Parameters
        ----------
        peak : float >= 0
            Largest magnitude of what these frames are a part of: with it parts have the very
            bytes of the whole. By default their own.

        Returns
        -------
        np.ndarray [shape=(n_bins, n_frames), dtype=float32]
            A view whose transpose is C-contiguous: the layout the factorization runs fastest on.
            Independent of the order and the polarity of the channels.
        """
        frames = np.zeros((self.n_frames, self.n_bins), dtype=np.float32)
        blocks = [slice(first, first + _BLOCK) for first in range(0, self.n_frames, _BLOCK)]
        if self.n_channels == 1:
            for block in blocks:
                frames[block] = np.abs(self.values[0, :, block].T)
            return frames.T
        # Scaled by the peak first: squares of very loud or very quiet input leave float32.
        peak = peak or self.largest()
        if peak == 0.0:
            return frames.T
        for block in blocks:
            total = frames[block]
            for channel in self.values:
                part = np.abs(channel[:, block].T).astype(np.float32, copy=False)
                part /= np.float32(peak)
                part *= part
                total += part
            total /= self.n_channels
            np.sqrt(total, out=total)
            total *= np.float32(peak)
        return frames.T


class Stop(Enum):
    """Why a factorization ended; the value is a sentence."""

    CONVERGED = "the objective no longer fell by more than the tolerance"
    MAX_ITER = "the number of iterations was reached"
    SILENT = "the matrix is all zero: nothing to factorize"


@dataclass(frozen=True, kw_only=True, eq=False)
class Factorization:
    """Result of a non-negative matrix factorization ``V ≈ W H``.

    Parameters
    ----------
    templates : np.ndarray [shape=(n_bins, n_components)]
        W. Columns that were fitted sum to one.
    activations : np.ndarray [shape=(n_components, n_frames)]
        H.
    losses : np.ndarray [dtype=float64]
        Objective (the beta-divergence, absolute, summed over all bins, and penalties if there are
        any) before the first iteration, after every n-th one, and at the end.
    n_iter : int
        Iterations done.
    stop : Stop
        Why it ended.
    beta : float
        Which divergence.
    seed : int or None
        Seed of the random start; None where the caller's generator was used.
    loss_iterations : np.ndarray of int [shape=losses.shape], optional
        Iterations after which the losses were taken; every one where it is not given.
    """

    templates: FloatArray
    activations: FloatArray
    losses: npt.NDArray[np.float64]
    n_iter: int
    stop: Stop
    beta: float
    seed: int | None = None
    loss_iterations: npt.NDArray[np.intp] | None = None

    @property
    def n_components(self) -> int:
        """Number of components."""
        return int(self.templates.shape[1])

    def model(self) -> FloatArray:
        """``W H`` of shape (n_bins, n_frames)."""
        return self.templates @ self.activations

    def plot(
        self,
        *,
        sr: int | None = None,
        n_fft: int | None = None,
        hop_length: int | None = None,
        grouping: Grouping | None = None,
        y_axis: str = "log",
        top_db: float = 60.0,
        cmap: Any = "magma",
    ) -> Figure:
        """Draw templates and activations, sorted by the mean frequency of the templates.

        Parameters
        ----------
        sr, n_fft, hop_length, grouping, y_axis, top_db, cmap
            See :func:`audiosep.plots.factorizations.plot_factorization`.

        Returns
        -------
        matplotlib.figure.Figure
            Unknown to pyplot; notebooks show it.

        Raises
        ------
        ParameterError
            If a setting is out of range or unknown, or the grouping is one of other components.
        UsageError
            If matplotlib is not installed.
        """
        from audiosep.plots.factorizations import plot_factorization

        return plot_factorization(
            self,
            sr=sr,
            n_fft=n_fft,
            hop_length=hop_length,
            grouping=grouping,
            y_axis=y_axis,
            top_db=top_db,
            cmap=cmap,
        )

    def _repr_html_(self) -> str:
        """What notebooks show: the picture and the facts."""
        from audiosep.plots.players import html_of_factorization

        return html_of_factorization(self)


@dataclass(frozen=True, kw_only=True, eq=False)
class Grouping:
    """Which component belongs to which source, and how surely.

    Parameters
    ----------
    weights : np.ndarray [shape=(n_components, n_sources)]
        Shares in [0, 1]; every row sums to one.
    names : tuple of str
        One name per source.
    confidence : np.ndarray [shape=(n_sources,)]
        0 (a guess) to 1 (certain).
    """

    weights: FloatArray
    names: tuple[str, ...]
    confidence: FloatArray


@dataclass(frozen=True, kw_only=True, eq=False)
class LazyModels:
    """Models that are computed for a few frames at a time, so that they need not fit in memory.

    Parameters
    ----------
    shape : tuple of int
        ``(n_sources, 1 or n_channels, n_bins, n_frames)``.
    frames : callable
        ``frames(first, last)`` returns those frames as a new array of float32 of the shape
        ``(n_sources, 1 or n_channels, last - first, n_bins)``, non-negative.
    """

    shape: tuple[int, int, int, int]
    frames: Callable[[int, int], npt.NDArray[np.float32]]


@dataclass(frozen=True, kw_only=True, eq=False)
class SourceModels:
    """A non-negative spectrogram model per source; masks share the mixture among them.

    Parameters
    ----------
    models : np.ndarray [shape=(n_sources, 1 or n_channels, n_bins, n_frames)] or LazyModels
        float32, non-negative. One channel serves all channels.
    names : tuple of str
        Names of the stems.
    factorization : Factorization or None
        The factorization behind the models, where there is one.
    grouping : Grouping or None
        Components to sources, where there is one.
    notes : tuple of str
        What the method decided, in sentences.
    warnings : tuple of str
        What may have gone wrong, in sentences.
    losses : tuple of float
        Objective of the main fit before the first and after each iteration, where there is one.
    stop : Stop or None
        Why that fit ended.
    melody : Melody or None
        Pitch of the voice, where the method follows one.
    onsets : Onsets or None
        When which piece was struck, where the method hears it.
    covariances : np.ndarray [shape=(n_sources, 1 or n_bins, n_channels, n_channels)] or None
        How each source stands between the channels, Hermitian, at any level; one matrix serves all
        bins. The mixture is then shared out by :func:`audiosep.spatial.multichannel_wiener`, with
        models to the power of the mask's exponent as powers, in place of masks.

    Raises
    ------
    ParameterError
        If the shape of `models` does not fit the names, or that of `covariances` the models.
    """

    models: npt.NDArray[np.float32] | LazyModels
    names: tuple[str, ...]
    factorization: Factorization | None = None
    grouping: Grouping | None = None
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    losses: tuple[float, ...] = ()
    stop: Stop | None = None
    melody: Melody | None = None
    onsets: Onsets | None = None
    covariances: npt.NDArray[Any] | None = None

    def __post_init__(self) -> None:
        if len(self.shape) != 4 or len(self.names) != self.shape[0]:
            raise ParameterError(
                f"models of shape {self.shape} do not fit {len(self.names)} names; "
                "expected (sources, channels, bins, frames)."
            )
        if self.covariances is not None:
            given, n_bins = self.covariances.shape, self.shape[2]
            if (
                len(given) != 4
                or given[0] != len(self.names)
                or given[1] not in (1, n_bins)
                or given[2] != given[3]
            ):
                raise ParameterError(
                    f"covariances of shape {given} do not fit {len(self.names)} sources and "
                    f"{n_bins} bins; expected (sources, 1 or bins, channels, channels)."
                )

    @property
    def shape(self) -> tuple[int, ...]:
        """``(n_sources, 1 or n_channels, n_bins, n_frames)``."""
        return self.models.shape

    @property
    def values(self) -> npt.NDArray[np.float32]:
        """All models at once, of that shape; lazy ones are computed anew each time."""
        if isinstance(self.models, LazyModels):
            return self.models.frames(0, self.shape[-1]).swapaxes(2, 3)
        return self.models

    def frames(self, first: int, last: int) -> npt.NDArray[np.float32]:
        """Return a few frames of all models.

        Parameters
        ----------
        first, last : int
            From frame `first` up to, but without, frame `last`.

        Returns
        -------
        np.ndarray [shape=(n_sources, 1 or n_channels, last - first, n_bins), dtype=float32]
            A new array, frames first.
        """
        if isinstance(self.models, LazyModels):
            return self.models.frames(first, last)
        part = self.models[..., first:last].swapaxes(2, 3)
        return np.array(part, dtype=np.float32, order="C")
