"""Energies of the parts of an estimate, and their ratios in dB: the arithmetic of evaluation.

All sums run over pieces of the signals in float64, so that long recordings need no second copy.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from audiosep.types import FloatArray

__all__ = ["LIMIT_DB", "Ratios", "energy", "level_dbfs", "oracle_si_sdr", "ratios_of"]

LIMIT_DB = 300.0
"""Ratios end here: an exact estimate has no error, a silent one nothing of the source."""

_BLOCK_SAMPLES = 1 << 19
_BLOCK_FRAMES = 256

_ROUNDING = 1e-15
"""Part of a sum in float64 that is rounding."""

_SAME_SOURCE = 1e-12
"""References whose span is thinner than this, relative to their own size, count as one."""


@dataclass(frozen=True, kw_only=True)
class Ratios:
    """Ratios of the energies of an estimate's parts in dB; None where the reference is silent.

    The last two are None also where there is a single reference: nothing can interfere.
    """

    si_sdr_db: float | None
    sdr_db: float | None
    si_sir_db: float | None
    si_sar_db: float | None


def _blocks(*signals: FloatArray) -> Iterator[npt.NDArray[np.float64]]:
    """Samples of all signals side by side, in pieces of shape (signals, some)."""
    for first in range(0, signals[0].shape[-1], _BLOCK_SAMPLES):
        part = [signal[:, first : first + _BLOCK_SAMPLES].ravel() for signal in signals]
        yield np.array(part, dtype=np.float64)


def energy(samples: FloatArray) -> float:
    """Sum of the squares of all samples (n_channels, n_samples)."""
    return math.fsum(float(block[0] @ block[0]) for block in _blocks(samples))


def level_dbfs(samples: FloatArray) -> float | None:
    """Root mean square in dB of full scale; None where every sample is zero."""
    mean_square = energy(samples) / samples.size
    return 10 * math.log10(mean_square) if mean_square else None


def _ratio_db(wanted: float, rest: float) -> float:
    if wanted == 0.0:
        return -LIMIT_DB
    if rest == 0.0:
        return LIMIT_DB
    # Two logarithms: the quotient itself may leave the range of floats.
    return min(LIMIT_DB, max(-LIMIT_DB, 10 * (math.log10(wanted) - math.log10(rest))))


def ratios_of(references: Sequence[FloatArray], which: int, estimate: FloatArray) -> Ratios:
    """Ratios of an estimate of ``references[which]``, as :mod:`audiosep.evaluation` defines them.

    Parameters
    ----------
    references : sequence of np.ndarray [shape=(n_channels, n_samples)]
        All true sources.
    which : int
        Which of them is estimated.
    estimate : np.ndarray [shape=(n_channels, n_samples)]
        Of that one.

    Returns
    -------
    Ratios
    """
    n = len(references)
    products = np.zeros((n + 1, n + 1))
    for block in _blocks(*references, estimate):
        products += block @ block.T
    if products[which, which] == 0.0:
        return Ratios(si_sdr_db=None, sdr_db=None, si_sir_db=None, si_sar_db=None)
    # In units of each signal's own norm, or a quiet reference is taken for rounding.
    norms = np.sqrt(np.diag(products))
    norms[norms == 0.0] = 1.0
    products /= norms[:, np.newaxis]
    products /= norms
    gain = products[-1, which] * norms[-1] / norms[which]
    weights = np.linalg.lstsq(products[:-1, :-1], products[:-1, -1], rcond=_SAME_SOURCE)[0]
    weights *= norms[-1] / norms[:-1]
    wanted = error = difference = interference = artefacts = 0.0
    # A second pass, because differences of the products above lose what is 150 dB below them.
    for block in _blocks(*references, estimate):
        reference, guess = block[which], block[-1]
        target, within = gain * reference, weights @ block[:-1]
        wanted += float(target @ target)
        error += float((guess - target) @ (guess - target))
        difference += float((guess - reference) @ (guess - reference))
        interference += float((within - target) @ (within - target))
        artefacts += float((guess - within) @ (guess - within))
    return Ratios(
        si_sdr_db=_ratio_db(wanted, error),
        sdr_db=_ratio_db(float(norms[which] ** 2), difference),
        si_sir_db=_ratio_db(wanted, interference) if n > 1 else None,
        si_sar_db=_ratio_db(wanted, artefacts) if n > 1 else None,
    )


def oracle_si_sdr(
    mixture: FloatArray, references: Sequence[FloatArray], sr: int
) -> list[float | None]:
    """SI-SDR of the mixture's shares by the true magnitudes, ``|R_i| / sum |R|`` in every bin.

    Parameters
    ----------
    mixture : np.ndarray [shape=(n_channels, n_samples)]
        What is shared out.
    references : sequence of np.ndarray [shape=(n_channels, n_samples)]
        All true sources.
    sr : int
        Sample rate in Hz; windows are of about 93 ms with a hop of a quarter.

    Returns
    -------
    list of float or None
        In dB, one per reference; None where it is silent. At most 150: beyond that the sums in
        float64 that it is made of say nothing.
    """
    from audiosep.transform import frame_length, istft_blocks

    n_fft = frame_length(sr)
    n = len(references)
    products, squares, energies = np.zeros(n), np.zeros(n), np.zeros(n)
    for channel in range(len(mixture)):
        sources = [reference[channel] for reference in references]
        shares = _Shares(mixture[channel], sources, n_fft)
        estimates = [
            istft_blocks(
                shares.frames_of(source),
                n_fft=n_fft,
                hop_length=shares.hop_length,
                n_samples=mixture.shape[1],
            )
            for source in range(n)
        ]
        at = 0
        # In step, so that each block is transformed once for all sources.
        for parts in zip(*estimates, strict=True):
            till = at + len(parts[0])
            for source, part in enumerate(parts):
                e = part.astype(np.float64)
                r = sources[source][at:till].astype(np.float64)
                products[source] += e @ r
                squares[source] += e @ e
                energies[source] += r @ r
            at = till
    return [
        _si_sdr_of_sums(*sums)
        for sums in zip(products.tolist(), squares.tolist(), energies.tolist(), strict=True)
    ]


def _si_sdr_of_sums(product: float, square: float, energy_: float) -> float | None:
    if energy_ == 0.0:
        return None
    wanted = product / energy_ * product
    return _ratio_db(wanted, max(square - wanted, _ROUNDING * square))


class _Shares:
    """Frames of one channel of a mixture, shared among sources by their magnitudes."""

    def __init__(self, mixture: FloatArray, sources: Sequence[FloatArray], n_fft: int) -> None:
        self.n_fft, self.hop_length = n_fft, n_fft // 4
        self._mixture, self._sources = mixture, sources
        self._first, self._block = -1, np.zeros((0, 0, 0), dtype=np.complex64)

    def frames_of(self, source: int) -> Iterator[npt.NDArray[np.complexfloating]]:
        """Blocks of the frames of one source; the last one made is kept for the others."""
        from audiosep.transform import n_frames_of

        n_frames = n_frames_of(len(self._mixture), self.hop_length)
        for first in range(0, n_frames, _BLOCK_FRAMES):
            if self._first != first:
                self._block = self._shared(first, min(first + _BLOCK_FRAMES, n_frames))
                self._first = first
            yield self._block[source]

    def _shared(self, first: int, last: int) -> npt.NDArray[np.complex64]:
        """Frames `first` to `last` - 1 of all sources: (sources, frames, bins)."""
        from audiosep.transform import stft_frames

        def frames(samples: FloatArray) -> npt.NDArray[np.complexfloating]:
            return stft_frames(samples, first, last, n_fft=self.n_fft, hop_length=self.hop_length)

        magnitudes = np.array([np.abs(frames(source)) for source in self._sources], np.float32)
        total = magnitudes.sum(axis=0)
        even = np.full_like(magnitudes, 1 / len(self._sources))
        shares = np.divide(magnitudes, total, out=even, where=total > 0)
        return np.asarray(shares * frames(self._mixture), dtype=np.complex64)
