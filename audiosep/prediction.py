"""How long a separation will take here, and how much room its stems will need."""

from __future__ import annotations

import math
import shutil
import statistics
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import scipy.fft

from audiosep.chunks import CHUNK_S, MARGIN_S
from audiosep.costs import costs_of
from audiosep.errors import OutputError
from audiosep.threads import n_processors

__all__ = ["check_room", "fewest_stems", "free_bytes", "probe_s", "seconds_of", "stems_bytes"]

_TURNS = 9
_HEADER = 1024
_FLAC = 0.6
"""What is left of a sample in FLAC: of music, about."""


def seconds_of(
    preset: str,
    n_samples: int,
    n_channels: int,
    sr: int,
    *,
    n_threads: int = 1,
) -> float:
    """Predict how long taking a recording apart takes on this machine, if it does nothing else.

    With the preset's own settings: more components, iterations or examples take longer.

    Parameters
    ----------
    preset : str
        Name of the recipe.
    n_samples, n_channels, sr : int > 0
        Of the recording.
    n_threads : int > 0
        Threads that it may use.

    Returns
    -------
    float
        Seconds of a process of its own, from its start to its end.
    """
    costs, seconds = costs_of(preset), n_samples / sr
    n_chunks = max(1, math.ceil(seconds / CHUNK_S))
    given_s = seconds + (n_chunks - 1) * 2 * MARGIN_S
    taken = costs.seconds.of(given_s, n_channels, sr)
    if n_chunks > 1:
        taken += costs.learnt_s(CHUNK_S, n_channels, sr)
    at_once = min(n_threads, n_processors())
    # Less than one processor slows down everything, more only what threads share.
    share = 1.0 - costs.parallel + costs.parallel / at_once if at_once > 1 else 1.0 / at_once
    return taken * share * probe_s() / costs.probe_s


@cache
def probe_s() -> float:
    """Measure this machine: seconds of processor time for work such as methods do.

    Always the same work: transforms, products of matrices, divisions, sums of what no cache holds.
    The median of several turns of each, because a separation meets the slow moments of a machine
    as well as the fast ones; and the geometric mean of the four, so that all count alike. Measured
    once in a process, in about 0.3 s.
    """
    kernels = _kernels()
    taken = [[_timed(kernel) for kernel in kernels] for _ in range(_TURNS)][1:]
    return math.exp(
        statistics.fmean(math.log(statistics.median(t)) for t in zip(*taken, strict=True))
    )


def _timed(kernel: Callable[[], object]) -> float:
    began = time.thread_time()
    kernel()
    return max(1e-9, time.thread_time() - began)


def _kernels() -> tuple[Callable[[], object], ...]:
    """Work of about 5 ms each: that of methods, in small."""
    rng = np.random.default_rng(0)
    frames = rng.standard_normal((64, 4096)).astype(np.float32)
    templates = rng.random((1025, 32), dtype=np.float32)
    activations = rng.random((32, 512), dtype=np.float32)
    model = templates @ activations
    few = rng.random(16_384, dtype=np.float32) + np.float32(1)
    ratio = np.empty_like(few)
    many = rng.random((3, 2_000_000), dtype=np.float32)

    def transforms() -> None:
        for _ in range(4):
            scipy.fft.irfft(scipy.fft.rfft(frames, axis=1), axis=1)

    def products() -> None:
        for _ in range(2):
            np.matmul(templates, activations, out=model)
            np.matmul(templates.T, model)

    def divisions() -> None:
        for _ in range(800):
            np.divide(few, few, out=ratio)

    def sums() -> None:
        for _ in range(2):
            np.add(many[0], many[1], out=many[2])

    return transforms, products, divisions, sums


def stems_bytes(
    n_samples: int, n_channels: int, n_stems: int, bits: int | str, format_: str = "wav"
) -> int:
    """Room that the stems of a recording take: exactly in WAV, about in FLAC.

    Parameters
    ----------
    n_samples, n_channels, n_stems : int > 0
        Of the recording, and how many stems.
    bits : {16, 24, "float"}
        Of each sample.
    format_ : {"wav", "flac"}
        Container.
    """
    depth = 4 if bits == "float" else int(bits) // 8
    whole = n_samples * n_channels * min(depth, 3 if format_ == "flac" else 4)
    return n_stems * (round(whole * (_FLAC if format_ == "flac" else 1.0)) + _HEADER)


def fewest_stems(preset: str, n_stems: int) -> int:
    """Fewest stems that there will be, where a preset may give up to `n_stems`."""
    if preset in ("auto", "drums"):
        return min(3, n_stems)
    if preset == "stereo":
        return 1
    # With examples or a score: what they do not explain need not be a stem.
    return n_stems - 1 if preset in ("by-example", "score") else n_stems


def free_bytes(place: Path) -> int | None:
    """Room on the disk of a folder that may not be there yet; None where nobody can tell."""
    for folder in (place, *place.absolute().parents):
        if folder.is_dir():
            try:
                return shutil.disk_usage(folder).free
            except OSError:
                return None
    return None


def check_room(
    place: Path,
    n_samples: int,
    n_channels: int,
    n_stems: int,
    bits: int | str,
    format_: str = "wav",
) -> None:
    """Refuse work whose stems cannot fit on the disk, before it is done.

    FLAC is let pass: how small it gets is known afterwards.

    Parameters
    ----------
    place : Path
        Folder of the stems; need not exist.
    n_samples, n_channels, n_stems, bits, format_
        As for :func:`stems_bytes`; of stems, the fewest that there may be.

    Raises
    ------
    OutputError
        If there is not enough room.
    """
    if format_ == "flac":
        return
    wanted, free = stems_bytes(n_samples, n_channels, n_stems, bits, format_), free_bytes(place)
    if free is not None and wanted > free:
        raise OutputError(
            f"the stems take at least {_in_words(wanted)} and {_in_words(free)} are free where "
            "they would go; make room, choose another --out, or take --format flac."
        )


def _in_words(n_bytes: int) -> str:
    """``"120 kB"``, ``"35 MB"``, ``"2.1 GB"``."""
    if n_bytes < 1e6:
        return f"{n_bytes / 1e3:.0f} kB"
    return f"{n_bytes / 1e6:.0f} MB" if n_bytes < 1e9 else f"{n_bytes / 1e9:.1f} GB"
