"""Sounds of any length, and what a process took: for the benchmarks of scale."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
from scipy.signal import resample_poly

EXAMPLES = Path(__file__).parent.parent / "examples" / "audio"
ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
SONGS = ("song", "band")
BLOCK_S = 20.0
FOLDER_SR = 44_100

SOUNDS = {
    "auto": ("song",),
    "four-stems": ("song",),
    "vocals": ("song",),
    "drums": ("drum_loop",),
    "speech": ("speech_printer",),
    "score": ("bach_trio",),
    "by-example": ("bach_trio",),
}
"""Examples that suit a preset; all others are given songs."""

# A process counts the memory of whoever started it until it runs a program of its own, so that
# one that takes little has to start it.
_STARTER = """
import json, os, subprocess, sys, time
began = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
traffic = {"rchar": 0, "wchar": 0}
if os.path.exists("/proc/self/io"):  # with that of children that have ended
    traffic = dict(line.split(": ") for line in open("/proc/self/io").read().splitlines())
print(json.dumps({
    "seconds": time.perf_counter() - began,
    "cpu_s": usage.ru_utime + usage.ru_stime,
    "peak_bytes": usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
    "read_bytes": int(traffic["rchar"]),
    "written_bytes": int(traffic["wchar"]),
    "code": os.waitstatus_to_exitcode(status),
}))
"""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One goal, and what was measured."""

    what: str
    goal: str
    measured: str
    reached: bool


@dataclass(frozen=True, kw_only=True)
class Took:
    """What a process took.

    Parameters
    ----------
    seconds, cpu_s : float
        By the clock, and of all processors.
    peak_bytes : int
        Most memory it had at any time.
    read_bytes, written_bytes : int
        Of all files, from disk or not, its own program among them; 0 where the system does not
        tell.
    """

    seconds: float
    cpu_s: float
    peak_bytes: int
    read_bytes: int
    written_bytes: int


def measure(command: list[str], kernels: Path | None = None) -> Took:
    """Run a command in a process of its own and return what it took.

    Parameters
    ----------
    command : list of str
        Must end with code 0.
    kernels : Path, optional
        Where compiled kernels are kept; by default as ever.
    """
    more = {} if kernels is None else {"NUMBA_CACHE_DIR": str(kernels)}
    done = subprocess.run(
        [sys.executable, "-S", "-c", _STARTER, *command],
        env=os.environ | ENVIRONMENT | more,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    told = json.loads(done.stdout)
    if told.pop("code"):
        sys.exit(f"{' '.join(command)} failed")
    return Took(**told)


def split_command(sound: Path, out: Path, preset: str, *more: str) -> list[str]:
    """Command that takes a recording apart, with one thread and with all that the preset needs."""
    start = [sys.executable, "-m", "audiosep", "split", str(sound), "-o", str(out), "-q"]
    told: list[str] = []
    if preset == "by-example":
        for name in ("flute", "cello"):
            told += ["--example", f"{name}={EXAMPLES / 'bach_trio' / f'ref_{name}.flac'}"]
    elif preset == "score":
        told = ["--score", str(score_beside(sound))]
    return [*start, "--exists", "overwrite", "--preset", preset, "--threads", "1", *told, *more]


def warm(preset: str, n_channels: int, folder: Path) -> None:
    """Compile the kernels of a preset, or the first process would take more than the others."""
    make_sound(folder / "warm.wav", preset, 4.0, 22_050, n_channels)
    measure(split_command(folder / "warm.wav", folder / "warm", preset))


def score_beside(sound: Path) -> Path:
    """Where the score of a made-up recording is."""
    return sound.with_suffix(".txt")


@cache
def _loop(names: tuple[str, ...], sr: int) -> npt.NDArray[np.float32]:
    """Examples end to end, at a rate."""
    parts = []
    for name in names:
        samples, own = soundfile.read(EXAMPLES / name / "mixture.flac", dtype="float32")
        parts.append(resample_poly(samples, sr, own) if own != sr else samples)
    return np.concatenate(parts).astype(np.float32)


def blocks_of(
    preset: str, seconds: float, sr: int, n_channels: int
) -> Iterator[npt.NDArray[np.float32]]:
    """Make a recording that suits a preset: examples again and again, never quite the same.

    Level, place between the channels and noise move slowly, each at its own pace. The same for the
    same arguments.

    Yields
    ------
    np.ndarray [shape=(samples, channels)]
        At most :data:`BLOCK_S` seconds.
    """
    loop = _loop(SOUNDS.get(preset, SONGS), sr)
    rng = np.random.default_rng(0)
    n_samples, n_block = round(seconds * sr), round(BLOCK_S * sr)
    for first in range(0, n_samples, n_block):
        at = np.arange(first, min(first + n_block, n_samples))
        t = at / sr
        level = 0.7 + 0.15 * np.sin(2 * np.pi * t / 47)
        samples = loop[at % len(loop)] * level
        place = 0.5 * np.pi * (0.5 + 0.2 * np.sin(2 * np.pi * t / 71))
        gains = [np.cos(place), np.sin(place)] if n_channels == 2 else [np.ones(len(t))]
        noise = 0.002 * rng.standard_normal((len(at), n_channels))
        yield np.column_stack([samples * gain for gain in gains]).astype(np.float32) + noise


def make_sound(path: Path, preset: str, seconds: float, sr: int, n_channels: int) -> None:
    """Write a recording of 16 bits, and its score beside it where one is needed."""
    container = "RF64" if seconds * sr * n_channels * 2 > 4e9 else None
    with soundfile.SoundFile(path, "w", sr, n_channels, "PCM_16", format=container) as file:
        for block in blocks_of(preset, seconds, sr, n_channels):
            file.write(block)
    if preset == "score":
        score_beside(path).write_text(_labels(seconds), encoding="utf-8")


def _labels(seconds: float) -> str:
    """Score of the example, again and again, as labels."""
    from audiosep.scores import read_score

    name = SOUNDS["score"][0]
    length = soundfile.info(EXAMPLES / name / "mixture.flac").duration
    lines = [
        (note.start_s + turn * length, note.end_s + turn * length, f"{track.name}:{note.pitch}")
        for turn in range(int(seconds / length) + 1)
        for track in read_score(EXAMPLES / name / "score.mid").tracks
        for note in track.notes
        if note.start_s + turn * length < seconds
    ]
    return "".join(f"{start:.4f}\t{end:.4f}\t{label}\n" for start, end, label in sorted(lines))


def contents(out: Path) -> dict[str, object]:
    """All files below a folder, without what differs from run to run: times."""
    found: dict[str, object] = {}
    for path in sorted(out.rglob("*")):
        name = str(path.relative_to(out))
        if path.is_file() and not name.startswith(".audiosep"):
            found[name] = path.read_bytes()
            if path.name == "audiosep.json":
                record = json.loads(path.read_text(encoding="utf-8"))
                del record["timings_s"]
                found[name] = record
    return found


def make_folder(folder: Path, n_files: int, n_broken: int, seconds: float) -> None:
    """Write recordings into ten folders; the broken ones are spread evenly."""
    shutil.rmtree(folder, ignore_errors=True)
    rng = np.random.default_rng(0)
    t = np.arange(round(seconds * FOLDER_SR)) / FOLDER_SR
    every = n_files // n_broken if n_broken else n_files + 1
    for number in range(n_files):
        path = folder / f"reel-{number % 10}" / f"take-{number:04d}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        if number % every == 0 and n_broken and number // every < n_broken:
            path.write_bytes(b"RIFF, and then nothing that is audio")
            continue
        tone = 0.3 * np.sin(2 * np.pi * (200 + number % 50 * 20) * t)
        bursts = 0.2 * rng.standard_normal(len(t)) * (np.sin(2 * np.pi * 3 * t) > 0.9)
        soundfile.write(path, tone + bursts, FOLDER_SR, subtype="PCM_16")
