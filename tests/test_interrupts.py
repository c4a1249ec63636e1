"""Being told to end counts, also where the exception that says so was dropped on its way."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from audiosep.cli import interrupts
from audiosep.cli.talk import Talk


@pytest.fixture
def handlers(monkeypatch):
    """Signals as the interpreter has them, and afterwards as they were."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    monkeypatch.setattr(interrupts, "_asked", [])
    monkeypatch.setattr(interrupts, "_when", [])
    monkeypatch.setattr(sys, "unraisablehook", sys.__unraisablehook__)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_nothing_is_asked_of_an_undisturbed_run(handlers):
    interrupts.listen()
    with Talk().progress("a.wav") as progress:
        progress("fit", 0.5)


@pytest.mark.parametrize(
    ("number", "kind", "code"),
    [(signal.SIGINT, KeyboardInterrupt, None), (signal.SIGTERM, SystemExit, 143)],
)
def test_what_was_dropped_is_asked_again_by_the_next_step(handlers, number, kind, code):
    interrupts.listen()
    with pytest.raises(kind):  # here somebody drops it
        signal.raise_signal(number)
    with Talk().progress("a.wav") as progress, pytest.raises(kind) as again:
        progress("fit", 0.5)
    assert getattr(again.value, "code", None) == code


def test_a_caller_that_wants_no_ctrl_c_keeps_that(handlers):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    interrupts.listen()
    signal.raise_signal(signal.SIGINT)
    interrupts.ask_again()


class _Dropping:
    """Something whose end is no place to raise from, as of the locks of imports."""

    def __init__(self, end):
        self.end = end

    def __del__(self):
        self.end()


def test_a_dropped_ctrl_c_is_no_line_on_the_terminal(handlers, monkeypatch, capsys):
    interrupts.listen()
    _Dropping(lambda: signal.raise_signal(signal.SIGINT))
    assert capsys.readouterr().err == ""
    _Dropping(lambda: 1 / 0)
    assert "ZeroDivisionError" in capsys.readouterr().err


TWICE = """
import os, signal, sys, time
from audiosep.cli import interrupts

interrupts.listen()
try:
    os.kill(os.getpid(), signal.SIGINT)
except KeyboardInterrupt:
    print("cleaning up")
os.kill(os.getpid(), signal.SIGINT)  # the same Ctrl-C, from a launcher
print("still cleaning up")
interrupts._when[0] -= 2.0
os.kill(os.getpid(), signal.SIGINT)
print("went on")
"""


def test_a_second_ctrl_c_is_hard_but_not_one_of_the_same_moment():
    done = subprocess.run(
        [sys.executable, "-c", TWICE], capture_output=True, text=True, check=False
    )
    words = ["cleaning up", "still cleaning up"]
    assert (done.returncode, done.stdout.splitlines(), done.stderr) == (130, words, "")


FAILING = """
import signal, sys
from audiosep.cli import app, main
from audiosep.errors import InputError

def run(**_):
    try:
        signal.raise_signal(signal.{name})
    except BaseException:
        raise {error} from None

app.app = run
main()
"""


@pytest.mark.parametrize("error", ["InputError('a.wav: no audio.')", "RuntimeError('odd')"])
@pytest.mark.parametrize(
    ("name", "code", "said"), [("SIGINT", 130, "interrupted"), ("SIGTERM", 143, "told to end")]
)
def test_an_error_that_a_signal_became_is_told_as_the_signal(error, name, code, said):
    program = FAILING.format(name=name, error=error)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    words = f"audiosep: {said}; run the same command again to go on.\n"
    assert (done.returncode, done.stdout, done.stderr) == (code, "", words)


STARTING = """
import signal
from audiosep.cli.interrupts import leave_until_listening

leave_until_listening()
try:  # as an import that drops whatever comes
    signal.raise_signal(signal.SIGINT)
except BaseException:
    pass
print("went on")
"""


def test_nothing_drops_a_ctrl_c_of_the_start():
    done = subprocess.run([sys.executable, "-c", STARTING], capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")


def test_a_caller_that_wants_no_ctrl_c_keeps_that_from_the_start(handlers):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    interrupts.leave_until_listening()
    signal.raise_signal(signal.SIGINT)


LEAVING = """
import atexit, sys
from audiosep.cli import app, main

class Slow:
    def __del__(self):
        print("taken down", flush=True)

slow = Slow()
atexit.register(print, "registered")

def run():
    from audiosep.cli.interrupts import listen
    import signal
    listen()
    print("printed")
    if sys.argv[1] == "asked":
        try:
            signal.raise_signal(signal.SIGTERM)
        except SystemExit as leaving:
            assert leaving.code == 143
    sys.exit(143)

app.run = run
main()
"""


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("asked", ["printed", "registered"]),
        ("of itself", ["printed", "registered", "taken down"]),
    ],
)
def test_who_is_told_to_end_takes_nothing_down_but_does_what_was_registered(how, said):
    done = subprocess.run(
        [sys.executable, "-c", LEAVING, how], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.splitlines(), done.stderr) == (143, said, "")
