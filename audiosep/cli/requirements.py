"""Which packages this installation needs, and from which version on: what pip was told."""

from __future__ import annotations

import importlib.metadata
import re

__all__ = ["is_too_old", "lowest_versions"]

_LOWEST = re.compile(r"([\w.-]+)\s*(?:\[[^\]]*\])?\s*\(?>=\s*([\w.]+)")


def lowest_versions() -> dict[str, dict[str, str]]:
    """Lowest version of each package that is allowed.

    Returns
    -------
    dict of str to (dict of str to str)
        By extra, ``""`` for what is always needed; package to version.
    """
    found: dict[str, dict[str, str]] = {"": {}}
    for line in importlib.metadata.requires("audiosep") or ():
        requirement, _, condition = line.partition(";")
        extra = re.search(r"extra\s*==\s*['\"]([\w-]+)", condition)
        lowest = _LOWEST.match(requirement.strip())
        if lowest is not None:
            found.setdefault(extra[1] if extra else "", {})[lowest[1]] = lowest[2]
    return found


def is_too_old(version: str, lowest: str) -> bool:
    """Whether a version comes before the lowest that is allowed; both as packages write them."""
    return _numbers(version) < _numbers(lowest)


def _numbers(version: str) -> tuple[int, ...]:
    """Numbers of a release, whatever follows them; zeros at the end say nothing."""
    numbers = [int(part) for part in re.match(r"\d*(?:\.\d+)*", version)[0].split(".") if part]  # type: ignore[index]
    while numbers and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)
