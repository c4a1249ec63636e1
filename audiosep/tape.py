"""What a recording is to those who read it part by part."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from audiosep.types import Audio

__all__ = ["Tape"]


class Tape(Protocol):
    """A recording that is read part by part: an :class:`Audio`, or a file of any length."""

    @property
    def sr(self) -> int:
        """Sample rate in Hz."""
        ...

    @property
    def n_channels(self) -> int:
        """Number of channels."""
        ...

    @property
    def n_samples(self) -> int:
        """Length in samples."""
        ...

    @property
    def peak(self) -> float:
        """Largest absolute sample."""
        ...

    def part(self, first: int, last: int) -> Audio:
        """Samples from `first` up to, but without, `last`."""
        ...
