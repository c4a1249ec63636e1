"""Separation methods, one file each. A new method is one file and one entry here."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from audiosep.errors import UsageError
from audiosep.methods.base import Learner, Learnt, Listener, Method, MethodSettings

__all__ = [
    "LEARNERS",
    "LISTENERS",
    "METHODS",
    "Learner",
    "Learnt",
    "Listener",
    "Method",
    "MethodSettings",
    "load_learner",
    "load_listener",
    "load_method",
]

METHODS: dict[str, str] = {
    "by-example": "audiosep.methods.by_example:model_by_example",
    "components": "audiosep.methods.components:model_components",
    "drums": "audiosep.methods.drums:model_drums",
    "four-stems": "audiosep.methods.four_stems:model_four_stems",
    "harmonic-percussive": "audiosep.methods.harmonic_percussive:model_harmonic_percussive",
    "score": "audiosep.methods.score:model_score",
    "song": "audiosep.methods.four_stems:model_song",
    "speech": "audiosep.methods.speech:model_speech",
    "stems": "audiosep.methods.stems:model_stems",
    "stereo": "audiosep.methods.stereo:model_stereo",
    "vocals": "audiosep.methods.vocals:model_vocals",
}
"""Method names and where their function lives; imported when used."""

LEARNERS: dict[str, str] = {
    "by-example": "audiosep.methods.by_example:learn_by_example",
    "components": "audiosep.methods.components:learn_components",
    "drums": "audiosep.methods.drums:learn_drums",
    "four-stems": "audiosep.methods.four_stems:learn_four_stems",
    "harmonic-percussive": "audiosep.methods.harmonic_percussive:learn_stems",
    "song": "audiosep.methods.four_stems:learn_song",
    "stems": "audiosep.methods.stems:learn_stems",
    "stereo": "audiosep.methods.stereo:learn_stereo",
    "vocals": "audiosep.methods.vocals:learn_vocals",
}
"""Methods that have something to learn about a whole recording, and where; imported when used."""

LISTENERS: dict[str, str] = {
    "score": "audiosep.methods._score_times:ScoreListener",
    "speech": "audiosep.methods.speech:SpeechListener",
}
"""Methods that hear long recordings part by part, and who listens for them; imported when used."""


def load_method(name: str) -> Method:
    """Return the method of that name.

    Raises
    ------
    UsageError
        If there is none.
    """
    if name not in METHODS:
        raise UsageError(f"unknown method {name!r}; there are {', '.join(METHODS)}.")
    module, _, attribute = METHODS[name].partition(":")
    return cast(Method, getattr(import_module(module), attribute))


def load_learner(name: str) -> Learner | None:
    """Return what learns about a whole recording for the method of that name, if anything does."""
    if name not in LEARNERS:
        return None
    module, _, attribute = LEARNERS[name].partition(":")
    return cast(Learner, getattr(import_module(module), attribute))


def load_listener(name: str) -> Listener | None:
    """Return what hears whole recordings for the method of that name, if anything does."""
    if name not in LISTENERS:
        return None
    module, _, attribute = LISTENERS[name].partition(":")
    return cast(Listener, getattr(import_module(module), attribute)())
