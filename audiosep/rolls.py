"""Pictures of recordings and of scores that can be held against each other.

Both are levels of semitone bands over time, (n_steps, n_bands): a recording's from its magnitudes,
a score's from a plain harmonic spectrum for each note.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from audiosep.nmf import harmonic_combs
from audiosep.tuning import A4_HZ, peaks_of
from audiosep.types import Spectrogram

__all__ = ["COARSE", "Bands", "Part", "Roll", "contrast", "part_of", "pooled_steps"]

_Matrix = npt.NDArray[np.float32]
_Vector = npt.NDArray[np.float64]

"""Where the bands lie in which parts of a recording are heard: its tuning is known behind them."""

COARSE = 4
"""Steps that :func:`pooled_steps` joins."""

_STEP_S = 0.05
_LOWEST_HZ = 60.0
_HIGHEST_HZ = 4000.0
_HIGHEST_NOTE = 0.45
_HARMONICS = 8
_COMPRESSION = 10.0
_BINS_APART = 1.5
"""What lies closer is one peak."""

_BLOCK_FRAMES = 4096


@dataclass(frozen=True, kw_only=True, eq=False)
class Bands:
    """Semitone bands of a recording, in steps of time.

    Parameters
    ----------
    pooling : np.ndarray [shape=(n_bands, n_bins), dtype=float32]
        What each bin adds to each band.
    hop : int
        Frames in a step.
    step_s : float
        Seconds in a step.
    sr, n_fft : int
        Of the analysis.
    tuning_hz : float
        Frequency of MIDI number 69.
    """

    pooling: _Matrix
    hop: int
    step_s: float
    sr: int
    n_fft: int
    tuning_hz: float

    @classmethod
    def of(cls, spectrogram: Spectrogram, tuning_hz: float) -> Bands:
        """Lay out bands from 60 Hz to 4 kHz.

        Parameters
        ----------
        spectrogram : Spectrogram
            Of the recording; for its analysis.
        tuning_hz : float > 0
            Frequency of MIDI number 69.

        Returns
        -------
        Bands
            None of them where the sample rate is too low for any.
        """
        top = min(_HIGHEST_HZ, _HIGHEST_NOTE * spectrogram.sr)
        semitones = np.arange(
            np.ceil(12 * np.log2(_LOWEST_HZ / tuning_hz)), 12 * np.log2(top / tuning_hz)
        )
        bins_hz = np.arange(spectrogram.n_bins) * spectrogram.bin_hz
        place = 12 * np.log2(np.maximum(bins_hz, 1e-3) / tuning_hz)
        # A band is as wide as the window resolves: low ones take their neighbours along.
        centres = tuning_hz * 2.0 ** (semitones / 12)
        resolved = 12 / np.log(2.0) * _BINS_APART * spectrogram.bin_hz / centres
        width = np.maximum(1.0, resolved)
        pooling = np.maximum(0.0, 1.0 - np.abs(place - semitones[:, None]) / width[:, None])
        hop = max(1, round(_STEP_S / spectrogram.frame_s))
        return cls(
            pooling=pooling.astype(np.float32),
            hop=hop,
            step_s=hop * spectrogram.frame_s,
            sr=spectrogram.sr,
            n_fft=spectrogram.n_fft,
            tuning_hz=tuning_hz,
        )

    def transposed(self, semitones: int) -> Bands:
        """Return the same bands for instruments that are tuned otherwise.

        Parameters
        ----------
        semitones : int
            By how much higher.

        Returns
        -------
        Bands
        """
        return replace(self, tuning_hz=self.tuning_hz * 2.0 ** (semitones / 12.0))

    def coarser(self, factor: int) -> Bands:
        """Return the same bands in longer steps.

        Parameters
        ----------
        factor : int > 0
            How many steps become one.

        Returns
        -------
        Bands
        """
        return replace(self, hop=self.hop * factor, step_s=self.step_s * factor)

    def of_recording(self, V: _Matrix) -> _Matrix:
        """Pool a recording.

        Parameters
        ----------
        V : np.ndarray [shape=(n_bins, n_frames), dtype=float32]
            Magnitudes.

        Returns
        -------
        np.ndarray [shape=(n_steps, n_bands), dtype=float32]
            Mean levels; the last step may be of fewer frames.
        """
        n_steps = -(-V.shape[1] // self.hop)
        out = np.zeros((n_steps, len(self.pooling)), dtype=np.float32)
        if not out.shape[1]:
            return out
        chunk = self.hop * max(1, _BLOCK_FRAMES // self.hop)
        for first in range(0, V.shape[1], chunk):
            part = (self.pooling @ V[:, first : first + chunk]).T
            short = -len(part) % self.hop
            if short:
                part = np.concatenate([part, np.repeat(part[-1:], short, axis=0)])
            pooled = part.reshape(-1, self.hop, part.shape[1]).mean(axis=1)
            out[first // self.hop : first // self.hop + len(pooled)] = pooled
        return out

    def of_pitches(self, pitches: npt.NDArray[np.int64]) -> _Matrix:
        """Make one spectrum for each pitch.

        Parameters
        ----------
        pitches : np.ndarray of int [shape=(n_pitches,)]
            MIDI numbers.

        Returns
        -------
        np.ndarray [shape=(n_pitches, n_bands), dtype=float32]
            Zero for those too high for the recording.
        """
        out = np.zeros((pitches.size, len(self.pooling)), dtype=np.float32)
        low = self.tuning_hz * 2.0 ** ((pitches - 69) / 12.0) < _HIGHEST_NOTE * self.sr
        if low.any():
            combs = harmonic_combs(
                pitches[low],
                self.sr,
                self.n_fft,
                tuning_hz=self.tuning_hz,
                n_harmonics=_HARMONICS,
            )
            out[low] = (self.pooling @ combs).T
        return out


def contrast(levels: _Matrix) -> _Matrix:
    """Bring levels to a compressed scale, relative to the mean of each band.

    Parameters
    ----------
    levels : np.ndarray [shape=(n_steps, n_bands), dtype=float32]
        Non-negative.

    Returns
    -------
    np.ndarray [shape=(n_steps, n_bands), dtype=float32]
        Of a mean of zero in each band; all zero in silence.
    """
    mean = float(levels.mean(dtype=np.float64))
    if mean <= 0.0 or not np.isfinite(mean):
        return np.zeros_like(levels)
    out = np.log1p(_COMPRESSION * (levels / np.float32(mean)))
    out -= out.mean(axis=0)
    return np.asarray(out, dtype=np.float32)


class Roll:
    """The picture of a score, at any tempo.

    Parameters
    ----------
    bands : Bands
        Those of the recording it is held against.
    starts, ends : np.ndarray [shape=(n_notes,)]
        In seconds; at least one note.
    pitches : np.ndarray of int [shape=(n_notes,)]
        MIDI numbers.
    """

    def __init__(
        self, bands: Bands, starts: _Vector, ends: _Vector, pitches: npt.NDArray[np.int64]
    ) -> None:
        self.step_s = bands.step_s
        self.begin, self.end = float(starts.min()), float(ends.max())
        self._starts, self._ends = starts, ends
        kinds, self._kind = np.unique(pitches, return_inverse=True)
        self._spectra = bands.of_pitches(kinds)

    def n_steps(self, tempo: float, step_s: float, longest_s: float) -> int:
        """Return the length of the picture that :meth:`at` gives.

        Parameters
        ----------
        tempo, step_s, longest_s
            As for :meth:`at`.

        Returns
        -------
        int
            Steps, at least one.
        """
        span_s = min((self.end - self.begin) * tempo, longest_s)
        return max(1, int(np.ceil(span_s / step_s)))

    def at(self, tempo: float, step_s: float, longest_s: float) -> _Matrix:
        """Draw the picture, from the first note on.

        Parameters
        ----------
        tempo : float > 0
            Seconds of the recording for each second of the score.
        step_s : float > 0
            Time between rows in seconds.
        longest_s : float > 0
            Seconds of the recording after which it ends at the latest.

        Returns
        -------
        np.ndarray [shape=(n_steps, n_bands), dtype=float32]
            As :func:`contrast` gives it.
        """
        n = self.n_steps(tempo, step_s, longest_s)
        changes = np.zeros((n + 1, len(self._spectra)), dtype=np.float32)
        first = np.rint((self._starts - self.begin) * tempo / step_s)
        last = np.rint((self._ends - self.begin) * tempo / step_s)
        here = first < n
        a = np.clip(first[here], 0, n - 1).astype(np.int64)
        b = np.clip(np.maximum(last[here], first[here] + 1), 1, n).astype(np.int64)
        np.add.at(changes, (a, self._kind[here]), 1.0)
        np.add.at(changes, (b, self._kind[here]), -1.0)
        return contrast(np.cumsum(changes, axis=0)[:-1] @ self._spectra)


def pooled_steps(picture: _Matrix, factor: int = COARSE) -> _Matrix:
    """Take means of a few steps each.

    Parameters
    ----------
    picture : np.ndarray [shape=(n_steps, n_bands)]
        At least one step.
    factor : int > 0
        How many steps become one; what is left at the end is left out.

    Returns
    -------
    np.ndarray [shape=(max(1, n_steps // factor), n_bands)]
    """
    n = len(picture) // factor
    if n == 0:
        return np.asarray(picture.mean(axis=0, keepdims=True))
    return np.asarray(picture[: n * factor].reshape(n, factor, -1).mean(axis=1))


@dataclass(frozen=True, kw_only=True, eq=False)
class Part:
    """What is kept of a part of a recording for its alignment: 11 MB for an hour.

    Parameters
    ----------
    bands : Bands
        The same of all parts.
    levels : np.ndarray [shape=(n_steps, n_bands), dtype=float16]
        Mean levels, the largest of them 1; steps go on where those of the part before end.
    largest : float >= 0
        What 1 stands for.
    peaks : complex
        Of :func:`audiosep.tuning.peaks_of`.
    """

    bands: Bands
    levels: npt.NDArray[np.float16]
    largest: float
    peaks: complex


def part_of(
    spectrogram: Spectrogram, V: _Matrix, own: slice, start_s: float, bands: Bands | None
) -> Part:
    """Hear a part of a recording.

    Parameters
    ----------
    spectrogram : Spectrogram
        Of a part with some seconds around it.
    V : np.ndarray [shape=(n_bins, n_frames), dtype=float32]
        Its magnitudes.
    own : slice
        Frames that no other part has.
    start_s : float >= 0
        Where in the recording the first frame lies.
    bands : Bands, optional
        Of the parts before.

    Returns
    -------
    Part
    """
    if bands is None:
        bands = Bands.of(spectrogram, A4_HZ)
    before, hop = round(start_s / spectrogram.frame_s), bands.hop
    first, last, _ = own.indices(spectrogram.n_frames)
    # Steps lie as they would if the recording were one piece: in multiples of the hop.
    first_step, last_step = (-(-(before + frame) // hop) for frame in (first, last))
    # Behind the last of its own frames the others serve: a step is not cut.
    frames = slice(first_step * hop - before, last_step * hop - before)
    levels = bands.of_recording(V[:, frames])
    largest = float(levels.max(initial=0.0))
    return Part(
        bands=bands,
        levels=(levels / np.float32(largest or 1.0)).astype(np.float16),
        largest=largest,
        peaks=peaks_of(spectrogram, V[:, own]),
    )
