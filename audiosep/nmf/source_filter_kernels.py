"""Compiled loops of the source/filter model: arrays in, arrays out, the caller allocates.

Everything is frames-major. Only a few excitations may sound in each frame; their columns are
gathered, so that the cost does not depend on how many there are in all.
"""

# Typed by the compiler, which sees more than an annotation could say.
# mypy: disable-error-code="no-untyped-def,no-untyped-call"
# ruff: noqa: ANN001, ANN201

from __future__ import annotations

import math

from audiosep.nmf.jit import kernel

__all__ = ["excite", "ratio", "ratio_loss", "weigh"]


@kernel
def excite(combs, candidates, gains, E):
    """``E[n] = Σ_c gains[n, c] combs[candidates[n, c]]``; candidates below 0 are none."""
    for n in range(E.shape[0]):
        for f in range(E.shape[1]):
            E[n, f] = 0.0
        for c in range(candidates.shape[1]):
            k = candidates[n, c]
            gain = gains[n, c]
            if k >= 0 and gain > 0.0:
                for f in range(E.shape[1]):
                    E[n, f] += gain * combs[k, f]


@kernel
def weigh(combs, candidates, R, filters, above, below):
    """Project on each candidate: ``above = Σ_f comb R filter``, ``below = Σ_f comb filter``."""
    for n in range(R.shape[0]):
        for c in range(candidates.shape[1]):
            k = candidates[n, c]
            total = R[n, 0] * 0.0
            expected = R[n, 0] * 0.0
            if k >= 0:
                for f in range(R.shape[1]):
                    part = combs[k, f] * filters[n, f]
                    total += R[n, f] * part
                    expected += part
            above[n, c] = total
            below[n, c] = expected


@kernel
def ratio(V, E, filters, rest, floor, R):
    """``R = V / (E filters + rest)``."""
    for n in range(V.shape[0]):
        for f in range(V.shape[1]):
            R[n, f] = V[n, f] / (E[n, f] * filters[n, f] + rest[n, f] + floor)


@kernel
def ratio_loss(V, E, filters, rest, floor, R):
    """As `ratio`; return the generalised Kullback-Leibler divergence of V from the model."""
    loss = 0.0
    for n in range(V.shape[0]):
        for f in range(V.shape[1]):
            model = E[n, f] * filters[n, f] + rest[n, f] + floor
            r = V[n, f] / model
            R[n, f] = r
            if r > 0.0:
                loss += V[n, f] * math.log(r)
            loss += model - V[n, f]
    return loss
