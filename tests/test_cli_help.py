"""Help of every command: by purpose, by how often options are needed, with examples that work."""

from __future__ import annotations

import os
import pty
import re
import shlex
import subprocess
import sys

import commanding
import files
import pytest
import typer.main

from audiosep.cli.app import app
from audiosep.cli.helping import EVERYDAY, EXPERT, Panel

PANELS = [value for name, value in vars(Panel).items() if name.isupper()]


def commands(group=None, above="audiosep"):
    """Every command with its full name; those of groups, too."""
    group = group or typer.main.get_command(app)
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{above} {name}")
        else:
            yield f"{above} {name}", command


COMMANDS = dict(commands())


def examples(command):
    lines = (command.epilog or "").split("\n\n")
    assert lines[0].startswith("Example: ")
    return [line.partition(": ")[2] for line in lines]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_examples_that_it_takes(name):
    command = COMMANDS[name]
    assert command.help.strip().splitlines()[0].endswith(".")
    for line in examples(command):
        assert line.startswith(f"{name}")
        words = shlex.split(line)[len(name.split()) :]
        with command.make_context(name, words) as context:  # refuses what there is not
            assert context.params


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_for_everyday_or_for_experts(name):
    options = [p for p in COMMANDS[name].params if p.param_type_name == "option"]
    panels = {p.name: p.rich_help_panel for p in options if p.name != "help"}
    assert set(panels.values()) <= {EVERYDAY, EXPERT, "Many recordings"}
    assert all(p.help for p in options)
    assert {panels.get("seed", EXPERT), panels.get("debug", EXPERT)} == {EXPERT}
    assert panels.get("out", EVERYDAY) == EVERYDAY


def test_commands_are_listed_by_purpose(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "100")
    shown = commanding.runner(monkeypatch, capsys)("--help").out
    places = [shown.index(panel) for panel in PANELS]
    assert places == sorted(places)
    group = typer.main.get_command(app)
    assert {command.rich_help_panel for command in group.commands.values()} == set(PANELS)
    for name in group.commands:
        assert f" {name} " in shown


def shown_on_a_terminal(*arguments, **environment):
    """What the installed command writes to a terminal, on both streams."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*files.COMMAND, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        env={**{k: v for k, v in os.environ.items() if k != "NO_COLOR"}, **environment},
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            block = os.read(ours, 1 << 16)
        except OSError:  # nobody can write to it any more
            break
        if not block:
            break
        shown += block
    os.close(ours)
    return process.wait(timeout=60), shown


def test_no_colours_where_they_are_not_wanted():
    code, shown = shown_on_a_terminal("presets", "--help", TERM="xterm")
    assert (code, b"\x1b[" in shown) == (0, True)
    code, shown = shown_on_a_terminal("presets", "--help", TERM="xterm", NO_COLOR="1")
    assert code == 0
    assert re.search(rb"\x1b\[[0-9;]*3[0-7]", shown) is None  # bold may be, colours not


def test_no_bars_on_a_dumb_terminal(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files.write_sound("naïve 🎵.wav")
    code, shown = shown_on_a_terminal("split", *files.SMALL, "naïve 🎵.wav", TERM="dumb")
    assert code == 0
    assert b"\x1b" not in shown
    assert "separated/naïve 🎵/source-1.wav" in shown.decode()
    assert "they add up to it exactly" in shown.decode()


@pytest.mark.parametrize(
    "environment",
    [
        {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
        {"PYTHONIOENCODING": "ascii"},
    ],
    ids=["C", "ascii"],
)
def test_where_only_ascii_can_be_written(tmp_path, monkeypatch, environment):
    monkeypatch.chdir(tmp_path)
    env = {k: v for k, v in os.environ.items() if k not in ("PYTHONIOENCODING", "LANG")}
    env |= environment

    def run(*arguments):
        done = subprocess.run(
            [*files.COMMAND, *arguments], env=env, capture_output=True, timeout=120, check=False
        )
        return done.returncode, done.stdout.decode("ascii"), done.stderr.decode("ascii")

    code, out, err = run("--help")
    assert (code, err) == (0, "")
    assert "Look and listen" in out
    code, out, err = run("info", os.fsencode("🎵.wav"))
    assert (code, out) == (3, "")
    assert "Traceback" not in err
    assert "does not exist" in err


def test_no_command_needs_more_than_its_words_to_explain_itself():
    """Nothing heavy is loaded for any help: a person waits for it."""
    code = (
        "import sys\n"
        "from audiosep.cli.app import app\n"
        "for words in sys.argv[1:]:\n"
        "    try: app([*words.split()[1:], '--help'], standalone_mode=False)\n"
        "    except SystemExit: pass\n"
        "heavy = {'numpy', 'scipy', 'numba', 'librosa', 'soundfile'} & sys.modules.keys()\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *COMMANDS], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("Usage:") == len(COMMANDS)
