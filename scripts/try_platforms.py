"""Install audiosep for every Python that it supports, with old and new dependencies, and test it.

::

    python scripts/try_platforms.py                    # a part of the tests on each Python
    python scripts/try_platforms.py --whole            # all of them
    python scripts/try_platforms.py --oldest           # oldest dependencies that are allowed
    python scripts/try_platforms.py --python 3.13 --keep /tmp/venvs

Interpreters are looked for on the PATH (``python3.12``) and among those of pyenv. Each gets a fresh
environment; the oldest dependencies are tried with the oldest Python.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path

__all__ = ["bounds_of", "oldest_of", "pythons_of"]

ROOT = Path(__file__).resolve().parent.parent
SHOWN = ("numpy", "scipy", "numba", "librosa", "soundfile")
QUICK = (
    *("test_contracts", "test_cli", "test_reading", "test_writing", "test_formats", "test_exact"),
    *("test_transform", "test_kernels", "test_factorize", "test_estimator", "test_least_squares"),
    *("test_dictionaries", "test_factorization_files", "test_score_files", "test_evidence"),
    *("test_save", "test_verify", "test_manifest", "test_melody", "test_doctor", "test_jit"),
)
"""Where other versions of Python and of libraries have made a difference, or would first."""


@dataclass(frozen=True)
class Tried:
    """How the tests went on a platform."""

    python: str
    oldest: bool
    versions: dict[str, str]
    words: str
    passed: bool
    seconds: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", nargs="+", metavar="3.N", help="by default all supported")
    parser.add_argument("--oldest", action="store_true", help="oldest dependencies, oldest Python")
    parser.add_argument("--whole", action="store_true", help="all tests, not only some files")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep environments for next time")
    parser.add_argument("tests", nargs="*", help="files of tests, instead of the choice")
    given = parser.parse_args()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = given.python or (pythons_of(project)[:1] if given.oldest else pythons_of(project))
    files = given.tests or ([] if given.whole else [f"tests/{name}.py" for name in QUICK])
    bounds = bounds_of(project["dependencies"]) if given.oldest else {}
    print(f"{'Python':<8} {'':<7} {' '.join(f'{name:<9}' for name in SHOWN)}    s  result")
    lacking = failed = 0
    with tempfile.TemporaryDirectory() as scratch:
        for version in wanted:
            interpreter = _interpreter(version)
            if interpreter is None:
                print(f"{version:<8} no such interpreter here", flush=True)
                lacking += 1
                continue
            home = (given.keep or Path(scratch)) / f"{version}{'-oldest' if given.oldest else ''}"
            tried = _try(version, interpreter, home, bounds, files)
            failed += not tried.passed
            versions = " ".join(f"{tried.versions.get(name, '-'):<9}" for name in SHOWN)
            age = "oldest" if tried.oldest else "newest"
            print(
                f"{version:<8} {age:<7} {versions} {tried.seconds:4.0f}  {tried.words}", flush=True
            )
    # What was not tried does not hold.
    sys.exit(1 if failed else 2 if lacking else 0)


def pythons_of(project: dict[str, object]) -> list[str]:
    """Versions of Python that the project says it supports, ascending."""
    found = re.findall(r"Python :: (3\.\d+)", "\n".join(project["classifiers"]))  # type: ignore[arg-type]
    return sorted(set(found), key=lambda version: int(version.partition(".")[2]))


def bounds_of(requirements: list[str]) -> dict[str, str]:
    """Lowest version of each dependency that is allowed."""
    found = {}
    for requirement in requirements:
        match = re.fullmatch(r"([\w.-]+)(?:\[[\w,-]+\])?>=([\d.]+)", requirement)
        if match is None:
            raise ValueError(f"{requirement!r} has no lower bound")
        found[match[1]] = match[2]
    return found


def oldest_of(bounds: dict[str, str]) -> str:
    """Constraints under which pip takes the oldest: any correction of the lowest release."""
    lines = []
    for name, version in sorted(bounds.items()):
        parts = version.split(".")
        # 2.0 stands for 2.0.x, 13 for 13.0.x; where a correction is named, that is meant.
        lines.append(
            f"{name}=={version}"
            if len(parts) > 2
            else f"{name}=={version}{'.0' * (2 - len(parts))}.*"
        )
    return "\n".join(lines) + "\n"


def _interpreter(version: str) -> str | None:
    found = shutil.which(f"python{version}")
    if found and _speaks(found, version):
        return found
    roots = (os.environ.get("PYENV_ROOT"), Path.home() / ".pyenv")
    for root in roots:
        for place in sorted(
            Path(root or "-").glob(f"versions/{version}.*/bin/python"), reverse=True
        ):
            if _speaks(str(place), version):
                return str(place)
    return None


def _speaks(interpreter: str, version: str) -> bool:
    """Whether it starts, and is what it is called: shims of pyenv may be neither."""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    done = subprocess.run([interpreter, "-c", code], capture_output=True, text=True, check=False)
    return done.returncode == 0 and done.stdout.strip() == version


def _try(
    version: str, interpreter: str, home: Path, bounds: dict[str, str], files: list[str]
) -> Tried:
    began = time.monotonic()
    python = home / "bin" / "python"
    words, passed, versions = _installed(interpreter, python, home, bounds), False, {}
    if not words:
        versions = _versions(python)
        words, passed = _tested(python, files)
    seconds = time.monotonic() - began
    return Tried(version, bool(bounds), versions, words, passed, seconds)


def _installed(interpreter: str, python: Path, home: Path, bounds: dict[str, str]) -> str:
    """Why the environment cannot be made; empty where it is there."""
    home.mkdir(parents=True, exist_ok=True)
    if not python.exists():
        subprocess.run([interpreter, "-m", "venv", str(home)], check=True)
    constraints = home / "constraints.txt"
    constraints.write_text(oldest_of(bounds) if bounds else "", encoding="utf-8")
    # pip looks for versions that go together for half an hour, uv for seconds.
    uv = shutil.which("uv") or str(python.with_name("uv"))
    if not Path(uv).exists():
        subprocess.run([str(python), "-m", "pip", "install", "-q", "uv"], check=True)
    # Not as an editable one: what users get is a wheel.
    command = [uv, "pip", "install", "-q", "--python", str(python), "-c", str(constraints)]
    own = ["--reinstall-package", "audiosep", f"{ROOT}[test]"]
    done = subprocess.run([*command, *own], capture_output=True, text=True, check=False)
    said = " ".join(done.stderr.split())
    return "" if done.returncode == 0 else said[:500] or "it cannot be installed"


def _versions(python: Path) -> dict[str, str]:
    code = (
        "from importlib.metadata import version\n"
        f"for name in {SHOWN}:\n"
        "    print(name, version(name))"
    )
    done = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True)
    return dict(line.split() for line in done.stdout.splitlines())


def _tested(python: Path, files: list[str]) -> tuple[str, bool]:
    one = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), "1")
    command = [
        str(python),
        "-P",
        "-m",
        "pytest",
        "-q",
        "-n",
        "1",
        "-rf",
        "-p",
        "no:cacheprovider",
        *files,
    ]
    # -P: the installed package is tested, not that of the folder.
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **one}, capture_output=True, text=True, check=False
    )
    lines = done.stdout.strip().splitlines() or done.stderr.strip().splitlines() or ["nothing said"]
    failed = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
    return "\n    ".join([lines[-1], *failed]), done.returncode == 0


if __name__ == "__main__":
    main()
