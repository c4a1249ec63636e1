"""A copy of the sources and an environment in which nothing of this computer helps."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

__all__ = ["copy_of_sources", "fresh_environment"]

ROOT = Path(__file__).resolve().parent.parent
_LEFT = (".git", ".venv*", "venv", "__pycache__", ".*_cache", "build", "dist", "site", "separated")


def copy_of_sources(folder: Path) -> Path:
    """The sources alone, in a folder of their own: installing writes beside them."""
    place = folder / "audiosep"
    shutil.copytree(ROOT, place, ignore=shutil.ignore_patterns(*_LEFT))
    return place


def fresh_environment(folder: Path) -> dict[str, str]:
    """Variables for processes: caches and tools in `folder`, no environment that is active.

    The home stays, because that is where it is said which index of packages to ask.
    """
    left = ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "NUMBA_CACHE_DIR", "UV_TOOL_DIR")
    given = {name: value for name, value in os.environ.items() if name not in left}
    paths = given.get("PATH", os.defpath).split(os.pathsep)
    if active := os.environ.get("VIRTUAL_ENV"):
        paths = [path for path in paths if not path.startswith(active)]
    tools = folder / "tools" / "bin"
    return {
        **given,
        "PATH": os.pathsep.join([str(tools), *paths]),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "PIP_CACHE_DIR": str(folder / "cache" / "pip"),
        "UV_CACHE_DIR": str(folder / "cache" / "uv"),
        "PIPX_HOME": str(folder / "tools" / "pipx"),
        "PIPX_BIN_DIR": str(tools),
        "UV_TOOL_DIR": str(folder / "tools" / "uv"),
        "UV_TOOL_BIN_DIR": str(tools),
    }
