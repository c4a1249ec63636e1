"""A separation into a folder: stems first, the record last."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from audiosep.errors import DictionaryError, OutputError, UsageError
from audiosep.factorization_files import (
    FACTORIZATION_NAME,
    StoredFactorization,
    save_factorization,
)
from audiosep.io.evidence import (
    melody_csv,
    onsets_csv,
    write_drum_midi,
    write_midi,
    write_text,
)
from audiosep.io.formats import Bits, Format, bits_from, check_format
from audiosep.io.reading import sha256_of
from audiosep.io.writing import beside, move_run, write, write_stems
from audiosep.notes import notes_of
from audiosep.transform import n_frames_of
from audiosep.types import Audio, Factorization, Grouping, Melody, Onsets

__all__ = [
    "RECORD_NAME",
    "Saved",
    "digest_of",
    "output_wanted",
    "read_record",
    "save_stems",
    "write_record",
]

RECORD_NAME = "audiosep.json"
GROUPED_METHOD = "components"


class _Separated(Protocol):
    @property
    def stems(self) -> Mapping[str, Audio]: ...
    @property
    def mixture(self) -> Audio: ...
    @property
    def factorization(self) -> Factorization | None: ...
    @property
    def grouping(self) -> Grouping | None: ...
    @property
    def melody(self) -> Melody | None: ...
    @property
    def onsets(self) -> Onsets | None: ...
    @property
    def record(self) -> dict[str, Any]: ...


@dataclass(frozen=True, kw_only=True)
class Saved:
    """Where the stems and what came with them are, and the record as written."""

    paths: dict[str, Path]
    extras: dict[str, Path]
    record: dict[str, Any]


def _level(audio: Audio) -> dict[str, float | None]:
    """Peak and root mean square in dB of full scale; None for silence."""
    rms = math.sqrt(float(np.mean(np.square(audio.samples, dtype=np.float64))))
    return {
        "peak_db": None if audio.peak == 0 else round(20 * math.log10(audio.peak), 2),
        "rms_db": None if rms == 0 else round(20 * math.log10(rms), 2),
    }


def save_stems(
    separation: _Separated,
    place: Path,
    format_name: str = "wav",
    bits: int | str | None = None,
    *,
    one_shots: int = 0,
    fresh: bool = False,
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
    fresh : bool
        Refuse to replace anything: `place` was free when the work began.

    Returns
    -------
    Saved

    Raises
    ------
    RefusedError
        If `fresh` and something has appeared at `place` meanwhile.
    OutputError
        If a file cannot be written, does not read back as it was written, or cannot be moved to
        its place. Then, and after an interruption, nothing is left but what was there before.
    ParameterError
        If the format or the depth does not exist, or the format cannot hold that depth, the
        channels or the rate.
    UsageError
        If one-shots are wanted of a separation without onsets.
    """
    began = time.perf_counter()
    record = dict(separation.record)
    wanted = None if bits is None else bits_from(bits)
    format_ = check_format(format_name, wanted)
    depth = bits_from(record["input"]["bits"]) if wanted is None else wanted
    warnings: list[str] = []
    if one_shots and separation.onsets is None:
        raise UsageError("one-shots are cut at the onsets of drums; use the preset drums.")
    if format_ == "flac" and depth == "float":
        depth = 24
        warnings.append("flac holds no float samples, so the stems have 24 bits.")
    target = _target(place)
    with beside(target) as folder:
        written = write_stems(
            folder, separation.stems, separation.mixture, bits=depth, format_=format_
        )
        extras = [
            *_write_evidence(folder, separation),
            *_write_one_shots(folder, separation, one_shots, format_, written.bits),
            *_write_factorization(folder, separation, warnings),
        ]
        record |= {
            "null_test_db": written.null_test_db,
            "bits": written.bits,
            "output": output_wanted(format_name, bits, one_shots),
            "warnings": [*record["warnings"], *warnings, *written.warnings],
            "stems": {
                name: {
                    "file": file,
                    "sha256": digest_of(folder / file),
                    **_level(separation.stems[name]),
                }
                for name, file in written.files.items()
            },
            "files": {file: {"sha256": digest_of(folder / file)} for file in extras},
            "timings_s": {
                **record["timings_s"],
                "write": round(time.perf_counter() - began, 3),
            },
        }
        write_record(folder, record)
        # The record comes last and goes first: where it is, everything is.
        move_run(
            folder,
            target,
            [*written.files.values(), *extras, RECORD_NAME],
            [RECORD_NAME, *_recorded_files(read_record(target))],
            fresh=fresh,
        )
    return Saved(
        paths={name: place / file for name, file in written.files.items()},
        extras={file: place / file for file in extras},
        record=record,
    )


def output_wanted(format_name: str, bits: int | str | None, one_shots: int) -> dict[str, Any]:
    """What was asked for, as the record keeps it: a run is done again where it differs."""
    wanted = {"format": format_name, "bits": None if bits is None else str(bits)}
    return wanted | ({"one_shots": one_shots} if one_shots else {})


def _write_evidence(folder: Path, separation: _Separated) -> list[str]:
    """Write the melody and the onsets; return the names of the files."""
    files: list[str] = []
    if (melody := separation.melody) is not None:
        write_text(folder / "melody.csv", melody_csv(melody))
        write_midi(
            folder / "melody.mid",
            [(note.start_s, note.end_s, note.pitch, note.strength) for note in notes_of(melody)],
        )
        files += ["melody.csv", "melody.mid"]
    if (onsets := separation.onsets) is not None:
        write_text(folder / "onsets.csv", onsets_csv(onsets))
        write_drum_midi(folder / "onsets.mid", onsets)
        files += ["onsets.csv", "onsets.mid"]
    return files


def _write_one_shots(
    folder: Path, separation: _Separated, count: int, format_: Format, bits: Bits
) -> list[str]:
    """Write single strokes in the format of the stems; return the names of the files."""
    if not count or separation.onsets is None:
        return []
    from audiosep.one_shots import cut_one_shots

    cuts = cut_one_shots(separation.stems, separation.onsets, count)
    container: Format = "wav" if bits == "float" else format_
    files = []
    for name, audio in cuts.items():
        files.append(f"one-shot-{name}.{container}")
        write(folder / files[-1], audio, bits=bits, format=container)
    return files


def _write_factorization(folder: Path, separation: _Separated, warnings: list[str]) -> list[str]:
    """Write what regrouping needs, where the stems are grouped components; return the file's name.

    Only stems that are masked by nothing but these components can be made of them again: other
    methods add gains of channels, backgrounds or fewer bands.
    """
    if separation.record["method"] != GROUPED_METHOD:
        return []
    factorization, grouping = separation.factorization, separation.grouping
    if factorization is None or grouping is None or grouping.names != tuple(separation.stems):
        return []
    analysis, mixture = separation.record["analysis"], separation.mixture
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
    except DictionaryError as error:  # the stems are worth more than what can be done with them
        warnings.append(f"these stems cannot be regrouped: {error}")
        return []
    save_factorization(stored, folder / FACTORIZATION_NAME)
    return [FACTORIZATION_NAME]


def _target(place: Path) -> Path:
    """What a link points to: moves must stay on one file system."""
    try:
        return Path(os.path.realpath(place))
    except ValueError:  # a name that cannot be is reported when it is made
        return place


def digest_of(path: Path) -> str:
    """SHA-256 of a file that was written.

    Raises
    ------
    OutputError
        If it cannot be read again.
    """
    try:
        return sha256_of(path)
    except OSError as error:
        raise OutputError(f"cannot read {path.name} again: {error.strerror}.") from None


def write_record(folder: Path, record: dict[str, Any]) -> None:
    """Write the record of a folder: the last of its files, made to last.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    text = json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False)
    try:
        with (folder / RECORD_NAME).open("w", encoding="utf-8") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise OutputError(f"cannot write {RECORD_NAME}: {error.strerror}.") from None


def _recorded_files(record: dict[str, Any] | None) -> list[str]:
    """File names in a record that anyone may have written: nothing outside its folder."""
    stems, files = (record or {}).get("stems"), (record or {}).get("files")
    entries = stems.values() if isinstance(stems, dict) else ()
    names = [entry.get("file") for entry in entries if isinstance(entry, dict)]
    names += list(files) if isinstance(files, dict) else []
    return [n for n in names if isinstance(n, str) and n == Path(n).name and n not in ("", "..")]


def read_record(place: Path) -> dict[str, Any] | None:
    """Read the record of a finished folder; None where there is no valid one."""
    try:
        record = json.loads((place / RECORD_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None
