"""What every factorization asks of its arguments, in one place."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from audiosep.errors import ParameterError
from audiosep.types import FloatArray, whole_number

__all__ = [
    "data_from",
    "flags",
    "generator",
    "non_negative",
    "of_shape",
    "plain_array",
    "tolerance",
]

_KINDS = {2: "matrix", 3: "array of three axes"}


def data_from(V: npt.ArrayLike, beta: float, ndim: int = 2) -> tuple[FloatArray, np.dtype[Any]]:
    """Return the data to work with, and the type that the result will have.

    Raises
    ------
    ParameterError
        As by :func:`non_negative`.
    """
    data = non_negative("V", V, None, ndim)
    # Powers of the model below -2 leave the range of float32.
    return (data.astype(np.float64, copy=False) if beta < 0.0 else data), data.dtype


def non_negative(
    name: str, value: npt.ArrayLike, dtype: npt.DTypeLike | None, ndim: int = 2
) -> FloatArray:
    """Return `value` as a floating-point array, or say what is wrong with it.

    Parameters
    ----------
    name : str
        What the caller knows it as.
    value : array_like
        Real, finite, non-negative and not empty.
    dtype : data type or None
        Of the result; None keeps float32 and float64 and turns everything else into float64.
    ndim : {2, 3}
        How many axes it must have.

    Returns
    -------
    np.ndarray
        Possibly the caller's own array: not to be changed.

    Raises
    ------
    ParameterError
        If it is not such an array.
    """
    if isinstance(value, np.ma.MaskedArray):
        raise ParameterError(
            f"{name} is masked; give {name}.filled(0), and weights that are zero where it was."
        )
    if hasattr(value, "toarray"):
        raise ParameterError(f"{name} is a sparse matrix; give {name}.toarray().")
    array = plain_array(name, value)
    if array.dtype.kind not in "biuf":
        raise ParameterError(
            f"{name} has dtype {array.dtype}; give real numbers, e.g. np.abs({name})."
        )
    if dtype is None:
        dtype = array.dtype if array.dtype in (np.float32, np.float64) else np.float64
    array = array.astype(dtype, copy=False)
    if array.ndim != ndim or array.size == 0:
        raise ParameterError(
            f"{name} has shape {array.shape}; expected a non-empty {_KINDS[ndim]}."
        )
    # A sum is finite where all is, but for the very largest numbers; one pass instead of two.
    with np.errstate(over="ignore", invalid="ignore"):
        finite = np.isfinite(array.sum()) or np.isfinite(array.max())
    if not (array.min() >= 0 and finite):
        bad = np.argwhere(~(np.isfinite(array) & (array >= 0)))[0]
        where = tuple(int(i) for i in bad)
        raise ParameterError(
            f"{name}{list(where)} is {array[where]}; entries must be finite and non-negative."
        )
    return array


def plain_array(name: str, value: Any) -> npt.NDArray[Any]:
    """Return `value` as an array, or say that it is none.

    Raises
    ------
    ParameterError
        If its rows have different lengths.
    """
    try:
        return np.asarray(value)
    except ValueError:
        raise ParameterError(f"{name} is no array: its rows have different lengths.") from None


def of_shape(
    name: str, value: npt.ArrayLike | None, shape: tuple[int, ...], dtype: npt.DTypeLike
) -> FloatArray | None:
    """Return `value` as a non-negative array of one shape; None stays None.

    Raises
    ------
    ParameterError
        If it is not such an array.
    """
    if value is None:
        return None
    array = non_negative(name, value, dtype, len(shape))
    if array.shape != shape:
        raise ParameterError(f"{name} has shape {array.shape}, expected {shape} for this V.")
    return array


def flags(
    name: str, value: bool | npt.ArrayLike, n_components: int, given: bool
) -> npt.NDArray[np.bool_]:
    """Return one flag per component.

    Parameters
    ----------
    name : str
        What the caller knows it as: ``fixed_`` and the name of a factor.
    value : bool or array_like of bool [shape=(n_components,)]
        One for all, or one each.
    n_components : int
        How many are wanted.
    given : bool
        Whether the caller gave that factor: what is not given cannot be kept.

    Returns
    -------
    np.ndarray of bool [shape=(n_components,)]

    Raises
    ------
    ParameterError
        If it is something else, or a flag is set for a factor that was not given.
    """
    array = plain_array(name, value)
    if array.dtype != bool or array.shape not in ((), (n_components,)):
        raise ParameterError(
            f"{name} must be True, False or {n_components} such values, one per component."
        )
    array = np.broadcast_to(array, (n_components,)).copy()
    if array.any() and not given:
        raise ParameterError(f"{name} is set, but no {name.removeprefix('fixed_')} are given.")
    return array


def generator(
    seed: int | np.random.Generator,
) -> tuple[np.random.Generator, int | None]:
    """Return the random numbers of a seed, and the seed where it is a number.

    Raises
    ------
    ParameterError
        If it is neither a whole number of at least 0 nor a generator.
    """
    if isinstance(seed, np.random.Generator):
        return seed, None
    try:
        number = whole_number("seed", seed, 0)
    except ParameterError:
        raise ParameterError(f"seed {seed!r} must be a whole number of at least 0.") from None
    return np.random.default_rng(number), number


def tolerance(tol: float) -> float:
    """Return `tol` if it is one.

    Raises
    ------
    ParameterError
        If it is negative or not a number.
    """
    if not isinstance(tol, (int, float, np.integer, np.floating)):
        raise ParameterError(f"tol={tol!r} must be a number.")
    if not tol >= 0.0:
        raise ParameterError(f"tol={tol} must not be negative.")
    return float(tol)
