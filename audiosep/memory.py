"""How much memory a separation takes, and how much there is: asked before any work is done."""

from __future__ import annotations

from pathlib import Path

__all__ = ["available_bytes", "bytes_per_sample"]

# Measured with scripts/bench_split.py (a 3-minute stereo file peaks near 1 GB) and rounded up.
_SPECTROGRAM = 16  # complex64, half the window's bins, four windows over every sample
_MASK = 8  # float32, the same grid
_WORKSPACE = 5 * _MASK  # magnitudes, bands, evidence
_SAMPLE = 4

_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")


def bytes_per_sample(n_channels: int, n_sources: int) -> int:
    """Memory that one sample (of all channels) of a recording takes during its separation.

    Parameters
    ----------
    n_channels, n_sources : int > 0
        Of the recording, and wanted.

    Returns
    -------
    int
        Bytes.
    """
    recording = 2 * n_channels * _SAMPLE
    stems = n_sources * n_channels * _SAMPLE
    return n_channels * _SPECTROGRAM + n_sources * _MASK + _WORKSPACE + recording + stems


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
