"""What places are called, so that a listener knows where to listen."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["CENTRE", "describe_gains", "place_names", "sound_names"]

CENTRE = "centre"
_CENTRE_DEG = 5.0
"""So near to the middle is the middle."""

_INVERTED = "-inverted"


def place_names(gains: npt.NDArray[np.float64]) -> tuple[str, ...]:
    """Names of places that are in order from left to right.

    Parameters
    ----------
    gains : np.ndarray [shape=(n_places, n_channels)]
        Of length one, real.

    Returns
    -------
    tuple of str
        For two channels ``left``, ``centre`` and ``right``, counted from left to right where there
        are several of one; ``-inverted`` where the channels are opposite in sign. For more
        channels ``place-1``, ``place-2`` ...
    """
    if gains.shape[1] != 2:
        return tuple(f"place-{index + 1}" for index in range(len(gains)))
    sides = [_side(*pair) for pair in gains]
    names = []
    for index, side in enumerate(sides):
        alone = sides.count(side) == 1
        names.append(side if alone else f"{side}-{sides[:index].count(side) + 1}")
    return tuple(names)


def _side(left: float, right: float) -> str:
    degrees = np.degrees(np.arctan2(abs(right), abs(left))) - 45.0
    side = CENTRE if abs(degrees) <= _CENTRE_DEG else "left" if degrees < 0 else "right"
    return side + (_INVERTED if left * right < -1e-3 else "")


def sound_names(place: str, n_sounds: int) -> tuple[str, ...]:
    """Names of the sounds of one place, from low to high."""
    if n_sounds == 1:
        return (place,)
    between = [f"mid-{index}" for index in range(1, n_sounds - 1)]
    if n_sounds == 3:
        between = ["mid"]
    return tuple(f"{place}-{height}" for height in ("low", *between, "high"))


def describe_gains(gains: npt.NDArray[np.float64]) -> str:
    """Where a place is, in words: its pan for two channels, else its gain in each."""
    if len(gains) != 2:
        largest = gains[np.argmax(np.abs(gains))]
        return "gains " + ", ".join(f"{gain / largest:.2f}" for gain in gains)
    pan = np.degrees(np.arctan2(abs(gains[1]), abs(gains[0]))) / 45.0 - 1.0
    return f"pan {100 * pan:+.0f} %" + (" inverted" if gains[0] * gains[1] < -1e-3 else "")
