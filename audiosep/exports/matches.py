"""Where the sounds of a dictionary were found, as stretches for Raven and Audacity."""

from __future__ import annotations

import numpy as np

from audiosep.dictionaries import Dictionary
from audiosep.exports.activity import COMPONENT_DB, Stretch, bounds_of, spans_of
from audiosep.research.matching import Match

__all__ = ["LEAST_SHARE", "match_stretches"]

LEAST_SHARE = 0.1
"""A sound that explains less of a frame than this is taken for not there."""

_N_FFT = 4096


def match_stretches(
    match: Match, dictionary: Dictionary, *, sr: int, start_s: float, end_s: float
) -> tuple[Stretch, ...]:
    """Find the stretches in which each sound of a dictionary occurs.

    That is where the magnitude that it explains is within 20 dB of its largest, and a tenth of the
    frame at least; pauses below 0.2 s are bridged, stretches below 0.04 s left out.

    Parameters
    ----------
    match : Match
        Of the dictionary with a recording.
    dictionary : Dictionary
        The same; its templates tell the frequencies.
    sr : int
        Sample rate of the recording in Hz.
    start_s, end_s : float
        Where in the recording the first frame is, and where what was looked at ends.

    Returns
    -------
    tuple of Stretch
        Sound by sound, each in order of time, in seconds of the recording.
    """
    if match.times_s.size < 2:
        return ()
    frame_s = float(match.times_s[1] - match.times_s[0])
    power = np.square(dictionary.on_bins(sr, _N_FFT), dtype=np.float64)
    found = []
    for label, level, share in zip(match.labels, match.levels, match.shares, strict=True):
        if not level.any():
            continue
        mine = np.array([one == label for one in dictionary.labels])
        low_hz, high_hz = bounds_of(power[:, mine].sum(axis=1), sr / _N_FFT, sr / 2)
        on = (level > level.max() * 10 ** (COMPONENT_DB / 20)) & (share >= LEAST_SHARE)
        found += [
            Stretch(kind="match", label=label, start_s=a, end_s=b, low_hz=low_hz, high_hz=high_hz)
            for a, b in spans_of(on, frame_s, start_s, end_s)
        ]
    return tuple(found)
