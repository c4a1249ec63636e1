"""Folders of stems that are known, for tests of what is made of stems."""

from __future__ import annotations

from dataclasses import replace

import files
import numpy as np
import scenes

import audiosep
from audiosep.types import Audio

SR = 8000


def folder_of(place, stems, *, sr=SR, source=None, **saving):
    """Save stems, arrays (samples,) or (channels, samples), as if a separation had made them."""
    arrays = {name: np.atleast_2d(np.asarray(x, dtype=np.float32)) for name, x in stems.items()}
    mixture = sum(arrays.values())
    result = audiosep.separate(
        mixture if source is None else source,
        None if source else sr,
        **{**files.SMALL_SETTINGS, "n_threads": 1},
    )
    audios = {name: Audio(samples=x, sr=sr) for name, x in arrays.items()}
    result = replace(result, stems=audios, factorization=None, grouping=None)
    result.save(place, **saving)
    return place


def three_notes(duration=4.0, sr=SR):
    """Low notes, high notes, and notes in between that come back every 0.7 seconds."""
    low = scenes.notes(sr, duration, (196.0, 147.0, 110.0), 0.5, amplitudes=(1, 0.6, 0.4))
    high = scenes.notes(sr, duration, (1500.0,), 1.0, start=0.5, length=0.4, amplitudes=(1, 0.2))
    astray = scenes.notes(sr, duration, (700.0,), 0.7, start=0.1, length=0.3, amplitudes=(1, 0.1))
    return 0.3 * low, 0.3 * high, 0.3 * astray
