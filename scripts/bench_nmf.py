"""Time per iteration of Kullback-Leibler NMF: audiosep and scikit-learn in one run.

    python scripts/bench_nmf.py [--audio FILE] [--seconds 180] [--components 8 16 32 64]
                                [--threads 1 2] [--iterations 20] [--runs 3]

Both get the same magnitude spectrogram (window 2048, hop 512 at 44.1 kHz: 1025 bins) and the same
number of iterations, without early stopping; the time of the whole call is divided by the
iterations, so that starts, copies and (ours) the objective of every iteration count. scikit-learn
is timed in its best layout, frames × bins, C-contiguous float32. The runs alternate; the ratio is
the median of the ratios run by run, because a shared machine drifts. Needs ".[test]".
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import warnings
from pathlib import Path

import numpy as np
import soundfile
from sklearn.decomposition import non_negative_factorization
from threadpoolctl import threadpool_limits

from audiosep import Audio, stft
from audiosep.nmf import factorize

EXAMPLES = Path(__file__).parent.parent / "examples" / "audio"


def spectrogram(audio: Path | None, seconds: float) -> np.ndarray:
    """Magnitudes (bins, frames), frames-major, of `seconds` of sound."""
    paths = [audio] if audio else sorted(EXAMPLES.glob("*/mixture.flac"))
    once = np.concatenate([soundfile.read(p, always_2d=True)[0].mean(axis=1) for p in paths])
    n = round(seconds * 44_100)
    y = np.tile(once, n // len(once) + 1)[:n].astype(np.float32)
    return stft(Audio(samples=y[np.newaxis], sr=44_100), n_fft=2048, hop_length=512).magnitude()


def seconds_of(call, iterations: int) -> float:
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) / iterations


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
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # scikit-learn warns that it did not converge: it was not to

    V = spectrogram(arguments.audio, arguments.seconds)
    X = V.T
    n = arguments.iterations
    rows = []
    print(f"V: {V.shape[0]} bins x {V.shape[1]} frames, float32, {V.nbytes / 1e6:.0f} MB")
    print(f"{'threads':>7} {'K':>4} {'audiosep ms':>12} {'sklearn ms':>11} {'ratio':>6}")
    for threads in arguments.threads:
        for K in arguments.components:
            rng = np.random.default_rng(0)
            W0 = rng.random((V.shape[0], K), dtype=np.float32) + np.float32(0.1)
            H0 = rng.random((K, V.shape[1]), dtype=np.float32) + np.float32(0.1)

            def ours(K=K, W0=W0, H0=H0, threads=threads):
                factorize(V, K, templates=W0, activations=H0, max_iter=n, tol=0, n_threads=threads)

            def theirs(K=K, W0=W0, H0=H0, threads=threads):
                with threadpool_limits(threads):
                    non_negative_factorization(
                        X,
                        np.ascontiguousarray(H0.T),
                        np.ascontiguousarray(W0.T),
                        n_components=K,
                        init="custom",
                        solver="mu",
                        beta_loss="kullback-leibler",
                        max_iter=n,
                        tol=0,
                    )

            factorize(V[:, :64], K, max_iter=1)  # Numba compilation
            times = [(seconds_of(ours, n), seconds_of(theirs, n)) for _ in range(arguments.runs)]
            mine = statistics.median(a for a, _ in times) * 1e3
            other = statistics.median(b for _, b in times) * 1e3
            ratio = statistics.median(b / a for a, b in times)
            rows.append(
                {"threads": threads, "K": K, "ms": mine, "sklearn_ms": other, "ratio": ratio}
            )
            print(f"{threads:>7} {K:>4} {mine:>12.1f} {other:>11.1f} {ratio:>6.2f}", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
