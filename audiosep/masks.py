"""Wiener-style masks: the mixture shared out among the models, so that the stems sum to it.

References
----------
.. [1] A. Liutkus and R. Badeau (2015), "Generalized Wiener filtering with fractional power
   spectrograms", ICASSP, eq. 9.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from audiosep.errors import ParameterError

__all__ = ["exponent_from", "wiener_masks"]

_BLOCK_FRAMES = 256


def exponent_from(value: float) -> float:
    """Return a mask exponent as a float.

    Raises
    ------
    ParameterError
        If it is not a number from 0.1 to 10.
    """
    try:
        exponent = math.nan if isinstance(value, bool | str) else float(value)
    except (TypeError, ValueError):
        exponent = math.nan
    if not 0.1 <= exponent <= 10.0:
        raise ParameterError(f"mask exponent {value!r} is out of range; use 0.1 to 10.")
    return exponent


def wiener_masks(
    models: npt.NDArray[np.float32], exponent: float = 1.0, *, overwrite: bool = False
) -> npt.NDArray[np.float32]:
    """Share of each source in each bin: ``m_s = model_s^p / sum_i model_i^p``.

    Where all models are zero every source gets the same share, so that the masks sum to one
    everywhere, silence included.

    Parameters
    ----------
    models : np.ndarray [shape=(n_sources, n_channels, n_bins, n_frames), dtype=float32]
        Non-negative.
    exponent : float
        p, from 0.1 to 10: 1 shares by magnitude, 2 by power; larger is harder.
    overwrite : bool
        Store the masks in `models`, which saves their memory.

    Returns
    -------
    np.ndarray [shape like models, dtype=float32]
        In [0, 1]; sums to one over the sources up to rounding.

    Raises
    ------
    ParameterError
        If the exponent is out of range.
    """
    exponent = exponent_from(exponent)
    masks = models if overwrite else models.copy(order="K")
    for first in range(0, models.shape[-1], _BLOCK_FRAMES):
        block = masks[..., first : first + _BLOCK_FRAMES]
        # Relative to the largest model: powers of very small or large numbers leave the range.
        largest = block.max(axis=0)
        nothing = largest == 0
        block /= np.where(nothing, np.float32(1), largest)
        block[:, nothing] = 1
        if exponent != 1.0:
            np.power(block, np.float32(exponent), out=block)
        block /= block.sum(axis=0)
    return masks
