"""Sound files, whole and broken, and the command line, for the tests of both."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

_SCRIPT = Path(sys.executable).with_name("audiosep")
COMMAND = [str(_SCRIPT)] if _SCRIPT.exists() else [sys.executable, "-m", "audiosep"]

# The smallest real separation: tests of files and words need no better one.
SMALL = ["--preset", "components", "--components", "3", "--iterations", "2"]
SMALL_SETTINGS = {"preset": "components", "n_components": 3, "max_iter": 2}


def told(preset):
    """Settings that a preset needs to be told."""
    from audiosep import Audio
    from audiosep.notes import Note
    from audiosep.presets import load_preset
    from audiosep.scores import Score, Track

    recipe = load_preset(preset)
    if recipe.examples == "needed":
        t = np.arange(4000) / 8000
        low = Audio(samples=np.float32(np.sin(2 * np.pi * 220 * t))[np.newaxis], sr=8000)
        rough = Audio(samples=noise(n_channels=1), sr=8000)
        return {"examples": {"low": low, "rough": rough}, "quality": "fast"}
    if recipe.score == "needed":
        low = Note(start_s=0.0, end_s=0.4, pitch=57, strength=1.0)
        high = Note(start_s=0.3, end_s=0.7, pitch=93, strength=1.0)
        tracks = Track(name="low", notes=(low,)), Track(name="high", notes=(high,))
        return {"score": Score(tracks=tracks)}
    return {"quality": "fast"} if preset == "speech" else {}


def noise(n_samples=4000, n_channels=2, *, peak=0.5, seed=0):
    """Noise of shape (channels, samples), float32."""
    rng = np.random.default_rng(seed)
    samples = rng.uniform(-1.0, 1.0, (n_channels, n_samples))
    return (peak * samples / np.abs(samples).max()).astype(np.float32)


def integers(n_samples=4000, n_channels=2, *, n_bits=16, seed=0):
    """Noise that `n_bits` hold exactly, over the whole range, at full scale 1.0; float32."""
    rng = np.random.default_rng(seed)
    top = 2 ** (n_bits - 1)
    values = rng.integers(-top, top, (n_channels, n_samples))
    values[0, : min(2, n_samples)] = [-top, top - 1][:n_samples]
    return (values / top).astype(np.float32)


def write_sound(path, samples=None, sr=8000, *, format="WAV", subtype="PCM_16"):  # noqa: A002
    """Write a recording with soundfile, the reference."""
    samples = noise() if samples is None else samples
    sf.write(os.fsencode(path), samples.T, sr, format=format, subtype=subtype)
    return Path(path)


def sounds(path):
    """Samples of shape (channels, samples) as soundfile, the reference, reads them."""
    samples, _ = sf.read(os.fsencode(path), dtype="float32", always_2d=True)
    return samples.T


def whole_numbers(path):
    """32-bit integers of a file, as stored."""
    samples, _ = sf.read(os.fsencode(path), dtype="int32", always_2d=True)
    return samples.astype(np.int64).T


def cut(path, share):
    """Keep the first part of a file."""
    data = Path(path).read_bytes()
    Path(path).write_bytes(data[: int(len(data) * share)])
    return path


def tree(folder):
    """Every file below a folder with its bytes."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file()
    }


def below(folder):
    """Everything below a folder, also while others make and remove it."""
    walked = os.walk(folder)  # passes over folders that go away meanwhile
    return [Path(at, name) for at, folders, names in walked for name in (*folders, *names)]


def leftovers(folder):
    """Temporary files and folders that were left behind, but for the journal of several."""
    hidden = (p for p in below(folder) if p.name.startswith((".", "tmp")))
    return sorted(p.name for p in hidden if not _holds_a_journal_alone(p))


def _holds_a_journal_alone(path):
    return path.is_dir() and {p.name for p in path.iterdir()} == {"journal.jsonl", "run.lock"}


def _permissions_bind():
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).chmod(0)
        return not os.access(file.name, os.R_OK)


# Root may read and write everything, so there is nothing to see then.
needs_permissions = pytest.mark.skipif(not _permissions_bind(), reason="this user may do all")


@dataclass
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


_LIMITED = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
os.execvp(sys.argv[2], sys.argv[2:])
"""


def audiosep(*arguments, env=None, largest_file=None):
    """Run the installed command, where wanted with a limit on the size of files."""
    limited = [sys.executable, "-c", _LIMITED, str(largest_file)] if largest_file else []
    done = subprocess.run(
        [*limited, *COMMAND, *arguments],
        env={**os.environ, **(env or {})},
        capture_output=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    return Ended(
        done.returncode,
        done.stdout.decode("utf-8", "surrogateescape"),
        done.stderr.decode("utf-8", "surrogateescape"),
    )
