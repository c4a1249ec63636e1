"""How a recording is to be read where it is damaged, holds several tracks, or never ends."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from audiosep.errors import ParameterError
from audiosep.types import whole_number

__all__ = ["AS_IT_IS", "Damaged", "ReadOptions"]

Damaged = Literal["warn", "refuse", "salvage"]


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """How to read a recording.

    Parameters
    ----------
    damaged : {"warn", "refuse", "salvage"}
        What to do with a recording that is cut or corrupted. ``"warn"`` takes one that can be
        decoded to its end and says what is missing; ``"refuse"`` takes none of them;
        ``"salvage"`` also takes what can be decoded on both sides of a damage, with silence in
        place of what cannot, so that nothing moves in time.
    fix_nonfinite : {"zero"}, optional
        Take samples that are no numbers (NaN, infinity) as silence; otherwise they are refused.
    stream : int >= 1, optional
        Which of several audio tracks in a file, counted from 1.
    max_duration : float > 0, optional
        Refuse what is longer than so many seconds, whatever its header says.

    Raises
    ------
    ParameterError
        If one of them cannot be.
    """

    damaged: Damaged = "warn"
    fix_nonfinite: Literal["zero"] | None = None
    stream: int | None = None
    max_duration: float | None = None

    def __post_init__(self) -> None:
        if self.damaged not in get_args(Damaged):
            known = ", ".join(get_args(Damaged))
            raise ParameterError(f"damaged={self.damaged!r} is unknown; use {known}.")
        if self.fix_nonfinite not in (None, "zero"):
            raise ParameterError(f"fix_nonfinite={self.fix_nonfinite!r} is unknown; use zero.")
        if self.stream is not None:
            object.__setattr__(self, "stream", whole_number("stream", self.stream, 1))
        if self.max_duration is not None and not 0.0 < self.max_duration < math.inf:
            raise ParameterError(
                f"max_duration={self.max_duration!r} is out of range; use more than 0 seconds."
            )

    def recorded(self) -> dict[str, Any]:
        """What must be known to read the same samples again, in JSON types; empty by default."""
        kept: dict[str, Any] = {}
        if self.damaged == "salvage":
            kept["damaged"] = "salvage"
        if self.fix_nonfinite is not None:
            kept["fix_nonfinite"] = self.fix_nonfinite
        if self.stream is not None:
            kept["stream"] = self.stream
        return kept

    @classmethod
    def from_record(cls, kept: Mapping[str, Any]) -> ReadOptions:
        """Return the options that :meth:`recorded` has kept.

        Raises
        ------
        ParameterError
            If it is nothing that was kept.
        """
        unknown = sorted(set(kept) - {"damaged", "fix_nonfinite", "stream"})
        if unknown:
            raise ParameterError(f"reading has no option {unknown[0]!r}.")
        return cls(**kept)


AS_IT_IS = ReadOptions()
"""Warn of damage, refuse what is no number, take a single track, of any length."""
