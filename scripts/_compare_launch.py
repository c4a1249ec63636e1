"""Run a command on one core and say what it took. A small process, as Linux hands memory down.

    python -I -S _compare_launch.py RESULT.json SECONDS LOG CORE COMMAND ...

CORE is the how-manieth of those that may be used.

The largest resident set that Linux reports of a new process begins with that of the process which
started it. This one imports next to nothing, so what it reports of its child is the child's own.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time


def main() -> int:
    result, limit_s, log, core, *command = sys.argv[1:]
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[int(core) % len(cores)]})
    began = time.perf_counter()
    with open(log, "wb") as out:  # noqa: PTH123 - pathlib would be memory that is not the child's
        pid = os.fork()
        if pid == 0:
            os.setsid()
            os.dup2(out.fileno(), 1)
            os.dup2(out.fileno(), 2)
            try:
                os.execvp(command[0], command)
            except OSError as error:
                os.write(2, f"{command[0]}: {error.strerror}\n".encode())
                os._exit(127)
    late = False

    def end(*_: object) -> None:
        nonlocal late
        late = True
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)

    signal.signal(signal.SIGALRM, end)
    signal.alarm(int(float(limit_s)))
    _, status, usage = os.wait4(pid, 0)
    signal.alarm(0)
    unit = 1 if sys.platform == "darwin" else 1024
    with open(result, "w") as file:  # noqa: PTH123
        json.dump(
            {
                "exit": os.waitstatus_to_exitcode(status),
                "late": late,
                "seconds": time.perf_counter() - began,
                "cpu_s": usage.ru_utime + usage.ru_stime,
                "megabytes": usage.ru_maxrss * unit / 1e6,
            },
            file,
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
