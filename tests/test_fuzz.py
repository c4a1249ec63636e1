"""Damaged files of every kind through the command line: a result, a warning or one sentence."""

from __future__ import annotations

import random
import re
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parent.parent / "scripts"
sys.path.insert(0, str(SCRIPTS))
try:
    import _fuzz_http
    import _fuzz_run
    import _fuzz_targets
    import _fuzz_worker
    import fuzz
    from _fuzz_mutations import mutated
    from _fuzz_pieces import mended, pieces_of
    from _fuzz_seeds import KINDS, SOUND_KINDS, seeds_of
finally:
    sys.path.remove(str(SCRIPTS))

N_EACH = 8
N_REQUESTS = 30


def told(tallies):
    """What was found, in words."""
    return "\n".join(
        f"python scripts/fuzz.py --kind {f.kind} --seed {f.seed} --only {f.number}\n{f.words}"
        for tally in tallies.values()
        for f in tally.findings
    )


def test_a_few_of_every_kind():
    plan = ((kind, number) for kind in KINDS for number in range(N_EACH))
    tallies = _fuzz_run.campaign(plan, seed=1, warm_up=1)
    assert told(tallies) == ""
    assert tallies.keys() == set(KINDS)
    assert all(tally.peak < 1 << 30 and tally.outside == 0 for tally in tallies.values())
    assert max(tally.peak for tally in tallies.values()) > 0  # or nothing is measured
    assert all(tally.rounds == N_EACH for tally in tallies.values())
    outcomes = sum((tally.counts for tally in tallies.values()), start=_fuzz_run.Counter())
    # Damage that nobody notices, or that nothing gets through, would try nothing.
    assert outcomes["error"] > 0.2 * len(KINDS) * N_EACH
    assert outcomes["result"] + outcomes["warning"] > 0.1 * len(KINDS) * N_EACH


def test_a_few_requests_to_the_studio():
    tally = _fuzz_http.http_campaign(range(N_REQUESTS), seed=1)
    assert told({_fuzz_http.KIND: tally}) == ""
    assert tally.rounds == N_REQUESTS
    assert tally.counts["result"] > 2
    assert tally.counts["error"] > 10


@pytest.mark.reliability
@pytest.mark.timeout(7200)
def test_a_thousand_requests():
    tally = _fuzz_http.http_campaign(range(1000), seed=2)
    sys.stdout.write(f"{_fuzz_http.KIND}: {dict(tally.counts)}\n{fuzz.said_of(tally, 1024)}\n")
    assert told({_fuzz_http.KIND: tally}) == ""
    assert tally.rounds == 1000


@pytest.mark.reliability
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("kind", KINDS)
def test_a_thousand(kind):
    tallies = _fuzz_run.campaign(((kind, number) for number in range(1000)), seed=2)
    tally = tallies[kind]
    sys.stdout.write(f"{kind}: {dict(tally.counts)}\n{fuzz.said_of(tally, 1024)}\n")
    assert told(tallies) == ""
    assert tallies[kind].rounds == 1000


# --- the damage ---------------------------------------------------------------------------------

SLOW_TO_MAKE = ("journal", "factorization", "record", "table", "project")
QUICK = [kind for kind in KINDS if kind not in SLOW_TO_MAKE]


@pytest.mark.parametrize("kind", QUICK)
def test_whole_files_are_taken_apart_and_put_together(kind):
    for seed in seeds_of(kind):
        shape = "text" if seed.shape in ("json", "lines", "xml", "csv") else seed.shape
        pieces = pieces_of(shape, seed.content)
        assert b"".join(piece.content for piece in pieces) == seed.content
        assert len(pieces) > 1
        for piece in pieces:
            assert all(at >= 0 and width for at, width, _ in piece.sizes)


@pytest.mark.parametrize("kind", ["wav", "aiff", "w64", "flac", "ogg", "opus"])
def test_whole_files_need_no_mending(kind):
    """Of the encoders' own files every checksum is found where it is, and right."""
    for seed in seeds_of(kind):
        assert mended(seed.shape, seed.content) == seed.content


@pytest.mark.parametrize("kind", QUICK)
def test_the_same_number_does_the_same_damage(kind):
    seeds = seeds_of(kind)
    one, others = seeds[0], [seed.content for seed in seeds[1:]]
    damaged = [mutated(one.shape, one.content, others, random.Random(n)) for n in range(20)]
    again = [mutated(one.shape, one.content, others, random.Random(n)) for n in range(20)]
    assert damaged == again
    assert len(set(damaged) - {one.content}) > 10


def test_archives_that_are_damaged_inside_are_damaged_further():
    """Their members cannot be read any more, or want a password: no reason to stop."""
    whole = seeds_of("mxl")[0].content
    rotten, locked = bytearray(whole), bytearray(whole)
    for at in range(60, len(whole) - 200):
        rotten[at] ^= 0x55
    for head, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        for found in re.finditer(re.escape(head), whole):
            locked[found.start() + flags] |= 1
    for archive in map(bytes, (rotten, locked)):
        damaged = {mutated("mxl", archive, [], random.Random(number)) for number in range(20)}
        assert len(damaged) > 10


# --- the watch ----------------------------------------------------------------------------------


def test_what_must_not_be_is_a_finding():
    judge = _fuzz_targets._judged
    from audiosep.errors import InputError

    found = [
        judge(ValueError("boom"), 0, "", ""),
        judge(None, 1, '{"error": "two\\nlines."}', ""),
        judge(None, 1, '{"error": "\\u001b[2J is red."}', ""),
        judge(InputError("no full stop"), 0, "", ""),
        judge(InputError(""), 0, "", ""),
        judge(None, 1, "", ""),
        judge(None, -11, "", "x"),
        judge(None, 0, '{"a": NaN}', ""),
        judge(None, 1, '{"error": "x failed unexpectedly (KeyError: 1); see --debug."}', ""),
        judge(None, 1, '{"error": null, "problems": ["x\\u0007."]}', ""),
    ]
    assert {one.outcome for one in found} == {"finding"}
    by_itself, unexpected = found[0], found[8]
    assert {by_itself.sort, unexpected.sort} == {"traceback"}
    assert {one.sort for one in found if one not in (by_itself, unexpected)} == {"words"}
    beyond = judge(None, 3, '{"error": "x needs more memory than there is."}', "")
    assert (beyond.outcome, beyond.sort) == ("finding", "memory")
    assert judge(InputError("x is empty; record it again."), 0, "", "").outcome == "error"
    assert judge(None, 1, '{"error": "x is empty."}', "").outcome == "error"
    assert judge(None, 0, '{"warnings": ["x ends early."]}', "").outcome == "warning"
    assert judge(None, 0, '{"warnings": [], "error": null}', "").outcome == "result"


def test_what_leaves_the_folder_is_seen(tmp_path, monkeypatch):
    for name in ("in", "out", "tmp"):
        (tmp_path / name).mkdir()
    (tmp_path / "out" / "away").symlink_to("../in")
    monkeypatch.chdir(tmp_path)
    watch = _fuzz_worker._Watch(tmp_path)
    watch.on = True
    writing = _fuzz_worker._WRITING
    for event, arguments in (
        ("open", (str(tmp_path / "out" / "a.wav"), "w", writing)),
        ("open", (b"out/a.wav", "w", writing)),
        ("open", ("in/mix.wav", "r", 0)),
        ("os.mkdir", ("out/a", 0o777, -1)),
        ("os.rename", ("tmp/a", "out/a", -1, -1)),
    ):
        watch(event, arguments)
        assert watch.broken == []
    for event, arguments in (
        ("open", ("a.wav", "w", writing)),
        ("open", ("out/../a.wav", "w", writing)),
        ("open", ("out/away/a.wav", "w", writing)),
        ("open", ("/etc/a.wav", "w", writing)),
        ("os.mkdir", ("outside", 0o777, -1)),
        ("os.rename", ("out/a", "in/a", -1, -1)),
        ("os.remove", ("in/mix.wav", -1)),
        ("socket.connect", (None, ("127.0.0.1", 9))),
        ("subprocess.Popen", ("sh", [], None, None)),
        ("pickle.find_class", ("os", "system")),
    ):
        watch(event, arguments)
        assert len(watch.broken) == 1, event
        watch.broken.clear()


STUMBLES = """
import json, os, signal, sys, time

for line in sys.stdin:
    task = json.loads(line)
    if task.get("round") == 1:
        os.kill(os.getpid(), signal.SIGSEGV)
    if task.get("round") == 2:
        sys.exit(3)
    if task.get("round") == 3:
        while True:
            pass
    answer = {"ready": task["warm"]} if "warm" in task else {"outcome": "result", "words": ""}
    print(json.dumps(answer), flush=True)
"""


def test_processes_that_die_or_hang_are_findings_and_others_go_on(tmp_path, monkeypatch):
    (tmp_path / "worker.py").write_text(STUMBLES)
    monkeypatch.setattr(_fuzz_run, "_WORKER", tmp_path / "worker.py")
    monkeypatch.setattr(_fuzz_run, "HANG_S", 0.3)
    seen = []
    tallies = _fuzz_run.campaign(
        (("wav", n) for n in range(5)), seed=0, report=lambda kind, _: seen.append(kind)
    )
    assert seen == ["wav"]
    assert tallies["wav"].counts == {"result": 2, "finding": 3}
    words = {finding.number: finding.words for finding in tallies["wav"].findings}
    assert "SIGSEGV" in words[1]
    assert "exit code 3" in words[2]
    assert words[3].startswith("it hangs")
    assert [finding.sort for finding in tallies["wav"].findings] == ["death", "death", "hang"]


def test_bytes_outside_the_output_folder_are_counted(tmp_path, monkeypatch):
    """Each place by which a file may get out, as a command that is wrong would use it."""
    for name in ("in", "out", "tmp", "made"):
        (tmp_path / name).mkdir()
    (tmp_path / "in" / "mix.wav").write_bytes(b"12345")
    kept = _fuzz_worker._tree(tmp_path, ("in", "made"))
    watch = _fuzz_worker._Watch(tmp_path)
    away = tmp_path.parent / f"{tmp_path.name}-away"
    act = lambda: None  # noqa: E731
    monkeypatch.setattr(_fuzz_worker, "damaged_file", lambda *_: ("x", b"xx", random.Random(0)))
    monkeypatch.setattr(_fuzz_targets, "arranged", lambda *_: [])
    monkeypatch.setattr(
        _fuzz_targets, "try_out", lambda _: (act(), _fuzz_targets.Judged("result"))[1]
    )

    def found():
        answer = _fuzz_worker._one("wav", 0, 0, tmp_path, watch, kept)
        return answer["outcome"], answer["sort"], answer["outside"]

    def write(path, content):
        watch("open", (str(path), "w", _fuzz_worker._WRITING))
        path.write_bytes(content)

    assert found() == ("result", "", 0)
    act = lambda: write(tmp_path / "out" / "a.wav", b"fine")  # noqa: E731
    assert found() == ("result", "", 0)
    act = lambda: write(away, b"123")  # noqa: E731
    assert found() == ("finding", "outside", 3)
    act = lambda: (tmp_path / "tmp" / "left").write_bytes(b"1234")  # noqa: E731
    assert found() == ("finding", "outside", 4)
    act = lambda: (tmp_path / "new").write_bytes(b"1234567")  # noqa: E731
    assert found() == ("finding", "outside", 7)
    (tmp_path / "new").unlink()
    act = lambda: (tmp_path / "in" / "mix.wav").write_bytes(b"123456")  # noqa: E731
    assert found() == ("finding", "outside", 6)


def test_what_is_told_in_the_end():
    tally = _fuzz_run.Tally()
    tally.add("wav", 0, 7, _fuzz_run.Answer("error", "x is empty.", peak=3 << 20))
    tally.add("wav", 1, 7, _fuzz_run.Answer("finding", "boom", "traceback", peak=2 << 20))
    tally.add("wav", 2, 7, _fuzz_run.Answer("finding", "gone", "outside", outside=12))
    tally.add("wav", 3, 7, _fuzz_run.Answer("finding", "it hangs", "hang"))
    assert fuzz.said_of(tally, 64) == (
        "4 damaged files and requests: 1 tracebacks, 1 hangs, 0 dead processes, 0 other answers "
        "that will not do\n"
        "12 bytes left or changed outside the output folder in 1 of them; memory beyond 64 MB "
        "asked for in 0; most that was taken beyond the start: 3 MB"
    )
    assert [(f.number, f.sort) for f in tally.findings] == [
        (1, "traceback"),
        (2, "outside"),
        (3, "hang"),
    ]


def test_every_format_that_is_read_is_damaged():
    own = ("wav", "rf64", "w64", "aiff", "caf", "flac", "ogg", "opus", "mp3")
    assert (*own, "mp4", "matroska", "frames", "wma", "wavpack") == SOUND_KINDS
    assert set(SOUND_KINDS) < set(KINDS)
