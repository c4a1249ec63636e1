"""The factorization as a scikit-learn estimator, in the place of sklearn.decomposition.NMF."""

from __future__ import annotations

import math
import warnings
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from audiosep.errors import ParameterError
from audiosep.nmf.estimator_settings import (
    Settings,
    component_count,
    custom_start,
    divergence_of,
    given_factor,
    seed_from,
)
from audiosep.nmf.initialize import STARTS
from audiosep.nmf.levels import to_unit_level
from audiosep.nmf.online import OnlineNMF
from audiosep.nmf.protocol import Estimator
from audiosep.types import FloatArray

__all__ = ["NMF"]


class NMF(Estimator):
    """Non-negative matrix factorization, ``X ≈ W components_``, as a scikit-learn estimator.

    Takes the place of ``sklearn.decomposition.NMF``: in pipelines, in searches over parameters,
    and in ``librosa.decompose.decompose(S, transformer=NMF(...))``. Parameters of the same name
    have the same meaning. Minimises ::

        D(X | W C) + n_features alpha_W (l1_ratio ||W||_1 + (1 - l1_ratio)/2 ||W||²)
                   + n_samples  alpha_H (l1_ratio ||C||_1 + (1 - l1_ratio)/2 ||C||²)

    over W (n_samples, n_components) and C, the components, called H in the parameters. For a
    spectrogram V (n_bins, n_frames) give ``X = V.T``: then ``components_.T`` are the templates and
    ``W.T`` the activations of :func:`audiosep.nmf.factorize`.

    Parameters
    ----------
    n_components : int > 0, "auto" or None
        Number of components. "auto": that of the W and H given to ``fit``, else like None, as
        many as features.
    init : {None, "random", "nndsvd", "nndsvda", "nndsvdar", "custom"}
        Where to begin: None is "nndsvda", or "random" if there are more components than samples or
        features; "custom" the W and H given to ``fit``. Components beyond the rank of X begin at
        random with any name.
    solver : str
        "cd", coordinate descent, only for the Frobenius norm; "mu", multiplicative updates; or any
        other that :func:`audiosep.nmf.factorize` knows, such as "accelerated".
    beta_loss : float from -4 to 4, or {"frobenius", "kullback-leibler", "itakura-saito"}
        Divergence: 2, 1, 0. At 0 and below, zeros of X count as 1e-9 of its mean.
    tol : float >= 0
        Stop when the objective fell by less than this times its first value during 10 iterations,
        or a hundredth of this with solvers for least squares; 0 does all iterations.
    max_iter : int > 0
        Most iterations. A warning is given if they did not suffice and `tol` is not 0.
    random_state : int, numpy.random.RandomState, numpy.random.Generator or None
        Start of the random numbers; None takes one from NumPy's global ones.
    alpha_W : float >= 0
        Strength of the penalty of W.
    alpha_H : float >= 0 or "same"
        Strength of the penalty of the components; "same" is `alpha_W`. If only one of the two is
        zero, the level moves into that factor, and the penalty has little effect.
    l1_ratio : float from 0 to 1
        Share of the absolute values in the penalties; the rest are squares.
    verbose : int
        Taken for compatibility; nothing is printed.
    shuffle : bool
        Whether the order in which components are visited is drawn at random, once per fit.
    forget_factor : float in (0, 1]
        For ``partial_fit``: what the past counts at each new batch.
    n_threads : int > 0 or None
        Threads; by default the processors this process may use. The result does not depend on it.

    Attributes
    ----------
    components_ : np.ndarray [shape=(n_components, n_features)]
        Rows sum to one where nothing is penalised.
    n_components_ : int
        Number of components.
    reconstruction_err_ : float
        ``sqrt(2 D)``, the Frobenius norm of ``X - W C`` for beta_loss 2; not after ``partial_fit``.
    n_iter_ : int
        Iterations made; not after ``partial_fit``.
    n_steps_ : int
        Batches learnt from; only after ``partial_fit``.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : np.ndarray of object [shape=(n_features,)]
        Names of features, where X was a data frame with such.

    See Also
    --------
    audiosep.nmf.factorize : the same with all options: fixed parts, weights, other penalties.

    Notes
    -----
    scikit-learn need not be installed; it is only imported where it asks for the tags of this
    estimator, which needs scikit-learn 1.6. Sparse matrices are refused. Components that the
    penalties leave nothing of are zero in both factors.

    We deviate from scikit-learn 1.9 in that the objective never rises, with any beta_loss and
    penalty; that `tol` always looks at the objective, for "cd" too; that solvers for least squares
    end with the exact W for their components, which is also what ``transform`` returns; that where
    both factors are penalised each component is moved to the level where that costs least; and
    that there is a ``partial_fit``, without penalties.

    References
    ----------
    .. [1] A. Cichocki and A.-H. Phan (2009), "Fast local algorithms for large scale nonnegative
       matrix and tensor factorizations", IEICE Trans. Fundamentals E92-A(3).
    .. [2] C. Févotte and J. Idier (2011), "Algorithms for nonnegative matrix factorization with
       the beta-divergence", Neural Computation 23(9).
    .. [3] F. Pedregosa et al. (2011), "Scikit-learn: machine learning in Python", JMLR 12: the
       interface and the objective.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.outer([1.0, 0.0, 4.0, 2.0], [1.0, 2.0, 3.0])
    >>> model = NMF(1, random_state=0)
    >>> W = model.fit_transform(X)
    >>> bool(np.allclose(W @ model.components_, X))
    True
    >>> model.set_params(solver="mu", beta_loss="kullback-leibler")
    NMF(beta_loss='kullback-leibler', n_components=1, random_state=0, solver='mu')
    """

    def __init__(
        self,
        n_components: int | str | None = "auto",
        *,
        init: str | None = None,
        solver: str = "cd",
        beta_loss: float | str = "frobenius",
        tol: float = 1e-4,
        max_iter: int = 200,
        random_state: int | np.random.RandomState | np.random.Generator | None = None,
        alpha_W: float = 0.0,
        alpha_H: float | str = "same",
        l1_ratio: float = 0.0,
        verbose: int = 0,
        shuffle: bool = False,
        forget_factor: float = 0.7,
        n_threads: int | None = None,
    ) -> None:
        self.n_components = n_components
        self.init = init
        self.solver = solver
        self.beta_loss = beta_loss
        self.tol = tol
        self.max_iter = max_iter
        self.random_state = random_state
        self.alpha_W = alpha_W
        self.alpha_H = alpha_H
        self.l1_ratio = l1_ratio
        self.verbose = verbose
        self.shuffle = shuffle
        self.forget_factor = forget_factor
        self.n_threads = n_threads

    def fit(
        self,
        X: npt.ArrayLike,
        y: object = None,  # noqa: ARG002 - every estimator takes one
        W: npt.ArrayLike | None = None,
        H: npt.ArrayLike | None = None,
    ) -> Self:
        """Learn the components of X.

        Parameters
        ----------
        X : array_like [shape=(n_samples, n_features)]
            Finite and non-negative; never changed. float32 keeps its precision, everything else
            becomes float64.
        y : None
            Not used.
        W : array_like [shape=(n_samples, n_components)], optional
            Where to begin if `init` is "custom"; needed then, ignored else.
        H : array_like [shape=(n_components, n_features)], optional
            The same for the components.

        Returns
        -------
        NMF
            This object.

        Raises
        ------
        ParameterError
            If X is not such a matrix, or so large that W would leave its type; or if a parameter
            is not what it should be.
        """
        self._fit(X, W, H)
        return self

    def fit_transform(
        self,
        X: npt.ArrayLike,
        y: object = None,  # noqa: ARG002 - every estimator takes one
        W: npt.ArrayLike | None = None,
        H: npt.ArrayLike | None = None,
    ) -> FloatArray:
        """Learn the components of X; return W.

        Parameters
        ----------
        X, y, W, H
            As for :meth:`fit`.

        Returns
        -------
        np.ndarray [shape=(n_samples, n_components)]
            W, in the container that :meth:`set_output` chose.

        Raises
        ------
        ParameterError
            As :meth:`fit`.
        """
        contained: FloatArray = self._contained(self._fit(X, W, H), X)
        return contained

    def transform(self, X: npt.ArrayLike) -> FloatArray:
        """Return the best W for the components as they are.

        Parameters
        ----------
        X : array_like [shape=(n_samples, n_features)]
            Finite and non-negative; never changed.

        Returns
        -------
        np.ndarray [shape=(n_samples, n_components)]
            W, in the container that :meth:`set_output` chose. Every sample begins with its sum
            shared equally, so that nothing depends on chance.

        Raises
        ------
        ParameterError
            If X is not such a matrix, or has other features than the components.
        NotFittedError
            Before the components were learnt; a ParameterError, and scikit-learn's own.
        """
        self._check_is_fitted()
        settings = Settings.of(self)
        matrix = self._validated(X, reset=False)
        W, result = settings.encode(matrix, self.components_)
        if not settings.exact:
            settings.warn_unless_converged(result, stacklevel=3)
        contained: FloatArray = self._contained(W, X)
        return contained

    def inverse_transform(self, X: npt.ArrayLike) -> FloatArray:
        """Return the data that W stands for, ``W components_``.

        Parameters
        ----------
        X : array_like [shape=(n_samples, n_components)]
            W.

        Returns
        -------
        np.ndarray [shape=(n_samples, n_features)]

        Raises
        ------
        ParameterError
            If it has another shape.
        NotFittedError
            Before the components were learnt.
        """
        self._check_is_fitted()
        W = np.asarray(X)
        if W.ndim != 2 or W.shape[1] != len(self.components_):
            raise ParameterError(
                f"X has shape {W.shape}; expected {len(self.components_)} columns, one per "
                "component, as transform returns them."
            )
        product: FloatArray = W @ self.components_
        return product

    def partial_fit(
        self,
        X: npt.ArrayLike,
        y: object = None,  # noqa: ARG002 - every estimator takes one
        W: npt.ArrayLike | None = None,  # noqa: ARG002 - as scikit-learn's MiniBatchNMF
        H: npt.ArrayLike | None = None,
    ) -> Self:
        """Learn from the next batch of samples, in memory that does not grow.

        The first batch begins where `init` says, or at the components there are after
        :meth:`fit`; see :class:`audiosep.nmf.OnlineNMF`. Parameters that are changed between
        batches, `random_state` and `n_components` among them, are looked at by the next
        :meth:`fit` only.

        Parameters
        ----------
        X : array_like [shape=(n_samples, n_features)]
            Finite and non-negative, any number of samples; never changed.
        y, W : None
            Not used.
        H : array_like [shape=(n_components, n_features)], optional
            Where to begin if `init` is "custom".

        Returns
        -------
        NMF
            This object.

        Raises
        ------
        ParameterError
            If X is not such a matrix, has other features than the batches before, or there are
            penalties.
        """
        settings = Settings.of(self)
        if settings.penalised:
            raise ParameterError("partial_fit knows no penalties: set alpha_W and alpha_H to 0.")
        matrix = self._validated(X, reset=not self.__sklearn_is_fitted__())
        online: OnlineNMF | None = getattr(self, "_online", None)
        if online is None:
            online = self._start_stream(settings, matrix, H)
        online.partial_fit(matrix.T)
        self._online = online
        self._remember(np.ascontiguousarray(online.templates.T))
        self.n_steps_ = getattr(self, "n_steps_", 0) + 1
        for name in ("reconstruction_err_", "n_iter_"):
            vars(self).pop(name, None)
        return self

    def _fit(self, X: Any, W: Any, H: Any) -> FloatArray:
        """Learn the components; return W as an array."""
        settings = Settings.of(self)
        matrix = self._validated(X, reset=True)
        rng = np.random.default_rng(seed_from(self.random_state))
        if settings.init == "custom":
            start = custom_start(W, H, self.n_components, matrix)
        else:
            if W is not None or H is not None:
                text = "W and H are ignored; set init='custom' to begin at them."
                warnings.warn(text, RuntimeWarning, stacklevel=3)
            start = None
        K = len(start[1]) if start else component_count(self.n_components, matrix)
        fitted, C, result = settings.factorize(matrix, K, start, rng)
        settings.warn_unless_converged(result, stacklevel=4)
        for name in ("_online", "n_steps_"):
            vars(self).pop(name, None)
        self._remember(C)
        self.n_iter_ = result.n_iter
        self.reconstruction_err_ = math.sqrt(2.0 * divergence_of(matrix, fitted, C, settings.beta))
        return fitted

    def _start_stream(self, settings: Settings, first: FloatArray, H: Any) -> OnlineNMF:
        """Begin at the components there are, at those given, or as `init` says."""
        rng = np.random.default_rng(seed_from(self.random_state))
        if self.__sklearn_is_fitted__():
            C = self.components_
        elif settings.init == "custom":
            C = given_factor("H", H, self.n_components, first.shape[1], first.dtype)
        else:
            K = component_count(self.n_components, first)
            data, _ = to_unit_level(first, settings.beta)
            C, _ = STARTS[settings.start_name(K, first)](data, K, rng)
        return OnlineNMF(
            len(C),
            beta=settings.beta,
            forget_factor=self.forget_factor,
            templates=C.T,
            n_threads=self.n_threads,
        )

    def _remember(self, C: FloatArray) -> None:
        self.components_ = C
        self.n_components_ = len(C)
