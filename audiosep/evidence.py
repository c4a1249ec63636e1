"""What was heard in a recording, over time: melodies and onsets. Users find them in `types`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from audiosep.errors import ParameterError

__all__ = ["Melody", "Onsets"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Melody:
    """Pitch of a voice over time.

    Parameters
    ----------
    times_s : np.ndarray [shape=(n,), dtype=float64]
        Middle of each frame in seconds, increasing.
    f0_hz : np.ndarray [shape=(n,), dtype=float64]
        Fundamental frequency in Hz; 0 where nothing sings.
    strengths : np.ndarray [shape=(n,), dtype=float64]
        0 to 1: how much there is of it.

    Raises
    ------
    ParameterError
        If the shapes differ or a value is out of range.
    """

    times_s: npt.NDArray[np.float64]
    f0_hz: npt.NDArray[np.float64]
    strengths: npt.NDArray[np.float64]

    def __post_init__(self) -> None:
        _check_times(self.times_s)
        _check_values("f0_hz", self.f0_hz, self.times_s, np.inf)
        _check_values("strengths", self.strengths, self.times_s, 1.0)
        if self.f0_hz.size > 1 and np.diff(self.times_s).min() <= 0:
            raise ParameterError("times_s must increase.")

    @property
    def voiced(self) -> npt.NDArray[np.bool_]:
        """Where something sings."""
        return self.f0_hz > 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Onsets:
    """When something was struck, and what.

    Parameters
    ----------
    times_s : np.ndarray [shape=(n,), dtype=float64]
        In seconds, never falling.
    labels : tuple of str
        What was struck at each of them, for example ``"kick"``.
    strengths : np.ndarray [shape=(n,), dtype=float64]
        0 to 1, relative to the loudest of the same label.

    Raises
    ------
    ParameterError
        If the lengths differ or a value is out of range.
    """

    times_s: npt.NDArray[np.float64]
    labels: tuple[str, ...]
    strengths: npt.NDArray[np.float64]

    def __post_init__(self) -> None:
        _check_times(self.times_s)
        _check_values("strengths", self.strengths, self.times_s, 1.0)
        if len(self.labels) != self.times_s.size:
            raise ParameterError(f"{len(self.labels)} labels for {self.times_s.size} onsets.")
        if self.times_s.size > 1 and np.diff(self.times_s).min() < 0:
            raise ParameterError("times_s must not fall.")


def _check_times(times_s: npt.NDArray[np.float64]) -> None:
    if times_s.ndim != 1 or not np.isfinite(times_s).all():
        raise ParameterError(f"times_s must be finite and of one axis, got {times_s.shape}.")


def _check_values(
    name: str, values: npt.NDArray[np.float64], times_s: npt.NDArray[np.float64], top: float
) -> None:
    inside = np.isfinite(values).all() and ((values >= 0) & (values <= top)).all()
    if values.shape != times_s.shape or not inside:
        raise ParameterError(
            f"{name} must be {times_s.size} numbers from 0 to {top:g}, one for each time."
        )
