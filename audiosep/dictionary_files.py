"""Dictionaries on disk and in the package.

Files are safetensors (numbers and text only: opening one runs no code).
``scripts/make_dictionaries.py`` makes those in the package.
"""

from __future__ import annotations

import json
import math
import os
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from audiosep.dictionaries import Dictionary, Exemplars
from audiosep.errors import DictionaryError
from audiosep.io.header import sha256_of
from audiosep.io.single_file import replace_file

__all__ = [
    "builtin_names",
    "load_builtin",
    "load_dictionary",
    "load_with_digest",
    "save_dictionary",
]

DEFAULT_NAME = "band"
FORMAT_VERSION = 1
MAX_FILE_BYTES = 256 * 2**20
_METADATA_KEY = "audiosep_dictionary"
_SUFFIX = ".safetensors"
_DTYPES = {"templates": ("F16", "F32"), "frequencies_hz": ("F32", "F64")}
_EXEMPLAR_DTYPES = {"exemplars": ("F16", "F32")}
_AGAIN = "learn it again"
_BRACE_AT = 8
"""Where text begins in a safetensors file, behind its length."""
_HINT = "give a .safetensors file made by audiosep"


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
    DictionaryError
        If the file would be larger than what :func:`load_dictionary` reads.
    OutputError
        If the file cannot be written.
    """
    from safetensors.numpy import save

    # One key only: the order of several would not be the same in every run.
    exemplars = dictionary.exemplars
    fields: dict[str, Any] = {"labels": dictionary.labels, "provenance": dictionary.provenance}
    if dictionary.step_s is not None:
        fields["step_s"] = dictionary.step_s
    if exemplars is not None:
        fields["exemplars"] = {
            "lengths": exemplars.lengths,
            "labels": exemplars.labels,
            "step_s": exemplars.step_s,
        }
    description = json.dumps({"version": FORMAT_VERSION, **fields})
    W = dictionary.templates
    scaled = W / W.max(axis=0 if W.ndim == 2 else (0, 2), keepdims=True)
    tensors = {
        "templates": np.ascontiguousarray(scaled.astype(np.float16)),
        "frequencies_hz": np.ascontiguousarray(dictionary.frequencies_hz),
    }
    if exemplars is not None:
        largest = exemplars.frames.max() or np.float32(1)  # of silence
        tensors["exemplars"] = np.ascontiguousarray((exemplars.frames / largest).astype(np.float16))
    content = save(tensors, metadata={_METADATA_KEY: description})
    target = Path(path)
    if len(content) > MAX_FILE_BYTES:
        raise DictionaryError(
            f"{target}: {len(content) / 2**20:.0f} MB are too large for a dictionary, which may "
            f"have {MAX_FILE_BYTES >> 20} MB; learn fewer templates, or shorter exemplars."
        )
    replace_file(target, content, "the dictionary")


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
        raise DictionaryError(f"{file}: {_what_is_wrong(file)}") from error
    except DictionaryError as error:
        raise DictionaryError(f"{file}: {error}") from error


def _what_is_wrong(file: Path) -> str:
    """What a file is that safetensors cannot open; its own words are for programmers."""
    with file.open("rb") as content:
        begin = content.read(_BRACE_AT + 1)
    if begin[_BRACE_AT:] == b"{":
        return "the dictionary is cut or damaged; restore it from a backup, or learn it again."
    empty = "" if begin else ", but empty (0 bytes)"
    return f"not a dictionary{empty}; {_HINT}."


def load_with_digest(path: str | os.PathLike[str]) -> tuple[Dictionary, str]:
    """Read a dictionary, and the SHA-256 of the file that was read.

    Raises
    ------
    DictionaryError
        As :func:`load_dictionary`, or if the file changed meanwhile.
    """
    before = _digest(path)
    found = load_dictionary(path)
    if _digest(path) != before:
        raise DictionaryError(
            f"{Path(path)} changed while it was read; try again when nothing writes to it."
        )
    return found, before


def _digest(path: str | os.PathLike[str]) -> str:
    """Digest of a file; empty where it cannot be read, which reading it reports."""
    try:
        return sha256_of(Path(path))
    except (OSError, ValueError):
        return ""


def _read(file: Path) -> Dictionary:
    from safetensors import safe_open

    if file.is_dir():
        raise DictionaryError(f"cannot read the dictionary: it is a folder; {_HINT}.")
    if (size := file.stat().st_size) > MAX_FILE_BYTES:
        raise DictionaryError(f"{size / 2**20:.0f} MB is too large for a dictionary.")
    arrays = {}
    with safe_open(str(file), framework="numpy") as content:
        found = _description(content.metadata() or {})
        names = content.keys()
        wanted = _DTYPES if found.get("exemplars") is None else _DTYPES | _EXEMPLAR_DTYPES
        for name, dtypes in wanted.items():
            if name not in names or content.get_slice(name).get_dtype() not in dtypes:
                raise DictionaryError(
                    f"it lacks {name!r} as numbers of {' or '.join(dtypes)}; {_AGAIN}."
                )
            arrays[name] = content.get_tensor(name)
    try:
        return _made(found, arrays)
    except DictionaryError as error:
        words = str(error)
        if ";" not in words:  # it says already what to do
            words = f"{words.rstrip('.')}; {_AGAIN}."
        raise DictionaryError(words) from None


def _made(found: dict[str, Any], arrays: dict[str, Any]) -> Dictionary:
    exemplars = None
    if "exemplars" in arrays:
        about = found["exemplars"]
        exemplars = Exemplars(
            frames=arrays["exemplars"].astype(np.float32),
            lengths=tuple(about["lengths"]),
            labels=tuple(about["labels"]),
            step_s=_step(about["step_s"]),
        )
    return Dictionary(
        templates=arrays["templates"].astype(np.float32),
        frequencies_hz=arrays["frequencies_hz"].astype(np.float64),
        labels=tuple(found["labels"]),
        provenance=found["provenance"],
        step_s=_step(found.get("step_s")),
        exemplars=exemplars,
    )


def _description(metadata: dict[str, str]) -> dict[str, Any]:
    """What a file says of its arrays, as far as its types go."""
    try:
        found = json.loads(metadata[_METADATA_KEY])
        version, labels, provenance = found["version"], found["labels"], found["provenance"]
    except (KeyError, TypeError, ValueError, RecursionError):
        raise DictionaryError(
            f"not a dictionary: the description of one is missing from it; {_HINT}."
        ) from None
    if version != FORMAT_VERSION:
        raise DictionaryError(f"it is of version {repr(version)[:60]}; install a newer audiosep.")
    exemplars = found.get("exemplars")
    good = exemplars is None or (
        isinstance(exemplars, dict)
        and isinstance(exemplars.get("lengths"), list)
        and isinstance(exemplars.get("labels"), list)
        and "step_s" in exemplars
        and all(isinstance(label, str) for label in exemplars["labels"])
    )
    if not isinstance(labels, list) or not isinstance(provenance, str) or not good:
        raise DictionaryError(f"its description is not that of a dictionary; {_HINT}.")
    return dict(found)


def _step(step_s: Any) -> Any:
    """Seconds as written in JSON, where a whole number has no point."""
    if type(step_s) is not int:
        return step_s
    try:
        return float(step_s)
    except OverflowError:
        return math.inf  # refused like any other that is too long


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
        labelled ``"kick"``, ``"snare"``, ``"hihat"``, ``"tom"`` and ``"cymbal"``; ``"speech"``:
        spectra and exemplars of several talkers.

    Raises
    ------
    DictionaryError
        If there is none of that name.
    """
    if name not in builtin_names():
        raise DictionaryError(f"no dictionary {name!r}; use one of {', '.join(builtin_names())}.")
    with resources.as_file(resources.files("audiosep") / "data" / f"{name}{_SUFFIX}") as path:
        return load_dictionary(path)
