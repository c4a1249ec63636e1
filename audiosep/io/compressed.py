"""Recordings as MP3, small enough to be listened to inside a page."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from functools import cache

import numpy as np
import numpy.typing as npt

from audiosep.errors import OutputError, ParameterError
from audiosep.types import Tape

__all__ = [
    "BITRATES_KBPS",
    "bitrates_for",
    "listening_bitrates",
    "listening_channels",
    "listening_rate",
    "mp3_of",
]

_BLOCK_SAMPLES = 1 << 16
_BEST_KBPS, _LEAST_KBPS = 96, 32

_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
"""Those that MP3 knows."""

BITRATES_KBPS: dict[int, tuple[int, ...]] = {
    32000: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    16000: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    8000: (8, 16, 24, 32, 40, 48, 56, 64),
}
"""Constant bit rates from each sample rate on."""


def listening_rate(sr: int) -> int:
    """Sample rate of MP3 nearest above `sr`, or the highest there is.

    Parameters
    ----------
    sr : int
        In Hz.

    Returns
    -------
    int

    Examples
    --------
    >>> listening_rate(22050), listening_rate(96000)
    (22050, 48000)
    """
    return next((rate for rate in _RATES if rate >= sr), _RATES[-1])


def listening_channels(n_channels: int) -> int:
    """Channels that are heard: one or two as they are, more are folded into one.

    Parameters
    ----------
    n_channels : int
        Of the recording.

    Returns
    -------
    int
        1 or 2.
    """
    return n_channels if n_channels <= 2 else 1


def bitrates_for(sr: int) -> tuple[int, ...]:
    """Bit rates that MP3 has at a sample rate it knows, in kbit/s, rising.

    Parameters
    ----------
    sr : int
        In Hz.

    Returns
    -------
    tuple of int
    """
    return next(rates for lowest, rates in BITRATES_KBPS.items() if sr >= lowest)


def listening_bitrates(sr: int, n_channels: int) -> tuple[int, ...]:
    """Bit rates to listen at: 32 to 96 kbit/s for each channel, as far as MP3 has them.

    Parameters
    ----------
    sr : int
        Of the recording, in Hz.
    n_channels : int
        Of the recording.

    Returns
    -------
    tuple of int
        In kbit/s, rising; at least one.

    Examples
    --------
    >>> listening_bitrates(44100, 1)
    (32, 40, 48, 56, 64, 80, 96)
    """
    channels = listening_channels(n_channels)
    rates = [r for r in bitrates_for(listening_rate(sr)) if r <= _BEST_KBPS * channels]
    least = min(_LEAST_KBPS * channels, rates[-1])
    return tuple(rate for rate in rates if rate >= least)


def mp3_of(tape: Tape, bitrate_kbps: int, *, gain: float = 1.0) -> bytes:
    """Encode a recording as MP3 of constant bit rate, read block by block.

    Recordings of the same length, rate and channels are delayed by the same by the encoder, so that
    they stay in step.

    Parameters
    ----------
    tape : Tape
        The recording; with another rate than MP3 knows it is resampled, and more than two
        channels are folded into their mean.
    bitrate_kbps : int
        One of :func:`bitrates_for` the rate of :func:`listening_rate`.
    gain : float > 0
        Factor of all samples: what is above full scale would be cut off.

    Returns
    -------
    bytes

    Raises
    ------
    ParameterError
        If MP3 does not have that bit rate.
    OutputError
        If the installed libsndfile cannot write MP3.
    """
    rate, n_channels = listening_rate(tape.sr), listening_channels(tape.n_channels)
    rates = bitrates_for(rate)
    if bitrate_kbps not in rates:
        raise ParameterError(
            f"bitrate_kbps={bitrate_kbps} is none of MP3 at {rate} Hz; use one of "
            f"{', '.join(map(str, rates))}."
        )
    factor = gain / _encoder_gain(rate, n_channels, bitrate_kbps)
    return _encoded(_resampled(tape, rate, n_channels), rate, n_channels, bitrate_kbps, factor)


def _encoded(
    blocks: Iterable[npt.NDArray[np.float32]], rate: int, n_channels: int, kbps: int, factor: float
) -> bytes:
    import soundfile

    rates = bitrates_for(rate)
    out = io.BytesIO()
    try:
        with soundfile.SoundFile(
            out,
            "w",
            samplerate=rate,
            channels=n_channels,
            format="MP3",
            subtype="MPEG_LAYER_III",
            bitrate_mode="CONSTANT",
            # libsndfile counts down from the highest bit rate, and does not take 1 itself.
            compression_level=(rates[-1] - kbps) / (rates[-1] - rates[0]) * (1 - 1e-9),
        ) as file:
            for block in blocks:
                file.write(block * np.float32(factor))
    except (soundfile.LibsndfileError, ValueError, TypeError) as error:
        raise OutputError(
            f"sound cannot be written as MP3 here ({error}); install libsndfile 1.1 or newer with "
            "MP3, as the wheels of soundfile bring it."
        ) from None
    return out.getvalue()


@cache
def _encoder_gain(rate: int, n_channels: int, kbps: int) -> float:
    """What the encoder makes of a level: LAME turns low bit rates down by some tenths of a dB."""
    import soundfile

    tone = np.sin(2 * np.pi * np.arange(rate) / 16) / 4
    block = np.repeat(tone[:, None], n_channels, axis=1).astype(np.float32)
    heard, _ = soundfile.read(
        io.BytesIO(_encoded([block], rate, n_channels, kbps, 1.0)), dtype="float32", always_2d=True
    )
    middle = slice(rate // 4, 3 * rate // 4)
    return float(np.std(heard[middle, 0]) / np.std(tone[middle]))


def _resampled(tape: Tape, rate: int, n_channels: int) -> Iterator[npt.NDArray[np.float32]]:
    """Blocks of shape (samples, channels)."""
    if rate == tape.sr:
        for block, _ in _folded(tape, n_channels):
            yield block
        return
    import soxr

    stream = soxr.ResampleStream(tape.sr, rate, n_channels, dtype="float32")
    for block, last in _folded(tape, n_channels):
        new: npt.NDArray[np.float32] = stream.resample_chunk(block, last=last)
        yield new.reshape(-1, n_channels)


def _folded(tape: Tape, n_channels: int) -> Iterator[tuple[npt.NDArray[np.float32], bool]]:
    for first in range(0, tape.n_samples, _BLOCK_SAMPLES):
        last = min(first + _BLOCK_SAMPLES, tape.n_samples)
        samples = tape.part(first, last).samples
        if n_channels != tape.n_channels:
            samples = samples.mean(axis=0, keepdims=True)
        # libsndfile takes samples first.
        yield np.ascontiguousarray(samples.T, dtype=np.float32), last == tape.n_samples
