"""The factorization behind stems, stored beside them: what regrouping needs instead of a new fit.

Files are safetensors (numbers and text only: opening one runs no code).
"""

from __future__ import annotations

import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from audiosep.errors import DictionaryError, ParameterError, RefusedError
from audiosep.io.single_file import replace_file
from audiosep.labels import folded, problem_of_label
from audiosep.masks import exponent_from
from audiosep.memory import available_bytes
from audiosep.transform import WINDOWS, n_frames_of
from audiosep.types import MAX_SAMPLE_RATE, MIN_SAMPLE_RATE, FloatArray, Grouping

__all__ = [
    "FACTORIZATION_NAME",
    "StoredFactorization",
    "load_factorization",
    "problem_of_size",
    "save_factorization",
]

FACTORIZATION_NAME = "factorization.safetensors"
"""What the file is called beside stems."""

FORMAT_VERSION = 1
MAX_FILE_BYTES = 2**30
MAX_COMPONENTS = 1000
_HEADER_BYTES = 2**20
"""More than names of a thousand stems take."""
_METADATA_KEY = "audiosep_factorization"
_TENSORS = ("templates", "activations", "weights", "confidence")
_WHOLE = ("sr", "n_fft", "hop_length", "n_samples", "n_channels")
_LONGEST_WINDOW = 2**26
_LONGEST_WINDOW_S = 16.0
_MOST_OVERLAP = 64
"""Windows over one sample: more would take for ever, and nothing is written so."""

_MOST_CHANNELS = 1024
_LARGEST = 1e37
"""Of a model: sums of some must still be numbers of float32."""
_LEAST_N_FFT = 64
_COPIES = 3
_ROW_TOLERANCE = 1e-3
_HINT = "separate the recording again to get a new one"


@dataclass(frozen=True, kw_only=True, eq=False)
class StoredFactorization:
    """Components, the sources they belong to, and the analysis they were found in.

    A component's share of the mixture in a bin is ``w h`` over the sum of all of them; with a mask
    exponent of 1, the masks of the stems are the sums of such shares by `grouping`.

    Parameters
    ----------
    templates : np.ndarray [shape=(n_bins, n_components), dtype=float32]
        W, non-negative.
    activations : np.ndarray [shape=(n_components, n_frames), dtype=float32]
        H, non-negative.
    grouping : Grouping
        Which component belongs to which stem; the names are those of the stems, in their order.
    sr, n_channels, n_samples : int
        Of the recording.
    n_fft, hop_length : int
        Window length and hop of the analysis in samples.
    window : str
        Its name.
    mask_exponent : float
        Exponent of the masks of the stems.

    Raises
    ------
    DictionaryError
        If the numbers do not fit each other, or are negative or not finite.
    """

    templates: npt.NDArray[np.float32]
    activations: npt.NDArray[np.float32]
    grouping: Grouping
    sr: int
    n_fft: int
    hop_length: int
    window: str
    n_samples: int
    n_channels: int
    mask_exponent: float

    def __post_init__(self) -> None:
        if problem := self._problem_of_analysis() or self._problem_of_factors():
            raise DictionaryError(problem)
        if problem := _problem_of_grouping(self.grouping, self.n_components):
            raise DictionaryError(problem)

    def _problem_of_analysis(self) -> str:
        limits = {
            "sr": (MIN_SAMPLE_RATE, MAX_SAMPLE_RATE),
            "n_fft": (2, _LONGEST_WINDOW),
            "hop_length": (1, _LONGEST_WINDOW),
            "n_samples": (1, 2**40),
            "n_channels": (1, _MOST_CHANNELS),
        }
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if type(value) is not int or not low <= value <= high:
                return f"{name}={repr(value)[:60]} must be a whole number from {low} to {high}."
        hops = self.n_fft // _MOST_OVERLAP <= self.hop_length <= self.n_fft // 2
        if (
            self.n_fft % 2
            or not hops
            or self.n_fft > max(_LEAST_N_FFT, self.sr * _LONGEST_WINDOW_S)
        ):
            return (
                f"n_fft={self.n_fft} and hop_length={self.hop_length} are no analysis at "
                f"{self.sr} Hz."
            )
        if self.window not in WINDOWS:
            return f"the window {self.window[:60]!r} is unknown; there are {', '.join(WINDOWS)}."
        try:
            exponent_from(self.mask_exponent)
        except (ParameterError, OverflowError):
            return f"mask_exponent={repr(self.mask_exponent)[:60]} must be a number from 0.1 to 10."
        return ""

    def _problem_of_factors(self) -> str:
        W, H = self.templates, self.activations
        n_bins, n_frames = 1 + self.n_fft // 2, n_frames_of(self.n_samples, self.hop_length)
        K = W.shape[1] if W.ndim == 2 else 0
        if not 1 <= K <= MAX_COMPONENTS:
            return f"templates of shape {W.shape} are not 1 to {MAX_COMPONENTS} spectra."
        if W.shape != (n_bins, K) or H.shape != (K, n_frames):
            return (
                f"templates {W.shape} and activations {H.shape} must have the shapes "
                f"({n_bins}, {K}) and ({K}, {n_frames}) by their analysis."
            )
        for name, values in (("templates", W), ("activations", H)):
            if values.dtype != np.float32:
                return f"the {name} must be float32, got {values.dtype}."
            if not (np.isfinite(values).all() and (values >= 0).all()):
                return f"the {name} hold negative or non-finite numbers."
        # A bound for every value of the model.
        if W.max(axis=0).astype(np.float64) @ H.max(axis=1).astype(np.float64) > _LARGEST:
            return "the templates and activations are so large that their products are no numbers."
        return ""

    @property
    def n_components(self) -> int:
        """Number of components."""
        return int(self.templates.shape[1])

    @property
    def n_frames(self) -> int:
        """Number of time frames."""
        return int(self.activations.shape[1])

    @property
    def bin_hz(self) -> float:
        """Distance between frequency bins in Hz."""
        return self.sr / self.n_fft

    @property
    def frame_s(self) -> float:
        """Distance between frames in seconds."""
        return self.hop_length / self.sr


def _problem_of_grouping(grouping: Grouping, n_components: int) -> str:
    weights, names, confidence = grouping.weights, grouping.names, grouping.confidence
    for name in names:
        if problem := problem_of_label(name):
            return problem
    if not names:
        return "there are no names of stems."
    if len({folded(name) for name in names}) != len(names):
        return "the names of the stems are not different from each other."
    if weights.shape != (n_components, len(names)):
        return (
            f"the weights have the shape {weights.shape}; a row for each component and a column "
            f"for each stem make ({n_components}, {len(names)})."
        )
    inside = np.isfinite(weights).all() and (weights >= 0).all()
    if not inside or np.abs(weights.sum(axis=1) - 1.0).max() > _ROW_TOLERANCE:
        return "the weights of a component do not sum to one."
    sure = confidence.shape == (len(names),) and np.isfinite(confidence).all()
    if not sure or not ((confidence >= 0) & (confidence <= 1)).all():
        return f"the confidence must be {len(names)} numbers from 0 to 1, one for each stem."
    return ""


def save_factorization(stored: StoredFactorization, path: str | os.PathLike[str]) -> None:
    """Write a factorization to a safetensors file in one step, as float32.

    Parameters
    ----------
    stored : StoredFactorization
        What to write; the same values give the same bytes.
    path : path-like
        Replaced if it exists; its folder must exist.

    Raises
    ------
    DictionaryError
        If the file would be larger than what :func:`load_factorization` reads.
    OutputError
        If the file cannot be written.
    """
    from safetensors.numpy import save

    description = {
        "version": FORMAT_VERSION,
        "names": stored.grouping.names,
        **{name: getattr(stored, name) for name in _WHOLE},
        "window": stored.window,
        "mask_exponent": stored.mask_exponent,
    }
    tensors = {
        "templates": _plain(stored.templates),
        "activations": _plain(stored.activations),
        "weights": _plain(stored.grouping.weights),
        "confidence": _plain(stored.grouping.confidence),
    }
    # Before it is laid out: what is too large for a file is large in memory, too.
    if problem := problem_of_size(sum(values.nbytes for values in tensors.values())):
        raise DictionaryError(problem)
    # One key only: the order of several would not be the same in every run.
    content = save(tensors, metadata={_METADATA_KEY: json.dumps(description)})
    replace_file(Path(path), content, "the factorization")


def problem_of_size(n_bytes: int) -> str:
    """Why so many numbers cannot be stored, or nothing.

    Parameters
    ----------
    n_bytes : int
        Of the numbers, as float32.

    Returns
    -------
    str
        A sentence where the file would be larger than what can be loaded.
    """
    if n_bytes + _HEADER_BYTES <= MAX_FILE_BYTES:
        return ""
    return (
        f"a factorization of {n_bytes / 2**20:.0f} MB is too large to be stored, at most "
        f"{MAX_FILE_BYTES / 2**20:.0f} MB are; use fewer components or a shorter part."
    )


def _plain(values: FloatArray) -> npt.NDArray[np.float32]:
    return np.ascontiguousarray(values, dtype=np.float32)


def load_factorization(path: str | os.PathLike[str]) -> StoredFactorization:
    """Read a factorization written by :func:`save_factorization`.

    Parameters
    ----------
    path : path-like
        A safetensors file of at most 1 GB, or the folder of stems that it lies in.

    Returns
    -------
    StoredFactorization

    Raises
    ------
    DictionaryError
        If the file is missing, damaged, no factorization or of another version.
    RefusedError
        If it does not fit into free memory.
    """
    from safetensors import SafetensorError

    file = Path(path)
    try:
        if file.is_dir():
            file /= FACTORIZATION_NAME
        return _read(file)
    except OSError as error:
        why = error.strerror or "it cannot be opened"
        raise DictionaryError(f"{file}: cannot read the factorization: {why}; {_HINT}.") from error
    except (ValueError, SafetensorError) as error:
        raise DictionaryError(f"{str(file)!r} is no factorization, or damaged; {_HINT}.") from error
    except (DictionaryError, RefusedError) as error:
        raise type(error)(f"{file}: {error}") from error


def _read(file: Path) -> StoredFactorization:
    from safetensors import safe_open

    about = file.stat()
    if not stat.S_ISREG(about.st_mode):
        raise DictionaryError(f"it is no file; {_HINT}.")
    if (size := about.st_size) > MAX_FILE_BYTES:
        raise DictionaryError(f"{size / 2**20:.0f} MB is too large for a factorization.")
    free = available_bytes()
    if free is not None and _COPIES * size > free:
        raise RefusedError(
            f"its {size / 2**20:.0f} MB do not fit into free memory; close other programs."
        )
    arrays: dict[str, Any] = {}
    with safe_open(str(file), framework="numpy") as content:
        found = _description(content.metadata() or {})
        names = content.keys()
        for name in _TENSORS:
            if name not in names or content.get_slice(name).get_dtype() != "F32":
                raise DictionaryError(f"it lacks {name!r} as numbers of F32; {_HINT}.")
            arrays[name] = content.get_tensor(name)
    return StoredFactorization(
        templates=arrays["templates"],
        activations=arrays["activations"],
        grouping=Grouping(
            weights=arrays["weights"],
            names=tuple(found["names"]),
            confidence=arrays["confidence"],
        ),
        window=found["window"],
        mask_exponent=found["mask_exponent"],
        **{name: found[name] for name in _WHOLE},
    )


def _description(metadata: dict[str, str]) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(metadata[_METADATA_KEY])
        version = found["version"]
    except (KeyError, TypeError, ValueError, RecursionError):
        raise DictionaryError(
            f"no factorization: the description of one is missing from it; {_HINT}."
        ) from None
    if version != FORMAT_VERSION:
        raise DictionaryError(f"it is of version {repr(version)[:60]}; install a newer audiosep.")
    lacking = [n for n in ("names", "window", "mask_exponent", *_WHOLE) if n not in found]
    if lacking or not isinstance(found["names"], list):
        raise DictionaryError(f"its description is not that of a factorization; {_HINT}.")
    if not isinstance(found["window"], str) or not all(isinstance(n, str) for n in found["names"]):
        raise DictionaryError(f"its description is not that of a factorization; {_HINT}.")
    return found
