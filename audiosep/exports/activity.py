"""When stems and components sound, and at which frequencies: stretches by level."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.fft import rfft

from audiosep.errors import InputError
from audiosep.exports.stem_folder import StemFolder
from audiosep.factorization_files import StoredFactorization
from audiosep.io.naming import display
from audiosep.io.tapes import FileTape
from audiosep.research.component_facts import component_names
from audiosep.types import FloatArray

__all__ = [
    "COMPONENT_DB",
    "Stretch",
    "bounds_of",
    "component_stretches",
    "merge_runs",
    "spans_of",
    "stem_stretches",
]

BLOCK_S = 0.02
"""Levels of stems are measured over so many seconds."""

BRIDGED_S = 0.2
"""A pause shorter than this belongs to the stretch around it."""

SHORTEST_S = 0.04
"""What is shorter is no stretch."""

FLOOR_DB = -60.0
"""What is quieter than this, below the loudest of all stems, is the rest of another stem."""

COMPONENT_DB = -20.0
"""A component sounds where its activation is above this, below its largest."""

_TAIL, _BOUNDS_S = 0.05, 0.046
_PART_SAMPLES = 1 << 18


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """A part of the recording in which something sounds.

    Parameters
    ----------
    kind : {"stem", "component"}
        What.
    label : str
        Its name.
    start_s, end_s : float
        In seconds, within the recording.
    low_hz, high_hz : float
        Between them lie 90 % of its energy, 5 % below and 5 % above.
    channel : int
        That with the most energy, from 1.
    """

    kind: str
    label: str
    start_s: float
    end_s: float
    low_hz: float
    high_hz: float
    channel: int = 1


def merge_runs(on: npt.NDArray[np.bool_], bridged: float, shortest: float) -> list[tuple[int, int]]:
    """Find stretches of truth, short pauses bridged and short stretches left out.

    Parameters
    ----------
    on : np.ndarray [shape=(n,), dtype=bool]
        What is looked at.
    bridged : float
        Pauses shorter than this many values are filled.
    shortest : float
        Stretches shorter than this many values, pauses filled, are left out.

    Returns
    -------
    list of (int, int)
        First, and one past the last.
    """
    padded = np.concatenate([[False], on, [False]])
    edges = np.flatnonzero(padded[1:] != padded[:-1]).tolist()
    runs: list[tuple[int, int]] = []
    for first, last in zip(edges[::2], edges[1::2], strict=True):
        if runs and first - runs[-1][1] < bridged:
            runs[-1] = (runs[-1][0], last)
        else:
            runs.append((first, last))
    return [(first, last) for first, last in runs if last - first >= shortest]


# --- stems --------------------------------------------------------------------------------------


def stem_stretches(folder: StemFolder, threshold_db: float) -> tuple[Stretch, ...]:
    """Find when each stem sounds, and at which frequencies.

    A stem sounds where the level of 20 ms is above `threshold_db` below its loudest, and above 60
    dB below the loudest of all stems; pauses below 0.2 s are bridged, stretches below 0.04 s left
    out. The stems are read twice, part by part.

    Parameters
    ----------
    folder : StemFolder
        With its stems.
    threshold_db : float < 0
        In dB.

    Returns
    -------
    tuple of Stretch
        Stem by stem, each in order of time.

    Raises
    ------
    InputError
        If a stem cannot be read, or holds samples that are no numbers.
    """
    block = max(1, round(BLOCK_S * folder.sr))
    levels = {name: _levels(path, block) for name, path in folder.stems.items()}
    loudest = max((float(level.max()) for level in levels.values()), default=0.0)
    bridged, shortest = (s * folder.sr / block for s in (BRIDGED_S, SHORTEST_S))
    found: list[Stretch] = []
    for name, level in levels.items():
        least = max(
            float(level.max()) * 10 ** (threshold_db / 20), loudest * 10 ** (FLOOR_DB / 20), 1e-9
        )
        runs = merge_runs(level > least, bridged, shortest)
        tape = FileTape.of_stem(folder.stems[name], 1.0)
        for first, last in runs:
            start, end = first * block, min(last * block, folder.n_samples)
            low_hz, high_hz, channel = _bounds_of_part(tape, start, end)
            found.append(
                Stretch(
                    kind="stem",
                    label=name,
                    start_s=start / folder.sr,
                    end_s=end / folder.sr,
                    low_hz=low_hz,
                    high_hz=high_hz,
                    channel=channel,
                )
            )
        tape.close()
    return tuple(found)


def _levels(path: Path, block: int) -> npt.NDArray[np.float64]:
    """Root mean square of each block over all channels."""
    tape = FileTape.of_stem(path, 1.0)
    levels = []
    try:
        for samples in _parts(tape, 0, tape.n_samples, block * max(1, _PART_SAMPLES // block)):
            squares = np.square(samples, dtype=np.float64).mean(axis=0)
            starts = np.arange(0, squares.size, block)
            counts = np.minimum(block, squares.size - starts)
            levels.append(np.sqrt(np.add.reduceat(squares, starts) / counts))
    except InputError as error:
        words = str(error)  # what is wrong with samples does not say of which file
        raise InputError(words if str(path) in words else f"{display(path)}: {words}") from None
    finally:
        tape.close()
    return np.concatenate(levels)


def _parts(tape: FileTape, start: int, end: int, length: int) -> Iterator[npt.NDArray[np.float32]]:
    for first in range(start, end, length):
        yield tape.part(first, min(first + length, end)).samples


def _bounds_of_part(tape: FileTape, start: int, end: int) -> tuple[float, float, int]:
    n_fft = 1 << max(6, round(np.log2(_BOUNDS_S * tape.sr)))
    power = np.zeros((tape.n_channels, 1 + n_fft // 2))
    window = np.hanning(n_fft + 1)[:-1].astype(np.float32)
    for samples in _parts(tape, start, end, _PART_SAMPLES):
        n_frames = max(1, round(samples.shape[1] / (n_fft // 2)) - 1)
        wanted = (n_frames + 1) * (n_fft // 2)
        padded = np.pad(samples, ((0, 0), (0, max(0, wanted - samples.shape[1]))))
        frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft, axis=1)
        kept = frames[:, :: n_fft // 2][:, :n_frames]
        spectra = rfft(kept * window, axis=2)
        power += np.square(np.abs(spectra), dtype=np.float64).sum(axis=1)
    low_hz, high_hz = bounds_of(power.sum(axis=0), tape.sr / n_fft, tape.sr / 2)
    return low_hz, high_hz, 1 + int(power.sum(axis=1).argmax())


def bounds_of(power: FloatArray, bin_hz: float, top_hz: float) -> tuple[float, float]:
    """Find between which frequencies the middle 90 % of the energy lie; at least one bin.

    Parameters
    ----------
    power : np.ndarray [shape=(n_bins,)]
        Energy in each bin.
    bin_hz, top_hz : float
        Distance of the bins in Hz, and the highest frequency there is.

    Returns
    -------
    low_hz, high_hz : float
    """
    running = np.cumsum(power, dtype=np.float64)
    if running[-1] <= 0.0:
        return 0.0, top_hz
    low, high = np.searchsorted(running, running[-1] * np.array([_TAIL, 1.0 - _TAIL]))
    last = len(power) - 1
    return (
        max(0.0, (min(int(low), last) - 0.5) * bin_hz),
        min(top_hz, (min(int(high), last) + 0.5) * bin_hz),
    )


# --- components ---------------------------------------------------------------------------------


def component_stretches(stored: StoredFactorization) -> tuple[Stretch, ...]:
    """Find when each component sounds.

    That is where its activation is above a tenth (-20 dB) of its largest, pauses and short
    stretches as with stems; the frequencies are those of its template.

    Parameters
    ----------
    stored : StoredFactorization
        As it lies beside the stems.

    Returns
    -------
    tuple of Stretch
        Component by component, each in order of time.
    """
    top_hz, duration_s, frame_s = stored.sr / 2, stored.n_samples / stored.sr, stored.frame_s
    found = []
    for k, name in enumerate(component_names(stored.n_components)):
        row = stored.activations[k]
        template = stored.templates[:, k].astype(np.float64)
        if not row.any() or not template.any():
            continue
        low_hz, high_hz = bounds_of(np.square(template), stored.bin_hz, top_hz)
        on = row > row.max() * 10 ** (COMPONENT_DB / 20)
        found += [
            Stretch(
                kind="component", label=name, start_s=a, end_s=b, low_hz=low_hz, high_hz=high_hz
            )
            for a, b in spans_of(on, frame_s, 0.0, duration_s)
        ]
    return tuple(found)


def spans_of(
    on: npt.NDArray[np.bool_], frame_s: float, start_s: float, end_s: float
) -> Iterator[tuple[float, float]]:
    """Give the seconds in which something is on; pauses bridged, what is too short left out.

    Parameters
    ----------
    on : np.ndarray of bool [shape=(n_frames,)]
        Frame by frame.
    frame_s : float
        Time between frames in seconds.
    start_s, end_s : float
        Where in the recording the first frame is, and where what was looked at ends.

    Yields
    ------
    float, float
        Beginning and end in seconds of the recording.
    """
    for first, last in merge_runs(on, BRIDGED_S / frame_s, SHORTEST_S / frame_s):
        # Frames stand for the time half a hop around their middle.
        begins_s = max(start_s, start_s + (first - 0.5) * frame_s)
        ends_s = min(end_s, start_s + (last - 0.5) * frame_s)
        if begins_s < ends_s:
            yield begins_s, ends_s
