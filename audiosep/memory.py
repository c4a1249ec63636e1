"""How much memory a separation takes, and how much there is: asked before any work is done."""

from __future__ import annotations

import contextlib
import math
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from audiosep.chunks import CHUNK_S, MARGIN_S
from audiosep.costs import costs_of
from audiosep.errors import RefusedError

__all__ = [
    "LEAST_CHUNK_S",
    "PROGRAM_BYTES",
    "Work",
    "available_bytes",
    "chunk_s_for",
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

_SAMPLE_BYTES = 4
_ENDLESS = 1000
"""Chunks of a recording that is so long that its length no longer matters."""

_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")


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


def chunk_s_for(
    max_memory: int | None, preset: str, n_samples: int, n_channels: int, n_stems: int, sr: int
) -> float:
    """Longest chunk in seconds that fits into the memory that may be used.

    Without a limit it is always the same, so that stems do not depend on the machine.

    Parameters
    ----------
    max_memory : int or None
        Bytes that may be used, beside the program itself; None for what is free.
    preset, n_samples, n_channels, n_stems, sr
        As for :func:`memory_of`.

    Returns
    -------
    float

    Raises
    ------
    RefusedError
        If what is needed is more than may be used, or than is free.
    """
    about = (preset, n_samples, n_channels, n_stems, sr)
    if max_memory is None:
        free, needed = available_bytes(), memory_of(*about)
        if free is None or needed <= free:
            return CHUNK_S
        raise RefusedError(
            f"taking it apart takes about {needed / 1e6:.0f} MB of memory and "
            f"{free / 1e6:.0f} MB are free; free some, or have it done in shorter chunks with "
            f"--max-memory {max(1, round(0.9 * free / 1e6))}M."
        )
    chunk_s = chunk_s_within(max_memory, *about)
    if chunk_s is None:
        least = memory_of(*about, chunk_s=LEAST_CHUNK_S)
        raise RefusedError(
            f"taking it apart takes about {least / 1e6:.0f} MB of memory, even in short "
            f"chunks, and {max_memory / 1e6:.0f} MB may be used; free some, or allow more with "
            "--max-memory."
        )
    return chunk_s


@dataclass(frozen=True, kw_only=True)
class Work:
    """What is to be done with a recording that is in memory as a whole.

    Parameters
    ----------
    preset : str
        Recipe whose costs were measured.
    n_stems : int > 0
        How many stems there may be; they stay in memory, too.
    chunk_s : float > 0
        Longest chunk in seconds; infinity for what is done with the whole at once.
    """

    preset: str
    n_stems: int
    chunk_s: float = CHUNK_S

    def needs(self, n_samples: int, n_channels: int, sr: int) -> int:
        """Bytes that it takes, beside those of the program itself."""
        about = (self.preset, n_samples, n_channels, self.n_stems, sr)
        return memory_of(*about, chunk_s=self.chunk_s) + self._kept(n_samples, n_channels, sr)

    def most_samples(self, n_channels: int, sr: int) -> int | None:
        """How long a recording may be for what is free now; None where nobody can tell."""
        free = available_bytes()
        if free is None:
            return None
        if math.isinf(self.chunk_s):
            last = free // (_SAMPLE_BYTES * n_channels)
            return _last_of(last, lambda n: self.needs(n, n_channels, sr) <= free)
        chunk = math.floor(self.chunk_s * sr)
        endless = self.needs(_ENDLESS * chunk, n_channels, sr)
        each = _SAMPLE_BYTES * n_channels * (1 + self.n_stems)
        beyond = (free - endless) // each + _ENDLESS * chunk
        if beyond > chunk:
            return beyond
        return _last_of(chunk, lambda n: self.needs(n, n_channels, sr) <= free)

    def check(self, n_samples: int, n_channels: int, sr: int) -> None:
        """Refuse a recording that is in memory already and too long for what is free beside it.

        Raises
        ------
        RefusedError
            If it is.
        """
        most = self.most_samples(n_channels, sr)
        if most is not None and n_samples > most:
            other = "" if math.isinf(self.chunk_s) else ", or write its stems with Separator.split"
            raise RefusedError(
                f"the recording is longer than the {most / sr:.0f} s that fit into free memory; "
                f"take it in parts{other}."
            )

    def _kept(self, n_samples: int, n_channels: int, sr: int) -> int:
        """Bytes of the recording and its stems where only a part of them is worked on at once."""
        if n_samples <= self.chunk_s * sr:
            return 0
        return _SAMPLE_BYTES * n_channels * (1 + self.n_stems) * n_samples


def _last_of(most: int, fits: Callable[[int], bool]) -> int:
    """Largest number up to `most` that fits, where smaller ones do as well."""
    return max(0, bisect_right(range(most + 1), 0, key=lambda n: 0 if fits(n) else 1) - 1)


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
