"""What a folder of stems has to say to other programs, gathered once for all formats."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from audiosep.exports.activity import Stretch, component_stretches, stem_stretches
from audiosep.exports.stem_folder import StemFolder
from audiosep.notes import notes_of
from audiosep.research.component_facts import component_energy, component_names, describe_components

__all__ = ["Contents", "Played", "Struck", "note_name", "plain", "seconds"]

MELODY = "melody"

_NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
_STEPS_PER_S = 10**6


@dataclass(frozen=True, kw_only=True)
class Played:
    """A note.

    Parameters
    ----------
    part : str
        Who plays it: ``"melody"``, or the stem of a component.
    start_s, end_s : float
        In seconds, within the recording.
    pitch : int
        MIDI number.
    strength : float
        0 to 1.
    """

    part: str
    start_s: float
    end_s: float
    pitch: int
    strength: float


@dataclass(frozen=True, kw_only=True)
class Struck:
    """An onset: what, when in seconds, and how strong from 0 to 1."""

    label: str
    time_s: float
    strength: float


class Contents:
    """Onsets, notes and stretches of a folder, each found when it is first asked for.

    Parameters
    ----------
    folder : StemFolder
        Opened.
    threshold_db : float < 0
        How far below its loudest a stem still sounds.
    """

    def __init__(self, folder: StemFolder, threshold_db: float) -> None:
        self.folder = folder
        self.threshold_db = threshold_db

    @cached_property
    def onsets(self) -> tuple[Struck, ...]:
        """In order of time; those beyond the end are left out."""
        onsets = self.folder.onsets
        if onsets is None:
            return ()
        rows = zip(onsets.labels, onsets.times_s.tolist(), onsets.strengths.tolist(), strict=True)
        return tuple(
            Struck(label=label, time_s=t, strength=s)
            for label, t, s in rows
            if 0.0 <= t < self.folder.duration_s
        )

    @cached_property
    def notes(self) -> tuple[Played, ...]:
        """Of the melody, and of components that have a pitch: where they sound."""
        return (*self._melody_notes(), *self._component_notes())

    @cached_property
    def stems(self) -> tuple[Stretch, ...]:
        """When each stem sounds."""
        return stem_stretches(self.folder, self.threshold_db)

    @cached_property
    def components(self) -> tuple[Stretch, ...]:
        """When each component sounds."""
        stored = self.folder.stored
        return () if stored is None else component_stretches(stored)

    def _melody_notes(self) -> Iterable[Played]:
        melody, duration_s = self.folder.melody, self.folder.duration_s
        for note in () if melody is None else notes_of(melody):
            end_s = min(note.end_s, duration_s)
            if note.start_s < end_s:
                yield Played(
                    part=MELODY,
                    start_s=note.start_s,
                    end_s=end_s,
                    pitch=note.pitch,
                    strength=note.strength,
                )

    def _component_notes(self) -> Iterable[Played]:
        stored = self.folder.stored
        if stored is None:
            return
        names = component_names(stored.n_components)
        facts = dict(zip(names, describe_components(stored), strict=True))
        # The largest magnitude of each, so that quiet components play quietly.
        peaks = stored.templates.sum(axis=0) * stored.activations.max(axis=1)
        loudest = max(float(peaks.max()), 1e-30)
        audible = component_energy(stored.templates, stored.activations) > 0
        for stretch in self.components:
            fact = facts[stretch.label]
            if fact.pitch_hz is None or not audible[fact.number - 1]:
                continue
            pitch = round(69 + 12 * math.log2(fact.pitch_hz / 440.0))
            strength = math.sqrt(float(peaks[fact.number - 1]) / loudest)
            yield Played(
                part=fact.stem,
                start_s=stretch.start_s,
                end_s=stretch.end_s,
                pitch=int(np.clip(pitch, 0, 127)),
                strength=min(1.0, strength),
            )


def note_name(pitch: int) -> str:
    """Name of a MIDI number, for example ``"C4"`` of 60."""
    return f"{_NAMES[pitch % 12]}{pitch // 12 - 1}"


def plain(text: str) -> str:
    """Text that cannot break a line or a column: what is not printable becomes a space."""
    printable = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(printable.split()) or "unnamed"


def seconds(value: float) -> str:
    """Seconds with six digits, rounded down so that no end is behind that of the recording."""
    return f"{math.floor(round(value * _STEPS_PER_S, 3)) / _STEPS_PER_S:.6f}"
