"""Stems out: beside their place, re-opened and checked, then moved into it."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from audiosep.errors import OutputError, ParameterError
from audiosep.io import formats
from audiosep.io.formats import Bits, Format
from audiosep.io.naming import display
from audiosep.io.placing import beside, sync_folder, why
from audiosep.io.stem_writer import Level, Piece, StemFiles, all_fit, parts_of
from audiosep.types import Audio, Tape

__all__ = [
    "Level",
    "Piece",
    "WrittenStems",
    "differences_of",
    "write",
    "write_pieces",
    "write_stems",
]

DEEPEST_NULL_DB = -300.0
"""What is told of a sum without any error."""

LARGEST_FLOAT_DIFFERENCE = 1e-6
"""Of the sum of stems in floating point from the recording, in shares of full scale."""


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
    levels : dict of str to Level
        Of each stem, before rounding.
    warnings : tuple of str
        What was written differently from what was asked for, in sentences.
    """

    files: dict[str, str]
    bits: Bits
    null_test_db: float
    levels: dict[str, Level]
    warnings: tuple[str, ...]


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
    whole = Piece(stems={"audio": audio.samples}, mixture=audio.samples)
    if depth != "float" and not all_fit(whole, depth):
        raise ParameterError(
            f"samples reach {audio.peak:g}, beyond the {depth}-bit range; use bits='float' or a "
            "lower level."
        )
    with beside(place) as folder:
        written = write_pieces(folder, [whole], audio, bits=depth, format_=format_)
        # In one step from the temporary name, which is valid where the final one may not be.
        try:
            os.replace(folder / written.files["audio"], place)
            sync_folder(place.parent)
        except (OSError, ValueError) as error:
            raise OutputError(f"cannot write {display(place)}: {why(error)}.") from None


def write_stems(
    folder: Path, stems: Mapping[str, Audio], mixture: Audio, *, bits: Bits, format_: Format
) -> WrittenStems:
    """Write stems that are in memory; see :func:`write_pieces`."""
    piece = Piece(
        stems={name: stem.samples for name, stem in stems.items()}, mixture=mixture.samples
    )
    return write_pieces(folder, [piece], mixture, bits=bits, format_=format_)


def write_pieces(
    folder: Path, pieces: Iterable[Piece], mixture: Tape, *, bits: Bits, format_: Format
) -> WrittenStems:
    """Write stems that sum to the mixture, read them again, and measure the difference.

    In integer formats the samples add up exactly to the mixture rounded to that depth, which is
    the mixture itself where it was recorded with that depth. From the first piece on with a
    sample that would leave the integer range, and with everything before it, all stems are 32-bit
    float WAV.

    Parameters
    ----------
    folder : Path
        An existing, temporary folder.
    pieces : iterable of Piece
        Consecutive, from the first sample of the mixture to its last.
    mixture : Tape
        What they sum to; read again for the comparison.
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
    with StemFiles(folder, mixture, bits, format_) as writer:
        for piece in pieces:
            writer.add(piece)
            del piece  # or it would be there while the next one is waited for
    warnings = []
    if writer.n_rounded is not None:
        warnings.append(
            f"a stem is beyond the {bits}-bit range, so all stems of this recording are 32-bit "
            "float WAV."
        )
    if writer.container == "RF64":
        warnings.append("the stems are larger than 4 GiB, so they are RF64 WAV files.")
    files = writer.files
    steps = None if bits == "float" else 2.0 ** (bits - 1)
    n_rounded = mixture.n_samples if writer.n_rounded is None else writer.n_rounded
    from_mixture, from_rounded = differences_of(folder, files, mixture, steps, n_rounded)
    full_scale = max(1.0, mixture.peak)
    exact = writer.bits != "float"
    if from_rounded > (0.0 if exact else full_scale * LARGEST_FLOAT_DIFFERENCE):
        raise OutputError(
            f"the written stems differ from the mixture by {from_rounded:g}; is the disk sound?"
        )
    # Not with 24 bits: what is finer than that is the rounding of a decoder or of a computation.
    if writer.bits == 16 and from_mixture > 0.0:
        warnings.append(
            "the recording has finer steps than 16 bits, so the stems add up to it rounded to 16 "
            "bits."
        )
    depth = max(from_mixture / full_scale, 10 ** (DEEPEST_NULL_DB / 20))
    return WrittenStems(
        files=files,
        bits=writer.bits,
        null_test_db=round(20 * math.log10(depth), 1),
        levels=writer.levels(),
        warnings=tuple(warnings),
    )


def differences_of(
    folder: Path, files: dict[str, str], mixture: Tape, steps: float | None, n_rounded: int
) -> tuple[float, float]:
    """How far stems, read again, are from what they should add up to.

    Parameters
    ----------
    folder : Path
        Where they are.
    files : dict of str to str
        File name of each stem.
    mixture : Tape
        What they were made of.
    steps : float or None
        Steps of the depth that it was rounded to up to full scale; None for floats.
    n_rounded : int
        Samples up to which it was rounded.

    Returns
    -------
    from_mixture, from_rounded : float
        Largest difference of the sum from the mixture itself, and from it where it was rounded.

    Raises
    ------
    OutputError
        If a file cannot be read, or has not the length, rate and channels of the mixture.
    """
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
            for part in parts_of(mixture.n_samples):
                n = part.stop - part.start
                exact = mixture.part(part.start, part.stop).samples.astype(np.float64)
                rounded = exact
                if steps is not None and part.start < n_rounded:
                    rounded = exact.copy()
                    here = rounded[:, : n_rounded - part.start]
                    here[:] = np.rint(here * steps) / steps
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
        raise OutputError(f"a written stem cannot be read again ({why(error)}).") from None
    return from_mixture, from_rounded
