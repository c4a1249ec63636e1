"""What each preset costs: measured, fitted, and written as audiosep/costs.toml."""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from _scale_runs import ENVIRONMENT, Took, make_sound, measure, split_command, warm
from scipy.optimize import nnls

from audiosep.chunks import CHUNK_S, MARGIN_S
from audiosep.costs import CHANNELS, RATE
from audiosep.memory import longest_chunk_s

COSTS = Path(__file__).parent.parent / "audiosep" / "costs.toml"
GRID = (
    (2.0, 22_050, 1),
    (100.0, 44_100, 2),
    (40.0, 44_100, 1),
    (60.0, 22_050, 1),
    (20.0, 96_000, 1),
    (30.0, 96_000, 2),
    (210.0, 44_100, 2),
)
"""Seconds, rate and channels.

The first tells what a process costs that has nearly nothing to do, the last one is taken apart in
chunks, and all of them together take a quarter of an hour for all presets at the most.
"""

FEWER = {"by-example": [GRID[row] for row in (0, 2, 5, 6)]}
"""Presets whose every run is long, as it trains first: their costs grow with less."""

NEEDS_TWO_CHANNELS = ("stereo",)

N_STEMS = {"auto": 5, "by-example": 3, "drums": 5, "score": 4, "stereo": 4}
"""Stems that there may be, where more may be than came out."""

HEAD = """\
# What presets cost: bytes at the worst moment, and seconds of one processor.
# Measured and fitted by `python scripts/bench_scale.py --calibrate`; see audiosep/costs.py.
"""

# Prints how much of the processor time the main thread took: the others work while it waits.
_SHARE = """
import sys, time
from audiosep.cli import main
try:
    main()
except SystemExit as ended:
    if ended.code:
        raise
print(time.thread_time() / time.process_time())
"""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A recording that was taken apart.

    Parameters
    ----------
    seconds : float
        Length of the recording.
    sr, n_channels : int
        Its rate and channels.
    cpu_s, peak_bytes : float
        What it took.
    probe_s : float
        What this machine took for its probe just then.
    n_stems : int
        Stems that came out.
    """

    preset: str
    seconds: float
    sr: int
    n_channels: int
    cpu_s: float
    peak_bytes: float
    probe_s: float
    n_stems: int


def probe_now() -> float:
    """Probe the machine in a process of its own."""
    code = "from audiosep.prediction import probe_s; print(probe_s())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | ENVIRONMENT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return float(done.stdout)


def measured(preset: str, recordings: list[tuple[float, int, int]], folder: Path) -> list[Row]:
    """Take made-up recordings apart, and look at the machine between them."""
    rows = []
    before = probe_now()
    for recording in recordings:
        sound, out = folder / "sound.wav", folder / "out"
        make_sound(sound, preset, *recording)
        took = measure(split_command(sound, out, preset))
        after = probe_now()
        rows.append(row_of(preset, recording, took, math.sqrt(before * after), n_stems_in(out)))
        print(f"  {rows[-1]}", flush=True)
        before = after
    return rows


def row_of(
    preset: str, recording: tuple[float, int, int], took: Took, probe_s: float, n_stems: int
) -> Row:
    """What a recording took."""
    seconds, sr, n_channels = recording
    return Row(
        preset=preset,
        seconds=seconds,
        sr=sr,
        n_channels=n_channels,
        cpu_s=took.cpu_s,
        peak_bytes=took.peak_bytes,
        probe_s=probe_s,
        n_stems=n_stems,
    )


def n_stems_in(out: Path) -> int:
    """Stems of the one recording below a folder."""
    (record,) = out.rglob("audiosep.json")
    return len(json.loads(record.read_text(encoding="utf-8"))["stems"])


def parallel_share(preset: str, seconds: float, folder: Path) -> float:
    """Share of the work that threads share, seen at the work that the first thread does not do."""
    sound = folder / "sound.wav"
    make_sound(sound, preset, seconds, RATE, CHANNELS)
    command = split_command(sound, folder / "out", preset)
    command[command.index("--threads") + 1] = "2"
    done = subprocess.run(
        [sys.executable, "-c", _SHARE, *command[3:]],
        env=os.environ | ENVIRONMENT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return max(0.0, 1.0 - float(done.stdout.split()[-1]))


def grid_of(preset: str, grid: Iterable[tuple[float, int, int]]) -> list[tuple[float, int, int]]:
    """Recordings that a preset takes."""
    fewest = CHANNELS if preset in NEEDS_TWO_CHANNELS else 1
    return [(seconds, sr, max(fewest, channels)) for seconds, sr, channels in grid]


def fitted(rows: Sequence[Row], parallel: float) -> dict[str, object]:
    """Turn what was measured of a preset into the entry of a table."""
    probe = statistics.median(row.probe_s for row in rows)
    short = [row for row in rows if row.seconds <= CHUNK_S]
    terms = [_terms(row, longest_chunk_s(row.seconds)) for row in short]
    memory = _linear(_KEYS, terms, [row.peak_bytes for row in short])
    shares = []
    for row in rows:
        if row.seconds > CHUNK_S:
            start = _of(memory, row, 0.0)
            grown = _of(memory, row, max(CHUNK_S, longest_chunk_s(row.seconds))) - start
            shares.append(max(0.0, row.peak_bytes - start) / max(1.0, grown))
    terms = [[*_terms(row, _given_s(row)), _learnt(row)] for row in rows]
    taken = [row.cpu_s * probe / row.probe_s for row in rows]
    seconds = _linear((*_KEYS, "learning"), terms, taken)
    return {
        "probe_s": probe,
        "n_stems": max(N_STEMS.get(rows[0].preset, 0), *(row.n_stems for row in rows)),
        "parallel": parallel,
        "chunked": max(shares, default=1.0),
        "learning_s": seconds.pop("learning"),
        "memory": memory,
        "seconds": seconds,
    }


def _given_s(row: Row) -> float:
    """Seconds of all chunks of a recording."""
    return row.seconds + (int(np.ceil(row.seconds / CHUNK_S)) - 1) * 2 * MARGIN_S


_KEYS = ("fixed", "fixed_rate", "second", "channel", "sample", "rate")


def _terms(row: Row, seconds: float) -> list[float]:
    rate = row.sr / RATE
    return [
        1.0,
        rate,
        seconds,
        seconds * row.n_channels,
        seconds * row.n_channels * rate,
        seconds * rate,
    ]


def _of(cost: dict[str, float], row: Row, seconds: float) -> float:
    return float(np.dot([cost[key] for key in _KEYS], _terms(row, seconds)))


def _learnt(row: Row) -> float:
    """Seconds of excerpts, counted as stereo at 44.1 kHz."""
    if row.seconds <= CHUNK_S:
        return 0.0
    return CHUNK_S * row.n_channels / CHANNELS * row.sr / RATE


def _linear(
    keys: Sequence[str], terms: Sequence[Sequence[float]], values: Sequence[float]
) -> dict[str, float]:
    """Fit costs that are not negative; what counts is the error in proportion."""
    found, _ = nnls(np.array(terms) / np.array(values)[:, np.newaxis], np.ones(len(values)))
    return dict(zip(keys, found.tolist(), strict=True))


def written(table: dict[str, dict[str, object]]) -> str:
    """Text of the table as TOML."""
    lines = [HEAD]
    for preset, entry in sorted(table.items()):
        lines.append(f"[{preset}]")
        for key, value in entry.items():
            if isinstance(value, dict):
                inner = ", ".join(f"{k} = {v:.4g}" for k, v in value.items())
                lines.append(f"{key} = {{ {inner} }}")
            else:
                lines.append(
                    f"{key} = {value:.4g}" if isinstance(value, float) else f"{key} = {value}"
                )
        lines.append("")
    return "\n".join(lines)


def calibrate(arguments: argparse.Namespace, folder: Path) -> None:
    """Measure presets, and write what they cost; those not measured now stay as they were."""
    from audiosep.presets import preset_names

    path = arguments.costs or COSTS
    table: dict[str, dict[str, object]] = {}
    if path.is_file():
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    presets = arguments.presets or preset_names()
    for preset in presets:
        grid = [(s * arguments.scale, *rest) for s, *rest in FEWER.get(preset, GRID)]
        warm(preset, CHANNELS, folder)
        rows = measured(preset, grid_of(preset, grid), folder)
        share = parallel_share(preset, 20.0 * arguments.scale, folder)
        table[preset] = fitted(rows, share)
        path.write_text(written(table), encoding="utf-8")
