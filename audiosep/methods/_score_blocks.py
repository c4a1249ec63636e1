"""A recording in blocks of frames, each with the components that may sound in it.

Activations are updated and sums for the templates collected block by block: most components are
silent most of the time, and nothing of the size of the recording is made.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from audiosep.types import Spectrogram

__all__ = ["FACTOR_FLOOR", "Blocks"]

_Matrix = npt.NDArray[np.float32]
_Vector = npt.NDArray[np.float64]

FACTOR_FLOOR = 1e-16
_MODEL_FLOOR = 1e-9
_BLOCK_FRAMES = 256
_MOST_FRAMES = 6000
_MOST_ENTRIES = 30_000_000
"""Templates are learnt from this many frames, and magnitudes, at most, spread over a recording."""


class Blocks:
    """Magnitudes of all channels at a mean of one, frames first, and who may sound when.

    Parameters
    ----------
    spectrogram : Spectrogram
        Of the recording.
    gates : np.ndarray [shape=(n_frames, n_components), dtype=float32]
        Zero where a component is silent.
    prices : np.ndarray [shape=(n_components,), dtype=float32]
        One, and more for components that shall only sound where no other can: an L1 penalty.
    level : float > 0
        Mean of the magnitudes.
    """

    def __init__(
        self, spectrogram: Spectrogram, gates: _Matrix, prices: _Matrix, level: float
    ) -> None:
        n, width = spectrogram.n_frames, spectrogram.n_channels * spectrogram.n_bins
        self._values, self._level = spectrogram.values, level
        self._n_bins = spectrogram.n_bins
        self._prices = prices
        self._spans = list(pairwise([*range(0, n, _BLOCK_FRAMES), n]))
        self._active = [np.flatnonzero(gates[a:b].any(axis=0)) for a, b in self._spans]
        busy = [i for i, active in enumerate(self._active) if active.size]
        most = max(1, min(_MOST_FRAMES, _MOST_ENTRIES // width) // _BLOCK_FRAMES)
        places = np.unique(np.linspace(0, len(busy) - 1, min(most, len(busy))).round().astype(int))
        self._learnt = {busy[place]: self._data(busy[place]) for place in places}
        self.complete = len(self._learnt) == len(busy)

    def _data(self, block: int) -> _Matrix:
        a, b = self._spans[block]
        # Divided in float64: what to multiply the faintest by is no float32.
        parts = [np.abs(channel.T[a:b]) / np.float64(self._level) for channel in self._values]
        return np.concatenate(parts, axis=1, dtype=np.float32, casting="same_kind")

    def mean(self) -> _Matrix:
        """Mean of what is learnt from, (n_channels * n_bins,)."""
        return np.asarray(np.mean([V.mean(axis=0) for V in self._learnt.values()], axis=0))

    def sums(self, H: _Matrix) -> _Vector:
        """Sum of each activation over what is learnt from."""
        spans = [self._spans[i] for i in self._learnt]
        return np.asarray(np.sum([H[a:b].sum(axis=0, dtype=np.float64) for a, b in spans], axis=0))

    def statistics(self, W: _Matrix, H: _Matrix, *, with_loss: bool) -> tuple[_Matrix, float]:
        """Update H where it is learnt from.

        Returns data over model, back-projected on H, in the shape of W; and the divergence before.
        """
        B, loss = np.zeros_like(W), 0.0
        for i, V in self._learnt.items():
            loss += self._update(i, V, W, H, with_loss=with_loss)
            (a, b), active = self._spans[i], self._active[i]
            part = H[a:b, active]
            B[active] += part.T @ (V / _model(part, W[active]))
        return B, loss

    def encode(self, W: _Matrix, H: _Matrix, n_iter: int) -> tuple[float, float]:
        """Update H alone, everywhere.

        Returns the divergence of what was learnt from, and how much of everything the notes hold.
        """
        loss = held = total = 0.0
        for i, (a, b) in enumerate(self._spans):
            V, active = self._learnt.get(i), self._active[i]
            V = self._data(i) if V is None else V
            total += float(V.sum(dtype=np.float64))
            if not active.size:
                continue
            for _ in range(n_iter):
                self._update(i, V, W, H, with_loss=False)
            model = _model(H[a:b, active], W[active])
            told = active[self._prices[active] == 1.0]
            held += float(np.minimum(V, H[a:b, told] @ W[told]).sum(dtype=np.float64))
            if i in self._learnt:
                loss += _divergence(V, model)
        return loss, held / total

    def _update(self, i: int, V: _Matrix, W: _Matrix, H: _Matrix, *, with_loss: bool) -> float:
        (a, b), active = self._spans[i], self._active[i]
        part = H[a:b, active]
        model = _model(part, W[active])
        loss = _divergence(V, model) if with_loss else 0.0
        ratio = V / model
        templates = W[active]
        total = np.zeros_like(part)
        # Channel by channel: sums over all of them at once would depend on their order.
        for first in range(0, W.shape[1], self._n_bins):
            band = slice(first, first + self._n_bins)
            total += ratio[:, band] @ templates[:, band].T
        part *= total
        part /= self._prices[active]
        part[part < FACTOR_FLOOR] = 0.0  # numbers that small make processors slow
        H[a:b, active] = part
        return loss


def _model(H: _Matrix, W: _Matrix) -> _Matrix:
    model = H @ W
    model += np.float32(_MODEL_FLOOR)
    return np.asarray(model)


def _divergence(V: _Matrix, model: _Matrix) -> float:
    ratio = np.maximum(V / model, np.float32(1e-30))
    terms = V * np.log(ratio) - V + model
    return float(terms.sum(dtype=np.float64))
