"""A process that tries damaged files, one after the other, within limits; it may die of any.

Reads ``{"kind": ..., "round": ...}`` a line and answers with what came of it; ``{"warm": KIND}``
comes before the first of each kind. What it writes to standard error is the last that is heard of
it when it dies.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import random
import re
import shutil
import sys
import tempfile
import traceback
from dataclasses import asdict
from pathlib import Path
from typing import Any

import _fuzz_targets
from _fuzz_mutations import mutated
from _fuzz_seeds import seeds_of

__all__ = ["damaged_file", "main"]

_LARGEST_FILE = 200_000_000
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_REFUSED = (
    *("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.bind"),
    *("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "pickle.find_class"),
)
_CHANGING = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.chmod")


def damaged_file(kind: str, number: int, seed: int) -> tuple[str, bytes, random.Random]:
    """Return name and content of a damaged file, and what decides on the command that reads it."""
    rng = random.Random(f"{seed} {kind} {number}")
    seeds = seeds_of(kind)
    base = rng.choice(seeds)
    others = [one.content for one in seeds if one is not base]
    return base.name, mutated(base.shape, base.content, others, rng), rng


class _Watch:
    """Notes what leaves the folder, or the process."""

    def __init__(self, home: Path) -> None:
        self.broken: list[str] = []
        self.written: set[str] = set()
        self.on = False
        self._home = os.path.realpath(home)
        self._inner = tuple(f"{self._home}/{name}/" for name in ("out", "tmp"))

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.on:
            return
        if event in _REFUSED:
            self.broken.append(f"{event} {arguments!r}"[:300])
        elif event == "open":
            path, _, flags = arguments
            if isinstance(flags, int) and flags & _WRITING:
                self._check(event, path)
        elif event in _CHANGING:
            n_paths = 2 if event in ("os.rename", "os.link") else 1
            folders = [one for one in arguments[n_paths:] if isinstance(one, int)][-n_paths:]
            if event in ("os.mkdir", "os.chmod"):
                folders = [arguments[-1]]
            for path, folder in zip(arguments[:n_paths], folders or [-1] * n_paths, strict=False):
                self._check(event, path, folder)

    def _check(self, event: str, path: Any, folder: int = -1) -> None:
        if isinstance(path, int):
            return
        parent, _, name = os.fsdecode(path).rpartition("/")
        if folder != -1 and not os.fsdecode(path).startswith("/"):
            parent = f"/proc/self/fd/{folder}/{parent}"
        # The folder of a link, not where it leads: it is the link that is made or removed.
        real = f"{os.path.realpath(parent or '.')}/{name}"
        if not f"{real}/".startswith(self._inner) and real != "/dev/null":
            self.broken.append(f"{event} {real!r}")
            if event == "open":
                self.written.add(real)


def main() -> None:
    """Try what is asked for until nothing more is."""
    settings = json.loads(sys.argv[1])
    faulthandler.enable()
    # Whoever waits for an answer in vain asks where we are.
    if hasattr(faulthandler, "register"):
        import signal

        faulthandler.register(signal.SIGUSR1, all_threads=True)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    # Libraries in C print what they like: not among the answers.
    os.dup2(2, 1)
    with tempfile.TemporaryDirectory(prefix="audiosep-fuzz-") as folder:
        home = Path(os.path.realpath(folder))
        os.chdir(home)
        _fuzz_targets.prepare(home)
        os.environ["TMPDIR"] = tempfile.tempdir = str(home / "tmp")
        kept = _tree(home, ("in", "made"))
        watch = _Watch(home)
        sys.addaudithook(watch)
        start = 0
        for line in sys.stdin:
            task = json.loads(line)
            if "warm" in task:
                _limit(None)
                _warm_up(task["warm"], home, settings["warm_up"])
                start = _limit(settings["memory_mb"])
                answer = {"ready": task["warm"]}
            else:
                answer = _one(task["kind"], task["round"], settings["seed"], home, watch, kept)
                answer["peak"] = max(0, _peak() - start)
            answers.write(json.dumps(answer) + "\n")
            answers.flush()


def _one(
    kind: str, number: int, seed: int, home: Path, watch: _Watch, kept: dict[str, bytes]
) -> dict[str, Any]:
    name, content, rng = damaged_file(kind, number, seed)
    (home / "in" / name).write_bytes(content)
    commands = _fuzz_targets.arranged(kind, name, home, rng)
    watch.broken.clear()
    watch.written.clear()
    watch.on = True
    try:
        judged = _fuzz_targets.try_out(commands)
    except BaseException:  # whatever it is, it is no answer of a command
        judged = _fuzz_targets.Judged("finding", traceback.format_exc(), "traceback")
    finally:
        watch.on = False
    (home / "in" / name).unlink(missing_ok=True)
    left = _tree(home, ("in", "made"))
    changed = sorted({name for name, _ in left.items() ^ kept.items()} | set(_strangers(home)))
    outside = 0
    if watch.broken or changed:
        broken = "; ".join(watch.broken)
        words = f"outside: {broken}; left or changed: {changed!r:.500}\n{judged.words}"
        judged = _fuzz_targets.Judged("finding", words, "outside")
        outside = _size_of({*watch.written, *(str(home / name) for name in changed)})
    elif any((home / "tmp").iterdir()):
        names = sorted(path.name for path in (home / "tmp").iterdir())
        words = f"left in the temporary folder: {names}\n{judged.words}"
        judged = _fuzz_targets.Judged("finding", words, "outside")
        outside = _size_of({str(home / "tmp")})
    _emptied(home)
    return {**asdict(judged), "outside": outside}


def _strangers(home: Path) -> list[str]:
    return sorted(p.name for p in home.iterdir() if p.name not in ("in", "out", "tmp", "made"))


def _tree(home: Path, folders: tuple[str, ...]) -> dict[str, bytes]:
    """Files that must stay as they are."""
    return {
        str(path.relative_to(home)): path.read_bytes()
        for folder in folders
        for path in sorted((home / folder).rglob("*"))
        if path.is_file()
    }


def _size_of(places: set[str]) -> int:
    """Bytes of files, and of all that is in folders."""
    paths = {Path(place) for place in places}
    paths |= {below for path in paths if path.is_dir() for below in path.rglob("*")}
    return sum(path.stat().st_size for path in paths if path.is_file())


def _warm_up(kind: str, home: Path, n_tries: int) -> None:
    """Read whole files first: libraries are loaded and kernels compiled within no limit."""
    first, *others = seeds_of(kind)
    for one, tries in ((first, n_tries), *((other, 1) for other in others if n_tries > 1)):
        for turn in range(tries):
            (home / "in" / one.name).write_bytes(one.content)
            rng = random.Random(turn)
            _fuzz_targets.try_out(_fuzz_targets.arranged(kind, one.name, home, rng))
            (home / "in" / one.name).unlink(missing_ok=True)
            _emptied(home)


def _emptied(home: Path) -> None:
    for place in ("out", "tmp"):
        shutil.rmtree(home / place)
        (home / place).mkdir()


def _peak() -> int:
    """Bytes of memory that were held at most; 0 where the system does not tell."""
    try:
        found = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text("utf-8"))
    except OSError:
        return 0
    return int(found[1]) << 10 if found else 0


def _limit(memory_mb: int | None) -> int:
    """Allow so much more memory than is taken by now, and no large files; None takes limits off.

    Returns the bytes that are held; from now on the most counts from there.
    """
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", "ascii")
    try:
        import resource
    except ImportError:  # not on this system
        return _peak()
    most = resource.RLIM_INFINITY
    if memory_mb is not None:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
        most = pages * os.sysconf("SC_PAGE_SIZE") + memory_mb * 2**20
    for what, value in (
        (resource.RLIMIT_AS, most),
        (resource.RLIMIT_FSIZE, _LARGEST_FILE),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(what)[1]
        if hard != resource.RLIM_INFINITY:
            value = hard if value == resource.RLIM_INFINITY else min(value, hard)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(what, (value, hard))
    return _peak()


if __name__ == "__main__":
    main()
