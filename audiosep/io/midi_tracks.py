"""Several parts in one MIDI file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from audiosep.errors import OutputError
from audiosep.io.evidence import (
    BEATS_PER_MINUTE,
    DRUM_CHANNEL,
    TICKS_PER_BEAT,
    Event,
    timed_messages,
)

__all__ = ["MidiTrack", "write_midi_tracks"]

_CHANNELS = tuple(channel for channel in range(16) if channel != DRUM_CHANNEL)


@dataclass(frozen=True, kw_only=True)
class MidiTrack:
    """What one instrument plays.

    Parameters
    ----------
    name : str
        Of the track.
    events : sequence of (start_s, end_s, number, strength)
        As for :func:`audiosep.io.evidence.write_midi`.
    percussive : bool
        Whether the numbers are drums of General MIDI.
    """

    name: str
    events: Sequence[Event]
    percussive: bool = False


def write_midi_tracks(path: Path, tracks: Sequence[MidiTrack]) -> None:
    """Write parts as a MIDI file of format 1 at 120 beats a minute.

    Drums are on channel 10, the others on one channel each as long as there are any.

    Parameters
    ----------
    path : Path
        Where to.
    tracks : sequence of MidiTrack
        May be empty.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    import mido

    # The names of tracks are text of no certain encoding; most programs try UTF-8 first.
    file = mido.MidiFile(type=1, ticks_per_beat=TICKS_PER_BEAT, charset="utf-8")
    conductor = mido.MidiTrack()
    conductor.append(mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(BEATS_PER_MINUTE)))
    file.tracks.append(conductor)
    pitched = 0
    for part in tracks:
        channel = DRUM_CHANNEL if part.percussive else _CHANNELS[pitched % len(_CHANNELS)]
        pitched += not part.percussive
        track = mido.MidiTrack()
        track.append(mido.MetaMessage("track_name", name=part.name))
        now = 0
        for tick, message in timed_messages(sorted(part.events), channel):
            track.append(message.copy(time=tick - now))
            now = tick
        file.tracks.append(track)
    try:
        file.save(path)
    except OSError as error:
        raise OutputError(f"cannot write {path.name}: {error.strerror}.") from None
