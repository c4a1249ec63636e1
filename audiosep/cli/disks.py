"""Disks that fail while a recording is read: told from damage, so that they get a second try."""

from __future__ import annotations

import errno

from audiosep.errors import OutputError

__all__ = ["PAUSE_S", "is_of_the_disk"]

PAUSE_S = 0.2
"""Between a failure and the second try: a server that restarts, a cable that moved."""

_ERRORS = (errno.EIO, getattr(errno, "ESTALE", errno.EIO))
_SYSTEM = 2  # SF_ERR_SYSTEM of libsndfile, which does not say more


def is_of_the_disk(error: BaseException | None) -> bool:
    """Whether reading failed because of the disk, or of a server that has it.

    Parameters
    ----------
    error : BaseException or None
        What was raised, perhaps in place of what happened.
    """
    while error is not None and not isinstance(error, OutputError):
        if isinstance(error, OSError) and error.errno in _ERRORS:
            return True
        if type(error).__name__ == "LibsndfileError" and getattr(error, "code", 0) == _SYSTEM:
            return True
        error = error.__cause__ or error.__context__
    return False
