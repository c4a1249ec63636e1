"""What must agree: command line and library, names and docs, codes and docs."""

from __future__ import annotations

import importlib
import inspect
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import files
import pytest
import typer.main

import audiosep
from audiosep import errors
from audiosep.cli import app as cli_app
from audiosep.cli.batches import BatchOptions
from audiosep.cli.split import EXISTS, SplitOptions
from audiosep.io.formats import FORMATS
from audiosep.methods import METHODS, load_method
from audiosep.presets import DEFAULT_PRESET, load_preset, preset_names

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"


def docs():
    """All text for users."""
    pages = [README, *sorted((ROOT / "docs").rglob("*.md"))]
    return "\n".join(page.read_text(encoding="utf-8") for page in pages)


def defaults(function):
    return {
        name: parameter.default
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.default is not inspect.Parameter.empty
    }


def test_the_three_doors_have_the_same_defaults():
    by_class = {field.name: field.default for field in fields(audiosep.Separator)}
    by_function = defaults(audiosep.separate)
    by_command = defaults(cli_app.split)
    assert by_class.keys() <= by_function.keys()
    assert by_class.keys() <= by_command.keys()
    for name, value in by_class.items():
        assert by_function[name] == value == by_command[name], name
    by_method = defaults(audiosep.Separator.separate)
    for name in ("start", "duration"):
        assert by_function[name] == by_method[name] == by_command[name]
    by_saving = defaults(audiosep.Separation.save)
    assert by_saving == {
        "format": by_command["format_"],
        "bits": by_command["bits"],
        "one_shots": by_command["one_shots"],
    }
    assert by_command["preset"] == DEFAULT_PRESET == "auto"


def test_every_setting_has_an_option_and_every_option_a_place():
    options = set(inspect.signature(cli_app.split).parameters)
    talk = {"json_lines", "quiet", "verbose", "debug"}
    wanted = {field.name for field in (*fields(SplitOptions), *fields(BatchOptions))}
    assert {name.rstrip("_") for name in options - talk - {"inputs"}} == wanted


def test_settings_are_keyword_only():
    for function, positional in ((audiosep.separate, 2), (audiosep.Separator, 0)):
        kinds = [p.kind for p in inspect.signature(function).parameters.values()]
        assert kinds.count(inspect.Parameter.POSITIONAL_OR_KEYWORD) == positional
        assert inspect.Parameter.VAR_KEYWORD not in kinds


def test_public_names():
    assert len(set(audiosep.__all__)) == len(audiosep.__all__)
    assert dir(audiosep) == sorted(audiosep.__all__)
    for name in audiosep.__all__:
        value = getattr(audiosep, name)
        assert name == "__version__" or inspect.getdoc(value), name
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = audiosep.nonsense


def test_star_import_gives_all():
    code = "from audiosep import *; import audiosep; print(set(audiosep.__all__) <= set(dir()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("True\n", "")


def modules():
    package = ROOT / "audiosep"
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if parts[-1] not in ("__main__", "__init__"):
            yield ".".join(parts)


@pytest.mark.parametrize("name", list(modules()))
def test_every_module_lists_its_names(name):
    module = importlib.import_module(name)
    assert module.__doc__
    listed = getattr(module, "__all__", [])
    assert len(set(listed)) == len(listed)
    for entry in listed:
        assert hasattr(module, entry)


def test_import_says_nothing_and_is_light():
    code = (
        "import sys, audiosep\n"
        "sys.exit(str({'numpy', 'numba', 'librosa', 'typer'} & sys.modules.keys() or ''))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == ""
    assert done.stderr.strip() == ""


@pytest.mark.parametrize("name", preset_names())
def test_every_preset(name):
    preset = load_preset(name)
    assert preset.name == name
    assert preset.method in METHODS
    assert callable(load_method(preset.method))
    assert preset.summary
    assert preset.stems
    assert 0.1 <= preset.mask_exponent <= 10
    assert preset.n_sources_free == (preset.method in ("components", "stereo"))
    assert audiosep.Separator(preset=name, **files.told(name)).preset == name
    assert f"`{name}`" in docs()


@pytest.mark.parametrize("name", METHODS)
def test_every_method_is_used_by_a_preset(name):
    assert name in {load_preset(preset).method for preset in preset_names()}


def test_unknown_method():
    with pytest.raises(errors.UsageError, match="unknown method 'nope'; there are "):
        load_method("nope")


@pytest.mark.parametrize("code", errors.ExitCode)
def test_every_exit_code_is_written_down(code):
    # In a table row or a list entry of its own.
    page = (ROOT / "docs" / "command-line.md").read_text("utf-8")
    assert re.search(rf"^\| {code.value} \| \w", page, re.MULTILINE)
    assert re.search(rf"\b{code.value} ", cli_app.app.info.epilog)


def test_exit_codes():
    assert {code.name: code.value for code in errors.ExitCode} == {
        "DONE": 0,
        "SOME_FAILED": 1,
        "USAGE": 2,
        "ALL_FAILED": 3,
        "CANNOT_WRITE": 4,
        "REFUSED": 5,
        "INTERRUPTED": 130,
        "TERMINATED": 143,
    }


@pytest.mark.parametrize(
    ("name", "code", "parents"),
    [
        ("AudiosepError", 3, [Exception]),
        ("UsageError", 2, [errors.AudiosepError]),
        ("ParameterError", 2, [errors.UsageError, ValueError]),
        ("InputError", 3, [errors.AudiosepError]),
        ("DamagedAudioError", 3, [errors.InputError]),
        ("DictionaryError", 3, [errors.AudiosepError]),
        ("OutputError", 4, [errors.AudiosepError]),
        ("RefusedError", 5, [errors.AudiosepError]),
        ("Cancelled", 130, [errors.AudiosepError]),
    ],
)
def test_errors(name, code, parents):
    error = getattr(errors, name)
    assert name in errors.__all__
    assert error.exit_code == code
    assert all(issubclass(error, parent) for parent in parents)
    # What a file holds may stand in the middle; which file and what to do must not be lost in it.
    assert str(error("in/a.wav: no.")) == "in/a.wav: no."
    said = str(error(f"in/a.wav: got {[10**30] * 5000!r}; make it anew."))
    assert said.startswith("in/a.wav: got [1000")
    assert said.endswith("000]; make it anew.")
    assert len(said) < 1300
    assert str(error("in/a\nb\x1b[2J.wav: no.")) == "in/a\\nb\\x1b[2J.wav: no."


def commands_of(group, before=""):
    """Each command with its whole name."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands_of(command, f"{before}{name} ")
        else:
            yield f"{before}{name}", command


def test_every_command_and_option_has_help_and_is_documented():
    command = typer.main.get_command(cli_app.app)
    text = docs()
    found = dict(commands_of(command))
    assert {"split", "learn", "dict show", "atoms", "regroup", "match"} <= set(found)
    for name, sub in found.items():
        assert sub.help
        assert f"audiosep {name}" in text, name
        for parameter in sub.params:
            assert parameter.help, (name, parameter.name)
    for parameter in command.commands["split"].params:
        if parameter.param_type_name == "option":
            spellings = "|".join(map(re.escape, parameter.opts))
            assert re.search(rf"(?<![\w-])({spellings})(?![\w-])", text), parameter.opts


def test_choices_in_the_help_are_the_choices():
    command = typer.main.get_command(cli_app.app)
    metavars = {p.name: p.metavar for p in command.commands["split"].params}
    assert metavars["exists"] == "|".join(EXISTS)
    assert metavars["format_"] == "|".join(FORMATS)


def test_the_version_is_one():
    text = (ROOT / "audiosep" / "_version.py").read_text("utf-8")
    assert f'"{audiosep.__version__}"' in text
