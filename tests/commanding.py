"""The command inside the process of the tests: the same code, without the start."""

from __future__ import annotations

import sys

import files
import pytest

from audiosep import cli


def runner(monkeypatch, capsys):
    """Function that runs the command with some arguments and tells how it ended."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["audiosep", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        said = capsys.readouterr()
        return files.Ended(caught.value.code or 0, said.out, said.err)

    return run
