"""What is done with a damaged file, through the command line, and what may come of it."""

from __future__ import annotations

import io
import json
import random
import re
import shutil
import sys
import traceback
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import typer.main
from _fuzz_seeds import SOUND_KINDS, finished_folder, write_mixture

__all__ = ["Judged", "arranged", "prepare", "sentence_problem", "try_out"]

_SMALL = ("--preset", "components", "--components", "3", "--iterations", "2", "--threads", "1")
_CODES = {0, 1, 2, 3, 4, 5}
_UNEXPECTED = {
    "failed unexpectedly": "traceback",
    "audiosep: unexpected ": "traceback",
    "please report": "traceback",
    "needs more memory than there is": "memory",
}
_LONGEST = 1500


@dataclass(frozen=True)
class Judged:
    """How a command ended.

    Parameters
    ----------
    outcome : {"result", "warning", "error", "finding"}
        A finding is what must not be.
    words : str
        What it said; of a finding, all that helps.
    sort : {"traceback", "memory", "words"}
        Of a finding: an error nobody thought of, a limit that was met, or words that will not do.
    """

    outcome: str
    words: str = ""
    sort: str = ""


def prepare(home: Path) -> None:
    """Put what the commands need beside the damaged file into a folder: run once a process."""
    # Half of the time of a small command goes into its hundreds of options; they stay the same.
    typer.main.get_command = cache(typer.main.get_command)
    (home / "in" / "below").mkdir(parents=True)
    (home / "out").mkdir()
    (home / "tmp").mkdir()
    write_mixture(home / "in" / "mix.wav")
    write_mixture(home / "in" / "below" / "other.wav", 11025)
    finished_folder(home / "made", home / "in" / "mix.wav")


def arranged(kind: str, name: str, home: Path, rng: random.Random) -> list[list[str]]:
    """Put a damaged file that lies in ``home/in`` where it is read, and choose what reads it."""
    return _COMMANDS[kind](name, home, rng)


def try_out(commands: list[list[str]]) -> Judged:
    """Run commands, and judge the worst that came of them."""
    worst = Judged("result")
    for arguments in commands:
        judged = _judged(*_run(arguments))
        if judged.outcome == "finding":
            words = f"audiosep {' '.join(arguments)}\n{judged.words}"
            return Judged("finding", words, judged.sort)
        order = ("result", "warning", "error")
        worst = max(worst, judged, key=lambda one: order.index(one.outcome))
    return worst


# --- commands -----------------------------------------------------------------------------------


def _sounds(name: str, _home: Path, rng: random.Random) -> list[list[str]]:
    source, out = f"in/{name}", ("-o", "out")
    pick = rng.random()
    if pick < 0.55:
        more = rng.choice(_reading_options())
        found = [["split", source, *out, *_SMALL, "--json", *more]]
        if rng.random() < 0.15:
            found.append(["verify", "out", "--json"])
        return found
    if pick < 0.75:
        return [["info", source, "--json", *(["--check"] if _has("info", "--check") else [])]]
    if pick < 0.85:
        part = ["--start", rng.choice(("0", "0.1", "0.49", "3")), "--duration", "0.2"]
        return [["split", source, *out, *_SMALL, "--json", *part]]
    if pick < 0.9:
        return [["split", source, *out, *_SMALL, "--json", "--dry-run"]]
    if pick < 0.95:
        return [["learn", source, "-o", "out/d.safetensors", "--components", "2"]]
    return [["evaluate", "in/mix.wav", source, "--json"]]


@cache
def _reading_options() -> tuple[tuple[str, ...], ...]:
    """Ways to read that this version has."""
    wanted = (("--strict",), ("--salvage",), ("--fix-nonfinite", "zero"), ("--max-duration", "60"))
    return ((), (), *(one for one in wanted if _has("split", one[0])))


@cache
def _has(command: str, option: str) -> bool:
    from audiosep.cli.app import app

    found = typer.main.get_command(app).commands.get(command)  # type: ignore[attr-defined]
    return found is not None and any(option in one.opts for one in found.params)


def _manifest(name: str, home: Path, rng: random.Random) -> list[list[str]]:
    command = ["batch", f"in/{name}", "-o", "out", *_SMALL, "--json"]
    content = (home / "in" / name).read_bytes()
    # Of rows that ask for a million iterations the plan is tried, not the work.
    heavy = re.search(rb"\d{3}|[eE+]|stems|stereo|vocal|drum|speech|auto|score|high", content)
    return [command if heavy is None and rng.random() < 0.7 else [*command, "--dry-run"]]


def _journal(name: str, home: Path, rng: random.Random) -> list[list[str]]:
    place = home / "out" / ".audiosep"
    place.mkdir()
    (home / "in" / name).rename(place / "journal.jsonl")
    command = ["split", "in", "-r", "-o", "out", *_SMALL]
    return [[*command, *rng.choice((("--status",), ("--retry-failed", "--json"), ("--json",)))]]


def _dictionary(name: str, _home: Path, rng: random.Random) -> list[list[str]]:
    file = f"in/{name}"
    split = ["split", "in/mix.wav", "-o", "out", "--json", "--threads", "1"]
    return [
        rng.choice(
            (
                ["dict", "show", file, "--json"],
                ["dict", "show", file],
                ["dict", "merge", file, file, "-o", "out/m.safetensors"],
                [*split, "--preset", "drums", "--dictionary", file],
                [*split, "--example", f"low={file}", "--quality", "fast", "--iterations", "3"],
                ["match", file, "in/mix.wav", "--json"],
            )
        )
    ]


def _folder(name: str, home: Path, rng: random.Random) -> list[list[str]]:
    """A finished folder in which one file is another."""
    place = home / "out" / "mix"
    shutil.copytree(home / "made", place)
    (home / "in" / name).replace(place / name)
    if name == "factorization.safetensors" and rng.random() < 0.8:
        _vouch(place, name)
    formats = rng.choice((("labels", "raven", "midi", "csv"), ("multitrack", "reaper"), ("jams",)))
    to = [word for one in formats for word in ("--to", one)]
    export = ["export", "out/mix", *to, "-o", "out/exported", "--json"]
    regroup = ["regroup", "out/mix", "-o", "out/other", "--threads", "1"]
    return [
        rng.choice(
            (
                ["verify", "out/mix", "--json"],
                ["verify", "out/mix", "--mixture", "in/mix.wav", "--json"],
                export,
                export,
                ["report", "out/mix", "-o", "out/page.html", "--threads", "1", "--json"],
                [*regroup[:2], "--json"],
                [*regroup, "--merge", "source-1,source-2", "--json"],
                [*regroup, "--move", "1=new", "--json"],
                ["resynthesize", "out/mix", "--export", "out/a.csv", "--json"],
                ["split", "in/mix.wav", "-o", "out", *_SMALL, "--json"],
            )
        )
    ]


def _vouch(place: Path, name: str) -> None:
    """Have the record say that the damaged file is what was written: who forges one forges both."""
    import hashlib

    record = json.loads((place / "audiosep.json").read_bytes())
    digest = hashlib.sha256((place / name).read_bytes()).hexdigest()
    record["files"][name]["sha256"] = digest
    (place / "audiosep.json").write_text(json.dumps(record), encoding="utf-8")


def _table(name: str, home: Path, rng: random.Random) -> list[list[str]]:
    if name.startswith("activations"):
        shutil.copytree(home / "made", home / "out" / "mix")
        command = ["resynthesize", "out/mix", "--activations", f"in/{name}", "-o", "out/a.wav"]
        return [[*command, "--threads", "1", "--json"]]
    place = home / "out" / "mix"
    shutil.copytree(home / "made", place)
    (home / "in" / name).replace(place / name)
    to = rng.choice(("labels", "raven", "midi", "csv", "jams"))
    return [["export", "out/mix", "--to", to, "-o", "out/exported", "--json"]]


def _project(name: str, home: Path, rng: random.Random) -> list[list[str]]:
    command = ["replay", f"in/{name}", "-o", "out/again", "--threads", "1", "--json"]
    try:
        settings = json.loads((home / "in" / name).read_bytes())["settings"]
        light = settings["preset"] == "components" and 0 < settings["max_iter"] < 20
    except (ValueError, KeyError, TypeError, RecursionError):
        light = True  # nothing will come of it
    # Where it asks for a million iterations it is only read.
    return [command if light and rng.random() < 0.7 else [*command, "--input", "in/none"]]


def _regions(name: str, home: Path, _rng: random.Random) -> list[list[str]]:
    shutil.copytree(home / "made", home / "out" / "mix")
    command = ["paint", "out/mix", "--regions", f"in/{name}", "-o", "out/painted"]
    return [[*command, "--threads", "1", "--json"]]


def _score(name: str, _home: Path, rng: random.Random) -> list[list[str]]:
    command = ["split", "in/mix.wav", "-o", "out", "--score", f"in/{name}", "--iterations", "2"]
    full = [*command, "--threads", "1", "--json"]
    return [full if rng.random() < 0.3 else [*full, "--dry-run"]]


_COMMANDS: dict[str, Callable[[str, Path, random.Random], list[list[str]]]] = {
    **dict.fromkeys(SOUND_KINDS, _sounds),
    "manifest": _manifest,
    "journal": _journal,
    "dictionary": _dictionary,
    "factorization": _folder,
    "record": _folder,
    "table": _table,
    "project": _project,
    "regions": _regions,
    "midi": _score,
    "musicxml": _score,
    "mxl": _score,
    "labels": _score,
}


# --- how it ended -------------------------------------------------------------------------------


def _run(arguments: list[str]) -> tuple[BaseException | None, int, str, str]:
    """Run a command in this process: what it raised, its code, and what it said."""
    from audiosep.cli.app import run

    before = sys.argv
    sys.argv = ["audiosep", *arguments, *(["--debug"] if _may_debug(arguments) else [])]
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    raised: BaseException | None = None
    code = 0
    try:
        with redirect_stdout(out), redirect_stderr(err):
            run()
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except Exception as error:
        raised = error
    finally:
        sys.argv = before
    for stream in (out, err):
        stream.flush()
    texts = (s.buffer.getvalue().decode("utf-8", "replace") for s in (out, err))
    return raised, code, *texts  # type: ignore[return-value]


@cache
def _debug_of(command: str) -> bool:
    return _has(command, "--debug")


def _may_debug(arguments: list[str]) -> bool:
    return _debug_of(arguments[0])


def _judged(raised: BaseException | None, code: int, out: str, err: str) -> Judged:
    from audiosep.cli.wording import words_of
    from audiosep.errors import AudiosepError

    if isinstance(raised, AudiosepError):
        words = words_of(raised)
        wrong = sentence_problem(words)
        return _unfit(f"{wrong}: {raised!r}") if wrong else Judged("error", words)
    if raised is not None:
        return Judged("finding", "".join(traceback.format_exception(raised)), "traceback")
    all_said = f"exit code {code}\n{err}\n{out}"[-4000:]
    if code not in _CODES:
        return _unfit(f"no exit code of ours: {all_said}")
    for word, sort in _UNEXPECTED.items():
        if word in err + out:
            return Judged("finding", all_said, sort)
    entries, wrong = _entries(out)
    sentences = [text for entry in entries for text in _sentences(entry)]
    wrong = wrong or next(filter(None, map(sentence_problem, sentences)), "")
    if wrong:
        return _unfit(f"{wrong}: {all_said}")
    if code and not sentences and not (err + out).strip():
        return _unfit(f"it failed without a word: {all_said}")
    if code:
        return Judged("error", (sentences or [(err or out).strip()])[0])
    said = next((entry["warnings"] for entry in entries if entry.get("warnings")), None)
    return Judged("warning", str(said[0])) if said else Judged("result")


def _unfit(words: str) -> Judged:
    return Judged("finding", words, "words")


def _entries(out: str) -> tuple[list[dict[str, Any]], str]:
    """Results in JSON, and what is wrong with them."""
    entries = []
    for line in out.splitlines():
        if line.startswith("{"):
            try:
                entries.append(json.loads(line, parse_constant=_refuse_constant))
            except ValueError as error:
                return [], f"no JSON ({error})"
    return entries, ""


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


def _sentences(entry: dict[str, Any]) -> list[str]:
    found = [entry.get("error"), *entry.get("problems", ()), *entry.get("warnings", ())]
    return [text for text in found if text]


def sentence_problem(text: str) -> str:
    """Say why a text is not one sentence that may be printed anywhere; empty where it is."""
    if not text.strip():
        return "an error without words"
    if "\n" in text or not text.isprintable():
        return "a message with control characters"
    if not text.rstrip().endswith((".", "!", "?")):
        return "a message that is no sentence"
    if len(text) > _LONGEST:
        return f"a message of {len(text)} characters"
    return ""
