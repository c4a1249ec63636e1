"""What the tracks of a score are made of: components with a shape, and gates in time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from audiosep.errors import RefusedError
from audiosep.notes import Note
from audiosep.scores import Track
from audiosep.types import Spectrogram

__all__ = ["N_HARMONICS", "Components", "components_of"]

_Matrix = npt.NDArray[np.float32]
_Vector = npt.NDArray[np.float64]

N_HARMONICS = 20
_WIDTH = 0.5
"""Semitones to either side of a partial: vibrato, and strings that are not ideal."""

_LOBE = 2.0
"""Bins to either side at least: half a main lobe of the window."""

_REACH_S = 0.9
"""A note may begin this much earlier or end this much later than it is written ..."""

_SPREAD_S = 0.15
"""... but the less likely the farther."""

_FLOOR = 1e-3
_STROKE_REACH_S = 0.3
_STROKE_SPREAD_S = 0.03
_RINGING_S = 1.0
_DECAY_S = 0.15
_REGION_REACH_S = 0.1
_PER_REGION = 4
_REST_PRICE = 1.3
_BACKGROUND_PRICE = 3.0
"""What no note explains costs more where it has no stem: one component, for noise between tones."""

_NO_PITCH = -1
_MOST_COMPONENTS = 3000
_MOST_ENTRIES = 150_000_000


@dataclass(frozen=True, kw_only=True, eq=False)
class Components:
    """Start of a factorization: who, where in frequency, when.

    Parameters
    ----------
    sources : np.ndarray of int [shape=(n_components,)]
        Track of each component; one past the last track is the rest.
    pitches : np.ndarray of int [shape=(n_components,)]
        MIDI number of each component; -1 where it is no tone.
    harmonics : np.ndarray of int16 [shape=(n_components, n_bins)]
        Which partial, from 0 on, a bin belongs to; 0 where it is no tone.
    shapes : np.ndarray [shape=(n_components, n_bins), dtype=float32]
        Form of the partials, 0 to 1; zero is out of bounds.
    gates : np.ndarray [shape=(n_frames, n_components), dtype=float32]
        0 to 1: how likely a component sounds; zero is never.
    prices : np.ndarray [shape=(n_components,), dtype=float32]
        By what activations are divided in every update: more than one for the rest, which shall
        only explain what notes cannot (an L1 penalty).
    """

    sources: npt.NDArray[np.intp]
    pitches: npt.NDArray[np.intp]
    harmonics: npt.NDArray[np.int16]
    shapes: _Matrix
    gates: _Matrix
    prices: _Matrix

    @property
    def tones(self) -> npt.NDArray[np.bool_]:
        """Which components are tones."""
        return np.not_equal(self.pitches, _NO_PITCH)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Component:
    source: int
    pitch: int
    harmonics: npt.NDArray[np.int16]
    shape: _Matrix
    gate: _Matrix


def components_of(
    tracks: Sequence[Track],
    spectrogram: Spectrogram,
    tuning_hz: float,
    n_rest: int,
    rng: np.random.Generator,
) -> Components:
    """One component per track and pitch, or drum; some free ones where a track has regions.

    Parameters
    ----------
    tracks : sequence of Track
        In the time of the recording. Notes outside of it, or too high for it, make no component.
    spectrogram : Spectrogram
        Of the recording.
    tuning_hz : float
        Frequency of MIDI number 69.
    n_rest : int
        Free components for what no track explains; with 0 there is one, for the background.
    rng : numpy.random.Generator
        Tells components without a pitch apart.

    Raises
    ------
    RefusedError
        If there would be more of them than fit into memory.
    """
    times = np.arange(spectrogram.n_frames, dtype=np.float64) * spectrogram.frame_s
    found: list[_Component] = []

    def free(source: int, gate: _Matrix) -> None:
        shape = rng.uniform(0.1, 1.0, spectrogram.n_bins).astype(np.float32)
        order = np.zeros(spectrogram.n_bins, dtype=np.int16)
        found.append(
            _Component(source=source, pitch=_NO_PITCH, harmonics=order, shape=shape, gate=gate)
        )

    for source, track in enumerate(tracks):
        for pitch, notes in _by_pitch(track.notes):
            if track.percussive:
                free(source, _strokes(notes, times))
                continue
            order, shape = _teeth(tuning_hz * 2.0 ** ((pitch - 69) / 12.0), spectrogram)
            gate = _tones(notes, times)
            found.append(
                _Component(source=source, pitch=pitch, harmonics=order, shape=shape, gate=gate)
            )
        for _ in range(_PER_REGION if track.regions else 0):
            free(source, _regions(track.regions, times))
    for _ in range(n_rest or 1):
        free(len(tracks), np.ones(times.size, dtype=np.float32))
    found = [c for c in found if c.gate.any() and c.shape.any()]
    if len(found) > _MOST_COMPONENTS or len(found) * times.size > _MOST_ENTRIES:
        raise RefusedError(
            f"{len(found) - (n_rest or 1)} pitches of all tracks, over {times[-1]:.0f} s, are too "
            "many to fit; separate a part of the recording (--start, --duration), or leave out "
            "tracks."
        )
    price = _REST_PRICE if n_rest else _BACKGROUND_PRICE
    return _joined(found, spectrogram, len(tracks), price)


def _joined(
    found: list[_Component], spectrogram: Spectrogram, n_tracks: int, price: float
) -> Components:
    n, n_bins, n_frames = len(found), spectrogram.n_bins, spectrogram.n_frames
    gates = np.empty((n_frames, n), dtype=np.float32)
    for k, component in enumerate(found):
        gates[:, k] = component.gate
    sources = np.array([c.source for c in found], dtype=np.intp)
    return Components(
        sources=sources,
        pitches=np.array([c.pitch for c in found], dtype=np.intp),
        harmonics=np.array([c.harmonics for c in found], dtype=np.int16).reshape(n, n_bins),
        shapes=np.array([c.shape for c in found], dtype=np.float32).reshape(n, n_bins),
        gates=gates,
        prices=np.where(sources == n_tracks, price, 1.0).astype(np.float32),
    )


def _by_pitch(notes: Sequence[Note]) -> list[tuple[int, list[Note]]]:
    groups: dict[int, list[Note]] = {}
    for note in notes:
        groups.setdefault(note.pitch, []).append(note)
    return sorted(groups.items())


def _teeth(f0_hz: float, spectrogram: Spectrogram) -> tuple[npt.NDArray[np.int16], _Matrix]:
    """Partial of each bin, and how much in its middle the bin lies."""
    bins_hz = np.arange(spectrogram.n_bins) * spectrogram.bin_hz
    order = np.clip(np.rint(bins_hz / f0_hz), 1, N_HARMONICS)
    centres = order * f0_hz
    half = np.maximum(centres * (2.0 ** (_WIDTH / 12.0) - 1.0), _LOBE * spectrogram.bin_hz)
    distance = np.abs(bins_hz - centres) / half
    shape = np.where(distance < 1.0, np.cos(0.5 * np.pi * np.minimum(distance, 1.0)) ** 2, 0.0)
    shape[centres >= 0.5 * spectrogram.sr] = 0.0
    return (order - 1).astype(np.int16), shape.astype(np.float32)


def _frames_between(times: _Vector, first_s: float, last_s: float) -> slice:
    a, b = np.searchsorted(times, [first_s, last_s])
    return slice(int(a), int(b))


def _tones(notes: Sequence[Note], times: _Vector) -> _Matrix:
    """One while a note is written, falling off around it."""
    gate = np.zeros(times.size, dtype=np.float32)
    for note in notes:
        near = _frames_between(times, note.start_s - _REACH_S, note.end_s + _REACH_S)
        t = times[near]
        away = np.maximum(np.maximum(note.start_s - t, t - note.end_s), 0.0)
        likely = np.exp(-0.5 * (away / _SPREAD_S) ** 2) + _FLOOR
        gate[near] = np.maximum(gate[near], likely)
    return np.minimum(gate, np.float32(1.0))


def _strokes(notes: Sequence[Note], times: _Vector) -> _Matrix:
    """One where a drum is struck, then ringing down, whatever its length as written."""
    gate = np.zeros(times.size, dtype=np.float32)
    for note in notes:
        near = _frames_between(times, note.start_s - _STROKE_REACH_S, note.start_s + _RINGING_S)
        since = times[near] - note.start_s
        before = np.exp(-0.5 * (since / _STROKE_SPREAD_S) ** 2)
        likely = np.where(since < 0.0, before, np.exp(-np.maximum(since, 0.0) / _DECAY_S))
        gate[near] = np.maximum(gate[near], likely + _FLOOR)
    return np.minimum(gate, np.float32(1.0))


def _regions(regions: Sequence[tuple[float, float]], times: _Vector) -> _Matrix:
    gate = np.zeros(times.size, dtype=np.float32)
    for start_s, end_s in regions:
        gate[_frames_between(times, start_s - _REGION_REACH_S, end_s + _REGION_REACH_S)] = 1.0
    return gate
