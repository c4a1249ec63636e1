"""Small pieces for a few instruments whose score is known."""

from __future__ import annotations

import numpy as np
from scenes import time_axis, tone

from audiosep.notes import Note
from audiosep.scores import Score, Track

TIMBRES = {
    "flute": (1.0, 0.25, 0.12, 0.05),
    "reed": (1.0, 0.1, 0.7, 0.08, 0.5, 0.05, 0.3),
    "string": (0.6, 0.8, 0.7, 0.55, 0.5, 0.4, 0.35, 0.3, 0.25, 0.2),
}
# Few octaves and fifths: exact partials that coincide beat for as long as both tones last.
MELODIES = {
    "flute": (76, 79, 77, 74, 72, 76, 74, 79),
    "reed": (63, 66, 61, 64, 66, 63, 69, 65),
    "string": (50, 53, 48, 51, 55, 49, 54, 52),
}
LENGTHS = {"flute": 0.5, "reed": 0.75, "string": 1.0}


def play(track, sr, duration, *, amplitudes, tuning_hz=440.0):
    """A track as tones of one timbre."""
    t = time_axis(sr, duration)
    out = np.zeros_like(t)
    for note in track.notes:
        first, last = np.searchsorted(t, [note.start_s, note.end_s])
        since, left = t[first:last] - note.start_s, note.end_s - t[first:last]
        fade = np.clip(np.minimum(since / 0.02, left / 0.04), 0, 1)
        hz = tuning_hz * 2 ** ((note.pitch - 69) / 12)
        out[first:last] += fade * np.exp(-0.4 * since) * tone(since, hz, amplitudes, sr)
    return (0.1 * out).astype(np.float32)


def piece(duration=4.0, *, begin=0.0):
    """What is played: one line for each instrument, from `begin` on."""
    tracks = []
    for name, melody in MELODIES.items():
        starts = np.arange(begin, duration - 0.1, LENGTHS[name])
        tracks.append(
            Track(
                name=name,
                notes=tuple(
                    Note(
                        start_s=float(start),
                        end_s=float(min(start + 0.95 * LENGTHS[name], duration)),
                        # Lines move on a step each time round, so that no two bars are alike.
                        pitch=melody[i % len(melody)] + 2 * ((i // len(melody)) % 3),
                        strength=0.7,
                    )
                    for i, start in enumerate(starts)
                ),
            )
        )
    return Score(tracks=tuple(tracks))


def stems_of(score, sr=11025, duration=4.0, *, tuning_hz=440.0):
    """What it sounds like."""
    return {
        track.name: play(track, sr, duration, amplitudes=TIMBRES[track.name], tuning_hz=tuning_hz)
        for track in score.tracks
    }


def changed(score, change):
    """The score with each time replaced: ``change(seconds, rng)`` of an array of times."""
    rng = np.random.default_rng(7)
    tracks = []
    for track in score.tracks:
        spans = np.array([(note.start_s, note.end_s) for note in track.notes])
        moved = change(spans, rng)
        tracks.append(
            Track(
                name=track.name,
                notes=tuple(
                    Note(start_s=float(a), end_s=float(b), pitch=n.pitch, strength=n.strength)
                    for (a, b), n in zip(moved, track.notes, strict=True)
                ),
            )
        )
    return Score(tracks=tuple(tracks))


def jittered(score, sd_s=0.3):
    """Every note earlier or later on its own."""
    return changed(score, lambda spans, rng: spans + rng.normal(0.0, sd_s, (len(spans), 1)))
