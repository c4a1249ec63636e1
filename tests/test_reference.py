"""The reference is what the code is: made again and compared, and held against what really runs."""

from __future__ import annotations

import ast
import contextlib
import importlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import soundfile
import typer.main

import audiosep
from audiosep import cli, errors, nmf
from audiosep.cli.app import app
from audiosep.presets import preset_names
from audiosep.projects import project_of, save_project

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PLACE = DOCS / "reference"
sys.path.insert(0, str(ROOT / "scripts"))
tables = importlib.import_module("_reference_tables")
reference = importlib.import_module("make_reference")
sys.path.remove(str(ROOT / "scripts"))

COMMANDS = {name: command for name, command, _ in reference.commands()}
NAMED_BY_USERS = ("stems", "files", "examples")


def page(name):
    return (DOCS / name).read_text(encoding="utf-8")


def sections(text):
    """Text below each heading of the second level."""
    parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def names_in(name):
    """Names that a page of the Python reference holds, and those of them that it shows in full."""
    text = page(f"reference/{name}")
    listed = re.findall(r"^\| `([\w.]+)` \|", text, re.MULTILINE)
    return listed, re.findall(r"^::: (\S+)$", text, re.MULTILINE)


# --- pages ----------------------------------------------------------------------------------------


def test_the_reference_is_as_the_code_is():
    assert reference.pages() == {path.name: path.read_text("utf-8") for path in PLACE.glob("*.md")}


def test_the_reference_does_not_depend_on_the_terminal():
    ended = subprocess.run(
        [sys.executable, ROOT / "scripts" / "make_reference.py", "--check"],
        env=os.environ | {"COLUMNS": "33", "TERM": "xterm-256color", "FORCE_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_a_reference_that_is_stale_is_told(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(reference, "PLACE", tmp_path)
    monkeypatch.setattr(reference, "pages", lambda: {"commands.md": "new\n"})
    (tmp_path / "commands.md").write_text("old\n", "utf-8")
    (tmp_path / "gone.md").write_text("of a module that is no more\n", "utf-8")
    monkeypatch.setattr(sys, "argv", ["make_reference.py", "--check"])
    assert reference.main() == 1
    assert {line.split()[0] for line in capsys.readouterr().out.splitlines()} == {
        "docs/reference/commands.md",
        "docs/reference/gone.md",
    }
    monkeypatch.setattr(sys, "argv", ["make_reference.py"])
    assert reference.main() == 0
    assert [path.name for path in tmp_path.iterdir()] == ["commands.md"]
    assert (tmp_path / "commands.md").read_text("utf-8") == "new\n"


# --- commands -------------------------------------------------------------------------------------


def test_every_command_has_its_section():
    group = typer.main.get_command(app)
    words = {f"audiosep {name}" for name, one in group.commands.items() if not one_of_many(one)}
    words |= {
        f"audiosep {name} {below}"
        for name, one in group.commands.items()
        if one_of_many(one)
        for below in one.commands
    }
    assert {name for name in sections(page("reference/commands.md")) if " " in name} >= words
    assert set(COMMANDS) == words


def one_of_many(command):
    return hasattr(command, "commands")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_in_the_section_of_its_command(name):
    section = sections(page("reference/commands.md"))[name]
    for parameter in COMMANDS[name].params:
        for option in (*parameter.opts, *parameter.secondary_opts):
            if option not in ("--help", "-h") and option.startswith("-"):
                assert re.search(rf"`{option}[` ]", section), option
        if parameter.param_type_name == "argument":
            assert reference.code(parameter.metavar) in section


def test_every_command_is_used_in_the_documents():
    texts = [p.read_text("utf-8") for p in DOCS.rglob("*.md") if p.parent.name != "reference"]
    for name in COMMANDS:
        assert any(name in text for text in texts), name


def test_every_preset_has_its_page_and_its_rows():
    for name in preset_names():
        assert f"[{name}]({name}.md)" in page("methods/index.md")
        assert re.search(rf"^\| `{name}` \|", page("command-line.md"), re.MULTILINE)
        assert f"[`{name}`](../methods/{name}.md)" in page("reference/commands.md")
    pages = {path.stem for path in (DOCS / "methods").glob("*.md")}
    assert pages == {"index", *preset_names()}


def test_every_exit_code_is_documented():
    for number in errors.ExitCode:
        row = re.compile(rf"^\| `?{number.value}`? \| \w", re.MULTILINE)
        assert row.search(page("command-line.md")), number
        assert row.search(page("reference/commands.md")), number
    table = sections(page("reference/commands.md"))["Exit codes"]
    assert set(re.findall(r"`([A-Z]\w+)`", table)) == {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.AudiosepError)
    }


def test_every_extra_is_in_get_started():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = set(project["optional-dependencies"]) - {"test", "lint", "docs"}
    assert set(re.findall(r"pip install '\.\[(\w+)\]'", page("get-started.md"))) == extras


# --- Python ---------------------------------------------------------------------------------------


def test_all_public_names_and_no_others_are_in_the_reference():
    for name, module in (("python.md", audiosep), ("nmf.md", nmf)):
        listed, shown = names_in(name)
        assert len(listed) == len(set(listed))
        assert set(listed) == {f"{module.__name__}.{public}" for public in module.__all__}
        assert set(listed) - set(shown) == set(tables.API[name].plain)
    listed, shown = names_in("more.md")
    assert listed == shown
    for path in listed:
        module, _, name = path.rpartition(".")
        assert name in importlib.import_module(module).__all__, path


def test_what_the_documents_import_is_in_the_reference():
    known = {name for part in ("python.md", "nmf.md", "more.md") for name in names_in(part)[0]}
    used = set()
    for text in map(Path.read_text, [ROOT / "README.md", *DOCS.rglob("*.md")]):
        for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
            for node in ast.walk(ast.parse(block)):
                if isinstance(node, ast.ImportFrom) and node.module.startswith("audiosep"):
                    used |= {value_of(node.module, alias.name) for alias in node.names}
                elif isinstance(node, ast.Attribute) and ast.unparse(node).startswith("audiosep."):
                    used.add(value_of(*ast.unparse(node).rpartition(".")[::2]))
    documented = [value_of(*name.rpartition(".")[::2]) for name in known]
    lost = [value for value in used if value is not None and value not in documented]
    assert not lost
    assert len(used) > 20


def value_of(module, name):
    """What is called so, where `module` is one; else it is an attribute of some value."""
    try:
        return getattr(importlib.import_module(module), name)
    except ImportError:
        return None


# --- JSON -----------------------------------------------------------------------------------------


def keys_of(record):
    """Keys of a record, and of the objects in it; what users name is NAME."""
    found = set(record)
    for name, inner in record.items():
        if name in NAMED_BY_USERS:
            parts = [part for part in inner.values() if isinstance(part, dict)]
            found |= {f"{name}.NAME.{key}" for part in parts for key in part}
        elif isinstance(inner, dict):
            found |= {f"{name}.{key}" for key in inner}
    return found


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """What every command that knows ``--json`` prints, and the records of the stems it leaves."""
    place = tmp_path_factory.mktemp("reference")
    loop = ROOT / "examples" / "audio" / "drum_loop"
    (place / "references").mkdir()
    for piece in ("kick", "snare", "hihat"):
        shutil.copy(loop / f"ref_{piece}.flac", place / "references" / f"{piece}.flac")
    samples, sr = soundfile.read(loop / "mixture.flac", dtype="int16")
    soundfile.write(place / "loop.wav", samples, sr)
    said = {}
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(place)
        for line in """
            split loop.wav --preset drums --one-shots 1 --json
            split loop.wav --preset components --duration 2 --iterations 5 -o parts --json
            split loop.wav --keep kick --preset drums -o kept --json
            split loop.wav --dry-run -o none --json
            preview loop.wav --length 2 --no-report --preset drums --json
            info loop.wav --check --json
            evaluate references separated/loop --json
            atoms loop.wav --components 2 --iterations 5 --duration 2 --json
            regroup parts/loop --json
            regroup parts/loop --move 1=moved --json
            learn references/kick.flac --duration 1 --components 2 -o kick.safetensors
            dict show kick.safetensors --json
            match kick.safetensors loop.wav --duration 2 -o hits.csv --json
            resynthesize parts/loop --export activations.csv --json
            paint separated/loop --region kick=0.5-1,50-200hz --only-there --json
            report separated/loop --json
            export separated/loop --to csv --json
            verify separated --json
            presets --json
            doctor --json
        """.strip().splitlines():
            said.setdefault(name_of(line), []).extend(run(line, monkeypatch))
        save_project(project_of(place / "separated" / "loop", ()), place / "project.json")
        said["audiosep replay"] = run("replay project.json -o again --json", monkeypatch)
    records = [
        json.loads(p.read_text("utf-8")) for p in sorted(place.glob("*/loop*/audiosep.json"))
    ]
    return said, records


def name_of(line):
    words = line.split()
    return "audiosep " + " ".join(words[: 2 if words[0] == "dict" else 1])


def run(line, monkeypatch):
    """Objects that a command prints."""
    out = io.StringIO()
    monkeypatch.setattr(sys, "argv", ["audiosep", *line.split()])
    with contextlib.redirect_stdout(out), pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code, line.strip()
    return [json.loads(row) for row in out.getvalue().splitlines() if "--json" in line]


def test_every_key_that_a_command_prints_is_documented_and_no_other(ran):
    said, _ = ran
    with_json = {n for n, c in COMMANDS.items() if any("--json" in p.opts for p in c.params)}
    assert set(tables.JSON_OBJECTS) == with_json - {
        "audiosep batch"
    }  # which prints what split does
    assert {name for name, objects in said.items() if objects} == set(tables.JSON_OBJECTS)
    for name, described in tables.JSON_OBJECTS.items():
        assert {key for found in said[name] for key in found} == set(described), name


def test_every_key_of_a_record_is_documented_and_no_other(ran):
    _, records = ran
    assert len(records) > 4
    found = set().union(*map(keys_of, records))
    settings = {f"settings.{name}" for name in audiosep.Separator().settings()}
    assert settings < found
    steps = {key for key in found if key.startswith("timings_s.")}
    assert found - settings - steps == set(tables.RECORD)
