"""Notes of MIDI files."""

from __future__ import annotations

import io
from collections import defaultdict, deque
from itertools import chain, pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from audiosep.errors import InputError
from audiosep.io.score_parts import ScoreNote, ScorePart, check_count

if TYPE_CHECKING:
    import mido

__all__ = ["GENERAL_MIDI", "parts_of_midi"]

_DRUM_CHANNEL = 9  # the tenth
_DEFAULT_TEMPO = 500_000
_DRUMS = "drums"

GENERAL_MIDI = (
    *("piano", "bright piano", "electric grand", "honky-tonk piano", "electric piano"),
    *("electric piano 2", "harpsichord", "clavinet", "celesta", "glockenspiel", "music box"),
    *("vibraphone", "marimba", "xylophone", "tubular bells", "dulcimer", "drawbar organ"),
    *("percussive organ", "rock organ", "church organ", "reed organ", "accordion", "harmonica"),
    *("bandoneon", "nylon guitar", "steel guitar", "jazz guitar", "clean guitar"),
    *("muted guitar", "overdriven guitar", "distorted guitar", "guitar harmonics"),
    *("acoustic bass", "fingered bass", "picked bass", "fretless bass", "slap bass"),
    *("slap bass 2", "synth bass", "synth bass 2", "violin", "viola", "cello", "contrabass"),
    *("tremolo strings", "pizzicato strings", "harp", "timpani", "strings", "slow strings"),
    *("synth strings", "synth strings 2", "choir", "voice", "synth voice", "orchestra hit"),
    *("trumpet", "trombone", "tuba", "muted trumpet", "horn", "brass", "synth brass"),
    *("synth brass 2", "soprano sax", "alto sax", "tenor sax", "baritone sax", "oboe"),
    *("english horn", "bassoon", "clarinet", "piccolo", "flute", "recorder", "pan flute"),
    *("bottle", "shakuhachi", "whistle", "ocarina", "square lead", "sawtooth lead"),
    *("calliope lead", "chiff lead", "charang lead", "voice lead", "fifths lead", "bass lead"),
    *("new age pad", "warm pad", "polysynth pad", "choir pad", "bowed pad", "metallic pad"),
    *("halo pad", "sweep pad", "rain", "soundtrack", "crystal", "atmosphere", "brightness"),
    *("goblins", "echoes", "science fiction", "sitar", "banjo", "shamisen", "koto", "kalimba"),
    *("bagpipe", "fiddle", "shanai", "tinkle bell", "agogo", "steel drums", "woodblock"),
    *("taiko", "melodic tom", "synth drum", "reverse cymbal", "fret noise", "breath noise"),
    *("seashore", "bird", "telephone", "helicopter", "applause", "gunshot"),
)
"""What programs 0 to 127 sound like, for tracks without a name."""


def parts_of_midi(content: bytes) -> list[ScorePart]:
    """Parts of a MIDI file: one per track, or one per channel where one track holds everything.

    Tempo changes are heeded, whatever track they are in. A note ends when it is released, however
    the pedal is held; one that is struck again before it is released ends with the first release,
    the next with the second. What is never released ends with its track.

    Parameters
    ----------
    content : bytes
        A whole file.

    Returns
    -------
    list of ScorePart
        Tracks that only hold tempo or text are left out; those of an instrument that plays nothing
        are not.

    Raises
    ------
    InputError
        If it is damaged, or has more notes than any piece.
    """
    file = _opened(content)
    tempos = [_tempos(track) for track in file.tracks]
    # The tracks of type 2 are pieces of their own, each with its tempo.
    shared = None if file.type == 2 else _Clock(file.ticks_per_beat, [*chain(*tempos)])
    tracks = [_Track(track) for track in file.tracks]
    alone = sum(track.plays for track in tracks) == 1
    parts = []
    for track, own in zip(tracks, tempos, strict=True):
        if not track.plays:
            continue
        clock = shared or _Clock(file.ticks_per_beat, own)
        for channel in track.channels if alone else [None]:
            named = not alone or len(track.channels) == 1
            parts.append(track.part(channel, clock, named=named))
    check_count(sum(len(part.notes) for part in parts))
    return parts


def _opened(content: bytes) -> mido.MidiFile:
    import mido
    from mido.midifiles.meta import KeySignatureError

    damaged = (OSError, EOFError, ValueError, LookupError, TypeError, OverflowError)
    try:
        # Data bytes beyond 127 are a common slip of programs that write them.
        return mido.MidiFile(file=io.BytesIO(content), clip=True)
    except (*damaged, KeySignatureError) as error:
        # What else there is to say is of bytes.
        why = "" if str(error) else " (it breaks off)"
        raise InputError(f"it is a damaged MIDI file{why}; export it again.") from None


class _Clock:
    """From ticks to seconds."""

    def __init__(self, ticks_per_beat: int, changes: list[tuple[int, int]]) -> None:
        ticks = [0]
        tempos = [_DEFAULT_TEMPO]
        for tick, tempo in sorted(changes, key=lambda change: change[0]):
            if tick == ticks[-1]:
                tempos[-1] = tempo
            else:
                ticks.append(tick)
                tempos.append(tempo)
        self._rates = np.array([_s_per_tick(ticks_per_beat, tempo) for tempo in tempos])
        self._ticks = np.array(ticks, dtype=np.float64)
        steps = [b - a for a, b in pairwise(ticks)]
        self._starts = np.concatenate([[0.0], np.cumsum(np.array(steps) * self._rates[:-1])])

    def seconds(self, ticks: npt.ArrayLike) -> npt.NDArray[np.float64]:
        at = np.asarray(ticks, dtype=np.float64)
        piece = np.searchsorted(self._ticks, at, side="right") - 1
        return np.asarray(self._starts[piece] + (at - self._ticks[piece]) * self._rates[piece])


def _s_per_tick(ticks_per_beat: int, tempo: int) -> float:
    if ticks_per_beat > 0:
        return tempo * 1e-6 / ticks_per_beat
    # Frames of film in the high byte, negative; ticks per frame in the low one.
    frames, parts = -(ticks_per_beat >> 8), ticks_per_beat & 0xFF
    if frames <= 0 or parts == 0:
        raise InputError("it is a damaged MIDI file (it says no tempo); export it again.")
    return 1.0 / (frames * parts)


def _tempos(track: mido.MidiTrack) -> list[tuple[int, int]]:
    now, found = 0, []
    for message in track:
        now += message.time
        if message.type == "set_tempo":
            found.append((now, message.tempo))
    return found


class _Track:
    """One track, its messages sorted out once."""

    def __init__(self, track: mido.MidiTrack) -> None:
        self.names: list[str] = []
        self.programs: dict[int, int] = {}
        self.channels: list[int] = []
        self._notes: dict[int, list[tuple[int, int, int, int]]] = defaultdict(list)
        held: dict[tuple[int, int], deque[tuple[int, int]]] = defaultdict(deque)
        now = 0
        instrument = False
        for message in track:
            now += message.time
            if message.type in ("track_name", "instrument_name"):
                self.names.append(_text(message.name))
                instrument = instrument or message.type == "instrument_name"
            if not hasattr(message, "channel"):
                continue
            channel = message.channel
            instrument = True
            if message.type == "program_change":
                self.programs.setdefault(channel, message.program)
            elif message.type == "note_on" and message.velocity > 0:
                held[channel, message.note].append((now, message.velocity))
            elif message.type in ("note_on", "note_off") and held[channel, message.note]:
                start, velocity = held[channel, message.note].popleft()
                self._notes[channel].append((start, now, message.note, velocity))
        for (channel, note), starts in held.items():
            self._notes[channel] += [(start, now, note, velocity) for start, velocity in starts]
        check_count(sum(map(len, self._notes.values())))
        self.channels = sorted(set(self._notes) | set(self.programs)) or [0]
        if self._notes:
            self.channels = sorted(channel for channel in self._notes if self._notes[channel])
        self.plays = instrument

    def part(self, channel: int | None, clock: _Clock, *, named: bool) -> ScorePart:
        """What all channels play, or one."""
        channels = self.channels if channel is None else [channel]
        rows = [row for one in channels for row in self._notes.get(one, ())]
        starts = clock.seconds([row[0] for row in rows])
        ends = clock.seconds([row[1] for row in rows])
        notes: list[ScoreNote] = [
            (float(start), float(end), row[2], row[3] / 127.0)
            for start, end, row in zip(starts, ends, rows, strict=True)
        ]
        percussive = all(one == _DRUM_CHANNEL for one in channels)
        name = next((name for name in self.names if name.strip()), "") if named else ""
        if not name and percussive:
            name = _DRUMS
        if not name and channels[0] in self.programs:
            name = GENERAL_MIDI[self.programs[channels[0]] & 0x7F]
        return ScorePart(name=name, notes=tuple(notes), percussive=percussive)


def _text(name: str) -> str:
    """The standard says ASCII; programs write UTF-8 or Latin-1, which mido takes it for."""
    try:
        return name.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return name
