"""Environments of the peers: one each, made anew, with what came of it kept beside them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

from _compare_catalogue import ROOT, Peer

LIMIT_S = 1200.0
OUTCOME = "outcome.json"

Outcome = dict


def programs_of(envs: Path, peer: Peer) -> Path:
    """Folder with the programs of a peer's environment."""
    return envs / peer.name / "bin"


def outcome_of(envs: Path, peer: Peer) -> Outcome | None:
    """What became of the installation, if it was tried."""
    path = envs / peer.name / OUTCOME
    return json.loads(path.read_text()) if path.is_file() else None


def install(envs: Path, peer: Peer, limit_s: float = LIMIT_S) -> Outcome:
    """Try every way to install a peer until one can be used; keep and return what happened."""
    tried = []
    for attempt in peer.attempts:
        folder = envs / peer.name
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        reason = tried_in(folder, attempt, peer, limit_s)
        tried.append(
            {
                "commands": [shown(step) for step in attempt],
                "megabytes": round(size_of(folder) / 1e6),
                "reason": reason,
            }
        )
        if reason is None:
            break
    outcome = {
        "tried": tried,
        "works": tried[-1]["reason"] is None,
        "version": version_of(folder, peer.distribution),
        "python": "{}.{}".format(*sys.version_info),
    }
    (folder / OUTCOME).write_text(json.dumps(outcome, indent=1))
    return outcome


def tried_in(
    folder: Path, attempt: tuple[tuple[str, ...], ...], peer: Peer, limit_s: float
) -> str | None:
    """Install and load; return what is wrong, if anything."""
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "-q"]
    for step in attempt:
        code, text = _said([*pip, *step], limit_s)
        if code:
            return "does not install: " + last_words(text, prefer="ERROR: ")
    code, text = _said([str(folder / "bin" / "python"), "-c", peer.check], limit_s)
    if code:
        return "installs, does not work: " + last_words(text)
    _said([*pip, "soundfile"], limit_s)  # for the runner
    return None


def _said(command: list[str], limit_s: float) -> tuple[int, str]:
    try:
        run = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=limit_s,
            check=False,
            cwd=Path(command[0]).parent,  # not beside our scripts, whose names must not be found
        )
    except subprocess.TimeoutExpired:
        return 1, f"not finished after {limit_s:.0f} s"
    return run.returncode, run.stdout.decode(errors="replace")


def version_of(folder: Path, distribution: str) -> str | None:
    """Version that is installed in an environment."""
    code = f"import importlib.metadata as m; print(m.version({distribution!r}))"
    status, text = _said([str(folder / "bin" / "python"), "-c", code], 60.0)
    return None if status else text.strip()


def size_of(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())


def shown(step: tuple[str, ...]) -> str:
    """Return a step as it would be typed; our own folder is a dot."""
    words = ["." if word == str(ROOT) else word for word in step]
    return "pip install " + " ".join(f'"{w}"' if "<" in w else w for w in words)


def last_words(text: str, prefer: str = "", most: int = 160) -> str:
    """Last line that says something, without paths and addresses of this machine."""
    lines = [line.strip() for line in text.replace("\r", "\n").splitlines() if line.strip()]
    wanted = [line for line in lines if prefer and line.startswith(prefer)] or lines or ["silence"]
    return shortened(without_places(wanted[-1].removeprefix(prefer)), most)


def shortened(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def without_places(text: str) -> str:
    """Leave of paths their last part, and of addresses nothing."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", text)
    text = re.sub(r"\w+://\S+", "(address)", text)
    return re.sub(r"(?:/[\w.+@~-]+)+/([\w.+@-]+)", r"\1", text)
