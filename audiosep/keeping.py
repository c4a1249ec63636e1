"""Some of the stems as they are, and all others as one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, count

import numpy as np

from audiosep.errors import UsageError
from audiosep.io.stem_writer import Piece

__all__ = ["REST", "kept"]

REST = "rest"
"""What the sum of the others is called."""


def kept(pieces: Iterable[Piece], names: Sequence[str]) -> Iterator[Piece]:
    """Pieces with these stems, and one more that is the sum of all others.

    Parameters
    ----------
    pieces : iterable of Piece
        Of all stems.
    names : sequence of str
        Stems to keep; with none, all are.

    Yields
    ------
    Piece
        Stems in the order of `names`, and last, where there are others, ``rest``, or ``rest-2``
        where a stem of that name is kept. They sum to the same mixture.

    Raises
    ------
    UsageError
        If there is no such stem.
    """
    if not names:
        yield from pieces
        return
    rest = next(n for n in chain([REST], (f"{REST}-{k}" for k in count(2))) if n not in names)
    for piece in pieces:
        if absent := [name for name in names if name not in piece.stems]:
            raise UsageError(f"there is no stem {absent[0]!r}; there are {', '.join(piece.stems)}.")
        stems = {name: piece.stems[name] for name in names}
        others = [part for name, part in piece.stems.items() if name not in names]
        if others:
            stems[rest] = np.sum(others, axis=0, dtype=np.float32)
        yield Piece(stems=stems, mixture=piece.mixture)
