"""What ``bench_nmf.py`` compares on and with: signals, the machine, other libraries.

Every library gets the same V, W0 and H0, as far as its interface takes them, in the layout it is
fastest in, without early stopping. What only fits the data to that interface (a copy that the
library would write into, a sparse matrix) is made before the clock starts.

    library       version  betas    start   how
    scikit-learn  1.9      any      W0, H0  frames x bins, C-contiguous float32; multiplicative
                                            updates, or coordinate descent (solver="cd") at beta 2
    torchnmf      0.3      any      W0, H0  frames x bins, float32; computes its objective every 10
                                            iterations, which cannot be turned off
    nimfa         1.4      1, 2     W0, H0  bins x frames, C-contiguous float64, all it takes.
                                            Nmf with update="divergence" or "euclidean", its
                                            objective off; to an objective at beta 2 its Lsnmf,
                                            which is faster (projected gradients)
    gensim        4.4      2        own     online, sparse documents = frames, float64. One pass is
                                            many inner steps, so that it has no time per iteration;
                                            H is refitted outside the clock, in its favour

Measured on 30 s of drums: scikit-learn's coordinate descent is 2.5 times slower on bins x frames,
nimfa 1.7 to 2.6 times slower in the other layouts, and gensim gets further in the same time with
500 frames a chunk than with 2000 or with all.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import importlib.util
import io
import math
import re
import resource
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import soundfile
from threadpoolctl import threadpool_limits

from audiosep import Audio, stft
from audiosep.nmf import beta_divergence

EXAMPLES = Path(__file__).parent.parent / "examples" / "audio"
SR, N_FFT, HOP = 44_100, 2048, 512

Factors = tuple[np.ndarray, np.ndarray]

CHECK_EVERY = 10
"""Iterations of a peer between two looks at its objective; torchnmf's own rhythm."""

_CHUNK = 500  # frames of gensim
_BLOCK = 512  # frames whose model stays in the cache
_FLOOR, _FLOOR_SKLEARN = 1e-12, float(np.finfo(np.float32).eps)


# Tables

Column = tuple[str, str, str]
"""Key of the row, title, and how its value is written."""


def cell(value: object, how: str) -> str:
    if value is None:
        return "-"
    return "never" if isinstance(value, float) and math.isinf(value) else format(value, how)


def table(columns: list[Column], rows: list[dict]) -> str:
    """Aligned plain text; columns that no row has are left out."""
    columns = [c for c in columns if any(c[0] in row for row in rows)]
    body = [[cell(row.get(key), how) for key, _, how in columns] for row in rows]
    lines = [[title for _, title, _ in columns], *body]
    widths = [max(map(len, each)) for each in zip(*lines, strict=True)]
    left = [how == "s" for _, _, how in columns]
    aligned = [
        [
            x.ljust(w) if to_left else x.rjust(w)
            for x, w, to_left in zip(line, widths, left, strict=True)
        ]
        for line in lines
    ]
    return "\n".join("  ".join(line).rstrip() for line in aligned)


def show(title: str, columns: list[Column], rows: list[dict]) -> None:
    print(f"\n{title}\n{table(columns, rows)}", flush=True)


# Signals


def recordings(folders: list[Path]) -> list[Path]:
    """Mixtures below the folders, or all their sound files where nothing has that name.

    Those of 44.1 kHz; of the examples all, whose rates do not matter to a matrix.
    """
    found = [p for f in folders for p in sorted(f.rglob("*")) if p.suffix in (".wav", ".flac")]
    found = [p for p in found if p.stem == "mixture"] or found
    if folders == [EXAMPLES]:
        return found
    return [p for p in found if soundfile.info(p).samplerate == SR]


def real(folders: list[Path], seconds: float) -> np.ndarray:
    """Frames x bins of the first `seconds` of the recordings, joined, or less if there is less."""
    n = round(seconds * SR)
    once: list[np.ndarray] = []
    for path in recordings(folders):
        if sum(map(len, once)) < n:
            once.append(soundfile.read(path, dtype="float32", always_2d=True)[0].mean(axis=1))
    if not once:
        sys.exit(f"no recording of {SR} Hz in {', '.join(map(str, folders))}")
    y = np.concatenate(once)[:n]
    V = stft(Audio(samples=y[np.newaxis], sr=SR), n_fft=N_FFT, hop_length=HOP).magnitude()
    return np.ascontiguousarray(V.T)


def synthetic(seconds: float, rank: int = 24) -> np.ndarray:
    """Frames x bins: sparse gamma templates and activations, gamma noise around their product."""
    rng = np.random.default_rng(0)
    n = n_frames(seconds)
    templates = rng.standard_gamma(0.3, (rank, N_FFT // 2 + 1), np.float32)
    activations = rng.standard_gamma(0.2, (n, rank), np.float32)
    data = activations @ templates + np.float32(1e-4)
    data *= rng.standard_gamma(4.0, data.shape, np.float32)
    return data


def n_frames(seconds: float) -> int:
    return 1 + round(seconds * SR) // HOP


def signal(
    kind: str, folders: list[Path], seconds: float, *, repeat: bool, unique: float = 180.0
) -> np.ndarray:
    """V (bins, frames), frames-major, made in place: nothing else of its size is ever held.

    At most `unique` seconds are read or generated; with `repeat`, their frames fill the rest.
    """
    longest = min(seconds, unique)
    once = real(folders, longest) if kind == "real" else synthetic(longest)
    once /= once.mean(dtype=np.float64)
    n = n_frames(seconds) if repeat else min(len(once), n_frames(seconds))
    data = np.empty((n, once.shape[1]), np.float32)
    for first in range(0, n, len(once)):
        data[first : first + len(once)] = once[: n - first]
    return data.T


def start_of(V: np.ndarray, K: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Random W (bins, K) and H (K, frames) whose product has the level of V."""
    rng = np.random.default_rng(seed)
    level = np.float32(np.sqrt(V.mean() / K))
    W = rng.random((V.shape[0], K), dtype=np.float32) + np.float32(0.1)
    H = rng.random((K, V.shape[1]), dtype=np.float32) + np.float32(0.1)
    return W * level, H * level


def without_zeros(V: np.ndarray, beta: float) -> np.ndarray:
    """V that every library can fit: at beta <= 0 a zero would cost infinitely much.

    scikit-learn and torchnmf hold the model above 1.2e-7, whatever the level of V. Were an entry
    smaller than that, their Itakura-Saito divergence could not fall below what it costs (8 % of
    the whole on music with 0.3 % of digital silence), and the objective to reach would be too
    easy. That divergence does not depend on the level, so V is raised, well above. And 2e-9, as
    audiosep raises what is below 1e-9 of a power of two near the mean.
    """
    return V if beta > 0.0 else (V + np.float32(2e-9)) * np.float32(1e5)


# The machine


def seconds_of(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


_DIVISIONS, _TIMES = 4096, 40_000  # long enough for both threads to be on a processor each


@functools.cache
def divide_kernel():
    """Compiled division within the cache, by IEEE: fast-math would put an approximation instead."""
    import numba

    # Without this error model each division is checked for zero, one by one.
    @numba.njit(nogil=True, error_model="numpy")
    def divide(x, times):
        for _ in range(times):
            for i in range(x.size):
                x[i] = np.float32(1.5) / x[i]  # each round needs the last: none can be left out

    divide(np.ones(8, np.float32), 1)
    return divide


_ROUNDS = 40_000


@functools.cache
def multiply_add_kernel():
    """Compiled multiply-adds within the first-level cache: nothing that threads could share."""
    import numba

    @numba.njit(nogil=True, fastmath={"contract"}, error_model="numpy")
    def multiply_add(x, rounds):
        a, b = np.float32(0.5), np.float32(0.25)
        for _ in range(rounds):
            for i in range(x.size):
                y = x[i]
                for _ in range(8):
                    y = y * a + b
                x[i] = y

    multiply_add(np.ones(8, np.float32), 1)
    return multiply_add


def arithmetic(threads: int) -> float:
    """Multiply-adds per second of independent loops in the cache, best of a few."""
    work = multiply_add_kernel()
    arrays = [np.ones(_DIVISIONS, np.float32) for _ in range(threads)]
    with ThreadPoolExecutor(threads) as pool:
        spent = min(
            seconds_of(lambda: list(pool.map(lambda x: work(x, _ROUNDS), arrays))) for _ in range(3)
        )
    return 8.0 * threads * _ROUNDS * _DIVISIONS / spent


def reading(threads: int) -> float:
    """Bytes per second that threads read from memory, each its own."""
    arrays = [np.ones(1 << 25, np.float32) for _ in range(threads)]
    with ThreadPoolExecutor(threads) as pool:
        spent = min(seconds_of(lambda: list(pool.map(np.max, arrays))) for _ in range(4))
    return sum(x.nbytes for x in arrays) / spent


def rates(threads: int) -> tuple[float, float]:
    """Operations per second of a large float32 product, and float32 divisions, best of a few."""
    a = np.random.default_rng(0).random((1536, 1536), dtype=np.float32)
    out = np.empty_like(a)
    with threads_pinned(threads):
        a.dot(a, out=out)
        gemm = 2.0 * 1536**3 / min(seconds_of(lambda: a.dot(a, out=out)) for _ in range(4))

    def by_numpy(x: np.ndarray, times: int) -> None:
        for _ in range(times):
            np.divide(np.float32(1.5), x, out=x)

    best = 0.0
    with ThreadPoolExecutor(threads) as pool:
        for way in (divide_kernel(), by_numpy):
            arrays = [np.ones(_DIVISIONS, np.float32) for _ in range(threads)]
            for _ in range(4):
                spent = seconds_of(
                    lambda w=way, each=arrays: list(pool.map(lambda x: w(x, _TIMES), each))
                )
                best = max(best, threads * _TIMES * _DIVISIONS / spent)
    return gemm, best


def bound(V: np.ndarray, K: int, rate: tuple[float, float]) -> float:
    """Least seconds of a Kullback-Leibler iteration on this machine."""
    return 8.0 * V.size * K / rate[0] + 2.0 * V.size / rate[1]


def peak_mb() -> float:
    """Largest resident set so far, in 10^6 bytes.

    Linux hands the maximum of getrusage down to new processes, so that a child of a large process
    would report its parent; the high-water mark in /proc is the child's own.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text())[1]) * 1024 / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


# Objectives and clocks


def objective(V: np.ndarray, W: np.ndarray, H: np.ndarray, beta: float) -> float:
    """Beta-divergence in float64, one function for all.

    Libraries set tiny factors to zero and raise the model to some epsilon only while they
    compute. The divergence from a model of zero is infinite, so the model is raised here: to 1e-12
    of the mean of V (audiosep's) or to scikit-learn's epsilon, whichever gives the lower sum.
    """
    floor = _FLOOR * float(V.mean(dtype=np.float64))
    W = W.astype(np.float64)
    total = change = 0.0
    for first in range(0, V.shape[1], _BLOCK):
        block = slice(first, first + _BLOCK)
        data, model = V[:, block], np.maximum(W @ H[:, block].astype(np.float64), floor)
        total += beta_divergence(data, model, beta)
        low = model < _FLOOR_SKLEARN
        raised = np.full(np.count_nonzero(low), _FLOOR_SKLEARN)
        change += beta_divergence(data[low], raised, beta)
        change -= beta_divergence(data[low], model[low], beta)
    return total + min(change, 0.0)


class Reached(Exception):  # noqa: N818 - not an error: it ends a library's loop
    """The objective is at or below the target."""


class Stopwatch:
    """Time of a library, without the time that looking at its objective takes."""

    def __init__(self, target: float) -> None:
        self.target = target
        self.lost = 0.0
        self.began = time.perf_counter()

    def seconds(self) -> float:
        return time.perf_counter() - self.began - self.lost

    def look(self, compute: Callable[[], float]) -> None:
        began = time.perf_counter()
        reached = compute() <= self.target
        self.lost += time.perf_counter() - began
        if reached:
            raise Reached


# Libraries


class Peer:
    """A library: `prepare` returns the call to be timed, `until` the seconds to an objective."""

    name = ""
    module = ""

    def version(self) -> str | None:
        """Return None where it is not installed."""
        if importlib.util.find_spec(self.module) is None:
            return None
        return importlib.metadata.version(self.name)

    betas: tuple[float, ...] | None = None
    """The divergences it can do; None: any."""

    def can(self, beta: float) -> bool:
        return self.betas is None or beta in self.betas

    has_iterations = True
    """Whether what it calls an iteration is one update of W and of H."""

    def prepare(
        self, V: np.ndarray, W0: np.ndarray, H0: np.ndarray, beta: float, n_iter: int
    ) -> Callable[[], Factors]:
        raise NotImplementedError

    def watch(
        self,
        V: np.ndarray,
        W0: np.ndarray,
        H0: np.ndarray,
        beta: float,
        cap: int,
        look: Callable[[np.ndarray, np.ndarray | Callable[[], np.ndarray]], None],
    ) -> Callable[[], object]:
        """Return a call like prepare's, which looks at its W and H every few iterations."""
        raise NotImplementedError

    def until(
        self,
        V: np.ndarray,
        W0: np.ndarray,
        H0: np.ndarray,
        beta: float,
        cap: int,
        target: float,
    ) -> float:
        """Seconds until its objective is at or below the target; infinite if not within cap."""
        clock = Stopwatch(target)

        def look(W: np.ndarray, H: np.ndarray | Callable[[], np.ndarray]) -> None:
            clock.look(lambda: objective(V, W, H() if callable(H) else H, beta))

        call = self.watch(V, W0, H0, beta, cap, look)
        clock.lost = clock.seconds()  # preparing does not count
        try:
            call()
        except Reached:
            return clock.seconds()
        return math.inf


class ScikitLearn(Peer):
    """Multiplicative updates, or coordinate descent, in float32 and frames x bins."""

    name = "scikit-learn"
    module = "sklearn"

    def prepare(self, V, W0, H0, beta, n_iter, solver="mu", **options):
        from sklearn.decomposition import non_negative_factorization

        frames_first, bins_last = np.ascontiguousarray(H0.T), np.ascontiguousarray(W0.T)
        settings = {"max_iter": n_iter, "tol": 0, **options}

        def call() -> Factors:
            frames_by_k, k_by_bins, _ = non_negative_factorization(
                V.T,
                frames_first.copy(),  # it writes into them
                bins_last.copy(),
                n_components=len(H0),
                init="custom",
                solver=solver,
                beta_loss="frobenius" if solver == "cd" else beta,
                **settings,
            )
            return k_by_bins.T, frames_by_k.T

        return call


class Stamps(io.StringIO):
    """Standard output that keeps when each line came; what scikit-learn prints is in whole ms."""

    def __init__(self) -> None:
        super().__init__()
        self.times: list[float] = []

    def write(self, text: str) -> int:
        """Keep the time of the lines that end 10 iterations."""
        if "reached after" in text:
            self.times.append(time.perf_counter())
        return len(text)


def stretches_of_sklearn(V, W0, H0) -> tuple[float, float]:
    """Seconds per iteration around 10 and 1000: every 10 it prints, where a tolerance is set."""
    call = ScikitLearn().prepare(V, W0, H0, 1.0, 1000, tol=1e-300, verbose=1)
    stamps = Stamps()
    with threads_pinned(1), contextlib.redirect_stdout(stamps):
        call()
    each = np.diff(stamps.times) / 10
    return float(np.median(each[:5])), float(np.median(each[-5:]))


class TorchNMF(Peer):
    """Multiplicative updates by automatic differentiation."""

    name = "torchnmf"
    module = "torchnmf"

    def _model(self, kind, W0, H0):
        import torch

        return kind(
            W=torch.from_numpy(np.array(W0, order="C")),
            H=torch.from_numpy(np.array(H0.T, order="C")),
        )

    def prepare(self, V, W0, H0, beta, n_iter):
        import torch
        from torchnmf.nmf import NMF

        data = torch.from_numpy(V.T)

        def call() -> Factors:
            model = self._model(NMF, W0, H0)
            model.fit(data, beta=beta, tol=-math.inf, max_iter=n_iter)
            return model.W.detach().numpy(), model.H.detach().numpy().T

        return call

    def watch(self, V, W0, H0, beta, cap, look):
        import torch
        from torchnmf.nmf import NMF

        class Watched(NMF):
            """Looks at the factors when fit() computes its objective: without gradients."""

            def reconstruct(self, H, W):
                if not torch.is_grad_enabled():
                    look(W.detach().numpy(), H.detach().numpy().T)
                return NMF.reconstruct(H, W)

        data = torch.from_numpy(V.T)

        def call() -> None:
            self._model(Watched, W0, H0).fit(data, beta=beta, tol=-math.inf, max_iter=cap)

        return call


class Nimfa(Peer):
    """Updates on NumPy matrices."""

    name = "nimfa"
    module = "nimfa"

    betas = (1.0, 2.0)

    def _arguments(self, V, W0, H0, n_iter):
        if not hasattr(np, "mat"):
            np.mat = np.asmatrix  # noqa: NPY201 - nimfa 1.4 calls it by the name that NumPy 2 removed
        # It writes epsilons over the zeros of V, so it gets a V of its own.
        return {
            "V": np.array(V, np.float64, order="C"),
            "W": np.array(W0, np.float64, order="C"),
            "H": np.array(H0, np.float64, order="C"),
            "rank": len(H0),
            "max_iter": n_iter,
            "test_conv": n_iter + 1,  # never: its objective would cost a third of an iteration
        }

    def _multiplicative(self, beta):
        if beta == 1.0:
            return {"update": "divergence", "objective": "div", "min_residuals": None}
        return {"update": "euclidean", "objective": "fro", "min_residuals": None}

    def prepare(self, V, W0, H0, beta, n_iter):
        import nimfa

        model = nimfa.Nmf(**self._arguments(V, W0, H0, n_iter), **self._multiplicative(beta))

        def call() -> Factors:
            fit = model().fit
            return np.asarray(fit.W), np.asarray(fit.H)

        return call

    def watch(self, V, W0, H0, beta, cap, look):
        import nimfa

        # Lsnmf takes no None: a tiny number is as good.
        least = {"min_residuals": 1e-300}
        kind, options = (nimfa.Lsnmf, least) if beta == 2.0 else (nimfa.Nmf, None)

        class Watched(kind):
            """Looks at the factors when factorize() asks whether to go on."""

            def is_satisfied(self, *objectives_and_iteration):
                iteration = objectives_and_iteration[-1]
                if iteration % CHECK_EVERY == 0:
                    look(np.asarray(self.W), np.asarray(self.H))
                return iteration < self.max_iter

        return Watched(**self._arguments(V, W0, H0, cap), **(options or self._multiplicative(beta)))


class Gensim(Peer):
    """Online factorization of sparse documents; frames are its documents, bins its words."""

    name = "gensim"
    module = "gensim"

    betas = (2.0,)

    has_iterations = False

    def _model(self, kind, V, K, passes):
        return kind(
            num_topics=K,
            id2word={i: str(i) for i in range(len(V))},
            chunksize=_CHUNK,
            passes=passes,
            eval_every=None,
            normalize=False,
            random_state=0,
        )

    def prepare(self, V, _W0, H0, _beta, n_iter):
        from gensim.models.nmf import Nmf
        from scipy.sparse import csc_matrix

        documents = csc_matrix(V)

        def call() -> Factors:
            model = self._model(Nmf, V, len(H0), n_iter)
            model.update(documents)
            return model._W, model._solveproj(documents, model._W)

        return call

    def watch(self, V, _W0, H0, _beta, cap, look):
        from gensim.models.nmf import Nmf
        from scipy.sparse import csc_matrix

        documents = csc_matrix(V)
        chunks = math.ceil(documents.shape[1] / _CHUNK)

        class Watched(Nmf):
            """Looks after each pass, which ends with an update of W."""

            solved = 0

            def _solve_w(self):
                super()._solve_w()
                self.solved += 1
                if self.solved % chunks == 0:
                    # It keeps the H of the last chunk only. A function: it must not be timed.
                    look(self._W, lambda: self._solveproj(documents, self._W))

        # A pass solves for W and H anew in each chunk: 20 of them are as much as many iterations.
        passes = max(1, cap // CHECK_EVERY)
        return lambda: self._model(Watched, V, len(H0), passes).update(documents)


PEERS: dict[str, Peer] = {p.name: p for p in (TorchNMF(), Nimfa(), Gensim())}
"""The optional ones; scikit-learn is always there."""


@contextlib.contextmanager
def threads_pinned(threads: int) -> Iterator[None]:
    """Hold every pool in the process to this many threads; torch keeps its own count."""
    torch = sys.modules.get("torch")  # importing it here would count as the memory of others
    with threadpool_limits(threads):
        before = torch.get_num_threads() if torch else 0
        if torch:
            torch.set_num_threads(threads)
        try:
            yield
        finally:
            if torch:
                torch.set_num_threads(before)
