"""Damaged requests to the studio, over a real connection to a real server."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from _fuzz_mutations import HOSTILE_TEXTS, changed_json
from _fuzz_run import Answer, Tally
from _fuzz_seeds import finished_folder, write_mixture

__all__ = ["KIND", "http_campaign"]

KIND = "http"
_ANSWER_S = 60.0
_PATIENCE_S = 5.0
_FINE = {200, 204, 206, 303, 304}
_SAID = {400, 401, 403, 404, 405, 408, 409, 411, 413, 414, 415, 422, 431, 501, 505, 507}
_MORE_BYTES = 1 << 30
_GO_ON = b"HTTP/1.1 100 Continue\r\n\r\n"


@dataclass(frozen=True)
class _Request:
    """What a page would send."""

    method: str
    path: str
    body: bytes = b""


def _requests(version: int, sound: bytes) -> list[_Request]:
    """Valid requests of every kind, in a session of this version."""

    def do(name: str, /, **asked: object) -> _Request:
        return _Request(
            "POST", f"/api/do/{name}", json.dumps({"version": version, **asked}).encode()
        )

    region = {"stem": "new", "start_s": 0.1, "end_s": 0.3, "low_hz": 100.0, "high_hz": 900.0}
    return [
        *(_Request("GET", path) for path in ("/", "/assets/studio.js", "/api/state?since=0")),
        *(_Request("GET", f"/api/components/{n}") for n in (0, 1)),
        *(_Request("GET", f"/picture/1/{what}") for what in ("mixture", "0", "1")),
        *(_Request("GET", f"/sound/1/{n}/0/0") for n in (0, 1)),
        _Request("GET", "/sound/component/1/1/0"),
        do("move", component=1, to="source-2"),
        do("merge", into="source-1", stem="source-2"),
        do("rename", stem="source-1", name="drums"),
        do("paint", regions=[{**region, "belongs": True}]),
        *(do(name) for name in ("undo", "redo", "undo", "redo")),
        do("save", folder="saved", name="saved", place="saved", path="saved"),
        do("learn", stem="source-1", file="d.safetensors", name="d", path="d.safetensors"),
        do("split", preset="components", n_sources=2),
        do("cancel", job=1),
        _Request("PUT", f"/api/upload?name=mix.wav&version={version}", sound),
    ]


def _damaged(one: _Request, host: str, token: str, rng: random.Random) -> bytes:
    """Return a request as bytes, one to three things of it wrong."""
    headers = {
        "Host": host,
        "Origin": f"http://{host}",
        "X-Audiosep-Token": token,
        "Content-Type": "application/json",
        "Connection": "close",
    }
    method, path, body = one.method, one.path, one.body
    lies: str | None = None
    for _ in range(rng.choice((0, 1, 1, 1, 2, 3))):
        act = rng.choice(("body", "body", "body", "path", "path", "method", "header", "length"))
        text = rng.choice(HOSTILE_TEXTS).encode("utf-8", "replace").decode("utf-8")
        if act == "body" and body:
            body = _other_body(body, rng)
        elif act == "path":
            path = _other_path(path, text, rng)
        elif act == "method":
            method = rng.choice(("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "CONNECT", "x"))
        elif act == "header":
            name = rng.choice(
                (*headers, "Cookie", "Range", "Transfer-Encoding", "Expect", "Upgrade")
            )
            value = rng.choice((text, "chunked", "100-continue", "bytes=0-", "websocket"))
            headers[name] = value.replace("\r", "").replace("\n", "")
        elif act == "length":
            lies = rng.choice(("0", "-1", "1", str(2**31), str(2**63), "nan", "1e3", "\xb2", ""))
    headers["Content-Length"] = str(len(body)) if lies is None else lies
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    content = f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode("utf-8", "replace") + body
    if rng.random() < 0.1:
        data = bytearray(content)
        for _ in range(rng.choice((1, 4))):
            data[rng.randrange(min(len(data), 600))] ^= 1 << rng.randrange(8)
        content = bytes(data)
    return content[: rng.randrange(1, len(content))] if rng.random() < 0.05 else content


def _other_body(body: bytes, rng: random.Random) -> bytes:
    if body.startswith(b"{"):
        try:
            return changed_json(body, rng)
        except (ValueError, RecursionError):
            pass
    at = rng.randrange(len(body))
    return rng.choice(
        (body[:at], body + rng.randbytes(20), b"", body[:at] + b"\0" + body[at + 1 :])
    )


def _other_path(path: str, text: str, rng: random.Random) -> str:
    """A part of the path that is another, percent signs and all."""
    quoted = "".join(
        c if c.isalnum() and c.isascii() else f"%{b:02X}" for c in text for b in c.encode()
    )
    numbers = list(re.finditer(r"\d+", path))
    if numbers and rng.random() < 0.5:
        one = rng.choice(numbers)
        other = rng.choice(("-1", "99", str(2**31), str(2**64), "9" * 4400, "0" * 50, "1.5", "%00"))
        return path[: one.start()] + other + path[one.end() :]
    parts = path.split("/")
    where = rng.randrange(1, len(parts))
    parts[where] = rng.choice((quoted, "..", "%2e%2e", "", parts[where] + quoted))
    return "/".join(parts)


class _Studio:
    """The server, what it said, and what lies around it."""

    def __init__(self, home: Path) -> None:
        (home / "desk").mkdir(parents=True)
        (home / "tmp").mkdir()
        write_mixture(home / "desk" / "mix.wav")
        finished_folder(home / "desk" / "mix", home / "desk" / "mix.wav", "mix.wav")
        self.sound = (home / "desk" / "mix.wav").read_bytes()
        self._home, self._said = home, home / "said.txt"
        self._kept = self._tree("desk/mix", "desk/mix.wav")
        one = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), "1")
        with self._said.open("wb") as said:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "audiosep", "studio", "mix", "--no-browser"],
                cwd=home / "desk",
                env={**os.environ, **one, "TMPDIR": str(home / "tmp")},
                stdout=subprocess.PIPE,
                stderr=said,
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline().decode()
        found = re.search(r"http://([\w.:]+)/\?token=([\w-]+)", line)
        if found is None:
            raise RuntimeError(f"the studio does not start: {line} {self.said()}")
        self.host, self.token = found[1], found[2]
        # Whoever does not read what is said would stop the one who says it.
        threading.Thread(target=self.process.stdout.read, daemon=True).start()
        self._bytes = self.taken()

    def said(self) -> str:
        return self._said.read_text("utf-8", "replace")

    def taken(self) -> int:
        """Bytes of memory that were held at most; 0 where the system does not tell."""
        try:
            status = Path(f"/proc/{self.process.pid}/status").read_text("utf-8")
        except OSError:
            return 0
        found = re.search(r"VmHWM:\s*(\d+) kB", status)
        return int(found[1]) << 10 if found else 0

    def ask(self, content: bytes, patience_s: float = _PATIENCE_S) -> tuple[int, bytes]:
        """Send bytes; the status and what came back, 0 where the connection was closed."""
        name, _, port = self.host.partition(":")
        with socket.create_connection((name, int(port)), timeout=patience_s) as connection:
            parts = b""
            try:
                connection.sendall(content)
                parts = _received(connection)
            except TimeoutError:
                # It may wait for more: where there is none, it must let go.
                connection.settimeout(_ANSWER_S)
                connection.shutdown(socket.SHUT_WR)
                parts = _received(connection)
            except ConnectionError:  # it has heard enough, which is an answer
                pass
        # Who waits for leave to go on is given it, and the answer after it.
        parts = parts.removeprefix(_GO_ON)
        found = re.match(rb"HTTP/1\.[01] (\d{3})", parts)
        return int(found[1]) if found else 0, parts

    def version(self) -> int:
        """Version of the state, as a page would see it."""
        lines = f"Host: {self.host}\r\nX-Audiosep-Token: {self.token}\r\nConnection: close\r\n"
        whole = f"GET /api/state?since=0 HTTP/1.1\r\n{lines}\r\n".encode()
        status, answer = self.ask(whole, _ANSWER_S)  # nothing more would come: it is only busy
        if status != 200:
            raise RuntimeError(f"no state: {answer[:500]!r}")
        found = re.search(rb'"version":\s*(\d+)', answer)
        return int(found[1]) if found else 0

    def peak(self) -> int:
        """Bytes of memory that were taken at most since it began."""
        return max(0, self.taken() - self._bytes)

    def wrong(self) -> Answer | None:
        """What must not be, after a request."""
        if (code := self.process.poll()) is not None:
            words = f"the studio ended ({code}): {self.said()[-2000:]}"
            return Answer("finding", words, "death")
        if "Traceback" in (said := self.said()):
            self._said.write_bytes(b"")
            return Answer("finding", said[-3000:], "traceback")
        if self.peak() > _MORE_BYTES:
            words = f"it took {self.peak() >> 20} MB more than when it began"
            return Answer("finding", words, "memory")
        changed = {
            n for n, _ in self._kept.items() ^ self._tree("desk/mix", "desk/mix.wav").items()
        }
        changed |= {path.name for path in self._home.iterdir()} - {"desk", "tmp", "said.txt"}
        if changed:
            size = sum(len(content) for content in self._tree(*changed).values())
            words = f"left or changed outside: {sorted(changed)}"
            return Answer("finding", words, "outside", outside=size)
        return None

    def _tree(self, *names: str) -> dict[str, bytes]:
        places = [p for n in names for p in (self._home / n, *(self._home / n).rglob("*"))]
        return {str(p.relative_to(self._home)): p.read_bytes() for p in places if p.is_file()}


def _received(connection: socket.socket) -> bytes:
    parts = b""
    while (part := connection.recv(1 << 16)) and len(parts) < 1 << 22:
        parts += part
    return parts


@contextmanager
def _studio() -> Iterator[_Studio]:
    with tempfile.TemporaryDirectory(prefix="audiosep-fuzz-", ignore_cleanup_errors=True) as folder:
        studio = _Studio(Path(os.path.realpath(folder)))
        try:
            yield studio
        finally:
            studio.process.send_signal(signal.SIGINT)
            try:
                studio.process.wait(30)
            except subprocess.TimeoutExpired:
                studio.process.kill()
                studio.process.wait()
            shutil.rmtree(folder, ignore_errors=True)


def _judged(status: int, said: bytes) -> Answer:
    if status not in (0, *_FINE, *_SAID):
        return Answer("finding", f"answered {status}: {said[:500]!r}", "words")
    if status in _SAID and len(said.strip().splitlines()) < 2:
        return Answer("finding", f"refused without a word: {said!r}", "words")
    return Answer("result" if status in _FINE else "error")


def http_campaign(
    rounds: range, *, seed: int, report: Callable[[str, Tally], None] | None = None
) -> Tally:
    """Send damaged requests to a studio that has a folder of stems open.

    What a request does depends on those before it, so a finding tells the bytes that were sent.
    """
    tally = Tally()
    began = time.monotonic()
    with _studio() as studio:
        for number in rounds:
            rng = random.Random(f"{seed} {KIND} {number}")
            one = rng.choice(_requests(studio.version(), studio.sound))
            content = _damaged(one, studio.host, studio.token, rng)
            try:
                answer = _judged(*studio.ask(content))
                answer = studio.wrong() or answer
            except TimeoutError:
                answer = Answer("finding", "no answer", "hang")
            words = f"{answer.words}\nsent: {content[:600]!r}" if answer.words else ""
            tally.add(KIND, number, seed, replace(answer, words=words, peak=studio.peak()))
            if studio.process.poll() is not None:
                break
    tally.seconds = time.monotonic() - began
    if report:
        report(KIND, tally)
    return tally
