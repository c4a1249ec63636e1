"""Install audiosep as README says, each way with empty caches, and take an example apart.

::

    python scripts/try_install.py                # pip, pipx and uv
    python scripts/try_install.py --with uv      # one of them

pipx and uv come from the package index, into an environment of their own.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _newcomer import copy_of_sources, fresh_environment

__all__ = ["WAYS"]

WAYS = {
    "pip": "python3 -m venv .venv && .venv/bin/pip install -q .",
    "pipx": "pipx install .",
    "uv": "uv tool install .",
}
"""Commands of README, by the tool that they need."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--with", dest="ways", nargs="+", choices=WAYS, default=list(WAYS))
    ways = parser.parse_args().ways
    print(f"{'way':<5} {'install, s':>10} {'first stems, s':>14}  result", flush=True)
    failed = 0
    for way in ways:
        with tempfile.TemporaryDirectory(prefix="audiosep-install-") as folder:
            words, installing, separating = _try(way, Path(folder))
        failed += words != "works"
        print(f"{way:<5} {installing:>10.1f} {separating:>14.1f}  {words}", flush=True)
    sys.exit(1 if failed else 0)


def _try(way: str, folder: Path) -> tuple[str, float, float]:
    """What came of it, and how long it took to install and to get the first stems."""
    sources, environment = copy_of_sources(folder), fresh_environment(folder)
    if way != "pip":
        tool = folder / "own"
        subprocess.run([_python(environment), "-m", "venv", str(tool)], check=True)
        subprocess.run([str(tool / "bin" / "pip"), "install", "-q", way], check=True)
        environment["PATH"] = f"{tool / 'bin'}:{environment['PATH']}"
    began = time.monotonic()
    done = subprocess.run(
        ["bash", "-c", WAYS[way]],
        cwd=sources,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    installing = time.monotonic() - began
    if done.returncode:
        return f"cannot be installed: {' '.join(done.stderr.split())[-500:]}", installing, 0.0
    # From elsewhere, so that the folder of sources is not what is imported.
    (folder / "elsewhere").mkdir()
    shutil.copy(sources / "examples/audio/band/mixture.flac", folder / "elsewhere" / "mix.flac")
    place = sources / ".venv" / "bin" if way == "pip" else folder / "tools" / "bin"
    began = time.monotonic()
    done = subprocess.run(
        [str(place / "audiosep"), "split", "mix.flac"],
        cwd=folder / "elsewhere",
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    separating = time.monotonic() - began
    if done.returncode or "add up to it exactly" not in done.stdout + done.stderr:
        return f"does not work: {' '.join(done.stderr.split())[-500:]}", installing, separating
    if not (folder / "elsewhere/separated/mix/drums.wav").is_file():
        return "wrote no stems", installing, separating
    return "works", installing, separating


def _python(environment: dict[str, str]) -> str:
    """A Python that belongs to no environment."""
    return shutil.which("python3", path=environment["PATH"]) or sys.executable


if __name__ == "__main__":
    main()
