"""One run of a method as a process of its own, on one core, and what came out of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from _compare_catalogue import Peer, command_of
from _compare_install import last_words, programs_of
from _quality_corpus import Item, Signals, read

LIMIT_S = 1800.0
POOLS = ("OPENBLAS", "OMP", "MKL", "NUMBA")
ONE_THREAD = {f"{pool}_NUM_THREADS": "1" for pool in POOLS}


@dataclass(frozen=True, kw_only=True)
class Ran:
    """What a process took, how it ended, and the stems that it left."""

    exit: int
    seconds: float
    cpu_s: float
    megabytes: float
    said: str
    log: str
    late: bool
    stems: dict[str, Path]

    @property
    def why_not(self) -> str | None:
        """Why there is nothing to score, if so."""
        if self.late:
            return "not finished in time"
        if self.exit:
            return f"exit code {self.exit}: {self.said}"
        return None if self.stems else f"exit code 0, no stems: {self.said}"


def run(
    envs: Path, peer: Peer, method: str, job: dict, folder: Path, limit_s: float, core: int = 0
) -> Ran:
    """Run a method on a job; its stems and all it says go below `folder`."""
    out = folder / "out"
    out.mkdir(parents=True)
    job_file, result, log = folder / "job.json", folder / "took.json", folder / "said.txt"
    job = {**job, "out": str(out)}
    job_file.write_text(json.dumps(job))
    launcher = [sys.executable, "-I", "-S", str(Path(__file__).with_name("_compare_launch.py"))]
    command = command_of(method, programs_of(envs, peer), job, job_file)
    subprocess.run(
        [*launcher, str(result), str(limit_s), str(log), str(core), *command],
        env={**os.environ, **ONE_THREAD},
        cwd=folder,
        check=True,
    )
    took = json.loads(result.read_text())
    text = log.read_text(errors="replace")
    return Ran(
        **took,
        said=last_words(text),
        log=text,
        stems={path.stem: path for path in sorted(out.rglob("*.wav"))},
    )


def estimates_of(ran: Ran, item: Item) -> Signals:
    """Stems as arrays of the mixture's rate, channels and length."""
    return {name: _fitted(*read(path), item) for name, path in ran.stems.items()}


def _fitted(samples: np.ndarray, sr: int, item: Item) -> np.ndarray:
    if sr != item.sr:
        import librosa

        samples = librosa.resample(samples, orig_sr=sr, target_sr=item.sr, res_type="soxr_hq")
    channels, length = item.mixture.shape
    if samples.shape[0] != channels:
        samples = np.repeat(samples.mean(axis=0, keepdims=True), channels, axis=0)
    short = max(0, length - samples.shape[1])
    return np.nan_to_num(np.pad(samples, ((0, 0), (0, short)))[:, :length])


def form_of(ran: Ran, item: Item) -> dict[str, object]:
    """Whether rate, channels and length are the mixture's, and how far off the sum is."""
    stems = {name: read(path) for name, path in ran.stems.items()}
    fits = {
        "rate": all(sr == item.sr for _, sr in stems.values()),
        "channels": all(s.shape[0] == item.mixture.shape[0] for s, _ in stems.values()),
        "length": all(s.shape[1] == item.mixture.shape[1] for s, _ in stems.values()),
    }
    total = np.sum(list(estimates_of(ran, item).values()), axis=0)
    return {**fits, "sum_db": level_db(total - item.mixture, item.mixture)}


def level_db(signal: np.ndarray, reference: np.ndarray) -> float:
    """Level of a signal relative to another, not below -300 dB."""
    power = np.mean(signal.astype(np.float64) ** 2)
    other = np.mean(reference.astype(np.float64) ** 2)
    return float(max(-300.0, 10 * np.log10(max(power, 1e-300) / max(other, 1e-300))))
