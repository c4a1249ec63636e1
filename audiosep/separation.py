"""A recording taken apart: its stems, what they come from, and the way to the disk."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiosep.save import save_stems
from audiosep.types import Audio, Factorization, Grouping, Melody, Onsets, whole_number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Separation"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Separation:
    """A recording taken apart.

    Parameters
    ----------
    stems : dict of str to Audio
        They sum to the mixture, up to float32 rounding.
    mixture : Audio
        What was taken apart.
    factorization : Factorization or None
        The factorization behind the stems, where the method has one.
    grouping : Grouping or None
        Which component belongs to which stem, where the method has it.
    record : dict
        Version, settings, seed, input, timings, losses, notes, warnings: enough to repeat the
        run. Only JSON types.
    melody : Melody or None
        Pitch of the voice, where the method follows one.
    onsets : Onsets or None
        When which drum was struck, where the method hears it.
    """

    stems: Mapping[str, Audio]
    mixture: Audio
    factorization: Factorization | None
    grouping: Grouping | None
    record: dict[str, Any]
    melody: Melody | None = None
    onsets: Onsets | None = None

    def save(
        self,
        directory: str | os.PathLike[str],
        *,
        format: str = "wav",  # noqa: A002
        bits: int | str | None = None,
        one_shots: int = 0,
    ) -> dict[str, Path]:
        """Write ``<stem>.wav`` for each stem, and ``audiosep.json`` last.

        A melody and onsets are written as CSV and MIDI files. The files are written beside their
        place, read again and checked to sum to the mixture (sample for sample in integer
        formats), then moved into it.

        Parameters
        ----------
        directory : path-like
            Made where it does not exist; files of the same names are replaced.
        format : {"wav", "flac"}
            RF64 WAV is used by itself beyond 4 GiB.
        bits : {16, 24, "float"}, optional
            By default what the recording had: 16 and 24 stay, 8-bit and lossy become 24,
            everything else 32-bit float. Float where a stem would leave the integer range.
        one_shots : int >= 0
            How many single strokes of each drum to write besides, where there are onsets.

        Returns
        -------
        dict of str to Path
            Where each stem is.

        Raises
        ------
        OutputError
            If they cannot be written.
        ParameterError
            If the format cannot hold them, or `format` or `bits` is unknown.
        UsageError
            If one-shots are wanted where there are no onsets.
        """
        n_each = whole_number("one_shots", one_shots, 0)
        return save_stems(self, Path(os.fspath(directory)), format, bits, one_shots=n_each).paths

    def plot(
        self,
        *,
        y_axis: str = "log",
        top_db: float = 80.0,
        evidence: bool = True,
        cmap: Any = "magma",
    ) -> Figure:
        """Draw the mixture and all stems on one scale of time, frequency and level.

        Parameters
        ----------
        y_axis, top_db, evidence, cmap
            See :func:`audiosep.plots.separations.plot_separation`.

        Returns
        -------
        matplotlib.figure.Figure
            Unknown to pyplot; notebooks show it.

        Raises
        ------
        ParameterError
            If a setting is out of range or unknown.
        UsageError
            If matplotlib is not installed.
        """
        from audiosep.plots.separations import plot_separation

        return plot_separation(self, y_axis=y_axis, top_db=top_db, evidence=evidence, cmap=cmap)

    def _repr_html_(self) -> str:
        """What notebooks show: a player and a spectrogram for each stem, and what was decided."""
        from audiosep.plots.players import html_of_separation

        return html_of_separation(self)

    def __repr__(self) -> str:
        """Names and lengths: all samples would fill pages, and the record holds paths."""
        return (
            f"<Separation of {self.mixture.duration:.1f} s into {', '.join(map(repr, self.stems))}>"
        )
