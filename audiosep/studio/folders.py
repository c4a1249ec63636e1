"""Where the studio may put results."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from audiosep.errors import OutputError, RefusedError
from audiosep.io.naming import display

__all__ = ["Places"]

_LONGEST = 1000


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where results may be put: below the folders that the studio was given, and nowhere else.

    Parameters
    ----------
    roots : sequence of Path
        These folders; what is typed is taken from the first.
    closed : sequence of Path
        Folders that stay as they are.
    """

    roots: Sequence[Path]
    closed: Sequence[Path] = ()

    def place(self, text: object) -> Path:
        """Place that was typed.

        Raises
        ------
        RefusedError
            If it is outside, or what may not be changed.
        OutputError
            If it cannot be the name of a file or folder.
        """
        if not isinstance(text, str) or not text.strip():
            raise OutputError("No folder is named; type where it should go, such as separated/mix.")
        if len(text) > _LONGEST or not text.isprintable():
            raise OutputError(
                f"{display(str(text)[:60])!r} cannot be a place: it is too long, or has characters "
                "that cannot be seen; type another."
            )
        place = self.roots[0] / text.strip()
        real = Path(os.path.realpath(place))
        roots = [Path(os.path.realpath(root)) for root in self.roots]
        if not any(real.is_relative_to(root) and real != root for root in roots):
            raise RefusedError(
                f"{display(text)} is outside of what this studio may write to; type a place below "
                f"{' or '.join(display(root) for root in dict.fromkeys(self.roots))}."
            )
        for kept in self.closed:
            closed = Path(os.path.realpath(kept))
            if real.is_relative_to(closed) or closed.is_relative_to(real):
                raise RefusedError(
                    f"{display(text)} is what was opened, or holds it, and stays as it is; type "
                    "another place."
                )
        return place

    def free(self, name: str, ending: str = "") -> str:
        """A place of that name which is not there yet, as it could be typed."""
        names = (f"{name}{'' if n == 1 else f'-{n}'}{ending}" for n in count(1))
        return next(one for one in names if not os.path.lexists(self.roots[0] / one))
