"""Time and memory of ``audiosep split`` and of its peers: whole processes, from file to stems.

    python scripts/bench_split.py [--preset stems vocals ...] [--runs 3] [--peers] [--long]

Without --audio the shipped examples are strung together to the wanted length, as stereo at
44.1 kHz. For each preset: the first run with no compiled kernels, then the median of later runs, on
one core and, with --all-cores, on all. With --peers the recipes of the quality benchmark
(_quality_peers.py) run once, on one core, on the first --peer-seconds of the same signal; where
that is not all of it, the time of the separation (not of the start) is scaled up in proportion,
which favours those that grow faster than the recording. With --long each preset also runs once on
ten minutes. Shared machines are noisy: quote medians, and compare processor time (CPU s).
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
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import soundfile

EXAMPLES = Path(__file__).parent.parent / "examples" / "audio"
SR = 44_100
LONG_S = 600.0

PEERS = {
    "librosa HPSS": "stems",
    "REPET-SIM": "vocals",
    "RPCA": "vocals",
    "libnmfd NMFD": "drums",
}
"""Peers and the task they do."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A process, and how long it took for how much sound."""

    what: str
    how: str
    n_cores: int
    audio_s: float
    seconds: float
    cpu_s: float
    megabytes: float

    @property
    def times_real_time(self) -> float:
        """How many seconds of sound a second of work separates."""
        return self.audio_s / self.seconds


def strung_together(seconds: float) -> np.ndarray:
    """Examples end to end as stereo; their own rates are ignored, which does not matter here."""
    parts = [soundfile.read(p, always_2d=True)[0] for p in sorted(EXAMPLES.glob("*/mixture.flac"))]
    parts = [np.repeat(p[:, :1], 2, axis=1) * [1.0, 0.8] if p.shape[1] == 1 else p for p in parts]
    once = np.concatenate(parts)
    n = round(seconds * SR)
    return np.tile(once, (n // len(once) + 1, 1))[:n]


Cost = tuple[float, float, float]
"""Seconds by the clock, seconds of processor time, peak megabytes."""


def run(command: list[str], environment: dict[str, str], cores: set[int]) -> Cost:
    """Run one process and return what it took."""
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
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def split_command(audio: Path, preset: str, folder: str) -> list[str]:
    return [
        *(sys.executable, "-m", "audiosep", "split", str(audio), "-q", "--exists", "overwrite"),
        *("-o", f"{folder}/out", "--preset", preset),
    ]


def presets_measured(
    audio: Path, presets: list[str], runs: int, folder: str, *, all_cores: bool
) -> Iterator[Measured]:
    """Run every preset, the first time with no compiled kernels."""
    duration = soundfile.info(audio).duration
    cores = sorted(os.sched_getaffinity(0))
    for preset in presets:
        environment = {**os.environ, "NUMBA_CACHE_DIR": f"{folder}/kernels-{preset}"}
        command = split_command(audio, preset, folder)

        def measured(how: str, n_cores: int, costs: list[Cost]) -> Measured:
            seconds, cpu_s, megabytes = zip(*costs, strict=True)
            return Measured(
                what=f"split --preset {preset}",  # noqa: B023 - called within its turn
                how=how,
                n_cores=n_cores,
                audio_s=duration,
                seconds=statistics.median(seconds),
                cpu_s=statistics.median(cpu_s),
                megabytes=max(megabytes),
            )

        first = run(command, environment, {cores[0]})
        yield measured("first run, kernels compiled", 1, [first])
        for n_cores in sorted({1, len(cores)} if all_cores else {1}):
            costs = [run(command, environment, set(cores[:n_cores])) for _ in range(runs)]
            yield measured(f"later runs, median of {runs}", n_cores, costs)


def peers_measured(audio: Path, seconds: float, folder: str) -> Iterator[Measured]:
    """Run every peer that is installed once on the beginning of the signal."""
    from _quality_peers import installed

    samples, sr = soundfile.read(audio, always_2d=True)
    duration = len(samples) / sr
    taken = min(seconds, duration)
    part = Path(folder) / "part.wav"
    soundfile.write(part, samples[: round(taken * sr)], sr, subtype="PCM_16")
    core = {min(os.sched_getaffinity(0))}
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    for peer in PEERS:
        if not installed(peer):
            print(f"{peer}: not installed", file=sys.stderr)
            continue
        clock = Path(folder) / "work.txt"
        command = [
            *(sys.executable, __file__, "--peer", peer, "--audio", str(part)),
            *("--json", str(clock)),
        ]
        took, cpu_s, megabytes = run(command, environment, core)
        work = float(clock.read_text())
        more = work * (duration / taken - 1.0)
        how = "once" if taken == duration else f"once on {taken:.0f} s, scaled"
        yield Measured(
            what=peer,
            how=how,
            n_cores=1,
            audio_s=duration,
            seconds=took + more,
            cpu_s=cpu_s + more * cpu_s / took,
            megabytes=megabytes,
        )


def run_peer(peer: str, audio: Path, clock: Path | None) -> None:
    """Separate a file with a peer and write what comes out; say how long that took in a file."""
    import _quality_peers
    from _quality_corpus import Item, read

    began = time.perf_counter()
    mixture, sr = read(audio)
    references = dict.fromkeys(
        ("kick", "snare", "hihat") if PEERS[peer] == "drums" else (), mixture
    )
    item = Item(PEERS[peer], "", "", sr, mixture, references)
    with tempfile.TemporaryDirectory() as folder:
        for name, samples in _quality_peers.PEERS[peer](item).items():
            soundfile.write(Path(folder) / f"{name}.wav", samples.T, sr, subtype="PCM_16")
    if clock is not None:
        clock.write_text(str(time.perf_counter() - began))


def show(row: Measured) -> None:
    print(
        f"{row.what:<30} {row.how:<28} {row.n_cores:>5} {row.audio_s:>8.0f} {row.seconds:>8.1f} "
        f"{row.cpu_s:>8.1f} {row.times_real_time:>12.1f} {row.megabytes:>8.0f}",
        flush=True,
    )


def help_seconds() -> float:
    times = []
    for _ in range(5):
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "audiosep", "--help"], check=True, capture_output=True
        )
        times.append(time.perf_counter() - began)
    return min(times)


def main(arguments: list[str] | None = None) -> int:
    from audiosep.presets import preset_names

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--audio", type=Path)
    parser.add_argument("--seconds", type=float, default=180.0)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--preset", nargs="*", default=["auto"], choices=[*preset_names(), "all"])
    parser.add_argument("--all-cores", action="store_true", help="also on all cores")
    parser.add_argument("--peers", action="store_true", help="the peers' recipes in the same run")
    parser.add_argument("--peer-seconds", type=float, default=60.0)
    parser.add_argument("--long", action="store_true", help="ten minutes, once, for the memory")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--peer", choices=list(PEERS), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.peer:
        run_peer(options.peer, options.audio, options.json)
        return 0
    presets = list(preset_names()) if "all" in options.preset else options.preset
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    print(
        f"{'what':<30} {'how':<28} {'cores':>5} {'audio s':>8} {'seconds':>8} {'CPU s':>8} "
        f"{'x real time':>12} {'peak MB':>8}"
    )
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        audio = options.audio
        if audio is None:
            audio = Path(folder) / "music.wav"
            soundfile.write(audio, strung_together(options.seconds), SR, subtype="PCM_16")
        for row in presets_measured(
            audio, presets, options.runs, folder, all_cores=options.all_cores
        ):
            rows.append(row)
            show(row)
        if options.peers:
            for row in peers_measured(audio, options.peer_seconds, folder):
                rows.append(row)
                show(row)
        if options.long:
            long = Path(folder) / "long.wav"
            soundfile.write(long, strung_together(LONG_S), SR, subtype="PCM_16")
            core = {min(os.sched_getaffinity(0))}
            for preset in presets:
                environment = {**os.environ, "NUMBA_CACHE_DIR": f"{folder}/kernels-{preset}"}
                seconds, cpu_s, megabytes = run(
                    split_command(long, preset, folder), environment, core
                )
                row = Measured(
                    what=f"split --preset {preset}",
                    how="ten minutes, once",
                    n_cores=1,
                    audio_s=LONG_S,
                    seconds=seconds,
                    cpu_s=cpu_s,
                    megabytes=megabytes,
                )
                rows.append(row)
                show(row)
    answer = help_seconds()
    print(f"audiosep --help: {answer:.2f} s (best of 5)")
    if options.json:
        content = {
            "help_seconds": answer,
            "rows": [{**asdict(row), "times_real_time": row.times_real_time} for row in rows],
        }
        options.json.write_text(json.dumps(content, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
