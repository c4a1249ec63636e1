"""Templates learnt from a stream, block by block, in memory that does not grow."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from audiosep.errors import ParameterError
from audiosep.nmf.alternating import improve, multiply, workers
from audiosep.nmf.checks import generator, non_negative, tolerance
from audiosep.nmf.divergence import beta_from, mm_exponent
from audiosep.nmf.kernels import FACTOR_FLOOR
from audiosep.nmf.levels import to_unit_level
from audiosep.nmf.statistics import statistics
from audiosep.types import FloatArray, ignore_progress, whole_number

__all__ = ["OnlineNMF"]

_FIRST_PASSES = 30
_FRAMES_PER_FIRST_PASS = 32
"""Where nothing is known yet, a long block is worth more passes (measured)."""


class OnlineNMF:
    """Learn templates from a stream of blocks, ``V ≈ W H`` with H of one block at a time.

    What was heard is kept as two matrices A and B of W's size, of which the majoriser of the
    divergence of all blocks so far is made; each block adds its own terms, and the templates are
    where the majoriser is lowest. With one block and one pass that is a multiplicative update.

    Parameters
    ----------
    n_components : int > 0
        K.
    beta : float or {"is", "kl", "euclidean"}
        Divergence: 0 Itakura-Saito, 1 Kullback-Leibler, 2 squared Euclidean, or any number from
        -4 to 4. At beta <= 0 zeros of a block count as 1e-9 of its mean; below 0 all is computed
        in float64.
    forget_factor : float in (0, 1]
        At each block the past counts this times what it counted; 1 forgets nothing. The past is
        about ``1 / (1 - forget_factor)`` blocks long, so short blocks want a larger one.
    n_inner : int > 0
        Updates of a block's activations before its templates are updated.
    n_passes : int > 0
        Times that is done with each block. The first block that is not silent is gone through
        once per 32 frames if that is more, at most 30 times.
    seed : int or numpy.random.Generator
        Start of the random numbers; the same seed gives the same bytes.
    templates : array_like [shape=(n_bins, n_components)], optional
        Start of W. Entries that are zero stay zero.
    n_threads : int > 0, optional
        Threads; by default the processors this process may use. The result does not depend on it.

    Raises
    ------
    ParameterError
        If an argument is not what it should be.

    Notes
    -----
    Each block is worked at a power of two of its own, so that it may be as quiet or loud as it
    likes, and its terms are brought to the one unit of the whole stream: a block counts by its
    divergence, just as in one long matrix. With beta > 0 loud blocks count more. Silent blocks
    change nothing, and nothing is forgotten over them.

    References
    ----------
    .. [1] A. Lefèvre, F. Bach and C. Févotte (2011), "Online algorithms for nonnegative matrix
       factorization with the Itakura-Saito divergence", WASPAA: algorithm 1, for beta = 0 and one
       frame at a time. The same statistics for any beta follow from the majorisers of [2]; where
       they rescale the templates to sum one we rescale A and B with them, as they do.
    .. [2] C. Févotte and J. Idier (2011), "Algorithms for nonnegative matrix factorization with
       the beta-divergence", Neural Computation 23(9), table 2 and eq. 4.9.
    .. [3] R. Zhao and V. Y. F. Tan (2017), "Online nonnegative matrix factorization with general
       divergences", AISTATS: convergence of another scheme, by projected stochastic gradients.
    .. [4] scikit-learn, ``MiniBatchNMF``: the name and the meaning of `forget_factor`, as of its
       ``partial_fit``.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> spectra = np.array([[4.0, 0.0], [2.0, 1.0], [0.0, 3.0]])
    >>> learner = OnlineNMF(2)
    >>> for _ in range(60):
    ...     _ = learner.partial_fit(spectra @ rng.gamma(0.3, size=(2, 50)))
    >>> block = spectra @ rng.gamma(0.3, size=(2, 50))
    >>> model = learner.templates @ learner.encode(block)
    >>> bool(np.abs(model - block).mean() < 0.05 * block.mean())
    True
    """

    def __init__(
        self,
        n_components: int,
        *,
        beta: float | str = 1.0,
        forget_factor: float = 0.7,
        n_inner: int = 10,
        n_passes: int = 3,
        seed: int | np.random.Generator = 0,
        templates: npt.ArrayLike | None = None,
        n_threads: int | None = None,
    ) -> None:
        self._beta = beta_from(beta)
        self._n_components = whole_number("n_components", n_components, 1)
        number = isinstance(forget_factor, (int, float, np.number))
        if not (number and 0.0 < forget_factor <= 1.0):
            raise ParameterError(
                f"forget_factor={forget_factor!r} must be above 0 and at most 1; 1 forgets nothing."
            )
        self._forget_factor = float(forget_factor)
        self._n_inner = whole_number("n_inner", n_inner, 1)
        self._n_passes = whole_number("n_passes", n_passes, 1)
        self._rng, _ = generator(seed)
        self._n_threads = None if n_threads is None else whole_number("n_threads", n_threads, 1)
        self._W: FloatArray | None = None
        self._dtype: np.dtype[Any] | None = None  # of what the caller gets
        self._past: _Past | None = None
        self._n_frames = 0
        if templates is not None:
            self._start_from(non_negative("templates", templates, None))

    @property
    def n_components(self) -> int:
        """Number of components."""
        return self._n_components

    @property
    def n_frames(self) -> int:
        """Frames learnt from so far, without those of silent blocks."""
        return self._n_frames

    @property
    def templates(self) -> FloatArray:
        """Templates as they are now, of shape (n_bins, n_components); columns sum to one.

        Raises
        ------
        ParameterError
            Before the first block, if no templates were given.
        """
        W = self._learnt()
        return W.astype(self._dtype or W.dtype).T

    def partial_fit(self, V: npt.ArrayLike) -> Self:
        """Learn from the next block of the stream.

        Parameters
        ----------
        V : array_like [shape=(n_bins, n_frames)]
            Finite and non-negative, any number of frames; never changed. The first block decides
            on float32 or float64.

        Returns
        -------
        OnlineNMF
            This object.

        Raises
        ------
        ParameterError
            If `V` is not such a matrix, or has other bins than the blocks before.
        """
        data, scale = self._read(V)
        if scale == 0.0:
            return self
        W, n_passes, power = self._learnt(), self._n_passes, round(math.log2(scale))
        if self._past is None:
            first = min(_FIRST_PASSES, len(data) // _FRAMES_PER_FIRST_PASS)
            n_passes = max(n_passes, first)
            self._past = _Past(np.zeros(W.shape), np.zeros(W.shape), self._beta, power)
        share = self._past.forget(self._forget_factor, power)
        with workers(self._n_threads) as pool:
            block = _Block(data, W, self._beta, pool)
            for _ in range(n_passes):
                for _ in range(self._n_inner):
                    block.step()
                A, B = block.terms(share)
                self._past.lowest(A, B, block)
        self._past.add(A, B)
        self._n_frames += len(data)
        return self

    def encode(self, V: npt.ArrayLike, *, max_iter: int = 100, tol: float = 1e-4) -> FloatArray:
        """Activations of a block under the templates as they are now; learns nothing.

        Parameters
        ----------
        V : array_like [shape=(n_bins, n_frames)]
            Finite and non-negative; never changed.
        max_iter : int >= 0
            Most iterations, which are accelerated.
        tol : float >= 0
            Stop when the objective fell by less than ``tol`` times its first value during 10
            iterations; 0 does all iterations. The frames of a block stop together.

        Returns
        -------
        np.ndarray [shape=(n_components, n_frames)]
            H. Every frame starts with its sum shared equally, so that nothing depends on chance.

        Raises
        ------
        ParameterError
            If `V` is not such a matrix, has other bins than the blocks before, or there are no
            templates yet.
        """
        max_iter, tol = whole_number("max_iter", max_iter, 0), tolerance(tol)
        W = self._learnt()
        dtype = self._dtype or non_negative("V", V, None).dtype
        data, scale = self._checked(V)
        if scale == 0.0:
            return np.zeros((self._n_components, len(data)), dtype)
        with workers(self._n_threads) as pool:
            block = _Block(data, W.astype(data.dtype), self._beta, pool)
            improve(block, accelerated=True, max_iter=max_iter, tol=tol, progress=ignore_progress)
        with np.errstate(over="ignore"):
            H = np.ascontiguousarray((block.H * np.asarray(scale, data.dtype)).T, dtype)
        if not np.isfinite(H.max()):
            raise ParameterError(
                f"V is too large for activations, which are sums over bins, to be {dtype.name}; "
                "divide it by its largest entry."
            )
        return H

    def _learnt(self) -> FloatArray:
        if self._W is None:
            raise ParameterError("there are no templates yet: call partial_fit with a block first.")
        return self._W

    def _checked(self, V: npt.ArrayLike) -> tuple[FloatArray, float]:
        """Frames-major block near level one, and what it was divided by."""
        matrix = non_negative("V", V, self._dtype)
        if self._W is not None and len(matrix) != self._W.shape[1]:
            raise ParameterError(
                f"V has {len(matrix)} bins, but the templates have {self._W.shape[1]}: all blocks "
                "of a stream come from one transform."
            )
        if self._beta < 0.0:
            # Powers of the model below -2 leave the range of float32.
            matrix = matrix.astype(np.float64, copy=False)
        return to_unit_level(matrix.T, self._beta)

    def _read(self, V: npt.ArrayLike) -> tuple[FloatArray, float]:
        """Check a block, and begin with the first one."""
        data, scale = self._checked(V)
        if self._dtype is None:
            self._dtype = non_negative("V", V, None).dtype
        if self._W is None:
            self._start_from(0.1 + 0.9 * self._rng.random((self._n_components, data.shape[1])).T)
        self._W = self._learnt().astype(data.dtype, copy=False)
        return data, scale

    def _start_from(self, templates: FloatArray) -> None:
        if templates.shape[1] != self._n_components:
            raise ParameterError(
                f"templates has shape {templates.shape}, expected {self._n_components} columns, "
                "one per component."
            )
        sums = templates.sum(axis=0, dtype=np.float64)
        W = templates / np.where(sums > 0.0, sums, 1.0)
        self._W = np.array(W.T, dtype=np.float64, order="C")


class _Block:
    """One block of the stream, frames-major: its activations and what it says of the templates."""

    def __init__(
        self, V: FloatArray, W: FloatArray, beta: float, pool: ThreadPoolExecutor | None
    ) -> None:
        K = len(W)
        self.W = W
        self.H = np.repeat(V.sum(axis=1, keepdims=True) / V.dtype.type(K), K, axis=1)
        self._V, self._beta = V, beta
        self._options: dict[str, Any] = {"beta": beta, "pool": pool}
        self._free = np.ones((1, K), bool)

    @property
    def factors(self) -> tuple[tuple[FloatArray, npt.NDArray[np.bool_]], ...]:
        return ((self.H, self._free),)

    def step(self) -> float:
        """Update the activations; return the divergence before."""
        sums = statistics(self._V, self.W, self.H, for_w=False, **self._options)
        multiply(self.H, sums.above_h, sums.below_h, self._free, mm_exponent(self._beta))
        return sums.loss

    def loss(self) -> float:
        return statistics(self._V, self.W, self.H, for_h=False, for_w=False, **self._options).loss

    def terms(self, share: float) -> tuple[FloatArray, FloatArray]:
        """What the block adds to A and B, in double precision."""
        sums = statistics(self._V, self.W, self.H, for_h=False, **self._options)
        W = np.where(self.W > 0, self.W, 1.0).astype(np.float64)
        rising, falling = _powers(self._beta)
        A = share * W**falling * sums.above_w
        B = share * W**rising * sums.below_w
        return A, B


def _powers(beta: float) -> tuple[float, float]:
    """Powers of the templates at which a ratio was taken, in B and in A.

    The majoriser of a template entry w is, but for constants, ``B f(w) - A g(w)``: with linear f
    for beta < 1 and ``w^beta / beta`` above; with ``w^(beta - 1) / (beta - 1)`` as g up to beta = 2
    (its logarithm at 1) and linear g above.
    """
    return (0.0 if beta < 1.0 else 1.0 - beta), (2.0 - beta if beta <= 2.0 else 0.0)


class _Past:
    """Majoriser of the divergence of all blocks so far, in a unit that the loudest block sets."""

    def __init__(self, A: FloatArray, B: FloatArray, beta: float, power: int) -> None:
        self._A, self._B, self._beta, self._power = A, B, beta, power

    def forget(self, factor: float, power: int) -> float:
        """Let the past count less; return what the block at level ``2^power`` counts.

        Divergences grow as level^beta. Only ratios of A to B matter, so the unit may change: it
        follows the block that counts most, and no number leaves its range.
        """
        shift = self._beta * (power - self._power)
        if shift > 0.0:
            factor *= 2.0**-shift
            self._power = power
        self._A *= factor
        self._B *= factor
        return float(2.0 ** min(shift, 0.0))

    def add(self, A: FloatArray, B: FloatArray) -> None:
        self._A += A
        self._B += B

    def lowest(self, A: FloatArray, B: FloatArray, block: _Block) -> None:
        """Move the block's templates to where its terms and the past together are lowest.

        Templates are brought to sum one, and everything that depends on their level with them.
        """
        beta = self._beta
        above, below = self._A + A, self._B + B
        W = block.W.astype(np.float64)
        moves = (W > 0.0) & (below > 0.0)
        ratio = np.divide(above, below, out=np.ones_like(W), where=moves)
        W = np.where(moves, np.maximum(ratio ** mm_exponent(beta), FACTOR_FLOOR), W)
        sums = W.sum(axis=1, keepdims=True)
        sums[sums == 0.0] = 1.0
        block.W[...] = W / sums
        block.H *= sums.T.astype(block.H.dtype)
        rising, falling = _powers(beta)
        for terms, power in ((self._A, falling), (A, falling), (self._B, rising), (B, rising)):
            terms *= sums ** (1.0 - power)
