"""Sets of spectral templates learnt from isolated sounds: on disk, in the package, on any grid.

Templates are kept on a frequency axis in hertz, so that one small file serves every sample rate and
window; :meth:`Dictionary.on_bins` brings them to an analysis. A template may also be a patch, a
short spectrogram with a time axis in seconds; :meth:`Dictionary.on_frames` brings those. Files are
safetensors (numbers and text only: opening one runs no code). ``scripts/make_dictionaries.py``
makes those in the package.
"""

from __future__ import annotations

import json
import math
import os
import unicodedata
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from audiosep.errors import DictionaryError, OutputError, ParameterError

__all__ = ["Dictionary", "builtin_names", "load_builtin", "load_dictionary", "save_dictionary"]

DEFAULT_NAME = "band"
FORMAT_VERSION = 1
MAX_FILE_BYTES = 256 * 2**20
_METADATA_KEY = "audiosep_dictionary"
MAX_COMPONENTS = 10_000
_SUFFIX = ".safetensors"
_DTYPES = {"templates": ("F16", "F32"), "frequencies_hz": ("F32", "F64")}
_MAX_PARTS = 64
_FLOOR = 1e-7
_MAX_KINDS = 64
_MAX_LABEL = 64
_MAX_LABEL_BYTES = 200
_NOT_IN_FILES = '/\\:*?"<>|'
_RESERVED = "one-shot-"
_HINT = "give a .safetensors file made by audiosep"
_SHORTEST_STEP_S = 1e-4
_LONGEST_STEP_S = 1.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Dictionary:
    """Spectral templates of several kinds of sound.

    Parameters
    ----------
    templates : np.ndarray [shape=(n_bands, n_components) or (n_bands, n_components, n_steps)]
        Amplitude density (magnitude per hertz, any scale), float32: finite, non-negative, no
        template zero everywhere. With three axes every template is a patch.
    frequencies_hz : np.ndarray [shape=(n_bands,), dtype=float64]
        Increasing, from 0 Hz up; at least two.
    labels : tuple of str
        The kind of sound of each component, for example ``"drums"``; one per component. Stems
        and their files are called so: at most 64 kinds, each of 1 to 64 printable characters (at
        most 200 bytes in UTF-8) that file names may have on any system, that neither begin nor end
        with a dot or a space nor begin with ``one-shot-``; two must not differ by case alone.
    provenance : str
        What it was learnt from and under which licence.
    step_s : float, optional
        Time between the steps of a patch in seconds, 0.0001 to 1; None where templates are
        spectra.

    Raises
    ------
    DictionaryError
        If the shapes, the number of labels or the values are not as described.
    """

    templates: npt.NDArray[np.float32]
    frequencies_hz: npt.NDArray[np.float64]
    labels: tuple[str, ...]
    provenance: str
    step_s: float | None = None

    def __post_init__(self) -> None:
        if problem := self._problem():
            raise DictionaryError(problem)

    def _problem(self) -> str:
        W, hz = self.templates, self.frequencies_hz
        if W.ndim not in (2, 3) or W.dtype != np.float32 or W.size == 0:
            return (
                "templates must be float32 (bands, components) or (bands, components, steps), got "
                f"{W.dtype} {W.shape}."
            )
        if problem := self._problem_of_time():
            return problem
        if W.shape[1] > MAX_COMPONENTS:
            return f"{W.shape[1]} templates are too many; at most {MAX_COMPONENTS}."
        if hz.dtype != np.float64 or hz.shape != W.shape[:1]:
            return f"frequencies_hz must be float64, one per band, got {hz.dtype} {hz.shape}."
        if len(self.labels) != W.shape[1]:
            return f"{len(self.labels)} labels for {W.shape[1]} templates; give one for each."
        if problem := _problem_of_labels(self.labels):
            return problem
        if not np.isfinite(W).all() or (W < 0).any():
            return "the templates hold negative or non-finite numbers."
        if not W.reshape(*W.shape[:2], -1).any(axis=(0, 2)).all():
            return "a template is zero everywhere; leave it out."
        if len(hz) < 2 or not (np.isfinite(hz).all() and hz[0] >= 0 and np.diff(hz).min() > 0):
            return "frequencies_hz must be two or more increasing frequencies from 0 Hz up."
        return ""

    def _problem_of_time(self) -> str:
        step_s = self.step_s
        if self.templates.ndim == 2:
            return "" if step_s is None else "step_s is for patches; these templates are spectra."
        if not isinstance(step_s, float) or not _SHORTEST_STEP_S <= step_s <= _LONGEST_STEP_S:
            return f"patches need a step_s of 0.0001 to 1 seconds, got {step_s!r}."
        return ""

    @property
    def n_components(self) -> int:
        """Number of templates."""
        return int(self.templates.shape[1])

    @property
    def sources(self) -> tuple[str, ...]:
        """Each different label once, in order of appearance."""
        return tuple(dict.fromkeys(self.labels))

    def on_bins(self, sr: int, n_fft: int) -> npt.NDArray[np.float32]:
        """Return the templates on the bins of a Fourier analysis.

        Interpolated, and averaged over bins wider than the stored spacing. There is next to
        nothing above the highest stored frequency.

        Parameters
        ----------
        sr : int > 0
            Sample rate of the analysis in Hz.
        n_fft : int >= 2, even
            Window length of the analysis in samples.

        Returns
        -------
        np.ndarray [shape=(1 + n_fft // 2, n_components), dtype=float32]
            Positive; each column sums to one, and is flat where nothing is below ``sr / 2``.

        Raises
        ------
        ParameterError
            If `sr` or `n_fft` is out of range.
        DictionaryError
            If the templates are patches.
        """
        if self.step_s is not None:
            raise DictionaryError(
                "the templates of this dictionary are patches in time, and spectra are needed "
                f"here; use one like {DEFAULT_NAME!r}."
            )
        out = self._densities(self.templates, sr, n_fft)
        # Multiplicative updates cannot leave an exact zero, so there is none.
        out = np.maximum(out, _FLOOR)
        return np.asarray(out / out.sum(axis=0), dtype=np.float32)

    def on_frames(
        self, sr: int, n_fft: int, hop_length: int, *, longest_s: float | None = None
    ) -> npt.NDArray[np.float32]:
        """Return the patches on the bins and frames of a Fourier analysis.

        As :meth:`on_bins` along frequency; interpolated along time.

        Parameters
        ----------
        sr : int > 0
            Sample rate of the analysis in Hz.
        n_fft : int >= 2, even
            Window length of the analysis in samples.
        hop_length : int > 0
            Samples between its frames.
        longest_s : float > 0, optional
            Where to cut patches off, in seconds from their beginning.

        Returns
        -------
        np.ndarray [shape=(1 + n_fft // 2, n_components, n_taps), dtype=float32]
            Positive; each patch sums to one. At least one frame.

        Raises
        ------
        ParameterError
            If an argument is out of range.
        DictionaryError
            If the templates are spectra.
        """
        if self.step_s is None:
            raise DictionaryError(
                "the templates of this dictionary are spectra, and patches in time are needed "
                "here; use one like 'drums'."
            )
        if hop_length <= 0 or (longest_s is not None and longest_s <= 0.0):
            raise ParameterError(f"hop_length={hop_length}, longest_s={longest_s}: need more.")
        n_bands, n_components, n_steps = self.templates.shape
        frame_s = hop_length / sr if sr > 0 else 1.0
        length_s = n_steps * self.step_s
        if longest_s is not None:
            length_s = min(length_s, longest_s)
        n_taps = max(1, round(length_s / frame_s))
        places = np.minimum(np.arange(n_taps) * frame_s / self.step_s, n_steps - 1)
        before = np.minimum(places.astype(int), max(0, n_steps - 2))
        after = np.minimum(before + 1, n_steps - 1)
        share = places - before
        patches = self.templates.astype(np.float64)
        in_time = patches[..., before] * (1 - share) + patches[..., after] * share
        flat = in_time.reshape(n_bands, n_components * n_taps)
        out = self._densities(flat, sr, n_fft).reshape(-1, n_components, n_taps)
        out = np.maximum(out, _FLOOR * out.max(axis=(0, 2), keepdims=True))
        # A rate so low that nothing of a patch is left: flat, like any other that fits nothing.
        out[:, out.sum(axis=(0, 2)) == 0.0] = 1.0
        return np.asarray(out / out.sum(axis=(0, 2), keepdims=True), dtype=np.float32)

    def _densities(
        self, templates: npt.NDArray[Any], sr: int, n_fft: int
    ) -> npt.NDArray[np.float64]:
        """Columns of templates on the bins of an analysis, relative to the maximum of each."""
        if sr <= 0 or n_fft < 2 or n_fft % 2:
            raise ParameterError(f"sr={sr}, n_fft={n_fft}: need a rate and an even window length.")
        bin_hz = sr / n_fft
        spacing = float(np.diff(self.frequencies_hz).min())
        parts = min(max(1, round(bin_hz / spacing)), _MAX_PARTS)
        offsets = (np.arange(parts) + 0.5) / parts - 0.5
        points = np.abs(np.arange(1 + n_fft // 2)[:, np.newaxis] + offsets) * bin_hz
        out = np.empty((len(points), templates.shape[1]))
        scale = 1.0 if self.step_s is not None else templates.max(axis=0).astype(np.float64)
        for k, column in enumerate((templates / scale).T):
            density = np.interp(points, self.frequencies_hz, column, right=0.0)
            out[:, k] = density.mean(axis=1)
        return out


def _problem_of_labels(labels: tuple[object, ...]) -> str:
    """Why labels cannot be names of files on every system, or nothing."""
    kinds: dict[str, str] = {}
    for label in labels:
        if not isinstance(label, str) or not _may_name_a_file(label):
            return (
                f"the label {_shown(label)} cannot name a stem; use 1 to 64 printable characters "
                f"other than {_NOT_IN_FILES}, without a dot or space at the ends or "
                f"{_RESERVED!r} at the beginning."
            )
        folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", label).casefold())
        if kinds.setdefault(folded, label) != label:
            return f"the labels {kinds[folded]!r} and {label!r} differ by case alone; rename one."
    if len(kinds) > _MAX_KINDS:
        return f"{len(kinds)} different labels are too many; at most {_MAX_KINDS}."
    return ""


def _may_name_a_file(label: str) -> bool:
    return (
        0 < len(label) <= _MAX_LABEL
        and label.isprintable()
        and len(label.encode()) <= _MAX_LABEL_BYTES
        and not any(character in _NOT_IN_FILES for character in label)
        and label.strip(". ") == label
        and not label.casefold().startswith(_RESERVED)
    )


def _shown(label: object) -> str:
    text = ascii(label)
    return text if len(text) <= _MAX_LABEL + 2 else f"{text[:_MAX_LABEL]}..."


def save_dictionary(dictionary: Dictionary, path: str | os.PathLike[str]) -> None:
    """Write a dictionary to a safetensors file in one step; templates as float16, maximum one.

    Parameters
    ----------
    dictionary : Dictionary
        Keeps three digits of each number.
    path : path-like
        Replaced if it exists; its folder must exist.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    from safetensors.numpy import save

    # One key only: the order of several would not be the same in every run.
    fields: dict[str, Any] = {"labels": dictionary.labels, "provenance": dictionary.provenance}
    if dictionary.step_s is not None:
        fields["step_s"] = dictionary.step_s
    description = json.dumps({"version": FORMAT_VERSION, **fields})
    W = dictionary.templates
    scaled = W / W.max(axis=0 if W.ndim == 2 else (0, 2), keepdims=True)
    tensors = {
        "templates": np.ascontiguousarray(scaled.astype(np.float16)),
        "frequencies_hz": np.ascontiguousarray(dictionary.frequencies_hz),
    }
    content = save(tensors, metadata={_METADATA_KEY: description})
    target = Path(path)
    partial = target.with_name(f"{target.name}.part{os.getpid()}")
    try:
        partial.write_bytes(content)
        partial.replace(target)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise OutputError(f"{target}: cannot write the dictionary: {error.strerror}.") from error


def load_dictionary(path: str | os.PathLike[str]) -> Dictionary:
    """Read a dictionary written by :func:`save_dictionary`.

    Parameters
    ----------
    path : path-like
        A safetensors file of at most 256 MB.

    Raises
    ------
    DictionaryError
        If the file is missing, damaged, not a dictionary or of a newer version.
    """
    from safetensors import SafetensorError

    file = Path(path)
    try:
        return _read(file)
    except OSError as error:
        why = error.strerror or "it cannot be opened"
        raise DictionaryError(f"{file}: cannot read the dictionary: {why}; {_HINT}.") from error
    except ValueError as error:  # of a path with NUL
        raise DictionaryError(f"{str(file)!r}: cannot read the dictionary; {_HINT}.") from error
    except SafetensorError as error:
        raise DictionaryError(
            f"{file}: not a dictionary, or damaged ({error}); {_HINT}."
        ) from error
    except DictionaryError as error:
        raise DictionaryError(f"{file}: {error}") from error


def _read(file: Path) -> Dictionary:
    from safetensors import safe_open

    if file.is_dir():
        raise DictionaryError(f"cannot read the dictionary: it is a folder; {_HINT}.")
    if (size := file.stat().st_size) > MAX_FILE_BYTES:
        raise DictionaryError(f"{size / 2**20:.0f} MB is too large for a dictionary.")
    arrays = {}
    with safe_open(str(file), framework="numpy") as content:
        labels, provenance, step_s = _description(content.metadata() or {})
        names = content.keys()
        for name, dtypes in _DTYPES.items():
            if name not in names or content.get_slice(name).get_dtype() not in dtypes:
                raise DictionaryError(f"it lacks {name!r} as numbers of {' or '.join(dtypes)}.")
            arrays[name] = content.get_tensor(name)
    return Dictionary(
        templates=arrays["templates"].astype(np.float32),
        frequencies_hz=arrays["frequencies_hz"].astype(np.float64),
        labels=labels,
        provenance=provenance,
        step_s=step_s,
    )


def _description(metadata: dict[str, str]) -> tuple[tuple[str, ...], str, float | None]:
    try:
        found = json.loads(metadata[_METADATA_KEY])
        version, labels, provenance = found["version"], found["labels"], found["provenance"]
    except (KeyError, TypeError, ValueError, RecursionError):
        raise DictionaryError(
            f"not a dictionary: the description of one is missing from it; {_HINT}."
        ) from None
    if version != FORMAT_VERSION:
        raise DictionaryError(f"it is of version {version!r}; install a newer audiosep.")
    if not isinstance(labels, list) or not isinstance(provenance, str):
        raise DictionaryError(f"its description is not that of a dictionary; {_HINT}.")
    step_s = found.get("step_s")
    if type(step_s) is int:
        try:
            step_s = float(step_s)
        except OverflowError:
            step_s = math.inf  # refused like any other that is too long
    return tuple(labels), provenance, step_s


def builtin_names() -> tuple[str, ...]:
    """Names of the dictionaries in the package, sorted."""
    files = (resources.files("audiosep") / "data").iterdir()
    return tuple(sorted(f.name.removesuffix(_SUFFIX) for f in files if f.name.endswith(_SUFFIX)))


def load_builtin(name: str = DEFAULT_NAME) -> Dictionary:
    """Read a dictionary of the package.

    Parameters
    ----------
    name : str
        One of :func:`builtin_names`.

    Returns
    -------
    Dictionary
        ``"band"``: spectra labelled ``"drums"``, ``"bass"`` and ``"other"``; ``"drums"``: patches
        labelled ``"kick"``, ``"snare"``, ``"hihat"``, ``"tom"`` and ``"cymbal"``.
    """
    if name not in builtin_names():
        raise DictionaryError(f"no dictionary {name!r}; use one of {', '.join(builtin_names())}.")
    with resources.as_file(resources.files("audiosep") / "data" / f"{name}{_SUFFIX}") as path:
        return load_dictionary(path)
