"""Speed of Kullback-Leibler NMF: audiosep and scikit-learn in one run.

    python scripts/bench_nmf.py [--audio FILE] [--seconds 180] [--components 8 16 32 64]
                                [--threads 1 2] [--iterations 20] [--runs 3]
    python scripts/bench_nmf.py --objective [--audio FILE] [--seconds 30] [--runs 5]

Both get the same magnitude spectrogram (window 2048, hop 512 at 44.1 kHz: 1025 bins), the same
start and the same number of iterations, without early stopping. scikit-learn is timed in its best
layout, frames × bins, C-contiguous float32. The runs alternate; the ratio is the median of the
ratios run by run, because a shared machine drifts.

Without --objective: time per iteration. The time of the whole call is divided by the iterations,
so that copies and (ours) the objective of every iteration count.

With --objective: time until the objective is at or below that of scikit-learn's 200 iterations,
for both solvers of audiosep, one thread, a new seed in each run; "never" where 200 iterations did
not reach it. Needs ".[test]".
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
import warnings
from pathlib import Path

import numpy as np
import soundfile
from sklearn.decomposition import non_negative_factorization
from threadpoolctl import threadpool_limits

from audiosep import Audio, stft
from audiosep.nmf import beta_divergence, factorize

EXAMPLES = Path(__file__).parent.parent / "examples" / "audio"
SR = 44_100
OBJECTIVE_ITERATIONS = 200


def spectrogram(audio: Path | None, seconds: float) -> np.ndarray:
    """Magnitudes (bins, frames), frames-major, of `seconds` of sound."""
    paths = [audio] if audio else sorted(EXAMPLES.glob("*/mixture.flac"))
    once = np.concatenate([soundfile.read(p, always_2d=True)[0].mean(axis=1) for p in paths])
    n = round(seconds * SR)
    y = np.tile(once, n // len(once) + 1)[:n].astype(np.float32)
    return stft(Audio(samples=y[np.newaxis], sr=SR), n_fft=2048, hop_length=512).magnitude()


def start_of(V: np.ndarray, K: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Random W (bins, K) and H (K, frames) whose product has the level of V."""
    rng = np.random.default_rng(seed)
    level = np.float32(np.sqrt(V.mean() / K))
    W = rng.random((V.shape[0], K), dtype=np.float32) + np.float32(0.1)
    H = rng.random((K, V.shape[1]), dtype=np.float32) + np.float32(0.1)
    return W * level, H * level


def sklearn_fit(V: np.ndarray, W0: np.ndarray, H0: np.ndarray, n_iter: int, threads: int):
    with threadpool_limits(threads):
        frames_by_k, k_by_bins, _ = non_negative_factorization(
            V.T,
            np.ascontiguousarray(H0.T),
            np.ascontiguousarray(W0.T),
            n_components=len(H0),
            init="custom",
            solver="mu",
            beta_loss="kullback-leibler",
            max_iter=n_iter,
            tol=0,
        )
    return k_by_bins.T, frames_by_k.T


def seconds_of(call) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def per_iteration(V: np.ndarray, K: int, threads: int, n_iter: int, runs: int) -> dict:
    W0, H0 = start_of(V, K, 0)

    def ours() -> None:
        factorize(V, templates=W0, activations=H0, max_iter=n_iter, tol=0, n_threads=threads)

    factorize(V[:, :64], K, max_iter=1)  # Numba compilation
    times = [
        (seconds_of(ours), seconds_of(lambda: sklearn_fit(V, W0, H0, n_iter, threads)))
        for _ in range(runs)
    ]
    return {
        "threads": threads,
        "K": K,
        "ms": statistics.median(a for a, _ in times) / n_iter * 1e3,
        "sklearn_ms": statistics.median(b for _, b in times) / n_iter * 1e3,
        "ratio": statistics.median(b / a for a, b in times),
    }


def until(V: np.ndarray, W0: np.ndarray, H0: np.ndarray, solver: str, target: float) -> float:
    """Seconds until the objective is at or below the target; infinite if it never is."""
    began = time.perf_counter()
    stamps = [0.0]
    losses = factorize(
        V,
        templates=W0,
        activations=H0,
        solver=solver,
        max_iter=OBJECTIVE_ITERATIONS,
        tol=0,
        n_threads=1,
        progress=lambda *_: stamps.append(time.perf_counter() - began),
    ).losses
    # losses[i] is known when iteration i + 1, which computes it on the way, is done.
    reached = np.flatnonzero(losses <= target)
    return stamps[min(reached[0] + 1, len(stamps) - 1)] if len(reached) else math.inf


def to_objective(V: np.ndarray, K: int, runs: int) -> dict:
    factorize(V[:, :64], K, max_iter=1)  # Numba compilation
    rows = []
    for seed in range(runs):
        W0, H0 = start_of(V, K, seed)
        began = time.perf_counter()
        W, H = sklearn_fit(V, W0, H0, OBJECTIVE_ITERATIONS, 1)
        seconds = time.perf_counter() - began
        target = beta_divergence(V, W @ H)
        rows.append((seconds, *(until(V, W0, H0, s, target) for s in ("mu", "accelerated"))))
    return {
        "K": K,
        "sklearn_s": statistics.median(r[0] for r in rows),
        "mu_s": statistics.median(r[1] for r in rows),
        "accelerated_s": statistics.median(r[2] for r in rows),
        "mu_ratio": statistics.median(r[0] / r[1] for r in rows),
        "accelerated_ratio": statistics.median(r[0] / r[2] for r in rows),
        "accelerated_ratios": [r[0] / r[2] for r in rows],
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--audio", type=Path)
    parser.add_argument("--seconds", type=float, default=180.0)
    parser.add_argument("--components", type=int, nargs="+", default=[8, 16, 32, 64])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--iterations", type=int, default=20)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--objective", action="store_true")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # scikit-learn warns that it did not converge: it was not to

    V = spectrogram(arguments.audio, arguments.seconds)
    print(f"V: {V.shape[0]} bins x {V.shape[1]} frames, float32, {V.nbytes / 1e6:.0f} MB")
    rows = []
    if arguments.objective:
        print(f"{'K':>4} {'sklearn s':>10} {'mu s':>7} {'ratio':>6} {'accel. s':>8} {'ratio':>6}")
        for K in arguments.components:
            row = to_objective(V, K, arguments.runs)
            rows.append(row)
            print(
                f"{K:>4} {row['sklearn_s']:>10.2f} {row['mu_s']:>7.2f} {row['mu_ratio']:>6.1f} "
                f"{row['accelerated_s']:>8.2f} {row['accelerated_ratio']:>6.1f}",
                flush=True,
            )
    else:
        print(f"{'threads':>7} {'K':>4} {'audiosep ms':>12} {'sklearn ms':>11} {'ratio':>6}")
        for threads in arguments.threads:
            for K in arguments.components:
                row = per_iteration(V, K, threads, arguments.iterations, arguments.runs)
                rows.append(row)
                print(
                    f"{threads:>7} {K:>4} {row['ms']:>12.1f} {row['sklearn_ms']:>11.1f} "
                    f"{row['ratio']:>6.2f}",
                    flush=True,
                )
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
