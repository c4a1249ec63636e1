"""How much memory a separation takes, and how much there is: asked before any work is done."""

from __future__ import annotations

import math
from pathlib import Path

__all__ = ["available_bytes", "bytes_per_sample"]

# Measured with scripts/bench_split.py --long, and rounded up.
_SPECTROGRAM = 16  # complex64, half the window's bins, four windows over every sample
_MATRIX = 8  # float32, the same grid
_SAMPLE = 4

_MATRICES = 4
"""Magnitudes, and what is decided on fewer bands, in every method."""

_VOICE_MATRICES = 10
_VOICE_SR = 16000
"""A voice is modelled on that many more, below half of this rate."""

_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")


def bytes_per_sample(n_channels: int, n_sources: int, sr: int, *, voice: bool = False) -> int:
    """Memory that one sample (of all channels) of a recording takes during its separation.

    Parameters
    ----------
    n_channels, n_sources : int > 0
        Of the recording, and wanted.
    sr : int > 0
        Sample rate in Hz.
    voice : bool
        Whether the method follows a voice.

    Returns
    -------
    int
        Bytes.
    """
    matrices = _MATRICES
    if voice:
        matrices += math.ceil(_VOICE_MATRICES * min(1.0, _VOICE_SR / sr))
    recording = n_channels * _SAMPLE
    modelling = n_channels * _SPECTROGRAM + matrices * _MATRIX
    # The spectrogram is gone when the stems are made.
    rendering = n_sources * n_channels * _SAMPLE + matrices * _MATRIX
    return recording + max(modelling, rendering)


def available_bytes() -> int | None:
    """Memory this process may still take; None where the system does not tell.

    Heeds the limit of a container (cgroup v2).
    """
    try:
        lines = _MEMINFO.read_text(encoding="ascii").splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvail"))
    except (OSError, StopIteration, ValueError, IndexError):
        return None
    try:
        limit = int((_CGROUP / "memory.max").read_text(encoding="ascii"))
        used = int((_CGROUP / "memory.current").read_text(encoding="ascii"))
        lines = (_CGROUP / "memory.stat").read_text(encoding="ascii").splitlines()
        # Pages of files that were read: the kernel takes them back when memory is wanted.
        cached = next(int(line.split()[1]) for line in lines if line.startswith("inactive_file"))
    except (OSError, StopIteration, ValueError, IndexError):  # no container, or "max"
        return free
    return max(0, min(free, limit - used + cached))
