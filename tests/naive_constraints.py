"""An obvious twin of constrained factorization: plain NumPy, float64, objective and updates.

Bins-major as in the papers. A penalty is anything with ``value``, ``gradient``, ``rises`` and
``falls``. Nothing here imports the code it is compared with.
"""

from __future__ import annotations

import numpy as np

MODEL_FLOOR = 1e-12
FACTOR_FLOOR = 1e-16


def model_of(W, H, beta):
    return W @ H if beta == 2 else W @ H + MODEL_FLOOR


def divergence(V, C, beta, G):
    """Févotte & Idier (2011), eq. 2.1, summed with weights."""
    with np.errstate(divide="ignore", invalid="ignore"):
        if beta == 1:
            each = np.where(V > 0, V * np.log(V / C), 0.0) - V + C
        elif beta == 0:
            each = V / C - np.log(V / C) - 1
        else:
            each = (V**beta + (beta - 1) * C**beta - beta * V * C ** (beta - 1)) / (
                beta * (beta - 1)
            )
    return float(np.sum(G * each))


def exponent(beta, penalties, through_norm):
    """One over the highest rising minus the lowest falling power of all terms."""
    rises, falls = [max(beta, 1.0)], [min(beta - 1.0, 1.0)]
    if through_norm:
        rises.append(2.0)
    for p in penalties:
        rises.append(p.rises)
        falls.append(p.falls)
    return 1.0 / (max(rises) - min(falls))


def gradient_of(penalties, X):
    """Sums of the parts of the gradients at rows X, of X's shape."""
    plus, minus = np.zeros(X.shape), np.zeros(X.shape)
    for p in penalties:
        up, down = p.gradient(X)
        plus = plus + up
        minus = minus + down
    return plus, minus


class Twin:
    """Minimise ``D(V | W H) + P(W) + P(H)``; rows of a penalised W are its components."""

    def __init__(self, V, W, H, beta, *, on_w=(), on_h=(), hold=True, fixed_w=None, fixed_h=None,
                 gates_w=None, gates_h=None, weights=None):  # fmt: skip
        self.V, self.W, self.H = (np.array(x, float) for x in (V, W, H))
        self.beta, self.on_w, self.on_h = beta, on_w, on_h
        self.G = np.ones(self.V.shape) if weights is None else np.array(weights, float)
        self.moves_w = np.ones(self.W.shape, bool) if fixed_w is None else ~fixed_w
        self.moves_h = np.ones(self.H.shape, bool) if fixed_h is None else ~fixed_h
        if gates_w is not None:
            self.W[gates_w] = 0.0
        if gates_h is not None:
            self.H[gates_h] = 0.0
        # The level of a component can only move between factors where nothing of it is fixed.
        self.movable = self.moves_w.all(axis=0) & self.moves_h.all(axis=1)
        self.held = ""
        if hold and bool(on_w) != bool(on_h):
            self.held = "h" if on_w else "w"
        self.normalise()

    def normalise(self):
        for k in np.flatnonzero(self.movable):
            level = {
                "w": np.sqrt((self.W[:, k] ** 2).sum()),
                "h": np.sqrt((self.H[k] ** 2).mean()),
                "": 1.0,
            }[self.held]
            if level == 0:
                continue
            if self.held == "w":
                self.W[:, k] /= level
                self.H[k] *= level
            else:
                self.H[k] /= level
                self.W[:, k] *= level

    def objective(self):
        C = model_of(self.W, self.H, self.beta)
        total = divergence(self.V, C, self.beta, self.G)
        total += sum(p.value(self.W.T) for p in self.on_w)
        return total + sum(p.value(self.H) for p in self.on_h)

    def sums(self):
        C = model_of(self.W, self.H, self.beta)
        one = np.ones_like(C)
        R = self.G * self.V * (one if self.beta == 2 else C ** (self.beta - 2))
        return R, self.G * C ** (self.beta - 1)

    def level_parts(self, penalties, X, share):
        """What the penalty of X says to the level of each component that is held, as a column."""
        plus, minus = gradient_of(penalties, X)
        share = (self.movable * share)[:, np.newaxis]
        return [share * (part * X).sum(axis=1, keepdims=True) for part in (plus, minus)]

    def step_h(self):
        R, Q = self.sums()
        plus, minus = gradient_of(self.on_h, self.H)
        terms = list(self.on_h)
        if self.held == "h":
            # H counts with its level, a root mean square: its gradient is H over the frames.
            up, down = self.level_parts(self.on_w, self.W.T, 1.0 / self.H.shape[1])
            plus, minus = plus + up * self.H, minus + down * self.H
            terms = terms + list(self.on_w)
        self.H = moved(
            self.H, self.W.T @ R + minus, self.W.T @ Q + plus,
            exponent(self.beta, terms, self.held == "h"), self.moves_h,
        )  # fmt: skip

    def step_w(self):
        R, Q = self.sums()
        plus, minus = gradient_of(self.on_w, self.W.T)
        terms = list(self.on_w)
        if self.held == "w":
            up, down = self.level_parts(self.on_h, self.H, 1.0)
            plus, minus = plus + up * self.W.T, minus + down * self.W.T
            terms = terms + list(self.on_h)
        self.W = moved(
            self.W, R @ self.H.T + minus.T, Q @ self.H.T + plus.T,
            exponent(self.beta, terms, self.held == "w"), self.moves_w,
        )  # fmt: skip

    def run(self, n_iter):
        """Return the objectives before each iteration and after the last one."""
        objectives = [self.objective()]
        for _ in range(n_iter):
            self.step_h()
            self.normalise()  # a penalised W is meant at activations of level one
            self.step_w()
            self.normalise()
            objectives.append(self.objective())
        return np.array(objectives)


def moved(X, above, below, power, free):
    go = (X > 0) & (below > 0) & free
    ratio = np.where(go, above, 1.0) / np.where(go, below, 1.0)
    return np.where(go, np.maximum(X * ratio**power, FACTOR_FLOOR), X)
