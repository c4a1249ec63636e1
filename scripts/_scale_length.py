"""Recordings of any length: memory and time, and what was predicted of both."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from _scale_costs import grid_of, n_stems_in
from _scale_runs import ENVIRONMENT, Line, Took, make_sound, measure, split_command, warm

from audiosep.chunks import CHUNK_S
from audiosep.presets import preset_names

SR = 44_100
CHANNELS = 2
QUICK_MINUTES = [1.0, 5.0, 15.0]
MINUTES = [5.0, 60.0, 300.0]
MOST_BYTES = 600e6
FASTER = 12.0
"""Goals."""

PREDICTED = (
    (10.0, 44_100, 2),
    (60.0, 22_050, 1),
    (30.0, 96_000, 2),
    (100.0, 44_100, 2),
    (300.0, 44_100, 2),
)
"""Recordings for which predictions are looked at: seconds, rate, channels."""

WITHIN = 0.3


@dataclass(frozen=True, kw_only=True)
class Case:
    """A recording, what was predicted of it, and what it took."""

    preset: str
    seconds: float
    took: Took
    predicted_bytes: float
    predicted_s: float

    @property
    def memory_ratio(self) -> float:
        """Predicted to measured memory."""
        return self.predicted_bytes / self.took.peak_bytes

    @property
    def time_ratio(self) -> float:
        """Predicted to measured processor time, which other work on the machine changes least."""
        return self.predicted_s / self.took.cpu_s


def case_of(preset: str, seconds: float, sr: int, n_channels: int, folder: Path) -> Case:
    """Make a recording, predict, take it apart, and remove everything."""
    sound, out = folder / "sound.wav", folder / "out"
    make_sound(sound, preset, seconds, sr, n_channels)
    command = split_command(sound, out, preset)
    planned = json.loads(
        subprocess.run(
            [*command, "--dry-run", "--json"],
            env=os.environ | ENVIRONMENT,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout
    )
    took = measure(command)
    n_stems = n_stems_in(out)
    shutil.rmtree(out)
    sound.unlink()
    print(
        f"  {preset}, {seconds:g} s, {sr} Hz, {n_channels} channel(s): {n_stems} stems, "
        f"{took.seconds:.1f} s ({took.cpu_s:.1f} s of processor, {planned['seconds']:.1f} s "
        f"predicted), {took.peak_bytes / 1e6:.0f} MB ({planned['memory_mb']} MB predicted), "
        f"{took.read_bytes / 1e6:.0f} MB read, {took.written_bytes / 1e6:.0f} MB written",
        flush=True,
    )
    return Case(
        preset=preset,
        seconds=seconds,
        took=took,
        predicted_bytes=planned["memory_mb"] * 1e6,
        predicted_s=planned["seconds"],
    )


def length(arguments: argparse.Namespace, folder: Path) -> Iterator[Line]:
    """Memory and time of recordings from short to very long, each in a process of its own."""
    minutes = sorted(arguments.minutes or (QUICK_MINUTES if arguments.quick else MINUTES))
    check_room(folder, 60 * minutes[-1])
    preset = arguments.length_preset
    warm(preset, CHANNELS, folder)
    cases = [case_of(preset, 60 * m, SR, CHANNELS, folder) for m in minutes]
    names = [time_words(case.seconds) for case in cases]
    peaks = [case.took.peak_bytes for case in cases]
    # What is shorter than two chunks takes less, and nothing is claimed of it.
    first = next((n for n, case in enumerate(cases) if case.seconds > 2 * CHUNK_S), 0)
    ratio = peaks[-1] / peaks[first]
    yield Line(
        what=f"{preset}: peak memory of {names[-1]} against {names[first]}",
        goal="within 10 %, below 600 MB",
        measured=f"{ratio:.2f} x ({', '.join(f'{peak / 1e6:.0f} MB' for peak in peaks)})",
        reached=ratio <= 1.1 and max(peaks) < MOST_BYTES,
    )
    speeds = [case.seconds / case.took.seconds for case in cases]
    yield Line(
        what=f"{preset}: speed of {', '.join(names)}",
        goal=f">= {FASTER:g} x real time" if preset == "stems" else "-",
        measured=", ".join(f"{speed:.1f} x" for speed in speeds)
        + f" ({cases[-1].seconds / cases[-1].took.cpu_s:.1f} x in processor time)",
        reached=min(speeds) >= FASTER or preset != "stems",
    )
    if len(cases) > 1:
        longer = cases[-1].seconds / cases[-2].seconds
        slower = cases[-1].took.seconds / cases[-2].took.seconds
        yield Line(
            what=f"{preset}: time of {names[-1]} against {names[-2]}",
            goal=f"<= {1.1 * longer:.1f} x",
            measured=f"{slower:.2f} x",
            reached=slower <= 1.1 * longer,
        )
    yield from foretold(preset, cases)


def predictions(arguments: argparse.Namespace, folder: Path) -> Iterator[Line]:
    """Predictions of the dry run against what happens, for each preset."""
    grid = [(seconds * arguments.scale, sr, channels) for seconds, sr, channels in PREDICTED]
    for preset in arguments.presets or preset_names():
        warm(preset, CHANNELS, folder)
        yield from foretold(
            preset, [case_of(preset, *recording, folder) for recording in grid_of(preset, grid)]
        )


def foretold(preset: str, cases: list[Case]) -> Iterator[Line]:
    """How good the predictions were."""
    for what, ratios in (
        ("memory", [case.memory_ratio for case in cases]),
        ("time", [case.time_ratio for case in cases]),
    ):
        worst = max(ratios, key=lambda ratio: abs(ratio - 1.0))
        yield Line(
            what=f"{preset}: {what} predicted / measured, {len(ratios)} recordings",
            goal=f"{1 - WITHIN:g} to {1 + WITHIN:g}",
            measured=f"{statistics.median(ratios):.2f} (worst {worst:.2f})",
            reached=abs(worst - 1.0) <= WITHIN,
        )


def check_room(folder: Path, seconds: float) -> None:
    """End with words where the recording and its stems would not fit."""
    wanted = 5 * seconds * SR * CHANNELS * 2  # four stems at the most
    free = shutil.disk_usage(folder).free
    print(f"  needs {wanted / 1e9:.1f} GB of {free / 1e9:.1f} GB that are free in {folder}")
    if wanted > 0.9 * free:
        sys.exit("not enough room; set TMPDIR to another disk, or give shorter --minutes")


def time_words(seconds: float) -> str:
    """Turn seconds into words."""
    if seconds < 60:
        return f"{seconds:g} s"
    return f"{seconds / 60:g} min" if seconds < 3600 else f"{seconds / 3600:g} h"
