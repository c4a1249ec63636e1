"""What ``audiosep doctor`` says of an installation is so."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

from typer.testing import CliRunner

from audiosep.cli import doctor
from audiosep.cli.app import app


def findings(*arguments):
    result = CliRunner().invoke(app, ["doctor", "--json", *arguments])
    entries = [json.loads(line) for line in result.stdout.splitlines()]
    return result.exit_code, {entry["what"]: entry for entry in entries}


def test_versions_are_those_that_are_installed():
    code, found = findings()
    assert code == 0
    for name in ("numpy", "scipy", "numba", "soundfile"):
        assert found[name]["words"] == importlib.metadata.version(name)
    assert found["formats"]["status"] == "ok"
    assert f"{len(os.sched_getaffinity(0))} of" in found["processors"]["words"]


def test_what_is_needed_and_missing_is_an_error(monkeypatch):
    real = doctor._version_of
    monkeypatch.setattr(doctor, "_version_of", lambda name: None if name == "soxr" else real(name))
    code, found = findings()
    assert code == 3
    assert found["soxr"]["status"] == "missing"


def test_what_is_optional_and_missing_is_named_with_its_remedy(monkeypatch):
    monkeypatch.setattr(
        doctor, "_version_of", lambda name: None if name in ("s3fs", "museval") else "9999"
    )
    code, found = findings()
    assert code == 0
    assert found["[s3]"]["status"] == "optional"
    assert "pip install 'audiosep[s3]'" in found["[s3]"]["words"]


def test_every_extra_for_users_is_told_of():
    project = Path(__file__).parents[1] / "pyproject.toml"
    extras = tomllib.loads(project.read_text())["project"]["optional-dependencies"]
    _, found = findings()
    assert {f"[{extra}]" for extra in extras} - set(found) == {"[test]", "[lint]", "[docs]"}


def test_little_memory_is_a_warning(monkeypatch):
    monkeypatch.setattr(doctor, "available_bytes", lambda: 500_000_000)
    code, found = findings()
    assert (code, found["memory"]["status"]) == (0, "warning")


def test_no_folder_for_kernels():
    """Neither a cache nor a home that can be written, in a process of its own."""
    environment = {**os.environ, "HOME": "/proc/nowhere", "XDG_CACHE_HOME": "/proc/nowhere"}
    environment.pop("NUMBA_CACHE_DIR", None)
    done = subprocess.run(
        [sys.executable, "-m", "audiosep", "doctor"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "NUMBA_CACHE_DIR" in done.stdout
    assert done.stderr == ""


def test_warm_compiles_so_that_the_next_run_does_not(tmp_path, monkeypatch):
    tried = []

    class Trial:
        def __init__(self, preset):
            tried.append(preset)

        def split(self, samples, folder, sr):
            assert samples.shape == (2, 2 * sr)

    monkeypatch.setattr("audiosep.separator.Separator", Trial)
    result = CliRunner().invoke(app, ["doctor", "--warm"])
    assert result.exit_code == 0
    assert {"auto", "drums", "components", "stereo", "vocals"} <= set(tried)
    assert not {"by-example", "score"} & set(tried)
    assert f"{len(tried)} presets" in result.stderr
