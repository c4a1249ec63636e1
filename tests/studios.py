"""The studio as it is started by hand, and folders to open with it, for its tests."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import files
import numpy as np
import pytest

import audiosep

AXE = Path(__file__).parent / "vendor" / "axe.min.js.gz"
CHROMIUM = Path("/usr/bin/chromium")
SR = 32000
SECONDS = 6.0
TONES = {440: 0.2, 1000: 0.15, 2500: 0.1}
"""Frequencies and amplitudes."""

NUMBERS = {hz: n for n, hz in enumerate(TONES, 1)}
"""The component of each."""


def tone(hz):
    t = np.arange(int(SR * SECONDS)) / SR
    return np.float32(TONES[hz] * np.sin(2 * np.pi * hz * t))[np.newaxis]


def rms(*amplitudes):
    return float(np.sqrt(sum(amplitude**2 / 2 for amplitude in amplitudes)))


def mixed(folder):
    """A folder of stems whose components are known: low of 440 and 1000 Hz, high of 2500 Hz."""
    source = files.write_sound(folder / "mix.wav", sum(tone(hz) for hz in TONES), SR)
    made = audiosep.separate(source, n_sources=2, **files.SMALL_SETTINGS)
    n_fft = 2 * (len(made.factorization.templates) - 1)
    spectra = [
        np.abs(audiosep.stft(audiosep.Audio(samples=tone(hz), sr=SR), n_fft=n_fft).values[0])
        for hz in TONES
    ]
    known = replace(
        made.factorization,
        templates=np.stack([v.mean(axis=1) / v.mean(axis=1).sum() for v in spectra], axis=1),
        activations=np.stack([v.sum(axis=0) for v in spectra]),
    )
    grouping = replace(
        made.grouping,
        names=("low", "high"),
        weights=np.float32([[1, 0], [1, 0], [0, 1]]),
        confidence=np.ones(2),
    )
    stems = {"low": tone(440) + tone(1000), "high": tone(2500)}
    audio = {name: audiosep.Audio(samples=sound, sr=SR) for name, sound in stems.items()}
    replace(made, stems=audio, factorization=known, grouping=grouping).save(folder / "mix")
    return folder / "mix"


@dataclass
class Studio:
    """A studio that runs, and how to talk to it without a browser."""

    process: subprocess.Popen
    address: str
    temporary: Path

    @property
    def host(self):
        return urllib.parse.urlsplit(self.address).netloc

    @property
    def token(self):
        return urllib.parse.parse_qs(urllib.parse.urlsplit(self.address).query)["token"][0]

    def ask(self, path, *, method="GET", data=None, token=None, timeout=20, **headers):
        """Code and content of an answer."""
        own = {"X-Audiosep-Token": self.token if token is None else token}
        if method != "GET":
            own["Origin"] = f"http://{self.host}"
        own |= {name.replace("_", "-"): value for name, value in headers.items()}
        given = {name: value for name, value in own.items() if value is not None}
        request = urllib.request.Request(
            f"http://{self.host}{path}", data=data, headers=given, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def state(self):
        code, content = self.ask("/api/state")
        assert code == 200, content
        return json.loads(content)

    def do(self, action, /, **asked):
        """Ask for something of the present state; code, and the state or the problem."""
        asked.setdefault("version", self.state()["version"])
        data = json.dumps(asked).encode()
        code, content = self.ask(f"/api/do/{action}", method="POST", data=data)
        return code, json.loads(content)

    def upload(self, name, content):
        query = urllib.parse.urlencode({"name": name, "version": self.state()["version"]})
        code, answer = self.ask(f"/api/upload?{query}", method="PUT", data=content)
        return code, json.loads(answer)

    def until(self, condition, longest_s=40.0):
        """Wait for a state."""
        end = time.monotonic() + longest_s
        while not condition(state := self.state()):
            assert time.monotonic() < end, state
            time.sleep(0.05)
        return state

    def sound(self, address):
        """Samples of all blocks of a sound, for one channel."""
        opened = self.state()["open"]
        n_blocks = -(-opened["samples"] // opened["block"])
        parts = []
        for block in range(n_blocks):
            code, content = self.ask(f"/sound/{address}/{block}")
            assert code == 200, content
            parts.append(np.frombuffer(content, "<f4"))
        return np.concatenate(parts)

    def stem(self, name):
        (stem,) = [one for one in self.state()["open"]["stems"] if one["name"] == name]
        return self.sound(stem["sound"])

    def end(self, number=signal.SIGINT):
        """End it as from the keyboard; its code."""
        self.process.send_signal(number)
        return self.process.wait(15)

    def left(self):
        """What it has in the folder for temporary files."""
        return sorted(path.name for path in self.temporary.glob(".audiosep*"))


@contextmanager
def studio(home, *arguments, temporary=None):
    """Start the studio in a folder, and end it again."""
    temporary = temporary or home / "temporary"
    temporary.mkdir(exist_ok=True)
    process = subprocess.Popen(
        [*files.COMMAND, "studio", *map(str, arguments), "--no-browser", "--threads", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        cwd=home,
        env={**os.environ, "TMPDIR": str(temporary)},
    )
    try:
        address = process.stdout.readline().strip()
        assert address.startswith("http://127.0.0.1:"), process.stderr.read()
        yield Studio(process=process, address=address, temporary=temporary)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
        process.stdout.close()
        process.stderr.close()


def why_no_studio():
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        return f"{error.name} is not installed: pip install 'audiosep[studio]'"
    return ""


def why_no_browser():
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError:
        return "playwright is not installed"
    return "" if CHROMIUM.exists() else f"there is no {CHROMIUM}"


needs_studio = pytest.mark.skipif(bool(why_no_studio()), reason=why_no_studio() or "-")
needs_browser = pytest.mark.skipif(bool(why_no_browser()), reason=why_no_browser() or "-")
