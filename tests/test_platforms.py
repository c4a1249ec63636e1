"""What the project says it runs on is what the script tries, and what the doctor looks at."""

from __future__ import annotations

import importlib.util
import re
import sys
import tomllib
from pathlib import Path

import pytest

from audiosep.cli import doctor
from audiosep.cli.requirements import is_too_old, lowest_versions

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location(
        "try_platforms", ROOT / "scripts" / "try_platforms.py"
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def test_every_python_that_is_promised_is_tried(script):
    pythons = script.pythons_of(PROJECT)
    assert pythons == ["3.11", "3.12", "3.13"]
    assert PROJECT["requires-python"] == f">={pythons[0]}"
    # ruff and mypy look with the eyes of the oldest.
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    assert tools["ruff"]["target-version"] == f"py{pythons[0].replace('.', '')}"
    assert tools["mypy"]["python_version"] == pythons[0]


def test_this_python_is_one_of_them(script):
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert here in script.pythons_of(PROJECT)
    assert script._interpreter("2.0") is None


def test_every_dependency_has_a_lowest_version(script):
    bounds = script.bounds_of(PROJECT["dependencies"])
    assert len(bounds) == len(PROJECT["dependencies"])
    with pytest.raises(ValueError, match="'numpy' has no lower bound"):
        script.bounds_of(["numpy"])


def test_the_oldest_are_corrections_of_the_lowest(script):
    wanted = {"b": "2.0", "a": "13", "c": "0.3.7"}
    assert script.oldest_of(wanted) == "a==13.0.*\nb==2.0.*\nc==0.3.7\n"


def test_the_files_that_are_tried_are_there(script):
    assert len(script.QUICK) > 15
    for name in script.QUICK:
        assert (ROOT / "tests" / f"{name}.py").is_file()


def test_the_doctor_knows_what_pip_was_told(script):
    found = lowest_versions()
    assert found[""] == script.bounds_of(PROJECT["dependencies"])
    assert found["evaluate"] == script.bounds_of(PROJECT["optional-dependencies"]["evaluate"])


@pytest.mark.parametrize(
    ("version", "lowest", "old"),
    [
        ("0.11.0", "0.11", False),
        ("0.11", "0.11.0", False),
        ("0.9.9", "0.11", True),
        ("2.0.0rc1", "2.0", False),
        ("1.26.4", "2.0", True),
        ("13", "13.0.1", True),
        ("2025.5.0", "2025.5", False),
        ("1.0.post1", "1.0", False),
        ("3.5.0.dev0+g12ab", "3.5", False),
    ],
)
def test_versions_are_compared_as_numbers(version, lowest, old):
    assert is_too_old(version, lowest) is old


def test_what_is_too_old_is_an_error_that_says_what_is_needed(monkeypatch):
    real = doctor._version_of
    monkeypatch.setattr(
        doctor, "_version_of", lambda name: "0.0.1" if name in ("scipy", "mido") else real(name)
    )
    found = {one.what: one for one in doctor._findings()}
    for name in ("scipy", "mido"):
        assert found[name].status == "missing"
        assert re.search(rf"0\.0\.1 is too old; .* needs {name}>=\d", found[name].words)
    assert found["numpy"].status == "ok"


def test_an_extra_that_is_too_old_is_told_of(monkeypatch):
    real = doctor._version_of
    monkeypatch.setattr(
        doctor, "_version_of", lambda name: "0.0.1" if name == "museval" else real(name)
    )
    found = {one.what: one for one in doctor._findings()}
    assert found["[evaluate]"].status == "optional"
    assert "museval 0.0.1 is too old" in found["[evaluate]"].words
    assert "pip install 'audiosep[evaluate]'" in found["[evaluate]"].words
