"""Fits that are compared, what is measured of each, and tables of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field

import numpy as np
from _choices_scenes import Scene, improvement

K = 16


@dataclass(frozen=True)
class Choice:
    """A row of a table: how to factorize."""

    label: str
    settings: dict = field(default_factory=dict)
    n_components: int = K
    from_random: bool = False
    """Give the random factors that "mu" starts from, so that nothing is learnt on a sample."""
    power: float = 1.0
    """The data are magnitudes to this power, and so is the model that masks are made of."""
    mask_power: float = 1.0


@dataclass(frozen=True)
class Row:
    """What one choice did on one recording from one seed."""

    label: str
    kind: str
    name: str
    seed: int
    sii: float
    """SI-SDR improvement in dB, mean over the sources."""
    objective: float = float("nan")
    """Divergence at the end, without penalties."""
    seconds: float = float("nan")
    sparsity: float = float("nan")
    """Hoyer's, of the activations: 0 constant, 1 a single frame; mean over the components."""
    roughness: float = float("nan")
    """Energy of the steps between frames over the energy, of the activations."""
    overlap: float = float("nan")
    """Cosine of two templates, mean over the pairs."""


class Fits:
    """Makes and scores fits; each is made once, however many tables it is in."""

    def __init__(self, seeds: Iterable[int]) -> None:
        self.seeds = tuple(seeds)
        self._rows: dict[str, Row] = {}
        self._warm: set[str] = set()

    def row(self, scene: Scene, choice: Choice, seed: int) -> Row:
        what = (scene.name, scene.mixture.shape)
        same = repr((*what, seed, choice.settings, choice.n_components))
        key = same + repr((choice.from_random, choice.power, choice.mask_power))
        if key not in self._rows:
            self._rows[key] = self._made(scene, choice, seed)
        return Row(**{**asdict(self._rows[key]), "label": choice.label})

    def rows(self, scenes: list[Scene], choices: list[Choice]) -> list[Row]:
        return [self.row(s, c, seed) for s in scenes for c in choices for seed in self.seeds]

    def _made(self, scene: Scene, choice: Choice, seed: int) -> Row:
        from audiosep.nmf import beta_divergence, factorize

        V = scene.V if choice.power == 1.0 else scene.V**choice.power
        settings = {"tol": 0.0, "n_threads": 1, "loss_every": 10} | choice.settings
        if choice.from_random:
            settings |= random_factors(V, choice.n_components, seed)
        kernels = repr([settings.get(n) for n in ("solver", "beta")]) + repr(scene.V.shape)
        if kernels not in self._warm:  # Numba compilation, and pages of memory
            factorize(V, choice.n_components, seed=seed, **settings | {"max_iter": 2})
            self._warm.add(kernels)
        began = time.perf_counter()
        fit = factorize(V, choice.n_components, seed=seed, **settings)
        seconds = time.perf_counter() - began
        W, H = fit.templates, fit.activations
        return Row(
            label=choice.label,
            kind=scene.kind,
            name=scene.name,
            seed=seed,
            sii=improvement(scene, W, H, power=choice.mask_power),
            objective=beta_divergence(V, W @ H, fit.beta),
            seconds=seconds,
            sparsity=sparsity(H),
            roughness=roughness(H),
            overlap=overlap(W),
        )


def random_factors(V: np.ndarray, n_components: int, seed: int) -> dict:
    """Factors that "mu" starts from with this seed."""
    from audiosep.nmf.initialize import random_start

    W, H = random_start(V.T, n_components, np.random.default_rng(seed))
    return {"templates": W.T, "activations": H.T}


def sparsity(H: np.ndarray) -> float:
    """Hoyer (2004): ``(sqrt(n) - |h|_1 / |h|_2) / (sqrt(n) - 1)``."""
    h = H[np.linalg.norm(H, axis=1) > 0].astype(np.float64)
    if not len(h):
        return float("nan")
    root = np.sqrt(h.shape[1])
    return float(np.mean((root - h.sum(axis=1) / np.linalg.norm(h, axis=1)) / (root - 1)))


def roughness(H: np.ndarray) -> float:
    h = H.astype(np.float64)
    return float((np.diff(h, axis=1) ** 2).sum() / ((h**2).sum() + 1e-300))


def overlap(W: np.ndarray) -> float:
    w = W / (np.linalg.norm(W, axis=0) + 1e-30)
    n = w.shape[1]
    return float(((w.T @ w).sum() - n) / max(n * (n - 1), 1))


# --- tables --------------------------------------------------------------------------------------


def per_scene(rows: list[Row], label: str, what: str = "sii") -> dict[str, float]:
    """Mean over the seeds, by recording."""
    found: dict[str, list[float]] = {}
    for row in rows:
        if row.label == label:
            found.setdefault(row.name, []).append(getattr(row, what))
    return {name: float(np.mean(values)) for name, values in found.items()}


def paired(rows: list[Row], label: str, base: str) -> tuple[float, float, float, int]:
    """Difference of two choices over the recordings: mean, standard error, median, wins."""
    a, b = per_scene(rows, label), per_scene(rows, base)
    difference = np.array([a[name] - b[name] for name in a])
    error = difference.std(ddof=1) / np.sqrt(len(difference)) if len(difference) > 1 else np.nan
    median, wins = float(np.median(difference)), int((difference > 0).sum())
    return float(difference.mean()), float(error), median, wins


def ratio(rows: list[Row], label: str, base: str, what: str) -> float:
    """Median over the recordings of the ratio of two choices."""
    a, b = per_scene(rows, label, what), per_scene(rows, base, what)
    return float(np.median([a[name] / b[name] for name in a]))


Extra = dict[str, Callable[[list[Row], str], str]]


def ratio_column(base: str, what: str, digits: int) -> Callable[[list[Row], str], str]:
    return lambda rows, label: f"{ratio(rows, label, base, what):.{digits}f}"


def mean_column(what: str, digits: int = 2) -> Callable[[list[Row], str], str]:
    return lambda rows, label: f"{np.mean(list(per_scene(rows, label, what).values())):.{digits}f}"


def costs(base: str) -> Extra:
    """Objective and time as ratios to those of one row."""
    return {
        "objective": ratio_column(base, "objective", 4),
        "time": ratio_column(base, "seconds", 2),
    }


def print_table(
    title: str,
    rows: list[Row],
    labels: list[str],
    base: str,
    extra: Extra | None = None,
) -> list[dict]:
    """Print SIi by kind and over all, and the difference from one row; return the same."""
    kinds = list(dict.fromkeys(row.kind for row in rows))
    names = {row.name for row in rows}
    width = max(map(len, labels))
    heading = f"against {base!r}"
    wide = max(len("+0.00 ± 0.00 (+0.00) 00 of 00"), len(heading)) + 2
    print(f"\n-- {title}: SIi in dB, {len(names)} recordings")
    heads = [f"{kind.replace('speech_noise', 'speech'):>10s}" for kind in kinds]
    columns = [f"{name:>10s}" for name in extra or {}]
    print(f"{'':{width}s} {' '.join(heads)}    all   {heading:{wide}s}{''.join(columns)}".rstrip())
    table = []
    for label in labels:
        chosen = [row for row in rows if row.label == label]
        means = {k: float(np.mean([r.sii for r in chosen if r.kind == k])) for k in kinds}
        total = float(np.mean(list(per_scene(rows, label).values())))
        difference, error, median, wins = paired(rows, label, base)
        values = {name: make(rows, label) for name, make in (extra or {}).items()}
        against = f"{difference:+5.2f} ± {error:4.2f} ({median:+5.2f}) {wins:2d} of {len(names)}"
        against = "-" if label == base else against
        cells = " ".join(f"{means[k]:10.2f}" for k in kinds)
        figures = "".join(f"{value:>10s}" for value in values.values())
        print(f"{label:{width}s} {cells} {total:6.2f}   {against:{wide}s}{figures}".rstrip())
        table.append(
            {"label": label, "sii": total, "by_kind": means, "difference": difference}
            | {"standard_error": error, "median": median, "wins": wins, "n": len(names)}
            | values
        )
    return table
