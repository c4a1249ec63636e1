"""Whether a recording is in good health: all there, readable, and recorded well."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from audiosep.errors import InputError
from audiosep.io import AudioInfo, ReadOptions
from audiosep.io.passes import Pass, pass_through
from audiosep.types import LOUDEST

__all__ = ["Health", "check_recording"]

CLIP_LEVEL = 0.99
"""Samples that repeat each other from this level on are taken for clipped."""

CLIP_RUN = 3
"""... when so many follow each other."""

DC_LEVEL = 0.01
"""A mean beyond this is an offset: 1 % of full scale, -40 dB."""

DC_LEAST_S = 0.1
"""... over so many seconds at least; in a shorter sound it is a part of the sound."""

SILENT_LEVEL = 1e-4
"""What stays below this, -80 dB of full scale, is silent."""

INVERTED_BELOW = -0.95
"""Correlation of two channels below which one is taken for the other one upside down."""

_MOST_COMPARED = 32  # channels: their products grow with the square


@dataclass(frozen=True, kw_only=True)
class Health:
    """What was found in a recording.

    Parameters
    ----------
    path : Path
        As given.
    info : AudioInfo
        What its header says.
    n_samples : int
        Samples per channel that could be read, with those that had to be silenced.
    missing_s : float or None
        Seconds of sound that should be there and are not; 0.0 in a whole file, None where it
        cannot be told how many.
    unreadable : tuple of (float, float)
        Stretches that cannot be decoded, from and to in seconds.
    n_nonfinite : int
        Samples that are no numbers (NaN or infinite).
    first_nonfinite_s : float or None
        Where the first of them is.
    peak : float
        Largest absolute sample; full scale is 1.0.
    n_clipped : int
        Samples that stand still at full scale, three or more in a row.
    dc : tuple of float
        Mean of each channel.
    is_silent : bool
        Whether nothing is louder than -80 dB of full scale; not where all samples are no numbers.
    dead_channels : tuple of int
        Channels that are silent where others are not, from 1.
    inverted_channels : tuple of (int, int)
        Pairs of channels of which one is the other one upside down, from 1.
    problems : tuple of str
        What is wrong, in sentences; none in a healthy recording.
    notes : tuple of str
        What may be meant so, in sentences.
    """

    path: Path
    info: AudioInfo
    n_samples: int
    missing_s: float | None
    unreadable: tuple[tuple[float, float], ...]
    n_nonfinite: int
    first_nonfinite_s: float | None
    peak: float
    n_clipped: int
    dc: tuple[float, ...]
    is_silent: bool
    dead_channels: tuple[int, ...]
    inverted_channels: tuple[tuple[int, int], ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def is_healthy(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def check_recording(path: str | os.PathLike[str], *, stream: int | None = None) -> Health:
    """Read a recording from end to end and tell what is wrong with it.

    It is read in blocks, so that memory does not grow with its length. Nothing is changed.

    Parameters
    ----------
    path : path-like
        A sound file.
    stream : int >= 1, optional
        Which of several audio tracks.

    Returns
    -------
    Health

    Raises
    ------
    InputError
        If nothing of it can be read; the message starts with the path.
    """
    where = Path(os.fspath(path))
    watch = _Watch()
    try:
        found = pass_through(
            where,
            lambda block, _sr: watch.take(block),
            options=ReadOptions(damaged="salvage", stream=stream),
            keep_nonfinite=True,
        )
    except InputError as error:
        raise type(error)(f"{where} {error}") from None
    return _health(where, found, watch)


class _Watch:
    """What is counted while blocks of shape (samples, channels) go by."""

    def __init__(self) -> None:
        self.n = 0
        self.n_nonfinite = 0
        self.first_nonfinite: int | None = None
        self.n_clipped = 0
        self.peaks: npt.NDArray[np.float64] = np.zeros(0)
        self.sums: npt.NDArray[np.float64] = np.zeros(0)
        self.products: npt.NDArray[np.float64] = np.zeros((0, 0))
        self._last: npt.NDArray[np.float32] = np.zeros((0, 0), dtype=np.float32)

    def take(self, block: npt.NDArray[np.float32]) -> None:
        """Count a block."""
        n_channels = block.shape[1]
        if not self.n:
            self.peaks, self.sums = np.zeros(n_channels), np.zeros(n_channels)
            self.products = np.zeros((n_channels, n_channels))
            self._last = np.full((CLIP_RUN, n_channels), np.nan, dtype=np.float32)
        finite = np.isfinite(block)
        if not finite.all():
            if self.first_nonfinite is None:
                self.first_nonfinite = self.n + int(np.argmin(finite.all(axis=1)))
            self.n_nonfinite += int(finite.size - np.count_nonzero(finite))
            block = np.where(finite, block, np.float32(0.0))
        self.peaks = np.maximum(self.peaks, np.abs(block).max(axis=0))
        self.sums += block.sum(axis=0, dtype=np.float64)
        if n_channels <= _MOST_COMPARED:
            wide = block.astype(np.float64)
            self.products += wide.T @ wide
        self.n_clipped += self._clipped(block)
        self.n += len(block)

    def _clipped(self, block: npt.NDArray[np.float32]) -> int:
        """Samples in runs that stand still at full scale; runs may begin in the block before."""
        whole = np.concatenate([self._last, block])
        self._last = whole[-CLIP_RUN:]
        if np.abs(block).max() < CLIP_LEVEL:
            return 0
        stands = (whole[1:] == whole[:-1]) & (np.abs(whole[1:]) >= CLIP_LEVEL)
        ends = stands[1:] & stands[:-1]  # the third, the fourth ... sample of each run
        # A run whose third sample came in the block before has been begun there.
        begins = ends[1:] & ~ends[:-1]
        return int(np.count_nonzero(ends[1:]) + (CLIP_RUN - 1) * np.count_nonzero(begins))

    def correlations(self) -> npt.NDArray[np.float64]:
        """Of all pairs of channels; 0 where one of them is constant."""
        n = max(1, self.n)
        covariance = self.products / n - np.outer(self.sums, self.sums) / n**2
        spread = np.sqrt(np.clip(np.diag(covariance), 0.0, None))
        scale = np.outer(spread, spread)
        safe = np.where(scale > SILENT_LEVEL**2 / 100, scale, np.inf)
        result: npt.NDArray[np.float64] = covariance / safe
        return result


def _health(path: Path, found: Pass, watch: _Watch) -> Health:
    sr = found.info.sr
    peak = float(watch.peaks.max())
    is_silent = peak < SILENT_LEVEL and watch.n_nonfinite < watch.n * watch.peaks.size
    dc = tuple(float(value) for value in watch.sums / watch.n)
    dead = () if peak < SILENT_LEVEL else tuple(np.flatnonzero(watch.peaks < SILENT_LEVEL) + 1)
    facts: dict[str, Any] = {
        "n_samples": found.n_samples,
        "missing_s": found.missing_s,
        "unreadable": tuple((first / sr, last / sr) for first, last in found.gaps),
        "n_nonfinite": watch.n_nonfinite,
        "first_nonfinite_s": None if watch.first_nonfinite is None else watch.first_nonfinite / sr,
        "peak": peak,
        "n_clipped": watch.n_clipped,
        "dc": dc,
        "is_silent": is_silent,
        "dead_channels": tuple(int(channel) for channel in dead),
        "inverted_channels": _pairs(watch, -1.0, INVERTED_BELOW),
    }
    problems = [_begun(words) for words in found.damage]
    problems += _faults(facts, watch, sr)
    notes = [_begun(words) for words in found.notes]
    if watch.peaks.size > 1 and not is_silent and _same(watch):
        notes.append("All channels are the same: it is mono.")
    if 1.0 < peak <= LOUDEST:
        notes.append(f"It reaches {20 * math.log10(peak):.1f} dB above full scale.")
    return Health(path=path, info=found.info, problems=tuple(problems), notes=tuple(notes), **facts)


def _faults(facts: dict[str, Any], watch: _Watch, sr: int) -> list[str]:
    """What is wrong with the sound, in sentences."""
    found = []
    if n := facts["n_nonfinite"]:
        found.append(
            f"{n} {'sample is no number' if n == 1 else 'samples are no numbers'}, the first at "
            f"{facts['first_nonfinite_s']:.3f} s."
        )
    if n := facts["n_clipped"]:
        share = 100 * n / (watch.n * watch.peaks.size)
        found.append(f"It is clipped: {n} samples ({share:.2g} %) stand still at full scale.")
    if facts["is_silent"]:
        all_others = "all others" if facts["n_nonfinite"] else "all samples"
        found.append(
            "It is silent: nothing reaches -80 dB of full scale."
            if facts["peak"]
            else f"It is silent: {all_others} are 0."
        )
    if facts["peak"] > LOUDEST:
        found.append(
            f"It reaches {20 * math.log10(facts['peak']):.0f} dB above full scale: that is no "
            "recording."
        )
    for channel, value in enumerate(facts["dc"], start=1):
        if DC_LEVEL <= abs(value) <= 1.0 and watch.n >= DC_LEAST_S * sr:
            found.append(f"Channel {channel} has an offset (DC) of {100 * value:.1f} %.")
    found += [
        f"Channel {channel} is dead: it is silent where others are not."
        for channel in facts["dead_channels"]
    ]
    for first, second in facts["inverted_channels"]:
        found.append(
            f"Channels {first} and {second} are inverted: one is the other one upside down, and in "
            "mono they cancel."
        )
    return found


def _pairs(watch: _Watch, low: float, high: float) -> tuple[tuple[int, int], ...]:
    """Pairs of channels whose correlation lies between two values."""
    if not 1 < watch.peaks.size <= _MOST_COMPARED:
        return ()
    values = np.triu(watch.correlations(), k=1)
    chosen = np.argwhere((values >= low - 1e-6) & (values <= high))
    return tuple((int(first) + 1, int(second) + 1) for first, second in chosen)


def _same(watch: _Watch) -> bool:
    if watch.peaks.size > _MOST_COMPARED:
        return False
    energies = np.diag(watch.products)
    return bool(np.allclose(watch.products, energies[0], rtol=1e-12, atol=0.0))


def _begun(words: str) -> str:
    return words[:1].upper() + words[1:]
