"""The comparisons: which choices, on which recordings. All settings were fixed beforehand."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from _choices_fits import (
    Choice,
    Fits,
    K,
    Row,
    costs,
    mean_column,
    per_scene,
    print_table,
    ratio_column,
)
from _choices_scenes import (
    Scene,
    improvement,
    item_paths,
    load_joined,
    load_scene,
    oracle_improvement,
)

N_RESTARTS = 5
N_TAPS = 10
JOINED_K = 32
BLOCK = 256
MOST = 1000


class Bench:
    """Recordings and fits that the sections share."""

    def __init__(self, corpus: Path, scenes: list[Scene], n_seeds: int) -> None:
        self.corpus, self.scenes, self.fits = corpus, scenes, Fits(range(n_seeds))
        self._joined: list[Scene] | None = None

    @property
    def joined(self) -> list[Scene]:
        if self._joined is None:
            self._joined = load_joined(self.corpus)
        return self._joined

    def compare(self, title, choices, base, extra=None, scenes=None) -> dict:
        """Fit all, print a table, return it with its rows."""
        rows = self.fits.rows(self.scenes if scenes is None else scenes, choices)
        table = print_table(title, rows, [c.label for c in choices], base, extra)
        return {"table": table, "rows": [vars(row) for row in rows]}


def solver(name: str, n: int, *, from_random: bool = False, suffix: str = "", **more) -> Choice:
    settings = {"solver": name, "max_iter": n} | more
    return Choice(f"{name} {n}{suffix}", settings, from_random=from_random)


MU, FINAL = solver("mu", 200), solver("mu", MOST)
QUICK = solver("accelerated", 200)
KL = [
    MU,
    FINAL,
    solver("accelerated", 50),
    QUICK,
    solver("accelerated", 200, from_random=True, suffix=", start of mu"),
    solver("joint", 200),
]


def bounds(bench: Bench) -> dict:
    """Nothing done, and the best a ratio mask can do."""
    rows = [
        Row(label, s.kind, s.name, 0, value)
        for s in bench.scenes
        for label, value in (
            ("do nothing", 0.0),
            ("oracle ratio mask", oracle_improvement(s)),
        )
    ]
    table = print_table("bounds", rows, ["do nothing", "oracle ratio mask"], "do nothing")
    for s in bench.scenes:
        print(f"   {s.kind}/{s.name}: {', '.join(s.references)}")
    return {"table": table, "rows": [vars(row) for row in rows]}


def solvers(bench: Bench) -> dict:
    out = {"kl": bench.compare("solvers, beta 1", KL, FINAL.label, costs(FINAL.label))}
    names = (
        "mu",
        "accelerated",
        "hals",
        "accelerated-hals",
        "als",
        "projected-gradient",
    )
    least = [solver(name, 200, beta=2.0) for name in names]
    least.insert(1, solver("mu", MOST, beta=2.0))
    out["ls"] = bench.compare("solvers, beta 2", least, least[1].label, costs(least[1].label))
    return out


def joined(bench: Bench) -> dict:
    """Long recordings, where templates are learnt on a sample of the frames first."""
    choices = [Choice(c.label, c.settings, JOINED_K, c.from_random) for c in KL[:5]]
    title = f"solvers, beta 1, long recordings, {JOINED_K} components"
    out = bench.compare(title, choices, FINAL.label, costs(FINAL.label), bench.joined)
    for s in bench.joined:
        rows = [Row(**row) for row in out["rows"] if row["name"] == s.name]
        each = ", ".join(f"{c.label}: {per_scene(rows, c.label)[s.name]:.2f}" for c in choices)
        print(f"   {s.name} ({s.V.shape[1]} frames; oracle {oracle_improvement(s):.2f}): {each}")
    return out


def divergence(bench: Bench) -> dict:
    def of(label, beta, *, method="mu", power=1.0, mask_power=1.0):
        settings = {"solver": method, "max_iter": 200}
        settings |= {} if beta == 1.0 else {"beta": beta}
        return Choice(label, settings, power=power, mask_power=mask_power)

    out = {}
    for method in ("mu", "accelerated"):
        choices = [
            of("0 on powers", 0.0, method=method, power=2.0),
            of("0 on powers, root", 0.0, method=method, power=2.0, mask_power=0.5),
            of("0", 0.0, method=method),
            of("0.5", 0.5, method=method),
            of("1", 1.0, method=method),
            of("1, squared", 1.0, method=method, mask_power=2.0),
            of("2", 2.0, method=method),
        ]
        if method == "accelerated":
            choices = [c for c in choices if "root" not in c.label and "squared" not in c.label]
        time_column = {"time": ratio_column("1", "seconds", 2)}
        out[method] = bench.compare(f"beta, {method} 200", choices, "1", time_column)
    return out


def initialisation(bench: Bench) -> dict:
    starts = [
        Choice(
            init,
            {"solver": "mu", "max_iter": 200} | ({} if init == "random" else {"init": init}),
        )
        for init in ("random", "nndsvd", "nndsvda", "nndsvdar", "frames")
    ]
    return {"starts": bench.compare("start, mu 200", starts, "random", costs("random"))}


def restarts(bench: Bench) -> dict:
    """Ask whether the lowest objective is the best separation, and how alike the starts are."""
    from audiosep.nmf import factorize, factorize_restarts

    settings = {
        "solver": "mu",
        "max_iter": 200,
        "tol": 0.0,
        "n_threads": 1,
        "loss_every": 200,
    }
    print(f"\n-- restarts, mu 200, {N_RESTARTS} starts, {K} components: SIi in dB")
    print(
        f"{'':34s}{'mean':>8s}{'lowest objective':>18s}{'best SIi':>10s}{'worst':>8s}"
        f"{'correlation':>13s}{'spread %':>10s}{'agreement':>11s}"
    )
    rows = []
    for s in bench.scenes:
        runs = factorize_restarts(s.V, K, n_restarts=N_RESTARTS, **settings)
        fits = [factorize(s.V, K, seed=seed, **settings) for seed in runs.seeds]
        sii = np.array([improvement(s, fit.templates, fit.activations) for fit in fits])
        rows.append(
            {
                "kind": s.kind,
                "name": s.name,
                "mean": sii.mean(),
                "lowest": sii[runs.losses.argmin()],
                "best": sii.max(),
                "worst": sii.min(),
                "correlation": np.corrcoef(-runs.losses, sii)[0, 1],
                "spread": 100 * runs.spread,
                "agreement": runs.overall,
            }
        )
        print_restarts(s.name, rows[-1])
    names = list(rows[0])[2:]
    print_restarts("all", {name: np.mean([row[name] for row in rows]) for name in names})
    gain = np.array([row["lowest"] - row["mean"] for row in rows])
    print(
        f"lowest objective against the mean of the starts: {gain.mean():+.2f} ± "
        f"{gain.std(ddof=1) / np.sqrt(len(gain)):.2f} dB, better on {(gain > 0).sum()} of "
        f"{len(gain)}; correlation is that of a low objective with SIi over the starts"
    )
    return {
        "rows": [{k: v if isinstance(v, str) else float(v) for k, v in r.items()} for r in rows]
    }


def print_restarts(name: str, row: dict) -> None:
    print(
        f"{name:34s}{row['mean']:8.2f}{row['lowest']:18.2f}{row['best']:10.2f}{row['worst']:8.2f}"
        f"{row['correlation']:13.2f}{row['spread']:10.2f}{row['agreement']:11.2f}"
    )


def penalties(bench: Bench) -> dict:
    """One penalty at a time, at three strengths; all with "accelerated" from a random start.

    Strengths were fixed beforehand, from weak ones to such that change everything.
    """
    from audiosep import nmf

    groups = [list(range(i, i + 4)) for i in range(0, K, 4)]

    def on(what, label, penalty):
        settings = {
            "solver": "accelerated",
            "max_iter": 100,
            f"{what}_penalties": [penalty],
        }
        return Choice(label, settings)

    free = solver("accelerated", 100, from_random=True)
    choices = [Choice("none", free.settings, from_random=True)]
    choices += [on("activation", f"L1 {s:g}", nmf.L1(s)) for s in (0.1, 0.3, 1.0, 3.0)]
    choices += [
        on("activation", f"{name} {s:g}", make(s))
        for name, make, strengths in (
            ("L2", nmf.L2, (0.0003, 0.003, 0.03)),
            ("Smoothness", nmf.Smoothness, (0.0003, 0.003, 0.03)),
            ("Decorrelation", nmf.Decorrelation, (1e-7, 1e-6, 1e-5)),
            (
                "GroupSparsity log",
                lambda s: nmf.GroupSparsity(groups, s, shape="log"),
                (1, 10, 100),
            ),
            ("Relevance", nmf.Relevance, (0.3, 3.0, 30.0)),
        )
        for s in strengths
    ]
    choices += [
        on("template", f"Orthogonality W {s:g}", nmf.Orthogonality(s)) for s in (10, 100, 1000)
    ]
    figures = {
        "sparsity": mean_column("sparsity"),
        "roughness": mean_column("roughness"),
        "overlap": mean_column("overlap"),
    }
    return bench.compare("penalties, beta 1, accelerated 100", choices, "none", figures)


def rank(bench: Bench) -> dict:
    from audiosep.nmf import suggest_rank

    numbers = (4, 8, 16, 32, 64)
    choices = [Choice(f"K = {n}", MU.settings, n) for n in numbers]
    out = bench.compare("components, beta 1, mu 200", choices, "K = 16", costs("K = 16"))
    rows = [Row(**row) for row in out["rows"]]
    print(f"\n{'suggest_rank, ard':34s}{'sources':>9s}{'says':>6s}{'seconds':>9s}  best K above")
    out["suggested"] = []
    suggest_rank(bench.scenes[0].V, n_threads=1)  # Numba compilation
    for s in bench.scenes:
        began = time.perf_counter()
        says = suggest_rank(s.V, n_threads=1).n_components
        seconds = time.perf_counter() - began
        best = max(numbers, key=lambda n: per_scene(rows, f"K = {n}")[s.name])
        print(f"{s.name:34s}{len(s.references):9d}{says:6d}{seconds:9.1f}  {best}")
        found = {"name": s.name, "n_sources": len(s.references), "says": says}
        out["suggested"].append(found | {"seconds": seconds, "best": best})
    taken = []
    for s, found in zip(bench.scenes, out["suggested"], strict=True):
        choice = Choice("suggested", MU.settings, max(found["says"], found["n_sources"]))
        taken += [bench.fits.row(s, choice, seed) for seed in bench.fits.seeds]
    every = [*rows, *taken]
    labels = ["suggested", "K = 16"]
    out["taken"] = print_table("components as suggested", every, labels, "K = 16")
    return out


def models(bench: Bench) -> dict:
    return {"nmfd": nmfd(bench), "ntf": ntf(bench), "online": online(bench)}


def nmfd(bench: Bench) -> dict:
    """Patches of several frames against single spectra, drums only."""
    from audiosep.nmf import factorize_convolutive

    scenes = [load_scene(path) for path in item_paths(bench.corpus, "drums")]
    out = {}
    for n in (3, 6, 12):
        plain = Choice("NMF", {"solver": "mu", "max_iter": 200}, n)
        rows = bench.fits.rows(scenes, [plain])
        for s in scenes:
            for seed in bench.fits.seeds:
                began = time.perf_counter()
                fit = factorize_convolutive(
                    s.V, n, n_taps=N_TAPS, max_iter=200, tol=0.0, seed=seed, n_threads=1
                )
                seconds = time.perf_counter() - began
                W, H, part_of = unrolled(fit.templates, fit.activations)
                sii = improvement(s, W, H, part_of=part_of)
                rows.append(Row("NMFD", s.kind, s.name, seed, sii, float(fit.losses[-1]), seconds))
        title = f"NMFD of {N_TAPS} frames against NMF, {n} components, 200 iterations"
        out[n] = print_table(title, rows, ["NMF", "NMFD"], "NMF", costs("NMF"))
    return out


def unrolled(W: np.ndarray, H: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Patches as parts of one frame each, with delayed activations, and which is whose."""
    n_bins, n_components, n_taps = W.shape
    delayed = np.zeros((n_taps, *H.shape), H.dtype)
    for tap in range(n_taps):
        delayed[tap, :, tap:] = H[:, : H.shape[1] - tap]
    flat = np.moveaxis(W, 2, 1).reshape(n_bins, n_taps * n_components)
    return flat, delayed.reshape(-1, H.shape[1]), np.tile(np.arange(n_components), n_taps)


def ntf(bench: Bench) -> dict:
    """Channels together, with a gain of each component in each, against their mean."""
    from audiosep.nmf import factorize_tensor

    kinds = ("stereo", "multitrack")
    scenes = [load_scene(p, mono=False) for kind in kinds for p in item_paths(bench.corpus, kind)]
    plain = Choice("NMF of the mean", {"solver": "mu", "max_iter": 200})
    rows = bench.fits.rows(scenes, [plain])
    for s in scenes:
        for seed in bench.fits.seeds:
            V = np.abs(s.spectrogram.values).astype(np.float32)
            began = time.perf_counter()
            fit = factorize_tensor(V, K, max_iter=200, tol=0.0, seed=seed, n_threads=1)
            seconds = time.perf_counter() - began
            sii = improvement(s, fit.templates, fit.activations, Q=fit.gains)
            rows.append(Row("NTF", s.kind, s.name, seed, sii, seconds=seconds))
    labels = [plain.label, "NTF"]
    time_column = {"time": ratio_column(plain.label, "seconds", 2)}
    title = "NTF against NMF, two channels, 200 iterations"
    return {"table": print_table(title, rows, labels, plain.label, time_column)}


def online(bench: Bench) -> dict:
    """Learning from a stream of blocks against the whole at once, long recordings."""
    choices = [Choice(c.label, c.settings, JOINED_K) for c in (MU, QUICK)]
    rows = bench.fits.rows(bench.joined, choices)
    labels = [c.label for c in choices]
    for s in bench.joined:
        for forget_factor in (0.7, 1.0):
            for seed in bench.fits.seeds:
                label = f"online, forget {forget_factor:g}"
                rows.append(streamed(s, label, seed, forget_factor))
    labels += list(dict.fromkeys(row.label for row in rows if row.label not in labels))
    title = f"OnlineNMF, one pass of blocks of {BLOCK} frames, {JOINED_K} components"
    return {"table": print_table(title, rows, labels, QUICK.label, costs(QUICK.label))}


def streamed(scene: Scene, label: str, seed: int, forget_factor: float) -> Row:
    from audiosep.nmf import OnlineNMF, beta_divergence

    blocks = range(0, scene.V.shape[1], BLOCK)
    began = time.perf_counter()
    learner = OnlineNMF(JOINED_K, forget_factor=forget_factor, seed=seed, n_threads=1)
    for start in blocks:
        learner.partial_fit(scene.V[:, start : start + BLOCK])
    H = np.hstack([learner.encode(scene.V[:, start : start + BLOCK]) for start in blocks])
    seconds = time.perf_counter() - began
    W = learner.templates
    objective = beta_divergence(scene.V, W @ H, 1.0)
    return Row(
        label,
        scene.kind,
        scene.name,
        seed,
        improvement(scene, W, H),
        objective,
        seconds,
    )


SECTIONS: dict[str, Callable[[Bench], dict]] = {
    "bounds": bounds,
    "solvers": solvers,
    "joined": joined,
    "divergence": divergence,
    "initialisation": initialisation,
    "restarts": restarts,
    "penalties": penalties,
    "rank": rank,
    "models": models,
}
