"""Time and memory of ``audiosep split``: whole processes, from file to stems.

    python scripts/bench_split.py [--audio FILE] [--seconds 180] [--runs 3] [--preset auto]

Without --audio the shipped examples are strung together to the wanted length, as stereo at
44.1 kHz. Reports the first run with no compiled kernels, and the median of later runs, each on
one core and on all cores. Shared machines are noisy: quote medians.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

EXAMPLES = Path(__file__).parent.parent / "examples" / "audio"
SR = 44_100


def strung_together(seconds: float) -> np.ndarray:
    """Examples end to end as stereo; their own rates are ignored, which does not matter here."""
    parts = [soundfile.read(p, always_2d=True)[0] for p in sorted(EXAMPLES.glob("*/mixture.flac"))]
    parts = [np.repeat(p[:, :1], 2, axis=1) * [1.0, 0.8] if p.shape[1] == 1 else p for p in parts]
    once = np.concatenate(parts)
    n = round(seconds * SR)
    return np.tile(once, (n // len(once) + 1, 1))[:n]


def run(command: list[str], environment: dict[str, str], cores: set[int]) -> tuple[float, float]:
    """Seconds and peak megabytes of one process."""
    began = time.perf_counter()
    pid = os.posix_spawn(
        "/usr/bin/env",
        ["env", *command],
        environment,
        file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)],
    )
    os.sched_setaffinity(pid, cores)
    _, status, usage = os.wait4(pid, 0)
    seconds = time.perf_counter() - began
    if os.waitstatus_to_exitcode(status):
        sys.exit(f"{' '.join(command)} failed")
    return seconds, usage.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--audio", type=Path)
    parser.add_argument("--seconds", type=float, default=180.0)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--preset", default="auto")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with tempfile.TemporaryDirectory() as folder:
        audio = arguments.audio
        if audio is None:
            audio = Path(folder) / "music.wav"
            soundfile.write(audio, strung_together(arguments.seconds), SR, subtype="PCM_16")
        length = soundfile.info(audio).duration
        environment = {**os.environ, "NUMBA_CACHE_DIR": f"{folder}/kernels"}
        command = [
            *(sys.executable, "-m", "audiosep", "split", str(audio), "-q", "--exists", "overwrite"),
            *("-o", f"{folder}/out", "--preset", arguments.preset),
        ]
        cores = sorted(os.sched_getaffinity(0))
        rows = [("first run, kernels compiled", 1, *run(command, environment, {cores[0]}))]
        for n_cores in sorted({1, len(cores)}):
            times = [run(command, environment, set(cores[:n_cores])) for _ in range(arguments.runs)]
            seconds = statistics.median(t for t, _ in times)
            rows.append(("later runs (median)", n_cores, seconds, max(m for _, m in times)))
    print(f"{audio.name}: {length:.0f} s, preset {arguments.preset}")
    print(f"{'run':<28} {'cores':>5} {'seconds':>8} {'x real time':>12} {'peak MB':>8}")
    for name, n_cores, seconds, megabytes in rows:
        print(
            f"{name:<28} {n_cores:>5} {seconds:>8.1f} {length / seconds:>12.1f} {megabytes:>8.0f}"
        )
    help_times = []
    for _ in range(5):
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "audiosep", "--help"], check=True, capture_output=True
        )
        help_times.append(time.perf_counter() - began)
    print(f"audiosep --help: {min(help_times):.2f} s (best of 5)")
    if arguments.json:
        arguments.json.write_text(json.dumps({"seconds": length, "rows": rows}, indent=2))


if __name__ == "__main__":
    main()
