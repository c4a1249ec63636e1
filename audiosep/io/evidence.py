"""What a separation heard, for other programs: melodies and onsets as CSV and MIDI files."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from audiosep.errors import OutputError
from audiosep.types import Melody, Onsets

if TYPE_CHECKING:
    import mido

__all__ = [
    "BEATS_PER_MINUTE",
    "COWBELL",
    "DRUM_CHANNEL",
    "DRUM_NOTES",
    "EVIDENCE_NAMES",
    "HIT_S",
    "TICKS_PER_BEAT",
    "TICKS_PER_S",
    "timed_messages",
    "write_drum_midi",
    "write_melody",
    "write_midi",
    "write_onsets",
    "write_text",
]

EVIDENCE_NAMES = (
    *("melody.csv", "melody.mid", "onsets.csv", "onsets.mid"),
    "factorization.safetensors",
)
"""Files that may come with stems."""

DRUM_NOTES = {
    "kick": 36,
    "snare": 38,
    "clap": 39,
    "hihat": 42,
    "tom": 45,
    "cymbal": 49,
}
"""General MIDI numbers of drums; any other label sounds as a cowbell."""

COWBELL = 56
DRUM_CHANNEL = 9  # the tenth
_VOICE_CHANNEL = 0
TICKS_PER_BEAT = 960
BEATS_PER_MINUTE = 120
TICKS_PER_S = TICKS_PER_BEAT * BEATS_PER_MINUTE // 60
HIT_S = 0.1

Event = tuple[float, float, int, float]
"""Start and end in seconds, MIDI number, strength from 0 to 1."""


def write_melody(path: Path, melody: Melody) -> None:
    """Write a melody as a table: ``time_s,f0_hz,strength`` with 0 Hz where nothing sings.

    Parameters
    ----------
    path : Path
        Where to: a header and one line a frame.
    melody : Melody
        To write down, line by line: of a night, the text is larger than the melody.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    rows = zip(melody.times_s, melody.f0_hz, melody.strengths, strict=True)
    lines = ((f"{t:.4f}", f"{f:.2f}", f"{s:.4f}") for t, f, s in rows)
    _write_table(path, ("time_s", "f0_hz", "strength"), lines)


def write_onsets(path: Path, onsets: Onsets) -> None:
    """Write onsets as a table: ``time_s,label,strength``.

    Parameters
    ----------
    path : Path
        Where to: a header and one line an onset.
    onsets : Onsets
        To write down.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    rows = zip(onsets.times_s, onsets.labels, onsets.strengths, strict=True)
    lines = ((f"{t:.4f}", label, f"{s:.4f}") for t, label, s in rows)
    _write_table(path, ("time_s", "label", "strength"), lines)


def _write_table(path: Path, header: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(header)
            writer.writerows(rows)
    except OSError as error:
        raise OutputError(f"cannot write {path.name}: {error.strerror}.") from None


def write_text(path: Path, text: str) -> None:
    """Write a text file.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    try:
        path.write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        raise OutputError(f"cannot write {path.name}: {error.strerror}.") from None


def write_drum_midi(path: Path, onsets: Onsets) -> None:
    """Write onsets as a MIDI file of General MIDI drums on channel 10, at 120 beats a minute.

    Parameters
    ----------
    path : Path
        Where to.
    onsets : Onsets
        Each is a note of 0.1 s, its strength the velocity.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    rows = zip(onsets.times_s, onsets.labels, onsets.strengths, strict=True)
    events = [(t, t + HIT_S, DRUM_NOTES.get(label, COWBELL), s) for t, label, s in rows]
    write_midi(path, events, channel=DRUM_CHANNEL)


def write_midi(path: Path, events: Iterable[Event], *, channel: int = _VOICE_CHANNEL) -> None:
    """Write notes as a MIDI file at 120 beats a minute.

    Parameters
    ----------
    path : Path
        Where to.
    events : iterable of (start_s, end_s, number, strength)
        Seconds, MIDI number and 0 to 1; velocities go from 1 to 127. A note that is struck again
        ends before.
    channel : int
        0 to 15.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    import mido

    track = mido.MidiTrack()
    # Not every program takes the standard's 120 beats for granted.
    track.append(mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(BEATS_PER_MINUTE)))
    now = 0
    for tick, message in timed_messages(sorted(events), channel):
        track.append(message.copy(time=tick - now))
        now = tick
    file = mido.MidiFile(type=0, ticks_per_beat=TICKS_PER_BEAT)
    file.tracks.append(track)
    try:
        file.save(path)
    except OSError as error:
        raise OutputError(f"cannot write {path.name}: {error.strerror}.") from None


def timed_messages(events: list[Event], channel: int) -> list[tuple[int, mido.Message]]:
    """Return the messages of notes in order of time, each with the tick it is due at."""
    import mido

    following: dict[int, int] = {}
    timed = []
    for start_s, end_s, number, strength in reversed(events):
        start = round(start_s * TICKS_PER_S)
        if following.get(number) == start:
            continue  # struck twice at once sounds once
        end = max(start + 1, round(end_s * TICKS_PER_S))
        end = min(end, following.get(number, end))
        following[number] = start
        velocity = max(1, min(127, round(127 * strength)))
        on = mido.Message("note_on", note=number, velocity=velocity, channel=channel)
        off = mido.Message("note_off", note=number, channel=channel)
        # Ends before beginnings at the same tick, or a note struck again would be silenced.
        timed += [(start, 1, number, on), (end, 0, number, off)]
    timed.sort(key=lambda entry: entry[:3])
    return [(tick, message) for tick, _, _, message in timed]
