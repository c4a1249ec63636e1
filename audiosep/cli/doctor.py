"""``audiosep doctor``: what this installation is, what it can do, and what it lacks."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from audiosep._version import __version__
from audiosep.cli.requirements import is_too_old, lowest_versions
from audiosep.cli.talk import Talk
from audiosep.errors import ExitCode
from audiosep.memory import available_bytes
from audiosep.threads import resolve_threads

__all__ = ["examine"]

_PACKAGES = ("numpy", "scipy", "numba", "soundfile", "soxr", "librosa")
_EXTRAS = {
    "evaluate": ("museval", "BSSEval v4 in 'audiosep evaluate --bsseval'"),
    "cluster": ("distributed", "batches on a Dask cluster"),
    "s3": ("s3fs", "recordings and stems on S3"),
    "jams": ("jams", "JAMS files from 'audiosep export'"),
    "formats": ("av", "recordings in M4A, MP4, WMA and WebM"),
    "studio": ("starlette", "the page on which stems are corrected, 'audiosep studio'"),
    "plot": ("matplotlib", "pictures of results, in notebooks and as files"),
}
_FORMATS = ("WAV", "RF64", "W64", "AIFF", "CAF", "FLAC", "OGG", "Opus", "MP3")
_LITTLE_MEMORY = 1_000_000_000


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at.

    Parameters
    ----------
    what : str
        Its name.
    status : {"ok", "optional", "warning", "missing"}
        Whether it is as it should be; what is optional may be absent.
    words : str
        What was found, and what to do about it.
    """

    what: str
    status: Literal["ok", "optional", "warning", "missing"]
    words: str


def examine(talk: Talk, *, warm: bool) -> ExitCode:
    """Print what was found; the exit code says whether anything needed is missing.

    Parameters
    ----------
    talk : Talk
        How to say it.
    warm : bool
        Compile the kernels first, so that no later run has to.
    """
    if warm:
        began = time.perf_counter()
        n = _warm_up(talk)
        seconds = time.perf_counter() - began
        talk.say(f"audiosep: {n} presets tried, so their kernels are compiled; {seconds:.0f} s")
    bad = False
    for finding in _findings():
        bad |= finding.status == "missing"
        if talk.json_lines:
            talk.json(asdict(finding))
        else:
            talk.result(f"{finding.status:<9} {finding.what:<10} {finding.words}")
    return ExitCode.ALL_FAILED if bad else ExitCode.DONE


def _findings() -> Iterator[Finding]:
    system = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    yield Finding(what="audiosep", status="ok", words=f"{__version__}, {system}")
    lowest = lowest_versions()
    needed = lowest[""]
    for name in _PACKAGES:
        yield _package(name, needed.get(name, "0"))
    for name in sorted(needed.keys() - set(_PACKAGES)):
        found = _package(name, needed[name])
        if found.status != "ok":
            yield found
    yield _formats()
    for extra, (package, purpose) in _EXTRAS.items():
        yield _extra(extra, package, purpose, lowest.get(extra, {}).get(package, "0"))
    yield _kernels()
    yield _processors()
    yield _memory()
    yield _temporary()


def _package(name: str, lowest: str) -> Finding:
    version = _version_of(name)
    if version is None:
        words = "not installed; install audiosep again"
        return Finding(what=name, status="missing", words=words)
    if is_too_old(version, lowest):
        words = f"{version} is too old; install audiosep again, which needs {name}>={lowest}"
        return Finding(what=name, status="missing", words=words)
    return Finding(what=name, status="ok", words=version)


def _extra(extra: str, package: str, purpose: str, lowest: str) -> Finding:
    version = _version_of(package)
    if version is None:
        words = f"not installed; for {purpose}: pip install 'audiosep[{extra}]'"
    elif is_too_old(version, lowest):
        words = f"{package} {version} is too old; for {purpose}: pip install 'audiosep[{extra}]'"
    else:
        words = f"{package} {version}: {purpose}"
        return Finding(what=f"[{extra}]", status="ok", words=words)
    return Finding(what=f"[{extra}]", status="optional", words=words)


def _version_of(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _formats() -> Finding:
    from audiosep.io.formats import readable_formats

    version, known = readable_formats()
    lacking = [name for name in _FORMATS if name not in known]
    if lacking:
        words = f"libsndfile {version} lacks {', '.join(lacking)}; update soundfile"
        return Finding(what="formats", status="warning", words=words)
    words = f"libsndfile {version} reads {', '.join(_FORMATS)}"
    return Finding(what="formats", status="ok", words=words)


def _kernels() -> Finding:
    from audiosep.nmf import jit

    place = jit.cache_dir()
    if not jit.cache_is_persistent():
        words = (
            "no folder for compiled kernels can be written, so every run compiles anew; set "
            "NUMBA_CACHE_DIR to one"
        )
        return Finding(what="kernels", status="warning", words=words)
    state = "compiled" if jit.is_warm() else "not compiled yet; audiosep doctor --warm does it"
    return Finding(what="kernels", status="ok", words=f"{state}, in {place}")


def _processors() -> Finding:
    usable, all_there = resolve_threads(None), os.cpu_count() or 1
    words = f"{usable} of {all_there} may be used"
    return Finding(what="processors", status="ok", words=words)


def _memory() -> Finding:
    free = available_bytes()
    if free is None:
        return Finding(what="memory", status="ok", words="the system does not say what is free")
    words = f"{free / 1e9:.1f} GB free"
    if free < _LITTLE_MEMORY:
        words += "; long recordings will be taken apart in shorter chunks"
        return Finding(what="memory", status="warning", words=words)
    return Finding(what="memory", status="ok", words=words)


def _temporary() -> Finding:
    try:
        with tempfile.TemporaryFile():
            return Finding(what="temporary", status="ok", words=tempfile.gettempdir())
    except OSError as error:
        words = f"no temporary file can be made ({error.strerror}); set TMPDIR"
        return Finding(what="temporary", status="missing", words=words)


def _warm_up(talk: Talk) -> int:
    """Take a second of sound apart with every preset that needs nothing told."""
    import numpy as np

    from audiosep.presets import load_preset, preset_names
    from audiosep.separator import Separator

    sr = 22_050
    t = np.arange(2 * sr) / sr
    strokes = np.random.default_rng(0).standard_normal(t.size) * np.exp(-30 * (t % 0.5))
    tones = np.sin(2 * np.pi * 220 * t * (1 + (t > 1) * 0.26))
    samples = np.stack([0.3 * tones + 0.2 * strokes, 0.2 * tones - 0.3 * strokes])
    n_done = 0
    with tempfile.TemporaryDirectory() as folder:
        for name in preset_names():
            preset = load_preset(name)
            if "needed" in (preset.examples, preset.score):
                continue
            talk.detail(f"  {name}")
            Separator(preset=name).split(samples.astype(np.float32), Path(folder) / name, sr)
            n_done += 1
    return n_done
