"""What an objective may hold beside the divergence: terms that look at one factor.

Every class is a term P(X) of one factor X (n_components, n): templates (n_components, n_bins), or
activations (n_components, n_frames). Terms add up, and so do their gradients, in two parts,
``plus - minus``. Each comes with a proof that multiplicative updates never raise the objective: at
a point X it is bounded from above by a sum of powers of the ratios ``u = Y / X``, which touches it
at ``u = 1``. Four facts make all bounds below [1]_:

1. A product ``c y_1 ... y_d`` with c > 0 is at most ``c x_1 ... x_d (u_1^d + ... + u_d^d) / d``,
   because a geometric mean is not above the arithmetic one: it rises with the power d.
2. Its negative is at most ``-c x_1 ... x_d (1 + log u_1 + ... + log u_d)``, because
   ``-e^a <= -1 - a``: it falls with the power 0, the logarithm.
3. What is concave lies below its tangent: it rises with the power 1.
4. ``(u^p - 1) / p <= (u^q - 1) / q`` for p <= q: a rising term may be given a higher power, and a
   falling one a lower one, which is how terms of several powers share one update.

Sums over bins or frames are not divided by their number, like those of the divergence, so that a
strength means the same for short and long recordings. Factors are fitted to data of a mean near
one; strengths and floors refer to that level. A penalty of strength zero asks for no slower
updates: its powers are those of a linear term.

References
----------
.. [1] V. Y. F. Tan and C. Févotte (2013), "Automatic relevance determination in nonnegative matrix
   factorization with the beta-divergence", IEEE TPAMI 35(7).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt

from audiosep.errors import ParameterError
from audiosep.nmf.row_penalties import Decorrelation, GroupSparsity, Orthogonality, Relevance
from audiosep.nmf.strengths import StrengthPenalty, checked_target, energies, nothing
from audiosep.types import FloatArray

__all__ = [
    "L1",
    "L2",
    "Decorrelation",
    "GroupSparsity",
    "Orthogonality",
    "Prior",
    "Relevance",
    "Smoothness",
    "StrengthPenalty",
]

_SMALLEST = 1e-16
"""Entries below this count as this where a logarithm or a quotient of them is taken; factors of
multiplicative updates are not below it, except for zeros that stay zeros."""


@dataclass(frozen=True, eq=False)
class L1(StrengthPenalty):
    """Sparsity: ``sum_k s_k sum_t x_kt``.

    Linear, so that it is its own bound: rises 1, falls 1.

    Parameters
    ----------
    strength : float >= 0 or array_like [shape=(n_components,)]
        One for all components or one for each.

    Raises
    ------
    ParameterError
        If a strength is negative, not finite or no number.

    References
    ----------
    .. [1] P. O. Hoyer (2002), "Non-negative sparse coding", IEEE NNSP.
    .. [2] J. Eggert and E. Körner (2004), "Sparse coding and NMF", IJCNN: they show that the other
       factor must be normalised, or the scale moves there and the penalty is void.
    """

    strength: float | npt.ArrayLike

    def value(self, X: FloatArray) -> float:
        """The penalty, with its strength."""
        return self._total(X.sum(axis=1, dtype=np.float64))

    def gradient(self, X: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Non-negative parts ``(plus, minus)`` of the gradient, each broadcastable to X."""
        return self._column(X), nothing(X)


@dataclass(frozen=True, eq=False)
class L2(StrengthPenalty):
    """Small energy: ``1/2 sum_k s_k ||x_k||²``.

    A sum of squares ``x² u² / 2``, so that it is its own bound: rises 2, falls 1.

    Parameters
    ----------
    strength : float >= 0 or array_like [shape=(n_components,)]
        One for all components or one for each.

    Raises
    ------
    ParameterError
        If a strength is negative, not finite or no number.

    References
    ----------
    .. [1] V. P. Pauca, J. Piper and R. J. Plemmons (2006), "Nonnegative matrix factorization for
       spectral data analysis", Linear Algebra and its Applications 416(1).
    """

    strength: float | npt.ArrayLike
    _powers: ClassVar[tuple[float, float]] = (2.0, 1.0)

    def value(self, X: FloatArray) -> float:
        """The penalty, with its strength."""
        return 0.5 * self._total(energies(X))

    def gradient(self, X: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Non-negative parts ``(plus, minus)`` of the gradient, each broadcastable to X."""
        return X * self._column(X), nothing(X)


@dataclass(frozen=True, eq=False)
class Smoothness(StrengthPenalty):
    """Continuity along a row: ``1/2 sum_k s_k sum_t (x_kt - x_k,t-1)²``.

    The squares rise with power 2, the products ``-x_t x_t-1`` of neighbours fall with power 0.

    Parameters
    ----------
    strength : float >= 0 or array_like [shape=(n_components,)]
        One for all components or one for each.

    Raises
    ------
    ParameterError
        If a strength is negative, not finite or no number.

    References
    ----------
    .. [1] T. Virtanen (2007), "Monaural sound source separation by nonnegative matrix
       factorization with temporal continuity and sparseness criteria", IEEE TASLP 15(3). He
       divides by the energy of the row, which has no such bound; we do not, as [2]_.
    .. [2] S. Essid and C. Févotte (2013), "Smooth nonnegative matrix factorization for
       unsupervised audiovisual document structuring", IEEE Trans. Multimedia 15(2).
    """

    strength: float | npt.ArrayLike
    _powers: ClassVar[tuple[float, float]] = (2.0, 0.0)

    def value(self, X: FloatArray) -> float:
        """The penalty, with its strength."""
        return 0.5 * self._total(energies(np.diff(X, axis=1)))

    def gradient(self, X: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Non-negative parts ``(plus, minus)`` of the gradient, each broadcastable to X."""
        strength = self._column(X)
        plus = X * strength
        plus[:, 1:-1] *= X.dtype.type(2)  # the ends have one neighbour, the rest have two
        minus = np.zeros_like(X)
        minus[:, 1:] = X[:, :-1]
        minus[:, :-1] += X[:, 1:]
        minus *= strength
        if X.shape[1] == 1:
            plus[...] = 0.0
        return plus, minus


@dataclass(frozen=True, eq=False)
class Prior(StrengthPenalty):
    """Rows near a target: ``sum_k s_k sum_t (t log(t / x) - t + x)``, t the target's entry.

    The Kullback-Leibler divergence of the target from X, linear and logarithmic, so that it is its
    own bound: rises 1, falls 0. Zeros of the target pull to zero linearly.

    Parameters
    ----------
    target : array_like [shape=(n_components, n)]
        Finite and non-negative.
    strength : float >= 0 or array_like [shape=(n_components,)]
        One for all components or one for each; zero leaves a component free.

    Raises
    ------
    ParameterError
        If a strength is negative, not finite or no number, or the target is no finite non-negative
        matrix.

    References
    ----------
    .. [1] A. T. Cemgil (2009), "Bayesian inference for nonnegative matrix factorisation models",
       Computational Intelligence and Neuroscience: Gamma priors on the factors. Up to constants
       this is the one of shape ``1 + s t`` and rate ``s``, whose mode is the target.
    .. [2] C. Dittmar and D. Gärtner (2014), "Real-time transcription and separation of drum
       recordings based on NMF decomposition", DAFx: templates that move away
       from given ones little by little, there by blending.
    """

    target: npt.ArrayLike
    strength: float | npt.ArrayLike
    _powers: ClassVar[tuple[float, float]] = (1.0, 0.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "target", checked_target(self.target))

    def check(self, K: int, n: int, what: str) -> None:
        """Say what does not fit a factor; see :meth:`StrengthPenalty.check`."""
        got = np.shape(self.target)
        if got != (K, n):
            raise ParameterError(
                f"target of Prior on the {what} has shape {got}, expected {(K, n)}; strength 0 "
                "leaves a component free."
            )
        super().check(K, n, what)

    def in_units(self, unit: float) -> Self:
        """Return the same penalty for a factor that was divided by `unit`."""
        target = np.asarray(self.target)
        return replace(self, target=target / np.asarray(unit, target.dtype))

    def value(self, X: FloatArray) -> float:
        """The penalty, with its strength."""
        x = X.astype(np.float64, copy=False)
        t = np.asarray(self.target, order="F" if X.flags.f_contiguous else "C")
        quotients = t / np.maximum(x, _SMALLEST)
        np.log(quotients, out=quotients, where=quotients > 0)
        return self._total(np.sum(t * quotients - t + x, axis=1))

    def gradient(self, X: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Non-negative parts ``(plus, minus)`` of the gradient, each broadcastable to X."""
        strength = self._column(X)
        minus = np.maximum(X, X.dtype.type(_SMALLEST))
        np.divide(self.target, minus, out=minus, casting="same_kind")
        minus *= strength
        return strength, minus
