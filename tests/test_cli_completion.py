"""Completion by the shells themselves: what a person sees after the tab key."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import commanding
import files
import pytest

from audiosep.cli.completing import SHELLS, completer
from audiosep.presets import preset_names

COMMAND = Path(sys.executable).with_name("audiosep")
needs_command = pytest.mark.skipif(
    not COMMAND.exists(), reason="the command is not installed beside the interpreter"
)


def needs(shell):
    return pytest.mark.skipif(shutil.which(shell) is None, reason=f"{shell} is not installed")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{COMMAND.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(tmp_path))
    files.write_sound(tmp_path / "song.wav")
    return tmp_path


def said(*command, text=None):
    done = subprocess.run(
        command, input=text, capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


_BASH = """
eval "$(audiosep completion bash)"
complete -p audiosep
after() {
    COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
    _audiosep_completion audiosep
    echo "${COMPREPLY[@]}"
}
after audiosep pre
after audiosep split --preset ""
after audiosep split mix.wav --exists o
after audiosep split so
"""


@needs_command
@needs("bash")
def test_bash(here):
    how, commands, presets, words, nothing = said("bash", "--norc", "-c", _BASH).splitlines()
    assert how == "complete -o default -F _audiosep_completion audiosep"
    assert commands.split() == ["preview", "presets"]
    assert presets.split() == list(preset_names())
    assert words == "overwrite"
    assert nothing == ""  # then "-o default" completes names of files


@needs_command
@needs("fish")
def test_fish(here):
    lines = "complete -C 'audiosep split --pre'; complete -C 'audiosep split so'"
    text = said("fish", "--no-config", "-c", f"audiosep completion fish | source; {lines}")
    option, file = text.splitlines()
    assert option.split("\t")[0] == "--preset"
    assert file == "song.wav"


@needs_command
@needs("zsh")
def test_zsh(here):
    import pty

    (here / "script").write_text(said("audiosep", "completion", "zsh"))
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(TERM="dumb", PS1="> ")
        os.execvp("zsh", ["zsh", "-f", "-i"])
    try:
        _typed(
            terminal, "autoload -U compinit; compinit -u -D; source script; echo rea''dy\n", "ready"
        )
        _typed(terminal, "audiosep split --preset vo\t", "vocals")
        _typed(terminal, "\x15audiosep split so\t", "song.wav")
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        os.close(terminal)


def _typed(terminal, keys, wanted):
    os.write(terminal, keys.encode())
    shown, deadline = b"", time.monotonic() + 60
    while wanted.encode() not in shown:
        assert time.monotonic() < deadline, shown
        if select.select([terminal], [], [], 1.0)[0]:
            shown += os.read(terminal, 4096)


@pytest.mark.parametrize("shell", SHELLS)
def test_scripts_name_the_command_and_nothing_of_this_machine(monkeypatch, capsys, shell):
    ended = commanding.runner(monkeypatch, capsys)("completion", shell)
    assert (ended.code, ended.err) == (0, "")
    assert "_AUDIOSEP_COMPLETE=complete_" + shell in ended.out
    assert str(Path.home()) not in ended.out
    assert sys.prefix not in ended.out


def test_other_shells(monkeypatch, capsys):
    ended = commanding.runner(monkeypatch, capsys)("completion", "csh")
    assert (ended.code, ended.out) == (2, "")
    assert "there is no script for 'csh'; there are bash, zsh, fish." in ended.err


@pytest.mark.parametrize(
    ("parameter", "metavar", "incomplete", "words"),
    [
        ("format_", "wav|flac", "f", ["flac"]),
        ("beta", "kl|is|euclidean|FLOAT", "", ["kl", "is", "euclidean"]),
        ("n_components", "K|auto", "", ["auto"]),
        ("examples", "NAME=FILE|@FROM-TO", None, None),
        ("out", "DIR", None, None),
        ("scheduler", "ADDRESS|FILE", None, None),
    ],
)
def test_words_come_from_the_help(parameter, metavar, incomplete, words):
    complete = completer(parameter, metavar)
    assert (None if complete is None else complete(incomplete)) == words
