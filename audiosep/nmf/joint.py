"""Both factors improved from one look at the data: joint majorisation-minimisation."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from audiosep.nmf import joint_kernels, kernels
from audiosep.nmf.divergence import mm_exponent
from audiosep.nmf.problem import Problem
from audiosep.nmf.slabs import Slabs
from audiosep.nmf.statistics import KINDS, statistics
from audiosep.types import FloatArray

__all__ = ["JointUpdate", "powers"]

# Their arguments are checked by the compiler, not by the type checker.
_JOINT_SLAB: Any = joint_kernels.joint_slab
_MOVE: Any = joint_kernels.move


def powers(beta: float) -> tuple[float, float]:
    """Powers ``(falls, rises)`` of a move in the falling and the rising part of the bound.

    Where a part of the divergence is convex in the model, Jensen's inequality gives a power of its
    own (``beta - 1`` falls, ``beta`` rises); where it is concave, its tangent is linear. Their
    difference is the inverse of :func:`audiosep.nmf.divergence.mm_exponent`.
    """
    return (beta - 1.0 if beta <= 2.0 else 1.0), (beta if beta >= 1.0 else 1.0)


class JointUpdate:
    """Joint majorisation-minimisation of ``V ≈ H W`` (frames-major), in place.

    With the model ``C = H W``, ``R = G ⊙ V ⊙ C^(beta-2)`` and ``Q = G ⊙ C^(beta-1)`` at the point
    where the step began, and the moves ``s`` of H and ``u`` of W (new over old entries), the
    divergence is bounded from above, for every beta, by

        Σ W H (Q (s u)^b / b - R (s u)^a / a) + const,    (a, b) = ``powers(beta)``,

    (``log(s u)`` for ``(s u)^a / a`` where a = 0, and so for b), with equality at ``s = u = 1``.
    This bound is not separable in s and u. It is lowered by its exact minimum over s with u = 1,
    then by its exact minimum over u at that s, with ``g = mm_exponent(beta)``:

        s = (R Wᵀ / Q Wᵀ)^g      u = ((H ⊙ s^a)ᵀ R / (H ⊙ s^b)ᵀ Q)^g

    so that losses never rise, for any beta. The first is the ordinary update of H. The second
    needs no new model and no new ratios: an iteration has one product of V's size less than
    alternating updates and half of their powers. Setting u from s = 1 as well would be cheaper
    still and is not monotone.

    Parameters
    ----------
    problem : Problem
        Any beta, with or without weights; no penalties.
    W : np.ndarray [shape=(n_components, n_bins)]
        Changed by :meth:`step`.
    H : np.ndarray [shape=(n_frames, n_components)]
        Changed by :meth:`step`.

    References
    ----------
    .. [1] A. Marmin, J. H. de M. Goulart and C. Févotte (2023), "Joint majorization-minimization
       for nonnegative matrix factorization with the beta-divergence"; arXiv:2106.15214. They may
       repeat the two minima within one bound; we take each once, and hold moves within a factor
       of 1e6 and factors above 1e-16.
    """

    def __init__(self, problem: Problem, W: FloatArray, H: FloatArray) -> None:
        self.W, self.H, self._problem = W, H, problem
        V = problem.V
        K, n_bins = W.shape
        dtype = V.dtype.type
        self._weighted = problem.weights is not None
        self._G = np.zeros((1, 1), V.dtype) if problem.weights is None else problem.weights
        self._kind = KINDS.get(problem.beta, kernels.GENERAL)
        falls, rises = powers(problem.beta)
        self._exponents = dtype(mm_exponent(problem.beta)), dtype(falls), dtype(rises)
        self._free_w, self._free_h = problem.free_w, problem.free_h
        self._moves_w, self._moves_h = bool(self._free_w.any()), bool(self._free_h.any())
        self._slabs = Slabs.of(len(V), n_bins, K)
        n = len(self._slabs.parts)
        plain_kl = self._kind == kernels.KULLBACK_LEIBLER and not self._weighted
        self._B = np.empty((n, K, n_bins), V.dtype)
        self._E = np.empty((n, K, 1 if plain_kl else n_bins), V.dtype)

    def _step_slab(self, index: int, part: slice, with_loss: bool) -> float:
        loss: float = _JOINT_SLAB(
            self._problem.V[part],
            self._G[part] if self._weighted else self._G,
            self._weighted,
            self.W,
            self.H[part],
            self._kind,
            self._problem.beta,
            self._exponents,
            self._free_h if len(self._free_h) == 1 else self._free_h[part],
            self._slabs.tile,
            with_loss,
            self._moves_h,
            self._moves_w,
            self._B[index],
            self._E[index],
        )
        return loss

    def step(self, with_loss: bool = True) -> float:
        """Update H and W from one set of ratios; return the divergence before, if it is wanted."""
        work = partial(self._step_slab, with_loss=with_loss)
        loss: float = sum(self._slabs.map(work, self._problem.pool))
        if self._moves_w:
            above, below = self._B.sum(axis=0), self._E.sum(axis=0)
            _MOVE(self.W, above, below, self._exponents[0], self._free_w, self.W, above)
        return loss

    def loss(self) -> float:
        """Divergence of the data from the model as it is now."""
        problem = self._problem
        return statistics(
            problem.V,
            self.W,
            self.H,
            problem.beta,
            weights=problem.weights,
            for_h=False,
            for_w=False,
            pool=problem.pool,
        ).loss
