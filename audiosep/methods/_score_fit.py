"""The fit of a score's components: first all pitches of an instrument alike, then each its own.

References
----------
.. [1] D. D. Lee and H. S. Seung (2001), "Algorithms for non-negative matrix factorization",
   NIPS 13: the updates; here templates may be sums of given shapes whose weights are shared.
.. [2] J. J. Carabias-Orti, T. Virtanen, P. Vera-Candeas, N. Ruiz-Reyes and F. J. Cañadas-Quesada
   (2011), "Musical instrument sound multi-excitation model for non-negative spectrogram
   factorization", IEEE JSTSP 5(6): partials of one instrument follow one law.
.. [3] A. Ozerov and C. Févotte (2010), "Multichannel nonnegative matrix factorization in
   convolutive mixtures for audio source separation", IEEE TASLP 18(3): the levels of a source in
   the channels as a factor of its own; here of magnitudes, and the same at all frequencies.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from audiosep.methods._score_blocks import FACTOR_FLOOR, Blocks
from audiosep.methods._score_components import N_HARMONICS, Components
from audiosep.types import Spectrogram

__all__ = ["ScoreFit", "fit_components"]

_Matrix = npt.NDArray[np.float32]
_Vector = npt.NDArray[np.float64]

_ALIKE = 6.0
"""Semitones over which partials of an instrument stay much the same."""

_FREE_SHARE = 0.2
"""Part of the iterations, at the end, in which each pitch has its own partials."""

_GAINS_EVERY = 3
_ENCODING = 20


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoreFit:
    """Result of :func:`fit_components`.

    Parameters
    ----------
    templates : np.ndarray [shape=(n_components, n_bins), dtype=float32]
        Rows sum to one.
    gains : np.ndarray [shape=(n_components, n_channels), dtype=float32]
        Rows sum to one.
    activations : np.ndarray [shape=(n_frames, n_components), dtype=float32]
        At the level of the magnitudes of all channels together.
    losses : tuple of float
        Divergence on the frames that templates are learnt from, before the first iteration with
        free templates and after each of them.
    explained : float
        Part of the magnitudes that the notes hold, without rest and background.
    """

    templates: _Matrix
    gains: _Matrix
    activations: _Matrix
    losses: tuple[float, ...]
    explained: float


def fit_components(
    spectrogram: Spectrogram,
    level: float,
    components: Components,
    max_iter: int,
    progress: Callable[[float], None],
) -> ScoreFit:
    """Fit templates and activations by multiplicative updates for the Kullback-Leibler divergence.

    Parameters
    ----------
    spectrogram : Spectrogram
        Of the recording.
    level : float >= 0
        Mean of its magnitudes.
    components : Components
        Where to start. Zeros stay zero.
    max_iter : int
        Iterations. In the first four fifths the amplitudes of the partials are those of the
        instrument at about that pitch, then templates are free within their shapes.
    progress : callable
        Called with a number from 0 to 1.

    Returns
    -------
    ScoreFit
        Silence, and a score without a component, give zeros.
    """
    n_channels = spectrogram.n_channels
    if level <= 0.0 or not len(components.shapes):
        return ScoreFit(
            templates=components.shapes,
            gains=np.full((len(components.shapes), n_channels), 1.0 / n_channels, np.float32),
            activations=np.zeros_like(components.gates),
            losses=(0.0,),
            explained=0.0,
        )
    blocks = Blocks(spectrogram, components.gates, components.prices, level)
    templates = _Templates(components, blocks.mean().reshape(n_channels, -1))
    H = components.gates.copy()
    n_tied = max_iter - round(_FREE_SHARE * max_iter)
    losses = []
    for iteration in range(max_iter):
        progress(iteration / (max_iter + 1))
        tied = iteration < n_tied
        B, loss = blocks.statistics(templates.in_channels(), H, with_loss=not tied)
        sums = blocks.sums(H)
        if tied and n_channels > 1 and iteration % _GAINS_EVERY == _GAINS_EVERY - 1:
            H *= templates.move_gains(B, sums)
        else:
            H *= templates.move(B, sums, tied=tied)
        if not tied:
            losses.append(loss)
    if not blocks.complete:
        H = components.gates.copy()
    W = templates.in_channels()
    loss, explained = blocks.encode(W, H, 0 if blocks.complete else _ENCODING)
    progress(1.0)
    return ScoreFit(
        templates=templates.W,
        gains=templates.gains.astype(np.float32),
        activations=H * np.float32(level),
        losses=tuple(x * level for x in (*losses, loss)),
        explained=explained,
    )


class _Templates:
    """Templates, their levels in the channels, and how both may move."""

    def __init__(self, components: Components, mean: _Matrix) -> None:
        self._shapes, self._tones = components.shapes, np.flatnonzero(components.tones)
        n = len(self._shapes)
        self._cells = components.harmonics + N_HARMONICS * np.arange(n)[:, np.newaxis]
        self._widths = self._by_partial(self._shapes)
        self._weights: _Vector = np.tile(1.0 / np.arange(1.0, N_HARMONICS + 1.0), (n, 1))
        self._instruments = []
        for source in np.unique(components.sources[self._tones]):
            which = self._tones[components.sources[self._tones] == source]
            pitches = components.pitches[which]
            near = np.exp(-0.5 * (np.subtract.outer(pitches, pitches) / _ALIKE) ** 2)
            self._instruments.append((which, near))
        # Tones of an instrument come from one place, everything else from its own.
        self._places = np.arange(n)
        for which, _ in self._instruments:
            self._places[which] = which[0]
        self.gains: _Vector = np.full((n, len(mean)), 1.0 / len(mean))
        self.W: _Matrix = (self._shapes * mean.sum(axis=0)).astype(np.float32)
        self._set_tones()
        self.W /= self.W.sum(axis=1, keepdims=True) + np.float32(FACTOR_FLOOR)

    def in_channels(self) -> _Matrix:
        """Templates of all channels side by side, (n_components, n_channels * n_bins)."""
        W: _Matrix = self.W
        if self.gains.shape[1] == 1:
            return W
        both: _Matrix = W[:, np.newaxis] * self.gains[:, :, np.newaxis].astype(np.float32)
        return both.reshape(len(W), -1)

    def _by_partial(self, values: _Matrix) -> _Vector:
        """Sums over the bins of each partial."""
        n = len(values)
        sums = np.bincount(self._cells.ravel(), values.ravel(), minlength=n * N_HARMONICS)
        return sums.reshape(n, N_HARMONICS).astype(np.float64)

    def _set_tones(self) -> None:
        spread = self._weights.ravel()[self._cells[self._tones]]
        self.W[self._tones] = self._shapes[self._tones] * spread

    def move(self, B: _Matrix, sums: _Vector, *, tied: bool) -> _Matrix:
        """Improve the templates; return by what the activations grow instead of them.

        `B` is the data over the model, back-projected on the activations, `sums` those of the
        activations. A template's new entry is a ratio of two sums over frames; where partials are
        tied, an amplitude is one of sums over bins and all pitches of the instrument, near ones
        first. What does not sound in the data stays as it is.
        """
        n_channels = self.gains.shape[1]
        apart = B.reshape(len(B), n_channels, -1)
        ratio = apart[:, 0]
        if n_channels > 1:
            ratio = np.einsum("kcf,kc->kf", apart, self.gains.astype(np.float32))
        sounding = sums > 0.0
        moved = np.ones(len(self.W), dtype=bool)
        moved[self._tones] = not tied
        free = sounding & moved
        change = ratio[free] / sums[free, np.newaxis]
        self.W[free] *= change.astype(np.float32)
        if tied:
            self._move_partials(ratio, sums)
            self._set_tones()
        self.W[self.W < FACTOR_FLOOR] = 0.0
        norms = self.W.sum(axis=1, keepdims=True, dtype=np.float64)
        norms[norms == 0.0] = 1.0
        self.W /= norms.astype(np.float32)
        self._weights /= norms
        return np.asarray(norms.T, dtype=np.float32)

    def _move_partials(self, ratio: _Matrix, sums: _Vector) -> None:
        found = self._weights * self._by_partial(self._shapes * ratio)
        present = self._weights * self._widths * sums[:, np.newaxis]
        for which, near in self._instruments:
            heard = near @ present[which]
            change = (near @ found[which]) / np.maximum(heard, FACTOR_FLOOR)
            self._weights[which] *= np.where(heard > 0.0, change, 1.0)

    def move_gains(self, B: _Matrix, sums: _Vector) -> _Matrix:
        """Improve the levels in the channels; return by what the activations grow instead."""
        apart = B.reshape(len(B), self.gains.shape[1], -1)
        found = self.gains * np.einsum("kcf,kf->kc", apart, self.W)
        total, heard = np.zeros_like(found), np.zeros(len(found))
        np.add.at(total, self._places, found)
        np.add.at(heard, self._places, sums)
        new = (total / np.maximum(heard, FACTOR_FLOOR)[:, np.newaxis])[self._places]
        norms = new.sum(axis=1, keepdims=True)
        sounding = norms[:, 0] > 0.0
        self.gains[sounding] = new[sounding] / norms[sounding]
        return np.where(norms > 0.0, norms, 1.0).T.astype(np.float32)
