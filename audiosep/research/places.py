"""Where stems go that were made of other stems: a folder that is not there yet."""

from __future__ import annotations

import os
import re
from itertools import count
from pathlib import Path

from audiosep.errors import RefusedError
from audiosep.io.naming import display

__all__ = ["free_place"]


def free_place(old: Path, out: str | os.PathLike[str] | None, suffix: str) -> Path:
    """Return a folder that is not there yet.

    Parameters
    ----------
    old : Path
        Folder of the stems that others are made of.
    out : path-like or None
        The folder that was asked for.
    suffix : str
        What the name of `old` gets where none was asked for, and a number where that is taken.

    Returns
    -------
    Path

    Raises
    ------
    RefusedError
        If there is something at `out`.
    """
    if out is None:
        home = old if old.name not in ("", "..") else old.resolve()
        stem = re.sub(rf"{re.escape(suffix)}(-\d+)?$", "", home.name)
        names = (f"{stem}{suffix}{'' if n == 1 else f'-{n}'}" for n in count(1))
        return next(p for name in names if not os.path.lexists(p := home.with_name(name)))
    place = Path(os.fspath(out))
    if os.path.lexists(place):
        raise RefusedError(
            f"{display(place)} exists already, and nothing is replaced; give a folder that does "
            "not exist."
        )
    return place
