"""What each method does with an example: seen and heard on the pages of the methods."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

import audiosep

AUDIO = Path(__file__).resolve().parent.parent / "examples" / "audio"
PANS = {"flute": -60, "clarinet": 0, "cello": 40}
"""Places of the trio in percent, from left to right, as on the page of the method."""


def _trio_in_stereo() -> audiosep.Audio:
    parts = []
    for name, pan in PANS.items():
        part = audiosep.read(AUDIO / "bach_trio" / f"ref_{name}.flac")
        angle = (1 + pan / 100) * np.pi / 4
        parts.append(np.outer([np.cos(angle), np.sin(angle)], part.samples[0]))
    return audiosep.Audio(samples=np.sum(parts, axis=0).astype(np.float32), sr=part.sr)


def _of(item: str, **settings: object) -> audiosep.Separation:
    return audiosep.Separator(**settings).separate(AUDIO / item / "mixture.flac")


METHODS: dict[str, Callable[[], audiosep.Separation]] = {
    "vocals": lambda: _of("song", preset="vocals"),
    "four-stems": lambda: _of("song", preset="four-stems"),
    "stems": lambda: _of("band", preset="stems"),
    "drums": lambda: _of("drum_loop", preset="drums"),
    "harmonic-percussive": lambda: _of("band", preset="harmonic-percussive"),
    "by-example": lambda: _of("drum_loop", examples={"hihat": "@1.0-1.24"}, rest="drums"),
    "speech": lambda: _of("speech_printer", preset="speech"),
    "score": lambda: _of("bach_trio", score=AUDIO / "bach_trio" / "score.mid"),
    "stereo": lambda: audiosep.Separator(preset="stereo").separate(_trio_in_stereo()),
    "components": lambda: _of("drum_loop", preset="components", n_sources=3),
}
"""What is shown on the page of each method; ``auto`` is one of the others."""
