"""Mixtures of speech and noise whose shares are known, for training.

Power is mixed, not sound: the phases between the two are drawn at random.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

__all__ = ["Material", "at_other_pitch", "generic_noises"]

_Matrix = npt.NDArray[np.float32]

LENGTH_S = 3.2
"""Of one mixture."""

_POINTS = 6
_NOISE_PARTS = 8
_LOWEST_SHARE, _HIGHEST_SHARE = -0.5, 1.5
_TINY = 1e-12


@dataclass(frozen=True, kw_only=True, eq=False)
class Material:
    """What is mixed, and how.

    Parameters
    ----------
    speech, noise : sequence of np.ndarray [shape=(n_frames, n_bands), dtype=float32]
        Power of stretches of each; those of speech of any level, those of noise of one.
    widths : np.ndarray of int [shape=(n_bands,)]
        Bins of each band.
    snr_db, snr_spread_db : float
        Speech above noise: mean and standard deviation.
    noise_level_db, noise_colour_db, speech_colour_db : float
        Standard deviations of what is changed of levels, in all and by smooth curves along
        frequency: neither talker nor noise sound exactly like the examples.
    """

    speech: Sequence[_Matrix]
    noise: Sequence[_Matrix]
    widths: npt.NDArray[np.intp]
    snr_db: float = 0.0
    snr_spread_db: float = 5.0
    noise_level_db: float = 4.0
    noise_colour_db: float = 3.0
    speech_colour_db: float = 3.0

    def draw(self, rng: np.random.Generator, n_frames: int) -> tuple[_Matrix, _Matrix]:
        """One mixture.

        Parameters
        ----------
        rng : numpy.random.Generator
            What to draw from.
        n_frames : int > 0
            At most.

        Returns
        -------
        power, share : np.ndarray [shape=(n_frames, n_bands), dtype=float32]
            Of the mixture, and how much of it is in phase with speech (-0.5 to 1.5).
        """
        voice = self.speech[int(rng.integers(len(self.speech)))]
        speech = _piece(voice, n_frames, rng)
        noise = self._noise(rng, len(speech))
        speech = speech[: len(noise)]
        level_db = rng.normal(self.snr_db, self.snr_spread_db)
        ratio = self._noise_power / max(_mean_power((voice,), self.widths), _TINY)
        speech = speech * _gain(rng, self.speech_colour_db, len(self.widths), level_db) * ratio
        noise = noise * _gain(
            rng, self.noise_colour_db, len(self.widths), rng.normal(0.0, self.noise_level_db)
        )
        return _meet(speech.astype(np.float32), noise.astype(np.float32), self.widths, rng)

    @cached_property
    def _noise_power(self) -> float:
        return _mean_power(self.noise, self.widths)

    def _noise(self, rng: np.random.Generator, n_frames: int) -> _Matrix:
        lengths = np.array([len(stretch) for stretch in self.noise], dtype=float)
        chosen = rng.choice(len(lengths), size=_NOISE_PARTS, p=lengths / lengths.sum())
        parts: list[_Matrix] = []
        for index in chosen:
            parts.append(_piece(self.noise[index], n_frames, rng))
            if sum(map(len, parts)) >= n_frames:
                break
        return np.concatenate(parts)[:n_frames]


def _mean_power(stretches: Sequence[_Matrix], widths: npt.NDArray[np.intp]) -> float:
    total = sum(float((s @ widths.astype(np.float32)).sum(dtype=np.float64)) for s in stretches)
    return total / sum(map(len, stretches))


def _piece(stretch: _Matrix, n_frames: int, rng: np.random.Generator) -> _Matrix:
    first = int(rng.integers(max(1, len(stretch) - n_frames + 1)))
    return stretch[first : first + n_frames]


def _gain(rng: np.random.Generator, spread_db: float, n_bands: int, level_db: float) -> _Matrix:
    points = rng.normal(level_db, spread_db, _POINTS)
    curve = np.interp(np.linspace(0, _POINTS - 1, n_bands), np.arange(_POINTS), points)
    return np.asarray(10.0 ** (curve / 10.0))


def _meet(
    speech: _Matrix, noise: _Matrix, widths: npt.NDArray[np.intp], rng: np.random.Generator
) -> tuple[_Matrix, _Matrix]:
    """Power of the sum, and the share of it that is in phase with speech."""
    one = np.cos(rng.uniform(0.0, 2.0 * np.pi, speech.shape))
    # Over several bins the cosines average out.
    many = rng.standard_normal(speech.shape) / np.sqrt(2.0 * widths)
    cosines = np.clip(np.where(widths == 1, one, many), -1.0, 1.0).astype(np.float32)
    common = np.sqrt(speech * noise) * cosines
    power = np.maximum(speech + noise + 2 * common, np.float32(_TINY) * noise.mean())
    safe = np.where(power > 0, power, np.float32(1))
    return power, np.clip((speech + common) / safe, _LOWEST_SHARE, _HIGHEST_SHARE)


def at_other_pitch(power: _Matrix, centres_hz: npt.NDArray[np.float64], ratio: float) -> _Matrix:
    """Speech as another talker's: its frequency axis stretched.

    Parameters
    ----------
    power : np.ndarray [shape=(n_frames, n_bands)]
        Of speech.
    centres_hz : np.ndarray [shape=(n_bands,)]
        Frequency of each band.
    ratio : float > 0
        1.1 raises everything by a tenth.

    Returns
    -------
    np.ndarray [shape=(n_frames, n_bands), dtype=float32]
    """
    if ratio == 1.0:
        return power
    at = np.interp(centres_hz / ratio, centres_hz, np.arange(len(centres_hz)))
    low = np.floor(at).astype(int)
    high = np.minimum(low + 1, len(centres_hz) - 1)
    share = (at - low).astype(np.float32)
    logs = np.log(power + np.float32(_TINY) * (power.max(initial=0.0) or 1))
    return np.asarray(np.exp(logs[:, low] * (1 - share) + logs[:, high] * share))


def generic_noises(
    rng: np.random.Generator, widths: npt.NDArray[np.intp], n: int, n_frames: int
) -> list[_Matrix]:
    """Noises of many kinds: coloured and steady, swelling, and in bursts.

    Parameters
    ----------
    rng : numpy.random.Generator
        What to draw from.
    widths : np.ndarray of int [shape=(n_bands,)]
        Bins of each band.
    n, n_frames : int > 0
        How many, and how long.

    Returns
    -------
    list of np.ndarray [shape=(n_frames, n_bands), dtype=float32]
        Power.
    """
    makers = (_steady, _swelling, _bursting)
    return [_coloured(rng, makers[i % 3](rng, widths, n_frames)) for i in range(n)]


def _coloured(rng: np.random.Generator, power: _Matrix) -> _Matrix:
    n_bands = power.shape[1]
    slope = 10.0 * rng.uniform(-3.0, 0.6) * np.log10(np.linspace(0.05, 1.0, n_bands))
    return np.asarray(power * 10 ** (slope / 10) * _curve(rng, 8, n_bands, 5.0), dtype=np.float32)


def _curve(rng: np.random.Generator, n_points: int, n_bands: int, spread_db: float) -> _Matrix:
    points = rng.normal(0.0, spread_db, n_points)
    axis = np.linspace(0, n_points - 1, n_bands)
    return np.asarray(10 ** (np.interp(axis, np.arange(n_points), points) / 10))


def _steady(rng: np.random.Generator, widths: npt.NDArray[np.intp], n_frames: int) -> _Matrix:
    shape = np.clip(widths * rng.uniform(0.4, 1.0), 1.0, 30.0)
    power = rng.gamma(shape, 1.0 / shape, (n_frames + 1, len(widths)))
    # Windows overlap: one frame is much like the next.
    return np.asarray((power[1:] + power[:-1]) / 2)


def _swelling(rng: np.random.Generator, widths: npt.NDArray[np.intp], n_frames: int) -> _Matrix:
    from scipy.ndimage import gaussian_filter1d

    swell = gaussian_filter1d(rng.standard_normal((n_frames, 4)), rng.uniform(5, 40), axis=0)
    swell *= rng.uniform(2.0, 5.0) / max(float(swell.std()), _TINY)
    axis = np.linspace(0, 3, len(widths))
    low = np.minimum(axis.astype(int), 2)
    levels = swell[:, low] * (1 - (axis - low)) + swell[:, low + 1] * (axis - low)
    return np.asarray(_steady(rng, widths, n_frames) * 10 ** (levels / 10))


def _bursting(rng: np.random.Generator, widths: npt.NDArray[np.intp], n_frames: int) -> _Matrix:
    level = np.zeros(n_frames)
    for first in rng.integers(0, n_frames, rng.integers(8, 60)):
        length = int(rng.uniform(2, 25))
        ringing = np.exp(-3.0 * np.arange(length) / length) * 10 ** rng.uniform(0.0, 1.7)
        level[first : first + length] += ringing[: n_frames - first]
    colour = _curve(rng, _POINTS, len(widths), 6.0)
    return np.asarray(_steady(rng, widths, n_frames) * (0.1 + level[:, np.newaxis] * colour))
