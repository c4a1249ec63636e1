"""Files of stems that grow piece by piece, rounded so that they add up."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from audiosep.errors import OutputError, ParameterError
from audiosep.io import formats
from audiosep.io.exact import fits, quantise
from audiosep.io.formats import Bits, Format
from audiosep.io.naming import display
from audiosep.io.placing import why
from audiosep.types import Tape

__all__ = ["Level", "Piece", "StemFiles", "all_fit", "create_file", "parts_of", "sync_file"]

_BLOCK_SAMPLES = 1 << 17
_SFC_SET_ADD_PEAK_CHUNK = 0x1050  # from sndfile.h


@dataclass(frozen=True, kw_only=True, eq=False)
class Piece:
    """A piece of all stems, and what they sum to.

    Parameters
    ----------
    stems : mapping of str to np.ndarray [shape=(n_channels, any), dtype=float32]
        The same names in every piece of a recording.
    mixture : np.ndarray [shape=(n_channels, any), dtype=float32]
        Their sum, up to float32 rounding.
    """

    stems: Mapping[str, npt.NDArray[np.float32]]
    mixture: npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Level:
    """How loud a stem is.

    Parameters
    ----------
    peak : float
        Largest absolute sample.
    rms : float
        Root mean square over all channels.
    """

    peak: float
    rms: float


def create_file(path: Path, container: str, bits: Bits, sr: int, n_channels: int) -> Any:
    """Open a new sound file whose bytes depend on nothing but its samples.

    Raises
    ------
    OutputError
        If it cannot be made.
    """
    import soundfile

    try:
        file = soundfile.SoundFile(
            os.fsencode(path), "w", sr, n_channels, formats.subtype_for(bits), format=container
        )
    except (soundfile.LibsndfileError, OSError) as error:
        raise OutputError(f"cannot write {display(path.name)}: {why(error)}.") from None
    if bits == "float":
        # This chunk holds the time of writing, and the same run must give the same bytes.
        soundfile._snd.sf_command(
            file._file,
            _SFC_SET_ADD_PEAK_CHUNK,
            soundfile._ffi.NULL,
            0,
        )
    return file


def _as_written(values: np.ndarray[Any, Any], bits: Bits) -> np.ndarray[Any, Any]:
    """Samples-first array of the type that soundfile stores without changing a bit."""
    if bits == "float":
        return np.ascontiguousarray(values.T, dtype=np.float32)
    if bits == 16:
        return np.ascontiguousarray(values.T, dtype=np.int16)
    return np.ascontiguousarray(values.T << 8, dtype=np.int32)


def sync_file(path: Path) -> None:
    """Make what was written to a file last through a loss of power."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


class StemFiles:
    """Files of stems that grow piece by piece.

    Attributes
    ----------
    files : dict of str to str
        File name of each stem.
    bits : {16, 24, "float"}
        Depth used so far.
    container : str
        Libsndfile's word for it.
    n_rounded : int or None
        Samples that had been rounded to integers when the range was left.
    """

    def __init__(self, folder: Path, mixture: Tape, bits: Bits, format_: Format) -> None:
        self.files: dict[str, str] = {}
        self.bits: Bits = bits
        self.n_rounded: int | None = None
        self._folder, self._mixture, self._format = folder, mixture, format_
        self.container = self._container()
        self._open = ExitStack()
        self._handles: list[Any] = []
        self._n_written = 0
        self._peaks: dict[str, float] = {}
        self._energies: dict[str, float] = {}

    def __enter__(self) -> StemFiles:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            with _words_of_failure():
                self._open.close()
                if kind is None:
                    for file in self.files.values():
                        sync_file(self._folder / file)
        except OutputError:
            if kind is None:  # what went wrong before says more
                raise

    def add(self, piece: Piece) -> None:
        """Write the next piece."""
        for name, stem in piece.stems.items():
            peak = float(max(stem.max(), -stem.min(), self._peaks.get(name, 0.0)))
            self._peaks[name] = peak
            energy = float(np.square(stem, dtype=np.float64).sum())
            self._energies[name] = self._energies.get(name, 0.0) + energy
        with _words_of_failure():
            if self.bits != "float" and not all_fit(piece, self.bits):
                self.n_rounded = self._n_written
                self._become_float()
            elif not self._handles:
                self.files = {name: _file_name(name, self._format) for name in piece.stems}
                self._handles = self._create(self._open)
            for part in parts_of(piece.mixture.shape[1]):
                values: list[np.ndarray[Any, Any]] = [s[:, part] for s in piece.stems.values()]
                if self.bits != "float":
                    values = list(quantise(values, piece.mixture[:, part], self.bits))
                for handle, value in zip(self._handles, values, strict=True):
                    handle.write(_as_written(value, self.bits))
        self._n_written += piece.mixture.shape[1]

    def levels(self) -> dict[str, Level]:
        """How loud each stem is."""
        n = self._n_written * self._mixture.n_channels
        return {
            name: Level(peak=peak, rms=math.sqrt(self._energies[name] / n))
            for name, peak in self._peaks.items()
        }

    def _container(self) -> str:
        about = self._mixture
        return formats.container_for(
            self._format, self.bits, about.sr, about.n_channels, about.n_samples
        )

    def _create(self, stack: ExitStack) -> list[Any]:
        about = self._mixture
        return [
            stack.enter_context(
                create_file(
                    self._folder / file, self.container, self.bits, about.sr, about.n_channels
                )
            )
            for file in self.files.values()
        ]

    def _become_float(self) -> None:
        """Go on in floats, with what was written so far as the floats it stands for."""
        import soundfile

        self._open.close()
        before = self.files
        self.bits, self._format = "float", "wav"
        self.container = self._container()
        self.files = {name: _file_name(name, "wav") for name in self._peaks}
        aside = {name: f"{file}.rounded" for name, file in before.items()}
        for name, file in before.items():
            os.replace(self._folder / file, self._folder / aside[name])
        self._handles = self._create(self._open)
        for handle, file in zip(self._handles, aside.values(), strict=False):
            with soundfile.SoundFile(os.fsencode(self._folder / file)) as rounded:
                for block in rounded.blocks(_BLOCK_SAMPLES, dtype="float32", always_2d=True):
                    handle.write(block)
            (self._folder / file).unlink()


@contextmanager
def _words_of_failure() -> Iterator[None]:
    import soundfile

    try:
        yield
    except (soundfile.LibsndfileError, OSError) as error:
        raise OutputError(f"cannot write the stems ({why(error)}); is the disk full?") from None


def _file_name(stem: str, format_: Format) -> str:
    """Name of a stem's file, which stays in its folder whatever the stem is called."""
    file = f"{stem}.{format_}"
    if Path(file).name != file or "\0" in file:
        raise ParameterError(f"the stem {stem!r} cannot be the name of a file; rename it.")
    return file


def parts_of(n_samples: int) -> Iterator[slice]:
    """Cut samples into parts that are worked on at once."""
    for first in range(0, n_samples, _BLOCK_SAMPLES):
        yield slice(first, min(first + _BLOCK_SAMPLES, n_samples))


def all_fit(piece: Piece, n_bits: int) -> bool:
    """Whether all stems of a piece stay in the range of integers, once rounded."""
    stems = list(piece.stems.values())
    margin = 1.0 - (len(stems) + 2) / 2 ** (n_bits - 1)
    if max(max(float(s.max()), float(-s.min())) for s in (piece.mixture, *stems)) <= margin:
        return True
    return all(
        fits(quantise([stem[:, part] for stem in stems], piece.mixture[:, part], n_bits), n_bits)
        for part in parts_of(piece.mixture.shape[1])
    )
