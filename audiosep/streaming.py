"""Stems while the sound is still coming in: blocks of samples to blocks of stems.

The templates are fixed, so a frame can be shared out as soon as it is complete. Frames are those
of :mod:`audiosep.transform`; the activations of each begin where those of the frame before ended.

References
----------
.. [1] D. D. Lee and H. S. Seung (2001), "Algorithms for non-negative matrix factorization", NIPS,
   eq. 5: the update of the activations.
.. [2] P. A. Tremblay et al. (2021), "Enabling programmatic data mining as musicking: the Fluid
   Corpus Manipulation toolkit", Computer Music Journal 45(2): its ``NMFFilter`` takes a mono sound
   apart with fixed templates. It fits each frame anew from random numbers.
.. [3] D. Mauler and R. Martin (2007), "A low delay, variable resolution, perfect reconstruction
   spectral analysis-synthesis system for speech enhancement", EUSIPCO: windows that look back
   further than they delay.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from audiosep.dictionaries import Dictionary
from audiosep.errors import InputError, ParameterError, UsageError
from audiosep.masks import exponent_from
from audiosep.streaming_models import Shares, templates_of, trained
from audiosep.transform import OVERLAP, WINDOWS, frame_length
from audiosep.types import (
    LOUDEST,
    MAX_SAMPLE_RATE,
    MIN_SAMPLE_RATE,
    whole_number,
)

__all__ = ["UPDATES", "WINDOW_S", "Stream"]

WINDOW_S = 0.046
UPDATES = 30
EXPONENT = 1.0

_Array = npt.NDArray[np.float32]

_MOST_CHANNELS = 32
"""More of them than samples are samples."""


class Stream:
    """A sound taken apart while it comes in.

    Give it blocks with :meth:`feed` and then :meth:`end`, or all at once by iterating over it. The
    stems are behind the sound by exactly :attr:`latency` samples, and add up to it.

    Parameters
    ----------
    dictionaries : Dictionary or sequence of Dictionary
        Templates, which stay as they are; components of one label make one stem.
    sr : int
        Sample rate in Hz.
    blocks : iterable of array_like, optional
        What iterating goes through: each as for :meth:`feed`.
    window_s : float
        Window in seconds, 0.001 to 10; the power of two nearest to it in samples is used. A shorter
        one has less latency; whether it tells sources apart less well depends on them.
    latency_s : float, optional
        Wanted latency in seconds, by default about that of the window, and not longer; the power of
        two nearest to it in samples is used. Where it is shorter, frames are weighted towards their
        ends, which costs time; whether that serves better than a shorter window depends on the
        sound.
    exponent : float, optional
        Of the masks, 0.1 to 10; by default 1, or what training finds best.
    n_updates : int > 0
        Updates of the activations of each frame.
    train : bool
        Whether to train the templates before anything comes in to tell the sources apart, on
        mixtures of their exemplars. It takes some seconds.
    seed : int
        Of these mixtures.

    Raises
    ------
    ParameterError
        If an argument is out of range.
    DictionaryError
        If templates are patches in time, or the labels do not go together.

    Examples
    --------
    >>> import numpy as np
    >>> from audiosep import Audio, learn
    >>> t = np.arange(8000) / 8000
    >>> sounds = {"low": np.sin(2 * np.pi * 200 * t), "high": np.sin(2 * np.pi * 2000 * t)}
    >>> known = [
    ...     learn([Audio(samples=np.float32(y)[np.newaxis], sr=8000)], label=name, n_components=1)
    ...     for name, y in sounds.items()
    ... ]
    >>> stream = Stream(known, 8000)
    >>> stream.latency
    511
    >>> [stream.feed(np.float32(sounds["low"][:n]))["low"].shape for n in (500, 500, 100)]
    [(1, 0), (1, 489), (1, 100)]
    """

    def __init__(
        self,
        dictionaries: Dictionary | Sequence[Dictionary],
        sr: int,
        blocks: Iterable[npt.ArrayLike] | None = None,
        *,
        window_s: float = WINDOW_S,
        latency_s: float | None = None,
        exponent: float | None = None,
        n_updates: int = UPDATES,
        train: bool = False,
        seed: int = 0,
    ) -> None:
        self._sr = whole_number("sr", sr, MIN_SAMPLE_RATE, MAX_SAMPLE_RATE)
        self._n_fft = frame_length(self._sr, window_s)
        self._n_out = self._n_fft
        if latency_s is not None:
            self._n_out = frame_length(self._sr, latency_s)
        if self._n_out > self._n_fft:
            raise ParameterError(
                f"a latency of {latency_s} s is longer than the window of {window_s} s; leave it "
                "out, or use a longer window."
            )
        self._hop = self._n_out // OVERLAP
        n_updates = whole_number("n_updates", n_updates, 1)
        self._blocks = blocks
        if exponent is not None:
            exponent = exponent_from(exponent)
        known = [dictionaries] if isinstance(dictionaries, Dictionary) else list(dictionaries)
        templates = templates_of(
            known, self._sr, self._n_fft, EXPONENT if exponent is None else exponent
        )
        if train and len(templates.names) > 1:
            seed = whole_number("seed", seed, 0)
            templates = trained(
                templates,
                known,
                self._sr,
                self._n_fft,
                self._hop,
                choose_exponent=exponent is None,
                seed=seed,
            )
        self._names = templates.names
        self._shares = Shares(templates, n_updates)
        self._window, self._synthesis = _windows(self._n_fft, self._n_out)
        self._begin()

    def _begin(self) -> None:
        self._n_channels: int | None = None
        self._n_fed = 0
        self._n_given = 0
        self._shares.begin()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the stems."""
        return self._names

    @property
    def sr(self) -> int:
        """Sample rate in Hz."""
        return self._sr

    @property
    def latency(self) -> int:
        """Samples by which the stems are behind the sound."""
        return self._n_out - 1

    @property
    def latency_s(self) -> float:
        """The same in seconds."""
        return self.latency / self._sr

    def __iter__(self) -> Iterator[dict[str, _Array]]:
        """Stems of one block after the other, and those of the end.

        Raises
        ------
        UsageError
            If no blocks were given.
        """
        if self._blocks is None:
            raise UsageError("this stream was given no blocks; give them, or call feed with each.")
        self._begin()  # whoever left an earlier iteration has left half a sound behind
        for block in self._blocks:
            yield self.feed(block)
        yield self.end()

    def feed(self, block: npt.ArrayLike) -> dict[str, _Array]:
        """Take the next samples, and give the next ones of the stems.

        Parameters
        ----------
        block : array_like [shape=(n_samples,) or (n_channels, n_samples)]
            Floats at full scale 1.0; any number of samples, none included. Never changed. The first
            block decides on the number of channels.

        Returns
        -------
        dict of str to np.ndarray [shape=(n_channels, n_samples), dtype=float32]
            As many samples as came in; fewer at the beginning, where the first :attr:`latency`
            samples give none. How the sound is cut into blocks changes nothing in them.

        Raises
        ------
        InputError
            If a sample is NaN, infinite or beyond 1e30. Nothing of the block was used then.
        ParameterError
            If the block has another shape, type or number of channels.
        """
        samples = self._checked(block)
        if self._n_channels is None:
            self._n_channels = len(samples)
            n_sources = len(self._names)
            self._heard = np.zeros((self._n_channels, self._n_fft), np.float32)
            self._n_new = 0
            self._summed = np.zeros((n_sources, self._n_channels, self._n_out), np.float32)
            self._ready = np.zeros((n_sources, self._n_channels, 0), np.float32)
            self._n_early = self._n_out - self._hop
        return self._given(samples)

    def end(self) -> dict[str, _Array]:
        """Give what is left of the stems; the next block begins another sound.

        Returns
        -------
        dict of str to np.ndarray [shape=(n_channels, n_samples), dtype=float32]
            At most :attr:`latency` samples: the stems are then as long as the sound was.
        """
        if self._n_channels is None:
            return {name: np.zeros((1, 0), np.float32) for name in self._names}
        rest = self._given(np.zeros((self._n_channels, self.latency), np.float32))
        self._begin()
        return rest

    def _checked(self, block: npt.ArrayLike) -> _Array:
        array = np.asarray(block)
        if array.dtype.kind != "f":
            raise ParameterError(
                f"samples have dtype {array.dtype}; give floats at full scale 1.0, for 16-bit "
                "integers x / 32768."
            )
        if array.ndim == 1:
            array = array[np.newaxis]
        if array.ndim != 2 or len(array) == 0:
            raise ParameterError(f"samples have shape {array.shape}; expected (channels, samples).")
        if self._n_channels is None and len(array) > max(_MOST_CHANNELS, array.shape[1]):
            raise ParameterError(
                f"samples of shape {array.shape} look transposed; expected (channels, samples), as "
                "block.T of what sound cards and soundfile give."
            )
        if self._n_channels not in (None, len(array)):
            raise ParameterError(
                f"a block has {len(array)} channels and those before it {self._n_channels}; call "
                "end() where another sound begins."
            )
        with np.errstate(over="ignore"):
            samples = array.astype(np.float32, copy=False)
        # Written so that it also finds NaN.
        usual = np.abs(samples) <= LOUDEST
        if not usual.all():
            channel, index = np.argwhere(~usual)[0]
            at = self._n_fed + index
            raise InputError(
                f"sample {at} of channel {channel + 1} (at {at / self._sr:.3f} s) is "
                f"{array[channel, index]}; mend or mute what comes in."
            )
        return samples

    def _given(self, samples: _Array) -> dict[str, _Array]:
        hop, at, n = self._hop, 0, samples.shape[1]
        parts = [self._ready]
        while at < n:
            more = min(hop - self._n_new, n - at)
            place = self._n_fft - hop + self._n_new
            self._heard[:, place : place + more] = samples[:, at : at + more]
            at += more
            self._n_new += more
            if self._n_new == hop:
                parts.append(self._next_hop())
        self._n_fed += n
        ready = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1)
        due = max(0, self._n_fed - self.latency) - self._n_given
        self._n_given += due
        self._ready = ready[..., due:].copy()
        return {name: stem[:, :due].copy() for name, stem in zip(self._names, ready, strict=True)}

    def _next_hop(self) -> _Array:
        """Share out the frame that has become complete; return what no later frame reaches."""
        import scipy.fft

        hop = self._hop
        frame = np.asarray(scipy.fft.rfft(self._heard * self._window, axis=-1))
        masks = self._shares.of(_magnitude(frame))
        stems = np.asarray(scipy.fft.irfft(masks[:, np.newaxis] * frame, n=self._n_fft, axis=-1))
        self._summed += stems[..., -self._n_out :] * self._synthesis
        done = self._summed[..., :hop].copy()
        # What rounding has left of the sound.
        oldest = self._n_fft - self._n_out
        done[-1] += self._heard[:, oldest : oldest + hop] - done.sum(axis=0)
        _move_on(self._summed, hop)
        self._summed[..., -hop:] = 0
        _move_on(self._heard, hop)
        self._n_new = 0
        early = min(self._n_early, hop)
        self._n_early -= early
        return done[..., early:]


def _windows(n_fft: int, n_out: int) -> tuple[_Array, _Array]:
    """Windows of analysis (n_fft,) and synthesis (n_out,), which is for the last samples.

    Their products add up to one. Mauler & Martin (2007): the analysis rises slowly, for resolution,
    and falls fast, for latency; with ``n_out = n_fft`` both are the usual window.
    """
    n_rise, half = n_fft - n_out // 2, n_out // 2
    sqrt_hann = WINDOWS["sqrt_hann"]
    analysis = np.concatenate([sqrt_hann(2 * n_rise)[:n_rise], sqrt_hann(n_out)[half:]])
    synthesis = WINDOWS["hann"](n_out) / np.maximum(analysis[-n_out:], 1e-9) * (2.0 / OVERLAP)
    return analysis.astype(np.float32), synthesis.astype(np.float32)


def _magnitude(frame: npt.NDArray[np.complex64]) -> _Array:
    """Root mean square over the channels, as of a :class:`audiosep.Spectrogram`."""
    sizes = np.abs(frame)
    if len(sizes) == 1:
        return np.asarray(sizes[0])
    # No squares, which would leave the range of float32.
    return np.asarray(np.hypot.reduce(sizes, axis=0) / np.float32(np.sqrt(len(sizes))))


def _move_on(buffer: _Array, n: int) -> None:
    buffer[..., :-n] = buffer[..., n:].copy()
