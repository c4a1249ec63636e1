"""Stems out: beside their place, re-opened and checked, then moved into it."""

from __future__ import annotations

import math
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from audiosep.errors import OutputError, ParameterError, RefusedError
from audiosep.io import formats
from audiosep.io.exact import fits, quantise
from audiosep.io.formats import Bits, Format
from audiosep.io.naming import display
from audiosep.types import Audio

__all__ = ["WrittenStems", "beside", "check_writable", "move_run", "write", "write_stems"]

_BLOCK_SAMPLES = 1 << 17
_SFC_SET_ADD_PEAK_CHUNK = 0x1050  # from sndfile.h
_DEEPEST_NULL_DB = -300.0
_LARGEST_FLOAT_DIFFERENCE = 1e-6  # -120 dB


@dataclass(frozen=True, kw_only=True)
class WrittenStems:
    """What was written, and how exactly it adds up.

    Parameters
    ----------
    files : dict of str to str
        File name of each stem.
    bits : {16, 24, "float"}
        Bit depth used.
    null_test_db : float
        Largest difference of the re-read stems' sum from the mixture, in dB of full scale (or of
        the mixture's peak, where that is beyond full scale); -300 where no sample differs.
    warnings : tuple of str
        What was written differently from what was asked for, in sentences.
    """

    files: dict[str, str]
    bits: Bits
    null_test_db: float
    warnings: tuple[str, ...]


def check_writable(folder: Path) -> None:
    """Make `folder` and try it, before any work is done.

    Raises
    ------
    OutputError
        If nothing can be written there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (OSError, ValueError) as error:
        raise OutputError(
            f"cannot write to {display(folder)}: {_why(error)}; choose another place with --out."
        ) from None


def _why(error: Exception) -> str:
    """Reason of a failure in a few words."""
    if isinstance(error, FileExistsError | NotADirectoryError):
        return "there is a file where a folder should be"
    if isinstance(error, IsADirectoryError):
        return "there is a folder where a file should be"
    text = getattr(error, "strerror", None) or getattr(error, "error_string", None) or error
    return str(text).removeprefix("Error : ").rstrip(".")


@contextmanager
def beside(place: Path) -> Iterator[Path]:
    """Give a temporary folder on the file system of `place`; it is removed afterwards.

    Raises
    ------
    OutputError
        If it cannot be made.
    """
    with ExitStack() as stack:
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            folder = Path(tempfile.mkdtemp(prefix=".audiosep-", dir=place.parent))
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            _hold(folder, stack)
            # What mkdtemp makes is closed to others; a folder inside has the modes of any new
            # folder, and may become the place itself.
            new = folder / "new"
            new.mkdir()
        except (OSError, ValueError) as error:
            raise OutputError(
                f"cannot write to {display(place.parent)}: {_why(error)}; choose another place."
            ) from None
        yield new


def _hold(folder: Path, stack: ExitStack) -> None:
    """Lock a folder: what nobody holds was left by a process that died, and may be removed."""
    try:
        import fcntl
    except ImportError:  # Windows
        return
    handle = os.open(folder, os.O_RDONLY)
    stack.callback(os.close, handle)
    with suppress(OSError):  # a file system without locks
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def move_run(
    new: Path, place: Path, names: list[str], old: list[str], *, fresh: bool = False
) -> None:
    """Move a run into its place as a whole, or leave the place as it was.

    Parameters
    ----------
    new : Path
        Folder given by :func:`beside`, with the files of the run and nothing else.
    place : Path
        Where they go. If it does not exist, `new` becomes it in one step.
    names : list of str
        Files in `new`, in the order to move them: what vouches for the others comes last. They
        replace files of the same name.
    old : list of str
        Files in `place` to remove, in order: what vouches for the others comes first. Those that
        do not exist, and folders, are passed over.

    fresh : bool
        Nothing may be replaced: `place` was free when the work began.

    Raises
    ------
    OutputError
        If something cannot be moved. Then, and after an interruption, all is where it was.
    RefusedError
        If `fresh` and something has appeared at `place` meanwhile.
    """
    try:
        _sync_folder(new)
        if fresh and place.exists():
            raise RefusedError(
                f"{display(place)} has appeared while the stems were made, by another run "
                "perhaps; run the same command again."
            )
        if place.exists():
            _exchange(new, place, names, old)
            _sync_folder(place)
        else:
            os.replace(new, place)
            _sync_folder(place.parent)
    except (OSError, ValueError) as error:
        raise OutputError(f"cannot write to {display(place)}: {_why(error)}.") from None


def _exchange(new: Path, place: Path, names: list[str], old: list[str]) -> None:
    # The old files stay in the temporary folder until the new ones are all in place.
    aside = new.with_name("old")
    aside.mkdir()
    moves: list[tuple[Path, Path]] = []

    def move(source: Path, target: Path) -> None:
        moves.append((source, target))  # first, for an interruption may come right after the move
        os.replace(source, target)

    try:
        for name in old:
            if _is_file(place / name):
                move(place / name, aside / name)
        for name in names:
            if _is_file(place / name):
                move(place / name, aside / name)
            move(new / name, place / name)
    except BaseException:
        _undo(moves)
        raise


def _is_file(path: Path) -> bool:
    """Whether something is there that is no folder; a link is not followed."""
    try:
        return not stat.S_ISDIR(path.lstat().st_mode)
    except (OSError, ValueError):
        return False


def _undo(moves: list[tuple[Path, Path]]) -> None:
    for source, target in reversed(moves):
        # One that fails, as the move that never happened does, must not keep the others away.
        with suppress(OSError):
            os.replace(target, source)


def _create(path: Path, container: str, bits: Bits, sr: int, n_channels: int) -> Any:
    import soundfile

    try:
        file = soundfile.SoundFile(
            os.fsencode(path), "w", sr, n_channels, formats.subtype_for(bits), format=container
        )
    except (soundfile.LibsndfileError, OSError) as error:
        raise OutputError(f"cannot write {display(path.name)}: {_why(error)}.") from None
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


def _sync(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Make moves last through a loss of power, on systems that can."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write(
    path: str | os.PathLike[str],
    audio: Audio,
    *,
    bits: int | str | None = None,
    format: str | None = None,  # noqa: A002
) -> None:
    """Write one recording, beside its place first and then moved into it.

    Parameters
    ----------
    path : path-like
        Where to.
    audio : Audio
        What.
    bits : {16, 24, "float"}, optional
        Bit depth; integers are rounded. By default float, and 24 for FLAC.
    format : {"wav", "flac"}, optional
        By default FLAC for names that end in ``.flac``, WAV for all others; RF64 is used by
        itself beyond 4 GiB.

    Raises
    ------
    OutputError
        If it cannot be written.
    ParameterError
        If the format cannot hold it, or a sample is beyond full scale for integers.
    """
    place = Path(os.fspath(path))
    if format is None:
        format = "flac" if place.suffix.lower() == ".flac" else "wav"  # noqa: A001
    if bits is None:
        bits = 24 if format == "flac" else "float"
    depth = formats.bits_from(bits)
    format_ = formats.check_format(format, depth)
    stems = {"audio": audio}
    if depth != "float" and not _all_fit(stems, audio, depth):
        raise ParameterError(
            f"samples reach {audio.peak:g}, beyond the {depth}-bit range; use bits='float' or a "
            "lower level."
        )
    with beside(place) as folder:
        written = write_stems(folder, stems, audio, bits=depth, format_=format_)
        # In one step from the temporary name, which is valid where the final one may not be.
        try:
            os.replace(folder / written.files["audio"], place)
        except (OSError, ValueError) as error:
            raise OutputError(f"cannot write {display(place)}: {_why(error)}.") from None
        _sync_folder(place.parent)


def write_stems(
    folder: Path, stems: Mapping[str, Audio], mixture: Audio, *, bits: Bits, format_: Format
) -> WrittenStems:
    """Write stems that sum to the mixture, read them again, and measure the difference.

    In integer formats the samples add up exactly to the mixture rounded to that depth, which is
    the mixture itself where it was recorded with that depth. If a sample of a stem would leave
    the integer range, all stems become 32-bit float WAV.

    Parameters
    ----------
    folder : Path
        An existing, temporary folder.
    stems : mapping of str to Audio
        They sum to the mixture up to float32 rounding.
    mixture : Audio
        What they sum to.
    bits, format_
        Wanted bit depth and format.

    Returns
    -------
    WrittenStems

    Raises
    ------
    OutputError
        If a file cannot be written or is not what was written when read again.
    ParameterError
        If the format cannot hold the channels or the rate, or a stem's name cannot be a file's.
    """
    warnings: list[str] = []
    if bits != "float" and not _all_fit(stems, mixture, bits):
        warnings.append(
            f"a stem is beyond the {bits}-bit range, so all stems of this recording are 32-bit "
            "float WAV."
        )
        bits, format_ = "float", "wav"
    container = formats.container_for(
        format_, bits, mixture.sr, mixture.n_channels, mixture.n_samples
    )
    if container == "RF64":
        warnings.append("the stems are larger than 4 GiB, so they are RF64 WAV files.")
    files = {name: _file_name(name, format_) for name in stems}
    _write_all(folder, stems, mixture, files, container, bits)
    from_mixture, from_rounded = _largest_differences(folder, files, mixture, bits)
    full_scale = max(1.0, mixture.peak)
    if from_rounded > (full_scale * _LARGEST_FLOAT_DIFFERENCE if bits == "float" else 0.0):
        raise OutputError(
            f"the written stems differ from the mixture by {from_rounded:g}; is the disk sound?"
        )
    # Not with 24 bits: what is finer than that is the rounding of a decoder or of a computation.
    if bits == 16 and from_mixture > 0.0:
        warnings.append(
            "the recording has finer steps than 16 bits, so the stems add up to it rounded to 16 "
            "bits."
        )
    depth = max(from_mixture / full_scale, 10 ** (_DEEPEST_NULL_DB / 20))
    return WrittenStems(
        files=files,
        bits=bits,
        null_test_db=round(20 * math.log10(depth), 1),
        warnings=tuple(warnings),
    )


def _file_name(stem: str, format_: Format) -> str:
    """Name of a stem's file, which stays in its folder whatever the stem is called."""
    file = f"{stem}.{format_}"
    if Path(file).name != file or "\0" in file:
        raise ParameterError(f"the stem {stem!r} cannot be the name of a file; rename it.")
    return file


def _parts(n_samples: int) -> Iterator[slice]:
    for first in range(0, n_samples, _BLOCK_SAMPLES):
        yield slice(first, min(first + _BLOCK_SAMPLES, n_samples))


def _all_fit(stems: Mapping[str, Audio], mixture: Audio, n_bits: int) -> bool:
    margin = 1.0 - (len(stems) + 2) / 2 ** (n_bits - 1)
    if max(mixture.peak, *(stem.peak for stem in stems.values())) <= margin:
        return True
    return all(
        fits(
            quantise(
                [stem.samples[:, part] for stem in stems.values()], mixture.samples[:, part], n_bits
            ),
            n_bits,
        )
        for part in _parts(mixture.n_samples)
    )


def _write_all(
    folder: Path,
    stems: Mapping[str, Audio],
    mixture: Audio,
    files: dict[str, str],
    container: str,
    bits: Bits,
) -> None:
    import soundfile

    try:
        with ExitStack() as stack:
            handles = [
                stack.enter_context(
                    _create(folder / files[name], container, bits, mixture.sr, mixture.n_channels)
                )
                for name in stems
            ]
            for part in _parts(mixture.n_samples):
                values: list[np.ndarray[Any, Any]] = [s.samples[:, part] for s in stems.values()]
                if bits != "float":
                    values = list(quantise(values, mixture.samples[:, part], bits))
                for handle, value in zip(handles, values, strict=True):
                    handle.write(_as_written(value, bits))
        for file in files.values():
            _sync(folder / file)
    except (soundfile.LibsndfileError, OSError) as error:
        raise OutputError(f"cannot write the stems ({_why(error)}); is the disk full?") from None


def _largest_differences(
    folder: Path, files: dict[str, str], mixture: Audio, bits: Bits
) -> tuple[float, float]:
    """How far the sum of the files, read again, is from the mixture, and from it in `bits`."""
    import soundfile

    from_mixture = from_rounded = 0.0
    try:
        with ExitStack() as stack:
            handles = [
                stack.enter_context(soundfile.SoundFile(os.fsencode(folder / file)))
                for file in files.values()
            ]
            for handle in handles:
                found = (handle.samplerate, handle.channels, handle.frames)
                if found != (mixture.sr, mixture.n_channels, mixture.n_samples):
                    raise OutputError(f"a written stem reads back as {found}; is the disk full?")
            for part in _parts(mixture.n_samples):
                n = part.stop - part.start
                exact = mixture.samples[:, part].astype(np.float64)
                steps = None if bits == "float" else 2.0 ** (bits - 1)
                rounded = exact if steps is None else np.rint(exact * steps) / steps
                total = np.zeros((n, mixture.n_channels))
                for handle in handles:
                    block = handle.read(n, dtype="float64", always_2d=True)
                    if len(block) != n:
                        raise OutputError("a written stem is shorter than it should be.")
                    total += block
                if not np.isfinite(total).all():
                    raise OutputError("a written stem holds samples that are no numbers.")
                from_mixture = max(from_mixture, float(np.abs(total.T - exact).max()))
                from_rounded = max(from_rounded, float(np.abs(total.T - rounded).max()))
    except (soundfile.LibsndfileError, OSError) as error:
        raise OutputError(f"a written stem cannot be read again ({_why(error)}).") from None
    return from_mixture, from_rounded
