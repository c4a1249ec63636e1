"""The command in processes of its own that start at once: forked where all is loaded already.

What is started is a process like that of the installed command: it can be given limits, killed,
stopped, and have its streams closed. Only the second that the interpreter and the libraries take
to load is spent once. Run as a program, this module is the server that forks.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

_PATIENCE_S = 120  # generous, for machines that do other things too
_CALL = """
import audiosep
try:
    print({})
except Exception as error:
    print(f"{{type(error).__name__}}: {{error}}")
"""


@dataclass
class Started:
    """A command that runs, or has run."""

    pid: int
    folder: Path
    server: Server
    began: float = field(default_factory=time.monotonic)

    @property
    def out(self):
        return (self.folder / "out").read_bytes().decode("utf-8", "surrogateescape")

    @property
    def err(self):
        return (self.folder / "err").read_bytes().decode("utf-8", "surrogateescape")

    @property
    def code(self):
        """How it ended, negative where by a signal; None while it runs."""
        return self.server.codes.get(self.pid)

    def send(self, number):
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def wait(self, seconds=_PATIENCE_S):
        with self.server.news:
            ended = self.server.news.wait_for(lambda: self.pid in self.server.codes, seconds)
        if not ended:
            self.send(signal.SIGKILL)
            raise AssertionError(f"still running after {seconds} s: {self.err}")
        return self


class Server:
    """Forks commands; see :func:`server`."""

    def __init__(self, process, folder):
        self.codes = {}
        self.news = threading.Condition()
        self._process, self._folder = process, folder
        self._begun = []
        self._is_dead = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def start(
        self,
        *arguments,
        env=None,
        limits=None,
        closed=(),
        stdin=None,
        powers=True,
        processors=None,
        terminal=None,
        faults=None,
        program=None,
    ):
        """Start ``audiosep`` with these arguments in the present folder.

        Parameters
        ----------
        env : dict, optional
            Variables beside those of this process; None takes one away.
        limits : dict, optional
            Of resources, by their names; ``AS`` is what may come on top of what is loaded.
        closed : iterable of int
            Streams that are closed: 0, 1, 2.
        stdin : path, optional
            What it reads; by default nothing.
        powers : bool
            False: permissions bind, whoever runs the tests.
        processors : set of int, optional
            Those that it may use.
        terminal : str, optional
            Device that its words go to.
        faults : sequence of str, optional
            Arguments of ``strace`` that make its calls of the system fail.
        program : str, optional
            What runs instead of the command, in Python.
        """
        folder = self._folder / str(len(self._begun))
        folder.mkdir()
        given = {**os.environ, **(env or {})}
        request = {
            "arguments": [os.fsdecode(a) for a in arguments],
            "cwd": str(Path.cwd()),
            "env": {name: value for name, value in given.items() if value is not None},
            "limits": limits or {},
            "closed": list(closed),
            "stdin": str(stdin or os.devnull),
            "powers": powers,
            "processors": None if processors is None else sorted(processors),
            "stopped": bool(faults),
            "program": program,
            "out": str(folder / "out"),
            "err": terminal or str(folder / "err"),
        }
        with self.news:
            n_before = len(self._begun)
            self._process.stdin.write((json.dumps(request) + "\n").encode())
            self._process.stdin.flush()
            self.news.wait_for(lambda: self._is_dead or len(self._begun) > n_before, _PATIENCE_S)
            assert len(self._begun) > n_before, "the server has died, see its words"
            started = Started(pid=self._begun[-1], folder=folder, server=self)
        if faults:
            _attach(faults, started)
        return started

    def run(self, *arguments, **around):
        """Start the command and wait for its end."""
        return self.start(*arguments, **around).wait()

    def call(self, expression, **around):
        """Evaluate an expression of Python in such a process: what it gives or raises, in words."""
        ended = self.run(program=_CALL.format(expression), **around)
        assert (ended.code, ended.err) == (0, "")
        return ended.out

    def _read(self):
        for line in self._process.stdout:
            told = json.loads(line)
            with self.news:
                if "code" in told:
                    self.codes[told["pid"]] = told["code"]
                else:
                    self._begun.append(told["pid"])
                self.news.notify_all()
        with self.news:
            self._is_dead = True
            self.news.notify_all()


@contextmanager
def server(folder):
    """Give a :class:`Server` that keeps what its processes say in a folder."""
    with subprocess.Popen(
        [sys.executable, __file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        start_new_session=True,
    ) as process:
        try:
            yield Server(process, folder)
        finally:
            process.stdin.close()
            process.wait(_PATIENCE_S)


def wait_until(condition, started=None, seconds=_PATIENCE_S, step=0.002):
    """Wait for something that a process does."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert started is None or started.code is None, (started.code, started.err)
        assert time.monotonic() < deadline, "in vain"
        time.sleep(step)


def _attach(faults, started):
    """Let a process go on, under the eyes of strace."""
    status = Path(f"/proc/{started.pid}/status")
    wait_until(lambda: "State:\tT" in status.read_text(), started)
    log = started.folder / "strace"
    command = ["strace", "-f", "-qq", "-o", log, *faults, "-p", str(started.pid)]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as tracer:
        wait_until(lambda: tracer.poll() is not None or "TracerPid:\t0" not in status.read_text())
        if tracer.poll() is not None:
            started.send(signal.SIGKILL)
            pytest.skip(f"strace may not be used here: {tracer.stderr.read().decode()}")
        started.send(signal.SIGCONT)
        tracer.wait(_PATIENCE_S)


# In the server


def _serve():
    import files

    import audiosep
    import audiosep.cli.app
    import audiosep.cli.batches
    import audiosep.report.page
    import audiosep.save
    from audiosep import cli

    audiosep.separate(files.noise(1500, 1), 8000, n_threads=1, **files.SMALL_SETTINGS)
    # What is shared with the children stays shared.
    gc.collect()
    gc.freeze()
    ends, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    while True:
        ready, _, _ = select.select([0, ends], [], [])
        if ends in ready:
            os.read(ends, 4096)
            _report()
        if 0 in ready:
            line = sys.stdin.buffer.raw.readline()
            if not line:
                return
            pid = os.fork()
            if pid == 0:
                os.close(ends)
                os.close(wake)
                _become(json.loads(line), cli.main)
            _tell(pid=pid)


def _report():
    with suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            _tell(pid=pid, code=os.waitstatus_to_exitcode(status))


def _tell(**what):
    os.write(1, (json.dumps(what) + "\n").encode())


def _become(request, main):
    """Run the command, and end with its code."""
    code = 70
    atexit._clear()  # what the server does at its end is not for its children
    try:
        _prepare(request)
        if request["program"]:
            exec(request["program"], {})
        else:
            main()
        code = 0
    except SystemExit as leaving:
        code = leaving.code or 0
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):
                stream.flush()
        os._exit(code)


def _prepare(request):
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    # A shell gives what it runs in the background no Ctrl-C, and that would be inherited.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.setsid()
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    written = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOCTTY
    for number, path, flags in (
        (0, request["stdin"], os.O_RDONLY),
        (1, request["out"], written),
        (2, request["err"], written),
    ):
        handle = os.open(path, flags, 0o600)
        os.dup2(handle, number)
        os.close(handle)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if number in request["closed"]:
            os.close(number)
            setattr(sys, name, None)
        else:
            # Buffered as those of a new interpreter are.
            stream = os.fdopen(os.dup(number) if number > 2 else number, "wr"[number == 0])
            setattr(sys, name, stream)
    if request["processors"]:
        os.sched_setaffinity(0, request["processors"])
    for name, value in request["limits"].items():
        _limit(name, value)
    if not request["powers"]:
        _give_up_powers()
    sys.argv = ["audiosep", *request["arguments"]]
    if request["stopped"]:
        os.kill(os.getpid(), signal.SIGSTOP)


def _limit(name, value):
    import resource

    if name == "AS":
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        value += pages * resource.getpagesize()
    resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))


def _give_up_powers():
    """Be the user without the powers that pass over permissions."""
    import ctypes

    if os.geteuid() != 0:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, this process
    data = (ctypes.c_uint32 * 6)()
    if libc.capset(header, data):
        raise OSError(ctypes.get_errno(), "powers cannot be given up")


if __name__ == "__main__":
    _serve()
