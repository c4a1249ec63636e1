"""What scikit-learn asks of an estimator, without importing it: it costs a second.

Whoever uses an estimator in a pipeline has imported scikit-learn. So its own classes are looked
up among the loaded modules, where they matter: in an error, a warning, the tags.
"""

from __future__ import annotations

import inspect
import sys
import warnings
from functools import cache
from importlib import import_module
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from audiosep.errors import ParameterError
from audiosep.types import FloatArray

__all__ = ["Estimator", "WrongTypeError", "as_matrix", "not_converged", "not_fitted"]

_CONTAINERS = ("default", "pandas", "polars")
_MOST_NAMES = 5


class WrongTypeError(ParameterError, TypeError):
    """Data in a container that cannot be used."""


class _OtherNamesError(ParameterError):
    """Columns that are others than those of the fit, one a line, as scikit-learn tells it."""

    __str__ = Exception.__str__


def not_fitted(message: str) -> Exception:
    """Return the error of an estimator that is used too early.

    It is a :class:`ParameterError` and an AttributeError, and scikit-learn's NotFittedError where
    that is loaded.
    """
    error: Exception = _not_fitted_class(sys.modules.get("sklearn.exceptions"))(message)
    return error


@cache
def _not_fitted_class(exceptions: Any) -> Any:
    base = AttributeError if exceptions is None else exceptions.NotFittedError
    # Made anew where it arrives: a class made here has no name to be found by.
    rebuild = {"__reduce__": lambda self: (not_fitted, self.args), "__module__": __name__}
    return type("NotFittedError", (ParameterError, base), rebuild)


def not_converged() -> type[Warning]:
    """Return the kind of warning that says so: scikit-learn's where that is loaded."""
    exceptions = sys.modules.get("sklearn.exceptions")
    kind: type[Warning] = UserWarning if exceptions is None else exceptions.ConvergenceWarning
    return kind


def as_matrix(X: Any, what: str) -> FloatArray:
    """Return data as a floating-point matrix, or say what is wrong with it.

    Parameters
    ----------
    X : array_like [shape=(n_samples, n_features)]
        Real, finite, non-negative and not empty; numbers kept as objects are fine.
    what : str
        Who it was passed to, for the message.

    Returns
    -------
    np.ndarray
        float32 stays, everything else becomes float64. Possibly the caller's own array.

    Raises
    ------
    ParameterError
        If it is not such a matrix.
    WrongTypeError
        If it is sparse.
    TypeError
        If an entry is no number.
    """
    if hasattr(X, "toarray"):
        raise WrongTypeError(
            "X is sparse, and sparse data are not supported: the model is a full matrix anyway. "
            "If there is memory for it, give X.toarray()."
        )
    array = np.asarray(X)
    if array.dtype.kind == "c":
        raise ParameterError("Complex data not supported: give magnitudes, e.g. np.abs(X).")
    array = array.astype(array.dtype if array.dtype == np.float32 else np.float64, copy=False)
    if array.ndim != 2:
        raise ParameterError(
            f"Expected 2D array, got {array.ndim}D array instead. Reshape your data: "
            "X.reshape(-1, 1) if it has a single feature, X.reshape(1, -1) if a single sample."
        )
    for axis, thing in enumerate(("sample", "feature")):
        if array.shape[axis] == 0:
            raise ParameterError(
                f"Found array with 0 {thing}(s) (shape={array.shape}) while a minimum of 1 is "
                "required."
            )
    lowest = array.min()
    if not (np.isfinite(lowest) and np.isfinite(array.max())):
        raise ParameterError("X contains NaN or infinity; all entries must be finite.")
    if lowest < 0:
        raise ParameterError(f"Negative values in data passed to {what}: factors are not negative.")
    return array


class Estimator:
    """Parameters, names of features, and containers of an estimator whose fit sets components_.

    A subclass names all its parameters in its constructor and keeps them as they are.
    """

    components_: FloatArray
    n_features_in_: int
    feature_names_in_: npt.NDArray[np.object_]

    @classmethod
    def _defaults(cls) -> dict[str, Any]:
        parameters = inspect.signature(cls).parameters
        return {name: parameters[name].default for name in sorted(parameters)}

    def get_params(self, deep: bool = True) -> dict[str, Any]:  # noqa: ARG002 - nothing is nested
        """Return all parameters by name."""
        return {name: getattr(self, name) for name in self._defaults()}

    def set_params(self, **params: Any) -> Self:
        """Change parameters by name.

        Raises
        ------
        ParameterError
            If there is none of that name; then nothing is changed.
        """
        known = self._defaults()
        for name in params:
            if name not in known:
                raise ParameterError(
                    f"Invalid parameter {name!r} for {type(self).__name__}; there are "
                    f"{', '.join(known)}."
                )
        for name, value in params.items():
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        defaults = self._defaults()
        changed = [
            f"{name}={value!r}"
            for name, value in self.get_params().items()
            if repr(value) != repr(defaults[name])
        ]
        return f"{type(self).__name__}({', '.join(changed)})"

    def get_feature_names_out(
        self, input_features: npt.ArrayLike | None = None
    ) -> npt.NDArray[np.object_]:
        """Names of the components: "nmf0", "nmf1" and so on.

        Parameters
        ----------
        input_features : array_like of str, optional
            Only checked against those seen by ``fit``.

        Returns
        -------
        np.ndarray of object [shape=(n_components,)]

        Raises
        ------
        ParameterError
            If it is not fitted, or was fitted to other features.
        """
        self._check_is_fitted()
        if input_features is not None:
            given = np.asarray(input_features, dtype=object)
            seen = getattr(self, "feature_names_in_", None)
            if seen is not None and not np.array_equal(seen, given):
                raise ParameterError("input_features is not equal to feature_names_in_.")
            if len(given) != self.n_features_in_:
                raise ParameterError(
                    "input_features should have length equal to number of features "
                    f"({self.n_features_in_}), got {len(given)}."
                )
        prefix = type(self).__name__.lower()
        return np.array([f"{prefix}{k}" for k in range(len(self.components_))], dtype=object)

    def set_output(self, *, transform: str | None = None) -> Self:
        """Choose what ``transform`` and ``fit_transform`` return.

        Parameters
        ----------
        transform : {"default", "pandas", "polars"} or None
            An array, or a data frame with named columns; None changes nothing. Where it is never
            chosen, ``sklearn.set_config(transform_output=...)`` is obeyed.

        Raises
        ------
        ParameterError
            If there is no such container.
        """
        if transform is not None:
            if transform not in _CONTAINERS:
                raise ParameterError(
                    f"transform={transform!r} is unknown; use {', '.join(_CONTAINERS)}."
                )
            # The name under which scikit-learn's `clone` looks for it.
            self._sklearn_output_config = {"transform": transform}
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "components_")

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import InputTags, Tags, TargetTags, TransformerTags

        return Tags(
            estimator_type="transformer",
            target_tags=TargetTags(required=False),
            transformer_tags=TransformerTags(preserves_dtype=["float64", "float32"]),
            input_tags=InputTags(positive_only=True),
        )

    def _check_is_fitted(self) -> None:
        if not self.__sklearn_is_fitted__():
            raise not_fitted(
                f"This {type(self).__name__} instance is not fitted yet. Call 'fit' with "
                "appropriate arguments before using this estimator."
            )

    def _validated(self, X: Any, *, reset: bool) -> FloatArray:
        """Check data; remember its features, or compare them with those remembered."""
        name, names = type(self).__name__, _column_names(X)
        if not reset:
            _compare_names(name, getattr(self, "feature_names_in_", None), names)
        matrix = as_matrix(X, name)
        if reset:
            self.n_features_in_ = matrix.shape[1]
            if names is not None:
                self.feature_names_in_ = names
            elif hasattr(self, "feature_names_in_"):
                del self.feature_names_in_
        elif matrix.shape[1] != self.n_features_in_:
            raise ParameterError(
                f"X has {matrix.shape[1]} features, but {name} is expecting "
                f"{self.n_features_in_} features as input."
            )
        return matrix

    def _contained(self, values: FloatArray, X: Any) -> Any:
        """Put the result for X in the container that was chosen."""
        chosen = getattr(self, "_sklearn_output_config", {}).get("transform")
        if chosen is None:
            sklearn = sys.modules.get("sklearn")
            chosen = "default" if sklearn is None else sklearn.get_config()["transform_output"]
        if chosen == "default":
            return values
        frames = import_module(chosen)
        names = list(self.get_feature_names_out())
        if chosen == "polars":
            return frames.DataFrame(values, schema=names, orient="row")
        index = X.index if isinstance(X, frames.DataFrame) else None
        return frames.DataFrame(values, columns=names, index=index)


def _column_names(X: Any) -> npt.NDArray[np.object_] | None:
    """Names of a data frame's columns, if all are strings."""
    columns = getattr(X, "columns", None)
    if columns is None or len(columns) == 0:
        return None
    names = np.array(list(columns), dtype=object)
    are_text = [isinstance(name, str) for name in names]
    if any(are_text) and not all(are_text):
        raise WrongTypeError(
            "Feature names are only supported if all input features have string names; try "
            "X.columns = X.columns.astype(str)."
        )
    return names if all(are_text) else None


def _compare_names(name: str, seen: Any, given: Any) -> None:
    """Say how columns differ from those that were fitted; warn where only one has names."""
    if seen is None and given is None:
        return
    if seen is None or given is None:
        text = (
            f"X does not have valid feature names, but {name} was fitted with feature names"
            if given is None
            else f"X has feature names, but {name} was fitted without feature names"
        )
        warnings.warn(text, UserWarning, stacklevel=4)
        return
    if np.array_equal(seen, given):
        return
    message = "The feature names should match those that were passed during fit.\n"
    unseen, missing = sorted(set(given) - set(seen)), sorted(set(seen) - set(given))
    if unseen:
        message += "Feature names unseen at fit time:\n" + _listed(unseen)
    if missing:
        message += "Feature names seen at fit time, yet now missing:\n" + _listed(missing)
    if not unseen and not missing:
        message += "Feature names must be in the same order as they were in fit.\n"
    raise _OtherNamesError(message)


def _listed(names: list[str]) -> str:
    lines = [f"- {name}\n" for name in names[:_MOST_NAMES]]
    return "".join(lines) + ("- ...\n" if len(names) > _MOST_NAMES else "")
