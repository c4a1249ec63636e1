"""How much memory a separation takes, and how much there is: asked before any work is done."""

from __future__ import annotations

import contextlib
import math
from pathlib import Path

from audiosep.chunks import CHUNK_S, MARGIN_S
from audiosep.costs import costs_of

__all__ = [
    "LEAST_CHUNK_S",
    "PROGRAM_BYTES",
    "available_bytes",
    "bytes_per_sample",
    "chunk_s_within",
    "longest_chunk_s",
    "map_large_arrays",
    "memory_of",
]

PROGRAM_BYTES = 140_000_000
"""Memory of the program itself: interpreter, libraries, before anything is separated."""

LEAST_CHUNK_S = 40.0
"""Shortest chunk that a recording is taken apart in where memory is short."""

_M_MMAP_THRESHOLD = -3
_MAPPED_BYTES = 8_000_000

_PRUDENCE = 1.1
"""Predictions are so much higher than what was measured: too much asked for does less harm."""

_STEM_BYTES = 8
"""Of each sample of each stem: as it is made, and as it is written."""

# Of a whole recording, rounded up.
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
    """Memory that one sample of all channels takes where a whole recording is worked on at once.

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


def longest_chunk_s(seconds: float, chunk_s: float = CHUNK_S) -> float:
    """Seconds of a recording that are taken apart at once, with what neighbours share.

    Parameters
    ----------
    seconds : float > 0
        Of the recording.
    chunk_s : float > 0
        Longest chunk, as for :func:`audiosep.chunks.chunks_of`.
    """
    n_chunks = max(1, math.ceil(seconds / chunk_s))
    n_margins = min(n_chunks - 1, 2)
    return seconds / n_chunks + n_margins * MARGIN_S


def memory_of(
    preset: str,
    n_samples: int,
    n_channels: int,
    n_stems: int,
    sr: int,
    *,
    chunk_s: float = CHUNK_S,
) -> int:
    """Memory that taking a recording apart takes, whatever its length.

    Parameters
    ----------
    preset : str
        Name of the recipe.
    n_samples, n_channels : int > 0
        Of the recording.
    n_stems : int > 0
        How many stems there may be.
    sr : int > 0
        Sample rate in Hz.
    chunk_s : float > 0
        Longest chunk in seconds.

    Returns
    -------
    int
        Bytes, beside those of the program itself (:data:`PROGRAM_BYTES`): rather a little too
        many than too few.
    """
    costs, seconds = costs_of(preset), n_samples / sr
    at_once_s = longest_chunk_s(seconds, chunk_s)
    if seconds > chunk_s:
        # A chunk, or the excerpts from which is learnt what holds for all of them.
        at_once_s = max(at_once_s, chunk_s)
        size = costs.memory.of(costs.chunked * at_once_s, n_channels, sr)
    else:
        size = costs.memory.of(at_once_s, n_channels, sr)
    more = max(0, n_stems - costs.n_stems) * at_once_s * sr * n_channels * _STEM_BYTES
    return math.ceil(max(0.0, _PRUDENCE * (size + more) - PROGRAM_BYTES))


def chunk_s_within(
    n_bytes: int, preset: str, n_samples: int, n_channels: int, n_stems: int, sr: int
) -> float | None:
    """Longest chunk that fits into so many bytes.

    Parameters
    ----------
    n_bytes : int
        What may be used, beside the program itself.
    preset, n_samples, n_channels, n_stems, sr
        As for :func:`memory_of`.

    Returns
    -------
    float or None
        Seconds; None where not even short chunks fit.
    """
    for chunk_s in (CHUNK_S, 70.0, 50.0, LEAST_CHUNK_S):
        if memory_of(preset, n_samples, n_channels, n_stems, sr, chunk_s=chunk_s) <= n_bytes:
            return chunk_s
    return None


def map_large_arrays() -> None:
    """Have large arrays go back to the system as soon as they are freed, where glibc is used.

    By itself it keeps ever larger pieces for later, up to 32 MB, between which there is room for
    nothing: the peak of long recordings is higher by a sixth, and differs from run to run. This
    holds for the whole process, so it is for programs to call, not for the library.
    """
    import ctypes

    with contextlib.suppress(OSError, AttributeError, TypeError):  # another C library
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _MAPPED_BYTES)


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
