"""What separations cost, as measured: memory and processor time of each preset."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

__all__ = [
    "CHANNELS",
    "RATE",
    "Cost",
    "Costs",
    "costs_of",
    "start_s",
]

RATE = 44_100
CHANNELS = 2
"""What excerpts are counted in: seconds of stereo at this rate."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """How a cost grows with a recording.

    Parameters
    ----------
    fixed : float
        Of any recording.
    fixed_rate : float
        Of any recording at 44.1 kHz; in proportion to its rate.
    second : float
        Of each second, whatever its rate and channels.
    channel : float
        Of each second of each channel, whatever its rate.
    sample : float
        Of each second of each channel at 44.1 kHz; in proportion to the rate.
    rate : float
        Of each second at 44.1 kHz, whatever its channels; in proportion to the rate.
    """

    fixed: float
    fixed_rate: float
    second: float
    channel: float
    sample: float
    rate: float

    def of(self, seconds: float, n_channels: int, sr: int) -> float:
        """Cost of so many seconds.

        Parameters
        ----------
        seconds : float >= 0
            What of a recording counts.
        n_channels, sr : int > 0
            Its channels, and its sample rate in Hz.
        """
        rate = sr / RATE
        each = self.second + self.rate * rate + n_channels * (self.channel + self.sample * rate)
        return self.start(sr) + seconds * each

    def start(self, sr: int) -> float:
        """Cost of a recording of no length."""
        return self.fixed + self.fixed_rate * sr / RATE


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What a preset costs.

    Parameters
    ----------
    memory : Cost
        Bytes of the whole process while a chunk of so many seconds is there.
    seconds : Cost
        Seconds of one processor.
    learning_s : float
        Seconds of it for each second of the excerpts of a recording of several chunks, at 44.1 kHz
        in stereo; in proportion to channels and rate.
    chunked : float
        How much of what grows with a recording in `memory` is there when it has several chunks,
        for each second of the longest chunk or of the excerpts.
    probe_s : float
        Seconds that the machine took for :func:`audiosep.prediction.probe_s` meanwhile.
    n_stems : int
        Stems that there might be.
    parallel : float
        Share of the work that several threads share.
    """

    memory: Cost
    seconds: Cost
    learning_s: float
    chunked: float
    probe_s: float
    n_stems: int
    parallel: float

    def learnt_s(self, excerpt_s: float, n_channels: int, sr: int) -> float:
        """Seconds that excerpts take."""
        return self.learning_s * excerpt_s * n_channels / CHANNELS * sr / RATE


def costs_of(preset: str) -> Costs:
    """What a preset costs, as ``scripts/bench_scale.py --calibrate`` measured it.

    Raises
    ------
    KeyError
        If it was never measured.
    """
    return _table()[preset]


def start_s(probe_s: float) -> float:
    """Seconds that the program takes to start, which a preset that loads little tells best.

    Parameters
    ----------
    probe_s : float
        What this machine takes for :func:`audiosep.prediction.probe_s`.
    """
    return min(c.seconds.start(RATE) * probe_s / c.probe_s for c in _table().values())


@cache
def _table() -> dict[str, Costs]:
    text = (files(__package__) / "costs.toml").read_text(encoding="utf-8")
    return {
        name: Costs(
            memory=Cost(**entry.pop("memory")), seconds=Cost(**entry.pop("seconds")), **entry
        )
        for name, entry in tomllib.loads(text).items()
    }
