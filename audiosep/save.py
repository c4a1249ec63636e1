"""A separation into a folder: stems first, the record last."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from audiosep.chunks import CHUNK_S, chunks_of, spans_of
from audiosep.errors import DictionaryError, OutputError, RefusedError, UsageError
from audiosep.factorization_files import (
    FACTORIZATION_NAME,
    StoredFactorization,
    save_factorization,
)
from audiosep.io.evidence import (
    write_drum_midi,
    write_melody,
    write_midi,
    write_onsets,
)
from audiosep.io.formats import Format, bits_from, check_format
from audiosep.io.naming import display, path_told
from audiosep.io.placing import beside, move_run
from audiosep.io.stem_writer import sync_file
from audiosep.io.tapes import FileTape
from audiosep.io.writing import Level, Piece, WrittenStems, write, write_pieces
from audiosep.keeping import kept
from audiosep.notes import notes_of
from audiosep.records import (
    RECORD_NAME,
    digest_of,
    read_record,
    recorded_files,
    write_record,
)
from audiosep.transform import n_frames_of
from audiosep.types import Audio, Factorization, Grouping, Melody, Onsets, Tape

__all__ = [
    "Facts",
    "Saved",
    "output_wanted",
    "save_pieces",
    "save_stems",
]

GROUPED_METHOD = "components"

_NO_ONSETS = "one-shots are cut at the onsets of drums; use the preset drums."


class Facts(Protocol):
    """What is known of a recording when all its stems have been given out."""

    @property
    def factorization(self) -> Factorization | None:
        """As of a :class:`audiosep.separation.Separation`, and so are the others."""
        ...

    @property
    def grouping(self) -> Grouping | None: ...  # noqa: D102
    @property
    def melody(self) -> Melody | None: ...  # noqa: D102
    @property
    def onsets(self) -> Onsets | None: ...  # noqa: D102
    @property
    def record(self) -> dict[str, Any]: ...  # noqa: D102


class _Separated(Facts, Protocol):
    @property
    def stems(self) -> Mapping[str, Audio]: ...
    @property
    def mixture(self) -> Audio: ...


@dataclass(frozen=True, kw_only=True)
class Saved:
    """Where the stems and what came with them are, and the record as written."""

    paths: dict[str, Path]
    extras: dict[str, Path]
    record: dict[str, Any]


def _decibels(level: Level) -> dict[str, float | None]:
    """Peak and root mean square in dB of full scale; None for silence."""
    return {
        "peak_db": None if level.peak == 0 else round(20 * math.log10(level.peak), 2),
        "rms_db": None if level.rms == 0 else round(20 * math.log10(level.rms), 2),
    }


def save_stems(
    separation: _Separated,
    place: Path,
    format_name: str = "wav",
    bits: int | str | None = None,
    *,
    one_shots: int = 0,
) -> Saved:
    """Write the stems and the record of a separation into the folder `place`.

    A melody comes with them as ``melody.csv`` and ``melody.mid``, onsets as ``onsets.csv`` and
    ``onsets.mid``, and a factorization whose components are grouped into the stems as
    ``factorization.safetensors``.

    Parameters
    ----------
    separation : Separation
        What to write.
    place : Path
        Folder; made where it does not exist. The files of an earlier run in it are replaced as a
        whole, and so is what has the name of a new stem; all other files stay.
    format_name : {"wav", "flac"}
        Container.
    bits : {16, 24, "float"}, optional
        By default the depth of the recording.
    one_shots : int >= 0
        How many single strokes of each piece to write as ``one-shot-<piece>-<number>``, where
        there are onsets.

    Returns
    -------
    Saved

    Raises
    ------
    OutputError
        If a file cannot be written, does not read back as it was written, or cannot be moved to
        its place. Then, and after an interruption, nothing is left but what was there before.
    ParameterError
        If the format or the depth does not exist, or the format cannot hold that depth, the
        channels or the rate.
    UsageError
        If one-shots are wanted of a separation without onsets.
    """
    if one_shots and separation.onsets is None:
        raise UsageError(_NO_ONSETS)
    return save_pieces(
        _pieces(separation),
        separation.mixture,
        lambda: separation,
        place,
        format_name,
        bits,
        own_bits=separation.record["input"]["bits"],
        one_shots=one_shots,
    )


def _pieces(separation: _Separated) -> Iterator[Piece]:
    """Stems in the pieces that they were made in, so that the same is written in the same way."""
    mixture, analysis = separation.mixture, separation.record.get("analysis", {})
    chunks = chunks_of(
        mixture.n_samples,
        mixture.sr,
        analysis.get("hop_length", 1),
        analysis.get("chunk_s", CHUNK_S),
    )
    for first, last in spans_of(chunks):
        yield Piece(
            stems={name: stem.samples[:, first:last] for name, stem in separation.stems.items()},
            mixture=mixture.samples[:, first:last],
        )


def save_pieces(
    pieces: Iterable[Piece],
    mixture: Tape,
    facts_of: Callable[[], Facts],
    place: Path,
    format_name: str = "wav",
    bits: int | str | None = None,
    *,
    own_bits: int | str,
    one_shots: int = 0,
    fresh: bool = False,
    keep: Sequence[str] = (),
) -> Saved:
    """Write stems as they come, and then what else there is, into the folder `place`.

    Parameters
    ----------
    pieces : iterable of Piece
        Of all stems, consecutive.
    mixture : Tape
        What they sum to.
    facts_of : callable
        Called when all pieces have been written; what it raises leaves nothing behind.
    place, format_name, bits, one_shots, fresh
        As for :func:`save_stems`.
    own_bits : {16, 24, "float"}
        Depth of the recording.
    keep : sequence of str
        Stems to write; all others become one, see :func:`audiosep.keeping.kept`.

    Returns
    -------
    Saved

    Raises
    ------
    RefusedError, OutputError, ParameterError, UsageError
        As for :func:`save_stems`.
    """
    wanted = None if bits is None else bits_from(bits)
    format_ = check_format(format_name, wanted)
    depth = bits_from(own_bits) if wanted is None else wanted
    warnings: list[str] = []
    if format_ == "flac" and depth == "float":
        depth = 24
        warnings.append("flac holds no float samples, so the stems have 24 bits.")
    target = _target(place)
    clock = _Stopwatch()
    with beside(target) as folder:
        pieces = clock.outside(kept(pieces, keep))
        written = write_pieces(folder, pieces, mixture, bits=depth, format_=format_)
        facts = facts_of()
        extras = [
            *_write_evidence(folder, facts),
            *_write_one_shots(folder, facts, written, one_shots, format_),
            *_write_factorization(folder, facts, tuple(written.files), mixture, warnings),
        ]
        _make_last(folder, extras)
        record = facts.record | {
            "null_test_db": written.null_test_db,
            "bits": written.bits,
            "output": output_wanted(format_name, bits, one_shots, keep),
            "warnings": [*facts.record["warnings"], *warnings, *written.warnings],
            "stems": {
                name: {
                    "file": file,
                    "sha256": digest_of(folder / file),
                    **_decibels(written.levels[name]),
                }
                for name, file in written.files.items()
            },
            "files": {file: {"sha256": digest_of(folder / file)} for file in extras},
            "timings_s": {**facts.record["timings_s"], "write": clock.seconds()},
        }
        write_record(folder, record)
        # The record comes last and goes first: where it is, everything is.
        names = [*written.files.values(), *extras, RECORD_NAME]
        old = [RECORD_NAME, *recorded_files(read_record(target))]
        _check_recording(record["input"].get("path"), target, {*names, *old})
        move_run(folder, target, names, old, fresh=fresh)
    return Saved(
        paths={name: place / file for name, file in written.files.items()},
        extras={file: place / file for file in extras},
        record=record,
    )


def _check_recording(path: str | None, target: Path, names: Iterable[str]) -> None:
    """Refuse to replace a recording by its own stems."""
    source = None if path is None else os.path.realpath(path_told(path))
    for name in names:
        if source is not None and os.path.realpath(target / name) == source:
            raise RefusedError(
                f"{display(target / name)} is the recording itself, which its stems would replace; "
                "choose another folder."
            )


def _make_last(folder: Path, files: Iterable[str]) -> None:
    """Bring files to the disk, as the stems are already, before a record vouches for them."""
    for file in files:
        try:
            sync_file(folder / file)
        except OSError as error:
            raise OutputError(f"cannot write {file}: {error.strerror}; is the disk full?") from None


class _Stopwatch:
    """Seconds since it was made, without those in which pieces were waited for."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._outside = 0.0

    def outside(self, pieces: Iterable[Piece]) -> Iterator[Piece]:
        """Give out what is waited for."""
        coming = iter(pieces)
        while True:
            began = time.perf_counter()
            piece = next(coming, None)
            self._outside += time.perf_counter() - began
            if piece is None:
                return
            yield piece
            del piece  # or it would be there while the next one is waited for

    def seconds(self) -> float:
        """Return the seconds so far."""
        return round(time.perf_counter() - self._began - self._outside, 3)


def output_wanted(
    format_name: str, bits: int | str | None, one_shots: int, keep: Sequence[str] = ()
) -> dict[str, Any]:
    """What was asked for, as the record keeps it: a run is done again where it differs."""
    wanted: dict[str, Any] = {"format": format_name, "bits": None if bits is None else str(bits)}
    wanted |= {"one_shots": one_shots} if one_shots else {}
    return wanted | ({"keep": ",".join(keep)} if keep else {})


def _write_evidence(folder: Path, separation: Facts) -> list[str]:
    """Write the melody and the onsets; return the names of the files."""
    files: list[str] = []
    if (melody := separation.melody) is not None:
        write_melody(folder / "melody.csv", melody)
        write_midi(
            folder / "melody.mid",
            [(note.start_s, note.end_s, note.pitch, note.strength) for note in notes_of(melody)],
        )
        files += ["melody.csv", "melody.mid"]
    if (onsets := separation.onsets) is not None:
        write_onsets(folder / "onsets.csv", onsets)
        write_drum_midi(folder / "onsets.mid", onsets)
        files += ["onsets.csv", "onsets.mid"]
    return files


def _write_one_shots(
    folder: Path, facts: Facts, written: WrittenStems, count: int, format_: Format
) -> list[str]:
    """Write single strokes in the format of the stems; return the names of the files."""
    if not count:
        return []
    if facts.onsets is None:
        raise UsageError(_NO_ONSETS)
    from audiosep.one_shots import cut_one_shots

    tapes = {
        name: FileTape.of_stem(folder / file, written.levels[name].peak)
        for name, file in written.files.items()
    }
    container: Format = "wav" if written.bits == "float" else format_
    files = []
    for name, audio in cut_one_shots(tapes, facts.onsets, count).items():
        files.append(f"one-shot-{name}.{container}")
        write(folder / files[-1], audio, bits=written.bits, format=container)
    for tape in tapes.values():
        tape.close()
    return files


def _write_factorization(
    folder: Path, facts: Facts, names: tuple[str, ...], mixture: Tape, warnings: list[str]
) -> list[str]:
    """Write what regrouping needs, where the stems are grouped components; return the file's name.

    Only stems that are masked by nothing but these components can be made of them again: other
    methods add gains of channels, backgrounds or fewer bands.
    """
    if facts.record["method"] != GROUPED_METHOD:
        return []
    factorization, grouping = facts.factorization, facts.grouping
    if factorization is None or grouping is None or grouping.names != names:
        return []
    kept = {field.name for field in fields(StoredFactorization)}
    analysis = {key: value for key, value in facts.record["analysis"].items() if key in kept}
    n_frames = n_frames_of(mixture.n_samples, analysis["hop_length"])
    shape = (1 + analysis["n_fft"] // 2, n_frames)
    if (len(factorization.templates), factorization.activations.shape[1]) != shape:
        return []
    try:
        stored = StoredFactorization(
            templates=np.asarray(factorization.templates, dtype=np.float32),
            activations=np.asarray(factorization.activations, dtype=np.float32),
            grouping=grouping,
            sr=mixture.sr,
            n_samples=mixture.n_samples,
            n_channels=mixture.n_channels,
            **analysis,
        )
        save_factorization(stored, folder / FACTORIZATION_NAME)
    except DictionaryError as error:  # the stems are worth more than what can be done with them
        warnings.append(f"these stems cannot be regrouped: {error}")
        return []
    return [FACTORIZATION_NAME]


def _target(place: Path) -> Path:
    """What a link points to: moves must stay on one file system."""
    try:
        return Path(os.path.realpath(place))
    except ValueError:  # a name that cannot be is reported when it is made
        return place
