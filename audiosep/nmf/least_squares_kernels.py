"""Compiled loops of the least-squares solvers: arrays in, arrays out, the caller allocates.

All of them minimise, column by column of X (n_components, n), the quadratic

    ½⟨X, G X⟩ - ⟨P, X⟩ + Σ_k l1_k Σ|x_k| + ½ Σ_k l2_k Σ x_k²    over X >= 0

with ``G = W Wᵀ, P = W Vᵀ`` for the activations, ``G = Hᵀ H, P = Hᵀ V`` for the templates. V itself
is never seen here: it went into P by a matrix product.
"""

# Typed by the compiler, which sees more than an annotation could say.
# mypy: disable-error-code="no-untyped-def,no-untyped-call"
# ruff: noqa: ANN001, ANN201, ANN202

from __future__ import annotations

import numpy as np

from audiosep.nmf.jit import kernel

__all__ = [
    "TILE",
    "descend",
    "descend_columns",
    "descend_rows",
    "half_square",
    "inner",
    "pivot_rows",
]

# Columns worked on together: their K rows stay in the first- or second-level cache.
TILE = 256


@kernel
def descend(X, P, G, l1, l2, free, r, sweeps, least):
    """Coordinate descent over the rows of X (K, n) in place, `sweeps` times.

    Row k moves to its minimiser with all other rows held; Cichocki & Phan (2009), eq. 25, in Gram
    form. A row whose curvature is not above `least` has no minimiser, or one at zero, if its slope
    is not negative: where it is penalised it moves there, and else it stays.
    free (K, n), (K, 1) is 1 where an entry may move; r (n,) is scratch.
    """
    K, n = X.shape
    zero = X.dtype.type(0.0)
    every_entry = free.shape[1] == n
    for _ in range(sweeps):
        for k in range(K):
            curvature = G[k, k] + l2[k]
            vanished = curvature <= least
            if vanished and l1[k] == zero and l2[k] == zero:
                continue
            if not every_entry and free[k, 0] == 0:
                continue
            own = G[k, k]
            for j in range(n):
                r[j] = P[k, j] - l1[k] + own * X[k, j]
            # Four rows at a time: r is loaded and stored a quarter as often.
            first = 0
            while first + 4 <= K:
                a, b = G[k, first], G[k, first + 1]
                c, d = G[k, first + 2], G[k, first + 3]
                for j in range(n):
                    r[j] -= (
                        a * X[first, j]
                        + b * X[first + 1, j]
                        + c * X[first + 2, j]
                        + d * X[first + 3, j]
                    )
                first += 4
            for m in range(first, K):
                a = G[k, m]
                for j in range(n):
                    r[j] -= a * X[m, j]
            if vanished:
                for j in range(n):
                    if r[j] <= zero and free[k, j if every_entry else 0] != 0:
                        X[k, j] = zero
                continue
            inverse = X.dtype.type(1.0) / curvature
            if every_entry:
                for j in range(n):
                    if free[k, j] != 0:
                        X[k, j] = max(r[j] * inverse, zero)
            else:
                for j in range(n):
                    X[k, j] = max(r[j] * inverse, zero)


@kernel
def descend_columns(X, P, G, l1, l2, free, sweeps, least):
    """:func:`descend` on X (K, n), tile by tile."""
    K, n = X.shape
    x_all = np.empty((K, TILE), X.dtype)
    p_all = np.empty((K, TILE), X.dtype)
    r = np.empty(TILE, X.dtype)
    every_entry = free.shape[1] == n
    some = np.empty((K, TILE if every_entry else 1), np.uint8)
    for first in range(0, n, TILE):
        width = min(TILE, n - first)
        x, p = x_all[:, :width], p_all[:, :width]
        f = some[:, : width if every_entry else 1]
        for k in range(K):
            for j in range(width):
                x[k, j] = X[k, first + j]
                p[k, j] = P[k, first + j]
            if every_entry:
                for j in range(width):
                    f[k, j] = free[k, first + j]
            else:
                f[k, 0] = free[k, 0]
        descend(x, p, G, l1, l2, f, r, sweeps, least)
        for k in range(K):
            for j in range(width):
                X[k, first + j] = x[k, j]


@kernel
def descend_rows(X, P, G, l1, l2, free, sweeps, least):
    """:func:`descend` on X stored the other way, (n, K); free (n, K) or (1, K)."""
    n, K = X.shape
    x_all = np.empty((K, TILE), X.dtype)
    p_all = np.empty((K, TILE), X.dtype)
    r = np.empty(TILE, X.dtype)
    every_entry = free.shape[0] == n
    some = np.empty((K, TILE if every_entry else 1), np.uint8)
    for first in range(0, n, TILE):
        width = min(TILE, n - first)
        x, p = x_all[:, :width], p_all[:, :width]
        f = some[:, : width if every_entry else 1]
        for j in range(width):
            for k in range(K):
                x[k, j] = X[first + j, k]
                p[k, j] = P[first + j, k]
        if every_entry:
            for j in range(width):
                for k in range(K):
                    f[k, j] = free[first + j, k]
        else:
            for k in range(K):
                f[k, 0] = free[0, k]
        descend(x, p, G, l1, l2, f, r, sweeps, least)
        for j in range(width):
            for k in range(K):
                X[first + j, k] = x[k, j]


@kernel
def inner(a, b):
    """``⟨a, b⟩`` of two matrices, summed in double precision."""
    total = 0.0
    for i in range(a.shape[0]):
        for j in range(a.shape[1]):
            total += np.float64(a[i, j]) * np.float64(b[i, j])
    return total


@kernel
def half_square(V, C):
    """``½ ‖V - C‖²``, summed in double precision."""
    total = 0.0
    for i in range(V.shape[0]):
        for j in range(V.shape[1]):
            gap = np.float64(V[i, j]) - np.float64(C[i, j])
            total += gap * gap
    return 0.5 * total


@kernel
def factor(G, members, size, L):
    """Cholesky factor of the rows and columns `members` of G, into the corner of L."""
    for i in range(size):
        for j in range(i + 1):
            total = G[members[i], members[j]]
            for m in range(j):
                total -= L[i, m] * L[j, m]
            if i == j:
                L[i, i] = np.sqrt(max(total, 1e-300))
            else:
                L[i, j] = total / L[j, j]


@kernel
def solve(L, size, b):
    """Overwrite the first entries of b with the solution of ``L Lᵀ x = b``."""
    for i in range(size):
        for m in range(i):
            b[i] -= L[i, m] * b[m]
        b[i] /= L[i, i]
    for i in range(size - 1, -1, -1):
        for m in range(i + 1, size):
            b[i] -= L[m, i] * b[m]
        b[i] /= L[i, i]


@kernel
def pivot_rows(X, P, G, free, near):
    """Exact minimiser of each row of X (n, K), by block principal pivoting, in place.

    Each row x minimises ``½ xᵀ G x - pᵀ x + ½ near ‖x - x_before‖²`` over ``x >= 0``; the last
    term makes it unique where G is singular. Kim & Park (2011), Algorithm 1: exchange all
    variables with a wrong sign while their number falls within three tries, else only the last
    one, which cannot cycle. G (K, K) and `near` in float64; free (n, K) or (1, K).
    Returns how many rows were given up and kept as they were.
    """
    n, K = X.shape
    every_row = free.shape[0] == n
    passive = np.zeros(K, np.bool_)
    factored = np.zeros(K, np.bool_)
    has_factor = False
    members = np.empty(K, np.int64)
    L = np.zeros((K, K), np.float64)
    A = G.copy()
    for k in range(K):
        A[k, k] += near
    target = np.empty(K, np.float64)
    x = np.empty(K, np.float64)
    y = np.empty(K, np.float64)
    b = np.empty(K, np.float64)
    wrong = np.empty(K, np.bool_)
    given_up = 0
    for i in range(n):
        f = free[i if every_row else 0]
        scale = 0.0
        for k in range(K):
            target[k] = np.float64(P[i, k]) + near * X[i, k]
            for m in range(K):
                if f[m] == 0:
                    target[k] -= A[k, m] * X[i, m]
            scale = max(scale, abs(target[k]))
            passive[k] = f[k] != 0 and X[i, k] > 0.0
        slack = 1e-13 * scale
        fewest, tries = K + 1, 3
        solved = False
        # Single exchanges end after at most 2^K steps; in practice a few suffice.
        for _ in range(8 * K + 50):
            size = 0
            same = has_factor
            for k in range(K):
                if passive[k]:
                    members[size] = k
                    size += 1
                if passive[k] != factored[k]:
                    same = False
            if not same:
                factor(A, members, size, L)
                factored[:] = passive
                has_factor = True
            for j in range(size):
                b[j] = target[members[j]]
            solve(L, size, b)
            x[:] = 0.0
            small = 0.0
            for j in range(size):
                x[members[j]] = b[j]
                small = max(small, 1e-13 * abs(b[j]))
            n_wrong = 0
            last = 0
            for k in range(K):
                wrong[k] = False
                if f[k] == 0:
                    continue
                if passive[k]:
                    wrong[k] = x[k] < -small
                else:
                    y[k] = -target[k]
                    for j in range(size):
                        y[k] += A[k, members[j]] * b[j]
                    wrong[k] = y[k] < -slack
                if wrong[k]:
                    n_wrong += 1
                    last = k
            if n_wrong == 0:
                solved = True
                break
            if n_wrong < fewest:
                fewest, tries = n_wrong, 3
            elif tries > 0:
                tries -= 1
            else:
                passive[last] = not passive[last]
                continue
            for k in range(K):
                if wrong[k]:
                    passive[k] = not passive[k]
        if not solved:
            given_up += 1
            continue
        for k in range(K):
            if f[k] != 0:
                X[i, k] = max(x[k], 0.0)
    return given_up
